import { mkdtempSync, statSync, writeFileSync } from 'node:fs'
import net from 'node:net'
import { join } from 'node:path'
import { setTimeout as wait } from 'node:timers/promises'
import { newId } from '../../src/base/id.ts'
import { now, random } from '../../src/io/clock.ts'
import { LmdbSpool } from '../../src/io/lmdb-spool.ts'
import { newEntry } from '../../src/spool/entry.ts'
import { peer } from '../peers.ts'
import type { CaseReport, Metric, Order, Report, Sample } from './harness.ts'
import {
  cpuSeconds,
  finish,
  freePorts,
  memoryOf,
  type Program,
  start,
  stopAll,
  untilListening,
  workDirectory,
} from './process.ts'
import { arrived, startSink } from './sink.ts'

export const description =
  'a mail server with a long queue: its start, its memory, a look at the queue, and how fast it empties'

const CHECKOUT = join(import.meta.dirname, '..', '..')
const POSTERN = join(CHECKOUT, 'postern')
const TO = { local: 'bob', domain: 'v4.postern.example' }
const FROM = { local: 'from', domain: 'source.example' }
const DAY = 86_400_000

interface Case {
  readonly name: string
  readonly octets: number
  readonly quick: number
  readonly full: number
  /** They go to receivers that take their time, over a connection each. */
  readonly slow?: true
}

const CASES: readonly Case[] = [
  { name: 'long', octets: 4_000, quick: 20_000, full: 200_000 },
  { name: 'small', octets: 4_000, quick: 2_000, full: 10_000 },
  { name: 'large', octets: 400_000, quick: 2_000, full: 10_000 },
  { name: 'slow', octets: 4_000_000, quick: 50, full: 200, slow: true },
]

const METRICS: readonly Metric[] = [
  { name: 'filled', unit: 'messages/s' },
  { name: 'disk', unit: 'MB' },
  { name: 'start', unit: 's' },
  { name: 'start-cpu', unit: 's' },
  { name: 'read', unit: 's' },
  { name: 'memory', unit: 'MB' },
  { name: 'mapped', unit: 'MB' },
  { name: 'list', unit: 's' },
  { name: 'retry', unit: 's' },
  { name: 'drained', unit: 'messages/s' },
  { name: 'cpu', unit: 's/10k' },
  { name: 'memory-most', unit: 'MB' },
]

export const subjects: readonly string[] = ['postern']
export const cases: readonly string[] = CASES.map(({ name }) => name)

export async function run({ quick, cases: asked, note }: Order): Promise<Report> {
  const reports: CaseReport[] = []
  for (const each of CASES.filter(({ name }) => asked.includes(name))) {
    const count = quick ? each.quick : each.full
    const sample = await measure(each, count, line => note(`${each.name}: ${line}`))
    await stopAll()
    const title = `${count.toLocaleString('en-US')} messages of ${each.octets.toLocaleString('en-US')} octets`
    reports.push({ name: each.name, title, samples: new Map([['postern', [sample]]]) })
  }
  const versions = [`Postern on Node ${process.version}`, peer('smtp-sink').version]
  return { metrics: METRICS, ours: ['postern'], peers: [], cases: reports, versions }
}

async function measure({ octets, slow }: Case, count: number, note: (line: string) => void): Promise<Sample> {
  const [port = 0, sinkPort = 0, metricsPort = 0] = await freePorts(3)
  const folder = mkdtempSync(join(workDirectory(), 'queue-'))
  const file = join(folder, 'mail.conf')
  const lines = [
    'hostname mx.postern.example',
    `listen 127.0.0.1 port ${port}`,
    `spool ${join(folder, 'spool')} size 100G`,
    `metrics listen 127.0.0.1 ${metricsPort}`,
    `connector sink to Sink cost 1 target 127.0.0.1 port ${sinkPort}`,
    'address-space sink smtp v4.postern.example',
    ...(slow ? ['queue per-destination connections 200 messages 1'] : []),
  ]
  writeFileSync(file, `${lines.join('\n')}\n`)

  const filled = await fill(join(folder, 'spool'), count, octets)
  const disk = statSync(join(folder, 'spool', 'queue.mdb')).blocks / 2048
  note(`filled, ${filled.toFixed(0)} messages/s`)

  const began = performance.now()
  const server = start({ name: 'postern-queue', command: POSTERN, args: ['mta', 'run', file, '--quiet'] })
  await untilListening(server, port, { seconds: 300 })
  const startTime = (performance.now() - began) / 1000
  const startCpu = cpuSeconds(server.pid)
  note(`listening after ${startTime.toFixed(1)} s`)
  while ((await unread(metricsPort)) > 0) await wait(50)
  const read = (performance.now() - began) / 1000
  note(`read after ${read.toFixed(1)} s`)
  await wait(2_000)
  const memory = memoryOf(server.pid, 'RssAnon') / 1024
  const mapped = memoryOf(server.pid, 'RssFile') / 1024

  const list = await timed(() => ask(['queue', 'list', file, '--limit', '20']))
  note(`listed in ${list.toFixed(1)} s`)

  const came = await (slow ? slowSink(sinkPort) : quickSink(sinkPort))
  const most = watch(server)
  const spent = cpuSeconds(server.pid)
  const draining = performance.now()
  const retry = await timed(() => ask(['queue', 'retry', file, '--all']))
  note(`all due after ${retry.toFixed(1)} s`)
  const deadline = performance.now() + 3_600_000
  while (came() < count && performance.now() < deadline) await wait(50)
  const drained = count / ((performance.now() - draining) / 1000)
  const cpu = (10_000 * (cpuSeconds(server.pid) - spent)) / count
  if (came() !== count) throw new Error(`${came()} of ${count} arrived\n${server.said()}`)
  return {
    filled,
    disk,
    start: startTime,
    'start-cpu': startCpu,
    read,
    memory,
    mapped,
    list,
    retry,
    drained,
    cpu,
    'memory-most': most(),
  }
}

/** Messages that the server has not read yet. */
async function unread(port: number): Promise<number> {
  const answer = await fetch(`http://127.0.0.1:${port}/metrics`).catch(() => undefined)
  // It takes mail a moment before it answers there.
  if (!answer) return Number.POSITIVE_INFINITY
  const text = await answer.text()
  const [, count] = /^postern_mta_queue_unread (\d+)$/m.exec(text) ?? []
  if (count === undefined) throw new Error('it does not say how much of its queue is unread')
  return Number(count)
}

async function quickSink(port: number): Promise<() => number> {
  const sink = await startSink(port)
  return () => arrived(sink)
}

/** How long a slow receiver reads nothing in the middle of a message, in milliseconds. */
const SLOW = 10_000

/** So many messages as it has taken whole. */
async function slowSink(port: number): Promise<() => number> {
  let came = 0
  const server = net.createServer(socket => {
    let line = ''
    let inBody = false
    socket.on('error', () => {})
    socket.setEncoding('latin1').write('220 slow.example ESMTP\r\n')
    socket.on('data', chunk => {
      line += chunk
      if (inBody) {
        line = line.slice(-5)
        if (line !== '\r\n.\r\n') return
        came++
        inBody = false
        line = ''
        socket.write('250 2.0.0 ok\r\n')
        return
      }
      if (!line.endsWith('\r\n')) return
      const isQuit = line.startsWith('QUIT')
      inBody = line.startsWith('DATA')
      line = ''
      if (isQuit) socket.end('221 2.0.0 bye\r\n')
      else socket.write(inBody ? '354 go on\r\n' : '250 2.0.0 ok\r\n')
      if (!inBody) return
      socket.pause()
      setTimeout(() => socket.resume(), SLOW)
    })
  })
  await new Promise<void>(resolve => server.listen(port, '127.0.0.1', resolve))
  return () => came
}

/** Messages a second. They are due in a day, as if they had been tried and put off. */
async function fill(folder: string, count: number, octets: number): Promise<number> {
  const spool = LmdbSpool.open(folder, { limit: Number.MAX_SAFE_INTEGER })
  const line = `${'x'.repeat(70)}\r\n`
  const body = [Buffer.from(`Subject: long\r\n\r\n${line.repeat(Math.ceil(octets / line.length))}`.slice(0, octets))]
  const envelope = { from: FROM, recipients: [{ to: TO }], smtputf8: false, body: '7bit' } as const
  const what = 'received from source.example [127.0.0.1] by ESMTP'
  const began = performance.now()
  let left = count
  const one = async (): Promise<void> => {
    while (left-- > 0) {
      const at = now()
      const entry = newEntry({ id: newId(at, random), envelope, at, expire: 2 * DAY, what })
      const recipients = [{ kind: 'waiting', due: at + DAY, attempts: 1 }] as const
      const kept = await spool.put({ ...entry, recipients }, pieces(body))
      if (!kept.kept) throw new Error(kept.words)
    }
  }
  await Promise.all(Array.from({ length: 500 }, one))
  const seconds = (performance.now() - began) / 1000
  await spool.close()
  return count / seconds
}

async function* pieces(all: readonly Uint8Array[]): AsyncIterable<Uint8Array> {
  yield* all
}

async function timed(work: () => Promise<unknown>): Promise<number> {
  const began = performance.now()
  await work()
  return (performance.now() - began) / 1000
}

/** As an operator does it, the start of the command included. */
function ask(args: readonly string[]): Promise<void> {
  return finish({ name: 'postern-ask', command: POSTERN, args }, { seconds: 3_600 })
}

/** The most it ever held of its own, in MB, looked at ten times a second. */
function watch({ pid }: Program): () => number {
  let most = 0
  const timer = setInterval(() => {
    most = Math.max(most, memoryOf(pid, 'RssAnon') / 1024)
  }, 100)
  return () => {
    clearInterval(timer)
    return most
  }
}
