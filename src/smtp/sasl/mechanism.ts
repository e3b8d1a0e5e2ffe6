import type { Random } from '../../base/id.ts'
import type { Instant } from '../../base/time.ts'

/**
 * A SASL mechanism (RFC 4422), both halves: small machines that can ask.
 *
 * A step gives one outcome. `ask` pauses the exchange: whoever drives it finds out, and calls `answer` for the next outcome.
 * Nothing that a peer sends makes a step throw, and after an end (`done`, `refused`, `wrong`, `unavailable`, `give-up`)
 * every further step is one too. A machine serves one exchange.
 */
export interface SaslServer {
  /**
   * The client's response, out of its base64; `undefined` where it sent no initial response (RFC 4954 §4: `=` is an empty
   * one, which is not none).
   */
  step(response: Uint8Array | undefined): SaslServerStep
  /** What came of the question of the last `ask`. */
  answer(answer: SaslAnswer): SaslServerStep
}

export type SaslServerStep =
  /** 334 with `bytes` in base64, or with `text` as it stands where there is one (`334 NTLM supported`). */
  | { readonly kind: 'challenge'; readonly bytes: Uint8Array; readonly text?: string }
  | { readonly kind: 'ask'; readonly question: SaslQuestion }
  /** 235: the client is `user`, which is the account's own name, however the client spelt it. */
  | { readonly kind: 'done'; readonly user: string }
  /** 535: well said, and not accepted. `why` is for our log; it holds no secret, and the client is not told it. */
  | { readonly kind: 'refused'; readonly why: string }
  /** 501: not a response of this mechanism. */
  | { readonly kind: 'wrong'; readonly why: string }
  /** 454: nobody could tell; the client may try again later. */
  | { readonly kind: 'unavailable'; readonly why: string }

/** The client's half. */
export interface SaslClient {
  readonly mechanism: string
  /** Begins. `initial` goes with the command itself (RFC 4954 §4), empty as `=`; without it the server speaks first. */
  start(): { readonly initial?: Uint8Array }
  /** The text of a 334 out of its base64; `undefined` where it is none, as in Exchange's `334 ntlm supported`. */
  step(challenge: Uint8Array | undefined): SaslClientStep
  answer(answer: SaslClientAnswer): SaslClientStep
  /**
   * Has everything been said, and the server proved whatever it must prove? A 235 before that is not to be believed: take
   * it as a failure and hang up.
   */
  readonly complete: boolean
}

export type SaslClientStep =
  | { readonly kind: 'respond'; readonly bytes: Uint8Array }
  | { readonly kind: 'ask'; readonly question: SaslClientQuestion }
  /** Send `*` (RFC 4954 §4). `why` holds no secret. */
  | { readonly kind: 'give-up'; readonly why: string }

/** What a server's mechanism must have looked up or done. */
export type SaslQuestion =
  /** Is it the account's password? As the client sent it: whoever checks prepares it (RFC 4013). */
  | { readonly kind: 'password'; readonly user: string; readonly password: string }
  | { readonly kind: 'verifier'; readonly user: string }
  /** `domain` is what the client put there, often nothing. */
  | { readonly kind: 'nt-hash'; readonly user: string; readonly domain: string }
  | { readonly kind: 'gss-accept'; readonly token: Uint8Array }
  | GssMessageQuestion

export type SaslClientQuestion =
  /** `Hi` of RFC 5802 §2.2: PBKDF2 with HMAC-SHA-256, 32 octets. It takes its time, so it is not done on the spot. */
  | {
      readonly kind: 'salted-password'
      readonly password: string
      readonly salt: Uint8Array
      readonly iterations: number
    }
  /** The next token for the server; no `token` at the first. */
  | { readonly kind: 'gss-initiate'; readonly token?: Uint8Array }
  | GssMessageQuestion

/** Messages under the context that the tokens set up: integrity, never confidentiality (RFC 4752 §3.1). */
export type GssMessageQuestion =
  | { readonly kind: 'gss-wrap'; readonly bytes: Uint8Array }
  | { readonly kind: 'gss-unwrap'; readonly bytes: Uint8Array }

/** Each has the `kind` of its question, or is one of the two that fit any. */
export type SaslAnswer =
  /** No `user`: no such account, or not its password. Otherwise the account's own name. */
  | { readonly kind: 'password'; readonly user?: string }
  | { readonly kind: 'verifier'; readonly known?: { readonly user: string; readonly verifier: ScramVerifier } }
  /** `hash` is MD4 of the password in UTF-16LE, 16 octets. */
  | { readonly kind: 'nt-hash'; readonly known?: { readonly user: string; readonly hash: Uint8Array } }
  /** `token`, if any, goes to the client. `user` is there once the context stands, and is the client's principal. */
  | { readonly kind: 'gss-accept'; readonly token?: Uint8Array; readonly user?: string }
  | GssMessageAnswer
  | NoAnswer

export type SaslClientAnswer =
  | { readonly kind: 'salted-password'; readonly bytes: Uint8Array }
  /** `established`: the context stands, with mutual authentication. */
  | { readonly kind: 'gss-initiate'; readonly token?: Uint8Array; readonly established: boolean }
  | GssMessageAnswer
  | NoAnswer

export type GssMessageAnswer =
  | { readonly kind: 'gss-wrap'; readonly bytes: Uint8Array }
  | { readonly kind: 'gss-unwrap'; readonly bytes: Uint8Array }

export type NoAnswer =
  /** The peer's token or message is not good. */
  | { readonly kind: 'refused'; readonly why: string }
  /** We failed: a file that cannot be read, a library that is not there. */
  | { readonly kind: 'unavailable'; readonly why: string }

/** What is kept of a password for SCRAM-SHA-256 (RFC 5802 §3): enough to check it, too little to log in with. */
export interface ScramVerifier {
  readonly iterations: number
  readonly salt: Uint8Array
  /** 32 octets each. */
  readonly storedKey: Uint8Array
  readonly serverKey: Uint8Array
}

/** What the world computes for the core. */
export interface Hashes {
  sha256(bytes: Uint8Array): Uint8Array
  hmacSha256(key: Uint8Array, bytes: Uint8Array): Uint8Array
  /** Only for NTLM; not there where FIPS mode forbids it. */
  readonly hmacMd5?: (key: Uint8Array, bytes: Uint8Array) => Uint8Array
  /** In a time that tells nothing of where they differ. */
  equal(a: Uint8Array, b: Uint8Array): boolean
  readonly random: Random
  /** RFC 4013; `undefined` where the text has characters that are prohibited there. */
  saslPrep(text: string): string | undefined
}

/** What TLS says of the connection. */
export interface TlsFacts {
  readonly secured: boolean
  /** The channel binding `tls-exporter` (RFC 9266 §2), 32 octets; not there where the connection has none. */
  readonly exporter?: Uint8Array
}

/** What a server's half is made with. */
export interface SaslServerContext {
  readonly hashes: Hashes
  readonly now: Instant
  readonly tls: TlsFacts
  /** The names on the list that this client was given. */
  readonly offered: readonly string[]
  /** At least 16 octets that nobody knows, the same for as long as accounts should look the same from outside. */
  readonly secret: Uint8Array
  /** How many iterations an account has that does not exist; that of new accounts. */
  readonly iterations: number
  /** Our name, for NTLM to give. */
  readonly hostname: string
  /** Bare `334 ` instead of `334 ntlm supported` and `334 GSSAPI supported`, which are no base64. */
  readonly strict: boolean
}

/** What a client's half is made with. */
export interface SaslClientContext {
  readonly hashes: Hashes
  readonly now: Instant
  readonly tls: TlsFacts
  /** The names on the server's list. */
  readonly offered: readonly string[]
  /** For NTLM it may be `DOMAIN\user`. GSSAPI takes who we are from its credentials. */
  readonly user: string
  readonly password: string
}

/** What a mechanism's server must be able to look up, and its client must have. */
export type Need = 'password' | 'verifier' | 'nt-hash' | 'gss'

/** A row of the table `MECHANISMS`. */
export interface Mechanism {
  readonly name: string
  /** Where it is written, and what it is. */
  readonly source: string
  readonly what: string
  /** Does whoever listens learn the password? Then it is for TLS, unless a line of configuration says otherwise. */
  readonly plaintext: boolean
  /** Is it bound to the TLS connection, and useless without `tls.exporter`? */
  readonly bound: boolean
  readonly needs: Need
  readonly server: (context: SaslServerContext) => SaslServer
  readonly client: (context: SaslClientContext) => SaslClient
}
