/** How the server runs: what it tells of itself and whom, and as which user. */
import { SEVERITIES } from '../base/severity.ts'
import type { CommandSpec } from '../config/grammar.ts'
import { LEVEL, levelOf, servedCommands } from '../config/served.ts'
import { quote } from '../config/text.ts'
import type { MtaConfig } from './config.ts'

const LOGGING: CommandSpec<MtaConfig> = {
  syntax: `logging json <file> [${LEVEL}]`,
  noSyntax: 'logging json <file>',
  help: 'Write what happens into a file, a JSON object a line: this level and worse (informational)',
  words: { logging: 'what is told of what happens, and where' },
  apply: (config, args, at) => ({
    ...config,
    logs: [
      ...config.logs.filter(({ file }) => file !== args.text('file')),
      { file: args.text('file'), level: levelOf(args, 6), at },
    ],
  }),
  remove: (config, args) => ({ ...config, logs: config.logs.filter(({ file }) => file !== args.text('file')) }),
  show: ({ logs }) => logs.map(({ file, level }) => `logging json ${quote(file)} ${SEVERITIES[level]}`),
}

export const SERVICE_COMMANDS: readonly CommandSpec<MtaConfig>[] = [LOGGING, ...servedCommands<MtaConfig>()]
