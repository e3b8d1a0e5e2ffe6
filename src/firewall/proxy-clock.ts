import type { Duration, Instant } from '../base/time.ts'

/**
 * The time a peer has for the octets of a message: a wait without any, and a rate below which it takes too long. Octets
 * buy time at that rate, and never more than the wait, so that a fast beginning does not pay for a slow end.
 */
export class RateClock {
  readonly #wait: Duration
  /** Octets a second; 0 for none. */
  readonly #rate: number
  #due: Instant
  /** While the octets cannot be passed on it is not this peer who is slow. */
  #left: Duration | undefined

  constructor(wait: Duration, rate: number, now: Instant) {
    this.#wait = wait
    this.#rate = rate
    this.#due = now + wait
  }

  get due(): Instant | undefined {
    return this.#left === undefined ? this.#due : undefined
  }

  count(octets: number, now: Instant): void {
    const latest = now + this.#wait
    const bought = this.#rate === 0 ? latest : this.#due + (octets * 1000) / this.#rate
    this.#due = Math.min(latest, bought)
  }

  stop(now: Instant): void {
    this.#left ??= Math.max(0, this.#due - now)
  }

  go(now: Instant): void {
    if (this.#left === undefined) return
    this.#due = now + this.#left
    this.#left = undefined
  }
}
