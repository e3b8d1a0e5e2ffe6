import { CR, concat, copy, LF, NO_BYTES } from '../base/bytes.ts'

/** One line as it came: its bytes without the ending, and how it ended. Nothing is lost by reading it. */
export interface Line {
  readonly bytes: Uint8Array
  /** `none`: the stream ended, or the segment did, before the line was over. */
  readonly ending: 'crlf' | 'lf' | 'none'
}

/** What was understood, and the lines it was understood from. Whoever stands in the middle forwards the lines. */
export interface Heard<T> {
  readonly value: T
  readonly lines: readonly Line[]
}

/**
 * Cuts a stream into lines for an endpoint, and hands out raw octets where a body follows.
 *
 * A line longer than the limit is drained to its end without being kept, and reported once as `overlong`, so that a
 * peer who never ends a line costs a constant.
 */
export class LineSplitter {
  #held: Uint8Array = NO_BYTES
  /** Where in `#held` the octets begin that were not handed out yet. */
  #from = 0
  /** How far `#held` was searched for a line end already: each octet is looked at once. */
  #searched = 0
  #draining = false
  /** Is what is held ours, or still in the memory that it came in? */
  #isOwn = true

  push(bytes: Uint8Array): void {
    this.#isOwn = this.size > 0
    if (this.#isOwn) this.#hold(concat([this.#rest(), bytes]))
    else {
      this.#hold(bytes)
      this.#searched = 0
    }
  }

  /** What was pushed and is still here is kept from now on: whoever pushed it may use its memory again. */
  keep(): void {
    if (!this.#isOwn) this.#hold(this.size > 0 ? copy(this.#rest()) : NO_BYTES)
    this.#isOwn = true
  }

  #rest(): Uint8Array {
    return this.#from === 0 ? this.#held : this.#held.subarray(this.#from)
  }

  /** In the place of the rest; as much of it was searched as before. */
  #hold(octets: Uint8Array): void {
    this.#held = octets
    this.#searched -= this.#from
    this.#from = 0
  }

  /** Octets that came and were not handed out yet. */
  get size(): number {
    return this.#held.length - this.#from
  }

  /** Is the line under way longer than its limit already? What comes of it is not kept. */
  get isOverlong(): boolean {
    return this.#draining
  }

  /** The next octet, left where it is. */
  get first(): number | undefined {
    return this.#held[this.#from]
  }

  /** The next line of at most `limit` octets, its end included; `undefined` while it is not whole. */
  next(limit: number): Line | 'overlong' | undefined {
    const held = this.#held
    const from = this.#from
    let end = this.#searched
    while (end < held.length && held[end] !== LF) end++
    if (end === held.length) {
      this.#searched = end
      if (this.#draining || this.size > limit) {
        this.clear()
        this.#draining = true
      }
      return undefined
    }
    const isLast = end + 1 === held.length
    if (isLast) this.#held = NO_BYTES
    this.#from = isLast ? 0 : end + 1
    this.#searched = this.#from
    if (this.#draining || end + 1 - from > limit) {
      this.#draining = false
      return 'overlong'
    }
    const crlf = end > from && held[end - 1] === CR
    return { bytes: held.subarray(from, crlf ? end - 1 : end), ending: crlf ? 'crlf' : 'lf' }
  }

  /** Up to `count` raw octets, as many as are there. */
  take(count: number = this.size): Uint8Array {
    const isAll = count >= this.size
    const taken = isAll ? this.#rest() : this.#held.subarray(this.#from, this.#from + count)
    if (isAll) this.#held = NO_BYTES
    this.#from = isAll ? 0 : this.#from + count
    this.#searched = this.#from
    return taken
  }

  /** Drop everything: what was sent in clear before TLS must never be read inside it. */
  clear(): void {
    this.#held = NO_BYTES
    this.#from = 0
    this.#searched = 0
    this.#draining = false
  }
}
