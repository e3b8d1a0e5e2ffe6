/** A small firewall language which the tests of this folder share. The name keeps it out of the published package. */

import type { Diagnostic, SourceRef } from '../base/problem.ts'
import { IP, MASK, PORTS, type Ports, SECURITY } from './argument.ts'
import type { Arguments, CommandSpec, Grammar } from './grammar.ts'
import { quote } from './text.ts'

export interface Sample {
  readonly hostname?: string
  readonly interfaces: readonly { readonly hardware: string; readonly name: string; readonly level: number }[]
  readonly addresses: readonly Address[]
  readonly inspections: readonly Ports[]
  readonly lists: readonly Entry[]
  readonly statics: readonly Static[]
  readonly groups: readonly { readonly list: string; readonly name: string; readonly at?: SourceRef }[]
  readonly banner?: string
}

export type Address =
  | { readonly kind: 'dhcp'; readonly name: string }
  | { readonly kind: 'fixed'; readonly name: string; readonly ip: string; readonly mask: string }

/** `undefined` is `any`; without a mask a single host. */
type Ends = { readonly ip: string; readonly mask?: string } | undefined

export interface Entry {
  readonly list: string
  readonly action: string
  readonly protocol: string
  readonly source: Ends
  readonly target: Ends
  readonly port?: number
}

export interface Static {
  readonly real: string
  readonly mapped: string
  readonly mappedIp: string
  readonly realIp: string
  readonly mask?: string
  readonly max?: number
  readonly embryonic?: number
}

type Spec = CommandSpec<Sample>

function same(a: unknown, b: unknown): boolean {
  return JSON.stringify(a) === JSON.stringify(b)
}

/** The configuration without the places it was read from. */
export function withoutPlaces(config: Sample): Sample {
  return { ...config, groups: config.groups.map(({ list, name }) => ({ list, name })) }
}

function unknownInterface(config: Sample, name: string, at: SourceRef | undefined): Diagnostic {
  const hint = `known: ${config.interfaces.map(each => each.name).join(', ')}`
  return { severity: 'error', message: `no interface is called "${name}"`, hint, ...(at ? { at } : {}) }
}

const hostname: Spec = {
  syntax: 'hostname <name>',
  help: 'The name this firewall gives itself',
  noSyntax: 'hostname',
  apply: (config, args) => ({ ...config, hostname: args.text('name') }),
  remove: ({ hostname: _, ...config }) => config,
  show: ({ hostname }) => (hostname === undefined ? [] : [`hostname ${hostname}`]),
}

const nameif: Spec = {
  syntax: 'nameif <hardware:name> <name> <security>',
  help: 'Name an interface, and say how far it is trusted',
  words: { hardware: 'the device, such as ethernet0' },
  apply(config, args) {
    const next = {
      hardware: args.text('hardware'),
      name: args.text('name'),
      level: args.get('security', SECURITY) ?? 0,
    }
    const others = config.interfaces.filter(each => each.hardware !== next.hardware)
    const taken = others.find(each => each.name === next.name)
    if (!taken) return { ...config, interfaces: [...others, next] }
    const message = `${taken.hardware} is called "${next.name}" already`
    return { problems: [{ severity: 'error', message, at: args.at('name') }] }
  },
  show: ({ interfaces }) => interfaces.map(each => `nameif ${each.hardware} ${each.name} security${each.level}`),
}

const ipAddress: Spec = {
  syntax: 'ip address <name> {dhcp | <ip> <mask>}',
  help: 'The address of an interface',
  words: { name: 'the name of an interface', dhcp: 'Ask a DHCP server' },
  apply(config, args) {
    const name = args.text('name')
    const ip = args.get('ip', IP)
    const next: Address =
      ip === undefined ? { kind: 'dhcp', name } : { kind: 'fixed', name, ip, mask: args.get('mask', MASK) ?? '' }
    return { ...config, addresses: [...config.addresses.filter(each => each.name !== name), next] }
  },
  noSyntax: 'ip address <name> [{dhcp | <ip> <mask>}]',
  remove: (config, args) => ({
    ...config,
    addresses: config.addresses.filter(each => each.name !== args.text('name')),
  }),
  show: ({ addresses }) =>
    addresses.map(each => `ip address ${each.name} ${each.kind === 'dhcp' ? 'dhcp' : `${each.ip} ${each.mask}`}`),
}

const ipAudit: Spec = {
  syntax: 'ip audit name <name> info|attack',
  help: 'Watch for signatures',
  apply: (_, args) => ({
    problems: [{ severity: 'error', message: `nothing is audited here (${args.has('attack') ? 'attack' : 'info'})` }],
  }),
  show: () => [],
}

const fixup: Spec = {
  syntax: 'fixup protocol smtp <ports>',
  help: 'Inspect SMTP on these ports',
  apply(config, args) {
    const ports = args.get('ports', PORTS)
    if (!ports) return config
    const old = config.inspections.filter(each => same(each, ports))
    const inspections = [...config.inspections.filter(each => !same(each, ports)), ports]
    if (old.length === 0) return { ...config, inspections }
    const message = 'these ports are inspected already'
    return { config, problems: [{ severity: 'warning', message, at: args.at('ports') }] }
  },
  remove: (config, args) => ({
    ...config,
    inspections: config.inspections.filter(each => !same(each, args.get('ports', PORTS))),
  }),
  show: ({ inspections }) => inspections.map(ports => `fixup protocol smtp ${PORTS.show(ports)}`),
}

function ends(args: Arguments, name: string): Ends {
  const ip = args.optional(name)
  const mask = args.optional(`${name}-mask`)
  return ip === undefined ? undefined : { ip, ...(mask === undefined ? {} : { mask }) }
}

function entry(args: Arguments): Entry {
  const port = args.optional('port') === undefined ? {} : { port: args.number('port') }
  const [list, action, protocol] = [args.text('list'), args.text('action'), args.text('protocol')]
  return { list, action, protocol, source: ends(args, 'source'), target: ends(args, 'target'), ...port }
}

function showEnds(ends: Ends): string {
  if (!ends) return 'any'
  return ends.mask === undefined ? `host ${ends.ip}` : `${ends.ip} ${ends.mask}`
}

const accessList: Spec = {
  syntax:
    'access-list <list:name> <action:permit|deny> <protocol:tcp|udp|ip> ' +
    '{any | host <source:ip> | <source:ip> <source-mask>} {any | host <target:ip> | <target:ip> <target-mask>} ' +
    '[eq <port>]',
  help: 'Say which connections may exist; the first line that fits decides',
  words: { permit: 'Let it through', deny: 'Refuse it', any: 'Any address', host: 'One address' },
  apply: (config, args) => ({ ...config, lists: [...config.lists, entry(args)] }),
  remove(config, args) {
    const gone = config.lists.findIndex(each => same(each, entry(args)))
    return { ...config, lists: config.lists.filter((_, i) => i !== gone) }
  },
  show: ({ lists }) =>
    lists.map(({ list, action, protocol, source, target, port }) => {
      const eq = port === undefined ? '' : ` eq ${port}`
      return `access-list ${list} ${action} ${protocol} ${showEnds(source)} ${showEnds(target)}${eq}`
    }),
}

const staticCommand: Spec = {
  syntax:
    'static (<real:name>,<mapped:name>) <mapped-ip> <real-ip> [netmask <mask>] [<max:number> [<embryonic:number>]]',
  help: 'Let an address of one interface be seen as another on a second one',
  apply(config, args) {
    const max = args.get<number>('max')
    const embryonic = args.get<number>('embryonic')
    const mask = args.optional('mask')
    const next: Static = {
      real: args.text('real'),
      mapped: args.text('mapped'),
      mappedIp: args.text('mapped-ip'),
      realIp: args.text('real-ip'),
      ...(mask === undefined ? {} : { mask }),
      ...(max === undefined ? {} : { max }),
      ...(embryonic === undefined ? {} : { embryonic }),
    }
    const stranger = ['real', 'mapped'].find(name => !config.interfaces.some(each => each.name === args.text(name)))
    if (stranger) return { problems: [unknownInterface(config, args.text(stranger), args.at(stranger))] }
    return { ...config, statics: [...config.statics, next] }
  },
  remove(config, args) {
    const isMeant = (each: Static): boolean =>
      each.mappedIp === args.text('mapped-ip') && each.realIp === args.text('real-ip')
    return { ...config, statics: config.statics.filter(each => !isMeant(each)) }
  },
  show: ({ statics }) =>
    statics.map(({ real, mapped, mappedIp, realIp, mask, max, embryonic }) =>
      [`static (${real},${mapped})`, mappedIp, realIp, mask && `netmask ${mask}`, max, embryonic]
        .filter(each => each !== undefined)
        .join(' '),
    ),
}

const accessGroup: Spec = {
  syntax: 'access-group <list:name> in interface <name>',
  help: 'Judge what enters by an interface with an access list',
  apply: (config, args) => ({
    ...config,
    groups: [...config.groups, { list: args.text('list'), name: args.text('name'), at: args.at('name') }],
  }),
  remove: (config, args) => ({
    ...config,
    groups: config.groups.filter(each => each.list !== args.text('list') || each.name !== args.text('name')),
  }),
  show: ({ groups }) => groups.map(({ list, name }) => `access-group ${list} in interface ${name}`),
}

const banner: Spec = {
  syntax: 'banner motd <text...>',
  help: 'What a console says to whom it greets',
  apply: (config, args) => ({ ...config, banner: args.text('text') }),
  noSyntax: 'banner motd [<text...>]',
  remove: ({ banner: _, ...config }) => config,
  show: ({ banner }) => (banner === undefined ? [] : [`banner motd ${quote(banner)}`]),
}

export const EMPTY: Sample = { interfaces: [], addresses: [], inspections: [], lists: [], statics: [], groups: [] }

export const SAMPLE: Grammar<Sample> = {
  name: 'sample',
  empty: EMPTY,
  commands: [nameif, hostname, fixup, accessList, ipAddress, ipAudit, staticCommand, accessGroup, banner],
  check: config =>
    config.groups
      .filter(({ name }) => !config.interfaces.some(each => each.name === name))
      .map(({ name, at }) => unknownInterface(config, name, at)),
}
