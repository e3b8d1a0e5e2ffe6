/** Our client as a machine, against a server that follows a script, in virtual time. */
import { bytes, concat, text } from '../../src/base/bytes.ts'
import type { Instant } from '../../src/base/time.ts'
import { HASHES } from '../../src/io/hashes.ts'
import { Attempt, type AttemptOutput, type Order } from '../../src/mta/attempt.ts'
import type { LoginWish } from '../../src/mta/order.ts'
import { type Mailbox, parseMailbox } from '../../src/smtp/address.ts'
import { mechanismNamed } from '../../src/smtp/sasl/mechanisms.ts'
import { type Outcome, sayOutcome } from '../../src/spool/entry.ts'
import { SECURE } from './server.ts'
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
    tls: { floor: order?.requiresTls ? 'require' : 'may', by: 'connector out' },
    ...(order?.requiresLogin && { login: loginOf(true) }),
  }
}

/** As alice by LOGIN, and by nothing else. */
export function loginOf(required: boolean): LoginWish {
  return {
    verb: 'x-exps',
    required,
    by: 'connector out',
    choose: offered => {
      const context = { hashes: HASHES, now: 0, tls: { secured: false }, offered, user: 'alice', password: 's3cret' }
      return offered.includes('LOGIN') ? mechanismNamed('LOGIN')?.client(context) : undefined
    },
  }
}

export class ClientUnderTest {
  readonly #attempt: Attempt
  readonly #order: Order
  readonly #message: Uint8Array
  readonly #holds: boolean
  #now: Instant
  #said: Uint8Array[] = []
  closed = false
  done = false
  /** Why it wants to begin again, without TLS. */
  again: string | undefined
  /** Does it wait for its message? Only where that is held back. */
  wantsBody = false
  /** Does it wait for a handshake? */
  wantsTls = false
  readonly #outcomes = new Map<number, Outcome>()

  /** `holds`: the message is handed in by `giveBody`, and not when it is asked for. */
  constructor(
    order: Order,
    { message = MESSAGE, holds = false }: { readonly message?: Uint8Array; readonly holds?: boolean } = {},
  ) {
    const now = 1_000_000
    this.#holds = holds
    this.#order = order
    this.#message = message
    this.#now = now
    this.#attempt = new Attempt(order, { trace: false })
    this.#carryOut(this.#attempt.open(now))
  }

  send(octets: Uint8Array): void {
    if (!this.closed) this.#carryOut(this.#attempt.receive(octets, this.#now))
  }

  /** The message goes out at last. */
  giveBody(): void {
    this.wantsBody = false
    if (!this.closed) this.#carryOut(this.#body())
  }

  #body(): readonly AttemptOutput[] {
    return [...this.#attempt.body(this.#message, this.#now), ...this.#attempt.endBody(this.#now)]
  }

  /** The handshake is over; the certificate proves nothing. */
  secured(): void {
    this.wantsTls = false
    if (!this.closed) this.#carryOut(this.#attempt.secured({ ...SECURE, unproven: 'self-signed' }, this.#now))
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
      return outcome ? sayOutcome(outcome) : this.again && `again: ${this.again}`
    })
  }

  #carryOut(outputs: readonly AttemptOutput[]): void {
    const left = [...outputs].reverse()
    for (let output = left.pop(); output; output = left.pop()) {
      // To close twice is to close: the driver takes it so.
      if (this.closed && output.kind !== 'close') throw new Error(`a ${output.kind} after the close`)
      switch (output.kind) {
        case 'write':
          this.#said.push(output.bytes)
          break
        case 'close':
          this.closed = true
          break
        case 'want-body':
          if (this.#holds) this.wantsBody = true
          else left.push(...[...this.#body()].reverse())
          break
        case 'outcome':
          if (this.#outcomes.has(output.recipient)) throw new Error(`a second outcome for ${output.recipient}`)
          this.#outcomes.set(output.recipient, output.outcome)
          break
        case 'start-tls':
          this.wantsTls = true
          break
        case 'again':
          this.again = output.why
          break
        case 'ask':
        case 'convert':
        case 'elsewhere':
        case 'pulled':
        case 'turned':
        case 'idle':
          throw new Error(`nobody asked for a ${output.kind}`)
        case 'done':
          if (this.done) throw new Error('done twice')
          this.done = true
          break
        default:
      }
    }
  }
}
