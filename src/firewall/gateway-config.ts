import type { Severity } from '../base/severity.ts'
import type { Duration } from '../base/time.ts'
import type { Served } from '../config/served.ts'
import type { Network } from '../topology/topology.ts'

/** How a firewall runs: what it tells whom, what it keeps, how many it lets in, and to which servers. */
export interface GatewayConfig extends Served {
  readonly logging: LoggingConfig
  readonly record?: RecordConfig
  readonly limits: LimitsConfig
  /** How long open connections are waited for when the firewall is stopped. */
  readonly drain: Duration
  /** Who must begin with a PROXY header, and is believed. */
  readonly proxiedFrom: readonly Network[]
  /** Which servers are told by a PROXY header who is calling. */
  readonly proxiedTo: readonly ProxiedTo[]
  readonly farms: readonly Farm[]
}

/** Where a syslog daemon, or systemd's journal, listens. */
export const LOCAL_SYSLOG = '/dev/log'

export interface LoggingConfig {
  readonly on: boolean
  /** The date at the beginning of every line. */
  readonly timestamp: boolean
  /** 16 to 23: local0 to local7. The PIX's default is 20. */
  readonly facility: number
  readonly hosts: readonly LogHost[]
  /** The socket of this machine's own syslog, where it is told as well. */
  readonly local?: string
  /** What goes to the hosts, and to this machine's own. */
  readonly trap: Severity
  /** What is kept for `show logging`. */
  readonly buffered?: Severity
  readonly files: readonly LogFile[]
  /** Messages that are not told, or at another level; by their number. */
  readonly messages: readonly { readonly id: number; readonly level?: Severity }[]
  /** Lines about the other places a PIX logs to: kept and shown, and not enforced here. */
  readonly kept: readonly string[]
}

export interface LogHost {
  readonly port: string
  readonly ip: string
  readonly transport: 'udp' | 'tcp'
  readonly number: number
}

export interface LogFile {
  /** `file`: the lines of a syslog server; `json`: one object a line. */
  readonly form: 'file' | 'json'
  readonly file: string
  readonly level: Severity
}

/** Dialogues as transcripts in a folder; what is secret is left out (`transcript/redact.ts`). */
export interface RecordConfig {
  readonly folder: string
  /** Files kept; the oldest makes room. */
  readonly files: number
  /** Octets of one file; what comes after is not recorded. */
  readonly octets: number
  /** Whether the text of messages is recorded, too. */
  readonly messages: boolean
}

export interface LimitsConfig {
  /** Connections at once, through all doors. */
  readonly connections: number
  /** How many of these are kept free for `peers`. */
  readonly reserve: number
  /** Who may use the reserve, and is under no limit by source. */
  readonly peers: readonly Network[]
  /** Connections at once from one address; 0 for no limit. */
  readonly perSource: number
  /** New connections from one address; none for no limit. */
  readonly rate?: { readonly count: number; readonly per: Duration }
}

export interface ProxiedTo {
  readonly ip: string
  readonly port: number
  readonly version: 1 | 2
}

/** Several servers where a `static` names one: that one is the first. */
export interface Farm {
  readonly ip: string
  readonly port: number
  readonly others: readonly { readonly ip: string; readonly port: number }[]
  readonly predictor: 'ordered' | 'roundrobin'
  readonly probe?: { readonly kind: 'tcp' | 'smtp'; readonly every: Duration }
}

/** Connections at once, unless a line says otherwise. Each is two sockets. */
export const MAX_CONNECTIONS = 10_000
/** Connections at once from one address, unless a line says otherwise: one source must not take all there are. */
export const MAX_PER_SOURCE = 1_000
/** How long a stop waits for open connections, unless a line says otherwise. */
export const DRAIN_GRACE: Duration = 30_000
export const RECORD_FILES = 1_000
export const RECORD_OCTETS: number = 256 * 1024
/** Servers behind one `static`. */
export const MAX_SERVERS = 16
export const DEFAULT_FACILITY = 20
export const SYSLOG_PORT = 514

export const NO_GATEWAY: GatewayConfig = {
  logging: {
    on: false,
    timestamp: false,
    facility: DEFAULT_FACILITY,
    hosts: [],
    trap: 6,
    files: [],
    messages: [],
    kept: [],
  },
  limits: { connections: MAX_CONNECTIONS, reserve: 0, peers: [], perSource: MAX_PER_SOURCE },
  drain: DRAIN_GRACE,
  proxiedFrom: [],
  proxiedTo: [],
  farms: [],
}
