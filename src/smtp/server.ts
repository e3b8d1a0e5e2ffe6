/**
 * The server's half of SMTP, as a machine: bytes and answers in, replies, questions and body octets out.
 *
 * A server must often ask before it can answer (does this recipient exist? is the message safe?). It does not wait: it
 * *asks* and pauses, and pipelined input stays in its buffer until `answer` is called. What is allowed when stands in
 * `dialogue.ts`, what it sounds like in `dialect.ts`, and how long things may be in `limits.ts`.
 */
import { concat, fromBase64, text, toBase64, utf8Text } from '../base/bytes.ts'
import type { Machine, WireOutput } from '../base/machine.ts'
import type { Instant } from '../base/time.ts'
import { formatMailbox, isAscii, type Mailbox, type ReversePath } from './address.ts'
import { ChunkReader, DotReader, StrayReader } from './body.ts'
import { type Command, parseCommand } from './command.ts'
import type { Dialect, Situation } from './dialect.ts'
import { after, may, type Phase, type Said, said } from './dialogue.ts'
import { checkMailParams, checkRcptParams, type MailFacts } from './extension.ts'
import { AUTH_LINE, type Limits, lineLimit } from './limits.ts'
import { LineSplitter } from './line.ts'
import type { Params } from './params.ts'
import { formatReply, type Reply, reply, sayReply } from './reply.ts'
import { type Credentials, SASL_SERVERS, type SaslServer } from './sasl.ts'

/** An envelope as it was given: who sends, to whom, and with which parameters. */
export interface Transaction extends MailFacts {
  readonly from: ReversePath
  readonly params: Params
  readonly recipients: readonly { readonly to: Mailbox; readonly params: Params }[]
}

export type Question =
  | { readonly about: 'mail'; readonly from: ReversePath; readonly login: string | undefined }
  | { readonly about: 'rcpt'; readonly to: Mailbox; readonly from: ReversePath; readonly login: string | undefined }
  /** Every octet was handed out: is the message safe? Only a yes may become a 250. */
  | { readonly about: 'message'; readonly transaction: Transaction; readonly size: number }
  | { readonly about: 'login'; readonly claim: Credentials }

/** Yes (for a message with the id it is kept under), or a situation of the dialect, or a reply of the answerer's own. */
export type Answer = { readonly yes: string } | { readonly no: Situation; readonly about?: string } | Reply

export type ServerOutput =
  | WireOutput
  | { readonly kind: 'ask'; readonly question: Question }
  | { readonly kind: 'message-begins'; readonly transaction: Transaction; readonly facts: SessionFacts }
  | { readonly kind: 'body'; readonly bytes: Uint8Array }
  | { readonly kind: 'body-abandoned'; readonly why: string }
  /** A line for a transcript, secrets left out by construction. */
  | { readonly kind: 'trace'; readonly by: 'C' | 'S'; readonly text: string }

/** What is known of the session when a message begins, for its Received: field. */
export interface SessionFacts {
  readonly hello: string
  readonly protocol: 'SMTP' | 'ESMTP' | 'ESMTPA'
  readonly login: string | undefined
}

export interface ServerOptions {
  readonly host: string
  /** The client's address as it shall be shown. */
  readonly peer: string
  readonly dialect: Dialect
  readonly version: string
  readonly limits: Limits
  /** What the client may log in with just now; empty: not at all. */
  readonly mechanisms: readonly string[]
  /** How the greeting writes the time (RFC 5322 §3.3). */
  readonly date: (now: Instant) => string
  /** Emit `trace` outputs? */
  readonly trace: boolean
}

/** Words of HTTP and the like: a browser that was tricked into talking to us must not be answered line by line. */
const NOT_SMTP = new Set(['GET', 'POST', 'PUT', 'HEAD', 'OPTIONS', 'CONNECT', 'DELETE', 'PATCH', 'TRACE'])

type Chunk = {
  readonly kind: 'chunk'
  readonly size: number
  readonly reader: ChunkReader
  readonly last: boolean
  readonly refuse?: Situation
}
type Body = { readonly kind: 'data'; readonly reader: DotReader } | Chunk

/** A question that waits, and what a yes to it sounds like. */
interface Asked {
  readonly said: Said
  readonly question: Question
  readonly positive: Situation
  readonly about: string
}

export class Server implements Machine<ServerOutput> {
  readonly #options: ServerOptions
  readonly #input = new LineSplitter()
  #phase: Phase = 'greeting'
  #hello = ''
  #extended = false
  #login: string | undefined
  #sasl: SaslServer | undefined
  #transaction: Transaction | undefined
  #body: Body | undefined
  #bodySize = 0
  #begun = false
  #stray: StrayReader | undefined
  /** What is wrong with the message under way; it is said after its real end. */
  #wrong: { readonly situation: Situation; readonly about: string } | undefined
  #asked: Asked | undefined
  #errors = 0
  #now: Instant = 0
  /** When the last whole line or piece of a message came: the octets of half a line buy no time. */
  #heardAt: Instant = 0
  #deadline: Instant | undefined
  #out: ServerOutput[] = []

  constructor(options: ServerOptions) {
    this.#options = options
  }

  get deadline(): Instant | undefined {
    return this.#deadline
  }

  /** The connection stands: the server speaks first. */
  open(now: Instant): readonly ServerOutput[] {
    return this.#run(now, () => {
      this.#heardAt = now
      this.#say('connect', this.#word('greeting'))
    })
  }

  receive(bytes: Uint8Array, now: Instant): readonly ServerOutput[] {
    return this.#run(now, () => {
      this.#input.push(bytes)
      this.#work()
      if (this.#input.size > this.#options.limits.pending) this.#hangUp('too-many-errors')
    })
  }

  /** The answer to the question asked last. */
  answer(answer: Answer, now: Instant): readonly ServerOutput[] {
    return this.#run(now, () => {
      const asked = this.#asked
      if (!asked) return
      this.#asked = undefined
      this.#heardAt = now
      this.#settle(asked, answer)
      this.#work()
    })
  }

  end(now: Instant): readonly ServerOutput[] {
    return this.#run(now, () => {
      this.#abandon('the client went away')
      this.#close('after-writes')
    })
  }

  tick(now: Instant): readonly ServerOutput[] {
    if (this.#deadline === undefined || now < this.#deadline) return []
    return this.#run(now, () => this.#hangUp('idle-too-long'))
  }

  /** The server is going down: say so and close, unless an answer is owed that would be lost. */
  stop(now: Instant): readonly ServerOutput[] {
    return this.#run(now, () => {
      if (!this.#asked && !this.#body) this.#hangUp('stopping')
    })
  }

  #run(now: Instant, work: () => void): readonly ServerOutput[] {
    this.#now = now
    this.#out = []
    if (this.#phase !== 'closed') work()
    const { idle, data } = this.#options.limits
    // While we owe an answer it is not the client who is slow.
    const waits = this.#phase !== 'closed' && !this.#asked
    this.#deadline = waits ? this.#heardAt + (this.#body ? data : idle) : undefined
    return this.#out
  }

  #work(): void {
    while (this.#phase !== 'closed' && !this.#asked && this.#input.size > 0) {
      if (this.#body) {
        this.#heardAt = this.#now
        if (!this.#readBody(this.#body)) return
      } else {
        const line = this.#input.next(AUTH_LINE)
        if (line === undefined) return
        this.#heardAt = this.#now
        if (line === 'overlong') this.#overlong()
        else if (this.#sasl) this.#authLine(text(line.bytes))
        else if (line.ending !== 'crlf') this.#refuseLine(line.bytes, 'bare-newline')
        else this.#command(line.bytes)
      }
    }
  }

  #command(line: Uint8Array): void {
    const command = parseCommand(line)
    this.#trace('C', sayCommand(command, line))
    const kind = command.kind === 'garbled' ? command.verb : command.kind
    const known = kind !== 'other' && kind !== 'unreadable'
    if (line.length + 2 > lineLimit(known ? kind : undefined)) return this.#refuseLine(line, 'line-too-long')
    switch (command.kind) {
      case 'unreadable':
        return this.#refuseLine(line, 'unreadable', command.wrong)
      case 'other':
        if (NOT_SMTP.has(command.verb.toUpperCase())) return this.#hangUp('not-smtp')
        return this.#mistake('unknown-verb', utf8Text(line))
      case 'garbled':
        if (command.verb === 'bdat') return this.#unframed(command.wrong)
        if (this.#refusedNow(command.verb)) return
        if (command.verb === 'x-link2state' || command.verb === 'xexch50') return this.#exchangeOnly(command.verb)
        if (command.verb === 'mail' || command.verb === 'rcpt') return this.#mistake('bad-address', command.wrong)
        return this.#mistake('bad-argument', command.wrong)
      case 'bdat':
        return this.#bdat(command)
      default:
        if (!this.#refusedNow(said(command))) this.#proceed(command)
    }
  }

  /** Not even kept: what it was cannot be told. A login that it was part of is over (RFC 4954 §4). */
  #overlong(): void {
    if (this.#sasl) this.#authOver('auth-line-too-long')
    else this.#mistake('line-too-long')
  }

  /** A line that is refused unread; if it announces a chunk, what follows it is no command. */
  #refuseLine(line: Uint8Array, situation: Situation, about = ''): void {
    if (/^BDAT/i.test(text(line, 0, 4))) this.#unframed('BDAT size [LAST] was expected')
    else this.#mistake(situation, about)
  }

  /** The octets of a chunk of unknown size cannot be told from commands: there is no going on. */
  #unframed(wrong: string): void {
    this.#hangUp('bad-argument', reply(501, '5.5.4', wrong))
  }

  /** The identity comes before any parsing (CVE-2005-0560, CVE-2003-0714). */
  #exchangeOnly(verb: 'x-link2state' | 'xexch50'): void {
    this.#mistake(this.#login === undefined ? 'exchange-auth-first' : 'not-offered', verb.toUpperCase())
  }

  /** 503 where the table of `dialogue.ts` has no such step from here. */
  #refusedNow(what: Said): boolean {
    if (may(this.#phase, what)) return false
    this.#mistake(this.#missing(what), what.toUpperCase())
    return true
  }

  #missing(what: Said): Situation {
    if (this.#phase === 'hello') return 'hello-first'
    const needsTransaction = what === 'rcpt' || what === 'data' || what === 'bdat' || what === 'last-chunk'
    if (this.#phase === 'ready' && (needsTransaction || what === 'xexch50')) return 'mail-first'
    return this.#phase === 'mail' && needsTransaction ? 'rcpt-first' : 'not-now'
  }

  #proceed(command: Exclude<Command, { kind: 'unreadable' | 'garbled' | 'other' | 'bdat' }>): void {
    switch (command.kind) {
      case 'ehlo':
      case 'helo':
        return this.#greet(command.kind, command.domain)
      case 'mail':
        return this.#mail(command.from, command.params)
      case 'rcpt':
        return this.#rcpt(command.to, command.params)
      case 'data':
        // Bare line ends are content in BINARYMIME, so it cannot be ended by a dot (RFC 3030 §3).
        if (this.#transaction?.body === 'binarymime') return this.#mistake('not-now', 'DATA')
        this.#say('data', this.#word('send-data'))
        return this.#beginBody({ kind: 'data', reader: new DotReader() })
      case 'rset':
        this.#forget()
        return this.#say('rset', this.#word('reset'))
      case 'noop':
        return this.#say('noop', this.#word('noop'))
      case 'quit':
        this.#say('quit', this.#word('bye'))
        return this.#close('after-writes')
      case 'help':
        return this.#say('help', this.#word('help'))
      case 'vrfy':
        return this.#say('vrfy', this.#word('cannot-verify', command.argument))
      case 'auth':
      case 'x-exps':
        return this.#auth(command)
      case 'starttls':
        return this.#mistake('no-tls')
      case 'x-link2state':
      case 'xexch50':
        return this.#exchangeOnly(command.kind)
      case 'expn':
      case 'turn':
      case 'atrn':
      case 'etrn':
        return this.#mistake('not-here', command.kind.toUpperCase())
      default:
    }
  }

  #greet(kind: 'ehlo' | 'helo', domain: string): void {
    const { dialect, limits, mechanisms } = this.#options
    if (domain === '' && dialect.name !== 'exchange2000') return this.#mistake('bad-argument', 'Who are you?')
    this.#forget()
    this.#hello = domain
    this.#extended = kind === 'ehlo'
    const hello = this.#word('hello')
    if (kind === 'helo') return this.#say(kind, hello)
    const list = dialect.ehlo({
      maxSize: limits.messageSize,
      mechanisms,
      loggedIn: this.#login !== undefined,
    })
    this.#say(kind, { ...hello, text: [...hello.text, ...list, ...(dialect.closesWithOk ? ['OK'] : [])] })
  }

  #mail(from: ReversePath, params: Params): void {
    const checked = checkMailParams(this.#extended ? params : refuseAll(params))
    if ('wrong' in checked) return this.#mistake(checked.situation, checked.wrong)
    if ((checked.facts.size ?? 0) > this.#options.limits.messageSize) return this.#mistake('too-big')
    if (from && !isAscii(from.local + from.domain) && !checked.facts.smtputf8) return this.#mistake('needs-smtputf8')
    this.#transaction = { from, params, recipients: [], ...checked.facts }
    this.#ask(
      'mail',
      { about: 'mail', from, login: this.#login },
      'sender-ok',
      from === null ? '<>' : formatMailbox(from),
    )
  }

  #rcpt(to: Mailbox, params: Params): void {
    const transaction = this.#transaction
    const checked = checkRcptParams(this.#extended ? params : refuseAll(params))
    if ('wrong' in checked) return this.#mistake(checked.situation, checked.wrong)
    if (!transaction) return this.#mistake('mail-first')
    if (!isAscii(to.local + to.domain) && !transaction.smtputf8) return this.#mistake('needs-smtputf8')
    if (transaction.recipients.length >= this.#options.limits.recipients) {
      // Not an error of the client's: the rest are to come in another transaction (RFC 5321 §4.5.3.1.10).
      return this.#say('rcpt', this.#word('too-many-recipients'))
    }
    this.#transaction = { ...transaction, recipients: [...transaction.recipients, { to, params }] }
    const question = { about: 'rcpt', to, from: transaction.from, login: this.#login } as const
    this.#ask('rcpt', question, 'recipient-ok', formatMailbox(to))
  }

  #bdat({ size, last }: { readonly size: number; readonly last: boolean }): void {
    const what = last ? 'last-chunk' : 'bdat'
    const allowed = may(this.#phase, what)
    const chunk: Chunk = {
      kind: 'chunk',
      size,
      reader: new ChunkReader(size),
      last,
      ...(allowed ? {} : { refuse: this.#missing(what) }),
    }
    // Refused or not, the octets are taken off the stream: as commands they would be an attack (RFC 3030 §2).
    if (allowed) this.#beginBody(chunk)
    else this.#body = chunk
    if (size === 0) this.#endChunk(chunk)
  }

  #beginBody(body: Body): void {
    this.#body = body
    if (this.#begun || !this.#transaction) return
    this.#begun = true
    this.#bodySize = 0
    this.#wrong = undefined
    this.#stray = new StrayReader()
    this.#out.push({
      kind: 'message-begins',
      transaction: this.#transaction,
      facts: {
        hello: this.#hello,
        protocol: this.#login !== undefined ? 'ESMTPA' : this.#extended ? 'ESMTP' : 'SMTP',
        login: this.#login,
      },
    })
  }

  /** Reads what is there of the body; `false` while more is to come. */
  #readBody(body: Body): boolean {
    if (body.kind === 'data') {
      const { content, rest } = body.reader.push(this.#input.take())
      // As one piece: a message of nothing but dots must not become a million of them.
      this.#keep(concat(content))
      if (rest === undefined) return false
      this.#input.push(rest)
      if (body.reader.stray) this.#refuseLater('stray-octet', body.reader.stray)
      this.#body = undefined
      this.#trace('C', `(message of ${this.#bodySize} octets)`)
      this.#askForMessage('end-of-body')
      return true
    }
    const content = this.#input.take(body.reader.left)
    body.reader.push(content)
    if (!body.refuse) {
      if (this.#transaction?.body !== 'binarymime') {
        const stray = this.#stray?.push(content)
        if (stray) this.#refuseLater('stray-octet', stray)
      }
      this.#keep(content)
    }
    if (body.reader.left > 0) return false
    this.#endChunk(body)
    return true
  }

  #endChunk({ size, last, refuse }: Chunk): void {
    this.#body = undefined
    if (refuse) return this.#mistake(refuse, 'BDAT')
    if (last) {
      const stray = this.#transaction?.body === 'binarymime' ? undefined : this.#stray?.end()
      if (stray) this.#refuseLater('stray-octet', stray)
      this.#trace('C', `(message of ${this.#bodySize} octets)`)
      return this.#askForMessage('last-chunk')
    }
    if (this.#wrong) {
      const { situation, about } = this.#wrong
      this.#abandon(situation)
      this.#say('last-chunk', this.#word(situation, about))
      return this.#forget()
    }
    this.#say('bdat', this.#word('chunk-ok', String(size)))
  }

  #keep(piece: Uint8Array): void {
    if (piece.length === 0) return
    this.#bodySize += piece.length
    if (this.#bodySize > this.#options.limits.messageSize) this.#refuseLater('too-big')
    if (!this.#wrong) this.#out.push({ kind: 'body', bytes: piece })
  }

  /** The stream must stay framed, so a message is refused behind its end and never inside it. */
  #refuseLater(situation: Situation, about = ''): void {
    this.#wrong ??= { situation, about }
  }

  #askForMessage(what: 'end-of-body' | 'last-chunk'): void {
    const transaction = this.#transaction
    if (!transaction) return
    if (this.#wrong) {
      const { situation, about } = this.#wrong
      this.#abandon(situation)
      this.#say(what, this.#word(situation, about))
      this.#forget()
      return
    }
    this.#begun = false
    this.#ask(what, { about: 'message', transaction, size: this.#bodySize }, 'accepted')
  }

  #auth({ kind, mechanism, initial }: { kind: 'auth' | 'x-exps'; mechanism: string; initial?: string }): void {
    if (this.#login !== undefined) return this.#mistake('auth-twice')
    const make = SASL_SERVERS[mechanism]
    if (!make || !this.#options.mechanisms.includes(mechanism)) return this.#mistake('unknown-mechanism')
    this.#sasl = make()
    // "=" is an initial response of no octets (RFC 4954 §4).
    const response = initial === undefined ? undefined : initial === '=' ? new Uint8Array(0) : fromBase64(initial)
    if (initial !== undefined && response === undefined) return this.#authOver('bad-argument', 'not base64')
    this.#authStep(kind, response)
  }

  #authLine(line: string): void {
    this.#trace('C', '[secret]')
    if (line === '*') return this.#authOver('auth-cancelled')
    const response = fromBase64(line)
    if (response === undefined) return this.#authOver('bad-argument', 'not base64')
    this.#authStep('auth-line', response)
  }

  #authStep(what: Said, response: Uint8Array | undefined): void {
    const step = this.#sasl?.step(response)
    if (!step || 'wrong' in step) return this.#authOver('bad-argument', step?.wrong ?? '')
    if ('challenge' in step) return this.#say(what, reply(334, undefined, toBase64(step.challenge)))
    this.#ask(what, { about: 'login', claim: step.claim }, 'auth-ok')
  }

  #authOver(situation: Situation, about = ''): void {
    this.#sasl = undefined
    if (this.#phase === 'auth') this.#phase = 'ready'
    this.#mistake(situation, about)
  }

  #ask(what: Said, question: Question, positive: Situation, about = ''): void {
    this.#asked = { said: what, question, positive, about }
    this.#out.push({ kind: 'ask', question })
  }

  #settle({ said: what, question, positive, about }: Asked, answer: Answer): void {
    const worded =
      'code' in answer
        ? answer
        : 'yes' in answer
          ? this.#word(positive, answer.yes || about)
          : this.#word(answer.no, answer.about ?? about)
    const yes = worded.code < 300
    if (question.about === 'mail' && !yes) this.#transaction = undefined
    if (question.about === 'rcpt' && !yes && this.#transaction) {
      this.#transaction = { ...this.#transaction, recipients: this.#transaction.recipients.slice(0, -1) }
    }
    if (question.about === 'login') {
      this.#sasl = undefined
      if (yes) this.#login = question.claim.user
      else this.#errors++
    }
    this.#say(what, worded)
    if (question.about === 'message') this.#forget()
    if (this.#errors >= this.#options.limits.errors) this.#hangUp('too-many-errors')
  }

  /** The transaction is over or was never: nothing of it may reach the next one. */
  #forget(): void {
    this.#abandon('reset')
    this.#transaction = undefined
    this.#wrong = undefined
  }

  #abandon(why: string): void {
    if (this.#begun) this.#out.push({ kind: 'body-abandoned', why })
    this.#begun = false
  }

  #mistake(situation: Situation, about = ''): void {
    this.#errors++
    const worded = this.#word(situation, about)
    this.#write(worded)
    if (this.#errors >= this.#options.limits.errors) this.#hangUp('too-many-errors')
  }

  #say(what: Said, worded: Reply): void {
    this.#phase = after(this.#phase, what, worded.code)
    this.#write(worded)
    if (this.#phase === 'closed' && what !== 'quit') this.#close('after-writes')
  }

  #write(worded: Reply): void {
    this.#out.push({ kind: 'write', bytes: formatReply(worded) })
    this.#trace('S', sayReply(worded))
  }

  #hangUp(situation: Situation, worded: Reply = this.#word(situation)): void {
    this.#abandon(situation)
    this.#write(worded)
    this.#close('after-writes')
  }

  #close(how: 'after-writes' | 'at-once'): void {
    this.#abandon('closed')
    this.#phase = 'closed'
    this.#input.clear()
    this.#out.push({ kind: 'close', how })
  }

  #word(situation: Situation, about = ''): Reply {
    const { host, peer, version, date, dialect } = this.#options
    return dialect.wording[situation]({ host, peer, version, date: date(this.#now), about })
  }

  #trace(by: 'C' | 'S', said: string): void {
    if (this.#options.trace) this.#out.push({ kind: 'trace', by, text: said })
  }
}

/** A command as traces show it. What stands behind AUTH is a secret, all the more where it cannot be read. */
function sayCommand(command: Command, line: Uint8Array): string {
  if (command.kind === 'auth' || command.kind === 'x-exps') {
    const secret = command.initial === undefined ? '' : ' [secret]'
    return `${command.kind.toUpperCase()} ${command.mechanism}${secret}`
  }
  const said = utf8Text(line)
  const isLogin = command.kind === 'garbled' && (command.verb === 'auth' || command.verb === 'x-exps')
  if (!isLogin && command.kind !== 'unreadable' && command.kind !== 'other') return said
  const word = /AUTH|X-EXPS/i.exec(said)
  return word ? `${said.slice(0, word.index)}${word[0].toUpperCase()} [secret]` : said
}

/** HELO opens no extensions, so no parameter is known behind it. */
function refuseAll(params: Params): Params | { readonly refused: string } {
  const first = params[0]
  return first ? { refused: first.keyword } : params
}
