/** What of an answer is wanted: `show explain | include 192.0.2.7`. */
export interface Filter {
  readonly keeps: boolean
  /** Found in any case of letters. */
  readonly text: string
}

/** The words for `?`. */
export const FILTERS: readonly (readonly [string, string])[] = [
  ['| include <text>', 'only what has this text in it, with the lines that belong to it'],
  ['| exclude <text>', 'only what has it not'],
]

/** A line without what stands behind its bar; `wrong` where that is no filter. */
export function readFilter(line: string): { readonly line: string; readonly filter?: Filter; readonly wrong?: string } {
  const bar = line.indexOf('|')
  if (bar < 0) return { line }
  const before = line.slice(0, bar).trimEnd()
  const [, word = '', text = ''] = /^(\S+)\s+(.+)$/.exec(line.slice(bar + 1).trim()) ?? []
  const isShort = (whole: string): boolean => word !== '' && whole.startsWith(word.toLowerCase())
  if (text === '' || !(isShort('include') || isShort('exclude'))) {
    return { line: before, wrong: 'behind | stands include or exclude, and a text' }
  }
  return { line: before, filter: { keeps: isShort('include'), text } }
}

/** Lines that are indented belong to the one above, and are kept or left out with it. */
export function filtered(lines: readonly string[], filter: Filter | undefined): readonly string[] {
  if (!filter) return lines
  const text = filter.text.toLowerCase()
  const groups: string[][] = []
  for (const line of lines) {
    const last = groups.at(-1)
    if (last && /^\s/.test(line)) last.push(line)
    else groups.push([line])
  }
  return groups.filter(group => group.some(line => line.toLowerCase().includes(text)) === filter.keeps).flat()
}
