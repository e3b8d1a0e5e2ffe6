/** Captures made of nothing: a dialogue as packets, on any link, in any order. */
import { concat } from '../../src/base/bytes.ts'

export interface Frame {
  readonly by: 'C' | 'S'
  readonly payload: Uint8Array
  readonly sequence: number
  readonly flags: number
  /** Octets of the payload that the capture keeps. */
  readonly kept?: number
}

export const SYN = 2
export const ACK = 16
export const FIN = 1

/** The segments of a connection, from its SYNs to its FINs. */
export function frames(pieces: readonly { readonly by: 'C' | 'S'; readonly octets: Uint8Array }[]): readonly Frame[] {
  // Near the end of the numbers, so that they wrap.
  const next = { C: 0xffff_fff0, S: 0xffff_ff00 }
  const out: Frame[] = []
  const put = (by: 'C' | 'S', payload: Uint8Array, flags: number) => {
    out.push({ by, payload, sequence: next[by], flags })
    next[by] = (next[by] + payload.length + (flags & (SYN | FIN) ? 1 : 0)) >>> 0
  }
  const none = new Uint8Array(0)
  put('C', none, SYN)
  put('S', none, SYN | ACK)
  for (const { by, octets } of pieces) put(by, octets, ACK)
  put('C', none, FIN | ACK)
  put('S', none, FIN | ACK)
  return out
}

export type Link = 'ethernet' | 'vlan' | 'raw' | 'sll' | 'sll2' | 'null'
export const LINKS: readonly Link[] = ['ethernet', 'vlan', 'raw', 'sll', 'sll2', 'null']

const TYPES: Readonly<Record<Link, number>> = { ethernet: 1, vlan: 1, raw: 101, sll: 113, sll2: 276, null: 0 }

const u16 = (value: number): readonly number[] => [(value >> 8) & 255, value & 255]
const u32 = (value: number): readonly number[] => [...u16(Math.floor(value / 65_536)), ...u16(value & 0xffff)]

export interface Ends {
  readonly client: number
  readonly server: number
  readonly v6?: boolean
  /** At which interface, where the link tells (sll2). */
  readonly port?: number
}

export const ENDS: Ends = { client: 40_000, server: 25 }

function packet(link: Link, frame: Frame, ends: Ends): Uint8Array {
  const { by, payload, sequence, flags } = frame
  const [from, to] = by === 'C' ? [ends.client, ends.server] : [ends.server, ends.client]
  const tcp = [...u16(from), ...u16(to), ...u32(sequence), ...u32(0), 0x50, flags, ...u16(8192), 0, 0, 0, 0]
  const length = tcp.length + payload.length
  const [source, destination] = by === 'C' ? [7, 10] : [10, 7]
  const ip = ends.v6
    ? [0x60, 0, 0, 0, ...u16(length), 6, 64, ...address6(source), ...address6(destination)]
    : [0x45, 0, ...u16(20 + length), 0, 0, 0, 0, 64, 6, 0, 0, 192, 0, 2, source, 192, 0, 2, destination]
  const type = u16(ends.v6 ? 0x86dd : 0x0800)
  const macs = Array.from({ length: 12 }, () => 2)
  const head = {
    ethernet: [...macs, ...type],
    vlan: [...macs, 0x81, 0, 0, 5, ...type],
    raw: [],
    sll: [0, 0, 0, 1, 0, 6, ...macs.slice(0, 8), ...type],
    sll2: [...type, 0, 0, ...u32(ends.port ?? 3), 0, 1, 0, 6, ...macs.slice(0, 8)],
    null: [2, 0, 0, 0],
  }[link]
  return concat([Uint8Array.from([...head, ...ip, ...tcp]), payload])
}

function address6(last: number): readonly number[] {
  return [0x20, 1, 0x0d, 0xb8, ...Array.from({ length: 11 }, () => 0), last]
}

const le16 = (value: number): readonly number[] => u16(value).toReversed()
const le32 = (value: number): readonly number[] => u32(value).toReversed()

export function pcap(link: Link, all: readonly Frame[], ends: Ends = ENDS): Uint8Array {
  const head = Uint8Array.from([
    ...le32(0xa1b2c3d4),
    2,
    0,
    4,
    0,
    ...le32(0),
    ...le32(0),
    ...le32(65_535),
    ...le32(TYPES[link]),
  ])
  return concat([head, ...records(link, all, ends)])
}

/** The packets alone: to be put behind others. */
export function records(link: Link, all: readonly Frame[], ends: Ends): readonly Uint8Array[] {
  return all.map((frame, i) => {
    const whole = packet(link, frame, ends)
    const kept = frame.kept === undefined ? whole : whole.subarray(0, whole.length - frame.payload.length + frame.kept)
    return concat([
      Uint8Array.from([...le32(1_000_000 + i), ...le32(i), ...le32(kept.length), ...le32(whole.length)]),
      kept,
    ])
  })
}

export function pcapng(link: Link, all: readonly Frame[], ends: Ends = ENDS): Uint8Array {
  const block = (type: number, body: readonly number[] | Uint8Array) => {
    const padded = concat([Uint8Array.from(body), new Uint8Array((4 - (body.length % 4)) % 4)])
    return concat([
      Uint8Array.from([...le32(type), ...le32(padded.length + 12)]),
      padded,
      Uint8Array.from(le32(padded.length + 12)),
    ])
  }
  const section = block(0x0a0d0d0a, [...le32(0x1a2b3c4d), 1, 0, 0, 0, ...Array.from({ length: 8 }, () => 255)])
  const port = block(1, [...le16(TYPES[link]), 0, 0, ...le32(0), ...le16(9), ...le16(1), 9, 0, 0, 0, 0, 0, 0, 0])
  const blocks = all.map((frame, i) => {
    const octets = packet(link, frame, ends)
    return block(
      6,
      concat([
        Uint8Array.from([...le32(0), ...le32(0), ...le32(i), ...le32(octets.length), ...le32(octets.length)]),
        octets,
      ]),
    )
  })
  return concat([section, block(0x0bad, [1, 2, 3, 4]), port, ...blocks])
}
