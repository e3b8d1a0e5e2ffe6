/** RC4, which NTLM hides the session key by; OpenSSL 3 no longer has it. Here it protects nothing but that key's proof. */
export function rc4(key: Uint8Array, bytes: Uint8Array): Uint8Array {
  if (key.length === 0) return bytes
  const box = Uint8Array.from({ length: 256 }, (_, i) => i)
  const at = (i: number): number => box[i & 255] ?? 0
  const swap = (i: number, j: number): void => {
    ;[box[i], box[j]] = [at(j), at(i)]
  }
  for (let i = 0, j = 0; i < 256; i++) {
    j = (j + at(i) + (key[i % key.length] ?? 0)) & 255
    swap(i, j)
  }
  let i = 0
  let j = 0
  return bytes.map(octet => {
    i = (i + 1) & 255
    j = (j + at(i)) & 255
    swap(i, j)
    return octet ^ at(at(i) + at(j))
  })
}
