import net from 'node:net'

export type { Server, Socket } from 'node:net'
export type { Duplex } from 'node:stream'

import type { Duplex } from 'node:stream'
import { PosternError } from '../base/problem.ts'
import type { Duration } from '../base/time.ts'
import { Alarm } from './alarm.ts'
import { now } from './clock.ts'
import { dialTcp, lasting, lean, listenTcp, Tcp } from './tcp.ts'
import type { Listener, TcpEvent } from './tcp-ears.ts'

/** What whoever passes octets on needs of a connection: a `net.Socket` has it, and so have a tunnel's stream and a `Tcp`. */
export interface Channel {
  readonly destroyed: boolean
  readonly readableEnded: boolean
  readonly readableLength: number
  /** Octets that the kernel does not have yet. */
  readonly writableLength: number
  readonly writableNeedDrain: boolean
  write(octets: Uint8Array): boolean
  end(): unknown
  destroy(): unknown
  resetAndDestroy?(): unknown
  pause(): unknown
  resume(): unknown
  isPaused(): boolean
  on<Event extends TcpEvent>(event: Event, listener: Listener<Event>): unknown
  once<Event extends TcpEvent>(event: Event, listener: Listener<Event>): unknown
  off<Event extends TcpEvent>(event: Event, listener: Listener<Event>): unknown
  removeAllListeners(event: TcpEvent): unknown
}

/** The channel as a stream, for TLS and whoever else needs one. A `Tcp` tells of nothing but its end from then on. */
export function streamOf(channel: Channel): Duplex {
  return channel instanceof Tcp ? channel.upgrade() : (channel as Duplex)
}

/** Writes all parts as one. They may be the caller's for this moment only: a `Tcp` sees to that, and others get a copy. */
export function writeAll(channel: Channel, parts: readonly Uint8Array[]): boolean {
  if (channel instanceof Tcp) return channel.writeAll(parts)
  return channel.write(parts.length === 1 && parts[0] ? lasting(parts[0]) : Buffer.concat(parts))
}

/** How long a connection that we closed may linger until the other side closes, too. */
export const LINGER: Duration = 5_000

/** Waits until the other side closes, and no longer than that: nobody must be held in memory by it. */
export function linger(channel: Channel, wait: Duration = LINGER): void {
  if (channel.destroyed) return
  const alarm = new Alarm(() => channel.destroy())
  alarm.set(now() + wait)
  channel.once('close', () => alarm.off())
}

/** A connection over TCP. */
export type Connected = net.Socket | Tcp

export interface Endpoint {
  readonly host: string
  readonly port: number
}

/** How long a connection may take to stand. */
export const DIAL_WAIT: Duration = 30_000

export function sayEndpoint({ host, port }: Endpoint): string {
  return host.includes(':') ? `[${host}]:${port}` : `${host}:${port}`
}

/** A place where connections come in. */
export interface Listening {
  readonly at: Endpoint
  /** Nobody comes in any more; kept once all who came in are gone. */
  close(): Promise<void>
}

/** As `listen`: connections that cost less, where Node has them, and lend their octets for a moment only. */
export async function receive(at: Endpoint, accept: (socket: Connected) => void): Promise<Listening> {
  if (!lean || net.isIP(at.host) === 0) return listening(at, accept)
  try {
    const { host, port, close } = listenTcp(at.host, at.port, accept)
    return { at: { host, port }, close }
  } catch (cause) {
    throw cannotListen(at, cause as NodeJS.ErrnoException)
  }
}

/** As `listen`. */
export async function listening(at: Endpoint, accept: (socket: net.Socket) => void): Promise<Listening> {
  const server = await listen(at, accept)
  return { at: endpointOf(server), close: () => close(server) }
}

/** Listens, and resolves once it does. Every accepted socket is paused until somebody reads it. */
export function listen(at: Endpoint, accept: (socket: net.Socket) => void): Promise<net.Server> {
  const server = net.createServer({ allowHalfOpen: true, pauseOnConnect: true, noDelay: true }, accept)
  return new Promise((resolve, reject) => {
    server.once('error', (cause: NodeJS.ErrnoException) => reject(cannotListen(at, cause)))
    // `::` means IPv6: whoever wants IPv4, too, says so, and neither takes the port from the other.
    server.listen({ host: at.host, port: at.port, ipv6Only: true }, () => {
      server.removeAllListeners('error')
      // An accept that fails (EMFILE) must not end the process; the next one may succeed.
      server.on('error', () => {})
      resolve(server)
    })
  })
}

function cannotListen(at: Endpoint, cause: NodeJS.ErrnoException): PosternError {
  const why =
    {
      EADDRINUSE: 'the port is in use',
      EACCES: 'a port below 1024 needs a privilege',
      EADDRNOTAVAIL: 'no such address here',
    }[cause.code ?? ''] ?? cause.message
  return new PosternError('POSTERN_CANNOT_LISTEN', `cannot listen at ${sayEndpoint(at)}: ${why}`, {
    side: 'us',
    retry: 'never',
    cause,
  })
}

/** Where a listening server can be reached. */
export function endpointOf(server: net.Server): Endpoint {
  const address = server.address()
  if (address === null || typeof address === 'string') throw new Error('not listening on a port')
  return { host: address.address, port: address.port }
}

export function close(server: net.Server): Promise<void> {
  return new Promise(resolve => server.close(() => resolve()))
}

/** Are there no more files for this process, or this machine? It passes. */
export function isOutOfFiles(cause: unknown): boolean {
  const code = cause instanceof PosternError ? (cause.cause as NodeJS.ErrnoException | undefined)?.code : undefined
  return code === 'EMFILE' || code === 'ENFILE'
}

/** Connects, or throws a `PosternError` that says why not. Whoever gives a signal may call it off. */
export function dial(to: Endpoint, signal?: AbortSignal, localAddress?: string): Promise<net.Socket> {
  return connected(
    { ...to, ...(localAddress !== undefined && { localAddress }), noDelay: true },
    sayEndpoint(to),
    signal,
  )
}

/** Connects to a socket in the file system. */
export function dialFile(path: string): Promise<net.Socket> {
  return connected({ path }, path)
}

function connected(to: net.NetConnectOpts, name: string, signal?: AbortSignal): Promise<net.Socket> {
  return new Promise((resolve, reject) => {
    const socket = net.connect({ ...to, allowHalfOpen: true })
    const fail = (cause: NodeJS.ErrnoException | undefined, why: string) => {
      clearTimeout(timer)
      signal?.removeEventListener('abort', abort)
      socket.destroy()
      reject(cannotDial(name, why, cause))
    }
    const abort = () => fail(undefined, 'was not waited for')
    const timer = setTimeout(() => fail(undefined, 'did not answer in time'), DIAL_WAIT)
    if (signal?.aborted) return abort()
    signal?.addEventListener('abort', abort, { once: true })
    socket.once('error', (cause: NodeJS.ErrnoException) => {
      fail(cause, whyOf(cause))
    })
    socket.once('connect', () => {
      clearTimeout(timer)
      signal?.removeEventListener('abort', abort)
      socket.removeAllListeners('error')
      resolve(socket)
    })
  })
}

/** A call for a server, which may be called off. As an `AbortSignal`, and a fraction of its cost. */
export class Call {
  #abort: AbortController | undefined
  #isOff = false
  /** Whoever makes the call right now hears of it here. */
  onOff: (() => void) | undefined

  get isOff(): boolean {
    return this.#isOff
  }

  off(): void {
    if (this.#isOff) return
    this.#isOff = true
    this.onOff?.()
    this.#abort?.abort()
  }

  get signal(): AbortSignal {
    this.#abort ??= new AbortController()
    if (this.#isOff) this.#abort.abort()
    return this.#abort.signal
  }
}

/** As `dial`: a connection that costs less, where Node has it, and lends its octets for a moment only. */
export function reach(to: Endpoint, call: Call): Promise<Connected> {
  if (!lean || net.isIP(to.host) === 0) return dial(to, call.signal)
  return new Promise((resolve, reject) => {
    const settled = (): void => {
      alarm.off()
      call.onOff = undefined
    }
    const fail = (why = 'was not waited for', cause?: NodeJS.ErrnoException): void => {
      settled()
      callOff()
      reject(cannotDial(sayEndpoint(to), why, cause))
    }
    const callOff = dialTcp(to.host, to.port, reached => {
      if (reached instanceof Error) return fail(whyOf(reached), reached)
      settled()
      resolve(reached)
    })
    const alarm = new Alarm(() => fail('did not answer in time'))
    alarm.set(now() + DIAL_WAIT)
    // A closure made for it would keep the connection with it (see io/tcp).
    call.onOff = fail
    if (call.isOff) fail()
  })
}

function whyOf({ code, message }: NodeJS.ErrnoException): string {
  return code === 'ECONNREFUSED' ? 'refused the connection' : `cannot be reached: ${message}`
}

function cannotDial(to: string, why: string, cause: NodeJS.ErrnoException | undefined): PosternError {
  return new PosternError('POSTERN_CANNOT_DIAL', `${to} ${why}`, { side: 'server', retry: 'later', cause })
}
