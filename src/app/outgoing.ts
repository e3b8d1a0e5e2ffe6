/** Connections that this server makes itself: to relay a message, or to ask for those that wait for us. */
import { Expiring } from '../base/expiring.ts'
import type { TlsFacts } from '../base/machine.ts'
import type { Duration, Instant } from '../base/time.ts'
import { now } from '../io/clock.ts'
import { Call, type Channel, type Duplex, dialFile, streamOf } from '../io/sockets.ts'
import { type Secured, secureClient } from '../io/tls.ts'
import { mailboxFor } from '../mta/acceptance.ts'
import type { LmtpTarget, MtaConfig } from '../mta/config.ts'
import { type Hop, isHere, shownHop, visitOf } from '../mta/hop.ts'
import { type LinkStateTalk, type Order, TLS_IS_MISSING, type Without } from '../mta/order.ts'
import type { Connector } from '../routing/connector.ts'
import type { SaslClientQuestion } from '../smtp/sasl/mechanism.ts'
import { type Failure, failureOf, type Outcome, type SpoolEntry, sayOutcome } from '../spool/entry.ts'
import { Credentials, loginWish } from './credentials.ts'
import { type Ended, type Hand, type Job, runAttempt } from './delivery.ts'
import { Destinations, remoteOf, type Server, type Servers, sayServer } from './destinations.ts'
import type { MtaWorld } from './mta-world.ts'
import { words } from './words.ts'

/** How long an attempt may take, with all of its servers together, whatever they do. */
export const ATTEMPT_LIMIT: Duration = 3_000_000
/** So long a next hop is spared what did not work there (a box between that masks BDAT is not changed every hour). */
export const SPARED_FOR: Duration = 86_400_000
/** So long the absence of TLS is worth a word where it was had. */
const HAD_TLS_FOR: Duration = 30 * 86_400_000
/** Next hops of which such things are remembered. */
const MOST_REMEMBERED = 10_000

type Spared = ReadonlySet<Without>
const NOTHING: Spared = new Set()

/** What the server around it does for it. */
export interface Around {
  /** The socket lives as long as the server does, at most. */
  readonly hold: (socket: Channel) => void
  /** Takes a connection on which the other end is the client now. */
  readonly serve: (socket: Channel, peer: string, tls?: TlsFacts) => void
  /** The far end of a connector answered, or `why` it could not be reached. */
  readonly reached: (connector: Connector, why?: string) => void
  /** What is to be said about routing state before mail. */
  readonly talk: (connector: Connector) => LinkStateTalk | undefined
}

/** One entry to send over a connection that stands already, and what to do with what became of it. */
export interface Turning {
  readonly entry: SpoolEntry
  readonly recipients: readonly number[]
  readonly done: (outcomes: ReadonlyMap<number, Outcome>) => Promise<unknown>
}

/** Whoever wants to know when the other end is waited for, and when it has answered. */
export type Waiting = Pick<Hand, 'calls' | 'answered'>

/** A session, for logs, and the name of the server it is with. */
interface Session {
  readonly id: string
  readonly name: string
}

/** A session that is about to begin: with which server of the hop, and how. */
interface Beginning {
  readonly hop: Hop
  readonly server: Server
  readonly without: Spared
  /** Are there other servers, should this one not do? */
  readonly elsewhere: boolean
  /** The recipient who was refused before, and shows whether it was for what is left out now. */
  readonly proof?: number
}

type SessionEnd = Ended | (Servers & { readonly kind: 'nowhere' })

export class Outgoing {
  readonly #config: MtaConfig
  readonly #world: MtaWorld
  readonly #around: Around
  readonly #destinations: Destinations
  readonly #timers = new Set<NodeJS.Timeout>()
  /** Next hops with which TLS was had before: when it is missing now, somebody should know. */
  readonly #hadTls = new Expiring<true>(MOST_REMEMBERED)
  /** What did not work with a next hop, and without which mail went through. */
  readonly #spared = new Expiring<Spared>(MOST_REMEMBERED)
  readonly #limit: Duration
  #count = 0

  constructor(config: MtaConfig, world: MtaWorld, around: Around, limit: Duration = ATTEMPT_LIMIT) {
    this.#limit = limit
    this.#config = config
    this.#world = world
    this.#around = around
    this.#destinations = new Destinations(config, world)
  }

  /** What another learned of next hops that are the same. */
  adopt(before: Outgoing, fits: (hop: string) => boolean): void {
    this.#hadTls.adopt(before.#hadTls, fits)
    this.#spared.adopt(before.#spared, fits)
  }

  stop(): void {
    for (const timer of this.#timers) clearInterval(timer)
    this.#destinations.stop()
  }

  /**
   * Sends one entry after the other over a connection of our own, as long as there is a next. Why the other end could not be
   * reached, if it could not.
   */
  async relay(
    hop: Hop,
    first: Turning,
    next: () => Promise<Turning | undefined>,
    waiting: Waiting = {},
  ): Promise<string | undefined> {
    let turning: Turning | undefined = first
    let outcomes = new Map<number, Outcome>()
    let beginning: Beginning | undefined
    let proof: number | undefined
    const settle = async () => {
      const { done } = turning ?? {}
      const settled = outcomes
      turning = undefined
      outcomes = new Map()
      const proved = proof === undefined ? undefined : settled.get(proof)?.kind
      if (proved === 'relayed' || proved === 'delivered') proof = undefined
      const isRelayed = [...settled.values()].some(({ kind }) => kind === 'relayed')
      if (beginning && isRelayed && proof === undefined) this.#remember(beginning)
      await done?.(settled)
    }
    // A session may end in the middle of its recipients, and another go on with the rest.
    const left = () => (turning?.recipients ?? []).filter(each => !outcomes.has(each))
    let isAnswered = false
    const all = (outcome: Outcome) => {
      for (const recipient of left()) outcomes.set(recipient, outcome)
    }
    const begin = (next: Beginning): Job => {
      beginning = next
      proof = next.proof
      return this.#job((turning ?? first).entry, left(), next)
    }
    try {
      const ended = await this.#session(hop, begin, {
        ...waiting,
        answered: () => {
          isAnswered = true
          waiting.answered?.()
        },
        outcome: (recipient, outcome) => outcomes.set(recipient, outcome),
        next: async () => {
          await settle()
          // What was left out in vain is not left out for the next.
          turning = proof === undefined ? await next() : undefined
          return (
            turning && beginning && this.#job(turning.entry, turning.recipients, { ...beginning, elsewhere: false })
          )
        },
      })
      let away: string | undefined
      if (ended.kind === 'nowhere') all(ended.outcome)
      // To be there and say nothing is not to be there.
      else if (!isAnswered) {
        // It hung up, or was waited for in vain.
        const { status, why } = failureOf(outcomes.values().next().value) ?? NO_GREETING
        away = `${sayHop(hop)}: ${why}`
        outcomes.clear()
        all({ kind: 'deferred', by: { status, why: away } })
      }
      await settle()
      return away
    } catch (cause) {
      const why = `${sayHop(hop)}: ${words(cause)}`
      all({ kind: 'deferred', by: { status: '4.4.1', why } })
      await settle()
      return why
    }
  }

  /** A session without mail: routing state is told, or, without a talk, only the far end looked for. */
  async visit(connector: Connector, talk?: LinkStateTalk): Promise<void> {
    const job = (beginning: Beginning): Job => {
      const manners = this.#manners(beginning)
      // Only looked for: TLS from the first octet on is what it takes to see it at all.
      const tls = { floor: connector.tls?.implicit ? 'may' : 'none', by: connector.name } as const
      const order = talk ? { ...manners, linkState: talk } : { hello: manners.hello, to: manners.to, tls }
      return { order: { ...NO_MESSAGE, ...order, elsewhere: beginning.elsewhere }, body: nothing }
    }
    await this.#session(visitOf(connector), job, { outcome: () => {}, note: why => talk?.broken(why) })
  }

  /** Sends one entry after the other over a connection whose other end asked for them. */
  async sendOver(
    socket: Channel,
    next: () => Promise<Turning | undefined>,
    { rest, tls: facts }: { readonly rest: Uint8Array; readonly tls: TlsFacts | undefined },
  ): Promise<void> {
    this.#around.hold(socket)
    let turning: Turning | undefined
    let outcomes = new Map<number, Outcome>()
    const settle = async () => {
      const { done } = turning ?? {}
      turning = undefined
      await done?.(outcomes)
      outcomes = new Map()
    }
    // Who has logged in is known by name, but has shown no certificate.
    const tls = facts && ({ floor: 'none', by: TURNED, facts: { ...facts, unproven: 'a client shows none' } } as const)
    const manners = { hello: this.#config.hostname, to: 'who asked for it', ...(tls && { tls }) }
    const jobOf = ({ entry, recipients }: Turning): Job => ({
      order: { ...manners, ...letterOf(entry, recipients), outcome: 'relayed' },
      body: () => this.#world.spool.body(entry.id),
    })
    let why = 'the session ended before it'
    try {
      turning = await next()
      // What was found may be gone or held by now; whoever waits for us hears a hello and a goodbye.
      const first = turning ? jobOf(turning) : { order: { ...NO_MESSAGE, ...manners }, body: nothing }
      const ended = await this.#run(socket, { id: `turned#${++this.#count}`, name: '' }, first, {
        heard: rest,
        outcome: (recipient, outcome) => outcomes.set(recipient, outcome),
        next: async () => {
          await settle()
          turning = await next()
          return turning && jobOf(turning)
        },
      })
      // There is no other connection to do it on.
      if (ended.kind === 'again') why = ended.why
    } catch (cause) {
      why = words(cause)
      socket.destroy()
    }
    // Whatever happened: what is claimed is given back, with a reason.
    for (const recipient of turning?.recipients ?? [])
      if (!outcomes.has(recipient)) outcomes.set(recipient, { kind: 'deferred', by: { status: '4.5.0', why } })
    await settle()
  }

  /** Every connector with a `connector-pull` asks at its pace for the mail that waits for us. */
  start(): void {
    this.#destinations.start()
    for (const connector of this.#config.routing.connectors) {
      const { pull } = connector
      if (pull) this.#timers.add(setInterval(() => void this.pull(connector), pull.every))
    }
  }

  /** Asks once. Says what came of it. */
  async pull(connector: Connector): Promise<void> {
    const { pull, name } = connector
    if (!pull) return
    const note = (what: string) => this.#world.events?.note?.(`connector ${name}: ${pull.verb.toUpperCase()}: ${what}`)
    const asking: Order['pull'] = pull.verb === 'turn' ? { kind: 'turn' } : { kind: pull.verb, argument: pull.argument }
    let peer = ''
    const job = (beginning: Beginning): Job => {
      peer = 'ip' in beginning.server.at ? beginning.server.at.ip : ''
      return { order: { ...NO_MESSAGE, ...this.#manners(beginning), pull: asking }, body: nothing }
    }
    try {
      const ended = await this.#session(visitOf(connector), job, {
        outcome: () => undefined,
        note,
        pulled: ({ code, text }) => note(`answered ${code} ${text.join(' ')}`),
      })
      if (ended.kind === 'turned') this.#around.serve(ended.socket, peer, ended.tls)
    } catch (cause) {
      note(words(cause))
    }
  }

  /** One session with a next hop: with the first of its servers that has one, and without what did not work there. */
  async #session(hop: Hop, job: (beginning: Beginning) => Job, hand: Hand): Promise<SessionEnd> {
    const end = now() + this.#limit
    let why: string | undefined = NO_GREETING.why
    const answered = () => {
      why = undefined
      this.#reached(hop)
      hand.answered?.()
    }
    try {
      const found = await this.#destinations.of(hop)
      if (found.kind === 'nowhere') return found
      const left = [...found.servers]
      let without = this.#spared.get(hop.name, now()) ?? NOTHING
      let proof: number | undefined
      for (let server = left.shift(); server; ) {
        const beginning = { hop, server, without, elsewhere: left.length > 0, ...(proof !== undefined && { proof }) }
        const ended = await this.#spoken(beginning, job(beginning), { ...hand, answered }, end).catch(cause => {
          if (left.length === 0) throw cause
          return { kind: 'elsewhere', by: { status: '4.4.1', why: words(cause) } } as const
        })
        if (ended.kind === 'elsewhere' && left.length > 0) {
          const said = sayOutcome({ kind: 'deferred', by: ended.by })
          if (now() >= end) throw new Error(`${sayServer(server)}: ${said}; there is no time left for another server`)
          this.#note(hop, `${sayServer(server)}: ${said}; trying the next server`)
          // Each server has a floor of its own, and what one did to TLS says nothing of another.
          without = withTls(without)
          server = left.shift()
        } else if (ended.kind === 'again' && !without.has(ended.without)) {
          // Each can be left out once.
          without = new Set([...without, ended.without])
          proof = ended.recipient
          this.#note(hop, `${ended.why}; trying again without ${SPARED[ended.without]}`)
        } else return ended
      }
      throw new Error('it has no server')
    } catch (cause) {
      if (why !== undefined) why = words(cause)
      throw cause
    } finally {
      if (why !== undefined) this.#reached(hop, why)
    }
  }

  /** Of a connector to one place its state is known to others; that one of many domains is away says nothing of it. */
  #reached({ connector, domain, lmtp }: Hop, why?: string): void {
    if (domain === undefined && !lmtp) this.#around.reached(connector, why)
  }

  #note(hop: Hop, what: string): void {
    this.#world.events?.note?.(`${sayHop(hop)}: ${what}`)
  }

  /** TLS is wished for anew each time: whoever took it away may be gone. */
  #remember({ hop: { name }, without }: Beginning): void {
    const spared = withTls(without)
    const known = this.#spared.get(name, now())
    if (spared.size === 0 || (known && [...spared].every(each => known.has(each)))) return
    this.#spared.set(name, spared, now() + SPARED_FOR)
  }

  async #spoken({ hop, server }: Beginning, job: Job, hand: Hand, end: Instant): Promise<Ended> {
    const { at, tls } = server
    const call = new Call()
    hand.calls?.(call)
    const raw = 'socket' in at ? await dialFile(at.socket) : await this.#world.dial(at.ip, at.port, { call })
    raw.on('error', () => {})
    this.#around.hold(raw)
    call.onOff = () => raw.destroy()
    if (call.isOff) call.onOff()
    const secure = async (socket: Duplex): Promise<Secured> => {
      const secured = await secureClient(socket, tls.expected)
      this.#hadTls.set(hop.name, true, now() + HAD_TLS_FOR)
      return secured
    }
    const session = { id: `${shownHop(hop).replaceAll(' ', '/')}#${++this.#count}`, name: tls.expected.name }
    const wanted = job.order.tls?.floor ?? 'none'
    if (!tls.implicit || wanted === 'none') return this.#run(raw, session, job, { ...hand, secure }, { end, call })
    const { socket, facts } = await secure(streamOf(raw))
    const order = { ...job.order, tls: { floor: wanted, by: tls.by, ...job.order.tls, facts } }
    return this.#run(socket, session, { ...job, order }, hand, { end, call })
  }

  async #run(
    socket: Channel,
    session: Session,
    job: Job,
    hand: Hand,
    { end = now() + this.#limit, call }: { readonly end?: Instant; readonly call?: Call } = {},
  ): Promise<Ended> {
    const { events } = this.#world
    const trace = (by: 'C' | 'S', text: string) => events?.line?.(session.id, 'out', by, text)
    const limit = setTimeout(() => socket.destroy(), Math.max(0, end - now()))
    const credentials = new Credentials(`smtp@${session.name}`)
    try {
      const around = {
        answer: (question: SaslClientQuestion) => credentials.answer(question),
        note: (what: string) => events?.note?.(`${session.id}: ${what}`),
        trace: events?.line && trace,
      }
      return await runAttempt(socket, job, { ...around, ...hand }, call)
    } finally {
      clearTimeout(limit)
      await credentials.close()
    }
  }

  #job(entry: SpoolEntry, recipients: readonly number[], beginning: Beginning): Job {
    const { hop } = beginning
    const { names, delay, threshold } = this.#config.workarounds
    const talk = this.#around.talk(hop.connector)
    const workarounds = { names: new Set(names), delay, threshold, queuedFor: now() - entry.arrived }
    const letter = letterOf(entry, recipients)
    const order: Order = {
      ...letter,
      outcome: 'relayed',
      ...this.#manners(beginning),
      workarounds,
      ...(talk && { linkState: talk }),
      ...(hop.lmtp && { lmtp: true, outcome: 'delivered', envelope: this.#addressed(letter.envelope, hop.lmtp) }),
    }
    return { order, body: () => this.#world.spool.body(entry.id) }
  }

  /** A store knows mailboxes, and not all the names by which mail for them comes. */
  #addressed({ requireTls, ...envelope }: Order['envelope'], lmtp: LmtpTarget): Order['envelope'] {
    const recipients = envelope.recipients.map(each => ({ ...each, to: mailboxFor(this.#config, each.to) ?? each.to }))
    return { ...envelope, recipients, ...(requireTls && !isHere(lmtp) && { requireTls }) }
  }

  /** How a session begins: hello, TLS, login. */
  #manners({
    hop,
    server,
    without,
    elsewhere,
  }: Beginning): Pick<Order, 'hello' | 'to' | 'remote' | 'tls' | 'login' | 'without' | 'elsewhere'> {
    const { connector } = hop
    const { by, floor, isHearsay } = server.tls
    // Whatever went wrong before, what is required is required.
    const clear = without.has('tls') && floor === 'may'
    const had = this.#hadTls.get(hop.name, now()) !== undefined
    if (clear && had) this.#world.events?.note?.(`${by}: ${TLS_IS_MISSING}`)
    const tls = { floor: clear ? ('none' as const) : floor, by, had, ...(isHearsay && { isHearsay }) }
    const { files } = this.#world
    const { authWithoutTls } = this.#config
    const remote = remoteOf(server)
    return {
      hello: this.#config.hostname,
      to: server.host === undefined ? `${shownHop(hop)} [${sayServer(server)}]` : sayServer(server),
      ...(remote !== undefined && { remote }),
      tls,
      without,
      elsewhere,
      ...(connector.login && { login: loginWish(connector.login, tls, { files, authWithoutTls }) }),
    }
  }
}

/** What an order says of the message. */
function letterOf({ envelope, size }: SpoolEntry, recipients: readonly number[]) {
  return { envelope, recipients, size }
}

/** The same, with TLS wished for again. */
function withTls(without: Spared): Spared {
  return without.has('tls') ? new Set([...without].filter(each => each !== 'tls')) : without
}

function sayHop(hop: Hop): string {
  return hop.lmtp ? shownHop(hop) : `connector ${hop.name}`
}

const SPARED: Readonly<Record<Without, string>> = { tls: 'TLS', bdat: 'BDAT', parameters: 'parameters' }

const NO_GREETING: Failure = { status: '4.4.1', why: 'no greeting came' }

const TURNED = 'the connection that was turned'

/** The parts of an order that are about a message, where there is none. */
const NO_MESSAGE: Pick<Order, 'envelope' | 'recipients' | 'size' | 'outcome'> = {
  envelope: { from: null, recipients: [], smtputf8: false, body: '7bit' },
  recipients: [],
  size: 0,
  outcome: 'relayed',
}

async function* nothing(): AsyncIterable<Uint8Array> {}
