import { copy } from '../base/bytes.ts'
import type { Crossing } from '../topology/topology.ts'
import { type Loss, lossesOf } from './losses.ts'
import type { Cause, MaskKind } from './policy.ts'

/** Which rule decided and why, in words an operator can act on. */
export interface Because {
  readonly policy: string
  readonly cause: Cause
  readonly reason: string
}

export type Verdict =
  | { readonly kind: 'pass' }
  /** Sent on in another form of the same length. */
  | { readonly kind: 'mask'; readonly how: MaskKind; readonly because: Because }

export const PASS: Verdict = { kind: 'pass' }

/**
 * The record of one alteration: what it was, what became of it, which line did it, who will miss it, and which line
 * would change it. Log, metrics, story and diagnosis all read this and nothing else.
 */
export interface Explanation {
  readonly what: 'greeting' | 'command' | 'fragment' | 'address'
  /** What it is about, in upper case: `EHLO`; empty for a greeting. */
  readonly subject: string
  readonly before: Uint8Array
  readonly after: Uint8Array
  readonly because: Because
  readonly losses: readonly Loss[]
}

export function explain(
  what: Explanation['what'],
  subject: string,
  change: { readonly before: Uint8Array; readonly after: Uint8Array },
  because: Because,
): Explanation {
  const [before, after] = [change.before, change.after].map(kept)
  return {
    what,
    subject,
    before: before ?? change.before,
    after: after ?? change.after,
    because,
    losses: what === 'command' ? lossesOf(subject) : [],
  }
}

/** Octets of a line that a record keeps, as a copy: the segment it came in may be large, and is gone. */
export const MAX_KEPT = 512

function kept(line: Uint8Array): Uint8Array {
  return copy(line.subarray(0, MAX_KEPT))
}

/** An explanation with the connection it belongs to. */
export interface Altered {
  readonly crossing: Crossing
  readonly explanation: Explanation
}
