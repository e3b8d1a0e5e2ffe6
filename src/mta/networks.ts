/** Networks as lines name them: with a mask in dots, or an IPv6 network with the length of its prefix. */
import { PREFIX } from '../config/argument.ts'
import type { Arguments } from '../config/grammar.ts'
import { mask6 } from '../config/ip.ts'
import { type Network, prefix } from '../topology/topology.ts'

export const NETWORK = '{<net:ipv4> <mask> | <prefix>}'

export function networkIn(args: Arguments): Network {
  const six = args.get('prefix', PREFIX)
  return six ? { ip: six.ip, mask: mask6(six.length) } : { ip: args.text('net'), mask: args.text('mask') }
}

export function showNetwork(network: Network): string {
  return network.ip.includes(':') ? `${network.ip}/${prefix(network.mask)}` : `${network.ip} ${network.mask}`
}

export function without(networks: readonly Network[], gone: Network): readonly Network[] {
  return networks.filter(each => showNetwork(each) !== showNetwork(gone))
}
