import { isWire, type Machine, type WireOutput } from '../base/machine.ts'
import type { Instant } from '../base/time.ts'

/** One end of a wire: a machine, how it begins, and who carries out what is not the wire's. */
export interface End<Output extends { readonly kind: string }> {
  readonly machine: Machine<Output>
  open(now: Instant): readonly Output[]
  /** What it returns is carried out next. Nothing here takes time: an answer is there at once. */
  perform(output: Exclude<Output, WireOutput>, now: Instant): readonly Output[]
}

/** Whoever stands between: what one side sends comes out, or comes out otherwise, towards the other. */
export interface Between {
  receive(from: 'client' | 'server', segment: Uint8Array): readonly BetweenOutput[]
}

export type BetweenOutput =
  | { readonly kind: 'forward'; readonly to: 'client' | 'server'; readonly bytes: Uint8Array }
  | { readonly kind: 'altered' }
  /** Whoever stands between ends both connections. */
  | { readonly kind: 'close' }

/** A segment as it was said, and as it was heard at the other end. */
export interface Carried {
  readonly by: 'client' | 'server'
  readonly at: Instant
  readonly said: Uint8Array
  readonly heard: Uint8Array
}

/** A wire carries this many segments; then two machines keep each other busy for nothing. */
export const MAX_SEGMENTS = 100_000

/**
 * Joins two machines end to end, with a firewall between them or none, in one synchronous call and in virtual time: when
 * nobody has anything to say, the clock jumps to the next deadline. Ends when both are silent for good, or at `until`.
 */
export function wire<C extends { readonly kind: string }, S extends { readonly kind: string }>(
  client: End<C>,
  server: End<S>,
  { between, now: start, until }: { readonly between?: Between; readonly now: Instant; readonly until: Instant },
): { readonly carried: readonly Carried[]; readonly now: Instant } {
  let now = start
  const carried: Carried[] = []
  const waiting: { readonly by: 'client' | 'server'; readonly bytes: Uint8Array | undefined }[] = []
  const closed = { client: false, server: false }

  const carryOut = <O extends { readonly kind: string }>(
    by: 'client' | 'server',
    end: End<O>,
    outputs: readonly O[],
  ) => {
    const left = [...outputs]
    for (let output = left.shift(); output; output = left.shift()) {
      if (isWire(output)) {
        if (output.kind === 'write' && !closed[by]) waiting.push({ by, bytes: output.bytes })
        else if (output.kind === 'close' && !closed[by]) {
          closed[by] = true
          waiting.push({ by, bytes: undefined })
        }
      } else left.unshift(...end.perform(output as Exclude<O, WireOutput>, now))
    }
  }
  const hear = (at: 'client' | 'server', bytes: Uint8Array | undefined) => {
    if (at === 'client') carryOut(at, client, bytes ? client.machine.receive(bytes, now) : client.machine.end(now))
    else carryOut(at, server, bytes ? server.machine.receive(bytes, now) : server.machine.end(now))
  }

  carryOut('client', client, client.open(now))
  carryOut('server', server, server.open(now))
  for (let count = 0; count < MAX_SEGMENTS; count++) {
    const next = waiting.shift()
    if (next) {
      const other = next.by === 'client' ? 'server' : 'client'
      if (!next.bytes) {
        hear(other, undefined)
        continue
      }
      const out = between?.receive(next.by, next.bytes) ?? [{ kind: 'forward', to: other, bytes: next.bytes } as const]
      for (const output of out) {
        if (output.kind === 'close') {
          waiting.length = 0
          closed.client = true
          closed.server = true
          hear('client', undefined)
          hear('server', undefined)
        }
        if (output.kind !== 'forward') continue
        carried.push({ by: next.by, at: now, said: next.bytes, heard: output.bytes })
        hear(output.to, output.bytes)
      }
      continue
    }
    const deadlines = [client, server].flatMap(({ machine: { deadline } }) =>
      deadline === undefined ? [] : [deadline],
    )
    const soonest = Math.min(...deadlines)
    if (deadlines.length === 0 || soonest > until) break
    now = Math.max(now, soonest)
    carryOut('client', client, client.machine.tick(now))
    carryOut('server', server, server.machine.tick(now))
  }
  return { carried, now }
}
