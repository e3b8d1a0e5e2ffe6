import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import { DEGREE_WORTH, FIRST_CONNECTIONS, MOST_KNOWN, Scheduler, type SchedulerLimits } from './scheduler.ts'

const LIMITS: SchedulerLimits = {
  connections: 8,
  messages: 3,
  total: 10,
  unproven: 10,
  strangers: 1_000,
  crowd: 1_000,
  waits: [1_000, 5_000],
}

function offer(it: Scheduler<string>, hop: string, count: number, now = 0): void {
  for (let i = 1; i <= count; i++) assert.equal(it.offer(hop, `${hop}${i}`, now), undefined)
}

const jobs = (it: Scheduler<string>, now = 0) => it.begin(now).map(({ job }) => job)

test('a next hop gets a few connections at first, and one more for each message that gets through, up to its limit', () => {
  const it = new Scheduler<string>(LIMITS)
  offer(it, 'a', 50)
  assert.equal(jobs(it).length, FIRST_CONNECTIONS)
  assert.deepEqual(jobs(it), [])
  it.worked('a', 0)
  assert.deepEqual(jobs(it), ['a6'])
  for (let i = 0; i < 20; i++) it.worked('a', 0)
  assert.equal(jobs(it).length, 2)
  assert.equal(it.open, 8)
})

test('next hops are served in turn: a long lane does not hold up a short one', () => {
  const it = new Scheduler<string>({ ...LIMITS, total: 4 })
  offer(it, 'a', 100)
  offer(it, 'b', 1)
  offer(it, 'c', 2)
  assert.deepEqual(jobs(it), ['a1', 'b1', 'c1', 'a2'])
  it.ended('b')
  // c had its turn before a, so it comes next.
  assert.deepEqual(jobs(it), ['c2'])
})

test('a session gets job after job up to its share, and ends earlier where another hop waits for a connection', () => {
  const it = new Scheduler<string>({ ...LIMITS, connections: 1, total: 2 })
  offer(it, 'a', 9)
  assert.deepEqual(jobs(it), ['a1'])
  assert.equal(it.next('a', 1), 'a2')
  assert.equal(it.next('a', 2), 'a3')
  assert.equal(it.next('a', 3), undefined)
  it.ended('a')
  offer(it, 'b', 1)
  assert.deepEqual(jobs(it), ['a4', 'b1'])
  offer(it, 'c', 1)
  assert.equal(it.next('a', 1), undefined, 'c waits')
  it.ended('a')
  assert.deepEqual(jobs(it), ['c1'])
})

test('a session may stay for more, up to its share, as long as nobody else waits for a connection', () => {
  const it = new Scheduler<string>({ ...LIMITS, connections: 1, total: 2 })
  offer(it, 'a', 1)
  offer(it, 'b', 1)
  assert.deepEqual(jobs(it), ['a1', 'b1'])
  assert.equal(it.mayStay('a', 2), true)
  assert.equal(it.mayStay('a', 3), false)
  assert.equal(it.isWanted(), false)
  offer(it, 'c', 1)
  assert.equal(it.mayStay('a', 2), false)
  assert.equal(it.isWanted(), true)
  it.ended('a')
  assert.equal(it.isWanted(), false, 'there is room')
})

test('a next hop that is not there is left alone, longer each time, and then asked by one connection', () => {
  const it = new Scheduler<string>(LIMITS)
  offer(it, 'a', 7)
  jobs(it)
  assert.deepEqual(it.failed('a', 'refused', 0), { away: { until: 1_000, why: 'refused' }, jobs: ['a6', 'a7'] })
  // The others that were opened with it fail with it.
  assert.deepEqual(it.failed('a', 'refused', 10).away.until, 1_000)
  for (let i = 0; i < 5; i++) it.ended('a')
  assert.deepEqual(it.offer('a', 'x', 999), { until: 1_000, why: 'refused' })
  offer(it, 'a', 3, 1_000)
  assert.deepEqual(jobs(it, 1_000), ['a1'])
  assert.equal(it.failed('a', 'again', 1_100).away.until, 6_100)
  it.ended('a')
  offer(it, 'a', 3, 6_100)
  assert.deepEqual(jobs(it, 6_100), ['a1'])
  assert.equal(it.worked('a', 0), true, 'it is back')
  assert.equal(it.worked('a', 0), false, 'and was back already')
  assert.deepEqual(jobs(it, 6_100), ['a2', 'a3'])
})

test('next hops that took no mail lately share their part of the connections, and those that did have the rest', () => {
  const it = new Scheduler<string>({ ...LIMITS, unproven: 6 })
  offer(it, 'good', 1)
  jobs(it)
  it.worked('good', 0)
  it.ended('good')
  for (const hop of ['a', 'b', 'c']) offer(it, hop, 9)
  assert.deepEqual(jobs(it), ['a1', 'b1', 'c1', 'a2', 'b2', 'c2'])
  assert.equal(it.isWanted('a'), true)
  assert.equal(it.isPressed('a'), true)
  // Its lane is gone, and what it did is known.
  offer(it, 'good', 9)
  assert.deepEqual(jobs(it), ['good1', 'good2', 'good3', 'good4'])
  assert.equal(it.open, 10)
  it.ended('c')
  assert.deepEqual(jobs(it), ['a3'])
  it.ended('good')
  it.ended('good')
  // Who takes mail is no longer counted with those that do not.
  it.worked('b', 0)
  assert.deepEqual(jobs(it), ['good5', 'c3'])
})

test('who is not there any more is one of those that took no mail', () => {
  const it = new Scheduler<string>({ ...LIMITS, unproven: 1 })
  it.worked('a', 0)
  it.failed('a', 'refused', 0)
  offer(it, 'b', 1)
  offer(it, 'a', 1, 1_000)
  assert.deepEqual(jobs(it, 1_000), ['b1'])
  it.ended('b')
  assert.deepEqual(jobs(it, 1_000), ['a1'])
})

test('a next hop that the configuration names is none of them, though nothing is known of it, or it was not there', () => {
  const it = new Scheduler<string>({ ...LIMITS, unproven: 1 })
  offer(it, 'a', 1)
  offer(it, 'b', 1)
  const named = (job: string, now: number) => it.offer('partner', job, now, { isNamed: true })
  named('first', 0)
  assert.deepEqual(jobs(it), ['first', 'a1'])
  it.failed('partner', 'refused', 0)
  named('second', 1_000)
  it.ended('partner')
  named('third', 1_000)
  assert.deepEqual(jobs(it, 1_000), ['second'])
})

test('so many jobs may wait for the share, and others only where they begin at once, or had their turn, or need none of it', () => {
  const it = new Scheduler<string>({ ...LIMITS, connections: 1, unproven: 2, strangers: 1 })
  offer(it, 'a', 1)
  assert.deepEqual(jobs(it), ['a1'])
  offer(it, 'a', 1)
  assert.equal(it.hasRoom, false)
  assert.equal(it.offer('a', 'x', 0), 'later')
  offer(it, 'b', 1)
  assert.deepEqual(jobs(it), ['b1'], 'it began at once')
  assert.equal(it.offer('c', 'x', 0), 'later', 'the share is used up')
  assert.equal(it.offer('c', 'c1', 0, { isAgain: true }), undefined)
  it.worked('good', 0)
  offer(it, 'good', 3)
  assert.equal(it.offer('partner', 'p1', 0, { isNamed: true }), undefined)
  // What waits for one that takes mail after all, and what begins, makes room.
  it.worked('a', 0)
  assert.equal(it.hasRoom, false)
  assert.ok(jobs(it).includes('c1'))
  assert.equal(it.hasRoom, true)
  offer(it, 'd', 1)
  assert.equal(it.hasRoom, false)
  it.failed('d', 'refused', 0)
  assert.equal(it.hasRoom, true)
})

test('where there are no more connections, those that took mail and those that did not come in turn', () => {
  const it = new Scheduler<string>({ ...LIMITS, total: 1, unproven: 1 })
  it.worked('good', 0)
  offer(it, 'good', 5)
  for (const hop of ['a', 'b', 'c']) offer(it, hop, 1)
  const order: string[] = []
  for (let i = 0; i < 8; i++)
    for (const { hop, job } of it.begin(0)) {
      order.push(job)
      it.ended(hop)
    }
  assert.deepEqual(order, ['good1', 'a1', 'good2', 'b1', 'good3', 'c1', 'good4', 'good5'])
})

test('a connection is missed by who could have it if it ended', () => {
  const it = new Scheduler<string>({ ...LIMITS, connections: 1, total: 3, unproven: 1, crowd: 3 })
  it.worked('good', 0)
  offer(it, 'good', 1)
  offer(it, 'a', 1)
  jobs(it)
  offer(it, 'b', 1)
  assert.equal(it.isWanted('a'), true)
  assert.equal(it.isWanted('good'), false, 'its end would not let b begin')
  assert.equal(it.isFreedBy('a'), true)
  assert.equal(it.isFreedBy('good'), false)
  it.ended('a')
  jobs(it)
  assert.equal(it.isPressed('b'), false)
  offer(it, 'b', 3)
  assert.equal(it.isPressed('b'), true, 'a crowd waits')
  assert.equal(it.isPressed('good'), false, 'and not for this one')
  offer(it, 'good', 1)
  assert.equal(it.isPressed('good'), true)
})

test('where all connections are had and the share is used up, the end of another lets nobody of it begin', () => {
  const it = new Scheduler<string>({ ...LIMITS, connections: 1, total: 2, unproven: 1 })
  it.worked('good', 0)
  for (const hop of ['good', 'a', 'b']) offer(it, hop, 1)
  assert.deepEqual(jobs(it), ['good1', 'a1'])
  assert.equal(it.isFreedBy('good'), false)
  assert.equal(it.isFreedBy('a'), true)
})

test('of next hops that are not there so many are remembered, and no lane is kept for them', () => {
  const it = new Scheduler<string>({ ...LIMITS, waits: [60_000] })
  const tried = (hop: string) => it.offer(hop, hop, 0) === undefined
  for (let i = 0; i <= MOST_KNOWN; i++) it.failed(`a${i}`, 'refused', 0)
  assert.equal(tried('a0'), true, 'the first is forgotten')
  assert.equal(tried('a1'), false)
  it.askAnyway()
  assert.equal(tried('a1'), true)
})

test('whatever happens, no limit is passed, nothing is lost and nothing goes twice', () => {
  const step = fc.record({
    what: fc.constantFrom('offer', 'begin', 'next', 'worked', 'failed', 'ended'),
    hop: fc.constantFrom('a', 'b', 'c'),
    pass: fc.nat(2_000),
  })
  fc.assert(
    fc.property(fc.array(step, { maxLength: 200 }), steps => {
      const it = new Scheduler<number>({
        connections: 3,
        messages: 2,
        total: 5,
        unproven: 3,
        strangers: 6,
        crowd: 10,
        waits: [1_000],
      })
      const open = new Map<string, number>()
      const seen = new Set<number>()
      let [now, made, returned] = [0, 0, 0]
      const take = (job: number | undefined) => {
        if (job === undefined) return
        assert.ok(!seen.has(job), 'nothing goes twice')
        seen.add(job)
      }
      for (const { what, hop, pass } of steps) {
        now += pass
        const count = open.get(hop) ?? 0
        if (what === 'offer' && it.offer(hop, ++made, now)) returned++
        else if (what === 'begin') {
          for (const begun of it.begin(now)) {
            take(begun.job)
            open.set(begun.hop, (open.get(begun.hop) ?? 0) + 1)
          }
        } else if (count > 0 && what === 'next') take(it.next(hop, pass % 3))
        else if (count > 0 && what === 'worked') it.worked(hop, 0)
        else if (count > 0 && what === 'failed') it.failed(hop, 'x', now).jobs.forEach(take)
        else if (count > 0 && what === 'ended') {
          it.ended(hop)
          open.set(hop, count - 1)
        }
        for (const each of open.values()) assert.ok(each <= 3)
        assert.ok(it.open <= 5)
        assert.equal(
          it.open,
          [...open.values()].reduce((sum, each) => sum + each, 0),
        )
      }
      // All that is left comes out in the end.
      for (let i = 0; i < 1_000 && seen.size + returned < made; i++) {
        now += 10_000
        for (const { hop, job } of it.begin(now)) {
          take(job)
          open.set(hop, (open.get(hop) ?? 0) + 1)
        }
        for (const [hop, count] of open) for (let left = count; left > 0; left--) it.ended(hop)
        open.clear()
      }
      assert.equal(seen.size + returned, made)
    }),
  )
})

test('who is more urgent goes first in its lane, and who has waited long enough before that', () => {
  const it = new Scheduler<string>({ ...LIMITS, connections: 1, messages: 99 })
  it.offer('a', 'first', 0)
  assert.deepEqual(jobs(it), ['first'])
  it.offer('a', 'bulk', 0, { priority: -9 })
  it.offer('a', 'plain', 0)
  it.offer('a', 'plain too', 1)
  it.offer('a', 'urgent', 2, { priority: 5 })
  it.offer('a', 'late and urgent', 10 * DEGREE_WORTH, { priority: 9 })
  it.offer('a', 'later than all', 10 * DEGREE_WORTH)
  const order = Array.from({ length: 6 }, (_, i) => it.next('a', i))
  assert.deepEqual(order, ['urgent', 'plain', 'plain too', 'late and urgent', 'bulk', 'later than all'])
})
