/** Octets of a block. */
export const BLOCK = 65_536

/** Pieces gathered into blocks: copied, for a piece may be a window on a socket's buffer, and joined, for it may be one octet. */
export class Blocks {
  readonly #full: Uint8Array[] = []
  /** Octets in it. */
  size = 0
  #block: Uint8Array = new Uint8Array(0)
  #used = 0

  push(piece: Uint8Array): void {
    this.size += piece.length
    for (let at = 0; at < piece.length; ) {
      if (this.#used === this.#block.length) this.#next(piece.length - at)
      const part = piece.subarray(at, at + this.#block.length - this.#used)
      this.#block.set(part, this.#used)
      this.#used += part.length
      at += part.length
    }
  }

  #next(wanted: number): void {
    if (this.#block.length === BLOCK) {
      this.#full.push(this.#block)
      this.#block = new Uint8Array(BLOCK)
      this.#used = 0
      return
    }
    // A small message is in one block, which grows with it: to as much again as there is, or to what is wanted.
    const larger = new Uint8Array(Math.min(BLOCK, Math.max(1024, this.#used + wanted, 2 * this.#used)))
    larger.set(this.#block.subarray(0, this.#used))
    this.#block = larger
  }

  whole(): readonly Uint8Array[] {
    return [...this.#full, this.#block.subarray(0, this.#used)]
  }
}
