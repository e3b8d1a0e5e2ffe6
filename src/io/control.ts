import { chmodSync } from 'node:fs'
import net from 'node:net'
import { PosternError } from '../base/problem.ts'
import type { Duration } from '../base/time.ts'

/**
 * A control socket: one JSON line asks, one JSON line answers. It is a file that only its owner may open; that is the
 * whole of its access control, and it never listens on a network.
 */
export type ControlHandler = (request: ControlRequest) => Promise<ControlAnswer>

export interface ControlRequest {
  readonly node: string
  readonly line: string
}

export interface ControlAnswer {
  readonly answer: readonly string[]
  readonly wrong: boolean
}

export const MAX_REQUEST = 65_536
/** An answer may be everything a firewall remembers. */
export const MAX_ANSWER: number = 64 * 1024 * 1024
const ANSWER_WAIT: Duration = 30_000

export async function openControl(path: string, handle: ControlHandler): Promise<{ close(): void }> {
  const sockets = new Set<net.Socket>()
  const server = net.createServer(socket => {
    sockets.add(socket)
    socket.on('close', () => sockets.delete(socket))
    socket.on('error', () => socket.destroy())
    socket.setTimeout(ANSWER_WAIT, () => socket.destroy())
    oneLine(socket, MAX_REQUEST, line => {
      const request = readRequest(line)
      const answer = request
        ? handle(request).catch(cause => ({ answer: [String((cause as Error).message ?? cause)], wrong: true }))
        : Promise.resolve({ answer: ['not a request'], wrong: true })
      void answer.then(said => socket.end(`${JSON.stringify(said)}\n`))
    })
  })
  await new Promise<void>((resolve, reject) => {
    server.on('error', reject)
    server.listen(path, resolve)
  })
  chmodSync(path, 0o600)
  return {
    close: () => {
      server.close()
      for (const socket of sockets) socket.destroy()
    },
  }
}

export function askControl(path: string, request: ControlRequest): Promise<ControlAnswer> {
  return new Promise((resolve, reject) => {
    const fail = (why: string) =>
      reject(new PosternError('POSTERN_NO_CONTROL', why, { side: 'server', retry: 'later' }))
    const socket = net.connect(path)
    socket.setTimeout(ANSWER_WAIT, () => socket.destroy(new Error('no answer in time')))
    socket.on('error', cause => fail(`the running laboratory does not answer: ${cause.message}`))
    // Settled once; after an answer this changes nothing.
    socket.on('close', () => fail('the running laboratory closed without an answer'))
    oneLine(socket, MAX_ANSWER, line => {
      socket.destroy()
      try {
        resolve(JSON.parse(line) as ControlAnswer)
      } catch {
        fail('the answer is not one')
      }
    })
    socket.on('connect', () => socket.write(`${JSON.stringify(request)}\n`))
  })
}

function readRequest(line: string): ControlRequest | undefined {
  try {
    const value = JSON.parse(line) as Partial<ControlRequest>
    return typeof value.node === 'string' && typeof value.line === 'string'
      ? { node: value.node, line: value.line }
      : undefined
  } catch {
    return undefined
  }
}

function oneLine(socket: net.Socket, most: number, take: (line: string) => void): void {
  let held = ''
  socket.setEncoding('utf8')
  socket.on('data', (chunk: string) => {
    held += chunk
    const end = held.indexOf('\n')
    if (end >= 0) {
      socket.removeAllListeners('data')
      take(held.slice(0, end))
    } else if (held.length > most) socket.destroy()
  })
}
