import type { Diagnostic } from '../base/problem.ts'
import { type Duration, formatDuration } from '../base/time.ts'
import { DURATION, SIZE } from '../config/argument.ts'
import type { Arguments, CommandSpec } from '../config/grammar.ts'
import { servedCommands } from '../config/served.ts'
import { quote } from '../config/text.ts'
import { within } from '../config/within.ts'
import { showNetwork } from './access.ts'
import { LOGGING_COMMANDS } from './commands-logging.ts'
import {
  type Farm,
  type GatewayConfig,
  type LimitsConfig,
  MAX_SERVERS,
  NO_GATEWAY,
  RECORD_FILES,
  RECORD_OCTETS,
} from './gateway-config.ts'
import { distrust, TRUSTED_SYNTAX, trust } from './trusted.ts'

type Spec = CommandSpec<GatewayConfig>

function error(message: string, at: Diagnostic['at'], hint: string): { readonly problems: readonly Diagnostic[] } {
  return { problems: [{ severity: 'error', message, hint, ...(at && { at }) }] }
}

const RECORD: Spec = {
  syntax: 'record <folder:file> [files <files:number>] [octets <octets:size>] [messages]',
  noSyntax: 'record [<folder:file> [files <files:number>] [octets <octets:size>] [messages]]',
  help: 'Keep dialogues as transcripts in this folder; logins are left out, and so is the text of messages',
  words: {
    files: `how many are kept (${RECORD_FILES})`,
    octets: `how long one may become (${RECORD_OCTETS / 1024}k)`,
    messages: 'the text of messages, too',
  },
  apply: (config, args) => ({
    ...config,
    record: {
      folder: args.text('folder'),
      files: Math.max(1, args.number('files', RECORD_FILES)),
      octets: args.get('octets', SIZE) ?? RECORD_OCTETS,
      messages: args.has('messages'),
    },
  }),
  remove: ({ record: _, ...config }) => config,
  show({ record }) {
    if (!record) return []
    const { folder, files, octets, messages } = record
    const limits = `files ${files} octets ${SIZE.show(octets)}`
    return [`record ${quote(folder)} ${limits}${messages ? ' messages' : ''}`]
  },
}

/** A command about one of the limits. */
function limit(
  syntax: string,
  help: string,
  read: (limits: LimitsConfig, args: Arguments) => LimitsConfig,
  undo: (limits: LimitsConfig, args: Arguments) => LimitsConfig,
  show: (limits: LimitsConfig) => readonly string[],
  noSyntax = syntax,
): Spec {
  return {
    syntax,
    noSyntax,
    help,
    apply: (config, args) => ({ ...config, limits: read(config.limits, args) }),
    remove: (config, args) => ({ ...config, limits: undo(config.limits, args) }),
    show: ({ limits }) => show(limits),
  }
}

const DEFAULT = NO_GATEWAY.limits

const LIMITS: readonly Spec[] = [
  limit(
    'limit connections <most:number> [reserve <reserve:number>]',
    'Connections at once through this firewall, and how many of them are kept for the peers; one more is reset',
    (limits, args) => ({ ...limits, connections: args.number('most'), reserve: args.number('reserve') }),
    limits => ({ ...limits, connections: DEFAULT.connections, reserve: DEFAULT.reserve }),
    ({ connections, reserve }) =>
      connections === DEFAULT.connections && reserve === DEFAULT.reserve
        ? []
        : [`limit connections ${connections}${reserve === 0 ? '' : ` reserve ${reserve}`}`],
    'limit connections [<most:number> [reserve <reserve:number>]]',
  ),
  limit(
    'limit source connections <most:number>',
    'Connections at once from one address, of IPv6 from one /64; 0 for no limit',
    (limits, args) => ({ ...limits, perSource: args.number('most') }),
    limits => ({ ...limits, perSource: DEFAULT.perSource }),
    ({ perSource }) => (perSource === DEFAULT.perSource ? [] : [`limit source connections ${perSource}`]),
    'limit source connections [<most:number>]',
  ),
  limit(
    'limit source rate <count:number> per <duration>',
    'New connections from one address, of IPv6 from one /64, in this time',
    (limits, args) => ({ ...limits, rate: { count: args.number('count'), per: args.get('duration', DURATION) ?? 0 } }),
    ({ rate: _, ...limits }) => limits,
    ({ rate }) => (rate ? [`limit source rate ${rate.count} per ${formatDuration(rate.per)}`] : []),
    'limit source rate [<count:number> per <duration>]',
  ),
]

const PEER: Spec = {
  syntax: `limit peer ${TRUSTED_SYNTAX}`,
  help: 'A peer that may use the reserve, and is under no limit by source',
  apply(config, args) {
    const peers = trust(config.limits.peers, args)
    return 'problems' in peers ? peers : { ...config, limits: { ...config.limits, peers } }
  },
  remove: (config, args) => ({
    ...config,
    limits: { ...config.limits, peers: distrust(config.limits.peers, args) },
  }),
  show: ({ limits }) => limits.peers.map(each => `limit peer ${showNetwork(each)}`),
}

const DRAIN: Spec = {
  syntax: 'timeout drain <grace:duration>',
  noSyntax: 'timeout drain [<grace:duration>]',
  help: 'How long a stop waits for open connections before it cuts them',
  apply: (config, args) => ({ ...config, drain: args.get('grace', DURATION) ?? NO_GATEWAY.drain }),
  remove: config => ({ ...config, drain: NO_GATEWAY.drain }),
  show: ({ drain }) => (drain === NO_GATEWAY.drain ? [] : [`timeout drain ${formatDuration(drain)}`]),
}

const PROXY_FROM: Spec = {
  syntax: `proxy-protocol from ${TRUSTED_SYNTAX}`,
  help: 'A balancer: its connections must begin with a PROXY header, and count as from whom the header says',
  apply(config, args) {
    const proxiedFrom = trust(config.proxiedFrom, args)
    return 'problems' in proxiedFrom ? proxiedFrom : { ...config, proxiedFrom }
  },
  remove: (config, args) => ({ ...config, proxiedFrom: distrust(config.proxiedFrom, args) }),
  show: ({ proxiedFrom }) => proxiedFrom.map(each => `proxy-protocol from ${showNetwork(each)}`),
}

const PROXY_TO: Spec = {
  syntax: 'proxy-protocol to <ip> <port> version <version:1|2>',
  noSyntax: 'proxy-protocol to <ip> <port> [version <version:1|2>]',
  help: 'Tell this server by a PROXY header who is calling; it must expect that',
  apply(config, args) {
    const next = {
      ip: args.text('ip'),
      port: args.number('port'),
      version: args.text('version') === '1' ? 1 : 2,
    } as const
    return { ...config, proxiedTo: [...config.proxiedTo.filter(each => !isAt(each, args)), next] }
  },
  remove: (config, args) => ({ ...config, proxiedTo: config.proxiedTo.filter(each => !isAt(each, args)) }),
  show: ({ proxiedTo }) =>
    proxiedTo.map(({ ip, port, version }) => `proxy-protocol to ${ip} ${port} version ${version}`),
}

interface Place {
  readonly ip: string
  readonly port: number
}

function isAt({ ip, port }: Place, args: Arguments): boolean {
  return ip === args.text('ip') && port === args.number('port')
}

const FARM = 'serverfarm <ip> <port>'

const REAL: Spec = {
  syntax: `${FARM} real <real-ip:ip> <real-port:port>`,
  help: 'Another server where a static names this one; it is asked when those before it do not answer',
  apply(config, args, at) {
    const farm = farmOf(config, args)
    const next = { ip: args.text('real-ip'), port: args.number('real-port') }
    const others = [...farm.others.filter(each => !samePlace(each, next)), next]
    // The one that the static names is among them.
    if (others.length >= MAX_SERVERS) {
      return error('there are too many servers behind one', at, `expected ${MAX_SERVERS} at most`)
    }
    return withFarm(config, { ...farm, others })
  },
  remove(config, args) {
    const gone = { ip: args.text('real-ip'), port: args.number('real-port') }
    const farm = farmOf(config, args)
    return withFarm(config, { ...farm, others: farm.others.filter(each => !samePlace(each, gone)) })
  },
  show: ({ farms }) => farms.flatMap(farm => farm.others.map(({ ip, port }) => `${showFarm(farm)} real ${ip} ${port}`)),
}

const PREDICTOR: Spec = {
  syntax: `${FARM} predictor <predictor:ordered|roundrobin>`,
  noSyntax: `${FARM} predictor [<predictor:ordered|roundrobin>]`,
  help: 'Which of these servers is asked first: always the first that is up, or each in its turn',
  apply: (config, args) =>
    withFarm(config, { ...farmOf(config, args), predictor: args.text('predictor') as Farm['predictor'] }),
  remove: (config, args) => withFarm(config, { ...farmOf(config, args), predictor: 'ordered' }),
  show: ({ farms }) =>
    farms.flatMap(farm => (farm.predictor === 'ordered' ? [] : [`${showFarm(farm)} predictor ${farm.predictor}`])),
}

/** The shortest time between two probes of one server. */
export const MIN_PROBE_INTERVAL: Duration = 100

const PROBE: Spec = {
  syntax: `${FARM} probe <kind:tcp|smtp> every <interval:duration>`,
  noSyntax: `${FARM} probe [<kind:tcp|smtp> [every <interval:duration>]]`,
  help: 'See whether these servers are up: that they take a connection, or that they greet with 220',
  apply(config, args) {
    const every = args.get('interval', DURATION) ?? 0
    if (every < MIN_PROBE_INTERVAL) {
      const hint = `expected ${formatDuration(MIN_PROBE_INTERVAL)} or more`
      return error('that is too often', args.at('interval'), hint)
    }
    return withFarm(config, { ...farmOf(config, args), probe: { kind: args.text('kind') as 'tcp' | 'smtp', every } })
  },
  remove(config, args) {
    const { probe: _, ...farm } = farmOf(config, args)
    return withFarm(config, farm)
  },
  show: ({ farms }) =>
    farms.flatMap(farm =>
      farm.probe ? [`${showFarm(farm)} probe ${farm.probe.kind} every ${formatDuration(farm.probe.every)}`] : [],
    ),
}

function farmOf({ farms }: GatewayConfig, args: Arguments): Farm {
  const known = farms.find(each => isAt(each, args))
  return known ?? { ip: args.text('ip'), port: args.number('port'), others: [], predictor: 'ordered' }
}

/** A farm of which nothing is said any more is none. */
function withFarm(config: GatewayConfig, farm: Farm): GatewayConfig {
  const isEmpty = farm.others.length === 0 && farm.predictor === 'ordered' && !farm.probe
  const at = config.farms.findIndex(each => samePlace(each, farm))
  if (at < 0) return isEmpty ? config : { ...config, farms: [...config.farms, farm] }
  return { ...config, farms: config.farms.toSpliced(at, 1, ...(isEmpty ? [] : [farm])) }
}

function samePlace(a: Place, b: Place): boolean {
  return a.ip === b.ip && a.port === b.port
}

function showFarm({ ip, port }: Farm): string {
  return `serverfarm ${ip} ${port}`
}

/** Where a connection for this server may go, in the order of the lines; the server itself is the first. */
export function serversAt(config: GatewayConfig, server: Place): readonly Place[] {
  const farm = config.farms.find(each => samePlace(each, server))
  return [{ ip: server.ip, port: server.port }, ...(farm?.others ?? [])]
}

export const GATEWAY_COMMANDS: readonly Spec[] = [
  ...within<GatewayConfig, 'logging'>('logging', LOGGING_COMMANDS),
  ...servedCommands<GatewayConfig>(),
  RECORD,
  ...LIMITS,
  PEER,
  DRAIN,
  PROXY_FROM,
  PROXY_TO,
  REAL,
  PREDICTOR,
  PROBE,
]
