/**
 * The transactions of one message in a session: MAIL, RCPT and the content, as often as it takes for all of its recipients.
 *
 * How the session came about, and what follows, is `attempt.ts`'s affair: it is told by `over`.
 */

import type { Instant } from '../base/time.ts'
import { inALabels } from '../smtp/address.ts'
import { type Capabilities, offers } from '../smtp/capabilities.ts'
import type { Client, ClientOutput } from '../smtp/client.ts'
import type { Params } from '../smtp/params.ts'
import { digit, type Reply, sayReply } from '../smtp/reply.ts'
import type { Outcome } from '../spool/entry.ts'
import { classify } from './classify.ts'
import {
  type Form,
  isOfCommand,
  isOfParameters,
  isPlain,
  isTooMany,
  mailParams,
  mostRecipients,
  rcptParams,
} from './fitting.ts'
import type { Order, Without } from './order.ts'

/** What was said in a transaction, for the reply that answers it. */
export type TransactionTag =
  | { readonly step: 'mail' | 'xexch50' | 'blob' | 'data' | 'end' | 'nobody' }
  /** `stored`: what a store made of the message for this recipient. */
  | { readonly step: 'rcpt' | 'stored'; readonly recipient: number }

export type TransactionOutput<Tag> =
  | ClientOutput<Tag>
  /** The server is ready for the message. */
  | { readonly kind: 'want-body' }
  | { readonly kind: 'note'; readonly what: string }
  /** The outcome of those named, or of all who have none yet. */
  | { readonly kind: 'settled'; readonly outcome: Outcome; readonly which?: readonly number[] }
  /**
   * Something did not work, and can be gone without on another connection. Nobody here has the message yet. `recipient`: whom
   * it was refused for; it may have been their address that was not liked.
   */
  | { readonly kind: 'again'; readonly without: Without; readonly why: string; readonly recipient?: number }
  /**
   * Nothing more is to be said of this message. `idle`: the session can take another; `begun`: once RSET has ended what
   * was begun; `quit`: it cannot; `hang-up`: nor can it be told so.
   */
  | { readonly kind: 'over'; readonly then: 'idle' | 'begun' | 'quit' | 'hang-up' }

export interface Passage {
  readonly order: Order
  /** The message's form and size as this server gets it. */
  readonly form: Form
  readonly offered: Capabilities
  readonly loggedIn: boolean
  /** Who has no outcome yet. */
  readonly recipients: readonly number[]
}

export class Transaction<Tag> {
  readonly #client: Client<Tag | TransactionTag>
  readonly #passage: Passage
  readonly #pipelined: boolean
  readonly #chunking: boolean
  readonly #hasBlob: boolean
  /** Recipients beyond what the server takes in one transaction (RFC 5321 §4.5.3.1.10). */
  readonly #later: number[]
  /** Of this transaction: whom it is for, whom the server took, and why it took nobody. */
  #round: readonly number[] = []
  #accepted: number[] = []
  #refusal: Reply | undefined
  /** The message is going out: nobody may answer it yet. */
  #sending = false

  constructor(client: Client<Tag | TransactionTag>, passage: Passage) {
    const { order, offered, loggedIn, recipients } = passage
    this.#client = client
    this.#passage = passage
    this.#pipelined = offers(offered, 'PIPELINING')
    this.#chunking = offers(offered, 'CHUNKING')
    this.#hasBlob = order.envelope.blob !== undefined && loggedIn && offers(offered, 'XEXCH50')
    this.#later = [...recipients]
  }

  begin(now: Instant): readonly Said<Tag>[] {
    const isLost = this.#passage.order.envelope.blob !== undefined && !this.#hasBlob
    return [
      ...(isLost ? [{ kind: 'note', what: `XEXCH50 is not to be had: ${LOST}` } as const] : []),
      ...this.#next(now),
    ]
  }

  answered(tag: TransactionTag, reply: Reply, now: Instant): readonly Said<Tag>[] {
    switch (tag.step) {
      case 'mail':
        if (digit(reply) !== 2) {
          if (isOfParameters(reply, this.#mailParams(now)) && this.#canSpare) return [withoutParameters('MAIL', reply)]
          this.#refusal = reply
        }
        return this.#pipelined ? [] : this.#afterMail(now)
      case 'rcpt':
        return this.#afterRecipient(tag.recipient, reply, now)
      case 'xexch50':
        return this.#afterXexch50(reply, now)
      case 'blob':
        return digit(reply) === 2 ? this.#content(now) : this.#dropBlob(reply, now)
      case 'data':
        return this.#afterData(reply, now)
      case 'stored':
        return this.#afterStored(tag.recipient, reply, now)
      case 'end':
        return this.#sending ? this.early(reply) : this.#afterMessage(reply, now)
      default:
        return this.#next(now)
    }
  }

  /** A reply in the middle of the message. A refusal counts; a yes cannot mean a message that is not there yet. */
  early(reply: Reply): readonly Said<Tag>[] {
    if (this.#chunking && isOfCommand(reply)) return withoutBdat(reply)
    const by = { status: '4.5.0', why: `answered before the message was over: ${sayReply(reply)}` }
    const outcome: Outcome = digit(reply) === 2 ? { kind: 'deferred', by } : this.#verdict(reply)
    // A QUIT would be taken for octets of the message.
    return [{ kind: 'settled', outcome }, over('hang-up')]
  }

  /** The message is out. `hold`: so long must the end of DATA wait. */
  endBody(now: Instant, hold: number): readonly Said<Tag>[] {
    this.#sending = false
    const each = this.#accepted.map(recipient => ({ step: 'stored', recipient }) as const)
    const { order, form } = this.#passage
    return this.#client.endBody(form.size, order.lmtp ? each : [{ step: 'end' }], now, hold)
  }

  /** The next transaction with those who have not had their turn, or the end. */
  #next(now: Instant): readonly Said<Tag>[] {
    if (this.#later.length === 0) return [over('idle')]
    const { order, offered } = this.#passage
    this.#round = this.#later.splice(0, mostRecipients(offered))
    this.#accepted = []
    this.#refusal = undefined
    const { from } = order.envelope
    const command = { kind: 'mail', from, params: this.#mailParams(now) } as const
    const mail = this.#client.say(command, { step: 'mail' }, now)
    return this.#pipelined ? [...mail, ...this.#afterMail(now)] : mail
  }

  #mailParams(now: Instant): Params {
    const { order, offered, form } = this.#passage
    return mailParams(offered, order.envelope, { form, now })
  }

  /** Can what the parameters ask be done without them? */
  get #canSpare(): boolean {
    const {
      order: { envelope },
      offered,
    } = this.#passage
    const isSecret = envelope.requireTls === true && offers(offered, 'REQUIRETLS')
    return !isSecret && envelope.deliverBy?.mode !== 'return' && (!envelope.smtputf8 || isPlain(envelope))
  }

  /** Does DATA leave with the group? */
  get #groupsData(): boolean {
    // A store that took nobody would answer the end of data with no reply at all.
    return this.#pipelined && !this.#chunking && !this.#hasBlob && !this.#passage.order.lmtp
  }

  /** RCPT for all of them, and DATA behind them where the peer takes a group. */
  #afterMail(now: Instant): readonly Said<Tag>[] {
    if (this.#refusal) return [{ kind: 'settled', outcome: this.#verdict(this.#refusal) }, over('idle')]
    const rcpts = (this.#pipelined ? this.#round : this.#round.slice(0, 1)).flatMap(each => this.#rcpt(each, now))
    return this.#groupsData ? [...rcpts, ...this.#client.say({ kind: 'data' }, { step: 'data' }, now)] : rcpts
  }

  #rcpt(recipient: number, now: Instant): readonly Said<Tag>[] {
    const { order, offered } = this.#passage
    const found = order.envelope.recipients[recipient]
    if (!found) return []
    // An address of ours may stand in the place of the one that the client said, without SMTPUTF8 (RFC 6531 §3.4).
    const to = order.envelope.smtputf8 ? found.to : inALabels(found.to)
    const command = { kind: 'rcpt', to, params: rcptParams(offered, found) } as const
    return this.#client.say(command, { step: 'rcpt', recipient }, now)
  }

  #afterRecipient(recipient: number, reply: Reply, now: Instant): readonly Said<Tag>[] {
    const { order, offered } = this.#passage
    const params = rcptParams(offered, order.envelope.recipients[recipient])
    if (!this.#refusal && isOfParameters(reply, params) && this.#canSpare)
      return [{ ...withoutParameters('RCPT', reply), recipient }]
    const round = this.#round
    const out: Said<Tag>[] = []
    if (digit(reply) === 2 && !this.#refusal) this.#accepted.push(recipient)
    else if (!this.#refusal && this.#accepted.length > 0 && isTooMany(reply)) this.#later.push(recipient)
    else out.push({ kind: 'settled', outcome: this.#verdict(this.#refusal ?? reply), which: [recipient] })
    const next = round.indexOf(recipient) + 1
    if (!this.#pipelined && next < round.length) return [...out, ...this.#rcpt(round[next] ?? -1, now)]
    if (next < round.length) return out
    // DATA was said with the group already.
    if (this.#groupsData) return out
    if (this.#accepted.length === 0) return [...out, over('begun')]
    return [...out, ...(this.#hasBlob ? this.#xexch50(now) : this.#content(now))]
  }

  #content(now: Instant): readonly Said<Tag>[] {
    if (!this.#chunking) return this.#client.say({ kind: 'data' }, { step: 'data' }, now)
    const chunk = { kind: 'bdat', size: this.#passage.form.size, last: true } as const
    return [...this.#client.say(chunk, { step: 'end' }, now), ...this.#wantBody()]
  }

  #xexch50(now: Instant): readonly Said<Tag>[] {
    const { blob } = this.#passage.order.envelope
    if (!blob) return this.#content(now)
    const command = { kind: 'xexch50', size: blob.bytes.length, version: blob.version } as const
    return this.#client.say(command, { step: 'xexch50' }, now)
  }

  #afterXexch50(reply: Reply, now: Instant): readonly Said<Tag>[] {
    const { blob } = this.#passage.order.envelope
    if (digit(reply) !== 3 || !blob) return this.#dropBlob(reply, now)
    return this.#client.blob(blob.bytes, { step: 'blob' }, now)
  }

  /** Ordinary mail does without it; that it is lost must be known. */
  #dropBlob(reply: Reply, now: Instant): readonly Said<Tag>[] {
    return [{ kind: 'note', what: `XEXCH50 was answered ${sayReply(reply)}: ${LOST}` }, ...this.#content(now)]
  }

  #afterData(reply: Reply, now: Instant): readonly Said<Tag>[] {
    if (digit(reply) === 2) {
      // Nothing was sent yet: a yes to it would count as delivered what nobody has.
      const by = { status: '4.5.0', why: `DATA was answered ${sayReply(reply)}` }
      return [{ kind: 'settled', outcome: { kind: 'deferred', by } }, over('quit')]
    }
    if (digit(reply) !== 3) {
      const outcome = this.#verdict(this.#refusal ?? reply)
      return [{ kind: 'settled', outcome, which: this.#accepted }, over(this.#refusal === undefined ? 'begun' : 'idle')]
    }
    if (this.#accepted.length > 0) return this.#wantBody()
    // It takes data for nobody: an empty message ends that, and counts as delivered for no one (RFC 2920 §3.1).
    return this.#client.endBody(0, [{ step: 'nobody' }], now)
  }

  #wantBody(): readonly Said<Tag>[] {
    this.#sending = true
    return [{ kind: 'want-body' }]
  }

  #afterMessage(reply: Reply, now: Instant): readonly Said<Tag>[] {
    if (this.#chunking && isOfCommand(reply)) return withoutBdat(reply)
    return [{ kind: 'settled', outcome: this.#verdict(reply), which: this.#accepted }, ...this.#next(now)]
  }

  #afterStored(recipient: number, reply: Reply, now: Instant): readonly Said<Tag>[] {
    const settled = { kind: 'settled', outcome: this.#verdict(reply), which: [recipient] } as const
    return recipient === this.#accepted.at(-1) ? [settled, ...this.#next(now)] : [settled]
  }

  #verdict(reply: Reply): Outcome {
    const { order, offered } = this.#passage
    const outcome = classify(reply, { to: order.to, kind: order.outcome })
    // Who asked to be told of a delivery is told by those who come after, if they can (RFC 3461 §5.2.2).
    if (outcome.kind !== 'relayed') return outcome
    // Who is to tell of the time likewise (RFC 2852 §4).
    const timed = order.envelope.deliverBy === undefined || offers(offered, 'DELIVERBY')
    return { ...outcome, ...(offers(offered, 'DSN') && { dsn: true }), ...(!timed && { untimed: true }) }
  }
}

type Said<Tag> = TransactionOutput<Tag | TransactionTag>

function over(then: 'idle' | 'begun' | 'quit' | 'hang-up') {
  return { kind: 'over', then } as const
}

/** Who does not know BDAT takes the octets of the chunk for commands: nothing can be said on that connection any more. */
function withoutBdat(reply: Reply) {
  return [{ kind: 'again', without: 'bdat', why: `BDAT is offered, and was answered ${sayReply(reply)}` }] as const
}

/** RCPT and DATA may be under way already, and a message must not follow them: another connection is simpler, and safe. */
function withoutParameters(verb: string, reply: Reply) {
  const why = `the parameters of ${verb} are of what is offered, and were answered ${sayReply(reply)}`
  return { kind: 'again', without: 'parameters', why } as const
}

const LOST = 'what only Exchange reads of the message is lost here'
