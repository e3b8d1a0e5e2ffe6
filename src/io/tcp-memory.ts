/** Memory that all connections share: what they read is there until it is told of, what they write until it is written. */

/** All connections read into this; whoever wants to keep octets copies them. */
export const SHARED: Buffer = Buffer.allocUnsafeSlow(65_536)
/** The same, for the few octets of commands and replies: a view of a `Buffer` costs more to make, and less to search. */
const PLAIN = new Uint8Array(SHARED.buffer)
const FEW = 512
/** Its views of few octets, by their number: each is lent again and again, as the memory is. */
const LENT: (Uint8Array | undefined)[] = []

/** So many of the octets that were read into the memory. */
export function lending(memory: Buffer, count: number): Uint8Array {
  if (memory !== SHARED || count > FEW) return memory.subarray(0, count)
  const view = LENT[count] ?? PLAIN.subarray(0, count)
  LENT[count] = view
  return view
}

/** What is written is copied here: nearly always the kernel takes it at once, and the room is free again. */
let slab = new Uint8Array(SHARED.length)
let used = 0
/** Views of few octets of it from one place on, by their number. */
let views: (Uint8Array | undefined)[] = []
let viewed = 0

/** Room for so many octets in memory that many share: where it begins. */
function reserve(length: number): number {
  if (used + length > slab.length) {
    slab = new Uint8Array(slab.length)
    used = 0
    views = []
  }
  used += length
  return used - length
}

/** So many octets from there on. */
function reserved(from: number, length: number): Uint8Array {
  if (length > FEW) return slab.subarray(from, from + length)
  if (from !== viewed) {
    viewed = from
    views = []
  }
  const view = views[length] ?? slab.subarray(from, from + length)
  views[length] = view
  return view
}

/** A copy there: where few octets are concerned, that costs less than to find out where they are now. */
export function copied(octets: Uint8Array): Uint8Array {
  const from = reserve(octets.length)
  slab.set(octets, from)
  return reserved(from, octets.length)
}

/** A copy of all of them there, one behind the other. */
export function gathered(parts: readonly Uint8Array[], length: number): Uint8Array {
  const from = reserve(length)
  let at = from
  for (const part of parts) {
    slab.set(part, at)
    at += part.length
  }
  return reserved(from, length)
}

/** The last so many octets of it are written, and free again. */
export function release(length: number): void {
  used -= length
}
