/**
 * What to say to a server to learn what the way to it lets through: one connection, as a machine. It commits nothing; what
 * it says is on the list it is given, and every one of these lines is harmless to a server that knows it or does not.
 */
import { bytes, text } from '../base/bytes.ts'
import type { Machine, TlsFacts, WireOutput } from '../base/machine.ts'
import type { Duration, Instant } from '../base/time.ts'
import { LineSplitter } from '../smtp/line.ts'
import { MAX_REPLY_LINES } from '../smtp/reply.ts'
import { codeOf, type Ending, type Exchange, offersOf, verbOf } from './observation.ts'

/** What a session says, in order. */
export interface Plan {
  /** Lines without their ends. */
  readonly lines: readonly string[]
  /** Each octet in a segment of its own. */
  readonly typed: boolean
  /** Begin TLS where STARTTLS is answered 220, and ask again in it. */
  readonly tls: boolean
  /** A message for the end of DATA, its dot included; never without an address that wants it. */
  readonly body?: string
  /** What to say next because of this answer, before the rest. */
  readonly follow?: (exchange: Exchange) => readonly string[]
  /** Go on where no answer comes: the far side is ours, and what was thrown away on the way will not be answered late. */
  readonly onward?: boolean
  /** Lines that are said whole, though the others are typed. */
  readonly whole?: (line: string) => boolean
  /** How long a reply may take, and the greeting. */
  readonly patience: Duration
}

export type ProbeOutput =
  | WireOutput
  | { readonly kind: 'heard'; readonly exchange: Exchange }
  | { readonly kind: 'done'; readonly why?: string }

/** Between two octets: long enough that a kernel sends them apart, short enough that nobody waits. */
export const GAP: Duration = 4
/** A reply without a last line is over when nothing has come for so long. */
export const LULL: Duration = 1_500
/** A reply line. What is longer is cut here; the rest is not kept. */
const MAX_LINE = 4_096

/** No server knows it; one that quotes what it heard tells what arrived. */
export const UNKNOWN_VERB = 'ZQXJ'
export const UNKNOWN_LINE: string = `${UNKNOWN_VERB} a b`

export class Probe implements Machine<ProbeOutput> {
  readonly #session: number
  readonly #plan: Plan
  readonly #left: string[]
  #input = new LineSplitter()
  #heard: string[] = []
  #said = ''
  #unsaid: Uint8Array | undefined
  #since: Instant = 0
  #deadline: Instant | undefined
  #secured = false
  #hello = ''
  #over = false

  constructor(session: number, plan: Plan) {
    this.#session = session
    this.#plan = plan
    this.#left = [...plan.lines]
  }

  get deadline(): Instant | undefined {
    return this.#over ? undefined : this.#deadline
  }

  /** The connection stands; the server speaks first. */
  open(now: Instant): readonly ProbeOutput[] {
    this.#since = now
    this.#deadline = now + this.#plan.patience
    return []
  }

  receive(octets: Uint8Array, now: Instant): readonly ProbeOutput[] {
    if (this.#over) return []
    this.#input.push(octets)
    const out: ProbeOutput[] = []
    for (;;) {
      const line = this.#input.next(MAX_LINE)
      if (line === undefined) break
      // What is longer than any reply may be is kept by its beginning alone, which is nothing here: it is a fault.
      this.#heard.push(line === 'overlong' ? '' : text(line.bytes))
      if (this.#heard.length > MAX_REPLY_LINES)
        return [...out, ...this.#finish('unreadable', now, 'a reply without end')]
      if (this.#isWhole()) out.push(...this.#answered(now))
      if (this.#over) return out
    }
    // An answer has begun that may never end: what stands is taken once nothing more comes.
    if (this.#heard.length > 0) this.#deadline = Math.min(this.#deadline ?? Infinity, now + LULL)
    return out
  }

  /** A line with a code and no dash behind it ends a reply; the first line without a code ends nothing. */
  #isWhole(): boolean {
    const last = this.#heard.at(-1) ?? ''
    return /^\d{3}(?: |$)/.test(last)
  }

  #answered(now: Instant): readonly ProbeOutput[] {
    const isStart = this.#plan.tls && !this.#secured && verbOf({ said: this.#said }) === 'STARTTLS'
    const exchange = this.#exchange('answered', now)
    const heard: ProbeOutput = { kind: 'heard', exchange }
    const code = codeOf(exchange)
    if (/^EHLO\b/i.test(this.#said)) this.#hello = this.#said.trimEnd()
    if (isStart && code === 220) {
      if (this.#input.size > 0) return [heard, ...this.#close(now, 'octets in clear behind the reply to STARTTLS')]
      this.#deadline = now + this.#plan.patience
      return [heard, { kind: 'start-tls' }]
    }
    const { body } = this.#plan
    if (code === 354 && body !== undefined && /^DATA/.test(this.#said)) {
      this.#said = body
      this.#since = now
      this.#deadline = now + this.#plan.patience
      return [heard, { kind: 'write', bytes: bytes(body) }]
    }
    // A greeting that refuses, and 421 anywhere, are the server's last word (RFC 5321 §3.1, §3.8).
    if (code === 421 || (this.#said === '' && code >= 400)) return [heard, ...this.#close(now)]
    this.#left.unshift(...(this.#plan.follow?.(exchange) ?? []))
    return [heard, ...this.#next(now)]
  }

  get #isTyped(): boolean {
    const { typed, whole } = this.#plan
    return typed && this.#said !== '' && verbOf({ said: this.#said }) !== 'QUIT' && !whole?.(this.#said)
  }

  #exchange(ending: Ending, now: Instant): Exchange {
    const exchange: Exchange = {
      session: this.#session,
      said: this.#said,
      typed: this.#isTyped,
      secured: this.#secured,
      heard: this.#heard,
      ending,
      took: Math.max(0, now - this.#since),
    }
    this.#heard = []
    return exchange
  }

  #next(now: Instant): readonly ProbeOutput[] {
    const line = this.#left.shift()
    if (line === undefined) return this.#close(now)
    this.#said = `${line}\r\n`
    this.#since = now
    const octets = bytes(this.#said)
    // The goodbye is no part of the test.
    if (!this.#isTyped) {
      this.#deadline = now + this.#plan.patience
      return [{ kind: 'write', bytes: octets }]
    }
    return this.#type(octets, now)
  }

  #type(octets: Uint8Array, now: Instant): readonly ProbeOutput[] {
    this.#unsaid = octets.length > 1 ? octets.subarray(1) : undefined
    this.#since = now
    this.#deadline = now + (this.#unsaid ? GAP : this.#plan.patience)
    return [{ kind: 'write', bytes: octets.subarray(0, 1) }]
  }

  /** In TLS the list is asked for once more: what stands in it was hidden from everybody on the way. */
  secured(_tls: TlsFacts, now: Instant): readonly ProbeOutput[] {
    if (this.#over) return []
    this.#input.clear()
    this.#secured = true
    this.#left.splice(0, this.#left.length, ...(this.#hello === '' ? [] : [this.#hello]), 'QUIT')
    return this.#next(now)
  }

  unsecured(why: string, now: Instant): readonly ProbeOutput[] {
    return this.#over ? [] : this.#close(now, `TLS did not begin: ${why}`)
  }

  end(now: Instant): readonly ProbeOutput[] {
    if (this.#over) return []
    // Behind QUIT nothing is owed; anywhere else the end is what was heard.
    if (/^QUIT/.test(this.#said) && this.#heard.length === 0) return this.#close(now)
    return this.#finish('closed', now)
  }

  tick(now: Instant): readonly ProbeOutput[] {
    if (this.#over || this.#deadline === undefined || now < this.#deadline) return []
    if (this.#unsaid) return this.#type(this.#unsaid, now)
    if (this.#heard.length === 0) {
      if (!this.#plan.onward || this.#said === '') return this.#finish('silence', now, 'no answer in time')
      return [{ kind: 'heard', exchange: this.#exchange('silence', now) }, ...this.#next(now)]
    }
    // Some PIX hides the code of a greeting's last line: clients wait for it for ever. We go on, to learn more.
    const heard: ProbeOutput = { kind: 'heard', exchange: this.#exchange('unreadable', now) }
    return [heard, ...this.#next(now)]
  }

  #finish(ending: Ending, now: Instant, why?: string): readonly ProbeOutput[] {
    return [{ kind: 'heard', exchange: this.#exchange(ending, now) }, ...this.#close(now, why)]
  }

  #close(_now: Instant, why?: string): readonly ProbeOutput[] {
    this.#over = true
    return [
      { kind: 'close', how: 'after-writes' },
      { kind: 'done', ...(why !== undefined && { why }) },
    ]
  }
}

/**
 * The sessions of a diagnosis. Few mistakes each, because an Exim hangs up after three and a Postfix slows down after
 * ten: what a session says that no server knows is counted.
 */
export function firstPlan(hello: string, patience: Duration): Plan {
  const lines = [`EHLO ${hello}`, UNKNOWN_LINE, 'NOOP', 'STARTTLS', `HELO ${hello}`, 'QUIT']
  return { lines, typed: false, tls: true, patience }
}

/** The verbs that the offered keywords stand for, as far as they do nothing without a message or a login. */
const VERBS: readonly (readonly [keyword: string, line: string])[] = [
  ['CHUNKING', 'BDAT 0 LAST'],
  ['X-EXPS', 'X-EXPS'],
  ['XEXCH50', 'XEXCH50'],
]
/** Mistakes of one session. */
const MAX_MISTAKES = 2

export function secondPlan(hello: string, offered: readonly string[], patience: Duration): Plan {
  const keywords = new Set(offered.map(line => (line.split(/[ =]/, 1)[0] ?? '').toUpperCase()))
  const verbs = VERBS.flatMap(([keyword, line]) => (keywords.has(keyword) ? [line] : [])).slice(0, MAX_MISTAKES)
  return { lines: [`HELO ${hello}`, 'NOOP', 'HELP', ...verbs, 'QUIT'], typed: false, tls: false, patience }
}

/** Octet by octet: what looks at each segment by itself finds no command in any of them. */
export function typedPlan(hello: string, patience: Duration): Plan {
  return { lines: [`HELO ${hello}`, 'NOOP', 'QUIT'], typed: true, tls: false, patience }
}

/** The keywords that a session heard in clear. */
export function offered(exchanges: readonly Exchange[]): readonly string[] {
  return exchanges.filter(each => !each.secured && verbOf(each) === 'EHLO').flatMap(offersOf)
}

/** An envelope, taken back or delivered: only with addresses whose owner wants it. */
export interface Letter {
  readonly from: string
  readonly to: string
  /** Send a message, too; else RSET takes the envelope back. */
  readonly deliver: boolean
}

/** What became of the envelope, and of the message. */
export function letterTaken(heard: readonly Exchange[], { deliver }: Letter): string {
  const what = deliver ? 'message' : 'envelope'
  const after = heard.filter(({ said }) => !/^(?:$|EHLO|HELO|RSET|QUIT)/.test(said))
  const refused = after.find(each => codeOf(each) >= 400 || codeOf(each) === 0)
  if (refused) {
    const about = refused.said.endsWith('\r\n.\r\n') ? 'its end' : refused.said.trimEnd()
    return `the ${what} was not taken: ${about}: ${refused.heard.join(' / ') || 'no answer'}`
  }
  const last = after.at(-1)
  const isWhole = deliver ? last?.said.endsWith('\r\n.\r\n') : last !== undefined && verbOf(last) === 'RCPT'
  if (!last || !isWhole) return `the ${what} was not taken: the connection ended before`
  return deliver ? `the message was taken: ${last.heard.join(' / ')}` : 'the envelope was taken, and taken back'
}

export function letterPlan(hello: string, { from, to, deliver }: Letter, patience: Duration): Plan {
  const body = [
    `From: <${from === '' ? to : from}>`,
    `To: <${to}>`,
    'Subject: a test of the way that mail takes',
    'MIME-Version: 1.0',
    'Content-Type: text/plain; charset=us-ascii',
    '',
    'postern diagnose --deliver was asked to send this. Nothing needs to be done.',
    '..',
    '.',
    '',
  ]
  return {
    lines: [`EHLO ${hello}`, `MAIL FROM:<${from}>`, `RCPT TO:<${to}>`, ...(deliver ? ['DATA'] : []), 'RSET', 'QUIT'],
    typed: false,
    tls: false,
    body: body.join('\r\n'),
    // Whoever refuses EHLO is a mail server all the same.
    follow: exchange => (verbOf(exchange) === 'EHLO' && codeOf(exchange) !== 250 ? [`HELO ${hello}`] : []),
    patience,
  }
}
