/**
 * The form of a spool's journal: what was done, in the order in which it was done, until the tree has it
 * ([decision 14](../../docs/decisions/0014-a-journal-before-the-tree.md)).
 *
 * A file of it is a row of groups. A group begins on a page of its own, so that no page that was flushed is written again
 * before the tree has all that is in the file. Each says which one it follows: what was begun and failed stays out of the
 * row. Its salt is the spool's own, so that no content of a message can pass for a group.
 */
import { crc32 } from 'node:zlib'

export const TABLES = ['entries', 'bodies', 'gone', 'meta'] as const
export type TableName = (typeof TABLES)[number]

/** One key of one table has another value now, or none. */
export interface Step {
  readonly table: TableName
  readonly key: string
  readonly value: Uint8Array | undefined
}

/** Steps that are done together or not at all. */
export interface Group {
  /** Counted from 1 over the spool's life. */
  readonly number: number
  /** The number of the group that it follows. */
  readonly after: number
  readonly steps: readonly Step[]
}

/** Octets of a group's beginning: a file of the journal is made of such. */
export const PAGE = 4096
export const SALT = 8
/** Form (4), octets of the steps without their values (4), of the group (4), its number (6), the one before (6), salt, CRC-32 of what follows, CRC-32 of this. */
const HEADER = 32 + SALT
const FORM = 0x50_4a_4c_01
/** Table (1), octets of the key (2), octets of the value and one, or 0 where there is none (4). */
const STEP = 7
const ZEROS = Buffer.alloc(PAGE)

export function wholePages(octets: number): number {
  return Math.ceil(octets / PAGE) * PAGE
}

/** A group as it is written, to the end of its last page; the values are not copied. */
export function writeGroup({ number, after, steps }: Group, salt: Uint8Array): readonly Uint8Array[] {
  const head = Buffer.allocUnsafe(steps.reduce((sum, { key }) => sum + STEP + Buffer.byteLength(key), HEADER))
  const values: Uint8Array[] = []
  let [at, octets] = [HEADER, head.length]
  for (const { table, key, value } of steps) {
    const length = head.write(key, at + STEP)
    head.writeUInt8(TABLES.indexOf(table), at)
    head.writeUInt16LE(length, at + 1)
    head.writeUInt32LE(value ? value.length + 1 : 0, at + 3)
    at += STEP + length
    if (!value) continue
    values.push(value)
    octets += value.length
  }
  head.writeUInt32LE(FORM, 0)
  head.writeUInt32LE(head.length, 4)
  head.writeUInt32LE(octets, 8)
  head.writeUIntLE(number, 12, 6)
  head.writeUIntLE(after, 18, 6)
  head.set(salt, 24)
  const sum = values.reduce((before, value) => crc32(value, before), crc32(head.subarray(HEADER)))
  head.writeUInt32LE(sum, HEADER - 8)
  head.writeUInt32LE(crc32(head.subarray(0, HEADER - 4)), HEADER - 4)
  return [head, ...values, ZEROS.subarray(0, wholePages(octets) - octets)]
}

/** All groups in a file that are whole. Of those of before, which it was written over, some may be among them. */
export function readGroups(file: Buffer, salt: Uint8Array): readonly Group[] {
  const groups: Group[] = []
  for (let at = 0, step = PAGE; at < file.length; at += step) {
    const octets = octetsOf(file.subarray(at), salt)
    const group = octets && readGroup(file.subarray(at, at + octets))
    if (group) groups.push(group)
    step = octets && group ? wholePages(octets) : PAGE
  }
  return groups
}

/** How many octets the group has that begins here; nothing where none begins. */
function octetsOf(from: Buffer, salt: Uint8Array): number | undefined {
  if (from.length < HEADER || from.readUInt32LE(0) !== FORM) return undefined
  if (!from.subarray(24, 24 + SALT).equals(salt)) return undefined
  if (from.readUInt32LE(HEADER - 4) !== crc32(from.subarray(0, HEADER - 4))) return undefined
  const octets = from.readUInt32LE(8)
  return octets <= from.length && from.readUInt32LE(4) <= octets ? octets : undefined
}

/** Nothing where it is not what was written. */
function readGroup(group: Buffer): Group | undefined {
  if (group.readUInt32LE(HEADER - 8) !== crc32(group.subarray(HEADER))) return undefined
  const steps: Step[] = []
  const end = group.readUInt32LE(4)
  let valueAt = end
  for (let at = HEADER; at < end; ) {
    const table = TABLES[group.readUInt8(at)]
    const keyEnd = at + STEP + group.readUInt16LE(at + 1)
    const length = group.readUInt32LE(at + 3)
    if (table === undefined || keyEnd > end) return undefined
    const key = group.toString('utf8', at + STEP, keyEnd)
    const value = length === 0 ? undefined : group.subarray(valueAt, valueAt + length - 1)
    steps.push({ table, key, value })
    valueAt += value?.length ?? 0
    at = keyEnd
  }
  return { number: group.readUIntLE(12, 6), after: group.readUIntLE(18, 6), steps }
}

/** What a journal tells of the time after a group: all that was done since, and whether something of it cannot be read. */
export interface Since {
  readonly groups: readonly Group[]
  /** How many times something is missing between one group and the next. */
  readonly gaps: number
}

/** Groups behind `number`, each with what it follows before it. Of two that follow the same, the former failed. */
export function since(number: number, found: readonly Group[]): Since {
  const left = found.filter(each => each.number > number).sort((a, b) => a.number - b.number)
  const groups: Group[] = []
  let [at, gaps] = [number, 0]
  for (let [first] = left; first; [first] = left) {
    const after = left.some(each => each.after === at) ? at : first.after
    if (after !== at) gaps++
    const next = left.findLast(each => each.after === after) ?? first
    groups.push(next)
    at = next.number
    while ((left[0]?.number ?? at + 1) <= at) left.shift()
  }
  return { groups, gaps }
}
