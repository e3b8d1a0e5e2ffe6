/**
 * Recorded dialogues through a proxy: its client's side is played to it, by a client that keeps to what it is offered,
 * and behind it stands a server that answers as the recorded one did. What the record does not tell is assumed, and each
 * fate says what was.
 */
import { bytes, concat, lower, strictUtf8, upper, utf8 } from '../base/bytes.ts'
import { cite } from '../base/problem.ts'
import type { Duration, Instant } from '../base/time.ts'
import { formatPath } from '../smtp/address.ts'
import { DotWriter } from '../smtp/body.ts'
import { type Capabilities, NO_CAPABILITIES, offers, readCapabilities } from '../smtp/capabilities.ts'
import { formatCommand, type Sayable } from '../smtp/command.ts'
import { LineSplitter } from '../smtp/line.ts'
import type { Params } from '../smtp/params.ts'
import { digit, type Reply, ReplyReader } from '../smtp/reply.ts'
import { CERTIFICATE } from './check.ts'
import { distinct, type Fate, hidesTls, type TlsFate, type Told } from './fate.ts'
import { SmtpProxy } from './proxy.ts'
import type { Client } from './proxy-hello.ts'
import { extensionOfParam } from './proxy-offer.ts'
import type { ProxyPolicy } from './proxy-rules.ts'
import type { ProxyOutput } from './proxy-session.ts'
import type { Rates } from './rates.ts'
import { type Dialogue, type Exchange, endsInTls, exchangesOf } from './recorded.ts'
import { type Answer, RecordedServer } from './recorded-server.ts'
import type { Explanation } from './verdict.ts'

export interface WhatIfOptions {
  readonly client: Client
  /** Has the proxy a certificate for its clients? */
  readonly canSecure: boolean
  /** Where the record has no time. */
  readonly now: Instant
  /** Shared by all dialogues of one clock: they are played in the order of their time. */
  readonly rates?: Rates
}

/** What would become of the mail of one dialogue with this proxy in between, and of its TLS. Total. */
export function whatIfProxied(dialogue: Dialogue, policy: ProxyPolicy, options: WhatIfOptions): Told {
  return new Play(dialogue, policy, options).run()
}

interface Letter {
  readonly from: string
  readonly to: string[]
  readonly at: Exchange['at']
  readonly explanations: Explanation[]
  readonly assumed: Set<string>
  readonly taken: number
  /** The client gave it up: MAIL, all of its recipients or DATA was refused, or nobody is there any more. */
  isOver: boolean
  /** Recipients that were taken now. */
  accepted: number
  /** Its octets, where it came in chunks and none are offered. */
  readonly chunks: Uint8Array[]
}

/** These the client can leave out when their extension is not offered; without the others it cannot send at all. */
const OPTIONAL: ReadonlySet<string> = new Set(['SIZE', 'BODY', 'RET', 'ENVID', 'NOTIFY', 'ORCPT', 'AUTH'])
/** What comes of a message once it has recipients. */
const PAYLOAD: ReadonlySet<Exchange['said']> = new Set(['data', 'end-of-body', 'bdat', 'last-chunk'])
const LOGIN: ReadonlySet<Exchange['said']> = new Set(['auth', 'x-exps', 'auth-line'])
const TLS = { protocol: 'TLSv1.3', cipher: 'TLS_AES_256_GCM_SHA384' } as const

class Play {
  readonly #exchanges: readonly Exchange[]
  readonly #server: RecordedServer
  readonly #proxy: SmtpProxy
  readonly #replies = new ReplyReader()
  readonly #heard = new LineSplitter()
  #now: Instant
  /** What the clock of the record shows now, where it has one. */
  #then: Instant | undefined
  #done: Explanation[] = []
  readonly #session: Explanation[] = []
  readonly #assumed = new Set<string>()
  #letter: Letter | undefined
  readonly #fates: Fate[] = []
  #offered: Capabilities = NO_CAPABILITIES
  #isOpen = true
  #ownLogin: 'none' | 'done' | 'lost' = 'none'
  #tls: TlsFate = 'not reached'

  /** Why STARTTLS is not offered, where no rule took it out. */
  readonly #whyNoTls: string

  constructor(dialogue: Dialogue, policy: ProxyPolicy, { client, canSecure, now, rates }: WhatIfOptions) {
    const { at, command } = policy.settled?.tls ?? policy.cause
    const isBare = policy.engine.tls === 'terminate' && !canSecure
    this.#whyNoTls = isBare
      ? `the proxy has no certificate, and so offers no TLS: ${CERTIFICATE} gives it one`
      : `it is not offered, by ${cite(at)}: ${command}`
    const exchanges = exchangesOf(dialogue)
    this.#exchanges = exchanges
    this.#now = dialogue.opened ?? now
    this.#then = dialogue.opened
    this.#server = new RecordedServer(exchanges, words => this.#assume(words))
    if (policy.engine.xclient === 'must') this.#assume('the server is told by XCLIENT who the client is')
    this.#proxy = new SmtpProxy({
      policy: withoutXclient(policy),
      host: 'proxy.invalid',
      client,
      canSecure,
      ...(rates && { rates }),
    })
  }

  run(): Told {
    this.#carryOut(this.#proxy.open(this.#now))
    const early = this.#speakEarly()
    // A client that keeps to the rules waits for the greeting.
    while (this.#isOpen && this.#heard.size === 0 && this.#proxy.phase === 'greeting') {
      const { deadline } = this.#proxy
      if (deadline === undefined || deadline > this.#now + MAX_PREGREET) break
      this.#now = deadline
      this.#carryOut(this.#proxy.tick(this.#now))
    }
    const [, ...replies] = this.#hear()
    this.#note(this.#take())
    for (const [i, exchange] of early.entries()) this.#outcome(exchange, replies[i])
    for (let i = 1 + early.length; i < this.#exchanges.length; ) {
      let to = i + 1
      while (this.#exchanges[to]?.isAhead) to++
      this.#server.span = { from: i, to }
      const group = this.#exchanges.slice(i, to)
      const [first] = group
      const letter = this.#letter
      if (letter?.accepted === 0 && first && PAYLOAD.has(first.said)) letter.isOver = true
      this.#until(first?.arrivals[0]?.at)
      // Of a message that was given up nothing is said, and so nothing ahead of it.
      if (group.length > 1 && !letter?.isOver) this.#playAhead(group)
      else for (const each of group) this.#play(each)
      i = to
    }
    const last = this.#exchanges.at(-1)
    if (!last || !endsInTls(this.#exchanges)) return { fates: this.#fates }
    const explanations = this.#tls === 'passes' ? [] : distinct(this.#session.filter(hidesTls))
    const why = this.#tls === 'stripped' && explanations.length === 0 ? this.#whyNoTls : undefined
    const assumed = [...this.#assumed]
    const unseen = { starttls: this.#tls, at: last.at, explanations, assumed, ...(why !== undefined && { why }) }
    return { fates: this.#fates, unseen }
  }

  /* Time. */

  /** The clock of the record goes on to this, and ours as far; every deadline on the way is kept. */
  #until(at: Instant | undefined): void {
    const then = this.#then
    if (at === undefined || then === undefined || at <= then) return
    this.#then = at
    this.#pass(at - then)
  }

  #pass(duration: Duration): void {
    const until = this.#now + duration
    for (let ticks = 0; ticks < MAX_TICKS && this.#isOpen; ticks++) {
      const { deadline } = this.#proxy
      if (deadline === undefined || deadline > until) break
      this.#now = Math.max(this.#now, deadline)
      this.#carryOut(this.#proxy.tick(this.#now))
    }
    this.#now = Math.max(this.#now, until)
  }

  /** What the client said without waiting for the greeting it says so again. */
  #speakEarly(): readonly Exchange[] {
    let to = 1
    while (this.#exchanges[to]?.isAhead) to++
    const early = this.#exchanges.slice(1, to)
    const [first] = early
    if (!first) return []
    this.#server.span = { from: 0, to }
    this.#until(first.arrivals[0]?.at)
    const octets = concat(early.flatMap(each => [each.octets, contentOf(each.content)]))
    if (this.#isOpen) this.#carryOut(this.#proxy.receive('client', octets, this.#now))
    return early
  }

  /** What is made to wait for its turn is answered later. */
  #await(): Reply | undefined {
    const until = this.#now + MAX_PREGREET
    for (let ticks = 0; ticks < MAX_TICKS && this.#isOpen; ticks++) {
      const { deadline } = this.#proxy
      if (deadline === undefined || deadline > until) return undefined
      this.#pass(Math.max(0, deadline - this.#now))
      const [answer] = this.#hear()
      if (answer) return answer
    }
    return undefined
  }

  /** Octets that came in pieces then, each when it came. */
  #sayPiecewise({ arrivals }: Exchange, octets: Uint8Array): readonly Reply[] {
    const replies: Reply[] = []
    let from = 0
    for (const { octets: to, at } of arrivals.slice(0, -1)) {
      this.#until(at)
      replies.push(...this.#say(octets.subarray(from, to)))
      from = to
    }
    this.#until(arrivals.at(-1)?.at)
    return [...replies, ...this.#say(octets.subarray(from))]
  }

  /* The client. */

  /** Said out of its turn then, and so it is now. */
  #playAhead(group: readonly Exchange[]): void {
    const replies = this.#say(concat(group.flatMap(({ octets, content }) => [octets, contentOf(content)])))
    for (const [i, exchange] of group.entries()) this.#outcome(exchange, replies[i])
  }

  #play(exchange: Exchange): void {
    const { said, command, octets } = exchange
    const letter = this.#letter
    switch (said) {
      case 'ehlo':
      case 'helo':
        return this.#hello(exchange)
      case 'starttls':
        if (offers(this.#offered, 'STARTTLS')) return this.#startTls(exchange)
        if (this.#isOpen) this.#tls = 'stripped'
        return this.#assume('the client goes on in clear, as TLS is not offered')
      case 'auth':
      case 'x-exps': {
        const isOffered = command && 'mechanism' in command && offers(this.#offered, upper(said), command.mechanism)
        if (isOffered) return this.#one(exchange, octets)
        this.#ownLogin = 'lost'
        return this.#assume(`the client sends nothing without its login, and ${upper(said)} is not offered to it`)
      }
      case 'auth-line':
        return this.#ownLogin === 'lost' ? undefined : this.#one(exchange, octets)
      case 'mail':
      case 'rcpt':
        if (said === 'mail' && isYes(exchange.reply)) this.#begin(exchange)
        if (said === 'rcpt' && letter?.isOver) return this.#outcome(exchange, undefined)
        return this.#one(exchange, this.#adapted(exchange) ?? octets)
      case 'bdat':
      case 'last-chunk':
        return this.#chunk(exchange, letter)
      case 'data':
      case 'end-of-body':
        return letter?.isOver ? this.#outcome(exchange, undefined) : this.#one(exchange, octets)
      default:
        return this.#one(exchange, octets)
    }
  }

  #one(exchange: Exchange, octets: Uint8Array): void {
    const isAsItWas = octets.length === exchange.octets.length + exchange.content.length
    const replies = isAsItWas ? this.#sayPiecewise(exchange, octets) : this.#say(octets)
    this.#outcome(exchange, replies[0] ?? this.#await())
  }

  #startTls(exchange: Exchange): void {
    const replies = this.#say(exchange.octets)
    if (!isYes(replies[0])) this.#tls = this.#isOpen ? 'stripped' : 'not reached'
    else if (this.#tls !== 'ends here') this.#tls = 'passes'
    this.#outcome(exchange, replies[0])
  }

  #hello(exchange: Exchange): void {
    const [answer] = this.#say(exchange.octets)
    const { command } = exchange
    this.#outcome(exchange, answer)
    if (exchange.said !== 'ehlo' || !answer || isYes(answer) || !this.#isOpen) return
    this.#assume('the client says HELO, as EHLO is refused')
    const line = formatCommand({ kind: 'helo', domain: command?.kind === 'ehlo' ? command.domain : '' })
    this.#outcome(exchange, line && this.#say(line)[0])
  }

  /** MAIL or RCPT without what is not offered. */
  #adapted({ command, octets }: Exchange): Uint8Array | undefined {
    if (command?.kind !== 'mail' && command?.kind !== 'rcpt') return undefined
    const params = command.params.filter(param => this.#keeps(param))
    if (params.length === command.params.length) return undefined
    return formatCommand({ ...command, params } as Sayable, strictUtf8(octets) === undefined ? bytes : utf8)
  }

  #keeps({ keyword, value }: Params[number]): boolean {
    const extension = extensionOfParam(keyword, value)
    if (offers(this.#offered, extension) || !OPTIONAL.has(keyword)) return true
    const offeredThen = this.#exchanges.some(
      ({ said, reply }) => said === 'ehlo' && reply && offers(readCapabilities(reply), extension),
    )
    // What the client said though nobody had offered it, it says again.
    if (!offeredThen) return true
    if (keyword !== 'SIZE') this.#assume(`the client leaves out ${keyword}, as ${extension} is not offered`)
    return false
  }

  #chunk(exchange: Exchange, letter: Letter | undefined): void {
    const { octets, said } = exchange
    const content = contentOf(exchange.content)
    if (letter?.isOver) return this.#outcome(exchange, undefined)
    if (offers(this.#offered, 'CHUNKING') || !letter) return this.#one(exchange, concat([octets, content]))
    letter.chunks.push(content)
    this.#until(exchange.arrivals.at(-1)?.at)
    if (said === 'bdat') return
    this.#assume('the client says DATA, as CHUNKING is not offered')
    const [go] = this.#say(bytes('DATA\r\n'))
    if (go?.code !== 354) return this.#outcome(exchange, go)
    const writer = new DotWriter()
    this.#one(exchange, concat([...letter.chunks.flatMap(each => writer.push(each)), writer.end()]))
  }

  /* What comes of it. */

  #begin({ command, at }: Exchange): void {
    if (command?.kind !== 'mail') return
    this.#letter = {
      from: formatPath(command.from),
      to: [],
      at,
      explanations: [],
      assumed: new Set(),
      taken: this.#server.taken,
      isOver: !this.#isOpen || this.#ownLogin === 'lost',
      accepted: 0,
      chunks: [],
    }
  }

  /** `answer`: what the client heard now; `undefined` where it said nothing, or nobody answered. */
  #outcome(exchange: Exchange, answer: Reply | undefined): void {
    const { said, command, reply: then } = exchange
    if (said === 'mail' && this.#letter?.at !== exchange.at && isYes(then)) this.#begin(exchange)
    const letter = this.#letter
    this.#note(letter ? this.#take(letter) : this.#take())
    if (LOGIN.has(said) && isYes(then)) this.#ownLogin = isYes(answer) ? 'done' : 'lost'
    if ((said === 'ehlo' || said === 'helo') && answer) {
      this.#offered = said === 'ehlo' && isYes(answer) ? readCapabilities(answer) : NO_CAPABILITIES
    }
    if (!letter) return
    if (said === 'mail' && !isYes(answer)) letter.isOver = true
    if (said === 'data' && digitOf(answer) !== 3) letter.isOver = true
    if ((said === 'bdat' || said === 'last-chunk') && answer && !isYes(answer)) letter.isOver = true
    if (said === 'rcpt' && command?.kind === 'rcpt' && isYes(then)) letter.to.push(formatPath(command.to))
    if (said === 'rcpt' && isYes(answer)) letter.accepted++
    if (said !== 'end-of-body' && said !== 'last-chunk') return
    // Whoever gave a message up begins the next one anew.
    if (letter.isOver) this.#say(bytes('RSET\r\n'))
    if (isYes(then)) this.#fates.push(this.#fateOf(letter, isYes(answer)))
    this.#letter = undefined
  }

  /** Whoever was not told that it was taken sends it again, though the server has it. */
  #fateOf({ from, to, at, explanations: own, assumed, taken }: Letter, isTold: boolean): Fate {
    const done = [...this.#session, ...own]
    const explanations = distinct(done.filter(isChange))
    const isTaken = isTold && this.#server.taken > taken && this.#server.takenFor >= to.length
    const outcome = !isTaken ? 'stops' : explanations.length > 0 ? 'changes' : 'passes'
    // What only made it late is no change, and may be why what came later stopped.
    const late = distinct(done.filter(isDelay))
    return { outcome, from, to, at, explanations: [...explanations, ...late], assumed: [...this.#assumed, ...assumed] }
  }

  #assume(words: string): void {
    ;(this.#letter?.assumed ?? this.#assumed).add(words)
  }

  /** What was done since this was asked last, to the letter or to all that are in this session. */
  #take(letter?: Letter): readonly Explanation[] {
    const done = this.#done
    this.#done = []
    // What ended the session is why all behind it stops.
    if (!letter || !this.#isOpen) return done
    letter.explanations.push(...done)
    return []
  }

  #note(done: readonly Explanation[]): void {
    if (this.#session.length < MAX_NOTED) this.#session.push(...done)
  }

  /* The proxy, and the server behind it. */

  #say(octets: Uint8Array): readonly Reply[] {
    if (!this.#isOpen) return []
    this.#carryOut(this.#proxy.receive('client', octets, this.#now))
    return this.#hear()
  }

  #hear(): readonly Reply[] {
    const replies: Reply[] = []
    for (;;) {
      const heard = this.#replies.next(this.#heard)
      if (!heard || 'fault' in heard) return replies
      replies.push(heard.value)
    }
  }

  #carryOut(outputs: readonly ProxyOutput[]): void {
    for (const output of outputs) {
      switch (output.kind) {
        case 'altered':
          this.#done.push(output.explanation)
          break
        case 'dial':
          this.#carryOut(this.#proxy.connected(this.#now))
          this.#answer(this.#server.open())
          break
        case 'start-tls':
          if (output.at === 'server') {
            this.#assume('TLS towards the server succeeds, and proves who it is')
            this.#server.secured()
          } else this.#tls = 'ends here'
          this.#carryOut(this.#proxy.secured(output.at, TLS, this.#now))
          break
        case 'close':
          if (output.at === 'client') this.#isOpen = false
          break
        default:
          if (output.to === 'client') this.#heard.push(output.bytes)
          else {
            for (const answer of this.#server.receive(output.bytes)) this.#answer(answer)
          }
      }
    }
  }

  /** It takes the server as long as it did. */
  #answer({ octets, at }: Answer): void {
    this.#until(at)
    this.#carryOut(this.#proxy.receive('server', octets, this.#now))
  }
}

/** A server offers XCLIENT to its firewall and to nobody else: no record can tell whether it would. */
function withoutXclient(policy: ProxyPolicy): ProxyPolicy {
  const { engine } = policy
  return engine.xclient === 'never' ? policy : { ...policy, engine: { ...engine, xclient: 'never' } }
}

/** A wait for the greeting that is longer is a server's, and not the proxy's. */
const MAX_PREGREET = 60_000

/** Deadlines that are kept in one piece of time; more of them would be one that does not move on. */
const MAX_TICKS = 1000

/** Explanations of one session that are kept: many more are of the same kind. */
const MAX_NOTED = 1000

function digitOf(answer: Reply | undefined): number {
  return answer ? digit(answer) : 0
}

function isYes(answer: Reply | undefined): boolean {
  return digitOf(answer) === 2
}

/** Another case, or another blank, is no change to anybody's mail. */
function isChange({ did, what, before, after }: Explanation): boolean {
  if (did === 'log') return false
  const plain = (octets: Uint8Array) => lower(String.fromCharCode(...octets)).replace(/\s+/g, '')
  return !(what === 'command' && did === 'replace' && plain(before) === plain(after))
}

/** A rate or a penalty made somebody wait. */
function isDelay({ did, what }: Explanation): boolean {
  return did === 'log' && what === 'session'
}

const HIDDEN = 0x78

/**
 * What is in a chunk. A record hides it by x, octet for octet: lines of an empty header and a body stand for that, so
 * that no limit is met which the message did not meet.
 */
function contentOf(content: Uint8Array): Uint8Array {
  if (content.length < 4 || content.some(octet => octet !== HIDDEN)) return content
  const lines = content.map((_, at) => (at % FILLED < 2 ? (at % 2 === 0 ? 0x0d : 0x0a) : HIDDEN))
  // It ends as it should, wherever the last line is.
  lines.set([0x0d, 0x0a], lines.length - 2)
  if (lines[lines.length - 3] === 0x0d) lines[lines.length - 3] = HIDDEN
  return lines
}

/** Octets of a line that stands for another, its end included; even, so that CR comes at an even place. */
const FILLED = 72
