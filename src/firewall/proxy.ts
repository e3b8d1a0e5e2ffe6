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
import type { Duration, Instant } from '../base/time.ts'
import { formatMailbox, isAscii, type Mailbox } from '../smtp/address.ts'
import { ChunkReader, DotReader, DotWriter } from '../smtp/body.ts'
import { NO_CAPABILITIES, offers, readCapabilities } from '../smtp/capabilities.ts'
import { type Command, formatCommand, parseCommand, type Sayable } from '../smtp/command.ts'
import { after, may, type Phase, type Said, said } from '../smtp/dialogue.ts'
import { AUTH_LINE, lineLimit } from '../smtp/limits.ts'
import { type Line, LineSplitter } from '../smtp/line.ts'
import { FrameGatherer } from '../smtp/link2state.ts'
import { type Params, param } from '../smtp/params.ts'
import { digit, formatReply, type Reply, ReplyReader, reply } from '../smtp/reply.ts'
import type { Side } from './inspector.ts'
import { judge, type Situation, type Subject } from './judge.ts'
import type { Action, Policy, Proxy } from './policy.ts'
import { RateClock } from './proxy-clock.ts'
import { Content, type Editor } from './proxy-content.ts'
import { makeOffer, type Offer, passesTls, readParams } from './proxy-offer.ts'
import { MAX_OWED, ReplyQueue } from './proxy-queue.ts'
import { type Because, type Explanation, explain, type Verdict, type What } from './verdict.ts'

/** A policy that a proxy can keep. */
export type ProxyPolicy = Policy & { readonly engine: Proxy }

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
  readonly client: { readonly address: string; readonly port?: number; readonly name?: string }
  /** Is a certificate there for the client's side? */
  readonly canSecure: boolean
  /** Looks into messages, where the policy speaks of what is in them. */
  readonly editor?: () => Editor
}

/** Octets of a client's that may wait while the server answers; with more of them it is not read. */
export const MAX_WAITING = 65_536
/** Octets of one XEXCH50 blob. Exchange sends a few thousand. */
export const MAX_EXCH50 = 1_048_576
/** A chunk below this, other than the last, brings no mail on: many of them are junk. */
export const SMALL_CHUNK = 1024

/** Nothing may follow them in their group (RFC 2920 §3.1). */
const ENDS_ITS_GROUP: ReadonlySet<Said> = new Set(['ehlo', 'helo', 'data', 'auth', 'x-exps', 'auth-line', 'starttls', 'x-link2state', 'xexch50'])
/** These go to the server without waiting for the replies before them. */
const FLOWS: ReadonlySet<Said> = new Set(['mail', 'rcpt', 'rset', 'noop'])
const JUNK: ReadonlySet<Said> = new Set(['noop', 'rset', 'vrfy', 'expn', 'help', 'ehlo', 'helo'])
/** Words of HTTP and the like: whoever was tricked into talking to us must not be answered line by line. */
const NOT_SMTP = new Set(['GET', 'POST', 'PUT', 'HEAD', 'OPTIONS', 'CONNECT', 'DELETE', 'PATCH', 'TRACE', 'PROXY'])
/** Verbs for those who stand in front of us, and nobody does. */
const FRONT_ONLY = new Set(['XFORWARD'])

/** What the server may answer, by the first digit; anything else means that we have lost each other. */
const ANSWERS: Partial<Record<Said, string>> = { data: '345', xexch50: '2345', auth: '2345', 'x-exps': '2345', 'auth-line': '2345' }

interface Message {
  readonly content: Content
  /** Towards the server: ended by a dot, or in the client's own chunks. */
  readonly writer: DotWriter | undefined
}

type Body =
  | { readonly kind: 'dots'; readonly reader: DotReader }
  | {
      readonly kind: 'chunk'
      readonly size: number
      readonly last: boolean
      readonly reader: ChunkReader
      /** Its octets are counted off and thrown away; this is said behind them. */
      readonly refusal?: { readonly reply: Reply; readonly because: Because }
    }
  | { readonly kind: 'blob'; readonly reader: ChunkReader }

/** The steps of our own before the client's hello can be answered. */
interface Hello {
  readonly kind: 'ehlo' | 'helo'
  readonly domain: string
  /** Nobody asked: a new connection to the server is brought to where the old one was. */
  readonly replay: boolean
  readonly step: 'ehlo' | 'starttls' | 'xclient' | 'last'
}

interface Hearing {
  /** `bytes` for a reply that comes from a wire, whose text is an octet per character. */
  readonly encode?: (text: string) => Uint8Array
  readonly binary?: boolean
}

type LegState = 'none' | 'dialing' | 'up'

export class SmtpProxy {
  readonly #options: ProxyOptions
  readonly #policy: ProxyPolicy
  readonly #engine: Proxy
  readonly #situation: Situation
  readonly #fromClient = new LineSplitter()
  #fromServer = new LineSplitter()
  #replies = new ReplyReader()
  readonly #queue = new ReplyQueue()
  readonly #linkState = new FrameGatherer()
  #mode: 'pregreet' | 'talk' | 'blind' | 'closed' = 'talk'
  #phase: Phase = 'greeting'
  #recipients = 0
  #refusedRecipients = 0
  #leg: LegState = 'none'
  #greeted = false
  #handshake: Side | undefined
  #secured = { client: false, server: false }
  #told = false // by XCLIENT who the client is
  #login = false
  #hello: Hello | undefined
  #lastHello: Pick<Hello, 'kind' | 'domain'> | undefined
  #server = NO_CAPABILITIES
  #offered: Offer['keywords'] = new Map()
  /** A command that waits until every reply before its own is there, or the server is back. */
  #held: { readonly command: Sayable; readonly octets: boolean } | undefined
  /** The last thing that went to the server and must be answered before anything else does. */
  #sync: Said | undefined
  #message: Message | undefined
  #body: Body | undefined
  #chunk: { readonly size: number; readonly last: boolean } | undefined
  #blob = 0
  #errors = 0
  #junk = 0
  #ending = false
  #clientEnded = false
  #now: Instant = 0
  #openedAt: Instant = 0
  #turnAt: Instant = 0
  #askedAt: Instant = 0
  #blocked: { client?: Instant; server?: Instant } = {}
  #rate: RateClock | undefined
  #deadline: Instant | undefined
  #out: ProxyOutput[] = []

  constructor(options: ProxyOptions) {
    this.#options = options
    this.#policy = options.policy
    this.#engine = options.policy.engine
    this.#situation = { peer: options.client.address }
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
      const { verdict } = judge(this.#policy, { on: 'peer' }, this.#situation)
      if (verdict.kind !== 'pass') {
        this.#explain('session', 'PEER', NO_BYTES, NO_BYTES, verdict.because, verdict.kind)
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

  receive(from: Side, octets: Uint8Array, now: Instant): readonly ProxyOutput[] {
    return this.#run(now, () => {
      if (octets.length === 0) return
      if (this.#mode === 'blind') {
        this.#turnAt = now
        this.#write(from === 'client' ? 'server' : 'client', octets)
        return
      }
      if (this.#handshake === from) {
        // A driver that cuts what it reads found more in clear where the handshake should be.
        const change = [octets, NO_BYTES, this.#own('octets in clear where TLS begins')] as const
        this.#explain('tls', upper(from), ...change, 'drop-connection')
        if (from === 'server') return this.#lost('the server spoke in clear behind its 220')
        return this.#hangUp(reply(554, '5.5.0', 'Synchronization error: octets in clear behind STARTTLS'))
      }
      if (from === 'server') {
        this.#fromServer.push(octets)
        this.#hear()
      } else {
        this.#fromClient.push(octets)
      }
      this.#work()
    })
  }

  /** TLS stands at this side: whatever was said before it is forgotten (RFC 3207 §4.2). */
  secured(at: Side, tls: TlsFacts, now: Instant): readonly ProxyOutput[] {
    return this.#run(now, () => {
      if (this.#handshake !== at) return
      this.#handshake = undefined
      this.#sync = undefined
      this.#secured = { ...this.#secured, [at]: true }
      this.#turnAt = now
      if (at === 'client') {
        this.#fromClient.clear()
        this.#phase = 'hello'
        this.#offered = new Map()
      } else if (tls.unproven !== undefined && this.#engine.onwardTls === 'must') {
        this.#noTls(tls.unproven)
      } else {
        this.#fromServer.clear()
        this.#server = NO_CAPABILITIES
        this.#sayHello('ehlo')
      }
      this.#work()
    })
  }

  /** TLS failed at this side. The connection is of no use any more. */
  unsecured(at: Side, why: string, now: Instant): readonly ProxyOutput[] {
    return this.#run(now, () => {
      if (this.#handshake !== at) return
      this.#handshake = undefined
      this.#explain('tls', at.toUpperCase(), utf8(why), NO_BYTES, this.#own('the TLS handshake failed'), 'drop-connection')
      if (at === 'server') return this.#lost('TLS with the server failed')
      this.#close()
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

  /** The firewall is going down: say so, unless a reply is owed that would be lost. */
  stop(now: Instant): readonly ProxyOutput[] {
    return this.#run(now, () => {
      if (this.#mode === 'blind') return this.#close()
      if (this.#queue.size === 0 && !this.#body) this.#hangUp(this.#word(421, '4.3.2', 'is going down'))
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
      this.#explain('session', late.name, utf8(late.why), NO_BYTES, this.#own(late.why), 'drop-connection')
      if (late.how === 'at-once') {
        this.#abort()
        return this.#close('at-once')
      }
      this.#hangUp(this.#word(421, '4.4.2', late.why))
    })
  }

  #run(now: Instant, work: () => void): readonly ProxyOutput[] {
    this.#now = now
    this.#out = []
    if (this.#mode !== 'closed') work()
    const due = this.#clocks().map(each => each.due)
    this.#deadline = due.length === 0 ? undefined : Math.min(...due)
    return this.#out
  }

  /** Everything that is waited for now. */
  #clocks(): readonly { due: Instant; name: string; why: string; how: 'after-writes' | 'at-once' }[] {
    const { waits } = this.#engine
    const clocks: { due: Instant; name: string; why: string; how: 'after-writes' | 'at-once' }[] = []
    const wait = (since: Instant, span: Duration, name: string, why: string, how: 'after-writes' | 'at-once' = 'after-writes') =>
      clocks.push({ due: since + span, name, why, how })
    if (this.#mode === 'closed') return clocks
    if (this.#mode === 'pregreet') wait(this.#openedAt, waits.pregreet, 'PREGREET', '')
    wait(this.#openedAt, waits.session, 'SESSION', 'the session took too long')
    for (const side of ['client', 'server'] as const) {
      const since = this.#blocked[side]
      if (since !== undefined) wait(since, waits.write, 'WRITE', `the ${side} does not read`, 'at-once')
    }
    if (this.#mode === 'blind' || this.#handshake) wait(this.#turnAt, waits.command, 'IDLE', 'idle too long')
    else if (this.#serversTurn()) wait(this.#askedAt, waits.reply, 'REPLY', 'the server does not answer')
    else if (this.#body) {
      if (this.#rate?.due !== undefined) clocks.push({ due: this.#rate.due, name: 'DATA', why: 'the message comes too slowly', how: 'after-writes' })
    } else if (this.#mode === 'talk') wait(this.#turnAt, waits.command, 'COMMAND', 'idle too long')
    return clocks
  }

  #serversTurn(): boolean {
    return this.#leg === 'dialing' || this.#queue.next !== undefined
  }

  /* The client's side. */

  #work(): void {
    while (this.#mode !== 'closed' && !this.#handshake && !this.#ending) {
      if (this.#mode === 'pregreet' || this.#phase === 'greeting') return this.#talkedAhead('before the greeting')
      if (this.#body) {
        if (this.#fromClient.size === 0 && !this.#isEmptyChunk()) return
        this.#readBody(this.#body)
        continue
      }
      if (this.#held) {
        if (this.#queue.size > 0 || this.#hello || this.#chunk) return
        if (this.#leg !== 'up') {
          if (this.#leg === 'none') this.#redial()
          return
        }
        const { command, octets } = this.#held
        this.#held = undefined
        this.#forward(command, octets)
        continue
      }
      if (this.#waits()) return
      if (this.#clientEnded && this.#fromClient.size === 0 && this.#queue.size === 0) return this.#close()
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
    if (this.#hello || this.#chunk || this.#leg === 'dialing') return this.#awaits()
    if (this.#queue.size === 0) return false
    if (this.#queue.size >= MAX_OWED) return true
    if (this.#sync === undefined && offers(this.#server, 'PIPELINING')) return false
    return this.#awaits()
  }

  #awaits(): true {
    const last = this.#sync ?? 'other'
    // Of what is asked for our own sake the client knows nothing.
    if (!this.#queue.owesClient && !this.#hello) return true
    const grouped = this.#offered.has('PIPELINING') && !ENDS_ITS_GROUP.has(last) && !this.#hello
    if (last === 'starttls' || !grouped) this.#talkedAhead(last === 'other' ? 'where no group is allowed' : `behind ${upper(last)}`)
    return true
  }

  /** Octets came that should have waited: whoever puts them there hopes that somebody loses count. */
  #talkedAhead(where: string): void {
    if (this.#fromClient.size === 0) return
    const always = this.#sync === 'starttls'
    if (this.#engine.talkingAhead === 'wait' && !always) return
    const held = this.#fromClient.take(64)
    this.#explain('session', 'PIPELINING', this.#sync === 'auth' || this.#sync === 'auth-line' ? NO_BYTES : held, NO_BYTES, this.#own(`the client spoke ${where}`), 'answer')
    this.#hangUp(reply(554, '5.5.0', 'Synchronization error: speak when it is your turn'))
  }

  #take(line: Line | 'overlong'): void {
    if (line === 'overlong') {
      if (this.#phase === 'auth') return this.#cancelLogin(reply(500, '5.5.6', 'Authentication line too long'))
      return this.#refuse(reply(500, '5.5.2', 'Line too long'), 'COMMAND-LINE', NO_BYTES, 'no command is this long')
    }
    if (this.#phase === 'auth') return this.#authLine(line)
    const { bytes: octets } = line
    const isChunk = /^BDAT/i.test(text(octets, 0, 4))
    if (line.ending !== 'crlf') {
      const { verdict } = this.#judge({ on: 'octet', what: 'bare-lf' })
      if (verdict.kind !== 'normalise') {
        if (isChunk) return this.#unframed(octets)
        return this.#refuse(reply(500, '5.5.2', 'A line must end with CRLF'), 'BARE-LF', octets, 'a bare LF ends no line')
      }
      this.#explain('line-end', 'bare-lf', octets, NO_BYTES, verdict.because, 'normalise')
    }
    const command = parseCommand(octets)
    const kind = command.kind === 'garbled' ? command.verb : command.kind
    const known = kind !== 'other' && kind !== 'unreadable'
    const size = octets.length + 2
    const long = this.#judge({ on: 'size', what: 'command-line', size })
    if (long.verdict.kind !== 'pass' || size > lineLimit(known ? kind : undefined)) {
      if (isChunk) return this.#unframed(octets)
      return this.#refuse(reply(500, '5.5.2', 'Line too long'), 'COMMAND-LINE', octets, 'the line is too long for its verb', long.verdict)
    }
    switch (command.kind) {
      case 'unreadable':
        if (isChunk) return this.#unframed(octets)
        if (isHeaderLike(octets)) return this.#notSmtp(octets)
        return this.#refuse(reply(500, '5.5.2', `Not a command: ${command.wrong}`), 'UNREADABLE', octets, 'it cannot be read as a command')
      case 'other':
        return this.#other(command.verb, octets)
      case 'garbled':
        return this.#garbled(command, octets)
      default:
        return this.#command(command, octets)
    }
  }

  #other(verb: string, octets: Uint8Array): void {
    const word = upper(verb)
    if (NOT_SMTP.has(word)) return this.#notSmtp(octets)
    const { verdict } = this.#judge({ on: 'word', what: 'verb', word })
    const otherwise = FRONT_ONLY.has(word)
      ? reply(550, '5.7.0', `${word} is not for you`)
      : reply(500, '5.5.1', 'Command unrecognized')
    this.#refuse(otherwise, word, octets, 'the proxy passes on no verb that it does not understand', verdict)
  }

  #garbled({ verb, wrong }: Command & { readonly kind: 'garbled' }, octets: Uint8Array): void {
    const word = upper(verb)
    if (verb === 'bdat') return this.#unframed(octets)
    const { verdict } = this.#judge({ on: 'word', what: 'verb', word })
    const secret = verb === 'auth' || verb === 'x-exps'
    const status = verb === 'mail' ? '5.1.7' : verb === 'rcpt' ? '5.1.3' : '5.5.4'
    this.#refuse(reply(501, status, wrong), word, secret ? bytes(`${word} [secret]`) : octets, wrong, verdict)
  }

  /** The octets of a chunk of unknown size cannot be told from commands: there is no going on. */
  #unframed(octets: Uint8Array): void {
    this.#explain('command', 'BDAT', octets, NO_BYTES, this.#own('a chunk without a size leaves the stream without frames'), 'answer')
    this.#answer(reply(501, '5.5.4', 'BDAT size [LAST] was expected'), true)
  }

  #notSmtp(octets: Uint8Array): void {
    this.#explain('session', 'NOT-SMTP', octets, NO_BYTES, this.#own('this is another protocol'), 'drop-connection')
    this.#answer(this.#word(421, '4.7.0', 'speaks SMTP'), true)
  }

  #command(command: Exclude<Command, { kind: 'other' | 'garbled' | 'unreadable' }>, octets: Uint8Array): void {
    const what = said(command)
    const verb = upper(command.kind)
    // A chunk is framed whatever becomes of it: its octets as commands would be an attack (RFC 3030 §2).
    if (command.kind === 'bdat') {
      this.#sync = what
      return this.#hold(command, true)
    }
    const { verdict } = this.#judge({ on: 'word', what: 'verb', word: verb })
    if (verdict.kind !== 'pass') return this.#refuse(reply(502, '5.5.1', `${verb} is not available`), verb, octets, '', verdict)
    const argument = octets.subarray(verb.length + 1)
    const worded = this.#judge({ on: 'text', what: 'argument', text: argument }).verdict
    if (worded.kind !== 'pass') return this.#refuse(reply(501, '5.5.4', 'Not accepted'), verb, octets, '', worded)
    const phases = this.#queue.phasesFrom(this.#phase)
    if (![...phases].some(phase => may(phase, what))) return this.#outOfPlace(what, octets)
    if (JUNK.has(what) && this.#tooMuchJunk()) return
    switch (command.kind) {
      case 'ehlo':
      case 'helo':
        return this.#greet(command, octets)
      case 'mail':
        return this.#mail(command, octets)
      case 'rcpt':
        return this.#rcpt(command, octets)
      case 'vrfy':
        return this.#local(reply(252, '2.1.5', 'Cannot verify; send some mail and see'), verb, octets)
      case 'help':
        return this.#local(reply(214, '2.0.0', 'See RFC 5321'), verb, octets)
      case 'noop':
        // The server is in the middle of a message that the client sends in chunks.
        if (this.#message?.writer) return this.#local(reply(250, '2.0.0', 'Ok'), verb, octets)
        return this.#pass({ kind: 'noop', argument: '' }, octets)
      case 'auth':
      case 'x-exps':
        return this.#auth(command)
      case 'starttls':
        return this.#startTls(octets)
      case 'x-link2state': {
        const gathered = this.#linkState.take(command)
        if (gathered.kind === 'refused') {
          return this.#refuse(reply(gathered.code, '5.5.2', gathered.why), verb, octets, gathered.why)
        }
        return this.#pass(command, octets)
      }
      case 'xexch50':
        if (command.size > MAX_EXCH50) return this.#refuse(reply(552, '5.3.4', 'Too large'), verb, octets, `more than ${MAX_EXCH50} octets`)
        return this.#pass(command, octets)
      case 'xclient':
        return this.#refuse(reply(550, '5.7.0', `${verb} is not for you`), verb, octets, 'nobody stands in front of us')
      case 'rset':
        this.#linkState.drop()
        return this.#pass(command, octets)
      default:
        return this.#pass(command, octets)
    }
  }

  #outOfPlace(what: Said, octets: Uint8Array): void {
    const word = upper(what)
    const needs = { hello: 'EHLO', ready: 'MAIL', mail: 'RCPT' }[this.#phase as string]
    const wording = needs && (needs === 'EHLO' || /^(RCPT|DATA|BDAT|LAST-CHUNK)$/.test(word)) ? `Send ${needs} first` : `${word} may not come now`
    const secret = what === 'auth' || what === 'x-exps'
    this.#refuse(reply(503, '5.5.1', wording), word, secret ? bytes(`${word} [secret]`) : octets, 'it is not the time for it')
  }

  #greet(command: Command & { readonly kind: 'ehlo' | 'helo' }, octets: Uint8Array): void {
    const name = utf8(command.domain)
    const size = this.#judge({ on: 'size', what: 'hello', size: name.length }).verdict
    const looks = this.#judge({ on: 'text', what: 'hello', text: name }).verdict
    const verdict = size.kind !== 'pass' ? size : looks
    if (command.domain === '' || !isAscii(command.domain) || verdict.kind !== 'pass') {
      return this.#refuse(reply(501, '5.5.4', 'Who are you?'), upper(command.kind), octets, 'one word of ASCII names the client', verdict)
    }
    this.#pass(command, octets)
  }

  #mail(command: Command & { readonly kind: 'mail' }, octets: Uint8Array): void {
    const { from } = command
    const refused = from && this.#address('sender', from, octets)
    if (refused) return this.#refuse(reply(550, '5.7.1', 'Sender refused'), 'SENDER', octets, '', refused)
    if (this.#engine.tls === 'require' && !this.#secured.client) {
      return this.#refuse(reply(530, '5.7.0', 'Must issue a STARTTLS command first'), 'MAIL', octets, 'no mail without TLS')
    }
    const params = this.#keptParams(command.params)
    const read = readParams('mail', params, this.#offered)
    if ('refusal' in read) return this.#refuse(read.refusal, 'MAIL', octets, 'the client was not offered this')
    const size = read.facts?.size ?? 0
    const large = [this.#judge({ on: 'size', what: 'declared-size', size }), this.#judge({ on: 'size', what: 'message', size })]
    const tooLarge = large.find(each => each.verdict.kind !== 'pass')
    if (tooLarge) return this.#refuse(reply(552, '5.3.4', 'Message size exceeds the limit'), 'SIZE', octets, '', tooLarge.verdict)
    if (from && !isAscii(from.local + from.domain) && !read.facts?.smtputf8) {
      return this.#refuse(reply(553, '5.6.7', 'An address outside ASCII needs SMTPUTF8'), 'MAIL', octets, 'SMTPUTF8 was not asked for')
    }
    this.#pass({ ...command, from: from && this.#masquerade(from), params }, octets)
  }

  #rcpt(command: Command & { readonly kind: 'rcpt' }, octets: Uint8Array): void {
    const { to } = command
    const refused = this.#address('recipient', to, octets)
    if (refused) return this.#refuse(reply(550, '5.7.1', `Unable to relay for ${formatMailbox(to)}`), 'RECIPIENT', octets, '', refused)
    const relay = this.#judge({ on: 'relay', domain: lower(to.domain) }).verdict
    if (relay.kind !== 'pass' && !this.#login) {
      return this.#refuse(reply(550, '5.7.1', `Unable to relay for ${formatMailbox(to)}`), 'RELAY', octets, '', relay)
    }
    const params = this.#keptParams(command.params)
    const read = readParams('rcpt', params, this.#offered)
    if ('refusal' in read) return this.#refuse(read.refusal, 'RCPT', octets, 'the client was not offered this')
    if (!isAscii(to.local + to.domain) && !this.#offered.has('SMTPUTF8')) {
      return this.#refuse(reply(553, '5.6.7', 'An address outside ASCII needs SMTPUTF8'), 'RCPT', octets, 'SMTPUTF8 is not offered')
    }
    const size = this.#recipients + this.#queue.count('rcpt') + 1
    const { verdict } = this.#judge({ on: 'size', what: 'recipients', size })
    if (verdict.kind === 'strip') {
      this.#explain('command', 'RECIPIENTS', octets, NO_BYTES, verdict.because, 'strip')
      return this.#answer(reply(250, '2.1.5', 'Ok'))
    }
    if (verdict.kind !== 'pass') {
      // Not an error of the client's: the rest are to come in another transaction (RFC 5321 §4.5.3.1.10).
      this.#explain('command', 'RECIPIENTS', octets, NO_BYTES, verdict.because, verdict.kind)
      if (verdict.kind !== 'answer') return this.#endAs(verdict.kind)
      return this.#answer(wordsOf(verdict), verdict.close ?? false)
    }
    this.#pass({ ...command, params }, octets)
  }

  /** What the policy has against an address, in whatever way it was written. */
  #address(of: 'sender' | 'recipient', mailbox: Mailbox, octets: Uint8Array): Exclude<Verdict, { kind: 'pass' }> | undefined {
    const written = utf8(writtenPath(octets) ?? formatMailbox(mailbox))
    const { local } = mailbox
    const verdicts = [
      this.#judge({ on: 'text', what: of, text: written }).verdict,
      this.#judge({ on: 'size', what: of, size: utf8(formatMailbox(mailbox)).length }).verdict,
      ...(/[|`\0]/.test(local) ? [this.#judge({ on: 'octet', what: 'special' }).verdict] : []),
      ...(local.includes('|') ? [this.#judge({ on: 'octet', what: 'pipe' }).verdict] : []),
      ...(/[<>]/.test(local) ? [this.#judge({ on: 'octet', what: 'stray-bracket' }).verdict] : []),
    ]
    return verdicts.find(verdict => verdict.kind !== 'pass') as Exclude<Verdict, { kind: 'pass' }> | undefined
  }

  #keptParams(params: Params): Params {
    return params.filter(({ keyword }) => this.#judge({ on: 'word', what: 'param', word: keyword }).verdict.kind !== 'strip')
  }

  #masquerade(from: Mailbox): Mailbox {
    const shown = this.#engine.masquerade.get(lower(from.domain))
    return shown === undefined ? from : { ...from, domain: shown }
  }

  /** Answered here, because the server need not hear of it. */
  #local(answer: Reply, verb: string, octets: Uint8Array): void {
    const own = this.#own('answered here; the server need not hear of it')
    if (verb !== 'NOOP') this.#explain('command', verb, octets, NO_BYTES, own, 'answer')
    this.#answer(answer)
  }

  #auth(command: Command & { readonly kind: 'auth' | 'x-exps' }): void {
    const word = upper(command.kind)
    const shown = bytes(`${word} ${command.mechanism}${command.initial === undefined ? '' : ' [secret]'}`)
    if (this.#login) return this.#refuse(reply(503, '5.5.1', 'Already authenticated'), word, shown, 'one login is enough')
    const mechanisms = this.#offered.get(word)
    if (!mechanisms) {
      const inClear = !this.#secured.client && !this.#engine.authInClear
      const wording = inClear ? reply(538, '5.7.11', 'Encryption required for authentication') : reply(502, '5.5.1', `${word} is not available`)
      return this.#refuse(wording, word, shown, 'the client was not offered this')
    }
    if (!mechanisms.some(each => upper(each) === command.mechanism)) {
      return this.#refuse(reply(504, '5.5.4', 'Authentication mechanism not supported'), word, shown, 'the client was not offered this')
    }
    this.#pass(command, shown)
  }

  #authLine({ bytes: octets, ending }: Line): void {
    const line = text(octets)
    if (ending !== 'crlf' || !/^(?:\*|[A-Za-z0-9+/]*={0,2})$/.test(line)) {
      return this.#cancelLogin(reply(501, '5.5.2', 'base64 was expected'))
    }
    this.#write('server', bytes(`${line}\r\n`))
    this.#ask('auth-line')
  }

  /** The server is told that the login is over; the client hears why. */
  #cancelLogin(instead: Reply): void {
    this.#errors++
    this.#write('server', bytes('*\r\n'))
    this.#ask('auth-line', { instead })
  }

  #startTls(octets: Uint8Array): void {
    const { canSecure } = this.#options
    if (this.#secured.client) return this.#refuse(reply(503, '5.5.1', 'TLS is on already'), 'STARTTLS', octets, 'once is enough')
    if (this.#login) return this.#refuse(reply(503, '5.5.1', 'TLS comes before the login'), 'STARTTLS', octets, 'a login made in clear must not outlive it')
    if (passesTls(this.#engine, { canSecure })) {
      if (this.#offered.has('STARTTLS')) return this.#pass({ kind: 'starttls' }, octets)
    } else if (this.#engine.tls !== 'off' && canSecure) {
      return this.#hold({ kind: 'starttls' }, false)
    }
    this.#refuse(reply(502, '5.5.1', 'STARTTLS is not available'), 'STARTTLS', octets, 'the client was not offered this')
  }

  /** Towards the server, in its turn, said anew. */
  #pass(command: Sayable, octets: Uint8Array): void {
    // A frame of link state has an octet per character, whatever they spell.
    const isText = command.kind !== 'x-link2state' && strictUtf8(octets) !== undefined
    const line = formatCommand(command, isText ? utf8 : bytes)
    if (!line) return this.#refuse(reply(501, '5.5.2', 'Not to be said'), upper(command.kind), octets, 'it holds a line end')
    const secret = command.kind === 'auth' || command.kind === 'x-exps'
    if (!secret && !equal(line.subarray(0, -2), octets)) {
      this.#explain('command', upper(command.kind), octets, line.subarray(0, -2), this.#own('commands are said anew, in one form'), 'replace')
    }
    this.#hold(command, !isText)
  }

  #hold(command: Sayable, octets: boolean): void {
    if (FLOWS.has(said(command)) && this.#leg === 'up' && !this.#message) return this.#forward(command, octets)
    this.#sync = said(command)
    this.#held = { command, octets }
  }

  /** The server is there, and it is this command's turn. */
  #forward(command: Sayable, octets: boolean): void {
    const what = said(command)
    this.#sync = FLOWS.has(what) ? undefined : what
    if (command.kind === 'bdat') return this.#bdat(command)
    // What was allowed when it came may not be any more, by what the server has answered since.
    const binaryByDot = what === 'data' && this.#binary // a dot cannot end it (RFC 3030 §3)
    if (!FLOWS.has(what) && (!may(this.#phase, what) || binaryByDot)) return this.#outOfPlace(what, NO_BYTES)
    if (this.#message?.writer && (what === 'rset' || what === 'quit' || what === 'ehlo' || what === 'helo')) {
      // The server takes a message that will never end. Only the end of its connection ends it.
      this.#drop()
      if (what === 'rset') return this.#answer(reply(250, '2.0.0', 'Ok'))
      if (what === 'quit') return this.#answer(reply(221, '2.0.0', `${this.#options.host} closing connection`), true)
      this.#held = { command, octets }
      return
    }
    if (command.kind === 'ehlo' || command.kind === 'helo') return this.#begin(command, false)
    if (command.kind === 'starttls' && !passesTls(this.#engine, this.#options)) {
      if (this.#fromClient.size > 0) return this.#talkedAhead('behind STARTTLS')
      this.#say(reply(220, '2.0.0', 'Ready to start TLS'))
      this.#handshake = 'client'
      this.#out.push({ kind: 'start-tls', at: 'client' })
      return
    }
    if (command.kind === 'xexch50') this.#blob = command.size
    const line = formatCommand(command, octets ? bytes : utf8)
    if (line) this.#write('server', line)
    this.#ask(what, { binary: isBinary(command) })
  }

  #ask(what: Said, more: { readonly instead?: Reply; readonly binary?: boolean } = {}): void {
    if (this.#queue.next === undefined) this.#askedAt = this.#now
    this.#queue.push({ kind: 'server', said: what, ...more })
    if (!FLOWS.has(what)) this.#sync = what
  }

  /* Messages. */

  #bdat({ size, last }: { readonly size: number; readonly last: boolean }): void {
    const what = last ? 'last-chunk' : 'bdat'
    const chunk = { kind: 'chunk', size, last, reader: new ChunkReader(size) } as const
    const { verdict } = this.#judge({ on: 'word', what: 'verb', word: 'BDAT' })
    const refuse = (wording: Reply, because: Because) => {
      this.#body = { ...chunk, refusal: { reply: wording, because } }
      this.#startClock()
    }
    if (verdict.kind !== 'pass') {
      return refuse(verdict.kind === 'answer' ? wordsOf(verdict) : reply(502, '5.5.1', 'BDAT is not available'), verdict.because)
    }
    if (!may(this.#phase, what)) {
      const needs = this.#phase === 'mail' ? 'RCPT' : this.#phase === 'hello' ? 'EHLO' : 'MAIL'
      return refuse(reply(503, '5.5.1', `Send ${needs} first`), this.#own('it is not the time for it'))
    }
    if (!this.#offered.has('CHUNKING')) {
      return refuse(reply(502, '5.5.1', 'BDAT is not available'), this.#own('the client was not offered this'))
    }
    if (size < SMALL_CHUNK && !last && this.#tooMuchJunk()) return
    if (!this.#message) {
      // Only what is binary needs chunks. All else goes on as the one form that leaves no doubt where a line ends.
      if (!this.#binary) {
        this.#explain('command', 'BDAT', bytes(`BDAT ${size}`), bytes('DATA'), this.#own('chunks go on as DATA'), 'replace')
        this.#chunk = { size, last }
        this.#write('server', bytes('DATA\r\n'))
        this.#queue.push({ kind: 'ours', said: 'data' })
        this.#askedAt = this.#now
        return
      }
      this.#beginMessage(false)
    }
    if (!this.#message?.writer) this.#write('server', bytes(`BDAT ${size}${last ? ' LAST' : ''}\r\n`))
    this.#body = chunk
    this.#startClock()
  }

  #binary = false

  get #editor(): (() => Editor) | undefined {
    return this.#options.editor
  }

  #beginMessage(asData: boolean): void {
    const editor = this.#binary ? undefined : this.#editor?.()
    this.#message = {
      content: new Content(this.#policy, this.#situation, { binary: this.#binary, editor }),
      writer: asData ? new DotWriter() : undefined,
    }
  }

  #startClock(): void {
    const { waits, minDataRate } = this.#engine
    this.#rate ??= new RateClock(waits.data, minDataRate, this.#now)
    if (this.#blocked.server !== undefined) this.#rate.stop(this.#now)
  }

  #isEmptyChunk(): boolean {
    return this.#body !== undefined && this.#body.kind !== 'dots' && this.#body.reader.left === 0
  }

  #readBody(body: Body): void {
    this.#turnAt = this.#now
    if (body.kind === 'dots') {
      const came = this.#fromClient.take()
      this.#rate?.count(came.length, this.#now)
      const { content, rest } = body.reader.push(came)
      // As one piece: a message of nothing but dots must not become a million of them.
      this.#content(concat(content))
      if (rest === undefined) return
      if (rest.length > 0) this.#fromClient.push(rest)
      this.#endBody()
      return this.#endMessage('end-of-body')
    }
    const came = this.#fromClient.take(body.reader.left)
    this.#rate?.count(came.length, this.#now)
    body.reader.push(came)
    if (body.kind === 'blob') {
      this.#write('server', came)
      if (body.reader.left > 0) return
      this.#endBody()
      return this.#ask('xexch50')
    }
    if (!body.refusal) this.#content(came)
    if (body.reader.left > 0) return
    this.#endBody()
    this.#endChunk(body)
  }

  #endBody(): void {
    this.#body = undefined
    this.#rate = undefined
  }

  #content(piece: Uint8Array): void {
    const message = this.#message
    if (!message) return
    const had = message.content.fault
    const out = message.content.push(piece)
    this.#goOn(message, out)
    if (!had && message.content.fault) this.#abort()
  }

  #goOn({ content, writer }: Message, out: readonly Uint8Array[]): void {
    for (const explanation of content.altered()) this.#out.push({ kind: 'altered', explanation })
    if (this.#leg !== 'up') return
    const octets = writer ? out.flatMap(each => writer.push(each)) : out
    if (octets.length > 0) this.#write('server', concat(octets))
  }

  #endChunk({ size, last, refusal }: Body & { readonly kind: 'chunk' }): void {
    if (refusal) {
      const change = bytes(`BDAT ${size}${last ? ' LAST' : ''}`)
      this.#explain('command', 'BDAT', change, NO_BYTES, refusal.because, 'answer')
      return this.#mistake(refusal.reply)
    }
    if (last) return this.#endMessage('last-chunk')
    const message = this.#message
    if (this.#broken()) return
    if (!message?.writer) return this.#ask('bdat')
    this.#phase = after(this.#phase, 'bdat', 250)
    this.#answer(reply(250, '2.0.0', `${size} octets received`))
    this.#sync = undefined
  }

  #endMessage(what: 'end-of-body' | 'last-chunk'): void {
    const message = this.#message
    if (!message) return
    const had = message.content.fault
    this.#goOn(message, message.content.end())
    if (!had && message.content.fault) this.#abort()
    if (this.#broken()) return
    if (message.writer) this.#write('server', message.writer.end())
    this.#ask(what)
  }

  /** The server replied before the message was over, or its connection had to be given up: said behind the real end. */
  #early: Reply | undefined

  /** Is something wrong with the message? Then it is over, and so is its transaction. */
  #broken(): boolean {
    const fault = this.#message?.content.fault
    const early = this.#early
    if (!fault && !early) return false
    if (fault) this.#out.push({ kind: 'altered', explanation: fault.explanation })
    this.#drop()
    this.#mistake(fault?.reply ?? early ?? reply(451, '4.3.0', 'The server gave up'))
    return true
  }

  /** The transaction is over, and with it the server's connection if the server does not know. */
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
    this.#secured = { ...this.#secured, server: false }
    this.#told = false
    this.#gaveUpTls = false
    delete this.#blocked.server
  }

  /* The server's side. */

  #dial(): void {
    this.#leg = 'dialing'
    this.#askedAt = this.#now
    this.#out.push({ kind: 'dial' })
  }

  /** A new connection to the server, brought to where the old one was. What was proved on the old one is gone. */
  #redial(): void {
    if (this.#held?.command.kind === 'quit') return this.#answer(reply(221, '2.0.0', `${this.#options.host} closing connection`), true)
    if (this.#login) return this.#hangUp(this.#word(421, '4.3.2', 'log in again'))
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
    if (!(ANSWERS[owed.said] ?? '245').includes(String(digit(answer)))) return this.#confused('a reply to something else', String(answer.code))
    this.#turnAt = this.#now
    if (owed.kind === 'ours') this.#heardForUs(owed.said, answer)
    else if (owed.said === 'connect') this.#heardGreeting(answer)
    else if (this.#hello && (owed.said === 'ehlo' || owed.said === 'helo')) this.#heardHello(answer)
    else if (owed.instead) this.#heardFor(owed.said, owed.instead, answer.code)
    else this.#heardFor(owed.said, answer, answer.code, { encode: bytes, binary: owed.binary === true })
    this.#flush()
  }

  #heardFor(what: Said, answer: Reply, code: number, { encode = utf8, binary = false }: Hearing = {}): void {
    if (this.#queue.size === 0) this.#sync = undefined
    const was = this.#phase
    this.#phase = after(this.#phase, what, code)
    const first = Math.floor(code / 100)
    if (what === 'rcpt') {
      if (first === 2) this.#recipients++
      else this.#refusedRecipients++
    }
    if ((what === 'auth' || what === 'x-exps' || what === 'auth-line') && first === 2) this.#login = true
    if (first === 4 || first === 5) this.#errors++
    if (this.#phase === 'ready' && was !== 'ready') this.#forget()
    if (what === 'mail' && first === 2) {
      this.#forget()
      this.#binary = binary
    }
    if ((what === 'end-of-body' || what === 'last-chunk') && first === 2) this.#junk = 0
    this.#say(answer, encode)
    if (this.#phase === 'closed') return this.#close()
    if (this.#phase === 'tls') return this.#goBlind()
    if (what === 'data' && first === 3) {
      this.#beginMessage(true)
      this.#body = { kind: 'dots', reader: new DotReader() }
      this.#startClock()
    }
    if (what === 'xexch50' && first === 3) {
      this.#body = { kind: 'blob', reader: new ChunkReader(this.#blob) }
      this.#startClock()
    }
    if (what === 'bdat' && first !== 2) this.#resetServer()
    const guesses = what === 'rcpt' && first !== 2 && this.#spent('invalid-recipients', this.#refusedRecipients)
    if (guesses || this.#errorsUp()) this.#hangUp(this.#word(421, '4.7.0', 'too many errors'))
  }

  #heardForUs(what: Said, answer: Reply): void {
    if (what === 'connect') {
      if (digit(answer) !== 2) return this.#lost('the server refused to go on')
      if (this.#lastHello) this.#begin(this.#lastHello, true)
      return
    }
    if (what === 'starttls' || what === 'other') return this.#heardHello(answer)
    if (what === 'rset') {
      if (digit(answer) !== 2) this.#abort()
      this.#forget()
      this.#phase = 'ready'
      return
    }
    if (what !== 'data') return
    const chunk = this.#chunk
    this.#chunk = undefined
    if (!chunk) return
    const body = { kind: 'chunk', ...chunk, reader: new ChunkReader(chunk.size) } as const
    if (digit(answer) === 3) {
      this.#beginMessage(true)
      this.#body = body
    } else {
      this.#body = { ...body, refusal: { reply: answer, because: this.#own('the server refused DATA') } }
      this.#resetServer()
    }
    this.#startClock()
  }

  /** After a chunk that was refused servers differ in what is left of the transaction (RFC 3030 §2): so nothing shall be. */
  #resetServer(): void {
    this.#message = undefined
    this.#write('server', bytes('RSET\r\n'))
    this.#queue.push({ kind: 'ours', said: 'rset' })
  }

  #heardGreeting(answer: Reply): void {
    this.#greeted = true
    this.#phase = after(this.#phase, 'connect', answer.code)
    const { name } = this.#engine
    const { verdict } = this.#judge({ on: 'greeting' })
    const shown = digit(answer) !== 2 ? answer : verdict.kind === 'replace' ? { ...answer, text: [verdict.by] } : name === undefined ? answer : { ...answer, text: [`${name} ESMTP`] }
    if (shown !== answer) {
      const because = verdict.kind === 'replace' ? verdict.because : this.#own('the server is called otherwise here')
      this.#explain('greeting', '', formatReply(answer, bytes), formatReply(shown, bytes), because, 'replace')
    }
    this.#say(shown, bytes)
    if (this.#phase === 'closed') this.#close()
  }

  /* Hello: the client's, and the steps of ours before it can be answered. */

  #begin({ kind, domain }: Pick<Hello, 'kind' | 'domain'>, replay: boolean): void {
    const needsEhlo = kind === 'ehlo' || this.#wantsTls() || this.#wantsXclient()
    this.#hello = { kind, domain, replay, step: needsEhlo ? 'ehlo' : 'last' }
    this.#linkState.drop()
    this.#sayHello(needsEhlo ? 'ehlo' : 'helo')
  }

  #wantsTls(): boolean {
    const wanted = this.#engine.onwardTls !== 'never' && !passesTls(this.#engine, this.#options)
    return wanted && !this.#secured.server && !this.#gaveUpTls
  }

  #wantsXclient(): boolean {
    return this.#engine.xclient && !this.#told
  }

  #sayHello(kind: 'ehlo' | 'helo'): void {
    const line = formatCommand({ kind, domain: this.#hello?.domain ?? this.#options.host })
    if (!line) return this.#lost('no name to say')
    this.#write('server', line)
    this.#queue.push({ kind: 'server', said: kind })
    this.#askedAt = this.#now
  }

  #step(step: Hello['step']): void {
    if (this.#hello) this.#hello = { ...this.#hello, step }
  }

  #heardHello(answer: Reply): void {
    const hello = this.#hello
    if (!hello) return
    const good = digit(answer) === 2
    switch (hello.step) {
      case 'ehlo': {
        if (good) {
          this.#server = readCapabilities(answer)
          // Whoever asked for this hello, it ended the server's transaction.
          if (this.#phase !== 'hello') this.#phase = 'ready'
          this.#forget()
        }
        if (this.#wantsTls()) {
          if (good && offers(this.#server, 'STARTTLS')) {
            this.#step('starttls')
            this.#write('server', bytes('STARTTLS\r\n'))
            this.#queue.push({ kind: 'ours', said: 'starttls' })
            return
          }
          if (this.#engine.onwardTls === 'must') return this.#noTls('the server does not offer TLS')
        }
        const xclient = good && this.#wantsXclient() ? this.#xclient(hello) : undefined
        if (xclient) {
          this.#step('xclient')
          this.#write('server', xclient)
          this.#queue.push({ kind: 'ours', said: 'other' })
          return
        }
        if (hello.kind === 'helo') {
          this.#step('last')
          return this.#sayHello('helo')
        }
        return this.#concludeHello(hello, answer)
      }
      case 'starttls':
        if (answer.code !== 220) {
          if (this.#engine.onwardTls === 'must') return this.#noTls('the server refused TLS')
          const why = this.#own('the server refused TLS, which is not required')
          this.#explain('tls', 'SERVER', formatReply(answer, bytes), NO_BYTES, why, 'log')
          this.#gaveUpTls = true
          this.#step('ehlo')
          return this.#sayHello('ehlo')
        }
        // What came in clear behind the 220 would be read inside TLS (CVE-2021-38371).
        if (this.#fromServer.size > 0) {
          this.#explain('tls', 'SERVER', this.#fromServer.take(64), NO_BYTES, this.#own('the server spoke in clear behind its 220'), 'reset')
          return this.#lost('the server spoke in clear behind its 220')
        }
        this.#step('ehlo')
        this.#handshake = 'server'
        this.#turnAt = this.#now
        this.#out.push({ kind: 'start-tls', at: 'server' })
        return
      case 'xclient':
        this.#told = true
        this.#step('ehlo')
        return this.#sayHello('ehlo')
      default:
        return this.#concludeHello(hello, answer)
    }
  }

  #gaveUpTls = false

  #noTls(why: string): void {
    this.#explain('tls', 'SERVER', utf8(why), NO_BYTES, this.#own('no mail goes on without TLS'), 'answer')
    this.#hangUp(this.#word(421, '4.7.0', why))
  }

  #concludeHello({ kind, domain, replay }: Hello, answer: Reply): void {
    this.#hello = undefined
    if (replay) {
      if (digit(answer) !== 2) return this.#lost('the server refused our hello')
      return
    }
    if (digit(answer) !== 2) return this.#heardFor(kind, answer, answer.code, { encode: bytes })
    this.#lastHello = { kind, domain }
    if (kind === 'helo') {
      this.#server = NO_CAPABILITIES
      this.#offered = new Map()
      const { name } = this.#engine
      return this.#heardFor(kind, name === undefined ? answer : { ...answer, text: [name] }, answer.code, { encode: bytes })
    }
    const offer = makeOffer(answer, this.#policy, this.#situation, {
      secured: this.#secured.client,
      canSecure: this.#options.canSecure && (this.#engine.tls === 'terminate' || this.#engine.tls === 'require'),
      loggedIn: this.#login,
      edits: this.#editor !== undefined,
    })
    this.#offered = offer.keywords
    for (const explanation of offer.altered) this.#out.push({ kind: 'altered', explanation })
    this.#heardFor(kind, offer.reply, answer.code, { encode: bytes })
  }

  /** Who the client is, for a server that asks to be told: its values go as xtext, and none with a line end at all. */
  #xclient({ domain, kind }: Hello): Uint8Array | undefined {
    const { address, port, name } = this.#options.client
    const wanted = this.#server.keywords.get('XCLIENT') ?? []
    const known: Readonly<Record<string, string>> = {
      NAME: name ?? '[UNAVAILABLE]',
      ADDR: address.includes(':') ? `IPV6:${address}` : address,
      PORT: port === undefined ? '[UNAVAILABLE]' : String(port),
      PROTO: kind === 'ehlo' ? 'ESMTP' : 'SMTP',
      HELO: domain,
    }
    const attributes = wanted.flatMap(attribute => {
      const value = known[upper(attribute)]
      if (value === undefined) return []
      return [{ keyword: upper(attribute), value: /[\r\n\0]/.test(value) ? '[UNAVAILABLE]' : value }]
    })
    return attributes.length === 0 ? undefined : formatCommand({ kind: 'xclient', attributes })
  }

  /** From here on both sides talk under a cover that we do not lift. */
  #goBlind(): void {
    if (this.#fromServer.size > 0) return this.#lost('the server spoke in clear behind its 220')
    this.#explain('tls', 'STARTTLS', bytes('STARTTLS'), bytes('STARTTLS'), this.#own('client and server encrypt end to end: from here on nothing is seen, and no rule holds'), 'log')
    this.#mode = 'blind'
    this.#turnAt = this.#now
  }

  /* What goes wrong. */

  /** A reply that nobody asked for. */
  #unasked(answer: Reply): void {
    const refuses = digit(answer) === 4 || digit(answer) === 5
    if (this.#body && this.#message && refuses) {
      this.#early ??= answer
      return this.#abort()
    }
    this.#confused('a reply to nothing', String(answer.code))
  }

  /** The server and we have lost each other: whose reply is whose cannot be told any more. */
  #confused(fault: string, line: string): void {
    this.#explain('reply', 'SERVER', utf8(line.slice(0, 64)), NO_BYTES, this.#own(`the server's replies cannot be followed: ${fault}`), 'reset')
    this.#lost('the server cannot be understood')
  }

  /** No server any more. Nothing that it did not acknowledge is acknowledged. */
  #lost(why: string): void {
    this.#explain('session', 'SERVER', utf8(why), NO_BYTES, this.#own(why), 'drop-connection')
    this.#hangUp(this.#word(421, '4.4.2', 'the server is not available'))
  }

  #refuse(otherwise: Reply, subject: string, octets: Uint8Array, reason: string, verdict: Verdict = { kind: 'pass' }): void {
    const because = verdict.kind === 'pass' ? this.#own(reason) : verdict.because
    const kind = verdict.kind === 'drop-connection' || verdict.kind === 'reset' ? verdict.kind : 'answer'
    this.#explain('command', subject, octets, NO_BYTES, because, kind)
    if (kind !== 'answer') return this.#endAs(kind)
    const closes = verdict.kind === 'answer' && verdict.close === true
    this.#mistake(verdict.kind === 'answer' ? wordsOf(verdict) : otherwise, closes)
  }

  #mistake(wording: Reply, closes = false): void {
    this.#errors++
    this.#sync = undefined
    this.#answer(wording, closes)
    if (!closes && this.#errorsUp()) this.#answer(this.#word(421, '4.7.0', 'too many errors'), true)
  }

  #errorsUp(): boolean {
    return this.#spent('errors', this.#errors)
  }

  #tooMuchJunk(): boolean {
    if (!this.#spent('junk', ++this.#junk)) return false
    this.#answer(this.#word(421, '4.7.0', 'too many commands that bring no mail'), true)
    return true
  }

  #spent(what: 'errors' | 'junk' | 'invalid-recipients', size: number): boolean {
    const { verdict } = this.#judge({ on: 'size', what, size })
    if (verdict.kind === 'pass') return false
    this.#explain('session', upper(what), bytes(String(size)), NO_BYTES, verdict.because, verdict.kind)
    return true
  }

  #endAs(kind: 'drop-connection' | 'reset' | Action['kind']): void {
    this.#abort()
    this.#close(kind === 'reset' ? 'at-once' : 'after-writes')
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

  #judge(subject: Subject): { readonly verdict: Verdict } {
    const { verdict, logged } = judge(this.#policy, subject, this.#situation)
    for (const because of logged) this.#explain('command', '', NO_BYTES, NO_BYTES, because, 'log')
    return { verdict }
  }

  #explain(what: What, subject: string, before: Uint8Array, after: Uint8Array, because: Because, did: Explanation['did']): void {
    this.#out.push({ kind: 'altered', explanation: explain(what, subject, { before, after }, because, did) })
  }

  #own(reason: string): Because {
    return { policy: this.#policy.name, cause: this.#policy.cause, reason, log: false, label: '' }
  }

  #word(code: number, status: string, why: string): Reply {
    return reply(code, status, `${this.#options.host} ${why}, closing connection`)
  }
}

function isBinary(command: Sayable): boolean {
  return command.kind === 'mail' && upper(param(command.params, 'BODY')?.value ?? '') === 'BINARYMIME'
}

function wordsOf({ reply: { code, status, text: words } }: Verdict & { readonly kind: 'answer' }): Reply {
  return reply(code, status, words)
}

/** The path as the client wrote it, without < and >: a source route, quotes and all. */
function writtenPath(octets: Uint8Array): string | undefined {
  const line = strictUtf8(octets) ?? text(octets)
  const [open, close] = [line.indexOf('<'), line.lastIndexOf('>')]
  return open >= 0 && close > open ? line.slice(open + 1, close) : undefined
}

/** `Host: x`: what a browser sends behind its first line. */
function isHeaderLike(octets: Uint8Array): boolean {
  return /^[A-Za-z-]{1,64}:/.test(text(octets, 0, 66))
}
