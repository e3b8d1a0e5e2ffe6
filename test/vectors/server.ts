/** Our server as a machine, answered as the mail server answers it, in virtual time. */
import { concat, text } from '../../src/base/bytes.ts'
import { formatDiagnostic } from '../../src/base/problem.ts'
import type { Instant } from '../../src/base/time.ts'
import { parse } from '../../src/config/parse.ts'
import { formatDate } from '../../src/mail/date.ts'
import { HeaderWatch } from '../../src/mail/trace.ts'
import { acceptRecipient } from '../../src/mta/acceptance.ts'
import { MTA } from '../../src/mta/commands.ts'
import type { MtaConfig } from '../../src/mta/config.ts'
import { formatMailbox } from '../../src/smtp/address.ts'
import { dialect } from '../../src/smtp/dialect.ts'
import { LIMITS } from '../../src/smtp/limits.ts'
import { reply } from '../../src/smtp/reply.ts'
import { type Answer, type Question, Server, type ServerOutput, type Transaction } from '../../src/smtp/server.ts'
import { repliesIn, type Taken } from './vector.ts'

/** A stranger's address: nothing is open to it. */
export const STRANGER = '192.0.2.7'

export const USUAL: readonly string[] = [
  'hostname mx.example.org',
  'local-domain example.org',
  'mailbox bob@example.org',
  'mailbox carol@example.org',
  'login alice password-file alice.password',
  'auth-without-tls',
]

export const PASSWORDS: ReadonlyMap<string, string> = new Map([['alice.password', 's3cret']])

export function configure(more: readonly string[] = []): MtaConfig {
  const { config, problems } = parse(MTA, [...USUAL, ...more].join('\n'), 'mta.conf')
  const errors = problems.filter(({ severity }) => severity === 'error')
  if (errors.length > 0) throw new Error(errors.map(formatDiagnostic).join('\n'))
  return config
}

export interface Arrived extends Taken {
  readonly content: string
  readonly body: Transaction['body']
}

export class ServerUnderTest {
  readonly #config: MtaConfig
  readonly #server: Server
  #now: Instant
  #said: Uint8Array[] = []
  #body: Uint8Array[] = []
  #watch = new HeaderWatch()
  closed = false
  /** Was it told already that the server closed? */
  closedHeard = false
  /** Does the server wait for a handshake? */
  wantsTls = false
  /** The messages taken, in order. */
  readonly taken: Arrived[] = []
  /** Questions asked, each of which was answered once. */
  asked = 0

  constructor(config: MtaConfig, now: Instant = 1_000_000) {
    this.#config = config
    this.#now = now
    const { hostname, dialect: name, version, quoteUnknown, authWithoutTls, logins, messageSize } = config
    this.#server = new Server({
      host: hostname,
      peer: STRANGER,
      dialect: dialect(name, { quoteUnknown }),
      version,
      limits: { ...LIMITS, messageSize },
      mechanisms: logins.length > 0 && authWithoutTls ? ['LOGIN', 'PLAIN'] : [],
      date: formatDate,
      trace: false,
    })
    this.#carryOut(this.#server.open(now))
  }

  get now(): Instant {
    return this.#now
  }

  send(octets: Uint8Array): void {
    if (!this.closed) this.#carryOut(this.#server.receive(octets, this.#now))
  }

  wait(milliseconds: number): void {
    const until = this.#now + milliseconds
    for (let at = this.#server.deadline; !this.closed && at !== undefined && at <= until; at = this.#server.deadline) {
      this.#now = Math.max(this.#now, at)
      this.#carryOut(this.#server.tick(this.#now))
    }
    this.#now = until
  }

  /** The client hangs up. */
  end(): void {
    if (!this.closed) this.#carryOut(this.#server.end(this.#now))
  }

  /** What was said since this was last called: the octets. */
  said(): string {
    return text(concat(this.#said.splice(0)))
  }

  /** …and as replies. */
  replies(): readonly string[] {
    return repliesIn(this.said())
  }

  #carryOut(outputs: readonly ServerOutput[]): void {
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
        case 'start-tls':
          this.wantsTls = true
          break
        case 'message-begins':
          this.#body = []
          this.#watch = new HeaderWatch()
          break
        case 'body':
          this.#body.push(output.bytes)
          this.#watch.push(output.bytes, LIMITS.headerSize)
          break
        case 'body-abandoned':
          this.#body = []
          break
        case 'ask':
          this.asked++
          left.push(...[...this.#server.answer(this.#answer(output.question), this.#now)].reverse())
          break
        default:
      }
    }
  }

  #answer(question: Question): Answer {
    switch (question.about) {
      case 'mail':
        return { yes: '' }
      case 'rcpt':
        return acceptRecipient(this.#config, STRANGER, question)
      case 'login':
        return question.claim.user === 'alice' && question.claim.password === 's3cret'
          ? { yes: '' }
          : { no: 'auth-failed' }
      default:
        return this.#take(question)
    }
  }

  /** As the mail server does: the header's limits are known only here. */
  #take({ transaction: { from, recipients, body }, size }: Question & { readonly about: 'message' }): Answer {
    const whole = concat(this.#body)
    if (whole.length !== size) throw new Error(`${size} octets were announced, and ${whole.length} handed out`)
    if (this.#watch.hops > LIMITS.hops) return { no: 'too-many-hops' }
    if (this.#watch.size > LIMITS.headerSize) return { no: 'header-too-long' }
    const content = text(whole)
    if (content.includes('REJECTME')) return reply(554, '5.7.1', 'No')
    this.taken.push({
      from: from === null ? '' : formatMailbox(from),
      to: recipients.map(({ to }) => formatMailbox(to)),
      content,
      body,
    })
    return { yes: `M${this.taken.length}` }
  }
}
