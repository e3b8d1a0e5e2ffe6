/** A mail server of its own: what its file says, listening where it says. */
import { dirname } from 'node:path'
import { type Diagnostic, PosternError, type SourceRef } from '../base/problem.ts'
import type { Duration } from '../base/time.ts'
import { now } from '../io/clock.ts'
import { ConfigurationError, readConfig } from '../io/files.ts'
import { maildirOf } from '../io/maildir.ts'
import { takeProxyHeader } from '../io/proxy-header.ts'
import { close, dial, type Endpoint, endpointOf, listen, type Server, type Socket } from '../io/sockets.ts'
import { type SecureContext, secureServer } from '../io/tls.ts'
import { MTA } from '../mta/commands.ts'
import type { MtaConfig } from '../mta/config.ts'
import type { Spool } from '../spool/spool.ts'
import { holds } from '../topology/topology.ts'
import { Mta } from './mta.ts'
import { type MtaFiles, openMtaFiles } from './mta-files.ts'
import type { MtaEvents, MtaWorld } from './mta-world.ts'

/** How long whoever is talking, and whatever is going out, may take to finish once the server is asked to stop. */
export const STOP_GRACE: Duration = 30_000
/** How often a server that stops looks whether everything due was tried. */
const LOOK_AGAIN: Duration = 20
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

/** What a line asks for cannot be had: it is this line that is to be changed. */
function asProblem(cause: unknown, at: SourceRef): Diagnostic {
  if (!(cause instanceof PosternError)) throw cause
  return { severity: 'error', message: cause.message, at }
}

export interface MailServerWorld {
  readonly spool: Spool
  /** The folder of all Maildirs. */
  readonly maildir: string
  readonly events?: MtaEvents
  readonly fetchPolicy?: MtaWorld['fetchPolicy']
}

export class MailServer {
  readonly mta: Mta
  readonly #spool: Spool
  readonly #servers: Server[] = []
  readonly #handshakes = new Set<Socket>()

  private constructor(mta: Mta, spool: Spool) {
    this.mta = mta
    this.#spool = spool
  }

  /** Listens at every address of the configuration, or at none: all that cannot be had are told together. */
  static async start(
    { config, files, logins, identity }: MailServerFiles,
    { spool, maildir, events, fetchPolicy }: MailServerWorld,
  ): Promise<MailServer> {
    const mta = new Mta(config, {
      spool,
      files,
      logins,
      ...(identity && { identity }),
      dial: (host, port) => dial({ host, port }),
      maildir: mailbox => maildirOf(maildir, mailbox),
      ...(events && { events }),
      ...(fetchPolicy && { fetchPolicy }),
    })
    const server = new MailServer(mta, spool)
    const problems: Diagnostic[] = []
    for (const { ip, port, tls, at } of config.listens) {
      const identified = tls ? identity : undefined
      await server.#listen({ host: ip, port }, identified).catch(cause => problems.push(asProblem(cause, at)))
    }
    if (problems.length > 0) {
      await server.stop({ grace: 0 })
      throw new ConfigurationError(problems)
    }
    mta.start()
    mta.wake()
    return server
  }

  /** With an identity under TLS from the first octet on (RFC 8314 §3). */
  async #listen(at: Endpoint, identity: SecureContext | undefined): Promise<void> {
    const server = await listen(at, socket => {
      socket.on('error', () => {})
      const { remoteAddress } = socket
      // It went away before it was served.
      if (remoteAddress === undefined) socket.destroy()
      else if (saysWhose(this.mta.config, remoteAddress)) void this.#proxied(socket, remoteAddress, identity)
      else this.#serve(socket, remoteAddress, identity)
    })
    this.#servers.push(server)
  }

  #serve(socket: Socket, peer: string, identity: SecureContext | undefined): void {
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
  async #secure(socket: Socket, peer: string, identity: SecureContext): Promise<void> {
    if (this.#handshakes.size >= MAX_HANDSHAKES) {
      socket.destroy()
      return
    }
    this.#handshakes.add(socket)
    try {
      const { socket: secured, facts } = await secureServer(socket, identity)
      this.mta.serve(secured, peer, facts)
    } catch {
      socket.destroy()
    } finally {
      this.#handshakes.delete(socket)
    }
  }

  /** Where it listens, in the order of the configuration. */
  get endpoints(): readonly Endpoint[] {
    return this.#servers.map(endpointOf)
  }

  /**
   * Takes no more connections, and lets what is under way finish; after `grace` it is cut. What is due is tried before
   * that where it would be lost with the process.
   */
  async stop({ grace = STOP_GRACE }: { readonly grace?: Duration } = {}): Promise<void> {
    const end = now() + grace
    const closed = this.#servers.map(close)
    for (const socket of this.#handshakes) socket.destroy()
    while (now() < end && !this.#spool.lasts && (await this.#isDue()))
      await new Promise(resolve => setTimeout(resolve, LOOK_AGAIN))
    await this.mta.stop(Math.max(0, end - now()))
    await Promise.all(closed)
  }

  async #isDue(): Promise<boolean> {
    return ((await this.#spool.nextDue()) ?? Infinity) <= now()
  }
}
