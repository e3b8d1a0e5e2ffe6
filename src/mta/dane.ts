/** What TLSA records ask of a server (RFC 6698, RFC 7672); `io/dane.ts` holds certificates to it. */
import type { DnsAnswer, Records, Tlsa } from './resolver.ts'

export type Dane =
  /** Nothing that could be trusted says so. */
  | { readonly kind: 'none' }
  /** One of these must be matched. */
  | { readonly kind: 'records'; readonly records: readonly Tlsa[] }
  /** There are some, and none that we can use: nothing may go in clear (RFC 7672 §2.2). */
  | { readonly kind: 'encrypted' }
  /** It may be that there are some: the server is not to be used now. */
  | { readonly kind: 'unknown'; readonly why: string }

/** `isSecure`: the way from the domain to this host's addresses was validated, all of it (RFC 7672 §2.2.1). */
export function daneOf(answer: DnsAnswer<Records['TLSA']>, isSecure: boolean): Dane {
  if (!isSecure) return { kind: 'none' }
  // Who can make the question fail could otherwise do away with the answer.
  if (answer.kind === 'failed') return { kind: 'unknown', why: answer.why }
  if (answer.kind !== 'found' || !answer.isSecure) return { kind: 'none' }
  const records = answer.records.filter(isUsable)
  return records.length > 0 ? { kind: 'records', records } : { kind: 'encrypted' }
}

/** A trust anchor or the certificate itself; what needs the authorities of browsers does not count (RFC 7672 §3.1.3). */
function isUsable({ usage, selector, matching, data }: Tlsa): boolean {
  const lengths: readonly (number | undefined)[] = [undefined, 32, 64]
  const fits = matching === 0 ? data.length > 0 : lengths[matching] === data.length
  return (usage === 2 || usage === 3) && (selector === 0 || selector === 1) && fits
}

/** Where the records of a server stand. */
export function tlsaName(host: string, port: number): string {
  return `_${port}._tcp.${host}`
}
