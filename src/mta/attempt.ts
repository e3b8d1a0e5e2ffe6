/**
 * One delivery as a machine: a message and its recipients in, an outcome per recipient out.
 *
 * It says EHLO and falls back to HELO; it starts TLS and logs in where its order says so, and where that is required and
 * not to be had it sends no MAIL at all: mail that waits is better than mail that went in clear, or as a stranger.
 */
import { fromBase64 } from '../base/bytes.ts'
import type { Machine, TlsFacts, WireOutput } from '../base/machine.ts'
import type { Instant } from '../base/time.ts'
import type { Envelope } from '../mail/envelope.ts'
import { type Capabilities, NO_CAPABILITIES, offers, readCapabilities } from '../smtp/capabilities.ts'
import { Client } from '../smtp/client.ts'
import { type Chunk, cutFrame, readFrameReply } from '../smtp/link2state.ts'
import { digit, type Reply, sayReply } from '../smtp/reply.ts'
import type { SaslClient, SaslClientAnswer, SaslClientQuestion, SaslClientStep } from '../smtp/sasl/mechanism.ts'
import { type Failure, type Outcome, sayOutcome } from '../spool/entry.ts'
import { heardFrom, kept } from './classify.ts'
import { type Form, requiresTls, spare, unsendableTo, wantedForm } from './fitting.ts'
import { FLOORS, type Floor, isMasked, type Order, TLS_IS_MISSING, type Without, type Workaround } from './order.ts'
import { Transaction, type TransactionOutput, type TransactionTag } from './transaction.ts'

export type { Order } from './order.ts'

export type AttemptOutput =
  | WireOutput
  /** The server is ready for the message: hand it in by `body`, then `endBody`. */
  | { readonly kind: 'want-body' }
  /** The next server does not take the message as it is: answer by `converted` or `unconvertible`. */
  | { readonly kind: 'convert'; readonly to: '7bit' | '8bitmime'; readonly smtputf8: boolean }
  /** A mechanism must have something worked out: answer by `answer`. */
  | { readonly kind: 'ask'; readonly question: SaslClientQuestion }
  | { readonly kind: 'outcome'; readonly recipient: number; readonly outcome: Outcome }
  /**
   * Something did not work and may be gone without: dial again, for those who have no outcome, and leave it out. `recipient`:
   * whether it was that, this one will show.
   */
  | { readonly kind: 'again'; readonly without: Without; readonly why: string; readonly recipient?: number }
  /** The session is not to be had with this server; nothing was said of any message. */
  | { readonly kind: 'elsewhere'; readonly by: Reply | Failure }
  /** The other side answered a `pull`. */
  | { readonly kind: 'pulled'; readonly reply: Reply }
  /** And said yes to TURN or ATRN: from here on this end is the server, and this machine has no more to say. */
  | { readonly kind: 'turned'; readonly tls?: TlsFacts }
  /** The other end is there: it answered, whatever it said. */
  | { readonly kind: 'answered' }
  /** The order is carried out, and the session can take another: `next`, or `quit`. */
  | { readonly kind: 'idle' }
  /** Something an operator should know, that changed nothing. */
  | { readonly kind: 'note'; readonly what: string }
  /** Every recipient has its outcome; the connection is being closed. */
  | { readonly kind: 'done' }
  | { readonly kind: 'trace'; readonly by: 'C' | 'S'; readonly text: string }

type Tag = TransactionTag | { readonly step: Step }
type Step =
  | 'greeting'
  | 'ehlo'
  | 'helo'
  | 'starttls'
  | 'login'
  | 'cancel'
  | 'ehlo-again'
  | 'link-state'
  | 'pull'
  | 'rset'
  | 'quit'

export interface AttemptOptions {
  readonly trace: boolean
  /** Be ready for another order when one is carried out, instead of saying QUIT. */
  readonly keep?: boolean
}

export class Attempt implements Machine<AttemptOutput> {
  readonly #keep: boolean
  #order: Order
  readonly #client: Client<Tag>
  #offered: Capabilities = NO_CAPABILITIES
  #tls: TlsFacts | undefined
  #masked = false
  #sasl: SaslClient | undefined
  #loggedIn = false
  #asksAgain = false
  /** Pieces of a frame of routing state that are still to be said. */
  #chunks: readonly Chunk[] = []
  /** The message's form and size as this server gets it. */
  #form: Form
  /** Who has no outcome yet. */
  #open: Set<number>
  #passing: Transaction<Tag> | undefined
  #done = false
  #ehloRefused: string | undefined
  #gaveUp = ''

  constructor(order: Order, { trace, keep = false }: AttemptOptions) {
    this.#keep = keep
    this.#order = order
    this.#client = new Client({ trace })
    this.#open = new Set(order.recipients)
    this.#tls = order.tls?.facts
    this.#form = { body: order.envelope.body, size: order.size }
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

  /** Another order for the same server, after `idle`. How to behave in the session is settled already. */
  next(order: Order, now: Instant): readonly AttemptOutput[] {
    if (this.#done) return []
    this.#order = order
    this.#open = new Set(order.recipients)
    this.#form = { body: order.envelope.body, size: order.size }
    // The way was chosen for another message; this one may ask for more (RFC 8689 §4.2.1).
    const lacking =
      this.#unproven() ?? (this.#tls ? undefined : (this.#clear('and the session has none') ?? this.#untried()))
    if (lacking) return [...this.#settle({ kind: 'deferred', by: lacking }), ...this.#rest(now)]
    return this.#transaction(now)
  }

  /** No more orders, after `idle`. */
  quit(now: Instant): readonly AttemptOutput[] {
    return this.#done ? [] : this.#quit(now)
  }

  secured(tls: TlsFacts, now: Instant): readonly AttemptOutput[] {
    if (this.#done) return []
    this.#tls = tls
    this.#offered = NO_CAPABILITIES
    return [...this.#follow(this.#client.secured(tls, now), now), ...this.#hello(now)]
  }

  /** The handshake failed; the connection is of no use any more. */
  unsecured(why: string): readonly AttemptOutput[] {
    return this.#done ? [] : this.#withoutTls(`the TLS handshake failed: ${why}`)
  }

  body(piece: Uint8Array, now: Instant): readonly AttemptOutput[] {
    return this.#follow(this.#client.body(piece, now), now)
  }

  endBody(now: Instant): readonly AttemptOutput[] {
    const { workarounds } = this.#order
    const hold = this.#works('delay_dotcrlf') && workarounds ? workarounds.delay : 0
    return this.#follow(this.#passing?.endBody(now, hold) ?? [], now)
  }

  /** The message in the form that was asked for has so many octets. */
  converted(size: number, now: Instant): readonly AttemptOutput[] {
    const body = this.#form.body === 'binarymime' && offers(this.#offered, '8BITMIME') ? '8bitmime' : '7bit'
    this.#form = { body, size }
    return this.#done ? [] : this.#transaction(now)
  }

  unconvertible(by: Failure, now: Instant): readonly AttemptOutput[] {
    return [...this.#settle({ kind: 'failed', by }), ...this.#rest(now)]
  }

  answer(answer: SaslClientAnswer, now: Instant): readonly AttemptOutput[] {
    return this.#sasl && !this.#done ? this.#saslStep(this.#sasl.answer(answer), now) : []
  }

  /** Whoever needs the connection waits for the greeting no longer; once it came it makes no difference. */
  impatient(why: Failure): readonly AttemptOutput[] {
    if (this.#done || this.#client.phase !== 'greeting') return []
    return [...this.#later(why), ...this.#finish(), { kind: 'close', how: 'at-once' }]
  }

  /** The message cannot be read: leave without ending it, so that nobody takes half of it for the whole. */
  abandon(why: Failure): readonly AttemptOutput[] {
    return [...this.#settle({ kind: 'deferred', by: why }), ...this.#finish(), { kind: 'close', how: 'at-once' }]
  }

  #follow(outputs: readonly TransactionOutput<Tag>[], now: Instant): readonly AttemptOutput[] {
    const out: AttemptOutput[] = []
    for (const output of outputs) {
      // The connection is being closed already: what else is heard is about nothing.
      if (this.#done) break
      if (output.kind === 'answered') out.push(...this.#answered(output.tag, output.heard.value, now))
      else if (output.kind === 'interrupted')
        out.push(...this.#follow(this.#passing?.early(output.heard.value) ?? [], now))
      else if (output.kind === 'settled') out.push(...this.#settle(output.outcome, output.which))
      else if (output.kind === 'over') out.push(...this.#over(output.then, now))
      else if (output.kind === 'again') out.push(output, ...this.#over('hang-up', now))
      else if (output.kind === 'failed') {
        const by = { status: output.status, why: output.why }
        return [...out, ...this.#later(by), ...this.#finish(), { kind: 'close', how: 'at-once' }]
      } else out.push(output)
    }
    return out
  }

  #answered(tag: Tag, reply: Reply, now: Instant): readonly AttemptOutput[] {
    const next = this.#afterReply(tag, reply, now)
    return tag.step === 'greeting' ? [{ kind: 'answered' }, ...next] : next
  }

  #afterReply(tag: Tag, reply: Reply, now: Instant): readonly AttemptOutput[] {
    // Whatever it answers, the server hangs up with it, and what waits behind it gets no reply (RFC 5321 §3.8).
    if (reply.code === 421) return this.#giveUp(reply, now)
    switch (tag.step) {
      case 'greeting':
        if (digit(reply) !== 2) return this.#giveUp(reply, now)
        this.#masked = isMasked(reply)
        return this.#hello(now)
      case 'ehlo':
        if (digit(reply) === 2) {
          this.#offered = this.#read(reply)
          return this.#afterHello(now)
        }
        if (this.#order.lmtp) return this.#giveUp(reply, now)
        this.#ehloRefused = sayReply(reply)
        return this.#say({ kind: 'helo', domain: this.#order.hello }, { step: 'helo' }, now)
      case 'helo':
        return digit(reply) === 2 ? this.#afterHello(now) : this.#giveUp(reply, now)
      case 'starttls':
        // The machine of the connection goes on by itself: `start-tls` is behind this reply.
        return digit(reply) === 2 ? [] : this.#withoutTls(`STARTTLS was answered ${sayReply(reply)}`)
      case 'login':
        return this.#login(reply, now)
      case 'cancel':
        return this.#noLogin(`a login, which was broken off: ${this.#gaveUp}`, now)
      case 'ehlo-again':
        if (digit(reply) === 2) this.#offered = this.#read(reply)
        return this.#linkState(now)
      case 'link-state':
        return this.#afterChunk(reply, now)
      case 'pull':
        return this.#pulled(reply, now)
      case 'rset':
        return digit(reply) === 2 ? [{ kind: 'idle' }] : this.#quit(now)
      case 'quit':
        return [...this.#finish(), { kind: 'close', how: 'after-writes' }]
      default:
        return this.#follow(this.#passing?.answered(tag, reply, now) ?? [], now)
    }
  }

  // ── hello, TLS, login ────────────────────────────────────────────────────────────────────────────────────────────

  #hello(now: Instant): readonly AttemptOutput[] {
    // Before a word is said: under TLS from the first octet on there is no other place to ask.
    const unproven = this.#unproven()
    if (unproven) return this.#giveUp(unproven, now)
    const { hello, login } = this.#order
    // Without EHLO there is neither TLS nor a login, so where one is wished it comes first, masked banner or not.
    const wished = login !== undefined || this.#floor >= FLOORS.indexOf('require')
    if (this.#order.lmtp) return this.#say({ kind: 'other', verb: 'LHLO', argument: hello }, { step: 'ehlo' }, now)
    if (this.#works('disable_esmtp') && !wished)
      return this.#say({ kind: 'helo', domain: hello }, { step: 'helo' }, now)
    return this.#say({ kind: 'ehlo', domain: hello }, { step: 'ehlo' }, now)
  }

  #read(reply: Reply): Capabilities {
    const { without = [], lmtp } = this.#order
    // Chunks gain nothing with a store, which is not far.
    return spare(readCapabilities(reply), new Set<Without>(lmtp ? [...without, 'bdat'] : without))
  }

  #works(name: Workaround): boolean {
    const { workarounds } = this.#order
    if (!this.#masked || !workarounds?.names.has(name)) return false
    return name !== 'delay_dotcrlf' || workarounds.queuedFor >= workarounds.threshold
  }

  /** How much TLS there must be, as its place in `FLOORS`; a message may ask for more than its way does. */
  get #floor(): number {
    const { tls, envelope, without } = this.#order
    const floor: Floor = tls?.floor ?? 'none'
    const wished: Floor = envelope.requireTls && !without?.has('tls') ? 'may' : 'none'
    const least: Floor = requiresTls(envelope) ? 'verify' : wished
    return Math.max(FLOORS.indexOf(floor), FLOORS.indexOf(least))
  }

  get #by(): string {
    const { tls, envelope } = this.#order
    return requiresTls(envelope) ? 'the message (REQUIRETLS)' : (tls?.by ?? 'this way')
  }

  #afterHello(now: Instant): readonly AttemptOutput[] {
    if (!this.#tls) {
      const wants = this.#floor >= FLOORS.indexOf('may')
      if (wants && offers(this.#offered, 'STARTTLS')) {
        return this.#say({ kind: 'starttls' }, { step: 'starttls' }, now)
      }
      const lacking = this.#clear(`which is not offered: ${this.#heard}`)
      if (lacking) return this.#giveUp(lacking, now)
      const { tls } = this.#order
      const what = `${tls?.by}: ${TLS_IS_MISSING}`
      if (wants && tls?.had) return [{ kind: 'note', what }, ...this.#authenticate(now)]
    }
    return this.#authenticate(now)
  }

  #authenticate(now: Instant): readonly AttemptOutput[] {
    const { login } = this.#order
    if (!login) return this.#transaction(now)
    const mechanisms = this.#offered.keywords.get(login.verb.toUpperCase()) ?? []
    this.#sasl = login.choose(mechanisms, this.#tls)
    if (this.#sasl) {
      const { initial } = this.#sasl.start()
      const first = { mechanism: this.#sasl.mechanism, initial }
      return this.#follow(this.#client.authenticate(login.verb, first, { step: 'login' }, now), now)
    }
    const verb = login.verb.toUpperCase()
    if (mechanisms.length === 0) return this.#noLogin(`${verb}, which is not offered: ${this.#heard}`, now)
    return this.#noLogin(`${verb}, and none of its mechanisms will do here: ${mechanisms.join(' ')}`, now)
  }

  get #heard(): string {
    if (this.#ehloRefused !== undefined) return `EHLO was answered ${this.#ehloRefused}`
    return 'it is not in the EHLO list'
  }

  /** TLS did not come about. In clear only where that is allowed, and then from the beginning. */
  #withoutTls(why: string): readonly AttemptOutput[] {
    const over = [...this.#finish(), { kind: 'close', how: 'at-once' } as const]
    if (this.#floor < FLOORS.indexOf('require')) return [{ kind: 'again', without: 'tls', why }, ...over]
    const by = { status: '4.7.0', why: `${this.#by} requires TLS: ${why}` }
    return [...this.#later(by), ...over]
  }

  /** There is no TLS; is that enough? */
  #clear(why: string): Failure | undefined {
    if (this.#floor < FLOORS.indexOf('require')) return undefined
    return { status: '4.7.0', why: `${this.#by} requires TLS, ${why}` }
  }

  /** TLS is wished for and offered, and the session began without: one of its own will have it. */
  #untried(): Failure | undefined {
    if (this.#floor < FLOORS.indexOf('may') || !offers(this.#offered, 'STARTTLS')) return undefined
    return { status: '4.7.0', why: 'the report is to go under TLS, and the session has none' }
  }

  /** The connection is secret, but is it with whom it should be? */
  #unproven(): Failure | undefined {
    const { tls, envelope } = this.#order
    if (this.#tls && requiresTls(envelope) && tls?.isHearsay) {
      const why = 'requires a server that DNSSEC or an MTA-STS policy names, and nobody vouches for this one'
      return { status: '4.7.5', why: `${this.#by} ${why}` }
    }
    const unproven = this.#tls?.unproven
    if (unproven === undefined || this.#floor < FLOORS.indexOf('verify')) return undefined
    return { status: '4.7.5', why: `${this.#by} requires a proven certificate: ${unproven}` }
  }

  #login(reply: Reply, now: Instant): readonly AttemptOutput[] {
    const { login } = this.#order
    if (digit(reply) === 3) {
      // Of the text as it came: what looks like an enhanced status is base64 here.
      const challenge = fromBase64((reply.text[0] ?? '').trim())
      const step: SaslClientStep = this.#sasl?.step(challenge) ?? { kind: 'give-up', why: 'nobody logs in' }
      return this.#saslStep(step, now)
    }
    // Only 235 is a login (RFC 4954 §4): a box that makes NOOP of what it does not know has a 250 for everything.
    if (reply.code === 235) {
      if (this.#sasl?.complete === false) {
        return this.#giveUp({ status: '4.7.0', why: 'the server said yes to a login before it had proved itself' }, now)
      }
      this.#loggedIn = true
      return this.#linkState(now)
    }
    return this.#noLogin(`${login?.verb.toUpperCase()}, which was refused: ${sayReply(reply)}`, now)
  }

  #saslStep(step: SaslClientStep, now: Instant): readonly AttemptOutput[] {
    if (step.kind === 'ask') return [step]
    if (step.kind === 'respond') return this.#follow(this.#client.respond(step.bytes, { step: 'login' }, now), now)
    this.#gaveUp = step.why
    return this.#follow(this.#client.cancel({ step: 'cancel' }, now), now)
  }

  #noLogin(what: string, now: Instant): readonly AttemptOutput[] {
    const { login, linkState } = this.#order
    if (!login?.required) {
      linkState?.broken(`it needs ${what}`)
      return this.#transaction(now)
    }
    return this.#giveUp({ status: '4.7.0', why: `${login.by} requires ${what}` }, now)
  }

  // ── routing state ────────────────────────────────────────────────────────────────────────────────────────────────

  #linkState(now: Instant): readonly AttemptOutput[] {
    const { linkState } = this.#order
    if (!linkState) return this.#transaction(now)
    if (offers(this.#offered, 'X-LINK2STATE')) {
      return this.#sayFrame(linkState.begin(offers(this.#offered, 'X-POSTERN-LINKSTATE')), now)
    }
    // Some list what only known peers may use once they know who it is.
    if (!this.#asksAgain) {
      this.#asksAgain = true
      return this.#say({ kind: 'ehlo', domain: this.#order.hello }, { step: 'ehlo-again' }, now)
    }
    linkState.broken(`X-LINK2STATE is not offered: ${this.#heard}`)
    return this.#transaction(now)
  }

  #sayFrame(frame: string | undefined, now: Instant): readonly AttemptOutput[] {
    const chunks = frame === undefined ? [] : cutFrame(frame, 'command')
    if (!chunks) this.#order.linkState?.broken('a name in the table holds an end of line')
    this.#chunks = chunks ?? []
    return this.#sayChunk(now)
  }

  /** One piece at a time: who refuses the first is spared thousands. */
  #sayChunk(now: Instant): readonly AttemptOutput[] {
    const [chunk, ...rest] = this.#chunks
    if (!chunk) return this.#transaction(now)
    this.#chunks = rest
    return this.#say({ kind: 'x-link2state', ...chunk }, { step: 'link-state' }, now)
  }

  #afterChunk(reply: Reply, now: Instant): readonly AttemptOutput[] {
    const { linkState } = this.#order
    const heard = readFrameReply(reply)
    if (heard.kind === 'more' && this.#chunks.length > 0) return this.#sayChunk(now)
    if (heard.kind === 'frame' && this.#chunks.length === 0) return this.#sayFrame(linkState?.hear(heard.frame), now)
    // Mail can do without; what the routes do then is theirs.
    linkState?.broken(`X-LINK2STATE was answered ${sayReply(reply)}`)
    this.#chunks = []
    return this.#transaction(now)
  }

  // ── the message ──────────────────────────────────────────────────────────────────────────────────────────────────

  #transaction(now: Instant): readonly AttemptOutput[] {
    const { pull } = this.#order
    if (pull) return this.#say(pull, { step: 'pull' }, now)
    const form = wantedForm(this.#offered, this.#form.body)
    if (form) return [{ kind: 'convert', to: form, smtputf8: offers(this.#offered, 'SMTPUTF8') }]
    const { lmtp, envelope } = this.#order
    // To a store it is handed, and not sent on: its time is over with it.
    const sent = lmtp ? withoutTime(envelope) : envelope
    const unsendable = unsendableTo(this.#offered, sent, { form: this.#form, now })
    if (unsendable) return [...this.#settle({ kind: 'failed', by: unsendable }), ...this.#rest(now)]
    this.#passing = new Transaction(this.#client, {
      order: this.#order,
      form: this.#form,
      offered: this.#offered,
      loggedIn: this.#loggedIn,
      recipients: this.#order.recipients.filter(recipient => this.#open.has(recipient)),
    })
    return this.#follow(this.#passing.begin(now), now)
  }

  #over(then: (TransactionOutput<Tag> & { readonly kind: 'over' })['then'], now: Instant): readonly AttemptOutput[] {
    if (then === 'hang-up') return [...this.#finish(), { kind: 'close', how: 'at-once' }]
    return then === 'quit' ? this.#quit(now) : this.#rest(now, { open: then === 'begun' })
  }

  #giveUp(by: Reply | Failure, now: Instant): readonly AttemptOutput[] {
    const outcomes = this.#later(by)
    return 'code' in by && by.code === 421
      ? [...outcomes, ...this.#finish(), { kind: 'close', how: 'after-writes' }]
      : [...outcomes, ...this.#quit(now)]
  }

  /** Whatever stands in the way of a session, it says nothing about a message: 5xx or not, it is tried again. */
  #later(by: Reply | Failure): readonly AttemptOutput[] {
    if (!this.#order.elsewhere || this.#passing) return this.#settle({ kind: 'deferred', by })
    this.#open = new Set()
    return [{ kind: 'elsewhere', by }]
  }

  /** The outcome of all who have none yet, or of those named. */
  #settle(outcome: Outcome, which: readonly number[] = [...this.#open]): readonly AttemptOutput[] {
    // Who asks for mail has no recipients, and must know all the same why it did not come to that.
    if (this.#order.pull) return [{ kind: 'note', what: sayOutcome(outcome) }]
    // Before the login nothing was said of routing; now nothing will be.
    if (outcome.kind === 'deferred' && !this.#loggedIn) this.#order.linkState?.broken(sayOutcome(outcome))
    const open = which.filter(recipient => this.#open.delete(recipient))
    const told = kept(heardFrom(this.#order.remote, outcome))
    return open.map(recipient => ({ kind: 'outcome', recipient, outcome: told }))
  }

  /** The order is carried out; `open`: a transaction was begun that came to nothing. */
  #rest(now: Instant, { open }: { readonly open: boolean } = { open: false }): readonly AttemptOutput[] {
    if (!this.#keep) return this.#quit(now)
    return open ? this.#say({ kind: 'rset' }, { step: 'rset' }, now) : [{ kind: 'idle' }]
  }

  #pulled(reply: Reply, now: Instant): readonly AttemptOutput[] {
    const turned = this.#client.phase === 'turned'
    return turned
      ? [{ kind: 'pulled', reply }, { kind: 'turned', ...(this.#tls && { tls: this.#tls }) }, ...this.#finish()]
      : [{ kind: 'pulled', reply }, ...this.#rest(now)]
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

function withoutTime({ deliverBy: _done, ...envelope }: Envelope): Envelope {
  return envelope
}
