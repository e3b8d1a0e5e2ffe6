import type { Instant } from '../base/time.ts'
import { type Exit, Exits, type Match } from './exits.ts'
import { backOff } from './fan-out.ts'
import { connectorOf, costIn, type Graph, graphOf, hopsIn, sameShape } from './graph.ts'
import { type ConnectorState, compareTexts, type Guid, type LinkStateTable, placeIn } from './link-state.ts'
import { nameOf } from './master.ts'
import {
  type Candidate,
  type Dropped,
  type Explanation,
  isFinal,
  type Leg,
  type Letter,
  objection,
  type Route,
  type RoutesOptions,
  sayDropped,
  type Way,
} from './route.ts'
import { opensAt } from './schedule.ts'
import { Tree } from './tree.ts'

/** Trees for letters that not every connector takes. */
export const MAX_TREES = 32

export class Routes {
  #options: RoutesOptions
  #graph: Graph
  #source = -1
  #rank: Int32Array = new Int32Array(0)
  readonly #exits = new Exits()
  /** The tree over what is open, and the one over everything, for mail that must wait. */
  #open: Tree | undefined
  #all: Tree | undefined
  /** Edges of connectors that do not take every letter. */
  #picky: readonly number[] = []
  readonly #trees = new Map<string, Tree>()

  constructor(table: LinkStateTable, options: RoutesOptions) {
    this.#options = options
    this.#graph = graphOf(table)
    this.#make()
  }

  get table(): LinkStateTable {
    return this.#graph.table
  }

  /** Takes a newer table. Where only states changed, only the ways that they touch are found again. */
  update(table: LinkStateTable): void {
    if (table === this.#graph.table) return
    const same = sameShape(this.#graph, table)
    if (!same) {
      this.#graph = graphOf(table, this.#graph)
      this.#make()
      return
    }
    const before = this.#graph
    this.#graph = same.graph
    this.#trees.clear()
    const edges: number[] = []
    let isPicky = false
    for (const node of same.changed) {
      for (let edge = before.out[node] ?? 0; edge < (before.out[node + 1] ?? 0); edge++) {
        edges.push(edge)
        isPicky ||= before.picky[edge] !== same.graph.picky[edge]
      }
    }
    if (isPicky) this.#findPicky()
    this.#open?.set(same.graph, edges, edge => this.#isOpen(edge))
    this.#all?.set(same.graph, [], () => true)
  }

  /** A connector of our own failed its retries, or works again. */
  fail(failed: ReadonlySet<Guid>): void {
    this.#options = { ...this.#options, failed }
    this.#trees.clear()
    const { out } = this.#graph
    const edges: number[] = []
    for (let edge = out[this.#source] ?? 0; edge < (out[this.#source + 1] ?? 0); edge++) edges.push(edge)
    this.#open?.set(this.#graph, edges, edge => this.#isOpen(edge))
  }

  /** The way of a letter at a time. */
  route(letter: Letter, now: Instant): Route {
    return this.#decide(letter, now).route
  }

  /** The same, with every candidate and why it was dropped. */
  explain(letter: Letter, now: Instant): Explanation {
    const { found, route } = this.#decide(letter, now)
    const specific = found[0]?.space
    const others = this.#exits
      .matching(letter.to.domain)
      .filter(({ space }) => space !== specific)
      .map(each => this.#candidate(each, this.#treeFor(letter), { kind: 'less-specific', than: specific ?? '' }))
    return { letter, candidates: [...found, ...others], route }
  }

  /** The cost and the groups of the way to a group, `undefined` where no open way leads there. */
  pathTo(group: Guid): { readonly cost: number; readonly path: readonly Guid[] } | undefined {
    const node = this.#placeOf(group)
    const tree = this.#base()
    const edges = tree.pathTo(node, this.#rank)
    return edges && { cost: costIn(tree.keyOf(node)), path: this.#groupsOn(edges) }
  }

  /** Makes the tree now instead of at the next question. */
  prepare(): this {
    this.#base()
    return this
  }

  #make(): void {
    const { table } = this.#graph
    const names = this.#options.names
    this.#source = this.#placeOf(this.#options.group)
    this.#open = undefined
    this.#all = undefined
    this.#trees.clear()
    // Names only order those that have one; the table is in order of GUIDs already.
    this.#rank = new Int32Array(table.length)
    for (let node = 0; node < table.length; node++) this.#rank[node] = node
    if (names && names.size > 0) {
      const name = (node: number): string => names.get(table[node]?.group ?? '') ?? table[node]?.group ?? ''
      const order = this.#rank.toSorted((a, b) => compareTexts(name(a), name(b)))
      for (const [rank, node] of order.entries()) this.#rank[node] = rank
    }
    this.#exits.update(this.#graph)
    this.#findPicky()
  }

  #findPicky(): void {
    const { picky } = this.#graph
    const found: number[] = []
    const policies = [...(this.#options.policies?.values() ?? [])]
    const hasPolicies = policies.some(({ refuses }) => refuses.size > 0)
    for (let edge = 0; edge < picky.length; edge++) {
      if (picky[edge] === 1 || (hasPolicies && this.#refusesSome(edge))) found.push(edge)
    }
    this.#picky = found
  }

  #refusesSome(edge: number): boolean {
    const connector = connectorOf(this.#graph, edge)
    return connector !== undefined && (this.#options.policies?.get(connector.connector)?.refuses.size ?? 0) > 0
  }

  #placeOf(group: Guid): number {
    const place = placeIn(this.table, group)
    return this.table[place]?.group === group ? place : -1
  }

  /** Why a connector cannot be used now, whatever the letter. */
  #shut(connector: ConnectorState): Dropped | undefined {
    const { reroute, failed } = this.#options
    if (reroute !== 'never' && failed?.has(connector.connector)) return { kind: 'failed-here' }
    if (reroute === 'link-state' && connector.state === 'down') return { kind: 'down' }
    return undefined
  }

  /** The same, of an edge. */
  #isOpen(edge: number): boolean {
    const { reroute, failed } = this.#options
    if (reroute === 'link-state' && this.#graph.up[edge] === 0) return false
    if (reroute === 'never' || !failed || failed.size === 0) return true
    const connector = connectorOf(this.#graph, edge)
    return connector !== undefined && !failed.has(connector.connector)
  }

  #base(): Tree {
    this.#open ??= new Tree(this.#graph, this.#source, edge => this.#isOpen(edge))
    return this.#open
  }

  /** The least ways for a letter: over connectors that are open and take it. */
  #treeFor(letter: Letter, { waiting = false }: { readonly waiting?: boolean } = {}): Tree {
    const refused = this.#picky.filter(edge => {
      const connector = connectorOf(this.#graph, edge)
      return connector && this.#objection(connector, letter)
    })
    if (refused.length === 0) {
      if (!waiting) return this.#base()
      this.#all ??= new Tree(this.#graph, this.#source, () => true)
      return this.#all
    }
    const key = `${waiting} ${refused.join(' ')}`
    const known = this.#trees.get(key)
    if (known) return known
    const shut = new Set(refused)
    const tree = new Tree(this.#graph, this.#source, edge => !shut.has(edge) && (waiting || this.#isOpen(edge)))
    for (const oldest of this.#trees.keys()) {
      if (this.#trees.size < MAX_TREES) break
      this.#trees.delete(oldest)
    }
    this.#trees.set(key, tree)
    return tree
  }

  #decide(letter: Letter, now: Instant): { readonly found: readonly Candidate[]; readonly route: Route } {
    const matching = this.#exits.matching(letter.to.domain)
    const space = matching[0]?.space
    if (space === undefined) {
      const why = `no connector has an address space for ${letter.to.domain}`
      return { found: [], route: { kind: 'unreachable', status: '5.4.4', why } }
    }
    // The most specific space alone counts, whatever it costs, and also where nobody can be reached by it.
    const specific = matching.filter(each => each.space === space)
    const tree = this.#treeFor(letter)
    const weighed = specific.map(each => {
      const connector = this.#connectorAt(each.exit)
      const dropped = connector && (this.#objection(connector, letter) ?? this.#shut(connector))
      return this.#candidate(each, tree, dropped)
    })
    const best = this.#best(weighed.filter(({ dropped }) => !dropped))
    const found = weighed.map(each => (best && !each.dropped && each !== best ? this.#beaten(each, best) : each))
    const ordered = best ? [best, ...found.filter(each => each !== best)] : found
    if (best) return { found: ordered, route: this.#relay(best, tree, letter, now) }
    return { found: ordered, route: this.#nowhere(specific, weighed, letter, now) }
  }

  /** Nothing is open. What would take the letter makes it wait; where nothing ever would, it goes back. */
  #nowhere(specific: readonly Match[], weighed: readonly Candidate[], letter: Letter, now: Instant): Route {
    const tree = this.#treeFor(letter, { waiting: true })
    const later = specific.flatMap((each, i) => {
      const dropped = weighed[i]?.dropped
      return dropped && isFinal(dropped) ? [] : [this.#candidate(each, tree, undefined)]
    })
    const best = this.#best(later.filter(({ dropped }) => !dropped))
    if (best) {
      const way = this.#relay(best, tree, letter, now)
      if (way.kind === 'relay') {
        const why = weighed.map(each => `${nameOf(each.connector)}: ${sayDropped(each.dropped)}`).join('; ')
        return { ...way, kind: 'hold', why }
      }
      return way
    }
    const first = weighed.find(({ dropped }) => dropped && isFinal(dropped))
    // Nobody has told of a way yet; somebody may.
    const status = first?.dropped?.kind === 'size' ? '5.3.4' : first ? '5.7.1' : '4.4.4'
    const why = weighed.map(each => `${nameOf(each.connector)}: ${sayDropped(each.dropped)}`).join('; ')
    return { kind: 'unreachable', status, why }
  }

  #relay(best: Candidate, tree: Tree, letter: Letter, now: Instant): Route {
    const node = this.#placeOf(best.group)
    const edges = tree.pathTo(node, this.#rank) ?? []
    const legs = edges.flatMap(edge => {
      const connector = connectorOf(this.#graph, edge)
      const group = this.table[this.#graph.to[edge] ?? -1]?.group
      return connector && group !== undefined ? [{ group, connector, targets: fqdns(connector.targets) }] : []
    })
    const connector = legs[0]?.connector ?? best.connector
    const isOurs = connector.bridgeheads.length === 0 || connector.bridgeheads.some(this.#isUs)
    const way: Way = {
      connector,
      bridgeheads: isOurs
        ? []
        : fqdns(connector.bridgeheads.toSorted((a, b) => Number(b.available) - Number(a.available))),
      path: best.path,
      cost: best.cost,
      exit: best.connector,
      legs,
      tries: this.tries(legs),
    }
    const waits = isOurs ? this.#waits(connector, letter, now) : undefined
    return waits ? { kind: 'relay', ...way, waits } : { kind: 'relay', ...way }
  }

  /** Whom to try first on a way: the last group, or the first hub, where mail goes straight there; else the next. */
  tries(legs: readonly Leg[]): readonly Leg[] {
    return this.#options.method === 'link-state' ? legs.slice(0, 1) : backOff(legs, this.#options.hubs)
  }

  #waits(connector: ConnectorState, { size = 0 }: Letter, now: Instant): Way['waits'] {
    const policy = this.#options.policies?.get(connector.connector)
    if (!policy) return undefined
    if (policy.isHeld) return { until: undefined }
    const isOversize = policy.oversize !== undefined && size > policy.oversize.over
    const schedule = isOversize && policy.oversize ? policy.oversize.schedule : policy.schedule
    const until = opensAt(schedule, now)
    return until === now ? undefined : { until }
  }

  #isUs = ({ server }: { readonly server: Guid }): boolean => server === this.#options.server

  /** Why a connector does not take a letter, ever. */
  #objection(connector: ConnectorState, letter: Letter): Dropped | undefined {
    return objection(connector, letter, this.#options.policies?.get(connector.connector))
  }

  #connectorAt({ group, place }: Exit): ConnectorState | undefined {
    return this.table[this.#placeOf(group)]?.connectors[place]
  }

  #candidate({ space, exit }: Match, tree: Tree, dropped: Dropped | undefined): Candidate {
    const node = this.#placeOf(exit.group)
    const key = tree.keyOf(node)
    const state = this.table[node]
    const connector = this.#connectorAt(exit)
    if (!state || !connector) throw new RangeError('an exit outside its table')
    const edges = tree.pathTo(node, this.#rank)
    const why = dropped ?? (edges ? undefined : ({ kind: 'no-path' } as const))
    return {
      connector,
      group: state.group,
      space,
      cost: edges ? costIn(key) + exit.cost : Number.POSITIVE_INFINITY,
      hops: edges ? hopsIn(key) : Number.POSITIVE_INFINITY,
      path: edges ? this.#groupsOn(edges) : [],
      ...(why && { dropped: why }),
    }
  }

  #groupsOn(edges: readonly number[]): readonly Guid[] {
    const { to } = this.#graph
    return [this.#source, ...edges.map(edge => to[edge] ?? -1)].map(node => this.table[node]?.group ?? '')
  }

  #best(candidates: readonly Candidate[]): Candidate | undefined {
    let best: Candidate | undefined
    for (const each of candidates) if (!best || this.#compare(each, best) < 0) best = each
    return best
  }

  #compare(a: Candidate, b: Candidate): number {
    const byCost = a.cost - b.cost || a.hops - b.hops
    return byCost || this.#rankOf(a) - this.#rankOf(b) || compareTexts(nameOf(a.connector), nameOf(b.connector))
  }

  #rankOf({ group }: Candidate): number {
    return this.#rank[this.#placeOf(group)] ?? 0
  }

  #beaten(each: Candidate, best: Candidate): Candidate {
    const kind = each.cost > best.cost ? 'dearer' : each.hops > best.hops ? 'more-hops' : 'later-by-name'
    return { ...each, dropped: { kind, than: nameOf(best.connector) } }
  }
}

function fqdns(ends: ConnectorState['targets']): readonly string[] {
  return ends.map(({ fqdn }) => fqdn)
}
