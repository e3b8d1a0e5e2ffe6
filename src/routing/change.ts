import type { Diagnostic, SourceRef } from '../base/problem.ts'
import type { Arguments, Effect } from '../config/grammar.ts'
import type { AnyConnector, Connector, RoutingConfig } from './connector.ts'

export function refuse(at: SourceRef, message: string, hint: string): { readonly problems: readonly Diagnostic[] } {
  return { problems: [{ severity: 'error', message, hint, at }] }
}

function unknown(args: Arguments, all: readonly AnyConnector[]): Effect<RoutingConfig> {
  const name = args.text('connector')
  const hint = all.length === 0 ? 'none is defined yet' : `known: ${all.map(each => each.name).join(', ')}`
  return refuse(args.at('connector'), `no connector is called "${name}"`, hint)
}

/** The connector a line speaks of, made over; or the problem that there is none of that name. */
export function change(
  config: RoutingConfig,
  args: Arguments,
  next: (connector: Connector) => Connector,
): Effect<RoutingConfig> {
  const found = config.connectors.find(each => each.name === args.text('connector'))
  if (!found) return unknown(args, config.connectors)
  return { ...config, connectors: config.connectors.map(each => (each === found ? next(each) : each)) }
}

/** The same, of a connector wherever it stands. */
export function changeAny(
  config: RoutingConfig,
  args: Arguments,
  next: <C extends AnyConnector>(connector: C) => C,
): Effect<RoutingConfig> {
  const remote = config.elsewhere.find(each => each.name === args.text('connector'))
  if (remote) return { ...config, elsewhere: config.elsewhere.map(each => (each === remote ? next(each) : each)) }
  if (config.connectors.some(each => each.name === args.text('connector'))) return change(config, args, next)
  return unknown(args, everyOne(config))
}

export function everyOne({ connectors, elsewhere }: RoutingConfig): readonly AnyConnector[] {
  return [...connectors, ...elsewhere]
}

/** A list with a thing, once, at its end; or without it. */
export function plus(list: readonly string[], item: string): readonly string[] {
  return [...minus(list, item), item]
}

export function minus(list: readonly string[], item: string): readonly string[] {
  return list.filter(each => each !== item)
}
