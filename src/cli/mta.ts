import type { Command } from 'commander'
import { passwordCommand } from './password.ts'

/** `postern mta …`: the mail transfer agent. */
export function mtaCommands(program: Command): void {
  const mta = program.command('mta').description('the mail transfer agent')
  passwordCommand(mta)
}
