import { bytes, NO_BYTES, upper } from '../base/bytes.ts'
import type { Instant } from '../base/time.ts'
import { formatPath } from '../smtp/address.ts'
import { DotReader } from '../smtp/body.ts'
import { type Command, parseCommand } from '../smtp/command.ts'
import { after, type Phase, type Said, said } from '../smtp/dialogue.ts'
import { AUTH_LINE } from '../smtp/limits.ts'
import { LineSplitter } from '../smtp/line.ts'
import { digit, formatReply, type Reply, reply } from '../smtp/reply.ts'
import type { Exchange } from './recorded.ts'

/** Which exchanges of the record the client is at: from the first up to, and without, the last. */
export interface Span {
  readonly from: number
  readonly to: number
}

/** What the server says, and when the recorded one did. */
export interface Answer {
  readonly octets: Uint8Array
  readonly at?: Instant | undefined
}

/**
 * A server that answers as the one in a record did. What is said as it was then is answered as it was then; what was not
 * said then is answered by what the record shows that server to be able to, and `assume` is told so in words.
 */
export class RecordedServer {
  readonly #exchanges: readonly Exchange[]
  readonly #assume: (words: string) => void
  /** What the client says now; what came before it and what comes later answers nothing. */
  span: Span = { from: 0, to: 1 }
  /** Messages that it took, and for how many recipients the last of them was. */
  taken = 0
  takenFor = 0
  #input = new LineSplitter()
  #phase: Phase = 'greeting'
  #body: DotReader | undefined
  #chunk = 0
  #isLast = false
  #recipients = 0
  #isSecured = false
  /** When what is answered now was answered then. */
  #at: Instant | undefined
  #used = new Set<Exchange>()

  constructor(exchanges: readonly Exchange[], assume: (words: string) => void) {
    this.#exchanges = exchanges
    this.#assume = assume
  }

  /** Somebody connects: what it says to that. It begins anew. */
  open(): Answer {
    this.#input = new LineSplitter()
    this.#body = undefined
    this.#chunk = 0
    this.#recipients = 0
    this.#isSecured = false
    const [first] = this.#exchanges
    const greeting = first?.reply ?? reply(220, undefined, 'mail.invalid ESMTP')
    this.#phase = after('greeting', 'connect', greeting.code)
    return { octets: formatReply(greeting, bytes), at: first?.repliedAt }
  }

  /** TLS began: what it offers in it. */
  secured(): void {
    this.#phase = 'hello'
    this.#isSecured = true
  }

  receive(octets: Uint8Array): readonly Answer[] {
    const out: Answer[] = []
    this.#input.push(octets)
    for (;;) {
      if (this.#body) {
        const { rest } = this.#body.push(this.#input.take())
        if (!rest) return out
        this.#input.push(rest)
        this.#body = undefined
        out.push(this.#answer('end-of-body'))
      } else if (this.#chunk > 0) {
        this.#chunk -= this.#input.take(Math.min(this.#chunk, this.#input.size)).length
        if (this.#chunk > 0) return out
        out.push(this.#answer(this.#isLast ? 'last-chunk' : 'bdat'))
      } else {
        const line = this.#input.next(AUTH_LINE)
        if (line === undefined) return out
        const command = parseCommand(line === 'overlong' ? NO_BYTES : line.bytes)
        if (this.#phase === 'auth') out.push(this.#answer('auth-line'))
        else if (command.kind === 'bdat') {
          this.#isLast = command.last
          this.#chunk = command.size
          if (command.size === 0) out.push(this.#answer(command.last ? 'last-chunk' : 'bdat'))
        } else out.push(this.#answer(said(command), command))
      }
    }
  }

  #answer(what: Said, command?: Command): Answer {
    this.#at = undefined
    const answer = this.#replyTo(what, command)
    const isYes = digit(answer) === 2
    if (what === 'mail' && isYes) this.#recipients = 0
    if (what === 'rcpt' && isYes) this.#recipients++
    if ((what === 'end-of-body' || what === 'last-chunk') && isYes) {
      this.taken++
      this.takenFor = this.#recipients
    }
    this.#phase = after(this.#phase, what, answer.code)
    if (what === 'data' && digit(answer) === 3) this.#body = new DotReader()
    return { octets: formatReply(answer, bytes), at: this.#at }
  }

  #replyTo(what: Said, command: Command | undefined): Reply {
    if (what === 'ehlo' || what === 'helo') return this.#hello(what)
    const now = this.#exchanges.slice(this.span.from, this.span.to).filter(each => !this.#used.has(each))
    const same = now.find(each => each.said === what && isSame(each.command, command))
    const alike = same ?? now.find(each => each.said === what)
    if (alike?.reply) {
      this.#used.add(alike)
      if (!same) this.#assume(`the server answers ${upper(what)} as it did, though it is said otherwise now`)
      this.#at = alike.repliedAt
      return alike.reply
    }
    if (ENDS.has(what)) {
      const end = now.find(each => ENDS.has(each.said))
      this.#at = end?.repliedAt
      if (end?.reply) return end.reply
    }
    const usual = USUAL[what] ?? reply(250, undefined, 'Ok')
    // That a server knows RSET, NOOP and QUIT need not be said, and of TLS more is said than this.
    if (!PLAIN.has(what)) this.#assume(`the server answers ${upper(what)} by ${usual.code}`)
    return usual
  }

  /** As it answered the latest hello of this kind; to another kind, as it names itself, with nothing to offer. */
  #hello(what: 'ehlo' | 'helo'): Reply {
    const before = this.#exchanges.slice(0, this.span.to)
    const now = before.findLast(each => each.said === what && each.reply)
    const latest = now?.reply
    this.#at = now?.repliedAt
    if (!latest) {
      const other = before.findLast(each => each.said === 'ehlo' || each.said === 'helo')?.reply
      const name = other?.text[0] ?? 'mail.invalid'
      if (what === 'ehlo') this.#assume('the server offers nothing to EHLO, which is not in the record')
      return reply(250, undefined, name)
    }
    const inTls = before.findLastIndex(each => each.said === 'starttls' && each.reply?.code === 220) >= 0
    if (!this.#isSecured || inTls || what === 'helo') return latest
    this.#assume('the server offers in TLS what it offers in clear')
    return { ...latest, text: latest.text.filter(line => !/^STARTTLS\b/i.test(line)) }
  }
}

const ENDS: ReadonlySet<Said> = new Set(['end-of-body', 'last-chunk'])
const PLAIN: ReadonlySet<Said> = new Set(['rset', 'noop', 'quit', 'bdat', 'starttls'])

/** What a server says where the record does not. */
const USUAL: Partial<Record<Said, Reply>> = {
  starttls: reply(220, '2.0.0', 'Ready to start TLS'),
  data: reply(354, undefined, 'Go on'),
  quit: reply(221, '2.0.0', 'Bye'),
  xclient: reply(220, undefined, 'mail.invalid ESMTP'),
}

/** Is it said of the same? Parameters do not count: they come and go with what is offered. */
function isSame(a: Command | undefined, b: Command | undefined): boolean {
  if (a?.kind === 'mail' && b?.kind === 'mail') return formatPath(a.from) === formatPath(b.from)
  if (a?.kind === 'rcpt' && b?.kind === 'rcpt') return formatPath(a.to) === formatPath(b.to)
  return true
}
