import { bytes, CR, concat, copy, LF } from '../base/bytes.ts'
import type { Instant } from '../base/time.ts'
import type { Because, Explanation, Judgement, What } from './verdict.ts'
import { explain } from './verdict.ts'

const NOTHING: readonly Explanation[] = []

/** A segment while it is judged: what becomes of it, and why. It starts as what it came as. */
export class Segment {
  readonly before: Uint8Array
  #after: Uint8Array
  #cuts: (readonly [from: number, to: number])[] | undefined
  #told: Explanation[] | undefined
  /** The connection ends here, and the segment does not go on. */
  stop: 'close' | 'reset' | undefined
  /** The segment waits until then. */
  notBefore: Instant | undefined

  constructor(before: Uint8Array) {
    this.before = before
    this.#after = before
  }

  /** What leaves; `undefined` where nothing is left of it. */
  get after(): Uint8Array | undefined {
    if (this.stop) return undefined
    if (!this.#cuts) return this.#after
    const parts: Uint8Array[] = []
    let at = 0
    for (const [from, to] of this.#cuts) {
      parts.push(this.#after.subarray(at, from))
      at = to
    }
    const left = concat([...parts, this.#after.subarray(at)])
    return left.length === 0 ? undefined : left
  }

  /** Puts octets over those that stand there: the length stays. */
  overwrite(at: number, octets: Uint8Array): void {
    if (at + octets.length > this.before.length) throw new Error('an in-place firewall changed a length')
    if (this.#after === this.before) this.#after = copy(this.before)
    this.#after.set(octets, at)
  }

  /** Takes octets out, which only a box that swallows pieces does. In the order of the segment. */
  cut(from: number, to: number): void {
    if (to <= from) return
    this.#cuts ??= []
    this.#cuts.push([from, to])
  }

  /** What there is to tell, in its order. */
  get told(): readonly Explanation[] {
    return this.#told ?? NOTHING
  }

  tell(explanation: Explanation): void {
    this.#told ??= []
    this.#told.push(explanation)
  }

  /**
   * Carries out what was decided about a line, as far as it means the same for all that can be judged: the log, the end of
   * the connection, waiting. Gives back whether the segment goes on.
   */
  heed(
    { verdict, logged }: Judgement,
    about: { readonly what: What; readonly subject: string; readonly line: Uint8Array; readonly size?: number },
    rateOf: (because: Because, perSecond: number) => Instant,
  ): boolean {
    if (verdict.kind === 'pass' && logged.length === 0) return true
    const { what, subject, size } = about
    const line = trimEnd(about.line)
    for (const because of logged) {
      this.tell(explain(what, subject, { before: line, after: line }, because, { did: 'log', size }))
    }
    switch (verdict.kind) {
      case 'pass':
      case 'mask':
      case 'discard':
      case 'hold':
        return true
      case 'rate-limit':
        this.notBefore = rateOf(verdict.because, verdict.perSecond)
        return true
      default: {
        // What only a proxy could do would be an open door if it were left out: the connection ends.
        const did = verdict.kind === 'reset' ? 'reset' : 'drop-connection'
        this.tell(explain(what, subject, { before: line, after: bytes('') }, verdict.because, { did, size }))
        this.stop = did === 'reset' ? 'reset' : 'close'
        return false
      }
    }
  }
}

/** The line without its end. */
export function trimEnd(line: Uint8Array): Uint8Array {
  const end = endOf(line)
  return end === line.length ? line : line.subarray(0, end)
}

/** Where the line's end begins. */
export function endOf(line: Uint8Array): number {
  let end = line.length
  while (end > 0 && (line[end - 1] === CR || line[end - 1] === LF)) end--
  return end
}
