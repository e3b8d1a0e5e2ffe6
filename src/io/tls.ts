/** TLS on a connection that began without it, or begins with it: both sides, and what is known of it afterwards. */
import { createHash } from 'node:crypto'
import { Duplex } from 'node:stream'
import tls, { type SecureContext } from 'node:tls'

export type { SecureContext } from 'node:tls'

import type { TlsFacts } from '../base/machine.ts'
import { PosternError } from '../base/problem.ts'
import type { Duration } from '../base/time.ts'
import type { Tlsa } from '../mta/resolver.ts'
import { now } from './clock.ts'
import { daneDoubt, publicKeyOf, shownBy } from './dane.ts'

/** A handshake takes a few round trips; who needs longer is not there any more. */
export const HANDSHAKE_WAIT: Duration = 30_000
/** RFC 8996 ended what came before. */
const OLDEST = 'TLSv1.2'
/** RFC 9266 §2. */
const EXPORTER = { label: 'EXPORTER-Channel-Binding', octets: 32 } as const

export interface Secured {
  readonly socket: Duplex
  readonly facts: TlsFacts
}

/** A certificate with its key, as PEM, ready for use. Throws where the two do not fit, or are none. */
export function identity(certificate: string | Uint8Array, key: string | Uint8Array): SecureContext {
  // A context of its own per listener: a ticket from one is worth nothing at another.
  return tls.createSecureContext({ cert: Buffer.from(certificate), key: Buffer.from(key), minVersion: OLDEST })
}

/** What a client expects of the server. */
export interface Expected {
  /** The name its certificate must be for. */
  readonly name: string
  /** Who may have signed it, as PEM; absent: whom the system trusts. */
  readonly authorities?: string
  /** SHA-256 in hex of the certificate, or of its public key (SPKI); then neither its name nor who signed it matters. */
  readonly pin?: string
  /** Records that its certificates must match, one of them (RFC 7672); then who the system trusts does not matter. */
  readonly tlsa?: readonly Tlsa[]
  /** Other names that will do as well as `name`. */
  readonly otherNames?: readonly string[]
  /** What we show, should the server ask. */
  readonly own?: OwnKeys
}

/** A certificate and its key, as PEM. */
export interface OwnKeys {
  readonly certificate: Uint8Array
  readonly key: Uint8Array
}

/** A client that proved itself, and whether its certificate is for a name. */
export interface Known {
  readonly socket: Duplex
  readonly isFor: (name: string) => boolean
}

const ENDS = ['end', 'close'] as const

/** The server's side where the client, too, must show a certificate: fails for whoever has none that counts. */
export function secureKnown(raw: Duplex, { certificate, key }: OwnKeys, authorities: string): Promise<Known> {
  // Whether a client's certificate counts is only asked by a server of this kind; it listens nowhere.
  const server = tls.createServer({
    cert: Buffer.from(certificate),
    key: Buffer.from(key),
    ca: authorities,
    requestCert: true,
    rejectUnauthorized: true,
    minVersion: OLDEST,
    handshakeTimeout: HANDSHAKE_WAIT,
  })
  return new Promise((resolve, reject) => {
    const fail = (cause: Error) => {
      raw.destroy()
      reject(new PosternError('POSTERN_TLS', reasonOf(cause), { side: 'client', retry: 'later', cause }))
    }
    const left = () => fail(new Error('the connection was closed'))
    server.on('secureConnection', socket => {
      for (const event of ENDS) raw.off(event, left)
      const shown = socket.getPeerCertificate()
      resolve({ socket, isFor: name => tls.checkServerIdentity(name, shown) === undefined })
    })
    server.on('tlsClientError', fail)
    // A socket that TLS takes over tells no more of itself, and whoever leaves in the middle of the handshake would be
    // waited for. So TLS gets a stream, and the socket stays ours.
    for (const event of ENDS) raw.once(event, left)
    server.emit('connection', Duplex.from({ readable: raw, writable: raw }))
  })
}

/** The server's side of the handshake; `byName` has a certificate of its own for some of the names a client asks for. */
export function secureServer(
  socket: Duplex,
  context: SecureContext,
  byName?: (name: string) => SecureContext | undefined,
): Promise<Secured> {
  const secure = new tls.TLSSocket(socket as never, {
    isServer: true,
    secureContext: context,
    ...(byName && {
      SNICallback: (name: string, done: (cause: Error | null, context?: SecureContext) => void) =>
        done(null, byName(name) ?? context),
    }),
  })
  return settled(secure, 'secure').then(() => ({ socket: secure, facts: factsOf(secure) }))
}

/** The client's side. It does not fail for a certificate that proves nothing: `facts.unproven` says so. */
export async function secureClient(socket: Duplex, expected: Expected): Promise<Secured> {
  const { name, authorities, own } = expected
  const secure = tls.connect({
    socket: socket as never,
    // An address is no name to ask for (RFC 6066 §3).
    ...(/^[\d.]+$|:/.test(name) ? {} : { servername: name }),
    ...(authorities === undefined ? {} : { ca: authorities }),
    ...(own && { cert: Buffer.from(own.certificate), key: Buffer.from(own.key) }),
    minVersion: OLDEST,
    rejectUnauthorized: false,
    // Asked below, where the answer does not end the connection.
    checkServerIdentity: () => undefined,
  })
  await settled(secure, 'secureConnect')
  const unproven = doubt(secure, expected)
  return { socket: secure, facts: { ...factsOf(secure), ...(unproven !== undefined && { unproven }) } }
}

function doubt(secure: tls.TLSSocket, { name, otherNames = [], pin, tlsa }: Expected): string | undefined {
  const names = [name, ...otherNames]
  const certificate = secure.getPeerCertificate()
  if (pin !== undefined) {
    const shown = secure.getPeerX509Certificate()
    const key = shown ? createHash('sha256').update(publicKeyOf(shown)).digest('hex') : ''
    const found = (certificate.fingerprint256 ?? '').replaceAll(':', '').toLowerCase()
    if ([found, key].includes(pin.replaceAll(':', '').toLowerCase())) return undefined
    return `its certificate is not the pinned one: ${found}, with the public key ${key}`
  }
  if (tlsa) return daneDoubt(shownBy(secure), tlsa, { names, now: now() })
  if (!secure.authorized) return `its certificate is not trusted: ${String(secure.authorizationError)}`
  const doubts = names.map(each => tls.checkServerIdentity(each, certificate)?.message)
  return doubts.includes(undefined) ? undefined : doubts[0]
}

function settled(secure: tls.TLSSocket, event: 'secure' | 'secureConnect'): Promise<void> {
  return new Promise((resolve, reject) => {
    const fail = (why: string, cause?: unknown) => {
      clearTimeout(timer)
      secure.destroy()
      reject(new PosternError('POSTERN_TLS', why, { side: 'client', retry: 'later', cause }))
    }
    const timer = setTimeout(() => fail('it took too long'), HANDSHAKE_WAIT)
    secure.once(event, () => {
      clearTimeout(timer)
      secure.off('close', closed)
      resolve()
    })
    const failed = (cause: Error) => fail(reasonOf(cause), cause)
    const closed = () => fail('the connection was closed')
    // A server's socket tells of its handshake by this event, and by no other.
    secure.on('_tlsError', failed)
    secure.on('error', failed)
    secure.on('close', closed)
  })
}

/** OpenSSL says `8052:error:0A00010B:SSL routines:ssl3_get_record:wrong version number:../ssl/…:` and a line end. */
function reasonOf({ message, reason }: Error & { readonly reason?: string }): string {
  return reason ?? message.trim()
}

function factsOf(secure: tls.TLSSocket): TlsFacts {
  const protocol = secure.getProtocol() ?? ''
  const facts = { protocol, cipher: secure.getCipher().standardName ?? '' }
  // Before TLS 1.3 it is not unique to the connection without an extension we cannot ask for (RFC 9266 §3).
  if (protocol !== 'TLSv1.3') return facts
  return { ...facts, exporter: secure.exportKeyingMaterial(EXPORTER.octets, EXPORTER.label, Buffer.alloc(0)) }
}
