import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import { runs } from '../base/any-bytes.test.ts'
import { formatSchedule, opensAt, parseSchedule, type Schedule } from './schedule.ts'

const read = (text: string): Schedule => {
  const found = parseSchedule(text)
  if ('wrong' in found) assert.fail(found.wrong)
  return found
}
const at = (text: string): number => new Date(`${text}Z`).getTime()
const opens = (schedule: string, now: string): string | undefined => {
  const found = opensAt(read(schedule), at(now))
  return found === undefined ? undefined : new Date(found).toISOString().slice(0, 16)
}

test('a schedule is always, never, or windows of a week on a grid of 15 minutes', () => {
  assert.equal(opens('always', '2001-09-29T13:09'), '2001-09-29T13:09')
  assert.equal(opens('never', '2001-09-29T13:09'), undefined)
  // 2001-09-29 was a Saturday.
  assert.equal(opens('mon-fri 08:00-18:00', '2001-09-29T13:09'), '2001-10-01T08:00')
  assert.equal(opens('mon-fri 08:00-18:00', '2001-10-01T17:59'), '2001-10-01T17:59')
  assert.equal(opens('mon-fri 08:00-18:00', '2001-10-01T18:00'), '2001-10-02T08:00')
  assert.equal(opens('sat 12:00-13:00', '2001-09-29T13:09'), '2001-10-06T12:00')
  assert.equal(opens('fri-mon 22:15-24:00 wed 00:00-01:00', '2001-09-30T12:00'), '2001-09-30T22:15')
})

test('what is no schedule is pointed out', () => {
  const wrong = { '': 'expected', noon: 'is no day', 'mon 8-9': 'a time such as', mon: 'a time such as' }
  const more = { 'mon 08:10-09:00': 'steps of 15', 'mon 08:00-24:15': '24:00', 'mon 18:00-08:00': 'before it begins' }
  for (const [text, why] of Object.entries({ ...wrong, ...more, 'mon-tue-wed 08:00-09:00': 'is no day' })) {
    const found = parseSchedule(text)
    assert.ok('wrong' in found && found.wrong.includes(why), `${text}: ${JSON.stringify(found)}`)
  }
})

test('a schedule reads back as it is written, and opens no earlier than now', () => {
  const anyWindow = fc
    .record({
      days: fc.uniqueArray(fc.nat(6), { minLength: 1 }).map(days => days.sort()),
      from: fc.nat(95).map(n => n * 15),
      length: fc.integer({ min: 1, max: 96 }),
    })
    .map(({ days, from, length }) => ({ days, from, to: Math.min(24 * 60, from + length * 15) }))
  fc.assert(
    fc.property(fc.array(anyWindow, { minLength: 1, maxLength: 4 }), fc.nat(1_000_000_000), (windows, seconds) => {
      const schedule: Schedule = { kind: 'windows', windows }
      assert.deepEqual(parseSchedule(formatSchedule(schedule)), schedule)
      const opens = opensAt(schedule, seconds * 1000)
      assert.ok(opens !== undefined && opens >= seconds * 1000 && opens < seconds * 1000 + 8 * 86_400_000)
      assert.equal(opensAt(schedule, opens), opens)
    }),
    runs(300),
  )
})
