import type { SourceRef } from '../base/problem.ts'
import type { Duration } from '../base/time.ts'
import { DURATION, PORTS, type Ports, SIZE } from '../config/argument.ts'
import { type Arguments, type CommandSpec, isObjection } from '../config/grammar.ts'
import { quote } from '../config/text.ts'
import type { Direction, Network } from '../topology/topology.ts'
import { showNetwork } from './access.ts'
import { FIREBOX_COMMANDS, type Fireboxes, fireboxSettings, NO_FIREBOXES } from './commands-watchguard.ts'
import type { Cause, Policy, Proxying } from './policy.ts'
import { STRICT, type StrictSettings, strict } from './profiles/strict.ts'
import { type FireboxProfile, smtpIncoming, smtpOutgoing } from './profiles/watchguard.ts'
import { distrust, TRUSTED_SYNTAX, trust } from './trusted.ts'

/** Where which proxying profile stands between, and what a site has otherwise. */
export interface ProxiesConfig {
  readonly listens: readonly Listen[]
  readonly sites: readonly Network[]
  readonly domains: readonly string[]
  readonly certificates: readonly Certificate[]
  readonly messageSize?: number
  readonly pregreet?: Duration
  readonly tls?: Proxying['tls']
  readonly onwardTls?: Proxying['onwardTls']
  readonly strays?: StrictSettings['strays']
  readonly xclient: boolean
  readonly fireboxes: Fireboxes
  /** Where the lines of `strict` stand, by their second word. */
  readonly at: Readonly<Record<string, SourceRef>>
}

/** The profiles that stand between, by the words of their lines. */
export type ProxyProfile = 'strict' | FireboxProfile

export interface Listen {
  readonly profile: ProxyProfile
  readonly ports: Ports
  readonly at: SourceRef
}

/** Certificate and key, as files; with a name only for those who ask for it (SNI, RFC 6066 §3). */
export interface Certificate {
  readonly file: string
  readonly key: string
  readonly name?: string
  readonly at: SourceRef
}

export const NO_PROXIES: ProxiesConfig = {
  listens: [],
  sites: [],
  domains: [],
  certificates: [],
  xclient: false,
  fireboxes: NO_FIREBOXES,
  at: {},
}

type Spec = CommandSpec<ProxiesConfig>

const samePorts = (a: Ports, b: Ports): boolean => a.from === b.from && a.to === b.to

const LISTEN: Spec = {
  syntax: 'strict smtp <ports>',
  help: 'Stand between client and server on these ports: everything is understood, said anew, and has a limit',
  apply: (config, args, at) => withListen(config, { profile: 'strict', ports: portsOf(args), at }),
  remove: (config, args) => ({ ...config, listens: otherListens(config, 'strict', portsOf(args)) }),
  // Those of a Firebox as well: of two that speak of one port the first decides, so their order must not change.
  show: ({ listens }) => listens.map(showListen),
}

const FIREBOX: Spec = {
  syntax: 'watchguard <profile:smtp-incoming|smtp-outgoing> <ports>',
  help: 'Stand between as the SMTP proxy of a WatchGuard Firebox does, with the settings it comes with and those of the lines below',
  words: { 'smtp-incoming': 'from anywhere to the server inside', 'smtp-outgoing': 'from inside to anywhere' },
  apply: (config, args, at) =>
    withListen(config, { profile: args.text('profile') as ProxyProfile, ports: portsOf(args), at }),
  remove: (config, args) => ({
    ...config,
    listens: otherListens(config, args.text('profile') as ProxyProfile, portsOf(args)),
  }),
  show: () => [],
}

function withListen(config: ProxiesConfig, next: Listen): ProxiesConfig {
  return { ...config, listens: [...otherListens(config, next.profile, next.ports), next] }
}

function otherListens({ listens }: ProxiesConfig, profile: ProxyProfile, ports: Ports): readonly Listen[] {
  return listens.filter(each => each.profile !== profile || !samePorts(each.ports, ports))
}

function showListen({ profile, ports }: Listen): string {
  return `${profile === 'strict' ? 'strict smtp' : `watchguard ${profile}`} ${PORTS.show(ports)}`
}

function portsOf(args: Arguments): Ports {
  return args.get('ports', PORTS) ?? { from: 25, to: 25 }
}

const SITE: Spec = {
  syntax: `strict site ${TRUSTED_SYNTAX}`,
  help: 'A server of our own organisation: X-EXPS, X-LINK2STATE and XEXCH50 are let through from it, and looked into',
  apply(config, args) {
    const sites = trust(config.sites, args)
    return 'problems' in sites ? sites : { ...config, sites }
  },
  remove: (config, args) => ({ ...config, sites: distrust(config.sites, args) }),
  show: ({ sites }) => sites.map(each => `strict site ${showNetwork(each)}`),
}

const DOMAIN: Spec = {
  syntax: 'strict domain <domain>',
  help: 'Take mail for this domain and those below it; with no such line the server decides',
  apply: (config, args) => ({
    ...config,
    domains: [...config.domains.filter(each => each !== args.text('domain')), args.text('domain')],
  }),
  remove: (config, args) => ({ ...config, domains: config.domains.filter(each => each !== args.text('domain')) }),
  show: ({ domains }) => domains.map(each => `strict domain ${each}`),
}

const CERTIFICATE: Spec = {
  syntax: 'strict certificate <file> key <key-file:file> [name <domain>]',
  help: 'What we show to clients that begin TLS (PEM), or to those that ask for this name; a reload reads it again',
  apply: (config, args, at) => ({
    ...config,
    certificates: [...otherCertificates(config, args), { ...certificateOf(args), at }],
  }),
  remove: (config, args) => ({ ...config, certificates: otherCertificates(config, args) }),
  show: ({ certificates }) =>
    certificates.map(({ file, key, name }) => {
      const of = name === undefined ? '' : ` name ${name}`
      return `strict certificate ${quote(file)} key ${quote(key)}${of}`
    }),
}

function certificateOf(args: Arguments): Omit<Certificate, 'at'> {
  const name = args.optional('domain')
  return { file: args.text('file'), key: args.text('key-file'), ...(name !== undefined && { name }) }
}

/** One for each name, and one for whoever asks for none of them. */
function otherCertificates({ certificates }: ProxiesConfig, args: Arguments): readonly Certificate[] {
  return certificates.filter(({ name }) => name !== args.optional('domain'))
}

const MESSAGE_SIZE: Spec = {
  syntax: 'strict message-size <size>',
  noSyntax: 'strict message-size [<size>]',
  help: `The longest message (${SIZE.show(STRICT.messageSize)})`,
  apply: (config, args) => ({ ...config, messageSize: args.get('size', SIZE) ?? STRICT.messageSize }),
  remove: ({ messageSize: _, ...config }) => config,
  show: ({ messageSize }) => (messageSize === undefined ? [] : [`strict message-size ${SIZE.show(messageSize)}`]),
}

const GREET_WAIT: Spec = {
  syntax: 'strict greet-wait <wait:duration>',
  noSyntax: 'strict greet-wait [<wait:duration>]',
  help: 'How long the greeting is held back, to hear who speaks too early',
  apply: (config, args) => ({ ...config, pregreet: args.get('wait', DURATION) ?? 0 }),
  remove: ({ pregreet: _, ...config }) => config,
  show: ({ pregreet }) => (pregreet === undefined ? [] : [`strict greet-wait ${DURATION.show(pregreet)}`]),
}

const TLS: Spec = {
  syntax: 'strict tls <mode:pass|require|terminate|off>',
  noSyntax: 'strict tls [<mode:pass|require|terminate|off>]',
  help: `What becomes of STARTTLS (${STRICT.engine.tls})`,
  words: {
    pass: 'through to the server, and blind from then on',
    require: 'no mail before it',
    terminate: 'it ends here, and is begun anew towards the server',
    off: 'not offered',
  },
  apply: (config, args) => ({ ...config, tls: args.text('mode') as Proxying['tls'] }),
  remove: ({ tls: _, ...config }) => config,
  show: ({ tls }) => (tls === undefined ? [] : [`strict tls ${tls}`]),
}

const ONWARD_TLS: Spec = {
  syntax: 'strict onward-tls <mode:never|may|must>',
  noSyntax: 'strict onward-tls [<mode:never|may|must>]',
  help: `TLS towards the server: never, where it is offered, or no mail without it (${STRICT.engine.onwardTls})`,
  apply: (config, args) => ({ ...config, onwardTls: args.text('mode') as Proxying['onwardTls'] }),
  remove: ({ onwardTls: _, ...config }) => config,
  show: ({ onwardTls }) => (onwardTls === undefined ? [] : [`strict onward-tls ${onwardTls}`]),
}

const STRAYS: Spec = {
  syntax: 'strict bare-line-ends <how:reject|crlf|space|nothing>',
  noSyntax: 'strict bare-line-ends [<how:reject|crlf|space|nothing>]',
  help: `What becomes of a bare CR, a bare LF and a NUL in a message (${STRICT.strays})`,
  apply: (config, args) => ({ ...config, strays: args.text('how') as StrictSettings['strays'] }),
  remove: ({ strays: _, ...config }) => config,
  show: ({ strays }) => (strays === undefined ? [] : [`strict bare-line-ends ${strays}`]),
}

const XCLIENT: Spec = {
  syntax: 'strict xclient',
  help: 'Tell a server that offers XCLIENT who the client is',
  apply: config => ({ ...config, xclient: true }),
  remove: config => ({ ...config, xclient: false }),
  show: ({ xclient }) => (xclient ? ['strict xclient'] : []),
}

export const PROXY_COMMANDS: readonly Spec[] = [
  LISTEN,
  FIREBOX,
  ...[SITE, DOMAIN, CERTIFICATE, MESSAGE_SIZE, GREET_WAIT, TLS, ONWARD_TLS, STRAYS, XCLIENT].map(withPlace),
  ...(FIREBOX_COMMANDS as readonly Spec[]),
]

/** The command, with a note of where its last line stood. */
function withPlace(spec: Spec): Spec {
  const [, name = ''] = spec.syntax.split(' ')
  return {
    ...spec,
    apply(config, args, at) {
      const next = spec.apply(config, args, at)
      return isObjection(next) ? next : { ...next, at: { ...next.at, [name]: at } }
    },
    remove(config, args, at) {
      const next = spec.remove?.(config, args, at) ?? config
      if (isObjection(next)) return next
      const { [name]: _, ...others } = next.at
      return { ...next, at: spec.show(next).length === 0 ? others : next.at }
    },
  }
}

/** The profile that stands between on one of these ports, going this way, as the lines have it. */
export function proxyPolicy(config: ProxiesConfig, ports: readonly number[], direction: Direction): Policy | undefined {
  for (const listen of config.listens) {
    if (!ports.some(port => port >= listen.ports.from && port <= listen.ports.to)) continue
    const policy = policyOf(config, listen)
    if (policy.directions.has(direction)) return policy
  }
  return undefined
}

function policyOf(config: ProxiesConfig, listen: Listen): Policy {
  const command = showListen(listen)
  const cause: Cause = { at: listen.at, command, cure: `no ${command}` }
  if (listen.profile !== 'strict') {
    const { changes, lines } = fireboxSettings(config.fireboxes, listen.profile)
    return (listen.profile === 'smtp-incoming' ? smtpIncoming : smtpOutgoing)(cause, changes, lines)
  }
  const { sites, domains, messageSize, strays, tls, onwardTls, pregreet, xclient } = config
  const lines = Object.entries(config.at).map(([name, at]) => [name, { at, command: at.text.trim() }] as const)
  const changes = {
    sites,
    domains: new Set(domains),
    ...(messageSize !== undefined && { messageSize }),
    ...(strays !== undefined && { strays }),
    engine: {
      xclient,
      ...(tls !== undefined && { tls }),
      ...(onwardTls !== undefined && { onwardTls }),
      ...(pregreet !== undefined && { waits: { ...STRICT.engine.waits, pregreet } }),
    },
  }
  return strict(cause, changes, new Map(lines))
}
