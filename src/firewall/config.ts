import type { SourceRef } from '../base/problem.ts'
import type { Ports } from '../config/argument.ts'
import { type InterfacesConfig, NO_INTERFACES } from '../topology/commands.ts'
import type { Network } from '../topology/topology.ts'
import type { AccessRule } from './access.ts'
import { type GatewayConfig, NO_GATEWAY } from './gateway-config.ts'

/** A firewall as its PIX text describes it. Immutable: a typed command makes the next one. */
export interface FirewallConfig {
  readonly hostname: string
  /** `6.1(1)`, as in `PIX Version 6.1(1)`. */
  readonly version?: string
  readonly ports: InterfacesConfig
  readonly smtpFixups: readonly Fixup[]
  /** Fixups of other protocols: kept and shown, and not enforced here. */
  readonly otherFixups: readonly string[]
  /** Fixups switched off by name, as a PIX writes them back. */
  readonly disabledFixups: readonly string[]
  readonly accessRules: readonly Placed<AccessRule>[]
  /** Interface → the access list that is asked for what comes in there. */
  readonly accessGroups: readonly Placed<{ readonly list: string; readonly port: string }>[]
  readonly statics: readonly Placed<Static>[]
  readonly nats: readonly Nat[]
  readonly globals: readonly Global[]
  readonly routes: readonly StaticRoute[]
  /** How it runs: logging, metrics, limits, several servers. */
  readonly gateway: GatewayConfig
  /** Lines that do not concern mail: kept, shown, and not enforced here. First word → lines. */
  readonly kept: Readonly<Record<string, readonly string[]>>
}

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
  readonly mappedIp: string
  readonly realIp: string
  readonly mask: string
  /** Only this port, and which port it becomes (port redirection). */
  readonly redirect?: { readonly mappedPort: number; readonly realPort: number }
  /** The counts at the end, as written; they limit connections and are kept. */
  readonly limits: string
}

export interface Nat extends Network {
  readonly port: string
  readonly id: number
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

export const EMPTY_FIREWALL: FirewallConfig = {
  hostname: 'pixfirewall',
  ports: NO_INTERFACES,
  smtpFixups: [],
  otherFixups: [],
  disabledFixups: [],
  accessRules: [],
  accessGroups: [],
  statics: [],
  nats: [],
  globals: [],
  routes: [],
  gateway: NO_GATEWAY,
  kept: {},
}
