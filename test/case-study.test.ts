/**
 * The case study of 2001, whole, as one synchronous test: client ⇄ firewall ⇄ server, no socket, no clock.
 *
 * Read this first. Everything Postern is made of takes part: configuration texts (`config`), the way a connection
 * crosses the firewall (`topology`, `firewall/admission`), the policy that a line of configuration put in force
 * (`firewall/profiles`), the machine that looks at every segment (`firewall/inspector`), the two halves of SMTP
 * (`smtp/server`, `mta/attempt`), and the record that explains each altered octet (`firewall/verdict`).
 */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { bytes, concat, text } from '../src/base/bytes.ts'
import { cite } from '../src/base/problem.ts'
import { parse, parseLine } from '../src/config/parse.ts'
import { admit } from '../src/firewall/admission.ts'
import { FIREWALL } from '../src/firewall/commands.ts'
import type { FirewallConfig } from '../src/firewall/config.ts'
import { Inspector } from '../src/firewall/inspector.ts'
import type { Explanation } from '../src/firewall/verdict.ts'
import { formatDate } from '../src/mail/date.ts'
import { Attempt, type AttemptOutput } from '../src/mta/attempt.ts'
import { offering, wish, worldOf } from '../src/smtp/any-login.test.ts'
import { dialect } from '../src/smtp/dialect.ts'
import { LIMITS } from '../src/smtp/limits.ts'
import { Server, type ServerOutput } from '../src/smtp/server.ts'
import { MAIL_ONLY } from '../src/smtp/session.ts'
import { type Outcome, sayOutcome } from '../src/spool/entry.ts'
import { wire } from '../src/transcript/wire.ts'

const SATURDAY = 1_001_783_358_000 // Sat, 29 Sep 2001 17:09:18 +0000

const PIX_B = `
nameif ethernet0 outside security0
nameif ethernet1 inside security100
nameif ethernet2 vpn security50
fixup protocol smtp 25
access-list vpn_in permit tcp 10.53.7.0 255.255.255.0 host 10.54.7.10 eq smtp
ip address outside 192.0.2.2 255.255.255.0
ip address inside 10.54.7.1 255.255.255.0
ip address vpn 10.54.250.1 255.255.255.0
static (inside,vpn) 10.54.7.0 10.54.7.0 netmask 255.255.255.0 0 0
access-group vpn_in in interface vpn
route vpn 10.53.0.0 255.255.0.0 10.54.250.2 1
`

const accounts = worldOf({ 'mail-a': 'secret' })
const MESSAGE = bytes('Subject: Are you there?\r\n\r\n.hidden dot\r\n\r\nBob?\r\n')

/** Mail from mail-a to mail-b, by the interface it comes in at: what was said, heard, altered, and what became of it. */
function send(firewall: FirewallConfig, from: 'vpn' | 'inside') {
  const caller =
    from === 'vpn'
      ? { source: '10.53.7.203', destination: '10.54.7.10', port: 25 }
      : { source: '10.54.7.10', destination: '10.53.7.203', port: 25 }
  const admission = admit(firewall, 'fw-b', from, caller)
  assert.notEqual(admission.kind, 'refuse')
  const policy = admission.kind === 'inspect' ? admission.policy : undefined
  const explanations: Explanation[] = []
  const inspector = policy && new Inspector(policy)
  const kept: Uint8Array[] = []
  const heardCommands: string[] = []

  const server = new Server({
    host: 'mail-b.b.example',
    peer: caller.source,
    dialect: dialect('exchange2000', { quoteUnknown: true }),
    version: '5.0.2195.2966',
    limits: LIMITS,
    ...MAIL_ONLY,
    ...offering('LOGIN'),
    date: formatDate,
    trace: true,
  })
  const attempt = new Attempt(
    {
      hello: 'mail-a.a.example',
      to: 'mail-b',
      envelope: {
        from: { local: 'alice', domain: 'a.example' },
        recipients: [{ to: { local: 'bob', domain: 'b.example' } }],
        smtputf8: false,
        body: '7bit',
      },
      recipients: [0],
      size: MESSAGE.length,
      outcome: 'relayed',
      login: wish({ verb: 'x-exps', user: 'mail-a', password: 'secret', required: true, by: 'connector A-to-B' }),
    },
    { trace: false },
  )
  const outcomes: Outcome[] = []
  const { carried } = wire<AttemptOutput, ServerOutput>(
    {
      machine: attempt,
      open: now => attempt.open(now),
      perform: (output, now) => {
        if (output.kind === 'outcome') outcomes.push(output.outcome)
        return output.kind === 'want-body' ? [...attempt.body(MESSAGE, now), ...attempt.endBody(now)] : []
      },
    },
    {
      machine: server,
      open: now => server.open(now),
      perform: (output, now) => {
        if (output.kind === 'body') kept.push(output.bytes)
        if (output.kind === 'trace' && output.by === 'C') heardCommands.push(output.text)
        if (output.kind !== 'ask') return []
        const { question } = output
        return server.answer(question.about === 'sasl' ? { sasl: accounts(question.question) } : { yes: 'id-1' }, now)
      },
    },
    {
      now: SATURDAY,
      until: SATURDAY,
      ...(inspector && {
        between: {
          receive: (side, segment) => {
            const outputs = inspector.receive(side, segment)
            for (const output of outputs) if (output.kind === 'altered') explanations.push(output.explanation)
            return outputs
          },
        },
      }),
    },
  )
  return { admission, carried, explanations, outcome: outcomes[0], kept: concat(kept), heardCommands }
}

function read(config: string): FirewallConfig {
  const { config: read, problems } = parse(FIREWALL, config, 'firewall-b.conf')
  assert.deepEqual(problems, [])
  return read
}

test('mail from site A stops at the firewall of site B, is explained, and flows once one line is typed', () => {
  const firewall = read(PIX_B)

  // 1. Inbound, from security 50 to 100: MailGuard looks.
  const stopped = send(firewall, 'vpn')
  const [greeting] = stopped.carried
  assert.equal(
    text(greeting?.said ?? bytes('')),
    '220 mail-b.b.example Microsoft ESMTP MAIL Service, Version: 5.0.2195.2966 ready at  Sat, 29 Sep 2001 17:09:18 +0000 \r\n',
  )
  assert.equal(
    text(greeting?.heard ?? bytes('')),
    '220 **********************************************************0*2****2*******************2******200*****0******0000 \r\n',
  )
  assert.deepEqual(stopped.heardCommands, ['XXXX mail-a.a.example', 'HELO mail-a.a.example', 'QUIT'])
  assert.equal(
    stopped.outcome && sayOutcome(stopped.outcome),
    'deferred: 4.7.0 connector A-to-B requires X-EXPS, which is not offered: EHLO was answered ' +
      '500 5.5.1 Command unrecognized: "XXXX mail-a.a.example"',
  )
  for (const { said, heard } of stopped.carried) assert.equal(heard.length, said.length)

  // 2. Outbound, from 100 to 50, through the same firewall: nothing is touched.
  const answered = send(firewall, 'inside')
  assert.deepEqual(answered.explanations, [])
  assert.equal(answered.outcome?.kind, 'relayed')

  // 3. The explanation: which line altered what, who misses it, and which line cures it.
  const [ofGreeting, ofEhlo] = stopped.explanations
  assert.equal(ofGreeting?.what, 'greeting')
  assert.equal(ofEhlo?.subject, 'EHLO')
  assert.equal(text(ofEhlo?.before ?? bytes('')), 'EHLO mail-a.a.example')
  assert.equal(text(ofEhlo?.after ?? bytes('')), 'XXXX mail-a.a.example')
  const cause = ofEhlo?.because.cause
  assert.equal(cause && `${cite(cause.at)}: ${cause.command}`, 'firewall-b.conf:5: fixup protocol smtp 25')
  assert.deepEqual(
    ofEhlo?.losses.map(({ subject }) => subject),
    ['EHLO', 'X-EXPS', 'X-LINK2STATE', 'XEXCH50', 'BDAT', 'STARTTLS', 'AUTH', 'ETRN'],
  )

  // 4. The cure, typed as the explanation says it.
  const typed = parseLine(FIREWALL, firewall, cause?.cure ?? '')
  assert.deepEqual(typed.problems, [])
  const cured = send(typed.config, 'vpn')
  assert.deepEqual(cured.explanations, [])
  assert.equal(cured.outcome?.kind, 'relayed')
  assert.deepEqual(cured.heardCommands, [
    'EHLO mail-a.a.example',
    'X-EXPS LOGIN',
    '[secret]',
    '[secret]',
    `MAIL FROM:<alice@a.example> SIZE=${MESSAGE.length}`,
    'RCPT TO:<bob@b.example>',
    `BDAT ${MESSAGE.length} LAST`,
    `(message of ${MESSAGE.length} octets)`,
    'QUIT',
  ])
  assert.equal(text(cured.kept), text(MESSAGE))
})

test('connections that were open when the line was typed keep their old treatment: a policy belongs to its inspector', () => {
  const firewall = read(PIX_B)
  const caller = { source: '10.53.7.203', destination: '10.54.7.10', port: 25 }
  const before = admit(firewall, 'fw-b', 'vpn', caller)
  assert.equal(before.kind, 'inspect')
  const open = before.kind === 'inspect' && before.policy ? new Inspector(before.policy) : undefined
  const typed = parseLine(FIREWALL, firewall, 'no fixup protocol smtp 25')
  assert.equal(admit(typed.config, 'fw-b', 'vpn', caller).kind, 'pass')
  const [altered, forwarded] = open?.receive('client', bytes('EHLO a\r\n')) ?? []
  assert.equal(altered?.kind, 'altered')
  assert.equal(forwarded?.kind === 'forward' && text(forwarded.bytes), 'XXXX a\r\n')
})
