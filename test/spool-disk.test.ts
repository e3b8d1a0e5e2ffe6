/** What the spool on disk promises, when the process or the disk ends in the middle. */
import assert from 'node:assert/strict'
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import {
  appendFileSync,
  cpSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  renameSync,
  rmSync,
  statSync,
  truncateSync,
  writeFileSync,
} from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { mock, test } from 'node:test'
import { setTimeout as sleep } from 'node:timers/promises'
import { Journal } from '../src/io/journal.ts'
import { LmdbSpool, type LmdbSpoolOptions } from '../src/io/lmdb-spool.ts'
import { checkSpool } from '../src/io/spool-check.ts'
import { Tree } from '../src/io/tree.ts'
import type { Kept } from '../src/spool/spool.ts'
import { noSmallDisk, smallDisk } from './small-disk.ts'
import { bodyOf, contentOf, entryOf, SIZES, whole } from './spool-messages.ts'

interface After {
  after(work: () => unknown): void
}

const undoing = new WeakMap<After, (() => unknown)[]>()

/** Undone in the opposite order. */
function undo(t: After, work: () => unknown): void {
  const steps = undoing.get(t)
  if (steps) return void steps.unshift(work)
  const first = [work]
  undoing.set(t, first)
  t.after(async () => {
    for (const step of first) await step()
  })
}

function folder(t: After): string {
  const made = mkdtempSync(join(tmpdir(), 'spool-'))
  undo(t, () => rmSync(made, { recursive: true, force: true }))
  return made
}

function open(t: After, path: string, options: LmdbSpoolOptions = {}): LmdbSpool {
  const spool = LmdbSpool.open(path, options)
  undo(t, () => spool.close())
  return spool
}

const why = (kept: Kept): string => (kept.kept ? 'kept' : kept.why)

async function isWhole(spool: LmdbSpool, id: string, size: number): Promise<void> {
  assert.ok((await whole(spool.body(id))).equals(contentOf(id, size)), `${id} is whole`)
}

for (const { what, ahead } of [
  { what: 'nearly all of it in the journal', ahead: undefined },
  { what: 'the journal always on its way into the tree', ahead: 1024 ** 2 },
]) {
  test(`what was kept is there after kill -9 at any moment, whole; what was removed is not; nothing else is left (${what})`, async t => {
    const path = folder(t)
    const kept = new Set<string>()
    for (const round of ['one', 'two', 'three', 'four']) {
      const child = spawn(
        process.execPath,
        [join(import.meta.dirname, 'spool-child.ts'), path, round, ...(ahead === undefined ? [] : [String(ahead)])],
        { stdio: ['ignore', 'pipe', 'inherit'] },
      )
      let said = ''
      child.stdout.on('data', chunk => {
        said += chunk
        if (said.split('\n').length > 60) child.kill('SIGKILL')
      })
      await once(child, 'close')
      const lines = said.split('\n').slice(0, -1)
      const done = new Map(lines.map(line => line.split(' ') as [string, string | undefined]))
      // A copy is looked at: the spool itself is not put in order before the next one is killed.
      const copy = join(folder(t), 'copy')
      cpSync(path, copy, { recursive: true })
      const spool = LmdbSpool.open(copy, ahead === undefined ? {} : { ahead })
      const found = new Map((await spool.list()).map(entry => [entry.id, entry]))
      for (const [id, work] of done) {
        // Asked to be removed, and killed before it was said: either is right.
        if (Number(id.split('-')[2]) % 5 !== 4) kept.add(id)
        else if (work === 'removed') {
          assert.ok(!found.has(id), `${id} is removed`)
          assert.equal((await spool.gone(id))?.revision, 1)
        }
        if (work === 'updated') assert.equal(found.get(id)?.revision, 1, `${id} is updated`)
      }
      for (const id of kept) assert.ok(found.has(id), `${id} is there`)
      for (const { id, size } of found.values()) {
        assert.equal(size, SIZES[Number(id.split('-')[2]) % SIZES.length])
        await isWhole(spool, id, size)
      }
      assert.equal(spool.count, found.size)
      await spool.read()
      assert.equal(spool.count, found.size)
      const strays = readdirSync(join(copy, 'bodies')).filter(name => !found.has(name))
      assert.deepEqual(strays, [], 'no file is left of what was never kept')
      await spool.close()
    }
  })
}

const skip = noSmallDisk()
for (const leftFree of [0, 2_000_000]) {
  for (const size of [30_000, 300_000]) {
    const what = `${size} octets each, ${leftFree} of the disk left alone`
    test(`a full disk: refused for want of space, nothing lost, and taken again when there is room (${what})`, {
      skip,
    }, async t => {
      const path = smallDisk(work => undo(t, work), 6)
      const spool = open(t, path, { leftFree, ahead: 1024 ** 2 })
      const put = (id: string) => spool.put(entryOf(id), bodyOf(id, size))
      const kept: string[] = []
      let answer: Kept = { kept: true }
      for (let i = 0; answer.kept; i++) {
        const id = `m${i}`
        answer = await put(id)
        if (answer.kept) kept.push(id)
        assert.ok(i < 1_000)
      }
      assert.equal(why(answer), 'no-space')
      // Many at once, on a disk that is full already.
      const more = await Promise.all(['x', 'y', 'z'].map(put))
      assert.ok(more.every(each => why(each) === 'no-space' || each.kept))
      for (const [i, each] of more.entries()) if (each.kept) kept.push('xyz'[i] ?? '')
      const listed = (await spool.list()).map(({ id }) => id)
      assert.deepEqual(new Set(listed), new Set(kept))
      for (const id of kept) await isWhole(spool, id, size)
      for (const id of kept.slice(0, Math.ceil(kept.length / 2))) {
        const claim = await spool.take(id, 0, 1)
        assert.ok(claim)
        await spool.remove(claim)
      }
      // Longer than what is known of the disk may be old.
      await sleep(600)
      assert.deepEqual(await put('again'), { kept: true })
      await isWhole(spool, 'again', size)
      assert.equal(spool.count, kept.length - Math.ceil(kept.length / 2) + 1)
    })
  }
}

test('a folder taken away: refused as a fault, and mail is taken again when it is back', async t => {
  const path = join(folder(t), 'spool')
  const spool = open(t, path)
  assert.deepEqual(await spool.put(entryOf('a'), bodyOf('a', 100)), { kept: true })
  renameSync(path, `${path}-away`)
  await sleep(600)
  assert.equal(why(await spool.put(entryOf('b'), bodyOf('b', 100))), 'fault')
  mkdirSync(path)
  appendFileSync(join(path, 'queue.mdb'), '')
  assert.equal(
    why(await spool.put(entryOf('b'), bodyOf('b', 100))),
    'fault',
    'another file in its place is not the spool',
  )
  rmSync(path, { recursive: true })
  renameSync(`${path}-away`, path)
  assert.deepEqual(await spool.put(entryOf('b'), bodyOf('b', 100)), { kept: true })
  assert.deepEqual(
    (await spool.list()).map(({ id }) => id),
    ['a', 'b'],
  )
})

test('a folder that is moved right after the start: what becomes of messages is written down all the same', async t => {
  const path = join(folder(t), 'spool')
  const before = open(t, path)
  assert.deepEqual(await before.put(entryOf('a'), bodyOf('a', 100)), { kept: true })
  await before.close()
  const spool = open(t, path)
  renameSync(path, `${path}-away`)
  const claim = await spool.take('a', 0, 1)
  assert.ok(claim && (await spool.remove(claim)))
  await spool.close()
  renameSync(`${path}-away`, path)
  assert.equal(open(t, path).count, 0)
})

test('no place for files: a large message is refused as a fault, a small one is taken, and both when it is back', async t => {
  const path = folder(t)
  const spool = open(t, path, { inTree: 1_000 })
  rmSync(join(path, 'bodies'), { recursive: true })
  assert.equal(why(await spool.put(entryOf('large'), bodyOf('large', 100_000))), 'fault')
  assert.deepEqual(await spool.put(entryOf('small'), bodyOf('small', 100)), { kept: true })
  mkdirSync(join(path, 'bodies'))
  assert.deepEqual(await spool.put(entryOf('large'), bodyOf('large', 100_000)), { kept: true })
  assert.ok(existsSync(join(path, 'bodies', 'large')))
  await isWhole(spool, 'large', 100_000)
})

test('a spool is used by one process at a time; who was killed does not stand in the way', async t => {
  const path = folder(t)
  const spool = open(t, path)
  assert.throws(() => LmdbSpool.open(path), new RegExp(`is in use by process ${process.pid}$`))
  await spool.close()
  await LmdbSpool.open(path).close()
})

test('a process that ended and was not taken notice of has no spool', {
  skip: process.platform !== 'linux' && 'needs /proc',
}, async t => {
  const path = folder(t)
  await LmdbSpool.open(path).close()
  // Its parent becomes a program that never asks what became of it.
  const parent = spawn('sh', ['-c', 'sleep 0.1 & exec sleep 60'], { stdio: 'ignore' })
  t.after(() => parent.kill())
  const children = `/proc/${parent.pid}/task/${parent.pid}/children`
  const stat = (pid: number) => readFileSync(`/proc/${pid}/stat`, 'latin1')
  let child = 0
  for (let i = 0; child === 0 || !stat(child).includes(') Z '); i++) {
    child = Number(readFileSync(children, 'latin1'))
    assert.ok(i < 500)
    await sleep(10)
  }
  const tree = new Tree(join(path, 'queue.mdb'))
  tree.exchange('owner', () => ({ put: JSON.stringify({ pid: child }), result: undefined }))
  await tree.close()
  await LmdbSpool.open(path).close()
})

test('what waits for a domain is found where it is not read yet since the start', async t => {
  const spool = await opened(t, folder(t), 200)
  spool.watch(['b.example', 'd.example'])
  const found = async (domain: string): Promise<number> => {
    let count = 0
    for await (const _entry of spool.waitingFor(new Set([domain]))) count++
    return count
  }
  assert.equal(spool.unread, 200)
  assert.deepEqual([await found('b.example'), await found('d.example')], [200, 0])
  await spool.read()
  assert.deepEqual([await found('b.example'), await found('d.example')], [200, 0])
})

test('a spool that is closed has the rest of its journal in the tree, once, and nobody owns it then', async t => {
  const path = folder(t)
  const spool = LmdbSpool.open(path)
  await spool.put(entryOf('a'), bodyOf('a', 100))
  const turns = mock.method(Journal.prototype, 'turn')
  t.after(() => turns.mock.restore())
  await spool.close()
  assert.equal(turns.mock.callCount(), 1)
  const tree = new Tree(join(path, 'queue.mdb'), { readOnly: true })
  assert.deepEqual(tree.ids('entries'), ['a'])
  assert.equal(tree.meta('owner'), '')
  await tree.close()
})

/** A spool with `count` messages from before, of which nothing is read yet. */
async function opened(t: After, path: string, count: number): Promise<LmdbSpool> {
  const before = LmdbSpool.open(path, { inTree: 1_000 })
  for (let i = 0; i < count; i++) await before.put(entryOf(idOf(i)), bodyOf(idOf(i), 100))
  await before.close()
  return open(t, path, { inTree: 1_000 })
}

const idOf = (i: number): string => `m${String(i).padStart(4, '0')}`

test('a queue that is not read yet: counted, listed and asked for by its id, and mail is taken; due it is once it is read', async t => {
  const path = folder(t)
  const spool = await opened(t, path, 300)
  assert.deepEqual([spool.count, spool.unread], [300, 300])
  assert.deepEqual(await spool.claim(0, 1, 9), [])
  // Ids between the others', as a clock that was put back makes them; one of them is gone again.
  for (const id of ['m0100x', 'm0200x'])
    assert.deepEqual(await spool.put(entryOf(id), bodyOf(id, 2_000)), { kept: true })
  for (const id of ['m0200x', 'm0007', 'm0299']) {
    const claim = await spool.take(id, 0, 1)
    assert.ok(claim, id)
    await isWhole(spool, id, id.endsWith('x') ? 2_000 : 100)
    assert.ok(await spool.remove(claim))
  }
  assert.deepEqual([spool.count, spool.unread], [299, 298])
  const left = [...Array(300).keys()].map(idOf).filter(id => id !== 'm0007' && id !== 'm0299')
  const all = [...left, 'm0100x'].sort()
  assert.deepEqual(
    (await spool.list()).map(({ id }) => id),
    all,
  )
  let times = 0
  await spool.read(() => times++)
  assert.ok(times > 0)
  assert.deepEqual([spool.count, spool.unread, spool.size], [299, 0, 298 * 100 + 2_000])
  const claims = await spool.claim(0, 1, 999)
  assert.deepEqual(claims.map(({ entry }) => entry.id).sort(), all)
  await isWhole(spool, 'm0100x', 2_000)
})

test('what is taken while it is read is not read again: nothing is claimed twice, and nothing is left', async t => {
  const spool = await opened(t, folder(t), 2_000)
  const found: string[] = []
  const reading = spool.read()
  while (spool.unread > 0) {
    const late = await spool.take(idOf(1_999 - found.length), 0, 1)
    for (const claim of [...(late ? [late] : []), ...(await spool.claim(0, 1, 20))]) {
      found.push(claim.entry.id)
      void spool.remove(claim)
    }
    await new Promise(resolve => setImmediate(resolve))
  }
  await reading
  for (const claim of await spool.claim(0, 1, 2_000)) found.push(claim.entry.id)
  assert.deepEqual(found.sort(), [...Array(2_000).keys()].map(idOf))
})

test('an order that all be tried holds after a kill, for those that were not tried since', async t => {
  const path = folder(t)
  const later = (id: string) => {
    const entry = entryOf(id)
    return { ...entry, recipients: [{ kind: 'waiting', due: 900, attempts: 1 }] as const }
  }
  const spool = open(t, path)
  for (const id of ['a', 'b']) await spool.put(later(id), bodyOf(id, 100))
  assert.equal(await spool.hasten({ at: 10, what: 'retried' }), 2)
  const claim = await spool.take('b', 10, 20)
  assert.ok(claim)
  const trail = [...claim.entry.trail, { at: 11, what: 'tried' }]
  assert.ok(await spool.update(claim, { ...later('b'), revision: 1, trail }))
  // As if it had been killed: nothing more is written down.
  await spool.close()
  const again = open(t, path)
  await again.read()
  const due = await again.claim(800, 900, 9)
  assert.deepEqual(
    due.map(({ entry }) => [entry.id, entry.trail]),
    [['a', [{ at: 10, what: 'retried' }]]],
  )
  assert.equal(await again.nextDue(), 900)
})

test('a content that rotted is told, and not passed for what came', async t => {
  const path = folder(t)
  const spool = open(t, path, { inTree: 1_000 })
  await spool.put(entryOf('a'), bodyOf('a', 200_000))
  appendFileSync(join(path, 'bodies', 'a'), 'x')
  await assert.rejects(whole(spool.body('a')), /the content of a is not what came/)
})

/** A spool as a kill at this moment would leave it. */
async function asKilled(t: After, spool: LmdbSpool): Promise<string> {
  const path = join(folder(t), 'killed')
  cpSync(spool.folder, path, { recursive: true })
  const tree = new Tree(join(path, 'queue.mdb'))
  tree.exchange('owner', () => ({ put: '', result: undefined }))
  await tree.close()
  return path
}

/** One that was killed with messages in its journal: `m0000` and so on, each in a group of its own. */
async function killed(t: After, count: number): Promise<string> {
  const spool = open(t, folder(t))
  for (let i = 0; i < count; i++) await spool.put(entryOf(idOf(i)), bodyOf(idOf(i), 5_000))
  return asKilled(t, spool)
}

const journalOf = (path: string): string => join(path, 'journal-1')

test('what is in the journal alone is there after a kill, and in the tree once the spool was closed', async t => {
  const path = await killed(t, 9)
  await open(t, path).close()
  for (const name of ['journal-0', 'journal-1']) rmSync(join(path, name))
  const spool = open(t, path)
  assert.equal(spool.count, 9)
  for (let i = 0; i < 9; i++) await isWhole(spool, idOf(i), 5_000)
})

test('a journal that rotted: all but what rotted is there, and it is said that something is lost, by the check as well', async t => {
  const path = await killed(t, 9)
  const octets = readFileSync(journalOf(path))
  const at = octets.indexOf(contentOf(idOf(3), 5_000))
  octets[at + 4_321] = 0
  writeFileSync(journalOf(path), octets)
  const { messages, damaged } = await checkSpool(path)
  assert.equal(messages, 8)
  assert.deepEqual(damaged, [{ id: 'journal', wrong: 'it is damaged in 1 place: what it told there is lost' }])
  const notes: string[] = []
  const spool = open(t, path, { note: what => notes.push(what) })
  assert.deepEqual(notes, [`the journal of ${path} is damaged in 1 place: what it told there is lost`])
  assert.equal(spool.count, 8)
  for (let i = 0; i < 9; i++) if (i !== 3) await isWhole(spool, idOf(i), 5_000)
  await spool.close()
  const again: string[] = []
  await open(t, path, { note: what => again.push(what) }).close()
  assert.deepEqual(again, [], 'it is said once')
})

test('repair with a journal that rotted: what it lost is told', async t => {
  const path = await killed(t, 3)
  const octets = readFileSync(journalOf(path))
  octets[0] = 0
  writeFileSync(journalOf(path), octets)
  const { messages, damaged } = await checkSpool(path, { repair: true })
  assert.deepEqual([messages, damaged.map(({ id }) => id)], [2, ['journal']])
  assert.deepEqual((await checkSpool(path)).damaged, [])
})

test('repair where the journal rotted, and a content as well: both are told, and what is damaged is put aside', async t => {
  const spool = open(t, folder(t), { inTree: 1_000 })
  for (const id of ['a', 'b']) await spool.put(entryOf(id), bodyOf(id, 5_000))
  const path = await asKilled(t, spool)
  const octets = readFileSync(journalOf(path))
  octets[0] = 0
  writeFileSync(journalOf(path), octets)
  appendFileSync(join(path, 'bodies', 'b'), 'x')
  const { damaged } = await checkSpool(path, { repair: true })
  assert.deepEqual(
    damaged.map(({ id }) => id),
    ['journal', 'b'],
  )
  assert.ok(existsSync(join(path, 'damaged', 'b.record')))
  assert.deepEqual(await checkSpool(path), { messages: 0, octets: 0, damaged: [] })
})

test('a spool that forgot what its journal begins with: it is said, and the spool goes on', async t => {
  const path = await killed(t, 3)
  const tree = new Tree(join(path, 'queue.mdb'))
  tree.exchange('journal', () => ({ put: '{', result: undefined }))
  await tree.close()
  const notes: string[] = []
  const spool = open(t, path, { note: what => notes.push(what) })
  assert.deepEqual(notes, [`the journal of ${path} is damaged in 1 place: what it told there is lost`])
  assert.deepEqual(await spool.put(entryOf('a'), bodyOf('a', 100)), { kept: true })
  assert.equal(open(t, await asKilled(t, spool)).count, 1)
})

test('a journal that cannot be written: refused for want of space, nothing lost, and taken when there is room', {
  skip,
}, async t => {
  const path = smallDisk(work => undo(t, work), 6)
  const options = { leftFree: 0, ahead: 1024 ** 2 }
  await open(t, path, options).close()
  // Its blocks are gone, as after a restore that makes holes of zeros.
  for (const name of ['journal-0', 'journal-1']) {
    const { size } = statSync(join(path, name))
    truncateSync(join(path, name), 0)
    truncateSync(join(path, name), size)
  }
  const spool = open(t, path, options)
  const filler = join(path, 'filler')
  assert.throws(() => writeFileSync(filler, Buffer.alloc(6 * 1024 ** 2)))
  assert.equal(why(await spool.put(entryOf('a'), bodyOf('a', 5_000))), 'no-space')
  assert.equal(spool.count, 0)
  rmSync(filler)
  await sleep(600)
  assert.deepEqual(await spool.put(entryOf('a'), bodyOf('a', 5_000)), { kept: true })
  assert.equal(open(t, await asKilled(t, spool), options).count, 1)
  const claim = await spool.take('a', 0, 1)
  assert.ok(claim && (await spool.remove(claim)))
  await spool.close()
  assert.equal(open(t, path, options).count, 0)
})

test('no file for a journal: kept in the tree at once', async t => {
  const path = folder(t)
  mkdirSync(join(path, 'journal-0.new'))
  mkdirSync(join(path, 'journal-1.new'))
  const spool = open(t, path)
  assert.deepEqual(await spool.put(entryOf('a'), bodyOf('a', 5_000)), { kept: true })
  const again = open(t, await asKilled(t, spool))
  assert.equal(again.count, 1)
  await isWhole(again, 'a', 5_000)
})
