import { lower } from '../base/bytes.ts'
import type { SourceRef } from '../base/problem.ts'
import type { ArgumentKind } from './grammar.ts'
import { type ArgumentStep, END, type Pattern, type Step, type WordStep } from './pattern.ts'
import { type Line, restOf, type Word } from './text.ts'

/** One way to read the words so far: a pattern, the step that took the last word, and what was bound on the way. */
export interface Thread<C> {
  readonly pattern: Pattern<C>
  /** Index of the step that took the last word; `undefined` before the first. */
  readonly step: number | undefined
  readonly bound: Bound | undefined
  /** How many words were words of the command: the reading with more of them means the line more exactly. */
  readonly exact: number
}

/** What a word was taken for; a list that threads share, newest first. */
export interface Bound {
  readonly name: string
  readonly kind: ArgumentKind | 'word' | 'choice'
  readonly value: unknown
  readonly text: string
  readonly at: SourceRef
  readonly before: Bound | undefined
}

/** A step that did not take the word, or `END` where the line had to end. */
export type Refusal =
  | { readonly step: typeof END | WordStep }
  | { readonly step: ArgumentStep; readonly wrong: string; readonly hint?: string; readonly at: SourceRef }

/** How far the words lead, following all patterns at once. */
export interface Walk<C> {
  /** How many words were taken. */
  readonly taken: number
  /** The readings of those words, in the order of the table. */
  readonly threads: readonly Thread<C>[]
  /** Why the next word was not taken; empty where all were. */
  readonly refusals: readonly Refusal[]
  /** The words of commands which an abbreviation could have meant. */
  readonly ambiguous: readonly string[]
}

export interface WalkOptions {
  /** Where in the line to begin: 1 after `no`. */
  readonly from?: number
  /** How many words of the line to read. */
  readonly to?: number
  /** Whether words of commands may be abbreviated, and written in upper case. */
  readonly abbreviations?: boolean
  /** Names that stand for other words where a placeholder takes them. */
  readonly names?: ReadonlyMap<string, string> | undefined
}

/** Every word is shown to every step that may take it, once: the cost is words × steps at most. */
export function walk<C>(patterns: readonly Pattern<C>[], line: Line, options: WalkOptions = {}): Walk<C> {
  const { from = 0, to = line.words.length, abbreviations = false, names } = options
  let threads: readonly Thread<C>[] = patterns.map(pattern => ({
    pattern,
    step: undefined,
    bound: undefined,
    exact: 0,
  }))
  for (let index = from; index < to; index++) {
    const word = line.words[index]
    if (!word) break
    const plain = advance(threads, line, index, { command: word.quoted ? undefined : word.text, names })
    if (plain.threads.length > 0) {
      threads = plain.threads
      continue
    }
    const meant = abbreviations && !word.quoted ? abbreviated(word.text, plain.refusals) : []
    const [only] = meant
    if (only === undefined || meant.length > 1) {
      return { taken: index - from, threads, refusals: plain.refusals, ambiguous: meant }
    }
    threads = advance(threads, line, index, { command: only, names }).threads
  }
  return { taken: to - from, threads, refusals: [], ambiguous: [] }
}

/** Every pattern, before its first word. */
export function starts<C>(patterns: readonly Pattern<C>[]): readonly Thread<C>[] {
  return patterns.map(pattern => ({ pattern, step: undefined, bound: undefined, exact: 0 }))
}

/** Moves every thread over one word, which as a word of a command reads `command`. */
function advance<C>(
  threads: readonly Thread<C>[],
  line: Line,
  index: number,
  { command, names }: { readonly command: string | undefined; readonly names: WalkOptions['names'] },
): { readonly threads: readonly Thread<C>[]; readonly refusals: readonly Refusal[] } {
  const next: Thread<C>[] = []
  const refusals: Refusal[] = []
  // A step belongs to one pattern. Of two threads that reach it the first counts, so threads never multiply.
  const seen = new Set<Step>()
  for (const thread of threads) {
    if (takesRest(thread)) {
      next.push(thread)
      continue
    }
    for (const following of followers(thread)) {
      const step = thread.pattern.steps[following]
      if (!step) {
        refusals.push({ step: END })
        continue
      }
      if (seen.has(step)) continue
      seen.add(step)
      const taken =
        step.kind === 'word' ? takeWord(thread, step, command, line, index) : take(thread, step, line, index, names)
      if ('step' in taken) refusals.push(taken)
      else next.push({ pattern: thread.pattern, step: following, ...taken })
    }
  }
  return { threads: next, refusals }
}

/** The steps that may come after this thread; `END` where it may end. */
export function followers<C>({ pattern, step }: Thread<C>): readonly number[] {
  return step === undefined ? pattern.first : (pattern.follow[step] ?? [])
}

function takesRest<C>({ pattern, step }: Thread<C>): boolean {
  const last = step === undefined ? undefined : pattern.steps[step]
  return last?.kind === 'argument' && last.rest
}

type Taken = { readonly bound: Bound | undefined; readonly exact: number }

function takeWord<C>(
  { bound, exact }: Thread<C>,
  step: WordStep,
  command: string | undefined,
  { words }: Line,
  index: number,
): Taken | Refusal {
  const word = words[index]
  if (!word || command !== step.word) return { step }
  const name = step.as ?? step.word
  const kind = step.as === undefined ? 'word' : 'choice'
  return {
    bound: { name, kind, value: step.word, text: step.word, at: word.at, before: bound },
    exact: exact + 1,
  }
}

function take<C>(
  { bound, exact }: Thread<C>,
  step: ArgumentStep,
  line: Line,
  index: number,
  names: WalkOptions['names'],
): Taken | Refusal {
  const word = step.rest ? restOf(line, index) : line.words[index]
  if (!word) return { step, wrong: 'a word is missing', at: line.at }
  const pieces = step.parts.length === 1 ? [word] : split(line.words[index] ?? word, step)
  if (!pieces) {
    const hint = `expected ${step.shown}, in one word`
    return { step, wrong: `"${word.text}" does not have the form ${step.shown}`, hint, at: word.at }
  }
  const placeholders = step.parts.filter(part => part.kind === 'placeholder')
  let chain = bound
  for (const [i, { name, argument }] of placeholders.entries()) {
    const piece = pieces[i] ?? word
    const reading = argument.read((argument.named && names?.get(piece.text)) || piece.text)
    if ('wrong' in reading) return { step, ...reading, at: piece.at }
    chain = { name, kind: argument, value: reading.value, text: piece.text, at: piece.at, before: chain }
  }
  return { bound: chain, exact }
}

/**
 * Cuts a word such as `(inside,vpn)` at the marks of its step: one piece per placeholder.
 *
 * A placeholder ends where the next mark first stands; the last takes all that is left. So there is one way to cut.
 */
function split(word: Word | { text: string; at: SourceRef }, { parts }: ArgumentStep): readonly Piece[] | undefined {
  const pieces: Piece[] = []
  let at = 0
  for (const [i, part] of parts.entries()) {
    if (part.kind === 'mark') {
      if (!word.text.startsWith(part.text, at)) return undefined
      at += part.text.length
      continue
    }
    const mark = parts[i + 1]
    const isLast = i + 2 >= parts.length
    const end =
      mark?.kind !== 'mark'
        ? word.text.length
        : isLast
          ? word.text.length - mark.text.length
          : word.text.indexOf(mark.text, at)
    if (end < at) return undefined
    pieces.push({ text: word.text.slice(at, end), at: pieceAt(word, at, end) })
    at = end
  }
  return at === word.text.length ? pieces : undefined
}

interface Piece {
  readonly text: string
  readonly at: SourceRef
}

function pieceAt(word: Piece, from: number, to: number): SourceRef {
  // A quoted word is longer in the file than its text: it is pointed at whole.
  if (word.at.length !== word.text.length) return word.at
  return { ...word.at, column: word.at.column + from, length: Math.max(1, to - from) }
}

function abbreviated(typed: string, refusals: readonly Refusal[]): readonly string[] {
  const start = lower(typed)
  const words = refusals.map(({ step }) => (step !== END && step.kind === 'word' ? step.word : ''))
  const meant = [...new Set(words)].filter(word => word !== '' && lower(word).startsWith(start))
  const exact = meant.filter(word => lower(word) === start)
  return exact.length > 0 ? exact : meant
}

/** Whether the line may end after what this thread has read. */
export function mayEnd<C>(thread: Thread<C>): boolean {
  return takesRest(thread) || followers(thread).includes(END)
}
