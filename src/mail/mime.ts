import { CR, concat, copy, LF, NO_BYTES, text } from '../base/bytes.ts'
import { Header, LINE_START, type Part } from './part.ts'

/** How many parts are told apart; those after are left alone. */
export const MIME_PARTS = 1000

/** A run of octets that is no structure: what a part holds, or what stands around the parts of a multipart. */
export interface Body {
  /** Counted through the message. */
  readonly index: number
  readonly part: Part
  readonly role: 'content' | 'preamble' | 'epilogue'
}

/** The octets of a message in their order, told apart. All of them together are the message. */
export type MimePiece =
  | { readonly kind: 'header'; readonly bytes: Uint8Array }
  /** Of a Content-Transfer-Encoding field: `part` is the index of the part it is of. */
  | { readonly kind: 'encoding-field'; readonly bytes: Uint8Array; readonly part: number }
  /** A header is over; the blank line follows. */
  | { readonly kind: 'header-end'; readonly part: Part }
  /** A blank line after a header, or a delimiter with the CRLF that belongs to it (RFC 2046 §5.1.1). */
  | { readonly kind: 'separator'; readonly bytes: Uint8Array }
  | { readonly kind: 'body'; readonly bytes: Uint8Array; readonly body: Body }
  /** `fixed` as in `Part`; `isLast`: the message ends here. */
  | { readonly kind: 'body-end'; readonly body: Body; readonly fixed: string | undefined; readonly isLast: boolean }

/** A multipart that we are inside of. */
interface Level {
  readonly part: Part
  /** `--boundary`. */
  readonly delimiter: string
  isClosed: boolean
}

/** How a line ends; `undefined` while that is not known. */
type Ending = 'crlf' | 'bare' | 'end of message' | undefined

/**
 * Tells the octets of a MIME message apart as they stream past, with constant memory and without recursion.
 *
 * Strict where readers of mail differ: what one of them could take for another structure is left alone and named, in
 * `fixed` where it is about one part, in `ambiguous` where it is about all.
 */
export class MimeReader {
  #buffer: Uint8Array = NO_BYTES
  #pieces: MimePiece[] = []
  /** Octets of the buffer from here on are not in a piece yet. */
  #from = 0
  #carry: Uint8Array = NO_BYTES
  /** The beginning of the line under way has been judged. */
  #isMidLine = false
  /** It began after a CRLF, or the message did. */
  #isAfterCrlf = true
  readonly #levels: Level[] = []
  #header: Header | undefined
  #body: Body | undefined
  #parts = 0
  #bodies = 0
  #ambiguous: string | undefined
  readonly #opens: boolean

  /** `opens`: parts are told apart in what is signed or encrypted, too, for whoever looks for something in them. */
  constructor({ opens = false }: { readonly opens?: boolean } = {}) {
    this.#opens = opens
    this.#startPart(undefined)
  }

  /** Why readers may not agree on the structure of the whole. */
  get ambiguous(): string | undefined {
    return this.#ambiguous
  }

  push(chunk: Uint8Array): readonly MimePiece[] {
    return this.#read(this.#carry.length > 0 ? concat([this.#carry, chunk]) : chunk, false)
  }

  end(): readonly MimePiece[] {
    return this.#read(this.#carry, true)
  }

  #read(buffer: Uint8Array, isLast: boolean): readonly MimePiece[] {
    this.#buffer = buffer
    this.#from = 0
    this.#pieces = []
    let at = 0
    while (at < buffer.length) {
      const eol = endOfLine(buffer, at)
      const ending = endingAt(buffer, eol, isLast)
      if (!this.#isMidLine && ending === undefined && eol - at < LINE_START) break
      const next = eol + (ending === 'crlf' ? 2 : ending === 'bare' ? 1 : 0)
      if (this.#isMidLine) this.#header?.more(buffer, at, eol)
      else this.#startLine(at, eol, { next, ending })
      this.#isMidLine = ending === undefined
      at = next
      if (ending === undefined) break
      this.#isAfterCrlf = ending === 'crlf'
    }
    if (!isLast && !this.#isMidLine && this.#heldAt(at) > 0) {
      // The CRLF before a delimiter is not content, so it waits until the next line is known.
      at -= 2
      this.#isMidLine = true
    }
    this.#take(at)
    this.#carry = copy(buffer.subarray(at))
    if (isLast) this.#endBody(undefined, true)
    return this.#pieces
  }

  /** Octets before this line start that would belong to a delimiter. */
  #heldAt(at: number): 0 | 2 {
    return this.#body && this.#isAfterCrlf && at - this.#from >= 2 ? 2 : 0
  }

  /** Everything before `to` that is not in a piece yet is one. */
  #take(to: number): void {
    const bytes = this.#buffer.subarray(this.#from, to)
    this.#from = to
    if (bytes.length === 0) return
    if (this.#body) this.#pieces.push({ kind: 'body', bytes, body: this.#body })
    else if (this.#header?.field === 'content-transfer-encoding') {
      this.#pieces.push({ kind: 'encoding-field', bytes, part: this.#header.index })
    } else this.#pieces.push({ kind: 'header', bytes })
  }

  #startLine(at: number, eol: number, { next, ending }: { readonly next: number; readonly ending: Ending }): void {
    const found = this.#delimiter(at, eol, ending)
    if (found) this.#cross(found, at, next)
    else if (this.#header && eol === at && ending === 'crlf') this.#endHeader(this.#header, at, next)
    else if (this.#header) {
      if (!this.#header.continues(this.#buffer, at)) {
        this.#take(at)
        this.#header.startField(this.#buffer, at, eol)
      }
      this.#header.more(this.#buffer, at, eol)
    }
  }

  /** The multipart whose delimiter this line is, if it is one. */
  #delimiter(at: number, eol: number, ending: Ending): { level: number; closes: boolean } | undefined {
    if (this.#levels.length === 0 || this.#buffer[at] !== 0x2d || this.#buffer[at + 1] !== 0x2d) return undefined
    const line = text(this.#buffer, at, Math.min(eol, at + LINE_START))
    // What follows it may be space (RFC 2046 §5.1.1), and nothing else.
    const bare = trimEnd(line)
    if (this.#isAfterCrlf && eol - at <= LINE_START && (ending === 'crlf' || ending === 'end of message')) {
      const found = this.#levels.flatMap(({ delimiter, isClosed }, level) => {
        const closes = bare === `${delimiter}--`
        return !isClosed && (closes || bare === delimiter) ? [{ level, closes }] : []
      })
      if (found.length === 1) return found[0]
    }
    // By RFC 2046 §5.1.1 it would do that the boundary begins the line; most readers want the whole line.
    if (this.#levels.some(({ delimiter }) => line.startsWith(delimiter))) {
      this.#ambiguous ??= 'a line begins as a delimiter of its parts does, and is none'
    }
    return undefined
  }

  #cross({ level, closes }: { level: number; closes: boolean }, at: number, next: number): void {
    const open = this.#levels[level]
    if (!open) return
    const start = at - this.#heldAt(at)
    this.#take(start)
    this.#endBody(open.part, false)
    this.#header = undefined
    this.#separate(start, next)
    // Whatever was not closed inside ends here, too.
    this.#levels.length = level + 1
    open.isClosed = closes
    if (closes) this.#startBody(open.part, 'epilogue')
    else this.#startPart(open.part)
  }

  #separate(start: number, next: number): void {
    this.#pieces.push({ kind: 'separator', bytes: this.#buffer.subarray(start, next) })
    this.#from = next
  }

  #startPart(parent: Part | undefined): void {
    const index = this.#parts++
    const header = new Header(index, parent, this.#opens)
    if (index < MIME_PARTS) this.#header = header
    else this.#startBody(header.end([], `the message has more than ${MIME_PARTS} parts`), 'content')
  }

  #endHeader(header: Header, at: number, next: number): void {
    this.#take(at)
    const part = header.end(this.#levels.map(({ delimiter }) => delimiter))
    this.#header = undefined
    this.#pieces.push({ kind: 'header-end', part })
    this.#separate(at, next)
    if (part.holds === 'message') return this.#startPart(part)
    if (part.boundary !== undefined) {
      this.#levels.push({ part, delimiter: `--${part.boundary}`, isClosed: false })
    }
    this.#startBody(part, part.holds === 'parts' ? 'preamble' : 'content')
  }

  #startBody(part: Part, role: Body['role']): void {
    this.#body = { index: this.#bodies++, part, role }
  }

  /** `by`: the multipart whose delimiter ends it. */
  #endBody(by: Part | undefined, isLast: boolean): void {
    const body = this.#body
    if (!body) return
    // Readers show it as text then.
    const isAll = body.role === 'preamble' && by !== body.part
    const fixed = isAll ? 'none of its parts ever begins' : body.part.fixed
    this.#pieces.push({ kind: 'body-end', body, fixed, isLast })
    this.#body = undefined
  }
}

function endOfLine(buffer: Uint8Array, from: number): number {
  let at = from
  while (at < buffer.length && buffer[at] !== CR && buffer[at] !== LF) at++
  return at
}

function endingAt(buffer: Uint8Array, eol: number, isLast: boolean): Ending {
  if (eol + 1 >= buffer.length && !isLast && buffer[eol] !== LF) return undefined
  if (eol === buffer.length) return 'end of message'
  return buffer[eol] === CR && buffer[eol + 1] === LF ? 'crlf' : 'bare'
}

function trimEnd(line: string): string {
  let end = line.length
  while (end > 0 && (line[end - 1] === ' ' || line[end - 1] === '\t')) end--
  return line.slice(0, end)
}
