import { lower } from '../base/bytes.ts'
import { route } from '../routing/connector.ts'
import { type Mailbox, sameDomain, sameMailbox } from '../smtp/address.ts'
import type { Answer, Question } from '../smtp/server.ts'
import { holds } from '../topology/topology.ts'
import type { MtaConfig } from './config.ts'

/** Is the mailbox one of ours? `postmaster` without a domain always is (RFC 5321 §4.5.1). */
export function isLocal({ localDomains }: MtaConfig, { local, domain }: Mailbox): boolean {
  if (domain === '') return lower(local) === 'postmaster'
  return localDomains.some(each => sameDomain(each, domain))
}

/** Where mail for a local address goes: its own mailbox, or for `postmaster` the first one there is. */
export function mailboxFor({ mailboxes }: MtaConfig, to: Mailbox): Mailbox | undefined {
  return mailboxes.find(each => sameMailbox(each, to)) ?? (lower(to.local) === 'postmaster' ? mailboxes[0] : undefined)
}

/** May this client send this there? Relaying is closed unless a line opens it. */
export function acceptRecipient(
  config: MtaConfig,
  peer: string,
  { to, login }: Question & { readonly about: 'rcpt' },
): Answer {
  if (isLocal(config, to)) return mailboxFor(config, to) ? { yes: '' } : { no: 'no-such-user' }
  const mayRelay = login !== undefined || config.relayFrom.some(network => holds(network, peer))
  if (to.domain === '' || !mayRelay) return { no: 'relay-refused' }
  return route(config.routing, to).kind === 'relay' ? { yes: '' } : { no: 'relay-refused' }
}
