import type { SourceRef } from '../base/problem.ts'
import type { Direction } from '../topology/topology.ts'

/**
 * What a firewall does to SMTP, as data. A product is a list of rules in this language (`profiles/`), the first that
 * matches decides, and what no rule matches passes as it came.
 */
export interface Policy {
  /** As it is spoken of: `PIX MailGuard (5.1-6.x)`. */
  readonly name: string
  readonly rules: readonly Rule[]
  /** Which connections are inspected. */
  readonly directions: ReadonlySet<Direction>
  /** The line of configuration that put it in force, and the one that takes it out. */
  readonly cause: Cause
}

/** Which line decided, and which would decide otherwise. */
export interface Cause {
  readonly at: SourceRef
  /** The command as it stands, or as it is implied: `fixup protocol smtp 25`. */
  readonly command: string
  readonly cure: string
}

export interface Rule {
  readonly match: Match
  readonly action: Action
  /** Why, in words an operator can act on. */
  readonly reason: string
}

export type Match =
  /** The lines of the 220 greeting. */
  | { readonly on: 'greeting' }
  /** A whole command line whose verb, in upper case, is in the set, or is not. */
  | { readonly on: 'verb'; readonly of: ReadonlySet<string>; readonly negated: boolean }
  /** A piece of a command line that is not a whole line, as typed by hand, and holds no complete verb of the set. */
  | { readonly on: 'fragment'; readonly without: ReadonlySet<string> }
  /** An octet of the address in MAIL or RCPT. */
  | { readonly on: 'address-octet'; readonly octets: 'pipe' | 'stray-bracket' }

export type Action = { readonly kind: 'mask'; readonly how: MaskKind }

/** The forms of hiding, each of the same length as what it hides (`mask.ts`). */
export type MaskKind =
  | 'keep-2-0' // a greeting: all but 2, 0 and a space behind a 0 becomes *
  | 'stars' // a greeting: all becomes *
  | 'cmap' // a greeting: SMTP/cmap ready____
  | 'x-verb' // a command: its verb becomes X
  | 'x-line' // a command: the whole line becomes X
  | 'noop' // a command: its verb becomes NOOP
  | 'blank' // an octet becomes a space
