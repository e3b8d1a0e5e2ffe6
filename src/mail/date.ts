import type { Instant } from '../base/time.ts'

/**
 * Dates of RFC 5322 §3.3, in universal time. The one file of the core that uses `Date`, to format an instant it is
 * given; never to ask for the time.
 */
const DAYS = ['Sun', 'Mon', 'Tue', 'Wed', 'Thu', 'Fri', 'Sat'] as const
const MONTHS = ['Jan', 'Feb', 'Mar', 'Apr', 'May', 'Jun', 'Jul', 'Aug', 'Sep', 'Oct', 'Nov', 'Dec'] as const

const two = (n: number): string => String(n).padStart(2, '0')

/** `Sat, 29 Sep 2001 17:09:18 +0000`; the day of the month is not padded, as Exchange writes it. */
export function formatDate(now: Instant): string {
  const at = moment(now)
  return `${DAYS[at.getUTCDay()]}, ${dayMonthYear(at)} ${time(at)} +0000`
}

/** The FILETIME of Windows, counted in 100 ns from 1601-01-01, as Exchange notes it with every arrival (KB320636). */
export function originalArrivalTime(now: Instant): string {
  const at = moment(now)
  const ticks = (BigInt(Math.floor(now)) + 11_644_473_600_000n) * 10_000n
  const hex = (part: bigint) => part.toString(16).toUpperCase().padStart(8, '0')
  const stamp = `[${hex(ticks & 0xffff_ffffn)}:${hex(ticks >> 32n)}]`
  const milliseconds = String(at.getUTCMilliseconds()).padStart(4, '0')
  return `${two(at.getUTCDate())} ${MONTHS[at.getUTCMonth()]} ${at.getUTCFullYear()} ${time(at)}.${milliseconds} (UTC) FILETIME=${stamp}`
}

function moment(now: Instant): Date {
  return new Date(now)
}

function dayMonthYear(at: Date): string {
  return `${at.getUTCDate()} ${MONTHS[at.getUTCMonth()]} ${at.getUTCFullYear()}`
}

function time(at: Date): string {
  return `${two(at.getUTCHours())}:${two(at.getUTCMinutes())}:${two(at.getUTCSeconds())}`
}
