import { mkdtempSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { setTimeout as wait } from 'node:timers/promises'
import { layOutHaraka } from '../../test/interop/peers/haraka.ts'
import { startPostfix } from '../../test/interop/peers/postfix.ts'
import { peer } from '../peers.ts'
import { alternate, type CaseReport, type Metric, type Order, type Report, type Sample } from './harness.ts'
import {
  cpuSeconds,
  finish,
  freePorts,
  type Program,
  start,
  stopAll,
  untilListening,
  workDirectory,
} from './process.ts'
import { arrived, startSink } from './sink.ts'

export const description =
  'a mail server, durable: smtp-source → subject → smtp-sink until the sink has it all, beside Postfix as Debian has it, and Haraka with its queue'

const CHECKOUT = join(import.meta.dirname, '..', '..')

interface Case {
  readonly name: string
  readonly title: string
  readonly sessions: number
  readonly kept: boolean
  readonly to: string
  readonly quick: number
  readonly full: number
}

const RELAYED = 'bob@v4.postern.example'

const CASES: readonly Case[] = [
  {
    name: 'new',
    title: 'relayed, a connection for each',
    sessions: 20,
    kept: false,
    to: RELAYED,
    quick: 1_000,
    full: 5_000,
  },
  {
    name: 'kept',
    title: 'relayed, 20 kept connections',
    sessions: 20,
    kept: true,
    to: RELAYED,
    quick: 2_000,
    full: 10_000,
  },
]

const METRICS: readonly Metric[] = [
  { name: 'rate', unit: 'messages/s', better: 'more' },
  { name: 'taken', unit: 'messages/s acknowledged', better: 'more' },
  { name: 'cpu', unit: 's/10k', better: 'less' },
  { name: 'cpu-seconds', unit: 's' },
]

export const subjects: readonly string[] = ['postern', 'postfix', 'haraka']
export const cases: readonly string[] = CASES.map(({ name }) => name)

/** Haraka gets so much less to do, or a run of it would take longer than all the others. */
const SHARES: Readonly<Record<string, number>> = { haraka: 0.2 }
/** Full runs before the first that counts. Node compiles what it does often, and a server runs longer than a bench. */
const WARM: Readonly<Record<string, number>> = { postern: 2, haraka: 2, postfix: 1 }

interface Line {
  readonly port: number
  readonly sink: Program
  /** Of the subject; all under it counts. */
  readonly pid: number
  readonly version: string
  said(): string
}

export async function run({ quick, subjects: wanted, cases: asked, note }: Order): Promise<Report> {
  const reports: CaseReport[] = []
  const versions = new Set<string>()
  for (const each of CASES.filter(({ name }) => asked.includes(name))) {
    const messages = quick ? each.quick : each.full
    const lines = new Map<string, Line>()
    const share = (name: string, whole = messages): number => Math.ceil(whole * (SHARES[name] ?? 1))
    for (const name of wanted) {
      const line = await (LAY[name] ?? layPostern)()
      lines.set(name, line)
      versions.add(line.version)
      // One by one: a session has a limit of messages, which a longer run over kept ones would meet.
      for (let run = 0; run < (WARM[name] ?? 1); run++) await send(line, each, share(name, each.full))
    }
    const samples = await alternate(wanted, 3, async (subject, round) => {
      const line = lines.get(subject)
      if (!line) throw new Error(`nothing was started for ${subject}`)
      const sample = await send(line, each, share(subject))
      note(`${each.name}: round ${round}: ${subject}: ${sample.rate?.toFixed(0)} messages/s`)
      return sample
    })
    await stopAll()
    reports.push({ name: each.name, title: `4 kB, ${each.title}, ${messages.toLocaleString('en-US')} a run`, samples })
  }
  const [ours = 'postern', ...peers] = wanted
  return { metrics: METRICS, ours: [ours], peers, cases: reports, versions: [...versions] }
}

async function layPostern(): Promise<Line> {
  const [port = 0, sinkPort = 0] = await freePorts(2)
  const folder = mkdtempSync(join(workDirectory(), 'postern-mta-'))
  const file = join(folder, 'mail.conf')
  const lines = [
    'hostname mx.postern.example',
    `listen 127.0.0.1 port ${port}`,
    'relay-from 127.0.0.0 255.0.0.0',
    `connector sink to Sink cost 1 target 127.0.0.1 port ${sinkPort}`,
    'address-space sink smtp v4.postern.example',
  ]
  writeFileSync(file, `${lines.join('\n')}\n`)
  const sink = await startSink(sinkPort)
  const args = ['mta', 'run', file]
  const program = start({ name: 'postern-mta', command: join(CHECKOUT, 'postern'), args })
  await untilListening(program, port)
  return { port, sink, pid: program.pid, version: `Postern on Node ${process.version}`, said: program.said }
}

async function layPostfix(): Promise<Line> {
  const [port = 0, sinkPort = 0] = await freePorts(2)
  const sink = await startSink(sinkPort)
  const { said, pid, version } = await startPostfix({ port, postern: sinkPort })
  return { port, sink, pid, version, said }
}

/** Takes mail for anybody into its own queue, and sends all of it to the sink. */
async function layHaraka(): Promise<Line> {
  const [port = 0, sinkPort = 0] = await freePorts(2)
  const sink = await startSink(sinkPort)
  const plugin = `
exports.hook_rcpt = (next, connection) => {
  connection.relaying = true
  next(OK)
}
exports.hook_get_mx = next => next(OK, { priority: 0, exchange: '127.0.0.1', port: ${sinkPort} })
`
  const { version, program } = layOutHaraka({
    'config/smtp.ini': `listen=127.0.0.1:${port}\n`,
    'config/plugins': 'sink\n',
    'config/outbound.ini': 'local_mx_ok=true\n',
    'config/me': 'haraka.example\n',
    'config/loglevel': 'LOGERROR\n',
    'plugins/sink.js': plugin,
  })
  await untilListening(program, port)
  return { port, sink, pid: program.pid, version, said: program.said }
}

const LAY: Readonly<Record<string, () => Promise<Line>>> = {
  postern: layPostern,
  postfix: layPostfix,
  haraka: layHaraka,
}

/** One run. Throws unless every message arrived. */
async function send({ port, sink, pid, said }: Line, { sessions, kept, to }: Case, messages: number): Promise<Sample> {
  const { command, env } = peer('smtp-source')
  const before = arrived(sink)
  const options = ['-s', sessions, '-m', messages, '-l', 3_800, '-f', 'from@source.example', '-t', to]
  const args = [...(kept ? ['-d'] : []), ...options.map(String), '-M', 'source.example', `127.0.0.1:${port}`]
  const spent = cpuSeconds(pid)
  const began = performance.now()
  await finish({ name: 'smtp-source', command, env, args }, { seconds: 120 })
  const taken = (performance.now() - began) / 1_000
  const deadline = performance.now() + 120_000
  while (arrived(sink) - before < messages && performance.now() < deadline) await wait(20)
  const wall = (performance.now() - began) / 1_000
  if (arrived(sink) - before !== messages) {
    throw new Error(`${messages} messages sent, ${arrived(sink) - before} arrived at the sink\n${said()}`)
  }
  const cpu = cpuSeconds(pid) - spent
  return { rate: messages / wall, taken: messages / taken, cpu: (10_000 * cpu) / messages, 'cpu-seconds': cpu }
}
