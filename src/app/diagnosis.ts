/** A diagnosis from one vantage or several: visits, and what comes of them together. */
import { PosternError } from '../base/problem.ts'
import type { Duration } from '../base/time.ts'
import { alterationsIn } from '../diagnosis/alteration.ts'
import { alterationsBetween, type Both, exactSuspects } from '../diagnosis/both-ends.ts'
import { alterationsAgainst, sameEverywhere } from '../diagnosis/control.ts'
import { type Diagnosis, diagnose, wasHeard } from '../diagnosis/diagnosis.ts'
import type { FarRecord } from '../diagnosis/far-side.ts'
import { type Location, locate, type Way, withCauses } from '../diagnosis/locate.ts'
import type { Observation } from '../diagnosis/observation.ts'
import type { Letter } from '../diagnosis/probe.ts'
import type { FirewallConfig } from '../firewall/config.ts'
import { pairedBy, type Visit, visit, visitFar } from './prober.ts'
import type { Vantage } from './vantages.ts'
import { words } from './words.ts'

export interface Asked {
  readonly vantages: readonly Vantage[]
  readonly patience: Duration
  readonly hello?: string
  readonly whole?: boolean
  /** An envelope to try, with addresses of one's own. */
  readonly letter?: Letter
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
  const { letter: _ours, ...harmless } = asked
  const control = asked.control && (await look(asked.control, harmless))
  const servers = new Map<string, (typeof visits)[number][]>()
  for (const each of visits) {
    const server = each.vantage.hops?.at(-1)?.node ?? each.vantage.target
    servers.set(server, [...(servers.get(server) ?? []), each])
  }
  return [...servers.values()].map(group => together(group, asked, control))
}

/** Two-ended: the far side tells by itself, or by the records it wrote, which are read once the visit is over. */
export async function diagnoseFar(
  vantage: Vantage,
  asked: Asked,
  records?: () => readonly FarRecord[],
): Promise<Found> {
  const { near, pairs: told } = await visitFar(visitOf(vantage, asked))
  const pairs = records ? pairedBy(near, records()) : told
  return { diagnosis: bothEnds(near, pairs, vantage, asked), observations: [near] }
}

function bothEnds(near: Observation, pairs: readonly Both[] | undefined, vantage: Vantage, asked: Asked): Diagnosis {
  if (!pairs) {
    const remark =
      'the far side did not tell what arrived: it is no postern listen, or somebody answers in its place (then: postern listen --record FILE there, and --far FILE here)'
    return diagnose(near, { remarks: [remark] })
  }
  const alterations = alterationsBetween(pairs)
  const ways = vantage.hops ? [{ vantage: vantage.name, hops: vantage.hops, isAltered: alterations.length > 0 }] : []
  return diagnose(near, {
    alterations,
    suspects: exactSuspects(pairs, alterations),
    location: placed(locate(ways), vantage, asked.firewalls),
    remarks: [`both ends were heard: ${pairs.length} exchanges, a message among them`],
  })
}

function visitOf({ name, target, connect }: Vantage, { patience, hello, whole, letter }: Asked): Visit {
  return {
    vantage: name,
    target,
    patience,
    connect,
    ...(hello !== undefined && { hello }),
    ...(whole !== undefined && { whole }),
    ...(letter && { letter }),
  }
}

async function look(vantage: Vantage, asked: Asked): Promise<Observation> {
  const { name, target } = vantage
  try {
    return await visit(visitOf(vantage, asked))
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
  // Whoever is nearest to the server hears it best: what the others hear is held against that.
  const heard = group.filter(({ observation }) => observation.exchanges.some(each => each.heard.length > 0))
  const [beside] = heard.toSorted((a, b) => (a.vantage.hops?.length ?? 0) - (b.vantage.hops?.length ?? 0))
  const seen = group.map(({ vantage, observation }) => ({
    vantage,
    observation,
    alterations: [
      ...alterationsIn(observation),
      ...(beside?.vantage.hops && beside.vantage !== vantage
        ? alterationsAgainst(beside.observation, observation)
        : []),
    ],
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
  if (!location && worst.alterations.length > 0) {
    for (const { vantage, observation, alterations } of seen) {
      if (observation === worst.observation || !wasHeard(observation)) continue
      remarks.push(
        alterations.length > 0
          ? `from ${vantage.name} alterations show as well`
          : `from ${vantage.name} nothing of it shows: the cause is on the way from ${worst.vantage.name}, unless the server treats the two otherwise`,
      )
    }
  }
  if (control) remarks.push(...sameEverywhere(worst.observation, control))
  return {
    diagnosis: diagnose(worst.observation, {
      location,
      remarks,
      ...(worst.alterations.length > 0 && { alterations: worst.alterations }),
    }),
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
