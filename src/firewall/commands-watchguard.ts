import { lower, upper } from '../base/bytes.ts'
import type { SourceRef } from '../base/problem.ts'
import { type CommonKind, DOMAIN, DURATION, NUMBER, SIZE, TEXT, WORD } from '../config/argument.ts'
import type { Arguments, CommandSpec, Effect } from '../config/grammar.ts'
import { quote } from '../config/text.ts'
import { error } from './objection.ts'
import { pattern } from './pattern.ts'
import type { Proxying } from './policy.ts'
import {
  FIREBOX_DEFAULTS,
  type FireboxLines,
  type FireboxProfile,
  type ListName,
  TICKABLE,
  type WatchguardSettings,
} from './profiles/watchguard.ts'

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
export interface Firebox {
  readonly values: Partial<Pick<WatchguardSettings, ValueName>>
  /** What a list has more, and what it has less, by list and word. */
  readonly ticks: readonly Tick[]
  readonly masquerade: readonly (readonly [inside: string, shown: string])[]
  /** Where the line of each stands: `recipients`, `extension SIZE`. */
  readonly at: Readonly<Record<string, SourceRef>>
}

interface Tick {
  readonly list: ListName
  readonly word: string
  readonly isOn: boolean
}

export type Fireboxes = Readonly<Record<FireboxProfile, Firebox>>

const AS_IT_COMES: Firebox = { values: {}, ticks: [], masquerade: [], at: {} }

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

/** The configuration with this profile's settings made others by the line at `at`, or where there is none undone. */
function changed<C extends Config>(
  config: C,
  args: Arguments,
  { name, at, change }: { name: string; at?: SourceRef; change: (firebox: Firebox) => Partial<Firebox> },
): C {
  const profile = profileOf(args)
  const firebox = config.fireboxes[profile]
  const { [name]: _, ...others } = firebox.at
  const next = { ...firebox, ...change(firebox), at: at ? { ...others, [name]: at } : others }
  return { ...config, fireboxes: { ...config.fireboxes, [profile]: next } }
}

function shown(config: Config, lines: (firebox: Firebox) => readonly string[]): readonly string[] {
  return PROFILES.flatMap(profile =>
    lines(config.fireboxes[profile]).map(line =>
      line.startsWith('no ') ? `no watchguard ${profile} ${line.slice(3)}` : `watchguard ${profile} ${line}`,
    ),
  )
}

/* Settings of one value. */

interface ValueLine<K extends ValueName> {
  readonly key: K
  readonly word: string
  /** As in a syntax: `<mode:refuse|drop>`; the value of the placeholder called `value`. */
  readonly takes: string
  readonly help: string
  readonly words?: Spec['words']
  readonly show: (value: WatchguardSettings[K]) => string
  readonly wrong?: (value: WatchguardSettings[K]) => string | undefined
}

function valueLine<K extends ValueName>({ key, word, takes, help, words, show, wrong }: ValueLine<K>): Spec {
  const syntax = `watchguard ${PROFILE} ${word}`
  const usual = show(FIREBOX_DEFAULTS['smtp-incoming'][key])
  return {
    syntax: `${syntax} ${takes}`,
    noSyntax: `${syntax} [${takes}]`,
    help: usual === '' || usual === '""' ? help : `${help} (${usual})`,
    ...(words && { words }),
    apply(config, args, at): Effect<Config> {
      const value = args.get('value') as WatchguardSettings[K]
      const why = wrong?.(value)
      if (why !== undefined) return error(why, args.at('value'))
      return changed(config, args, { name: key, at, change: ({ values }) => ({ values: { ...values, [key]: value } }) })
    },
    remove: (config, args) =>
      changed(config, args, {
        name: key,
        change: ({ values: { [key]: _, ...values } }) => ({ values: values as Firebox['values'] }),
      }),
    show: config =>
      shown(config, ({ values }) => {
        const value = values[key]
        return value === undefined ? [] : [`${word} ${show(value as WatchguardSettings[K])}`]
      }),
  }
}

function kindLine<K extends ValueName>(
  key: K,
  word: string,
  kind: CommonKind<WatchguardSettings[K]>,
  help: string,
  wrong?: ValueLine<K>['wrong'],
): Spec {
  const takes = `<value:${kind.name}>`
  const show = (value: WatchguardSettings[K]): string => quote(kind.show(value))
  return valueLine({ key, word, takes, help, show, ...(wrong && { wrong }) })
}

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
  kindLine('idle', 'idle-timeout', DURATION, 'How long nothing may be said', idleFault),
  kindLine('messageSize', 'message-size', SIZE, 'The longest message; 0 for no limit'),
  kindLine('addressLength', 'address-length', NUMBER, 'Octets of an address; 0 for no limit'),
  kindLine('lineLength', 'line-length', NUMBER, 'Octets of a line of a message; 0 for no limit'),
  kindLine('recipients', 'recipients', NUMBER, 'Recipients of one message; 0 for no limit'),
  valueLine({
    key: 'tooManyRecipients',
    word: 'too-many-recipients',
    takes: '<value:refuse|drop>',
    help: 'What becomes of the recipients beyond the limit',
    words: {
      refuse: 'the client is told 452, and sends them again',
      drop: 'as Fireware does: taken, and left out; that mail is lost',
    },
    show: value => value,
  }),
  kindLine('bannerName', 'banner-name', DOMAIN, 'What the server is called outside; its own name is hidden then'),
  kindLine('helloLength', 'hello-length', NUMBER, 'Octets of the name behind HELO and EHLO; 0 for no limit'),
  kindLine('helloPattern', 'hello-pattern', WORD, 'What that name must look like', patternFault),
  valueLine({
    key: 'tls',
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
  kindLine('denyMessage', 'deny-message', TEXT, 'What stands in the place of a part that was removed', messageFault),
]

/* Lists. */

interface ListLine {
  readonly list: ListName
  readonly key: ListKey
  readonly canonical: (word: string) => string
  readonly help: string
}

const LISTS: readonly ListLine[] = [
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

const LIST_LINES: readonly Spec[] = LISTS.map(({ list, key, canonical, help }): Spec => {
  const usual = (profile: FireboxProfile) => new Set<string>(FIREBOX_DEFAULTS[profile][key])
  function tick(config: Config, args: Arguments, { isOn, at }: { isOn: boolean; at: SourceRef }): Effect<Config> {
    const word = canonical(args.text('word'))
    const fault = wordFault(list, word)
    if (fault !== undefined) {
      const known = list === 'extension' ? `known: ${[...TICKABLE].sort().join(', ')}` : undefined
      return error(fault, args.at('word'), known)
    }
    const isUsual = usual(profileOf(args)).has(word)
    const name = `${list} ${word}`
    return changed(config, args, {
      name,
      ...(isOn !== isUsual && { at }),
      change({ ticks }) {
        const others = ticks.filter(each => `${each.list} ${each.word}` !== name)
        return { ticks: isOn === isUsual ? others : [...others, { list, word, isOn }].sort(byWord) }
      },
    })
  }
  return {
    syntax: `watchguard ${PROFILE} ${list} <word>`,
    help,
    apply: (config, args, at) => tick(config, args, { isOn: true, at }),
    remove: (config, args, at) => tick(config, args, { isOn: false, at }),
    show: config =>
      shown(config, ({ ticks }) =>
        ticks.filter(each => each.list === list).map(({ word, isOn }) => `${isOn ? '' : 'no '}${list} ${quote(word)}`),
      ),
  }
})

function byWord(a: Tick, b: Tick): number {
  const [left, right] = [`${a.list} ${a.word}`, `${b.list} ${b.word}`]
  return left < right ? -1 : left > right ? 1 : 0
}

const ESMTP: Spec = {
  syntax: `watchguard ${PROFILE} esmtp`,
  help: 'ESMTP is on (as it comes); without it there is no EHLO, and so no STARTTLS',
  apply: (config, args) =>
    changed(config, args, {
      name: 'esmtp',
      change: ({ values: { esmtp: _, ...values } }) => ({ values }),
    }),
  remove: (config, args, at) =>
    changed(config, args, { name: 'esmtp', at, change: ({ values }) => ({ values: { ...values, esmtp: false } }) }),
  show: config => shown(config, ({ values }) => (values.esmtp === false ? ['no esmtp'] : [])),
}

const MASQUERADE: Spec = {
  syntax: `watchguard ${PROFILE} masquerade <inside:domain> <shown:domain>`,
  noSyntax: `watchguard ${PROFILE} masquerade <inside:domain> [<shown:domain>]`,
  help: 'Show this domain of senders as another',
  apply: (config, args, at) =>
    changed(config, args, {
      name: `masquerade ${args.text('inside')}`,
      at,
      change: firebox => ({
        masquerade: [...otherDomains(firebox, args), [args.text('inside'), args.text('shown')]],
      }),
    }),
  remove: (config, args) =>
    changed(config, args, {
      name: `masquerade ${args.text('inside')}`,
      change: firebox => ({ masquerade: otherDomains(firebox, args) }),
    }),
  show: config => shown(config, ({ masquerade }) => masquerade.map(([from, to]) => `masquerade ${from} ${to}`)),
}

function otherDomains({ masquerade }: Firebox, args: Arguments): Firebox['masquerade'] {
  return masquerade.filter(([inside]) => inside !== args.text('inside'))
}

export const FIREBOX_COMMANDS: readonly Spec[] = [ESMTP, ...LIST_LINES, ...VALUES, MASQUERADE]

/** What the profile has otherwise, as its settings, and which lines said so. */
export function fireboxSettings(
  fireboxes: Fireboxes,
  profile: FireboxProfile,
): { readonly changes: Partial<WatchguardSettings>; readonly lines: FireboxLines } {
  const { values, ticks, masquerade, at } = fireboxes[profile]
  const lists = LISTS.flatMap(({ list, key }) => {
    const own = ticks.filter(each => each.list === list)
    if (own.length === 0) return []
    const words = new Set<string>(FIREBOX_DEFAULTS[profile][key])
    for (const { word, isOn } of own) {
      if (isOn) words.add(word)
      else words.delete(word)
    }
    return [[key, words] as const]
  })
  const changes = {
    ...values,
    ...Object.fromEntries(lists),
    ...(masquerade.length > 0 && { masquerade: new Map(masquerade) }),
  }
  const lines = Object.entries(at).map(([name, ref]) => [name, { at: ref, command: ref.text.trim() }] as const)
  return { changes, lines: new Map(lines) }
}
