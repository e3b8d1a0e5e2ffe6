/** `./postern mta run FILE`: a mail server of its own, as somebody would try it first. */
import assert from 'node:assert/strict'
import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { existsSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import net from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { test } from 'node:test'
import { setTimeout as sleep } from 'node:timers/promises'
import { readMaildir } from '../../src/io/maildir.ts'
import { freePorts } from '../../tools/bench/process.ts'
import { makeCertificates } from '../certificates.ts'
import { unmet } from '../interop/needs.ts'
import { postern, ROOT, Talk } from './postern.ts'

interface After {
  after(work: () => void): void
}

interface Files {
  readonly folder: string
  readonly file: string
}

function configuration(t: After, lines: readonly string[]): Files {
  const folder = mkdtempSync(join(tmpdir(), 'mta-'))
  t.after(() => rmSync(folder, { recursive: true, force: true }))
  const file = join(folder, 'mail.conf')
  writeFileSync(file, `${lines.join('\n')}\n`)
  return { folder, file }
}

const mailServer = (port: number): readonly string[] => [
  'hostname mail-a.a.example',
  `listen 127.0.0.1 port ${port}`,
  `listen ::1 port ${port}`,
  'local-domain a.example',
  'mailbox alice@a.example',
  'relay-from 127.0.0.0 255.0.0.0',
  'spool memory',
]

interface Running {
  readonly child: ChildProcess
  said(): string
  /** Waits until it has said this. */
  says(what: RegExp): Promise<void>
}

async function start(t: After, file: string, args: readonly string[] = []): Promise<Running> {
  const child = spawn(`${ROOT}/postern`, ['mta', 'run', file, ...args], { cwd: ROOT })
  let said = ''
  t.after(() => child.kill('SIGKILL'))
  child.stderr.on('data', chunk => {
    said += chunk
  })
  const says = async (what: RegExp): Promise<void> => {
    for (let i = 0; i < 500 && !what.test(said) && child.exitCode === null; i++) await sleep(20)
    assert.match(said, what)
  }
  await says(/listening at \[::1\]/)
  return { child, said: () => said, says }
}

async function ended(child: ChildProcess): Promise<number | null> {
  if (child.exitCode !== null) return child.exitCode
  const [status] = (await once(child, 'exit')) as [number | null]
  return status
}

async function send(talk: Talk, to: string): Promise<string> {
  await talk.hear()
  for (const line of ['EHLO client.example', 'MAIL FROM:<bob@b.example>', `RCPT TO:<${to}>`]) {
    assert.match(await talk.ask(line), /^250/, line)
  }
  assert.match(await talk.ask('DATA'), /^354/)
  talk.say('Subject: hi\r\n\r\nhello\r\n.\r\n')
  return talk.hear()
}

test('it says where it listens and that its queue is in memory, takes mail, delivers it, says so, and ends when asked', async t => {
  const [port = 0] = await freePorts(1)
  const { folder, file } = configuration(t, mailServer(port))
  const { child, said, says } = await start(t, file)
  assert.match(said(), /the queue is in memory/)
  assert.match(said(), new RegExp(`^listening at 127\\.0\\.0\\.1:${port}\nlistening at \\[::1\\]:${port}$`, 'm'))
  const talk = await Talk.to(`127.0.0.1:${port}`)
  const [, id = ''] = /Queued as (\S+)/.exec(await send(talk, 'alice@a.example')) ?? []
  talk.close()
  await says(new RegExp(`^${id}: received from <bob@b\\.example> for <alice@a\\.example>, 7bit; `, 'm'))
  await says(new RegExp(`^${id}: <alice@a\\.example> delivered to alice@a\\.example$`, 'm'))
  const [arrived] = await readMaildir(join(folder, 'maildir/alice@a.example'))
  assert.match(
    arrived?.toString() ?? '',
    /^Return-Path: <bob@b\.example>\r\nReceived: .*\r\nSubject: hi\r\n\r\nhello\r\n$/s,
  )
  child.kill('SIGTERM')
  assert.equal(await ended(child), 0)
})

test('what waits is said with the reason and the next try, what comes back with the refusal, and what is lost at the end', async t => {
  const [port = 0, dead = 0] = await freePorts(2)
  const refusing = net.createServer(socket => socket.end('554 5.7.1 \u001b[31mgo away\r\n'))
  refusing.listen(0, '127.0.0.1')
  await once(refusing, 'listening')
  t.after(() => refusing.close())
  const { file } = configuration(t, [
    ...mailServer(port),
    `connector dead to B cost 1 target 127.0.0.1 port ${dead}`,
    'address-space dead smtp dead.example',
    `connector no to B cost 1 target 127.0.0.1 port ${(refusing.address() as net.AddressInfo).port}`,
    'address-space no smtp no.example',
  ])
  const { child, says, said } = await start(t, file)
  for (const to of ['x@dead.example', 'x@no.example']) {
    const talk = await Talk.to(`127.0.0.1:${port}`)
    assert.match(await send(talk, to), /^250/)
    talk.close()
  }
  await says(/<x@dead\.example> deferred: 4\.4\.1 connector dead: \S+ refused the connection; next try in /)
  await says(/<x@no\.example> deferred: 554 5\.7\.1 /)
  assert.ok(!said().includes('\u001b'), 'no escape of a peer reaches the terminal')
  child.kill('SIGINT')
  assert.equal(await ended(child), 0)
  assert.match(said(), /stopped with 2 messages in the queue, now lost\n$/)
})

test('asked to stop in the middle of a message, it takes the rest of it first', async t => {
  const [port = 0] = await freePorts(1)
  const { file } = configuration(t, mailServer(port))
  const { child } = await start(t, file)
  const talk = await Talk.to(`127.0.0.1:${port}`)
  await talk.hear()
  for (const line of ['EHLO client.example', 'MAIL FROM:<bob@b.example>', 'RCPT TO:<alice@a.example>', 'DATA']) {
    assert.match(await talk.ask(line), /^[23]5/, line)
  }
  talk.say('Subject: half\r\n')
  child.kill('SIGTERM')
  // No longer listening: it has heard.
  for (let open = true; open; await sleep(20)) {
    open = await Talk.to(`127.0.0.1:${port}`).then(
      other => {
        other.close()
        return true
      },
      () => false,
    )
  }
  talk.say('\r\nwhole\r\n.\r\n')
  assert.match(await talk.hear(), /^250/)
  // And says so behind its answer, to whom it keeps no longer.
  assert.match(await talk.hear(), /^421 4\.3\.2 /)
  talk.close()
  assert.equal(await ended(child), 0)
})

test('who never begins TLS where TLS is first keeps nobody from stopping', {
  skip: unmet({ commands: ['openssl'] }),
}, async t => {
  const [port = 0, secure = 0] = await freePorts(2)
  const { folder, file } = configuration(t, [
    ...mailServer(port),
    `listen 127.0.0.1 port ${secure} tls`,
    'tls certificate server.pem key server.key',
  ])
  makeCertificates(folder)
  const { child, says } = await start(t, file)
  await says(new RegExp(`listening at 127\\.0\\.0\\.1:${secure}`))
  const silent = await Talk.to(`127.0.0.1:${secure}`)
  const asked = performance.now()
  child.kill('SIGTERM')
  assert.equal(await ended(child), 0)
  // A handshake may take 30 s.
  assert.ok(performance.now() - asked < 15_000)
  assert.equal(await silent.hear(), '')
})

test('a text with mistakes is refused with all of them, those of the files it names included', async t => {
  const { folder, file } = configuration(t, [
    'hostname mail-a.a.example',
    'bogus',
    'listen 127.0.0.1 port 0',
    'mailbox alice@b.example',
  ])
  const { status, err } = await postern(['mta', 'run', file])
  assert.equal(status, 2)
  assert.deepEqual(
    [...err.matchAll(/mail\.conf:(\d+:\d+): error/g)].map(([, at]) => at),
    ['2:1', '3:23', '4:9'],
  )
  writeFileSync(join(folder, 'empty'), '')
  writeFileSync(
    file,
    `login joe password-file missing
login ann password-file empty
connector c to B cost 1 target 127.0.0.1
connector-login c x-exps login us password-file missing
`,
  )
  const named = await postern(['mta', 'run', file])
  assert.equal(named.status, 2)
  assert.match(named.err, /mail\.conf:1:1: error: cannot read \S+missing: there is no such file\n {3}login joe/)
  assert.match(named.err, /mail\.conf:2:1: error: \S+empty holds no password/)
  assert.match(named.err, /mail\.conf:4:1: error: cannot read \S+missing: there is no such file\n {3}connector-login c/)
  assert.match(named.err, /error: \S+mail\.conf says nowhere where to listen \(add a line such as: listen 127\.0\.0\.1/)
})

test('addresses that cannot be had are told together, each with its line, and nothing listens', async t => {
  const [port = 0] = await freePorts(1)
  const { file } = configuration(t, [
    `listen 127.0.0.1 port ${port}`,
    `listen 192.0.2.1 port ${port}`,
    `listen 2001:db8::1 port ${port}`,
  ])
  const { status, err } = await postern(['mta', 'run', file])
  assert.equal(status, 2)
  assert.match(err, /mail\.conf:2:1: error: cannot listen at 192\.0\.2\.1:\d+: no such address here/)
  assert.match(err, /mail\.conf:3:1: error: cannot listen at \[2001:db8::1\]:\d+: no such address here/)
})

test('what was acknowledged is there after kill -9 and a start, with its trail, and goes on', async t => {
  const [port = 0, later = 0] = await freePorts(2)
  const { folder, file } = configuration(t, [
    ...mailServer(port).filter(line => line !== 'spool memory'),
    'spool "the queue" size 100M',
    'queue retry 1s',
    `connector later to B cost 1 target 127.0.0.1 port ${later}`,
    'address-space later smtp later.example',
  ])
  const first = await start(t, file)
  assert.match(first.said(), /messages wait in \S*the queue: 0 messages\n/)
  const talk = await Talk.to(`127.0.0.1:${port}`)
  const [, id = ''] = /Queued as (\S+)/.exec(await send(talk, 'x@later.example')) ?? []
  talk.close()
  await first.says(new RegExp(`^${id}: <x@later\\.example> deferred: `, 'm'))
  first.child.kill('SIGKILL')
  await ended(first.child)
  const second = await start(t, file)
  assert.match(second.said(), /messages wait in \S*the queue: 1 message\n/)
  const heard = new Promise<void>(resolve => {
    const server = net
      .createServer(socket => socket.end('554 5.7.1 no\r\n', () => resolve()))
      .listen(later, '127.0.0.1')
    t.after(() => server.close())
  })
  await heard
  await second.says(new RegExp(`^${id}: <x@later\\.example> deferred: 554`, 'm'))
  second.child.kill('SIGTERM')
  assert.equal(await ended(second.child), 0)
  assert.match(second.said(), /stopped with 1 message in the queue\n$/)
  assert.ok(existsSync(join(folder, 'the queue', 'queue.mdb')))
})

test('a spool that another server has, or that is no folder, is told with its line', async t => {
  const [port = 0] = await freePorts(1)
  const { folder, file } = configuration(t, [...mailServer(port).filter(line => line !== 'spool memory'), 'spool here'])
  const running = await start(t, file)
  const other = await postern(['mta', 'run', file])
  assert.equal(other.status, 2)
  assert.match(other.err, /mail\.conf:\d+:1: error: the spool \S+here is in use by process \d+/)
  running.child.kill('SIGTERM')
  await ended(running.child)
  rmSync(join(folder, 'here'), { recursive: true })
  writeFileSync(join(folder, 'here'), '')
  const none = await postern(['mta', 'run', file])
  assert.equal(none.status, 2)
  assert.match(none.err, /mail\.conf:\d+:1: error: the spool \S+here cannot be opened: /)
})
