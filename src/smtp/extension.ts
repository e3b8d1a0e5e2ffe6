import type { Duration, Instant } from '../base/time.ts'
import { formatTimestamp, parseTimestamp } from '../base/timestamp.ts'
import { isAscii } from './address.ts'
import { keywordOf, type Offer } from './capabilities.ts'
import type { CommandKind } from './command.ts'
import { fromXtext, type Params, param } from './params.ts'

/**
 * The extensions we know, each whole in one row: what it adds to MAIL and RCPT, and how far it works as server and as
 * client. `docs/esmtp.md` is made from this table.
 */
export interface Extension {
  readonly keyword: string
  /** `RFC 1870`, or where else it is described. */
  readonly source: string
  readonly params?: readonly ParamSpec[]
  /** The verbs that are not there without it. */
  readonly verbs?: readonly CommandKind[]
  /**
   * Its line in the EHLO list of our own dialect, or nothing while it does not work for this session. A row without is
   * an `Offer`'s service by its keyword, if it is one.
   */
  advertise?(offer: Offer): string | undefined
  readonly server: string
  readonly client: string
}

/** A parameter of MAIL or RCPT, and what is wrong with a value. */
export interface ParamSpec {
  readonly of: 'mail' | 'rcpt'
  readonly keyword: string
  check(value: string | undefined, now: Instant | undefined): string | undefined
}

/** What the parameters of MAIL say about the message. */
export interface MailFacts {
  readonly body: '7bit' | '8bitmime' | 'binarymime'
  readonly smtputf8: boolean
  /** The message may travel under verified TLS only (RFC 8689 §2). */
  readonly requireTls: boolean
  /** Octets, as declared. */
  readonly size?: number
  /** It is not to be sent before then (RFC 4865). */
  readonly hold?: Instant
  /** How urgent it is, -9 to 9 (RFC 6710). */
  readonly priority?: number
  readonly by?: DeliverBy
}

/** By when it must be delivered (RFC 2852), from when it was given. */
export interface DeliverBy {
  readonly within: Duration
  /** Then it is returned, or its sender is told that it is late. */
  readonly mode: 'return' | 'notify'
  /** Each server that hands it on tells the sender. */
  readonly trace: boolean
}

/** A message is held for so long at most; then it has gone, or been given up, before anybody forgot it. */
export const MOST_HOLD: Duration = 7 * 86_400_000

export const NO_MAIL_FACTS: MailFacts = { body: '7bit', smtputf8: false, requireTls: false }

const oneOf =
  (...words: readonly string[]) =>
  (value: string | undefined): string | undefined =>
    value !== undefined && words.includes(value.toUpperCase()) ? undefined : `one of ${words.join(', ')} was expected`

const matching =
  (pattern: RegExp, expected: string) =>
  (value: string | undefined): string | undefined =>
    value !== undefined && pattern.test(value) ? undefined : `${expected} was expected`

const nothing = (value: string | undefined): string | undefined =>
  value === undefined ? undefined : 'no value was expected'

const xtext =
  (most: number, expected: string) =>
  (value: string | undefined): string | undefined => {
    const read = value === undefined || value.length > most ? undefined : fromXtext(value)
    return read !== undefined && isAscii(read) ? undefined : `${expected} was expected`
  }

/** RFC 3461 §4.2: the type of the address, and the address in xtext. */
const orcpt = (value: string | undefined): string | undefined =>
  value !== undefined && /^[A-Za-z0-9-]+;./.test(value)
    ? xtext(500, 'type;xtext of at most 500 octets')(value)
    : 'type;xtext was expected'

/** NEVER stands alone (RFC 3461 §4.1). */
const NOTIFY = /^(?:NEVER|(?:SUCCESS|FAILURE|DELAY)(?:,(?:SUCCESS|FAILURE|DELAY)){0,2})$/i

function holdFor(value: string | undefined): string | undefined {
  const fits = value !== undefined && /^\d{1,9}$/.test(value) && Number(value) * 1000 <= MOST_HOLD
  return fits ? undefined : `${MOST_HOLD / 1000} seconds at most were expected`
}

/** Where nobody tells the time, any will do. */
function holdUntil(value: string | undefined, now: Instant | undefined): string | undefined {
  const until = parseTimestamp(value ?? '')
  if (until === undefined) return 'a time such as 2026-01-31T08:00:00Z was expected'
  if (now === undefined) return undefined
  if (until < now) return 'a time to come was expected'
  return until - now <= MOST_HOLD ? undefined : `no later than ${formatTimestamp(now + MOST_HOLD)} was expected`
}

/** RFC 2852 §4: `BY=120;R`, and where senders are to be told of each step `BY=120;NT`. */
const BY = /^(-?\d{1,9});([RN])(T?)$/i

function byTime(value: string | undefined): string | undefined {
  const [, seconds, mode] = BY.exec(value ?? '') ?? []
  if (seconds === undefined || mode === undefined) return 'seconds;R or seconds;N was expected'
  return mode.toUpperCase() === 'N' || Number(seconds) > 0 ? undefined : 'with R more than no time was expected'
}

/** For who may relay here: a stranger's mail is neither kept for later nor put before that of others. */
const forOurs =
  (line: (now: Instant) => string) =>
  ({ services, loggedIn, now }: Offer): string | undefined =>
    loggedIn || services.has('RELAY') ? line(now) : undefined

const always = (line: string) => (): string => line

/** For servers of one organisation: a stranger need not know that it is there. */
const amongPeers =
  (keyword: string) =>
  ({ services, loggedIn }: Offer): string | undefined =>
    services.has(keyword) && loggedIn ? keyword : undefined

export const EXTENSIONS: readonly Extension[] = [
  {
    keyword: 'SIZE',
    source: 'RFC 1870',
    params: [{ of: 'mail', keyword: 'SIZE', check: matching(/^\d{1,20}$/, 'a number of octets') }],
    advertise: ({ maxSize }) => `SIZE ${maxSize}`,
    server: 'yes: checked at MAIL and at the end of data',
    client: 'yes: declared where offered, and a message over the limit fails with 5.3.4 unsent',
  },
  {
    keyword: 'PIPELINING',
    source: 'RFC 2920',
    advertise: always('PIPELINING'),
    server: 'yes',
    client: 'yes: MAIL, RCPT and DATA in one group',
  },
  {
    keyword: 'ENHANCEDSTATUSCODES',
    source: 'RFC 2034',
    advertise: always('ENHANCEDSTATUSCODES'),
    server: 'yes',
    client: 'read where given',
  },
  {
    keyword: '8BITMIME',
    source: 'RFC 6152',
    params: [{ of: 'mail', keyword: 'BODY', check: oneOf('7BIT', '8BITMIME', 'BINARYMIME') }],
    advertise: always('8BITMIME'),
    server: 'yes',
    client: 'yes; where it is not offered, an 8-bit message is converted, or fails with 5.6.3',
  },
  {
    keyword: 'SMTPUTF8',
    source: 'RFC 6531',
    params: [{ of: 'mail', keyword: 'SMTPUTF8', check: nothing }],
    advertise: always('SMTPUTF8'),
    server: 'yes (own dialect)',
    client: 'yes; where it is not offered and an address needs it, the message fails with 5.6.7',
  },
  {
    keyword: 'CHUNKING',
    source: 'RFC 3030 §2',
    verbs: ['bdat'],
    advertise: always('CHUNKING'),
    server: 'yes; the octets of a refused chunk are taken off the stream all the same',
    client: 'yes: BDAT is preferred where offered; where it is refused as unknown, DATA on a new connection',
  },
  {
    keyword: 'BINARYMIME',
    source: 'RFC 3030 §3',
    advertise: always('BINARYMIME'),
    server: 'yes, with BDAT',
    client: 'yes; where it is not offered, a binary message is converted, or fails with 5.6.3',
  },
  {
    keyword: 'DSN',
    source: 'RFC 3461',
    params: [
      { of: 'mail', keyword: 'RET', check: oneOf('FULL', 'HDRS') },
      { of: 'mail', keyword: 'ENVID', check: xtext(100, 'xtext of at most 100 octets') },
      { of: 'rcpt', keyword: 'NOTIFY', check: matching(NOTIFY, 'NEVER, or of SUCCESS, FAILURE, DELAY') },
      { of: 'rcpt', keyword: 'ORCPT', check: orcpt },
    ],
    advertise: always('DSN'),
    server: 'yes: failures, deliveries, and where the next server offers no DSN, that it was relayed',
    client: 'yes: handed on where offered',
  },
  {
    keyword: 'DELIVERBY',
    source: 'RFC 2852',
    params: [{ of: 'mail', keyword: 'BY', check: byTime }],
    advertise: always('DELIVERBY'),
    server: 'yes: returned when its time is over (R), or its sender told (N); T tells of each step',
    client:
      'yes: what is left of the time; R fails with 5.3.3 where it is not offered, and with 5.4.7 where the server wants more time; N is reported as relayed where it is not offered',
  },
  {
    keyword: 'LIMITS',
    source: 'RFC 9422',
    advertise: ({ maxMessages, maxRecipients }) => `LIMITS MAILMAX=${maxMessages} RCPTMAX=${maxRecipients}`,
    server: 'yes: MAILMAX and RCPTMAX',
    client: 'yes: more recipients go in further transactions',
  },
  {
    keyword: 'STARTTLS',
    source: 'RFC 3207',
    verbs: ['starttls'],
    advertise: ({ startTls, secured }) => (startTls && !secured ? 'STARTTLS' : undefined),
    server: 'yes, where there is a certificate; what came in clear behind it ends the session (554)',
    client: 'yes, by the floor of the connector (none, may, require, verify or pinned), DANE and MTA-STS',
  },
  {
    keyword: 'REQUIRETLS',
    source: 'RFC 8689',
    params: [{ of: 'mail', keyword: 'REQUIRETLS', check: nothing }],
    advertise: ({ secured }) => (secured ? 'REQUIRETLS' : undefined),
    server: 'yes, under TLS',
    client:
      'yes: only to a proven server that offers it, otherwise the message fails with 5.7.30; a report goes without',
  },
  {
    keyword: 'AUTH',
    source: 'RFC 4954',
    params: [{ of: 'mail', keyword: 'AUTH', check: xtext(500, 'xtext of at most 500 octets') }],
    verbs: ['auth'],
    advertise: ({ mechanisms, loggedIn }) =>
      mechanisms.length > 0 && !loggedIn ? `AUTH ${mechanisms.join(' ')}` : undefined,
    server: 'PLAIN, LOGIN, SCRAM-SHA-256, SCRAM-SHA-256-PLUS, NTLM, GSSAPI: those that can be checked here',
    client: 'the same, the strongest that both have',
  },
  {
    keyword: 'FUTURERELEASE',
    source: 'RFC 4865',
    params: [
      { of: 'mail', keyword: 'HOLDFOR', check: holdFor },
      { of: 'mail', keyword: 'HOLDUNTIL', check: holdUntil },
    ],
    advertise: forOurs(now => `FUTURERELEASE ${MOST_HOLD / 1000} ${formatTimestamp(now + MOST_HOLD)}`),
    server: 'yes, for who has logged in or may relay: seven days at most',
    client: 'not used: it is for submission, and a message is held here until it may go',
  },
  {
    keyword: 'MT-PRIORITY',
    source: 'RFC 6710',
    params: [{ of: 'mail', keyword: 'MT-PRIORITY', check: matching(/^(?:0|-?[1-9])$/, '-9 to 9') }],
    advertise: forOurs(() => 'MT-PRIORITY'),
    server:
      'yes, for who has logged in or may relay: who waits for one next hop goes by it, and by how long it has waited',
    client: 'yes: handed on where offered',
  },
  {
    keyword: 'X-EXPS',
    source: 'Exchange 2000',
    verbs: ['x-exps'],
    server: 'as AUTH',
    client: 'as AUTH, where a connector says so',
  },
  {
    keyword: 'VRFY',
    source: 'RFC 5321 §3.5',
    verbs: ['vrfy'],
    server: '252, or the truth where `vrfy` says so',
    client: 'not used',
  },
  { keyword: 'EXPN', source: 'RFC 5321 §3.5', verbs: ['expn'], server: 'refused: 502', client: 'not used' },
  { keyword: 'HELP', source: 'RFC 5321 §4.1.1.8', verbs: ['help'], server: 'yes', client: 'not used' },
  {
    keyword: 'ETRN',
    source: 'RFC 1985',
    verbs: ['etrn'],
    server: 'yes, for the domains of `turn` lines',
    client: 'yes: `connector-pull … etrn`',
  },
  {
    keyword: 'TURN',
    source: 'RFC 821',
    verbs: ['turn'],
    server: 'yes, only after a login and for its own domains',
    client: 'yes: `connector-pull … turn`',
  },
  {
    keyword: 'ATRN',
    source: 'RFC 2645',
    verbs: ['atrn'],
    server: 'yes, only after a login and for its own domains',
    client: 'yes: `connector-pull … atrn`',
  },
  {
    keyword: 'X-LINK2STATE',
    source: 'Exchange 2000',
    verbs: ['x-link2state'],
    advertise: amongPeers('X-LINK2STATE'),
    server: 'yes, after a login: frames are joined, checked and answered',
    client: 'yes, after a login',
  },
  {
    keyword: 'X-POSTERN-LINKSTATE',
    source: 'Postern',
    advertise: amongPeers('X-POSTERN-LINKSTATE'),
    server: 'yes (own dialect): frames of X-LINK2STATE may tell only what changed',
    client: 'yes, where it is offered',
  },
  {
    keyword: 'XEXCH50',
    source: 'Exchange 2000',
    verbs: ['xexch50'],
    advertise: amongPeers('XEXCH50'),
    server: 'yes, after a login: the blob is framed by its size and kept with the message',
    client: 'yes, after a login: handed on where offered, dropped with a note elsewhere',
  },
  {
    keyword: 'XCLIENT',
    source: 'Postfix XCLIENT',
    verbs: ['xclient'],
    advertise: ({ services }) => (services.has('XCLIENT') ? 'XCLIENT NAME ADDR PORT PROTO HELO LOGIN' : undefined),
    server: 'yes, from the peers of `trust-proxy` lines only',
    client: 'not used',
  },
]

/** The EHLO list of our own dialect: what works now, and nothing else. */
export function advertised(offer: Offer): readonly string[] {
  const lines = EXTENSIONS.map(({ keyword, advertise }) =>
    advertise ? advertise(offer) : offer.services.has(keyword) ? keyword : undefined,
  )
  return lines.filter(line => line !== undefined)
}

/** The keyword without which this verb is not there; `undefined` for the verbs of RFC 5321 itself. */
export function extensionOf(kind: CommandKind): string | undefined {
  return BY_VERB.get(kind)
}

const BY_VERB: ReadonlyMap<CommandKind, string> = new Map(
  EXTENSIONS.flatMap(({ keyword, verbs = [] }) => verbs.map(verb => [verb, keyword] as const)),
)

/** 555 or 501, by the words of the dialect. */
interface Fault {
  readonly situation: 'bad-parameter' | 'bad-argument'
  readonly wrong: string
}

type Checked<T> = { readonly facts: T } | Fault

const SPECS: readonly (ParamSpec & { readonly needs: string })[] = EXTENSIONS.flatMap(({ keyword, params }) =>
  (params ?? []).map(spec => ({ ...spec, needs: keyword })),
)

/** The keywords that a client was told of, in whatever they are kept. */
export type Listed = Pick<ReadonlySet<string>, 'has'>

/**
 * Which parameter cannot be taken, and why: 555 for one we do not know or have not listed, 501 for a wrong value
 * (RFC 5321 §4.1.1.11). `listed`: the keywords of the EHLO list that the client was given; behind HELO there are none.
 */
function firstWrong(
  of: ParamSpec['of'],
  given: Params,
  { listed, now }: { readonly listed: Listed; readonly now: Instant | undefined },
): Fault | undefined {
  for (const { keyword, value } of given) {
    const spec = SPECS.find(each => each.of === of && each.keyword === keyword)
    if (!spec || !listed.has(spec.needs)) return { situation: 'bad-parameter', wrong: keyword }
    const wrong = spec.check(value, now)
    if (wrong !== undefined) return { situation: 'bad-argument', wrong: `${keyword}: ${wrong}` }
    if (keyword === 'BODY' && value?.toUpperCase() === 'BINARYMIME' && !listed.has('BINARYMIME')) {
      return { situation: 'bad-parameter', wrong: 'BODY=BINARYMIME' }
    }
  }
  return undefined
}

/** `now`: for whoever acts on times in them. */
export function checkMailParams(given: Params, listed: Listed, now?: Instant): Checked<MailFacts> {
  const wrong = firstWrong('mail', given, { listed, now })
  if (wrong) return wrong
  if (param(given, 'HOLDFOR') && param(given, 'HOLDUNTIL')) {
    return { situation: 'bad-argument', wrong: 'HOLDFOR and HOLDUNTIL: one of the two was expected' }
  }
  let facts = NO_MAIL_FACTS
  for (const { keyword, value } of given) {
    if (keyword === 'SIZE') facts = { ...facts, size: Number(value) }
    if (keyword === 'BODY') facts = { ...facts, body: (value ?? '').toLowerCase() as MailFacts['body'] }
    if (keyword === 'SMTPUTF8') facts = { ...facts, smtputf8: true }
    if (keyword === 'REQUIRETLS') facts = { ...facts, requireTls: true }
    if (keyword === 'HOLDFOR') facts = { ...facts, hold: (now ?? 0) + Number(value) * 1000 }
    if (keyword === 'HOLDUNTIL') facts = { ...facts, hold: parseTimestamp(value ?? '') ?? 0 }
    if (keyword === 'MT-PRIORITY') facts = { ...facts, priority: Number(value) }
    if (keyword === 'BY') facts = { ...facts, by: deliverBy(value) }
  }
  return { facts }
}

function deliverBy(value = ''): DeliverBy {
  const [, seconds, mode, trace] = BY.exec(value) ?? []
  return {
    within: Number(seconds) * 1000,
    mode: mode?.toUpperCase() === 'R' ? 'return' : 'notify',
    trace: trace !== '',
  }
}

export function checkRcptParams(given: Params, listed: Listed): Checked<undefined> {
  return firstWrong('rcpt', given, { listed, now: undefined }) ?? { facts: undefined }
}

/** The keywords that lines of an EHLO list are about. */
export function listedBy(lines: readonly string[]): ReadonlySet<string> {
  // One client after the other is given the same list.
  const said = lines.join('\n')
  if (lastListed.said !== said) lastListed = { said, keywords: new Set(lines.map(keywordOf)) }
  return lastListed.keywords
}

let lastListed: { readonly said: string; readonly keywords: ReadonlySet<string> } = { said: '', keywords: new Set() }
