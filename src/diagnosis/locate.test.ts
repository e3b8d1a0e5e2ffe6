import assert from 'node:assert/strict'
import { test } from 'node:test'
import { locate, sayPlace, type Way } from './locate.ts'

const hop = (node: string, enters?: string, leaves?: string) => ({
  node,
  ...(enters !== undefined && { enters }),
  ...(leaves !== undefined && { leaves }),
  destination: '10.54.7.10',
})

const A: Way = {
  vantage: 'mail-a',
  isAltered: true,
  hops: [
    hop('mail-a', undefined, 'eth0'),
    hop('vpn-a', 'eth0', 'tunnel'),
    hop('vpn-b', 'tunnel', 'eth0'),
    hop('fw-b', 'vpn', 'inside'),
    hop('mail-b', 'eth0'),
  ],
}

const named = (ways: readonly Way[]) => locate(ways)?.places.map(sayPlace)

test('one altered way leaves every node of it', () => {
  assert.equal(named([A])?.length, 5)
})

test('a clean way clears what it crosses, and only the way it crosses it', () => {
  const here: Way = { vantage: 'mail-b', isAltered: false, hops: [hop('mail-b', 'eth0')] }
  const dmz: Way = {
    vantage: 'vpn-b',
    isAltered: true,
    hops: [hop('vpn-b', undefined, 'eth0'), hop('fw-b', 'vpn', 'inside'), hop('mail-b', 'eth0')],
  }
  assert.deepEqual(named([A, dmz, here]), ['fw-b, between vpn and inside'])
  const back: Way = {
    vantage: 'mail-b',
    isAltered: false,
    hops: [hop('mail-b', undefined, 'eth0'), hop('fw-b', 'inside', 'vpn'), hop('mail-b', 'eth0')],
  }
  assert.deepEqual(named([A, dmz, back]), ['fw-b, between vpn and inside'])
})

test('where two ways share nothing that is not cleared, nothing is named', () => {
  const other: Way = { vantage: 'x', isAltered: true, hops: [hop('fw-c', 'outside', 'inside')] }
  assert.deepEqual(named([A, other]), [])
  assert.equal(locate([{ ...A, isAltered: false }]), undefined)
})
