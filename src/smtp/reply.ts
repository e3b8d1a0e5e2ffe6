import { bytes, copy, DOT, equal, isAscii, NO_BYTES, SP, text, utf8, utf8Text } from '../base/bytes.ts'
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

/** Replies that are said again and again, all of ASCII, and the octets of each once it was said. */
const STANDING = new WeakMap<Reply, { octets: Uint8Array | undefined }>()

/** A reply whose octets are made once. */
export function standing(code: number, status: string | undefined, ...lines: string[]): Reply {
  return stands(reply(code, status, ...lines))
}

function stands(said: Reply): Reply {
  STANDING.set(said, { octets: undefined })
  return said
}

/** The first digit decides what happens next (RFC 5321 §4.2.1). */
export function digit({ code }: Reply): number {
  return Math.floor(code / 100)
}

/** Octets of a reply's line, its end included (RFC 5321 §4.5.3.1.5). */
export const REPLY_LINE = 512
/** A challenge (RFC 4954 §4) and a frame of link state have their own limits. */
const UNCUT = new Set([334, 200])
const BREAKS = /[\r\n\0]/

/**
 * The reply's bytes, in one piece: some clients read once per command, so all lines must leave in one write. `encode` is
 * `bytes` for a reply that was read off a wire, whose text is an octet per character.
 */
export function formatReply(said: Reply, encode: (text: string) => Uint8Array = utf8): Uint8Array {
  const stand = STANDING.get(said)
  if (!stand) return formatted(said, encode)
  stand.octets ??= formatted(said, encode)
  return stand.octets
}

function formatted({ code, status, text: lines }: Reply, encode: (text: string) => Uint8Array): Uint8Array {
  const said = lines.length === 0 ? [''] : lines
  const behind = status === undefined ? '' : `${status} `
  let out = ''
  for (let i = 0; i < said.length; i++) {
    const line = said[i] ?? ''
    // A line break inside a text would be a second reply, whatever put it there.
    const clean = BREAKS.test(line) ? line.replace(/[\r\n\0]/g, '?') : line
    const start = `${code}${i === said.length - 1 ? ' ' : '-'}${behind}`
    out += `${start}${UNCUT.has(code) ? clean : fitting(clean, REPLY_LINE - 2 - start.length, encode)}\r\n`
  }
  // A frame of link state is of octets already, and counts them.
  return code === 200 && !/[^\x00-\xff]/.test(out) ? bytes(out) : encode(out)
}

/** As much of the text as fits: it may quote what a client said, which can be longer than a reply may be. */
function fitting(text: string, octets: number, encode: (text: string) => Uint8Array): string {
  // A character is three octets at most, or two of them four.
  if (3 * text.length <= octets) return text
  const whole = encode(text)
  if (whole.length <= octets) return text
  if (whole.length === text.length) return text.slice(0, octets)
  let end = octets
  // Not in the middle of a character.
  while (((whole[end] ?? 0) & 0xc0) === 0x80) end--
  return utf8Text(whole.subarray(0, end))
}

/** As much of a text of a peer's as is told and kept; a reply may be much longer. */
export const MAX_SAID = 1_000

/** A reply on one line, for people. */
export function sayReply({ code, status, text: lines }: Reply): string {
  return cut([code, status, ...lines].filter(part => part !== undefined && part !== '').join(' '))
}

/** No more than is told of it. */
export function cut(text: string): string {
  return text.length > MAX_SAID ? `${text.slice(0, MAX_SAID)}…` : text
}

/** Caps on one reply, in lines and octets: `220-` without end must not fill the memory (peers send a few dozen lines). */
export const MAX_REPLY_LINES = 100
export const MAX_REPLY_LINE = 4096
export const MAX_REPLY = 65_536

/** How much one reply may hold. */
export interface ReplyCaps {
  readonly lines: number
  readonly octets: number
}

const CAPS: ReplyCaps = { lines: MAX_REPLY_LINES, octets: MAX_REPLY }

export type ReplyFault = 'overlong' | 'too-many-lines' | 'too-long' | 'no-code' | 'codes-differ'

/** Reads replies off a splitter; total: what is not a reply is a fault, after which the stream cannot be trusted. */
export class ReplyReader {
  #lines: Line[] = []
  #code = 0
  #octets = 0

  next(
    splitter: LineSplitter,
    caps: ReplyCaps = CAPS,
  ): Heard<Reply> | { readonly fault: ReplyFault; readonly line: string } | undefined {
    for (;;) {
      const line = splitter.next(MAX_REPLY_LINE)
      // The end of such a line need not be waited for: it may never come.
      if (line === undefined && splitter.isOverlong) return { fault: 'overlong', line: '' }
      if (line === undefined) return undefined
      if (line === 'overlong') return { fault: 'overlong', line: '' }
      const code = codeOf(line.bytes)
      if (code === undefined) return { fault: 'no-code', line: text(line.bytes) }
      if (this.#lines.length > 0 && code !== this.#code) return { fault: 'codes-differ', line: text(line.bytes) }
      if (this.#lines.length >= caps.lines) return { fault: 'too-many-lines', line: text(line.bytes) }
      this.#octets += line.bytes.length
      if (this.#octets > caps.octets) return { fault: 'too-long', line: text(line.bytes, 0, 128) }
      this.#code = code
      const isLast = line.bytes[3] !== HYPHEN
      // The others wait for it, longer than the memory they came in need last.
      this.#lines.push(isLast ? line : { bytes: copy(line.bytes), ending: line.ending })
      if (isLast) {
        const lines = this.#lines
        this.#lines = []
        this.#octets = 0
        return { value: lines.length === 1 ? recalled(code, line) : understand(code, lines), lines }
      }
    }
  }
}

const HYPHEN = 0x2d
const [ZERO, TWO, THREE, FIVE, NINE] = [0x30, 0x32, 0x33, 0x35, 0x39]

/** The three digits that a line of a reply begins with, and behind which it ends, or a blank or a hyphen stands. */
function codeOf(line: Uint8Array): number | undefined {
  const [a = 0, b = 0, c = 0] = [line[0], line[1], line[2]]
  const isCode = a >= TWO && a <= FIVE && b >= ZERO && b <= NINE && c >= ZERO && c <= NINE
  if (!isCode || (line.length > 3 && line[3] !== SP && line[3] !== HYPHEN)) return undefined
  return 100 * (a - ZERO) + 10 * (b - ZERO) + (c - ZERO)
}

/** Replies of one short line that came last, by a few of their octets: servers say the same ones again and again. */
const RECALLED: ({ readonly line: Uint8Array; readonly reply: Reply } | undefined)[] = []
const PLACES = 64
const SHORT = 64

function recalled(code: number, line: Line): Reply {
  const { bytes: octets } = line
  if (octets.length > SHORT) return understand(code, [line])
  const place = (5 * octets.length + 3 * (octets[6] ?? 0) + (octets[8] ?? 0) + code) % PLACES
  const known = RECALLED[place]
  if (known && equal(known.line, octets)) return known.reply
  const made = understand(code, [line])
  if (isAscii(octets)) RECALLED[place] = { line: copy(octets), reply: stands(made) }
  return made
}

function understand(code: number, lines: readonly Line[]): Reply {
  const said = lines.map(line => text(line.bytes, 4))
  const first = lines[0]?.bytes ?? NO_BYTES
  const length = statusLength(first, 4)
  // The class must agree with the code, and is never 3, or it is just text that looks like a status (RFC 2034 §4).
  if (length === 0 || first[4] !== first[0] || first[4] === THREE) return { code, text: said }
  const status = text(first, 4, 4 + length)
  return { code, status, text: said.map(line => (line.startsWith(status) ? line.slice(length).trimStart() : line)) }
}

/** Octets of the status of RFC 3463 that stands there, a blank or the end behind it: `2.1.0`. Else 0. */
function statusLength(line: Uint8Array, from: number): number {
  const subject = from + 2
  if (digitsAt(line, from) !== 1 || line[from + 1] !== DOT) return 0
  const detail = subject + digitsAt(line, subject) + 1
  if (detail === subject + 1 || detail > subject + 4 || line[detail - 1] !== DOT) return 0
  const digits = digitsAt(line, detail)
  const end = detail + digits
  return digits > 0 && digits <= 3 && (end === line.length || line[end] === SP) ? end - from : 0
}

function digitsAt(line: Uint8Array, from: number): number {
  let at = from
  while (isDigit(line[at])) at++
  return at - from
}

function isDigit(octet = 0): boolean {
  return octet >= ZERO && octet <= NINE
}
