/** Which recorded connections would be one too many, by the clock of their record. */
import type { Instant } from '../base/time.ts'
import { formatDuration } from '../base/time.ts'
import type { Caller } from './access.ts'
import type { Admission } from './admission.ts'
import type { LimitKind } from './event.ts'
import type { LimitsConfig } from './gateway-config.ts'
import type { Dialogue } from './recorded.ts'
import { Throttle } from './throttle.ts'

export interface Call {
  readonly dialogue: Dialogue
  readonly caller: Caller
  readonly admission: Admission
}

/** The same calls; those that would run into a limit are refused, and say into which. Those without a time come in. */
export function withinLimits(calls: readonly Call[], limits: LimitsConfig): readonly Call[] {
  const throttle = new Throttle()
  const refused = new Map<Call, string>()
  const inside = new Set<Call>()
  const byStatic = new Map<string, number>()
  for (const { call, isEnd, at } of inOrder(calls)) {
    const { admission, caller } = call
    if (admission.kind === 'refuse') continue
    const place = `${caller.destination} ${caller.port}`
    const own = byStatic.get(place) ?? 0
    if (isEnd) {
      if (!inside.delete(call)) continue
      throttle.leave(caller.source)
      byStatic.set(place, own - 1)
      continue
    }
    const isFull = admission.most > 0 && own >= admission.most
    const limited = isFull ? undefined : throttle.enter(caller.source, limits, at)
    if (isFull) refused.set(call, `its static takes ${admission.most} connections at once`)
    else if (limited) refused.set(call, WORDS[limited.limit](limits))
    else {
      inside.add(call)
      byStatic.set(place, own + 1)
    }
  }
  return calls.map(call => {
    const reason = refused.get(call)
    return reason === undefined ? call : { ...call, admission: { kind: 'refuse', reason } }
  })
}

/** The line that it ran into, as it stands or as it is implied. */
const WORDS: Readonly<Record<LimitKind, (limits: LimitsConfig) => string>> = {
  connections: ({ connections, reserve }) =>
    `too many at once: limit connections ${connections}${reserve > 0 ? ` reserve ${reserve}` : ''}`,
  'source connections': ({ perSource }) => `too many at once from there: limit source connections ${perSource}`,
  'source rate': ({ rate }) =>
    `too many from there in that time: limit source rate ${rate ? `${rate.count} per ${formatDuration(rate.per)}` : ''}`,
}

/** Who leaves at the moment at which another comes makes room for it. */
function inOrder(calls: readonly Call[]): readonly { call: Call; isEnd: boolean; at: Instant }[] {
  return calls
    .flatMap(call => {
      const { opened, closed } = call.dialogue
      if (opened === undefined) return []
      return [
        { call, isEnd: false, at: opened },
        { call, isEnd: true, at: Math.max(opened + 1, closed ?? 0) },
      ]
    })
    .toSorted((a, b) => a.at - b.at || Number(b.isEnd) - Number(a.isEnd))
}
