/** What a mail server counts, for Prometheus. */
import { Metrics } from '../io/metrics.ts'
import { ageOf, type MtaEvent } from '../mta/news.ts'
import { MECHANISMS } from '../smtp/sasl/mechanisms.ts'

const COUNTERS = {
  postern_mta_connections_total: { help: 'Connections taken, or turned away', labels: ['result'] },
  postern_mta_received_total: { help: 'Messages taken', labels: ['protocol'] },
  postern_mta_received_bytes_total: { help: 'Octets of messages taken', labels: [] },
  postern_mta_refused_total: { help: 'Senders, recipients and messages not taken', labels: ['what', 'why'] },
  postern_mta_tries_total: { help: 'What attempts came to, for each recipient', labels: ['hop', 'outcome'] },
  postern_mta_reports_total: { help: 'Reports to senders', labels: ['what'] },
  postern_mta_logins_total: { help: 'Logins', labels: ['mechanism', 'result'] },
  postern_mta_faults_total: { help: 'Attempts that failed by a mistake here', labels: [] },
  postern_mta_reloads_total: { help: 'Times the configuration was read again', labels: ['result'] },
} as const

const HISTOGRAMS = {
  postern_mta_recipient_seconds: {
    help: 'From the arrival of a message until a recipient of it was done',
    labels: ['outcome'],
    buckets: [0.1, 0.5, 1, 5, 30, 60, 600, 3_600, 21_600, 86_400, 172_800],
  },
} as const

export type MtaMetrics = Metrics<keyof typeof COUNTERS, keyof typeof HISTOGRAMS>

/** What is asked for when somebody looks. */
export interface MtaGauges {
  /** Messages in the queue, and their octets. */
  readonly messages: () => number
  /** Of these, those that are not read yet since the start. */
  readonly unread: () => number
  readonly octets: () => number
  /** Sessions of clients. */
  readonly sessions: () => number
  readonly listens: () => number
  /** Log lines that were dropped. */
  readonly logLost: () => number
}

export function mtaMetrics({ messages, unread, octets, sessions, listens, logLost }: MtaGauges): MtaMetrics {
  return new Metrics({
    counters: COUNTERS,
    histograms: HISTOGRAMS,
    gauges: {
      postern_mta_queue_messages: { help: 'Messages in the queue', read: messages },
      postern_mta_queue_unread: { help: 'Messages of the queue that are not read yet since the start', read: unread },
      postern_mta_queue_bytes: {
        help: 'Octets of the messages in the queue, and of those on their way in',
        read: octets,
      },
      postern_mta_sessions: { help: 'Sessions of clients', read: sessions },
      postern_mta_listens: { help: 'Places listened at', read: listens },
      postern_mta_log_lost: { help: 'Log lines that nobody took in time, or that were too many', read: logLost },
    },
  })
}

const PROTOCOLS: ReadonlySet<string> = new Set(
  ['SMTP', 'ESMTP', 'UTF8SMTP'].flatMap(base => ['', 'S', 'A', 'SA'].map(suffix => `${base}${suffix}`)),
)
const KNOWN_MECHANISMS: ReadonlySet<string> = new Set(MECHANISMS.map(({ name }) => name))

/** Every label is of a closed set: words of ours, and names of the configuration. */
export function countEvent(metrics: MtaMetrics, event: MtaEvent): void {
  switch (event.kind) {
    case 'message': {
      const { entry, news } = event
      switch (news.kind) {
        case 'received': {
          const { protocol } = news.facts
          metrics.count('postern_mta_received_total', { protocol: PROTOCOLS.has(protocol) ? protocol : 'other' })
          return metrics.count('postern_mta_received_bytes_total', {}, news.size)
        }
        case 'tried': {
          const { outcome, hop = 'other' } = news
          metrics.count('postern_mta_tries_total', { hop, outcome: outcome.kind })
          if (news.wait !== undefined) return undefined
          return metrics.observe('postern_mta_recipient_seconds', { outcome: outcome.kind }, ageOf(entry) / 1_000)
        }
        case 'reported':
          return metrics.count('postern_mta_reports_total', { what: news.what })
        case 'fault':
          return metrics.count('postern_mta_faults_total')
        default:
          return undefined
      }
    }
    case 'connected':
      return metrics.count('postern_mta_connections_total', { result: 'served' })
    case 'turned-away':
      return metrics.count('postern_mta_connections_total', { result: 'turned away' })
    case 'refused':
      return metrics.count('postern_mta_refused_total', { what: event.what, why: event.why })
    case 'login': {
      const mechanism = KNOWN_MECHANISMS.has(event.mechanism) ? event.mechanism : 'other'
      return metrics.count('postern_mta_logins_total', { mechanism, result: event.why === undefined ? 'ok' : 'failed' })
    }
    case 'read':
      return metrics.count('postern_mta_reloads_total', { result: 'ok' })
    case 'not-read':
      return metrics.count('postern_mta_reloads_total', { result: 'failed' })
    default:
      return undefined
  }
}
