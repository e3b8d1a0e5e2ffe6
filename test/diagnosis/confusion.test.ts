/** True box × named box, for every box we can run before servers of different habits; and who must not be accused. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { BOXES } from '../../src/diagnosis/box.ts'
import { diagnose } from '../../src/diagnosis/diagnosis.ts'
import { confusion } from './confusion.ts'
import { MODEST, SERVERS } from './servers.ts'
import { probed } from './through.ts'

for (const [name, words] of Object.entries({ ...SERVERS, ...MODEST })) {
  test(`nobody is accused before ${name} in the open`, () => {
    const diagnosis = diagnose(probed(words, undefined))
    assert.deepEqual(diagnosis.alterations, [])
    assert.deepEqual(diagnosis.suspects, [])
    assert.equal(diagnosis.outcome, 'clean')
  })
}

/** No server of ours without TLS shows what a box does to TLS alone. */
const UNSEEN = new Set(['exchange2000 asa+no-tls-only+hold'])

const table = confusion()

test('every box is named, first or among those whom the same evidence fits, whatever server stands behind it', () => {
  const missed = table.filter(({ server, box, named }) => named === 'not' && !UNSEEN.has(`${server} ${box.id}`))
  assert.deepEqual(
    missed.map(({ server, box, diagnosis }) => `${box.id} before ${server}: ${diagnosis.suspects.map(({ id }) => id)}`),
    [],
  )
  assert.equal(table.length, BOXES.length * Object.keys(SERVERS).length)
})

test('the box as it comes is named before its variants, and the vendor is the right one', () => {
  for (const { server, box, diagnosis } of table) {
    const [first] = diagnosis.suspects
    if (!first || box.oddities > 0) continue
    // A router that leaves the greeting alone does what a PIX without its banner does.
    assert.equal(first.vendor, box.vendor, `${box.id} before ${server} is taken for ${first.name}`)
  }
})

test('the cure of a PIX is no fixup protocol smtp 25, and that of an ASA no inspect esmtp', () => {
  for (const { box, diagnosis } of table) {
    const lines = diagnosis.cures.flatMap(cure => cure.lines).join('\n')
    if (box.id === 'pix-5.1') assert.match(lines, /^no fixup protocol smtp 25$/m)
    if (box.id === 'asa') assert.match(lines, /^ {2}no inspect esmtp$/m)
  }
})

test('a greeting in two lines tells the versions apart: the older ones hide the code of its end', () => {
  const greeting = '220-This is my mail server\r\n220 server.gordano.com NTMail (v7.00.0018) ready for ESMTP transfer'
  for (const box of BOXES.filter(({ oddities, id }) => oddities === 0 && id !== 'ios')) {
    const { suspects, alterations } = diagnose(probed({ ...(SERVERS.sendmail ?? assert.fail()), greeting }, box.policy))
    assert.equal(suspects[0]?.name, box.name)
    const isCut = alterations.some(({ kind, grade }) => kind === 'cut-off' && grade === 'proven')
    assert.equal(isCut, box.id === 'pix-4.2' || box.id === 'pix-5.0', box.id)
  }
})
