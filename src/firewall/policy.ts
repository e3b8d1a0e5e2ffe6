import type { SourceRef } from '../base/problem.ts'
import type { Duration } from '../base/time.ts'
import type { Direction, Network } from '../topology/topology.ts'

/**
 * What a firewall does to SMTP, as data. A product is a list of rules in this language (`profiles/`) and the engine that
 * keeps them. The first rule that matches decides; one that only logs is told and decides nothing; what no rule decides
 * passes as it came.
 */
export interface Policy {
  /** As it is spoken of: `PIX MailGuard (5.1-6.x)`. */
  readonly name: string
  readonly engine: Engine
  readonly rules: readonly Rule[]
  /** Which connections are inspected. */
  readonly directions: ReadonlySet<Direction>
  /** The line of configuration that put it in force, and the one that takes it out. */
  readonly cause: Cause
  /** Lines of their own for what the engine does by itself; where one has none, the policy's stands for it. */
  readonly settled?: Readonly<Partial<Record<Settled, Cause>>>
}

/** Something that the engine of a proxy does by itself. */
export type Settled = keyof Proxying | keyof ProxyWaits

/** Which line decided, and which would decide otherwise. */
export interface Cause {
  readonly at: SourceRef
  /** The command as it stands, or as it is implied: `fixup protocol smtp 25`. */
  readonly command: string
  /**
   * In the cure of a rule `<word>` becomes the word or text that was judged, `<peer>` whoever connected, and `<size>` or
   * `<number>` what would have let this pass: twice the limit, or more where that is not enough.
   */
  readonly cure: string
}

export interface Rule {
  readonly match: Match
  readonly action: Action
  /** Why, in words an operator can act on. */
  readonly reason: string
  /** Its own line, where it has one; else the policy's stands for it. */
  readonly cause?: Cause
  /** Write to the log what it does (`log` behind an action of an ASA). */
  readonly log?: boolean
  /** For the syslog text, as the ASA numbers what matched: `Class 1`; `mail-relay: No Mail Relay allowed`. */
  readonly label?: string
}

/* What is looked at. */

export type Match =
  /** The lines of the 220 greeting. */
  | { readonly on: 'greeting' }
  /** A word is in the set. Words are in upper case, MIME's in lower. */
  | { readonly on: 'word'; readonly what: WordKind; readonly in: ReadonlySet<string> }
  /** A length in octets, or a count, is greater than this (`gt`). */
  | { readonly on: 'size'; readonly what: SizeKind; readonly over: number }
  /** Any of these patterns is found in the text (`pattern.ts`). */
  | { readonly on: 'text'; readonly what: TextKind; readonly like: readonly string[] }
  /** An octet that does not belong where it is. */
  | { readonly on: 'octet'; readonly what: OctetKind }
  /** A piece of a command line that is not a whole line, as typed by hand, and holds no complete verb of the set. */
  | { readonly on: 'fragment'; readonly without: ReadonlySet<string> }
  /** The recipient's domain is none of these, nor below one, nor with `literals` an address. In lower case. */
  | { readonly on: 'relay'; readonly except: ReadonlySet<string>; readonly literals?: boolean }
  /** Whoever connects is in one of these networks. */
  | { readonly on: 'peer'; readonly within: readonly Network[] }
  /** It speaks of the same, and the other does not match (`match not`). */
  | { readonly on: 'not'; readonly match: Match }
  /** Every one of them matches. */
  | { readonly on: 'all'; readonly of: readonly Match[] }

export type WordKind =
  | 'verb' // of a whole command line
  | 'ehlo-keyword' // a line of the EHLO reply: SIZE, STARTTLS
  | 'auth-mechanism' // in the EHLO reply, and behind AUTH
  | 'param' // of MAIL or RCPT: BODY, SIZE
  | 'header-field' // a header field's name
  | 'mime-encoding' // Content-Transfer-Encoding

export type SizeKind =
  | 'command-line' // octets, CR LF included (RFC 5321 §4.5.3.1.4)
  | 'reply-line' // octets, CR LF included
  | 'hello' // octets of the name behind HELO or EHLO
  | 'sender' // octets of the address in MAIL
  | 'recipient' // octets of an address in RCPT
  | 'recipients' // RCPT commands of one transaction
  | 'invalid-recipients' // RCPT commands of one connection that the server refused
  | 'header' // octets of all header lines
  | 'header-line' // octets of one, without CR LF
  | 'to-fields' // To and Cc fields in a header
  | 'body' // octets behind the header
  | 'body-line' // octets of one, without CR LF; a proxy counts those of the header, too
  | 'dotted-line' // octets of one that ends in a dot, and does not end the message
  | 'message' // octets of header and body
  | 'declared-size' // SIZE= of MAIL
  | 'overrun' // octets of a message beyond its declared size
  | 'filename' // octets of the name of an attachment
  | 'mime-depth' // multiparts in one another
  | 'mime-parts' // of one message
  | 'messages' // of one connection
  | 'errors' // commands of one connection that were refused
  | 'junk' // commands of one connection that bring no mail on: NOOP, RSET, VRFY …

export type TextKind =
  | 'hello' // the name behind HELO or EHLO
  | 'sender' // the address in MAIL, without < and >
  | 'recipient' // an address in RCPT
  | 'argument' // what stands behind a verb
  | 'mime-type' // Content-Type: `image/png`
  | 'filename' // of an attachment
  | 'header-value' // a header field, as `name: value`

export type OctetKind =
  | 'pipe' // | in the address of MAIL or RCPT
  | 'stray-bracket' // < or > there that delimits nothing
  | 'special' // | ` or NUL there
  | 'bare-cr' // CR without LF, anywhere
  | 'bare-lf' // LF without CR, anywhere
  | 'nul' // anywhere
  | 'split-end' // a piece of the dot line that ends a message, which two segments share

/* What is done. */

export type Action =
  | { readonly kind: 'pass' }
  /** Told, and nothing else: the rules behind it decide. */
  | { readonly kind: 'log' }
  /** Sent on in another form of the same length (`mask.ts`). */
  | { readonly kind: 'mask'; readonly how: MaskKind }
  /** Nothing goes on; both sides are closed, in good order or with a reset. */
  | { readonly kind: 'drop-connection' | 'reset' }
  /** The piece never goes on; the connection stays. */
  | { readonly kind: 'discard' }
  /** The piece waits until its line is whole. */
  | { readonly kind: 'hold' }
  /** At most so many a second; what is more waits. */
  | { readonly kind: 'rate-limit'; readonly perSecond: number }
  /* What follows needs a proxy: it makes lengths other, or words of its own. */
  /** Answered here; the server never sees it. With `close`, it is the last word. */
  | { readonly kind: 'answer'; readonly reply: PolicyReply; readonly close?: boolean }
  /** Left out: an EHLO keyword, a parameter, a recipient, a header field, an attachment. */
  | { readonly kind: 'strip' }
  /** Said otherwise: a header field's value, an attachment, a greeting, an address. */
  | { readonly kind: 'replace'; readonly by: string }
  /** Lines of a header that are too long are folded at blanks, to no more than so many octets (RFC 5322 §2.2.3). */
  | { readonly kind: 'fold'; readonly to: number }
  /** Octets made what they should have been. */
  | { readonly kind: 'normalise'; readonly to: 'crlf' | 'space' | 'nothing' }

/** One line: `554 5.7.1 This kind of attachment is not accepted`. */
export interface PolicyReply {
  readonly code: number
  /** `5.7.1`. */
  readonly status?: string
  readonly text: string
}

/** The forms of hiding, each of the same length as what it hides (`mask.ts`). */
export type MaskKind =
  | 'keep-2-0' // a greeting: all but 2, 0 and a space behind a 0 becomes *
  | 'stars' // a greeting: all becomes *, its later codes too
  | 'stars-by-line' // a greeting: all becomes *, and every line keeps its code
  | 'cmap' // a greeting: SMTP/cmap ready____
  | 'x-verb' // a command: its verb becomes X
  | 'x-line' // a command: the whole line becomes X
  | 'noop' // a command: its verb becomes NOOP
  | 'blank' // an octet becomes a space
  | 'ordinal' // an EHLO keyword: XXXXXXXA, the next one of this reply B

/* Who does it. */

export type Engine = InPlace | Proxying

/** Works per segment, as the stream passes: no length changes, no word is its own (`inspector.ts`). */
export interface InPlace {
  readonly kind: 'in-place'
  /** DATA is believed before the server takes it, and all that follows passes as a message (CVE-2000-1022). */
  readonly dataFirstBug: boolean
}

/** Two connections, everything decoded and said anew (`proxy.ts`). */
export interface Proxying {
  readonly kind: 'proxy'
  /**
   * STARTTLS goes through to the server and is blind from then on; or it must have come before mail does; or it ends here
   * and is begun anew towards the server; or it is not offered.
   */
  readonly tls: 'pass' | 'require' | 'terminate' | 'off'
  /** Towards the server: never begun, begun where it is offered, or no mail without it. */
  readonly onwardTls: 'never' | 'may' | 'must'
  /** May a client log in before TLS? Where not, AUTH is not offered there. */
  readonly authInClear: boolean
  /** Who speaks before the greeting, or behind a command that must be the last of its group (RFC 2920 §3.1). */
  readonly talkingAhead: 'refuse' | 'wait'
  /** Tell the server by XCLIENT who the client is: never, where it is offered, or no mail without it. */
  readonly xclient: 'never' | 'may' | 'must'
  /** Where the server has no CHUNKING, BDAT is offered all the same and becomes DATA. */
  readonly chunking: 'pass' | 'convert' | 'off'
  /** What the greeting and the EHLO reply call the server; as it calls itself where nothing stands here. */
  readonly name?: string
  /** In Received, Message-ID and replies, the server's own names become `name`. */
  readonly hideServer: boolean
  /** Sender domains that are shown as another: `lan.a.example` → `a.example`. */
  readonly masquerade: ReadonlyMap<string, string>
  readonly waits: ProxyWaits
  /** Octets a second below which a message takes too long; 0 for none. */
  readonly minDataRate: number
  /** Refused commands after which each further one costs its client the wait `error`. */
  readonly softErrors: number
}

export interface ProxyWaits {
  /** Before the greeting, to hear who speaks too early; 0 for none. */
  readonly pregreet: Duration
  /** For the next command, whole: the octets of half a line buy no time. */
  readonly command: Duration
  /** For the next octets of a message. */
  readonly data: Duration
  /** For the server's reply. */
  readonly reply: Duration
  /** For a side to take what was written to it. */
  readonly write: Duration
  /** For everything: a session that is older ends. */
  readonly session: Duration
  /** Between a refused command and the next one, once there were too many; 0 for none. */
  readonly error: Duration
}
