/** JSON lines, as log shippers read them. */
import { accessSync, constants, existsSync } from 'node:fs'
import { dirname } from 'node:path'
import { destination, pino } from 'pino'
import { inTime, MAX_BACKLOG } from './syslog.ts'

export interface JsonLog {
  /** `level` is a severity of RFC 5424 §6.2.1. */
  write(level: number, message: string, facts: Readonly<Record<string, unknown>>): void
  readonly lost: number
  /** Kept once what was written is out, or nobody takes it in time. */
  close(): Promise<void>
}

/** By severity, the worst first. */
const LEVELS = ['fatal', 'fatal', 'fatal', 'error', 'warn', 'info', 'info', 'debug'] as const

/** Appends to a file, or writes to standard output. Throws where the file cannot be written. */
export function openJsonLog(to: string | 'stdout', base: Readonly<Record<string, unknown>>): JsonLog {
  if (to !== 'stdout') accessSync(existsSync(to) ? to : dirname(to), constants.W_OK)
  const stream = destination({
    dest: to === 'stdout' ? 1 : to,
    append: true,
    mode: 0o640,
    sync: false,
    // What nobody takes is dropped, and never waited for.
    maxLength: MAX_BACKLOG,
  })
  let lost = 0
  stream.on('drop', () => {
    lost++
  })
  stream.on('error', () => {
    lost++
  })
  const formatters = { level: (label: string) => ({ level: label }) }
  const timestamp = (): string => `,"time":"${new Date().toISOString()}"`
  const logger = pino({ base: { ...base }, level: 'debug', formatters, timestamp, messageKey: 'message' }, stream)
  return {
    write: (level, message, facts) => logger[LEVELS[level] ?? 'info'](facts, message),
    get lost() {
      return lost
    },
    close: () =>
      inTime(
        new Promise<void>(resolve => {
          stream.once('close', () => resolve())
          stream.end()
        }),
      ),
  }
}
