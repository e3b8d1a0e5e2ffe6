import assert from 'node:assert/strict'
import { test } from 'node:test'
import { type LimitsConfig, NO_GATEWAY } from './gateway-config.ts'
import { MAX_SOURCES, Throttle } from './throttle.ts'

const limits = (some: Partial<LimitsConfig>): LimitsConfig => ({ ...NO_GATEWAY.limits, ...some })

test('the reserve is for the peers, and whoever leaves makes room', () => {
  const throttle = new Throttle()
  const some = limits({ connections: 3, reserve: 1, peers: [{ ip: '10.0.0.0', mask: '255.0.0.0' }] })
  assert.equal(throttle.enter('192.0.2.1', some, 0), undefined)
  assert.equal(throttle.enter('192.0.2.2', some, 0), undefined)
  assert.deepEqual(throttle.enter('192.0.2.3', some, 0), { limit: 'connections', most: 2 })
  assert.equal(throttle.enter('10.1.1.1', some, 0), undefined)
  assert.deepEqual(throttle.enter('10.1.1.2', some, 0), { limit: 'connections', most: 3 })
  throttle.leave('192.0.2.1')
  throttle.leave('10.1.1.1')
  assert.equal(throttle.enter('192.0.2.3', some, 0), undefined)
  assert.equal(throttle.open, 2)
})

test('all addresses of an IPv6 host are one source', () => {
  const throttle = new Throttle()
  const some = limits({ perSource: 2, rate: { count: 3, per: 1000 } })
  for (const ip of ['2001:db8::1', '2001:db8::2']) assert.equal(throttle.enter(ip, some, 0), undefined)
  assert.deepEqual(throttle.enter('2001:db8::3', some, 0), { limit: 'source connections', most: 2 })
  assert.equal(throttle.enter('2001:db8:0:1::1', some, 0), undefined)
  for (const ip of ['2001:db8::1', '2001:db8::2']) throttle.leave(ip)
  assert.equal(throttle.enter('2001:db8::4', some, 0), undefined)
  assert.deepEqual(throttle.enter('2001:db8::5', some, 0), { limit: 'source rate', most: 3 })
})

test('one source has so many at once, and a peer as many as it likes', () => {
  const throttle = new Throttle()
  const some = limits({ perSource: 2, peers: [{ ip: '::1', mask: '255.255.255.255' }] })
  for (const _ of [1, 2]) assert.equal(throttle.enter('192.0.2.1', some, 0), undefined)
  assert.deepEqual(throttle.enter('192.0.2.1', some, 0), { limit: 'source connections', most: 2 })
  assert.equal(throttle.enter('192.0.2.2', some, 0), undefined)
  for (const _ of [1, 2, 3]) assert.equal(throttle.enter('::1', some, 0), undefined)
})

test('a rate counts anew when its time is over, and refusals do not count', () => {
  const throttle = new Throttle()
  const some = limits({ rate: { count: 2, per: 1000 } })
  assert.equal(throttle.enter('192.0.2.1', some, 0), undefined)
  assert.equal(throttle.enter('192.0.2.1', some, 999), undefined)
  assert.deepEqual(throttle.enter('192.0.2.1', some, 999), { limit: 'source rate', most: 2 })
  assert.equal(throttle.enter('192.0.2.1', some, 1000), undefined)
})

test('however many sources come, only so many are remembered', () => {
  const throttle = new Throttle()
  const some = limits({ rate: { count: 1, per: 1_000_000 } })
  for (let i = 0; i <= MAX_SOURCES; i++) {
    assert.equal(throttle.enter(`${i}`, some, i), undefined)
    throttle.leave(`${i}`)
  }
  // The first was forgotten, the last was not.
  assert.equal(throttle.enter('0', some, MAX_SOURCES), undefined)
  assert.notEqual(throttle.enter(`${MAX_SOURCES}`, some, MAX_SOURCES), undefined)
})
