/** Lines that everything which runs as a service has: where it tells of itself, and as whom it runs. */
import type { SourceRef } from '../base/problem.ts'
import { SEVERITIES, type Severity } from '../base/severity.ts'
import type { Arguments, CommandSpec } from './grammar.ts'

export interface Served {
  /** Where metrics may be asked for; nowhere unless a line says so. */
  readonly metrics?: MetricsAt
  /** Who it becomes once its ports are open; absent: it stays who started it. */
  readonly user?: { readonly name: string; readonly at: SourceRef }
}

export interface MetricsAt {
  readonly ip: string
  readonly port: number
  readonly at: SourceRef
}

export function servedCommands<C extends Served>(): readonly CommandSpec<C>[] {
  return [
    {
      syntax: 'metrics listen <ip> <port>',
      noSyntax: 'metrics listen [<ip> [<port>]]',
      help: 'Answer /metrics (Prometheus) and /healthz there; nowhere unless this line says so, and only on loopback',
      apply(config, args, at) {
        const ip = args.text('ip')
        // They tell who talks to whom, and ask for no password.
        if (!ip.startsWith('127.') && ip !== '::1') {
          const message = `metrics are not for the network of ${ip}`
          return {
            problems: [{ severity: 'error', message, hint: 'expected 127.0.0.1 or ::1', at: args.at('ip') }],
          }
        }
        return { ...config, metrics: { ip, port: args.number('port'), at } }
      },
      remove: ({ metrics: _gone, ...config }) => config as C,
      show: ({ metrics }) => (metrics ? [`metrics listen ${metrics.ip} ${metrics.port}`] : []),
    },
    {
      syntax: 'user <name>',
      noSyntax: 'user [<name>]',
      help: 'Started as root: become this user for good once the ports are open, and before anybody is served',
      words: { user: 'as whom it runs' },
      apply: (config, args, at) => ({ ...config, user: { name: args.text('name'), at } }),
      remove: ({ user: _gone, ...config }) => config as C,
      show: ({ user }) => (user ? [`user ${user.name}`] : []),
    },
  ]
}

/** The level of a `logging` line, by its word or its number. */
export const LEVEL: string = `<level:${[...SEVERITIES, ...SEVERITIES.keys()].join('|')}>`

export function levelOf(args: Arguments, otherwise: Severity): Severity {
  const word = args.optional('level')
  if (word === undefined) return otherwise
  const named = SEVERITIES.indexOf(word as (typeof SEVERITIES)[number])
  return (named < 0 ? Number(word) : named) as Severity
}
