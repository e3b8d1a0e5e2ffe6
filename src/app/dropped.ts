/** A message that a program of this machine left while no server ran: whether it may be sent on, and to whom. */
import type { Instant } from '../base/time.ts'
import type { Dropped } from '../io/drop-folder.ts'
import type { Envelope } from '../mail/envelope.ts'
import type { MessageForm } from '../mail/form.ts'
import { trailed, triedNews } from '../mta/news.ts'
import { formatMailbox, isAscii, type Mailbox, parseMailbox } from '../smtp/address.ts'
import { checkMailParams, checkRcptParams } from '../smtp/extension.ts'
import type { Params } from '../smtp/params.ts'
import type { Outcome, RecipientState, SpoolEntry } from '../spool/entry.ts'

/** What became of it: kept (`isOver`: nobody may have it, and its sender is to be told); not now; or never, and why. */
export type Taken =
  | { readonly yes: string; readonly isOver: boolean }
  | { readonly later: string }
  | { readonly wrong: string }

/**
 * What its owner may say of it, held to what a client may say; or what is wrong with that. Whatever else is in the record is
 * ours to know.
 */
export function envelopeOfDropped({ record }: Dropped, most: number): Envelope | { readonly wrong: string } {
  const { ret, envid, from, body, ...given } = record.entry.envelope
  const recipients = given.recipients.map(({ to, notify }) => ({ to, ...(notify !== undefined && { notify }) }))
  if (recipients.length === 0 || recipients.length > most)
    return { wrong: `it has ${recipients.length} recipients, and may have ${most}` }
  if (body === 'binarymime') return { wrong: 'its content is binary' }
  const addresses = [from, ...recipients.map(({ to }) => to)]
  const odd = addresses.find(each => each !== null && !isMailbox(each))
  if (odd) return { wrong: `not an address: ${formatMailbox(odd)}` }
  const asked = [
    checkMailParams([...paramOf('RET', ret), ...paramOf('ENVID', envid)], DSN),
    ...recipients.map(({ notify }) => checkRcptParams(paramOf('NOTIFY', notify), DSN)),
  ].find(each => 'wrong' in each)
  if (asked && 'wrong' in asked) return { wrong: asked.wrong }
  return {
    from,
    recipients,
    body,
    smtputf8: !addresses.every(each => each === null || isAscii(each.local + each.domain)),
    ...(ret && { ret }),
    ...(envid !== undefined && { envid }),
  }
}

const DSN: ReadonlySet<string> = new Set(['DSN'])

function paramOf(keyword: string, value: string | undefined): Params {
  return value === undefined ? [] : [{ keyword, value }]
}

/** Would it be read as what it says? */
function isMailbox(mailbox: Mailbox): boolean {
  const read = parseMailbox(formatMailbox(mailbox))
  return !('wrong' in read) && read.local === mailbox.local && read.domain === mailbox.domain
}

/** Whoever wrote it need not have been our command: what is sent on must be lines, and the message that was meant. */
export function whatIsWrong(form: MessageForm, { record: { entry }, isWhole }: Dropped): string | undefined {
  if (!isWhole()) return 'its content is not what was written'
  const parts = [form.header, form.body]
  if (parts.some(({ hasStray }) => hasStray) || !form.isEnded) return 'its content is not in lines that end with CRLF'
  if (entry.envelope.body === '7bit' && parts.some(({ eightBit }) => eightBit)) return 'its content has 8-bit octets'
  return undefined
}

/** The entry without those who may not have it: they are given up. `refused`: their addresses. */
export function withoutRefused(entry: SpoolEntry, refused: ReadonlySet<string>, at: Instant): SpoolEntry {
  if (refused.size === 0) return entry
  const outcome: Outcome = { kind: 'failed', by: { status: '5.7.1', why: 'it may not be relayed from here' } }
  const isRefused = entry.envelope.recipients.map(({ to }) => refused.has(formatMailbox(to)))
  const recipients = entry.recipients.map(
    (state, i): RecipientState => (isRefused[i] ? { kind: 'done', at, outcome } : state),
  )
  let next: SpoolEntry = { ...entry, recipients }
  for (const [i, is] of isRefused.entries()) if (is) next = trailed(next, triedNews(next, i, { outcome, now: at }), at)
  return next
}
