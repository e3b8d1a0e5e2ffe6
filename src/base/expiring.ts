import type { Instant } from './time.ts'

/** What holds for a while, under so many names at most: where there is no room, what was set first goes first. */
export class Expiring<Value> {
  readonly #most: number
  readonly #kept = new Map<string, { readonly value: Value; readonly until: Instant }>()

  constructor(most: number) {
    this.#most = most
  }

  get(name: string, now: Instant): Value | undefined {
    const found = this.#kept.get(name)
    if (!found || now < found.until) return found?.value
    this.#kept.delete(name)
    return undefined
  }

  set(name: string, value: Value, until: Instant): void {
    this.#kept.delete(name)
    this.#kept.set(name, { value, until })
    if (this.#kept.size <= this.#most) return
    const [first] = this.#kept.keys()
    if (first !== undefined) this.#kept.delete(first)
  }

  /** Takes over what another holds, of the names that fit. */
  adopt(other: Expiring<Value>, fits: (name: string) => boolean): void {
    for (const [name, { value, until }] of other.#kept) if (fits(name)) this.set(name, value, until)
  }

  /** Puts other values in the place of all of them; each holds as long as the one before. */
  change(other: (value: Value) => Value): void {
    for (const [name, { value, until }] of this.#kept) this.#kept.set(name, { value: other(value), until })
  }

  delete(name: string): void {
    this.#kept.delete(name)
  }
}
