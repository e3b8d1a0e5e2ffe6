import { cpSync, existsSync, mkdirSync, readdirSync } from 'node:fs'
import { dirname, join, resolve } from 'node:path'
import { fileURLToPath } from 'node:url'
import type { Command } from 'commander'
import { PosternError } from '../base/problem.ts'
import { EXIT, print } from './print.ts'

/** `postern init …`: a configuration to begin with, one of the examples. */
export function initCommands(program: Command): void {
  program
    .command('init')
    .description('write a configuration to begin with')
    .command('gateway')
    .description('a firewall before a mail server of this machine')
    .argument('[folder]', 'where to; it is made where it is missing', 'gateway')
    .action((folder: string) => {
      process.exitCode = copyExample('gateway', folder)
    })
}

function copyExample(name: string, folder: string): number {
  const from = resolve(dirname(fileURLToPath(import.meta.url)), '../../examples', name)
  const there = readdirSync(from).filter(file => existsSync(join(folder, file)))
  if (there.length > 0) {
    const files = there.map(file => join(folder, file)).join(', ')
    throw new PosternError('POSTERN_EXISTS', `nothing is written: there is a ${files} already`, {
      side: 'us',
      retry: 'never',
    })
  }
  mkdirSync(folder, { recursive: true })
  cpSync(from, folder, { recursive: true, errorOnExist: true, force: false })
  const file = join(folder, `${name}.conf`)
  print(`${file} is written. Run it before a server at 127.0.0.1 port 2526:`)
  print(`   ./postern firewall run ${file}`)
  return EXIT.ok
}
