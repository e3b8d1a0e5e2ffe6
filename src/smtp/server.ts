/**
 * The server's half of SMTP, as a machine: bytes and answers in, replies, questions and body octets out.
 *
 * A server must often ask before it can answer (does this recipient exist? is the message safe?). It does not wait: it
 * *asks* and pauses, and pipelined input stays in its buffer until `answer` is called. What is allowed when stands in
 * `dialogue.ts`, what it sounds like in `dialect.ts`, and how long things may be in `limits.ts`. What it asks and hands
 * out is in `session.ts`; the state that all commands share in `conversation.ts`; messages in `server-parts.ts`, logins in
 * `server-login.ts`, the other services in `server-services.ts`, and the time all of it may take in `clocks.ts`.
 */
import { text, utf8Text } from '../base/bytes.ts'
import type { Machine, TlsFacts } from '../base/machine.ts'
import type { Instant } from '../base/time.ts'
import { formatMailbox, isAscii, type Mailbox, type ReversePath } from './address.ts'
import { keywordOf, type Offer } from './capabilities.ts'
import { Clocks } from './clocks.ts'
import { type Command, type CommandKind, parseCommand } from './command.ts'
import { type Asked, Conversation } from './conversation.ts'
import type { Situation } from './dialect.ts'
import { may, type Said, said } from './dialogue.ts'
import { checkMailParams, checkRcptParams, extensionOf, listedBy } from './extension.ts'
import { AUTH_LINE, lineLimit, MAX_SURPLUS } from './limits.ts'
import { frameReply } from './link2state.ts'
import type { Params } from './params.ts'
import { reply } from './reply.ts'
import { Login } from './server-login.ts'
import { Parts } from './server-parts.ts'
import { etrn, linkState, turn, vrfy, xclient } from './server-services.ts'
import type { Answer, ServerOptions, ServerOutput } from './session.ts'

export type { Answer, Question, ServerOptions, ServerOutput, SessionFacts, Transaction } from './session.ts'

/**
 * Words of HTTP and the like: a browser that was tricked into talking to us must not be answered line by line. PROXY, where
 * it is allowed, comes before the first octet of SMTP and is taken off there.
 */
const NOT_SMTP = new Set(['PROXY', 'GET', 'POST', 'PUT', 'HEAD', 'OPTIONS', 'CONNECT', 'DELETE', 'PATCH', 'TRACE'])
/** What TLS begins with (RFC 8446 §5.1): a client that speaks it here has the wrong port. */
const TLS_HANDSHAKE = 0x16

/** What may be said before TLS where nothing else may (RFC 3207 §4). */
const BEFORE_TLS: ReadonlySet<Said> = new Set(['ehlo', 'helo', 'noop', 'starttls', 'quit', 'rset'])
/** What a client can do for ever without sending a message. */
const JUNK: ReadonlySet<Said> = new Set([
  'noop',
  'rset',
  'vrfy',
  'expn',
  'help',
  'ehlo',
  'helo',
  'etrn',
  'x-link2state',
])

export class Server implements Machine<ServerOutput> {
  readonly #options: ServerOptions
  readonly #talk: Conversation
  readonly #login: Login
  readonly #parts: Parts
  #junk = 0
  /** Recipients over the limit, in this session. */
  #surplus = 0
  /** The greeting waits until then for who speaks too soon. */
  #greetAt: Instant | undefined
  #deadline: Instant | undefined
  #isStopping = false

  constructor(options: ServerOptions) {
    this.#options = options
    this.#talk = new Conversation(options)
    this.#login = new Login(this.#talk)
    this.#parts = new Parts(this.#talk)
  }

  get deadline(): Instant | undefined {
    return this.#deadline
  }

  /** The connection stands: the server speaks first. */
  open(now: Instant): readonly ServerOutput[] {
    return this.#run(now, () => {
      this.#talk.clocks = new Clocks(this.#options.limits, now)
      if (this.#options.limits.greetWait > 0) this.#greetAt = now + this.#options.limits.greetWait
      else this.#greeting()
    })
  }

  /** The connection stands, and this client cannot be served now: it is told so, and may come again. */
  turnAway(now: Instant): readonly ServerOutput[] {
    return this.#run(now, () => this.#talk.hangUp('too-many-sessions'))
  }

  receive(bytes: Uint8Array, now: Instant): readonly ServerOutput[] {
    return this.#run(now, () => {
      const talk = this.#talk
      if (this.#greetAt !== undefined) return talk.hangUp('too-soon')
      // In clear, while the handshake is due: whoever put it there wants it to be read inside TLS (CVE-2011-0411).
      if (talk.phase === 'tls') return talk.hangUp('clear-behind-tls')
      talk.input.push(bytes)
      this.#work()
      if (talk.input.size > this.#options.limits.pending) talk.hangUp('too-many-errors')
    })
  }

  /** The handshake is over. Everything learned in clear is forgotten (RFC 3207 §4.2). */
  secured(tls: TlsFacts, now: Instant): readonly ServerOutput[] {
    return this.#run(now, () => {
      const talk = this.#talk
      if (talk.phase !== 'tls') return
      talk.beginAnew(undefined)
      talk.input.clear()
      talk.tls = tls
      talk.phase = 'hello'
      talk.clocks?.heard(now)
    })
  }

  /** The answer to the question asked last. */
  answer(answer: Answer, now: Instant): readonly ServerOutput[] {
    return this.#run(now, () => {
      const { asked, clocks } = this.#talk
      if (!asked) return
      this.#talk.asked = undefined
      clocks?.heard(now)
      this.#settle(asked, answer)
      this.#work()
    })
  }

  end(now: Instant): readonly ServerOutput[] {
    return this.#run(now, () => {
      this.#talk.abandon('the client went away')
      this.#talk.close('after-writes')
    })
  }

  tick(now: Instant): readonly ServerOutput[] {
    if (this.#deadline === undefined || now < this.#deadline) return []
    return this.#run(now, () => {
      if (this.#greetAt === undefined) return this.#talk.hangUp(this.#talk.clocks?.verdict(now) ?? 'idle-too-long')
      this.#greetAt = undefined
      this.#greeting()
    })
  }

  /** The server is going down: say so and close, as soon as no answer is owed that would be lost. */
  stop(now: Instant): readonly ServerOutput[] {
    return this.#run(now, () => {
      this.#isStopping = true
      if (this.#talk.phase === 'tls') this.#talk.close('at-once')
    })
  }

  #run(now: Instant, work: () => void): readonly ServerOutput[] {
    const talk = this.#talk
    talk.now = now
    if (!talk.isOver) work()
    if (this.#mustGo) talk.hangUp('stopping')
    // While we owe an answer it is not the client who is slow.
    const waits = !talk.isOver && !talk.asked
    this.#deadline = waits ? (this.#greetAt ?? talk.clocks?.deadline) : undefined
    return talk.take()
  }

  get #mustGo(): boolean {
    return this.#isStopping && !this.#talk.isOver && !this.#talk.asked && !this.#parts.isUnderWay
  }

  #greeting(): void {
    this.#talk.clocks?.heard(this.#talk.now)
    this.#talk.say('connect', this.#talk.word('greeting'))
  }

  #work(): void {
    const talk = this.#talk
    const { input } = talk
    while (!talk.isOver && !this.#mustGo && talk.phase !== 'tls' && !talk.asked && input.size > 0) {
      if (this.#parts.isUnderWay) {
        if (!this.#parts.read()) return
      } else {
        if (talk.phase === 'hello' && input.first === TLS_HANDSHAKE) return talk.close('at-once')
        const line = input.next(AUTH_LINE)
        if (line === undefined) return
        talk.clocks?.heard(talk.now)
        if (line === 'overlong') this.#overlong()
        else if (line.ending !== 'crlf') this.#bareNewline(line.bytes)
        else if (this.#login.isUnderWay) this.#login.line(text(line.bytes))
        else this.#command(line.bytes)
      }
    }
  }

  #command(line: Uint8Array): void {
    const talk = this.#talk
    const command = parseCommand(line)
    if (talk.options.trace) talk.trace('C', sayCommand(command, line))
    const kind = command.kind === 'garbled' ? command.verb : command.kind
    const known = kind !== 'other' && kind !== 'unreadable' ? kind : undefined
    if (line.length + 2 > lineLimit(known)) return this.#refuseLine(line, 'line-too-long')
    if (known !== undefined && known !== 'bdat' && this.#isOff(known)) return this.#missingVerb(known, line)
    switch (command.kind) {
      case 'unreadable':
        if (LABEL.test(utf8Text(line))) return talk.hangUp('not-smtp')
        return this.#refuseLine(line, 'unreadable', command.wrong)
      case 'other':
        if (NOT_SMTP.has(command.verb.toUpperCase())) return talk.hangUp('not-smtp')
        return talk.mistake('unknown-verb', utf8Text(line))
      case 'garbled':
        return this.#garbled(command)
      case 'bdat':
        return this.#bdat(command)
      default:
        if (!this.#refusedNow(said(command))) this.#proceed(command)
    }
  }

  #garbled({ verb, wrong, in: part }: Command & { readonly kind: 'garbled' }): void {
    const talk = this.#talk
    if (verb === 'bdat') return this.#unframed(wrong)
    // What cannot be read is wrong at any time; that it came too early besides need not be said.
    const isAddress = (verb === 'mail' || verb === 'rcpt') && part === 'path'
    if (isAddress && (talk.tls || !this.#options.requireTls)) return talk.mistake('bad-address', wrong)
    if (this.#refusedNow(verb)) return
    if (verb === 'x-link2state' || verb === 'xexch50') {
      return talk.login === undefined ? talk.mistake('exchange-auth-first') : talk.mistake('bad-argument', wrong)
    }
    if (verb === 'xclient' && !this.#options.services.has('XCLIENT')) return talk.mistake('not-trusted')
    talk.mistake(isAddress ? 'bad-address' : 'bad-argument', wrong)
  }

  /** Switched off by the configuration: as if nobody here had ever heard of it. */
  #isOff(kind: CommandKind): boolean {
    const keyword = extensionOf(kind)
    return keyword !== undefined && this.#options.off.has(keyword)
  }

  #missingVerb(kind: CommandKind, line: Uint8Array): void {
    const talk = this.#talk
    if (this.#options.dialect.isExchange) talk.mistake('unknown-verb', utf8Text(line))
    else talk.mistake('not-here', kind.toUpperCase())
  }

  /** Not even kept: what it was cannot be told. A login that it was part of is over (RFC 4954 §4). */
  #overlong(): void {
    if (this.#login.isUnderWay) this.#login.over('auth-line-too-long')
    else this.#talk.mistake('line-too-long')
  }

  #bareNewline(line: Uint8Array): void {
    if (this.#login.isUnderWay) this.#login.over('bare-newline')
    else this.#refuseLine(line, 'bare-newline')
  }

  /** A line that is refused unread; if it announces a chunk, what follows it is no command. */
  #refuseLine(line: Uint8Array, situation: Situation, about = ''): void {
    if (/^BDAT/i.test(text(line, 0, 4))) this.#unframed('BDAT size [LAST] was expected')
    else this.#talk.mistake(situation, about)
  }

  /** The octets of a chunk of unknown size cannot be told from commands: there is no going on. */
  #unframed(wrong: string): void {
    this.#talk.hangUp('bad-argument', reply(501, '5.5.4', wrong))
  }

  /** 503 where the table of `dialogue.ts` has no such step from here. */
  #refusedNow(what: Said): boolean {
    const talk = this.#talk
    if (this.#options.requireTls && !talk.tls && !BEFORE_TLS.has(what)) {
      talk.mistake('needs-tls')
      return true
    }
    // The identity comes before any parsing, and before any order (CVE-2005-0560, CVE-2003-0714).
    if ((what === 'x-link2state' || what === 'xexch50') && talk.login === undefined) {
      talk.mistake('exchange-auth-first')
      return true
    }
    if (may(talk.phase, what)) return false
    talk.mistake(this.#missing(what), what.toUpperCase())
    return true
  }

  #missing(what: Said): Situation {
    const talk = this.#talk
    if (talk.phase === 'hello') return 'hello-first'
    const needsTransaction = what === 'rcpt' || what === 'data' || what === 'bdat' || what === 'last-chunk'
    if (talk.phase === 'ready' && (needsTransaction || what === 'xexch50')) return 'mail-first'
    return talk.phase === 'mail' && (needsTransaction || what === 'xexch50') ? 'rcpt-first' : 'not-now'
  }

  #proceed(command: Exclude<Command, { kind: 'unreadable' | 'garbled' | 'other' | 'bdat' }>): void {
    const talk = this.#talk
    const what = said(command)
    if (JUNK.has(what) && ++this.#junk > this.#options.limits.junk) return talk.hangUp('too-many-errors')
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
        if (talk.transaction?.body === 'binarymime') return talk.mistake('not-now', 'DATA')
        talk.say('data', talk.word('send-data'))
        return this.#parts.data()
      case 'rset':
        talk.forget()
        return talk.say('rset', talk.word('reset'))
      case 'noop':
        return talk.say('noop', talk.word('noop'))
      case 'quit':
        talk.say('quit', talk.word('bye'))
        return talk.close('after-writes')
      case 'help':
        return talk.say('help', talk.word('help'))
      case 'vrfy':
        return vrfy(talk, command.argument)
      case 'auth':
      case 'x-exps':
        return this.#login.begin(command)
      case 'starttls':
        return this.#startTls()
      case 'x-link2state':
        return linkState(talk, command)
      case 'xexch50':
        return this.#xexch50(command.size, command.version)
      case 'xclient':
        return xclient(talk, command.attributes)
      case 'etrn':
        return etrn(talk, command.argument)
      case 'turn':
        return turn(talk, 'turn', '')
      case 'atrn':
        return turn(talk, 'atrn', command.argument)
      case 'expn':
        return talk.mistake('not-here', 'EXPN')
      default:
    }
  }

  #greet(kind: 'ehlo' | 'helo', domain: string): void {
    const talk = this.#talk
    const { dialect } = this.#options
    if (domain === '' && !dialect.isExchange) return talk.mistake('bad-argument', 'Who are you?')
    talk.forget()
    talk.hello = domain
    talk.extended = kind === 'ehlo'
    const hello = talk.word('hello')
    const list = kind === 'helo' ? [] : this.#ehloList()
    talk.listed = listedBy(list)
    if (kind === 'helo') return talk.say(kind, hello)
    talk.say(kind, { ...hello, text: [...hello.text, ...list, ...(dialect.closesWithOk ? ['OK'] : [])] })
  }

  #ehloList(): readonly string[] {
    const talk = this.#talk
    const { dialect, limits, mechanisms, services, startTls, off } = this.#options
    const offer: Offer = {
      maxSize: limits.messageSize,
      maxRecipients: limits.recipients,
      maxMessages: limits.messages,
      mechanisms: mechanisms(talk.tls !== undefined),
      loggedIn: talk.login !== undefined,
      secured: talk.tls !== undefined,
      startTls,
      services,
      now: talk.now,
    }
    const lines = dialect.ehlo({ ...offer, startTls: startTls && !off.has('STARTTLS') })
    return off.size === 0 ? lines : lines.filter(line => !off.has(keywordOf(line)))
  }

  #mail(from: ReversePath, params: Params): void {
    const talk = this.#talk
    const { messageSize, messages } = this.#options.limits
    const checked = checkMailParams(params, talk.listed, talk.now)
    if ('wrong' in checked) return talk.mistake(checked.situation, checked.wrong)
    if ((checked.facts.size ?? 0) > messageSize) return talk.mistake('too-big')
    if (from && !isAscii(from.local + from.domain) && !checked.facts.smtputf8) return talk.mistake('needs-smtputf8')
    if (this.#parts.messages >= messages) return talk.mistake('too-many-messages')
    talk.transaction = { from, params, recipients: [], ...checked.facts }
    const about = from === null ? '<>' : formatMailbox(from)
    talk.ask('mail', { about: 'mail', from, ...talk.asker }, 'sender-ok', about)
  }

  #rcpt(to: Mailbox, params: Params): void {
    const talk = this.#talk
    const { transaction } = talk
    const checked = checkRcptParams(params, talk.listed)
    if ('wrong' in checked) return talk.mistake(checked.situation, checked.wrong)
    if (!transaction) return talk.mistake('mail-first')
    if (!isAscii(to.local + to.domain) && !transaction.smtputf8) return talk.mistake('needs-smtputf8')
    if (transaction.recipients.length >= this.#options.limits.recipients) {
      // Not an error of the client's: the rest are to come in another transaction (RFC 5321 §4.5.3.1.10). But not for ever.
      if (++this.#surplus > MAX_SURPLUS) return talk.hangUp('too-many-errors')
      return talk.say('rcpt', talk.word('too-many-recipients'))
    }
    talk.transaction = { ...transaction, recipients: [...transaction.recipients, { to, params }] }
    const question = { about: 'rcpt', to, from: transaction.from, ...talk.asker } as const
    talk.ask('rcpt', question, 'recipient-ok', formatMailbox(to))
  }

  #bdat(chunk: { readonly size: number; readonly last: boolean }): void {
    this.#parts.chunk(chunk, this.#bdatRefusal(chunk.last ? 'last-chunk' : 'bdat'))
  }

  #bdatRefusal(what: 'last-chunk' | 'bdat'): Situation | undefined {
    const talk = this.#talk
    if (this.#isOff('bdat')) return 'not-here'
    if (this.#options.requireTls && !talk.tls) return 'needs-tls'
    return may(talk.phase, what) ? undefined : this.#missing(what)
  }

  #startTls(): void {
    const talk = this.#talk
    if (talk.tls) return talk.mistake('tls-twice')
    if (!this.#options.startTls) return talk.mistake('no-tls')
    // It may be only the end of a group (RFC 3207 §4): what came behind it must never be read inside TLS.
    if (talk.input.size > 0) return talk.hangUp('clear-behind-tls')
    talk.say('starttls', talk.word('start-tls'))
    talk.put({ kind: 'start-tls' })
  }

  #xexch50(size: number, version: string): void {
    const talk = this.#talk
    const { services, limits } = this.#options
    if (!services.has('XEXCH50')) return talk.mistake('not-offered', 'XEXCH50')
    // Refused before the 354, so no octet of it is on its way.
    if (size > limits.blob) return talk.mistake('blob-too-big')
    talk.say('xexch50', talk.word('send-blob'))
    this.#parts.blob(size, version)
  }

  #settle({ said: what, question, positive, about }: Asked, answer: Answer): void {
    const talk = this.#talk
    if ('sasl' in answer) return this.#login.answer(what, answer.sasl)
    if ('frame' in answer) return talk.say(what, frameReply(answer.frame) ?? talk.word('cannot-keep'))
    const worded =
      'code' in answer
        ? answer
        : 'yes' in answer
          ? talk.word(positive, answer.yes || about)
          : talk.word(answer.no, answer.about ?? about)
    const yes = worded.code < 300
    if (question.about === 'mail' && !yes) talk.transaction = undefined
    if (question.about === 'rcpt' && !yes && talk.transaction) {
      talk.transaction = { ...talk.transaction, recipients: talk.transaction.recipients.slice(0, -1) }
    }
    if (question.about === 'message' && yes) this.#junk = 0
    talk.say(what, worded)
    if (question.about === 'message') talk.forget()
    if (talk.phase === 'turned' && question.about === 'turn') {
      const { domains, login } = question
      const tls = talk.tls && { tls: talk.tls }
      talk.put({ kind: 'turned', domains, login, rest: talk.input.take(), ...tls })
    }
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

/** A header of HTTP. No command has its colon there. */
const LABEL = /^[A-Za-z][A-Za-z-]*:/
