import { LINK2STATE_LINE } from './limits.ts'
import type { Reply } from './reply.ts'

/**
 * Frames of routing state, cut into lines of X-LINK2STATE and joined again. What a frame says is routing's affair.
 *
 * A frame is text of one character per octet: `{0000006d} MULTI (5) (…)  `. The number in braces counts the octets behind
 * the `}`, the two spaces at the end among them. No document gives this dialogue whole: `docs/routing.md` says what is
 * attested and what is our choice.
 */

/** Where a piece belongs; `none` is a `CHUNK=` without a word before it. */
export type Position = 'first' | 'next' | 'last' | 'none'

export interface Chunk {
  readonly position: Position
  readonly chunk: string
}

/** Octets of a whole frame, unless the configuration says otherwise. */
export const MAX_FRAME: number = 4 * 1024 * 1024
/** Pieces of one frame: twice as many as full lines need, so that a peer cannot fill the memory with empty ones. */
export const MAX_CHUNKS = 8_448
/** Digits of a length or a number; eleven is the most that was ever seen. */
export const MAX_DIGITS = 16

const ROOM = {
  command: LINK2STATE_LINE - 'X-LINK2STATE  CHUNK=\r\n'.length,
  reply: LINK2STATE_LINE - '200- CHUNK=\r\n'.length,
} as const

/** The pieces of a frame for lines of at most 1,024 octets; `undefined` where an octet would break the line. */
export function cutFrame(frame: string, on: 'command' | 'reply'): readonly Chunk[] | undefined {
  // CR, LF and NUL may stand in a frame on TCP 691; here they would be a second command.
  if (/[\r\n\0]|[^\x00-\xff]/.test(frame)) return undefined
  const chunks: Chunk[] = []
  const room = ROOM[on]
  let at = 0
  while (frame.length - at > room - 'LAST'.length) {
    const position = at === 0 ? 'first' : 'next'
    const next = at + room - position.length
    chunks.push({ position, chunk: frame.slice(at, next) })
    at = next
  }
  chunks.push({ position: 'last', chunk: frame.slice(at) })
  return chunks
}

/** The answer to the last piece of a frame: another frame, cut the same way. `undefined` as in `cutFrame`. */
export function frameReply(frame: string): Reply | undefined {
  const chunks = cutFrame(frame, 'reply')
  return chunks && { code: 200, text: chunks.map(({ position, chunk }) => `${position.toUpperCase()} CHUNK=${chunk}`) }
}

/** The answer to every piece but the last. */
export const CHUNK_RECEIVED: Reply = { code: 200, text: ['CHUNK received'] }

export type Gathered =
  | { readonly kind: 'more' }
  /** Whole. `trimmed` octets of its end were lost on the way and are put back: somebody between cuts trailing blanks. */
  | { readonly kind: 'frame'; readonly frame: string; readonly trimmed: number }
  /** 501, 503 or 552; what was gathered is dropped. */
  | { readonly kind: 'refused'; readonly code: 501 | 503 | 552; readonly why: string }

const MORE: Gathered = { kind: 'more' }

/**
 * Joins the pieces of one frame at a time, with the guards that Exchange 2000 lacked (MS05-021): a piece without a
 * beginning is refused, and what is declared only ever lowers what is taken, never reserves memory.
 *
 * The caller lets only authenticated peers come here, and calls `drop` at RSET, EHLO, STARTTLS and at the end.
 */
export class FrameGatherer {
  readonly #most: number
  #pieces: string[] = []
  #octets = 0
  /** Octets of the whole frame as its beginning declares them. */
  #declared: number | undefined

  constructor(most: number = MAX_FRAME) {
    this.#most = most
  }

  /** Whether a frame is half-way. */
  get isOpen(): boolean {
    return this.#declared !== undefined
  }

  drop(): void {
    this.#pieces = []
    this.#octets = 0
    this.#declared = undefined
  }

  take({ position, chunk }: Chunk): Gathered {
    const begins = position === 'first' || (position === 'last' && !this.isOpen)
    if (begins && this.isOpen) return this.#refuse(503, 'FIRST inside a frame')
    if (!begins && !this.isOpen) return this.#refuse(503, `${position === 'none' ? 'CHUNK' : 'NEXT'} without FIRST`)
    if (begins) {
      const head = readLength(chunk)
      if (head === undefined) return this.#refuse(501, 'a frame begins with its length in braces')
      const declared = head.digits + head.length
      if (declared > this.#most) return this.#refuse(552, `a frame has ${this.#most} octets at most`)
      this.#declared = declared
    }
    const declared = this.#declared ?? 0
    this.#octets += chunk.length
    if (this.#octets > declared) return this.#refuse(501, 'the frame is longer than it declares')
    if (chunk !== '' && this.#pieces.push(chunk) > MAX_CHUNKS) {
      return this.#refuse(552, `a frame comes in ${MAX_CHUNKS} pieces at most`)
    }
    if (position !== 'last') return MORE
    return this.#whole(declared - this.#octets)
  }

  #whole(short: number): Gathered {
    const frame = this.#pieces.join('')
    // Every frame but NODEINFO ends with a bracket and two spaces: only there can we know what was lost.
    const isTrimmed = short > 0 && short <= 2 && frame.trimEnd().endsWith(')') && frame.length + short === endOf(frame)
    if (short > 0 && !isTrimmed) return this.#refuse(501, `the frame is ${short} octets shorter than it declares`)
    this.drop()
    return { kind: 'frame', frame: frame + ' '.repeat(short), trimmed: short }
  }

  #refuse(code: 501 | 503 | 552, why: string): Gathered {
    this.drop()
    return { kind: 'refused', code, why }
  }
}

/** Where a frame that ends with a bracket should end. */
function endOf(frame: string): number {
  return frame.trimEnd().length + 2
}

/** Reads `{0000006d}`: how many characters it has itself, and the length it declares; `undefined` for anything else. */
export function readLength(frame: string, at = 0): { readonly digits: number; readonly length: number } | undefined {
  if (frame[at] !== '{') return undefined
  const close = frame.indexOf('}', at)
  const digits = close < 0 ? '' : frame.slice(at + 1, Math.min(close, at + 2 + MAX_DIGITS))
  if (digits.length === 0 || digits.length > MAX_DIGITS || !/^[0-9A-Fa-f]+$/.test(digits)) return undefined
  const length = Number.parseInt(digits, 16)
  return Number.isSafeInteger(length) ? { digits: digits.length + 2, length } : undefined
}

/** Reads the answer to a frame: the frame in it, `more` where only a piece was received. */
export function readFrameReply({ code, text }: Reply, most: number = MAX_FRAME): Gathered {
  if (code !== 200) return { kind: 'refused', code: 501, why: `${code} is no answer to a frame` }
  const gatherer = new FrameGatherer(most)
  let gathered: Gathered = MORE
  for (const line of text) {
    const piece = readPiece(line)
    if (!piece)
      return text.length === 1 ? MORE : { kind: 'refused', code: 501, why: 'a line of the answer is no piece' }
    if (gathered.kind === 'frame') return { kind: 'refused', code: 503, why: 'more than one frame in an answer' }
    gathered = gatherer.take(piece)
    if (gathered.kind === 'refused') return gathered
  }
  return gathered.kind === 'more' && gatherer.isOpen
    ? { kind: 'refused', code: 501, why: 'the answer ends inside its frame' }
    : gathered
}

function readPiece(line: string): Chunk | undefined {
  const found = /^(FIRST|NEXT|LAST) CHUNK=/i.exec(line)
  if (!found) return undefined
  return { position: (found[1] ?? '').toLowerCase() as Position, chunk: line.slice(found[0].length) }
}
