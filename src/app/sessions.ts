/** Sessions that come in: what is offered to whom, who may what, and the messages they bring. */
import { concat, utf8 } from '../base/bytes.ts'
import { newId } from '../base/id.ts'
import type { TlsFacts } from '../base/machine.ts'
import type { Instant } from '../base/time.ts'
import { now, random } from '../io/clock.ts'
import { Drive } from '../io/drive.ts'
import type { Dropped } from '../io/drop-folder.ts'
import { HASHES } from '../io/hashes.ts'
import type { Channel } from '../io/sockets.ts'
import { secureServer } from '../io/tls.ts'
import { formatDate } from '../mail/date.ts'
import { type Envelope, envelopeOf } from '../mail/envelope.ts'
import { MessageForm } from '../mail/form.ts'
import { traceFields } from '../mail/trace.ts'
import { acceptRecipient, acceptSender, isKnownPeer, verifyAddress } from '../mta/acceptance.ts'
import { type Expansion, expand, NO_ALIASES } from '../mta/aliases.ts'
import type { MtaConfig } from '../mta/config.ts'
import { type MessageNews, sayNews, trailed } from '../mta/news.ts'
import { hasWay } from '../mta/work.ts'
import { WITNESS_FIELD } from '../routing/witness.ts'
import { formatMailbox } from '../smtp/address.ts'
import { dialect } from '../smtp/dialect.ts'
import type { Limits } from '../smtp/limits.ts'
import { mechanismNamed, offer } from '../smtp/sasl/mechanisms.ts'
import { ITERATIONS } from '../smtp/sasl/scram-message.ts'
import { type Answer, type Question, Server, type ServerOutput, type SessionFacts } from '../smtp/server.ts'
import { newEntry, type SpoolEntry, type SpoolId } from '../spool/entry.ts'
import { holds } from '../topology/topology.ts'
import { Arriving } from './arriving.ts'
import type { AskedFor } from './asked-for.ts'
import type { Door } from './door.ts'
import { envelopeOfDropped, type Taken, whatIsWrong, withoutRefused } from './dropped.ts'
import { localEndpoint } from './hand-in.ts'
import type { LinkState } from './link-state.ts'
import type { Answers } from './logins.ts'
import type { MtaWorld } from './mta-world.ts'
import type { Underway } from './underway.ts'
import { words } from './words.ts'

/** What the server around them does for sessions. */
export interface AroundSessions {
  readonly routing: LinkState
  readonly underway: Underway
  readonly askedFor: AskedFor
  readonly door: Door
  /** A message came. */
  readonly wake: () => void
}

export class Sessions {
  readonly #config: MtaConfig
  readonly #world: MtaWorld
  readonly #routing: LinkState
  readonly #underway: Underway
  readonly #askedFor: AskedFor
  readonly #wake: () => void
  readonly #door: Door
  readonly #open = new Map<Server, Drive<ServerOutput>>()
  #count = 0

  constructor(config: MtaConfig, world: MtaWorld, { routing, underway, askedFor, wake, door }: AroundSessions) {
    this.#config = config
    this.#world = world
    this.#routing = routing
    this.#underway = underway
    this.#askedFor = askedFor
    this.#wake = wake
    this.#door = door
  }

  /** Takes a connection; `peer` is the client's address as it shall be shown, `tls` what TLS it began with. */
  serve(socket: Channel, peer: string, tls?: TlsFacts): void {
    const id = `${this.#config.hostname}#${++this.#count}`
    const entered = this.#door.enter(peer, { known: isKnownPeer(this.#config, peer), now: now() })
    this.#world.events?.tell?.(entered ? { kind: 'connected', peer, session: id } : { kind: 'turned-away', peer })
    const limits = this.#door.limits(this.#config.limits)
    const server = this.#server(peer, limits, tls)
    let arriving: Arriving | undefined
    let answers: Answers | undefined
    const linkState = this.#routing.answering(!dialect(this.#config.dialect, { quoteUnknown: false }).isExchange)
    const { identity, logins } = this.#world
    const drive: Drive<ServerOutput> = new Drive<ServerOutput>(
      server,
      socket,
      output => {
        switch (output.kind) {
          case 'ask': {
            if (output.question.about === 'sasl') answers ??= logins.begin()
            const given = (answer: Answer) => {
              this.#tellRefused(output.question, answer, peer)
              return server.answer(answer, now())
            }
            const answer = this.#answer(output.question, { arriving, answers, linkState, peer })
            return answer instanceof Promise ? answer.then(given) : given(answer)
          }
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
            this.#world.events?.tell?.({ ...output, peer })
            return undefined
          case 'turned': {
            const { socket, rest } = drive.release()
            this.#askedFor.turned(socket, { ...output, rest: concat([output.rest, rest]) })
            return undefined
          }
          default:
            return undefined
        }
      },
      identity && { secure: raw => secureServer(raw, identity) },
    )
    this.#underway.hold(socket)
    this.#open.set(server, drive)
    drive.do(() => {
      if (this.#underway.isStopped) return server.stop(now())
      return entered ? server.open(now()) : server.turnAway(now())
    })
    void drive.over.then(() => {
      arriving?.abandon('the client went away')
      void answers?.close()
      this.#open.delete(server)
      if (entered) this.#door.leave(peer)
    })
  }

  #server(peer: string, limits: Limits, tls: TlsFacts | undefined): Server {
    const { hostname, dialect: name, version, quoteUnknown, off, tlsRequired } = this.#config
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
      plaintextWithoutTls: this.#config.authWithoutTls,
      has: this.#world.logins.has,
    })
  }

  #services(peer: string): ReadonlySet<string> {
    const { verifies, turns, proxies, relayFrom } = this.#config
    const trusted = proxies.some(({ network, by }) => by === 'xclient' && holds(network, peer))
    return new Set([
      ...(verifies ? ['VRFY'] : []),
      ...(turns.length > 0 ? ['ETRN', 'TURN', 'ATRN'] : []),
      ...(trusted ? ['XCLIENT'] : []),
      ...(relayFrom.some(network => holds(network, peer)) ? ['RELAY'] : []),
      ...(this.#routing.isSpoken ? ['X-LINK2STATE', 'X-POSTERN-LINKSTATE'] : []),
      'XEXCH50',
    ])
  }

  #answer(question: Question, { arriving, answers, linkState, peer }: Listening): Answer | Promise<Answer> {
    switch (question.about) {
      case 'mail':
        return acceptSender(this.#config, question)
      case 'rcpt':
        return this.#acceptRecipient(question)
      case 'vrfy':
        return verifyAddress(this.#config, question.text, this.#world.aliases)
      case 'sasl':
        if (!answers) return { no: 'auth-unavailable' }
        return answers.answer(question.question).then(sasl => ({ sasl }))
      case 'etrn':
        return this.#askedFor.etrn(question.node)
      case 'turn':
        return this.#askedFor.mayTurn(question.domains, question.login)
      case 'link-state':
        return linkState(question)
      default:
        return arriving ? this.#finish(arriving, question, peer) : { no: 'cannot-keep' }
    }
  }

  /** What was not taken, and why: an operator is asked for it. */
  #tellRefused(question: Question, answer: Answer, at: string): void {
    const { events } = this.#world
    if (!events?.tell || !('no' in answer)) return
    const why = answer.no
    if (question.about === 'rcpt') {
      const { peer, login, from, to } = question
      events.tell({ kind: 'refused', what: 'recipient', why, peer, from, to, ...(login !== undefined && { login }) })
    } else if (question.about === 'mail') {
      const { peer, login, from } = question
      events.tell({ kind: 'refused', what: 'sender', why, peer, from, ...(login !== undefined && { login }) })
    } else if (question.about === 'message') {
      events.tell({ kind: 'refused', what: 'message', why, peer: at, from: question.transaction.from })
    }
  }

  async #finish(
    arriving: Arriving,
    { transaction }: Question & { readonly about: 'message' },
    peer: string,
  ): Promise<Answer> {
    const answer = await arriving.finish()
    const [first] = transaction.recipients
    if (first && 'no' in answer && answer.no === 'too-many-hops')
      this.#routing.loops(first.to, peer, arriving.written(WITNESS_FIELD))
    return answer
  }

  /**
   * Takes a message that was left here while no server ran, as if its owner had brought it to our port from this machine;
   * under its own id. Who may not have it is given up, and its sender told.
   */
  async take(dropped: Dropped): Promise<Taken> {
    const config = this.#config
    const { limits } = config
    const envelope = envelopeOfDropped(dropped, limits.recipients)
    if ('wrong' in envelope) return envelope
    const { from, recipients } = envelope
    const peer = localEndpoint(config)?.host ?? '127.0.0.1'
    const refused = new Set<string>()
    for (const { to } of recipients) {
      const question = { about: 'rcpt', to, from, peer, login: undefined } as const
      const answer = this.#acceptRecipient(question)
      // Who is not here is found out by whoever delivers it.
      if (!('no' in answer) || answer.no !== 'relay-refused') continue
      refused.add(formatMailbox(to))
      this.#tellRefused(question, answer, peer)
    }
    const { id, uid } = dropped
    const facts = { hello: config.hostname, peer, protocol: 'local', login: undefined, tls: undefined, uid }
    const arriving = this.#begin(envelope, facts, limits, { id, refused })
    const form = new MessageForm()
    try {
      for await (const piece of dropped.content) {
        form.push(piece)
        await arriving.push(piece)
      }
    } catch (cause) {
      arriving.abandon(words(cause))
      return { later: words(cause) }
    }
    form.end()
    const wrong = whatIsWrong(form, dropped)
    if (wrong !== undefined) {
      arriving.abandon(wrong)
      return { wrong }
    }
    const answer = await arriving.finish()
    if ('yes' in answer) return { ...answer, isOver: recipients.every(({ to }) => refused.has(formatMailbox(to))) }
    const no = 'no' in answer ? answer.no : 'cannot-keep'
    return no === 'no-space' || no === 'cannot-keep' ? { later: no } : { wrong: no }
  }

  #acceptRecipient(question: Question & { readonly about: 'rcpt' }): Answer {
    const { aliases } = this.#world
    return acceptRecipient(this.#config, question, to => hasWay(this.#routing.service, { to, now: now() }), aliases)
  }

  #begin(
    envelope: Envelope,
    facts: SessionFacts,
    limits: Limits,
    { id: given, refused = NOBODY }: { readonly id?: SpoolId; readonly refused?: ReadonlySet<string> } = {},
  ): Arriving {
    const at = now()
    const id = given ?? newId(at, random)
    const { hostname: host, dialect: name, version } = this.#config
    const { isExchange, version: usual } = dialect(name, { quoteUnknown: false })
    const fields = traceFields({ host, id, facts, isExchange, version: version ?? usual }, at)
    const trace = utf8(`${fields}${this.#routing.witness(envelope.recipients.map(({ to }) => to)) ?? ''}`)
    const { events } = this.#world
    const news = (size: number, messageId?: string): MessageNews => ({
      kind: 'received',
      facts,
      size,
      ...(messageId !== undefined && { messageId }),
    })
    const expansion = expand(envelope, this.#world.aliases ?? NO_ALIASES)
    const what = sayNews(news(0))
    const begun = newEntry({ id, envelope: expansion?.envelope ?? envelope, at, expire: this.#config.expire, what })
    const entry = withoutRefused(expansion ? resolved(begun, expansion, at) : begun, refused, at)
    const arriving = new Arriving(this.#world.spool, entry, limits, async (kept, { size, messageId }) => {
      if (!kept.kept) return { no: kept.why === 'no-space' ? 'no-space' : 'cannot-keep' }
      events?.tell?.({ kind: 'message', entry, news: news(size, messageId) })
      for (const each of expansion?.aliases ?? [])
        events?.tell?.({ kind: 'message', entry, news: { kind: 'expanded', ...each } })
      this.#wake()
      return { yes: isExchange ? `<${id}@${host}>` : id }
    })
    if (!expansion) arriving.refuse({ no: 'too-many-recipients' })
    void arriving.push(trace)
    return arriving
  }

  /** Kept once everybody who is here now is gone. */
  get over(): readonly Promise<unknown>[] {
    return [...this.#open.values()].map(({ over }) => over)
  }

  /** Says goodbye to everybody; kept once they are gone. */
  stop(): readonly Promise<unknown>[] {
    for (const [server, drive] of this.#open) drive.do(() => server.stop(now()))
    return this.over
  }
}

/** What a session asks of whoever serves it. */
interface Listening {
  readonly peer: string
  readonly arriving: Arriving | undefined
  readonly answers: Answers | undefined
  readonly linkState: ReturnType<LinkState['answering']>
}

const NOBODY: ReadonlySet<string> = new Set()

/** The entry with its aliases noted; those that stay in it are done. */
function resolved(entry: SpoolEntry, { expanded, aliases }: Expansion, at: Instant): SpoolEntry {
  if (aliases.length === 0) return entry
  const recipients = entry.recipients.map((state, i) => {
    const count = expanded.get(i)
    if (count === undefined) return state
    return { kind: 'done', at, outcome: { kind: 'expanded', to: `${count} addresses` } } as const
  })
  const noted = aliases.reduce((before, each) => trailed(before, { kind: 'expanded', ...each }, at), entry)
  return { ...noted, recipients }
}
