import { concat, printable, utf8 } from '../base/bytes.ts'
import type { Instant } from '../base/time.ts'
import { formatTimestamp } from '../base/timestamp.ts'
import { formatMailbox, isAscii, type Mailbox } from '../smtp/address.ts'
import { fromXtext } from '../smtp/params.ts'
import { formatDate } from './date.ts'
import type { Envelope } from './envelope.ts'

/** What a delivery status notification tells (RFC 3464). */
export interface Report {
  readonly host: string
  readonly id: string
  readonly arrived: Instant
  readonly now: Instant
  readonly envelope: Envelope
  readonly recipients: readonly Reported[]
  /** The header of the message it is about, or all of it. */
  readonly quoted: Quoted
}

/** What comes back of a message (RFC 3461 §4.3): whole lines, none beyond what a message may have. */
export interface Quoted {
  readonly what: 'header' | 'message'
  readonly bytes: Uint8Array
}

/** RFC 3464 §2.3.3. `relayed`: to a server that will not report. */
export type Action = 'failed' | 'delayed' | 'delivered' | 'relayed' | 'expanded'

/** What became of one recipient. */
export interface Reported {
  readonly recipient: number
  readonly action: Action
  readonly status: string
  /** What the other server said, or what happened, in words. */
  readonly why: string
  /** Where it was a reply of another server: the reply, and who that is (`mx.b.example`, `[192.0.2.1]`). */
  readonly reply?: string
  readonly remote?: string
  /** When it was tried last. */
  readonly tried?: Instant
  /** Of a delay: until when it is tried. */
  readonly until?: Instant
}

/** What a person reads, the worst first: the subject is that of the worst. */
const WORDS: readonly { readonly action: Action; readonly subject: string; readonly opening: string }[] = [
  { action: 'failed', subject: 'Undeliverable mail', opening: 'Your message could not be delivered to:' },
  {
    action: 'delayed',
    subject: 'Delayed mail',
    opening: 'Your message is late, and still being tried; you need not send it again. It waits for:',
  },
  { action: 'delivered', subject: 'Delivered mail', opening: 'Your message was delivered to:' },
  {
    action: 'relayed',
    subject: 'Relayed mail',
    opening: 'Your message was handed on to another server, for:',
  },
  {
    action: 'expanded',
    subject: 'Forwarded mail',
    opening: 'Your message was sent on to several addresses, which are not reported on, for:',
  },
]

/** RFC 3462 §1, §2; RFC 6533 §4. */
const QUOTED_TYPES = {
  header: { plain: 'text/rfc822-headers', global: 'message/global-headers' },
  message: { plain: 'message/rfc822', global: 'message/global' },
} as const

/** The report as a message, CRLF and all, addressed to the sender of what it is about (RFC 3462, RFC 3464, RFC 6533; RFC 2852 §5, RFC 4865). */
export function formatReport(report: Report, to: Mailbox): Uint8Array {
  const { host, id, arrived, now, envelope, recipients, quoted } = report
  const { deliverBy, hold } = envelope
  // It must not occur in what is quoted; an id is unique enough for that.
  const boundary = `report-${id}`
  const names = recipients.map(({ recipient }) => nameOf(envelope, recipient))
  const isGlobal = !names.every(isAscii)
  const told = WORDS.map(each => ({ ...each, lines: linesOf(recipients, names, each.action) })).filter(
    ({ lines }) => lines.length > 0,
  )
  const fields = recipients.map((each, i) => {
    const lines = fieldsOf(envelope, each, names[i] ?? '').join('\r\n')
    // What is not declared to be UTF-8 is ASCII (RFC 3464 §2.1.1); the part that people read has the words as they were said.
    return isGlobal ? lines : lines.replace(/[^\x00-\x7f]/gu, '?')
  })
  const envid = envelope.envid === undefined ? undefined : fromXtext(envelope.envid)
  const text = [
    `From: Mail Delivery System <postmaster@${host}>`,
    `To: <${formatMailbox(to)}>`,
    `Subject: ${told[0]?.subject ?? ''}`,
    `Date: ${formatDate(now)}`,
    `Message-ID: <${id}.report@${host}>`,
    'Auto-Submitted: auto-replied',
    'MIME-Version: 1.0',
    'Content-Transfer-Encoding: 8bit',
    `Content-Type: multipart/report; report-type=delivery-status; boundary="${boundary}"`,
    '',
    `--${boundary}`,
    'Content-Type: text/plain; charset=utf-8',
    'Content-Transfer-Encoding: 8bit',
    '',
    `This is the mail system at ${host}.`,
    '',
    ...told.flatMap(({ opening, lines }) => [opening, '', ...lines]),
    `--${boundary}`,
    `Content-Type: message/${isGlobal ? 'global-' : ''}delivery-status`,
    ...(isGlobal ? ['Content-Transfer-Encoding: 8bit'] : []),
    '',
    `Reporting-MTA: dns; ${host}`,
    ...(envid === undefined ? [] : [`Original-Envelope-Id: ${oneLine(envid)}`]),
    `Arrival-Date: ${formatDate(arrived)}`,
    ...(deliverBy ? [`Deliver-By-Date: ${formatDate(deliverBy.at)}`] : []),
    ...(hold === undefined ? [] : [`Future-Release-Request: until;${formatTimestamp(hold)}`]),
    '',
    fields.join('\r\n\r\n'),
    '',
    `--${boundary}`,
    `Content-Type: ${QUOTED_TYPES[quoted.what][isGlobal ? 'global' : 'plain']}`,
    ...(isGlobal || quoted.what === 'message' ? ['Content-Transfer-Encoding: 8bit'] : []),
    '',
  ].join('\r\n')
  return concat([utf8(`${text}\r\n`), quoted.bytes, utf8(`\r\n--${boundary}--\r\n`)])
}

function linesOf(recipients: readonly Reported[], names: readonly string[], action: Action): readonly string[] {
  return recipients.flatMap((each, i) =>
    each.action === action ? [`  ${names[i]}\r\n    ${each.status} ${oneLine(each.why)}\r\n`] : [],
  )
}

function fieldsOf(envelope: Envelope, reported: Reported, name: string): readonly string[] {
  const { recipient, action, status, reply, remote, tried, until } = reported
  const lines = [
    originalOf(envelope, recipient),
    `Final-Recipient: ${isAscii(name) ? 'rfc822' : 'utf-8'}; ${name}`,
    `Action: ${action}`,
    // What is given up is no 4.x.x any more.
    `Status: ${action === 'failed' ? status.replace(/^4/, '5') : status}`,
    remote === undefined || !isAscii(remote) ? undefined : `Remote-MTA: dns; ${oneLine(remote)}`,
    reply === undefined ? undefined : `Diagnostic-Code: smtp; ${oneLine(reply)}`,
    tried === undefined ? undefined : `Last-Attempt-Date: ${formatDate(tried)}`,
    until === undefined ? undefined : `Will-Retry-Until: ${formatDate(until)}`,
  ]
  return lines.filter(line => line !== undefined)
}

function nameOf({ recipients }: Envelope, recipient: number): string {
  const found = recipients[recipient]
  return found ? formatMailbox(found.to) : ''
}

function originalOf({ recipients }: Envelope, recipient: number): string | undefined {
  const orcpt = recipients[recipient]?.orcpt
  const text = orcpt === undefined ? undefined : fromXtext(orcpt)
  return text === undefined ? undefined : `Original-Recipient: ${oneLine(text.replace(';', '; '))}`
}

/** Whatever a peer said must not begin a new field, nor be obeyed by the terminal that it is read on. */
function oneLine(text: string): string {
  const line = printable(text.replace(/[\r\n\0]+/g, ' '))
  // A line of a message has 998 octets at most (RFC 5322 §2.1.1), and a character up to three of them.
  return line.length > 300 ? `${line.slice(0, 300)}…` : line
}
