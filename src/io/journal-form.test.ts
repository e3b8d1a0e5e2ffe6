import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import { type Group, PAGE, readGroups, SALT, type Step, since, TABLES, writeGroup } from './journal-form.ts'

const salt = Buffer.alloc(SALT, 'salty')

/** A file of so many groups, one after the other, and where each begins. */
function file(groups: readonly Group[], of = salt): { readonly octets: Buffer; readonly starts: readonly number[] } {
  const starts: number[] = []
  let octets = Buffer.alloc(0)
  for (const group of groups) {
    starts.push(octets.length)
    octets = Buffer.concat([octets, ...writeGroup(group, of)])
  }
  return { octets, starts }
}

const anyStep: fc.Arbitrary<Step> = fc.record({
  table: fc.constantFrom(...TABLES),
  key: fc.string({ maxLength: 30, unit: 'binary' }),
  value: fc.option(
    fc.uint8Array({ maxLength: 6_000 }).map(octets => Buffer.from(octets)),
    { nil: undefined },
  ),
})
const anyGroups: fc.Arbitrary<readonly Group[]> = fc
  .array(fc.array(anyStep, { maxLength: 6 }), { minLength: 1, maxLength: 6 })
  .map(all => all.map((steps, i) => ({ number: i + 1, after: i, steps })))

/** A string with half of a surrogate pair has no octets of its own. */
const wellFormed = (groups: readonly Group[]): readonly Group[] =>
  groups.map(group => ({
    ...group,
    steps: group.steps.map(step => ({ ...step, key: Buffer.from(step.key).toString() })),
  }))

test('what was written is read again, and each group begins on a page', () => {
  fc.assert(
    fc.property(anyGroups, groups => {
      const { octets, starts } = file(groups)
      assert.ok(starts.every(start => start % PAGE === 0) && octets.length % PAGE === 0)
      assert.deepEqual(readGroups(octets, salt), wellFormed(groups))
    }),
  )
})

test('cut off anywhere: all groups before the cut, and nothing of the one that is cut', () => {
  fc.assert(
    fc.property(anyGroups, fc.nat(), (groups, at) => {
      const { octets, starts } = file(groups)
      const cut = at % octets.length
      const found = readGroups(octets.subarray(0, cut), salt)
      // Its last octets may be padding, which nobody misses.
      const before = starts.filter(start => start < cut).length
      assert.ok(found.length === before || found.length === before - 1)
      assert.deepEqual(found, wellFormed(groups).slice(0, found.length))
    }),
  )
})

test('an octet that rotted takes its group with it, and no other', () => {
  fc.assert(
    fc.property(anyGroups, fc.nat(), fc.integer({ min: 1, max: 255 }), (groups, at, change) => {
      const { octets, starts } = file(groups)
      const rotten = at % octets.length
      octets[rotten] = (octets[rotten] ?? 0) ^ change
      const hit = starts.findLastIndex(start => start <= rotten)
      const found = readGroups(octets, salt)
      const others = wellFormed(groups).filter((_, i) => i !== hit)
      const padding = found.length === groups.length
      assert.deepEqual(padding ? found.filter((_, i) => i !== hit) : found, others)
    }),
  )
})

test('whatever is in a file, reading it ends; and what has not the salt is no group', () => {
  fc.assert(
    fc.property(fc.uint8Array({ maxLength: 3 * PAGE }), octets => {
      assert.deepEqual(readGroups(Buffer.from(octets), salt), [])
    }),
  )
  const { octets } = file([{ number: 1, after: 0, steps: [] }], Buffer.alloc(SALT, 'other'))
  assert.deepEqual(readGroups(octets, salt), [])
})

test('a content that is a group itself is not read as one, even behind a group that rotted', () => {
  const forged = Buffer.concat(
    writeGroup(
      { number: 2, after: 1, steps: [{ table: 'entries', key: 'x', value: Buffer.from('forged') }] },
      Buffer.alloc(SALT, 'guess'),
    ),
  )
  // On a page of its own, behind the page with the beginning.
  const value = Buffer.concat([Buffer.alloc(PAGE), forged, forged])
  for (let shift = 0; shift < 64; shift++) {
    const { octets } = file([
      { number: 1, after: 0, steps: [{ table: 'bodies', key: 'k', value: value.subarray(shift) }] },
    ])
    octets[0] = 0
    assert.deepEqual(readGroups(octets, salt), [])
  }
})

const group = (number: number, after: number): Group => ({ number, after, steps: [] })
const numbers = (groups: readonly Group[]): readonly number[] => groups.map(each => each.number)

for (const { what, found, from, row, gaps } of [
  { what: 'nothing', found: [], from: 7, row: [], gaps: 0 },
  {
    what: 'those of both files, in their order',
    found: [
      [3, 2],
      [4, 3],
      [1, 0],
      [2, 1],
    ],
    from: 0,
    row: [1, 2, 3, 4],
    gaps: 0,
  },
  {
    what: 'none that the tree has',
    found: [
      [1, 0],
      [2, 1],
      [3, 2],
    ],
    from: 2,
    row: [3],
    gaps: 0,
  },
  {
    what: 'of two that follow the same, the one that held',
    found: [
      [1, 0],
      [2, 1],
      [3, 1],
      [4, 3],
    ],
    from: 0,
    row: [1, 3, 4],
    gaps: 0,
  },
  {
    what: 'one that failed with nothing after it was perhaps not heard to',
    found: [
      [1, 0],
      [2, 1],
    ],
    from: 0,
    row: [1, 2],
    gaps: 0,
  },
  {
    what: 'what is behind a gap, and the gap',
    found: [
      [1, 0],
      [4, 3],
      [5, 4],
    ],
    from: 0,
    row: [1, 4, 5],
    gaps: 1,
  },
  {
    what: 'a gap at the beginning',
    found: [
      [9, 8],
      [12, 11],
    ],
    from: 3,
    row: [9, 12],
    gaps: 2,
  },
  {
    what: 'behind a gap, one that held rather than one that failed',
    found: [
      [5, 4],
      [6, 4],
      [7, 6],
    ],
    from: 0,
    row: [6, 7],
    gaps: 1,
  },
] as const) {
  test(`since the last that the tree has: ${what}`, () => {
    const told = since(
      from,
      found.map(([number, after]) => group(number, after)),
    )
    assert.deepEqual(numbers(told.groups), row)
    assert.equal(told.gaps, gaps)
  })
}
