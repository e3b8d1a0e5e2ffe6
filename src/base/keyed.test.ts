import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import { runs } from './any-bytes.test.ts'
import { Keyed } from './keyed.ts'

interface Item {
  readonly name: string
  readonly no: number
}

test('a list is what it would be without an index, whichever list is asked, and whenever', () => {
  const name = fc.constantFrom('a', 'A', 'b', 'B', 'c')
  const step = fc.record({ on: fc.nat(), name, isGone: fc.boolean() })
  fc.assert(
    fc.property(fc.array(step, { maxLength: 30 }), steps => {
      const keyed = new Keyed<Item>(each => each.name.toLowerCase())
      // Every list that there was may be gone on with.
      const lists: (readonly Item[])[] = [[]]
      for (const [no, { on, name, isGone }] of steps.entries()) {
        const list = lists[on % lists.length] ?? []
        const key = name.toLowerCase()
        const others = list.filter(each => each.name.toLowerCase() !== key)
        const next = isGone ? keyed.without(list, key) : keyed.with(list, { name, no })
        assert.deepEqual(next, isGone ? others : [...others, { name, no }])
        lists.push(next)
        for (const each of lists)
          assert.equal(
            keyed.find(each, key),
            each.find(item => item.name.toLowerCase() === key),
          )
      }
    }),
    runs(300),
  )
})

test('n items take n keys, and what is found in them none', () => {
  let made = 0
  const keyed = new Keyed<string>(item => {
    made++
    return item.toLowerCase()
  })
  let list: readonly string[] = []
  for (let i = 0; i < 100; i++) list = keyed.with(list, `Item${i}`)
  assert.equal(keyed.find(list, 'item7'), 'Item7')
  assert.equal(keyed.find(list, 'item100'), undefined)
  assert.equal(made, 100)
})
