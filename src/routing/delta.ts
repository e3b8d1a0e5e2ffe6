import type { RoutingEngine } from './engine.ts'
import { type Known, PARTS } from './frame.ts'
import {
  compareTexts,
  compareVersions,
  type GroupState,
  type Guid,
  groupOf,
  type LinkStateTable,
  placeIn,
} from './link-state.ts'
import { groupText } from './orginfo.ts'

/**
 * How two Posterns find what differs between large tables without telling them whole: a hash for each part of the table,
 * then the versions in the parts that differ, then the groups.
 */

/** Octets of groups in one frame; the rest follows in the next. */
export const MAX_DELTA: number = 1024 * 1024

/** As much as one frame tells. */
export function within(groups: LinkStateTable): { readonly told: LinkStateTable; readonly more: boolean } {
  let octets = 0
  const end = groups.findIndex((each, at) => {
    octets += groupText(each).length
    return octets > MAX_DELTA && at > 0
  })
  return end < 0 ? { told: groups, more: false } : { told: groups.slice(0, end), more: true }
}

/** One hash for each first digit, or, of a large table, for each two. */
export function summaryOf(engine: RoutingEngine): readonly string[] {
  const [few, many] = PARTS
  return hashesOf(engine, engine.table.length > few * 32 ? many : few)
}

function hashesOf(engine: RoutingEngine, count: number): readonly string[] {
  return prefixes(count).map(prefix => engine.digestOf(partOf(engine.table, prefix)))
}

function prefixes(count: number): readonly string[] {
  const digits = Math.log2(count) / 4
  return Array.from({ length: count }, (_, i) => i.toString(16).padStart(digits, '0'))
}

/** The groups whose GUIDs begin so. */
function partOf(table: LinkStateTable, prefix: string): LinkStateTable {
  return table.slice(placeIn(table, prefix), placeIn(table, `${prefix}g`))
}

/** What stands here in the parts whose hashes are not ours. */
export function knownIn(
  engine: RoutingEngine,
  theirs: readonly string[],
): { readonly parts: readonly string[]; readonly known: LinkStateTable } {
  const ours = hashesOf(engine, theirs.length)
  const parts = prefixes(theirs.length).filter((_, i) => ours[i] !== theirs[i])
  return { parts, known: parts.flatMap(prefix => partOf(engine.table, prefix)) }
}

/** In the parts they name: what we have newer than they, and what they have newer than we. */
export function reconcile(
  table: LinkStateTable,
  { parts, versions }: { readonly parts: readonly string[]; readonly versions: readonly Known[] },
): { readonly newer: LinkStateTable; readonly wanted: readonly Guid[] } {
  const theirs = new Map(versions.map(each => [each.group, each]))
  const newer = parts.flatMap(prefix =>
    partOf(table, prefix).filter(each => {
      const their = theirs.get(each.group)
      return !their || compareKnown(each, their) > 0
    }),
  )
  const wanted = versions.filter(their => {
    const our = groupOf(table, their.group)
    return !our || compareKnown(our, their) < 0
  })
  return {
    newer: newer.sort((a, b) => compareTexts(a.group, b.group)),
    wanted: wanted.map(({ group }) => group),
  }
}

/** Versions first, then incarnations: what the digest covers. */
export function compareKnown(a: Known, b: Known): number {
  return compareVersions(a.version, b.version) || compareTexts(a.incarnation, b.incarnation)
}

export function wantedOf(table: LinkStateTable, wanted: readonly Guid[]): LinkStateTable {
  const found = [...new Set(wanted)].map(group => groupOf(table, group)).filter(each => each !== undefined)
  return found.sort((a: GroupState, b: GroupState) => compareTexts(a.group, b.group))
}
