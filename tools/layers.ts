/**
 * The order of the folders of `src/`, and who may use what from outside. This is the one place where it is written.
 *
 *   npm run layers                    prints what breaks the order, and fails if anything does
 *   npm run layers -- --markdown      prints the table that stands in ARCHITECTURE.md
 *   npm run layers -- --root DIR      looks at another tree
 */

import { readdirSync, readFileSync } from 'node:fs'
import { join, posix, sep } from 'node:path'
import { parseArgs } from 'node:util'

export interface Layer {
  readonly folder: string
  /** The core has no sockets, no clock, no chance and no `await`; the edges touch the world; the products assemble. */
  readonly part: 'core' | 'edge' | 'product'
  /** Names of modules from outside the tree; `*` at the end stands for any rest. */
  readonly outside: readonly string[]
  readonly what: string
}

/** A folder may import from itself and from the folders above it. */
export const LAYERS: readonly Layer[] = [
  { folder: 'base', part: 'core', outside: [], what: 'words everything else is said in' },
  { folder: 'smtp', part: 'core', outside: [], what: 'the language' },
  { folder: 'mail', part: 'core', outside: [], what: 'messages' },
  { folder: 'config', part: 'core', outside: [], what: 'the configuration language' },
  { folder: 'transcript', part: 'core', outside: [], what: 'dialogues as text' },
  { folder: 'topology', part: 'core', outside: [], what: 'what is connected to what' },
  { folder: 'firewall', part: 'core', outside: [], what: 'what may pass' },
  { folder: 'routing', part: 'core', outside: [], what: 'which way' },
  { folder: 'spool', part: 'core', outside: [], what: 'what must not be lost' },
  { folder: 'mta', part: 'core', outside: [], what: 'what happens to a message' },
  { folder: 'diagnosis', part: 'core', outside: [], what: 'who altered it' },
  { folder: 'lab', part: 'core', outside: [], what: 'plans for a lab' },
  {
    folder: 'io',
    part: 'edge',
    outside: [
      'node:*',
      '@mongodb-js/saslprep',
      'dns-packet',
      'koffi',
      'libbase64',
      'libqp',
      'lmdb',
      'pino',
      'prom-client',
    ],
    what: 'the world',
  },
  { folder: 'app', part: 'product', outside: ['node:path', 'node:url', 'node:http'], what: 'the products' },
  { folder: 'cli', part: 'product', outside: ['node:*', 'commander'], what: 'the command' },
]

/** What a `*.test.ts` may use, whatever folder it stands in. */
const OUTSIDE_OF_TESTS: readonly string[] = ['node:*', 'fast-check']

export interface Violation {
  readonly file: string
  readonly line: number
  readonly message: string
}

/**
 * Everything in `files` (path from the root, with `/`, to text) that breaks the order.
 *
 * Judges the files of `src/`; the others are there to be found by imports.
 */
export function check(files: ReadonlyMap<string, string>): readonly Violation[] {
  const violations: Violation[] = []
  for (const [file, text] of files) {
    if (!file.startsWith('src/')) continue
    const say = (line: number, message: string): void => {
      violations.push({ file, line, message })
    }
    const folder = folderOf(file)
    const layer = LAYERS.find(each => each.folder === folder)
    if (folder === undefined) say(1, `a file of src belongs into one of its folders (known: ${known()})`)
    else if (!layer) say(1, `the folder "${folder}" is not in the list of tools/layers.ts (known: ${known()})`)

    const tokens = scan(text).filter(({ kind }) => kind !== 'comment')
    const isTest = file.endsWith('.test.ts')
    for (const { name, line } of importsOf(tokens)) {
      const wrong =
        name === undefined
          ? 'an import() must name its file outright, or nobody can tell what is imported'
          : /^\.\.?\//.test(name)
            ? wrongFile(file, name, files) || (layer && !isTest && wrongFolder(layer, target(file, name)))
            : layer && wrongModule(layer, name, isTest)
      if (wrong) say(line, wrong)
    }
    if (layer?.part === 'core' && !isTest) {
      for (const { text: word, line } of waits(tokens)) {
        say(line, `${layer.folder} is core and may not say "${word}" (give an output or a deadline; waiting is for io)`)
      }
    }
  }
  return violations.sort((a, b) => (a.file < b.file ? -1 : a.file > b.file ? 1 : a.line - b.line))
}

/** The list, as the table of ARCHITECTURE.md. */
export function markdown(): string {
  const rows = LAYERS.map(({ folder, part, outside, what }) => {
    const modules = outside.map(name => `\`${name}\``).join(', ')
    return `| [\`${folder}\`](src/${folder}/) | ${part} | ${modules || '–'} | ${what} |\n`
  })
  return `| Folder | Part | May use from outside | What it is |\n| --- | --- | --- | --- |\n${rows.join('')}`
}

function known(): string {
  return LAYERS.map(({ folder }) => folder).join(', ')
}

function folderOf(file: string): string | undefined {
  return /^src\/([^/]+)\//.exec(file)?.[1]
}

function target(file: string, name: string): string {
  return posix.join(posix.dirname(file), name)
}

function wrongFile(file: string, name: string, files: ReadonlyMap<string, string>): string | undefined {
  if (!name.endsWith('.ts')) return `the import '${name}' must name its file, .ts included`
  if (!files.has(target(file, name))) return `the import '${name}' names no file: there is no ${target(file, name)}`
  return undefined
}

function wrongFolder(layer: Layer, file: string): string | undefined {
  const folder = folderOf(file)
  if (folder === undefined) return `${layer.folder} may not import ${file}, which is outside the folders of src`
  const own = LAYERS.indexOf(layer)
  const other = LAYERS.findIndex(each => each.folder === folder)
  // An unknown folder is reported where its own files are judged.
  if (other <= own) return undefined
  const above = LAYERS.slice(0, own).map(each => each.folder)
  return `${layer.folder} may not import from ${folder} (only from itself${above.map(each => `, ${each}`).join('')})`
}

function wrongModule(layer: Layer, name: string, isTest: boolean): string | undefined {
  const allowed = isTest ? OUTSIDE_OF_TESTS : layer.outside
  if (allowed.some(each => (each.endsWith('*') ? name.startsWith(each.slice(0, -1)) : name === each))) return undefined
  const who = isTest ? 'a test' : layer.folder
  if (allowed.length > 0) return `${who} may not import '${name}' (from outside: ${allowed.join(', ')})`
  return `${who} may not import '${name}' (the core uses no packages and no node: modules: have it handed in)`
}

/** `async` and `await` where they are keywords, not the name of a property. */
function waits(code: readonly Token[]): readonly Token[] {
  return code.filter(({ kind, text }, at) => {
    if (kind !== 'word' || (text !== 'async' && text !== 'await')) return false
    const next = code[at + 1]?.text
    return code[at - 1]?.text !== '.' && next !== ':' && !(next === '?' && code[at + 2]?.text === ':')
  })
}

export interface Import {
  /** What is between the quotes; `undefined` where the name of an `import()` is computed. */
  readonly name: string | undefined
  readonly line: number
}

/** Every import and export-from among `code`, which are tokens without comments. */
export function importsOf(code: readonly Token[]): readonly Import[] {
  const found: Import[] = []
  for (const [at, { kind, text, line }] of code.entries()) {
    if (kind !== 'word' || (text !== 'import' && text !== 'export') || code[at - 1]?.text === '.') continue
    const next = code[at + 1]
    if (text === 'import' && next?.kind === 'string') {
      found.push({ name: unquoted(next), line })
    } else if (text === 'import' && next?.kind === 'mark' && next.text === '(') {
      const name = code[at + 2]
      found.push({ name: name?.kind === 'string' ? unquoted(name) : undefined, line: name?.line ?? line })
    } else {
      const name = nameAfterFrom(code, at + 1, text === 'export')
      if (name) found.push({ name: unquoted(name), line: name.line })
    }
  }
  return found
}

/** Walks over `type { a, b as c }`, `* as d` and the like to the name after `from`; nothing else has one. */
function nameAfterFrom(code: readonly Token[], start: number, isExport: boolean): Token | undefined {
  // `export type Name = …` and `export const …` look like a clause until their first mark.
  const first = code[start]?.text === 'type' ? code[start + 1] : code[start]
  if (isExport && first?.text !== '{' && first?.text !== '*') return undefined
  for (let at = start; at < code.length; at++) {
    const token = code[at]
    const next = code[at + 1]
    if (!token || (token.kind === 'mark' && !'{},*'.includes(token.text))) return undefined
    if (token.kind === 'word' && token.text === 'from' && next?.kind === 'string') return next
    // `export { a }` ends here, and what follows it is another statement.
    if (token.kind === 'mark' && token.text === '}' && next?.text !== 'from') return undefined
  }
  return undefined
}

function unquoted({ text }: Token): string {
  return text.slice(1, -1)
}

export interface Token {
  readonly kind: 'word' | 'string' | 'comment' | 'mark' | 'other'
  readonly text: string
  readonly line: number
}

const SHAPES: readonly (readonly [Token['kind'] | 'space', RegExp])[] = [
  ['space', /\s+/y],
  ['comment', /\/\/[^\n]*|\/\*.*?(?:\*\/|$)/sy],
  ['word', /[#@]?[\p{L}_$][\p{L}\p{N}_$]*/uy],
  ['string', /'(?:[^'\\\n]|\\.)*'?|"(?:[^"\\\n]|\\.)*"?/sy],
  ['other', /\d[\w.]*/y],
  ['mark', /./sy],
]
const REGEXP = /\/(?:[^/\\[\n]|\\.|\[(?:[^\]\\\n]|\\.)*\])+\/\w*/y
/** A stretch of a template: from its start, or from the `}` of a `${…}`, to its end or the next `${`. */
const TEMPLATE = /[`}](?:[^`\\$]|\\.|\$(?!\{))*(?:`|\$\{|$)/sy
const BEFORE_AN_EXPRESSION = /^(?:return|typeof|case|in|of|do|else|void|delete|throw|new|instanceof|await|yield)$/

/**
 * TypeScript cut into tokens, as far as one must to know what is code, what is a comment and what is a string.
 *
 * The code inside `${…}` of a template is code. Total: text that is no TypeScript gives some tokens, never an error.
 */
export function scan(text: string): readonly Token[] {
  const tokens: Token[] = []
  /** For each template that we are inside of: how many `{` are open in its `${…}`. */
  const open: number[] = []
  let before: Token | undefined
  let line = 1
  for (let at = 0; at < text.length; ) {
    const [kind, piece] = pieceAt(text, at, { inTemplate: open.at(-1) === 0, before })
    if (kind === 'template') {
      if (piece.startsWith('}')) open.pop()
      if (piece.endsWith('${')) open.push(0)
    } else if (open.length > 0 && (piece === '{' || piece === '}')) {
      open.push((open.pop() ?? 0) + (piece === '{' ? 1 : -1))
    }
    if (kind !== 'space') {
      const token: Token = { kind: kind === 'template' ? 'other' : kind, text: piece, line }
      tokens.push(token)
      if (kind !== 'comment') before = token
    }
    line += piece.split('\n').length - 1
    at += piece.length
  }
  return tokens
}

function pieceAt(
  text: string,
  at: number,
  { inTemplate, before }: { inTemplate: boolean; before: Token | undefined },
): readonly [Token['kind'] | 'space' | 'template', string] {
  const char = text[at]
  if (char === '`' || (char === '}' && inTemplate)) return ['template', take(TEMPLATE, text, at) ?? '`']
  for (const [kind, shape] of SHAPES) {
    if (kind === 'mark' && char === '/' && expressionMayFollow(before)) {
      const regexp = take(REGEXP, text, at)
      if (regexp !== undefined) return ['other', regexp]
    }
    const piece = take(shape, text, at)
    if (piece !== undefined) return [kind, piece]
  }
  return ['mark', text.slice(at, at + 1)]
}

/** Whether a `/` after this token begins a regular expression; it divides otherwise. */
function expressionMayFollow(before: Token | undefined): boolean {
  if (before?.kind === 'word') return BEFORE_AN_EXPRESSION.test(before.text)
  if (before?.kind === 'mark') return !')]}'.includes(before.text)
  // After `${` comes an expression; after the end of a template, a string or a number comes none.
  return before === undefined || before.text.endsWith('${')
}

function take(shape: RegExp, text: string, at: number): string | undefined {
  shape.lastIndex = at
  return shape.exec(text)?.[0]
}

/** Every file below `folders` of `root` whose name ends with `ending`: path from the root, with `/`, to text. */
export function readTree(root: string, folders: readonly string[], ending: string): Map<string, string> {
  const files = new Map<string, string>()
  for (const folder of folders) {
    let names: string[]
    try {
      names = readdirSync(join(root, folder), { recursive: true, encoding: 'utf8' })
    } catch (cause) {
      if (cause instanceof Error && 'code' in cause && cause.code === 'ENOENT') continue
      throw cause
    }
    for (const name of names.sort()) {
      if (!name.endsWith(ending)) continue
      files.set(posix.join(folder, name.replaceAll(sep, '/')), readFileSync(join(root, folder, name), 'utf8'))
    }
  }
  return files
}

if (import.meta.main) {
  const { values } = parseArgs({
    options: { root: { type: 'string', default: join(import.meta.dirname, '..') }, markdown: { type: 'boolean' } },
  })
  if (values.markdown) {
    process.stdout.write(markdown())
  } else {
    const violations = check(readTree(values.root, ['src', 'test', 'tools'], '.ts'))
    for (const { file, line, message } of violations) console.log(`${file}:${line}: ${message}`)
    process.exitCode = violations.length > 0 ? 1 : 0
  }
}
