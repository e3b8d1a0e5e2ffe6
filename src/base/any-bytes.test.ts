/** Octets for property tests, and ways to cut them. The name keeps it out of the published package. */
import fc from 'fast-check'
import { bytes, concat } from './bytes.ts'

/** The same runs every time: a property that fails must fail for everybody. */
export function runs(numRuns: number): { readonly seed: number; readonly numRuns: number } {
  return { seed: 20_010_929, numRuns }
}

/** Octets of these words and of anything else, so that a machine gets beyond its first refusal. */
export function anyOctets(...words: readonly string[]): fc.Arbitrary<Uint8Array> {
  const word = fc.constantFrom(...words).map(bytes)
  const noise = fc.uint8Array({ maxLength: 6 })
  return fc
    .array(fc.oneof({ arbitrary: word, weight: 12 }, { arbitrary: noise, weight: 1 }), { maxLength: 40 })
    .map(concat)
}

/** Where to cut: as shares of the whole, so that shrinking keeps them sensible. */
export const anyCuts: fc.Arbitrary<readonly number[]> = fc.array(fc.nat(1000), { maxLength: 12 })

/** The pieces, none of them empty, each with memory of its own. */
export function cut(whole: Uint8Array, cuts: readonly number[]): readonly Uint8Array[] {
  const places = cuts.map(share => Math.floor((share * whole.length) / 1000)).toSorted((a, b) => a - b)
  const pieces: Uint8Array[] = []
  let from = 0
  for (const to of [...places, whole.length]) {
    if (to > from) pieces.push(whole.slice(from, to))
    from = Math.max(from, to)
  }
  return pieces
}

/** One octet in each piece. */
export function singly(whole: Uint8Array): readonly Uint8Array[] {
  return Array.from(whole, octet => Uint8Array.of(octet))
}
