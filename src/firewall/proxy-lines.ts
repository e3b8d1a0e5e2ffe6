import { CR, DOT, LF, SP } from '../base/bytes.ts'

/** A line that is longer than so many octets, as far as it has come. */
export interface LongLine {
  /** Octets without CR LF. */
  readonly length: number
  readonly isWhole: boolean
  /** Its last octet is a dot, but for blanks behind it: some servers do not see those. */
  readonly endsInDot: boolean
}

const TAB = 0x09

/** Finds the lines of a stream that are longer than `over` octets. Those that are not cost next to nothing. */
export class LongLines {
  readonly #over: number
  #length = 0
  #endsInCr = false
  #endsInDot = false

  constructor(over: number) {
    this.#over = over
  }

  /** A line under way is told with every piece that makes it longer still. */
  push(chunk: Uint8Array): readonly LongLine[] {
    const found: LongLine[] = []
    for (let from = 0; from < chunk.length; ) {
      // An LF up to here ends a line that is short enough, and so is every one before it.
      const reach = from + this.#over + 1 - this.#length
      const near = reach < from ? -1 : chunk.lastIndexOf(LF, Math.min(reach, chunk.length - 1))
      const lf = near < from ? chunk.indexOf(LF, Math.max(from, reach + 1)) : near
      const end = lf < 0 ? chunk.length : lf
      if (near < from) {
        this.#grow(chunk, from, end)
        const line = this.#line(lf >= 0)
        if (line) found.push(line)
      }
      if (lf >= 0) this.#length = 0
      from = end + 1
    }
    return found
  }

  /** The stream is over: the line under way has no other end. */
  end(): LongLine | undefined {
    return this.#line(true)
  }

  #line(isWhole: boolean): LongLine | undefined {
    const length = this.#length - (this.#endsInCr ? 1 : 0)
    return length > this.#over ? { length, isWhole, endsInDot: this.#endsInDot } : undefined
  }

  #grow(chunk: Uint8Array, from: number, end: number): void {
    if (this.#length === 0) this.#endsInDot = this.#endsInCr = false
    this.#length += end - from
    if (end > from) this.#endsInCr = chunk[end - 1] === CR
    for (let at = end - 1; at >= from; at--) {
      const octet = chunk[at]
      if (octet === SP || octet === TAB || octet === CR) continue
      this.#endsInDot = octet === DOT
      return
    }
  }
}
