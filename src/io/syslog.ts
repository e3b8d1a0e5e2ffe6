/** Where syslog lines go: servers over UDP or TCP, and files. None of them is ever waited for. */
import dgram from 'node:dgram'
import { createWriteStream } from 'node:fs'
import net from 'node:net'
import type { Duration } from '../base/time.ts'

/** Takes lines, and drops what nobody takes from it in time. */
export interface Sink {
  write(line: string): void
  /** Lines that were dropped. */
  readonly lost: number
  /** Kept once what was written is out, or nobody takes it in time. */
  close(): Promise<void>
}

/** Octets that may wait for a server or a disk; lines beyond are dropped, and counted. */
export const MAX_BACKLOG: number = 1024 * 1024
/** A server that does not answer is tried again after this long. */
export const RECONNECT_WAIT: Duration = 5_000
/** How long an end waits for what was written last. */
export const FLUSH_WAIT: Duration = 1_000

/** Kept when this is, or after `FLUSH_WAIT`. */
export function inTime(done: Promise<unknown>): Promise<void> {
  return new Promise(resolve => {
    const timer = setTimeout(resolve, FLUSH_WAIT)
    const settle = () => {
      clearTimeout(timer)
      resolve()
    }
    done.then(settle, settle)
  })
}

/** One datagram for each line (RFC 5426 §3.1). */
export function udpSink(host: string, port: number): Sink {
  const socket = dgram.createSocket(host.includes(':') ? 'udp6' : 'udp4')
  let lost = 0
  let waiting = 0
  let emptied: () => void = () => {}
  socket.on('error', () => {
    lost++
  })
  socket.unref()
  return {
    write(line) {
      waiting++
      socket.send(line, port, host, problem => {
        if (problem) lost++
        if (--waiting === 0) emptied()
      })
    },
    get lost() {
      return lost
    },
    async close() {
      const empty = new Promise<void>(resolve => {
        emptied = resolve
        if (waiting === 0) resolve()
      })
      await inTime(empty)
      socket.close()
    },
  }
}

/** Every line with its length before it (RFC 6587 §3.4.1), over a connection that is made again when it breaks. */
export function tcpSink(host: string, port: number): Sink {
  let socket: net.Socket | undefined
  let timer: NodeJS.Timeout | undefined
  let isClosed = false
  let lost = 0
  const connect = (): void => {
    socket = net.connect({ host, port })
    socket.unref()
    socket.on('error', () => {})
    socket.resume()
    socket.on('close', () => {
      socket = undefined
      if (isClosed) return
      timer = setTimeout(connect, RECONNECT_WAIT)
      timer.unref()
    })
  }
  connect()
  return {
    write(line) {
      if (!socket || socket.destroyed || socket.writableLength > MAX_BACKLOG) {
        lost++
        return
      }
      socket.write(`${Buffer.byteLength(line)} ${line}`)
    },
    get lost() {
      return lost
    },
    async close() {
      isClosed = true
      clearTimeout(timer)
      const open = socket
      if (!open) return
      await inTime(new Promise<void>(resolve => open.once('close', () => resolve()).end()))
      open.destroy()
    },
  }
}

/** Appends to a file; only the owner and the group may read it. `opened` is kept once it can be written, or is not to be. */
export function fileSink(path: string): Sink & { readonly opened: Promise<void> } {
  const stream = createWriteStream(path, { flags: 'a', mode: 0o640 })
  let lost = 0
  const opened = new Promise<void>((resolve, reject) => {
    stream.once('open', () => resolve())
    stream.once('error', reject)
  })
  // A disk that is full must not end the process; what it does not take is counted.
  stream.on('error', () => {
    lost++
  })
  return {
    opened,
    write(line) {
      if (stream.destroyed || stream.writableLength > MAX_BACKLOG) lost++
      else stream.write(`${line}\n`)
    },
    get lost() {
      return lost
    },
    close: () => inTime(new Promise<void>(resolve => stream.once('close', () => resolve()).end())),
  }
}
