import assert from 'node:assert/strict'
import { test } from 'node:test'
import { bytes, NO_BYTES, utf8 } from '../../base/bytes.ts'
import { after, CLIENT, mechanism, SERVER, worldOf } from './any-exchange.test.ts'
import type { SaslAnswer, SaslClientAnswer, SaslClientStep, SaslQuestion, SaslServerStep } from './mechanism.ts'

const server = (strict = false) => mechanism('GSSAPI').server({ ...SERVER, strict })
const TOKEN = Uint8Array.of(0x60, 0x82)
/** As the GSS of these tests wraps it. */
const wrapped = (...octets: number[]): Uint8Array => Uint8Array.of(5, ...octets)

test('the server takes a token, answers with its own, and offers no layer and no size', () => {
  const machine = server()
  const { step } = machine
  assert.deepEqual(step(undefined), { kind: 'challenge', bytes: NO_BYTES, text: 'GSSAPI supported' })
  assert.deepEqual(after(machine, [TOKEN]), { kind: 'challenge', bytes: Uint8Array.of(0x6f) })
  assert.deepEqual(after(machine, [NO_BYTES]), { kind: 'challenge', bytes: wrapped(1, 0, 0, 0) })
  assert.deepEqual(after(machine, [wrapped(1, 0, 0, 0)]), { kind: 'done', user: 'alice@B.EXAMPLE' })
})

test('a strict server says nothing that is no base64', () => {
  assert.deepEqual(server(true).step(undefined), { kind: 'challenge', bytes: NO_BYTES })
})

test('the authzid is the principal, its first part, or nothing, and has no terminator', () => {
  const end = (authzid: string): string =>
    after(server(), [TOKEN, NO_BYTES, Uint8Array.of(...wrapped(1, 0, 0, 0), ...utf8(authzid))]).kind
  for (const own of ['', 'alice', 'alice@B.EXAMPLE']) assert.equal(end(own), 'done', own)
  assert.equal(end('root'), 'refused')
  assert.equal(end('alice\0'), 'wrong')
})

test('a layer that was not offered, two at once, a size without one, and half a message are not accepted', () => {
  const end = (...octets: number[]): string => after(server(), [TOKEN, NO_BYTES, wrapped(...octets)]).kind
  assert.equal(end(2, 0, 0, 0), 'refused')
  assert.equal(end(3, 0, 0, 0), 'refused')
  assert.equal(end(0, 0, 0, 0), 'refused')
  assert.equal(end(1, 0, 0xbb, 0x80), 'refused')
  assert.equal(end(1, 0, 0), 'wrong')
  assert.equal(after(server(), [TOKEN, NO_BYTES, bytes('no wrap')]).kind, 'refused')
})

test('a token that the library refuses, more than it wants, and no end of tokens', () => {
  assert.equal(after(server(), [bytes('NTLMSSP\0')]).kind, 'refused')
  assert.equal(after(server(), [TOKEN, TOKEN]).kind, 'wrong')
  const endless = (question: SaslQuestion): SaslAnswer =>
    question.kind === 'gss-accept' ? { kind: 'gss-accept', token: TOKEN } : { kind: 'unavailable', why: '' }
  const steps = Array.from({ length: 9 }, () => TOKEN)
  assert.deepEqual(after(server(), steps, endless), { kind: 'refused', why: 'no context after 8 tokens' })
  const stuck = (): SaslAnswer => ({ kind: 'gss-accept' })
  assert.equal(after(server(), [TOKEN], stuck).kind, 'refused')
})

test('without a token to answer with, the server goes on to the layers at once', () => {
  const oneWay = (question: SaslQuestion): SaslAnswer =>
    question.kind === 'gss-accept' ? { kind: 'gss-accept', user: 'alice@B.EXAMPLE' } : worldOf({})(question)
  assert.deepEqual(after(server(), [TOKEN], oneWay), { kind: 'challenge', bytes: wrapped(1, 0, 0, 0) })
})

/** Leads a client to the layers. */
function clientAtLayers(): {
  step: (bytes: Uint8Array) => SaslClientStep
  answer: (a: SaslClientAnswer) => SaslClientStep
} {
  const client = mechanism('GSSAPI').client(CLIENT)
  assert.deepEqual(client.start(), {})
  assert.deepEqual(client.step(undefined), { kind: 'ask', question: { kind: 'gss-initiate' } })
  const first = client.answer({ kind: 'gss-initiate', token: TOKEN, established: false })
  assert.deepEqual(first, { kind: 'respond', bytes: TOKEN })
  const second = client.step(bytes('o'))
  assert.deepEqual(second, { kind: 'ask', question: { kind: 'gss-initiate', token: bytes('o') } })
  // Nothing left to say for the context: an empty response, as the captures of Exchange have it.
  assert.deepEqual(client.answer({ kind: 'gss-initiate', established: true }), { kind: 'respond', bytes: NO_BYTES })
  return client
}

test('the client takes no layer of what is offered, Exchange’s with its size included', () => {
  for (const layers of [Uint8Array.of(1, 0, 0, 0), Uint8Array.of(1, 0, 0xbb, 0x80), Uint8Array.of(7, 0, 0x40, 0)]) {
    const client = clientAtLayers()
    assert.deepEqual(client.step(bytes('w')), { kind: 'ask', question: { kind: 'gss-unwrap', bytes: bytes('w') } })
    const asked = client.answer({ kind: 'gss-unwrap', bytes: layers })
    assert.deepEqual(asked, { kind: 'ask', question: { kind: 'gss-wrap', bytes: Uint8Array.of(1, 0, 0, 0) } })
    assert.deepEqual(client.answer({ kind: 'gss-wrap', bytes: bytes('x') }), { kind: 'respond', bytes: bytes('x') })
  }
})

test('the client gives up where a layer is wanted, or a message is none', () => {
  for (const layers of [Uint8Array.of(6, 0, 0x40, 0), Uint8Array.of(1, 0, 0), NO_BYTES]) {
    const client = clientAtLayers()
    client.step(bytes('w'))
    assert.equal(client.answer({ kind: 'gss-unwrap', bytes: layers }).kind, 'give-up')
  }
})

test('no failure of the library is an end that looks like another', () => {
  const kinds = (answer: SaslAnswer): SaslServerStep => after(server(), [TOKEN], () => answer)
  const missing = { kind: 'unavailable', why: 'the keytab /etc/krb5.keytab is not there' } as const
  assert.deepEqual(kinds(missing), missing)
  const client = mechanism('GSSAPI').client(CLIENT)
  client.start()
  client.step(undefined)
  assert.deepEqual(client.answer(missing), { kind: 'give-up', why: missing.why })
})
