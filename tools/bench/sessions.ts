import { execFileSync } from 'node:child_process'
import { mkdtempSync, writeFileSync } from 'node:fs'
import net from 'node:net'
import { join } from 'node:path'
import { setTimeout as wait } from 'node:timers/promises'
import tls from 'node:tls'
import { makeCertificates } from '../../test/certificates.ts'
import { peer } from '../peers.ts'
import type { CaseReport, Metric, Order, Report, Sample } from './harness.ts'
import { freePorts, memoryOf, type Program, start, stopAll, untilListening, workDirectory } from './process.ts'

export const description =
  'what sessions cost a server in memory: idle and logged in, in clear and under TLS; and those that mean no good'

const CHECKOUT = join(import.meta.dirname, '..', '..')

const METRICS: readonly Metric[] = [
  { name: 'memory', unit: 'kB/session', better: 'less' },
  { name: 'sessions', unit: '' },
  { name: 'growth', unit: 'kB' },
  { name: 'seconds', unit: 's' },
]

interface Case {
  readonly name: string
  readonly title: string
  readonly subjects: readonly string[]
  readonly measure: (server: Running, order: Order) => Promise<Sample>
}

/** Files this process may open, less what it has open itself. */
const ROOM = openFiles() - 200
const idle = (quick: boolean): number => Math.min(quick ? 1_000 : 10_000, ROOM)
const GIGABYTE = 1_000_000_000

const CASES: readonly Case[] = [
  {
    name: 'plain',
    title: 'idle sessions after EHLO and a login, in clear (smtp-sink knows no login)',
    subjects: ['postern', 'smtp-sink'],
    measure: (server, { quick }) => measureIdle(server, idle(quick), 'clear'),
  },
  {
    name: 'tls',
    title: 'idle sessions after EHLO and a login, under TLS 1.3',
    subjects: ['postern'],
    measure: (server, { quick }) => measureIdle(server, idle(quick), 'tls'),
  },
  {
    name: 'no-line-end',
    title: 'one peer sends a gigabyte (--quick: a tenth of it) without a line end',
    subjects: ['postern', 'smtp-sink'],
    measure: (server, { quick }) => measureFlood(server, quick ? GIGABYTE / 10 : GIGABYTE),
  },
  {
    name: 'no-data-end',
    title: 'one peer sends a gigabyte (--quick: a tenth of it) of a message without end',
    subjects: ['postern', 'smtp-sink'],
    measure: (server, { quick }) => measureMessage(server, quick ? GIGABYTE / 10 : GIGABYTE),
  },
  {
    name: 'dripping',
    title: '200 peers send an octet of a command each second, for half a minute (--quick: 10 s)',
    subjects: ['postern', 'smtp-sink'],
    measure: (server, { quick }) => measureDrip(server, 200, quick ? 10 : 30),
  },
]

export const subjects: readonly string[] = ['postern', 'smtp-sink']
export const cases: readonly string[] = CASES.map(({ name }) => name)

export async function run(order: Order): Promise<Report> {
  const reports: CaseReport[] = []
  for (const each of CASES.filter(({ name }) => order.cases.includes(name))) {
    const samples = new Map<string, Sample[]>()
    for (const subject of each.subjects.filter(name => order.subjects.includes(name))) {
      order.note(`${each.name}: ${subject}`)
      // A server of its own each time: what one case left behind would be room for the next.
      const server = await (subject === 'postern' ? startPostern() : startSink())
      samples.set(subject, [await each.measure(server, order)])
      await stopAll()
    }
    if (samples.size > 0) reports.push({ name: each.name, title: each.title, samples })
  }
  const [ours = 'postern', ...peers] = order.subjects
  const versions = [`postern on Node ${process.version}`, peer('smtp-sink').version]
  return { metrics: METRICS, ours: [ours], peers, cases: reports, versions }
}

interface Running {
  readonly program: Program
  readonly port: number
  /** Under TLS from the first octet on. */
  readonly tlsPort?: number
  readonly hasLogin: boolean
}

async function startPostern(): Promise<Running> {
  const [port = 0, tlsPort = 0] = await freePorts(2)
  const folder = mkdtempSync(join(workDirectory(), 'postern-'))
  const { certificate, key } = makeCertificates(join(folder, 'certificates'))
  writeFileSync(join(folder, 'password'), 's3cret\n', { mode: 0o600 })
  const file = join(folder, 'mail.conf')
  const lines = [
    'hostname localhost',
    `listen 127.0.0.1 port ${port}`,
    `listen 127.0.0.1 port ${tlsPort} tls`,
    `tls certificate ${certificate} key ${key}`,
    'relay-from 127.0.0.0 255.0.0.0',
    'local-domain localhost',
    'mailbox alice@localhost',
    'login alice password-file password',
    'auth-without-tls',
    // Neither a full house nor its stress is what is measured.
    'sessions 100000',
    'limit idle 1h',
  ]
  writeFileSync(file, `${lines.join('\n')}\n`)
  const command = join(CHECKOUT, 'postern')
  const program = start({ name: 'postern', command, args: ['mta', 'run', file], cwd: folder })
  await untilListening(program, port)
  return { program, port, tlsPort, hasLogin: true }
}

async function startSink(): Promise<Running> {
  const [port = 0] = await freePorts(1)
  const { command, env } = peer('smtp-sink')
  const asNobody = process.getuid?.() === 0 ? ['-u', 'nobody'] : []
  const args = [...asNobody, '-m', '20000', '-t', '3600', `127.0.0.1:${port}`, '1000']
  const program = start({ name: 'smtp-sink', command, env, args })
  await untilListening(program, port)
  return { program, port, hasLogin: false }
}

/** Opened at once: more would be refused by the backlog, and measure nothing else. */
const AT_ONCE = 100

async function measureIdle(server: Running, count: number, how: 'clear' | 'tls'): Promise<Sample> {
  // Code gets compiled and buffers get their size, before anything counts.
  for (const socket of await Promise.all(Array.from({ length: AT_ONCE }, () => session(server, how)))) socket.destroy()
  const before = await settled(server)
  const began = performance.now()
  const sockets: net.Socket[] = []
  while (sockets.length < count) {
    const group = Math.min(AT_ONCE, count - sockets.length)
    sockets.push(...(await Promise.all(Array.from({ length: group }, () => session(server, how)))))
  }
  const seconds = (performance.now() - began) / 1000
  const growth = (await settled(server)) - before
  const lost = sockets.filter(socket => socket.destroyed || socket.readableEnded).length
  for (const socket of sockets) socket.destroy()
  if (lost > 0) throw new Error(`${server.program.name} ended ${lost} of ${count} sessions`)
  return { memory: growth / count, sessions: count, growth, seconds }
}

/** As long as the reply has lines to come. */
async function reply(socket: net.Socket): Promise<string> {
  let heard = ''
  for (;;) {
    const chunk = await new Promise<Buffer | undefined>(resolve => {
      const take = (octets?: Buffer): void => {
        socket.off('data', take).off('close', none)
        socket.pause()
        resolve(octets)
      }
      const none = (): void => take()
      socket.on('data', take).on('close', none)
      socket.resume()
    })
    if (!chunk) throw new Error(`the server hung up; it said ${JSON.stringify(heard)}`)
    heard += chunk.toString('latin1')
    if (/^\d{3} [^\n]*\n$/m.test(heard)) return heard
  }
}

async function connected(port: number, how: 'clear' | 'tls'): Promise<net.Socket> {
  const to = { host: '127.0.0.1', port }
  const socket =
    how === 'clear' ? net.connect(to) : tls.connect({ ...to, rejectUnauthorized: false, minVersion: 'TLSv1.3' })
  await new Promise((resolve, reject) => {
    socket.once(how === 'clear' ? 'connect' : 'secureConnect', resolve)
    socket.once('error', reject)
  })
  socket.on('error', () => {})
  return socket
}

async function session({ port, tlsPort, hasLogin }: Running, how: 'clear' | 'tls'): Promise<net.Socket> {
  const socket = await connected(how === 'tls' ? (tlsPort ?? 0) : port, how)
  await reply(socket)
  socket.write('EHLO client.example\r\n')
  await reply(socket)
  if (!hasLogin) return socket
  socket.write(`AUTH PLAIN ${Buffer.from('\0alice\0s3cret').toString('base64')}\r\n`)
  const answer = await reply(socket)
  if (!answer.startsWith('235')) throw new Error(`the login was answered ${answer}`)
  return socket
}

function measureFlood(server: Running, octets: number): Promise<Sample> {
  return flood(server, octets, Buffer.alloc(1_000_000, 'x'))
}

function measureMessage(server: Running, octets: number): Promise<Sample> {
  const lines = Buffer.from(`${'x'.repeat(78)}\r\n`.repeat(12_500))
  return flood(server, octets, lines, ['MAIL FROM:<a@source.example>', 'RCPT TO:<alice@localhost>', 'DATA'])
}

async function flood(
  server: Running,
  octets: number,
  chunk: Uint8Array,
  first: readonly string[] = [],
): Promise<Sample> {
  const socket = await session(server, 'clear')
  for (const line of first) {
    socket.write(`${line}\r\n`)
    const answer = await reply(socket)
    if (!/^[23]/.test(answer)) throw new Error(`${line} was answered ${answer}`)
  }
  const before = await settled(server)
  const began = performance.now()
  // Whatever it answers: what is measured is what it keeps.
  socket.resume()
  for (let sent = 0; sent < octets && !socket.destroyed; sent += chunk.length) {
    if (!socket.write(chunk)) await drained(socket)
  }
  const seconds = (performance.now() - began) / 1000
  const growth = memoryOf(server.program.pid, 'VmHWM') - before
  socket.destroy()
  return { growth, seconds }
}

function drained(socket: net.Socket): Promise<void> {
  return new Promise(resolve => {
    const done = (): void => {
      socket.off('drain', done).off('close', done)
      resolve()
    }
    socket.on('drain', done).on('close', done)
  })
}

async function measureDrip(server: Running, count: number, seconds: number): Promise<Sample> {
  const sockets = await Promise.all(Array.from({ length: count }, () => session(server, 'clear')))
  const before = await settled(server)
  for (let second = 0; second < seconds; second++) {
    for (const socket of sockets) socket.write('x')
    await wait(1000)
  }
  const growth = memoryOf(server.program.pid) - before
  for (const socket of sockets) socket.destroy()
  return { sessions: count, growth, seconds }
}

/** Kibibytes held once they do not change any more, or after ten seconds. */
async function settled({ program }: Running): Promise<number> {
  let last = memoryOf(program.pid)
  for (let i = 0; i < 10; i++) {
    await wait(1000)
    const now = memoryOf(program.pid)
    if (Math.abs(now - last) < last / 200) return now
    last = now
  }
  return last
}

/** How many files a program started here may open: Node has raised its own limit as far as it goes, and they inherit it. */
function openFiles(): number {
  const [first = ''] = execFileSync('sh', ['-c', 'ulimit -n'], { encoding: 'utf8' }).split('\n')
  return first === 'unlimited' ? Number.MAX_SAFE_INTEGER : Number(first)
}
