import type { Instant } from '../base/time.ts'
import { dueAt, type Note, ordered, type SpoolEntry, type SpoolId } from '../spool/entry.ts'
import { type Claim, type Farewell, type Kept, type OwnMessage, REMEMBERED, type Spool } from '../spool/spool.ts'
import { Blocks } from './blocks.ts'
import { SpoolAsked } from './spool-asked.ts'

/** Octets of bodies a memory spool takes before it says that it is full. */
export const MEMORY_SPOOL_SIZE: number = 512 * 1024 * 1024

interface Held {
  entry: SpoolEntry
  readonly body: readonly Uint8Array[]
  claimedUntil: Instant
  putOffUntil: Instant
}

/** Messages in memory: for laboratories and tests. What it keeps, it keeps as long as the process lives. */
export class MemorySpool implements Spool {
  readonly lasts = false
  readonly #held = new Map<SpoolId, Held>()
  readonly #gone = new Map<SpoolId, SpoolEntry>()
  readonly #asked = new SpoolAsked({ scan: () => this.scan(), entry: id => this.#held.get(id)?.entry })
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
    this.#hold(entry, size, blocks.whole())
    return { kept: true }
  }

  #refuse(size: number): Kept {
    this.#size -= size
    return { kept: false, why: 'no-space', words: `the spool holds its ${this.#limit} octets` }
  }

  async claim(now: Instant, until: Instant, limit: number): Promise<readonly Claim[]> {
    const due = [...this.#held.values()]
      .map(held => ({ held, at: dueAt(held.entry) ?? Number.POSITIVE_INFINITY }))
      .filter(({ held, at }) => at <= now && Math.max(held.claimedUntil, held.putOffUntil) <= now)
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

  putOff({ entry }: Claim, until: Instant): void {
    const held = this.#held.get(entry.id)
    if (held?.entry.revision !== entry.revision) return
    held.claimedUntil = 0
    held.putOffUntil = until
  }

  async update({ entry }: Claim, next: SpoolEntry, report?: OwnMessage): Promise<boolean> {
    const held = this.#held.get(entry.id)
    if (!held || held.entry.revision !== entry.revision) return false
    held.entry = next
    held.claimedUntil = 0
    held.putOffUntil = 0
    this.#asked.changed(next)
    this.#add(report)
    return true
  }

  async remove({ entry }: Claim, { last, report }: Farewell = {}): Promise<boolean> {
    const held = this.#held.get(entry.id)
    if (!held || held.entry.revision !== entry.revision || !this.#held.delete(entry.id)) return false
    this.#asked.gone(held.entry)
    for (const { length } of held.body) this.#size -= length
    this.#add(report)
    if (last) {
      this.#gone.set(last.id, last)
      const [oldest] = this.#gone.keys()
      if (this.#gone.size > REMEMBERED && oldest !== undefined) this.#gone.delete(oldest)
    }
    return true
  }

  has(id: SpoolId): boolean {
    return this.#held.has(id)
  }

  async gone(id: SpoolId): Promise<SpoolEntry | undefined> {
    return this.#gone.get(id)
  }

  /** A report is taken beyond the limit: it stands for a message that had its room. */
  #add(report: OwnMessage | undefined): void {
    if (!report) return
    const { entry, body } = report
    this.#size += body.length
    this.#hold(entry, body.length, [body])
  }

  #hold(entry: SpoolEntry, size: number, body: readonly Uint8Array[]): void {
    this.#held.set(entry.id, { entry: { ...entry, size }, body, claimedUntil: 0, putOffUntil: 0 })
    this.#asked.changed(entry)
  }

  async *body(id: SpoolId): AsyncIterable<Uint8Array> {
    const held = this.#held.get(id)
    if (!held) throw new Error(`${id} is not in the spool`)
    yield* held.body
  }

  async hasten(order: Note): Promise<number> {
    let count = 0
    for (const held of this.#held.values()) {
      if (held.claimedUntil > order.at || dueAt(held.entry) === undefined) continue
      held.entry = ordered(held.entry, order)
      held.putOffUntil = 0
      count++
    }
    return count
  }

  async nextDue(): Promise<Instant | undefined> {
    let earliest: Instant | undefined
    for (const { entry, claimedUntil, putOffUntil } of this.#held.values()) {
      const due = dueAt(entry)
      if (due === undefined) continue
      const at = Math.max(due, claimedUntil, putOffUntil)
      if (earliest === undefined || at < earliest) earliest = at
    }
    return earliest
  }

  get count(): number {
    return this.#held.size
  }

  get unread(): number {
    return 0
  }

  async read(): Promise<void> {}

  get size(): number {
    return this.#size
  }

  async trouble(): Promise<string | undefined> {
    return this.#size < this.#limit ? undefined : `the spool holds its ${this.#limit} octets`
  }

  async *scan(): AsyncIterable<SpoolEntry> {
    yield* await this.list()
  }

  watch(domains: Iterable<string>): void {
    this.#asked.watch(domains)
  }

  waitingFor(domains: ReadonlySet<string>): AsyncIterable<SpoolEntry> {
    return this.#asked.waitingFor(domains)
  }

  async close(): Promise<void> {}

  async list(): Promise<readonly SpoolEntry[]> {
    return [...this.#held.values()].map(({ entry }) => entry).sort((a, b) => a.arrived - b.arrived)
  }
}
