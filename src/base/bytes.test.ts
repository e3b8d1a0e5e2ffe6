import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import { runs } from './any-bytes.test.ts'
import {
  bytes,
  ControlFinder,
  concat,
  copy,
  equal,
  find,
  fromBase64,
  lower,
  show,
  strictUtf8,
  text,
  toBase64,
  upper,
} from './bytes.ts'

test('bytes() gives an octet per character, and throws where a character does not fit into one', () => {
  assert.deepEqual(bytes('a\r\n\u00ff'), Uint8Array.of(0x61, 0x0d, 0x0a, 0xff))
  // Narrowing U+760D U+760A would make CR LF.
  assert.throws(() => bytes('\u760d\u760a'), RangeError)
})

test('text() is the inverse of bytes(), from any place to any other', () => {
  fc.assert(
    fc.property(fc.uint8Array({ maxLength: 50 }), octets => equal(bytes(text(octets)), octets)),
    runs(200),
  )
  assert.equal(text(bytes('HELO a'), 2, 4), 'LO')
  assert.equal(text(new Uint8Array(20_000).fill(0x61)).length, 20_000)
})

test('find() finds what indexOf of a string would find', () => {
  const some = fc.string({ unit: fc.constantFrom('a', 'b', '\r', '\n', '.'), maxLength: 12 })
  fc.assert(
    fc.property(some, some, fc.nat(13), (haystack, needle, from) => {
      if (needle === '') return
      assert.equal(find(bytes(haystack), bytes(needle), from), haystack.indexOf(needle, from))
    }),
    runs(1000),
  )
})

test('a ControlFinder finds what looking at every octet finds, wherever in memory they are', () => {
  const octet = fc.oneof({ arbitrary: fc.constantFrom(0, 9, 10, 13, 14, 127, 128, 255), weight: 1 }, fc.constant(0x61))
  fc.assert(
    fc.property(fc.array(octet, { maxLength: 40 }), fc.nat(3), fc.nat(40), (octets, shift, from) => {
      const memory = new Uint8Array(shift + octets.length)
      memory.set(octets, shift)
      const found = octets.findIndex((each, at) => at >= from && each <= 13)
      const expected = found < 0 ? octets.length : found
      assert.equal(new ControlFinder(memory.subarray(shift)).next(Math.min(from, octets.length)), expected)
    }),
    runs(2000),
  )
})

test('upper() and lower() fold ASCII letters and nothing else', () => {
  assert.equal(upper('ehlo ß ı ÿ'), 'EHLO ß ı ÿ')
  // U+0130 and U+212A fold to i and k elsewhere, and would make two names one.
  assert.equal(lower('K\u212a\u0130I'), 'k\u212a\u0130i')
})

test('toBase64() is that of RFC 4648 §10, and fromBase64() reads nothing else', () => {
  const known = { '': '', f: 'Zg==', fo: 'Zm8=', foo: 'Zm9v', foob: 'Zm9vYg==', fooba: 'Zm9vYmE=', foobar: 'Zm9vYmFy' }
  for (const [plain, coded] of Object.entries(known)) {
    assert.equal(toBase64(bytes(plain)), coded)
    assert.equal(text(fromBase64(coded) ?? bytes('?')), plain)
  }
  for (const wrong of ['Zg', 'Zg=', 'Z===', 'Zm9v\n', 'Zm 9', '=Zg=', 'Zm9-'])
    assert.equal(fromBase64(wrong), undefined)
  fc.assert(
    fc.property(fc.uint8Array(), octets => {
      assert.equal(toBase64(octets), Buffer.from(octets).toString('base64'))
      assert.deepEqual(fromBase64(toBase64(octets)), octets)
    }),
    runs(200),
  )
})

test('strictUtf8() gives no text for octets that are not UTF-8, and keeps a byte order mark', () => {
  assert.equal(strictUtf8(Uint8Array.of(0xc3, 0xbc)), 'ü')
  assert.equal(strictUtf8(Uint8Array.of(0xc3)), undefined)
  assert.equal(strictUtf8(Uint8Array.of(0xc0, 0x8d)), undefined) // an overlong CR
  assert.equal(strictUtf8(Uint8Array.of(0xef, 0xbb, 0xbf)), '\ufeff')
})

test('show() leaves nothing invisible', () => {
  assert.equal(show(bytes('a\r\n\t\\\0\u007f\u00e9')), 'a\\r\\n\\t\\\\\\x00\\x7f\\xe9')
})

test('copy() of a Buffer has memory of its own, and concat() of one part is that part', () => {
  const buffer = Buffer.from('abc')
  const copied = copy(buffer)
  buffer[0] = 0
  assert.equal(text(copied), 'abc')
  assert.equal(concat([copied]), copied)
  assert.equal(text(concat([bytes('a'), bytes(''), bytes('bc')])), 'abc')
})
