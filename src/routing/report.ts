/** What is known of an organisation, for people: a WinRoute of today. */
import { formatMailbox } from '../smtp/address.ts'
import {
  type ConnectorState,
  type Difference,
  type GroupState,
  type Guid,
  type LinkStateTable,
  parseGuid,
} from './link-state.ts'
import { nameOf } from './master.ts'
import { type Candidate, type Explanation, type Route, sayDropped } from './route.ts'

/** A table, and what its groups are called; one without a name goes by its GUID. */
export interface Named {
  readonly table: LinkStateTable
  readonly names: ReadonlyMap<Guid, string>
  /** What servers are called, as far as the configuration says. */
  readonly servers?: ReadonlyMap<Guid, string>
}

/** Whose table it is. */
export interface Standing {
  readonly server: string
  readonly group: Guid
  /** Left out where it is this server. */
  readonly master?: string
  /** Does its master hear it? Left out where it does not try. */
  readonly isAttached?: boolean
}

/** To whom a letter is handed, the first that answers. */
export interface Handing {
  readonly name: string
  readonly at: string
}

export type GroupName = (group: Guid) => string

export function namesOf({ names }: Pick<Named, 'names'>): GroupName {
  return group => names.get(group) ?? group
}

/** One connector as an edge of the picture. */
interface Edge {
  readonly from: Guid
  readonly to: Guid
  readonly cost: number
  readonly name: string
  readonly state: 'up' | 'down'
}

function edgesOf(table: LinkStateTable): readonly Edge[] {
  return table.flatMap(({ group, connectors }) =>
    connectors.flatMap(connector =>
      connector.arrows.flatMap(({ type, value, cost }) => {
        const to = type === 'RG' ? parseGuid(value) : undefined
        return to === undefined ? [] : [{ from: group, to, cost, name: nameOf(connector), state: connector.state }]
      }),
    ),
  )
}

function spacesOf({ arrows }: ConnectorState): readonly string[] {
  return arrows
    .filter(({ type }) => type === 'SMTP')
    .map(({ value, cost }) => `${value}${cost === 0 ? '' : ` ${cost}`}`)
}

function sayVersion({ version: { major, minor, user } }: GroupState): string {
  return `${major}.${minor}.${user}`
}

// ── one letter ─────────────────────────────────────────────────────────────────────────────────────────────────────

export function explainLines(
  { letter, candidates, route }: Explanation,
  name: GroupName,
  tries: readonly Handing[] = [],
): readonly string[] {
  const { to, from, size } = letter
  const about = [
    `to ${formatMailbox(to)}`,
    ...(from === undefined ? [] : [`from ${from === null ? '<>' : formatMailbox(from)}`]),
    ...(size === undefined ? [] : [`of ${size} octets`]),
  ]
  const rows = candidates.map(each => [
    each.dropped ? ' ' : '*',
    each.space,
    Number.isFinite(each.cost) ? String(each.cost) : '-',
    `${nameOf(each.connector)} of ${name(each.group)}`,
    each.path.map(name).join(' > '),
    sayDropped(each.dropped),
  ])
  return [
    `mail ${about.join(' ')}:`,
    ...columns([[' ', 'space', 'cost', 'by', 'path', ''], ...rows]).map(line => `  ${line}`),
    ...routeLines(route, name),
    ...(tries.length > 0 ? [`handed to ${tries.map(each => `${each.name} [${each.at}]`).join(', else to ')}`] : []),
  ]
}

function routeLines(route: Route, name: GroupName): readonly string[] {
  if (route.kind === 'unreachable') return [`unreachable: ${route.status} ${route.why}`]
  const { connector, path, cost, bridgeheads, exit, waits } = route
  const by = `${path.map(name).join(' > ')}, cost ${cost}, leaving by ${nameOf(connector)}`
  const last = exit === connector ? '' : `, and out by ${nameOf(exit)} of ${name(path[path.length - 1] ?? '')}`
  return [
    `${route.kind === 'hold' ? 'waits for' : 'goes by'} ${by}${last}`,
    ...(route.kind === 'hold' ? [`no way is open: ${route.why}`] : []),
    ...(bridgeheads.length > 0 ? [`through ${bridgeheads.join(', ')}, which hold its near end`] : []),
    ...(waits ? [`its schedule lets it go ${waits.until === undefined ? 'when it is fetched' : 'later'}`] : []),
  ]
}

export function explainFacts(
  { candidates, route }: Explanation,
  name: GroupName,
  tries: readonly Handing[] = [],
): Readonly<Record<string, unknown>> {
  const fact = (each: Candidate) => ({
    space: each.space,
    connector: nameOf(each.connector),
    group: name(each.group),
    cost: Number.isFinite(each.cost) ? each.cost : null,
    path: each.path.map(name),
    ...(each.dropped && { dropped: each.dropped.kind, why: sayDropped(each.dropped) }),
  })
  const way =
    route.kind === 'unreachable'
      ? route
      : {
          kind: route.kind,
          connector: nameOf(route.connector),
          path: route.path.map(name),
          cost: route.cost,
          ...(route.kind === 'hold' && { why: route.why }),
        }
  return { candidates: candidates.map(fact), route: way, ...(tries.length > 0 && { tries }) }
}

// ── the routes ─────────────────────────────────────────────────────────────────────────────────────────────────────

/** One address space of the table, and the way of a letter there. */
export interface SpaceRoute {
  readonly space: string
  readonly route: Route
}

/** The ways to every address space of the table, as a letter without a size goes. */
export function spaceRoutes(
  table: LinkStateTable,
  route: (to: { readonly local: string; readonly domain: string }) => Route,
): readonly SpaceRoute[] {
  const spaces = new Set(
    table.flatMap(({ connectors }) =>
      connectors.flatMap(({ arrows }) => arrows.flatMap(({ type, value }) => (type === 'SMTP' ? [value] : []))),
    ),
  )
  // Some name below a wildcard, of which nothing else is said.
  const asked = (space: string) => (space.startsWith('*') ? `any${space === '*' ? '.invalid' : space.slice(1)}` : space)
  return [...spaces].sort().map(space => ({ space, route: route({ local: 'any', domain: asked(space) }) }))
}

export function tableLines(routes: readonly SpaceRoute[], name: GroupName): readonly string[] {
  const rows = routes.map(({ space, route }) =>
    route.kind === 'unreachable'
      ? [space, '-', '', `unreachable: ${route.why}`]
      : [
          space,
          String(route.cost),
          nameOf(route.connector),
          `${route.path.map(name).join(' > ')}${route.kind === 'hold' ? '  (waits)' : ''}`,
        ],
  )
  return columns([['space', 'cost', 'by', 'path'], ...rows])
}

export function tableFacts(routes: readonly SpaceRoute[], name: GroupName): unknown {
  return routes.map(({ space, route }) =>
    route.kind === 'unreachable'
      ? { space, ...route }
      : { space, kind: route.kind, cost: route.cost, connector: nameOf(route.connector), path: route.path.map(name) },
  )
}

// ── the table itself ───────────────────────────────────────────────────────────────────────────────────────────────

export function showLines({ table, names, servers }: Named, digest: string, here?: Standing): readonly string[] {
  const name = namesOf({ names })
  const away = ({ members }: GroupState): string => {
    const gone = members.filter(({ attached }) => !attached).map(({ server }) => servers?.get(server) ?? server)
    return gone.length > 0 ? `, without ${gone.join(', ')}` : ''
  }
  return [
    `${table.length} groups, digest ${digest}`,
    ...(here ? [standingLine(here, name)] : []),
    ...table.flatMap(state => [
      `${name(state.group)}  version ${sayVersion(state)}  ${state.members.length} ${state.members.length === 1 ? 'member' : 'members'}, ${state.members.filter(({ attached }) => attached).length} attached${away(state)}`,
      ...columns(
        state.connectors.map(each => [
          each.state === 'up' ? 'up  ' : 'DOWN',
          nameOf(each),
          [
            ...edgesOf([{ ...state, connectors: [each] }]).map(({ to, cost }) => `to ${name(to)} ${cost}`),
            ...spacesOf(each),
          ].join(', '),
        ]),
      ).map(line => `    ${line}`),
    ]),
  ]
}

function standingLine({ server, group, master, isAttached }: Standing, name: GroupName): string {
  if (master === undefined) return `this is ${server}, the master of ${name(group)}`
  const heard =
    isAttached === undefined ? 'is' : isAttached ? 'hears it, and is' : 'does not hear it: there is no connection to'
  return `this is ${server}, a member of ${name(group)}; its master ${heard} ${master}`
}

export function showFacts({ table, names, servers }: Named, digest: string, here?: Standing): unknown {
  const name = namesOf({ names })
  return {
    digest,
    ...(here && { here: { ...here, group: name(here.group) } }),
    groups: table.map(state => ({
      group: name(state.group),
      guid: state.group,
      version: state.version,
      incarnation: state.incarnation,
      members: state.members.map(each => ({ ...each, name: servers?.get(each.server) })),
      connectors: state.connectors.map(each => ({
        name: nameOf(each),
        state: each.state,
        to: edgesOf([{ ...state, connectors: [each] }]).map(({ to, cost }) => ({ group: name(to), cost })),
        spaces: each.arrows.filter(({ type }) => type === 'SMTP').map(({ value, cost }) => ({ space: value, cost })),
      })),
    })),
  }
}

const SAID: Readonly<Record<Difference['kind'], string>> = {
  'only-ours': 'only the first knows it',
  'only-theirs': 'only the second knows it',
  'ours-newer': 'the second is behind',
  'theirs-newer': 'the first is behind',
  'two-masters': 'counted by two masters: one version, two counters',
  forked: 'one version, two contents: mail can loop, and the digest does not show it',
}

export function diffLines(found: readonly Difference[], name: GroupName): readonly string[] {
  if (found.length === 0) return ['the tables are the same']
  return found.flatMap(({ group, kind, ours, theirs }) => {
    const versions = [ours, theirs].map(each => (each ? sayVersion(each) : '-')).join(' / ')
    const states = (ours?.connectors ?? []).flatMap(each => {
      const other = theirs?.connectors.find(({ connector }) => connector === each.connector)
      return other && other.state !== each.state ? [`    ${nameOf(each)}: ${each.state} / ${other.state}`] : []
    })
    return [`${name(group)}  ${versions}  ${SAID[kind]}`, ...states]
  })
}

export function diffFacts(found: readonly Difference[], name: GroupName): unknown {
  return found.map(({ group, kind, ours, theirs }) => ({
    group: name(group),
    kind,
    ...(ours && { ours: sayVersion(ours) }),
    ...(theirs && { theirs: sayVersion(theirs) }),
  }))
}

// ── pictures ───────────────────────────────────────────────────────────────────────────────────────────────────────

/** In the words of Graphviz. */
export function dotOf({ table, names }: Named): readonly string[] {
  const name = namesOf({ names })
  const quoted = (text: string) => `"${text.replace(/[\\"]/g, each => `\\${each}`)}"`
  return [
    'digraph organisation {',
    ...table.map(
      state => `  ${quoted(name(state.group))} [label=${quoted(`${name(state.group)} ${sayVersion(state)}`)}]`,
    ),
    ...edgesOf(table).map(({ from, to, cost, name: connector, state }) => {
      const look = state === 'up' ? '' : ', color=red, style=dashed'
      return `  ${quoted(name(from))} -> ${quoted(name(to))} [label=${quoted(`${connector} ${cost}`)}${look}]`
    }),
    '}',
  ]
}

const RADIUS = 180
const NODE = 26
const SIZE: number = 2 * (RADIUS + 70)

/** The groups on a circle, in the order of their names. */
export function svgOf({ table, names }: Named): readonly string[] {
  const name = namesOf({ names })
  const places = table.toSorted((a, b) => (name(a.group) < name(b.group) ? -1 : 1))
  const at = (group: Guid) => {
    const turn =
      (2 * Math.PI * places.findIndex(each => each.group === group)) / Math.max(1, places.length) - Math.PI / 2
    return { x: SIZE / 2 + RADIUS * Math.cos(turn), y: SIZE / 2 + RADIUS * Math.sin(turn) }
  }
  const number = (value: number) => String(Math.round(value))
  return [
    `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 ${SIZE} ${SIZE}" font-family="sans-serif" font-size="12" text-anchor="middle">`,
    ...edgesOf(table).flatMap(({ from, to, cost, state, name: connector }) => {
      const [a, b] = [at(from), at(to)]
      const length = Math.hypot(b.x - a.x, b.y - a.y) || 1
      // There and back are two lines, side by side.
      const [aside, along] = [7, NODE]
      const [x, y] = [(b.x - a.x) / length, (b.y - a.y) / length]
      const begin = { x: a.x + along * x - aside * y, y: a.y + along * y + aside * x }
      const end = { x: b.x - along * x - aside * y, y: b.y - along * y + aside * x }
      const look = state === 'up' ? 'stroke="#444"' : 'stroke="#c00" stroke-dasharray="5 4"'
      const label = { x: begin.x + (end.x - begin.x) / 3 - 9 * y, y: begin.y + (end.y - begin.y) / 3 + 9 * x + 4 }
      return [
        `<line x1="${number(begin.x)}" y1="${number(begin.y)}" x2="${number(end.x)}" y2="${number(end.y)}" ${look}><title>${escaped(`${connector} ${state}`)}</title></line>`,
        `<text x="${number(label.x)}" y="${number(label.y)}" fill="${state === 'up' ? '#444' : '#c00'}">${cost}</text>`,
      ]
    }),
    ...places.flatMap(state => {
      const { x, y } = at(state.group)
      return [
        `<circle cx="${number(x)}" cy="${number(y)}" r="${NODE}" fill="#fff" stroke="#444"/>`,
        `<text x="${number(x)}" y="${number(y)}" font-weight="bold">${escaped(name(state.group))}</text>`,
        `<text x="${number(x)}" y="${number(y + 14)}" font-size="10">${sayVersion(state)}</text>`,
      ]
    }),
    '</svg>',
  ]
}

function escaped(text: string): string {
  return text.replace(/[&<>"]/g, each => `&#${each.charCodeAt(0)};`)
}

/** Texts under each other. */
function columns(rows: readonly (readonly string[])[]): readonly string[] {
  const widths: number[] = []
  for (const row of rows) for (const [i, cell] of row.entries()) widths[i] = Math.max(widths[i] ?? 0, cell.length)
  return rows.map(row =>
    row
      .map((cell, i) => cell.padEnd(widths[i] ?? 0))
      .join('  ')
      .trimEnd(),
  )
}
