/** A mail server as a service: its file and its spool, what it tells, its console, and whose rights it has. */
import { dirname, resolve } from 'node:path'
import { type Diagnostic, formatDiagnostic, PosternError } from '../base/problem.ts'
import { diff } from '../config/diff.ts'
import type { ControlAnswer } from '../io/control.ts'
import { ConfigurationError } from '../io/files.ts'
import { type Endpoint, sayEndpoint } from '../io/sockets.ts'
import { become, fileFor, folderFor, whoToBecome } from '../io/user.ts'
import { MTA } from '../mta/commands.ts'
import type { MtaConfig } from '../mta/config.ts'
import type { MtaEvent } from '../mta/news.ts'
import type { Spool } from '../spool/spool.ts'
import { Drops } from './drops.ts'
import { MailServer, type MailServerFiles, readMailServer, STOP_GRACE } from './mail-server.ts'
import { openMtaControl } from './mta-control.ts'
import { closeLogFiles, type LogFiles, MtaLog, openLogFile } from './mta-log.ts'
import { countEvent, type MtaMetrics, mtaMetrics } from './mta-metrics.ts'
import { dropFolderOf, openSpool, spoolFolder } from './mta-spool.ts'
import { trying } from './trying.ts'
import { words } from './words.ts'

export interface MailServiceOptions {
  /** The folder of all Maildirs. */
  readonly maildir: string
  /** JSON lines on standard output. */
  readonly json?: boolean
  /** Whoever looks on. */
  readonly look?: (event: MtaEvent) => void
}

/** What a configuration needs besides doors, opened and not yet in use. */
interface Furniture {
  readonly logs: LogFiles
  readonly metrics: Answering | undefined
}

interface Answering {
  close(): Promise<void>
}

export class MailService {
  readonly file: string
  readonly warnings: readonly Diagnostic[]
  readonly #server = new MailServer()
  readonly #log: MtaLog
  readonly #metrics: MtaMetrics
  #config: MtaConfig
  #spool: Spool | undefined
  #control: { close(): void } | undefined
  #drops: Drops | undefined
  #answering: Answering | undefined
  #state: 'starting' | 'running' | 'stopping' = 'starting'
  #turn: Promise<unknown> = Promise.resolve()

  private constructor(file: string, { config, warnings }: MailServerFiles, log: MtaLog) {
    this.file = file
    this.warnings = warnings
    this.#config = config
    this.#log = log
    this.#metrics = mtaMetrics({
      messages: () => this.#spool?.count ?? 0,
      unread: () => this.#spool?.unread ?? 0,
      octets: () => this.#spool?.size ?? 0,
      sessions: () => (this.#state === 'starting' ? 0 : this.#server.mta.sessions),
      listens: () => this.endpoints.length,
      logLost: () => log.lost,
    })
  }

  /** Brings everything up that the file names, or throws with all that cannot be; then nothing stays up. */
  static async start(file: string, { maildir, json = false, look }: MailServiceOptions): Promise<MailService> {
    const files = await readMailServer(file)
    const user = whoToBecome(files.config.user)
    const log = new MtaLog({ host: files.config.hostname, stdout: json, ...(look && { look }) })
    const service = new MailService(file, files, log)
    try {
      // Opened by root, the spool would be root's.
      if (!user) service.#openSpool()
      await service.#server.listen(files.config)
      const { problems, furniture } = await service.#prepare(files.config, () => {
        if (!user) return
        for (const folder of [maildir, service.spoolFolder, service.#dropFolder])
          if (folder !== undefined) folderFor(user, folder)
        for (const { file } of files.config.logs) fileFor(user, service.#path(file))
        become(user)
      })
      service.#furnish(furniture)
      if (problems.length > 0) throw new ConfigurationError(problems)
      await service.#begin(files, maildir)
    } catch (cause) {
      await service.stop({ grace: 0 })
      throw cause
    }
    return service
  }

  /** Where it listens. */
  get endpoints(): readonly Endpoint[] {
    return this.#server.endpoints
  }

  /** Where it hears the members of its routing group. */
  get memberEndpoints(): readonly Endpoint[] {
    return this.#server.memberEndpoints
  }

  get spool(): Spool | undefined {
    return this.#spool
  }

  /** Where messages wait; `undefined` for those in memory. */
  get spoolFolder(): string | undefined {
    return spoolFolder(this.#config, dirname(this.file))
  }

  get #dropFolder(): string | undefined {
    return dropFolderOf(this.#config, dirname(this.file))
  }

  /**
   * Reads the file again, and all that it names. All of it is put in force and every open connection lives on; or nothing
   * changes. What is given back says either.
   */
  reload(): Promise<ControlAnswer> {
    // A mistake of ours in here must not end a server that works.
    const done = this.#turn
      .then(() => this.#reload())
      .catch((cause: unknown): ControlAnswer => {
        this.#tell({
          kind: 'note',
          what: `the configuration could not be read again, by a mistake here: ${words(cause)}`,
        })
        return { answer: [`a mistake in Postern: ${words(cause)}`, 'nothing was changed'], wrong: true }
      })
    this.#turn = done
    return done
  }

  async #reload(): Promise<ControlAnswer> {
    const { file } = this
    if (this.#state !== 'running') return { answer: ['it is not running'], wrong: true }
    const read = await this.#read()
    const problems = 'files' in read ? await this.#change(read.files) : read.problems
    if (problems.length > 0 || !('files' in read)) {
      const lines = problems.map(problem => formatDiagnostic(this.#explained(problem)))
      this.#tell({ kind: 'not-read', file, problems: lines })
      return { answer: [...lines, 'nothing was changed'], wrong: true }
    }
    const changes = shortened(read.changes)
    this.#tell({ kind: 'read', file, changes })
    const same = changes.length === 0 ? ['its lines are the same; the files that they name were read again'] : changes
    return { answer: [...read.files.warnings.map(formatDiagnostic), ...same, `${file} is in force`], wrong: false }
  }

  async #read(): Promise<Read | { readonly problems: readonly Diagnostic[] }> {
    try {
      const files = await readMailServer(this.file)
      return { files, changes: diff(MTA, this.#config, files.config) }
    } catch (cause) {
      if (cause instanceof ConfigurationError) return { problems: cause.problems }
      if (cause instanceof PosternError) return { problems: [{ severity: 'error', message: cause.message }] }
      throw cause
    }
  }

  /** Puts it in force, or says why that cannot be, and then nothing is different. */
  async #change(files: MailServerFiles): Promise<readonly Diagnostic[]> {
    const fixed = whatIsFixed(this.#config, files.config)
    const { furniture, problems } = await this.#prepare(files.config)
    if (fixed.length + problems.length > 0) {
      await discard(furniture)
      return [...fixed, ...problems]
    }
    const shut = await this.#server.configure(files)
    if (shut.length > 0) {
      await discard(furniture)
      return shut
    }
    this.#furnish(furniture, files.config)
    this.#config = files.config
    return []
  }

  /** What was possible at the start may not be any more: root was given up. */
  #explained(problem: Diagnostic): Diagnostic {
    const { user } = this.#config
    if (!user || !/needs a privilege|may not be read|cannot write/.test(problem.message)) return problem
    return { ...problem, hint: `it runs as ${user.name} now; what only root may have wants a restart` }
  }

  /** Stops listening, lets what is under way finish, and takes down what is up. */
  async stop({ grace = STOP_GRACE }: { readonly grace?: number } = {}): Promise<void> {
    const wasRunning = this.#state === 'running'
    if (wasRunning) this.#tell({ kind: 'stopping', grace })
    this.#state = 'stopping'
    await this.#turn
    await this.#drops?.stop()
    this.#control?.close()
    await this.#server.stop({ grace })
    if (wasRunning) this.#tell({ kind: 'stopped', waiting: this.#spool?.count ?? 0 })
    await this.#spool?.close()
    await this.#answering?.close()
    await this.#log.close()
  }

  async #begin(files: MailServerFiles, maildir: string): Promise<void> {
    const spool = this.#openSpool()
    const note = (what: string) => this.#tell({ kind: 'note', what })
    this.#server.begin(files, { spool, maildir, events: { tell: event => this.#tell(event), note } })
    this.#state = 'running'
    const folder = this.spoolFolder
    if (folder !== undefined) {
      this.#control = await openMtaControl(folder, {
        spool,
        mta: () => this.#server.mta,
        reload: () => this.reload(),
        tell: event => this.#tell(event),
      })
    }
    const drop = this.#dropFolder
    if (drop !== undefined) {
      this.#drops = new Drops(drop, {
        spool,
        mta: () => this.#server.mta,
        tell: event => this.#tell(event),
      })
      await this.#drops.begin()
    }
    this.#tell({ kind: 'started', listens: this.endpoints.map(sayEndpoint), waiting: spool.count })
  }

  #openSpool(): Spool {
    this.#spool ??= openSpool(this.#config, dirname(this.file), what => this.#tell({ kind: 'note', what }))
    return this.#spool
  }

  #tell(event: MtaEvent): void {
    countEvent(this.#metrics, event)
    this.#log.tell(event)
  }

  /** What a configuration names besides doors. `between`: done before anything is written. */
  async #prepare(
    config: MtaConfig,
    between: () => void = () => {},
  ): Promise<{ readonly furniture: Furniture; readonly problems: readonly Diagnostic[] }> {
    const { problems, attempt } = trying()
    const { metrics } = config
    const isSame = this.#answering && samePlace(metrics, this.#config.metrics)
    const answering =
      metrics && !isSame
        ? await attempt(metrics.at, () =>
            this.#metrics.listen(
              metrics.ip,
              metrics.port,
              () => this.#health(),
              () => this.#reading(),
            ),
          )
        : undefined
    await attempt(config.user?.at, between)
    const logs: LogFiles[number][] = []
    for (const each of config.logs) {
      const path = this.#path(each.file)
      const log =
        problems.length > 0 ? undefined : await attempt(each.at, () => openLogFile(path, each, config.hostname))
      if (log) logs.push(log)
    }
    return { furniture: { logs, metrics: answering }, problems }
  }

  /** Paths are meant from where the file stands. */
  #path(path: string): string {
    return resolve(dirname(this.file), path)
  }

  #furnish({ logs, metrics }: Furniture, config: MtaConfig = this.#config): void {
    this.#log.adopt(logs)
    if (!metrics && config.metrics) return
    void this.#answering?.close()
    this.#answering = metrics
  }

  #reading(): string | undefined {
    const unread = this.#spool?.unread ?? 0
    return unread > 0 ? `${unread} messages of the queue are still to be read, and are not tried before` : undefined
  }

  /** What `/healthz` answers: is mail taken, and could it be kept? */
  async #health(): Promise<string | undefined> {
    if (this.#state === 'starting' || !this.#spool) return 'starting: no mail is taken yet'
    if (this.#state === 'stopping') return 'stopping: what is under way is finished, and nothing new is taken'
    if (this.endpoints.length === 0) return 'no mail is taken: nothing is listened at'
    const { most } = this.#config.sessions
    if (this.#server.mta.sessions >= most)
      return `no mail is taken: there are ${most} sessions, as many as there may be`
    return this.#spool.trouble()
  }
}

interface Read {
  readonly files: MailServerFiles
  /** The lines that lead from what is in force to what was read. */
  readonly changes: readonly string[]
}

/** Changes that are told one by one; the others are counted. */
const MAX_CHANGES = 50

function shortened(lines: readonly string[]): readonly string[] {
  if (lines.length <= MAX_CHANGES) return lines
  return [...lines.slice(0, MAX_CHANGES), `and ${lines.length - MAX_CHANGES} lines more`]
}

/** What only a restart can change, where it is to change. */
function whatIsFixed(old: MtaConfig, next: MtaConfig): readonly Diagnostic[] {
  const problems: Diagnostic[] = []
  const said = ({ spool }: MtaConfig): string =>
    spool?.kind === 'disk' ? `${spool.folder} ${spool.size ?? ''}` : (spool?.kind ?? '')
  if (said(old) !== said(next)) {
    const at = next.spool?.kind === 'disk' ? next.spool.at : undefined
    const message = 'where messages wait, and how many, cannot change while the server runs: it wants a restart'
    problems.push({ severity: 'error', message, ...(at && { at }) })
  }
  if (old.drop?.folder !== next.drop?.folder) {
    const message = 'where mail is left while no server runs cannot change while it runs: it wants a restart'
    problems.push({ severity: 'error', message, ...(next.drop && { at: next.drop.at }) })
  }
  if (old.user?.name !== next.user?.name) {
    const message = 'as whom the server runs cannot change while it runs: it wants a restart'
    problems.push({ severity: 'error', message, ...(next.user && { at: next.user.at }) })
  }
  return problems
}

function samePlace(a: MtaConfig['metrics'], b: MtaConfig['metrics']): boolean {
  return a?.ip === b?.ip && a?.port === b?.port
}

async function discard({ logs, metrics }: Furniture): Promise<void> {
  await Promise.all([closeLogFiles(logs), metrics?.close()])
}
