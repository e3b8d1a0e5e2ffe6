/** What docs/routing.md tells people to write is what a mail server reads. */
import assert from 'node:assert/strict'
import { readFileSync } from 'node:fs'
import { test } from 'node:test'
import { formatDiagnostic } from '../src/base/problem.ts'
import { parse } from '../src/config/parse.ts'
import { MTA } from '../src/mta/commands.ts'

const PAGE = readFileSync(new URL('../docs/routing.md', import.meta.url), 'utf8')
const BLOCKS = [...PAGE.matchAll(/^```conf\n(.*?)^```/gms)].map(([, text = '']) => text)

function reads(host: string, ...texts: readonly string[]): void {
  const { problems } = parse(MTA, `hostname ${host}\n${texts.join('')}`, 'docs/routing.md')
  assert.deepEqual(problems.map(formatDiagnostic), [])
}

test('the lines of docs/routing.md can be copied', () => {
  const [one = '', session = '', group = '', others = '', ...rest] = BLOCKS
  assert.deepEqual(rest, [])
  reads('ex1.a.example', one)
  reads('ex1.a.example', one, session)
  reads('hub.a.example', group)
  reads('edge.a.example', group.replace(/^link-state listen .*\n/m, ''), others)
})
