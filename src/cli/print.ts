import { styleText } from 'node:util'
import { formatDiagnostic, PosternError } from '../base/problem.ts'
import { ConfigurationError } from '../io/files.ts'
import type { Ending, Line, Step } from '../lab/story.ts'

/** How a command ends: 0 all is well, 1 something expected did not hold, 2 it was asked wrongly or cannot be done. */
export const EXIT = { ok: 0, failed: 1, misuse: 2 } as const

const STYLES = { head: 'bold', quiet: 'dim', bad: 'yellow', good: 'green' } as const

/** Colour where a person looks on a terminal that knows it; `NO_COLOR` is respected. */
export function styled(text: string, how: keyof typeof STYLES | 'red' | undefined): string {
  if (how === undefined || text === '') return text
  return styleText(how === 'red' ? 'red' : STYLES[how], text, { stream: process.stdout })
}

export function print(text = ''): void {
  process.stdout.write(`${text}\n`)
}

export function complain(text: string): void {
  tell()
  process.stderr.write(`${text}\n`)
}

let untold = 0
/** What is said in this turn of the loop leaves in one piece at its end, or with the process. */
let told = ''

function tell(): void {
  if (told === '') return
  const text = told
  told = ''
  process.stderr.write(text)
}

process.on('exit', tell)

/** Says what happened, as long as somebody reads it: what peers cause must not fill our memory. */
export function log(text: string): void {
  if (process.stderr.writableNeedDrain || told.length >= MAX_TOLD) {
    untold++
    return
  }
  if (told === '') setImmediate(tell)
  if (untold > 0) told += `(${untold} lines were left out: nobody read them in time)\n`
  untold = 0
  told += `${text}\n`
}

/** Characters of one turn's lines. */
const MAX_TOLD = 1_000_000

export function printLine({ text, how }: Line): void {
  print(text === '' ? '' : `   ${styled(text, how)}`)
}

export function printStep({ step, title, lines, expectations }: Step): void {
  print()
  print(styled(`${step}. ${title}`, 'head'))
  print()
  for (const line of lines) printLine(line)
  print()
  for (const { name, held, found } of expectations) {
    const mark = held ? styled('ok    ', 'good') : styled('FAILED', 'red')
    print(`   ${mark} ${name}${held ? '' : `\n          found: ${found}`}`)
  }
}

export function printEnding({ story, held, failed }: Ending, steps: readonly Step[]): void {
  print()
  const total = held + failed
  if (failed === 0) {
    print(styled(`${story}: all ${total} expectations held.`, 'good'))
    return
  }
  print(styled(`${story}: ${failed} of ${total} expectations did not hold:`, 'red'))
  for (const { step, expectations } of steps) {
    for (const { name, held: did, found } of expectations) if (!did) print(`   step ${step}: ${name}; found: ${found}`)
  }
}

/** What went wrong, in words for the person who asked; a stack only for a mistake of ours. */
export function explainFailure(cause: unknown): string {
  if (cause instanceof ConfigurationError) return cause.problems.map(formatDiagnostic).join('\n')
  if (cause instanceof PosternError) return `error: ${cause.message}`
  const stack = cause instanceof Error ? (cause.stack ?? cause.message) : String(cause)
  return `error: this is a mistake in Postern; please report it\n${stack}`
}

/** The exit status that goes with it. */
export function statusOf(cause: unknown): number {
  return cause instanceof PosternError ? EXIT.misuse : EXIT.failed
}
