import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import { anyCuts, anyOctets, cut, runs } from '../base/any-bytes.test.ts'
import { bytes, concat, equal, text } from '../base/bytes.ts'
import { GREETING_START, type GreetingCursor, maskGreeting, maskKeyword, maskLine, moveOn } from './mask.ts'
import type { MaskKind } from './policy.ts'

const GREETING_KINDS: readonly MaskKind[] = ['keep-2-0', 'stars', 'stars-by-line', 'cmap']
const LINE_KINDS: readonly MaskKind[] = ['x-verb', 'x-line', 'noop']

const masked = (greeting: string, how: MaskKind) => text(maskGreeting(bytes(greeting), how, GREETING_START))

test('maskGreeting() keeps the first code, 2, 0, and a space behind an original 0', () => {
  assert.equal(masked('220 20 0 2 x0\r\n', 'keep-2-0'), '220 20 0 2**0\r\n')
  assert.equal(masked('220-a\r\n220-b\r\n220 c\r\n', 'keep-2-0'), '220-*\r\n220**\r\n220 *\r\n')
  assert.equal(masked('220 20 0\r\n220 b\r\n', 'stars'), '220 ****\r\n*****\r\n')
  assert.equal(masked('220 mail.example ready now\r\n', 'cmap'), '220 SMTP/cmap ready_______\r\n')
  assert.equal(masked('220-a 20\r\n220 b\r\n', 'stars-by-line'), '220-****\r\n220 *\r\n')
})

test('the tail of a banner in the Microsoft knowledge base is what the rule makes of the one it was reconstructed from', () => {
  const tail = '5.0.2195.4905 ready at  Thu, 9 May 2002 13:14:25 -0400'
  assert.equal(
    masked(`220 mail ${tail}`, 'keep-2-0').slice(-tail.length),
    '**0*2******0***********************2002*******2***0*00',
  )
})

test('maskKeyword() hides a line of the EHLO reply, and its ordinal letter goes round behind Z', () => {
  const hidden = (line: string, ordinal?: number) => text(maskKeyword(bytes(line), ordinal))
  assert.equal(hidden('STARTTLS\r\n', 0), 'XXXXXXXA\r\n')
  assert.equal(hidden('X-EXPS GSSAPI NTLM\r\n', 25), 'XXXXXXXXXXXXXXXXXZ\r\n')
  assert.equal(hidden('HELP', 26), 'XXXA')
  assert.equal(hidden('HEL', undefined), 'XXX')
  assert.equal(hidden('\r\n', 3), '\r\n')
})

test('a greeting in pieces is masked as it is in one', () => {
  fc.assert(
    fc.property(
      anyOctets('220 ', '220-', '2', '0', ' ', '\r\n', 'text'),
      anyCuts,
      fc.constantFrom(...GREETING_KINDS),
      (octets, cuts, how) => {
        let cursor: GreetingCursor = GREETING_START
        const pieces = cut(octets, cuts).map(piece => {
          const out = maskGreeting(piece, how, cursor)
          cursor = moveOn(cursor, piece)
          return out
        })
        assert.deepEqual(concat(pieces), maskGreeting(octets, how, GREETING_START))
      },
    ),
    runs(500),
  )
})

test('no mask changes a length or a line end, and none changes what it has masked', () => {
  const kinds = fc.constantFrom<MaskKind>(...GREETING_KINDS, ...LINE_KINDS)
  fc.assert(
    fc.property(anyOctets('EHLO', ' ', '\r', '\n', '20 ', 'x'), fc.nat(12), kinds, (octets, length, how) => {
      const verbLength = Math.min(length, octets.length)
      const mask = (it: Uint8Array) =>
        GREETING_KINDS.includes(how) ? maskGreeting(it, how, GREETING_START) : maskLine(it, how, verbLength)
      const before = octets.slice()
      const out = mask(octets)
      assert.ok(equal(octets, before), 'what was given stays as it was')
      assert.equal(out.length, octets.length)
      for (const [i, octet] of octets.entries()) {
        if (octet === 13 || octet === 10) assert.equal(out[i], octet)
      }
      assert.deepEqual(mask(out), out)
    }),
    runs(500),
  )
})

test('maskLine() hides the verb, or the line, or says NOOP where it fits', () => {
  const line = (words: string, how: MaskKind, verb: number) => text(maskLine(bytes(words), how, verb))
  assert.equal(line('EHLO a.example\r\n', 'x-verb', 4), 'XXXX a.example\r\n')
  assert.equal(line('EHLO a.example\r\n', 'x-line', 4), 'XXXXXXXXXXXXXX\r\n')
  assert.equal(line('STARTTLS\r\n', 'noop', 8), 'NOOP    \r\n')
  assert.equal(line('WIZ\r\n', 'noop', 3), 'XXX\r\n')
})

test('a Buffer, whose slices share their memory, is not written to', () => {
  const segment = Buffer.from('EHLO a\r\n')
  maskLine(segment, 'x-line', 4)
  maskGreeting(segment, 'stars', GREETING_START)
  assert.equal(segment.toString(), 'EHLO a\r\n')
})
