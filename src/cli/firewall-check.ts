import type { Command } from 'commander'
import { formatDiagnostic } from '../base/problem.ts'
import { check, suffers } from '../firewall/check.ts'
import { checkJson, sayCheck } from '../firewall/check-report.ts'
import { FIREWALL } from '../firewall/commands.ts'
import { convertFixups } from '../firewall/convert.ts'
import { readConfig } from '../io/files.ts'
import { complain, EXIT, print } from './print.ts'

/** `postern firewall check` and `convert`: what a configuration says, before any traffic. */
export function checkCommands(firewall: Command): void {
  firewall
    .command('check')
    .description('say what a configuration does to ESMTP, per pair of interfaces: status 1 where something suffers')
    .argument('<file>', 'a configuration, in the words of a Cisco PIX or ASA')
    .option('--json', 'for programs')
    .action((file: string, { json = false }: { readonly json?: boolean }) => {
      process.exitCode = checkFile(file, json)
    })
  firewall
    .command('convert')
    .description('say what the fixups of a configuration are in the policy framework of PIX and ASA 7.0')
    .argument('<file>', 'a configuration, in the words of a Cisco PIX')
    .action((file: string) => {
      const { config, warnings } = readConfig(FIREWALL, file)
      for (const warning of warnings) complain(formatDiagnostic(warning))
      const lines = convertFixups(config)
      for (const line of lines) print(line)
      if (lines.length === 0) complain(`${file} has no fixup: there is nothing to convert`)
    })
}

function checkFile(file: string, json: boolean): number {
  const { config, warnings } = readConfig(FIREWALL, file)
  const found = check(config)
  const all = { ...found, warnings: [...warnings, ...found.warnings] }
  if (json) print(JSON.stringify(checkJson(config, all), undefined, 2))
  else for (const line of sayCheck(config, all)) print(line)
  return suffers(all) ? EXIT.failed : EXIT.ok
}
