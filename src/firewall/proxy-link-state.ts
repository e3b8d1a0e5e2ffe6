import { LINK2STATE_LINE } from '../smtp/limits.ts'

/** Octets of link state that one exchange may announce; Exchange advises tables that stay far below. */
export const MAX_LINK_STATE: number = 4 * 1024 * 1024

/** The frame's length as it stands before it: `{0000006d}`. */
const LENGTH = /^\{([0-9A-Fa-f]{1,16})\}/

/** What may follow the length where a line's trailing spaces were trimmed on the way: the frame ends in two of them. */
const TRIMMED = 2

/**
 * Follows the pieces of one X-LINK2STATE exchange. What it lets through is what a sound Exchange says: FIRST, NEXT, LAST
 * in order, a length that the octets keep to, no line beyond 1,024 octets. A lone `CHUNK=` was a heap overflow
 * (CVE-2005-0560).
 */
export class LinkStateWatch {
  /** Octets that were announced and have not come; `undefined` while no exchange is under way. */
  #left: number | undefined

  /** What is wrong with this piece, or `undefined`. A piece that is wrong ends the exchange. */
  take(position: 'first' | 'next' | 'last' | 'none', chunk: string, line: number): string | undefined {
    const wrong = this.#take(position, chunk, line)
    if (wrong !== undefined || position === 'last') this.reset()
    return wrong
  }

  /** RSET, a hello, TLS: what came so far is nothing. */
  reset(): void {
    this.#left = undefined
  }

  #take(position: 'first' | 'next' | 'last' | 'none', chunk: string, line: number): string | undefined {
    if (line > LINK2STATE_LINE) return `a line is at most ${LINK2STATE_LINE} octets`
    const begins = position === 'first' || (position === 'last' && this.#left === undefined)
    if (!begins && this.#left === undefined) return 'FIRST must come first'
    if (position === 'none') return 'FIRST, NEXT or LAST was expected'
    if (position === 'first' && this.#left !== undefined) return 'FIRST may come only once'
    let octets = chunk.length
    if (begins) {
      const found = LENGTH.exec(chunk)
      if (!found) return 'the length {HEX} of the whole was expected'
      this.#left = Number.parseInt(found[1] ?? '', 16)
      if (this.#left > MAX_LINK_STATE) return `more than ${MAX_LINK_STATE} octets are announced`
      octets -= found[0].length
    }
    this.#left = (this.#left ?? 0) - octets
    if (this.#left < 0) return 'more octets came than were announced'
    if (position !== 'last' || this.#left === 0) return undefined
    // Short by its trailing spaces it is still whole.
    return this.#left <= TRIMMED && chunk.endsWith(')') ? undefined : 'fewer octets came than were announced'
  }
}
