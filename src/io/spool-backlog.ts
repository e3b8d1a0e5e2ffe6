import type { SpoolId } from '../spool/entry.ts'
import type { Tree } from './tree.ts'

/**
 * Entries that were in the tree when the spool was opened, and of which nothing is known yet. They are taken out in the
 * order of their ids, a few at a time, or one out of its turn where somebody asks for it. How many there are is known from
 * the beginning, and nothing is read for it.
 */
export class Backlog {
  readonly #tree: Tree
  /** The last of them; absent once all are out. */
  #end: SpoolId | undefined
  /** All up to this one are out. */
  #at: SpoolId | undefined
  /** Ids behind it that are out all the same, or were never in. */
  readonly #known = new Set<SpoolId>()
  #count: number

  constructor(tree: Tree) {
    this.#tree = tree
    this.#count = tree.count('entries')
    this.#end = tree.last('entries')
  }

  get count(): number {
    return this.#count
  }

  has(id: SpoolId): boolean {
    return this.#isAhead(id) && !this.#known.has(id)
  }

  /** This one is new, and none of them: a clock that was put back gives ids between theirs. */
  isNew(id: SpoolId): void {
    if (this.#isAhead(id)) this.#known.add(id)
  }

  /** Takes one out of its turn; `false` where it is not in. */
  take(id: SpoolId): boolean {
    if (!this.has(id)) return false
    this.#known.add(id)
    this.#count--
    return true
  }

  /** Takes out those of the next `limit` ids that are in still. Nothing when all are out. */
  next(limit: number): readonly SpoolId[] | undefined {
    const end = this.#end
    const ids = end === undefined ? [] : this.#tree.ids('entries', { after: this.#at, limit }).filter(id => id <= end)
    this.#at = ids.at(-1)
    if (this.#at === undefined) {
      this.#end = undefined
      this.#known.clear()
      this.#count = 0
      return undefined
    }
    const out = ids.filter(id => !this.#known.delete(id))
    this.#count -= out.length
    return out
  }

  #isAhead(id: SpoolId): boolean {
    return this.#end !== undefined && id <= this.#end && (this.#at === undefined || id > this.#at)
  }
}
