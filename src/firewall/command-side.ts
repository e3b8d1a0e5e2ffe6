import { bytes, CR, copy, DOT, equal, LF, SP, strictUtf8, text, upper } from '../base/bytes.ts'
import type { Instant } from '../base/time.ts'
import { domainKey } from '../smtp/address.ts'
import { kindOf, parseCommand } from '../smtp/command.ts'
import { type Onlooker, type Said, said } from '../smtp/dialogue.ts'
import { asksAbout, judge, type Situation, type Subject } from './judge.ts'
import { maskLine } from './mask.ts'
import { MESSAGE_SUBJECTS, MessageWatch } from './message-watch.ts'
import type { Policy, SizeKind } from './policy.ts'
import { endOf, type Segment, trimEnd } from './segment.ts'
import { type Because, explain, isKnownVerb, type Judgement, type What } from './verdict.ts'

/** Where in the end of data CRLF.CRLF the octets of a body are. */
type BodyState = 0 | 1 | 2 | 3 | 4

/** Octets of a line that is held back until it is whole; what is longer is judged as it is. */
export const MAX_HELD = 4096

export interface CommandSideOptions {
  readonly situation: Situation
  readonly rateOf: (because: Because, perSecond: number) => Instant
}

/** The client's half of a connection: commands, which are judged line by line, and messages, which stream past. */
export class CommandSide {
  readonly #policy: Policy
  readonly #onlooker: Onlooker
  readonly #options: CommandSideOptions
  /** Octets of the command line under way that went before. */
  #column = 0
  /** A login was begun, and no command that we know has come since: the lines behind it may be secrets. */
  #loginBegun = false
  /** Octets of a chunk whose BDAT did not pass: the server takes them for commands, and they are a message's. */
  #chunk = 0
  /** 2 of the 5: the line end before the first line of a body has come already. */
  #bodyState: BodyState = 2
  /** DATA was believed before the server took it (CVE-2000-1022). */
  #believed = false
  #watch: MessageWatch | undefined
  readonly #watches: boolean
  readonly #asksOfRelay: boolean
  #recipients = 0
  #invalidRecipients = 0
  #declaredSize: number | undefined
  #held: Uint8Array | undefined

  constructor(policy: Policy, onlooker: Onlooker, options: CommandSideOptions) {
    this.#policy = policy
    this.#onlooker = onlooker
    this.#options = options
    this.#asksOfRelay = asksAbout(policy, { on: 'relay' })
    this.#watches = MESSAGE_SUBJECTS.some(about => asksAbout(policy, about))
  }

  /** Is the client in the middle of a message, whose octets are no commands? */
  get inBody(): boolean {
    // Once the end was sent it is over, though the server has not said so: commands may follow before it does.
    return this.#believed || (this.#onlooker.phase === 'body' && this.#onlooker.outstanding === 0)
  }

  /** Octets that were held back, to be put before the next segment. */
  takeHeld(): Uint8Array | undefined {
    const held = this.#held
    this.#held = undefined
    return held
  }

  receive(segment: Segment): void {
    if (!this.inBody) return this.#commands(segment, 0)
    // A line begun behind DATA, before the server took the message, is the message's.
    if (this.#column > 0) this.#bodyState = 0
    this.#column = 0
    const { before } = segment
    const state = this.#bodyState
    const end = this.#endOfBody(before)
    if (this.#splitEnd(segment, state, end)) return
    const body = end < 0 ? before : before.subarray(0, end)
    if (this.#watches && !this.#look(segment, body, end >= 0)) return
    if (end < 0) return
    this.#believed = false
    this.#onlooker.say('end-of-body')
    this.#bodyState = 2
    this.#watch = undefined
    // What stands behind the end of data in the same segment are commands, and judged as such.
    this.#commands(segment, end)
  }

  /** What a reply means for what the client may say. */
  heard(asked: Said | undefined, code: number): Judgement | undefined {
    if (asked === 'rcpt' && code >= 500) {
      this.#invalidRecipients++
      return this.#judge({ on: 'size', what: 'invalid-recipients', size: this.#invalidRecipients })
    }
    if (asked === 'mail' || asked === 'rset' || asked === 'ehlo' || asked === 'helo' || asked === 'end-of-body') {
      this.#recipients = asked === 'mail' ? this.#recipients : 0
    }
    return undefined
  }

  get invalidRecipients(): number {
    return this.#invalidRecipients
  }

  #judge(subject: Subject): Judgement {
    return judge(this.#policy, subject, this.#options.situation)
  }

  /** Carries out what is decided about a size or a text; whether the segment goes on. */
  #heed(segment: Segment, subject: Subject, about: { readonly what: What; readonly line: Uint8Array }): boolean {
    const judgement = this.#judge(subject)
    if (judgement.verdict.kind === 'pass' && judgement.logged.length === 0) return true
    const name = upper('what' in subject ? subject.what : subject.on)
    const size = subject.on === 'size' ? { size: subject.size } : {}
    return segment.heed(judgement, { ...about, subject: name, ...size }, this.#options.rateOf)
  }

  /* Commands. */

  /** Judges the command lines of a segment, from `from` on. */
  #commands(segment: Segment, from: number): void {
    const { before } = segment
    for (let at = from; at < before.length && !segment.stop; ) {
      const lf = before.indexOf(LF, at)
      const end = lf < 0 ? before.length : lf + 1
      const piece = before.subarray(at, end)
      const isWhole = lf >= 0 && this.#column === 0
      if (isWhole) this.#line(segment, piece, at)
      else this.#fragment(segment, piece, at)
      // Whatever it was; if it was DATA, the 354 will tell.
      if (lf >= 0 && !isWhole) this.#onlooker.say('other')
      this.#column = lf < 0 && !this.#held ? this.#column + piece.length : 0
      at = end
      // What follows is taken for a message already.
      if (this.#believed && at < before.length) {
        const rest = this.#endOfBody(before.subarray(at))
        if (rest < 0) return
        this.#believed = false
        this.#onlooker.say('end-of-body')
        at += rest
      }
    }
  }

  #line(segment: Segment, line: Uint8Array, at: number): void {
    if (this.#onlooker.phase === 'auth' && this.#onlooker.outstanding === 0) {
      // A line of a login that the server asked for: no command, and a secret.
      this.#onlooker.say('auth-line')
      return
    }
    const verb = verbOf(line)
    const kind = kindOf(line, endOf(line))
    const isChunk = this.#chunk > 0
    this.#chunk = Math.max(0, this.#chunk - line.length)
    const shown = isChunk ? ofChunk(verb, line.length) : this.#withoutSecrets(line, verb, kind)
    const about = { what: 'command', line: shown.bytes } as const
    if (!this.#heed(segment, { on: 'size', what: 'command-line', size: line.length }, about)) return
    const judgement = this.#judge({ on: 'word', what: 'verb', word: verb.word })
    const { verdict } = judgement
    if (!segment.heed(judgement, { ...about, subject: shown.verb }, this.#options.rateOf)) return
    const isStopped = verdict.kind === 'mask' || verdict.kind === 'discard'
    const command = kind === 'bdat' ? parseCommand(trimEnd(line)) : undefined
    if (isStopped && !isChunk && command?.kind === 'bdat') this.#chunk = command.size
    if (verdict.kind === 'mask') {
      this.#onlooker.say('other')
      const after = maskLine(line, verdict.how, verb.length)
      if (equal(line, after)) return
      segment.overwrite(at, after)
      const change = {
        before: trimEnd(shown.bytes),
        after: trimEnd(
          isChunk && shown.verb === SECRET ? shown.bytes : maskLine(shown.bytes, verdict.how, shown.verbLength),
        ),
      }
      segment.tell(explain('command', shown.verb, change, verdict.because))
      return
    }
    if (verdict.kind === 'discard') {
      segment.cut(at, at + line.length)
      segment.tell(
        explain('command', shown.verb, { before: trimEnd(shown.bytes), after: bytes('') }, verdict.because, {
          did: 'discard',
        }),
      )
      return
    }
    // What we cannot read, the server may: it is followed as what its verb says.
    if (command) this.#onlooker.say(command.kind === 'garbled' ? command.verb : said(command))
    else this.#onlooker.say(kind === 'unreadable' ? 'other' : kind)
    if (verb.word === 'DATA' && this.#policy.engine.kind === 'in-place' && this.#policy.engine.dataFirstBug) {
      this.#believed = true
    }
    if (verb.word === 'MAIL' || verb.word === 'RCPT')
      this.#path(segment, { verb: verb.word, line, at, shown: isChunk ? shown.bytes : line })
  }

  /** MAIL and RCPT: the address, its length, its octets, and how many there are. */
  #path(
    segment: Segment,
    {
      verb,
      line,
      at,
      shown,
    }: {
      readonly verb: 'MAIL' | 'RCPT'
      readonly line: Uint8Array
      readonly at: number
      readonly shown: Uint8Array
    },
  ) {
    const about = { what: 'address', line: shown } as const
    const address = addressIn(line)
    const role = verb === 'MAIL' ? 'sender' : 'recipient'
    if (verb === 'MAIL') {
      this.#recipients = 0
      const declared = /[ \t]SIZE=(\d{1,15})/i.exec(text(line))?.[1]
      this.#declaredSize = declared === undefined ? undefined : Number(declared)
    } else this.#recipients++
    const heed = (subject: Subject): boolean => this.#heed(segment, subject, about)
    const goesOn =
      (verb === 'MAIL' || heed({ on: 'size', what: 'recipients', size: this.#recipients })) &&
      (verb === 'MAIL' || !this.#asksOfRelay || heed({ on: 'relay', domain: domainOf(address) })) &&
      (verb === 'RCPT' ||
        this.#declaredSize === undefined ||
        heed({ on: 'size', what: 'declared-size', size: this.#declaredSize })) &&
      heed({ on: 'size', what: role, size: address.length }) &&
      heed({ on: 'text', what: role, text: address }) &&
      (!hasSpecial(address) || heed({ on: 'octet', what: 'special' }))
    if (!goesOn) return
    this.#address(segment, { verb, line, at, isHidden: shown !== line })
  }

  /** Replaces what does not belong into the address of MAIL or RCPT (PIX syslog 108002). */
  #address(
    segment: Segment,
    {
      verb,
      line,
      at,
      isHidden,
    }: { readonly verb: string; readonly line: Uint8Array; readonly at: number; readonly isHidden: boolean },
  ): void {
    const pipe = this.#judge({ on: 'octet', what: 'pipe' }).verdict
    const bracket = this.#judge({ on: 'octet', what: 'stray-bracket' }).verdict
    const verdict = pipe.kind === 'mask' ? pipe : bracket
    if (verdict.kind !== 'mask') return
    const open = line.indexOf(OPEN)
    const close = open < 0 ? -1 : line.indexOf(CLOSE, open)
    let out: Uint8Array | undefined
    for (let i = 0; i < line.length; i++) {
      const octet = line[i]
      const isPipe = octet === PIPE && pipe.kind === 'mask'
      const isStray = ((octet === OPEN && i !== open) || (octet === CLOSE && i !== close)) && bracket.kind === 'mask'
      if (!isPipe && !isStray) continue
      out ??= copy(line)
      out[i] = SP
    }
    if (!out) return
    segment.overwrite(at, out)
    const shown = bytes(`(${line.length} octets)`)
    const change = isHidden ? { before: shown, after: shown } : { before: trimEnd(line), after: trimEnd(out) }
    segment.tell(explain('address', verb, change, verdict.because))
  }

  #fragment(segment: Segment, piece: Uint8Array, at: number): void {
    const size = this.#column + piece.length
    const octets = trimEnd(piece).length
    this.#chunk = Math.max(0, this.#chunk - piece.length)
    // What is typed octet by octet may be a password: how much it was is enough.
    const shown = bytes(`(${octets} octets)`)
    if (!this.#heed(segment, { on: 'size', what: 'command-line', size }, { what: 'fragment', line: shown })) return
    const verb = this.#column > 0 ? undefined : verbOf(piece)
    const whole = verb && verb.length < piece.length ? verb.word : undefined
    const judgement = this.#judge({ on: 'fragment', verb: whole })
    if (!segment.heed(judgement, { what: 'fragment', subject: 'FRAGMENT', line: shown }, this.#options.rateOf)) return
    const { verdict } = judgement
    if (verdict.kind === 'hold' && this.#column === 0 && piece.length <= MAX_HELD) {
      this.#held = copy(piece)
      segment.cut(at, at + piece.length)
    } else if (verdict.kind === 'discard') {
      segment.cut(at, at + piece.length)
      segment.tell(explain('fragment', '', { before: shown, after: bytes('') }, verdict.because, { did: 'discard' }))
    } else if (verdict.kind === 'mask' || verdict.kind === 'hold') {
      const after = maskLine(piece, 'x-line', piece.length)
      if (equal(piece, after)) return
      segment.overwrite(at, after)
      segment.tell(explain('fragment', '', { before: shown, after: bytes(`(${octets} times X)`) }, verdict.because))
    }
  }

  /**
   * A line as it may be shown. Behind AUTH stands a secret, and so may the lines after it, whose base64 looks like verbs:
   * they are told of, and not told.
   */
  #withoutSecrets(line: Uint8Array, { word, length }: Verb, kind: ReturnType<typeof kindOf>): Shown {
    if (word === 'AUTH' || word === 'X-EXPS') {
      this.#loginBegun = true
      const [verb = '', mechanism = '', ...more] = text(trimEnd(line))
        .trimStart()
        .split(/[ \t]+/)
      const words = more.length > 0 ? [verb, mechanism, SECRET] : [verb, mechanism]
      return { bytes: bytes(words.join(' ').trimEnd()), verb: word, verbLength: verb.length }
    }
    if (kind !== 'other' && kind !== 'unreadable') this.#loginBegun = false
    if (this.#loginBegun) return hidden(SECRET)
    // A verb nobody knows may hold anything, escape sequences included.
    return { bytes: line, verb: isKnownVerb(word) ? word : word.replace(/[^!-~]/g, '?'), verbLength: length }
  }

  /* Messages. */

  /** What the message shows of itself; whether the segment goes on. */
  #look(segment: Segment, octets: Uint8Array, ends: boolean): boolean {
    this.#watch ??= new MessageWatch(about => asksAbout(this.#policy, about))
    const watch = this.#watch
    // The dot line is no line of the message, as far as it stands in this segment.
    const body = ends ? octets.subarray(0, Math.max(0, octets.length - 3)) : octets
    const sights = ends ? [...watch.push(body), ...watch.end()] : watch.push(body)
    for (const { subject, line } of sights) {
      const what: What =
        subject.on === 'size' && BODY_SIZES.has(subject.what) ? 'body' : isPart(subject) ? 'attachment' : 'header'
      if (!this.#heed(segment, subject, { what, line })) return false
    }
    if (!ends || this.#declaredSize === undefined || watch.size <= this.#declaredSize) return true
    const line = bytes(`SIZE=${this.#declaredSize}`)
    const judgement = this.#judge({ on: 'size', what: 'overrun', size: watch.size - this.#declaredSize })
    return segment.heed(judgement, { what: 'body', subject: 'OVERRUN', line, size: watch.size }, this.#options.rateOf)
  }

  /** Throws away the pieces of an end that two segments share, where the policy does (CSCds90792). */
  #splitEnd(segment: Segment, before: BodyState, end: number): boolean {
    const endsInDot = end < 0 && (this.#bodyState === 3 || this.#bodyState === 4)
    // What passes begins a line of its own: Postfix's delay_dotcrlf sends it in one segment, and such boxes took it.
    const goesOn = before === 3 || before === 4
    if (!endsInDot && !(goesOn && (end >= 0 ? end <= 2 : this.#bodyState !== 0))) return false
    const { verdict } = this.#judge({ on: 'octet', what: 'split-end' })
    if (verdict.kind !== 'discard') return false
    segment.cut(0, segment.before.length)
    const octets = segment.before
    if (end >= 0) this.#bodyState = 0
    segment.tell(
      explain('body', 'END-OF-BODY', { before: octets, after: bytes('') }, verdict.because, { did: 'discard' }),
    )
    return true
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

const BODY_SIZES: ReadonlySet<SizeKind> = new Set<SizeKind>(['body', 'body-line', 'message'])

function isPart(subject: Subject): boolean {
  const { what } = subject as { readonly what?: string }
  return (
    what === 'filename' ||
    what === 'mime-type' ||
    what === 'mime-encoding' ||
    what === 'mime-depth' ||
    what === 'mime-parts'
  )
}

const PIPE = 0x7c
const BACKQUOTE = 0x60
const OPEN = 0x3c
const CLOSE = 0x3e

function hasSpecial(octets: Uint8Array): boolean {
  for (let i = 0; i < octets.length; i++) {
    const octet = octets[i]
    if (octet === PIPE || octet === BACKQUOTE || octet === 0) return true
  }
  return false
}

/** What stands between < and >, or else behind the colon up to a blank. Whatever it is. */
function addressIn(line: Uint8Array): Uint8Array {
  const open = line.indexOf(OPEN)
  const close = line.indexOf(CLOSE, open + 1)
  if (open >= 0 && close >= 0) return line.subarray(open + 1, close)
  const rest = trimEnd(line)
  const colon = rest.indexOf(0x3a)
  let from = colon + 1
  while (rest[from] === SP) from++
  const blank = rest.indexOf(SP, from)
  return rest.subarray(from, blank < 0 ? rest.length : blank)
}

function domainOf(address: Uint8Array): string {
  const at = address.lastIndexOf(0x40)
  if (at < 0) return ''
  const domain = strictUtf8(address.subarray(at + 1))
  // Octets that are not UTF-8 are nobody's domain, and no letters of Latin-1.
  return domain === undefined ? '\ufffd' : domainKey(domain)
}

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

const SECRET = '[secret]'

/** A line as it may be shown. */
interface Shown {
  readonly bytes: Uint8Array
  readonly verb: string
  readonly verbLength: number
}

/** Text of a message may begin with a verb, and a verb may be a command after all: it is told, and nothing behind it. */
function ofChunk({ word }: Verb, octets: number): Shown {
  return isKnownVerb(word) ? { bytes: bytes(word), verb: word, verbLength: word.length } : hidden(`(${octets} octets)`)
}

function hidden(instead: string): Shown {
  return { bytes: bytes(instead), verb: SECRET, verbLength: instead.length }
}

function isBlank(octet: number | undefined): boolean {
  return octet === SP || octet === CR || octet === LF || octet === 0x09
}
