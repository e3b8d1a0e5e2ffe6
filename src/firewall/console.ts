import { show as showBytes } from '../base/bytes.ts'
import { cite, formatDiagnostic } from '../base/problem.ts'
import { help } from '../config/help.ts'
import { parseLine } from '../config/parse.ts'
import { show } from '../config/show.ts'
import { FIREWALL } from './commands.ts'
import type { FirewallConfig } from './config.ts'
import type { Altered } from './verdict.ts'

/** What a console can be asked to show besides the configuration. */
export interface ConsoleView {
  readonly connections: () => readonly string[]
  readonly altered: () => readonly Altered[]
}

/** What a typed line answers, and the configuration from now on if it changed it. */
export interface Typed {
  readonly answer: readonly string[]
  readonly config?: FirewallConfig
  readonly wrong: boolean
}

type Show = (config: FirewallConfig, view: ConsoleView) => readonly string[]

const lines = (config: FirewallConfig): readonly string[] => show(FIREWALL, config).trimEnd().split('\n')
const startingWith =
  (pattern: RegExp): Show =>
  config =>
    lines(config).filter(line => pattern.test(line))

/** `show …`: what it shows, and the words for `?`. */
const SHOWS: readonly (readonly [name: string, what: string, show: Show])[] = [
  ['running-config', 'the configuration in force', lines],
  ['fixup', 'which protocols are inspected', startingWith(/^(no )?fixup /)],
  ['nameif', 'interfaces and their security levels', startingWith(/^nameif /)],
  ['access-list', 'access lists', startingWith(/^access-list /)],
  ['static', 'static translations', startingWith(/^static /)],
  ['conn', 'connections that pass, and what inspects them', (_config, view) => view.connections()],
  [
    'explain',
    'what was altered, by which line, and what would change it',
    (_config, view) => explained(view.altered()),
  ],
]

/**
 * A line typed at the firewall: `show …`, `?`, or a command of its configuration. Command words may be shortened as long
 * as they are clear.
 */
export function type(config: FirewallConfig, line: string, view: ConsoleView, lineNumber = 1): Typed {
  const said = line.trim()
  if (said.endsWith('?')) return { answer: helpFor(said.slice(0, -1)), wrong: false }
  const words = said.split(/\s+/)
  if (words[0] !== undefined && words[0].length >= 2 && 'show'.startsWith(words[0])) {
    return answerShow(config, words.slice(1).join(' '), view)
  }
  const options = { file: 'console', lineNumber, abbreviations: true }
  const { config: next, problems } = parseLine(FIREWALL, config, said, options)
  const wrong = problems.some(({ severity }) => severity === 'error')
  return { answer: problems.map(formatDiagnostic), wrong, ...(wrong ? {} : { config: next }) }
}

function answerShow(config: FirewallConfig, what: string, view: ConsoleView): Typed {
  const found = SHOWS.filter(([name]) => what !== '' && name.startsWith(what))
  const [only] = found
  if (only && found.length === 1) return { answer: only[2](config, view), wrong: false }
  const names = SHOWS.map(([name]) => name).join(', ')
  return { answer: [`error: "show ${what}" is not known`, `   known: ${names}`], wrong: true }
}

function helpFor(typed: string): readonly string[] {
  const shows = SHOWS.map(([name, what]) => `${name.padEnd(20)} ${what}`)
  if (/^\s*sh(o|ow)?\s+$/.test(typed)) return shows
  const commands = help(FIREWALL, typed)
  return typed.trim() === '' ? [`${'show'.padEnd(20)} look at something`, ...commands] : commands
}

function explained(altered: readonly Altered[]): readonly string[] {
  if (altered.length === 0) return ['nothing was altered']
  return altered.flatMap(({ crossing: { from, to }, explanation: { what, subject, before, after, because } }) => [
    `${what} ${subject}`.trim().concat(` from ${from.name} to ${to.name}`),
    `   before  ${showBytes(before)}`,
    `   after   ${showBytes(after)}`,
    `   by      ${cite(because.cause.at)}: ${because.cause.command} (${because.reason})`,
    `   cure    ${because.cause.cure}`,
  ])
}
