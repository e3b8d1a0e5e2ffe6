import { show as showBytes } from '../base/bytes.ts'
import { cite, formatDiagnostic } from '../base/problem.ts'
import { type Duration, parseDuration } from '../base/time.ts'
import { formatTimestamp } from '../base/timestamp.ts'
import type { Mode } from '../config/grammar.ts'
import { complete as completeCommand, help } from '../config/help.ts'
import { parseLine } from '../config/parse.ts'
import { isUnknownCommand, or, suggestions } from '../config/refusal.ts'
import { show } from '../config/show.ts'
import { FIREWALL } from './commands.ts'
import { NOT_ENFORCED } from './commands-kept.ts'
import type { FirewallConfig } from './config.ts'
import { FILTERS, type Filter, filtered, readFilter } from './console-filter.ts'
import { type Altered, endsOf } from './event.ts'

/** What a console can be asked to show besides the configuration. */
export interface ConsoleView {
  readonly connections: () => readonly string[]
  readonly altered: () => readonly Altered[]
  /** What the file says; `undefined` where there is none. */
  readonly startup: () => readonly string[] | undefined
  readonly logging: () => readonly string[]
  readonly servers: () => readonly string[]
  readonly version: () => readonly string[]
}

/** What is asked of whoever runs the firewall, beyond another configuration. */
export type Act =
  | { readonly kind: 'undo' }
  | { readonly kind: 'confirm' }
  /** What is changed from now on is taken back unless it is confirmed by then. */
  | { readonly kind: 'confirm-within'; readonly wait: Duration }
  | { readonly kind: 'write' }
  | { readonly kind: 'reload' }
  | { readonly kind: 'metrics'; readonly filter: Filter | undefined }

/** What a typed line answers, and what comes of it. */
export interface Typed {
  readonly answer: readonly string[]
  /** The configuration from now on, if the line changed it. */
  readonly config?: FirewallConfig
  readonly act?: Act
  readonly wrong: boolean
  /** The mode that the next line is read in (`config-pmap`). */
  readonly mode?: ConsoleMode | undefined
}

export type ConsoleMode = Mode<FirewallConfig>

type Show = (config: FirewallConfig, view: ConsoleView) => readonly string[]

const lines = (config: FirewallConfig): readonly string[] => show(FIREWALL, config).trimEnd().split('\n')
const startingWith =
  (pattern: RegExp): Show =>
  config =>
    lines(config).filter(line => pattern.test(line))

const METRICS = 'metrics'

/** `show …`: what it shows, and the words for `?`. */
const SHOWS: readonly (readonly [name: string, what: string, show: Show])[] = [
  ['running-config', 'the configuration in force', lines],
  ['startup-config', 'the configuration of the file', (_config, view) => view.startup() ?? ['there is no file']],
  ['fixup', 'which protocols are inspected', startingWith(/^(no )?fixup /)],
  ['nameif', 'interfaces and their security levels', startingWith(/^nameif /)],
  ['access-list', 'access lists', startingWith(/^access-list /)],
  ['static', 'static translations', startingWith(/^static /)],
  ['conn', 'connections that pass, and what inspects them', (_config, view) => view.connections()],
  [
    'service-policy inspect esmtp',
    'what inspection has altered, counted',
    (config, view) => inspections(config, view.altered()),
  ],
  [
    'explain',
    'what was altered, by which line, and what would change it',
    (_config, view) => explained(view.altered()),
  ],
  ['logging', 'where messages go, and the last of them', (_config, view) => view.logging()],
  [
    'serverfarm',
    'servers, and which of them are up',
    (_config, view) => orSay(view.servers(), 'no serverfarm line: each static leads to one server'),
  ],
  ['version', 'what runs here', (_config, view) => view.version()],
  [METRICS, 'what is counted', () => []],
]

interface Word {
  /** May be shortened, like all words; where it changes something at a stroke, its first may not. */
  readonly words: string
  readonly whole?: true
  readonly what: string
  /** What the line asks for, given the words behind its own. */
  readonly act: (rest: string) => Typed
}

function orSay(lines: readonly string[], otherwise: string): readonly string[] {
  return lines.length > 0 ? lines : [otherwise]
}

const PENDING_HELP = 'a change that nobody confirms within this time is taken back: confirm within 5m'
const just = (act: Act): Typed => ({ answer: [], act, wrong: false })
const nothing = (): Typed => ({ answer: [], wrong: false })
const write = (): Typed => just({ kind: 'write' })

/** Lines that are no configuration. */
const WORDS: readonly Word[] = [
  { words: 'write memory', what: 'write the configuration in force to the file', act: write },
  { words: 'copy running-config startup-config', what: 'the same', act: write },
  { words: 'write terminal', what: 'show the configuration in force', act: nothing },
  { words: 'undo', whole: true, what: 'take the last change back', act: () => just({ kind: 'undo' }) },
  { words: 'confirm within', whole: true, what: PENDING_HELP, act: confirmWithin },
  { words: 'confirm', whole: true, what: 'keep what was changed', act: () => just({ kind: 'confirm' }) },
  {
    words: 'reload',
    whole: true,
    what: 'read the file again: all of it, or nothing',
    act: () => just({ kind: 'reload' }),
  },
  {
    words: 'help',
    what: 'what may be typed, as ? does',
    act: () => ({ answer: helpFor('', undefined), wrong: false }),
  },
  // A session copied from a PIX says these; here every line is both.
  { words: 'enable', what: 'nothing: there are no levels here', act: nothing },
  { words: 'disable', what: 'nothing: there are no levels here', act: nothing },
  { words: 'configure terminal', what: 'nothing: lines may be typed at any time', act: nothing },
  { words: 'end', whole: true, what: 'leave all modes', act: nothing },
]

/** For whoever typed what is none of them, nor a line of the configuration. */
const OWN_WORDS = 'undo, confirm within, confirm, write memory, reload, ?'

function confirmWithin(rest: string): Typed {
  const wait = parseDuration(rest)
  if (wait === undefined || wait <= 0 || wait > MAX_CONFIRM_WAIT) {
    const hint = `"${rest}" is not such a time: expected one such as 5m, of a day at most`
    return { answer: [`error: ${hint}`], wrong: true }
  }
  return just({ kind: 'confirm-within', wait })
}

export const MAX_CONFIRM_WAIT: Duration = 86_400_000

/** Words in their order, each perhaps shortened; what follows them. */
function behind(said: string, words: string, whole = false): string | undefined {
  let rest = said
  for (const [i, word] of words.split(' ').entries()) {
    const [, typed = '', more = ''] = /^(\S+)\s*(.*)$/.exec(rest) ?? []
    const least = i > 0 ? 1 : whole ? word.length : 2
    if (typed.length < least || !word.startsWith(typed.toLowerCase())) return undefined
    rest = more
  }
  return rest
}

/**
 * A line typed at the firewall: `show …`, `?`, or a command of its configuration. Command words may be shortened as long
 * as they are clear.
 */
export function type(config: FirewallConfig, line: string, view: ConsoleView, mode?: ConsoleMode): Typed {
  const said = line.trim()
  if (said === 'end') return nothing()
  return { mode, ...typeIn(config, line, view, mode) }
}

function typeIn(config: FirewallConfig, line: string, view: ConsoleView, mode: ConsoleMode | undefined): Typed {
  const said = line.trim()
  if (said === '') return nothing()
  if (said.endsWith('?')) return { answer: helpFor(line.trimStart().replace(/\?\s*$/, ''), mode), wrong: false }
  const what = behind(said, 'show')
  if (what !== undefined) return answerShow(config, what, view)
  for (const { words, whole, act } of WORDS) {
    const rest = behind(said, words, whole)
    // `enable password …` is a line of the configuration.
    if (rest === undefined || (rest !== '' && words !== 'confirm within')) continue
    return words === 'write terminal' ? { answer: lines(config), wrong: false } : act(rest)
  }
  const options = { file: 'console', abbreviations: true, mode }
  const { config: next, problems, mode: after } = parseLine(FIREWALL, config, said, options)
  const wrong = problems.some(({ severity }) => severity === 'error')
  const answer = [
    ...problems.map(formatDiagnostic),
    ...(problems.some(isUnknownCommand) && !mode ? [`   besides: ${OWN_WORDS}, show …`] : []),
  ]
  return wrong ? { answer, wrong } : { answer, wrong, mode: after, ...(next !== config && { config: next }) }
}

/** What the last word of `typed` may become, for the tab key. */
export function complete(typed: string, mode?: ConsoleMode): readonly string[] {
  const what = /^\s*sh(?:ow?)?\s+(.*)$/.exec(typed)?.[1]
  if (what !== undefined)
    return nextWords(
      SHOWS.map(([name]) => name),
      what,
    )
  const own = nextWords(['show', ...WORDS.map(({ words }) => words)], typed.trimStart())
  return [...new Set([...own, ...completeCommand(FIREWALL, typed, mode)])].sort()
}

/** Of phrases that begin as `typed` does, the word that is being typed. */
function nextWords(phrases: readonly string[], typed: string): readonly string[] {
  const before = typed.split(/\s+/).length - 1
  const fitting = phrases.filter(phrase => phrase.startsWith(typed.replace(/\s+/g, ' ')))
  return [...new Set(fitting.flatMap(phrase => phrase.split(' ')[before] ?? []))]
}

function answerShow(config: FirewallConfig, said: string, view: ConsoleView): Typed {
  const { line: what, filter, wrong } = readFilter(said)
  if (wrong !== undefined) return { answer: [`error: ${wrong}`], wrong: true }
  const found = shownBy(what)
  const [only] = found
  if (only && found.length === 1) {
    const [name, , show] = only
    if (name === METRICS) return just({ kind: 'metrics', filter })
    return { answer: filtered(show(config, view), filter), wrong: false }
  }
  const names = SHOWS.map(([name]) => name)
  const near = suggestions(what, names)
  const hint = near.length > 0 && found.length === 0 ? `did you mean ${or(near)}?` : `known: ${names.join(', ')}`
  const problem = found.length > 1 ? 'could be several things' : 'is not known'
  return { answer: [`error: "show ${what}" ${problem}`, `   ${hint}`], wrong: true }
}

function shownBy(what: string): typeof SHOWS {
  const exact = SHOWS.filter(([name]) => name === what)
  return exact.length > 0 ? exact : SHOWS.filter(([name]) => what !== '' && isShortFor(what, name))
}

/** Every word that was typed begins one of the name's, in order: `serv ins es`. */
function isShortFor(typed: string, name: string): boolean {
  const words = name.split(' ')
  const parts = typed.split(/\s+/)
  return parts.length <= words.length && parts.every((part, i) => words[i]?.startsWith(part.toLowerCase()) ?? false)
}

function helpFor(typed: string, mode: ConsoleMode | undefined): readonly string[] {
  const list = (entries: readonly (readonly [string, string])[]): readonly string[] => {
    const width = Math.max(20, ...entries.map(([name]) => name.length))
    return entries.map(([name, what]) => `${name.padEnd(width)} ${what}`)
  }
  const what = /^\s*sh(?:ow?)?\s+(.*)$/.exec(typed)?.[1]
  if (what !== undefined) {
    const begun = SHOWS.filter(([name]) => name.startsWith(what)).map(([name, help]) => [name, help] as const)
    // The whole name stands there, and a blank behind it.
    const isWhole = begun.length === 0 && shownBy(what.replace(/[\s|]+$/, '')).length === 1
    return list(isWhole ? [...FILTERS, ['<cr>', '']] : begun)
  }
  const words = WORDS.filter(({ words }) => words.startsWith(typed.trimStart())).map(
    ({ words, what }) => [words, what] as const,
  )
  const own = 'show'.startsWith(typed.trim()) ? list([['show', 'look at something'], ...words]) : list(words)
  const commands = withoutKept(help(FIREWALL, typed, mode), typed)
  // A complaint about a word that is one of ours would be wrong.
  return own.length > 0 && commands[0]?.startsWith('%') ? own : [...own, ...commands]
}

/** A list of all there is leaves out what has no effect here: whoever begins such a word is told of it. */
function withoutKept(commands: readonly string[], typed: string): readonly string[] {
  if (typed.trim() !== '') return commands
  const others = commands.filter(line => !line.endsWith(NOT_ENFORCED))
  const more = commands.length - others.length
  return [
    ...others,
    `(and ${more} of a PIX or an ASA that are kept, and not enforced here: their first letter and ? list them)`,
  ]
}

function inspections(config: FirewallConfig, altered: readonly Altered[]): readonly string[] {
  const counts = new Map<string, number>()
  for (const { explanation } of altered) {
    const { did, what, subject, because } = explanation
    const name = `${`${did} ${what} ${subject}`.trimEnd()}, by ${cite(because.cause.at)}: ${because.cause.command}`
    counts.set(name, (counts.get(name) ?? 0) + 1)
  }
  const head = `Inspect: esmtp at ${config.hostname}, of the last ${altered.length} alterations`
  return [head, ...Array.from(counts, ([name, count]) => `   ${String(count).padStart(5)}  ${name}`)]
}

function explained(altered: readonly Altered[]): readonly string[] {
  if (altered.length === 0) return ['nothing was altered']
  return altered.flatMap(({ at, connection, explanation: { what, subject, before, after, because } }) => [
    [formatTimestamp(at), what, ...(subject === '' ? [] : [subject]), 'from', endsOf(connection).join(' to ')].join(
      ' ',
    ),
    `   before  ${showBytes(before)}`,
    `   after   ${showBytes(after)}`,
    `   by      ${cite(because.cause.at)}: ${because.cause.command} (${because.reason})`,
    `   cure    ${because.cause.cure}`,
  ])
}
