/** What a firewall counts, for Prometheus. */
import { upper } from '../base/bytes.ts'
import type { GatewayEvent } from '../firewall/event.ts'
import { Metrics } from '../io/metrics.ts'
import { COMMAND_KINDS } from '../smtp/command.ts'

const COUNTERS = {
  postern_connections_total: { help: 'Connections let through', labels: ['from', 'to'] },
  postern_refused_total: { help: 'Connections not let through', labels: ['why'] },
  postern_altered_total: { help: 'Alterations', labels: ['what', 'subject'] },
  postern_octets_total: { help: 'Octets of ended connections, both ways', labels: [] },
} as const

export type FirewallMetrics = Metrics<keyof typeof COUNTERS>

/** What is asked for when somebody looks. */
export interface FirewallGauges {
  readonly connections: () => number
  readonly doors: () => number
  /** Log lines that were dropped. */
  readonly logLost: () => number
  /** Server → is it up? */
  readonly servers: () => ReadonlyMap<string, boolean>
}

export function firewallMetrics({ connections, doors, logLost, servers }: FirewallGauges): FirewallMetrics {
  return new Metrics({
    counters: COUNTERS,
    gauges: {
      postern_connections: { help: 'Connections that pass', read: connections },
      postern_doors: { help: 'Places listened at', read: doors },
      postern_log_lost: { help: 'Log lines that nobody took in time', read: logLost },
      postern_server_up: {
        help: 'Whether a probed server is up',
        label: 'server',
        read: () => new Map(Array.from(servers(), ([server, isUp]) => [server, isUp ? 1 : 0])),
      },
    },
  })
}

const VERBS: ReadonlySet<string> = new Set(COMMAND_KINDS.map(upper))

export function countEvent(metrics: FirewallMetrics, event: GatewayEvent): void {
  switch (event.kind) {
    case 'built': {
      const { from, to } = event.connection.crossing
      return metrics.count('postern_connections_total', { from: from.name, to: to.name })
    }
    case 'torn-down':
      return metrics.count('postern_octets_total', {}, event.octets)
    case 'denied':
    case 'no-server':
    case 'bad-header':
      return metrics.count('postern_refused_total', { why: event.kind })
    case 'limited':
      return metrics.count('postern_refused_total', { why: event.limit })
    case 'altered': {
      // A verb nobody knows could be any: peers must not make series of their own.
      const { what, subject, losses } = event.explanation
      const isKnown = subject === '' || losses.length > 0 || VERBS.has(subject)
      return metrics.count('postern_altered_total', { what, subject: isKnown ? subject : 'other' })
    }
    default:
  }
}
