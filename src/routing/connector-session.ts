/** How a session over a connector is held: TLS, login, and asking for mail. */
import type { Diagnostic } from '../base/problem.ts'
import { formatDuration } from '../base/time.ts'
import type { Arguments, CommandSpec } from '../config/grammar.ts'
import { quote } from '../config/text.ts'
import { change } from './change.ts'
import type { Connector, ConnectorPull, ConnectorTls, RoutingConfig } from './connector.ts'

type Spec = CommandSpec<RoutingConfig>

/** What `show` of one part of each connector gives, for those that have it. */
function shown(show: (connector: Connector) => string | undefined): Spec['show'] {
  return ({ connectors }) => connectors.map(show).filter(line => line !== undefined)
}

const LOGIN: Spec = {
  syntax:
    'connector-login <connector:name> <verb:auth|x-exps> <mechanism:any|login|plain|scram-sha-256|scram-sha-256-plus|ntlm|gssapi> [<user:word> password-file <file>] [required]',
  help: 'Log in at the other end; if required, nothing is sent without it and mail waits',
  apply(config, args, at) {
    const mechanism = args.text('mechanism')
    const [user, passwordFile] = [args.optional('user'), args.optional('file')]
    if (user === undefined && mechanism !== 'gssapi') {
      const message = `${mechanism} needs a name and a password`
      const hint = 'expected USER password-file FILE'
      return { problems: [{ severity: 'error', message, hint, at: args.at('mechanism') }] }
    }
    return change(config, args, connector => ({
      ...connector,
      login: {
        verb: args.text('verb') as 'auth' | 'x-exps',
        mechanism,
        ...(user !== undefined && { user }),
        ...(passwordFile !== undefined && { passwordFile }),
        required: args.has('required'),
        at,
      },
    }))
  },
  remove: (config, args) => change(config, args, ({ login: _gone, ...connector }) => connector),
  noSyntax: 'connector-login <connector:name>',
  show: shown(({ name, login }) => {
    if (!login) return undefined
    const { verb, mechanism, user, passwordFile, required } = login
    const who = user === undefined ? '' : ` ${quote(user)} password-file ${quote(passwordFile ?? '')}`
    return `connector-login ${name} ${verb} ${mechanism}${who}${required ? ' required' : ''}`
  }),
}

function tlsOf(args: Arguments): ConnectorTls {
  const [fingerprint, name, authoritiesFile] = ['fingerprint', 'certified', 'ca'].map(each => args.optional(each))
  return {
    floor: args.text('floor') as ConnectorTls['floor'],
    ...(fingerprint !== undefined && { fingerprint: fingerprint.replaceAll(':', '').toLowerCase() }),
    ...(name !== undefined && { name }),
    ...(authoritiesFile !== undefined && { authoritiesFile }),
    implicit: args.has('implicit'),
  }
}

/** How much TLS, as both lines say it that speak of it. */
export const TLS_SYNTAX =
  '<floor:none|may|require|verify|pinned> [<fingerprint:word>] [name <certified:domain>] [ca <ca:file>] [implicit]'
export const TLS_WORDS: Readonly<Record<string, string>> = {
  none: 'never',
  may: 'where it is offered, whoever it is with',
  require: 'nothing is sent in clear',
  verify: 'and the certificate proves the name',
  pinned: 'and this is the SHA-256 of the certificate, or of its public key',
  implicit: 'from the first octet on, as at port 465',
}

/** What the line says, or what is wrong with it. */
export function checkedTls(args: Arguments): ConnectorTls | { readonly problems: readonly Diagnostic[] } {
  const tls = tlsOf(args)
  const pinned = tls.floor === 'pinned'
  if (pinned === (tls.fingerprint !== undefined) && (!pinned || /^[0-9a-f]{64}$/.test(tls.fingerprint ?? '')))
    return tls
  const message = pinned ? 'not the SHA-256 of a certificate' : 'a fingerprint is for pinned'
  const hint = 'expected pinned and 64 hex digits, as "openssl x509 -fingerprint -sha256" prints them'
  const at = args.at(args.has('fingerprint') ? 'fingerprint' : 'floor')
  return { problems: [{ severity: 'error', message, hint, at }] }
}

export function sayTls({ floor, fingerprint, name, authoritiesFile, implicit }: ConnectorTls): string {
  const words = [
    floor,
    fingerprint,
    ...(name === undefined ? [] : ['name', name]),
    ...(authoritiesFile === undefined ? [] : ['ca', quote(authoritiesFile)]),
    implicit ? 'implicit' : undefined,
  ]
  return words.filter(word => word !== undefined).join(' ')
}

const TLS: Spec = {
  syntax: `connector-tls <connector:name> ${TLS_SYNTAX}`,
  help: 'How much TLS there must be; without such a line it is used where it is offered',
  words: TLS_WORDS,
  apply(config, args) {
    const tls = checkedTls(args)
    return 'problems' in tls ? tls : change(config, args, connector => ({ ...connector, tls }))
  },
  remove: (config, args) => change(config, args, ({ tls: _gone, ...connector }) => connector),
  noSyntax: 'connector-tls <connector:name>',
  show: shown(({ name, tls }) => tls && `connector-tls ${name} ${sayTls(tls)}`),
}

const PULL: Spec = {
  syntax: 'connector-pull <connector:name> <verb:etrn|turn|atrn> every <every:duration> [for <argument:word>]',
  help: 'Ask the other end for the mail it holds for us: a node for ETRN, domains with commas between for ATRN',
  apply: (config, args) =>
    change(config, args, connector => ({
      ...connector,
      pull: {
        verb: args.text('verb') as ConnectorPull['verb'],
        argument: args.text('argument'),
        every: args.number('every'),
      },
    })),
  remove: (config, args) => change(config, args, ({ pull: _gone, ...connector }) => connector),
  noSyntax: 'connector-pull <connector:name>',
  show: shown(({ name, pull }) => {
    if (!pull) return undefined
    const { verb, argument, every } = pull
    return `connector-pull ${name} ${verb} every ${formatDuration(every)}${argument === '' ? '' : ` for ${quote(argument)}`}`
  }),
}

export const CONNECTOR_SESSION_COMMANDS: readonly Spec[] = [LOGIN, TLS, PULL]
