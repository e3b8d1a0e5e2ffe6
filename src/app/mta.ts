/** The mail transfer agent, running: sessions come in, messages wait in the spool, attempts go out. */
import { concat, utf8 } from '../base/bytes.ts'
import { newId } from '../base/id.ts'
import type { Duration, Instant } from '../base/time.ts'
import { now, random } from '../io/clock.ts'
import { Drive } from '../io/drive.ts'
import { deliver } from '../io/maildir.ts'
import { sameSecret } from '../io/secrets.ts'
import type { Duplex } from '../io/sockets.ts'
import { formatDate } from '../mail/date.ts'
import { type Envelope, envelopeOf } from '../mail/envelope.ts'
import { HeaderWatch, traceFields } from '../mail/trace.ts'
import { acceptRecipient } from '../mta/acceptance.ts'
import { Attempt, type AttemptOutput, type Order } from '../mta/attempt.ts'
import { bounce } from '../mta/bounce.ts'
import type { MtaConfig } from '../mta/config.ts'
import { type Batch, batches, conclude } from '../mta/work.ts'
import type { Connector } from '../routing/connector.ts'
import { formatMailbox, formatPath } from '../smtp/address.ts'
import { dialect } from '../smtp/dialect.ts'
import { LIMITS, type Limits } from '../smtp/limits.ts'
import { type Answer, type Question, Server, type ServerOutput, type SessionFacts } from '../smtp/server.ts'
import { dueAt, isDone, noted, type Outcome, type SpoolEntry } from '../spool/entry.ts'
import type { Claim, Kept, Spool } from '../spool/spool.ts'

/** Entries worked on at once; each may have an attempt per next hop. */
export const MAX_WORKING = 20
/** Sessions at once; one more hears 421 and may come again. */
export const MAX_SESSIONS = 1000
const LONGEST_SLEEP: Duration = 86_400_000
/** Octets of a header kept for a report. */
const REPORTED_HEADER = 16_384
/** How long an attempt may take, whatever the peer does. */
export const ATTEMPT_LIMIT: Duration = 3_000_000
/** A claim outlives its attempt, so that nobody else sends the message meanwhile; and it does end. */
const CLAIM: Duration = ATTEMPT_LIMIT + 600_000

/** What an MTA needs from the world. */
export interface MtaWorld {
  readonly spool: Spool
  /** Reaches an address of the configuration: on a laboratory's loopback that is another one. */
  readonly dial: (ip: string, port: number) => Promise<Duplex>
  /** The Maildir of a mailbox. */
  readonly maildir: (mailbox: string) => string
  /** Passwords by the name of their file. */
  readonly passwords: ReadonlyMap<string, string>
  readonly events?: MtaEvents
}

export interface MtaEvents {
  /** What was said in a session or an attempt, a line at a time, without secrets. */
  line?(session: string, direction: 'in' | 'out', by: 'C' | 'S', text: string): void
  received?(entry: SpoolEntry): void
  /** An entry after its attempts. */
  tried?(entry: SpoolEntry, outcomes: ReadonlyMap<number, Outcome>): void
  delivered?(mailbox: string, path: string): void
}

export class Mta {
  readonly config: MtaConfig
  readonly #world: MtaWorld
  readonly #sessions = new Map<Server, Drive<ServerOutput>>()
  readonly #working = new Set<Promise<unknown>>()
  readonly #sockets = new Set<Duplex>()
  #timer: NodeJS.Timeout | undefined
  #stopped = false
  #sessionCount = 0

  constructor(config: MtaConfig, world: MtaWorld) {
    this.config = config
    this.#world = world
  }

  /** Everything that waits, or waits to be forgotten. */
  queue(): Promise<readonly SpoolEntry[]> {
    return this.#world.spool.list()
  }

  /** Takes a connection; `peer` is the client's address as it shall be shown. */
  serve(socket: Duplex, peer: string): void {
    const id = `${this.config.hostname}#${++this.#sessionCount}`
    const { hostname, dialect: name, version, quoteUnknown, authWithoutTls, logins, messageSize } = this.config
    const limits: Limits = { ...LIMITS, messageSize }
    const server = new Server({
      host: hostname,
      peer,
      dialect: dialect(name, { quoteUnknown }),
      version,
      limits,
      mechanisms: logins.length > 0 && authWithoutTls ? ['LOGIN', 'PLAIN'] : [],
      date: formatDate,
      trace: this.#world.events?.line !== undefined,
    })
    let arriving: Arriving | undefined
    const drive = new Drive<ServerOutput>(server, socket, output => {
      switch (output.kind) {
        case 'ask':
          return this.#answer(output.question, peer, arriving).then(answer => server.answer(answer, now()))
        case 'message-begins':
          arriving = this.#begin(envelopeOf(output.transaction), output.facts, peer, limits)
          return undefined
        case 'body':
          return arriving?.push(output.bytes)
        case 'body-abandoned':
          arriving?.abandon(output.why)
          arriving = undefined
          return undefined
        case 'trace':
          this.#world.events?.line?.(id, 'in', output.by, output.text)
          return undefined
        default:
          return undefined
      }
    })
    this.#hold(socket)
    this.#sessions.set(server, drive)
    drive.do(() => (this.#sessions.size > MAX_SESSIONS || this.#stopped ? server.stop(now()) : server.open(now())))
    void drive.over.then(() => {
      arriving?.abandon('the client went away')
      this.#sessions.delete(server)
    })
  }

  async #answer(question: Question, peer: string, arriving: Arriving | undefined): Promise<Answer> {
    switch (question.about) {
      case 'mail':
        return { yes: '' }
      case 'rcpt':
        return acceptRecipient(this.config, peer, question)
      case 'login': {
        const { user, password } = question.claim
        const file = this.config.logins.find(each => each.user === user)?.passwordFile
        const known = file === undefined ? undefined : this.#world.passwords.get(file)
        // Compared even for a stranger, so that names cannot be told by the time it takes.
        return sameSecret(password, known ?? '') && known !== undefined ? { yes: '' } : { no: 'auth-failed' }
      }
      default:
        return arriving ? arriving.finish() : { no: 'cannot-keep' }
    }
  }

  #begin(envelope: Envelope, facts: SessionFacts, peer: string, limits: Limits): Arriving {
    const at = now()
    const id = newId(at, random)
    const { hostname: host, dialect: name, version } = this.config
    const trace = utf8(traceFields({ host, peer, id, facts, dialect: name, version }, at))
    const entry = this.#entry(id, envelope, at, `received from ${facts.hello} [${peer}] by ${facts.protocol}`)
    const arriving = new Arriving(this.#world.spool, entry, limits, async kept => {
      if (!kept.kept) return { no: kept.why === 'no-space' ? 'no-space' : 'cannot-keep' }
      this.#world.events?.received?.(entry)
      this.wake()
      return { yes: name === 'exchange2000' ? `<${id}@${host}>` : id }
    })
    void arriving.push(trace)
    return arriving
  }

  #entry(id: string, envelope: Envelope, at: Instant, what: string): SpoolEntry {
    return {
      id,
      revision: 0,
      arrived: at,
      expires: at + this.config.expire,
      envelope,
      size: 0,
      recipients: envelope.recipients.map(() => ({ kind: 'waiting', due: at, attempts: 0 })),
      trail: [{ at, what }],
    }
  }

  /** There may be something to do. */
  wake(): void {
    if (this.#stopped) return
    clearTimeout(this.#timer)
    this.#timer = setTimeout(() => void this.#pump(), 0)
  }

  async #pump(): Promise<void> {
    const free = MAX_WORKING - this.#working.size
    const at = now()
    for (const claim of free > 0 ? await this.#world.spool.claim(at, at + CLAIM, free) : []) {
      const work: Promise<unknown> = this.#work(claim)
        // A mistake of ours: the message is not lost, and is due again soon instead of when its claim runs out.
        .catch(cause => this.#world.spool.update(claim, faulted(claim.entry, now(), words(cause))))
        .finally(() => {
          this.#working.delete(work)
          this.wake()
        })
      this.#working.add(work)
    }
    const due = await this.#world.spool.nextDue()
    if (due === undefined || this.#stopped || this.#working.size >= MAX_WORKING) return
    clearTimeout(this.#timer)
    // No timer is longer than this; looking once too often does no harm.
    this.#timer = setTimeout(() => void this.#pump(), Math.min(Math.max(1, due - now()), LONGEST_SLEEP))
  }

  /** Tries what is due of one entry, and records what became of it. */
  async #work(claim: Claim): Promise<void> {
    const { entry } = claim
    const outcomes = new Map<number, Outcome>()
    await Promise.all(
      batches(this.config, entry, now()).map(async batch => {
        const tried = await this.#try(entry, batch)
        // An attempt that broke off says nothing; without an outcome it would be tried again at once, for ever.
        for (const recipient of batch.recipients) outcomes.set(recipient, tried.get(recipient) ?? BROKE_OFF)
      }),
    )
    const plan = { waits: this.config.retry, expire: this.config.expire }
    const next = conclude(entry, outcomes, { plan, now: now() })
    if (!isDone(next)) await this.#world.spool.update(claim, next)
    else if (await this.#report(next)) await this.#world.spool.remove(claim)
    else await this.#world.spool.update(claim, unreported(next, now()))
    this.#world.events?.tried?.(next, outcomes)
  }

  async #try(entry: SpoolEntry, batch: Batch): Promise<ReadonlyMap<number, Outcome>> {
    switch (batch.kind) {
      case 'nowhere':
        return new Map(batch.recipients.map(recipient => [recipient, batch.outcome]))
      case 'local': {
        const mailbox = formatMailbox(batch.mailbox)
        const outcome = await this.#deliver(entry, mailbox)
        return new Map(batch.recipients.map(recipient => [recipient, outcome]))
      }
      default:
        return this.#relay(entry, batch.connector, batch.recipients)
    }
  }

  async #deliver(entry: SpoolEntry, mailbox: string): Promise<Outcome> {
    const { spool } = this.#world
    async function* content(): AsyncIterable<Uint8Array> {
      yield utf8(`Return-Path: ${formatPath(entry.envelope.from)}\r\n`)
      yield* spool.body(entry.id)
    }
    try {
      const path = await deliver(this.#world.maildir(mailbox), content())
      this.#world.events?.delivered?.(mailbox, path)
      return { kind: 'delivered', to: mailbox }
    } catch (cause) {
      return { kind: 'deferred', by: { status: '4.2.0', why: `mailbox ${mailbox}: ${words(cause)}` } }
    }
  }

  async #relay(
    entry: SpoolEntry,
    connector: Connector,
    recipients: readonly number[],
  ): Promise<ReadonlyMap<number, Outcome>> {
    const { ip, port } = connector.target
    const outcomes = new Map<number, Outcome>()
    let socket: Duplex
    try {
      socket = await this.#world.dial(ip, port)
      this.#hold(socket)
    } catch (cause) {
      const by = { status: '4.4.1', why: `connector ${connector.name}: ${words(cause)}` }
      return new Map(recipients.map(recipient => [recipient, { kind: 'deferred', by }]))
    }
    const { login } = connector
    const order: Order = {
      hello: this.config.hostname,
      to: `${connector.name} [${ip}]`,
      envelope: entry.envelope,
      recipients,
      size: entry.size,
      outcome: 'relayed',
      ...(login && {
        login: {
          verb: login.verb,
          user: login.user,
          password: this.#world.passwords.get(login.passwordFile) ?? '',
          required: login.required,
          by: `connector ${connector.name}`,
        },
      }),
    }
    const session = `${connector.name}#${++this.#sessionCount}`
    const trace = (by: 'C' | 'S', text: string) => this.#world.events?.line?.(session, 'out', by, text)
    const limit = setTimeout(() => socket.destroy(), ATTEMPT_LIMIT)
    await runAttempt(socket, order, () => this.#world.spool.body(entry.id), {
      outcome: (recipient, outcome) => outcomes.set(recipient, outcome),
      trace: this.#world.events?.line && trace,
    })
    clearTimeout(limit)
    return outcomes
  }

  /** Sends the report an entry owes. `false`: it could not be kept, so the entry must stay. */
  async #report(entry: SpoolEntry): Promise<boolean> {
    const at = now()
    const id = newId(at, random)
    const header = await this.#header(entry)
    const owed = bounce(entry, { host: this.config.hostname, id, now: at, header })
    if (!owed) return true
    const report = { ...this.#entry(id, owed.envelope, at, `report about ${entry.id}`), size: owed.body.length }
    async function* body(): AsyncIterable<Uint8Array> {
      if (owed) yield owed.body
    }
    const { kept } = await this.#world.spool.put(report, body())
    this.wake()
    return kept
  }

  async #header(entry: SpoolEntry): Promise<Uint8Array> {
    const pieces: Uint8Array[] = []
    let size = 0
    for await (const piece of this.#world.spool.body(entry.id)) {
      pieces.push(piece)
      size += piece.length
      if (size >= REPORTED_HEADER) break
    }
    const start = Buffer.from(concat(pieces).subarray(0, REPORTED_HEADER))
    const end = start.indexOf('\r\n\r\n')
    return end < 0 ? start.subarray(0, start.lastIndexOf('\r\n') + 2) : start.subarray(0, end + 2)
  }

  #hold(socket: Duplex): void {
    this.#sockets.add(socket)
    socket.on('close', () => this.#sockets.delete(socket))
  }

  /** Takes nothing new, says goodbye, and waits for what is under way; after `grace` it is cut. */
  async stop(grace: Duration): Promise<void> {
    this.#stopped = true
    clearTimeout(this.#timer)
    const cut = setTimeout(() => {
      for (const socket of this.#sockets) socket.destroy()
    }, grace)
    await this.#drain().finally(() => clearTimeout(cut))
  }

  async #drain(): Promise<void> {
    for (const [server, drive] of this.#sessions) drive.do(() => server.stop(now()))
    await Promise.all([...[...this.#sessions.values()].map(({ over }) => over), ...this.#working])
  }

  /** When something is due next, for people who wait for it. */
  async nextTry(): Promise<Instant | undefined> {
    const due = (await this.queue()).map(dueAt).filter(at => at !== undefined)
    return due.length === 0 ? undefined : Math.min(...due)
  }
}

/** How long to wait with a report that could not be kept. */
const REPORT_AGAIN = 60_000

/** An attempt that broke on a mistake of ours. */
function faulted(entry: SpoolEntry, at: Instant, why: string): SpoolEntry {
  const recipients = entry.recipients.map(state =>
    state.kind === 'waiting' ? { ...state, due: Math.max(state.due, at + REPORT_AGAIN) } : state,
  )
  return noted(
    { ...entry, revision: entry.revision + 1, recipients },
    at,
    `the attempt failed by a mistake here: ${why}`,
  )
}

const BROKE_OFF: Outcome = { kind: 'deferred', by: { status: '4.3.0', why: 'the attempt broke off' } }

/** What failed is open again until its report can be kept: a message is never forgotten unreported. */
function unreported(entry: SpoolEntry, at: Instant): SpoolEntry {
  const recipients = entry.recipients.map(state =>
    state.kind === 'done' && state.outcome.kind === 'failed'
      ? ({ kind: 'waiting', due: at + REPORT_AGAIN, attempts: 1, last: state.outcome } as const)
      : state,
  )
  return noted({ ...entry, recipients }, at, 'the report could not be kept; it is tried again')
}

function words(cause: unknown): string {
  return cause instanceof Error ? cause.message : String(cause)
}

