import type { Diagnostic, SourceRef } from '../base/problem.ts'
import { formatDuration } from '../base/time.ts'
import { DURATION } from '../config/argument.ts'
import type { Arguments, CommandSpec } from '../config/grammar.ts'
import { isPrivate } from '../config/ip.ts'
import { quote } from '../config/text.ts'
import { sameDomain } from '../smtp/address.ts'
import { minus, plus, refuse } from './change.ts'
import { NO_ROUTING, NODE_PORT, type NodeEnd, type RoutingConfig, TIMERS, type TimerName } from './connector.ts'
import { CONNECTOR_COMMANDS } from './connector-commands.ts'
import { CONNECTOR_SESSION_COMMANDS } from './connector-session.ts'
import { GROUP_COMMANDS } from './group-commands.ts'
import type { Method, Reroute } from './route.ts'

type Spec = CommandSpec<RoutingConfig>

const METHOD: Spec = {
  syntax: 'route-by <method:least-cost|link-state>',
  help: 'How ways are chosen: as Exchange 2007 does, by cost alone, or as Exchange 2000 does, by what is up',
  apply: (config, args) => ({ ...config, method: args.text('method') as Method }),
  remove: config => ({ ...config, method: NO_ROUTING.method }),
  noSyntax: 'route-by',
  show: ({ method }) => (method === NO_ROUTING.method ? [] : [`route-by ${method}`]),
}

const REROUTE: Spec = {
  syntax: 'reroute <reroute:never|after-glitch|link-state>',
  help: 'When mail takes a dearer way: never, when our own connector failed its retries, or when any is told to be down',
  apply: (config, args) => ({ ...config, reroute: args.text('reroute') as Reroute }),
  remove: ({ reroute: _gone, ...config }) => config,
  noSyntax: 'reroute',
  show: ({ reroute }) => (reroute === undefined ? [] : [`reroute ${reroute}`]),
}

const SUPPRESS: Spec = {
  syntax: 'suppress-state-changes',
  help: 'Never tell others that a connector is down',
  apply: config => ({ ...config, suppressStateChanges: true }),
  remove: config => ({ ...config, suppressStateChanges: false }),
  show: ({ suppressStateChanges }) => (suppressStateChanges ? ['suppress-state-changes'] : []),
}

const TIMER: Spec = {
  syntax: `link-state timer <timer:${Object.keys(TIMERS).join('|')}> <duration>`,
  help: 'How long link state waits',
  words: {
    'glitch-retry': 'before each retry of a connector that failed',
    probe: 'between tries of a connector that is down',
    retell: 'before a neighbour that could not be told is tried again',
    'state-change-delay': 'before a change is told: a shorter one is not told at all',
    publish: 'between two changes of one group',
    'attached-timeout': 'before a member that went away is told to be gone',
  },
  apply: (config, args) => ({
    ...config,
    timers: { ...config.timers, [args.text('timer')]: args.get('duration', DURATION) ?? 0 },
  }),
  remove(config, args) {
    const { [args.text('timer') as TimerName]: _gone, ...timers } = config.timers
    return { ...config, timers }
  },
  noSyntax: `link-state timer <timer:${Object.keys(TIMERS).join('|')}>`,
  show: ({ timers }) =>
    Object.keys(TIMERS).flatMap(name => {
      const wait = timers[name as TimerName]
      return wait === undefined ? [] : [`link-state timer ${name} ${formatDuration(wait)}`]
    }),
}

const GLITCHES: Spec = {
  syntax: 'link-state glitch-retries <retries:number>',
  help: 'How many retries fail before a connector is told to be down',
  apply(config, args) {
    const glitchRetries = args.number('retries')
    if (glitchRetries < 1 || glitchRetries > 100) {
      return refuse(args.at('retries'), `${glitchRetries} is not a number of retries`, 'expected 1 to 100')
    }
    return { ...config, glitchRetries }
  },
  remove: config => ({ ...config, glitchRetries: NO_ROUTING.glitchRetries }),
  noSyntax: 'link-state glitch-retries',
  show: ({ glitchRetries }) =>
    glitchRetries === NO_ROUTING.glitchRetries ? [] : [`link-state glitch-retries ${glitchRetries}`],
}

const PEER: Spec = {
  syntax: 'link-state peer <user:word>',
  help: 'Believe this account what it tells of routing, and tell our neighbours what we know; for bridgeheads only',
  apply: (config, args) => ({ ...config, peers: plus(config.peers, args.text('user')) }),
  remove: (config, args) => ({ ...config, peers: minus(config.peers, args.text('user')) }),
  show: ({ peers }) => peers.map(each => `link-state peer ${quote(each)}`),
}

/** The two ends of the connections within a group are said alike. */
const NODE_END = '<ip> [port <port>] {private | tls ca <ca:file>}'
const NODE_WORDS = {
  private: 'without TLS, between addresses that nobody else can have: private ones, or loopback',
  tls: 'with the certificate of the "tls certificate" line; the other end shows one, too',
  ca: 'who may have signed the certificate of the other end',
}

function nodeEnd(args: Arguments, at: SourceRef): NodeEnd | { readonly problems: readonly Diagnostic[] } {
  const [ip, authoritiesFile] = [args.text('ip'), args.optional('ca')]
  if (authoritiesFile === undefined && !isPrivate(ip)) {
    const hint = 'expected a private address, or: tls ca FILE'
    return refuse(
      args.at('ip'),
      `${ip} is not an address of a private interface, and without TLS anybody is heard`,
      hint,
    )
  }
  return { ip, port: args.number('port', NODE_PORT), ...(authoritiesFile !== undefined && { authoritiesFile }), at }
}

function sayNodeEnd({ ip, port, authoritiesFile }: NodeEnd): string {
  const how = authoritiesFile === undefined ? 'private' : `tls ca ${quote(authoritiesFile)}`
  return `${ip}${port === NODE_PORT ? '' : ` port ${port}`} ${how}`
}

const sameEnd = (one: Pick<NodeEnd, 'ip' | 'port'>, other: Pick<NodeEnd, 'ip' | 'port'>): boolean =>
  one.ip === other.ip && one.port === other.port

const NODE_LISTEN: Spec = {
  syntax: `link-state listen ${NODE_END}`,
  help: 'On the master of a group: hear its other members here, and tell them what the master knows',
  words: NODE_WORDS,
  apply(config, args, at) {
    const end = nodeEnd(args, at)
    if ('problems' in end) return end
    return { ...config, nodeListens: [...config.nodeListens.filter(each => !sameEnd(each, end)), end] }
  },
  remove(config, args) {
    const gone = { ip: args.text('ip'), port: args.number('port', NODE_PORT) }
    return { ...config, nodeListens: config.nodeListens.filter(each => !sameEnd(each, gone)) }
  },
  noSyntax: 'link-state listen <ip> [port <port>]',
  show: ({ nodeListens }) => nodeListens.map(each => `link-state listen ${sayNodeEnd(each)}`),
}

const NODE_MASTER: Spec = {
  syntax: `link-state master ${NODE_END}`,
  help: 'On any other member of a group: where its master listens for it',
  words: NODE_WORDS,
  apply(config, args, at) {
    const end = nodeEnd(args, at)
    return 'problems' in end ? end : { ...config, nodeMaster: end }
  },
  remove: ({ nodeMaster: _gone, ...config }) => config,
  noSyntax: 'link-state master',
  show: ({ nodeMaster }) => (nodeMaster ? [`link-state master ${sayNodeEnd(nodeMaster)}`] : []),
}

export const ROUTING_COMMANDS: readonly CommandSpec<RoutingConfig>[] = [
  ...GROUP_COMMANDS,
  ...CONNECTOR_COMMANDS,
  ...CONNECTOR_SESSION_COMMANDS,
  METHOD,
  REROUTE,
  SUPPRESS,
  TIMER,
  GLITCHES,
  PEER,
  NODE_LISTEN,
  NODE_MASTER,
]

/** What only the whole file shows: ends that do not fit together. `hostname` is this server's. */
export function checkRouting(config: RoutingConfig, hostname: string): readonly Diagnostic[] {
  const problems: Diagnostic[] = []
  const say = (severity: Diagnostic['severity'], at: SourceRef, message: string, hint: string): void => {
    problems.push({ severity, message, hint, at })
  }
  for (const { name, groups, at, sources } of config.connectors) {
    if (groups.includes(config.group)) {
      say(
        'error',
        at,
        `connector ${name} leads to ${config.group}, where this server is`,
        'expected another routing group',
      )
    }
    const members = config.groups.find(each => each.name === config.group)?.members ?? []
    for (const source of sources) {
      if (members.length === 0 || members.some(({ server }) => sameDomain(server, source))) continue
      const known = members.map(({ server }) => server).join(', ')
      say(
        'error',
        at,
        `${source}, from which connector ${name} leaves, is no member of ${config.group}`,
        `known: ${known}`,
      )
    }
  }
  for (const { name, from, groups, at } of config.elsewhere) {
    if (from === config.group) {
      const hint = `expected: connector ${name} to ${groups[0]} cost … target …`
      say('error', at, `connector ${name} leaves ${from}, which is this server's own group`, hint)
    }
    if (groups.includes(from))
      say('error', at, `connector ${name} leads back to ${from}`, 'expected another routing group')
  }
  const { nodeListens, nodeMaster } = config
  const ours = config.groups.find(({ name }) => name === config.group)?.members ?? []
  const master = ours.find(({ isMaster }) => isMaster) ?? ours[0]
  const isMaster = master === undefined || sameDomain(master.server, hostname)
  const [listen] = nodeListens
  if (listen && !isMaster) {
    const hint = 'expected on another member: link-state master …'
    say('error', listen.at, `the master of ${config.group} is ${master.server}, and it alone hears the members`, hint)
  }
  if (nodeMaster && isMaster) {
    const hint = `expected a line such as: group-member ${config.group} NAME master`
    say('error', nodeMaster.at, `this server, ${hostname}, is the master of ${config.group} itself`, hint)
  }
  if (listen && isMaster && ours.every(({ server }) => sameDomain(server, hostname))) {
    const hint = `expected a line such as: group-member ${config.group} NAME address ADDRESS`
    say('error', listen.at, `${config.group} has no other members, so nobody could be heard here`, hint)
  }
  const addresses = ours.flatMap(({ server, address }) => (address ? [{ server, ip: address.ip }] : []))
  for (const { server, address, at } of ours) {
    const double = addresses.find(each => each.ip === address?.ip && each.server !== server)
    if (double && isMaster && nodeListens.some(isOpen)) {
      const hint = 'expected an address of its own, or: link-state listen … tls ca FILE'
      say('error', at, `${server} cannot be told from ${double.server}, which has its address`, hint)
    }
    if (isMaster && address === undefined && !sameDomain(server, hostname) && nodeListens.some(isOpen)) {
      const hint = `expected: group-member ${config.group} ${server} address ADDRESS`
      say('error', at, `${server} is known by its address where there is no TLS, and has none`, hint)
    }
  }
  for (const { name, members } of config.groups) {
    const [, second] = members.filter(({ isMaster }) => isMaster)
    if (second)
      say('error', second.at, `${name} has a master already`, 'only one server may publish the state of a group')
  }
  return problems
}

const isOpen = ({ authoritiesFile }: NodeEnd): boolean => authoritiesFile === undefined
