import assert from 'node:assert/strict'
import { mock, test } from 'node:test'
import fc from 'fast-check'
import { Alarm, GRAIN } from './alarm.ts'

// For the whole file: all alarms of a process share one timer.
mock.timers.enable({ apis: ['setTimeout', 'Date'] })
/** By how much the clock on the wall was set. */
let set = 0
const passed = Date.now
mock.method(performance, 'now', () => passed())
Date.now = () => passed() + set

const steps = fc.array(
  fc.oneof(
    fc.record({ do: fc.constant('set' as const), which: fc.nat(3), by: fc.integer({ min: -50, max: 300 }) }),
    fc.record({ do: fc.constant('off' as const), which: fc.nat(3), by: fc.constant(0) }),
    fc.record({ do: fc.constant('pass' as const), which: fc.constant(0), by: fc.integer({ min: 1, max: 300 }) }),
  ),
  { maxLength: 30 },
)

test('an alarm rings once, not before it is due and hardly after, unless it is set anew or called off', () => {
  fc.assert(
    fc.property(steps, played => {
      const due: (number | undefined)[] = [undefined, undefined, undefined, undefined]
      const alarms = due.map(
        (_, which) =>
          new Alarm(() => {
            const late = Date.now() - (due[which] ?? Infinity)
            assert.ok(late >= 0 && late <= GRAIN + 1, `alarm ${which} rang ${late} ms late`)
            due[which] = undefined
          }),
      )
      for (const { do: what, which, by } of played) {
        if (what === 'set') {
          // What is due already rings as soon as it can.
          due[which] = Date.now() + Math.max(0, by)
          alarms[which]?.set(Date.now() + by)
        } else if (what === 'off') {
          due[which] = undefined
          alarms[which]?.off()
        } else {
          for (let left = by; left > 0; left--) mock.timers.tick(1)
          for (const each of due) assert.ok((each ?? Infinity) >= Date.now() - GRAIN - 1, 'an alarm did not ring')
        }
      }
      for (const alarm of alarms) alarm.off()
    }),
    { numRuns: 300 },
  )
})

test('one that is due in some hours rings then', () => {
  let rang = 0

  const alarm = new Alarm(() => rang++)
  alarm.set(Date.now() + 5 * 3_600_000)
  for (let hours = 0; hours < 4; hours++) mock.timers.tick(3_600_001)
  assert.equal(rang, 0)
  mock.timers.tick(3_600_000)
  assert.equal(rang, 1)
})

test('a clock that is set makes no alarm early or late, and no time at all is no reason to wait', () => {
  const rang: string[] = []
  const sets = (name: string, wait: number) => new Alarm(() => rang.push(name)).set(Date.now() + wait)
  sets('a', 8_000)
  set += 600_000
  sets('b', 300)
  mock.timers.tick(301)
  assert.deepEqual(rang, ['b'])
  sets('c', 500)
  set -= 3_600_000
  mock.timers.tick(501)
  assert.deepEqual(rang, ['b', 'c'])
  sets('d', Number.NaN)
  mock.timers.tick(1)
  assert.deepEqual(rang, ['b', 'c', 'd'])
  mock.timers.tick(8_000)
  assert.deepEqual(rang, ['b', 'c', 'd', 'a'])
})
