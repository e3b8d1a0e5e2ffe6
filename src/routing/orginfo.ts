import type { Arrow, Bridgehead, ConnectorState, GroupState, MemberState, Names } from './link-state.ts'
import { Scanner } from './scanner.ts'

/**
 * A routing group as an ORGINFO frame writes it. The order of the fields is Microsoft's ("Understanding OrgInfo Packet
 * Details"); `docs/routing.md` says which of their meanings are attested.
 */

/** More than these, and the frame is refused whole. */
export const ORGINFO_LIMITS = {
  groups: 65_535,
  members: 1_000,
  /** Microsoft advises no more of them in one group. */
  connectors: 900,
  arrows: 10_000,
  names: 10_000,
  bridgeheads: 900,
} as const

const texts = new WeakMap<GroupState, string>()

/** The group's part of an ORGINFO frame. Made once for each state. */
export function groupText(state: GroupState): string {
  const known = texts.get(state)
  if (known !== undefined) return known
  const { group, master, version, incarnation, smtp, x400, x500, members, connectors } = state
  const { major, minor, user } = version
  const counts = `${hex(major)} ${hex(minor)} ${hex(user)}`
  const names = `${str(smtp)} ${str(x400)} ${str(x500)}`
  const ways = connectors.map(each => ` ${connectorText(each)}`).join('')
  const written = `${group} ${master} ${counts} ${incarnation} ${names} ${list(members, memberText)} (${ways})`
  texts.set(state, written)
  return written
}

function memberText({ server, attached, flag, build, mark }: MemberState): string {
  return `${server} ${attached ? 'YES' : 'NO'} ${hex(flag)} ${hex(build)} ${str(mark)}`
}

function connectorText(of: ConnectorState): string {
  const head = [of.type, of.source, of.destination, of.dn].map(str).join(' ')
  const sizes = [of.sizeLimit, of.oversize].map(size => hex(size).padStart(8, '0')).join(' ')
  const numbers = `${of.flags.map(hex).join(' ')} ${sizes} ${of.options.map(hex).join(' ')}`
  const restrictions = of.restrictions.map(names => `${hex(names.length)} ${list(names, str)} `).join('')
  const arrows = `ARROWS ${list(of.arrows, arrowText)}`
  const ends = `BH ${list(of.bridgeheads, bridgeheadText)} TARGBH ${list(of.targets, bridgeheadText)}`
  const state = of.state === 'up' ? 'UP' : 'DOWN'
  return `${of.connector} ( CONFIG ${head} ${numbers} ${restrictions} ${arrows} ${ends} STATE ${state})`
}

function arrowText({ type, value, cost }: Arrow): string {
  return `${str(type)} ${str(value)} ${hex(cost)}`
}

function bridgeheadText({ server, available, fqdn }: Bridgehead): string {
  return `${server} ${available ? 'CONN_AVAIL' : 'CONN_NOT_AVAIL'} ${str(fqdn)}`
}

export function hex(value: number): string {
  return value.toString(16)
}

export function str(value: string): string {
  return value === '' ? '{}' : `{${hex(value.length)}}${value}`
}

/** A space on either side of every item: two between neighbours. */
export function list<T>(items: readonly T[], write: (item: T) => string): string {
  return `(${items.map(item => ` ${write(item)} `).join('')})`
}

/** Reads one group; what is wrong stands in the scanner. */
export function readGroup(scanner: Scanner): GroupState {
  // One document hints at a pair of brackets around each group.
  const isBracketed = scanner.took('(')
  const state: GroupState = {
    group: scanner.guid(),
    master: scanner.guid(),
    version: { major: scanner.number(), minor: scanner.number(), user: scanner.number() },
    incarnation: scanner.guid(),
    smtp: scanner.string(),
    x400: scanner.string(),
    x500: scanner.string(),
    members: scanner.list(() => readMember(scanner), ORGINFO_LIMITS.members),
    connectors: scanner.list(() => readConnector(scanner), ORGINFO_LIMITS.connectors),
  }
  if (isBracketed) scanner.expect(')')
  if (repeats(state.connectors.map(({ connector }) => connector))) scanner.fail('a connector stands twice in a group')
  return state
}

/**
 * The same state with memory of its own. A text that was cut from a frame keeps the whole frame in memory, and a table
 * holds groups from many frames.
 */
export function owned(state: GroupState): GroupState {
  const written = groupText(state)
  const copied = readGroup(new Scanner(written))
  texts.set(copied, written)
  return copied
}

function readMember(scanner: Scanner): MemberState {
  const server = scanner.guid()
  const attached = choice(scanner, 'YES', 'NO')
  return { server, attached, flag: scanner.number(), build: scanner.number(), mark: scanner.string() }
}

function readConnector(scanner: Scanner): ConnectorState {
  const connector = scanner.guid()
  scanner.expect('(')
  keyword(scanner, 'CONFIG')
  const head = {
    connector,
    type: scanner.string(),
    source: scanner.string(),
    destination: scanner.string(),
    dn: scanner.string(),
    flags: [scanner.number(), scanner.number(), scanner.number(), scanner.number()] as const,
    sizeLimit: scanner.number(),
    oversize: scanner.number(),
    options: [scanner.number(), scanner.number()] as const,
    restrictions: readRestrictions(scanner),
  }
  keyword(scanner, 'ARROWS')
  const arrows = scanner.list(() => readArrow(scanner), ORGINFO_LIMITS.arrows)
  keyword(scanner, 'BH')
  const bridgeheads = scanner.list(() => readBridgehead(scanner), ORGINFO_LIMITS.bridgeheads)
  keyword(scanner, 'TARGBH')
  const targets = scanner.list(() => readBridgehead(scanner), ORGINFO_LIMITS.bridgeheads)
  keyword(scanner, 'STATE')
  const state = choice(scanner, 'UP', 'DOWN') ? 'up' : 'down'
  scanner.expect(')')
  return { ...head, arrows, bridgeheads, targets, state }
}

/** Of a connector that takes mail from everybody: one value, so that most connectors need not be looked into. */
export const NO_RESTRICTIONS: ConnectorState['restrictions'] = [[], [], [], []]

function readRestrictions(scanner: Scanner): ConnectorState['restrictions'] {
  const read = [readNames(scanner), readNames(scanner), readNames(scanner), readNames(scanner)] as const
  return read.every(names => names.length === 0) ? NO_RESTRICTIONS : read
}

function readNames(scanner: Scanner): Names {
  const count = scanner.number()
  const names = scanner.list(() => scanner.string(), ORGINFO_LIMITS.names)
  if (names.length !== count) scanner.fail(`${names.length} names where ${count} are counted`)
  return names
}

function readArrow(scanner: Scanner): Arrow {
  return { type: scanner.string(), value: scanner.string(), cost: scanner.number() }
}

function readBridgehead(scanner: Scanner): Bridgehead {
  const server = scanner.guid()
  return { server, available: choice(scanner, 'CONN_AVAIL', 'CONN_NOT_AVAIL'), fqdn: scanner.string() }
}

function keyword(scanner: Scanner, word: string): void {
  if (scanner.word() !== word) scanner.fail(`expected ${word}`)
}

/** Reads one of two words; whether it was the first. */
export function choice(scanner: Scanner, yes: string, no: string): boolean {
  const word = scanner.word()
  if (word !== yes && word !== no) scanner.fail(`expected ${yes} or ${no}`)
  return word === yes
}

export function repeats(keys: readonly string[]): boolean {
  return new Set(keys).size !== keys.length
}
