/**
 * Everything that must hold before a change goes in. `npm test` and the build server call the same.
 *
 *   npm run ok                        all checks, then all tests
 *   npm run ok -- FILE ...            only these test files
 *
 * All steps run, whatever failed before them, so that one run shows every problem. With CI=true a skipped test is a
 * failure: there, nothing that a test needs may be missing.
 */

import { type SpawnSyncReturns, spawnSync } from 'node:child_process'
import { existsSync, mkdtempSync, readFileSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { delimiter, join, resolve } from 'node:path'

const ROOT: string = join(import.meta.dirname, '..')

/** What runs before the tests, in order; silent unless it fails. */
const CHECKS = [
  { name: 'format and lint', command: ['biome', 'ci', '--colors=off'] },
  { name: 'types', command: ['tsc'] },
  { name: 'layers', command: ['node', 'tools/layers.ts'] },
  { name: 'docs', command: ['node', 'tools/docs.ts', '--check'] },
] as const

const TESTS = ['src/**/*.test.ts', 'test/**/*.test.ts', 'tools/**/*.test.ts'] as const

/** A test that takes longer hangs: it is failed by name, where it would otherwise hold up the run without a word. */
const LONGEST_TEST_MS = 300_000

export interface Skipped {
  /** The names of the suites it stands in, then its own. */
  readonly name: string
  readonly reason: string
}

export interface Ran {
  /** How many tests there were; 0 also where the report breaks off. */
  readonly tests: number
  readonly skipped: readonly Skipped[]
}

/** What a TAP report by Node's test runner says has run, and what has not. */
export function readTap(tap: string): Ran {
  const skipped: Skipped[] = []
  const path: string[] = []
  let tests = 0
  for (const line of tap.split('\n')) {
    const opening = /^((?: {4})*)# Subtest: (.*)$/.exec(line)
    if (opening) path.splice((opening[1] ?? '').length / 4, Infinity, unescapeTap(opening[2] ?? ''))
    // A `#` inside a name is escaped, so this one begins the directive.
    const skip = /^((?: {4})*)(?:not )?ok \d+ - (.*?) # SKIP ?(.*)$/.exec(line)
    if (skip) {
      const name = [...path.slice(0, (skip[1] ?? '').length / 4), unescapeTap(skip[2] ?? '')].join(' › ')
      skipped.push({ name, reason: unescapeTap(skip[3] ?? '') || 'no reason given' })
    }
    tests = Number(/^# tests (\d+)$/.exec(line)?.[1] ?? tests)
  }
  return { tests, skipped }
}

function unescapeTap(text: string): string {
  return text.replace(/\\([\\#])/g, '$1')
}

function seconds(since: number): string {
  return `${((performance.now() - since) / 1000).toFixed(1)}s`
}

function run([command, ...args]: readonly [string, ...string[]], stdio: 'pipe' | 'inherit'): SpawnSyncReturns<string> {
  return spawnSync(command === 'node' ? process.execPath : command, args, {
    cwd: ROOT,
    // The pinned Node is there, too, for the tools whose first line asks for `node`.
    env: { ...process.env, PATH: `${join(ROOT, 'node_modules/.bin')}${delimiter}${process.env.PATH ?? ''}` },
    stdio: ['ignore', stdio, stdio],
    encoding: 'utf8',
    maxBuffer: Infinity,
  })
}

/** Why it did not succeed, where that cannot be seen from its output. */
function ending({ error, signal, status }: SpawnSyncReturns<string>): string | undefined {
  if (error) return error.message
  if (signal) return `ended by ${signal}`
  return status === 0 ? undefined : `exit code ${status}`
}

/** Runs one check and prints its line. */
function passes({ name, command }: (typeof CHECKS)[number]): boolean {
  const since = performance.now()
  const ran = run(command, 'pipe')
  const wrong = ending(ran)
  console.log(`${wrong ? '✖' : '✔'} ${name} (${seconds(since)})${wrong ? `: ${wrong}` : ''}`)
  if (wrong) process.stdout.write(`${ran.stdout ?? ''}${ran.stderr ?? ''}`)
  return wrong === undefined
}

/** Runs the tests with their output shown as it comes; says what is wrong with the run, or nothing. */
function testsFail(files: readonly string[]): string | undefined {
  const missing = files.filter(file => !file.includes('*') && !existsSync(file))
  if (missing.length > 0) return `there is no test file ${missing.join(', ')}`
  const folder = mkdtempSync(join(tmpdir(), 'postern-ok-'))
  const tap = join(folder, 'tests.tap')
  try {
    const options = [
      '--test',
      // One file per core of a small machine; each is its own process, and waits for sockets more than it computes.
      '--test-concurrency=2',
      `--test-timeout=${LONGEST_TEST_MS}`,
      '--test-reporter=spec',
      '--test-reporter-destination=stdout',
      '--test-reporter=tap',
      `--test-reporter-destination=${tap}`,
    ]
    const wrong = ending(run(['node', '--disable-warning=ExperimentalWarning', ...options, ...files], 'inherit'))
    const { tests, skipped } = readTap(existsSync(tap) ? readFileSync(tap, 'utf8') : '')
    if (wrong) return wrong
    if (tests === 0) return `no test ran (looked in ${files.join(', ')})`
    if (process.env.CI === 'true' && skipped.length > 0) {
      const lines = skipped.map(({ name, reason }) => `  ${name}: ${reason}`)
      return `with CI=true nothing may be skipped, and these were:\n${lines.join('\n')}`
    }
    return undefined
  } finally {
    rmSync(folder, { recursive: true, force: true })
  }
}

if (import.meta.main) {
  const files = process.argv.slice(2)
  const failed: string[] = []
  if (files.length === 0) for (const check of CHECKS) if (!passes(check)) failed.push(check.name)
  const wrong = testsFail(files.length > 0 ? files.map(file => resolve(file)) : TESTS)
  if (wrong) {
    console.log(`✖ tests: ${wrong}`)
    failed.push('tests')
  }
  if (failed.length > 0) console.log(`\n✖ failed: ${failed.join(', ')}`)
  process.exitCode = failed.length > 0 ? 1 : 0
}
