import { copy, equal, upper } from '../base/bytes.ts'
import { COMMAND_KINDS } from '../smtp/command.ts'
import { type Loss, lossesOf } from './losses.ts'
import type { Action, Cause } from './policy.ts'

/** Which rule decided and why, in words an operator can act on. */
export interface Because {
  readonly policy: string
  readonly cause: Cause
  readonly reason: string
  /** The rule asks for a line in the log. */
  readonly log: boolean
  /** What matched, as the firewall's own log says it: `matched Class 1: match cmd line length gt 512`. */
  readonly label: string
}

/** An action that decides. */
export type Decision = Exclude<Action, { readonly kind: 'pass' | 'log' }>

export type Verdict = { readonly kind: 'pass' } | (Decision & { readonly because: Because })

export const PASS: Verdict = { kind: 'pass' }

/** What is decided, and which rules only wanted it told. */
export interface Judgement {
  readonly verdict: Verdict
  readonly logged: readonly Because[]
}

export const PASSED: Judgement = { verdict: PASS, logged: [] }

/** What an explanation is about. */
export type What =
  | 'greeting'
  | 'command'
  | 'fragment'
  | 'address'
  | 'keyword' // of the EHLO reply
  | 'mechanism' // of AUTH
  | 'reply'
  | 'header'
  | 'body'
  | 'attachment'
  | 'line-end'
  | 'tls'
  | 'session'
  | 'server' // what it can do, whoever the client

/**
 * The record of one alteration, drop or log: what it was, what became of it, which line did it, who will miss it, and
 * which line would change it. Log, metrics, story and diagnosis all read this and nothing else.
 */
export interface Explanation {
  readonly what: What
  /** What it is about, in upper case: `EHLO`, `STARTTLS`, `body-line`; empty for a greeting. */
  readonly subject: string
  readonly did: Decision['kind'] | 'log'
  readonly before: Uint8Array
  /** Empty where nothing went on. */
  readonly after: Uint8Array
  readonly because: Because
  readonly losses: readonly Loss[]
  /** How long or how many it was, where that was judged. */
  readonly size?: number
}

export function explain(
  what: What,
  subject: string,
  change: { readonly before: Uint8Array; readonly after: Uint8Array },
  because: Because,
  { did = 'mask', size }: { readonly did?: Explanation['did']; readonly size?: number | undefined } = {},
): Explanation {
  const before = kept(change.before)
  const after = kept(change.after)
  const losses = did === 'log' ? [] : lossesOf(what, subject)
  const explanation = { what, subject, did, before, after, because, losses }
  return size === undefined ? explanation : { ...explanation, size }
}

/** Do both tell of the same? */
export function isSame(one: Explanation, other: Explanation): boolean {
  return (
    one.because === other.because &&
    one.what === other.what &&
    one.subject === other.subject &&
    one.did === other.did &&
    one.size === other.size &&
    equal(one.before, other.before) &&
    equal(one.after, other.after)
  )
}

/** Octets of a line that a record keeps, as a copy: the segment it came in may be large, and is gone. */
export const MAX_KEPT = 512

function kept(line: Uint8Array): Uint8Array {
  return copy(line.length <= MAX_KEPT ? line : line.subarray(0, MAX_KEPT))
}

const VERBS: ReadonlySet<string> = new Set(COMMAND_KINDS.map(upper))

/** Of those that are none of ours, the ones one meets: their names are worth telling. */
const STRANGE_VERBS: ReadonlySet<string> = new Set(
  'XCLIENT XFORWARD X-ANONYMOUSTLS XADR XSTA XCIR XGEN XTRN XQUE SEND SOML SAML WIZ DEBUG KILL GET POST'.split(' '),
)

/** Is it a verb, and no word that might be anything? */
export function isKnownVerb(word: string): boolean {
  return VERBS.has(word) || STRANGE_VERBS.has(word)
}
