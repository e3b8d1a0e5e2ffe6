import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import { runs } from '../base/any-bytes.test.ts'
import { newEntry, type SpoolEntry, type SpoolId } from '../spool/entry.ts'
import { SpoolAsked } from './spool-asked.ts'

const NOON = 1_001_783_358_000

function entry(id: SpoolId, ...domains: readonly string[]): SpoolEntry {
  const recipients = domains.map(domain => ({ to: { local: 'bob', domain } }))
  const envelope = { from: null, recipients, smtputf8: false, body: '7bit' } as const
  return newEntry({ id, envelope, at: NOON, expire: 1_000, what: 'made' })
}

/** A queue, and how often all of it was read. */
function queue(most?: number) {
  const entries = new Map<SpoolId, SpoolEntry>()
  const read = { scans: 0 }
  const asked = new SpoolAsked(
    {
      async *scan() {
        read.scans++
        for (const id of [...entries.keys()].sort()) {
          const each = entries.get(id)
          if (each) yield each
          await undefined
        }
      },
      entry: id => entries.get(id),
    },
    most === undefined ? {} : { most },
  )
  const put = (each: SpoolEntry): void => {
    entries.set(each.id, each)
    asked.changed(each)
  }
  const drop = (id: SpoolId): void => {
    const each = entries.get(id)
    entries.delete(id)
    if (each) asked.gone(each)
  }
  const found = async (...domains: readonly string[]): Promise<readonly SpoolId[]> => {
    const ids: SpoolId[] = []
    for await (const { id } of asked.waitingFor(new Set(domains))) ids.push(id)
    return ids
  }
  return { entries, read, asked, put, drop, found }
}

test('the queue is read once for all who ask, and not for what comes after', async () => {
  const { read, asked, put, drop, found } = queue()
  put(entry('2', 'a.example'))
  asked.watch(['a.example', 'b.example'])
  assert.equal(read.scans, 0, 'nobody asked')
  const many = Promise.all(Array.from({ length: 20 }, () => found('b.example')))
  put(entry('3', 'b.example', 'a.example'))
  put(entry('1', 'a.example'))
  await many
  assert.deepEqual(await found('a.example'), ['1', '2', '3'])
  assert.deepEqual(await found('b.example'), ['3'])
  drop('3')
  assert.deepEqual(await found('b.example'), [])
  assert.equal(read.scans, 1)
})

test('beyond the limit the queue is read as long as what had room is there, and then listed anew', async () => {
  const { read, asked, put, drop, found } = queue(2)
  asked.watch(['a.example', 'b.example'])
  for (const id of ['1', '2', '3', '4']) put(entry(id, 'a.example'))
  assert.deepEqual(await found('a.example'), ['1', '2', '3', '4'])
  const before = read.scans
  assert.deepEqual(await found('b.example'), [])
  assert.equal(read.scans, before, 'of another domain all is known')
  drop('1')
  drop('2')
  assert.deepEqual(await found('a.example'), ['3', '4'])
  const after = read.scans
  drop('3')
  assert.deepEqual(await found('a.example'), ['4'])
  assert.equal(read.scans, after)
})

test('what is too much of one domain leaves the room of the others, and its own first are found without the queue', async () => {
  const { read, asked, put, found } = queue(3)
  asked.watch(['a.example', 'b.example', 'c.example'])
  for (const id of ['1', '2', '3', '4']) put(entry(id, 'a.example'))
  put(entry('5', 'b.example'))
  for (let i = 0; i < 4; i++) {
    assert.deepEqual(await found('b.example'), ['5'])
    assert.deepEqual(await found('c.example'), [])
    for await (const { id } of asked.waitingFor(new Set(['a.example']))) {
      assert.equal(id, '1')
      break
    }
  }
  assert.equal(read.scans, 1)
})

test('a long list is read a few at a time: others are served between', async () => {
  const { asked, put } = queue()
  asked.watch(['a.example'])
  for (let i = 100; i < 400; i++) put(entry(`${i}`, 'a.example'))
  for (const when of ['it is listed', 'it was listed before']) {
    let [seen, turns] = [0, 0]
    const turn = () => {
      turns++
      immediate = setImmediate(turn)
    }
    let immediate = setImmediate(turn)
    for await (const _each of asked.waitingFor(new Set(['a.example']))) seen++
    clearImmediate(immediate)
    assert.equal(seen, 300)
    assert.ok(turns >= 5, `${turns} turns when ${when}`)
  }
})

test('whatever comes, goes and changes while it is asked, what waits is found and nothing else', async () => {
  const step = fc.record({
    id: fc.constantFrom('1', '2', '3', '4', '5'),
    what: fc.constantFrom('put', 'hold', 'drop', 'ask', 'watch'),
    domain: fc.constantFrom('a.example', 'b.example'),
  })
  await fc.assert(
    fc.asyncProperty(fc.array(step, { maxLength: 40 }), fc.integer({ min: 1, max: 6 }), async (steps, most) => {
      const { entries, asked, put, drop, found } = queue(most)
      const asking: Promise<unknown>[] = []
      for (const { id, what, domain } of steps) {
        if (what === 'put') put(entry(id, domain, 'c.example'))
        else if (what === 'hold') put({ ...entry(id, domain), held: NOON })
        else if (what === 'drop') drop(id)
        else if (what === 'watch') asked.watch([domain])
        else asking.push(found(domain))
        await undefined
      }
      await Promise.all(asking)
      for (const domain of ['a.example', 'b.example']) {
        const waits = [...entries.values()].filter(
          each => each.held === undefined && each.envelope.recipients.some(({ to }) => to.domain === domain),
        )
        assert.deepEqual([...(await found(domain))].sort(), waits.map(({ id }) => id).sort())
      }
    }),
    runs(300),
  )
})
