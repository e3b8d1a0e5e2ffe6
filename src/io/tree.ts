import { dirname } from 'node:path'
import { type Database, open, type RootDatabase } from 'lmdb'
import { Journal, type JournalState } from './journal.ts'
import type { TableName } from './journal-form.ts'
import { type Doing, Layer, type Now, WAY } from './layer.ts'
import { TreeRoom } from './tree-room.ts'

/** A change, made together with others. */
export type Change = (tables: Tables) => void

export interface Tables {
  /** Id → record. */
  readonly entries: Table
  /** Id → content, where it is small. */
  readonly bodies: Table
  /** Id → record of what is gone. */
  readonly gone: Table
  /** What is said about the whole. */
  readonly meta: Table
}

/** A table that has ids. */
export type Listed = Exclude<TableName, 'meta'>

export interface Table {
  /** Under a key that there never was before. */
  add(key: string, value: Uint8Array): void
  put(key: string, value: Uint8Array): void
  remove(key: string): void
}

/** A change that waits to be written. */
interface Asked {
  readonly change: Change
  /** Octets of the tree's file that it may take at the most. */
  readonly need: number
  readonly lazy: boolean
  readonly settle: (cause?: unknown) => void
}

/**
 * What a spool knows: a B+ tree (LMDB), and before it a journal, which is flushed once for all changes that come while a
 * flush is under way. What is in the journal is held in memory as well, and goes into the tree a few hundred changes at a
 * time, while the other file of the journal is written; most messages have come and gone by then.
 *
 * `overlappingSync` is off: lmdb's promise then means that the commit was flushed, and a flush that fails fails the commit.
 * (With it on the promise means less, and a failed flush is told to nobody.) Its own batching by event turn is off, too:
 * when such a commit fails, a promise that nobody holds is rejected, and ends the process.
 */
export class Tree {
  readonly #root: RootDatabase<Buffer, string>
  readonly #tables: Readonly<Record<Listed, Database<Buffer, string>>>
  readonly #meta: Database<string, string>
  readonly #path: string
  /** Absent where nothing is written. */
  readonly #room: TreeRoom | undefined
  #journal: Journal | undefined
  /** What is in the file of the journal that is written, and what leaves the journal and is not in the tree yet. */
  #layer = new Layer()
  #leaving: Layer | undefined
  #committing: Promise<unknown> | undefined
  #waiting: Asked[] = []
  #writing: Promise<void> | undefined
  /** Does somebody wait who is to be waited for? */
  #isUrgent = false
  #timer: NodeJS.Timeout | undefined

  /** `ahead`: octets of the tree's file that are kept ahead of what is in use. */
  constructor(path: string, { readOnly = false, ahead = AHEAD }: TreeOptions = {}) {
    this.#path = path
    this.#root = open<Buffer, string>({
      path,
      noSubdir: true,
      encoding: 'binary',
      maxDbs: 8,
      mapSize: MAP_SIZE,
      overlappingSync: false,
      eventTurnBatching: false,
      readOnly,
    })
    const table = (name: Listed) => this.#root.openDB<Buffer, string>({ name, encoding: 'binary' })
    this.#tables = { entries: table('entries'), bodies: table('bodies'), gone: table('gone') }
    this.#meta = this.#root.openDB({ name: 'meta', encoding: 'string' })
    const tables = [...Object.values(this.#tables), this.#meta]
    this.#room = readOnly ? undefined : new TreeRoom(path, ahead, this.#root, tables)
  }

  /**
   * Reads what the journal has and the tree has not, and begins to write it; for the owner, or for who only reads. How many
   * times something is missing in it: what it told there is lost.
   */
  recover(): number {
    const folder = dirname(this.#path)
    const kept = this.#meta?.get(JOURNAL)
    const known = readState(kept)
    const state = known ?? Journal.begin()
    const told = Journal.read(folder, state)
    const gaps = told.gaps + (kept !== undefined && !known ? 1 : 0)
    const layer = new Layer()
    for (const { steps, number } of told.groups) layer.take(steps, number)
    this.#leaving = layer
    if (!this.#room) return gaps
    // Before the first group is: what has not its salt is none.
    if (!known) this.#meta.putSync(JOURNAL, writeState(state))
    this.#journal = new Journal(folder, this.#room.commit, state, told)
    this.#room.look()
    return gaps
  }

  entry(id: string): Buffer | undefined {
    return this.#get('entries', id)
  }

  body(id: string): Buffer | undefined {
    return this.#get('bodies', id)
  }

  gone(id: string): Buffer | undefined {
    return this.#get('gone', id)
  }

  #get(table: Listed, id: string): Buffer | undefined {
    const now = this.#now(table, id)
    return now === undefined ? this.#tables[table]?.getBinary(id) : now === null ? undefined : buffer(now)
  }

  #now(table: TableName, key: string): Now | undefined {
    const now = this.#layer.get(table, key)
    return now === undefined ? this.#leaving?.get(table, key) : now
  }

  /** What each key of a table is that is not in the tree yet. */
  #changed(table: Listed): ReadonlyMap<string, Now> {
    return new Map([...(this.#leaving?.of(table) ?? []), ...this.#layer.of(table)])
  }

  /** Ids of a table, in their order, as they are now: all, or so many behind one. */
  ids(
    table: Listed,
    { after, limit }: { readonly after?: string | undefined; readonly limit?: number } = {},
  ): string[] {
    const changed = [...this.#changed(table)].filter(([id]) => after === undefined || id > after)
    const gone = changed.filter(([, now]) => now === null).length
    const range = {
      ...(after !== undefined && { start: after, exclusiveStart: true }),
      ...(limit !== undefined && { limit: limit + gone }),
    }
    // Of a tree that was never written to, a table may not be there yet.
    const keys = [...(this.#tables[table]?.getKeys(range) ?? [])]
    if (changed.length === 0) return keys
    const ids = new Set(keys)
    for (const [id, now] of changed) {
      if (now) ids.add(id)
      else ids.delete(id)
    }
    return [...ids].sort().slice(0, limit)
  }

  /** The last id of a table, as they sort. */
  last(table: Listed): string | undefined {
    const changed = this.#changed(table)
    let last: string | undefined
    for (const id of this.#tables[table]?.getKeys({ reverse: true }) ?? []) {
      last = id
      if (changed.get(id) !== null) break
      last = undefined
    }
    for (const [id, now] of changed) if (now && (last === undefined || id > last)) last = id
    return last
  }

  /** How many there are in a table; nothing of it is read for that. */
  count(table: Listed): number {
    const of = this.#tables[table]
    let count = (of?.getStats() as { readonly entryCount: number } | undefined)?.entryCount ?? 0
    for (const [id, now] of this.#changed(table)) {
      const isBeneath = of?.doesExist(id) ?? false
      if (now && !isBeneath) count++
      if (!now && isBeneath) count--
    }
    return count
  }

  /**
   * What is said about the whole, changed by one process at a time, in the tree at once. Blocks; for the start, and not for
   * mail.
   */
  exchange<T>(key: string, swap: (held: string | undefined) => { readonly put?: string; readonly result: T }): T {
    return this.#meta.transactionSync(() => {
      const { put, result } = swap(this.#meta.get(key))
      if (put !== undefined) this.#meta.putSync(key, put)
      return result
    })
  }

  meta(key: string): string | undefined {
    const now = this.#now('meta', key)
    return now === undefined ? this.#meta?.get(key) : now === null ? undefined : buffer(now).toString()
  }

  /**
   * Resolves when the change is on disk; rejects when it is not, and then it is as if it had never been asked for. `octets`:
   * what it puts there. `lazy`: it can wait a moment for one that cannot, and take no flush of its own; and it is about what
   * is kept already.
   */
  write(
    change: Change,
    { octets = 0, lazy = false }: { readonly octets?: number; readonly lazy?: boolean } = {},
  ): Promise<void> {
    return new Promise((resolve, reject) => {
      const settle = (cause?: unknown) => (cause === undefined ? resolve() : reject(cause))
      this.#waiting.push({ change, need: 2 * octets + (lazy ? KEYS.kept : KEYS.new) * WAY, lazy, settle })
      if (!lazy) this.#isUrgent = true
      this.#next()
    })
  }

  #next(): void {
    if (this.#writing || this.#waiting.length === 0) return
    if (this.#isUrgent) this.#begin()
    else this.#timer ??= setTimeout(() => this.#begin(), LAZY)
  }

  #begin(): void {
    clearTimeout(this.#timer)
    this.#timer = undefined
    this.#writing ??= this.#writeGroup().finally(() => {
      this.#writing = undefined
      this.#next()
    })
  }

  async #writeGroup(): Promise<void> {
    // Who is busy finds more in each turn of the loop, and an idle one turns in no time.
    for (let turn = 0; turn < TURNS; turn++) await new Promise(resolve => setImmediate(resolve))
    const group = this.#group()
    this.#isUrgent = this.#waiting.length > 0
    let fitting = this.#fitting(group)
    // What is promised may turn out to take less.
    if (fitting.length < group.length && this.#promised > 0 && !(await this.#drain())) fitting = this.#fitting(group)
    for (const asked of fitting.length < group.length ? group : []) {
      if (fitting.includes(asked)) continue
      asked.settle(Object.assign(new Error(`no space is left on the disk of ${this.#path}`), { code: 'ENOSPC' }))
    }
    if (fitting.length === 0) return
    const need = fitting.reduce((sum, each) => sum + each.need, 0)
    const cause = await this.#keep(doings(fitting.map(({ change }) => change)), need)
    for (const { settle } of fitting) settle(cause)
  }

  /** Who is written together next: as many as one commit takes. */
  #group(): readonly Asked[] {
    let need = 0
    const end = this.#waiting.findIndex(each => {
      need += each.need
      return need > this.#most
    })
    return this.#waiting.splice(0, end < 0 ? this.#waiting.length : Math.max(1, end))
  }

  /** Octets of the tree's file that one commit may take. */
  get #most(): number {
    return this.#room?.commit ?? 0
  }

  /** Those for whom the tree will have room. */
  #fitting(group: readonly Asked[]): readonly Asked[] {
    // There may be more by now.
    if (this.#promised === 0) this.#room?.look()
    return this.#room?.fitting(group, this.#promised) ?? []
  }

  /** Octets that the tree may take for what is not in it yet. */
  get #promised(): number {
    return this.#layer.need + (this.#leaving?.need ?? 0)
  }

  /** What went wrong; nothing when it is on disk. */
  async #keep(steps: readonly Doing[], need: number): Promise<unknown> {
    const journal = this.#journal
    if (!journal) return new Error(`the journal of ${this.#path} was not read`)
    const group = journal.group(steps)
    if (this.#layer.need + need > this.#most || !journal.fits(group)) {
      const cause = await this.#turn()
      if (cause) return cause
    }
    // Too large for any journal, or the disk had no room for one.
    if (!journal.fits(group)) {
      const layer = new Layer()
      layer.take(steps, group.number)
      const cause = (await this.#drain()) ?? (await this.#commit(layer))
      if (!cause) journal.holds(group)
      return cause
    }
    try {
      await journal.append(group)
    } catch (cause) {
      return cause
    }
    this.#layer.take(steps, group.number)
    return undefined
  }

  /** Begins with a file of the journal of which nothing is missing in the tree. What went wrong, if it cannot. */
  async #turn(): Promise<unknown> {
    const cause = await this.#leave()
    if (cause) return cause
    this.#leaving = this.#layer
    this.#layer = new Layer()
    this.#journal?.turn()
    void this.#leave()
    return undefined
  }

  /** All that was written is in the tree afterwards. */
  async #drain(): Promise<unknown> {
    return (await this.#turn()) ?? (await this.#leave())
  }

  /** Puts into the tree what leaves the journal. */
  async #leave(): Promise<unknown> {
    const leaving = this.#leaving
    if (!leaving) return undefined
    this.#committing ??= this.#commit(leaving).then(cause => {
      this.#committing = undefined
      if (cause) return cause
      this.#leaving = undefined
      this.#journal?.release()
      this.#room?.look()
      return undefined
    })
    return this.#committing
  }

  /** What went wrong; nothing when all of it is in the tree, and on disk. */
  async #commit(layer: Layer): Promise<unknown> {
    if (layer.number === 0) return undefined
    try {
      await this.#root.batch(() => {
        for (const name of LISTED) apply(layer.of(name), this.#tables[name], buffer)
        apply(layer.of('meta'), this.#meta, value => buffer(value).toString())
        const state = this.#journal?.state(layer.number)
        if (state) apply(new Map([[JOURNAL, writeState(state)]]), this.#meta, text => text)
      })
      return undefined
    } catch (cause) {
      // The error beneath is a promise of its own, and would be another that nobody holds.
      const beneath = (cause as { readonly commitError?: Promise<never> }).commitError
      return (await beneath?.catch(why => why)) ?? cause
    }
  }

  /** Until nothing waits, and the tree has all that there is, or cannot take it: then the journal has it still. */
  async #finish(): Promise<void> {
    while (this.#waiting.length > 0 || this.#writing) {
      this.#begin()
      await this.#writing
    }
    // Who never read the journal does not know what is in it.
    if (this.#journal) await this.#drain()
  }

  /** `last`: what is said about the whole once all else is written. */
  async close(last: () => void = () => {}): Promise<void> {
    await this.#finish()
    try {
      last()
    } finally {
      await this.#root.close()
      this.#journal?.close()
      this.#room?.close()
    }
  }
}

interface TreeOptions {
  readonly readOnly?: boolean
  readonly ahead?: number
}

/** Octets of the tree's file that are kept ahead of what is in use. */
const AHEAD = 32 * 1024 ** 2
/** Keys that a change may be about: of a message that is new its two, else those of its end, of what is forgotten for it, and of a report. */
const KEYS = { new: 2, kept: 7 } as const

/**
 * Octets of addresses that the file has to itself from the start. They cost nothing, and the map need not be moved while
 * somebody reads in it.
 */
const MAP_SIZE = 64 * 1024 ** 3

/** Turns of the event loop in which what is asked for joins a group. */
const TURNS = 6

/** How long a change waits for others that are in more of a hurry, in milliseconds. */
const LAZY = 10

const LISTED: readonly Listed[] = ['entries', 'bodies', 'gone']

/** What the tree calls the state of its journal. */
const JOURNAL = 'journal'

function writeState({ salt, number }: JournalState): string {
  return JSON.stringify({ salt: salt.toString('hex'), number })
}

/** Nothing where it cannot be read. */
function readState(text: string | undefined): JournalState | undefined {
  try {
    const { salt, number } = JSON.parse(text ?? '') as Readonly<Record<string, unknown>>
    if (typeof salt !== 'string' || typeof number !== 'number') return undefined
    return { salt: Buffer.from(salt, 'hex'), number }
  } catch {
    return undefined
  }
}

/** What changes do, in their order. */
function doings(changes: readonly Change[]): readonly Doing[] {
  const steps: Doing[] = []
  const table = (name: TableName): Table => ({
    add: (key, value) => steps.push({ table: name, key, value, isNew: true }),
    put: (key, value) => steps.push({ table: name, key, value }),
    remove: key => steps.push({ table: name, key, value: undefined }),
  })
  const tables = { entries: table('entries'), bodies: table('bodies'), gone: table('gone'), meta: table('meta') }
  for (const change of changes) change(tables)
  return steps
}

/** Their promises tell the same as the batch's; each must be held all the same. */
function apply<From, To>(
  changed: ReadonlyMap<string, From | null>,
  to: Database<To, string>,
  form: (value: From) => To,
): void {
  const ignored = () => {}
  for (const [key, now] of changed) void (now === null ? to.remove(key) : to.put(key, form(now))).catch(ignored)
}

function buffer(octets: Uint8Array): Buffer {
  return Buffer.isBuffer(octets) ? octets : Buffer.from(octets.buffer, octets.byteOffset, octets.length)
}
