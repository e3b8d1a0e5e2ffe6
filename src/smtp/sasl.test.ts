import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import { runs } from '../base/any-bytes.test.ts'
import { bytes, text, utf8 } from '../base/bytes.ts'
import { checkMailParams, checkRcptParams } from './extension.ts'
import { COMMAND_LINE, lineLimit, MAIL_LINE } from './limits.ts'
import { parseParams } from './params.ts'
import { loginClient, SASL_SERVERS, type SaslServer } from './sasl.ts'

function server(mechanism: string): SaslServer {
  const made = SASL_SERVERS[mechanism]?.()
  assert.ok(made)
  return made
}

test('LOGIN asks for a name and a password, or only for the password where the name came along', () => {
  const slow = server('LOGIN')
  assert.deepEqual(slow.step(undefined), { challenge: bytes('Username:') })
  assert.deepEqual(slow.step(bytes('mail-a')), { challenge: bytes('Password:') })
  const claim = { claim: { mechanism: 'LOGIN', user: 'mail-a', password: 's3cret' } }
  assert.deepEqual(slow.step(bytes('s3cret')), claim)
  const quick = server('LOGIN')
  assert.deepEqual(quick.step(bytes('mail-a')), { challenge: bytes('Password:') })
  assert.deepEqual(quick.step(bytes('s3cret')), claim)
})

test('PLAIN is three parts in one, and acts for nobody else', () => {
  const claim = { claim: { mechanism: 'PLAIN', user: 'alice', password: 'grün' } }
  assert.deepEqual(server('PLAIN').step(utf8('\0alice\0grün')), claim)
  assert.deepEqual(server('PLAIN').step(utf8('alice\0alice\0grün')), claim)
  for (const wrong of ['alice', 'alice\0s', '\0a\0b\0c', 'root\0alice\0s', '\0alice\0\xff']) {
    assert.ok('wrong' in server('PLAIN').step(bytes(wrong)), JSON.stringify(wrong))
  }
})

test('no mechanism throws at any octets', () => {
  fc.assert(
    fc.property(fc.constantFrom('LOGIN', 'PLAIN'), fc.array(fc.uint8Array(), { maxLength: 4 }), (name, responses) => {
      const made = server(name)
      for (const response of responses) made.step(response)
    }),
    runs(200),
  )
})

test('the client of LOGIN has two answers, whatever is asked, and no third', () => {
  const client = loginClient(bytes('mail-a'), bytes('s3cret'))
  assert.equal(text(client.step(bytes('?')) ?? bytes('')), 'mail-a')
  assert.equal(text(client.step(bytes('?')) ?? bytes('')), 's3cret')
  assert.equal(client.step(bytes('?')), undefined)
})

const mail = (words: string) =>
  checkMailParams(parseParams(words) as Exclude<ReturnType<typeof parseParams>, { wrong: string }>)
const rcpt = (words: string) =>
  checkRcptParams(parseParams(words) as Exclude<ReturnType<typeof parseParams>, { wrong: string }>)

test('the parameters of MAIL are read as facts', () => {
  assert.deepEqual(mail('SIZE=100 BODY=8bitmime SMTPUTF8 RET=hdrs ENVID=QQ+2B AUTH=<>'), {
    facts: { body: '8bitmime', smtputf8: true, size: 100 },
  })
  assert.deepEqual(mail(''), { facts: { body: '7bit', smtputf8: false } })
})

test('a parameter nobody knows is 555, a wrong value 501', () => {
  const situation = (checked: ReturnType<typeof mail>) => ('wrong' in checked ? checked.situation : 'ok')
  for (const unknown of ['X-NOPE', 'NOTIFY=NEVER', 'TRANSID=1']) assert.equal(situation(mail(unknown)), 'bad-parameter')
  const wrong = [
    'SIZE=x',
    'SIZE',
    'SIZE=999999999999999999999',
    'BODY=9BIT',
    'SMTPUTF8=1',
    'RET=ALL',
    'ENVID=+4',
    'ENVID=+FF',
  ]
  for (const each of wrong) assert.equal(situation(mail(each)), 'bad-argument', each)
  for (const right of ['NOTIFY=NEVER', 'NOTIFY=success,DELAY', 'ORCPT=rfc822;a+2Bb'])
    assert.ok('facts' in rcpt(right), right)
  for (const each of ['NOTIFY=NEVER,DELAY', 'NOTIFY=', 'NOTIFY', 'ORCPT', 'SIZE=1']) {
    const params = parseParams(each)
    assert.ok('wrong' in params || 'wrong' in checkRcptParams(params), each)
  }
})

test('a line may be longer by what its extensions add, and no other line is', () => {
  assert.equal(lineLimit('noop'), COMMAND_LINE)
  assert.equal(lineLimit(undefined), 512)
  assert.equal(lineLimit('mail'), MAIL_LINE)
  assert.equal(lineLimit('auth'), 12_288)
  assert.equal(lineLimit('x-link2state'), 1024)
})
