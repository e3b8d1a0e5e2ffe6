import type { Duration } from '../base/time.ts'
import type { CommandKind } from './command.ts'

/** Every count, length and wait of a server session, by name (RFC 5321 §4.5.3). */
export interface Limits {
  /** Octets of a message. */
  readonly messageSize: number
  readonly recipients: number
  /** Commands that were refused, before the server hangs up. */
  readonly errors: number
  /** Octets of a message's header. */
  readonly headerSize: number
  /** Received: fields, before a message is taken to loop (RFC 5321 §6.3 wants at least 100). */
  readonly hops: number
  /** The next command is due (RFC 5321 §4.5.3.2.7). */
  readonly idle: Duration
  /** The next piece of a message is due (RFC 5321 §4.5.3.2.5). */
  readonly data: Duration
  /** Octets that may wait while an earlier command is being answered. */
  readonly pending: number
}

export const LIMITS: Limits = {
  messageSize: 64 * 1024 * 1024,
  recipients: 1000,
  errors: 20,
  headerSize: 102_400,
  hops: 100,
  idle: 300_000,
  data: 180_000,
  pending: 1024 * 1024,
}

/** Octets of a command line, its end included: 512, and what each extension adds (RFC 5321 §4.5.3.1.4). */
export const COMMAND_LINE = 512

/** SIZE 26, BODY 17, RET and ENVID 8 + 108, AUTH 500, SMTPUTF8 10; NOTIFY 28 + ORCPT 500 (RFC 1870, 6152, 3461, 4954, 6531). */
export const MAIL_LINE: number = COMMAND_LINE + 26 + 17 + 116 + 500 + 10
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
}

export function lineLimit(kind: CommandKind | undefined): number {
  return (kind && LONGER[kind]) ?? COMMAND_LINE
}
