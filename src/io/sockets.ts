import net from 'node:net'

export type { Server, Socket } from 'node:net'
export type { Duplex } from 'node:stream'

import { PosternError } from '../base/problem.ts'
import type { Duration } from '../base/time.ts'

export interface Endpoint {
  readonly host: string
  readonly port: number
}

/** How long a connection may take to stand. */
export const DIAL_WAIT: Duration = 30_000

export function sayEndpoint({ host, port }: Endpoint): string {
  return host.includes(':') ? `[${host}]:${port}` : `${host}:${port}`
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
      reject(new PosternError('POSTERN_CANNOT_DIAL', `${name} ${why}`, { side: 'server', retry: 'later', cause }))
    }
    const abort = () => fail(undefined, 'was not waited for')
    const timer = setTimeout(() => fail(undefined, 'did not answer in time'), DIAL_WAIT)
    if (signal?.aborted) return abort()
    signal?.addEventListener('abort', abort, { once: true })
    socket.once('error', (cause: NodeJS.ErrnoException) => {
      fail(cause, cause.code === 'ECONNREFUSED' ? 'refused the connection' : `cannot be reached: ${cause.message}`)
    })
    socket.once('connect', () => {
      clearTimeout(timer)
      signal?.removeEventListener('abort', abort)
      socket.removeAllListeners('error')
      resolve(socket)
    })
  })
}
