/**
 * The far side of a two-ended diagnosis: a server that takes everything, keeps every octet that arrives and every one it
 * says, and tells both to whoever asks by HELO: verb and name are what every box lets through, whether it rewrites or speaks
 * for itself.
 */
import { bytes, lower, text, upper } from '../base/bytes.ts'
import type { Machine, WireOutput } from '../base/machine.ts'
import type { Duration, Instant } from '../base/time.ts'
import type { Exchange } from './observation.ts'

/** One thing that arrived, and what was answered to it. The first arrived nothing: it is the greeting. */
export interface FarStep {
  readonly arrived: string
  readonly answered: readonly string[]
}

/** A connection as the far side had it. */
export interface FarRecord {
  readonly steps: readonly FarStep[]
}

/** With digits, zeros before blanks, and letters: every mask shows itself in it. */
const GREETING = '220 far-side.postern.invalid ESMTP Postern listens, 10 20 30 2026-02-20 20:02:00 ABCXYZ'

const LIST: readonly string[] = [
  'far-side.postern.invalid tells what it heard',
  'PIPELINING',
  'SIZE 10240000',
  'VRFY',
  'ETRN',
  'STARTTLS',
  'AUTH PLAIN LOGIN',
  'AUTH=PLAIN LOGIN',
  'ENHANCEDSTATUSCODES',
  '8BITMIME',
  'BINARYMIME',
  'DSN',
  'SMTPUTF8',
  'CHUNKING',
  'DELIVERBY',
  'X-EXPS GSSAPI NTLM LOGIN',
  'X-LINK2STATE',
  'XEXCH50',
  'HELP',
]

/** Octets that one connection may send; then it is told 421. */
export const MAX_ARRIVED = 262_144
/** Octets of a record that one reply tells: twice as many hexadecimal digits, and a line holds 512. */
export const SLICE = 200
/** The domain of our own questions: `HELO arrived.3.200.asks.postern.invalid`. */
export const ASK = 'asks.postern.invalid'
export const IDLE: Duration = 60_000

export type FarOutput = WireOutput | { readonly kind: 'record'; readonly record: FarRecord }

export class FarSide implements Machine<FarOutput> {
  readonly #steps: FarStep[] = []
  #held = ''
  #octets = 0
  #body: string | undefined
  #deadline: Instant | undefined
  #over = false

  get deadline(): Instant | undefined {
    return this.#over ? undefined : this.#deadline
  }

  open(now: Instant): readonly FarOutput[] {
    this.#deadline = now + IDLE
    return this.#say('', [GREETING])
  }

  receive(octets: Uint8Array, now: Instant): readonly FarOutput[] {
    if (this.#over) return []
    this.#deadline = now + IDLE
    this.#octets += octets.length
    if (this.#octets > MAX_ARRIVED) return this.#bye('421 4.7.0 Enough was heard')
    this.#held += text(octets)
    const out: FarOutput[] = []
    for (let end = this.#held.indexOf('\n'); end >= 0 && !this.#over; end = this.#held.indexOf('\n')) {
      const line = this.#held.slice(0, end + 1)
      this.#held = this.#held.slice(end + 1)
      out.push(...(this.#body === undefined ? this.#command(line) : this.#message(line)))
    }
    return out
  }

  #message(line: string): readonly FarOutput[] {
    this.#body += line
    if (line.replace(/\r?\n$/, '') !== '.') return []
    const body = this.#body ?? ''
    this.#body = undefined
    return this.#say(body, [`250 2.0.0 ${body.length} octets arrived, and are thrown away`])
  }

  #command(line: string): readonly FarOutput[] {
    const said = line.trimEnd()
    const verb = upper(said.split(' ', 1)[0] ?? '')
    // What is asked about the record is no part of it.
    const question = readQuestion(said)
    if (question) return this.#tell(question)
    switch (verb) {
      case 'EHLO':
        return this.#say(
          line,
          LIST.map((each, i) => `250${i === LIST.length - 1 ? ' ' : '-'}${each}`),
        )
      case 'HELO':
      case 'NOOP':
      case 'RSET':
      case 'MAIL':
      case 'RCPT':
        return this.#say(line, ['250 2.0.0 Heard'])
      case 'DATA':
        this.#body = ''
        return this.#say(line, ['354 Tell me'])
      case 'STARTTLS':
        return this.#say(line, ['454 4.7.0 TLS is offered to see whether the offer arrives'])
      case 'QUIT':
        return this.#finish(this.#say(line, ['221 2.0.0 Bye']))
      default:
        // As Sendmail does, so that one end alone can learn something, too.
        return this.#say(line, [
          `500 5.5.1 Command unrecognized: "${said.slice(0, 200).replace(/[^\x20-\x7e]/g, '?')}"`,
        ])
    }
  }

  #tell({ what, number, from }: Question): readonly FarOutput[] {
    const step = this.#steps[number]
    if (what === 'steps') return write([`250 steps ${this.#steps.length}`])
    const whole = what === 'arrived' ? step?.arrived : step?.answered.map(line => `${line}\r\n`).join('')
    if (whole === undefined) return write(['250 nothing'])
    return write([`250 of ${whole.length} ${toHex(bytes(whole.slice(from, from + SLICE)))}`])
  }

  #say(arrived: string, lines: readonly string[]): readonly FarOutput[] {
    this.#steps.push({ arrived, answered: lines })
    return write(lines)
  }

  #bye(line: string): readonly FarOutput[] {
    return this.#finish(write([line]))
  }

  /** The record is out before the last words are: whoever hears them may read it. */
  #finish(last: readonly FarOutput[] = []): readonly FarOutput[] {
    if (this.#over) return []
    this.#over = true
    return [{ kind: 'record', record: { steps: this.#steps } }, ...last, { kind: 'close', how: 'after-writes' }]
  }

  end(): readonly FarOutput[] {
    return this.#finish()
  }

  tick(now: Instant): readonly FarOutput[] {
    return this.#deadline !== undefined && now >= this.#deadline
      ? this.#bye('421 4.4.2 Nothing was said for a while')
      : []
  }
}

function write(lines: readonly string[]): readonly WireOutput[] {
  return [{ kind: 'write', bytes: bytes(lines.map(line => `${line}\r\n`).join('')) }]
}

function toHex(octets: Uint8Array): string {
  return [...octets].map(octet => octet.toString(16).padStart(2, '0')).join('')
}

export function fromHex(digits: string): string | undefined {
  if (digits.length % 2 !== 0 || !/^[0-9a-f]*$/.test(digits)) return undefined
  return digits.replace(/../g, pair => String.fromCharCode(Number.parseInt(pair, 16)))
}

/** What the near side says to a far side of ours: there nothing can be spoilt. */
export function farLines(hello: string): readonly string[] {
  return [
    `EHLO ${hello}`,
    'ZQXJ a b',
    'NOOP',
    'STARTTLS',
    'HELP',
    'VRFY postmaster',
    'AUTH LOGIN',
    'ETRN a.example',
    'X-EXPS GSSAPI',
    'X-LINK2STATE LAST CHUNK={000001}',
    'XEXCH50 0 2',
    'BDAT 0 LAST',
    `HELO ${hello}`,
    'MAIL FROM:<near|side@postern.invalid> BODY=8BITMIME SIZE=1000',
    'RCPT TO:<far-side@postern.invalid> NOTIFY=NEVER',
    'DATA',
    'RSET',
  ]
}

/** A message with what is altered on some ways: unknown fields, long lines, eight bits, dots, an attachment's name. */
export const FAR_BODY: string = [
  'From: near side <near-side@postern.invalid>',
  'To: far side <far-side@postern.invalid>',
  'Subject: what arrives of this?',
  'X-Postern-Unknown: a field that nobody knows',
  'Message-ID: <near-side@postern.invalid>',
  'MIME-Version: 1.0',
  'Content-Type: multipart/mixed; boundary="b"',
  '',
  '--b',
  'Content-Type: text/plain; charset=utf-8',
  'Content-Transfer-Encoding: 8bit',
  '',
  'Gr\xc3\xbc\xc3\x9fe, 2020 0 2',
  '..a dot in front',
  'EHLO is no command here, and neither is STARTTLS | < >',
  `long ${'0123456789'.repeat(95)}`,
  '--b',
  'Content-Type: application/octet-stream; name="postern.exe"',
  'Content-Transfer-Encoding: base64',
  '',
  'TVqQAAMAAAAEAAAA',
  '--b--',
  '.',
  '',
].join('\r\n')

/** Something asked about the record. */
export interface Question {
  readonly what: 'steps' | 'arrived' | 'answered'
  readonly number: number
  readonly from: number
}

export function askLine(what: Question['what'], number = 0, from = 0): string {
  return `HELO ${what}.${number}.${from}.${ASK}`
}

export function readQuestion(line: string): Question | undefined {
  const [, what, number = '0', from = '0'] =
    /^HELO (steps|arrived|answered)\.(\d{1,4})\.(\d{1,7})\.asks\.postern\.invalid\s*$/i.exec(line) ?? []
  return what === undefined
    ? undefined
    : { what: lower(what) as Question['what'], number: Number(number), from: Number(from) }
}

/** The piece that a reply to `askLine` tells, and how long the whole is; `undefined` where it is no such reply. */
export function toldIn({
  heard,
}: Pick<Exchange, 'heard'>): { readonly of: number; readonly piece: string } | undefined {
  const found = /^250 of (\d{1,7}) ([0-9a-f]*)$/.exec(heard[0] ?? '')
  const piece = fromHex(found?.[2] ?? '')
  return found && piece !== undefined ? { of: Number(found[1]), piece } : undefined
}

export function stepsIn({ heard }: Pick<Exchange, 'heard'>): number | undefined {
  const found = /^250 steps (\d{1,4})$/.exec(heard[0] ?? '')
  return found ? Number(found[1]) : undefined
}

/** Reads what `JSON.stringify` made of a record; `undefined` where it is something else. Total. */
export function readFarRecord(value: unknown): FarRecord | undefined {
  if (typeof value !== 'object' || value === null || !('steps' in value) || !Array.isArray(value.steps))
    return undefined
  const steps: FarStep[] = []
  for (const step of value.steps as readonly unknown[]) {
    if (typeof step !== 'object' || step === null || !('arrived' in step) || !('answered' in step)) return undefined
    const { arrived, answered } = step
    if (typeof arrived !== 'string' || !Array.isArray(answered)) return undefined
    if (!answered.every((each): each is string => typeof each === 'string')) return undefined
    steps.push({ arrived, answered })
  }
  return { steps }
}

/** Questions of one connection; a record that needs more is read from the listener's file. */
export const MAX_QUESTIONS = 2_000

/** Asks for the whole record, piece by piece, and puts it together. */
export class FarReader {
  readonly #arrived = new Map<number, string>()
  readonly #answered = new Map<number, string>()
  #steps = 0
  #asked = 0

  /** What to ask next, now that this was answered. */
  readonly follow = (exchange: Exchange): readonly string[] => {
    const question = readQuestion(exchange.said)
    if (!question) return []
    const { what, number, from } = question
    if (what === 'steps') {
      this.#steps = stepsIn(exchange) ?? 0
      const all = Array.from({ length: this.#steps }, (_, i) => i)
      return this.#ask(all.flatMap(i => [askLine('arrived', i), askLine('answered', i)]))
    }
    const told = toldIn(exchange)
    if (!told) return []
    const pieces = what === 'arrived' ? this.#arrived : this.#answered
    pieces.set(number, (pieces.get(number) ?? '') + told.piece)
    const next = from + SLICE
    return next < told.of ? this.#ask([askLine(what, number, next)]) : []
  }

  #ask(lines: readonly string[]): readonly string[] {
    const some = lines.slice(0, Math.max(0, MAX_QUESTIONS - this.#asked))
    this.#asked += some.length
    return some
  }

  /** `undefined` where the far side did not tell: it is none of ours, or somebody answers NOOP in its place. */
  get record(): FarRecord | undefined {
    if (this.#steps === 0 || this.#answered.size === 0) return undefined
    const steps = Array.from({ length: this.#steps }, (_, i): FarStep => {
      const answered = (this.#answered.get(i) ?? '').split('\r\n').slice(0, -1)
      return { arrived: this.#arrived.get(i) ?? '', answered }
    })
    return { steps }
  }
}

export function isQuestion(line: string): boolean {
  return readQuestion(line) !== undefined
}
