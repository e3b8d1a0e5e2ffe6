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
    if (this.#used > 0) this.#full.push(this.#block)
    // As much again as there is: a small message gets small blocks, and one of no use is not larger than what is in use.
    this.#block = new Uint8Array(Math.min(BLOCK, Math.max(1024, wanted, this.size)))
    this.#used = 0
  }

  whole(): readonly Uint8Array[] {
    return [...this.#full, this.#block.subarray(0, this.#used)]
  }
}
