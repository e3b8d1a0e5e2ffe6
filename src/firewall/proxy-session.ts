import { bytes, upper, utf8 } from '../base/bytes.ts'
import type { Instant } from '../base/time.ts'
import type { Phase, Said } from '../smtp/dialogue.ts'
import { LineSplitter } from '../smtp/line.ts'
import { FrameGatherer } from '../smtp/link2state.ts'
import { formatReply, type Reply, ReplyReader, reply } from '../smtp/reply.ts'
import type { Side } from './inspector.ts'
import type { Proxying } from './policy.ts'
import type { RateClock } from './proxy-clock.ts'
import { type Client, type Hello, HelloSteps } from './proxy-hello.ts'
import type { Body, Message } from './proxy-message.ts'
import { type Offer, passesTls } from './proxy-offer.ts'
import { ReplyQueue } from './proxy-queue.ts'
import { type ProxyPolicy, type Refusal, Rules } from './proxy-rules.ts'
import { Rates } from './rates.ts'
import type { Because, Explanation } from './verdict.ts'

/** `at-once`: what was written need not arrive. `said`: it must, and whoever is there has said the last word. */
export type Closing = 'after-writes' | 'at-once' | 'said'

export type ProxyOutput =
  | { readonly kind: 'write'; readonly to: Side; readonly bytes: Uint8Array }
  /** Begin TLS: as its server at the client, as its client at the server. Answered by `secured` or `unsecured`. */
  | { readonly kind: 'start-tls'; readonly at: Side }
  | { readonly kind: 'close'; readonly at: Side; readonly how: Closing }
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
  /** How fast what a rule matched may go on: shared by all connections of one firewall. */
  readonly rates?: Rates
}

/** These go to the server without waiting for the replies before them. */
export const FLOWS: ReadonlySet<Said> = new Set<Said>(['mail', 'rcpt', 'rset', 'noop'])

/**
 * What both sides of a proxy have in common: where the dialogue is, what is owed to whom, and the few things that can be
 * done about it. `proxy-client-side`, `proxy-server-side` and `proxy-transfer` work on one session, and nobody else does.
 */
export class ProxySession {
  readonly options: ProxyOptions
  readonly engine: Proxying
  readonly rules: Rules
  readonly fromClient: LineSplitter = new LineSplitter()
  fromServer: LineSplitter = new LineSplitter()
  replies: ReplyReader = new ReplyReader()
  readonly queue: ReplyQueue = new ReplyQueue()
  readonly linkState: FrameGatherer = new FrameGatherer()
  mode: 'pregreet' | 'talk' | 'blind' | 'closed' = 'talk'
  phase: Phase = 'greeting'
  /** The connection to the server. */
  leg: 'none' | 'dialing' | 'up' = 'none'
  handshake: Side | undefined
  secured = false
  login = false
  steps: HelloSteps
  /** A hello that the server has not answered yet; `replay`: nobody asked, a new server is brought to where the old was. */
  hello: { readonly of: Hello; readonly replay: boolean } | undefined
  offered: Offer['keywords'] = new Map()
  withheld: Offer['withheld'] = new Map()
  /** The last thing that must be answered before anything else is said. */
  sync: Said | undefined
  message: Message | undefined
  body: Body | undefined
  /** A chunk that waits for the server to take DATA. */
  chunk: { readonly size: number; readonly last: boolean } | undefined
  blob = 0
  binary = false
  /** The server refused the message before it was over: said behind its real end. */
  early: Reply | undefined
  recipients = 0
  refusedRecipients = 0
  errors = 0
  junk = 0
  /** The last word is in the queue. */
  ending = false
  /** The client said QUIT when it was owed nothing: it has had every reply, and waits for this one alone. */
  leaving = false
  now: Instant = 0
  turnAt: Instant = 0
  askedAt: Instant = 0
  readonly blocked: { client: Instant | undefined; server: Instant | undefined } = {
    client: undefined,
    server: undefined,
  }
  rate: RateClock | undefined
  /** The client's next command is not read, nor the one that is held passed on, before then. */
  restsUntil: Instant | undefined
  #toldOfRest = false
  /** Of each rule it is told once. */
  readonly #toldOfRate = new Set<string>()
  out: ProxyOutput[] = []

  constructor(options: ProxyOptions) {
    this.options = options
    this.engine = options.policy.engine
    const { policy, client, rates = new Rates() } = options
    this.rules = new Rules(
      policy,
      { peer: client.address },
      {
        tell: explanation => this.out.push({ kind: 'altered', explanation }),
        slow: (because, perSecond) => this.#slow(because, rates.take(because, perSecond, this.now)),
      },
    )
    this.steps = this.newSteps()
  }

  write(to: Side, octets: Uint8Array): void {
    this.out.push({ kind: 'write', to, bytes: octets })
  }

  say(wording: Reply, encode: (text: string) => Uint8Array = utf8): void {
    this.write('client', formatReply(wording, encode))
  }

  flush(): void {
    while (this.mode === 'talk') {
      const here = this.queue.takeHere()
      if (!here) return
      this.say(here.reply)
      if (here.closes) this.close()
    }
  }

  /** Answered here, behind the replies that are still owed. */
  answer(wording: Reply, closes = false): void {
    if (closes) this.ending = true
    this.queue.push({ kind: 'here', reply: wording, closes })
    this.flush()
  }

  ask(what: Said, more: { readonly instead?: Reply; readonly binary?: boolean } = {}): void {
    if (this.queue.next === undefined) this.askedAt = this.now
    this.queue.push({ kind: 'server', said: what, ...more })
    if (!FLOWS.has(what)) this.sync = what
  }

  /** Asked for our own sake: of its reply the client hears nothing. */
  askForUs(what: Said, line: Uint8Array): void {
    if (this.queue.next === undefined) this.askedAt = this.now
    this.write('server', line)
    this.queue.push({ kind: 'ours', said: what })
  }

  dial(): void {
    this.leg = 'dialing'
    this.askedAt = this.now
    this.out.push({ kind: 'dial' })
  }

  newSteps(): HelloSteps {
    return new HelloSteps(this.rules, this.options.client, { mayTls: !passesTls(this.engine, this.options) })
  }

  forget(): void {
    this.message = undefined
    this.early = undefined
    this.recipients = 0
    this.refusedRecipients = 0
    this.binary = false
  }

  /** The transaction is over, and with it the server's connection, for the server does not know. */
  drop(): void {
    this.abort()
    this.forget()
    this.phase = 'ready'
  }

  /** Gives up the server's connection: what it has of a message is no message. */
  abort(): void {
    if (this.leg === 'none') return
    this.leg = 'none'
    this.out.push({ kind: 'close', at: 'server', how: 'at-once' })
    this.fromServer = new LineSplitter()
    this.replies = new ReplyReader()
    this.steps = this.newSteps()
    this.blocked.server = undefined
  }

  refuse({ reply: wording, subject, octets, reason, verdict }: Refusal): void {
    const ends = verdict.kind === 'drop-connection' || verdict.kind === 'reset'
    const because = verdict.kind === 'pass' ? reason : verdict.because
    this.rules.explain('command', subject, { before: octets, because, did: ends ? verdict.kind : 'answer' })
    if (!ends) return this.mistake(wording, verdict.kind === 'answer' && verdict.close === true)
    this.abort()
    this.close(verdict.kind === 'reset' ? 'at-once' : 'after-writes')
  }

  mistake(wording: Reply, closes = false): void {
    this.countError()
    this.sync = undefined
    this.answer(wording, closes)
    if (!closes && this.spent('errors', this.errors)) this.answer(this.word(421, '4.7.0', 'too many errors'), true)
  }

  /** Whoever makes many mistakes is made to wait for the next one. */
  countError(): void {
    const { softErrors, waits } = this.engine
    if (++this.errors <= softErrors || waits.error === 0) return
    this.#rest(this.now + waits.error)
    if (this.#toldOfRest) return
    this.#toldOfRest = true
    const because = this.rules.own('after so many refused commands each further one costs time', 'error')
    this.rules.explain('session', 'ERRORS', { before: bytes(String(this.errors)), because, did: 'log' })
  }

  #slow(because: Because, until: Instant): void {
    this.#rest(until)
    if (until <= this.now || this.#toldOfRate.has(because.reason)) return
    this.#toldOfRate.add(because.reason)
    this.rules.explain('session', 'RATE', { because, did: 'log' })
  }

  #rest(until: Instant): void {
    if (until > this.now) this.restsUntil = Math.max(this.restsUntil ?? 0, until)
  }

  tooMuchJunk(): boolean {
    if (!this.spent('junk', ++this.junk)) return false
    this.answer(this.word(421, '4.7.0', 'too many commands that bring no mail'), true)
    return true
  }

  spent(what: 'errors' | 'junk' | 'invalid-recipients', size: number): boolean {
    const verdict = this.rules.judge({ on: 'size', what, size })
    if (verdict.kind === 'pass') return false
    const before = bytes(String(size))
    this.rules.explain('session', upper(what), { before, because: verdict.because, did: verdict.kind })
    return true
  }

  /** The server and we have lost each other: whose reply is whose cannot be told any more. */
  confused(fault: string, line: string): void {
    const because = `the server's replies cannot be followed: ${fault}`
    this.rules.explain('reply', 'SERVER', { before: utf8(line.slice(0, 64)), because, did: 'reset' })
    this.lost('the server cannot be understood')
  }

  /** No server any more. Nothing that it did not acknowledge is acknowledged. */
  lost(why: string): void {
    this.rules.explain('session', 'SERVER', { because: why, did: 'drop-connection' })
    this.hangUp(this.word(421, '4.4.2', 'has no server now'))
  }

  hangUp(wording: Reply, encode?: (text: string) => Uint8Array): void {
    this.abort()
    this.say(wording, encode)
    this.close()
  }

  /** `server`: how its connection is closed, where that is another way. */
  close(how: Closing = 'after-writes', server: Closing = how): void {
    this.mode = 'closed'
    this.phase = 'closed'
    this.fromClient.clear()
    this.out.push({ kind: 'close', at: 'client', how })
    if (this.leg !== 'none') this.out.push({ kind: 'close', at: 'server', how: server })
    this.leg = 'none'
  }

  word(code: number, status: string, why: string): Reply {
    return reply(code, status, `${this.options.host} ${why}, closing connection`)
  }
}
