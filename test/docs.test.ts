/** What a page for operators shows as configuration is read as such: whoever copies it gets no complaint. */
import assert from 'node:assert/strict'
import { readdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { test } from 'node:test'
import { parse } from '../src/config/parse.ts'
import { FIREWALL } from '../src/firewall/commands.ts'
import { ROOT } from './journeys/postern.ts'

const INTERFACES = 'nameif ethernet0 outside security0\nnameif ethernet1 inside security100\n'
/** Blocks that are something else: commands of a shell, main.cf and master.cf, a unit of systemd, what is printed. */
const ELSE = /^(?:\$ |\.\/|#|\[)/

const page = readFileSync(join(ROOT, 'docs/firewall.md'), 'utf8')
const blocks = [...page.matchAll(/^```\n([\s\S]*?)^```$/gm)].map(([, block = '']) => block)
const shown = blocks.filter(block => !ELSE.test(block))

test('docs/firewall.md shows configuration', () => assert.ok(shown.length >= 5, `${shown.length} blocks`))

for (const block of shown) {
  test(`docs/firewall.md: ${block.split('\n', 1)[0]}`, () => {
    const text = block.includes('nameif ') ? block : INTERFACES + block
    const { problems } = parse(FIREWALL, text, 'docs/firewall.md')
    assert.deepEqual(
      problems.map(({ message, at }) => `${at?.text}: ${message}`),
      [],
    )
  })
}

test('SECURITY.md names every limit that stands between a peer and the memory of the firewall, and none that is not there', () => {
  const security = readFileSync(join(ROOT, 'SECURITY.md'), 'utf8')
  const folders = [
    'src/firewall',
    'src/io',
    'src/app',
    'src/smtp',
    'src/topology',
    'src/mail',
    'src/diagnosis',
    'src/base',
  ]
  const files = folders.flatMap(folder =>
    readdirSync(join(ROOT, folder), { recursive: true, encoding: 'utf8' })
      .filter(name => name.endsWith('.ts') && !name.endsWith('.test.ts'))
      .map(name => [folder, readFileSync(join(ROOT, folder, name), 'utf8')] as const),
  )
  const known = new Set(
    files.flatMap(([, text]) => [...text.matchAll(/const ([A-Z][A-Z0-9_]+)\b/g)].map(([, name]) => name)),
  )
  const named = [...security.matchAll(/`([A-Z][A-Z0-9_]+)`/g)]
    .map(([, name]) => name)
    .filter(name => /_/.test(name ?? ''))
  assert.deepEqual(
    named.filter(name => !known.has(name)),
    [],
  )
  const own = files.flatMap(([folder, text]) =>
    folder === 'src/firewall'
      ? [...text.matchAll(/export const (MAX_[A-Z0-9_]+)\b/g)].map(([, name]) => name ?? '')
      : [],
  )
  assert.ok(own.length > 15)
  assert.deepEqual(
    own.filter(name => !security.includes(`\`${name}\``)),
    [],
  )
})
