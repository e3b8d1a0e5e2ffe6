import {
  closeSync,
  fsyncSync,
  openSync,
  readFileSync,
  readSync,
  realpathSync,
  renameSync,
  rmSync,
  statSync,
  writeSync,
} from 'node:fs'
import { basename, dirname, join } from 'node:path'
import { type Diagnostic, PosternError } from '../base/problem.ts'
import type { Grammar } from '../config/grammar.ts'
import { parse } from '../config/parse.ts'

const REASONS: Readonly<Record<string, string>> = {
  ENOENT: 'there is no such file',
  EACCES: 'it may not be read',
  EISDIR: 'it is a folder',
}

/** The first octets of a file, as many as there are. */
export function readHead(path: string, count: number): Uint8Array {
  let file: number
  try {
    file = openSync(path, 'r')
  } catch (cause) {
    throw cannotRead(path, cause)
  }
  try {
    const head = Buffer.alloc(count)
    return head.subarray(0, readSync(file, head))
  } catch (cause) {
    throw cannotRead(path, cause)
  } finally {
    closeSync(file)
  }
}

/** A file's octets; a `PosternError` that says in words why not. */
export function readBytes(path: string): Buffer {
  try {
    return readFileSync(path)
  } catch (cause) {
    throw cannotRead(path, cause)
  }
}

function cannotRead(path: string, cause: unknown): PosternError {
  const code = (cause as NodeJS.ErrnoException).code ?? ''
  const why = REASONS[code] ?? (cause as Error).message
  return new PosternError('POSTERN_UNREADABLE', `cannot read ${path}: ${why}`, { side: 'us', retry: 'never', cause })
}

/**
 * Writes a file as a whole: whoever reads it finds what was or what is, even after a crash. It keeps its mode; a link
 * stays one, and what it leads to is written.
 */
export function writeWhole(path: string, text: string): void {
  let next = ''
  try {
    const file = realpathSync(path)
    next = join(dirname(file), `.${basename(file)}.${process.pid}.new`)
    const handle = openSync(next, 'wx', statSync(file).mode & 0o777)
    try {
      writeSync(handle, text)
      fsyncSync(handle)
    } finally {
      closeSync(handle)
    }
    renameSync(next, file)
    const folder = openSync(dirname(file), 'r')
    fsyncSync(folder)
    closeSync(folder)
  } catch (cause) {
    if (next !== '') rmSync(next, { force: true })
    const why = (cause as Error).message
    throw new PosternError('POSTERN_UNWRITABLE', `cannot write ${path}: ${why}`, { side: 'us', retry: 'later', cause })
  }
}

/** Keeps a value beside other things of ours, as JSON that only we may read; a crash leaves what was or what is. */
export function keepJson(path: string, value: unknown): void {
  if (!isFile(path)) closeSync(openSync(path, 'w', 0o600))
  writeWhole(path, `${JSON.stringify(value)}\n`)
}

/** What was kept, or `undefined` where there is nothing, or nothing that can be read. */
export function readJson(path: string): unknown {
  try {
    return JSON.parse(readFileSync(path, 'utf8'))
  } catch {
    return undefined
  }
}

/** How many files this process may have open; `undefined` where the system does not tell (it does on Linux). */
export function openFileLimit(): number | undefined {
  try {
    const [, limit] = /^Max open files +(\d+)/m.exec(readFileSync('/proc/self/limits', 'latin1')) ?? []
    return limit === undefined ? undefined : Number(limit)
  } catch {
    return undefined
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
