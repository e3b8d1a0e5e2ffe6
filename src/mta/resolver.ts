/** What is asked of the Domain Name System, and what it may say. `io/resolver.ts` asks it; tests have one of their own. */

/** The types that delivery asks for, and what a record of each holds. */
export interface Records {
  /** A host may be empty: a null MX (RFC 7505). */
  readonly MX: { readonly preference: number; readonly host: string }
  readonly A: string
  readonly AAAA: string
  /** The strings of a record, joined. */
  readonly TXT: string
  readonly TLSA: Tlsa
}

export interface Tlsa {
  readonly usage: number
  readonly selector: number
  readonly matching: number
  readonly data: Uint8Array
}

export type RecordType = keyof Records

/** `isSecure`: a resolver that we trust says that it was validated by DNSSEC (RFC 4035 §3.2.3). */
export type DnsAnswer<T> =
  | { readonly kind: 'found'; readonly records: readonly T[]; readonly isSecure: boolean }
  /** The name is there, and has no such record. */
  | { readonly kind: 'empty'; readonly isSecure: boolean }
  | { readonly kind: 'no-such-name'; readonly isSecure: boolean }
  /** Nobody could say: it may be otherwise later. */
  | { readonly kind: 'failed'; readonly why: string }

export interface Resolver {
  /** Never fails but by its answer, and always comes to an end. */
  resolve<Type extends RecordType>(name: string, type: Type): Promise<DnsAnswer<Records[Type]>>
}
