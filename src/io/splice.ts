import type net from 'node:net'
import type { Duplex } from 'node:stream'
import { concat } from '../base/bytes.ts'
import type { Duration } from '../base/time.ts'
import type { Ending } from '../firewall/event.ts'
import type { Inspector, Side } from '../firewall/inspector.ts'
import type { Explanation } from '../firewall/verdict.ts'

/** A connection on which nothing moves for this long is forgotten (PIX: `timeout conn 1:00:00`). */
export const CONNECTION_IDLE: Duration = 3_600_000

/** What passed, so far. */
export interface Passage {
  fromClient: number
  fromServer: number
  altered: number
  /** How it ended, once it has. */
  ending: Ending
}

/** Whoever writes down what passes: a segment as it came, and as it went on. */
export interface Watch {
  passed(by: 'C' | 'S', segment: Uint8Array, heard: Uint8Array): void
  ended(by: 'C' | 'S'): void
}

/**
 * Joins two sockets, with an inspector between them or none: every chunk one side sends leaves as one chunk of the same
 * length on the other. Whoever does not read stops the other from sending.
 */
export function splice(
  client: Duplex,
  server: Duplex,
  inspector: Inspector | undefined,
  onAltered: (explanation: Explanation) => void,
  watch?: Watch,
): { readonly passage: Passage; readonly over: Promise<void> } {
  const passage: Passage = { fromClient: 0, fromServer: 0, altered: 0, ending: 'TCP FINs' }
  // One of them is gone already, and will not say so again.
  if (client.destroyed || server.destroyed) {
    reset(client)
    reset(server)
    return { passage, over: Promise.resolve() }
  }
  const ends = { client, server }

  const pass = (from: Side, chunk: Uint8Array): void => {
    if (from === 'client') passage.fromClient += chunk.length
    else passage.fromServer += chunk.length
    const to = from === 'client' ? server : client
    const by = from === 'client' ? 'C' : 'S'
    if (!inspector) {
      watch?.passed(by, chunk, chunk)
      return forward(from, to, chunk)
    }
    const heard: Uint8Array[] = []
    for (const output of inspector.receive(from, chunk)) {
      if (output.kind === 'forward') {
        heard.push(output.bytes)
        forward(from, to, output.bytes)
      } else {
        passage.altered++
        onAltered(output.explanation)
      }
    }
    watch?.passed(by, chunk, concat(heard))
  }

  const forward = (from: Side, to: Duplex, bytes: Uint8Array): void => {
    if (to.write(bytes)) return
    const source = ends[from]
    source.pause()
    to.once('drain', () => source.resume())
  }

  const over = new Promise<void>(resolve => {
    let open = 2
    const closed = () => {
      if (--open === 0) resolve()
    }
    for (const [from, to, side] of [
      [client, server, 'client'],
      [server, client, 'server'],
    ] as const) {
      from.on('data', (chunk: Uint8Array) => {
        try {
          pass(side, chunk)
        } catch {
          // We are wrong: this connection ends, and no other.
          passage.ending = 'TCP Reset'
          reset(client)
          reset(server)
        }
      })
      from.on('end', () => {
        watch?.ended(side === 'client' ? 'C' : 'S')
        to.end()
      })
      from.on('error', () => reset(to))
      from.on('close', () => {
        // A side that vanished without an end takes the other with it.
        if (!from.readableEnded) {
          if (passage.ending === 'TCP FINs') passage.ending = 'TCP Reset'
          reset(to)
        }
        closed()
      })
      idle(from, () => {
        passage.ending = 'Conn-timeout'
        from.destroy()
        to.destroy()
      })
    }
  })
  server.resume()
  client.resume()
  return { passage, over }
}

function idle(side: Duplex, gone: () => void): void {
  const socket = side as Partial<net.Socket>
  socket.setTimeout?.(CONNECTION_IDLE, gone)
}

/** As a reset where the transport knows one: the other side must not take half for the whole. */
export function reset(side: Duplex): void {
  const socket = side as Partial<net.Socket>
  if (side.destroyed) return
  if (socket.resetAndDestroy) socket.resetAndDestroy()
  else side.destroy()
}
