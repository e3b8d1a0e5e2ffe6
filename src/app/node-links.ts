/** Link state within a routing group, TCP 691: a master hears its members, a member keeps a connection to its master. */
import { canonicalIp } from '../config/ip.ts'
import { now } from '../io/clock.ts'
import { Drive, type Rest } from '../io/drive.ts'
import { type Duplex, streamOf } from '../io/sockets.ts'
import { type OwnKeys, secureClient, secureKnown } from '../io/tls.ts'
import type { NodeEnd, RoutingConfig } from '../routing/connector.ts'
import type { ExchangeOutput } from '../routing/exchange.ts'
import type { Guid } from '../routing/link-state.ts'
import { NodeLink, type NodeLinkOutput } from '../routing/node-link.ts'
import type { KnownMember } from '../routing/organization.ts'
import type { RoutingService } from '../routing/service.ts'
import { sameDomain } from '../smtp/address.ts'
import type { MtaWorld } from './mta-world.ts'
import { Tally } from './tally.ts'
import { words } from './words.ts'

/** Connections that have not shown yet who they are; for one more the oldest goes: a member shows it in a moment. */
export const MAX_UNKNOWN = 20

/** What the server around it does for it. */
export interface NodeAround {
  readonly heard: (outputs: readonly ExchangeOutput[]) => void
  /** A member's connection to us, its master, stands or was lost. */
  readonly attached: (member: Guid, isAttached: boolean) => void
  readonly note: (what: string) => void
}

interface Link {
  readonly machine: NodeLink
  readonly drive: Drive<NodeLinkOutput>
  readonly socket: Duplex
}

export class NodeLinks {
  readonly #config: RoutingConfig
  readonly #hostname: string
  readonly #service: RoutingService
  readonly #world: Pick<MtaWorld, 'dial' | 'files' | 'keys'>
  readonly #around: NodeAround
  /** Of each neighbour one; a second takes the place of the first, which may be dead. */
  readonly #links = new Map<string, Link>()
  readonly #unknown = new Set<Duplex>()
  /** Those over which a conversation came to its end. */
  readonly #talked = new WeakSet<NodeLink>()
  readonly #refused = new Tally('others are refused')
  /** Why our master could not be reached. */
  #apart = ''
  #retry: NodeJS.Timeout | undefined
  #isRunning = false

  constructor(
    {
      config,
      hostname,
      service,
    }: { readonly config: RoutingConfig; readonly hostname: string; readonly service: RoutingService },
    world: Pick<MtaWorld, 'dial' | 'files' | 'keys'>,
    around: NodeAround,
  ) {
    this.#config = config
    this.#hostname = hostname
    this.#service = service
    this.#world = world
    this.#around = around
  }

  /** A master waits for its members, and counts from now on how long they are away; a member goes to its master. */
  start(): void {
    this.#isRunning = true
    if (this.#config.nodeListens.length > 0) {
      for (const { guid } of this.#service.members) this.#around.attached(guid, false)
    }
    if (this.#config.nodeMaster) void this.#call(this.#config.nodeMaster)
  }

  stop(): void {
    this.#isRunning = false
    clearTimeout(this.#retry)
    for (const socket of this.#unknown) socket.destroy()
    for (const { socket } of this.#links.values()) socket.destroy()
  }

  /** Somebody came to an end of ours; nothing of what it says is read before it is known. */
  take(end: NodeEnd, socket: Duplex, peer: string): void {
    socket.on('error', () => {})
    const { keys } = this.#world
    const authorities = this.#authorities(end)
    if (!this.#isRunning) socket.destroy()
    else if (end.authoritiesFile === undefined) {
      this.#greet(socket, ({ address }) => address?.ip === (canonicalIp(peer) ?? peer), `the address ${peer}`)
    } else if (!keys || authorities === undefined) socket.destroy()
    else void this.#know(socket, peer, keys, authorities)
  }

  async #know(socket: Duplex, peer: string, keys: OwnKeys, authorities: string): Promise<void> {
    const [oldest] = this.#unknown.size >= MAX_UNKNOWN ? this.#unknown : []
    oldest?.destroy()
    this.#unknown.add(socket)
    try {
      const known = await secureKnown(socket, keys, authorities)
      known.socket.on('error', () => {})
      this.#greet(known.socket, ({ server }) => known.isFor(server), `the certificate that ${peer} showed`)
    } catch (cause) {
      this.#refuse(peer, words(cause))
    } finally {
      this.#unknown.delete(socket)
    }
  }

  /** The table changed: every neighbour in the group hears of it. */
  changed(): void {
    for (const { drive, machine } of this.#links.values()) drive.do(() => machine.changed(now()))
  }

  /** Our master hears what we can reach. Without a connection it hears it when there is one. */
  report(connector: Guid, available: boolean): void {
    if (!this.#config.nodeMaster) return
    for (const { drive, machine } of this.#links.values()) drive.do(() => machine.report(connector, available))
  }

  /** Is there a connection to our master? Nothing, where this server has none to look for. */
  get isAttached(): boolean | undefined {
    return this.#config.nodeMaster && [...this.#links.values()].some(({ machine }) => this.#talked.has(machine))
  }

  #authorities({ authoritiesFile }: NodeEnd): string | undefined {
    return authoritiesFile === undefined ? undefined : this.#world.files.get(authoritiesFile)
  }

  #greet(socket: Duplex, isIt: (member: KnownMember) => boolean, shown: string): void {
    if (!this.#isRunning) return void socket.destroy()
    const member = this.#service.members.find(isIt)
    // No word to strangers: what they would say is not read.
    if (!member) {
      socket.destroy()
      return this.#refuse(shown, 'it belongs to no member of the group')
    }
    this.#begin(socket, { side: 'master', neighbour: member.server, member: member.guid })
    this.#around.attached(member.guid, true)
  }

  #refuse(who: string, why: string): void {
    const what = this.#refused.count(`${who} is refused: ${why}`)
    if (what !== undefined) this.#say(what)
  }

  #say(what: string): void {
    this.#around.note(`routing state within the group: ${what}`)
  }

  async #call(end: NodeEnd): Promise<void> {
    const { server = end.ip } = this.#masterOf() ?? {}
    try {
      const socket = await this.#dialled(end, server)
      if (!this.#isRunning) return void socket.destroy()
      const machine = this.#begin(socket, { side: 'member', neighbour: server })
      socket.once('close', () => {
        if (!this.#isRunning) return
        if (this.#talked.has(machine)) this.#say(`the connection to its master, ${server}, is lost`)
        else this.#isApart(server, 'it hung up before a word; does its file name this server, and by this address?')
        this.#callAgain(end)
      })
    } catch (cause) {
      this.#isApart(server, words(cause))
      this.#callAgain(end)
    }
  }

  /** The same reason again is no news. */
  #isApart(server: string, why: string): void {
    if (why !== this.#apart) this.#say(`its master, ${server}, does not hear us: ${why}`)
    this.#apart = why
  }

  #callAgain(end: NodeEnd): void {
    if (!this.#isRunning) return
    this.#retry = setTimeout(() => void this.#call(end), this.#service.retell)
  }

  async #dialled(end: NodeEnd, server: string): Promise<Duplex> {
    const authorities = this.#authorities(end)
    const { keys } = this.#world
    // Without TLS the master knows us by our address, and we may have several.
    const own = authorities === undefined ? this.#ownAddress() : undefined
    const raw = streamOf(await this.#world.dial(end.ip, end.port, own === undefined ? {} : { from: own }))
    raw.on('error', () => {})
    if (authorities === undefined) return raw
    const { socket, facts } = await secureClient(raw, { name: server, authorities, ...(keys && { own: keys }) })
    socket.on('error', () => {})
    if (facts.unproven === undefined) return socket
    raw.destroy()
    throw new Error(facts.unproven)
  }

  #ownAddress(): string | undefined {
    const group = this.#config.groups.find(({ name }) => name === this.#config.group)
    return group?.members.find(({ server }) => sameDomain(server, this.#hostname))?.address?.ip
  }

  #masterOf(): KnownMember | undefined {
    const { members } = this.#service
    return members.find(({ isMaster }) => isMaster) ?? members[0]
  }

  #begin(
    socket: Duplex,
    who: { readonly side: 'member' | 'master'; readonly neighbour: string; readonly member?: Guid },
  ): NodeLink {
    const { neighbour, member } = who
    const before = this.#links.get(neighbour)
    const machine = new NodeLink(this.#service.engine, who, now())
    const drive = new Drive<NodeLinkOutput>(machine, socket, output => this.#perform(machine, output))
    const link: Link = { machine, drive, socket }
    this.#links.set(neighbour, link)
    before?.socket.destroy()
    drive.do(() => machine.start())
    void drive.over.then(() => {
      socket.destroy()
      if (this.#links.get(neighbour) !== link) return
      this.#links.delete(neighbour)
      if (member !== undefined && this.#isRunning) this.#around.attached(member, false)
    })
    return machine
  }

  #perform(machine: NodeLink, output: Rest<NodeLinkOutput>): readonly NodeLinkOutput[] | undefined {
    this.#around.heard([output])
    if (output.kind !== 'done') return undefined
    const saying = this.#talked.has(machine) ? [] : this.#firstTalked(machine)
    // And what changed while it spoke.
    return [...saying, ...machine.changed(now())]
  }

  /** A master that came back knows nothing of what we see; but first it had to hear how far it had counted. */
  #firstTalked(machine: NodeLink): readonly NodeLinkOutput[] {
    this.#talked.add(machine)
    if (!this.#config.nodeMaster) return []
    this.#apart = ''
    this.#say(`connected to its master, ${this.#masterOf()?.server}`)
    return this.#service.reports.flatMap(({ connector, available }) => machine.report(connector, available))
  }
}
