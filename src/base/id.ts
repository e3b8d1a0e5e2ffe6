import type { Instant } from './time.ts'

/** Randomness, handed in: `count` octets that nobody can guess. */
export type Random = (count: number) => Uint8Array

const DIGITS = '0123456789ABCDEFGHJKMNPQRSTVWXYZ' // Crockford's: no I, L, O, U, so that it can be read aloud

/** A 16-character id that sorts by time: 9 characters of milliseconds, 7 of chance (35 bits). */
export function newId(now: Instant, random: Random): string {
  let time = ''
  for (let rest = now, i = 0; i < 9; i++, rest = Math.floor(rest / 32)) time = DIGITS[rest % 32] + time
  let id = time
  for (const byte of random(7)) id += DIGITS[byte % 32]
  return id
}
