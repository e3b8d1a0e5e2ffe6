import { randomBytes } from 'node:crypto'
import { copy } from '../base/bytes.ts'
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

/** Octets of chance that are fetched at once for ids, which want few: asking costs more than the octets do. */
const POOL = 4096
/** As many as that; who wants more wants a secret, and gets octets that were never anywhere else. */
const FEW = 8
let pool: Uint8Array = new Uint8Array(0)

export const random: Random = count => {
  if (count > FEW) return randomBytes(count)
  if (pool.length < count) pool = randomBytes(POOL)
  const taken = copy(pool.subarray(0, count))
  pool = pool.subarray(count)
  return taken
}
