/** Both sides of a box in one capture: which connection behind it belongs to which before it. */
import type { FarRecord } from './far-side.ts'
import type { Exchange } from './observation.ts'

/** What is known of a connection wherever it was captured. */
export interface Side {
  readonly client: string
  readonly server: string
  readonly port: number
  /** Milliseconds since 1970. */
  readonly from: number
  readonly to: number
  readonly exchanges: readonly Exchange[]
}

/** Clocks of two interfaces, and the time a box takes. */
const SLACK = 2_000

/**
 * Pairs that are one dialogue: the one behind begins within the one before, and its words are the same, or of the same
 * lengths. A connection that fits several belongs to the one it fits best.
 */
export function sidesOf<S extends Side>(sides: readonly S[]): readonly { readonly near: S; readonly far: S }[] {
  const found: { readonly near: S; readonly far: S; readonly score: number }[] = []
  for (const near of sides) {
    for (const far of sides) {
      if (near === far || far.from < near.from || far.from > near.to + SLACK) continue
      // The same ends at the same place are one connection after the other; at another place they are one and the same.
      if (near.client === far.client && near.server === far.server && near.port === far.port) continue
      const score = likeness(near.exchanges, far.exchanges)
      if (score >= 0.8) found.push({ near, far, score })
    }
  }
  const taken = new Set<S>()
  return found
    .toSorted((a, b) => b.score - a.score || a.far.from - a.near.from - (b.far.from - b.near.from))
    .filter(({ near, far }) => {
      if (taken.has(near) || taken.has(far)) return false
      taken.add(near).add(far)
      return true
    })
    .map(({ near, far }) => ({ near, far }))
}

/** The share of exchanges that are the same, or of the same length, in both directions. */
function likeness(near: readonly Exchange[], far: readonly Exchange[]): number {
  const count = Math.max(near.length, far.length)
  if (count < 2 || Math.min(near.length, far.length) < count - 2) return 0
  let alike = 0
  for (const [i, a] of near.entries()) {
    const b = far[i]
    if (!b) continue
    const length = (lines: readonly string[]) => lines.reduce((sum, line) => sum + line.length + 2, 0)
    if (a.said.length === b.said.length) alike += 0.5
    if (length(a.heard) === length(b.heard) || a.heard.join('\n') === b.heard.join('\n')) alike += 0.5
  }
  return alike / count
}

/** What was heard behind the box, as the far side's record of it. */
export function recordOf(exchanges: readonly Exchange[]): FarRecord {
  return { steps: exchanges.map(({ said, heard }) => ({ arrived: said, answered: heard })) }
}
