import type { Instant } from '../base/time.ts'
import type { SpoolEntry, SpoolId } from './entry.ts'

/** An entry that is being worked on, by nobody else until the claim runs out. */
export interface Claim {
  readonly entry: SpoolEntry
  readonly until: Instant
}

/** The spool is at its limit, or its disk is: the message was not kept, and nothing of it remains. */
export type Kept =
  | { readonly kept: true }
  | { readonly kept: false; readonly why: 'no-space' | 'fault'; readonly words: string }

/** Where messages wait. What it promises is what a 250 stands on. */
export interface Spool {
  /**
   * Keep a message. Resolves with `kept: true` only when entry and body would survive whatever this spool says it
   * survives (a memory spool: nothing but the message's own session); 250 is sent after this and never before.
   */
  put(entry: SpoolEntry, body: AsyncIterable<Uint8Array>): Promise<Kept>
  /** Entries with a recipient due by `now`, oldest due first, each claimed by no one else until `until`. */
  claim(now: Instant, until: Instant, limit: number): Promise<readonly Claim[]>
  /** One entry, due or not; nothing if it is not there, or somebody works on it. */
  take(id: SpoolId, now: Instant, until: Instant): Promise<Claim | undefined>
  /** Record what became of it, and give the claim back. Refuses (`false`) when the revision has moved on. */
  update(claim: Claim, next: SpoolEntry): Promise<boolean>
  /** Forget it: delivered, or reported. */
  remove(claim: Claim): Promise<void>
  /** Its content; fails where there is none. */
  body(id: SpoolId): AsyncIterable<Uint8Array>
  /** When the next unclaimed entry is due. */
  nextDue(): Promise<Instant | undefined>
  /** Everything that is there, oldest arrival first. */
  list(): Promise<readonly SpoolEntry[]>
}
