import { Keyed } from '../base/keyed.ts'
import type { SourceRef } from '../base/problem.ts'
import type { Severity } from '../base/severity.ts'
import type { Duration } from '../base/time.ts'
import type { Served } from '../config/served.ts'
import { type ConnectorTls, NO_ROUTING, type RoutingConfig } from '../routing/connector.ts'
import { domainKey, type Mailbox, mailboxKey } from '../smtp/address.ts'
import type { Dialect } from '../smtp/dialect.ts'
import { LIMITS, type Limits } from '../smtp/limits.ts'
import { EXCHANGE_2003 } from '../spool/retry.ts'
import type { Network } from '../topology/topology.ts'
import type { Alias } from './aliases.ts'
import { WORKAROUNDS, type Workaround } from './order.ts'
import type { SenderLine } from './senders.ts'

/** A mail server as its text describes it. */
export interface MtaConfig extends Served {
  readonly hostname: string
  readonly dialect: Dialect['name']
  /** What an Exchange dialect calls itself in its greeting; absent: what its own product did. */
  readonly version?: string
  /** Refuse unknown verbs with the words that quote what was heard. */
  readonly quoteUnknown: boolean
  readonly listens: readonly Listen[]
  readonly tls?: Certificate
  /** No mail without TLS: for submission, never for a server that the world sends to (RFC 3207 §4). */
  readonly tlsRequired: boolean
  /** Keywords of extensions that are switched off. */
  readonly off: readonly string[]
  /** Does VRFY tell who has a mailbox here? */
  readonly verifies: boolean
  /** Domains whose mail waits until it is asked for by ETRN, TURN or ATRN, and who may ask. */
  readonly turns: readonly Turn[]
  /** Peers that may say on whose behalf they speak. */
  readonly proxies: readonly TrustedProxy[]
  readonly workarounds: WorkaroundConfig
  readonly localDomains: readonly string[]
  readonly mailboxes: readonly Mailbox[]
  /** Who may send to anywhere without a login. */
  readonly relayFrom: readonly Network[]
  /** Who may log in, and the file that holds the password. */
  readonly logins: readonly { readonly user: string; readonly passwordFile: string; readonly at: SourceRef }[]
  /** Accounts with verifiers, as `postern mta password` writes them. */
  readonly accountsFile?: FileRef
  /** From which addresses who has logged in may send; where no line speaks of a login, from any. */
  readonly senders: readonly SenderLine[]
  /** Is NTLM on, for the accounts that have a hash for it? */
  readonly ntlm: boolean
  /** The keytab of our Kerberos service; absent: no GSSAPI. */
  readonly keytab?: FileRef
  /** May names and passwords cross in clear? */
  readonly authWithoutTls: boolean
  readonly limits: Limits
  readonly sessions: SessionLimits
  /** Where messages wait; absent: in a folder `spool` beside the configuration. */
  readonly spool?: SpoolConfig
  /** Where programs of this machine leave mail while no server runs; absent: beside the spool. */
  readonly drop?: { readonly folder: string; readonly at: SourceRef }
  readonly retry: readonly Duration[]
  readonly expire: Duration
  /** After so long in the queue its sender is told that a message is delayed; 0: never. */
  readonly delayReport: Duration
  readonly destinations: DestinationLimits
  readonly outgoing: OutgoingLimits
  /** Whom to ask for names; none: the servers of this machine. */
  readonly dns: readonly DnsServer[]
  /** What TLS domains are held to whose servers DNS names, whatever their connector says. */
  readonly domainTls: readonly DomainTls[]
  /** Are the MTA-STS policies of such domains asked for? */
  readonly mtaSts: boolean
  /** The store that takes mail for local mailboxes; absent: Maildirs. */
  readonly lmtp?: LmtpTarget
  readonly routing: RoutingConfig
  /** Addresses of ours that stand for others, and a file of more. */
  readonly aliases: readonly Alias[]
  readonly aliasesFile?: FileRef
  /** Files that what happens is written into. */
  readonly logs: readonly LogFile[]
}

/** A file of JSON lines; of what happens, those of this level and worse. */
export interface LogFile {
  readonly file: string
  readonly level: Severity
  readonly at: SourceRef
}

export type SpoolConfig =
  | { readonly kind: 'memory' }
  | { readonly kind: 'disk'; readonly folder: string; readonly size?: number; readonly at: SourceRef }

/** What one next hop gets of us. */
export interface DestinationLimits {
  /** Connections to it at once. */
  readonly connections: number
  /** Messages over one connection, one after the other. */
  readonly messages: number
  /**
   * How long a connection is kept for the next message. Mail comes in bursts, and a greeting and a hello cost as much as a
   * message does.
   */
  readonly rest: Duration
}

/** What all next hops together get of us. */
export interface OutgoingLimits {
  /** Connections at once. */
  readonly connections: number
  /** Of these, to next hops that DNS says and that took no message lately. Not above `connections`. */
  readonly unproven: number
  /**
   * How long a next hop may take to answer while its connection is missed by others; when none are, five minutes for each of
   * its servers (RFC 5321 §4.5.3.2.1).
   */
  readonly patience: Duration
}

export interface DnsServer {
  readonly ip: string
  readonly port: number
  /** Does it validate by DNSSEC, and is the way to it such that its word is to be believed? */
  readonly trusted: boolean
}

/** A port, or a socket in the file system. */
export type LmtpTarget = { readonly ip: string; readonly port: number } | { readonly socket: string }

export interface Listen {
  readonly ip: string
  readonly port: number
  /** TLS from the first octet on (RFC 8314 §3). */
  readonly tls: boolean
  readonly at: SourceRef
}

/** A file that a line of configuration names. */
export interface FileRef {
  readonly file: string
  readonly at: SourceRef
}

export interface Certificate {
  readonly certificateFile: string
  readonly keyFile: string
  readonly at: SourceRef
}

export interface Turn {
  readonly domain: string
  readonly login: string
}

export interface DomainTls {
  readonly space: string
  readonly tls: ConnectorTls
  readonly at: SourceRef
}

export interface TrustedProxy {
  readonly network: Network
  /** By the PROXY protocol before the first octet of SMTP, or by the verb XCLIENT. */
  readonly by: 'proxy-protocol' | 'xclient'
}

/** How many sessions there may be. */
export interface SessionLimits {
  readonly most: number
  /** Of one client's address; who may relay is not counted. */
  readonly perClient: number
  /** New ones of one client within a minute; 0: any number. */
  readonly perMinute: number
}

/** Postfix's `smtp_pix_workarounds`, with its defaults. */
export interface WorkaroundConfig {
  readonly names: readonly Workaround[]
  readonly delay: Duration
  readonly threshold: Duration
}

export const EMPTY_MTA: MtaConfig = {
  hostname: 'localhost',
  dialect: 'postern',
  quoteUnknown: false,
  listens: [],
  tlsRequired: false,
  off: [],
  verifies: false,
  turns: [],
  proxies: [],
  workarounds: { names: WORKAROUNDS, delay: 10_000, threshold: 500_000 },
  localDomains: [],
  mailboxes: [],
  relayFrom: [],
  logins: [],
  senders: [],
  ntlm: false,
  authWithoutTls: false,
  limits: LIMITS,
  sessions: { most: 1000, perClient: 50, perMinute: 0 },
  retry: EXCHANGE_2003.waits,
  expire: EXCHANGE_2003.expire,
  delayReport: 12 * 60 * 60_000,
  destinations: { connections: 20, messages: 100, rest: 2_000 },
  outgoing: { connections: 200, unproven: 100, patience: 60_000 },
  dns: [],
  domainTls: [],
  mtaSts: true,
  routing: NO_ROUTING,
  aliases: [],
  logs: [],
}

/** Its lists of domains and addresses, which anybody's address is looked up in, however many lines there are. */
export const KEYED: {
  readonly localDomains: Keyed<string>
  readonly mailboxes: Keyed<Mailbox>
  readonly aliases: Keyed<Alias>
  readonly turns: Keyed<Turn>
  readonly domainTls: Keyed<DomainTls>
} = {
  localDomains: new Keyed(domainKey),
  mailboxes: new Keyed(mailboxKey),
  aliases: new Keyed(({ name }) => mailboxKey(name)),
  turns: new Keyed(({ domain }) => domainKey(domain)),
  domainTls: new Keyed(({ space }) => domainKey(space)),
}
