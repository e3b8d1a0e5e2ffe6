/** Numbers with their keys, the least key first: a binary heap in typed arrays. */
export class Heap {
  #keys: Float64Array
  #values: Int32Array
  #size = 0

  constructor(room = 64) {
    this.#keys = new Float64Array(room)
    this.#values = new Int32Array(room)
  }

  get size(): number {
    return this.#size
  }

  push(key: number, value: number): void {
    if (this.#size === this.#keys.length) this.#grow()
    const [keys, values] = [this.#keys, this.#values]
    let at = this.#size++
    while (at > 0) {
      const above = (at - 1) >> 1
      const aboveKey = keys[above] ?? 0
      if (aboveKey <= key) break
      keys[at] = aboveKey
      values[at] = values[above] ?? 0
      at = above
    }
    keys[at] = key
    values[at] = value
  }

  /** The least key; ask only while `size` is not 0. */
  get leastKey(): number {
    return this.#keys[0] ?? 0
  }

  /** Takes the value of the least key off. */
  pop(): number {
    const [keys, values] = [this.#keys, this.#values]
    const least = values[0] ?? 0
    const size = --this.#size
    const key = keys[size] ?? 0
    const value = values[size] ?? 0
    let at = 0
    for (;;) {
      let below = 2 * at + 1
      if (below >= size) break
      if (below + 1 < size && (keys[below + 1] ?? 0) < (keys[below] ?? 0)) below++
      const belowKey = keys[below] ?? 0
      if (belowKey >= key) break
      keys[at] = belowKey
      values[at] = values[below] ?? 0
      at = below
    }
    keys[at] = key
    values[at] = value
    return least
  }

  #grow(): void {
    const keys = new Float64Array(this.#keys.length * 2)
    const values = new Int32Array(this.#values.length * 2)
    keys.set(this.#keys)
    values.set(this.#values)
    this.#keys = keys
    this.#values = values
  }
}
