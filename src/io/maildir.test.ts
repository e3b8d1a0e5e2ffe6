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
import { open } from 'node:fs/promises'
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
async function flushedBy(work: () => Promise<unknown>): Promise<ReadonlySet<string>> {
  const handle = await open('/', 'r')
  const proto = Object.getPrototypeOf(handle) as { sync(): Promise<void>; fd: number }
  await handle.close()
  const flushed = new Set<string>()
  const { sync } = proto
  const spy = mock.method(proto, 'sync', function (this: typeof proto) {
    flushed.add(readlinkSync(`/proc/self/fd/${this.fd}`))
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

test('a message takes nobody`s place: where its name is somebody else`s it gets another', async t => {
  const maildir = folder(t)
  async function* taken(): AsyncIterable<Uint8Array> {
    const [name = ''] = readdirSync(join(maildir, 'tmp'))
    writeFileSync(join(maildir, 'new', name), 'of another process')
    yield* pieces('ours')
  }
  const path = await deliver(maildir, taken())
  assert.equal(readFileSync(path, 'utf8'), 'ours')
  assert.deepEqual((await readMaildir(maildir)).map(String).sort(), ['of another process', 'ours'])
  assert.deepEqual(readdirSync(join(maildir, 'tmp')), [])
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
