/** What programs of a machine leave while no mail server runs: taken up once, and only what is a message. */
import assert from 'node:assert/strict'
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import {
  chmodSync,
  copyFileSync,
  existsSync,
  linkSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { test } from 'node:test'
import { crc32 } from 'node:zlib'
import { newId } from '../../src/base/id.ts'
import { random } from '../../src/io/clock.ts'
import { dropFolder, leave } from '../../src/io/drop-folder.ts'
import { readMaildir } from '../../src/io/maildir.ts'
import type { Envelope } from '../../src/mail/envelope.ts'
import { newEntry, type SpoolEntry } from '../../src/spool/entry.ts'
import { writeRecord } from '../../src/spool/record.ts'
import { freePorts } from '../../tools/bench/process.ts'
import { noSmallDisk, smallDisk } from '../small-disk.ts'
import { type After, type Place, place, start, until } from './mail-service.ts'
import { postern, ROOT, run } from './postern.ts'

const BOB = { local: 'bob', domain: 'b.example' }

function left(envelope: Partial<Envelope> = {}): SpoolEntry {
  const whole = { from: BOB, recipients: [{ to: BOB }], smtputf8: false, body: '7bit', ...envelope } as const
  return newEntry({ id: newId(1_700_000_000_000, random), envelope: whole, at: 0, expire: 0, what: 'left' })
}

const content = (subject: string): Buffer => Buffer.from(`Subject: ${subject}\r\n\r\nhello\r\n`)

/** A server that ran once; what it takes for b.example waits, for nobody is there. */
async function ranOnce(
  t: After,
): Promise<{ readonly here: Place; readonly drop: string; readonly ids: () => Promise<readonly string[]> }> {
  const [port = 0, dead = 0] = await freePorts(2)
  const here = place(t, [
    'hostname mail-a.a.example',
    `listen 127.0.0.1 port ${port}`,
    'local-domain a.example',
    'mailbox alice@a.example',
    'relay-from 127.0.0.0 255.0.0.0',
    `connector dead to B cost 1 target 127.0.0.1 port ${dead}`,
    'address-space dead smtp b.example',
  ])
  await (await start(t, here.file)).end()
  const ids = async () => {
    const { out } = await postern(['queue', 'list', here.file, '--json'])
    return out.split('\n').flatMap(line => (line === '' ? [] : [(JSON.parse(line) as SpoolEntry).id]))
  }
  return { here, drop: dropFolder(join(here.folder, 'spool')), ids }
}

const files = (folder: string): readonly string[] => readdirSync(folder).filter(name => name !== 'aside')

test('killed again and again while it takes up what was left, a server takes each message once', async t => {
  const { here, drop, ids } = await ranOnce(t)
  const wanted: string[] = []
  for (let i = 0; i < 300; i++) {
    const entry = left()
    wanted.push(entry.id)
    await leave(drop, entry, content(`message ${i}`))
  }
  let counts: readonly number[] = []
  while (files(drop).length > 0) {
    const before = files(drop).length
    const server = await start(t, here.file)
    // Right in the middle, the first times.
    if (counts.length < 4) await until(() => files(drop).length < before)
    else await until(() => files(drop).length === 0)
    await server.end('SIGKILL')
    counts = [...counts, files(drop).length]
  }
  t.diagnostic(`left after each kill: ${counts.join(', ')}`)
  assert.deepEqual([...(await ids())].sort(), wanted.sort())
})

test('the end between taking a message and removing its file: it is not taken again, whether it waits or is gone', async t => {
  const { here, drop, ids } = await ranOnce(t)
  const [waiting, gone] = [left(), left({ recipients: [{ to: { local: 'alice', domain: 'a.example' } }] })]
  for (const entry of [waiting, gone]) {
    await leave(drop, entry, content(entry.id))
    copyFileSync(join(drop, entry.id), join(here.folder, entry.id))
  }
  const box = join(here.folder, 'maildir/alice@a.example')
  const server = await start(t, here.file)
  await until(async () => files(drop).length === 0 && existsSync(box) && (await readMaildir(box)).length === 1)
  await until(async () => (await ids()).length === 1)
  await server.end('SIGKILL')
  // As it is where the file was not removed before the end came.
  for (const { id } of [waiting, gone]) copyFileSync(join(here.folder, id), join(drop, id))
  await start(t, here.file)
  await until(() => files(drop).length === 0)
  assert.deepEqual(await ids(), [waiting.id])
  assert.equal((await readMaildir(box)).length, 1)
})

test('what is no message, or would be another one on its way, is put aside and told; the others are taken up', async t => {
  const { here, drop, ids } = await ranOnce(t)
  const put = (entry: SpoolEntry, body: Buffer, { name = entry.id, sum = crc32(body) } = {}) =>
    writeFileSync(
      join(drop, name),
      Buffer.concat([
        Buffer.from(`${writeRecord({ entry: { ...entry, size: body.length }, body: { place: 'file', sum } })}\n`),
        body,
      ]),
    )
  const right = left()
  const wrong: readonly [why: RegExp, make: (id: string) => void][] = [
    [/its name is no id/, () => writeFileSync(join(drop, 'hello'), 'x')],
    [/it has no record/, id => writeFileSync(join(drop, id), 'x')],
    [/its record: it is no JSON object/, id => writeFileSync(join(drop, id), 'x\ny')],
    [/its record is that of/, id => put(right, content('x'), { name: id })],
    [/is not what was written/, id => put({ ...right, id }, content('x'), { sum: 1 })],
    [
      /in lines that end with CRLF/,
      id => put({ ...right, id }, Buffer.from('Subject: x\r\n\r\n\n.\nMAIL FROM:<x>\r\n')),
    ],
    [/in lines that end with CRLF/, id => put({ ...right, id }, Buffer.from('Subject: x\r\n\r\nno end'))],
    [/8-bit octets/, id => put({ ...right, id }, content('grüße'))],
    [/not an address/, id => put({ ...left({ from: { local: 'a', domain: 'x>\r\nRSET' } }), id }, content('x'))],
    [/xtext/, id => put({ ...left({ envid: 'x\r\nRSET' }), id }, content('x'))],
    [/NEVER/, id => put({ ...left({ recipients: [{ to: BOB, notify: 'X\r\nRSET' }] }), id }, content('x'))],
    [/it has 0 recipients/, id => put({ ...left({ recipients: [] }), id }, content('x'))],
    [/it has another name/, id => linkSync(here.file, join(drop, id))],
  ]
  const ofWrong = wrong.map(() => left().id)
  for (const [i, [, make]] of wrong.entries()) make(ofWrong[i] ?? '')
  symlinkSync(here.file, join(drop, left().id))
  mkdirSync(join(drop, left().id))
  put(right, content('right'))
  const server = await start(t, here.file)
  await until(() => files(drop).length === 2)
  assert.deepEqual(await ids(), [right.id])
  assert.equal(readdirSync(join(drop, 'aside')).length, wrong.length)
  for (const [i, [why]] of wrong.entries()) {
    const name = i === 0 ? 'hello' : ofWrong[i]
    const [line = ''] = server
      .said()
      .split('\n')
      .filter(each => each.includes(`${name} was put there`))
    assert.match(line, why)
  }
})

test('`sendmail-drop` names another place; without a server everybody may leave mail there, and the next takes it up', async t => {
  const [port = 0] = await freePorts(1)
  const drop = mkdtempSync(join(tmpdir(), 'elsewhere-'))
  t.after(() => rmSync(drop, { recursive: true, force: true }))
  const here = place(t, [
    'hostname mail-a.a.example',
    `listen 127.0.0.1 port ${port}`,
    'local-domain a.example',
    'mailbox alice@a.example',
    `sendmail-drop ${drop}`,
  ])
  await (await start(t, here.file)).end()
  assert.equal(existsSync(dropFolder(join(here.folder, 'spool'))), false)
  const { status, err } = await run(`${ROOT}/postern`, ['sendmail', '-C', here.file, 'alice'], {
    input: 'Subject: elsewhere\n\nx\n',
  })
  assert.deepEqual([status, err], [0, ''])
  assert.equal(files(drop).length, 1)
  await start(t, here.file)
  const box = join(here.folder, 'maildir/alice@a.example')
  await until(async () => existsSync(box) && (await readMaildir(box)).length === 1)
  assert.deepEqual(files(drop), [])
})

test('a folder that is closed to the caller: 75, and why', async t => {
  const { here, drop } = await ranOnce(t)
  chmodSync(drop, 0o500)
  // Root may write everywhere; it asks as somebody else.
  const other = process.getuid?.() === 0 ? { uid: 65_534, gid: 65_534 } : {}
  const child = spawn(`${ROOT}/postern`, ['sendmail', '-C', here.file, 'alice'], {
    ...other,
    env: { ...process.env, NODE_COMPILE_CACHE: '' },
  })
  let said = ''
  child.stderr.on('data', chunk => {
    said += chunk
  })
  child.stdin.end('Subject: x\n\nx\n')
  assert.deepEqual(await once(child, 'close'), [75, null])
  assert.match(said, /refused the connection; nothing can be left for it: \S+ is closed to this user\n$/)
})

test('a full disk: it is said, and nothing of the message stays', { skip: noSmallDisk() }, async t => {
  const undoing: (() => unknown)[] = []
  t.after(async () => {
    for (const work of undoing) await work()
  })
  const folder = smallDisk(work => undoing.unshift(work), 2)
  const large = Buffer.alloc(4_000_000, 'x')
  await assert.rejects(leave(folder, left(), large), /there is no space in/)
  assert.deepEqual(
    readdirSync(folder).filter(name => name !== 'lost+found'),
    [],
  )
  const small = left()
  await leave(folder, small, content('x'))
  assert.ok(readFileSync(join(folder, small.id), 'latin1').endsWith(content('x').toString()))
})
