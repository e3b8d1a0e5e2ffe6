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
}

export interface Table {
  put(key: string, value: Uint8Array): void
  remove(key: string): void
}

/**
 * The B+ tree of a spool (LMDB), with group commit: changes that come while a commit is under way go together into the next
 * one, so that many connections share one flush. At most one commit is under way.
 *
 * `overlappingSync` is off: lmdb's promise then means that the commit was flushed, and a flush that fails fails the commit.
 * (With it on the promise means less, and a failed flush is told to nobody.) Its own batching by event turn is off, too:
 * when such a commit fails, a promise that nobody holds is rejected, and ends the process.
 */
export class Tree {
  readonly #root: RootDatabase<Buffer, string>
  readonly #entries: Database<Buffer, string>
  readonly #bodies: Database<Buffer, string>
  readonly #gone: Database<Buffer, string>
  readonly #meta: Database<string, string>
  #waiting: { readonly change: Change; readonly settle: (cause?: unknown) => void }[] = []
  #committing: Promise<void> | undefined
  /** Does somebody wait who is to be waited for? */
  #isUrgent = false
  #timer: NodeJS.Timeout | undefined

  constructor(path: string, { readOnly = false }: { readonly readOnly?: boolean } = {}) {
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

  /** All ids of a table, in their order, as they are now. */
  ids(table: keyof Tables): string[] {
    const from = { entries: this.#entries, bodies: this.#bodies, gone: this.#gone }[table]
    // Of a tree that was never written to, a table may not be there yet.
    return from ? [...from.getKeys()] : []
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
   * Resolves when the change is on disk; rejects when it is not, and then it is as if it had never been asked for. `lazy`: it
   * can wait a moment for one that cannot, and take no flush of its own.
   */
  write(change: Change, { lazy = false }: { readonly lazy?: boolean } = {}): Promise<void> {
    return new Promise((resolve, reject) => {
      this.#waiting.push({ change, settle: cause => (cause === undefined ? resolve() : reject(cause)) })
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
    const group = this.#waiting.splice(0, MAX_GROUP)
    this.#isUrgent = this.#waiting.length > 0
    const cause = await this.#commit(group.map(({ change }) => change))
    for (const { settle } of group) settle(cause)
  }

  /** What went wrong; nothing when all of it is on disk. */
  async #commit(changes: readonly Change[]): Promise<unknown> {
    const tables = { entries: table(this.#entries), bodies: table(this.#bodies), gone: table(this.#gone) }
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
  }
}

/**
 * Octets of addresses that the file has to itself from the start. They cost nothing, and the map need not be moved while
 * somebody reads in it.
 */
const MAP_SIZE = 64 * 1024 ** 3

/** How long a change waits for others that are in more of a hurry, in milliseconds. */
const LAZY = 10

/** Changes in one commit; a bound for what a commit that fails takes with it. */
const MAX_GROUP = 1000

function table(of: Database<Buffer, string>): Table {
  const ignored = () => {}
  return {
    // Their promises tell the same as the batch's; each must be held all the same.
    put: (key, value) => void of.put(key, value as Buffer).catch(ignored),
    remove: key => void of.remove(key).catch(ignored),
  }
}
