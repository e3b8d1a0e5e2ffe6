import type { Guid } from './link-state.ts'
import type { Leg } from './route.ts'

/** Beyond so many groups, going back is done by halves. */
export const NEAR = 4

/**
 * In which order the groups on a way are tried: straight to the last, and where that cannot be reached back along the way,
 * a group at a time, or beyond four by halves. So mail comes as near the break as it can, and waits there. A hub is not
 * passed.
 */
export function backOff(hops: readonly Leg[], hubs: ReadonlySet<Guid> = new Set()): readonly Leg[] {
  const hub = hops.findIndex(({ group }) => hubs.has(group))
  const open = hub < 0 ? hops : hops.slice(0, hub + 1)
  const order: Leg[] = []
  for (let left = open.length; left > 0; left = left > NEAR ? left >> 1 : left - 1)
    order.push(...open.slice(left - 1, left))
  return order
}

/**
 * Delayed fan-out: one copy goes as far as the ways of its recipients are the same, and is multiplied where they part. The
 * part of two ways that is the same, from its beginning.
 */
export function shared(one: readonly Leg[], other: readonly Leg[]): readonly Leg[] {
  const parts = one.findIndex(({ group }, i) => group !== other[i]?.group)
  return parts < 0 ? one : one.slice(0, parts)
}
