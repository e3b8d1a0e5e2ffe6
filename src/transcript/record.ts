/**
 * A dialogue that passes, written down as a transcript as it passes, without what is secret.
 *
 * What is written is what is known to be harmless, and never the other way round: a command line whose verb we know, and
 * of a login only its mechanism. Every other octet of the client becomes `x`, and what the server says to it, too, for a
 * server may quote what it was told. Messages are left out unless they are asked for.
 */
import { CR, copy, LF, SP, text, upper } from '../base/bytes.ts'
import { type Duration, formatDuration, type Instant } from '../base/time.ts'
import { DotReader } from '../smtp/body.ts'
import { COMMAND_KINDS, parseCommand } from '../smtp/command.ts'
import { MAX_OUTSTANDING, Onlooker, said } from '../smtp/dialogue.ts'
import { formatWords, type Mark } from './format.ts'
import type { Part } from './transcript.ts'

export interface RecordOptions {
  /** Whether the text of messages is written, too. */
  readonly messages: boolean
  /** Octets of transcript; what comes after is left out, and that is said. */
  readonly octets: number
}

const HIDDEN = 0x78 // x
/** What takes less is not written down. */
const SECOND: Duration = 1000
const TAB = 0x09
const KNOWN: ReadonlySet<string> = new Set(COMMAND_KINDS.map(upper))
const LOGINS: ReadonlySet<string> = new Set(['AUTH', 'X-EXPS'])
/** Octets of a verb; the word of a longer one is not ours. */
const MAX_VERB = 16

/** What a line under way is, once its verb is known. */
type LineKind = 'start' | 'plain' | 'login' | 'hidden'

/** What was asked: the reply to what is written may be written, too. */
type Asked = 'plain' | 'login' | 'hidden'

export class Recorder {
  readonly #options: RecordOptions
  readonly #onlooker = new Onlooker()
  #body: DotReader | undefined
  #bodyOctets = 0
  /** Octets of a chunk (BDAT) that are still to come. */
  #chunk = 0
  #line: LineKind = 'start'
  #lineHead: number[] = []
  /** What each command without its reply is. The greeting is the first. */
  readonly #open: Asked[] = ['plain']
  /** From AUTH until the server has said yes or no: the lines between hold secrets, whatever they look like. */
  #login = false
  #replyHead = ''
  #last: Part | undefined
  #at: Instant | undefined
  #endedBy: Part | undefined
  #written = 0
  #over = false
  #lines: string[] = []

  constructor(options: RecordOptions) {
    this.#options = options
  }

  /** The lines since the last call. */
  take(): readonly string[] {
    const lines = this.#lines
    this.#lines = []
    return lines
  }

  /** A segment as one side said it, and as the other heard it. */
  passed(by: Part, segment: Uint8Array, heard: Uint8Array, now?: Instant): void {
    if (this.#over || segment.length === 0) return
    this.#pass(now)
    if (by === 'S') this.#server(segment, heard)
    else this.#client(segment, heard)
  }

  /** The firewall spoke to the client for itself: its words are its own, and may be written. */
  answered(octets: Uint8Array, now?: Instant): void {
    if (this.#over) return
    this.#pass(now)
    for (const line of linesOf(octets)) this.#write(formatWords('F', line))
    this.#last = undefined
  }

  /** Time went on. What a message that is left out took is left out with it: its octets would seem to be few, and slow. */
  #pass(now: Instant | undefined): void {
    if (now === undefined) return
    const gap = now - (this.#at ?? now)
    this.#at = now
    const inMessage = this.#onlooker.phase === 'body' && this.#onlooker.outstanding === 0
    if (gap < SECOND || (inMessage && !this.#options.messages)) return
    this.#write(`(${formatDuration(gap - (gap % SECOND))} pass)`)
    this.#last = undefined
  }

  /** One side says no more. It is written when all is over: until then the other may go on. */
  ended(by: Part): void {
    this.#endedBy ??= by
  }

  /** Nothing more will pass. */
  close(): void {
    this.#write(this.#endedBy === 'S' ? '(server closes)' : '(client closes)')
    this.#write('(connection closes)')
    this.#over = true
  }

  #client(segment: Uint8Array, heard: Uint8Array): void {
    const inPlace = heard.length === segment.length
    const shown = copy(segment)
    const spans: { readonly from: number; readonly to: number }[] = []
    for (let at = 0; at < segment.length; ) {
      if (this.#onlooker.phase === 'body' && this.#onlooker.outstanding === 0) {
        at = this.#message(segment, at, spans)
      } else if (this.#chunk > 0) {
        const to = Math.min(segment.length, at + this.#chunk)
        this.#chunk -= to - at
        hide(shown, at, to)
        spans.push({ from: at, to })
        at = to
      } else {
        const lf = segment.indexOf(LF, at)
        const to = lf < 0 ? segment.length : lf + 1
        this.#command(segment, shown, at, to)
        spans.push({ from: at, to })
        at = to
      }
    }
    this.#segment('C', shown, inPlace ? hiddenToo(segment, shown, heard) : harmless(heard), spans)
  }

  /** Octets of a message, up to its end; where they are not written, their number is. */
  #message(segment: Uint8Array, from: number, spans: { from: number; to: number }[]): number {
    this.#body ??= new DotReader()
    const { rest } = this.#body.push(segment.subarray(from))
    const to = rest ? segment.length - rest.length : segment.length
    this.#bodyOctets += to - from
    if (this.#options.messages) {
      for (const { length } of linesOf(segment.subarray(from, to))) {
        const start = spans.at(-1)?.to ?? from
        spans.push({ from: start, to: start + length })
      }
    }
    if (!rest) return to
    this.#onlooker.say('end-of-body')
    this.#ask('plain')
    this.#body = undefined
    if (!this.#options.messages) {
      this.#speaks('C')
      this.#write(`# ${this.#bodyOctets} octets of a message are left out`)
      this.#write('C: .')
    }
    this.#bodyOctets = 0
    return to
  }

  /** A line, or a piece of one: hides in `shown` what must not be written. */
  #command(segment: Uint8Array, shown: Uint8Array, from: number, to: number): void {
    let at = from
    if (this.#line === 'start') {
      while (at < to && this.#line === 'start') {
        const octet = segment[at] ?? 0
        if (!isBlank(octet)) this.#lineHead.push(octet)
        else if (this.#lineHead.length > 0) {
          const verb = upper(String.fromCharCode(...this.#lineHead))
          this.#line = this.#login ? 'hidden' : LOGINS.has(verb) ? 'login' : KNOWN.has(verb) ? 'plain' : 'hidden'
        } else if (octet === LF) break
        if (this.#lineHead.length > MAX_VERB) this.#line = 'hidden'
        at++
      }
      // A verb that came in pieces was hidden piece by piece: the rest of it is no secret, and no use either.
      if (this.#lineHead.length > at - from) this.#line = 'hidden'
    } else if (this.#line === 'login') {
      this.#line = 'hidden'
      this.#login = true
    }
    if (this.#line === 'login') hide(shown, behindMechanism(segment, at, to), to)
    else if (this.#line !== 'plain') hide(shown, from, to)
    if (segment[to - 1] !== LF) return
    const command = parseCommand(trimmed(segment.subarray(from, to)))
    this.#onlooker.say(said(command))
    if (command.kind === 'bdat') this.#chunk = command.size
    if (this.#line === 'login') this.#login = true
    this.#ask(this.#login ? 'login' : this.#line === 'plain' ? 'plain' : 'hidden')
    this.#line = 'start'
    this.#lineHead = []
  }

  #ask(what: Asked): void {
    if (this.#open.length < MAX_OUTSTANDING) this.#open.push(what)
  }

  #server(segment: Uint8Array, heard: Uint8Array): void {
    const shown = copy(segment)
    const spans: { readonly from: number; readonly to: number }[] = []
    for (let at = 0; at < segment.length; ) {
      const lf = segment.indexOf(LF, at)
      const to = lf < 0 ? segment.length : lf + 1
      const headBefore = this.#replyHead.length
      this.#replyHead += text(segment, at, Math.min(to, at + 4 - headBefore))
      // An answer to nothing that we know of is not written either.
      if (this.#open[0] !== 'plain') hide(shown, Math.min(to, at + Math.max(0, 4 - headBefore)), to)
      spans.push({ from: at, to })
      at = to
      if (lf < 0) continue
      const head = this.#replyHead
      this.#replyHead = ''
      if (head[3] === '-') continue
      if (this.#open.shift() === 'login' && head[0] !== '3') this.#login = false
      const asked = this.#onlooker.hear(Number(head.slice(0, 3)) || 0)
      // What was said behind DATA was no command, and gets no reply.
      if (this.#onlooker.phase === 'body') this.#open.length = 0
      if (asked === 'starttls' && head[0] === '2') {
        this.#reply(segment, shown, heard, spans)
        this.#write('# TLS begins here: nothing more can be read')
        this.#over = true
        return
      }
    }
    this.#reply(segment, shown, heard, spans)
  }

  #reply(segment: Uint8Array, shown: Uint8Array, heard: Uint8Array, spans: readonly Span[]): void {
    const inPlace = heard.length === segment.length
    this.#segment('S', shown, inPlace ? hiddenToo(segment, shown, heard) : heard, spans)
  }

  #speaks(by: Part): void {
    if (this.#last === by) this.#write('(segment ends)')
    this.#last = by
  }

  #segment(by: Part, shown: Uint8Array, heard: Uint8Array, spans: readonly Span[]): void {
    if (spans.length === 0) return
    this.#speaks(by)
    const inPlace = heard.length === shown.length
    for (const [i, { from, to }] of spans.entries()) {
      const line = shown.subarray(from, to)
      this.#write(words(by, line))
      if (inPlace) {
        const out = heard.subarray(from, to)
        if (!same(line, out)) this.#write(words('=>', out))
      } else if (i === spans.length - 1) {
        for (const out of linesOf(heard)) this.#write(words('=>', out))
      }
      if (!inPlace && heard.length === 0) this.#write('=|')
    }
  }

  #write(line: string): void {
    if (this.#over) return
    this.#written += line.length + 1
    if (this.#written > this.#options.octets) {
      this.#lines.push(`# the rest is left out: ${this.#options.octets} octets are the limit`)
      this.#over = true
      return
    }
    this.#lines.push(line)
  }
}

interface Span {
  readonly from: number
  readonly to: number
}

function words(mark: Mark, line: Uint8Array): string {
  return formatWords(mark, line)
}

function same(a: Uint8Array, b: Uint8Array): boolean {
  return a.length === b.length && a.every((octet, i) => octet === b[i])
}

/** Line ends and blanks stay: what is one line, and one word, to a firewall stays one. */
function hide(octets: Uint8Array, from: number, to: number): void {
  for (let i = from; i < to; i++) if (!isBlank(octets[i])) octets[i] = HIDDEN
}

function isBlank(octet: number | undefined): boolean {
  return octet === CR || octet === LF || octet === SP || octet === TAB
}

/**
 * What came out of the same length, hidden where what went in was. Of a word that the firewall changed, the octets it
 * writes are its own, though one of them may have stood there before.
 */
function hiddenToo(segment: Uint8Array, shown: Uint8Array, heard: Uint8Array): Uint8Array {
  const out = copy(heard)
  let start = 0
  for (let i = 0; i <= out.length; i++) {
    if (i < out.length && !isBlank(segment[i])) continue
    const isChanged = !same(segment.subarray(start, i), heard.subarray(start, i))
    for (let at = start; at < i; at++) {
      const isMask = isChanged && MASKS.has(out[at] ?? 0)
      if (out[at] === segment[at] && !isMask) out[at] = shown[at] ?? HIDDEN
    }
    start = i + 1
  }
  return out
}

/** What the masks of `firewall/mask.ts` write: X, *, NOOP. */
const MASKS: ReadonlySet<number> = new Set([0x58, 0x2a, 0x4e, 0x4f, 0x50])

/** Behind `AUTH LOGIN `, from the blank behind the verb on. */
function behindMechanism(line: Uint8Array, from: number, to: number): number {
  let at = from
  while (at < to && line[at] === SP) at++
  while (at < to && line[at] !== SP) at++
  return at
}

function trimmed(line: Uint8Array): Uint8Array {
  let end = line.length
  while (end > 0 && (line[end - 1] === CR || line[end - 1] === LF)) end--
  return line.subarray(0, end)
}

function linesOf(octets: Uint8Array): readonly Uint8Array[] {
  const lines: Uint8Array[] = []
  for (let at = 0; at < octets.length; ) {
    const lf = octets.indexOf(LF, at)
    const to = lf < 0 ? octets.length : lf + 1
    lines.push(octets.subarray(at, to))
    at = to
  }
  return lines
}

/** Lines of another length than they came in: each is judged by itself. */
function harmless(heard: Uint8Array): Uint8Array {
  const out = copy(heard)
  let from = 0
  for (const line of linesOf(heard)) {
    const to = from + line.length
    const verb = upper(/^[A-Za-z0-9-]{1,16}/.exec(text(line))?.[0] ?? '')
    if (LOGINS.has(verb)) hide(out, behindMechanism(out, from + verb.length, to), to)
    else if (!KNOWN.has(verb)) hide(out, from, to)
    from = to
  }
  return out
}

/** The beginning of a transcript, up to its first line of dialogue. */
export function transcriptHead(
  prose: readonly string[],
  subject: string,
  config: string,
  connects: string,
): readonly string[] {
  const harmlessProse = prose.map(line => `# ${line.replace(/[^\x20-\x7e]/g, '?')}`)
  const text = config.endsWith('\n') || config === '' ? config : `${config}\n`
  return [
    ...harmlessProse,
    `subject: ${subject}`,
    '',
    '-- config --',
    ...text.split('\n').slice(0, -1),
    '',
    '-- admission --',
    '...',
    '',
    '-- verdicts --',
    '...',
    '',
    '-- dialogue --',
    `(client connects ${connects})`,
  ]
}
