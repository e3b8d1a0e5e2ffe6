/** Messages to next hops: the scheduler says who is connected to, and this opens the connections. */
import type { Duration, Instant } from '../base/time.ts'
import { now } from '../io/clock.ts'
import type { Call } from '../io/sockets.ts'
import type { MtaConfig } from '../mta/config.ts'
import type { Hop } from '../mta/hop.ts'
import { LATER, type Later, type Refused, Scheduler } from '../mta/scheduler.ts'
import type { Outcome, SpoolEntry } from '../spool/entry.ts'
import type { Outgoing, Turning } from './outgoing.ts'

/** So many messages that wait for a connection are a crowd: they are not to wait for the silent. A share of `MAX_WORKING`. */
const CROWD = 500
/** So many may wait for next hops that took no mail lately, of `MAX_WORKING`, too: the rest is for other work. */
const STRANGERS = 500
/** How often it is looked whether the silent hold up others; the next server of one that does has so long. */
const LOOK_AGAIN: Duration = 5_000

/**
 * How long a next hop that was not there is not asked again, a little longer each time. Messages keep to their own schedule;
 * the first that is due then, or new, finds out whether it is back, and if so the others follow at once.
 */
export const AWAY: readonly Duration[] = [1_000, 5_000, 15_000, 30_000, 60_000]

/** Of RFC 6710. */
const MOST_URGENT = 9

/** What became of each recipient; `later`: nothing yet, for too many wait. */
export type Settled = ReadonlyMap<number, Outcome | Later>

interface Job {
  readonly entry: SpoolEntry
  readonly hop: Hop
  readonly recipients: readonly number[]
  readonly settle: (outcomes: Settled) => void
  /** It met the end of a session that had sent others before; one that begins with it will tell whose fault that was. */
  again: boolean
}

/** A call that has not been answered. */
interface Unanswered {
  readonly hop: string
  readonly call: Call
  /** When it was made. */
  readonly at: Instant
  /** When the first was of those that were not answered, for one server of the next hop after the other. */
  readonly since: Instant
}

export class Lanes {
  readonly #outgoing: Pick<Outgoing, 'relay'>
  readonly #scheduler: Scheduler<Job>
  readonly #isBack: (hop: string) => void
  /** Next hop → sessions that rest there, the longest first; each is given a job, or nothing to end by. */
  readonly #resting = new Map<string, ((job: Job | undefined) => void)[]>()
  readonly #restTime: Duration
  readonly #unanswered = new Set<Unanswered>()
  readonly #patience: Duration
  readonly #lookAgain: Duration
  #look: NodeJS.Timeout | undefined
  #soon: NodeJS.Immediate | undefined
  /** Tells who took over from us that a next hop takes mail. */
  #onward: (hop: string) => void = () => {}
  #isStopping = false
  #isStopped = false

  /** `isBack`: a next hop that was away takes mail again. */
  constructor(config: MtaConfig, outgoing: Pick<Outgoing, 'relay'>, isBack: (hop: string) => void) {
    this.#outgoing = outgoing
    this.#isBack = isBack
    const { destinations, outgoing: all, retry } = config
    this.#restTime = destinations.rest
    this.#patience = all.patience
    this.#lookAgain = Math.min(LOOK_AGAIN, all.patience)
    // Not longer than the messages wait, or they would come in vain.
    const waits = AWAY.map((away, i) => Math.min(away, retry[Math.min(i, retry.length - 1)] ?? away))
    this.#scheduler = new Scheduler({
      ...destinations,
      total: all.connections,
      unproven: all.unproven,
      strangers: STRANGERS,
      crowd: CROWD,
      waits,
    })
  }

  relay(entry: SpoolEntry, hop: Hop, recipients: readonly number[]): Promise<Settled> {
    return new Promise(settle => this.#offer({ entry, hop, recipients, settle, again: false }))
  }

  /** May one more message wait for a next hop that took no mail lately? */
  get hasRoom(): boolean {
    return this.#scheduler.hasRoom
  }

  /** No connection rests any more. `all`: nothing more is begun; who waits for a turn is told at once, by no outcome at all. */
  stop({ all }: { readonly all: boolean }): void {
    this.#isStopping = true
    for (const hop of [...this.#resting.keys()]) while (this.#wakeUp(hop, undefined));
    if (!all) return
    this.#isStopped = true
    for (const job of this.#scheduler.clear()) job.settle(new Map())
  }

  /** The other end answered, though nothing was relayed yet: who waits need not wait for somebody to try. */
  back(hop: string): void {
    if (this.#scheduler.worked(hop, now())) this.#isBack(hop)
    this.#onward(hop)
    // It may have more connections now, and others what it had of their share; its session takes its next message before.
    this.#soon ??= setImmediate(() => {
      this.#soon = undefined
      this.#begin()
    })
  }

  /** What another knows of next hops that are the same. */
  adopt(before: Lanes, fits: (hop: string) => boolean): void {
    this.#scheduler.adopt(before.#scheduler, fits)
    // Sessions that it has still may find out more.
    before.#onward = hop => {
      if (fits(hop)) this.back(hop)
    }
  }

  /** An operator says so: a next hop that was away is asked again, and not when its wait is over. */
  askAnyway(): void {
    this.#scheduler.askAnyway()
  }

  #offer(job: Job): void {
    if (this.#isStopped) return job.settle(new Map())
    // One that ended a session is told apart from it by a session of its own, and not by another that rests.
    if (!job.again && this.#wakeUp(job.hop.name, job)) return
    const priority = job.again ? MOST_URGENT : job.entry.envelope.priority
    // Senders say which domains there are, and the operator all else.
    const isNamed = job.hop.domain === undefined
    const refused = this.#scheduler.offer(job.hop.name, job, now(), { priority, isNamed, isAgain: job.again })
    if (refused === LATER) job.settle(new Map(job.recipients.map(recipient => [recipient, LATER])))
    else if (refused) job.settle(untried(job, refused))
    else this.#begin()
  }

  #begin(): void {
    for (const { hop, job } of this.#scheduler.begin(now())) void this.#session(hop, job)
    if (this.#resting.size === 0 || !this.#scheduler.isWanted()) return
    // Somebody waits for a connection: of those whose end helps the one that rests longest goes.
    for (const hop of this.#resting.keys()) if (this.#scheduler.isFreedBy(hop) && this.#wakeUp(hop, undefined)) return
  }

  /** Who has said nothing for longer than others can wait is waited for no more. */
  #lookRound(): void {
    this.#look = undefined
    if (this.#unanswered.size === 0) return
    for (const { hop, since, at, call } of this.#unanswered)
      if (now() >= Math.max(since + this.#patience, at + this.#lookAgain) && this.#scheduler.isPressed(hop)) call.off()
    this.#lookLater()
  }

  #lookLater(): void {
    this.#look ??= setTimeout(() => this.#lookRound(), this.#lookAgain).unref()
  }

  /** A session that rests goes on with a job, or ends; `false` where none does. */
  #wakeUp(hop: string, job: Job | undefined): boolean {
    const resting = this.#resting.get(hop)
    // The one that came last is the surest to be there still.
    const woken = job ? resting?.pop() : resting?.shift()
    if (resting?.length === 0) this.#resting.delete(hop)
    woken?.(job)
    return woken !== undefined
  }

  get #mayRest(): boolean {
    return this.#restTime > 0 && !this.#isStopping
  }

  #rest(hop: string): Promise<Job | undefined> {
    return new Promise(resolve => {
      const wake = (job: Job | undefined) => {
        clearTimeout(timer)
        resolve(job)
      }
      const timer = setTimeout(() => {
        const others = this.#resting.get(hop)?.filter(each => each !== wake) ?? []
        if (others.length > 0) this.#resting.set(hop, others)
        else this.#resting.delete(hop)
        resolve(undefined)
      }, this.#restTime)
      this.#resting.set(hop, [...(this.#resting.get(hop) ?? []), wake])
    })
  }

  async #session(hop: string, first: Job): Promise<void> {
    let sent = 0
    const turning = (job: Job): Turning => ({
      entry: job.entry,
      recipients: job.recipients,
      done: async outcomes => {
        if (sent++ > 0 && !job.again && wasCutShort(outcomes)) {
          this.#offer({ ...job, again: true })
          return
        }
        if ([...outcomes.values()].some(isTaken)) this.back(hop)
        job.settle(outcomes)
      },
    })
    const next = async (): Promise<Turning | undefined> => {
      const job =
        this.#scheduler.next(hop, sent) ??
        (this.#mayRest && this.#scheduler.mayStay(hop, sent) ? await this.#rest(hop) : undefined)
      if (!job?.again) return job && turning(job)
      this.#offer(job)
      return undefined
    }
    let unanswered: Unanswered | undefined
    const forget = () => {
      if (unanswered) this.#unanswered.delete(unanswered)
    }
    const why = await this.#outgoing.relay(first.hop, turning(first), next, {
      calls: call => {
        const at = now()
        forget()
        unanswered = { hop, call, at, since: unanswered?.since ?? at }
        this.#unanswered.add(unanswered)
        this.#lookLater()
      },
      // Whoever is called after that has not been waited for yet.
      answered: () => {
        forget()
        unanswered = undefined
      },
    })
    forget()
    if (why !== undefined) {
      const { away, jobs } = this.#scheduler.failed(hop, why, now())
      for (const job of jobs) job.settle(untried(job, away))
    }
    this.#scheduler.ended(hop)
    this.#begin()
  }
}

/** It is the next hop's now. */
function isTaken({ kind }: Outcome): boolean {
  return kind === 'relayed' || kind === 'delivered'
}

/** Did the session end under the message, or refuse it as one too many (421, RFC 5321 §3.8)? */
function wasCutShort(outcomes: ReadonlyMap<number, Outcome>): boolean {
  return [...outcomes.values()].every(
    outcome => outcome.kind === 'deferred' && (!('code' in outcome.by) || outcome.by.code === 421),
  )
}

function untried({ recipients }: Job, { why }: Refused): ReadonlyMap<number, Outcome> {
  const by = { status: '4.4.1', why: `not tried, for the next hop is away: ${why}` }
  return new Map(recipients.map(recipient => [recipient, { kind: 'deferred', by }]))
}
