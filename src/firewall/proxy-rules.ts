import { NO_BYTES } from '../base/bytes.ts'
import { type Reply, reply } from '../smtp/reply.ts'
import { type About, asksAbout, judge, type Situation, type Subject } from './judge.ts'
import type { Policy, Proxying, Settled } from './policy.ts'
import { type Because, type Explanation, explain, PASS, type Verdict, type What } from './verdict.ts'

/** A policy that a proxy can keep. */
export type ProxyPolicy = Policy & { readonly engine: Proxying }

/** What is refused, what is said of it, and why. Where a rule decided, the rule's words stand for ours. */
export interface Refusal {
  readonly reply: Reply
  readonly subject: string
  /** As the client said it; secrets left out. */
  readonly octets: Uint8Array
  readonly reason: string | Because
  readonly verdict: Verdict
}

export function refusal(
  subject: string,
  octets: Uint8Array,
  otherwise: Reply,
  reason: string | Because,
  verdict: Verdict = PASS,
): Refusal {
  return { reply: verdict.kind === 'answer' ? wordsOf(verdict) : otherwise, subject, octets, reason, verdict }
}

export function wordsOf({ reply: { code, status, text } }: Verdict & { readonly kind: 'answer' }): Reply {
  return reply(code, status, text)
}

/** What comes of asking. */
export interface Heed {
  tell(explanation: Explanation): void
  /** No more than so many a second are to pass of what this rule matched. */
  slow(because: Because, perSecond: number): void
}

/** The policy of one session: asked, cited, and everything it does told. */
export class Rules {
  readonly policy: ProxyPolicy
  readonly situation: Situation
  readonly #heed: Heed

  constructor(policy: ProxyPolicy, situation: Situation, heed: Heed) {
    this.policy = policy
    this.situation = situation
    this.#heed = heed
  }

  /** Whether a rule could ever speak of this: what nobody asks about need not be found out. */
  asksAbout(about: About): boolean {
    return asksAbout(this.policy, about)
  }

  judge(subject: Subject): Verdict {
    const { verdict, logged } = judge(this.policy, subject, this.situation)
    for (const because of logged) this.explain('command', '', { because, did: 'log' })
    if (verdict.kind !== 'rate-limit') return verdict
    // It passes, in its time.
    this.#heed.slow(verdict.because, verdict.perSecond)
    return PASS
  }

  /** The first of these that the policy has something against. */
  judgeAll(subjects: readonly Subject[]): Verdict {
    for (const subject of subjects) {
      const verdict = this.judge(subject)
      if (verdict.kind !== 'pass') return verdict
    }
    return PASS
  }

  /** What the proxy does whatever the rules say, by the line that settled it. */
  own(reason: string, by?: Settled): Because {
    const { name, cause, settled = {} } = this.policy
    return { policy: name, cause: (by && settled[by]) ?? cause, reason, log: false, label: '' }
  }

  explain(
    what: What,
    subject: string,
    {
      before = NO_BYTES,
      after = NO_BYTES,
      because,
      did,
    }: {
      readonly before?: Uint8Array
      readonly after?: Uint8Array
      readonly because: Because | string
      readonly did: Explanation['did']
    },
  ): void {
    const cited = typeof because === 'string' ? this.own(because) : because
    this.#heed.tell(explain(what, subject, { before, after }, cited, { did }))
  }
}
