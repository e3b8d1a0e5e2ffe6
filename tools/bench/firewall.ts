import { readFileSync } from 'node:fs'
import { setTimeout as wait } from 'node:timers/promises'
import { peer } from '../peers.ts'
import { idleSessions, quantile, timedSessions } from './firewall-sessions.ts'
import { isOurs, SUBJECTS, type Subject } from './firewall-subjects.ts'
import { alternate, type CaseReport, type Metric, type Order, type Report, type Sample } from './harness.ts'
import {
  cpuSeconds,
  finish,
  freePorts,
  memoryOf,
  octetsRead,
  type Program,
  start,
  stopAll,
  untilListening,
} from './process.ts'

export const description =
  'mail through a firewall: smtp-source → subject → smtp-sink, against nginx, HAProxy, Haraka and plain Node'

/** Messages that are sent and counted. */
interface Traffic {
  readonly name: string
  readonly title: string
  /** Octets of one message. */
  readonly length: number
  /** Sessions at a time. */
  readonly sessions: number
  /** Whether a session carries one message after the other. */
  readonly kept: boolean
  /** Messages of one run. */
  readonly quick: number
  readonly full: number
}

// What is left of 4,096 octets for the body, so that smtp-source hands over a message in one write. In two, nginx's mail
// proxy (which leaves Nagle's algorithm on) waits 40 ms for the acknowledgement of the first, and nothing else is measured.
const SMALL = 3_800

const TRAFFIC: readonly Traffic[] = [
  {
    name: 'new',
    title: 'a new connection for each message of 4 kB',
    length: SMALL,
    sessions: 10,
    kept: false,
    quick: 1_500,
    full: 8_000,
  },
  {
    name: 'kept',
    title: 'messages of 4 kB over 10 kept connections',
    length: SMALL,
    sessions: 10,
    kept: true,
    quick: 6_000,
    full: 30_000,
  },
  {
    name: 'bodies',
    title: 'messages of 10 MB over 2 kept connections',
    length: 10_000_000,
    sessions: 2,
    kept: true,
    quick: 40,
    full: 150,
  },
]

/** What every case is called, and how it is run. */
const CASES: Readonly<Record<string, (chosen: readonly Subject[], order: Order) => Promise<CaseReport>>> = {
  ...Object.fromEntries(
    TRAFFIC.map(each => [each.name, (chosen: readonly Subject[], order: Order) => carry(each, chosen, order)]),
  ),
  latency: timeSessions,
  idle: keepIdle,
  many: sendMany,
}

const METRICS: readonly Metric[] = [
  { name: 'cpu', unit: 's/10k', better: 'less' },
  { name: 'rate', unit: 'msg/s', better: 'more' },
  { name: 'cpu-seconds', unit: 's' },
  { name: 'wall', unit: 's' },
  { name: 'added-p50', unit: 'ms' },
  { name: 'added-p99', unit: 'ms' },
  { name: 'p99', unit: 'ms' },
  { name: 'rss-before', unit: 'MB' },
  { name: 'rss-half', unit: 'MB' },
  { name: 'rss', unit: 'MB' },
  { name: 'per-session', unit: 'kB' },
]

export const subjects: readonly string[] = SUBJECTS.map(({ name }) => name)
export const cases: readonly string[] = Object.keys(CASES)

export async function run(order: Order): Promise<Report> {
  const chosen = SUBJECTS.filter(({ name }) => order.subjects.includes(name))
  const compared = chosen.map(({ name }) => name).filter(name => name !== 'direct')
  const versions = [...chosen.map(({ version }) => version()), peer('smtp-source').version]
  const reports: CaseReport[] = []
  for (const [name, runCase] of Object.entries(CASES)) {
    if (order.cases.includes(name)) reports.push(await runCase(chosen, order))
  }
  // Where none of them is ours, the first is compared with the others.
  const ours = compared.some(isOurs) ? compared.filter(isOurs) : compared.slice(0, 1)
  return {
    metrics: METRICS,
    ours,
    peers: compared.filter(name => !ours.includes(name)),
    cases: reports,
    versions: [...new Set(versions)],
  }
}

async function carry(each: Traffic, chosen: readonly Subject[], { quick, note }: Order): Promise<CaseReport> {
  const messages = quick ? each.quick : each.full
  const rounds = quick ? 3 : 5
  const lines = new Map<string, Line>()
  for (const subject of chosen) {
    note(`${each.name}: starting ${subject.name}`)
    const line = await lay(subject)
    lines.set(subject.name, line)
    // Unmeasured: code gets compiled, buffers get their size. As much of it however short the rounds are: who runs for months
    // is not measured at his start.
    for (let run = 0; run < WARM; run++) await send(line, each, Math.ceil(each.full * line.share))
  }
  const samples = await alternate([...lines.keys()], rounds, async (subject, round) => {
    const line = lines.get(subject)
    if (!line) throw new Error(`nothing was started for ${subject}`)
    const sample = await send(line, each, Math.ceil(messages * line.share))
    const cpu = sample['cpu-seconds'] === undefined ? '' : `, ${sample['cpu-seconds'].toFixed(2)} s of CPU`
    note(`${each.name}: round ${round}/${rounds}: ${subject}: ${sample.wall?.toFixed(2)} s${cpu}`)
    return sample
  })
  await stopAll()
  return { name: each.name, title: `${each.title}, ${messages.toLocaleString('en-US')} a run`, samples }
}

/** Sessions begun at a fixed rate that leaves every subject idle most of the time: what it adds to each. */
async function timeSessions(chosen: readonly Subject[], { quick, note }: Order): Promise<CaseReport> {
  const [perSecond, count] = [40, quick ? 160 : 800]
  const lines = new Map<string, Line>()
  for (const subject of chosen.filter(({ name }) => name !== 'direct')) {
    const line = await lay(subject)
    lines.set(subject.name, line)
    await timedSessions({ through: line.port, direct: line.sinkPort }, { count: 100, perSecond })
  }
  const samples = await alternate([...lines.keys()], quick ? 3 : 5, async (subject, round) => {
    const line = lines.get(subject)
    if (!line) throw new Error(`nothing was started for ${subject}`)
    const ports = { through: line.port, direct: line.sinkPort }
    const { through, direct } = await timedSessions(ports, { count, perSecond })
    const base = quantile(direct, 0.5)
    const sample = {
      'added-p50': quantile(through, 0.5) - base,
      'added-p99': quantile(through, 0.99) - base,
      p99: quantile(through, 0.99),
    }
    note(`latency: round ${round}: ${subject}: p99 ${sample.p99.toFixed(2)} ms`)
    return sample
  })
  await stopAll()
  const title = `${count} sessions (greeting, HELO, QUIT), ${perSecond} begun a second; added = beyond the median without it`
  return { name: 'latency', title, samples }
}

/** Full runs before the first that counts. */
const WARM = 2

/** The most that are kept idle; every one is two files to the subject. */
const IDLE = 9_000

/** Sessions that say nothing more after HELO, and what they cost. */
async function keepIdle(chosen: readonly Subject[], { quick, note }: Order): Promise<CaseReport> {
  const count = Math.min(quick ? 1_000 : IDLE, Math.floor(((openFiles() ?? 1024) - 200) / 2))
  const names = chosen.map(({ name }) => name).filter(name => name !== 'direct')
  const samples = await alternate(names, 1, async name => {
    const subject = chosen.find(each => each.name === name)
    if (!subject) throw new Error(`no subject is called ${name}`)
    const { port, subject: program } = await lay(subject)
    if (!program) throw new Error(`${name} is no program`)
    // A few first: what is there for any session is not one session's cost.
    for (const socket of await idleSessions(port, 20)) socket.destroy()
    await wait(500)
    const before = 1024 * memoryOf(program.pid)
    const sockets = await idleSessions(port, count)
    await wait(quick ? 1_000 : 5_000)
    const after = 1024 * memoryOf(program.pid)
    const cut = sockets.filter(({ destroyed }) => destroyed).length
    if (cut > 0) throw new Error(`${name} cut ${cut} of ${count} idle sessions`)
    for (const socket of sockets) socket.destroy()
    note(`idle: ${name}: ${(after / 1e6).toFixed(0)} MB`)
    await stopAll()
    return { 'rss-before': before / 1e6, rss: after / 1e6, 'per-session': (after - before) / count / 1e3 }
  })
  return { name: 'idle', title: `${count.toLocaleString('en-US')} sessions that are idle behind HELO`, samples }
}

function openFiles(): number | undefined {
  const found = /^Max open files\s+(\d+)/m.exec(readFileSync('/proc/self/limits', 'latin1'))
  return found ? Number(found[1]) : undefined
}

/** Connections one after the other, ten at a time: does memory grow with their number? */
async function sendMany(chosen: readonly Subject[], { quick, note }: Order): Promise<CaseReport> {
  const messages = quick ? 4_000 : 20_000
  const traffic = { length: SMALL, sessions: 10, kept: false }
  const names = chosen.map(({ name }) => name).filter(name => name !== 'direct')
  const samples = await alternate(names, 1, async name => {
    const subject = chosen.find(each => each.name === name)
    if (!subject) throw new Error(`no subject is called ${name}`)
    const line = await lay(subject)
    if (!line.subject) throw new Error(`${name} is no program`)
    const half = Math.ceil((messages * line.share) / 2)
    const first = await send(line, traffic, half)
    const middle = 1024 * memoryOf(line.subject.pid)
    await send(line, traffic, half)
    const after = 1024 * memoryOf(line.subject.pid)
    note(`many: ${name}: ${(middle / 1e6).toFixed(0)} MB, then ${(after / 1e6).toFixed(0)} MB`)
    await stopAll()
    return { rate: first.rate ?? 0, 'rss-half': middle / 1e6, rss: after / 1e6 }
  })
  const title = `${messages.toLocaleString('en-US')} connections, ten at a time; memory at half of them, and at the end`
  return { name: 'many', title, samples }
}

/** A subject with a sink of its own behind it, so that what arrives there came through this subject. */
interface Line {
  readonly name: string
  readonly port: number
  readonly sinkPort: number
  /** The part of the messages that it is given. */
  readonly share: number
  readonly subject: Program | undefined
  readonly sink: Program
}

async function lay({ name, start: startSubject, share = 1 }: Subject): Promise<Line> {
  const [listen = 0, sinkPort = 0] = await freePorts(2)
  const { command, env } = peer('smtp-sink')
  const asNobody = process.getuid?.() === 0 ? ['-u', 'nobody'] : []
  const sink = start({
    name: 'smtp-sink',
    command,
    env,
    args: [...asNobody, '-c', '-m', '20000', `127.0.0.1:${sinkPort}`, '1024'],
  })
  await untilListening(sink, sinkPort)
  const subject = await startSubject({ listen, sink: sinkPort })
  if (subject) await untilListening(subject, listen)
  return { name, port: subject ? listen : sinkPort, sinkPort, share, subject, sink }
}

/** One run. Throws unless every message arrived whole: a run that loses mail has no figures. */
async function send(
  { name, port, subject, sink }: Line,
  { length, sessions, kept }: Pick<Traffic, 'length' | 'sessions' | 'kept'>,
  messages: number,
): Promise<Sample> {
  const { command, env } = peer('smtp-source')
  const before = { arrived: arrived(sink), octets: octetsRead(sink.pid), cpu: subject ? cpuSeconds(subject.pid) : 0 }
  const options = ['-s', sessions, '-m', messages, '-l', length, '-f', 'from@source.example', '-t', 'to@sink.example']
  const args = [...(kept ? ['-d'] : []), ...options.map(String), '-M', 'source.example', `127.0.0.1:${port}`]
  const began = performance.now()
  try {
    await finish({ name: 'smtp-source', command, env, args }, { seconds: 300 })
  } catch (cause) {
    const said = subject?.said()
    throw new Error(
      `through ${name}: ${cause instanceof Error ? cause.message : cause}${said ? `\n${name} said:\n${said}` : ''}`,
    )
  }
  const wall = (performance.now() - began) / 1000
  const deadline = performance.now() + 5_000
  while (arrived(sink) - before.arrived < messages && performance.now() < deadline) await wait(20)
  // Sessions are still being closed, which is part of the work.
  await wait(100)
  const count = arrived(sink) - before.arrived
  if (count !== messages) throw new Error(`through ${name}: ${messages} messages sent, ${count} arrived at the sink`)
  const octets = octetsRead(sink.pid)
  if (octets !== undefined && before.octets !== undefined && octets - before.octets < messages * length) {
    throw new Error(
      `through ${name}: ${messages * length} octets sent, only ${octets - before.octets} arrived at the sink`,
    )
  }
  if (!subject) return { rate: messages / wall, wall }
  const cpu = cpuSeconds(subject.pid) - before.cpu
  if (cpu <= 0) throw new Error(`${name} spent less CPU than can be told: ${messages} messages are too few`)
  return { cpu: (cpu / messages) * 10_000, rate: messages / wall, 'cpu-seconds': cpu, wall }
}

/** The sink's own count; it writes `sess=N quit=N mesg=N` anew after each message. */
function arrived(sink: Program): number {
  return Number(/.*mesg=(\d+)\r/s.exec(sink.said())?.[1] ?? 0)
}
