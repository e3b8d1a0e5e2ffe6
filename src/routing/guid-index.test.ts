import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import { runs } from '../base/any-bytes.test.ts'
import { GuidIndex, readWords, sayWords, WORDS } from './guid-index.ts'
import { dashed, parseGuid } from './link-state.ts'

const anyDigits = fc.string({ unit: fc.constantFrom(...'0123456789abcdef'), minLength: 32, maxLength: 32 })
/** Many that differ in a digit, so that they meet in the index. */
const anyNear = fc.tuple(fc.nat(31), fc.constantFrom(...'01ab')).map(([at, digit]) => {
  const zeros = '0'.repeat(32)
  return zeros.slice(0, at) + digit + zeros.slice(at + 1)
})

function wordsOf(guids: readonly string[]): Int32Array {
  const words = new Int32Array(WORDS * guids.length)
  for (const [i, guid] of guids.entries()) assert.ok(readWords(guid, words, WORDS * i), guid)
  return words
}

test('every GUID is found where it stands, and no other is', () => {
  fc.assert(
    fc.property(fc.uniqueArray(fc.oneof(anyDigits, anyNear), { maxLength: 100 }), anyNear, (guids, other) => {
      const words = wordsOf(guids)
      const index = new GuidIndex(words)
      for (const [place, guid] of guids.entries()) {
        assert.equal(index.place(words, WORDS * place), place)
        assert.equal(sayWords(words, WORDS * place), guid)
      }
      assert.equal(index.place(wordsOf([other]), 0), guids.indexOf(other))
    }),
    runs(300),
  )
})

test('what is a GUID, and what is none, is as parseGuid has it', () => {
  const zeros = '0'.repeat(32)
  const read = (word: string) => {
    const words = new Int32Array(WORDS)
    return readWords(word, words, 0) ? sayWords(words, 0) : undefined
  }
  const odd = [
    '',
    zeros.slice(1),
    `${zeros}0`,
    `${zeros.slice(1)}g`,
    `${zeros.slice(1)}\u0130`,
    `${zeros}0000`,
    dashed(zeros).replaceAll('-', '0'),
    `-${dashed(zeros).slice(1)}`,
    '0000000-00000-0000-0000-000000000000',
    '--------------------------------0000',
    `${zeros.slice(4)}----`,
  ]
  for (const word of [zeros, dashed(zeros), dashed('ab'.repeat(16)), ...odd])
    assert.equal(read(word), parseGuid(word), word)
  fc.assert(
    fc.property(fc.string({ unit: fc.constantFrom(...'0aF-g'), minLength: 30, maxLength: 38 }), word => {
      assert.equal(read(word), parseGuid(word))
    }),
    runs(300),
  )
  fc.assert(
    fc.property(anyDigits, digits => {
      for (const word of [digits, dashed(digits), digits.toUpperCase()]) assert.equal(read(word), digits)
    }),
    runs(300),
  )
})
