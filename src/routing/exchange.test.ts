import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import { runs } from '../base/any-bytes.test.ts'
import { anyTable, connectorState, groupState, guid, md5 } from './any-table.test.ts'
import { RoutingEngine } from './engine.ts'
import { Exchange } from './exchange.ts'
import { readFrame, writeFrame } from './frame.ts'
import { digestOf, type GroupState, groupOf, type LinkStateTable, tableOf } from './link-state.ts'
import { masterOf, memberOf, ORG, talk } from './network.test.ts'
import { DIGEST_DOWN, TWO_GROUPS } from './vectors.test.ts'

const names = (frames: readonly string[]): readonly string[] =>
  frames.map(frame => (frame.match(/[A-Z][A-Z_]+(?= )/g) ?? []).filter(word => FRAMES.has(word)).join(' '))
const FRAMES = new Set(['MULTI', 'ORGINFO', 'DIGEST_QUERY', 'DONE_RESPONSE', 'DELTA', 'SUMMARY', 'VERSIONS', 'WANT'])

test('equal digests end the conversation with one question and one answer', () => {
  const [a, b] = [masterOf(1), masterOf(2)]
  talk(a, b, { delta: false })
  assert.equal(a.digest, b.digest)
  const { frames, inStep } = talk(a, b, { delta: false })
  assert.deepEqual(names(frames), ['MULTI DIGEST_QUERY', 'MULTI DONE_RESPONSE'])
  assert.ok(inStep)
})

test('different ones are cured in two round trips: each is told the table of the other', () => {
  const [a, b] = [masterOf(1), masterOf(2)]
  const { frames } = talk(a, b, { delta: false })
  assert.deepEqual(names(frames), [
    'MULTI DIGEST_QUERY',
    'MULTI ORGINFO DIGEST_QUERY',
    'MULTI ORGINFO',
    'MULTI DONE_RESPONSE',
  ])
  assert.equal(a.digest, b.digest)
  assert.equal(a.table.length, 2)
})

test('a connector that goes down is news: the vector of two groups, told by A to B', () => {
  const read = readFrame(TWO_GROUPS)
  assert.ok('frame' in read && read.frame.kind === 'orginfo')
  const { groups } = read.frame
  const [one, two] = groups
  assert.ok(one && two)
  const a = new RoutingEngine({ org: ORG, server: one.master, group: one.group, md5, table: groups })
  const b = new RoutingEngine({ org: ORG, server: two.master, group: two.group, md5, table: groups })
  a.change('minor', state => ({ ...state, connectors: state.connectors.map(each => ({ ...each, state: 'down' })) }))
  // The vector keeps user at 2; our own choice begins it again, so only the version differs.
  assert.deepEqual(a.own?.version, { major: 3, minor: 1, user: 0 })
  const kept = tableOf([{ ...(a.own as GroupState), version: { major: 3, minor: 1, user: 2 } }, two])
  assert.equal(digestOf(kept, md5), DIGEST_DOWN)
  for (const delta of [false, true]) talk(a, b, { delta })
  assert.equal(groupOf(b.table, one.group)?.connectors[0]?.state, 'down')
})

test('between Posterns only what changed crosses', () => {
  const [a, b] = [masterOf(1), masterOf(2)]
  const first = talk(a, b, { delta: true })
  assert.deepEqual(names(first.frames), [
    'MULTI VERSIONS',
    'MULTI SUMMARY',
    'MULTI VERSIONS',
    'MULTI DELTA WANT',
    'MULTI DELTA',
    'MULTI DONE_RESPONSE',
  ])
  assert.equal(a.digest, b.digest)
  a.change('user', state => state)
  const second = talk(a, b, { delta: true })
  const asked = ['MULTI VERSIONS', 'MULTI DELTA WANT', 'MULTI DELTA', 'MULTI DONE_RESPONSE']
  assert.deepEqual(names(second.frames), asked)
  assert.equal(a.digest, b.digest)
  // Who knows already is told no more than the version.
  const c = masterOf(3)
  talk(c, a, { delta: true })
  talk(b, c, { delta: true })
  assert.ok(talk(a, b, { delta: true }).frames.join('').length < 500)
  // Both changed since: the same two round trips do it.
  a.change('user', state => state)
  b.change('user', state => state)
  const third = talk(a, b, { delta: true })
  assert.deepEqual(names(third.frames), asked)
  assert.equal(a.digest, b.digest)
  assert.ok(third.inStep)
})

test('a large table is told in parts, none of them too large for a frame', () => {
  const fill = (i: number) => connectorState(guid('c', i), '*', { dn: 'x'.repeat(9_000) })
  const many = Array.from({ length: 600 }, (_, i) => groupState(guid('d', i), { connectors: [fill(i)] }))
  const a = masterOf(1, [], [...masterOf(1).table, ...many])
  const b = masterOf(2)
  const { frames, inStep } = talk(a, b, { delta: true })
  assert.equal(a.digest, b.digest)
  assert.ok(inStep)
  assert.ok(Math.max(...frames.map(frame => frame.length)) < 1_100_000)
  // In the form of 2000 it does not fit, and says so.
  const { findings } = talk(a, masterOf(3), { delta: false })
  assert.match(findings[0]?.why ?? '', /our table takes 5\d{6} octets, and a frame has 4194304 at most/)
})

test('another organisation learns nothing and teaches nothing', () => {
  const a = masterOf(1)
  const other = new RoutingEngine({ org: guid('0', 1), server: guid('b', 2), group: guid('a', 2), md5, table: [] })
  for (const delta of [false, true]) {
    const { frames, findings } = talk(a, other, { delta })
    assert.equal(frames.length, 2)
    assert.equal(findings[0]?.kind, 'foreign-org')
  }
  assert.equal(other.table.length, 0)
})

test('a stranger that raises our own group is passed by its master, and everybody believes the master', () => {
  const [a, b, c] = [masterOf(1), masterOf(2), masterOf(3)]
  talk(a, b, { delta: false })
  const forged: GroupState = { ...groupState(guid('a', 1)), version: { major: 70, minor: 1, user: 1 } }
  c.absorb([forged], 'other-group')
  talk(b, c, { delta: false })
  const { findings } = talk(a, b, { delta: false })
  assert.match(findings[0]?.why ?? '', /our own group a0+1 at version 70\.1\.1 was told by somebody else/)
  assert.deepEqual(a.own?.version, { major: 71, minor: 0, user: 0 })
  assert.equal(a.own?.master, guid('b', 1))
  talk(b, c, { delta: false })
  for (const each of [b, c]) assert.equal(groupOf(each.table, guid('a', 1))?.master, guid('b', 1))
  assert.equal(b.digest, c.digest)
})

test('a member hears of its own group from its own group only, and lets its master know what strangers claim', () => {
  for (const delta of [false, true]) {
    const master = masterOf(1)
    const member = new RoutingEngine({ org: ORG, server: guid('b', 9), group: guid('a', 1), md5, table: master.table })
    const stranger = masterOf(2)
    stranger.absorb([groupState(guid('a', 1), { version: { major: 5, minor: 0, user: 0 } })], 'other-group')
    talk(stranger, member, { delta })
    assert.equal(member.own?.version.major, 1)
    talk(member, master, { delta, teller: 'own-group' })
    assert.equal(master.own?.version.major, 6)
    talk(member, master, { delta, teller: 'own-group' })
    assert.equal(member.own?.version.major, 6)
    assert.deepEqual(member.claim, [])
    talk(stranger, member, { delta })
    assert.equal(stranger.digest, master.digest)
  }
})

test('what is malformed, or was not agreed on, is refused whole and changes nothing', () => {
  const a = masterOf(1)
  const before = a.table
  const hear = (frame: string, delta = false) => {
    const exchange = new Exchange(a, { side: 'server', neighbour: 'x', teller: 'other-group', delta })
    const outputs = exchange.hear(frame)
    assert.ok(exchange.isDone)
    assert.ok(outputs.every(({ kind }) => kind !== 'say' && kind !== 'changed'))
    return outputs.find(output => output.kind === 'finding')?.finding.why
  }
  assert.match(hear('{00000005} MUL') ?? '', /the length says 5 octets and 4 follow/)
  assert.match(hear(writeFrame({ kind: 'want', org: ORG, groups: [] })) ?? '', /not agreed on/)
  const good = groupState(guid('a', 7))
  const text = writeFrame({ kind: 'orginfo', digest: guid('d', 1), groups: [good, groupState(guid('a', 8))] })
  assert.match(hear(text.replace(guid('a', 8), guid('a', 7))) ?? '', /a group stands twice/)
  assert.equal(a.table, before)
})

test('one version with two contents is an alarm, though the digests are equal', () => {
  const [a, b] = [masterOf(1), masterOf(2)]
  const one = groupState(guid('a', 3))
  a.absorb([one, groupState(guid('a', 4))], 'other-group')
  b.absorb([{ ...one, connectors: [connectorState(guid('c', 1), '*')] }], 'other-group')
  const { findings } = talk(a, b, { delta: false })
  assert.match(findings.map(({ why }) => why).join(), /group a0+3 at version 1\.0\.0 is told with two contents/)
})

test('a table ends at its limits: what would go beyond is not taken, and changes still are', () => {
  const own = groupState(guid('a', 1), { master: guid('b', 1) })
  const limits = { groups: 3, octets: 1_000 }
  const engine = new RoutingEngine({ org: ORG, server: guid('b', 1), group: guid('a', 1), md5, table: [own], limits })
  const tell = (...groups: readonly GroupState[]) =>
    engine.absorb(tableOf(groups), 'other-group').alarms.map(({ kind }) => kind)
  assert.deepEqual(tell(groupState(guid('c', 1)), groupState(guid('c', 2))), [])
  assert.deepEqual(tell(groupState(guid('c', 3))), ['full'])
  assert.deepEqual(tell(groupState(guid('c', 2), { version: { major: 2, minor: 0, user: 0 } })), [])
  assert.deepEqual(
    tell(groupState(guid('c', 2), { version: { major: 3, minor: 0, user: 0 }, x500: 'x'.repeat(900) })),
    ['full'],
  )
  assert.equal(groupOf(engine.table, guid('c', 2))?.version.major, 2)
  assert.ok(engine.change('user', state => state))
})

/** Who changes, who talks to whom, what is lost on the way. */
type Event =
  | { readonly kind: 'change'; readonly who: number; readonly part: 'major' | 'minor' | 'user' }
  | { readonly kind: 'forget'; readonly who: number }
  | { readonly kind: 'forge'; readonly who: number; readonly table: LinkStateTable }
  | { readonly kind: 'talk'; readonly link: number; readonly back: boolean; readonly lost: number }

const NODES = 8
const anyEvent: fc.Arbitrary<Event> = fc.oneof(
  fc.record({
    kind: fc.constant('change' as const),
    who: fc.nat(NODES - 1),
    part: fc.constantFrom('major', 'minor', 'user'),
  }),
  fc.record({ kind: fc.constant('forget' as const), who: fc.nat(NODES - 1) }),
  fc.record({ kind: fc.constant('forge' as const), who: fc.nat(NODES - 1), table: anyTable }),
  fc.record({ kind: fc.constant('talk' as const), link: fc.nat(99), back: fc.boolean(), lost: fc.nat(9) }),
)

test('all who can talk end with the same digest, whatever was told, lost, repeated or forged before', () => {
  const anyLinks = fc.array(fc.record({ a: fc.nat(NODES - 1), b: fc.nat(NODES - 1), delta: fc.boolean() }), {
    minLength: 1,
    maxLength: 9,
  })
  fc.assert(
    fc.property(anyLinks, fc.array(anyEvent, { maxLength: 30 }), fc.boolean(), (random, events, delta) => {
      // The last two are members of the first two groups, and always hear from their masters.
      const groupOfNode = (n: number): number => (n < NODES - 2 ? n : n - (NODES - 2))
      const make = (n: number): RoutingEngine => (groupOfNode(n) === n ? masterOf(n) : memberOf(groupOfNode(n), n))
      const nodes = Array.from({ length: NODES }, (_, n) => make(n))
      const home = [NODES - 2, NODES - 1].map(n => ({ a: n, b: groupOfNode(n), delta }))
      const links = [...random, ...home]
      const meet = ({ a, b, delta }: (typeof links)[number], back = false, lost = Number.POSITIVE_INFINITY) => {
        const [x, y] = back ? [nodes[b], nodes[a]] : [nodes[a], nodes[b]]
        const teller = groupOfNode(a) === groupOfNode(b) ? 'own-group' : 'other-group'
        if (x && y && x !== y) talk(x, y, { delta, lost, teller })
      }
      for (const event of events) {
        if (event.kind === 'change') nodes[event.who]?.change(event.part, state => state)
        if (event.kind === 'forget') nodes[event.who] = make(event.who)
        if (event.kind === 'forge') nodes[event.who]?.absorb(event.table, 'other-group')
        const link = event.kind === 'talk' ? links[event.link % links.length] : undefined
        if (link && event.kind === 'talk') meet(link, event.back, event.lost)
      }
      // As many rounds as news needs to cross and its answer to come back.
      for (let round = 0; round < 3 * NODES; round++) for (const link of links) meet(link, round % 2 === 1)
      for (const { a, b } of links) assert.equal(nodes[a]?.digest, nodes[b]?.digest)
      for (const [n, node] of nodes.entries()) assert.equal(node.own?.master, nodes[groupOfNode(n)]?.server)
    }),
    runs(300),
  )
})
