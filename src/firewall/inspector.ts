/**
 * The in-place firewall: both directions of one connection, as a machine.
 *
 * It works *per segment*, as the PIX did: a segment is one chunk given to it, and leaves as one chunk of the same
 * length. It never adds a reply and never swallows an octet; what it changes, it explains.
 */
import { bytes, CR, concat, copy, DOT, equal, LF, SP, text, upper } from '../base/bytes.ts'
import { type Command, type CommandKind, parseCommand } from '../smtp/command.ts'
import { Onlooker, said } from '../smtp/dialogue.ts'
import { judge } from './judge.ts'
import { GREETING_START, type GreetingCursor, maskGreeting, maskLine } from './mask.ts'
import type { Policy } from './policy.ts'
import { type Explanation, explain, type Verdict } from './verdict.ts'

export type Side = 'client' | 'server'

export type InspectorOutput =
  | { readonly kind: 'forward'; readonly to: Side; readonly bytes: Uint8Array }
  | { readonly kind: 'altered'; readonly explanation: Explanation }

/** Where in the end of data CRLF.CRLF the octets of a body are. */
type BodyState = 0 | 1 | 2 | 3 | 4

export class Inspector {
  readonly #policy: Policy
  readonly #onlooker = new Onlooker()
  #greeting: GreetingCursor | undefined = GREETING_START
  /** The first octets of the reply line under way: its code, and whether more lines follow. */
  #replyHead = ''
  #clientMidLine = false
  /** A login was begun that did not pass: the lines behind it may be secrets. */
  #loginBegun = false
  /** 2 of the 5: the line end before the first line of a body has come already. */
  #bodyState: BodyState = 2

  constructor(policy: Policy) {
    this.#policy = policy
  }

  /** Is the client in the middle of a message, whose octets are not looked at? */
  get inBody(): boolean {
    // Once the end was sent it is over, though the server has not said so: commands may follow before it does.
    return this.#onlooker.phase === 'body' && this.#onlooker.outstanding === 0
  }

  /** One segment from one side. Gives it back as one segment for the other, with what was done to it. */
  receive(from: Side, segment: Uint8Array): readonly InspectorOutput[] {
    if (from === 'server') return this.#fromServer(segment)
    if (!this.inBody) return this.#commands(segment, 0)
    // A line begun behind DATA, before the server took the message, is the message's.
    if (this.#clientMidLine) this.#bodyState = 0
    this.#clientMidLine = false
    const end = this.#endOfBody(segment)
    if (end < 0) return [{ kind: 'forward', to: 'server', bytes: segment }]
    this.#onlooker.say('end-of-body')
    this.#bodyState = 2
    // What stands behind the end of data in the same segment are commands, and judged as such.
    return this.#commands(segment, end)
  }

  #fromServer(segment: Uint8Array): readonly InspectorOutput[] {
    const cursor = this.#greeting
    this.#followReplies(segment)
    if (!cursor) return [{ kind: 'forward', to: 'client', bytes: segment }]
    const { verdict } = judge(this.#policy, { on: 'greeting' })
    // Only a 220 is a greeting to hide: a refusal passes, so that people can read why.
    const code = this.#firstCode(segment, cursor)
    if (verdict.kind !== 'mask' || !'220'.startsWith(code.slice(0, 3))) {
      return [{ kind: 'forward', to: 'client', bytes: segment }]
    }
    // The part behind the greeting's last line is a reply to something, and not masked.
    const end = this.#greetingEnd ?? segment.length
    const masked = maskGreeting(segment.subarray(0, end), verdict.how, cursor)
    const out = end === segment.length ? masked : concat([masked, segment.subarray(end)])
    const hidden = equal(segment, out) ? [] : [explainChange('greeting', '', segment, out, verdict)]
    return this.#changed('client', segment, out, hidden)
  }

  #greetingEnd: number | undefined
  #greetingCode = ''

  #firstCode(segment: Uint8Array, { at }: GreetingCursor): string {
    if (at < 3) this.#greetingCode += text(segment, 0, Math.min(segment.length, 3 - at))
    return this.#greetingCode
  }

  /** Follows the replies as far as the dialogue needs it: the code of each one's last line. */
  #followReplies(segment: Uint8Array): void {
    this.#greetingEnd = undefined
    let from = 0
    while (from < segment.length) {
      const lf = segment.indexOf(LF, from)
      const end = lf < 0 ? segment.length : lf
      if (this.#replyHead.length < 4) {
        this.#replyHead += text(segment, from, Math.min(end, from + 4 - this.#replyHead.length))
      }
      if (lf < 0) break
      const head = this.#replyHead
      this.#replyHead = ''
      from = lf + 1
      if (head[3] === '-') continue
      this.#onlooker.hear(Number(head.slice(0, 3)) || 0)
      if (this.#greeting && this.#greetingEnd === undefined) this.#greetingEnd = from
    }
    if (!this.#greeting) return
    if (this.#greetingEnd !== undefined) this.#greeting = undefined
    else {
      const previous = segment[segment.length - 1] ?? this.#greeting.previous
      this.#greeting = { at: this.#greeting.at + segment.length, previous }
    }
  }

  /** Judges the command lines of a segment, from `from` on, and sends the whole segment. */
  #commands(segment: Uint8Array, from: number): readonly InspectorOutput[] {
    let out = segment
    let explanations: Explanation[] | undefined
    let at = from
    while (at < segment.length) {
      const lf = segment.indexOf(LF, at)
      const end = lf < 0 ? segment.length : lf + 1
      const piece = segment.subarray(at, end)
      const isWhole = lf >= 0 && !this.#clientMidLine
      const done = isWhole ? this.#line(piece) : this.#fragment(piece)
      if (done) {
        if (out === segment) out = copy(segment)
        out.set(done.bytes, at)
        explanations ??= []
        explanations.push(done.explanation)
      }
      // Whatever it was; if it was DATA, the 354 will tell.
      if (lf >= 0 && !isWhole) this.#onlooker.say('other')
      this.#clientMidLine = lf < 0
      at = end
    }
    return this.#changed('server', segment, out, explanations ?? [])
  }

  #line(line: Uint8Array): Change | undefined {
    const verb = verbOf(line)
    const { verdict } = judge(this.#policy, { on: 'word', what: 'verb', word: verb.word })
    const command = parseCommand(trimEnd(line))
    if (verdict.kind === 'mask') {
      this.#onlooker.say('other')
      const after = maskLine(line, verdict.how, verb.length)
      const shown = this.#withoutSecrets(line, verb, command)
      const change = [shown.bytes, maskLine(shown.bytes, verdict.how, shown.verbLength)] as const
      return equal(line, after)
        ? undefined
        : { bytes: after, explanation: explainChange('command', shown.verb, ...change, verdict) }
    }
    this.#loginBegun = false
    // What we cannot read, the server may: it is followed as what its verb says.
    this.#onlooker.say(command.kind === 'garbled' ? command.verb : said(command))
    return verb.word === 'MAIL' || verb.word === 'RCPT'
      ? this.#address(verb.word.toLowerCase() as CommandKind, line)
      : undefined
  }

  /**
   * A masked line as it may be shown. Behind AUTH stands a secret, and so may the lines after it, whose base64 looks like
   * verbs: they are told of, and not told.
   */
  #withoutSecrets(
    line: Uint8Array,
    { word, length }: Verb,
    { kind }: Command,
  ): { readonly bytes: Uint8Array; readonly verb: string; readonly verbLength: number } {
    if (word === 'AUTH' || word === 'X-EXPS') {
      this.#loginBegun = true
      const [verb = '', mechanism = '', ...more] = text(trimEnd(line))
        .trimStart()
        .split(/[ \t]+/)
      const words = more.length > 0 ? [verb, mechanism, SECRET] : [verb, mechanism]
      return { bytes: bytes(words.join(' ').trimEnd()), verb: word, verbLength: verb.length }
    }
    if (kind !== 'other' && kind !== 'unreadable') this.#loginBegun = false
    if (this.#loginBegun) return { bytes: bytes(SECRET), verb: SECRET, verbLength: SECRET.length }
    // A verb nobody knows may hold anything, escape sequences included.
    return { bytes: line, verb: word.replace(/[^!-~]/g, '?'), verbLength: length }
  }

  #fragment(piece: Uint8Array): Change | undefined {
    const verb = this.#clientMidLine ? undefined : verbOf(piece)
    const whole = verb && verb.length < piece.length ? verb.word : undefined
    const { verdict } = judge(this.#policy, { on: 'fragment', verb: whole })
    if (verdict.kind !== 'mask') return undefined
    const after = maskLine(piece, verdict.how, piece.length)
    if (equal(piece, after)) return undefined
    // What is typed octet by octet may be a password: how much it was is enough.
    const octets = trimEnd(piece).length
    const change = [bytes(`(${octets} octets)`), bytes(`(${octets} times X)`)] as const
    return { bytes: after, explanation: explainChange('fragment', '', ...change, verdict) }
  }

  /** Replaces what does not belong into the address of MAIL or RCPT (PIX syslog 108002). */
  #address(kind: CommandKind, line: Uint8Array): Change | undefined {
    const pipe = judge(this.#policy, { on: 'octet', what: 'pipe' }).verdict
    const bracket = judge(this.#policy, { on: 'octet', what: 'stray-bracket' }).verdict
    const verdict = pipe.kind === 'mask' ? pipe : bracket
    if (verdict.kind !== 'mask') return undefined
    const open = line.indexOf(OPEN)
    const close = open < 0 ? -1 : line.indexOf(CLOSE, open)
    let out: Uint8Array | undefined
    for (const [i, octet] of line.entries()) {
      const isPipe = octet === PIPE && pipe.kind === 'mask'
      const isStray = ((octet === OPEN && i !== open) || (octet === CLOSE && i !== close)) && bracket.kind === 'mask'
      if (!isPipe && !isStray) continue
      out ??= copy(line)
      out[i] = SP
    }
    return out && { bytes: out, explanation: explainChange('address', upper(kind), line, out, verdict) }
  }

  #changed(to: Side, before: Uint8Array, after: Uint8Array, why: readonly Explanation[]): readonly InspectorOutput[] {
    if (after.length !== before.length) throw new Error('an in-place firewall changed a length')
    const altered = why.map(explanation => ({ kind: 'altered', explanation }) as const)
    return [...altered, { kind: 'forward', to, bytes: after }]
  }

  /** Behind CRLF.CRLF, wherever the segments cut it; -1 while it has not come. */
  #endOfBody(segment: Uint8Array): number {
    const started = this.#follow(segment, 0, Math.min(4, segment.length))
    if (started >= 0 || segment.length <= 4) return started
    // Dots are rarer than line ends, so the search goes from dot to dot.
    for (let dot = segment.indexOf(DOT, 2); dot >= 0; dot = segment.indexOf(DOT, dot + 1)) {
      const begins = segment[dot - 2] === CR && segment[dot - 1] === LF
      if (begins && segment[dot + 1] === CR && segment[dot + 2] === LF) return dot + 3
    }
    // What may become an end with the next segment shows in the last four octets.
    this.#bodyState = 0
    return this.#follow(segment, segment.length - 4, segment.length)
  }

  /** The automaton of CRLF.CRLF over part of a segment. */
  #follow(segment: Uint8Array, from: number, to: number): number {
    let state = this.#bodyState
    for (let i = from; i < to; i++) {
      const octet = segment[i]
      if (octet === CR) state = state === 3 ? 4 : 1
      else if (octet === LF && state === 4) return i + 1
      else if (octet === LF && state === 1) state = 2
      else if (octet === DOT && state === 2) state = 3
      else state = 0
    }
    this.#bodyState = state
    return -1
  }
}

const PIPE = 0x7c
const OPEN = 0x3c
const CLOSE = 0x3e

/**
 * The first word of a line: what the box takes for the verb. Blanks before it count to its length and not to the word,
 * as there are servers that skip them.
 */
function verbOf(line: Uint8Array): Verb {
  let start = 0
  while (line[start] === SP || line[start] === 0x09) start++
  let length = start
  while (length < line.length && !isBlank(line[length])) length++
  return { word: upper(text(line, start, Math.min(length, start + 32))), length }
}

interface Verb {
  readonly word: string
  readonly length: number
}

/** What takes the place of part of a segment, and the record of it, which may show less. */
interface Change {
  readonly bytes: Uint8Array
  readonly explanation: Explanation
}

const SECRET = '[secret]'

function isBlank(octet: number | undefined): boolean {
  return octet === SP || octet === CR || octet === LF || octet === 0x09
}

function trimEnd(line: Uint8Array): Uint8Array {
  let end = line.length
  while (end > 0 && (line[end - 1] === CR || line[end - 1] === LF)) end--
  return line.subarray(0, end)
}

function explainChange(
  what: Explanation['what'],
  subject: string,
  before: Uint8Array,
  after: Uint8Array,
  { because }: Verdict & { kind: 'mask' },
): Explanation {
  return explain(what, subject, { before: trimEnd(before), after: trimEnd(after) }, because)
}
