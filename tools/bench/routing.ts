import { createHash } from 'node:crypto'
import { RoutingEngine } from '../../src/routing/engine.ts'
import { Exchange, type ExchangeOutput } from '../../src/routing/exchange.ts'
import { writeFrame } from '../../src/routing/frame.ts'
import {
  type ConnectorState,
  dashed,
  digestOf,
  type GroupState,
  type Guid,
  type Hash,
  type LinkStateTable,
  merge,
  NO_SIZE,
  parseGuid,
  tableOf,
} from '../../src/routing/link-state.ts'
import { NO_RESTRICTIONS } from '../../src/routing/orginfo.ts'
import type { RoutesOptions } from '../../src/routing/route.ts'
import { Routes } from '../../src/routing/routes.ts'
import { alternate, type CaseReport, type Metric, type Order, type Report, type Sample } from './harness.ts'

export const description =
  'routes, one changed connector, merge and digest; how news spreads, and what it costs on the wire'

const SIZES = [100, 1_000, 10_000] as const
const SPREADS = [100, 1_000] as const
/** Connectors of each group. */
const WAYS = 5

const METRICS: readonly Metric[] = [
  { name: 'taken', unit: 'ms' },
  { name: 'first', unit: 'ms' },
  { name: 'full', unit: 'ms' },
  { name: 'change', unit: 'ms' },
  { name: 'route', unit: 'µs' },
  { name: 'merge', unit: 'ms' },
  { name: 'merge-one', unit: 'ms' },
  { name: 'digest', unit: 'ms' },
  { name: 'table', unit: 'octets' },
]

const SPREAD_METRICS: readonly Metric[] = [
  { name: 'rounds', unit: 'n' },
  { name: 'conversations', unit: 'n' },
  { name: 'whole-table', unit: 'octets' },
  { name: 'only-changes', unit: 'octets' },
]

export const subjects: readonly string[] = ['postern']
export const cases: readonly string[] = [
  ...SIZES.map(size => `groups-${size}`),
  ...SPREADS.map(size => `spread-${size}`),
]

export async function run({ quick, cases: chosen, note }: Order): Promise<Report> {
  const reports: CaseReport[] = []
  for (const size of SIZES.filter(size => chosen.includes(`groups-${size}`))) {
    note(`${size} groups of ${WAYS} connectors`)
    const samples = await alternate(subjects, quick ? 3 : 9, async () => measure(size, quick ? 10 : 50))
    reports.push({ name: `groups-${size}`, title: `${size} groups with ${WAYS} connectors each`, samples })
  }
  for (const size of SPREADS.filter(size => chosen.includes(`spread-${size}`))) {
    note(`one connector goes down among ${size} groups`)
    const samples = await alternate(subjects, 1, async () => spreading(size))
    reports.push({ name: `spread-${size}`, title: `one connector goes down, ${size} groups learn of it`, samples })
  }
  return {
    metrics: [...METRICS, ...SPREAD_METRICS],
    ours: ['postern'],
    peers: [],
    cases: reports,
    versions: [`postern on Node ${process.version}`],
  }
}

const md5: Hash = octets => createHash('md5').update(octets).digest()
const ORG = guid(0xf)

function guid(n: number): Guid {
  return createHash('sha256').update(String(n)).digest().toString('hex', 0, 16)
}

/** The same every time: a congruential generator (Numerical Recipes' constants). */
function chance(seed: number): (below: number) => number {
  let state = seed >>> 0
  return below => {
    state = (Math.imul(state, 1_664_525) + 1_013_904_223) >>> 0
    return Math.floor((state / 2 ** 32) * below)
  }
}

/** A ring, so that all are reached, and the rest of the connectors anywhere; every tenth group has an address space. */
function organisation(size: number): LinkStateTable {
  const next = chance(size)
  return tableOf(
    Array.from({ length: size }, (_, n) => {
      const others = Array.from({ length: WAYS - 1 }, () => next(size))
      const ends = [(n + 1) % size, ...others].map(to => (to === n ? (n + 2) % size : to))
      const connectors = ends.map((to, i) => connector(n * WAYS + i, to, 1 + next(100), n % 10 === 0 && i === 0))
      return group(n, connectors)
    }),
  )
}

function group(n: number, connectors: readonly ConnectorState[]): GroupState {
  const id = guid(n)
  const at = `/o=Contoso/ou=First Administrative Group/*/${id}`
  return {
    group: id,
    master: guid(-n - 1),
    version: { major: 1, minor: 0, user: 0 },
    incarnation: guid(-n - 1e6),
    smtp: `*.${id}`,
    x400: `c=US;a= ;p=Contoso;o=Exchange;cn=${id};*`,
    x500: at,
    members: [{ server: guid(-n - 1), attached: true, flag: 1, build: 0x1aae, mark: '0701000000000101' }],
    connectors,
  }
}

function connector(n: number, to: number, cost: number, hasSpace: boolean): ConnectorState {
  const id = guid(1e7 + n)
  const end = (of: number) => ({ server: guid(-of - 1), available: true, fqdn: `ex${of}.contoso.example` })
  const arrows = [{ type: 'RG', value: dashed(guid(to)), cost }]
  if (hasSpace) arrows.push({ type: 'SMTP', value: `*.site${Math.floor(n / WAYS)}.example`, cost })
  return {
    connector: id,
    type: 'RG',
    source: `_${id}_S`,
    destination: `_${id}_D`,
    dn: `/o=Contoso/ou=First Administrative Group/cn=Configuration/cn=Connections/cn=to ${to}`,
    flags: [0, 0, 0, 0],
    sizeLimit: NO_SIZE,
    oversize: NO_SIZE,
    options: [0, 1],
    restrictions: NO_RESTRICTIONS,
    arrows,
    bridgeheads: [end(Math.floor(n / WAYS))],
    targets: [end(to)],
    state: 'up',
  }
}

function flipped(state: GroupState, place: number): GroupState {
  const connectors = state.connectors.map((each, i): ConnectorState => {
    return i === place ? { ...each, state: each.state === 'up' ? 'down' : 'up' } : each
  })
  return { ...state, version: { ...state.version, minor: state.version.minor + 1 }, connectors }
}

/** CPU time of this thread, so that whatever else the machine does stays out of it. */
function timed<T>(work: () => T): readonly [ms: number, result: T] {
  const start = process.threadCpuUsage()
  const result = work()
  const { user, system } = process.threadCpuUsage(start)
  return [(user + system) / 1_000, result]
}

function measure(size: number, each: number): Sample {
  // The clock counts in milliseconds: what is short is done often.
  const again = 200_000 / size
  const changes = again * each
  // As a neighbour tells it: every group is taken in, with memory and numbers of its own.
  const told = organisation(size)
  const engine = new RoutingEngine({ org: ORG, server: guid(-1), group: guid(0), md5, table: [] })
  const [taking] = timed(() => engine.absorb(told, 'other-group'))
  let { table } = engine
  const options: RoutesOptions = {
    group: table[0]?.group ?? '',
    server: guid(-1),
    method: 'link-state',
    reroute: 'link-state',
  }
  // Once, with nothing made before: no round but this one makes it warm.
  const [first, routes] = timed(() => new Routes(table, options).prepare())
  const fewer = table.map((state, at) =>
    at === size >> 1 ? { ...state, connectors: state.connectors.slice(1) } : state,
  )
  const [full] = timed(() => {
    for (let i = 0; i < again; i++) {
      routes.update(i % 2 === 0 ? fewer : table)
      routes.prepare()
    }
  })
  const letter = { to: { local: 'u', domain: `mail.site${size - 10}.example` } }
  const [route] = timed(() => {
    for (let i = 0; i < 1_000; i++) routes.route(letter, 0)
  })

  const next = chance(7)
  const tables: LinkStateTable[] = [table]
  const [mergingOnes] = timed(() => {
    for (let i = 0; i < changes; i++) {
      const state = table[next(size)]
      if (state) table = merge(table, [flipped(state, next(WAYS))])
      tables.push(table)
    }
  })
  const [changing] = timed(() => {
    for (const each of tables) routes.update(each)
  })
  // A whole table that is all news.
  const all = table.map(state => ({ ...state, version: { ...state.version, user: 1 } }))
  const [merging] = timed(() => {
    for (let i = 0; i < again; i++) merge(table, all)
  })
  const [hashing] = timed(() => {
    for (let i = 0; i < again; i++) digestOf(all, md5)
  })
  return {
    taken: taking,
    full: full / again,
    first,
    change: changing / changes,
    route,
    merge: merging / again,
    'merge-one': mergingOnes / changes,
    digest: hashing / again,
    table: writeFrame({ kind: 'orginfo', digest: digestOf(table, md5), groups: table }).length,
  }
}

/**
 * One connector goes down; every round, each group that has news its neighbours were not told tells them. Counts until
 * nobody has any.
 *
 * In the form of 2000 a conversation that brings news carries the server's whole table and then the client's. That is
 * played where it is short enough, and counted by the table's size otherwise.
 */
function spreading(size: number): Sample {
  const table = organisation(size)
  const neighbours = table.map(state =>
    state.connectors.map(({ arrows }) => place(table, parseGuid(arrows[0]?.value ?? ''))),
  )
  const octetsOf = writeFrame({ kind: 'orginfo', digest: digestOf(table, md5), groups: table }).length
  const delta = play(table, neighbours, true)
  const counted = delta.lessons * 2 * octetsOf
  const whole = size <= PLAYED ? play(table, neighbours, false).octets : counted
  if (Math.abs(whole / counted - 1) > 0.02) throw new Error(`${whole} octets were told and ${counted} counted`)
  return {
    rounds: delta.rounds,
    conversations: delta.conversations,
    'whole-table': whole,
    'only-changes': delta.octets,
  }
}

const PLAYED = 100

function play(table: LinkStateTable, neighbours: readonly (readonly number[])[], delta: boolean) {
  const engines = table.map(({ group, master }) => new RoutingEngine({ org: ORG, server: master, group, md5, table }))
  const options = { delta, maxFrame: 2 ** 26 }
  // All have met before, and are in step.
  if (delta) {
    for (const [n, ends] of neighbours.entries()) for (const end of ends) talk(engines[n], engines[end], options)
  }
  engines[0]?.change('minor', state => flipped(state, 0))
  const count = { rounds: 0, octets: 0, conversations: 0, lessons: 0 }
  let news = new Set([0])
  while (news.size > 0) {
    count.rounds++
    const learned = new Set<number>()
    for (const n of news) {
      for (const end of neighbours[n] ?? []) {
        const before = engines[end]?.changes
        count.octets += talk(engines[n], engines[end], options)
        count.conversations++
        if (engines[end]?.changes === before) continue
        count.lessons++
        learned.add(end)
      }
    }
    news = learned
  }
  const digests = new Set(engines.map(({ digest }) => digest))
  if (digests.size !== 1) throw new Error(`${digests.size} digests remain: the news did not spread`)
  return count
}

function place(table: LinkStateTable, group: Guid | undefined): number {
  return table.findIndex(each => each.group === group)
}

/** One conversation, and its octets on the wire without the lines that carry them. */
function talk(
  client: RoutingEngine | undefined,
  server: RoutingEngine | undefined,
  { delta, maxFrame }: { readonly delta: boolean; readonly maxFrame: number },
): number {
  if (!client || !server) return 0
  const common = { delta, teller: 'other-group', maxFrame } as const
  const asking = new Exchange(client, { ...common, side: 'client', neighbour: server.server })
  const answering = new Exchange(server, { ...common, side: 'server', neighbour: client.server })
  let octets = 0
  let frame = said(asking.begin())
  for (let listener = answering; frame !== undefined; listener = listener === asking ? answering : asking) {
    octets += frame.length
    frame = said(listener.hear(frame))
  }
  return octets
}

function said(outputs: readonly ExchangeOutput[]): string | undefined {
  return outputs.find(output => output.kind === 'say')?.frame
}
