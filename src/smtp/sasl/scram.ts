import { bytes, concat, NO_BYTES, toBase64, utf8 } from '../../base/bytes.ts'
import {
  ask,
  askWorld,
  type ClientScript,
  challenge,
  giveUp,
  respond,
  respondLast,
  type ServerScript,
} from './exchange.ts'
import type { Hashes, SaslClientContext, SaslServerContext, ScramVerifier } from './mechanism.ts'
import {
  BINDING,
  type ClientFirst,
  escapeName,
  ITERATIONS,
  parseClientFinal,
  parseClientFirst,
  parseServerFinal,
  parseServerFirst,
} from './scram-message.ts'

/** SCRAM-SHA-256 and SCRAM-SHA-256-PLUS: RFC 5802, RFC 7677, RFC 9266. */
export const SCRAM = 'SCRAM-SHA-256'
export const SCRAM_PLUS = 'SCRAM-SHA-256-PLUS'

/** Octets of a salt, for accounts that there are and that there are not. */
export const SALT_LENGTH = 16
/** Characters of our part of a nonce, 156 bits. */
const NONCE_LENGTH = 24
/** What a nonce may be made of: all that prints but the comma, and the `=`, at which careless readers split. */
const NONCE_DIGITS = Array.from({ length: 94 }, (_, i) => String.fromCharCode(0x21 + i)).filter(
  each => !',='.includes(each),
)

/** The verifier of a password, from its `Hi` (RFC 5802 §3). */
export function scramVerifier(
  salted: Uint8Array,
  { salt, iterations, hashes }: { salt: Uint8Array; iterations: number; hashes: Hashes },
): ScramVerifier {
  const clientKey = hashes.hmacSha256(salted, bytes('Client Key'))
  return {
    iterations,
    salt,
    storedKey: hashes.sha256(clientKey),
    serverKey: hashes.hmacSha256(salted, bytes('Server Key')),
  }
}

/**
 * What is shown of an account that does not exist: the same salt each time somebody asks for that name, and keys that
 * nobody has the password of.
 */
export function decoyVerifier(
  user: string,
  { hashes, secret, iterations }: { hashes: Hashes; secret: Uint8Array; iterations: number },
): ScramVerifier {
  const derive = (what: string): Uint8Array => hashes.hmacSha256(secret, utf8(`${what}\0${user}`))
  return {
    iterations,
    salt: derive('salt').subarray(0, SALT_LENGTH),
    storedKey: derive('stored key'),
    serverKey: derive('server key'),
  }
}

export function scramServer(context: SaslServerContext, { bound }: { bound: boolean }) {
  return function* script(initial: Uint8Array | undefined): ServerScript {
    const { hashes } = context
    const first = parseClientFirst(initial ?? (yield* challenge(NO_BYTES)))
    if ('wrong' in first) return { kind: 'wrong', why: first.wrong }
    const objection = unboundAsItShouldBe(first, context, bound)
    if (objection !== undefined) return { kind: 'refused', why: objection }
    if (first.authzid !== undefined && first.authzid !== first.user)
      return { kind: 'refused', why: 'acting for another is not allowed' }
    const user = hashes.saslPrep(first.user)
    if (!user) return { kind: 'refused', why: 'no account can have such a name (RFC 4013)' }

    const { known } = yield* ask({ kind: 'verifier', user })
    const { iterations, salt, storedKey, serverKey } = known?.verifier ?? decoyVerifier(user, context)
    const nonce = first.nonce + newNonce(hashes)
    const serverFirst = `r=${nonce},s=${toBase64(salt)},i=${iterations}`
    const final = parseClientFinal(yield* challenge(utf8(serverFirst)))
    if ('wrong' in final) return { kind: 'wrong', why: final.wrong }
    if (final.nonce !== nonce) return { kind: 'refused', why: 'not the nonce of this exchange' }
    const binding = concat([utf8(first.header), bound ? (context.tls.exporter ?? NO_BYTES) : NO_BYTES])
    if (!hashes.equal(final.binding, binding))
      return { kind: 'refused', why: 'the client sees another TLS connection, or another beginning of this exchange' }

    const message = utf8(`${first.bare},${serverFirst},${final.withoutProof}`)
    const clientKey = xor(final.proof, hashes.hmacSha256(storedKey, message))
    const right = hashes.equal(hashes.sha256(clientKey), storedKey)
    if (!right || !known) return { kind: 'refused', why: 'no such account, or not its password' }
    // SMTP has no place in a 235 for what the server says last, so it is one challenge more (RFC 4954 §4).
    const empty = yield* challenge(utf8(`v=${toBase64(hashes.hmacSha256(serverKey, message))}`))
    return empty.length === 0
      ? { kind: 'done', user: known.user }
      : { kind: 'wrong', why: 'nothing is left to say after v=' }
  }
}

/** What is wrong with what the client says of channel binding. RFC 5802 §6. */
function unboundAsItShouldBe(
  { flag }: ClientFirst,
  { offered, tls }: SaslServerContext,
  bound: boolean,
): string | undefined {
  if (typeof flag === 'object') {
    if (!bound) return `p= belongs to ${SCRAM_PLUS}`
    if (flag.binding !== BINDING) return `the channel binding is ${BINDING}, and no other`
    return tls.exporter ? undefined : 'this connection has nothing to be bound to'
  }
  if (bound) return `${SCRAM_PLUS} without a channel binding`
  // The client could, and did not see that we can: somebody has altered our list.
  if (flag === 'y' && offered.includes(SCRAM_PLUS)) return `${SCRAM_PLUS} is on our list, and did not reach the client`
  return undefined
}

export function scramClient(context: SaslClientContext, { bound }: { bound: boolean }) {
  return function* script(): ClientScript {
    const { hashes, tls, offered } = context
    const user = hashes.saslPrep(context.user)
    const password = hashes.saslPrep(context.password)
    if (!user || !password) return giveUp('name or password has characters that SASL prohibits (RFC 4013)')
    if (bound && !tls.exporter) return giveUp('this connection has nothing to be bound to')
    const flag = bound ? `p=${BINDING}` : tls.exporter && !offered.includes(SCRAM_PLUS) ? 'y' : 'n'
    const header = `${flag},,`
    const ourNonce = newNonce(hashes)
    const bare = `n=${escapeName(user)},r=${ourNonce}`

    const first = parseServerFirst((yield* respond(utf8(header + bare))) ?? NO_BYTES)
    if ('wrong' in first) return giveUp(first.wrong)
    if (!first.nonce.startsWith(ourNonce) || first.nonce.length === ourNonce.length)
      return giveUp('the server does not go on from our nonce')
    const { salt, iterations } = first
    if (iterations < ITERATIONS.least) return giveUp(`${iterations} iterations are too few (RFC 7677 §4)`)
    if (iterations > ITERATIONS.most) return giveUp(`${iterations} iterations are too many`)

    const { bytes: salted } = yield* askWorld({ kind: 'salted-password', password, salt, iterations })
    const { storedKey, serverKey } = scramVerifier(salted, { salt, iterations, hashes })
    const binding = concat([utf8(header), bound ? (tls.exporter ?? NO_BYTES) : NO_BYTES])
    const withoutProof = `c=${toBase64(binding)},r=${first.nonce}`
    const message = utf8(`${bare},${first.whole},${withoutProof}`)
    const proof = xor(hashes.hmacSha256(salted, bytes('Client Key')), hashes.hmacSha256(storedKey, message))

    const final = parseServerFinal((yield* respond(utf8(`${withoutProof},p=${toBase64(proof)}`))) ?? NO_BYTES)
    if ('wrong' in final) return giveUp(final.wrong)
    // Only the server that knows the account can sign; anybody could say 235.
    if (!hashes.equal(final.signature, hashes.hmacSha256(serverKey, message)))
      return giveUp('the server does not know the password either')
    return yield* respondLast(NO_BYTES)
  }
}

function newNonce({ random }: Hashes): string {
  return Array.from(random(NONCE_LENGTH), octet => NONCE_DIGITS[octet % NONCE_DIGITS.length]).join('')
}

function xor(a: Uint8Array, b: Uint8Array): Uint8Array {
  return a.map((octet, at) => octet ^ (b[at] ?? 0))
}
