import { IP, IPV4, PREFIX } from '../config/argument.ts'
import type { Arguments } from '../config/grammar.ts'
import { mask6 } from '../config/ip.ts'
import { ANYWHERE, hostNetwork, type Network } from '../topology/topology.ts'

/** Addresses in a line: all, one, or a network of either family. `showNetwork` of `access.ts` writes what this reads. */
export function networkChoices(role = ''): string {
  const r = role === '' ? '' : `${role}-`
  return `<${r}any:any|any4|any6> | host <${r}host:ip> | <${r}net:ipv4> <${r}mask:mask> | <${r}prefix:prefix>`
}

/** What a line says that has these words in its syntax. */
export function networkOf(args: Arguments, role = ''): Network {
  const r = role === '' ? '' : `${role}-`
  const host = args.get(`${r}host`, IP)
  if (host !== undefined) return hostNetwork(host)
  const prefix = args.get(`${r}prefix`, PREFIX)
  if (prefix) return { ip: prefix.length === 0 ? '::' : prefix.ip, mask: mask6(prefix.length) }
  const any = args.optional(`${r}any`)
  if (any === 'any6') return { ip: '::', mask: '::' }
  if (any === 'any4') return { ...ANYWHERE, only: 4 }
  const ip = args.get(`${r}net`, IPV4)
  const mask = args.text(`${r}mask`)
  // `any`; a mask of no bits means the same, whatever address stands before it.
  return ip === undefined || mask === '0.0.0.0' ? ANYWHERE : { ip, mask }
}
