import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import { runs } from '../base/any-bytes.test.ts'
import { formatDiagnostic } from '../base/problem.ts'
import { diff } from '../config/diff.ts'
import { parse, parseLine } from '../config/parse.ts'
import { show } from '../config/show.ts'
import { anyFirewallLine } from './any-line.test.ts'
import { check } from './check.ts'
import { sayCheck } from './check-report.ts'
import { FIREWALL } from './commands.ts'
import { notEnforced } from './commands-kept.ts'
import type { FirewallConfig } from './config.ts'
import { convertFixups } from './convert.ts'

/** Texts as they stand in the field: each reads without an error, and what is shown of it reads as the same. */

function read(text: string): FirewallConfig {
  const { config, problems } = parse(FIREWALL, text, 'fw.conf')
  const errors = problems.filter(({ severity }) => severity === 'error')
  assert.deepEqual(errors.map(formatDiagnostic), [], text)
  return config
}

/** Without what only tells where a line stood. */
function plain(config: FirewallConfig): unknown {
  return JSON.parse(JSON.stringify(config, (key, value) => (key === 'at' || key === 'implied' ? undefined : value)))
}

function roundTrip(config: FirewallConfig): FirewallConfig {
  const text = show(FIREWALL, config)
  const again = read(text)
  assert.deepEqual(plain(again), plain(config), text)
  assert.equal(show(FIREWALL, again), text)
  return again
}

const INTERFACES = `nameif ethernet0 outside security0
nameif ethernet1 inside security100
nameif ethernet2 vpn security50
`

const ASA = String.raw`: Saved
:
ASA Version 8.2(5)
!
hostname ciscoasa
domain-name b.example
enable password 8Ry2YjIyt7RRXU24 encrypted
names
name 10.54.7.10 mail-b description the mail server
dns-guard
!
interface Ethernet0/0
 description to the provider
 nameif outside
 security-level 0
 ip address 192.0.2.2 255.255.255.0
 ipv6 address 2001:db8:1::2/64
!
interface Ethernet0/1
 nameif inside
 security-level 100
 ip address 10.54.7.1 255.255.255.0
!
interface Ethernet0/2
 shutdown
 no nameif
 no security-level
 no ip address
!
ftp mode passive
object-group network MAILERS
 network-object host mail-b
 network-object 10.54.8.0 255.255.255.0
object-group service MAIL tcp
 port-object eq smtp
 port-object eq 587
access-list outside_in remark mail only
access-list outside_in extended permit tcp any host 192.0.2.10 object-group MAIL
access-list outside_in extended permit icmp any any echo-reply
access-list outside_in extended permit tcp any6 host 2001:db8:1::10 eq smtp
access-list outside_in extended deny ip any any log
pager lines 24
logging enable
mtu outside 1500
no failover
icmp unreachable rate-limit 1 burst-size 1
asdm image disk0:/asdm-645.bin
no asdm history enable
arp timeout 14400
global (outside) 1 interface
nat (inside) 1 0.0.0.0 0.0.0.0
static (inside,outside) tcp interface smtp mail-b smtp netmask 255.255.255.255
static (inside,outside) 192.0.2.10 mail-b netmask 255.255.255.255
static (inside,outside) 2001:db8:1::10 fd00::10
access-group outside_in in interface outside
route outside 0.0.0.0 0.0.0.0 192.0.2.1 1
ipv6 route outside ::/0 2001:db8:1::1
timeout xlate 3:00:00
dynamic-access-policy-record DfltAccessPolicy
http server enable
no snmp-server location
crypto ipsec transform-set T esp-3des esp-md5-hmac
crypto map M 10 match address ACL
tunnel-group 198.51.100.1 type ipsec-l2l
tunnel-group 198.51.100.1 ipsec-attributes
 pre-shared-key *****
telnet timeout 5
regex badsender "@spam\.example"
regex exe "application/x-msdownload"
!
class-map type regex match-any bad
 match regex badsender
class-map inspection_default
 match default-inspection-traffic
!
!
policy-map type inspect dns preset_dns_map
 parameters
  message-length maximum 512
policy-map type inspect esmtp own
 description for mail-b
 parameters
  no mask-banner
  allow-tls action log
  mail-relay b.example action drop-connection log
  special-character action drop-connection log
 match cmd line length gt 512
  drop-connection log
 match mime filetype regex exe
  reset log
 match sender-address regex class bad
  drop-connection
 match ehlo-reply-parameter others
  mask
 match not cmd verb auth data ehlo helo mail rcpt rset quit noop
  mask log
 match cmd RCPT count gt 100
  rate-limit 5
policy-map global_policy
 class inspection_default
  inspect dns preset_dns_map
  inspect ftp
  inspect esmtp own
  inspect sqlnet
!
service-policy global_policy global
prompt hostname context
Cryptochecksum:c1d2e3
: end
`

const ASA_8_4 = `ASA Version 8.4(3)
interface GigabitEthernet0/0
 nameif outside
 security-level 0
 ip address dhcp setroute
interface GigabitEthernet0/1
 nameif inside
 security-level 100
 ip address 10.54.7.1 255.255.255.0 standby 10.54.7.2
interface Management0/0
 management-only
 no nameif
 no security-level
same-security-traffic permit inter-interface
object network obj_any
 subnet 0.0.0.0 0.0.0.0
object network mail-b
 host 10.54.7.10
object network mail-b-outside
 host 192.0.2.10
object network pool
 range 192.0.2.20 192.0.2.30
object network net6
 subnet 2001:db8:54::/48
object service submission
 service tcp destination eq 587
object-group network DM_INLINE_NETWORK_1
 network-object object mail-b
 network-object host 10.54.7.11
 group-object OTHERS
access-list outside_access_in extended permit tcp any object mail-b eq smtp
access-list outside_access_in extended permit tcp any4 object-group DM_INLINE_NETWORK_1 range 25 26 log disable
access-list outside_access_in extended permit object-group TCPUDP any any eq domain inactive
object network mail-b
 nat (inside,outside) static mail-b-outside service tcp smtp 2525
object network obj_any
 nat (inside,outside) dynamic interface
nat (inside,outside) source static mail-b mail-b destination static net6 net6 no-proxy-arp
access-group outside_access_in in interface outside
class-map inspection_default
 match default-inspection-traffic
class-map submission
 match port tcp eq 587
class-map listed
 match access-list outside_access_in
policy-map type inspect esmtp esmtp_map
 parameters
  no mask-banner
  allow-tls
policy-map global_policy
 class inspection_default
  inspect esmtp esmtp_map
 class submission
  inspect esmtp
  set connection conn-max 100
policy-map outside_policy
 class listed
  inspect esmtp
service-policy global_policy global
service-policy outside_policy interface outside
`

const EVERY_MATCH = `regex a "a"
class-map type regex match-all b
 match regex a
policy-map type inspect esmtp every
 description every match that an ASA knows
 parameters
  mail-relay b.example action log
  special-character action log
  allow-tls action log
 match body length gt 1
  log
 match body line length gt 2
  drop-connection
 match cmd line length gt 3
  reset
 match cmd RCPT count gt 4
  rate-limit 5
 match cmd verb auth data ehlo etrn helo help mail noop quit rcpt rset saml send soml vrfy others
  mask log
 match not ehlo-reply-parameter 8bitmime auth binaryname checkpoint dsn ecode etrn others pipelining size vrfy
  mask
 match header length gt 6
  drop-connection log
 match header line length gt 7
  reset log
 match header to-fields count gt 8
  log
 match invalid-recipients count gt 9
  drop-connection
 match MIME encoding 7bit 8bit base64 binary others quoted-printable
  log
 match MIME filename length gt 10
  log
 match MIME filetype regex a
  log
 match not MIME filetype regex class b
  log
 match sender-address length gt 11
  log
 match sender-address regex class b
  log
`

const SAMPLES: Readonly<Record<string, string>> = {
  'an ASA 8.2 with interfaces, objects, IPv6, patterns and a map of its own': ASA,
  'an ASA 8.4 with objects that carry their translation': ASA_8_4,
  'a map with every match of the language': EVERY_MATCH,
  'a PIX 4.1 with mailhost': 'PIX Version 4.1(6)\nmailhost 192.0.2.10 10.54.7.10 0 0\nno fixup protocol ftp 21\n',
  'conduits of an advisory': `${INTERFACES}conduit permit tcp host 192.168.0.1 eq 25 any
conduit permit tcp 192.168.0.1 255.255.255.0 eq 25 any
conduit permit icmp any any echo-reply
conduit deny ip any 10.0.0.0 255.0.0.0
`,
  'an access list of an advisory': `${INTERFACES}access-list 100 permit tcp any host 192.168.0.1 eq 25
access-group 100 in interface outside
`,
  'translations of a PIX 6.3': `PIX Version 6.3(5)
${INTERFACES}names
name 10.54.7.10 mail-b
access-list nonat permit ip 10.54.7.0 255.255.255.0 10.53.7.0 255.255.255.0
interface ethernet0 auto
interface ethernet2 100full shutdown
ip address outside dhcp setroute
ip address inside 10.54.7.1 255.255.255.0
global (outside) 1 192.0.2.3-192.0.2.9 netmask 255.255.255.0
global (outside) 1 interface
nat (inside) 0 access-list nonat
nat (inside) 1 0.0.0.0 0.0.0.0 0 0
static (inside,outside) tcp interface smtp mail-b smtp netmask 255.255.255.255 100 50
static (inside,outside) udp 192.0.2.2 domain 10.54.7.1 domain netmask 255.255.255.255 0 0
static (inside,outside) 192.0.2.11 access-list policy 0 0
sysopt connection permit-ipsec
crypto map M 10 ipsec-isakmp
isakmp key ******** address 198.51.100.1 netmask 255.255.255.255
no snmp-server location
Cryptochecksum:0123456789abcdef0123456789abcdef
`,
  'a tunnel that ends on a PIX, and every way of naming ports': `PIX Version 6.1(1)
${INTERFACES}fixup protocol smtp 25-26
no fixup protocol smtp 25
fixup protocol h323 ras 1718-1719
fixup protocol sip udp 5060
fixup protocol dns maximum-length 512
access-list 101 permit tcp any host 192.0.2.10 gt 1023
access-list 101 permit tcp any host 192.0.2.10 range 25 26
access-list 101 deny tcp any neq smtp any lt 25
access-group 101 in interface outside
crypto ipsec transform-set T esp-3des esp-md5-hmac
crypto map M 10 ipsec-isakmp
crypto map M 10 match address 101
crypto map M 10 set peer 198.51.100.1
crypto map M 10 set transform-set T
crypto map M interface outside
isakmp enable outside
isakmp key ******** address 198.51.100.1 netmask 255.255.255.255
isakmp policy 10 authentication pre-share
isakmp policy 10 encryption 3des
isakmp policy 10 hash md5
isakmp policy 10 group 2
isakmp policy 10 lifetime 86400
`,
  'a service module with its own inspection': `FWSM Version 3.1(1)
nameif Vlan10 outside security0
nameif Vlan20 inside security100
class-map inspection_default
 match default-inspection-traffic
policy-map global_policy
 class inspection_default
  inspect smtp
service-policy global_policy global
`,
  'MailGuard in every variant': `fixup protocol smtp 25-26
mailguard banner cmap
mailguard unknown-verb noop
mailguard char-mode hold
mailguard direction both
mailguard address-scan off
mailguard dot-split-bug
mailguard data-first-bug
`,
}

for (const [name, text] of Object.entries(SAMPLES)) {
  test(`${name} reads, and is shown as what reads the same`, () => {
    const config = read(text)
    roundTrip(config)
    // From nothing, line by line at a console, and back: the difference leads there.
    const lines = diff(FIREWALL, FIREWALL.empty, config)
    const typed = parseLine(FIREWALL, FIREWALL.empty, lines.join('\n'))
    assert.deepEqual(plain(typed.config), plain(config))
  })
}

test('every match, action and parameter of a map is shown as it was written', () => {
  assert.ok(show(FIREWALL, read(EVERY_MATCH)).includes(EVERY_MATCH.slice(EVERY_MATCH.indexOf('policy-map'))))
})

test('what does not concern mail is kept, shown and listed, with the lines below it and without its secrets', () => {
  const config = read(ASA)
  const lines = notEnforced(config)
  for (const line of ['dns-guard', '    message-length maximum 512', 'inspect sqlnet', 'no failover']) {
    assert.ok(
      lines.some(each => each.trim() === line.trim()),
      line,
    )
  }
  assert.ok(lines.includes(' pre-shared-key *****'))
  assert.ok(lines.includes('enable password ***** encrypted'))
  assert.match(show(FIREWALL, config), /^tunnel-group 198\.51\.100\.1 ipsec-attributes\n pre-shared-key \*{5}$/m)
})

test('names stand for addresses wherever one is due, and are shown as numbers', () => {
  const config = read(
    `${INTERFACES}name 10.54.7.10 mail-b\nname 10.54.7.0 lan\naccess-list a permit tcp lan 255.255.255.0 host mail-b eq 25\n`,
  )
  assert.match(
    show(FIREWALL, config),
    /^access-list a permit tcp 10\.54\.7\.0 255\.255\.255\.0 host 10\.54\.7\.10 eq smtp$/m,
  )
})

test('clear fixup sets back what the version came with', () => {
  const config = read(
    'PIX Version 6.1(1)\nno fixup protocol smtp 25\nfixup protocol smtp 2525\nno fixup protocol ftp 21\nclear fixup\n',
  )
  assert.deepEqual(plain(config), plain(read('PIX Version 6.1(1)\n')))
})

test('a pattern, a class, a map or a policy that is not there is named, with those that are', () => {
  const text = `regex good "a"
regex wrong "a(b"
class-map type regex match-any c
 match regex bad
policy-map type inspect esmtp m
 match sender-address regex bad
 match cmd verb xyzzy
 match body length gt 5
  mask
policy-map p
 class nothing
service-policy q global
`
  const { problems } = parse(FIREWALL, text, 'fw.conf')
  assert.deepEqual(
    problems.map(({ message, hint, at }) => `${at?.line}:${at?.column} ${message} (${hint})`),
    [
      '2:15 this bracket is never closed (undefined)',
      '4:14 no regex is called "bad" (known: good)',
      '6:29 no regex is called "bad" (known: good)',
      '7:17 "xyzzy" is none of them (known: auth, data, ehlo, etrn, expn, helo, help, mail, noop, others, quit, rcpt, rset, saml, send, soml, starttls, vrfy)',
      '8:2 this match has no action below it, and does nothing (such as drop-connection log)',
      '9:3 only a command or an EHLO keyword can be masked (expected below match ehlo-reply-parameter or match cmd verb)',
      '11:8 no class-map is called "nothing" (none is written yet)',
      '12:16 no policy-map is called "q" (known: p)',
    ],
  )
})

const anyName = fc.constantFrom('a', 'b', 'c')
const line = (...parts: (string | fc.Arbitrary<unknown>)[]): fc.Arbitrary<string> =>
  fc.tuple(...parts.map(part => (typeof part === 'string' ? fc.constant(part) : part))).map(words => words.join(''))
const anyPlace = fc.constantFrom(
  'any',
  'any4',
  'any6',
  'host 10.0.0.1',
  'host 2001:db8::1',
  '10.0.0.0 255.0.0.0',
  '2001:db8::/32',
  'object a',
  'object-group b',
)
const anyPort = fc.constantFrom('', ' eq smtp', ' range 25 26', ' object-group c')
const anyLine: fc.Arbitrary<string> = fc.oneof(
  line(
    'access-list ',
    anyName,
    ' extended permit tcp ',
    anyPlace,
    ' ',
    anyPlace,
    anyPort,
    fc.constantFrom('', ' log', ' inactive'),
  ),
  line('access-list ', anyName, ' deny icmp any any', fc.constantFrom('', ' echo')),
  line('conduit permit tcp ', anyPlace, anyPort, ' ', anyPlace),
  line('access-group ', anyName, fc.constantFrom(' in', ' out'), ' interface ', fc.constantFrom('outside', 'inside')),
  line('object network ', anyName),
  fc.constantFrom(' host 10.0.0.1', ' subnet 10.0.0.0 255.0.0.0', ' subnet 2001:db8::/32', ' range 10.0.0.1 10.0.0.9'),
  line(
    ' nat (inside,outside) static ',
    fc.constantFrom('interface', '192.0.2.1', 'a'),
    fc.constantFrom('', ' service tcp 25 2525', ' dns'),
  ),
  line('object-group network ', anyName),
  line(' network-object ', fc.constantFrom('host 10.0.0.1', '10.0.0.0 255.0.0.0', 'object a')),
  line('object-group service ', anyName, ' tcp'),
  fc.constantFrom(' port-object eq 25', ' port-object range 25 30', ' group-object a'),
  line('interface ', fc.constantFrom('Ethernet0/0', 'Ethernet0/1')),
  line(' nameif ', fc.constantFrom('outside', 'inside', 'dmz')),
  fc.constantFrom(
    ' security-level 50',
    ' ip address 10.9.0.1 255.255.255.0',
    ' ip address dhcp',
    ' no nameif',
    ' shutdown',
    ' no shutdown',
    ' ipv6 address 2001:db8::1/64',
  ),
  line('regex ', anyName, ' ', fc.constantFrom('"a\\.b"', 'x+', '"a b"')),
  line('no regex ', anyName),
  line('class-map type regex match-any ', anyName),
  line(' match regex ', anyName),
  line('class-map ', anyName),
  fc.constantFrom(
    ' match any',
    ' match default-inspection-traffic',
    ' match port tcp eq 2525',
    ' match access-list a',
    'exit',
  ),
  line('policy-map type inspect esmtp ', anyName),
  fc.constantFrom(
    ' parameters',
    '  no mask-banner',
    '  allow-tls',
    '  mail-relay b.example action log',
    ' no match cmd line length gt 512',
  ),
  fc.constantFrom(
    ' match cmd line length gt 512',
    ' match not cmd verb ehlo',
    ' match ehlo-reply-parameter others',
    ' match sender-address regex a',
  ),
  fc.constantFrom('  drop-connection log', '  mask', '  log', '  rate-limit 3', '  no log'),
  line('policy-map ', anyName),
  line(' class ', anyName),
  line(fc.constantFrom('', 'no '), '  inspect esmtp', fc.constantFrom('', ' a')),
  fc.constantFrom('  inspect ftp', '  set connection timeout idle 1:00:00', ' class class-default'),
  line(fc.constantFrom('', 'no '), 'service-policy ', anyName, fc.constantFrom(' global', ' interface outside')),
  line(
    fc.constantFrom('', 'no '),
    'mailguard ',
    fc.constantFrom('banner off', 'unknown-verb noop', 'dot-split-bug', 'address-scan off'),
  ),
  fc.constantFrom(
    'tunnel-group x type ipsec-l2l',
    ' pre-shared-key *',
    'no failover',
    'failover',
    'ASA Version 9.1(2)',
    'same-security-traffic permit inter-interface',
  ),
  line(
    'static (inside,outside) ',
    fc.constantFrom(
      'interface 10.0.0.1',
      '2001:db8::1 fd00::1',
      '2001:db8::/64 fd00::/64',
      'tcp interface smtp 10.0.0.1 25',
    ),
  ),
  line('mailhost 192.0.2.1 10.0.0.', fc.nat(9)),
  fc.constantFrom(
    'nat (inside) 0 access-list a',
    'no nat (inside) 0 access-list a',
    'ipv6 route outside ::/0 2001:db8::1',
    'clear fixup',
    'names',
  ),
)

test('whatever lines of the policy framework stand there, what is shown of them reads as the same', () => {
  fc.assert(
    fc.property(fc.array(anyLine, { maxLength: 30 }), lines => {
      const names = 'nameif ethernet8 outside security0\nnameif ethernet9 inside security100\n'
      roundTrip(parse(FIREWALL, `${names}${lines.join('\n')}\n`, 'fw.conf').config)
    }),
    runs(1500),
  )
})

test('lines made from every syntax there is never fail but with a word, and what stands then reads back and can be checked', () => {
  const begin = 'nameif ethernet8 outside security0\nnameif ethernet9 inside security100\n'
  fc.assert(
    fc.property(fc.array(anyFirewallLine, { maxLength: 40 }), lines => {
      const { config } = parse(FIREWALL, `${begin}${lines.join('\n')}\n`, 'fw.conf')
      roundTrip(config)
      sayCheck(config, check(config))
      convertFixups(config)
    }),
    runs(1500),
  )
})
