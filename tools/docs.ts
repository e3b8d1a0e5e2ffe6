/**
 * The documents, or parts of them, that are made from the code.
 *
 *   npm run docs                      writes them
 *   npm run docs -- --check           says which are stale, and fails if any is
 *
 * Another document is another row of `GENERATED`.
 */

import { existsSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { parseArgs } from 'node:util'
import { COMMON_KINDS } from '../src/config/argument.ts'
import type { Grammar } from '../src/config/grammar.ts'
import { FIREWALL } from '../src/firewall/commands.ts'
import { LAB } from '../src/lab/commands.ts'
import { MTA } from '../src/mta/commands.ts'
import { EXTENSIONS } from '../src/smtp/extension.ts'
import { AREAS, OVER_SOCKETS, SERVERS } from '../test/vectors/all.ts'
import { CHOICES } from '../test/vectors/differences.ts'
import { UNMET } from '../test/vectors/unmet.ts'
import { markdown, readTree, scan } from './layers.ts'
import { THROUGH } from './through.ts'

/** The texts a document is made from, by path from the root: the code, and the documents as they are now. */
export type Tree = ReadonlyMap<string, string>

/** Why a document cannot be made. */
export interface Problem {
  readonly problem: string
}

export interface Generated {
  readonly file: string
  /** The whole text of the file as it should be. */
  render(tree: Tree): string | Problem
}

export const GENERATED: readonly Generated[] = [
  { file: 'docs/rfcs.md', render: tree => rfcIndex(tree) },
  { file: 'docs/esmtp.md', render: extensions },
  { file: 'docs/config.md', render: reference },
  { file: 'docs/conformance.md', render: conformance },
  { file: 'ARCHITECTURE.md', render: tree => region(tree, 'ARCHITECTURE.md', { name: 'layers', content: markdown() }) },
]

/** One document that is not as it should be. */
export interface Stale {
  readonly file: string
  /** What it should be; missing where that cannot be said. */
  readonly text?: string
  readonly message: string
}

export function stale(tree: Tree, generated: readonly Generated[] = GENERATED): readonly Stale[] {
  return generated.flatMap(({ file, render }) => {
    const text = render(tree)
    if (typeof text !== 'string') return [{ file, message: `${file}: ${text.problem}` }]
    if (text === tree.get(file)) return []
    const how = tree.has(file) ? 'is stale' : 'is missing'
    return [{ file, text, message: `${file} ${how} (npm run docs writes it)` }]
  })
}

/** A file that is made whole says so in its first line. */
export function whole(title: string, body: string): string {
  return `<!-- Made by tools/docs.ts: do not edit, run \`npm run docs\`. -->\n\n# ${title}\n\n${body}`
}

/** The file as it is, with `content` between `<!-- name -->` and `<!-- /name -->`. */
export function region(
  tree: Tree,
  file: string,
  { name, content }: { readonly name: string; readonly content: string },
): string | Problem {
  const [open, close] = [`<!-- ${name} -->`, `<!-- /${name} -->`]
  const text = tree.get(file)
  if (text === undefined) return { problem: `there is no such file (it needs the markers ${open} and ${close})` }
  const from = text.indexOf(open)
  const to = text.indexOf(close, from)
  if (from < 0 || to < 0) return { problem: `the marker ${from < 0 ? open : close} is missing` }
  return `${text.slice(0, from + open.length)}\n${content}${text.slice(to)}`
}

/** A section of an RFC that a comment cites. */
export interface Citation {
  readonly rfc: number
  /** Without the `§`. */
  readonly section: string
}

const SECTION = '§[0-9A-Z]+(?:\\.[0-9]+)*'
/** The one form of a citation: `RFC 5321 §4.5.3.1.6`, or `RFC 5321 §2.3.8, §4.1`. */
const CITATION = new RegExp(`\\bRFC (\\d+) (${SECTION}(?:(?:,|,? and) ${SECTION})*)`, 'g')

/** What the comments of a TypeScript file cite. Strings and code do not count. */
export function citations(text: string): readonly Citation[] {
  return [...comments(text).matchAll(CITATION)].flatMap(([, rfc = '', sections = '']) =>
    sections.split(/,? and |, /).map(section => ({ rfc: Number(rfc), section: section.slice(1) })),
  )
}

/** The words of all comments. A citation may be broken over two lines, so the lines of one comment are joined. */
function comments(text: string): string {
  let words = ''
  let last = 0
  for (const { kind, text: comment, line } of scan(text)) {
    if (kind !== 'comment') continue
    const bare = comment.replace(/^\/\/+|^\/\*+|\*+\/$/g, '').replace(/\s*\n\s*\*?\s*/g, ' ')
    words += (comment.startsWith('//') && line === last + 1 ? ' ' : '\n') + bare.trim()
    last = comment.startsWith('//') ? line : 0
  }
  return words
}

/** Which section of which RFC is implemented where. */
function rfcIndex(tree: Tree): string {
  /** RFC → section → files. */
  const index = new Map<number, Map<string, Set<string>>>()
  for (const [file, text] of tree) {
    if (!file.startsWith('src/') || !file.endsWith('.ts') || file.endsWith('.test.ts')) continue
    for (const { rfc, section } of citations(text)) {
      const sections = index.get(rfc) ?? new Map<string, Set<string>>()
      index.set(rfc, sections.set(section, (sections.get(section) ?? new Set<string>()).add(file)))
    }
  }
  const parts = [...index]
    .sort(([a], [b]) => a - b)
    .map(([rfc, sections]) => {
      const page = `https://www.rfc-editor.org/rfc/rfc${rfc}.html`
      const rows = [...sections]
        .sort(([a], [b]) => a.localeCompare(b, 'en', { numeric: true }))
        .map(([section, files]) => {
          const anchor = /^\d/.test(section) ? `section-${section}` : `appendix-${section}`
          const links = [...files].sort().map(file => `[${file.slice('src/'.length)}](../${file})`)
          return `| [§${section}](${page}#${anchor}) | ${links.join(', ')} |\n`
        })
      return `## [RFC ${rfc}](${page})\n\n| Section | Where |\n| --- | --- |\n${rows.join('')}`
    })
  const opening = 'Which file follows which section, collected from comments of the form `RFC 5321 §4.5.3.1.6`.\n'
  return whole('RFCs, and where they are implemented', [opening, ...parts].join('\n'))
}

function table(head: readonly string[], rows: readonly (readonly string[])[]): string {
  const cell = (text: string) => text.replaceAll('|', '\\|').replace(/[\0-\x1f]/g, ' ')
  return [head, head.map(() => '---'), ...rows].map(row => `| ${row.map(cell).join(' | ')} |\n`).join('')
}

/** What works behind each keyword, as server, as client, and through each firewall whose behaviour we know. */
function extensions(): string {
  const opening = `The verbs and keywords Postern knows, and how far each works. In the \`exchange2000\` dialect the EHLO list is the
product's own, to the letter; what does not work behind a keyword is refused when it is used, in the words below. In the
\`postern\` dialect a keyword stands in the list only while it works.
`
  const rows = EXTENSIONS.map(({ keyword, source, server, client }) => [keyword, source, server, client])
  const ways = EXTENSIONS.map(extension => [extension.keyword, ...THROUGH.map(({ pass }) => pass(extension))])
  const through = `What is left of each where a firewall stands between, as it is from the start: the keyword put through it in an EHLO
reply, and its verb in a command, by the code that plays these boxes. A verb without a keyword in the list is of use only to
who knows that it is there.
`
  return whole(
    'ESMTP',
    [
      opening,
      table(['Keyword', 'Source', 'As server', 'As client'], rows),
      `## Through the firewall\n\n${through}`,
      table(['Keyword', ...THROUGH.map(({ name }) => name)], ways),
    ].join('\n'),
  )
}

/** Every dialogue of `test/vectors`, and the choices that were made in them. */
function conformance(): string {
  const opening = `What Postern is held to by the dialogues of [test/vectors](../test/vectors): attacks, odd peers and edges of the
protocol, each played against the server or the client whole, octet by octet and cut at random, and most of them over real
sockets too. \`tools/run test/vectors.test.ts\` plays them.
`
  const choices = CHOICES.map(({ vectors, others, ours, why }) => [vectors.join(', '), others, ours, why])
  const parts = [
    ...AREAS,
    { name: 'Seen from the driver', vectors: OVER_SOCKETS },
    { name: 'Servers, for our client', vectors: SERVERS },
  ]
  return whole(
    'Conformance',
    [
      opening,
      `## Choices\n\nWhere more than one answer is safe.\n\n${table(['Dialogues', 'Elsewhere', 'Here', 'Because'], choices)}`,
      ...parts.map(({ name, vectors }) => {
        const rows = vectors.map(({ id, holds, source }) => [
          id,
          UNMET.has(id) ? `${holds} (**not yet**: ${UNMET.get(id)})` : holds,
          source,
        ])
        return `## ${name}\n\n${table(['Dialogue', 'What holds', 'After'], rows)}`
      }),
    ].join('\n'),
  )
}

/** Every command of every kind of file, from the tables that the parser reads. */
function reference(): string {
  const opening = `One language for all files: a command per line, \`!\` before a comment, \`no\` before a command to take it back where it
says so. \`<name>\` stands for a value, \`[ ]\` may be left out, \`{ | }\` is a choice, \`<name...>\` takes the rest of the line.
`
  const part = <C>(title: string, { commands }: Grammar<C>): string => {
    const rows = commands.map(({ syntax, help, remove, noSyntax, mode }) => {
      const no = remove ? `\n  no ${noSyntax ?? syntax}` : ''
      const outer = commands.filter(({ enters }) => mode !== undefined && enters === mode)
      const above = new Set(outer.map(each => each.syntax.split(/ (?=[[{<])/, 1)[0]))
      const where = above.size > 0 ? ` Stands below ${[...above].map(each => `\`${each}\``).join(' or ')}.` : ''
      return `\`\`\`\n${syntax}${no.replace(/^\n {2}/, '\n')}\n\`\`\`\n${help}.${where}\n`
    })
    return `## ${title}\n\n${rows.join('\n')}`
  }
  const parts = [
    part('Firewall', FIREWALL),
    part('Mail server', MTA),
    part('Laboratory (`lab.conf`)', LAB),
    `## Values\n\n| Value | What it takes |\n| --- | --- |\n${COMMON_KINDS.map(({ name, help }) => `| \`<${name}>\` | ${help} |\n`).join('')}`,
  ]
  return whole('Configuration reference', [opening, ...parts].join('\n'))
}

/** The code, and those of the generated documents that are there. */
function readDocumented(root: string): Tree {
  const tree = readTree(root, ['src'], '.ts')
  for (const { file } of GENERATED) {
    if (existsSync(join(root, file))) tree.set(file, readFileSync(join(root, file), 'utf8'))
  }
  return tree
}

if (import.meta.main) {
  const root = join(import.meta.dirname, '..')
  const { values } = parseArgs({ options: { check: { type: 'boolean' } } })
  for (const { file, text, message } of stale(readDocumented(root))) {
    if (values.check || text === undefined) {
      console.log(message)
      process.exitCode = 1
    } else {
      mkdirSync(dirname(join(root, file)), { recursive: true })
      writeFileSync(join(root, file), text)
      console.log(`wrote ${file}`)
    }
  }
}
