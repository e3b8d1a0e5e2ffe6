/** Who may log in, by what, and with what in clear. */
import type { CommandSpec } from '../config/grammar.ts'
import { quote } from '../config/text.ts'
import type { MtaConfig } from './config.ts'

export const LOGIN_COMMANDS: readonly CommandSpec<MtaConfig>[] = [
  {
    syntax: 'accounts <file>',
    help: 'Who may log in: the file that "postern mta password" writes',
    apply: (config, args, at) => ({ ...config, accountsFile: { file: args.text('file'), at } }),
    remove: ({ accountsFile: _gone, ...config }) => config,
    noSyntax: 'accounts',
    show: ({ accountsFile }) => (accountsFile ? [`accounts ${quote(accountsFile.file)}`] : []),
  },
  {
    syntax: 'login <user:word> password-file <file>',
    help: 'Somebody who may log in; the password is the first line of the file',
    apply: (config, args, at) => ({
      ...config,
      logins: [
        ...config.logins.filter(({ user }) => user !== args.text('user')),
        { user: args.text('user'), passwordFile: args.text('file'), at },
      ],
    }),
    remove: (config, args) => ({
      ...config,
      logins: config.logins.filter(({ user }) => user !== args.text('user')),
    }),
    noSyntax: 'login <user:word>',
    show: ({ logins }) =>
      logins.map(({ user, passwordFile }) => `login ${quote(user)} password-file ${quote(passwordFile)}`),
  },
  {
    syntax: 'ntlm',
    help: 'Offer NTLM to accounts that have a hash for it; such a hash is as good as the password',
    apply: config => ({ ...config, ntlm: true }),
    remove: config => ({ ...config, ntlm: false }),
    show: ({ ntlm }) => (ntlm ? ['ntlm'] : []),
  },
  {
    syntax: 'gssapi keytab <file>',
    help: 'Offer GSSAPI: the keytab of our Kerberos service, smtp/HOSTNAME',
    apply: (config, args, at) => ({ ...config, keytab: { file: args.text('file'), at } }),
    remove: ({ keytab: _gone, ...config }) => config,
    noSyntax: 'gssapi',
    show: ({ keytab }) => (keytab ? [`gssapi keytab ${quote(keytab.file)}`] : []),
  },
  {
    syntax: 'auth-without-tls',
    help: 'Let names and passwords cross in clear: anyone on the way can read them',
    apply: config => ({ ...config, authWithoutTls: true }),
    remove: config => ({ ...config, authWithoutTls: false }),
    show: ({ authWithoutTls }) => (authWithoutTls ? ['auth-without-tls'] : []),
  },
]
