/**
 * Folds the fragments in changes/ into CHANGELOG.md, under a version, and removes them.
 *
 *   tools/run tools/release.ts                        under the version of package.json, with today's date
 *   tools/run tools/release.ts 0.2.0 --date 2031-05-17
 */

import { readFileSync, rmSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { parseArgs } from 'node:util'
import { readTree } from './layers.ts'

/** The kinds of change, in the order in which they are printed. */
const KINDS = [
  ['added', 'Added'],
  ['changed', 'Changed'],
  ['removed', 'Removed'],
  ['fixed', 'Fixed'],
  ['security', 'Security'],
] as const

/** How a fragment begins that a person must act on. */
const BREAKING = /^breaking:\s*/i

export interface Release {
  readonly version: string
  /** `2031-05-17`. */
  readonly date: string
}

export type Folded = { readonly changelog: string } | { readonly problems: readonly string[] }

/**
 * The changelog with a section for this release above all earlier ones: breaking changes first, then kind by kind.
 *
 * `fragments` is file name to text; what stands under `Unreleased` is left alone.
 */
export function fold(changelog: string, fragments: ReadonlyMap<string, string>, { version, date }: Release): Folded {
  const problems: string[] = []
  const breaking: string[] = []
  const byKind = new Map<string, string[]>(KINDS.map(([kind]) => [kind, []]))
  for (const [name, text] of [...fragments].sort(([a], [b]) => (a < b ? -1 : 1))) {
    const kind = /^[^.]+\.([a-z]+)\.md$/.exec(name)?.[1]
    const list = byKind.get(kind ?? '')
    const known = KINDS.map(([each]) => each).join(', ')
    if (!list) problems.push(`${name}: a change is called NAME.KIND.md, with one of these as its KIND: ${known}`)
    else if (text.trim() === '') problems.push(`${name}: says nothing`)
    else if (BREAKING.test(text.trim())) breaking.push(item(text.trim().replace(BREAKING, '')))
    else list.push(item(text.trim()))
  }
  if (fragments.size === 0) problems.push('there are no changes to release')
  if (changelog.split('\n').some(line => line.startsWith(`## ${version} `))) {
    problems.push(`CHANGELOG.md has a section ${version} already`)
  }
  if (problems.length > 0) return { problems }

  const sections = [
    ['Breaking', breaking] as const,
    ...KINDS.map(([kind, title]) => [title, byKind.get(kind)] as const),
  ]
    .filter(([, items]) => items && items.length > 0)
    .map(([title, items]) => `### ${title}\n\n${items?.join('')}`)
  const release = `## ${version} – ${date}\n\n${sections.join('\n')}`
  const earlier = /^## (?!Unreleased).*/m.exec(changelog)?.index
  if (earlier === undefined) return { changelog: `${changelog.trimEnd()}\n\n${release}` }
  return { changelog: `${changelog.slice(0, earlier)}${release}\n${changelog.slice(earlier)}` }
}

/** The text as one item of a list; its further lines are indented, so that they belong to it. */
function item(text: string): string {
  return `- ${text.replace(/\n(?!\n|$)/g, '\n  ')}\n`
}

if (import.meta.main) {
  const root = join(import.meta.dirname, '..')
  const { values, positionals } = parseArgs({ options: { date: { type: 'string' } }, allowPositionals: true })
  const { version } = JSON.parse(readFileSync(join(root, 'package.json'), 'utf8')) as { version: string }
  const files = [...readTree(root, ['changes'], '.md')].filter(([file]) => file !== 'changes/README.md')
  const fragments = new Map(files.map(([file, text]) => [file.slice('changes/'.length), text]))
  const release = { version: positionals[0] ?? version, date: values.date ?? new Date().toISOString().slice(0, 10) }
  const folded = fold(readFileSync(join(root, 'CHANGELOG.md'), 'utf8'), fragments, release)
  if ('problems' in folded) {
    for (const problem of folded.problems) console.error(`release: ${problem}`)
    process.exitCode = 1
  } else {
    writeFileSync(join(root, 'CHANGELOG.md'), folded.changelog)
    for (const [file] of files) rmSync(join(root, file))
    console.log(`CHANGELOG.md: ${release.version}, from ${files.length} ${files.length === 1 ? 'change' : 'changes'}`)
  }
}
