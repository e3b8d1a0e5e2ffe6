import { IP, MASK, SECURITY } from '../config/argument.ts'
import type { CommandSpec } from '../config/grammar.ts'
import type { Interface, Network } from './topology.ts'

/** A firewall's interfaces as its configuration names them. */
export interface InterfacesConfig {
  readonly interfaces: readonly NamedInterface[]
  /** `interface <device> <speed>`: kept and shown. */
  readonly devices: readonly { readonly device: string; readonly rest: string }[]
}

export interface NamedInterface extends Interface {
  readonly network?: Network
}

export const NO_INTERFACES: InterfacesConfig = { interfaces: [], devices: [] }

export function interfaceNamed({ interfaces }: InterfacesConfig, name: string): NamedInterface | undefined {
  return interfaces.find(each => each.name === name)
}

/** The hint after `no interface is called …`. */
export function known({ interfaces }: InterfacesConfig): string {
  return interfaces.length === 0 ? 'none is named yet' : `known: ${interfaces.map(({ name }) => name).join(', ')}`
}

export const INTERFACE_COMMANDS: readonly CommandSpec<InterfacesConfig>[] = [
  {
    syntax: 'nameif <device:name> <if-name:name> <security>',
    help: 'Name an interface and give it a security level; mail from a lower to a higher level is inbound',
    apply(config, args) {
      const [device, name] = [args.text('device'), args.text('if-name')]
      const level = args.get('security', SECURITY) ?? 0
      const taken = config.interfaces.find(each => each.name === name && each.device !== device)
      if (taken) {
        const message = `${taken.device} is called "${name}" already`
        return { problems: [{ severity: 'error', message, at: args.at('if-name') }] }
      }
      const before = config.interfaces.find(each => each.device === device)
      const next = { ...before, device, name, level }
      const others = config.interfaces.filter(each => each.device !== device)
      return { ...config, interfaces: [...others, next] }
    },
    remove: (config, args) => ({
      ...config,
      interfaces: config.interfaces.filter(each => each.device !== args.text('device')),
    }),
    show: ({ interfaces }) =>
      interfaces.map(({ device, name, level }) => `nameif ${device} ${name} ${SECURITY.show(level)}`),
  },
  {
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
  },
  {
    syntax: 'ip address <if-name:name> <ip> <mask>',
    help: 'The address and mask of an interface',
    words: { address: 'the address and mask of an interface' },
    apply(config, args) {
      const name = args.text('if-name')
      const found = interfaceNamed(config, name)
      if (!found) {
        const message = `no interface is called "${name}"`
        return { problems: [{ severity: 'error', message, hint: known(config), at: args.at('if-name') }] }
      }
      const network = { ip: args.get('ip', IP) ?? '', mask: MASK.show(args.get('mask', MASK) ?? '') }
      const interfaces = config.interfaces.map(each => (each === found ? { ...each, network } : each))
      return { ...config, interfaces }
    },
    show: ({ interfaces }) =>
      interfaces.flatMap(({ name, network }) => (network ? [`ip address ${name} ${network.ip} ${network.mask}`] : [])),
  },
]
