/** A diagnosis before any traffic: what a configuration will do on each way through a firewall, or on a way through a lab. */
import { basename, dirname, resolve } from 'node:path'
import { cite, PosternError } from '../base/problem.ts'
import { type Diagnosis, diagnose } from '../diagnosis/diagnosis.ts'
import { forecast } from '../diagnosis/forecast.ts'
import type { Place } from '../diagnosis/locate.ts'
import type { Caller } from '../firewall/access.ts'
import { admit } from '../firewall/admission.ts'
import { check } from '../firewall/check.ts'
import { FIREWALL } from '../firewall/commands.ts'
import type { FirewallConfig } from '../firewall/config.ts'
import type { Policy } from '../firewall/policy.ts'
import { readConfig } from '../io/files.ts'
import type { Endpoint } from '../io/sockets.ts'
import { way } from '../lab/plan.ts'
import type { Found } from './diagnosis.ts'
import { readLab } from './lab.ts'

/** Every way by which mail can pass the firewall of this file. */
export function foresee(file: string): readonly Found[] {
  const { config } = readConfig(FIREWALL, file)
  const open = check(config).pairs.filter(pair => pair.open.length > 0)
  if (open.length === 0)
    return [foundOf(config.hostname, 'nowhere', [], [`${file} lets no mail pass: no line opens a way for it`])]
  return open.map(({ from, to, open: [opening] }) => {
    const caller = opening?.caller
    const admission = caller && admit(config, config.hostname, from.name, caller)
    const policy = admission?.kind === 'inspect' ? admission.policy : undefined
    const place = { node: config.hostname, enters: from.name, leaves: to.name }
    return foundOf(from.name, to.name, policy ? [{ place, policy }] : [], [`${opening?.by ?? ''} lets it through`])
  })
}

/** The way of mail from a node to an address of a topology, with this firewall's file in the place of its own. */
export function foreseeWay(file: string, topology: string, from: string, to: Endpoint): readonly Found[] {
  const files = readLab(dirname(resolve(topology)))
  const { config } = readConfig(FIREWALL, file)
  const named = files.config.nodes.find(
    ({ name, config: own }) => name === config.hostname || (own !== undefined && basename(own) === basename(file)),
  )
  if (!named)
    throw misuse(
      `${file} is for ${config.hostname}, and ${topology} has no such firewall (known: ${[...files.firewalls.keys()].join(', ')})`,
    )
  const firewalls = new Map<string, FirewallConfig>([...files.firewalls, [named.name, config]])
  const hops = way(files.topology, firewalls, { node: from }, to.host)
  if ('wrong' in hops) throw misuse(hops.wrong)
  const source = files.topology.nodes.get(from)?.attachments[0]?.ip ?? ''
  const stops: Stop[] = []
  const remarks: string[] = [`the way: ${hops.map(({ node }) => node).join(' → ')}`]
  for (const [i, { node, enters = '', leaves = '' }] of hops.entries()) {
    const own = firewalls.get(node)
    if (!own || i === hops.length - 1) continue
    const caller: Caller = { source, destination: hops[i - 1]?.destination ?? to.host, port: to.port }
    const admission = admit(own, node, enters, caller)
    if (admission.kind === 'refuse') remarks.push(`${node} lets it not through: ${admission.reason}`)
    else if (admission.policy) stops.push({ place: { node, enters, leaves }, policy: admission.policy })
  }
  return [foundOf(from, `${to.host}:${to.port}`, stops, remarks)]
}

interface Stop {
  readonly place: Place
  readonly policy: Policy
}

function foundOf(vantage: string, target: string, stops: readonly Stop[], remarks: readonly string[]): Found {
  const observation = { vantage, target, exchanges: [], notes: [] }
  const [first] = stops
  const alterations = stops.flatMap(({ policy }) => forecast(policy))
  const diagnosis: Diagnosis = diagnose(observation, {
    alterations,
    suspects: first
      ? [
          {
            id: first.policy.name,
            name: first.policy.name,
            vendor: /PIX/.test(first.policy.name) ? 'cisco-pix' : /ASA/.test(first.policy.name) ? 'cisco-asa' : 'other',
            grade: 'proven',
            explains: alterations.map((_, i) => i),
            leaves: [],
            by: 'configuration',
            alike: [],
            marks: [],
          },
        ]
      : [],
    ...(first && {
      location: {
        places: stops.map(({ place, policy: { name, cause } }) => ({
          ...place,
          by: { policy: name, command: cause.command, cure: cause.cure, at: cite(cause.at) },
        })),
        altered: [vantage],
        clean: [],
      },
    }),
    remarks: [...remarks, 'this is what the configuration says; nothing was sent'],
  })
  return { diagnosis, observations: [observation] }
}

function misuse(message: string): PosternError {
  return new PosternError('POSTERN_MISUSE', message, { side: 'us', retry: 'never' })
}
