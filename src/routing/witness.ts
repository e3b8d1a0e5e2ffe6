import {
  compareStates,
  type Difference,
  type Digest,
  differences,
  type GroupState,
  type Guid,
  groupOf,
  type LinkStateTable,
  parseGuid,
} from './link-state.ts'

/**
 * What a server writes on a message of the table it routes by. Where mail loops, the server that ends it holds its own table
 * against that of the server the message came from, and needs no connection there: a firewall between the two may pass mail
 * and nothing else, and then their tables disagree just because they cannot talk.
 *
 * It stands in a message that anybody may have written: it is evidence for a person, and nothing is routed by it.
 */
export interface Witness {
  readonly server: string
  readonly digest: Digest
  /** How many groups the table has; those that are told are the ones that matter to the way. */
  readonly groups: number
  readonly told: readonly Told[]
}

/** One group as it was known there. */
export interface Told {
  readonly group: Guid
  readonly version: GroupState['version']
  /** Its connectors that were down. */
  readonly down: readonly Guid[]
}

export const WITNESS_FIELD = 'X-Postern-Routing'
/** Groups that are told, and connectors of each. */
export const MAX_TOLD = 16
const MAX_DOWN = 8
/** Octets of the field that are read. */
export const MAX_WITNESS = 8_192

/** What to write: groups on the way first, then those with something down, then as many others as there is room for. */
export function witnessOf(
  { server, digest, table }: { readonly server: string; readonly digest: Digest; readonly table: LinkStateTable },
  path: readonly Guid[],
): Witness {
  const chosen = new Set(path.flatMap(group => groupOf(table, group) ?? []))
  for (const others of [brokenIn(table), table]) {
    for (const state of others) {
      if (chosen.size >= MAX_TOLD) break
      chosen.add(state)
    }
  }
  const told = [...chosen].slice(0, MAX_TOLD).map(({ group, version, connectors }) => {
    const down = connectors.filter(isDown).map(({ connector }) => connector)
    return { group, version, down: down.slice(0, MAX_DOWN) }
  })
  return { server, digest, groups: table.length, told }
}

const broken = new WeakMap<LinkStateTable, readonly GroupState[]>()

/** Groups with something down, as many as are told. A table is looked through once, and not for every message. */
function brokenIn(table: LinkStateTable): readonly GroupState[] {
  const known = broken.get(table)
  if (known) return known
  const found: GroupState[] = []
  for (const state of table) {
    if (found.length >= MAX_TOLD) break
    if (state.connectors.some(isDown)) found.push(state)
  }
  broken.set(table, found)
  return found
}

const isDown = ({ state }: { readonly state: 'up' | 'down' }): boolean => state === 'down'

/** The header field, with its line ends. */
export function witnessField({ server, digest, groups, told }: Witness): string {
  const lines = told.map(({ group, version: { major, minor, user }, down }) =>
    [`${group} ${major}.${minor}.${user}`, ...down.map(each => `-${each}`)].join('\r\n\t '),
  )
  return `${WITNESS_FIELD}: ${server} ${digest} of ${groups}${lines.map(line => `;\r\n\t${line}`).join('')}\r\n`
}

/** Reads the field's value, unfolded or not; nothing where it is none. */
export function readWitness(value: string): Witness | undefined {
  const [head = '', ...rest] = value.slice(0, MAX_WITNESS).replace(/\s+/g, ' ').trim().split('; ')
  const [, server = '', digest = '', groups = ''] = /^([!-:<-~]{1,255}) ([0-9a-f]{32}) of (\d{1,6})$/.exec(head) ?? []
  if (server === '' || rest.length > MAX_TOLD) return undefined
  const told: Told[] = []
  for (const each of rest) {
    const [group = '', version = '', ...down] = each.split(' ')
    const [, major, minor, user] = /^(\d{1,10})\.(\d{1,10})\.(\d{1,10})$/.exec(version) ?? []
    const guids = down.map(word => (word.startsWith('-') ? parseGuid(word.slice(1)) : undefined))
    const known = parseGuid(group)
    if (known === undefined || user === undefined || guids.length > MAX_DOWN) return undefined
    if (guids.some(guid => guid === undefined)) return undefined
    const counts = { major: Number(major), minor: Number(minor), user: Number(user) }
    told.push({ group: known, version: counts, down: guids as readonly Guid[] })
  }
  return { server, digest, groups: Number(groups), told }
}

/** Ours against theirs, as far as they told of it. What they did not say of a group, they are taken to see as we do. */
export function differencesFrom(ours: LinkStateTable, { told, groups }: Witness): readonly Difference[] {
  const theirs = told
    .map(each => stateFrom(groupOf(ours, each.group), each))
    .sort((a, b) => (a.group < b.group ? -1 : 1))
  // Where they told of every group, one that is not among them is not known there.
  const compared = groups === told.length ? ours : ours.filter(({ group }) => groupOf(theirs, group))
  return differences(compared, theirs)
}

function stateFrom(our: GroupState | undefined, { group, version, down }: Told): GroupState {
  if (!our) return { ...NOTHING, group, version }
  const connectors = our.connectors.map(each => {
    // Of a group with more broken ones than are told, the others are taken to be as we know them.
    const state = down.includes(each.connector) ? 'down' : down.length < MAX_DOWN ? 'up' : each.state
    return each.state === state ? each : { ...each, state: state as 'up' | 'down' }
  })
  const their = { ...our, version, connectors }
  return compareStates(our, their) === 0 && connectors.every((each, i) => each === our.connectors[i]) ? our : their
}

const NOTHING: GroupState = {
  group: '',
  master: '',
  version: { major: 0, minor: 0, user: 0 },
  incarnation: '',
  smtp: '',
  x400: '',
  x500: '',
  members: [],
  connectors: [],
}
