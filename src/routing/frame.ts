import { MAX_FRAME, readLength } from '../smtp/link2state.ts'
import {
  compareTexts,
  type Digest,
  type GroupState,
  type Guid,
  type LinkStateTable,
  type Version,
} from './link-state.ts'
import { choice, groupText, hex, list, ORGINFO_LIMITS, readGroup, repeats, str } from './orginfo.ts'
import { Scanner } from './scanner.ts'

/**
 * What one routing server says to another. Frames are text of one character per octet; all of them are refused whole or
 * taken whole.
 */
export type Frame =
  | { readonly kind: 'multi'; readonly frames: readonly Frame[] }
  /** The greeting on TCP 691. */
  | { readonly kind: 'node-info'; readonly text: string }
  | { readonly kind: 'digest-query'; readonly org: Guid; readonly digest: Digest }
  | { readonly kind: 'orginfo'; readonly org?: Guid; readonly digest: Digest; readonly groups: LinkStateTable }
  | { readonly kind: 'done-response' }
  | DeltaFrame

/** What only Posterns say to each other, once both know the other for one: only what changed. */
export type DeltaFrame =
  /** Groups that changed, and the digest of the whole table they are of. `more`: not all that differ. */
  | {
      readonly kind: 'delta'
      readonly org: Guid
      readonly digest: Digest
      readonly more: boolean
      readonly groups: LinkStateTable
    }
  /** A hash for each of the parts that a table is cut into by the first digits of the GUIDs. */
  | { readonly kind: 'summary'; readonly org: Guid; readonly digest: Digest; readonly parts: readonly string[] }
  /** Which versions stand in the parts that differ. */
  | {
      readonly kind: 'versions'
      readonly org: Guid
      readonly digest: Digest
      readonly parts: readonly string[]
      readonly versions: readonly Known[]
    }
  /** A member tells its master whether it can reach the far end of a connector. */
  | {
      readonly kind: 'report'
      readonly org: Guid
      readonly server: Guid
      readonly connector: Guid
      readonly available: boolean
    }
  /** Send me these. */
  | { readonly kind: 'want'; readonly org: Guid; readonly groups: readonly Guid[] }

export interface Known {
  readonly group: Guid
  readonly version: Version
  readonly incarnation: Guid
}

/** MULTI within MULTI. */
export const MAX_NESTING = 8
/** Frames in one MULTI. */
export const MAX_INNER = 64
/** Parts of a summary: by the first hex digit of a GUID, or by the first two. */
export const PARTS = [16, 256] as const

const OUTER_DIGITS = 8
const INNER_DIGITS = 11

/** The frame as it goes over the wire, its length before it. */
export function writeFrame(frame: Frame): string {
  return measured(bodyText(frame), OUTER_DIGITS)
}

function measured(body: string, digits: number): string {
  return `{${hex(body.length).padStart(digits, '0')}}${body}`
}

function bodyText(frame: Frame): string {
  switch (frame.kind) {
    case 'multi':
      return ` MULTI (5) (${frame.frames.map(each => measured(bodyText(each), INNER_DIGITS)).join('')})  `
    case 'node-info':
      return ` NODEINFO (5) ${str(frame.text)}  `
    case 'digest-query':
      return ` DIGEST_QUERY ${frame.org} ${frame.digest}  `
    case 'orginfo':
      return ` ORGINFO ${frame.org === undefined ? '' : `${frame.org} `}${frame.digest} ${groupsText(frame.groups)}  `
    case 'done-response':
      return ' DONE_RESPONSE  '
    case 'delta':
      return ` DELTA (1) ${frame.org} ${frame.digest} ${frame.more ? 'MORE' : 'ALL'} ${groupsText(frame.groups)}  `
    case 'summary':
      return ` SUMMARY (1) ${frame.org} ${frame.digest} ${list(frame.parts, each => each)}  `
    case 'versions':
      return ` VERSIONS (1) ${frame.org} ${frame.digest} ${list(frame.parts, str)} ${list(frame.versions, knownText)}  `
    case 'report':
      return ` REPORT (1) ${frame.org} ${frame.server} ${frame.connector} ${frame.available ? 'CONN_AVAIL' : 'CONN_NOT_AVAIL'}  `
    case 'want':
      return ` WANT (1) ${frame.org} ${list(frame.groups, each => each)}  `
  }
}

function groupsText(groups: LinkStateTable): string {
  return `(${groups.map(each => ` ${groupText(each)}`).join('')})`
}

function knownText({ group, version: { major, minor, user }, incarnation }: Known): string {
  return `${group} ${hex(major)} ${hex(minor)} ${hex(user)} ${incarnation}`
}

export type ReadFrame = { readonly frame: Frame } | { readonly wrong: string }

/** Reads one whole frame. Total: any text is a frame, or the reason why it is none. */
export function readFrame(text: string, most: number = MAX_FRAME): ReadFrame {
  if (text.length > most) return { wrong: `a frame has ${most} octets at most` }
  const scanner = new Scanner(text)
  const length = scanner.length()
  if (length !== scanner.left) scanner.fail(`the length says ${length} octets and ${scanner.left} follow`)
  const frame = readBody(scanner, 0)
  return scanner.wrong === undefined ? { frame } : { wrong: scanner.wrong }
}

function readBody(scanner: Scanner, depth: number): Frame {
  const name = scanner.word()
  const read = READERS[name]
  if (!read) {
    scanner.fail(`no frame is called "${name.slice(0, 40)}"`)
    return { kind: 'done-response' }
  }
  const frame = read(scanner, depth)
  scanner.skip()
  if (scanner.left > 0) scanner.fail('more than the frame holds')
  return frame
}

const READERS: Readonly<Record<string, (scanner: Scanner, depth: number) => Frame>> = {
  MULTI(scanner, depth) {
    protocol(scanner, 5)
    if (depth >= MAX_NESTING) scanner.fail(`frames nested more than ${MAX_NESTING} deep`)
    const inner = (): Frame => {
      const within = scanner.within(scanner.length())
      const frame = readBody(within, depth + 1)
      if (within.wrong !== undefined) scanner.fail(within.wrong)
      return frame
    }
    return { kind: 'multi', frames: scanner.list(inner, MAX_INNER) }
  },
  NODEINFO(scanner) {
    protocol(scanner, 5)
    return { kind: 'node-info', text: scanner.string({ lines: true }) }
  },
  DIGEST_QUERY: scanner => ({ kind: 'digest-query', org: scanner.guid(), digest: scanner.guid() }),
  ORGINFO(scanner) {
    const first = scanner.guid()
    // Undocumented: the printed packet has a digest only; room is left for the organisation before it.
    if (!scanner.peek('(')) return { kind: 'orginfo', org: first, digest: scanner.guid(), groups: readGroups(scanner) }
    return { kind: 'orginfo', digest: first, groups: readGroups(scanner) }
  },
  DONE_RESPONSE: () => ({ kind: 'done-response' }),
  DELTA(scanner) {
    protocol(scanner, 1)
    const [org, digest, extent] = [scanner.guid(), scanner.guid(), scanner.word()]
    if (extent !== 'ALL' && extent !== 'MORE') scanner.fail('expected ALL or MORE')
    return { kind: 'delta', org, digest, more: extent === 'MORE', groups: readGroups(scanner) }
  },
  SUMMARY(scanner) {
    protocol(scanner, 1)
    const [org, digest] = [scanner.guid(), scanner.guid()]
    const parts = scanner.list(() => scanner.guid(), PARTS[1])
    if (!PARTS.some(count => count === parts.length)) scanner.fail(`expected ${PARTS.join(' or ')} parts`)
    return { kind: 'summary', org, digest, parts }
  },
  VERSIONS(scanner) {
    protocol(scanner, 1)
    const [org, digest] = [scanner.guid(), scanner.guid()]
    const parts = scanner.list(() => scanner.string(), PARTS[1])
    if (!parts.every(each => /^[0-9a-f]{1,2}$/.test(each))) scanner.fail('expected the first digits of GUIDs')
    return {
      kind: 'versions',
      org,
      digest,
      parts,
      versions: scanner.list(() => readKnown(scanner), ORGINFO_LIMITS.groups),
    }
  },
  REPORT(scanner) {
    protocol(scanner, 1)
    const [org, server, connector] = [scanner.guid(), scanner.guid(), scanner.guid()]
    return { kind: 'report', org, server, connector, available: choice(scanner, 'CONN_AVAIL', 'CONN_NOT_AVAIL') }
  },
  WANT(scanner) {
    protocol(scanner, 1)
    return { kind: 'want', org: scanner.guid(), groups: scanner.list(() => scanner.guid(), ORGINFO_LIMITS.groups) }
  },
}

/** `(5)`: we answer nothing else. */
function protocol(scanner: Scanner, version: number): void {
  scanner.expect('(')
  if (scanner.number() !== version) scanner.fail(`expected protocol ${version}`)
  scanner.expect(')')
}

/** Sorted, whatever the order they came in: nobody knows in which Exchange wrote them. */
function readGroups(scanner: Scanner): LinkStateTable {
  const groups = scanner.list((): GroupState => readGroup(scanner), ORGINFO_LIMITS.groups)
  if (repeats(groups.map(({ group }) => group))) scanner.fail('a group stands twice in the frame')
  return groups.toSorted((a, b) => compareTexts(a.group, b.group))
}

function readKnown(scanner: Scanner): Known {
  const group = scanner.guid()
  const version = { major: scanner.number(), minor: scanner.number(), user: scanner.number() }
  return { group, version, incarnation: scanner.guid() }
}

/** The first whole frame of what came in, or that more must come; for TCP 691, where frames follow one another bare. */
export function takeFrame(
  buffered: string,
  most: number = MAX_FRAME,
): { readonly frame: string; readonly rest: string } | 'more' | { readonly wrong: string } {
  if (buffered === '') return 'more'
  if (buffered[0] !== '{') return { wrong: 'expected a length in braces' }
  const head = readLength(buffered)
  if (!head) return buffered.length < 18 && !buffered.includes('}') ? 'more' : { wrong: 'expected a length in braces' }
  const total = head.digits + head.length
  if (total > most) return { wrong: `a frame has ${most} octets at most` }
  return buffered.length < total ? 'more' : { frame: buffered.slice(0, total), rest: buffered.slice(total) }
}
