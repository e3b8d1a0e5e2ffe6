import type { SpoolId } from '../spool/entry.ts'

/** A message to be tried again, and the next hop that is back. */
export interface Returned {
  readonly id: SpoolId
  readonly hop: string
}

/** How messages that wait were tried: by which way last, and who was away then. */
export class Tried {
  /** Message → recipient → the connector tried last. */
  readonly #ways = new Map<SpoolId, Map<number, string>>()
  /** Next hop → messages that wait because it was away, and the next hop of each, short of which it may be. */
  readonly #away = new Map<string, Map<SpoolId, string>>()
  /** Message → the next hops that were away when it was tried: many never come back, and are forgotten with it. */
  readonly #awayFrom = new Map<SpoolId, Set<string>>()

  /** Messages of which something is known. */
  get size(): number {
    return new Set([...this.#ways.keys(), ...this.#awayFrom.keys()]).size
  }

  by(id: SpoolId, recipient: number): string | undefined {
    return this.#ways.get(id)?.get(recipient)
  }

  /** `connector` undefined: no way was open. */
  note(id: SpoolId, recipients: readonly number[], connector: string | undefined): void {
    const ways = this.#ways.get(id) ?? new Map<number, string>()
    for (const recipient of recipients) {
      if (connector === undefined) ways.delete(recipient)
      else ways.set(recipient, connector)
    }
    if (ways.size > 0) this.#ways.set(id, ways)
    else this.#ways.delete(id)
  }

  /** `hop`: where it goes; `names`: who was tried on the way there. */
  wasAway(id: SpoolId, hop: string, names: readonly string[]): void {
    const from = this.#awayFrom.get(id) ?? new Set()
    this.#awayFrom.set(id, from)
    for (const name of names) {
      from.add(name)
      const waiting = this.#away.get(name) ?? new Map<SpoolId, string>()
      this.#away.set(name, waiting.set(id, hop))
    }
  }

  /** What another knows, by the next hops that fit. */
  adopt(before: Tried, fits: (hop: string) => boolean): void {
    for (const [id, ways] of before.#ways)
      for (const [recipient, name] of ways) if (fits(name)) this.note(id, [recipient], name)
    for (const [name, waiting] of before.#away)
      if (fits(name)) for (const [id, hop] of waiting) this.wasAway(id, hop, [name])
  }

  /** Who waited for a next hop that is back; they wait for it no more. */
  back(name: string): readonly Returned[] {
    const waited = [...(this.#away.get(name) ?? [])].map(([id, hop]): Returned => ({ id, hop }))
    for (const { id } of waited) {
      const from = this.#awayFrom.get(id)
      from?.delete(name)
      if (from?.size === 0) this.#awayFrom.delete(id)
    }
    this.#away.delete(name)
    return waited
  }

  /** It waits for nobody any more. */
  forget(id: SpoolId): void {
    this.#ways.delete(id)
    for (const hop of this.#awayFrom.get(id) ?? []) {
      const waiting = this.#away.get(hop)
      waiting?.delete(id)
      if (waiting?.size === 0) this.#away.delete(hop)
    }
    this.#awayFrom.delete(id)
  }
}
