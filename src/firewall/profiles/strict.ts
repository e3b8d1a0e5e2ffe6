import type { Duration } from '../../base/time.ts'
import { SIZE } from '../../config/argument.ts'
import type { Network } from '../../topology/topology.ts'
import type { Action, Cause, OctetKind, Proxying, Rule, SizeKind } from '../policy.ts'
import type { ProxyPolicy } from '../proxy.ts'

/**
 * Everything that `strict` counts, lists and waits for, by name. Whoever needs another number changes it here, and the
 * explanation of a refusal says which.
 */
export interface StrictSettings {
  /** Extensions that may be offered and used, in upper case. */
  readonly extensions: ReadonlySet<string>
  readonly mechanisms: ReadonlySet<string>
  /** Verbs that nobody outside needs. */
  readonly closedVerbs: ReadonlySet<string>
  /** Back doors of another age: whoever says them means no good. */
  readonly backDoors: ReadonlySet<string>
  /** Verbs between the servers of one organisation, for `sites` only. */
  readonly siteVerbs: ReadonlySet<string>
  /** Who these servers are. */
  readonly sites: readonly Network[]
  /** Domains that mail is taken for, and what is below them; empty: the server behind decides. */
  readonly domains: ReadonlySet<string>
  /** The server behind does not read `%`, `!`, a quoted `@` or a source route as a way to somebody else. */
  readonly backendKnowsRelayForms: boolean
  /** What becomes of a bare CR, a bare LF and a NUL in a message. */
  readonly strays: 'reject' | Extract<Action, { kind: 'normalise' }>['to']
  /** Octets. */
  readonly messageSize: number
  readonly headerSize: number
  readonly recipients: number
  /** Recipients of one transaction that the server refused. */
  readonly invalidRecipients: number
  /** Commands that were refused, and commands that bring no mail on, before it is over. */
  readonly errors: number
  readonly junk: number
  readonly engine: Proxying
}

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
  xclient: false,
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
  },
  minDataRate: 500,
}

export const STRICT: StrictSettings = {
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
  closedVerbs: new Set(['EXPN', 'ETRN', 'TURN', 'ATRN']),
  backDoors: new Set(['WIZ', 'DEBUG', 'KILL']),
  siteVerbs: new Set(['X-EXPS', 'X-LINK2STATE', 'XEXCH50']),
  sites: [],
  domains: new Set(),
  backendKnowsRelayForms: false,
  strays: 'reject',
  messageSize: 64 * 1024 * 1024,
  headerSize: 102_400,
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
export function strict(cause: Cause, changes: StrictChanges = {}, lines: StrictLines = new Map()): ProxyPolicy {
  const settings = { ...STRICT, ...changes, engine: { ...STRICT.engine, ...changes.engine } }
  const by: By = (name, cure) => ({ ...(lines.get(name) ?? cause), cure: `strict ${cure}` })
  const rules = [
    ...verbs(settings, by),
    ...offers(settings, by),
    ...addresses(settings, by),
    ...sizes(settings, by),
    ...octets(settings, by),
  ]
  const settled = { tls: by('tls', 'tls pass'), onwardTls: by('onward-tls', 'onward-tls may') }
  return { name: 'strict', engine: settings.engine, rules, directions: new Set(['inbound']), cause, settled }
}

/** Lines that say a setting, by their second word: `strict tls off` by `tls`. */
export type StrictLines = ReadonlyMap<string, Omit<Cause, 'cure'>>

/** By the line of this name, else by the one that put the profile in force; and what to write to have it otherwise. */
type By = (name: string, cure: string) => Cause

function verbs({ closedVerbs, backDoors, siteVerbs, sites }: StrictSettings, by: By): readonly Rule[] {
  const between: Rule[] = [
    {
      match: {
        on: 'all',
        of: [
          { on: 'peer', within: sites },
          { on: 'word', what: 'verb', in: siteVerbs },
        ],
      },
      action: { kind: 'pass' },
      reason: 'servers of one organisation talk among themselves',
    },
    {
      match: { on: 'word', what: 'verb', in: siteVerbs },
      action: answer(504, '5.7.0', 'Need to authenticate first'),
      reason: 'such verbs are for the named servers of one organisation (CVE-2005-0560, CVE-2003-0714)',
      cause: by('site', 'site host <peer>'),
    },
  ]
  return [
    ...between,
    {
      match: { on: 'word', what: 'verb', in: closedVerbs },
      action: answer(502, '5.5.1', 'Command is not available'),
      reason: 'nobody outside needs it',
    },
    {
      match: { on: 'word', what: 'verb', in: backDoors },
      action: answer(500, '5.5.1', 'Command unrecognized'),
      reason: 'an attack: these were back doors of mail servers once',
      log: true,
    },
  ]
}

function offers({ extensions, mechanisms, siteVerbs, sites }: StrictSettings, by: By): readonly Rule[] {
  return [
    {
      match: {
        on: 'all',
        of: [
          { on: 'peer', within: sites },
          { on: 'word', what: 'ehlo-keyword', in: siteVerbs },
        ],
      },
      action: { kind: 'pass' },
      reason: 'servers of one organisation talk among themselves',
    },
    {
      match: { on: 'word', what: 'ehlo-keyword', in: siteVerbs },
      action: { kind: 'strip' },
      reason: 'it is for the named servers of one organisation',
      cause: by('site', 'site host <peer>'),
    },
    {
      match: { on: 'not', match: { on: 'word', what: 'ehlo-keyword', in: extensions } },
      action: { kind: 'strip' },
      reason: 'the extension is not on the list',
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
    {
      match: { on: 'not', match: { on: 'word', what: 'auth-mechanism', in: mechanisms } },
      action: { kind: 'strip' },
      reason: 'the mechanism is not on the list',
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

function addresses({ domains, backendKnowsRelayForms }: StrictSettings, by: By): readonly Rule[] {
  const refused = answer(550, '5.7.1', 'Relaying denied')
  const forms = backendKnowsRelayForms ? [] : RELAY_FORMS
  return [
    ...forms.map(
      ([form, name]): Rule => ({
        match: { on: 'text', what: 'recipient', like: [form] },
        action: refused,
        reason: `${name} leads past what the rules speak of`,
      }),
    ),
    {
      match: { on: 'octet', what: 'special' },
      action: answer(553, '5.1.3', 'Not an address we take'),
      reason: 'a shell somewhere may read it (CVE-2020-7247)',
    },
    ...(domains.size === 0
      ? []
      : [
          {
            match: { on: 'relay', except: domains },
            action: refused,
            reason: 'mail is taken for the listed domains',
            cause: by('domain', 'domain <word>'),
          } as const,
        ]),
    ...(domains.size === 0
      ? [
          {
            match: { on: 'text', what: 'recipient', like: ['@\\['] },
            action: refused,
            reason: 'an address literal is a host, and not a domain of ours',
          } as const,
        ]
      : []),
  ]
}

function sizes(settings: StrictSettings, by: By): readonly Rule[] {
  const over = (what: SizeKind, most: number, action: Action, reason: string): Rule => ({
    match: { on: 'size', what, over: most },
    action,
    reason: `${reason} (${most})`,
  })
  const { messageSize, headerSize, recipients, invalidRecipients, errors, junk } = settings
  const last = answer(421, '4.7.0', 'Too many errors', true)
  return [
    {
      ...over('message', messageSize, answer(552, '5.3.4', 'Message size exceeds the limit'), 'octets of a message'),
      cause: by('message-size', `message-size ${SIZE.show(2 * messageSize)}`),
    },
    over('header', headerSize, answer(552, '5.3.4', 'Message header exceeds the limit'), 'octets of a header'),
    over('recipients', recipients, answer(452, '4.5.3', 'Too many recipients'), 'recipients of a message'),
    over('invalid-recipients', invalidRecipients, last, 'refused recipients of one transaction'),
    over('errors', errors - 1, last, 'refused commands of one session'),
    over('junk', junk - 1, last, 'commands without mail'),
  ]
}

const STRAYS: readonly (readonly [OctetKind, string])[] = [
  ['bare-cr', 'bare CR'],
  ['bare-lf', 'bare LF'],
  ['nul', 'NUL'],
]

function octets({ strays }: StrictSettings, by: By): readonly Rule[] {
  const cause = by('bare-line-ends', `bare-line-ends ${strays === 'reject' ? 'space' : 'reject'}`)
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
