import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import { runs } from '../base/any-bytes.test.ts'
import { connectorState, groupState, guid } from './any-table.test.ts'
import { connectorOf, costIn, type Graph, graphOf, hopsIn, sameShape } from './graph.ts'
import { Heap } from './heap.ts'
import { dashed, type LinkStateTable, tableOf } from './link-state.ts'
import { Tree } from './tree.ts'

interface Way {
  readonly from: number
  readonly to: number
  readonly cost: number
  readonly down?: boolean
}

/** Group n is called a…n; the ways out of a group are its connectors, in order. */
function tableWith(groups: number, ways: readonly Way[]): LinkStateTable {
  return tableOf(
    Array.from({ length: groups }, (_, n) => {
      const mine = ways.filter(({ from }) => from === n)
      const connectors = mine.map(({ to, cost, down }, i) =>
        connectorState(guid('c', 100 * n + i), '*', {
          arrows: [{ type: 'RG', value: dashed(guid('a', to)), cost }],
          state: down ? 'down' : 'up',
        }),
      )
      return groupState(guid('a', n), { connectors })
    }),
  )
}

const byPlace = (graph: Graph): Int32Array => Int32Array.from(graph.table, (_, i) => i)
const upIn = (graph: Graph) => (edge: number) => connectorOf(graph, edge)?.state === 'up'

function pathOf(graph: Graph, tree: Tree, to: number): readonly number[] | undefined {
  const edges = tree.pathTo(to, byPlace(graph))
  return edges && [0, ...edges.map(edge => graph.to[edge] ?? -1)]
}

test('the least cost is taken, then the fewest hops, then the lowest group, compared from the target back', () => {
  const path = (...ways: readonly (readonly [number, number, number])[]) => {
    const graph = graphOf(
      tableWith(
        6,
        ways.map(([from, to, cost]) => ({ from, to, cost })),
      ),
    )
    return pathOf(graph, new Tree(graph, 0, upIn(graph)), 5)
  }
  assert.deepEqual(path([0, 1, 10], [1, 5, 10], [0, 2, 15], [2, 5, 4]), [0, 2, 5])
  assert.deepEqual(path([0, 1, 1], [1, 2, 1], [2, 5, 1], [0, 3, 1], [3, 5, 2]), [0, 3, 5])
  assert.deepEqual(path([0, 1, 1], [0, 2, 1], [1, 5, 1], [2, 5, 1]), [0, 1, 5])
  // Backward: the group before the target decides, not the one after the source.
  assert.deepEqual(path([0, 1, 1], [1, 4, 1], [4, 5, 1], [0, 2, 1], [2, 3, 1], [3, 5, 1]), [0, 2, 3, 5])
  assert.deepEqual(path([0, 1, 1]), undefined)
})

test('a graph says which groups are reached, at what cost and over how many hops', () => {
  const graph = graphOf(
    tableWith(3, [
      { from: 0, to: 1, cost: 100 },
      { from: 1, to: 2, cost: 7 },
    ]),
  )
  const tree = new Tree(graph, 0, upIn(graph))
  assert.deepEqual([costIn(tree.keyOf(2)), hopsIn(tree.keyOf(2))], [107, 2])
  // A number out of a table cannot count over what is exact.
  const far = graphOf(tableWith(2, [{ from: 0, to: 1, cost: 0xffff_ffff }]))
  assert.equal(costIn(new Tree(far, 0, upIn(far)).keyOf(1)), 65_535)
  // Nor does a way to a group that nobody told of lead anywhere.
  assert.equal(graphOf(tableWith(1, [{ from: 0, to: 9, cost: 1 }])).to.length, 0)
})

const anyWays = fc.array(
  fc.record({ from: fc.nat(7), to: fc.nat(7), cost: fc.integer({ min: 1, max: 4 }), down: fc.boolean() }),
  { maxLength: 24 },
)

test('whatever opens and shuts, the keys are those of a tree made anew', () => {
  fc.assert(
    fc.property(anyWays, fc.array(fc.array(fc.nat(23), { maxLength: 4 }), { maxLength: 8 }), (ways, flips) => {
      let now: readonly Way[] = ways
      let graph = graphOf(tableWith(8, now))
      const tree = new Tree(graph, 0, upIn(graph))
      for (const flip of flips) {
        now = now.map((way, i) => (flip.includes(i) ? { ...way, down: !way.down } : way))
        const next = sameShape(graph, tableWith(8, now))
        assert.ok(next)
        graph = next.graph
        const edges = Array.from(graph.to, (_, edge) => edge)
        tree.set(graph, edges, upIn(graph))
        const anew = new Tree(graph, 0, upIn(graph))
        for (let node = 0; node < 8; node++) {
          assert.equal(tree.keyOf(node), anew.keyOf(node))
          assert.deepEqual(pathOf(graph, tree, node), pathOf(graph, anew, node))
        }
      }
    }),
    runs(500),
  )
})

test('a path has the cost it claims, uses no shut edge, and visits no group twice', () => {
  fc.assert(
    fc.property(anyWays, ways => {
      const graph = graphOf(tableWith(8, ways))
      const tree = new Tree(graph, 0, upIn(graph))
      for (let node = 1; node < 8; node++) {
        const edges = tree.pathTo(node, byPlace(graph))
        if (!edges) continue
        assert.ok(edges.every(upIn(graph)))
        assert.equal(
          edges.reduce((sum, edge) => sum + (graph.weight[edge] ?? 0), 0),
          tree.keyOf(node),
        )
        const path = pathOf(graph, tree, node) ?? []
        assert.equal(new Set(path).size, path.length)
      }
    }),
    runs(500),
  )
})

test('a heap gives the least first', () => {
  fc.assert(
    fc.property(fc.array(fc.nat(50), { maxLength: 200 }), keys => {
      const heap = new Heap(1)
      for (const [i, key] of keys.entries()) heap.push(key, i)
      const given: number[] = []
      while (heap.size > 0) given.push(keys[heap.pop()] ?? -1)
      assert.deepEqual(
        given,
        keys.toSorted((a, b) => a - b),
      )
    }),
    runs(200),
  )
})
