import type { Diagnostic } from '../base/problem.ts'
import { PREFIX, SECURITY } from '../config/argument.ts'
import type { Arguments, CommandSpec, Effect } from '../config/grammar.ts'
import { mask6, prefixLength6 } from '../config/ip.ts'
import type { Interface, Network } from './topology.ts'

/** A firewall's interfaces as its configuration names them. */
export interface InterfacesConfig {
  readonly interfaces: readonly NamedInterface[]
  /** `interface <device> <speed>`: kept and shown. */
  readonly devices: readonly { readonly device: string; readonly rest: string }[]
  /** `interface <device>` with lines of its own below it, as since 7.0. */
  readonly blocks: readonly InterfaceBlock[]
}

export interface NamedInterface extends Interface {
  readonly network?: Network
  readonly network6?: Network
  /** The address of a second unit. */
  readonly standby?: string
  /** `dhcp`, or `dhcp setroute`: its address comes from elsewhere. */
  readonly dhcp?: string
}

export interface InterfaceBlock {
  readonly device: string
  /** Lines that are kept as they stand: `shutdown`, `duplex full`, `no ip address`. */
  readonly kept: readonly string[]
}

export const NO_INTERFACES: InterfacesConfig = { interfaces: [], devices: [], blocks: [] }

export function interfaceNamed({ interfaces }: InterfacesConfig, name: string): NamedInterface | undefined {
  return interfaces.find(each => each.name === name)
}

/** The hint after `no interface is called …`. */
export function known({ interfaces }: InterfacesConfig): string {
  return interfaces.length === 0 ? 'none is named yet' : `known: ${interfaces.map(({ name }) => name).join(', ')}`
}

type Spec = CommandSpec<InterfacesConfig>

/** Below `interface <device>`. */
const MODE = 'config-if'

function refuse(message: string, at: Diagnostic['at'], hint?: string): { readonly problems: readonly Diagnostic[] } {
  return { problems: [{ severity: 'error', message, ...(at && { at }), ...(hint !== undefined && { hint }) }] }
}

function change(config: InterfacesConfig, name: string, next: Partial<NamedInterface>): InterfacesConfig {
  return { ...config, interfaces: config.interfaces.map(each => (each.name === name ? { ...each, ...next } : each)) }
}

/** Gives a device a name and a level; what else is known of it stays. */
function named(config: InterfacesConfig, args: Arguments, { device, level }: { device: string; level?: number }) {
  const name = args.text('if-name')
  const taken = config.interfaces.find(each => each.name === name && each.device !== device)
  if (taken) return refuse(`${taken.device} is called "${name}" already`, args.at('if-name'))
  const before = config.interfaces.find(each => each.device === device)
  // As an ASA gives them: what is called inside is trusted.
  const next = { level: name === 'inside' ? 100 : 0, ...before, device, name, ...(level !== undefined && { level }) }
  return { ...config, interfaces: inOrder(config, [...config.interfaces.filter(each => each.device !== device), next]) }
}

/** Those of a line of their own first, then those of the blocks, as they are shown. */
function inOrder({ blocks }: InterfacesConfig, interfaces: readonly NamedInterface[]): readonly NamedInterface[] {
  const place = ({ device }: NamedInterface): number => blocks.findIndex(each => each.device === device)
  return interfaces.toSorted((one, other) => place(one) - place(other))
}

const NAMEIF: Spec = {
  syntax: 'nameif <device:name> <if-name:name> <security>',
  help: 'Name an interface and give it a security level; mail from a lower to a higher level is inbound',
  apply: (config, args) =>
    named(config, args, { device: args.text('device'), level: args.get('security', SECURITY) ?? 0 }),
  remove: (config, args) => ({
    ...config,
    interfaces: config.interfaces.filter(each => each.device !== args.text('device')),
  }),
  show: ({ interfaces, blocks }) =>
    interfaces
      .filter(({ device }) => !blocks.some(block => block.device === device))
      .map(({ device, name, level }) => `nameif ${device} ${name} ${SECURITY.show(level)}`),
}

const INTERFACE: Spec = {
  syntax: 'interface <device:name> <setting...>',
  help: 'Speed and duplex of an interface (kept, and without effect here)',
  apply: (config, args) => ({
    ...config,
    devices: [
      ...config.devices.filter(each => each.device !== args.text('device')),
      { device: args.text('device'), rest: args.text('setting') },
    ],
  }),
  show: ({ devices }) => devices.map(({ device, rest }) => `interface ${device} ${rest}`),
}

const BLOCK: Spec = {
  syntax: 'interface <device:name>',
  help: 'An interface, with its name, level and address in the lines below (PIX and ASA from 7.0)',
  enters: MODE,
  apply(config, args) {
    const device = args.text('device')
    if (config.blocks.some(each => each.device === device)) return config
    return { ...config, blocks: [...config.blocks, { device, kept: [] }] }
  },
  show: ({ blocks, interfaces }) =>
    blocks.flatMap(({ device, kept }) => {
      const found = interfaces.find(each => each.device === device)
      return [`interface ${device}`, ...kept.map(line => ` ${line}`), ...(found ? showNamed(found) : [])]
    }),
}

function showNamed({ name, level, network, network6, standby, dhcp }: NamedInterface): readonly string[] {
  return [
    ` nameif ${name}`,
    ` security-level ${level}`,
    ...(network
      ? [` ip address ${network.ip} ${network.mask}${standby === undefined ? '' : ` standby ${standby}`}`]
      : []),
    ...(dhcp === undefined ? [] : [` ip address ${dhcp}`]),
    ...(network6 ? [` ipv6 address ${network6.ip}/${prefixLength6(network6.mask)}`] : []),
  ]
}

const deviceOf = (args: Arguments): string => args.outer?.text('device') ?? ''

/** Of a line below `interface`: the interface there, which must have a name. */
function withName(
  config: InterfacesConfig,
  args: Arguments,
  what: string,
  then: (found: NamedInterface) => Effect<InterfacesConfig>,
): Effect<InterfacesConfig> {
  const found = config.interfaces.find(({ device }) => device === deviceOf(args))
  return found ? then(found) : refuse(`${deviceOf(args)} has no name yet`, args.at(what), 'expected nameif first')
}

function keep(config: InterfacesConfig, args: Arguments, line: string): InterfacesConfig {
  const blocks = config.blocks.map(each =>
    each.device === deviceOf(args) ? { ...each, kept: [...each.kept.filter(one => one !== line), line] } : each,
  )
  return { ...config, blocks }
}

const IN_BLOCK: readonly Spec[] = [
  {
    syntax: 'nameif <if-name:name>',
    noSyntax: 'nameif [<if-name:name>]',
    mode: MODE,
    help: 'The name of this interface; inside gets level 100, any other 0',
    apply: (config, args) => named(config, args, { device: deviceOf(args) }),
    remove: (config, args) => ({
      ...keep(config, args, 'no nameif'),
      interfaces: config.interfaces.filter(({ device }) => device !== deviceOf(args)),
    }),
    show: () => [],
  },
  {
    syntax: 'security-level <level>',
    noSyntax: 'security-level [<level>]',
    mode: MODE,
    help: 'How far this interface is trusted; mail from a lower to a higher level is inbound',
    apply: (config, args) =>
      withName(config, args, 'level', ({ name }) => change(config, name, { level: args.number('level') })),
    remove: (config, args) => keep(config, args, 'no security-level'),
    show: () => [],
  },
  {
    syntax: 'ip address {<ip:ipv4> <mask> [standby <standby-ip:ipv4>] | dhcp [setroute]}',
    noSyntax: 'ip address [<rest:text...>]',
    mode: MODE,
    help: 'The address of this interface',
    apply: (config, args) =>
      withName(config, args, 'address', ({ name }) =>
        args.has('dhcp')
          ? change(config, name, { dhcp: args.has('setroute') ? 'dhcp setroute' : 'dhcp' })
          : change(config, name, {
              network: { ip: args.text('ip'), mask: args.text('mask') },
              ...(args.has('standby') && { standby: args.text('standby-ip') }),
            }),
      ),
    remove: (config, args) => keep(config, args, 'no ip address'),
    show: () => [],
  },
  {
    syntax: 'ipv6 address <prefix> [standby <standby-ip:ip>]',
    mode: MODE,
    help: 'The IPv6 address of this interface, with the length of its prefix',
    apply: (config, args) =>
      withName(config, args, 'prefix', ({ name }) => {
        const { ip, length } = args.get('prefix', PREFIX) ?? { ip: '::', length: 0 }
        return change(config, name, { network6: { ip, mask: mask6(length) } })
      }),
    show: () => [],
  },
  ...(
    [
      ['description', 'What it is for'],
      ['shutdown', 'Switched off'],
      ['speed', 'How fast it is'],
      ['duplex', 'Whether both sides may talk at once'],
      ['vlan', 'The VLAN it is'],
      ['switchport', 'The VLANs it carries'],
      ['management-only', 'No traffic through it'],
      ['mac-address', 'Its hardware address'],
      ['channel-group', 'The bundle it belongs to'],
      ['member-interface', 'The interfaces it bundles'],
      ['ipv6', 'Its other settings of IPv6'],
      ['delay', 'Its delay'],
      ['flowcontrol', 'Its flow control'],
    ] as const
  ).map(
    ([word, help]): Spec => ({
      syntax: `${word} [<rest:text...>]`,
      mode: MODE,
      help: `${help} (kept, and without effect here)`,
      apply: (config, args) => keep(config, args, [word, args.optional('rest')].filter(Boolean).join(' ')),
      remove: (config, args) => keep(config, args, ['no', word, args.optional('rest')].filter(Boolean).join(' ')),
      show: () => [],
    }),
  ),
]

const IP_ADDRESS: Spec = {
  syntax: 'ip address <if-name:name> {<ip:ipv4> <mask> | dhcp [setroute]}',
  help: 'The address and mask of an interface',
  words: { address: 'the address and mask of an interface' },
  apply(config, args) {
    const name = args.text('if-name')
    if (!interfaceNamed(config, name)) {
      return refuse(`no interface is called "${name}"`, args.at('if-name'), known(config))
    }
    if (args.has('dhcp')) return change(config, name, { dhcp: args.has('setroute') ? 'dhcp setroute' : 'dhcp' })
    return change(config, name, { network: { ip: args.text('ip'), mask: args.text('mask') } })
  },
  show: ({ interfaces, blocks }) =>
    interfaces
      .filter(({ device }) => !blocks.some(block => block.device === device))
      .flatMap(({ name, network, dhcp }) => [
        ...(network ? [`ip address ${name} ${network.ip} ${network.mask}`] : []),
        ...(dhcp === undefined ? [] : [`ip address ${name} ${dhcp}`]),
      ]),
}

/** In the order in which a firewall dumps them: names, then devices, then addresses. */
export const INTERFACE_COMMANDS: readonly Spec[] = [NAMEIF, INTERFACE, BLOCK, ...IN_BLOCK, IP_ADDRESS]
