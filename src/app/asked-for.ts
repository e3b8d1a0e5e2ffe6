/** Mail that waits to be asked for: by ETRN over a connection of ours, by TURN and ATRN over the asker's. */
import type { TlsFacts } from '../base/machine.ts'
import type { Duration } from '../base/time.ts'
import { now } from '../io/clock.ts'
import type { Channel } from '../io/sockets.ts'
import type { MtaConfig } from '../mta/config.ts'
import { type Hurried, hasWay } from '../mta/work.ts'
import { domainKey } from '../smtp/address.ts'
import type { Answer, ServerOutput } from '../smtp/server.ts'
import { isTooSoon, type Outcome, type SpoolEntry, type SpoolId } from '../spool/entry.ts'
import { type Claim, givenBack } from '../spool/spool.ts'
import type { LinkState } from './link-state.ts'
import type { MtaWorld } from './mta-world.ts'
import type { Outgoing, Turning } from './outgoing.ts'
import { CLAIM } from './queue-work.ts'
import type { Underway } from './underway.ts'
import { words } from './words.ts'

/** So long after an ETRN the same does nothing new: anybody may say it, and each has all that waits tried. */
export const ETRN_PAUSE: Duration = 10_000

/** What the server around it does for it. */
export interface AroundAsked {
  readonly routing: LinkState
  readonly outgoing: Outgoing
  readonly underway: Underway
  /** It is tried before it is due, once there is room for it. */
  readonly hurry: (id: SpoolId, hurried: Hurried) => void
  readonly conclude: (claim: Claim, outcomes: ReadonlyMap<number, Outcome>) => Promise<unknown>
}

export class AskedFor {
  readonly #config: MtaConfig
  readonly #world: MtaWorld
  readonly #around: AroundAsked
  /** Those that wait until they are asked for, as domains are compared. */
  readonly #domains: readonly string[]
  /** What is being looked for in the queue for ETRN, or was a moment ago. */
  readonly #hurrying = new Set<string>()

  constructor(config: MtaConfig, world: MtaWorld, around: AroundAsked) {
    this.#config = config
    this.#world = world
    this.#around = around
    this.#domains = config.turns.map(({ domain }) => domainKey(domain))
    world.spool.watch(this.#domains)
  }

  /** RFC 1985 §5: what waits goes out by the usual way, over a connection of its own. */
  async etrn(node: string): Promise<Answer> {
    // Without a way there the mail would come back; it waits for TURN or ATRN instead.
    const isReached = (domain: string) =>
      hasWay(this.#around.routing.service, { to: { local: '', domain }, now: now() })
    const asked = new Set(meant(this.#domains, node).filter(isReached))
    if (asked.size === 0) return { no: 'etrn-refused' }
    if (!(await this.#isAnythingFor(asked))) return { no: 'etrn-nothing' }
    this.#hurryAll(asked)
    return { yes: '' }
  }

  /** Anybody may ask, as often as they like: the queue is read for it once at a time. */
  #hurryAll(asked: ReadonlySet<string>): void {
    const key = [...asked].join(' ')
    if (this.#hurrying.has(key)) return
    this.#hurrying.add(key)
    const hurrying = (async () => {
      for await (const { id } of this.#waitingFor(asked)) {
        if (this.#isOver) break
        this.#around.hurry(id, { asked })
      }
    })()
    const done = hurrying
      .catch(cause => this.#world.events?.note?.(`what ETRN asked for cannot be read: ${words(cause)}`))
      .finally(() => setTimeout(() => this.#hurrying.delete(key), ETRN_PAUSE).unref())
    this.#around.underway.add(done)
  }

  /** Is the server being stopped? After a reload who is here stays. */
  get #isOver(): boolean {
    const { isStopped, isRetired } = this.#around.underway
    return isStopped && !isRetired
  }

  async mayTurn(domains: readonly string[], login: string): Promise<Answer> {
    const own = this.#domainsOf(login)
    const wanted = domains.length === 0 ? own : domains
    const [keys, asked] = [new Set(own.map(domainKey)), new Set(wanted.map(domainKey))]
    if (own.length === 0 || ![...asked].every(each => keys.has(each))) return { no: 'turn-refused' }
    return (await this.#isAnythingFor(asked)) ? { yes: '' } : { no: 'turn-nothing' }
  }

  #domainsOf(login: string): readonly string[] {
    return this.#config.turns.filter(turn => turn.login === login).map(({ domain }) => domain)
  }

  async #isAnythingFor(asked: ReadonlySet<string>): Promise<boolean> {
    for await (const _found of this.#waitingFor(asked)) return true
    return false
  }

  /** What is found may be somebody else's, or held, by the time it is taken. */
  async *#waitingFor(asked: ReadonlySet<string>): AsyncGenerator<SpoolEntry, undefined> {
    for await (const entry of this.#world.spool.waitingFor(asked)) if (whoWaits(entry, asked).length > 0) yield entry
  }

  /** The roles are reversed: what waits goes out over this very connection (RFC 2645 §4). */
  turned(socket: Channel, { domains, login, rest, tls }: ServerOutput & { readonly kind: 'turned' }): void {
    const asked = domains.length === 0 ? this.#domainsOf(login) : domains
    const sending = this.#sendTurned(socket, new Set(asked.map(domainKey)), { rest, tls }).catch(cause =>
      this.#world.events?.note?.(`sending to ${login} by TURN failed: ${words(cause)}`),
    )
    this.#around.underway.add(sending)
  }

  async #sendTurned(
    socket: Channel,
    asked: ReadonlySet<string>,
    before: { readonly rest: Uint8Array; readonly tls: TlsFacts | undefined },
  ): Promise<void> {
    const waiting = this.#waitingFor(asked)
    const next = async (): Promise<Turning | undefined> => {
      if (this.#isOver) return undefined
      for (let found = await waiting.next(); !found.done; found = await waiting.next()) {
        const claim = await this.#world.spool.take(found.value.id, now(), now() + CLAIM)
        if (!claim) continue
        const recipients = whoWaits(claim.entry, asked)
        if (recipients.length === 0) {
          await givenBack(this.#world.spool, claim)
          continue
        }
        const done = (outcomes: ReadonlyMap<number, Outcome>) => this.#around.conclude(claim, outcomes)
        return { entry: claim.entry, recipients, done }
      }
      return undefined
    }
    await this.#around.outgoing.sendOver(socket, next, before)
  }
}

/** Its recipients for whom may be asked: nobody's where an operator holds it, or its sender said that it is not to go yet. */
function whoWaits(entry: SpoolEntry, asked: ReadonlySet<string>): readonly number[] {
  if (entry.held !== undefined || isTooSoon(entry, now())) return []
  return entry.envelope.recipients.flatMap(({ to }, i) =>
    entry.recipients[i]?.kind === 'waiting' && asked.has(domainKey(to.domain)) ? [i] : [],
  )
}

/** Those that an ETRN argument means: `@domain` means all below it, too; `#` names a queue, and ours have domains' names. */
function meant(domains: readonly string[], node: string): readonly string[] {
  const name = domainKey(node.replace(/^[@#]/, ''))
  return domains.filter(own => own === name || (node.startsWith('@') && own.endsWith(`.${name}`)))
}
