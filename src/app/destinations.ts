/** The servers of a next hop, as they are tried one after the other, and what TLS each is held to. */
import { join } from 'node:path'
import { lower } from '../base/bytes.ts'
import { random } from '../io/clock.ts'
import { isOwnAddress } from '../io/interfaces.ts'
import { DnsResolver, systemServers } from '../io/resolver.ts'
import type { Expected } from '../io/tls.ts'
import { KEYED, type LmtpTarget, type MtaConfig } from '../mta/config.ts'
import { type Dane, daneOf, tlsaName } from '../mta/dane.ts'
import {
  exchangersOf,
  interleave,
  isOwnDoor,
  literalAddress,
  loops,
  MOST_ADDRESSES,
  unaddressed,
} from '../mta/exchangers.ts'
import { type Hop, shownHop } from '../mta/hop.ts'
import { FLOORS, type Floor } from '../mta/order.ts'
import type { Resolver } from '../mta/resolver.ts'
import { isNamed, type StsPolicy } from '../mta/sts.ts'
import { type ConnectorTls, spacesOver } from '../routing/connector.ts'
import { addressLiteral, aLabels, domainKey } from '../smtp/address.ts'
import type { Outcome } from '../spool/entry.ts'
import type { MtaWorld } from './mta-world.ts'
import { StsPolicies } from './sts.ts'

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
  /** That it is a server of the domain is only what DNS says, and nobody vouches for it. */
  readonly isHearsay?: boolean
}

export type Servers =
  | { readonly kind: 'servers'; readonly servers: readonly Server[] }
  | { readonly kind: 'nowhere'; readonly outcome: Outcome }

/** For people: `mx.b.example [192.0.2.1]`, `192.0.2.1`, or the path of a socket. */
export function sayServer({ at, host }: Server): string {
  if ('socket' in at) return at.socket
  return host === undefined ? at.ip : `${host} [${at.ip}]`
}

/** For other programs: `mx.b.example`, `[192.0.2.1]`; a socket is nobody. */
export function remoteOf({ at, host }: Server): string | undefined {
  return host ?? ('ip' in at ? addressLiteral(at.ip) : undefined)
}

export class Destinations {
  readonly #config: MtaConfig
  readonly #world: DestinationWorld
  readonly #resolver: Resolver
  readonly #policies: StsPolicies

  constructor(config: MtaConfig, world: DestinationWorld) {
    this.#config = config
    this.#world = world
    this.#resolver = world.resolver ?? new DnsResolver(config.dns.length > 0 ? config.dns : systemServers())
    const { folder } = world.spool
    this.#policies = new StsPolicies({
      resolver: this.#resolver,
      note: what => this.#note(what),
      ...(folder !== undefined && { file: join(folder, POLICIES) }),
      ...(world.fetchPolicy && { fetch: world.fetchPolicy }),
    })
  }

  start(): void {
    if (this.#config.mtaSts) this.#policies.start()
  }

  stop(): void {
    this.#policies.stop()
  }

  async of(hop: Hop): Promise<Servers> {
    const { connector, domain, lmtp } = hop
    const { targets, dns, tls } = connector
    if (dns && domain !== undefined) return this.#byDns(hop, domain, dns.port)
    const ends: readonly LmtpTarget[] = lmtp ? [lmtp] : targets
    const by = `connector ${shownHop(hop)}`
    return {
      kind: 'servers',
      servers: ends.map(at => ({ at, tls: this.#byLine({ tls, by }, 'ip' in at ? at.ip : '') })),
    }
  }

  async #byDns({ name, connector }: Hop, domain: string, port: number): Promise<Servers> {
    const said = this.#lineFor(domain)
    const line: Line = said
      ? { tls: said, by: `destination-tls ${domain}` }
      : { tls: connector.tls, by: `connector ${name}` }
    const literal = literalAddress(domain)
    if (literal !== undefined) {
      if (this.#isOurs(literal, port)) return { kind: 'nowhere', outcome: loops(domain) }
      return { kind: 'servers', servers: [{ at: { ip: literal, port }, tls: this.#byLine(line, literal) }] }
    }
    const answer = await this.#resolver.resolve(domain, 'MX')
    const own = domainKey(this.#config.hostname)
    // The DNS has names in A-labels.
    const isOwn = (host: string): boolean => lower(host) === own
    const found = exchangersOf(domain, answer, { isOwn, random })
    if (found.kind === 'nowhere') return found
    const { hosts, unnamed, sts } = await this.#named(domain, found.hosts, line)
    if (hosts.length === 0) return { kind: 'nowhere', outcome: unnamed }
    const servers: Server[] = []
    const trouble: string[] = []
    let isOurs = false
    for (const host of hosts) {
      if (servers.length >= MOST_ADDRESSES) break
      const { addresses, why, isSecure } = await this.#addresses(host)
      trouble.push(...why)
      // A name of somebody else's for our own door: what is not better would come back to us.
      isOurs = addresses.some(ip => this.#isOurs(ip, port))
      if (isOurs) break
      const dane = await this.#dane(host, { port, isSecure: isSecure && found.isSecure })
      if (dane.kind === 'unknown') trouble.push(`${tlsaName(host, port)}: ${dane.why}`)
      else {
        const tls = this.#tls(line, host, { domain, dane, sts, isSecure: found.isSecure })
        servers.push(...addresses.map(ip => ({ at: { ip, port }, host, tls })))
      }
    }
    if (servers.length === 0 && isOurs) return { kind: 'nowhere', outcome: loops(domain) }
    if (servers.length > 0) return { kind: 'servers', servers: servers.slice(0, MOST_ADDRESSES) }
    return { kind: 'nowhere', outcome: unaddressed(domain, hosts, trouble) }
  }

  #isOurs(ip: string, port: number): boolean {
    return isOwnDoor(this.#config.listens, { ip, port }, isOwnAddress)
  }

  async #addresses(host: string): Promise<Addresses> {
    const answers = await Promise.all([this.#resolver.resolve(host, 'AAAA'), this.#resolver.resolve(host, 'A')])
    const [six = [], four = []] = answers.map(each => (each.kind === 'found' ? each.records : []))
    return {
      addresses: interleave(six, four),
      why: answers.flatMap(each => (each.kind === 'failed' ? [each.why] : [])),
      isSecure: answers.some(each => each.kind === 'found' && each.isSecure),
    }
  }

  /** The servers that the domain's MTA-STS policy names, where there is one that counts. */
  async #named(domain: string, hosts: readonly string[], { tls }: Line): Promise<Named> {
    const unnamed = unaddressed(domain, hosts, [])
    // As `#tls` has it: a line that is as strict as a policy, or says `none`, has the last word.
    const isSettled = tls !== undefined && (tls.floor === 'none' || isStrict(tls.floor))
    const sts = this.#config.mtaSts && !isSettled ? await this.#policies.of(domain) : undefined
    if (!sts || sts.mode === 'none') return { hosts, unnamed, sts: undefined }
    const strangers = hosts.filter(host => !isNamed(sts, host))
    if (strangers.length > 0) {
      this.#note(`the MTA-STS policy of ${domain} (${sts.mode}) does not name ${strangers.join(', ')}`)
    }
    if (sts.mode === 'testing') return { hosts, unnamed, sts: undefined }
    const why = `the MTA-STS policy of ${domain} names none of its servers: ${strangers.join(', ')}`
    return {
      hosts: hosts.filter(host => isNamed(sts, host)),
      unnamed: { kind: 'deferred', by: { status: '4.7.5', why } },
      sts,
    }
  }

  async #dane(host: string, { port, isSecure }: { readonly port: number; readonly isSecure: boolean }): Promise<Dane> {
    if (!isSecure) return { kind: 'none' }
    return daneOf(await this.#resolver.resolve(tlsaName(host, port), 'TLSA'), isSecure)
  }

  /** The line that speaks of this domain most particularly. */
  #lineFor(domain: string): ConnectorTls | undefined {
    for (const space of spacesOver(domain)) {
      const line = KEYED.domainTls.find(this.#config.domainTls, space)
      if (line) return line.tls
    }
    return undefined
  }

  /**
   * Of a line and what the domain says of itself, whichever asks for more; DANE before MTA-STS, for a policy must not do away
   * with what DNSSEC vouches for (RFC 8461 §2). A line that is as strict as they are, or says `none`, has the last word.
   */
  #tls(line: Line, host: string, { domain, dane, sts, isSecure }: Wishes): ServerTls {
    const own = this.#byLine(line, host)
    if (own.floor === 'none') return isSecure ? own : { ...own, isHearsay: true }
    if (isStrict(own.floor)) return own
    if (dane.kind === 'records') {
      const expected = { name: host, otherNames: [aLabels(domain)], tlsa: dane.records }
      return { ...own, floor: 'verify', by: `DANE for ${host}`, expected }
    }
    if (sts) return { ...own, floor: 'verify', by: `the MTA-STS policy of ${domain}`, expected: { name: host } }
    if (dane.kind === 'encrypted') return { ...own, floor: 'require', by: `DANE for ${host}` }
    return isSecure ? own : { ...own, isHearsay: true }
  }

  #byLine({ tls: policy, by }: Line, name: string): ServerTls {
    const { floor = 'may', implicit = false, authoritiesFile, fingerprint } = policy ?? {}
    const authorities = authoritiesFile === undefined ? undefined : this.#world.files.get(authoritiesFile)
    return {
      floor,
      by,
      implicit,
      expected: {
        // Certificates are for A-labels (RFC 5280 §7.2).
        name: aLabels(policy?.name ?? name),
        ...(authorities !== undefined && { authorities }),
        ...(fingerprint !== undefined && { pin: fingerprint }),
      },
    }
  }

  #note(what: string): void {
    this.#world.events?.note?.(what)
  }
}

/** Must the server prove who it is? */
function isStrict(floor: Floor): boolean {
  return FLOORS.indexOf(floor) >= FLOORS.indexOf('verify')
}

/** What a configuration says of TLS, and where. */
interface Line {
  readonly tls: ConnectorTls | undefined
  readonly by: string
}

interface Addresses {
  readonly addresses: readonly string[]
  /** What could not be looked up. */
  readonly why: readonly string[]
  readonly isSecure: boolean
}

interface Named {
  readonly hosts: readonly string[]
  /** What becomes of mail where none is left. */
  readonly unnamed: Outcome
  /** The policy, where it is to be enforced. */
  readonly sts: StsPolicy | undefined
}

interface Wishes {
  readonly domain: string
  readonly dane: Dane
  readonly sts: StsPolicy | undefined
  /** The list of servers was validated. */
  readonly isSecure: boolean
}

type DestinationWorld = Pick<MtaWorld, 'files' | 'resolver' | 'spool' | 'events' | 'fetchPolicy'>

/** In the folder of the spool. */
const POLICIES = 'mta-sts.json'
