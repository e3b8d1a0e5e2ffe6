import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import { DueTimes } from './due.ts'

const step = fc.oneof(
  fc.record({ what: fc.constant('set' as const), id: fc.constantFrom('a', 'b', 'c', 'd'), at: fc.nat(9) }),
  fc.record({ what: fc.constant('delete' as const), id: fc.constantFrom('a', 'b', 'c', 'd') }),
  fc.record({ what: fc.constant('take' as const), now: fc.nat(9) }),
)

test('it gives the earliest due, as a list that is sorted anew each time would', () => {
  fc.assert(
    fc.property(fc.array(step, { maxLength: 300 }), steps => {
      const due = new DueTimes()
      const model = new Map<string, number>()
      for (const each of steps) {
        if (each.what === 'set') {
          due.set(each.id, each.at)
          model.set(each.id, each.at)
        } else if (each.what === 'delete') {
          due.delete(each.id)
          model.delete(each.id)
        } else {
          const earliest = Math.min(...model.values())
          const taken = due.take(each.now)
          assert.equal(taken === undefined, earliest > each.now)
          if (taken !== undefined) {
            assert.equal(model.get(taken), earliest)
            model.delete(taken)
          }
        }
        assert.equal(due.size, model.size)
        assert.equal(due.first()?.at, model.size === 0 ? undefined : Math.min(...model.values()))
      }
    }),
  )
})
