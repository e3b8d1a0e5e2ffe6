import assert from 'node:assert/strict'
import { test } from 'node:test'
import { bytes } from '../base/bytes.ts'
import { defaultEsmtpMap, type EsmtpMap } from './esmtp-map.ts'
import { Inspector, type Side } from './inspector.ts'
import type { Cause, Policy } from './policy.ts'
import { asa } from './profiles/asa.ts'
import { pix } from './profiles/pix.ts'
import { formatSyslog, type LogEnds, syslogOf } from './syslog.ts'

const AT = { file: 'fw.conf', line: 1, column: 1, length: 1, text: '' }
const CAUSE: Cause = { at: AT, command: 'inspect esmtp', cure: 'no inspect esmtp' }
const ENDS: LogEnds = {
  client: { port: 'outside', ip: '10.53.7.203', tcp: 4711 },
  server: { port: 'inside', ip: '10.54.7.10', tcp: 25 },
}

/** What the log says of these segments, each as `C: …` or `S: …`. */
function logged(policy: Policy, ...segments: readonly string[]): readonly string[] {
  const inspector = new Inspector(policy)
  return segments.flatMap(segment => {
    const from: Side = segment.startsWith('C') ? 'client' : 'server'
    return inspector.receive(from, bytes(segment.slice(3))).flatMap(output => {
      const line = output.kind === 'altered' ? syslogOf(output.explanation, ENDS) : undefined
      return line ? [formatSyslog(policy.name.startsWith('PIX') ? 'PIX' : 'ASA', line)] : []
    })
  })
}

function esmtp(change: (map: EsmtpMap) => Partial<EsmtpMap> = () => ({})): Policy {
  const map = { ...defaultEsmtpMap(AT), name: 'own' }
  return asa({ ...map, ...change(map) }, CAUSE, () => ({ isAny: true, like: [] }))
}

test('a PIX logs the characters it replaces, and says nothing of the commands it writes X over', () => {
  assert.deepEqual(
    logged(pix('5.1', CAUSE), 'S: 220 mx\r\n', 'C: EHLO a\r\n', 'C: RCPT TO:<|/bin/sh@example.com>\r\n'),
    ['%PIX-2-108002: SMTP replaced |: out 10.53.7.203 in 10.54.7.10 data: <|/bin/sh@example.com>'],
  )
})

test('an ASA logs what its rules ask for: a drop with 108004, a log alone with 108005', () => {
  const way = 'ESMTP Request from outside:10.53.7.203/4711 to inside:10.54.7.10/25'
  assert.deepEqual(logged(esmtp(), `C: NOOP ${'a'.repeat(600)}\r\n`), [
    `%ASA-4-108004: ESMTP Classification: Dropped connection for ${way}; matched Class 1: match cmd line length gt 512`,
  ])
  const only = esmtp(() => ({
    matches: [
      {
        negated: false,
        condition: { kind: 'words', what: 'cmd verb', words: ['vrfy'] },
        actions: [{ kind: 'log' }],
        at: AT,
      },
    ],
  }))
  assert.deepEqual(logged(only, 'C: VRFY a\r\nNOOP\r\n'), [
    `%ASA-6-108005: ESMTP Classification: Received ${way}; matched Class 1: match cmd verb vrfy`,
  ])
})

test('what is masked without log is not logged, and with log it is, as a response', () => {
  const reply = ['C: EHLO a\r\n', 'S: 250-mx\r\n250 CHUNKING\r\n']
  assert.deepEqual(logged(esmtp(), 'S: 220 mx\r\n', ...reply), [])
  const aloud = esmtp(({ matches }) => ({
    matches: matches.map(match => ({
      ...match,
      actions: match.actions.map(each => (each.kind === 'mask' ? { ...each, log: true } : each)),
    })),
  }))
  assert.deepEqual(logged(aloud, 'S: 220 mx\r\n', ...reply), [
    '%ASA-4-108004: ESMTP Classification: Masked header flags for ESMTP Response from inside:10.54.7.10/25 to outside:10.53.7.203/4711; matched Class 7: match ehlo-reply-parameter others',
  ])
})

test('what a peer says cannot write a line of its own into the log', () => {
  const policy = esmtp(({ parameters }) => ({
    parameters: { ...parameters, specialCharacter: { action: 'drop-connection', log: true, at: AT } },
  }))
  const [line, more] = logged(policy, 'C: MAIL FROM:<a|\x1b[2J\x07@a.example>\r\n')
  assert.equal(more, undefined)
  assert.match(line ?? '', /^%ASA-2-108003: .* Mail Address:<a\|\?\[2J\?@a\.example>$/)
})
