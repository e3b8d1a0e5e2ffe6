/** Who may have a session: so many at once, so many from one client, and a reserve for the peers we know. */
import type { Instant } from '../base/time.ts'
import { hostOf } from '../config/ip.ts'
import type { SessionLimits } from '../mta/config.ts'
import { type Limits, stressed } from '../smtp/limits.ts'

/** From this share of `most` on only known peers come in. */
const RESERVE = 0.9
/** From this share on the limits are those under stress. */
const STRESS = 0.8
const MINUTE = 60_000
/** Clients whose sessions of the last minute are remembered. */
const MAX_REMEMBERED = 100_000

/** Counts the sessions that come and go. */
export class Door {
  #limits: SessionLimits
  readonly #open = new Map<string, number>()
  /** Of each client, how many came in which minute. */
  readonly #came = new Map<string, { minute: number; count: number }>()
  #count = 0

  constructor(limits: SessionLimits) {
    this.#limits = limits
  }

  /** Whoever comes from now on is held to these. */
  holdTo(limits: SessionLimits): void {
    this.#limits = limits
  }

  get count(): number {
    return this.#count
  }

  /** May this client have another session? If so it has it, until `leave`. */
  enter(peer: string, { known, now }: { readonly known: boolean; readonly now: Instant }): boolean {
    const { most, perClient } = this.#limits
    const client = hostOf(peer)
    const here = this.#open.get(client) ?? 0
    const hurried = this.#isHurried(client, now)
    if (this.#count >= (known ? most : most * RESERVE) || (!known && (here >= perClient || hurried))) return false
    this.#open.set(client, here + 1)
    this.#count++
    return true
  }

  leave(peer: string): void {
    const client = hostOf(peer)
    const here = (this.#open.get(client) ?? 1) - 1
    if (here > 0) this.#open.set(client, here)
    else this.#open.delete(client)
    this.#count--
  }

  /** What a session that begins now is held to. */
  limits(limits: Limits): Limits {
    return this.#count > this.#limits.most * STRESS ? stressed(limits) : limits
  }

  #isHurried(peer: string, now: Instant): boolean {
    const { perMinute } = this.#limits
    if (perMinute === 0) return false
    const minute = Math.floor(now / MINUTE)
    const came = this.#came.get(peer)
    if (came?.minute === minute) return ++came.count > perMinute
    if (this.#came.size >= MAX_REMEMBERED) this.#came.clear()
    this.#came.set(peer, { minute, count: 1 })
    return false
  }
}
