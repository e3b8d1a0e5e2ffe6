/** Where on the path it happens: what every altered way crosses, and no clean one. */
import { cite } from '../base/problem.ts'
import type { Caller } from '../firewall/access.ts'
import { admit } from '../firewall/admission.ts'
import type { FirewallConfig } from '../firewall/config.ts'
import type { Hop } from '../topology/path.ts'

/** A way from a vantage to the server, and what was found along it. */
export interface Way {
  readonly vantage: string
  readonly hops: readonly Hop[]
  readonly isAltered: boolean
}

/** A node that passes connections on, and the ports that this one came and went by. */
export interface Place {
  readonly node: string
  readonly enters?: string
  readonly leaves?: string
  /** The line of its configuration that does it, where its configuration is known. */
  readonly by?: { readonly policy: string; readonly command: string; readonly cure: string; readonly at: string }
}

export interface Location {
  /** All that it may be; one where the vantages suffice. */
  readonly places: readonly Place[]
  readonly altered: readonly string[]
  readonly clean: readonly string[]
}

/** `undefined` where nothing is altered on any of them. */
export function locate(ways: readonly Way[]): Location | undefined {
  const altered = ways.filter(({ isAltered }) => isAltered)
  const [first, ...others] = altered
  if (!first) return undefined
  const clean = ways.filter(({ isAltered }) => !isAltered)
  const cleared = new Set(clean.flatMap(({ hops }) => hops.map(keyOf)))
  const places = first.hops
    .filter(hop => others.every(({ hops }) => hops.some(each => keyOf(each) === keyOf(hop))))
    .filter(hop => !cleared.has(keyOf(hop)))
    .map(
      ({ node, enters, leaves }): Place => ({
        node,
        ...(enters !== undefined && { enters }),
        ...(leaves !== undefined && { leaves }),
      }),
    )
  return { places, altered: altered.map(({ vantage }) => vantage), clean: clean.map(({ vantage }) => vantage) }
}

/** The same node crossed the other way is another place: a firewall treats the two otherwise. */
function keyOf({ node, enters = '', leaves = '' }: Hop): string {
  return `${enters} ${node} ${leaves}`
}

/** The places whose own configuration says that they look into it are left, if there are any, with the line. */
export function withCauses(
  location: Location,
  firewalls: ReadonlyMap<string, FirewallConfig>,
  caller: Caller,
): Location {
  const places = location.places.map((place): Place => {
    const config = firewalls.get(place.node)
    if (!config || place.enters === undefined) return place
    const admission = admit(config, place.node, place.enters, caller)
    const policy = admission.kind === 'inspect' ? admission.policy : undefined
    if (!policy) return place
    const { command, cure, at } = policy.cause
    return { ...place, by: { policy: policy.name, command, cure, at: cite(at) } }
  })
  const guilty = places.filter(({ by }) => by !== undefined)
  return guilty.length > 0 ? { ...location, places: guilty } : { ...location, places }
}

export function sayPlace({ node, enters, leaves }: Place): string {
  if (enters !== undefined && leaves !== undefined) return `${node}, between ${enters} and ${leaves}`
  return node
}
