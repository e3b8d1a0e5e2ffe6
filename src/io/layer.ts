import { type Step, TABLES, type TableName } from './journal.ts'

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

  take(steps: readonly Doing[], need: number, number: number): void {
    this.need += need
    this.number = number
    for (const { table, key, value, isNew = false } of steps) {
      const [now, added] = [this.#now.get(table), this.#new.get(table)]
      if (isNew) added?.add(key)
      if (value) now?.set(key, value)
      else if (added?.delete(key)) now?.delete(key)
      else now?.set(key, null)
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
