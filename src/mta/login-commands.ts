/** Who may log in, by what, and with what in clear. */
import type { Arguments, CommandSpec } from '../config/grammar.ts'
import { quote } from '../config/text.ts'
import type { MtaConfig } from './config.ts'
import { formatSenders, parseSenders, type SenderLine } from './senders.ts'

function otherSenders({ senders }: MtaConfig, args: Arguments): readonly SenderLine[] {
  return senders.filter(({ login }) => login !== args.text('user'))
}

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
    syntax: 'sender-of <user:word> <addresses:text...>',
    help: 'What this login may send from: alice@a.example, @a.example, * for any; of the login * whoever has no such line',
    apply(config, args) {
      const may = parseSenders(args.text('addresses'))
      if ('wrong' in may) {
        const message = `"${may.wrong}" is no address to send from`
        const hint = 'expected addresses such as alice@a.example, domains such as @a.example, or *'
        return { problems: [{ severity: 'error', message, hint, at: args.at('addresses') }] }
      }
      return { ...config, senders: [...otherSenders(config, args), { login: args.text('user'), may }] }
    },
    remove: (config, args) => ({ ...config, senders: otherSenders(config, args) }),
    noSyntax: 'sender-of <user:word> [<addresses:text...>]',
    show: ({ senders }) => senders.map(({ login, may }) => `sender-of ${quote(login)} ${formatSenders(may)}`),
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
