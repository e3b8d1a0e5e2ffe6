import type { SourceRef } from '../base/problem.ts'
import type { Duration } from '../base/time.ts'
import { NO_ROUTING, type RoutingConfig } from '../routing/connector.ts'
import type { Mailbox } from '../smtp/address.ts'
import type { Dialect } from '../smtp/dialect.ts'
import { LIMITS } from '../smtp/limits.ts'
import { EXCHANGE_2003 } from '../spool/retry.ts'
import type { Network } from '../topology/topology.ts'

/** A mail server as its text describes it. */
export interface MtaConfig {
  readonly hostname: string
  readonly dialect: Dialect['name']
  /** What an Exchange dialect calls itself in its greeting. */
  readonly version: string
  /** Refuse unknown verbs with the words that quote what was heard. */
  readonly quoteUnknown: boolean
  readonly listens: readonly { readonly ip: string; readonly port: number; readonly at: SourceRef }[]
  readonly localDomains: readonly string[]
  readonly mailboxes: readonly Mailbox[]
  /** Who may send to anywhere without a login. */
  readonly relayFrom: readonly Network[]
  /** Who may log in, and the file that holds the password. */
  readonly logins: readonly { readonly user: string; readonly passwordFile: string; readonly at: SourceRef }[]
  /** May names and passwords cross in clear? */
  readonly authWithoutTls: boolean
  readonly messageSize: number
  readonly retry: readonly Duration[]
  readonly expire: Duration
  readonly routing: RoutingConfig
}

export const EMPTY_MTA: MtaConfig = {
  hostname: 'localhost',
  dialect: 'postern',
  version: '5.0.2195.2966',
  quoteUnknown: false,
  listens: [],
  localDomains: [],
  mailboxes: [],
  relayFrom: [],
  logins: [],
  authWithoutTls: false,
  messageSize: LIMITS.messageSize,
  retry: EXCHANGE_2003.waits,
  expire: EXCHANGE_2003.expire,
  routing: NO_ROUTING,
}
