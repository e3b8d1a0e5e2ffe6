/**
 * One delivery over one connection, as a machine: a message and its recipients in, an outcome per recipient out.
 *
 * It says EHLO and falls back to HELO; it logs in where its connector says so, and where that is required and not to be
 * had it sends no MAIL at all: mail that waits is better than mail that went as a stranger.
 */
import { bytes, utf8 } from '../base/bytes.ts'
import type { Machine, WireOutput } from '../base/machine.ts'
import type { Instant } from '../base/time.ts'
import type { Envelope } from '../mail/envelope.ts'
import { isAscii } from '../smtp/address.ts'
import { type Capabilities, NO_CAPABILITIES, offers, readCapabilities } from '../smtp/capabilities.ts'
import { Client, type ClientOutput } from '../smtp/client.ts'
import type { Param } from '../smtp/params.ts'
import { digit, type Reply, sayReply } from '../smtp/reply.ts'
import { loginClient, type SaslClient } from '../smtp/sasl.ts'
import type { Failure, Outcome } from '../spool/entry.ts'
import { classify } from './classify.ts'

/** What to deliver, to whom, and how to behave. */
export interface Order {
  /** What we call ourselves. */
  readonly hello: string
  /** Who is spoken to, for outcomes: `mail-b.b.example [10.54.7.10]`. */
  readonly to: string
  readonly envelope: Envelope
  /** Positions in `envelope.recipients`. */
  readonly recipients: readonly number[]
  readonly size: number
  readonly login?: {
    readonly verb: 'auth' | 'x-exps'
    readonly user: string
    readonly password: string
    readonly required: boolean
    /** Who wants it: `connector A-to-B`. */
    readonly by: string
  }
  /** Is this the last hop, from where on it is not our affair? */
  readonly outcome: 'delivered' | 'relayed'
}

export type AttemptOutput =
  | WireOutput
  /** The server is ready for the message: hand it in by `body`, then `endBody`. */
  | { readonly kind: 'want-body' }
  | { readonly kind: 'outcome'; readonly recipient: number; readonly outcome: Outcome }
  /** Every recipient has its outcome; the connection is being closed. */
  | { readonly kind: 'done' }
  | { readonly kind: 'trace'; readonly by: 'C' | 'S'; readonly text: string }

type Tag =
  | { readonly step: 'greeting' | 'ehlo' | 'helo' | 'login' | 'mail' | 'data' | 'end' | 'quit' | 'rset' }
  | { readonly step: 'rcpt'; readonly recipient: number }

export class Attempt implements Machine<AttemptOutput> {
  readonly #order: Order
  readonly #client: Client<Tag>
  #offered: Capabilities = NO_CAPABILITIES
  #sasl: SaslClient | undefined
  #accepted: number[] = []
  #open: Set<number>
  #refusal: Reply | undefined
  #chunking = false
  #done = false
  /** The message is going out: nobody may answer it yet. */
  #sending = false
  #ehloRefused: string | undefined

  constructor(order: Order, { trace }: { readonly trace: boolean }) {
    this.#order = order
    this.#client = new Client({ trace })
    this.#open = new Set(order.recipients)
  }

  get deadline(): Instant | undefined {
    return this.#client.deadline
  }

  open(now: Instant): readonly AttemptOutput[] {
    this.#client.open({ step: 'greeting' }, now)
    return []
  }

  receive(received: Uint8Array, now: Instant): readonly AttemptOutput[] {
    return this.#done ? [] : this.#follow(this.#client.receive(received, now), now)
  }

  end(now: Instant): readonly AttemptOutput[] {
    return this.#done ? [] : this.#follow(this.#client.end(), now)
  }

  tick(now: Instant): readonly AttemptOutput[] {
    return this.#done ? [] : this.#follow(this.#client.tick(now), now)
  }

  body(piece: Uint8Array): readonly AttemptOutput[] {
    return this.#client.body(piece) as readonly AttemptOutput[]
  }

  endBody(now: Instant): readonly AttemptOutput[] {
    this.#sending = false
    return this.#follow(this.#client.endBody(this.#order.size, { step: 'end' }, now), now)
  }

  /** The message cannot be read: leave without ending it, so that nobody takes half of it for the whole. */
  abandon(why: Failure): readonly AttemptOutput[] {
    return [...this.#settle({ kind: 'deferred', by: why }), ...this.#finish(), { kind: 'close', how: 'at-once' }]
  }

  #follow(outputs: readonly ClientOutput<Tag>[], now: Instant): readonly AttemptOutput[] {
    const out: AttemptOutput[] = []
    for (const output of outputs) {
      if (output.kind === 'answered') out.push(...this.#answered(output.tag, output.heard.value, now))
      else if (output.kind === 'failed') {
        // The connection is being closed already.
        if (this.#done) break
        out.push(
          ...this.#settle({ kind: 'deferred', by: { status: output.status, why: output.why } }),
          ...this.#finish(),
        )
      } else out.push(output)
    }
    return out
  }

  #answered(tag: Tag, reply: Reply, now: Instant): readonly AttemptOutput[] {
    // Whatever it answers, the server hangs up with it, and what waits behind it gets no reply (RFC 5321 §3.8).
    if (reply.code === 421) return this.#giveUp(reply, now)
    switch (tag.step) {
      case 'greeting':
        if (digit(reply) !== 2) return this.#giveUp(reply, now)
        return this.#say({ kind: 'ehlo', domain: this.#order.hello }, { step: 'ehlo' }, now)
      case 'ehlo':
        if (digit(reply) === 2) {
          this.#offered = readCapabilities(reply)
          return this.#afterHello(now)
        }
        this.#ehloRefused = sayReply(reply)
        return this.#say({ kind: 'helo', domain: this.#order.hello }, { step: 'helo' }, now)
      case 'helo':
        return digit(reply) === 2 ? this.#afterHello(now) : this.#giveUp(reply, now)
      case 'login':
        return this.#login(reply, now)
      case 'mail':
        if (digit(reply) !== 2) this.#refusal = reply
        return this.#pipelined ? [] : this.#afterMail(now)
      case 'rcpt':
        return this.#afterRecipient(tag.recipient, reply, now)
      case 'data':
        return this.#afterData(reply, now)
      case 'end':
        return this.#sending ? this.#early(reply) : [...this.#settle(this.#verdict(reply)), ...this.#quit(now)]
      case 'rset':
        return this.#quit(now)
      case 'quit':
        return [...this.#finish(), { kind: 'close', how: 'after-writes' }]
      default:
        return []
    }
  }

  #afterHello(now: Instant): readonly AttemptOutput[] {
    const { login } = this.#order
    if (!login) return this.#transaction(now)
    const verb = login.verb.toUpperCase()
    if (offers(this.#offered, verb, 'LOGIN')) {
      this.#sasl = loginClient(utf8(login.user), utf8(login.password))
      return this.#client.authenticate(login.verb, 'LOGIN', { step: 'login' }, now) as readonly AttemptOutput[]
    }
    if (!login.required) return this.#transaction(now)
    const heard =
      this.#ehloRefused === undefined ? 'it is not in the EHLO list' : `EHLO was answered ${this.#ehloRefused}`
    return this.#giveUp({ status: '4.7.0', why: `${login.by} requires ${verb}, which is not offered: ${heard}` }, now)
  }

  #login(reply: Reply, now: Instant): readonly AttemptOutput[] {
    const { login } = this.#order
    if (digit(reply) === 3) {
      const challenge = bytes((reply.text[0] ?? '').replace(/[^\x21-\x7e]/g, ''))
      const response = this.#sasl?.step(challenge)
      if (response) return this.#client.respond(response, { step: 'login' }, now) as readonly AttemptOutput[]
      return this.#giveUp({ status: '4.7.0', why: 'the server asked for more than a name and a password' }, now)
    }
    // Only 235 is a login (RFC 4954 §4): a box that makes NOOP of what it does not know has a 250 for everything.
    if (reply.code === 235 || !login?.required) return this.#transaction(now)
    const verb = login.verb.toUpperCase()
    return this.#giveUp(
      { status: '4.7.0', why: `${login.by} requires ${verb}, which was refused: ${sayReply(reply)}` },
      now,
    )
  }

  get #pipelined(): boolean {
    return offers(this.#offered, 'PIPELINING')
  }

  /** What the peer would have to take and does not say it can (RFC 6152 §3, RFC 6531 §3.5). */
  #unsendable(): Failure | undefined {
    const { envelope, size } = this.#order
    if (envelope.body === 'binarymime' && !(offers(this.#offered, 'BINARYMIME') && offers(this.#offered, 'CHUNKING'))) {
      return { status: '5.6.3', why: 'the message is binary, and the next server takes no BINARYMIME' }
    }
    if (envelope.body === '8bitmime' && !offers(this.#offered, '8BITMIME')) {
      return { status: '5.6.3', why: 'the message is 8-bit, and the next server takes no 8BITMIME' }
    }
    if (envelope.smtputf8 && !offers(this.#offered, 'SMTPUTF8') && !this.#isAscii()) {
      return { status: '5.6.7', why: 'an address is outside ASCII, and the next server takes no SMTPUTF8' }
    }
    const limit = Number(this.#offered.keywords.get('SIZE')?.[0] ?? 0)
    return limit > 0 && size > limit
      ? { status: '5.3.4', why: `the message has ${size} octets, and the next server takes ${limit}` }
      : undefined
  }

  #isAscii(): boolean {
    const { from, recipients } = this.#order.envelope
    const all = [...(from ? [from] : []), ...recipients.map(({ to }) => to)]
    return all.every(({ local, domain }) => isAscii(local + domain))
  }

  #transaction(now: Instant): readonly AttemptOutput[] {
    const unsendable = this.#unsendable()
    if (unsendable) return [...this.#settle({ kind: 'failed', by: unsendable }), ...this.#quit(now)]
    this.#chunking = offers(this.#offered, 'CHUNKING')
    const mail = this.#say(
      { kind: 'mail', from: this.#order.envelope.from, params: this.#mailParams() },
      { step: 'mail' },
      now,
    )
    return this.#pipelined ? [...mail, ...this.#afterMail(now)] : mail
  }

  #mailParams(): readonly Param[] {
    const { envelope, size } = this.#order
    const params: Param[] = []
    if (offers(this.#offered, 'SIZE')) params.push({ keyword: 'SIZE', value: String(size) })
    if (envelope.body !== '7bit' && offers(this.#offered, envelope.body.toUpperCase())) {
      params.push({ keyword: 'BODY', value: envelope.body.toUpperCase() })
    }
    if (envelope.smtputf8 && offers(this.#offered, 'SMTPUTF8')) params.push({ keyword: 'SMTPUTF8' })
    if (offers(this.#offered, 'DSN')) {
      if (envelope.ret) params.push({ keyword: 'RET', value: envelope.ret })
      if (envelope.envid !== undefined) params.push({ keyword: 'ENVID', value: envelope.envid })
    }
    return params
  }

  /** RCPT for all of them, and DATA behind them where the peer takes a group. */
  #afterMail(now: Instant): readonly AttemptOutput[] {
    if (this.#refusal) return [...this.#settle(this.#verdict(this.#refusal)), ...this.#quit(now)]
    const out: AttemptOutput[] = []
    for (const recipient of this.#pipelined ? this.#order.recipients : this.#order.recipients.slice(0, 1)) {
      out.push(...this.#rcpt(recipient, now))
    }
    if (this.#pipelined && !this.#chunking) out.push(...this.#say({ kind: 'data' }, { step: 'data' }, now))
    return out
  }

  #rcpt(recipient: number, now: Instant): readonly AttemptOutput[] {
    const found = this.#order.envelope.recipients[recipient]
    if (!found) return []
    const params: Param[] = []
    if (offers(this.#offered, 'DSN')) {
      if (found.notify !== undefined) params.push({ keyword: 'NOTIFY', value: found.notify })
      if (found.orcpt !== undefined) params.push({ keyword: 'ORCPT', value: found.orcpt })
    }
    return this.#say({ kind: 'rcpt', to: found.to, params }, { step: 'rcpt', recipient }, now)
  }

  #afterRecipient(recipient: number, reply: Reply, now: Instant): readonly AttemptOutput[] {
    const { recipients } = this.#order
    const out: AttemptOutput[] = []
    if (digit(reply) === 2 && !this.#refusal) this.#accepted.push(recipient)
    else out.push(...this.#settle(this.#verdict(this.#refusal ?? reply), [recipient]))
    const next = recipients.indexOf(recipient) + 1
    if (!this.#pipelined && next < recipients.length) return [...out, ...this.#rcpt(recipients[next] ?? -1, now)]
    const last = next === recipients.length
    if (!last || (this.#pipelined && !this.#chunking)) return out
    if (this.#accepted.length === 0) return [...out, ...this.#quit(now)]
    if (!this.#chunking) return [...out, ...this.#say({ kind: 'data' }, { step: 'data' }, now)]
    const chunk = { kind: 'bdat', size: this.#order.size, last: true } as const
    return [...out, ...this.#say(chunk, { step: 'end' }, now), ...this.#wantBody()]
  }

  #afterData(reply: Reply, now: Instant): readonly AttemptOutput[] {
    if (digit(reply) === 2) {
      // Nothing was sent yet: a yes to it would count as delivered what nobody has.
      const by = { status: '4.5.0', why: `DATA was answered ${sayReply(reply)}` }
      return [...this.#settle({ kind: 'deferred', by }), ...this.#quit(now)]
    }
    if (digit(reply) !== 3) return [...this.#settle(this.#verdict(this.#refusal ?? reply)), ...this.#quit(now)]
    if (this.#accepted.length > 0) return this.#wantBody()
    // It takes data for nobody: an empty message ends that, and counts as delivered for no one (RFC 2920 §3.1).
    return this.#client.endBody(0, { step: 'rset' }, now) as readonly AttemptOutput[]
  }

  #wantBody(): readonly AttemptOutput[] {
    this.#sending = true
    return [{ kind: 'want-body' }]
  }

  /** A reply in the middle of the chunk. A refusal counts; a yes cannot mean a message that is not there yet. */
  #early(reply: Reply): readonly AttemptOutput[] {
    const by = { status: '4.5.0', why: `answered before the message was over: ${sayReply(reply)}` }
    const outcome: Outcome = digit(reply) === 2 ? { kind: 'deferred', by } : this.#verdict(reply)
    // A QUIT would be taken for octets of the chunk.
    return [...this.#settle(outcome), ...this.#finish(), { kind: 'close', how: 'at-once' }]
  }

  #verdict(reply: Reply): Outcome {
    return classify(reply, { to: this.#order.to, kind: this.#order.outcome })
  }

  #giveUp(by: Reply | Failure, now: Instant): readonly AttemptOutput[] {
    // Whatever stands in the way of a session, it says nothing about a message: 5xx or not, it is tried again.
    const outcomes = this.#settle({ kind: 'deferred', by })
    return 'code' in by && by.code === 421
      ? [...outcomes, ...this.#finish(), { kind: 'close', how: 'after-writes' }]
      : [...outcomes, ...this.#quit(now)]
  }

  /** The outcome of all who have none yet, or of those named. */
  #settle(outcome: Outcome, which: readonly number[] = [...this.#open]): readonly AttemptOutput[] {
    const open = which.filter(recipient => this.#open.delete(recipient))
    return open.map(recipient => ({ kind: 'outcome', recipient, outcome }))
  }

  #quit(now: Instant): readonly AttemptOutput[] {
    return this.#say({ kind: 'quit' }, { step: 'quit' }, now)
  }

  #finish(): readonly AttemptOutput[] {
    if (this.#done) return []
    this.#done = true
    return [{ kind: 'done' }]
  }

  #say(command: Parameters<Client<Tag>['say']>[0], tag: Tag, now: Instant): readonly AttemptOutput[] {
    return this.#follow(this.#client.say(command, tag, now), now)
  }
}
