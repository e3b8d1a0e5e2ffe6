/** The queue, worked on: what is due is claimed, tried, and what became of it written down. */
import { utf8 } from '../base/bytes.ts'
import type { Duration, Instant } from '../base/time.ts'
import { now } from '../io/clock.ts'
import { deliver } from '../io/maildir.ts'
import { isLocal } from '../mta/acceptance.ts'
import type { MtaConfig } from '../mta/config.ts'
import { visitOf } from '../mta/hop.ts'
import { trailed, triedNews } from '../mta/news.ts'
import { LATER, type Later } from '../mta/scheduler.ts'
import { type Batch, batches, conclude, type Hurried, hastened, isLate, turnFor, wayOf } from '../mta/work.ts'
import { formatMailbox, formatPath } from '../smtp/address.ts'
import { failureOf, isDone, isTooSoon, type Outcome, type SpoolEntry, type SpoolId } from '../spool/entry.ts'
import { type Claim, givenBack } from '../spool/spool.ts'
import type { Lanes, Settled } from './lanes.ts'
import type { LinkState } from './link-state.ts'
import type { MtaWorld } from './mta-world.ts'
import { ATTEMPT_LIMIT } from './outgoing.ts'
import { Reports, type Told } from './reports.ts'
import { Tried } from './tried.ts'
import { Turns } from './turns.ts'
import type { Underway } from './underway.ts'
import { words } from './words.ts'

/** Entries worked on at once; most of them wait for their turn at their next hop. */
export const MAX_WORKING = 1_000
/** Messages remembered for when more of them may wait for next hops that took no mail lately; others are looked at after a while. */
const MOST_LATER = 10_000
const LATER_AGAIN: Duration = 60_000
/** Entries read in one go; others are served between. */
const MAX_CLAIMED = 100
/** Messages written into Maildirs at once: each is an open file. */
export const MAX_DELIVERIES = 20
const LONGEST_SLEEP: Duration = 86_400_000
/** A claim outlives its attempt, so that nobody else sends the message meanwhile; and it does end. */
export const CLAIM: Duration = ATTEMPT_LIMIT + 600_000

/** What the server around it does for it. */
export interface AroundWork {
  readonly routing: LinkState
  readonly lanes: Lanes
  readonly underway: Underway
  /** Somebody else works on the queue by now: they are to look at it. */
  readonly passOn: () => void
  readonly busy: Busy
}

/** Entries that are worked on, by whomever of this process; and the claim that was made on one meanwhile. */
export type Busy = Map<SpoolId, Claim | undefined>

export class QueueWork {
  readonly #config: MtaConfig
  readonly #world: MtaWorld
  readonly #routing: LinkState
  readonly #lanes: Lanes
  readonly #underway: Underway
  readonly #passOn: () => void
  readonly #busy: Busy
  readonly #reports: Reports
  readonly #deliveries = new Turns(MAX_DELIVERIES)
  readonly #tried = new Tried()
  /** Who took over from us. */
  #next: QueueWork | undefined
  /** Messages that are tried before they are due, once there is room: their next hop is back, or they were asked for. */
  readonly #hurried = new Map<SpoolId, Hurried>()
  /** Messages for which there was no room among those that wait for such next hops, the first first. */
  readonly #later = new Map<SpoolId, Hurried | undefined>()
  /** How often the ways changed. */
  #changes = 0
  #rerouting = false
  #timer: NodeJS.Timeout | undefined
  #soon: NodeJS.Immediate | undefined

  constructor(config: MtaConfig, world: MtaWorld, { routing, lanes, underway, passOn, busy }: AroundWork) {
    this.#config = config
    this.#world = world
    this.#routing = routing
    this.#lanes = lanes
    this.#underway = underway
    this.#passOn = passOn
    this.#busy = busy
    this.#reports = new Reports(config, world.spool)
  }

  /** A next hop that was away takes mail again. */
  back(hop: string): void {
    for (const { id, hop: next } of this.#memory.back(hop)) this.hurry(id, { hop: next })
  }

  /** It is tried before it is due, unless somebody holds it. */
  hurry(id: SpoolId, hurried: Hurried): void {
    if (this.#next) return this.#next.hurry(id, hurried)
    this.#hurried.set(id, hurried)
    this.wake()
  }

  /** How another tried what waits, by next hops that are the same. */
  adopt(before: QueueWork, fits: (hop: string) => boolean): void {
    this.#tried.adopt(before.#tried, fits)
    before.#next = this
    for (const [id, hurried] of before.#hurried) this.hurry(id, hurried)
    before.#hurried.clear()
    for (const [id, hurried] of before.#later) this.#later.set(id, hurried)
    before.#later.clear()
  }

  /** What is still being tried when somebody takes over is theirs to know. */
  get #memory(): Tried {
    return this.#next ? this.#next.#memory : this.#tried
  }

  /** It is gone: an operator took it out. */
  forget(id: SpoolId): void {
    this.#memory.forget(id)
  }

  /** Claims nothing more. */
  stop(): void {
    clearTimeout(this.#timer)
    clearImmediate(this.#soon)
  }

  /** There may be something to do. */
  wake(): void {
    if (this.#underway.isStopped) return this.#passOn()
    // Once for all that came in this turn of the loop.
    this.#soon ??= setImmediate(() => {
      this.#soon = undefined
      this.#pumped()
    })
  }

  /** A spool that cannot be asked now can be asked again. */
  #pumped(): void {
    void this.#pump().catch(cause => {
      this.#world.events?.note?.(`the spool cannot be read: ${words(cause)}`)
      clearTimeout(this.#timer)
      if (!this.#underway.isStopped) this.#timer = setTimeout(() => this.#pumped(), AFTER_A_FAULT)
    })
  }

  async #pump(): Promise<void> {
    const at = now()
    while (this.#underway.count < MAX_WORKING) {
      const [next] = this.#hurried
      if (!next) break
      const [id, hurried] = next
      this.#hurried.delete(id)
      await this.#takeUp(id, hurried, at)
    }
    while (this.#underway.count < MAX_WORKING && this.#lanes.hasRoom) {
      const [next] = this.#later
      if (!next) break
      const [id, hurried] = next
      this.#later.delete(id)
      await this.#takeUp(id, hurried, at)
    }
    const free = MAX_WORKING - this.#underway.count
    for (const claim of free > 0 ? await this.#world.spool.claim(at, at + CLAIM, Math.min(free, MAX_CLAIMED)) : [])
      this.#begin(claim)
    const due = await this.#world.spool.nextDue()
    if (due === undefined || this.#underway.isStopped || this.#underway.count >= MAX_WORKING) return
    clearTimeout(this.#timer)
    // No timer is longer than this; looking once too often does no harm.
    this.#timer = setTimeout(() => this.#pumped(), Math.min(Math.max(1, due - now()), LONGEST_SLEEP))
  }

  async #takeUp(id: SpoolId, hurried: Hurried | undefined, at: Instant): Promise<void> {
    const claim = await this.#world.spool.take(id, at, at + CLAIM)
    if (claim?.entry.held === undefined && claim) this.#begin(claim, hurried)
    else if (claim) await givenBack(this.#world.spool, claim)
  }

  #begin(claim: Claim, hurried?: Hurried): void {
    const { id } = claim.entry
    this.#later.delete(id)
    // What is worked on longer than its claim is claimed anew thereby, and not begun twice: some may have it already.
    if (this.#busy.has(id)) {
      this.#busy.set(id, claim)
      return
    }
    this.#busy.set(id, undefined)
    this.#underway.add(
      this.#work(claim, hurried)
        // A mistake of ours: the message is not lost, and is due again soon instead of when its claim runs out.
        .catch(cause => {
          const why = words(cause)
          this.#world.events?.tell?.({ kind: 'message', entry: claim.entry, news: { kind: 'fault', why } })
          return this.#world.spool.update(claim, faulted(claim.entry, now(), why))
        })
        .then(() => this.#released(id))
        .then(() => this.wake()),
    )
  }

  /** What was claimed after its outcome was written down is due again; a claim from before that is worth nothing now. */
  async #released(id: SpoolId): Promise<void> {
    const claim = this.#busy.get(id)
    this.#busy.delete(id)
    if (claim) await givenBack(this.#world.spool, claim)
  }

  /** Tries what is due of one entry, and records what became of it. */
  async #work(claim: Claim, hurried?: Hurried): Promise<void> {
    const { entry } = claim
    const changes = this.#changes
    const outcomes = new Map<number, Outcome>()
    const hops = new Map<number, string>()
    let isLater = false
    await Promise.all(
      batches(this.#config, entry, now(), { ...hurried, ways: this.#routing.service }).map(async batch => {
        const tried = await this.#try(entry, batch)
        for (const recipient of batch.recipients) {
          // An attempt that broke off says nothing; without an outcome it would be tried again at once, for ever.
          const outcome = tried.get(recipient) ?? (this.#underway.isStopped ? undefined : BROKE_OFF)
          if (outcome === LATER) isLater = true
          else if (outcome) outcomes.set(recipient, outcome)
          hops.set(recipient, sayHop(batch))
        }
      }),
    )
    // Its turn had not come when we were asked to stop: it waits as it did, for the next start or for who took over.
    if (outcomes.size === 0 && this.#underway.isStopped) {
      if (this.#underway.isRetired) await givenBack(this.#world.spool, claim)
      return
    }
    if (outcomes.size === 0 && isLater) return this.#putOff(claim, hurried)
    const next = await this.conclude(claim, outcomes, hops)
    // While it was under way a way may have opened.
    await this.#moveOn(next, { again: changes !== this.#changes })
  }

  /** Nobody tried it, and it is due as it was: once there is room for it, or after a while. */
  #putOff(claim: Claim, hurried: Hurried | undefined): void {
    this.#world.spool.putOff(claim, now() + LATER_AGAIN)
    if (this.#later.size < MOST_LATER) this.#later.set(claim.entry.id, hurried)
  }

  /** `hops`: which way each recipient went. */
  async conclude(
    claim: Claim,
    outcomes: ReadonlyMap<number, Outcome>,
    hops?: ReadonlyMap<number, string>,
  ): Promise<SpoolEntry> {
    const plan = { waits: this.#config.retry, expire: this.#config.expire }
    const at = now()
    const next = conclude(claim.entry, outcomes, { plan, now: at })
    if (isDone(next)) this.#memory.forget(next.id)
    const { spool, events } = this.#world
    const isLateNow = !isDone(next) && isLate(next, { after: this.#config.delayReport, now: at })
    const told: Told = isDone(next)
      ? await this.#reports.told(next, 'end', at)
      : isLateNow
        ? await this.#reports.told({ ...next, toldLate: at }, 'delay', at)
        : { entry: next }
    if (isDone(next)) await spool.remove(claim, { last: told.entry, report: told.report })
    else await spool.update(claim, told.entry, told.report)
    if (events?.tell) {
      for (const [recipient, outcome] of outcomes) {
        const news = triedNews(next, recipient, { outcome, hop: hops?.get(recipient), now: at })
        events.tell({ kind: 'message', entry: next, news })
      }
      if (told.news) events.tell({ kind: 'message', entry: next, news: told.news })
      if (told.report)
        events.tell({ kind: 'message', entry: told.report.entry, news: { kind: 'made', about: next.id } })
    }
    this.wake()
    return told.entry
  }

  // ── other ways ───────────────────────────────────────────────────────────────────────────────────────────────────

  /** The routes changed: what waits goes at once where another way is open for it. */
  reroute(): void {
    this.#changes++
    if (this.#underway.isStopped || this.#rerouting) return
    this.#rerouting = true
    this.#underway.add(
      this.#lookAround().catch(cause => this.#world.events?.note?.(`the spool cannot be read: ${words(cause)}`)),
    )
  }

  async #lookAround(): Promise<void> {
    // Many changes that come together are looked at together.
    await new Promise(resolve => setImmediate(resolve))
    this.#rerouting = false
    for await (const entry of this.#world.spool.scan())
      if (!this.#busy.has(entry.id)) await this.#moveOn(entry, { again: true })
  }

  /** `again`: over the way it was tried by, too, if that broke. */
  async #moveOn(entry: SpoolEntry, { again }: { readonly again: boolean }): Promise<void> {
    const rerouted = this.#movable(entry, again)
    if (rerouted.size === 0 || this.#underway.isStopped) return
    const claim = await this.#world.spool.take(entry.id, now(), now() + CLAIM)
    if (!claim) return
    await this.#world.spool.update(claim, hastened(claim.entry, rerouted, now()))
    this.wake()
  }

  /** Recipients who wait, and for whom another way than the one tried last is open, or that one again. */
  #movable(entry: SpoolEntry, again: boolean): ReadonlySet<number> {
    const at = now()
    const found = new Set<number>()
    if (entry.held !== undefined || isTooSoon(entry, at)) return found
    for (const [recipient, { to }] of entry.envelope.recipients.entries()) {
      const state = entry.recipients[recipient]
      if (state?.kind !== 'waiting' || state.due <= at || turnFor(this.#config, to) || isLocal(this.#config, to))
        continue
      const way = wayOf(this.#routing.service, entry, { to, now: at })
      if (way.kind !== 'relay' || this.#routing.isSilent(way.connector)) continue
      const isSame = this.#memory.by(entry.id, recipient) === way.connector.name
      if (!isSame || (again && state.last && isAway(state.last))) found.add(recipient)
    }
    return found
  }

  async #try(entry: SpoolEntry, batch: Batch): Promise<Settled> {
    switch (batch.kind) {
      case 'nowhere':
        this.#memory.note(entry.id, batch.recipients, undefined)
        return new Map(batch.recipients.map(recipient => [recipient, batch.outcome]))
      case 'local': {
        const mailbox = formatMailbox(batch.mailbox)
        const outcome = await this.#deliveries.run(() => this.#deliver(entry, mailbox))
        return new Map(batch.recipients.map(recipient => [recipient, outcome]))
      }
      default:
        this.#memory.note(entry.id, batch.recipients, batch.hop.connector.name)
        return this.#relay(entry, batch)
    }
  }

  /** As far along the way as somebody answers: mail waits at the break, and not before it. */
  async #relay(entry: SpoolEntry, { hop, legs, recipients }: Batch & { readonly kind: 'relay' }) {
    const outcomes = new Map<number, Outcome | Later>()
    let left = recipients
    const { connector } = hop
    const tries = this.#routing.service.tries(connector, legs).map(each => (each === connector ? hop : visitOf(each)))
    for (const next of tries) {
      const settled = await this.#lanes.relay(entry, next, left)
      for (const [recipient, outcome] of settled) outcomes.set(recipient, outcome)
      left = left.filter(recipient => isAway(settled.get(recipient)))
      if (left.length === 0) return outcomes
    }
    const names = tries.map(({ name }) => name)
    this.#memory.wasAway(entry.id, hop.name, names)
    return outcomes
  }

  async #deliver(entry: SpoolEntry, mailbox: string): Promise<Outcome> {
    const { spool } = this.#world
    async function* content(): AsyncIterable<Uint8Array> {
      yield utf8(`Return-Path: ${formatPath(entry.envelope.from)}\r\n`)
      yield* spool.body(entry.id)
    }
    try {
      await deliver(this.#world.maildir(mailbox), content())
      return { kind: 'delivered', to: mailbox }
    } catch (cause) {
      return { kind: 'deferred', by: { status: '4.2.0', why: `mailbox ${mailbox}: ${words(cause)}` } }
    }
  }
}

/** How long to wait after a mistake of ours, or of a disk. */
const AFTER_A_FAULT: Duration = 60_000

/** An attempt that broke on a mistake of ours. */
function faulted(entry: SpoolEntry, at: Instant, why: string): SpoolEntry {
  const recipients = entry.recipients.map(state =>
    state.kind === 'waiting' ? { ...state, due: Math.max(state.due, at + AFTER_A_FAULT) } : state,
  )
  return trailed({ ...entry, revision: entry.revision + 1, recipients }, { kind: 'fault', why }, at)
}

/** Which way it goes, as operators name it; of a closed set, for metrics. */
function sayHop(batch: Batch): string {
  return batch.kind === 'relay' ? `connector ${batch.hop.connector.name}` : batch.kind
}

/** Was it the next hop that was not there, and not the message? */
function isAway(outcome: Outcome | Later | undefined): boolean {
  return outcome !== LATER && failureOf(outcome)?.status === '4.4.1'
}

const BROKE_OFF: Outcome = { kind: 'deferred', by: { status: '4.3.0', why: 'the attempt broke off' } }
