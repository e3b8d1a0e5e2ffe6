/**
 * MD4 (RFC 1320), which NTLM has its hash of the password by. It is broken, and OpenSSL 3 no longer has it.
 *
 * Ours, because nothing well kept has it: @noble/hashes leaves it out, and js-md4 is a small script seldom touched.
 */
export function md4(bytes: Uint8Array): Uint8Array {
  const blocks = pad(bytes)
  const view = new DataView(blocks.buffer)
  let [a, b, c, d] = [0x67452301, 0xefcdab89, 0x98badcfe, 0x10325476]
  for (let at = 0; at < blocks.length; at += 64) {
    const [aa, bb, cc, dd] = [a, b, c, d]
    for (const { mix, constant, order, shifts } of ROUNDS) {
      for (let i = 0; i < 16; i++) {
        const word = view.getUint32(at + (order[i] ?? 0) * 4, true)
        const sum = (a + mix(b, c, d) + word + constant) >>> 0
        const shift = shifts[i % 4] ?? 0
        ;[a, b, c, d] = [d, ((sum << shift) | (sum >>> (32 - shift))) >>> 0, b, c]
      }
    }
    ;[a, b, c, d] = [(a + aa) >>> 0, (b + bb) >>> 0, (c + cc) >>> 0, (d + dd) >>> 0]
  }
  const out = new Uint8Array(16)
  const outView = new DataView(out.buffer)
  for (const [i, word] of [a, b, c, d].entries()) outView.setUint32(i * 4, word, true)
  return out
}

/** RFC 1320 §3.4. After each operation the four words change places, so that one line does for all sixteen. */
const ROUNDS: readonly {
  readonly mix: (x: number, y: number, z: number) => number
  readonly constant: number
  readonly order: readonly number[]
  readonly shifts: readonly number[]
}[] = [
  {
    mix: (x, y, z) => (x & y) | (~x & z),
    constant: 0,
    order: [0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15],
    shifts: [3, 7, 11, 19],
  },
  {
    mix: (x, y, z) => (x & y) | (x & z) | (y & z),
    constant: 0x5a827999,
    order: [0, 4, 8, 12, 1, 5, 9, 13, 2, 6, 10, 14, 3, 7, 11, 15],
    shifts: [3, 5, 9, 13],
  },
  {
    mix: (x, y, z) => x ^ y ^ z,
    constant: 0x6ed9eba1,
    order: [0, 8, 4, 12, 2, 10, 6, 14, 1, 9, 5, 13, 3, 11, 7, 15],
    shifts: [3, 9, 11, 15],
  },
]

/** A one bit, zeros, and the length in bits: whole blocks of 64 octets. RFC 1320 §3.1, §3.2. */
function pad(bytes: Uint8Array): Uint8Array<ArrayBuffer> {
  const blocks = new Uint8Array(Math.ceil((bytes.length + 9) / 64) * 64)
  blocks.set(bytes)
  blocks[bytes.length] = 0x80
  new DataView(blocks.buffer).setBigUint64(blocks.length - 8, BigInt(bytes.length) * 8n, true)
  return blocks
}
