import type { Instant } from '../base/time.ts'
import type { Note, SpoolEntry, SpoolId } from './entry.ts'

/** An entry that is being worked on, by nobody else until the claim runs out. */
export interface Claim {
  readonly entry: SpoolEntry
  readonly until: Instant
}

/** Gives a claim back, and leaves everything as it was. */
export function givenBack(spool: Pick<Spool, 'update'>, claim: Claim): Promise<boolean> {
  return spool.update(claim, { ...claim.entry, revision: claim.entry.revision + 1 })
}

/** A message of our own, whole already: a report. */
export interface OwnMessage {
  readonly entry: SpoolEntry
  readonly body: Uint8Array
}

export interface Farewell {
  readonly last?: SpoolEntry
  readonly report?: OwnMessage | undefined
}

/** So many ended messages are remembered, the latest. */
export const REMEMBERED = 10_000

/** The spool is at its limit, or its disk is: the message was not kept, and nothing of it remains. */
export type Kept =
  | { readonly kept: true }
  | { readonly kept: false; readonly why: 'no-space' | 'fault'; readonly words: string }

/** Where messages wait. What it promises is what a 250 stands on. */
export interface Spool {
  /** Does what it keeps outlive the process? */
  readonly lasts: boolean
  /** Its folder, if it has one: small things that shall outlive the process may be kept there. */
  readonly folder?: string
  /**
   * Keep a message. Resolves with `kept: true` only when entry and body would survive whatever this spool says it
   * survives (a memory spool: nothing but the message's own session); 250 is sent after this and never before.
   */
  put(entry: SpoolEntry, body: AsyncIterable<Uint8Array>): Promise<Kept>
  /** Entries with a recipient due by `now`, oldest due first, each claimed by no one else until `until`. */
  claim(now: Instant, until: Instant, limit: number): Promise<readonly Claim[]>
  /** One entry, due or not; nothing if it is not there, or somebody works on it. */
  take(id: SpoolId, now: Instant, until: Instant): Promise<Claim | undefined>
  /**
   * Give the claim back and leave everything as it was, written nowhere: `claim` does not find it again before `until`, and
   * `take` does.
   */
  putOff(claim: Claim, until: Instant): void
  /**
   * Record what became of it, and give the claim back; with the report that tells of it, which is there once this is, and
   * never without. Resolves when it is kept, however long that takes. Refuses (`false`) when the revision has moved on.
   */
  update(claim: Claim, next: SpoolEntry, report?: OwnMessage): Promise<boolean>
  /**
   * Forget it: delivered, or given up, and then there is the report in its place. `last`, how it ended, is remembered for a
   * while. Refuses like `update`.
   */
  remove(claim: Claim, farewell?: Farewell): Promise<boolean>
  /** Is it there? */
  has(id: SpoolId): boolean
  /** How a message ended that is gone, if that is still remembered. */
  gone(id: SpoolId): Promise<SpoolEntry | undefined>
  /** Its content; fails where there is none. */
  body(id: SpoolId): AsyncIterable<Uint8Array>
  /**
   * All that waits, is not held and is not claimed is due now; the order stands on its trail. One change, however many
   * messages there are: how many. It holds at once, and outlives the process once this resolves.
   */
  hasten(order: Note): Promise<number>
  /** When the next unclaimed entry is due. */
  nextDue(): Promise<Instant | undefined>
  /** Everything that is there, oldest arrival first. */
  list(): Promise<readonly SpoolEntry[]>
  /** The same one after the other: a queue may be longer than memory. What comes or goes meanwhile may be in it, or not. */
  scan(): AsyncIterable<SpoolEntry>
  /** Of these domains, and no others, it is known from now on what waits for them; as they are compared (`domainKey`). */
  watch(domains: Iterable<string>): void
  /**
   * What waits for one of these domains and is held by nobody, the oldest first, as a rule. For domains that are watched
   * nothing else is read, but for the first time that somebody asks.
   */
  waitingFor(domains: ReadonlySet<string>): AsyncIterable<SpoolEntry>
  /** How many there are. */
  readonly count: number
  /** How many of them were there when it was opened and are not read yet: none of them is due before. */
  readonly unread: number
  /**
   * Reads what was there when it was opened, a few at a time, so that others are served between; `some` is called after
   * each of these, for something may be due by now. Resolves when it is done, or the spool is closed.
   */
  read(some?: () => void): Promise<void>
  /** Octets of the contents of those that are read, and of what is on its way in. */
  readonly size: number
  /** Why a message would not be kept now, in words; nothing when one would. It is tried, and not only looked at. */
  trouble(): Promise<string | undefined>
  /** Gives back what it holds of the world. Nothing may be asked of it after that. */
  close(): Promise<void>
}
