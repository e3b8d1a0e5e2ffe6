import { upper } from '../base/bytes.ts'
import { Keyed } from '../base/keyed.ts'
import { type CommonKind, DURATION, NUMBER, SIZE } from '../config/argument.ts'
import type { Arguments, CommandSpec } from '../config/grammar.ts'
import { domainKey } from '../smtp/address.ts'
import type { Network } from '../topology/topology.ts'
import { showNetwork } from './access.ts'
import type { Proxying, ProxyWaits } from './policy.ts'
import { BANNERS, FRONT_HELP, type Front } from './profiles/front.ts'
import { prefixed, type SettingLines } from './profiles/lines.ts'
import {
  ALLOWANCES,
  type Allowance,
  LIMITS,
  STRICT,
  STRICT_EXTENSIONS,
  type StrictChanges,
  type StrictSettings,
  WAITS,
} from './profiles/strict.ts'
import {
  type Block,
  type Change,
  kindLine,
  linesOf,
  listLine,
  NO_SETTINGS,
  type Settings,
  switchLine,
  ticked,
  type ValueLine,
  valueLine,
  withChange,
} from './setting-lines.ts'
import { distrust, TRUSTED_SYNTAX, trust } from './trusted.ts'

/** Lengths of lines; 0 for no limit. */
type LineKey = 'headerLine' | 'bodyLine' | 'dottedLine'

/** The settings of `strict` that hold one value: of its rules, and of its engine. */
type RuleValues = Pick<StrictSettings, keyof typeof LIMITS | LineKey | 'strays' | keyof Front>
type EngineValues = Pick<
  Proxying,
  'tls' | 'onwardTls' | 'authInClear' | 'talkingAhead' | 'xclient' | 'minDataRate' | 'softErrors'
>
type Values = RuleValues & EngineValues & ProxyWaits

/** What `strict` has otherwise than it comes with. */
export interface StrictConfig extends Settings<Values> {
  readonly sites: readonly Network[]
  readonly domains: readonly string[]
}

export const AS_STRICT_COMES: StrictConfig = { ...NO_SETTINGS, sites: [], domains: [] }

interface Config {
  readonly strict: StrictConfig
}

type Spec = CommandSpec<Config>

const BLOCK = {
  prefix: 'strict',
  changed: (config: Config, _: Arguments, change: Change<Values>): Config => ({
    ...config,
    strict: withChange<Values, StrictConfig>(config.strict, change),
  }),
  shown: ({ strict }: Config, lines: (strict: StrictConfig) => readonly string[]): readonly string[] =>
    lines(strict).map(line => prefixed('strict', line)),
} satisfies Block<Config, Values>

const USUAL: Values = { ...STRICT, ...STRICT.engine, ...STRICT.engine.waits }

function kindOf<K extends keyof Values>(
  key: K,
  word: string,
  kind: CommonKind<Values[K]>,
  more: Pick<ValueLine<Values[K]>, 'help' | 'wrong'>,
): Spec {
  return kindLine<Config, Values, K>(BLOCK, key, kind, { word, usual: USUAL[key], ...more })
}

function choice<K extends 'tls' | 'onwardTls' | 'talkingAhead' | 'strays' | 'banner'>(
  key: K,
  word: string,
  help: string,
  words: Readonly<Record<Values[K], string>>,
): Spec {
  const takes = `<value:${Object.keys(words).join('|')}>`
  return valueLine<Config, Values, K>(BLOCK, key, { word, takes, help, usual: USUAL[key], words, show: value => value })
}

/* Who, and which mail. */

const SITE: Spec = {
  syntax: `strict site ${TRUSTED_SYNTAX}`,
  help: 'A server of our own organisation: X-EXPS, X-LINK2STATE and XEXCH50 are let through from it, and looked into',
  apply(config, args, at) {
    const sites = trust(config.strict.sites, args)
    return 'problems' in sites ? sites : named(config, { sites }, { site: at })
  },
  remove: (config, args) => named(config, { sites: distrust(config.strict.sites, args) }),
  show: ({ strict: { sites } }) => sites.map(each => `strict site ${showNetwork(each)}`),
}

const DOMAINS = new Keyed<string>(domainKey)

const DOMAIN: Spec = {
  syntax: 'strict domain <domain>',
  help: 'Take mail for this domain and those below it; with no such line the server decides',
  // In either spelling: both mean the same, and there is nothing else in the line.
  apply: (config, args, at) =>
    named(config, { domains: DOMAINS.with(config.strict.domains, args.text('domain')) }, { domain: at }),
  remove: (config, args) =>
    named(config, { domains: DOMAINS.without(config.strict.domains, domainKey(args.text('domain'))) }),
  show: ({ strict: { domains } }) => domains.map(each => `strict domain ${each}`),
}

/** A list of names changed; its last line stands for all. */
function named(
  config: Config,
  change: Partial<Pick<StrictConfig, 'sites' | 'domains'>>,
  at: StrictConfig['at'] = {},
): Config {
  const next = { ...config.strict, ...change }
  const { site, domain, ...others } = { ...next.at, ...at }
  const lines = {
    ...others,
    ...(site && next.sites.length > 0 && { site }),
    ...(domain && next.domains.length > 0 && { domain }),
  }
  return { ...config, strict: { ...next, at: lines } }
}

/* Lists. */

const LISTS: readonly Spec[] = [
  listLine<Config, Values>(BLOCK, {
    list: 'extension',
    canonical: upper,
    help: `An extension that may be offered and used, with its verb (${[...STRICT.extensions].join(', ')})`,
    usual: () => STRICT.extensions,
    wrong: word =>
      STRICT_EXTENSIONS.has(word)
        ? undefined
        : {
            message: 'the proxy knows no such extension, and would not pass it on',
            hint: `known: ${[...STRICT_EXTENSIONS].sort().join(', ')}`,
          },
  }),
  listLine<Config, Values>(BLOCK, {
    list: 'mechanism',
    canonical: upper,
    help: `A SASL mechanism that may be offered and used (${[...STRICT.mechanisms].join(', ')})`,
    usual: () => STRICT.mechanisms,
    // RFC 4422 §3.1.
    wrong: word =>
      /^[A-Z0-9_-]{1,20}$/.test(word) ? undefined : { message: 'expected letters, digits, - and _, 20 at most' },
  }),
  listLine<Config, Values>(BLOCK, {
    list: 'allow',
    canonical: word => word,
    help: 'Let addresses of this kind through',
    takes: `<word:${Object.keys(ALLOWANCES).join('|')}>`,
    words: ALLOWANCES,
    usual: () => STRICT.allowed,
    wrong: () => undefined,
  }),
]

/* Limits and waits. */

const HELP: Readonly<Record<keyof typeof LIMITS | keyof typeof WAITS, string>> = {
  messageSize: 'The longest message',
  headerSize: 'The longest header of a message',
  recipients: 'Recipients of one message; the rest are to come in another (452)',
  invalidRecipients: 'Recipients of one transaction that the server may refuse, before the session ends',
  errors: 'Commands that may be refused, before the session ends',
  junk: 'Commands that bring no mail on (NOOP, RSET, VRFY, EHLO), before the session ends',
  command: 'How long the next command may take, whole',
  data: 'How long the next octets of a message may take',
  reply: 'How long the server may take for a reply',
  write: 'How long a side may take to read what was written to it',
  session: 'How long a session may last',
  error: 'How long the command behind a refused one waits, once there were soft-errors of them; 0s for no time',
}

const atLeast =
  (least: number, what: string) =>
  (value: number): string | undefined =>
    value < least ? `expected ${what} at least` : undefined

const LIMIT_LINES: readonly Spec[] = (Object.keys(LIMITS) as (keyof typeof LIMITS)[]).map(key =>
  key === 'messageSize' || key === 'headerSize'
    ? kindOf(key, LIMITS[key], SIZE, { help: HELP[key], wrong: atLeast(1, '1') })
    : kindOf(key, LIMITS[key], NUMBER, { help: HELP[key], wrong: atLeast(1, '1') }),
)

/** Whoever waits longer would rather come again, with what it has said so far forgotten. */
const MAX_ERROR_DELAY = 30_000

const WAIT_LINES: readonly Spec[] = (Object.keys(WAITS) as (keyof typeof WAITS)[]).map(key =>
  kindOf(key, WAITS[key], DURATION, {
    help: HELP[key],
    wrong:
      key === 'error'
        ? value => (value > MAX_ERROR_DELAY ? 'expected 30s at most' : undefined)
        : atLeast(1000, 'a second'),
  }),
)

/** Below this no name of a field would fit, and no word. */
const MIN_LINE = 78

const lineLength = (key: LineKey, word: string, help: string): Spec =>
  kindOf(key, word, NUMBER, {
    help,
    wrong: value => (value !== 0 && value < MIN_LINE ? `expected 0, or ${MIN_LINE} octets at least` : undefined),
  })

const LINE_LENGTHS: readonly Spec[] = [
  lineLength(
    'headerLine',
    'header-line',
    'Fold lines of a header that are longer at a blank, and refuse what has none; RFC 5322 allows 998; 0 for none',
  ),
  lineLength(
    'bodyLine',
    'body-line',
    'Refuse messages with a longer line; RFC 5321 allows 998, and some real mail has more; 0 for none',
  ),
  lineLength(
    'dottedLine',
    'dotted-line',
    'Refuse messages with a longer line that ends in a dot, which a server that reads in pieces takes for the end; 0 for none',
  ),
]

export const STRICT_COMMANDS: readonly Spec[] = [
  SITE,
  DOMAIN,
  ...LISTS,
  ...LIMIT_LINES,
  ...LINE_LENGTHS,
  kindOf('pregreet', 'greet-wait', DURATION, {
    help: 'How long the greeting is held back, to hear who speaks too early',
  }),
  choice('banner', 'banner', FRONT_HELP.banner, BANNERS),
  kindOf('mailRate', 'mail-rate', NUMBER, { help: FRONT_HELP.mailRate }),
  kindOf('commandRate', 'command-rate', NUMBER, { help: FRONT_HELP.commandRate }),
  ...WAIT_LINES,
  kindOf('softErrors', 'soft-errors', NUMBER, { help: 'Refused commands after which the client is made to wait' }),
  kindOf('minDataRate', 'data-rate', NUMBER, {
    help: 'Octets a second below which a message takes too long; 0 for none',
  }),
  choice('tls', 'tls', 'What becomes of STARTTLS', {
    pass: 'through to the server, and blind from then on',
    require: 'no mail before it',
    terminate: 'it ends here, and is begun anew towards the server',
    off: 'not offered',
  }),
  choice('onwardTls', 'onward-tls', 'TLS towards the server', {
    never: 'never begun',
    may: 'begun where it is offered',
    must: 'no mail without it',
  }),
  switchLine<Config, Values, 'authInClear'>(BLOCK, 'authInClear', {
    word: 'auth-in-clear',
    help: 'Logins may come before TLS, for everybody on the way to read',
    usual: USUAL.authInClear,
  }),
  choice(
    'talkingAhead',
    'talking-ahead',
    'Who speaks before the greeting, or behind a command that must be the last of its group',
    {
      refuse: '554, and the session ends',
      wait: 'what they said waits for its turn',
    },
  ),
  choice('strays', 'bare-line-ends', 'What becomes of a bare CR, a bare LF and a NUL in a message', {
    reject: 'the message is refused',
    crlf: 'a bare LF becomes a line end, a bare CR and a NUL a space',
    space: 'they become a space',
    nothing: 'they are left out',
  }),
  valueLine<Config, Values, 'xclient'>(BLOCK, 'xclient', {
    word: 'xclient',
    takes: '[must]',
    read: args => (args.has('must') ? 'must' : 'may'),
    show: value => (value === 'must' ? 'must' : ''),
    help: 'Tell a server that offers XCLIENT who the client is; with must nothing goes to one that cannot be told',
    words: { must: 'no mail goes on to a server that cannot be told, or does not believe it' },
    usual: USUAL.xclient,
  }),
]

/** What the profile has otherwise, as its settings, and which lines said so. */
export function strictSettings(strict: StrictConfig): {
  readonly changes: StrictChanges
  readonly lines: SettingLines
} {
  const { values, sites, domains } = strict
  const { tls, onwardTls, authInClear, talkingAhead, xclient, minDataRate, softErrors, ...others } = values
  const { pregreet, command, data, reply, write, session, error, ...rules } = others
  const engine = defined({ tls, onwardTls, authInClear, talkingAhead, xclient, minDataRate, softErrors })
  const waits = { ...STRICT.engine.waits, ...defined({ pregreet, command, data, reply, write, session, error }) }
  const extensions = ticked(strict, 'extension', STRICT.extensions)
  const mechanisms = ticked(strict, 'mechanism', STRICT.mechanisms)
  const allowed = ticked(strict, 'allow', STRICT.allowed) as ReadonlySet<Allowance> | undefined
  const changes = {
    ...rules,
    ...defined({ extensions, mechanisms, allowed }),
    sites,
    domains: new Set(domains),
    engine: { ...engine, waits },
  }
  return { changes, lines: linesOf(strict) }
}

/** Without what is `undefined`, which would stand in the place of what is usual. */
function defined<T extends object>(all: T): { [K in keyof T]?: Exclude<T[K], undefined> } {
  return Object.fromEntries(Object.entries(all).filter(([, value]) => value !== undefined)) as ReturnType<
    typeof defined<T>
  >
}
