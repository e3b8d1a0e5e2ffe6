/** A moment of fuzzing, the same every time, and every case that ever failed. `npm run fuzz` goes on for longer. */
import assert from 'node:assert/strict'
import { globSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { test } from 'node:test'
import fc from 'fast-check'
import { runs } from '../src/base/any-bytes.test.ts'
import { TARGETS } from './fuzz/targets.ts'

for (const target of TARGETS) {
  test(`fuzz ${target.name}: holds for whatever comes`, () => {
    fc.assert(
      fc.property(target.cases, one => target.check(one)),
      runs(1000),
    )
  })
}

const SEEDS: string = join(import.meta.dirname, 'fuzz/seeds')
for (const file of globSync('*.json', { cwd: SEEDS }).toSorted()) {
  test(`fuzz seed ${file} holds`, () => {
    const { target: name, case: one } = JSON.parse(readFileSync(join(SEEDS, file), 'utf8'))
    const target = TARGETS.find(each => each.name === name)
    assert.ok(target, `there is no target ${name}`)
    target.check(one)
  })
}
