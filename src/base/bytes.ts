/**
 * Bytes stay bytes. These are the few things done with them everywhere: make, join, find, compare, look at.
 *
 * Text ↔ bytes is one octet per character (ISO 8859-1), so that nothing is lost or folded by looking; UTF-8 is asked for
 * by name.
 */

export const CR = 0x0d
export const LF = 0x0a
export const SP = 0x20
export const DOT = 0x2e

export const NO_BYTES: Uint8Array = new Uint8Array(0)

/** One octet per character. Throws on a character above 255: such text must choose an encoding first. */
export function bytes(text: string): Uint8Array {
  const out = new Uint8Array(text.length)
  for (let i = 0; i < text.length; i++) {
    const code = text.charCodeAt(i)
    // Narrowing silently is how U+760D U+760A became CR LF elsewhere (CVE-2025-7962).
    if (code > 0xff) throw new RangeError(`character U+${code.toString(16)} does not fit into one octet`)
    out[i] = code
  }
  return out
}

const utf8Encoder = new TextEncoder()
const utf8Decoder = new TextDecoder('utf-8', { fatal: false })
const strictDecoder = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true })

export function utf8(text: string): Uint8Array {
  const out = new Uint8Array(text.length)
  // Nearly all that is said is ASCII, and short: the encoder is for the rest.
  for (let i = 0; i < text.length; i++) {
    const code = text.charCodeAt(i)
    if (code > 0x7f) return utf8Encoder.encode(text)
    out[i] = code
  }
  return out
}

/** For people's eyes: whatever is not UTF-8 shows as U+FFFD. */
export function utf8Text(bytes: Uint8Array): string {
  return utf8Decoder.decode(bytes)
}

/** Are the bytes well-formed UTF-8? */
export function isUtf8(bytes: Uint8Array): boolean {
  return isAscii(bytes) || strictUtf8(bytes) !== undefined
}

/** The text from there on, or `undefined` where the bytes are not well-formed UTF-8. */
export function strictUtf8(bytes: Uint8Array, from = 0): string | undefined {
  if (isAscii(bytes)) return text(bytes, from)
  try {
    return strictDecoder.decode(bytes.subarray(from))
  } catch {
    return undefined
  }
}

export function isAscii(bytes: Uint8Array): boolean {
  for (let i = 0; i < bytes.length; i++) if ((bytes[i] ?? 0) > 0x7f) return false
  return true
}

/** One character per octet: the inverse of `bytes`. */
export function text(bytes: Uint8Array, from = 0, to: number = bytes.length): string {
  const end = Math.min(to, bytes.length)
  let out = ''
  let at = from
  // Eight in a call: five times as fast as a call with all of them, and every line that passes comes through here.
  for (; at + 8 <= end; at += 8) {
    out += String.fromCharCode(
      bytes[at] ?? 0,
      bytes[at + 1] ?? 0,
      bytes[at + 2] ?? 0,
      bytes[at + 3] ?? 0,
      bytes[at + 4] ?? 0,
      bytes[at + 5] ?? 0,
      bytes[at + 6] ?? 0,
      bytes[at + 7] ?? 0,
    )
  }
  for (; at < end; at++) out += String.fromCharCode(bytes[at] ?? 0)
  return out
}

export function concat(parts: readonly Uint8Array[]): Uint8Array {
  if (parts.length === 1 && parts[0]) return parts[0]
  let length = 0
  for (const part of parts) length += part.length
  const out = new Uint8Array(length)
  let at = 0
  for (const part of parts) {
    out.set(part, at)
    at += part.length
  }
  return out
}

/** A copy of its own. Never `slice`: on a Node `Buffer`, which is a `Uint8Array` too, that is a view on the same octets. */
export function copy(bytes: Uint8Array): Uint8Array {
  return new Uint8Array(bytes)
}

export function equal(a: Uint8Array, b: Uint8Array): boolean {
  if (a.length !== b.length) return false
  for (let i = 0; i < a.length; i++) if (a[i] !== b[i]) return false
  return true
}

/** Where `needle` begins at or after `from`, or -1. */
export function find(haystack: Uint8Array, needle: Uint8Array, from = 0): number {
  const first = needle[0]
  if (first === undefined) return from
  const last = haystack.length - needle.length
  let at = haystack.indexOf(first, from)
  while (at >= 0 && at <= last) {
    let same = 1
    while (same < needle.length && haystack[at + same] === needle[same]) same++
    if (same === needle.length) return at
    at = haystack.indexOf(first, at + 1)
  }
  return -1
}

/**
 * Looks for control octets up to CR in octets that hold few of them, four at a time: five times as fast as one by one, and
 * what a message costs is mostly this.
 */
export class ControlFinder {
  readonly #octets: Uint8Array
  readonly #words: Int32Array
  /** Octets before the first whole word of memory. */
  readonly #shift: number

  constructor(octets: Uint8Array) {
    this.#octets = octets
    this.#shift = -octets.byteOffset & 3
    const words = Math.max(0, (octets.length - this.#shift) >> 2)
    this.#words = words === 0 ? NO_WORDS : new Int32Array(octets.buffer, octets.byteOffset + this.#shift, words)
  }

  /** Where the next octet of at most CR (13) stands at or after `from`, or the length. */
  next(from: number): number {
    const octets = this.#octets
    const words = this.#words
    const shift = this.#shift
    let at = from
    while (at < octets.length) {
      if (((at - shift) & 3) === 0 && at >= shift) {
        let word = (at - shift) >> 2
        // Has the word an octet below 14? (The highest bit of each octet tells, borrowed from by the subtraction.)
        while (word < words.length) {
          const four = words[word] ?? 0
          if (((four - 0x0e0e0e0e) & ~four & -0x7f7f7f80) !== 0) break
          word++
        }
        at = shift + (word << 2)
        if (at >= octets.length) break
        const end = Math.min(octets.length, at + 4)
        while (at < end && (octets[at] ?? 0) > CR) at++
        if (at < end) return at
        continue
      }
      if ((octets[at] ?? 0) <= CR) return at
      at++
    }
    return octets.length
  }
}

const NO_WORDS = new Int32Array(0)

/** ASCII letters to upper case, the rest as it is: the only case folding that protocol words know. */
export function upper(text: string): string {
  // Most words come in the case that they are wanted in.
  for (let i = 0; i < text.length; i++) {
    const code = text.charCodeAt(i)
    if (code >= 0x61 && code <= 0x7a) return inAscii(text, /[a-z]+/g, word => word.toUpperCase())
  }
  return text
}

/** ASCII letters to lower case, the rest as it is. */
export function lower(text: string): string {
  for (let i = 0; i < text.length; i++) {
    const code = text.charCodeAt(i)
    if (code >= 0x41 && code <= 0x5a) return inAscii(text, /[A-Z]+/g, word => word.toLowerCase())
  }
  return text
}

function inAscii(text: string, letters: RegExp, fold: (word: string) => string): string {
  return /[^\0-\x7f]/.test(text) ? text.replace(letters, fold) : fold(text)
}

const BASE64 = 'ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/'

/** RFC 4648 §4, with padding. */
export function toBase64(bytes: Uint8Array): string {
  let out = ''
  for (let i = 0; i < bytes.length; i += 3) {
    const [a = 0, b, c] = bytes.subarray(i, i + 3)
    out += BASE64[a >> 2]
    out += BASE64[((a & 3) << 4) | ((b ?? 0) >> 4)]
    out += b === undefined ? '=' : BASE64[((b & 15) << 2) | ((c ?? 0) >> 6)]
    out += c === undefined ? '=' : BASE64[c & 63]
  }
  return out
}

/** RFC 4648 §4, strictly: `undefined` for anything but whole, padded groups. */
export function fromBase64(text: string): Uint8Array | undefined {
  if (text.length % 4 !== 0 || !/^[A-Za-z0-9+/]*={0,2}$/.test(text)) return undefined
  const digits = text.replace(/=+$/, '')
  const out = new Uint8Array(Math.floor((digits.length * 3) / 4))
  let held = 0
  let bits = 0
  let at = 0
  for (const digit of digits) {
    held = ((held << 6) | BASE64.indexOf(digit)) & 0xffff
    bits += 6
    if (bits >= 8) {
      bits -= 8
      out[at++] = (held >> bits) & 0xff
    }
  }
  return out
}

/** Peers' words may hold what a terminal obeys. */
export function printable(line: string): string {
  return line.replace(/[\x00-\x1f\x7f-\x9f]/g, '?')
}

/** Bytes as a person can read them: printable ASCII as it is, the rest as `\r`, `\n`, `\t` or `\xNN`. */
export function show(bytes: Uint8Array): string {
  return text(bytes).replace(/[^\x20-\x7e]|\\/g, char => {
    const named = { '\r': '\\r', '\n': '\\n', '\t': '\\t', '\\': '\\\\' }[char]
    return named ?? `\\x${char.charCodeAt(0).toString(16).padStart(2, '0')}`
  })
}
