/** Reports from end to end: who is told what, by whom, and that nothing goes round (RFC 3461 to RFC 3464, RFC 6533). */
import assert from 'node:assert/strict'
import { createHash } from 'node:crypto'
import { test } from 'node:test'
import { setTimeout as sleep } from 'node:timers/promises'
import { withoutTrace } from '../src/mail/trace.ts'
import { freePorts } from '../tools/bench/process.ts'
import { Talk } from './journeys/postern.ts'
import { answering, handIn, type Running, relaying, run, until } from './mail-servers.ts'

type Test = { after(work: () => unknown): void }

const MAILBOXES: Readonly<Record<string, readonly string[]>> = {
  a: ['mailbox alice@a.example'],
  c: ['mailbox bob@c.example'],
}

/** Servers in a row: mail for `c.example` goes from the first over the second to the third, and reports the same way back. */
async function row(t: Test, { lines = {} }: { readonly lines?: Readonly<Record<string, readonly string[]>> } = {}) {
  const names = ['a', 'b', 'c']
  const ports = await freePorts(3)
  const servers: Record<string, Running> = {}
  const connectors = (name: string): readonly string[] => {
    const way = (to: string, ...domains: readonly string[]) => [
      `connector ${to} to ${to} cost 1 target 127.0.0.1 port ${ports[names.indexOf(to)]}`,
      ...domains.map(domain => `address-space ${to} smtp ${domain}`),
    ]
    if (name === 'a') return way('b', 'b.example', 'c.example')
    return name === 'b' ? [...way('a', 'a.example'), ...way('c', 'c.example')] : way('b', 'a.example', 'b.example')
  }
  for (const [i, name] of names.entries()) {
    servers[name] = await run([
      `hostname mail-${name}.${name}.example`,
      `listen 127.0.0.1 port ${ports[i]}`,
      `local-domain ${name}.example`,
      ...(MAILBOXES[name] ?? []),
      'relay-from 127.0.0.0 255.0.0.0',
      'queue retry 1h',
      ...connectors(name),
      ...(lines[name] ?? []),
    ])
    t.after(() => servers[name]?.stop())
  }
  const said = () => Object.entries(servers).flatMap(([name, { tried }]) => tried.map(each => `${name}: ${each}`))
  return { port: ports[0] ?? 0, servers, said, alice: () => servers.a?.arrived('alice@a.example') ?? '' }
}

const field = (report: string, name: string): readonly string[] =>
  [...report.matchAll(new RegExp(`^${name}: (.*)\\r$`, 'gm'))].map(([, value = '']) => value)

const MESSAGE = 'Subject: to the third\r\nMIME-Version: 1.0\r\n\r\n.a dot\r\nand more\r\n'

test('a message through three servers with success asked arrives as it was, and its last server alone reports', async t => {
  const { port, servers, said, alice } = await row(t)
  await handIn(port, {
    from: 'alice@a.example',
    to: 'bob@c.example NOTIFY=SUCCESS,FAILURE ORCPT=rfc822;robert+2Bx@c.example',
    params: ' RET=HDRS ENVID=QQ+2B314159',
    content: MESSAGE.replace(/^\./gm, '..'),
  })
  const arrived = Buffer.from((await servers.c?.arrived('bob@c.example')) ?? '')
  const digest = (octets: Uint8Array) => createHash('sha256').update(octets).digest('hex')
  assert.equal(digest(arrived.subarray(arrived.length - MESSAGE.length)), digest(Buffer.from(MESSAGE)))
  assert.ok('gained' in withoutTrace(arrived, Buffer.from(MESSAGE)))
  const report = await alice()
  assert.deepEqual(field(report, 'Reporting-MTA'), ['dns; mail-c.c.example'])
  assert.deepEqual(field(report, 'Action'), ['delivered'])
  assert.deepEqual(field(report, 'Original-Envelope-Id'), ['QQ+314159'])
  assert.deepEqual(field(report, 'Original-Recipient'), ['rfc822; robert+x@c.example'])
  assert.match(report, /^Return-Path: <>\r$/m)
  assert.match(report, /text\/rfc822-headers[\s\S]*^Subject: to the third\r$/m)
  assert.doesNotMatch(report, /and more/)
  await sleep(200)
  // Three hops out, and three back: nobody else had anything to say.
  assert.equal(said().length, 6, said().join('\n'))
})

test('a failure is told by the server that met it, with all of the message where that was wished', async t => {
  for (const [params, isWhole] of [
    [' RET=FULL', true],
    [' RET=HDRS', false],
    ['', false],
  ] as const) {
    const { port, alice } = await row(t)
    await handIn(port, { from: 'alice@a.example', to: 'nobody@c.example', params, content: MESSAGE })
    const report = await alice()
    assert.deepEqual(field(report, 'Reporting-MTA'), ['dns; mail-b.b.example'])
    assert.deepEqual(field(report, 'Action'), ['failed'])
    assert.match(field(report, 'Diagnostic-Code')[0] ?? '', /^smtp; 550 5\.1\.1 /)
    assert.deepEqual(field(report, 'Remote-MTA'), ['dns; [127.0.0.1]'])
    assert.equal(/Content-Type: message\/rfc822\r\n[\s\S]*and more\r\n/.test(report), isWhole, report)
  }
})

test('whoever asked not to be told is not, and who asked for success alone hears of no failure', async t => {
  const { port, said, servers } = await row(t)
  for (const notify of ['NEVER', 'SUCCESS', 'DELAY'])
    await handIn(port, { from: 'alice@a.example', to: `nobody@c.example NOTIFY=${notify}` })
  await until(
    () => (servers.b?.tried.length ?? 0) === 3,
    () => said().join('\n'),
  )
  await sleep(200)
  assert.equal(said().filter(each => each.includes('alice@a.example')).length, 0, said().join('\n'))
})

test('a report that cannot be delivered is gone: nobody reports on a report', async t => {
  const { port, said, servers } = await row(t)
  await handIn(port, { from: 'ghost@a.example', to: 'nobody@c.example' })
  await until(
    () => said().some(each => each.startsWith('b: <ghost@a.example> failed: 550')),
    () => said().join('\n'),
  )
  await handIn(port, { from: '', to: 'nobody@c.example NOTIFY=FAILURE,DELAY' })
  await until(
    () => (servers.b?.tried.length ?? 0) === 3,
    () => said().join('\n'),
  )
  await sleep(300)
  assert.equal(said().length, 5, said().join('\n'))
  for (const { server } of Object.values(servers)) assert.deepEqual(await server.mta.queue(), [])
})

test('after twelve hours its sender is told once that a message is late, and that it is tried on', async t => {
  const to = await answering({ answer: line => (line.startsWith('RCPT') ? '450 4.2.1 not now' : undefined) })
  t.after(() => to.close())
  const [port = 0] = await freePorts(1)
  const relays = await run([
    ...relaying(port),
    'local-domain a.example',
    'mailbox alice@a.example',
    `connector B to B cost 1 target 127.0.0.1 port ${to.port}`,
    'address-space B smtp b.example',
  ])
  t.after(() => relays.stop())
  const began = Date.now()
  await handIn(port, { from: 'alice@a.example', to: 'bob@b.example', params: ' RET=FULL' })
  const tries = async (count: number) => {
    await until(
      () => relays.tried.filter(each => /the sender is told|bob@b\.example/.test(each)).length === count,
      () => relays.tried.join('\n'),
    )
  }
  await tries(1)
  const { timers } = t.mock
  timers.enable({ apis: ['Date'], now: began + 11 * 3_600_000 })
  relays.server.mta.wake()
  await tries(2)
  timers.setTime(began + 12.5 * 3_600_000)
  relays.server.mta.wake()
  const report = await relays.arrived('alice@a.example')
  assert.deepEqual(field(report, 'Action'), ['delayed'])
  assert.deepEqual(field(report, 'Status'), ['4.2.1'])
  assert.equal(field(report, 'Will-Retry-Until').length, 1)
  assert.deepEqual(field(report, 'Remote-MTA'), ['dns; [127.0.0.1]'])
  assert.deepEqual(field(report, 'Diagnostic-Code'), ['smtp; 450 4.2.1 not now'])
  assert.deepEqual(field(report, 'Last-Attempt-Date'), field(report, 'Date'))
  // All of it comes back with a failure only (RFC 3461 §4.3).
  assert.match(report, /text\/rfc822-headers/)
  await tries(3)
  timers.setTime(began + 14 * 3_600_000)
  relays.server.mta.wake()
  await tries(4)
  assert.equal(relays.tried.filter(each => each.startsWith('<alice@a.example> delivered')).length, 1)
})

test('a report on an address beyond ASCII is a global one', async t => {
  const { port, alice } = await row(t)
  const talk = await Talk.to(`127.0.0.1:${port}`)
  await talk.hear()
  const utf8 = (line: string) => Buffer.from(line).toString('latin1')
  for (const line of [
    'EHLO c.example',
    'MAIL FROM:<alice@a.example> SMTPUTF8 BODY=8BITMIME RET=FULL',
    utf8('RCPT TO:<bücher@c.example>'),
    'DATA',
  ])
    assert.match(await talk.ask(line), /^[23]5[04]/, line)
  talk.say(Buffer.from('Subject: Grüße\r\n\r\nhällo\r\n.\r\n'))
  assert.match(await talk.hear(), /^250/)
  talk.close()
  const report = await alice()
  assert.match(report, /^Content-Type: message\/global-delivery-status\r$/m)
  assert.deepEqual(field(report, 'Final-Recipient'), ['utf-8; bücher@c.example'])
  assert.match(report, /^Content-Type: message\/global\r\n[\s\S]*hällo/m)
})
