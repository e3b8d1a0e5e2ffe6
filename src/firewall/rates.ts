import { cite } from '../base/problem.ts'
import type { Duration, Instant } from '../base/time.ts'
import type { Because } from './verdict.ts'

/** Nothing waits longer than this for its turn: whoever would is let go on then, as a peer would give up. */
export const MAX_RATE_WAIT: Duration = 60_000

/** How fast what each rule matched may go on. Shared by the connections that one firewall inspects. */
export class Rates {
  /** When the next one may go, by rule. As many entries as there are rules that limit. */
  readonly #next = new Map<string, Instant>()

  /** When this one may go on, so that the rule lets `perSecond` through each second. */
  take({ cause, label }: Because, perSecond: number, now: Instant): Instant {
    const rule = `${cite(cause.at)} ${label}`
    const at = Math.min(Math.max(now, this.#next.get(rule) ?? now), now + MAX_RATE_WAIT)
    this.#next.set(rule, at + 1000 / Math.max(1, perSecond))
    return at
  }
}
