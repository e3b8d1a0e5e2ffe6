import { bytes, strictUtf8 } from '../base/bytes.ts'
import { cut, digit, MAX_SAID, type Reply } from '../smtp/reply.ts'
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

/**
 * An outcome as it is kept: for each recipient, in a record that is written again with each try, and told in logs and reports.
 * So of a text that a peer may make long there is only the beginning; and where it is UTF-8 (RFC 6531 §3.7.4.2) it is read so.
 */
export function kept(outcome: Outcome): Outcome {
  const { by } = outcome
  if (!by) return outcome
  return { ...outcome, by: 'code' in by ? keptReply(by) : { ...by, why: cut(by.why) } } as Outcome
}

function keptReply(reply: Reply): Reply {
  const text: string[] = []
  let left = MAX_SAID
  for (const line of reply.text) {
    if (left <= 0) break
    const part = line.slice(0, left)
    left -= part.length
    text.push(part.length < line.length ? `${readable(part)}…` : readable(part))
  }
  return { ...reply, text }
}

/** A text that came off a wire, an octet for each character. */
function readable(text: string): string {
  return /^[\x00-\x7f]*$/.test(text) ? text : (strictUtf8(bytes(text)) ?? text)
}
