/** Things said that are told apart; what comes beyond them is one more, `others`. */
export const MAX_SAID = 20

/** What is said again and again is said the 1st, the 10th, the 100th time: whoever causes it must not fill the log. */
export class Tally {
  readonly #times = new Map<string, number>()
  readonly #others: string

  constructor(others: string) {
    this.#others = others
  }

  /** What to say of it now; nothing where it was said already. */
  count(what: string): string | undefined {
    const said = this.#times.size < MAX_SAID || this.#times.has(what) ? what : this.#others
    const times = (this.#times.get(said) ?? 0) + 1
    this.#times.set(said, times)
    if (!Number.isInteger(Math.log10(times))) return undefined
    return times === 1 ? said : `${said} (${times} times)`
  }
}
