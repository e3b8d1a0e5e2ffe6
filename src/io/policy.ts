/** Fetches what a domain publishes about itself over HTTPS, as MTA-STS has it (RFC 8461 §3.3). */
import https from 'node:https'
import type { Duration } from '../base/time.ts'
import { MOST_POLICY } from '../mta/sts.ts'

/** How long a policy may take to come, from all of its addresses together (RFC 8461 §3.3: mail waits for it). */
export const POLICY_WAIT: Duration = 30_000
/** Addresses that are asked; a domain can name as many as it likes. */
export const MOST_PLACES = 4

export interface PolicyPlace {
  /** `mta-sts.b.example`: the certificate must prove it. */
  readonly host: string
  readonly path: string
  readonly addresses: readonly string[]
  readonly port?: number
  /** Who may have signed the certificate, as PEM; absent: whom the system trusts. */
  readonly authorities?: string
  /** Absent: `POLICY_WAIT`. */
  readonly wait?: Duration
}

/** The text, from the first of its addresses that has it. Throws where it is not to be had, saying why. */
export async function fetchPolicy(place: PolicyPlace): Promise<string> {
  let failure: unknown = new Error(`${place.host} has no address`)
  const signal = AbortSignal.timeout(place.wait ?? POLICY_WAIT)
  for (const address of place.addresses.slice(0, MOST_PLACES)) {
    try {
      return await fetchFrom(address, place, signal)
    } catch (cause) {
      failure = cause
      if (signal.aborted) break
    }
  }
  throw failure
}

function fetchFrom(
  address: string,
  { host, path, port = 443, authorities }: PolicyPlace,
  signal: AbortSignal,
): Promise<string> {
  return new Promise((resolve, reject) => {
    const request = https.get({
      host: address,
      port,
      path,
      servername: host,
      headers: { host: port === 443 ? host : `${host}:${port}`, accept: 'text/plain' },
      agent: false,
      ...(authorities !== undefined && { ca: authorities }),
      signal,
    })
    const fail = (why: string) => {
      request.destroy()
      reject(new Error(`https://${host}${path}: ${why}`))
    }
    request.on('error', cause => fail(cause.message))
    request.on('response', response => {
      // A redirection is no policy (RFC 8461 §3.3).
      if (response.statusCode !== 200) return fail(`answered ${response.statusCode}`)
      const kind = response.headers['content-type'] ?? ''
      if (!/^text\/plain\b/i.test(kind)) return fail(`it is ${kind || 'of no type'}, and not text/plain`)
      const pieces: Buffer[] = []
      let size = 0
      response.on('data', (piece: Buffer) => {
        size += piece.length
        pieces.push(piece)
        if (size > MOST_POLICY) fail(`it has more than ${MOST_POLICY} octets`)
      })
      response.on('error', cause => fail(cause.message))
      response.on('end', () => resolve(Buffer.concat(pieces).toString('utf8')))
    })
  })
}
