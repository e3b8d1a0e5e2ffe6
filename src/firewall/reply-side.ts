import { CR, concat, copy, equal, LF, text, upper } from '../base/bytes.ts'
import type { Onlooker, Said } from '../smtp/dialogue.ts'
import { EXTENSIONS } from '../smtp/extension.ts'
import { judge } from './judge.ts'
import { GREETING_START, type GreetingCursor, maskGreeting, maskKeyword, moveOn } from './mask.ts'
import type { Policy } from './policy.ts'
import { type Segment, trimEnd } from './segment.ts'
import { type Because, explain, MAX_KEPT } from './verdict.ts'

/** What was heard of the server, for whoever follows the client. */
export type Heard = (asked: Said | undefined, code: number) => void

/**
 * The server's half of a connection: hides the greeting, hides keywords of the EHLO reply, and follows the codes.
 *
 * It works per segment. A line in pieces is judged as soon as it can be: a keyword that can no longer become one that
 * passes is hidden from there on; what could still become one passes, and if it does not, the rest is hidden, so that no
 * whole keyword ever passes that should not. Where its last letter comes alone, it becomes X and no ordinal letter.
 */
export class ReplySide {
  readonly #policy: Policy
  readonly #onlooker: Onlooker
  readonly #heard: Heard
  #greeting: GreetingCursor | undefined = GREETING_START
  #greetingCode = ''
  /** The first octets of the line under way: its code, and whether more lines follow. */
  #head = ''
  #column = 0
  /** Which line of its reply it is; the first of an EHLO reply is the server's name. */
  #lineOfReply = 0
  #keyword: KeywordCursor | undefined
  /** Keywords hidden in this reply so far. */
  #hidden = 0

  constructor(policy: Policy, onlooker: Onlooker, heard: Heard) {
    this.#policy = policy
    this.#onlooker = onlooker
    this.#heard = heard
  }

  receive(segment: Segment): void {
    const { before } = segment
    let greeted: Greeted | undefined
    for (let from = 0; from < before.length; ) {
      const lf = before.indexOf(LF, from)
      const to = lf < 0 ? before.length : lf + 1
      const piece = before.subarray(from, to)
      if (this.#head.length < 4) this.#head += text(piece, 0, 4 - this.#head.length)
      if (this.#greeting) {
        const masked = this.#greetingPiece(piece, this.#greeting)
        if (masked) {
          greeted ??= { from, because: masked.because, parts: [] }
          greeted.parts.push(masked.bytes)
          segment.overwrite(from, masked.bytes)
        } else greeted = tellGreeting(segment, greeted, from)
      } else this.#keywordPiece(segment, piece, from)
      this.#column += piece.length
      from = to
      if (lf >= 0 && this.#endLine()) greeted = tellGreeting(segment, greeted, to)
    }
    tellGreeting(segment, greeted, before.length)
  }

  /** Whether the reply is over with this line. */
  #endLine(): boolean {
    const head = this.#head
    this.#head = ''
    this.#column = 0
    this.#lineOfReply++
    this.#keyword = undefined
    if (head[3] === '-') return false
    const code = codeOf(head)
    this.#heard(this.#onlooker.hear(code), code)
    this.#greeting = undefined
    this.#lineOfReply = 0
    this.#hidden = 0
    return true
  }

  #greetingPiece(piece: Uint8Array, cursor: GreetingCursor) {
    if (cursor.at < 3) this.#greetingCode += text(piece, 0, Math.min(piece.length, 3 - cursor.at))
    this.#greeting = moveOn(cursor, piece)
    const { verdict } = judge(this.#policy, { on: 'greeting' })
    // Only a 220 is a greeting to hide: a refusal passes, so that people can read why.
    if (verdict.kind !== 'mask' || !'220'.startsWith(this.#greetingCode)) return undefined
    return { bytes: maskGreeting(piece, verdict.how, cursor), because: verdict.because }
  }

  #keywordPiece(segment: Segment, piece: Uint8Array, at: number): void {
    if (this.#onlooker.waitingFor !== 'ehlo' || this.#lineOfReply === 0 || !'250'.startsWith(this.#head.slice(0, 3)))
      return
    const start = Math.max(0, 4 - this.#column)
    if (start >= piece.length && !piece.includes(LF)) return
    const words = piece.subarray(Math.min(start, piece.length))
    this.#keyword ??= { word: '', because: undefined, decided: 'no', before: '', after: '' }
    const cursor = this.#keyword
    const ends = piece[piece.length - 1] === LF
    if (cursor.decided === 'no') this.#decide(cursor, words, ends)
    const isHidden = cursor.decided === 'mask'
    const masked = isHidden ? maskKeyword(words, ends ? this.#hidden : undefined) : copy(words)
    if (isHidden) segment.overwrite(at + piece.length - words.length, masked)
    cursor.before += text(words, 0, MAX_KEPT - cursor.before.length)
    cursor.after += text(masked, 0, MAX_KEPT - cursor.after.length)
    if (!ends || !isHidden || !cursor.because) return
    this.#hidden++
    if (cursor.before === cursor.after) return
    const [before, after] = [cursor.before, cursor.after].map(each =>
      trimEnd(Uint8Array.from(each, char => char.charCodeAt(0))),
    )
    segment.tell(explain('keyword', cursor.word, { before: before ?? words, after: after ?? masked }, cursor.because))
  }

  #decide(cursor: KeywordCursor, words: Uint8Array, ends: boolean): void {
    let length = 0
    while (length < words.length && !isDelimiter(words[length])) length++
    cursor.word = upper(cursor.word + text(words, 0, Math.min(length, MAX_KEYWORD - cursor.word.length)))
    const isWhole = length < words.length || ends
    const { verdict } = judge(this.#policy, { on: 'word', what: 'ehlo-keyword', word: cursor.word })
    if (verdict.kind !== 'mask') {
      if (isWhole) cursor.decided = 'pass'
      return
    }
    if (!isWhole && mayBecome(this.#policy, cursor.word)) return
    cursor.decided = 'mask'
    cursor.because = verdict.because
  }
}

/** The number that a line begins with, or 0. */
function codeOf(head: string): number {
  const [a, b, c] = [head.charCodeAt(0) - ZERO, head.charCodeAt(1) - ZERO, head.charCodeAt(2) - ZERO]
  const isCode = a >= 0 && a <= 9 && b >= 0 && b <= 9 && c >= 0 && c <= 9
  return isCode ? 100 * a + 10 * b + c : Number(head.slice(0, 3)) || 0
}

const ZERO = 0x30

/** A greeting of which something was hidden in this segment. */
interface Greeted {
  readonly from: number
  readonly because: Because
  readonly parts: Uint8Array[]
}

function tellGreeting(segment: Segment, greeted: Greeted | undefined, to: number): undefined {
  if (!greeted) return
  const [was, is] = [trimEnd(segment.before.subarray(greeted.from, to)), trimEnd(concat(greeted.parts))]
  if (!equal(was, is)) segment.tell(explain('greeting', '', { before: was, after: is }, greeted.because))
}

/** Octets of a keyword that are looked at. */
const MAX_KEYWORD = 64

/** Where in a line of the EHLO reply we are. */
interface KeywordCursor {
  word: string
  decided: 'no' | 'pass' | 'mask'
  because: Because | undefined
  before: string
  after: string
}

function isDelimiter(octet: number | undefined): boolean {
  return octet === 0x20 || octet === 0x09 || octet === 0x3d || octet === CR || octet === LF
}

/** Whether a keyword that begins so could pass: one of those we know, or one that the policy names. */
function mayBecome(policy: Policy, begun: string): boolean {
  const named = policy.rules.flatMap(({ match }) => {
    const inner = match.on === 'not' ? match.match : match
    return inner.on === 'word' && inner.what === 'ehlo-keyword' ? [...inner.in] : []
  })
  return [...EXTENSIONS.map(({ keyword }) => keyword), ...named].some(
    keyword =>
      keyword.startsWith(begun) &&
      judge(policy, { on: 'word', what: 'ehlo-keyword', word: keyword }).verdict.kind !== 'mask',
  )
}
