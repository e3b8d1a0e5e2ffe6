import type { Instant } from '../base/time.ts'
import { type Action, formatReport, type Reported } from '../mail/dsn.ts'
import type { Envelope } from '../mail/envelope.ts'
import { sayReply } from '../smtp/reply.ts'
import { isDone, type Outcome, type RecipientState, type SpoolEntry } from '../spool/entry.ts'

/** A report that is owed: what it says, and the envelope it travels under, from `<>` so that it can never loop. */
export interface Bounce {
  readonly envelope: Envelope
  readonly body: Uint8Array
}

/** What a report says besides what the entry does: by whom, when, and the header of the message it is about. */
export interface ReportFacts {
  readonly host: string
  readonly id: string
  readonly now: Instant
  readonly header: Uint8Array
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

/** The report that recipients are late, for those who still wait (RFC 3464 §2.3.3). */
export function delayed(entry: SpoolEntry, facts: ReportFacts): Bounce | undefined {
  return report(entry, facts, state => {
    if (state.kind !== 'waiting' || state.last?.kind !== 'deferred') return undefined
    return { action: 'delayed', ...cause(state.last), until: entry.expires }
  })
}

function report(
  entry: SpoolEntry,
  facts: ReportFacts,
  told: (state: RecipientState) => Omit<Reported, 'recipient'> | undefined,
): Bounce | undefined {
  const { envelope } = entry
  const { from } = envelope
  if (from === null) return undefined
  const recipients = entry.recipients.flatMap((state, recipient): Reported[] => {
    const what = told(state)
    return what && wishes(envelope.recipients[recipient]?.notify, what.action) ? [{ recipient, ...what }] : []
  })
  if (recipients.length === 0) return undefined
  return {
    envelope: { from: null, recipients: [{ to: from }], smtputf8: envelope.smtputf8, body: '8bitmime' },
    body: formatReport({ ...facts, arrived: entry.arrived, envelope, recipients }, from),
  }
}

function wishes(notify: string | undefined, action: Action): boolean {
  const { word, usual } = WISHES[action]
  return notify === undefined ? usual : notify.split(',').includes(word)
}

function ended(state: RecipientState): Omit<Reported, 'recipient'> | undefined {
  if (state.kind !== 'done') return undefined
  const { outcome } = state
  switch (outcome.kind) {
    case 'failed':
      return { action: 'failed', ...cause(outcome) }
    case 'delivered':
      return { action: 'delivered', status: '2.0.0', why: 'delivered', remote: false }
    case 'expanded':
      return { action: 'expanded', status: '2.0.0', why: `sent on to ${outcome.to}`, remote: false }
    case 'relayed':
      // Who has the message reports on it, if it can; only then is that our affair no longer (RFC 3461 §5.2.2).
      if (outcome.dsn) return undefined
      return { action: 'relayed', status: '2.0.0', why: `relayed to ${outcome.to}, which offers no DSN`, remote: false }
    default:
      return undefined
  }
}

function cause({ by }: Outcome & { readonly kind: 'deferred' | 'failed' }): Omit<Reported, 'recipient' | 'action'> {
  if (!('code' in by)) return { status: by.status, why: by.why, remote: false }
  return { status: by.status ?? `${Math.floor(by.code / 100)}.0.0`, why: sayReply(by), remote: true }
}
