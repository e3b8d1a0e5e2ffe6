import type { Instant } from '../base/time.ts'

/**
 * When a connector may be used: always, never, or in windows of a week, on a grid of 15 minutes as Exchange has it.
 * Times are UTC.
 */
export type Schedule =
  | { readonly kind: 'always' }
  | { readonly kind: 'never' }
  | { readonly kind: 'windows'; readonly windows: readonly Window[] }

/** On each of these days (0 is Sunday), from `from` up to `to`: minutes of the day. */
export interface Window {
  readonly days: readonly number[]
  readonly from: number
  readonly to: number
}

export const ALWAYS: Schedule = { kind: 'always' }

const DAYS = ['sun', 'mon', 'tue', 'wed', 'thu', 'fri', 'sat'] as const
const DAY = 24 * 60
const MINUTE = 60_000
export const GRID = 15

/** Reads `always`, `never` or windows such as `mon-fri 08:00-18:00 sat 10:00-12:30`. */
export function parseSchedule(text: string): Schedule | { readonly wrong: string } {
  if (text === 'always' || text === 'never') return { kind: text }
  const words = text.split(/ +/).filter(word => word !== '')
  const windows: Window[] = []
  for (let i = 0; i < words.length; i += 2) {
    const days = daysIn(words[i] ?? '')
    if (!days) return { wrong: `"${words[i]}" is no day: expected always, never, or days such as mon-fri or sat,sun` }
    const times = /^(\d\d):(\d\d)-(\d\d):(\d\d)$/.exec(words[i + 1] ?? '')
    if (!times) return { wrong: `after "${words[i]}" a time such as 08:00-18:00 was expected` }
    const [from = 0, to = 0] = [1, 3].map(at => Number(times[at]) * 60 + Number(times[at + 1]))
    const isOnGrid = from % GRID === 0 && to % GRID === 0 && Number(times[2]) < 60 && Number(times[4]) < 60
    if (!isOnGrid || to > DAY) return { wrong: `"${words[i + 1]}" is not in steps of ${GRID} minutes, 24:00 at most` }
    if (from >= to) return { wrong: `"${words[i + 1]}" ends before it begins: give the next day its own window` }
    windows.push({ days, from, to })
  }
  if (windows.length === 0) return { wrong: 'expected always, never, or windows such as mon-fri 08:00-18:00' }
  return { kind: 'windows', windows }
}

function daysIn(word: string): readonly number[] | undefined {
  const found = new Set<number>()
  for (const part of word.split(',')) {
    const [first, last = first, ...more] = part.split('-').map(day => DAYS.indexOf(day as 'sun'))
    if (first === undefined || first < 0 || last === undefined || last < 0 || more.length > 0) return undefined
    for (let day = first; ; day = (day + 1) % 7) {
      found.add(day)
      if (day === last) break
    }
  }
  return [...found].sort((a, b) => a - b)
}

export function formatSchedule(schedule: Schedule): string {
  if (schedule.kind !== 'windows') return schedule.kind
  return schedule.windows
    .map(({ days, from, to }) => `${days.map(day => DAYS[day]).join(',')} ${clock(from)}-${clock(to)}`)
    .join(' ')
}

function clock(minutes: number): string {
  return [Math.floor(minutes / 60), minutes % 60].map(part => String(part).padStart(2, '0')).join(':')
}

/** When it is open next: `now` itself while it is, `undefined` if never. */
export function opensAt(schedule: Schedule, now: Instant): Instant | undefined {
  if (schedule.kind === 'always') return now
  if (schedule.kind === 'never') return undefined
  // 1970-01-01 was a Thursday.
  const today = Math.floor(now / (DAY * MINUTE))
  let first: Instant | undefined
  for (let ahead = 0; ahead <= 7; ahead++) {
    const midnight = (today + ahead) * DAY * MINUTE
    for (const { days, from, to } of schedule.windows) {
      if (!days.includes((today + ahead + 4) % 7) || midnight + to * MINUTE <= now) continue
      const opens = Math.max(now, midnight + from * MINUTE)
      if (first === undefined || opens < first) first = opens
    }
  }
  return first
}
