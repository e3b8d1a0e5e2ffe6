/**
 * The proxying firewall: two connections, and everything said on one is understood, judged and said anew on the other.
 *
 * No octet of the wire reaches the server as it came: commands leave by `formatCommand`, replies by `formatReply`,
 * messages decoded and encoded again. A server that takes bare line ends, or runs whatever looks like a command, gets
 * nothing to misread. What the dialogue has come to is told by the *server's* replies: a command that the client sent
 * has not happened. The two sides may be at different places of one queue (`proxy-queue.ts`).
 */
import { bytes, concat, equal, lower, NO_BYTES, strictUtf8, text, upper, utf8 } from '../base/bytes.ts'
import type { TlsFacts } from '../base/machine.ts'
import type { Instant } from '../base/time.ts'
import { ChunkReader, DotReader } from '../smtp/body.ts'
import { offers } from '../smtp/capabilities.ts'
import { formatCommand, type Sayable } from '../smtp/command.ts'
import { after, may, type Phase, type Said, said } from '../smtp/dialogue.ts'
import { AUTH_LINE } from '../smtp/limits.ts'
import { type Line, LineSplitter } from '../smtp/line.ts'
import { FrameGatherer } from '../smtp/link2state.ts'
import { param } from '../smtp/params.ts'
import { digit, formatReply, type Reply, ReplyReader, reply } from '../smtp/reply.ts'
import type { Side } from './inspector.ts'
import type { Proxying } from './policy.ts'
import { type Clock, clocksOf, dueOf, RateClock, type Times, type Waiting } from './proxy-clock.ts'
import { examine, isSecret, missing, outOfPlace, readLine, type Understood, withoutSecrets } from './proxy-commands.ts'
import { edits } from './proxy-edit.ts'
import { type Client, type Hello, HelloSteps, type Step } from './proxy-hello.ts'
import { type Body, Message } from './proxy-message.ts'
import { makeOffer, type Offer, passesTls } from './proxy-offer.ts'
import { MAX_OWED, ReplyQueue } from './proxy-queue.ts'
import { type ProxyPolicy, type Refusal, Rules, refusal, wordsOf } from './proxy-rules.ts'
import type { Explanation } from './verdict.ts'

export type { ProxyPolicy } from './proxy-rules.ts'

export type ProxyOutput =
  | { readonly kind: 'write'; readonly to: Side; readonly bytes: Uint8Array }
  /** Begin TLS: as its server at the client, as its client at the server. Answered by `secured` or `unsecured`. */
  | { readonly kind: 'start-tls'; readonly at: Side }
  | { readonly kind: 'close'; readonly at: Side; readonly how: 'after-writes' | 'at-once' }
  /** A connection to the server is wanted, any of them. Answered by `connected` or `unreachable`. */
  | { readonly kind: 'dial' }
  | { readonly kind: 'altered'; readonly explanation: Explanation }

export interface ProxyOptions {
  readonly policy: ProxyPolicy
  /** What we call ourselves in replies of our own. */
  readonly host: string
  readonly client: Client
  /** Is a certificate there for the client's side? */
  readonly canSecure: boolean
}

/** Octets of a client's that may wait while the server answers; with more of them it is not read. */
export const MAX_WAITING = 65_536
/** A chunk below this, other than the last, brings no mail on: many of them are junk. */
export const SMALL_CHUNK = 1024

/** Nothing may follow them in their group (RFC 2920 §3.1). */
const ENDS_ITS_GROUP: ReadonlySet<Said> = new Set<Said>([
  'ehlo',
  'helo',
  'data',
  'auth',
  'x-exps',
  'auth-line',
  'starttls',
  'x-link2state',
  'xexch50',
])
/** These go to the server without waiting for the replies before them. */
const FLOWS: ReadonlySet<Said> = new Set<Said>(['mail', 'rcpt', 'rset', 'noop'])
const JUNK: ReadonlySet<Said> = new Set<Said>(['noop', 'rset', 'vrfy', 'expn', 'help', 'ehlo', 'helo'])
/** What the server may answer, by the first digit; anything else means that we have lost each other. */
const ANSWERS: Partial<Record<Said, string>> = {
  data: '345',
  xexch50: '2345',
  auth: '2345',
  'x-exps': '2345',
  'auth-line': '2345',
}

interface Hearing {
  /** `bytes` for a reply that comes from a wire, whose text is an octet per character. */
  readonly encode?: (text: string) => Uint8Array
  /** Of MAIL: the message is binary. */
  readonly binary?: boolean
}

export class SmtpProxy {
  readonly #options: ProxyOptions
  readonly #engine: Proxying
  readonly #rules: Rules
  readonly #fromClient = new LineSplitter()
  #fromServer = new LineSplitter()
  #replies = new ReplyReader()
  readonly #queue = new ReplyQueue()
  readonly #linkState = new FrameGatherer()
  #mode: 'pregreet' | 'talk' | 'blind' | 'closed' = 'talk'
  #phase: Phase = 'greeting'
  /** The connection to the server. */
  #leg: 'none' | 'dialing' | 'up' = 'none'
  #greeted = false
  #serverName = ''
  #handshake: Side | undefined
  #secured = false
  #login = false
  /** The client began a login, and no command that we know has come since: a line may be its secret. */
  #loginBegun = false
  #steps: HelloSteps
  /** A hello that the server has not answered yet; `replay`: nobody asked, a new server is brought to where the old was. */
  #hello: { readonly of: Hello; readonly replay: boolean } | undefined
  #lastHello: Hello | undefined
  #offered: Offer['keywords'] = new Map()
  /** A command that waits until every reply before its own is there, or the server is back. */
  #held: { readonly command: Sayable; readonly encode: (text: string) => Uint8Array } | undefined
  /** The last thing that must be answered before anything else is said. */
  #sync: Said | undefined
  #message: Message | undefined
  #body: Body | undefined
  /** A chunk that waits for the server to take DATA. */
  #chunk: { readonly size: number; readonly last: boolean } | undefined
  #blob = 0
  #binary = false
  /** The server refused the message before it was over: said behind its real end. */
  #early: Reply | undefined
  #recipients = 0
  #refusedRecipients = 0
  #errors = 0
  #junk = 0
  /** The last word is in the queue. */
  #ending = false
  #stopping = false
  #clientEnded = false
  #now: Instant = 0
  #openedAt: Instant = 0
  #turnAt: Instant = 0
  #askedAt: Instant = 0
  readonly #blocked: { client?: Instant; server?: Instant } = {}
  #rate: RateClock | undefined
  #deadline: Instant | undefined
  #out: ProxyOutput[] = []

  constructor(options: ProxyOptions) {
    this.#options = options
    this.#engine = options.policy.engine
    this.#rules = new Rules(options.policy, { peer: options.client.address }, explanation => {
      this.#out.push({ kind: 'altered', explanation })
    })
    this.#steps = this.#newSteps()
  }

  get deadline(): Instant | undefined {
    return this.#deadline
  }

  /** Where the dialogue is, as the server's replies told. */
  get phase(): Phase {
    return this.#phase
  }

  /** Recipients that the server took in the transaction that is open. */
  get recipients(): number {
    return this.#recipients
  }

  /** Are the client's octets a message? Then no words of the server's can come of them, however many they are. */
  get inMessage(): boolean {
    return this.#body !== undefined || this.#mode === 'blind'
  }

  /** Is this side to be read? Where not, what it sends stays in its socket, and costs us nothing. */
  reads(from: Side): boolean {
    if (from === 'server') return true
    return this.#mode === 'blind' || this.#body !== undefined || this.#fromClient.size < MAX_WAITING
  }

  /** The client's connection stands. */
  open(now: Instant): readonly ProxyOutput[] {
    return this.#run(now, () => {
      this.#openedAt = now
      this.#turnAt = now
      const verdict = this.#rules.judge({ on: 'peer' })
      if (verdict.kind !== 'pass') {
        this.#rules.explain('session', 'PEER', { because: verdict.because, did: verdict.kind })
        return this.#hangUp(verdict.kind === 'answer' ? wordsOf(verdict) : this.#word(554, '5.7.1', 'no access'))
      }
      if (this.#engine.waits.pregreet > 0) this.#mode = 'pregreet'
      else this.#dial()
    })
  }

  /** The server's connection stands. */
  connected(now: Instant): readonly ProxyOutput[] {
    return this.#run(now, () => {
      if (this.#leg !== 'dialing') return
      this.#leg = 'up'
      this.#queue.push({ kind: this.#greeted ? 'ours' : 'server', said: 'connect' })
      this.#askedAt = now
    })
  }

  /** No server can be reached. */
  unreachable(why: string, now: Instant): readonly ProxyOutput[] {
    return this.#run(now, () => {
      if (this.#leg !== 'dialing') return
      this.#leg = 'none'
      this.#lost(`no server can be reached: ${why}`)
    })
  }

  /** The octets are the caller's again once what is given back is carried out. */
  receive(from: Side, octets: Uint8Array, now: Instant): readonly ProxyOutput[] {
    return this.#run(now, () => {
      if (octets.length === 0) return
      if (this.#mode === 'blind') {
        this.#turnAt = now
        return this.#write(from === 'client' ? 'server' : 'client', octets)
      }
      // A driver that cuts what it reads found more in clear where the handshake should be.
      if (this.#handshake === from) return this.#spokeInClear(from, octets)
      if (from === 'client') this.#fromClient.push(octets)
      else {
        this.#fromServer.push(octets)
        this.#hear()
      }
      this.#work()
      this.#fromClient.keep()
      this.#fromServer.keep()
    })
  }

  /** TLS stands at this side: whatever was said before it is forgotten (RFC 3207 §4.2). */
  secured(at: Side, tls: TlsFacts, now: Instant): readonly ProxyOutput[] {
    return this.#run(now, () => {
      if (this.#handshake !== at) return
      this.#handshake = undefined
      this.#turnAt = now
      if (at === 'server') {
        this.#fromServer.clear()
        const trusted = this.#engine.onwardTls !== 'must' || tls.unproven === undefined
        if (!trusted) return this.#noTls(tls.unproven ?? '')
        this.#step(this.#steps.secured())
      } else {
        this.#fromClient.clear()
        this.#secured = true
        this.#sync = undefined
        this.#phase = 'hello'
        this.#offered = new Map()
      }
      this.#work()
    })
  }

  /** TLS failed at this side. The connection is of no use any more. */
  unsecured(at: Side, why: string, now: Instant): readonly ProxyOutput[] {
    return this.#run(now, () => {
      if (this.#handshake !== at) return
      this.#handshake = undefined
      const because = 'the TLS handshake failed'
      this.#rules.explain('tls', upper(at), { before: utf8(why), because, did: 'drop-connection' })
      if (at === 'server') this.#lost('TLS with the server failed')
      else this.#close()
    })
  }

  /** A side does not take what is written to it, until `flowing`. */
  blocked(side: Side, now: Instant): readonly ProxyOutput[] {
    return this.#run(now, () => {
      this.#blocked[side] ??= now
      // While its message cannot go on it is not the client who is slow.
      if (side === 'server') this.#rate?.stop(now)
    })
  }

  flowing(side: Side, now: Instant): readonly ProxyOutput[] {
    return this.#run(now, () => {
      delete this.#blocked[side]
      if (side === 'server') this.#rate?.go(now)
    })
  }

  end(from: Side, now: Instant): readonly ProxyOutput[] {
    return this.#run(now, () => {
      if (this.#mode === 'blind' || (from === 'client' && this.#phase === 'greeting')) return this.#close()
      if (from === 'server') {
        if (this.#leg !== 'none') this.#lost('the server closed the connection')
        return
      }
      this.#clientEnded = true
      if (this.#body || this.#message) {
        this.#abort()
        return this.#close()
      }
      this.#work()
    })
  }

  /** The firewall is going down: say so, as soon as no reply is owed that would be lost. */
  stop(now: Instant): readonly ProxyOutput[] {
    return this.#run(now, () => {
      this.#stopping = true
      if (this.#mode === 'blind') this.#close()
      else if (this.#phase === 'greeting') this.#hangUp(this.#word(421, '4.3.2', 'is going down'))
      else this.#work()
    })
  }

  tick(now: Instant): readonly ProxyOutput[] {
    if (this.#deadline === undefined || now < this.#deadline) return []
    return this.#run(now, () => {
      if (this.#mode === 'pregreet') {
        this.#mode = 'talk'
        return this.#dial()
      }
      const late = this.#clocks().toSorted((a, b) => a.due - b.due)[0]
      if (!late) return
      this.#rules.explain('session', late.name, { because: late.why, did: 'drop-connection' })
      if (!late.closesAtOnce) return this.#hangUp(this.#word(421, '4.4.2', late.why))
      this.#abort()
      this.#close('at-once')
    })
  }

  #run(now: Instant, work: () => void): readonly ProxyOutput[] {
    this.#now = now
    this.#out = []
    if (this.#mode !== 'closed') work()
    this.#deadline = this.#mode === 'closed' ? undefined : dueOf(this.#engine.waits, this.#times())
    return this.#out
  }

  #clocks(): readonly Clock[] {
    return this.#mode === 'closed' ? [] : clocksOf(this.#engine.waits, this.#times())
  }

  #times(): Times {
    const asked = this.#leg === 'dialing' || this.#queue.next !== undefined
    const idles = this.#mode === 'blind' || this.#handshake !== undefined
    const waiting: Waiting =
      this.#mode === 'pregreet' ? 'pregreet' : idles ? 'idle' : asked ? 'reply' : this.#body ? 'data' : 'command'
    return {
      waiting,
      openedAt: this.#openedAt,
      turnAt: this.#turnAt,
      askedAt: this.#askedAt,
      blocked: this.#blocked,
      data: this.#rate?.due,
    }
  }

  /* The client's side. */

  #work(): void {
    while (this.#mode !== 'closed' && !this.#handshake && !this.#ending) {
      if (this.#mode === 'pregreet' || this.#phase === 'greeting') return this.#talkedAhead('before the greeting')
      if (this.#body) {
        if (this.#fromClient.size === 0 && !isOver(this.#body)) return
        this.#readBody(this.#body)
        continue
      }
      if (this.#held) {
        if (this.#queue.size > 0 || this.#hello || this.#chunk) return
        if (this.#leg === 'none') this.#redial()
        if (this.#leg !== 'up' || !this.#held) return
        const { command, encode } = this.#held
        this.#held = undefined
        this.#forward(command, encode)
        continue
      }
      if (this.#stopping && this.#queue.size === 0 && !this.#hello && !this.#message) {
        return this.#hangUp(this.#word(421, '4.3.2', 'is going down'))
      }
      if (this.#waits()) return
      const line = this.#fromClient.next(AUTH_LINE)
      if (line === undefined) {
        if (this.#clientEnded && this.#queue.size === 0) this.#close()
        return
      }
      this.#turnAt = this.#now
      this.#take(line)
    }
  }

  /** Must what the client sends wait? */
  #waits(): boolean {
    const busy = this.#hello !== undefined || this.#chunk !== undefined || this.#leg === 'dialing'
    if (!busy) {
      if (this.#queue.size === 0) return false
      if (this.#queue.size >= MAX_OWED) return true
      if (this.#sync === undefined && offers(this.#steps.server, 'PIPELINING')) return false
    }
    // Of what is asked for our own sake the client knows nothing.
    if (!this.#queue.owesClient && !this.#hello) return true
    const last = this.#sync
    const mayFollow = last === undefined || !ENDS_ITS_GROUP.has(last)
    if (!this.#offered.has('PIPELINING') || !mayFollow || this.#hello) {
      this.#talkedAhead(last === undefined ? 'where no group is allowed' : `behind ${upper(last)}`)
    }
    return true
  }

  /** Octets came that should have waited: whoever puts them there hopes that somebody loses count. */
  #talkedAhead(where: string): void {
    if (this.#fromClient.size === 0) return
    if (this.#engine.talkingAhead === 'wait' && this.#sync !== 'starttls') return
    const before = this.#loginBegun ? NO_BYTES : withoutSecrets(this.#fromClient.take(64))
    this.#rules.explain('session', 'PIPELINING', { before, because: `the client spoke ${where}`, did: 'answer' })
    this.#hangUp(reply(554, '5.5.0', 'Synchronization error: speak when it is your turn'))
  }

  #take(line: Line | 'overlong'): void {
    if (this.#phase === 'auth') return this.#authLine(line)
    if (line === 'overlong') {
      const wording = reply(500, '5.5.2', 'Line too long')
      return this.#refuse(refusal('COMMAND-LINE', NO_BYTES, wording, 'no command is this long'))
    }
    const { bytes: octets } = line
    const read = readLine(line, this.#rules, this.#loginBegun)
    switch (read.kind) {
      case 'command':
        return this.#command(read.command, octets)
      case 'refuse':
        if (isSecret(lower(read.refusal.subject))) this.#loginBegun = true
        return this.#refuse(read.refusal)
      case 'unframed': {
        const because = 'a chunk without a size leaves the stream without frames'
        this.#rules.explain('command', 'BDAT', { before: octets, because, did: 'answer' })
        return this.#answer(reply(501, '5.5.4', 'BDAT size [LAST] was expected'), true)
      }
      default:
        this.#rules.explain('session', 'NOT-SMTP', {
          before: this.#loginBegun ? NO_BYTES : octets,
          because: 'this is another protocol',
          did: 'drop-connection',
        })
        return this.#answer(this.#word(421, '4.7.0', 'speaks SMTP'), true)
    }
  }

  #command(command: Understood, octets: Uint8Array): void {
    const what = said(command)
    this.#loginBegun = isSecret(command.kind)
    if (command.kind === 'bdat') {
      this.#sync = what
      this.#held = { command, encode: utf8 }
      return
    }
    const outcome = examine(command, octets, {
      rules: this.#rules,
      phase: this.#phase,
      phases: this.#queue.phasesFrom(this.#phase),
      offered: this.#offered,
      secured: this.#secured,
      canSecure: this.#options.canSecure,
      login: this.#login,
      recipients: this.#recipients + this.#queue.count('rcpt'),
      linkState: this.#linkState,
    })
    if (outcome.kind === 'refuse') return this.#refuse(outcome.refusal)
    if (JUNK.has(what) && this.#tooMuchJunk()) return
    if (what === 'rset') this.#linkState.drop()
    if (outcome.kind === 'answer') return this.#answer(outcome.reply, outcome.closes)
    if (outcome.kind === 'start-tls') return this.#hold({ kind: 'starttls' }, utf8)
    // The server is in the middle of a message that the client sends in chunks.
    if (what === 'noop' && this.#message?.writer) return this.#answer(reply(250, '2.0.0', 'Ok'))
    this.#pass(outcome.command, octets)
  }

  #authLine(line: Line | 'overlong'): void {
    if (line === 'overlong') return this.#cancelLogin(reply(500, '5.5.6', 'Authentication line too long'))
    const response = text(line.bytes)
    if (line.ending !== 'crlf' || !/^(?:\*|[A-Za-z0-9+/]*={0,2})$/.test(response)) {
      return this.#cancelLogin(reply(501, '5.5.2', 'base64 was expected'))
    }
    this.#write('server', bytes(`${response}\r\n`))
    this.#ask('auth-line')
  }

  /** The server is told that the login is over; the client hears why. */
  #cancelLogin(instead: Reply): void {
    this.#errors++
    this.#write('server', bytes('*\r\n'))
    this.#ask('auth-line', { instead })
  }

  /** Towards the server, in its turn, said anew. */
  #pass(command: Sayable, octets: Uint8Array): void {
    // A frame of link state has an octet per character, whatever they spell.
    const encode = command.kind !== 'x-link2state' && strictUtf8(octets) !== undefined ? utf8 : bytes
    const line = formatCommand(command, encode)
    const subject = upper(command.kind)
    if (!line) {
      return this.#refuse(refusal(subject, octets, reply(501, '5.5.2', 'Not to be said'), 'it holds a line end'))
    }
    const anew = line.subarray(0, -2)
    if (!isSecret(command.kind) && !equal(anew, octets)) {
      const because = 'commands are said anew, in one form'
      this.#rules.explain('command', subject, { before: octets, after: anew, because, did: 'replace' })
    }
    this.#hold(command, encode)
  }

  #hold(command: Sayable, encode: (text: string) => Uint8Array): void {
    if (FLOWS.has(said(command)) && this.#leg === 'up' && !this.#message) return this.#forward(command, encode)
    this.#sync = said(command)
    this.#held = { command, encode }
  }

  /** The server is there, and it is this command's turn. */
  #forward(command: Sayable, encode: (text: string) => Uint8Array): void {
    const what = said(command)
    this.#sync = FLOWS.has(what) ? undefined : what
    if (command.kind === 'bdat') return this.#bdat(command)
    // What was allowed when it came may not be any more, by what the server has answered since. And a dot cannot end
    // what is binary (RFC 3030 §3).
    const isAllowed = FLOWS.has(what) || (may(this.#phase, what) && !(what === 'data' && this.#binary))
    if (!isAllowed) return this.#refuse(outOfPlace(what, this.#phase, NO_BYTES))
    if (this.#message?.writer && what !== 'noop') return this.#breakOff(command, encode)
    if (command.kind === 'ehlo' || command.kind === 'helo') return this.#sayHello(command, false)
    if (command.kind === 'starttls' && !passesTls(this.#engine, this.#options)) return this.#startTls()
    if (command.kind === 'xexch50') this.#blob = command.size
    const line = formatCommand(command, encode)
    if (line) this.#write('server', line)
    this.#ask(what, { binary: isBinary(command) })
  }

  /** The server takes a message that will never end: only the end of its connection ends it. */
  #breakOff(command: Sayable, encode: (text: string) => Uint8Array): void {
    this.#drop()
    if (command.kind === 'rset') this.#answer(reply(250, '2.0.0', 'Ok'))
    else this.#held = { command, encode }
  }

  #startTls(): void {
    if (this.#fromClient.size > 0) return this.#talkedAhead('behind STARTTLS')
    this.#say(reply(220, '2.0.0', 'Ready to start TLS'))
    this.#handshake = 'client'
    this.#out.push({ kind: 'start-tls', at: 'client' })
  }

  #ask(what: Said, more: { readonly instead?: Reply; readonly binary?: boolean } = {}): void {
    if (this.#queue.next === undefined) this.#askedAt = this.#now
    this.#queue.push({ kind: 'server', said: what, ...more })
    if (!FLOWS.has(what)) this.#sync = what
  }

  /** Asked for our own sake: of its reply the client hears nothing. */
  #askForUs(what: Said, line: Uint8Array): void {
    if (this.#queue.next === undefined) this.#askedAt = this.#now
    this.#write('server', line)
    this.#queue.push({ kind: 'ours', said: what })
  }

  /* Messages. */

  /** A chunk is framed whatever becomes of it: its octets as commands would be an attack (RFC 3030 §2). */
  #bdat({ size, last }: { readonly size: number; readonly last: boolean }): void {
    const what = last ? 'last-chunk' : 'bdat'
    const chunk = { kind: 'chunk', size, last, reader: new ChunkReader(size) } as const
    const verdict = this.#rules.judge({ on: 'word', what: 'verb', word: 'BDAT' })
    const refuse = (wording: Reply, because = this.#rules.own('the client was not offered this', 'chunking')) =>
      this.#begin({ ...chunk, refusal: { reply: wording, because } })
    if (verdict.kind === 'answer') return refuse(wordsOf(verdict), verdict.because)
    if (verdict.kind !== 'pass') return refuse(reply(502, '5.5.1', 'BDAT is not available'), verdict.because)
    if (!may(this.#phase, what)) {
      return refuse(reply(503, '5.5.1', missing(what, this.#phase)), this.#rules.own('it is not the time for it'))
    }
    if (!this.#offered.has('CHUNKING')) return refuse(reply(502, '5.5.1', 'BDAT is not available'))
    if (size < SMALL_CHUNK && !last && this.#tooMuchJunk()) return
    if (this.#binary) {
      this.#message ??= new Message(this.#rules, { binary: true })
      this.#write('server', bytes(`BDAT ${size}${last ? ' LAST' : ''}\r\n`))
    } else if (!this.#message) {
      // Only what is binary needs chunks. All else goes on in the one form that leaves no doubt where a line ends.
      const before = bytes(`BDAT ${size}`)
      this.#rules.explain('command', 'BDAT', {
        before,
        after: bytes('DATA'),
        because: 'chunks go on as DATA',
        did: 'replace',
      })
      this.#chunk = { size, last }
      return this.#askForUs('data', bytes('DATA\r\n'))
    }
    this.#begin(chunk)
  }

  #begin(body: Body): void {
    this.#body = body
    const { waits, minDataRate } = this.#engine
    this.#rate = new RateClock(waits.data, minDataRate, this.#now)
    if (this.#blocked.server !== undefined) this.#rate.stop(this.#now)
  }

  #readBody(body: Body): void {
    this.#turnAt = this.#now
    const came = this.#fromClient.take(body.kind === 'dots' ? undefined : body.reader.left)
    this.#rate?.count(came.length, this.#now)
    if (body.kind === 'dots') {
      const { content, rest } = body.reader.push(came)
      // As one piece: a message of nothing but dots must not become a million of them.
      this.#content(concat(content), body.reader.stray === undefined)
      if (rest === undefined) return
      if (rest.length > 0) this.#fromClient.push(rest)
      this.#body = undefined
      return this.#endMessage('end-of-body')
    }
    body.reader.push(came)
    if (body.kind === 'blob') this.#write('server', came)
    else if (!body.refusal) this.#content(came)
    if (body.reader.left > 0) return
    this.#body = undefined
    if (body.kind === 'blob') return this.#ask('xexch50')
    this.#endChunk(body)
  }

  #content(piece: Uint8Array, isChecked = false): void {
    const message = this.#message
    if (!message || message.fault) return
    this.#goOn(message, message.push(piece, isChecked))
  }

  #goOn(message: Message, octets: Uint8Array): void {
    for (const explanation of message.altered()) this.#out.push({ kind: 'altered', explanation })
    // What the server has of it so far must not become a message.
    if (message.fault) this.#abort()
    else if (this.#leg === 'up' && octets.length > 0) this.#write('server', octets)
  }

  #endChunk({ size, last, refusal: refused }: Body & { readonly kind: 'chunk' }): void {
    if (refused) {
      const before = bytes(`BDAT ${size}${last ? ' LAST' : ''}`)
      this.#rules.explain('command', 'BDAT', { before, because: refused.because, did: 'answer' })
      return this.#mistake(refused.reply)
    }
    if (last) return this.#endMessage('last-chunk')
    if (this.#broken()) return
    if (!this.#message?.writer) return this.#ask('bdat')
    this.#phase = after(this.#phase, 'bdat', 250)
    this.#answer(reply(250, '2.0.0', `${size} octets received`))
    this.#sync = undefined
  }

  #endMessage(what: 'end-of-body' | 'last-chunk'): void {
    const message = this.#message
    if (!message) return
    if (!message.fault) this.#goOn(message, message.end())
    if (!this.#broken()) this.#ask(what)
  }

  /** Is something wrong with the message? Then it is over, and so is its transaction. */
  #broken(): boolean {
    const fault = this.#message?.fault
    const wording = fault?.reply ?? this.#early
    if (!wording) return false
    if (fault) this.#out.push({ kind: 'altered', explanation: fault.explanation })
    this.#drop()
    this.#mistake(wording)
    return true
  }

  /** The transaction is over, and with it the server's connection, for the server does not know. */
  #drop(): void {
    this.#abort()
    this.#forget()
    this.#phase = 'ready'
  }

  #forget(): void {
    this.#message = undefined
    this.#early = undefined
    this.#recipients = 0
    this.#refusedRecipients = 0
    this.#binary = false
  }

  /** Gives up the server's connection: what it has of a message is no message. */
  #abort(): void {
    if (this.#leg === 'none') return
    this.#leg = 'none'
    this.#out.push({ kind: 'close', at: 'server', how: 'at-once' })
    this.#fromServer = new LineSplitter()
    this.#replies = new ReplyReader()
    this.#steps = this.#newSteps()
    delete this.#blocked.server
  }

  /** After a chunk that was refused servers differ in what is left of the transaction (RFC 3030 §2): so nothing shall be. */
  #resetServer(): void {
    this.#message = undefined
    this.#askForUs('rset', bytes('RSET\r\n'))
  }

  /* The server's side. */

  #dial(): void {
    this.#leg = 'dialing'
    this.#askedAt = this.#now
    this.#out.push({ kind: 'dial' })
  }

  /** A new connection to the server, brought to where the old one was. What was proved on the old one is gone. */
  #redial(): void {
    if (this.#held?.command.kind === 'quit') {
      this.#held = undefined
      return this.#answer(reply(221, '2.0.0', `${this.#options.host} closing connection`), true)
    }
    if (this.#login) return this.#hangUp(this.#word(421, '4.3.2', 'needs another login'))
    this.#dial()
  }

  #hear(): void {
    while (this.#mode === 'talk' && this.#leg === 'up' && !this.#handshake) {
      const heard = this.#replies.next(this.#fromServer)
      if (heard === undefined) return
      if ('fault' in heard) return this.#confused(heard.fault, heard.line)
      this.#heard(heard.value)
    }
  }

  #heard(answer: Reply): void {
    if (answer.code === 421) {
      this.#queue.clear()
      return this.#hangUp(answer, bytes)
    }
    const owed = this.#queue.takeServers()
    if (!owed) return this.#unasked(answer)
    this.#askedAt = this.#now
    if (!(ANSWERS[owed.said] ?? '245').includes(String(digit(answer)))) {
      return this.#confused('a reply to something else', String(answer.code))
    }
    this.#turnAt = this.#now
    const isHello = owed.said === 'ehlo' || owed.said === 'helo' || owed.said === 'starttls' || owed.said === 'other'
    if (this.#hello && isHello) this.#heardHello(owed.said, answer)
    else if (owed.kind === 'ours') this.#heardForUs(owed.said, answer)
    else if (owed.said === 'connect') this.#heardGreeting(answer)
    else if (owed.instead) this.#heardFor(owed.said, owed.instead, answer.code)
    else this.#heardFor(owed.said, answer, answer.code, { encode: bytes, binary: owed.binary === true })
    this.#flush()
  }

  #heardFor(what: Said, answer: Reply, code: number, { encode = utf8, binary = false }: Hearing = {}): void {
    if (this.#queue.size === 0) this.#sync = undefined
    const was = this.#phase
    this.#phase = after(this.#phase, what, code)
    const first = Math.floor(code / 100)
    const good = first === 2
    if (what === 'rcpt' && good) this.#recipients++
    if (what === 'rcpt' && !good) this.#refusedRecipients++
    if (good && (what === 'auth' || what === 'x-exps' || what === 'auth-line')) this.#login = true
    if (first >= 4) this.#errors++
    if (this.#phase === 'ready' && was !== 'ready') this.#forget()
    if (what === 'mail' && good) {
      this.#forget()
      this.#binary = binary
    }
    if (good && (what === 'end-of-body' || what === 'last-chunk')) this.#junk = 0
    this.#say(this.#withoutServer(answer), encode)
    if (this.#phase === 'closed') return this.#close()
    if (this.#phase === 'tls') return this.#goBlind()
    if (what === 'data' && first === 3) {
      this.#message = new Message(this.#rules, { binary: false })
      this.#begin({ kind: 'dots', reader: new DotReader() })
    }
    if (what === 'xexch50' && first === 3) this.#begin({ kind: 'blob', reader: new ChunkReader(this.#blob) })
    if (what === 'bdat' && !good) this.#resetServer()
    const guesses = what === 'rcpt' && !good && this.#spent('invalid-recipients', this.#refusedRecipients)
    if (guesses || this.#spent('errors', this.#errors)) this.#hangUp(this.#word(421, '4.7.0', 'too many errors'))
  }

  #heardForUs(what: Said, answer: Reply): void {
    const good = digit(answer) === 2
    if (what === 'connect') {
      if (!good) return this.#lost('the server refused to go on')
      if (this.#lastHello) this.#sayHello(this.#lastHello, true)
    } else if (what === 'rset') {
      if (!good) return this.#lost('the server refused RSET')
      this.#forget()
      this.#phase = 'ready'
    } else if (what === 'data' && this.#chunk) {
      const body = { kind: 'chunk', ...this.#chunk, reader: new ChunkReader(this.#chunk.size) } as const
      this.#chunk = undefined
      if (digit(answer) === 3) {
        this.#message = new Message(this.#rules, { binary: false })
        return this.#begin(body)
      }
      this.#begin({ ...body, refusal: { reply: answer, because: this.#rules.own('the server refused DATA') } })
      this.#resetServer()
    }
  }

  #heardGreeting(answer: Reply): void {
    this.#greeted = true
    this.#serverName = answer.text[0]?.split(' ')[0] ?? ''
    this.#phase = after(this.#phase, 'connect', answer.code)
    const { name } = this.#engine
    const verdict = this.#rules.judge({ on: 'greeting' })
    const by = verdict.kind === 'replace' ? verdict.by : name === undefined ? undefined : `${name} ESMTP`
    const shown = digit(answer) === 2 && by !== undefined ? { ...answer, text: [by] } : answer
    if (shown !== answer) {
      this.#rules.explain('greeting', '', {
        before: formatReply(answer, bytes),
        after: formatReply(shown, bytes),
        because:
          verdict.kind === 'pass' ? this.#rules.own('the server is called otherwise here', 'name') : verdict.because,
        did: 'replace',
      })
    }
    this.#say(shown, bytes)
    if (this.#phase === 'closed') this.#close()
  }

  /** The server's own name is not to be seen outside. */
  #withoutServer(answer: Reply): Reply {
    const { hideServer, name } = this.#engine
    const inside = this.#serverName
    if (!hideServer || name === undefined || inside === '' || !answer.text.some(line => line.includes(inside)))
      return answer
    const shown = { ...answer, text: answer.text.map(line => line.replaceAll(inside, name)) }
    this.#rules.explain('reply', 'SERVER', {
      before: formatReply(answer, bytes),
      after: formatReply(shown, bytes),
      because: this.#rules.own('the name of the server behind is hidden', 'hideServer'),
      did: 'replace',
    })
    return shown
  }

  /* Hello: the client's, and the steps of ours before it can be answered. */

  #newSteps(): HelloSteps {
    return new HelloSteps(this.#rules, this.#options.client, { mayTls: !passesTls(this.#engine, this.#options) })
  }

  #sayHello(of: Hello, replay: boolean): void {
    this.#hello = { of, replay }
    this.#linkState.drop()
    this.#step(this.#steps.begin(of))
  }

  #heardHello(what: Said, answer: Reply): void {
    const step = this.#steps.hear(answer)
    if (what === 'ehlo' && digit(answer) === 2) {
      // Whoever asked for this hello, it ended the server's transaction.
      if (this.#phase !== 'hello') this.#phase = 'ready'
      this.#forget()
    }
    this.#step(step)
  }

  #step(step: Step): void {
    switch (step.kind) {
      case 'say':
        return this.#askForUs(step.said, step.line)
      case 'start-tls':
        // What came in clear behind the 220 would be read inside TLS (CVE-2021-38371).
        if (this.#fromServer.size > 0) return this.#spokeInClear('server', this.#fromServer.take(64))
        this.#handshake = 'server'
        this.#turnAt = this.#now
        this.#out.push({ kind: 'start-tls', at: 'server' })
        return
      case 'no-tls':
        return this.#noTls(step.why)
      default:
        return this.#concludeHello(step.reply)
    }
  }

  #concludeHello(answer: Reply): void {
    const { of, replay } = this.#hello ?? {}
    this.#hello = undefined
    const good = digit(answer) === 2
    if (!of) return
    if (replay && !good) return this.#lost('the server refused our hello')
    if (replay) return
    if (!good) return this.#heardFor(of.kind, answer, answer.code, { encode: bytes })
    this.#lastHello = of
    if (of.kind === 'helo') {
      const { name } = this.#engine
      this.#offered = new Map()
      const shown = name === undefined ? answer : { ...answer, text: [name] }
      return this.#heardFor('helo', shown, answer.code, { encode: bytes })
    }
    const offer = makeOffer(answer, this.#rules, {
      secured: this.#secured,
      canSecure: this.#options.canSecure && (this.#engine.tls === 'terminate' || this.#engine.tls === 'require'),
      loggedIn: this.#login,
      edits: edits(this.#rules),
    })
    this.#offered = offer.keywords
    this.#heardFor('ehlo', offer.reply, answer.code, { encode: bytes })
  }

  #noTls(why: string): void {
    this.#rules.explain('tls', 'SERVER', { before: utf8(why), because: 'no mail goes on without TLS', did: 'answer' })
    this.#hangUp(this.#word(421, '4.7.0', why))
  }

  /** From here on both sides talk under a cover that we do not lift. */
  #goBlind(): void {
    if (this.#fromServer.size > 0) return this.#spokeInClear('server', this.#fromServer.take(64))
    const words = bytes('STARTTLS')
    const because = 'client and server encrypt end to end: from here on nothing is seen, and no rule holds'
    this.#rules.explain('tls', 'STARTTLS', { before: words, after: words, because, did: 'log' })
    this.#mode = 'blind'
    this.#turnAt = this.#now
  }

  #spokeInClear(who: Side, octets: Uint8Array): void {
    const because = 'octets came in clear where TLS begins'
    this.#rules.explain('tls', upper(who), { before: octets, because, did: 'drop-connection' })
    if (who === 'server') return this.#lost('the server spoke in clear behind its 220')
    this.#hangUp(reply(554, '5.5.0', 'Synchronization error: octets in clear behind STARTTLS'))
  }

  /* What goes wrong. */

  /** A reply that nobody asked for. */
  #unasked(answer: Reply): void {
    if (this.#body && this.#message && digit(answer) >= 4) {
      this.#early ??= answer
      return this.#abort()
    }
    this.#confused('a reply to nothing', String(answer.code))
  }

  /** The server and we have lost each other: whose reply is whose cannot be told any more. */
  #confused(fault: string, line: string): void {
    const because = `the server's replies cannot be followed: ${fault}`
    this.#rules.explain('reply', 'SERVER', { before: utf8(line.slice(0, 64)), because, did: 'reset' })
    this.#lost('the server cannot be understood')
  }

  /** No server any more. Nothing that it did not acknowledge is acknowledged. */
  #lost(why: string): void {
    this.#rules.explain('session', 'SERVER', { because: why, did: 'drop-connection' })
    this.#hangUp(this.#word(421, '4.4.2', 'has no server now'))
  }

  #refuse({ reply: wording, subject, octets, reason, verdict }: Refusal): void {
    const ends = verdict.kind === 'drop-connection' || verdict.kind === 'reset'
    const because = verdict.kind === 'pass' ? reason : verdict.because
    this.#rules.explain('command', subject, { before: octets, because, did: ends ? verdict.kind : 'answer' })
    if (!ends) return this.#mistake(wording, verdict.kind === 'answer' && verdict.close === true)
    this.#abort()
    this.#close(verdict.kind === 'reset' ? 'at-once' : 'after-writes')
  }

  #mistake(wording: Reply, closes = false): void {
    this.#errors++
    this.#sync = undefined
    this.#answer(wording, closes)
    if (!closes && this.#spent('errors', this.#errors)) this.#answer(this.#word(421, '4.7.0', 'too many errors'), true)
  }

  #tooMuchJunk(): boolean {
    if (!this.#spent('junk', ++this.#junk)) return false
    this.#answer(this.#word(421, '4.7.0', 'too many commands that bring no mail'), true)
    return true
  }

  #spent(what: 'errors' | 'junk' | 'invalid-recipients', size: number): boolean {
    const verdict = this.#rules.judge({ on: 'size', what, size })
    if (verdict.kind === 'pass') return false
    const before = bytes(String(size))
    this.#rules.explain('session', upper(what), { before, because: verdict.because, did: verdict.kind })
    return true
  }

  /** Answered here, behind the replies that are still owed. */
  #answer(wording: Reply, closes = false): void {
    if (closes) this.#ending = true
    this.#queue.push({ kind: 'here', reply: wording, closes })
    this.#flush()
  }

  #flush(): void {
    while (this.#mode === 'talk') {
      const here = this.#queue.takeHere()
      if (!here) return
      this.#say(here.reply)
      if (here.closes) this.#close()
    }
  }

  #say(wording: Reply, encode: (text: string) => Uint8Array = utf8): void {
    this.#write('client', formatReply(wording, encode))
  }

  #hangUp(wording: Reply, encode?: (text: string) => Uint8Array): void {
    this.#abort()
    this.#say(wording, encode)
    this.#close()
  }

  #close(how: 'after-writes' | 'at-once' = 'after-writes'): void {
    this.#mode = 'closed'
    this.#phase = 'closed'
    this.#fromClient.clear()
    this.#out.push({ kind: 'close', at: 'client', how })
    if (this.#leg !== 'none') this.#out.push({ kind: 'close', at: 'server', how })
    this.#leg = 'none'
  }

  #write(to: Side, octets: Uint8Array): void {
    this.#out.push({ kind: 'write', to, bytes: octets })
  }

  #word(code: number, status: string, why: string): Reply {
    return reply(code, status, `${this.#options.host} ${why}, closing connection`)
  }
}

/** Has a chunk no octets left, so that it is over without any coming? */
function isOver(body: Body): boolean {
  return body.kind !== 'dots' && body.reader.left === 0
}

function isBinary(command: Sayable): boolean {
  return command.kind === 'mail' && upper(param(command.params, 'BODY')?.value ?? '') === 'BINARYMIME'
}
