import { takeFirst } from '../base/array.ts'
import type { Command, CommandKind } from './command.ts'

/**
 * Who may say what next: one table, ignorant of sides. The server asks it what it may take, the client what it may say,
 * and whoever stands between them what the next octets are.
 */
export type Phase =
  | 'greeting' // the server speaks first
  | 'hello' // EHLO or HELO is due
  | 'ready' // no transaction is open
  | 'mail' // a sender is known
  | 'rcpt' // and a recipient
  | 'body' // the octets of DATA follow
  | 'chunks' // a chunk was taken, more may follow (RFC 3030 §2)
  | 'blob' // the octets of XEXCH50 follow
  | 'auth' // a SASL exchange is under way
  | 'tls' // the handshake is due
  | 'turned' // the roles are reversed: the server is the client now (RFC 2645)
  | 'closed'

/** What is said: a command, or one of the things that are answered and are no command. */
export type Said = CommandKind | 'connect' | 'end-of-body' | 'last-chunk' | 'end-of-blob' | 'auth-line' | 'other'

type Outcomes = Readonly<Partial<Record<2 | 3 | 4 | 5, Phase>>>
export type Transitions = Readonly<Record<Phase, Readonly<Partial<Record<Said, Outcomes>>>>>

// A missing command may not come now (503); a missing digit leaves the phase as it is.
const ANYTIME = {
  noop: {},
  help: {},
  vrfy: {},
  expn: {},
  other: {},
  quit: { 2: 'closed' },
} as const satisfies Partial<Record<Said, Outcomes>>

/** A hello forgets the transaction (RFC 5321 §4.1.4); one that is refused changes nothing. */
const HELLO = { ehlo: { 2: 'ready' }, helo: { 2: 'ready' } } as const satisfies Partial<Record<Said, Outcomes>>

const OPEN = { ...ANYTIME, ...HELLO, rset: { 2: 'ready' } } as const satisfies Partial<Record<Said, Outcomes>>

/** A refused end of data closes the transaction just as an accepted one does (RFC 5321 §4.1.1.4). */
const OVER = { 2: 'ready', 4: 'ready', 5: 'ready' } as const satisfies Outcomes

export const TRANSITIONS: Transitions = {
  greeting: { connect: { 2: 'hello', 4: 'closed', 5: 'closed' } },
  hello: { ...ANYTIME, ...HELLO, rset: {}, starttls: { 2: 'tls' } },
  ready: {
    ...OPEN,
    mail: { 2: 'mail' },
    auth: { 3: 'auth' },
    'x-exps': { 3: 'auth' },
    starttls: { 2: 'tls' },
    etrn: {},
    turn: { 2: 'turned' },
    atrn: { 2: 'turned' },
    'x-link2state': {},
    // Who the client really is was said by a proxy: all begins anew, with another greeting.
    xclient: { 2: 'hello' },
  },
  mail: { ...OPEN, rcpt: { 2: 'rcpt' } },
  rcpt: {
    ...OPEN,
    rcpt: {},
    data: { 3: 'body' },
    bdat: { 2: 'chunks' },
    'last-chunk': OVER,
    xexch50: { 3: 'blob' },
  },
  chunks: { ...OPEN, bdat: {}, 'last-chunk': OVER },
  body: { 'end-of-body': OVER },
  blob: { 'end-of-blob': { 2: 'rcpt', 4: 'rcpt', 5: 'rcpt' } },
  auth: { 'auth-line': { 2: 'ready', 3: 'auth', 4: 'ready', 5: 'ready' } },
  tls: {},
  turned: {},
  closed: {},
}

export function may(phase: Phase, said: Said): boolean {
  return TRANSITIONS[phase][said] !== undefined
}

/** Where a reply leads; 421 closes from anywhere (RFC 5321 §3.8). */
export function after(phase: Phase, said: Said, code: number): Phase {
  if (code === 421) return 'closed'
  return TRANSITIONS[phase][said]?.[Math.floor(code / 100) as 2] ?? phase
}

/** How a command is called in the table: the last chunk of BDAT ends the message, the others do not. */
export function said(command: Command): Said {
  switch (command.kind) {
    case 'bdat':
      return command.last ? 'last-chunk' : 'bdat'
    case 'garbled':
    case 'unreadable':
    case 'other':
      return 'other'
    default:
      return command.kind
  }
}

/** Nothing may follow these in their group (RFC 2920 §3.1). */
export const ENDS_ITS_GROUP: ReadonlySet<Said> = new Set<Said>([
  'ehlo',
  'helo',
  'data',
  'auth',
  'x-exps',
  'auth-line',
  'starttls',
  'x-link2state',
  'xexch50',
])

/** More commands than this without a reply are not pipelining any more. */
export const MAX_OUTSTANDING = 1000

/**
 * A dialogue followed from outside, with two cursors: what was said last, and the oldest that is still unanswered. The
 * phase moves when the *reply* comes: what a client merely asks for has not happened.
 */
export class Onlooker {
  #phase: Phase = 'greeting'
  #unanswered: Said[] = ['connect']

  get phase(): Phase {
    return this.#phase
  }

  /** The oldest that waits for its reply. */
  get waitingFor(): Said | undefined {
    return this.#unanswered[0]
  }

  get outstanding(): number {
    return this.#unanswered.length
  }

  /** Something was said that will be answered; `false` once there are too many of them to follow. */
  say(said: Said): boolean {
    if (this.#unanswered.length >= MAX_OUTSTANDING) return false
    this.#unanswered.push(said)
    return true
  }

  /** A whole reply passed: what it answered, or `undefined` where nobody had asked. */
  hear(code: number): Said | undefined {
    const asked = takeFirst(this.#unanswered)
    // Whoever only looks on may have missed how it came to this; that the server takes a message is what counts.
    if (code === 354 || (asked === 'data' && Math.floor(code / 100) === 3)) {
      this.#phase = 'body'
      // What was said behind DATA was no command: to the server it is the message's beginning.
      this.#unanswered = []
    } else if (asked === 'end-of-body' && code !== 421) {
      // Whatever the server makes of it, the client has ended its message: what follows are commands.
      this.#phase = 'ready'
    } else if (asked !== undefined) this.#phase = after(this.#phase, asked, code)
    return asked
  }
}
