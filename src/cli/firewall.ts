import type { Command } from 'commander'
import { openDoors } from '../app/firewall.ts'
import { Gateway } from '../app/gateway.ts'
import { cite, formatDiagnostic, PosternError } from '../base/problem.ts'
import { FIREWALL } from '../firewall/commands.ts'
import { readConfig } from '../io/files.ts'
import { sayEndpoint } from '../io/sockets.ts'
import { checkCommands } from './firewall-check.ts'
import { complain, EXIT, log } from './print.ts'
import { until } from './signals.ts'

/** `postern firewall …`: a firewall of its own, before a mail server of this machine. */
export function firewallCommands(program: Command): void {
  const firewall = program.command('firewall').description('the SMTP-aware firewall')
  firewall
    .command('run')
    .description('listen where `static … tcp` of a configuration says, and inspect what passes')
    .argument('<file>', 'a configuration, in the words of a Cisco PIX')
    .option('--quiet', 'say nothing of what is altered')
    .action(async (file: string, { quiet = false }: { readonly quiet?: boolean }) => {
      process.exitCode = await run(file, quiet)
    })
  checkCommands(firewall)
}

async function run(file: string, quiet: boolean): Promise<number> {
  const { config, warnings } = readConfig(FIREWALL, file)
  for (const warning of warnings) complain(formatDiagnostic(warning))
  const gateway = new Gateway(config.hostname, config, {
    ...(!quiet && {
      altered: ({ explanation: { what, subject, because } }) =>
        log(
          `altered ${what} ${subject} because of ${cite(because.cause.at)}: ${because.cause.command}`.replace(
            '  ',
            ' ',
          ),
        ),
    }),
    refused: ({ source, destination, port }, reason) =>
      log(`refused ${source} to ${destination} port ${port}: ${reason}`),
  })
  try {
    const doors = await openDoors(gateway, config)
    if (doors.length === 0) {
      const how = 'static (inside,outside) tcp 127.0.0.1 2525 127.0.0.1 2526 netmask 255.255.255.255'
      throw new PosternError('POSTERN_NO_DOOR', `${file} says nowhere where to listen; add a line such as: ${how}`, {
        side: 'us',
        retry: 'never',
      })
    }
    for (const door of doors) complain(`listening at ${sayEndpoint(door)}`)
    await until('SIGINT', 'SIGTERM')
    return EXIT.ok
  } finally {
    await gateway.stop()
  }
}
