import assert from 'node:assert/strict'
import { once } from 'node:events'
import type { AddressInfo } from 'node:net'
import { test } from 'node:test'
import tls from 'node:tls'
import { CLIENT, mechanism, play, SERVER } from '../smtp/sasl/any-exchange.test.ts'
import { HASHES, saltedPassword, tlsFacts } from './hashes.ts'

const hex = (octets: Uint8Array | undefined): string => Buffer.from(octets ?? []).toString('hex')

test('saslPrep() is that of RFC 4013 §3', () => {
  assert.equal(HASHES.saslPrep('I\u00adX'), 'IX')
  assert.equal(HASHES.saslPrep('user'), 'user')
  assert.equal(HASHES.saslPrep('USER'), 'USER')
  assert.equal(HASHES.saslPrep('\u00aa'), 'a')
  assert.equal(HASHES.saslPrep('\u2168'), 'IX')
  assert.equal(HASHES.saslPrep('\u0007'), undefined)
  assert.equal(HASHES.saslPrep('\u06271'), undefined)
})

test('HMAC-MD5 and HMAC-SHA-256 are those of RFC 2202 §2 and RFC 4231 §4.3', () => {
  const [key, said] = [Buffer.from('Jefe'), Buffer.from('what do ya want for nothing?')]
  assert.equal(hex(HASHES.hmacMd5?.(key, said)), '750c783e6ab0b503eaa86e310a5db738')
  assert.equal(hex(HASHES.hmacSha256(key, said)), '5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843')
})

test('saltedPassword() is Hi of RFC 5802 §2.2', async () => {
  const salt = Buffer.from('W22ZaJ0SNY7soEsUEjb6gQ==', 'base64')
  const salted = await saltedPassword('pencil', { salt, iterations: 4096 })
  assert.equal(hex(salted), 'c4a49510323ab4f952cac1fa99441939e78ea74d6be81ddf7096e87513dc615d')
})

test('equal() takes any lengths', () => {
  assert.ok(HASHES.equal(Uint8Array.of(1, 2), Uint8Array.of(1, 2)))
  assert.ok(!HASHES.equal(Uint8Array.of(1, 2), Uint8Array.of(1, 3)))
  assert.ok(!HASHES.equal(Uint8Array.of(1, 2), Uint8Array.of(1)))
})

/** Both ends of a TLS connection over a shared key, which needs no certificate. */
async function ends(
  version: 'TLSv1.2' | 'TLSv1.3',
): Promise<{ near: tls.TLSSocket; far: tls.TLSSocket; close(): void }> {
  const options: tls.TlsOptions & tls.ConnectionOptions = {
    minVersion: version,
    maxVersion: version,
    ciphers: version === 'TLSv1.3' ? 'TLS_AES_128_GCM_SHA256' : 'PSK',
  }
  const psk = Buffer.alloc(32, 1)
  const server = tls.createServer({ ...options, pskCallback: () => psk, pskIdentityHint: 'x' })
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  const near = tls.connect({
    ...options,
    host: '127.0.0.1',
    port: (server.address() as AddressInfo).port,
    checkServerIdentity: () => undefined,
    pskCallback: () => ({ psk, identity: 'x' }),
  })
  const [[far]] = await Promise.all([once(server, 'secureConnection'), once(near, 'secureConnect')])
  return {
    near,
    far: far as tls.TLSSocket,
    close: () => {
      near.destroy()
      ;(far as tls.TLSSocket).destroy()
      server.close()
    },
  }
}

test('both ends of a TLS 1.3 connection have the same exporter, no two connections have, and TLS 1.2 has none', async () => {
  const [one, other, old] = await Promise.all([ends('TLSv1.3'), ends('TLSv1.3'), ends('TLSv1.2')])
  try {
    const facts = tlsFacts(one.near)
    assert.equal(facts.exporter?.length, 32)
    assert.deepEqual(tlsFacts(one.far), facts)
    assert.notDeepEqual(tlsFacts(other.near).exporter, facts.exporter)
    assert.deepEqual(tlsFacts(old.near), { secured: true })

    const plus = mechanism('SCRAM-SHA-256-PLUS')
    const end = (far: tls.TLSSocket) =>
      play(plus.server({ ...SERVER, tls: tlsFacts(far) }), plus.client({ ...CLIENT, tls: facts })).end.kind
    assert.equal(end(one.far), 'done')
    assert.equal(end(other.far), 'refused')
  } finally {
    for (const each of [one, other, old]) each.close()
  }
})
