/** What our server does where the next one, or a box before it, is not what it says it is. */
import assert from 'node:assert/strict'
import { writeFileSync } from 'node:fs'
import net from 'node:net'
import { join } from 'node:path'
import { Readable } from 'node:stream'
import { test } from 'node:test'
import type { MtaWorld } from '../src/app/mta-world.ts'
import { type Around, Outgoing } from '../src/app/outgoing.ts'
import { type QueueAnswer, QueueDesk } from '../src/app/queue-desk.ts'
import type { Instant } from '../src/base/time.ts'
import { parse } from '../src/config/parse.ts'
import { readMaildir } from '../src/io/maildir.ts'
import { MemorySpool } from '../src/io/memory-spool.ts'
import type { Envelope } from '../src/mail/envelope.ts'
import { MTA } from '../src/mta/commands.ts'
import type { LmtpTarget } from '../src/mta/config.ts'
import { lmtpHop } from '../src/mta/hop.ts'
import { newEntry, type Outcome, sayOutcome } from '../src/spool/entry.ts'
import { freePorts } from '../tools/bench/process.ts'
import { Talk } from './journeys/postern.ts'
import { type Answering, answering, handIn, type Letter, ROOT, relaying, run, until } from './mail-servers.ts'

async function sender(t: { after(work: () => unknown): void }, to: Answering, ...more: readonly string[]) {
  const [port = 0] = await freePorts(1)
  const relays = await run([
    ...relaying(port),
    'local-domain a.example',
    'mailbox alice@a.example',
    'queue retry 1h',
    `connector B to B cost 1 target 127.0.0.1 port ${to.port}`,
    'address-space B smtp b.example',
    ...more,
  ])
  t.after(() => relays.stop())
  t.after(() => to.close())
  return {
    relays,
    async send(letter: Letter, messages: number) {
      await handIn(port, { from: 'alice@a.example', ...letter })
      await until(
        () => to.connections.flatMap(each => each.messages).length === messages,
        () => [...relays.notes, ...relays.said].join('\n'),
      )
    },
  }
}

test('a masked BDAT: the message goes by DATA on another connection, and so do those that come after it', async t => {
  const to = await answering({
    offers: ['PIPELINING', 'CHUNKING', '8BITMIME', 'BINARYMIME'],
    answer: line => (/^(BDAT|Received|Subject|hello|\t|$)/.test(line) ? '500 5.3.3 Unrecognized command' : undefined),
  })
  const { relays, send } = await sender(t, to)
  await send({ to: ['bob@b.example', 'carol@b.example'] }, 1)
  const [first, second] = to.connections
  assert.ok(first?.lines.some(line => line.startsWith('BDAT ')))
  assert.deepEqual(second?.lines.map(line => line.split(' ')[0]).slice(0, 5), ['EHLO', 'MAIL', 'RCPT', 'RCPT', 'DATA'])
  assert.ok(relays.notes.some(each => /^connector B: BDAT is offered, .*; trying again without BDAT$/.test(each)))
  await send({ to: 'bob@b.example' }, 2)
  assert.equal(to.connections.slice(1).filter(({ lines }) => lines.some(line => line.startsWith('BDAT'))).length, 0)
  assert.equal(relays.notes.filter(each => each.includes('BDAT')).length, 1)
})

test('masked parameters: the message goes without them, and what it asked of reports is done here', async t => {
  const to = await answering({
    offers: ['SIZE 1000000', 'DSN', '8BITMIME'],
    answer: line => (/^(MAIL|RCPT) \S+ ./.test(line) ? '555 5.5.4 Unsupported option' : undefined),
  })
  const { relays, send } = await sender(t, to)
  await send({ to: 'bob@b.example NOTIFY=SUCCESS', params: ' RET=HDRS ENVID=QQ' }, 1)
  assert.ok(to.connections[1]?.lines.includes('MAIL FROM:<alice@a.example>'))
  // Who takes no DSN does not report; so we do.
  assert.match(await relays.arrived('alice@a.example'), /^Original-Envelope-Id: QQ\r$[\s\S]*^Action: relayed\r$/m)
})

test('an address that is not liked is no reason to leave out parameters for the next message', async t => {
  const to = await answering({
    offers: ['SIZE 1000000', 'DSN'],
    answer: line => (line.startsWith('RCPT TO:<odd') ? '501 What kind of an address is that?' : undefined),
  })
  const { relays, send } = await sender(t, to)
  await send({ to: ['bob@b.example NOTIFY=FAILURE', 'odd@b.example NOTIFY=FAILURE'] }, 1)
  await until(
    () => relays.tried.some(each => /odd@b\.example> failed: 501/.test(each)),
    () => relays.said.join('\n'),
  )
  // Tried without them, to be sure; and the next message has its own connection, with all there is.
  const mails = () => to.connections.flatMap(({ lines }) => lines.filter(line => line.startsWith('MAIL')))
  assert.equal(mails()[1], 'MAIL FROM:<alice@a.example>')
  await send({ to: 'bob@b.example' }, 2)
  assert.ok(mails()[2]?.startsWith('MAIL FROM:<alice@a.example> SIZE='), mails().join('\n'))
  // Where it was the parameters, who was refused for them is taken without.
  const picky = await answering({
    offers: ['SIZE 1000000', 'DSN'],
    answer: line => (/^RCPT \S+ ./.test(line) ? '501 Syntax error' : undefined),
  })
  const learns = await sender(t, picky)
  await learns.send({ to: ['bob@b.example NOTIFY=FAILURE', 'carol@b.example NOTIFY=FAILURE'] }, 1)
  await learns.send({ to: 'bob@b.example NOTIFY=FAILURE' }, 2)
  assert.equal(learns.relays.notes.filter(each => each.includes('without parameters')).length, 1)
})

test('a connection that breaks off in the middle of its recipients goes on with those who have no outcome yet', async t => {
  const to = await answering({
    offers: ['PIPELINING', 'CHUNKING', 'LIMITS RCPTMAX=1'],
    answer: (line, { messages }) =>
      line.startsWith('BDAT') && messages.length > 0 ? '502 5.5.2 Error: command not recognized' : undefined,
  })
  const { relays, send } = await sender(t, to)
  await send({ to: ['bob@b.example', 'carol@b.example'] }, 2)
  const rcpts = to.connections.map(({ lines }) => lines.filter(line => line.startsWith('RCPT')))
  assert.deepEqual(rcpts, [['RCPT TO:<bob@b.example>', 'RCPT TO:<carol@b.example>'], ['RCPT TO:<carol@b.example>']])
  await until(
    () => relays.tried.length === 2,
    () => relays.said.join('\n'),
  )
  for (const what of relays.tried) assert.match(what, /relayed/)
})

test('a connector called as the store is not the store: mail for others does not go over its session', async t => {
  const to = await answering()
  const store = await answering({ ip: '127.0.0.1' })
  t.after(() => store.close())
  const { relays, send } = await sender(
    t,
    to,
    `deliver lmtp 127.0.0.1 port ${store.port}`,
    `connector lmtp to L cost 1 target 127.0.0.1 port ${to.port}`,
    'address-space lmtp smtp l.example',
    'queue per-destination connections 20 messages 100 rest 1m',
  )
  await send({ to: 'alice@a.example' }, 0)
  await until(
    () => relays.tried.length === 1,
    () => relays.said.join('\n'),
  )
  assert.match(relays.tried[0] ?? '', /^<alice@a\.example> delivered to lmtp \[127\.0\.0\.1\]/)
  await send({ to: 'bob@l.example' }, 1)
  assert.equal(store.connections.flatMap(({ messages }) => messages).length, 1)
})

/** Claims on its entries end almost at once, and it tells how often one was claimed. */
class Hasty extends MemorySpool {
  claims = 0
  override async claim(at: Instant, _until: Instant, limit: number) {
    const claims = await super.claim(at, at + 50, limit)
    this.claims += claims.length
    return claims
  }
}

test('to a store on this machine mail that requires TLS is delivered; for one on another it waits for TLS', async t => {
  const path = join(ROOT, 'store')
  const stores = [await answering({ path }), await answering()] as const
  for (const store of stores) t.after(() => store.close())
  const { config } = parse(MTA, 'hostname a.example\nlocal-domain a.example\nmailbox alice@a.example\n', 'mail.conf')
  const dial = () => Promise.resolve(net.connect(stores[1].port, '127.0.0.1'))
  const world = { spool: new MemorySpool(), files: new Map(), dial } as unknown as MtaWorld
  const around: Around = { hold() {}, serve() {}, reached() {}, talk: () => undefined }
  const to = { local: 'alice', domain: 'a.example' }
  const envelope: Envelope = { from: to, recipients: [{ to }], smtputf8: false, body: '7bit', requireTls: true }
  const entry = newEntry({ id: 'E1', envelope, at: 0, expire: 1000, what: '' })
  await world.spool.put(entry, Readable.from([Buffer.from('Subject: secret\r\n\r\n')]))
  const outgoing = new Outgoing(config, world, around)
  const deliver = async (lmtp: LmtpTarget) => {
    const outcomes: string[] = []
    const done = async (settled: ReadonlyMap<number, Outcome>) =>
      outcomes.push(...[...settled.values()].map(sayOutcome))
    await outgoing.relay(lmtpHop(lmtp), { entry, recipients: [0], done }, async () => undefined)
    return outcomes.join()
  }
  assert.match(await deliver({ socket: path }), /^delivered to lmtp /)
  assert.match(await deliver({ ip: '127.0.0.1', port: 24 }), /^delivered to lmtp /)
  assert.match(
    await deliver({ ip: '192.0.2.1', port: 24 }),
    /^deferred: 4\.7\.0 the message \(REQUIRETLS\) requires TLS/,
  )
  assert.equal(stores.flatMap(({ connections }) => connections.flatMap(each => each.messages)).length, 2)
})

test('who takes longer than a claim lasts has nobody else’s copy sent twice', async t => {
  const connections: net.Socket[] = []
  // It greets nobody until it is told.
  const server = net.createServer(socket => void connections.push(socket.on('error', () => {})))
  await new Promise<void>(resolve => server.listen(0, '127.0.0.1', resolve))
  t.after(() => server.close())
  const [port = 0] = await freePorts(1)
  const spool = new Hasty()
  const maildir = join(ROOT, 'hasty')
  const relays = await run(
    [
      ...relaying(port),
      'local-domain a.example',
      'mailbox alice@a.example',
      'queue retry 1h',
      `connector B to B cost 1 target 127.0.0.1 port ${(server.address() as net.AddressInfo).port}`,
      'address-space B smtp b.example',
    ],
    { spool, maildir },
  )
  t.after(() => relays.stop())
  await handIn(port, { from: 'carol@c.example', to: ['alice@a.example', 'bob@b.example'] })
  const why = () => [...relays.notes, ...relays.tried].join('\n')
  await until(() => spool.claims >= 3 && connections.length > 0, why)
  for (const each of connections) each.end('421 not now\r\n')
  await until(() => relays.tried.length >= 2, why)
  assert.equal(connections.length, 1)
  assert.equal((await readMaildir(join(maildir, 'alice@a.example'))).length, 1)
  assert.equal(relays.tried.filter(each => each.startsWith('<alice@')).length, 1)
})

/** A spool that notes who asks for what is not in it any more. */
class Watched extends MemorySpool {
  readonly missed: string[] = []
  override async take(id: string, at: Instant, until: Instant) {
    if (!(await this.list()).some(each => each.id === id)) this.missed.push(id)
    return super.take(id, at, until)
  }
}

test('who waited for a next hop that was away is forgotten with the message, and with one that an operator takes out', async t => {
  for (const [expire, leaves] of [
    ['1s', 'failed: 5.4.7'],
    ['1h', 'deferred: 4.4.1'],
  ] as const) {
    const [port = 0, away = 0] = await freePorts(2)
    const spool = new Watched()
    const relays = await run(
      [
        ...relaying(port),
        'queue retry 1s',
        `queue expire ${expire}`,
        `connector B to B cost 1 target 127.0.0.1 port ${away}`,
        'address-space B smtp b.example',
      ],
      { spool },
    )
    t.after(() => relays.stop())
    const why = () => [...relays.notes, ...relays.tried].join('\n')
    await handIn(port, { from: '', to: 'bob@b.example' })
    await until(() => relays.tried.some(each => each.includes(leaves)), why)
    assert.match(relays.tried[0] ?? '', /deferred: 4\.4\.1 /)
    const { mta } = relays.server
    const around = { ways: mta.routing.service, forget: (id: string) => mta.forget(id) }
    for (const { id } of await mta.queue()) {
      const desk = new QueueDesk(mta.config, spool, around)
      let done: QueueAnswer['done'] = []
      // It may be under way just then.
      while (done[0]?.not !== undefined || done.length === 0)
        done = (await desk.ask({ verb: 'remove', filter: { ids: [id] } })).done
    }
    const to = await answering({ port: away })
    t.after(() => to.close())
    const before = relays.tried.length
    for (let i = 1; !relays.tried.some(each => each.includes('relayed')); i++) {
      await handIn(port, { from: '', to: 'carol@b.example' })
      await until(() => relays.tried.length >= before + i, why)
    }
    await relays.stop()
    assert.deepEqual(spool.missed, [])
  }
})

test('a message that is held goes when it may, and not before', async t => {
  const to = await answering()
  const { relays, send } = await sender(t, to)
  const began = Date.now()
  await send({ to: 'bob@b.example', params: ' HOLDFOR=1' }, 1)
  assert.ok(Date.now() - began >= 1000, relays.said.join('\n'))
  assert.match(relays.said.join('\n'), /FUTURERELEASE 604800 \d{4}-\d\d-\d\dT/)
})

test('what was to be there in time comes back when its time is over, and is not sent any more', async t => {
  const to = await answering({
    offers: ['DELIVERBY'],
    answer: line => (line === 'DATA' ? '450 4.3.0 not now' : undefined),
  })
  const { relays, send } = await sender(t, to)
  await send({ to: 'bob@b.example', params: ' BY=1;R MT-PRIORITY=3' }, 0)
  const report = await relays.arrived('alice@a.example')
  assert.match(report, /^Action: failed\r\nStatus: 5\.4\.7\r$/m)
  const tries = to.connections.map(({ lines }) => lines.find(line => line.startsWith('MAIL')))
  assert.deepEqual(tries, ['MAIL FROM:<alice@a.example> BY=1;R'])
})

test('a store is handed a mailbox outside ASCII in A-labels, where the message came without SMTPUTF8', async t => {
  const store = await answering({ ip: '127.0.0.1' })
  t.after(() => store.close())
  const [port = 0] = await freePorts(1)
  const relays = await run([
    'hostname a.example',
    `listen 127.0.0.1 port ${port}`,
    'local-domain bücher.example',
    'mailbox bob@bücher.example',
    `deliver lmtp 127.0.0.1 port ${store.port}`,
  ])
  t.after(() => relays.stop())
  assert.match(await handIn(port, { to: 'bob@xn--Bcher-kva.example' }), /^250/)
  await until(
    () => store.connections.flatMap(({ messages }) => messages).length === 1,
    () => relays.said.join('\n'),
  )
  const lines = store.connections.flatMap(each => each.lines)
  assert.ok(lines.includes('RCPT TO:<bob@xn--bcher-kva.example>'), lines.join('\n'))
})

test('connections that were kept, and are gone by the next message, cost it no wait', async t => {
  const to = await answering()
  const { relays, send } = await sender(t, to, 'queue per-destination connections 20 messages 100 rest 1m')
  await Promise.all(['one', 'two', 'three', 'four'].map(to => send({ to: `${to}@b.example` }, 4)))
  assert.ok(to.connections.length > 1, 'a wait of one on the other')
  to.hangUp()
  await send({ to: 'five@b.example' }, 5)
  await until(
    () => relays.tried.length === 5,
    () => relays.said.join('\n'),
  )
  for (const what of relays.tried) assert.match(what, /relayed/)
})

test('who has logged in sends from the addresses of their line, and hears of it at MAIL', async t => {
  const [port = 0] = await freePorts(1)
  writeFileSync(join(ROOT, 'sender.password'), 's3cret\n', { mode: 0o600 })
  const relays = await run([
    ...relaying(port),
    'login alice password-file sender.password',
    'auth-without-tls',
    'sender-of alice alice@a.example',
  ])
  t.after(() => relays.stop())
  const talk = await Talk.to(`127.0.0.1:${port}`)
  t.after(() => talk.close())
  await talk.hear()
  await talk.ask('EHLO c.example')
  assert.match(await talk.ask('MAIL FROM:<bob@a.example>'), /^250 /)
  await talk.ask('RSET')
  assert.match(await talk.ask(`AUTH PLAIN ${Buffer.from('\0alice\0s3cret').toString('base64')}`), /^235 /)
  assert.match(await talk.ask('MAIL FROM:<bob@a.example>'), /^553 5\.7\.1 .*bob@a\.example\r\n$/)
  assert.match(await talk.ask('RCPT TO:<bob@b.example>'), /^503 /)
  assert.match(await talk.ask('MAIL FROM:<>'), /^250 /)
  await talk.ask('RSET')
  assert.match(await talk.ask('MAIL FROM:<alice@A.example>'), /^250 /)
})

test('a server that echoes a login makes it known to nobody: not on the trail, in the log, or in a report', async t => {
  writeFileSync(join(ROOT, 'echo.password'), 'open sesame\n', { mode: 0o600 })
  for (const [mechanism, offers] of [
    ['plain', 'AUTH PLAIN'],
    ['login', 'AUTH LOGIN'],
  ] as const) {
    const to = await answering({
      offers: [offers],
      answer: (line, told) => {
        const [verb] = line.split(' ')
        if (line === 'AUTH LOGIN') return '334 VXNlcm5hbWU6'
        if (told.lines.at(-2) === 'AUTH LOGIN') return '334 UGFzc3dvcmQ6'
        if (verb !== 'AUTH' && told.lines.at(-3) !== 'AUTH LOGIN') return undefined
        return `500 5.5.1 What is "${line}"? Or ${Buffer.from(line.split(' ').at(-1) ?? '', 'base64')
          .toString()
          .replaceAll('\0', ' ')}?`
      },
    })
    const { relays, send } = await sender(
      t,
      to,
      'auth-without-tls',
      `connector-login B auth ${mechanism} mail-a password-file echo.password required`,
    )
    await send({ to: 'bob@b.example' }, 0)
    await until(
      () => relays.tried.length > 0,
      () => relays.said.join('\n'),
    )
    const told = [...relays.tried, ...relays.notes, ...relays.said].join('\n')
    assert.match(told, /which was refused: 500 5\.5\.1 What is/)
    assert.ok(
      to.connections
        .flatMap(({ lines }) => lines)
        .some(line => /b3BlbiBzZXNhbWU|AG1haWwtYQBvcGVuIHNlc2FtZQ/.test(line)),
    )
    assert.doesNotMatch(told, /b3BlbiBzZXNhbWU|AG1haWwtYQBvcGVuIHNlc2FtZQ|open sesame/)
    const [waiting] = await relays.server.mta.queue()
    assert.doesNotMatch(JSON.stringify(waiting), /b3BlbiBzZXNhbWU|AG1haWwtYQBvcGVuIHNlc2FtZQ|open sesame/)
  }
})
