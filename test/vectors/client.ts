/** Our client as a machine, against a server that follows a script, in virtual time. */
import { bytes, concat, text } from '../../src/base/bytes.ts'
import type { Instant } from '../../src/base/time.ts'
import { Attempt, type AttemptOutput, type Order } from '../../src/mta/attempt.ts'
import { type Mailbox, parseMailbox } from '../../src/smtp/address.ts'
import { type Outcome, sayOutcome } from '../../src/spool/entry.ts'
import type { ClientVector } from './vector.ts'

const MESSAGE = bytes('Subject: x\r\n\r\nhello\r\n')

function mailbox(written: string): Mailbox {
  const read = parseMailbox(written)
  if ('wrong' in read) throw new Error(`${written}: ${read.wrong}`)
  return read
}

export function orderOf({ order }: Pick<ClientVector, 'order'>): Order {
  const recipients = (order?.recipients ?? ['bob@example.org']).map(each => ({ to: mailbox(each) }))
  return {
    hello: 'client.example.net',
    to: 'mx.example.org',
    envelope: { from: mailbox('a@example.net'), recipients, smtputf8: false, body: '7bit' },
    recipients: recipients.map((_, i) => i),
    size: MESSAGE.length,
    outcome: 'relayed',
    ...(order?.requiresLogin && {
      login: { verb: 'x-exps', user: 'alice', password: 's3cret', required: true, by: 'connector out' } as const,
    }),
  }
}

export class ClientUnderTest {
  readonly #attempt: Attempt
  readonly #order: Order
  readonly #message: Uint8Array
  #now: Instant
  #said: Uint8Array[] = []
  closed = false
  done = false
  readonly #outcomes = new Map<number, Outcome>()

  constructor(order: Order, { message = MESSAGE, now = 1_000_000 }: { message?: Uint8Array; now?: Instant } = {}) {
    this.#order = order
    this.#message = message
    this.#now = now
    this.#attempt = new Attempt(order, { trace: false })
    this.#carryOut(this.#attempt.open(now))
  }

  send(octets: Uint8Array): void {
    if (!this.closed) this.#carryOut(this.#attempt.receive(octets, this.#now))
  }

  wait(milliseconds: number): void {
    const until = this.#now + milliseconds
    for (
      let at = this.#attempt.deadline;
      !this.closed && at !== undefined && at <= until;
      at = this.#attempt.deadline
    ) {
      this.#now = Math.max(this.#now, at)
      this.#carryOut(this.#attempt.tick(this.#now))
    }
    this.#now = until
  }

  /** The server hangs up. */
  end(): void {
    if (!this.closed) this.#carryOut(this.#attempt.end(this.#now))
  }

  get said(): string {
    return text(concat(this.#said))
  }

  /** By recipient; a recipient without one has `undefined`. */
  get outcomes(): readonly (string | undefined)[] {
    return this.#order.recipients.map(each => {
      const outcome = this.#outcomes.get(each)
      return outcome && sayOutcome(outcome)
    })
  }

  #carryOut(outputs: readonly AttemptOutput[]): void {
    const left = [...outputs].reverse()
    for (let output = left.pop(); output; output = left.pop()) {
      if (this.closed) throw new Error(`a ${output.kind} after the close`)
      switch (output.kind) {
        case 'write':
          this.#said.push(output.bytes)
          break
        case 'close':
          this.closed = true
          break
        case 'want-body':
          left.push(...[...this.#attempt.body(this.#message), ...this.#attempt.endBody(this.#now)].reverse())
          break
        case 'outcome':
          if (this.#outcomes.has(output.recipient)) throw new Error(`a second outcome for ${output.recipient}`)
          this.#outcomes.set(output.recipient, output.outcome)
          break
        case 'done':
          if (this.done) throw new Error('done twice')
          this.done = true
          break
        default:
      }
    }
  }
}
