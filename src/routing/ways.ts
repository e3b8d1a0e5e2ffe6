import { readWords, WORDS } from './guid-index.ts'
import { type ConnectorState, type GroupState, NO_SIZE } from './link-state.ts'
import { NO_RESTRICTIONS } from './orginfo.ts'

/** A table may say any number; more than this is as far as anything can be. */
export const MAX_COST = 65_535

/**
 * The ways of one group to others, in numbers. They are made once for each state, as a rule when it is taken from a frame and
 * its texts are at hand: routes over 10,000 groups are then found without looking at a text again.
 */
export interface Ways {
  /** The group's own GUID, and then of each way the four words of the other's, cost, place of the connector, and flags. */
  readonly numbers: readonly number[]
  /** Does it have a way that leads to no GUID? */
  readonly isLoose: boolean
  /** Does it have a way that leads to no group: an address space, or what is not routed by? */
  readonly isLeaving: boolean
}

/** Numbers of one way, and where in them stand what is no GUID. */
export const WAY: number = WORDS + 3
export const WAY_COST: number = WORDS
export const WAY_PLACE: number = WORDS + 1
export const WAY_FLAGS: number = WORDS + 2
export const UP = 1
export const PICKY = 2

const made = new WeakMap<GroupState, Ways>()

export function waysOf(state: GroupState): Ways {
  const known = made.get(state)
  if (known) return known
  const ways = makeWays(state)
  made.set(state, ways)
  return ways
}

function makeWays({ group, connectors }: GroupState): Ways {
  // A short list of small numbers lies beside its length; a typed array of that size lies elsewhere.
  const numbers: number[] = []
  const words = new Int32Array(WORDS)
  // What is no GUID is found by nobody: no frame holds such a group.
  readWords(group, words)
  push(numbers, words)
  let [isLoose, isLeaving] = [false, false]
  for (const [place, connector] of connectors.entries()) {
    const flags = (connector.state === 'up' ? UP : 0) | (isPicky(connector) ? PICKY : 0)
    for (const { type, value, cost } of connector.arrows) {
      if (type !== 'RG') isLeaving = true
      else if (readWords(value, words)) {
        push(numbers, words)
        // In the order of `WAY_COST`, `WAY_PLACE`, `WAY_FLAGS`.
        numbers.push(Math.min(cost, MAX_COST), place, flags)
      } else isLoose = true
    }
  }
  return { numbers, isLoose, isLeaving }
}

function push(numbers: number[], words: Int32Array): void {
  for (let i = 0; i < WORDS; i++) numbers.push(words[i] ?? 0)
}

/** Does a connector not take every letter? */
export function isPicky({ sizeLimit, restrictions }: ConnectorState): boolean {
  if (sizeLimit !== NO_SIZE) return true
  return restrictions !== NO_RESTRICTIONS && restrictions.some(names => names.length > 0)
}
