import assert from 'node:assert/strict'
import { test } from 'node:test'
import { advertised, checkMailParams, checkRcptParams, EXTENSIONS, listedBy } from './extension.ts'
import { COMMAND_LINE, lineLimit, MAIL_LINE } from './limits.ts'
import { parseParams } from './params.ts'

const EVERYTHING = new Set(EXTENSIONS.map(({ keyword }) => keyword))

const mail = (words: string) =>
  checkMailParams(parseParams(words) as Exclude<ReturnType<typeof parseParams>, { wrong: string }>, EVERYTHING)
const rcpt = (words: string) =>
  checkRcptParams(parseParams(words) as Exclude<ReturnType<typeof parseParams>, { wrong: string }>, EVERYTHING)

test('the parameters of MAIL are read as facts', () => {
  assert.deepEqual(mail('SIZE=100 BODY=8bitmime SMTPUTF8 RET=hdrs ENVID=QQ+2B AUTH=<>'), {
    facts: { body: '8bitmime', smtputf8: true, requireTls: false, size: 100 },
  })
  assert.deepEqual(mail(''), { facts: { body: '7bit', smtputf8: false, requireTls: false } })
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
  for (const each of ['ORCPT=bob@example.org', 'NOTIFY=NEVER,DELAY', 'NOTIFY=', 'NOTIFY', 'ORCPT', 'SIZE=1']) {
    const params = parseParams(each)
    assert.ok('wrong' in params || 'wrong' in checkRcptParams(params, EVERYTHING), each)
  }
})

test('a line may be longer by what its extensions add, and no other line is', () => {
  assert.equal(lineLimit('noop'), COMMAND_LINE)
  assert.equal(lineLimit(undefined), 512)
  assert.equal(lineLimit('mail'), MAIL_LINE)
  assert.equal(lineLimit('auth'), 12_288)
  assert.equal(lineLimit('x-link2state'), 1024)
})

test('a parameter that its client was not offered is unknown, BODY=BINARYMIME among them', () => {
  const checked = (listed: readonly string[], words: string) => {
    const params = parseParams(words)
    assert.ok(!('wrong' in params))
    const found = checkMailParams(params, new Set(listed))
    return 'wrong' in found ? `${found.situation} ${found.wrong}` : 'ok'
  }
  assert.equal(checked([], 'SIZE=1'), 'bad-parameter SIZE')
  assert.equal(checked(['SIZE'], 'SIZE=1'), 'ok')
  assert.equal(checked(['8BITMIME'], 'BODY=BINARYMIME'), 'bad-parameter BODY=BINARYMIME')
  assert.equal(checked(['8BITMIME', 'BINARYMIME'], 'BODY=BINARYMIME'), 'ok')
  assert.equal(checked(['SIZE'], 'REQUIRETLS'), 'bad-parameter REQUIRETLS')
})

test('our own list says what works now, and nothing else', () => {
  const offer = {
    maxSize: 1000,
    maxRecipients: 100,
    maxMessages: 10,
    mechanisms: ['PLAIN'],
    loggedIn: false,
    secured: false,
    startTls: true,
    services: new Set(['ETRN']),
  }
  const clear = listedBy(advertised(offer))
  assert.deepEqual(
    ['STARTTLS', 'REQUIRETLS', 'AUTH', 'ETRN', 'ATRN', 'XCLIENT'].map(each => clear.has(each)),
    [true, false, true, true, false, false],
  )
  const inside = listedBy(advertised({ ...offer, secured: true, loggedIn: true }))
  assert.deepEqual(
    ['STARTTLS', 'REQUIRETLS', 'AUTH'].map(each => inside.has(each)),
    [false, true, false],
  )
})
