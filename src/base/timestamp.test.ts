import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import { runs } from './any-bytes.test.ts'
import { formatTimestamp, parseTimestamp } from './timestamp.ts'

test('a timestamp is written and read as the calendar has it', () => {
  fc.assert(
    fc.property(fc.integer({ min: 0, max: 253_402_300_799 }), seconds => {
      const text = new Date(seconds * 1000).toISOString().replace('.000Z', 'Z')
      assert.equal(formatTimestamp(seconds * 1000 + 999), text)
      assert.equal(parseTimestamp(text), seconds * 1000)
    }),
    runs(500),
  )
  assert.equal(parseTimestamp('2026-01-31T09:30:00.25+01:30'), Date.parse('2026-01-31T08:00:00.250Z'))
  assert.equal(parseTimestamp('2026-01-31t23:00:00-02:00'), Date.parse('2026-02-01T01:00:00Z'))
})

test('what is on no calendar is no time', () => {
  for (const none of [
    '',
    '2026-02-29T00:00:00Z',
    '2026-13-01T00:00:00Z',
    '2026-00-01T00:00:00Z',
    '2026-01-32T00:00:00Z',
    '2026-01-01T24:00:00Z',
    '2026-01-01T00:00:00',
    '2026-01-01',
    '2026-01-01T00:00:00+25:00',
    '2026-01-01T00:00:00Z ',
    '20260101T000000Z',
  ])
    assert.equal(parseTimestamp(none), undefined, none)
  assert.equal(parseTimestamp('2024-02-29T00:00:00Z'), Date.parse('2024-02-29T00:00:00Z'))
})
