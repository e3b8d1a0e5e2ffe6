import { lower } from '../base/bytes.ts'
import { route } from '../routing/connector.ts'
import { domainKey, formatMailbox, type Mailbox, mailboxKey, parseMailbox } from '../smtp/address.ts'
import type { Answer, Question } from '../smtp/session.ts'
import { holds } from '../topology/topology.ts'
import type { Aliases } from './aliases.ts'
import { KEYED, type MtaConfig } from './config.ts'
import { maySend } from './senders.ts'

/** Is the mailbox one of ours? `postmaster` without a domain always is (RFC 5321 §4.5.1). */
export function isLocal({ localDomains }: Pick<MtaConfig, 'localDomains'>, { local, domain }: Mailbox): boolean {
  if (domain === '') return lower(local) === 'postmaster'
  return KEYED.localDomains.find(localDomains, domainKey(domain)) !== undefined
}

/** Where mail for a local address goes: its own mailbox, or for `postmaster` the first one there is. */
export function mailboxFor(
  { mailboxes, hostname }: Pick<MtaConfig, 'mailboxes' | 'hostname'>,
  to: Mailbox,
): Mailbox | undefined {
  const own = KEYED.mailboxes.find(mailboxes, mailboxKey(to))
  // There always is one (RFC 5321 §4.5.1), even where nobody else has a mailbox.
  return (
    own ?? (lower(to.local) === 'postmaster' ? (mailboxes[0] ?? { local: 'postmaster', domain: hostname }) : undefined)
  )
}

/** May this client send from this address? */
export function acceptSender({ senders }: MtaConfig, { from, login }: Question & { readonly about: 'mail' }): Answer {
  return login === undefined || maySend(senders, login, from) ? { yes: '' } : { no: 'not-your-address' }
}

/** A local part that asks to be sent on: `x%other.example`, `other.example!x`, `"x@other.example"`. */
const ROUTED = /[%!@]/

/** May this client send this there? Relaying is closed unless a line opens it, and there is a way. */
export function acceptRecipient(
  config: MtaConfig,
  { to, peer, login }: Question & { readonly about: 'rcpt' },
  hasWay: (to: Mailbox) => boolean = asked => route(config.routing, asked).kind === 'relay',
  aliases?: Aliases,
): Answer {
  if (isLocal(config, to)) {
    if (aliases?.of(to) || mailboxFor(config, to)) return { yes: '' }
    return { no: ROUTED.test(to.local) ? 'relay-refused' : 'no-such-user' }
  }
  // We keep it for who may ask for it: as good as a mailbox here, whoever sends.
  if (KEYED.turns.find(config.turns, domainKey(to.domain))) return { yes: '' }
  const mayRelay = login !== undefined || config.relayFrom.some(network => holds(network, peer))
  if (to.domain === '' || !mayRelay) return { no: 'relay-refused' }
  return hasWay(to) ? { yes: '' } : { no: 'relay-refused' }
}

/** May it have a session when there are few left, and as many as it wants? Who may relay is one of us. */
export function isKnownPeer({ relayFrom, proxies }: MtaConfig, peer: string): boolean {
  return relayFrom.some(network => holds(network, peer)) || proxies.some(({ network }) => holds(network, peer))
}

/** VRFY, where the configuration lets it tell (RFC 5321 §3.5.3). */
export function verifyAddress(config: MtaConfig, text: string, aliases?: Aliases): Answer {
  const bare = text.replace(/^<|>$/g, '')
  const read = parseMailbox(bare)
  if ('wrong' in read) return { no: 'bad-address', about: read.wrong }
  const domain = read.domain === '' ? (config.localDomains[0] ?? '') : read.domain
  const mailbox = { local: read.local, domain }
  if (!isLocal(config, mailbox)) return { no: 'cannot-verify', about: bare }
  // What an alias stands for is nobody's business.
  const found = aliases?.of(mailbox) ? mailbox : mailboxFor(config, mailbox)
  return found ? { yes: formatMailbox(found) } : { no: 'no-such-user', about: bare }
}
