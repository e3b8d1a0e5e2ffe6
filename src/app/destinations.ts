/** The servers of a next hop, as they are tried one after the other, and what TLS each is held to. */
import { random } from '../io/clock.ts'
import { DnsResolver, systemServers } from '../io/resolver.ts'
import type { Expected } from '../io/tls.ts'
import type { LmtpTarget, MtaConfig } from '../mta/config.ts'
import { exchangersOf, interleave, literalAddress, loops, MOST_ADDRESSES, unaddressed } from '../mta/exchangers.ts'
import type { Hop } from '../mta/hop.ts'
import type { Floor } from '../mta/order.ts'
import type { Resolver } from '../mta/resolver.ts'
import { type ConnectorTls, matchDepth } from '../routing/connector.ts'
import { sameDomain } from '../smtp/address.ts'
import type { Outcome } from '../spool/entry.ts'
import type { MtaWorld } from './mta-world.ts'

/** One address to connect to. */
export interface Server {
  readonly at: LmtpTarget
  /** What DNS called it. */
  readonly host?: string
  readonly tls: ServerTls
}

/** How much TLS there must be with a server, and what it must prove. */
export interface ServerTls {
  readonly floor: Floor
  /** Who wants it so: `connector A-to-B`. */
  readonly by: string
  readonly implicit: boolean
  readonly expected: Expected
}

export type Servers =
  | { readonly kind: 'servers'; readonly servers: readonly Server[] }
  | { readonly kind: 'nowhere'; readonly outcome: Outcome }

/** For people: `mx.b.example [192.0.2.1]`, `192.0.2.1`, or the path of a socket. */
export function sayServer({ at, host }: Server): string {
  if ('socket' in at) return at.socket
  return host === undefined ? at.ip : `${host} [${at.ip}]`
}

export class Destinations {
  readonly #config: MtaConfig
  readonly #world: Pick<MtaWorld, 'files' | 'resolver'>
  readonly #resolver: Resolver

  constructor(config: MtaConfig, world: Pick<MtaWorld, 'files' | 'resolver'>) {
    this.#config = config
    this.#world = world
    this.#resolver = world.resolver ?? new DnsResolver(config.dns.length > 0 ? config.dns : systemServers())
  }

  async of({ name, connector, domain, lmtp }: Hop): Promise<Servers> {
    const { targets, dns, tls } = connector
    if (dns && domain !== undefined) return this.#byDns(name, domain, { port: dns.port, tls })
    const ends: readonly LmtpTarget[] = lmtp ? [lmtp] : targets
    const by = `connector ${name}`
    return { kind: 'servers', servers: ends.map(at => ({ at, tls: this.#tls(tls, by, 'ip' in at ? at.ip : '') })) }
  }

  async #byDns(
    name: string,
    domain: string,
    { port, tls }: { readonly port: number; readonly tls: ConnectorTls | undefined },
  ): Promise<Servers> {
    const own = this.#policyFor(domain)
    const [policy, by] = own ? [own, `destination-tls ${domain}`] : [tls, `connector ${name}`]
    const literal = literalAddress(domain)
    if (literal !== undefined) {
      const at = { ip: literal, port }
      return { kind: 'servers', servers: [{ at, tls: this.#tls(policy, by, literal) }] }
    }
    const answer = await this.#resolver.resolve(domain, 'MX')
    const isOwn = (host: string): boolean => sameDomain(host, this.#config.hostname)
    const found = exchangersOf(domain, answer, { isOwn, random })
    if (found.kind === 'nowhere') return found
    const servers: Server[] = []
    const trouble: string[] = []
    let isOurs = false
    for (const host of found.hosts) {
      if (servers.length >= MOST_ADDRESSES) break
      const { addresses, why } = await this.#addresses(host)
      trouble.push(...why)
      // A name of somebody else's for our own door: what is not better would come back to us.
      isOurs = addresses.some(ip => this.#config.listens.some(each => each.ip === ip && each.port === port))
      if (isOurs) break
      servers.push(...addresses.map(ip => ({ at: { ip, port }, host, tls: this.#tls(policy, by, host) })))
    }
    if (servers.length === 0 && isOurs) return { kind: 'nowhere', outcome: loops(domain) }
    if (servers.length > 0) return { kind: 'servers', servers: servers.slice(0, MOST_ADDRESSES) }
    return { kind: 'nowhere', outcome: unaddressed(domain, found.hosts, trouble) }
  }

  async #addresses(host: string): Promise<{ readonly addresses: readonly string[]; readonly why: readonly string[] }> {
    const answers = await Promise.all([this.#resolver.resolve(host, 'AAAA'), this.#resolver.resolve(host, 'A')])
    const [six = [], four = []] = answers.map(each => (each.kind === 'found' ? each.records : []))
    return {
      addresses: interleave(six, four),
      why: answers.flatMap(each => (each.kind === 'failed' ? [each.why] : [])),
    }
  }

  /** The line that speaks of this domain most particularly. */
  #policyFor(domain: string): ConnectorTls | undefined {
    const ranked = this.#config.domainTls.map(each => ({ ...each, depth: matchDepth(each.space, domain) }))
    return ranked.filter(({ depth }) => depth >= 0).sort((a, b) => b.depth - a.depth)[0]?.tls
  }

  #tls(policy: ConnectorTls | undefined, by: string, name: string): ServerTls {
    const { floor = 'may', implicit = false, authoritiesFile, fingerprint } = policy ?? {}
    const authorities = authoritiesFile === undefined ? undefined : this.#world.files.get(authoritiesFile)
    return {
      floor,
      by,
      implicit,
      expected: {
        name: policy?.name ?? name,
        ...(authorities !== undefined && { authorities }),
        ...(fingerprint !== undefined && { pin: fingerprint }),
      },
    }
  }
}
