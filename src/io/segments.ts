/** From packets to what TCP carries in them, and from that to connections. Whatever a capture holds, nothing here throws. */
import { copy } from '../base/bytes.ts'
import type { Piece } from '../diagnosis/hearing.ts'
import type { Packet } from './pcap.ts'

export interface Segment {
  readonly source: string
  readonly sourcePort: number
  readonly destination: string
  readonly destinationPort: number
  readonly sequence: number
  readonly isSyn: boolean
  readonly isAck: boolean
  readonly isEnd: boolean
  readonly payload: Uint8Array
  /** Octets that the capture cut off (`tcpdump -s`). */
  readonly cut: number
}

/** The TCP segment of a packet, if it holds one that can be read. */
export function segmentOf({
  linkType,
  octets,
}: Packet): { readonly segment: Segment; readonly port?: number } | undefined {
  const ip = ipIn(linkType, octets)
  if (!ip) return undefined
  const segment = tcpIn(ip.octets)
  return segment && { segment, ...(ip.port !== undefined && { port: ip.port }) }
}

const u16 = (octets: Uint8Array, at: number) => ((octets[at] ?? 0) << 8) | (octets[at + 1] ?? 0)
const u32 = (octets: Uint8Array, at: number) => u16(octets, at) * 65_536 + u16(octets, at + 2)

const IPV4 = 0x0800
const IPV6 = 0x86dd
const VLANS = new Set([0x8100, 0x88a8, 0x9100])

function ipIn(
  linkType: number,
  octets: Uint8Array,
): { readonly octets: Uint8Array; readonly port?: number } | undefined {
  switch (linkType) {
    case 1: {
      let at = 12
      let type = u16(octets, at)
      for (let tags = 0; VLANS.has(type) && tags < 4; tags++) {
        at += 4
        type = u16(octets, at)
      }
      return type === IPV4 || type === IPV6 ? { octets: octets.subarray(at + 2) } : undefined
    }
    case 113:
      return isIp(u16(octets, 14)) ? { octets: octets.subarray(16) } : undefined
    case 276:
      return isIp(u16(octets, 0)) ? { octets: octets.subarray(20), port: u32(octets, 4) } : undefined
    case 0:
    case 108:
      return { octets: octets.subarray(4) }
    case 12:
    case 14:
    case 101:
    case 228:
    case 229:
      return { octets }
    default:
      return undefined
  }
}

function isIp(type: number): boolean {
  return type === IPV4 || type === IPV6
}

const TCP = 6
/** Hop-by-hop, routing, destination options; what is fragmented is not put together. */
const EXTENSIONS = new Set([0, 43, 60])

function tcpIn(octets: Uint8Array): Segment | undefined {
  const version = (octets[0] ?? 0) >> 4
  if (version === 4) {
    const header = ((octets[0] ?? 0) & 15) * 4
    const isFragment = (u16(octets, 6) & 0x3fff) !== 0
    if (octets[9] !== TCP || isFragment || header < 20) return undefined
    // 0 where the card cut the packets: then what is there counts.
    const length = u16(octets, 2) || octets.length
    const [source, destination] = [12, 16].map(at => [...octets.subarray(at, at + 4)].join('.'))
    return read(octets.subarray(header), length - header, source ?? '', destination ?? '')
  }
  if (version !== 6) return undefined
  let next = octets[6] ?? 0
  let at = 40
  for (let i = 0; EXTENSIONS.has(next) && i < 8; i++) {
    next = octets[at] ?? 0
    at += 8 + (octets[at + 1] ?? 0) * 8
  }
  if (next !== TCP) return undefined
  const length = u16(octets, 4) === 0 ? octets.length - at : u16(octets, 4) - (at - 40)
  const [source, destination] = [8, 24].map(from => sayIpv6(octets.subarray(from, from + 16)))
  return read(octets.subarray(at), length, source ?? '', destination ?? '')
}

function sayIpv6(octets: Uint8Array): string {
  const groups = Array.from({ length: 8 }, (_, i) => u16(octets, i * 2).toString(16)).join(':')
  const zeros = groups.match(/(?:^|:)0(?::0)+(?=:|$)/g)?.toSorted((a, b) => b.length - a.length)[0]
  return zeros === undefined
    ? groups
    : groups
        .replace(zeros, ':')
        .replace(/^:(?!:)/, '::')
        .replace(/([^:]):$/, '$1::')
        .replace(/^:$/, '::')
}

function read(octets: Uint8Array, length: number, source: string, destination: string): Segment | undefined {
  const header = ((octets[12] ?? 0) >> 4) * 4
  if (octets.length < 20 || header < 20 || length < header) return undefined
  const flags = octets[13] ?? 0
  const payload = octets.subarray(header, Math.min(octets.length, length))
  return {
    source,
    sourcePort: u16(octets, 0),
    destination,
    destinationPort: u16(octets, 2),
    sequence: u32(octets, 4),
    isSyn: (flags & 2) !== 0,
    isAck: (flags & 16) !== 0,
    isEnd: (flags & 5) !== 0,
    payload,
    cut: Math.max(0, length - header - payload.length),
  }
}

/** How far `b` is ahead of `a`, as TCP counts: negative for behind. */
export function ahead(a: number, b: number): number {
  return (b - a) | 0
}

/** What may wait in one direction for a segment that is missing. */
export const MAX_PENDING = 256
export const MAX_PENDING_OCTETS = 262_144

/** One direction of a connection, put in order. */
export class Stream {
  #next: number | undefined
  #pending: { readonly sequence: number; readonly payload: Uint8Array; readonly cut: number }[] = []
  #octets = 0
  /** Octets that never showed. */
  lost = 0

  /** What can be read now, in order; `undefined` stands for octets that are missing. */
  push({
    sequence,
    isSyn,
    payload,
    cut,
  }: Pick<Segment, 'sequence' | 'isSyn' | 'payload' | 'cut'>): readonly (Uint8Array | undefined)[] {
    const start = isSyn ? (sequence + 1) >>> 0 : sequence
    // The first that shows begins the stream, where its beginning was not captured.
    if (isSyn || this.#next === undefined) this.#next ??= start
    if (payload.length + cut === 0) return []
    if (this.#pending.length < MAX_PENDING && this.#octets < MAX_PENDING_OCTETS) {
      this.#pending.push({ sequence: start, payload: copy(payload), cut })
      this.#octets += payload.length
    }
    const out = this.#ready()
    if (this.#pending.length >= MAX_PENDING || this.#octets >= MAX_PENDING_OCTETS) out.push(...this.#skip())
    return out
  }

  /** No more will come: what waits is read, with the holes told. */
  end(): readonly (Uint8Array | undefined)[] {
    const out: (Uint8Array | undefined)[] = []
    while (this.#pending.length > 0) out.push(...this.#skip())
    return out
  }

  #ready(): (Uint8Array | undefined)[] {
    const out: (Uint8Array | undefined)[] = []
    for (;;) {
      const next = this.#next ?? 0
      const at = this.#pending.findIndex(({ sequence }) => ahead(next, sequence) <= 0)
      const found = this.#pending[at]
      if (!found) return out
      this.#pending.splice(at, 1)
      this.#octets -= found.payload.length
      // What came before is a retransmission; of a longer one the new part counts.
      const known = ahead(found.sequence, next)
      const fresh = found.payload.subarray(Math.min(known, found.payload.length))
      const cut = Math.max(0, found.payload.length + found.cut - Math.max(known, found.payload.length))
      if (fresh.length > 0) out.push(fresh)
      if (cut > 0) {
        out.push(undefined)
        this.lost += cut
      }
      this.#next = (next + fresh.length + cut) >>> 0
    }
  }

  #skip(): readonly (Uint8Array | undefined)[] {
    const next = this.#next ?? 0
    const nearest = this.#pending.reduce((least, { sequence }) => Math.min(least, ahead(next, sequence)), Infinity)
    if (nearest === Infinity) return []
    this.lost += Math.max(0, nearest)
    this.#next = (next + Math.max(0, nearest)) >>> 0
    return [undefined, ...this.#ready()]
  }
}

export type Part = Piece | { readonly by: Piece['by']; readonly octets: undefined }
