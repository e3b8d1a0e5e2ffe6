/** Holds a server's certificates to TLSA records (RFC 7672 §3). */
import { createHash, X509Certificate } from 'node:crypto'
import type { TLSSocket } from 'node:tls'
import type { Tlsa } from '../mta/resolver.ts'

/** Certificates of a chain that are looked at. */
export const MOST_CERTIFICATES = 10

/** Why the server's certificates do not fit any of the records; nothing where they do. `names`: any of them will do. */
export function daneDoubt(
  chain: readonly X509Certificate[],
  records: readonly Tlsa[],
  { names, now }: { readonly names: readonly string[]; readonly now: number },
): string | undefined {
  const [leaf] = chain
  if (!leaf) return 'it shows no certificate'
  // What names the certificate itself needs neither a name in it nor a date (RFC 7672 §3.1.1).
  if (records.some(record => record.usage === 3 && matches(leaf, record))) return undefined
  for (const record of records.filter(({ usage }) => usage === 2)) {
    const anchor = chain.findIndex((each, i) => i > 0 && matches(each, record))
    if (anchor < 0 || !isPath(chain.slice(0, anchor + 1), now)) continue
    if (names.some(name => leaf.checkHost(name) !== undefined)) return undefined
    return `its certificate is for none of ${names.join(', ')}`
  }
  return 'its certificates match no TLSA record'
}

function matches(certificate: X509Certificate, { selector, matching, data }: Tlsa): boolean {
  const selected = selector === 0 ? certificate.raw : publicKeyOf(certificate)
  const found =
    matching === 0
      ? selected
      : createHash(matching === 1 ? 'sha256' : 'sha512')
          .update(selected)
          .digest()
  return Buffer.compare(found, data) === 0
}

/** SubjectPublicKeyInfo, as DER. */
export function publicKeyOf(certificate: X509Certificate): Buffer {
  return certificate.publicKey.export({ type: 'spki', format: 'der' })
}

/** Is each signed by the next, which may sign, and is none of them out of date? */
function isPath(chain: readonly X509Certificate[], now: number): boolean {
  return chain.every((each, i) => {
    if (now < Date.parse(each.validFrom) || now > Date.parse(each.validTo)) return false
    const issuer = chain[i + 1]
    return !issuer || (issuer.ca && each.checkIssued(issuer) && each.verify(issuer.publicKey))
  })
}

/** What the server showed, its own first. */
export function shownBy(socket: TLSSocket): readonly X509Certificate[] {
  const chain: X509Certificate[] = []
  let shown = socket.getPeerCertificate(true)
  while (shown?.raw && chain.length < MOST_CERTIFICATES) {
    chain.push(new X509Certificate(shown.raw))
    if (shown.issuerCertificate === shown) break
    shown = shown.issuerCertificate
  }
  return chain
}
