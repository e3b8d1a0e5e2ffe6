/** A mail server that runs for good: what it tells, how it is looked at, reloaded, and as whom it runs. */
import assert from 'node:assert/strict'
import { execFileSync } from 'node:child_process'
import { existsSync, mkdirSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { test } from 'node:test'
import { MAX_PER_SECOND } from '../../src/app/mta-log.ts'
import { readMaildir } from '../../src/io/maildir.ts'
import { freePorts } from '../../tools/bench/process.ts'
import { unmet } from '../interop/needs.ts'
import { handIn, logged, place, start, until } from './mail-service.ts'
import { postern, ROOT, run, Talk } from './postern.ts'

const lines = (port: number, ...more: readonly string[]): readonly string[] => [
  'hostname mail-a.a.example',
  `listen 127.0.0.1 port ${port}`,
  'local-domain a.example',
  'mailbox alice@a.example',
  ...more,
]

async function health(port: number): Promise<readonly [number, string]> {
  const answer = await fetch(`http://127.0.0.1:${port}/healthz`)
  return [answer.status, await answer.text()]
}

async function metric(port: number, name: string): Promise<number | undefined> {
  const text = await (await fetch(`http://127.0.0.1:${port}/metrics`)).text()
  const line = text.split('\n').find(each => each.startsWith(`${name} `))
  return line === undefined ? undefined : Number(line.slice(name.length + 1))
}

test('one message is told of by its trail, its log and the metrics, with one id', async t => {
  const [port = 0, watch = 0] = await freePorts(2)
  const here = place(t, lines(port, `metrics listen 127.0.0.1 ${watch}`, 'logging json mail.log'))
  const server = await start(t, here.file)
  const [, id = ''] = /Queued as (\S+)/.exec(await handIn(port, { to: 'alice@a.example' })) ?? []
  assert.match(await handIn(port, { to: 'nobody@a.example' }), /^550 5\.1\.1/)
  const log = join(here.folder, 'mail.log')
  await until(() => logged(log).some(({ event }) => event === 'tried'))
  const found = logged(log)
  const mine = found.filter(({ queue }) => queue === id)
  assert.deepEqual(
    mine.map(({ event, messageId, to, outcome, peer }) => ({ event, messageId, to, outcome, peer })),
    [
      {
        event: 'received',
        messageId: '1@client.example',
        to: ['alice@a.example'],
        outcome: undefined,
        peer: '127.0.0.1',
      },
      { event: 'tried', messageId: undefined, to: 'alice@a.example', outcome: 'delivered', peer: 'alice@a.example' },
    ],
  )
  const refused = found.find(({ event }) => event === 'refused')
  assert.deepEqual([refused?.to, refused?.why, refused?.peer], ['nobody@a.example', 'no-such-user', '127.0.0.1'])
  const history = await postern(['queue', 'history', here.file, id])
  assert.match(history.out, /received from client\.example \[127\.0\.0\.1\] by ESMTP/)
  assert.match(history.out, /<alice@a\.example> delivered to alice@a\.example/)
  assert.equal(await metric(watch, 'postern_mta_received_total{protocol="ESMTP"}'), 1)
  assert.equal(await metric(watch, 'postern_mta_tries_total{hop="local",outcome="delivered"}'), 1)
  assert.equal(await metric(watch, 'postern_mta_refused_total{what="recipient",why="no-such-user"}'), 1)
  assert.equal(await metric(watch, 'postern_mta_recipient_seconds_count{outcome="delivered"}'), 1)
  assert.equal(await server.end(), 0)
  assert.deepEqual(
    logged(log)
      .slice(-2)
      .map(({ event }) => event),
    ['stopping', 'stopped'],
  )
})

test('what a peer is refused a thousand times in a second does not make a thousand lines; how many more is said', async t => {
  const [port = 0] = await freePorts(1)
  const here = place(t, lines(port, 'logging json mail.log', 'limit errors 10000'))
  await start(t, here.file)
  const talk = await Talk.to(`127.0.0.1:${port}`)
  await talk.hear()
  await talk.ask('EHLO client.example')
  await talk.ask('MAIL FROM:<bob@b.example>')
  for (let i = 0; i < 500; i++) assert.match(await talk.ask(`RCPT TO:<u${i}@a.example>`), /^550/)
  const log = join(here.folder, 'mail.log')
  // The next second tells of those before.
  await until(async () => {
    await talk.ask('RCPT TO:<x@a.example>')
    return logged(log).some(({ event, what }) => event === 'note' && /more are not told/.test(String(what)))
  })
  const seconds = new Map<string, number>()
  for (const { event, time } of logged(log)) {
    const second = String(time).slice(0, 19)
    if (event === 'refused') seconds.set(second, (seconds.get(second) ?? 0) + 1)
  }
  assert.ok(Math.max(...seconds.values()) <= MAX_PER_SECOND)
  talk.close()
})

test('secrets of a login reach neither the log nor what is said', async t => {
  const [port = 0] = await freePorts(1)
  const here = place(
    t,
    lines(port, 'logging json mail.log debugging', 'auth-without-tls', 'login joe password-file joe.password'),
  )
  writeFileSync(join(here.folder, 'joe.password'), 'correct-horse\n')
  const server = await start(t, here.file)
  const talk = await Talk.to(`127.0.0.1:${port}`)
  await talk.hear()
  await talk.ask('EHLO client.example')
  const plain = (secret: string) => Buffer.from(`\0joe\0${secret}`).toString('base64')
  assert.match(await talk.ask(`AUTH PLAIN ${plain('battery-staple')}`), /^535/)
  assert.match(await talk.ask(`AUTH PLAIN ${plain('correct-horse')}`), /^235/)
  talk.close()
  const log = join(here.folder, 'mail.log')
  await until(() => logged(log).filter(({ event }) => event === 'login').length === 2)
  const all = readFileSync(log, 'utf8') + server.said()
  for (const secret of ['battery-staple', 'correct-horse']) {
    assert.ok(!all.includes(secret))
    assert.ok(!all.includes(plain(secret)))
  }
})

test('healthz: well while mail is taken and can be kept; with the reason while the spool is gone, or the server stops', async t => {
  const [port = 0, watch = 0, dead = 0] = await freePorts(3)
  const here = place(
    t,
    lines(
      port,
      `metrics listen 127.0.0.1 ${watch}`,
      'spool queue size 300',
      'relay-from 127.0.0.0 255.0.0.0',
      `connector dead to B cost 1 target 127.0.0.1 port ${dead}`,
      'address-space dead smtp *',
    ),
  )
  const server = await start(t, here.file)
  assert.deepEqual(await health(watch), [200, 'ok\n'])
  // Of 300 octets the second message finds too few.
  for (const expected of [/^250/, /^452 4\.3\.1/]) assert.match(await handIn(port, { to: 'x@far.example' }), expected)
  assert.equal(await metric(watch, 'postern_mta_refused_total{what="message",why="no-space"}'), 1)
  assert.equal(await metric(watch, 'postern_mta_queue_messages'), 1)
  rmSync(join(here.folder, 'queue'), { recursive: true })
  const [status, words] = await health(watch)
  assert.equal(status, 503)
  assert.match(words, /queue/)
  const talk = await Talk.to(`127.0.0.1:${port}`)
  await talk.hear()
  for (const line of ['EHLO client.example', 'MAIL FROM:<bob@b.example>', 'RCPT TO:<alice@a.example>', 'DATA'])
    await talk.ask(line)
  server.child.kill('SIGTERM')
  await until(async () => (await health(watch))[1].startsWith('stopping'))
  talk.close()
  await until(() => server.child.exitCode !== null)
  assert.equal(server.child.exitCode, 0)
})

test('SIGHUP puts all of a file in force, opens and shuts what it says, and who is here stays as they came', async t => {
  const [port = 0, other = 0, watch = 0] = await freePorts(3)
  const here = place(t, lines(port, 'logging json mail.log'))
  const server = await start(t, here.file)
  const talk = await Talk.to(`127.0.0.1:${port}`)
  await talk.hear()
  await talk.ask('EHLO client.example')
  here.write([
    ...lines(other, 'logging json mail.log', `metrics listen 127.0.0.1 ${watch}`).filter(
      line => !line.startsWith('mailbox'),
    ),
    'mailbox carol@a.example',
  ])
  server.child.kill('SIGHUP')
  await server.says(/mail\.conf is in force\n/)
  assert.match(server.said(), new RegExp(`^no listen 127\\.0\\.0\\.1 port ${port}$`, 'm'))
  assert.match(server.said(), /^mailbox carol@a\.example$/m)
  // Who was here is served by what was in force then.
  assert.match(await talk.ask('MAIL FROM:<bob@b.example>'), /^250/)
  assert.match(await talk.ask('RCPT TO:<alice@a.example>'), /^250/)
  await talk.ask('DATA')
  talk.say('Subject: x\r\n\r\nx\r\n.\r\n')
  assert.match(await talk.hear(), /^250/)
  talk.close()
  // Who comes now is not, and the old place is shut.
  await assert.rejects(Talk.to(`127.0.0.1:${port}`))
  assert.match(await handIn(other, { to: 'alice@a.example' }), /^550/)
  assert.match(await handIn(other, { to: 'carol@a.example' }), /^250/)
  await until(async () => (await readMaildir(join(here.folder, 'maildir/carol@a.example'))).length === 1)
  assert.deepEqual(await health(watch), [200, 'ok\n'])
  const read = logged(join(here.folder, 'mail.log')).find(({ event }) => event === 'read')
  assert.ok(String(read?.changes).split(',').includes('mailbox carol@a.example'))
  // What came by the old configuration, for a mailbox that is gone, is not lost: its sender is told.
  await until(() =>
    logged(join(here.folder, 'mail.log')).some(({ event, to }) => event === 'tried' && to === 'alice@a.example'),
  )
  assert.equal(await server.end(), 0)
})

test('a file with mistakes changes nothing, and all of them are told: lines, files, ports, and what wants a restart', async t => {
  const [port = 0, taken = 0] = await freePorts(2)
  const here = place(t, lines(port, 'logging json mail.log'))
  const server = await start(t, here.file)
  here.write([...lines(port), 'bogus', 'mailbox x@other.example', 'login joe password-file missing'])
  server.child.kill('SIGHUP')
  await server.says(/nothing was changed\n/)
  assert.match(server.said(), /mail\.conf:5:1: error: .*\n {3}bogus\n/)
  assert.match(server.said(), /mail\.conf:6:9: error: /)
  const holder = await start(t, place(t, lines(taken, 'spool memory')).file)
  here.write(lines(taken, 'spool elsewhere', 'logging json no/such/folder/mail.log', 'login joe password-file missing'))
  const reloaded = await postern(['mta', 'reload', here.file])
  assert.equal(reloaded.status, 2)
  here.write(lines(taken, 'logging json no/such/folder/mail.log'))
  const again = await postern(['mta', 'reload', here.file])
  assert.equal(again.status, 2)
  assert.match(again.err, /mail\.conf:5:1: error: cannot write to \S+no\/such\/folder\/mail\.log/)
  here.write(lines(port, `listen 127.0.0.1 port ${taken}`))
  const third = await postern(['mta', 'reload', here.file])
  assert.match(third.err, /mail\.conf:5:1: error: cannot listen at 127\.0\.0\.1:\d+: the port is in use/)
  here.write(lines(port, 'spool elsewhere'))
  server.child.kill('SIGHUP')
  await server.says(/mail\.conf:5:1: error: where messages wait, and how many, cannot change while the server runs/)
  // It takes mail as before, and its log goes on.
  assert.match(await handIn(port, { to: 'alice@a.example' }), /^250/)
  await until(() => logged(join(here.folder, 'mail.log')).some(({ event }) => event === 'not-read'))
  await holder.end()
})

test('a queue goes on under a new configuration: what waited for a next hop that was dead goes by the new one at once', async t => {
  const [port = 0, far = 0, dead = 0] = await freePorts(3)
  const to = (target: number) => [
    'relay-from 127.0.0.0 255.0.0.0',
    `connector out to B cost 1 target 127.0.0.1 port ${target}`,
    'address-space out smtp *',
  ]
  const here = place(t, lines(port, ...to(dead)))
  const there = place(
    t,
    lines(far).map(line => line.replaceAll('a.example', 'far.example')),
  )
  const server = await start(t, here.file)
  await start(t, there.file)
  await handIn(port, { to: 'alice@far.example' })
  await server.says(/deferred: 4\.4\.1/)
  here.write(lines(port, ...to(far)))
  assert.equal((await postern(['mta', 'reload', here.file])).status, 0)
  await until(async () => (await readMaildir(join(there.folder, 'maildir/alice@far.example'))).length === 1)
})

test('a log that was moved away is begun anew by SIGHUP', async t => {
  const [port = 0] = await freePorts(1)
  const here = place(t, lines(port, 'logging json mail.log'))
  const server = await start(t, here.file)
  const log = join(here.folder, 'mail.log')
  await until(() => existsSync(log))
  execFileSync('mv', [log, `${log}.1`])
  server.child.kill('SIGHUP')
  await server.says(/is in force\n/)
  await handIn(port, { to: 'alice@a.example' })
  await until(() => existsSync(log) && logged(log).some(({ event }) => event === 'received'))
})

test('started as root it becomes who its file names, for good, and says what it may no longer do', {
  skip: unmet({ root: true }),
}, async t => {
  const [port = 0] = await freePorts(1)
  const here = place(
    t,
    lines(port, 'user nobody', 'spool queue', 'logging json logs/mail.log', 'listen 127.0.0.2 port 26'),
  )
  mkdirSync(join(here.folder, 'logs'))
  const server = await start(t, here.file)
  await server.says(/listening at 127\.0\.0\.2:26\n/)
  const nobody = Number(execFileSync('id', ['-u', 'nobody'], { encoding: 'utf8' }))
  const pid = await deepest(server.child.pid ?? 0)
  const status = readFileSync(`/proc/${pid}/status`, 'latin1')
  assert.match(status, new RegExp(`^Uid:\\t${[nobody, nobody, nobody, nobody].join('\\t')}$`, 'm'))
  assert.match(status, /^CapEff:\t0+$/m)
  assert.match(status, /^CapPrm:\t0+$/m)
  assert.ok(!/^Groups:.*\b0\b/m.test(status))
  assert.match(await handIn(port, { to: 'alice@a.example' }), /^250/)
  await server.says(/delivered to alice/)
  for (const made of ['queue', 'queue/queue.mdb', 'maildir', 'maildir/alice@a.example', 'logs/mail.log'])
    assert.equal(statSync(join(here.folder, made)).uid, nobody, made)
  here.write(lines(port, 'user nobody', 'spool queue', 'listen 127.0.0.3 port 26'))
  server.child.kill('SIGHUP')
  await server.says(/cannot listen at 127\.0\.0\.3:26: a port below 1024 needs a privilege[\s\S]*it runs as nobody now/)
  here.write(lines(port, 'spool queue'))
  server.child.kill('SIGHUP')
  await server.says(/as whom the server runs cannot change while it runs/)
  assert.equal(await server.end(), 0)
})

test('a user that there is not, and a spool that is root’s, are told with their line before anything is served', {
  skip: unmet({ root: true }),
}, async t => {
  const [port = 0] = await freePorts(1)
  const here = place(t, lines(port, 'user no-such-user-here', 'spool queue'))
  const none = await postern(['mta', 'run', here.file])
  assert.equal(none.status, 2)
  assert.match(none.err, /mail\.conf:5:1: error: cannot run as no-such-user-here: there is no such user here/)
  here.write(lines(port, 'user root'))
  assert.match(
    (await postern(['mta', 'run', here.file])).err,
    /cannot run as root: that is root, whatever it is called/,
  )
  mkdirSync(join(here.folder, 'queue'))
  here.write(lines(port, 'user nobody', 'spool queue'))
  const roots = await postern(['mta', 'run', here.file])
  assert.equal(roots.status, 2)
  assert.match(roots.err, /mail\.conf:5:1: error: cannot run as nobody: \S+queue belongs to root \(chown -R nobody/)
})

/** The process that a shell became or began last. */
async function deepest(pid: number): Promise<number> {
  const children = readFileSync(`/proc/${pid}/task/${pid}/children`, 'latin1').trim()
  return children === '' ? pid : deepest(Number(children.split(' ').at(-1)))
}

test('mail for an alias goes to all whom it stands for; a sender who asked is told that it was expanded', async t => {
  const [port = 0] = await freePorts(1)
  const here = place(t, [
    ...lines(port, 'mailbox bob@a.example', 'mailbox carol@a.example', 'aliases names', 'logging json mail.log'),
    'alias sales alice bob@a.example',
  ])
  writeFileSync(join(here.folder, 'names'), 'everyone: sales,\n  carol\n')
  const server = await start(t, here.file)
  const talk = await Talk.to(`127.0.0.1:${port}`)
  await talk.hear()
  for (const line of [
    'EHLO client.example',
    'MAIL FROM:<carol@a.example>',
    'RCPT TO:<everyone@a.example> NOTIFY=SUCCESS,FAILURE',
  ])
    assert.match(await talk.ask(line), /^250/)
  await talk.ask('DATA')
  talk.say('Subject: to all\r\n\r\nx\r\n.\r\n')
  const [, id = ''] = /Queued as (\S+)/.exec(await talk.hear()) ?? []
  talk.close()
  const boxes = ['alice', 'bob', 'carol'].map(name => join(here.folder, `maildir/${name}@a.example`))
  // Carol has her copy, and the report.
  await until(async () => (await Promise.all(boxes.map(readMaildir))).map(({ length }) => length).join() === '1,1,2')
  const report = (await readMaildir(boxes[2] ?? '')).map(String).find(text => /Action:/.test(text)) ?? ''
  assert.match(report, /Final-Recipient: rfc822; everyone@a\.example\r\nAction: expanded\r\nStatus: 2\.0\.0/)
  assert.equal(report.match(/Action:/g)?.length, 1)
  const history = await postern(['queue', 'history', here.file, id])
  assert.match(history.out, /<everyone@a\.example> is an alias of 3 addresses/)
  assert.match(history.out, /the sender is told how it ended, by \S+/)
  writeFileSync(join(here.folder, 'names'), 'everyone: nobody-here\nloop: loop2\nloop2: loop\n')
  server.child.kill('SIGHUP')
  await server.says(/nothing was changed\n/)
  assert.match(server.said(), /names:1:1: error: nobody here is nobody-here@a\.example/)
  assert.match(server.said(), /names:2:1: error: a loop: loop@a\.example → loop2@a\.example → loop@a\.example/)
})

test('IPv6 from end to end: listened at, let in by its network, named as a literal, relayed to', async t => {
  const [port = 0, far = 0] = await freePorts(2)
  const only6 = (at: number, ...more: readonly string[]) =>
    lines(at, ...more).map(line => line.replace('listen 127.0.0.1', 'listen ::1'))
  const there = place(
    t,
    only6(far).map(line => line.replaceAll('a.example', 'far.example')),
  )
  const here = place(
    t,
    only6(
      port,
      'relay-from ::1/128',
      `connector out to B cost 1 target ::1 port ${far}`,
      'address-space out smtp *',
      'logging json mail.log',
    ),
  )
  await start(t, there.file)
  const server = await start(t, here.file)
  const sent = await run(`${ROOT}/postern`, ['sendmail', '-C', here.file, '-f', 'joe@a.example', 'alice@far.example'], {
    input: 'Subject: six\n\nx\n',
  })
  assert.deepEqual([sent.status, sent.err], [0, ''])
  await server.says(/relayed to out \[::1\]: 250/)
  const box = join(there.folder, 'maildir/alice@far.example')
  await until(async () => (await readMaildir(box)).length === 1)
  const [arrived = ''] = (await readMaildir(box)).map(String)
  assert.equal(arrived.match(/^Received: from mail-\S+ \(\[IPv6:::1\]\)\r$/gm)?.length, 2)
  const received = logged(join(here.folder, 'mail.log')).find(({ event }) => event === 'received')
  assert.equal(received?.peer, '::1')
})
