/** What only the time of a record shows, and the sessions whose record ends where TLS began. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import { runs } from '../base/any-bytes.test.ts'
import { bytes } from '../base/bytes.ts'
import { parse } from '../config/parse.ts'
import { parseTranscript } from '../transcript/parse.ts'
import { admit } from './admission.ts'
import { FIREWALL } from './commands.ts'
import type { Told } from './fate.ts'
import { Rates } from './rates.ts'
import { dialoguesOf, NOWHERE } from './recorded.ts'
import { BEFORE_A_SERVER } from './through.test.ts'
import { whatIf } from './what-if.ts'
import { withinLimits } from './what-if-limits.ts'

const SOURCE = '198.51.100.1'

/** The dialogues of a record, played one after the other through what these lines configure. */
function played(record: string, lines: readonly string[]): readonly Told[] {
  const { config, problems } = parse(
    FIREWALL,
    [...BEFORE_A_SERVER, ...lines].map(line => `${line}\n`).join(''),
    'gw.conf',
  )
  assert.deepEqual(problems, [])
  const read = parseTranscript(`# A record.\nsubject: server\n\n-- dialogue --\n${record.trim()}\n`, 'record.smtp')
  assert.deepEqual(read.problems, [])
  const caller = { source: SOURCE, destination: '192.0.2.5', port: 25 }
  const calls = dialoguesOf(read.transcript).map(dialogue => ({
    dialogue,
    caller,
    admission: admit(config, 'gw', 'outside', caller),
  }))
  const rates = new Rates()
  const canSecure = config.proxies.certificates.length > 0
  return withinLimits(calls, config.gateway.limits).map(({ dialogue, admission }) =>
    whatIf(dialogue, admission, { client: { address: SOURCE }, canSecure, now: 0, rates }),
  )
}

function told(record: string, ...lines: readonly string[]): readonly string[] {
  return played(record, lines).flatMap(({ fates }) =>
    fates.flatMap(({ outcome, from, refused, why, explanations }) => [
      `${outcome} ${from}`,
      ...(why === undefined ? [] : [`  ${why}`]),
      ...(refused === undefined ? [] : [`  ${refused}`]),
      ...explanations.map(({ did, what, subject, because }) => `  ${did} ${what} ${subject}: ${because.cause.command}`),
    ]),
  )
}

const HELLO = 'S: 220 mx.example ESMTP\nC: HELO a.example\nS: 250 mx.example'

/** A message with these words between its commands. */
function mail({ before = '', inside = '', slow = '' } = {}): string {
  return [
    before,
    'C: MAIL FROM:<alice@a.example>\nS: 250 ok\nC: RCPT TO:<bob@b.example>\nS: 250 ok\nC: DATA\nS: 354 go\nC: Subject: x\nC:',
    inside,
    'C: hello\nC: .',
    slow,
    'S: 250 2.0.0 queued',
  ]
    .filter(each => each !== '')
    .join('\n')
}

const CONNECTS = '(client connects)\n'

test('a client that waited longer than it may is cut off, and by which line', () => {
  const record = `${CONNECTS}${HELLO}\n${mail({ before: '(3m pass)' })}`
  assert.deepEqual(told(record, 'strict smtp 25', 'strict command-wait 2m'), [
    'stops <alice@a.example>',
    '  drop-connection session COMMAND: strict command-wait 2m',
  ])
  assert.deepEqual(told(record, 'strict smtp 25', 'strict command-wait 4m'), ['passes <alice@a.example>'])
})

test('a message that came too slowly is cut off: by its rate, or where nothing came for too long', () => {
  const record = `${CONNECTS}${HELLO}\n${mail({ inside: '(segment ends)\n(40s pass)\nC: 1\n(segment ends)\n(40s pass)' })}`
  assert.deepEqual(told(record, 'strict smtp 25', 'strict data-wait 30s'), [
    'stops <alice@a.example>',
    '  drop-connection session DATA: strict data-wait 30s',
  ])
  assert.deepEqual(told(record, 'strict smtp 25', 'strict data-wait 1m', 'strict data-rate 100'), [
    'stops <alice@a.example>',
    '  drop-connection session DATA: strict data-rate 100',
  ])
  assert.deepEqual(told(record, 'strict smtp 25', 'strict data-wait 1m', 'strict data-rate 0'), [
    'passes <alice@a.example>',
  ])
})

test('a server that took its time is given up where its reply is waited for no longer', () => {
  const record = `${CONNECTS}${HELLO}\n${mail({ slow: '(3m pass)' })}`
  assert.deepEqual(told(record, 'strict smtp 25', 'strict reply-wait 2m'), [
    'stops <alice@a.example>',
    '  drop-connection session REPLY: strict reply-wait 2m',
  ])
  assert.deepEqual(told(record, 'strict smtp 25', 'strict reply-wait 4m'), ['passes <alice@a.example>'])
})

test('who spoke before the greeting speaks before it again', () => {
  const early = 'C: HELO a.example\nS: 220 mx.example ESMTP\nS: 250 mx.example'
  const [first, ...rest] = told(`${CONNECTS}${early}\n${mail()}`, 'strict smtp 25', 'strict greet-wait 5s')
  assert.equal(first, 'stops <alice@a.example>')
  assert.match(rest.join('\n'), /answer session PIPELINING: /)
  // Behind the wait it is early no more, and where nobody minds it is let go on.
  const later = `${CONNECTS}(9s pass)\n${early}\n${mail()}`
  assert.deepEqual(told(later, 'strict smtp 25', 'strict greet-wait 5s', 'strict talking-ahead wait'), [
    'passes <alice@a.example>',
  ])
})

test('a source that came too often is refused, and at the next minute comes in', () => {
  const call = `${CONNECTS}${HELLO}\n${mail()}`
  assert.deepEqual(told(`${call}\n(30s pass)\n${call}\n(30s pass)\n${call}`, 'limit source rate 1 per 1m'), [
    'passes <alice@a.example>',
    'stops <alice@a.example>',
    '  too many from there in that time: limit source rate 1 per 1m',
    'passes <alice@a.example>',
  ])
})

test('a connection in place on which nothing was said for more than an hour is given up, and all behind it stops', () => {
  const FORGOTTEN = '  nothing was said for so long that a firewall in place gives the connection up: 1h'
  const twice = (pause: string) => `${CONNECTS}${HELLO}\n${mail()}\n(${pause} pass)\n${mail()}`
  for (const lines of [[], ['fixup protocol smtp 25', 'mailguard banner off']]) {
    assert.deepEqual(told(twice('61m'), ...lines).slice(-2), ['stops <alice@a.example>', FORGOTTEN])
    assert.match(told(twice('61m'), ...lines)[0] ?? '', /^(?:passes|changes) /)
    assert.ok(!told(twice('59m'), ...lines).some(each => each.startsWith('stops')))
  }
  // In the middle of a message it is the message that stops.
  const [first] = told(`${CONNECTS}${HELLO}\n${mail({ inside: '(segment ends)\n(2h pass)' })}`)
  assert.equal(first, 'stops <alice@a.example>')
  const [held] = played(`${CONNECTS}S: 220 mx\n(2h pass)\nC: EHLO a\nS: 250 STARTTLS\nC: STARTTLS\nS: 220 go`, [])
  assert.equal(held?.unseen?.starttls, 'not reached')
  assert.equal(`  ${held?.unseen?.why}`, FORGOTTEN)
})

test('a rate that a proxy keeps is told of where it made a message late, among all sessions of one clock', () => {
  const call = `${CONNECTS}${HELLO}\n${mail()}`
  const late = '  log session RATE: strict mail-rate 1'
  assert.deepEqual(told(`${call}\n${call}\n(3s pass)\n${call}`, 'strict smtp 25', 'strict mail-rate 1'), [
    'passes <alice@a.example>',
    'passes <alice@a.example>',
    late,
    'passes <alice@a.example>',
  ])
  // The wait for its turn was longer than what was left of the session.
  const lines = ['strict smtp 25', 'strict mail-rate 1', 'strict session-wait 1s']
  const [outcome, ...why] = told(`${Array(8).fill(call).join('\n')}`, ...lines).slice(-3)
  assert.equal(outcome, 'stops <alice@a.example>')
  assert.ok(why.includes(late), why.join('\n'))
})

test('that a server takes XCLIENT no record can tell: where it must, it is assumed', () => {
  const [first] = played(`${CONNECTS}${HELLO}\n${mail()}`, ['strict smtp 25', 'strict xclient must'])
  assert.equal(first?.fates[0]?.outcome, 'passes')
  assert.ok(first?.fates[0]?.assumed.includes('the server is told by XCLIENT who the client is'))
})

const BEGINS_TLS = `${CONNECTS}S: 220 mx.example ESMTP\nC: EHLO a.example\nS: 250-mx.example\nS: 250 STARTTLS\nC: STARTTLS\nS: 220 go`

test('of a session whose record ends in TLS it is said what becomes of STARTTLS', () => {
  const becomes = (...lines: readonly string[]) => {
    const [first] = played(BEGINS_TLS, lines)
    assert.deepEqual(first?.fates, [])
    const { starttls, at, why, explanations } = first?.unseen ?? { at: { line: 0 }, explanations: [] }
    assert.equal(at.line, 10)
    return [
      starttls,
      ...(why === undefined ? [] : [why]),
      ...explanations.map(({ did, what, subject }) => `${did} ${what} ${subject}`),
    ]
  }
  assert.deepEqual(becomes(), ['passes'])
  assert.deepEqual(becomes('fixup protocol smtp 25'), ['stripped', 'mask command EHLO', 'mask command STARTTLS'])
  const bare = becomes('strict smtp 25')
  assert.match(bare.join(' '), /^stripped the proxy has no certificate, .*: strict certificate FILE key FILE/)
  assert.deepEqual(becomes('strict smtp 25', 'strict certificate /c.pem key /k.pem'), ['ends here'])
  assert.deepEqual(becomes('watchguard smtp-incoming 25', 'watchguard smtp-incoming tls pass'), ['passes'])
})

test('what is written behind STARTTLS in a record was looked at', () => {
  const [first] = played(`${BEGINS_TLS}\n(tls starts)\nC: HELO a.example\nS: 250 mx.example\n${mail()}`, [])
  assert.equal(first?.unseen, undefined)
  assert.equal(first?.fates[0]?.outcome, 'passes')
})

test('whatever the clock of a record shows, it is told without a fault, and in bounded time', () => {
  const words = [
    'HELO a\r\n',
    'MAIL FROM:<a@x>\r\n',
    'RCPT TO:<b@y>\r\n',
    'DATA\r\n',
    'x\r\n.\r\n',
    'BDAT 4 LAST\r\nxxxx',
    'TURN\r\n',
  ]
  const replies = ['220 mx\r\n', '250 ok\r\n', '354 go\r\n', '550 no\r\n']
  const when = fc.oneof(fc.constant(undefined), fc.integer({ min: -1_000, max: 400_000 }), fc.constant(1e15))
  const part = fc
    .tuple(
      fc.oneof(
        fc.constantFrom(...words).map(said => ({ by: 'C' as const, said })),
        fc.constantFrom(...replies).map(said => ({ by: 'S' as const, said })),
      ),
      when,
    )
    .map(([{ by, said }, at]) => ({ by, bytes: bytes(said), at: NOWHERE, ...(at !== undefined && { when: at }) }))
  const profile = fc.constantFrom('strict smtp 25', 'watchguard smtp-incoming 25', 'fixup protocol smtp 25')
  const caller = { source: SOURCE, destination: '192.0.2.5', port: 25 }
  fc.assert(
    fc.property(fc.array(part, { maxLength: 30 }), profile, when, (spoken, line, opened) => {
      const slow = ['strict error-delay 5s', 'strict soft-errors 1', 'strict mail-rate 1']
      const { config } = parse(FIREWALL, [...BEFORE_A_SERVER, line, ...slow, ''].join('\n'), 'gw.conf')
      const dialogue = { file: 'x', spoken, ...(opened !== undefined && { opened }) }
      const calls = [1, 2].map(() => ({ dialogue, caller, admission: admit(config, 'gw', 'outside', caller) }))
      for (const { admission } of withinLimits(calls, config.gateway.limits)) {
        const { fates } = whatIf(dialogue, admission, { client: { address: SOURCE }, canSecure: true, now: 0 })
        assert.ok(fates.length <= spoken.length)
      }
    }),
    runs(500),
  )
})
