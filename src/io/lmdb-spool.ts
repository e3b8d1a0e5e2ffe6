import { mkdirSync, readdirSync } from 'node:fs'
import { rm } from 'node:fs/promises'
import { dirname, join } from 'node:path'
import { crc32 } from 'node:zlib'
import { PosternError } from '../base/problem.ts'
import type { Duration, Instant } from '../base/time.ts'
import { DueTimes, type Timed } from '../spool/due.ts'
import { dueAt, type Note, ordered, type SpoolEntry, type SpoolId } from '../spool/entry.ts'
import type { SpoolRecord, StoredBody } from '../spool/record.ts'
import { type Claim, type Farewell, type Kept, type OwnMessage, REMEMBERED, type Spool } from '../spool/spool.ts'
import { FolderSync, syncFolder } from './folders.ts'
import { owner, ownerLives, sayOwner } from './owner.ts'
import { SpoolAsked } from './spool-asked.ts'
import { Backlog } from './spool-backlog.ts'
import { fileBody, IncomingBody } from './spool-body.ts'
import { type Refused, SpoolRoom } from './spool-room.ts'
import { ownRecord, pages, readStored, stored } from './stored-record.ts'
import { type Change, Tree } from './tree.ts'

/** Octets of bodies that a spool takes before it says that it is full, where nothing else is said. */
export const SPOOL_SIZE: number = 10 * 1024 ** 3
/**
 * Octets of a body that is kept in the tree; a larger one becomes a file. Small ones share their flush with others; large
 * ones would be held in memory whole, and want as many free pages in a row.
 */
export const IN_TREE = 131_072
/** Octets of the disk left alone, so that what becomes of a message can be written down when no more of them fit. */
export const LEFT_FREE: number = 16 * 1024 ** 2
/** How soon a change that could not be written is tried again. */
const TRY_AGAIN: Duration = 500
const TREE = 'queue.mdb'
const BODIES = 'bodies'

export interface LmdbSpoolOptions {
  /** Octets of bodies. */
  readonly limit?: number
  /** Octets up to which a body goes into the tree. */
  readonly inTree?: number
  /** Octets of the disk that are left alone. */
  readonly leftFree?: number
  /** Octets that the tree's file has ahead of what it uses. */
  readonly ahead?: number
  /** What an operator should know. */
  readonly note?: (what: string) => void
}

/** A message that came just now. */
interface Fresh {
  readonly record: SpoolRecord
  readonly content: Uint8Array
}

/**
 * Octets of bodies that are handed over to whoever sends them as they came: what came just now goes at once, mostly, and
 * need not be read, taken apart and summed up again. What does not fit is read from the tree.
 */
const FRESH = 16 * 1024 ** 2

/** What is known of an entry without reading it. */
interface Slot extends Timed, StoredBody {
  readonly id: SpoolId
  revision: number
  readonly size: number
  due: Instant | undefined
  claimedUntil: Instant
}

/**
 * Messages on disk: entries and small bodies in an LMDB tree, large bodies as files beside it. What `put` has kept survives
 * the end of the process and the loss of power: its commit was flushed, and a file and its name before that.
 *
 * One process at a time has a spool. Claims end with it: a new one starts with everything that was there, of which it knows
 * the number at once, and the rest as `read` goes on. What is asked for by its id, or listed, is there from the first moment.
 */
export class LmdbSpool implements Spool {
  readonly lasts = true
  readonly folder: string
  /** What its journal could not tell when it was opened, in words. */
  readonly lost: string | undefined
  readonly #tree: Tree
  readonly #bodies: string
  readonly #names: FolderSync
  readonly #inTree: number
  readonly #note: (what: string) => void
  readonly #slots = new Map<SpoolId, Slot>()
  readonly #due = new DueTimes<Slot>()
  readonly #asked = new SpoolAsked({
    scan: () => this.scan(),
    entry: id => (this.has(id) ? this.#record(id)?.entry : undefined),
  })
  /** The oldest first. */
  readonly #fresh = new Map<SpoolId, Fresh>()
  #freshSize = 0
  /** Ids of those that are gone, oldest first. */
  #remembered: SpoolId[] = []
  readonly #backlog: Backlog
  #reading: Promise<void> | undefined
  /** Names that were among the bodies when it was opened. */
  #files: readonly string[]
  #order: Note | undefined
  readonly #room: SpoolRoom
  /** Octets of the tree's file that are in use by what is read, about. */
  #inUse = 0
  #trying: Promise<Refused | undefined> | undefined
  #closed = false

  /** Opens the spool in a folder, or makes one there. A `PosternError` says in words why it cannot. */
  static open(folder: string, options: LmdbSpoolOptions = {}): LmdbSpool {
    try {
      return new LmdbSpool(folder, options)
    } catch (cause) {
      if (cause instanceof PosternError) throw cause
      throw spoolError(folder, cause)
    }
  }

  private constructor(
    folder: string,
    { limit = SPOOL_SIZE, inTree = IN_TREE, leftFree = LEFT_FREE, ahead, note = () => {} }: LmdbSpoolOptions,
  ) {
    this.folder = folder
    this.#inTree = inTree
    this.#note = note
    this.#bodies = join(folder, BODIES)
    mkdirSync(this.#bodies, { recursive: true, mode: 0o700 })
    this.#names = new FolderSync(this.#bodies)
    this.#tree = new Tree(join(folder, TREE), ahead === undefined ? {} : { ahead })
    try {
      this.#own()
      this.lost = sayLost(this.#tree.recover())
      if (this.lost !== undefined) note(`the journal of ${folder} ${this.lost}`)
      const inUse = () => (this.unread > 0 ? undefined : this.#inUse)
      this.#room = new SpoolRoom(folder, TREE, { limit, leftFree }, inUse)
      // The tree's own name, and the folder's, or all of it is gone after a loss of power, however well it was flushed.
      for (const made of [folder, dirname(folder)]) syncFolder(made)
      this.#backlog = new Backlog(this.#tree)
      this.#files = readdirSync(this.#bodies)
      this.#order = readOrder(this.#tree.meta(ORDER))
    } catch (cause) {
      void this.#tree.close()
      throw cause
    }
  }

  #own(): void {
    const us = owner()
    const other = this.#tree.exchange('owner', held =>
      held !== undefined && ownerLives(held) ? { result: held } : { put: us, result: undefined },
    )
    if (other === undefined) return
    throw new PosternError('POSTERN_SPOOL_IN_USE', `the spool ${this.folder} is in use by ${sayOwner(other)}`, {
      side: 'us',
      retry: 'later',
    })
  }

  read(some: () => void = () => {}): Promise<void> {
    this.#reading ??= this.#readAll(some)
    return this.#reading
  }

  async #readAll(some: () => void): Promise<void> {
    for (let isMore = true; isMore && !this.#closed; some()) {
      isMore = this.#readSome()
      await new Promise(resolve => setImmediate(resolve))
    }
    if (!this.#closed) await this.#sweep()
  }

  /** As many as there is time for while others wait; `false` once all are read. */
  #readSome(): boolean {
    const began = performance.now()
    do {
      const ids = this.#backlog.next(FEW)
      if (!ids) return false
      for (const id of ids) this.#enterOld(id)
    } while (performance.now() - began < SLICE)
    return true
  }

  #enterOld(id: SpoolId): void {
    const record = this.#record(id)
    // Nothing is thrown away because we cannot read it: `postern queue check` tells of it.
    if (record === undefined) this.#note(`the spool's record of ${id} cannot be read, and is left alone`)
    else this.#enter(record)
  }

  /** What is known of an entry; one that was not read yet since the start is read for it. */
  #slot(id: SpoolId): Slot | undefined {
    if (this.#backlog.take(id)) this.#enterOld(id)
    return this.#slots.get(id)
  }

  /** Takes away what a crash left of messages that were never acknowledged, and remembers who was gone before. */
  async #sweep(): Promise<void> {
    this.#remembered = [...new Set([...this.#tree.ids('gone'), ...this.#remembered])]
    for (const name of this.#files) {
      if (this.#closed) return
      if (this.#tree.entry(name) === undefined) await rm(join(this.#bodies, name), { force: true }).catch(() => {})
    }
    this.#files = []
    for (let after: SpoolId | undefined; !this.#closed; ) {
      const ids = this.#tree.ids('bodies', { after, limit: SCAN })
      after = ids.at(-1)
      if (after === undefined) return
      // A body and its entry come in one commit.
      const orphans = ids.filter(id => this.#tree.entry(id) === undefined)
      const remove: Change = ({ bodies }) => {
        for (const id of orphans) bodies.remove(id)
      }
      if (orphans.length > 0) await this.#tree.write(remove).catch(() => {})
      await new Promise(resolve => setImmediate(resolve))
    }
  }

  #enter({ entry, body }: SpoolRecord): void {
    this.#backlog.isNew(entry.id)
    const slot: Slot = {
      id: entry.id,
      revision: entry.revision,
      size: entry.size,
      place: body.place,
      sum: body.sum,
      due: dueAt(entry),
      claimedUntil: 0,
      at: undefined,
    }
    this.#slots.set(entry.id, slot)
    this.#asked.changed(entry)
    this.#room.size += entry.size
    this.#inUse += pages(entry.size, body)
    this.#schedule(slot)
  }

  #schedule(slot: Slot): void {
    if (slot.due === undefined) this.#due.delete(slot)
    else this.#due.set(slot, Math.max(slot.due, slot.claimedUntil))
  }

  #record(id: SpoolId): SpoolRecord | undefined {
    const read = readStored(this.#tree.entry(id))
    return 'wrong' in read ? undefined : { ...read, entry: ordered(read.entry, this.#order) }
  }

  // ── taking a message ─────────────────────────────────────────────────────────────────────────────────────────────

  async put(entry: SpoolEntry, body: AsyncIterable<Uint8Array>): Promise<Kept> {
    const arriving = new IncomingBody(this.#bodies, entry.id, this.#inTree)
    let size = 0
    let kept: Kept | undefined
    try {
      for await (const piece of body) {
        size += piece.length
        // What is under way counts, or many at once would pass the limit together.
        this.#room.size += piece.length
        const asked = this.#room.forMore(piece.length)
        kept = asked instanceof Promise ? await asked : asked
        if (kept) return kept
        const spilling = arriving.push(piece)
        if (spilling) kept = await refusal(() => spilling)
        if (kept) return kept
      }
      kept = (await refusal(() => arriving.finish(this.#names))) ?? (await this.#keep(entry, arriving))
      return kept
    } finally {
      this.#room.size -= size
      if (!kept?.kept) await arriving.discard()
    }
  }

  async #keep(entry: SpoolEntry, arriving: IncomingBody): Promise<Kept> {
    const { place, sum, size, content } = arriving
    const record: SpoolRecord = { entry: { ...entry, size }, body: { place, sum } }
    const text = stored(record)
    const change: Change = ({ entries, bodies }) => {
      if (content) bodies.add(entry.id, content)
      entries.add(entry.id, text)
    }
    const octets = text.length + (content?.length ?? 0)
    const refused = await refusal(() => this.#tree.write(change, { octets }))
    if (refused) return this.#room.why(refused, size)
    this.#enter(record)
    if (content) this.#hold({ record, content })
    return { kept: true }
  }

  #hold(fresh: Fresh): void {
    this.#fresh.set(fresh.record.entry.id, fresh)
    this.#freshSize += fresh.content.buffer.byteLength
    for (const id of this.#fresh.keys()) {
      if (this.#freshSize <= FRESH) break
      this.#drop(id)
    }
  }

  #drop(id: SpoolId): void {
    this.#freshSize -= this.#fresh.get(id)?.content.buffer.byteLength ?? 0
    this.#fresh.delete(id)
  }

  // ── working on it ────────────────────────────────────────────────────────────────────────────────────────────────

  async claim(now: Instant, until: Instant, limit: number): Promise<readonly Claim[]> {
    const claims: Claim[] = []
    while (claims.length < limit) {
      const slot = this.#due.take(now)
      if (!slot) break
      const claim = this.#claimed(slot, until)
      if (claim) claims.push(claim)
    }
    return claims
  }

  async take(id: SpoolId, now: Instant, until: Instant): Promise<Claim | undefined> {
    const slot = this.#slot(id)
    return !slot || slot.claimedUntil > now ? undefined : this.#claimed(slot, until)
  }

  #claimed(slot: Slot, until: Instant): Claim | undefined {
    const { id } = slot
    const fresh = this.#fresh.get(id)?.record
    const record = fresh ? { ...fresh, entry: ordered(fresh.entry, this.#order) } : this.#record(id)
    if (!record) {
      this.#note(`the spool's record of ${id} cannot be read any more, and is left alone`)
      return undefined
    }
    slot.claimedUntil = until
    this.#schedule(slot)
    return { entry: record.entry, until }
  }

  putOff({ entry: { id, revision } }: Claim, until: Instant): void {
    const slot = this.#slots.get(id)
    if (slot?.revision !== revision) return
    slot.claimedUntil = 0
    if (slot.due !== undefined) slot.due = Math.max(slot.due, until)
    this.#schedule(slot)
  }

  async update({ entry: { id, revision } }: Claim, next: SpoolEntry, report?: OwnMessage): Promise<boolean> {
    const slot = this.#slots.get(id)
    if (!slot || slot.revision !== revision) return false
    slot.revision = next.revision
    this.#asked.changed(next)
    this.#drop(id)
    const record = stored({ entry: next, body: bodyOf(slot) })
    await this.#certainly(`what became of ${id}`, report, ({ entries }) => entries.put(id, record))
    slot.claimedUntil = 0
    slot.due = dueAt(ordered(next, this.#order))
    this.#schedule(slot)
    return true
  }

  async remove({ entry }: Claim, { last, report }: Farewell = {}): Promise<boolean> {
    const { id, revision } = entry
    const slot = this.#slots.get(id)
    if (!slot || slot.revision !== revision) return false
    // Out of sight at once: it is done, and nobody may begin with it again.
    this.#slots.delete(id)
    this.#asked.gone(entry)
    this.#due.delete(slot)
    this.#drop(id)
    const forgotten = last ? this.#remember(last.id) : []
    await this.#certainly(`that ${id} is done`, report, ({ entries, bodies, gone }) => {
      entries.remove(id)
      if (slot.place === 'tree') bodies.remove(id)
      if (last) gone.put(id, stored({ entry: last, body: bodyOf(slot) }))
      for (const each of forgotten) gone.remove(each)
    })
    this.#room.size -= slot.size
    this.#inUse -= pages(slot.size, slot)
    // Its name may come back after a crash; whoever opens the spool then sweeps it away.
    if (slot.place === 'file') await rm(join(this.#bodies, id), { force: true }).catch(() => {})
    return true
  }

  /** The ids that are forgotten for it, once there are enough: two, where there are more than there should be. */
  #remember(id: SpoolId): readonly SpoolId[] {
    this.#remembered.push(id)
    const forgotten: SpoolId[] = []
    while (this.#remembered.length > REMEMBERED && forgotten.length < 2) forgotten.push(this.#remembered.shift() ?? '')
    return forgotten
  }

  async hasten(order: Note): Promise<number> {
    this.#order = order
    let count = 0
    for (const slot of this.#slots.values()) {
      // What is being tried just now keeps to what comes of that.
      if (slot.due === undefined || slot.claimedUntil > order.at) continue
      count++
      if (slot.due <= order.at) continue
      slot.due = order.at
      this.#schedule(slot)
    }
    await this.#tree.write(({ meta }) => meta.put(ORDER, Buffer.from(JSON.stringify(order))))
    return count + this.unread
  }

  has(id: SpoolId): boolean {
    return this.#slots.has(id) || this.#backlog.has(id)
  }

  async gone(id: SpoolId): Promise<SpoolEntry | undefined> {
    const read = readStored(this.#tree.gone(id))
    return 'wrong' in read ? undefined : read.entry
  }

  /**
   * Writes a change down however long it takes. Nobody else works on the message meanwhile: what was delivered is not
   * delivered again because the disk was full when it was to be recorded.
   */
  async #certainly(what: string, report: OwnMessage | undefined, change: Change): Promise<void> {
    const own = report && ownRecord(report)
    const whole: Change = tables => {
      change(tables)
      if (!own) return
      // In the tree whatever its size, so that it comes with what it tells of, or not at all.
      tables.bodies.add(own.entry.id, report.body)
      tables.entries.add(own.entry.id, stored(own))
    }
    const octets = RECORD + (report?.body.length ?? 0)
    for (let said = false; ; said = true) {
      try {
        // The message is there until then, so nothing is lost meanwhile.
        await this.#tree.write(whole, { octets, lazy: true })
        if (own) this.#enter(own)
        return
      } catch (cause) {
        if (!said) this.#note(`the spool cannot write down ${what}, and tries again: ${(cause as Error).message}`)
        if (this.#closed) throw cause
        await new Promise(resolve => setTimeout(resolve, TRY_AGAIN))
      }
    }
  }

  // ── looking at it ────────────────────────────────────────────────────────────────────────────────────────────────

  async *body(id: SpoolId): AsyncIterable<Uint8Array> {
    const slot = this.#slot(id)
    if (!slot) throw new Error(`${id} is not in the spool`)
    const fresh = this.#fresh.get(id)
    if (fresh) return yield fresh.content
    const { place, sum } = slot
    let found = 0
    for await (const piece of place === 'tree' ? this.#inTreeBody(id) : fileBody(join(this.#bodies, id))) {
      found = crc32(piece, found)
      yield piece
    }
    // Whoever reads on has not said that the message is whole: it stays here, and is not half sent.
    if (found !== sum) throw new Error(`the content of ${id} is not what came`)
  }

  async *#inTreeBody(id: SpoolId): AsyncIterable<Uint8Array> {
    const found = this.#tree.body(id)
    if (!found) throw new Error(`the content of ${id} is missing`)
    yield found
  }

  async nextDue(): Promise<Instant | undefined> {
    return this.#due.first()?.at
  }

  get count(): number {
    return this.#slots.size + this.#backlog.count
  }

  get unread(): number {
    return this.#backlog.count
  }

  get size(): number {
    return this.#room.size
  }

  /** A disk that went read-only shows only when something is written: an octet comes and goes, and is flushed. */
  async trouble(): Promise<string | undefined> {
    const wrong = await this.#room.trouble()
    if (wrong !== undefined) return wrong
    this.#trying ??= refusal(() =>
      this.#tree.write(({ bodies }) => {
        bodies.put(TRIAL, new Uint8Array(1))
        bodies.remove(TRIAL)
      }),
    ).finally(() => {
      this.#trying = undefined
    })
    const refused = await this.#trying
    return refused && `the spool ${this.folder} cannot be written: ${refused.words}`
  }

  async *scan(): AsyncIterable<SpoolEntry> {
    // Ids sort by time of arrival.
    for (let after: SpoolId | undefined; !this.#closed; ) {
      const ids = this.#tree.ids('entries', { after, limit: FEW })
      after = ids.at(-1)
      if (after === undefined) return
      for (const id of ids) {
        const record = this.has(id) ? this.#record(id) : undefined
        if (record) yield record.entry
      }
      await new Promise(resolve => setImmediate(resolve))
    }
  }

  async list(): Promise<readonly SpoolEntry[]> {
    const entries: SpoolEntry[] = []
    for await (const entry of this.scan()) entries.push(entry)
    return entries.sort((a, b) => a.arrived - b.arrived)
  }

  watch(domains: Iterable<string>): void {
    this.#asked.watch(domains)
  }

  waitingFor(domains: ReadonlySet<string>): AsyncIterable<SpoolEntry> {
    return this.#asked.waitingFor(domains)
  }

  /** Gives the spool back. Who still waits for a change is told that it was not written. */
  async close(): Promise<void> {
    if (this.#closed) return
    this.#closed = true
    // Whoever reads in a tree that is closed reads where nothing is.
    await this.#reading?.catch(() => {})
    await this.#tree.close(() => this.#tree.exchange('owner', () => ({ put: '', result: undefined })))
  }
}

/** Octets of a record, as a rule; one with thousands of recipients has more, and there is room for that. */
const RECORD = 8_192

function bodyOf({ place, sum }: Slot): StoredBody {
  return { place, sum }
}

/** The key of what is written to see whether it can be; no id is like it. */
const TRIAL = '!'

/** Ids looked at in one go while others wait, and records read. */
const SCAN = 1_000
const FEW = 50
/** So long records are read in one go, in milliseconds; then it is the others' turn. */
const SLICE: Duration = 5

/** What the tree calls the last order that all be tried. */
const ORDER = 'retried'

/** What cannot be read was no order. */
function readOrder(text: string | undefined): Note | undefined {
  try {
    const { at, what } = JSON.parse(text ?? '') as Readonly<Record<string, unknown>>
    return typeof at === 'number' && typeof what === 'string' ? { at, what } : undefined
  } catch {
    return undefined
  }
}

/** What a journal cannot tell any more, in words; nothing when it tells all. */
export function sayLost(gaps: number): string | undefined {
  if (gaps === 0) return undefined
  return `is damaged in ${gaps} ${gaps === 1 ? 'place' : 'places'}: what it told there is lost`
}

export function spoolError(folder: string, cause: unknown): PosternError {
  const why = (cause as Error).message
  return new PosternError('POSTERN_SPOOL', `the spool ${folder} cannot be opened: ${why}`, {
    side: 'us',
    retry: 'later',
    cause,
  })
}

/** What went wrong, as an answer; nothing when nothing did. */
async function refusal(work: () => unknown): Promise<Refused | undefined> {
  try {
    await work()
    return undefined
  } catch (cause) {
    const { code, message } = cause as NodeJS.ErrnoException
    return { kept: false, why: FULL.has(code ?? '') ? 'no-space' : 'fault', words: message }
  }
}

const FULL: ReadonlySet<string> = new Set(['ENOSPC', 'EDQUOT'])
