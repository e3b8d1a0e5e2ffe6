import { CR, LF } from '../base/bytes.ts'
import type { MailFacts } from '../smtp/extension.ts'

/** Octets of a line of a message, its CRLF not counted (RFC 5322 §2.1.1). */
export const TEXT_LINE = 998

/**
 * What a stretch of octets needs from the ways it is to go, found out as it streams past.
 *
 * Only CRLF ends a line here; a CR or LF alone is an octet of the line it stands in.
 */
export class Octets {
  size = 0
  /** There is an octet above 127. */
  eightBit = false
  bareCr = false
  bareLf = false
  nul = false
  /** Octets of the longest line so far, that under way included. */
  longestLine = 0
  #line = 0
  #afterCr = false

  push(chunk: Uint8Array): void {
    let line = this.#line
    let afterCr = this.#afterCr
    for (const octet of chunk) {
      if (afterCr) {
        afterCr = false
        if (octet === LF) {
          if (line > this.longestLine) this.longestLine = line
          line = 0
          continue
        }
        this.bareCr = true
        line++
      }
      if (octet === CR) {
        afterCr = true
        continue
      }
      line++
      if (octet === LF) this.bareLf = true
      else if (octet === 0) this.nul = true
      else if (octet > 127) this.eightBit = true
    }
    this.size += chunk.length
    this.#line = line
    this.#afterCr = afterCr
    if (line > this.longestLine) this.longestLine = line
  }

  /** The stretch is over: a CR that nothing followed was a bare one. */
  end(): void {
    if (!this.#afterCr) return
    this.#afterCr = false
    this.bareCr = true
    this.#line++
    if (this.#line > this.longestLine) this.longestLine = this.#line
  }

  /** The last line has its CRLF, or there is none. */
  get isEnded(): boolean {
    return this.#line === 0 && !this.#afterCr
  }

  /** It has octets that only BINARYMIME can carry (RFC 5321 §2.3.8). */
  get hasStray(): boolean {
    return this.bareCr || this.bareLf || this.nul
  }

  /** Everything is in lines that DATA can carry (RFC 5321 §4.5.3.1.6). */
  get isLines(): boolean {
    return !this.hasStray && this.longestLine <= TEXT_LINE
  }
}

/** The form of a message: of its header and of the rest apart, because only the rest can be encoded. */
export class MessageForm {
  readonly header: Octets = new Octets()
  readonly body: Octets = new Octets()
  /** How much of the blank line's CRLF, and the CRLF before it, has been read. */
  #matched = 2
  #isHeader = true

  push(chunk: Uint8Array): void {
    let from = 0
    while (this.#isHeader && from < chunk.length) {
      const octet = chunk[from++]
      const wanted = this.#matched % 2 === 0 ? CR : LF
      if (octet === wanted) this.#matched++
      else this.#matched = octet === CR ? 1 : 0
      if (this.#matched === 4) this.#isHeader = false
    }
    this.header.push(chunk.subarray(0, from))
    this.body.push(chunk.subarray(from))
  }

  end(): void {
    this.header.end()
    this.body.end()
  }

  get size(): number {
    return this.header.size + this.body.size
  }

  /** The last line has its CRLF. */
  get isEnded(): boolean {
    return this.header.isEnded && this.body.isEnded
  }

  /**
   * What it is, whatever BODY= it was declared to be: the least that the next server must offer for it to go as it is.
   *
   * A header line that is too long does not count, for it would be too long in any body type; 8-bit octets in the header
   * are SMTPUTF8's matter, too.
   */
  get bodyType(): MailFacts['body'] {
    if (this.header.hasStray || !this.body.isLines) return 'binarymime'
    return this.header.eightBit || this.body.eightBit ? '8bitmime' : '7bit'
  }
}
