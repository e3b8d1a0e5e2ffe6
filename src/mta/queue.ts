/** What an operator asks of the queue, and what is answered: the words and the pictures, without where they come from. */
import { lower, printable } from '../base/bytes.ts'
import { type Duration, type Instant, sayDuration } from '../base/time.ts'
import { formatMailbox, formatPath } from '../smtp/address.ts'
import { dueAt, type Outcome, type RecipientState, type SpoolEntry, sayOutcome } from '../spool/entry.ts'
import { type OperatorVerb, trailed } from './news.ts'

export const QUEUE_VERBS = [
  'list',
  'show',
  'explain',
  'history',
  'retry',
  'hold',
  'release',
  'remove',
  'bounce',
  'check',
] as const
export type QueueVerb = (typeof QUEUE_VERBS)[number]

/** Which messages are meant: all that fit everything that is said. Texts are looked for anywhere, in either case. */
export interface QueueFilter {
  readonly ids?: readonly string[]
  readonly from?: string
  readonly to?: string
  readonly hop?: string
  /** In the queue for so long at least. */
  readonly olderThan?: Duration
  /** What the last attempt came to, or anything on the trail. */
  readonly reason?: string
}

/** A message in the queue, and where its recipients go. */
export interface Queued {
  readonly entry: SpoolEntry
  /** As in `envelope.recipients`, by position. */
  readonly hops: readonly string[]
  /** It is gone; this is how it ended. */
  readonly gone?: true
}

export function fits({ entry, hops }: Queued, filter: QueueFilter, now: Instant): boolean {
  const { ids, from, to, hop, olderThan, reason } = filter
  const has = (text: string, part: string): boolean => lower(text).includes(lower(part))
  return (
    (!ids || ids.length === 0 || ids.includes(entry.id)) &&
    (from === undefined || has(formatPath(entry.envelope.from), from)) &&
    (to === undefined || entry.envelope.recipients.some(each => has(formatPath(each.to), to))) &&
    (hop === undefined || hops.some((each, i) => entry.recipients[i]?.kind === 'waiting' && isHop(each, hop))) &&
    (olderThan === undefined || now - entry.arrived >= olderThan) &&
    (reason === undefined || entry.trail.some(({ what }) => has(what, reason)))
  )
}

/** Kinds of next hops, before their names. */
const KIND = /^(?:connector|mailbox|turn)(?: |$)/i

/** `C` is in "connector", and does not mean all of them: the kind counts where it is said. */
function isHop(hop: string, part: string): boolean {
  const [name, wanted] = KIND.test(part) ? [hop, part] : [hop.replace(KIND, ''), part]
  return lower(name).includes(lower(wanted))
}

export function isEverything(filter: QueueFilter): boolean {
  return Object.values(filter).every(each => each === undefined || (Array.isArray(each) && each.length === 0))
}

// ── what is done to a message ──────────────────────────────────────────────────────────────────────────────────────

type Change = (entry: SpoolEntry, now: Instant) => SpoolEntry | { readonly not: string }

const changed = (entry: SpoolEntry, change: Partial<SpoolEntry>, now: Instant, verb: OperatorVerb): SpoolEntry =>
  trailed({ ...entry, ...change, revision: entry.revision + 1 }, { kind: 'operated', verb }, now)

const waiting = (entry: SpoolEntry, change: (state: RecipientState & { kind: 'waiting' }) => RecipientState) =>
  entry.recipients.map(state => (state.kind === 'waiting' ? change(state) : state))

/** Each makes the next state of an entry, with a note of it on the trail, or says why not. */
export const CHANGES: Readonly<Record<'retry' | 'hold' | 'release' | 'bounce', Change>> = {
  retry(entry, now) {
    if (entry.held !== undefined) return { not: 'it is held; release it' }
    return changed(entry, { recipients: waiting(entry, each => ({ ...each, due: now })) }, now, 'retry')
  },
  hold(entry, now) {
    if (entry.held !== undefined) return { not: 'it is held already' }
    return changed(entry, { held: now }, now, 'hold')
  },
  release(entry, now) {
    const { held, ...rest } = entry
    if (held === undefined) return { not: 'it is not held' }
    const recipients = waiting(entry, each => ({ ...each, due: now }))
    // The time it was held is not held against it.
    return changed(rest, { recipients, expires: entry.expires + (now - held) }, now, 'release')
  },
  bounce(entry, now) {
    const { held: _held, ...rest } = entry
    const outcome: Outcome = { kind: 'failed', by: { status: '5.3.2', why: 'returned by the operator of this server' } }
    const recipients = waiting(entry, () => ({ kind: 'done', at: now, outcome }))
    return changed(rest, { recipients }, now, 'bounce')
  },
}

export function removed(entry: SpoolEntry, now: Instant): SpoolEntry {
  return changed(entry, {}, now, 'remove')
}

// ── as text ────────────────────────────────────────────────────────────────────────────────────────────────────────

/** A line for each message: id, age, size, how it stands, from, to. */
export function sayList(queued: readonly Queued[], now: Instant): readonly string[] {
  const rows = queued.map(({ entry }) => [
    entry.id,
    sayDuration(now - entry.arrived),
    String(entry.size),
    stands(entry, now),
    formatPath(entry.envelope.from),
    toWhom(entry),
  ])
  if (rows.length === 0) return []
  return columns([['ID', 'AGE', 'OCTETS', 'NEXT TRY', 'FROM', 'TO'], ...rows])
}

/** Reasons told of below a list; the rest is counted. */
export const MOST_REASONS = 5

/** Why messages wait, and how many for it: a line for each next hop and what it said last, the most frequent first. */
export function sayReasons(queued: readonly Queued[]): readonly string[] {
  const found = new Map<string, number>()
  for (const { entry, hops } of queued) {
    const reasons = entry.recipients.flatMap((state, i) =>
      state.kind === 'waiting' && state.last ? [`by ${hops[i] ?? '?'}: ${sayOutcome(state.last)}`] : [],
    )
    for (const reason of new Set(reasons)) found.set(reason, (found.get(reason) ?? 0) + 1)
  }
  const all = [...found].sort(([, one], [, other]) => other - one)
  const more = all.length - MOST_REASONS
  const told = all.slice(0, MOST_REASONS).map(([reason, count]) => printable(`  ${count} ${reason}`))
  return more > 0 ? [...told, `  and ${more} more ${more === 1 ? 'reason' : 'reasons'}`] : told
}

function toWhom({ envelope, recipients }: SpoolEntry): string {
  const open = envelope.recipients.filter((_, i) => recipients[i]?.kind === 'waiting')
  const [first] = open.length > 0 ? open : envelope.recipients
  const more = (open.length > 0 ? open : envelope.recipients).length - 1
  return `${first ? formatPath(first.to) : '-'}${more > 0 ? ` and ${more} more` : ''}`
}

function stands(entry: SpoolEntry, now: Instant): string {
  if (entry.held !== undefined) return 'held'
  const due = dueAt(entry)
  if (due === undefined) return 'done'
  return due <= now ? 'now' : `in ${sayDuration(due - now)}`
}

function columns(rows: readonly (readonly string[])[]): readonly string[] {
  const widths = rows[0]?.map((_, i) => Math.max(...rows.map(row => row[i]?.length ?? 0))) ?? []
  return rows.map(row =>
    printable(
      row
        .map((cell, i) => cell.padEnd(widths[i] ?? 0))
        .join('  ')
        .trimEnd(),
    ),
  )
}

/** All that is known of one message but its trail. */
export function sayShow({ entry, hops, gone }: Queued, now: Instant): readonly string[] {
  const { id, envelope, arrived, expires, size, recipients } = entry
  const asked = [envelope.ret && `RET=${envelope.ret}`, envelope.envid && `ENVID=${envelope.envid}`].filter(Boolean)
  return [
    `${id}: ${formatPath(envelope.from)}, ${size} octets, ${envelope.body}${envelope.smtputf8 ? ', smtputf8' : ''}`,
    `  arrived ${ago(arrived, now)}, ${gone ? 'gone' : `given up in ${sayDuration(Math.max(0, expires - now))}`}`,
    ...(asked.length > 0 ? [`  asked of reports: ${asked.join(' ')}`] : []),
    ...(entry.held === undefined ? [] : [`  held by an operator ${ago(entry.held, now)}`]),
    ...envelope.recipients.map(({ to, notify }, i) => {
      const asks = notify === undefined ? '' : ` (NOTIFY=${notify})`
      return `  ${formatPath(to)}${asks} by ${hops[i] ?? '?'}: ${sayState(recipients[i], entry, now)}`
    }),
  ].map(printable)
}

function sayState(state: RecipientState | undefined, { held }: SpoolEntry, now: Instant): string {
  if (!state) return '?'
  if (state.kind === 'done') return `${sayOutcome(state.outcome)}, ${ago(state.at, now)}`
  const last = state.last ? `${sayOutcome(state.last)}; ` : ''
  const tries = `${state.attempts} ${state.attempts === 1 ? 'try' : 'tries'}`
  if (held !== undefined) return `${last}${tries}, held`
  return `${last}${tries}, next ${state.due <= now ? 'now' : `in ${sayDuration(state.due - now)}`}`
}

/** Why a message is where it is: every reason since it arrived, the last reply of every peer, the next try and why then. */
export function sayExplain(queued: Queued, now: Instant, retry: readonly Duration[]): readonly string[] {
  const { entry, hops } = queued
  const whys = entry.recipients.flatMap((state, i) => {
    const to = entry.envelope.recipients[i]?.to
    if (state.kind !== 'waiting' || !to) return []
    return [`  ${formatMailbox(to)} by ${hops[i] ?? '?'}: ${whyThen(state, entry, retry, now)}`]
  })
  return [
    ...sayShow(queued, now),
    'trail:',
    ...entry.trail.map(({ at, what }) => `  ${ago(at, now)}: ${what}`),
    ...(whys.length > 0 ? ['next:', ...whys] : []),
  ].map(printable)
}

function whyThen(
  { due, attempts, last }: RecipientState & { readonly kind: 'waiting' },
  { held, expires }: SpoolEntry,
  retry: readonly Duration[],
  now: Instant,
): string {
  if (held !== undefined) return 'nothing is done until it is released'
  const when = due <= now ? 'now' : `in ${sayDuration(due - now)}`
  if (attempts === 0) return `${when}: it was not tried yet`
  if (last?.kind === 'deferred' && last.until !== undefined) return `${when}: not before, by what the last try came to`
  if (due >= expires) return `${when}: the last try, when it is given up`
  const wait = retry[Math.min(attempts, retry.length) - 1] ?? 0
  return `${when}: after try ${attempts} the schedule waits ${sayDuration(wait)}, unless the host is heard to be back`
}

function ago(at: Instant, now: Instant): string {
  return `${sayDuration(Math.max(0, now - at))} ago`
}
