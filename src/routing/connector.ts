import { lower } from '../base/bytes.ts'
import type { SourceRef } from '../base/problem.ts'
import type { Duration } from '../base/time.ts'
import type { Mailbox } from '../smtp/address.ts'

/** A way out of this routing group: to whom, at what cost, for which addresses. */
export interface Connector {
  readonly name: string
  /** The routing group it leads to. */
  readonly group: string
  readonly cost: number
  readonly target: { readonly ip: string; readonly port: number }
  readonly spaces: readonly AddressSpace[]
  readonly login?: ConnectorLogin
  readonly tls?: ConnectorTls
  readonly pull?: ConnectorPull
  readonly at: SourceRef
}

export interface AddressSpace {
  /** `b.example`, `*.b.example` or `*`. */
  readonly space: string
  readonly cost: number
}

/** How this end proves that it belongs to the organisation; the password stays in its file. */
export interface ConnectorLogin {
  readonly verb: 'auth' | 'x-exps'
  /** A mechanism by name, or the strongest that both sides have. */
  readonly mechanism: string
  /** Not for GSSAPI, which has its own credentials. */
  readonly user?: string
  readonly passwordFile?: string
  /** Without the login nothing is sent: mail waits. */
  readonly required: boolean
  readonly at: SourceRef
}

/** How much TLS mail over this connector must have; `mta/order.ts` says what the floors mean. */
export interface ConnectorTls {
  readonly floor: 'none' | 'may' | 'require' | 'verify' | 'pinned'
  /** SHA-256 of the one certificate, in hex. */
  readonly fingerprint?: string
  /** The name the certificate must prove; absent: the address. */
  readonly name?: string
  /** Who may have signed it; absent: whom the system trusts. */
  readonly authoritiesFile?: string
  /** TLS from the first octet on, as at port 465. */
  readonly implicit: boolean
}

/** Asking the other side, now and then, for the mail it holds for us. */
export interface ConnectorPull {
  readonly verb: 'etrn' | 'turn' | 'atrn'
  /** For ETRN the node, for ATRN the domains: as they stand behind the verb. */
  readonly argument: string
  readonly every: Duration
}

export interface RoutingConfig {
  /** The group this server is a member of. */
  readonly group: string
  readonly connectors: readonly Connector[]
}

export const NO_ROUTING: RoutingConfig = { group: 'First Routing Group', connectors: [] }

export type Route =
  | { readonly kind: 'relay'; readonly connector: Connector; readonly cost: number }
  | { readonly kind: 'unreachable'; readonly why: string }

/**
 * Which connector a recipient's mail takes: the most particular address space first, whatever it costs, then the least
 * cost, then the name, so that the choice is the same every time.
 */
export function route({ connectors }: RoutingConfig, { domain }: Mailbox): Route {
  let best: { readonly connector: Connector; readonly depth: number; readonly cost: number } | undefined
  for (const connector of connectors.toSorted((a, b) => (a.name < b.name ? -1 : 1))) {
    for (const { space, cost } of connector.spaces) {
      const depth = matchDepth(space, domain)
      const total = connector.cost + cost
      if (depth < 0 || (best && (depth < best.depth || (depth === best.depth && total >= best.cost)))) continue
      best = { connector, depth, cost: total }
    }
  }
  if (!best) return { kind: 'unreachable', why: `no connector has an address space for ${domain}` }
  return { kind: 'relay', connector: best.connector, cost: best.cost }
}

/** How particularly a space speaks of a domain: more labels, and an exact name before a wildcard; -1: not at all. */
export function matchDepth(space: string, domain: string): number {
  const [wanted, asked] = [lower(space), lower(domain)]
  if (wanted === '*') return 0
  if (!wanted.startsWith('*.')) return wanted === asked ? wanted.split('.').length * 2 + 1 : -1
  return asked.endsWith(wanted.slice(1)) ? (wanted.split('.').length - 1) * 2 : -1
}
