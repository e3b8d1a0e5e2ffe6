import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import { runs } from '../base/any-bytes.test.ts'
import { anyTable, connectorState, groupState, guid, md5, sha256 } from './any-table.test.ts'
import {
  compareVersions,
  contentHash,
  dashed,
  differences,
  digestOf,
  groupOf,
  guidFor,
  merge,
  newer,
  parseGuid,
  tableOf,
  toHex,
} from './link-state.ts'
import { DIGEST_UP, TWO_RECORDS } from './vectors.test.ts'

const at = (major: number, minor: number, user: number) => ({ major, minor, user })

test('major decides, then minor, then user', () => {
  const order = [at(0, 9, 9), at(1, 0, 0), at(1, 0, 1), at(1, 1, 0), at(2, 0, 0)]
  const shuffled = order.toReversed().sort(compareVersions)
  assert.deepEqual(shuffled, order)
})

test('merge() is commutative, associative and idempotent', () => {
  fc.assert(
    fc.property(anyTable, anyTable, anyTable, (a, b, c) => {
      assert.deepEqual(merge(a, b), merge(b, a))
      assert.deepEqual(merge(merge(a, b), c), merge(a, merge(b, c)))
      assert.equal(merge(a, a), a)
      assert.equal(merge(merge(a, b), b).length, merge(a, b).length)
    }),
    runs(1000),
  )
})

test('merge() keeps the newest word about every group, and what the other does not mention', () => {
  fc.assert(
    fc.property(anyTable, anyTable, (a, b) => {
      const both = merge(a, b)
      for (const state of [...a, ...b]) {
        const kept = groupOf(both, state.group)
        assert.ok(kept && !newer(state, kept))
      }
      assert.deepEqual(
        both.map(({ group }) => group),
        [...new Set([...a, ...b].map(({ group }) => group))].sort(),
      )
      // Whoever brings nothing changes nothing, not even the identity that caches hang on.
      assert.equal(merge(both, b), both)
    }),
    runs(300),
  )
})

test('one version counted twice, and one version with two contents, are told apart from news', () => {
  const a = groupState(guid('a', 1))
  const other = { ...a, incarnation: guid('e', 2) }
  const forked = { ...a, connectors: [connectorState(guid('c', 1), '*')] }
  const kinds = (theirs: typeof a) => differences([a], [theirs]).map(({ kind }) => kind)
  assert.deepEqual(kinds(other), ['two-masters'])
  assert.deepEqual(kinds(forked), ['forked'])
  assert.deepEqual(kinds({ ...a, version: at(1, 1, 0) }), ['theirs-newer'])
  assert.deepEqual(
    differences([a], [])
      .concat(differences([], [a]))
      .map(({ kind }) => kind),
    ['only-ours', 'only-theirs'],
  )
  // The digest does not see it, the hash of the content does.
  assert.equal(digestOf([a], md5), digestOf([forked], md5))
  assert.notEqual(contentHash(a, sha256), contentHash(forked, sha256))
  // Both sides keep the same one.
  assert.equal(merge([a], [forked])[0], merge([forked], [a])[0])
  assert.equal(merge([a], [other])[0], other)
})

test('the digest is MD5 over 44 octets a group, ascending by GUID', () => {
  const a = groupState(guid('a', 1), { version: at(3, 0, 2), incarnation: guid('e', 0x71) })
  const b = groupState(guid('b', 2), { version: at(2, 1, 0), incarnation: guid('e', 0x82) })
  let hashed = ''
  const digest = digestOf(tableOf([b, a]), octets => {
    hashed = toHex(octets)
    return md5(octets)
  })
  assert.equal(hashed, TWO_RECORDS)
  assert.equal(digest, DIGEST_UP)
})

test('a GUID reads with and without dashes, and is derived from names alike everywhere', () => {
  const one = 'a2a0f896d197b84999557850ac796258'
  assert.equal(dashed(one), 'A2A0F896-D197-B849-9955-7850AC796258')
  assert.equal(parseGuid(dashed(one)), one)
  assert.equal(parseGuid(one), one)
  for (const wrong of ['', one.slice(1), `${one}0`, dashed(one).slice(1), '{x}'])
    assert.equal(parseGuid(wrong), undefined)
  assert.equal(guidFor(['Contoso', 'A'], sha256).length, 32)
  assert.notEqual(guidFor(['Contoso', 'A'], sha256), guidFor(['ContosoA'], sha256))
})
