import type { Grammar } from './grammar.ts'
import { parseLine, understand } from './parse.ts'
import { showLines } from './show.ts'
import { type Line, readLines } from './text.ts'

/**
 * The lines, `no …` among them, that lead from one configuration to the other.
 *
 * Several ways are tried on `from`, the short ones first, until one arrives exactly at what `to` shows, order included.
 * Where none arrives, because something cannot be undone, the first lines are comments (`!`) that say so.
 */
export function diff<C>(grammar: Grammar<C>, from: C, to: C): readonly string[] {
  const before = units(showLines(grammar, from))
  const after = units(showLines(grammar, to))
  const gone = without(before, after)
  const fresh = without(after, before)
  const plain = [...undoAll(grammar, gone), ...fresh]
  // A line that replaces another, as `hostname b` does, needs no `no`.
  const left = without(units(showLines(grammar, run(grammar, from, fresh) ?? from)), after)
  const replacing = [...fresh, ...undoAll(grammar, left)]
  const short = replacing.length < plain.length ? [replacing, plain] : [plain, replacing]
  const ways = [...short, rebuild(grammar, from, to), [...undoAll(grammar, before), ...after]]
  const way = ways.find(way => arrives(grammar, { from, way, after }))
  if (way) return way.flatMap(unit => unit.split('\n'))
  const stuck = gone.filter(line => undo(grammar, line) === undefined)
  return [
    '! these lines do not lead there exactly',
    ...stuck.map(line => `! nothing undoes ${line}`),
    ...plain,
  ].flatMap(unit => unit.split('\n'))
}

/** A line with those indented below it, which belong to its mode: they come and go together. */
function units(lines: readonly string[]): readonly string[] {
  const out: string[] = []
  for (const line of lines) {
    const before = out.at(-1)
    if (line.startsWith(' ') && before !== undefined) out[out.length - 1] = `${before}\n${line}`
    else out.push(line)
  }
  return out
}

/** For each command whose lines differ, all of them anew from the first difference on: where the order matters. */
function rebuild<C>(grammar: Grammar<C>, from: C, to: C): readonly string[] {
  const gone: string[] = []
  const fresh: string[] = []
  for (const command of grammar.commands) {
    const before = units(command.show(from))
    const after = units(command.show(to))
    let same = 0
    while (same < before.length && before[same] === after[same]) same++
    gone.push(...before.slice(same))
    fresh.push(...after.slice(same))
  }
  return [...undoAll(grammar, gone), ...fresh]
}

/** `lines` without those of `others`, each as often as it stands there. */
function without(lines: readonly string[], others: readonly string[]): readonly string[] {
  const count = new Map<string, number>()
  for (const line of others) count.set(line, (count.get(line) ?? 0) + 1)
  return lines.filter(line => {
    const left = count.get(line) ?? 0
    count.set(line, left - 1)
    return left <= 0
  })
}

/** The last first: what was said later may lean on what was said before. */
function undoAll<C>(grammar: Grammar<C>, lines: readonly string[]): readonly string[] {
  return lines.toReversed().flatMap(line => undo(grammar, line) ?? [])
}

/** The line that undoes `line`, or `undefined` where nothing does. */
function undo<C>(grammar: Grammar<C>, line: string): string | undefined {
  if (line.startsWith('no ')) return line.slice('no '.length)
  const [undoing] = readLines(`no ${line}`, 'diff').lines
  if (!undoing) return undefined
  // The `no` form may be shorter than the command: `no hostname` for `hostname mail-a`.
  for (let to = undoing.words.length; to > 1; to--) {
    if (!('message' in understand(grammar, undoing, { to }))) return upTo(undoing, to)
  }
  return undefined
}

function upTo({ words, raw }: Line, count: number): string {
  const last = words[count - 1]
  return last ? raw.slice(0, last.at.column - 1 + last.at.length) : raw
}

/** The configuration after these lines, or `undefined` where one is refused. */
function run<C>(grammar: Grammar<C>, from: C, lines: readonly string[]): C | undefined {
  let config = from
  for (const line of lines) {
    const { config: next, problems } = parseLine(grammar, config, line)
    if (problems.some(({ severity }) => severity === 'error')) return undefined
    config = next
  }
  return config
}

function arrives<C>(
  grammar: Grammar<C>,
  { from, way, after }: { readonly from: C; readonly way: readonly string[]; readonly after: readonly string[] },
): boolean {
  const config = run(grammar, from, way)
  if (config === undefined) return false
  const shown = units(showLines(grammar, config))
  return shown.length === after.length && shown.every((line, i) => line === after[i])
}
