import { bytes, text as octets, upper, utf8 } from '../base/bytes.ts'
import type { TlsFacts } from '../base/machine.ts'
import { ChunkReader, DotReader } from '../smtp/body.ts'
import { after, type Said } from '../smtp/dialogue.ts'
import { digit, formatReply, type Reply, reply } from '../smtp/reply.ts'
import type { Side } from './inspector.ts'
import { GREETING_START, maskGreeting } from './mask.ts'
import type { MaskKind } from './policy.ts'
import { edits } from './proxy-edit.ts'
import type { Hello, Must, Step } from './proxy-hello.ts'
import { Message } from './proxy-message.ts'
import { makeOffer } from './proxy-offer.ts'
import type { ProxySession } from './proxy-session.ts'
import type { Transfer } from './proxy-transfer.ts'
import type { What } from './verdict.ts'

/** What the server may answer, by the first digit; anything else means that we have lost each other. */
const ANSWERS: ReadonlyMap<Said, string> = new Map([
  ['data', '345'],
  ['xexch50', '2345'],
  ['auth', '2345'],
  ['x-exps', '2345'],
  ['auth-line', '2345'],
])

/** Why nothing goes to a server that lacks what must be, and what the client is told of it. */
const WITHOUT: Readonly<
  Record<Must, { readonly what: What; subject: string; reason: string; status: string; said?: string }>
> = {
  onwardTls: { what: 'tls', subject: 'SERVER', reason: 'no mail goes on without TLS', status: '4.7.0' },
  xclient: {
    what: 'server',
    subject: 'XCLIENT',
    reason: 'no mail goes to a server that takes every client for this firewall',
    status: '4.3.0',
    said: 'cannot tell its server who you are',
  },
}

interface Hearing {
  /** `bytes` for a reply that comes from a wire, whose text is an octet per character. */
  readonly encode?: (text: string) => Uint8Array
  /** Of MAIL: the message is binary. */
  readonly binary?: boolean
}

/** The server's half of a proxied connection: its replies, which alone move the dialogue, and the steps behind a hello. */
export class ServerSide {
  readonly #session: ProxySession
  readonly #transfer: Transfer
  #greeted = false
  #serverName = ''
  #lastHello: Hello | undefined

  constructor(session: ProxySession, transfer: Transfer) {
    this.#session = session
    this.#transfer = transfer
  }

  /** The connection stands. */
  connected(): void {
    const session = this.#session
    session.leg = 'up'
    session.queue.push({ kind: this.#greeted ? 'ours' : 'server', said: 'connect' })
    session.askedAt = session.now
  }

  /** TLS stands. */
  secured({ unproven }: TlsFacts): void {
    const session = this.#session
    session.fromServer.clear()
    if (session.engine.onwardTls === 'must' && unproven !== undefined) return this.#without('onwardTls', unproven)
    this.#step(session.steps.secured())
  }

  hear(): void {
    const session = this.#session
    while (session.mode === 'talk' && session.leg === 'up' && !session.handshake) {
      const heard = session.replies.next(session.fromServer)
      if (heard === undefined) return
      if ('fault' in heard) return session.confused(heard.fault, heard.line)
      this.#heard(heard.value)
    }
  }

  #heard(answer: Reply): void {
    const session = this.#session
    if (answer.code === 421) {
      session.queue.clear()
      return session.hangUp(answer, bytes)
    }
    const owed = session.queue.takeServers()
    if (!owed) return this.#unasked(answer)
    session.askedAt = session.now
    if (!(ANSWERS.get(owed.said) ?? '245').includes(`${digit(answer)}`)) {
      return session.confused('a reply to something else', String(answer.code))
    }
    session.turnAt = session.now
    const isHello = owed.said === 'ehlo' || owed.said === 'helo' || owed.said === 'starttls' || owed.said === 'other'
    if (session.hello && isHello) this.#heardHello(owed.said, answer)
    else if (owed.kind === 'ours') this.#heardForUs(owed.said, answer)
    else if (owed.said === 'connect') this.#heardGreeting(answer)
    else if (owed.instead) this.#heardFor(owed.said, owed.instead, answer.code)
    else this.#heardFor(owed.said, answer, answer.code, { encode: bytes, binary: owed.binary === true })
    session.flush()
  }

  #heardFor(what: Said, answer: Reply, code: number, { encode = utf8, binary = false }: Hearing = {}): void {
    const session = this.#session
    if (session.queue.size === 0) session.sync = undefined
    const was = session.phase
    session.phase = after(session.phase, what, code)
    const first = Math.floor(code / 100)
    const good = first === 2
    if (what === 'rcpt' && good) session.recipients++
    if (what === 'rcpt' && !good) session.refusedRecipients++
    if (good && (what === 'auth' || what === 'x-exps' || what === 'auth-line')) session.login = true
    if (first >= 4) session.countError()
    if (session.phase === 'ready' && was !== 'ready') session.forget()
    if (what === 'mail' && good) {
      session.forget()
      session.binary = binary
    }
    if (good && (what === 'end-of-body' || what === 'last-chunk')) session.junk = 0
    session.say(this.#withoutServer(answer), encode)
    if (session.phase === 'closed') {
      // Octets behind its QUIT would have the system reset the connection, and drop what is not sent yet.
      return session.close(session.leaving && session.fromClient.size === 0 ? 'said' : 'after-writes', 'said')
    }
    if (session.phase === 'tls') return this.#goBlind()
    if (what === 'data' && first === 3) {
      session.message = new Message(session.rules, { binary: false })
      this.#transfer.begin({ kind: 'dots', reader: new DotReader() })
    }
    if (what === 'xexch50' && first === 3) this.#transfer.begin({ kind: 'blob', reader: new ChunkReader(session.blob) })
    if (what === 'bdat' && !good) this.#transfer.resetServer()
    const guesses = what === 'rcpt' && !good && session.spent('invalid-recipients', session.refusedRecipients)
    if (guesses || session.spent('errors', session.errors))
      session.hangUp(session.word(421, '4.7.0', 'too many errors'))
  }

  #heardForUs(what: Said, answer: Reply): void {
    const session = this.#session
    const good = digit(answer) === 2
    if (what === 'connect') {
      if (!good) return session.lost('the server refused to go on')
      if (this.#lastHello) this.sayHello(this.#lastHello, true)
    } else if (what === 'rset') {
      if (!good) return session.lost('the server refused RSET')
      session.forget()
      session.phase = 'ready'
    } else if (what === 'data' && session.chunk) {
      const body = { kind: 'chunk', ...session.chunk, reader: new ChunkReader(session.chunk.size) } as const
      session.chunk = undefined
      if (digit(answer) === 3) {
        session.message = new Message(session.rules, { binary: false })
        return this.#transfer.begin(body)
      }
      this.#transfer.begin({
        ...body,
        refusal: { reply: answer, because: session.rules.own('the server refused DATA') },
      })
      this.#transfer.resetServer()
    }
  }

  #heardGreeting(answer: Reply): void {
    const session = this.#session
    this.#greeted = true
    this.#serverName = firstWord(answer.text[0] ?? '')
    session.phase = after(session.phase, 'connect', answer.code)
    const { name } = session.engine
    const verdict = session.rules.judge({ on: 'greeting' })
    const by = verdict.kind === 'replace' ? verdict.by : name === undefined ? undefined : `${name} ESMTP`
    const named = digit(answer) === 2 && by !== undefined ? { ...answer, text: [by] } : answer
    const shown = verdict.kind === 'mask' ? masked(answer, verdict.how) : named
    if (shown !== answer) {
      session.rules.explain('greeting', '', {
        before: formatReply(answer, bytes),
        after: formatReply(shown, bytes),
        because:
          verdict.kind === 'pass' ? session.rules.own('the server is called otherwise here', 'name') : verdict.because,
        did: verdict.kind === 'mask' ? 'mask' : 'replace',
      })
    }
    session.say(shown, bytes)
    if (session.phase === 'closed') session.close()
  }

  /** The server's own name is not to be seen outside. */
  #withoutServer(answer: Reply): Reply {
    const session = this.#session
    const { hideServer, name } = session.engine
    const inside = this.#serverName
    if (!hideServer || name === undefined || inside === '' || !answer.text.some(line => line.includes(inside)))
      return answer
    const shown = { ...answer, text: answer.text.map(line => line.replaceAll(inside, name)) }
    session.rules.explain('reply', 'SERVER', {
      before: formatReply(answer, bytes),
      after: formatReply(shown, bytes),
      because: session.rules.own('the name of the server behind is hidden', 'hideServer'),
      did: 'replace',
    })
    return shown
  }

  sayHello(of: Hello, replay: boolean): void {
    const session = this.#session
    session.hello = { of, replay }
    session.linkState.drop()
    this.#step(session.steps.begin(of))
  }

  #heardHello(what: Said, answer: Reply): void {
    const session = this.#session
    const step = session.steps.hear(answer)
    if (what === 'ehlo' && digit(answer) === 2) {
      // Whoever asked for this hello, it ended the server's transaction.
      if (session.phase !== 'hello') session.phase = 'ready'
      session.forget()
    }
    this.#step(step)
  }

  #step(step: Step): void {
    const session = this.#session
    switch (step.kind) {
      case 'say':
        return session.askForUs(step.said, step.line)
      case 'start-tls':
        // What came in clear behind the 220 would be read inside TLS (CVE-2021-38371).
        if (session.fromServer.size > 0) return this.spokeInClear('server', session.fromServer.take(64))
        session.handshake = 'server'
        session.turnAt = session.now
        session.out.push({ kind: 'start-tls', at: 'server' })
        return
      case 'without':
        return this.#without(step.what, step.why)
      default:
        return this.#concludeHello(step.reply)
    }
  }

  #concludeHello(answer: Reply): void {
    const session = this.#session
    const { of, replay } = session.hello ?? {}
    session.hello = undefined
    const good = digit(answer) === 2
    if (!of) return
    if (replay && !good) return session.lost('the server refused our hello')
    if (replay) return
    if (!good) return this.#heardFor(of.kind, answer, answer.code, { encode: bytes })
    this.#lastHello = of
    if (of.kind === 'helo') {
      const { name = answer.text[0] ?? '' } = session.engine
      session.offered = new Map()
      return this.#heardFor('helo', { code: answer.code, text: [name] }, answer.code, { encode: bytes })
    }
    const offer = makeOffer(answer, session.rules, {
      secured: session.secured,
      canSecure: session.options.canSecure && (session.engine.tls === 'terminate' || session.engine.tls === 'require'),
      loggedIn: session.login,
      edits: edits(session.rules),
    })
    session.offered = offer.keywords
    session.withheld = offer.withheld
    this.#heardFor('ehlo', offer.reply, answer.code, { encode: bytes })
  }

  #without(must: Must, why: string): void {
    const session = this.#session
    const { what, subject, reason, status, said = why } = WITHOUT[must]
    const because = session.rules.own(reason, must)
    session.rules.explain(what, subject, { before: utf8(why), because, did: 'answer' })
    session.hangUp(session.word(421, status, said))
  }

  /** From here on both sides talk under a cover that we do not lift. */
  #goBlind(): void {
    const session = this.#session
    if (session.fromServer.size > 0) return this.spokeInClear('server', session.fromServer.take(64))
    const words = bytes('STARTTLS')
    const because = 'client and server encrypt end to end: from here on nothing is seen, and no rule holds'
    session.rules.explain('tls', 'STARTTLS', { before: words, after: words, because, did: 'log' })
    session.mode = 'blind'
    session.turnAt = session.now
  }

  spokeInClear(who: Side, octets: Uint8Array): void {
    const session = this.#session
    const because = 'octets came in clear where TLS begins'
    session.rules.explain('tls', upper(who), { before: octets, because, did: 'drop-connection' })
    if (who === 'server') return session.lost('the server spoke in clear behind its 220')
    session.hangUp(reply(554, '5.5.0', 'Synchronization error: octets in clear behind STARTTLS'))
  }

  /** A reply that nobody asked for. */
  #unasked(answer: Reply): void {
    const session = this.#session
    if (session.body && session.message && digit(answer) >= 4) {
      session.early ??= answer
      return session.abort()
    }
    session.confused('a reply to nothing', String(answer.code))
  }
}

function firstWord(text: string): string {
  const blank = text.indexOf(' ')
  return blank < 0 ? text : text.slice(0, blank)
}

/** A greeting hidden as a firewall that works in place hides it, but for the codes of its lines: those stay. */
function masked(greeting: Reply, how: MaskKind): Reply {
  const text = greeting.text.map(line => {
    const whole = bytes(`${greeting.code} ${line}`)
    return octets(maskGreeting(whole, how, GREETING_START)).slice(4)
  })
  return { code: greeting.code, text }
}
