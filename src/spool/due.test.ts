import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import { DueTimes, type Timed } from './due.ts'

const step = fc.oneof(
  fc.record({ what: fc.constant('set' as const), id: fc.constantFrom('a', 'b', 'c', 'd'), at: fc.nat(9) }),
  fc.record({ what: fc.constant('delete' as const), id: fc.constantFrom('a', 'b', 'c', 'd') }),
  fc.record({ what: fc.constant('take' as const), now: fc.nat(9) }),
)

test('it gives the earliest due, as a list that is sorted anew each time would', () => {
  fc.assert(
    fc.property(fc.array(step, { maxLength: 300 }), steps => {
      const due = new DueTimes<Timed & { readonly id: string }>()
      const items = new Map(['a', 'b', 'c', 'd'].map(id => [id, { id, at: undefined }]))
      const item = (id: string) => items.get(id) ?? assert.fail(id)
      const model = new Map<string, number>()
      for (const each of steps) {
        if (each.what === 'set') {
          due.set(item(each.id), each.at)
          model.set(each.id, each.at)
        } else if (each.what === 'delete') {
          due.delete(item(each.id))
          model.delete(each.id)
        } else {
          const earliest = Math.min(...model.values())
          const taken = due.take(each.now)
          assert.equal(taken === undefined, earliest > each.now)
          if (taken !== undefined) {
            assert.equal(model.get(taken.id), earliest)
            model.delete(taken.id)
          }
        }
        assert.equal(due.size, model.size)
        for (const { id, at } of items.values()) assert.equal(at, model.get(id))
        assert.equal(due.first()?.at, model.size === 0 ? undefined : Math.min(...model.values()))
      }
    }),
  )
})
