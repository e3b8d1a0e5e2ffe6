import { upper } from '../base/bytes.ts'
import type { Instant } from '../base/time.ts'
import type { Reply } from './reply.ts'

/** What an EHLO reply offers: keyword, in upper case, → its arguments. */
export interface Capabilities {
  /** What the server calls itself: the first word of the first line, which is never a keyword. */
  readonly name: string
  readonly keywords: ReadonlyMap<string, readonly string[]>
}

/** What a server can do for one client at the moment its EHLO list is made. */
export interface Offer {
  /** Octets of a message. */
  readonly maxSize: number
  readonly maxRecipients: number
  readonly maxMessages: number
  /** How the client may log in now. */
  readonly mechanisms: readonly string[]
  readonly loggedIn: boolean
  readonly now: Instant
  readonly secured: boolean
  /** Is there a certificate to start TLS with? */
  readonly startTls: boolean
  /** What works here beyond mail: keywords of `EXTENSIONS`, as `ETRN`. */
  readonly services: ReadonlySet<string>
}

export const NO_CAPABILITIES: Capabilities = { name: '', keywords: new Map() }

/**
 * Reads an EHLO reply (RFC 5321 §4.1.1.1).
 *
 * The pre-standard `AUTH=LOGIN` and `X-EXPS=LOGIN` add to their keyword. Exchange closes its list with `250 OK`, which
 * is no extension.
 */
export function readCapabilities({ text }: Reply): Capabilities {
  if (last && isSame(last.text, text)) return last.read
  const read = capabilitiesIn(text)
  last = { text, read }
  return read
}

/** What was read last: whoever stands before a server hears the same list from it for every client. */
let last: { readonly text: readonly string[]; readonly read: Capabilities } | undefined

function isSame(some: readonly string[], others: readonly string[]): boolean {
  if (some.length !== others.length) return false
  for (let i = 0; i < some.length; i++) if (some[i] !== others[i]) return false
  return true
}

function capabilitiesIn(text: readonly string[]): Capabilities {
  const [first = '', ...rest] = text
  const keywords = new Map<string, readonly string[]>()
  for (const [i, line] of rest.entries()) {
    const [word = '', ...args] = line.trim().split(/[ =]+/)
    const keyword = upper(word)
    if (keyword === '' || (keyword === 'OK' && i === rest.length - 1 && args.length === 0)) continue
    const known = keywords.get(keyword) ?? []
    keywords.set(keyword, [...known, ...args.filter(arg => !known.includes(arg))])
  }
  return { name: first.split(' ')[0] ?? '', keywords }
}

/** The keyword an EHLO line is about: `AUTH=LOGIN` is about AUTH. */
export function keywordOf(line: string): string {
  return upper(line.split(/[ =]/, 1)[0] ?? '')
}

/** Does it offer the extension, and with this argument if one is named (`offers(c, 'AUTH', 'LOGIN')`)? */
export function offers({ keywords }: Capabilities, keyword: string, argument?: string): boolean {
  const args = keywords.get(keyword)
  return args !== undefined && (argument === undefined || args.some(each => upper(each) === argument))
}
