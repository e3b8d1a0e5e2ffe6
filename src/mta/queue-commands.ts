/** What happens to mail that waits: where, how long, how often it is tried. */
import type { Diagnostic } from '../base/problem.ts'
import { formatDuration, parseDuration } from '../base/time.ts'
import { SIZE } from '../config/argument.ts'
import type { Arguments, CommandSpec } from '../config/grammar.ts'
import { quote } from '../config/text.ts'
import { SCHEDULES } from '../spool/retry.ts'
import { EMPTY_MTA, type MtaConfig } from './config.ts'

type Spec = CommandSpec<MtaConfig>

const SPOOL: Spec = {
  syntax: 'spool {memory | <folder:file> [size <size>]}',
  help: 'Where messages wait: in a folder that outlives the server, or in memory, where they are lost with it',
  apply(config, args, at) {
    if (args.has('memory')) return { ...config, spool: { kind: 'memory' } }
    const size = args.get<number>('size')
    if (size === 0) {
      const hint = 'expected a size such as 500M, or none'
      return {
        problems: [{ severity: 'error', message: 'a spool of no size keeps nothing', hint, at: args.at('size') }],
      }
    }
    return { ...config, spool: { kind: 'disk', folder: args.text('folder'), ...(size !== undefined && { size }), at } }
  },
  remove({ spool: _gone, ...config }) {
    return config
  },
  noSyntax: 'spool',
  show({ spool }) {
    if (!spool) return []
    if (spool.kind === 'memory') return ['spool memory']
    return [`spool ${quote(spool.folder)}${spool.size === undefined ? '' : ` size ${SIZE.show(spool.size)}`}`]
  },
}

const DROP: Spec = {
  syntax: 'sendmail-drop <folder:file>',
  help: 'Where programs of this machine leave mail while no server runs; without it in a folder beside the spool',
  apply: (config, args, at) => ({ ...config, drop: { folder: args.text('folder'), at } }),
  remove: ({ drop: _gone, ...config }) => config,
  noSyntax: 'sendmail-drop',
  show: ({ drop }) => (drop ? [`sendmail-drop ${quote(drop.folder)}`] : []),
}

const RETRY: Spec = {
  syntax: 'queue retry <waits:text...>',
  help: 'How long to wait before each new try, the last one again and again: 10m 10m 10m 15m; or exchange2003, or iis',
  words: { queue: 'what happens to mail that waits' },
  apply(config, args) {
    const named = Object.hasOwn(SCHEDULES, args.text('waits')) ? SCHEDULES[args.text('waits')] : undefined
    if (named) return { ...config, retry: named }
    const words = args.text('waits').split(/\s+/)
    const waits = words.map(parseDuration)
    const known = waits.filter(wait => wait !== undefined && wait > 0)
    if (known.length === words.length) return { ...config, retry: known as number[] }
    const message = `"${words.find((_, i) => !waits[i])}" is not a wait`
    const hint = `expected waits such as 90s 10m 1h, or a schedule by name: ${Object.keys(SCHEDULES).join(', ')}`
    return { problems: [{ severity: 'error', message, hint, at: args.at('waits') }] }
  },
  remove: config => ({ ...config, retry: EMPTY_MTA.retry }),
  noSyntax: 'queue retry',
  show: ({ retry }) => [`queue retry ${scheduleOf(retry)}`],
}

/** By its name where it has one. */
function scheduleOf(retry: MtaConfig['retry']): string {
  const waits = retry.map(formatDuration).join(' ')
  return Object.keys(SCHEDULES).find(name => SCHEDULES[name]?.map(formatDuration).join(' ') === waits) ?? waits
}

const EXPIRE: Spec = {
  syntax: 'queue expire <duration>',
  help: 'Give up after this time, and tell the sender',
  apply: (config, args) => ({ ...config, expire: args.number('duration') }),
  remove: config => ({ ...config, expire: EMPTY_MTA.expire }),
  noSyntax: 'queue expire',
  show: ({ expire }) => [`queue expire ${formatDuration(expire)}`],
}

const DELAY_REPORT: Spec = {
  syntax: 'queue delay-report {never | <duration>}',
  help: 'Tell the sender once when a message has waited this long (RFC 3461 §4.1)',
  apply: (config, args) => ({ ...config, delayReport: args.has('never') ? 0 : args.number('duration') }),
  remove: config => ({ ...config, delayReport: EMPTY_MTA.delayReport }),
  noSyntax: 'queue delay-report',
  show: ({ delayReport }) => [`queue delay-report ${delayReport === 0 ? 'never' : formatDuration(delayReport)}`],
}

const DESTINATION: Spec = {
  syntax: 'queue per-destination connections <connections:number> messages <messages:number> [rest <rest:duration>]',
  help: 'Connections to one next hop at once, messages over one of them, and how long it is kept for the next one (2s)',
  apply(config, args) {
    const destinations = {
      connections: args.number('connections'),
      messages: args.number('messages'),
      rest: args.has('rest') ? args.number('rest') : EMPTY_MTA.destinations.rest,
    }
    const problems = noneOf(args, ['connections', 'messages'])
    return problems.length === 0 ? { ...config, destinations } : { problems }
  },
  remove: config => ({ ...config, destinations: EMPTY_MTA.destinations }),
  noSyntax: 'queue per-destination',
  show: ({ destinations: { connections, messages, rest } }) => {
    const tail = rest === EMPTY_MTA.destinations.rest ? '' : ` rest ${formatDuration(rest)}`
    return [`queue per-destination connections ${connections} messages ${messages}${tail}`]
  },
}

const ALL_DESTINATIONS: Spec = {
  syntax:
    'queue all-destinations connections <connections:number> unproven <unproven:number> patience <patience:duration>',
  help: 'Connections to all next hops at once, how many of them to domains that took no mail lately, and how long one may take to answer while others want its connection',
  apply(config, args) {
    const [connections, unproven] = [args.number('connections'), args.number('unproven')]
    const problems = noneOf(args, ['connections', 'unproven', 'patience'])
    if (problems.length > 0) return { problems }
    if (unproven <= connections)
      return { ...config, outgoing: { connections, unproven, patience: args.number('patience') } }
    const message = `${unproven} is more than there are connections`
    const hint = `expected ${connections} or fewer; the rest is kept for those that take mail`
    return { problems: [{ severity: 'error', message, hint, at: args.at('unproven') }] }
  },
  remove: config => ({ ...config, outgoing: EMPTY_MTA.outgoing }),
  noSyntax: 'queue all-destinations',
  show: ({ outgoing: { connections, unproven, patience } }) => [
    `queue all-destinations connections ${connections} unproven ${unproven} patience ${formatDuration(patience)}`,
  ],
}

/** What must not be nothing. */
function noneOf(args: Arguments, names: readonly string[]): readonly Diagnostic[] {
  return names
    .filter(name => args.number(name) === 0)
    .map(name => ({
      severity: 'error',
      message: `with 0 ${name} nothing is sent`,
      hint: 'expected 1 or more',
      at: args.at(name),
    }))
}

export const QUEUE_COMMANDS: readonly Spec[] = [SPOOL, DROP, RETRY, EXPIRE, DELAY_REPORT, DESTINATION, ALL_DESTINATIONS]
