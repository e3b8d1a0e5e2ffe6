import assert from 'node:assert/strict'
import { test } from 'node:test'
import { cite } from '../base/problem.ts'
import { parse } from '../config/parse.ts'
import { type Admission, admit } from './admission.ts'
import { FIREWALL } from './commands.ts'
import { untranslate } from './translation.ts'

/** Site B of the case study. The tunnel comes in at a third interface. */
const SITE_B = `nameif ethernet0 outside security0
nameif ethernet1 inside security100
nameif ethernet2 vpn security50
fixup protocol smtp 25
access-list vpn_in permit tcp 10.53.7.0 255.255.255.0 host 10.54.7.10 eq smtp
ip address outside 192.0.2.2 255.255.255.0
ip address inside 10.54.7.1 255.255.255.0
ip address vpn 10.54.250.1 255.255.255.0
global (outside) 1 interface
nat (inside) 1 10.54.7.0 255.255.255.0 0 0
static (inside,vpn) 10.54.7.0 10.54.7.0 netmask 255.255.255.0 0 0
access-group vpn_in in interface vpn
route outside 0.0.0.0 0.0.0.0 192.0.2.1 1
route vpn 10.53.0.0 255.255.0.0 10.54.250.2 1
`

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
