import { COMMON_KINDS } from './argument.ts'
import type { ArgumentKind, CommandSpec, Grammar, Mode } from './grammar.ts'

/**
 * A syntax line, compiled: steps that take one word each, and which steps may follow which.
 *
 * It is the position automaton of the syntax (Glushkov). Following all of a pattern's steps at once costs at most one look
 * per step and word, so optional parts and choices never make the parser go back.
 */
export interface Pattern<C> {
  readonly spec: CommandSpec<C>
  readonly steps: readonly Step[]
  /** Indexes into `steps`, what was written first in front. */
  readonly first: readonly number[]
  /** For each step, the steps that may follow; `END` where the line may end. */
  readonly follow: readonly (readonly number[])[]
  /**
   * Every name that the command may ask for, whether in this syntax or in that of its other form. Where a word and a
   * placeholder share a name, it is the placeholder's.
   */
  readonly names: ReadonlyMap<string, 'placeholder' | 'word'>
}

export const END = -1

export type Step = WordStep | ArgumentStep

/** A word of the command. */
export interface WordStep {
  readonly kind: 'word'
  readonly word: string
  /** In `<action:permit|deny>`, the name whose value the word is. */
  readonly as?: string
}

/** A word with one placeholder, or several: `<ip>`, `(<real>,<mapped>)`. */
export interface ArgumentStep {
  readonly kind: 'argument'
  readonly parts: readonly Part[]
  /** Takes the rest of the line. */
  readonly rest: boolean
  /** As it is shown to people: without kinds. */
  readonly shown: string
}

export type Part =
  | { readonly kind: 'mark'; readonly text: string }
  | { readonly kind: 'placeholder'; readonly name: string; readonly argument: ArgumentKind }

/** The patterns of a grammar. */
export interface Patterns<C> extends FlatPatterns<C> {
  /** Those of each mode alone. */
  readonly inner: ReadonlyMap<string, FlatPatterns<C>>
}

export interface FlatPatterns<C> {
  readonly doing: readonly Pattern<C>[]
  /** What may follow `no`. */
  readonly undoing: readonly Pattern<C>[]
  /** What would follow `no` if it could be undone. */
  readonly lasting: readonly Pattern<C>[]
}

const known = new WeakMap<object, Map<string, Patterns<unknown>>>()

/**
 * The patterns of this grammar in a mode: the mode's own first, then those of the modes around it, then those of none.
 * Compiled at the first use. A syntax line that makes no sense throws: it is ours.
 */
export function patternsOf<C>(grammar: Grammar<C>, mode?: Mode<C>): Patterns<C> {
  const modes = modesOf(mode)
  const key = modes.join(' ')
  const ofGrammar = known.get(grammar) ?? new Map<string, Patterns<unknown>>()
  known.set(grammar, ofGrammar)
  let patterns = ofGrammar.get(key)
  if (!patterns) {
    const compiled = key === '' ? compileGrammar(grammar) : inModes(patternsOf(grammar), modes)
    patterns = compiled as Patterns<unknown>
    ofGrammar.set(key, patterns)
  }
  // What is kept for a grammar was made from it, two lines above.
  return patterns as Patterns<C>
}

/** From the innermost outward. */
function modesOf<C>(mode: Mode<C> | undefined): readonly string[] {
  const modes: string[] = []
  for (let at = mode; at; at = at.outer) if (at.spec.enters !== undefined) modes.push(at.spec.enters)
  return modes
}

function inModes<C>({ inner, ...outermost }: Patterns<C>, modes: readonly string[]): Patterns<C> {
  const all = [...modes.map(mode => inner.get(mode)), outermost]
  const of = (kind: 'doing' | 'undoing' | 'lasting') => all.flatMap(patterns => patterns?.[kind] ?? [])
  return { doing: of('doing'), undoing: of('undoing'), lasting: of('lasting'), inner }
}

function compileGrammar<C>({ commands, kinds = [] }: Grammar<C>): Patterns<C> {
  const named = new Map([...COMMON_KINDS, ...kinds].map(kind => [kind.name, kind]))
  const inner = new Map<string, FlatPatterns<C>>()
  for (const mode of new Set(commands.map(({ mode }) => mode))) {
    const own = commands.filter(command => command.mode === mode)
    if (mode !== undefined) inner.set(mode, compileAll(own, named))
  }
  const outermost = commands.filter(({ mode }) => mode === undefined)
  return { ...compileAll(outermost, named), inner }
}

function compileAll<C>(commands: readonly CommandSpec<C>[], kinds: Kinds): FlatPatterns<C> {
  const doing: Pattern<C>[] = []
  const undoing: Pattern<C>[] = []
  const lasting: Pattern<C>[] = []
  for (const spec of commands) {
    const doer = compile(spec, spec.syntax, kinds)
    const undoer = compile(spec, spec.noSyntax ?? spec.syntax, kinds)
    const names = namesOf([...doer.steps, ...undoer.steps])
    doing.push({ ...doer, names })
    const others = spec.remove ? undoing : lasting
    others.push({ ...undoer, names })
  }
  return { doing, undoing, lasting }
}

type Kinds = ReadonlyMap<string, ArgumentKind>

function compile<C>(spec: CommandSpec<C>, syntax: string, kinds: Kinds): Pattern<C> {
  const compiler = new Compiler(syntax, kinds)
  const { steps, first, follow } = compiler.compile()
  if (first.length === 0 || !first.every(step => isOwn(steps[step]))) {
    throw compiler.mistake('its first word must be a word of the command')
  }
  return { spec, steps, first, follow, names: namesOf(steps) }
}

/** A word of the command, or one that begins as only this command's does: `Cryptochecksum:<sum>`. */
function isOwn(step: Step | undefined): boolean {
  return step?.kind === 'word' || step?.parts[0]?.kind === 'mark'
}

function namesOf(steps: readonly Step[]): Pattern<unknown>['names'] {
  const words = steps.flatMap(step => (step.kind === 'word' && step.as === undefined ? [step.word] : []))
  const placeholders = steps.flatMap(step => {
    if (step.kind === 'word') return step.as ?? []
    return step.parts.flatMap(part => (part.kind === 'placeholder' ? part.name : []))
  })
  return new Map([
    ...words.map(word => [word, 'word'] as const),
    ...placeholders.map(name => [name, 'placeholder'] as const),
  ])
}

/** A stretch of syntax: the steps it may begin and end with, and whether it may be left out. */
interface Stretch {
  readonly first: readonly number[]
  readonly last: readonly number[]
  readonly empty: boolean
}

const NOTHING: Stretch = { first: [], last: [], empty: true }

class Compiler {
  readonly #syntax: string
  readonly #kinds: Kinds
  readonly #tokens: readonly string[]
  #at = 0
  readonly #steps: Step[] = []
  readonly #follow: number[][] = []

  constructor(syntax: string, kinds: Kinds) {
    this.#syntax = syntax
    this.#kinds = kinds
    this.#tokens = syntax.match(/[[\]{}]|(?:<[^<>]*>|[^\s[\]{}])+/g) ?? []
  }

  compile(): { steps: readonly Step[]; first: readonly number[]; follow: readonly (readonly number[])[] } {
    const whole = this.#sequence()
    if (this.#at < this.#tokens.length) throw this.mistake(`"${this.#tokens[this.#at]}" is not expected`)
    for (const last of whole.last) this.#link(last, [END])
    return { steps: this.#steps, first: whole.empty ? [...whole.first, END] : whole.first, follow: this.#follow }
  }

  mistake(what: string): Error {
    return new Error(`postern is wrong here: in the syntax "${this.#syntax}", ${what}`)
  }

  #sequence(): Stretch {
    let before = NOTHING
    for (let token = this.#tokens[this.#at]; token !== undefined; token = this.#tokens[this.#at]) {
      if (token === ']' || token === '}' || token === '|') break
      this.#at++
      if (token === '[') before = this.#join(before, { ...this.#choice(']'), empty: true })
      else if (token === '{') before = this.#join(before, this.#choice('}'))
      else before = this.#join(before, this.#word(token))
    }
    return before
  }

  #choice(close: ']' | '}'): Stretch {
    let all = this.#sequence()
    while (this.#tokens[this.#at] === '|') {
      this.#at++
      all = either(all, this.#sequence())
    }
    if (this.#tokens[this.#at] !== close) throw this.mistake(`a "${close}" is missing`)
    this.#at++
    return all
  }

  #join(before: Stretch, after: Stretch): Stretch {
    for (const last of before.last) this.#link(last, after.first)
    return {
      first: before.empty ? [...before.first, ...after.first] : before.first,
      last: after.empty ? [...before.last, ...after.last] : after.last,
      empty: before.empty && after.empty,
    }
  }

  #link(from: number, to: readonly number[]): void {
    this.#follow[from]?.push(...to)
  }

  /** `fixup`, `a|b`, `<ip>`, `<action:permit|deny>`, `(<real:name>,<mapped:name>)`. */
  #word(token: string): Stretch {
    if (token.startsWith('|') || token.endsWith('|')) throw this.mistake(`a choice of words is written a|b`)
    const choices = token.match(/(?:<[^<>]*>|[^|])+/g) ?? []
    return choices
      .map(choice => {
        const named = /^<([\w-]+):([^<>]*\|[^<>]*)>$/.exec(choice)
        if (named) return this.#named(named[1] ?? '', (named[2] ?? '').split('|'))
        if (/[<>]/.test(choice)) return this.#add(this.#argument(choice))
        return this.#add({ kind: 'word', word: choice })
      })
      .reduce(either)
  }

  #named(name: string, words: readonly string[]): Stretch {
    if (words.includes('')) throw this.mistake(`a word of <${name}> is empty`)
    return words.map(word => this.#add({ kind: 'word', word, as: name })).reduce(either)
  }

  #add(step: Step): Stretch {
    const index = this.#steps.push(step) - 1
    this.#follow.push([])
    return { first: [index], last: [index], empty: false }
  }

  #argument(text: string): ArgumentStep {
    const parts: Part[] = []
    let shown = ''
    let rest = false
    for (const [piece] of text.matchAll(/<[^<>]*>|[^<>]+|[<>]/g)) {
      if (!piece.startsWith('<')) {
        parts.push({ kind: 'mark', text: piece })
        shown += piece
        continue
      }
      const [, name, kind, dots] = /^<([\w-]+)(?::([\w-]+))?(\.\.\.)?>$/.exec(piece) ?? []
      if (name === undefined) throw this.mistake(`"${text}" is not a placeholder`)
      // Where one would end and the next begin, nobody could say.
      if (parts.at(-1)?.kind === 'placeholder') throw this.mistake(`a mark must stand between those of "${text}"`)
      rest = dots !== undefined
      if (rest && piece !== text) throw this.mistake(`"${piece}" must be a word of its own`)
      parts.push({ kind: 'placeholder', name, argument: this.#kind(name, kind, rest) })
      shown += `<${name}>`
    }
    return { kind: 'argument', parts, rest, shown }
  }

  #kind(name: string, kind: string | undefined, rest: boolean): ArgumentKind {
    const argument =
      kind === undefined
        ? (this.#kinds.get(name) ?? this.#kinds.get(name.slice(name.lastIndexOf('-') + 1)) ?? this.#restKind(rest))
        : this.#kinds.get(kind)
    if (!argument)
      throw this.mistake(`no kind is called "${kind ?? name}" (known: ${[...this.#kinds.keys()].join(', ')})`)
    return argument
  }

  #restKind(rest: boolean): ArgumentKind | undefined {
    return rest ? this.#kinds.get('text') : undefined
  }
}

function either(one: Stretch, other: Stretch): Stretch {
  return {
    first: [...one.first, ...other.first],
    last: [...one.last, ...other.last],
    empty: one.empty || other.empty,
  }
}
