import assert from 'node:assert/strict'
import { test } from 'node:test'
import { BLOCK, Blocks } from './blocks.ts'

test('pieces are joined in their order, whatever their size, and hardly more memory is taken than they need', () => {
  for (const sizes of [[1], [150, 3_900], [4_096, 4_096, 10], Array(300).fill(1), [150, ...Array(60).fill(4_096)]]) {
    const blocks = new Blocks()
    const pieces = sizes.map((size: number, i) => Buffer.alloc(size, i + 1))
    for (const piece of pieces) blocks.push(piece)
    const whole = blocks.whole()
    const total = sizes.reduce((sum: number, size: number) => sum + size, 0)
    assert.equal(blocks.size, total)
    assert.ok(Buffer.concat(whole).equals(Buffer.concat(pieces)))
    const taken = whole.reduce((sum, { buffer }) => sum + buffer.byteLength, 0)
    assert.ok(taken <= 2 * total + 1_024, `${taken} octets for ${total}`)
    assert.ok(whole.every(({ length }) => length <= BLOCK))
  }
})
