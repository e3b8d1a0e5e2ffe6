import { lower, text } from '../base/bytes.ts'
import type { Instant } from '../base/time.ts'
import type { Dialect } from '../smtp/dialect.ts'
import type { SessionFacts } from '../smtp/server.ts'
import { formatDate, originalArrivalTime } from './date.ts'

/** What a server writes above a message it takes (RFC 5321 §4.4). */
export interface Arrival {
  readonly host: string
  readonly peer: string
  readonly id: string
  readonly facts: SessionFacts
  readonly dialect: Dialect['name']
  readonly version: string
}

export function traceFields({ host, peer, id, facts, dialect, version }: Arrival, now: Instant): string {
  const hello = facts.hello.replace(/[^!-~]/g, '?') || 'unknown'
  if (dialect === 'exchange2000') {
    return (
      `Received: from ${hello} ([${peer}]) by ${host} with Microsoft SMTPSVC(${version});\r\n` +
      `\t ${formatDate(now)}\r\n` +
      `X-OriginalArrivalTime: ${originalArrivalTime(now)}\r\n`
    )
  }
  return (
    `Received: from ${hello} ([${peer}])\r\n` +
    `\tby ${host} with ${facts.protocol} id ${id};\r\n` +
    `\t${formatDate(now)}\r\n`
  )
}

/** Fields that a message gains on its way; nothing else may stand above what was sent. */
const TRACE_FIELDS = new Set(['received', 'return-path', 'x-originalarrivaltime', 'delivered-to'])

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
  const gained = text(arrived, 0, start)
    .split(/\r\n(?![ \t])/)
    .filter(field => field !== '')
  const odd = gained.some(field => !TRACE_FIELDS.has(lower(field.split(':')[0] ?? '')))
  return odd ? { differsAt: 0 } : { gained }
}

/** The header of a message, counted as it streams past: its octets, and the hops it tells of (RFC 5321 §6.3). */
export class HeaderWatch {
  /** The beginning of a line whose end has not come yet. */
  #line = ''
  #over = false
  size = 0
  hops = 0

  /** `most`: once a header is longer than this it is only known to be too long. */
  push(chunk: Uint8Array, most: number): void {
    if (this.#over) return
    const lines = (this.#line + text(chunk, 0, Math.min(chunk.length, most))).split('\r\n')
    // Only the start of a line is looked at, so a line without end costs a constant.
    this.#line = (lines.pop() ?? '').slice(0, 1024)
    for (const line of lines) {
      if (line === '') {
        this.#over = true
        return
      }
      this.size += line.length + 2
      if (/^received:/i.test(line)) this.hops++
    }
    this.#over = this.size + this.#line.length > most
  }
}
