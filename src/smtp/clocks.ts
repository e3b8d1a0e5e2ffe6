import type { Instant } from '../base/time.ts'
import type { Situation } from './dialect.ts'
import type { Limits } from './limits.ts'

/**
 * The three clocks of a session: the next command, the rate of a message, and the whole. None is set back by octets that
 * complete nothing, so that whoever drips them gains no time.
 */
export class Clocks {
  readonly #limits: Limits
  readonly #opened: Instant
  /** When the last whole line, or our last answer, was. */
  #heard: Instant
  /** When a message under way is too slow; later for every octet of it, but never by more than the data wait. */
  #due: Instant = 0
  #dripped = false

  constructor(limits: Limits, now: Instant) {
    this.#limits = limits
    this.#opened = now
    this.#heard = now
  }

  heard(now: Instant): void {
    this.#heard = now
  }

  /** Octets of a message are due from now on. */
  beginPart(now: Instant): void {
    this.#due = now + this.#limits.data
    this.#dripped = false
  }

  /** So many of them came. */
  partly(octets: number, now: Instant): void {
    const earned = (octets * 1000) / this.#limits.dataRate
    this.#due = Math.min(now + this.#limits.data, this.#due + earned)
    this.#dripped = true
  }

  deadline(inPart: boolean): Instant {
    return Math.min(inPart ? this.#due : this.#heard + this.#limits.idle, this.#opened + this.#limits.session)
  }

  /** What to say when the deadline has passed. */
  verdict(inPart: boolean, now: Instant): Situation {
    if (now >= this.#opened + this.#limits.session) return 'session-too-long'
    return inPart && this.#dripped ? 'too-slow' : 'idle-too-long'
  }
}
