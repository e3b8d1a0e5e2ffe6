/** Where a mail server tells what happens: files of JSON lines, standard output, and whoever looks on. */
import { PosternError } from '../base/problem.ts'
import { now } from '../io/clock.ts'
import { type JsonLog, openJsonLog } from '../io/log.ts'
import type { LogFile } from '../mta/config.ts'
import { factsOf, type MtaEvent, sayEvent, severityOf } from '../mta/news.ts'
import { words } from './words.ts'

/** Lines a second about what anybody can make happen without sending a message: refusals, logins, connections. */
export const MAX_PER_SECOND = 100

/** Kinds that cost a stranger nothing. */
const CHEAP: ReadonlySet<MtaEvent['kind']> = new Set(['refused', 'login', 'connected', 'turned-away'])

/** Files that are open for lines; made whole before they replace others. */
export type LogFiles = readonly { readonly level: number; readonly log: JsonLog }[]

export interface MtaLogOptions {
  readonly host: string
  /** JSON lines on standard output, too. */
  readonly stdout?: boolean
  /** Whoever looks on. */
  readonly look?: (event: MtaEvent) => void
}

export class MtaLog {
  readonly #look: (event: MtaEvent) => void
  readonly #stdout: JsonLog | undefined
  #files: LogFiles = []
  #lostBefore = 0
  #second = 0
  #told = 0
  /** Events of this second that were too many. */
  #left = 0
  #leftInAll = 0

  constructor({ host, stdout = false, look = () => {} }: MtaLogOptions) {
    this.#look = look
    this.#stdout = stdout ? openJsonLog('stdout', { host }) : undefined
  }

  tell(event: MtaEvent): void {
    if (CHEAP.has(event.kind) && this.#isTooMany()) return
    this.#look(event)
    const severity = severityOf(event)
    const files = this.#files.filter(({ level }) => severity <= level)
    // Words are made only where they go somewhere.
    if (files.length === 0 && !this.#stdout) return
    const [line, facts] = [sayEvent(event), factsOf(event)]
    if (severity < DEBUGGING) this.#stdout?.write(severity, line, facts)
    for (const { log } of files) log.write(severity, line, facts)
  }

  #isTooMany(): boolean {
    const second = Math.floor(now() / 1_000)
    if (second !== this.#second) {
      const left = this.#left
      this.#second = second
      this.#told = 0
      this.#left = 0
      if (left > 0)
        this.tell({ kind: 'note', what: `${left} refusals, logins or connections more are not told: too many at once` })
    }
    if (++this.#told <= MAX_PER_SECOND) return false
    this.#left++
    this.#leftInAll++
    return true
  }

  /** Lines that nobody took in time, or that were too many. */
  get lost(): number {
    return this.#leftInAll + this.#lostBefore + this.#lostNow + (this.#stdout?.lost ?? 0)
  }

  get #lostNow(): number {
    return this.#files.reduce((sum, { log }) => sum + log.lost, 0)
  }

  /** From now on lines go there; the files before are closed, so that they may be moved away. */
  adopt(files: LogFiles): void {
    const old = this.#files
    this.#lostBefore += this.#lostNow
    this.#files = files
    void closeLogFiles(old)
  }

  async close(): Promise<void> {
    await Promise.all([closeLogFiles(this.#files), this.#stdout?.close()])
  }
}

const DEBUGGING = 7

/** Opens what a line names, a path made whole; a `PosternError` says why it cannot be. */
export function openLogFile(path: string, { level }: LogFile, host: string): LogFiles[number] {
  try {
    return { level, log: openJsonLog(path, { host }) }
  } catch (cause) {
    throw new PosternError('POSTERN_CANNOT_LOG', `cannot write to ${path}: ${words(cause)}`, {
      side: 'us',
      retry: 'never',
      cause,
    })
  }
}

export async function closeLogFiles(files: LogFiles): Promise<void> {
  await Promise.all(files.map(({ log }) => log.close()))
}
