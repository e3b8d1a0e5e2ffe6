import { PORT_NAMES } from '../config/argument.ts'
import { prefixLength6 } from '../config/ip.ts'
import { holds, type Network } from '../topology/topology.ts'

/** One line of an access list. A port the line does not name may be any. */
export interface AccessRule {
  readonly list: string
  readonly action: 'permit' | 'deny'
  readonly protocol: string
  readonly source: Place
  readonly sourcePort?: PortMatch
  readonly destination: Place
  readonly destinationPort?: PortMatch
  /** What stands behind it, as written: `log`, `inactive`, the kind of an ICMP message. */
  readonly options?: string
}

/** Addresses, or the name of a group of them. */
export type Place = Network | { readonly object: string } | { readonly group: string }

export type PortMatch =
  | {
      readonly operator: 'eq' | 'neq' | 'lt' | 'gt' | 'range'
      readonly from: number
      /** Only for `range`. */
      readonly to?: number
    }
  | { readonly operator: 'group'; readonly group: string }

/** `object network` and `object-group`, as far as lines about mail need them. */
export interface NetworkObject {
  readonly name: string
  readonly is?: Network | { readonly from: string; readonly to: string }
}

export type ObjectGroup =
  | { readonly kind: 'network'; readonly name: string; readonly members: readonly Place[] }
  | {
      readonly kind: 'service'
      readonly name: string
      readonly protocol: string
      readonly members: readonly PortMatch[]
    }

/** What names in access lists stand for. */
export interface Objects {
  readonly objects: readonly NetworkObject[]
  readonly groups: readonly ObjectGroup[]
}

export const NO_OBJECTS: Objects = { objects: [], groups: [] }

/** A connection that asks to be let through. Addresses in dots, ports as numbers. */
export interface Caller {
  readonly source: string
  readonly destination: string
  readonly port: number
}

/** Does the line speak of this connection? Source ports are the client's own choice and are not looked at. */
export function speaksOf(rule: AccessRule, caller: Caller, objects: Objects = NO_OBJECTS): boolean {
  const { protocol, source, destination, destinationPort, options } = rule
  const carriesMail = protocol === 'tcp' || protocol === 'ip' || protocol === '6'
  return (
    carriesMail &&
    !isInactive(options) &&
    isAt(source, caller.source, objects) &&
    isAt(destination, caller.destination, objects) &&
    (!destinationPort || portMatches(destinationPort, caller.port, objects))
  )
}

function isInactive(options: string | undefined): boolean {
  return options?.split(' ').includes('inactive') ?? false
}

/** Groups in one another that are followed. */
const MAX_DEPTH = 10

export function isAt(place: Place, address: string, objects: Objects, depth = 0): boolean {
  if ('ip' in place) return holds(place, address)
  if (depth > MAX_DEPTH) return false
  if ('object' in place) {
    const is = objects.objects.find(({ name }) => name === place.object)?.is
    if (!is) return false
    return 'ip' in is ? holds(is, address) : isBetween(address, is)
  }
  const group = objects.groups.find(({ name, kind }) => kind === 'network' && name === place.group)
  return group?.kind === 'network' && group.members.some(each => isAt(each, address, objects, depth + 1))
}

/** As numbers of one length, so that their texts compare as they do. */
function isBetween(address: string, { from, to }: { readonly from: string; readonly to: string }): boolean {
  const [a, low, high] = [address, from, to].map(each =>
    each
      .split('.')
      .map(octet => octet.padStart(3, '0'))
      .join('.'),
  )
  return !address.includes(':') && (a ?? '') >= (low ?? '') && (a ?? '') <= (high ?? '')
}

function portMatches(match: PortMatch, port: number, objects: Objects): boolean {
  switch (match.operator) {
    case 'eq':
      return port === match.from
    case 'neq':
      return port !== match.from
    case 'lt':
      return port < match.from
    case 'gt':
      return port > match.from
    case 'group': {
      const group = objects.groups.find(({ name, kind }) => kind === 'service' && name === match.group)
      return (
        group?.kind === 'service' &&
        group.members.some(each => each.operator !== 'group' && portMatches(each, port, objects))
      )
    }
    default:
      return port >= match.from && port <= (match.to ?? match.from)
  }
}

export function isPort(match: PortMatch, port: number): boolean {
  return portMatches(match, port, NO_OBJECTS)
}

const HOST = '255.255.255.255'

export function showPlace(place: Place): string {
  if ('object' in place) return `object ${place.object}`
  return 'group' in place ? `object-group ${place.group}` : showNetwork(place)
}

export function showNetwork({ ip, mask, only }: Network): string {
  if (mask === '0.0.0.0') return only === 4 ? 'any4' : 'any'
  if (ip.includes(':')) {
    const length = prefixLength6(mask) ?? 128
    return length === 0 ? 'any6' : length === 128 ? `host ${ip}` : `${ip}/${length}`
  }
  return mask === HOST ? `host ${ip}` : `${ip} ${mask}`
}

/** A port as an access list prints it. */
export function showPort(port: number): string {
  return port === PORT_NAMES.smtp ? 'smtp' : String(port)
}

export function showPortMatch(match: PortMatch | undefined): string {
  if (!match) return ''
  if (match.operator === 'group') return ` object-group ${match.group}`
  const { operator, from, to } = match
  return ` ${operator} ${showPort(from)}${to === undefined ? '' : ` ${showPort(to)}`}`
}

export function showAccessRule(rule: AccessRule): string {
  const { list, action, protocol, source, sourcePort, destination, destinationPort, options } = rule
  const from = `${showPlace(source)}${showPortMatch(sourcePort)}`
  const to = `${showPlace(destination)}${showPortMatch(destinationPort)}`
  return `access-list ${list} ${action} ${protocol} ${from} ${to}${options === undefined ? '' : ` ${options}`}`
}

/** A conduit names first who is called, by its global address, and then who calls: the reverse of an access list. */
export type Conduit = Omit<AccessRule, 'list'>

export function showConduit({
  action,
  protocol,
  source,
  sourcePort,
  destination,
  destinationPort,
  options,
}: Conduit): string {
  const inside = `${showPlace(destination)}${showPortMatch(destinationPort)}`
  const foreign = `${showPlace(source)}${showPortMatch(sourcePort)}`
  return `conduit ${action} ${protocol} ${inside} ${foreign}${options === undefined ? '' : ` ${options}`}`
}
