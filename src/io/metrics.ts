/** Metrics as Prometheus reads them, and whether we are well, over HTTP on loopback. */
import http from 'node:http'
import { Counter, collectDefaultMetrics, Gauge, Registry } from 'prom-client'
import { PosternError } from '../base/problem.ts'
import type { Duration } from '../base/time.ts'
import type { Endpoint } from './sockets.ts'

/** What is counted up. Labels come from closed sets: a peer must not make new ones. */
export const COUNTERS = {
  postern_connections_total: { help: 'Connections let through', labels: ['from', 'to'] },
  postern_refused_total: { help: 'Connections not let through', labels: ['why'] },
  postern_altered_total: { help: 'Alterations', labels: ['what', 'subject'] },
  postern_octets_total: { help: 'Octets of ended connections, both ways', labels: [] },
} as const

export type CounterName = keyof typeof COUNTERS

/** What is asked for when somebody looks. */
export interface Gauges {
  readonly connections: number
  readonly doors: number
  /** Log lines that were dropped. */
  readonly logLost: number
  /** Server → is it up? */
  readonly servers: ReadonlyMap<string, boolean>
}

interface Count {
  readonly labels: Readonly<Record<string, string>>
  value: number
}

/** A request that is not done by then is cut. */
const REQUEST_WAIT: Duration = 10_000
const MAX_ASKERS = 16

export class Metrics {
  readonly #registry = new Registry()
  /** Counted here and handed over when somebody looks: every connection counts, and nobody may ever look. */
  readonly #counts = new Map<CounterName, Map<string, Count>>()

  constructor(gauges: () => Gauges) {
    const registers = [this.#registry]
    for (const [name, { help, labels }] of Object.entries(COUNTERS)) {
      const counts = new Map<string, Count>()
      this.#counts.set(name as CounterName, counts)
      const counter: Counter<string> = new Counter({
        name,
        help,
        labelNames: [...labels],
        registers,
        collect: () => {
          counter.reset()
          for (const { labels, value } of counts.values()) counter.inc(labels, value)
        },
      })
    }
    gauge(registers, 'postern_connections', 'Connections that pass', () => gauges().connections)
    gauge(registers, 'postern_doors', 'Places listened at', () => gauges().doors)
    gauge(registers, 'postern_log_lost', 'Log lines that nobody took in time', () => gauges().logLost)
    const up: Gauge<string> = new Gauge({
      name: 'postern_server_up',
      help: 'Whether a probed server is up',
      labelNames: ['server'],
      registers,
      collect: () => {
        up.reset()
        for (const [server, isUp] of gauges().servers) up.set({ server }, isUp ? 1 : 0)
      },
    })
    collectDefaultMetrics({ register: this.#registry })
  }

  count(name: CounterName, labels: Readonly<Record<string, string>> = {}, by = 1): void {
    const counts = this.#counts.get(name)
    let key = ''
    for (const label in labels) key += `${labels[label]}\n`
    const count = counts?.get(key)
    if (count) count.value += by
    else counts?.set(key, { labels, value: by })
  }

  text(): Promise<string> {
    return this.#registry.metrics()
  }

  /** Answers there until it is closed. `isWell`: what `/healthz` answers. */
  listen(host: string, port: number, isWell: () => boolean): Promise<{ close(): Promise<void> }> {
    return serve(this.#registry, { host, port }, isWell)
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
    return serve(this.#registry, at, () => true)
  }
}

async function serve(
  registry: Registry,
  { host, port }: Endpoint,
  isWell: () => boolean,
): Promise<{ close(): Promise<void> }> {
  const server = http.createServer((request, response) => {
    // A web page must not get here by a name of its own: whoever means loopback says so.
    if (!isLocalName(request.headers.host)) return void response.writeHead(421).end()
    if (request.method !== 'GET') return void response.writeHead(405, { allow: 'GET' }).end()
    if (request.url === '/healthz') {
      const well = isWell()
      response.writeHead(well ? 200 : 503, { 'content-type': 'text/plain' }).end(well ? 'ok\n' : 'stopping\n')
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

function gauge(registers: Registry[], name: string, help: string, read: () => number): void {
  const made: Gauge<string> = new Gauge({ name, help, registers, collect: () => made.set(read()) })
}

function isLocalName(host: string | undefined): boolean {
  return host !== undefined && /^(?:127\.\d{1,3}\.\d{1,3}\.\d{1,3}|localhost|\[::1\])(?::\d{1,5})?$/.test(host)
}
