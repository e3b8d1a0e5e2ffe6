import type { Graph } from './graph.ts'
import { Heap } from './heap.ts'

/**
 * The least keys from one node to all others, over the edges that are open. Which way leads there is read off the keys:
 * `pathTo` needs no more, and so a change of one edge touches only the nodes whose keys change.
 */
export class Tree {
  #graph: Graph
  readonly #source: number
  /** Edge → its weight, or infinity where it is shut. */
  readonly #weight: Float64Array
  readonly #keys: Float64Array
  /** Node → 1 while `set` works on it. */
  readonly #affected: Uint8Array

  constructor(graph: Graph, source: number, isOpen: (edge: number) => boolean) {
    this.#graph = graph
    this.#source = source
    const edges = graph.to.length
    this.#weight = new Float64Array(edges)
    for (let edge = 0; edge < edges; edge++) {
      this.#weight[edge] = isOpen(edge) ? (graph.weight[edge] ?? 0) : Number.POSITIVE_INFINITY
    }
    this.#keys = new Float64Array(graph.table.length).fill(Number.POSITIVE_INFINITY)
    this.#affected = new Uint8Array(graph.table.length)
    const heap = new Heap(Math.max(64, graph.table.length))
    if (source >= 0) {
      this.#keys[source] = 0
      heap.push(0, source)
    }
    this.#settle(heap)
  }

  /** Cost and hops to a node; infinity where no way leads there. */
  keyOf(node: number): number {
    return this.#keys[node] ?? Number.POSITIVE_INFINITY
  }

  isOpen(edge: number): boolean {
    return isReached(this.#weight[edge] ?? 0)
  }

  /** The edges from the source to a node; of equal ways the one whose groups rank lowest, compared from the target back. */
  pathTo(node: number, rank: Int32Array): readonly number[] | undefined {
    if (!isReached(this.keyOf(node))) return undefined
    const path: number[] = []
    for (let at = node; at !== this.#source; ) {
      const edge = this.#lastEdge(at, rank)
      if (edge < 0) return undefined
      path.push(edge)
      at = this.#graph.from[edge] ?? this.#source
    }
    return path.reverse()
  }

  /** Opens and shuts edges; `graph` has the same shape, and perhaps a newer table. */
  set(graph: Graph, edges: readonly number[], isOpen: (edge: number) => boolean): void {
    this.#graph = graph
    const [weight, keys] = [this.#weight, this.#keys]
    const lost = new Heap()
    const gained: number[] = []
    for (const edge of edges) {
      const next = isOpen(edge) ? (graph.weight[edge] ?? 0) : Number.POSITIVE_INFINITY
      const before = weight[edge] ?? 0
      if (next === before) continue
      weight[edge] = next
      const [from, to] = [graph.from[edge] ?? 0, graph.to[edge] ?? 0]
      if (next < before) gained.push(edge)
      // Only a way that was in use can be missed.
      else if (isReached(this.keyOf(to)) && this.keyOf(from) + before === this.keyOf(to)) lost.push(this.keyOf(to), to)
    }
    const affected = this.#findAffected(lost)
    const heap = new Heap()
    for (const node of affected) {
      let least = Number.POSITIVE_INFINITY
      for (let i = graph.in[node] ?? 0; i < (graph.in[node + 1] ?? 0); i++) {
        const edge = graph.into[i] ?? 0
        const from = graph.from[edge] ?? 0
        if (this.#affected[from] === 1) continue
        least = Math.min(least, this.keyOf(from) + (weight[edge] ?? 0))
      }
      keys[node] = least
    }
    for (const node of affected) {
      this.#affected[node] = 0
      if (isReached(this.keyOf(node))) heap.push(this.keyOf(node), node)
    }
    for (const edge of gained) {
      const [from, to] = [graph.from[edge] ?? 0, graph.to[edge] ?? 0]
      const key = this.keyOf(from) + (weight[edge] ?? 0)
      if (key < this.keyOf(to)) {
        keys[to] = key
        heap.push(key, to)
      }
    }
    this.#settle(heap)
  }

  /** The nodes that no way of their key reaches any more, nearest first: every weight is above 0, so that order is safe. */
  #findAffected(suspects: Heap): readonly number[] {
    const { in: starts, into, out, from, to } = this.#graph
    const [weight, keys, marks] = [this.#weight, this.#keys, this.#affected]
    const affected: number[] = []
    while (suspects.size > 0) {
      const node = suspects.pop()
      if (marks[node] === 1 || node === this.#source) continue
      const key = keys[node] ?? 0
      let isHeld = false
      for (let i = starts[node] ?? 0; i < (starts[node + 1] ?? 0) && !isHeld; i++) {
        const edge = into[i] ?? 0
        const before = from[edge] ?? 0
        isHeld = marks[before] === 0 && (keys[before] ?? 0) + (weight[edge] ?? 0) === key
      }
      if (isHeld) continue
      marks[node] = 1
      affected.push(node)
      for (let edge = out[node] ?? 0; edge < (out[node + 1] ?? 0); edge++) {
        const next = to[edge] ?? 0
        const reached = keys[next] ?? 0
        if (marks[next] === 0 && isReached(reached) && key + (weight[edge] ?? 0) === reached)
          suspects.push(reached, next)
      }
    }
    return affected
  }

  /** Dijkstra's algorithm, from the nodes in the heap on. */
  #settle(heap: Heap): void {
    const { out, to } = this.#graph
    const [weight, keys] = [this.#weight, this.#keys]
    while (heap.size > 0) {
      const key = heap.leastKey
      const node = heap.pop()
      if (key > (keys[node] ?? 0)) continue
      const end = out[node + 1] ?? 0
      for (let edge = out[node] ?? 0; edge < end; edge++) {
        const next = to[edge] ?? 0
        const reached = key + (weight[edge] ?? 0)
        if (reached < (keys[next] ?? 0)) {
          keys[next] = reached
          heap.push(reached, next)
        }
      }
    }
  }

  /** Of the edges that reach a node at its key the one from the lowest rank; of parallel ones the first. */
  #lastEdge(node: number, rank: Int32Array): number {
    const { in: starts, into, from } = this.#graph
    const key = this.keyOf(node)
    let best = -1
    for (let i = starts[node] ?? 0; i < (starts[node + 1] ?? 0); i++) {
      const edge = into[i] ?? 0
      const before = from[edge] ?? 0
      if (this.keyOf(before) + (this.#weight[edge] ?? 0) !== key) continue
      if (best < 0 || (rank[before] ?? 0) < (rank[from[best] ?? 0] ?? 0)) best = edge
    }
    return best
  }
}

function isReached(key: number): boolean {
  return key < Number.POSITIVE_INFINITY
}
