/** What is on the disk when a message is acknowledged, as the kernel saw it: kill -9 leaves the page cache, a loss of power does not. */
import assert from 'node:assert/strict'
import { spawn, spawnSync } from 'node:child_process'
import { once } from 'node:events'
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { test } from 'node:test'
import { setTimeout as sleep } from 'node:timers/promises'
import { freePorts } from '../tools/bench/process.ts'
import { ROOT, Talk } from './journeys/postern.ts'

const CALLS = 'openat,write,writev,pwrite64,pwritev,pwritev2,fsync,fdatasync'

/** Calls in the order in which they were finished, `write` of a reply in the order in which it began: `fsync(21</a/b>) = 0`. */
function callsOf(trace: string): readonly string[] {
  const begun = new Map<string, string>()
  const calls: string[] = []
  for (const line of trace.split('\n')) {
    const [, pid = '', rest = ''] = /^(\d+) +(.*)$/.exec(line) ?? []
    const unfinished = /^(.*) <unfinished \.\.\.>$/.exec(rest)?.[1]
    const resumed = /^<\.\.\. \w+ resumed>(.*)$/.exec(rest)?.[1]
    if (unfinished !== undefined) {
      // A reply may be heard before its call returns.
      if (/^writev?\(\d+<(?:socket|TCP)/.test(unfinished)) calls.push(unfinished)
      else begun.set(pid, unfinished)
    } else if (resumed !== undefined) {
      const start = begun.get(pid)
      if (start !== undefined) calls.push(`${start}${resumed}`)
      begun.delete(pid)
    } else calls.push(rest)
  }
  return calls
}

/** The first call from `from` on that fits; the test fails where there is none. */
function find(calls: readonly string[], from: number, what: RegExp, says: string): number {
  const at = calls.findIndex((call, i) => i >= from && what.test(call))
  assert.ok(at >= 0, says)
  return at
}

const untraceable = (): string | false =>
  spawnSync('strace', ['-o', '/dev/null', 'true']).status === 0 ? false : 'strace is not here, or may not trace'

test('before each 250 the record is flushed, and of a large message its file and the name of it before that; what the journal had is in the tree before it is written over', {
  skip: untraceable(),
}, async t => {
  const folder = mkdtempSync(join(tmpdir(), 'durable-'))
  t.after(() => rmSync(folder, { recursive: true, force: true }))
  const [port = 0, dead = 0] = await freePorts(2)
  const file = join(folder, 'mail.conf')
  writeFileSync(
    file,
    `hostname mail-a.a.example
listen 127.0.0.1 port ${port}
relay-from 127.0.0.0 255.0.0.0
connector sink to B cost 1 target 127.0.0.1 port ${dead}
address-space sink smtp sink.example
`,
  )
  const trace = join(folder, 'trace')
  const server = [process.execPath, '--disable-warning=ExperimentalWarning', join(ROOT, 'src/cli/main.ts')]
  const child = spawn('strace', [
    '-f',
    '-y',
    '-s',
    '20000',
    '-o',
    trace,
    '-e',
    `trace=${CALLS}`,
    ...server,
    'mta',
    'run',
    file,
  ])
  const closed = once(child, 'close')
  let said = ''
  child.stderr.on('data', chunk => {
    said += chunk
  })
  for (let i = 0; i < 1_000 && !said.includes('listening at') && child.exitCode === null; i++) await sleep(20)
  const ids: string[] = []
  const sizes: number[] = []
  const hand = async (each: readonly number[]): Promise<void> => {
    const talk = await Talk.to(`127.0.0.1:${port}`)
    t.after(() => talk.close())
    await talk.hear()
    await talk.ask('EHLO client.example')
    for (const size of each) {
      for (const line of ['MAIL FROM:<bob@b.example>', 'RCPT TO:<ann@sink.example>', 'DATA']) {
        assert.match(await talk.ask(line), /^[23]5/)
      }
      const answer = await talk.ask(`Subject: x\r\n\r\n${`${'y'.repeat(68)}\r\n`.repeat(Math.ceil(size / 70))}.`)
      const [, id = ''] = /^250 .*Queued as (\S+)/.exec(answer) ?? []
      assert.notEqual(id, '', answer)
      ids.push(id)
      sizes.push(size)
    }
  }
  await hand([10, 4_000, 400_000])
  // Many at once share a flush, and none may be answered by that of another.
  await Promise.all(Array.from({ length: 6 }, () => hand([4_000, 10, 4_000, 300_000, 4_000])))
  // So many that the journal is written over more than once.
  await Promise.all(Array.from({ length: 6 }, () => hand(Array(10).fill(90_000))))
  // The server, not its tracer, which ends with it.
  const [, pid = ''] = /^(\d+) /.exec(readFileSync(trace, 'latin1')) ?? []
  process.kill(Number(pid), 'SIGKILL')
  await closed

  const calls = callsOf(readFileSync(trace, 'latin1'))
  assert.ok(
    calls.some(call => /^openat\(.*queue\.mdb".*O_WRONLY\|O_DSYNC/.test(call)),
    'the last page of a commit, which makes it valid, is written through',
  )
  // As it stands in the record, with its quotation marks escaped by strace.
  const written = (file: string, id: string): RegExp =>
    new RegExp(`^p?writev?(?:64|2)?\\(\\d+<[^>]*/${file}>.*\\\\"id\\\\":\\\\"${id}`)
  const flush = (file: string): RegExp => new RegExp(`^fdatasync\\(\\d+<[^>]*/${file}>\\) += 0`)
  let begunAgain = 0
  for (const [i, id] of ids.entries()) {
    const record = find(calls, 0, written('journal-[01]', id), `${id}: its record is written`)
    const [file = ''] = /journal-[01]/.exec(calls[record] ?? '') ?? []
    const flushed = find(calls, record + 1, flush(file), `${id}: the record is flushed`)
    const again = calls.findIndex(
      (call, i) => i > record && new RegExp(`^p?writev?(?:64|2)?\\(\\d+<[^>]*/${file}>.*, 0\\) += `).test(call),
    )
    if (again >= 0) {
      begunAgain++
      const inTree = find(calls, record, written('queue\\.mdb', id), `${id}: its record is written into the tree`)
      const synced = find(calls, inTree + 1, flush('queue\\.mdb'), `${id}: the tree is flushed`)
      const valid = find(calls, synced + 1, /^pwrite64\(\d+<[^>]*\/queue\.mdb>/, `${id}: the commit is made valid`)
      assert.ok(valid < again, `${id}: it is in the tree before the journal is written over`)
    }
    const answered = find(calls, 0, new RegExp(`^writev?\\(.*Queued as ${id}`), `${id}: it is acknowledged`)
    assert.ok(flushed < answered, `${id}: acknowledged only once it is on disk`)
    if ((sizes[i] ?? 0) < 100_000) continue
    const content = find(
      calls,
      0,
      new RegExp(`^fsync\\(\\d+<[^>]*/bodies/${id}>\\) += 0`),
      `${id}: its file is flushed`,
    )
    const name = find(calls, content + 1, /^fsync\(\d+<[^>]*\/bodies>\) += 0/, `${id}: the name of its file is flushed`)
    assert.ok(name < record, `${id}: the file is on disk, and so is its name, before anything tells of it`)
  }
  assert.ok(begunAgain > 0, 'a file of the journal was written over')
})
