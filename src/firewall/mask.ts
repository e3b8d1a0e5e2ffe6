import { bytes, CR, copy, LF, SP } from '../base/bytes.ts'
import type { MaskKind } from './policy.ts'

/**
 * Hiding that keeps lengths: an in-place firewall rewrites a segment where it stands, so that sequence numbers stay true
 * and the stream stays in step. No function here ever gives back more or fewer octets than it took.
 */

const STAR = 0x2a
const X = 0x58
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
}

export const GREETING_START: GreetingCursor = { at: 0, previous: 0 }

/**
 * Masks part of a 220 greeting. The first four octets (`220 ` or `220-`) and the line ends always stay. Under
 * `keep-2-0` a later `220 ` survives because it is made of nothing but 2, 0 and a space behind a 0, while the dash of a
 * later `220-` does not; the older forms hide the later codes too, and such clients waited for ever.
 */
export function maskGreeting(segment: Uint8Array, how: MaskKind, cursor: GreetingCursor): Uint8Array {
  const out = copy(segment)
  let { at, previous } = cursor
  for (const [i, octet] of segment.entries()) {
    if (at >= 4 && octet !== CR && octet !== LF) out[i] = greetingOctet(octet, how, at - 4, previous)
    previous = octet
    at++
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
