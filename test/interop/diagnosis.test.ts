/** Boxes before other people's servers: named, and none of these servers accused of standing in the open. */
import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import { BOXES } from '../../src/diagnosis/box.ts'
import { namedIn } from '../diagnosis/confusion.ts'
import { ODD, REAL, visited, withServer } from '../diagnosis/real.ts'
import { unmet } from './needs.ts'

/** As they come, and the departures that are met today; all of them are in the bench. */
const MET = new Set(['pix-5.1', 'pix-5.0', 'pix-4.2', 'pix-4.0', 'asa', 'asa+allow-tls', 'asa+no-mask-banner', 'ios'])

describe('boxes before real servers', () => {
  for (const [name, real] of Object.entries(REAL)) {
    test(name, { skip: unmet(real.needs) }, () =>
      withServer(real, async port => {
        const open = await visited(port, undefined)
        assert.deepEqual(open.alterations, [])
        assert.equal(open.outcome, 'clean')
        for (const box of BOXES.filter(({ id }) => MET.has(id))) {
          const diagnosis = await visited(port, box)
          const [first] = diagnosis.suspects
          assert.equal(
            diagnosis.outcome,
            'altered',
            `${box.id} before ${name}: ${JSON.stringify(diagnosis.alterations)}`,
          )
          assert.notEqual(namedIn(diagnosis, box), 'not', `${box.id} before ${name} is taken for ${first?.name}`)
        }
      }),
    )
  }
})

test('where TLS begins through an ASA, the list inside tells what was masked before it', async () => {
  const box = BOXES.find(({ id }) => id === 'asa+allow-tls')
  // It does not offer STARTTLS here, and takes it all the same.
  const real = REAL['smtp-server'] ?? assert.fail()
  const diagnosis = await withServer(real, port => visited(port, box))
  const masked = diagnosis.alterations.filter(({ kind }) => kind === 'keyword-masked')
  assert.deepEqual(
    masked.map(({ before, after, grade }) => [before, after, grade]),
    [['SMTPUTF8', 'XXXXXXXA', 'proven']],
  )
  assert.equal(diagnosis.suspects[0]?.name, box?.name)
})

describe('what is no box', () => {
  test('smtp-sink -P is said to be what it is, and nothing is called proven', {
    skip: unmet(ODD['smtp-sink -P']?.needs ?? {}),
  }, async () => {
    const real = ODD['smtp-sink -P']
    assert.ok(real)
    await withServer(real, async port => {
      const { outcome, remarks, suspects } = await visited(port, undefined)
      assert.equal(outcome, 'unclear')
      assert.match(remarks.join('\n'), /smtp-sink -P/)
      assert.equal(suspects[0]?.id, 'smtp-sink-pix')
    })
  })

  test('smtp-sink -e, which knows no ESMTP, is accused of nothing', {
    skip: unmet(ODD['smtp-sink -e']?.needs ?? {}),
  }, async () => {
    const real = ODD['smtp-sink -e']
    assert.ok(real)
    await withServer(real, async port => {
      const { outcome, alterations } = await visited(port, undefined)
      assert.deepEqual(alterations, [])
      assert.equal(outcome, 'clean')
    })
  })

  test('Haraka is described, and accused of nothing', { skip: unmet(ODD.haraka?.needs ?? {}) }, async () => {
    const real = ODD.haraka
    assert.ok(real)
    await withServer(real, async port => {
      const { outcome, remarks, alterations } = await visited(port, undefined)
      assert.deepEqual(alterations, [])
      assert.equal(outcome, 'clean')
      assert.match(remarks.join('\n'), /Haraka/)
    })
  })
})
