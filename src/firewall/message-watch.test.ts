import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import { anyCuts, cut, runs } from '../base/any-bytes.test.ts'
import { bytes, text } from '../base/bytes.ts'
import { MAX_FIELD, MessageWatch, type Sight } from './message-watch.ts'

/** What was told, as `size body-line 5` or `text filename a.exe`, the lengths of lines left out. */
function told(message: string, pieces: (octets: Uint8Array) => readonly Uint8Array[] = octets => [octets]) {
  const watch = new MessageWatch(() => true)
  const sights: Sight[] = []
  for (const piece of pieces(bytes(message))) for (const sight of watch.push(piece)) sights.push(sight)
  for (const sight of watch.end()) sights.push(sight)
  return { watch, sights: sights.map(({ subject }) => say(subject)) }
}

function say(subject: Sight['subject']): string {
  if (subject.on === 'size') return `size ${subject.what} ${subject.size}`
  if (subject.on === 'word') return `word ${subject.what} ${subject.word}`
  return subject.on === 'text' ? `text ${subject.what} ${text(subject.text)}` : subject.on
}

const MESSAGE = [
  'Subject: parts',
  'To: bob@b.example',
  'to: carol@b.example',
  'Content-Type: multipart/mixed;',
  '\tboundary="a b"',
  '',
  'preamble',
  '--a b',
  'Content-Type: text/plain; name=plain.txt',
  'Content-Transfer-Encoding: Quoted-Printable',
  '',
  'text',
  '--a b',
  'Content-Type: multipart/alternative; boundary=inner',
  '',
  '--inner',
  'Content-Disposition: attachment; filename*0="long "; filename*1=name.exe',
  '',
  '--inner--',
  '--a b--',
  'Content-Type: image/png',
  '',
].join('\r\n')

test('a message tells of its fields and those of its parts, and of nothing behind the last boundary', () => {
  const { sights } = told(MESSAGE)
  const fields = sights.filter(each => !/^size (?:header|body|message)/.test(each))
  assert.deepEqual(fields, [
    'word header-field SUBJECT',
    'text header-value Subject: parts',
    'word header-field TO',
    'text header-value To: bob@b.example',
    'size to-fields 1',
    'word header-field TO',
    'text header-value to: carol@b.example',
    'size to-fields 2',
    'word header-field CONTENT-TYPE',
    'text header-value Content-Type: multipart/mixed;\tboundary="a b"',
    'text mime-type multipart/mixed',
    'size mime-depth 1',
    'size mime-parts 1',
    'text mime-type text/plain',
    'size filename 9',
    'text filename plain.txt',
    'word mime-encoding quoted-printable',
    'size mime-parts 2',
    'text mime-type multipart/alternative',
    'size mime-depth 2',
    'size mime-parts 3',
    'size filename 13',
    'text filename long name.exe',
  ])
})

test('however a message is cut, it tells the same of its fields, and its sizes are its octets', () => {
  const line = fc.oneof(
    fc.constantFrom(...MESSAGE.split('\r\n')),
    fc.stringMatching(/^[a-z:;= -]{0,20}$/),
    fc.constantFrom('.x', '..', 'a\rb', '--', '--inner', ' folded'),
  )
  fc.assert(
    fc.property(fc.array(line, { minLength: 1, maxLength: 25 }), anyCuts, (lines, cuts) => {
      const message = lines.map(each => `${each}\r\n`).join('')
      const plain = (all: readonly string[]) => all.filter(each => !/^size (?:header|body|message)/.test(each))
      const [whole, pieces] = [told(message), told(message, octets => cut(octets, cuts))]
      assert.deepEqual(plain(pieces.sights), plain(whole.sights))
      for (const { watch } of [whole, pieces]) assert.equal(watch.size, message.length)
      const most = (all: readonly string[], what: string) =>
        Math.max(-1, ...all.flatMap(each => (each.startsWith(`size ${what} `) ? Number(each.split(' ').at(-1)) : [])))
      for (const what of ['header-line', 'body-line', 'header', 'body', 'message']) {
        assert.equal(most(pieces.sights, what), most(whole.sights, what), what)
      }
    }),
    runs(500),
  )
})

test('the longest line is told of with its length, CR LF left out, before it is whole', () => {
  assert.ok(told('Subject: x\r\n\r\naaaa\r\naa\r\n').sights.includes('size body-line 4'))
  assert.ok(told(`A: ${'x'.repeat(2000)}`).sights.includes('size header-line 2003'))
})

test('a field without end costs a constant, and the message is still counted', () => {
  const watch = new MessageWatch(() => true)
  watch.push(bytes('Content-Type: multipart/mixed;'))
  for (let i = 0; i < 100; i++) watch.push(bytes(`\r\n ${'x'.repeat(1000)}`))
  const sights = watch.push(bytes('\r\n\r\nbody'))
  for (const { line } of sights) assert.ok(line.length <= MAX_FIELD + 1000)
  assert.equal(watch.headerSize, 30 + 100 * 1003 + 4)
  assert.equal(watch.bodySize, 4)
})

test('where no rule asks, nothing is told', () => {
  assert.deepEqual(new MessageWatch(() => false).push(bytes(MESSAGE)), [])
})
