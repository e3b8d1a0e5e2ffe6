import type { Ports } from '../config/argument.ts'
import type { Crossing } from '../topology/topology.ts'
import { type Caller, isPort, speaksOf } from './access.ts'
import { proxyPolicy } from './commands-proxy.ts'
import type { ClassMap, FirewallConfig, Fixup, Placed, PolicyClass, ServicePolicy } from './config.ts'
import { defaultEsmtpMap, type EsmtpMap } from './esmtp-map.ts'
import { named } from './objection.ts'
import type { Cause, Policy } from './policy.ts'
import { asa, type RegexesOf } from './profiles/asa.ts'
import { pix, pixProfile } from './profiles/pix.ts'

/** Which lines of a configuration make it look into a connection, and as what. */

/** What looks at connections to this port, whichever way they go; `undefined` for nothing. */
export function inspectionOf(
  config: FirewallConfig,
  way: Crossing,
  caller: Caller,
  realPort: number = caller.port,
): Policy | undefined {
  const ports = [caller.port, realPort]
  const proxied =
    config.proxies.listens.length > 0 &&
    once(config, `proxy ${ports} ${way.direction}`, () => proxyPolicy(config.proxies, ports, way.direction))
  if (proxied) return proxied
  const policy = config.mpf.services.length > 0 ? asaPolicy(config, way, caller, realPort) : undefined
  const found = policy ?? pixPolicy(config, caller, realPort)
  return found?.directions.has(way.direction) ? found : undefined
}

function pixPolicy(config: FirewallConfig, caller: Caller, realPort: number): Policy | undefined {
  // A redirected port counts under both its numbers: what is asked for, and what it becomes.
  const fixup = config.smtpFixups.find(({ ports }) => [caller.port, realPort].some(port => isIn(ports, port)))
  if (fixup) return mailguard(config, causeOf(fixup))
  const mailhost = config.mailhosts.find(({ global }) => global === caller.destination)
  if (!mailhost) return undefined
  const { at, global, local } = mailhost
  const cause = { at, command: `mailhost ${global} ${local}`, cure: `no mailhost ${global} ${local}` }
  return pix('4.0', cause, config.mailguard)
}

/** The policies of one configuration, by the line that put them in force: they are asked about every connection. */
const policies = new WeakMap<FirewallConfig, Map<string, Policy | undefined>>()

function once<P extends Policy | undefined>(config: FirewallConfig, key: string, make: () => P): P {
  const known = policies.get(config) ?? new Map<string, Policy | undefined>()
  policies.set(config, known)
  if (!known.has(key)) known.set(key, make())
  return known.get(key) as P
}

/** MailGuard of this version, with what the configuration says of it otherwise. */
export function mailguard(config: FirewallConfig, cause: Cause): Policy {
  return once(config, cause.command, () => pix(pixProfile(config.version), cause, config.mailguard))
}

function isIn({ from, to }: Ports, port: number): boolean {
  return port >= from && port <= to
}

/** How a fixup is cited: by its line, or by the version line that brought it. */
export function causeOf({ ports, at }: Fixup): Cause {
  const range = ports.from === ports.to ? `${ports.from}` : `${ports.from}-${ports.to}`
  return { at, command: `fixup protocol smtp ${range}`, cure: `no fixup protocol smtp ${range}` }
}

/** The policy of an interface comes before the global one; of its classes, the first that holds the connection decides. */
function asaPolicy(config: FirewallConfig, way: Crossing, caller: Caller, realPort: number): Policy | undefined {
  const { services, policies: maps, classes } = config.mpf
  const isHere = ({ port }: ServicePolicy) => port === undefined || port === way.from.name || port === way.to.name
  const ordered = services
    .filter(isHere)
    .toSorted((a, b) => Number(a.port === undefined) - Number(b.port === undefined))
  for (const service of ordered) {
    const policy = named(maps, service.policy)
    for (const each of policy?.classes ?? []) {
      if ((!each.esmtp && !each.smtp) || !isOfClass(config, named(classes, each.name), each, caller, realPort)) continue
      return each.smtp ? smtpPolicy(config, service, each) : esmtpPolicy(config, service, each)
    }
  }
  return undefined
}

function isOfClass(
  config: FirewallConfig,
  map: ClassMap | undefined,
  { name }: PolicyClass,
  caller: Caller,
  realPort: number,
): boolean {
  if (name === 'class-default') return true
  const match = map?.match
  const ports = [caller.port, realPort]
  switch (match?.kind) {
    case 'any':
      return true
    case 'default-inspection-traffic':
      return ports.includes(25)
    case 'port':
      return match.protocol === 'tcp' && ports.some(port => isPort(match.ports, port))
    case 'access-list': {
      const rule = config.accessRules.find(each => each.list === match.list && speaksOf(each, caller, config.objects))
      return rule?.action === 'permit'
    }
    default:
      return false
  }
}

/** MailGuard as an FWSM has it: both ways, and of a greeting only asterisks are left, as its users saw. */
function smtpPolicy(config: FirewallConfig, service: Placed<ServicePolicy>, { name, smtp }: PolicyClass): Policy {
  const at = smtp?.at ?? service.at
  const cause: Cause = {
    at,
    command: 'inspect smtp',
    cure: `policy-map ${service.policy} / class ${name} / no inspect smtp`,
  }
  return once(config, `${service.policy} ${name} inspect smtp`, () => ({
    ...pix('5.1', cause, { direction: 'both', banner: 'stars', ...config.mailguard }),
    name: 'FWSM inspect smtp',
  }))
}

function esmtpPolicy(config: FirewallConfig, service: Placed<ServicePolicy>, { name, esmtp }: PolicyClass): Policy {
  const at = esmtp?.at ?? service.at
  const command = `inspect esmtp${esmtp?.map === undefined ? '' : ` ${esmtp.map}`}`
  const cause: Cause = { at, command, cure: `policy-map ${service.policy} / class ${name} / no ${command}` }
  return once(config, `${service.policy} ${name} ${command}`, () =>
    asa(esmtpMapOf(config, esmtp?.map, at), cause, regexesOf(config), {
      charMode: config.mailguard.charMode ?? 'x',
    }),
  )
}

function esmtpMapOf({ mpf }: FirewallConfig, name: string | undefined, at: Cause['at']): EsmtpMap {
  return (name === undefined ? undefined : named(mpf.esmtpMaps, name)) ?? defaultEsmtpMap(at)
}

function regexesOf({ mpf }: FirewallConfig): RegexesOf {
  return (of, name) => {
    const names = of === 'regex' ? [name] : (named(mpf.regexClasses, name)?.regexes ?? [])
    const like = names.flatMap(each => named(mpf.regexes, each)?.pattern ?? [])
    return { isAny: of === 'regex' || (named(mpf.regexClasses, name)?.isAny ?? true), like }
  }
}
