/** Lines for the syslog of this machine, by its datagram socket: Node speaks to no such socket, and libc does. */
import type { KoffiFunc } from 'koffi'
import { PosternError } from '../base/problem.ts'
import type { Duration } from '../base/time.ts'
import type { Sink } from './syslog.ts'

/** A daemon that went away is looked for again after this long. */
export const LOOK_AGAIN: Duration = 1_000

/* As Linux numbers them. */
const AF_UNIX = 1
const SOCK_DGRAM_CLOEXEC = 2 | 0o2000000
const DONTWAIT_NOSIGNAL = 0x40 | 0x4000
const PATH_LENGTH = 108

interface Libc {
  readonly socket: KoffiFunc<(domain: number, type: number, protocol: number) => number>
  readonly connect: KoffiFunc<(socket: number, address: Uint8Array, length: number) => number>
  readonly send: KoffiFunc<(socket: number, octets: Uint8Array, length: number, flags: number) => number>
  readonly close: KoffiFunc<(socket: number) => number>
}

let loading: Promise<Libc> | undefined

/** Once for a process; a failure is not kept. */
function load(): Promise<Libc> {
  loading ??= bind().catch(cause => {
    loading = undefined
    throw cause
  })
  return loading
}

async function bind(): Promise<Libc> {
  if (process.platform !== 'linux') throw unusable('the syslog of this machine is spoken to on Linux only')
  const { default: koffi } = await import('koffi').catch(cause => {
    throw unusable('it needs the npm package koffi, which is not here (it is optional)', cause)
  })
  const libc = koffi.load(null)
  return {
    socket: libc.func('int socket(int, int, int)'),
    connect: libc.func('int connect(int, const uint8_t *, uint32_t)'),
    send: libc.func('intptr_t send(int, const uint8_t *, size_t, int)'),
    close: libc.func('int close(int)'),
  }
}

/** Sends without ever waiting: what the daemon does not take at once is dropped, and counted. Throws where nobody listens. */
export async function localSink(path: string): Promise<Sink> {
  const libc = await load()
  const address = addressOf(path)
  const open = (): number | undefined => {
    const socket = libc.socket(AF_UNIX, SOCK_DGRAM_CLOEXEC, 0)
    if (socket < 0) return undefined
    if (libc.connect(socket, address, address.length) === 0) return socket
    libc.close(socket)
    return undefined
  }
  let socket = open()
  if (socket === undefined) throw unusable(`no syslog daemon listens at ${path}`)
  let lost = 0
  let lookedAt = 0
  const sent = (octets: Uint8Array): boolean =>
    socket !== undefined && Number(libc.send(socket, octets, octets.length, DONTWAIT_NOSIGNAL)) === octets.length
  return {
    write(line) {
      const octets = Buffer.from(line)
      if (sent(octets)) return
      const now = Date.now()
      // It may have been started anew, and then this socket leads nowhere.
      if (now - lookedAt >= LOOK_AGAIN) {
        lookedAt = now
        if (socket !== undefined) libc.close(socket)
        socket = open()
        if (sent(octets)) return
      }
      lost++
    },
    get lost() {
      return lost
    },
    async close() {
      if (socket !== undefined) libc.close(socket)
      socket = undefined
    },
  }
}

/** `struct sockaddr_un`. */
function addressOf(path: string): Uint8Array {
  const octets = Buffer.from(path)
  if (octets.length >= PATH_LENGTH) throw unusable(`the path of a socket has ${PATH_LENGTH - 1} octets at most`)
  const address = new Uint8Array(2 + PATH_LENGTH)
  new DataView(address.buffer).setUint16(0, AF_UNIX, isLittleEndian())
  address.set(octets, 2)
  return address
}

function isLittleEndian(): boolean {
  return new Uint8Array(Uint16Array.of(1).buffer)[0] === 1
}

function unusable(why: string, cause?: unknown): PosternError {
  return new PosternError('POSTERN_CANNOT_LOG', why, { side: 'us', retry: 'never', cause })
}
