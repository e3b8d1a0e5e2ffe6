import { Expiring } from '../base/expiring.ts'
import type { Duration, Instant } from '../base/time.ts'
import type { DestinationLimits } from './config.ts'

/** Connections to a next hop of which nothing is known yet; each message that gets through adds one, up to the limit. */
export const FIRST_CONNECTIONS = 5

/** So long, and of so many at most, it is known which next hops took mail lately, and which were not there. */
export const KNOWN_FOR: Duration = 86_400_000
export const MOST_KNOWN = 10_000

export interface SchedulerLimits extends Pick<DestinationLimits, 'connections' | 'messages'> {
  /** Connections at once, to all of them together. */
  readonly total: number
  /**
   * Of these, the most to next hops that took no message lately and that the configuration does not name; the rest is kept for
   * the others, whatever these do with theirs. Not above `total`.
   */
  readonly unproven: number
  /** So many jobs may wait for a connection of that share. */
  readonly strangers: number
  /** So many jobs that wait for a connection are a crowd. */
  readonly crowd: number
  /** How long a next hop that is not there is left alone, by how often it was not: the last again and again. */
  readonly waits: readonly Duration[]
}

/** A session to open to a next hop, with its first job. */
export interface Begun<Job> {
  readonly hop: string
  readonly job: Job
}

/** Not now: the hop is left alone until then. */
export interface Refused {
  readonly until: Instant
  readonly why: string
}

/** So long a message must have waited to go before one that is more urgent by one degree: nobody waits for ever. */
export const DEGREE_WORTH: Duration = 300_000

/** Not now: as many wait for the share as may. Nothing is known of the hop by that. */
export const LATER = 'later'
export type Later = typeof LATER

export interface Offer {
  /** -9 to 9: before those of its lane that are less urgent and have not waited much longer (RFC 6710 §4.3). */
  readonly priority?: number | undefined
  /** The configuration names the hop, and no stranger can: it does not have to show first that it takes mail. */
  readonly isNamed?: boolean
  /** It had its turn, and lost it: it is not put off. */
  readonly isAgain?: boolean
}

interface Waiting<Job> {
  readonly job: Job
  /** Who has the lowest goes first. */
  readonly rank: number
}

interface Lane<Job> {
  readonly hop: string
  readonly waiting: Waiting<Job>[]
  open: number
  allowed: number
  /** The configuration names it. */
  readonly isNamed: boolean
  /** It took a message lately, or the configuration names it. */
  isProven: boolean
  away: Away | undefined
}

/** What is known of a next hop that is not there. */
interface Away {
  /** How often in a row. */
  readonly failures: number
  /** Absent: it may be asked. */
  readonly refused?: Refused
}

/**
 * Who is connected to next, and how often: a lane for each next hop, with its own limit and its own back-off, served in
 * turn so that a long lane does not hold up the others. A stranger who did not show lately that it takes mail has a share of
 * the connections with all who did not: next hops that only hold what they are given cannot hold up the rest. It opens nothing
 * and waits for nothing; whoever drives it opens the sessions that it begins, and asks it for the next job of each.
 */
export class Scheduler<Job> {
  readonly #limits: SchedulerLimits
  /** Those that took mail lately or are named, and those that did not, in the order of their turns; each as long as it has jobs or sessions. */
  readonly #proven: Turns<Job> = { lanes: new Map(), open: 0, waiting: 0 }
  readonly #unproven: Turns<Job> = { lanes: new Map(), open: 0, waiting: 0 }
  readonly #took = new Expiring<true>(MOST_KNOWN)
  readonly #away = new Expiring<Away>(MOST_KNOWN)
  /** Whose turn it is, the ones' or the others'. */
  #turn = 0

  constructor(limits: SchedulerLimits) {
    this.#limits = limits
  }

  get #waiting(): number {
    return this.#proven.waiting + this.#unproven.waiting
  }

  get open(): number {
    return this.#proven.open + this.#unproven.open
  }

  /** A job for a next hop; refused while the hop is known to be away. */
  offer(hop: string, job: Job, now: Instant, how: Offer = {}): Refused | Later | undefined {
    const { priority = 0, isNamed = false, isAgain = false } = how
    const known = this.#lane(hop)
    const lane = known ?? this.#lookedUp(hop, isNamed, now)
    const refused = lane.away?.refused
    if (refused && now < refused.until) return refused
    if (!lane.isProven && !isAgain && !this.hasRoom && !this.#hasTurn(lane)) return LATER
    if (!known) this.#turnsOf(lane).lanes.set(hop, lane)
    const rank = now - priority * DEGREE_WORTH
    // Nearly all belong at the end.
    let at = lane.waiting.length
    while (at > 0 && (lane.waiting[at - 1]?.rank ?? rank) > rank) at--
    if (at === lane.waiting.length) lane.waiting.push({ job, rank })
    else lane.waiting.splice(at, 0, { job, rank })
    this.#turnsOf(lane).waiting++
    return undefined
  }

  /** May another job wait for a connection of the share? */
  get hasRoom(): boolean {
    return this.#unproven.waiting < this.#limits.strangers
  }

  /** Would another job for one of those that took no mail begin at once? */
  #hasTurn(lane: Lane<Job>): boolean {
    return !this.#isFull(this.#unproven) && lane.open + lane.waiting.length < allowedOf(lane)
  }

  /** The sessions to open now, one lane after the other. */
  begin(now: Instant): readonly Begun<Job>[] {
    const begun: Begun<Job>[] = []
    if (this.#waiting === 0) return begun
    // A lane that was served comes again behind the others, in the same pass.
    const passes = [this.#proven, this.#unproven].map(turns => ({ turns, lanes: turns.lanes.values() }))
    for (let idle = 0; idle < passes.length; idle++) {
      const pass = passes[this.#turn++ % passes.length]
      if (!pass || this.#isFull(pass.turns)) continue
      const { turns } = pass
      for (const lane of pass.lanes) {
        const job = mayBegin(lane, now) ? this.#first(lane) : undefined
        if (job === undefined) continue
        lane.open++
        turns.open++
        begun.push({ hop: lane.hop, job })
        turns.lanes.delete(lane.hop)
        turns.lanes.set(lane.hop, lane)
        idle = -1
        break
      }
    }
    return begun
  }

  /**
   * Another job for a session that has sent so many; nothing when it shall end. Where somebody else waits for a connection,
   * a session ends after its share even if there was more to send over it.
   */
  next(hop: string, sent: number): Job | undefined {
    const lane = this.#lane(hop)
    return lane && this.mayStay(hop, sent) ? this.#first(lane) : undefined
  }

  /** May a session that has sent so many send another, now or when there is one? */
  mayStay(hop: string, sent: number): boolean {
    return sent < this.#limits.messages && !this.isWanted(hop)
  }

  /** There can be no more connections, and one is wanted for another hop that could be had if one to this hop ended. */
  isWanted(hop?: string): boolean {
    const own = hop === undefined ? undefined : this.#lane(hop)
    return this.#isMissed(own, own)
  }

  /** The same, or it is for this very hop that another one is wanted. */
  isFreedBy(hop: string): boolean {
    return this.#isMissed(this.#lane(hop))
  }

  /** Could a lane, but for `except`, begin a session if one of `ending` ended, and cannot now? */
  #isMissed(ending?: Lane<Job>, except?: Lane<Job>): boolean {
    for (const turns of [this.#proven, this.#unproven]) {
      if (!this.#isFull(turns) || (ending && this.#isFull(turns, this.#turnsOf(ending)))) continue
      for (const lane of turns.lanes.values()) if (lane !== except && isReady(lane)) return true
    }
    return false
  }

  /** A connection to this hop that does nothing is missed: for want of it somebody has none, or a crowd waits, some for this hop. */
  isPressed(hop: string): boolean {
    const isCrowd = this.#waiting >= this.#limits.crowd && (this.#lane(hop)?.waiting.length ?? 0) > 0
    return isCrowd || this.isFreedBy(hop)
  }

  /** A message got through. `true`: the hop had been away, and is back. */
  worked(hop: string, now: Instant): boolean {
    const isBack = this.#away.get(hop, now) !== undefined
    this.#away.delete(hop)
    this.#took.set(hop, true, now + KNOWN_FOR)
    const lane = this.#lane(hop)
    if (lane) {
      lane.away = undefined
      lane.allowed = Math.min(this.#limits.connections, lane.allowed + 1)
      this.#move(lane, true)
    }
    return isBack
  }

  /** The hop is not there: it is left alone for a while, and what waits for it is not tried. */
  failed(hop: string, why: string, now: Instant): { readonly away: Refused; readonly jobs: readonly Job[] } {
    const { waits } = this.#limits
    const lane = this.#lane(hop)
    const { failures, refused } = this.#away.get(hop, now) ?? { failures: 0 }
    // Sessions that were opened together fail together; that is one failure.
    if (refused && now < refused.until) return { away: refused, jobs: lane ? this.#all(lane) : [] }
    const wait = waits[Math.min(failures, waits.length - 1)] ?? 0
    const away = { failures: failures + 1, refused: { until: now + wait, why } }
    this.#away.set(hop, away, now + KNOWN_FOR)
    this.#took.delete(hop)
    if (!lane) return { away: away.refused, jobs: [] }
    lane.away = away
    lane.allowed = this.#allowedFirst
    this.#move(lane, lane.isNamed)
    return { away: away.refused, jobs: this.#all(lane) }
  }

  /** Whoever is away may be asked at once: somebody knows better, and the first job for each will tell. */
  askAnyway(): void {
    this.#away.change(({ failures }) => ({ failures }))
    for (const { lanes } of [this.#proven, this.#unproven])
      for (const lane of lanes.values()) lane.away = lane.away && { failures: lane.away.failures }
  }

  /** Takes over what is known of the hops that fit, before anything is offered here. What waits stays with the other. */
  adopt(other: Scheduler<Job>, fits: (hop: string) => boolean): void {
    this.#away.adopt(other.#away, fits)
    this.#took.adopt(other.#took, fits)
  }

  /** Takes out all that waits: nothing more is to be begun. */
  clear(): readonly Job[] {
    return [this.#proven, this.#unproven].flatMap(({ lanes }) => [...lanes.values()].flatMap(lane => this.#all(lane)))
  }

  /** A session is over. */
  ended(hop: string): void {
    const lane = this.#lane(hop)
    if (!lane) return
    const turns = this.#turnsOf(lane)
    lane.open--
    turns.open--
    // Its turn is over: who waited meanwhile comes first.
    turns.lanes.delete(hop)
    if (lane.open > 0 || lane.waiting.length > 0) turns.lanes.set(hop, lane)
  }

  #lane(hop: string): Lane<Job> | undefined {
    return this.#proven.lanes.get(hop) ?? this.#unproven.lanes.get(hop)
  }

  /** A lane for a hop that has none, by what is known of it. */
  #lookedUp(hop: string, isNamed: boolean, now: Instant): Lane<Job> {
    const isProven = isNamed || this.#took.get(hop, now) !== undefined
    const away = this.#away.get(hop, now)
    return { hop, waiting: [], open: 0, allowed: this.#allowedFirst, isNamed, isProven, away }
  }

  get #allowedFirst(): number {
    return Math.min(FIRST_CONNECTIONS, this.#limits.connections)
  }

  #turnsOf({ isProven }: Lane<Job>): Turns<Job> {
    return isProven ? this.#proven : this.#unproven
  }

  #move(lane: Lane<Job>, isProven: boolean): void {
    if (lane.isProven === isProven) return
    const before = this.#turnsOf(lane)
    before.lanes.delete(lane.hop)
    before.open -= lane.open
    before.waiting -= lane.waiting.length
    lane.isProven = isProven
    const after = this.#turnsOf(lane)
    after.lanes.set(lane.hop, lane)
    after.open += lane.open
    after.waiting += lane.waiting.length
  }

  /** `ended`: if one of these sessions ended. */
  #isFull(turns: Turns<Job>, ended?: Turns<Job>): boolean {
    const { total, unproven } = this.#limits
    const open = this.open - (ended ? 1 : 0)
    return open >= total || (turns === this.#unproven && turns.open - (ended === turns ? 1 : 0) >= unproven)
  }

  #first(lane: Lane<Job>): Job | undefined {
    const first = lane.waiting.shift()
    if (first) this.#turnsOf(lane).waiting--
    return first?.job
  }

  #all(lane: Lane<Job>): readonly Job[] {
    this.#turnsOf(lane).waiting -= lane.waiting.length
    return lane.waiting.splice(0).map(({ job }) => job)
  }
}

/** Lanes in the order of their turns, and the connections and the jobs of all of them. */
interface Turns<Job> {
  readonly lanes: Map<string, Lane<Job>>
  open: number
  waiting: number
}

/** One at a time finds out whether a hop that was away is back. */
function allowedOf<Job>({ away, allowed }: Lane<Job>): number {
  return away ? 1 : allowed
}

function mayBegin<Job>(lane: Lane<Job>, now: Instant): boolean {
  return isReady(lane) && !(lane.away?.refused && now < lane.away.refused.until)
}

function isReady<Job>(lane: Lane<Job>): boolean {
  return lane.waiting.length > 0 && lane.open < allowedOf(lane)
}
