import type { Diagnostic } from '../base/problem.ts'
import type { Caller } from '../firewall/access.ts'
import type { FirewallConfig } from '../firewall/config.ts'
import { untranslate } from '../firewall/translation.ts'
import { interfaceNamed, known } from '../topology/commands.ts'
import { type Hop, path, type Translation } from '../topology/path.ts'
import type { Attachment, Node, Route, Topology } from '../topology/topology.ts'
import type { LabConfig } from './config.ts'

/** The topology a laboratory's text describes, with the addresses and routes that its firewalls' own texts tell. */
export function topologyOf(
  lab: LabConfig,
  firewalls: ReadonlyMap<string, FirewallConfig>,
): { readonly topology: Topology; readonly problems: readonly Diagnostic[] } {
  const problems: Diagnostic[] = []
  const nodes = new Map<string, Node>()
  for (const { name, kind, site } of lab.nodes) {
    const attachments: Attachment[] = []
    for (const { node, segment, by, at } of lab.attachments) {
      if (node !== name) continue
      if ('ip' in by) {
        attachments.push({ segment, port: segment, ...by })
        continue
      }
      const config = firewalls.get(name)
      const network = config && interfaceNamed(config.ports, by.port)?.network
      if (network) attachments.push({ segment, port: by.port, ...network })
      else {
        const hint = config ? known(config.ports) : 'only a firewall has named interfaces'
        problems.push({ severity: 'error', message: `${name} has no interface "${by.port}" with an address`, hint, at })
      }
    }
    const routes: Route[] = lab.routes.filter(({ node }) => node === name).map(({ route }) => route)
    for (const { to, gateway } of firewalls.get(name)?.routes ?? []) routes.push({ to, via: { gateway } })
    nodes.set(name, { name, kind, site, attachments, routes })
  }
  return { topology: { nodes }, problems }
}

/** How firewalls translate, for the search of a way. */
export function translationOf(firewalls: ReadonlyMap<string, FirewallConfig>): Translation {
  const mapped = (node: string, port: string, destination: string): string | undefined => {
    for (const each of firewalls.get(node)?.statics ?? []) {
      if (each.mapped !== port || each.redirect) continue
      const caller: Caller = { source: '', destination, port: 0 }
      const real = untranslate(each, caller)
      if (real) return real.destination
    }
    return undefined
  }
  return {
    // An address that stays what it is has its own owner behind the firewall, and is reached by a route.
    answersFor: (node, port, address) => {
      const real = mapped(node, port, address)
      return real !== undefined && real !== address
    },
    translate: (node, port, destination) => mapped(node, port, destination) ?? destination,
  }
}

/** The way of a connection through the laboratory, from a node or from a port where it came in. */
export function way(
  topology: Topology,
  firewalls: ReadonlyMap<string, FirewallConfig>,
  from: { readonly node: string; readonly port?: string },
  destination: string,
): readonly Hop[] | { readonly wrong: string } {
  return path(topology, from.node, destination, translationOf(firewalls), from.port)
}
