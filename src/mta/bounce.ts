import type { Instant } from '../base/time.ts'
import { type Action, formatReport, type Quoted, type Reported } from '../mail/dsn.ts'
import type { Envelope } from '../mail/envelope.ts'
import { sayReply } from '../smtp/reply.ts'
import { isDone, type Outcome, type RecipientState, type SpoolEntry } from '../spool/entry.ts'

/** A report that is owed: what it says, and the envelope it travels under, from `<>` so that it can never loop. */
export interface Bounce {
  readonly envelope: Envelope
  readonly body: Uint8Array
}

/** What a report says besides what the entry does: by whom, when, and what it quotes of the message it is about. */
export interface ReportFacts {
  readonly host: string
  readonly id: string
  readonly now: Instant
  readonly quoted: Quoted
}

/** Which wish of NOTIFY an action answers, and whether it is told of where no wish was said (RFC 3461 §4.1). */
const WISHES: Readonly<Record<Action, { readonly word: string; readonly usual: boolean }>> = {
  failed: { word: 'FAILURE', usual: true },
  delayed: { word: 'DELAY', usual: true },
  delivered: { word: 'SUCCESS', usual: false },
  relayed: { word: 'SUCCESS', usual: false },
  expanded: { word: 'SUCCESS', usual: false },
}

/**
 * The report for an entry that is done, or `undefined` where none is owed: nothing happened that was to be told, or the
 * sender is `<>` (RFC 5321 §4.5.5).
 */
export function bounce(entry: SpoolEntry, facts: ReportFacts): Bounce | undefined {
  return isDone(entry) ? report(entry, facts, ended) : undefined
}

/** The most of a message that comes back with a report, in octets; of a larger one its header does (as Postfix has it). */
export const MOST_RETURNED = 50_000

/**
 * Does all of the message come back, as its sender wished (RFC 3461 §4.3)? Only where it failed: who has it needs it no more.
 * A binary one would not fit into a report; and of one that may go under proven TLS only the text goes nowhere else
 * (RFC 8689 §5).
 */
export function returnsAll({ envelope: { ret, body, requireTls }, size, recipients }: SpoolEntry): boolean {
  const failed = recipients.some(state => state.kind === 'done' && state.outcome.kind === 'failed')
  return ret === 'FULL' && !requireTls && failed && body !== 'binarymime' && size <= MOST_RETURNED
}

/** The report that recipients are late, for those who still wait (RFC 3464 §2.3.3). */
export function delayed(entry: SpoolEntry, facts: ReportFacts): Bounce | undefined {
  return report(entry, facts, state => {
    if (state.kind !== 'waiting' || state.last?.kind !== 'deferred') return undefined
    const { last, tried } = state
    return { action: 'delayed', ...cause(last), ...(tried !== undefined && { tried }), until: entry.expires }
  })
}

function report(
  entry: SpoolEntry,
  facts: ReportFacts,
  told: (state: RecipientState) => Omit<Reported, 'recipient'> | undefined,
): Bounce | undefined {
  const { envelope } = entry
  const { from, requireTls } = envelope
  if (from === null) return undefined
  const recipients = entry.recipients.flatMap((state, recipient): Reported[] => {
    const what = told(state)
    const notify = envelope.recipients[recipient]?.notify
    const isWished = what && isOurs(state) && wishes(notify, what.action)
    const isTold = what && (isWished || (notify !== 'NEVER' && isOfTime(entry, state)))
    return isTold ? [{ recipient, ...what }] : []
  })
  if (recipients.length === 0) return undefined
  return {
    envelope: {
      from: null,
      recipients: [{ to: from }],
      smtputf8: envelope.smtputf8,
      body: '8bitmime',
      // What it quotes is to be as secret on its way as the message was (RFC 8689 §5).
      ...(requireTls && { requireTls }),
    },
    body: formatReport({ ...facts, arrived: entry.arrived, envelope, recipients }, from),
  }
}

function wishes(notify: string | undefined, action: Action): boolean {
  const { word, usual } = WISHES[action]
  return notify === undefined ? usual : notify.split(',').includes(word)
}

function ended(state: RecipientState): Omit<Reported, 'recipient'> | undefined {
  if (state.kind !== 'done') return undefined
  const { outcome, at } = state
  switch (outcome.kind) {
    case 'failed': {
      const why = cause(outcome)
      return { action: 'failed', ...why, ...(why.reply !== undefined && { tried: at }) }
    }
    case 'delivered':
      return { action: 'delivered', status: '2.0.0', why: 'delivered' }
    case 'expanded':
      return { action: 'expanded', status: '2.0.0', why: `sent on to ${outcome.to}` }
    case 'relayed':
      return { action: 'relayed', status: '2.0.0', why: `relayed to ${outcome.to}${lacking(outcome)}` }
    default:
      return undefined
  }
}

/** Is it for us to tell? Who has the message reports on it, if it can (RFC 3461 §5.2.2). */
function isOurs(state: RecipientState): boolean {
  return state.kind !== 'done' || state.outcome.kind !== 'relayed' || state.outcome.dsn !== true
}

function lacking({ dsn, untimed }: { readonly dsn?: boolean; readonly untimed?: boolean }): string {
  const lacks = [...(dsn ? [] : ['DSN']), ...(untimed ? ['DELIVERBY'] : [])]
  return lacks.length === 0 ? '' : `, which offers no ${lacks.join(' and no ')}`
}

/** Who set a time is told of it where it leaves those who keep it, and where it was wished of each step (RFC 2852 §4). */
function isOfTime({ envelope: { deliverBy } }: SpoolEntry, state: RecipientState): boolean {
  if (!deliverBy || state.kind !== 'done' || state.outcome.kind !== 'relayed') return false
  return deliverBy.trace || state.outcome.untimed === true
}

function cause(
  outcome: Outcome & { readonly kind: 'deferred' | 'failed' },
): Omit<Reported, 'recipient' | 'action' | 'tried'> {
  const { by, remote } = outcome
  const reply = 'code' in by ? by : outcome.kind === 'failed' ? outcome.reply : undefined
  return {
    ...('code' in by
      ? { status: by.status ?? `${Math.floor(by.code / 100)}.0.0`, why: sayReply(by) }
      : { status: by.status, why: by.why }),
    ...(reply && { reply: sayReply(reply), ...(remote !== undefined && { remote }) }),
  }
}
