import type { Side } from '../firewall/inspector.ts'
import { type Closing, type ProxyOptions, type ProxyOutput, SmtpProxy } from '../firewall/proxy.ts'
import type { Explanation } from '../firewall/verdict.ts'
import { Alarm } from './alarm.ts'
import { now } from './clock.ts'
import { SLICE } from './drive.ts'
import { type Channel, type Duplex, linger, streamOf, writeAll } from './sockets.ts'
import { type Passage, reset, type Watch } from './splice.ts'
import type { Secured } from './tls.ts'

export interface ProxyEnds {
  /** A connection to the server behind, to whichever of them is well. Asked again when one was given up. */
  dial(): Promise<Channel>
  /** TLS as its server, on the client's side (`io/tls.ts`); without it none is offered there. */
  readonly secureClient?: (socket: Duplex) => Promise<Secured>
  /** TLS as its client, towards the server; without it none is begun there. */
  readonly secureServer?: (socket: Duplex) => Promise<Secured>
  readonly altered?: (explanation: Explanation) => void
  /** Whoever writes down what the client says and hears. */
  readonly watch?: Watch
}

export interface Proxied {
  readonly passage: Passage
  /** Kept once both connections are over. */
  readonly over: Promise<void>
  /** Says goodbye as soon as nothing is owed. */
  stop(): void
}

/**
 * Joins a client's socket, the proxy machine and a server's socket: the third of the files that put a machine on a socket.
 * Outputs are carried out strictly in order; whoever does not read stops the other from being read; TLS is put on either
 * leg where the machine says so, with nothing read in clear left behind.
 */
export function proxy(client: Channel, options: Omit<ProxyOptions, 'canSecure'>, ends: ProxyEnds): Proxied {
  const joined = new Joined(client, options, ends)
  return { passage: joined.passage, over: joined.over, stop: () => joined.stop() }
}

/** One of the two sides. */
interface End {
  readonly side: Side
  socket: Channel | undefined
  /** What was there before TLS. */
  plain: Channel | undefined
  isBlocked: boolean
  /** What is to leave in one piece. */
  unsent: Uint8Array[] | undefined
}

function end(side: Side): End {
  return { side, socket: undefined, plain: undefined, isBlocked: false, unsent: undefined }
}

class Joined {
  readonly #machine: SmtpProxy
  readonly #ends: ProxyEnds
  readonly #client = end('client')
  readonly #server = end('server')
  readonly passage: Passage = { fromClient: 0, fromServer: 0, altered: 0, ending: 'TCP FINs' }
  readonly over: Promise<void>
  #settle: () => void = () => {}
  readonly #alarm = new Alarm(() => this.#do(() => this.#machine.tick(now())))
  #open = 0
  /** Which dialling counts: one that was given up meanwhile must not come back. */
  #dialled = 0
  #dialling = 0

  constructor(client: Channel, options: Omit<ProxyOptions, 'canSecure'>, ends: ProxyEnds) {
    this.#ends = ends
    this.#machine = new SmtpProxy({ ...options, canSecure: ends.secureClient !== undefined })
    this.over = new Promise(resolve => {
      this.#settle = resolve
    })
    this.#attach(this.#client, client)
    if (client.destroyed) this.#do(() => this.#machine.end('client', now()))
    else this.#do(() => this.#machine.open(now()))
  }

  stop(): void {
    this.#do(() => this.#machine.stop(now()))
  }

  #at(side: Side): End {
    return side === 'client' ? this.#client : this.#server
  }

  #attach(at: End, socket: Channel): void {
    at.socket = socket
    at.plain = socket
    this.#open++
    this.#listen(at, socket)
    socket.on('close', () => {
      this.#ended(at, socket)
      this.#gone(at, socket)
    })
  }

  /** It is none of ours any more once another stands there, or none. */
  #ended(at: End, socket: Channel): void {
    if (at.socket === socket) this.#do(() => this.#machine.end(at.side, now()))
  }

  #listen(at: End, socket: Channel): void {
    const ended = () => this.#ended(at, socket)
    socket.on('data', (chunk: Uint8Array) => at.socket === socket && this.#heard(at, chunk))
    socket.on('drain', () => {
      if (at.socket !== socket || !at.isBlocked) return
      at.isBlocked = false
      this.#do(() => this.#machine.flowing(at.side, now()))
    })
    socket.on('end', ended)
    socket.on('error', ended)
    socket.resume()
  }

  #heard({ side }: End, chunk: Uint8Array): void {
    if (side === 'server') {
      this.passage.fromServer += chunk.length
      return this.#take(side, chunk)
    }
    this.#ends.watch?.passed('C', chunk, chunk)
    this.passage.fromClient += chunk.length
    // In slices: many commands in one chunk may have replies that are many times as long.
    for (let at = 0; at < chunk.length; ) {
      const end = this.#machine.inMessage ? chunk.length : Math.min(chunk.length, at + SLICE)
      const slice = at === 0 && end === chunk.length ? chunk : chunk.subarray(at, end)
      at = end
      this.#take(side, slice)
    }
  }

  #take(side: Side, octets: Uint8Array): void {
    try {
      this.#done(this.#machine.receive(side, octets, now()))
    } catch {
      this.#failed()
    }
  }

  #do(work: () => readonly ProxyOutput[]): void {
    try {
      this.#done(work())
    } catch {
      this.#failed()
    }
  }

  #done(outputs: readonly ProxyOutput[]): void {
    this.#carryOut(outputs)
    this.#readOrNot()
    this.#arm()
  }

  /** We are wrong, or an adapter is: this connection ends, and no other. */
  #failed(): void {
    this.#giveUp(this.#client)
    this.#giveUp(this.#server)
    this.#alarm.off()
  }

  /** What is written to one side in one go leaves in one piece. */
  #carryOut(outputs: readonly ProxyOutput[]): void {
    for (const output of outputs) {
      switch (output.kind) {
        case 'write': {
          const at = this.#at(output.to)
          if (at.unsent) at.unsent.push(output.bytes)
          else at.unsent = [output.bytes]
          break
        }
        case 'altered':
          this.passage.altered++
          this.#ends.altered?.(output.explanation)
          break
        case 'dial':
          this.#dial()
          break
        case 'close':
          this.#flush(this.#at(output.at))
          this.#close(this.#at(output.at), output.how)
          break
        default:
          this.#flush(this.#at(output.at))
          this.#startTls(this.#at(output.at))
      }
    }
    this.#flush(this.#client)
    this.#flush(this.#server)
  }

  #flush(at: End): void {
    const { socket, unsent } = at
    if (!unsent) return
    at.unsent = undefined
    if (!socket || socket.destroyed) return
    if (at.side === 'client' && this.#ends.watch) {
      const octets = Buffer.concat(unsent)
      this.#ends.watch.passed('S', octets, octets)
    }
    if (writeAll(socket, unsent) || at.isBlocked) return
    at.isBlocked = true
    this.#carryOut(this.#machine.blocked(at.side, now()))
  }

  /** The server's replies go on while the server does not read, or both would wait for each other. */
  #readOrNot(): void {
    const { isBlocked, socket } = this.#client
    pause(socket, isBlocked || this.#server.isBlocked || !this.#machine.reads('client'))
    pause(this.#server.socket, isBlocked || !this.#machine.reads('server'))
  }

  #dial(): void {
    const dialling = ++this.#dialled
    this.#dialling++
    this.#ends.dial().then(
      socket => {
        this.#dialling--
        if (dialling !== this.#dialled || this.#client.socket === undefined) {
          reset(socket)
          return this.#settleIfOver()
        }
        this.#attach(this.#server, socket)
        this.#do(() => this.#machine.connected(now()))
      },
      (cause: unknown) => {
        this.#dialling--
        if (dialling !== this.#dialled) return this.#settleIfOver()
        this.#do(() => this.#machine.unreachable(cause instanceof Error ? cause.message : String(cause), now()))
      },
    )
  }

  #close(at: End, how: Closing): void {
    const { socket } = at
    if (at === this.#server) this.#dialled++
    at.socket = undefined
    at.isBlocked = false
    if (!socket) return
    if (how === 'at-once') return this.#giveUp(at, socket)
    // An end that nobody waits for, neither here nor there; under TLS it would be no end without its close_notify.
    if (how === 'said' && socket === at.plain && socket.writableLength === 0) return void socket.destroy()
    socket.end()
    // Where both directions are over, that has closed it.
    if (socket.destroyed) return
    // Read and thrown away, so that the end is seen.
    socket.resume()
    linger(socket)
  }

  /** Half a message must not be taken for a whole one: a reset, and under TLS an end without its close_notify. */
  #giveUp(at: End, socket: Channel | undefined = at.socket): void {
    if (!socket) return
    if (socket === at.plain) reset(socket)
    else socket.destroy()
  }

  #startTls(at: End): void {
    const { side, socket: plain } = at
    if (!plain || plain.destroyed) return
    // What was read in clear and not looked at must not be there when TLS begins.
    if (plain.readableLength > 0) return this.#unsecured(side, 'octets came in clear')
    const secure = side === 'client' ? this.#ends.secureClient : this.#ends.secureServer
    if (!secure) return this.#unsecured(side, 'it is not set up')
    for (const event of ['data', 'drain', 'end'] as const) plain.removeAllListeners(event)
    secure(streamOf(plain)).then(
      ({ socket, facts }) => {
        // It was given up meanwhile.
        if (at.socket !== plain) return void socket.destroy()
        at.socket = socket
        this.#do(() => this.#machine.secured(side, facts, now()))
        this.#listen(at, socket)
        socket.on('close', () => this.#ended(at, socket))
      },
      (cause: unknown) => this.#unsecured(side, cause instanceof Error ? cause.message : String(cause)),
    )
  }

  #unsecured(side: Side, why: string): void {
    this.#do(() => this.#machine.unsecured(side, why, now()))
  }

  #gone(at: End, socket: Channel): void {
    if (at.socket === socket) at.socket = undefined
    this.#open--
    this.#settleIfOver()
  }

  /** Whoever is still being dialled for comes last, though nobody waits for it any more. */
  #settleIfOver(): void {
    if (this.#open > 0 || this.#dialling > 0) return
    this.#alarm.off()
    this.#settle()
  }

  /** An alarm that is due earlier stays: ticking early does nothing, and deadlines move with every segment. */
  #arm(): void {
    const { deadline } = this.#machine
    if (deadline === undefined) this.#alarm.off()
    else if (!this.#alarm.isSet || this.#alarm.due > deadline) this.#alarm.set(deadline)
  }
}

function pause(socket: Channel | undefined, wanted: boolean): void {
  if (!socket || socket.isPaused() === wanted) return
  if (wanted) socket.pause()
  else socket.resume()
}
