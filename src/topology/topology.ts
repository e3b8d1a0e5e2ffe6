import { mask6, parseIpv4, parseIpv6, prefixLength6 } from '../config/ip.ts'

/** 0 is trusted least, 100 most. */
export type SecurityLevel = number

/** An interface of a firewall, as it is named in its configuration. */
export interface Interface {
  readonly name: string
  readonly device: string
  readonly level: SecurityLevel
}

export type Direction = 'inbound' | 'outbound' | 'lateral'

/** Inbound is from a lower security level to a higher one: there, and only there, MailGuard looks. */
export function direction(from: Interface, to: Interface): Direction {
  if (from.level === to.level) return 'lateral'
  return from.level < to.level ? 'inbound' : 'outbound'
}

/** A connection passing a firewall: in by one interface, out by another. The case study in one type. */
export interface Crossing {
  readonly node: string
  readonly from: Interface
  readonly to: Interface
  readonly direction: Direction
}

export function crossing(node: string, from: Interface, to: Interface): Crossing {
  return { node, from, to, direction: direction(from, to) }
}

/** Addresses with a mask: both in dots, or both as IPv6 addresses (`ffff:ffff::`). */
export interface Network {
  readonly ip: string
  readonly mask: string
  /** Without it a mask of no bits in dots holds the addresses of IPv6 as well. */
  readonly only?: 4
}

export const ANYWHERE: Network = { ip: '0.0.0.0', mask: '0.0.0.0' }

/** A single host, of either family. */
export function hostNetwork(ip: string): Network {
  return { ip, mask: ip.includes(':') ? mask6(128) : '255.255.255.255' }
}

/** Does the network hold the address? One of another family is held by `ANYWHERE` alone. */
export function holds({ ip, mask, only }: Network, address: string): boolean {
  if (mask === '0.0.0.0') return only === undefined || parseIpv4(address) !== undefined
  if (ip.includes(':')) {
    const [a, b, m] = [parseIpv6(ip), parseIpv6(address), parseIpv6(mask)]
    return !!a && !!b && !!m && m.every((bits, i) => ((a[i] ?? 0) & bits) === ((b[i] ?? 0) & bits))
  }
  const [a, b, m] = [parseIpv4(ip), parseIpv4(address), parseIpv4(mask)]
  return a !== undefined && b !== undefined && m !== undefined && (a & m) === (b & m)
}

/** How many bits of the mask are set: the longer prefix is the more particular route. */
export function prefix(mask: string): number {
  if (mask.includes(':')) return prefixLength6(mask) ?? 0
  let rest = parseIpv4(mask) ?? 0
  let bits = 0
  for (; rest !== 0; rest = (rest << 1) >>> 0) bits++
  return bits
}

export type NodeKind = 'mta' | 'firewall' | 'vpn' | 'host'

export interface Node {
  readonly name: string
  readonly kind: NodeKind
  readonly site: string
  readonly attachments: readonly Attachment[]
  readonly routes: readonly Route[]
}

/** Where a node touches a segment; `port` is the interface's name on a firewall. */
export interface Attachment {
  readonly segment: string
  readonly port: string
  readonly ip: string
  readonly mask: string
}

/** Where packets for a network go: to a gateway on a segment, or through the tunnel to a peer. */
export interface Route {
  readonly to: Network
  readonly via: { readonly gateway: string } | { readonly tunnel: string }
}

export interface Topology {
  readonly nodes: ReadonlyMap<string, Node>
}
