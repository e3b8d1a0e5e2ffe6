import { mkdtempSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { setTimeout as wait } from 'node:timers/promises'
import { peer } from '../peers.ts'
import { alternate, type CaseReport, type Metric, type Order, type Report, type Sample } from './harness.ts'
import {
  cpuSeconds,
  finish,
  freePorts,
  octetsRead,
  type Program,
  start,
  stopAll,
  untilListening,
  workDirectory,
} from './process.ts'

export const description =
  'mail through a firewall: smtp-source → subject → smtp-sink, against nginx, HAProxy and plain Node'

const CHECKOUT = join(import.meta.dirname, '..', '..')

interface Case {
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

const CASES: readonly Case[] = [
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

const METRICS: readonly Metric[] = [
  { name: 'cpu', unit: 's/10k', better: 'less' },
  { name: 'rate', unit: 'msg/s', better: 'more' },
  { name: 'cpu-seconds', unit: 's' },
  { name: 'wall', unit: 's' },
]

interface Ports {
  readonly listen: number
  readonly sink: number
}

interface Subject {
  readonly name: string
  readonly version: () => string
  /** Starts what is measured, and whatever it needs besides. `undefined`: nothing stands in the way. */
  readonly start: (ports: Ports) => Promise<Program | undefined>
}

const SUBJECTS: readonly Subject[] = [
  { name: 'postern-pix', version: () => `postern on Node ${process.version}`, start: startPostern },
  { name: 'strict', version: () => `postern on Node ${process.version}`, start: startStrict },
  { name: 'node-pass', version: () => `Node ${process.version}`, start: startNodePass },
  { name: 'nginx', version: () => peer('nginx').version, start: startNginx },
  { name: 'haproxy', version: () => peer('haproxy').version, start: startHaproxy },
  // For orientation: how fast source and sink are without anything between them. It costs nothing, so it has no ratio.
  { name: 'direct', version: () => peer('smtp-source').version, start: async () => undefined },
]

export const subjects: readonly string[] = SUBJECTS.map(({ name }) => name)
export const cases: readonly string[] = CASES.map(({ name }) => name)

export async function run(order: Order): Promise<Report> {
  const chosen = SUBJECTS.filter(({ name }) => order.subjects.includes(name))
  const compared = chosen.map(({ name }) => name).filter(name => name !== 'direct')
  const versions = [...chosen.map(({ version }) => version()), peer('smtp-source').version]
  const reports: CaseReport[] = []
  for (const each of CASES.filter(({ name }) => order.cases.includes(name))) {
    reports.push(await runCase(each, chosen, order))
  }
  const [ours = 'direct', ...peers] = compared
  return {
    metrics: METRICS,
    ours,
    peers,
    cases: reports,
    versions: [...new Set(versions)],
  }
}

async function runCase(each: Case, chosen: readonly Subject[], { quick, note }: Order): Promise<CaseReport> {
  const messages = quick ? each.quick : each.full
  const rounds = quick ? 3 : 5
  const lines = new Map<string, Line>()
  for (const subject of chosen) {
    note(`${each.name}: starting ${subject.name}`)
    const line = await lay(subject)
    lines.set(subject.name, line)
    // Once unmeasured: code gets compiled, buffers get their size.
    await send(line, each, Math.ceil(messages / 2))
  }
  const samples = await alternate([...lines.keys()], rounds, async (subject, round) => {
    const line = lines.get(subject)
    if (!line) throw new Error(`nothing was started for ${subject}`)
    const sample = await send(line, each, messages)
    const cpu = sample['cpu-seconds'] === undefined ? '' : `, ${sample['cpu-seconds'].toFixed(2)} s of CPU`
    note(`${each.name}: round ${round}/${rounds}: ${subject}: ${sample.wall?.toFixed(2)} s${cpu}`)
    return sample
  })
  await stopAll()
  return { name: each.name, title: `${each.title}, ${messages.toLocaleString('en-US')} a run`, samples }
}

/** A subject with a sink of its own behind it, so that what arrives there came through this subject. */
interface Line {
  readonly name: string
  readonly port: number
  readonly subject: Program | undefined
  readonly sink: Program
}

async function lay({ name, start: startSubject }: Subject): Promise<Line> {
  const [listen = 0, sinkPort = 0] = await freePorts(2)
  const ports = { listen, sink: sinkPort }
  const { command, env } = peer('smtp-sink')
  const asNobody = process.getuid?.() === 0 ? ['-u', 'nobody'] : []
  const sink = start({ name: 'smtp-sink', command, env, args: [...asNobody, '-c', `127.0.0.1:${ports.sink}`, '256'] })
  await untilListening(sink, ports.sink)
  const subject = await startSubject(ports)
  if (subject) await untilListening(subject, ports.listen)
  return { name, port: subject ? ports.listen : ports.sink, subject, sink }
}

/** One run. Throws unless every message arrived whole: a run that loses mail has no figures. */
async function send(
  { name, port, subject, sink }: Line,
  { length, sessions, kept }: Case,
  messages: number,
): Promise<Sample> {
  const { command, env } = peer('smtp-source')
  const before = { arrived: arrived(sink), octets: octetsRead(sink.pid), cpu: subject ? cpuSeconds(subject.pid) : 0 }
  const options = ['-s', sessions, '-m', messages, '-l', length, '-f', 'from@source.example', '-t', 'to@sink.example']
  const args = [...(kept ? ['-d'] : []), ...options.map(String), '-M', 'source.example', `127.0.0.1:${port}`]
  const began = performance.now()
  try {
    await finish({ name: 'smtp-source', command, env, args }, { seconds: 120 })
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

async function startPostern({ listen, sink }: Ports): Promise<Program> {
  const file = configuration('postern-pix', [
    'nameif ethernet0 outside security0',
    'nameif ethernet1 inside security100',
    'ip address outside 127.0.0.1 255.0.0.0',
    'ip address inside 127.0.0.1 255.0.0.0',
    `fixup protocol smtp ${listen}`,
    `access-list mail permit tcp any host 127.0.0.1 eq ${listen}`,
    `static (inside,outside) tcp 127.0.0.1 ${listen} 127.0.0.1 ${sink} netmask 255.255.255.255`,
    'access-group mail in interface outside',
  ])
  return start({ name: 'postern-pix', command: join(CHECKOUT, 'postern'), args: ['firewall', 'run', '--quiet', file] })
}

function startNodePass(ports: Ports): Promise<Program> {
  return startNode('node-pass', ports)
}

function startStrict(ports: Ports): Promise<Program> {
  return startNode('strict-pass', ports)
}

async function startNode(name: string, { listen, sink }: Ports): Promise<Program> {
  const file = join(import.meta.dirname, `${name}.ts`)
  const args = ['--disable-warning=ExperimentalWarning', file, String(listen), String(sink)]
  return start({ name, command: process.execPath, args })
}

async function startNginx({ listen, sink }: Ports): Promise<Program> {
  const { root } = peer('nginx')
  // nginx asks over HTTP for each session where to send it. Another nginx answers, outside of what is measured.
  const [auth = 0] = await freePorts(1)
  const answering = startNginxWith('nginx-auth', [
    'http {',
    '  access_log off;',
    ...['client_body', 'proxy', 'fastcgi', 'uwsgi', 'scgi'].map(each => `  ${each}_temp_path ${each};`),
    `  server { listen 127.0.0.1:${auth}; location / {`,
    `    add_header Auth-Status OK; add_header Auth-Server 127.0.0.1; add_header Auth-Port ${sink}; return 204;`,
    '  } }',
    '}',
  ])
  await untilListening(answering, auth)
  return startNginxWith(
    'nginx',
    [
      'mail {',
      '  server_name nginx.example;',
      `  auth_http 127.0.0.1:${auth}/;`,
      '  proxy on; xclient off; smtp_auth none;',
      `  server { listen 127.0.0.1:${listen}; protocol smtp; }`,
      '}',
    ],
    `load_module ${join(root, 'usr/lib/nginx/modules/ngx_mail_module.so')};`,
  )
}

function startNginxWith(name: string, body: readonly string[], ...head: readonly string[]): Program {
  const { command, env } = peer('nginx')
  const prefix = mkdtempSync(join(workDirectory(), `${name}-`))
  const user = process.getuid?.() === 0 ? ['user nobody nogroup;'] : []
  const common = [
    'daemon off;',
    'worker_processes 1;',
    'pid nginx.pid;',
    'error_log stderr;',
    'events { worker_connections 1024; }',
  ]
  const file = configuration(name, [...head, ...user, ...common, ...body])
  return start({ name, command, env, args: ['-p', prefix, '-e', 'stderr', '-c', file] })
}

async function startHaproxy({ listen, sink }: Ports): Promise<Program> {
  const { command, env } = peer('haproxy')
  const file = configuration('haproxy', [
    'global',
    '  nbthread 1',
    '  maxconn 1000',
    'defaults',
    '  mode tcp',
    '  timeout connect 5s',
    '  timeout client 60s',
    '  timeout server 60s',
    'listen mail',
    `  bind 127.0.0.1:${listen}`,
    `  server sink 127.0.0.1:${sink}`,
  ])
  return start({ name: 'haproxy', command, env, args: ['-db', '-f', file] })
}

function configuration(name: string, lines: readonly string[]): string {
  const file = join(mkdtempSync(join(workDirectory(), `${name}-`)), 'conf')
  writeFileSync(file, `${lines.join('\n')}\n`)
  return file
}
