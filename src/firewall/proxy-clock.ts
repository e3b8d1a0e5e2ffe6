import type { Duration, Instant } from '../base/time.ts'
import type { ProxyWaits, Settled } from './policy.ts'

/**
 * The time a peer has for the octets of a message: a wait without any, and a rate below which it takes too long. Octets
 * buy time at that rate, and never more than the wait, so that a fast beginning does not pay for a slow end.
 */
export class RateClock {
  readonly #wait: Duration
  /** Octets a second; 0 for none. */
  readonly #rate: number
  #due: Instant
  /** While the octets cannot be passed on it is not this peer who is slow. */
  #left: Duration | undefined

  constructor(wait: Duration, rate: number, now: Instant) {
    this.#wait = wait
    this.#rate = rate
    this.#due = now + wait
  }

  get due(): Instant | undefined {
    return this.#left === undefined ? this.#due : undefined
  }

  count(octets: number, now: Instant): void {
    const latest = now + this.#wait
    const bought = this.#rate === 0 ? latest : this.#due + (octets * 1000) / this.#rate
    this.#due = Math.min(latest, bought)
  }

  stop(now: Instant): void {
    this.#left ??= Math.max(0, this.#due - now)
  }

  go(now: Instant): void {
    if (this.#left === undefined) return
    this.#due = now + this.#left
    this.#left = undefined
  }
}

/** What a session waits for now. */
export type Waiting = 'pregreet' | 'command' | 'data' | 'reply' | 'idle'

/** Something that is waited for, and what it is when it does not come. */
export interface Clock {
  readonly due: Instant
  /** In upper case, for the record. */
  readonly name: string
  readonly why: string
  /** The setting that says how long. */
  readonly by: Settled
  /** Whoever does not read cannot be told. */
  readonly closesAtOnce: boolean
}

export interface Times {
  readonly waiting: Waiting
  readonly openedAt: Instant
  /** The client's turn began. */
  readonly turnAt: Instant
  /** The server was asked. */
  readonly askedAt: Instant
  /** Since when a side does not take what is written to it. */
  readonly blocked: { readonly client: Instant | undefined; readonly server: Instant | undefined }
  /** When the next octets of a message are due; `undefined` while they could not go on. */
  readonly data: Instant | undefined
  /** The client's next command is not read before then. */
  readonly restsUntil: Instant | undefined
}

/** Since or until when something is waited for; `side`: who does not read. */
type Visit = (name: string, due: Instant, by: Settled, side?: 'client' | 'server') => void

/** All that is waited for at once: the session's end, each side that is blocked, and whoever's turn it is. */
function eachClock(waits: ProxyWaits, times: Times, visit: Visit): void {
  const { waiting, openedAt, turnAt, askedAt, blocked, data, restsUntil } = times
  visit('SESSION', openedAt + waits.session, 'session')
  if (blocked.client !== undefined) visit('WRITE', blocked.client + waits.write, 'write', 'client')
  if (blocked.server !== undefined) visit('WRITE', blocked.server + waits.write, 'write', 'server')
  if (restsUntil !== undefined) visit('REST', restsUntil, 'error')
  if (waiting === 'pregreet') visit('PREGREET', openedAt + waits.pregreet, 'pregreet')
  else if (waiting === 'idle') visit('IDLE', turnAt + waits.command, 'command')
  else if (waiting === 'command') visit('COMMAND', turnAt + waits.command, 'command')
  else if (waiting === 'reply') visit('REPLY', askedAt + waits.reply, 'reply')
  // Octets that came since the wait began were too few of them.
  else if (data !== undefined) visit('DATA', data, data < turnAt + waits.data ? 'minDataRate' : 'data')
}

const WHY: Readonly<Record<string, string>> = {
  SESSION: 'the session took too long',
  IDLE: 'idle too long',
  COMMAND: 'idle too long',
  REPLY: 'the server does not answer',
  DATA: 'the message comes too slowly',
}

export function clocksOf(waits: ProxyWaits, times: Times): readonly Clock[] {
  const clocks: Clock[] = []
  eachClock(waits, times, (name, due, by, side) => {
    const why = side === undefined ? (WHY[name] ?? '') : `the ${side} does not read`
    clocks.push({ name, due, why, by, closesAtOnce: side !== undefined })
  })
  return clocks
}

let earliest = Infinity

function keepEarliest(_name: string, due: Instant): void {
  if (due < earliest) earliest = due
}

/** When the first of them is due. Asked after every segment, so it makes nothing. */
export function dueOf(waits: ProxyWaits, times: Times): Instant {
  earliest = Infinity
  eachClock(waits, times, keepEarliest)
  return earliest
}
