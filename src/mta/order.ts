import type { TlsFacts } from '../base/machine.ts'
import type { Duration } from '../base/time.ts'
import type { Envelope } from '../mail/envelope.ts'
import type { SaslClient } from '../smtp/sasl/mechanism.ts'

/** What to deliver, to whom, and how to behave. */
export interface Order {
  /** What we call ourselves. */
  readonly hello: string
  /** Who is spoken to, for outcomes: `mail-b.b.example [10.54.7.10]`. */
  readonly to: string
  /** The same for other programs: `mail-b.b.example`, or `[10.54.7.10]`. */
  readonly remote?: string
  readonly envelope: Envelope
  /** Positions in `envelope.recipients`. */
  readonly recipients: readonly number[]
  readonly size: number
  /** Instead of a message: ask for those that wait at the other end (RFC 1985, RFC 2645). */
  readonly pull?: Pull
  readonly tls?: TlsWish
  readonly login?: LoginWish
  /** Routing state is exchanged before anything else, once this end has logged in. */
  readonly linkState?: LinkStateTalk
  readonly workarounds?: Workarounds
  /** What was offered before and did not work: it is left out. */
  readonly without?: ReadonlySet<Without>
  /** LMTP: LHLO instead of EHLO, and a reply for each recipient behind the message (RFC 2033). */
  readonly lmtp?: boolean
  /** Another server can be tried: who turns the session away leaves the recipients without an outcome. */
  readonly elsewhere?: boolean
  /** Is this the last hop, from where on it is not our affair? */
  readonly outcome: 'delivered' | 'relayed'
}

/**
 * What a session can do without where it is offered and does not work, because somebody between masks it: TLS where the
 * floor allows it; BDAT, for there is DATA; and the parameters of MAIL and RCPT, for what they ask can be done here.
 */
export type Without = 'tls' | 'bdat' | 'parameters'

export type Pull = { readonly kind: 'etrn' | 'atrn'; readonly argument: string } | { readonly kind: 'turn' }

/** The client's half of a conversation about routing state; `routing/exchange.ts` knows what to say. */
export interface LinkStateTalk {
  /** The first frame. `delta`: the other end is a Postern, and takes what changed alone. */
  begin(delta: boolean): string | undefined
  /** What to say to the frame that came back; `undefined`: no more. */
  hear(frame: string): string | undefined
  /** It did not come about, or broke off. */
  broken(why: string): void
}

/**
 * How much TLS there must be. `may`: if it is offered, whoever it is with; `require`: nothing is sent in clear; `verify`:
 * and the certificate proves the name; `pinned`: and it is the one we know.
 */
export const FLOORS = ['none', 'may', 'require', 'verify', 'pinned'] as const
export type Floor = (typeof FLOORS)[number]

export interface TlsWish {
  readonly floor: Floor
  /** Who wants it: `connector A-to-B`. */
  readonly by: string
  /** Whose server it is only DNS says, and nobody vouches for it: not enough for REQUIRETLS (RFC 8689 §4.2.1). */
  readonly isHearsay?: boolean
  /** There was TLS on this way before. */
  readonly had?: boolean
  /** The connection began with TLS (RFC 8314 §3). */
  readonly facts?: TlsFacts
}

export const TLS_IS_MISSING = 'TLS was had here before and is missing now: somebody may be taking it away'

export interface LoginWish {
  readonly verb: 'auth' | 'x-exps'
  readonly required: boolean
  /** Who wants it: `connector A-to-B`. */
  readonly by: string
  /**
   * The client's half of the best mechanism that both sides have and that may be used on such a connection; `undefined`
   * where there is none.
   */
  readonly choose: (offered: readonly string[], tls: TlsFacts | undefined) => SaslClient | undefined
}

/**
 * Postfix's `smtp_pix_workarounds`, by their names. `disable_esmtp`: HELO, not EHLO, to who greets with a masked banner;
 * where TLS or a login is wished EHLO comes first all the same. `delay_dotcrlf`: the dot at the end in a segment of its
 * own, after a pause.
 */
export const WORKAROUNDS = ['disable_esmtp', 'delay_dotcrlf'] as const
export type Workaround = (typeof WORKAROUNDS)[number]

export interface Workarounds {
  readonly names: ReadonlySet<Workaround>
  /** How long to pause before the dot (Postfix: `smtp_pix_workaround_delay_time`, 10 s). */
  readonly delay: Duration
  /** Only for mail that has been queued this long (Postfix: `smtp_pix_workaround_threshold_time`, 500 s). */
  readonly threshold: Duration
  readonly queuedFor: Duration
}

/**
 * Is it a greeting as a PIX masks it: one line of nothing but `2`, `0`, `*` and spaces? As Postfix has it: a greeting of
 * several lines does not count, nor does one that an older PIX made.
 */
export function isMasked(greeting: { readonly code: number; readonly text: readonly string[] }): boolean {
  return greeting.code === 220 && greeting.text.length === 1 && /^[20* \t]*$/.test(greeting.text[0] ?? '')
}
