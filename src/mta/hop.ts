import { isLoopback } from '../config/ip.ts'
import { type Connector, PLAIN } from '../routing/connector.ts'
import { domainKey, type Mailbox } from '../smtp/address.ts'
import type { LmtpTarget, MtaConfig } from './config.ts'

/** Whom sessions are with, and how they are held. Lanes, back-offs and memories go by its name. */
export interface Hop {
  /** `A-to-B`, `out b.example`; of a store one that no connector can have. For people: `shownHop`. */
  readonly name: string
  readonly connector: Connector
  /** The domain whose servers DNS is asked for, where the connector leaves it to DNS. */
  readonly domain?: string
  /** The mailboxes of this very server, behind LMTP. */
  readonly lmtp?: LmtpTarget
}

/** The next hop of mail that takes a connector: one for all of it, or one for each domain. */
export function hopOf(connector: Connector, { domain }: Mailbox): Hop {
  const { name, dns } = connector
  return dns ? { name: `${name} ${domainKey(domain)}`, connector, domain } : { name, connector }
}

/** The far end of a connector, for a session without mail. */
export function visitOf(connector: Connector): Hop {
  return { name: connector.name, connector }
}

const AT = { file: '', line: 0, column: 0, length: 0, text: '' }
/** What a session with a store on this machine, or beside it, needs of a connector. */
const STORE: Connector = {
  ...PLAIN,
  name: 'lmtp',
  kind: 'smtp',
  groups: [],
  cost: 1,
  targets: [],
  tls: { floor: 'none', implicit: false },
  isHeld: false,
  at: AT,
}

export function lmtpHop(lmtp: LmtpTarget): Hop {
  return { name: `:${STORE.name}`, connector: STORE, lmtp }
}

/**
 * Is the store on this machine? Handing it mail is delivery then, and not a step on the way: what a message asks of its way
 * is over (RFC 8689 §4.4).
 */
export function isHere(lmtp: LmtpTarget): boolean {
  return 'socket' in lmtp || isLoopback(lmtp.ip)
}

/** As operators name it: `A-to-B`, `out b.example`, `lmtp`. */
export function shownHop({ name, connector, lmtp }: Hop): string {
  return lmtp ? connector.name : name
}

/** Which next hops, by their names, are by one configuration what they are by another: what is known of them holds on. */
export function sameHops(before: MtaConfig, after: MtaConfig): (hop: string) => boolean {
  // Where a line stands makes no difference.
  const said = (what: unknown) => JSON.stringify(what, (key, value) => (key === 'at' ? undefined : value))
  const known = new Map(before.routing.connectors.map(each => [each.name, said(each)]))
  const same = new Set(
    after.routing.connectors.filter(each => known.get(each.name) === said(each)).map(({ name }) => name),
  )
  const isSameStore = said(before.lmtp) === said(after.lmtp)
  return hop => {
    if (hop === `:${STORE.name}`) return isSameStore
    return same.has(hop) || same.has(hop.slice(0, Math.max(0, hop.lastIndexOf(' '))))
  }
}
