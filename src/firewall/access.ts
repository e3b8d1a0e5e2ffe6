import { holds, type Network } from '../topology/topology.ts'

/** One line of an access list. A port the line does not name may be any. */
export interface AccessRule {
  readonly list: string
  readonly action: 'permit' | 'deny'
  readonly protocol: string
  readonly source: Network
  readonly sourcePort?: PortMatch
  readonly destination: Network
  readonly destinationPort?: PortMatch
}

export interface PortMatch {
  readonly operator: 'eq' | 'neq' | 'lt' | 'gt' | 'range'
  readonly from: number
  /** Only for `range`. */
  readonly to?: number
}

/** A connection that asks to be let through. Addresses in dots, ports as numbers. */
export interface Caller {
  readonly source: string
  readonly destination: string
  readonly port: number
}

/** Does the line speak of this connection? Source ports are the client's own choice and are not looked at. */
export function speaksOf({ protocol, source, destination, destinationPort }: AccessRule, caller: Caller): boolean {
  const carriesMail = protocol === 'tcp' || protocol === 'ip' || protocol === '6'
  return (
    carriesMail &&
    holds(source, caller.source) &&
    holds(destination, caller.destination) &&
    (!destinationPort || portMatches(destinationPort, caller.port))
  )
}

function portMatches({ operator, from, to }: PortMatch, port: number): boolean {
  switch (operator) {
    case 'eq':
      return port === from
    case 'neq':
      return port !== from
    case 'lt':
      return port < from
    case 'gt':
      return port > from
    default:
      return port >= from && port <= (to ?? from)
  }
}

const HOST = '255.255.255.255'

export function showNetwork({ ip, mask }: Network): string {
  if (mask === '0.0.0.0') return 'any'
  return mask === HOST ? `host ${ip}` : `${ip} ${mask}`
}

function showPort(match: PortMatch | undefined): string {
  if (!match) return ''
  const { operator, from, to } = match
  const port = (n: number) => (n === 25 ? 'smtp' : String(n))
  return ` ${operator} ${port(from)}${to === undefined ? '' : ` ${port(to)}`}`
}

export function showAccessRule(rule: AccessRule): string {
  const { list, action, protocol, source, sourcePort, destination, destinationPort } = rule
  const from = `${showNetwork(source)}${showPort(sourcePort)}`
  return `access-list ${list} ${action} ${protocol} ${from} ${showNetwork(destination)}${showPort(destinationPort)}`
}
