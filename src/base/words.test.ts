import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import { runs } from './any-bytes.test.ts'
import { newId } from './id.ts'
import { cite, formatDiagnostic } from './problem.ts'
import { formatDuration, parseDuration, sayDuration } from './time.ts'

test('formatDuration() writes the largest unit without remainder, and parseDuration() reads it back', () => {
  const written = { '1ms': 1, '1500ms': 1500, '90s': 90_000, '5m': 300_000, '1h': 3_600_000, '2d': 172_800_000 }
  for (const [word, duration] of Object.entries(written)) assert.equal(formatDuration(duration), word)
  fc.assert(
    // Nine digits are read at most, so nobody can have written more milliseconds than that.
    fc.property(
      fc.oneof(
        fc.nat(999_999_999),
        fc.nat(999).map(days => days * 86_400_000),
      ),
      duration => {
        assert.equal(parseDuration(formatDuration(duration)), duration)
      },
    ),
    runs(200),
  )
  for (const wrong of ['5', 'm', '-5m', '5 m', '5M', '1.5h', '']) assert.equal(parseDuration(wrong), undefined)
})

test('sayDuration() says no more than two units', () => {
  assert.equal(sayDuration(12), '12ms')
  assert.equal(sayDuration(2_000), '2.0s')
  assert.equal(sayDuration(3_900_000), '1h 5m')
  assert.equal(sayDuration(172_800_000 + 3_661_000), '2d 1h')
})

test('newId() sorts by time, and is of letters and digits that can be read aloud', () => {
  const zeros = () => new Uint8Array(7)
  const ids = [0, 31, 32, 1_001_783_358_000, 1_001_783_358_001].map(now => newId(now, zeros))
  assert.deepEqual(ids, ids.toSorted())
  assert.equal(new Set(ids).size, ids.length)
  assert.match(
    newId(1_001_783_358_000, count => new Uint8Array(count).fill(255)),
    /^[0-9A-HJKMNP-TV-Z]{16}$/,
  )
})

test('a diagnostic shows the line, and a caret under what is meant', () => {
  const at = { file: 'fw.conf', line: 3, column: 8, length: 4, text: 'nameif eth0 dmz' }
  assert.equal(cite(at), 'fw.conf:3')
  assert.equal(
    formatDiagnostic({ severity: 'error', message: 'no such device', hint: 'known: ethernet0', at }),
    'fw.conf:3:8: error: no such device\n   nameif eth0 dmz\n          ^~~~  known: ethernet0',
  )
  assert.equal(formatDiagnostic({ severity: 'warning', message: 'so it is' }), 'warning: so it is')
})
