import type { SourceRef } from '../base/problem.ts'
import { IP, PREFIX } from '../config/argument.ts'
import type { Arguments } from '../config/grammar.ts'
import { mask6 } from '../config/ip.ts'
import { hostNetwork, type Network } from '../topology/topology.ts'
import {
  type AccessRule,
  type Conduit,
  type NetworkObject,
  type ObjectGroup,
  type Place,
  type PortMatch,
  showAccessRule,
  showConduit,
  showPlace,
  showPortMatch,
} from './access.ts'
import { objectNatLines } from './commands-nat.ts'
import type { FirewallConfig } from './config.ts'
import { networkChoices, networkOf } from './network-words.ts'
import { asWritten, error, named, put, type Spec, unknownInterface } from './objection.ts'

/** The addresses of one side of a line. Names in it begin with `role`. */
function placeSyntax(role: string): string {
  return `{${networkChoices(role)} | object <${role}-object:name> | object-group <${role}-group:name>}`
}

function portSyntax(role: string): string {
  const one = `<${role}-op:eq|neq|lt|gt> <${role}-port:port>`
  return `[{${one} | range <${role}-from:port> <${role}-to:port> | object-group <${role}-ports:name>}]`
}

const SOURCE = placeSyntax('source')
const DESTINATION = placeSyntax('destination')
const OPTIONS = '[{inactive | log [<log-words:text...>] | time-range <time:text...>}]'
const ENDS = `${SOURCE} ${portSyntax('source')} ${DESTINATION} ${portSyntax('destination')}`

function placeOf(args: Arguments, role: string): Place {
  const object = args.optional(`${role}-object`)
  if (object !== undefined) return { object }
  const group = args.optional(`${role}-group`)
  return group === undefined ? networkOf(args, role) : { group }
}

function portOf(args: Arguments, role: string): PortMatch | undefined {
  const group = args.optional(`${role}-ports`)
  if (group !== undefined) return { operator: 'group', group }
  if (args.has(`${role}-op`)) {
    return { operator: args.text(`${role}-op`) as 'eq', from: args.number(`${role}-port`) }
  }
  if (!args.has(`${role}-from`)) return undefined
  return { operator: 'range', from: args.number(`${role}-from`), to: args.number(`${role}-to`) }
}

function optionsOf(args: Arguments): string | undefined {
  if (args.has('inactive')) return 'inactive'
  if (args.has('time-range')) return `time-range ${asWritten(args, 'time')}`
  if (!args.has('log')) return undefined
  const words = asWritten(args, 'log-words')
  return words === undefined ? 'log' : `log ${words}`
}

function protocolOf(args: Arguments): string {
  const group = args.optional('protocol-group')
  return group === undefined ? args.text('protocol').toLowerCase() : `object-group ${group}`
}

function ruleOf(args: Arguments): Omit<AccessRule, 'list'> {
  const sourcePort = portOf(args, 'source')
  const destinationPort = portOf(args, 'destination')
  const options = optionsOf(args)
  return {
    action: args.text('action') as 'permit' | 'deny',
    protocol: protocolOf(args),
    source: placeOf(args, 'source'),
    destination: placeOf(args, 'destination'),
    ...(sourcePort && { sourcePort }),
    ...(destinationPort && { destinationPort }),
    ...(options !== undefined && { options }),
  }
}

const PROTOCOL = '{<protocol:name> | object-group <protocol-group:name>}'

function addRule(config: FirewallConfig, rule: AccessRule, at: SourceRef): FirewallConfig {
  const others = config.accessRules.filter(each => showAccessRule(each) !== showAccessRule(rule))
  return { ...config, accessRules: [...others, { ...rule, at }] }
}

function removeRule(config: FirewallConfig, rule: AccessRule, at: SourceRef) {
  const line = showAccessRule(rule)
  const rest = config.accessRules.filter(each => showAccessRule(each) !== line)
  return rest.length === config.accessRules.length
    ? error('there is no such line', at)
    : { ...config, accessRules: rest }
}

const ACCESS_LIST: Spec = {
  syntax: `access-list <list:name> [extended] <action:permit|deny> ${PROTOCOL} ${ENDS} ${OPTIONS}`,
  help: 'Permit or deny connections; an access-group puts the list in force. Whatever no line speaks of is denied',
  apply: (config, args, at) => addRule(config, { list: args.text('list'), ...ruleOf(args) }, at),
  remove: (config, args, at) => removeRule(config, { list: args.text('list'), ...ruleOf(args) }, at),
  show: ({ accessRules }) => accessRules.map(showAccessRule),
}

function icmpRule(args: Arguments): Conduit {
  const words = [args.optional('type'), optionsOf(args)].filter(word => word !== undefined)
  return {
    action: args.text('action') as 'permit',
    protocol: 'icmp',
    source: placeOf(args, 'source'),
    destination: placeOf(args, 'destination'),
    ...(words.length > 0 && { options: words.join(' ') }),
  }
}

const ACCESS_LIST_ICMP: Spec = {
  syntax: `access-list <list:name> [extended] <action:permit|deny> icmp ${SOURCE} ${DESTINATION} [<type:name>] ${OPTIONS}`,
  help: 'Permit or deny ICMP (kept: it carries no mail)',
  apply: (config, args, at) => addRule(config, { list: args.text('list'), ...icmpRule(args) }, at),
  remove: (config, args, at) => removeRule(config, { list: args.text('list'), ...icmpRule(args) }, at),
  show: () => [],
}

const REMARK: Spec = {
  syntax: 'access-list <list:name> <kind:remark|standard|ethertype|webtype> <rest:text...>',
  help: 'A note, or a list for other things than connections (kept, and not enforced here)',
  apply(config, args) {
    const line = `access-list ${args.text('list')} ${args.text('kind')} ${asWritten(args, 'rest')}`
    return { ...config, remarks: [...config.remarks.filter(each => each !== line), line] }
  },
  remove(config, args) {
    const line = `access-list ${args.text('list')} ${args.text('kind')} ${asWritten(args, 'rest')}`
    return { ...config, remarks: config.remarks.filter(each => each !== line) }
  },
  show: ({ remarks }) => remarks,
}

const CONDUIT: Spec = {
  syntax: `conduit <action:permit|deny> ${PROTOCOL} ${DESTINATION} ${portSyntax('destination')} ${SOURCE} ${portSyntax('source')} ${OPTIONS}`,
  help: 'Let callers in to a global address: first the address that is called, then the caller (PIX, up to 6.3)',
  apply(config, args, at) {
    const conduit: Conduit = ruleOf(args)
    const others = config.conduits.filter(each => showConduit(each) !== showConduit(conduit))
    return { ...config, conduits: [...others, { ...conduit, at }] }
  },
  remove(config, args, at) {
    const line = showConduit(ruleOf(args))
    const rest = config.conduits.filter(each => showConduit(each) !== line)
    return rest.length === config.conduits.length
      ? error('there is no such conduit', at)
      : { ...config, conduits: rest }
  },
  show: ({ conduits }) => conduits.map(showConduit),
}

const CONDUIT_ICMP: Spec = {
  syntax: `conduit <action:permit|deny> icmp ${DESTINATION} ${SOURCE} [<type:name>] ${OPTIONS}`,
  help: 'Let ICMP in (kept: it carries no mail)',
  apply(config, args, at) {
    const conduit = icmpRule(args)
    const others = config.conduits.filter(each => showConduit(each) !== showConduit(conduit))
    return { ...config, conduits: [...others, { ...conduit, at }] }
  },
  show: () => [],
}

const ACCESS_GROUP: Spec = {
  syntax: 'access-group <list:name> <way:in|out> interface <if-name:name>',
  help: 'Ask this access list about what comes in at an interface',
  apply(config, args, at) {
    const wrong = unknownInterface(config, args, 'if-name')
    if (wrong) return wrong
    const [list, port] = [args.text('list'), args.text('if-name')]
    const isOut = args.text('way') === 'out'
    const next = { list, port, ...(isOut && { isOut }), at }
    const key = (each: { readonly port: string; readonly isOut?: boolean }) => `${each.port} ${each.isOut ?? false}`
    const others = config.accessGroups.filter(each => key(each) !== key(next))
    return { ...config, accessGroups: [...others, next] }
  },
  remove: (config, args) => ({
    ...config,
    accessGroups: config.accessGroups.filter(
      ({ list, port, isOut = false }) =>
        port !== args.text('if-name') || list !== args.text('list') || isOut !== (args.text('way') === 'out'),
    ),
  }),
  show: ({ accessGroups }) =>
    accessGroups.map(({ list, port, isOut }) => `access-group ${list} ${isOut ? 'out' : 'in'} interface ${port}`),
}

/* Objects. */

const OBJECT_MODE = 'config-network-object'
const GROUP_MODE = 'config-network-object-group'
const SERVICE_MODE = 'config-service-object-group'

function putObject(config: FirewallConfig, object: NetworkObject): FirewallConfig {
  return { ...config, objects: { ...config.objects, objects: put(config.objects.objects, object, ({ name }) => name) } }
}

function putGroup(config: FirewallConfig, group: ObjectGroup): FirewallConfig {
  const key = ({ kind, name }: ObjectGroup) => `${kind} ${name}`
  // In the order in which they are shown: those of addresses first.
  const groups = put(config.objects.groups, group, key).toSorted((a, b) => a.kind.localeCompare(b.kind))
  return { ...config, objects: { ...config.objects, groups } }
}

const outerName = (args: Arguments): string => args.outer?.text('name') ?? ''

function addressIs(config: FirewallConfig, args: Arguments, is: NetworkObject['is']): FirewallConfig {
  return putObject(config, { name: outerName(args), ...(is && { is }) })
}

const OBJECTS: readonly Spec[] = [
  {
    syntax: 'object network <name>',
    help: 'A name for an address, a network or a range, and how it is translated (ASA from 8.3)',
    enters: OBJECT_MODE,
    apply(config, args) {
      const name = args.text('name')
      return named(config.objects.objects, name) ? config : putObject(config, { name })
    },
    remove: (config, args) => ({
      ...config,
      objects: { ...config.objects, objects: config.objects.objects.filter(({ name }) => name !== args.text('name')) },
      objectNats: config.objectNats.filter(({ object }) => object !== args.text('name')),
    }),
    show: config =>
      config.objects.objects.flatMap(({ name, is }) => [
        `object network ${name}`,
        ...(is === undefined ? [] : [` ${showObject(is)}`]),
        ...objectNatLines(config, name),
      ]),
  },
  {
    syntax: 'host <ip>',
    mode: OBJECT_MODE,
    help: 'One address',
    apply: (config, args) => addressIs(config, args, hostNetwork(args.text('ip'))),
    show: () => [],
  },
  {
    syntax: 'subnet {<ip:ipv4> <mask> | <prefix>}',
    mode: OBJECT_MODE,
    help: 'A network',
    apply: (config, args) => addressIs(config, args, maskedOf(args)),
    show: () => [],
  },
  {
    syntax: 'range <from:ipv4> <to:ipv4>',
    mode: OBJECT_MODE,
    help: 'Addresses from one to another',
    apply: (config, args) => addressIs(config, args, { from: args.text('from'), to: args.text('to') }),
    show: () => [],
  },
  {
    syntax: 'object-group network <name>',
    help: 'A name for several addresses',
    enters: GROUP_MODE,
    apply: (config, args) =>
      config.objects.groups.some(({ kind, name }) => kind === 'network' && name === args.text('name'))
        ? config
        : putGroup(config, { kind: 'network', name: args.text('name'), members: [] }),
    remove: (config, args) => withoutGroup(config, 'network', args.text('name')),
    show: ({ objects }) =>
      objects.groups.flatMap(group =>
        group.kind === 'network'
          ? [`object-group network ${group.name}`, ...group.members.map(each => ` ${showMember(each)}`)]
          : [],
      ),
  },
  {
    syntax: 'network-object {host <host:ip> | object <object:name> | <ip:ipv4> <mask> | <prefix>}',
    mode: GROUP_MODE,
    help: 'An address of this group',
    apply: (config, args) => addMember(config, args, memberOf(args)),
    show: () => [],
  },
  {
    syntax: 'group-object <group:name>',
    mode: GROUP_MODE,
    help: 'The addresses of another group',
    apply: (config, args) => addMember(config, args, { group: args.text('group') }),
    show: () => [],
  },
  {
    syntax: 'object-group service <name> <protocol:tcp|udp|tcp-udp>',
    noSyntax: 'object-group service <name> [<protocol:tcp|udp|tcp-udp>]',
    help: 'A name for several ports',
    enters: SERVICE_MODE,
    apply: (config, args) =>
      config.objects.groups.some(({ kind, name }) => kind === 'service' && name === args.text('name'))
        ? config
        : putGroup(config, {
            kind: 'service',
            name: args.text('name'),
            protocol: args.text('protocol'),
            members: [],
          }),
    remove: (config, args) => withoutGroup(config, 'service', args.text('name')),
    show: ({ objects }) =>
      objects.groups.flatMap(group =>
        group.kind === 'service'
          ? [
              `object-group service ${group.name} ${group.protocol}`,
              ...group.members.map(each => ` port-object${showPortMatch(each)}`),
            ]
          : [],
      ),
  },
  {
    syntax: 'port-object {eq <port> | range <from:port> <to:port>}',
    mode: SERVICE_MODE,
    help: 'A port of this group',
    apply(config, args) {
      const group = config.objects.groups.find(({ kind, name }) => kind === 'service' && name === outerName(args))
      if (group?.kind !== 'service') return config
      const member: PortMatch = args.has('eq')
        ? { operator: 'eq', from: args.number('port') }
        : { operator: 'range', from: args.number('from'), to: args.number('to') }
      return putGroup(config, { ...group, members: put(group.members, member, showPortMatch) })
    },
    show: () => [],
  },
]

function maskedOf(args: Arguments): Network {
  const prefix = args.get('prefix', PREFIX)
  if (prefix) return { ip: prefix.ip, mask: mask6(prefix.length) }
  return { ip: args.text('ip'), mask: args.text('mask') }
}

function memberOf(args: Arguments): Place {
  const host = args.get('host', IP)
  if (host !== undefined) return hostNetwork(host)
  const object = args.optional('object')
  return object === undefined ? maskedOf(args) : { object }
}

function addMember(config: FirewallConfig, args: Arguments, member: Place): FirewallConfig {
  const group = config.objects.groups.find(({ kind, name }) => kind === 'network' && name === outerName(args))
  if (group?.kind !== 'network') return config
  return putGroup(config, { ...group, members: put(group.members, member, showPlace) })
}

function withoutGroup(config: FirewallConfig, kind: ObjectGroup['kind'], name: string): FirewallConfig {
  const groups = config.objects.groups.filter(each => each.kind !== kind || each.name !== name)
  return { ...config, objects: { ...config.objects, groups } }
}

function showMember(place: Place): string {
  if ('group' in place) return `group-object ${place.group}`
  if ('object' in place) return `network-object object ${place.object}`
  // `any` is no member: a network of no bits is written out.
  return `network-object ${showPlain(place)}`
}

function showPlain(place: Network): string {
  const shown = showPlace(place)
  if (!shown.startsWith('any')) return shown
  return place.ip.includes(':') ? `${place.ip}/0` : `${place.ip} ${place.mask}`
}

function showObject(is: NonNullable<NetworkObject['is']>): string {
  if ('from' in is) return `range ${is.from} ${is.to}`
  const shown = showPlain(is)
  return shown.startsWith('host ') ? shown : `subnet ${shown}`
}

/** Groups come before the lists that name them. */
export const OBJECT_COMMANDS: readonly Spec[] = OBJECTS
export const LIST_COMMANDS: readonly Spec[] = [REMARK, ACCESS_LIST, ACCESS_LIST_ICMP]
export const GROUP_COMMANDS: readonly Spec[] = [ACCESS_GROUP, CONDUIT, CONDUIT_ICMP]
