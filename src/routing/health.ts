import type { Duration, Instant } from '../base/time.ts'

/**
 * How one bridgehead sees one connector: reachable, doubtful, or not. Only failures to connect count: a server that
 * refuses a message has answered.
 */
export interface HealthTimers {
  /** `GlitchRetrySeconds`: the wait before each retry, while nobody is told yet. */
  readonly glitchRetry: Duration
  readonly glitchRetries: number
  /** While it is down, a connection is tried this often, mail or no mail. */
  readonly probe: Duration
}

export const HEALTH_TIMERS: HealthTimers = { glitchRetry: 60_000, glitchRetries: 3, probe: 60_000 }

export type HealthOutput =
  /** Try to connect now, and say what came of it: `connected` or `failed`. */
  | { readonly kind: 'probe' }
  /** Tell the master: `CONN_AVAIL` or `CONN_NOT_AVAIL`. */
  | { readonly kind: 'report'; readonly available: boolean; readonly why: string }

export class LinkHealth {
  readonly #timers: HealthTimers
  #state: 'up' | 'glitch' | 'down' = 'up'
  #failures = 0
  #due: Instant | undefined
  /** The retry is under way: what fails now counts. */
  #isProbing = false

  constructor(timers: Partial<HealthTimers> = {}) {
    this.#timers = { ...HEALTH_TIMERS, ...timers }
  }

  /** Goes on where another was. */
  adopt(before: LinkHealth): void {
    this.#state = before.#state
    this.#failures = before.#failures
    this.#due = before.#due
  }

  get state(): 'up' | 'glitch' | 'down' {
    return this.#state
  }

  get deadline(): Instant | undefined {
    return this.#due
  }

  /** A connection to the other end was answered. */
  connected(_now: Instant): readonly HealthOutput[] {
    const wasDown = this.#state === 'down'
    this.#state = 'up'
    this.#failures = 0
    this.#due = undefined
    this.#isProbing = false
    return wasDown ? [{ kind: 'report', available: true, why: 'it answers again' }] : []
  }

  /** A connection could not be made. Those of mail between two retries are known to fail already, and do not count. */
  failed(why: string, now: Instant): readonly HealthOutput[] {
    const { glitchRetry, glitchRetries, probe } = this.#timers
    if (this.#state === 'up') {
      this.#state = 'glitch'
      this.#failures = 0
      this.#due = now + glitchRetry
      return []
    }
    if (!this.#isProbing) return []
    this.#isProbing = false
    if (this.#state === 'down') {
      this.#due = now + probe
      return []
    }
    this.#failures++
    this.#due = now + glitchRetry
    if (this.#failures < glitchRetries) return []
    this.#state = 'down'
    this.#due = now + probe
    return [{ kind: 'report', available: false, why: `${glitchRetries} retries failed: ${why}` }]
  }

  tick(now: Instant): readonly HealthOutput[] {
    if (this.#due === undefined || now < this.#due) return []
    this.#isProbing = true
    // Should nobody say what came of it, it is tried again and not counted.
    this.#due = now + (this.#state === 'down' ? this.#timers.probe : this.#timers.glitchRetry)
    return [{ kind: 'probe' }]
  }
}
