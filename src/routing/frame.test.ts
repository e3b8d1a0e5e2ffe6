import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import { runs } from '../base/any-bytes.test.ts'
import { anyTable, connectorState, groupState, guid, md5 } from './any-table.test.ts'
import { type Frame, MAX_NESTING, readFrame, takeFrame, writeFrame } from './frame.ts'
import { digestOf, type GroupState } from './link-state.ts'
import { ANSWER_LINE, DIGEST_DOWN, DIGEST_UP, PRINTED, QUERY_LINE, TWO_GROUPS } from './vectors.test.ts'

function frameOf(text: string): Frame {
  const read = readFrame(text)
  if ('wrong' in read) assert.fail(read.wrong)
  return read.frame
}

function groupsOf(text: string): readonly GroupState[] {
  const frame = frameOf(text)
  return frame.kind === 'orginfo' ? frame.groups : []
}

const wrong = (text: string): string => {
  const read = readFrame(text)
  return 'wrong' in read ? read.wrong : `it was taken: ${read.frame.kind}`
}

/** A frame with the length that its body has. */
const measured = (body: string): string => `{${body.length.toString(16).padStart(8, '0')}}${body}`

test('the packet that Microsoft printed reads, writes back to its octets, and has the digest it names', () => {
  const frame = frameOf(PRINTED)
  assert.equal(writeFrame(frame), PRINTED)
  assert.ok(frame.kind === 'orginfo')
  assert.equal(frame.digest, 'a9c421ebe14f06710f6ab596345ac615')
  assert.equal(digestOf(frame.groups, md5), frame.digest)
  const [group] = frame.groups
  assert.deepEqual(group?.version, { major: 10, minor: 0, user: 0 })
  assert.deepEqual(
    group?.members.map(({ server, attached, build }) => [server.slice(0, 8), attached, build]),
    [
      ['2d074767', true, 6830],
      ['97973393', true, 6830],
    ],
  )
  const connector = group?.connectors[0]
  assert.equal(connector?.dn.split('/').at(-1), 'cn=JUNK')
  assert.deepEqual(connector?.arrows, [{ type: 'SMTP', value: '*', cost: 1 }])
  assert.deepEqual(
    connector?.restrictions.map(names => names.length),
    [0, 6, 0, 0],
  )
  assert.equal(connector?.state, 'up')
})

test('a digest query has the lengths that Snort saw, and its answer reads', () => {
  const query: Frame = {
    kind: 'multi',
    frames: [{ kind: 'digest-query', org: '0f000000000000000000000000000091', digest: DIGEST_UP }],
  }
  assert.equal(`X-LINK2STATE LAST CHUNK=${writeFrame(query)}`, QUERY_LINE)
  assert.deepEqual(frameOf(QUERY_LINE.slice('X-LINK2STATE LAST CHUNK='.length)), query)
  const done: Frame = { kind: 'multi', frames: [{ kind: 'done-response' }] }
  assert.equal(`200 LAST CHUNK=${writeFrame(done)}`, ANSWER_LINE)
  assert.deepEqual(frameOf(ANSWER_LINE.slice('200 LAST CHUNK='.length)), done)
})

test('two groups read and write back, and the digest follows the version of the one whose connector went down', () => {
  const groups = groupsOf(TWO_GROUPS)
  assert.equal(writeFrame({ kind: 'orginfo', digest: DIGEST_UP, groups }), TWO_GROUPS)
  assert.equal(digestOf(groups, md5), DIGEST_UP)
  const [a, b] = groups
  assert.ok(a && b)
  const down: GroupState = {
    ...a,
    version: { ...a.version, minor: 1 },
    connectors: a.connectors.map(each => ({ ...each, state: 'down' })),
  }
  assert.equal(digestOf([down, b], md5), DIGEST_DOWN)
  const written = writeFrame({ kind: 'orginfo', digest: DIGEST_DOWN, groups: [down, b] })
  assert.ok(written.includes(' STATE DOWN)) b000'))
  assert.deepEqual(groupsOf(written), [down, b])
})

test('the greeting of a routing server holds its line end', () => {
  const greeting = `{0000004c} NODEINFO (5) {38}Version: 6.0.6249.0     Microsoft Routing Server ready\r\n  `
  const frame = frameOf(greeting)
  assert.ok(frame.kind === 'node-info')
  assert.equal(writeFrame(frame), greeting)
})

test('blanks are alike outside strings, and brackets around a group are taken', () => {
  const one = groupsOf(PRINTED)
  const loose = PRINTED.slice(10).replace('( f76005bd', '(f76005bd').replace('STATE UP)))', 'STATE  UP )  ) ) ')
  assert.deepEqual(groupsOf(measured(loose)), one)
  const bracketed = PRINTED.slice(10).replace('( a2a0', '( ( a2a0').replace(')))', '))))')
  assert.deepEqual(groupsOf(measured(bracketed)), one)
  const withOrg = PRINTED.slice(10).replace('ORGINFO ', `ORGINFO ${guid('f', 1)} `)
  assert.deepEqual(groupsOf(measured(withOrg)), one)
})

test('what does not add up is refused whole, and says where', () => {
  const group = TWO_GROUPS.slice(10)
  const cases: Readonly<Record<string, RegExp>> = {
    '': /expected a length/,
    '{00000001}  ': /the length says 1 octets and 2 follow/,
    [measured(' NONSENSE  ')]: /no frame is called "NONSENSE"/,
    [measured(' MULTI (6) ()  ')]: /expected protocol 5/,
    [measured(' MULTI (5) ({000000000ff} DONE_RESPONSE  )  ')]: /longer than what holds it/,
    [measured(' MULTI (5) ({00000000010} DONE_RESPONSE  ')]: /expected a length/,
    [measured(' DONE_RESPONSE x  ')]: /more than the frame holds/,
    [measured(' DIGEST_QUERY 0f  ')]: /expected 32 hex digits/,
    [measured(group.replace('STATE UP', 'STATE SO'))]: /expected UP or DOWN/,
    [measured(group.replace('CONN_AVAIL', 'CONN_MAYBE'))]: /expected CONN_AVAIL or CONN_NOT_AVAIL/,
    [measured(group.replace('{26}', '{ffffff}'))]: /longer than what holds it/,
    [measured(group.replace('{26}', '{26'))]: /expected a string/,
    [measured(group.replace(' 3 0 2 ', ' 3 0 100000000 '))]: /does not fit into 32 bits/,
    [measured(group.replace(' 3 0 2 ', ` 3 0 ${'0'.repeat(17)} `))]: /expected a hex number/,
    [measured(group.replace('0 () 0', '1 () 0'))]: /0 names where 1 are counted/,
    [measured(group.replaceAll('b0000000000000000000000000000002 b1', 'a0000000000000000000000000000001 b1'))]:
      /a group stands twice/,
    [measured(group.replace('*.A', '*\0A'))]: /a control character/,
  }
  for (const [text, why] of Object.entries(cases)) assert.match(wrong(text), why)
  const twice = groupState(guid('a', 1), { connectors: [1, 1].map(() => connectorState(guid('c', 1), '*')) })
  assert.match(wrong(writeFrame({ kind: 'orginfo', digest: guid('d', 1), groups: [twice] })), /connector stands twice/)
})

test('the limits are named: connectors of a group, nesting, octets', () => {
  const many = groupState(guid('a', 1), {
    connectors: Array.from({ length: 901 }, (_, i) => connectorState(guid('c', i), '*')),
  })
  assert.match(wrong(writeFrame({ kind: 'orginfo', digest: guid('d', 1), groups: [many] })), /more than 900/)
  let nested: Frame = { kind: 'done-response' }
  for (let i = 0; i < MAX_NESTING; i++) nested = { kind: 'multi', frames: [nested] }
  assert.deepEqual(frameOf(writeFrame(nested)), nested)
  assert.match(wrong(writeFrame({ kind: 'multi', frames: [nested] })), /nested more than 8 deep/)
  // Deep enough to end a parser that calls itself for each bracket.
  assert.match(wrong(measured(` MULTI (5) ${'('.repeat(100_000)}  `)), /expected a length/)
  assert.match(wrong(`{00400001}${' '.repeat(0x400001)}`), /a frame has 4194304 octets at most/)
})

const anyFrame: fc.Arbitrary<Frame> = fc.letrec<{ frame: Frame }>(tie => ({
  frame: fc.oneof(
    { maxDepth: 3 },
    fc.constant<Frame>({ kind: 'done-response' }),
    fc.constant<Frame>({ kind: 'digest-query', org: guid('f', 1), digest: guid('d', 1) }),
    fc.constant<Frame>({ kind: 'node-info', text: 'Version: 1\r\n' }),
    anyTable.map((groups): Frame => ({ kind: 'orginfo', digest: guid('d', 1), groups })),
    anyTable.map((groups): Frame => ({ kind: 'orginfo', org: guid('f', 1), digest: guid('d', 1), groups })),
    anyTable.map((groups): Frame => ({ kind: 'delta', org: guid('f', 1), digest: guid('d', 1), more: true, groups })),
    fc.constant<Frame>({
      kind: 'summary',
      org: guid('f', 1),
      digest: guid('d', 1),
      parts: Array.from({ length: 16 }, (_, i) => guid('d', i)),
    }),
    fc.constant<Frame>({
      kind: 'versions',
      org: guid('f', 1),
      digest: guid('d', 1),
      parts: ['0f', 'a'],
      versions: [{ group: guid('a', 1), version: { major: 10, minor: 0, user: 1 }, incarnation: guid('e', 1) }],
    }),
    fc.boolean().map((available): Frame => {
      return { kind: 'report', org: guid('f', 1), server: guid('b', 1), connector: guid('c', 1), available }
    }),
    fc.constant<Frame>({ kind: 'want', org: guid('f', 1), groups: [guid('a', 1), guid('b', 1)] }),
    fc.array(tie('frame'), { maxLength: 3 }).map((frames): Frame => ({ kind: 'multi', frames })),
  ),
})).frame

test('every frame reads back as it was written', () => {
  fc.assert(
    fc.property(anyFrame, frame => {
      assert.deepEqual(frameOf(writeFrame(frame)), frame)
    }),
    runs(300),
  )
})

test('whatever a peer writes is a frame or has a reason, also with one octet changed', () => {
  fc.assert(
    fc.property(anyFrame, fc.nat(), fc.constantFrom(...' (){}0fZ\r\0'), (frame, at, octet) => {
      const text = writeFrame(frame)
      const place = at % text.length
      const read = readFrame(text.slice(0, place) + octet + text.slice(place + 1))
      if ('wrong' in read) assert.match(read.wrong, /at octet \d+$/)
      // What was taken can be said again.
      else assert.ok('frame' in readFrame(writeFrame(read.frame)))
    }),
    runs(1000),
  )
  fc.assert(
    fc.property(fc.string({ unit: fc.constantFrom(...'{}() 05MULTI'), maxLength: 60 }), noise => {
      assert.ok('wrong' in readFrame(noise))
      assert.ok('wrong' in readFrame(measured(noise)))
    }),
    runs(1000),
  )
})

test('takeFrame() waits for the rest, and never for more than a frame may have', () => {
  const one = measured(' DONE_RESPONSE  ')
  for (let i = 0; i < one.length; i++) assert.equal(takeFrame(one.slice(0, i)), 'more')
  assert.deepEqual(takeFrame(`${one}{0`), { frame: one, rest: '{0' })
  for (const noise of ['GET / HTTP/1.0', '{zz}', `{${'0'.repeat(17)}`, '{ffffffff}']) {
    assert.ok(typeof takeFrame(noise) === 'object' && 'wrong' in (takeFrame(noise) as object), noise)
  }
})
