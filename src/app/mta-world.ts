import type { PolicyPlace } from '../io/policy.ts'
import type { Call, Channel } from '../io/sockets.ts'
import type { OwnKeys, SecureContext } from '../io/tls.ts'
import type { Aliases } from '../mta/aliases.ts'
import type { MtaEvent } from '../mta/news.ts'
import type { Resolver } from '../mta/resolver.ts'
import type { Spool } from '../spool/spool.ts'
import type { Logins } from './logins.ts'

/** What an MTA needs from the world. */
export interface MtaWorld {
  readonly spool: Spool
  /**
   * Reaches an address of the configuration: on a laboratory's loopback that is another one. `from`: by this of ours. Where
   * the call is off before it came about it may fail at once.
   */
  readonly dial: (ip: string, port: number, options?: DialOptions) => Promise<Channel>
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
  /** The same as it stands in the files: for connections on which both ends show one. */
  readonly keys?: OwnKeys
  /** Addresses of ours that stand for others. */
  readonly aliases?: Aliases
  readonly events?: MtaEvents
}

export interface DialOptions {
  readonly from?: string
  readonly call?: Call
}

export interface MtaEvents {
  /** What was said in a session or an attempt, a line at a time, without secrets. */
  line?(session: string, direction: 'in' | 'out', by: 'C' | 'S', text: string): void
  /** What happens, to messages and else. */
  tell?(event: MtaEvent): void
  /** Something an operator should know. */
  note?(what: string): void
}
