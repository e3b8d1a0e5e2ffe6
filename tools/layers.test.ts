import assert from 'node:assert/strict'
import { join } from 'node:path'
import { test } from 'node:test'
import { check, importsOf, LAYERS, markdown, readTree, scan } from './layers.ts'

function violations(files: Record<string, string>): readonly string[] {
  return check(new Map(Object.entries(files))).map(({ file, line, message }) => `${file}:${line}: ${message}`)
}

function imports(text: string): readonly (string | undefined)[] {
  return importsOf(scan(text).filter(({ kind }) => kind !== 'comment')).map(({ name }) => name)
}

test('the real tree keeps the order', () => {
  const files = readTree(join(import.meta.dirname, '..'), ['src', 'test', 'tools'], '.ts')
  assert.ok(files.has('src/base/bytes.ts'))
  assert.deepEqual(check(files), [])
})

test('a core file may not import a node: module', () => {
  assert.deepEqual(violations({ 'src/smtp/server.ts': `// the server\nimport { connect } from 'node:net'\n` }), [
    "src/smtp/server.ts:2: smtp may not import 'node:net' (the core uses no packages and no node: modules: have it handed in)",
  ])
})

test('a core file may not import a package, not even its types, not even later', () => {
  assert.equal(violations({ 'src/lab/plan.ts': `import type { Logger } from 'pino'` }).length, 1)
  assert.equal(violations({ 'src/lab/plan.ts': `export type P = import('pino').Logger` }).length, 1)
  assert.equal(violations({ 'src/lab/plan.ts': `export * from 'pino'` }).length, 1)
})

test('a folder may import from itself and from above, and from nowhere else', () => {
  const line = `export const LINE = 1\n`
  assert.deepEqual(
    violations({
      'src/base/bytes.ts': `import { LINE } from '../smtp/line.ts'\n`,
      'src/smtp/line.ts': line,
      'src/smtp/command.ts': `import { LINE } from './line.ts'\nimport '../base/bytes.ts'\n`,
    }),
    ['src/base/bytes.ts:1: base may not import from smtp (only from itself)'],
  )
  assert.deepEqual(violations({ 'src/smtp/line.ts': `import '../../tools/x.ts'`, 'tools/x.ts': '' }), [
    'src/smtp/line.ts:1: smtp may not import tools/x.ts, which is outside the folders of src',
  ])
})

test('await and async are refused in the core, and allowed at the edge', () => {
  const text = `export async function put(): Promise<void> {\n  await Promise.resolve()\n}\n`
  assert.deepEqual(violations({ 'src/spool/spool.ts': text }), [
    'src/spool/spool.ts:1: spool is core and may not say "async" (give an output or a deadline; waiting is for io)',
    'src/spool/spool.ts:2: spool is core and may not say "await" (give an output or a deadline; waiting is for io)',
  ])
  assert.deepEqual(violations({ 'src/io/memory-spool.ts': text }), [])
})

test('await and async in comments, strings and types are no waiting', () => {
  const text = [
    '/* await */ // async',
    `export const WORDS = ['await', "async", \`await \${1} async\`, /await'/]`,
    'export interface Spool { put(body: AsyncIterable<Uint8Array>): Promise<void>; readonly async?: boolean }',
    'export const asynchronous = ({ spool }: { spool: Spool }) => spool.async',
  ].join('\n')
  assert.deepEqual(violations({ 'src/spool/spool.ts': text }), [])
})

test('an import in a comment or a string is no import', () => {
  const text = [
    `// import 'node:fs'`,
    `/* import x from 'node:fs' */`,
    `/** import('node:fs') */`,
    `export const A = "import 'node:fs'"`,
    `export const B = \`import 'node:fs' \${A + \`import('node:net') \${A}\`} export * from 'node:fs'\``,
    `export const C = A.replace(/"import 'node:fs'/, '') // '`,
    `export const D = 4 / 2 // import('node:fs') / 2`,
  ].join('\n')
  assert.deepEqual(violations({ 'src/base/bytes.ts': text }), [])
})

test('what comes after a comment, a string or a regular expression is read again', () => {
  for (const before of [
    '/* ` */',
    '// `\n',
    `f('\\'', "'")`,
    'f(/[/`\'"]/, /\\//)',
    `\`\${f({ a: \`}\` })}\``,
    'a / b',
    '(1) / 2',
  ]) {
    assert.deepEqual(imports(`${before}\nimport 'node:fs'\n`), ['node:fs'], before)
  }
})

test('every form of import is read', () => {
  assert.deepEqual(imports(`import a, { type b, c as d } from './1.ts'\nimport * as e from "./2.ts"`), [
    './1.ts',
    './2.ts',
  ])
  assert.deepEqual(imports(`import type { a } from './1.ts'\nimport './2.ts'`), ['./1.ts', './2.ts'])
  assert.deepEqual(
    imports(`export { a } from './1.ts'\nexport type { b } from './2.ts'\nexport * as c from './3.ts'`),
    ['./1.ts', './2.ts', './3.ts'],
  )
  assert.deepEqual(imports(`const a = import(\n  './1.ts')\ntype B = import('./2.ts').B\n\`\${import('./3.ts')}\``), [
    './1.ts',
    './2.ts',
    './3.ts',
  ])
  assert.deepEqual(imports(`import { from } from './1.ts'; import from from './2.ts'`), ['./1.ts', './2.ts'])
  assert.deepEqual(imports(`import(name)`), [undefined])
})

test('what only looks like an import is none', () => {
  assert.deepEqual(imports(`import.meta.main; a.import('x'); export const from = 'x'; export type T = 'from'`), [])
  assert.deepEqual(imports(`export { a }\nconst from = 'x'`), [])
  assert.deepEqual(imports(`export { a }\nimport b from './1.ts'`), ['./1.ts'])
})

test('a relative import names an existing file, .ts included', () => {
  assert.deepEqual(violations({ 'src/base/id.ts': `import './time'\nimport './tiem.ts'\n`, 'src/base/time.ts': '' }), [
    "src/base/id.ts:1: the import './time' must name its file, .ts included",
    "src/base/id.ts:2: the import './tiem.ts' names no file: there is no src/base/tiem.ts",
  ])
})

test('a test may import node:, fast-check and any folder, and no other package', () => {
  const files = {
    'src/base/id.test.ts': `import 'node:fs'\nimport 'fast-check'\nimport '../cli/main.ts'\nimport 'chalk'\nawait 1\n`,
    'src/cli/main.ts': '',
  }
  assert.deepEqual(violations(files), [
    "src/base/id.test.ts:4: a test may not import 'chalk' (from outside: node:*, fast-check)",
  ])
})

test('app may use three modules of Node, io and cli all', () => {
  assert.deepEqual(violations({ 'src/app/console.ts': `import 'node:http'\nimport 'node:fs'\n` }), [
    "src/app/console.ts:2: app may not import 'node:fs' (from outside: node:path, node:url, node:http)",
  ])
  assert.deepEqual(violations({ 'src/io/dial.ts': `import 'node:net'`, 'src/cli/main.ts': `import 'node:fs'` }), [])
})

test('every folder of src is in the list', () => {
  const found = violations({ 'src/utils/misc.ts': '', 'src/main.ts': '' })
  assert.match(found[0] ?? '', /^src\/main\.ts:1: a file of src belongs into one of its folders/)
  assert.match(found[1] ?? '', /^src\/utils\/misc\.ts:1: the folder "utils" is not in the list/)
})

test('the table has one row per folder', () => {
  assert.equal(markdown().trimEnd().split('\n').length, LAYERS.length + 2)
  assert.match(
    markdown(),
    /^\| \[`app`\]\(src\/app\/\) \| product \| `node:path`, `node:url`, `node:http` \| the products \|$/m,
  )
})
