/** Boxes that we cannot run, by how they were seen to show themselves; and fronts, which are described and not accused. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { sameEverywhere } from '../../src/diagnosis/control.ts'
import { diagnose } from '../../src/diagnosis/diagnosis.ts'
import { reportText } from '../../src/diagnosis/report.ts'
import { SERVERS, type Words } from './servers.ts'
import { probed } from './through.ts'

function words(change: Partial<Words>): Words {
  const base = SERVERS['smtp-server']
  assert.ok(base)
  return { ...base, ...change }
}

const BOXES: readonly (readonly [id: string, words: Words])[] = [
  ['check-point-fw1', words({ greeting: '220 CheckPoint FireWall-1 secure ESMTP server', noop: '220 OK' })],
  [
    'watchguard-wfs',
    words({
      greeting: '220 SMTP service ready',
      help: '214-Commands:\r\n214-\tDATA\tRCPT\tMAIL\tQUIT\tRSET\r\n214 \tHELO\tVRFY\tEXPN\tHELP\tNOOP',
    }),
  ],
  ['fwtk-smap', words({ greeting: '220 gate.example SMTP/smap Ready.', hello: '' })],
  ['raptor', words({ greeting: '220 gate.example Generic SMTP handler' })],
  ['norton-2002', words({ startTls: '500 Unsupported command.', quit: '221 Closing connection. Good bye.' })],
  ['avast', words({ greeting: '220 mx avast! SMTP proxy ready.' })],
  ['proxsmtp', words({ greeting: '220 smtp.passthru', list: ['8BITMIME', 'XFILTERED'] })],
  ['isp-block', words({ greeting: '452 syntax error (connecting)' })],
  [
    'canned-interceptor',
    words({
      greeting: '220 mx.example.com ESMTP Service ready',
      hello: 'Requested mail action okay, completed',
      list: ['SIZE 20000000', 'ETRN', '8BITMIME', 'OK'],
      startTls: '502 Command not implemented',
    }),
  ],
]

for (const [id, said] of BOXES) {
  test(`${id} is named by its marks, and counts as an alteration`, () => {
    const { outcome, suspects, cures } = diagnose(probed(said, undefined))
    assert.equal(outcome, 'altered')
    assert.equal(suspects[0]?.id, id)
    assert.equal(suspects[0]?.by, 'signature')
    assert.ok((suspects[0]?.marks.length ?? 0) > 0)
    assert.ok(cures.length > 0)
  })
}

const FRONTS: readonly (readonly [name: RegExp, words: Words])[] = [
  [
    /nginx mail proxy/,
    words({ greeting: '220 mx.example ESMTP ready', unknown: '500 5.5.1 Invalid command', list: ['PIPELINING'] }),
  ],
  [/Haraka/, words({ greeting: '220 mx.example ESMTP Haraka/3.3.4 ready', unknown: '500 Unrecognized command' })],
  [/Barracuda/, words({ greeting: `220 mx.example ESMTP (${'0123456789abcdef'.repeat(2)})` })],
  [/OpenBSD spamd/, words({ greeting: '220 mx.example ESMTP spamd IP-based SPAM blocker; Tue Nov 24 2026' })],
]

for (const [name, said] of FRONTS) {
  test(`${name.source} is described, and accused of nothing`, () => {
    const diagnosis = diagnose(probed(said, undefined))
    const { outcome, alterations, remarks } = diagnosis
    assert.deepEqual(alterations, [])
    assert.doesNotMatch(reportText(diagnosis), /Who did it/)
    assert.equal(outcome, 'clean')
    assert.match(remarks.join('\n'), name)
  })
}

test('the canned list from two unrelated hosts: whoever answers is near us', () => {
  const canned = BOXES.find(([id]) => id === 'canned-interceptor')?.[1]
  assert.ok(canned)
  const [here, control] = [probed(canned, undefined), probed(canned, undefined, 'gmail.example:25')]
  assert.match(sameEverywhere(here, control)[0] ?? '', /^gmail\.example:25 answers EHLO with the same list.*near us/)
  const other = probed(words({}), undefined, 'gmail.example:25')
  assert.match(sameEverywhere(here, other)[0] ?? '', /not near us|shows something|nothing/)
})
