/** The mail servers of a domain, in the order in which they are tried (RFC 5321 §5.1). */
import { lower } from '../base/bytes.ts'
import type { Random } from '../base/id.ts'
import { canonicalIp, isLoopback, unmapped } from '../config/ip.ts'
import { domainKey, sameDomain } from '../smtp/address.ts'
import type { Outcome } from '../spool/entry.ts'
import type { Listen } from './config.ts'
import type { DnsAnswer, Records } from './resolver.ts'

/** Servers of a domain that are looked at; a domain can name as many as it likes. */
export const MOST_EXCHANGERS = 10
/** Addresses of all of them that are tried for one message, one after the other. */
export const MOST_ADDRESSES = 10

export type Exchangers =
  /** `isSecure`: the list was validated by DNSSEC. */
  | { readonly kind: 'hosts'; readonly hosts: readonly string[]; readonly isSecure: boolean }
  | { readonly kind: 'nowhere'; readonly outcome: Outcome }

/**
 * The hosts to try, best first, those of one preference in an order of chance. `isOwn` tells our own names: whoever stands in
 * the list leaves out itself and all that are not better, so that mail does not go round.
 */
export function exchangersOf(
  domain: string,
  answer: DnsAnswer<Records['MX']>,
  { isOwn, random }: { readonly isOwn: (host: string) => boolean; readonly random: Random },
): Exchangers {
  switch (answer.kind) {
    case 'failed':
      return nowhere('deferred', '4.4.3', `the mail servers of ${domain} cannot be looked up: ${answer.why}`)
    case 'no-such-name':
      return nowhere('failed', '5.1.2', `there is no domain ${domain}`)
    case 'empty':
      // Without MX the domain itself is its server, if it has an address.
      return { kind: 'hosts', hosts: [domainKey(domain)], isSecure: answer.isSecure }
    default:
  }
  const named = answer.records.filter(({ host }) => host !== '')
  // RFC 7505 §4.2; no server said it, so there is no 556 to quote.
  if (named.length === 0) return nowhere('failed', '5.1.10', `${domain} takes no mail: it has a null MX`)
  const own = Math.min(...named.filter(({ host }) => isOwn(host)).map(({ preference }) => preference))
  const better = named.filter(({ preference }) => preference < own)
  if (better.length === 0) return { kind: 'nowhere', outcome: loops(domain) }
  const drawn = better.map(each => ({ ...each, lot: lotOf(random) }))
  drawn.sort((a, b) => a.preference - b.preference || a.lot - b.lot)
  // There may be thousands, and of what is not looked at no A-labels are made.
  const first = [...new Set(drawn.map(({ host }) => lower(host)))].slice(0, MOST_EXCHANGERS)
  const hosts = [...new Set(first.map(domainKey))]
  return { kind: 'hosts', hosts, isSecure: answer.isSecure }
}

/** The address behind an address literal (RFC 5321 §4.1.3), which is asked of nobody; nothing where it is none. */
export function literalAddress(domain: string): string | undefined {
  const [, literal] = /^\[(.*)\]$/.exec(domain) ?? []
  if (literal === undefined) return undefined
  return /^\d+\.\d+\.\d+\.\d+$/.test(literal) ? literal : /^IPv6:([0-9A-Fa-f:.]+)$/i.exec(literal)?.[1]
}

/** One of each family in turn: where one of the two leads nowhere, the other is not far. */
export function interleave(six: readonly string[], four: readonly string[]): readonly string[] {
  const longest = Math.max(six.length, four.length)
  const pairs = Array.from({ length: longest }, (_, i) => [six[i], four[i]])
  return pairs.flat().filter(address => address !== undefined)
}

/**
 * Would a connection there come to a door of ours? Then what is sent would come back until it has no hops left. `isOwn`: is it
 * an address of this machine.
 */
export function isOwnDoor(
  listens: readonly Pick<Listen, 'ip' | 'port'>[],
  { ip, port }: { readonly ip: string; readonly port: number },
  isOwn: (ip: string) => boolean,
): boolean {
  const to = unmapped(canonicalIp(ip) ?? ip)
  // Whoever connects to no address at all stays on this machine.
  const stays = UNSPECIFIED.has(to)
  return listens.some(door => {
    if (door.port !== port) return false
    if (door.ip === to || stays) return true
    const isOfAll = UNSPECIFIED.has(door.ip) && door.ip.includes(':') === to.includes(':')
    return isOfAll && (isLoopback(to) || isOwn(to))
  })
}

const UNSPECIFIED: ReadonlySet<string> = new Set(['0.0.0.0', '::'])

/** What becomes of mail for a domain whose best server is ourselves, and that is none of ours. */
export function loops(domain: string): Outcome {
  return { kind: 'failed', by: { status: '5.4.6', why: `mail for ${domain} comes back to us: we are its best server` } }
}

/** What becomes of mail for a domain none of whose servers has an address. */
export function unaddressed(domain: string, hosts: readonly string[], why: readonly string[]): Outcome {
  if (why.length > 0) {
    const by = { status: '4.4.3', why: `the addresses of ${hosts.join(', ')} cannot be looked up: ${why[0]}` }
    return { kind: 'deferred', by }
  }
  const itself = hosts.length === 1 && sameDomain(hosts[0] ?? '', domain)
  const by = itself
    ? { status: '5.1.2', why: `${domain} has neither a mail server nor an address` }
    : { status: '5.4.4', why: `no mail server of ${domain} has an address: ${hosts.join(', ')}` }
  return { kind: 'failed', by }
}

function nowhere(kind: 'deferred' | 'failed', status: string, why: string): Exchangers {
  return { kind: 'nowhere', outcome: { kind, by: { status, why } } }
}

function lotOf(random: Random): number {
  const [a = 0, b = 0] = random(2)
  return a * 256 + b
}
