import type { SourceRef } from '../base/problem.ts'
import type { Arguments, Effect } from '../config/grammar.ts'
import type { FirewallConfig } from './config.ts'
import {
  EHLO_PARAMETERS,
  ESMTP_PARAMETERS,
  ESMTP_SIZES,
  type EsmtpAction,
  type EsmtpCondition,
  type EsmtpMap,
  type EsmtpMatch,
  type EsmtpParameters,
  type EsmtpSize,
  type EsmtpWords,
  MIME_ENCODINGS,
  OTHERS,
  type Reaction,
  showAction,
  showMatch,
} from './esmtp-map.ts'
import { asWritten, error, knownNames, named, put, type Spec } from './objection.ts'
import { FIFTEEN } from './profiles/asa.ts'

/** `policy-map type inspect esmtp`: what an ASA looks for in a connection, and what it does about it. */

const MAP_MODE = 'config-pmap-esmtp'
const PARAMETER_MODE = 'config-pmap-p'
const ACTION_MODE = 'config-pmap-action'

function putMap(config: FirewallConfig, map: EsmtpMap): FirewallConfig {
  return { ...config, mpf: { ...config.mpf, esmtpMaps: put(config.mpf.esmtpMaps, map, ({ name }) => name) } }
}

/** Changes the map that the line stands in, however deep. */
function inMap(
  config: FirewallConfig,
  args: Arguments,
  depth: 1 | 2,
  then: (map: EsmtpMap) => EsmtpMap,
): FirewallConfig {
  const map = named(config.mpf.esmtpMaps, (depth === 1 ? args.outer : args.outer?.outer)?.text('name') ?? '')
  return map ? putMap(config, then(map)) : config
}

const INSPECT_MAP: Spec = {
  syntax: 'policy-map type inspect esmtp <name>',
  help: 'What inspection of SMTP looks for, and what it does about it',
  enters: MAP_MODE,
  apply(config, args, at) {
    const name = args.text('name')
    if (named(config.mpf.esmtpMaps, name)) return config
    return putMap(config, { name, parameters: ESMTP_PARAMETERS, matches: [], at })
  },
  remove(config, args) {
    const esmtpMaps = config.mpf.esmtpMaps.filter(({ name }) => name !== args.text('name'))
    return { ...config, mpf: { ...config.mpf, esmtpMaps } }
  },
  show: ({ mpf }) =>
    mpf.esmtpMaps.flatMap(({ name, description, parameters, matches }) => [
      `policy-map type inspect esmtp ${name}`,
      ...(description === undefined ? [] : [` description ${description}`]),
      ...showParameters(parameters),
      ...matches.flatMap(match => [` ${showMatch(match)}`, ...match.actions.map(action => `  ${showAction(action)}`)]),
    ]),
}

const DESCRIPTION: Spec = {
  syntax: 'description <text...>',
  noSyntax: 'description [<text...>]',
  mode: MAP_MODE,
  help: 'What this map is for',
  apply: (config, args) => inMap(config, args, 1, map => ({ ...map, description: asWritten(args, 'text') ?? '' })),
  remove: (config, args) => inMap(config, args, 1, ({ description: _, ...map }) => map),
  show: () => [],
}

/* Parameters. */

const PARAMETERS: Spec = {
  syntax: 'parameters',
  mode: MAP_MODE,
  enters: PARAMETER_MODE,
  help: 'Settings of this map, in the lines below',
  apply: config => config,
  show: () => [],
}

function setParameters(config: FirewallConfig, args: Arguments, next: Partial<EsmtpParameters>): FirewallConfig {
  return inMap(config, args, 2, map => ({ ...map, parameters: { ...map.parameters, ...next } }))
}

function reactionOf(args: Arguments, at: SourceRef): Reaction {
  return args.has('drop-connection')
    ? { action: 'drop-connection', log: args.has('log'), at }
    : { action: 'log', log: true, at }
}

function showReaction({ action, log }: Reaction): string {
  return action === 'log' ? 'action log' : `action drop-connection${log ? ' log' : ''}`
}

function showParameters({ maskBanner, allowTls, mailRelay, specialCharacter }: EsmtpParameters): readonly string[] {
  const lines = [
    ...(maskBanner ? [] : ['no mask-banner']),
    ...(mailRelay ? [`mail-relay ${mailRelay.domain} ${showReaction(mailRelay)}`] : []),
    ...(specialCharacter ? [`special-character ${showReaction(specialCharacter)}`] : []),
    ...(allowTls === 'no' ? [] : [allowTls === 'log' ? 'allow-tls action log' : 'allow-tls']),
  ]
  return lines.length === 0 ? [] : [' parameters', ...lines.map(line => `  ${line}`)]
}

const REACTION = 'action {drop-connection [log] | log}'

const PARAMETER_LINES: readonly Spec[] = [
  {
    syntax: 'mask-banner',
    mode: PARAMETER_MODE,
    help: 'Hide the greeting: every character of it becomes an asterisk',
    apply: (config, args) => setParameters(config, args, { maskBanner: true }),
    remove: (config, args) => setParameters(config, args, { maskBanner: false }),
    show: () => [],
  },
  {
    syntax: 'allow-tls [action log]',
    mode: PARAMETER_MODE,
    help: 'Let STARTTLS through; what follows cannot be inspected',
    apply: (config, args) => setParameters(config, args, { allowTls: args.has('log') ? 'log' : 'yes' }),
    remove: (config, args) => setParameters(config, args, { allowTls: 'no' }),
    show: () => [],
  },
  {
    syntax: `mail-relay <domain> ${REACTION}`,
    noSyntax: `mail-relay [<domain> [${REACTION}]]`,
    mode: PARAMETER_MODE,
    help: 'Mail for any other domain than this is relayed: tell of it, or end the connection',
    apply: (config, args, at) =>
      setParameters(config, args, { mailRelay: { domain: args.text('domain'), ...reactionOf(args, at) } }),
    remove: (config, args) =>
      inMap(config, args, 2, ({ parameters: { mailRelay: _, ...parameters }, ...map }) => ({ ...map, parameters })),
    show: () => [],
  },
  {
    syntax: `special-character ${REACTION}`,
    noSyntax: `special-character [${REACTION}]`,
    mode: PARAMETER_MODE,
    help: 'An address that holds | or ` or NUL: tell of it, or end the connection',
    apply: (config, args, at) => setParameters(config, args, { specialCharacter: reactionOf(args, at) }),
    remove: (config, args) =>
      inMap(config, args, 2, ({ parameters: { specialCharacter: _, ...parameters }, ...map }) => ({
        ...map,
        parameters,
      })),
    show: () => [],
  },
]

/* Matches. */

/** By the syntax of a match, so that the lines below one know which it is. */
const CONDITIONS = new Map<string, (args: Arguments) => EsmtpCondition | Wrong>()

function matchSpec(syntax: string, help: string, conditionOf: (args: Arguments) => EsmtpCondition | Wrong): Spec {
  const withCondition = (
    config: FirewallConfig,
    args: Arguments,
    then: (map: EsmtpMap, match: Omit<EsmtpMatch, 'at' | 'actions'>) => EsmtpMap,
  ): Effect<FirewallConfig> => {
    const condition = conditionOf(args)
    if ('wrong' in condition) return error(condition.wrong, args.at(condition.name), condition.hint)
    if (condition.kind === 'regex') {
      const list: readonly { readonly name: string }[] =
        condition.of === 'class' ? config.mpf.regexClasses : config.mpf.regexes
      if (!named(list, condition.name)) {
        const what = condition.of === 'class' ? 'class-map type regex' : 'regex'
        return error(`no ${what} is called "${condition.name}"`, args.at('regex'), knownNames(list))
      }
    }
    return inMap(config, args, 1, map => then(map, { negated: args.has('not'), condition }))
  }
  const whole = `match [not] ${syntax}`
  CONDITIONS.set(whole, conditionOf)
  return {
    syntax: whole,
    mode: MAP_MODE,
    enters: ACTION_MODE,
    help,
    apply: (config, args, at) =>
      withCondition(config, args, (map, match) => {
        const before = map.matches.find(each => showMatch(each) === showMatch(match))
        return before ? map : { ...map, matches: [...map.matches, { ...match, actions: [], at }] }
      }),
    remove: (config, args) =>
      withCondition(config, args, (map, match) => ({
        ...map,
        matches: map.matches.filter(each => showMatch(each) !== showMatch(match)),
      })),
    show: () => [],
  }
}

interface Wrong {
  readonly wrong: string
  readonly hint: string
  /** Of which placeholder. */
  readonly name: string
}

/** In the form in which an ASA shows it; in a line these words may be of either case. */
const EITHER_CASE: Readonly<Record<string, string>> = { MIME: 'MIME|mime', RCPT: 'RCPT|rcpt' }

function either(words: string): string {
  return words.replace(/MIME|RCPT/g, word => EITHER_CASE[word] ?? word)
}

const SIZE_HELP: Readonly<Record<EsmtpSize, string>> = {
  'body length': 'A body longer than so many octets',
  'body line length': 'A line of a body longer than so many octets',
  'cmd line length': 'A command line longer than so many octets, its end included',
  'cmd RCPT count': 'More recipients of one message than so many',
  'header length': 'A header longer than so many octets',
  'header line length': 'A line of a header longer than so many octets',
  'header to-fields count': 'More To fields than so many',
  'invalid-recipients count': 'More recipients that the server refused than so many',
  'MIME filename length': 'The name of an attachment longer than so many octets',
  'sender-address length': 'A sender longer than so many octets',
}

const SIZE_MATCHES: readonly Spec[] = (Object.keys(ESMTP_SIZES) as EsmtpSize[]).map(what =>
  matchSpec(`${either(what)} gt <over:number>`, SIZE_HELP[what], args => ({
    kind: 'size',
    what,
    over: args.number('over'),
  })),
)

const WORD_MATCHES: readonly (readonly [EsmtpWords, string, readonly string[]])[] = [
  ['cmd verb', 'A command', [...Array.from(FIFTEEN, verb => verb.toLowerCase()), 'expn', 'starttls', OTHERS].sort()],
  ['ehlo-reply-parameter', 'An extension that the server offers', [...Object.keys(EHLO_PARAMETERS), OTHERS].sort()],
  ['MIME encoding', 'A part in this encoding', [...MIME_ENCODINGS, OTHERS]],
]

const MATCHES: readonly Spec[] = [
  ...SIZE_MATCHES,
  ...WORD_MATCHES.map(([what, help, known]) =>
    matchSpec(`${either(what)} <words:text...>`, `${help}: ${known.join(' ')}`, args => {
      const words = args.text('words').toLowerCase().split(/\s+/)
      const odd = words.find(word => !known.includes(word))
      if (odd !== undefined)
        return { wrong: `"${odd}" is none of them`, hint: `known: ${known.join(', ')}`, name: 'words' }
      return { kind: 'words', what, words: [...new Set(words)] }
    }),
  ),
  ...(['sender-address', 'MIME filetype'] as const).map(what =>
    matchSpec(
      `${either(what)} regex [class] <regex:name>`,
      what === 'sender-address'
        ? 'A sender that a pattern is found in'
        : 'A part whose type a pattern is found in: image/png',
      args => ({ kind: 'regex', what, of: args.has('class') ? 'class' : 'regex', name: args.text('regex') }),
    ),
  ),
]

/* Actions. */

/** The match that a line stands below. */
function inMatch(config: FirewallConfig, args: Arguments, then: (match: EsmtpMatch) => EsmtpMatch): FirewallConfig {
  const match = args.outer
  const condition = match && CONDITIONS.get(match.syntax)?.(match)
  if (!condition || 'wrong' in condition) return config
  const line = showMatch({ negated: match.has('not'), condition })
  return inMap(config, args, 2, map => ({
    ...map,
    matches: map.matches.map(each => (showMatch(each) === line ? then(each) : each)),
  }))
}

function actionSpec(syntax: string, help: string, actionOf: (args: Arguments) => EsmtpAction): Spec {
  return {
    syntax,
    mode: ACTION_MODE,
    help,
    apply(config, args) {
      const action = actionOf(args)
      const match = args.outer
      if (action.kind === 'mask' && match && !MASKABLE.some(what => match.syntax.includes(what))) {
        const hint = 'expected below match ehlo-reply-parameter or match cmd verb'
        return error('only a command or an EHLO keyword can be masked', args.at('mask'), hint)
      }
      return inMatch(config, args, each => ({ ...each, actions: put(each.actions, action, ({ kind }) => kind) }))
    },
    remove(config, args) {
      const { kind } = actionOf(args)
      return inMatch(config, args, each => ({ ...each, actions: each.actions.filter(one => one.kind !== kind) }))
    },
    show: () => [],
  }
}

const MASKABLE = ['ehlo-reply-parameter', 'cmd verb']

const ACTIONS: readonly Spec[] = [
  actionSpec('drop-connection [log]', 'End the connection', args => ({
    kind: 'drop-connection',
    log: args.has('log'),
  })),
  actionSpec('reset [log]', 'End the connection with a reset', args => ({ kind: 'reset', log: args.has('log') })),
  actionSpec('mask [log]', 'Write X over it', args => ({ kind: 'mask', log: args.has('log') })),
  actionSpec('log', 'Only tell of it', () => ({ kind: 'log' })),
  actionSpec('rate-limit <per-second:number>', 'Let so many a second through; what is more waits', args => ({
    kind: 'rate-limit',
    perSecond: args.number('per-second'),
  })),
]

export const ESMTP_COMMANDS: readonly Spec[] = [
  INSPECT_MAP,
  DESCRIPTION,
  PARAMETERS,
  ...PARAMETER_LINES,
  ...MATCHES,
  ...ACTIONS,
]
