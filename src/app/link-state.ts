/** Routing as a running mail server does it: its clock, its sessions with neighbours, and what it tells whoever runs it. */
import type { Duration, Instant } from '../base/time.ts'
import { now, random } from '../io/clock.ts'
import { HASHES, md5 } from '../io/hashes.ts'
import type { Duplex } from '../io/sockets.ts'
import type { MtaConfig } from '../mta/config.ts'
import type { LinkStateTalk } from '../mta/order.ts'
import type { Connector, NodeEnd } from '../routing/connector.ts'
import { type Exchange, type ExchangeOutput, type Finding, speaksOfChanges } from '../routing/exchange.ts'
import { type Guid, toHex } from '../routing/link-state.ts'
import { organization } from '../routing/organization.ts'
import { diffLines, namesOf } from '../routing/report.ts'
import { RoutingService, type ServiceOutput } from '../routing/service.ts'
import { differencesFrom, readWitness, type Witness, witnessField, witnessOf } from '../routing/witness.ts'
import { formatMailbox, type Mailbox } from '../smtp/address.ts'
import type { Answer, Question } from '../smtp/session.ts'
import type { MtaWorld } from './mta-world.ts'
import { NodeLinks } from './node-links.ts'
import { Tally } from './tally.ts'
import { words } from './words.ts'

/** No timer is longer; looking once too often does no harm. */
const LONGEST_SLEEP: Duration = 86_400_000

/** What the server around it does for it. */
export interface Neighbours {
  /** A session over a connector in which nothing but routing state is told; without a talk one that only looks. */
  readonly visit: (connector: Connector, talk?: LinkStateTalk) => Promise<void>
  /** Mail that waits may have a way now. */
  readonly changed: () => void
  /** The connector did not answer, and does again. */
  readonly back: (connector: Connector) => void
  readonly note: (what: string) => void
}

export class LinkState {
  readonly service: RoutingService
  /** What the groups are called. */
  names: ReadonlyMap<Guid, string>
  readonly #peers: ReadonlySet<string>
  readonly #around: Neighbours
  readonly #guids: ReadonlyMap<string, Guid>
  readonly #hostname: string
  readonly #loops = new Tally('there are other loops')
  /** Does the configuration tell of connectors of other groups? */
  readonly #knowsOthers: boolean
  /** What was last said of each neighbour: the same again is no news. */
  readonly #said = new Map<string, string>()
  /** Connectors that did not answer when they were tried last. */
  readonly #silent = new Set<string>()
  #timer: NodeJS.Timeout | undefined
  #isRunning = false
  /** Neighbours whose table may differ from ours, and why. */
  readonly #apart = new Map<string, string>()

  /** The connections within our own group. */
  readonly #links: NodeLinks | undefined

  /** `world`: how members of its group are reached; without it they are not. */
  constructor(
    { hostname, localDomains, routing }: MtaConfig,
    around: Neighbours,
    world?: Pick<MtaWorld, 'dial' | 'files' | 'keys'>,
  ) {
    const here = { server: hostname, domains: localDomains, sha256: HASHES.sha256, incarnation: toHex(random(16)) }
    const known = organization(routing, here)
    this.service = new RoutingService(known, routing, md5)
    this.names = known.routes.names ?? new Map()
    this.#peers = new Set(routing.peers)
    this.#around = around
    this.#hostname = hostname
    this.#knowsOthers = routing.elsewhere.length > 0
    this.#guids = new Map([...known.connectors].map(([guid, { name }]) => [name, guid]))
    if (!world || (routing.nodeListens.length === 0 && !routing.nodeMaster)) return
    this.#links = new NodeLinks({ config: routing, hostname, service: this.service }, world, {
      heard: outputs => this.#heard(outputs),
      attached: (member, isAttached) => this.#act(this.service.attached(member, isAttached, now())),
      note: what => around.note(what),
    })
  }

  /** Somebody came to where our group's members are heard. */
  take(end: NodeEnd, socket: Duplex, peer: string): void {
    if (this.#links) this.#links.take(end, socket, peer)
    else socket.destroy()
  }

  /** Is there a connection to our group's master? Nothing where it is not looked for. */
  get isAttached(): boolean | undefined {
    return this.#links?.isAttached
  }

  /** Takes what others know, as if they had told it. */
  learn(others: readonly LinkState[]): void {
    for (const { service } of others) this.service.learn(service.engine.table, now())
    const all = [...others.flatMap(({ names }) => [...names]), ...this.names]
    this.names = new Map(all)
  }

  /** Goes on with what another knows of connectors that are the same. */
  adopt(before: LinkState, fits: (connector: string) => boolean): void {
    for (const name of before.#silent) if (fits(name)) this.#silent.add(name)
    this.#act(this.service.adopt(before.service, fits, now()))
  }

  /** Is there anybody with whom our table could disagree? */
  get #isOneOfMany(): boolean {
    return this.isSpoken || this.#links !== undefined || this.#knowsOthers
  }

  /** Whether routing state is exchanged at all: who believes nobody is not asked to be believed. */
  get isSpoken(): boolean {
    return this.#peers.size > 0
  }

  start(): void {
    this.#isRunning = true
    this.#links?.start()
    this.#act(this.service.tick(now()))
  }

  stop(): void {
    this.#isRunning = false
    this.#links?.stop()
    clearTimeout(this.#timer)
  }

  /** Tells everybody that there is news, where this server is its group's master. */
  republish(): void {
    this.#act(this.service.republish(now()))
  }

  /** A connector's far end answered, or could not be reached. */
  reached(connector: Connector, why?: string): void {
    const { name } = connector
    const guid = this.#guids.get(name)
    if (guid === undefined) return
    if (why !== undefined) {
      if (!this.#silent.has(name)) this.#around.note(`connector ${name} does not answer: ${why}`)
      this.#silent.add(name)
      return this.#act(this.service.failed(guid, why, now()))
    }
    this.#act(this.service.connected(guid, now()))
    if (!this.#silent.delete(name)) return
    this.#around.note(`connector ${name} answers again`)
    // What waited for it need not wait for its next try.
    this.#around.back(connector)
    this.#around.changed()
  }

  /** Neighbours with whom we are not in step, and why; where mail loops, it is between us and one of these. */
  get apart(): ReadonlyMap<string, string> {
    return this.#apart
  }

  /**
   * What is written on mail that goes on to another group: by what table we route it. Nothing where routing state is
   * neither told nor configured, so that a single server adds nothing to mail.
   */
  witness(recipients: readonly Mailbox[]): string | undefined {
    if (!this.#isOneOfMany) return undefined
    const { engine } = this.service
    const [way] = recipients.flatMap(to => {
      const found = this.service.route({ to }, now())
      return 'path' in found && found.path.length > 1 ? [found.path] : []
    })
    return way && witnessField(witnessOf({ server: this.#hostname, digest: engine.digest, table: engine.table }, way))
  }

  /** Mail came back too often. `written`: by what table the server before us sent it here. */
  loops(to: Mailbox, peer: string, written?: string): void {
    const { engine } = this.service
    const name = namesOf(this)
    const way = this.service.route({ to }, now())
    const path = 'path' in way ? way.path.map(name).join(' > ') : way.why
    const witness = written === undefined ? undefined : readWitness(written)
    const apart = [...this.#apart].map(([neighbour, why]) => `not in step with ${neighbour}: ${why}`)
    const facts = [
      `it came from ${peer} with too many hops, and from here the way is ${path}`,
      ...(witness ? this.#disagreement(witness) : [`our digest is ${engine.digest}, and ${peer} wrote of no table`]),
      ...(apart.length > 0 || !this.isSpoken ? apart : ['in step with every neighbour that was asked']),
    ]
    // Whoever sends one such message can send a thousand.
    const said = this.#loops.count(facts.join('; '))
    if (said !== undefined) this.#around.note(`alarm: mail for ${formatMailbox(to)} loops; ${said}`)
  }

  /** Our table, and the one that the server before us wrote of, with the groups that they see differently. */
  #disagreement(witness: Witness): readonly string[] {
    const { engine } = this.service
    const [ours, theirs] = [
      `${this.#hostname} (digest ${engine.digest})`,
      `${witness.server} (digest ${witness.digest})`,
    ]
    const found = differencesFrom(engine.table, witness)
    if (found.length > 0) {
      return [
        `the tables of ${ours} and ${theirs} disagree`,
        ...diffLines(found, namesOf(this)).map(line => line.trim()),
      ]
    }
    if (witness.digest === engine.digest) return [`${ours} and ${theirs} have one table: what loops is beyond it`]
    return [`the tables of ${ours} and ${theirs} disagree, about a group that is not on the way`]
  }

  /** Did the connector fail when it was tried last? */
  isSilent({ name }: Connector): boolean {
    return this.#silent.has(name)
  }

  /** The client's half of a conversation over a connector; nothing, where none is to be had. */
  talk(connector: Connector): Talk | undefined {
    const { groups, login, name } = connector
    if (!this.isSpoken || groups.length === 0 || !login) return undefined
    return new Talk(`connector ${name}`, this.service, {
      heard: outputs => this.#heard(outputs),
      inStep: neighbour => void this.#apart.delete(neighbour),
      broken: (neighbour, why) => {
        this.#apart.set(neighbour, why)
        this.#say(neighbour, why)
      },
    })
  }

  /** The server's half, for one session. */
  answering(delta: boolean): (question: Question & { readonly about: 'link-state' }) => Answer {
    let exchange: Exchange | undefined
    return ({ frame, login, trimmed }) => {
      if (!this.#peers.has(login)) {
        this.#say(login, 'it tells routing state, and no line makes it a link-state peer')
        return { no: 'not-offered', about: 'X-LINK2STATE' }
      }
      if (trimmed > 0) this.#say(login, `${trimmed} blanks at the end of a line were lost on the way`)
      exchange ??= this.service.exchange({
        side: 'server',
        neighbour: login,
        teller: 'other-group',
        delta: delta && speaksOfChanges(frame),
      })
      const outputs = exchange.hear(frame)
      this.#heard(outputs)
      const said = outputs.find(output => output.kind === 'say')
      return said ? { frame: said.frame } : { no: 'bad-argument', about: 'a frame of routing state was expected' }
    }
  }

  #heard(outputs: readonly ExchangeOutput[]): void {
    this.#act(this.service.heard(outputs, now()))
  }

  #act(outputs: readonly ServiceOutput[]): void {
    for (const output of outputs) this.#perform(output)
    this.#wait()
  }

  #perform(output: ServiceOutput): void {
    switch (output.kind) {
      case 'probe':
        void this.#visit(output.connector)
        break
      case 'tell':
        void this.#tell(output.connector)
        break
      case 'changed':
        this.#links?.changed()
        this.#around.changed()
        break
      case 'published':
        this.#around.note(`routing: published ${output.published.what.join(', ')}`)
        break
      case 'finding':
        this.#finding(output.finding)
        break
      case 'report': {
        const name = this.service.connector(output.connector)?.name ?? output.connector
        this.#links?.report(output.connector, output.available)
        const told = this.#links?.isAttached ? 'its master is told' : 'no master is there to be told'
        this.#around.note(`routing: connector ${name} is ${output.available ? 'up' : 'down'}; ${told}`)
        break
      }
    }
  }

  #finding({ kind, neighbour, why }: Finding): void {
    this.#say(neighbour, kind === 'alarm' ? `alarm: ${why}` : why)
  }

  #say(neighbour: string, what: string): void {
    if (this.#said.get(neighbour) === what) return
    this.#said.set(neighbour, what)
    this.#around.note(`routing state with ${neighbour}: ${what}`)
  }

  async #visit(guid: Guid): Promise<void> {
    const connector = this.service.connector(guid)
    // What came of it is told by `reached`.
    if (connector && this.#isRunning) await this.#around.visit(connector).catch(() => {})
  }

  async #tell(guid: Guid): Promise<void> {
    const connector = this.service.connector(guid)
    const talk = connector && this.talk(connector)
    if (!talk || !this.#isRunning) return
    try {
      await this.#around.visit(connector, talk)
    } catch (cause) {
      talk.broken(words(cause))
    }
    if (this.#isRunning) this.#act(this.service.told(guid, talk.isInStep, now()))
  }

  #wait(): void {
    clearTimeout(this.#timer)
    const due = this.service.deadline
    if (due === undefined || !this.#isRunning) return
    const wait = (at: Instant) => Math.min(Math.max(1, at - now()), LONGEST_SLEEP)
    this.#timer = setTimeout(() => this.#act(this.service.tick(now())), wait(due))
  }
}

/** What a server knows that does not run: its configuration. */
export function atRest(config: MtaConfig): LinkState {
  return new LinkState(config, { visit: async () => {}, changed: () => {}, back: () => {}, note: () => {} })
}

interface Listener {
  readonly heard: (outputs: readonly ExchangeOutput[]) => void
  readonly inStep: (neighbour: string) => void
  readonly broken: (neighbour: string, why: string) => void
}

/** One conversation as the client. */
class Talk implements LinkStateTalk {
  readonly #neighbour: string
  readonly #service: RoutingService
  readonly #listener: Listener
  #exchange: Exchange | undefined
  isInStep = false

  constructor(neighbour: string, service: RoutingService, listener: Listener) {
    this.#neighbour = neighbour
    this.#service = service
    this.#listener = listener
  }

  begin(delta: boolean): string | undefined {
    this.#exchange = this.#service.exchange({
      side: 'client',
      neighbour: this.#neighbour,
      teller: 'other-group',
      delta,
    })
    return this.#after(this.#exchange.begin())
  }

  hear(frame: string): string | undefined {
    return this.#exchange && this.#after(this.#exchange.hear(frame))
  }

  broken(why: string): void {
    this.#listener.broken(this.#neighbour, why)
  }

  #after(outputs: readonly ExchangeOutput[]): string | undefined {
    this.isInStep = outputs.some(output => output.kind === 'done' && output.inStep)
    this.#listener.heard(outputs)
    if (this.isInStep) this.#listener.inStep(this.#neighbour)
    return outputs.find(output => output.kind === 'say')?.frame
  }
}
