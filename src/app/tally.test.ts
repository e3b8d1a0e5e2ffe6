import assert from 'node:assert/strict'
import { test } from 'node:test'
import { MAX_SAID, Tally } from './tally.ts'

test('what is said again and again is said by powers of ten, and what is said of too many is said of others', () => {
  const tally = new Tally('others knock')
  const said = Array.from({ length: 1_000 }, () => tally.count('x knocks')).filter(each => each !== undefined)
  assert.deepEqual(said, ['x knocks', 'x knocks (10 times)', 'x knocks (100 times)', 'x knocks (1000 times)'])
  const strangers = Array.from({ length: 100 }, (_, n) => tally.count(`${n} knocks`)).filter(each => each !== undefined)
  assert.equal(strangers.length, MAX_SAID - 1 + 2)
  assert.deepEqual(strangers.slice(-2), ['others knock', 'others knock (10 times)'])
  assert.equal(tally.count('0 knocks'), undefined)
})
