/** `./postern firewall check FILE` and `convert FILE`: what a text says, before any traffic. */
import assert from 'node:assert/strict'
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { type TestContext, test } from 'node:test'
import { postern, ROOT } from './postern.ts'

function file(t: TestContext, text: string): string {
  const folder = mkdtempSync(join(tmpdir(), 'check-'))
  t.after(() => rmSync(folder, { recursive: true, force: true }))
  const path = join(folder, 'fw.conf')
  writeFileSync(path, text)
  return path
}

const SITE = 'examples/case-study/firewall-b.conf'

test('firewall check says which line takes ESMTP away, and what would give it back; the status is 1', async () => {
  const { status, out, err } = await postern(['firewall', 'check', SITE])
  assert.equal(status, 1)
  assert.equal(err, '')
  assert.match(out, /^vpn to inside, inbound: PIX MailGuard \(5\.1-6\.x\)$/m)
  assert.match(out, /^ +because +examples\/case-study\/firewall-b\.conf:\d+: fixup protocol smtp 25$/m)
  assert.match(out, /^ +lost +SIZE PIPELINING .* STARTTLS/m)
  assert.match(out, /^ +cure +no fixup protocol smtp 25$/m)
})

test('firewall check --json says the same to a program', async () => {
  const { status, out } = await postern(['firewall', 'check', SITE, '--json'])
  assert.equal(status, 1)
  const { pairs } = JSON.parse(out)
  const hurt = pairs.filter((pair: { inspected?: { lost: unknown[] } }) => (pair.inspected?.lost.length ?? 0) > 0)
  assert.deepEqual(
    hurt.map(({ from, to }: { from: string; to: string }) => [from, to]),
    [['vpn', 'inside']],
  )
})

test('firewall check: status 0 where nothing suffers, 1 for a no fixup without its port, 2 for a file that is wrong', async t => {
  const open = 'nameif ethernet0 outside security0\nnameif ethernet1 inside security100\n'
  const fine = await postern(['firewall', 'check', file(t, `${open}no fixup protocol smtp 25\n`)])
  assert.equal(fine.status, 0, fine.out + fine.err)
  const again = await postern(['firewall', 'check', file(t, `${open}no fixup protocol smtp\n`)])
  assert.equal(again.status, 1)
  assert.match(again.out, /this puts inspection of port 25 back[\s\S]*to switch it off: no fixup protocol smtp 25/)
  const wrong = await postern([
    'firewall',
    'check',
    file(t, `${open}fixpu protocol smtp 25\nip address dmz 10.0.0.1 255.0.0.0\n`),
  ])
  assert.equal(wrong.status, 2)
  assert.equal(wrong.out, '')
  // Both mistakes at once, each with its place and the way out.
  assert.match(wrong.err, /fw\.conf:3:1: error: unknown command "fixpu"\n[\s\S]*did you mean fixup\?/)
  assert.match(wrong.err, /fw\.conf:4:12: error: no interface is called "dmz"\n[\s\S]*known: outside, inside/)
})

test('firewall check finds nothing that suffers behind strict once it has a certificate, and says so while it has none', async t => {
  const example = readFileSync(join(ROOT, 'examples/gateway/gateway.conf'), 'utf8')
  const secured = file(t, `${example}strict certificate gateway.pem key gateway.key\n`)
  const { status, out } = await postern(['firewall', 'check', secured])
  assert.equal(status, 0, out)
  assert.match(out, /^outside to inside, inbound: strict$/m)
  assert.match(out, /^ +passes +SIZE PIPELINING .*STARTTLS/m)
  assert.match(out, /^ +refuses +answer recipients over \d+/m)
  assert.doesNotMatch(out, /^ +suffers/m)

  const bare = await postern(['firewall', 'check', 'examples/gateway/gateway.conf'])
  assert.equal(bare.status, 1)
  assert.match(bare.out, /TLS is stripped: [\s\S]*to let it through: strict certificate FILE key FILE/)
})

test('firewall convert of a file without a fixup says that there is none', async () => {
  const { status, out, err } = await postern(['firewall', 'convert', 'examples/gateway/gateway.conf'])
  assert.deepEqual([status, out], [0, ''])
  assert.match(err, /gateway\.conf has no fixup: there is nothing to convert/)
})

test('firewall convert writes the policy framework, which the firewall reads', async t => {
  const { status, out } = await postern([
    'firewall',
    'convert',
    file(t, 'PIX Version 6.1(1)\nfixup protocol smtp 2525\n'),
  ])
  assert.equal(status, 0)
  assert.match(out, /^class-map smtp_2525\n match port tcp eq 2525$/m)
  const check = await postern(['firewall', 'check', file(t, `ASA Version 9.1(2)\n${out}`)])
  assert.equal(check.status, 0, check.err)
})
