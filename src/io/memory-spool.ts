import type { Instant } from '../base/time.ts'
import { dueAt, type SpoolEntry, type SpoolId } from '../spool/entry.ts'
import type { Claim, Kept, Spool } from '../spool/spool.ts'

/** Octets of bodies a memory spool takes before it says that it is full. */
export const MEMORY_SPOOL_SIZE: number = 512 * 1024 * 1024

interface Held {
  entry: SpoolEntry
  readonly body: readonly Uint8Array[]
  claimedUntil: Instant
}

/** Messages in memory: for laboratories and tests. What it keeps, it keeps as long as the process lives. */
export class MemorySpool implements Spool {
  readonly #held = new Map<SpoolId, Held>()
  readonly #limit: number
  #size = 0

  constructor({ limit = MEMORY_SPOOL_SIZE }: { readonly limit?: number } = {}) {
    this.#limit = limit
  }

  async put(entry: SpoolEntry, body: AsyncIterable<Uint8Array>): Promise<Kept> {
    const blocks = new Blocks()
    let size = 0
    try {
      for await (const piece of body) {
        size += piece.length
        // What is under way counts, or many at once would pass the limit together.
        this.#size += piece.length
        if (this.#size > this.#limit) return this.#refuse(size)
        blocks.push(piece)
      }
    } catch (cause) {
      this.#size -= size
      throw cause
    }
    this.#held.set(entry.id, { entry: { ...entry, size }, body: blocks.whole(), claimedUntil: 0 })
    return { kept: true }
  }

  #refuse(size: number): Kept {
    this.#size -= size
    return { kept: false, why: 'no-space', words: `the spool holds its ${this.#limit} octets` }
  }

  async claim(now: Instant, until: Instant, limit: number): Promise<readonly Claim[]> {
    const due = [...this.#held.values()]
      .map(held => ({ held, at: dueAt(held.entry) ?? Number.POSITIVE_INFINITY }))
      .filter(({ held, at }) => at <= now && held.claimedUntil <= now)
      .sort((a, b) => a.at - b.at)
      .slice(0, limit)
    return due.map(({ held }) => {
      held.claimedUntil = until
      return { entry: held.entry, until }
    })
  }

  async take(id: SpoolId, now: Instant, until: Instant): Promise<Claim | undefined> {
    const held = this.#held.get(id)
    if (!held || held.claimedUntil > now) return undefined
    held.claimedUntil = until
    return { entry: held.entry, until }
  }

  async update({ entry }: Claim, next: SpoolEntry): Promise<boolean> {
    const held = this.#held.get(entry.id)
    if (!held || held.entry.revision !== entry.revision) return false
    held.entry = next
    held.claimedUntil = 0
    return true
  }

  async remove({ entry }: Claim): Promise<void> {
    const held = this.#held.get(entry.id)
    if (!held || held.entry.revision !== entry.revision || !this.#held.delete(entry.id)) return
    for (const { length } of held.body) this.#size -= length
  }

  async *body(id: SpoolId): AsyncIterable<Uint8Array> {
    const held = this.#held.get(id)
    if (!held) throw new Error(`${id} is not in the spool`)
    yield* held.body
  }

  async nextDue(): Promise<Instant | undefined> {
    let earliest: Instant | undefined
    for (const { entry, claimedUntil } of this.#held.values()) {
      const due = dueAt(entry)
      if (due === undefined) continue
      const at = Math.max(due, claimedUntil)
      if (earliest === undefined || at < earliest) earliest = at
    }
    return earliest
  }

  async list(): Promise<readonly SpoolEntry[]> {
    return [...this.#held.values()].map(({ entry }) => entry).sort((a, b) => a.arrived - b.arrived)
  }
}

/** Octets of a block. */
const BLOCK = 65_536

/** Pieces gathered into blocks: copied, for a piece may be a window on a socket's buffer, and joined, for it may be one octet. */
class Blocks {
  readonly #full: Uint8Array[] = []
  #block: Uint8Array = new Uint8Array(0)
  #used = 0

  push(piece: Uint8Array): void {
    for (let at = 0; at < piece.length; ) {
      if (this.#used === this.#block.length) this.#next(piece.length - at)
      const part = piece.subarray(at, at + this.#block.length - this.#used)
      this.#block.set(part, this.#used)
      this.#used += part.length
      at += part.length
    }
  }

  #next(wanted: number): void {
    if (this.#used > 0) this.#full.push(this.#block)
    // A small message gets a small block.
    const size = this.#full.length === 0 && this.#used === 0 ? Math.max(1024, wanted) : BLOCK
    this.#block = new Uint8Array(Math.min(size, BLOCK))
    this.#used = 0
  }

  whole(): readonly Uint8Array[] {
    return [...this.#full, this.#block.subarray(0, this.#used)]
  }
}
