/** A diagnosis from one vantage or several: visits, and what comes of them together. */
import { PosternError } from '../base/problem.ts'
import type { Duration } from '../base/time.ts'
import { alterationsIn } from '../diagnosis/alteration.ts'
import { sameEverywhere } from '../diagnosis/control.ts'
import { type Diagnosis, diagnose } from '../diagnosis/diagnosis.ts'
import { type Location, locate, type Way, withCauses } from '../diagnosis/locate.ts'
import type { Observation } from '../diagnosis/observation.ts'
import type { FirewallConfig } from '../firewall/config.ts'
import { visit } from './prober.ts'
import type { Vantage } from './vantages.ts'
import { words } from './words.ts'

export interface Asked {
  readonly vantages: readonly Vantage[]
  readonly patience: Duration
  readonly hello?: string
  readonly whole?: boolean
  /** Another server by the same way: what both show is near us. */
  readonly control?: Vantage
  readonly firewalls?: ReadonlyMap<string, FirewallConfig>
}

export interface Found {
  readonly diagnosis: Diagnosis
  readonly observations: readonly Observation[]
}

/** One diagnosis for each server that the vantages lead to; one vantage after the other. */
export async function diagnoseAll(asked: Asked): Promise<readonly Found[]> {
  const visits: { readonly vantage: Vantage; readonly observation: Observation }[] = []
  for (const vantage of asked.vantages) visits.push({ vantage, observation: await look(vantage, asked) })
  const control = asked.control && (await look(asked.control, asked))
  const servers = new Map<string, (typeof visits)[number][]>()
  for (const each of visits) {
    const server = each.vantage.hops?.at(-1)?.node ?? each.vantage.target
    servers.set(server, [...(servers.get(server) ?? []), each])
  }
  return [...servers.values()].map(group => together(group, asked, control))
}

async function look(vantage: Vantage, asked: Asked): Promise<Observation> {
  const { name, target, connect } = vantage
  try {
    return await visit({
      vantage: name,
      target,
      patience: asked.patience,
      connect,
      ...(asked.hello !== undefined && { hello: asked.hello }),
      ...(asked.whole !== undefined && { whole: asked.whole }),
    })
  } catch (cause) {
    if (!(cause instanceof PosternError)) throw cause
    return { vantage: name, target, exchanges: [], notes: [`from ${name}: ${words(cause)}`] }
  }
}

function together(
  group: readonly { readonly vantage: Vantage; readonly observation: Observation }[],
  { firewalls }: Asked,
  control: Observation | undefined,
): Found {
  const seen = group.map(({ vantage, observation }) => ({
    vantage,
    observation,
    alterations: alterationsIn(observation),
  }))
  // A way that nothing came back from tells nothing about where.
  const ways = seen
    .filter(({ observation }) => observation.exchanges.some(({ heard }) => heard.length > 0))
    .flatMap(({ vantage: { name, hops }, alterations }): readonly Way[] =>
      hops ? [{ vantage: name, hops, isAltered: alterations.length > 0 }] : [],
    )
  const worst =
    seen.find(({ alterations }) => alterations.length > 0) ??
    seen.find(({ observation }) => observation.exchanges.length > 0) ??
    seen[0]
  if (!worst) throw new Error('a diagnosis of nothing')
  const location = placed(locate(ways), worst.vantage, firewalls)
  const remarks = group
    .filter(({ observation }) => observation !== worst.observation)
    .flatMap(({ observation: { notes } }) => notes)
  if (control) remarks.push(...sameEverywhere(worst.observation, control))
  return {
    diagnosis: diagnose(worst.observation, { location, remarks }),
    observations: [...group.map(({ observation }) => observation), ...(control ? [control] : [])],
  }
}

function placed(
  location: Location | undefined,
  { caller }: Vantage,
  firewalls: ReadonlyMap<string, FirewallConfig> | undefined,
): Location | undefined {
  return location && caller && firewalls ? withCauses(location, firewalls, caller) : location
}
