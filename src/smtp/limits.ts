import type { Duration } from '../base/time.ts'
import type { CommandKind } from './command.ts'

/** Every count, length and wait of a server session, by name (RFC 5321 §4.5.3). */
export interface Limits {
  readonly messageSize: number
  readonly recipients: number
  readonly messages: number
  readonly errors: number
  readonly junk: number
  readonly headerSize: number
  readonly hops: number
  readonly chunks: number
  readonly blob: number
  readonly linkState: number
  readonly idle: Duration
  readonly data: Duration
  readonly dataRate: number
  readonly session: Duration
  readonly greetWait: Duration
  readonly pending: number
}

/** One limit: how a configuration calls it, what it counts, and what holds where nothing is said. */
export interface LimitSpec {
  readonly word: string
  readonly of: 'count' | 'octets' | 'wait'
  readonly normal: number
  /** What may not be gone below: RFC 5321 §4.5.3.1 promises it to every client. */
  readonly least?: number
  /** Under stress, when nearly all sessions are taken: who is slow or talks idly has to go first. */
  readonly stressed?: number
  readonly help: string
}

/** The table of limits: configuration, reference page and sessions all read it. */
export const LIMIT_SPECS: { readonly [K in keyof Limits]: LimitSpec } = {
  messageSize: {
    word: 'message-size',
    of: 'octets',
    normal: 64 * 1024 * 1024,
    help: 'The largest message that is taken (RFC 1870)',
  },
  recipients: {
    word: 'recipients',
    of: 'count',
    normal: 1000,
    least: 100,
    help: 'Recipients of one message (RFC 5321 §4.5.3.1.8)',
  },
  messages: { word: 'messages', of: 'count', normal: 1000, help: 'Messages of one session (RFC 9422 §3: MAILMAX)' },
  errors: {
    word: 'errors',
    of: 'count',
    normal: 20,
    stressed: 2,
    help: 'Refused commands, before the server hangs up',
  },
  junk: {
    word: 'junk',
    of: 'count',
    normal: 100,
    stressed: 10,
    help: 'Commands since the last message that do nothing (NOOP, RSET, VRFY, EHLO …), before the server hangs up',
  },
  headerSize: { word: 'header-size', of: 'octets', normal: 102_400, help: 'The header of a message' },
  hops: {
    word: 'hops',
    of: 'count',
    normal: 100,
    help: 'Received: fields, before a message is taken to loop (RFC 5321 §6.3)',
  },
  chunks: { word: 'chunks', of: 'count', normal: 10_000, help: 'BDAT chunks of one message (RFC 3030)' },
  blob: { word: 'blob', of: 'octets', normal: 1024 * 1024, help: 'Octets that XEXCH50 may announce' },
  linkState: { word: 'link-state', of: 'octets', normal: 4 * 1024 * 1024, help: 'One X-LINK2STATE frame' },
  idle: {
    word: 'idle',
    of: 'wait',
    normal: 300_000,
    stressed: 10_000,
    help: 'Until the next whole command is there; the octets of half a line buy no time (RFC 5321 §4.5.3.2.7)',
  },
  data: {
    word: 'data',
    of: 'wait',
    normal: 180_000,
    stressed: 60_000,
    help: 'Until more of a message is there (RFC 5321 §4.5.3.2.5)',
  },
  dataRate: {
    word: 'data-rate',
    of: 'octets',
    normal: 500,
    help: 'Octets a second that a message must have come at, after a grace as long as the idle wait',
  },
  session: { word: 'session', of: 'wait', normal: 7_200_000, help: 'A session, from its greeting to its end' },
  greetWait: {
    word: 'greet-wait',
    of: 'wait',
    normal: 0,
    help: 'How long the greeting waits for who speaks too soon; such a client is sent away',
  },
  pending: {
    word: 'pending',
    of: 'octets',
    normal: 1024 * 1024,
    help: 'Octets that may wait while an earlier command is being answered',
  },
}

function limitsBy(value: (spec: LimitSpec) => number): Limits {
  return Object.fromEntries(
    Object.entries(LIMIT_SPECS).map(([field, spec]) => [field, value(spec)]),
  ) as unknown as Limits
}

export const LIMITS: Limits = limitsBy(({ normal }) => normal)

/** The same limits under stress: none is wider than it was. */
export function stressed(limits: Limits): Limits {
  const entries = Object.entries(LIMIT_SPECS) as [keyof Limits, LimitSpec][]
  const fields = entries.map(([field, { stressed }]) => [field, Math.min(limits[field], stressed ?? limits[field])])
  return Object.fromEntries(fields) as Limits
}

/** Recipients over the limit that a session may name, before it is taken not to listen. */
export const MAX_SURPLUS = 1000

/** Octets of a command line, its end included: 512, and what each extension adds (RFC 5321 §4.5.3.1.4). */
export const COMMAND_LINE = 512

/**
 * SIZE 26, BODY 17, RET and ENVID 8 + 108, AUTH 500, SMTPUTF8 10, REQUIRETLS 11, BY 17, HOLDUNTIL 34, MT-PRIORITY 15
 * (RFC 1870, 6152, 3461, 4954, 6531, 8689, 2852, 4865, 6710).
 */
export const MAIL_LINE: number = COMMAND_LINE + 26 + 17 + 116 + 500 + 10 + 11 + 17 + 34 + 15
/** NOTIFY 28 and ORCPT 507 (RFC 3461 §4). */
export const RCPT_LINE: number = COMMAND_LINE + 28 + 507
/** RFC 4954 §4. */
export const AUTH_LINE = 12_288
/** Exchange fills such lines to the full: a limit of 512 is what breaks link state behind firewalls. */
export const LINK2STATE_LINE = 1024

const LONGER: Partial<Record<CommandKind, number>> = {
  mail: MAIL_LINE,
  rcpt: RCPT_LINE,
  auth: AUTH_LINE,
  'x-exps': AUTH_LINE,
  'x-link2state': LINK2STATE_LINE,
  xclient: LINK2STATE_LINE,
}

export function lineLimit(kind: CommandKind | undefined): number {
  return (kind && LONGER[kind]) ?? COMMAND_LINE
}
