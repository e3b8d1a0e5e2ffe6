import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import { runs } from '../../base/any-bytes.test.ts'
import { bytes, NO_BYTES, text, utf8 } from '../../base/bytes.ts'
import { after, CLIENT, clientWorld, mechanism, play, SERVER, worldOf } from './any-exchange.test.ts'
import type { Need, SaslAnswer, SaslClientAnswer } from './mechanism.ts'
import { choose, MECHANISMS, offer } from './mechanisms.ts'

const exporter = new Uint8Array(32).fill(9)
const bound = { secured: true, exporter }
const boundServer = { ...SERVER, tls: bound, offered: [...SERVER.offered, 'SCRAM-SHA-256-PLUS'] }
const boundClient = { ...CLIENT, tls: bound, offered: boundServer.offered }
const EVERYTHING: ReadonlySet<Need> = new Set(['password', 'verifier', 'nt-hash', 'gss'])

test('the two halves of every mechanism understand each other', () => {
  for (const { name, server, client } of MECHANISMS) {
    const { end, complete } = play(server(boundServer), client(boundClient))
    assert.deepEqual(end, { kind: 'done', user: name === 'GSSAPI' ? 'alice@B.EXAMPLE' : 'alice' }, name)
    assert.ok(complete, name)
  }
})

test('a wrong password and an unknown name are refused with the same words', () => {
  for (const { name, server, client, needs } of MECHANISMS) {
    if (needs === 'gss') continue
    const wrong = play(server(boundServer), client({ ...boundClient, password: 'Wiese' })).end
    const unknown = play(server(boundServer), client({ ...boundClient, user: 'mallory' })).end
    assert.equal(wrong.kind, 'refused', name)
    assert.deepEqual(unknown, wrong, name)
  }
})

test('no refusal tells the password', () => {
  for (const { server, client } of MECHANISMS) {
    const { end } = play(server(boundServer), client({ ...boundClient, user: 'mallory' }))
    assert.doesNotMatch(JSON.stringify(end), /Wiese|mallory/)
  }
})

test('offer() keeps plaintext for TLS, -PLUS for a binding, and what cannot be looked up to itself', () => {
  const names = (means: Parameters<typeof offer>[0]) => offer(means).map(({ name }) => name)
  const means = { tls: { secured: false }, plaintextWithoutTls: false, has: EVERYTHING }
  assert.deepEqual(names(means), ['GSSAPI', 'SCRAM-SHA-256', 'NTLM'])
  assert.deepEqual(names({ ...means, tls: bound }), [
    'GSSAPI',
    'SCRAM-SHA-256-PLUS',
    'SCRAM-SHA-256',
    'NTLM',
    'PLAIN',
    'LOGIN',
  ])
  assert.deepEqual(names({ ...means, plaintextWithoutTls: true, has: new Set<Need>(['password']) }), ['PLAIN', 'LOGIN'])
})

test('choose() takes the strongest of what a server lists, in whatever order and letters', () => {
  const means = { tls: bound, plaintextWithoutTls: false, has: new Set<Need>(['password']) }
  const names = choose(['login', 'Plain', 'GSSAPI', 'XOAUTH2', 'scram-sha-256'], means).map(({ name }) => name)
  assert.deepEqual(names, ['SCRAM-SHA-256', 'PLAIN', 'LOGIN'])
  assert.deepEqual(choose(['LOGIN', 'PLAIN'], { ...means, tls: { secured: false } }), [])
})

test('LOGIN asks for a name and a password, or only for the password where the name came along', () => {
  const slow = mechanism('LOGIN').server(SERVER)
  assert.deepEqual(slow.step(undefined), { kind: 'challenge', bytes: bytes('Username:') })
  assert.deepEqual(slow.step(bytes('alice')), { kind: 'challenge', bytes: bytes('Password:') })
  const question = { kind: 'password', user: 'alice', password: 's3cret' }
  assert.deepEqual(slow.step(bytes('s3cret')), { kind: 'ask', question })
  const quick = mechanism('LOGIN').server(SERVER)
  assert.deepEqual(quick.step(bytes('alice')), { kind: 'challenge', bytes: bytes('Password:') })
  assert.deepEqual(quick.step(bytes('s3cret')), { kind: 'ask', question })
})

test('PLAIN is three parts in one, and acts for nobody else', () => {
  const plain = () => mechanism('PLAIN').server(SERVER)
  const question = { kind: 'password', user: 'alice', password: 'grün' }
  assert.deepEqual(plain().step(utf8('\0alice\0grün')), { kind: 'ask', question })
  assert.deepEqual(plain().step(utf8('alice\0alice\0grün')), { kind: 'ask', question })
  assert.equal(plain().step(utf8('root\0alice\0grün')).kind, 'refused')
  for (const wrong of ['', 'alice', 'alice\0s', '\0alice\0', '\0\0s', '\0a\0b\0c', '\0alice\0\xff']) {
    assert.equal(plain().step(bytes(wrong)).kind, 'wrong', JSON.stringify(wrong))
  }
  assert.deepEqual(plain().step(undefined), { kind: 'challenge', bytes: NO_BYTES })
})

test('the account’s own name counts, however the client spelt it', () => {
  const world = (): SaslAnswer => ({ kind: 'password', user: 'Alice' })
  assert.deepEqual(after(mechanism('PLAIN').server(SERVER), [bytes('\0ALICE\0x')], world), {
    kind: 'done',
    user: 'Alice',
  })
})

test('the client of PLAIN says all at once, and that of LOGIN waits to be asked', () => {
  const plain = mechanism('PLAIN').client({ ...CLIENT, password: 's3cret' })
  assert.equal(text(plain.start().initial ?? NO_BYTES), '\0alice\0s3cret')
  assert.ok(plain.complete)
  const login = mechanism('LOGIN').client({ ...CLIENT, password: 's3cret' })
  assert.deepEqual(login.start(), {})
  assert.deepEqual(login.step(bytes('?')), { kind: 'respond', bytes: bytes('alice') })
  assert.ok(!login.complete)
  assert.deepEqual(login.step(bytes('?')), { kind: 'respond', bytes: bytes('s3cret') })
  assert.ok(login.complete)
  assert.equal(login.step(bytes('?')).kind, 'give-up')
  assert.ok(!login.complete)
})

test('an answer that says nothing ends an exchange as it must', () => {
  for (const kind of ['refused', 'unavailable'] as const) {
    const answer = { kind, why: 'because' }
    assert.deepEqual(
      after(mechanism('PLAIN').server(SERVER), [bytes('\0a\0b')], () => answer),
      answer,
    )
  }
  const other: SaslAnswer = { kind: 'verifier' }
  assert.equal(after(mechanism('PLAIN').server(SERVER), [bytes('\0a\0b')], () => other).kind, 'unavailable')
})

test('after its end a mechanism stays ended', () => {
  for (const { server, name } of MECHANISMS) {
    const made = server(boundServer)
    after(made, [bytes('?'), bytes('?'), bytes('?')])
    assert.equal(made.step(bytes('?')).kind, 'wrong', name)
    assert.equal(made.answer({ kind: 'password', user: 'alice' }).kind, 'unavailable', name)
    assert.equal(made.step(undefined).kind, 'wrong', name)
  }
})

/** Messages with something of each mechanism in them, cut and altered. */
const WORDS = [
  'n,,n=alice,r=abc',
  'y,,',
  'p=tls-exporter,,n=alice,r=abc',
  'c=biws,r=',
  ',p=',
  'NTLMSSP\0\x03\0\0\0',
  '\0alice\0',
  '`',
  '\x05\x01\0\0\0',
  's=QSXCR+Q6sek8bf92,i=4096',
  'v=',
  '\x18\0\x18\0@\0\0\0',
]
const anyMessage = fc.oneof(
  fc.uint8Array({ maxLength: 300 }),
  fc
    .array(fc.oneof(fc.constantFrom(...WORDS).map(bytes), fc.uint8Array({ maxLength: 8 })), { maxLength: 6 })
    .map(parts => Uint8Array.from(parts.flatMap(each => [...each]))),
)
const anyAnswer: fc.Arbitrary<SaslAnswer | SaslClientAnswer> = fc.oneof(
  anyMessage.map(octets => ({ kind: 'gss-wrap', bytes: octets }) as const),
  anyMessage.map(octets => ({ kind: 'gss-unwrap', bytes: octets }) as const),
  anyMessage.map(octets => ({ kind: 'salted-password', bytes: octets }) as const),
  fc.record({ kind: fc.constant('gss-accept' as const), token: anyMessage, user: fc.string() }),
  fc.record({ kind: fc.constant('gss-initiate' as const), token: anyMessage, established: fc.boolean() }),
  fc.constantFrom<SaslAnswer>(
    { kind: 'password' },
    { kind: 'verifier' },
    { kind: 'nt-hash' },
    { kind: 'refused', why: '' },
  ),
)

test('no server throws at any octets, nor logs anybody in by them', () => {
  const nobody = worldOf({})
  fc.assert(
    fc.property(
      fc.constantFrom(...MECHANISMS),
      fc.array(fc.option(anyMessage, { nil: undefined }), { maxLength: 6 }),
      (each, responses) => {
        const step = after(each.server(boundServer), responses, nobody)
        assert.ok(step.kind !== 'done' || each.needs === 'gss')
      },
    ),
    runs(2_000),
  )
})

test('no server and no client throws at any octets and any answers in any order', () => {
  const anyStep = fc.oneof(
    fc.record({ say: fc.option(anyMessage, { nil: undefined }) }),
    fc.record({ answer: anyAnswer }),
  )
  fc.assert(
    fc.property(fc.constantFrom(...MECHANISMS), fc.array(anyStep, { maxLength: 8 }), (each, steps) => {
      const server = each.server(boundServer)
      const client = each.client(boundClient)
      client.start()
      for (const step of steps) {
        if ('say' in step) {
          server.step(step.say)
          client.step(step.say)
        } else {
          server.answer(step.answer as SaslAnswer)
          client.answer(step.answer as SaslClientAnswer)
        }
      }
    }),
    runs(2_000),
  )
})

test('no client believes a server that says anything at all instead of what it must prove', () => {
  const proving = MECHANISMS.filter(({ needs }) => needs === 'verifier')
  fc.assert(
    fc.property(fc.constantFrom(...proving), fc.array(anyMessage, { maxLength: 5 }), (each, challenges) => {
      const client = each.client(boundClient)
      client.start()
      for (const challenge of challenges) {
        let step = client.step(challenge)
        while (step.kind === 'ask') step = client.answer(clientWorld(step.question))
        assert.ok(!client.complete)
      }
    }),
    runs(500),
  )
})

test('whatever is altered on the way, nobody is logged in by another exchange than theirs', () => {
  const scram = mechanism('SCRAM-SHA-256-PLUS')
  fc.assert(
    fc.property(fc.nat(3), fc.nat(400), fc.integer({ min: 1, max: 255 }), (which, at, by) => {
      let count = 0
      let altered = false
      const alter = (_: string, octets: Uint8Array): Uint8Array => {
        if (count++ !== which || octets.length === 0) return octets
        altered = true
        return octets.map((octet, i) => (i === at % octets.length ? octet ^ by : octet))
      }
      const { end, complete } = play(scram.server(boundServer), scram.client(boundClient), { alter })
      assert.ok(!altered || end.kind !== 'done' || !complete)
    }),
    runs(500),
  )
})
