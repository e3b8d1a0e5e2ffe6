import assert from 'node:assert/strict'
import { test } from 'node:test'
import { setImmediate as turn } from 'node:timers/promises'
import { Turns } from './turns.ts'

test('so much is done at once, in order, and what fails gives its turn back', async () => {
  const turns = new Turns(2)
  const begun: number[] = []
  let [open, most] = [0, 0]
  const all = [1, 2, 3, 4, 5].map(n =>
    turns.run(async () => {
      begun.push(n)
      most = Math.max(most, ++open)
      await turn()
      open--
      if (n === 2) throw new Error('two')
      return n
    }),
  )
  const ends = await Promise.allSettled(all)
  assert.deepEqual(begun, [1, 2, 3, 4, 5])
  assert.equal(most, 2)
  assert.deepEqual(
    ends.map(({ status }) => status),
    ['fulfilled', 'rejected', 'fulfilled', 'fulfilled', 'fulfilled'],
  )
})
