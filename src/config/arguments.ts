import type { SourceRef } from '../base/problem.ts'
import type { ArgumentKind, Arguments } from './grammar.ts'
import type { Bound, Thread } from './match.ts'

/** What a thread has read, as its command asks for it. */
export function argumentsOf<C>({ pattern, bound }: Thread<C>, line: SourceRef, outer?: Arguments): Arguments {
  const words = new Map<string, Bound>()
  const values = new Map<string, Bound>()
  for (let each = bound; each; each = each.before) {
    const map = each.kind === 'word' ? words : values
    if (!map.has(each.name)) map.set(each.name, each)
  }
  const { spec, names } = pattern
  const mistake = (what: string): Error => {
    const { syntax, noSyntax } = spec
    const where = noSyntax === undefined ? `"${syntax}"` : `"${syntax}" or "${noSyntax}"`
    return new Error(`postern is wrong here: ${what} in ${where}`)
  }
  const value = (name: string): Bound | undefined => {
    if (names.get(name) !== 'placeholder') throw mistake(`nothing is called <${name}>`)
    return values.get(name)
  }
  // In `ip address <ip>` the placeholder is meant, never the word: it may have been left out, and the word was not.
  const place = (name: string): Bound | undefined => {
    const found = names.get(name)
    if (!found) throw mistake(`there is neither <${name}> nor the word "${name}"`)
    return found === 'placeholder' ? values.get(name) : words.get(name)
  }
  return {
    get<T>(name: string, kind?: ArgumentKind<T>): T | undefined {
      const found = value(name)
      if (found && kind && found.kind !== kind) throw mistake(`<${name}> is not of kind "${kind.name}"`)
      // The kind that read the value is the one asked for; without one the caller says what it expects.
      return found?.value as T | undefined
    },
    text(name, otherwise = '') {
      return textOf(value(name)) ?? otherwise
    },
    optional(name) {
      return textOf(value(name))
    },
    number(name, otherwise = 0) {
      const found = value(name)
      if (!found) return otherwise
      if (typeof found.value === 'number') return found.value
      throw mistake(`<${name}> is no number`)
    },
    has: name => place(name) !== undefined,
    at: name => place(name)?.at ?? line,
    syntax: spec.syntax,
    ...(outer && { outer }),
  }
}

function textOf(bound: Bound | undefined): string | undefined {
  return typeof bound?.value === 'string' ? bound.value : bound?.text
}
