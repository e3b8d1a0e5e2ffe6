/** What a configuration will do to mail, before any traffic: the far side's dialogue, through the policy in force. */
import { bytes, concat, text } from '../base/bytes.ts'
import { inspectedBy } from '../firewall/check.ts'
import { Inspector } from '../firewall/inspector.ts'
import type { Policy } from '../firewall/policy.ts'
import type { Alteration } from './alteration.ts'
import { alterationsBetween, type Both } from './both-ends.ts'
import { FAR_BODY, FarSide, farLines } from './far-side.ts'
import type { Exchange } from './observation.ts'

const HELLO = 'near-side.postern.invalid'

/** Every alteration that the policy makes; each is proven, as the policy is known. */
export function forecast(policy: Policy): readonly Alteration[] {
  if (policy.engine.kind !== 'in-place') return proxied(policy)
  return alterationsBetween([
    ...played(policy, 1, farLines(HELLO), false),
    ...played(policy, 2, [`HELO ${HELLO}`, 'NOOP'], true),
  ])
}

/** A proxy says everything anew: what it will not say is what counts. */
function proxied(policy: Policy): readonly Alteration[] {
  return inspectedBy(policy).lost.map(({ keyword, because }) => ({
    kind: 'keyword-missing',
    subject: keyword,
    toward: 'client',
    before: keyword,
    after: '',
    grade: 'proven',
    why: because.reason,
  }))
}

function played(policy: Policy, session: number, lines: readonly string[], typed: boolean): readonly Both[] {
  const inspector = new Inspector(policy)
  const far = new FarSide()
  const out = (from: 'client' | 'server', octets: Uint8Array): Uint8Array =>
    concat(inspector.receive(from, octets).flatMap(output => (output.kind === 'forward' ? [output.bytes] : [])))
  const answers = (outputs: ReturnType<FarSide['receive']>): Uint8Array =>
    concat(outputs.flatMap(output => (output.kind === 'write' ? [output.bytes] : [])))
  const both = (said: string, arrived: string, answered: Uint8Array): Both => {
    const heard = linesOf(out('server', answered))
    const near: Exchange = {
      session,
      said,
      typed,
      secured: false,
      heard,
      ending: heard.length > 0 ? 'answered' : 'silence',
    }
    return arrived === '' && said !== '' ? { near } : { near, far: { arrived, answered: linesOf(answered) } }
  }
  const pairs: Both[] = [{ ...both('', '', answers(far.open(0))) }]
  for (const line of lines) {
    const said = `${line}\r\n`
    const pair = say(said)
    pairs.push(pair)
    if (line === 'DATA' && pair.near.heard[0]?.startsWith('354')) pairs.push(say(FAR_BODY))
  }
  return pairs

  function say(said: string): Both {
    const octets = bytes(said)
    const segments = typed ? [...octets].map(octet => Uint8Array.of(octet)) : [octets]
    const arrived = concat(segments.map(segment => out('client', segment)))
    return both(said, text(arrived), arrived.length > 0 ? answers(far.receive(arrived, 0)) : arrived)
  }
}

function linesOf(octets: Uint8Array): readonly string[] {
  return text(octets).split('\r\n').slice(0, -1)
}
