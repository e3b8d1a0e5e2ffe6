/** A message as a program of this machine hands it in, made fit to be sent: line ends, missing fields, recipients (RFC 6409 §8). */
import { bytes, concat, text, toBase64, utf8, utf8Text } from '../base/bytes.ts'
import type { Instant } from '../base/time.ts'
import { formatMailbox, isAscii, type Mailbox } from '../smtp/address.ts'
import { addressesIn } from './address-list.ts'
import { formatDate } from './date.ts'

export interface HandingIn {
  /** Take recipients from To, Cc and Bcc, and Bcc out (`-t`). */
  readonly fromHeader: boolean
  /** A line of a dot alone is part of the message (`-i`). */
  readonly dotsAreText: boolean
  /** Who sends, for a message without From. */
  readonly sender: Mailbox
  readonly fullName?: string
  /** For a message without Message-ID. */
  readonly id: string
  readonly host: string
  readonly now: Instant
}

export type HandedIn =
  | { readonly content: Uint8Array; readonly recipients: readonly Mailbox[]; readonly wrong: readonly string[] }
  | { readonly refused: string }

/** Octets of a header that is looked through. */
export const MAX_HEADER: number = 1024 * 1024

const RECIPIENTS = ['to', 'cc', 'bcc']

/** Total: the message as it goes out with the recipients that its header names, or why it cannot. */
export function handedIn(message: Uint8Array, how: HandingIn): HandedIn {
  // Octets are characters here: what is not ASCII stays as it is.
  const all = text(message)
  if (all.includes('\0')) return { refused: 'it holds a NUL, which no message may (RFC 5321 §4.5.2)' }
  const lines = all.split(/\r?\n|\r/)
  // The end of the last line begins no other one.
  if (lines.at(-1) === '') lines.pop()
  const end = how.dotsAreText ? -1 : lines.indexOf('.')
  if (end >= 0) lines.length = end
  const { fields, body } = split(lines)
  if (fields.reduce((sum, field) => sum + field.length, 0) > MAX_HEADER) {
    return { refused: `its header is longer than ${MAX_HEADER} octets` }
  }
  const names = new Set(fields.map(nameOf))
  // What is sent on goes to whom it is sent on to (RFC 5322 §3.6.6).
  const prefix = RECIPIENTS.some(name => names.has(`resent-${name}`)) ? 'resent-' : ''
  const listed = fields.filter(field => RECIPIENTS.some(name => nameOf(field) === `${prefix}${name}`))
  const read = how.fromHeader ? listed.map(field => addressesIn(listIn(field))) : []
  const kept = fields.filter(field => !how.fromHeader || !/^(?:resent-)?bcc$/.test(nameOf(field)))
  const missing = MISSING.filter(({ name }) => !names.has(name)).map(({ make }) => make(how))
  const head = [...missing, ...kept].map(field => `${field}\r\n`).join('')
  return {
    content: concat([bytes(head), bytes('\r\n'), bytes(body.map(line => `${line}\r\n`).join(''))]),
    recipients: read.flatMap(({ found }) => found),
    wrong: read.flatMap(({ wrong }) => wrong),
  }
}

const MISSING: readonly { readonly name: string; readonly make: (how: HandingIn) => string }[] = [
  { name: 'date', make: ({ now }) => `Date: ${formatDate(now)}` },
  { name: 'message-id', make: ({ id, host }) => `Message-ID: <${id}@${host}>` },
  {
    name: 'from',
    make: ({ sender, fullName }) => {
      const address = formatMailbox(sender)
      return `From: ${fullName === undefined ? address : `${quoted(fullName)} <${address}>`}`
    },
  },
]

/** As a phrase of RFC 5322 §3.2.5; what is not ASCII as an encoded word, which has 75 characters at most (RFC 2047 §2). */
function quoted(name: string): string {
  if (!isAscii(name)) return `=?UTF-8?B?${toBase64(utf8(name.slice(0, 15)))}?=`
  return /^[\w .-]+$/.test(name) ? name : `"${name.replace(/[\r\n]/g, ' ').replace(/["\\]/g, '\\$&')}"`
}

/** Fields, each with the lines it is folded into, and the lines behind them. A message may begin without a header. */
function split(lines: readonly string[]): { readonly fields: readonly string[]; readonly body: readonly string[] } {
  const fields: string[] = []
  let i = 0
  // A mailbox file's own line, which some programs leave there.
  if (/^>?From /.test(lines[0] ?? '')) i++
  for (; i < lines.length; i++) {
    const line = lines[i] ?? ''
    if (line === '') return { fields, body: lines.slice(i + 1) }
    if (/^[ \t]/.test(line) && fields.length > 0) fields[fields.length - 1] += `\r\n${line}`
    else if (/^[!-9;-~]+[ \t]*:/.test(line)) fields.push(line)
    // No field: the text begins here, without the blank line that should stand before it.
    else break
  }
  return { fields, body: lines.slice(i) }
}

function nameOf(field: string): string {
  return field.slice(0, field.indexOf(':')).trimEnd().toLowerCase()
}

function listIn(field: string): string {
  return utf8Text(bytes(field.slice(field.indexOf(':') + 1)))
}
