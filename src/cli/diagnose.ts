import { spawn } from 'node:child_process'
import { writeFileSync } from 'node:fs'
import { isIP } from 'node:net'
import { hostname } from 'node:os'
import type { Command } from 'commander'
import { type Asked, diagnoseAll, diagnoseFar, type Found } from '../app/diagnosis.ts'
import { compareFiles, diagnoseFile } from '../app/evidence.ts'
import { foresee, foreseeWay } from '../app/foresight.ts'
import { connector, PATIENCE } from '../app/prober.ts'
import { entriesOf, labAround, nodeVantage, parseEndpoint, type Vantage } from '../app/vantages.ts'
import { PosternError } from '../base/problem.ts'
import { formatDuration, parseDuration } from '../base/time.ts'
import type { Diagnosis } from '../diagnosis/diagnosis.ts'
import { type FarRecord, readFarRecord } from '../diagnosis/far-side.ts'
import type { Letter } from '../diagnosis/probe.ts'
import { checkLine, headline, reportHtml, reportJson, reportText } from '../diagnosis/report.ts'
import { now, timestamp } from '../io/clock.ts'
import { readBytes } from '../io/files.ts'
import { PathMetrics } from '../io/metrics.ts'
import { sayEndpoint } from '../io/sockets.ts'
import { complain, explainFailure, print } from './print.ts'
import { until } from './signals.ts'

/** 0 clean, 1 altered, 2 it could not be told, 3 asked wrongly: as a check of Nagios counts. */
export const STATUS = { clean: 0, altered: 1, unclear: 2, misuse: 3 } as const

interface Options {
  readonly json?: boolean
  readonly html?: string
  readonly check?: boolean
  readonly far?: string | true
  readonly read?: string
  readonly port?: readonly string[]
  readonly compare?: readonly string[]
  readonly config?: string
  readonly topology?: string
  readonly control?: string
  readonly from?: readonly string[]
  readonly source?: readonly string[]
  readonly hello?: string
  readonly patience: string
  readonly whole?: boolean
  readonly save?: string
  readonly envelope?: string
  readonly deliver?: string
  readonly watch?: string
  readonly metrics?: string
  readonly onChange?: string
}

/** `postern diagnose …`: which box altered my mail, and the line that cures it. */
export function diagnoseCommand(program: Command): void {
  program
    .command('diagnose')
    .description('say whether a box on the way alters mail, which one, where, and the line that cures it')
    .argument('[host]', 'the server: mx.example.com, 192.0.2.1:25, [2001:db8::1]; in a laboratory all of its entries')
    .option('--json', 'for programs; docs/diagnosis.md describes it')
    .option('--html <file>', 'also write one page to send to the other side')
    .option('--check', 'one line for Nagios; the status counts as its own')
    .option(
      '--far [file]',
      'the host is a postern listen: compare both ends; with its record, if it cannot tell by itself',
    )
    .option('--read <file>', 'no visit: a capture, a transcript, a log, or what --save kept')
    .option('--port <port>', 'for --read: SMTP is spoken at this port as well; may be repeated', collect)
    .option('--config <file>', 'no visit: what this text of a PIX, an ASA or of ours will do to mail')
    .option('--topology <file>', 'for --config: on the way from --from to the host, in this lab.conf')
    .option('--compare <file...>', 'no visit: two files, before and after, or here and there')
    .option('--control <host>', 'ask this server, too: what both show is near us')
    .option('--from <node>', 'in a laboratory: from this node or entry; may be repeated', collect)
    .option('--source <address>', 'from this address of ours; may be repeated', collect)
    .option('--hello <name>', 'what to call ourselves in EHLO and HELO')
    .option('--patience <duration>', 'how long an answer may take', formatDuration(PATIENCE))
    .option('--whole', 'leave out the connection that is typed octet by octet')
    .option('--envelope <addresses>', 'also try MAIL and RCPT with these two of your own, FROM,TO, and take them back')
    .option('--deliver <addresses>', 'also send a message, FROM,TO: only to an address of your own')
    .option('--watch <duration>', 'visit again and again, and tell when the answer changes')
    .option('--metrics <endpoint>', 'for --watch: answer Prometheus there, such as 127.0.0.1:9925')
    .option('--on-change <command>', 'for --watch: run this, with POSTERN_OUTCOME and POSTERN_HEADLINE')
    .option('--save <file>', 'keep what was heard, to compare later')
    .action(async (host: string | undefined, options: Options) => {
      process.exitCode = await misuseAs3(() => run(host, options))
    })
}

function collect(value: string, known: readonly string[] = []): readonly string[] {
  return [...known, value]
}

/** A status of its own for what was asked wrongly: 2 means here that it could not be told. */
async function misuseAs3(run: () => Promise<number>): Promise<number> {
  try {
    return await run()
  } catch (cause) {
    complain(explainFailure(cause))
    return STATUS.misuse
  }
}

async function run(host: string | undefined, options: Options): Promise<number> {
  const began = now()
  if (options.watch === undefined && (options.metrics !== undefined || options.onChange !== undefined)) {
    throw misuse('--metrics and --on-change are for --watch')
  }
  if (options.read !== undefined) {
    const ports = (options.port ?? []).map(Number)
    if (ports.some(port => !(port >= 1 && port <= 65_535))) throw misuse('a port is a number from 1 to 65535')
    return tell(diagnoseFile(options.read, ports), options, now() - began)
  }
  if (options.config !== undefined) return tell(foreseen(options.config, host, options), options, now() - began)
  if (options.compare !== undefined) {
    const [before, after, ...more] = options.compare
    if (before === undefined || after === undefined || more.length > 0) throw misuse('--compare takes two files')
    return compare(before, after, options, began)
  }
  return live(host, options)
}

function foreseen(file: string, host: string | undefined, { topology, from = [] }: Options): readonly Found[] {
  if (topology === undefined) return foresee(file)
  const [node, ...more] = from
  if (host === undefined || node === undefined || more.length > 0) {
    throw misuse(
      '--topology needs where from and where to: postern diagnose 10.54.7.10 --from mail-a --config FILE --topology lab.conf',
    )
  }
  return foreseeWay(file, topology, node, parseEndpoint(host))
}

function compare(before: string, after: string, options: Options, began: number): number {
  const { found, changes } = compareFiles(before, after)
  if (options.json) {
    const diagnoses = found.map(({ diagnosis, observations }) => ({ ...reportJson(diagnosis), observations }))
    print(JSON.stringify({ schema: 1, changes, diagnoses }, undefined, 2))
    return STATUS[found[1]?.diagnosis.outcome ?? 'unclear']
  }
  for (const [i, { diagnosis }] of found.entries()) print(`${i === 0 ? before : after}: ${headline(diagnosis)}`)
  print(
    changes.length === 0
      ? '\nBoth heard the same.'
      : `\nWhat is other:\n${changes.map(each => `   ${each}`).join('\n')}`,
  )
  const [, last] = found
  if (!last) return STATUS.unclear
  print()
  return tell([last], options, now() - began)
}

async function live(host: string | undefined, options: Options): Promise<number> {
  const began = now()
  const asked = await askedOf(host, options)
  const [vantage] = asked.vantages
  if (options.far !== undefined && vantage) {
    if (options.watch !== undefined) throw misuse('--far is one visit: it goes without --watch')
    if (asked.vantages.length > 1) throw misuse('--far compares both ends of one way: from one address, or one node')
    const { far } = options
    const told = far === true ? undefined : () => readRecords(far, options.whole ? 1 : 2)
    return tell([await diagnoseFar(vantage, asked, told)], options, now() - began)
  }
  if (options.watch !== undefined) {
    const every = parseDuration(options.watch)
    if (every === undefined || every < MIN_WATCH)
      throw misuse(`--watch takes a duration of ${formatDuration(MIN_WATCH)} or more`)
    return watch(asked, every, options)
  }
  const found = await diagnoseAll(asked)
  return tell(found, options, now() - began)
}

/** Nobody's server is to be visited more often. */
const MIN_WATCH = 10_000

/** Until a signal: a line whenever the answer is another one; the status is that of the last. */
async function watch(asked: Asked, every: number, { metrics: at, onChange, json }: Options): Promise<number> {
  const metrics = new PathMetrics()
  const server = at === undefined ? undefined : await metrics.listen(parseEndpoint(at))
  const interrupted = until('SIGINT', 'SIGTERM', 'SIGHUP').then(() => 'interrupted' as const)
  const before = new Map<string, string>()
  let status: number = STATUS.unclear
  for (;;) {
    for (const { diagnosis } of await diagnoseAll(asked)) {
      const { target, outcome, alterations } = diagnosis
      const said = headline(diagnosis)
      const was = before.get(target)
      before.set(target, said)
      status = STATUS[outcome]
      metrics.visited(target, status, alterations.length, was !== undefined && was !== said)
      if (was === said) continue
      print(json ? JSON.stringify({ date: timestamp(), ...reportJson(diagnosis) }) : `${timestamp()} ${said}`)
      if (was !== undefined && onChange !== undefined) alarm(onChange, outcome, said)
    }
    const pause = new Promise<'next'>(resolve => setTimeout(() => resolve('next'), every).unref())
    if ((await Promise.race([interrupted, pause])) === 'interrupted') break
  }
  await server?.close()
  return status
}

function alarm(command: string, outcome: string, said: string): void {
  const env = { ...process.env, POSTERN_OUTCOME: outcome, POSTERN_HEADLINE: said }
  const child = spawn(command, { shell: true, stdio: ['ignore', 'inherit', 'inherit'], env })
  child.on('error', cause => complain(`cannot run ${command}: ${cause.message}`))
}

function letterOf({ envelope, deliver }: Options): Letter | undefined {
  const addresses = deliver ?? envelope
  if (addresses === undefined) return undefined
  const [from, to, ...more] = addresses.split(',').map(each => each.trim())
  const isPath = (each: string) => /^[^\s<>\r\n]+@[^\s<>\r\n]+$/.test(each)
  if (from === undefined || to === undefined || more.length > 0 || !isPath(to) || (from !== '' && !isPath(from))) {
    throw misuse(`"${addresses}" are no two addresses: expected me@here.example,me@there.example`)
  }
  return { from, to, deliver: deliver !== undefined }
}

/** The last connections of a listener's record, as many as a visit makes. */
function readRecords(file: string, connections: number): readonly FarRecord[] {
  const lines = readBytes(file).toString('utf8').trimEnd().split('\n')
  const first = Math.max(0, lines.length - connections)
  return lines.slice(first).map((line, i) => {
    const record = readFarRecord(parseJson(line))
    if (!record) throw misuse(`${file}:${first + i + 1}: no record of postern listen --record`)
    return record
  })
}

export function parseJson(text: string): unknown {
  try {
    return JSON.parse(text) as unknown
  } catch {
    return undefined
  }
}

async function askedOf(host: string | undefined, options: Options): Promise<Asked> {
  const patience = parseDuration(options.patience)
  if (patience === undefined || patience <= 0)
    throw misuse(`"${options.patience}" is not a duration: expected one such as 20s`)
  const around = labAround(process.env)
  const { from = [], source = [] } = options
  const wrong = source.find(each => isIP(each) === 0)
  if (wrong !== undefined) throw misuse(`--source takes an address of ours, which "${wrong}" is not`)
  if (from.length > 0 && !around)
    throw misuse('--from is for a laboratory: postern lab exec LAB -- postern diagnose --from NODE')
  const vantages: Vantage[] = []
  if (around && (host === undefined || around.files.config.entries.some(({ name }) => name === host))) {
    vantages.push(...entriesOf(around, process.env, host === undefined ? from : [host, ...from]))
    if (vantages.length === 0) {
      const known = around.files.config.entries.map(({ name }) => name).join(', ')
      throw misuse(`no entry of this laboratory is called so (known: ${known}); a node needs a host to call`)
    }
  } else if (host === undefined) throw misuse('a host is missing: postern diagnose mx.example.com')
  else if (around && from.length > 0) {
    for (const node of from) vantages.push(await nodeVantage(around, node, parseEndpoint(host)))
  } else {
    const to = parseEndpoint(host)
    for (const address of source.length > 0 ? source : [undefined]) {
      vantages.push({ name: address ?? 'here', target: sayEndpoint(to), connect: connector(to, address) })
    }
  }
  const control = options.control === undefined ? undefined : parseEndpoint(options.control)
  const hello = options.hello ?? ownName()
  const letter = letterOf(options)
  return {
    vantages,
    patience,
    ...(hello !== undefined && { hello }),
    ...(options.whole && { whole: true }),
    ...(letter && { letter }),
    ...(control && { control: { name: 'control', target: sayEndpoint(control), connect: connector(control) } }),
    ...(around && { firewalls: around.files.firewalls }),
  }
}

function ownName(): string | undefined {
  return /^[A-Za-z0-9-]+(\.[A-Za-z0-9-]+)+$/.test(hostname()) ? hostname() : undefined
}

/** Says what was found, in the form that was asked for; the status is the worst of all. */
export function tell(
  found: readonly Found[],
  options: Pick<Options, 'json' | 'html' | 'check' | 'save'>,
  took: number,
): number {
  const diagnoses = found.map(({ diagnosis }) => diagnosis)
  const worst = diagnoses.toSorted((a, b) => WORST.indexOf(a.outcome) - WORST.indexOf(b.outcome))[0]
  if (!worst) throw misuse('there is nothing to diagnose')
  if (options.save !== undefined) {
    const observations = found.flatMap(each => each.observations)
    write(options.save, `${JSON.stringify({ schema: 1, observations }, undefined, 2)}\n`)
  }
  if (options.html !== undefined) write(options.html, reportHtml(worst, { date: timestamp() }))
  if (options.json) {
    const all = found.map(({ diagnosis, observations }) => ({ ...reportJson(diagnosis), observations }))
    print(
      JSON.stringify(all.length === 1 ? all[0] : { schema: 1, outcome: worst.outcome, diagnoses: all }, undefined, 2),
    )
  } else if (options.check) print(checkLine(worst, took))
  else print(diagnoses.map(reportText).join('\n\n'))
  return STATUS[worst.outcome]
}

const WORST: readonly Diagnosis['outcome'][] = ['altered', 'unclear', 'clean']

function write(path: string, text: string): void {
  try {
    writeFileSync(path, text)
  } catch (cause) {
    throw misuse(`cannot write ${path}: ${(cause as Error).message}`)
  }
}

export function misuse(message: string): PosternError {
  return new PosternError('POSTERN_MISUSE', message, { side: 'us', retry: 'never' })
}
