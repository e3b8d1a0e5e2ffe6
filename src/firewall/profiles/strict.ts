import type { Duration } from '../../base/time.ts'
import { DURATION } from '../../config/argument.ts'
import { domainKey } from '../../smtp/address.ts'
import type { Network } from '../../topology/topology.ts'
import type { Action, Cause, OctetKind, Proxying, ProxyWaits, Rule, SizeKind } from '../policy.ts'
import type { ProxyPolicy } from '../proxy.ts'
import { UNDERSTOOD } from '../proxy-offer.ts'
import { bannerRules, type Front, OPEN_FRONT, rateRules } from './front.ts'
import { Lines, type SettingLines } from './lines.ts'

/**
 * Everything that `strict` counts, lists and waits for, by name. Whoever needs another number changes it here, and the
 * explanation of a refusal says which.
 */
export interface StrictSettings extends Front {
  /** Extensions that may be offered and used, in upper case. */
  readonly extensions: ReadonlySet<string>
  readonly mechanisms: ReadonlySet<string>
  /** The servers of one organisation, for whom the verbs between such servers are. */
  readonly sites: readonly Network[]
  /** Domains that mail is taken for, and what is below them; empty: the server behind decides. */
  readonly domains: ReadonlySet<string>
  /** Addresses of these kinds pass. */
  readonly allowed: ReadonlySet<Allowance>
  /** What becomes of a bare CR, a bare LF and a NUL in a message. */
  readonly strays: 'reject' | Extract<Action, { kind: 'normalise' }>['to']
  /** Octets. */
  readonly messageSize: number
  readonly headerSize: number
  /** Octets of a line of a header, beyond which it is folded; 0 for none. */
  readonly headerLine: number
  /** Octets of a line of a message, and of one that ends in a dot; 0 for no limit. */
  readonly bodyLine: number
  readonly dottedLine: number
  readonly recipients: number
  /** Recipients of one transaction that the server refused. */
  readonly invalidRecipients: number
  /** Commands that were refused, and commands that bring no mail on, before it is over. */
  readonly errors: number
  readonly junk: number
  readonly engine: Proxying
}

/** Kinds of address that are refused unless a line allows them, and whoever allows them knows what. */
export const ALLOWANCES = {
  'relay-forms':
    'recipients with %, !, a quoted @ or a source route: the server behind reads them as no way to anybody else',
  'address-literals': 'recipients at a host by its number, as if it were a domain of ours',
  'address-specials': 'addresses with | or `, which no shell behind the server may get to read',
} as const

export type Allowance = keyof typeof ALLOWANCES

/** Verbs between the servers of one organisation. */
const SITE_VERBS: ReadonlySet<string> = new Set(['X-EXPS', 'X-LINK2STATE', 'XEXCH50'])
/** Back doors of another age: whoever says them means no good. */
const BACK_DOORS: ReadonlySet<string> = new Set(['WIZ', 'DEBUG', 'KILL'])
/** They turn the dialogue round, and that no proxy can follow. */
const TURNING: ReadonlySet<string> = new Set(['TURN', 'ATRN'])
/** Verbs that nobody outside needs, with an extension of the same name. */
const OPTION_VERBS: readonly string[] = ['EXPN', 'ETRN']

/** Extensions that a line may put on the list. Those between sites have another line, and no other is understood. */
export const STRICT_EXTENSIONS: ReadonlySet<string> = new Set(
  [...UNDERSTOOD].filter(keyword => !SITE_VERBS.has(keyword) && !TURNING.has(keyword) && keyword !== 'XCLIENT'),
)

/** What Exchange servers log in to each other with. */
const SITE_MECHANISMS: ReadonlySet<string> = new Set(['GSSAPI', 'NTLM', 'LOGIN'])

const MINUTE: Duration = 60_000

/** What another site has otherwise. */
export type StrictChanges = Partial<Omit<StrictSettings, 'engine'>> & { readonly engine?: Partial<Proxying> }

const ENGINE: Proxying = {
  kind: 'proxy',
  tls: 'terminate',
  onwardTls: 'may',
  authInClear: false,
  talkingAhead: 'refuse',
  xclient: 'never',
  chunking: 'convert',
  hideServer: false,
  masquerade: new Map(),
  // RFC 5321 §4.5.3.2 has 5 minutes for a command, 3 for data, 10 for what the server makes of it.
  waits: {
    pregreet: 0,
    command: 5 * MINUTE,
    data: 3 * MINUTE,
    reply: 10 * MINUTE,
    write: 5 * MINUTE,
    session: 120 * MINUTE,
    error: 0,
  },
  minDataRate: 500,
  softErrors: 10,
}

export const STRICT: StrictSettings = {
  ...OPEN_FRONT,
  extensions: new Set([
    'SIZE',
    'PIPELINING',
    '8BITMIME',
    'BINARYMIME',
    'CHUNKING',
    'DSN',
    'ENHANCEDSTATUSCODES',
    'SMTPUTF8',
    'AUTH',
    'STARTTLS',
  ]),
  mechanisms: new Set(['PLAIN', 'LOGIN', 'CRAM-MD5', 'SCRAM-SHA-1', 'SCRAM-SHA-256', 'XOAUTH2', 'OAUTHBEARER']),
  sites: [],
  domains: new Set(),
  allowed: new Set(),
  strays: 'reject',
  messageSize: 64 * 1024 * 1024,
  headerSize: 102_400,
  headerLine: 0,
  bodyLine: 0,
  // Longer ones no server need take (RFC 5321 §4.5.3.1.6), so some take those in pieces.
  dottedLine: 998,
  recipients: 1000,
  invalidRecipients: 50,
  errors: 20,
  junk: 100,
  engine: ENGINE,
}

/**
 * The front door that people should have: what is not understood does not pass, what passes is said anew, and everything
 * has a limit.
 */
export function strict(cause: Cause, changes: StrictChanges = {}, lines: SettingLines = new Map()): ProxyPolicy {
  const settings = { ...STRICT, ...changes, engine: { ...STRICT.engine, ...changes.engine } }
  const say = new Lines('strict', cause, lines)
  const rules = [
    ...bannerRules(settings, say),
    ...verbs(settings, say),
    ...offers(settings, say),
    ...addresses(settings, say),
    ...sizes(settings, say),
    ...octets(settings, say),
    ...rateRules(settings, say),
  ]
  const { engine } = settings
  return { name: 'strict', engine, rules, directions: new Set(['inbound']), cause, settled: settledBy(engine, say) }
}

/** The waits, and the words of their lines. */
export const WAITS: Readonly<Record<Exclude<keyof ProxyWaits, 'pregreet'>, string>> = {
  command: 'command-wait',
  data: 'data-wait',
  reply: 'reply-wait',
  write: 'write-wait',
  session: 'session-wait',
  error: 'error-delay',
}

function settledBy({ waits, xclient }: Proxying, say: Lines): NonNullable<ProxyPolicy['settled']> {
  const waiting = Object.entries(WAITS).map(
    ([key, word]) => [key, say.by(key, `${word} ${DURATION.show(2 * waits[key as keyof ProxyWaits])}`)] as const,
  )
  return {
    ...Object.fromEntries(waiting),
    tls: say.by('tls', 'tls pass'),
    onwardTls: say.by('onwardTls', 'onward-tls may'),
    authInClear: say.by('authInClear', 'auth-in-clear'),
    xclient: say.by('xclient', xclient === 'must' ? 'xclient' : 'xclient must'),
    talkingAhead: say.by('talkingAhead', 'talking-ahead wait'),
    minDataRate: say.by('minDataRate', 'data-rate 0'),
    error: say.by('error', 'error-delay 0s'),
  }
}

function verbs({ extensions, sites }: StrictSettings, say: Lines): readonly Rule[] {
  const between: Rule[] = [
    {
      match: {
        on: 'all',
        of: [
          { on: 'peer', within: sites },
          { on: 'word', what: 'verb', in: SITE_VERBS },
        ],
      },
      action: { kind: 'pass' },
      reason: 'servers of one organisation talk among themselves',
    },
    {
      match: { on: 'word', what: 'verb', in: SITE_VERBS },
      action: answer(504, '5.7.0', 'Need to authenticate first'),
      reason: 'such verbs are for the named servers of one organisation (CVE-2005-0560, CVE-2003-0714)',
      cause: say.by('site', 'site host <peer>'),
    },
  ]
  const closed = answer(502, '5.5.1', 'Command is not available')
  return [
    ...between,
    {
      match: { on: 'word', what: 'verb', in: TURNING },
      action: closed,
      reason: 'it turns the dialogue round, and that no proxy follows',
    },
    ...OPTION_VERBS.filter(verb => !extensions.has(verb)).map(
      (verb): Rule => ({
        match: { on: 'word', what: 'verb', in: new Set([verb]) },
        action: closed,
        reason: 'nobody outside needs it',
        cause: say.by(`extension ${verb}`, `extension ${verb}`),
      }),
    ),
    {
      match: { on: 'word', what: 'verb', in: BACK_DOORS },
      action: answer(500, '5.5.1', 'Command unrecognized'),
      reason: 'an attack: these were back doors of mail servers once',
      log: true,
    },
  ]
}

function offers({ extensions, mechanisms, sites }: StrictSettings, say: Lines): readonly Rule[] {
  const unlisted = [...STRICT_EXTENSIONS].filter(keyword => !extensions.has(keyword))
  const strip = { kind: 'strip' } as const
  return [
    {
      match: {
        on: 'all',
        of: [
          { on: 'peer', within: sites },
          { on: 'word', what: 'ehlo-keyword', in: SITE_VERBS },
        ],
      },
      action: { kind: 'pass' },
      reason: 'servers of one organisation talk among themselves',
    },
    {
      match: { on: 'word', what: 'ehlo-keyword', in: SITE_VERBS },
      action: strip,
      reason: 'it is for the named servers of one organisation',
      cause: say.by('site', 'site host <peer>'),
    },
    ...unlisted.map(
      (keyword): Rule => ({
        match: { on: 'word', what: 'ehlo-keyword', in: new Set([keyword]) },
        action: strip,
        reason: 'the extension is not on the list',
        cause: say.by(`extension ${keyword}`, `extension ${keyword}`),
      }),
    ),
    {
      match: { on: 'not', match: { on: 'word', what: 'ehlo-keyword', in: extensions } },
      action: strip,
      reason: 'the proxy does not understand it, or could not follow it',
    },
    {
      match: {
        on: 'all',
        of: [
          { on: 'peer', within: sites },
          { on: 'word', what: 'auth-mechanism', in: SITE_MECHANISMS },
        ],
      },
      action: { kind: 'pass' },
      reason: 'servers of one organisation talk among themselves',
    },
    ...say.off('mechanism').map(
      (word): Rule => ({
        match: { on: 'word', what: 'auth-mechanism', in: new Set([word]) },
        action: strip,
        reason: 'the mechanism is not on the list',
        cause: say.by(`mechanism ${word}`, `mechanism ${word}`),
      }),
    ),
    {
      match: { on: 'not', match: { on: 'word', what: 'auth-mechanism', in: mechanisms } },
      action: strip,
      reason: 'the mechanism is not on the list',
      cause: say.by('mechanism', 'mechanism <word>'),
    },
  ]
}

/** Ways of writing an address that some server once took for a way to somebody else; `"` stands for text in a pattern. */
const RELAY_FORMS: readonly (readonly [pattern: string, name: string])[] = [
  ['^@', 'a source route'],
  ['^[^@]*%', 'the percent hack'],
  ['^[^@]*!', 'a bang path'],
  ['^\\".*@.*\\"', 'a quoted @'],
]

function addresses({ domains, allowed }: StrictSettings, say: Lines): readonly Rule[] {
  const refused = answer(550, '5.7.1', 'Relaying denied')
  const unless = (what: Allowance, ...rules: readonly Omit<Rule, 'cause'>[]): readonly Rule[] =>
    allowed.has(what) ? [] : rules.map(rule => ({ ...rule, cause: say.by(`allow ${what}`, `allow ${what}`) }))
  return [
    ...unless(
      'relay-forms',
      ...RELAY_FORMS.map(([form, name]) => ({
        match: { on: 'text', what: 'recipient', like: [form] } as const,
        action: refused,
        reason: `${name} leads past what the rules speak of`,
      })),
    ),
    ...unless('address-specials', {
      match: { on: 'octet', what: 'special' },
      action: answer(553, '5.1.3', 'Not an address we take'),
      reason: 'a shell somewhere may read it (CVE-2020-7247)',
    }),
    ...unless('address-literals', {
      match: { on: 'text', what: 'recipient', like: ['@\\['] },
      action: refused,
      reason: 'an address literal is a host, and not a domain of ours',
    }),
    ...(domains.size === 0
      ? []
      : [
          {
            match: {
              on: 'relay',
              except: new Set([...domains].map(domainKey)),
              literals: allowed.has('address-literals'),
            },
            action: refused,
            reason: 'mail is taken for the listed domains',
            cause: say.by('domain', 'domain <word>'),
          } as const,
        ]),
  ]
}

/** The settings that are a limit, and the words of their lines. */
export const LIMITS: Readonly<Record<Limit, string>> = {
  messageSize: 'message-size',
  headerSize: 'header-size',
  recipients: 'recipients',
  invalidRecipients: 'invalid-recipients',
  errors: 'errors',
  junk: 'junk',
}

type Limit = 'messageSize' | 'headerSize' | 'recipients' | 'invalidRecipients' | 'errors' | 'junk'

function sizes(settings: StrictSettings, say: Lines): readonly Rule[] {
  const last = answer(421, '4.7.0', 'Too many errors', true)
  /** At the limit where the last one is refused, over it where all up to it pass. */
  const limit = (
    key: Limit,
    what: SizeKind,
    { action, reason, at = 'over' }: { action: Action; reason: string; at?: 'over' | 'limit' },
  ): Rule => ({
    match: { on: 'size', what, over: at === 'over' ? settings[key] : settings[key] - 1 },
    action,
    reason: `${reason} (${settings[key]})`,
    cause: say.by(key, `${LIMITS[key]} ${key === 'messageSize' || key === 'headerSize' ? '<size>' : '<number>'}`),
  })
  return [
    limit('messageSize', 'message', {
      action: answer(552, '5.3.4', 'Message size exceeds the limit'),
      reason: 'octets of a message',
    }),
    limit('headerSize', 'header', {
      action: answer(552, '5.3.4', 'Message header exceeds the limit'),
      reason: 'octets of a header',
    }),
    ...folding(settings, say),
    ...lineLengths(settings, say),
    limit('recipients', 'recipients', {
      action: answer(452, '4.5.3', 'Too many recipients'),
      reason: 'recipients of a message',
    }),
    limit('invalidRecipients', 'invalid-recipients', { action: last, reason: 'refused recipients of one transaction' }),
    limit('errors', 'errors', { action: last, reason: 'refused commands of one session', at: 'limit' }),
    limit('junk', 'junk', { action: last, reason: 'commands without mail', at: 'limit' }),
  ]
}

function folding({ headerLine }: StrictSettings, say: Lines): readonly Rule[] {
  if (headerLine === 0) return []
  return [
    {
      match: { on: 'size', what: 'header-line', over: headerLine },
      action: { kind: 'fold', to: headerLine },
      reason: `octets of a header line (${headerLine})`,
      cause: say.by('headerLine', 'header-line 0'),
    },
  ]
}

/**
 * A server that reads a long line in pieces, and does not remember that it goes on, takes a dot that is its last piece for
 * the end of the message. How long the pieces are only an attacker knows, so any long line that ends in a dot is one.
 */
function lineLengths({ bodyLine, dottedLine }: StrictSettings, say: Lines): readonly Rule[] {
  const limit = (
    what: 'body-line' | 'dotted-line',
    over: number,
    text: string,
    reason: string,
    cause: Cause,
  ): Rule[] =>
    over === 0 ? [] : [{ match: { on: 'size', what, over }, action: answer(554, '5.6.0', text), reason, cause }]
  return [
    ...limit(
      'body-line',
      bodyLine,
      'A line of this message is too long',
      `octets of a line (${bodyLine})`,
      say.by('bodyLine', 'body-line <number>'),
    ),
    ...limit(
      'dotted-line',
      dottedLine,
      'A line of this message is too long to end in a dot',
      `octets of a line that ends in a dot (${dottedLine}), such as a paragraph that was never wrapped: a server that reads lines in pieces takes the dot for the end of the message, and what follows for commands`,
      say.by('dottedLine', 'dotted-line 0'),
    ),
  ]
}

const STRAYS: readonly (readonly [OctetKind, string])[] = [
  ['bare-cr', 'bare CR'],
  ['bare-lf', 'bare LF'],
  ['nul', 'NUL'],
]

function octets({ strays }: StrictSettings, say: Lines): readonly Rule[] {
  const cause = say.by('strays', `bare-line-ends ${strays === 'reject' ? 'space' : 'reject'}`)
  return STRAYS.map(([what, name]) => ({
    match: { on: 'octet', what },
    action:
      strays === 'reject'
        ? answer(550, '5.5.2', `Message refused: it holds a ${name}`)
        : { kind: 'normalise', to: what === 'bare-lf' ? strays : strays === 'crlf' ? 'space' : strays },
    reason: `a ${name} is a line end to some servers: a second message could hide behind it (CVE-2023-51764)`,
    cause,
  }))
}

function answer(code: number, status: string, text: string, close = false): Action {
  return { kind: 'answer', reply: { code, status, text }, ...(close ? { close } : {}) }
}
