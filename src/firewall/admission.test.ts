import assert from 'node:assert/strict'
import { test } from 'node:test'
import { bytes, text } from '../base/bytes.ts'
import { cite } from '../base/problem.ts'
import { parse } from '../config/parse.ts'
import { show } from '../config/show.ts'
import { type Admission, admit } from './admission.ts'
import { FIREWALL } from './commands.ts'
import { Inspector } from './inspector.ts'
import { SITE_B } from './site-b.test.ts'
import { untranslate } from './translation.ts'

function ask(config: string, port: string, source: string, destination: string, to = 25): Admission {
  const { config: parsed, problems } = parse(FIREWALL, config, 'fw-b.conf')
  assert.deepEqual(
    problems.filter(({ severity }) => severity === 'error'),
    [],
  )
  return admit(parsed, 'fw-b', port, { source, destination, port: to })
}

const toB = (config: string, to = 25) => ask(config, 'vpn', '10.53.7.203', '10.54.7.10', to)
const why = (admission: Admission) => (admission.kind === 'refuse' ? admission.reason : admission.kind)

test('from vpn (50) to inside (100) is inbound, and inspected by the line that says so', () => {
  const admission = toB(SITE_B)
  assert.ok(admission.kind === 'inspect')
  assert.equal(admission.crossing.direction, 'inbound')
  assert.deepEqual([admission.crossing.from.name, admission.crossing.to.name], ['vpn', 'inside'])
  assert.equal(admission.policy && cite(admission.policy.cause.at), 'fw-b.conf:4')
  assert.equal(admission.policy?.name, 'PIX MailGuard (5.1-6.x)')
})

test('from inside (100) to vpn (50) is outbound, and passes uninspected: the asymmetry of the case study', () => {
  const admission = ask(SITE_B, 'inside', '10.54.7.10', '10.53.7.203')
  assert.ok(admission.kind === 'pass')
  assert.equal(admission.crossing.direction, 'outbound')
  assert.equal(admission.policy, undefined)
})

test('from outside nobody gets in: no translation leads there', () => {
  assert.equal(
    why(ask(SITE_B, 'outside', '203.0.113.9', '10.54.7.10')),
    'no translation leads from outside to 10.54.7.10',
  )
  assert.equal(why(ask(SITE_B, 'dmz', '203.0.113.9', '10.54.7.10')), 'no interface is called "dmz"')
})

test('a translation alone lets nobody in: a lower level needs an access rule', () => {
  const translated = `${SITE_B}static (inside,outside) 192.0.2.10 10.54.7.10 netmask 255.255.255.255 0 0\n`
  assert.equal(
    why(ask(translated, 'outside', '203.0.113.9', '192.0.2.10')),
    'no access-group lets anything in at outside',
  )
  const open = `${translated}access-list out permit tcp any host 192.0.2.10 eq smtp\naccess-group out in interface outside\n`
  const admission = ask(open, 'outside', '203.0.113.9', '192.0.2.10')
  assert.ok(admission.kind === 'inspect')
  assert.equal(admission.to.destination, '10.54.7.10')
})

test('an access list is asked from its top, and ends in an implied deny', () => {
  const deny = SITE_B.replace(
    'access-list vpn_in permit',
    'access-list vpn_in deny tcp host 10.53.7.203 any\naccess-list vpn_in permit',
  )
  const denied = toB(deny)
  assert.ok(denied.kind === 'refuse')
  assert.equal(denied.rule, 'access-list vpn_in deny tcp host 10.53.7.203 any')
  assert.equal(ask(deny, 'vpn', '10.53.7.50', '10.54.7.10').kind, 'inspect')
  assert.match(why(ask(SITE_B, 'vpn', '10.99.0.1', '10.54.7.10')), /implied deny/)
  assert.match(why(toB(SITE_B, 587)), /implied deny/)
  assert.match(why(ask(SITE_B, 'vpn', '10.53.7.203', '10.54.7.11')), /implied deny/)
})

test('a list for another protocol does not speak of mail', () => {
  assert.match(why(toB(SITE_B.replace('permit tcp', 'permit udp'))), /implied deny/)
  assert.equal(toB(SITE_B.replace('permit tcp', 'permit ip').replace(' eq smtp', '')).kind, 'inspect')
})

test('no fixup protocol smtp 25 lets everything pass; without the port it does not', () => {
  assert.equal(toB(`${SITE_B}no fixup protocol smtp 25\n`).kind, 'pass')
  assert.equal(toB(`${SITE_B}no fixup protocol smtp\n`).kind, 'inspect')
})

test('interfaces of one level cannot reach each other', () => {
  assert.match(why(toB(SITE_B.replace('vpn security50', 'vpn security100'))), /same security level/)
})

test('a redirected port is inspected by either of its numbers', () => {
  const open = 'access-list vpn_in permit tcp any any\n'
  const redirect = (from: number, to: number) =>
    `${SITE_B.replace(/static .*\n/, '')}${open} static (inside,vpn) tcp 10.54.250.1 ${from} 10.54.7.10 ${to} netmask 255.255.255.255\n`
  const asked = (from: number, to: number) => ask(redirect(from, to), 'vpn', '10.53.7.203', '10.54.250.1', from)
  const admission = asked(2525, 25)
  assert.ok(admission.kind === 'inspect')
  assert.deepEqual([admission.to.destination, admission.to.port], ['10.54.7.10', 25])
  assert.equal(asked(25, 2525).kind, 'inspect')
  assert.equal(asked(2525, 2526).kind, 'pass')
})

test('of two routes the more particular one decides by which interface an address is left for', () => {
  const split = `${SITE_B}route outside 10.53.9.0 255.255.255.0 192.0.2.1 1\n`
  const leaves = (destination: string) => {
    const admission = ask(split, 'inside', '10.54.7.10', destination)
    return admission.kind === 'refuse' ? admission.reason : admission.crossing.to.name
  }
  assert.deepEqual(['10.53.7.203', '10.53.9.1', '198.51.100.1'].map(leaves), ['vpn', 'outside', 'outside'])
})

test('untranslate() keeps the host part of an address', () => {
  const net = {
    real: 'inside',
    mapped: 'vpn',
    mappedIp: '10.99.7.0',
    realIp: '10.54.7.0',
    mask: '255.255.255.0',
    limits: '',
  }
  const caller = { source: '10.53.7.203', destination: '10.99.7.77', port: 25 }
  assert.equal(untranslate(net, caller)?.destination, '10.54.7.77')
  assert.equal(untranslate(net, { ...caller, destination: '10.99.8.77' }), undefined)
})

test('borrowed addresses lead to lower levels only: a nat lets nobody in', () => {
  const borrowed = SITE_B.replace(/static .*/, 'nat (vpn) 1 10.53.7.0 255.255.255.0')
  assert.equal(why(toB(borrowed)), 'no translation leads from vpn to 10.54.7.10')
})

/* By other lines than a static with an access list. */

const PIX = `nameif ethernet0 outside security0
nameif ethernet1 inside security100
ip address outside 192.0.2.2 255.255.255.0
ip address inside 10.54.7.1 255.255.255.0
route outside 0.0.0.0 0.0.0.0 192.0.2.1 1
`

function outcome(config: string, destination: string, port = 25, source = '203.0.113.9'): string {
  const admission = ask(config, 'outside', source, destination, port)
  if (admission.kind === 'refuse') return admission.reason
  return `${admission.kind} ${admission.to.destination} ${admission.to.port}`
}

test('a conduit names first who is called, and lets in where no list is bound', () => {
  const text = `${PIX}static (inside,outside) 192.0.2.10 10.54.7.10 netmask 255.255.255.255 0 0
conduit deny tcp host 192.0.2.10 eq 25 host 198.51.100.66
conduit permit tcp host 192.0.2.10 eq 25 any
`
  assert.equal(outcome(text, '192.0.2.10'), 'pass 10.54.7.10 25')
  assert.equal(outcome(`${text}fixup protocol smtp 25\n`, '192.0.2.10'), 'inspect 10.54.7.10 25')
  assert.equal(outcome(text, '192.0.2.10', 25, '198.51.100.66'), 'a conduit denies it')
  assert.equal(outcome(text, '192.0.2.10', 587), 'no conduit speaks of it, and no access-group is bound there')
  // A list that is bound takes their place.
  const bound = `${text}access-list a deny ip any any\naccess-group a in interface outside\n`
  assert.equal(outcome(bound, '192.0.2.10'), 'access list a denies it')
})

test('a mailhost is a translation, a conduit and MailGuard in one line', () => {
  const text = `PIX Version 4.1(6)\nno fixup protocol smtp 25\n${PIX}mailhost 192.0.2.10 10.54.7.10\n`
  assert.equal(outcome(text, '192.0.2.10'), 'inspect 10.54.7.10 25')
  assert.match(outcome(text, '192.0.2.10', 110), /no translation/)
})

test('an address that the outside interface has may lead on by port', () => {
  const text = `${PIX}static (inside,outside) tcp interface smtp 10.54.7.10 2525 netmask 255.255.255.255
access-list a permit tcp any host 192.0.2.2 eq smtp
access-group a in interface outside
`
  assert.equal(outcome(text, '192.0.2.2'), 'pass 10.54.7.10 2525')
})

test('what is exempt from translation is reached as what it is, by those it is exempt for', () => {
  const text = `${PIX}access-list nonat permit ip 10.54.7.0 255.255.255.0 10.53.7.0 255.255.255.0
nat (inside) 0 access-list nonat
access-list a permit tcp any any eq smtp
access-group a in interface outside
`
  assert.equal(outcome(text, '10.54.7.10', 25, '10.53.7.203'), 'pass 10.54.7.10 25')
  assert.match(outcome(text, '10.54.7.10'), /no translation/)
})

const ASA = `ASA Version 9.1(2)
interface Ethernet0/0
 nameif outside
 security-level 0
 ip address 192.0.2.2 255.255.255.0
 ipv6 address 2001:db8:1::2/64
interface Ethernet0/1
 nameif inside
 security-level 100
 ip address 10.54.7.1 255.255.255.0
 ipv6 address 2001:db8:54::1/64
interface Ethernet0/2
 nameif dmz
 security-level 100
 ip address 10.60.0.1 255.255.255.0
object network mail-b
 host 10.54.7.10
 nat (inside,outside) static 192.0.2.10 service tcp 2525 smtp
access-list a extended permit tcp any object mail-b eq 2525
access-list a extended permit tcp any6 host 2001:db8:54::10 eq smtp
access-group a in interface outside
route outside 0.0.0.0 0.0.0.0 192.0.2.1 1
`
const MPF = `class-map inspection_default
 match default-inspection-traffic
policy-map global_policy
 class inspection_default
  inspect esmtp
service-policy global_policy global
`

test('from 8.3 on a list names the real address, and an object carries its translation', () => {
  assert.equal(outcome(ASA, '192.0.2.10'), 'pass 10.54.7.10 2525')
  assert.equal(
    outcome(ASA.replace('eq 2525', 'eq smtp'), '192.0.2.10'),
    'access list a does not speak of it, and ends in an implied deny',
  )
  // A text without its first line is still of a version that has objects with translations.
  assert.equal(outcome(ASA.replace(/^ASA Version .*\n/m, ''), '192.0.2.10'), 'pass 10.54.7.10 2525')
})

test('IPv6 is routed, listed and inspected as IPv4 is', () => {
  assert.equal(outcome(ASA + MPF, '2001:db8:54::10', 25, '2001:db8:ffff::1'), 'inspect 2001:db8:54::10 25')
  assert.match(outcome(ASA, '2001:db8:54::11', 25, '2001:db8:ffff::1'), /implied deny/)
  const translated = `${ASA}static (inside,outside) 2001:db8:99::/64 2001:db8:54::/64\n`.replace(
    'permit tcp any6 host 2001:db8:54::10',
    'permit tcp any6 2001:db8::/32',
  )
  assert.equal(outcome(translated, '2001:db8:99::10', 25, '2001:db8:ffff::1'), 'pass 2001:db8:54::10 25')
})

test('interfaces of one level reach each other where the text permits it', () => {
  const across = (text: string) => ask(text, 'dmz', '10.60.0.9', '10.54.7.10').kind
  assert.equal(across(ASA), 'refuse')
  const open = `${ASA}same-security-traffic permit inter-interface\n`
  assert.equal(across(open), 'pass')
  // An ASA inspects whichever way it goes.
  assert.equal(across(open + MPF), 'inspect')
})

test('the policy of an interface comes before the global one, and a class by its port or its list', () => {
  const of = (text: string, port: number) => {
    const admission = ask(text, 'inside', '10.54.7.10', '203.0.113.9', port)
    return admission.kind === 'refuse' ? admission.reason : (admission.policy?.name ?? 'nothing')
  }
  const own = `${ASA}${MPF}policy-map type inspect esmtp strictly
 match body length gt 5
  log
class-map submission
 match port tcp range 587 588
access-list web extended deny tcp any any eq smtp
access-list web extended permit tcp any any eq 8025
class-map web
 match access-list web
policy-map outside_policy
 class submission
  inspect esmtp strictly
 class web
  inspect esmtp strictly
service-policy outside_policy interface outside
`
  assert.equal(of(own, 25), 'ASA inspect esmtp')
  assert.equal(of(own, 588), 'ASA inspect esmtp strictly')
  assert.equal(of(own, 8025), 'ASA inspect esmtp strictly')
  assert.equal(of(own, 589), 'nothing')
  assert.equal(of(own.replace('interface outside\n', 'interface dmz\n'), 588), 'ASA inspect esmtp strictly')
})

test('inspect smtp is MailGuard as an FWSM has it: both ways, seven commands, a greeting of asterisks', () => {
  const smtp = (ASA + MPF).replace('inspect esmtp', 'inspect smtp')
  const policyOf = (text: string, from: string, source: string, destination: string) => {
    const admission = ask(text, from, source, destination)
    return admission.kind === 'refuse' ? undefined : admission.policy
  }
  for (const policy of [
    policyOf(smtp, 'outside', '203.0.113.9', '192.0.2.10'),
    policyOf(smtp, 'inside', '10.54.7.10', '203.0.113.9'),
  ]) {
    assert.equal(policy?.name, 'FWSM inspect smtp')
    assert.match(policy?.cause.cure ?? '', /^policy-map \S+ \/ class \S+ \/ no inspect smtp$/)
    const inspector = new Inspector(policy)
    const heard = (from: 'client' | 'server', words: string) =>
      inspector
        .receive(from, bytes(words))
        .map(output => (output.kind === 'forward' ? text(output.bytes) : ''))
        .join('')
    assert.equal(heard('server', '220 mx 2000\r\n'), '220 *******\r\n')
    assert.equal(heard('client', 'EHLO a.example\r\n'), 'XXXX a.example\r\n')
  }
  // Of the two the last one stands, and either is shown as it was written.
  const { config } = parse(FIREWALL, smtp.replace('inspect smtp', 'inspect esmtp\n  inspect smtp'), 'fwsm.conf')
  assert.match(show(FIREWALL, config), /^ {2}inspect smtp$/m)
  assert.doesNotMatch(show(FIREWALL, config), /inspect esmtp/)
})

test('a policy is made once for a configuration, so that its rules are indexed once', () => {
  const { config } = parse(FIREWALL, ASA + MPF, 'asa.conf')
  const policy = () => {
    const admission = admit(config, 'asa', 'inside', { source: '10.54.7.10', destination: '203.0.113.9', port: 25 })
    return admission.kind === 'refuse' ? undefined : admission.policy
  }
  const [one, other] = [policy(), policy()]
  assert.ok(one !== undefined)
  assert.equal(one, other)
})

test('a static says how many connections it lets through', () => {
  const most = (limits: string) => {
    const admission = ask(
      `${PIX}static (inside,outside) 192.0.2.10 10.54.7.10 netmask 255.255.255.255${limits}
conduit permit tcp any any
`,
      'outside',
      '203.0.113.9',
      '192.0.2.10',
    )
    return admission.kind === 'refuse' ? admission.reason : admission.most
  }
  assert.deepEqual(['', ' 0 0', ' 100 50', ' tcp 7 0 udp 0'].map(most), [0, 0, 100, 7])
})
