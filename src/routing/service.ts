import type { Duration, Instant } from '../base/time.ts'
import { sameDomain } from '../smtp/address.ts'
import { type Connector, type RoutingConfig, TIMERS } from './connector.ts'
import { RoutingEngine } from './engine.ts'
import { Exchange, type ExchangeOptions, type ExchangeOutput, type Finding } from './exchange.ts'
import { directly, toMember } from './handing.ts'
import { LinkHealth } from './health.ts'
import type { Guid, Hash, LinkStateTable } from './link-state.ts'
import { Master, type Published } from './master.ts'
import { type KnownMember, type Organization, usedBy } from './organization.ts'
import type { Explanation, Leg, Letter, Route } from './route.ts'
import { Routes } from './routes.ts'

/**
 * Routing as one server does it: the table, the routes over it, the health of its own connectors, and, on the master, what
 * is published. It is told the time and what happened, and says what to do; sockets are its driver's.
 */
export type ServiceOutput =
  /** Connect to the far end of this connector and say what came of it: `connected` or `failed`. */
  | { readonly kind: 'probe'; readonly connector: Guid }
  /** The far end of this connector has not been told all: open a session, let `exchange` speak, and say `told`. */
  | { readonly kind: 'tell'; readonly connector: Guid }
  /** For a master elsewhere, over TCP 691. */
  | { readonly kind: 'report'; readonly connector: Guid; readonly available: boolean }
  /** The table changed: mail that waits may have a way now, and members of the group have news. */
  | { readonly kind: 'changed' }
  | { readonly kind: 'published'; readonly published: Published }
  | { readonly kind: 'finding'; readonly finding: Finding }

interface Neighbour {
  readonly health: LinkHealth
  /** Does the connector carry routing state: does it lead to a group? */
  readonly isTold: boolean
  /** Changes of the engine when it was told last; -1 for never. */
  changes: number
  isBusy: boolean
  retry: Instant | undefined
}

export class RoutingService {
  readonly #engine: RoutingEngine
  readonly #routes: Routes
  readonly #master: Master
  readonly #connectors: ReadonlyMap<Guid, Connector>
  readonly #hostname: string
  readonly #servers: Organization['servers']
  readonly #method: RoutingConfig['method']
  readonly #neighbours = new Map<Guid, Neighbour>()
  /** A neighbour that could not be told is tried again so much later; its own session may be sooner. */
  readonly #retell: Duration

  constructor(organization: Organization, config: RoutingConfig, md5: Hash) {
    const { org, server, group, table, routes, connectors, servers, hostname } = organization
    this.#servers = servers
    this.#hostname = hostname
    this.#method = config.method
    this.#engine = new RoutingEngine({ org, server, group, md5, table })
    this.#routes = new Routes(table, routes)
    this.#connectors = connectors
    const { timers, glitchRetries, suppressStateChanges: suppress } = config
    this.#retell = timers.retell ?? TIMERS.retell
    this.#master = new Master(this.#engine, {
      suppress,
      timers: {
        ...(timers['state-change-delay'] !== undefined && { stateChangeDelay: timers['state-change-delay'] }),
        ...(timers.publish !== undefined && { publish: timers.publish }),
        ...(timers['attached-timeout'] !== undefined && { attachedTimeout: timers['attached-timeout'] }),
      },
    })
    const health = {
      glitchRetries,
      ...(timers['glitch-retry'] !== undefined && { glitchRetry: timers['glitch-retry'] }),
      ...(timers.probe !== undefined && { probe: timers.probe }),
    }
    for (const [guid, { groups, sources }] of connectors) {
      // What leaves from other members only is theirs to look after.
      if (!usedBy(sources, hostname)) continue
      const isTold = groups.length > 0
      this.#neighbours.set(guid, {
        health: new LinkHealth(health),
        isTold,
        changes: -1,
        isBusy: false,
        retry: undefined,
      })
      // Of ours we know from the beginning that we use it.
      if (this.#engine.isMaster) this.#master.report(server, guid, true, 0)
    }
  }

  get engine(): RoutingEngine {
    return this.#engine
  }

  /** The connector of the configuration behind one of the table; nothing where it is another group's. */
  connector(guid: Guid): Connector | undefined {
    return this.#connectors.get(guid)
  }

  route(letter: Letter, now: Instant): Route {
    return this.#routes.route(letter, now)
  }

  explain(letter: Letter, now: Instant): Explanation {
    return this.#routes.explain(letter, now)
  }

  /** The master says the same again, as a new version: whoever does not hear of it is not in step. */
  republish(now: Instant): readonly ServiceOutput[] {
    return this.#engine.change('user', state => state) ? this.#changed(now) : []
  }

  /** Takes a table that is not told by a neighbour, but known otherwise. */
  learn(table: LinkStateTable, now: Instant): void {
    if (this.#engine.absorb(table, 'other-group').changed.length > 0) this.#changed(now)
  }

  /** Goes on with how another saw connectors that are the same. */
  adopt(before: RoutingService, fits: (connector: string) => boolean, now: Instant): readonly ServiceOutput[] {
    const known = new Map([...before.#connectors].map(([guid, { name }]) => [name, before.#neighbours.get(guid)]))
    const said: ServiceOutput[] = []
    for (const [connector, { health }] of this.#neighbours) {
      const name = this.#connectors.get(connector)?.name ?? ''
      const other = fits(name) ? known.get(name) : undefined
      if (!other) continue
      health.adopt(other.health)
      if (health.state === 'down' && this.#engine.isMaster)
        said.push(...this.#published(this.#master.report(this.#engine.server, connector, false, now), now))
    }
    this.#failDown()
    return said
  }

  /** Mail takes no way that is known to be down here, whatever the table says. */
  #failDown(): void {
    const down = [...this.#neighbours].filter(([, { health }]) => health.state === 'down')
    this.#routes.fail(new Set(down.map(([guid]) => guid)))
  }

  /** A conversation with a neighbour. Give what it says to `heard`; sending its frames is the driver's. */
  exchange(options: ExchangeOptions): Exchange {
    return new Exchange(this.#engine, options)
  }

  /** What a conversation put out, `say` apart. */
  heard(outputs: readonly ExchangeOutput[], now: Instant): readonly ServiceOutput[] {
    const said: ServiceOutput[] = []
    for (const output of outputs) {
      if (output.kind === 'finding') said.push(output)
      if (output.kind === 'changed') said.push(...this.#changed(now))
      if (output.kind === 'report') {
        const { server, connector, available } = output
        said.push(...this.#published(this.#master.report(server, connector, available, now), now))
      }
    }
    return said
  }

  /** The conversation that `tell` asked for is over, or could not be had. */
  told(connector: Guid, inStep: boolean, now: Instant): readonly ServiceOutput[] {
    const neighbour = this.#neighbours.get(connector)
    if (!neighbour) return []
    neighbour.isBusy = false
    // What changed meanwhile was not told; what was begun with was.
    if (!inStep) neighbour.changes = -1
    neighbour.retry = inStep ? undefined : now + this.#retell
    return this.#tell(now)
  }

  /** The far end of a connector answered, for mail or for anything. */
  connected(connector: Guid, now: Instant): readonly ServiceOutput[] {
    const neighbour = this.#neighbours.get(connector)
    if (!neighbour) return []
    const said = this.#healthSaid(connector, neighbour.health.connected(now), now)
    neighbour.retry = undefined
    return [...said, ...this.#tell(now)]
  }

  /** No connection to it could be made. A message that is refused is no such thing. */
  failed(connector: Guid, why: string, now: Instant): readonly ServiceOutput[] {
    const neighbour = this.#neighbours.get(connector)
    return neighbour ? this.#healthSaid(connector, neighbour.health.failed(why, now), now) : []
  }

  /** How long to wait before trying again to tell somebody who could not be told. */
  get retell(): Duration {
    return this.#retell
  }

  /** What this server sees of its own connectors: for a master that has just come, or come back. */
  get reports(): readonly { readonly connector: Guid; readonly available: boolean }[] {
    return [...this.#neighbours].map(([connector, { health }]) => ({ connector, available: health.state !== 'down' }))
  }

  /** What servers are called, as far as the configuration says. */
  get servers(): ReadonlyMap<Guid, string> {
    const all = [...this.#servers.values()].flat().map(({ guid, server }) => [guid, server] as const)
    return new Map([...all, [this.#engine.server, this.#hostname]])
  }

  /** The other servers of our group, as the configuration names them. */
  get members(): readonly KnownMember[] {
    const { group, server } = this.#engine
    return (this.#servers.get(group) ?? []).filter(({ guid }) => guid !== server)
  }

  /**
   * To whom mail that leaves by one of our connectors is handed, in this order, if the one before cannot be reached: to
   * servers further along the way, as far as the configuration knows their addresses, and at last to the connector's own.
   */
  tries(connector: Connector, legs: readonly Leg[]): readonly Connector[] {
    const order = this.#method === 'least-cost' ? this.#routes.tries(legs) : []
    const beyond = order.filter(({ group }) => group !== legs[0]?.group)
    return [...beyond.flatMap(({ group }) => directly(connector, this.#servers.get(group) ?? [])), connector]
  }

  /** How mail gets to a member of our own group: to one of these, or to its master. Nothing where no address is known. */
  member(names: readonly string[]): Connector | undefined {
    const { members } = this
    const isMeant = ({ server, guid }: KnownMember) =>
      names.length > 0 ? names.some(each => sameDomain(each, server)) : guid === this.#engine.own?.master
    return members.filter(isMeant).flatMap(member => toMember(member) ?? [])[0]
  }

  /** A member's connection to us, its master, stands or was lost. */
  attached(server: Guid, isAttached: boolean, now: Instant): readonly ServiceOutput[] {
    return this.#published(this.#master.attached(server, isAttached, now), now)
  }

  get deadline(): Instant | undefined {
    const all = [...this.#neighbours.values()].flatMap(({ health, retry }) => [health.deadline, retry])
    const due = [this.#master.deadline, ...all].filter(each => each !== undefined)
    return due.length === 0 ? undefined : Math.min(...due)
  }

  tick(now: Instant): readonly ServiceOutput[] {
    const said: ServiceOutput[] = [...this.#published(this.#master.tick(now), now)]
    for (const [connector, { health }] of this.#neighbours)
      said.push(...this.#healthSaid(connector, health.tick(now), now))
    return [...said, ...this.#tell(now)]
  }

  /** Whoever has not been told everything, and can be reached. */
  #tell(now: Instant): readonly ServiceOutput[] {
    const said: ServiceOutput[] = []
    for (const [connector, neighbour] of this.#neighbours) {
      const { isTold, isBusy, changes, retry, health } = neighbour
      if (!isTold || isBusy || changes === this.#engine.changes || health.state === 'down') continue
      if (retry !== undefined && now < retry) continue
      neighbour.isBusy = true
      neighbour.retry = undefined
      neighbour.changes = this.#engine.changes
      said.push({ kind: 'tell', connector })
    }
    return said
  }

  #changed(now: Instant): readonly ServiceOutput[] {
    this.#routes.update(this.#engine.table)
    return [{ kind: 'changed' }, ...this.#tell(now)]
  }

  #published(published: readonly Published[], now: Instant): readonly ServiceOutput[] {
    if (published.length === 0) return []
    return [...published.map(each => ({ kind: 'published', published: each }) as const), ...this.#changed(now)]
  }

  #healthSaid(connector: Guid, outputs: ReturnType<LinkHealth['tick']>, now: Instant): readonly ServiceOutput[] {
    return outputs.flatMap((output): readonly ServiceOutput[] => {
      if (output.kind === 'probe') return [{ kind: 'probe', connector }]
      this.#failDown()
      const { available } = output
      // Mail may take another way here before anybody else knows.
      const here: readonly ServiceOutput[] = [{ kind: 'changed' }]
      if (!this.#engine.isMaster) return [...here, { kind: 'report', connector, available }]
      return [...here, ...this.#published(this.#master.report(this.#engine.server, connector, available, now), now)]
    })
  }
}
