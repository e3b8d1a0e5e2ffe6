/** `./postern sendmail`: what programs of a machine hand their mail to. */
import assert from 'node:assert/strict'
import { mkdtempSync, readdirSync, rmSync, statSync, symlinkSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { test } from 'node:test'
import { readMaildir } from '../../src/io/maildir.ts'
import { freePorts } from '../../tools/bench/process.ts'
import { type After, place, start, until } from './mail-service.ts'
import { ROOT, run, type Said } from './postern.ts'

const lines = (port: number): readonly string[] => [
  'hostname mail-a.a.example',
  `listen 127.0.0.1 port ${port}`,
  'local-domain a.example',
  'mailbox alice@a.example',
  'mailbox bob@a.example',
  'alias root alice@a.example',
  'message-size 100k',
]

function caller(file: string): (args: readonly string[], input?: string | Uint8Array) => Promise<Said> {
  return (args, input = '') => run(`${ROOT}/postern`, ['sendmail', '-C', file, ...args], { input })
}

async function begin(t: After) {
  const [port = 0] = await freePorts(1)
  const here = place(t, lines(port))
  const server = await start(t, here.file)
  const box = (name: string) => readMaildir(join(here.folder, `maildir/${name}@a.example`))
  const arrived = async (name: string, count: number): Promise<readonly string[]> => {
    await until(async () => (await box(name)).length >= count)
    return (await box(name)).map(each => each.toString('utf8'))
  }
  return { here, server, sendmail: caller(here.file), arrived, box }
}

test('0 means that the message is on disk: it is there after kill -9 and a start', async t => {
  const { here, sendmail, arrived, server } = await begin(t)
  assert.equal((await sendmail(['-i', 'alice'], 'Subject: kept\n\nx\n')).status, 0)
  await server.end('SIGKILL')
  await start(t, here.file)
  const [alice = ''] = await arrived('alice', 1)
  assert.match(alice, /\r\nSubject: kept\r\n/)
})

test('what arrives is what was handed in, with Date, Message-ID and From where they were missing', async t => {
  const { sendmail, arrived } = await begin(t)
  const message = 'To: Alice <alice@a.example>\nBcc: bob\nSubject: grüße\n\n.\n..two\nend of grüße\n'
  assert.equal((await sendmail(['-t', '-i', '-F', 'Joe User', '-f', 'joe@b.example'], message)).status, 0)
  const [alice = ''] = await arrived('alice', 1)
  const [bob = ''] = await arrived('bob', 1)
  for (const each of [alice, bob]) {
    assert.match(each, /^Return-Path: <joe@b\.example>\r\nReceived: /)
    assert.match(
      each,
      /^Date: \w{3}, .*\r\nMessage-ID: <\S+@mail-a\.a\.example>\r\nFrom: Joe User <joe@b\.example>\r$/m,
    )
    assert.ok(!/^bcc/im.test(each))
    assert.ok(each.endsWith('Subject: grüße\r\n\r\n.\r\n..two\r\nend of grüße\r\n'), each)
  }
  assert.equal((await sendmail(['root'], 'Subject: cron\n\none\n.\nnot this\n')).status, 0)
  const [, cron = ''] = await arrived('alice', 2)
  assert.match(cron, /\r\n\r\none\r\n$/)
})

test('through a link called sendmail, mailq or newaliases it is that program', async t => {
  const { here, arrived } = await begin(t)
  const bin = mkdtempSync(join(tmpdir(), 'bin-'))
  t.after(() => rmSync(bin, { recursive: true, force: true }))
  for (const name of ['sendmail', 'mailq', 'newaliases']) symlinkSync(`${ROOT}/postern`, join(bin, name))
  const env = { POSTERN_MAIL_CONF: here.file }
  const sent = await run(join(bin, 'sendmail'), ['-oi', '-oem', 'alice'], { env, input: 'Subject: x\n\nx\n' })
  assert.equal(sent.status, 0, sent.err)
  await arrived('alice', 1)
  assert.match((await run(join(bin, 'mailq'), [], { env })).out, /^0 messages$/m)
  assert.equal((await run(join(bin, 'newaliases'), [], { env })).status, 0)
})

test('--help says how it is called, and asks for no configuration', async () => {
  const { status, out, err } = await run(`${ROOT}/postern`, ['sendmail', '--help'])
  assert.deepEqual([status, err], [0, ''])
  assert.match(out, /^usage: sendmail \[-t\]/)
  const wrong = await run(`${ROOT}/postern`, ['sendmail', '--verbose'])
  assert.deepEqual([wrong.status, wrong.out], [64, ''])
  assert.match(wrong.err, /there is no option --verbose \(sendmail --help/)
})

test('-bs speaks SMTP with the server', async t => {
  const { sendmail } = await begin(t)
  const { status, out } = await sendmail(['-bs'], 'EHLO me.example\r\nVRFY x\r\nQUIT\r\n')
  assert.equal(status, 0)
  assert.match(out, /^220 mail-a\.a\.example ESMTP[\s\S]*^221 /m)
})

test('the exit code tells what went wrong, and standard error says it', async t => {
  const { here, server, sendmail, arrived } = await begin(t)
  const message = 'Subject: x\n\nx\n'
  const cases: readonly [args: readonly string[], input: string, status: number, words: RegExp][] = [
    [['nobody@a.example'], message, 67, /nobody@a\.example: failed: 550 5\.1\.1/],
    [['x@far.example'], message, 77, /x@far\.example: failed: 550 5\.7\.1/],
    [[], message, 64, /nobody is named/],
    [['-t'], message, 64, /its header names nobody/],
    [['-t'], `To: no body\n${message}`, 65, /not an address: no body/],
    [['-z'], message, 64, /there is no option -z/],
    [['alice'], 'a\0b', 65, /it holds a NUL/],
    [['alice'], 'x'.repeat(200_000), 69, /longer than the 102400 octets/],
  ]
  for (const [args, input, status, words] of cases) {
    const said = await sendmail(args, input)
    assert.deepEqual([args, said.status], [args, status], said.err)
    assert.match(said.err, words)
  }
  // Whoever can have it gets it, and who cannot is named.
  const some = await sendmail(['alice', 'nobody'], message)
  assert.equal(some.status, 67)
  await arrived('alice', 1)
  const nowhere = await run(`${ROOT}/postern`, ['sendmail', '-C', join(here.folder, 'none'), 'alice'], {
    input: message,
  })
  assert.equal(nowhere.status, 78)
  await server.end()
  rmSync(join(here.folder, 'spool.drop'), { recursive: true })
  const late = await sendmail(['alice'], message)
  assert.equal(late.status, 75)
  assert.match(
    late.err,
    /^sendmail: 127\.0\.0\.1:\d+ refused the connection; nothing can be left for it: there is no \S+\.drop/,
  )
})

test('while no server runs a message is left for it: 0, and the next server takes it up as that user', async t => {
  const { here, server, sendmail, arrived } = await begin(t)
  await server.end()
  const left = await sendmail(['-f', 'bob@a.example', 'alice', 'x@far.example'], 'Subject: left\n\ngrüße\n')
  assert.deepEqual([left.status, left.err], [0, ''])
  const [name = ''] = readdirSync(join(here.folder, 'spool.drop')).filter(each => each !== 'aside')
  assert.equal(statSync(join(here.folder, 'spool.drop', name)).mode & 0o7777, 0o640)
  await start(t, here.file)
  const [alice = ''] = await arrived('alice', 1)
  assert.ok(
    alice.startsWith(
      `Return-Path: <bob@a.example>\r\nReceived: by mail-a.a.example (Postern, from userid ${process.getuid?.()}) id ${name};`,
    ),
    alice,
  )
  assert.ok(alice.endsWith('Subject: left\r\n\r\ngrüße\r\n'))
  // What a running server would have refused at once comes back.
  const [bob = ''] = await arrived('bob', 1)
  assert.match(bob, /x@far\.example\r\n {4}5\.7\.1 it may not be relayed from here/)
  assert.deepEqual(readdirSync(join(here.folder, 'spool.drop')), ['aside'])
})
