import type { Duration, Instant } from '../base/time.ts'

/** How often to try again: the first waits, then the last of them again and again, until it expires. */
export interface RetryPlan {
  readonly waits: readonly Duration[]
  readonly expire: Duration
}

const MINUTE = 60_000

/** Exchange System Manager 2003's schedule, and its expiry of two days. */
export const EXCHANGE_2003: RetryPlan = {
  waits: [10 * MINUTE, 10 * MINUTE, 10 * MINUTE, 15 * MINUTE],
  expire: 2 * 24 * 60 * MINUTE,
}

/** Schedules by the name of who had them. IIS 5's SMTP service: `RetryInterval` and its three siblings, in minutes. */
export const SCHEDULES: Readonly<Record<string, readonly Duration[]>> = {
  exchange2003: EXCHANGE_2003.waits,
  iis: [15 * MINUTE, 30 * MINUTE, 60 * MINUTE, 240 * MINUTE],
}

/** When to try for the `attempts + 1`st time, or `undefined`: it is over. */
export function nextTry(
  { waits }: RetryPlan,
  { attempts, now, expires }: { readonly attempts: number; readonly now: Instant; readonly expires: Instant },
): Instant | undefined {
  if (now >= expires) return undefined
  const wait = waits[Math.min(attempts, waits.length) - 1] ?? waits[0] ?? 10 * MINUTE
  // The last try is at the expiry, so that nothing is given up without it.
  return Math.min(now + wait, expires)
}
