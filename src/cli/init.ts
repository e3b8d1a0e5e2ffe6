import { constants, copyFileSync, existsSync, mkdirSync, readdirSync } from 'node:fs'
import { dirname, join, resolve } from 'node:path'
import { fileURLToPath } from 'node:url'
import type { Command } from 'commander'
import { PosternError } from '../base/problem.ts'
import { EXIT, print } from './print.ts'

interface Beginning {
  /** The folder below `examples/`, and the command's name. */
  readonly name: string
  readonly description: string
  /** Where to, where nothing is said. */
  readonly folder: string
  readonly file: string
  /** How it is run, with the file. */
  readonly how: readonly string[]
}

const BEGINNINGS: readonly Beginning[] = [
  {
    name: 'gateway',
    description: 'a firewall before a mail server of this machine',
    folder: 'gateway',
    file: 'gateway.conf',
    how: ['Run it before a server at 127.0.0.1 port 2526:', '   ./postern firewall run '],
  },
  {
    name: 'mta',
    description: 'a mail server: mailboxes, aliases, and a smart host for the rest',
    folder: 'mail',
    file: 'mail.conf',
    how: ['It runs as it stands, at port 2525 of this machine:', '   ./postern mta run '],
  },
]

/** `postern init …`: a configuration to begin with, one of the examples. */
export function initCommands(program: Command): void {
  const init = program.command('init').description('write a configuration to begin with')
  for (const beginning of BEGINNINGS) {
    init
      .command(beginning.name)
      .description(beginning.description)
      .argument('[folder]', 'where to; it is made where it is missing', beginning.folder)
      .action((folder: string) => {
        process.exitCode = copyExample(beginning, folder)
      })
  }
}

function copyExample({ name, file, how }: Beginning, folder: string): number {
  const from = resolve(dirname(fileURLToPath(import.meta.url)), '../../examples', name)
  // What running the example left beside it is none of it.
  const files = readdirSync(from, { withFileTypes: true })
    .filter(each => each.isFile() && !each.name.endsWith('.log'))
    .map(each => each.name)
  const there = files.filter(each => existsSync(join(folder, each))).map(each => join(folder, each))
  if (there.length > 0) {
    throw new PosternError('POSTERN_EXISTS', `nothing is written: there is a ${there.join(', ')} already`, {
      side: 'us',
      retry: 'never',
    })
  }
  mkdirSync(folder, { recursive: true })
  for (const each of files) copyFileSync(join(from, each), join(folder, each), constants.COPYFILE_EXCL)
  const [words, command] = how
  print(`${join(folder, file)} is written. ${words}`)
  print(`${command}${join(folder, file)}`)
  return EXIT.ok
}
