import type { Instant } from '../base/time.ts'

/** Something that has its time in here; nobody else sets it. */
export interface Timed {
  at: Instant | undefined
}

/**
 * Who is due when: a heap by time. Each has one time, or none; setting another replaces it. A queue may be long, so nothing
 * is kept of one of them but itself and its time, and times are numbers in a row.
 */
export class DueTimes<T extends Timed> {
  /** The earliest first; a time that was replaced stays in until it comes up, and is passed over. */
  #items: T[] = []
  #times: Instant[] = []
  #size = 0

  get size(): number {
    return this.#size
  }

  set(item: T, at: Instant): void {
    if (item.at === at) return
    if (item.at === undefined) this.#size++
    item.at = at
    // What is set again and again must not fill the heap with its past.
    if (this.#isOld) this.#rebuild()
    this.#push(item, at)
  }

  delete(item: T): void {
    if (item.at === undefined) return
    item.at = undefined
    this.#size--
    if (this.#isOld) this.#rebuild()
  }

  /** The earliest, or nothing. */
  first(): { readonly item: T; readonly at: Instant } | undefined {
    for (;;) {
      const [item, at] = [this.#items[0], this.#times[0]]
      if (!item || at === undefined) return undefined
      if (item.at === at) return { item, at }
      this.#pop()
    }
  }

  /** Takes the earliest out, if it is due by `now`. */
  take(now: Instant): T | undefined {
    const top = this.first()
    if (!top || top.at > now) return undefined
    this.#pop()
    top.item.at = undefined
    this.#size--
    return top.item
  }

  /** Is more than half of it past? */
  get #isOld(): boolean {
    return this.#items.length > 2 * this.#size + 64
  }

  #rebuild(): void {
    const [items, times] = [this.#items, this.#times]
    this.#items = []
    this.#times = []
    for (const [i, item] of items.entries()) {
      const at = times[i]
      if (at === undefined || item.at !== at) continue
      this.#push(item, at)
      // One that was set to and fro may be in twice.
      item.at = undefined
    }
    for (const [i, item] of this.#items.entries()) item.at = this.#times[i]
  }

  #push(item: T, at: Instant): void {
    const [items, times] = [this.#items, this.#times]
    let i = items.length
    items.push(item)
    times.push(at)
    while (i > 0) {
      const parent = (i - 1) >> 1
      const above = items[parent]
      const time = times[parent]
      if (!above || time === undefined || time <= at) break
      items[i] = above
      times[i] = time
      i = parent
    }
    items[i] = item
    times[i] = at
  }

  #pop(): void {
    const [items, times] = [this.#items, this.#times]
    const last = items.pop()
    const at = times.pop()
    if (!last || at === undefined || items.length === 0) return
    let i = 0
    for (;;) {
      let child = 2 * i + 1
      const [left, right] = [times[child], times[child + 1]]
      if (left === undefined) break
      if (right !== undefined && right < left) child++
      const below = items[child]
      const time = times[child]
      if (!below || time === undefined || time >= at) break
      items[i] = below
      times[i] = time
      i = child
    }
    items[i] = last
    times[i] = at
  }
}
