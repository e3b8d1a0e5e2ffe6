import { text, utf8 } from '../base/bytes.ts'
import type { Heard, Line, LineSplitter } from './line.ts'

/** A reply: its code, the enhanced status of RFC 3463 where there is one, and its text, a string per line. */
export interface Reply {
  readonly code: number
  readonly status?: string
  readonly text: readonly string[]
}

/** `reply(250, '2.1.0', 'Ok')`; `status` is `undefined` on greetings, EHLO and 3xx, which never carry one (RFC 2034 §4). */
export function reply(code: number, status: string | undefined, ...lines: string[]): Reply {
  return status === undefined ? { code, text: lines } : { code, status, text: lines }
}

/** The first digit decides what happens next (RFC 5321 §4.2.1). */
export function digit({ code }: Reply): number {
  return Math.floor(code / 100)
}

/**
 * The reply's bytes, in one piece: some clients read once per command, so all lines must leave in one write. `encode` is
 * `bytes` for a reply that was read off a wire, whose text is an octet per character.
 */
export function formatReply(
  { code, status, text: lines }: Reply,
  encode: (text: string) => Uint8Array = utf8,
): Uint8Array {
  const said = lines.length === 0 ? [''] : lines
  let out = ''
  for (const [i, line] of said.entries()) {
    // A line break inside a text would be a second reply, whatever put it there.
    const clean = line.replace(/[\r\n\0]/g, '?')
    out += `${code}${i === said.length - 1 ? ' ' : '-'}${status === undefined ? '' : `${status} `}${clean}\r\n`
  }
  return encode(out)
}

/** A reply on one line, for people. */
export function sayReply({ code, status, text: lines }: Reply): string {
  return [code, status, ...lines].filter(part => part !== undefined && part !== '').join(' ')
}

/** Caps on one reply: `220-` without end must not fill the memory (peers send at most a few dozen lines). */
export const MAX_REPLY_LINES = 100
export const MAX_REPLY_LINE = 4096

export type ReplyFault = 'overlong' | 'too-many-lines' | 'no-code' | 'codes-differ'

const STATUS = /^([245]\.\d{1,3}\.\d{1,3})(?: |$)/

/** Reads replies off a splitter; total: what is not a reply is a fault, after which the stream cannot be trusted. */
export class ReplyReader {
  #lines: Line[] = []
  #code = 0

  next(splitter: LineSplitter): Heard<Reply> | { readonly fault: ReplyFault; readonly line: string } | undefined {
    for (;;) {
      const line = splitter.next(MAX_REPLY_LINE)
      if (line === undefined) return undefined
      if (line === 'overlong') return { fault: 'overlong', line: '' }
      const said = text(line.bytes)
      const found = /^([2-5]\d\d)([ -]|$)/.exec(said)
      if (!found) return { fault: 'no-code', line: said }
      const code = Number(found[1])
      if (this.#lines.length > 0 && code !== this.#code) return { fault: 'codes-differ', line: said }
      if (this.#lines.length >= MAX_REPLY_LINES) return { fault: 'too-many-lines', line: said }
      this.#code = code
      this.#lines.push(line)
      if (found[2] !== '-') {
        const lines = this.#lines
        this.#lines = []
        return { value: understand(code, lines), lines }
      }
    }
  }
}

function understand(code: number, lines: readonly Line[]): Reply {
  const said = lines.map(line => text(line.bytes, 4))
  const status = STATUS.exec(said[0] ?? '')?.[1]
  // The class must agree with the code, or it is just text that looks like a status (RFC 2034 §4).
  if (status === undefined || Number(status[0]) !== Math.floor(code / 100)) return { code, text: said }
  return {
    code,
    status,
    text: said.map(line => (line.startsWith(status) ? line.slice(status.length).trimStart() : line)),
  }
}
