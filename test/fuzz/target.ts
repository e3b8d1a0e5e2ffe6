import type fc from 'fast-check'

/**
 * Something that is put through whatever comes: where its cases come from, and what must hold of each. A case is plain
 * JSON, so that one that failed can be kept as a file.
 */
export interface Target<Case> {
  readonly name: string
  readonly cases: fc.Arbitrary<Case>
  /** Throws where something does not hold. */
  check(one: Case): void
}

// biome-ignore lint/suspicious/noExplicitAny: targets of different cases stand in one list, and each reads only its own.
export type AnyTarget = Target<any>
