import { Octets, TEXT_LINE } from './form.ts'
import type { Body, MimePiece } from './mime.ts'
import type { Part } from './part.ts'

/** What the next server takes: no 8BITMIME there, or no BINARYMIME. */
export type Target = '7bit' | '8bitmime'

export type Encoding = 'quoted-printable' | 'base64'

/** How a message is made to fit. It holds for the same octets only. */
export interface Plan {
  /** By `Body.index`: what is to be encoded, and how. The rest stays as it is. */
  readonly encodings: ReadonlyMap<number, Encoding>
  /** By `Part.index`. */
  readonly edits: ReadonlyMap<number, Edit>
  /** The last line has its CRLF already. */
  readonly isEnded: boolean
}

/** What changes in a header. */
export interface Edit {
  /** In the place of the Content-Transfer-Encoding field, or at the end where there is none. */
  readonly encoding: string | undefined
  /** Whole fields for the end of the header. */
  readonly added: string
}

/** Why a message cannot be made to fit, for a reply or a report. */
export interface Cannot {
  /** 5.6.3: conversion is needed and not possible (RFC 3463 §3.7); 5.6.7: SMTPUTF8 is needed. */
  readonly status: '5.6.3' | '5.6.7'
  readonly why: string
}

/**
 * Finds out what a message needs, from the pieces that a MimeReader cut it into (RFC 6152 §3, RFC 3030 §3).
 *
 * As little as will do: a part that the next server can take stays octet for octet, and a message that has no other
 * parts stays whole.
 */
export class Planner {
  readonly #to: Target
  readonly #mayBeUtf8: boolean
  /** The headers and delimiters, which no encoding can help. */
  readonly #structure = new Octets()
  #content = new Octets()
  #isEnded = true
  readonly #encodings = new Map<number, Encoding>()
  readonly #edits = new Map<number, Edit>()
  #cannot: Cannot | undefined

  /** `smtputf8`: the next server takes UTF-8 in headers. It has 8BITMIME then, too (RFC 6531 §3.1). */
  constructor(to: Target, { smtputf8 }: { readonly smtputf8: boolean }) {
    this.#to = to
    this.#mayBeUtf8 = smtputf8 && to === '8bitmime'
  }

  push(pieces: readonly MimePiece[]): void {
    for (const piece of pieces) {
      switch (piece.kind) {
        case 'header-end':
          break
        case 'body':
          this.#content.push(piece.bytes)
          break
        case 'body-end':
          this.#judge(piece)
          break
        default:
          this.#structure.push(piece.bytes)
          this.#isEnded = this.#structure.isEnded
      }
    }
  }

  /** `ambiguous`: why readers may not agree on the structure. */
  end(ambiguous: string | undefined): Plan | Cannot {
    this.#structure.end()
    const { eightBit } = this.#structure
    if (eightBit && !this.#mayBeUtf8) {
      return { status: '5.6.7', why: 'a header has octets above 127, and the next server does not take SMTPUTF8' }
    }
    if (!this.#structure.isLines) {
      return { status: '5.6.3', why: `a header has ${flaws(this.#structure, '8bitmime')}, and headers are not encoded` }
    }
    if (this.#cannot) return this.#cannot
    if (this.#encodings.size > 0 && ambiguous !== undefined) {
      return { status: '5.6.3', why: `parts must be encoded, but ${ambiguous}` }
    }
    return { encodings: this.#encodings, edits: this.#edits, isEnded: this.#isEnded }
  }

  #judge({ body, fixed, isLast }: MimePiece & { readonly kind: 'body-end' }): void {
    const octets = this.#content
    this.#content = new Octets()
    octets.end()
    if (octets.size > 0) this.#isEnded = octets.isEnded
    const { part } = body
    // DATA ends the last line with a CRLF (RFC 5321 §4.1.1.4), which in binary content would be one more octet pair.
    const growsAnEnd = isLast && !octets.isEnded && part.encoding === 'binary' && part.holds === 'octets' && !fixed
    if (!growsAnEnd && octets.isLines && (this.#to === '8bitmime' || !octets.eightBit)) return
    if (fixed !== undefined) {
      const why = `part ${part.index + 1} (${part.type}) has ${flaws(octets, this.#to)}, and ${fixed}`
      this.#cannot ??= { status: '5.6.3', why }
      return
    }
    const encoding = encodingOf(body)
    this.#encodings.set(body.index, encoding)
    this.#edit(part, body.role === 'content' ? encoding : undefined, octets.eightBit)
  }

  /** What the header of this part and those around it must say, now that something under them is encoded. */
  #edit(of: Part, encoding: Encoding | undefined, eightBit: boolean): void {
    for (let part: Part | undefined = of; part; part = part.parent) {
      const { isMessage, hasContentType, hasMimeVersion } = part
      const version = isMessage && !hasMimeVersion ? 'MIME-Version: 1.0\r\n' : ''
      // Nobody says which charset it is (RFC 1428 §3).
      const charset = eightBit ? 'unknown-8bit' : 'us-ascii'
      const type = isMessage && !hasContentType ? `Content-Type: text/plain; charset=${charset}\r\n` : ''
      const label = part === of ? (encoding ?? this.#label(part)) : this.#label(part)
      this.#edits.set(part.index, { encoding: label, added: version + type })
    }
  }

  /** What holds other parts may not be encoded, and says what they are at most (RFC 2045 §6.4). */
  #label({ encoding }: Part): string | undefined {
    const label = this.#to === '7bit' ? '7bit' : '8bit'
    return encoding === 'binary' || (encoding === '8bit' && label === '7bit') ? label : undefined
  }
}

/** Text stays legible (RFC 2045 §6.7). What stands around parts is for eyes alone: readers of MIME skip it. */
function encodingOf({ part, role }: Body): Encoding {
  return role !== 'content' || part.type.startsWith('text/') ? 'quoted-printable' : 'base64'
}

function flaws(octets: Octets, to: Target): string {
  const found = [
    to === '7bit' && octets.eightBit ? 'octets above 127' : '',
    octets.bareCr ? 'a CR without LF' : '',
    octets.bareLf ? 'an LF without CR' : '',
    octets.nul ? 'a NUL' : '',
    octets.longestLine > TEXT_LINE ? `a line of ${octets.longestLine} octets` : '',
  ]
  return found.filter(flaw => flaw !== '').join(', ')
}
