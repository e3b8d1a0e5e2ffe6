import { digit, type Reply } from '../smtp/reply.ts'
import type { Outcome } from '../spool/entry.ts'

/** What a reply means for a recipient: 2xx it is theirs now, 4xx later, anything else never (RFC 5321 §4.2.1). */
export function classify(
  reply: Reply,
  { to, kind }: { readonly to: string; readonly kind: 'delivered' | 'relayed' },
): Outcome {
  switch (digit(reply)) {
    case 2:
      return { kind, to, by: reply }
    case 5:
      return { kind: 'failed', by: reply }
    // A 3xx here is nonsense, and nonsense may pass.
    default:
      return { kind: 'deferred', by: reply }
  }
}

/** Whose reply it was, where it was one and somebody is to be told of it. */
export function heardFrom(remote: string | undefined, outcome: Outcome): Outcome {
  const isReply = (outcome.kind === 'deferred' || outcome.kind === 'failed') && 'code' in outcome.by
  return isReply && remote !== undefined ? { ...outcome, remote } : outcome
}
