import type { Arguments, Effect } from '../config/grammar.ts'
import type { Connector, RoutingConfig } from './connector.ts'

/** The connector a line speaks of, made over; or the problem that there is none of that name. */
export function change(
  config: RoutingConfig,
  args: Arguments,
  next: (connector: Connector) => Connector,
): Effect<RoutingConfig> {
  const name = args.text('connector')
  const found = config.connectors.find(each => each.name === name)
  if (found) return { ...config, connectors: config.connectors.map(each => (each === found ? next(each) : each)) }
  const names = config.connectors.map(each => each.name)
  const hint = names.length === 0 ? 'none is defined yet' : `known: ${names.join(', ')}`
  const message = `no connector is called "${name}"`
  return { problems: [{ severity: 'error', message, hint, at: args.at('connector') } as const] }
}
