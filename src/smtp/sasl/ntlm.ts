import { concat, copy, NO_BYTES } from '../../base/bytes.ts'
import type { Instant } from '../../base/time.ts'
import {
  ask,
  type ClientScript,
  challenge,
  giveUp,
  listen,
  respond,
  respondLast,
  type ServerScript,
} from './exchange.ts'
import { md4 } from './md4.ts'
import type { Hashes, SaslClientContext, SaslServerContext } from './mechanism.ts'
import {
  ATTRIBUTE,
  type Attribute,
  type Authenticate,
  FLAG,
  formatAttributes,
  formatAuthenticate,
  formatChallenge,
  formatNegotiate,
  HAS_MIC,
  MIC_AT,
  MIC_LENGTH,
  nameBytes,
  nameText,
  parseAttributes,
  parseAuthenticate,
  parseChallenge,
  parseNegotiate,
  uint32,
  uint32Bytes,
  utf16,
} from './ntlm-message.ts'
import { rc4 } from './rc4.ts'

/**
 * NTLM version 2 ([MS-NLMP], over SMTP [MS-SMTPNTLM]). Version 1 and LM are refused: what they send is the password to
 * anybody with an afternoon.
 */

type HmacMd5 = NonNullable<Hashes['hmacMd5']>

/** We neither sign nor seal, TLS does: these are for the client to know how to prove itself. */
const OURS =
  FLAG.unicode |
  FLAG.oem |
  FLAG.requestTarget |
  FLAG.ntlm |
  FLAG.alwaysSign |
  FLAG.extendedSessionSecurity |
  FLAG.key128 |
  FLAG.key56 |
  FLAG.version

/** A version 1 response has 24 octets; a version 2 response a proof, this head, and a list of attributes. */
const V1_LENGTH = 24
const PROOF_LENGTH = 16
const TEMP_HEAD = 28
/** So that a response always fits into its field of 65,535 octets. */
const TARGET_INFO_LIMIT = 16_384
const FORBIDDEN = 'NTLM is made of MD4 and MD5, which FIPS mode forbids'

/** What is kept of a password for NTLM; as good as the password itself to whoever reads it. */
export function ntHash(password: string): Uint8Array {
  return md4(utf16(password))
}

/** NTOWFv2: only the user is upper case, and letter by letter, as Windows does it. [MS-NLMP] §3.3.2. */
export function ntlmKey(
  hash: Uint8Array,
  user: string,
  { domain, hmacMd5 }: { domain: string; hmacMd5: HmacMd5 },
): Uint8Array {
  const letters = Array.from({ length: user.length }, (_, at) => {
    const letter = user.charAt(at)
    const upper = letter.toUpperCase()
    return upper.length === 1 ? upper : letter
  })
  return hmacMd5(hash, utf16(letters.join('') + domain))
}

export function ntlmServer(context: SaslServerContext) {
  return function* script(initial: Uint8Array | undefined): ServerScript {
    const { hashes, strict, secret } = context
    const { hmacMd5 } = hashes
    if (!hmacMd5) return { kind: 'unavailable', why: FORBIDDEN }
    const negotiate = initial ?? (yield* challenge(NO_BYTES, strict ? undefined : 'ntlm supported'))
    const asked = parseNegotiate(negotiate)
    if (!asked) return { kind: 'wrong', why: 'not a NEGOTIATE message' }
    const nonce = hashes.random(8)
    const ours = challengeFor(asked.flags, { context, nonce })

    const said = parseAuthenticate(yield* challenge(ours))
    if (!said) return { kind: 'wrong', why: 'not an AUTHENTICATE message' }
    const { flags, ntResponse } = said
    const user = nameText(said.user, flags)
    const domain = nameText(said.domain, flags)
    if (user === '' || (flags & FLAG.anonymous) !== 0) return { kind: 'refused', why: 'an anonymous client' }
    if (ntResponse.length === 0) return { kind: 'refused', why: 'LM alone is not accepted; the client must use NTLMv2' }
    if (ntResponse.length === V1_LENGTH)
      return { kind: 'refused', why: 'NTLMv1 is not accepted; the client must use NTLMv2' }
    const temp = ntResponse.subarray(PROOF_LENGTH)
    const attributes = temp[0] === 1 && temp[1] === 1 ? parseAttributes(temp.subarray(TEMP_HEAD)) : undefined
    if (!attributes) return { kind: 'wrong', why: 'not an NTLMv2 response' }

    const { known } = yield* ask({ kind: 'nt-hash', user, domain })
    // The same work for a name that nobody has.
    const hash = known?.hash ?? hashes.hmacSha256(secret, utf16(user)).subarray(0, 16)
    const key = ntlmKey(hash, user, { domain, hmacMd5 })
    const proof = hmacMd5(key, concat([nonce, temp]))
    const right = hashes.equal(proof, ntResponse.subarray(0, PROOF_LENGTH))
    if (!right || !known) return { kind: 'refused', why: 'no such account, or not its password' }
    // Whether there is one stands under the proof: it cannot be taken out on the way.
    const micFlags = attributes.find(({ id }) => id === ATTRIBUTE.flags)?.value
    if (micFlags && ((micFlags[0] ?? 0) & HAS_MIC) !== 0) {
      const expected = mic(said, { negotiate, challenge: ours, key: hmacMd5(key, proof), hmacMd5 })
      if (!expected || !hashes.equal(expected, said.whole.subarray(MIC_AT, MIC_AT + MIC_LENGTH)))
        return { kind: 'refused', why: 'the messages were altered on their way (the MIC is not theirs)' }
    }
    return { kind: 'done', user: known.user }
  }
}

function challengeFor(
  asked: number,
  { context: { hostname, now }, nonce }: { context: SaslServerContext; nonce: Uint8Array },
): Uint8Array {
  const both = asked & OURS
  // One alphabet, and Unicode where there is a choice.
  const alphabet = (asked & FLAG.unicode) !== 0 ? both & ~FLAG.oem : both
  const flags = (alphabet | FLAG.ntlm | FLAG.requestTarget | FLAG.targetIsServer | FLAG.targetInfo) >>> 0
  const [label = '', ...rest] = hostname.split('.')
  const netbios = label.toUpperCase().slice(0, 15)
  const attributes: readonly Attribute[] = [
    { id: ATTRIBUTE.nbDomain, value: utf16(netbios) },
    { id: ATTRIBUTE.nbComputer, value: utf16(netbios) },
    { id: ATTRIBUTE.dnsDomain, value: utf16(rest.join('.')) },
    { id: ATTRIBUTE.dnsComputer, value: utf16(hostname) },
    // Where there is a time, the client adds a MIC. [MS-NLMP] §3.1.5.1.2.
    { id: ATTRIBUTE.timestamp, value: fileTime(now) },
  ]
  const targetName = nameBytes(netbios, flags)
  return formatChallenge({ flags, challenge: nonce, targetName, targetInfo: formatAttributes(attributes) })
}

/** Of the three messages, with zeros where it stands itself; `undefined` where there is no room or no key for it. */
function mic(
  { flags, sessionKey, whole }: Authenticate,
  {
    negotiate,
    challenge,
    key,
    hmacMd5,
  }: { negotiate: Uint8Array; challenge: Uint8Array; key: Uint8Array; hmacMd5: HmacMd5 },
): Uint8Array | undefined {
  const exchanged = (flags & FLAG.keyExchange) !== 0 && (flags & (FLAG.sign | FLAG.seal)) !== 0
  if (whole.length < MIC_AT + MIC_LENGTH || (exchanged && sessionKey.length !== 16)) return undefined
  const blank = copy(whole).fill(0, MIC_AT, MIC_AT + MIC_LENGTH)
  return hmacMd5(exchanged ? rc4(key, sessionKey) : key, concat([negotiate, challenge, blank]))
}

export function ntlmClient({ hashes, now, user: name, password }: SaslClientContext) {
  return function* script(): ClientScript {
    const { hmacMd5 } = hashes
    if (!hmacMd5) return giveUp(FORBIDDEN)
    const slash = name.indexOf('\\')
    const domain = slash < 0 ? '' : name.slice(0, slash)
    const user = name.slice(slash + 1)
    if (name.length > 512) return giveUp('a name of more than 512 characters')
    // Outlook sends no initial response, and some servers know none.
    yield* listen()
    const negotiate = formatNegotiate({ flags: OURS & ~FLAG.version })
    const heard = (yield* respond(negotiate)) ?? NO_BYTES
    const theirs = parseChallenge(heard)
    if (!theirs || theirs.targetInfo.length > TARGET_INFO_LIMIT) return giveUp('not a CHALLENGE message')
    const offered = theirs.targetInfo.length === 0 ? [] : parseAttributes(theirs.targetInfo)
    if (!offered) return giveUp('not a CHALLENGE message: its list breaks off')

    // [MS-NLMP] §3.1.5.1.2: with a time of the server's, LM is left out and a MIC is added.
    const timestamp = offered.find(({ id, value }) => id === ATTRIBUTE.timestamp && value.length === 8)
    const attributes = timestamp ? withMicFlag(offered) : offered
    const clientNonce = hashes.random(8)
    const key = ntlmKey(ntHash(password), user, { domain, hmacMd5 })
    const temp = concat([
      Uint8Array.of(1, 1, 0, 0, 0, 0, 0, 0),
      timestamp?.value ?? fileTime(now),
      clientNonce,
      new Uint8Array(4),
      formatAttributes(attributes),
      new Uint8Array(4),
    ])
    const proof = hmacMd5(key, concat([theirs.challenge, temp]))
    const lmResponse = timestamp
      ? new Uint8Array(24)
      : concat([hmacMd5(key, concat([theirs.challenge, clientNonce])), clientNonce])
    const flags = (theirs.flags & OURS & ~(timestamp ? 0 : FLAG.version)) | FLAG.targetInfo
    const whole = formatAuthenticate(
      {
        flags: flags >>> 0,
        lmResponse,
        ntResponse: concat([proof, temp]),
        domain: nameBytes(domain, flags),
        user: nameBytes(user, flags),
        workstation: NO_BYTES,
        sessionKey: NO_BYTES,
      },
      { mic: timestamp !== undefined },
    )
    const said = timestamp && parseAuthenticate(whole)
    const code = said && mic(said, { negotiate, challenge: heard, key: hmacMd5(key, proof), hmacMd5 })
    if (code) whole.set(code, MIC_AT)
    return yield* respondLast(whole)
  }
}

function withMicFlag(attributes: readonly Attribute[]): readonly Attribute[] {
  const before = attributes.find(({ id }) => id === ATTRIBUTE.flags)?.value ?? NO_BYTES
  const flags: Attribute = { id: ATTRIBUTE.flags, value: uint32Bytes((uint32(before, 0) ?? 0) | HAS_MIC) }
  return [...attributes.filter(({ id }) => id !== ATTRIBUTE.flags), flags]
}

/** Tenths of microseconds since 1601, in 8 octets. */
function fileTime(now: Instant): Uint8Array {
  const out = new Uint8Array(8)
  new DataView(out.buffer).setBigUint64(0, (BigInt(Math.trunc(now)) + 11_644_473_600_000n) * 10_000n, true)
  return out
}
