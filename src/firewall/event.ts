/** What happens to a running firewall, and how each is told: as a Cisco syslog line, and as plain facts. */
import { bytes, show } from '../base/bytes.ts'
import { cite } from '../base/problem.ts'
import type { Severity } from '../base/severity.ts'
import { type Duration, type Instant, sayDuration } from '../base/time.ts'
import { unreachable } from '../base/unreachable.ts'
import type { Crossing } from '../topology/topology.ts'
import type { Caller } from './access.ts'
import type { Product } from './config.ts'
import type { LoggingConfig } from './gateway-config.ts'
import { formatSyslog, type SyslogLine, syslogOf } from './syslog.ts'
import { type Explanation, isKnownVerb } from './verdict.ts'

/** A connection as its messages name it. `destination` is the real server, `asked` what the caller meant. */
export interface Joined {
  readonly id: number
  readonly crossing: Crossing
  readonly source: string
  readonly sourcePort: number
  readonly destination: string
  readonly destinationPort: number
  readonly asked: { readonly ip: string; readonly port: number }
}

/** An explanation, of which connection it is, and when that was. */
export interface Altered {
  readonly at: Instant
  readonly connection: Joined
  readonly explanation: Explanation
}

export interface Knock extends Caller {
  readonly sourcePort: number
  /** The interface it came in at. */
  readonly at: string
}

/** Which limit a caller ran into. */
export type LimitKind = 'connections' | 'source connections' | 'source rate'

/** How a connection ended, in the PIX's words. */
export type Ending = 'TCP FINs' | 'TCP Reset' | 'Conn-timeout' | 'Flow closed by inspection' | 'Stopped'

export type GatewayEvent =
  | { readonly kind: 'started'; readonly doors: readonly string[] }
  | { readonly kind: 'stopping'; readonly open: number; readonly grace: Duration }
  | { readonly kind: 'built'; readonly connection: Joined }
  | {
      readonly kind: 'torn-down'
      readonly connection: Joined
      readonly duration: Duration
      readonly octets: number
      readonly why: Ending
    }
  | { readonly kind: 'denied'; readonly knock: Knock; readonly reason: string; readonly list?: string }
  | { readonly kind: 'limited'; readonly knock: Knock; readonly limit: LimitKind; readonly most: number }
  | { readonly kind: 'no-server'; readonly knock: Knock; readonly why: string }
  | { readonly kind: 'bad-header'; readonly knock: Knock; readonly why: string }
  | { readonly kind: 'altered'; readonly connection: Joined; readonly explanation: Explanation }
  | { readonly kind: 'typed'; readonly line: string; readonly changed: boolean }
  | { readonly kind: 'read'; readonly file: string; readonly failed: boolean }
  | { readonly kind: 'wrote'; readonly file: string; readonly failed: boolean }
  | { readonly kind: 'taken-back'; readonly why: string }
  | { readonly kind: 'shut'; readonly door: string; readonly why: string }
  | { readonly kind: 'paused'; readonly sockets: number }
  | { readonly kind: 'resumed'; readonly sockets: number }
  | { readonly kind: 'server'; readonly server: string; readonly up: boolean; readonly why: string }

/** A line as Cisco numbers it. Numbers from 990000 are ours: there, Cisco has no message. */
export interface Message extends SyslogLine {
  readonly severity: Severity
}

/** Who types at the console, as a PIX calls the one user it knows. */
const USER = 'enable_15'

export function messageOf(event: GatewayEvent): Message {
  switch (event.kind) {
    case 'started':
      return message(199002, 6, 'startup completed.  Beginning operation.')
    case 'stopping':
      return message(
        199001,
        5,
        `Reload command executed: stopping; ${event.open} open connections have ${say(event.grace)}.`,
      )
    case 'built': {
      const { id, crossing, asked } = event.connection
      const [from, to] = endsOf(event.connection)
      const { source, sourcePort } = event.connection
      const text = `Built ${crossing.direction} TCP connection ${id} for ${from} (${source}/${sourcePort}) to ${to} (${asked.ip}/${asked.port})`
      return message(302013, 6, text)
    }
    case 'torn-down': {
      const [from, to] = endsOf(event.connection)
      const { duration, octets, why } = event
      const text = `Teardown TCP connection ${event.connection.id} for ${from} to ${to} duration ${clock(duration)} bytes ${octets} ${why}`
      return message(302014, 6, text)
    }
    case 'denied': {
      const { source, sourcePort, destination, port, at } = event.knock
      if (event.list !== undefined) {
        const text = `Deny tcp src ${at}:${source}/${sourcePort} dst ${destination}/${port} by access-group "${event.list}"`
        return message(106023, 4, text)
      }
      const text = `Inbound TCP connection denied from ${source}/${sourcePort} to ${destination}/${port} flags SYN on interface ${at}`
      return message(106001, 2, text)
    }
    case 'limited': {
      const { knock, limit, most } = event
      const way = `for input packet from ${knock.source}/${knock.sourcePort} to ${knock.destination}/${knock.port} on interface ${knock.at}`
      if (limit === 'connections') return message(201011, 3, `Connection limit exceeded ${most}/${most} ${way}`)
      if (limit === 'source rate') return message(990001, 3, `Per-client connection rate exceeded ${most} ${way}`)
      return message(201013, 3, `Per-client connection limit exceeded ${most}/${most} ${way}`)
    }
    case 'no-server':
      return message(990002, 3, `No server for ${event.knock.source}/${event.knock.sourcePort}: ${event.why}`)
    case 'bad-header':
      return message(
        990003,
        4,
        `PROXY header from ${event.knock.source}/${event.knock.sourcePort} refused: ${event.why}`,
      )
    case 'altered':
      return alteration(event.connection, event.explanation)
    case 'typed': {
      const line = withoutPasswords(event.line)
      return event.changed
        ? message(111008, 5, `User '${USER}' executed the '${line}' command.`)
        : message(111009, 7, `User '${USER}' executed cmd: ${line}`)
    }
    case 'read':
      return message(111005, 5, `${event.file} end configuration: ${event.failed ? 'FAILED' : 'OK'}`)
    case 'wrote':
      return message(111004, 5, `console end configuration: ${event.failed ? 'FAILED' : 'OK'} (${event.file})`)
    case 'taken-back':
      return message(990004, 4, `Configuration taken back: ${event.why}`)
    case 'shut':
      return message(990005, 3, `Not listening at ${event.door}: ${event.why}`)
    case 'paused':
      return message(990006, 3, `Accepting paused: no files left for more than ${event.sockets} sockets`)
    case 'resumed':
      return message(990007, 5, `Accepting again, with ${event.sockets} sockets open`)
    case 'server':
      return message(990008, event.up ? 5 : 3, `Server ${event.server} is ${event.up ? 'up' : 'down'}: ${event.why}`)
    default:
      return unreachable(event)
  }
}

function message(id: number, severity: Severity, text: string): Message {
  return { id, severity, text }
}

/** `outside:192.0.2.7/4711`: the client's end, and the server's. */
export function endsOf(connection: Joined): readonly [string, string] {
  const { crossing, source, sourcePort, destination, destinationPort } = connection
  return [`${crossing.from.name}:${source}/${sourcePort}`, `${crossing.to.name}:${destination}/${destinationPort}`]
}

/** `0:00:02`, as the PIX counts. */
function clock(duration: Duration): string {
  const seconds = Math.floor(duration / 1000)
  const two = (n: number): string => String(n).padStart(2, '0')
  return `${Math.floor(seconds / 3600)}:${two(Math.floor(seconds / 60) % 60)}:${two(seconds % 60)}`
}

const say = sayDuration

/** As a Cisco says it, where it says anything; else in our own words, as nobody should have to guess. */
function alteration(connection: Joined, explanation: Explanation): Message {
  const { crossing, source, sourcePort, destination, destinationPort } = connection
  const ends = {
    client: { port: crossing.from.name, ip: source, tcp: sourcePort },
    server: { port: crossing.to.name, ip: destination, tcp: destinationPort },
  }
  const line = syslogOf(explanation, ends)
  if (line) return { ...line, severity: line.severity as Severity }
  const { did, what, subject, because } = explanation
  const [from, to] = endsOf(connection)
  const about = `${did} ${what} ${printable(subject)}`.trimEnd()
  const by = `${because.cause.command} (${cite(because.cause.at)})`
  if (what === 'server') return message(990010, 4, `Server ${to}: ${because.reason}, by ${by}`)
  return message(990009, 6, `Inspection: ${about} from ${from} to ${to}, by ${by}`)
}

const PASSWORDS = /^(?:password|passwd|key|community|secret|enable)$/i

/** What is typed may hold a password, and is logged without it. */
export function withoutPasswords(line: string): string {
  const words = line.split(/[ \t]+/)
  const at = words.findIndex((word, i) => PASSWORDS.test(word) && words[i + 1] !== undefined)
  return at < 0 ? line : [...words.slice(0, at + 1), '*****'].join(' ')
}

/**
 * The explanation as it may be told. A line whose verb nobody knows may be anything: a password said behind a login that
 * was refused, or a message behind a chunk that was. It is told of, and not told.
 */
export function discreet(explanation: Explanation): Explanation {
  const { what, subject, before, after } = explanation
  if (what !== 'command' || isKnownVerb(subject)) return explanation
  const hidden = (octets: Uint8Array) => (octets.length === 0 ? octets : bytes(`(${octets.length} octets)`))
  return { ...explanation, subject: '', before: hidden(before), after: hidden(after) }
}

/** The message at the level that the configuration gives it; `undefined` where it is silenced. */
export function levelled(message: Message, { messages }: LoggingConfig): Message | undefined {
  const told = messages.find(({ id }) => id === message.id)
  if (!told) return message
  return told.level === undefined ? undefined : { ...message, severity: told.level }
}

export interface Header {
  readonly facility: number
  readonly host: string
  readonly process: number
  /** The date as RFC 5424 §6.2.3 wants it; `undefined` where none is wanted. */
  readonly time: string | undefined
  readonly product: Product
}

/** Octets of a line: what a syslog server must take (RFC 5424 §6.1). */
export const MAX_SYSLOG_LINE = 2_048

/** A whole line of RFC 5424 §6, without a line end. */
export function syslogLine(message: Message, { facility, host, process, time, product }: Header): string {
  const priority = facility * 8 + message.severity
  const head = `<${priority}>1 ${time ?? '-'} ${printable(host)} postern ${process} ${message.id} -`
  return printable(`${head} ${formatSyslog(product, message)}`).slice(0, MAX_SYSLOG_LINE)
}

/** A line as a program gives it to the syslog of its own machine, which knows the time and the host. */
export function localLine(message: Message, { facility, process, product }: Omit<Header, 'host' | 'time'>): string {
  const line = `<${facility * 8 + message.severity}>postern[${process}]: ${formatSyslog(product, message)}`
  return printable(line).slice(0, MAX_SYSLOG_LINE)
}

/** What a peer said must not begin a line of its own. */
function printable(text: string): string {
  return text.replace(/[^\x20-\x7e]/g, '?')
}

/** The event as plain facts, for a JSON line. */
export function factsOf(event: GatewayEvent): Readonly<Record<string, unknown>> {
  switch (event.kind) {
    case 'built':
      return { event: event.kind, ...connectionFacts(event.connection) }
    case 'torn-down': {
      const { duration, octets, why } = event
      return { event: event.kind, ...connectionFacts(event.connection), duration, octets, why }
    }
    case 'altered': {
      const { what, subject, before, after, because, losses } = event.explanation
      return {
        event: event.kind,
        ...connectionFacts(event.connection),
        what,
        subject,
        before: show(before),
        after: show(after),
        by: cite(because.cause.at),
        command: because.cause.command,
        reason: because.reason,
        cure: because.cause.cure,
        missed: losses.map(({ what }) => what),
      }
    }
    case 'typed':
      return { event: event.kind, line: withoutPasswords(event.line), changed: event.changed }
    case 'denied':
    case 'limited':
    case 'no-server':
    case 'bad-header': {
      const { kind, knock, ...rest } = event
      return { event: kind, ...knock, ...rest }
    }
    default: {
      const { kind, ...rest } = event
      return { event: kind, ...rest }
    }
  }
}

function connectionFacts(connection: Joined): Readonly<Record<string, unknown>> {
  const { id, crossing, source, sourcePort, destination, destinationPort } = connection
  return {
    connection: id,
    from: crossing.from.name,
    to: crossing.to.name,
    source,
    sourcePort,
    destination,
    destinationPort,
  }
}
