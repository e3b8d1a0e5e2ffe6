/**
 * Connections on Node's own TCP handles, without the streams of `node:net` around them, for those who keep no octets, or
 * copies of them: see docs/decisions/0012-lean-connections.md. Where a Node has no such handles, `lean` says so, and
 * `node:net` does the same for more.
 */
import net from 'node:net'
import { getSystemErrorName } from 'node:util'
import { Ears, tell } from './tcp-ears.ts'
import { type Handle, handles, type Request } from './tcp-handles.ts'
import { copied, gathered, lending, release, SHARED } from './tcp-memory.ts'

export { lean } from './tcp-handles.ts'

/** What a handle says for the end of what is read (libuv's `UV_EOF`). */
const EOF = -4095
/** How a shutdown says that it is done already. */
const DONE = 1

/** A read of as many is a large message's: such a connection gets memory of its own, out of which is written as well. */
const LARGE = 32_768
const OWN = 262_144
/** As much is copied before it is written. */
const SMALL = 4_096
/** As much is put together before it is written. */
const GATHERED = 16_384
/** Connections that have memory of their own. Others copy what they pass on. */
export const MAX_OWN = 64
/** Octets that may wait for the kernel before `write` says that it is enough. */
const HIGH_WATER = 65_536

const free: Buffer[] = []
let owners = 0

/** The memory that the octets being told of are in, and whose it is. */
let lent: Uint8Array | undefined
let lender: Tcp | undefined

/** The octets, as a copy where the memory that they are in is about to be used again. */
export function lasting(octets: Uint8Array): Uint8Array {
  return octets.buffer === lent?.buffer ? new Uint8Array(octets) : octets
}

/** A request that was not needed, as nearly all writes are done at once. */
let spare: Request | undefined

function ignore(): void {}

/*
 * What handles call is the same for all of them, and finds the connection by the handle. A closure for each would cost
 * more than to be made: V8 keeps what such closures hold until it searches the whole heap, and so every connection that
 * ever was.
 */
let heard: (this: Handle) => void
let closed: (this: Handle) => void
let finished: (this: Request) => void

/**
 * A connection. It tells of `data`, `end`, `error`, `close` and `drain` as a `net.Socket` does, with one difference: the
 * octets of `data` are the listener's only until it returns.
 */
export class Tcp extends Ears {
  static {
    heard = function () {
      if (this.owner) this.owner.#heard()
    }
    closed = function () {
      if (this.owner) this.owner.#closed()
    }
    finished = function () {
      if (this.owner instanceof Tcp) this.owner.#finish()
    }
  }

  readonly #handle: Handle
  readonly remoteAddress: string | undefined
  readonly remotePort: number | undefined
  #isPaused = true
  #isReading = false
  #hasMemory = false
  #ended = false
  #ending = false
  #finished = false
  #isGone = false
  /** Octets that wait for the kernel. */
  #pending = 0
  #isFull = false
  /** Memory of its own, and how many writes out of it are under way. */
  #own: Buffer | undefined
  #owed = 0
  /** What it has become. */
  #socket: net.Socket | undefined

  constructor(handle: Handle, remote: { readonly address?: string; readonly port?: number } = {}) {
    super()
    handle.owner = this
    this.#handle = handle
    this.remoteAddress = remote.address
    this.remotePort = remote.port
  }

  get destroyed(): boolean {
    return this.#socket?.destroyed ?? this.#isGone
  }

  get readableEnded(): boolean {
    return this.#ended
  }

  /** Nothing is ever kept here. */
  get readableLength(): number {
    return 0
  }

  /** Octets that wait for the kernel. */
  get writableLength(): number {
    return this.#pending
  }

  /** Did a `write` say that it is enough? */
  get writableNeedDrain(): boolean {
    return this.#isFull
  }

  isPaused(): boolean {
    return this.#isPaused
  }

  pause(): this {
    this.#isPaused = true
    this.#stop()
    return this
  }

  resume(): this {
    this.#isPaused = false
    this.#read()
    return this
  }

  #stop(): void {
    if (!this.#isReading) return
    this.#isReading = false
    if (!this.#isGone) this.#handle.readStop()
  }

  #read(): void {
    if (this.#isPaused || this.#isReading || this.#isGone || this.#ended || this.#owed > 0 || this.#socket) return
    if (!this.#hasMemory) {
      this.#hasMemory = true
      this.#handle.onread = heard
      this.#handle.useUserBuffer(SHARED)
    }
    this.#isReading = true
    const failed = this.#handle.readStart()
    if (failed) process.nextTick(() => this.#fail(failed))
  }

  #heard(): void {
    const { state, READ } = handles()
    const count = state[READ] ?? 0
    if (this.#isGone || count === 0) return
    if (count > 0) return this.#tell(this.#own ?? SHARED, count)
    if (count !== EOF) return this.#fail(count)
    this.#ended = true
    this.#stop()
    tell(this.ears.end)
    if (this.#finished) this.destroy()
  }

  #tell(memory: Buffer, count: number): void {
    lent = memory
    lender = this
    try {
      tell(this.ears.data, lending(memory, count))
    } finally {
      lent = undefined
      lender = undefined
    }
    if (this.#owed > 0) this.#stop()
    if (count < LARGE || this.#own || this.#isGone || this.#socket || owners >= MAX_OWN) return
    owners++
    this.#own = free.pop() ?? Buffer.allocUnsafeSlow(OWN)
    this.#handle.useUserBuffer(this.#own)
  }

  /** Whether more may come; where not, `drain` will tell. */
  write(octets: Uint8Array): boolean {
    if (octets.length === 0) return true
    if (octets.length <= SMALL) return this.#send(copied(octets), octets.length, undefined)
    const own = lender?.owns(octets) ? lender : undefined
    const kept = !own && octets.buffer === SHARED.buffer ? new Uint8Array(octets) : octets
    return this.#send(kept, 0, own)
  }

  /** All of it in one piece. */
  writeAll(parts: readonly Uint8Array[]): boolean {
    let length = 0
    for (const part of parts) length += part.length
    const [first] = parts
    if (first && parts.length === 1) return this.write(first)
    if (length > GATHERED) return this.write(Buffer.concat(parts))
    return length === 0 || this.#send(gathered(parts, length), length, undefined)
  }

  /** `returned`: octets of the slab that are free again if the kernel takes all at once. */
  #send(octets: Uint8Array, returned: number, own: Tcp | undefined): boolean {
    if (this.#isGone || this.#socket) return true
    const { WriteWrap, state, IS_ASYNC } = handles()
    const request = spare ?? new WriteWrap()
    spare = undefined
    const failed = this.#handle.writeBuffer(request, octets)
    if (failed) {
      process.nextTick(() => this.#fail(failed))
      return true
    }
    if (!state[IS_ASYNC]) {
      spare = request
      release(returned)
      return true
    }
    this.#pending += octets.length
    if (own) own.#owed++
    request.octets = octets
    request.oncomplete = status => this.#written(status, octets.length, own)
    if (this.#pending >= HIGH_WATER) this.#isFull = true
    return !this.#isFull
  }

  #written(status: number, length: number, own: Tcp | undefined): void {
    this.#pending -= length
    if (own) {
      own.#owed--
      own.#giveBack()
      own.#read()
    }
    if (status < 0) return this.#fail(status)
    if (!this.#isFull || this.#pending > 0 || this.#isGone) return
    this.#isFull = false
    tell(this.ears.drain)
  }

  /** Says that nothing more will be written, behind what was. */
  end(): this {
    if (this.#socket) this.#socket.end()
    if (this.#ending || this.#isGone || this.#socket) return this
    this.#ending = true
    // With both directions over, closing says it.
    if (this.#ended && this.#pending === 0) return this.destroy()
    const request = new (handles().ShutdownWrap)()
    request.owner = this
    request.oncomplete = finished
    const failed = this.#handle.shutdown(request)
    if (failed === DONE) this.#finish()
    else if (failed) process.nextTick(() => this.#fail(failed))
    return this
  }

  #finish(): void {
    this.#finished = true
    if (this.#ended) this.destroy()
  }

  destroy(): this {
    if (this.#socket) this.#socket.destroy()
    else if (!this.#isGone) {
      this.#isGone = true
      this.#handle.close(closed)
    }
    return this
  }

  /**
   * The other side hears of a reset, and not of an end. While an end is on its way there can be none: then what is not
   * written yet is dropped, as `destroy` does.
   */
  resetAndDestroy(): this {
    if (this.#socket) resetSocket(this.#socket)
    else if (this.#ending && !this.#finished) this.destroy()
    else if (!this.#isGone) {
      this.#isGone = true
      this.#handle.reset(closed)
    }
    return this
  }

  /**
   * The connection as a `net.Socket`, for TLS and whoever else needs a stream. This object keeps telling of `error` and
   * `close`, and of nothing else.
   */
  upgrade(): net.Socket {
    this.pause()
    const options = { handle: this.#handle, allowHalfOpen: true, pauseOnCreate: true }
    const socket = new net.Socket(options as unknown as net.SocketConstructorOpts)
    socket.on('error', cause => tell(this.ears.error, cause))
    socket.once('close', () => this.#closed())
    this.#socket = socket
    return socket
  }

  /** Is this in memory of its own? */
  owns(octets: Uint8Array): boolean {
    return this.#own !== undefined && octets.buffer === this.#own.buffer
  }

  #fail(code: number): void {
    if (this.#isGone || this.#socket) return
    tell(this.ears.error, failure(code, 'connection'))
    this.destroy()
  }

  #closed(): void {
    this.#isGone = true
    this.#giveBack()
    tell(this.ears.close)
  }

  /** Not before the last write out of it is over. */
  #giveBack(): void {
    if (!this.#own || !this.#isGone || this.#owed > 0) return
    free.push(this.#own)
    this.#own = undefined
    owners--
  }
}

/**
 * Resets a socket of Node's. One whose end is on its way cannot be: libuv refuses (EINVAL), and Node takes the handle for
 * closed all the same, so that it would stay open for ever and never tell of `close`.
 */
export function resetSocket(socket: net.Socket): void {
  const isEnding = socket.writableEnded && !socket.writableFinished
  if (isEnding) socket.destroy()
  else socket.resetAndDestroy()
}

type Failures = Map<number, NodeJS.ErrnoException>
const failures: Readonly<Record<'connection' | 'listen' | 'connect', Failures>> = {
  connection: new Map(),
  listen: new Map(),
  connect: new Map(),
}

/** One for each: connections that end with a reset are many, and where the program stood tells nothing. */
function failure(code: number, what: keyof typeof failures): NodeJS.ErrnoException {
  const known = failures[what].get(code)
  if (known) return known
  const name = getSystemErrorName(code)
  const made = Object.assign(new Error(`${what}: ${name}`), { code: name, errno: code })
  failures[what].set(code, made)
  return made
}

/* Listening and dialling. */

export interface TcpListener {
  readonly host: string
  readonly port: number
  /** Nobody comes in any more; kept once all who came in are gone. */
  close(): Promise<void>
}

/** As many as `node:net` lets wait. */
const BACKLOG = 511

/** Listens at an address. Throws with the `code` of the system where it cannot. Who comes in is paused. */
export function listenTcp(host: string, port: number, accept: (connection: Tcp) => void): TcpListener {
  const { TCP, SERVER, IPV6ONLY } = handles()
  const handle = new TCP(SERVER)
  let open = 0
  let emptied: (() => void) | undefined
  const failed =
    (host.includes(':') ? handle.bind6(host, port, IPV6ONLY) : handle.bind(host, port)) || handle.listen(BACKLOG)
  if (failed) {
    handle.close()
    throw failure(failed, 'listen')
  }
  handle.onconnection = (failed, client) => {
    // For want of files (libuv has sent whoever knocked away): that is known already, and the doors will be shut.
    if (failed) return
    client.setNoDelay(true)
    const remote = {}
    client.getpeername(remote)
    open++
    const connection = new Tcp(client, remote)
    connection.on('close', () => {
      if (--open === 0) emptied?.()
    })
    try {
      accept(connection)
    } catch (cause) {
      // Nobody reads it, so that nobody would ever see its end.
      connection.destroy()
      throw cause
    }
  }
  const at: { address?: string; port?: number } = {}
  handle.getsockname(at)
  return {
    host: at.address ?? host,
    port: at.port ?? port,
    close: () => {
      handle.close()
      return new Promise(resolve => {
        emptied = resolve
        if (open === 0) resolve()
      })
    },
  }
}

/** A connection that does not stand yet. */
class Dialling {
  readonly #handle: Handle
  readonly #remote: { readonly address: string; readonly port: number }
  readonly #done: (connection: Tcp | NodeJS.ErrnoException) => void
  #isOver = false

  constructor(host: string, port: number, done: (connection: Tcp | NodeJS.ErrnoException) => void) {
    const { TCP, TCPConnectWrap, SOCKET } = handles()
    this.#handle = new TCP(SOCKET)
    this.#remote = { address: host, port }
    this.#done = done
    this.#handle.setNoDelay(true)
    const request = new TCPConnectWrap()
    request.owner = this
    request.oncomplete = dialled
    const handle = this.#handle
    const failed = host.includes(':') ? handle.connect6(request, host, port) : handle.connect(request, host, port)
    if (failed) process.nextTick(() => this.over(failed))
  }

  over(status: number): void {
    if (this.#isOver) return
    this.#isOver = true
    if (status === 0) return this.#done(new Tcp(this.#handle, this.#remote))
    this.#handle.close()
    this.#done(failure(status, 'connect'))
  }

  off(): void {
    if (this.#isOver) return
    this.#isOver = true
    this.#handle.close(ignore)
  }
}

function dialled(this: Request, status: number): void {
  if (this.owner instanceof Dialling) this.owner.over(status)
}

/** Connects to an address; `done` hears of it once. What is given back calls it off, and then `done` hears nothing. */
export function dialTcp(
  host: string,
  port: number,
  done: (connection: Tcp | NodeJS.ErrnoException) => void,
): () => void {
  const dialling = new Dialling(host, port, done)
  return () => dialling.off()
}
