/** Times as RFC 3339 §5.6 writes them. */
import type { Instant } from './time.ts'

const DAY = 86_400_000
const FORM = /^(\d{4})-(\d\d)-(\d\d)T(\d\d):(\d\d):(\d\d)(?:\.(\d{1,9}))?(?:Z|([+-])(\d\d):(\d\d))$/i

/** Reads `2026-01-31T08:00:00Z` or `…+01:00`; `undefined` for anything else, and for what is on no calendar. */
export function parseTimestamp(text: string): Instant | undefined {
  const found = FORM.exec(text)
  if (!found) return undefined
  const [year = 0, month = 0, day = 0, hour = 0, minute = 0, second = 0] = found.slice(1, 7).map(Number)
  const [fraction = '', sign, hours = '0', minutes = '0'] = found.slice(7)
  const isOnCalendar = month >= 1 && month <= 12 && day >= 1 && day <= daysOf(year, month)
  if (!isOnCalendar || hour > 23 || minute > 59 || second > 60 || Number(hours) > 23 || Number(minutes) > 59) {
    return undefined
  }
  const milliseconds = Math.floor(Number(`0.${fraction || '0'}`) * 1000)
  const offset = (Number(hours) * 60 + Number(minutes)) * 60_000 * (sign === '-' ? -1 : 1)
  const time = ((hour * 60 + minute) * 60 + second) * 1000 + milliseconds
  return dayNumber(year, month, day) * DAY + time - offset
}

/** `2026-01-31T08:00:00Z`, in universal time and whole seconds. */
export function formatTimestamp(at: Instant): string {
  const days = Math.floor(at / DAY)
  let year = 1970 + Math.floor(days / 365.2425)
  while (dayNumber(year + 1, 1, 1) <= days) year++
  while (dayNumber(year, 1, 1) > days) year--
  let month = 1
  while (month < 12 && dayNumber(year, month + 1, 1) <= days) month++
  const day = days - dayNumber(year, month, 1) + 1
  const seconds = Math.floor((at - days * DAY) / 1000)
  const clock = [seconds / 3600, (seconds / 60) % 60, seconds % 60].map(each => padded(Math.floor(each))).join(':')
  return `${padded(year, 4)}-${padded(month)}-${padded(day)}T${clock}Z`
}

function padded(count: number, digits = 2): string {
  return String(count).padStart(digits, '0')
}

function isLeap(year: number): boolean {
  return year % 4 === 0 && (year % 100 !== 0 || year % 400 === 0)
}

function daysOf(year: number, month: number): number {
  if (month === 2) return isLeap(year) ? 29 : 28
  return [4, 6, 9, 11].includes(month) ? 30 : 31
}

/** Days since 1970-01-01. */
function dayNumber(year: number, month: number, day: number): number {
  const before = year - 1
  const leaps = (upTo: number) => Math.floor(upTo / 4) - Math.floor(upTo / 100) + Math.floor(upTo / 400)
  let days = (year - 1970) * 365 + leaps(before) - leaps(1969) + day - 1
  for (let each = 1; each < month; each++) days += daysOf(year, each)
  return days
}
