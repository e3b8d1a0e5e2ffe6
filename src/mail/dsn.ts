import { concat, utf8 } from '../base/bytes.ts'
import type { Instant } from '../base/time.ts'
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
  readonly failures: readonly ReportedFailure[]
  /** The header of the message it is about, without its body. */
  readonly header: Uint8Array
}

export interface ReportedFailure {
  readonly recipient: number
  readonly status: string
  /** What the other server said, or what happened, in words. */
  readonly why: string
  /** Was it a reply of the other server? */
  readonly remote: boolean
}

/** The report as a message, CRLF and all, addressed to the sender of what failed (RFC 3462, RFC 3464). */
export function formatReport(report: Report, to: Mailbox): Uint8Array {
  const { host, id, arrived, now, envelope, failures, header } = report
  // It must not occur in the header that is quoted; an id is unique enough for that.
  const boundary = `report-${id}`
  const names = failures.map(({ recipient }) => nameOf(envelope, recipient))
  const explained = failures.map(({ why, status }, i) => `  ${names[i]}\r\n    ${status} ${oneLine(why)}\r\n`)
  const fields = failures.map((failure, i) =>
    [
      originalOf(envelope, failure.recipient),
      `Final-Recipient: ${isAscii(names[i] ?? '') ? 'rfc822' : 'utf-8'}; ${names[i]}`,
      'Action: failed',
      `Status: ${failure.status.replace(/^4/, '5')}`,
      failure.remote ? `Diagnostic-Code: smtp; ${oneLine(failure.why)}` : undefined,
    ]
      .filter(line => line !== undefined)
      .join('\r\n'),
  )
  const envid = envelope.envid === undefined ? undefined : fromXtext(envelope.envid)
  const text = [
    `From: Mail Delivery System <postmaster@${host}>`,
    `To: <${formatMailbox(to)}>`,
    'Subject: Undeliverable mail',
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
    'Your message could not be delivered to:',
    '',
    ...explained,
    `--${boundary}`,
    'Content-Type: message/delivery-status',
    '',
    `Reporting-MTA: dns; ${host}`,
    ...(envid === undefined ? [] : [`Original-Envelope-Id: ${oneLine(envid)}`]),
    `Arrival-Date: ${formatDate(arrived)}`,
    '',
    fields.join('\r\n\r\n'),
    '',
    `--${boundary}`,
    'Content-Type: text/rfc822-headers',
    '',
  ].join('\r\n')
  return concat([utf8(`${text}\r\n`), header, utf8(`\r\n--${boundary}--\r\n`)])
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

/** Whatever a peer said must not begin a new field. */
function oneLine(text: string): string {
  const line = text.replace(/[\r\n\0]+/g, ' ')
  // A line of a message has 998 octets at most (RFC 5322 §2.1.1), and a character up to three of them.
  return line.length > 300 ? `${line.slice(0, 300)}…` : line
}
