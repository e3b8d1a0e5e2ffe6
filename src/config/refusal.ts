import { lower } from '../base/bytes.ts'
import type { Diagnostic, SourceRef } from '../base/problem.ts'
import { followers, type Refusal, type Thread, type Walk } from './match.ts'
import { type ArgumentStep, END, type Step } from './pattern.ts'
import { endOf, type Line, type Word } from './text.ts'

const UNKNOWN_COMMAND = 'unknown command'

/** Is it a line that begins as no command does? Whoever knows words besides the commands can name them then. */
export function isUnknownCommand({ message }: Diagnostic): boolean {
  return message.startsWith(UNKNOWN_COMMAND)
}

/** What is wrong with the word at which a walk stopped, and what would be right there. */
export function refuseWord<C>({ taken, refusals, ambiguous }: Walk<C>, line: Line, word: Word): Diagnostic {
  const { text, at } = word
  const isFirst = taken === 0
  if (ambiguous.length > 0) {
    return error(at, `ambiguous ${isFirst ? 'command' : 'word'} "${text}"`, `could be: ${ambiguous.join(', ')}`)
  }
  const words = wordsOf(refusals)
  const hint = isFirst ? `known: ${listed(words)}` : expected(refusals)
  const unknown = `${isFirst ? UNKNOWN_COMMAND : 'unknown word'} "${text}"`
  if (word.quoted && words.includes(text))
    return error(at, unknown, 'a word of a command stands without quotation marks')
  const near = suggestions(text, words)
  if (near.length > 0) return error(at, unknown, `did you mean ${or(near)}?`)

  // A line's first word that does not even begin as `Cryptochecksum:<sum>` does is no such line with a mistake in it.
  const isMeant = ({ parts: [first] }: ArgumentStep): boolean =>
    !isFirst || first?.kind !== 'mark' || text.startsWith(first.text)
  const faults = refusals.filter(refusal => 'wrong' in refusal).filter(({ step }) => isMeant(step))
  const [fault] = faults
  if (!fault) {
    return words.length > 0 ? error(at, unknown, hint) : error(toEnd(at, line), `"${text}" is too much`, hint)
  }
  if (new Set(faults.map(each => each.wrong)).size > 1) return error(at, `"${text}" does not fit here`, hint)
  // Where another word would do as well, the kind's own hint would be half the truth.
  const isOnlyWay = refusals.every(each => 'wrong' in each || each.step === END)
  return error(fault.at, fault.wrong, isOnlyWay ? (fault.hint ?? hint) : hint)
}

/** The line ended where more was expected. */
export function refuseEnd<C>({ threads, taken }: Walk<C>, line: Line): Diagnostic {
  const steps = stepsAfter(threads)
  const [only] = steps
  const hint = taken === 0 ? `known: ${listed(wordsOf(steps.map(step => ({ step }))))}` : expectedSteps(steps)
  if (steps.length !== 1 || only?.kind !== 'argument') return error(endOf(line), 'the line ends too soon', hint)
  const help = only.parts.flatMap(part => (part.kind === 'placeholder' ? [part.argument.help] : []))
  return error(endOf(line), 'the line ends too soon', help.length === 1 ? `${hint}: ${help}` : hint)
}

/** The steps that may take the next word, each once. */
function stepsAfter<C>(threads: readonly Thread<C>[]): readonly Step[] {
  return [...new Set(threads.flatMap(thread => followers(thread).map(step => thread.pattern.steps[step])))].filter(
    step => step !== undefined,
  )
}

export function shown(step: Step): string {
  return step.kind === 'word' ? step.word : step.shown
}

function error(at: SourceRef, message: string, hint: string): Diagnostic {
  return { severity: 'error', message, hint, at }
}

function wordsOf(refusals: readonly { readonly step: Refusal['step'] | ArgumentStep }[]): readonly string[] {
  return [...new Set(refusals.flatMap(({ step }) => (step !== END && step.kind === 'word' ? [step.word] : [])))]
}

function expected(refusals: readonly Refusal[]): string {
  const steps = refusals.flatMap(({ step }) => (step === END ? [] : [step]))
  return expectedSteps(steps, refusals.length > steps.length)
}

function expectedSteps(steps: readonly Step[], mayEnd = false): string {
  return `expected ${or([...new Set(steps.map(shown)), ...(mayEnd ? ['the end of the line'] : [])])}`
}

const LISTED = 24

function listed(words: readonly string[]): string {
  return words.length > LISTED ? `${words.slice(0, LISTED).join(', ')}, …` : words.join(', ')
}

export function or(words: readonly string[]): string {
  const last = words.at(-1) ?? 'nothing'
  return words.length > 1 ? `${words.slice(0, -1).join(', ')} or ${last}` : last
}

/** What is too much is everything from here on. */
function toEnd(at: SourceRef, line: Line): SourceRef {
  return { ...at, length: line.at.column + line.at.length - at.column }
}

/** The words that `typed` was probably meant to be: the nearest by typing mistakes, else those it abbreviates. */
export function suggestions(typed: string, words: readonly string[]): readonly string[] {
  const word = lower(typed)
  const near = words
    .map(each => ({ each, distance: distance(word, lower(each)) }))
    // In a short word two mistakes leave nothing to recognise, and in a single letter not even one.
    .filter(({ each, distance }) => distance <= mistakes(Math.min(word.length, each.length)))
  const least = Math.min(...near.map(({ distance }) => distance))
  const nearest = near.filter(({ distance }) => distance === least).map(({ each }) => each)
  const candidates = nearest.length > 0 ? nearest : words.filter(each => lower(each).startsWith(word))
  return candidates.length > 3 ? [] : candidates
}

function mistakes(length: number): number {
  return length < 2 ? 0 : length < 5 ? 1 : 2
}

/** How many letters were left out, added, replaced or swapped with their neighbour; above 2 any number above 2. */
function distance(a: string, b: string): number {
  if (Math.abs(a.length - b.length) > 2) return 3
  let before: readonly number[] = []
  let row: readonly number[] = Array.from({ length: b.length + 1 }, (_, j) => j)
  for (let i = 1; i <= a.length; i++) {
    const next = [i]
    for (let j = 1; j <= b.length; j++) {
      const replaced = (row[j - 1] ?? 0) + (a[i - 1] === b[j - 1] ? 0 : 1)
      const isSwapped = i > 1 && j > 1 && a[i - 1] === b[j - 2] && a[i - 2] === b[j - 1]
      const swapped = isSwapped ? (before[j - 2] ?? 0) + 1 : replaced
      next.push(Math.min((row[j] ?? 0) + 1, (next[j - 1] ?? 0) + 1, replaced, swapped))
    }
    before = row
    row = next
  }
  return row[b.length] ?? 3
}
