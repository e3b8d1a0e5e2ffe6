import type { SourceRef } from '../base/problem.ts'
import { PORTS, type Ports } from '../config/argument.ts'
import type { Arguments, CommandSpec } from '../config/grammar.ts'
import { quote } from '../config/text.ts'
import type { Direction } from '../topology/topology.ts'
import { AS_STRICT_COMES, STRICT_COMMANDS, type StrictConfig, strictSettings } from './commands-strict.ts'
import { FIREBOX_COMMANDS, type Fireboxes, fireboxSettings, NO_FIREBOXES } from './commands-watchguard.ts'
import type { Cause, Policy } from './policy.ts'
import { strict } from './profiles/strict.ts'
import { type FireboxProfile, smtpIncoming, smtpOutgoing } from './profiles/watchguard.ts'

/** Where which proxying profile stands between, and what a site has otherwise. */
export interface ProxiesConfig {
  readonly listens: readonly Listen[]
  readonly certificates: readonly Certificate[]
  readonly strict: StrictConfig
  readonly fireboxes: Fireboxes
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
  certificates: [],
  strict: AS_STRICT_COMES,
  fireboxes: NO_FIREBOXES,
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

export const PROXY_COMMANDS: readonly Spec[] = [
  LISTEN,
  FIREBOX,
  CERTIFICATE,
  ...(STRICT_COMMANDS as readonly Spec[]),
  ...(FIREBOX_COMMANDS as readonly Spec[]),
]

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
  const { changes, lines } = strictSettings(config.strict)
  return strict(cause, changes, lines)
}
