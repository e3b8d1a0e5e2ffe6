/**
 * The tunnel between two sites on loopback: TLS 1.3 with a pre-shared key, and in it one HTTP/2 stream per connection
 * (CONNECT, RFC 9113 §8.5), so that many connections share it and each has its own flow control.
 */
import http2 from 'node:http2'
import net from 'node:net'
import type { Duplex } from 'node:stream'
import tls from 'node:tls'
import { PosternError } from '../base/problem.ts'
import type { Duration } from '../base/time.ts'
import { type Endpoint, endpointOf } from './sockets.ts'

/** What goes through the tunnel: who calls, and whom. */
export interface Carried {
  readonly source: string
  readonly destination: string
  readonly port: number
}

export interface TunnelKey {
  readonly identity: string
  readonly key: Uint8Array
}

/** Without a certificate there is only the key: TLS 1.3, and the one suite whose hash fits it. */
const SUITE = { ciphers: 'TLS_AES_128_GCM_SHA256', minVersion: 'TLSv1.3', maxVersion: 'TLSv1.3' } as const

/** Connections carried at once, per tunnel. */
export const MAX_CARRIED = 1000
export const TUNNEL_WAIT: Duration = 10_000

/** The far end: takes connections out of the tunnel. */
export interface TunnelServer {
  readonly endpoint: Endpoint
  close(): Promise<void>
}

export async function openTunnelServer(
  { identity, key }: TunnelKey,
  accept: (carried: Carried, stream: Duplex, refuse: () => void) => void,
): Promise<TunnelServer> {
  const server = http2.createSecureServer({
    ...SUITE,
    pskCallback: (_socket, name) => (name === identity ? Buffer.from(key) : null),
    settings: { maxConcurrentStreams: MAX_CARRIED },
    // Connections are the traffic here, so what would be an attack on a web server is not one.
    maxSessionMemory: 256,
    handshakeTimeout: TUNNEL_WAIT,
  })
  // Whoever connects and says nothing has no session yet, and must not keep us from closing.
  const sockets = new Set<net.Socket>()
  server.on('connection', (socket: net.Socket) => {
    sockets.add(socket)
    socket.on('close', () => sockets.delete(socket))
  })
  const sessions = new Set<http2.ServerHttp2Session>()
  server.on('session', session => {
    sessions.add(session)
    session.on('close', () => sessions.delete(session))
    session.on('error', () => session.destroy())
  })
  server.on('sessionError', () => {})
  server.on('stream', (stream, headers) => {
    stream.on('error', () => {})
    const [destination = '', port = ''] = String(headers[':authority'] ?? '').split(':')
    const source = String(headers['x-source'] ?? '')
    if (headers[':method'] !== 'CONNECT' || !net.isIP(destination) || !net.isIP(source)) {
      stream.close(http2.constants.NGHTTP2_REFUSED_STREAM)
      return
    }
    stream.respond({ ':status': 200 })
    stream.pause()
    const carried = { source, destination, port: Number(port) }
    accept(carried, stream, () => stream.close(http2.constants.NGHTTP2_CONNECT_ERROR))
  })
  await new Promise<void>((resolve, reject) => {
    server.on('error', reject)
    server.listen(0, '127.0.0.1', resolve)
  })
  return {
    endpoint: endpointOf(server),
    close: () =>
      new Promise(resolve => {
        for (const session of sessions) session.destroy()
        for (const socket of sockets) socket.destroy()
        server.close(() => resolve())
      }),
  }
}

/** The near end: puts connections into the tunnel. It is dialled when it is first needed, and again when it broke. */
export class TunnelClient {
  readonly #key: TunnelKey
  readonly #to: Endpoint
  #session: Promise<http2.ClientHttp2Session> | undefined

  constructor(key: TunnelKey, to: Endpoint) {
    this.#key = key
    this.#to = to
  }

  async open({ source, destination, port }: Carried): Promise<Duplex> {
    this.#session ??= this.#dialOnce()
    let session: http2.ClientHttp2Session
    try {
      session = await this.#session
    } catch (cause) {
      this.#session = undefined
      throw new PosternError('POSTERN_TUNNEL_DOWN', 'the tunnel does not stand', { side: 'us', retry: 'later', cause })
    }
    const headers = { ':method': 'CONNECT', ':authority': `${destination}:${port}`, 'x-source': source }
    const stream = session.request(headers, { endStream: false })
    stream.on('error', () => {})
    stream.pause()
    return stream
  }

  async close(): Promise<void> {
    const session = await this.#session?.catch(() => undefined)
    session?.destroy()
  }

  #dialOnce(): Promise<http2.ClientHttp2Session> {
    const own: Promise<http2.ClientHttp2Session> = this.#dial(() => {
      if (this.#session === own) this.#session = undefined
    })
    return own
  }

  #dial(forget: () => void): Promise<http2.ClientHttp2Session> {
    return new Promise((resolve, reject) => {
      const socket = tls.connect({
        ...this.#to,
        ...SUITE,
        pskCallback: () => ({ psk: Buffer.from(this.#key.key), identity: this.#key.identity }),
        // The key proves the other end; there is no name to compare.
        checkServerIdentity: () => undefined,
        ALPNProtocols: ['h2'],
        noDelay: true,
      } as tls.ConnectionOptions)
      const timer = setTimeout(() => socket.destroy(new Error('the tunnel did not come up in time')), TUNNEL_WAIT)
      socket.on('error', cause => {
        clearTimeout(timer)
        reject(cause)
      })
      socket.once('secureConnect', () => {
        clearTimeout(timer)
        const session = http2.connect('https://tunnel', { createConnection: () => socket, maxSessionMemory: 256 })
        session.on('error', forget).on('close', forget)
        resolve(session)
      })
    })
  }
}

/** What was seen on a wire between two ends: counted, and the beginning kept, so that it can be searched. */
export interface Tap {
  readonly endpoint: Endpoint
  /** Octets seen, both ways. */
  readonly seen: number
  /** Is this text to be read anywhere in what crossed? */
  holds(text: string): boolean
  close(): Promise<void>
}

/** Octets a tap keeps, per direction and connection: more than a laboratory's story sends. */
export const TAP_KEEPS: number = 64 * 1024 * 1024

/** A wire that can be listened to: what is sent to its endpoint comes out at `to`. */
export async function openTap(to: Endpoint): Promise<Tap> {
  const kept: Uint8Array[] = []
  let seen = 0
  const sockets = new Set<net.Socket>()
  const record = (chunk: Uint8Array) => {
    if (seen < TAP_KEEPS) kept.push(chunk)
    seen += chunk.length
  }
  const server = net.createServer({ noDelay: true }, near => {
    const far = net.connect({ ...to, noDelay: true })
    for (const [from, onto] of [
      [near, far],
      [far, near],
    ] as const) {
      sockets.add(from)
      from.on('data', record)
      from.pipe(onto)
      from.on('error', () => onto.destroy())
      from.on('close', () => {
        sockets.delete(from)
        onto.destroy()
      })
    }
  })
  await new Promise<void>((resolve, reject) => {
    server.on('error', reject)
    server.listen(0, '127.0.0.1', resolve)
  })
  return {
    endpoint: endpointOf(server),
    get seen() {
      return seen
    },
    holds: text => Buffer.concat(kept).includes(text),
    close: () =>
      new Promise(resolve => {
        for (const socket of sockets) socket.destroy()
        server.close(() => resolve())
      }),
  }
}
