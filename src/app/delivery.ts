/** A session that sends: an `Attempt` on a socket, with what it needs of the world. */
import type { TlsFacts } from '../base/machine.ts'
import { now } from '../io/clock.ts'
import { convert } from '../io/convert.ts'
import { Drive } from '../io/drive.ts'
import type { Call, Channel, Duplex } from '../io/sockets.ts'
import type { Secured } from '../io/tls.ts'
import { Attempt, type AttemptOutput, type Order } from '../mta/attempt.ts'
import type { Reply } from '../smtp/reply.ts'
import type { SaslClientAnswer, SaslClientQuestion } from '../smtp/sasl/mechanism.ts'
import type { Failure, Outcome } from '../spool/entry.ts'
import { words } from './words.ts'

/** One message for a session to send. */
export interface Job {
  readonly order: Order
  readonly body: () => AsyncIterable<Uint8Array>
}

/** What a session that sends needs, and whom it tells. */
export interface Hand {
  readonly outcome: (recipient: number, outcome: Outcome) => unknown
  readonly trace?: ((by: 'C' | 'S', text: string) => void) | undefined
  /** Something an operator should know. */
  readonly note?: (what: string) => void
  readonly secure?: (socket: Duplex) => Promise<Secured>
  readonly answer?: (question: SaslClientQuestion) => Promise<SaslClientAnswer>
  readonly pulled?: (reply: Reply) => void
  /** A server is called, and its answer waited for; until it came whoever needs the connection may call it off. */
  readonly calls?: (call: Call) => void
  /** The other end is there. */
  readonly answered?: () => void
  /** What the other end said already. */
  readonly heard?: Uint8Array
  /** Another message for the same server, once the one before has its outcomes; without it the session ends then. */
  readonly next?: () => Promise<Job | undefined>
}

/** How a session ended: as it should, to be had again without what did not work, or with the roles reversed. */
export type Ended =
  | { readonly kind: 'over' }
  | (AttemptOutput & { readonly kind: 'again' | 'elsewhere' })
  | { readonly kind: 'turned'; readonly socket: Channel; readonly tls?: TlsFacts }

/** What is said of a server whose answer others could not wait for. */
export const NOT_WAITED_FOR: Failure = {
  status: '4.4.1',
  why: 'it said nothing for so long, and others needed the connection',
}

/** Runs one session on a socket to its end. */
export async function runAttempt(socket: Channel, first: Job, hand: Hand, call?: Call): Promise<Ended> {
  return new Sending(socket, first, hand).run(call)
}

class Sending {
  readonly #hand: Hand
  readonly #attempt: Attempt
  readonly #drive: Drive<AttemptOutput>
  readonly #socket: Channel
  #body: () => AsyncIterable<Uint8Array>
  #ended: Ended = { kind: 'over' }

  constructor(socket: Channel, { order, body }: Job, hand: Hand) {
    this.#hand = hand
    this.#socket = socket
    this.#body = body
    this.#attempt = new Attempt(order, { trace: hand.trace !== undefined, keep: hand.next !== undefined })
    this.#drive = new Drive<AttemptOutput>(this.#attempt, socket, output => this.#perform(output), {
      readsOn: true,
      ...(hand.secure && { secure: hand.secure }),
    })
  }

  async run(call?: Call): Promise<Ended> {
    this.#drive.do(() => this.#attempt.open(now()))
    if (call) call.onOff = () => this.#drive.do(() => this.#attempt.impatient(NOT_WAITED_FOR))
    if (this.#hand.heard) this.#drive.hear(this.#hand.heard)
    await this.#drive.over
    return this.#ended
  }

  #perform(
    output: Exclude<AttemptOutput, { kind: 'write' | 'close' | 'start-tls' }>,
  ): undefined | Promise<readonly AttemptOutput[]> {
    const hand = this.#hand
    switch (output.kind) {
      case 'outcome':
        hand.outcome(output.recipient, output.outcome)
        return undefined
      case 'trace':
        hand.trace?.(output.by, output.text)
        return undefined
      case 'note':
        hand.note?.(output.what)
        return undefined
      case 'answered':
        hand.answered?.()
        return undefined
      case 'pulled':
        hand.pulled?.(output.reply)
        return undefined
      case 'want-body':
        // Not awaited here: a reply may come while the message is still going out, and must be read.
        void this.#send(this.#body)
        return undefined
      case 'convert':
        return this.#convert(output)
      case 'ask':
        return this.#answer(output.question)
      case 'again':
      case 'elsewhere':
        this.#ended = output
        return undefined
      case 'turned':
        // Nobody has a word before our greeting.
        this.#ended = { ...output, socket: this.#drive.release().socket }
        return undefined
      case 'idle':
        return this.#next()
      default:
        return undefined
    }
  }

  async #next(): Promise<readonly AttemptOutput[]> {
    const job = await this.#hand.next?.()
    if (!job) return this.#attempt.quit(now())
    this.#body = job.body
    return this.#attempt.next(job.order, now())
  }

  async #convert({ to, smtputf8 }: AttemptOutput & { readonly kind: 'convert' }): Promise<readonly AttemptOutput[]> {
    const converted = await convert(this.#body, to, { smtputf8 }).catch(cause => ({
      cannot: { status: '5.6.3', why: `the message cannot be converted: ${words(cause)}` },
    }))
    if ('cannot' in converted) return this.#attempt.unconvertible(converted.cannot, now())
    this.#body = converted.content
    return this.#attempt.converted(converted.size, now())
  }

  async #answer(question: SaslClientQuestion): Promise<readonly AttemptOutput[]> {
    const nobody: SaslClientAnswer = { kind: 'unavailable', why: 'nobody answers for this mechanism' }
    const answer = await this.#hand
      .answer?.(question)
      .catch((cause): SaslClientAnswer => ({ kind: 'unavailable', why: words(cause) }))
    return this.#attempt.answer(answer ?? nobody, now())
  }

  async #send(body: () => AsyncIterable<Uint8Array>): Promise<void> {
    const [attempt, drive] = [this.#attempt, this.#drive]
    try {
      let last: Uint8Array | undefined
      for await (const piece of body()) {
        if (this.#socket.destroyed) return
        if (last) {
          const before = last
          drive.do(() => attempt.body(before, now()))
          await drive.idle()
        }
        last = piece
      }
      // The last piece leaves in one write with the end.
      drive.do(() => [...(last ? attempt.body(last, now()) : []), ...attempt.endBody(now())])
    } catch (cause) {
      drive.do(() => attempt.abandon({ status: '4.3.0', why: `the message cannot be read: ${words(cause)}` }))
    }
  }
}
