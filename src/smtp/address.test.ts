import assert from 'node:assert/strict'
import { test } from 'node:test'
import { domainToASCII, domainToUnicode } from 'node:url'
import fc from 'fast-check'
import { runs } from '../base/any-bytes.test.ts'
import { domainKey, sameDomain, sameMailbox } from './address.ts'

test('a domain in U-labels and in A-labels, in either case, is one domain', () => {
  for (const spelling of [
    'bücher.example',
    'BÜCHER.Example',
    'xn--bcher-kva.example',
    'XN--BCHER-KVA.EXAMPLE',
    'bu\u0308cher.example',
  ])
    assert.ok(sameDomain('bücher.example', spelling), spelling)
  assert.equal(domainKey('*.bücher.example'), '*.xn--bcher-kva.example')
  assert.ok(
    sameMailbox({ local: 'Bob', domain: 'παράδειγμα.ελ' }, { local: 'bob', domain: 'xn--hxajbheg2az3al.xn--qxam' }),
  )
  assert.equal(sameDomain('bücher.example', 'bucher.example'), false)
  // A local part has one spelling.
  assert.equal(sameMailbox({ local: 'bü', domain: 'a.example' }, { local: 'xn--b-xga', domain: 'a.example' }), false)
})

test('ASCII is compared as ever', () => {
  assert.equal(domainKey('Mail-B.b_c.EXAMPLE'), 'mail-b.b_c.example')
  assert.equal(domainKey('[IPv6:2001:DB8::1]'), '[ipv6:2001:db8::1]')
  assert.equal(domainKey(''), '')
})

test('a look-alike that is no U-label is no domain of anybody', () => {
  // Full width, a dot leader, an ideographic stop, the sign for kelvin, a soft hyphen.
  for (const odd of ['ａ.example', 'a\u2024example', 'a\u3002example', 'ban\u212a.example', 'a\u00ad.example'])
    for (const meant of ['a.example', 'bank.example']) assert.equal(sameDomain(odd, meant), false, odd)
})

test('no character becomes another within ASCII, nor makes a label that is no name', () => {
  // The Greek question mark, a grave accent, the sign for kelvin: alone as beside a letter outside ASCII.
  for (const odd of ['\u037e', '\u1fef', '\u212a'])
    for (const label of [odd, `z${odd}`, `${odd}ü`])
      assert.equal(domainKey(`${label}.example`), `${label}.example`, label)
  assert.equal(domainKey('a;ü.example'), 'a;ü.example')
  for (let point = 0x80; point <= 0x10ffff; point++) {
    const label = `ü${String.fromCodePoint(point)}`
    const key = domainKey(label)
    if (key === label) assert.ok([0x37e, 0x1fef, 0x212a].includes(point), point.toString(16))
    // Only of İ, which is an i with a dot above that dot, is a part in ASCII.
    else assert.match(key, point === 0x130 ? /^xn--i-[a-z0-9]+$/ : /^xn--[a-z0-9]+$/, point.toString(16))
  }
})

test('an A-label is what Node makes of the U-label, and whatever there is has a key', () => {
  const label = fc.array(fc.constantFrom(...'abcz09äöüßéñąłøœþπρδσжёя中文字ไทย한국ヱ'), { minLength: 1, maxLength: 20 })
  fc.assert(
    fc.property(label, chars => {
      const domain = `${chars.join('').normalize('NFC')}.example`
      const ascii = domainToASCII(domain)
      // What Node maps to something else, or does not take, has no A-label.
      if (domainToUnicode(ascii) === domain) assert.equal(domainKey(domain), ascii)
    }),
    runs(500),
  )
  fc.assert(
    fc.property(fc.string({ unit: 'binary' }), text => {
      assert.equal(domainKey(domainKey(text)), domainKey(text))
    }),
    runs(500),
  )
})
