import assert from 'node:assert/strict'
import { test } from 'node:test'
import { bytes } from '../base/bytes.ts'
import { crossing } from '../topology/topology.ts'
import {
  discreet,
  factsOf,
  type GatewayEvent,
  type Joined,
  levelled,
  MAX_SYSLOG_LINE,
  messageOf,
  syslogLine,
  withoutPasswords,
} from './event.ts'
import { NO_GATEWAY } from './gateway-config.ts'
import { formatSyslog } from './syslog.ts'
import { explain } from './verdict.ts'

const OUTSIDE = { name: 'outside', device: 'ethernet0', level: 0 }
const INSIDE = { name: 'inside', device: 'ethernet1', level: 100 }
const CONNECTION: Joined = {
  id: 7,
  crossing: crossing('gw', OUTSIDE, INSIDE),
  source: '198.51.100.7',
  sourcePort: 4242,
  destination: '10.0.0.5',
  destinationPort: 2526,
  asked: { ip: '192.0.2.5', port: 25 },
}
const KNOCK = { source: '198.51.100.7', sourcePort: 4242, destination: '192.0.2.5', port: 25, at: 'outside' }
const at = { file: 'gw.conf', line: 3, column: 1, length: 5, text: 'fixup protocol smtp 25' }
const because = {
  policy: 'PIX MailGuard',
  cause: { at, command: 'fixup protocol smtp 25', cure: 'no fixup protocol smtp 25' },
  reason: 'because',
  log: false,
  label: '',
}
const line = (event: GatewayEvent) => formatSyslog('PIX', messageOf(event))

test('what a server cannot do is told where it is looked for: with its name, why, and by which line', () => {
  const untold = { ...because, reason: 'the server refused XCLIENT: it takes every client for this firewall' }
  const change = { before: bytes('550 5.7.0 who?'), after: bytes('') }
  const explanation = explain('server', 'XCLIENT', change, untold, { did: 'log' })
  assert.equal(
    line({ kind: 'altered', connection: CONNECTION, explanation }),
    '%PIX-4-990010: Server inside:10.0.0.5/2526: the server refused XCLIENT: it takes every client for this firewall, by fixup protocol smtp 25 (gw.conf:3)',
  )
})

test('events have the numbers, levels and words of a PIX', () => {
  assert.equal(
    line({ kind: 'built', connection: CONNECTION }),
    '%PIX-6-302013: Built inbound TCP connection 7 for outside:198.51.100.7/4242 (198.51.100.7/4242) to inside:10.0.0.5/2526 (192.0.2.5/25)',
  )
  assert.equal(
    line({ kind: 'torn-down', connection: CONNECTION, duration: 3_723_900, octets: 519, why: 'TCP FINs' }),
    '%PIX-6-302014: Teardown TCP connection 7 for outside:198.51.100.7/4242 to inside:10.0.0.5/2526 duration 1:02:03 bytes 519 TCP FINs',
  )
  assert.equal(
    line({ kind: 'denied', knock: KNOCK, reason: 'no', list: 'mail' }),
    '%PIX-4-106023: Deny tcp src outside:198.51.100.7/4242 dst 192.0.2.5/25 by access-group "mail"',
  )
  assert.equal(
    line({ kind: 'denied', knock: KNOCK, reason: 'no' }),
    '%PIX-2-106001: Inbound TCP connection denied from 198.51.100.7/4242 to 192.0.2.5/25 flags SYN on interface outside',
  )
  assert.equal(
    line({ kind: 'typed', line: 'no fixup protocol smtp 25', changed: true }),
    "%PIX-5-111008: User 'enable_15' executed the 'no fixup protocol smtp 25' command.",
  )
  assert.equal(
    line({ kind: 'limited', knock: KNOCK, limit: 'source connections', most: 2 }),
    '%PIX-3-201013: Per-client connection limit exceeded 2/2 for input packet from 198.51.100.7/4242 to 192.0.2.5/25 on interface outside',
  )
})

test('what a PIX says nothing of is told under a number of ours, with the line that did it', () => {
  const change = { before: bytes('EHLO x'), after: bytes('XXXX x') }
  const explanation = explain('command', 'EHLO', change, because)
  assert.equal(
    line({ kind: 'altered', connection: CONNECTION, explanation }),
    '%PIX-6-990009: Inspection: mask command EHLO from outside:198.51.100.7/4242 to inside:10.0.0.5/2526, by fixup protocol smtp 25 (gw.conf:3)',
  )
  const refused = { before: bytes('454 4.7.0 no TLS'), after: bytes('') }
  assert.equal(
    line({
      kind: 'altered',
      connection: CONNECTION,
      explanation: explain('tls', 'SERVER', refused, because, { did: 'log' }),
    }),
    '%PIX-6-990009: Inspection: log tls SERVER from outside:198.51.100.7/4242 to inside:10.0.0.5/2526, by fixup protocol smtp 25 (gw.conf:3)',
    'TLS that was refused has not started',
  )
  const facts = factsOf({ kind: 'altered', connection: CONNECTION, explanation })
  assert.deepEqual([facts.before, facts.after, facts.cure], ['EHLO x', 'XXXX x', 'no fixup protocol smtp 25'])
})

test('discreet() tells of a line that may hold anything, and not the line', () => {
  const masked = { before: bytes('hunter2 x'), after: bytes('XXXXXXX x') }
  const { subject, before, after } = discreet(explain('command', 'HUNTER2', masked, because))
  assert.deepEqual([subject, before, after], ['', bytes('(9 octets)'), bytes('(9 octets)')])
  for (const known of ['EHLO', 'XCLIENT', 'X-LINK2STATE']) {
    const explanation = explain('command', known, masked, because)
    assert.equal(discreet(explanation), explanation)
  }
})

test('a line of RFC 5424 begins with facility times eight plus severity, is one line, and has an end', () => {
  const header = { facility: 20, host: 'gw', process: 42, time: '2026-01-02T03:04:05.678Z', product: 'PIX' } as const
  const message = { id: 302013, severity: 6, text: 'Built\n<134>1 forged' } as const
  const told = syslogLine(message, header)
  assert.equal(told, '<166>1 2026-01-02T03:04:05.678Z gw postern 42 302013 - %PIX-6-302013: Built?<134>1 forged')
  assert.match(syslogLine(message, { ...header, time: undefined }), /^<166>1 - gw /)
  assert.equal(syslogLine({ ...message, text: 'x'.repeat(9_999) }, header).length, MAX_SYSLOG_LINE)
})

test('a message is told at the level the configuration gives it, or not at all', () => {
  const message = messageOf({ kind: 'built', connection: CONNECTION })
  const logging = { ...NO_GATEWAY.logging, messages: [{ id: 302013, level: 7 as const }] }
  assert.equal(levelled(message, logging)?.severity, 7)
  assert.equal(levelled(message, { ...logging, messages: [{ id: 302013 }] }), undefined)
  assert.equal(levelled(message, NO_GATEWAY.logging), message)
})

test('withoutPasswords() leaves out whatever stands behind a word that may bring one', () => {
  assert.equal(withoutPasswords('enable password 8Ry2 encrypted'), 'enable *****')
  assert.equal(withoutPasswords('username joe password pw privilege 15'), 'username joe password *****')
  assert.equal(withoutPasswords('isakmp key s3cret address 192.0.2.1'), 'isakmp key *****')
  assert.equal(withoutPasswords('snmp-server community public'), 'snmp-server community *****')
  assert.equal(withoutPasswords('no fixup protocol smtp 25'), 'no fixup protocol smtp 25')
})
