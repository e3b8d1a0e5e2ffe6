/** A firewall of its own: its file, its doors, what it tells, and its console. */
import { dirname, resolve } from 'node:path'
import { type Diagnostic, formatDiagnostic, PosternError } from '../base/problem.ts'
import { sayDuration } from '../base/time.ts'
import { rewrite } from '../config/rewrite.ts'
import { show } from '../config/show.ts'
import { FIREWALL } from '../firewall/commands.ts'
import type { FirewallConfig } from '../firewall/config.ts'
import type { ConsoleView } from '../firewall/console.ts'
import type { GatewayEvent, Joined } from '../firewall/event.ts'
import { type GatewayConfig, NO_GATEWAY } from '../firewall/gateway-config.ts'
import type { Policy } from '../firewall/policy.ts'
import { staticsOf } from '../firewall/translation.ts'
import { now, timestamp } from '../io/clock.ts'
import { type ControlAnswer, openControl } from '../io/control.ts'
import { ConfigurationError, readBytes, readConfig, writeWhole } from '../io/files.ts'
import { type Recording, Recordings } from '../io/recorder.ts'
import { type Endpoint, sayEndpoint } from '../io/sockets.ts'
import type { Watch } from '../io/splice.ts'
import { makeState, removeState } from '../io/state.ts'
import type { SecureContext } from '../io/tls.ts'
import { become, fileFor, folderFor, type User, whoToBecome } from '../io/user.ts'
import { transcriptHead } from '../transcript/record.ts'
import { Console } from './console.ts'
import { type Door, shutDiagnostic } from './doors.ts'
import { countEvent, type FirewallMetrics, firewallMetrics } from './firewall-metrics.ts'
import { type Connection, Gateway, type Identities } from './gateway.ts'
import { closeOutlets, type Identity, Journal, type Outlets, openOutlets } from './journal.ts'
import { certified } from './mta-files.ts'
import { Servers } from './servers.ts'
import { type Try, trying } from './trying.ts'

/** `show conn`, in the PIX's form, with what inspects each. */
export function showConnections(gateway: Gateway): readonly string[] {
  const head = `${gateway.connections.length} in use, ${gateway.most} most used`
  return [head, ...gateway.connections.map(showConnection)]
}

function showConnection(connection: Connection): string {
  const { crossing, source, sourcePort, destination, destinationPort, passage, since, inspected } = connection
  const lower = crossing.direction === 'inbound'
  const caller = `${source}:${sourcePort}`
  const called = `${destination}:${destinationPort}`
  const [out, inside] = lower ? [caller, called] : [called, caller]
  const octets = passage.fromClient + passage.fromServer
  const how = inspected ? `inspected by ${inspected.command}` : 'not inspected'
  return `TCP out ${out} in ${inside} for ${sayDuration(now() - since)} bytes ${octets} ${how}`
}

/** The console of a firewall that somebody else runs, with no file of its own. */
export function consoleOf(gateway: Gateway): Console {
  const view: ConsoleView = {
    connections: () => showConnections(gateway),
    altered: () => gateway.altered,
    startup: () => undefined,
    logging: () => ['Syslog logging: disabled'],
    servers: () => [],
    version: () => versionLines(gateway.config),
  }
  return new Console({
    config: () => gateway.config,
    configure: async config => (await gateway.configure(config)).map(shutDiagnostic),
    view,
    tell: () => {},
  })
}

function versionLines({ hostname, product, version }: FirewallConfig): readonly string[] {
  return [
    `${hostname}: Postern, as ${version === undefined ? `a ${product} of no particular version` : `${product} ${version}`}`,
  ]
}

export interface FirewallOptions {
  /** One JSON object on standard output for each event. */
  readonly json?: boolean
  readonly events?: (event: GatewayEvent) => void
}

/** What a configuration needs besides doors, opened and not yet in use. */
interface Furniture {
  readonly outlets: Outlets
  readonly recordings: Recordings | undefined
  readonly metrics: { close(): Promise<void> } | undefined
  readonly identities: Identities | undefined
}

export class Firewall {
  readonly file: string
  readonly gateway: Gateway
  readonly #journal: Journal
  readonly #servers: Servers
  readonly #metrics: FirewallMetrics
  readonly #console: Console
  readonly #events: (event: GatewayEvent) => void
  readonly #since = now()
  #recordings: Recordings | undefined
  #identities: Identities | undefined
  #metricsAt: { close(): Promise<void> } | undefined
  #control: { readonly folder: string; close(): void } | undefined

  private constructor(file: string, config: FirewallConfig, { json = false, events = () => {} }: FirewallOptions) {
    this.file = file
    this.#events = events
    this.#journal = new Journal(identityOf(config), { stdout: json })
    this.gateway = new Gateway(config.hostname, config, {
      event: event => this.#tell(event),
      identities: () => this.#identities,
      watch: (connection, policy) => this.#watch(connection, policy),
    })
    this.#servers = new Servers(config.gateway, event => this.#tell(event))
    this.#metrics = firewallMetrics({
      connections: () => this.gateway.connections.length,
      doors: () => this.gateway.doors.length,
      logLost: () => this.#journal.lost,
      servers: () => this.#servers.health,
    })
    this.#console = new Console({
      config: () => this.gateway.config,
      configure: next => this.#configure(next),
      view: {
        connections: () => showConnections(this.gateway),
        altered: () => this.gateway.altered,
        startup: () => readBytes(this.file).toString('utf8').trimEnd().split('\n'),
        logging: () => this.#journal.show(),
        servers: () => this.#servers.lines(),
        version: () => [
          ...versionLines(this.gateway.config),
          `up ${sayDuration(now() - this.#since)}, process ${process.pid}, file ${this.file}`,
          ...this.gateway.doors.map(door => `listening at ${sayEndpoint(door)}`),
        ],
      },
      tell: event => this.#tell(event),
      write: () => this.#write(),
      reload: () => this.reload(),
      metrics: async () => (await this.#metrics.text()).trimEnd().split('\n'),
    })
  }

  /** Brings everything up that the file names, or throws with all that cannot be; then nothing stays up. */
  static async start(
    file: string,
    options: FirewallOptions = {},
  ): Promise<{ readonly firewall: Firewall; readonly warnings: readonly Diagnostic[] }> {
    const { config, warnings } = readConfig(FIREWALL, file)
    const firewall = new Firewall(file, config, options)
    try {
      const user = whoToBecome(config.gateway.user)
      // What root opens or makes here is the user's to write, or a reload could not open it again.
      if (user) firewall.#giveTo(user, config.gateway)
      const problems = await firewall.#furnish(config, true)
      if (problems.length > 0) throw new ConfigurationError(problems)
      if (user) become(user)
      await firewall.#openControl()
    } catch (cause) {
      await firewall.stop()
      throw cause
    }
    firewall.#tell({ kind: 'started', doors: firewall.gateway.doors.map(sayEndpoint) })
    return { firewall, warnings }
  }

  /** Reads the file again. All of it is put in force and every open connection lives on; or nothing changes. */
  async reload(): Promise<ControlAnswer> {
    const read = this.#read()
    const problems = read.config ? await this.#furnish(read.config, true) : read.problems
    const failed = read.config === undefined || problems.length > 0
    this.#tell({ kind: 'read', file: this.file, failed })
    if (!failed) return { answer: [...read.problems.map(formatDiagnostic), `${this.file} is in force`], wrong: false }
    return { answer: [...problems.map(formatDiagnostic), 'nothing was changed'], wrong: true }
  }

  /** Stops listening, waits for open connections as long as the configuration says, and cuts the rest. */
  async drain(): Promise<void> {
    await this.gateway.drain(this.gateway.config.gateway.drain)
  }

  /** Cuts everything, and takes down what is up. */
  async stop(): Promise<void> {
    this.#console.close()
    this.#control?.close()
    await this.gateway.stop()
    this.#servers.stop()
    await this.#metricsAt?.close()
    // Whatever ended with it is still to be written.
    await Promise.all([this.#journal.close(), this.#recordings?.flushed()])
    if (this.#control) removeState(this.#control.folder)
  }

  #read(): { readonly config?: FirewallConfig; readonly problems: readonly Diagnostic[] } {
    try {
      const { config, warnings } = readConfig(FIREWALL, this.file)
      return { config, problems: warnings }
    } catch (cause) {
      if (cause instanceof ConfigurationError) return { problems: cause.problems }
      if (cause instanceof PosternError) return { problems: [{ severity: 'error', message: cause.message }] }
      throw cause
    }
  }

  /** For a typed line: what can be done is done, and what cannot is said, once. */
  async #configure(config: FirewallConfig): Promise<readonly Diagnostic[]> {
    const problems = await this.#furnish(config, false)
    const said = this.#said
    this.#said = new Set(problems.map(formatDiagnostic))
    return problems.filter(problem => !said.has(formatDiagnostic(problem)))
  }

  /** What could not be done, and was told whoever typed it. */
  #said: ReadonlySet<string> = new Set()

  async #furnish(config: FirewallConfig, orNothing: boolean): Promise<readonly Diagnostic[]> {
    if (config.gateway.user?.name !== this.gateway.config.gateway.user?.name) return [cannotChangeUser(config.gateway)]
    const { furniture, problems } = await this.#prepare(config.gateway, config)
    if (orNothing && problems.length > 0) {
      // The doors are tried all the same, so that everything that is wrong is said at once.
      const shut = await this.#tryDoors(config)
      await this.#discard(furniture)
      return [...problems, ...shut]
    }
    const shut = await this.gateway.configure(config, { doors: this.#doors(config), orNothing })
    const all = [...problems, ...shut.map(shutDiagnostic)]
    if (orNothing && shut.length > 0) {
      await this.#discard(furniture)
      return all
    }
    this.#journal.adopt(furniture.outlets)
    this.#servers.configure(config.gateway)
    this.#recordings = furniture.recordings
    this.#identities = furniture.identities
    const { metrics } = config.gateway
    if (furniture.metrics || !metrics) {
      const old = this.#metricsAt
      this.#metricsAt = furniture.metrics
      await old?.close()
    }
    this.#metricsOf = metrics
    return all
  }

  #metricsOf: GatewayConfig['metrics']

  /** Which doors could not be opened, if it came to that; none stays open. */
  async #tryDoors(config: FirewallConfig): Promise<readonly Diagnostic[]> {
    const trial = new Gateway(config.hostname, config)
    const mine = new Set(this.gateway.doors.map(sayEndpoint))
    const doors = this.#doors(config).filter(({ listen }) => !mine.has(sayEndpoint(listen)))
    const shut = await trial.configure(config, { doors })
    await trial.stop()
    return shut.map(shutDiagnostic)
  }

  async #prepare(
    { logging, record, metrics }: GatewayConfig,
    config: FirewallConfig,
  ): Promise<{ readonly furniture: Furniture; readonly problems: readonly Diagnostic[] }> {
    const { problems, attempt } = trying()
    const identity = identityOf(config)
    const outlets = await attempt(undefined, () => openOutlets(this.#placed(logging), identity))
    const recordings =
      record && (await attempt(undefined, () => new Recordings({ ...record, folder: this.#path(record.folder) })))
    const isSame = metrics?.ip === this.#metricsOf?.ip && metrics?.port === this.#metricsOf?.port
    const answering =
      metrics && !isSame
        ? await attempt(metrics.at, () =>
            this.#metrics.listen(metrics.ip, metrics.port, () => (this.gateway.isOpen ? undefined : 'stopping')),
          )
        : undefined
    const identities = await this.#readIdentities(config, attempt)
    const none: Outlets = { config: logging, identity, lines: [], json: [] }
    return { furniture: { outlets: outlets ?? none, recordings, metrics: answering, identities }, problems }
  }

  async #readIdentities({ proxies }: FirewallConfig, attempt: Try): Promise<Identities | undefined> {
    const byName = new Map<string, SecureContext>()
    let any: SecureContext | undefined
    for (const { file, key, name, at } of proxies.certificates) {
      const [certificate, secret] = [this.#path(file), this.#path(key)]
      const made = await attempt(at, () => certified(certificate, secret))
      if (!made) continue
      if (name !== undefined) byName.set(name, made)
      any = name === undefined ? made : (any ?? made)
    }
    return any && { any, byName }
  }

  async #discard({ outlets, metrics }: Furniture): Promise<void> {
    await closeOutlets(outlets)
    await metrics?.close()
  }

  #giveTo(user: User, { logging, record }: GatewayConfig): void {
    for (const { file } of logging.files) fileFor(user, this.#path(file))
    if (record) folderFor(user, this.#path(record.folder))
  }

  /** Paths are meant from where the file stands. */
  #path(path: string): string {
    return resolve(dirname(this.file), path)
  }

  #placed(logging: GatewayConfig['logging']): GatewayConfig['logging'] {
    return { ...logging, files: logging.files.map(each => ({ ...each, file: this.#path(each.file) })) }
  }

  /** The doors that the text itself describes: every `static … tcp` says where to listen, and where it leads. */
  #doors(config: FirewallConfig): readonly Door[] {
    const doors = new Map<string, Door>()
    for (const { mapped, mappedIp, redirect, at } of staticsOf(config)) {
      if (redirect?.protocol !== 'tcp') continue
      const listen: Endpoint = { host: mappedIp, port: redirect.mappedPort }
      // The first line that speaks of a place decides where it leads.
      if (doors.has(sayEndpoint(listen))) continue
      doors.set(sayEndpoint(listen), {
        port: mapped,
        destination: mappedIp,
        destinationPort: redirect.mappedPort,
        listen,
        at,
        dial: (to, ends, call) => this.#servers.dial(to, ends, call),
      })
    }
    return [...doors.values()]
  }

  async #openControl(): Promise<void> {
    const folder = makeState(this.gateway.name)
    const { name } = this.gateway
    const control = await openControl(folder, async request => {
      if (request.ask === 'nodes') return { answer: [name], wrong: false }
      if (request.ask !== 'type' && request.ask !== 'complete') return { answer: [], wrong: true }
      if (request.node !== name) return { answer: [`no firewall is called "${request.node}" here`], wrong: true }
      if (request.ask === 'complete') return { answer: this.#console.complete(request.line), wrong: false }
      return this.#console.type(request.line)
    })
    this.#control = { folder, close: control.close }
  }

  /** `write memory`: the file as a whole, or as it was. */
  async #write(): Promise<readonly string[]> {
    const old = readBytes(this.file).toString('utf8')
    const { text, comments } = rewrite(FIREWALL, old, this.gateway.config)
    try {
      writeWhole(this.file, text)
    } catch (cause) {
      this.#tell({ kind: 'wrote', file: this.file, failed: true })
      throw cause
    }
    this.#tell({ kind: 'wrote', file: this.file, failed: false })
    const lost = comments ? [] : ['its comments and its order could not be kept']
    return [`${this.file} is written`, ...lost]
  }

  #tell(event: GatewayEvent): void {
    countEvent(this.#metrics, event)
    this.#journal.tell(event)
    this.#events(event)
  }

  #watch(connection: Joined, policy: Policy | undefined): Watch | undefined {
    const recordings = this.#recordings
    if (!recordings) return undefined
    const { crossing, source, asked } = connection
    const prose = [
      `Recorded at ${timestamp()} by ${this.gateway.name}: ${source} called ${asked.ip} port ${asked.port}.`,
      policy ? `Inspected by ${policy.name}.` : 'Not inspected.',
    ]
    const { config } = this.gateway
    // What does not concern mail may hold passwords, and how a firewall runs changes no octet.
    const lines = show(FIREWALL, { ...config, kept: {}, gateway: NO_GATEWAY })
    // One that works in place can be played again; a proxy is recorded as the client heard it.
    const subject = policy?.engine.kind === 'proxy' ? 'proxy' : 'firewall'
    const connects = `from ${source} at ${crossing.from.name} to ${asked.ip} port ${asked.port}`
    const recording: Recording = recordings.begin(transcriptHead(prose, subject, lines, connects))
    return recording
  }
}

function cannotChangeUser({ user }: GatewayConfig): Diagnostic {
  const message = 'as whom the firewall runs cannot change while it runs: it wants a restart'
  return { severity: 'error', message, ...(user && { at: user.at }) }
}

function identityOf({ hostname, product }: FirewallConfig): Identity {
  return { host: hostname, product }
}
