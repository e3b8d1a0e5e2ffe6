/**
 * How a pattern is run. Its states (Thompson's automaton) are followed all at once; which of them an octet leads to is
 * written into a table when it is first found out, so that most texts are only looked up, octet for octet. A pattern
 * whose table would be too large is followed without one.
 */

export type State =
  | { readonly kind: 'match' }
  | { readonly kind: 'octet'; readonly set: Uint8Array; readonly next: number }
  | { readonly kind: 'split'; readonly next: number; readonly other: number }
  | { readonly kind: 'begin' | 'end'; readonly next: number }

/** Numbers that one pattern's table may hold. */
export const MAX_TABLE = 8192

/** Where a run may be between two octets. */
interface Place {
  /** The states that wait for an octet. */
  readonly waiting: Int32Array
  /** Is it found, with what came so far, or if the text is over here? */
  readonly isFound: boolean
  readonly isFoundAtEnd: boolean
  /** Where each kind of octet leads, as far as that is known. */
  readonly next: (Place | undefined)[]
}

/** What a run needs, made once: a pattern is asked of every address, and one run is over before the next begins. */
export class Run {
  readonly #states: readonly State[]
  readonly #start: number
  readonly #first: Uint8Array | undefined
  /** The step at which a state was reached last, so that each is followed once per octet. Steps are counted on. */
  readonly #seen: Int32Array
  readonly #stack: Int32Array
  /** The states that wait for the next octet, and for the one behind it. */
  #current: Int32Array
  #next: Int32Array
  #step = 0
  /** Octets between which no state makes a difference are of one kind. */
  #kinds: Uint8Array | undefined
  /** Where a run begins: with the text, and behind its first octet. */
  #begin: Place | undefined
  #within: Place | undefined
  readonly #places = new Map<string, Place>()
  /** Numbers that the table may still hold; none at all once it was too large. */
  #left = MAX_TABLE

  constructor(states: readonly State[], start: number) {
    this.#states = states
    this.#start = start
    this.#first = firstOf(states, start)
    this.#seen = new Int32Array(states.length).fill(-1)
    this.#stack = new Int32Array(2 * states.length + 1)
    this.#current = new Int32Array(states.length)
    this.#next = new Int32Array(states.length)
  }

  test(text: Uint8Array): boolean {
    const from = this.#firstIn(text)
    return from !== undefined && (this.#lookedUp(text, from) ?? this.#followed(text, from))
  }

  /** Where a match may begin at the earliest. Most patterns name octets that most texts have none of. */
  #firstIn(text: Uint8Array): number | undefined {
    const first = this.#first
    if (!first) return 0
    for (let at = 0; at < text.length; at++) if (first[text[at] ?? 0] === 1) return at
    return undefined
  }

  /** Nothing where the table is too large. */
  #lookedUp(text: Uint8Array, from: number): boolean | undefined {
    if (this.#left < 0) return undefined
    this.#kinds ??= kindsOf(this.#states)
    const kinds = this.#kinds
    let place: Place | undefined = from === 0 ? this.#begin : this.#within
    if (!place) {
      place = this.#place([this.#start], from === 0)
      if (from === 0) this.#begin = place
      else this.#within = place
    }
    for (let at = from; at < text.length; at++) {
      if (!place || place.isFound) return place?.isFound
      const octet: number = text[at] ?? 0
      place = place.next[kinds[octet] ?? 0] ?? this.#learn(place, octet)
    }
    return place && (place.isFound || place.isFoundAtEnd)
  }

  /** Where this octet leads, written down; nothing where there is no room for it. */
  #learn(place: Place, octet: number): Place | undefined {
    // What is not anchored may begin at any octet.
    const reached = new Set([this.#start])
    for (const index of place.waiting) {
      const state = this.#states[index]
      if (state?.kind === 'octet' && state.set[octet] === 1) reached.add(state.next)
    }
    const from = [...reached].sort((a, b) => a - b)
    const name = from.join(' ')
    const next = this.#places.get(name) ?? this.#place(from, false)
    if (!next) return undefined
    this.#places.set(name, next)
    place.next[this.#kinds?.[octet] ?? 0] = next
    return next
  }

  #place(from: readonly number[], isBegin: boolean): Place | undefined {
    const at = isBegin ? 0 : 1
    const count = this.#followAll(from, at, 2)
    const waiting = this.#current.slice(0, Math.max(0, count))
    const isFoundAtEnd = this.#followAll(from, at, at) < 0
    this.#left -= Math.max(...(this.#kinds ?? [])) + 1 + waiting.length + from.length
    if (this.#left >= 0) return { waiting, isFound: count < 0, isFoundAtEnd, next: [] }
    this.#places.clear()
    this.#begin = undefined
    this.#within = undefined
    return undefined
  }

  /** How many states wait for an octet then, in `#current`; -1 where the match needs no other. */
  #followAll(from: readonly number[], at: number, end: number): number {
    this.#count()
    let waiting = 0
    for (const index of from) {
      waiting = this.#follow(index, at, end, this.#current, waiting)
      if (waiting < 0) return -1
    }
    return waiting
  }

  #count(): void {
    if (this.#step > MAX_STEPS) {
      this.#step = 0
      this.#seen.fill(-1)
    }
    this.#step++
  }

  #followed(text: Uint8Array, from: number): boolean {
    let at = from
    this.#count()
    let waiting = 0
    for (; ; at++, this.#step++) {
      // What is not anchored may begin at any octet.
      waiting = this.#follow(this.#start, at, text.length, this.#current, waiting)
      if (waiting < 0) return true
      if (at === text.length) return false
      const octet = text[at] ?? 0
      let next = 0
      this.#step++
      for (let i = 0; i < waiting; i++) {
        const state = this.#states[this.#current[i] ?? 0]
        if (state?.kind !== 'octet' || state.set[octet] !== 1) continue
        next = this.#follow(state.next, at + 1, text.length, this.#next, next)
        if (next < 0) return true
      }
      this.#step--
      const spare = this.#current
      this.#current = this.#next
      this.#next = spare
      waiting = next
    }
  }

  /** Puts the states that wait for an octet behind the `count` that are there; -1 where the match needs no other octet. */
  #follow(from: number, at: number, end: number, into: Int32Array, count: number): number {
    const stack = this.#stack
    let waiting = count
    let depth = 0
    stack[depth++] = from
    while (depth > 0) {
      const index = stack[--depth] ?? 0
      if (this.#seen[index] === this.#step) continue
      this.#seen[index] = this.#step
      const state = this.#states[index]
      switch (state?.kind) {
        case 'match':
          return -1
        case 'octet':
          into[waiting++] = index
          break
        case 'split':
          stack[depth++] = state.next
          stack[depth++] = state.other
          break
        case 'begin':
          if (at === 0) stack[depth++] = state.next
          break
        case 'end':
          if (at === end) stack[depth++] = state.next
          break
        default:
          break
      }
    }
    return waiting
  }
}

const MAX_STEPS = 2 ** 30

/** Octets that a match may begin with; `undefined` where it may begin with none. */
function firstOf(states: readonly State[], start: number): Uint8Array | undefined {
  const first = new Uint8Array(256)
  const seen = new Set<number>()
  const stack = [start]
  for (let index = stack.pop(); index !== undefined; index = stack.pop()) {
    if (seen.has(index)) continue
    seen.add(index)
    const state = states[index]
    if (!state || state.kind === 'match') return undefined
    if (state.kind === 'octet')
      state.set.forEach((is, octet) => {
        if (is === 1) first[octet] = 1
      })
    else if (state.kind === 'split') stack.push(state.next, state.other)
    else stack.push(state.next)
  }
  return first
}

/** A number for each octet, the same for those that lead to the same from everywhere. */
function kindsOf(states: readonly State[]): Uint8Array {
  const kinds = new Uint8Array(256)
  for (const state of states) {
    if (state.kind !== 'octet') continue
    // Each set divides the kinds there are into those within and those without.
    const known = new Map<number, number>()
    for (let octet = 0; octet < 256; octet++) {
      const kind = 2 * (kinds[octet] ?? 0) + (state.set[octet] ?? 0)
      if (!known.has(kind)) known.set(kind, known.size)
      kinds[octet] = known.get(kind) ?? 0
    }
  }
  return kinds
}
