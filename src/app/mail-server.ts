/** A mail server of its own: what its file says, listening where it says. */
import { dirname } from 'node:path'
import type { Diagnostic } from '../base/problem.ts'
import { type Duration, sayDuration } from '../base/time.ts'
import { now } from '../io/clock.ts'
import { ConfigurationError, readConfig } from '../io/files.ts'
import { maildirOf } from '../io/maildir.ts'
import { takeProxyHeader } from '../io/proxy-header.ts'
import {
  Call,
  type Channel,
  type Connected,
  dial,
  type Endpoint,
  reach,
  receive,
  type Socket,
  streamOf,
} from '../io/sockets.ts'
import { Tcp } from '../io/tcp.ts'
import { type SecureContext, secureServer } from '../io/tls.ts'
import { MTA } from '../mta/commands.ts'
import type { MtaConfig } from '../mta/config.ts'
import type { NodeEnd } from '../routing/connector.ts'
import type { Spool } from '../spool/spool.ts'
import { holds } from '../topology/topology.ts'
import { Doors, type Place, shutDiagnostic } from './doors.ts'
import { Mta } from './mta.ts'
import { type MtaFiles, openMtaFiles } from './mta-files.ts'
import type { MtaEvents, MtaWorld } from './mta-world.ts'
import { words } from './words.ts'

/** How long whoever is talking, and whatever is going out, may take to finish once the server is asked to stop. */
export const STOP_GRACE: Duration = 30_000
/** How often a server that stops looks whether everything due was tried. */
const LOOK_AGAIN: Duration = 20
/** A queue that takes so long to be read is told of. */
const WORTH_A_NOTE: Duration = 1_000
/** Connections that are in the handshake of implicit TLS, and no session yet; one more is closed. */
export const MAX_HANDSHAKES = 200

export interface MailServerFiles extends MtaFiles {
  readonly config: MtaConfig
  readonly warnings: readonly Diagnostic[]
}

/** Reads a mail server's file and those it names. Throws a `ConfigurationError` with every mistake in any of them. */
export async function readMailServer(file: string): Promise<MailServerFiles> {
  const { config, warnings } = readConfig(MTA, file)
  const problems: Diagnostic[] = [...warnings]
  const files = await openMtaFiles(config, dirname(file)).catch(cause => {
    if (!(cause instanceof ConfigurationError)) throw cause
    problems.push(...cause.problems)
    return undefined
  })
  if (config.listens.length === 0) {
    problems.push({
      severity: 'error',
      message: `${file} says nowhere where to listen`,
      hint: 'add a line such as: listen 127.0.0.1 port 2525',
    })
  }
  if (!files || config.listens.length === 0) throw new ConfigurationError(problems)
  return { config, warnings, ...files }
}

/** Is this peer one that begins with a header of the PROXY protocol? */
function saysWhose({ proxies }: MtaConfig, peer: string): boolean {
  return proxies.some(({ network, by }) => by === 'proxy-protocol' && holds(network, peer))
}

/** The ways that mail takes by a configuration, wherever they stand in it. */
function sayWays({ routing }: MtaConfig): string {
  return JSON.stringify(routing, (key, value) => (key === 'at' ? undefined : value))
}

export interface MailServerWorld {
  readonly spool: Spool
  /** The folder of all Maildirs. */
  readonly maildir: string
  readonly events?: MtaEvents
  readonly fetchPolicy?: MtaWorld['fetchPolicy']
}

/** Where mail is taken; `tls`: under TLS from the first octet on (RFC 8314 §3). */
interface MailDoor extends Place {
  readonly tls: boolean
  /** Not mail comes in here, but members of our routing group. */
  readonly members?: NodeEnd
}

/** One configuration in force: the server that works by it, and what its files hold. */
interface Generation {
  readonly mta: Mta
  readonly identity: SecureContext | undefined
}

export class MailServer {
  readonly #doors = new Doors<MailDoor, Connected>((door, socket) => this.#accept(door, socket), receive)
  #world: MailServerWorld | undefined
  #now: Generation | undefined
  /** Those that were in force before, as long as somebody is with them. */
  readonly #before = new Set<Mta>()
  /** Who came before anybody could be served. */
  #early: { readonly door: MailDoor; readonly socket: Connected }[] = []
  readonly #handshakes = new Set<Channel>()

  /** Listens at every address of the configuration, and serves: `listen`, then `begin`. */
  static async start(files: MailServerFiles, world: MailServerWorld): Promise<MailServer> {
    const server = new MailServer()
    await server.listen(files.config)
    server.begin(files, world)
    return server
  }

  /**
   * Listens at every address of the configuration, or at none: all that cannot be had are told together. Who comes waits
   * until `begin`, before which root may be given up.
   */
  async listen(config: MtaConfig): Promise<void> {
    const shut = await this.#open(config, () => {})
    if (shut.length > 0) throw new ConfigurationError(shut)
  }

  begin(files: MailServerFiles, world: MailServerWorld): void {
    this.#world = world
    this.#enforce(files, world)
    const early = this.#early
    this.#early = []
    for (const { door, socket } of early) this.#accept(door, socket)
    void this.#readQueue(world)
  }

  /** What waits from before goes out as it is read; who comes is served meanwhile. */
  async #readQueue({ spool, events }: MailServerWorld): Promise<void> {
    const [began, count] = [performance.now(), spool.unread]
    try {
      await spool.read(() => this.mta.wake())
    } catch (cause) {
      events?.note?.(`the queue could not be read, and what is left of it waits for the next start: ${words(cause)}`)
    }
    const took = performance.now() - began
    if (took >= WORTH_A_NOTE) events?.note?.(`${count} messages of the queue are read, in ${sayDuration(took)}`)
  }

  /**
   * From now on this is the configuration: for who comes, and for the queue. Who is here keeps the one they came in with. Or
   * nothing changes, and what is given back says why.
   */
  configure(files: MailServerFiles): Promise<readonly Diagnostic[]> {
    return this.#open(files.config, () => {
      if (this.#world) this.#enforce(files, this.#world)
    })
  }

  #open({ listens, routing }: MtaConfig, commit: () => void): Promise<readonly Diagnostic[]> {
    const doors = listens.map(({ ip, port, tls, at }) => ({ listen: { host: ip, port }, tls, at }))
    const forMembers = routing.nodeListens.map(end => ({
      listen: { host: end.ip, port: end.port },
      tls: false,
      members: end,
      at: end.at,
    }))
    return this.#doors
      .change({ doors: [...doors, ...forMembers], admits: () => true, orNothing: true, commit })
      .then(shut => shut.map(shutDiagnostic))
  }

  #enforce(
    { config, warnings: _told, ...files }: MailServerFiles,
    { spool, maildir, events, fetchPolicy }: MailServerWorld,
  ): void {
    const before = this.#now?.mta
    const mta = new Mta(
      config,
      {
        spool,
        ...files,
        dial: (host, port, { from, call = new Call() } = {}) =>
          from === undefined ? reach({ host, port }, call) : dial({ host, port }, call.signal, from),
        maildir: mailbox => maildirOf(maildir, mailbox),
        ...(events && { events }),
        ...(fetchPolicy && { fetchPolicy }),
      },
      before,
    )
    this.#now = { mta, identity: files.identity }
    if (before) {
      this.#before.add(before)
      void before.retire(mta).finally(() => this.#before.delete(before))
    }
    mta.start()
    mta.wake()
    if (before && sayWays(before.config) !== sayWays(config)) mta.reroute()
  }

  /** The one in force. */
  get mta(): Mta {
    if (!this.#now) throw new Error('nothing is in force before begin()')
    return this.#now.mta
  }

  #accept(door: MailDoor, socket: Connected): void {
    socket.on('error', () => {})
    if (!this.#now) {
      if (this.#early.length >= MAX_HANDSHAKES) socket.destroy()
      else this.#early.push({ door, socket })
      return
    }
    // A zone is ours, and no part of the address.
    const remoteAddress = socket.remoteAddress?.replace(/%.*$/, '')
    const identity = door.tls ? this.#now.identity : undefined
    // It went away before it was served.
    if (remoteAddress === undefined) socket.destroy()
    else if (door.members) this.mta.routing.take(door.members, streamOf(socket), remoteAddress)
    else if (saysWhose(this.mta.config, remoteAddress))
      void this.#proxied(socket instanceof Tcp ? socket.upgrade() : socket, remoteAddress, identity)
    else this.#serve(socket, remoteAddress, identity)
  }

  #serve(socket: Channel, peer: string, identity: SecureContext | undefined): void {
    if (identity) void this.#secure(socket, peer, identity)
    else this.mta.serve(socket, peer)
  }

  /** A listed proxy says before all else for whom it speaks; whoever of them does not say so is not served. */
  async #proxied(socket: Socket, proxy: string, identity: SecureContext | undefined): Promise<void> {
    if (this.#handshakes.size >= MAX_HANDSHAKES) {
      socket.destroy()
      return
    }
    this.#handshakes.add(socket)
    const header = await takeProxyHeader(socket)
    this.#handshakes.delete(socket)
    if (header.kind === 'wrong') socket.destroy()
    else this.#serve(socket, header.kind === 'proxied' ? header.ends.source : proxy, identity)
  }

  /** Who does not get through the handshake is gone without a word: there is no wire yet to say one on. */
  async #secure(socket: Channel, peer: string, identity: SecureContext): Promise<void> {
    if (this.#handshakes.size >= MAX_HANDSHAKES) {
      socket.destroy()
      return
    }
    this.#handshakes.add(socket)
    try {
      const { socket: secured, facts } = await secureServer(streamOf(socket), identity)
      this.mta.serve(secured, peer, facts)
    } catch {
      socket.destroy()
    } finally {
      this.#handshakes.delete(socket)
    }
  }

  /** Where it listens, in the order of the configuration. */
  get endpoints(): readonly Endpoint[] {
    return this.#doors.openWhere(({ members }) => members === undefined)
  }

  /** Where it hears the members of its routing group. */
  get memberEndpoints(): readonly Endpoint[] {
    return this.#doors.openWhere(({ members }) => members !== undefined)
  }

  /**
   * Takes no more connections, and lets what is under way finish; after `grace` it is cut. What is due is tried before
   * that where it would be lost with the process.
   */
  async stop({ grace = STOP_GRACE }: { readonly grace?: Duration } = {}): Promise<void> {
    const end = now() + grace
    const { empty } = await this.#doors.close()
    for (const socket of this.#handshakes) socket.destroy()
    for (const { socket } of this.#early) socket.destroy()
    const spool = this.#world?.spool
    while (spool && now() < end && !spool.lasts && ((await spool.nextDue()) ?? Infinity) <= now())
      await new Promise(resolve => setTimeout(resolve, LOOK_AGAIN))
    const all = [...(this.#now ? [this.#now.mta] : []), ...this.#before]
    await Promise.all(all.map(mta => mta.stop(Math.max(0, end - now()))))
    await empty
  }
}
