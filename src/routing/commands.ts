import type { CommandSpec } from '../config/grammar.ts'
import { quote } from '../config/text.ts'
import { change } from './change.ts'
import { type Connector, NO_ROUTING, type RoutingConfig } from './connector.ts'
import { CONNECTOR_SESSION_COMMANDS } from './connector-session.ts'

type Spec = CommandSpec<RoutingConfig>

const GROUP: Spec = {
  syntax: 'routing-group <group:name>',
  help: 'The routing group this server is a member of',
  apply: (config, args) => ({ ...config, group: args.text('group') }),
  remove: config => ({ ...config, group: NO_ROUTING.group }),
  show: ({ group }) => (group === NO_ROUTING.group ? [] : [`routing-group ${group}`]),
}

const CONNECTOR: Spec = {
  syntax: 'connector <connector:name> to <group:name> cost <cost:number> target <ip> [port <port>]',
  help: 'A way to another routing group, through the server at an address',
  apply(config, args, at) {
    const name = args.text('connector')
    const cost = args.number('cost')
    if (cost < 1 || cost > 100) {
      const message = `${cost} is not a cost`
      return { problems: [{ severity: 'error', message, hint: 'expected 1 to 100', at: args.at('cost') }] }
    }
    const before = config.connectors.find(each => each.name === name)
    const next: Connector = {
      spaces: [],
      ...before,
      name,
      group: args.text('group'),
      cost,
      target: { ip: args.text('ip'), port: args.number('port', 25) },
      at,
    }
    return { ...config, connectors: [...config.connectors.filter(each => each !== before), next] }
  },
  remove: (config, args) => ({
    ...config,
    connectors: config.connectors.filter(each => each.name !== args.text('connector')),
  }),
  noSyntax: 'connector <connector:name>',
  show: ({ connectors }) =>
    connectors.map(
      ({ name, group, cost, target: { ip, port } }) =>
        `connector ${name} to ${group} cost ${cost} target ${ip}${port === 25 ? '' : ` port ${port}`}`,
    ),
}

const ADDRESS_SPACE: Spec = {
  syntax: 'address-space <connector:name> smtp <space:word> [cost <cost:number>]',
  help: 'Mail for these domains may take this connector: a.example, *.a.example, or * for all',
  apply: (config, args) =>
    change(config, args, connector => {
      const space = { space: args.text('space'), cost: args.number('cost', 1) }
      return { ...connector, spaces: [...connector.spaces.filter(each => each.space !== space.space), space] }
    }),
  remove: (config, args) =>
    change(config, args, connector => ({
      ...connector,
      spaces: connector.spaces.filter(({ space }) => space !== args.text('space')),
    })),
  noSyntax: 'address-space <connector:name> smtp <space:word>',
  show: ({ connectors }) =>
    connectors.flatMap(({ name, spaces }) =>
      spaces.map(({ space, cost }) => `address-space ${name} smtp ${quote(space)}${cost === 1 ? '' : ` cost ${cost}`}`),
    ),
}

export const ROUTING_COMMANDS: readonly CommandSpec<RoutingConfig>[] = [
  GROUP,
  CONNECTOR,
  ADDRESS_SPACE,
  ...CONNECTOR_SESSION_COMMANDS,
]
