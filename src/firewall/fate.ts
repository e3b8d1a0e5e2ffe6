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
  /** What the record does not tell, and what was taken for it, in words. */
  readonly assumed: readonly string[]
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
