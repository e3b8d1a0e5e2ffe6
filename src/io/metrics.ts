/** Metrics as Prometheus reads them, and whether we are well, over HTTP on loopback. */
import http from 'node:http'
import { Counter, collectDefaultMetrics, Gauge, Histogram, Registry } from 'prom-client'
import { PosternError } from '../base/problem.ts'
import type { Duration } from '../base/time.ts'
import type { Endpoint } from './sockets.ts'

/** What is counted up. Labels come from closed sets: a peer must not make new ones. */
export interface CounterSpec {
  readonly help: string
  readonly labels: readonly string[]
}

/** What is asked for when somebody looks; with a label, a value for each of its words. */
export interface GaugeSpec {
  readonly help: string
  readonly label?: string
  readonly read: () => number | ReadonlyMap<string, number>
}

/** What is observed, in seconds, sorted into buckets. */
export interface HistogramSpec extends CounterSpec {
  readonly buckets: readonly number[]
}

export interface MetricSpecs<Counter extends string, Histogram extends string> {
  readonly counters: Readonly<Record<Counter, CounterSpec>>
  readonly gauges: Readonly<Record<string, GaugeSpec>>
  readonly histograms?: Readonly<Record<Histogram, HistogramSpec>>
}

/** Nothing when all is well, or why not, in words. */
export type Health = () => string | undefined | Promise<string | undefined>

/** Something that may be said, and takes no time. */
export type Remark = () => string | undefined

/** How often these words stood behind the first labels, and by the word of the next label the rest. */
interface Tally {
  labels: Readonly<Record<string, string>>
  value: number
  readonly by: Map<string, Tally>
}

function tally(): Tally {
  return { labels: {}, value: 0, by: new Map() }
}

function* talliesIn(tally: Tally): Generator<Tally, void, undefined> {
  if (tally.value > 0) yield tally
  for (const each of tally.by.values()) yield* talliesIn(each)
}

function under({ by }: Tally, word: string): Tally {
  const known = by.get(word)
  if (known) return known
  const made = tally()
  by.set(word, made)
  return made
}

/** A request that is not done by then is cut. */
const REQUEST_WAIT: Duration = 10_000
/** A disk that does not answer by then is not well. */
const HEALTH_WAIT: Duration = 5_000
const MAX_ASKERS = 16

export class Metrics<Name extends string, Timed extends string = never> {
  readonly #registry = new Registry()
  /** Counted here and handed over when somebody looks: every connection counts, and nobody may ever look. */
  readonly #counts = new Map<Name, Tally>()
  readonly #histograms = new Map<string, Histogram<string>>()
  #hasDefaults = false

  constructor({ counters, gauges, histograms }: MetricSpecs<Name, Timed>) {
    const registers = [this.#registry]
    for (const [name, { help, labels }] of Object.entries<CounterSpec>(counters)) {
      const counts = tally()
      this.#counts.set(name as Name, counts)
      const counter: Counter<string> = new Counter({
        name,
        help,
        labelNames: [...labels],
        registers,
        collect: () => {
          counter.reset()
          for (const { labels, value } of talliesIn(counts)) counter.inc(labels, value)
        },
      })
    }
    for (const [name, { help, label, read }] of Object.entries(gauges)) {
      const made: Gauge<string> = new Gauge({
        name,
        help,
        labelNames: label === undefined ? [] : [label],
        registers,
        collect: () => {
          const found = read()
          if (typeof found === 'number') return made.set(found)
          made.reset()
          for (const [word, value] of found) made.set({ [label ?? '']: word }, value)
        },
      })
    }
    for (const [name, { help, labels, buckets }] of Object.entries<HistogramSpec>(histograms ?? {})) {
      const made = new Histogram({ name, help, labelNames: [...labels], buckets: [...buckets], registers })
      this.#histograms.set(name, made)
    }
  }

  /** Node's own figures, from when somebody may look: they take a timer of 10 ms and a hook on every collection. */
  #collectDefaults(): void {
    if (this.#hasDefaults) return
    this.#hasDefaults = true
    collectDefaultMetrics({ register: this.#registry })
  }

  count(name: Name, labels: Readonly<Record<string, string>> = {}, by = 1): void {
    let count = this.#counts.get(name)
    for (const label in labels) count = count && under(count, labels[label] ?? '')
    if (!count) return
    if (count.value === 0) count.labels = labels
    count.value += by
  }

  observe(name: Timed, labels: Readonly<Record<string, string>>, seconds: number): void {
    this.#histograms.get(name)?.observe(labels, seconds)
  }

  text(): Promise<string> {
    this.#collectDefaults()
    return this.#registry.metrics()
  }

  /** Answers there until it is closed. `health`: what `/healthz` answers; `also`: what it says besides where all is well. */
  listen(host: string, port: number, health: Health, also?: Remark): Promise<{ close(): Promise<void> }> {
    this.#collectDefaults()
    return serve(this.#registry, { host, port }, health, also)
  }
}

/** What the last visits of `postern diagnose --watch` found. */
export class PathMetrics {
  readonly #registry = new Registry()
  readonly #outcome: Gauge<string>
  readonly #alterations: Gauge<string>
  readonly #visits: Counter<string>
  readonly #changes: Counter<string>

  constructor() {
    const registers = [this.#registry]
    const labelNames = ['target']
    const help = 'What the last visit found: 0 clean, 1 altered, 2 it could not be told'
    this.#outcome = new Gauge({ name: 'postern_path_outcome', help, labelNames, registers })
    this.#alterations = new Gauge({
      name: 'postern_path_alterations',
      help: 'Alterations found',
      labelNames,
      registers,
    })
    this.#visits = new Counter({ name: 'postern_path_visits_total', help: 'Visits made', labelNames, registers })
    this.#changes = new Counter({
      name: 'postern_path_changes_total',
      help: 'Outcomes that were another than the one before',
      labelNames,
      registers,
    })
  }

  visited(target: string, outcome: number, alterations: number, isChange: boolean): void {
    this.#outcome.set({ target }, outcome)
    this.#alterations.set({ target }, alterations)
    this.#visits.inc({ target })
    this.#changes.inc({ target }, isChange ? 1 : 0)
  }

  listen(at: Endpoint): Promise<{ close(): Promise<void> }> {
    return serve(this.#registry, at, () => undefined)
  }
}

async function serve(
  registry: Registry,
  { host, port }: Endpoint,
  health: Health,
  also: Remark = () => undefined,
): Promise<{ close(): Promise<void> }> {
  const server = http.createServer((request, response) => {
    // A web page must not get here by a name of its own: whoever means loopback says so.
    if (!isLocalName(request.headers.host)) return void response.writeHead(421).end()
    if (request.method !== 'GET') return void response.writeHead(405, { allow: 'GET' }).end()
    if (request.url === '/healthz') {
      void asked(health).then(wrong =>
        response
          .writeHead(wrong === undefined ? 200 : 503, { 'content-type': 'text/plain; charset=utf-8' })
          .end(`${wrong ?? ['ok', also()].filter(Boolean).join(': ')}\n`),
      )
    } else if (request.url === '/metrics') {
      registry.metrics().then(
        text => response.writeHead(200, { 'content-type': registry.contentType }).end(text),
        () => response.writeHead(500).end(),
      )
    } else response.writeHead(404).end()
  })
  server.maxConnections = MAX_ASKERS
  server.requestTimeout = REQUEST_WAIT
  server.headersTimeout = REQUEST_WAIT
  await new Promise<void>((resolve, reject) => {
    server.once('error', (cause: NodeJS.ErrnoException) => {
      const why = cause.code === 'EADDRINUSE' ? 'the port is in use' : cause.message
      const said = `cannot answer for metrics at ${host}:${port}: ${why}`
      reject(new PosternError('POSTERN_CANNOT_LISTEN', said, { side: 'us', retry: 'never', cause }))
    })
    server.listen({ host, port }, resolve)
  })
  server.on('error', () => {})
  return {
    close() {
      const closed = new Promise<void>(resolve => server.close(() => resolve()))
      server.closeAllConnections()
      return closed
    },
  }
}

/** What is wrong; what does not answer in time is wrong, too. */
async function asked(health: Health): Promise<string | undefined> {
  let timer: NodeJS.Timeout | undefined
  const late = new Promise<string>(resolve => {
    timer = setTimeout(() => resolve('no answer in time'), HEALTH_WAIT)
  })
  const answer = Promise.resolve()
    .then(health)
    .catch(cause => String((cause as Error).message ?? cause))
  return Promise.race([answer, late]).finally(() => clearTimeout(timer))
}

function isLocalName(host: string | undefined): boolean {
  return host !== undefined && /^(?:127\.\d{1,3}\.\d{1,3}\.\d{1,3}|localhost|\[::1\])(?::\d{1,5})?$/.test(host)
}
