/** Routing servers that talk to each other without wires. The name keeps it out of the published package. */

import { groupState, guid, md5 } from './any-table.test.ts'
import { RoutingEngine, type Teller } from './engine.ts'
import { Exchange, type ExchangeOutput, type Finding } from './exchange.ts'
import type { ConnectorState, Guid, LinkStateTable } from './link-state.ts'

export const ORG: Guid = guid('0', 0xf)

/** The master, and only member, of group `n`. */
export function masterOf(n: number, connectors: readonly ConnectorState[] = [], table?: LinkStateTable): RoutingEngine {
  const group = guid('a', n)
  const own = groupState(group, { master: guid('b', n), incarnation: guid('e', n), connectors })
  return new RoutingEngine({ org: ORG, server: guid('b', n), group, md5, table: table ?? [own] })
}

/** Another member of group `n`. */
export function memberOf(n: number, server: number): RoutingEngine {
  const { group, table } = masterOf(n)
  return new RoutingEngine({ org: ORG, server: guid('b', server), group, md5, table })
}

export interface Conversation {
  readonly delta: boolean
  /** The frame of this number, counted from 0, is lost, and the connection with it. */
  readonly lost?: number
  readonly teller?: Teller
}

export interface Talked {
  readonly frames: readonly string[]
  readonly findings: readonly Finding[]
  readonly inStep: boolean
}

/** `client` begins and `server` answers, as over X-LINK2STATE, until both are done. */
export function talk(client: RoutingEngine, server: RoutingEngine, { delta, lost, teller }: Conversation): Talked {
  const frames: string[] = []
  const findings: Finding[] = []
  let inStep = false
  const common = { delta, teller: teller ?? 'other-group' } as const
  const asking = new Exchange(client, { ...common, side: 'client', neighbour: server.server })
  const answering = new Exchange(server, { ...common, side: 'server', neighbour: client.server })
  const said = (outputs: readonly ExchangeOutput[], isClient: boolean): string | undefined => {
    for (const output of outputs) {
      if (output.kind === 'finding') findings.push(output.finding)
      if (output.kind === 'done' && isClient) inStep = output.inStep
    }
    return outputs.find(output => output.kind === 'say')?.frame
  }
  let frame = said(asking.begin(), true)
  for (let speaker = asking; frame !== undefined; ) {
    frames.push(frame)
    if (frames.length - 1 === lost) break
    const listener: Exchange = speaker === asking ? answering : asking
    frame = said(listener.hear(frame), listener === asking)
    speaker = listener
  }
  return { frames, findings, inStep }
}
