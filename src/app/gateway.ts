/** The firewall, running: doors to listen at, the configuration that judges who comes in, and what passed. */
import type { Instant } from '../base/time.ts'
import type { Caller } from '../firewall/access.ts'
import { type Admission, admit } from '../firewall/admission.ts'
import type { FirewallConfig } from '../firewall/config.ts'
import { Inspector } from '../firewall/inspector.ts'
import type { Cause } from '../firewall/policy.ts'
import type { Altered } from '../firewall/verdict.ts'
import { now } from '../io/clock.ts'
import { close, type Duplex, type Endpoint, endpointOf, listen, type Server, type Socket } from '../io/sockets.ts'
import { type Passage, reset, splice } from '../io/splice.ts'
import type { Crossing } from '../topology/topology.ts'

/** A place where connections come in: by which interface, and what they ask for. */
export interface Door {
  /** The interface they arrive at. */
  readonly port: string
  readonly destination: string
  readonly destinationPort: number
  /** The caller's address, where the door knows better than the socket. */
  readonly source?: string
  readonly listen: Endpoint
  readonly dial: (to: Caller) => Promise<Duplex>
}

/** A connection that passes, for `show conn`. */
export interface Connection {
  readonly since: Instant
  readonly crossing: Crossing
  readonly source: string
  readonly sourcePort: number
  readonly destination: string
  readonly destinationPort: number
  /** What inspects it: it stays so as long as the connection lives, whatever is typed meanwhile. */
  readonly inspected: Cause | undefined
  readonly passage: Passage
}

/** Connections at once; one more is reset. */
export const MAX_CONNECTIONS = 10_000
/** Alterations kept for `show explain`. */
export const MAX_ALTERED = 1000

export interface GatewayEvents {
  altered?(altered: Altered): void
  opened?(connection: Connection): void
  refused?(caller: Caller, reason: string): void
}

export class Gateway {
  readonly name: string
  readonly #events: GatewayEvents
  #config: FirewallConfig
  readonly #doors: { readonly door: Door; at: Endpoint; server: Server | undefined }[] = []
  readonly #connections = new Set<Connection>()
  readonly #sockets = new Set<Duplex>()
  readonly altered: Altered[] = []
  /** Connections ever let through, and ever refused. */
  passed = 0
  refused = 0
  most = 0

  constructor(name: string, config: FirewallConfig, events: GatewayEvents = {}) {
    this.name = name
    this.#config = config
    this.#events = events
  }

  get config(): FirewallConfig {
    return this.#config
  }

  get connections(): readonly Connection[] {
    return [...this.#connections]
  }

  /**
   * Opens a door and tells where it is. A door through which nobody could come stays shut: who knocks is refused by the
   * kernel, and it opens when the configuration lets somebody in.
   */
  async open(door: Door): Promise<Endpoint> {
    const server = await listen(door.listen, socket => this.#accept(door, socket))
    const opened = { door, at: endpointOf(server), server: server as Server | undefined }
    this.#doors.push(opened)
    if (!this.#admits(door)) {
      opened.server = undefined
      await close(server)
    }
    return opened.at
  }

  /** From now on this is the configuration. Connections that are open keep the treatment they came in under. */
  async configure(config: FirewallConfig): Promise<void> {
    this.#config = config
    for (const opened of this.#doors) {
      const admits = this.#admits(opened.door)
      if (admits && !opened.server) {
        opened.server = await listen(opened.at, socket => this.#accept(opened.door, socket))
      } else if (!admits && opened.server) {
        const { server } = opened
        opened.server = undefined
        server.close()
      }
    }
  }

  /** Stops listening; open connections are cut. */
  async stop(): Promise<void> {
    const servers = this.#doors.flatMap(({ server }) => (server ? [server] : []))
    const closed = Promise.all(servers.map(close))
    for (const socket of this.#sockets) socket.destroy()
    await closed
  }

  /** Stops listening, and waits until every connection has ended by itself. */
  async drain(): Promise<void> {
    const servers = this.#doors.flatMap(({ server }) => (server ? [server] : []))
    await Promise.all(servers.map(close))
  }

  /** Whoever the callers of a door may be: is there one that could come in? */
  #admits({ port, destination, destinationPort, source }: Door): boolean {
    if (source === undefined) return true
    const caller = { source, destination, port: destinationPort }
    return admit(this.#config, this.name, port, caller).kind !== 'refuse'
  }

  #accept(door: Door, client: Socket): void {
    const source = door.source ?? client.remoteAddress ?? ''
    const caller: Caller = { source, destination: door.destination, port: door.destinationPort }
    const full = this.#sockets.size >= 2 * MAX_CONNECTIONS
    const admission: Admission = full
      ? { kind: 'refuse', reason: `there are ${MAX_CONNECTIONS} connections already` }
      : admit(this.#config, this.name, door.port, caller)
    this.#hold(client)
    client.on('error', () => {})
    if (admission.kind === 'refuse') {
      this.refused++
      this.#events.refused?.(caller, admission.reason)
      reset(client)
      return
    }
    const { crossing, policy, to } = admission
    door.dial(to).then(
      server => {
        this.#hold(server)
        if (client.destroyed) return reset(server)
        const inspector = policy && new Inspector(policy)
        const { passage, over } = splice(client, server, inspector, explanation => {
          const altered = { crossing, explanation }
          if (this.altered.push(altered) > MAX_ALTERED) this.altered.shift()
          this.#events.altered?.(altered)
        })
        const connection: Connection = {
          since: now(),
          crossing,
          source,
          sourcePort: client.remotePort ?? 0,
          destination: to.destination,
          destinationPort: to.port,
          inspected: policy?.cause,
          passage,
        }
        this.passed++
        this.#connections.add(connection)
        this.most = Math.max(this.most, this.#connections.size)
        this.#events.opened?.(connection)
        void over.then(() => this.#connections.delete(connection))
      },
      // The server does not answer: the client hears what it would have heard without us.
      () => reset(client),
    )
  }

  #hold(socket: Duplex): void {
    this.#sockets.add(socket)
    socket.on('close', () => this.#sockets.delete(socket))
  }
}
