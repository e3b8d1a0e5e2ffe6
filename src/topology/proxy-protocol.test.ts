import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import { bytes, concat } from '../base/bytes.ts'
import { formatIpv4, formatIpv6 } from '../config/ip.ts'
import { type Ends, formatProxyHeader, MAX_V1, MAX_V2, readProxyHeader } from './proxy-protocol.ts'

const ENDS: Ends = {
  source: '198.51.100.7',
  sourcePort: 56324,
  destination: '192.0.2.25',
  destinationPort: 25,
}
const V2 = '\r\n\r\n\0\r\nQUIT\n'

test('readProxyHeader() takes a line of version 1, and tells where the client begins', () => {
  const line = 'PROXY TCP4 198.51.100.7 192.0.2.25 56324 25\r\n'
  assert.deepEqual(readProxyHeader(bytes(`${line}EHLO x\r\n`)), { kind: 'proxied', ends: ENDS, length: line.length })
  assert.deepEqual(readProxyHeader(bytes('PROXY UNKNOWN whatever it says\r\n')), { kind: 'local', length: 32 })
  const six = readProxyHeader(bytes('PROXY TCP6 2001:DB8::0:1 ::1 1 2\r\n'))
  assert.equal(six.kind === 'proxied' && six.ends.source, '2001:db8::1')
})

test('readProxyHeader() takes a header of version 2, its additions skipped, and a LOCAL one', () => {
  const body = '\xc6\x33\x64\x07\xc0\x00\x02\x19\xdc\x04\x00\x19'
  const added = '\x04\x00\x03abc'
  const header = `${V2}\x21\x11\x00${String.fromCharCode(body.length + added.length)}${body}${added}`
  assert.deepEqual(readProxyHeader(bytes(`${header}EHLO`)), { kind: 'proxied', ends: ENDS, length: header.length })
  assert.deepEqual(readProxyHeader(bytes(`${V2}\x20\x00\x00\x00`)), { kind: 'local', length: 16 })
})

test('an IPv4 address that comes as one of IPv6 is the IPv4 address, in both versions', () => {
  const one = readProxyHeader(bytes('PROXY TCP6 ::ffff:198.51.100.7 ::FFFF:C000:219 56324 25\r\n'))
  const mapped = `${'\0'.repeat(10)}\xff\xff`
  const body = `${mapped}\xc6\x33\x64\x07${mapped}\xc0\x00\x02\x19\xdc\x04\x00\x19`
  const two = readProxyHeader(bytes(`${V2}\x21\x21\x00\x24${body}`))
  for (const read of [one, two]) assert.deepEqual(read.kind === 'proxied' && read.ends, ENDS)
})

test('what is no header is refused at the first octet that shows it', () => {
  for (const [octets, why] of [
    ['EHLO x\r\n', 'this is no PROXY header'],
    ['PROXZ', 'this is no PROXY header'],
    ['PROXY TCP5 1.2.3.4 1.2.3.4 1 2\r\n', 'the family is neither TCP4 nor TCP6 nor UNKNOWN'],
    ['PROXY TCP4 1.2.3.04 1.2.3.4 1 2\r\n', 'an address is not one of TCP4'],
    ['PROXY TCP4 ::1 ::1 1 2\r\n', 'an address is not one of TCP4'],
    ['PROXY TCP4 1.2.3.4 1.2.3.4 1 65536\r\n', 'a port is not one'],
    ['PROXY TCP4 1.2.3.4 1.2.3.4 1 2 3\r\n', 'the line has too many words'],
    [`PROXY TCP4 ${'1'.repeat(MAX_V1)}`, `no line end within ${MAX_V1} octets`],
    [`${V2}\x31\x11\x00\x0c`, 'the version is not 2'],
    [`${V2}\x22\x11\x00\x0c`, 'the command is neither LOCAL nor PROXY'],
    [`${V2}\x21\x11\xff\xff`, `the header is longer than ${MAX_V2} octets`],
    [`${V2}\x21\x12\x00\x00`, 'the family is not TCP over IPv4 or IPv6'],
    [`${V2}\x21\x11\x00\x00`, 'the addresses are cut off'],
  ] as const) {
    assert.deepEqual(readProxyHeader(bytes(octets)), { kind: 'wrong', why }, octets)
  }
})

const anyPort = fc.integer({ min: 0, max: 65_535 })
const anyIps = fc.oneof(
  fc.array(fc.nat(2 ** 32 - 1).map(formatIpv4), { minLength: 2, maxLength: 2 }),
  fc.array(
    fc
      .array(fc.nat(0xffff), { minLength: 8, maxLength: 8 })
      .map(formatIpv6)
      .filter(ip => !ip.includes('.')),
    { minLength: 2, maxLength: 2 },
  ),
)
const anyEnds: fc.Arbitrary<Ends> = fc
  .tuple(anyIps, anyPort, anyPort)
  .map(([[source = '', destination = ''], sourcePort, destinationPort]) => ({
    source,
    destination,
    sourcePort,
    destinationPort,
  }))
const anyVersion = fc.constantFrom(1 as const, 2 as const)

test('what formatProxyHeader() writes is read back, whatever follows it, and no part of it is taken for the whole', () => {
  fc.assert(
    fc.property(anyVersion, anyEnds, fc.uint8Array({ maxLength: 40 }), (version, ends, rest) => {
      const header = formatProxyHeader(version, ends)
      const read = readProxyHeader(concat([header, rest]))
      assert.deepEqual(read, { kind: 'proxied', ends, length: header.length })
      for (let cut = 0; cut < header.length; cut++) {
        assert.equal(readProxyHeader(header.subarray(0, cut)).kind, 'more')
      }
    }),
  )
})

test('any octets give an answer, and no more than the longest header is ever asked for', () => {
  const anyStart = fc.constantFrom('', 'PROXY ', 'PROXY TCP4 ', V2, `${V2}\x21\x11`)
  fc.assert(
    fc.property(anyStart, fc.uint8Array({ maxLength: MAX_V2 + 10 }), (start, rest) => {
      const octets = concat([bytes(start), rest])
      const read = readProxyHeader(octets)
      if (octets.length >= MAX_V2) assert.notEqual(read.kind, 'more')
      if (read.kind === 'proxied' || read.kind === 'local') assert.ok(read.length <= octets.length)
    }),
  )
})

test('ends of two families are told as unknown', () => {
  const mixed = { ...ENDS, destination: '::1' }
  assert.deepEqual(formatProxyHeader(1, mixed), bytes('PROXY UNKNOWN\r\n'))
  assert.equal(readProxyHeader(formatProxyHeader(2, mixed)).kind, 'local')
})
