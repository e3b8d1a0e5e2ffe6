import assert from 'node:assert/strict'
import { test } from 'node:test'
import { LIMITS } from '../smtp/limits.ts'
import { Door } from './door.ts'

const STRANGER = { known: false, now: 0 }
const OURS = { known: true, now: 0 }

test('a Door lets a client have so many sessions at once, and another when one is over; a peer we know as many as it wants', () => {
  const door = new Door({ most: 100, perClient: 2, perMinute: 0 })
  const entered = ['192.0.2.1', '192.0.2.1', '192.0.2.1', '192.0.2.2'].map(peer => door.enter(peer, STRANGER))
  assert.deepEqual(entered, [true, true, false, true])
  door.leave('192.0.2.1')
  assert.equal(door.enter('192.0.2.1', STRANGER), true)
  assert.ok([1, 2, 3, 4].every(() => door.enter('10.0.0.1', OURS)))
  assert.equal(door.count, 7)
})

test('a Door keeps the last tenth for the peers we know, and is shut at last', () => {
  const door = new Door({ most: 10, perClient: 1000, perMinute: 0 })
  const strangers = Array.from({ length: 12 }, (_, i) => door.enter(`192.0.2.${i}`, STRANGER))
  assert.equal(strangers.filter(each => each).length, 9)
  assert.deepEqual([door.enter('10.0.0.1', OURS), door.enter('10.0.0.1', OURS)], [true, false])
})

test('a Door counts new sessions of a client by the minute, and what was refused counts, too', () => {
  const door = new Door({ most: 100, perClient: 100, perMinute: 2 })
  const at = (now: number): boolean => door.enter('192.0.2.1', { known: false, now })
  assert.deepEqual([at(0), at(1), at(2), at(59_999), at(60_000)], [true, true, false, false, true])
})

test('a Door shortens the limits of who comes in under stress, and no limit is wider than it was', () => {
  const door = new Door({ most: 10, perClient: 100, perMinute: 0 })
  for (let i = 0; i < 8; i++) door.enter('192.0.2.1', STRANGER)
  assert.deepEqual(door.limits(LIMITS), LIMITS)
  door.enter('192.0.2.1', STRANGER)
  const { idle, errors, junk, recipients } = door.limits(LIMITS)
  assert.deepEqual([idle, errors, junk, recipients], [10_000, 2, 10, 1000])
  assert.equal(door.limits({ ...LIMITS, idle: 5_000 }).idle, 5_000)
})

test('of IPv6 a client is its /64: one host has all of it, and cannot come again under another address', () => {
  const door = new Door({ most: 100, perClient: 1, perMinute: 0 })
  const enter = (peer: string) => door.enter(peer, { known: false, now: 0 })
  assert.ok(enter('2001:db8:0:1::1'))
  assert.ok(!enter('2001:db8:0:1:ffff::2'))
  assert.ok(enter('2001:db8:0:2::1'))
  door.leave('2001:db8:0:1::1')
  assert.ok(enter('2001:db8:0:1:ffff::2'))
})
