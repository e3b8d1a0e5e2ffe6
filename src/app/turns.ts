/** Work of which so much is done at once; the rest waits for its turn, first come first served. */
export class Turns {
  readonly #waiting: (() => void)[] = []
  #free: number

  constructor(most: number) {
    this.#free = most
  }

  async run<T>(work: () => Promise<T>): Promise<T> {
    if (this.#free > 0) this.#free--
    else await new Promise<void>(resolve => this.#waiting.push(resolve))
    try {
      return await work()
    } finally {
      // The turn is handed on, or is free.
      const next = this.#waiting.shift()
      if (next) next()
      else this.#free++
    }
  }
}
