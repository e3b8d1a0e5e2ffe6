/** What a running firewall tells: syslog servers, files, and what is kept for `show logging`. */
import { PosternError } from '../base/problem.ts'
import { SEVERITIES, type Severity } from '../base/severity.ts'
import type { Product } from '../firewall/config.ts'
import { factsOf, type GatewayEvent, levelled, localLine, messageOf, syslogLine } from '../firewall/event.ts'
import { type LoggingConfig, NO_GATEWAY } from '../firewall/gateway-config.ts'
import { formatSyslog } from '../firewall/syslog.ts'
import { timestamp } from '../io/clock.ts'
import { localSink } from '../io/local-syslog.ts'
import { type JsonLog, openJsonLog } from '../io/log.ts'
import { fileSink, type Sink, tcpSink, udpSink } from '../io/syslog.ts'

/** Lines kept for `show logging`. */
export const MAX_BUFFERED = 512

export interface Identity {
  readonly host: string
  readonly product: Product
}

interface Outlet {
  readonly level: Severity
  readonly sink: Sink
  /** Of this machine: it knows the time and the host. */
  readonly isLocal?: true
}

/** Where lines go; made whole before it replaces another. */
export interface Outlets {
  readonly config: LoggingConfig
  readonly identity: Identity
  readonly lines: readonly Outlet[]
  readonly json: readonly { readonly level: Severity; readonly log: JsonLog }[]
}

export class Journal {
  #outlets: Outlets
  readonly #buffer: string[] = []
  readonly #json: JsonLog | undefined
  #told = 0
  #lostBefore = 0

  constructor(identity: Identity, { stdout = false }: { readonly stdout?: boolean } = {}) {
    this.#outlets = { config: NO_GATEWAY.logging, identity, lines: [], json: [] }
    this.#json = stdout ? openJsonLog('stdout', { host: identity.host }) : undefined
  }

  tell(event: GatewayEvent): void {
    const { config, identity, lines, json } = this.#outlets
    // Words are made only where they go somewhere.
    if (!config.on && !this.#json) return
    const message = levelled(messageOf(event), config)
    if (!message) return
    const { severity } = message
    this.#json?.write(severity, message.text, { id: message.id, ...factsOf(event) })
    if (!config.on) return
    this.#told++
    const time = timestamp()
    if (config.buffered !== undefined && severity <= config.buffered) {
      const line = formatSyslog(identity.product, message)
      this.#buffer.push(config.timestamp ? `${time}: ${line}` : line)
      if (this.#buffer.length > MAX_BUFFERED) this.#buffer.shift()
    }
    if (lines.length > 0) {
      const header = { facility: config.facility, process: process.pid, time: config.timestamp ? time : undefined }
      const line = syslogLine(message, { ...header, ...identity })
      for (const { level, sink, isLocal } of lines) {
        if (severity <= level) sink.write(isLocal ? localLine(message, { ...header, ...identity }) : line)
      }
    }
    for (const { level, log } of json) {
      if (severity <= level) log.write(severity, message.text, { id: message.id, ...factsOf(event) })
    }
  }

  /** Lines that nobody took in time. */
  get lost(): number {
    const { lines, json } = this.#outlets
    const now = [...lines.map(({ sink }) => sink.lost), ...json.map(({ log }) => log.lost), this.#json?.lost ?? 0]
    return this.#lostBefore + now.reduce((sum, each) => sum + each, 0)
  }

  /** From now on these are where lines go; those before are closed, so that a file may be moved away. */
  adopt(outlets: Outlets): void {
    const old = this.#outlets
    const { lost } = this
    this.#outlets = outlets
    this.#lostBefore = lost - (this.#json?.lost ?? 0)
    void closeOutlets(old)
  }

  /** Kept once everything that was told is out. */
  async close(): Promise<void> {
    await Promise.all([closeOutlets(this.#outlets), this.#json?.close()])
  }

  /** `show logging`, in the PIX's form. */
  show(): readonly string[] {
    const { config } = this.#outlets
    const level = (name: string, severity: Severity | undefined): string =>
      `    ${name}: ${severity === undefined ? 'disabled' : `level ${SEVERITIES[severity]}`}`
    return [
      `Syslog logging: ${config.on ? 'enabled' : 'disabled'}`,
      `    Facility: ${config.facility}`,
      `    Timestamp logging: ${config.timestamp ? 'enabled' : 'disabled'}`,
      level('Buffer logging', config.buffered),
      `${level('Trap logging', config.hosts.length > 0 || config.local !== undefined ? config.trap : undefined)}, ${this.#told} messages, ${this.lost} lost`,
      ...config.hosts.map(({ ip, port, transport, number }) =>
        `        Logging to ${port} ${ip} ${transport}/${number}`.replace('to  ', 'to '),
      ),
      ...(config.local === undefined ? [] : [`        Logging to ${config.local}`]),
      ...config.files.map(({ form, file, level }) => `        Logging to ${form} ${file}, level ${SEVERITIES[level]}`),
      ...this.#buffer,
    ]
  }
}

/** Opens everything the configuration names, or throws with the first that cannot be; then nothing stays open. */
export async function openOutlets(config: LoggingConfig, identity: Identity): Promise<Outlets> {
  const lines: Outlet[] = []
  const json: { level: Severity; log: JsonLog }[] = []
  const outlets: Outlets = { config, identity, lines, json }
  if (!config.on) return outlets
  for (const { form, file, level } of config.files) {
    try {
      if (form === 'json') json.push({ level, log: openJsonLog(file, { host: identity.host }) })
      else {
        const sink = fileSink(file)
        lines.push({ level, sink })
        await sink.opened
      }
    } catch (cause) {
      await closeOutlets(outlets)
      const why = (cause as Error).message
      throw new PosternError('POSTERN_CANNOT_LOG', `logging ${form}: cannot write to ${file}: ${why}`, {
        side: 'us',
        retry: 'never',
        cause,
      })
    }
  }
  if (config.local !== undefined) {
    try {
      lines.push({ level: config.trap, sink: await localSink(config.local), isLocal: true })
    } catch (cause) {
      await closeOutlets(outlets)
      throw new PosternError('POSTERN_CANNOT_LOG', `logging local: ${(cause as Error).message}`, {
        side: 'us',
        retry: 'never',
        cause,
      })
    }
  }
  for (const { ip, transport, number } of config.hosts) {
    lines.push({ level: config.trap, sink: transport === 'udp' ? udpSink(ip, number) : tcpSink(ip, number) })
  }
  return outlets
}

export async function closeOutlets({ lines, json }: Outlets): Promise<void> {
  await Promise.all([...lines.map(({ sink }) => sink.close()), ...json.map(({ log }) => log.close())])
}
