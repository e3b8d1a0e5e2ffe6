import type { Diagnostic, SourceRef } from '../base/problem.ts'
import { IP, MASK, PORTS, type Ports } from '../config/argument.ts'
import type { Arguments, CommandSpec, Grammar } from '../config/grammar.ts'
import { within } from '../config/within.ts'
import { INTERFACE_COMMANDS, interfaceNamed, known } from '../topology/commands.ts'
import type { Network } from '../topology/topology.ts'
import { type AccessRule, type PortMatch, showAccessRule } from './access.ts'
import { GATEWAY_COMMANDS } from './commands-gateway.ts'
import { EMPTY_FIREWALL, type FirewallConfig, type Static } from './config.ts'
import { defaultFixups, versionNumber } from './versions.ts'

type Spec = CommandSpec<FirewallConfig>

const SMTP: Ports = { from: 25, to: 25 }
const sameText = (a: unknown, b: unknown): boolean => JSON.stringify(a) === JSON.stringify(b)
const samePorts = (a: Ports, b: Ports): boolean => a.from === b.from && a.to === b.to

function error(message: string, at: Diagnostic['at'], hint?: string): { readonly problems: readonly Diagnostic[] } {
  return { problems: [{ severity: 'error', message, ...(at && { at }), ...(hint !== undefined && { hint }) }] }
}

/** The problem, if there is no interface of that name. */
function unknownInterface(config: FirewallConfig, args: Arguments, name: string) {
  const called = args.text(name)
  if (interfaceNamed(config.ports, called)) return undefined
  return error(`no interface is called "${called}"`, args.at(name), known(config.ports))
}

const VERSION: Spec = {
  syntax: 'PIX Version <version:word>',
  help: 'The version this text was written by; it loads the fixups that version had from the start',
  apply(config, args, at) {
    const version = args.text('version')
    if (versionNumber(version) === undefined) {
      return error(`"${version}" is not a PIX version`, args.at('version'), 'expected one such as 6.1(1)')
    }
    const defaults = defaultFixups(version)
    const other = defaults.filter(fixup => !fixup.startsWith('smtp '))
    const smtp = defaults.length > other.length
    return {
      ...config,
      version,
      otherFixups: other,
      smtpFixups: smtp ? [{ ports: SMTP, at, implied: true }] : [],
      disabledFixups: [],
    }
  },
  show: ({ version }) => (version === undefined ? [] : [`PIX Version ${version}`]),
}

const HOSTNAME: Spec = {
  syntax: 'hostname <host:name>',
  help: 'The name of this firewall',
  apply: (config, args) => ({ ...config, hostname: args.text('host') }),
  remove: config => ({ ...config, hostname: EMPTY_FIREWALL.hostname }),
  show: ({ hostname }) => [`hostname ${hostname}`],
}

const FIXUP_SMTP: Spec = {
  syntax: 'fixup protocol smtp [<ports>]',
  help: 'Inspect SMTP on these ports (MailGuard): only HELO MAIL RCPT DATA RSET NOOP QUIT pass, the banner is masked',
  words: { protocol: 'inspect a protocol', smtp: 'SMTP: MailGuard' },
  apply(config, args, at) {
    const ports = args.get('ports', PORTS) ?? SMTP
    return {
      ...config,
      smtpFixups: [...config.smtpFixups.filter(each => !samePorts(each.ports, ports)), { ports, at, implied: false }],
      disabledFixups: config.disabledFixups.filter(each => each !== `smtp ${PORTS.show(ports)}`),
    }
  },
  remove(config, args, at) {
    const ports = args.get('ports', PORTS)
    if (!ports) {
      const message = 'this puts inspection of port 25 back: it clears all ports of smtp and sets the default again'
      const problem: Diagnostic = {
        severity: 'warning',
        message,
        hint: 'to switch it off: no fixup protocol smtp 25',
        at,
      }
      const disabledFixups = config.disabledFixups.filter(each => !each.startsWith('smtp '))
      const smtpFixups = [{ ports: SMTP, at, implied: false }]
      return { problems: [problem], config: { ...config, smtpFixups, disabledFixups } }
    }
    const name = `smtp ${PORTS.show(ports)}`
    const rest = config.smtpFixups.filter(each => !samePorts(each.ports, ports))
    const overlapping = rest.find(each => each.ports.from <= ports.to && each.ports.to >= ports.from)
    if (overlapping && rest.length === config.smtpFixups.length) {
      const set = config.smtpFixups.map(each => `smtp ${PORTS.show(each.ports)}`).join(', ')
      return error(`no fixup of exactly "${name}" is set`, args.at('ports'), `set: ${set}`)
    }
    return { ...config, smtpFixups: rest, disabledFixups: [...new Set([...config.disabledFixups, name])] }
  },
  // What is off comes first: a later line may inspect a range around such a port, which then could not be taken out.
  show: ({ smtpFixups, disabledFixups }) => [
    ...disabledFixups.filter(each => each.startsWith('smtp ')).map(each => `no fixup protocol ${each}`),
    ...smtpFixups.map(({ ports }) => `fixup protocol smtp ${PORTS.show(ports)}`),
  ],
}

const FIXUP_OTHER: Spec = {
  syntax:
    'fixup protocol <protocol:dns|ftp|http|h323|ils|rsh|rtsp|sip|skinny|sqlnet|tftp|icmp|snmp|mgcp|esp-ike> [<how:text...>]',
  help: 'Inspection of another protocol (kept, and not enforced here)',
  words: { protocol: 'inspect a protocol' },
  apply(config, args) {
    const fixup = otherFixup(args)
    return {
      ...config,
      otherFixups: [...config.otherFixups.filter(each => each !== fixup), fixup],
      disabledFixups: config.disabledFixups.filter(each => each !== fixup),
    }
  },
  remove(config, args) {
    const fixup = otherFixup(args)
    return {
      ...config,
      otherFixups: config.otherFixups.filter(each => each !== fixup),
      disabledFixups: [...new Set([...config.disabledFixups, fixup])],
    }
  },
  show: ({ otherFixups, disabledFixups }) => [
    ...otherFixups.map(each => `fixup protocol ${each}`),
    ...disabledFixups.filter(each => !each.startsWith('smtp ')).map(each => `no fixup protocol ${each}`),
  ],
}

function otherFixup(args: Arguments): string {
  return [args.text('protocol'), args.optional('how')].filter(part => part !== undefined).join(' ')
}

const SOURCE = '{any | host <source-host:ip> | <source:ip> <source-mask:mask>}'
const DESTINATION = '{any | host <destination-host:ip> | <destination:ip> <destination-mask:mask>}'
const SOURCE_PORT = '[{<source-op:eq|neq|lt|gt> <source-port:port> | range <source-from:port> <source-to:port>}]'
const PORT = '[{<op:eq|neq|lt|gt> <port> | range <from:port> <to:port>}]'

const ACCESS_LIST: Spec = {
  syntax: `access-list <list:name> [extended] <action:permit|deny> <protocol:word> ${SOURCE} ${SOURCE_PORT} ${DESTINATION} ${PORT}`,
  help: 'Permit or deny connections; an access-group puts the list in force. Whatever no line speaks of is denied',
  apply(config, args, at) {
    const rule = accessRule(args)
    const others = config.accessRules.filter(each => showAccessRule(each) !== showAccessRule(rule))
    return { ...config, accessRules: [...others, { ...rule, at }] }
  },
  remove(config, args, at) {
    const line = showAccessRule(accessRule(args))
    const rest = config.accessRules.filter(each => showAccessRule(each) !== line)
    return rest.length === config.accessRules.length
      ? error('there is no such line', at)
      : { ...config, accessRules: rest }
  },
  show: ({ accessRules }) => accessRules.map(showAccessRule),
}

function accessRule(args: Arguments): AccessRule {
  const sourcePort = portMatch(args, 'source-op', 'source-port', 'source-from', 'source-to')
  const destinationPort = portMatch(args, 'op', 'port', 'from', 'to')
  return {
    list: args.text('list'),
    action: args.text('action') as 'permit' | 'deny',
    protocol: args.text('protocol').toLowerCase(),
    source: network(args, 'source'),
    destination: network(args, 'destination'),
    ...(sourcePort && { sourcePort }),
    ...(destinationPort && { destinationPort }),
  }
}

function network(args: Arguments, name: string): Network {
  const host = args.get(`${name}-host`, IP)
  if (host !== undefined) return { ip: host, mask: '255.255.255.255' }
  const ip = args.get(name, IP)
  const mask = args.get(`${name}-mask`, MASK)
  // `any`; a mask of no bits means the same, whatever address stands before it.
  if (ip === undefined || mask === undefined || mask === '0.0.0.0') return { ip: '0.0.0.0', mask: '0.0.0.0' }
  return { ip, mask }
}

function portMatch(args: Arguments, op: string, port: string, from: string, to: string): PortMatch | undefined {
  if (args.has(op)) return { operator: args.text(op) as 'eq', from: args.number(port) }
  return args.has(from) ? { operator: 'range', from: args.number(from), to: args.number(to) } : undefined
}

const ACCESS_GROUP: Spec = {
  syntax: 'access-group <list:name> in interface <if-name:name>',
  help: 'Ask this access list about what comes in at an interface',
  apply(config, args, at) {
    const wrong = unknownInterface(config, args, 'if-name')
    if (wrong) return wrong
    const [list, port] = [args.text('list'), args.text('if-name')]
    return { ...config, accessGroups: [...config.accessGroups.filter(each => each.port !== port), { list, port, at }] }
  },
  remove: (config, args) => ({
    ...config,
    accessGroups: config.accessGroups.filter(
      each => each.port !== args.text('if-name') || each.list !== args.text('list'),
    ),
  }),
  show: ({ accessGroups }) => accessGroups.map(({ list, port }) => `access-group ${list} in interface ${port}`),
}

const STATIC: Spec = {
  syntax: 'static (<real:name>,<mapped:name>) <mapped-ip:ip> <real-ip:ip> [netmask <mask>] [<limits:text...>]',
  help: 'Let a host behind one interface answer, under an address of its own, on another',
  apply: (config, args, at) => addStatic(config, readStatic(args, false), args, at),
  remove: (config, args, at) => removeStatic(config, readStatic(args, false), at),
  // Those of one port as well: the first that fits a connection decides, so their order must not change.
  show: ({ statics }) => statics.map(showStatic),
}

const STATIC_PORT: Spec = {
  syntax:
    'static (<real:name>,<mapped:name>) tcp <mapped-ip:ip> <mapped-port:port> <real-ip:ip> <real-port:port> [netmask <mask>] [<limits:text...>]',
  help: 'Let one port of a host behind one interface answer, as another port, on another interface',
  apply: (config, args, at) => addStatic(config, readStatic(args, true), args, at),
  remove: (config, args, at) => removeStatic(config, readStatic(args, true), at),
  show: () => [],
}

function readStatic(args: Arguments, redirected: boolean): Static {
  return {
    real: args.text('real'),
    mapped: args.text('mapped'),
    mappedIp: args.text('mapped-ip'),
    realIp: args.text('real-ip'),
    mask: args.get('mask', MASK) ?? '255.255.255.255',
    limits: args.optional('limits') ?? '',
    ...(redirected && {
      redirect: { mappedPort: args.number('mapped-port'), realPort: args.number('real-port') },
    }),
  }
}

function showStatic({ real, mapped, mappedIp, realIp, mask, redirect, limits }: Static): string {
  const from = redirect ? `tcp ${mappedIp} ${redirect.mappedPort}` : mappedIp
  const to = redirect ? `${realIp} ${redirect.realPort}` : realIp
  return `static (${real},${mapped}) ${from} ${to} netmask ${mask}${limits === '' ? '' : ` ${limits}`}`
}

const KEPT_WORDS = [
  ['enable', 'Passwords'],
  ['passwd', 'Passwords'],
  ['domain-name', 'The domain of this firewall'],
  ['names', 'Names for addresses'],
  ['object-group', 'Groups of addresses'],
  ['pager', 'The console'],
  ['mtu', 'Packet sizes'],
  ['ip', 'Address auditing and pools'],
  ['failover', 'A second unit'],
  ['pdm', 'The device manager'],
  ['arp', 'Address resolution'],
  ['timeout', 'How long idle connections live'],
  ['aaa-server', 'Login servers'],
  ['aaa', 'Logins'],
  ['http', 'The device manager'],
  ['snmp-server', 'Monitoring'],
  ['floodguard', 'Floods of logins'],
  ['sysopt', 'Tunnels that end here'],
  ['crypto', 'Tunnels that end here'],
  ['isakmp', 'Tunnels that end here'],
  ['telnet', 'Remote consoles'],
  ['ssh', 'Remote consoles'],
  ['console', 'Remote consoles'],
  ['terminal', 'The console'],
  ['service', 'Resets of refused connections'],
  ['clock', 'The clock'],
  ['dhcpd', 'Addresses for others'],
  ['url-cache', 'Web filtering'],
  ['vpdn', 'Tunnels that end here'],
  ['vpngroup', 'Tunnels that end here'],
] as const

/** Lines that do not concern mail: a whole PIX text must read as it stands. */
const KEPT: readonly Spec[] = KEPT_WORDS.map(([word, what]) => ({
  syntax: `${word} [<rest:text...>]`,
  help: `${what} (kept, and not enforced here)`,
  apply(config, args) {
    const line = [word, args.optional('rest')].filter(part => part !== undefined).join(' ')
    const others = (config.kept[word] ?? []).filter(each => each !== line)
    return { ...config, kept: { ...config.kept, [word]: [...others, line] } }
  },
  remove: config => config,
  show: ({ kept }) => kept[word] ?? [],
}))

const GLOBAL: Spec = {
  syntax: 'global (<if-name:name>) <id:number> <pool:text...>',
  help: 'The addresses that inside hosts borrow on this interface',
  apply: (config, args) =>
    unknownInterface(config, args, 'if-name') ?? {
      ...config,
      globals: [...config.globals, { port: args.text('if-name'), id: args.number('id'), pool: args.text('pool') }],
    },
  remove: (config, args) => ({
    ...config,
    globals: config.globals.filter(
      ({ port, id, pool }) => !sameText([port, id, pool], [args.text('if-name'), args.number('id'), args.text('pool')]),
    ),
  }),
  show: ({ globals }) => globals.map(({ port, id, pool }) => `global (${port}) ${id} ${pool}`),
}

const NAT: Spec = {
  syntax: 'nat (<if-name:name>) <id:number> <ip> <mask> [<limits:text...>]',
  help: 'Let hosts behind this interface out under borrowed addresses',
  apply: (config, args) =>
    unknownInterface(config, args, 'if-name') ?? {
      ...config,
      nats: [
        ...config.nats,
        {
          port: args.text('if-name'),
          id: args.number('id'),
          ip: args.text('ip'),
          mask: args.text('mask'),
          limits: args.optional('limits') ?? '',
        },
      ],
    },
  remove: (config, args) => ({
    ...config,
    nats: config.nats.filter(
      ({ port, id, ip }) => !sameText([port, id, ip], [args.text('if-name'), args.number('id'), args.text('ip')]),
    ),
  }),
  show: ({ nats }) =>
    nats.map(({ port, id, ip, mask, limits }) => `nat (${port}) ${id} ${ip} ${mask}${limits && ` ${limits}`}`),
}

const ROUTE: Spec = {
  syntax: 'route <if-name:name> <net:ip> <mask> <gateway:ip> [<metric:number>]',
  help: 'Which gateway leads to a network',
  apply: (config, args) =>
    unknownInterface(config, args, 'if-name') ?? {
      ...config,
      routes: [
        ...config.routes,
        {
          port: args.text('if-name'),
          to: { ip: args.text('net'), mask: args.text('mask') },
          gateway: args.text('gateway'),
          ...(args.has('metric') && { metric: args.number('metric') }),
        },
      ],
    },
  remove: (config, args) => ({
    ...config,
    routes: config.routes.filter(
      ({ port, to }) => !sameText([port, to.ip, to.mask], [args.text('if-name'), args.text('net'), args.text('mask')]),
    ),
  }),
  show: ({ routes }) =>
    routes.map(
      ({ port, to, gateway, metric }) =>
        `route ${port} ${to.ip} ${to.mask} ${gateway}${metric === undefined ? '' : ` ${metric}`}`,
    ),
}

function addStatic(config: FirewallConfig, next: Static, args: Arguments, at: SourceRef) {
  const wrong = unknownInterface(config, args, 'real') ?? unknownInterface(config, args, 'mapped')
  if (wrong) return wrong
  const others = config.statics.filter(each => showStatic(each) !== showStatic(next))
  return { ...config, statics: [...others, { ...next, at }] }
}

function removeStatic(config: FirewallConfig, next: Static, at: SourceRef) {
  const gone = showStatic({ ...next, limits: '' })
  const rest = config.statics.filter(each => showStatic({ ...each, limits: '' }) !== gone)
  return rest.length === config.statics.length ? error('there is no such static', at) : { ...config, statics: rest }
}

const [NAMEIF, INTERFACE, IP_ADDRESS] = within<FirewallConfig, 'ports'>('ports', INTERFACE_COMMANDS)
const isSpec = (spec: Spec | undefined): spec is Spec => spec !== undefined

/** The PIX text, in the order in which a PIX dumps it. */
export const FIREWALL: Grammar<FirewallConfig> = {
  name: 'firewall',
  empty: EMPTY_FIREWALL,
  commands: [
    VERSION,
    NAMEIF,
    HOSTNAME,
    FIXUP_SMTP,
    FIXUP_OTHER,
    ACCESS_LIST,
    INTERFACE,
    IP_ADDRESS,
    GLOBAL,
    NAT,
    STATIC,
    STATIC_PORT,
    ACCESS_GROUP,
    ROUTE,
    ...within<FirewallConfig, 'gateway'>('gateway', GATEWAY_COMMANDS),
    ...KEPT,
  ].filter(isSpec),
  check(config) {
    return config.accessGroups
      .filter(({ list }) => !config.accessRules.some(rule => rule.list === list))
      .map(({ list, at }) => ({
        severity: 'warning',
        message: `access list ${list} has no lines: everything is denied`,
        at,
      }))
  },
}
