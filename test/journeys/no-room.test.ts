/** A mail server that has no room for mail: its spool is at its limit, or its disk is full, or cannot be written. */
import assert from 'node:assert/strict'
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { closeSync, mkdtempSync, openSync, renameSync, rmSync, writeFileSync, writeSync } from 'node:fs'
import net from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { test } from 'node:test'
import { setTimeout as sleep } from 'node:timers/promises'
import { freePorts } from '../../tools/bench/process.ts'
import { noSmallDisk, smallDisk } from '../small-disk.ts'
import { ROOT, Talk } from './postern.ts'

interface After {
  after(work: () => unknown): void
}

/** Undone in the opposite order. */
function undoing(t: After): (work: () => unknown) => void {
  const steps: (() => unknown)[] = []
  t.after(async () => {
    for (const step of steps) await step()
  })
  return work => void steps.unshift(work)
}

/** A mail server whose spool is in `folder`, and where its mail goes once `open` was called. */
async function layOut(undo: (work: () => unknown) => void, folder: string, size = '1G') {
  const [port = 0, sinkPort = 0] = await freePorts(2)
  const outside = mkdtempSync(join(tmpdir(), 'no-room-'))
  undo(() => rmSync(outside, { recursive: true, force: true }))
  const file = join(outside, 'mail.conf')
  const lines = [
    'hostname mail-a.a.example',
    `listen 127.0.0.1 port ${port}`,
    'relay-from 127.0.0.0 255.0.0.0',
    `spool ${folder} size ${size}`,
    `connector sink to B cost 1 target 127.0.0.1 port ${sinkPort}`,
    'address-space sink smtp b.example',
    'queue retry 300ms',
  ]
  writeFileSync(file, `${lines.join('\n')}\n`)
  const child = spawn(`${ROOT}/postern`, ['mta', 'run', file], { cwd: ROOT })
  const closed = once(child, 'close')
  undo(async () => {
    child.kill('SIGKILL')
    await closed
  })
  let said = ''
  child.stderr.on('data', chunk => {
    said += chunk
  })
  for (let i = 0; i < 1_000 && !said.includes('listening at') && child.exitCode === null; i++) await sleep(20)
  assert.match(said, /listening at/)
  /** Subjects, as they came. */
  const arrived: string[] = []
  const sink = net.createServer(socket => {
    let held = ''
    let inBody = false
    socket.on('error', () => {})
    socket.setEncoding('latin1').write('220 sink.example\r\n')
    socket.on('data', chunk => {
      held += chunk
      for (let end = held.indexOf('\r\n'); end >= 0; end = held.indexOf('\r\n')) {
        const line = held.slice(0, end)
        held = held.slice(end + 2)
        if (inBody && line !== '.') {
          if (line.startsWith('Subject: ')) arrived.push(line.slice(9))
        } else if (line === 'QUIT') socket.end('221 2.0.0 bye\r\n')
        else {
          inBody = line === 'DATA'
          socket.write(inBody ? '354 go on\r\n' : '250 2.0.0 ok\r\n')
        }
      }
    })
  })
  undo(() => sink.close())
  const until = async (what: () => boolean, says: () => string): Promise<void> => {
    for (let i = 0; i < 1_500 && !what(); i++) await sleep(20)
    assert.ok(what(), `${says()}\n${said.slice(-3_000)}`)
  }
  return {
    child,
    closed,
    arrived,
    said: () => said,
    open: () => void sink.listen(sinkPort, '127.0.0.1'),
    until,
    talk: async (): Promise<Talk> => {
      const talk = await Talk.to(`127.0.0.1:${port}`)
      await talk.hear()
      await talk.ask('EHLO client.example')
      return talk
    },
  }
}

/** The last answer to a message with this subject. */
async function hand(talk: Talk, subject: string, octets: number): Promise<string> {
  for (const line of ['MAIL FROM:<bob@a.example>', 'RCPT TO:<ann@b.example>', 'DATA']) {
    const answer = await talk.ask(line)
    assert.match(answer, /^[23]5/, `${line} was answered ${answer}`)
  }
  return talk.ask(`Subject: ${subject}\r\n\r\n${`${'y'.repeat(68)}\r\n`.repeat(Math.ceil(octets / 70))}.`)
}

const KEPT = /^250 /
const NO_ROOM = /^452 4\.3\.1 /
const NOT_KEPT = /^45[12] 4\.3\.[01] /

/** Everything it can hold on to is taken, to the last block. */
function fillUp(path: string): void {
  const file = openSync(path, 'w')
  try {
    for (let size = 65_536; size >= 512; ) {
      try {
        writeSync(file, Buffer.alloc(size))
      } catch {
        size /= 2
      }
    }
  } finally {
    closeSync(file)
  }
}

test('a spool at its limit: 452 4.3.1, and mail is taken again once some has gone', async t => {
  const undo = undoing(t)
  const folder = mkdtempSync(join(tmpdir(), 'no-room-'))
  undo(() => rmSync(folder, { recursive: true, force: true }))
  const server = await layOut(undo, folder, '100k')
  const talk = await server.talk()
  undo(() => talk.close())
  const kept: string[] = []
  let answer = ''
  for (let i = 0; i < 20 && !NO_ROOM.test(answer); i++) {
    answer = await hand(talk, `limit-${i}`, 10_000)
    if (KEPT.test(answer)) kept.push(`limit-${i}`)
  }
  assert.match(answer, NO_ROOM)
  assert.ok(kept.length >= 8, `${kept.length} were kept`)
  server.open()
  await server.until(
    () => server.arrived.length === kept.length,
    () => `${server.arrived.length} of ${kept.length} arrived`,
  )
  await server.until(
    () => server.said().split(' relayed to ').length > kept.length,
    () => 'not all are gone',
  )
  assert.match(await hand(talk, 'again', 10_000), KEPT)
})

test('a full disk under load: nothing acknowledged is lost or sent twice, and mail is taken again when there is room', {
  skip: noSmallDisk(),
}, async t => {
  const undo = undoing(t)
  const disk = smallDisk(undo, 64)
  const server = await layOut(undo, join(disk, 'spool'))
  const kept: string[] = []
  const refused: string[] = []
  const clients = await Promise.all(Array.from({ length: 8 }, () => server.talk()))
  undo(() => {
    for (const client of clients) client.close()
  })
  const all = (name: string, each: number) =>
    Promise.all(
      clients.map(async (client, c) => {
        for (let i = 0; i < each; i++) {
          const subject = `${name}-${c}-${i}`
          const answer = await hand(client, subject, i % 3 === 0 ? 200_000 : 4_000)
          if (KEPT.test(answer)) kept.push(subject)
          else {
            assert.match(answer, NOT_KEPT)
            refused.push(answer)
          }
        }
      }),
    )
  await all('before', 3)
  assert.equal(kept.length, 24)
  const filler = join(disk, 'filler')
  // While messages are on their way, and their commits with them.
  const meanwhile = all('meanwhile', 12)
  fillUp(filler)
  await meanwhile
  await all('full', 2)
  assert.ok(refused.length > 0, 'nothing was refused')
  assert.ok(
    refused.some(answer => NO_ROOM.test(answer)),
    refused.join(''),
  )
  // It goes out all the same, what was put off before included, and that it did is written down.
  server.open()
  await server.until(
    () => kept.every(each => server.arrived.includes(each)),
    () => `${server.arrived.length} of ${kept.length} arrived`,
  )
  await server.until(
    () => server.said().split(' relayed to ').length > kept.length,
    () => 'not all are gone',
  )
  rmSync(filler)
  // Longer than what is known of the disk may be old.
  await sleep(600)
  refused.length = 0
  await all('after', 2)
  assert.deepEqual(refused, [])
  await server.until(
    () => kept.every(each => server.arrived.includes(each)),
    () => `${server.arrived.length} of ${kept.length} arrived`,
  )
  assert.deepEqual(server.arrived.toSorted(), kept.toSorted(), 'each once, and none that was refused')
  server.child.kill('SIGTERM')
  await server.closed
  assert.equal(server.child.exitCode, 0)
})

test('a spool that cannot be written: 451 4.3.0, and mail is taken again when it can', async t => {
  const undo = undoing(t)
  const folder = mkdtempSync(join(tmpdir(), 'no-room-'))
  undo(() => rmSync(folder, { recursive: true, force: true }))
  const spool = join(folder, 'spool')
  const server = await layOut(undo, spool)
  const talk = await server.talk()
  undo(() => talk.close())
  assert.match(await hand(talk, 'first', 200_000), KEPT)
  renameSync(spool, `${spool}-away`)
  // Longer than what is known of the disk may be old.
  await sleep(600)
  for (const octets of [4_000, 200_000]) assert.match(await hand(talk, 'refused', octets), /^451 4\.3\.0 /)
  renameSync(`${spool}-away`, spool)
  await sleep(600)
  for (const octets of [4_000, 200_000]) assert.match(await hand(talk, `again-${octets}`, octets), KEPT)
  server.open()
  await server.until(
    () => server.arrived.length === 3,
    () => `${server.arrived}`,
  )
  assert.deepEqual(server.arrived.toSorted(), ['again-200000', 'again-4000', 'first'])
})
