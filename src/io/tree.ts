import { closeSync, fstatSync, openSync, writeSync } from 'node:fs'
import { type Database, open, type RootDatabase } from 'lmdb'

/** A change to the tree, made together with others. */
export type Change = (tables: Tables) => void

export interface Tables {
  /** Id → record. */
  readonly entries: Table
  /** Id → content, where it is small. */
  readonly bodies: Table
  /** Id → record of what is gone. */
  readonly gone: Table
  /** What is said about the whole. */
  readonly meta: Table<string>
}

/** A table that has ids. */
export type Listed = Exclude<keyof Tables, 'meta'>

export interface Table<Value = Uint8Array> {
  put(key: string, value: Value): void
  remove(key: string): void
}

/** A change that waits for its commit. */
interface Asked {
  readonly change: Change
  /** Octets of the file that it may take at the most. */
  readonly need: number
  readonly lazy: boolean
  readonly settle: (cause?: unknown) => void
}

/**
 * The B+ tree of a spool (LMDB), with group commit: changes that come while a commit is under way go together into the next
 * one, so that many connections share one flush. At most one commit is under way.
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
  readonly #entries: Database<Buffer, string>
  readonly #bodies: Database<Buffer, string>
  readonly #gone: Database<Buffer, string>
  readonly #meta: Database<string, string>
  readonly #path: string
  readonly #aheadWanted: number
  /** The file, to add to it; absent where nothing is written. */
  readonly #file: number | undefined
  #waiting: Asked[] = []
  #committing: Promise<void> | undefined
  /** Does somebody wait who is to be waited for? */
  #isUrgent = false
  #timer: NodeJS.Timeout | undefined

  /** `ahead`: octets of the file that are kept ahead of what is in use. */
  constructor(path: string, { readOnly = false, ahead = AHEAD }: TreeOptions = {}) {
    this.#path = path
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
    this.#entries = this.#root.openDB({ name: 'entries', encoding: 'binary' })
    this.#bodies = this.#root.openDB({ name: 'bodies', encoding: 'binary' })
    this.#gone = this.#root.openDB({ name: 'gone', encoding: 'binary' })
    this.#meta = this.#root.openDB({ name: 'meta', encoding: 'string' })
    // Now, for later it may have been moved, or there may be no more files.
    this.#file = readOnly ? undefined : openSync(path, 'r+')
  }

  entry(id: string): Buffer | undefined {
    return this.#entries?.getBinary(id)
  }

  body(id: string): Buffer | undefined {
    return this.#bodies?.getBinary(id)
  }

  gone(id: string): Buffer | undefined {
    return this.#gone?.getBinary(id)
  }

  /** Ids of a table, in their order, as they are now: all, or so many behind one. */
  ids(
    table: Listed,
    { after, limit }: { readonly after?: string | undefined; readonly limit?: number } = {},
  ): string[] {
    const range = {
      ...(after !== undefined && { start: after, exclusiveStart: true }),
      ...(limit !== undefined && { limit }),
    }
    // Of a tree that was never written to, a table may not be there yet.
    return [...(this.#listed(table)?.getKeys(range) ?? [])]
  }

  /** The last id of a table, as they sort. */
  last(table: Listed): string | undefined {
    return [...(this.#listed(table)?.getKeys({ reverse: true, limit: 1 }) ?? [])][0]
  }

  /** How many there are in a table; nothing of it is read for that. */
  count(table: Listed): number {
    return (this.#listed(table)?.getStats() as { readonly entryCount: number } | undefined)?.entryCount ?? 0
  }

  #listed(table: Listed): Database<Buffer, string> | undefined {
    return { entries: this.#entries, bodies: this.#bodies, gone: this.#gone }[table]
  }

  /** What is said about the whole, changed by one process at a time. Blocks; for the start, and not for mail. */
  exchange<T>(key: string, swap: (held: string | undefined) => { readonly put?: string; readonly result: T }): T {
    return this.#meta.transactionSync(() => {
      const { put, result } = swap(this.#meta.get(key))
      if (put !== undefined) this.#meta.putSync(key, put)
      return result
    })
  }

  meta(key: string): string | undefined {
    return this.#meta?.get(key)
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
    if (this.#committing || this.#waiting.length === 0) return
    if (this.#isUrgent) this.#begin()
    else this.#timer ??= setTimeout(() => this.#begin(), LAZY)
  }

  #begin(): void {
    clearTimeout(this.#timer)
    this.#timer = undefined
    this.#committing ??= this.#commitGroup().finally(() => {
      this.#committing = undefined
      this.#next()
    })
  }

  async #commitGroup(): Promise<void> {
    // What else is asked for in this turn of the loop joins in.
    await new Promise(resolve => setImmediate(resolve))
    const group = this.#group()
    this.#isUrgent = this.#waiting.length > 0
    const wanted = this.#aheadWanted
    let left = this.#ahead() - wanted * COMMIT
    // Where much in the middle is free, it goes there, or nearly all of it.
    const spare = wanted * (left < wanted * (SPARE + GROUP) && this.#free() >= wanted * GROUP ? LITTLE : SPARE)
    const fitting = group.filter(({ need, lazy, settle }) => {
      const fits = left - need >= (lazy ? 0 : spare)
      if (fits) left -= need
      else settle(Object.assign(new Error(`no space is left on the disk of ${this.#path}`), { code: 'ENOSPC' }))
      return fits
    })
    if (fitting.length === 0) return
    const cause = await this.#commit(fitting.map(({ change }) => change))
    for (const { settle } of fitting) settle(cause)
  }

  /** Who goes into the next commit: as many as fit into it. */
  #group(): readonly Asked[] {
    let need = 0
    const end = this.#waiting.findIndex(each => {
      need += each.need
      return need > this.#aheadWanted * GROUP
    })
    return this.#waiting.splice(0, end < 0 ? this.#waiting.length : Math.max(1, end))
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
    const tables = [this.#root, this.#entries, this.#bodies, this.#gone, this.#meta]
    const inUse = [free, ...tables.map(each => each.getStats() as unknown as TableStats)]
      .map(each => each.treeBranchPageCount + each.treeLeafPageCount + each.overflowPages)
      .reduce((sum, pages) => sum + pages, META_PAGES)
    return (lastPageNumber + 1 - inUse) * pageSize
  }

  /** What went wrong; nothing when all of it is on disk. */
  async #commit(changes: readonly Change[]): Promise<unknown> {
    const tables: Tables = {
      entries: table(this.#entries),
      bodies: table(this.#bodies),
      gone: table(this.#gone),
      meta: table(this.#meta),
    }
    try {
      await this.#root.batch(() => {
        for (const change of changes) change(tables)
      })
      return undefined
    } catch (cause) {
      // The error beneath is a promise of its own, and would be another that nobody holds.
      const beneath = (cause as { readonly commitError?: Promise<never> }).commitError
      return (await beneath?.catch(why => why)) ?? cause
    }
  }

  async close(): Promise<void> {
    while (this.#waiting.length > 0 || this.#committing) {
      this.#begin()
      await this.#committing
    }
    await this.#root.close()
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

/** Octets of the file that are kept ahead of what is in use; what follows are parts of it. */
const AHEAD = 16 * 1024 ** 2
/** Less of it is too little, and more is added. */
const FEW = 3 / 4
/** What new messages leave of it, and what they leave where they go into the middle of the file. */
const SPARE = 1 / 4
const LITTLE = 1 / 16
/** What a commit may take besides what is put: pages that tell what is free. */
const COMMIT = 1 / 16
/** What the changes of one commit may take. A commit that fails takes no more with it. */
const GROUP = 3 / 8
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

function table<Stored extends Value, Value>(of: Database<Stored, string>): Table<Value> {
  const ignored = () => {}
  return {
    // Their promises tell the same as the batch's; each must be held all the same.
    put: (key, value) => void of.put(key, value as Stored).catch(ignored),
    remove: key => void of.remove(key).catch(ignored),
  }
}
