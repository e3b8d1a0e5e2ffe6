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
  /** How far `#held` was searched for a line end already: each octet is looked at once. */
  #searched = 0
  #draining = false
  /** Is what is held ours, or still in the memory that it came in? */
  #isOwn = true

  push(bytes: Uint8Array): void {
    if (this.#held.length === 0) {
      this.#held = bytes
      this.#searched = 0
      this.#isOwn = false
    } else {
      this.#held = concat([this.#held, bytes])
      this.#isOwn = true
    }
  }

  /** What was pushed and is still here is kept from now on: whoever pushed it may use its memory again. */
  keep(): void {
    if (!this.#isOwn && this.#held.length > 0) this.#held = copy(this.#held)
    this.#isOwn = true
  }

  /** Octets that came and were not handed out yet. */
  get size(): number {
    return this.#held.length
  }

  /** Is the line under way longer than its limit already? What comes of it is not kept. */
  get isOverlong(): boolean {
    return this.#draining
  }

  /** The next octet, left where it is. */
  get first(): number | undefined {
    return this.#held[0]
  }

  /** The next line of at most `limit` octets, its end included; `undefined` while it is not whole. */
  next(limit: number): Line | 'overlong' | undefined {
    const end = this.#held.indexOf(LF, this.#searched)
    if (end < 0) {
      if (this.#draining || this.#held.length > limit) {
        this.#draining = true
        this.#held = NO_BYTES
      }
      this.#searched = this.#held.length
      return undefined
    }
    const held = this.#held
    this.#skip(end + 1)
    if (this.#draining || end + 1 > limit) {
      this.#draining = false
      return 'overlong'
    }
    const crlf = end > 0 && held[end - 1] === CR
    return { bytes: held.subarray(0, crlf ? end - 1 : end), ending: crlf ? 'crlf' : 'lf' }
  }

  /** Up to `count` raw octets, as many as are there. */
  take(count: number = this.#held.length): Uint8Array {
    const taken = count >= this.#held.length ? this.#held : this.#held.subarray(0, count)
    this.#skip(count)
    return taken
  }

  #skip(count: number): void {
    this.#held = count >= this.#held.length ? NO_BYTES : this.#held.subarray(count)
    this.#searched = 0
  }

  /** Drop everything: what was sent in clear before TLS must never be read inside it. */
  clear(): void {
    this.#held = NO_BYTES
    this.#searched = 0
    this.#draining = false
  }
}
