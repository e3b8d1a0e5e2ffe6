import { createHash, createHmac, getFips, pbkdf2, randomBytes, timingSafeEqual } from 'node:crypto'
import type { TLSSocket } from 'node:tls'
import { promisify } from 'node:util'
import { saslprep } from '@mongodb-js/saslprep'
import type { Hashes, TlsFacts } from '../smtp/sasl/mechanism.ts'

/** What OpenSSL computes for the core; without HMAC-MD5 in FIPS mode. */
export const HASHES: Hashes = {
  sha256: bytes => createHash('sha256').update(bytes).digest(),
  hmacSha256: (key, bytes) => createHmac('sha256', key).update(bytes).digest(),
  ...(getFips() === 1 ? {} : { hmacMd5: (key, bytes) => createHmac('md5', key).update(bytes).digest() }),
  equal: (a, b) => a.length === b.length && timingSafeEqual(a, b),
  random: randomBytes,
  saslPrep,
}

const derive = promisify(pbkdf2)

/** `Hi` of RFC 5802 §2.2, on a thread of the pool: thousands of iterations are no work for the one that answers. */
export function saltedPassword(
  prepared: string,
  { salt, iterations }: { salt: Uint8Array; iterations: number },
): Promise<Uint8Array> {
  return derive(prepared, salt, iterations, 32, 'sha256')
}

/** What SASL may know of a TLS connection. */
export function tlsFacts(socket: TLSSocket): TlsFacts {
  // Before TLS 1.3 an exporter is bound to its connection only with the extended master secret (RFC 9266 §4.2), and Node
  // does not tell whether there is one.
  if (socket.getProtocol() !== 'TLSv1.3') return { secured: true }
  return { secured: true, exporter: socket.exportKeyingMaterial(32, 'EXPORTER-Channel-Binding', Buffer.alloc(0)) }
}

function saslPrep(text: string): string | undefined {
  try {
    return saslprep(text)
  } catch {
    return undefined
  }
}

/** Names a table of routing state, as Exchange did; guards nothing. */
export function md5(bytes: Uint8Array): Uint8Array {
  return createHash('md5').update(bytes).digest()
}
