import type { PolicyPlace } from '../io/policy.ts'
import type { Duplex } from '../io/sockets.ts'
import type { SecureContext } from '../io/tls.ts'
import type { Resolver } from '../mta/resolver.ts'
import type { Outcome, SpoolEntry } from '../spool/entry.ts'
import type { Spool } from '../spool/spool.ts'
import type { Logins } from './logins.ts'

/** What an MTA needs from the world. */
export interface MtaWorld {
  readonly spool: Spool
  /** Reaches an address of the configuration: on a laboratory's loopback that is another one. */
  readonly dial: (ip: string, port: number) => Promise<Duplex>
  /** Who knows names; absent: those that the configuration says. */
  readonly resolver?: Resolver
  /** Fetches a policy over HTTPS; absent: as RFC 8461 has it. */
  readonly fetchPolicy?: (place: PolicyPlace) => Promise<string>
  /** The Maildir of a mailbox. */
  readonly maildir: (mailbox: string) => string
  /** Passwords and authorities, by the name of their file. */
  readonly files: ReadonlyMap<string, string>
  readonly logins: Logins
  /** What `tls certificate` names, ready for use. */
  readonly identity?: SecureContext
  readonly events?: MtaEvents
}

export interface MtaEvents {
  /** What was said in a session or an attempt, a line at a time, without secrets. */
  line?(session: string, direction: 'in' | 'out', by: 'C' | 'S', text: string): void
  received?(entry: SpoolEntry): void
  /** An entry after its attempts. */
  tried?(entry: SpoolEntry, outcomes: ReadonlyMap<number, Outcome>): void
  delivered?(mailbox: string, path: string): void
  /** Somebody logged in, or did not. */
  login?(peer: string, what: { readonly mechanism: string; readonly user?: string; readonly why?: string }): void
  /** Something an operator should know. */
  note?(what: string): void
}
