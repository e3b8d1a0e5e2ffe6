/** `./postern queue …`, on a server that runs and on the spool of one that does not. */
import assert from 'node:assert/strict'
import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdtempSync, readdirSync, readFileSync, rmSync, truncateSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { test } from 'node:test'
import { setTimeout as sleep } from 'node:timers/promises'
import { readMaildir } from '../../src/io/maildir.ts'
import { freePorts } from '../../tools/bench/process.ts'
import { postern, ROOT, type Said, Talk } from './postern.ts'

interface After {
  after(work: () => void): void
}

class Server {
  readonly file: string
  readonly folder: string
  readonly port: number
  child: ChildProcess | undefined
  #said = ''

  constructor(folder: string, port: number, dead: number) {
    this.folder = folder
    this.port = port
    this.file = join(folder, 'mail.conf')
    const lines = [
      'hostname mail-a.a.example',
      `listen 127.0.0.1 port ${port}`,
      'local-domain a.example',
      'mailbox alice@a.example',
      'relay-from 127.0.0.0 255.0.0.0',
      'spool queue',
      `connector dead to B cost 1 target 127.0.0.1 port ${dead}`,
      'address-space dead smtp b.example',
    ]
    writeFileSync(this.file, `${lines.join('\n')}\n`)
  }

  static async make(t: After): Promise<Server> {
    const [port = 0, dead = 0] = await freePorts(2)
    const folder = mkdtempSync(join(tmpdir(), 'queue-'))
    const server = new Server(folder, port, dead)
    t.after(() => {
      server.child?.kill('SIGKILL')
      rmSync(folder, { recursive: true, force: true })
    })
    return server
  }

  async start(): Promise<void> {
    const child = spawn(`${ROOT}/postern`, ['mta', 'run', this.file], { cwd: ROOT })
    this.child = child
    this.#said = ''
    child.stderr.on('data', chunk => {
      this.#said += chunk
    })
    await this.says(/listening at/)
  }

  async says(what: RegExp): Promise<void> {
    for (let i = 0; i < 500 && !what.test(this.#said); i++) await sleep(20)
    assert.match(this.#said, what)
  }

  async stop(): Promise<void> {
    const ended = this.child && once(this.child, 'exit')
    this.child?.kill('SIGTERM')
    await ended
  }

  /** Hands a message in, and waits until it was tried. */
  async take(to: string, size = 5): Promise<string> {
    const talk = await Talk.to(`127.0.0.1:${this.port}`)
    await talk.hear()
    for (const line of ['EHLO c.example', 'MAIL FROM:<alice@a.example>', `RCPT TO:<${to}>`, 'DATA']) {
      assert.match(await talk.ask(line), /^[23]5/)
    }
    const answer = await talk.ask(
      `Subject: x\r\n\r\n${'y'.repeat(60)}\r\n${`${'z'.repeat(60)}\r\n`.repeat(size / 62)}.`,
    )
    const [, id = ''] = /Queued as (\S+)/.exec(answer) ?? []
    talk.close()
    await this.says(new RegExp(`^${id}: <${to}> deferred`, 'm'))
    return id
  }

  queue(...args: readonly string[]): Promise<Said> {
    const [verb = '', ...rest] = args
    return postern(['queue', verb, this.file, ...rest])
  }
}

async function asksAll(server: Server, [one, two, three]: readonly [string, string, string]): Promise<void> {
  const list = await server.queue('list')
  assert.match(list.out, /^ID +AGE +OCTETS +NEXT TRY +FROM +TO$/m)
  assert.match(list.out, new RegExp(`^${one} .* in \\S+.* +<alice@a\\.example> +<bob@b\\.example>$`, 'm'))
  assert.match(list.out, /^3 messages$/m)
  const found = await server.queue('list', '--to', 'CAROL', '--hop', 'dead', '--json')
  const entries = found.out
    .trim()
    .split('\n')
    .map(line => JSON.parse(line))
  assert.deepEqual(
    entries.map(({ id }) => id),
    [two],
  )
  assert.deepEqual(entries[0].hops, ['connector dead'])
  assert.match((await server.queue('list', '--older-than', '1h')).out, /^0 messages of 3$/m)
  const explained = await server.queue('explain', one)
  assert.match(explained.out, /trail:\n {2}\S+ ago: received from c\.example \[127\.0\.0\.1\] by ESMTP\n/)
  assert.match(explained.out, /<bob@b\.example> deferred: 4\.4\.1 connector dead: \S+ refused the connection/)
  assert.match(explained.out, /bob@b\.example by connector dead: in \S+.*: after try 1 the schedule waits 10m/)
  assert.match((await server.queue('hold', two)).out, new RegExp(`^${two}: is held$`, 'm'))
  assert.match((await server.queue('list', two)).out, / held +<alice/)
  const again = await server.queue('hold', two)
  assert.equal(again.status, 1)
  assert.match(again.out, /not done: it is held already/)
  assert.match((await server.queue('release', two)).out, /goes on/)
  assert.match((await server.queue('remove', three)).out, /is forgotten/)
  assert.match((await server.queue('history', three)).out, /gone\n[\s\S]*removed by an operator; nobody is told/)
  assert.match(
    (await server.queue('history', '--to', 'nobody')).out,
    /^0 messages of 2 in the queue; of one that is gone, name/,
  )
  assert.match((await server.queue('show', '--to', 'nobody')).out, /^0 messages of 2$/m)
  const none = await server.queue('show', 'NOSUCHID')
  assert.equal(none.status, 1)
  assert.match(none.err, /^NOSUCHID is not in the queue$/m)
  const which = await server.queue('remove')
  assert.equal(which.status, 2)
  assert.match(which.err, /which messages\? \(--all means every one\)/)
  assert.match((await server.queue('bounce', one)).out, /is given up, and its sender is told/)
}

test('the queue of a running server is listed, explained and changed', async t => {
  const server = await Server.make(t)
  await server.start()
  const ids = [
    await server.take('bob@b.example'),
    await server.take('carol@b.example'),
    await server.take('dave@b.example'),
  ] as const
  await asksAll(server, ids)
  await server.says(/<alice@a\.example> delivered to alice@a\.example$/m)
  const [report] = await readMaildir(join(server.folder, 'maildir', 'alice@a.example'))
  assert.match(`${report}`, /5\.3\.2 returned by the operator of this server\r\n[\s\S]*Status: 5\.3\.2\r\n/)
  assert.match((await server.queue('retry', '--all')).out, new RegExp(`^${ids[1]}: is tried now$`, 'm'))
  await server.stop()
})

test('the spool of a server that does not run answers the same, and what was changed holds when it starts', async t => {
  const server = await Server.make(t)
  await server.start()
  const ids = [
    await server.take('bob@b.example'),
    await server.take('carol@b.example'),
    await server.take('dave@b.example'),
  ] as const
  // Not asked to end: its control socket stays behind, and nobody answers there.
  server.child?.kill('SIGKILL')
  await once(server.child ?? assert.fail(), 'exit')
  await asksAll(server, ids)
  await server.start()
  await server.says(/<alice@a\.example> delivered to alice@a\.example$/m)
  await server.stop()
})

test('check finds what rotted, and puts it aside when asked; the rest goes on', async t => {
  const server = await Server.make(t)
  await server.start()
  const [small, large] = [await server.take('bob@b.example'), await server.take('carol@b.example', 300_000)]
  const well = await server.queue('check')
  assert.equal(well.status, 0)
  assert.match(well.out, /^2 messages, \d+ octets: all as they came$/m)
  await server.stop()
  const bodies = join(server.folder, 'queue', 'bodies')
  assert.deepEqual(readdirSync(bodies), [large])
  truncateSync(join(bodies, large), 1_000)
  const ill = await server.queue('check')
  assert.equal(ill.status, 1)
  assert.match(ill.out, new RegExp(`^${large}: its content has 1000 octets, and \\d+ came$`, 'm'))
  const repaired = await server.queue('check', '--repair')
  assert.match(repaired.out, /put aside as \S+\.record/)
  assert.match(readFileSync(join(server.folder, 'queue', 'damaged', `${large}.record`), 'utf8'), /carol/)
  assert.equal((await server.queue('check')).status, 0)
  assert.match((await server.queue('list')).out, new RegExp(`^${small} [\\s\\S]*^1 message$`, 'm'))
})
