import type { Diagnostic } from '../base/problem.ts'
import type { Arguments, CommandSpec, Grammar } from '../config/grammar.ts'
import { quote } from '../config/text.ts'
import { formatMailbox, parseMailbox } from '../smtp/address.ts'
import type { NodeKind, Route } from '../topology/topology.ts'
import { EMPTY_LAB, type LabConfig } from './config.ts'

type Spec = CommandSpec<LabConfig>

function error(message: string, at: Diagnostic['at'], hint: string): { readonly problems: readonly Diagnostic[] } {
  return { problems: [{ severity: 'error', message, hint, ...(at && { at }) }] }
}

function unknownNode(config: LabConfig, args: Arguments, ...names: readonly string[]) {
  for (const name of names) {
    const called = args.text(name)
    if (config.nodes.some(each => each.name === called)) continue
    const known = config.nodes.map(each => each.name)
    const hint = known.length === 0 ? 'none is named yet' : `known: ${known.join(', ')}`
    return error(`no node is called "${called}"`, args.at(name), hint)
  }
  return undefined
}

const NODE: Spec = {
  syntax: 'node <node:name> <kind:mta|firewall|vpn|host> site <site:name> [config <file>]',
  help: 'A machine of the laboratory, and the file that configures it',
  apply(config, args, at) {
    const name = args.text('node')
    if (config.nodes.some(each => each.name === name)) {
      return error(`there is a node "${name}" already`, args.at('node'), 'each node needs a name of its own')
    }
    const kind = args.text('kind') as NodeKind
    const file = args.optional('file')
    if (file === undefined && (kind === 'mta' || kind === 'firewall')) {
      return error(`a node of kind ${kind} needs its configuration`, at, 'add: config FILE')
    }
    const node = { name, kind, site: args.text('site'), at, ...(file !== undefined && { config: file }) }
    return { ...config, nodes: [...config.nodes, node] }
  },
  show: ({ nodes }) =>
    nodes.map(
      ({ name, kind, site, config }) =>
        `node ${name} ${kind} site ${site}${config === undefined ? '' : ` config ${quote(config)}`}`,
    ),
}

const CONNECT: Spec = {
  syntax: 'connect <node:name> <segment:name> {interface <port:name> | address <ip> <mask>}',
  help: 'Put a node on a segment: with an address, or by an interface that its own configuration addresses',
  apply(config, args, at) {
    const wrong = unknownNode(config, args, 'node')
    if (wrong) return wrong
    const port = args.optional('port')
    const by = port === undefined ? { ip: args.text('ip'), mask: args.text('mask') } : { port }
    const attachment = { node: args.text('node'), segment: args.text('segment'), by, at }
    return { ...config, attachments: [...config.attachments, attachment] }
  },
  show: ({ attachments }) =>
    attachments.map(
      ({ node, segment, by }) =>
        `connect ${node} ${segment} ${'port' in by ? `interface ${by.port}` : `address ${by.ip} ${by.mask}`}`,
    ),
}

const ROUTE: Spec = {
  syntax: 'route <node:name> <net:ip> <mask> {gateway <gateway:ip> | tunnel <peer:name>}',
  help: 'Where a node sends what is for a network',
  apply(config, args, at) {
    const tunnel = args.optional('peer')
    const wrong = unknownNode(config, args, 'node', ...(tunnel === undefined ? [] : ['peer']))
    if (wrong) return wrong
    const via: Route['via'] = tunnel === undefined ? { gateway: args.text('gateway') } : { tunnel }
    const route = { to: { ip: args.text('net'), mask: args.text('mask') }, via }
    return { ...config, routes: [...config.routes, { node: args.text('node'), route, at }] }
  },
  show: ({ routes }) =>
    routes.map(
      ({ node, route: { to, via } }) =>
        `route ${node} ${to.ip} ${to.mask} ${'tunnel' in via ? `tunnel ${via.tunnel}` : `gateway ${via.gateway}`}`,
    ),
}

const TUNNEL: Spec = {
  syntax: 'tunnel <near:name> <far:name> key <file>',
  help: 'An encrypted way between two vpn nodes; the file holds the key they share, in hexadecimal',
  apply(config, args, at) {
    const wrong = unknownNode(config, args, 'near', 'far')
    if (wrong) return wrong
    const ends = [args.text('near'), args.text('far')] as const
    return { ...config, tunnels: [...config.tunnels, { ends, keyFile: args.text('file'), at }] }
  },
  show: ({ tunnels }) => tunnels.map(({ ends, keyFile }) => `tunnel ${ends[0]} ${ends[1]} key ${quote(keyFile)}`),
}

const ENTRY: Spec = {
  syntax:
    'entry <entry:name> at <node:name> [interface <port:name>] from <source:ip> to <destination:ip> port <destination-port:port>',
  help: 'Where programs of this machine come in, as if they were the host at that source',
  apply(config, args, at) {
    const wrong = unknownNode(config, args, 'node')
    if (wrong) return wrong
    const port = args.optional('port')
    const entry = {
      name: args.text('entry'),
      node: args.text('node'),
      ...(port !== undefined && { port }),
      source: args.text('source'),
      destination: args.text('destination'),
      destinationPort: args.number('destination-port'),
      at,
    }
    return { ...config, entries: [...config.entries.filter(each => each.name !== entry.name), entry] }
  },
  show: ({ entries }) =>
    entries.map(
      ({ name, node, port, source, destination, destinationPort }) =>
        `entry ${name} at ${node}${port === undefined ? '' : ` interface ${port}`} from ${source} to ${destination} port ${destinationPort}`,
    ),
}

const MAIL: Spec = {
  syntax: 'mail <entry:name> from <from:address> to <to:address> folder <file>',
  help: 'Messages that the story sends: every .eml of the folder, in the order of their names',
  apply(config, args, at) {
    const entry = args.text('entry')
    if (!config.entries.some(({ name }) => name === entry)) {
      const known = config.entries.map(({ name }) => name)
      return error(`no entry is called "${entry}"`, args.at('entry'), `known: ${known.join(', ') || 'none'}`)
    }
    const [from, to] = [parseMailbox(args.text('from')), parseMailbox(args.text('to'))]
    if ('wrong' in from) return error(from.wrong, args.at('from'), 'expected an address')
    if ('wrong' in to) return error(to.wrong, args.at('to'), 'expected an address')
    return { ...config, mails: [...config.mails, { entry, from, to, folder: args.text('file'), at }] }
  },
  show: ({ mails }) =>
    mails.map(
      ({ entry, from, to, folder }) =>
        `mail ${entry} from ${formatMailbox(from)} to ${formatMailbox(to)} folder ${quote(folder)}`,
    ),
}

export const LAB: Grammar<LabConfig> = {
  name: 'lab',
  empty: EMPTY_LAB,
  commands: [
    {
      syntax: 'lab <lab:name>',
      help: 'The name of this laboratory',
      apply: (config, args) => ({ ...config, name: args.text('lab') }),
      show: ({ name }) => [`lab ${name}`],
    },
    NODE,
    CONNECT,
    ROUTE,
    TUNNEL,
    ENTRY,
    MAIL,
  ],
}
