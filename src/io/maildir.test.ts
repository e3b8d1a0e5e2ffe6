import assert from 'node:assert/strict'
import {
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  readlinkSync,
  realpathSync,
  rmSync,
  statSync,
  writeFileSync,
} from 'node:fs'
import fs, { open } from 'node:fs/promises'
import { syncBuiltinESMExports } from 'node:module'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { mock, test } from 'node:test'
import { deliver, readMaildir } from './maildir.ts'

function folder(t: { after(work: () => void): void }): string {
  const made = mkdtempSync(join(tmpdir(), 'maildir-'))
  t.after(() => rmSync(made, { recursive: true, force: true }))
  return join(made, 'bob')
}

async function* pieces(...texts: readonly string[]): AsyncIterable<Uint8Array> {
  for (const text of texts) yield Buffer.from(text, 'latin1')
}

test('deliver() writes every octet as it came, for its owner alone, and leaves nothing in tmp', async t => {
  const maildir = folder(t)
  const path = await deliver(maildir, pieces('Subject: x\r\n\r\n', 'a lone \n, a \xe9\r\n'))
  const [content] = await readMaildir(maildir)
  assert.equal(content?.toString('latin1'), 'Subject: x\r\n\r\na lone \n, a \xe9\r\n')
  assert.equal(statSync(path).mode & 0o777, 0o600)
  assert.deepEqual(readdirSync(join(maildir, 'tmp')), [])
})

test('messages keep the order in which they were delivered', async t => {
  const maildir = folder(t)
  for (let i = 0; i < 12; i++) await deliver(maildir, pieces(`${i}`))
  assert.deepEqual(
    (await readMaildir(maildir)).map(String),
    Array.from({ length: 12 }, (_, i) => `${i}`),
  )
})

test('a message that breaks off is in nobody`s mailbox, and its beginning is taken away', async t => {
  const maildir = folder(t)
  async function* broken(): AsyncIterable<Uint8Array> {
    yield Buffer.from('half')
    throw new Error('the body is gone')
  }
  await assert.rejects(deliver(maildir, broken()), /the body is gone/)
  assert.deepEqual(await readMaildir(maildir), [])
  assert.deepEqual(readdirSync(join(maildir, 'tmp')), [])
})

const LINUX = { skip: process.platform !== 'linux' && 'which file a descriptor is shows on Linux' }

/** The folders that are flushed while this is done. */
async function flushedBy(
  work: () => Promise<unknown>,
  tell: (path: string) => void = () => {},
): Promise<ReadonlySet<string>> {
  const handle = await open('/', 'r')
  const proto = Object.getPrototypeOf(handle) as { sync(): Promise<void>; fd: number }
  await handle.close()
  const flushed = new Set<string>()
  const { sync } = proto
  const spy = mock.method(proto, 'sync', function (this: typeof proto) {
    const path = readlinkSync(`/proc/self/fd/${this.fd}`)
    flushed.add(path)
    tell(path)
    return sync.call(this)
  })
  try {
    await work()
  } finally {
    spy.mock.restore()
  }
  return flushed
}

test('the names of a Maildir that is made for a message are flushed before it counts as delivered', LINUX, async t => {
  const root = realpathSync(join(folder(t), '..'))
  const flushed = await flushedBy(() => deliver(join(root, 'all', 'box'), pieces('Subject: hello\r\n\r\nhello\r\n')))
  for (const folder of [root, join(root, 'all'), join(root, 'all', 'box'), join(root, 'all', 'box', 'new')])
    assert.ok(flushed.has(folder), folder)
})

test('so are those that a crash left before they were flushed; and once is enough', LINUX, async t => {
  const root = realpathSync(join(folder(t), '..'))
  const box = join(root, 'all', 'box')
  for (const name of ['tmp', 'new', 'cur']) mkdirSync(join(box, name), { recursive: true })
  const first = await flushedBy(() => deliver(box, pieces('hello\r\n')))
  for (const folder of [root, join(root, 'all'), box, join(box, 'new')]) assert.ok(first.has(folder), folder)
  const second = await flushedBy(() => deliver(box, pieces('hello\r\n')))
  assert.deepEqual(
    [...second].filter(each => !each.startsWith(join(box, 'tmp'))),
    [join(box, 'new')],
  )
  rmSync(box, { recursive: true })
  const third = await flushedBy(() => deliver(box, pieces('hello\r\n')))
  assert.ok(third.has(join(root, 'all')) && third.has(box))
})

/** A message whose name another process takes while it comes. */
async function deliverWhereTaken(maildir: string): Promise<void> {
  async function* taken(): AsyncIterable<Uint8Array> {
    const [name = ''] = readdirSync(join(maildir, 'tmp'))
    writeFileSync(join(maildir, 'new', name), 'of another process')
    yield* pieces('ours')
  }
  const path = await deliver(maildir, taken())
  assert.equal(readFileSync(path, 'utf8'), 'ours')
  assert.deepEqual((await readMaildir(maildir)).map(String).sort(), ['of another process', 'ours'])
  assert.deepEqual(readdirSync(join(maildir, 'tmp')), [])
}

test('a message takes nobody`s place: where its name is somebody else`s it gets another', t =>
  deliverWhereTaken(folder(t)))

/** As on a file system without hard links; `why`: what it says to who makes one. */
function withoutLinks(t: { after(work: () => void): void }, why: string): void {
  const no = mock.method(fs, 'link', async () => {
    throw Object.assign(new Error(`${why}: no links here`), { code: why })
  })
  syncBuiltinESMExports()
  t.after(() => {
    no.mock.restore()
    syncBuiltinESMExports()
  })
}

for (const why of ['EPERM', 'ENOTSUP', 'EOPNOTSUPP', 'ENOSYS', 'EMLINK'])
  test(`where there are no hard links (${why}) a message is moved, and every octet is there`, async t => {
    const maildir = folder(t)
    withoutLinks(t, why)
    const path = await deliver(maildir, pieces('Subject: x\r\n\r\n', 'a \xe9\r\n'))
    assert.equal(readFileSync(path, 'latin1'), 'Subject: x\r\n\r\na \xe9\r\n')
    assert.equal(statSync(path).nlink, 1)
    assert.deepEqual(readdirSync(join(maildir, 'tmp')), [])
  })

test('a fault that is none of the file system’s kind is told, and nothing is moved', async t => {
  const maildir = folder(t)
  withoutLinks(t, 'EIO')
  await assert.rejects(deliver(maildir, pieces('x')), { code: 'EIO' })
  assert.deepEqual(readdirSync(join(maildir, 'new')), [])
  assert.deepEqual(readdirSync(join(maildir, 'tmp')), [])
})

test('without links, too, a message takes nobody`s place, and who wants its name gets another', async t => {
  withoutLinks(t, 'EPERM')
  await deliverWhereTaken(folder(t))
})

test('without links what another process has in tmp by then, under the name that was ours, is left to it', async t => {
  const maildir = folder(t)
  withoutLinks(t, 'EPERM')
  const { rename } = fs
  let theirs = ''
  const moved = mock.method(fs, 'rename', async (from: string, to: string) => {
    await rename(from, to)
    theirs = from
    writeFileSync(theirs, 'theirs', { flag: 'wx' })
  })
  syncBuiltinESMExports()
  t.after(() => {
    moved.mock.restore()
    syncBuiltinESMExports()
  })
  const path = await deliver(maildir, pieces('ours'))
  assert.equal(readFileSync(path, 'utf8'), 'ours')
  assert.equal(readFileSync(theirs, 'utf8'), 'theirs')
})

for (const [how, name] of [
  ['linked', 'link'],
  ['moved', 'rename'],
] as const)
  test(`a message is on the disk before it is ${how} into new, and its name there before it counts`, LINUX, async t => {
    const maildir = folder(t)
    await deliver(maildir, pieces('the folders are known'))
    if (name === 'rename') withoutLinks(t, 'ENOTSUP')
    const steps: string[] = []
    const real = fs[name]
    const spy = mock.method(fs, name, async (from: string, to: string) => {
      steps.push(name)
      await real(from, to)
    })
    syncBuiltinESMExports()
    t.after(() => {
      spy.mock.restore()
      syncBuiltinESMExports()
    })
    await flushedBy(
      () => deliver(maildir, pieces('x')),
      path => steps.push(`flush ${path.includes('/tmp/', maildir.length) ? 'it' : 'new'}`),
    )
    assert.deepEqual(steps, ['flush it', name, 'flush new'])
  })

test('a message that cannot be moved to `new` leaves nothing in `tmp`', async () => {
  const root = mkdtempSync(join(tmpdir(), 'postern-maildir-'))
  async function* taken(): AsyncIterable<Uint8Array> {
    yield* pieces('Subject: hello\r\n\r\nhello\r\n')
    rmSync(join(root, 'new'), { recursive: true })
  }
  try {
    await assert.rejects(deliver(root, taken()), { code: 'ENOENT' })
    assert.deepEqual(readdirSync(join(root, 'tmp')), [])
  } finally {
    rmSync(root, { recursive: true })
  }
})
