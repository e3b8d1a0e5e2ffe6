import assert from 'node:assert/strict'
import { test } from 'node:test'
import { citations, GENERATED, region, stale } from './docs.ts'
import { markdown } from './layers.ts'

function cited(text: string): readonly string[] {
  return citations(text).map(({ rfc, section }) => `${rfc} ${section}`)
}

function written(tree: Record<string, string>): Record<string, string> {
  const entries = stale(new Map(Object.entries(tree))).map(({ file, text }) => [file, text ?? ''])
  return { ...tree, ...Object.fromEntries(entries) }
}

function messages(tree: Record<string, string>): readonly string[] {
  return stale(new Map(Object.entries(tree))).map(({ message }) => message)
}

const TREE = {
  'src/smtp/line.ts': '// RFC 5321 §4.1.1.10 and RFC 5321 §2.3.8, §4.1.1.9\n/** RFC 821 §4.5.1 */\n',
  'src/smtp/body.ts': '// See RFC 5321 §2.3.8.\n',
  'src/smtp/body.test.ts': '// RFC 9999 §1\n',
  'ARCHITECTURE.md': '# Architecture\n\n<!-- layers -->\n<!-- /layers -->\n\nMore.\n',
}

test('citations() reads the one form, in comments only', () => {
  assert.deepEqual(cited('// RFC 5321 §4.5.3.1.6.'), ['5321 4.5.3.1.6'])
  assert.deepEqual(cited('/** RFC 5321 §2.3.8, §4.1 and §4.2: lines */'), ['5321 2.3.8', '5321 4.1', '5321 4.2'])
  assert.deepEqual(cited('/* RFC 5321 §B, RFC 3461 §4 */'), ['5321 B', '3461 4'])
  assert.deepEqual(cited(`const a = 'RFC 5321 §4.1' // RFC 5321, section 4.1; RFC 5321`), [])
})

test('citations() reads over the end of a line', () => {
  assert.deepEqual(cited('/**\n * Words RFC\n * 5321 §4.1,\n * §4.2\n */'), ['5321 4.1', '5321 4.2'])
  assert.deepEqual(cited('  // words RFC 5321\n  // §4.1'), ['5321 4.1'])
  assert.deepEqual(cited('// words RFC 5321\n\n// §4.1\n'), [])
})

test('docs/rfcs.md is sorted by RFC and section, and links to files', () => {
  const rfcs = written(TREE)['docs/rfcs.md'] ?? ''
  assert.match(rfcs, /^<!-- Made by tools\/docs\.ts/)
  assert.deepEqual(
    rfcs.split('\n').filter(line => /^##|^\| \[/.test(line)),
    [
      '## [RFC 821](https://www.rfc-editor.org/rfc/rfc821.html)',
      '| [§4.5.1](https://www.rfc-editor.org/rfc/rfc821.html#section-4.5.1) | [smtp/line.ts](../src/smtp/line.ts) |',
      '## [RFC 5321](https://www.rfc-editor.org/rfc/rfc5321.html)',
      '| [§2.3.8](https://www.rfc-editor.org/rfc/rfc5321.html#section-2.3.8) | [smtp/body.ts](../src/smtp/body.ts), [smtp/line.ts](../src/smtp/line.ts) |',
      '| [§4.1.1.9](https://www.rfc-editor.org/rfc/rfc5321.html#section-4.1.1.9) | [smtp/line.ts](../src/smtp/line.ts) |',
      '| [§4.1.1.10](https://www.rfc-editor.org/rfc/rfc5321.html#section-4.1.1.10) | [smtp/line.ts](../src/smtp/line.ts) |',
    ],
  )
})

test('the layer table stands between its markers, and the rest of the file stays', () => {
  assert.equal(
    written(TREE)['ARCHITECTURE.md'],
    `# Architecture\n\n<!-- layers -->\n${markdown()}<!-- /layers -->\n\nMore.\n`,
  )
})

test('what is missing or stale is noticed, and what is fresh is not', () => {
  const [rfcs, layers] = ['docs/rfcs.md', 'ARCHITECTURE.md']
  // These come from tables of the code itself, whatever the tree.
  const tables = ['docs/esmtp.md', 'docs/config.md', 'docs/conformance.md'].map(
    file => `${file} is missing (npm run docs writes it)`,
  )
  assert.deepEqual(messages(TREE), [
    `${rfcs} is missing (npm run docs writes it)`,
    ...tables,
    `${layers} is stale (npm run docs writes it)`,
  ])
  const fresh = written(TREE)
  assert.deepEqual(messages(fresh), [])
  assert.deepEqual(messages({ ...fresh, 'src/smtp/reply.ts': '// RFC 5321 §4.2\n' }), [
    `${rfcs} is stale (npm run docs writes it)`,
  ])
  assert.deepEqual(messages({ ...fresh, [layers]: (fresh[layers] ?? '').replace('the language', 'a language') }), [
    `${layers} is stale (npm run docs writes it)`,
  ])
})

test('a missing file or marker is said, and nothing is written over it', () => {
  const { 'ARCHITECTURE.md': _, ...without } = TREE
  const found = stale(new Map(Object.entries(without))).find(({ file }) => file === 'ARCHITECTURE.md')
  assert.deepEqual(found, {
    file: 'ARCHITECTURE.md',
    message: 'ARCHITECTURE.md: there is no such file (it needs the markers <!-- layers --> and <!-- /layers -->)',
  })
  const content = { name: 'layers', content: '' }
  assert.deepEqual(region(new Map([['A.md', '# A\n']]), 'A.md', content), {
    problem: 'the marker <!-- layers --> is missing',
  })
  assert.deepEqual(region(new Map([['A.md', '<!-- /layers --> <!-- layers -->']]), 'A.md', content), {
    problem: 'the marker <!-- /layers --> is missing',
  })
})

test('another document is another row', () => {
  const row = { file: 'docs/words.md', render: () => 'words\n' }
  const found = stale(new Map(), [...GENERATED, row]).at(-1)
  assert.deepEqual(found, { ...found, file: 'docs/words.md', text: 'words\n' })
})
