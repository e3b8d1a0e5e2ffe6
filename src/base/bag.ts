/**
 * Things that come and go by the thousand, as open connections do.
 *
 * A `Set` would leave garbage that outlives them: each time that it has seen as many come and go as it has room for, V8
 * makes a new table of it, and the old one points at the new one and at whatever was in it. Once one of these tables is
 * old, all that follow, and all that ever was in them, are kept until the whole heap is searched.
 */
export class Bag<T extends object> {
  readonly #places: (T | undefined)[] = []
  readonly #free: number[] = []

  get size(): number {
    return this.#places.length - this.#free.length
  }

  /** Puts a thing in, and tells the place to take it out of again, once. */
  add(thing: T): number {
    const place = this.#free.pop() ?? this.#places.length
    this.#places[place] = thing
    return place
  }

  remove(place: number): void {
    if (this.#places[place] === undefined) return
    this.#places[place] = undefined
    this.#free.push(place)
  }

  *[Symbol.iterator](): Generator<T, void, undefined> {
    for (const thing of this.#places) if (thing !== undefined) yield thing
  }
}
