/**
 * Puts parsers and machines through whatever comes, for as long as one likes.
 *
 *   npm run fuzz                              five minutes, from a seed of its own
 *   npm run fuzz -- --for 30s --seed 7        as long as that, from this seed: the same cases in the same order
 *   npm run fuzz -- --target server           only this one
 *
 * A case that fails is made as small as it goes, and kept in test/fuzz/seeds, where `npm test` plays it from then on.
 */

import { createHash } from 'node:crypto'
import { mkdirSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { parseArgs } from 'node:util'
import fc from 'fast-check'
import { parseDuration } from '../src/base/time.ts'
import type { AnyTarget } from '../test/fuzz/target.ts'
import { TARGETS } from '../test/fuzz/targets.ts'

const SEEDS: string = join(import.meta.dirname, '../test/fuzz/seeds')
const DEFAULT_TIME = '5m'
/** Cases between two looks at the clock. */
const ROUND = 500
/** A case that takes longer hangs, or is on its way to. */
const LONGEST_CASE_MS = 2000

interface Failure {
  readonly target: string
  readonly file: string
  readonly message: string
}

/** One round of one target; `undefined` where all held. */
export function round(
  target: AnyTarget,
  seed: number,
  numRuns: number,
): { case: unknown; message: string } | undefined {
  const check = (one: unknown) => {
    // CPU, and not the clock on the wall: a busy machine is no fault of the case.
    const since = process.cpuUsage()
    target.check(one)
    const { user, system } = process.cpuUsage(since)
    const took = (user + system) / 1000
    if (took > LONGEST_CASE_MS) throw new Error(`it took ${Math.round(took)} ms of CPU`)
  }
  const result = fc.check(fc.property(target.cases, check), { seed, numRuns })
  if (!result.failed) return undefined
  const cause = result.errorInstance
  return { case: result.counterexample?.[0], message: cause instanceof Error ? cause.message : String(cause) }
}

function keep(target: string, failed: { case: unknown; message: string }): Failure {
  const text = `${JSON.stringify({ target, why: failed.message.split('\n')[0], case: failed.case }, undefined, 2)}\n`
  const file = `${target}-${createHash('sha256').update(JSON.stringify(failed.case)).digest('hex').slice(0, 8)}.json`
  mkdirSync(SEEDS, { recursive: true })
  writeFileSync(join(SEEDS, file), text)
  return { target, file, message: failed.message }
}

if (import.meta.main) {
  const { values } = parseArgs({
    options: { for: { type: 'string', default: DEFAULT_TIME }, seed: { type: 'string' }, target: { type: 'string' } },
  })
  const time = parseDuration(values.for)
  const chosen = TARGETS.filter(({ name }) => values.target === undefined || name === values.target)
  if (time === undefined || chosen.length === 0) {
    console.log(
      `usage: npm run fuzz -- [--for 5m] [--seed NUMBER] [--target ${TARGETS.map(({ name }) => name).join('|')}]`,
    )
    process.exit(2)
  }
  const seed = values.seed === undefined ? Date.now() % 2 ** 31 : Number(values.seed)
  console.log(`fuzz: ${chosen.map(({ name }) => name).join(', ')} for ${values.for}, from seed ${seed}`)
  const until = Date.now() + time
  const failures: Failure[] = []
  const counts = new Map<string, number>()
  const left = new Set(chosen)
  for (let at = 0; Date.now() < until && left.size > 0; at++) {
    for (const target of left) {
      const failed = round(target, seed + at, ROUND)
      counts.set(target.name, (counts.get(target.name) ?? 0) + ROUND)
      if (!failed) continue
      // One failure of a target says enough: the next would mostly be the same.
      failures.push(keep(target.name, failed))
      left.delete(target)
    }
  }
  for (const [name, count] of counts)
    console.log(`${failures.some(({ target }) => target === name) ? '✖' : '✔'} ${name}: ${count} cases`)
  for (const { file, message } of failures) console.log(`\n✖ test/fuzz/seeds/${file}\n${message}`)
  process.exitCode = failures.length > 0 ? 1 : 0
}
