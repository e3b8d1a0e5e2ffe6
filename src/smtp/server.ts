/**
 * The server's half of SMTP, as a machine: bytes and answers in, replies, questions and body octets out.
 *
 * A server must often ask before it can answer (does this recipient exist? is the message safe?). It does not wait: it
 * *asks* and pauses, and pipelined input stays in its buffer until `answer` is called. What is allowed when stands in
 * `dialogue.ts`, what it sounds like in `dialect.ts`, and how long things may be in `limits.ts`. What it asks and hands
 * out is in `session.ts`, the message on its way in `incoming.ts`, and the time it may take in `clocks.ts`.
 */
import { fromBase64, NO_BYTES, text, toBase64, utf8Text } from '../base/bytes.ts'
import type { Machine, TlsFacts } from '../base/machine.ts'
import type { Instant } from '../base/time.ts'
import { formatMailbox, isAscii, type Mailbox, type ReversePath } from './address.ts'
import { keywordOf, type Offer } from './capabilities.ts'
import { Clocks } from './clocks.ts'
import { type Command, type CommandKind, parseCommand } from './command.ts'
import type { Situation } from './dialect.ts'
import { after, may, type Phase, type Said, said } from './dialogue.ts'
import { checkMailParams, checkRcptParams, extensionOf, listedBy } from './extension.ts'
import { blobPart, chunkPart, dataPart, Incoming, type Part } from './incoming.ts'
import { AUTH_LINE, lineLimit, MAX_SURPLUS } from './limits.ts'
import { LineSplitter } from './line.ts'
import { CHUNK_RECEIVED, type Chunk, FrameGatherer, frameReply } from './link2state.ts'
import type { Params } from './params.ts'
import { formatReply, type Reply, reply, sayReply } from './reply.ts'
import type { SaslServer, SaslServerStep } from './sasl/mechanism.ts'
import type { Answer, Question, ServerOptions, ServerOutput, Transaction } from './session.ts'

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
  readonly #frames: FrameGatherer
  #clocks: Clocks | undefined
  #phase: Phase = 'greeting'
  #peer: string
  #tls: TlsFacts | undefined
  #hello = ''
  #extended = false
  /** The keywords of the EHLO list that this client was given. */
  #listed: ReadonlySet<string> = new Set()
  #login: string | undefined
  #sasl: { readonly mechanism: string; readonly machine: SaslServer } | undefined
  #transaction: Transaction | undefined
  #part: Part | undefined
  /** The message under way; it may be in several parts. */
  #incoming: Incoming | undefined
  #asked: Asked | undefined
  #errors = 0
  #junk = 0
  #messages = 0
  /** Recipients over the limit, in this session. */
  #surplus = 0
  #now: Instant = 0
  /** The greeting waits until then for who speaks too soon. */
  #greetAt: Instant | undefined
  #deadline: Instant | undefined
  #isStopping = false
  #out: ServerOutput[] = []

  constructor(options: ServerOptions) {
    this.#options = options
    this.#peer = options.peer
    this.#tls = options.tls
    this.#frames = new FrameGatherer(options.limits.linkState)
  }

  get deadline(): Instant | undefined {
    return this.#deadline
  }

  /** The connection stands: the server speaks first. */
  open(now: Instant): readonly ServerOutput[] {
    return this.#run(now, () => {
      this.#clocks = new Clocks(this.#options.limits, now)
      if (this.#options.limits.greetWait > 0) this.#greetAt = now + this.#options.limits.greetWait
      else this.#greeting()
    })
  }

  /** The connection stands, and this client cannot be served now: it is told so, and may come again. */
  turnAway(now: Instant): readonly ServerOutput[] {
    return this.#run(now, () => this.#hangUp('too-many-sessions'))
  }

  receive(bytes: Uint8Array, now: Instant): readonly ServerOutput[] {
    return this.#run(now, () => {
      if (this.#greetAt !== undefined) return this.#hangUp('too-soon')
      // In clear, while the handshake is due: whoever put it there wants it to be read inside TLS (CVE-2011-0411).
      if (this.#phase === 'tls') return this.#hangUp('clear-behind-tls')
      this.#input.push(bytes)
      this.#work()
      if (this.#input.size > this.#options.limits.pending) this.#hangUp('too-many-errors')
    })
  }

  /** The handshake is over. Everything learned in clear is forgotten (RFC 3207 §4.2). */
  secured(tls: TlsFacts, now: Instant): readonly ServerOutput[] {
    return this.#run(now, () => {
      if (this.#phase !== 'tls') return
      this.#forget()
      this.#input.clear()
      this.#tls = tls
      this.#phase = 'hello'
      this.#hello = ''
      this.#extended = false
      this.#listed = new Set()
      this.#login = undefined
      this.#clocks?.heard(now)
    })
  }

  /** The answer to the question asked last. */
  answer(answer: Answer, now: Instant): readonly ServerOutput[] {
    return this.#run(now, () => {
      const asked = this.#asked
      if (!asked) return
      this.#asked = undefined
      this.#clocks?.heard(now)
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
    return this.#run(now, () => {
      if (this.#greetAt === undefined) return this.#hangUp(this.#clocks?.verdict(now) ?? 'idle-too-long')
      this.#greetAt = undefined
      this.#greeting()
    })
  }

  /** The server is going down: say so and close, as soon as no answer is owed that would be lost. */
  stop(now: Instant): readonly ServerOutput[] {
    return this.#run(now, () => {
      this.#isStopping = true
      if (this.#phase === 'tls') this.#close('at-once')
    })
  }

  #run(now: Instant, work: () => void): readonly ServerOutput[] {
    this.#now = now
    this.#out = []
    if (!this.#isOver) work()
    if (this.#mustGo) this.#hangUp('stopping')
    // While we owe an answer it is not the client who is slow.
    const waits = !this.#isOver && !this.#asked
    this.#deadline = waits ? (this.#greetAt ?? this.#clocks?.deadline) : undefined
    return this.#out
  }

  get #isOver(): boolean {
    return this.#phase === 'closed' || this.#phase === 'turned'
  }

  get #mustGo(): boolean {
    return this.#isStopping && !this.#isOver && !this.#asked && !this.#part
  }

  #greeting(): void {
    this.#clocks?.heard(this.#now)
    this.#say('connect', this.#word('greeting'))
  }

  #work(): void {
    while (!this.#isOver && !this.#mustGo && this.#phase !== 'tls' && !this.#asked && this.#input.size > 0) {
      if (this.#part) {
        if (!this.#readPart(this.#part)) return
      } else {
        if (this.#phase === 'hello' && this.#input.first === TLS_HANDSHAKE) return this.#close('at-once')
        const line = this.#input.next(AUTH_LINE)
        if (line === undefined) return
        this.#clocks?.heard(this.#now)
        if (line === 'overlong') this.#overlong()
        else if (line.ending !== 'crlf') this.#bareNewline(line.bytes)
        else if (this.#sasl) this.#authLine(text(line.bytes))
        else this.#command(line.bytes)
      }
    }
  }

  #command(line: Uint8Array): void {
    const command = parseCommand(line)
    this.#trace('C', sayCommand(command, line))
    const kind = command.kind === 'garbled' ? command.verb : command.kind
    const known = kind !== 'other' && kind !== 'unreadable' ? kind : undefined
    if (line.length + 2 > lineLimit(known)) return this.#refuseLine(line, 'line-too-long')
    if (known !== undefined && known !== 'bdat' && this.#isOff(known)) return this.#missingVerb(known, line)
    switch (command.kind) {
      case 'unreadable':
        if (LABEL.test(utf8Text(line))) return this.#hangUp('not-smtp')
        return this.#refuseLine(line, 'unreadable', command.wrong)
      case 'other':
        if (NOT_SMTP.has(command.verb.toUpperCase())) return this.#hangUp('not-smtp')
        return this.#mistake('unknown-verb', utf8Text(line))
      case 'garbled':
        return this.#garbled(command)
      case 'bdat':
        return this.#bdat(command)
      default:
        if (!this.#refusedNow(said(command))) this.#proceed(command)
    }
  }

  #garbled({ verb, wrong, in: part }: Command & { readonly kind: 'garbled' }): void {
    if (verb === 'bdat') return this.#unframed(wrong)
    // What cannot be read is wrong at any time; that it came too early besides need not be said.
    const isAddress = (verb === 'mail' || verb === 'rcpt') && part === 'path'
    if (isAddress && (this.#tls || !this.#options.requireTls)) return this.#mistake('bad-address', wrong)
    if (this.#refusedNow(verb)) return
    if (verb === 'x-link2state' || verb === 'xexch50') {
      return this.#login === undefined ? this.#mistake('exchange-auth-first') : this.#mistake('bad-argument', wrong)
    }
    if (verb === 'xclient' && !this.#options.services.has('XCLIENT')) return this.#mistake('not-trusted')
    this.#mistake(isAddress ? 'bad-address' : 'bad-argument', wrong)
  }

  /** Switched off by the configuration: as if nobody here had ever heard of it. */
  #isOff(kind: CommandKind): boolean {
    const keyword = extensionOf(kind)
    return keyword !== undefined && this.#options.off.has(keyword)
  }

  #missingVerb(kind: CommandKind, line: Uint8Array): void {
    if (this.#options.dialect.isExchange) this.#mistake('unknown-verb', utf8Text(line))
    else this.#mistake('not-here', kind.toUpperCase())
  }

  /** Not even kept: what it was cannot be told. A login that it was part of is over (RFC 4954 §4). */
  #overlong(): void {
    if (this.#sasl) this.#authOver('auth-line-too-long')
    else this.#mistake('line-too-long')
  }

  #bareNewline(line: Uint8Array): void {
    if (this.#sasl) this.#authOver('bare-newline')
    else this.#refuseLine(line, 'bare-newline')
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

  /** 503 where the table of `dialogue.ts` has no such step from here. */
  #refusedNow(what: Said): boolean {
    if (this.#options.requireTls && !this.#tls && !BEFORE_TLS.has(what)) {
      this.#mistake('needs-tls')
      return true
    }
    // The identity comes before any parsing, and before any order (CVE-2005-0560, CVE-2003-0714).
    if ((what === 'x-link2state' || what === 'xexch50') && this.#login === undefined) {
      this.#mistake('exchange-auth-first')
      return true
    }
    if (may(this.#phase, what)) return false
    this.#mistake(this.#missing(what), what.toUpperCase())
    return true
  }

  #missing(what: Said): Situation {
    if (this.#phase === 'hello') return 'hello-first'
    const needsTransaction = what === 'rcpt' || what === 'data' || what === 'bdat' || what === 'last-chunk'
    if (this.#phase === 'ready' && (needsTransaction || what === 'xexch50')) return 'mail-first'
    return this.#phase === 'mail' && (needsTransaction || what === 'xexch50') ? 'rcpt-first' : 'not-now'
  }

  #proceed(command: Exclude<Command, { kind: 'unreadable' | 'garbled' | 'other' | 'bdat' }>): void {
    const what = said(command)
    if (JUNK.has(what) && ++this.#junk > this.#options.limits.junk) return this.#hangUp('too-many-errors')
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
        return this.#beginMessage(dataPart())
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
        return this.#vrfy(command.argument)
      case 'auth':
      case 'x-exps':
        return this.#auth(command)
      case 'starttls':
        return this.#startTls()
      case 'x-link2state':
        return this.#linkState(command)
      case 'xexch50':
        return this.#xexch50(command.size, command.version)
      case 'xclient':
        return this.#xclient(command.attributes)
      case 'etrn':
        return this.#etrn(command.argument)
      case 'turn':
        return this.#turn('turn', '')
      case 'atrn':
        return this.#turn('atrn', command.argument)
      case 'expn':
        return this.#mistake('not-here', 'EXPN')
      default:
    }
  }

  #greet(kind: 'ehlo' | 'helo', domain: string): void {
    const { dialect } = this.#options
    if (domain === '' && !dialect.isExchange) return this.#mistake('bad-argument', 'Who are you?')
    this.#forget()
    this.#hello = domain
    this.#extended = kind === 'ehlo'
    const hello = this.#word('hello')
    const list = kind === 'helo' ? [] : this.#ehloList()
    this.#listed = listedBy(list)
    if (kind === 'helo') return this.#say(kind, hello)
    this.#say(kind, { ...hello, text: [...hello.text, ...list, ...(dialect.closesWithOk ? ['OK'] : [])] })
  }

  #ehloList(): readonly string[] {
    const { dialect, limits, mechanisms, services, startTls, off } = this.#options
    const offer: Offer = {
      maxSize: limits.messageSize,
      maxRecipients: limits.recipients,
      maxMessages: limits.messages,
      mechanisms: mechanisms(this.#tls !== undefined),
      loggedIn: this.#login !== undefined,
      secured: this.#tls !== undefined,
      startTls,
      services,
      now: this.#now,
    }
    return dialect
      .ehlo({ ...offer, startTls: startTls && !off.has('STARTTLS') })
      .filter(line => !off.has(keywordOf(line)))
  }

  #mail(from: ReversePath, params: Params): void {
    const { messageSize, messages } = this.#options.limits
    const checked = checkMailParams(params, this.#listed, this.#now)
    if ('wrong' in checked) return this.#mistake(checked.situation, checked.wrong)
    if ((checked.facts.size ?? 0) > messageSize) return this.#mistake('too-big')
    if (from && !isAscii(from.local + from.domain) && !checked.facts.smtputf8) return this.#mistake('needs-smtputf8')
    if (this.#messages >= messages) return this.#mistake('too-many-messages')
    this.#transaction = { from, params, recipients: [], ...checked.facts }
    const about = from === null ? '<>' : formatMailbox(from)
    this.#ask('mail', { about: 'mail', from, ...this.#asker }, 'sender-ok', about)
  }

  get #asker(): { readonly peer: string; readonly login: string | undefined } {
    return { peer: this.#peer, login: this.#login }
  }

  #rcpt(to: Mailbox, params: Params): void {
    const transaction = this.#transaction
    const checked = checkRcptParams(params, this.#listed)
    if ('wrong' in checked) return this.#mistake(checked.situation, checked.wrong)
    if (!transaction) return this.#mistake('mail-first')
    if (!isAscii(to.local + to.domain) && !transaction.smtputf8) return this.#mistake('needs-smtputf8')
    if (transaction.recipients.length >= this.#options.limits.recipients) {
      // Not an error of the client's: the rest are to come in another transaction (RFC 5321 §4.5.3.1.10). But not for ever.
      if (++this.#surplus > MAX_SURPLUS) return this.#hangUp('too-many-errors')
      return this.#say('rcpt', this.#word('too-many-recipients'))
    }
    this.#transaction = { ...transaction, recipients: [...transaction.recipients, { to, params }] }
    const question = { about: 'rcpt', to, from: transaction.from, ...this.#asker } as const
    this.#ask('rcpt', question, 'recipient-ok', formatMailbox(to))
  }

  #bdat({ size, last }: { readonly size: number; readonly last: boolean }): void {
    const what = last ? 'last-chunk' : 'bdat'
    const refusal = this.#bdatRefusal(what)
    const part = chunkPart(size, last, refusal)
    // Refused or not, the octets are taken off the stream: as commands they would be an attack (RFC 3030 §2).
    if (refusal === undefined) this.#beginMessage(part)
    else this.#beginPart(part)
    if (this.#incoming?.countChunk() === false) return this.#hangUp('too-many-chunks')
    if (size === 0) this.#endPart(part)
  }

  #bdatRefusal(what: 'last-chunk' | 'bdat'): Situation | undefined {
    if (this.#isOff('bdat')) return 'not-here'
    if (this.#options.requireTls && !this.#tls) return 'needs-tls'
    return may(this.#phase, what) ? undefined : this.#missing(what)
  }

  #beginMessage(part: Part): void {
    this.#beginPart(part)
    const transaction = this.#transaction
    if (this.#incoming || !transaction) return
    this.#messages++
    this.#incoming = new Incoming(this.#options.limits, { binary: transaction.body === 'binarymime' })
    const facts = {
      hello: this.#hello,
      peer: this.#peer,
      protocol: this.#protocol(transaction),
      login: this.#login,
      tls: this.#tls,
    }
    this.#out.push({ kind: 'message-begins', transaction, facts })
  }

  /** RFC 3848, and RFC 6531 §4.3. */
  #protocol({ smtputf8 }: Transaction): string {
    const base = smtputf8 ? 'UTF8SMTP' : this.#extended ? 'ESMTP' : 'SMTP'
    if (base === 'SMTP') return base
    return `${base}${this.#tls ? 'S' : ''}${this.#login === undefined ? '' : 'A'}`
  }

  #beginPart(part: Part): void {
    this.#part = part
    this.#clocks?.beginPart(this.#now)
  }

  /** Reads what is there of a part; `false` while more is to come. */
  #readPart(part: Part): boolean {
    const octets = part.kind === 'data' ? this.#input.take() : this.#input.take(part.reader.left)
    this.#clocks?.partly(octets.length, this.#now)
    if (part.kind === 'data') {
      const taken = this.#incoming?.data(part.reader, octets)
      this.#handOut(taken?.content ?? NO_BYTES)
      if (taken?.rest === undefined) return false
      this.#input.push(taken.rest)
    } else {
      if (part.kind === 'blob') part.bytes.set(octets, part.bytes.length - part.reader.left)
      else if (part.refuse === undefined) this.#handOut(this.#incoming?.chunk(octets) ?? NO_BYTES)
      part.reader.push(octets)
      if (part.reader.left > 0) return false
    }
    this.#endPart(part)
    return true
  }

  #handOut(bytes: Uint8Array): void {
    if (bytes.length > 0) this.#out.push({ kind: 'body', bytes })
  }

  #endPart(part: Part): void {
    this.#part = undefined
    this.#clocks?.endPart(this.#now)
    if (part.kind === 'blob') return this.#endBlob(part)
    if (part.kind === 'data') return this.#endMessage('end-of-body')
    if (part.refuse) return this.#mistake(part.refuse, 'BDAT')
    if (part.last) {
      this.#incoming?.end()
      return this.#endMessage('last-chunk')
    }
    if (this.#incoming?.wrong) return this.#refuseMessage('last-chunk')
    this.#say('bdat', this.#word('chunk-ok', String(part.size)))
  }

  #endMessage(what: 'end-of-body' | 'last-chunk'): void {
    const [transaction, incoming] = [this.#transaction, this.#incoming]
    if (!transaction || !incoming) return
    this.#trace('C', `(message of ${incoming.size} octets)`)
    if (incoming.wrong) return this.#refuseMessage(what)
    this.#incoming = undefined
    this.#ask(what, { about: 'message', transaction, size: incoming.size }, 'accepted')
  }

  #refuseMessage(what: 'end-of-body' | 'last-chunk'): void {
    const wrong = this.#incoming?.wrong
    if (!wrong) return
    this.#abandon(wrong.situation)
    this.#say(what, this.#word(wrong.situation, wrong.about))
    this.#forget()
  }

  #vrfy(argument: string): void {
    if (!this.#options.services.has('VRFY') || argument === '') {
      return this.#say('vrfy', this.#word('cannot-verify', argument))
    }
    this.#ask('vrfy', { about: 'vrfy', text: argument, ...this.#asker }, 'verified', argument)
  }

  #startTls(): void {
    if (this.#tls) return this.#mistake('tls-twice')
    if (!this.#options.startTls) return this.#mistake('no-tls')
    // It may be only the end of a group (RFC 3207 §4): what came behind it must never be read inside TLS.
    if (this.#input.size > 0) return this.#hangUp('clear-behind-tls')
    this.#say('starttls', this.#word('start-tls'))
    this.#out.push({ kind: 'start-tls' })
  }

  #etrn(argument: string): void {
    if (!this.#options.services.has('ETRN')) return this.#mistake('not-here', 'ETRN')
    if (!NODE.test(argument)) return this.#mistake('bad-argument', 'ETRN needs the name of a node')
    this.#ask('etrn', { about: 'etrn', node: argument, ...this.#asker }, 'etrn-started', argument)
  }

  /** TURN gives mail to whoever asks, unless it is known who that is (RFC 5321 Appendix F.1, RFC 2645 §4). */
  #turn(verb: 'turn' | 'atrn', argument: string): void {
    if (!this.#options.services.has(verb.toUpperCase())) return this.#mistake('not-here', verb.toUpperCase())
    if (this.#login === undefined) return this.#mistake('auth-first')
    const domains = argument === '' ? [] : argument.split(',')
    if (!domains.every(domain => NODE.test(domain))) return this.#mistake('bad-argument', 'ATRN [domain,domain …]')
    this.#ask(verb, { about: 'turn', verb, domains, login: this.#login }, 'turned')
  }

  #linkState(chunk: Chunk): void {
    const { services } = this.#options
    if (this.#login === undefined || !services.has('X-LINK2STATE')) return this.#mistake('not-offered', 'X-LINK2STATE')
    const gathered = this.#frames.take(chunk)
    if (gathered.kind === 'more') return this.#say('x-link2state', CHUNK_RECEIVED)
    if (gathered.kind === 'frame') {
      const { frame, trimmed } = gathered
      const question = { about: 'link-state', frame, login: this.#login, trimmed } as const
      return this.#ask('x-link2state', question, 'noop')
    }
    this.#errors++
    const status = { 501: '5.5.4', 503: '5.5.2', 552: '5.3.4' }[gathered.code]
    this.#say('x-link2state', reply(gathered.code, status, gathered.why))
  }

  #xexch50(size: number, version: string): void {
    const { services, limits } = this.#options
    if (!services.has('XEXCH50')) return this.#mistake('not-offered', 'XEXCH50')
    // Refused before the 354, so no octet of it is on its way.
    if (size > limits.blob) return this.#mistake('blob-too-big')
    this.#say('xexch50', this.#word('send-blob'))
    const part = blobPart(size, version)
    this.#beginPart(part)
    if (size === 0) this.#endPart(part)
  }

  #endBlob({ version, bytes }: Part & { readonly kind: 'blob' }): void {
    this.#trace('C', `(XEXCH50 of ${bytes.length} octets)`)
    if (this.#transaction) this.#transaction = { ...this.#transaction, blob: { version, bytes } }
    this.#say('end-of-blob', this.#word('blob-ok'))
  }

  /** A proxy says on whose behalf it speaks; all begins anew, as that client (Postfix XCLIENT). */
  #xclient(attributes: Params): void {
    if (!this.#options.services.has('XCLIENT')) return this.#mistake('not-trusted')
    const given = new Map(attributes.map(({ keyword, value }) => [keyword, value ?? '']))
    for (const name of given.keys()) {
      if (!XCLIENT_ATTRIBUTES.has(name)) return this.#mistake('bad-argument', `XCLIENT ${name}`)
    }
    const known = (name: string) => {
      const value = given.get(name)
      return value === undefined || /^\[(?:UN|TEMPUN)AVAIL(?:ABLE)?\]$/i.test(value) ? undefined : value
    }
    const address = known('ADDR')?.replace(/^IPV6:/i, '') ?? this.#peer
    if (!ADDRESS.test(address)) return this.#mistake('bad-argument', 'ADDR must be an address')
    this.#forget()
    this.#peer = address
    this.#login = known('LOGIN')
    this.#hello = ''
    this.#listed = new Set()
    this.#say('xclient', this.#word('greeting'))
  }

  #auth({
    kind,
    mechanism,
    initial,
  }: {
    readonly kind: 'auth' | 'x-exps'
    readonly mechanism: string
    readonly initial?: string
  }): void {
    if (this.#login !== undefined) return this.#mistake('auth-twice')
    const offered = this.#options.mechanisms(this.#tls !== undefined)
    if (!offered.includes(mechanism)) return this.#mistake('unknown-mechanism')
    const machine = this.#options.sasl(mechanism, this.#tls, offered, this.#now)
    this.#sasl = { mechanism, machine }
    // "=" is an initial response of no octets (RFC 4954 §4).
    const response = initial === undefined ? undefined : initial === '=' ? NO_BYTES : fromBase64(initial)
    if (initial !== undefined && response === undefined) return this.#authOver('bad-argument', 'not base64')
    this.#authStep(kind, machine.step(response))
  }

  #authLine(line: string): void {
    this.#trace('C', '[secret]')
    if (line === '*') return this.#authOver('auth-cancelled')
    const response = fromBase64(line)
    if (response === undefined || !this.#sasl) return this.#authOver('bad-argument', 'not base64')
    this.#authStep('auth-line', this.#sasl.machine.step(response))
  }

  #authStep(what: Said, step: SaslServerStep): void {
    switch (step.kind) {
      case 'challenge':
        return this.#say(what, reply(334, undefined, step.text ?? toBase64(step.bytes)))
      case 'ask':
        return this.#ask(what, { about: 'sasl', question: step.question }, 'auth-ok')
      case 'done':
        this.#login = step.user
        this.#out.push({ kind: 'login', mechanism: this.#sasl?.mechanism ?? '', user: step.user })
        this.#sasl = undefined
        return this.#say(what, this.#word('auth-ok'))
      case 'refused':
        return this.#authOver('auth-failed', step.why)
      case 'unavailable':
        return this.#authOver('auth-unavailable', step.why)
      default:
        return this.#authOver('bad-argument', step.why)
    }
  }

  #authOver(situation: Situation, why = ''): void {
    this.#out.push({ kind: 'login', mechanism: this.#sasl?.mechanism ?? '', why: why || situation })
    this.#sasl = undefined
    if (this.#phase === 'auth') this.#phase = 'ready'
    this.#mistake(situation, why)
  }

  #ask(what: Said, question: Question, positive: Situation, about = ''): void {
    this.#asked = { said: what, question, positive, about }
    this.#out.push({ kind: 'ask', question })
  }

  #settle({ said: what, question, positive, about }: Asked, answer: Answer): void {
    if ('sasl' in answer) {
      const step = this.#sasl?.machine.answer(answer.sasl)
      if (step) this.#authStep(what, step)
      return
    }
    if ('frame' in answer) return this.#say(what, frameReply(answer.frame) ?? this.#word('cannot-keep'))
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
    if (question.about === 'message' && yes) this.#junk = 0
    this.#say(what, worded)
    if (question.about === 'message') this.#forget()
    if (this.#phase === 'turned' && question.about === 'turn') {
      const { domains, login } = question
      const tls = this.#tls && { tls: this.#tls }
      this.#out.push({ kind: 'turned', domains, login, rest: this.#input.take(), ...tls })
    }
  }

  /** The transaction is over or was never: nothing of it may reach the next one. */
  #forget(): void {
    this.#abandon('reset')
    this.#frames.drop()
    this.#transaction = undefined
  }

  #abandon(why: string): void {
    if (this.#incoming) this.#out.push({ kind: 'body-abandoned', why })
    this.#incoming = undefined
  }

  #mistake(situation: Situation, about = ''): void {
    this.#errors++
    this.#write(this.#word(situation, about))
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
    const { host, version, date, dialect } = this.#options
    return dialect.wording[situation]({ host, peer: this.#peer, version, date: date(this.#now), about })
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

/** A header of HTTP. No command has its colon there. */
const LABEL = /^[A-Za-z][A-Za-z-]*:/
/** RFC 1985 §5.1: a name, `@domain` for all below it, or `#queue`. */
const NODE = /^[@#]?[A-Za-z0-9](?:[A-Za-z0-9._-]{0,253}[A-Za-z0-9])?$/
/** What may be shown as an address, and cannot be anything else. */
const ADDRESS = /^[0-9A-Fa-f.:]{2,45}$/
const XCLIENT_ATTRIBUTES = new Set(['NAME', 'ADDR', 'PORT', 'PROTO', 'HELO', 'LOGIN', 'DESTADDR', 'DESTPORT'])
