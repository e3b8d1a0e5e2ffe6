/** A laboratory on loopback: every node of the topology with listeners of its own, joined as its routes say. */
import { dirname, isAbsolute, join, relative, resolve } from 'node:path'
import { fileURLToPath } from 'node:url'
import { type Diagnostic, PosternError } from '../base/problem.ts'
import { FIREWALL } from '../firewall/commands.ts'
import type { FirewallConfig } from '../firewall/config.ts'
import { Inspector } from '../firewall/inspector.ts'
import type { Policy } from '../firewall/policy.ts'
import { now } from '../io/clock.ts'
import { type ControlAnswer, type ControlRequest, openControl } from '../io/control.ts'
import { ConfigurationError, isFile, readConfig } from '../io/files.ts'
import { readKey } from '../io/keys.ts'
import { maildirOf } from '../io/maildir.ts'
import { MemorySpool } from '../io/memory-spool.ts'
import {
  close,
  type Duplex,
  dial,
  type Endpoint,
  endpointOf,
  listen,
  type Server,
  type Socket,
  sayEndpoint,
} from '../io/sockets.ts'
import { reset, splice } from '../io/splice.ts'
import { makeState, removeState } from '../io/state.ts'
import { type Carried, openTap, openTunnelServer, type Tap, TunnelClient, type TunnelServer } from '../io/tunnel.ts'
import { LAB } from '../lab/commands.ts'
import type { Entry, LabConfig } from '../lab/config.ts'
import { topologyOf, way } from '../lab/plan.ts'
import { MTA } from '../mta/commands.ts'
import type { MtaConfig } from '../mta/config.ts'
import type { Hop } from '../topology/path.ts'
import type { Topology } from '../topology/topology.ts'
import type { Console } from './console.ts'
import { consoleOf } from './firewall.ts'
import { Gateway, type GatewayEvents } from './gateway.ts'
import { Mta } from './mta.ts'
import { openMtaFiles } from './mta-files.ts'
import type { MtaEvents } from './mta-world.ts'
import { answerRouting, readQuestion, toldOf } from './routing-desk.ts'

const HERE: Endpoint = { host: '127.0.0.1', port: 0 }

/** What a laboratory's files say, read and found to fit together. */
export interface LabFiles {
  readonly folder: string
  readonly config: LabConfig
  readonly firewalls: ReadonlyMap<string, FirewallConfig>
  readonly mtas: ReadonlyMap<string, MtaConfig>
  readonly topology: Topology
}

/** The folder of a laboratory: as named, or one of the examples that come with Postern. */
export function labFolder(name: string): string {
  const examples = resolve(dirname(fileURLToPath(import.meta.url)), '../../examples')
  const folder = [resolve(name), join(examples, name)].find(each => isFile(join(each, 'lab.conf')))
  if (folder !== undefined) return folder
  throw new PosternError('POSTERN_NO_LAB', `there is no laboratory "${name}": no folder of that name has a lab.conf`, {
    side: 'us',
    retry: 'never',
  })
}

/** A path as a person would write it from here: short where it is below, whole where it is elsewhere. */
function shown(path: string): string {
  const near = relative(process.cwd(), path)
  return near === '' || near.startsWith('..') ? path : near
}

/** Reads all files of a laboratory. Throws a `ConfigurationError` with every mistake in any of them. */
export function readLab(folder: string): LabFiles {
  const problems: Diagnostic[] = []
  const attempt = <T>(read: () => T): T | undefined => {
    try {
      return read()
    } catch (cause) {
      if (!(cause instanceof ConfigurationError)) throw cause
      problems.push(...cause.problems)
      return undefined
    }
  }
  // Files are cited so that they can be opened from where one stands.
  const main = join(folder, 'lab.conf')
  const config = readConfig(LAB, main, shown(main)).config
  const firewalls = new Map<string, FirewallConfig>()
  const mtas = new Map<string, MtaConfig>()
  for (const { name, kind, config: file, at } of config.nodes) {
    if (file === undefined) continue
    const path = isAbsolute(file) ? file : join(folder, file)
    if (!isFile(path)) {
      problems.push({ severity: 'error', message: `there is no file ${file}`, at })
      continue
    }
    if (kind === 'firewall') {
      const read = attempt(() => readConfig(FIREWALL, path, shown(path)))
      if (read) firewalls.set(name, read.config)
    } else {
      const read = attempt(() => readConfig(MTA, path, shown(path)))
      if (read) mtas.set(name, read.config)
    }
  }
  if (problems.length > 0) throw new ConfigurationError(problems)
  const { topology, problems: misfits } = topologyOf(config, firewalls)
  if (misfits.length > 0) throw new ConfigurationError(misfits)
  return { folder, config, firewalls, mtas, topology }
}

export interface LabEvents {
  readonly mta?: (node: string) => MtaEvents
  readonly gateway?: (node: string) => GatewayEvents
  /** A firewall of one policy on the way from a node to an address, beside those of the topology. */
  readonly between?: (node: string, ip: string) => Policy | undefined
}

interface Tunnel {
  readonly server: TunnelServer
  readonly tap: Tap
  readonly client: TunnelClient
}

export class Lab {
  readonly files: LabFiles
  readonly state: string
  readonly gateways: Map<string, Gateway> = new Map()
  readonly #consoles = new Map<string, Console>()
  readonly mtas: Map<string, Mta> = new Map()
  /** Entry name → where it listens. */
  readonly entries: Map<string, Endpoint> = new Map()
  readonly #servers: Server[] = []
  readonly #sockets = new Set<Duplex>()
  /** `near far` → the tunnel that is dialled in this direction. */
  readonly #tunnels = new Map<string, Tunnel>()
  /** What comes out of a tunnel at a node: `node source destination port` → where it goes on. */
  readonly #outlets = new Map<string, Endpoint>()
  /** Roads that were built already: from one node to one address. */
  readonly #roads = new Map<string, Promise<Endpoint>>()
  #control: { close(): void } | undefined
  /** Segments that are cut, and the connections that cross any. */
  readonly #cut = new Set<string>()
  readonly #crossing = new Map<Duplex, readonly string[]>()
  readonly #events: LabEvents

  private constructor(files: LabFiles, state: string, events: LabEvents) {
    this.#events = events
    this.files = files
    this.state = state
  }

  /** Brings everything up, or nothing: what was begun is taken down when a part fails. */
  static async start(files: LabFiles, events: LabEvents = {}): Promise<Lab> {
    const lab = new Lab(files, makeState(files.config.name), events)
    try {
      await lab.#start()
      return lab
    } catch (cause) {
      await lab.stop()
      throw cause
    }
  }

  async #start(): Promise<void> {
    const events = this.#events
    const { config, firewalls, mtas, folder } = this.files
    for (const { ends, keyFile } of config.tunnels) {
      const key = readKey(join(folder, keyFile))
      for (const [near, far] of [ends, ends.toReversed() as [string, string]]) await this.#openTunnel(near, far, key)
    }
    for (const [name, firewall] of firewalls) {
      const gateway = new Gateway(name, firewall, events.gateway?.(name))
      this.gateways.set(name, gateway)
      this.#consoles.set(name, consoleOf(gateway))
    }
    for (const [name, mta] of mtas) {
      const handlers = events.mta?.(name)
      const world = {
        spool: new MemorySpool(),
        // What a file names is beside that file, wherever it is itself.
        ...(await openMtaFiles(mta, this.#folderOf(name))),
        dial: (ip: string, port: number) => this.#dialFrom(name, ip, port),
        maildir: (mailbox: string) => this.maildir(mailbox),
        ...(handlers && { events: handlers }),
      }
      // A letter has a conversation of its own, so that it meets what stands between as it is now.
      this.mtas.set(name, new Mta({ ...mta, destinations: { ...mta.destinations, rest: 0 } }, world))
    }
    for (const entry of config.entries) this.entries.set(entry.name, await this.#openEntry(entry))
    // Every connector's road is built before it is needed, so that a lab that cannot work says so at once.
    for (const [name, { routing }] of mtas) {
      for (const { targets } of routing.connectors)
        for (const { ip, port } of targets.slice(0, 1)) await this.#road(name, ip, port)
    }
    for (const mta of this.mtas.values()) mta.start()
    this.#control = await openControl(this.state, request => this.#answer(request))
  }

  async #answer(request: ControlRequest): Promise<ControlAnswer> {
    switch (request.ask) {
      case 'nodes':
        return { answer: [...this.#consoles.keys()], wrong: false }
      case 'road':
        return this.#roadAsked(request.node, request.line)
      case 'routers':
        return { answer: [...this.mtas.keys()], wrong: false }
      case 'links':
        return { answer: this.links, wrong: false }
      case 'type':
        return this.type(request.node, request.line)
      case 'routing':
        return this.#routing(request.node, request.line)
      case 'cut':
      case 'heal':
        return this.#turnLink(request.ask, request.line)
      default:
        return { answer: this.#consoles.get(request.node)?.complete(request.line) ?? [], wrong: false }
    }
  }

  #routing(node: string, asked: string): ControlAnswer {
    const [mta, question] = [this.mtas.get(node), readQuestion(asked)]
    if (!mta || !question) return { answer: [`no mail server is called "${node}" here`], wrong: true }
    return toldOf(answerRouting(mta.routing, question, now()))
  }

  #turnLink(what: 'cut' | 'heal', link: string): ControlAnswer {
    const known = this.links
    if (!known.includes(link)) {
      return { answer: [`no link is called "${link}" here (known: ${known.join(', ')})`], wrong: true }
    }
    if (what === 'cut') this.cut(link)
    else this.heal(link)
    return { answer: [`${link} is ${what === 'cut' ? 'cut' : 'whole'}`], wrong: false }
  }

  /** The segments that join two nodes or more, in the order of their names. */
  get links(): readonly string[] {
    const joined = this.files.config.attachments.map(({ segment }) => segment)
    return [...new Set(joined.filter((segment, i) => joined.indexOf(segment) !== i))].sort()
  }

  /** Nothing crosses this segment any more, and what did is cut off. */
  cut(link: string): void {
    this.#cut.add(link)
    for (const [socket, links] of this.#crossing) if (links.includes(link)) socket.destroy()
  }

  heal(link: string): void {
    this.#cut.delete(link)
  }

  #folderOf(node: string): string {
    const file = this.files.config.nodes.find(({ name }) => name === node)?.config ?? ''
    return dirname(isAbsolute(file) ? file : join(this.files.folder, file))
  }

  /** The Maildir of a mailbox; it lives as long as the laboratory. */
  maildir(mailbox: string): string {
    return maildirOf(join(this.state, 'mail'), mailbox)
  }

  /** What crossed between the sites. */
  get taps(): readonly Tap[] {
    return [...this.#tunnels.values()].map(({ tap }) => tap)
  }

  /** A line typed at one of the firewalls. */
  async type(node: string, line: string): Promise<ControlAnswer> {
    const console = this.#consoles.get(node)
    if (console) return console.type(line)
    const known = [...this.gateways.keys()].join(', ')
    return { answer: [`no firewall is called "${node}" here (known: ${known})`], wrong: true }
  }

  async stop(): Promise<void> {
    this.#control?.close()
    for (const console of this.#consoles.values()) console.close()
    for (const socket of this.#sockets) socket.destroy()
    const mtas = [...this.mtas.values()].map(mta => mta.stop(0))
    const gateways = [...this.gateways.values()].map(gateway => gateway.stop())
    await Promise.all([...mtas, ...gateways, ...this.#servers.map(close)])
    for (const { server, tap, client } of this.#tunnels.values()) {
      await client.close()
      await server.close()
      await tap.close()
    }
    removeState(this.state)
  }

  async #openTunnel(near: string, far: string, key: Uint8Array): Promise<void> {
    const shared = { identity: near, key }
    const server = await openTunnelServer(shared, (carried, stream, refuse) => {
      const outlet = this.#outlets.get(outletKey(far, carried))
      if (!outlet) return refuse()
      this.#hold(stream)
      dial(outlet).then(socket => this.#join(stream, socket), refuse)
    })
    const tap = await openTap(server.endpoint)
    this.#tunnels.set(`${near} ${far}`, { server, tap, client: new TunnelClient(shared, tap.endpoint) })
  }

  async #openEntry({ node, port, source, destination, destinationPort, at }: Entry): Promise<Endpoint> {
    const from = { node, ...(port !== undefined && { port }) }
    const hops = way(this.files.topology, this.files.firewalls, from, destination)
    if ('wrong' in hops) throw new ConfigurationError([{ severity: 'error', message: hops.wrong, at }])
    return this.#build(hops, { source, destination, port: destinationPort })
  }

  async #dialFrom(node: string, ip: string, port: number): Promise<Duplex> {
    const links = this.#linksOf(node, ip)
    const broken = links.find(link => this.#cut.has(link))
    if (broken !== undefined) throw new Error(`no route to host ${ip}: ${broken} is cut`)
    const policy = this.#events.between?.(node, ip)
    const road = await this.#road(node, ip, port)
    const socket = this.#hold(await dial(policy ? await this.#inspected(road, policy) : road))
    this.#crossing.set(socket, links)
    socket.on('close', () => this.#crossing.delete(socket))
    return socket
  }

  /** One connection through a firewall that does this and nothing else. */
  async #inspected(road: Endpoint, policy: Policy): Promise<Endpoint> {
    const server = await listen(HERE, async near => {
      near.on('error', () => {})
      server.close()
      splice(this.#hold(near), this.#hold(await dial(road)), new Inspector(policy), () => {})
    })
    return endpointOf(server)
  }

  /** The segments that a connection crosses. */
  #linksOf(node: string, ip: string): readonly string[] {
    const hops = way(this.files.topology, this.files.firewalls, { node }, ip)
    if ('wrong' in hops) return []
    return hops.flatMap(({ over }) => (over && 'segment' in over ? [over.segment] : []))
  }

  async #roadAsked(node: string, line: string): Promise<ControlAnswer> {
    const [ip = '', port = '25'] = line.split(' ')
    return { answer: [sayEndpoint(await this.#road(node, ip, Number(port)))], wrong: false }
  }

  /** Where a node connects to when it means this address. Built once, and kept. */
  #road(node: string, ip: string, port: number): Promise<Endpoint> {
    const key = `${node} ${ip} ${port}`
    const known = this.#roads.get(key)
    if (known) return known
    const road = this.#lay(node, ip, port)
    this.#roads.set(key, road)
    return road
  }

  async #lay(node: string, destination: string, port: number): Promise<Endpoint> {
    const hops = way(this.files.topology, this.files.firewalls, { node }, destination)
    const problem = (why: string) => new PosternError('POSTERN_NO_ROAD', why, { side: 'us', retry: 'never' })
    if ('wrong' in hops) throw problem(hops.wrong)
    const source = this.files.topology.nodes.get(node)?.attachments[0]?.ip
    if (source === undefined) throw problem(`${node} is connected to nothing`)
    // A node that means itself is at its end already.
    return this.#build(hops.length > 1 ? hops.slice(1) : hops, { source, destination, port })
  }

  /** Builds a road from its end to its beginning, so that each part knows where it leads. */
  async #build(hops: readonly Hop[], carried: Carried): Promise<Endpoint> {
    let next: Endpoint | undefined
    for (const [i, hop] of [...hops.entries()].reverse()) {
      // What the destination is called where this hop hears of it: the one before may have translated it.
      const asked = hops[i - 1]?.destination ?? carried.destination
      next = await this.#buildHop(hop, { ...carried, destination: asked }, next)
    }
    if (!next) throw new PosternError('POSTERN_NO_ROAD', 'a road of no hops', { side: 'us', retry: 'never' })
    return next
  }

  async #buildHop(hop: Hop, carried: Carried, next: Endpoint | undefined): Promise<Endpoint> {
    const gateway = this.gateways.get(hop.node)
    const mta = this.mtas.get(hop.node)
    if (gateway && next) {
      return gateway.open({
        port: hop.enters ?? '',
        destination: carried.destination,
        destinationPort: carried.port,
        source: carried.source,
        listen: HERE,
        dial: async () => this.#hold(await dial(next)),
      })
    }
    if (mta && !next) return this.#listen(socket => this.#served(mta, socket, carried))
    if (next && hop.enters === 'tunnel') {
      this.#outlets.set(outletKey(hop.node, carried), next)
      return next
    }
    const peer = hop.over && 'tunnel' in hop.over ? hop.over.tunnel : undefined
    const tunnel = peer === undefined ? undefined : this.#tunnels.get(`${hop.node} ${peer}`)
    if (tunnel) {
      return this.#listen(socket => {
        tunnel.client.open(carried).then(
          stream => this.#join(socket, this.#hold(stream)),
          () => reset(socket),
        )
      })
    }
    throw new PosternError('POSTERN_NO_ROAD', `${hop.node} cannot pass a connection on`, { side: 'us', retry: 'never' })
  }

  /** To the port of its own group's members, or to where it takes mail. */
  #served(mta: Mta, socket: Socket, { source, destination, port }: Carried): void {
    const end = mta.config.routing.nodeListens.find(each => each.ip === destination && each.port === port)
    if (end) mta.routing.take(end, socket, source)
    else mta.serve(socket, source)
  }

  async #listen(accept: (socket: Socket) => void): Promise<Endpoint> {
    const server = await listen(HERE, socket => {
      socket.on('error', () => {})
      accept(this.#hold(socket))
    })
    this.#servers.push(server)
    return endpointOf(server)
  }

  #join(near: Duplex, far: Duplex): void {
    splice(near, this.#hold(far), undefined, () => {})
  }

  #hold<S extends Duplex>(socket: S): S {
    this.#sockets.add(socket)
    socket.on('close', () => this.#sockets.delete(socket))
    return socket
  }
}

function outletKey(node: string, { source, destination, port }: Carried): string {
  return `${node} ${source} ${destination} ${port}`
}
