import { lower, text, utf8 } from '../base/bytes.ts'
import type { Instant } from '../base/time.ts'
import { unreachable } from '../base/unreachable.ts'
import { formatMailbox, type Mailbox, type ReversePath } from '../smtp/address.ts'
import { connectorOf, costIn, type Graph, graphOf, hopsIn, MAX_COST, sameShape } from './graph.ts'
import {
  type ConnectorState,
  compareTexts,
  type GroupState,
  type Guid,
  type LinkStateTable,
  NO_SIZE,
  placeIn,
} from './link-state.ts'
import { nameOf } from './master.ts'
import { opensAt, type Schedule } from './schedule.ts'
import { Tree } from './tree.ts'

/**
 * Which way mail goes. Two methods over one table:
 *
 * - `least-cost`, that of Exchange 2007: the cheapest way by the configuration, the same for all who read it. Where it
 *   breaks, mail waits at the break.
 * - `link-state`, that of Exchange 2000: the cheapest way over connectors that are up, found again at every change.
 */
export type Method = 'least-cost' | 'link-state'

/**
 * When another way than the cheapest is taken: never; where a connector of our own failed its retries; or wherever the
 * table says that one is down.
 */
export type Reroute = 'never' | 'after-glitch' | 'link-state'

export interface RoutesOptions {
  readonly group: Guid
  readonly server: Guid
  readonly method: Method
  readonly reroute: Reroute
  /** What the groups are called; one without a name goes by its GUID. */
  readonly names?: ReadonlyMap<Guid, string>
  /** Groups that mail on its way may not skip. */
  readonly hubs?: ReadonlySet<Guid>
  /** What the configuration says of connectors and the table cannot carry. */
  readonly policies?: ReadonlyMap<Guid, Policy>
  /** Connectors of this server's own that failed their retries. */
  readonly failed?: ReadonlySet<Guid>
}

export type Content = 'low' | 'normal' | 'high' | 'system'

export interface Policy {
  /** Kinds of mail that it does not take. */
  readonly refuses: ReadonlySet<Content>
  readonly schedule: Schedule
  /** Larger messages follow another schedule. */
  readonly oversize?: { readonly over: number; readonly schedule: Schedule }
  /** Mail waits until the other side fetches it by TURN, ATRN or ETRN. */
  readonly isHeld: boolean
}

/** What a route depends on. */
export interface Letter {
  readonly to: Mailbox
  readonly from?: ReversePath
  /** Octets; left out, no limit applies. */
  readonly size?: number
  readonly priority?: 'low' | 'normal' | 'high'
  /** A report, a receipt, a message of the system. */
  readonly isSystem?: boolean
}

export type Route =
  | ({ readonly kind: 'relay' } & Way)
  /** No way is open now. Mail waits here for the one it would take. */
  | ({ readonly kind: 'hold'; readonly why: string } & Way)
  /** No way takes it: for good, or (4.4.4) as far as anybody has told. */
  | { readonly kind: 'unreachable'; readonly status: string; readonly why: string }

export interface Way {
  /** What mail leaves this group by. */
  readonly connector: ConnectorState
  /** Servers of our own group that hold the connector's near end; empty where this one does. */
  readonly bridgeheads: readonly string[]
  /** The groups it comes through, ours first. */
  readonly path: readonly Guid[]
  readonly cost: number
  /** What it leaves the organisation, or reaches its last server, by. */
  readonly exit: ConnectorState
  /** Whom to try, in this order: `least-cost` goes straight to the last group and backs off along the path. */
  readonly tries: readonly Hop[]
  /** When the schedule of the connector lets it go; left out where that is now, `undefined` where nobody knows. */
  readonly waits?: { readonly until: Instant | undefined }
}

/** A group on the way, and the servers that the connector to it leads to. */
export interface Hop {
  readonly group: Guid
  readonly connector: ConnectorState
  readonly targets: readonly string[]
}

/** One connector whose address space fits, and why it was not taken. */
export interface Candidate {
  readonly connector: ConnectorState
  readonly group: Guid
  readonly space: string
  /** The whole cost: of the way there, and of the address space. Infinite where no way leads there. */
  readonly cost: number
  readonly hops: number
  readonly path: readonly Guid[]
  readonly dropped?: Dropped
}

export type Dropped =
  | { readonly kind: 'less-specific'; readonly than: string }
  | { readonly kind: 'size'; readonly limit: number }
  | { readonly kind: 'sender' }
  | { readonly kind: 'content'; readonly content: Content }
  | { readonly kind: 'down' }
  | { readonly kind: 'failed-here' }
  | { readonly kind: 'no-path' }
  | { readonly kind: 'dearer' | 'more-hops' | 'later-by-name'; readonly than: string }

export interface Explanation {
  readonly letter: Letter
  readonly candidates: readonly Candidate[]
  readonly route: Route
}

interface Exit {
  readonly group: Guid
  /** Place of the connector in its group. */
  readonly place: number
  readonly cost: number
}

/** Trees for letters that not every connector takes. */
export const MAX_TREES = 32

export class Routes {
  #options: RoutesOptions
  #graph: Graph
  #source = -1
  #rank: Int32Array = new Int32Array(0)
  readonly #exits = new Map<string, Exit[]>()
  /** The table whose exits stand in the index. */
  #indexed: LinkStateTable = []
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
    this.#indexed = table
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
    const others = this.#matching(letter.to.domain)
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
    this.#indexExits()
    this.#findPicky()
  }

  /** Takes the exits of groups that changed or came, and drops those of groups that changed or went. */
  #indexExits(): void {
    const [before, now] = [this.#indexed, this.table]
    for (let i = 0, j = 0; i < before.length || j < now.length; ) {
      const [a, b] = [before[i], now[j]]
      const isGone = a !== undefined && a !== b && (!b || a.group <= b.group)
      const isNew = b !== undefined && a !== b && (!a || b.group <= a.group)
      if (isGone) this.#drop(a)
      if (isNew) this.#index(b)
      if (isGone || a === b) i++
      if (isNew || a === b) j++
    }
    this.#indexed = now
  }

  #index({ group, connectors }: GroupState): void {
    for (const [place, { arrows }] of connectors.entries()) {
      for (const { type, value, cost } of arrows) {
        if (type !== 'SMTP') continue
        const exit = { group, place, cost: Math.min(cost, MAX_COST) }
        const there = this.#exits.get(lower(value))
        if (there) there.push(exit)
        else this.#exits.set(lower(value), [exit])
      }
    }
  }

  #drop({ group, connectors }: GroupState): void {
    for (const { arrows } of connectors) {
      for (const { type, value } of arrows) {
        if (type !== 'SMTP') continue
        const left = this.#exits.get(lower(value))?.filter(each => each.group !== group) ?? []
        if (left.length > 0) this.#exits.set(lower(value), left)
        else this.#exits.delete(lower(value))
      }
    }
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
    const matching = this.#matching(letter.to.domain)
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
    const hops = edges.flatMap(edge => {
      const connector = connectorOf(this.#graph, edge)
      const group = this.table[this.#graph.to[edge] ?? -1]?.group
      return connector && group !== undefined ? [{ group, connector, targets: fqdns(connector.targets) }] : []
    })
    const connector = hops[0]?.connector ?? best.connector
    const isOurs = connector.bridgeheads.length === 0 || connector.bridgeheads.some(this.#isUs)
    const way: Way = {
      connector,
      bridgeheads: isOurs
        ? []
        : fqdns(connector.bridgeheads.toSorted((a, b) => Number(b.available) - Number(a.available))),
      path: best.path,
      cost: best.cost,
      exit: best.connector,
      tries: this.#tries(hops),
    }
    const waits = isOurs ? this.#waits(connector, letter, now) : undefined
    return waits ? { kind: 'relay', ...way, waits } : { kind: 'relay', ...way }
  }

  /** Whom to try first: the last group, or the first hub on the way, where mail goes straight there; else the next. */
  #tries(hops: readonly Hop[]): readonly Hop[] {
    if (this.#options.method === 'link-state') return hops.slice(0, 1)
    const hub = hops.findIndex(({ group }) => this.#options.hubs?.has(group))
    return (hub < 0 ? hops : hops.slice(0, hub + 1)).toReversed()
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
    const { size = 0, from, isSystem = false, priority = 'normal' } = letter
    if (size > connector.sizeLimit && connector.sizeLimit !== NO_SIZE)
      return { kind: 'size', limit: connector.sizeLimit }
    if (from !== undefined && !takesFrom(connector, from)) return { kind: 'sender' }
    const refuses = this.#options.policies?.get(connector.connector)?.refuses
    if (!refuses) return undefined
    if (isSystem && refuses.has('system')) return { kind: 'content', content: 'system' }
    return refuses.has(priority) ? { kind: 'content', content: priority } : undefined
  }

  /** What fits a domain, the most specific first. */
  #matching(domain: string): readonly Match[] {
    // A table has an octet for a character: what is beyond ASCII stands there as UTF-8.
    const asked = text(utf8(lower(domain)))
    const spaces = [asked]
    for (let dot = asked.indexOf('.'); dot >= 0; dot = asked.indexOf('.', dot + 1)) spaces.push(`*${asked.slice(dot)}`)
    spaces.push('*')
    return spaces.flatMap(space => (this.#exits.get(space) ?? []).map(exit => ({ space, exit })))
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

interface Match {
  readonly space: string
  readonly exit: Exit
}

function fqdns(ends: ConnectorState['targets']): readonly string[] {
  return ends.map(({ fqdn }) => fqdn)
}

/** Whether it takes mail from a sender. Names that are no addresses are of a directory that we do not have. */
function takesFrom({ restrictions: [accepted, refused] }: ConnectorState, from: ReversePath): boolean {
  const sender = from === null ? '<>' : lower(text(utf8(formatMailbox(from))))
  const isNamed = (names: readonly string[]): boolean => names.some(name => lower(name) === sender)
  if (isNamed(refused)) return false
  const known = accepted.filter(name => name.includes('@') || name === '<>')
  return known.length === 0 || isNamed(known)
}

/** It will not take this letter tomorrow either. */
function isFinal({ kind }: Dropped): boolean {
  return kind === 'size' || kind === 'sender' || kind === 'content'
}

export function sayDropped(dropped: Dropped | undefined): string {
  if (!dropped) return 'taken'
  switch (dropped.kind) {
    case 'less-specific':
      return `less specific than ${dropped.than}, which decides whatever it costs`
    case 'size':
      return `takes ${dropped.limit} octets at most`
    case 'sender':
      return 'does not take mail from this sender'
    case 'content':
      return `does not take ${dropped.content} mail`
    case 'down':
      return 'is down'
    case 'failed-here':
      return 'failed its retries here'
    case 'no-path':
      return 'no open way leads there'
    case 'dearer':
      return `costs more than ${dropped.than}`
    case 'more-hops':
      return `costs as much as ${dropped.than} over more groups`
    case 'later-by-name':
      return `costs as much as ${dropped.than}, which comes first by name`
    default:
      return unreachable(dropped)
  }
}

/** Recipients whose copies are one for the first part of their ways. */
export interface Branch {
  readonly recipients: readonly number[]
  /** The groups that all of them come through, ours first: the last is where they part. */
  readonly path: readonly Guid[]
}

/**
 * Delayed fan-out: one copy goes as far as ways are the same, and is multiplied where they part. `paths` are those of the
 * recipients, by number.
 */
export function fanOut(paths: readonly (readonly Guid[])[]): readonly Branch[] {
  const branches = new Map<string, { recipients: number[]; path: readonly Guid[] }>()
  for (const [recipient, path] of paths.entries()) {
    const key = path[1] ?? ''
    const branch = branches.get(key)
    if (!branch) {
      branches.set(key, { recipients: [recipient], path })
      continue
    }
    branch.recipients.push(recipient)
    const parts = branch.path.findIndex((group, i) => group !== path[i])
    if (parts >= 0) branch.path = branch.path.slice(0, parts)
  }
  return [...branches.values()]
}
