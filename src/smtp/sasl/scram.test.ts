import assert from 'node:assert/strict'
import { test } from 'node:test'
import { bytes, NO_BYTES, text, toBase64, utf8 } from '../../base/bytes.ts'
import { HASHES } from '../../io/hashes.ts'
import { after, CLIENT, clientWorld, mechanism, play, SERVER, verifierOf } from './any-exchange.test.ts'
import type { SaslAnswer, SaslServerContext, SaslServerStep } from './mechanism.ts'
import { NONCE_LIMIT, parseClientFirst } from './scram-message.ts'

/** RFC 7677 §3: user `user`, password `pencil`. */
const VECTOR = {
  salt: Buffer.from('W22ZaJ0SNY7soEsUEjb6gQ==', 'base64'),
  clientNonce: 'rOprNGfwEbeRWgbNEkqO',
  serverNonce: '%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0',
  clientFirst: 'n,,n=user,r=rOprNGfwEbeRWgbNEkqO',
  serverFirst: 'r=rOprNGfwEbeRWgbNEkqO%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0,s=W22ZaJ0SNY7soEsUEjb6gQ==,i=4096',
  clientFinal:
    'c=biws,r=rOprNGfwEbeRWgbNEkqO%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0,p=dHzbZapWIk4jUhN+Ute9ytag9zjfMHgsqmmiz7AndVQ=',
  serverFinal: 'v=6rriTRBi23WpRR/wtup+mMhUZUn/dB5nLTJRsjl95G4=',
} as const

/** The octets that become this nonce: what prints, in order, but `,` and `=`. */
function chanceOf(nonce: string): Uint8Array {
  const digits = Array.from({ length: 94 }, (_, i) => String.fromCharCode(0x21 + i)).filter(
    each => !',='.includes(each),
  )
  return Uint8Array.from(nonce, digit => digits.indexOf(digit))
}

const vectorServer = (context: SaslServerContext = SERVER) =>
  mechanism('SCRAM-SHA-256').server({ ...context, hashes: { ...HASHES, random: () => chanceOf(VECTOR.serverNonce) } })
const vectorClient = () =>
  mechanism('SCRAM-SHA-256').client({
    ...CLIENT,
    user: 'user',
    password: 'pencil',
    hashes: { ...HASHES, random: () => chanceOf(VECTOR.clientNonce) },
  })
const world = (): SaslAnswer => ({
  kind: 'verifier',
  known: { user: 'user', verifier: verifierOf('pencil', VECTOR.salt) },
})
const said = (step: SaslServerStep): string => (step.kind === 'challenge' ? text(step.bytes) : JSON.stringify(step))

test('the server says what RFC 7677 §3 says', () => {
  const server = vectorServer()
  assert.equal(said(after(server, [bytes(VECTOR.clientFirst)], world)), VECTOR.serverFirst)
  assert.equal(said(after(server, [bytes(VECTOR.clientFinal)], world)), VECTOR.serverFinal)
  assert.deepEqual(server.step(NO_BYTES), { kind: 'done', user: 'user' })
})

test('the client says what RFC 7677 §3 says, and is complete only once the server has signed', () => {
  const client = vectorClient()
  assert.equal(text(client.start().initial ?? NO_BYTES), VECTOR.clientFirst)
  const asked = client.step(bytes(VECTOR.serverFirst))
  assert.ok(asked.kind === 'ask' && asked.question.kind === 'salted-password')
  assert.equal(asked.question.iterations, 4096)
  const final = client.answer(clientWorld(asked.question))
  assert.equal(final.kind === 'respond' && text(final.bytes), VECTOR.clientFinal)
  assert.ok(!client.complete)
  assert.deepEqual(client.step(bytes(VECTOR.serverFinal)), { kind: 'respond', bytes: NO_BYTES })
  assert.ok(client.complete)
})

test('a server that cannot sign is not believed', () => {
  for (const final of [`v=${toBase64(new Uint8Array(32))}`, 'v=', 'e=other-error', '', 'v=6rriTRBi']) {
    const client = vectorClient()
    client.start()
    const asked = client.step(bytes(VECTOR.serverFirst))
    if (asked.kind === 'ask') client.answer(clientWorld(asked.question))
    assert.equal(client.step(bytes(final)).kind, 'give-up', final)
    assert.ok(!client.complete)
  }
})

test('the client gives up on a beginning that is not for it', () => {
  const wrongs = {
    'another nonce': VECTOR.serverFirst.replace('rOpr', 'xOpr'),
    'its own nonce and nothing of the server’s': 'r=rOprNGfwEbeRWgbNEkqO,s=W22ZaJ0SNY7soEsUEjb6gQ==,i=4096',
    'too few iterations': VECTOR.serverFirst.replace('4096', '1000'),
    'too many iterations': VECTOR.serverFirst.replace('4096', '100000000'),
    'iterations that are no number': VECTOR.serverFirst.replace('4096', '4096x'),
    'no salt': VECTOR.serverFirst.replace(/s=[^,]*/, 's='),
  }
  for (const [what, first] of Object.entries(wrongs)) {
    const client = vectorClient()
    client.start()
    assert.equal(client.step(bytes(first)).kind, 'give-up', what)
  }
})

test('an account that does not exist looks like any other, the same each time, and fails at the end', () => {
  const first = (user: string, context = SERVER): string =>
    said(after(mechanism('SCRAM-SHA-256').server(context), [bytes(`n,,n=${user},r=abc`)]))
  const salt = (challenge: string): string => /,s=([A-Za-z0-9+/]{22}==),i=4096$/.exec(challenge)?.[1] ?? challenge
  assert.match(first('alice'), /^r=abc[^,]+,s=[A-Za-z0-9+/]{22}==,i=4096$/)
  assert.match(first('mallory'), /^r=abc[^,]+,s=[A-Za-z0-9+/]{22}==,i=4096$/)
  assert.equal(salt(first('mallory')), salt(first('mallory')))
  assert.notEqual(salt(first('mallory')), salt(first('mallet')))
  assert.notEqual(salt(first('mallory')), salt(first('mallory', { ...SERVER, secret: new Uint8Array(32) })))
  const { end } = play(
    mechanism('SCRAM-SHA-256').server(SERVER),
    mechanism('SCRAM-SHA-256').client({ ...CLIENT, user: 'mallory' }),
  )
  assert.deepEqual(end, { kind: 'refused', why: 'no such account, or not its password' })
})

test('y is refused where -PLUS is on the list, and fine where it is not', () => {
  const offered = [...SERVER.offered, 'SCRAM-SHA-256-PLUS']
  const yes = bytes('y,,n=alice,r=abc')
  assert.equal(after(mechanism('SCRAM-SHA-256').server({ ...SERVER, offered }), [yes]).kind, 'refused')
  assert.equal(after(mechanism('SCRAM-SHA-256').server(SERVER), [yes]).kind, 'challenge')
})

test('a client that could be bound, and was shown a list without -PLUS, gives away whoever altered it', () => {
  const tls = { secured: true, exporter: new Uint8Array(32) }
  const client = mechanism('SCRAM-SHA-256').client({ ...CLIENT, tls })
  const server = mechanism('SCRAM-SHA-256').server({ ...SERVER, tls, offered: ['SCRAM-SHA-256', 'SCRAM-SHA-256-PLUS'] })
  assert.equal(play(server, client).end.kind, 'refused')
})

test('-PLUS is for two ends of one connection', () => {
  const tls = (fill: number) => ({ secured: true, exporter: new Uint8Array(32).fill(fill) })
  const plus = mechanism('SCRAM-SHA-256-PLUS')
  const end = (server: number, client: number) =>
    play(plus.server({ ...SERVER, tls: tls(server) }), plus.client({ ...CLIENT, tls: tls(client) })).end
  assert.deepEqual(end(1, 1), { kind: 'done', user: 'alice' })
  assert.equal(end(1, 2).kind, 'refused')
})

test('channel binding flag and mechanism must agree', () => {
  const context = { ...SERVER, tls: { secured: true, exporter: new Uint8Array(32) } }
  const kind = (name: string, first: string) => after(mechanism(name).server(context), [bytes(first)]).kind
  assert.equal(kind('SCRAM-SHA-256-PLUS', 'n,,n=alice,r=abc'), 'refused')
  assert.equal(kind('SCRAM-SHA-256-PLUS', 'y,,n=alice,r=abc'), 'refused')
  assert.equal(kind('SCRAM-SHA-256-PLUS', 'p=tls-unique,,n=alice,r=abc'), 'refused')
  assert.equal(kind('SCRAM-SHA-256-PLUS', 'p=tls-exporter,,n=alice,r=abc'), 'challenge')
  assert.equal(kind('SCRAM-SHA-256', 'p=tls-exporter,,n=alice,r=abc'), 'refused')
})

test('a first message that is none is 501', () => {
  const wrongs = [
    '',
    'n',
    'n,,',
    'n,,n=alice',
    'n,,n=,r=abc',
    'n,,n=al=ice,r=abc',
    'n,,n=al=2cice,r=abc',
    'n,,n=alice,r=',
    'n,,n=alice,r=a b',
    'n,,m=x,n=alice,r=abc',
    'x,,n=alice,r=abc',
    'p=,,n=alice,r=abc',
    'n,alice,n=alice,r=abc',
    'n,,r=abc,n=alice',
    'n,,n=al\0ice,r=abc',
    `n,,n=alice,r=${'x'.repeat(NONCE_LIMIT + 1)}`,
    'n,,n=\xff,r=abc',
  ]
  for (const wrong of wrongs) {
    assert.equal(after(mechanism('SCRAM-SHA-256').server(SERVER), [bytes(wrong)]).kind, 'wrong', JSON.stringify(wrong))
  }
})

test('comma and equals sign of a name are said otherwise, and letters are prepared', () => {
  const first = parseClientFirst(utf8('n,a=x=2Cy,n=x=2Cy=3D,r=abc'))
  assert.ok(!('wrong' in first))
  assert.equal(first.user, 'x,y=')
  assert.equal(first.authzid, 'x,y')
  // RFC 4013 §3: a soft hyphen is nothing, and a Roman numeral is letters.
  const asked = mechanism('SCRAM-SHA-256').server(SERVER).step(utf8('n,,n=\u2168I\u00adX,r=abc'))
  assert.deepEqual(asked, { kind: 'ask', question: { kind: 'verifier', user: 'IXIX' } })
  assert.equal(mechanism('SCRAM-SHA-256').server(SERVER).step(utf8('n,,n=\u0007,r=abc')).kind, 'refused')
})

test('acting for another is refused, and for oneself is not', () => {
  const kind = (first: string) => after(mechanism('SCRAM-SHA-256').server(SERVER), [bytes(first)]).kind
  assert.equal(kind('n,a=root,n=alice,r=abc'), 'refused')
  assert.equal(kind('n,a=alice,n=alice,r=abc'), 'challenge')
})

test('a last message with another nonce, header or proof is refused, and one that is none is 501', () => {
  const kind = (final: string) => after(vectorServer(), [bytes(VECTOR.clientFirst), bytes(final)], world).kind
  assert.equal(kind(VECTOR.clientFinal), 'challenge')
  assert.equal(kind(VECTOR.clientFinal.replace('%hv', '%hw')), 'refused')
  assert.equal(kind(VECTOR.clientFinal.replace('biws', 'eSws')), 'refused')
  assert.equal(kind(VECTOR.clientFinal.replace('dHzb', 'dHzc')), 'refused')
  for (const wrong of ['', VECTOR.clientFinal.replace('c=biws,', ''), VECTOR.clientFinal.replace(/.{5}$/, '')]) {
    assert.equal(kind(wrong), 'wrong', wrong)
  }
})
