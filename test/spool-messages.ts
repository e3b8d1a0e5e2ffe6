/** Messages whose content follows from their id, so that whoever finds one can tell whether it is whole. */
import type { SpoolEntry } from '../src/spool/entry.ts'

/** Octets of one message after the other. */
export const SIZES: readonly number[] = [300, 4_000, 30_000, 100_000, 90]

export function entryOf(id: string): SpoolEntry {
  return {
    id,
    revision: 0,
    arrived: 0,
    expires: 1,
    envelope: {
      from: null,
      recipients: [{ to: { local: 'bob', domain: 'b.example' } }],
      smtputf8: false,
      body: '7bit',
    },
    size: 0,
    recipients: [{ kind: 'waiting', due: 0, attempts: 0 }],
    trail: [],
  }
}

export function contentOf(id: string, size: number): Buffer {
  return Buffer.alloc(size, `${id} `)
}

export async function* bodyOf(id: string, size: number): AsyncIterable<Uint8Array> {
  const content = contentOf(id, size)
  for (let at = 0; at < size; at += 7_000) yield content.subarray(at, at + 7_000)
}

export async function whole(body: AsyncIterable<Uint8Array>): Promise<Buffer> {
  const pieces: Uint8Array[] = []
  for await (const piece of body) pieces.push(piece)
  return Buffer.concat(pieces)
}
