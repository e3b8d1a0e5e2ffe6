import type { Duration, Instant } from '../base/time.ts'

/**
 * Against connectors that flap: each time one comes back it is charged; above a limit it is not believed until the charge
 * has decayed. The method is that of BGP (RFC 2439 §4.2); Exchange has none, and oscillated.
 */
export interface DampingTimers {
  /** Charged for each return; the limits count in the same unit. */
  readonly penalty: number
  readonly suppressAbove: number
  readonly reuseBelow: number
  /** No more is ever charged, which bounds the wait. */
  readonly most: number
  readonly halfLife: Duration
}

export const DAMPING: DampingTimers = {
  penalty: 1000,
  suppressAbove: 2500,
  reuseBelow: 1000,
  most: 8000,
  halfLife: 15 * 60_000,
}

/** What a connector is charged with, and since when. */
export interface Damped {
  readonly charge: number
  readonly at: Instant
  readonly suppressed: boolean
}

export const NOT_DAMPED: Damped = { charge: 0, at: 0, suppressed: false }

function chargeAt({ charge, at }: Damped, now: Instant, { halfLife }: DampingTimers): number {
  return charge * 0.5 ** (Math.max(0, now - at) / halfLife)
}

/** It came back. */
export function charged(damped: Damped, now: Instant, timers: DampingTimers): Damped {
  const charge = Math.min(timers.most, chargeAt(damped, now, timers) + timers.penalty)
  return { charge, at: now, suppressed: damped.suppressed || charge > timers.suppressAbove }
}

/** As it stands now: believed again once the charge has decayed. */
export function settled(damped: Damped, now: Instant, timers: DampingTimers): Damped {
  if (!damped.suppressed || now < (believedAt(damped, timers) ?? 0)) return damped
  return { charge: timers.reuseBelow, at: now, suppressed: false }
}

/** When it will be believed; `undefined` where it is. */
export function believedAt({ charge, at, suppressed }: Damped, timers: DampingTimers): Instant | undefined {
  if (!suppressed) return undefined
  return at + Math.ceil(timers.halfLife * Math.log2(Math.max(1, charge / timers.reuseBelow)))
}
