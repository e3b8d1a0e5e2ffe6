import type { Duration, Instant } from '../base/time.ts'
import type { DestinationLimits } from './config.ts'

/** Connections to a next hop of which nothing is known yet; each message that gets through adds one, up to the limit. */
export const FIRST_CONNECTIONS = 5

export interface SchedulerLimits extends Pick<DestinationLimits, 'connections' | 'messages'> {
  /** Connections at once, to all of them together. */
  readonly total: number
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

interface Waiting<Job> {
  readonly job: Job
  /** Who has the lowest goes first. */
  readonly rank: number
}

interface Lane<Job> {
  readonly waiting: Waiting<Job>[]
  open: number
  allowed: number
  /** How often in a row it was not there. */
  failures: number
  away: Refused | undefined
}

/**
 * Who is connected to next, and how often: a lane for each next hop, with its own limit and its own back-off, served in
 * turn so that a long lane does not hold up the others. It opens nothing and waits for nothing; whoever drives it opens the
 * sessions that it begins, and asks it for the next job of each.
 */
export class Scheduler<Job> {
  readonly #limits: SchedulerLimits
  /** In the order of their turns. A lane without jobs, sessions or a past is forgotten. */
  readonly #lanes = new Map<string, Lane<Job>>()
  #open = 0

  constructor(limits: SchedulerLimits) {
    this.#limits = limits
  }

  get open(): number {
    return this.#open
  }

  /**
   * A job for a next hop; refused while the hop is known to be away. `priority`, -9 to 9, moves it before those of its lane
   * that are less urgent and have not waited much longer (RFC 6710 §4.3).
   */
  offer(hop: string, job: Job, now: Instant, priority = 0): Refused | undefined {
    const lane = this.#lane(hop)
    if (lane.away && now < lane.away.until) return lane.away
    const rank = now - priority * DEGREE_WORTH
    // Nearly all belong at the end.
    let at = lane.waiting.length
    while (at > 0 && (lane.waiting[at - 1]?.rank ?? rank) > rank) at--
    if (at === lane.waiting.length) lane.waiting.push({ job, rank })
    else lane.waiting.splice(at, 0, { job, rank })
    return undefined
  }

  /** The sessions to open now, one lane after the other. */
  begin(now: Instant): readonly Begun<Job>[] {
    const begun: Begun<Job>[] = []
    for (let isAny = true; isAny && this.#open < this.#limits.total; ) {
      isAny = false
      for (const [hop, lane] of [...this.#lanes]) {
        if (this.#open >= this.#limits.total) break
        if (lane.open >= allowedOf(lane) || (lane.away && now < lane.away.until)) continue
        const first = lane.waiting.shift()
        if (!first) continue
        lane.open++
        this.#open++
        begun.push({ hop, job: first.job })
        isAny = true
        // Its next turn comes after everybody else's.
        this.#lanes.delete(hop)
        this.#lanes.set(hop, lane)
      }
    }
    return begun
  }

  /**
   * Another job for a session that has sent so many; nothing when it shall end. Where somebody else waits for a connection,
   * a session ends after its share even if there was more to send over it.
   */
  next(hop: string, sent: number): Job | undefined {
    return this.mayStay(hop, sent) ? this.#lanes.get(hop)?.waiting.shift()?.job : undefined
  }

  /** May a session that has sent so many send another, now or when there is one? */
  mayStay(hop: string, sent: number): boolean {
    return sent < this.#limits.messages && !this.isWanted(hop)
  }

  /** There can be no more connections, and one is wanted for another hop. */
  isWanted(hop?: string): boolean {
    if (this.#open < this.#limits.total) return false
    for (const [other, lane] of this.#lanes) if (other !== hop && isReady(lane)) return true
    return false
  }

  /** A message got through. `true`: the hop had been away, and is back. */
  worked(hop: string): boolean {
    const lane = this.#lanes.get(hop)
    if (!lane) return false
    const isBack = lane.failures > 0
    lane.failures = 0
    lane.away = undefined
    lane.allowed = Math.min(this.#limits.connections, lane.allowed + 1)
    return isBack
  }

  /** The hop is not there: it is left alone for a while, and what waits for it is not tried. */
  failed(hop: string, why: string, now: Instant): { readonly away: Refused; readonly jobs: readonly Job[] } {
    const { waits } = this.#limits
    const lane = this.#lane(hop)
    // Sessions that were opened together fail together; that is one failure.
    if (!lane.away || now >= lane.away.until) {
      const wait = waits[Math.min(lane.failures, waits.length - 1)] ?? 0
      lane.failures++
      lane.away = { until: now + wait, why }
      lane.allowed = FIRST_CONNECTIONS
    }
    return { away: lane.away, jobs: lane.waiting.splice(0).map(({ job }) => job) }
  }

  /** Whoever is away may be asked at once: somebody knows better, and the first job for each will tell. */
  askAnyway(): void {
    for (const lane of this.#lanes.values()) lane.away = undefined
  }

  /** Takes over who is away, and for how long, of the hops that fit. What waits stays with the other. */
  adopt(other: Scheduler<Job>, fits: (hop: string) => boolean): void {
    for (const [hop, { failures, away }] of other.#lanes) {
      if (failures === 0 || !fits(hop)) continue
      const lane = this.#lane(hop)
      lane.failures = failures
      lane.away = away
    }
  }

  /** Takes out all that waits: nothing more is to be begun. */
  clear(): readonly Job[] {
    return [...this.#lanes.values()].flatMap(({ waiting }) => waiting.splice(0).map(({ job }) => job))
  }

  /** A session is over. */
  ended(hop: string): void {
    const lane = this.#lane(hop)
    lane.open--
    this.#open--
    // Its turn is over: who waited meanwhile comes first.
    this.#lanes.delete(hop)
    if (lane.open > 0 || lane.waiting.length > 0 || lane.failures > 0) this.#lanes.set(hop, lane)
  }

  #lane(hop: string): Lane<Job> {
    const known = this.#lanes.get(hop)
    if (known) return known
    const allowed = Math.min(FIRST_CONNECTIONS, this.#limits.connections)
    const lane = { waiting: [], open: 0, allowed, failures: 0, away: undefined }
    this.#lanes.set(hop, lane)
    return lane
  }
}

/** One at a time finds out whether a hop that was away is back. */
function allowedOf<Job>({ failures, allowed }: Lane<Job>): number {
  return failures > 0 ? 1 : allowed
}

function isReady<Job>(lane: Lane<Job>): boolean {
  return lane.waiting.length > 0 && lane.open < allowedOf(lane)
}
