/** The MTA-STS policies of domains: asked for, remembered as long as they say, and kept over a restart. */
import { Expiring } from '../base/expiring.ts'
import type { Duration, Instant } from '../base/time.ts'
import { now } from '../io/clock.ts'
import { keepJson, readJson } from '../io/files.ts'
import { fetchPolicy, type PolicyPlace } from '../io/policy.ts'
import type { Resolver } from '../mta/resolver.ts'
import { parseStsPolicy, type StsPolicy, stsId } from '../mta/sts.ts'
import { domainKey } from '../smtp/address.ts'
import { words } from './words.ts'

/** Domains whose policies are remembered; the oldest go where there are more. */
export const MOST_POLICIES = 10_000
/** So long nobody asks again for a policy that could not be had (RFC 8461 §3.3). */
export const FAILED_FOR: Duration = 300_000
/** So old a policy is fetched again, long before it ends: whoever keeps it from us then gains nothing (RFC 8461 §10.2). */
export const RENEW_AFTER: Duration = 86_400_000
/** So long after the last mail that went by it; then it may end. */
export const RENEW_FOR: Duration = 30 * 86_400_000
/** How often it is looked for such policies. */
export const LOOK_FOR_OLD: Duration = 3_600_000

interface Known {
  readonly id: string
  readonly policy: StsPolicy
  readonly until: Instant
  /** When mail went by it last, as far as was written down. */
  used: Instant
}

export interface StsWorld {
  readonly resolver: Resolver
  readonly note?: (what: string) => void
  /** Where policies are kept over a restart. */
  readonly file?: string
  readonly fetch?: (place: PolicyPlace) => Promise<string>
}

export class StsPolicies {
  readonly #world: StsWorld
  #known = new Map<string, Known>()
  readonly #failed = new Expiring<true>(MOST_POLICIES)
  #timer: NodeJS.Timeout | undefined
  #isStopped = false
  /** Looking for old ones: what is fetched meanwhile is written down together. */
  #renewing: { isDirty: boolean } | undefined
  /** Under way: who wants the same waits for the same. */
  readonly #asking = new Map<string, Promise<StsPolicy | undefined>>()

  constructor(world: StsWorld) {
    this.#world = world
    if (world.file !== undefined) this.#known = readKnown(readJson(world.file))
  }

  /** From now on policies are renewed, whether or not mail goes by them. */
  start(): void {
    this.#timer ??= setInterval(() => void this.renewAll(), LOOK_FOR_OLD).unref()
  }

  stop(): void {
    clearInterval(this.#timer)
    this.#isStopped = true
  }

  /** Fetches again what is old, one after the other: a domain to which nothing is sent for a while keeps its policy. */
  async renewAll(): Promise<void> {
    if (this.#renewing) return
    const renewing = { isDirty: false }
    this.#renewing = renewing
    for (const [name, known] of [...this.#known]) {
      if (this.#isStopped) break
      const at = now()
      if (at >= known.until) this.#known.delete(name)
      else if (isOld(known, at) && at < known.used + RENEW_FOR) {
        const id = await this.#idOf(name)
        if (id !== undefined) await this.#renew(name, id)
      }
    }
    this.#renewing = undefined
    if (renewing.isDirty) this.#write()
  }

  async #idOf(name: string): Promise<string | undefined> {
    const answer = await this.#world.resolver.resolve(`_mta-sts.${name}`, 'TXT')
    return answer.kind === 'found' ? stsId(answer.records) : undefined
  }

  /** The policy that binds mail for this domain now. */
  async of(domain: string): Promise<StsPolicy | undefined> {
    const name = domainKey(domain)
    const id = await this.#idOf(name)
    const known = this.#known.get(name)
    if (known) known.used = now()
    const isCurrent = known !== undefined && now() < known.until
    // Without a record, or without an answer, what was promised holds on: who can take it away must gain nothing.
    if (id === undefined) return isCurrent ? known.policy : undefined
    if (isCurrent && known.id === id) {
      // It is good for this message; nobody waits for the next.
      if (isOld(known, now())) void this.#renew(name, id)
      return known.policy
    }
    return (await this.#renew(name, id)) ?? (isCurrent ? known.policy : undefined)
  }

  async #renew(name: string, id: string): Promise<StsPolicy | undefined> {
    if (this.#failed.get(name, now())) return undefined
    const asking = this.#asking.get(name) ?? this.#ask(name, id).finally(() => this.#asking.delete(name))
    this.#asking.set(name, asking)
    return asking
  }

  async #ask(name: string, id: string): Promise<StsPolicy | undefined> {
    const fresh = await this.#fetch(name)
    const at = now()
    const used = this.#known.get(name)?.used ?? at
    if (fresh) this.#keep(name, { id, policy: fresh, until: at + fresh.maxAge, used })
    return fresh
  }

  async #fetch(domain: string): Promise<StsPolicy | undefined> {
    const host = `mta-sts.${domain}`
    const { resolver, fetch = fetchPolicy } = this.#world
    try {
      const answers = await Promise.all([resolver.resolve(host, 'AAAA'), resolver.resolve(host, 'A')])
      const addresses = answers.flatMap(each => (each.kind === 'found' ? each.records : []))
      const policy = parseStsPolicy(await fetch({ host, path: '/.well-known/mta-sts.txt', addresses }))
      if (!('wrong' in policy)) return policy
      throw new Error(policy.wrong)
    } catch (cause) {
      this.#failed.set(domain, true, now() + FAILED_FOR)
      this.#world.note?.(`the MTA-STS policy of ${domain} cannot be had: ${words(cause)}`)
      return undefined
    }
  }

  #keep(name: string, known: Known): void {
    this.#known.delete(name)
    this.#known.set(name, known)
    if (this.#renewing) this.#renewing.isDirty = true
    else this.#write()
  }

  #write(): void {
    const { file, note } = this.#world
    // Who was in force before a reload still sends, and learns: neither may undo what the other wrote.
    if (file !== undefined) this.#learn(readKnown(readJson(file)))
    for (const oldest of this.#known.keys()) {
      if (this.#known.size <= MOST_POLICIES) break
      this.#known.delete(oldest)
    }
    if (file === undefined) return
    try {
      keepJson(file, Object.fromEntries(this.#known))
    } catch (cause) {
      note?.(`MTA-STS policies cannot be kept: ${words(cause)}`)
    }
  }

  /** What somebody else knows, where it is newer. */
  #learn(others: ReadonlyMap<string, Known>): void {
    for (const [name, other] of others) {
      const known = this.#known.get(name)
      if (now() < other.until && (!known || bornOf(other) > bornOf(known))) this.#known.set(name, other)
    }
  }
}

/** When it was fetched. */
function bornOf({ policy, until }: Omit<Known, 'used'>): Instant {
  return until - policy.maxAge
}

function isOld(known: Known, at: Instant): boolean {
  return at >= bornOf(known) + Math.min(RENEW_AFTER, known.policy.maxAge / 2)
}

/** What was kept, as far as it makes sense: the rest is asked for again. */
function readKnown(kept: unknown): Map<string, Known> {
  const known = new Map<string, Known>()
  if (typeof kept !== 'object' || kept === null) return known
  for (const [name, value] of Object.entries(kept as Readonly<Record<string, Partial<Known>>>)) {
    const { id, policy, until, used } = value ?? {}
    const isPolicy = policy && ['enforce', 'testing', 'none'].includes(policy.mode) && Array.isArray(policy.mx)
    if (typeof id !== 'string' || !isPolicy || typeof policy.maxAge !== 'number' || typeof until !== 'number') continue
    if (policy.mx.every(each => typeof each === 'string')) {
      const kept = { id, policy, until }
      known.set(name, { ...kept, used: typeof used === 'number' ? used : bornOf(kept) })
    }
  }
  return known
}
