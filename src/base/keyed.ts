/**
 * Lists in which a key stands once: what is found in them by key, without the key of each of its items being made again.
 *
 * The list itself stays a plain value that is never changed. Its index is made when it is first asked for, and goes on to the
 * list that is made of it by one more item: to make a list of n items takes n keys, and to ask it takes none.
 */
export class Keyed<T> {
  readonly #keyOf: (item: T) => string
  readonly #indexes = new WeakMap<readonly T[], Map<string, T>>()

  constructor(keyOf: (item: T) => string) {
    this.#keyOf = keyOf
  }

  /** The item with this key; the first, where there are several. */
  find(list: readonly T[], key: string): T | undefined {
    return this.#indexOf(list).get(key)
  }

  /** What the list has in this one's place. */
  like(list: readonly T[], item: T): T | undefined {
    return this.find(list, this.#keyOf(item))
  }

  /** The list with the item at its end, and none other of its key. */
  with(list: readonly T[], item: T): readonly T[] {
    const key = this.#keyOf(item)
    const index = this.#indexOf(list)
    const before = index.get(key)
    const next = [...(before === undefined ? list : list.filter(each => each !== before)), item]
    // The old list makes itself another, should anybody ask it again.
    this.#indexes.delete(list)
    this.#indexes.set(next, index.set(key, item))
    return next
  }

  without(list: readonly T[], key: string): readonly T[] {
    const before = this.find(list, key)
    return before === undefined ? list : list.filter(each => each !== before)
  }

  #indexOf(list: readonly T[]): Map<string, T> {
    const known = this.#indexes.get(list)
    if (known) return known
    const index = new Map<string, T>()
    for (const item of list) {
      const key = this.#keyOf(item)
      if (!index.has(key)) index.set(key, item)
    }
    this.#indexes.set(list, index)
    return index
  }
}
