import type { SourceRef } from '../base/problem.ts'
import type { Ports } from '../config/argument.ts'
import { type InterfacesConfig, NO_INTERFACES } from '../topology/commands.ts'
import type { Network } from '../topology/topology.ts'
import { type AccessRule, type Conduit, NO_OBJECTS, type Objects, type PortMatch } from './access.ts'
import { NO_PROXIES, type ProxiesConfig } from './commands-proxy.ts'
import type { EsmtpMap } from './esmtp-map.ts'
import { type GatewayConfig, NO_GATEWAY } from './gateway-config.ts'
import type { PixVariant } from './profiles/pix.ts'

/** A firewall as its PIX text describes it. Immutable: a typed command makes the next one. */
export interface FirewallConfig {
  readonly hostname: string
  /** Of a PIX, an ASA, an FWSM; where no line tells, a PIX. */
  readonly product: Product
  /** `6.1(1)`, as in `PIX Version 6.1(1)`. */
  readonly version?: string
  readonly ports: InterfacesConfig
  readonly smtpFixups: readonly Fixup[]
  /** Fixups of other protocols: kept and shown, and not enforced here. */
  readonly otherFixups: readonly string[]
  /** Fixups switched off by name, as a PIX writes them back. */
  readonly disabledFixups: readonly string[]
  /** How MailGuard is to differ from what this version did. */
  readonly mailguard: Partial<PixVariant>
  /** `name 10.54.7.10 mail-b`, by name. */
  readonly names: readonly { readonly ip: string; readonly name: string }[]
  readonly objects: Objects
  readonly accessRules: readonly Placed<AccessRule>[]
  /** `access-list … remark`: kept and shown before the lines of the lists. */
  readonly remarks: readonly string[]
  readonly conduits: readonly Placed<Conduit>[]
  /** Interface → the access list that is asked for what comes in there. */
  readonly accessGroups: readonly Placed<AccessGroup>[]
  readonly statics: readonly Placed<Static>[]
  readonly objectNats: readonly Placed<ObjectNat>[]
  readonly mailhosts: readonly Placed<Mailhost>[]
  readonly nats: readonly Nat[]
  readonly globals: readonly Global[]
  readonly routes: readonly StaticRoute[]
  /** Do interfaces of one level reach each other (`same-security-traffic permit inter-interface`)? */
  readonly sameSecurity: boolean
  readonly mpf: Mpf
  /** How it runs: logging, metrics, limits, several servers. */
  readonly gateway: GatewayConfig
  /** Proxies: which stands between where, and what a site has otherwise. */
  readonly proxies: ProxiesConfig
  /** Lines that do not concern mail: kept, shown, and not enforced here. First word → lines, with those below them. */
  readonly kept: Readonly<Record<string, readonly string[]>>
}

export interface AccessGroup {
  readonly list: string
  readonly port: string
  /** Asked of what leaves by the interface, and not of what comes in. */
  readonly isOut?: boolean
}

export type Product = 'PIX' | 'ASA' | 'FWSM'

/** A value, and the line it came from. */
export type Placed<T> = T & { readonly at: SourceRef }

export interface Fixup {
  readonly ports: Ports
  readonly at: SourceRef
  /** Is it a default that the version brought, and no line of its own? */
  readonly implied: boolean
}

/** `static (real,mapped) mapped real`: what answers on the mapped side for a host behind the real one. */
export interface Static {
  readonly real: string
  readonly mapped: string
  /** `interface`: the address that the mapped interface has. */
  readonly mappedIp: string
  readonly realIp: string
  readonly mask: string
  /** Only this port, and which port it becomes (port redirection). */
  readonly redirect?: Redirect
  /** The counts at the end, as written; they limit connections and are kept. */
  readonly limits: string
  readonly object?: string
}

export interface Redirect {
  readonly protocol: 'tcp' | 'udp'
  readonly mappedPort: number
  readonly realPort: number
}

/** The `nat` line of an `object network` (ASA from 8.3). */
export interface ObjectNat {
  readonly object: string
  readonly real: string
  readonly mapped: string
  readonly isStatic: boolean
  /** `interface`, an address, or the name of an object. */
  readonly to: string
  readonly service?: Redirect
  /** Words behind it that are kept: `dns`, `no-proxy-arp`. */
  readonly options: string
}

/** `mailhost global local` of 4.0 and 4.1: a static for port 25 alone, a conduit for all, and MailGuard, in one line. */
export interface Mailhost {
  readonly global: string
  readonly local: string
  readonly limits: string
}

export interface Nat {
  readonly port: string
  readonly id: number
  /** Whose addresses; with a list, those it permits as sources. */
  readonly of: Network | { readonly list: string }
  readonly limits: string
}

export interface Global {
  readonly port: string
  readonly id: number
  readonly pool: string
}

export interface StaticRoute {
  readonly port: string
  readonly to: Network
  readonly gateway: string
  readonly metric?: number
}

/** The Modular Policy Framework: classes of traffic, what is done to each, and where. */
export interface Mpf {
  readonly regexes: readonly Placed<{ readonly name: string; readonly pattern: string }>[]
  readonly regexClasses: readonly Placed<RegexClass>[]
  readonly classes: readonly Placed<ClassMap>[]
  readonly esmtpMaps: readonly EsmtpMap[]
  readonly policies: readonly Placed<PolicyMap>[]
  readonly services: readonly Placed<ServicePolicy>[]
}

export interface RegexClass {
  readonly name: string
  /** Without it every one of them must match. */
  readonly isAny: boolean
  readonly regexes: readonly string[]
}

export interface ClassMap {
  readonly name: string
  readonly match?: ClassMatch
}

export type ClassMatch =
  | { readonly kind: 'default-inspection-traffic' | 'any' }
  | { readonly kind: 'port'; readonly protocol: 'tcp' | 'udp'; readonly ports: PortMatch }
  | { readonly kind: 'access-list'; readonly list: string }

export interface PolicyMap {
  readonly name: string
  readonly classes: readonly PolicyClass[]
}

export interface PolicyClass {
  readonly name: string
  readonly esmtp?: Placed<{ readonly map?: string }>
  /** As an FWSM has it: the seven commands of MailGuard, both ways. */
  readonly smtp?: Placed<object>
  /** What else is done to this class: kept and shown, and not enforced here. */
  readonly kept: readonly string[]
}

export interface ServicePolicy {
  readonly policy: string
  /** `undefined` for `global`. */
  readonly port?: string
}

export const NO_MPF: Mpf = { regexes: [], regexClasses: [], classes: [], esmtpMaps: [], policies: [], services: [] }

export const EMPTY_FIREWALL: FirewallConfig = {
  hostname: 'pixfirewall',
  product: 'PIX',
  ports: NO_INTERFACES,
  smtpFixups: [],
  otherFixups: [],
  disabledFixups: [],
  mailguard: {},
  names: [],
  objects: NO_OBJECTS,
  accessRules: [],
  remarks: [],
  conduits: [],
  accessGroups: [],
  statics: [],
  objectNats: [],
  mailhosts: [],
  nats: [],
  globals: [],
  routes: [],
  sameSecurity: false,
  mpf: NO_MPF,
  gateway: NO_GATEWAY,
  proxies: NO_PROXIES,
  kept: {},
}
