import { domainKey } from '../smtp/address.ts'
import type { SpoolEntry, SpoolId } from '../spool/entry.ts'

/** Messages that are known to wait for one domain, whatever waits for others; of more the queue tells, when it is read. */
export const MOST_LISTED = 100_000

/** Entries read in one go; others are served between. */
const FEW = 50

/** What waits for one domain. */
interface Listed {
  /** In the order of their arrival, as a rule. */
  ids: Set<SpoolId>
  /** There was no room for others. */
  isMore: boolean
}

/** Where the entries are. */
interface Entries {
  /** All of them, the oldest first. */
  scan(): AsyncIterable<SpoolEntry>
  entry(id: SpoolId): SpoolEntry | undefined
}

/**
 * Which messages wait for some domains, so that who asks for them is answered without reading the queue: anybody may ask, and
 * as often as they like. What was there before is looked for once, when somebody asks for the first time; what changes is
 * told by the spool.
 */
export class SpoolAsked {
  readonly #entries: Entries
  readonly #most: number
  #waiting = new Map<string, Listed>()
  /** What was there is listed. */
  #filled: Promise<void> | undefined

  constructor(entries: Entries, { most = MOST_LISTED }: { readonly most?: number } = {}) {
    this.#entries = entries
    this.#most = most
  }

  watch(domains: Iterable<string>): void {
    const before = this.#waiting
    const all = [...domains].map(domain => [domain, before.get(domain)] as const)
    if (all.some(([, known]) => !known)) this.#filled = undefined
    this.#waiting = new Map(all.map(([domain, known]) => [domain, known ?? { ids: new Set(), isMore: false }]))
  }

  /** It came, or is otherwise now. */
  changed(entry: SpoolEntry): void {
    if (this.#waiting.size === 0) return
    const waits = waitsFor(entry)
    for (const domain of this.#domainsOf(entry)) {
      if (waits.has(domain)) this.#add(domain, entry.id)
      else this.#remove(domain, entry.id)
    }
  }

  gone(entry: SpoolEntry): void {
    if (this.#waiting.size > 0) for (const domain of this.#domainsOf(entry)) this.#remove(domain, entry.id)
  }

  async *waitingFor(domains: ReadonlySet<string>): AsyncIterable<SpoolEntry> {
    const isAll = await this.#isKnown(domains)
    const found = new Set<SpoolId>()
    yield* this.#listed(domains, found)
    if (isAll) return
    for await (const entry of this.#entries.scan())
      if (!found.has(entry.id) && [...waitsFor(entry)].some(domain => domains.has(domain))) yield entry
  }

  /** Notes what it found. */
  async *#listed(domains: ReadonlySet<string>, found: Set<SpoolId>): AsyncIterable<SpoolEntry> {
    let read = 0
    for (const domain of domains)
      for (const id of this.#waiting.get(domain)?.ids ?? []) {
        // Whoever asks may pass over all of them, and others are served meanwhile.
        if (++read % FEW === 0) await new Promise(resolve => setImmediate(resolve))
        if (found.has(id)) continue
        const entry = this.#entries.entry(id)
        // It went, or is just being changed: of that the spool tells.
        if (!entry) this.#remove(domain, id)
        if (!entry || !waitsFor(entry).has(domain)) continue
        // It may be listed for another, or anew.
        found.add(id)
        yield entry
      }
  }

  /** Is everything listed that waits for them? */
  async #isKnown(domains: ReadonlySet<string>): Promise<boolean> {
    const lists = [...domains].map(domain => this.#waiting.get(domain))
    for (const list of lists) {
      if (!list) return false
      // Those that had room are gone: the others may have it now.
      if (!list.isMore || list.ids.size > 0) continue
      list.isMore = false
      this.#filled = undefined
    }
    this.#filled ??= this.#fill()
    await this.#filled
    return lists.every(list => list?.isMore === false)
  }

  async #fill(): Promise<void> {
    try {
      for await (const entry of this.#entries.scan())
        for (const domain of waitsFor(entry)) if (this.#waiting.has(domain)) this.#add(domain, entry.id)
    } catch (cause) {
      this.#filled = undefined
      throw cause
    }
    // Ids sort by time of arrival, and what came meanwhile stands before what was there.
    for (const list of this.#waiting.values()) list.ids = new Set([...list.ids].sort())
  }

  #add(domain: string, id: SpoolId): void {
    const list = this.#waiting.get(domain)
    if (!list || list.ids.has(id)) return
    if (list.ids.size < this.#most) list.ids.add(id)
    else list.isMore = true
  }

  #remove(domain: string, id: SpoolId): void {
    this.#waiting.get(domain)?.ids.delete(id)
  }

  /** Those that are watched. */
  #domainsOf({ envelope: { recipients } }: SpoolEntry): ReadonlySet<string> {
    const domains = new Set<string>()
    for (const { to } of recipients) {
      const domain = domainKey(to.domain)
      if (this.#waiting.has(domain)) domains.add(domain)
    }
    return domains
  }
}

/** The domains of recipients who wait, as they are compared; none where an operator holds it. */
function waitsFor({ envelope, recipients, held }: SpoolEntry): ReadonlySet<string> {
  const domains = new Set<string>()
  if (held !== undefined) return domains
  for (const [i, { to }] of envelope.recipients.entries())
    if (recipients[i]?.kind === 'waiting') domains.add(domainKey(to.domain))
  return domains
}
