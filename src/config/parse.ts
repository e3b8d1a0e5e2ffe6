import { lower } from '../base/bytes.ts'
import type { Diagnostic, SourceRef } from '../base/problem.ts'
import { argumentsOf } from './arguments.ts'
import { type Arguments, type Effect, type Grammar, isObjection, type Mode } from './grammar.ts'
import { mayEnd, type Thread, type Walk, type WalkOptions, walk } from './match.ts'
import { type Pattern, patternsOf } from './pattern.ts'
import { refuseEnd, refuseWord } from './refusal.ts'
import { type Line, readLines } from './text.ts'

export interface Parsed<C> {
  readonly config: C
  /** Everything that is wrong, in the order of the file. An error leaves its line without effect. */
  readonly problems: readonly Diagnostic[]
  /** The mode one is in behind the last line. */
  readonly mode?: Mode<C> | undefined
}

/**
 * Reads a whole file, beginning from the grammar's empty configuration, and checks the outcome as a whole.
 *
 * Total: any text gives a configuration and the list of all problems, never only the first.
 */
export function parse<C>(grammar: Grammar<C>, text: string, file: string): Parsed<C> {
  const { config, problems } = run(grammar, { config: grammar.empty, text, file })
  return { config, problems: inOrder([...problems, ...(grammar.check?.(config) ?? [])]) }
}

export interface LineOptions<C = unknown> {
  /** What the diagnostics call the place; `console` where nothing is said. */
  readonly file?: string
  readonly lineNumber?: number
  /** Takes `fix prot smtp 25` for `fixup protocol smtp 25`, and words of commands in upper case, as Cisco consoles do. */
  readonly abbreviations?: boolean
  /** The mode the line before left one in. */
  readonly mode?: Mode<C> | undefined
}

/** Reads one typed line. The grammar's `check` of the whole is left to the caller: a person may be half-way. */
export function parseLine<C>(grammar: Grammar<C>, config: C, line: string, options: LineOptions<C> = {}): Parsed<C> {
  const { file = 'console', lineNumber, abbreviations, mode } = options
  return run(grammar, { config, text: line, file, lineNumber, abbreviations, mode })
}

interface Run<C> {
  readonly config: C
  readonly text: string
  readonly file: string
  readonly lineNumber?: number | undefined
  readonly abbreviations?: boolean | undefined
  readonly mode?: Mode<C> | undefined
}

function run<C>(
  grammar: Grammar<C>,
  { config: start, text, file, lineNumber, abbreviations = false, mode: begun }: Run<C>,
): Parsed<C> {
  const { lines, problems: unread } = readLines(text, file, lineNumber)
  const problems: Diagnostic[] = [...unread]
  let config = start
  let mode = begun
  /** Where a line began that is wrong: it may have opened the mode that those indented below it stand in. */
  let wrongAt: number | undefined
  for (const line of lines) {
    if (wrongAt !== undefined && line.at.column <= wrongAt) wrongAt = undefined
    if (mode?.spec.block && line.at.column > 1) {
      config = mode.spec.block(config, mode.args, line.raw.trimEnd())
      continue
    }
    if (mode && leaves(line)) {
      mode = mode.outer
      continue
    }
    const options = { abbreviations, names: grammar.names?.(config) }
    // In a text a line that is not indented is of no mode, if there is such a command; whoever types does not indent.
    const outermost = mode && !begun && line.at.column === 1 ? understand(grammar, line, options) : undefined
    const read = outermost && !('message' in outermost) ? outermost : understand(grammar, line, { ...options, mode })
    if ('message' in read) {
      const isOrphan = wrongAt !== undefined && read.at?.column === line.at.column
      if (!isOrphan) problems.push(read)
      wrongAt ??= line.at.column
      continue
    }
    const { spec } = read.thread.pattern
    mode = around(mode, spec.mode)
    const args = argumentsOf(read.thread, line.at, mode?.args)
    const outcome = settle(config, carryOut(read, config, args, line.at), line.at)
    config = outcome.config
    for (const problem of outcome.problems) problems.push(problem)
    const isRefused = outcome.problems.some(({ severity }) => severity === 'error')
    if (isRefused) wrongAt ??= line.at.column
    if (!read.isNo && !isRefused && (spec.enters !== undefined || spec.block)) mode = { spec, args, outer: mode }
  }
  return { config, problems: inOrder(problems), mode }
}

/** `exit`, which leaves the innermost mode. */
function leaves({ words }: Line): boolean {
  return words.length === 1 && words[0]?.text === 'exit'
}

/** The mode that a command stands in: one of no mode leaves them all, as on a Cisco. */
function around<C>(mode: Mode<C> | undefined, wanted: string | undefined): Mode<C> | undefined {
  let at = mode
  while (at && at.spec.enters !== wanted) at = at.outer
  return wanted === undefined ? undefined : at
}

/** A line that fits a command. */
export interface Understood<C> {
  readonly thread: Thread<C>
  readonly isNo: boolean
}

/** The command that a line gives, or why it gives none. */
export function understand<C>(
  grammar: Grammar<C>,
  line: Line,
  {
    abbreviations = false,
    to = line.words.length,
    mode,
    names,
  }: Omit<WalkOptions, 'from'> & Pick<LineOptions<C>, 'mode'> = {},
): Understood<C> | Diagnostic {
  const { doing, undoing, lasting } = patternsOf(grammar, mode)
  if (!isNo(line, abbreviations)) return fit(doing, line, { abbreviations, to, names, from: 0 }, false)
  const read = fit(undoing, line, { abbreviations, to, names, from: 1 }, true)
  const kept = 'message' in read ? fit(lasting, line, { abbreviations, to, names, from: 1 }, true) : read
  if (!('message' in read) || 'message' in kept) return read
  const { syntax } = kept.thread.pattern.spec
  const message = 'this command has no "no" form'
  return { severity: 'error', message, hint: `to change it, give it anew: ${syntax}`, at: line.at }
}

/** Whether the line undoes something. */
export function isNo({ words: [first] }: Line, abbreviations: boolean): boolean {
  return first !== undefined && !first.quoted && (abbreviations ? lower(first.text) : first.text) === 'no'
}

function fit<C>(
  patterns: readonly Pattern<C>[],
  line: Line,
  options: WalkOptions & { readonly from: number; readonly to: number },
  isNo: boolean,
): Understood<C> | Diagnostic {
  const found = walk(patterns, line, options)
  const stopped = line.words[options.from + found.taken]
  if (stopped && options.from + found.taken < options.to) return refuseWord(found, line, stopped)
  const thread = best(found)
  return thread ? { thread, isNo } : refuseEnd(found, line)
}

/** Of the readings that are whole, the one with the most words of the command; of equals, the table's first. */
function best<C>({ threads }: Walk<C>): Thread<C> | undefined {
  let found: Thread<C> | undefined
  for (const thread of threads) {
    if (mayEnd(thread) && thread.exact > (found?.exact ?? -1)) found = thread
  }
  return found
}

function carryOut<C>({ thread, isNo }: Understood<C>, config: C, args: Arguments, at: SourceRef): Effect<C> {
  const { spec } = thread.pattern
  return isNo && spec.remove ? spec.remove(config, args, at) : spec.apply(config, args, at)
}

/** A line with an error changes nothing, whatever its command made of it. */
function settle<C>(before: C, effect: Effect<C>, at: SourceRef): Parsed<C> {
  if (!isObjection(effect)) return { config: effect, problems: [] }
  const problems = effect.problems.map(problem => (problem.at ? problem : { ...problem, at }))
  const isRefused = problems.some(({ severity }) => severity === 'error')
  return { config: isRefused ? before : (effect.config ?? before), problems }
}

function inOrder(problems: readonly Diagnostic[]): readonly Diagnostic[] {
  const lineOf = ({ at }: Diagnostic): number => at?.line ?? Number.MAX_SAFE_INTEGER
  return problems.toSorted((a, b) => lineOf(a) - lineOf(b))
}
