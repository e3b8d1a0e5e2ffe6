/** What a server session asks of its world, hands out to it and is told by it. The machine itself is `server.ts`. */
import type { TlsFacts, WireOutput } from '../base/machine.ts'
import type { Instant } from '../base/time.ts'
import type { Mailbox, ReversePath } from './address.ts'
import type { Dialect, Situation } from './dialect.ts'
import type { MailFacts } from './extension.ts'
import type { Limits } from './limits.ts'
import type { Params } from './params.ts'
import type { Reply } from './reply.ts'
import type { SaslAnswer, SaslQuestion, SaslServer, SaslServerStep } from './sasl/mechanism.ts'

/** An envelope as it was given: who sends, to whom, and with which parameters. */
export interface Transaction extends MailFacts {
  readonly from: ReversePath
  readonly params: Params
  readonly recipients: readonly { readonly to: Mailbox; readonly params: Params }[]
  readonly blob?: Blob
}

/** What XEXCH50 brought: properties of the message that only another Exchange can read. */
export interface Blob {
  /** The second argument of the command, which nobody has documented: kept as it came. */
  readonly version: string
  readonly bytes: Uint8Array
}

/** Who is asking. The address is the client's own, or what a trusted proxy said it is. */
export interface Asker {
  readonly peer: string
  readonly login: string | undefined
}

export type Question =
  | ({ readonly about: 'mail'; readonly from: ReversePath } & Asker)
  | ({ readonly about: 'rcpt'; readonly to: Mailbox; readonly from: ReversePath } & Asker)
  /** Every octet was handed out: is the message safe? Only a yes may become a 250. */
  | { readonly about: 'message'; readonly transaction: Transaction; readonly size: number }
  | { readonly about: 'sasl'; readonly question: SaslQuestion }
  | ({ readonly about: 'vrfy'; readonly text: string } & Asker)
  /** Start sending what waits for this node, over another connection (RFC 1985). */
  | ({ readonly about: 'etrn'; readonly node: string } & Asker)
  /** May the roles be reversed, to send what waits for these domains? None named: all that belong to the login. */
  | {
      readonly about: 'turn'
      readonly verb: 'turn' | 'atrn'
      readonly domains: readonly string[]
      readonly login: string
    }
  /** A whole frame of link state, for whoever keeps it. `trimmed` octets of its end were lost on the way. */
  | { readonly about: 'link-state'; readonly frame: string; readonly login: string; readonly trimmed: number }

/**
 * Yes (for a message with the id it is kept under), or a situation of the dialect, or a reply of the answerer's own; for a
 * mechanism's question what it wanted to know, and for link state the frame that goes back.
 */
export type Answer =
  | { readonly yes: string }
  | { readonly no: Situation; readonly about?: string }
  | { readonly sasl: SaslAnswer }
  | { readonly frame: string }
  | Reply

export type ServerOutput =
  | WireOutput
  | { readonly kind: 'ask'; readonly question: Question }
  | { readonly kind: 'message-begins'; readonly transaction: Transaction; readonly facts: SessionFacts }
  | { readonly kind: 'body'; readonly bytes: Uint8Array }
  | { readonly kind: 'body-abandoned'; readonly why: string }
  /** Somebody logged in, or `why` not; for logs, and without a secret. */
  | { readonly kind: 'login'; readonly mechanism: string; readonly user?: string; readonly why?: string }
  /** The client is the server from here on, and `rest` the first octets it said as one: this machine has no more to say. */
  | {
      readonly kind: 'turned'
      readonly domains: readonly string[]
      readonly login: string
      readonly rest: Uint8Array
      /** What secures the connection goes on securing it. */
      readonly tls?: TlsFacts
    }
  /** A line for a transcript, secrets left out by construction. */
  | { readonly kind: 'trace'; readonly by: 'C' | 'S'; readonly text: string }

/** What is known of the session when a message begins, for its Received: field. */
export interface SessionFacts {
  readonly hello: string
  readonly peer: string
  /** By the words of RFC 3848 and RFC 6531 §4.3: `ESMTPSA`. */
  readonly protocol: string
  readonly login: string | undefined
  readonly tls: TlsFacts | undefined
  /** There was no session: a user of this machine left the message. */
  readonly uid?: number
}

export interface ServerOptions {
  readonly host: string
  /** The client's address as it shall be shown. */
  readonly peer: string
  readonly dialect: Dialect
  /** Of the product, for an Exchange greeting. */
  readonly version: string
  readonly limits: Limits
  /** How a client may log in now; empty: not at all. */
  readonly mechanisms: (secured: boolean) => readonly string[]
  /** The server's half of one of those mechanisms. */
  readonly sasl: (mechanism: string, tls: TlsFacts | undefined, offered: readonly string[], now: Instant) => SaslServer
  /** Is there a certificate for STARTTLS? */
  readonly startTls: boolean
  /** No mail before TLS (RFC 3207 §4). */
  readonly requireTls: boolean
  /** The connection began with TLS (RFC 8314 §3). */
  readonly tls: TlsFacts | undefined
  /**
   * What works beyond mail: VRFY, ETRN, TURN, ATRN, X-LINK2STATE, XEXCH50, XCLIENT, X-POSTERN-LINKSTATE; and RELAY, where the
   * client may relay without a login.
   */
  readonly services: ReadonlySet<string>
  /** Keywords that are switched off: not listed, and their verbs unknown. */
  readonly off: ReadonlySet<string>
  /** How the greeting writes the time (RFC 5322 §3.3). */
  readonly date: (now: Instant) => string
  /** Emit `trace` outputs? */
  readonly trace: boolean
}

/** A server that does mail and nothing else: no login, no TLS, no services. */
export const MAIL_ONLY: Pick<
  ServerOptions,
  'mechanisms' | 'sasl' | 'startTls' | 'requireTls' | 'tls' | 'services' | 'off' | 'trace'
> = {
  mechanisms: () => [],
  // Never called: no mechanism is on the list.
  sasl: () => ({ step: noMechanism, answer: noMechanism }),
  startTls: false,
  requireTls: false,
  tls: undefined,
  services: new Set(),
  off: new Set(),
  trace: false,
}

function noMechanism(): SaslServerStep {
  return { kind: 'unavailable', why: 'nobody can log in here' }
}
