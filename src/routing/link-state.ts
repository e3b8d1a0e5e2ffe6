import { bytes, strictUtf8, utf8 } from '../base/bytes.ts'
import { groupText } from './orginfo.ts'

/**
 * What is known of every routing group of an organisation: who is its master, who its members, which connectors lead out
 * of it and whether they are up. One version names one state; only a group's own master makes a new one.
 */

/** 32 lower-case hex digits: the octets as they are, so that the order of the text is the order of the octets. */
export type Guid = string & { readonly __kind?: 'Guid' }

/** What a table says, as text: it has an octet for a character, and what is beyond ASCII stands there as UTF-8. */
export function textIn(value: string): string {
  return /[^\0-\x7f]/.test(value) && !/[^\0-\xff]/.test(value) ? (strictUtf8(bytes(value)) ?? value) : value
}

/** A hash of a whole table, in lower-case hex. */
export type Digest = string

/** What changed last: configuration, the state of a connector, or a server. The first that differs decides. */
export interface Version {
  readonly major: number
  readonly minor: number
  readonly user: number
}

/** The largest number that fits where the digest writes it. */
export const MAX_COUNT = 0xffff_ffff

export interface GroupState {
  readonly group: Guid
  /** The server that may raise the version. */
  readonly master: Guid
  readonly version: Version
  /** Names this life of the counter: a master that starts again without its memory counts under another one. */
  readonly incarnation: Guid
  /** How the group is addressed; administrators of 2000 wrote the word `deleted` here to bury a group. */
  readonly smtp: string
  readonly x400: string
  readonly x500: string
  readonly members: readonly MemberState[]
  readonly connectors: readonly ConnectorState[]
}

export interface MemberState {
  readonly server: Guid
  /** Does the master hear from it? */
  readonly attached: boolean
  /** Undocumented: 1 wherever it was seen. */
  readonly flag: number
  readonly build: number
  /** Undocumented: 16 hex digits wherever it was seen. */
  readonly mark: string
}

export interface ConnectorState {
  readonly connector: Guid
  /** `SMTP` or `RG`; others (`X400`, `NOTES`) are kept and never routed by. */
  readonly type: string
  readonly source: string
  readonly destination: string
  /** Where it stands in the directory; the last `cn=` is its name. */
  readonly dn: string
  readonly flags: readonly [number, number, number, number]
  /** Octets of the largest message; `NO_SIZE` for none. */
  readonly sizeLimit: number
  /** Larger messages follow another schedule; `NO_SIZE` for none. */
  readonly oversize: number
  readonly options: readonly [number, number]
  /** Accepted and refused senders, accepted and refused lists: in that order, which is inferred. */
  readonly restrictions: readonly [Names, Names, Names, Names]
  readonly arrows: readonly Arrow[]
  readonly bridgeheads: readonly Bridgehead[]
  readonly targets: readonly Bridgehead[]
  readonly state: 'up' | 'down'
}

export type Names = readonly string[]

export const NO_SIZE = 0xffff_ffff

/** Where a connector leads: an address space (`SMTP`, `*.b.example`) or a routing group (`RG`, its GUID), and the cost. */
export interface Arrow {
  readonly type: string
  readonly value: string
  readonly cost: number
}

export interface Bridgehead {
  readonly server: Guid
  readonly available: boolean
  readonly fqdn: string
}

/** Ascending by GUID, each group once. */
export type LinkStateTable = readonly GroupState[]

/** Below 0: `a` is older than `b`. */
export function compareVersions(a: Version, b: Version): number {
  return a.major - b.major || a.minor - b.minor || a.user - b.user
}

/**
 * Below 0: `b` is to be kept. Total, so that all who compare the same two keep the same one: of equal versions the
 * higher incarnation, then the higher text. Both of those mean that something is wrong: see `difference`.
 */
export function compareStates(a: GroupState, b: GroupState): number {
  if (a === b) return 0
  const byVersion = compareVersions(a.version, b.version)
  if (byVersion !== 0) return byVersion
  return compareTexts(a.incarnation, b.incarnation) || compareTexts(groupText(a), groupText(b))
}

/** Whether `a` is to be kept rather than `b`. */
export function newer(a: GroupState, b: GroupState): boolean {
  return compareStates(a, b) > 0
}

export function compareTexts(a: string, b: string): number {
  return a < b ? -1 : a > b ? 1 : 0
}

/** A table of these groups, whatever their order; of two states of one group the newer. */
export function tableOf(groups: readonly GroupState[]): LinkStateTable {
  const sorted = groups.toSorted((a, b) => compareTexts(a.group, b.group) || -compareStates(a, b))
  return sorted.filter((each, at) => each.group !== sorted[at - 1]?.group)
}

/** The first place whose GUID is not below this: where a group stands, or would stand. */
export function placeIn(table: LinkStateTable, group: Guid): number {
  let [low, high] = [0, table.length]
  while (low < high) {
    const middle = (low + high) >> 1
    if ((table[middle]?.group ?? '') < group) low = middle + 1
    else high = middle
  }
  return low
}

export function groupOf(table: LinkStateTable, group: Guid): GroupState | undefined {
  const found = table[placeIn(table, group)]
  return found?.group === group ? found : undefined
}

/**
 * The newest word about every group: commutative, associative, idempotent. What one of them does not mention is kept:
 * nothing is deleted by silence. Gives `ours` itself where `theirs` brings nothing.
 */
export function merge(ours: LinkStateTable, theirs: LinkStateTable): LinkStateTable {
  if (theirs.length * 4 > ours.length) return mergeAll(ours, theirs)
  // Little news for a large table: look for its places, and look at nothing else.
  let next: GroupState[] | undefined
  const others: GroupState[] = []
  for (const their of theirs) {
    const place = placeIn(ours, their.group)
    const our = ours[place]
    if (our?.group !== their.group) others.push(their)
    else if (newer(their, our)) {
      next ??= ours.slice()
      next[place] = their
    }
  }
  return others.length > 0 ? mergeAll(next ?? ours, others) : (next ?? ours)
}

function mergeAll(ours: LinkStateTable, theirs: LinkStateTable): LinkStateTable {
  const merged: GroupState[] = []
  let [i, j] = [0, 0]
  let isNews = false
  while (i < ours.length || j < theirs.length) {
    const [a, b] = [ours[i], theirs[j]]
    if (a && (!b || a.group < b.group)) {
      merged.push(a)
      i++
    } else if (b && (!a || b.group < a.group)) {
      merged.push(b)
      j++
      isNews = true
    } else if (a && b) {
      const isNewer = newer(b, a)
      merged.push(isNewer ? b : a)
      isNews ||= isNewer
      i++
      j++
    }
  }
  return isNews ? merged : ours
}

/** How two tables differ about a group. */
export interface Difference {
  readonly group: Guid
  /**
   * `two-masters`: the same version counted twice. `forked`: one version and two contents, which the digest does not
   * show: somebody changed a group without raising its version, or forged it.
   */
  readonly kind: 'only-ours' | 'only-theirs' | 'ours-newer' | 'theirs-newer' | 'two-masters' | 'forked'
  readonly ours?: GroupState
  readonly theirs?: GroupState
}

/** What `linkstate diff` shows; the last two kinds are alarms. */
export function differences(ours: LinkStateTable, theirs: LinkStateTable): readonly Difference[] {
  const found: Difference[] = []
  for (const one of ours) {
    const other = groupOf(theirs, one.group)
    if (!other) found.push({ group: one.group, kind: 'only-ours', ours: one })
    else if (compareStates(one, other) !== 0) {
      found.push({ group: one.group, kind: differenceOf(one, other), ours: one, theirs: other })
    }
  }
  for (const other of theirs) {
    if (!groupOf(ours, other.group)) found.push({ group: other.group, kind: 'only-theirs', theirs: other })
  }
  return found.sort((a, b) => compareTexts(a.group, b.group))
}

/** How two states of one group differ; ask only where they do. */
export function differenceOf(ours: GroupState, theirs: GroupState): Difference['kind'] {
  const byVersion = compareVersions(ours.version, theirs.version)
  if (byVersion !== 0) return byVersion > 0 ? 'ours-newer' : 'theirs-newer'
  return ours.incarnation === theirs.incarnation ? 'forked' : 'two-masters'
}

/** A hash function, handed in. */
export type Hash = (bytes: Uint8Array) => Uint8Array

const RECORD = 44
const records = new WeakMap<GroupState, Uint8Array>()

/** What the digest knows of a group: its GUID, its incarnation, and its version in 32-bit little-endian. */
function recordOf(state: GroupState): Uint8Array {
  const known = records.get(state)
  if (known) return known
  const record = new Uint8Array(RECORD)
  fromHex(state.group, record, 0)
  fromHex(state.incarnation, record, 16)
  const { major, minor, user } = state.version
  for (const [i, count] of [major, minor, user].entries()) {
    for (let octet = 0; octet < 4; octet++) record[32 + 4 * i + octet] = Math.floor(count / 256 ** octet) & 0xff
  }
  records.set(state, record)
  return record
}

/**
 * The digest that Exchange computes over a table. It covers versions and nothing else: two tables that differ in content
 * only are equal by it.
 */
export function digestOf(table: LinkStateTable, md5: Hash): Digest {
  const all = new Uint8Array(RECORD * table.length)
  for (const [i, state] of table.entries()) all.set(recordOf(state), i * RECORD)
  return toHex(md5(all))
}

/** A hash of all that is said of a group, for comparing what the digest does not cover. */
export function contentHash(state: GroupState, sha256: Hash): string {
  return toHex(sha256(bytes(groupText(state))))
}

export function toHex(octets: Uint8Array): string {
  let out = ''
  for (const octet of octets) out += octet.toString(16).padStart(2, '0')
  return out
}

function fromHex(hex: string, into: Uint8Array, at: number): void {
  for (let i = 0; i < hex.length / 2; i++) into[at + i] = Number.parseInt(hex.slice(2 * i, 2 * i + 2), 16)
}

/** `A2A0F896-D197-B849-9955-7850AC796258`: as addresses spell a GUID. */
export function dashed(guid: Guid): string {
  const parts = [guid.slice(0, 8), guid.slice(8, 12), guid.slice(12, 16), guid.slice(16, 20), guid.slice(20)]
  return parts.join('-').toUpperCase()
}

/** Reads a GUID with or without dashes, in either case; `undefined` for anything else. */
export function parseGuid(word: string): Guid | undefined {
  const bare = /^[0-9A-Fa-f]{8}(-[0-9A-Fa-f]{4}){3}-[0-9A-Fa-f]{12}$/.test(word) ? word.replaceAll('-', '') : word
  return /^[0-9A-Fa-f]{32}$/.test(bare) ? bare.toLowerCase() : undefined
}

/** A GUID that everybody derives alike from the same names, for organisations without a directory that gives them. */
export function guidFor(names: readonly string[], sha256: Hash): Guid {
  return toHex(sha256(utf8(names.join('\0')))).slice(0, 32)
}
