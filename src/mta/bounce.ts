import type { Instant } from '../base/time.ts'
import { formatReport, type ReportedFailure } from '../mail/dsn.ts'
import type { Envelope } from '../mail/envelope.ts'
import { sayReply } from '../smtp/reply.ts'
import { isDone, type Outcome, type SpoolEntry } from '../spool/entry.ts'

/** A report that is owed: what it says, and the envelope it travels under, from `<>` so that it can never loop. */
export interface Bounce {
  readonly envelope: Envelope
  readonly body: Uint8Array
}

/**
 * The report for an entry that is done, or `undefined` where none is owed: nothing failed, the sender is `<>`
 * (RFC 5321 §4.5.5), or asked never to be told (RFC 3461 §4.1).
 */
export function bounce(
  entry: SpoolEntry,
  facts: { readonly host: string; readonly id: string; readonly now: Instant; readonly header: Uint8Array },
): Bounce | undefined {
  const { envelope } = entry
  const { from } = envelope
  if (from === null || !isDone(entry)) return undefined
  const failures = entry.recipients.flatMap((state, recipient): ReportedFailure[] => {
    if (state.kind !== 'done' || state.outcome.kind !== 'failed') return []
    const notify = envelope.recipients[recipient]?.notify
    if (notify !== undefined && !notify.split(',').includes('FAILURE')) return []
    return [{ recipient, ...cause(state.outcome) }]
  })
  if (failures.length === 0) return undefined
  return {
    envelope: {
      from: null,
      recipients: [{ to: from }],
      smtputf8: envelope.smtputf8,
      body: '8bitmime',
    },
    body: formatReport({ ...facts, arrived: entry.arrived, envelope, failures }, from),
  }
}

function cause({ by }: Outcome & { readonly kind: 'deferred' | 'failed' }): Omit<ReportedFailure, 'recipient'> {
  if (!('code' in by)) return { status: by.status, why: by.why, remote: false }
  return { status: by.status ?? `${Math.floor(by.code / 100)}.0.0`, why: sayReply(by), remote: true }
}
