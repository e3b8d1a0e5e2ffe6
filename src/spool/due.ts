import type { Instant } from '../base/time.ts'

/** Who is due when: a heap of names by time. A name has one time; setting another replaces it. */
export class DueTimes {
  /** The earliest first; a time that was replaced stays in until it comes up, and is passed over. */
  readonly #heap: { readonly id: string; readonly at: Instant }[] = []
  readonly #times = new Map<string, Instant>()

  get size(): number {
    return this.#times.size
  }

  set(id: string, at: Instant): void {
    if (this.#times.get(id) === at) return
    this.#times.set(id, at)
    // Names that are set again and again must not fill the heap with their past.
    if (this.#heap.length > 2 * this.#times.size + 64) this.#rebuild()
    else this.#push({ id, at })
  }

  delete(id: string): void {
    this.#times.delete(id)
  }

  /** The earliest, or nothing. */
  first(): { readonly id: string; readonly at: Instant } | undefined {
    for (;;) {
      const top = this.#heap[0]
      if (!top || this.#times.get(top.id) === top.at) return top
      this.#pop()
    }
  }

  /** Takes the earliest out, if it is due by `now`. */
  take(now: Instant): string | undefined {
    const top = this.first()
    if (!top || top.at > now) return undefined
    this.#pop()
    this.#times.delete(top.id)
    return top.id
  }

  #rebuild(): void {
    this.#heap.length = 0
    for (const [id, at] of this.#times) this.#push({ id, at })
  }

  #push(item: { readonly id: string; readonly at: Instant }): void {
    const heap = this.#heap
    let i = heap.length
    heap.push(item)
    while (i > 0) {
      const parent = (i - 1) >> 1
      const above = heap[parent]
      if (!above || above.at <= item.at) break
      heap[i] = above
      i = parent
    }
    heap[i] = item
  }

  #pop(): void {
    const heap = this.#heap
    const last = heap.pop()
    if (!last || heap.length === 0) return
    let i = 0
    for (;;) {
      let child = 2 * i + 1
      const [left, right] = [heap[child], heap[child + 1]]
      if (!left) break
      if (right && right.at < left.at) child++
      const below = heap[child]
      if (!below || below.at >= last.at) break
      heap[i] = below
      i = child
    }
    heap[i] = last
  }
}
