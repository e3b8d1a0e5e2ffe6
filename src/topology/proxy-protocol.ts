/**
 * The PROXY protocol of HAProxy, versions 1 and 2: who a connection is really from, told by the balancer before it in
 * octets that come before any other. (proxy-protocol.txt, 2020-03-05)
 */
import { bytes, concat, text } from '../base/bytes.ts'
import { canonicalIp, formatIpv4, formatIpv6, parseIpv4, parseIpv6, unmapped } from '../config/ip.ts'

/** The two ends of a connection; addresses in their canonical spelling, both of one family; none is IPv4-mapped. */
export interface Ends {
  readonly source: string
  readonly sourcePort: number
  readonly destination: string
  readonly destinationPort: number
}

export type ProxyHeader =
  /** `length`: how many octets the header has; what follows it is the client's. */
  | { readonly kind: 'proxied'; readonly ends: Ends; readonly length: number }
  /** The balancer speaks for itself (a health check), or does not know: the socket's own addresses hold. */
  | { readonly kind: 'local'; readonly length: number }
  /** What came may still become a header. */
  | { readonly kind: 'more' }
  | { readonly kind: 'wrong'; readonly why: string }

/** Octets of a header of version 1, its line end included. */
export const MAX_V1 = 107
/** Octets of a header of version 2, its additions (TLVs) included. */
export const MAX_V2 = 2_048

const V1_START: Uint8Array = bytes('PROXY ')
const V2_START: Uint8Array = bytes('\r\n\r\n\0\r\nQUIT\n')
const V2_FIXED = 16

/** Reads a header from the first octets of a connection. Total, and never asks for more than `MAX_V2` octets. */
export function readProxyHeader(octets: Uint8Array): ProxyHeader {
  if (begins(octets, V2_START)) return octets.length < V2_FIXED ? { kind: 'more' } : readV2(octets)
  if (begins(octets, V1_START)) return readV1(octets)
  return wrong('this is no PROXY header')
}

/** Do the octets begin so, as far as they have come? */
function begins(octets: Uint8Array, start: Uint8Array): boolean {
  const length = Math.min(octets.length, start.length)
  for (let i = 0; i < length; i++) if (octets[i] !== start[i]) return false
  return true
}

function wrong(why: string): ProxyHeader {
  return { kind: 'wrong', why }
}

function readV1(octets: Uint8Array): ProxyHeader {
  const line = text(octets, 0, Math.min(octets.length, MAX_V1))
  const end = line.indexOf('\r\n')
  if (end < 0) return octets.length < MAX_V1 ? { kind: 'more' } : wrong(`no line end within ${MAX_V1} octets`)
  const length = end + 2
  const [, family = '', source = '', destination = '', sourcePort = '', destinationPort = '', ...more] = line
    .slice(0, end)
    .split(' ')
  // What follows UNKNOWN is to be ignored, whatever it is.
  if (family === 'UNKNOWN') return { kind: 'local', length }
  if (family !== 'TCP4' && family !== 'TCP6') return wrong('the family is neither TCP4 nor TCP6 nor UNKNOWN')
  if (more.length > 0) return wrong('the line has too many words')
  const [from, to] = [source, destination].map(ip =>
    (family === 'TCP4' ? parseIpv4(ip) : parseIpv6(ip)) === undefined ? undefined : unmapped(canonicalIp(ip) ?? ip),
  )
  const [near, far] = [portOf(sourcePort), portOf(destinationPort)]
  if (from === undefined || to === undefined) return wrong(`an address is not one of ${family}`)
  if (near === undefined || far === undefined) return wrong('a port is not one')
  return {
    kind: 'proxied',
    ends: { source: from, sourcePort: near, destination: to, destinationPort: far },
    length,
  }
}

function portOf(word: string): number | undefined {
  if (!/^(?:0|[1-9]\d{0,4})$/.test(word)) return undefined
  return Number(word) <= 65_535 ? Number(word) : undefined
}

function readV2(octets: Uint8Array): ProxyHeader {
  const [command = 0, family = 0] = octets.subarray(12, 14)
  const length = V2_FIXED + wordAt(octets, 14)
  if (command >> 4 !== 2) return wrong('the version is not 2')
  if ((command & 15) > 1) return wrong('the command is neither LOCAL nor PROXY')
  if (length > MAX_V2) return wrong(`the header is longer than ${MAX_V2} octets`)
  if (octets.length < length) return { kind: 'more' }
  if ((command & 15) === 0) return { kind: 'local', length }
  const size = { 17: 4, 33: 16 }[family]
  if (size === undefined) return wrong('the family is not TCP over IPv4 or IPv6')
  if (length < V2_FIXED + 2 * size + 4) return wrong('the addresses are cut off')
  const at = V2_FIXED + 2 * size
  return {
    kind: 'proxied',
    ends: {
      source: addressAt(octets, V2_FIXED, size),
      destination: addressAt(octets, V2_FIXED + size, size),
      sourcePort: wordAt(octets, at),
      destinationPort: wordAt(octets, at + 2),
    },
    length,
  }
}

function wordAt(octets: Uint8Array, at: number): number {
  return ((octets[at] ?? 0) << 8) | (octets[at + 1] ?? 0)
}

function addressAt(octets: Uint8Array, at: number, size: number): string {
  if (size === 4) return formatIpv4(wordAt(octets, at) * 0x1_0000 + wordAt(octets, at + 2))
  return unmapped(formatIpv6(Array.from({ length: 8 }, (_, i) => wordAt(octets, at + 2 * i))))
}

/** The header for a connection. Ends that are not of one family are told as `UNKNOWN` or `LOCAL`. */
export function formatProxyHeader(version: 1 | 2, ends: Ends): Uint8Array {
  const { source, destination, sourcePort, destinationPort } = ends
  const family = [source, destination].every(ip => parseIpv4(ip) !== undefined)
    ? 4
    : [source, destination].every(ip => parseIpv6(ip) !== undefined)
      ? 6
      : undefined
  if (version === 1) {
    if (family === undefined) return bytes('PROXY UNKNOWN\r\n')
    return bytes(`PROXY TCP${family} ${source} ${destination} ${sourcePort} ${destinationPort}\r\n`)
  }
  if (family === undefined) return concat([V2_START, Uint8Array.of(0x20, 0, 0, 0)])
  const addresses = [source, destination].flatMap(ip => addressOctets(ip))
  const ports = [sourcePort, destinationPort].flatMap(octetsOf)
  const body = [...addresses, ...ports]
  return concat([V2_START, Uint8Array.of(0x21, family === 4 ? 0x11 : 0x21, ...octetsOf(body.length), ...body)])
}

function octetsOf(word: number): readonly number[] {
  return [(word >> 8) & 0xff, word & 0xff]
}

function addressOctets(ip: string): readonly number[] {
  const ipv4 = parseIpv4(ip)
  if (ipv4 !== undefined) return [...octetsOf(ipv4 >>> 16), ...octetsOf(ipv4)]
  return (parseIpv6(ip) ?? []).flatMap(octetsOf)
}
