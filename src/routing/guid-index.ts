import type { Guid } from './link-state.ts'

/** 32-bit words of a GUID. */
export const WORDS = 4

export type Words = Int32Array | readonly number[]

/**
 * Where each GUID of a list stands, by numbers alone: each text that is looked up by its octets lies somewhere else in
 * memory, and fetching 50,000 of them is what takes the time.
 */
export class GuidIndex {
  /** Place → its GUID in four words. */
  readonly #words: Int32Array
  /** Open addressing: a place, or -1. */
  readonly #slots: Int32Array
  readonly #mask: number

  /** `words`: those of the GUID at each place. */
  constructor(words: Int32Array) {
    const count = words.length / WORDS
    const size = 2 ** Math.ceil(Math.log2(2 * count + 2))
    this.#mask = size - 1
    this.#slots = new Int32Array(size).fill(-1)
    this.#words = words
    for (let place = 0; place < count; place++) {
      let slot = this.#slotOf(words, WORDS * place)
      while ((this.#slots[slot] ?? -1) >= 0) slot = (slot + 1) & this.#mask
      this.#slots[slot] = place
    }
  }

  /** The place of the GUID whose words stand there; -1 where it is not in the list. */
  place(asked: Words, from: number): number {
    const [words, slots] = [this.#words, this.#slots]
    for (let slot = this.#slotOf(asked, from); ; slot = (slot + 1) & this.#mask) {
      const place = slots[slot] ?? -1
      if (place < 0) return -1
      let same = 0
      for (let i = 0; i < WORDS && words[WORDS * place + i] === asked[from + i]; i++) same++
      if (same === WORDS) return place
    }
  }

  /** All octets count: whoever makes GUIDs up would know which of them do not. */
  #slotOf(words: Words, from: number): number {
    let hash = 0
    for (let i = 0; i < WORDS; i++) hash = Math.imul(hash ^ (hash >>> 15) ^ (words[from + i] ?? 0), 0x9e37_79b1)
    return (hash ^ (hash >>> 16)) & this.#mask
  }
}

const DASH = 0x2d
/** A hex digit's value; more than 15 for what is none. */
const DIGITS: Uint8Array = new Uint8Array(256).fill(0xf0)
for (let i = 0; i < 10; i++) DIGITS[0x30 + i] = i
for (let i = 0; i < 6; i++) DIGITS[0x41 + i] = DIGITS[0x61 + i] = 10 + i

/** Where the digits stand, without dashes and with them. */
const BARE: Uint8Array = Uint8Array.from({ length: 32 }, (_, i) => i)
const DASHES = [8, 13, 18, 23] as const
const DASHED: Uint8Array = Uint8Array.from(BARE, i => i + [8, 12, 16, 20].filter(each => i >= each).length)

/** Reads a GUID as `parseGuid` does, into four words; whether it is one. */
export function readWords(text: string, into: Int32Array, from = 0): boolean {
  const isBare = text.length === BARE.length
  if (!isBare && (text.length !== BARE.length + DASHES.length || !hasDashes(text))) return false
  const places = isBare ? BARE : DASHED
  let wrong = 0
  for (let i = 0, at = 0; i < WORDS; i++) {
    let word = 0
    for (let end = at + 8; at < end; at++) {
      const code = text.charCodeAt(places[at] ?? 0)
      const digit = DIGITS[code & 0xff] ?? 0
      wrong |= digit | (code & 0xff00)
      word = (word << 4) | digit
    }
    into[from + i] = word
  }
  return wrong < 16
}

function hasDashes(text: string): boolean {
  for (const at of DASHES) if (text.charCodeAt(at) !== DASH) return false
  return true
}

/** The GUID again. */
export function sayWords(words: Words, from: number): Guid {
  let text = ''
  for (let i = 0; i < WORDS; i++) text += ((words[from + i] ?? 0) >>> 0).toString(16).padStart(8, '0')
  return text
}
