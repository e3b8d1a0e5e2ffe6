import { chmodSync, lstatSync, rmSync } from 'node:fs'
import net from 'node:net'
import { userInfo } from 'node:os'
import { join } from 'node:path'
import { PosternError } from '../base/problem.ts'
import type { Duration } from '../base/time.ts'
import { CONTROL } from './state.ts'

/**
 * A control socket: one JSON line asks, one JSON line answers. It is a file that only its owner may open; that is the
 * whole of its access control, and it never listens on a network.
 */
export type ControlHandler = (request: ControlRequest) => Promise<ControlAnswer>

export type ControlRequest =
  /** A line is typed at a node, or half-typed, to be completed. */
  | { readonly ask: 'type' | 'complete'; readonly node: string; readonly line: string }
  /** Where a program of this machine comes in to be at that node, for the address and port of the line. */
  | { readonly ask: 'road'; readonly node: string; readonly line: string }
  /** The names of all nodes that can be typed at. */
  | { readonly ask: 'nodes' }
  /** The names of all that route mail, and the links of a laboratory. */
  | { readonly ask: 'routers' | 'links' }
  /** What a node knows of routing: the question is in `line`, as JSON. */
  | { readonly ask: 'routing'; readonly node: string; readonly line: string }
  /** A link of a laboratory is cut, or mended. */
  | { readonly ask: 'cut' | 'heal'; readonly node: ''; readonly line: string }

export interface ControlAnswer {
  readonly answer: readonly string[]
  readonly wrong: boolean
  /** The mode that the next line is read in, where there is one. */
  readonly mode?: string
  /** What the answer comes to, for who goes by it, where there is more to say than whether it is wrong. */
  readonly kind?: string
}

export const MAX_REQUEST = 65_536
/** An answer may be everything a firewall remembers. */
export const MAX_ANSWER: number = 64 * 1024 * 1024
const ANSWER_WAIT: Duration = 30_000

/** Takes away a socket that nobody answers at any more, in a folder that is ours. */
export function sweepControl(folder: string): void {
  rmSync(join(folder, CONTROL), { force: true })
}

/** Opens the socket of a folder that is closed to others (`makeState`). */
export async function openControl(folder: string, handle: ControlHandler): Promise<{ close(): void }> {
  const path = join(folder, CONTROL)
  const sockets = new Set<net.Socket>()
  const server = net.createServer(socket => {
    sockets.add(socket)
    socket.on('close', () => sockets.delete(socket))
    socket.on('error', () => socket.destroy())
    socket.setTimeout(ANSWER_WAIT, () => socket.destroy())
    oneLine(socket, MAX_REQUEST, line => {
      // From here on it is we who take the time.
      socket.setTimeout(0)
      const request = readRequest(line)
      const answer = request
        ? handle(request).catch(cause => ({ answer: [String((cause as Error).message ?? cause)], wrong: true }))
        : Promise.resolve({ answer: ['not a request'], wrong: true })
      void answer.then(said => socket.end(`${JSON.stringify(said)}\n`))
    })
  })
  // From its first moment on, not only once its mode is changed.
  const mask = process.umask(0o177)
  try {
    await new Promise<void>((resolve, reject) => {
      server.on('error', reject)
      server.listen(path, resolve)
      process.umask(mask)
    })
  } finally {
    process.umask(mask)
  }
  chmodSync(path, 0o600)
  return {
    close: () => {
      server.close()
      for (const socket of sockets) socket.destroy()
    },
  }
}

/** `wait`: how long the answer may take. A `PosternError` says why there is none; `POSTERN_NOBODY`: nothing runs there. */
export function askControl(
  folder: string,
  request: ControlRequest,
  { wait = ANSWER_WAIT }: { readonly wait?: Duration } = {},
): Promise<ControlAnswer> {
  return new Promise((resolve, reject) => {
    const fail = (why: string, code = 'POSTERN_NO_CONTROL') =>
      reject(new PosternError(code, why, { side: 'server', retry: 'later' }))
    const path = join(folder, CONTROL)
    const stranger = whyStrange(path)
    if (stranger !== undefined) return fail(stranger)
    const socket = net.connect(path)
    socket.setTimeout(wait, () => socket.destroy(new Error('no answer in time')))
    socket.on('error', (cause: NodeJS.ErrnoException) => {
      const isNobody = cause.code === 'ECONNREFUSED' || cause.code === 'ENOENT'
      if (isNobody) return fail(`nothing runs there: nobody answers at ${path}`, 'POSTERN_NOBODY')
      fail(`what runs there does not answer: ${cause.message}`)
    })
    // Settled once; after an answer this changes nothing.
    socket.on('close', () => fail('what runs there closed without an answer'))
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

/** Whoever made the socket hears what is typed: it must be us, and closed to everybody else. */
function whyStrange(path: string): string | undefined {
  const found = lstatSync(path, { throwIfNoEntry: false })
  if (!found) return undefined
  if (!found.isSocket()) return `${path} is no socket`
  if (found.uid !== userInfo().uid) return `${path} belongs to somebody else`
  return (found.mode & 0o077) === 0 ? undefined : `${path} is open to others`
}

function readRequest(text: string): ControlRequest | undefined {
  try {
    const { ask, node, line: typed } = JSON.parse(text) as Readonly<Record<string, unknown>>
    if (ask === 'nodes' || ask === 'routers' || ask === 'links') return { ask }
    if (typeof node !== 'string' || typeof typed !== 'string') return undefined
    if (ask === 'cut' || ask === 'heal') return { ask, node: '', line: typed }
    return ask === 'type' || ask === 'complete' || ask === 'road' || ask === 'routing'
      ? { ask, node, line: typed }
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
