/** The firewall, running: doors to listen at, the configuration that judges who comes in, and what passed. */
import { Bag } from '../base/bag.ts'
import { bytes } from '../base/bytes.ts'
import type { Duration, Instant } from '../base/time.ts'
import { unmapped } from '../config/ip.ts'
import { type Admission, admit } from '../firewall/admission.ts'
import type { FirewallConfig } from '../firewall/config.ts'
import { type Altered, discreet, type GatewayEvent, type Joined, type Knock } from '../firewall/event.ts'
import { Inspector } from '../firewall/inspector.ts'
import type { Cause, Policy } from '../firewall/policy.ts'
import type { ProxyPolicy } from '../firewall/proxy.ts'
import { Rates } from '../firewall/rates.ts'
import { Throttle } from '../firewall/throttle.ts'
import { type Because, type Explanation, isSame } from '../firewall/verdict.ts'
import { now } from '../io/clock.ts'
import { openFileLimit } from '../io/files.ts'
import { proxy } from '../io/proxy.ts'
import { takeProxyHeader } from '../io/proxy-header.ts'
import {
  Call,
  type Channel,
  type Connected,
  type Endpoint,
  isOutOfFiles,
  linger,
  receive,
  sayEndpoint,
} from '../io/sockets.ts'
import { type Passage, reset, splice, type Watch } from '../io/splice.ts'
import { Tcp } from '../io/tcp.ts'
import { type SecureContext, secureClient, secureServer } from '../io/tls.ts'
import type { Ends } from '../topology/proxy-protocol.ts'
import { type Crossing, holds, type Network } from '../topology/topology.ts'
import { type Door, Doors, type ShutDoor } from './doors.ts'

/** A connection that passes, for `show conn`. */
export interface Connection extends Joined {
  readonly since: Instant
  readonly crossing: Crossing
  /** What inspects it: it stays so as long as the connection lives, whatever is typed meanwhile. */
  readonly inspected: Cause | undefined
  readonly passage: Passage
  /** Kept once it has ended. */
  readonly over: Promise<void>
  /** Has it say goodbye as soon as nothing is owed, where it speaks for itself. */
  readonly stop?: () => void
}

/** Alterations kept for `show explain`. */
export const MAX_ALTERED = 1000
/** What a server can or cannot do is told of each at most once in this time, not with every session. */
export const SERVER_TOLD_AGAIN: Duration = 3_600_000
/** Files kept free of connections: for the log, the console, and what Node itself needs. */
export const RESERVED_FILES = 48
/** A pause for want of files ends after this long, if none became free before. */
export const PAUSE_WAIT: Duration = 1_000

/** Callers of one door whose admission is kept. */
export const MAX_ADMISSIONS = 10_000

/** What a gateway tells whoever runs it. */
export interface GatewayEvents {
  event?(event: GatewayEvent): void
  /** What is shown to a client that begins TLS with a proxy; without it none is offered. */
  identities?(): Identities | undefined
  /** Somebody may want to write down what passes. */
  watch?(connection: Joined, policy: Policy | undefined): Watch | undefined
}

/** Certificates with their keys: for whoever asks for a name, and for all others. */
export interface Identities {
  readonly any: SecureContext
  readonly byName: ReadonlyMap<string, SecureContext>
}

export class Gateway {
  readonly name: string
  readonly #events: GatewayEvents
  #config: FirewallConfig
  /** What the configuration says of callers that have come before, by the door and whence. */
  readonly #admissions = new Map<Door, Map<string, Admission>>()
  readonly #doors: Doors<Door, Connected>
  readonly #connections = new Bag<Connection>()
  readonly #sockets = new Bag<Connected>()
  readonly #throttle = new Throttle()
  readonly #rates = new Rates()
  /** Connections at once by what was asked for: there are as many as doors. */
  readonly #byStatic = new Map<string, number>()
  /** Those that wait for a server. */
  readonly #calls = new Bag<Call>()
  /** Sockets that may be open at once before the process runs out of files. */
  readonly #capacity: number
  #resuming: NodeJS.Timeout | undefined
  #state: 'open' | 'draining' | 'stopped' = 'open'
  #emptied: () => void = () => {}
  /** The last of them, in a ring, and where its oldest stands. */
  readonly #altered: Altered[] = []
  #oldest = 0
  /** What each rule did last: most do the same again and again. */
  readonly #last = new WeakMap<Because, Explanation>()
  /** When what was told of which server. */
  readonly #ofServers = new Map<string, Instant>()
  /** Connections ever let through, and ever refused. */
  passed = 0
  refused = 0
  most = 0

  constructor(name: string, config: FirewallConfig, events: GatewayEvents = {}) {
    this.name = name
    this.#config = config
    this.#events = events
    this.#doors = new Doors((door, socket) => this.#accept(door, socket), receive)
    this.#capacity = Math.max(2, (openFileLimit() ?? Infinity) - RESERVED_FILES)
  }

  get config(): FirewallConfig {
    return this.#config
  }

  /** What was altered last, the oldest first. */
  get altered(): readonly Altered[] {
    return [...this.#altered.slice(this.#oldest), ...this.#altered.slice(0, this.#oldest)]
  }

  get connections(): readonly Connection[] {
    return [...this.#connections].sort((one, other) => one.id - other.id)
  }

  /** Where it listens now. */
  get doors(): readonly Endpoint[] {
    return this.#doors.open
  }

  /** Is it neither stopped nor about to be? */
  get isOpen(): boolean {
    return this.#state === 'open'
  }

  /**
   * Opens a door and tells where it is. A door through which nobody could come stays shut: who knocks is refused by the
   * kernel, and it opens when the configuration lets somebody in.
   */
  open(door: Door): Promise<Endpoint> {
    return this.#doors.add(door, this.#admits(this.#config, door))
  }

  /**
   * From now on this is the configuration, and `doors`, where they are given, are the doors. Every door that can be
   * opened is; the answer names the others. With `orNothing` one that cannot be opened leaves everything as it was.
   *
   * Connections that are open keep the treatment they came in under. Of two changes at once one waits for the other.
   */
  async configure(
    config: FirewallConfig,
    { doors, orNothing = false }: { readonly doors?: readonly Door[]; readonly orNothing?: boolean } = {},
  ): Promise<readonly ShutDoor[]> {
    const failed = await this.#doors.change({
      ...(doors && { doors }),
      admits: door => this.#admits(config, door),
      orNothing,
      commit: () => {
        this.#config = config
        this.#admissions.clear()
        this.#ofServers.clear()
      },
    })
    if (orNothing) return failed
    for (const { door, cause } of failed) {
      this.#tell({ kind: 'shut', door: sayEndpoint(door.listen), why: cause.message })
    }
    return failed
  }

  /** Stops listening; open connections are cut, and whoever waits for a server is sent away. */
  async stop(): Promise<void> {
    this.#state = 'stopped'
    clearTimeout(this.#resuming)
    for (const call of this.#calls) call.off()
    const { empty } = await this.#doors.close()
    for (const { passage } of this.#connections) passage.ending = 'Stopped'
    const ending = [...this.#connections].map(({ over }) => over)
    for (const socket of this.#sockets) socket.destroy()
    // What is told of their ends is told before this is over.
    await Promise.all([empty, ...ending])
  }

  /** Stops listening, and waits until every connection has ended by itself, for `grace` at most; then it stops. */
  async drain(grace: Duration): Promise<void> {
    this.#state = 'draining'
    clearTimeout(this.#resuming)
    await this.#doors.close()
    this.#tell({ kind: 'stopping', open: this.#throttle.open, grace })
    for (const { stop } of this.#connections) stop?.()
    let timer: NodeJS.Timeout | undefined
    const emptied = new Promise<void>(resolve => {
      this.#emptied = resolve
      if (this.#throttle.open === 0) resolve()
      timer = setTimeout(resolve, grace)
    })
    await emptied
    clearTimeout(timer)
    await this.stop()
  }

  #tell(event: GatewayEvent): void {
    this.#events.event?.(event)
  }

  /** Whoever the callers of a door may be: is there one that could come in? */
  #admits(config: FirewallConfig, { port, destination, destinationPort, source }: Door): boolean {
    if (source === undefined) return true
    const caller = { source, destination, port: destinationPort }
    return admit(config, this.name, port, caller).kind !== 'refuse'
  }

  #admission(door: Door, { source }: Knock): Admission {
    const callers = this.#admissions.get(door) ?? new Map<string, Admission>()
    this.#admissions.set(door, callers)
    const known = callers.get(source)
    if (known) return known
    const caller = { source, destination: door.destination, port: door.destinationPort }
    const admission = admit(this.#config, this.name, door.port, caller)
    if (callers.size >= MAX_ADMISSIONS) callers.clear()
    callers.set(source, admission)
    return admission
  }

  #accept(door: Door, client: Connected): void {
    this.#hold(client)
    client.on('error', ignore)
    // Every connection is two sockets: with no file left for the second, the first is of no use.
    if (this.#sockets.size + 1 > this.#capacity) this.#pause()
    const address = unmapped(door.source ?? client.remoteAddress ?? '')
    const knock: Knock = {
      source: address,
      sourcePort: client.remotePort ?? 0,
      destination: door.destination,
      port: door.destinationPort,
      at: door.port,
    }
    const isBalancer =
      door.source === undefined && this.#config.gateway.proxiedFrom.some(each => speaksOf(each, address))
    if (!isBalancer) return this.#knock(door, client, knock)
    // A balancer's connections are under its clients' limits, but what waits for a header is under the general one.
    if (this.#sockets.size > 2 * this.#config.gateway.limits.connections) return this.#refuse(client)
    const stream = client instanceof Tcp ? client.upgrade() : client
    void takeProxyHeader(stream).then(header => {
      if (header.kind === 'wrong') {
        this.#tell({ kind: 'bad-header', knock, why: header.why })
        return this.#refuse(stream)
      }
      if (header.kind === 'local') return this.#knock(door, stream, knock)
      this.#knock(door, stream, { ...knock, source: header.ends.source, sourcePort: header.ends.sourcePort })
    })
  }

  #refuse(client: Connected, policy?: Policy): void {
    this.refused++
    // One that speaks for itself says why; one that works in place has no words of its own.
    if (policy?.engine.kind !== 'proxy') return reset(client)
    client.write(TOO_MANY)
    client.end()
    client.resume()
    linger(client, GOODBYE_WAIT)
  }

  #knock(door: Door, client: Connected, knock: Knock): void {
    if (client.destroyed) return
    const admission = this.#admission(door, knock)
    if (admission.kind === 'refuse') {
      const list = this.#config.accessGroups.find(({ port }) => port === door.port)?.list
      this.#tell({ kind: 'denied', knock, reason: admission.reason, ...(list !== undefined && { list }) })
      return this.#refuse(client)
    }
    const place = `${knock.destination} ${knock.port}`
    const { most } = admission
    const isFull = most > 0 && (this.#byStatic.get(place) ?? 0) >= most
    const limited = isFull
      ? ({ limit: 'connections', most } as const)
      : this.#throttle.enter(knock.source, this.#config.gateway.limits, now())
    if (limited) {
      this.#tell({ kind: 'limited', knock, ...limited })
      return this.#refuse(client, admission.policy)
    }
    this.#byStatic.set(place, (this.#byStatic.get(place) ?? 0) + 1)
    client.on('close', () => {
      this.#throttle.leave(knock.source)
      this.#byStatic.set(place, (this.#byStatic.get(place) ?? 1) - 1)
      if (this.#throttle.open === 0) this.#emptied()
    })
    this.#call(door, client, knock, admission)
  }

  #call(door: Door, client: Channel, knock: Knock, admission: Admitted): void {
    const { to, policy } = admission
    const { source, sourcePort, destination, port } = knock
    const ends: Ends = { source, sourcePort, destination, destinationPort: port }
    // Nobody waits any more for a server when the client is gone, or we are.
    const dial = async (): Promise<Connected> => {
      const call = new Call()
      const callOff = () => call.off()
      const place = this.#calls.add(call)
      client.on('close', callOff)
      try {
        const server = await door.dial(to, ends, call)
        this.#hold(server)
        server.on('error', ignore)
        if (client.destroyed || call.isOff) reset(server)
        return server
      } catch (cause) {
        if (isOutOfFiles(cause)) this.#pause()
        const why = cause instanceof Error ? cause.message : String(cause)
        if (!call.isOff) this.#tell({ kind: 'no-server', knock, why })
        throw cause
      } finally {
        this.#calls.remove(place)
        client.off('close', callOff)
      }
    }
    // A proxy speaks first for itself, and asks for a server when it needs one.
    if (policy && isProxied(policy)) {
      this.#keep(knock, admission, joined => {
        const { name } = this
        const caller = { address: source, port: sourcePort }
        const watch = this.#events.watch?.(joined, policy)
        const identities = this.#events.identities?.()
        const altered = this.#remembers(joined)
        const { passage, over, stop } = proxy(
          client,
          { policy, host: policy.engine.name ?? name, client: caller, rates: this.#rates },
          {
            dial,
            altered,
            ...(identities && {
              secureClient: socket => secureServer(socket, identities.any, name => identities.byName.get(name)),
            }),
            secureServer: socket => secureClient(socket, { name: to.destination }),
            ...(watch && { watch }),
          },
        )
        return { passage, over, stop, watch }
      })
      return
    }
    dial().then(
      server => {
        if (server.destroyed) return
        this.#keep(knock, admission, joined => {
          const watch = this.#events.watch?.(joined, policy)
          const inspector = policy && new Inspector(policy, { peer: source, rates: this.#rates })
          return { ...splice(client, server, inspector, this.#remembers(joined), watch), watch }
        })
      },
      // The server does not answer: the client hears what it would have heard without us.
      () => reset(client),
    )
  }

  #remembers(connection: Joined): (explanation: Explanation) => void {
    return said => {
      if (said.what === 'server' && said.did === 'log' && this.#wasTold(connection, said)) return
      const told = discreet(said)
      const last = this.#last.get(told.because)
      const explanation = last && isSame(last, told) ? last : told
      if (explanation !== last) this.#last.set(told.because, explanation)
      const altered = { at: now(), connection, explanation }
      if (this.#altered.length < MAX_ALTERED) this.#altered.push(altered)
      else {
        this.#altered[this.#oldest] = altered
        this.#oldest = (this.#oldest + 1) % MAX_ALTERED
      }
      this.#tell({ kind: 'altered', connection, explanation })
    }
  }

  #wasTold({ destination, destinationPort }: Joined, { because: { reason } }: Explanation): boolean {
    const what = `${destination} ${destinationPort} ${reason}`
    const told = this.#ofServers.get(what)
    if (told !== undefined && now() - told < SERVER_TOLD_AGAIN) return true
    if (this.#ofServers.size >= MAX_ADMISSIONS) this.#ofServers.clear()
    this.#ofServers.set(what, now())
    return false
  }

  /** A connection that passes, from its beginning to its end. */
  #keep(knock: Knock, { crossing, policy, to }: Admitted, begin: (joined: Joined) => Passing): void {
    const joined: Joined = {
      id: ++this.passed,
      crossing,
      source: knock.source,
      sourcePort: knock.sourcePort,
      destination: to.destination,
      destinationPort: to.port,
      asked: { ip: knock.destination, port: knock.port },
    }
    this.#tell({ kind: 'built', connection: joined })
    const { passage, over, stop, watch } = begin(joined)
    const connection: Connection = {
      ...joined,
      since: now(),
      inspected: policy?.cause,
      passage,
      over,
      ...(stop && { stop }),
    }
    const place = this.#connections.add(connection)
    this.most = Math.max(this.most, this.#connections.size)
    void over.then(() => {
      this.#connections.remove(place)
      watch?.close()
      const octets = passage.fromClient + passage.fromServer
      const duration = now() - connection.since
      this.#tell({ kind: 'torn-down', connection: joined, duration, octets, why: passage.ending })
    })
  }

  /** No files are left: whoever comes now is refused by the kernel, until some become free. */
  #pause(): void {
    if (this.#doors.isPaused || !this.isOpen) return
    this.#tell({ kind: 'paused', sockets: this.#sockets.size })
    this.#doors.pause()
    this.#resumeLater()
  }

  #resumeLater(): void {
    clearTimeout(this.#resuming)
    this.#resuming = setTimeout(() => void this.#resume(), PAUSE_WAIT)
  }

  async #resume(): Promise<void> {
    if (!this.isOpen) return
    const isFree = this.#sockets.size + 2 <= this.#capacity
    if (!isFree || !(await this.#doors.resume(door => this.#admits(this.#config, door)))) return this.#resumeLater()
    this.#tell({ kind: 'resumed', sockets: this.#sockets.size })
  }

  #hold(socket: Connected): void {
    const place = this.#sockets.add(socket)
    socket.on('close', () => this.#sockets.remove(place))
  }
}

interface Passing {
  readonly passage: Passage
  readonly over: Promise<void>
  readonly stop?: () => void
  readonly watch: Watch | undefined
}

function ignore(): void {}

function isProxied(policy: Policy): policy is ProxyPolicy {
  return policy.engine.kind === 'proxy'
}

type Admitted = Exclude<Admission, { readonly kind: 'refuse' }>

/** How long whoever was turned away with a word may take to read it. */
const GOODBYE_WAIT: Duration = 2_000

/** RFC 5321 §3.8, RFC 3463 §3.8. */
const TOO_MANY: Uint8Array = bytes('421 4.7.0 Too many connections, try again later\r\n')

function speaksOf(network: Network, address: string): boolean {
  return network.ip === address || holds(network, address)
}
