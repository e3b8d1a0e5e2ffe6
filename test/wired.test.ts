/**
 * Client, firewall and server as machines, wired end to end in memory: whatever the message, what the server keeps is
 * what the client had, or the client knows that it has not.
 */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import { runs } from '../src/base/any-bytes.test.ts'
import { bytes, concat, text } from '../src/base/bytes.ts'
import { Inspector } from '../src/firewall/inspector.ts'
import { type PixProfile, pix } from '../src/firewall/profiles/pix.ts'
import { type Envelope, envelopeOf } from '../src/mail/envelope.ts'
import { Attempt, type AttemptOutput, type Order } from '../src/mta/attempt.ts'
import { offering, wish, worldOf } from '../src/smtp/any-login.test.ts'
import { type Dialect, dialect } from '../src/smtp/dialect.ts'
import { LIMITS, type Limits } from '../src/smtp/limits.ts'
import { Server, type ServerOutput } from '../src/smtp/server.ts'
import { MAIL_ONLY } from '../src/smtp/session.ts'
import { type Outcome, sayOutcome } from '../src/spool/entry.ts'
import { type Between, wire } from '../src/transcript/wire.ts'

const AT = { file: 'firewall.conf', line: 1, column: 1, length: 1, text: '' }
const CAUSE = { at: AT, command: 'fixup protocol smtp 25', cure: 'no fixup protocol smtp 25' }

interface Kept {
  readonly envelope: Envelope
  readonly message: Uint8Array
}

interface Setup {
  readonly envelope: Envelope
  readonly message: Uint8Array
  readonly name?: Dialect['name']
  readonly firewall?: PixProfile | undefined
  readonly login?: Order['login']
  readonly limits?: Partial<Limits>
}

/** Sends a message; `nobody@…` is refused by the server. */
function send({ envelope, message, name = 'postern', firewall, login, limits }: Setup) {
  const kept: Kept[] = []
  const outcomes = new Map<number, Outcome>()
  const server = new Server({
    host: 'mail-b.b.example',
    peer: '10.53.7.203',
    dialect: dialect(name, { quoteUnknown: true }),
    version: '5.0',
    limits: { ...LIMITS, ...limits },
    ...MAIL_ONLY,
    ...offering('LOGIN'),
    date: () => 'today',
  })
  const recipients = envelope.recipients.map((_, i) => i)
  const order: Order = {
    hello: 'mail-a.a.example',
    to: 'mail-b',
    envelope,
    recipients,
    size: message.length,
    outcome: 'relayed',
    ...(login && { login }),
  }
  const attempt = new Attempt(order, { trace: false })
  let pieces: Uint8Array[] = []
  const between: Between | undefined = firewall && new Inspector(pix(firewall, CAUSE))
  const { carried } = wire<AttemptOutput, ServerOutput>(
    {
      machine: attempt,
      open: now => attempt.open(now),
      perform(output, now) {
        if (output.kind === 'outcome') outcomes.set(output.recipient, output.outcome)
        if (output.kind === 'convert') return attempt.unconvertible({ status: '5.6.3', why: 'nobody converts it' }, now)
        if (output.kind !== 'want-body') return []
        const half = Math.floor(message.length / 2)
        const halves = [message.subarray(0, half), message.subarray(half)].filter(each => each.length > 0)
        return [...halves.flatMap(each => attempt.body(each, now)), ...attempt.endBody(now)]
      },
    },
    {
      machine: server,
      open: now => server.open(now),
      perform(output, now) {
        if (output.kind === 'message-begins') pieces = []
        if (output.kind === 'body') pieces.push(output.bytes)
        if (output.kind !== 'ask') return []
        const { question } = output
        if (question.about === 'rcpt' && question.to.local === 'nobody')
          return server.answer({ no: 'no-such-user' }, now)
        if (question.about === 'sasl') return server.answer({ sasl: accounts(question.question) }, now)
        if (question.about === 'message')
          kept.push({ envelope: envelopeOf(question.transaction, 0), message: concat(pieces) })
        return server.answer({ yes: 'M1' }, now)
      },
    },
    { ...(between && { between }), now: 0, until: 86_400_000 },
  )
  const heard = (by: 'client' | 'server') =>
    carried.flatMap(each => (each.by === by ? [text(each.heard)] : [])).join('')
  return {
    kept,
    outcomes,
    heard,
    said: recipients.map(each => sayOutcome(outcomes.get(each) ?? { kind: 'delivered', to: 'nobody: no outcome' })),
  }
}

const anyLine = fc.oneof(
  fc.constantFrom('', '.', '..', '.x', 'QUIT', 'RSET', 'EHLO a', 'BDAT 5 LAST', 'DATA', '220 20', ' folded', 'a|<b>'),
  fc.string({ unit: fc.constantFrom('a', '.', ' ', '\t', '2', '0'), maxLength: 70 }),
)
const anyMessage = fc.array(anyLine, { maxLength: 20 }).map(lines => bytes(lines.map(each => `${each}\r\n`).join('')))
const anyEnvelope: fc.Arbitrary<Envelope> = fc.record({
  from: fc.constantFrom<Envelope['from']>(
    null,
    { local: 'alice', domain: 'a.example' },
    { local: 'a"b c', domain: '[10.0.0.1]' },
  ),
  recipients: fc
    .array(fc.constantFrom('bob', 'carol', 'nobody', 'x+y'), { minLength: 1, maxLength: 4 })
    .map(locals => locals.map(local => ({ to: { local, domain: 'b.example' } }))),
  smtputf8: fc.constant(false),
  body: fc.constant('7bit' as const),
})
const anyName = fc.constantFrom<Dialect['name']>('postern', 'exchange2000')

test('a message arrives octet by octet, to everybody who was not refused, with any firewall in between that lets it in', () => {
  let arrived = 0
  const firewalls = fc.constantFrom<PixProfile | undefined>(undefined, '5.1', undefined)
  fc.assert(
    fc.property(anyMessage, anyEnvelope, anyName, firewalls, (message, envelope, name, firewall) => {
      const { kept, outcomes } = send({ message, envelope, name, firewall })
      const wanted = envelope.recipients.filter(({ to }) => to.local !== 'nobody')
      const relayed = [...outcomes.values()].filter(({ kind }) => kind === 'relayed').length
      assert.equal(outcomes.size, envelope.recipients.length)
      assert.equal(relayed, wanted.length)
      assert.equal(kept.length, wanted.length > 0 ? 1 : 0)
      const [one] = kept
      if (!one) return
      arrived++
      assert.equal(text(one.message), text(message))
      assert.deepEqual(one.envelope.from, envelope.from)
      assert.deepEqual(
        one.envelope.recipients.map(({ to }) => to),
        wanted.map(({ to }) => ({ ...to })),
      )
    }),
    runs(300),
  )
  assert.ok(arrived > 100)
})

const LOGIN = { verb: 'x-exps', user: 'mail-a', password: 's3cret', required: true, by: 'connector A-to-B' } as const
const accounts = worldOf({ 'mail-a': 's3cret' })
const PLAIN: Setup = {
  envelope: { from: null, recipients: [{ to: { local: 'bob', domain: 'b.example' } }], smtputf8: false, body: '7bit' },
  message: bytes('Subject: hi\r\n\r\nhello\r\n'),
  name: 'exchange2000',
}

test('a connector that requires X-EXPS delivers on an open way, and keeps its mail behind every MailGuard', () => {
  assert.deepEqual(send({ ...PLAIN, login: wish(LOGIN) }).said, [
    'relayed to mail-b: 250 2.6.0 M1 Queued mail for delivery',
  ])
  const reasons = (['5.1', '4.2', '4.0'] as const).map(firewall => {
    const { kept, said, heard } = send({ ...PLAIN, login: wish(LOGIN), firewall })
    assert.equal(kept.length, 0)
    assert.ok(!heard('client').includes('MAIL FROM'))
    return said[0]
  })
  assert.deepEqual(reasons, [
    'deferred: 4.7.0 connector A-to-B requires X-EXPS, which is not offered: EHLO was answered 500 5.5.1 Command unrecognized: "XXXX mail-a.a.example"',
    // NOOP is answered with 250, so EHLO seems to have worked, and to offer nothing.
    'deferred: 4.7.0 connector A-to-B requires X-EXPS, which is not offered: it is not in the EHLO list',
    'deferred: 4.7.0 connector A-to-B requires X-EXPS, which is not offered: it is not in the EHLO list',
  ])
})

test('a wrong password keeps the mail, and does not go over the wire in clear text', () => {
  const { said, kept, heard } = send({ ...PLAIN, login: wish({ ...LOGIN, password: 'guess' }) })
  assert.match(said[0] ?? '', /^deferred: 4\.7\.0 connector A-to-B requires X-EXPS, which was refused: 535 /)
  assert.equal(kept.length, 0)
  assert.ok(!heard('client').includes('guess'))
})

test('what MailGuard took away is missed: 8-bit mail is refused by the sender, and passes without it', () => {
  const eight = {
    ...PLAIN,
    envelope: { ...PLAIN.envelope, body: '8bitmime' as const },
    message: bytes('Subject: gr\xc3\xbc\xc3\x9fe\r\n'),
  }
  assert.equal(send(eight).kept.length, 1)
  assert.match(send({ ...eight, firewall: '5.1' }).said[0] ?? '', /^failed: 5\.6\.3 /)
})

test('a message too big for the server is refused before it is sent where the limit is told, and after where it is not', () => {
  const limits = { messageSize: 10 }
  assert.match(send({ ...PLAIN, name: 'postern', limits }).said[0] ?? '', /^failed: 5\.3\.4 the message has 22 octets/)
  assert.match(send({ ...PLAIN, name: 'postern', limits, firewall: '5.1' }).said[0] ?? '', /^failed: 552 5\.3\.4 /)
})
