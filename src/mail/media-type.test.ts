import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import { runs } from '../base/any-bytes.test.ts'
import { parseMediaType, parseToken } from './media-type.ts'

for (const [value, name, boundary] of [
  [' text/plain', 'text/plain'],
  [' TEXT/Plain; charset=utf-8', 'text/plain'],
  [' (c (d) \\) e) text/plain (f)', 'text/plain'],
  [' multipart/mixed; boundary=abc', 'multipart/mixed', 'abc'],
  [' multipart/mixed; BOUNDARY="a b\\"c"; x=y', 'multipart/mixed', 'a b"c'],
  [' multipart/mixed;\tboundary="----=_Part_1"', 'multipart/mixed', '----=_Part_1'],
  [' multipart/mixed; boundary=----=_Part_1', 'multipart/mixed', '----=_Part_1'],
  [' multipart/mixed; (a; boundary=no) boundary (b) = (c) yes (d);', 'multipart/mixed', 'yes'],
  [' multipart/related; type="text/html"; boundary=a', 'multipart/related', 'a'],
  // Readers differ on these.
  [' multipart/mixed; boundary=a; boundary=b', 'multipart/mixed'],
  [' multipart/mixed; boundary=a; boundary*0=b', 'multipart/mixed'],
  [' multipart/mixed boundary=a', 'multipart/mixed'],
  [' multipart/mixed; boundary="a', 'multipart/mixed'],
  [' multipart/mixed; boundary=a"b', 'multipart/mixed'],
  [' multipart/mixed; boundary=a(b)', 'multipart/mixed'],
  [' multipart/mixed; boundary=a; b c', 'multipart/mixed'],
] as const) {
  test(`parseMediaType() reads${value}`, () => {
    assert.deepEqual(parseMediaType(value), boundary === undefined ? { name } : { name, boundary })
  })
}

for (const value of [
  '',
  ' text',
  ' text/',
  ' /plain',
  ' text/plain/x',
  ' text /plain',
  ' te(x)xt/plain',
  ` a/${'b'.repeat(128)}`,
]) {
  test(`parseMediaType() reads no media type in "${value.slice(0, 20)}"`, () => {
    assert.equal(parseMediaType(value), undefined)
  })
}

test('parseToken() takes one token, and comments around it', () => {
  assert.equal(parseToken(' (c) 8BIT (d)'), '8bit')
  for (const value of ['', ' (8bit)', ' 8bit x', ' 8bit;', ' "8bit"']) assert.equal(parseToken(value), undefined)
})

test('parseMediaType() takes anything, and comes to an end', () => {
  const word = fc.constantFrom('multipart', '/', 'x', ';', ' ', 'boundary', '=', '"', '\\', '(', ')', '\t')
  fc.assert(
    fc.property(fc.array(word, { maxLength: 30 }), words => {
      const read = parseMediaType(words.join(''))
      if (read) assert.match(read.name, /^[a-z]+\/[a-z]+$/)
    }),
    runs(500),
  )
  for (const hostile of [`a/b${'('.repeat(8000)}`, `a/b${';'.repeat(8000)}`, `a/b;x="${'\\'.repeat(8001)}`]) {
    assert.deepEqual(parseMediaType(hostile), { name: 'a/b' })
  }
})
