import type { Duration, Instant } from '../base/time.ts'
import { believedAt, charged, DAMPING, type Damped, type DampingTimers, NOT_DAMPED, settled } from './damping.ts'
import type { RoutingEngine } from './engine.ts'
import {
  type Bridgehead,
  type ConnectorState,
  type GroupState,
  type Guid,
  type LinkStateTable,
  parseGuid,
} from './link-state.ts'

/**
 * The routing group master: it alone publishes the state of its group, from what its members report. It is appointed, and
 * nobody takes its place: without it the members go on with what they know.
 */
export interface MasterTimers {
  /** `StateChangeDelay`: a change must last this long to be told; down and up again within it is nothing. */
  readonly stateChangeDelay: Duration
  /** No two changes of state are published within this time: the first at once, what follows together. */
  readonly publish: Duration
  /** `AttachedTimeout`: a member unseen for so long is published as detached. */
  readonly attachedTimeout: Duration
  readonly damping: DampingTimers
}

export const MASTER_TIMERS: MasterTimers = {
  stateChangeDelay: 0,
  publish: 600_000,
  attachedTimeout: 300_000,
  damping: DAMPING,
}

export interface MasterOptions {
  readonly timers?: Partial<MasterTimers>
  /** `SuppressStateChanges`: nothing is ever published as down, so routes are by cost alone. */
  readonly suppress?: boolean
}

/** What was published, for the log. */
export interface Published {
  readonly part: 'major' | 'minor' | 'user'
  readonly what: readonly string[]
}

export class Master {
  readonly #engine: RoutingEngine
  readonly #timers: MasterTimers
  readonly #suppress: boolean
  /** Connector → bridgehead → what it reported last. */
  readonly #reports = new Map<Guid, Map<Guid, boolean>>()
  /** Connector → since when it is not as published. */
  readonly #since = new Map<Guid, Instant>()
  readonly #damped = new Map<Guid, Damped>()
  /** Member → when it was seen last, of those who went away. */
  readonly #away = new Map<Guid, Instant>()
  #published: Instant = Number.NEGATIVE_INFINITY

  constructor(engine: RoutingEngine, { timers = {}, suppress = false }: MasterOptions = {}) {
    this.#engine = engine
    this.#timers = { ...MASTER_TIMERS, ...timers }
    this.#suppress = suppress
  }

  /** A bridgehead says whether it can reach the other end of a connector. */
  report(server: Guid, connector: Guid, available: boolean, now: Instant): readonly Published[] {
    const known = this.#engine.own?.connectors.find(each => each.connector === connector)
    // A connector that is not ours is nobody's report to make, and would fill the memory.
    if (!known || !this.#mayReport(known, server)) return []
    const reports = this.#reports.get(connector) ?? new Map<Guid, boolean>()
    const before = this.#seen(known)
    this.#reports.set(connector, reports.set(server, available))
    if (before === 'down' && this.#seen(known) === 'up') {
      this.#damped.set(connector, charged(this.#dampedOf(connector), now, this.#timers.damping))
    }
    return this.tick(now)
  }

  /** The configuration changed: connectors, costs, restrictions, members. */
  configure(next: (state: GroupState) => GroupState, now: Instant): readonly Published[] {
    const changed = this.#engine.change('major', next)
    const known = new Set(this.#engine.own?.connectors.map(({ connector }) => connector))
    for (const map of [this.#reports, this.#since, this.#damped]) {
      for (const connector of map.keys()) if (!known.has(connector)) map.delete(connector)
    }
    return [...(changed ? [{ part: 'major', what: ['the configuration changed'] } as const] : []), ...this.tick(now)]
  }

  /** A member's connection to us stands, or was lost. */
  attached(server: Guid, isAttached: boolean, now: Instant): readonly Published[] {
    if (!this.#engine.own?.members.some(each => each.server === server)) return []
    if (!isAttached) this.#away.set(server, now)
    else {
      this.#away.delete(server)
      return this.#publishMember(server, true)
    }
    return []
  }

  get deadline(): Instant | undefined {
    const due = [...this.#since].map(([connector, since]) => this.#dueAt(connector, since))
    for (const away of this.#away.values()) due.push(away + this.#timers.attachedTimeout)
    return due.length === 0 ? undefined : Math.min(...due)
  }

  tick(now: Instant): readonly Published[] {
    const told: Published[] = []
    for (const [server, since] of [...this.#away]) {
      if (now < since + this.#timers.attachedTimeout) continue
      this.#away.delete(server)
      told.push(...this.#publishMember(server, false))
    }
    return [...told, ...this.#publishStates(now)]
  }

  #publishMember(server: Guid, attached: boolean): readonly Published[] {
    const member = this.#engine.own?.members.find(each => each.server === server)
    if (!member || member.attached === attached) return []
    this.#engine.change('user', state => ({
      ...state,
      members: state.members.map(each => (each.server === server ? { ...each, attached } : each)),
    }))
    return [{ part: 'user', what: [`${server} is ${attached ? 'attached' : 'detached'}`] }]
  }

  #publishStates(now: Instant): readonly Published[] {
    const own = this.#engine.own
    if (!own) return []
    const ripe: ConnectorState[] = []
    for (const each of own.connectors) {
      const { connector } = each
      this.#settle(connector, now)
      if (this.#wanted(each) === each.state) this.#since.delete(connector)
      else {
        const since = this.#since.get(connector) ?? now
        this.#since.set(connector, since)
        if (now >= this.#dueAt(connector, since)) ripe.push(each)
      }
    }
    if (ripe.length === 0) return []
    const next = (each: ConnectorState): ConnectorState => {
      const state = ripe.includes(each) ? this.#wanted(each) : each.state
      return { ...each, state, bridgeheads: this.#bridgeheadsOf(each) }
    }
    if (!this.#engine.change('minor', state => ({ ...state, connectors: state.connectors.map(next) }))) return []
    this.#published = now
    for (const { connector } of ripe) this.#since.delete(connector)
    return [{ part: 'minor', what: ripe.map(each => `${nameOf(each)} is ${this.#wanted(each)}`) }]
  }

  #dueAt(connector: Guid, since: Instant): Instant {
    const { stateChangeDelay, publish, damping } = this.#timers
    const believed = believedAt(this.#dampedOf(connector), damping) ?? 0
    const isReturn = this.#engine.own?.connectors.find(each => each.connector === connector)?.state === 'down'
    return Math.max(since + stateChangeDelay, this.#published + publish, isReturn ? believed : 0)
  }

  /** How it should be published, were it not for the waits. */
  #wanted(connector: ConnectorState): 'up' | 'down' {
    return this.#isQuiet() ? 'up' : this.#seen(connector)
  }

  /** Where there is no other way there is no use in telling. */
  #isQuiet(): boolean {
    return this.#suppress || isLeaf(this.#engine.table, this.#engine.group)
  }

  /** Down only when every one of its source bridgeheads says so, or is not there to say anything. */
  #seen(connector: ConnectorState): 'up' | 'down' {
    const { bridgeheads, state } = connector
    const reports = this.#reports.get(connector.connector) ?? NO_REPORTS
    // Where none is named, any server of the group may use it: those that do have said what they see.
    const sources = bridgeheads.length > 0 ? bridgeheads.map(({ server }) => server) : [...reports.keys()]
    const gone = new Set(this.#engine.own?.members.flatMap(each => (each.attached ? [] : [each.server])))
    const heard = sources.filter(server => reports.has(server) || gone.has(server))
    // Before the first report stands what was published, by us in an earlier life or by the configuration.
    if (heard.length === 0) return state
    return sources.every(server => reports.get(server) === false || gone.has(server)) ? 'down' : 'up'
  }

  #mayReport({ bridgeheads }: ConnectorState, server: Guid): boolean {
    if (bridgeheads.length > 0) return bridgeheads.some(each => each.server === server)
    return this.#engine.own?.members.some(each => each.server === server) ?? false
  }

  #bridgeheadsOf({ connector, bridgeheads }: ConnectorState): readonly Bridgehead[] {
    const reports = this.#reports.get(connector)
    const gone = this.#engine.own?.members.filter(each => !each.attached).map(({ server }) => server) ?? []
    return bridgeheads.map(each => ({
      ...each,
      available: !gone.includes(each.server) && (reports?.get(each.server) ?? each.available),
    }))
  }

  #settle(connector: Guid, now: Instant): void {
    const damped = this.#damped.get(connector)
    if (damped) this.#damped.set(connector, settled(damped, now, this.#timers.damping))
  }

  #dampedOf(connector: Guid): Damped {
    return this.#damped.get(connector) ?? NOT_DAMPED
  }
}

const NO_REPORTS: ReadonlyMap<Guid, boolean> = new Map()

/**
 * Whether a group hangs on one other group alone: at most one way in, at most one out, and at their other ends the same
 * group. Its state helps nobody, for nobody could go another way.
 */
export function isLeaf(table: LinkStateTable, group: Guid): boolean {
  const neighbours = new Set<Guid>()
  let [out, back] = [0, 0]
  for (const state of table) {
    for (const connector of state.connectors) {
      for (const to of groupsOf(connector)) {
        if (state.group === group && to !== group) {
          out++
          neighbours.add(to)
        } else if (to === group && state.group !== group) {
          back++
          neighbours.add(state.group)
        }
      }
    }
  }
  // A way to the outside is another way.
  const own = table.find(state => state.group === group)
  const hasExit = own?.connectors.some(each => groupsOf(each).length === 0) ?? false
  return !hasExit && out <= 1 && back <= 1 && neighbours.size === 1
}

/** The routing groups that a connector leads to. */
export function groupsOf({ arrows }: ConnectorState): readonly Guid[] {
  return arrows.flatMap(({ type, value }) => (type === 'RG' ? (parseGuid(value) ?? []) : []))
}

/** The last `cn=` of where it stands in the directory. */
export function nameOf({ dn, connector }: ConnectorState): string {
  const at = dn.lastIndexOf('/cn=')
  return at < 0 ? connector : dn.slice(at + '/cn='.length)
}
