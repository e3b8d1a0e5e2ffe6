import type { Grammar } from './grammar.ts'
import { parse } from './parse.ts'
import { showLines } from './show.ts'

/** Lines that stand otherwise than they are shown, and are asked what they say: each costs a reading of the file. */
const MAX_ASKED = 200

/**
 * The text of a file made to say `config`, with as much of the file as can stay: its comments, its order, its lines that
 * still hold, and those that say what is so without them. Where such a text would not read back as the same, the plain
 * one, and `comments` is false.
 */
export function rewrite<C>(
  grammar: Grammar<C>,
  old: string,
  config: C,
): { readonly text: string; readonly comments: boolean } {
  const wanted = showLines(grammar, config)
  const left = counted(wanted)
  const says = saidBy(grammar, old)
  const kept: Kept[] = []
  for (const [i, raw] of old.split(/\r?\n/).entries()) {
    const line = raw.trim().replace(/\s+/g, ' ')
    if (line === '' || /^[!#:]/.test(line)) kept.push({ raw, isIdle: false })
    else if (take(left, [line])) kept.push({ raw, isIdle: false })
    else {
      const said = says(i)
      if (said?.length === 0) kept.push({ raw, isIdle: true })
      else if (said && take(left, said)) kept.push({ raw, isIdle: false })
    }
  }
  const added = wanted.filter(line => take(left, [line.trim()]))
  const busy = textOf(
    kept.filter(({ isIdle }) => !isIdle),
    added,
  )
  // What was said without need may be wrong by now; a line below others says something of those.
  const stays = ({ raw, isIdle }: Kept) => !isIdle || /^\s/.test(raw) || readsAs(grammar, `${busy}${raw}\n`, wanted)
  const whole = textOf(kept.filter(stays), added)
  const text = [whole, busy].find(each => readsAs(grammar, each, wanted))
  return text === undefined ? { text: textOf([], wanted), comments: false } : { text, comments: true }
}

interface Kept {
  readonly raw: string
  /** Without it all would be the same. */
  readonly isIdle: boolean
}

function textOf(kept: readonly Kept[], added: readonly string[]): string {
  const lines = kept.map(({ raw }) => raw)
  while (lines.at(-1) === '') lines.pop()
  return [...lines, ...added].map(line => `${line}\n`).join('')
}

function counted(lines: readonly string[]): Map<string, number> {
  const counts = new Map<string, number>()
  for (const line of lines.map(each => each.trim())) counts.set(line, (counts.get(line) ?? 0) + 1)
  return counts
}

/** Takes all of these out, or none. */
function take(left: Map<string, number>, lines: readonly string[]): boolean {
  if (![...counted(lines)].every(([line, count]) => (left.get(line) ?? 0) >= count)) return false
  for (const line of lines) left.set(line, (left.get(line) ?? 0) - 1)
  return true
}

/** What is shown of a file only because this line of it is there, by its number; `undefined` where nobody can tell. */
function saidBy<C>(grammar: Grammar<C>, old: string): (line: number) => readonly string[] | undefined {
  let asked = 0
  let all: readonly string[] | undefined
  const shown = (text: string): readonly string[] | undefined => {
    const { config, problems } = parse(grammar, text, 'rewrite')
    return problems.some(({ severity }) => severity === 'error') ? undefined : showLines(grammar, config)
  }
  return line => {
    if (++asked > MAX_ASKED) return undefined
    all ??= shown(old)
    const without = shown(old.split(/\r?\n/).with(line, '').join('\n'))
    if (!all || !without) return undefined
    const others = counted(without)
    return all.map(each => each.trim()).filter(each => !take(others, [each]))
  }
}

function readsAs<C>(grammar: Grammar<C>, text: string, wanted: readonly string[]): boolean {
  const { config, problems } = parse(grammar, text, 'rewrite')
  if (problems.some(({ severity }) => severity === 'error')) return false
  const shown = showLines(grammar, config)
  return shown.length === wanted.length && shown.every((line, i) => line === wanted[i])
}
