import { bytes, ControlFinder, CR, DOT, LF } from '../base/bytes.ts'

/** An octet that has no business in a message sent by DATA (RFC 5321 §2.3.8, §4.5.2). */
export type Stray = 'bare CR' | 'bare LF' | 'NUL'

const LINE_START = 0
const MIDDLE = 1
const AFTER_CR = 2
const AFTER_DOT = 3
const AFTER_DOT_CR = 4

/**
 * Reads a message sent by DATA: takes the doubled dots out, and knows the one end there is, CRLF.CRLF.
 *
 * A lone LF does not end a line: a server that thinks it does could be fed a second message inside the first
 * (smuggling). RFC 5321 §2.3.8. What else thinks so is told by `stray`, for the caller to refuse after the real end.
 */
export class DotReader {
  // As if we just came from a CRLF: a message may begin with its end.
  #state = LINE_START
  #stray: Stray | undefined

  /** The first octet found that must not be there. */
  get stray(): Stray | undefined {
    return this.#stray
  }

  /** The content in these octets; `rest` is there once the end was read, and holds what follows it. */
  push(chunk: Uint8Array): { readonly content: readonly Uint8Array[]; readonly rest?: Uint8Array } {
    const content: Uint8Array[] = []
    const controls = new ControlFinder(chunk)
    let state = this.#state
    let from = 0
    for (let i = 0; i < chunk.length; i++) {
      // CR, LF and NUL are below whatever else a line is made of, but for a few that are looked at and go on.
      if (state === MIDDLE) {
        i = controls.next(i)
        if (i === chunk.length) break
      }
      const octet = chunk[i]
      switch (state) {
        case AFTER_DOT:
          if (octet === CR) {
            // Held back: it belongs to the end, or else to the content.
            state = AFTER_DOT_CR
            from = i + 1
            continue
          }
          break
        case AFTER_DOT_CR:
          if (octet === LF) {
            this.#state = LINE_START
            return { content, rest: chunk.subarray(i + 1) }
          }
          content.push(ONE_CR)
          this.#stray ??= 'bare CR'
          break
        case AFTER_CR:
          if (octet !== LF) this.#stray ??= 'bare CR'
          break
        default:
      }
      if (octet === DOT && state === LINE_START) {
        // The first dot of a line is never content (RFC 5321 §4.5.2).
        if (i > from) content.push(chunk.subarray(from, i))
        from = i + 1
        state = AFTER_DOT
      } else if (octet === CR) {
        state = AFTER_CR
      } else if (octet === LF) {
        if (state === AFTER_CR) state = LINE_START
        else {
          this.#stray ??= 'bare LF'
          state = MIDDLE
        }
      } else {
        if (octet === 0) this.#stray ??= 'NUL'
        state = MIDDLE
      }
    }
    if (from < chunk.length && state !== AFTER_DOT_CR) content.push(chunk.subarray(from))
    this.#state = state
    return { content }
  }
}

const ONE_CR = bytes('\r')
const ONE_DOT = bytes('.')
const END = bytes('.\r\n')
const CRLF_END = bytes('\r\n.\r\n')

/** Writes a message for DATA: doubles the dots that begin a line, and ends it. The content's line ends are CRLF. */
export class DotWriter {
  #atLineStart = true

  /** The octets to send for this piece of content. */
  push(chunk: Uint8Array): readonly Uint8Array[] {
    const out: Uint8Array[] = []
    if (chunk.length === 0) return out
    let from = 0
    // There are fewer dots than lines.
    for (let at = chunk.indexOf(DOT); at >= 0; at = chunk.indexOf(DOT, at + 1)) {
      if (at === 0 ? !this.#atLineStart : chunk[at - 1] !== LF) continue
      if (at > from) out.push(chunk.subarray(from, at))
      out.push(ONE_DOT)
      from = at
    }
    out.push(chunk.subarray(from))
    this.#atLineStart = chunk[chunk.length - 1] === LF
    return out
  }

  /** The end of data, after a CRLF if the content had none (RFC 5321 §4.1.1.4). */
  end(): Uint8Array {
    return this.#atLineStart ? END : CRLF_END
  }
}

/** Counts a chunk's octets off a stream (RFC 3030 §2): they are content, whatever they look like. */
export class ChunkReader {
  #left: number

  constructor(size: number) {
    this.#left = size
  }

  get left(): number {
    return this.#left
  }

  push(chunk: Uint8Array): { readonly content: Uint8Array; readonly rest?: Uint8Array } {
    const content = chunk.length > this.#left ? chunk.subarray(0, this.#left) : chunk
    this.#left -= content.length
    return this.#left === 0 ? { content, rest: chunk.subarray(content.length) } : { content }
  }
}

/** Looks for stray octets in content that comes framed by its size. */
export class StrayReader {
  #afterCr = false

  push(chunk: Uint8Array): Stray | undefined {
    let found: Stray | undefined
    for (const octet of chunk) {
      if (this.#afterCr !== (octet === LF)) found ??= this.#afterCr ? 'bare CR' : 'bare LF'
      else if (octet === 0) found ??= 'NUL'
      this.#afterCr = octet === CR
    }
    return found
  }

  /** The content is over: a CR that nothing followed was a stray one, too. */
  end(): Stray | undefined {
    return this.#afterCr ? 'bare CR' : undefined
  }
}
