/** The mail transfer agent, running: sessions come in, messages wait in the spool, attempts go out. */
import type { TlsFacts } from '../base/machine.ts'
import type { Duration, Instant } from '../base/time.ts'
import type { Duplex } from '../io/sockets.ts'
import type { MtaConfig } from '../mta/config.ts'
import { dueAt, type SpoolEntry } from '../spool/entry.ts'
import { AskedFor } from './asked-for.ts'
import { Lanes } from './lanes.ts'
import { LinkState, type Neighbours } from './link-state.ts'
import type { MtaWorld } from './mta-world.ts'
import { Outgoing } from './outgoing.ts'
import { QueueWork } from './queue-work.ts'
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

  constructor(config: MtaConfig, world: MtaWorld) {
    this.config = config
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
    this.#work = new QueueWork(config, world, { routing, lanes: this.#lanes, underway })
    const askedFor = new AskedFor(config, world, {
      routing,
      outgoing: this.#outgoing,
      underway,
      begin: (claim, hurried) => this.#work.begin(claim, hurried),
      conclude: (claim, outcomes) => this.#work.conclude(claim, outcomes),
    })
    this.#sessions = new Sessions(config, world, { routing, underway, askedFor, wake: () => this.wake() })
  }

  /** Tells its neighbours what it knows of routing, and asks for mail, where the configuration says so. */
  start(): void {
    this.#outgoing.startPulling()
    this.routing.start()
  }

  /** Everything that waits, or waits to be forgotten. */
  queue(): Promise<readonly SpoolEntry[]> {
    return this.#world.spool.list()
  }

  /** Takes a connection; `peer` is the client's address as it shall be shown, `tls` what TLS it began with. */
  serve(socket: Duplex, peer: string, tls?: TlsFacts): void {
    this.#sessions.serve(socket, peer, tls)
  }

  /** There may be something to do. */
  wake(): void {
    this.#work.wake()
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
