import assert from 'node:assert/strict'
import { test } from 'node:test'
import { Tried } from './tried.ts'

test('of a message that is forgotten nothing is known, by whatever way it went and whoever was away', () => {
  const tried = new Tried()
  tried.note('E1', [0, 1], 'B')
  tried.note('E1', [0], 'C')
  tried.wasAway('E1', 'B', ['B', 'C'])
  tried.note('E2', [0], 'B')
  tried.wasAway('E2', 'B', ['B'])
  assert.deepEqual([tried.by('E1', 0), tried.by('E1', 1), tried.by('E2', 0), tried.size], ['C', 'B', 'B', 2])
  tried.forget('E1')
  assert.deepEqual([tried.by('E1', 0), tried.size], [undefined, 1])
  assert.deepEqual(tried.back('C'), [])
  assert.deepEqual(tried.back('B'), [{ id: 'E2', hop: 'B' }])
  assert.deepEqual(tried.back('B'), [])
  tried.note('E2', [0], undefined)
  assert.equal(tried.size, 0)
})
