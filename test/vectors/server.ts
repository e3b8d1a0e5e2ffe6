/** Our server as a machine, answered as the mail server answers it, in virtual time. */
import { concat, text } from '../../src/base/bytes.ts'
import type { TlsFacts } from '../../src/base/machine.ts'
import { formatDiagnostic } from '../../src/base/problem.ts'
import type { Instant } from '../../src/base/time.ts'
import { parse } from '../../src/config/parse.ts'
import { HASHES } from '../../src/io/hashes.ts'
import { formatDate } from '../../src/mail/date.ts'
import { HeaderWatch } from '../../src/mail/trace.ts'
import { acceptRecipient } from '../../src/mta/acceptance.ts'
import { MTA } from '../../src/mta/commands.ts'
import type { MtaConfig } from '../../src/mta/config.ts'
import { formatMailbox } from '../../src/smtp/address.ts'
import { dialect } from '../../src/smtp/dialect.ts'
import { LIMITS } from '../../src/smtp/limits.ts'
import { reply } from '../../src/smtp/reply.ts'
import type { SaslAnswer, SaslQuestion, SaslServer } from '../../src/smtp/sasl/mechanism.ts'
import { mechanismNamed } from '../../src/smtp/sasl/mechanisms.ts'
import { type Answer, type Question, Server, type ServerOutput, type Transaction } from '../../src/smtp/server.ts'
import { MAIL_ONLY } from '../../src/smtp/session.ts'
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

/** What TLS says of a connection that has it. */
export const SECURE: TlsFacts = { protocol: 'TLSv1.3', cipher: 'TLS_AES_256_GCM_SHA384' }

/** A server as the mail server makes one for a stranger: PLAIN and LOGIN, STARTTLS, no service for anybody. */
export function serverOf(config: MtaConfig): Server {
  const { hostname, dialect: name, version, quoteUnknown, limits } = config
  return new Server({
    ...MAIL_ONLY,
    host: hostname,
    peer: STRANGER,
    dialect: dialect(name, { quoteUnknown }),
    version: version ?? '5.0',
    limits,
    mechanisms: () => ['LOGIN', 'PLAIN'],
    sasl: mechanism => saslServer(mechanism, hostname),
    startTls: true,
    date: formatDate,
  })
}

function saslServer(name: string, hostname: string): SaslServer {
  const mechanism = mechanismNamed(name)
  if (!mechanism) throw new Error(`${name} is on no list`)
  return mechanism.server({
    hashes: HASHES,
    now: 0,
    tls: { secured: false },
    offered: ['LOGIN', 'PLAIN'],
    secret: new Uint8Array(16),
    iterations: 4096,
    hostname,
    strict: true,
  })
}

/** Who is it? Anybody else, and any other question of a mechanism, has no answer. */
export function checkPassword(question: SaslQuestion): SaslAnswer {
  if (question.kind !== 'password') return { kind: 'unavailable', why: 'no such mechanism is on' }
  const isAlice = question.user === 'alice' && question.password === 's3cret'
  return { kind: 'password', ...(isAlice && { user: 'alice' }) }
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
    this.#server = serverOf(config)
    this.#carryOut(this.#server.open(now))
  }

  get now(): Instant {
    return this.#now
  }

  send(octets: Uint8Array): void {
    if (!this.closed) this.#carryOut(this.#server.receive(octets, this.#now))
  }

  /** The handshake is over. */
  secured(): void {
    this.wantsTls = false
    if (!this.closed) this.#carryOut(this.#server.secured(SECURE, this.#now))
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
        case 'turned':
          throw new Error('nobody may turn the connection round')
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
        return acceptRecipient(this.#config, question)
      case 'sasl':
        return { sasl: checkPassword(question.question) }
      case 'message':
        return this.#take(question)
      default:
        throw new Error(`nobody offered what is asked about: ${question.about}`)
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
