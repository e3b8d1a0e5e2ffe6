import { lower } from '../base/bytes.ts'
import type { Grammar, Mode } from './grammar.ts'
import { followers, mayEnd, starts, type Thread, type Walk, walk } from './match.ts'
import { isNo } from './parse.ts'
import { type Pattern, patternsOf, type Step } from './pattern.ts'
import { refuseWord, shown } from './refusal.ts'
import { type Line, readLines } from './text.ts'

/**
 * What may come next, one line each, as a Cisco console answers `?`: `smtp   Inspect SMTP on these ports`.
 *
 * After a blank the next words are meant, else the word being typed; `<cr>` says that the line may end here. Abbreviations
 * are understood. Where the words before fit no command, the one line says so: `% unknown command "fixpu" (…)`.
 */
export function help<C>(grammar: Grammar<C>, typed: string, mode?: Mode<C>): readonly string[] {
  const ahead = lookAhead(grammar, typed.replace(/\?$/, ''), mode)
  if ('complaint' in ahead) return ahead.complaint
  const { last, threads } = ahead
  const isPossible = ({ step, word }: Choice): boolean => step?.kind === 'argument' || word.startsWith(lower(last))
  const lines = new Map(
    choices(grammar, ahead)
      .filter(isPossible)
      .map(({ word, help }) => [word, help]),
  )
  if (lines.size === 0 && last !== '') {
    // With a blank behind it the word is whole, and somebody must say what is wrong with it.
    const whole = lookAhead(grammar, `${typed.replace(/\?$/, '')} `, mode)
    return 'complaint' in whole ? whole.complaint : []
  }
  const width = Math.max(0, ...Array.from(lines.keys(), word => word.length))
  const out = Array.from(lines, ([word, help]) => `${word.padEnd(width)}   ${help}`)
  if (last === '' && threads.some(mayEnd)) out.push('<cr>')
  return out
}

/** The words that the last, perhaps unfinished, word of `typed` may become; each of them leads on. */
export function complete<C>(grammar: Grammar<C>, typed: string, mode?: Mode<C>): readonly string[] {
  const ahead = lookAhead(grammar, typed, mode)
  if ('complaint' in ahead) return []
  const words = choices(grammar, ahead).flatMap(({ word, step }) => {
    if (step?.kind !== 'argument') return [word]
    const [part] = step.parts
    return step.parts.length === 1 && part?.kind === 'placeholder' ? (part.argument.words ?? []) : []
  })
  return [...new Set(words)].filter(word => lower(word).startsWith(lower(ahead.last)))
}

/** Where one stands in a half-typed line. */
interface Ahead<C> {
  readonly threads: readonly Thread<C>[]
  /** The word being typed; empty after a blank. */
  readonly last: string
  /** Whether this is the first word, so that `no` may come. */
  readonly isFirst: boolean
}

function lookAhead<C>(
  grammar: Grammar<C>,
  typed: string,
  mode?: Mode<C>,
): Ahead<C> | { readonly complaint: readonly string[] } {
  const { doing, undoing } = patternsOf(grammar, mode)
  const { lines, problems } = readLines(typed, 'console')
  const [problem] = problems
  if (problem) return { complaint: [`% ${problem.message}`] }
  const [line, more] = lines
  // Nothing is offered inside a comment, and nothing for two lines at once.
  if (more || (!line && typed.trim() !== '')) return { complaint: [] }
  if (!line) return { threads: starts(doing), last: '', isFirst: true }

  const isOpen = !/[ \t]$/.test(typed)
  const last = isOpen ? line.words.at(-1) : undefined
  if (last?.quoted) return { complaint: [] }
  const whole = line.words.length - (last ? 1 : 0)
  if (whole === 0) return { threads: starts(doing), last: last?.text ?? '', isFirst: true }
  const from = isNo(line, true) ? 1 : 0
  const found = walk(from === 1 ? undoing : doing, line, { from, to: whole, abbreviations: true })
  if (found.taken < whole - from) return { complaint: [complain(found, line, from)] }
  return { threads: found.threads, last: last?.text ?? '', isFirst: false }
}

function complain<C>(found: Walk<C>, line: Line, from: number): string {
  const word = line.words[from + found.taken]
  const { message, hint } = word ? refuseWord(found, line, word) : { message: 'this fits no command', hint: undefined }
  return hint === undefined ? `% ${message}` : `% ${message} (${hint})`
}

interface Choice {
  readonly word: string
  readonly help: string
  /** `undefined` for `no`, which is no command's own. */
  readonly step: Step | undefined
}

/** What may come next, each once, in the order of the table. */
function choices<C>(grammar: Grammar<C>, { threads, isFirst }: Ahead<C>): readonly Choice[] {
  const grouped = new Map<string, { step: Step; readers: { pattern: Pattern<C>; index: number }[] }>()
  for (const thread of threads) {
    for (const index of nextOf(thread)) {
      const step = thread.pattern.steps[index]
      if (!step) continue
      const word = shown(step)
      const group = grouped.get(word) ?? { step, readers: [] }
      group.readers.push({ pattern: thread.pattern, index })
      grouped.set(word, group)
    }
  }
  const out: Choice[] = Array.from(grouped, ([word, { step, readers }]) => ({
    word,
    step,
    help: explain(step, readers),
  }))
  if (isFirst && grammar.commands.some(({ remove }) => remove)) {
    out.push({ word: 'no', help: 'Undo a command', step: undefined })
  }
  return out
}

/** As `followers`; a placeholder that takes the rest of the line may take one word more. */
function nextOf<C>(thread: Thread<C>): readonly number[] {
  const { pattern, step } = thread
  const last = step === undefined ? undefined : pattern.steps[step]
  return step !== undefined && last?.kind === 'argument' && last.rest ? [step] : followers(thread)
}

function explain<C>(step: Step, readers: readonly { pattern: Pattern<C>; index: number }[]): string {
  const specs = [...new Set(readers.map(({ pattern }) => pattern.spec))]
  const [spec] = specs
  const own = specs.map(each => ownWords(step, each.words)).find(each => each !== undefined)
  if (own !== undefined) return own
  if (step.kind === 'argument') {
    const [part, other] = step.parts.flatMap(each => (each.kind === 'placeholder' ? [each] : []))
    return part && !other && step.parts.length === 1 ? part.argument.help : (spec?.help ?? '')
  }
  if (specs.length === 1) return spec?.help ?? ''
  // A word that several commands share is explained by what tells them apart.
  const after = readers.flatMap(({ pattern, index }) => (pattern.follow[index] ?? []).map(each => pattern.steps[each]))
  const words = [...new Set(after.flatMap(each => (each ? [shown(each)] : [])))]
  return words.length > 8 ? `${words.slice(0, 8).join(', ')}, …` : words.join(', ')
}

function ownWords(step: Step, words: Readonly<Record<string, string>> | undefined): string | undefined {
  if (!words) return undefined
  const names =
    step.kind === 'word' ? [step.word] : step.parts.flatMap(part => (part.kind === 'placeholder' ? [part.name] : []))
  const found = names.flatMap(name => (Object.hasOwn(words, name) ? [words[name] ?? ''] : []))
  return found.length > 0 && found.length === names.length ? found.join('; ') : undefined
}
