import { lower, upper } from '../base/bytes.ts'
import { Keyed } from '../base/keyed.ts'
import type { SourceRef } from '../base/problem.ts'
import { type CommonKind, DOMAIN, DURATION, NUMBER, SIZE, TEXT, WORD } from '../config/argument.ts'
import type { Arguments, CommandSpec } from '../config/grammar.ts'
import { respelled } from '../config/respelled.ts'
import { domainKey } from '../smtp/address.ts'
import { pattern } from './pattern.ts'
import type { Proxying } from './policy.ts'
import { BANNERS, FRONT_HELP, type Front } from './profiles/front.ts'
import { prefixed, type SettingLines } from './profiles/lines.ts'
import {
  FIREBOX_DEFAULTS,
  type FireboxProfile,
  type ListName,
  TICKABLE,
  type WatchguardSettings,
} from './profiles/watchguard.ts'
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

/** The settings that hold one value; the others are lists. */
type ValueName = Exclude<keyof WatchguardSettings, ListKey | 'masquerade'>
type ListKey =
  | 'extensions'
  | 'authTypes'
  | 'headers'
  | 'contentTypes'
  | 'deniedFileNames'
  | 'deniedSenders'
  | 'deniedRecipients'

/** What one of the two profiles has otherwise than it comes with. */
export interface Firebox extends Settings<Values> {
  readonly masquerade: readonly (readonly [inside: string, shown: string])[]
}

type Values = Pick<WatchguardSettings, ValueName>

export type Fireboxes = Readonly<Record<FireboxProfile, Firebox>>

const AS_IT_COMES: Firebox = { ...NO_SETTINGS, masquerade: [] }

export const NO_FIREBOXES: Fireboxes = { 'smtp-incoming': AS_IT_COMES, 'smtp-outgoing': AS_IT_COMES }

interface Config {
  readonly fireboxes: Fireboxes
}

type Spec = CommandSpec<Config>

const PROFILE = '<profile:smtp-incoming|smtp-outgoing>'
const PROFILES: readonly FireboxProfile[] = ['smtp-incoming', 'smtp-outgoing']

function profileOf(args: Arguments): FireboxProfile {
  return args.text('profile') as FireboxProfile
}

const BLOCK = {
  prefix: `watchguard ${PROFILE}`,
  changed(config: Config, args: Arguments, change: Change<Values>): Config {
    const profile = profileOf(args)
    return { ...config, fireboxes: { ...config.fireboxes, [profile]: withChange(config.fireboxes[profile], change) } }
  },
  shown: (config: Config, lines: (firebox: Firebox) => readonly string[]): readonly string[] =>
    PROFILES.flatMap(profile => lines(config.fireboxes[profile]).map(line => prefixed(`watchguard ${profile}`, line))),
} satisfies Block<Config, Values>

/* Settings of one value. */

function value<K extends ValueName>(key: K, line: Omit<ValueLine<Values[K]>, 'usual'>): Spec {
  return valueLine<Config, Values, K>(BLOCK, key, { ...line, usual: USUAL[key] })
}

function kindOf<K extends ValueName>(
  key: K,
  word: string,
  kind: CommonKind<Values[K]>,
  help: string,
  wrong?: ValueLine<Values[K]>['wrong'],
): Spec {
  return kindLine<Config, Values, K>(BLOCK, key, kind, { word, help, usual: USUAL[key], wrong })
}

const USUAL: Values = FIREBOX_DEFAULTS['smtp-incoming']

const patternFault = (source: string): string | undefined => {
  const read = pattern(source)
  return 'wrong' in read ? read.wrong : undefined
}

/** Below this nobody could say anything. */
const MIN_IDLE = 1000

const idleFault = (idle: number): string | undefined =>
  idle < MIN_IDLE ? 'expected a second at least: nobody could say anything' : undefined

/** It becomes one line of a message of US-ASCII (RFC 5322 §2.1.1). */
const messageFault = (message: string): string | undefined =>
  message.length > 998 || /[^\x20-\x7e]/.test(message) ? 'expected printable ASCII, 998 characters at most' : undefined

const VALUES: readonly Spec[] = [
  kindOf('idle', 'idle-timeout', DURATION, 'How long nothing may be said', idleFault),
  kindOf('messageSize', 'message-size', SIZE, 'The longest message; 0 for no limit'),
  kindOf('addressLength', 'address-length', NUMBER, 'Octets of an address; 0 for no limit'),
  kindOf('lineLength', 'line-length', NUMBER, 'Octets of a line of a message; 0 for no limit'),
  kindOf('recipients', 'recipients', NUMBER, 'Recipients of one message; 0 for no limit'),
  value('tooManyRecipients', {
    word: 'too-many-recipients',
    takes: '<value:refuse|drop>',
    help: 'What becomes of the recipients beyond the limit',
    words: {
      refuse: 'the client is told 452, and sends them again',
      drop: 'as Fireware does: taken, and left out; that mail is lost',
    },
    show: value => value,
  }),
  kindOf('bannerName', 'banner-name', DOMAIN, 'What the server is called outside; its own name is hidden then'),
  value('banner', {
    word: 'banner',
    takes: `<value:${Object.keys(BANNERS).join('|')}>`,
    help: FRONT_HELP.banner,
    words: BANNERS,
    show: (value: Front['banner']) => value,
  }),
  kindOf('mailRate', 'mail-rate', NUMBER, FRONT_HELP.mailRate),
  kindOf('commandRate', 'command-rate', NUMBER, FRONT_HELP.commandRate),
  kindOf('helloLength', 'hello-length', NUMBER, 'Octets of the name behind HELO and EHLO; 0 for no limit'),
  kindOf('helloPattern', 'hello-pattern', WORD, 'What that name must look like', patternFault),
  value('tls', {
    word: 'tls',
    takes: '<value:pass|require|terminate|off>',
    help: 'What becomes of STARTTLS',
    words: {
      pass: 'through to the server, and blind from then on',
      require: 'no mail before it',
      terminate: 'it ends here, with the certificate of strict certificate, and is begun anew towards the server',
      off: 'not offered',
    },
    show: (value: Proxying['tls']) => value,
  }),
  kindOf('denyMessage', 'deny-message', TEXT, 'What stands in the place of a part that was removed', messageFault),
]

/* Lists. */

interface FireboxList {
  readonly list: ListName
  readonly key: ListKey
  readonly canonical: (word: string) => string
  readonly help: string
}

const LISTS: readonly FireboxList[] = [
  { list: 'extension', key: 'extensions', canonical: upper, help: 'An ESMTP option that is ticked' },
  { list: 'auth-type', key: 'authTypes', canonical: upper, help: 'A kind of login that is ticked' },
  { list: 'header', key: 'headers', canonical: upper, help: 'A header field that may pass; * for all' },
  {
    list: 'content-type',
    key: 'contentTypes',
    canonical: lower,
    help: 'A content type that may pass, such as image/*',
  },
  { list: 'denied-file-name', key: 'deniedFileNames', canonical: lower, help: 'Files to remove, such as *.exe' },
  { list: 'denied-sender', key: 'deniedSenders', canonical: lower, help: 'Senders to refuse, such as *@spam.example' },
  { list: 'denied-recipient', key: 'deniedRecipients', canonical: lower, help: 'Recipients to refuse, such as root@*' },
]

/** Words that stand in a list. */
const MAX_WORD = 255

function wordFault(list: ListName, word: string): string | undefined {
  if (list === 'extension' && !TICKABLE.has(word))
    return 'the proxy knows no such ESMTP option, and would not pass it on'
  if (word.length > MAX_WORD || /[^\x21-\x7e]/.test(word)) return `expected printable ASCII, ${MAX_WORD} at most`
  const isToken = list === 'auth-type' || list === 'header'
  return isToken && !/^(?:\*|[A-Z0-9_-]+)$/.test(word) ? 'expected letters, digits, hyphens' : undefined
}

const LIST_LINES: readonly Spec[] = LISTS.map(
  ({ list, key, canonical, help }): Spec =>
    listLine<Config, Values>(BLOCK, {
      list,
      canonical,
      help,
      usual: args => FIREBOX_DEFAULTS[profileOf(args)][key],
      wrong(word) {
        const message = wordFault(list, word)
        if (message === undefined) return undefined
        return list === 'extension' ? { message, hint: `known: ${[...TICKABLE].sort().join(', ')}` } : { message }
      },
    }),
)

const ESMTP: Spec = switchLine<Config, Values, 'esmtp'>(BLOCK, 'esmtp', {
  word: 'esmtp',
  help: 'ESMTP is on (as it comes); without it there is no EHLO, and so no STARTTLS',
  usual: true,
})

const DOMAINS = new Keyed<Firebox['masquerade'][number]>(([inside]) => domainKey(inside))

const MASQUERADE: Spec = {
  syntax: `watchguard ${PROFILE} masquerade <inside:domain> <shown:domain>`,
  noSyntax: `watchguard ${PROFILE} masquerade <inside:domain> [<shown:domain>]`,
  help: 'Show this domain of senders as another',
  apply(config, args, at) {
    const line = [args.text('inside'), args.text('shown')] as const
    const before = DOMAINS.like(config.fireboxes[profileOf(args)].masquerade, line)
    const next = masqueraded(config, args, ({ masquerade }) => DOMAINS.with(masquerade, line), at)
    return respelled(next, before?.[0], { now: line[0], at: args.at('inside') })
  },
  remove: (config, args) =>
    masqueraded(config, args, ({ masquerade }) => DOMAINS.without(masquerade, domainKey(args.text('inside')))),
  show: config => BLOCK.shown(config, ({ masquerade }) => masquerade.map(([from, to]) => `masquerade ${from} ${to}`)),
}

function masqueraded(
  config: Config,
  args: Arguments,
  change: (firebox: Firebox) => Firebox['masquerade'],
  at?: SourceRef,
): Config {
  const profile = profileOf(args)
  const firebox = { ...config.fireboxes[profile], masquerade: change(config.fireboxes[profile]) }
  const noted = withChange<Values, Firebox>(firebox, {
    name: `masquerade ${args.text('inside')}`,
    ...(at && { at }),
    change: () => ({}),
  })
  return { ...config, fireboxes: { ...config.fireboxes, [profile]: noted } }
}

export const FIREBOX_COMMANDS: readonly Spec[] = [ESMTP, ...LIST_LINES, ...VALUES, MASQUERADE]

/** What the profile has otherwise, as its settings, and which lines said so. */
export function fireboxSettings(
  fireboxes: Fireboxes,
  profile: FireboxProfile,
): { readonly changes: Partial<WatchguardSettings>; readonly lines: SettingLines } {
  const firebox = fireboxes[profile]
  const { values, masquerade } = firebox
  const lists = LISTS.flatMap(({ list, key }) => {
    const words = ticked(firebox, list, FIREBOX_DEFAULTS[profile][key])
    return words ? [[key, words] as const] : []
  })
  const changes = {
    ...values,
    ...Object.fromEntries(lists),
    ...(masquerade.length > 0 && { masquerade: new Map(masquerade) }),
  }
  return { changes, lines: linesOf(firebox) }
}
