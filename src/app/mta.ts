/** The mail transfer agent, running: sessions come in, messages wait in the spool, attempts go out. */
import { lower, utf8 } from '../base/bytes.ts'
import { newId } from '../base/id.ts'
import type { TlsFacts } from '../base/machine.ts'
import type { Duration, Instant } from '../base/time.ts'
import { now, random } from '../io/clock.ts'
import { Drive } from '../io/drive.ts'
import { HASHES } from '../io/hashes.ts'
import { deliver } from '../io/maildir.ts'
import type { Duplex } from '../io/sockets.ts'
import { secureServer } from '../io/tls.ts'
import { formatDate } from '../mail/date.ts'
import { type Envelope, envelopeOf } from '../mail/envelope.ts'
import { traceFields } from '../mail/trace.ts'
import { acceptRecipient, isKnownPeer, isLocal, verifyAddress } from '../mta/acceptance.ts'
import { bounce, delayed } from '../mta/bounce.ts'
import type { MtaConfig } from '../mta/config.ts'
import { type Batch, batches, conclude, type Hurried, hastened, hasWay, isLate, turnFor, wayOf } from '../mta/work.ts'
import { formatMailbox, formatPath, sameDomain } from '../smtp/address.ts'
import { dialect } from '../smtp/dialect.ts'
import type { Limits } from '../smtp/limits.ts'
import { mechanismNamed, offer } from '../smtp/sasl/mechanisms.ts'
import { ITERATIONS } from '../smtp/sasl/scram-message.ts'
import { type Answer, type Question, Server, type ServerOutput, type SessionFacts } from '../smtp/server.ts'
import { dueAt, isDone, newEntry, noted, type Outcome, type SpoolEntry } from '../spool/entry.ts'
import type { Claim } from '../spool/spool.ts'
import { holds } from '../topology/topology.ts'
import { Arriving } from './arriving.ts'
import { Door } from './door.ts'
import { Lanes } from './lanes.ts'
import { LinkState } from './link-state.ts'
import type { Answers } from './logins.ts'
import type { MtaWorld } from './mta-world.ts'
import { ATTEMPT_LIMIT, Outgoing, type Turning } from './outgoing.ts'
import { Reports } from './reports.ts'
import { Turns } from './turns.ts'
import { words } from './words.ts'

/** Entries worked on at once; most of them wait for their turn at their next hop. */
export const MAX_WORKING = 1_000
/** Entries read in one go; others are served between. */
const MAX_CLAIMED = 100
/** Messages written into Maildirs at once: each is an open file. */
export const MAX_DELIVERIES = 20
const LONGEST_SLEEP: Duration = 86_400_000
/** A claim outlives its attempt, so that nobody else sends the message meanwhile; and it does end. */
const CLAIM: Duration = ATTEMPT_LIMIT + 600_000

export class Mta {
  readonly config: MtaConfig
  readonly #world: MtaWorld
  readonly #door: Door
  readonly #outgoing: Outgoing
  readonly routing: LinkState
  readonly #reports: Reports
  readonly #lanes: Lanes
  readonly #deliveries = new Turns(MAX_DELIVERIES)
  /** Next hop → messages that wait because it was away. */
  readonly #away = new Map<string, Set<string>>()
  /** Messages whose next hop is back, and by which way. */
  readonly #back: { readonly id: string; readonly hop: string }[] = []
  readonly #sessions = new Map<Server, Drive<ServerOutput>>()
  readonly #working = new Set<Promise<unknown>>()
  readonly #sockets = new Set<Duplex>()
  /** Entry and recipient → the connector tried last. */
  readonly #tried = new Map<string, string>()
  /** How often the ways changed. */
  #changes = 0
  #rerouting = false
  #timer: NodeJS.Timeout | undefined
  #stopped = false
  #sessionCount = 0

  constructor(config: MtaConfig, world: MtaWorld) {
    this.config = config
    this.#world = world
    this.#reports = new Reports(config, world.spool)
    this.#door = new Door(config.sessions)
    this.#outgoing = new Outgoing(config, world, {
      hold: socket => this.#hold(socket),
      serve: (socket, peer, tls) => this.serve(socket, peer, tls),
      reached: (connector, why) => this.routing.reached(connector, why),
      talk: connector => this.routing.talk(connector),
    })
    this.#lanes = new Lanes(config, this.#outgoing, hop => {
      for (const id of this.#away.get(hop) ?? []) this.#back.push({ id, hop })
      this.#away.delete(hop)
      this.wake()
    })
    this.routing = new LinkState(config, {
      visit: (connector, talk) => {
        const visit = this.#outgoing.visit(connector, talk)
        const work: Promise<unknown> = visit.catch(() => {}).finally(() => this.#working.delete(work))
        this.#working.add(work)
        return visit
      },
      changed: () => this.#reroute(),
      back: ({ name }) => this.#lanes.back(name),
      note: what => world.events?.note?.(what),
    })
  }

  /** Tells its neighbours what it knows of routing, and asks for mail, where the configuration says so. */
  start(): void {
    this.#outgoing.startPulling()
    this.routing.start()
  }

  /** Everything that waits, or waits to be forgotten. */
  queue(): Promise<readonly SpoolEntry[]> {
    return this.#world.spool.list()
  }

  /** Takes a connection; `peer` is the client's address as it shall be shown, `tls` what TLS it began with. */
  serve(socket: Duplex, peer: string, tls?: TlsFacts): void {
    const id = `${this.config.hostname}#${++this.#sessionCount}`
    const entered = this.#door.enter(peer, { known: isKnownPeer(this.config, peer), now: now() })
    const limits = this.#door.limits(this.config.limits)
    const server = this.#server(peer, limits, tls)
    let arriving: Arriving | undefined
    let answers: Answers | undefined
    const linkState = this.routing.answering(!dialect(this.config.dialect, { quoteUnknown: false }).isExchange)
    const { identity, logins } = this.#world
    const drive: Drive<ServerOutput> = new Drive<ServerOutput>(
      server,
      socket,
      output => {
        switch (output.kind) {
          case 'ask':
            if (output.question.about === 'sasl') answers ??= logins.begin()
            return this.#answer(output.question, { arriving, answers, linkState, peer }).then(answer =>
              server.answer(answer, now()),
            )
          case 'message-begins':
            arriving = this.#begin(envelopeOf(output.transaction, now()), output.facts, limits)
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
          case 'login':
            this.#world.events?.login?.(peer, output)
            return undefined
          case 'turned':
            this.#turned(drive.release(), output)
            return undefined
          default:
            return undefined
        }
      },
      identity && { secure: raw => secureServer(raw, identity) },
    )
    this.#hold(socket)
    this.#sessions.set(server, drive)
    drive.do(() => {
      if (this.#stopped) return server.stop(now())
      return entered ? server.open(now()) : server.turnAway(now())
    })
    void drive.over.then(() => {
      arriving?.abandon('the client went away')
      void answers?.close()
      this.#sessions.delete(server)
      if (entered) this.#door.leave(peer)
    })
  }

  #server(peer: string, limits: Limits, tls: TlsFacts | undefined): Server {
    const { hostname, dialect: name, version, quoteUnknown, off, tlsRequired } = this.config
    const spoken = dialect(name, { quoteUnknown })
    return new Server({
      host: hostname,
      peer,
      dialect: spoken,
      version: version ?? spoken.version,
      limits,
      mechanisms: secured => this.#mechanisms({ secured }).map(each => each.name),
      sasl: (mechanism, session, offered, at) => {
        const found = mechanismNamed(mechanism)
        if (!found) throw new Error(`no mechanism is called ${mechanism}`)
        return found.server({
          hashes: HASHES,
          now: at,
          tls: { secured: session !== undefined, ...(session?.exporter && { exporter: session.exporter }) },
          offered,
          secret: this.#world.logins.secret,
          iterations: ITERATIONS.least,
          hostname,
          strict: !spoken.isExchange,
        })
      },
      startTls: this.#world.identity !== undefined,
      requireTls: tlsRequired,
      tls,
      services: this.#services(peer),
      off: new Set(off),
      date: formatDate,
      trace: this.#world.events?.line !== undefined,
    })
  }

  #mechanisms(tls: { readonly secured: boolean }) {
    // Whether a connection can be bound to shows only when it is there; TLS 1.3 always can.
    const exporter = tls.secured ? { exporter: utf8('') } : {}
    return offer({
      tls: { ...tls, ...exporter },
      plaintextWithoutTls: this.config.authWithoutTls,
      has: this.#world.logins.has,
    })
  }

  #services(peer: string): ReadonlySet<string> {
    const { verifies, turns, proxies } = this.config
    const trusted = proxies.some(({ network, by }) => by === 'xclient' && holds(network, peer))
    return new Set([
      ...(verifies ? ['VRFY'] : []),
      ...(turns.length > 0 ? ['ETRN', 'TURN', 'ATRN'] : []),
      ...(trusted ? ['XCLIENT'] : []),
      ...(this.config.relayFrom.some(network => holds(network, peer)) ? ['RELAY'] : []),
      ...(this.routing.isSpoken ? ['X-LINK2STATE', 'X-POSTERN-LINKSTATE'] : []),
      'XEXCH50',
    ])
  }

  async #answer(question: Question, { arriving, answers, linkState, peer }: Listening): Promise<Answer> {
    switch (question.about) {
      case 'mail':
        return { yes: '' }
      case 'rcpt':
        return acceptRecipient(this.config, question, to => hasWay(this.routing.service, { to, now: now() }))
      case 'vrfy':
        return verifyAddress(this.config, question.text)
      case 'sasl':
        if (!answers) return { no: 'auth-unavailable' }
        return { sasl: await answers.answer(question.question) }
      case 'etrn':
        return this.#etrn(question.node)
      case 'turn':
        return this.#mayTurn(question.domains, question.login)
      case 'link-state':
        return linkState(question)
      default:
        return arriving ? this.#finish(arriving, question, peer) : { no: 'cannot-keep' }
    }
  }

  async #finish(
    arriving: Arriving,
    { transaction }: Question & { readonly about: 'message' },
    peer: string,
  ): Promise<Answer> {
    const answer = await arriving.finish()
    const [first] = transaction.recipients
    if (first && 'no' in answer && answer.no === 'too-many-hops') this.routing.loops(first.to, peer)
    return answer
  }

  #begin(envelope: Envelope, facts: SessionFacts, limits: Limits): Arriving {
    const at = now()
    const id = newId(at, random)
    const { hostname: host, dialect: name, version } = this.config
    const { isExchange, version: usual } = dialect(name, { quoteUnknown: false })
    const trace = utf8(traceFields({ host, id, facts, isExchange, version: version ?? usual }, at))
    const what = `received from ${facts.hello} [${facts.peer}] by ${facts.protocol}`
    const entry = newEntry({ id, envelope, at, expire: this.config.expire, what })
    const arriving = new Arriving(this.#world.spool, entry, limits, async kept => {
      if (!kept.kept) return { no: kept.why === 'no-space' ? 'no-space' : 'cannot-keep' }
      this.#world.events?.received?.(entry)
      this.wake()
      return { yes: isExchange ? `<${id}@${host}>` : id }
    })
    void arriving.push(trace)
    return arriving
  }

  // ── mail that waits to be asked for ──────────────────────────────────────────────────────────────────────────────

  /** RFC 1985 §5: what waits goes out by the usual way, over a connection of its own. */
  async #etrn(node: string): Promise<Answer> {
    // Without a way there the mail would come back; it waits for TURN or ATRN instead.
    const isReached = (domain: string) => hasWay(this.routing.service, { to: { local: '', domain }, now: now() })
    const held = this.config.turns.map(({ domain }) => domain).filter(domain => isMeant(node, domain))
    const domains = held.filter(isReached)
    if (domains.length === 0) return { no: 'etrn-refused' }
    const waiting = await this.#waitingFor(domains)
    if (waiting.length === 0) return { no: 'etrn-nothing' }
    const asked = new Set(domains.map(lower))
    for (const { id } of waiting) {
      const claim = await this.#world.spool.take(id, now(), now() + CLAIM)
      if (claim) this.#begun(claim, { asked })
    }
    return { yes: '' }
  }

  async #mayTurn(domains: readonly string[], login: string): Promise<Answer> {
    const own = this.#domainsOf(login)
    const wanted = domains.length === 0 ? own : domains
    const allowed = wanted.every(domain => own.some(each => sameDomain(each, domain)))
    if (own.length === 0 || !allowed) return { no: 'turn-refused' }
    return (await this.#waitingFor(wanted)).length === 0 ? { no: 'turn-nothing' } : { yes: '' }
  }

  #domainsOf(login: string): readonly string[] {
    return this.config.turns.filter(turn => turn.login === login).map(({ domain }) => domain)
  }

  async #waitingFor(domains: readonly string[]): Promise<readonly SpoolEntry[]> {
    const entries = await this.#world.spool.list()
    return entries.filter(
      ({ envelope, recipients, held }) =>
        held === undefined &&
        envelope.recipients.some(
          ({ to }, i) => recipients[i]?.kind === 'waiting' && domains.some(domain => sameDomain(domain, to.domain)),
        ),
    )
  }

  /** The roles are reversed: what waits goes out over this very connection (RFC 2645 §4). */
  #turned(socket: Duplex, { domains, login, rest, tls }: ServerOutput & { readonly kind: 'turned' }): void {
    if (rest.length > 0) socket.unshift(rest)
    const asked = domains.length === 0 ? this.#domainsOf(login) : domains
    const set = new Set(asked.map(lower))
    const sending = this.#sendTurned(socket, asked, { set, tls }).catch(cause =>
      this.#world.events?.note?.(`sending to ${login} by TURN failed: ${words(cause)}`),
    )
    const work: Promise<unknown> = sending.finally(() => this.#working.delete(work))
    this.#working.add(work)
  }

  async #sendTurned(
    socket: Duplex,
    domains: readonly string[],
    { set: asked, tls }: { readonly set: ReadonlySet<string>; readonly tls: TlsFacts | undefined },
  ): Promise<void> {
    const waiting = [...(await this.#waitingFor(domains))]
    const next = async (): Promise<Turning | undefined> => {
      for (let entry = waiting.shift(); entry; entry = waiting.shift()) {
        const claim = await this.#world.spool.take(entry.id, now(), now() + CLAIM)
        if (!claim) continue
        const recipients = claim.entry.envelope.recipients.flatMap(({ to }, i) =>
          claim.entry.recipients[i]?.kind === 'waiting' && asked.has(lower(to.domain)) ? [i] : [],
        )
        const done = (outcomes: ReadonlyMap<number, Outcome>) => this.#conclude(claim, outcomes)
        return { entry: claim.entry, recipients, done }
      }
      return undefined
    }
    await this.#outgoing.sendOver(socket, next, tls)
  }

  // ── the queue ────────────────────────────────────────────────────────────────────────────────────────────────────

  /** There may be something to do. */
  wake(): void {
    if (this.#stopped) return
    clearTimeout(this.#timer)
    this.#timer = setTimeout(() => this.#pumped(), 0)
  }

  /** A spool that cannot be asked now can be asked again. */
  #pumped(): void {
    void this.#pump().catch(cause => {
      this.#world.events?.note?.(`the spool cannot be read: ${words(cause)}`)
      clearTimeout(this.#timer)
      if (!this.#stopped) this.#timer = setTimeout(() => this.#pumped(), AFTER_A_FAULT)
    })
  }

  async #pump(): Promise<void> {
    const at = now()
    while (this.#working.size < MAX_WORKING) {
      const back = this.#back.shift()
      if (!back) break
      const claim = await this.#world.spool.take(back.id, at, at + CLAIM)
      if (claim?.entry.held === undefined && claim) this.#begun(claim, { hop: back.hop })
      else if (claim) await this.#world.spool.update(claim, { ...claim.entry, revision: claim.entry.revision + 1 })
    }
    const free = MAX_WORKING - this.#working.size
    for (const claim of free > 0 ? await this.#world.spool.claim(at, at + CLAIM, Math.min(free, MAX_CLAIMED)) : [])
      this.#begun(claim)
    const due = await this.#world.spool.nextDue()
    if (due === undefined || this.#stopped || this.#working.size >= MAX_WORKING) return
    clearTimeout(this.#timer)
    // No timer is longer than this; looking once too often does no harm.
    this.#timer = setTimeout(() => this.#pumped(), Math.min(Math.max(1, due - now()), LONGEST_SLEEP))
  }

  #begun(claim: Claim, hurried?: Hurried): void {
    const work: Promise<unknown> = this.#work(claim, hurried)
      // A mistake of ours: the message is not lost, and is due again soon instead of when its claim runs out.
      .catch(cause => this.#world.spool.update(claim, faulted(claim.entry, now(), words(cause))))
      .finally(() => {
        this.#working.delete(work)
        this.wake()
      })
    this.#working.add(work)
  }

  /** Tries what is due of one entry, and records what became of it. */
  async #work(claim: Claim, hurried?: Hurried): Promise<void> {
    const { entry } = claim
    const changes = this.#changes
    const outcomes = new Map<number, Outcome>()
    await Promise.all(
      batches(this.config, entry, now(), { ...hurried, ways: this.routing.service }).map(async batch => {
        const tried = await this.#try(entry, batch)
        for (const recipient of batch.recipients) {
          // An attempt that broke off says nothing; without an outcome it would be tried again at once, for ever.
          const outcome = tried.get(recipient) ?? (this.#stopped ? undefined : BROKE_OFF)
          if (outcome) outcomes.set(recipient, outcome)
        }
      }),
    )
    // Its turn had not come when we were asked to stop: it waits as it did, for the next start.
    if (outcomes.size === 0 && this.#stopped) return
    const next = await this.#conclude(claim, outcomes)
    // While it was under way a way may have opened.
    await this.#moveOn(next, { again: changes !== this.#changes })
  }

  async #conclude(claim: Claim, outcomes: ReadonlyMap<number, Outcome>): Promise<SpoolEntry> {
    const plan = { waits: this.config.retry, expire: this.config.expire }
    const at = now()
    const next = conclude(claim.entry, outcomes, { plan, now: at })
    for (const [recipient, { kind }] of next.recipients.entries())
      if (kind === 'done') this.#tried.delete(`${next.id} ${recipient}`)
    const { spool, events } = this.#world
    if (isDone(next)) await spool.remove(claim, { last: next, report: await this.#reports.about(next, bounce, at) })
    else if (isLate(next, { after: this.config.delayReport, now: at })) {
      const report = await this.#reports.about(next, delayed, at)
      const told = report ? 'the sender is told that it is delayed' : 'it is delayed, and nobody is to be told'
      await spool.update(claim, noted({ ...next, toldLate: at }, at, told), report)
    } else await spool.update(claim, next)
    events?.tried?.(next, outcomes)
    this.wake()
    return next
  }

  // ── other ways ───────────────────────────────────────────────────────────────────────────────────────────────────

  /** The routes changed: what waits goes at once where another way is open for it. */
  #reroute(): void {
    this.#changes++
    if (this.#stopped || this.#rerouting) return
    this.#rerouting = true
    const work: Promise<unknown> = this.#lookAround()
      .catch(cause => this.#world.events?.note?.(`the spool cannot be read: ${words(cause)}`))
      .finally(() => this.#working.delete(work))
    this.#working.add(work)
  }

  async #lookAround(): Promise<void> {
    // Many changes that come together are looked at together.
    await new Promise(resolve => setImmediate(resolve))
    this.#rerouting = false
    for await (const entry of this.#world.spool.scan()) await this.#moveOn(entry, { again: true })
  }

  /** `again`: over the way it was tried by, too, if that broke. */
  async #moveOn(entry: SpoolEntry, { again }: { readonly again: boolean }): Promise<void> {
    const rerouted = this.#movable(entry, again)
    if (rerouted.size === 0 || this.#stopped) return
    const claim = await this.#world.spool.take(entry.id, now(), now() + CLAIM)
    if (!claim) return
    await this.#world.spool.update(claim, hastened(claim.entry, rerouted, now()))
    this.wake()
  }

  /** Recipients who wait, and for whom another way than the one tried last is open, or that one again. */
  #movable(entry: SpoolEntry, again: boolean): ReadonlySet<number> {
    const at = now()
    const found = new Set<number>()
    if (entry.held !== undefined) return found
    for (const [recipient, { to }] of entry.envelope.recipients.entries()) {
      const state = entry.recipients[recipient]
      if (state?.kind !== 'waiting' || state.due <= at || turnFor(this.config, to) || isLocal(this.config, to)) continue
      const way = wayOf(this.routing.service, entry, { to, now: at })
      if (way.kind !== 'relay' || this.routing.isSilent(way.connector)) continue
      const isSame = this.#tried.get(`${entry.id} ${recipient}`) === way.connector.name
      if (!isSame || (again && state.last && isAway(state.last))) found.add(recipient)
    }
    return found
  }

  async #try(entry: SpoolEntry, batch: Batch): Promise<ReadonlyMap<number, Outcome>> {
    switch (batch.kind) {
      case 'nowhere':
        for (const recipient of batch.recipients) this.#tried.delete(`${entry.id} ${recipient}`)
        return new Map(batch.recipients.map(recipient => [recipient, batch.outcome]))
      case 'local': {
        const mailbox = formatMailbox(batch.mailbox)
        const outcome = await this.#deliveries.run(() => this.#deliver(entry, mailbox))
        return new Map(batch.recipients.map(recipient => [recipient, outcome]))
      }
      default:
        for (const recipient of batch.recipients) this.#tried.set(`${entry.id} ${recipient}`, batch.hop.connector.name)
        return this.#relay(entry, batch)
    }
  }

  async #relay(entry: SpoolEntry, { hop, recipients }: Batch & { readonly kind: 'relay' }) {
    const outcomes = await this.#lanes.relay(entry, hop, recipients)
    if ([...outcomes.values()].some(isAway)) {
      const waiting = this.#away.get(hop.name) ?? new Set()
      this.#away.set(hop.name, waiting.add(entry.id))
    }
    return outcomes
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

  /** Has the grace of a stop run out? A connection that comes about after that is cut at once. */
  #cut: () => boolean = () => false

  #hold(socket: Duplex): void {
    if (this.#cut()) socket.destroy()
    this.#sockets.add(socket)
    socket.on('close', () => this.#sockets.delete(socket))
  }

  /** Takes nothing new, says goodbye, and waits for what is under way; after `grace` it is cut. */
  async stop(grace: Duration): Promise<void> {
    this.#stopped = true
    clearTimeout(this.#timer)
    this.#outgoing.stop()
    if (this.#world.spool.lasts) this.#lanes.stop()
    this.routing.stop()
    let isCut = false
    const cut = setTimeout(() => {
      isCut = true
      for (const socket of this.#sockets) socket.destroy()
    }, grace)
    this.#cut = () => isCut
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

/** What a session asks of whoever serves it. */
interface Listening {
  readonly peer: string
  readonly arriving: Arriving | undefined
  readonly answers: Answers | undefined
  readonly linkState: ReturnType<LinkState['answering']>
}

/** How long to wait after a mistake of ours, or of a disk. */
const AFTER_A_FAULT: Duration = 60_000

/** An attempt that broke on a mistake of ours. */
function faulted(entry: SpoolEntry, at: Instant, why: string): SpoolEntry {
  const recipients = entry.recipients.map(state =>
    state.kind === 'waiting' ? { ...state, due: Math.max(state.due, at + AFTER_A_FAULT) } : state,
  )
  return noted(
    { ...entry, revision: entry.revision + 1, recipients },
    at,
    `the attempt failed by a mistake here: ${why}`,
  )
}

/** Was it the next hop that was not there, and not the message? */
function isAway(outcome: Outcome): boolean {
  return outcome.kind === 'deferred' && !('code' in outcome.by) && outcome.by.status === '4.4.1'
}

const BROKE_OFF: Outcome = { kind: 'deferred', by: { status: '4.3.0', why: 'the attempt broke off' } }

/** Is the domain what an ETRN argument means? `@domain` means all below it, too; `#` names a queue, and ours have domains' names. */
function isMeant(node: string, domain: string): boolean {
  const name = lower(node.replace(/^[@#]/, ''))
  return lower(domain) === name || (node.startsWith('@') && lower(domain).endsWith(`.${name}`))
}
