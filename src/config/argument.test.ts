import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import {
  ADDRESS,
  COMMON_KINDS,
  type CommonKind,
  DOMAIN,
  DURATION,
  FILE,
  IP,
  IPV4,
  LEVEL,
  MASK,
  NAME,
  NUMBER,
  PORT,
  PORTS,
  PREFIX,
  SECURITY,
  SIZE,
  TEXT,
  WORD,
} from './argument.ts'
import { formatIpv6, mask6, parseIpv6, prefixLength6 } from './ip.ts'

function value<T>(kind: CommonKind<T>, word: string): T | string {
  const reading = kind.read(word)
  if ('value' in reading) return reading.value
  return reading.hint === undefined ? reading.wrong : `${reading.wrong}: ${reading.hint}`
}

test('a port is a number or one of the names the PIX knows', () => {
  assert.equal(value(PORT, '25'), 25)
  assert.equal(value(PORT, 'smtp'), 25)
  assert.equal(value(PORT, 'imap4'), 143)
  assert.equal(
    value(PORT, '65536'),
    '"65536" is not a port: expected 1 to 65535, or ftp, ssh, telnet, smtp, domain, www, pop3, imap4, ldap, https',
  )
  for (const word of ['0', '-1', '25.0', '0x19', 'constructor', '', '99999999999999999999']) {
    assert.match(String(value(PORT, word)), /is not a port/)
  }
})

test('ports are one or a range, the lower first', () => {
  assert.deepEqual(value(PORTS, '25'), { from: 25, to: 25 })
  assert.deepEqual(value(PORTS, 'smtp-26'), { from: 25, to: 26 })
  assert.equal(PORTS.show({ from: 25, to: 25 }), '25')
  assert.equal(PORTS.show({ from: 25, to: 26 }), '25-26')
  assert.equal(value(PORTS, '26-25'), '"26-25" is not a range of ports: expected the lower port first: 25-26')
  assert.equal(
    value(PORTS, '25-'),
    '"25-" is not a port or a range of ports: expected ports from 1 to 65535, such as 25 or 25-26',
  )
})

test('security levels reach from 0 to 100, with and without the word', () => {
  assert.equal(value(LEVEL, '100'), 100)
  assert.equal(value(LEVEL, '101'), '"101" is not a security level: expected 0 to 100')
  assert.equal(value(SECURITY, 'security0'), 0)
  assert.equal(value(SECURITY, '50'), '"50" is not a security level: expected security0 to security100, in one word')
  assert.equal(
    value(SECURITY, 'security101'),
    '"security101" is not a security level: expected security0 to security100, in one word',
  )
})

test('an IPv4 address has four numbers without leading zeros', () => {
  assert.equal(value(IP, '10.53.7.203'), '10.53.7.203')
  assert.equal(value(IP, '255.255.255.255'), '255.255.255.255')
  const hint = 'expected four numbers from 0 to 255, without leading zeros'
  for (const word of ['10.54.7.256', '010.0.0.1', '10.0.0', '1.2.3.4.5', '1..2.3']) {
    assert.equal(value(IP, word), `"${word}" is not an IPv4 address: ${hint}`)
  }
  assert.equal(
    value(IP, '10.0.0.0/8'),
    '"10.0.0.0/8" is not an IP address: expected no prefix length: write a mask as its own word',
  )
  assert.equal(value(IP, 'mail'), '"mail" is not an IP address: expected one such as 10.54.7.1 or 2001:db8::1')
})

test('an IPv6 address is read in every spelling of RFC 4291 and shown in the one of RFC 5952', () => {
  const spellings = {
    '::': '::',
    '::1': '::1',
    '1::': '1::',
    '2001:0DB8:0:0:0:0:0:1': '2001:db8::1',
    '2001:db8:0:1:1:1:1:1': '2001:db8:0:1:1:1:1:1',
    '2001:db8::1:1:1:1:1': '2001:db8:0:1:1:1:1:1',
    '1:2:3:4:5:6:7::': '1:2:3:4:5:6:7:0',
    '::2:3:4:5:6:7:8': '0:2:3:4:5:6:7:8',
    '2001:0:0:1:0:0:0:1': '2001:0:0:1::1',
    '2001:db8:0:0:1:0:0:1': '2001:db8::1:0:0:1',
    '::ffff:192.0.2.1': '::ffff:192.0.2.1',
    '::ffff:c000:201': '::ffff:192.0.2.1',
    '64:ff9b::192.0.2.33': '64:ff9b::c000:221',
    '1:2:3:4:5:6:1.2.3.4': '1:2:3:4:5:6:102:304',
    'FE80::A': 'fe80::a',
  }
  for (const [written, canonical] of Object.entries(spellings)) assert.equal(value(IP, written), canonical, written)
})

test('what only looks like an IPv6 address is refused', () => {
  const hint = 'expected eight groups of hex digits, or :: for zeros'
  const wrong = [
    ':',
    ':::',
    '1',
    '1:2',
    '1:2:3:4:5:6:7',
    '1:2:3:4:5:6:7:8:9',
    '1::2::3',
    '1:2:3:4:5:6:7:8::',
    '12345::',
  ]
  wrong.push(':1:2:3:4:5:6:7:8', '1:2:3:4:5:6:7:', '::1.2.3', '1.2.3.4::', '1.2.3.4:5::', '::1.2.3.4:5', '::g', '::-1')
  wrong.push('1::2:3:4:5:6:7:8', '1:2:3:4:5:6:7:1.2.3.4', ': :', '0'.repeat(46))
  for (const word of wrong) assert.equal(parseIpv6(word), undefined, word)
  assert.equal(value(IP, '1::2::3'), `"1::2::3" is not an IPv6 address: ${hint}`)
  assert.equal(value(IP, 'fe80::1%eth0'), '"fe80::1%eth0" is not an IP address: expected no zone after %')
})

test('every IPv6 address is read back from its canonical spelling, as URL writes it', () => {
  const groups = fc.array(fc.oneof(fc.constant(0), fc.nat(0xffff)), { minLength: 8, maxLength: 8 })
  fc.assert(
    fc.property(groups, groups => {
      const shown = formatIpv6(groups)
      assert.deepEqual(parseIpv6(shown), groups)
      if (!shown.includes('.')) assert.equal(new URL(`http://[${shown}]/`).hostname, `[${shown}]`)
    }),
  )
})

test('a netmask has its ones before its zeros, and a wildcard is recognised', () => {
  assert.equal(value(MASK, '255.255.255.0'), '255.255.255.0')
  assert.equal(value(MASK, '0.0.0.0'), '0.0.0.0')
  assert.equal(value(MASK, '255.255.255.255'), '255.255.255.255')
  assert.equal(value(MASK, '128.0.0.0'), '128.0.0.0')
  assert.equal(
    value(MASK, '0.0.0.255'),
    '"0.0.0.255" is not a netmask: expected 255.255.255.0: this is the wildcard form of IOS',
  )
  assert.equal(
    value(MASK, '255.0.255.0'),
    '"255.0.255.0" is not a netmask: expected its ones to stand before its zeros',
  )
  assert.equal(value(MASK, '/24'), '"/24" is not a netmask: expected one such as 255.255.255.0')
})

test('a domain is a name, in lower case', () => {
  assert.equal(value(DOMAIN, 'Mail-A.Example'), 'mail-a.example')
  assert.equal(value(DOMAIN, 'localhost'), 'localhost')
  assert.equal(value(DOMAIN, 'bücher.example'), 'bücher.example')
  assert.equal(value(DOMAIN, 'a.example.'), '"a.example." is not a domain: expected no dot at the end')
  assert.equal(value(DOMAIN, '10.53.7.203'), '"10.53.7.203" is not a domain: expected a name, not an IP address')
  const hint = 'expected letters, digits and hyphens between dots, such as mail-b.example'
  for (const word of ['-a.example', 'a..example', '10.53.7.300', '[10.0.0.1]', 'a b']) {
    assert.equal(value(DOMAIN, word), `"${word}" is not a domain: ${hint}`)
  }
  assert.equal(value(DOMAIN, ''), `an empty word is not a domain: ${hint}`)
})

test('a mail address has a local part and a domain', () => {
  assert.equal(value(ADDRESS, 'Bob@B.Example'), 'Bob@b.example')
  assert.equal(value(ADDRESS, '"Bob B"@b.example'), '"Bob B"@b.example')
  assert.equal(value(ADDRESS, '"bob"@b.example'), 'bob@b.example')
  const hint = 'expected local@domain, such as postmaster@a.example'
  assert.equal(value(ADDRESS, 'bob'), `"bob" is not a mail address: ${hint}`)
  assert.equal(value(ADDRESS, 'bob@'), `"bob@" is not a mail address: not a domain behind the @; ${hint}`)
  assert.equal(
    value(ADDRESS, '<bob@b.example>'),
    '"<bob@b.example>" is not a mail address: expected it without < and >',
  )
})

test('sizes and lengths of time are shown with their largest unit', () => {
  assert.equal(value(SIZE, '10m'), 10 * 1024 * 1024)
  assert.equal(value(SIZE, '64K'), 65_536)
  assert.equal(SIZE.show(65_536), '64k')
  assert.equal(SIZE.show(65_537), '65537')
  assert.equal(SIZE.show(0), '0')
  assert.equal(
    value(SIZE, '10mb'),
    '"10mb" is not a size: expected bytes, or a number with k, m or g, such as 64k or 10m',
  )
  assert.equal(value(SIZE, '999999999999999g').toString().slice(0, 10), '"999999999')
  assert.equal(value(DURATION, '120m'), 7_200_000)
  assert.equal(DURATION.show(7_200_000), '2h')
  assert.equal(
    value(DURATION, '2 days'),
    '"2 days" is not a length of time: expected a number with ms, s, m, h or d, such as 30s or 2d',
  )
})

test('words, names, numbers, paths and texts take what they promise', () => {
  assert.equal(value(WORD, 'two words'), 'two words')
  assert.equal(value(WORD, ''), 'an empty word is not a word: expected at least one character')
  assert.equal(value(NAME, 'pix/intf2'), 'pix/intf2')
  assert.match(value(NAME, 'a,b'), /^"a,b" is not a name: expected letters, digits and _ \. \/ \+ -/)
  assert.match(value(NAME, 'a'.repeat(65)), /64 at most$/)
  assert.equal(value(NUMBER, '007'), 7)
  assert.equal(value(NUMBER, '1e3'), '"1e3" is not a number: expected digits, 15 at most')
  assert.equal(value(FILE, ''), 'an empty word is not a path: expected one such as tls/mail-a.pem')
  assert.equal(value(TEXT, ''), '')
})

test('every kind reads any word without throwing, and what it shows is read as the same value', () => {
  const word = fc.oneof(
    fc.string({ unit: 'binary' }),
    fc.string({ unit: fc.constantFrom(...'0123456789.:-abcdefkmgsh@"[]<>\\/%') }),
    fc.nat().map(String),
    fc.ipV4(),
    fc.ipV6(),
    fc.emailAddress(),
    fc.domain(),
    fc.tuple(fc.nat(), fc.constantFrom('ms', 's', 'm', 'h', 'd', 'k', 'g')).map(([count, unit]) => `${count}${unit}`),
    fc.constantFrom('security7', 'smtp', '25-26', '255.255.0.0'),
  )
  const kinds = COMMON_KINDS as readonly CommonKind<unknown>[]
  fc.assert(
    fc.property(word, fc.constantFrom(...kinds), (word, kind) => {
      const reading = kind.read(word)
      if ('value' in reading) assert.deepEqual(kind.read(kind.show(reading.value)), reading)
      else assert.ok(reading.hint)
    }),
    { numRuns: 3_000 },
  )
})

test('an IPv6 network is an address with the length of its prefix, and an address with a netmask is an IPv4 one', () => {
  assert.deepEqual(value(PREFIX, '2001:DB8:0::/32'), { ip: '2001:db8::', length: 32 })
  assert.deepEqual(value(PREFIX, '::/0'), { ip: '::', length: 0 })
  for (const word of ['2001:db8::', '2001:db8::/129', '10.0.0.0/8', '/32', '::/', '::/x']) {
    assert.match(
      String(value(PREFIX, word)),
      /not an IPv6 network: expected an address and the length of its prefix/,
      word,
    )
  }
  assert.equal(value(IPV4, '10.54.7.1'), '10.54.7.1')
  assert.match(String(value(IPV4, '2001:db8::1')), /not an IPv4 address: .* is written with its prefix length/)
  assert.match(String(value(IPV4, '10.0.0')), /four numbers/)
})

test('an IPv6 netmask has as many ones as its prefix is long, and no others are one', () => {
  for (let length = 0; length <= 128; length++) assert.equal(prefixLength6(mask6(length)), length)
  assert.equal(mask6(33), 'ffff:ffff:8000::')
  for (const odd of ['ffff::ffff', '7fff::', '255.255.0.0', 'x']) assert.equal(prefixLength6(odd), undefined, odd)
})
