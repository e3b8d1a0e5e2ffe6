import { basename, dirname } from 'node:path'
import type { Command } from 'commander'
import { readLab } from '../app/lab.ts'
import { type Diagnostic, formatDiagnostic } from '../base/problem.ts'
import type { Grammar } from '../config/grammar.ts'
import { parse } from '../config/parse.ts'
import { FIREWALL } from '../firewall/commands.ts'
import { ConfigurationError, readBytes } from '../io/files.ts'
import { LAB } from '../lab/commands.ts'
import { MTA } from '../mta/commands.ts'
import { complain, EXIT, print } from './print.ts'

/** `postern config …`: files, whatever they configure. */
export function configCommands(program: Command): void {
  program
    .command('config')
    .description('configuration files')
    .command('check')
    .description('read a file of any kind, say which kind it is, and everything that is wrong with it')
    .argument('<file>', "a firewall's, a mail server's, or a laboratory's")
    .action((file: string) => {
      process.exitCode = check(file)
    })
}

interface Kind {
  readonly name: string
  readonly grammar: string
  read(text: string, file: string): readonly Diagnostic[]
}

const KINDS: readonly Kind[] = [kind('a firewall', FIREWALL), kind('a mail server', MTA), kind('a laboratory', LAB)]

function kind<C>(name: string, grammar: Grammar<C>): Kind {
  return { name, grammar: grammar.name, read: (text, file) => parse(grammar, text, file).problems }
}

function check(file: string): number {
  const text = readBytes(file).toString('utf8')
  // Of the wrong kind nearly every line is a mistake.
  const [best] = KINDS.map(each => ({ each, problems: each.read(text, file) })).sort(
    (a, b) => errorsIn(a.problems) - errorsIn(b.problems),
  )
  if (!best) return EXIT.ok
  const { each, problems } = best
  const isLab = each.grammar === 'lab' && basename(file) === 'lab.conf'
  const all = isLab && errorsIn(problems) === 0 ? [...problems, ...labProblems(file)] : problems
  for (const problem of all) complain(formatDiagnostic(problem))
  const errors = errorsIn(all)
  const warnings = all.length - errors
  const found = [counted(errors, 'mistake'), ...(warnings > 0 ? [counted(warnings, 'warning')] : [])].join(', ')
  print(`${file}: the configuration of ${each.name}, ${found}`)
  return errors > 0 ? EXIT.misuse : EXIT.ok
}

/** What is wrong with the files that a laboratory's names, and with how they fit together. */
function labProblems(file: string): readonly Diagnostic[] {
  try {
    readLab(dirname(file))
    return []
  } catch (cause) {
    if (cause instanceof ConfigurationError) return cause.problems
    throw cause
  }
}

function errorsIn(problems: readonly Diagnostic[]): number {
  return problems.filter(({ severity }) => severity === 'error').length
}

function counted(count: number, what: string): string {
  return count === 0 ? `no ${what}s` : `${count} ${what}${count === 1 ? '' : 's'}`
}
