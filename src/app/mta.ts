/** The mail transfer agent, running: sessions come in, messages wait in the spool, attempts go out. */
import type { TlsFacts } from '../base/machine.ts'
import type { Duration, Instant } from '../base/time.ts'
import type { Dropped } from '../io/drop-folder.ts'
import type { Channel } from '../io/sockets.ts'
import type { MtaConfig } from '../mta/config.ts'
import { sameHops } from '../mta/hop.ts'
import { dueAt, type SpoolEntry, type SpoolId } from '../spool/entry.ts'
import { AskedFor } from './asked-for.ts'
import { Door } from './door.ts'
import type { Taken } from './dropped.ts'
import { Lanes } from './lanes.ts'
import { LinkState, type Neighbours } from './link-state.ts'
import type { MtaWorld } from './mta-world.ts'
import { Outgoing } from './outgoing.ts'
import { type Busy, QueueWork } from './queue-work.ts'
import { Sessions } from './sessions.ts'
import { Underway } from './underway.ts'

export class Mta {
  readonly config: MtaConfig
  readonly routing: LinkState
  readonly #world: MtaWorld
  readonly #underway = new Underway()
  readonly #outgoing: Outgoing
  readonly #lanes: Lanes
  readonly #work: QueueWork
  readonly #sessions: Sessions
  readonly #door: Door
  readonly #busy: Busy
  /** Who took over from us. */
  #successor: Mta | undefined

  /** `before`: whom this one takes over from; both count their sessions at one door, and neither begins what the other works on. */
  constructor(config: MtaConfig, world: MtaWorld, before?: Mta) {
    this.config = config
    this.#door = before ? before.#door : new Door(config.sessions)
    this.#door.holdTo(config.sessions)
    this.#busy = before ? before.#busy : new Map()
    this.#world = world
    const underway = this.#underway
    this.#outgoing = new Outgoing(config, world, {
      hold: socket => underway.hold(socket),
      serve: (socket, peer, tls) => this.serve(socket, peer, tls),
      reached: (connector, why) => this.routing.reached(connector, why),
      talk: connector => this.routing.talk(connector),
    })
    this.#lanes = new Lanes(config, this.#outgoing, hop => this.#work.back(hop))
    const neighbours: Neighbours = {
      visit: (connector, talk) => {
        const visit = this.#outgoing.visit(connector, talk)
        underway.add(visit.catch(() => {}))
        return visit
      },
      changed: () => this.#work.reroute(),
      back: ({ name }) => this.#lanes.back(name),
      note: what => world.events?.note?.(what),
    }
    this.routing = new LinkState(config, neighbours, world)
    const { routing } = this
    this.#work = new QueueWork(config, world, {
      routing,
      lanes: this.#lanes,
      underway,
      passOn: () => this.#successor?.wake(),
      busy: this.#busy,
    })
    const askedFor = new AskedFor(config, world, {
      routing,
      outgoing: this.#outgoing,
      underway,
      hurry: (id, hurried) => this.#work.hurry(id, hurried),
      conclude: (claim, outcomes) => this.#work.conclude(claim, outcomes),
    })
    this.#sessions = new Sessions(config, world, {
      routing,
      underway,
      askedFor,
      door: this.#door,
      wake: () => this.wake(),
    })
  }

  /** Tells its neighbours what it knows of routing, and asks for mail, where the configuration says so. */
  start(): void {
    this.#outgoing.start()
    this.routing.start()
  }

  /** Everything that waits, or waits to be forgotten. */
  queue(): Promise<readonly SpoolEntry[]> {
    return this.#world.spool.list()
  }

  /** Takes a connection; `peer` is the client's address as it shall be shown, `tls` what TLS it began with. */
  serve(socket: Channel, peer: string, tls?: TlsFacts): void {
    this.#sessions.serve(socket, peer, tls)
  }

  /** Takes a message that was left here while no server ran. */
  take(dropped: Dropped): Promise<Taken> {
    return this.#sessions.take(dropped)
  }

  /** There may be something to do. */
  wake(): void {
    this.#work.wake()
  }

  /** Other ways may be open: what waits is looked through. */
  reroute(): void {
    this.#work.reroute()
  }

  /** An operator took a message out of the queue. */
  forget(id: SpoolId): void {
    this.#work.forget(id)
  }

  /** An operator wants messages tried now: also by next hops that were away a moment ago. */
  askAnyway(): void {
    this.#lanes.askAnyway()
  }

  /** Sessions of clients, those of whom this one took over from included. */
  get sessions(): number {
    return this.#door.count
  }

  /**
   * Another one works on the queue and takes who comes from now on. Who is here stays, under the configuration they came in
   * with, and what is being sent is sent. Kept once all of that is over.
   */
  async retire(successor: Mta): Promise<void> {
    this.#successor = successor
    if (successor.routing.isSpoken) successor.routing.learn([this.routing])
    const fits = sameHops(this.config, successor.config)
    successor.routing.adopt(this.routing, fits)
    successor.#outgoing.adopt(this.#outgoing, fits)
    successor.#lanes.adopt(this.#lanes, fits)
    successor.#work.adopt(this.#work, fits)
    this.#underway.retire()
    this.#work.stop()
    this.#outgoing.stop()
    this.#lanes.stop({ all: true })
    this.routing.stop()
    await this.#underway.done(this.#sessions.over)
  }

  /** Takes nothing new, says goodbye, and waits for what is under way; after `grace` it is cut. */
  async stop(grace: Duration): Promise<void> {
    this.#underway.stop()
    this.#work.stop()
    this.#outgoing.stop()
    this.#lanes.stop({ all: this.#world.spool.lasts })
    this.routing.stop()
    await this.#underway.drain(grace, this.#sessions.stop())
  }

  /** When something is due next, for people who wait for it. */
  async nextTry(): Promise<Instant | undefined> {
    const due = (await this.queue()).map(dueAt).filter(at => at !== undefined)
    return due.length === 0 ? undefined : Math.min(...due)
  }
}
