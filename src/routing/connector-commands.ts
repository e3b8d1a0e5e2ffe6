/** Connectors: where they lead, and what takes them. */
import { Keyed } from '../base/keyed.ts'
import type { Diagnostic } from '../base/problem.ts'
import { SIZE } from '../config/argument.ts'
import { type Arguments, type CommandSpec, isObjection } from '../config/grammar.ts'
import { respelled } from '../config/respelled.ts'
import { quote } from '../config/text.ts'
import { domainKey } from '../smtp/address.ts'
import { change, changeAny, everyOne, minus, plus, refuse } from './change.ts'
import { type AddressSpace, type Connector, PLAIN, type RemoteConnector, type RoutingConfig } from './connector.ts'
import type { Content } from './route.ts'
import { ALWAYS, formatSchedule, parseSchedule, type Schedule } from './schedule.ts'

type Spec = CommandSpec<RoutingConfig>

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

function port(port = 25): string {
  return port === 25 ? '' : ` port ${port}`
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
        isHeld: false,
        ...withoutDns(before),
        kind: 'routing-group',
        name,
        groups,
        cost,
        targets: [target, ...(before?.targets.slice(1) ?? [])],
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
        ({ name, groups, cost, targets: [target] }) =>
          `connector ${name} to ${groups[0]} cost ${cost} target ${target?.ip}${port(target?.port)}`,
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
  syntax: 'smtp-connector <connector:name> cost <cost:number> {smart-host <ip> | dns} [port <port>]',
  help: 'A way out of the organisation: through a smart host, or to each domain’s own servers, as DNS names them',
  apply(config, args, at) {
    const cost = costOf(args)
    if (typeof cost !== 'number') return cost
    const name = args.text('connector')
    const end = args.number('port', 25)
    const target = { ip: args.text('ip'), port: end }
    return put(
      config,
      before => {
        const groups = before?.kind === 'smtp' ? before.groups : []
        const leads = args.has('dns')
          ? { targets: [], dns: { port: end } }
          : { targets: [target, ...(before?.targets.slice(1) ?? [])] }
        return { ...PLAIN, isHeld: false, ...withoutDns(before), kind: 'smtp', groups, name, cost, ...leads, at }
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
      .map(({ name, cost, targets: [target], dns }) => {
        const leads = dns ? `dns${port(dns.port)}` : `smart-host ${target?.ip}${port(target?.port)}`
        return `smtp-connector ${name} cost ${cost} ${leads}`
      }),
}

/** A line that says anew where a connector leads. */
function withoutDns(before: Connector | undefined): Omit<Connector, 'dns'> | undefined {
  if (!before) return undefined
  const { dns: _gone, ...rest } = before
  return rest
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
  apply(config, args) {
    const found = config.connectors.find(each => each.name === args.text('connector'))
    if (found?.dns) {
      const message = `connector ${found.name} leads where DNS says`
      return refuse(args.at('connector'), message, 'expected a connector with a target or a smart host')
    }
    return change(config, args, connector => ({
      ...connector,
      targets: [...withoutTarget(connector, args), { ip: args.text('ip'), port: args.number('port', 25) }],
    }))
  },
  remove: (config, args) =>
    change(config, args, connector => ({ ...connector, targets: withoutTarget(connector, args) })),
  show: ({ connectors }) =>
    connectors.flatMap(({ name, targets }) =>
      targets.slice(1).map(each => `connector-target ${name} ${each.ip}${port(each.port)}`),
    ),
}

/** The first stands in the line of the connector itself. */
function withoutTarget({ targets }: Connector, args: Arguments): Connector['targets'] {
  return targets.filter(({ ip, port }, i) => i === 0 || ip !== args.text('ip') || port !== args.number('port', 25))
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

/** Of one connector. */
const SPACES = new Keyed<AddressSpace>(({ space }) => domainKey(space))

const ADDRESS_SPACE: Spec = {
  syntax: 'address-space <connector:name> smtp <space:word> [cost <cost:number>]',
  help: 'Mail for these domains may take this connector: a.example, *.a.example, or * for all',
  apply(config, args) {
    const space = { space: args.text('space'), cost: args.number('cost', 1) }
    let before: AddressSpace | undefined
    const next = changeAny(config, args, connector => {
      before = SPACES.like(connector.spaces, space)
      return { ...connector, spaces: SPACES.with(connector.spaces, space) }
    })
    return isObjection(next) ? next : respelled(next, before?.space, { now: space.space, at: args.at('space') })
  },
  remove: (config, args) =>
    changeAny(config, args, connector => ({
      ...connector,
      spaces: SPACES.without(connector.spaces, domainKey(args.text('space'))),
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

export const CONNECTOR_COMMANDS: readonly Spec[] = [
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
]
