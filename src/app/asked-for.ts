/** Mail that waits to be asked for: by ETRN over a connection of ours, by TURN and ATRN over the asker's. */
import { lower } from '../base/bytes.ts'
import type { TlsFacts } from '../base/machine.ts'
import { now } from '../io/clock.ts'
import type { Channel } from '../io/sockets.ts'
import type { MtaConfig } from '../mta/config.ts'
import { type Hurried, hasWay } from '../mta/work.ts'
import { sameDomain } from '../smtp/address.ts'
import type { Answer, ServerOutput } from '../smtp/server.ts'
import { isTooSoon, type Outcome, type SpoolEntry } from '../spool/entry.ts'
import type { Claim } from '../spool/spool.ts'
import type { LinkState } from './link-state.ts'
import type { MtaWorld } from './mta-world.ts'
import type { Outgoing, Turning } from './outgoing.ts'
import { CLAIM } from './queue-work.ts'
import type { Underway } from './underway.ts'
import { words } from './words.ts'

/** What the server around it does for it. */
export interface AroundAsked {
  readonly routing: LinkState
  readonly outgoing: Outgoing
  readonly underway: Underway
  readonly begin: (claim: Claim, hurried: Hurried) => void
  readonly conclude: (claim: Claim, outcomes: ReadonlyMap<number, Outcome>) => Promise<unknown>
}

export class AskedFor {
  readonly #config: MtaConfig
  readonly #world: MtaWorld
  readonly #around: AroundAsked

  constructor(config: MtaConfig, world: MtaWorld, around: AroundAsked) {
    this.#config = config
    this.#world = world
    this.#around = around
  }

  /** RFC 1985 §5: what waits goes out by the usual way, over a connection of its own. */
  async etrn(node: string): Promise<Answer> {
    // Without a way there the mail would come back; it waits for TURN or ATRN instead.
    const isReached = (domain: string) =>
      hasWay(this.#around.routing.service, { to: { local: '', domain }, now: now() })
    const held = this.#config.turns.map(({ domain }) => domain).filter(domain => isMeant(node, domain))
    const domains = held.filter(isReached)
    if (domains.length === 0) return { no: 'etrn-refused' }
    const waiting = await this.#waitingFor(domains)
    if (waiting.length === 0) return { no: 'etrn-nothing' }
    const asked = new Set(domains.map(lower))
    for (const { id } of waiting) {
      const claim = await this.#world.spool.take(id, now(), now() + CLAIM)
      if (claim) this.#around.begin(claim, { asked })
    }
    return { yes: '' }
  }

  async mayTurn(domains: readonly string[], login: string): Promise<Answer> {
    const own = this.#domainsOf(login)
    const wanted = domains.length === 0 ? own : domains
    const allowed = wanted.every(domain => own.some(each => sameDomain(each, domain)))
    if (own.length === 0 || !allowed) return { no: 'turn-refused' }
    return (await this.#waitingFor(wanted)).length === 0 ? { no: 'turn-nothing' } : { yes: '' }
  }

  #domainsOf(login: string): readonly string[] {
    return this.#config.turns.filter(turn => turn.login === login).map(({ domain }) => domain)
  }

  async #waitingFor(domains: readonly string[]): Promise<readonly SpoolEntry[]> {
    const entries = await this.#world.spool.list()
    return entries.filter(
      entry =>
        entry.held === undefined &&
        !isTooSoon(entry, now()) &&
        entry.envelope.recipients.some(
          ({ to }, i) =>
            entry.recipients[i]?.kind === 'waiting' && domains.some(domain => sameDomain(domain, to.domain)),
        ),
    )
  }

  /** The roles are reversed: what waits goes out over this very connection (RFC 2645 §4). */
  turned(socket: Channel, { domains, login, rest, tls }: ServerOutput & { readonly kind: 'turned' }): void {
    const asked = domains.length === 0 ? this.#domainsOf(login) : domains
    const set = new Set(asked.map(lower))
    const sending = this.#sendTurned(socket, asked, { set, rest, tls }).catch(cause =>
      this.#world.events?.note?.(`sending to ${login} by TURN failed: ${words(cause)}`),
    )
    this.#around.underway.add(sending)
  }

  async #sendTurned(
    socket: Channel,
    domains: readonly string[],
    {
      set: asked,
      ...before
    }: { readonly set: ReadonlySet<string>; readonly rest: Uint8Array; readonly tls: TlsFacts | undefined },
  ): Promise<void> {
    const waiting = [...(await this.#waitingFor(domains))]
    const next = async (): Promise<Turning | undefined> => {
      for (let entry = waiting.shift(); entry; entry = waiting.shift()) {
        const claim = await this.#world.spool.take(entry.id, now(), now() + CLAIM)
        if (!claim) continue
        const recipients = claim.entry.envelope.recipients.flatMap(({ to }, i) =>
          claim.entry.recipients[i]?.kind === 'waiting' && asked.has(lower(to.domain)) ? [i] : [],
        )
        const done = (outcomes: ReadonlyMap<number, Outcome>) => this.#around.conclude(claim, outcomes)
        return { entry: claim.entry, recipients, done }
      }
      return undefined
    }
    await this.#around.outgoing.sendOver(socket, next, before)
  }
}

/** Is the domain what an ETRN argument means? `@domain` means all below it, too; `#` names a queue, and ours have domains' names. */
function isMeant(node: string, domain: string): boolean {
  const name = lower(node.replace(/^[@#]/, ''))
  return lower(domain) === name || (node.startsWith('@') && lower(domain).endsWith(`.${name}`))
}
