/** A whole probe of a server through a box, or through none, in virtual time. */
import type { TlsFacts } from '../../src/base/machine.ts'
import type { Exchange, Observation } from '../../src/diagnosis/observation.ts'
import {
  firstPlan,
  offered,
  type Plan,
  Probe,
  type ProbeOutput,
  secondPlan,
  typedPlan,
} from '../../src/diagnosis/probe.ts'
import { Inspector } from '../../src/firewall/inspector.ts'
import type { Policy } from '../../src/firewall/policy.ts'
import { type Between, wire } from '../../src/transcript/wire.ts'
import { WordServer, type Words } from './servers.ts'

const NOW = 1_000_000_000_000
const PATIENCE = 5_000
const TLS: TlsFacts = { protocol: 'TLSv1.3', cipher: 'TLS_AES_256_GCM_SHA384' }

export function probed(words: Words, policy: Policy | undefined, target = 'mx.example.com:25'): Observation {
  const exchanges: Exchange[] = []
  const plans: readonly (() => Plan)[] = [
    () => firstPlan('c.example', PATIENCE),
    () => secondPlan('c.example', offered(exchanges), PATIENCE),
    () => typedPlan('c.example', PATIENCE),
  ]
  for (const [i, plan] of plans.entries()) exchanges.push(...session(i + 1, plan(), words, policy))
  return { vantage: 'here', target, exchanges, notes: [] }
}

function session(number: number, plan: Plan, words: Words, policy: Policy | undefined): readonly Exchange[] {
  const heard: Exchange[] = []
  const probe = new Probe(number, plan)
  const server = new WordServer(words)
  const inspector = policy && new Inspector(policy)
  let isSecured = false
  const between: Between = {
    receive: (from, segment) =>
      inspector && !isSecured
        ? inspector.receive(from, segment).map(output => (output.kind === 'altered' ? { kind: 'altered' } : output))
        : [{ kind: 'forward', to: from === 'client' ? 'server' : 'client', bytes: segment }],
  }
  const perform = (output: ProbeOutput): readonly ProbeOutput[] => {
    if (output.kind === 'heard') heard.push(output.exchange)
    return []
  }
  wire<ProbeOutput, never>(
    {
      machine: {
        receive: (octets, now) =>
          probe.receive(octets, now).flatMap(output => {
            if (output.kind !== 'start-tls') return [output]
            isSecured = true
            return probe.secured(TLS, now)
          }),
        end: now => probe.end(now),
        tick: now => probe.tick(now),
        get deadline() {
          return probe.deadline
        },
      },
      open: now => probe.open(now),
      perform,
    },
    { machine: server as never, open: () => server.open() as never, perform: () => [] },
    { between, now: NOW, until: NOW + 600_000 },
  )
  return heard
}
