import { type Step, TABLES, type TableName } from './journal-form.ts'

/** What a key is now; `null`: it is not there. */
export type Now = Uint8Array | null

/** A step whose key is in no table before it. */
export interface Doing extends Step {
  readonly isNew?: boolean
}

/**
 * What was done and is not in the tree yet, in memory: what each key is now. What came and went meanwhile leaves nothing
 * to do.
 */
export class Layer {
  readonly #now = new Map<TableName, Map<string, Now>>(TABLES.map(table => [table, new Map()]))
  readonly #new = new Map<TableName, Set<string>>(TABLES.map(table => [table, new Set()]))
  /** Octets of the tree's file that it may take. */
  need = 0
  /** The last group of the journal that is in it. */
  number = 0

  take(steps: readonly Doing[], number: number): void {
    this.number = number
    for (const { table, key, value = null, isNew = false } of steps) {
      const [keys, added] = [this.#now.get(table), this.#new.get(table)]
      const before = keys?.get(key)
      if (before !== undefined) this.need -= needOf(before)
      if (isNew) added?.add(key)
      if (value === null && added?.delete(key)) {
        keys?.delete(key)
        continue
      }
      keys?.set(key, value)
      this.need += needOf(value)
    }
  }

  /** Nothing where it has nothing to say about the key. */
  get(table: TableName, key: string): Now | undefined {
    return this.#now.get(table)?.get(key)
  }

  /** All that it has to say about a table. */
  of(table: TableName): ReadonlyMap<string, Now> {
    return this.#now.get(table) ?? new Map()
  }
}

/** Octets of the way to every page that a key is in. */
export const WAY = 8_192

function needOf(now: Now): number {
  return WAY + 2 * (now?.length ?? 0)
}
