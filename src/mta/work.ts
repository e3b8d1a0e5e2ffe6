import type { Duration, Instant } from '../base/time.ts'
import type { Connector } from '../routing/connector.ts'
import { shared } from '../routing/fan-out.ts'
import type { Guid } from '../routing/link-state.ts'
import { nameOf } from '../routing/master.ts'
import type { Leg, Letter, Route } from '../routing/route.ts'
import { domainKey, formatMailbox, type Mailbox } from '../smtp/address.ts'
import {
  type Failure,
  isTooSoon,
  type Outcome,
  type RecipientState,
  type SpoolEntry,
  sayOutcome,
} from '../spool/entry.ts'
import { nextTry, type RetryPlan } from '../spool/retry.ts'
import { isLocal, mailboxFor } from './acceptance.ts'
import { KEYED, type MtaConfig, type Turn } from './config.ts'
import { type Hop, hopOf, lmtpHop, shownHop } from './hop.ts'
import { trailed, triedNews } from './news.ts'

/** Recipients of one entry that are due and go the same way. */
export type Batch =
  | { readonly kind: 'local'; readonly mailbox: Mailbox; readonly recipients: readonly number[] }
  /** `legs`: the groups that the ways of all its recipients come through. */
  | {
      readonly kind: 'relay'
      readonly hop: Hop
      readonly legs: readonly Leg[]
      readonly recipients: readonly number[]
    }
  | { readonly kind: 'nowhere'; readonly outcome: Outcome; readonly recipients: readonly number[] }

/** Which way a letter goes now; `routing/service.ts` knows. */
export interface Ways {
  route(letter: Letter, now: Instant): Route
  /** One of our own connectors; nothing where it is another server's. */
  connector(guid: Guid): Connector | undefined
  /** The way to one of these members of our own group, or without any to its master; nothing where none is known. */
  member(names: readonly string[]): Connector | undefined
}

/** What goes before it is due. */
export interface Hurried {
  /** Domains, as they are compared, whose mail was asked for just now by ETRN, TURN or ATRN; other held mail waits on. */
  readonly asked?: ReadonlySet<string>
  /** The next hop that is back. */
  readonly hop?: string
}

/** The batches of an entry, made fresh each time: a change of routes may split or join them. */
export function batches(
  config: MtaConfig,
  entry: SpoolEntry,
  now: Instant,
  { ways, asked, hop }: Hurried & { readonly ways: Ways },
): readonly Batch[] {
  const found = new Map<string, Batch>()
  const isOver = isTooLate(entry, now)
  for (const [recipient, { to }] of entry.envelope.recipients.entries()) {
    const state = entry.recipients[recipient]
    if (state?.kind !== 'waiting') continue
    const isAsked = !isTooSoon(entry, now) && (asked?.has(domainKey(to.domain)) ?? false)
    if (state.due > now && !isAsked && hop === undefined) continue
    const held = isAsked ? undefined : turnFor(config, to)
    const [key, batch] = isOver
      ? nowhere('5.4.7', 'it was not delivered by the time that its sender set')
      : held
        ? waits(held, entry)
        : batchFor(config, entry, { to, way: wayOf(ways, entry, { to, now }) })
    if (state.due > now && !isAsked && key !== `connector ${hop}` && key !== hop) continue
    const before = found.get(key)
    const recipients = [...(before?.recipients ?? []), recipient]
    // One copy goes as far as all their ways are the same.
    if (before?.kind === 'relay' && batch.kind === 'relay') {
      found.set(key, { ...before, legs: shared(before.legs, batch.legs), recipients })
    } else found.set(key, { ...(before ?? batch), recipients })
  }
  return [...found.values()]
}

/** Is the time over after which it is not to be delivered any more (RFC 2852 §4)? */
function isTooLate({ envelope: { deliverBy } }: SpoolEntry, now: Instant): boolean {
  return deliverBy?.mode === 'return' && now >= deliverBy.at
}

/** The way of one recipient's copy. */
export function wayOf(
  ways: Ways,
  { envelope, size }: SpoolEntry,
  { to, now }: { readonly to: Mailbox; readonly now: Instant },
): Way {
  const { from, priority = 0 } = envelope
  const degree = priority < 0 ? 'low' : priority > 0 ? 'high' : 'normal'
  const found = ways.route({ to, from, size, isSystem: from === null, priority: degree }, now)
  if (found.kind === 'unreachable') return { kind: 'none', by: { status: found.status, why: found.why } }
  const connector = ways.connector(found.connector.connector)
  if (found.kind === 'hold')
    return { kind: 'none', by: { status: '4.4.1', why: `no way to ${to.domain} is open: ${found.why}` } }
  const name = nameOf(found.connector)
  if (!connector || found.bridgeheads.length > 0) {
    const member = ways.member(found.bridgeheads)
    if (member) return { kind: 'relay', connector: member, legs: [] }
    const why = `the way leads by ${name} at ${found.bridgeheads.join(', ') || 'another server'}, to which no connector leads`
    return { kind: 'none', by: { status: '4.4.4', why } }
  }
  if (!found.waits) return { kind: 'relay', connector, legs: found.legs }
  const when = connector.isHeld ? 'until it is fetched' : 'until its schedule lets it go'
  return {
    kind: 'none',
    by: { status: '4.4.7', why: `connector ${name} keeps it ${when}` },
    until: found.waits.until ?? null,
  }
}

/** Whether mail for somebody can be taken: a way is there, or one may be told of. */
export function hasWay(ways: Ways, { to, now }: { readonly to: Mailbox; readonly now: Instant }): boolean {
  const found = ways.route({ to }, now)
  return found.kind !== 'unreachable' || found.status.startsWith('4')
}

/** Over one of our connectors; or nowhere now, and why. `until`: it is not tried before, and `null`: never by itself. */
export type Way =
  | { readonly kind: 'relay'; readonly connector: Connector; readonly legs: readonly Leg[] }
  | { readonly kind: 'none'; readonly by: Failure; readonly until?: Instant | null }

function batchFor(
  config: MtaConfig,
  { expires }: SpoolEntry,
  { to, way }: { readonly to: Mailbox; readonly way: Way },
): readonly [key: string, batch: Batch] {
  if (isLocal(config, to)) {
    const mailbox = mailboxFor(config, to)
    if (mailbox && config.lmtp) return relayed(lmtpHop(config.lmtp))
    if (mailbox) return [`mailbox ${formatMailbox(mailbox)}`, { kind: 'local', mailbox, recipients: [] }]
    return nowhere('5.1.1', `no such user: ${formatMailbox(to)}`)
  }
  if (way.kind === 'none') {
    const { by, until } = way
    if (by.status.startsWith('5')) return nowhere(by.status, by.why)
    const outcome: Outcome = { kind: 'deferred', by, ...(until !== undefined && { until: until ?? expires }) }
    return [`${by.status} ${by.why}`, { kind: 'nowhere', outcome, recipients: [] }]
  }
  return relayed(hopOf(way.connector, to), way.legs)
}

function relayed(hop: Hop, legs: readonly Leg[] = []): readonly [string, Batch] {
  return [keyOf(hop), { kind: 'relay', hop, legs, recipients: [] }]
}

/** `connector A-to-B`, `connector out b.example`, `lmtp`. */
function keyOf(hop: Hop): string {
  return hop.lmtp ? shownHop(hop) : `connector ${hop.name}`
}

/** Which way a recipient's mail goes, as operators name it: `connector A-to-B`, `mailbox bob@b.example`, `turn c.example`. */
export function hopFor(
  config: MtaConfig,
  ways: Ways,
  { entry, to, now }: { readonly entry: SpoolEntry; readonly to: Mailbox; readonly now: Instant },
): string {
  const turn = turnFor(config, to)
  return turn ? `turn ${turn.domain}` : batchFor(config, entry, { to, way: wayOf(ways, entry, { to, now }) })[0]
}

/** The line that holds mail for this address back until it is asked for. */
export function turnFor({ turns }: MtaConfig, { domain }: Mailbox): Turn | undefined {
  return KEYED.turns.find(turns, domainKey(domain))
}

function waits({ domain }: Turn, { expires }: SpoolEntry): readonly [string, Batch] {
  const by = { status: '4.7.0', why: `mail for ${domain} waits until it is asked for` }
  return [`turn ${domain}`, { kind: 'nowhere', outcome: { kind: 'deferred', by, until: expires }, recipients: [] }]
}

function nowhere(status: string, why: string): readonly [string, Batch] {
  return [why, { kind: 'nowhere', outcome: { kind: 'failed', by: { status, why } }, recipients: [] }]
}

/** Another way opened for some of its recipients: they are due at once. */
export function hastened(entry: SpoolEntry, which: ReadonlySet<number>, now: Instant): SpoolEntry {
  const recipients = entry.recipients.map((state, i) =>
    state.kind === 'waiting' && which.has(i) ? { ...state, due: now } : state,
  )
  return trailed({ ...entry, revision: entry.revision + 1, recipients }, { kind: 'way-opened' }, now)
}

/** The entry after its attempts: every outcome noted, and who was deferred due again, or given up. */
export function conclude(
  entry: SpoolEntry,
  outcomes: ReadonlyMap<number, Outcome>,
  { plan, now }: { readonly plan: RetryPlan; readonly now: Instant },
): SpoolEntry {
  let next: SpoolEntry = { ...entry, revision: entry.revision + 1 }
  const states = entry.recipients.map((state, i): RecipientState => {
    const outcome = outcomes.get(i)
    if (state.kind === 'done' || !outcome) return state
    if (outcome.kind !== 'deferred') return { kind: 'done', at: now, outcome }
    const attempts = state.attempts + 1
    const until = now < entry.expires ? outcome.until : undefined
    const planned = until ?? nextTry(plan, { attempts, now, expires: entry.expires })
    // When its time is over it is looked at: delivered just in time, or its sender told.
    const set = entry.envelope.deliverBy?.at
    const due = planned !== undefined && set !== undefined && now < set ? Math.min(planned, set) : planned
    if (due !== undefined) return { kind: 'waiting', due, attempts, last: outcome, tried: now }
    return { kind: 'done', at: now, outcome: expired(outcome) }
  })
  next = { ...next, recipients: states }
  for (const [i, outcome] of outcomes) next = trailed(next, triedNews(next, i, { outcome, now }), now)
  return next
}

/** Has it waited so long that its sender is to be told, and was not yet? `after` 0: only of a time that they set. */
export function isLate(
  { arrived, toldLate, envelope: { hold = arrived, deliverBy } }: SpoolEntry,
  { after, now }: { readonly after: Duration; readonly now: Instant },
): boolean {
  // The time that its sender set is told of also where it was late before that (RFC 2852 §4).
  const isTold = toldLate !== undefined
  if (deliverBy?.mode === 'notify' && now >= deliverBy.at && !(isTold && toldLate >= deliverBy.at)) return true
  if (isTold) return false
  return after > 0 && now - Math.max(arrived, hold) >= after
}

function expired(last: Outcome & { readonly kind: 'deferred' }): Outcome {
  const { by, remote } = last
  return {
    kind: 'failed',
    by: { status: '5.4.7', why: `not delivered in time; the last try: ${sayOutcome(last)}` },
    ...('code' in by && { reply: by }),
    ...(remote !== undefined && { remote }),
  }
}
