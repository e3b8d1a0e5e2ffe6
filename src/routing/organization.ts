import { text, utf8 } from '../base/bytes.ts'
import { sameDomain } from '../smtp/address.ts'
import type { AnyConnector, Connector, Member, RoutingConfig, RoutingGroup } from './connector.ts'
import {
  type Bridgehead,
  type ConnectorState,
  contentHash,
  dashed,
  type GroupState,
  type Guid,
  guidFor,
  type Hash,
  type LinkStateTable,
  NO_SIZE,
  tableOf,
} from './link-state.ts'
import { NO_RESTRICTIONS } from './orginfo.ts'
import type { Policy, RoutesOptions } from './route.ts'

/**
 * The organisation as this server's configuration tells it: a table to begin with, by which mail is routed until the
 * network tells better, and the names behind the GUIDs.
 */
export interface Organization {
  readonly org: Guid
  readonly server: Guid
  readonly group: Guid
  /** Versions are all zero, and the incarnation is a hash of the content: who is configured alike begins alike. */
  readonly table: LinkStateTable
  /** For whoever is master: this server's group at its first version, in a life of its own. */
  readonly isMaster: boolean
  readonly routes: RoutesOptions
  /** The connectors of this server's own group, by their GUIDs in the table. */
  readonly connectors: ReadonlyMap<Guid, Connector>
  /** The name this server goes by. */
  readonly hostname: string
  /** The servers of each group, as the configuration names them. */
  readonly servers: ReadonlyMap<Guid, readonly KnownMember[]>
}

export interface KnownMember extends Member {
  readonly guid: Guid
}

export interface Here {
  /** The name this server goes by. */
  readonly server: string
  /** Domains whose mail is delivered here. */
  readonly domains: readonly string[]
  readonly sha256: Hash
  /** 16 octets that no other life of this server had: names its counter, where it is master. */
  readonly incarnation: Guid
}

/** Of a Postern; what Exchange wrote as 6830 was its own. */
const BUILD = 1
/** What stood here wherever it was seen. */
const MARK = '0701000000000101'

export function organization(config: RoutingConfig, here: Here): Organization {
  const { sha256 } = here
  const name = config.organization.name
  const org = config.organization.guid ?? guidFor([name], sha256)
  const known = new Map(config.groups.map(each => [each.name, each]))
  const names = new Set([config.group, ...config.groups.map(each => each.name)])
  for (const { groups } of config.connectors) for (const each of groups) names.add(each)
  for (const { from, groups } of config.elsewhere) for (const each of [from, ...groups]) names.add(each)
  const guidOf = (group: string): Guid => known.get(group)?.guid ?? guidFor([name, 'group', group], sha256)
  const serverOf = (server: string): Guid => guidFor([name, 'server', server.toLowerCase()], sha256)
  const connectorGuid = (group: string, { name: connector }: AnyConnector): Guid =>
    guidFor([name, 'connector', group, connector], sha256)
  const end = (fqdn: string): Bridgehead => ({ server: serverOf(fqdn), available: true, fqdn })

  const connectorState = (group: string, of: AnyConnector, targets: readonly Bridgehead[]): ConnectorState => {
    const guid = connectorGuid(group, of)
    return {
      connector: guid,
      type: of.groups.length > 0 && (!('kind' in of) || of.kind === 'routing-group') ? 'RG' : 'SMTP',
      source: `_${guid}_S`,
      destination: of.groups.length > 0 ? `_${guid}_D` : '',
      dn: directory(name, `cn=Configuration/cn=Connections/cn=${of.name}`),
      flags: [0, 0, 0, 0],
      sizeLimit: of.sizeLimit ?? NO_SIZE,
      oversize: of.oversize?.over ?? NO_SIZE,
      options: [0, 1],
      restrictions:
        of.accepts.length + of.rejects.length === 0
          ? NO_RESTRICTIONS
          : [of.accepts.map(octets), of.rejects.map(octets), [], []],
      arrows: [
        ...of.groups.map(to => ({ type: 'RG', value: dashed(guidOf(to)), cost: of.cost })),
        ...of.spaces.map(({ space, cost }) => ({ type: 'SMTP', value: octets(space), cost: of.cost + cost })),
      ],
      bridgeheads: of.sources.map(end),
      targets,
      state: 'up',
    }
  }

  /** Domains stand in the table as an SMTP connector of their group: so a peer of 2000 routes by them as well. */
  const localDomains = (group: string, domains: readonly string[], bridgeheads: readonly Bridgehead[]) => {
    if (domains.length === 0) return []
    const arrows = domains.map(domain => ({ type: 'SMTP', value: octets(domain), cost: 0 }))
    const plain = { name: LOCAL_DOMAINS, groups: [], cost: 0, spaces: [], sources: [], accepts: [], rejects: [] }
    const at = { file: '', line: 0, column: 0, length: 0, text: '' }
    const base: AnyConnector = {
      ...plain,
      sizeLimit: undefined,
      oversize: undefined,
      schedule: { kind: 'always' },
      refuses: [],
      at,
    }
    return [{ ...connectorState(group, base, []), arrows, bridgeheads }]
  }

  const groupState = (group: string): GroupState => {
    const guid = guidOf(group)
    const isOurs = group === config.group
    const told: RoutingGroup = known.get(group) ?? { name: group, members: [], domains: [], isHub: false }
    const servers = told.members.map(({ server }) => server)
    if (isOurs && !servers.some(server => serverOf(server) === serverOf(here.server))) servers.push(here.server)
    const master = told.members.find(({ isMaster }) => isMaster)?.server ?? servers[0]
    const ways = isOurs
      ? config.connectors.map(each =>
          connectorState(
            group,
            each,
            each.targets.map(({ ip }) => end(ip)),
          ),
        )
      : config.elsewhere.filter(({ from }) => from === group).map(each => connectorState(group, each, []))
    const elsewhere = told.domains.filter(({ domain }) => !isOurs || !here.domains.includes(domain))
    const deliverers = new Set(elsewhere.map(({ server }) => server))
    const state: GroupState = {
      group: guid,
      master: master === undefined ? guid : serverOf(master),
      version: { major: 0, minor: 0, user: 0 },
      incarnation: NO_INCARNATION,
      smtp: `*.${dashed(guid)}`,
      x400: `c=US;a= ;p=${octets(name)};o=Exchange;cn=${dashed(guid)};*`,
      x500: directory(name, `*/${dashed(guid)}`),
      members: servers.map(server => ({ server: serverOf(server), attached: true, flag: 1, build: BUILD, mark: MARK })),
      connectors: [
        ...ways,
        ...(isOurs ? localDomains(group, here.domains, [end(here.server)]) : []),
        ...[...deliverers].flatMap(server =>
          localDomains(
            `${group} ${server ?? 'elsewhere'}`,
            elsewhere.filter(each => each.server === server).map(({ domain }) => domain),
            server === undefined ? [] : [end(server)],
          ),
        ),
      ],
    }
    const isMine = isOurs && state.master === serverOf(here.server)
    if (isMine) return { ...state, version: { major: 1, minor: 0, user: 0 }, incarnation: here.incarnation }
    return { ...state, incarnation: contentHash(state, sha256).slice(0, 32) }
  }

  const table = tableOf([...names].map(groupState))
  const policies = new Map<Guid, Policy>()
  for (const each of config.connectors) policies.set(connectorGuid(config.group, each), policyOf(each, each.isHeld))
  for (const each of config.elsewhere) policies.set(connectorGuid(each.from, each), policyOf(each, false))
  const [server, group] = [serverOf(here.server), guidOf(config.group)]
  return {
    org,
    server,
    group,
    table,
    isMaster: table.some(each => each.group === group && each.master === server),
    routes: {
      group,
      server,
      method: config.method,
      reroute: config.reroute ?? (config.method === 'link-state' ? 'link-state' : 'never'),
      names: new Map([...names].map(each => [guidOf(each), each])),
      hubs: new Set(config.groups.filter(({ isHub }) => isHub).map(each => guidOf(each.name))),
      policies,
    },
    connectors: new Map(config.connectors.map(each => [connectorGuid(config.group, each), each])),
    hostname: here.server,
    servers: new Map(
      config.groups.map(({ name: each, members }) => [
        guidOf(each),
        members.map(member => ({ ...member, guid: serverOf(member.server) })),
      ]),
    ),
  }
}

/** Does this server use a connector that leaves from these? Without any it leaves from every server of the group. */
export function usedBy(sources: readonly string[], server: string): boolean {
  return sources.length === 0 || sources.some(each => sameDomain(each, server))
}

export const LOCAL_DOMAINS = 'Local Domains'
const NO_INCARNATION: Guid = '0'.repeat(32)

function policyOf({ refuses, schedule, oversize }: AnyConnector, isHeld: boolean): Policy {
  return { refuses: new Set(refuses), schedule, isHeld, ...(oversize && { oversize }) }
}

function directory(name: string, rest: string): string {
  return `/o=${octets(name)}/ou=First Administrative Group/${rest}`
}

/** A frame has one octet for a character: what is beyond ASCII goes as UTF-8. */
function octets(name: string): string {
  return text(utf8(name))
}
