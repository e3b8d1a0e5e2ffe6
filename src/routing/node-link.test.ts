import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import { anyCuts, cut, runs } from '../base/any-bytes.test.ts'
import { bytes, concat, text } from '../base/bytes.ts'
import { guid, md5 } from './any-table.test.ts'
import { RoutingEngine } from './engine.ts'
import { writeFrame } from './frame.ts'
import type { GroupState } from './link-state.ts'
import { masterOf, ORG } from './network.test.ts'
import { NODE_LINK_TIMERS, NodeLink, type NodeLinkOutput } from './node-link.ts'

const pair = () => {
  const master = masterOf(1)
  const member = new RoutingEngine({ org: ORG, server: guid('b', 9), group: guid('a', 1), md5, table: [] })
  const links = {
    member: new NodeLink(member, { side: 'member', neighbour: 'master' }, 0),
    master: new NodeLink(master, { side: 'master', neighbour: 'member' }, 0),
  }
  return { master, member, links }
}

const written = (outputs: readonly NodeLinkOutput[]): Uint8Array =>
  concat(outputs.flatMap(output => (output.kind === 'write' ? [output.bytes] : [])))
const kinds = (outputs: readonly NodeLinkOutput[]) => outputs.map(({ kind }) => kind)

/** Hands what one writes to the other until both are silent; gives all that was written. */
function settle(
  { member, master }: ReturnType<typeof pair>['links'],
  first: readonly NodeLinkOutput[],
  to: 'member' | 'master',
) {
  const heard: string[] = []
  let octets = written(first)
  for (let turn = to; octets.length > 0; turn = turn === 'member' ? 'master' : 'member') {
    heard.push(text(octets))
    octets = written((turn === 'member' ? member : master).receive(octets, 0))
  }
  return heard
}

test('a member is greeted, greets, and learns the table; later news is pushed either way', () => {
  const { master, member, links } = pair()
  const heard = settle(links, links.master.start(), 'member')
  assert.equal(heard[0], '{0000004a} NODEINFO (5) {36}Version: 1.0            Postern Routing Server ready\r\n  ')
  assert.equal(member.digest, master.digest)
  assert.equal(links.member.deadline, NODE_LINK_TIMERS.poll)
  master.change('minor', state => state)
  settle(links, links.master.changed(0), 'member')
  assert.equal(member.digest, master.digest)
  assert.deepEqual(links.member.changed(0), [])
  // It lasts: no count of frames ends it.
  for (let i = 0; i < 600; i++) {
    master.change('user', state => state)
    settle(links, links.master.changed(0), 'member')
  }
  assert.equal(member.digest, master.digest)
  member.absorb(masterOf(2).table, 'other-group')
  settle(links, links.member.changed(0), 'master')
  assert.equal(member.digest, master.digest)
  // Nothing was lost, and the member asks all the same.
  assert.ok(written(links.member.tick(0 + NODE_LINK_TIMERS.poll)).length > 0)
})

test('a member reports what it can reach, whatever else is being said', () => {
  const { links } = pair()
  assert.deepEqual(links.member.report(guid('c', 1), false), [])
  settle(links, links.master.start(), 'member')
  const report = written(links.member.report(guid('c', 1), false))
  assert.match(text(report), / REPORT \(1\) 0+f b0+9 c0+1 CONN_NOT_AVAIL {2}\) {2}$/)
  const said = { kind: 'report', server: guid('b', 9), connector: guid('c', 1), available: false }
  assert.deepEqual(links.master.receive(report, 0), [said])
  assert.equal(links.master.deadline, NODE_LINK_TIMERS.poll + NODE_LINK_TIMERS.answer)
})

test('with a routing server of 2000 the form of 2000 is spoken', () => {
  const { member, links } = pair()
  const greeting = writeFrame({ kind: 'node-info', text: 'Version: 6.0.6249.0     Microsoft Routing Server ready\r\n' })
  const said = text(written(links.member.receive(bytes(greeting), 0)))
  assert.match(said, /NODEINFO .*\r\n {2}\{0000006d\} MULTI \(5\) \(\{00000000051\} DIGEST_QUERY /)
  const info = writeFrame({ kind: 'orginfo', digest: guid('d', 1), groups: masterOf(1).table })
  assert.deepEqual(kinds(links.member.receive(bytes(info), 0)), ['changed', 'write', 'done'])
  assert.equal(member.table.length, 1)
})

test('news that cross each other settle', () => {
  const { master, member, links } = pair()
  settle(links, links.master.start(), 'member')
  master.change('minor', state => state)
  member.absorb(masterOf(2).table, 'other-group')
  const [down, up] = [links.master.changed(0), links.member.changed(0)]
  const [a, b] = [links.member.receive(written(down), 0), links.master.receive(written(up), 0)]
  settle(links, a, 'master')
  settle(links, b, 'member')
  settle(links, links.master.changed(0), 'member')
  settle(links, links.member.changed(0), 'master')
  assert.equal(member.digest, master.digest)
})

/** What happens: the master's group changes, another group's news comes to either, or what was written last arrives. */
const anyEvents = fc.array(
  fc.constantFrom('change', 'news-master', 'news-member', 'to-master', 'to-member', 'report'),
  {
    maxLength: 60,
  },
)

test('whatever is told meanwhile, by whomever, both know it when they are silent, without waiting for the next poll', () => {
  fc.assert(
    fc.property(anyEvents, fc.boolean(), (events, is2000) => {
      const { master, member, links } = pair()
      const engines = { master, member }
      const wires: Record<'master' | 'member', Uint8Array[]> = { master: [], member: [] }
      type Side = keyof typeof wires
      const other = (side: Side): Side => (side === 'master' ? 'member' : 'master')
      // As the driver does: what is written goes to the other, and after each conversation it is asked for more.
      const act = (side: Side, outputs: readonly NodeLinkOutput[]): void => {
        assert.ok(outputs.every(({ kind }) => kind !== 'close'))
        for (const output of outputs) {
          if (output.kind === 'write') wires[other(side)].push(rewritten(output.bytes, is2000))
          if (output.kind === 'done') act(side, links[side].changed(0))
        }
      }
      const arrive = (side: Side): boolean => {
        const octets = wires[side].shift()
        if (octets) act(side, links[side].receive(octets, 0))
        return octets !== undefined
      }
      act('master', links.master.start())
      let version = 1
      const news = (side: Side): void => {
        const state = { ...masterOf(2).table[0], version: { major: ++version, minor: 0, user: 0 } }
        engines[side].absorb([state as GroupState], 'other-group')
        act(side, links[side].changed(0))
      }
      for (const event of events) {
        if (event === 'change') {
          master.change('minor', state => state)
          act('master', links.master.changed(0))
        } else if (event === 'report') act('member', links.member.report(guid('c', 1), false))
        else if (event.startsWith('news-')) news(event.slice('news-'.length) as Side)
        else arrive(event.slice('to-'.length) as Side)
      }
      for (let i = 0; arrive('master') || arrive('member'); i++) assert.ok(i < 1_000, 'it never comes to rest')
      assert.equal(member.digest, master.digest)
    }),
    runs(500),
  )
})

/** Before it is known who is at the other end: a routing server of 2000 calls itself otherwise. */
function rewritten(octets: Uint8Array, is2000: boolean): Uint8Array {
  return is2000 ? bytes(text(octets).replace('Postern Routing', 'Another Routing')) : octets
}

test('what is no frame closes the connection, and so does silence', () => {
  const fresh = () => pair().links.master
  assert.deepEqual(kinds(fresh().receive(bytes('GET / HTTP/1.0\r\n\r\n'), 0)), ['finding', 'close'])
  assert.deepEqual(kinds(fresh().receive(bytes('{ffffffff} ORGINFO'), 0)), ['finding', 'close'])
  assert.deepEqual(kinds(fresh().receive(bytes(writeFrame({ kind: 'done-response' })), 0)), ['finding', 'close'])
  assert.deepEqual(kinds(fresh().tick(NODE_LINK_TIMERS.greeting - 1)), [])
  assert.deepEqual(kinds(fresh().tick(0 + NODE_LINK_TIMERS.greeting)), ['finding', 'close'])
  const { links } = pair()
  settle(links, links.master.start(), 'member')
  links.master.receive(bytes('{0000'), 0)
  assert.equal(links.master.deadline, NODE_LINK_TIMERS.answer)
  assert.deepEqual(kinds(links.master.tick(0 + NODE_LINK_TIMERS.answer)), ['finding', 'close'])
  assert.deepEqual(links.master.receive(bytes('{1} '), 0), [])
})

test('frames come out the same, however the octets are cut', () => {
  fc.assert(
    fc.property(anyCuts, cuts => {
      const { master, member, links } = pair()
      const wire = concat(
        [
          ...[writeFrame({ kind: 'node-info', text: 'Version: 1\r\n' })],
          ...[1, 2, 3].map(n => writeFrame({ kind: 'orginfo', digest: guid('d', 1), groups: masterOf(n).table })),
        ].map(bytes),
      )
      for (const piece of cut(wire, cuts)) links.member.receive(piece, 0)
      assert.deepEqual(
        member.table.map(({ group }) => group),
        [1, 2, 3].map(n => guid('a', n)),
      )
      assert.equal(master.table.length, 1)
    }),
    runs(100),
  )
})
