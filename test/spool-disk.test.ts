/** What the spool on disk promises, when the process or the disk ends in the middle. */
import assert from 'node:assert/strict'
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { appendFileSync, existsSync, mkdirSync, mkdtempSync, readdirSync, renameSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { test } from 'node:test'
import { setTimeout as sleep } from 'node:timers/promises'
import { LmdbSpool, type LmdbSpoolOptions } from '../src/io/lmdb-spool.ts'
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

test('what was kept is there after kill -9 at any moment, whole; what was removed is not; nothing else is left', async t => {
  const path = folder(t)
  const kept = new Set<string>()
  for (const round of ['one', 'two', 'three']) {
    const child = spawn(process.execPath, [join(import.meta.dirname, 'spool-child.ts'), path, round], {
      stdio: ['ignore', 'pipe', 'inherit'],
    })
    let said = ''
    child.stdout.on('data', chunk => {
      said += chunk
      if (said.split('\n').length > 60) child.kill('SIGKILL')
    })
    await once(child, 'close')
    const lines = said.split('\n').slice(0, -1)
    const isRemoved = new Set(lines.flatMap(line => (line.endsWith(' removed') ? [line.split(' ')[0]] : [])))
    const spool = LmdbSpool.open(path)
    const found = new Map((await spool.list()).map(entry => [entry.id, entry]))
    for (const id of lines) {
      if (id.endsWith(' removed')) continue
      // Asked to be removed, and killed before it was said: either is right.
      if (Number(id.split('-')[2]) % 5 !== 4) kept.add(id)
      else if (isRemoved.has(id)) assert.ok(!found.has(id), `${id} is removed`)
    }
    for (const id of kept) assert.ok(found.has(id), `${id} is there`)
    for (const { id, size } of found.values()) {
      assert.equal(size, SIZES[Number(id.split('-')[2]) % SIZES.length])
      await isWhole(spool, id, size)
    }
    await spool.read()
    const strays = readdirSync(join(path, 'bodies')).filter(name => !found.has(name))
    assert.deepEqual(strays, [], 'no file is left of what was never kept')
    await spool.close()
  }
})

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
