import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import { runs } from '../base/any-bytes.test.ts'
import { parse } from '../config/parse.ts'
import { show } from '../config/show.ts'
import { showAccessRule } from './access.ts'
import { FIREWALL } from './commands.ts'
import type { FirewallConfig } from './config.ts'
import { pixProfile } from './profiles/pix.ts'
import { SITE_B } from './site-b.test.ts'
import { DEFAULT_FIXUPS } from './versions.ts'

function read(text: string): FirewallConfig {
  const { config, problems } = parse(FIREWALL, text, 'fw.conf')
  assert.deepEqual(
    problems.filter(({ severity }) => severity === 'error'),
    [],
    text,
  )
  return config
}

/** Without what only tells where a line stood: a text that is written anew has its lines elsewhere. */
function plain({ disabledFixups, ...config }: FirewallConfig): unknown {
  const named = { ...config, disabledFixups: disabledFixups.toSorted() } // which are off, in whatever order
  return JSON.parse(JSON.stringify(named, (key, value) => (key === 'at' || key === 'implied' ? undefined : value)))
}

const smtp = (config: FirewallConfig) =>
  config.smtpFixups.map(({ ports: { from, to } }) => (from === to ? `${from}` : `${from}-${to}`))

/** As the dumps of each version print them. */
const DUMPS: Readonly<Record<string, string>> = {
  '4.4(5)': 'ftp 21 · http 80 · h323 1720 · rsh 514 · smtp 25 · sqlnet 1521',
  '5.3(1)': 'ftp 21 · http 80 · h323 1720 · rsh 514 · smtp 25 · sqlnet 1521 · sip 5060',
  '6.1(1)': 'ftp 21 · http 80 · h323 1720 · rsh 514 · rtsp 554 · smtp 25 · sqlnet 1521 · sip 5060 · skinny 2000',
  '6.2':
    'ftp 21 · http 80 · h323 h225 1720 · h323 ras 1718-1719 · ils 389 · rsh 514 · rtsp 554 · smtp 25 · sqlnet 1521 · sip 5060 · skinny 2000',
  '6.3(5)':
    'dns maximum-length 512 · ftp 21 · h323 h225 1720 · h323 ras 1718-1719 · http 80 · rsh 514 · rtsp 554 · sip 5060 · sip udp 5060 · skinny 2000 · smtp 25 · sqlnet 1521 · tftp 69',
}

for (const [version, dump] of Object.entries(DUMPS)) {
  test(`PIX ${version} comes with the fixups of its own dump, which reads as the same`, () => {
    const fixups = dump.split(' · ')
    const config = read(`PIX Version ${version}\n`)
    assert.deepEqual(smtp(config), ['25'])
    assert.deepEqual(
      config.otherFixups,
      fixups.filter(each => each !== 'smtp 25'),
    )
    const dumped = read(`PIX Version ${version}\n${fixups.map(each => `fixup protocol ${each}\n`).join('')}`)
    assert.deepEqual(plain(dumped), plain(config))
  })
}

test('a version between two takes the defaults of the older one, and behaves as its family', () => {
  assert.deepEqual(read('PIX Version 6.0(2)\n').otherFixups, read('PIX Version 5.3(1)\n').otherFixups)
  // From 7.0 on a dump writes class-map and policy-map instead.
  assert.deepEqual(read('PIX Version 7.0\n').otherFixups, [])
  assert.deepEqual(read('PIX Version 4.0(7)\n').otherFixups, read('PIX Version 4.4(5)\n').otherFixups)
  assert.equal(DEFAULT_FIXUPS.length, Object.keys(DUMPS).length)
  const profiles = ['4.0(7)', '4.1(6)', '4.2(2)', '5.0(3)', '5.1(2)', '6.3(5)', undefined].map(pixProfile)
  assert.deepEqual(profiles, ['4.0', '4.0', '4.2', '5.0', '5.1', '5.1', '5.1'])
})

test('no fixup protocol smtp without a port warns, and inspects port 25 again', () => {
  const text = 'no fixup protocol smtp 25\nfixup protocol smtp 26\nno fixup protocol smtp\n'
  const { config, problems } = parse(FIREWALL, text, 'fw.conf')
  assert.deepEqual(smtp(config), ['25'])
  assert.equal(problems.length, 1)
  assert.equal(problems[0]?.severity, 'warning')
  assert.equal(problems[0]?.at?.line, 3)
  assert.match(problems[0]?.hint ?? '', /no fixup protocol smtp 25/)
  // What is shown must inspect it, too.
  assert.deepEqual(smtp(read(show(FIREWALL, config))), ['25'])
})

test('no fixup protocol smtp 25 switches it off, and is written back as a line of its own', () => {
  const config = read('PIX Version 6.1(1)\nno fixup protocol smtp 25\n')
  assert.deepEqual(smtp(config), [])
  assert.match(show(FIREWALL, config), /^no fixup protocol smtp 25$/m)
  assert.deepEqual(smtp(read(show(FIREWALL, config))), [])
})

test('a part of an inspected range cannot be switched off, and the way out is told', () => {
  const { config, problems } = parse(FIREWALL, 'fixup protocol smtp 25-27\nno fixup protocol smtp 26\n', 'fw.conf')
  assert.deepEqual(smtp(config), ['25-27'])
  assert.equal(problems[0]?.hint, 'set: smtp 25-27')
})

test('the site of the case study reads as it stands in the field, and is shown as it was written', () => {
  const text = SITE_B.replace('fixup', 'hostname pixfirewall\nfixup')
  assert.equal(show(FIREWALL, read(text)), text)
})

test('a whole dump reads without a word of complaint', () => {
  read(
    `: Saved
:
PIX Version 6.1(1)
nameif ethernet0 outside security0
nameif ethernet1 inside security100
nameif ethernet2 pix/intf2 security10
enable password 8Ry2YjIyt7RRXU24 encrypted
passwd 2KFQnbNIdI.2KYOU encrypted
hostname pixfirewall
domain-name b.example
fixup protocol ftp 21
fixup protocol smtp 25
names
access-list 100 permit tcp any host 192.0.2.10 eq smtp
pager lines 24
logging on
logging trap debugging
interface ethernet0 10baset
mtu outside 1500
ip address outside 192.0.2.2 255.255.255.0
ip audit info action alarm
failover timeout 0:00:00
arp timeout 14400
static (inside,outside) 192.0.2.10 10.54.7.10 netmask 255.255.255.255 0 0
access-group 100 in interface outside
route outside 0.0.0.0 0.0.0.0 192.0.2.1 1
timeout xlate 3:00:00
aaa-server TACACS+ protocol tacacs+
no snmp-server location
snmp-server community public
floodguard enable
no sysopt route dnat
telnet timeout 5
terminal width 80
: end
`,
  )
})

test('an indented line of a static port means the same as one that is not', () => {
  const names = 'nameif ethernet0 outside security0\nnameif ethernet1 inside security100\n'
  const line = 'static (inside,outside) tcp 192.0.2.2 smtp 10.54.7.10 2525 netmask 255.255.255.255'
  const [one, two] = [read(`${names}${line}\n`), read(`${names}   ${line}\n`)]
  assert.deepEqual(one.statics[0]?.redirect, { protocol: 'tcp', mappedPort: 25, realPort: 2525 })
  assert.deepEqual(plain(two), plain(one))
  assert.deepEqual(read(`${names}${line}\nno ${line}\n`).statics, [])
})

test('statics keep their order, as the first that fits a connection decides', () => {
  const names = 'nameif ethernet0 outside security0\nnameif ethernet1 inside security100\n'
  const port = 'static (inside,outside) tcp 192.0.2.2 25 10.54.7.10 25 netmask 255.255.255.255\n'
  const whole = 'static (inside,outside) 192.0.2.2 10.54.7.11 netmask 255.255.255.255\n'
  for (const order of [port + whole, whole + port]) assert.ok(show(FIREWALL, read(names + order)).includes(order))
})

test('an interface that is not there is named, with those that are', () => {
  const { problems } = parse(
    FIREWALL,
    'nameif ethernet0 outside security0\nip address inside 10.0.0.1 255.0.0.0\n',
    'fw.conf',
  )
  assert.deepEqual(
    problems.map(({ message, hint }) => [message, hint]),
    [['no interface is called "inside"', 'known: outside']],
  )
})

const anyIp = fc.tuple(fc.nat(255), fc.nat(255)).map(([c, d]) => `10.54.${c}.${d}`)
const anyMask = fc.constantFrom('255.255.255.0', '255.255.255.255', '255.255.0.0', '0.0.0.0')
const anyName = fc.constantFrom('outside', 'inside', 'vpn')
const anyPort = fc.constantFrom('smtp', '25', '26', '587', '1-1024', '24-27', '26-27')
const anyOnePort = fc.constantFrom('smtp', '25', '587', 'www')
const anyPlace = fc.oneof(
  fc.constant('any'),
  anyIp.map(ip => `host ${ip}`),
  fc.tuple(anyIp, anyMask).map(words => words.join(' ')),
)
const anyPortMatch = fc.oneof(
  fc.constant(''),
  anyOnePort.map(port => ` eq ${port}`),
  anyOnePort.map(port => ` gt ${port}`),
  fc.constant(' range 25 27'),
)
const anyOther = fc.constantFrom('ftp 21', 'http 80', 'http 8080', 'sip udp 5060', 'h323 h225 1720')
const line = (...parts: (string | fc.Arbitrary<unknown>)[]): fc.Arbitrary<string> =>
  fc.tuple(...parts.map(part => (typeof part === 'string' ? fc.constant(part) : part))).map(words => words.join(''))

const anyLine: fc.Arbitrary<string> = fc.oneof(
  line('fixup protocol smtp ', anyPort),
  line('no fixup protocol smtp ', anyPort),
  fc.constant('no fixup protocol smtp'),
  line('fixup protocol ', anyOther),
  line('no fixup protocol ', anyOther),
  line('PIX Version ', fc.constantFrom('4.4(5)', '5.3(1)', '6.1(1)', '6.3(5)')),
  line('hostname ', anyName),
  line('access-list a permit ', fc.constantFrom('tcp ', 'ip '), anyPlace, anyPortMatch, ' ', anyPlace, anyPortMatch),
  line('no access-list a permit tcp any any'),
  line('access-list b deny udp ', anyPlace, ' ', anyPlace),
  line('access-group ', fc.constantFrom('a', 'b'), ' in interface ', anyName),
  line('ip address ', anyName, ' ', anyIp, ' ', anyMask),
  line(
    'static (inside,',
    anyName,
    ') ',
    anyIp,
    ' ',
    anyIp,
    fc.constantFrom('', ' netmask 255.255.255.0', ' netmask 255.255.255.0 0 0', ' 0 0'),
  ),
  line('static (inside,', anyName, ') tcp ', anyIp, ' ', anyOnePort, ' ', anyIp, ' ', anyOnePort),
  line('nat (', anyName, ') ', fc.nat(9), ' ', anyIp, ' ', anyMask, fc.constantFrom('', ' 0 0')),
  line('global (', anyName, ') 1 ', fc.constantFrom('interface', '192.0.2.3-192.0.2.9 netmask 255.255.255.0')),
  line('route ', anyName, ' ', anyIp, ' ', anyMask, ' ', anyIp, fc.constantFrom('', ' 1', ' 0')),
  line('interface ethernet0 ', fc.constantFrom('auto', '10baset shutdown')),
  fc.constantFrom('names', 'logging on', 'logging trap debugging', 'timeout xlate 3:00:00', 'telnet timeout 5'),
)

test('whatever is configured, its text reads as the same configuration', () => {
  const names =
    'nameif ethernet0 outside security0\nnameif ethernet1 inside security100\nnameif ethernet2 vpn security50\n'
  fc.assert(
    fc.property(fc.array(anyLine, { maxLength: 14 }), lines => {
      // A line may be refused, as a person's may: what stands then is what must read back.
      const { config } = parse(FIREWALL, `${names}${lines.join('\n')}\n`, 'fw.conf')
      const text = show(FIREWALL, config)
      const again = read(text)
      assert.deepEqual(plain(again), plain(config), text)
      assert.equal(show(FIREWALL, again), text)
    }),
    runs(600),
  )
})

test('any of ours as a netmask is one: any means any address', () => {
  const { accessRules } = read('access-list a permit tcp 10.0.0.1 0.0.0.0 any eq 25\n')
  assert.deepEqual(accessRules.map(showAccessRule), ['access-list a permit tcp any any eq smtp'])
})

test('a word that begins no command is unknown, and not a check sum with a mistake in it', () => {
  const said = (line: string) => parse(FIREWALL, `${line}\n`, 'fw.conf').problems.map(({ message }) => message)
  assert.deepEqual(said('nonsense line'), ['unknown command "nonsense"'])
  assert.deepEqual(said('Cryptochecksum:'), ['an empty word is not a word'])
})
