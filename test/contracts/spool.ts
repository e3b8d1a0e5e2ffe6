/** The suite that every Spool passes. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import type { SpoolEntry } from '../../src/spool/entry.ts'
import type { Spool } from '../../src/spool/spool.ts'

const NOON = 1_001_783_358_000

function entry(id: string, due: number = NOON): SpoolEntry {
  return {
    id,
    revision: 0,
    arrived: NOON,
    expires: NOON + 1000,
    envelope: {
      from: null,
      recipients: [{ to: { local: 'bob', domain: 'b.example' } }],
      smtputf8: false,
      body: '7bit',
    },
    size: 0,
    recipients: [{ kind: 'waiting', due, attempts: 0 }],
    trail: [],
  }
}

async function* body(...pieces: readonly string[]): AsyncIterable<Uint8Array> {
  for (const piece of pieces) yield Buffer.from(piece)
}

async function whole(spool: Spool, id: string): Promise<string> {
  const pieces: Uint8Array[] = []
  for await (const piece of spool.body(id)) pieces.push(piece)
  return Buffer.concat(pieces).toString()
}

export function spoolContract(name: string, make: (limit: number) => Spool): void {
  const spool = () => make(1_000_000)

  test(`${name}: put() keeps entry and body, and counts its octets`, async () => {
    const it = spool()
    assert.deepEqual(await it.put(entry('a'), body('Subject: x\r\n', '\r\nhi\r\n')), { kept: true })
    assert.equal(await whole(it, 'a'), 'Subject: x\r\n\r\nhi\r\n')
    assert.equal((await it.list())[0]?.size, 18)
  })

  test(`${name}: put() keeps its own copy: the buffer of a piece may be used again`, async () => {
    const it = spool()
    const buffer = Buffer.from('first')
    async function* reused(): AsyncIterable<Uint8Array> {
      yield buffer
      buffer.fill('x')
    }
    await it.put(entry('a'), reused())
    assert.equal(await whole(it, 'a'), 'first')
  })

  test(`${name}: whether a message would be kept can be asked: at its limit it says so, and below it is well`, async () => {
    const it = make(10)
    assert.equal(await it.trouble(), undefined)
    await it.put(entry('a'), body('0123456789'))
    assert.equal(it.size, 10)
    assert.match((await it.trouble()) ?? '', /holds its 10 octets/)
    assert.deepEqual(
      (await it.list()).map(({ id }) => id),
      ['a'],
    )
  })

  test(`${name}: a body that breaks off leaves nothing behind, and its room is free again`, async () => {
    const it = make(10)
    async function* broken(): AsyncIterable<Uint8Array> {
      yield Buffer.from('12345678')
      throw new Error('the client went away')
    }
    await assert.rejects(it.put(entry('a'), broken()))
    assert.deepEqual(await it.list(), [])
    assert.deepEqual(await it.put(entry('b'), body('12345678')), { kept: true })
  })

  test(`${name}: a full spool refuses, keeps nothing of it, and takes mail again when there is room`, async () => {
    const it = make(10)
    assert.deepEqual(await it.put(entry('a'), body('1234567')), { kept: true })
    const refused = await it.put(entry('b'), body('123', '4567'))
    assert.equal(refused.kept === false && refused.why, 'no-space')
    assert.deepEqual(
      (await it.list()).map(({ id }) => id),
      ['a'],
    )
    const [claim] = await it.claim(NOON, NOON + 10, 1)
    assert.ok(claim)
    await it.remove(claim)
    assert.deepEqual(await it.put(entry('b'), body('1234567890')), { kept: true })
  })

  test(`${name}: claim() gives what is due, oldest due first, and to nobody else until the claim runs out`, async () => {
    const it = spool()
    await it.put(entry('late', NOON + 5), body('x'))
    await it.put(entry('early', NOON + 1), body('x'))
    await it.put(entry('not-yet', NOON + 100), body('x'))
    const first = await it.claim(NOON + 10, NOON + 50, 10)
    assert.deepEqual(
      first.map(claim => claim.entry.id),
      ['early', 'late'],
    )
    assert.deepEqual(await it.claim(NOON + 20, NOON + 60, 10), [])
    assert.equal((await it.claim(NOON + 50, NOON + 90, 10)).length, 2)
  })

  test(`${name}: update() records the next state, gives the claim back, and refuses an old revision`, async () => {
    const it = spool()
    await it.put(entry('a'), body('x'))
    const [claim] = await it.claim(NOON, NOON + 50, 1)
    assert.ok(claim)
    const next: SpoolEntry = {
      ...claim.entry,
      revision: 1,
      recipients: [{ kind: 'waiting', due: NOON + 7, attempts: 1 }],
    }
    assert.equal(await it.update(claim, next), true)
    assert.equal(await it.update(claim, next), false)
    assert.equal(await it.nextDue(), NOON + 7)
    assert.equal((await it.claim(NOON + 7, NOON + 50, 1))[0]?.entry.revision, 1)
  })

  test(`${name}: nextDue() tells when to look again, a claim's end included; nothing waits: undefined`, async () => {
    const it = spool()
    assert.equal(await it.nextDue(), undefined)
    await it.put(entry('a', NOON + 3), body('x'))
    assert.equal(await it.nextDue(), NOON + 3)
    await it.claim(NOON + 3, NOON + 99, 1)
    assert.equal(await it.nextDue(), NOON + 99)
  })

  test(`${name}: remove() forgets entry and body`, async () => {
    const it = spool()
    await it.put(entry('a'), body('x'))
    const [claim] = await it.claim(NOON, NOON + 50, 1)
    assert.ok(claim)
    await it.remove(claim)
    assert.deepEqual(await it.list(), [])
    await assert.rejects(whole(it, 'a'), /a is not in the spool/)
  })

  test(`${name}: take() claims one entry, due or not, unless somebody has it`, async () => {
    const it = spool()
    await it.put(entry('a', NOON + 500), body('x'))
    const taken = await it.take('a', NOON, NOON + 50)
    assert.equal(taken?.entry.id, 'a')
    assert.equal(await it.take('a', NOON + 49, NOON + 99), undefined)
    assert.equal((await it.take('a', NOON + 50, NOON + 99))?.entry.id, 'a')
    assert.equal(await it.take('b', NOON, NOON + 50), undefined)
  })

  test(`${name}: remove() puts the report in the place of the message, in one step, and beyond the limit`, async () => {
    const it = make(10)
    await it.put(entry('a'), body('1234567890'))
    const [claim] = await it.claim(NOON, NOON + 50, 1)
    assert.ok(claim)
    const report = { entry: entry('report', NOON + 1), body: Buffer.from('Subject: a report\r\n') }
    assert.equal(await it.remove(claim, { report }), true)
    assert.deepEqual(
      (await it.list()).map(({ id, size }) => [id, size]),
      [['report', 19]],
    )
    assert.equal(await whole(it, 'report'), 'Subject: a report\r\n')
    assert.equal((await it.claim(NOON + 1, NOON + 50, 1))[0]?.entry.id, 'report')
    assert.equal(await it.remove(claim, { report: { entry: entry('again'), body: Buffer.from('x') } }), false)
    assert.equal(it.count, 1)
  })

  test(`${name}: update() may bring a report, too`, async () => {
    const it = spool()
    await it.put(entry('a'), body('x'))
    const [claim] = await it.claim(NOON, NOON + 50, 1)
    assert.ok(claim)
    const report = { entry: entry('report'), body: Buffer.from('y') }
    assert.equal(await it.update(claim, { ...claim.entry, revision: 1 }, report), true)
    assert.equal(await it.update(claim, { ...claim.entry, revision: 1 }, report), false)
    assert.deepEqual(new Set((await it.list()).map(({ id }) => id)), new Set(['a', 'report']))
  })

  test(`${name}: what is held is not due, and is there all the same`, async () => {
    const it = spool()
    await it.put({ ...entry('a'), held: NOON }, body('x'))
    assert.equal(await it.nextDue(), undefined)
    assert.deepEqual(await it.claim(NOON + 9, NOON + 50, 1), [])
    const claim = await it.take('a', NOON, NOON + 50)
    assert.ok(claim)
    const { held: _released, ...next } = claim.entry
    assert.equal(await it.update(claim, { ...next, revision: 1 }), true)
    assert.equal(await it.nextDue(), NOON)
  })

  test(`${name}: what is put off is as it was, and is not claimed before its time, but taken and hastened`, async () => {
    const it = spool()
    for (const id of ['a', 'b']) await it.put(entry(id, NOON), body('x'))
    const [one, two] = await it.claim(NOON, NOON + 500, 9)
    assert.ok(one && two)
    it.putOff(one, NOON + 60)
    it.putOff(two, NOON + 60)
    assert.deepEqual(await it.claim(NOON + 59, NOON + 500, 9), [])
    assert.equal(await it.nextDue(), NOON + 60)
    const taken = await it.take(one.entry.id, NOON + 1, NOON + 500)
    assert.deepEqual(taken?.entry, one.entry)
    const [again, ...more] = await it.claim(NOON + 60, NOON + 500, 9)
    assert.deepEqual([again?.entry, more], [two.entry, []])
    assert.ok(taken && again)
    it.putOff(again, NOON + 900)
    assert.equal(await it.hasten({ at: NOON + 70, what: 'retried' }), 1)
    const [hastened] = await it.claim(NOON + 70, NOON + 500, 9)
    assert.equal(hastened?.entry.id, again.entry.id)
    // A claim from before something was written is worth nothing.
    assert.ok(await it.update(taken, { ...taken.entry, revision: 1 }))
    it.putOff(taken, NOON + 900)
    assert.equal(await it.nextDue(), NOON)
  })

  test(`${name}: hasten() has all that waits due at once, but what is held, claimed, or was tried since`, async () => {
    const it = spool()
    const late = (id: string): SpoolEntry => entry(id, NOON + 900)
    await it.put(late('a'), body('x'))
    await it.put({ ...late('held'), held: NOON }, body('x'))
    await it.put(late('claimed'), body('x'))
    await it.put(late('tried'), body('x'))
    const claimed = await it.take('claimed', NOON, NOON + 500)
    assert.ok(claimed)
    assert.equal(await it.hasten({ at: NOON + 10, what: 'retried' }), 2)
    const tried = await it.take('tried', NOON + 11, NOON + 500)
    assert.ok(tried)
    const { recipients: again } = late('tried')
    const trail = [...tried.entry.trail, { at: NOON + 12, what: 'tried' }]
    assert.ok(await it.update(tried, { ...tried.entry, revision: 1, recipients: again, trail }))
    assert.equal(await it.nextDue(), NOON + 10)
    const [one, ...more] = await it.claim(NOON + 10, NOON + 500, 9)
    assert.deepEqual(
      [one?.entry.id, one?.entry.recipients[0], one?.entry.trail, more],
      ['a', { kind: 'waiting', due: NOON + 10, attempts: 0 }, [{ at: NOON + 10, what: 'retried' }], []],
    )
    assert.ok(one && (await it.remove(one)))
    assert.ok(await it.update(claimed, { ...claimed.entry, revision: 1, trail: [{ at: NOON + 20, what: 'tried' }] }))
    assert.equal(await it.nextDue(), NOON + 900)
    const listed = (await it.list()).map(({ id, recipients: [state] }) => [id, state?.kind === 'waiting' && state.due])
    assert.deepEqual(
      listed.sort(),
      ['claimed', 'held', 'tried'].map(id => [id, NOON + 900]),
    )
  })

  test(`${name}: scan() and count tell of everything`, async () => {
    const it = spool()
    for (const id of ['a', 'b', 'c']) await it.put(entry(id), body(id))
    const found: string[] = []
    for await (const { id } of it.scan()) found.push(id)
    assert.deepEqual(found, ['a', 'b', 'c'])
    assert.equal(it.count, 3)
  })

  test(`${name}: how a message ended is remembered when it is gone`, async () => {
    const it = spool()
    await it.put(entry('a'), body('x'))
    const claim = await it.take('a', NOON, NOON + 50)
    assert.ok(claim)
    assert.equal(await it.gone('a'), undefined)
    assert.ok(it.has('a') && !it.has('b'))
    const last: SpoolEntry = { ...claim.entry, revision: 1, trail: [{ at: NOON, what: 'relayed' }] }
    await it.remove(claim, { last })
    assert.deepEqual(await it.gone('a'), last)
    assert.ok(!it.has('a'))
    assert.equal(await it.gone('b'), undefined)
  })

  test(`${name}: waitingFor() finds what waits for a domain and is not held, whatever came before it was watched`, async () => {
    const it = spool()
    const of = (id: string, ...domains: readonly string[]): SpoolEntry => ({
      ...entry(id),
      envelope: { ...entry(id).envelope, recipients: domains.map(domain => ({ to: { local: 'bob', domain } })) },
      recipients: domains.map(() => ({ kind: 'waiting', due: NOON, attempts: 0 })),
    })
    const found = async (...domains: readonly string[]): Promise<string> => {
      const ids: string[] = []
      for await (const { id } of it.waitingFor(new Set(domains))) ids.push(id)
      return ids.join(' ')
    }
    const change = async (id: string, next: Partial<SpoolEntry>): Promise<void> => {
      const claim = await it.take(id, NOON, NOON + 50)
      assert.ok(claim)
      const { held: _released, ...before } = claim.entry
      assert.ok(await it.update(claim, { ...before, ...next, revision: before.revision + 1 }))
    }
    await it.put(of('a', 'b.example'), body('x'))
    await it.put({ ...of('b', 'b.example'), held: NOON }, body('x'))
    assert.equal(await found('b.example'), 'a', 'it is not watched')
    it.watch(['b.example', 'xn--bcher-kva.example'])
    await it.put(of('c', 'c.example', 'B.Example'), body('x'))
    await it.put(of('d', 'bücher.example'), body('x'))
    assert.equal(await found('b.example'), 'a c')
    assert.equal(await found('xn--bcher-kva.example', 'b.example'), 'd a c')
    assert.equal(await found('c.example'), 'c')
    await change('b', {})
    await change('a', { held: NOON })
    await change('c', {
      recipients: [
        { kind: 'waiting', due: NOON, attempts: 0 },
        { kind: 'done', at: NOON, outcome: { kind: 'relayed', to: 'x' } },
      ],
    })
    assert.equal(await found('b.example'), 'b')
    const claim = await it.take('b', NOON, NOON + 50)
    assert.ok(claim)
    await it.remove(claim, { report: { entry: of('e', 'b.example'), body: Buffer.from('x') } })
    assert.equal(await found('b.example'), 'e')
    it.watch(['c.example'])
    assert.equal(await found('c.example'), 'c')
    assert.equal(await found('b.example'), 'e')
  })
}
