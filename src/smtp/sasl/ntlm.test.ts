import assert from 'node:assert/strict'
import { test } from 'node:test'
import { bytes, concat, fromBase64, NO_BYTES, toBase64 } from '../../base/bytes.ts'
import { HASHES } from '../../io/hashes.ts'
import { after, CLIENT, mechanism, play, SERVER } from './any-exchange.test.ts'
import type { SaslAnswer, SaslServerStep } from './mechanism.ts'
import { ntHash, ntlmKey } from './ntlm.ts'
import {
  ATTRIBUTE,
  FLAG,
  formatAuthenticate,
  nameText,
  parseAttributes,
  parseAuthenticate,
  parseChallenge,
  parseNegotiate,
} from './ntlm-message.ts'
import { rc4 } from './rc4.ts'

const hex = (octets: Uint8Array): string => Buffer.from(octets).toString('hex')
const unhex = (digits: string): Uint8Array => Uint8Array.from(Buffer.from(digits, 'hex'))
const octets = (base64: string): Uint8Array => fromBase64(base64) ?? assert.fail('no base64')
const { hmacMd5 = () => assert.fail('no MD5') } = HASHES

/** From curl's test 906: `testuser`, `testpass`, no domain, workstation `curlhost`. */
const CURL = {
  negotiate: 'TlRMTVNTUAABAAAABoIIAAAAAAAAAAAAAAAAAAAAAAA=',
  challenge:
    'TlRMTVNTUAACAAAAAgACADAAAAAGgoEAc51AYVDgyNcAAAAAAAAAAG4AbgAyAAAAQ0MCAAQAQwBDAAEAEgBFAEwASQBTAEEAQgBFAFQASAAEABgAYwBjAC4AaQBjAGUAZABlAHYALgBuAHUAAwAsAGUAbABpAHMAYQBiAGUAdABoAC4AYwBjAC4AaQBjAGUAZABlAHYALgBuAHUAAAAAAA==',
  v2: 'TlRMTVNTUAADAAAAGAAYAEAAAACeAJ4AWAAAAAAAAAD2AAAACAAIAPYAAAAIAAgA/gAAAAAAAAAAAAAABoKBAMOv20GsURsat8gdH/RfnYI0MzIxNTMyMeCdd8AzFZLZ/N1ujmilmCcBAQAAAAAAAACAPtXesZ0BNDMyMTUzMjEAAAAAAgAEAEMAQwABABIARQBMAEkAUwBBAEIARQBUAEgABAAYAGMAYwAuAGkAYwBlAGQAZQB2AC4AbgB1AAMALABlAGwAaQBzAGEAYgBlAHQAaAAuAGMAYwAuAGkAYwBlAGQAZQB2AC4AbgB1AAAAAAAAAAAAdGVzdHVzZXJjdXJsaG9zdA==',
  proof: 'e09d77c0331592d9fcdd6e8e68a59827',
  v1: 'TlRMTVNTUAADAAAAGAAYAEAAAAAYABgAWAAAAAAAAABwAAAACAAIAHAAAAAIAAgAeAAAAAAAAAAAAAAABoKBAFpkQwKRCZFMhjj0tw47wEjKHRHlvzfxQamFcheMuv8v+xeqphEO5V41xRd7R9deOXRlc3R1c2VyY3VybGhvc3Q=',
} as const

/** What swaks says for `tim`, `tanstaaftanstaaf`: version 1, to a challenge without a list. */
const SWAKS = {
  challenge: 'TlRMTVNTUAACAAAAAAAAAAAoAAABggAA9RH5KZlXvygAAACAAAAAZL//4sQAAAAC',
  v1: 'TlRMTVNTUAADAAAAGAAYAEAAAAAYABgAWAAAAAAAAAAwAAAABgAGAHAAAAAGAAYAdgAAAAAAAAA8AAAAAYIAAK3lcO8PldNxIrkbvgKGJRR5owQePUtYaTtLVgfQiVQBywW2yZKyp+VFGqYfgDtdEHQAaQBtAHQAaQBtAA==',
} as const

const EXCHANGE_CHALLENGE =
  'TlRMTVNTUAACAAAAFgAWADgAAAA1goriZt7rI6Uq/ccAAAAAAAAAAGwAbABOAAAABQLODgAAAA9FAFgAQwBIAC0AQwBMAEkALQA2ADYAAgAWAEUAWABDAEgALQBDAEwASQAtADYANgABABYARQBYAEMASAAtAEMATABJAC0ANgA2AAQAFgBlAHgAYwBoAC0AYwBsAGkALQA2ADYAAwAWAGUAeABjAGgALQBjAGwAaQAtADYANgAAAAAA'

/** A server whose challenge is curl's. */
const vectorServer = () =>
  mechanism('NTLM').server({ ...SERVER, hashes: { ...HASHES, random: () => unhex('739d406150e0c8d7') } })
const world = (): SaslAnswer => ({ kind: 'nt-hash', known: { user: 'testuser', hash: ntHash('testpass') } })
const finish = (authenticate: Uint8Array): SaslServerStep =>
  after(vectorServer(), [octets(CURL.negotiate), authenticate], world)

test('keys and proofs are those of [MS-NLMP] §4.2.4', () => {
  const hash = ntHash('Password')
  assert.equal(hex(hash), 'a4f49c406510bdcab6824ee7c30fd852')
  const key = ntlmKey(hash, 'User', { domain: 'Domain', hmacMd5 })
  assert.equal(hex(key), '0c868a403bfd7a93a3001ef22ef02e3f')
  const [server, client] = [unhex('0123456789abcdef'), unhex('aa'.repeat(8))]
  const list = unhex(`02000c0044006f006d00610069006e0001000c0053006500720076006500720000000000`)
  const temp = concat([
    unhex('0101000000000000'),
    new Uint8Array(8),
    client,
    new Uint8Array(4),
    list,
    new Uint8Array(4),
  ])
  const proof = hmacMd5(key, concat([server, temp]))
  assert.equal(hex(proof), '68cd0ab851e51c96aabc927bebef6a1c')
  const lm = concat([hmacMd5(key, concat([server, client])), client])
  assert.equal(hex(lm), '86c35097ac9cec102554764a57cccc19aaaaaaaaaaaaaaaa')
  const session = hmacMd5(key, proof)
  assert.equal(hex(session), '8de40ccadbc14a82f15cb0ad0de95ca3')
  assert.equal(hex(rc4(session, unhex('55'.repeat(16)))), 'c5dad2544fc9799094ce1ce90bc9d03e')
})

test('only the user is upper case, letter by letter', () => {
  const key = (user: string, domain: string): string => hex(ntlmKey(ntHash('x'), user, { domain, hmacMd5 }))
  assert.equal(key('user', 'Domain'), key('USER', 'Domain'))
  assert.notEqual(key('user', 'Domain'), key('user', 'DOMAIN'))
  assert.equal(key('größe', ''), key('GRÖßE', ''))
  assert.notEqual(key('größe', ''), key('GRÖSSE', ''))
})

test('the server says what Exchange says, or nothing where it is strict', () => {
  const step = mechanism('NTLM').server(SERVER).step(undefined)
  assert.deepEqual(step, { kind: 'challenge', bytes: NO_BYTES, text: 'ntlm supported' })
  assert.deepEqual(
    mechanism('NTLM')
      .server({ ...SERVER, strict: true })
      .step(undefined),
    {
      kind: 'challenge',
      bytes: NO_BYTES,
    },
  )
})

test('the server’s challenge has its names, a time, and no more than the client asked for', () => {
  const step = vectorServer().step(octets(CURL.negotiate))
  const parsed = step.kind === 'challenge' ? parseChallenge(step.bytes) : undefined
  assert.ok(parsed)
  assert.equal(hex(parsed.challenge), '739d406150e0c8d7')
  assert.equal(nameText(parsed.targetName, parsed.flags), 'MAIL')
  const attributes = (parseAttributes(parsed.targetInfo) ?? []).map(
    ({ id, value }) => [id, id === ATTRIBUTE.timestamp ? hex(value) : nameText(value, FLAG.unicode)] as const,
  )
  assert.deepEqual(Object.fromEntries(attributes), {
    [ATTRIBUTE.nbDomain]: 'MAIL',
    [ATTRIBUTE.nbComputer]: 'MAIL',
    [ATTRIBUTE.dnsDomain]: 'b.example',
    [ATTRIBUTE.dnsComputer]: 'mail.b.example',
    // 2023-11-14T22:13:20Z
    [ATTRIBUTE.timestamp]: '00006dc64717da01',
  })
  assert.equal(parsed.flags & FLAG.unicode, 0)
  assert.equal(parsed.flags & (FLAG.sign | FLAG.seal | FLAG.keyExchange), 0)
  assert.notEqual(parsed.flags & FLAG.targetInfo, 0)
})

test('curl’s version 2 response is accepted, and no other octet in its place', () => {
  const right = octets(CURL.v2)
  const parsed = parseAuthenticate(right)
  assert.equal(hex(parsed?.ntResponse.subarray(0, 16) ?? NO_BYTES), CURL.proof)
  assert.deepEqual(finish(right), { kind: 'done', user: 'testuser' })
  // Proof, head, list: everything of the response is under the proof.
  for (let at = 0x58; at < 0xf6; at++) {
    const altered = right.with(at, (right[at] ?? 0) ^ 0x20)
    assert.notEqual(finish(altered).kind, 'done', `octet ${at}`)
  }
})

test('version 1 and LM are refused, and it is said why', () => {
  const why = /NTLMv1 is not accepted; the client must use NTLMv2/
  for (const v1 of [CURL.v1, SWAKS.v1]) {
    const step = finish(octets(v1))
    assert.equal(step.kind, 'refused')
    assert.match(JSON.stringify(step), why)
  }
  const parsed = parseAuthenticate(octets(CURL.v1))
  assert.equal(hex(parsed?.ntResponse ?? NO_BYTES), 'a98572178cbaff2ffb17aaa6110ee55e35c5177b47d75e39')
  const swaks = parseAuthenticate(octets(SWAKS.v1))
  assert.equal(hex(swaks?.ntResponse ?? NO_BYTES), '3b4b5607d0895401cb05b6c992b2a7e5451aa61f803b5d10')
  assert.ok(parsed)
  const lmOnly = finish(formatAuthenticate({ ...parsed, ntResponse: NO_BYTES }, { mic: false }))
  assert.match(JSON.stringify(lmOnly), /LM alone is not accepted/)
})

test('an anonymous client is refused', () => {
  const parsed = parseAuthenticate(octets(CURL.v2))
  assert.ok(parsed)
  assert.equal(finish(formatAuthenticate({ ...parsed, user: NO_BYTES }, { mic: false })).kind, 'refused')
  const flags = parsed.flags | FLAG.anonymous
  assert.equal(finish(formatAuthenticate({ ...parsed, flags }, { mic: false })).kind, 'refused')
})

test('a message cut anywhere, or pointing behind its end, is none', () => {
  const whole = octets(CURL.v2)
  for (let length = 0; length < whole.length; length++) {
    assert.equal(finish(whole.subarray(0, length)).kind, 'wrong', `${length} octets`)
  }
  for (const at of [12, 20, 36, 44]) {
    // The offset of a field that is not empty.
    assert.equal(parseAuthenticate(whole.with(at + 7, 0xff)), undefined, `field at ${at}`)
  }
  assert.equal(parseNegotiate(octets(CURL.negotiate).subarray(0, 15)), undefined)
  assert.equal(parseChallenge(octets(CURL.challenge).subarray(0, 31)), undefined)
})

test('what is put together is what curl puts together', () => {
  const whole = octets(CURL.v2)
  const parsed = parseAuthenticate(whole)
  assert.ok(parsed)
  assert.equal(nameText(parsed.workstation, parsed.flags), 'curlhost')
  // An empty field points at where it would be, as Windows has it; curl's session key points at 0.
  const ours = formatAuthenticate(parsed, { mic: false })
  assert.deepEqual([...ours.subarray(56, 60)], [6, 1, 0, 0])
  assert.equal(toBase64(ours.fill(0, 56, 60)), CURL.v2)
})

test('the client makes curl’s proof of curl’s challenge', () => {
  const client = mechanism('NTLM').client({
    ...CLIENT,
    user: 'testuser',
    password: 'testpass',
    // 2009-... as in the vector: the time stands in its response.
    now: Number((unhex64('00803ed5deb19d01') - 116_444_736_000_000_000n) / 10_000n),
    hashes: { ...HASHES, random: () => bytes('43215321') },
  })
  assert.deepEqual(client.start(), {})
  const first = client.step(undefined)
  assert.ok(first.kind === 'respond' && parseNegotiate(first.bytes))
  const second = client.step(octets(CURL.challenge))
  const ours = second.kind === 'respond' ? parseAuthenticate(second.bytes) : undefined
  const theirs = parseAuthenticate(octets(CURL.v2))
  assert.ok(ours && theirs)
  assert.equal(hex(ours.ntResponse), hex(theirs.ntResponse))
  assert.equal(hex(ours.lmResponse), hex(theirs.lmResponse))
  assert.deepEqual([ours.user, ours.domain], [theirs.user, theirs.domain])
  assert.ok(client.complete)
})

function unhex64(digits: string): bigint {
  return new DataView(unhex(digits).buffer).getBigUint64(0, true)
}

test('challenges of Exchange and of others are read', () => {
  const exchange = parseChallenge(octets(EXCHANGE_CHALLENGE))
  assert.equal(hex(exchange?.challenge ?? NO_BYTES), '66deeb23a52afdc7')
  assert.equal(nameText(exchange?.targetName ?? NO_BYTES, FLAG.unicode), 'EXCH-CLI-66')
  const attributes = parseAttributes(exchange?.targetInfo ?? NO_BYTES)
  assert.deepEqual(
    attributes?.map(({ id, value }) => [id, nameText(value, FLAG.unicode)]),
    [
      [ATTRIBUTE.nbDomain, 'EXCH-CLI-66'],
      [ATTRIBUTE.nbComputer, 'EXCH-CLI-66'],
      [ATTRIBUTE.dnsDomain, 'exch-cli-66'],
      [ATTRIBUTE.dnsComputer, 'exch-cli-66'],
    ],
  )
  const bare = parseChallenge(octets(SWAKS.challenge))
  assert.equal(hex(bare?.challenge ?? NO_BYTES), 'f511f9299957bf28')
})

test('a domain in front of the name goes where it belongs', () => {
  const server = mechanism('NTLM').server(SERVER)
  const client = mechanism('NTLM').client({ ...CLIENT, user: 'Corp\\alice', password: 'x' })
  const asked: unknown[] = []
  const { end } = play(server, client, {
    world: question => {
      asked.push(question)
      return { kind: 'nt-hash', known: { user: 'alice', hash: ntHash('x') } }
    },
  })
  assert.deepEqual(asked, [{ kind: 'nt-hash', user: 'alice', domain: 'Corp' }])
  assert.equal(end.kind, 'done')
})

test('the MIC covers all three messages: not one octet may change', () => {
  const lengths: number[] = []
  let timeIsShown = true
  const end = (which: number, at: number): string => {
    let count = 0
    return play(mechanism('NTLM').server(SERVER), mechanism('NTLM').client(CLIENT), {
      alter: (_, message) => {
        lengths[count] = message.length
        const passed = count === which ? message.with(at, (message[at] ?? 0) ^ 1) : message
        if (count++ === 1) timeIsShown = showsTime(passed)
        return passed
      },
    }).end.kind
  }
  assert.equal(end(-1, 0), 'done')
  const [negotiate = 0, challenge = 0, authenticate = 0] = lengths
  assert.ok(negotiate >= 32 && challenge >= 56 && authenticate >= 88)
  for (const [which, length] of [negotiate, challenge, authenticate].entries()) {
    for (let at = 0; at < length; at++) {
      const ended = end(which, at)
      // A client that is shown no time makes no MIC; it is an old one to us.
      assert.ok(ended !== 'done' || !timeIsShown, `message ${which + 1}, octet ${at}`)
    }
  }
})

function showsTime(challenge: Uint8Array): boolean {
  const attributes = parseAttributes(parseChallenge(challenge)?.targetInfo ?? NO_BYTES)
  return attributes?.some(({ id }) => id === ATTRIBUTE.timestamp) ?? false
}

test('a session key of the client’s is taken out before the MIC is made', () => {
  // As Windows does it: the key that signs is its own, hidden by the one that both know.
  const server = mechanism('NTLM').server(SERVER)
  const client = mechanism('NTLM').client(CLIENT)
  client.start()
  const first = client.step(undefined)
  assert.ok(first.kind === 'respond')
  const challenge = server.step(first.bytes)
  assert.ok(challenge.kind === 'challenge')
  const last = client.step(challenge.bytes)
  const said = last.kind === 'respond' ? parseAuthenticate(last.bytes) : undefined
  assert.ok(said)
  const key = ntlmKey(ntHash(CLIENT.password), 'alice', { domain: '', hmacMd5 })
  const session = hmacMd5(key, said.ntResponse.subarray(0, 16))
  const exported = unhex('77'.repeat(16))
  const flags = (said.flags | FLAG.keyExchange | FLAG.sign) >>> 0
  const whole = formatAuthenticate({ ...said, flags, sessionKey: rc4(session, exported) }, { mic: true })
  whole.set(hmacMd5(exported, concat([first.bytes, challenge.bytes, whole])), 72)
  assert.deepEqual(after(server, [whole]), { kind: 'done', user: 'alice' })
})

test('where MD5 is forbidden, NTLM says so and nothing else breaks', () => {
  const { hmacMd5: _, ...hashes } = HASHES
  const step = mechanism('NTLM')
    .server({ ...SERVER, hashes })
    .step(undefined)
  assert.equal(step.kind, 'unavailable')
  assert.match(JSON.stringify(step), /FIPS/)
  const client = mechanism('NTLM').client({ ...CLIENT, hashes })
  assert.deepEqual(client.start(), {})
  assert.equal(client.step(undefined).kind, 'give-up')
})
