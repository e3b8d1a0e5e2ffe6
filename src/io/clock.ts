import { randomBytes } from 'node:crypto'
import type { Random } from '../base/id.ts'
import type { Instant } from '../base/time.ts'

/** The real time. The core is told it; only the edges ask. */
export function now(): Instant {
  return Date.now()
}

/** The real time as RFC 3339 writes it, for logs. */
export function timestamp(): string {
  return new Date().toISOString()
}

export const random: Random = count => randomBytes(count)
