import { bytes, LF, lower, SP, text } from '../base/bytes.ts'
import type { Instant } from '../base/time.ts'
import { addressLiteral } from '../smtp/address.ts'
import type { SessionFacts } from '../smtp/session.ts'
import { formatDate, originalArrivalTime } from './date.ts'

/** What a server writes above a message it takes (RFC 5321 §4.4). */
export interface Arrival {
  readonly host: string
  readonly id: string
  readonly facts: SessionFacts
  readonly isExchange: boolean
  readonly version: string
}

export function traceFields({ host, id, facts, isExchange, version }: Arrival, now: Instant): string {
  const hello = facts.hello.replace(/[^!-~]/g, '?') || 'unknown'
  const { peer, tls, uid } = facts
  if (uid !== undefined)
    return `Received: by ${host} (Postern, from userid ${uid}) id ${id};\r\n\t${formatDate(now)}\r\n`
  if (isExchange) {
    return (
      `Received: from ${hello} ([${peer}]) by ${host} with Microsoft SMTPSVC(${version});\r\n` +
      `\t ${formatDate(now)}\r\n` +
      `X-OriginalArrivalTime: ${originalArrivalTime(now)}\r\n`
    )
  }
  return (
    `Received: from ${hello} (${addressLiteral(peer)})\r\n` +
    (tls ? `\t(using ${tls.protocol} with cipher ${tls.cipher})\r\n` : '') +
    `\tby ${host} with ${facts.protocol} id ${id};\r\n` +
    `\t${formatDate(now)}\r\n`
  )
}

/** Fields that a message gains on its way; nothing else may stand above what was sent. */
const TRACE_FIELDS = new Set(['received', 'return-path', 'x-originalarrivaltime', 'x-postern-routing', 'delivered-to'])

/**
 * Is `arrived` what was sent, under nothing but trace fields? The fields it gained, or where the first difference is.
 */
export function withoutTrace(
  arrived: Uint8Array,
  sent: Uint8Array,
): { readonly gained: readonly string[] } | { readonly differsAt: number } {
  const start = arrived.length - sent.length
  for (let i = 0; i < sent.length; i++) {
    if (start < 0 || arrived[start + i] !== sent[i]) return { differsAt: i }
  }
  if (start === 0) return { gained: [] }
  const gained = text(arrived, 0, start).split(/\r\n(?![ \t])/)
  // A whole line must end where the message begins, and no empty one stand before: that would end the header.
  if (gained.pop() !== '') return { differsAt: 0 }
  const odd = gained.some(field => !TRACE_FIELDS.has(lower(field.split(':')[0] ?? '')))
  return odd ? { differsAt: 0 } : { gained }
}

/** Octets of a line that are looked at: enough to tell a field's name, and a Message-ID of any usual length. */
const LINE_START = 256

/** Of Received and Message-ID, and of the end. */
const TELLING: ReadonlySet<number> = new Set(bytes('RrMm\r'))

/** Octets that are kept of what the server before us wrote. */
const KEPT = 8_192

/** The header of a message, counted as it streams past: its octets, and the hops it tells of (RFC 5321 §6.3). */
export class HeaderWatch {
  /** The first octets of the line under way, so that a line without end costs a constant. */
  #start = ''
  /** All its octets so far. */
  #length = 0
  #over = false
  /** Octets of the header so far, the lines' ends included and the blank line not. */
  size = 0
  hops = 0
  /** The first Message-ID as it stands there, without its brackets; nothing where none can be read at the beginning of its line. */
  messageId: string | undefined
  /** The line before was a Message-ID that goes on here: some write it folded. */
  #isFolded = false
  /** What the server before us wrote beside its Received, which stands below ours: as much of it as is kept. */
  #before = ''

  /** The value of a field that the server before us wrote, folded as it came. */
  written(field: string): string | undefined {
    // The rest of its Received stands first.
    const fields = this.#before.split(/\r\n(?![ \t])/)
    return fields.find(each => lower(each).startsWith(`${lower(field)}:`))?.slice(field.length + 1)
  }

  /** `most`: once a header is longer than this it is only known to be too long. */
  push(chunk: Uint8Array, most: number): void {
    for (let from = 0; from < chunk.length && !this.#over; ) {
      const lf = chunk.indexOf(LF, from)
      const end = lf < 0 ? chunk.length : lf + 1
      if (lf >= 0 && this.#length === 0 && this.hops !== 2 && !this.#tells(chunk[from])) {
        this.#isFolded = false
        this.size += end - from
        from = end
        if (this.size > most) this.#over = true
        continue
      }
      this.#start += text(chunk, from, Math.min(end, from + LINE_START - this.#start.length))
      if (this.hops === 2 && this.#before.length < KEPT) {
        this.#before += text(chunk, from, Math.min(end, from + KEPT - this.#before.length))
      }
      this.#length += end - from
      from = end
      if (lf >= 0) this.#endLine()
      if (this.size + this.#length > most) {
        this.size += this.#length
        this.#over = true
      }
    }
  }

  /** Can a line that begins with this octet be one that is read here? Most are not, and are only counted. */
  #tells(octet: number | undefined): boolean {
    return TELLING.has(octet ?? 0) || (this.#isFolded && (octet === SP || octet === 0x09))
  }

  #endLine(): void {
    if (this.#start === '\r\n') this.#over = true
    else this.size += this.#length
    if (/^received:/i.test(this.#start)) this.hops++
    if (this.messageId === undefined) this.#lookForId()
    this.#start = ''
    this.#length = 0
  }

  #lookForId(): void {
    const field = this.#isFolded ? /^[ \t]/ : /^message-id[ \t]*:/i
    const isId = field.test(this.#start)
    const found = isId ? /<([^<>\s]+)>/.exec(this.#start)?.[1] : undefined
    if (found !== undefined) this.messageId = found
    this.#isFolded = isId && found === undefined && !this.#isFolded
  }
}
