import type { SourceRef } from '../base/problem.ts'
import { MASK, PREFIX } from '../config/argument.ts'
import type { Arguments } from '../config/grammar.ts'
import { mask6, prefixLength6 } from '../config/ip.ts'
import { hostNetwork, type Network } from '../topology/topology.ts'
import { showPort } from './access.ts'
import { withKept } from './commands-kept.ts'
import type { FirewallConfig, Mailhost, Nat, ObjectNat, Static } from './config.ts'
import { asWritten, error, put, type Spec, sameText, unknownInterface } from './objection.ts'

const LIMITS = '[<limits:text...>]'
const MAPPED = '{interface | <mapped-ip:ip>}'

const STATIC: Spec = {
  syntax: `static (<real:name>,<mapped:name>) {${MAPPED} <real-ip:ip> [netmask <mask>] | <mapped-prefix:prefix> <real-prefix:prefix>} ${LIMITS}`,
  help: 'Let a host behind one interface answer, under an address of its own, on another',
  apply: (config, args, at) => addStatic(config, readStatic(args, false), args, at),
  remove: (config, args, at) => removeStatic(config, readStatic(args, false), at),
  // Those of one port as well: the first that fits a connection decides, so their order must not change.
  show: ({ statics }) => statics.map(showStatic),
}

const STATIC_PORT: Spec = {
  syntax: `static (<real:name>,<mapped:name>) <protocol:tcp|udp> ${MAPPED} <mapped-port:port> <real-ip:ip> <real-port:port> [netmask <mask>] ${LIMITS}`,
  help: 'Let one port of a host behind one interface answer, as another port, on another interface',
  apply: (config, args, at) => addStatic(config, readStatic(args, true), args, at),
  remove: (config, args, at) => removeStatic(config, readStatic(args, true), at),
  show: () => [],
}

function readStatic(args: Arguments, redirected: boolean): Static {
  const pair = { real: args.text('real'), mapped: args.text('mapped'), limits: asWritten(args, 'limits') ?? '' }
  const [mappedNet, realNet] = redirected ? [] : [args.get('mapped-prefix', PREFIX), args.get('real-prefix', PREFIX)]
  if (mappedNet && realNet) {
    return { ...pair, mappedIp: mappedNet.ip, realIp: realNet.ip, mask: mask6(mappedNet.length) }
  }
  const realIp = args.text('real-ip')
  return {
    ...pair,
    mappedIp: args.optional('mapped-ip') ?? 'interface',
    realIp,
    mask: args.get('mask', MASK) ?? hostNetwork(realIp).mask,
    ...(redirected && {
      redirect: {
        protocol: args.text('protocol') as 'tcp',
        mappedPort: args.number('mapped-port'),
        realPort: args.number('real-port'),
      },
    }),
  }
}

export function showStatic({ real, mapped, mappedIp, realIp, mask, redirect, limits }: Static): string {
  const length = prefixLength6(mask)
  const net = length === undefined || length === 128 ? '' : `/${length}`
  const from = redirect ? `${redirect.protocol} ${mappedIp} ${redirect.mappedPort}` : `${mappedIp}${net}`
  const to = redirect ? `${realIp} ${redirect.realPort}` : `${realIp}${net}`
  const netmask = length === undefined ? ` netmask ${mask}` : ''
  return `static (${real},${mapped}) ${from} ${to}${netmask}${limits === '' ? '' : ` ${limits}`}`
}

function addStatic(config: FirewallConfig, next: Static, args: Arguments, at: SourceRef) {
  const wrong = unknownInterface(config, args, 'real') ?? unknownInterface(config, args, 'mapped')
  if (wrong) return wrong
  const [mapped, real] = [args.has('mapped-ip') ? args.text('mapped-ip') : undefined, next.realIp]
  if (mapped !== undefined && mapped.includes(':') !== real.includes(':')) {
    return error('an IPv4 and an IPv6 address cannot stand for each other', args.at('real-ip'))
  }
  if (real.includes(':') && args.has('mask')) {
    return error('an IPv6 address has no netmask', args.at('mask'), 'a network is written as 2001:db8::/64')
  }
  const others = config.statics.filter(each => showStatic(each) !== showStatic(next))
  return { ...config, statics: [...others, { ...next, at }] }
}

function removeStatic(config: FirewallConfig, next: Static, at: SourceRef) {
  const gone = showStatic({ ...next, limits: '' })
  const rest = config.statics.filter(each => showStatic({ ...each, limits: '' }) !== gone)
  return rest.length === config.statics.length ? error('there is no such static', at) : { ...config, statics: rest }
}

const STATIC_POLICY: Spec = {
  syntax: `static (<real:name>,<mapped:name>) ${MAPPED} access-list <list:name> ${LIMITS}`,
  help: 'A translation that depends on where it goes (kept, and not enforced here)',
  apply: (config, args) =>
    unknownInterface(config, args, 'real') ??
    unknownInterface(config, args, 'mapped') ??
    keepNat(config, policyLine(args)),
  remove: (config, args) => dropNat(config, policyLine(args)),
  show: () => [],
}

function policyLine(args: Arguments): string {
  const mapped = args.optional('mapped-ip') ?? 'interface'
  const limits = asWritten(args, 'limits')
  const line = `static (${args.text('real')},${args.text('mapped')}) ${mapped} access-list ${args.text('list')}`
  return limits === undefined ? line : `${line} ${limits}`
}

const KEPT_NAT = 'nat'

function keepNat(config: FirewallConfig, line: string): FirewallConfig {
  const lines = config.kept[KEPT_NAT] ?? []
  return withKept(config, KEPT_NAT, [...lines.filter(each => each !== line), line])
}

function dropNat(config: FirewallConfig, line: string): FirewallConfig {
  const lines = config.kept[KEPT_NAT] ?? []
  return withKept(
    config,
    KEPT_NAT,
    lines.filter(each => each !== line),
  )
}

const NAT_TWICE: Spec = {
  syntax: 'nat (<real:name>,<mapped:name>) [after-auto] source <rest:text...>',
  help: 'A translation of both ends (kept, and not enforced here)',
  apply: (config, args) => keepNat(config, twiceLine(args)),
  remove: (config, args) => dropNat(config, twiceLine(args)),
  show: ({ kept }) => kept[KEPT_NAT] ?? [],
}

function twiceLine(args: Arguments): string {
  const order = args.has('after-auto') ? ' after-auto' : ''
  return `nat (${args.text('real')},${args.text('mapped')})${order} source ${asWritten(args, 'rest')}`
}

const MAILHOST: Spec = {
  syntax: `mailhost <global:ipv4> <local:ipv4> ${LIMITS}`,
  help: 'Let everybody reach port 25 of a host inside under this address, and inspect it (PIX 4.0 and 4.1)',
  apply(config, args, at) {
    const next = { global: args.text('global'), local: args.text('local'), limits: asWritten(args, 'limits') ?? '', at }
    return { ...config, mailhosts: put(config.mailhosts, next, ({ global }) => global) }
  },
  remove: (config, args) => ({
    ...config,
    mailhosts: config.mailhosts.filter(({ global }) => global !== args.text('global')),
  }),
  show: ({ mailhosts }) => mailhosts.map(showMailhost),
}

export function showMailhost({ global, local, limits }: Mailhost): string {
  return `mailhost ${global} ${local}${limits === '' ? '' : ` ${limits}`}`
}

const GLOBAL: Spec = {
  syntax: 'global (<if-name:name>) <id:number> <pool:text...>',
  help: 'The addresses that inside hosts borrow on this interface',
  apply: (config, args) =>
    unknownInterface(config, args, 'if-name') ?? {
      ...config,
      globals: put(config.globals, globalOf(args), showGlobal),
    },
  remove: (config, args) => ({
    ...config,
    globals: config.globals.filter(each => !sameText(each, globalOf(args))),
  }),
  show: ({ globals }) => globals.map(showGlobal),
}

const globalOf = (args: Arguments) => ({
  port: args.text('if-name'),
  id: args.number('id'),
  pool: asWritten(args, 'pool') ?? '',
})

function showGlobal({ port, id, pool }: FirewallConfig['globals'][number]): string {
  return `global (${port}) ${id} ${pool}`
}

const NAT: Spec = {
  syntax: `nat (<if-name:name>) <id:number> {<ip:ipv4> <mask> | access-list <list:name>} ${LIMITS}`,
  help: 'Let hosts behind this interface out under borrowed addresses, or with id 0 under their own',
  apply: (config, args) =>
    unknownInterface(config, args, 'if-name') ?? { ...config, nats: put(config.nats, natOf(args), showNat) },
  remove: (config, args) => ({
    ...config,
    nats: config.nats.filter(each => showNat({ ...each, limits: '' }) !== showNat({ ...natOf(args), limits: '' })),
  }),
  show: ({ nats }) => nats.map(showNat),
}

function natOf(args: Arguments): Nat {
  const list = args.optional('list')
  return {
    port: args.text('if-name'),
    id: args.number('id'),
    of: list === undefined ? { ip: args.text('ip'), mask: args.text('mask') } : { list },
    limits: asWritten(args, 'limits') ?? '',
  }
}

function showNat({ port, id, of, limits }: Nat): string {
  const whose = 'list' in of ? `access-list ${of.list}` : `${of.ip} ${of.mask}`
  return `nat (${port}) ${id} ${whose}${limits === '' ? '' : ` ${limits}`}`
}

const ROUTE: Spec = {
  syntax: 'route <if-name:name> <net:ipv4> <mask> <gateway:ipv4> [<metric:number>]',
  help: 'Which gateway leads to a network',
  apply: (config, args) =>
    unknownInterface(config, args, 'if-name') ??
    addRoute(config, args, { ip: args.text('net'), mask: args.text('mask') }),
  remove: (config, args) => dropRoute(config, args, { ip: args.text('net'), mask: args.text('mask') }),
  show: ({ routes }) => routes.filter(({ to }) => !to.ip.includes(':')).map(showRoute),
}

const ROUTE6: Spec = {
  syntax: 'ipv6 route <if-name:name> <prefix> <gateway:ip> [<metric:number>]',
  help: 'Which gateway leads to an IPv6 network',
  apply: (config, args) => unknownInterface(config, args, 'if-name') ?? addRoute(config, args, prefixOf(args)),
  remove: (config, args) => dropRoute(config, args, prefixOf(args)),
  show: ({ routes }) => routes.filter(({ to }) => to.ip.includes(':')).map(showRoute),
}

function prefixOf(args: Arguments): Network {
  const { ip, length } = args.get('prefix', PREFIX) ?? { ip: '::', length: 0 }
  return { ip, mask: mask6(length) }
}

function addRoute(config: FirewallConfig, args: Arguments, to: Network): FirewallConfig {
  const metric = args.has('metric') ? { metric: args.number('metric') } : {}
  const next = { port: args.text('if-name'), to, gateway: args.text('gateway'), ...metric }
  return { ...config, routes: put(config.routes, next, showRoute) }
}

function dropRoute(config: FirewallConfig, args: Arguments, to: Network): FirewallConfig {
  const port = args.text('if-name')
  return { ...config, routes: config.routes.filter(each => !sameText([each.port, each.to], [port, to])) }
}

function showRoute({ port, to, gateway, metric }: FirewallConfig['routes'][number]): string {
  const tail = metric === undefined ? '' : ` ${metric}`
  if (to.ip.includes(':')) return `ipv6 route ${port} ${to.ip}/${prefixLength6(to.mask)} ${gateway}${tail}`
  return `route ${port} ${to.ip} ${to.mask} ${gateway}${tail}`
}

/** Below `object network`. */
const OBJECT_NAT: Spec = {
  syntax:
    'nat (<real:name>,<mapped:name>) <kind:static|dynamic> {<to-ip:ip> | <to:name>} [service <protocol:tcp|udp> <real-port:port> <mapped-port:port>] [<options:text...>]',
  mode: 'config-network-object',
  help: 'How this object is called on another interface',
  apply(config, args, at) {
    const wrong = unknownInterface(config, args, 'real') ?? unknownInterface(config, args, 'mapped')
    if (wrong) return wrong
    const next: ObjectNat = {
      object: args.outer?.text('name') ?? '',
      real: args.text('real'),
      mapped: args.text('mapped'),
      isStatic: args.text('kind') === 'static',
      to: args.optional('to-ip') ?? args.text('to'),
      options: asWritten(args, 'options') ?? '',
      ...(args.has('service') && {
        service: {
          protocol: args.text('protocol') as 'tcp',
          realPort: args.number('real-port'),
          mappedPort: args.number('mapped-port'),
        },
      }),
    }
    const order = ({ object }: ObjectNat) => config.objects.objects.findIndex(({ name }) => name === object)
    const objectNats = put(config.objectNats, { ...next, at }, ({ object }) => object)
    return { ...config, objectNats: objectNats.toSorted((one, other) => order(one) - order(other)) }
  },
  show: () => [],
}

export function objectNatLines({ objectNats }: FirewallConfig, name: string): readonly string[] {
  return objectNats
    .filter(({ object }) => object === name)
    .map(({ real, mapped, isStatic, to, service, options }) => {
      const { protocol, realPort, mappedPort } = service ?? {}
      const port =
        protocol === undefined || realPort === undefined || mappedPort === undefined
          ? ''
          : ` service ${protocol} ${showPort(realPort)} ${showPort(mappedPort)}`
      return ` nat (${real},${mapped}) ${isStatic ? 'static' : 'dynamic'} ${to}${port}${options === '' ? '' : ` ${options}`}`
    })
}

export const NAT_COMMANDS: readonly Spec[] = [GLOBAL, NAT, NAT_TWICE, STATIC, STATIC_PORT, STATIC_POLICY, MAILHOST]
export const ROUTE_COMMANDS: readonly Spec[] = [ROUTE, ROUTE6]
export const OBJECT_NAT_COMMANDS: readonly Spec[] = [OBJECT_NAT]
