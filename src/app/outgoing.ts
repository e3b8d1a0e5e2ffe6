/** Connections that this server makes itself: to relay a message, or to ask for those that wait for us. */

import { Expiring } from '../base/expiring.ts'
import type { TlsFacts } from '../base/machine.ts'
import type { Duration } from '../base/time.ts'
import { now } from '../io/clock.ts'
import { gssInitiator } from '../io/gssapi.ts'
import { HASHES } from '../io/hashes.ts'
import { SaslClientAnswers } from '../io/sasl.ts'
import type { Duplex } from '../io/sockets.ts'
import { type Expected, type Secured, secureClient } from '../io/tls.ts'
import type { MtaConfig } from '../mta/config.ts'
import {
  type LinkStateTalk,
  type LoginWish,
  type Order,
  TLS_IS_MISSING,
  type TlsWish,
  type Without,
} from '../mta/order.ts'
import type { Connector, ConnectorLogin, Target } from '../routing/connector.ts'
import type { Need, SaslClientAnswer, SaslClientQuestion } from '../smtp/sasl/mechanism.ts'
import { choose } from '../smtp/sasl/mechanisms.ts'
import type { Outcome, SpoolEntry } from '../spool/entry.ts'
import { type Ended, type Hand, type Job, runAttempt } from './delivery.ts'
import type { MtaWorld } from './mta-world.ts'
import { words } from './words.ts'

/** How long an attempt may take, whatever the peer does. */
export const ATTEMPT_LIMIT: Duration = 3_000_000
/** So long a next hop is spared what did not work there (a box between that masks BDAT is not changed every hour). */
export const SPARED_FOR: Duration = 86_400_000
/** Next hops of which that is remembered. */
const MAX_SPARED = 1_000

type Spared = ReadonlySet<Without>
const NOTHING: Spared = new Set()

/** What the server around it does for it. */
export interface Around {
  /** The socket lives as long as the server does, at most. */
  readonly hold: (socket: Duplex) => void
  /** Takes a connection on which the other end is the client now. */
  readonly serve: (socket: Duplex, peer: string, tls?: TlsFacts) => void
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

/** A session, for logs, and the name of the server it is with. */
interface Session {
  readonly id: string
  readonly name: string
}

export class Outgoing {
  readonly #config: MtaConfig
  readonly #world: MtaWorld
  readonly #around: Around
  readonly #timers = new Set<NodeJS.Timeout>()
  /** Connectors over which TLS was had before: when it is missing now, somebody should know. */
  readonly #hadTls = new Set<string>()
  /** What did not work over a connector, and without which mail went through. */
  readonly #spared = new Expiring<Spared>(MAX_SPARED)
  #count = 0

  constructor(config: MtaConfig, world: MtaWorld, around: Around) {
    this.#config = config
    this.#world = world
    this.#around = around
  }

  stop(): void {
    for (const timer of this.#timers) clearInterval(timer)
  }

  /**
   * Sends one entry after the other over a connection of our own, as long as there is a next. Why the other end could not be
   * reached, if it could not.
   */
  async relay(
    connector: Connector,
    first: Turning,
    next: () => Promise<Turning | undefined>,
  ): Promise<string | undefined> {
    let turning: Turning | undefined = first
    let outcomes = new Map<number, Outcome>()
    let without: Spared = NOTHING
    const settle = async () => {
      const { done } = turning ?? {}
      const settled = outcomes
      turning = undefined
      outcomes = new Map()
      const worked = [...settled.values()].some(({ kind }) => kind === 'relayed')
      if (worked && without.size > 0) this.#remember(connector, without)
      await done?.(settled)
    }
    const jobOf = ({ entry, recipients }: Turning): Job =>
      this.#job(
        entry,
        connector,
        // A session may end in the middle of its recipients, and another go on.
        recipients.filter(each => !outcomes.has(each)),
        without,
      )
    const begin = (spared: Spared): Job => {
      without = spared
      return jobOf(turning ?? first)
    }
    try {
      await this.#session(connector, begin, {
        outcome: (recipient, outcome) => outcomes.set(recipient, outcome),
        next: async () => {
          await settle()
          turning = await next()
          return turning && jobOf(turning)
        },
      })
      await settle()
      return undefined
    } catch (cause) {
      const why = `connector ${connector.name}: ${words(cause)}`
      const by = { status: '4.4.1', why }
      for (const recipient of turning?.recipients ?? []) {
        if (!outcomes.has(recipient)) outcomes.set(recipient, { kind: 'deferred', by })
      }
      await settle()
      return why
    }
  }

  /** A session without mail: routing state is told, or, without a talk, only the far end looked for. */
  async visit(connector: Connector, talk?: LinkStateTalk): Promise<void> {
    const hello = this.#config.hostname
    const to = `${connector.name} [${connector.target.ip}]`
    const order = (without: Spared): Order =>
      talk
        ? { ...this.#manners(connector, without), ...NO_MESSAGE, to, linkState: talk }
        : { hello, tls: { floor: connector.tls?.implicit ? 'may' : 'none', by: to }, ...NO_MESSAGE, to }
    await this.#session(connector, without => ({ order: order(without), body: nothing }), {
      outcome: () => {},
      note: why => talk?.broken(why),
    })
  }

  /** Sends one entry after the other over a connection whose other end asked for them. */
  async sendOver(socket: Duplex, next: () => Promise<Turning | undefined>, facts: TlsFacts | undefined): Promise<void> {
    let turning = await next()
    if (!turning) return
    let outcomes = new Map<number, Outcome>()
    const settle = async () => {
      const { done } = turning ?? {}
      turning = undefined
      await done?.(outcomes)
      outcomes = new Map()
    }
    // Who has logged in is known by name, but has shown no certificate.
    const tls = facts && ({ floor: 'none', by: TURNED, facts: { ...facts, unproven: 'a client shows none' } } as const)
    const jobOf = ({ entry, recipients }: Turning): Job => ({
      order: { ...this.#order(entry, { to: 'who asked for it', recipients }), ...(tls && { tls }) },
      body: () => this.#world.spool.body(entry.id),
    })
    this.#around.hold(socket)
    const ended = await this.#run(socket, { id: `turned#${++this.#count}`, name: '' }, jobOf(turning), {
      outcome: (recipient, outcome) => outcomes.set(recipient, outcome),
      next: async () => {
        await settle()
        turning = await next()
        return turning && jobOf(turning)
      },
    })
    if (ended.kind === 'again') {
      // There is no other connection to do it on.
      const by = { status: '4.5.0', why: ended.why }
      for (const recipient of turning?.recipients ?? [])
        if (!outcomes.has(recipient)) outcomes.set(recipient, { kind: 'deferred', by })
    }
    await settle()
  }

  /** Every connector with a `connector-pull` asks at its pace for the mail that waits for us. */
  startPulling(): void {
    for (const connector of this.#config.routing.connectors) {
      const { pull } = connector
      if (pull) this.#timers.add(setInterval(() => void this.pull(connector), pull.every))
    }
  }

  /** Asks once. Says what came of it. */
  async pull(connector: Connector): Promise<void> {
    const { pull, name, target } = connector
    if (!pull) return
    const note = (what: string) => this.#world.events?.note?.(`connector ${name}: ${pull.verb.toUpperCase()}: ${what}`)
    const asking: Order['pull'] = pull.verb === 'turn' ? { kind: 'turn' } : { kind: pull.verb, argument: pull.argument }
    const order = (without: Spared): Order => ({
      ...this.#manners(connector, without),
      ...NO_MESSAGE,
      to: `${name} [${target.ip}]`,
      pull: asking,
    })
    try {
      const ended = await this.#session(connector, without => ({ order: order(without), body: nothing }), {
        outcome: () => undefined,
        note,
        pulled: ({ code, text }) => note(`answered ${code} ${text.join(' ')}`),
      })
      if (ended.kind === 'turned') this.#around.serve(ended.socket, target.ip, ended.tls)
    } catch (cause) {
      note(words(cause))
    }
  }

  /** One session over a connector; where something did not work and may be gone without, another one without it. */
  async #session(connector: Connector, job: (without: Spared) => Job, hand: Hand): Promise<Ended> {
    let without = this.#spared.get(connector.name, now()) ?? NOTHING
    for (;;) {
      const ended = await this.#dialled(connector, job(without), hand)
      // Each can be left out once.
      if (ended.kind !== 'again' || without.has(ended.without)) return ended
      without = new Set([...without, ended.without])
      this.#world.events?.note?.(
        `connector ${connector.name}: ${ended.why}; trying again without ${SPARED[ended.without]}`,
      )
    }
  }

  /** TLS is wished for anew each time: whoever took it away may be gone. */
  #remember({ name }: Connector, without: Spared): void {
    const spared = new Set([...without].filter(each => each !== 'tls'))
    const known = this.#spared.get(name, now())
    if (spared.size === 0 || (known && [...spared].every(each => known.has(each)))) return
    this.#spared.set(name, spared, now() + SPARED_FOR)
  }

  /** A session with the first of its servers that takes a connection; whether any answered is told. */
  async #dialled(connector: Connector, job: Job, hand: Hand): Promise<Ended> {
    let answered = false
    const answer = () => {
      answered = true
      this.#around.reached(connector)
    }
    let why = 'the connection was closed before a greeting came'
    try {
      const { socket, target } = await this.#firstOf(connector)
      return await this.#spoken({ ...connector, target }, { raw: socket, job, hand: { ...hand, answered: answer } })
    } catch (cause) {
      why = words(cause)
      throw cause
    } finally {
      if (!answered) this.#around.reached(connector, why)
    }
  }

  async #firstOf({ target, others }: Connector): Promise<{ readonly socket: Duplex; readonly target: Target }> {
    let failure: unknown
    for (const each of [target, ...others]) {
      try {
        return { socket: await this.#world.dial(each.ip, each.port), target: each }
      } catch (cause) {
        failure = cause
      }
    }
    throw failure
  }

  async #spoken(
    connector: Connector,
    { raw, job, hand }: { readonly raw: Duplex; readonly job: Job; readonly hand: Hand },
  ): Promise<Ended> {
    const { target, tls, name } = connector
    this.#around.hold(raw)
    const secure = async (socket: Duplex): Promise<Secured> => {
      const secured = await secureClient(socket, this.#expected(connector))
      this.#hadTls.add(name)
      return secured
    }
    const session = { id: `${name}#${++this.#count}`, name: tls?.name ?? target.ip }
    const wanted = job.order.tls?.floor ?? 'none'
    if (!tls?.implicit || wanted === 'none') return this.#run(raw, session, job, { ...hand, secure })
    const { socket, facts } = await secure(raw)
    const order = { ...job.order, tls: { ...(job.order.tls ?? NO_TLS), facts } }
    return this.#run(socket, session, { ...job, order }, hand)
  }

  async #run(socket: Duplex, session: Session, job: Job, hand: Hand): Promise<Ended> {
    const { events } = this.#world
    const trace = (by: 'C' | 'S', text: string) => events?.line?.(session.id, 'out', by, text)
    const limit = setTimeout(() => socket.destroy(), ATTEMPT_LIMIT)
    const credentials = new Credentials(`smtp@${session.name}`)
    try {
      return await runAttempt(socket, job, {
        answer: question => credentials.answer(question),
        note: what => events?.note?.(`${session.id}: ${what}`),
        trace: events?.line && trace,
        ...hand,
      })
    } finally {
      clearTimeout(limit)
      await credentials.close()
    }
  }

  #expected({ target, tls }: Connector): Expected {
    const authorities = tls?.authoritiesFile === undefined ? undefined : this.#world.files.get(tls.authoritiesFile)
    return {
      name: tls?.name ?? target.ip,
      ...(authorities !== undefined && { authorities }),
      ...(tls?.fingerprint !== undefined && { pin: tls.fingerprint }),
    }
  }

  #job(entry: SpoolEntry, connector: Connector, recipients: readonly number[], without: Spared): Job {
    const order = this.#order(entry, { to: `${connector.name} [${connector.target.ip}]`, recipients })
    const { names, delay, threshold } = this.#config.workarounds
    const talk = this.#around.talk(connector)
    const workarounds = { names: new Set(names), delay, threshold, queuedFor: now() - entry.arrived }
    return {
      order: { ...order, ...this.#manners(connector, without), workarounds, ...(talk && { linkState: talk }) },
      body: () => this.#world.spool.body(entry.id),
    }
  }

  #order({ envelope, size }: SpoolEntry, { to, recipients }: Pick<Order, 'to' | 'recipients'>): Order {
    return { hello: this.#config.hostname, to, envelope, recipients, size, outcome: 'relayed' }
  }

  /** How a session over this connector begins: hello, TLS, login. */
  #manners(connector: Connector, without: Spared): Pick<Order, 'hello' | 'tls' | 'login' | 'without'> {
    const { name, tls, login } = connector
    const clear = without.has('tls')
    const by = `connector ${name}`
    const floor: TlsWish['floor'] = clear ? 'none' : (tls?.floor ?? 'may')
    const had = this.#hadTls.has(name)
    if (clear && had) this.#world.events?.note?.(`${by}: ${TLS_IS_MISSING}`)
    return {
      hello: this.#config.hostname,
      tls: { floor, by, had },
      without,
      ...(login && { login: this.#login(login, { floor, by }) }),
    }
  }

  #login({ verb, mechanism, user = '', passwordFile, required }: ConnectorLogin, { floor, by }: TlsWish): LoginWish {
    const password = passwordFile === undefined ? '' : (this.#world.files.get(passwordFile) ?? '')
    const choosing = (offered: readonly string[], facts: TlsFacts | undefined) => {
      const tls = { secured: facts !== undefined, ...(facts?.exporter && { exporter: facts.exporter }) }
      const has = new Set<Need>(passwordFile === undefined ? ['gss'] : ['password'])
      // Secret with whom? Unless a line says that it does not matter, a password is not told to who proves nothing.
      const secured = facts !== undefined && (facts.unproven === undefined || floor === 'require')
      const found = choose(offered, {
        tls: { ...tls, secured },
        plaintextWithoutTls: this.#config.authWithoutTls,
        has,
      })
      const taken = found.find(({ name }) => mechanism === 'any' || name.toLowerCase() === mechanism)
      return taken?.client({ hashes: HASHES, now: now(), tls, offered, user, password })
    }
    return { verb, required, by, choose: choosing }
  }
}

/** What a session's mechanism needs of the world. Kerberos is only asked where it is wanted: it may not be there. */
class Credentials {
  readonly #service: string
  #answers: Promise<SaslClientAnswers> | undefined

  constructor(service: string) {
    this.#service = service
  }

  async answer(question: SaslClientQuestion): Promise<SaslClientAnswer> {
    this.#answers ??=
      question.kind === 'gss-initiate'
        ? gssInitiator(this.#service).then(initiator => new SaslClientAnswers({ initiator }))
        : Promise.resolve(new SaslClientAnswers())
    return (await this.#answers).answer(question)
  }

  async close(): Promise<void> {
    await (await this.#answers?.catch(() => undefined))?.close()
  }
}

const SPARED: Readonly<Record<Without, string>> = { tls: 'TLS', bdat: 'BDAT', parameters: 'parameters' }

const TURNED = 'the connection that was turned'

const NO_TLS: TlsWish = { floor: 'may', by: '' }

/** The parts of an order that are about a message, where there is none. */
const NO_MESSAGE: Pick<Order, 'envelope' | 'recipients' | 'size' | 'outcome'> = {
  envelope: { from: null, recipients: [], smtputf8: false, body: '7bit' },
  recipients: [],
  size: 0,
  outcome: 'relayed',
}

async function* nothing(): AsyncIterable<Uint8Array> {}
