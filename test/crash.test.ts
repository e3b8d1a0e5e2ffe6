import assert from 'node:assert/strict'
import { test } from 'node:test'
import { crash } from '../tools/crash.ts'

test('killed 20 times under load, a mail server loses nothing it acknowledged, and sends nothing twice that it knew was gone', async t => {
  const seed = Math.floor(Math.random() * 2 ** 31)
  t.diagnostic(`again with: npm run crash -- --kills 20 --seed ${seed}`)
  const { acknowledged, duplicates, wrong } = await crash({ kills: 20, seed })
  t.diagnostic(`${acknowledged} messages acknowledged, ${duplicates} came twice`)
  assert.deepEqual(wrong, [], `seed ${seed}`)
  assert.ok(acknowledged > 0, `seed ${seed}: nothing was acknowledged, so nothing was shown`)
})
