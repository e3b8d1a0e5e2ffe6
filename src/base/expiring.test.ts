import assert from 'node:assert/strict'
import { test } from 'node:test'
import { Expiring } from './expiring.ts'

test('Expiring forgets at the time that was said, and what was set first where there is no room', () => {
  const kept = new Expiring<string>(2)
  kept.set('a', 'one', 10)
  kept.set('b', 'two', 20)
  assert.deepEqual([kept.get('a', 9), kept.get('a', 10), kept.get('a', 9)], ['one', undefined, undefined])
  kept.set('c', 'three', 20)
  kept.set('b', 'two again', 20)
  kept.set('d', 'four', 20)
  assert.deepEqual(
    ['b', 'c', 'd'].map(name => kept.get(name, 0)),
    ['two again', undefined, 'four'],
  )
})
