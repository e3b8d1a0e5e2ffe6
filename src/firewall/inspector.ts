/**
 * The in-place firewall: both directions of one connection, as a machine.
 *
 * It works *per segment*, as these boxes did: a segment is one chunk given to it, and leaves as one chunk of the same
 * length. It never adds a reply. Only where a policy says so it swallows a piece, keeps one back, or ends the connection.
 * What it changes, it explains.
 */
import { bytes, concat } from '../base/bytes.ts'
import type { Duration, Instant } from '../base/time.ts'
import { Onlooker, type Said } from '../smtp/dialogue.ts'
import { CommandSide } from './command-side.ts'
import type { Situation } from './judge.ts'
import type { Policy } from './policy.ts'
import { Rates } from './rates.ts'
import { ReplySide } from './reply-side.ts'
import { Segment } from './segment.ts'
import { type Because, type Explanation, explain, type Judgement } from './verdict.ts'

export type Side = 'client' | 'server'

export type InspectorOutput =
  /** Sends it on, but not before that time, and nothing of that side before it. */
  | { readonly kind: 'forward'; readonly to: Side; readonly bytes: Uint8Array; readonly notBefore?: Instant }
  /** Something was altered, dropped, or only to be told. */
  | { readonly kind: 'altered'; readonly explanation: Explanation }
  /** Both connections end; nothing follows. */
  | { readonly kind: 'close'; readonly how: 'close' | 'reset' }

/** A connection on which nothing moves for this long is forgotten by its firewall (PIX: `timeout conn 1:00:00`). */
export const CONNECTION_IDLE: Duration = 3_600_000

export interface InspectorOptions extends Situation {
  /** Shared by the connections of a firewall; its own otherwise. */
  readonly rates?: Rates
}

export class Inspector {
  readonly #policy: Policy
  readonly #onlooker = new Onlooker()
  readonly #commands: CommandSide
  readonly #replies: ReplySide
  readonly #rates: Rates
  #now: Instant = 0
  #state: 'looking' | 'blind' | 'over' = 'looking'
  /** What a reply brought about; it is carried out with the segment the reply came in. */
  #caused: { readonly judgement: Judgement; readonly size: number } | undefined
  #tls = false

  constructor(policy: Policy, situation: InspectorOptions = {}) {
    this.#policy = policy
    this.#rates = situation.rates ?? new Rates()
    const rateOf = (because: Because, perSecond: number): Instant => this.#rates.take(because, perSecond, this.#now)
    this.#commands = new CommandSide(policy, this.#onlooker, { situation, rateOf })
    this.#replies = new ReplySide(policy, this.#onlooker, (asked, code) => this.#heard(asked, code))
  }

  /** Is the client in the middle of a message, whose octets are no commands? */
  get inBody(): boolean {
    return this.#commands.inBody
  }

  /** TLS has begun: nothing can be looked at any more. */
  get isBlind(): boolean {
    return this.#state === 'blind'
  }

  /** One segment from one side. Gives it back as one segment for the other, with what was done to it. */
  receive(from: Side, octets: Uint8Array, now: Instant = 0): readonly InspectorOutput[] {
    const to = from === 'server' ? 'client' : 'server'
    if (this.#state === 'over') return []
    if (this.#state === 'blind') return [{ kind: 'forward', to, bytes: octets }]
    this.#now = now
    const held = from === 'client' ? this.#commands.takeHeld() : undefined
    const segment = new Segment(held ? concat([held, octets]) : octets)
    if (from === 'server') this.#fromServer(segment)
    else this.#commands.receive(segment)
    const { told, stop, notBefore, after } = segment
    const outputs: InspectorOutput[] = []
    for (const explanation of told) outputs.push({ kind: 'altered', explanation })
    if (stop) {
      this.#state = 'over'
      outputs.push({ kind: 'close', how: stop })
    } else if (after) {
      outputs.push(
        notBefore === undefined
          ? { kind: 'forward', to, bytes: after }
          : { kind: 'forward', to, bytes: after, notBefore },
      )
    }
    return outputs
  }

  #fromServer(segment: Segment): void {
    this.#replies.receive(segment)
    if (this.#caused) {
      const { judgement, size } = this.#caused
      this.#caused = undefined
      const about = { what: 'reply', subject: 'INVALID-RECIPIENTS', line: segment.before, size } as const
      segment.heed(judgement, about, (because, perSecond) => this.#rates.take(because, perSecond, this.#now))
    }
    if (this.#tls) {
      this.#state = 'blind'
      segment.tell(this.#tlsStarted())
    }
  }

  #heard(asked: Said | undefined, code: number): void {
    const judgement = this.#commands.heard(asked, code)
    if (judgement) this.#caused ??= { judgement, size: this.#commands.invalidRecipients }
    if (asked === 'starttls' && code === 220) this.#tls = true
  }

  #tlsStarted(): Explanation {
    const { name, cause } = this.#policy
    const because = {
      policy: name,
      cause,
      reason: 'TLS has begun, and nobody between the two can look',
      log: true,
      label: '',
    }
    const octets = bytes('STARTTLS')
    return explain('tls', 'STARTTLS', { before: octets, after: octets }, because, { did: 'log' })
  }
}
