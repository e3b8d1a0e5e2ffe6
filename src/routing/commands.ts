import type { Diagnostic, SourceRef } from '../base/problem.ts'
import { formatDuration } from '../base/time.ts'
import { DURATION, SIZE } from '../config/argument.ts'
import type { Arguments, CommandSpec } from '../config/grammar.ts'
import { quote } from '../config/text.ts'
import { sameDomain } from '../smtp/address.ts'
import { change, changeAny, everyOne, refuse } from './change.ts'
import {
  type Connector,
  type Member,
  NO_ROUTING,
  PLAIN,
  type RemoteConnector,
  type RoutingConfig,
  type RoutingGroup,
  TIMERS,
  type TimerName,
} from './connector.ts'
import { CONNECTOR_SESSION_COMMANDS } from './connector-session.ts'
import { compareTexts, parseGuid } from './link-state.ts'
import type { Content, Method, Reroute } from './route.ts'
import { ALWAYS, formatSchedule, parseSchedule, type Schedule } from './schedule.ts'

type Spec = CommandSpec<RoutingConfig>

/** A group of which something is said, made over; one of which nothing is left to say is forgotten. */
function changeGroup(
  config: RoutingConfig,
  args: Arguments,
  next: (group: RoutingGroup) => RoutingGroup,
): RoutingConfig {
  const name = args.text('group')
  const before = config.groups.find(each => each.name === name)
  const group = next(before ?? { name, members: [], domains: [], isHub: false })
  const isEmpty = group.members.length === 0 && group.domains.length === 0 && !group.isHub && group.guid === undefined
  const groups = [...config.groups.filter(each => each !== before), ...(isEmpty ? [] : [group])]
  return { ...config, groups: groups.sort((a, b) => compareTexts(a.name, b.name)) }
}

/** A list with a thing, once, at its end; or without it. */
function plus(list: readonly string[], item: string): readonly string[] {
  return [...minus(list, item), item]
}

function minus(list: readonly string[], item: string): readonly string[] {
  return list.filter(each => each !== item)
}

function costOf(args: Arguments): number | { readonly problems: readonly Diagnostic[] } {
  const cost = args.number('cost')
  return cost >= 1 && cost <= 100 ? cost : refuse(args.at('cost'), `${cost} is not a cost`, 'expected 1 to 100')
}

function scheduleOf(args: Arguments): Schedule | { readonly problems: readonly Diagnostic[] } {
  const read = parseSchedule(args.text('times'))
  return 'wrong' in read
    ? refuse(args.at('times'), read.wrong, 'such as mon-fri 08:00-18:00 sat 10:00-12:00, in UTC')
    : read
}

function port(port: number): string {
  return port === 25 ? '' : ` port ${port}`
}

const GROUP: Spec = {
  syntax: 'routing-group <group:name>',
  help: 'The routing group this server is a member of',
  apply: (config, args) => ({ ...config, group: args.text('group') }),
  remove: config => ({ ...config, group: NO_ROUTING.group }),
  noSyntax: 'routing-group [<group:name>]',
  show: ({ group }) => (group === NO_ROUTING.group ? [] : [`routing-group ${group}`]),
}

const ORGANIZATION: Spec = {
  syntax: 'organization <organization:word> [guid <guid:word>]',
  help: 'The organisation: routing state is told to nobody else',
  words: { guid: 'the GUID that an Exchange directory gave it; else one is made from the name' },
  apply(config, args) {
    const guid = guidOf(args)
    if (guid && typeof guid !== 'string') return guid
    return { ...config, organization: { name: args.text('organization'), ...(guid && { guid }) } }
  },
  remove: config => ({ ...config, organization: NO_ROUTING.organization }),
  noSyntax: 'organization',
  show({ organization: { name, guid } }) {
    if (name === NO_ROUTING.organization.name && !guid) return []
    return [`organization ${quote(name)}${guid ? ` guid ${guid}` : ''}`]
  },
}

function guidOf(args: Arguments): string | undefined | { readonly problems: readonly Diagnostic[] } {
  const word = args.optional('guid')
  if (word === undefined) return undefined
  return (
    parseGuid(word) ??
    refuse(args.at('guid'), `"${word}" is not a GUID`, 'expected 32 hex digits, with dashes or without')
  )
}

const MEMBER: Spec = {
  syntax: 'group-member <group:name> <server:domain> [master]',
  help: 'A server of a routing group; its master, if none is named the first, publishes its state',
  apply: (config, args, at) =>
    changeGroup(config, args, group => {
      const member: Member = { server: args.text('server'), isMaster: args.has('master'), at }
      return { ...group, members: [...withoutMember(group, member.server), member] }
    }),
  remove: (config, args) =>
    changeGroup(config, args, group => ({ ...group, members: withoutMember(group, args.text('server')) })),
  noSyntax: 'group-member <group:name> <server:domain>',
  show: ({ groups }) =>
    groups.flatMap(({ name, members }) =>
      members.map(({ server, isMaster }) => `group-member ${name} ${server}${isMaster ? ' master' : ''}`),
    ),
}

function withoutMember({ members }: RoutingGroup, server: string): readonly Member[] {
  return members.filter(each => !sameDomain(each.server, server))
}

const DOMAINS: Spec = {
  syntax: 'group-domain <group:name> <domain>',
  help: 'Mail for this domain is delivered in that routing group',
  apply: (config, args) =>
    changeGroup(config, args, group => ({ ...group, domains: plus(group.domains, args.text('domain')) })),
  remove: (config, args) =>
    changeGroup(config, args, group => ({ ...group, domains: minus(group.domains, args.text('domain')) })),
  show: ({ groups }) => groups.flatMap(({ name, domains }) => domains.map(each => `group-domain ${name} ${each}`)),
}

const HUB: Spec = {
  syntax: 'group-hub <group:name>',
  help: 'Mail that comes through this routing group is handed over there, and not past it',
  apply: (config, args) => changeGroup(config, args, group => ({ ...group, isHub: true })),
  remove: (config, args) => changeGroup(config, args, group => ({ ...group, isHub: false })),
  show: ({ groups }) => groups.filter(({ isHub }) => isHub).map(({ name }) => `group-hub ${name}`),
}

const GROUP_GUID: Spec = {
  syntax: 'group-guid <group:name> <guid:word>',
  help: 'The GUID that an Exchange directory gave a routing group; else one is made from its name',
  apply(config, args) {
    const guid = guidOf(args)
    if (guid && typeof guid !== 'string') return guid
    return changeGroup(config, args, group => ({ ...group, ...(guid && { guid }) }))
  },
  remove: (config, args) => changeGroup(config, args, ({ guid: _gone, ...group }) => group),
  noSyntax: 'group-guid <group:name>',
  show: ({ groups }) => groups.flatMap(({ name, guid }) => (guid ? [`group-guid ${name} ${guid}`] : [])),
}

/** The connector of that name made over, or a new one, in the order that `show` prints; a remote one gives way. */
function put(config: RoutingConfig, next: (before: Connector | undefined) => Connector, name: string): RoutingConfig {
  const before = config.connectors.find(each => each.name === name)
  const elsewhere = config.elsewhere.filter(each => each.name !== name)
  const connectors = [...config.connectors.filter(each => each !== before), next(before)]
  const order = ['routing-group', 'smtp']
  return { ...config, elsewhere, connectors: connectors.sort((a, b) => order.indexOf(a.kind) - order.indexOf(b.kind)) }
}

const CONNECTOR: Spec = {
  syntax: 'connector <connector:name> to <group:name> cost <cost:number> target <ip> [port <port>]',
  help: 'A way to another routing group, through the server at an address',
  apply(config, args, at) {
    const cost = costOf(args)
    if (typeof cost !== 'number') return cost
    const name = args.text('connector')
    const target = { ip: args.text('ip'), port: args.number('port', 25) }
    const groups = [args.text('group')]
    return put(
      config,
      before => ({
        ...PLAIN,
        others: [],
        isHeld: false,
        ...before,
        kind: 'routing-group',
        name,
        groups,
        cost,
        target,
        at,
      }),
      name,
    )
  },
  remove: (config, args) => ({
    ...config,
    connectors: config.connectors.filter(each => each.name !== args.text('connector')),
    elsewhere: config.elsewhere.filter(each => each.name !== args.text('connector')),
  }),
  noSyntax: 'connector <connector:name>',
  show: ({ connectors }) =>
    connectors
      .filter(({ kind }) => kind === 'routing-group')
      .map(
        ({ name, groups, cost, target }) =>
          `connector ${name} to ${groups[0]} cost ${cost} target ${target.ip}${port(target.port)}`,
      ),
}

const REMOTE: Spec = {
  syntax: 'connector <connector:name> from <from:name> to <group:name> cost <cost:number>',
  help: 'A way between two other routing groups, so that routes can be computed through it',
  apply(config, args, at) {
    const cost = costOf(args)
    if (typeof cost !== 'number') return cost
    const name = args.text('connector')
    const before = config.elsewhere.find(each => each.name === name)
    const next: RemoteConnector = {
      ...PLAIN,
      ...before,
      name,
      from: args.text('from'),
      groups: [args.text('group')],
      cost,
      at,
    }
    return {
      ...config,
      connectors: config.connectors.filter(each => each.name !== name),
      elsewhere: [...config.elsewhere.filter(each => each !== before), next],
    }
  },
  show: ({ elsewhere }) =>
    elsewhere.map(({ name, from, groups, cost }) => `connector ${name} from ${from} to ${groups[0]} cost ${cost}`),
}

const SMTP_CONNECTOR: Spec = {
  syntax: 'smtp-connector <connector:name> cost <cost:number> smart-host <ip> [port <port>]',
  help: 'A way out of the organisation, through a smart host',
  apply(config, args, at) {
    const cost = costOf(args)
    if (typeof cost !== 'number') return cost
    const name = args.text('connector')
    const target = { ip: args.text('ip'), port: args.number('port', 25) }
    return put(
      config,
      before => {
        const kept = before?.kind === 'smtp' ? before : { ...before, groups: [] }
        return { ...PLAIN, others: [], isHeld: false, ...kept, kind: 'smtp', name, cost, target, at }
      },
      name,
    )
  },
  remove: (config, args) => ({
    ...config,
    connectors: config.connectors.filter(each => each.name !== args.text('connector')),
  }),
  noSyntax: 'smtp-connector <connector:name>',
  show: ({ connectors }) =>
    connectors
      .filter(({ kind }) => kind === 'smtp')
      .map(
        ({ name, cost, target }) => `smtp-connector ${name} cost ${cost} smart-host ${target.ip}${port(target.port)}`,
      ),
}

const CONNECTED: Spec = {
  syntax: 'connector-group <connector:name> <group:name>',
  help: 'An SMTP connector that leads to this routing group, too, and carries routing state there',
  apply(config, args) {
    const found = config.connectors.find(each => each.name === args.text('connector'))
    if (found?.kind === 'routing-group') {
      const message = `connector ${found.name} leads to one routing group, ${found.groups[0]}`
      return refuse(args.at('connector'), message, 'expected an SMTP connector, or another connector for this group')
    }
    return change(config, args, each => ({ ...each, groups: plus(each.groups, args.text('group')) }))
  },
  remove: (config, args) =>
    change(config, args, each =>
      each.kind === 'smtp' ? { ...each, groups: minus(each.groups, args.text('group')) } : each,
    ),
  show: ({ connectors }) =>
    connectors.flatMap(({ kind, name, groups }) =>
      kind === 'smtp' ? groups.map(group => `connector-group ${name} ${group}`) : [],
    ),
}

const TARGET: Spec = {
  syntax: 'connector-target <connector:name> <ip> [port <port>]',
  help: 'Another server at the far end, tried after the one before',
  apply: (config, args) =>
    change(config, args, connector => ({
      ...connector,
      others: [...withoutTarget(connector, args), { ip: args.text('ip'), port: args.number('port', 25) }],
    })),
  remove: (config, args) =>
    change(config, args, connector => ({ ...connector, others: withoutTarget(connector, args) })),
  show: ({ connectors }) =>
    connectors.flatMap(({ name, others }) =>
      others.map(each => `connector-target ${name} ${each.ip}${port(each.port)}`),
    ),
}

function withoutTarget({ others }: Connector, args: Arguments): Connector['others'] {
  return others.filter(({ ip, port }) => ip !== args.text('ip') || port !== args.number('port', 25))
}

const SOURCE: Spec = {
  syntax: 'connector-source <connector:name> <server:domain>',
  help: 'Only these servers of the group use the connector; without any, all do',
  apply: (config, args) =>
    changeAny(config, args, each => ({ ...each, sources: plus(each.sources, args.text('server')) })),
  remove: (config, args) =>
    changeAny(config, args, each => ({ ...each, sources: minus(each.sources, args.text('server')) })),
  show: config =>
    everyOne(config).flatMap(({ name, sources }) => sources.map(each => `connector-source ${name} ${each}`)),
}

const ADDRESS_SPACE: Spec = {
  syntax: 'address-space <connector:name> smtp <space:word> [cost <cost:number>]',
  help: 'Mail for these domains may take this connector: a.example, *.a.example, or * for all',
  apply: (config, args) =>
    changeAny(config, args, connector => {
      const space = { space: args.text('space'), cost: args.number('cost', 1) }
      return { ...connector, spaces: [...connector.spaces.filter(each => each.space !== space.space), space] }
    }),
  remove: (config, args) =>
    changeAny(config, args, connector => ({
      ...connector,
      spaces: connector.spaces.filter(({ space }) => space !== args.text('space')),
    })),
  noSyntax: 'address-space <connector:name> smtp <space:word>',
  show: config =>
    everyOne(config).flatMap(({ name, spaces }) =>
      spaces.map(({ space, cost }) => `address-space ${name} smtp ${quote(space)}${cost === 1 ? '' : ` cost ${cost}`}`),
    ),
}

const SCHEDULE: Spec = {
  syntax: 'connector-schedule <connector:name> <times:text...>',
  help: 'When mail may leave, in UTC: always, never, or mon-fri 08:00-18:00 sat 10:00-12:00',
  apply(config, args) {
    const schedule = scheduleOf(args)
    return 'problems' in schedule ? schedule : changeAny(config, args, each => ({ ...each, schedule }))
  },
  remove: (config, args) => changeAny(config, args, each => ({ ...each, schedule: ALWAYS })),
  noSyntax: 'connector-schedule <connector:name>',
  show: config =>
    everyOne(config).flatMap(({ name, schedule }) =>
      schedule.kind === 'always' ? [] : [`connector-schedule ${name} ${formatSchedule(schedule)}`],
    ),
}

const SIZE_LIMIT: Spec = {
  syntax: 'connector-size <connector:name> <size>',
  help: 'The largest message that the connector takes',
  apply: (config, args) => changeAny(config, args, each => ({ ...each, sizeLimit: args.number('size') })),
  remove: (config, args) => changeAny(config, args, each => ({ ...each, sizeLimit: undefined })),
  noSyntax: 'connector-size <connector:name>',
  show: config =>
    everyOne(config).flatMap(({ name, sizeLimit }) =>
      sizeLimit === undefined ? [] : [`connector-size ${name} ${SIZE.show(sizeLimit)}`],
    ),
}

const OVERSIZE: Spec = {
  syntax: 'connector-oversize <connector:name> over <size> <times:text...>',
  help: 'When larger messages may leave',
  apply(config, args) {
    const schedule = scheduleOf(args)
    if ('problems' in schedule) return schedule
    return changeAny(config, args, each => ({ ...each, oversize: { over: args.number('size'), schedule } }))
  },
  remove: (config, args) => changeAny(config, args, each => ({ ...each, oversize: undefined })),
  noSyntax: 'connector-oversize <connector:name>',
  show: config =>
    everyOne(config).flatMap(({ name, oversize }) =>
      oversize
        ? [`connector-oversize ${name} over ${SIZE.show(oversize.over)} ${formatSchedule(oversize.schedule)}`]
        : [],
    ),
}

const REFUSES: Spec = {
  syntax: 'connector-refuse <connector:name> <content:low|normal|high|system>',
  help: 'Mail of this priority, or of the system, does not take the connector',
  apply: (config, args) =>
    changeAny(config, args, each => ({
      ...each,
      refuses: plus(each.refuses, args.text('content')) as readonly Content[],
    })),
  remove: (config, args) =>
    changeAny(config, args, each => ({
      ...each,
      refuses: minus(each.refuses, args.text('content')) as readonly Content[],
    })),
  show: config =>
    everyOne(config).flatMap(({ name, refuses }) => refuses.map(each => `connector-refuse ${name} ${each}`)),
}

/** A list of senders: an address, or `null` for reports, whose sender is empty. */
function senders(word: 'accept' | 'reject', key: 'accepts' | 'rejects', help: string): Spec {
  const senderIn = (args: Arguments): string => (args.has('null') ? '<>' : args.text('address'))
  return {
    syntax: `connector-${word} <connector:name> {null | <address>}`,
    help,
    words: { null: 'reports, whose sender is empty' },
    apply: (config, args) => changeAny(config, args, each => ({ ...each, [key]: plus(each[key], senderIn(args)) })),
    remove: (config, args) => changeAny(config, args, each => ({ ...each, [key]: minus(each[key], senderIn(args)) })),
    show: config =>
      everyOne(config).flatMap(each =>
        each[key].map(sender => `connector-${word} ${each.name} ${sender === '<>' ? 'null' : quote(sender)}`),
      ),
  }
}

const HOLD: Spec = {
  syntax: 'connector-hold <connector:name>',
  help: 'Keep mail until the other side fetches it by TURN, ATRN or ETRN',
  apply: (config, args) => change(config, args, each => ({ ...each, isHeld: true })),
  remove: (config, args) => change(config, args, each => ({ ...each, isHeld: false })),
  show: ({ connectors }) => connectors.filter(({ isHeld }) => isHeld).map(({ name }) => `connector-hold ${name}`),
}

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

export const ROUTING_COMMANDS: readonly CommandSpec<RoutingConfig>[] = [
  ORGANIZATION,
  GROUP,
  MEMBER,
  DOMAINS,
  HUB,
  GROUP_GUID,
  CONNECTOR,
  REMOTE,
  SMTP_CONNECTOR,
  CONNECTED,
  TARGET,
  SOURCE,
  ADDRESS_SPACE,
  SCHEDULE,
  SIZE_LIMIT,
  OVERSIZE,
  REFUSES,
  senders('accept', 'accepts', 'Only this sender’s mail takes the connector, and that of others named so'),
  senders('reject', 'rejects', 'This sender’s mail does not take the connector'),
  HOLD,
  ...CONNECTOR_SESSION_COMMANDS,
  METHOD,
  REROUTE,
  SUPPRESS,
  TIMER,
  GLITCHES,
]

/** What only the whole file shows: ends that do not fit together. */
export function checkRouting(config: RoutingConfig): readonly Diagnostic[] {
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
  for (const { name, members } of config.groups) {
    const [, second] = members.filter(({ isMaster }) => isMaster)
    if (second)
      say('error', second.at, `${name} has a master already`, 'only one server may publish the state of a group')
  }
  return problems
}
