import { lower } from '../base/bytes.ts'
import { punycode } from '../base/punycode.ts'

/** A mailbox as meant, not as written: `local` without quotes. An empty `domain`: none was given. */
export interface Mailbox {
  readonly local: string
  readonly domain: string
}

/** Where reports go; `null` is `<>`, to which no report may ever be sent (RFC 5321 §4.5.5). */
export type ReversePath = Mailbox | null
export type ForwardPath = Mailbox

/** Limits of RFC 5321 §4.5.3.1, in octets. */
export const MAX_LOCAL = 64
export const MAX_DOMAIN = 255
export const MAX_PATH = 256

export type PathFault = { readonly wrong: string }

const ATEXT = "[A-Za-z0-9!#$%&'*+\\-/=?^_`{|}~\\u0080-\\u{10ffff}]+"
/** A local part that needs no quotes: atoms, with dots between them. */
const DOT_STRING = new RegExp(`^${ATEXT}(?:\\.${ATEXT})*$`, 'u')
const LETTER = 'A-Za-z0-9\\u0080-\\u{10ffff}'
/** Labels with dots between them; they may hold hyphens, and do not begin or end with one. */
const LABEL = `[${LETTER}]+(?:[_\\-]+[${LETTER}]+)*`
const NAME = new RegExp(`^${LABEL}(?:\\.${LABEL})*$`, 'u')
const MAX_LABEL = 63

/**
 * Reads a path that begins at `text[0]`: `<a@b.example>`, `<>`, `<@relay.example:a@b.example>`, `<postmaster>`.
 *
 * A source route is read and dropped, and the address behind it is what is judged (RFC 5321 §4.1.2, Appendix F.2).
 */
export function parsePath(text: string): { readonly path: Mailbox | null; readonly rest: string } | PathFault {
  if (text[0] !== '<') return { wrong: 'a path stands between < and >' }
  const close = closing(text)
  if (close < 0) return { wrong: 'the path has no >' }
  const rest = text.slice(close + 1)
  if (rest !== '' && rest[0] !== ' ') return { wrong: 'a space must follow the path' }
  if (octets(text.slice(0, close + 1)) > MAX_PATH) return { wrong: `the path is longer than ${MAX_PATH} octets` }
  let inner = text.slice(1, close)
  if (inner === '') return { path: null, rest }
  if (inner[0] === '@') {
    const colon = inner.indexOf(':')
    if (colon < 0) return { wrong: 'a source route ends with a colon' }
    const hops = inner.slice(0, colon).split(',')
    if (!hops.every(hop => hop[0] === '@' && isDomain(hop.slice(1)))) return { wrong: 'not a source route' }
    inner = inner.slice(colon + 1)
  }
  const mailbox = parseMailbox(inner)
  return 'wrong' in mailbox ? mailbox : { path: mailbox, rest }
}

/** The `>` that ends the path: not one inside a quoted string. */
function closing(text: string): number {
  let quoted = false
  for (let i = 1; i < text.length; i++) {
    const c = text[i]
    if (quoted && c === '\\') i++
    else if (c === '"') quoted = !quoted
    else if (c === '>' && !quoted) return i
  }
  return -1
}

/** Reads `local@domain`, `"quoted local"@domain`, `local@[10.1.2.3]`, or a bare `local`. */
export function parseMailbox(text: string): Mailbox | PathFault {
  let local = ''
  let at: number
  if (text[0] === '"') {
    at = 1
    while (at < text.length && text[at] !== '"') {
      if (text[at] === '\\') at++
      const c = text[at] ?? ''
      // A quoted pair quotes a printable character or a space: it cannot smuggle in a line end (RFC 5321 §4.1.2).
      if (!/^[\x20-\x7e\u0080-\uffff]$/.test(c)) return { wrong: 'a control character in the quoted local part' }
      local += c
      at++
    }
    if (text[at] !== '"') return { wrong: 'the quoted local part has no end' }
    at++
    if (local === '') return { wrong: 'the local part is empty' }
  } else {
    at = text.indexOf('@')
    if (at < 0) at = text.length
    local = text.slice(0, at)
    if (!DOT_STRING.test(local)) return { wrong: 'the local part is not a dot-string' }
  }
  if (octets(local) > MAX_LOCAL) return { wrong: `the local part is longer than ${MAX_LOCAL} octets` }
  if (at === text.length) return { local, domain: '' }
  if (text[at] !== '@') return { wrong: 'an @ must follow the local part' }
  const domain = text.slice(at + 1)
  return isDomain(domain) ? { local, domain } : { wrong: 'not a domain behind the @' }
}

/** A domain name or an address literal (RFC 5321 §4.1.2, §4.1.3). */
export function isDomain(text: string): boolean {
  if (text === '' || octets(text) > MAX_DOMAIN) return false
  if (text[0] === '[') return isLiteral(text)
  if (!NAME.test(text)) return false
  for (let from = 0, dot = 0; dot >= 0; from = dot + 1) {
    dot = text.indexOf('.', from)
    if ((dot < 0 ? text.length : dot) - from > MAX_LABEL) return false
  }
  return true
}

function isLiteral(text: string): boolean {
  const inner = /^\[([!-Z^-~]+)\]$/.exec(text)?.[1]
  if (inner === undefined) return false
  if (/^IPv6:[0-9A-Fa-f:.]{2,45}$/i.test(inner)) return true
  return /^\d{1,3}(?:\.\d{1,3}){3}$/.test(inner) && inner.split('.').every(part => Number(part) <= 255)
}

function octets(text: string): number {
  if (isAscii(text)) return text.length
  let count = 0
  for (const c of text) {
    const code = c.codePointAt(0) ?? 0
    count += code < 0x80 ? 1 : code < 0x800 ? 2 : code < 0x10000 ? 3 : 4
  }
  return count
}

/** An address as a domain is written (RFC 5321 §4.1.3): `[192.0.2.1]`, `[IPv6:2001:db8::1]`. */
export function addressLiteral(ip: string): string {
  return ip.includes(':') ? `[IPv6:${ip}]` : `[${ip}]`
}

/** The address as it is written outside a path, quoted where it has to be. */
export function formatMailbox({ local, domain }: Mailbox): string {
  const written = DOT_STRING.test(local) ? local : `"${local.replace(/["\\]/g, '\\$&')}"`
  return domain === '' ? written : `${written}@${domain}`
}

export function formatPath(path: Mailbox | null): string {
  return path === null ? '<>' : `<${formatMailbox(path)}>`
}

/** Domains fold case; local parts are the receiving host's affair, and ours fold it, as every mail system does. */
export function sameMailbox(a: Mailbox, b: Mailbox): boolean {
  return sameDomain(a.domain, b.domain) && lower(a.local) === lower(b.local)
}

/** A mailbox as mailboxes are compared. */
export function mailboxKey({ local, domain }: Mailbox): string {
  return `${lower(local)}@${domainKey(domain)}`
}

export function sameDomain(a: string, b: string): boolean {
  return a === b || domainKey(a) === domainKey(b)
}

/**
 * A domain as domains are compared: both of its spellings, in U-labels and in A-labels, in either case, have one (RFC 5890
 * §2.3.2.1); it is what is looked up (RFC 6531 §3.2), and nothing that is to be said. Also of `*.a.example`.
 *
 * Case is folded and accents are joined; nothing else is mapped, as UTS 46 would have it for what people type: what is no
 * U-label, such as a letter of full width, is not made one, so that nobody's domain is another's by a look-alike.
 */
export function domainKey(domain: string): string {
  return isAscii(domain) ? lower(domain) : domain.split('.').map(labelKey).join('.')
}

/** The domain as it may be said to anybody: in A-labels, where it is outside ASCII. */
export function aLabels(domain: string): string {
  return isAscii(domain) ? domain : domainKey(domain)
}

/** The address with its domain in A-labels, where it is outside ASCII. */
export function inALabels(mailbox: Mailbox): Mailbox {
  return isAscii(mailbox.domain) ? mailbox : { ...mailbox, domain: aLabels(mailbox.domain) }
}

/**
 * A label that may have an A-label: no ASCII but that of names, nor what would become ASCII when it is folded or joined, which
 * are the Greek question mark, a grave accent and the sign for kelvin.
 */
const FOLDABLE = /^(?:[\w-]|[^\0-\x7f\u037e\u1fef\u212a])+$/u

function labelKey(label: string): string {
  if (isAscii(label) || label.length > MAX_LABEL || !FOLDABLE.test(label)) return lower(label)
  // A character at a time: at the end of a word sigma has another form.
  const folded = Array.from(label, char => char.toLowerCase())
    .join('')
    .normalize('NFC')
  return `xn--${punycode(folded)}`
}

export function isAscii(text: string): boolean {
  for (let i = 0; i < text.length; i++) if (text.charCodeAt(i) > 0x7f) return false
  return true
}
