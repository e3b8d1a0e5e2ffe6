/** The tree of a spool with its journal before it, against a table that is in memory. */
import assert from 'node:assert/strict'
import { cpSync, mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, test } from 'node:test'
import fc from 'fast-check'
import { Tree } from '../src/io/tree.ts'

const root = mkdtempSync(join(tmpdir(), 'tree-'))
after(() => rmSync(root, { recursive: true, force: true }))

type Doing =
  | { readonly do: 'put'; readonly id: string; readonly octets: number }
  | { readonly do: 'remove'; readonly id: string }
  | { readonly do: 'look'; readonly behind: string; readonly limit: number }
  | { readonly do: 'end' }

const anyId = fc.integer({ min: 0, max: 30 }).map(i => `m${String(i).padStart(2, '0')}`)
const anyDoing: fc.Arbitrary<Doing> = fc.oneof(
  { weight: 6, arbitrary: fc.record({ do: fc.constant('put' as const), id: anyId, octets: fc.nat(9_000) }) },
  { weight: 4, arbitrary: fc.record({ do: fc.constant('remove' as const), id: anyId }) },
  {
    weight: 2,
    arbitrary: fc.record({ do: fc.constant('look' as const), behind: anyId, limit: fc.integer({ min: 1, max: 9 }) }),
  },
  { weight: 1, arbitrary: fc.constant({ do: 'end' as const }) },
)

function opened(folder: string, ahead: number): Tree {
  const tree = new Tree(join(folder, 'queue.mdb'), { ahead })
  assert.equal(tree.recover(), 0)
  return tree
}

for (const { what, ahead, ends } of [
  { what: 'a few changes fill the journal, and it is closed now and then', ahead: 512 * 1024, ends: 'closed' },
  { what: 'all of it in the journal, and it is killed now and then', ahead: 16 * 1024 ** 2, ends: 'killed' },
]) {
  test(`whatever is written and asked, it tells what a table in memory tells: ${what}`, async () => {
    await fc.assert(
      fc.asyncProperty(fc.array(anyDoing, { maxLength: 60 }), async doings => {
        let folder = mkdtempSync(join(root, 'tree-'))
        let tree = opened(folder, ahead)
        const table = new Map<string, Buffer>()
        const known = new Set<string>()
        let waiting: Promise<void>[] = []
        for (const [i, doing] of doings.entries()) {
          if (doing.do === 'put') {
            const { id, octets } = doing
            const value = Buffer.alloc(octets, `${i}`)
            const isNew = !known.has(id)
            known.add(id)
            table.set(id, value)
            waiting.push(
              tree.write(({ entries }) => (isNew ? entries.add(id, value) : entries.put(id, value)), { octets }),
            )
            continue
          }
          if (doing.do === 'remove') {
            table.delete(doing.id)
            waiting.push(tree.write(({ entries }) => entries.remove(doing.id), { lazy: i % 2 === 0 }))
            continue
          }
          await Promise.all(waiting)
          waiting = []
          if (doing.do === 'end' && ends === 'killed') {
            const copy = mkdtempSync(join(root, 'tree-'))
            cpSync(folder, copy, { recursive: true })
            await tree.close()
            folder = copy
            tree = opened(folder, ahead)
          } else if (doing.do === 'end') {
            await tree.close()
            tree = opened(folder, ahead)
          } else {
            const { behind, limit } = doing
            const ids = [...table.keys()].sort()
            const some = ids.filter(id => id > behind).slice(0, limit)
            assert.deepEqual(tree.ids('entries'), ids)
            assert.deepEqual(tree.ids('entries', { after: behind, limit }), some)
            assert.equal(tree.last('entries'), ids.at(-1))
            assert.equal(tree.count('entries'), ids.length)
            assert.deepEqual(tree.entry(behind), table.get(behind))
          }
        }
        await tree.close()
        tree = opened(folder, ahead)
        assert.deepEqual(new Map(tree.ids('entries').map(id => [id, tree.entry(id)])), table)
        await tree.close()
        rmSync(folder, { recursive: true })
      }),
      { numRuns: 40 },
    )
  })
}
