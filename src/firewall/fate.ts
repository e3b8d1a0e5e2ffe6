import type { SourceRef } from '../base/problem.ts'
import type { Explanation } from './verdict.ts'

export type Outcome = 'passes' | 'changes' | 'stops'

/** A message that was taken when it was recorded, and what would become of it. */
export interface Fate {
  readonly outcome: Outcome
  readonly from: string
  readonly to: readonly string[]
  /** Where its MAIL stands. */
  readonly at: SourceRef
  /** What would be done to it, or to the connection before it. */
  readonly explanations: readonly Explanation[]
  /** Why it could not even connect. */
  readonly refused?: string
  /** What no rule did, in words. */
  readonly why?: string
  /** What the record does not tell, and what was taken for it, in words. */
  readonly assumed: readonly string[]
}

/** What becomes of STARTTLS. */
export type TlsFate = 'passes' | 'stripped' | 'ends here' | 'not reached'

/** A session whose record ends where TLS began: what came in it nobody could look at. */
export interface Unseen {
  readonly starttls: TlsFate
  /** Where STARTTLS stands. */
  readonly at: SourceRef
  /** Why it would not get there, or not through. */
  readonly explanations: readonly Explanation[]
  readonly refused?: string
  /** What no rule did, in words. */
  readonly why?: string
  readonly assumed: readonly string[]
}

/** What would become of one recorded session. */
export interface Told {
  readonly fates: readonly Fate[]
  readonly unseen?: Unseen
}

/** Does it say why a client would not be offered STARTTLS, or not be let through with it? */
export function hidesTls({ did, what, subject }: Explanation): boolean {
  if (did === 'log') return false
  if (what === 'tls' || did === 'drop-connection' || did === 'reset') return true
  return (what === 'keyword' || what === 'command') && (subject === 'STARTTLS' || subject === 'EHLO')
}

/** One of each kind: that twelve lines of a chunk were masked is told once. */
export function distinct(explanations: readonly Explanation[]): readonly Explanation[] {
  const seen = new Map<string, Explanation>()
  for (const each of explanations) {
    const key = [each.did, each.what, each.what === 'command' ? each.subject : '', each.because.cause.command].join(' ')
    if (!seen.has(key)) seen.set(key, each)
  }
  return [...seen.values()]
}
