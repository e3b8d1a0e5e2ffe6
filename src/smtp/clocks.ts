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
  /** Of a part of a message: when it began, when something of it last came, and how much there is. */
  #part: { readonly began: Instant; readonly heard: Instant; readonly octets: number } | undefined

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
    this.#part = { began: now, heard: now, octets: 0 }
  }

  /** So many of them came. */
  partly(octets: number, now: Instant): void {
    if (this.#part) this.#part = { ...this.#part, heard: now, octets: this.#part.octets + octets }
  }

  endPart(now: Instant): void {
    this.#part = undefined
    this.#heard = now
  }

  get deadline(): Instant {
    return Math.min(this.#nextDue, this.#rateDue, this.#opened + this.#limits.session)
  }

  /** What to say when the deadline has passed. */
  verdict(now: Instant): Situation {
    if (now >= this.#opened + this.#limits.session) return 'session-too-long'
    return now >= this.#nextDue ? 'idle-too-long' : 'too-slow'
  }

  get #nextDue(): Instant {
    return this.#part ? this.#part.heard + this.#limits.data : this.#heard + this.#limits.idle
  }

  /** A part has a grace, and then must have come at the rate that is asked for. */
  get #rateDue(): Instant {
    if (!this.#part) return Number.POSITIVE_INFINITY
    const { idle, data, dataRate } = this.#limits
    const own = dataRate === 0 ? Number.POSITIVE_INFINITY : (this.#part.octets * 1000) / dataRate
    return this.#part.began + Math.max(idle, data) + own
  }
}
