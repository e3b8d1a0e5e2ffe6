import { domainKey } from '../smtp/address.ts'
import { spacesOver } from './connector.ts'
import type { Graph } from './graph.ts'
import { type GroupState, type Guid, type LinkStateTable, textIn } from './link-state.ts'
import { MAX_COST } from './ways.ts'

/** A connector's way to the addresses of a space, wherever the connector stands. */
export interface Exit {
  readonly group: Guid
  /** Place of the connector in its group. */
  readonly place: number
  readonly cost: number
}

/** An exit, and the address space by which it fits. */
export interface Match {
  readonly space: string
  readonly exit: Exit
}

/** All address spaces of a table. Follows a newer table by what changed. */
export class Exits {
  readonly #spaces = new Map<string, Exit[]>()
  #indexed: LinkStateTable = []

  /** Takes the exits of groups that changed or came, and drops those of groups that changed or went. */
  update({ table: now, leaving }: Pick<Graph, 'table' | 'leaving'>): void {
    const before = this.#indexed
    for (let i = 0, j = 0; i < before.length || j < now.length; ) {
      const [a, b] = [before[i], now[j]]
      const isGone = a !== undefined && a !== b && (!b || a.group <= b.group)
      const isNew = b !== undefined && a !== b && (!a || b.group <= a.group)
      if (isGone) this.#drop(a)
      // Most groups have no space, and are not looked into again.
      if (isNew && leaving[j] === 1) this.#index(b)
      if (isGone || a === b) i++
      if (isNew || a === b) j++
    }
    this.#indexed = now
  }

  #index({ group, connectors }: GroupState): void {
    for (const [place, { arrows }] of connectors.entries()) {
      for (const { type, value, cost } of arrows) {
        if (type !== 'SMTP') continue
        const exit = { group, place, cost: Math.min(cost, MAX_COST) }
        const space = spaceKey(value)
        const there = this.#spaces.get(space)
        if (there) there.push(exit)
        else this.#spaces.set(space, [exit])
      }
    }
  }

  #drop({ group, connectors }: GroupState): void {
    const arrows = connectors.flatMap(each => each.arrows).filter(({ type }) => type === 'SMTP')
    for (const space of new Set(arrows.map(({ value }) => spaceKey(value)))) {
      const left = this.#spaces.get(space)?.filter(each => each.group !== group) ?? []
      if (left.length > 0) this.#spaces.set(space, left)
      else this.#spaces.delete(space)
    }
  }

  /** What fits a domain, the most specific first. */
  matching(domain: string): readonly Match[] {
    const found: Match[] = []
    for (const space of spacesOver(domain)) {
      for (const exit of this.#spaces.get(space) ?? []) found.push({ space, exit })
    }
    return found
  }
}

function spaceKey(value: string): string {
  return domainKey(textIn(value))
}
