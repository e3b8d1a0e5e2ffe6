import assert from 'node:assert/strict'
import { test } from 'node:test'
import { bytes } from '../../base/bytes.ts'
import { md4 } from './md4.ts'
import { rc4 } from './rc4.ts'

const hex = (octets: Uint8Array): string => Buffer.from(octets).toString('hex')

test('md4() is that of RFC 1320 §A.5', () => {
  const suite = {
    '': '31d6cfe0d16ae931b73c59d7e0c089c0',
    a: 'bde52cb31de33e46245e05fbdbd6fb24',
    abc: 'a448017aaf21d8525fc10ae87aa6729d',
    'message digest': 'd9130a8164549fe818874806e1c7014b',
    abcdefghijklmnopqrstuvwxyz: 'd79e1c308aa5bbcdeea8ed63df412da9',
    ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789: '043f8582f241db351ce627e153e7f0e4',
    '12345678901234567890123456789012345678901234567890123456789012345678901234567890':
      'e33b4ddc9c38f2199c3e7b164fcc0536',
  }
  for (const [said, digest] of Object.entries(suite)) assert.equal(hex(md4(bytes(said))), digest, said)
})

test('md4() pads around the end of a block, and goes on over several', () => {
  // By OpenSSL's legacy provider.
  const digests = {
    55: '92f32bb82c95ad10e8f87ae58ab06807',
    56: '374d5f08103b7092c83b4626ebceffab',
    63: '2870452596e98fffd48332289b3472b9',
    64: 'b1abf956a5ae6f3221e5fe85e300fbb0',
    65: 'afc1a3308fc176a53238a09aeddec2e6',
    119: 'b55ae15e41e55643b0c3daad5e05c905',
    120: 'd8f9adfc41ec43552619606c70cfd287',
  }
  for (const [length, digest] of Object.entries(digests)) {
    assert.equal(hex(md4(bytes('x'.repeat(Number(length))))), digest, length)
  }
})

test('rc4() is that of RFC 6229 and undoes itself', () => {
  const key = Uint8Array.of(1, 2, 3, 4, 5)
  const stream = rc4(key, new Uint8Array(16))
  assert.equal(hex(stream), 'b2396305f03dc027ccc3524a0a1118a8')
  assert.equal(hex(rc4(key, stream)), '0'.repeat(32))
})
