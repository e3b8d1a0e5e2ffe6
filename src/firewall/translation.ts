import { formatIpv4, formatIpv6, parseIpv4, parseIpv6 } from '../config/ip.ts'
import { interfaceNamed } from '../topology/commands.ts'
import { holds, hostNetwork, type Network } from '../topology/topology.ts'
import { type Caller, isAt } from './access.ts'
import type { FirewallConfig, Placed, Static } from './config.ts'

const known = new WeakMap<FirewallConfig, readonly Placed<Static>[]>()

/** Every translation that lets somebody be reached: `static`, `mailhost`, and the `nat … static` of an object. */
export function staticsOf(config: FirewallConfig): readonly Placed<Static>[] {
  const found = known.get(config) ?? collect(config)
  known.set(config, found)
  return found
}

function collect(config: FirewallConfig): readonly Placed<Static>[] {
  return [
    ...config.statics.map(each => ({ ...each, mappedIp: mappedAddress(config, each.mapped, each.mappedIp) })),
    ...config.mailhosts.map(({ global, local, limits, at }) => ({
      ...{ real: 'inside', mapped: 'outside', mappedIp: global, realIp: local, limits, at },
      mask: hostNetwork(local).mask,
      redirect: { protocol: 'tcp', mappedPort: 25, realPort: 25 } as const,
    })),
    ...config.objectNats.flatMap(({ object, real, mapped, isStatic, to, service, at }) => {
      const is = config.objects.objects.find(({ name }) => name === object)?.is
      const target = config.objects.objects.find(({ name }) => name === to)?.is
      if (!isStatic || !is || !('ip' in is)) return []
      const mappedIp = target && 'ip' in target ? target.ip : mappedAddress(config, mapped, to)
      const redirect = service && { redirect: service }
      return [{ real, mapped, mappedIp, realIp: is.ip, mask: is.mask, limits: '', at, ...redirect }]
    }),
  ]
}

function mappedAddress({ ports }: FirewallConfig, mapped: string, ip: string): string {
  return ip === 'interface' ? (interfaceNamed(ports, mapped)?.network?.ip ?? ip) : ip
}

/** The real address behind a mapped one: the host part stays, as `static` translates whole networks. */
export function untranslate({ mappedIp, realIp, mask, redirect }: Static, caller: Caller): Caller | undefined {
  if (redirect && (redirect.protocol !== 'tcp' || redirect.mappedPort !== caller.port)) return undefined
  if (!holds({ ip: mappedIp, mask }, caller.destination)) return undefined
  const destination = mixed(realIp, caller.destination, mask)
  return destination === undefined ? undefined : { ...caller, destination, port: redirect?.realPort ?? caller.port }
}

/** The address by which a server is called that was seen at this one, before the translation or behind it. */
export function mappedFor(translation: Static, server: string): string | undefined {
  const { mappedIp, mask } = translation
  if (holds({ ip: mappedIp, mask }, server)) return server
  return covers(translation, server) ? mixed(mappedIp, server, mask) : undefined
}

/** The network of the one address and the host part of the other; `undefined` where their families differ. */
function mixed(network: string, host: string, mask: string): string | undefined {
  const [n, h, m] = [network, host, mask].map(parseIpv4)
  if (n !== undefined && h !== undefined && m !== undefined) return formatIpv4(((n & m) | (h & ~m)) >>> 0)
  const [n6, h6, m6] = [network, host, mask].map(parseIpv6)
  if (!n6 || !h6 || !m6) return undefined
  return formatIpv6(m6.map((bits, i) => ((n6[i] ?? 0) & bits) | ((h6[i] ?? 0) & ~bits & 0xffff)))
}

/** Has this source a translation to leave by: a static of its own, or addresses to borrow? */
export function isTranslated(config: FirewallConfig, from: string, to: string, source: string): boolean {
  if (!needsTranslation(config)) return true
  return (
    staticsOf(config).some(each => each.real === from && each.mapped === to && covers(each, source)) ||
    config.nats.some(each => each.port === from && natCovers(config, each.of, source)) ||
    config.objectNats.some(
      ({ isStatic, real, object }) => !isStatic && real === from && isAt({ object }, source, config.objects),
    )
  )
}

/** Is this address of `from` left as it is, both ways, towards the other (`nat (from) 0 access-list`)? */
export function isExempt(config: FirewallConfig, from: string, address: string, other: string): boolean {
  const lists = config.nats.flatMap(({ port, id, of }) => (port === from && id === 0 && 'list' in of ? [of.list] : []))
  return config.accessRules.some(
    rule =>
      lists.includes(rule.list) &&
      rule.action === 'permit' &&
      isAt(rule.source, address, config.objects) &&
      isAt(rule.destination, other, config.objects),
  )
}

/** From 7.0 on traffic passes without a translation (`no nat-control`). */
export function needsTranslation({ product, version }: FirewallConfig): boolean {
  return product !== 'ASA' && !(product === 'PIX' && /^[7-9]\./.test(version ?? ''))
}

function natCovers(config: FirewallConfig, of: Network | { readonly list: string }, source: string): boolean {
  if (!('list' in of)) return holds(of, source)
  return config.accessRules.some(
    rule => rule.list === of.list && rule.action === 'permit' && isAt(rule.source, source, config.objects),
  )
}

function covers({ realIp, mask }: Static, source: string): boolean {
  return holds({ ip: realIp, mask }, source)
}
