/** Which addresses somebody who has logged in may send from. */
import {
  domainKey,
  formatMailbox,
  isDomain,
  type Mailbox,
  mailboxKey,
  parseMailbox,
  type ReversePath,
} from '../smtp/address.ts'

/** One address, all of a domain, or any. */
export type Senders =
  | { readonly kind: 'address'; readonly mailbox: Mailbox }
  | { readonly kind: 'domain'; readonly domain: string }
  | { readonly kind: 'any' }

/** `login` `*`: everybody who has no line of their own. */
export interface SenderLine {
  readonly login: string
  readonly may: readonly Senders[]
}

export const EVERYBODY = '*'

/** `alice@a.example`, `@a.example`, `*`, with blanks between them. */
export function parseSenders(text: string): readonly Senders[] | { readonly wrong: string } {
  const words = text.split(/\s+/)
  const found: Senders[] = []
  for (const word of words) {
    const domain = word.startsWith('@') ? word.slice(1) : undefined
    const mailbox = parseMailbox(word)
    if (word === '*') found.push({ kind: 'any' })
    else if (domain !== undefined && isDomain(domain)) found.push({ kind: 'domain', domain })
    else if (domain === undefined && !('wrong' in mailbox) && mailbox.domain !== '')
      found.push({ kind: 'address', mailbox })
    else return { wrong: word }
  }
  return found.length === 0 ? { wrong: text } : found
}

export function formatSenders(may: readonly Senders[]): string {
  const words = may.map(each =>
    each.kind === 'any' ? '*' : each.kind === 'domain' ? `@${each.domain}` : formatMailbox(each.mailbox),
  )
  return words.join(' ')
}

/** May this login send from this address? Where no line speaks of it, from any; and a report, which is from nobody, always. */
export function maySend(lines: readonly SenderLine[], login: string, from: ReversePath): boolean {
  const line = lines.find(each => each.login === login) ?? lines.find(each => each.login === EVERYBODY)
  if (!line || from === null) return true
  const may = known.get(line) ?? keysOf(line)
  known.set(line, may)
  return may.has(EVERYBODY) || may.has(`@${domainKey(from.domain)}`) || may.has(mailboxKey(from))
}

/** What a line lets through, as addresses are compared: no mailbox begins with an `@`, as a domain does here. */
const known = new WeakMap<SenderLine, ReadonlySet<string>>()

function keysOf({ may }: SenderLine): ReadonlySet<string> {
  const keys = may.map(each => {
    if (each.kind === 'any') return EVERYBODY
    return each.kind === 'domain' ? `@${domainKey(each.domain)}` : mailboxKey(each.mailbox)
  })
  return new Set(keys)
}
