import { randomBytes } from 'node:crypto'
import { closeSync, existsSync, fstatSync, openSync, readFileSync, writeSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { type Database, open, type RootDatabase } from 'lmdb'
import { type Group, readGroups, SALT, since, type TableName, writeGroup } from './journal.ts'
import { JournalFile } from './journal-file.ts'
import { type Doing, Layer, type Now } from './layer.ts'

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

/** What goes into the tree, and the files of the journal that are free then. */
interface Leaving {
  readonly layer: Layer
  readonly files: readonly JournalFile[]
}

/**
 * What a spool knows: a B+ tree (LMDB), and before it a journal, which is flushed once for all changes that come while a
 * flush is under way. What is in the journal is held in memory as well, and goes into the tree a few hundred changes at a
 * time, while the other file of the journal is written; most messages have come and gone by then.
 *
 * `overlappingSync` is off: lmdb's promise then means that the commit was flushed, and a flush that fails fails the commit.
 * (With it on the promise means less, and a failed flush is told to nobody.) Its own batching by event turn is off, too:
 * when such a commit fails, a promise that nobody holds is rejected, and ends the process.
 *
 * LMDB never meets a full disk, for there it may take the process with it (SIGABRT in the midst of a commit): the file has
 * blocks ahead of what is in use, and what would not fit into them is refused with ENOSPC before it is begun. What came of
 * messages that are kept may use the last of them, new messages may not.
 */
export class Tree {
  readonly #root: RootDatabase<Buffer, string>
  readonly #tables: Readonly<Record<Listed, Database<Buffer, string>>>
  readonly #meta: Database<string, string>
  readonly #path: string
  readonly #readOnly: boolean
  readonly #aheadWanted: number
  /** The file, to add to it; absent where nothing is written. */
  readonly #file: number | undefined
  #waiting: Asked[] = []
  #writing: Promise<void> | undefined
  /** Does somebody wait who is to be waited for? */
  #isUrgent = false
  #timer: NodeJS.Timeout | undefined

  /** What the journal's groups begin with, once it was read. */
  #salt: Buffer | undefined
  /** The last group that holds, and the last that was tried. */
  #last = 0
  #tried = 0
  /** The file of the journal that is written, and what is in it. */
  #journal: JournalFile | undefined
  #layer = new Layer()
  #idle: JournalFile[] = []
  #leaving: Leaving | undefined
  #committing: Promise<unknown> | undefined
  /** Octets of the tree's file behind what is in use, at the last look. */
  #room = 0

  /** `ahead`: octets of the tree's file that are kept ahead of what is in use. */
  constructor(path: string, { readOnly = false, ahead = AHEAD }: TreeOptions = {}) {
    this.#path = path
    this.#readOnly = readOnly
    this.#aheadWanted = ahead
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
    // Now, for later it may have been moved, or there may be no more files.
    this.#file = readOnly ? undefined : openSync(path, 'r+')
  }

  /**
   * Reads what the journal has and the tree has not, and begins to use it; for its owner, or who only reads. How many times
   * something is missing in it: what was in it there is lost.
   */
  recover(): number {
    const paths = JOURNALS.map(name => join(dirname(this.#path), name))
    const { salt, number } = readState(this.#meta?.get(JOURNAL))
    const found: Group[] = []
    if (salt) for (const path of paths.filter(existsSync)) found.push(...readGroups(readFileSync(path), salt))
    const { groups, gaps } = since(number, found)
    this.#last = number
    for (const { steps, number } of groups) {
      this.#layer.take(steps, number)
      this.#last = number
    }
    this.#tried = Math.max(this.#last, ...found.map(each => each.number))
    if (this.#readOnly) return gaps
    this.#salt = salt ?? randomBytes(SALT)
    if (!salt) this.#meta.putSync(JOURNAL, state(this.#salt, number))
    const files = paths.flatMap(path => JournalFile.open(path, this.#aheadWanted * PART) ?? [])
    // Neither is written before what is in them is in the tree.
    this.#leaving = { layer: this.#layer, files }
    this.#layer = new Layer()
    this.#room = this.#ahead()
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
    return now === undefined ? this.#leaving?.layer.get(table, key) : now
  }

  /** What each key of a table is that is not in the tree yet. */
  #changed(table: Listed): ReadonlyMap<string, Now> {
    return new Map([...(this.#leaving?.layer.of(table) ?? []), ...this.#layer.of(table)])
  }

  /** Ids of a table, in their order, as they are now: all, or so many behind one. */
  ids(
    table: Listed,
    { after, limit }: { readonly after?: string | undefined; readonly limit?: number } = {},
  ): string[] {
    const changed = [...this.#changed(table)].filter(([id]) => after === undefined || id > after)
    const range = {
      ...(after !== undefined && { start: after, exclusiveStart: true }),
      // Any of these may be gone.
      ...(limit !== undefined && { limit: limit + changed.length }),
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
      this.#waiting.push({ change, need: 2 * octets + CHANGE, lazy, settle })
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
    // What else is asked for in this turn of the loop joins in.
    await new Promise(resolve => setImmediate(resolve))
    const group = this.#group()
    this.#isUrgent = this.#waiting.length > 0
    let fitting = this.#fitting(group)
    // What is promised may turn out to take less.
    if (fitting.length < group.length && this.#promised > 0 && !(await this.#drain())) fitting = this.#fitting(group)
    for (const asked of group) {
      if (fitting.includes(asked)) continue
      asked.settle(Object.assign(new Error(`no space is left on the disk of ${this.#path}`), { code: 'ENOSPC' }))
    }
    if (fitting.length === 0) return
    const cause = await this.#keep(
      doings(fitting.map(({ change }) => change)),
      fitting.reduce((sum, { need }) => sum + need, 0),
    )
    for (const { settle } of fitting) settle(cause)
  }

  /** Who is written together next: as many as a file of the journal takes. */
  #group(): readonly Asked[] {
    let need = 0
    const end = this.#waiting.findIndex(each => {
      need += each.need
      return need > this.#aheadWanted * PART
    })
    return this.#waiting.splice(0, end < 0 ? this.#waiting.length : Math.max(1, end))
  }

  /** Those for whom the tree will have room. */
  #fitting(group: readonly Asked[]): readonly Asked[] {
    if (this.#promised === 0) this.#room = this.#ahead()
    const wanted = this.#aheadWanted
    let left = this.#room - this.#promised - wanted * COMMIT
    // Where much in the middle is free, it goes there, or nearly all of it.
    const spare = wanted * (left < wanted * (SPARE + 2 * PART) && this.#free() >= wanted * 2 * PART ? LITTLE : SPARE)
    return group.filter(({ need, lazy }) => {
      const fits = left - need >= (lazy ? 0 : spare)
      if (fits) left -= need
      return fits
    })
  }

  /** Octets that the tree may take for what is not in it yet. */
  get #promised(): number {
    return this.#layer.need + (this.#leaving?.layer.need ?? 0)
  }

  /** What went wrong; nothing when it is on disk. */
  async #keep(steps: readonly Doing[], need: number): Promise<unknown> {
    const number = ++this.#tried
    const pieces = writeGroup({ number, after: this.#last, steps }, this.#salt ?? Buffer.alloc(SALT))
    const octets = pieces.reduce((sum, piece) => sum + piece.length, 0)
    if (this.#layer.need + need > this.#aheadWanted * PART || !this.#journal?.fits(octets)) {
      const cause = await this.#turn()
      if (cause) return cause
    }
    try {
      // Too large for any journal, or the disk had no room for one.
      if (!this.#journal?.fits(octets)) {
        const layer = new Layer()
        layer.take(steps, number)
        const cause = (await this.#drain()) ?? (await this.#commit(layer))
        if (!cause) this.#last = number
        return cause
      }
      await this.#journal.append(pieces, octets)
    } catch (cause) {
      return cause
    }
    this.#last = number
    this.#layer.take(steps, number)
    return undefined
  }

  /** Begins with a file of the journal of which nothing is missing in the tree. What went wrong, if it cannot. */
  async #turn(): Promise<unknown> {
    const cause = await this.#leave()
    if (cause) return cause
    this.#leaving = { layer: this.#layer, files: this.#journal ? [this.#journal] : [] }
    this.#layer = new Layer()
    this.#journal = this.#idle.pop()
    this.#journal?.rewind()
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
    this.#committing ??= this.#commit(leaving.layer).then(cause => {
      this.#committing = undefined
      if (cause) return cause
      this.#leaving = undefined
      this.#idle.push(...leaving.files)
      this.#room = this.#ahead()
      return undefined
    })
    return this.#committing
  }

  /**
   * Octets of the file behind what is in use, after some were added where they became few and the disk has them. Nothing
   * else writes to the file meanwhile: no commit is under way, and this does not wait.
   */
  #ahead(): number {
    const file = this.#file
    if (file === undefined) return 0
    const { lastPageNumber, pageSize } = this.#root.getStats() as unknown as RootStats
    const inUse = (lastPageNumber + 1) * pageSize
    const wanted = this.#aheadWanted
    const ahead = (): number => fstatSync(file).blocks * BLOCK - inUse
    const before = ahead()
    if (before >= wanted * FEW) return before
    try {
      for (let at = Math.max(fstatSync(file).size, inUse); at < inUse + wanted; )
        at += writeSync(file, ZEROS, 0, Math.min(ZEROS.length, inUse + wanted - at), at)
    } catch {
      // The disk has no more; what there is counts.
    }
    return ahead()
  }

  /** Octets of pages that were in use, and are not. */
  #free(): number {
    const { lastPageNumber, pageSize, free } = this.#root.getStats() as unknown as RootStats
    const tables = [this.#root, ...Object.values(this.#tables), this.#meta]
    const inUse = [free, ...tables.map(each => each.getStats() as unknown as TableStats)]
      .map(each => each.treeBranchPageCount + each.treeLeafPageCount + each.overflowPages)
      .reduce((sum, pages) => sum + pages, META_PAGES)
    return (lastPageNumber + 1 - inUse) * pageSize
  }

  /** What went wrong; nothing when all of it is in the tree, and on disk. */
  async #commit(layer: Layer): Promise<unknown> {
    if (layer.number === 0) return undefined
    try {
      await this.#root.batch(() => {
        for (const name of LISTED) apply(layer.of(name), this.#tables[name], buffer)
        apply(layer.of('meta'), this.#meta, value => buffer(value).toString())
        if (this.#salt) apply(new Map([[JOURNAL, state(this.#salt, layer.number)]]), this.#meta, text => text)
      })
      return undefined
    } catch (cause) {
      // The error beneath is a promise of its own, and would be another that nobody holds.
      const beneath = (cause as { readonly commitError?: Promise<never> }).commitError
      return (await beneath?.catch(why => why)) ?? cause
    }
  }

  /** Resolves when nothing waits, and the tree has all that there is, or cannot take it: then the journal has it still. */
  async finish(): Promise<void> {
    while (this.#waiting.length > 0 || this.#writing) {
      this.#begin()
      await this.#writing
    }
    // Who never read the journal does not know what is in it.
    if (this.#salt) await this.#drain()
  }

  async close(): Promise<void> {
    await this.finish()
    await this.#root.close()
    for (const file of [...this.#idle, ...(this.#leaving?.files ?? []), ...(this.#journal ? [this.#journal] : [])])
      file.close()
    if (this.#file !== undefined) closeSync(this.#file)
  }
}

/** What LMDB says of a table, and of the whole: in pages. */
interface TableStats {
  readonly treeBranchPageCount: number
  readonly treeLeafPageCount: number
  readonly overflowPages: number
}

interface RootStats {
  readonly lastPageNumber: number
  readonly pageSize: number
  readonly free: TableStats
}

interface TreeOptions {
  readonly readOnly?: boolean
  readonly ahead?: number
}

/** The pages at the beginning that say what is valid. */
const META_PAGES = 2

/** Octets of the tree's file that are kept ahead of what is in use; what follows are parts of it. */
const AHEAD = 32 * 1024 ** 2
/** Less of it is too little, and more is added. */
const FEW = 3 / 4
/** What new messages leave of it, and what they leave where they go into the middle of the file. */
const SPARE = 1 / 4
const LITTLE = 1 / 16
/** What a commit may take besides what is put: pages that tell what is free. */
const COMMIT = 1 / 16
/** What one commit may take: one leaves the journal while the next fills it. A commit that fails takes no more with it. */
const PART = 3 / 16
/** Octets of the way to every page that a change is in. */
const CHANGE = 16_384
/** Octets of a block as `stat` counts them. */
const BLOCK = 512
const ZEROS = new Uint8Array(1024 ** 2)

/**
 * Octets of addresses that the file has to itself from the start. They cost nothing, and the map need not be moved while
 * somebody reads in it.
 */
const MAP_SIZE = 64 * 1024 ** 3

/** How long a change waits for others that are in more of a hurry, in milliseconds. */
const LAZY = 10

const LISTED: readonly Listed[] = ['entries', 'bodies', 'gone']

/** The files of the journal, beside the tree's. */
const JOURNALS = ['journal-0', 'journal-1']
/** What the tree calls the salt of the journal, and the last of its groups that it has. */
const JOURNAL = 'journal'

function state(salt: Buffer, number: number): string {
  return JSON.stringify({ salt: salt.toString('hex'), number })
}

/** What cannot be read is a tree that never had a journal. */
function readState(text: string | undefined): { readonly salt?: Buffer; readonly number: number } {
  try {
    const { salt, number } = JSON.parse(text ?? '') as Readonly<Record<string, unknown>>
    if (typeof salt === 'string' && typeof number === 'number') return { salt: Buffer.from(salt, 'hex'), number }
  } catch {}
  return { number: 0 }
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
