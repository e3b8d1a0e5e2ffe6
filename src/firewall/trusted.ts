/** Lists of who is trusted, as lines name them: a host, a network, and never everybody. */
import { PREFIX } from '../config/argument.ts'
import type { Arguments } from '../config/grammar.ts'
import { mask6 } from '../config/ip.ts'
import { hostNetwork, type Network } from '../topology/topology.ts'
import { showNetwork } from './access.ts'
import { error } from './objection.ts'

export const TRUSTED_SYNTAX = '{host <host:ip> | <net:ipv4> <mask> | <prefix>}'

function read(args: Arguments): Network {
  const prefix = args.get('prefix', PREFIX)
  if (prefix) return { ip: prefix.ip, mask: mask6(prefix.length) }
  const host = args.optional('host')
  return host === undefined ? { ip: args.text('net'), mask: args.text('mask') } : hostNetwork(host)
}

/** The list without what the line names. */
export function distrust(networks: readonly Network[], args: Arguments): readonly Network[] {
  const gone = showNetwork(read(args))
  return networks.filter(each => showNetwork(each) !== gone)
}

/** The list with what the line names, or what is wrong with it. */
export function trust(networks: readonly Network[], args: Arguments): readonly Network[] | ReturnType<typeof error> {
  const next = read(args)
  if (next.mask === '0.0.0.0' || next.mask === '::') {
    const at = args.has('mask') ? args.at('mask') : args.at('prefix')
    return error('this names everybody', at, 'expected the network of those who are meant')
  }
  return [...distrust(networks, args), next]
}
