import type { SourceRef } from '../base/problem.ts'
import type { Duration } from '../base/time.ts'
import type { Mailbox } from '../smtp/address.ts'
import { domainKey } from '../smtp/address.ts'
import { HEALTH_TIMERS } from './health.ts'
import type { Guid } from './link-state.ts'
import { MASTER_TIMERS } from './master.ts'
import type { Content, Method, Reroute } from './route.ts'
import { ALWAYS, type Schedule } from './schedule.ts'

/** What every connector has, wherever it stands. */
export interface AnyConnector {
  readonly name: string
  /** Of a routing group connector the group it leads to; of an SMTP connector the groups that are connected by it. */
  readonly groups: readonly string[]
  /** 1 to 100. */
  readonly cost: number
  readonly spaces: readonly AddressSpace[]
  /** Source bridgeheads: the servers of its group that it leaves from; none means any. */
  readonly sources: readonly string[]
  /** Octets of the largest message. */
  readonly sizeLimit: number | undefined
  readonly schedule: Schedule
  /** Larger messages follow another schedule. */
  readonly oversize: { readonly over: number; readonly schedule: Schedule } | undefined
  /** Kinds of mail that it does not take. */
  readonly refuses: readonly Content[]
  /** Senders, as addresses or `<>`: these only, where any is named. */
  readonly accepts: readonly string[]
  readonly rejects: readonly string[]
  readonly at: SourceRef
}

/** A way out of this routing group: to whom, at what cost, for which addresses. */
export interface Connector extends AnyConnector {
  readonly kind: 'routing-group' | 'smtp'
  /** Target bridgeheads or smart hosts, in the order in which they are tried; none where DNS is asked for them. */
  readonly targets: readonly Target[]
  /** Each domain's own servers, as DNS names them, at this port. */
  readonly dns?: { readonly port: number }
  readonly login?: ConnectorLogin
  readonly tls?: ConnectorTls
  readonly pull?: ConnectorPull
  /** Mail waits here until the other side fetches it, by TURN, ATRN or ETRN. */
  readonly isHeld: boolean
}

/** A connector of another group, as the configuration tells of it. */
export interface RemoteConnector extends AnyConnector {
  readonly from: string
}

export interface Target {
  readonly ip: string
  readonly port: number
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

/** What the configuration tells of a routing group: where the network does not tell it, or before it does. */
export interface RoutingGroup {
  readonly name: string
  readonly guid?: Guid
  readonly members: readonly Member[]
  /** Domains whose mail is delivered in it. */
  readonly domains: readonly GroupDomain[]
  /** Mail on its way may not skip it. */
  readonly isHub: boolean
}

export interface GroupDomain {
  readonly domain: string
  /** The member that has its mailboxes; absent: whichever server a connector to the group leads to. */
  readonly server?: string
}

export interface Member {
  readonly server: string
  readonly isMaster: boolean
  /** Where it takes mail; on TCP 691 without TLS also what it is known by. */
  readonly address?: Target
  readonly at: SourceRef
}

/** One end of the connections on TCP 691 between the members of a group and its master. */
export interface NodeEnd {
  readonly ip: string
  readonly port: number
  /** Who may have signed the certificate of the other end; absent: no TLS, on an interface of one's own. */
  readonly authoritiesFile?: string
  readonly at: SourceRef
}

/** Of RESvc, the routing engine of Exchange 2000. */
export const NODE_PORT = 691

export type TimerName = 'glitch-retry' | 'probe' | 'retell' | 'state-change-delay' | 'publish' | 'attached-timeout'

/** The waits of link state, by their names in the configuration. */
export const TIMERS: Readonly<Record<TimerName, Duration>> = {
  'glitch-retry': HEALTH_TIMERS.glitchRetry,
  probe: HEALTH_TIMERS.probe,
  retell: 60_000,
  'state-change-delay': MASTER_TIMERS.stateChangeDelay,
  publish: MASTER_TIMERS.publish,
  'attached-timeout': MASTER_TIMERS.attachedTimeout,
}

export interface RoutingConfig {
  /** The group this server is a member of. */
  readonly group: string
  readonly organization: { readonly name: string; readonly guid?: Guid }
  readonly groups: readonly RoutingGroup[]
  readonly connectors: readonly Connector[]
  /** Connectors of other groups. */
  readonly elsewhere: readonly RemoteConnector[]
  readonly method: Method
  /** Left out: never by least cost, by link state where that is the method. */
  readonly reroute?: Reroute
  readonly suppressStateChanges: boolean
  readonly timers: Readonly<Partial<Record<TimerName, Duration>>>
  readonly glitchRetries: number
  /** Accounts whose routing state is believed. */
  readonly peers: readonly string[]
  /** Where the master of a group listens for its members. */
  readonly nodeListens: readonly NodeEnd[]
  /** Where a member finds its master. */
  readonly nodeMaster?: NodeEnd
}

export const NO_ROUTING: RoutingConfig = {
  group: 'First Routing Group',
  organization: { name: 'First Organization' },
  groups: [],
  connectors: [],
  elsewhere: [],
  method: 'least-cost',
  suppressStateChanges: false,
  timers: {},
  glitchRetries: HEALTH_TIMERS.glitchRetries,
  peers: [],
  nodeListens: [],
}

/** A connector of which nothing is said but where it leads. */
export const PLAIN: Omit<AnyConnector, 'name' | 'groups' | 'cost' | 'at'> = {
  spaces: [],
  sources: [],
  sizeLimit: undefined,
  schedule: ALWAYS,
  oversize: undefined,
  refuses: [],
  accepts: [],
  rejects: [],
}

export type LocalRoute =
  | { readonly kind: 'relay'; readonly connector: Connector; readonly cost: number }
  | { readonly kind: 'unreachable'; readonly why: string }

/**
 * Which connector of this server's own a recipient's mail takes: the most particular address space first, whatever it
 * costs, then the least cost, then the name, so that the choice is the same every time. `route.ts` looks beyond the
 * first connector.
 */
export function route({ connectors }: Pick<RoutingConfig, 'connectors'>, { domain }: Mailbox): LocalRoute {
  const known = ways.get(connectors) ?? waysOf(connectors)
  ways.set(connectors, known)
  for (const space of spacesOver(domain)) {
    const way = known.get(space)
    if (way) return { kind: 'relay', ...way }
  }
  return { kind: 'unreachable', why: `no connector has an address space for ${domain}` }
}

type Way = Omit<LocalRoute & { readonly kind: 'relay' }, 'kind'>

/** By address space, the best connector that has it. */
const ways = new WeakMap<readonly Connector[], ReadonlyMap<string, Way>>()

function waysOf(connectors: readonly Connector[]): ReadonlyMap<string, Way> {
  const best = new Map<string, Way>()
  for (const connector of connectors.toSorted((a, b) => (a.name < b.name ? -1 : 1))) {
    for (const each of connector.spaces) {
      const [space, cost] = [domainKey(each.space), connector.cost + each.cost]
      const other = best.get(space)
      if (!other || cost < other.cost) best.set(space, { connector, cost })
    }
  }
  return best
}

/** The address spaces that a domain is in, as domains are compared, the most particular first: itself, `*.example`, `*`. */
export function spacesOver(domain: string): readonly string[] {
  const asked = domainKey(domain)
  const spaces = [asked]
  for (let dot = asked.indexOf('.'); dot >= 0; dot = asked.indexOf('.', dot + 1)) spaces.push(`*${asked.slice(dot)}`)
  return [...spaces, '*']
}
