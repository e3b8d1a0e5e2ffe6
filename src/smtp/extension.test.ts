import assert from 'node:assert/strict'
import { test } from 'node:test'
import { advertised, checkMailParams, checkRcptParams, EXTENSIONS, listedBy, MOST_HOLD } from './extension.ts'
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
    now: Date.parse('2026-01-31T08:00:00Z'),
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

const NOW = Date.parse('2026-01-31T08:00:00Z')
const timed = (words: string) => {
  const params = parseParams(words)
  assert.ok(!('wrong' in params))
  const checked = checkMailParams(params, EVERYTHING, NOW)
  return 'wrong' in checked ? checked.situation : checked.facts
}

test('a time to hold a message until is at most a week away, and not over', () => {
  const hold = (words: string) => {
    const facts = timed(words)
    return typeof facts === 'string' ? facts : (facts.hold ?? 0) - NOW
  }
  assert.equal(hold('HOLDFOR=60'), 60_000)
  assert.equal(hold('HOLDFOR=604800'), MOST_HOLD)
  assert.equal(hold('HOLDUNTIL=2026-01-31T10:00:00+01:00'), 3_600_000)
  assert.equal(hold('HOLDUNTIL=2026-02-07T08:00:00Z'), MOST_HOLD)
  for (const wrong of [
    'HOLDFOR=604801',
    'HOLDFOR=-1',
    'HOLDFOR=1h',
    'HOLDFOR',
    'HOLDUNTIL=2026-02-07T08:00:01Z',
    'HOLDUNTIL=2026-01-31T07:59:59Z',
    'HOLDUNTIL=tomorrow',
    'HOLDFOR=60 HOLDUNTIL=2026-01-31T10:00:00Z',
  ])
    assert.equal(hold(wrong), 'bad-argument', wrong)
})

test('by when a message is to be delivered, and how urgent it is', () => {
  const facts = (words: string) => {
    const found = timed(words)
    return typeof found === 'string' ? found : [found.by, found.priority]
  }
  assert.deepEqual(facts('BY=120;R MT-PRIORITY=-9'), [{ within: 120_000, mode: 'return', trace: false }, -9])
  assert.deepEqual(facts('BY=-5;nt MT-PRIORITY=0'), [{ within: -5_000, mode: 'notify', trace: true }, 0])
  for (const wrong of [
    'BY=0;R',
    'BY=-1;R',
    'BY=1',
    'BY=1;X',
    'BY=1234567890;N',
    'MT-PRIORITY=10',
    'MT-PRIORITY=-0',
    'MT-PRIORITY',
  ])
    assert.equal(facts(wrong), 'bad-argument', wrong)
})

test('who may not relay is offered neither a hold nor a priority', () => {
  const offer = {
    maxSize: 1,
    maxRecipients: 1,
    maxMessages: 1,
    mechanisms: [],
    loggedIn: false,
    secured: false,
    startTls: false,
    services: new Set<string>(),
    now: NOW,
  }
  const held = (more: object) =>
    advertised({ ...offer, ...more }).filter(line => /^FUTURERELEASE|^MT-PRIORITY/.test(line))
  assert.deepEqual(held({}), [])
  const both = ['FUTURERELEASE 604800 2026-02-07T08:00:00Z', 'MT-PRIORITY']
  assert.deepEqual([held({ loggedIn: true }), held({ services: new Set(['RELAY']) })], [both, both])
})
