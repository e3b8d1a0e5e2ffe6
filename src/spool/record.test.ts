import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import type { Envelope, Recipient } from '../mail/envelope.ts'
import type { Outcome, RecipientState, SpoolEntry } from './entry.ts'
import { readRecord, type SpoolRecord, type Upgrade, writeRecord } from './record.ts'

const optional = <T extends object>(model: { [K in keyof T]: fc.Arbitrary<T[K]> }): fc.Arbitrary<Partial<T>> =>
  fc.record(model, { requiredKeys: [] }) as fc.Arbitrary<Partial<T>>

const at = fc.integer({ min: 0, max: 4_000_000_000_000 })
const mailbox = fc.record({ local: fc.string({ unit: 'binary' }), domain: fc.string() })
const reply = fc
  .tuple(
    fc.record({ code: fc.integer({ min: 200, max: 599 }), text: fc.array(fc.string()) }),
    optional({ status: fc.string() }),
  )
  .map(([must, may]) => ({ ...must, ...may }))
const by = fc.oneof(reply, fc.record({ status: fc.string(), why: fc.string() }))
const outcome: fc.Arbitrary<Outcome> = fc.oneof(
  fc
    .tuple(
      fc.record({ kind: fc.constantFrom('delivered' as const, 'relayed' as const), to: fc.string() }),
      optional({ by: reply, dsn: fc.boolean() }),
    )
    .map(([must, may]) => ({ ...must, ...may })),
  fc
    .tuple(fc.record({ kind: fc.constant('deferred' as const), by }), optional({ until: at, remote: fc.string() }))
    .map(([must, may]) => ({ ...must, ...may })),
  fc
    .tuple(fc.record({ kind: fc.constant('failed' as const), by }), optional({ remote: fc.string(), reply }))
    .map(([must, may]) => ({ ...must, ...may })),
)
const state: fc.Arbitrary<RecipientState> = fc.oneof(
  fc
    .tuple(
      fc.record({ kind: fc.constant('waiting' as const), due: at, attempts: fc.nat() }),
      optional({ last: outcome, tried: at }),
    )
    .map(([must, may]) => ({ ...must, ...may })),
  fc.record({ kind: fc.constant('done' as const), at, outcome }),
)
const recipient: fc.Arbitrary<Recipient> = fc
  .tuple(fc.record({ to: mailbox }), optional({ notify: fc.string(), orcpt: fc.string() }))
  .map(([must, may]) => ({ ...must, ...may }))
const record: fc.Arbitrary<SpoolRecord> = fc
  .record({
    people: fc.array(fc.tuple(recipient, state), { maxLength: 5 }),
    must: fc.record({
      from: fc.option(mailbox),
      smtputf8: fc.boolean(),
      body: fc.constantFrom('7bit' as const, '8bitmime' as const, 'binarymime' as const),
    }),
    may: optional<Omit<Envelope, 'from' | 'smtputf8' | 'body' | 'recipients'>>({
      ret: fc.constantFrom('FULL' as const, 'HDRS' as const),
      envid: fc.string(),
      requireTls: fc.boolean(),
      blob: fc.record({ version: fc.string(), bytes: fc.uint8Array() }),
    }),
    entry: fc.record({
      id: fc.string(),
      revision: fc.nat(),
      arrived: at,
      expires: at,
      size: fc.nat(),
      trail: fc.array(fc.record({ at, what: fc.string({ unit: 'binary' }) }), { maxLength: 5 }),
    }),
    body: fc.record({ place: fc.constantFrom('tree' as const, 'file' as const), sum: fc.nat() }),
  })
  .map(({ people, must, may, entry, body }) => {
    const envelope: Envelope = { ...must, ...may, recipients: people.map(([each]) => each) }
    return { entry: { ...entry, envelope, recipients: people.map(([, each]) => each) }, body }
  })

/** fast-check's objects have no prototype. */
const plain = (value: SpoolRecord): SpoolRecord => structuredClone(value)

test('a record reads back as what was written, whatever the entry holds', () => {
  fc.assert(
    fc.property(record, it => {
      assert.deepEqual(readRecord(writeRecord(it)), plain(it))
    }),
  )
})

const ENTRY: SpoolEntry = {
  id: '9QK4',
  revision: 1,
  arrived: 5,
  expires: 9,
  envelope: {
    from: { local: 'ann', domain: 'a.example' },
    recipients: [{ to: { local: 'bob', domain: 'b.example' } }],
    smtputf8: false,
    body: '7bit',
  },
  size: 3,
  recipients: [{ kind: 'waiting', due: 5, attempts: 0 }],
  trail: [{ at: 5, what: 'received' }],
}
const LINE = writeRecord({ entry: ENTRY, body: { place: 'tree', sum: 7 } })

test('a record is one line of JSON that a person can read', () => {
  assert.equal(
    LINE,
    '{"version":1,"body":{"place":"tree","sum":7},"entry":{"id":"9QK4","revision":1,"arrived":5,"expires":9,' +
      '"envelope":{"from":{"local":"ann","domain":"a.example"},"recipients":[{"to":{"local":"bob","domain":"b.example"}}],' +
      '"smtputf8":false,"body":"7bit"},"size":3,"recipients":[{"kind":"waiting","due":5,"attempts":0}],' +
      '"trail":[{"at":5,"what":"received"}]}}',
  )
})

test('reading is total: any text is a record, or something is said to be wrong with it', () => {
  const damaged = fc
    .tuple(fc.nat(LINE.length - 1), fc.string())
    .map(([at, put]) => LINE.slice(0, at) + put + LINE.slice(at + 1))
  fc.assert(
    fc.property(fc.oneof(fc.string(), fc.json(), damaged), text => {
      const read = readRecord(text)
      assert.ok('wrong' in read ? read.wrong !== '' : typeof read.entry.id === 'string')
    }),
  )
})

for (const [what, from, to, wrong] of [
  ['a missing field', '"size":3,', '', 'record.entry.size: expected a whole number'],
  ['a field that is not known', '"size":3', '"size":3,"colour":1', 'record.entry.colour: no such field is known'],
  [
    'a tag that is not known',
    '"waiting"',
    '"asleep"',
    'record.entry.recipients[0].kind: expected one of waiting, done',
  ],
  [
    'a state too few',
    '[{"kind":"waiting","due":5,"attempts":0}]',
    '[]',
    'record.entry.recipients: expected as many as there are in the envelope',
  ],
  ['a wrong word', '"7bit"', '"8bit"', 'record.entry.envelope.body: expected one of 7bit, 8bitmime, binarymime'],
  ['a version yet to come', '"version":1', '"version":2', 'version 2 was written by a newer Postern; this one knows 1'],
  ['a version that is none', '"version":1', '"version":0', 'version: expected a whole number from 1 to 1'],
] as const) {
  test(`${what} is pointed at`, () => {
    assert.ok(LINE.includes(from))
    assert.deepEqual(readRecord(LINE.replace(from, to)), { wrong })
  })
}

test('an old record is brought forward version by version, a current one is not touched', () => {
  const upgrades: readonly Upgrade[] = [
    ({ message, ...rest }) => ({ ...rest, entry: message }),
    ({ content, ...rest }) => ({ ...rest, body: { place: 'tree', sum: content } }),
  ]
  const { body, entry, version } = JSON.parse(LINE)
  assert.equal(version, 1)
  const first = JSON.stringify({ version: 1, content: 7, message: entry })
  const second = JSON.stringify({ version: 2, content: 7, entry })
  const third = JSON.stringify({ version: 3, body, entry })
  for (const line of [first, second, third]) {
    assert.deepEqual(readRecord(line, upgrades), { entry: ENTRY, body: { place: 'tree', sum: 7 } })
  }
})
