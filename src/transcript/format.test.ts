import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import { bytes, equal, utf8 } from '../base/bytes.ts'
import { assemble, formatTranscript, formatWords } from './format.ts'
import { parseTranscript } from './parse.ts'

// Anything a person may type on a line: no CR, and nothing that opens a section.
const words = fc.string({ unit: 'grapheme', maxLength: 20 }).map(text => text.replace(/[\r\n]/g, ' '))
const exact = fc.string({ minLength: 1, maxLength: 12, unit: 'binary-ascii' }).map(text => JSON.stringify(text))
const name = fc.stringMatching(/^[a-z]{1,8}( [a-z]{1,4})?$/)

const turn = fc.oneof(
  fc.tuple(fc.constantFrom('C', 'S', 'F'), words).map(([mark, said]) => `${mark}: ${said}`),
  fc.tuple(fc.constantFrom('C', 'S', 'F'), exact).map(([mark, said]) => `${mark}= ${said}`),
  fc.tuple(words, words).map(([said, heard]) => `C: ${said}\n=> ${heard}`),
  fc.tuple(words, exact).map(([said, heard]) => `S: ${said}\n# between\n=>= ${heard}`),
  fc.constantFrom('C:', 'S:', 'C: DATA\n=|', '', '(segment ends)', '#', '#note', '(  )'),
  words.map(note => `# ${note}`),
  words.map(direction => `(${direction})`),
)
const section = fc
  .array(
    words.filter(line => !line.startsWith('-- ')),
    { maxLength: 6 },
  )
  .map(lines => lines.map(line => `${line}\n`).join(''))

const source = fc
  .tuple(
    fc.array(
      fc.oneof(
        words.map(prose => `#${prose}`),
        fc.constantFrom('', '# ', 'Note: x'),
      ),
      { maxLength: 5 },
    ),
    fc.uniqueArray(
      name.filter(name => name !== 'dialogue'),
      { maxLength: 4 },
    ),
    fc.array(section, { minLength: 4, maxLength: 4 }),
    fc.nat(4),
    fc.array(turn),
  )
  .map(([head, names, texts, place, turns]) => {
    const sections = names.map((name, i) => `-- ${name} --\n${texts[i] ?? ''}`)
    sections.splice(place, 0, `-- dialogue --\n${turns.map(turn => `${turn}\n`).join('')}`)
    return `${[...new Set(head), 'subject: toy'].join('\n')}\n${sections.join('')}`
  })

test('what is well-formed comes back as it was', () => {
  fc.assert(
    fc.property(source, source => {
      const { transcript, problems } = parseTranscript(source, 'x.smtp')
      assert.deepEqual(problems, [])
      assert.equal(formatTranscript(transcript), source)
    }),
  )
})

test('bytes written as a dialogue line are read back as they were', () => {
  const anyBytes = fc.oneof(
    fc.uint8Array({ minLength: 1, maxLength: 20 }),
    words.map(text => utf8(`${text}\r\n`)),
    fc.constantFrom('250 [[any]]\r\n', 'x \r\n', '\r\n', '\n', 'x', '[[id:a]]').map(bytes),
  )
  fc.assert(
    fc.property(anyBytes, fc.constantFrom('C', 'S', 'F', '=>'), (said, mark) => {
      const source = `subject: x\n-- dialogue --\nC: first\n${formatWords(mark, said)}\n`
      const { transcript, problems } = parseTranscript(source, 'x')
      assert.deepEqual(problems, [])
      const turn = transcript.dialogue[1]
      assert.ok(turn && 'bytes' in turn && equal(turn.bytes, said))
    }),
  )
})

test('bytes are written as text where a reader sees all of them, and exactly where not', () => {
  assert.equal(formatWords('S', bytes('250 Ok\r\n')), 'S: 250 Ok')
  assert.equal(formatWords('C', utf8('MAIL FROM:<j\u00f6rg@a.example>\r\n')), 'C: MAIL FROM:<j\u00f6rg@a.example>')
  assert.equal(formatWords('=>', bytes('XXXX x\n')), '=>= "XXXX x\\n"')
  assert.equal(formatWords('C', bytes('QUIT \r\n')), 'C= "QUIT \\r\\n"')
  assert.equal(formatWords('C', bytes('\xff\x7f\x00\r\n')), 'C= "\\u00ff\\u007f\\u0000\\r\\n"')
  assert.equal(formatWords('C', bytes('\r\n')), 'C:')
  assert.equal(formatWords('S', bytes('250 [[any]]\r\n')), 'S= "250 [[any]]\\r\\n"')
  assert.equal(formatWords('S', bytes('250 [[any]]\r\n'), { asPattern: true }), 'S: 250 [[any]]')
})

test('a section that is new comes last, after a blank line', () => {
  const { transcript } = parseTranscript('subject: x\n\n-- dialogue --\nC: A\n', 'x')
  const sections = new Map([['events', { ...EVENTS, text: 'closed\n' }]])
  assert.equal(
    assemble(transcript, { dialogue: ['C: A'], sections }),
    'subject: x\n\n-- dialogue --\nC: A\n\n-- events --\nclosed\n',
  )
})

const EVENTS = {
  name: 'events',
  text: '',
  blankAfter: false,
  at: { file: 'x', line: 1, column: 1, length: 1, text: '-- events --' },
}
