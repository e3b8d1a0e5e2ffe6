import { bytes, CR, copy, LF, SP } from '../base/bytes.ts'
import type { MaskKind } from './policy.ts'

/**
 * Hiding that keeps lengths: an in-place firewall rewrites a segment where it stands, so that sequence numbers stay true
 * and the stream stays in step. No function here ever gives back more or fewer octets than it took.
 */

const STAR = 0x2a
const X = 0x58
const A = 0x41
const UNDERSCORE = 0x5f
const ZERO = 0x30
const TWO = 0x32
const NOOP = bytes('NOOP')
const CMAP = bytes('SMTP/cmap ready')

/** Where in a greeting we are; a greeting may come in several segments. */
export interface GreetingCursor {
  /** Octets of this greeting seen so far, its first line's code included. */
  readonly at: number
  /** The original octet before: a space is kept only behind an original `0`. */
  readonly previous: number
  /** Octets of the line under way. */
  readonly column: number
}

export const GREETING_START: GreetingCursor = { at: 0, previous: 0, column: 0 }

/** The cursor behind this piece of the greeting. */
export function moveOn({ at, previous, column }: GreetingCursor, piece: Uint8Array): GreetingCursor {
  const lf = piece.lastIndexOf(LF)
  return {
    at: at + piece.length,
    previous: piece[piece.length - 1] ?? previous,
    column: lf < 0 ? column + piece.length : piece.length - lf - 1,
  }
}

/**
 * Masks part of a 220 greeting. The first four octets (`220 ` or `220-`) and the line ends always stay. Under
 * `keep-2-0` a later `220 ` survives because it is made of nothing but 2, 0 and a space behind a 0, while the dash of a
 * later `220-` does not; the older forms hide the later codes too, and such clients waited for ever. `stars-by-line` keeps the
 * code of every line.
 */
export function maskGreeting(segment: Uint8Array, how: MaskKind, cursor: GreetingCursor): Uint8Array {
  const out = copy(segment)
  let { at, previous, column } = cursor
  for (let i = 0; i < segment.length; i++) {
    const octet = segment[i] ?? 0
    const begins = how === 'stars-by-line' ? column : at
    if (begins >= 4 && octet !== CR && octet !== LF) out[i] = greetingOctet(octet, how, at - 4, previous)
    previous = octet
    at++
    column = octet === LF ? 0 : column + 1
  }
  return out
}

function greetingOctet(octet: number, how: MaskKind, column: number, previous: number): number {
  switch (how) {
    case 'keep-2-0':
      return octet === TWO || octet === ZERO || (octet === SP && previous === ZERO) ? octet : STAR
    case 'cmap':
      return CMAP[column] ?? UNDERSCORE
    default:
      return STAR
  }
}

/** Masks a command line, whose verb is its first `verbLength` octets. CR and LF stay where they are. */
export function maskLine(line: Uint8Array, how: MaskKind, verbLength: number): Uint8Array {
  const out = copy(line)
  // A NOOP does not fit into a shorter verb.
  const noop = how === 'noop' && verbLength >= NOOP.length
  const end = how === 'x-line' ? line.length : verbLength
  for (let i = 0; i < end; i++) {
    const octet = line[i]
    if (octet === CR || octet === LF) continue
    out[i] = noop ? (NOOP[i] ?? SP) : X
  }
  return out
}

/**
 * Masks a line of the EHLO reply behind its code, parameters and all: `STARTTLS` becomes `XXXXXXXA`, and the next one of
 * the reply ends in B. Without an `ordinal` the end of the line is still to come.
 */
export function maskKeyword(words: Uint8Array, ordinal: number | undefined): Uint8Array {
  const out = copy(words)
  let last = -1
  for (let i = 0; i < words.length; i++) {
    const octet = words[i]
    if (octet === CR || octet === LF) continue
    out[i] = X
    last = i
  }
  // Behind Z it begins again with A: nobody has seen more than a few.
  if (ordinal !== undefined && last >= 0) out[last] = A + (ordinal % 26)
  return out
}
