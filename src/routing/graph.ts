import type { Arrow, ConnectorState, GroupState, Guid, LinkStateTable } from './link-state.ts'
import { groupsOf } from './master.ts'

/**
 * The routing groups as a graph in typed arrays: nodes are the places of the table, an edge is a connector's way to one
 * group. Edges are numbered by the group they leave, so that one array of starts finds them.
 */
export interface Graph {
  readonly table: LinkStateTable
  readonly places: ReadonlyMap<Guid, number>
  /** Edge → node. */
  readonly from: Int32Array
  readonly to: Int32Array
  /** Edge → place of its connector in its group. */
  readonly connector: Int32Array
  /** Edge → cost and hop in one number, as `weightOf` makes it. */
  readonly weight: Float64Array
  /** Node → its first edge; one more at the end. */
  readonly out: Int32Array
  /** Node → its first place in `into`, which lists the edges that lead to it. */
  readonly in: Int32Array
  readonly into: Int32Array
}

/** Less cost first, then fewer hops: both in one exact number. */
export const HOP: number = 2 ** 20
/** A table may say any number; more than this is as far as anything can be. */
export const MAX_COST = 65_535

export function weightOf(cost: number): number {
  return Math.min(cost, MAX_COST) * HOP + 1
}

export function costIn(key: number): number {
  return Math.floor(key / HOP)
}

export function hopsIn(key: number): number {
  return key % HOP
}

/** What a group contributes, made once for each of its states. */
interface Links {
  readonly to: readonly Guid[]
  readonly weight: readonly number[]
  readonly connector: readonly number[]
}

const links = new WeakMap<GroupState, Links>()

function linksOf(state: GroupState): Links {
  const known = links.get(state)
  if (known) return known
  const found = { to: [] as Guid[], weight: [] as number[], connector: [] as number[] }
  for (const [place, connector] of state.connectors.entries()) {
    const weights = connector.arrows.filter(isToGroup)
    for (const [i, group] of groupsOf(connector).entries()) {
      found.to.push(group)
      found.weight.push(weightOf(weights[i]?.cost ?? 0))
      found.connector.push(place)
    }
  }
  links.set(state, found)
  return found
}

function isToGroup({ type }: Arrow): boolean {
  return type === 'RG'
}

export function graphOf(table: LinkStateTable): Graph {
  const count = table.length
  const places = new Map<Guid, number>()
  for (let node = 0; node < count; node++) places.set(table[node]?.group ?? '', node)
  const all = table.map(linksOf)
  let room = 0
  for (const { to } of all) room += to.length
  const from = new Int32Array(room)
  const to = new Int32Array(room)
  const connector = new Int32Array(room)
  const weight = new Float64Array(room)
  const out = new Int32Array(count + 1)
  const starts = new Int32Array(count + 1)
  let edges = 0
  for (let node = 0; node < count; node++) {
    out[node] = edges
    const found = all[node]
    for (let i = 0; i < (found?.to.length ?? 0); i++) {
      const target = places.get(found?.to[i] ?? '')
      // A connector to a group that nobody has told of leads nowhere yet.
      if (target === undefined || target === node) continue
      from[edges] = node
      to[edges] = target
      connector[edges] = found?.connector[i] ?? 0
      weight[edges] = found?.weight[i] ?? 0
      starts[target + 1] = (starts[target + 1] ?? 0) + 1
      edges++
    }
  }
  out[count] = edges
  for (let node = 0; node < count; node++) starts[node + 1] = (starts[node + 1] ?? 0) + (starts[node] ?? 0)
  const next = starts.slice()
  const into = new Int32Array(edges)
  for (let edge = 0; edge < edges; edge++) {
    const target = to[edge] ?? 0
    const place = next[target] ?? 0
    into[place] = edge
    next[target] = place + 1
  }
  return {
    table,
    places,
    from: from.subarray(0, edges),
    to: to.subarray(0, edges),
    connector: connector.subarray(0, edges),
    weight: weight.subarray(0, edges),
    out,
    in: starts,
    into,
  }
}

/**
 * The same graph over a table in which only states of connectors changed, with the nodes that did; `undefined` where
 * groups or ways came or went, and the graph must be made anew.
 */
export function sameShape(
  graph: Graph,
  table: LinkStateTable,
): { readonly graph: Graph; readonly changed: readonly number[] } | undefined {
  if (table.length !== graph.table.length) return undefined
  const changed: number[] = []
  for (let node = 0; node < table.length; node++) {
    const [before, now] = [graph.table[node], table[node]]
    if (before === now) continue
    if (!before || !now || !hasSameWays(before, now)) return undefined
    changed.push(node)
  }
  return { graph: { ...graph, table }, changed }
}

function hasSameWays(a: GroupState, b: GroupState): boolean {
  if (a.group !== b.group || a.connectors.length !== b.connectors.length) return false
  return a.connectors.every((one, i) => {
    const other = b.connectors[i]
    return other !== undefined && one.connector === other.connector && sameArrows(one.arrows, other.arrows)
  })
}

function sameArrows(a: readonly Arrow[], b: readonly Arrow[]): boolean {
  if (a === b) return true
  if (a.length !== b.length) return false
  return a.every((one, i) => {
    const other = b[i]
    return other !== undefined && one.type === other.type && one.value === other.value && one.cost === other.cost
  })
}

export function connectorOf({ table, from, connector }: Graph, edge: number): ConnectorState | undefined {
  return table[from[edge] ?? -1]?.connectors[connector[edge] ?? -1]
}
