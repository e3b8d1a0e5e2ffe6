import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import { runs } from '../base/any-bytes.test.ts'
import { connectorState, groupState, guid } from './any-table.test.ts'
import { believedAt, charged, DAMPING, type Damped, NOT_DAMPED, settled } from './damping.ts'
import { HEALTH_TIMERS, LinkHealth } from './health.ts'
import type { Bridgehead } from './link-state.ts'
import { isLeaf, Master, type MasterOptions, type Published } from './master.ts'
import { masterOf } from './network.test.ts'

const MINUTE = 60_000
const [ONE, TWO] = [guid('b', 1), guid('b', 2)]
const bridgehead = (server: string): Bridgehead => ({ server, available: true, fqdn: '' })

/** A master of group 1 with connectors to 2 and 3, both over the same two bridgeheads. */
function master(options: MasterOptions = {}) {
  const ways = [2, 3].map(n => connectorState(guid('c', n), guid('a', n), { bridgeheads: [ONE, TWO].map(bridgehead) }))
  const engine = masterOf(1, ways)
  return { engine, master: new Master(engine, options) }
}

const said = (published: readonly Published[]) =>
  published.flatMap(({ part, what }) => what.map(each => `${part}: ${each}`))

test('a failure is retried three times, a minute apart, before the master is told; then every minute', () => {
  const health = new LinkHealth()
  assert.deepEqual(health.failed('refused', 0), [])
  assert.equal(health.state, 'glitch')
  // Mail that fails meanwhile counts for nothing.
  assert.deepEqual(health.failed('refused', 10), [])
  for (const minute of [1, 2]) {
    assert.deepEqual(health.tick(minute * MINUTE - 1), [])
    assert.deepEqual(health.tick(minute * MINUTE), [{ kind: 'probe' }])
    assert.deepEqual(health.failed('refused', minute * MINUTE), [])
  }
  health.tick(3 * MINUTE)
  assert.deepEqual(health.failed('refused', 3 * MINUTE), [
    { kind: 'report', available: false, why: '3 retries failed: refused' },
  ])
  assert.equal(health.state, 'down')
  assert.equal(health.deadline, 4 * MINUTE)
  assert.deepEqual(health.tick(4 * MINUTE), [{ kind: 'probe' }])
  assert.deepEqual(health.failed('refused', 4 * MINUTE), [])
  assert.deepEqual(health.connected(4 * MINUTE + 1), [{ kind: 'report', available: true, why: 'it answers again' }])
  assert.equal(health.deadline, undefined)
})

test('a glitch that passes is nobody’s news', () => {
  const health = new LinkHealth()
  health.failed('timeout', 0)
  health.tick(MINUTE)
  assert.deepEqual(health.connected(MINUTE + 5), [])
  assert.equal(health.state, 'up')
  // A retry that nobody answers for is made again, and not counted.
  health.failed('timeout', 2 * MINUTE)
  for (let at = 3; at < 20; at++) assert.deepEqual(health.tick(at * MINUTE), [{ kind: 'probe' }])
  assert.equal(health.state, 'glitch')
})

test('a connector is down only when all its bridgeheads are, and up with the first', () => {
  const { engine, master: it } = master({ timers: { publish: 0 } })
  assert.deepEqual(it.report(ONE, guid('c', 2), false, 0), [])
  assert.deepEqual(said(it.report(TWO, guid('c', 2), false, 0)), ['minor: c02 is down'])
  assert.deepEqual(engine.own?.version, { major: 1, minor: 1, user: 0 })
  assert.deepEqual(
    engine.own?.connectors.map(({ state }) => state),
    ['down', 'up'],
  )
  assert.deepEqual(
    engine.own?.connectors[0]?.bridgeheads.map(({ available }) => available),
    [false, false],
  )
  assert.deepEqual(said(it.report(TWO, guid('c', 2), true, 1)), ['minor: c02 is up'])
  // Who is no bridgehead of it has nothing to report.
  assert.deepEqual(it.report(guid('b', 7), guid('c', 2), false, 2), [])
  assert.deepEqual(it.report(ONE, guid('c', 9), false, 2), [])
})

test('a bridgehead that is gone reaches nothing; where none is named, those count that have said what they see', () => {
  const { engine, master: it } = master({ timers: { publish: 0 } })
  const member = (server: string) => ({ server, attached: true, flag: 1, build: 1, mark: '' })
  const open = connectorState(guid('c', 4), guid('a', 4))
  it.configure(state => ({ ...state, members: [ONE, TWO].map(member), connectors: [...state.connectors, open] }), 0)
  const states = () => engine.own?.connectors.map(({ state }) => state).join(' ')
  assert.deepEqual(it.report(ONE, guid('c', 2), false, 0), [])
  it.attached(TWO, false, 0)
  assert.deepEqual(said(it.tick(5 * MINUTE)), [`user: ${TWO} is detached`, 'minor: c02 is down'])
  // The third has no bridgeheads, and nobody has said anything of it; the second has one left.
  assert.equal(states(), 'down up up')
  assert.deepEqual(
    engine.own?.connectors[0]?.bridgeheads.map(({ available }) => available),
    [false, false],
  )
  it.attached(TWO, true, 6 * MINUTE)
  assert.deepEqual(said(it.report(TWO, guid('c', 2), true, 6 * MINUTE)), ['minor: c02 is up'])

  assert.deepEqual(said(it.report(ONE, guid('c', 4), false, 7 * MINUTE)), ['minor: c04 is down'])
  assert.deepEqual(said(it.report(TWO, guid('c', 4), true, 8 * MINUTE)), ['minor: c04 is up'])
  assert.equal(states(), 'up up up')
  assert.deepEqual(it.report(guid('b', 7), guid('c', 4), false, 9 * MINUTE), [])
})

test('the first change is told at once, those within ten minutes after it together', () => {
  const { engine, master: it } = master()
  for (const server of [ONE, TWO]) it.report(server, guid('c', 2), false, 0)
  assert.equal(engine.own?.version.minor, 1)
  for (const server of [ONE, TWO]) it.report(server, guid('c', 3), false, MINUTE)
  assert.equal(it.report(ONE, guid('c', 2), true, 2 * MINUTE).length, 0)
  assert.equal(engine.own?.version.minor, 1)
  assert.equal(it.deadline, 10 * MINUTE)
  assert.deepEqual(said(it.tick(10 * MINUTE)), ['minor: c02 is up', 'minor: c03 is down'])
  assert.equal(engine.own?.version.minor, 2)
})

test('StateChangeDelay drops a down with its up', () => {
  const { engine, master: it } = master({ timers: { stateChangeDelay: 30_000, publish: 0 } })
  for (const server of [ONE, TWO]) it.report(server, guid('c', 2), false, 0)
  it.report(ONE, guid('c', 2), true, 29_999)
  assert.equal(it.deadline, undefined)
  assert.deepEqual(it.tick(MINUTE), [])
  assert.equal(engine.own?.version.minor, 0)
  it.report(ONE, guid('c', 2), false, 2 * MINUTE)
  assert.equal(it.deadline, 2.5 * MINUTE)
  assert.deepEqual(said(it.tick(2.5 * MINUTE)), ['minor: c02 is down'])
})

test('what flaps is believed to be down at once, and to be up only when it has been quiet', () => {
  const { engine, master: it } = master({ timers: { publish: 0 } })
  const state = () => engine.own?.connectors[0]?.state
  it.report(ONE, guid('c', 2), false, 0)
  for (let flap = 0; flap < 3; flap++) {
    it.report(TWO, guid('c', 2), false, flap * MINUTE)
    assert.equal(state(), 'down')
    it.report(TWO, guid('c', 2), true, flap * MINUTE + 1)
  }
  assert.equal(state(), 'down')
  const quiet = it.deadline ?? 0
  assert.ok(quiet > 15 * MINUTE && quiet < 30 * MINUTE, `${quiet}`)
  assert.deepEqual(it.tick(quiet - 1), [])
  assert.deepEqual(said(it.tick(quiet)), ['minor: c02 is up'])
})

test('however a connector flaps, the charge is bounded and it is believed in the end', () => {
  fc.assert(
    fc.property(fc.array(fc.nat(30 * MINUTE), { maxLength: 50 }), waits => {
      let damped: Damped = NOT_DAMPED
      let now = 0
      for (const wait of waits) {
        now += wait
        damped = charged(settled(damped, now, DAMPING), now, DAMPING)
        assert.ok(damped.charge <= DAMPING.most)
      }
      const at = believedAt(damped, DAMPING) ?? now
      assert.ok(at - now <= 3 * DAMPING.halfLife)
      assert.ok(!settled(damped, at, DAMPING).suppressed)
    }),
    runs(200),
  )
})

test('a leaf does not tell, for nobody could go another way; nor does anybody under SuppressStateChanges', () => {
  const way = (n: number, to: number) => connectorState(guid('c', n), guid('a', to), { bridgeheads: [bridgehead(ONE)] })
  const leaf = masterOf(1, [way(1, 2)])
  leaf.absorb([groupState(guid('a', 2), { connectors: [way(2, 1), way(3, 3)] })], 'other-group')
  assert.ok(isLeaf(leaf.table, guid('a', 1)))
  assert.ok(!isLeaf(leaf.table, guid('a', 2)))
  assert.deepEqual(new Master(leaf).report(ONE, guid('c', 1), false, 0), [])
  // In by one neighbour and out by another: a ring needs the news.
  leaf.absorb([groupState(guid('a', 3), { connectors: [way(4, 1)] })], 'other-group')
  assert.ok(!isLeaf(leaf.table, guid('a', 1)))
  assert.deepEqual(said(new Master(leaf).report(ONE, guid('c', 1), false, 0)), ['minor: c01 is down'])

  const { engine, master: quiet } = master({ suppress: true })
  for (const server of [ONE, TWO]) assert.deepEqual(quiet.report(server, guid('c', 2), false, 0), [])
  assert.equal(engine.own?.version.minor, 0)
})

test('members come and go: a user version each, going only after five minutes', () => {
  const { engine, master: it } = master()
  const member = { server: TWO, attached: false, flag: 1, build: 1, mark: '' }
  it.configure(state => ({ ...state, members: [member] }), 0)
  assert.deepEqual(engine.own?.version, { major: 2, minor: 0, user: 0 })
  assert.deepEqual(said(it.attached(TWO, true, 0)), [`user: ${TWO} is attached`])
  it.attached(TWO, false, MINUTE)
  it.attached(TWO, true, 2 * MINUTE)
  assert.equal(engine.own?.version.user, 1)
  it.attached(TWO, false, 3 * MINUTE)
  assert.equal(it.deadline, 8 * MINUTE)
  assert.deepEqual(said(it.tick(8 * MINUTE)), [`user: ${TWO} is detached`])
  assert.deepEqual(it.attached(guid('b', 9), true, 0), [])
})

test('the timers are Exchange’s own where they are known', () => {
  assert.deepEqual(HEALTH_TIMERS, { glitchRetry: MINUTE, glitchRetries: 3, probe: MINUTE })
})
