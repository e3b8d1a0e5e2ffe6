import { GuidIndex, sayWords, WORDS, type Words } from './guid-index.ts'
import { type Arrow, type ConnectorState, type GroupState, type LinkStateTable, placeIn } from './link-state.ts'
import { isPicky, MAX_COST, PICKY, UP, WAY, WAY_COST, WAY_FLAGS, WAY_PLACE, type Ways, waysOf } from './ways.ts'

/**
 * The routing groups as a graph in typed arrays: nodes are the places of the table, an edge is a connector's way to one
 * group. Edges are numbered by the group they leave, so that one array of starts finds them.
 */
export interface Graph {
  readonly table: LinkStateTable
  /** Edge → node. */
  readonly from: Int32Array
  readonly to: Int32Array
  /** Edge → place of its connector in its group. */
  readonly connector: Int32Array
  /** Edge → cost and hop in one number, as `weightOf` makes it. */
  readonly weight: Float64Array
  /** Edge → 1 where its connector is up. */
  readonly up: Uint8Array
  /** Edge → 1 where its connector does not take every letter. */
  readonly picky: Uint8Array
  /** Node → its first edge; one more at the end. */
  readonly out: Int32Array
  /** Node → its first place in `into`, which lists the edges that lead to it; one more at the end. */
  readonly in: Int32Array
  readonly into: Int32Array
  /** Node → 1 where it has a way to a group that nobody has told of. */
  readonly loose: Uint8Array
  /** Node → 1 where it has a way that leads to no group: an address space, or what is not routed by. */
  readonly leaving: Uint8Array
}

/** Less cost first, then fewer hops: both in one exact number. */
export const HOP: number = 2 ** 20
export function weightOf(cost: number): number {
  return Math.min(cost, MAX_COST) * HOP + 1
}

export function costIn(key: number): number {
  return Math.floor(key / HOP)
}

export function hopsIn(key: number): number {
  return key % HOP
}

/**
 * The graph of a table. Of `before`, the graph of an older one, everything is taken over that did not change: reading
 * names is what costs, not counting.
 */
export function graphOf(table: LinkStateTable, before?: Graph): Graph {
  const count = table.length
  const old = before ? places(before.table, table) : undefined
  // A group that came may be what a loose way was waiting for.
  const isKept = (node: number): boolean => {
    const place = old?.back[node] ?? -1
    return place >= 0 && before?.table[place] === table[node] && !(old?.hasNew && before?.loose[place] === 1)
  }
  let room = 0
  const fresh: number[] = []
  const news: Ways[] = []
  for (let node = 0; node < count; node++) {
    const state = table[node]
    if (!state || isKept(node)) continue
    const ways = waysOf(state)
    fresh.push(node)
    news.push(ways)
    room += ways.numbers.length
  }
  // Of each way there are so many numbers.
  room = Math.ceil(room / WAY) + (before?.to.length ?? 0)
  const find = finder(table, fresh.length)
  const graph = {
    from: new Int32Array(room),
    to: new Int32Array(room),
    connector: new Int32Array(room),
    weight: new Float64Array(room),
    up: new Uint8Array(room),
    picky: new Uint8Array(room),
    out: new Int32Array(count + 1),
    loose: new Uint8Array(count),
    leaving: new Uint8Array(count),
  }
  const { from, to, connector, weight, up, picky, out, loose, leaving } = graph
  let edges = 0
  for (let node = 0, next = 0; node < count; node++) {
    out[node] = edges
    const ways = fresh[next] === node ? news[next++] : undefined
    if (ways) {
      const { numbers, isLoose, isLeaving } = ways
      loose[node] = isLoose ? 1 : 0
      leaving[node] = isLeaving ? 1 : 0
      for (let at = WORDS; at < numbers.length; at += WAY) {
        const target = find(numbers, at)
        if (target < 0) loose[node] = 1
        if (target < 0 || target === node) continue
        const flags = numbers[at + WAY_FLAGS] ?? 0
        from[edges] = node
        to[edges] = target
        connector[edges] = numbers[at + WAY_PLACE] ?? 0
        weight[edges] = weightOf(numbers[at + WAY_COST] ?? 0)
        up[edges] = flags & UP
        picky[edges] = flags & PICKY ? 1 : 0
        edges++
      }
    } else if (before && old) {
      const place = old.back[node] ?? 0
      loose[node] = before.loose[place] ?? 0
      leaving[node] = before.leaving[place] ?? 0
      for (let edge = before.out[place] ?? 0; edge < (before.out[place + 1] ?? 0); edge++) {
        const target = old.ahead[before.to[edge] ?? 0] ?? -1
        if (target < 0) {
          loose[node] = 1
          continue
        }
        from[edges] = node
        to[edges] = target
        connector[edges] = before.connector[edge] ?? 0
        weight[edges] = before.weight[edge] ?? 0
        up[edges] = before.up[edge] ?? 0
        picky[edges] = before.picky[edge] ?? 0
        edges++
      }
    }
  }
  out[count] = edges
  return {
    table,
    from: from.subarray(0, edges),
    to: to.subarray(0, edges),
    connector: connector.subarray(0, edges),
    weight: weight.subarray(0, edges),
    up: up.subarray(0, edges),
    picky: picky.subarray(0, edges),
    out,
    ...incoming(to, edges, count),
    loose,
    leaving,
  }
}

/** The edges by the node that they lead to. */
function incoming(to: Int32Array, edges: number, count: number): Pick<Graph, 'in' | 'into'> {
  const starts = new Int32Array(count + 1)
  for (let edge = 0; edge < edges; edge++) {
    const after = (to[edge] ?? 0) + 1
    starts[after] = (starts[after] ?? 0) + 1
  }
  for (let node = 0; node < count; node++) starts[node + 1] = (starts[node + 1] ?? 0) + (starts[node] ?? 0)
  const next = starts.slice()
  const into = new Int32Array(edges)
  for (let edge = 0; edge < edges; edge++) {
    const target = to[edge] ?? 0
    const place = next[target] ?? 0
    into[place] = edge
    next[target] = place + 1
  }
  return { in: starts, into }
}

/** Where each group of the one table stands in the other, -1 for nowhere; and whether the new one has more. */
function places(before: LinkStateTable, now: LinkStateTable) {
  const ahead = new Int32Array(before.length).fill(-1)
  const back = new Int32Array(now.length).fill(-1)
  let hasNew = false
  for (let i = 0, j = 0; i < before.length || j < now.length; ) {
    const [a, b] = [before[i], now[j]]
    if (a && b && (a === b || a.group === b.group)) {
      ahead[i] = j
      back[j] = i
      i++
      j++
    } else if (a && (!b || a.group < b.group)) i++
    else {
      hasNew = true
      j++
    }
  }
  return { ahead, back, hasNew }
}

/** Where the group stands whose GUID is meant. For few questions a search, for many an index. */
function finder(table: LinkStateTable, questions: number): (words: Words, from: number) => number {
  if (questions < FEW) {
    return (words, from) => {
      const group = sayWords(words, from)
      const place = placeIn(table, group)
      return table[place]?.group === group ? place : -1
    }
  }
  const all = new Int32Array(WORDS * table.length)
  for (const [place, state] of table.entries()) {
    const { numbers } = waysOf(state)
    for (let i = 0; i < WORDS; i++) all[WORDS * place + i] = numbers[i] ?? 0
  }
  const index = new GuidIndex(all)
  return (words, from) => index.place(words, from)
}

/** Up to so many groups an index of all is dearer than to search. */
const FEW = 64

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
  const [up, picky] = [graph.up.slice(), graph.picky.slice()]
  for (const node of changed) {
    for (let edge = graph.out[node] ?? 0; edge < (graph.out[node + 1] ?? 0); edge++) {
      const connector = table[node]?.connectors[graph.connector[edge] ?? -1]
      up[edge] = connector?.state === 'up' ? 1 : 0
      picky[edge] = connector && isPicky(connector) ? 1 : 0
    }
  }
  return { graph: { ...graph, table, up, picky }, changed }
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
