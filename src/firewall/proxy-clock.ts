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
  readonly blocked: { readonly client?: Instant; readonly server?: Instant }
  /** When the next octets of a message are due; `undefined` while they could not go on. */
  readonly data: Instant | undefined
  /** The client's next command is not read before then. */
  readonly restsUntil: Instant | undefined
}

/** All that is waited for at once: the session's end, each side that is blocked, and whoever's turn it is. */
export function clocksOf(waits: ProxyWaits, times: Times): readonly Clock[] {
  const { waiting, openedAt, turnAt, askedAt, blocked, data, restsUntil } = times
  const clock = (name: string, due: Instant, by: Settled, why: string): Clock => {
    return { name, due, why, by, closesAtOnce: by === 'write' }
  }
  const clocks = [clock('SESSION', openedAt + waits.session, 'session', 'the session took too long')]
  for (const side of ['client', 'server'] as const) {
    const since = blocked[side]
    if (since !== undefined) clocks.push(clock('WRITE', since + waits.write, 'write', `the ${side} does not read`))
  }
  if (restsUntil !== undefined) clocks.push(clock('REST', restsUntil, 'error', ''))
  if (waiting === 'pregreet') clocks.push(clock('PREGREET', openedAt + waits.pregreet, 'pregreet', ''))
  if (waiting === 'idle') clocks.push(clock('IDLE', turnAt + waits.command, 'command', 'idle too long'))
  if (waiting === 'command') clocks.push(clock('COMMAND', turnAt + waits.command, 'command', 'idle too long'))
  if (waiting === 'reply') clocks.push(clock('REPLY', askedAt + waits.reply, 'reply', 'the server does not answer'))
  if (waiting === 'data' && data !== undefined) {
    // Octets that came since the wait began were too few of them.
    const by = data < turnAt + waits.data ? 'minDataRate' : 'data'
    clocks.push(clock('DATA', data, by, 'the message comes too slowly'))
  }
  return clocks
}
