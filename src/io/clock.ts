import { randomBytes } from 'node:crypto'
import type { Random } from '../base/id.ts'
import type { Instant } from '../base/time.ts'

/** The real time. The core is told it; only the edges ask. */
export function now(): Instant {
  return Date.now()
}

export const random: Random = count => randomBytes(count)
