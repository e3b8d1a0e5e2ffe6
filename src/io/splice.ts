import { Socket } from 'node:net'
import { concat } from '../base/bytes.ts'
import type { Duration } from '../base/time.ts'
import type { Ending } from '../firewall/event.ts'
import { CONNECTION_IDLE, type Inspector, type InspectorOutput, type Side } from '../firewall/inspector.ts'
import type { Explanation } from '../firewall/verdict.ts'
import { Alarm } from './alarm.ts'
import { now } from './clock.ts'
import type { Channel } from './sockets.ts'
import { lasting, resetSocket, Tcp } from './tcp.ts'

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
  /** Nothing more will pass. */
  close(): void
}

/**
 * Joins two sockets, with an inspector between them or none: every chunk one side sends leaves as one chunk of the same
 * length on the other. Whoever does not read stops the other from sending.
 */
export function splice(
  client: Channel,
  server: Channel,
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
  let movedAt = now()

  const pass = (from: Side, chunk: Uint8Array): void => {
    const time = now()
    movedAt = time
    if (from === 'client') passage.fromClient += chunk.length
    else passage.fromServer += chunk.length
    const to = from === 'client' ? server : client
    if (!inspector) {
      watch?.passed(from === 'client' ? 'C' : 'S', chunk, chunk)
      return forward(from, to, chunk)
    }
    const outputs = inspector.receive(from, chunk, time)
    for (const output of outputs) {
      if (output.kind === 'altered') {
        passage.altered++
        onAltered(output.explanation)
      } else if (output.kind === 'close') {
        passage.ending = 'Flow closed by inspection'
        if (output.how === 'reset') reset(client)
        else client.destroy()
        // The server must not take half a message for the whole.
        reset(server)
      } else if (output.notBefore !== undefined && output.notBefore > time) {
        const late = lasting(output.bytes)
        hold(from, output.notBefore - time, () => forward(from, to, late))
      } else forward(from, to, output.bytes)
    }
    watch?.passed(from === 'client' ? 'C' : 'S', chunk, heardOf(outputs))
  }

  /** Sides that are not read, and for how many reasons. */
  const stopped = { client: 0, server: 0 }
  const pause = (side: Side): void => {
    if (stopped[side]++ === 0) ends[side].pause()
  }
  const resume = (side: Side): void => {
    if (--stopped[side] === 0) ends[side].resume()
  }

  const hold = (from: Side, wait: Duration, then: () => void): void => {
    pause(from)
    const forget = (): void => clearTimeout(timer)
    const timer = setTimeout(() => {
      ends[from].off('close', forget)
      then()
      resume(from)
    }, wait)
    ends[from].once('close', forget)
  }

  const forward = (from: Side, to: Channel, bytes: Uint8Array): void => {
    if (send(to, bytes)) return
    pause(from)
    to.once('drain', () => {
      // Whoever takes it in slowly is not idle.
      movedAt = now()
      resume(from)
    })
  }

  // Set anew when it rings, and not with every segment.
  const idle = new Alarm(() => {
    const due = movedAt + CONNECTION_IDLE
    if (due > now()) return idle.set(due)
    passage.ending = 'Conn-timeout'
    client.destroy()
    server.destroy()
  })
  idle.set(movedAt + CONNECTION_IDLE)

  const over = new Promise<void>(resolve => {
    let open = 2
    const closed = () => {
      if (--open > 0) return
      idle.off()
      resolve()
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
    }
  })
  server.resume()
  client.resume()
  return { passage, over }
}

function heardOf(outputs: readonly InspectorOutput[]): Uint8Array {
  return concat(outputs.flatMap(output => (output.kind === 'forward' ? [output.bytes] : [])))
}

/** Writes octets that may be the caller's for this moment only. */
function send(to: Channel, octets: Uint8Array): boolean {
  return to.write(to instanceof Tcp ? octets : lasting(octets))
}

/** As a reset where the transport knows one: the other side must not take half for the whole. */
export function reset(side: Channel): void {
  if (side.destroyed) return
  if (side instanceof Socket) resetSocket(side)
  else if (side.resetAndDestroy) side.resetAndDestroy()
  else side.destroy()
}
