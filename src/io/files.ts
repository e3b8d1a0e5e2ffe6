import { readFileSync, statSync } from 'node:fs'
import { type Diagnostic, PosternError } from '../base/problem.ts'
import type { Grammar } from '../config/grammar.ts'
import { parse } from '../config/parse.ts'

const REASONS: Readonly<Record<string, string>> = {
  ENOENT: 'there is no such file',
  EACCES: 'it may not be read',
  EISDIR: 'it is a folder',
}

/** A file's octets; a `PosternError` that says in words why not. */
export function readBytes(path: string): Buffer {
  try {
    return readFileSync(path)
  } catch (cause) {
    const code = (cause as NodeJS.ErrnoException).code ?? ''
    const why = REASONS[code] ?? (cause as Error).message
    throw new PosternError('POSTERN_UNREADABLE', `cannot read ${path}: ${why}`, { side: 'us', retry: 'never', cause })
  }
}

export function isFile(path: string): boolean {
  return statSync(path, { throwIfNoEntry: false })?.isFile() ?? false
}

/** What a person wrote is wrong: all of it, with its places. */
export class ConfigurationError extends PosternError {
  readonly problems: readonly Diagnostic[]
  constructor(problems: readonly Diagnostic[]) {
    super('POSTERN_CONFIGURATION', 'the configuration has errors', { side: 'us', retry: 'never' })
    this.problems = problems
  }
}

/** A configuration from a file; every error in it at once, and the warnings beside the value. */
export function readConfig<C>(
  grammar: Grammar<C>,
  path: string,
  shown: string = path,
): { readonly config: C; readonly warnings: readonly Diagnostic[] } {
  const { config, problems } = parse(grammar, readBytes(path).toString('utf8'), shown)
  const errors = problems.filter(({ severity }) => severity === 'error')
  if (errors.length > 0) throw new ConfigurationError(problems)
  return { config, warnings: problems }
}
