import assert from 'node:assert/strict'
import { test } from 'node:test'
import type { SpoolEntry } from '../spool/entry.ts'
import { CHANGES, fits, MOST_REASONS, type QueueFilter, sayExplain, sayList, sayReasons } from './queue.ts'

const NOON = 1_001_783_358_000
const ENTRY: SpoolEntry = {
  id: '9QK4',
  revision: 3,
  arrived: NOON,
  expires: NOON + 7_200_000,
  envelope: {
    from: { local: 'ann', domain: 'a.example' },
    recipients: [{ to: { local: 'bob', domain: 'b.example' } }, { to: { local: 'eve', domain: 'c.example' } }],
    smtputf8: false,
    body: '7bit',
  },
  size: 30,
  recipients: [
    {
      kind: 'waiting',
      due: NOON + 1_200_000,
      attempts: 2,
      last: { kind: 'deferred', by: { code: 451, status: '4.7.1', text: ['greylisted\u001b[31m'] } },
    },
    { kind: 'done', at: NOON, outcome: { kind: 'relayed', to: 'c', by: { code: 250, text: ['ok'] } } },
  ],
  trail: [{ at: NOON, what: 'received from x' }],
}
const QUEUED = { entry: ENTRY, hops: ['connector b', 'connector c'] }
const LATER = NOON + 600_000

test('a filter means what fits all of it', () => {
  const cases: readonly (readonly [QueueFilter, boolean])[] = [
    [{}, true],
    [{ ids: ['9QK4'] }, true],
    [{ ids: ['9QK5'] }, false],
    [{ from: 'ANN@', to: 'eve@C', reason: 'RECEIVED' }, true],
    [{ from: 'ANN@', to: 'nobody' }, false],
    [{ hop: 'connector b' }, true],
    [{ hop: 'B' }, true],
    [{ hop: 'connector' }, true],
    // In the word for what it is, and not in its name.
    [{ hop: 'c' }, false],
    [{ hop: 'mailbox' }, false],
    // Nothing waits for that one any more.
    [{ hop: 'connector c' }, false],
    [{ olderThan: 600_000 }, true],
    [{ olderThan: 600_001 }, false],
  ]
  for (const [filter, is] of cases) assert.equal(fits(QUEUED, filter, LATER), is, JSON.stringify(filter))
})

test('explain says the reasons, the last reply, the next try and why then; nothing a peer said is obeyed by a terminal', () => {
  assert.deepEqual(sayExplain(QUEUED, LATER, [300_000, 1_200_000]), [
    '9QK4: <ann@a.example>, 30 octets, 7bit',
    '  arrived 10m ago, given up in 1h 50m',
    '  <bob@b.example> by connector b: deferred: 451 4.7.1 greylisted?[31m; 2 tries, next in 10m',
    '  <eve@c.example> by connector c: relayed to c: 250 ok, 10m ago',
    'trail:',
    '  10m ago: received from x',
    'next:',
    '  bob@b.example by connector b: in 10m: after try 2 the schedule waits 20m, unless the host is heard to be back',
  ])
})

test('a list has a line for each, with those who still wait', () => {
  assert.deepEqual(sayList([QUEUED], LATER), [
    'ID    AGE  OCTETS  NEXT TRY  FROM             TO',
    '9QK4  10m  30      in 10m    <ann@a.example>  <bob@b.example>',
  ])
})

test('below a list stands what most of them wait for; who is done waits for nothing', () => {
  const other = { entry: ENTRY, hops: ['connector d', 'connector c'] }
  assert.deepEqual(sayReasons([QUEUED, other, QUEUED]), [
    '  2 by connector b: deferred: 451 4.7.1 greylisted?[31m',
    '  1 by connector d: deferred: 451 4.7.1 greylisted?[31m',
  ])
  const many = Array.from({ length: MOST_REASONS + 2 }, (_, i) => ({ entry: ENTRY, hops: [`connector ${i}`] }))
  assert.equal(sayReasons(many).at(-1), '  and 2 more reasons')
  assert.equal(sayReasons(many).length, MOST_REASONS + 1)
})

test('a message that is held waits, and has the time given back when it is released', () => {
  const held = CHANGES.hold(ENTRY, LATER)
  assert.ok(!('not' in held))
  assert.equal(held.held, LATER)
  assert.deepEqual(CHANGES.retry(held, LATER), { not: 'it is held; release it' })
  const released = CHANGES.release(held, LATER + 1_000)
  assert.ok(!('not' in released))
  assert.equal(released.held, undefined)
  assert.equal(released.expires, ENTRY.expires + 1_000)
  assert.equal(released.revision, 5)
  assert.equal(released.recipients[0]?.kind === 'waiting' && released.recipients[0].due, LATER + 1_000)
})

test('a message that is given up has failed for who waited, and for nobody else', () => {
  const bounced = CHANGES.bounce(ENTRY, LATER)
  assert.ok(!('not' in bounced))
  const [bob, eve] = bounced.recipients
  assert.ok(bob?.kind === 'done' && bob.outcome.kind === 'failed')
  assert.equal(eve, ENTRY.recipients[1])
})
