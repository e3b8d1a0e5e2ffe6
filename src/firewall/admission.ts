import { interfaceNamed } from '../topology/commands.ts'
import { type Crossing, crossing, holds, type Interface } from '../topology/topology.ts'
import { type Caller, showAccessRule, speaksOf } from './access.ts'
import type { FirewallConfig, Fixup, Static } from './config.ts'
import type { Cause, Policy } from './policy.ts'
import { pix, pixProfile } from './profiles/pix.ts'

/** May this connection exist, and is it inspected? With the line that decided. */
export type Admission =
  | { readonly kind: 'refuse'; readonly reason: string; readonly rule?: string }
  | { readonly kind: 'pass' | 'inspect'; readonly crossing: Crossing; readonly to: Caller; readonly policy?: Policy }

/** Asks the configuration about a connection that comes in by `port` and wants `caller.destination`. */
export function admit(config: FirewallConfig, node: string, port: string, caller: Caller): Admission {
  const from = interfaceNamed(config.ports, port)
  if (!from) return refuse(`no interface is called "${port}"`)
  const found = target(config, from, caller)
  if (!found) return refuse(`no translation leads from ${port} to ${caller.destination}`)
  const { to, real } = found
  const way = crossing(node, from, to)
  if (way.direction === 'lateral') return refuse(`${from.name} and ${to.name} have the same security level`)
  const refusal = refusedBy(config, way, caller)
  if (refusal) return refusal
  // A redirected port counts under both its numbers: what is asked for, and what it becomes.
  const fixup = config.smtpFixups.find(({ ports }) =>
    [caller.port, real.port].some(port => port >= ports.from && port <= ports.to),
  )
  const policy = fixup && pix(pixProfile(config.version), causeOf(fixup))
  if (!policy?.directions.has(way.direction)) return { kind: 'pass', crossing: way, to: real }
  return { kind: 'inspect', crossing: way, to: real, policy }
}

function refuse(reason: string, rule?: string): Admission {
  return rule === undefined ? { kind: 'refuse', reason } : { kind: 'refuse', reason, rule }
}

/** Lower to higher needs an access rule; higher to lower passes unless a list on its interface says no. */
function refusedBy(config: FirewallConfig, { from, direction }: Crossing, caller: Caller): Admission | undefined {
  const group = config.accessGroups.find(({ port }) => port === from.name)
  if (!group) return direction === 'inbound' ? refuse(`no access-group lets anything in at ${from.name}`) : undefined
  const rule = config.accessRules.find(each => each.list === group.list && speaksOf(each, caller))
  if (!rule) return refuse(`access list ${group.list} does not speak of it, and ends in an implied deny`)
  return rule.action === 'deny' ? refuse(`access list ${group.list} denies it`, showAccessRule(rule)) : undefined
}

/** Behind which interface the destination is, and what it is called there. */
function target(
  config: FirewallConfig,
  from: Interface,
  caller: Caller,
): { readonly to: Interface; readonly real: Caller } | undefined {
  for (const each of config.statics) {
    const to = interfaceNamed(config.ports, each.real)
    if (each.mapped !== from.name || !to) continue
    const real = untranslate(each, caller)
    if (real) return { to, real }
  }
  // Towards a lower level the destination is meant as it is; the source needs a translation to go by.
  const to = leavesBy(config, caller.destination)
  const translated =
    to !== undefined &&
    (config.statics.some(each => each.real === from.name && each.mapped === to.name && covers(each, caller.source)) ||
      config.nats.some(each => each.port === from.name && holds(each, caller.source)))
  return to && translated && to.level < from.level ? { to, real: caller } : undefined
}

function covers({ realIp, mask }: Static, source: string): boolean {
  return holds({ ip: realIp, mask }, source)
}

/** The real address behind a mapped one: the host part stays, as `static` translates whole networks. */
export function untranslate({ mappedIp, realIp, mask, redirect }: Static, caller: Caller): Caller | undefined {
  if (redirect && redirect.mappedPort !== caller.port) return undefined
  if (!holds({ ip: mappedIp, mask }, caller.destination)) return undefined
  const [m, r, d] = [mask, realIp, caller.destination].map(each => each.split('.').map(Number))
  const destination = (d ?? []).map((octet, i) => ((r?.[i] ?? 0) & (m?.[i] ?? 0)) | (octet & ~(m?.[i] ?? 0) & 255))
  return { ...caller, destination: destination.join('.'), port: redirect?.realPort ?? caller.port }
}

/** By which interface an address is reached: the one on its network, else the best route. */
function leavesBy(config: FirewallConfig, address: string): Interface | undefined {
  const direct = config.ports.interfaces.find(({ network }) => network && holds(network, address))
  if (direct) return direct
  const routes = config.routes.filter(({ to }) => holds(to, address))
  const best = routes.toSorted((a, b) => (a.to.mask < b.to.mask ? 1 : -1))[0]
  return best && interfaceNamed(config.ports, best.port)
}

/** How a fixup is cited: by its line, or by the version line that brought it. */
export function causeOf({ ports, at }: Fixup): Cause {
  const range = ports.from === ports.to ? `${ports.from}` : `${ports.from}-${ports.to}`
  return { at, command: `fixup protocol smtp ${range}`, cure: `no fixup protocol smtp ${range}` }
}
