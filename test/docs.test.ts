/** What a page for operators shows as configuration is read as such: whoever copies it gets no complaint. */
import assert from 'node:assert/strict'
import { readFileSync } from 'node:fs'
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
