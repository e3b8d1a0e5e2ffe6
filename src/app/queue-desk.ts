/** Carries out what an operator asks of a queue: of a running server's, or of a spool that nobody uses. */
import type { Duration, Instant } from '../base/time.ts'
import { now } from '../io/clock.ts'
import type { MtaConfig } from '../mta/config.ts'
import { type MtaEvent, type OperatorVerb, sayNews } from '../mta/news.ts'
import { CHANGES, fits, isEverything, type Queued, type QueueFilter, type QueueVerb, removed } from '../mta/queue.ts'
import { hopFor, type Ways } from '../mta/work.ts'
import { isDone, type SpoolEntry, type SpoolId } from '../spool/entry.ts'
import { givenBack, type Spool } from '../spool/spool.ts'
import { Reports } from './reports.ts'

/** Messages told of at once where nothing else is asked; the rest is counted. More than these are retried by one order. */
export const LIST_LIMIT = 1_000
/** Messages changed together. */
const AT_ONCE = 1_000
/** A change is made at once; a claim for it need not last. */
const CLAIM: Duration = 30_000

export interface QueueRequest {
  readonly verb: Exclude<QueueVerb, 'check'>
  readonly filter: QueueFilter
  readonly limit?: number
  /** Change everything: an empty filter is no slip. */
  readonly all?: boolean
}

export interface QueueAnswer {
  readonly now: number
  /** How many there are, and how many are meant. */
  readonly total: number
  readonly meant: number
  readonly queued: readonly Queued[]
  /** Of `total`, those that the server has not read yet since it started. */
  readonly unread: number
  /** What was done to which, or why not; nothing where one order was given to all of `meant`. */
  readonly done: readonly { readonly id: string; readonly not?: string }[]
  /** The request cannot be carried out. */
  readonly wrong?: string
}

/** Which way mail goes now, and who is told that a queue changed. */
export interface Around {
  readonly ways: Ways
  readonly wake?: () => void
  /** Next hops that were away a moment ago are asked again at once. */
  readonly askAnyway?: () => void
  /** A message is gone from the queue. */
  readonly forget?: (id: SpoolId) => void
  readonly tell?: (event: MtaEvent) => void
}

export class QueueDesk {
  readonly #config: MtaConfig
  readonly #spool: Spool
  readonly #reports: Reports
  readonly #ways: Ways
  readonly #wake: () => void
  readonly #askAnyway: () => void
  readonly #forget: (id: SpoolId) => void
  readonly #tell: ((event: MtaEvent) => void) | undefined

  constructor(config: MtaConfig, spool: Spool, around: Around) {
    const { ways, wake = () => {}, askAnyway = () => {}, forget = () => {}, tell } = around
    this.#config = config
    this.#ways = ways
    this.#spool = spool
    this.#reports = new Reports(config, spool)
    this.#wake = wake
    this.#askAnyway = askAnyway
    this.#forget = forget
    this.#tell = tell
  }

  async ask({ verb, filter, limit = LIST_LIMIT, all = false }: QueueRequest): Promise<QueueAnswer> {
    const at = now()
    const looks = verb === 'list' || verb === 'show' || verb === 'explain' || verb === 'history'
    const { count: total, unread } = this.#spool
    const answer = { now: at, total, unread, meant: 0, queued: [], done: [] }
    if (!looks && isEverything(filter) && !all) return { ...answer, wrong: 'which messages? (--all means every one)' }
    if (verb === 'retry' && isEverything(filter) && total > LIST_LIMIT)
      return { ...answer, meant: await this.#hasten(at) }
    const queued: Queued[] = []
    const ids: string[] = []
    const isAll = looks && isEverything(filter)
    for await (const entry of this.#spool.scan()) {
      // How many there are is known.
      if (isAll && queued.length >= limit) break
      const each = this.#queued(entry)
      if (!fits(each, filter, at)) continue
      ids.push(entry.id)
      if (looks && queued.length < limit) queued.push(each)
    }
    for (const id of verb === 'list' || !looks ? [] : (filter.ids ?? [])) {
      const entry = ids.includes(id) ? undefined : await this.#spool.gone(id)
      if (entry) queued.push({ ...this.#queued(entry), gone: true })
    }
    if (looks) return { ...answer, meant: isAll ? answer.total : Math.max(ids.length, queued.length), queued }
    if (verb === 'retry') this.#askAnyway()
    const done: { id: string; not?: string }[] = []
    for (let i = 0; i < ids.length; i += AT_ONCE) {
      // Together they are one flush of the disk, or a few.
      const group = ids.slice(i, i + AT_ONCE).map(async id => ({ id, not: await this.#change(id, verb) }))
      for (const { id, not } of await Promise.all(group)) done.push({ id, ...(not !== undefined && { not }) })
      this.#wake()
    }
    return { ...answer, meant: ids.length, done }
  }

  /** All of a long queue, by one order. */
  async #hasten(at: Instant): Promise<number> {
    this.#askAnyway()
    const what = sayNews({ kind: 'operated', verb: 'retry' })
    const ordered = this.#spool.hasten({ at, what })
    this.#wake()
    const count = await ordered
    this.#tell?.({ kind: 'note', what: `all ${count} messages that wait are ${what}` })
    return count
  }

  #queued(entry: SpoolEntry): Queued {
    const at = now()
    return {
      entry,
      hops: entry.envelope.recipients.map(({ to }) => hopFor(this.#config, this.#ways, { entry, to, now: at })),
    }
  }

  /** Why it was not done; nothing when it was. */
  async #change(id: string, verb: OperatorVerb): Promise<string | undefined> {
    const at = now()
    const claim = await this.#spool.take(id, at, at + CLAIM)
    if (!claim) return 'it is being tried just now, or is gone'
    if (verb === 'remove') {
      await this.#spool.remove(claim, { last: removed(claim.entry, at) })
      this.#forget(id)
      this.#tell?.({ kind: 'message', entry: claim.entry, news: { kind: 'operated', verb } })
      return undefined
    }
    const next = CHANGES[verb](claim.entry, at)
    if ('not' in next) {
      await givenBack(this.#spool, claim)
      return next.not
    }
    this.#tell?.({ kind: 'message', entry: next, news: { kind: 'operated', verb } })
    if (!isDone(next)) {
      await this.#spool.update(claim, next)
      return undefined
    }
    const { entry, news, report } = await this.#reports.told(next, 'end', at)
    await this.#spool.remove(claim, { last: entry, report })
    this.#forget(id)
    if (news) this.#tell?.({ kind: 'message', entry, news })
    return undefined
  }
}
