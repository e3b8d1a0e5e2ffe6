import { interfaceNamed } from '../topology/commands.ts'
import { type Crossing, crossing, holds, type Interface, prefix } from '../topology/topology.ts'
import { type Caller, showAccessRule, showConduit, speaksOf } from './access.ts'
import type { FirewallConfig } from './config.ts'
import { inspectionOf } from './inspection.ts'
import type { Policy } from './policy.ts'
import { isExempt, isTranslated, needsTranslation, staticsOf, untranslate } from './translation.ts'
import { versionNumber } from './versions.ts'

/** May this connection exist, and is it inspected? With the line that decided. */
export type Admission =
  | { readonly kind: 'refuse'; readonly reason: string; readonly rule?: string }
  | {
      readonly kind: 'pass' | 'inspect'
      readonly crossing: Crossing
      readonly to: Caller
      readonly policy?: Policy
      /** Connections at once that the static lets through; 0 for no limit. */
      readonly most: number
    }

/** Asks the configuration about a connection that comes in by `port` and wants `caller.destination`. */
export function admit(config: FirewallConfig, node: string, port: string, asked: Caller): Admission {
  const from = interfaceNamed(config.ports, port)
  if (!from) return refuse(`no interface is called "${port}"`)
  const caller = { ...asked, source: withoutMapping(asked.source), destination: withoutMapping(asked.destination) }
  const found = target(config, from, caller)
  if (!found) return refuse(`no translation leads from ${port} to ${caller.destination}`)
  const { to, real, most } = found
  const way = crossing(node, from, to)
  if (way.direction === 'lateral' && !config.sameSecurity) {
    return refuse(`${from.name} and ${to.name} have the same security level`)
  }
  const refusal = refusedBy(config, way, caller, real)
  if (refusal) return refusal
  const policy = inspectionOf(config, way, caller, real.port)
  return policy
    ? { kind: 'inspect', crossing: way, to: real, policy, most }
    : { kind: 'pass', crossing: way, to: real, most }
}

/** A socket of both families names an IPv4 address as `::ffff:192.0.2.1`. */
function withoutMapping(address: string): string {
  return /^::ffff:[\d.]+$/i.test(address) ? address.slice('::ffff:'.length) : address
}

function refuse(reason: string, rule?: string): Admission {
  return rule === undefined ? { kind: 'refuse', reason } : { kind: 'refuse', reason, rule }
}

/** Lower to higher needs an access rule; higher to lower passes unless a list on its interface says no. */
function refusedBy(config: FirewallConfig, way: Crossing, called: Caller, real: Caller): Admission | undefined {
  const { accessGroups } = config
  // From 8.3 on a list names hosts by their real addresses, before by those they are called by.
  const caller = namesReal(config) ? { ...called, destination: real.destination, port: real.port } : called
  const inward = accessGroups.find(({ port, isOut }) => port === way.from.name && !isOut)
  const outward = accessGroups.find(({ port, isOut }) => port === way.to.name && isOut)
  const refusal = inward ? refusedByList(config, inward.list, caller) : withoutList(config, way, caller)
  return refusal ?? (outward ? refusedByList(config, outward.list, caller) : undefined)
}

/** A text that does not say its version shows it: an object that carries its translation is of 8.3 or later. */
function namesReal({ product, version, objectNats }: FirewallConfig): boolean {
  if (version === undefined) return objectNats.length > 0
  return product === 'ASA' && (versionNumber(version ?? '') ?? 0) >= 803
}

function refusedByList(config: FirewallConfig, list: string, caller: Caller): Admission | undefined {
  const rule = config.accessRules.find(each => each.list === list && speaksOf(each, caller, config.objects))
  if (!rule) return refuse(`access list ${list} does not speak of it, and ends in an implied deny`)
  return rule.action === 'deny' ? refuse(`access list ${list} denies it`, showAccessRule(rule)) : undefined
}

/** Conduits speak where no list is bound to the interface, and only inbound. A mailhost is its own conduit. */
function withoutList(config: FirewallConfig, { from, direction }: Crossing, caller: Caller): Admission | undefined {
  if (direction !== 'inbound') return undefined
  if (caller.port === 25 && config.mailhosts.some(({ global }) => global === caller.destination)) return undefined
  const conduit = config.conduits.find(each => speaksOf({ ...each, list: '' }, caller, config.objects))
  if (conduit?.action === 'permit') return undefined
  if (conduit) return refuse('a conduit denies it', showConduit(conduit))
  return refuse(
    config.conduits.length === 0
      ? `no access-group lets anything in at ${from.name}`
      : 'no conduit speaks of it, and no access-group is bound there',
  )
}

interface Target {
  readonly to: Interface
  readonly real: Caller
  readonly most: number
}

/** Behind which interface the destination is, and what it is called there. */
function target(config: FirewallConfig, from: Interface, caller: Caller): Target | undefined {
  for (const each of staticsOf(config)) {
    const to = interfaceNamed(config.ports, each.real)
    if (each.mapped !== from.name || !to) continue
    const real = untranslate(each, caller)
    if (real) return { to, real, most: mostOf(each.limits) }
  }
  const to = leavesBy(config, caller.destination)
  if (!to || to.name === from.name) return undefined
  const plain = { to, real: caller, most: 0 }
  // Without translations, as from 7.0 on, an address is reached as what it is, from either side.
  if (to.level >= from.level) {
    const isOpen = !needsTranslation(config) || isExempt(config, to.name, caller.destination, caller.source)
    return isOpen ? plain : undefined
  }
  // Towards a lower level the destination is meant as it is; the source needs a translation to go by.
  return caller.source.includes(':') || isTranslated(config, from.name, to.name, caller.source) ? plain : undefined
}

/** The first number behind a static: connections at once; in newer texts it follows `tcp`. */
function mostOf(limits: string): number {
  const found = /^(?:tcp )?(\d{1,9})(?: |$)/.exec(limits)
  return found ? Number(found[1]) : 0
}

/** By which interface an address is reached: the one on its network, else the best route. */
function leavesBy(config: FirewallConfig, address: string): Interface | undefined {
  const direct = config.ports.interfaces.find(
    ({ network, network6 }) => (network && holds(network, address)) || (network6 && holds(network6, address)),
  )
  if (direct) return direct
  const isSixth = address.includes(':')
  const routes = config.routes.filter(({ to }) => to.ip.includes(':') === isSixth && holds(to, address))
  const [best] = routes.toSorted((a, b) => prefix(b.to.mask) - prefix(a.to.mask))
  return best && interfaceNamed(config.ports, best.port)
}
