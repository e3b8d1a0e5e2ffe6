import { holds, type Node, prefix, type Topology } from './topology.ts'

/** One node on the way, and the ports by which a connection enters and leaves it. */
export interface Hop {
  readonly node: string
  readonly enters?: string
  readonly leaves?: string
  /** How it goes on from here. */
  readonly over?: { readonly segment: string } | { readonly tunnel: string }
  /** What the destination is called when it leaves this node: a firewall may translate it. */
  readonly destination: string
}

export interface Translation {
  /** Does this node answer for an address that is none of its own (a static translation)? */
  answersFor(node: string, port: string, address: string): boolean
  /** The destination behind this node, for a connection that came in by `port`. */
  translate(node: string, port: string, destination: string): string
}

/** A path longer than this is a loop. */
export const MAX_HOPS = 32

/**
 * The way from a node to an address, decided hop by hop by each node's own routes, as packets would go: that site A's
 * firewall is not on it is a result, not a premise. `entered`: the port by which it came to the first node already.
 */
export function path(
  topology: Topology,
  from: string,
  destination: string,
  translation: Translation,
  entered?: string,
): readonly Hop[] | { readonly wrong: string } {
  const hops: Hop[] = []
  let at = topology.nodes.get(from)
  let enters = entered
  let address = destination
  while (at) {
    const here = at
    if (enters !== undefined) address = translation.translate(here.name, enters, address)
    const arrived = here.attachments.some(({ ip }) => ip === address)
    const by = enters === undefined ? {} : { enters }
    if (arrived) return [...hops, { node: here.name, ...by, destination: address }]
    if (hops.length >= MAX_HOPS)
      return { wrong: `${from} → ${destination}: more than ${MAX_HOPS} hops, a routing loop` }
    const next = step(topology, here, address, translation)
    if (!next) return { wrong: `${here.name} has no route to ${address}` }
    hops.push({ node: here.name, ...by, leaves: next.leaves, over: next.over, destination: address })
    at = next.node
    enters = next.enters
  }
  return { wrong: `no node is called "${from}"` }
}

function step(topology: Topology, here: Node, address: string, translation: Translation) {
  const direct = neighbour(topology, here, address, translation)
  if (direct) return direct
  const routes = here.routes.filter(({ to }) => holds(to, address))
  const best = routes.toSorted((a, b) => prefix(b.to.mask) - prefix(a.to.mask))[0]
  if (!best) return undefined
  if ('gateway' in best.via) return neighbour(topology, here, best.via.gateway, translation)
  const peer = topology.nodes.get(best.via.tunnel)
  const tunnel = best.via.tunnel
  return peer && { node: peer, leaves: 'tunnel', enters: 'tunnel', over: { tunnel } }
}

/** Who owns the address on a segment that this node touches. */
function neighbour(topology: Topology, here: Node, address: string, { answersFor }: Translation) {
  for (const mine of here.attachments) {
    if (!holds(mine, address)) continue
    for (const node of topology.nodes.values()) {
      if (node === here) continue
      const theirs = node.attachments.find(
        ({ segment, ip, port }) => segment === mine.segment && (ip === address || answersFor(node.name, port, address)),
      )
      if (theirs) return { node, leaves: mine.port, enters: theirs.port, over: { segment: mine.segment } }
    }
  }
  return undefined
}
