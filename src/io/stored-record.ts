/** Records as they are in a tree: each with a checksum of its text before it. */
import { crc32 } from 'node:zlib'
import { readRecord, type SpoolRecord, type StoredBody, writeRecord } from '../spool/record.ts'
import type { OwnMessage } from '../spool/spool.ts'

/** The room of the sum. */
const NO_SUM = '00000000 '

/** A record with the CRC-32 of its text before it. */
export function stored(record: SpoolRecord): Buffer {
  const octets = Buffer.from(`${NO_SUM}${writeRecord(record)}`)
  octets.write(crc32(octets.subarray(NO_SUM.length)).toString(16).padStart(8, '0'), 'latin1')
  return octets
}

export function readStored(octets: Buffer | undefined): SpoolRecord | { readonly wrong: string } {
  if (!octets) return { wrong: 'there is none' }
  const text = octets.subarray(NO_SUM.length)
  const sum = octets.subarray(0, NO_SUM.length).toString('latin1')
  if (sum !== `${crc32(text).toString(16).padStart(8, '0')} `) return { wrong: 'its checksum does not hold' }
  return readRecord(text.toString('utf8'))
}

export function ownRecord({ entry, body }: OwnMessage): SpoolRecord {
  return { entry: { ...entry, size: body.length }, body: { place: 'tree', sum: crc32(body) } }
}

/** Octets of a page of the tree, and of what an entry takes in it, about. */
const PAGE = 4096
const ENTRY = 2048

/** Octets of the tree that a message takes: a body begins on a page of its own. */
export function pages(size: number, { place }: StoredBody): number {
  return ENTRY + (place === 'tree' ? Math.ceil((size + 16) / PAGE) * PAGE : 0)
}
