import { show, text } from '../base/bytes.ts'
import type { Product } from './config.ts'
import type { Explanation } from './verdict.ts'

/** One end of a connection, as a firewall's log names it: `outside:192.0.2.7/4711`. */
export interface LogEnd {
  readonly port: string
  readonly ip: string
  readonly tcp: number
}

/** The two ends of an inspected connection. */
export interface LogEnds {
  readonly client: LogEnd
  readonly server: LogEnd
}

/** A line of a Cisco firewall's log. */
export interface SyslogLine {
  /** `108004`. */
  readonly id: number
  /** 0 is worst, 7 least (RFC 5424 §6.2.1). */
  readonly severity: number
  /** Behind the id: `ESMTP Classification: Dropped connection for …`. */
  readonly text: string
}

/** `%ASA-4-108004: …`, as it stands in a log. */
export function formatSyslog(product: Product, { id, severity, text }: SyslogLine): string {
  return `%${product}-${severity}-${id}: ${text}`
}

/**
 * What the firewall's own log says of what was done, or `undefined` where it says nothing: a PIX that writes X over a
 * command tells nobody, and an ASA tells where its rule says `log`.
 */
export function syslogOf(explanation: Explanation, ends: LogEnds): SyslogLine | undefined {
  const { what, subject, did, because, before } = explanation
  if (what === 'tls' && subject === 'STARTTLS') return tlsStarted(ends)
  if (what === 'address' && did === 'mask') return replaced(explanation, ends)
  if (because.label === SIZE_VIOLATION) return sizeViolation(explanation, ends)
  if (because.label.startsWith('special-character') && did !== 'log') {
    return { id: 108003, severity: 2, text: malicious(text(before), ends) }
  }
  if (!because.log || because.label === '') return undefined
  const kind = because.label.startsWith('matched ') ? 'ESMTP Classification' : 'ESMTP Parameter'
  const way = fromServer(explanation) ? [ends.server, ends.client] : [ends.client, ends.server]
  const [from, to] = way.map(each => (each ? showEnd(each) : ''))
  const about = `${fromServer(explanation) ? 'ESMTP Response' : 'ESMTP Request'} from ${from} to ${to}; ${because.label}`
  if (did === 'log') return { id: 108005, severity: 6, text: `${kind}: Received ${about}` }
  const action = ACTIONS[did]
  return action === undefined ? undefined : { id: 108004, severity: 4, text: `${kind}: ${action} ${about}` }
}

export const SIZE_VIOLATION = 'size violation'

const ACTIONS: Readonly<Partial<Record<Explanation['did'], string>>> = {
  'drop-connection': 'Dropped connection for',
  reset: 'Reset connection for',
  mask: 'Masked header flags for',
  discard: 'Dropped',
}

function fromServer({ what }: Explanation): boolean {
  return what === 'greeting' || what === 'keyword' || what === 'reply'
}

function showEnd({ port, ip, tcp }: LogEnd): string {
  return `${port}:${ip}/${tcp}`
}

/** 108002 names what was replaced, and the address it stood in. */
function replaced({ before, after }: Explanation, { client, server }: LogEnds): SyslogLine {
  const octets = new Set([...before].filter((octet, i) => after[i] !== octet))
  const string = String.fromCharCode(...octets)
  const line = text(before)
  const address = (/<.*>/.exec(line) ?? /\S+$/.exec(line))?.[0] ?? ''
  return {
    id: 108002,
    severity: 2,
    text: `SMTP replaced ${string}: out ${client.ip} in ${server.ip} data: ${address.replace(/[^ -~]/g, '?')}`,
  }
}

function malicious(line: string, { client, server }: LogEnds): string {
  const words = 'Terminating ESMTP connection; malicious pattern detected in the mail address'
  const address = /<.*>/.exec(line)?.[0] ?? line
  return `${words} from ${showEnd(client)} to ${showEnd(server)}. Mail Address:${address.replace(/[^ -~]/g, '?')}`
}

function sizeViolation({ before, size = 0 }: Explanation, { client, server }: LogEnds): SyslogLine {
  const declared = show(before).replace('SIZE=', '')
  const way = `from ${showEnd(client)} to ${showEnd(server)}`
  const words = `declared size is: ${declared}, actual size is ${size}`
  return { id: 108006, severity: 7, text: `Detected ESMTP size violation ${way}; ${words}` }
}

function tlsStarted({ client, server }: LogEnds): SyslogLine {
  const words = `TLS started on ESMTP session between client ${showEnd(client)} and server ${showEnd(server)}`
  return { id: 108007, severity: 6, text: words }
}
