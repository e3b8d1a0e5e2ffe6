import type { Grammar } from './grammar.ts'
import { parse } from './parse.ts'
import { showLines } from './show.ts'

/**
 * The text of a file made to say `config`, with as much of the file as can stay: its comments, its order, its lines that
 * still hold. Where such a text would not read back as the same, the plain one, and `comments` is false.
 */
export function rewrite<C>(
  grammar: Grammar<C>,
  old: string,
  config: C,
): { readonly text: string; readonly comments: boolean } {
  const wanted = showLines(grammar, config)
  const plain = wanted.map(line => `${line}\n`).join('')
  const left = new Map<string, number>()
  for (const line of wanted.map(each => each.trim())) left.set(line, (left.get(line) ?? 0) + 1)
  const kept: string[] = []
  for (const raw of old.split(/\r?\n/)) {
    const line = raw.trim().replace(/\s+/g, ' ')
    if (line === '' || /^[!#:]/.test(line)) {
      kept.push(raw)
      continue
    }
    const count = left.get(line) ?? 0
    if (count === 0) continue
    left.set(line, count - 1)
    kept.push(raw)
  }
  while (kept.at(-1) === '') kept.pop()
  const added = wanted.filter(line => {
    const count = left.get(line.trim()) ?? 0
    left.set(line.trim(), count - 1)
    return count > 0
  })
  const text = [...kept, ...added].map(line => `${line}\n`).join('')
  return readsAs(grammar, text, wanted) ? { text, comments: true } : { text: plain, comments: false }
}

function readsAs<C>(grammar: Grammar<C>, text: string, wanted: readonly string[]): boolean {
  const { config, problems } = parse(grammar, text, 'rewrite')
  if (problems.some(({ severity }) => severity === 'error')) return false
  const shown = showLines(grammar, config)
  return shown.length === wanted.length && shown.every((line, i) => line === wanted[i])
}
