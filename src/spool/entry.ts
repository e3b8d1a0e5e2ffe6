import type { Duration, Instant } from '../base/time.ts'
import { formatTimestamp } from '../base/timestamp.ts'
import type { Envelope } from '../mail/envelope.ts'
import { type Reply, sayReply } from '../smtp/reply.ts'

export type SpoolId = string

/** A message we have taken: its envelope, what became of each recipient, and why it is where it is. */
export interface SpoolEntry {
  readonly id: SpoolId
  readonly revision: number
  readonly arrived: Instant
  readonly expires: Instant
  /** Since when an operator has it held: it is not tried, and does not expire, until it is released. */
  readonly held?: Instant
  /** When its sender was told that it is delayed; once is enough. */
  readonly toldLate?: Instant
  readonly envelope: Envelope
  readonly size: number
  /** As in `envelope.recipients`, by position. */
  readonly recipients: readonly RecipientState[]
  /** The trail: every reason since arrival, oldest first. */
  readonly trail: readonly Note[]
}

/** A message that is new here, due at once unless it is to be held. */
export function newEntry({
  id,
  envelope,
  at,
  expire,
  what,
}: {
  readonly id: SpoolId
  readonly envelope: Envelope
  readonly at: Instant
  readonly expire: Duration
  /** Where it comes from, as its trail begins. */
  readonly what: string
}): SpoolEntry {
  const due = Math.max(at, envelope.hold ?? at)
  const { deliverBy } = envelope
  // What is to be returned when its time is over has no more time than that (RFC 2852 §4).
  const expires = deliverBy?.mode === 'return' ? Math.min(due + expire, deliverBy.at) : due + expire
  const held = due > at ? [{ at, what: `held until ${formatTimestamp(due)}` }] : []
  return {
    id,
    revision: 0,
    arrived: at,
    expires,
    envelope,
    size: 0,
    recipients: envelope.recipients.map(() => ({ kind: 'waiting', due, attempts: 0 })),
    trail: [{ at, what }, ...held],
  }
}

export interface Note {
  readonly at: Instant
  readonly what: string
}

/** A trail keeps its beginning and its end; a message that was tried for days must not grow without bound. */
export const MAX_NOTES = 200

export type RecipientState =
  /** `tried`: when that was of which `last` tells. */
  | {
      readonly kind: 'waiting'
      readonly due: Instant
      readonly attempts: number
      readonly last?: Outcome
      readonly tried?: Instant
    }
  | { readonly kind: 'done'; readonly at: Instant; readonly outcome: Outcome }

/** What became of one recipient in one attempt. */
export type Outcome =
  /**
   * `dsn`: whoever it was relayed to sees to the reports that were asked for; `untimed`: but not to the time that it has.
   * `expanded`: it was an alias, and stands for others of the same entry.
   */
  | {
      readonly kind: 'delivered' | 'relayed' | 'expanded'
      readonly to: string
      readonly by?: Reply
      readonly dsn?: boolean
      readonly untimed?: boolean
    }
  /** `until`: it is not tried before, whatever the plan. `remote`: whose reply it was, as `mx.b.example` or `[192.0.2.1]`. */
  | { readonly kind: 'deferred'; readonly by: Reply | Failure; readonly until?: Instant; readonly remote?: string }
  /** `reply`: what was said at the last try, where time ran out over it. */
  | { readonly kind: 'failed'; readonly by: Reply | Failure; readonly remote?: string; readonly reply?: Reply }

/** Something that failed and is no reply: an enhanced status (RFC 3463) and the reason in words. */
export interface Failure {
  readonly status: string
  readonly why: string
}

/** Why it waits, where no server's reply says so. */
export function failureOf(outcome: Outcome | undefined): Failure | undefined {
  return outcome?.kind === 'deferred' && !('code' in outcome.by) ? outcome.by : undefined
}

export function sayOutcome(outcome: Outcome): string {
  switch (outcome.kind) {
    case 'delivered':
    case 'relayed':
    case 'expanded':
      return `${outcome.kind} to ${outcome.to}${outcome.by ? `: ${sayReply(outcome.by)}` : ''}`
    default:
      return `${outcome.kind}: ${'code' in outcome.by ? sayReply(outcome.by) : `${outcome.by.status} ${outcome.by.why}`}`
  }
}

export function noted(entry: SpoolEntry, at: Instant, what: string): SpoolEntry {
  const trail = [...entry.trail, { at, what }]
  const kept = trail.length > MAX_NOTES ? [...trail.slice(0, 10), ...trail.slice(trail.length - MAX_NOTES + 10)] : trail
  return { ...entry, trail: kept }
}

/**
 * The entry as an order has it that all that waits be tried: it holds for what happened before it, and not for what is held.
 * Thus one note stands for a change to every message, and each gets its own when it is next written down.
 */
export function ordered(entry: SpoolEntry, order: Note | undefined): SpoolEntry {
  const { arrived, held, recipients, trail } = entry
  if (!order || held !== undefined || (trail.at(-1)?.at ?? arrived) >= order.at || isDone(entry)) return entry
  const hastened = recipients.map(state =>
    state.kind === 'waiting' ? { ...state, due: Math.min(state.due, order.at) } : state,
  )
  return noted({ ...entry, recipients: hastened }, order.at, order.what)
}

/** Did its sender say that it is not to go yet? Who runs the server may have it go all the same. */
export function isTooSoon({ envelope: { hold } }: SpoolEntry, now: Instant): boolean {
  return hold !== undefined && now < hold
}

/** Is every recipient delivered or given up? Then nothing is left to do but to report. */
export function isDone(entry: SpoolEntry): boolean {
  return entry.recipients.every(({ kind }) => kind === 'done')
}

/** When the next recipient is due; undefined when none waits, or the entry is held. */
export function dueAt({ recipients, held }: SpoolEntry): Instant | undefined {
  if (held !== undefined) return undefined
  let earliest: Instant | undefined
  for (const state of recipients) {
    if (state.kind === 'waiting' && (earliest === undefined || state.due < earliest)) earliest = state.due
  }
  return earliest
}
