import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import { anyOctets, runs } from '../base/any-bytes.test.ts'
import { bytes, text, utf8 } from '../base/bytes.ts'
import { formatMailbox, isDomain, type Mailbox, parseMailbox, parsePath } from './address.ts'
import { COMMAND_KINDS, type Command, formatCommand, kindOf, parseCommand, type Sayable } from './command.ts'
import { formatParams, fromXtext, type Params, parseParams, toXtext } from './params.ts'

const parse = (line: string): Command => parseCommand(utf8(line))

test('a verb is read in any case, and its argument as it stands', () => {
  assert.deepEqual(parse('ehlo remote-domain.com'), { kind: 'ehlo', domain: 'remote-domain.com' })
  assert.deepEqual(parse('EHLO [10.53.7.203] '), { kind: 'ehlo', domain: '[10.53.7.203]' })
  assert.deepEqual(parse('NoOp  a  b '), { kind: 'noop', argument: 'a  b' })
  assert.deepEqual(parse('XFORWARD NAME=x'), { kind: 'other', verb: 'XFORWARD', argument: 'NAME=x' })
  assert.deepEqual(parse('BDAT 86 last'), { kind: 'bdat', size: 86, last: true })
  assert.deepEqual(parse('X-EXPS LOGIN bWFpbC1h'), { kind: 'x-exps', mechanism: 'LOGIN', initial: 'bWFpbC1h' })
  assert.deepEqual(parse('X-LINK2STATE LAST CHUNK={000001}'), {
    kind: 'x-link2state',
    position: 'last',
    chunk: '{000001}',
  })
  assert.deepEqual(parse('MAIL FROM:<> RET=HDRS'), {
    kind: 'mail',
    from: null,
    params: [{ keyword: 'RET', value: 'HDRS' }],
  })
  // The space after the colon is wrong and everywhere.
  assert.deepEqual(parse('rcpt to: <@hop.example,@b.example:bob@b.example>'), {
    kind: 'rcpt',
    to: { local: 'bob', domain: 'b.example' },
    params: [],
  })
})

test('a verb of ours that is wrongly used is garbled, and says what is wrong', () => {
  const wrong: Readonly<Record<string, string>> = {
    'MAIL FROM:a@b.example': 'mail',
    'MAIL TO:<a@b.example>': 'mail',
    'MAIL FROM:<a@b.example>SIZE=1': 'mail',
    'MAIL FROM:<a@b.example> SIZE=1 size=2': 'mail',
    'RCPT TO:<>': 'rcpt',
    'RCPT TO:<a@b.example': 'rcpt',
    'DATA x': 'data',
    'BDAT -1': 'bdat',
    'BDAT 1e3': 'bdat',
    'BDAT 5 FIRST': 'bdat',
    'BDAT 1099511627777': 'bdat',
    'AUTH ': 'auth',
    'AUTH PLAIN a b': 'auth',
    'XEXCH50 -1 2': 'xexch50',
    'X-LINK2STATE MIDDLE CHUNK=': 'x-link2state',
    'EHLO a b': 'ehlo',
  }
  for (const [line, verb] of Object.entries(wrong)) {
    const command = parse(line)
    assert.equal(command.kind, 'garbled', line)
    assert.equal(command.kind === 'garbled' && command.verb, verb, line)
  }
})

test('what holds a control character, or no verb, is no command', () => {
  for (const line of ['', ' NOOP', 'NO\0OP', 'NOOP a\rNOOP b', 'NOOP\x0b', '.', '"', 'MÄIL FROM:<a@b>', 'BDAT=5']) {
    assert.equal(parse(line).kind, 'unreadable', JSON.stringify(line))
  }
})

test('an address in octets that are no UTF-8 is not an address in ISO 8859-1', () => {
  assert.deepEqual(parseCommand(bytes('MAIL FROM:<b\xff@b.example> SMTPUTF8')), {
    kind: 'garbled',
    verb: 'mail',
    wrong: 'not well-formed UTF-8',
    in: 'path',
  })
  assert.deepEqual(parse('RCPT TO:<grüße@b.example>'), {
    kind: 'rcpt',
    to: { local: 'grüße', domain: 'b.example' },
    params: [],
  })
})

test('parseCommand() never throws, whatever the octets', () => {
  const verbs = COMMAND_KINDS.map(kind => kind.toUpperCase())
  const line = anyOctets(
    ...verbs,
    ' ',
    ' ',
    '=',
    ':',
    '<',
    '>',
    '@',
    '"',
    '\\',
    'FROM:<',
    'TO:<',
    'a',
    '9',
    'CHUNK=',
    '.',
  )
  fc.assert(
    fc.property(line, octets => {
      assert.ok(parseCommand(octets).kind)
    }),
    runs(2000),
  )
})

const anyLabel = fc.stringMatching(/^[a-z0-9]([a-z0-9-]{0,6}[a-z0-9])?$/)
const anyDomain = fc.oneof(
  fc.array(anyLabel, { minLength: 1, maxLength: 3 }).map(labels => labels.join('.')),
  fc.constantFrom('[10.53.7.203]', '[IPv6:2001:db8::1]', 'grüße.example'),
)
const anyMailbox: fc.Arbitrary<Mailbox> = fc.record({
  local: fc.oneof(fc.stringMatching(/^[ -~]{1,20}$/), fc.constantFrom('a.b', 'grüße', '瘍瘊', '"', '\\', 'x@y', '.a')),
  domain: anyDomain,
})
const anyKeyword = fc.stringMatching(/^[A-Z0-9][A-Z0-9-]{0,7}$/)
const anyParams: fc.Arbitrary<Params> = fc.uniqueArray(
  fc.oneof(
    fc.record({ keyword: anyKeyword }),
    fc.record({ keyword: anyKeyword, value: fc.stringMatching(/^[!-<>-~]{1,9}$/) }),
  ),
  { maxLength: 3, selector: ({ keyword }) => keyword },
)
const anyWords = fc.stringMatching(/^[!-~]([ -~]{0,9}[!-~])?$/)

const anyCommand: fc.Arbitrary<Sayable> = fc
  .oneof<fc.Arbitrary<Sayable>[]>(
    fc.record({ kind: fc.constantFrom('ehlo', 'helo'), domain: anyDomain }),
    fc.record({ kind: fc.constant('mail'), from: fc.oneof(fc.constant(null), anyMailbox), params: anyParams }),
    fc.record({ kind: fc.constant('rcpt'), to: anyMailbox, params: anyParams }),
    fc.record({ kind: fc.constant('bdat'), size: fc.nat(), last: fc.boolean() }),
    fc.record({ kind: fc.constantFrom('auth', 'x-exps'), mechanism: fc.constantFrom('LOGIN', 'GSSAPI') }),
    fc.record({
      kind: fc.constantFrom('auth', 'x-exps'),
      mechanism: fc.constant('LOGIN'),
      initial: fc.base64String({ minLength: 4 }),
    }),
    fc.record({
      kind: fc.constantFrom('vrfy', 'expn', 'help', 'noop', 'etrn', 'atrn'),
      argument: fc.oneof(fc.constant(''), anyWords),
    }),
    fc.record({ kind: fc.constantFrom('data', 'rset', 'quit', 'starttls', 'turn') }),
    fc.record({
      kind: fc.constant('x-link2state'),
      position: fc.constantFrom('first', 'next', 'last', 'none'),
      chunk: anyWords,
    }),
    fc.record({ kind: fc.constant('xexch50'), size: fc.nat(), version: fc.constantFrom('1', '2') }),
    fc.record({ kind: fc.constant('other'), verb: fc.constantFrom('WIZ', 'XFOO'), argument: anyWords }),
  )
  // Records of fast-check have no prototype, and strict equality would mind.
  .map(command => structuredClone(command))

test('what formatCommand() writes, parseCommand() reads back', () => {
  fc.assert(
    fc.property(anyCommand, command => {
      const line = formatCommand(command)
      assert.ok(line)
      assert.equal(text(line, line.length - 2), '\r\n')
      assert.deepEqual(parseCommand(line.subarray(0, -2)), command)
    }),
    runs(1000),
  )
})

test('formatCommand() says nothing rather than two commands', () => {
  assert.equal(formatCommand({ kind: 'ehlo', domain: 'a\r\nRSET' }), undefined)
  assert.equal(formatCommand({ kind: 'rcpt', to: { local: 'a\nb', domain: 'b.example' }, params: [] }), undefined)
  assert.equal(formatCommand({ kind: 'noop', argument: 'a\0' }), undefined)
  assert.equal(text(formatCommand({ kind: 'noop', argument: '' }) ?? bytes('?')), 'NOOP\r\n')
})

test('parseMailbox() reads what formatMailbox() writes, quoted where it has to be', () => {
  fc.assert(
    fc.property(anyMailbox, mailbox => {
      assert.deepEqual(parseMailbox(formatMailbox(mailbox)), { ...mailbox })
    }),
    runs(500),
  )
  assert.equal(formatMailbox({ local: 'a"\\ b', domain: 'b.example' }), '"a\\"\\\\ b"@b.example')
})

test('what is not a mailbox is refused, a line end in quotation marks above all', () => {
  const wrong = [
    'a@',
    '@b',
    'a@b@c',
    'a..b@c',
    '.a@b',
    'a@b..c',
    'a@-b',
    'a@b_',
    'a@[1.2.3]',
    'a@[1.2.3.256]',
    '"a@b',
    '""@b',
    '"a"b@c',
    '"a\r\nRSET"@b',
    '"a\\\r\nRSET"@b',
    'a b@c',
    'a\0@b',
  ]
  for (const address of wrong) assert.ok('wrong' in parseMailbox(address), JSON.stringify(address))
})

test('the limits of RFC 5321 §4.5.3.1 are counted in octets: 64 of a local part, 255 of a domain, 256 of a path', () => {
  const local = (octets: number) => 'wrong' in parseMailbox(`${'a'.repeat(octets)}@b.example`)
  assert.deepEqual([local(64), local(65)], [false, true])
  assert.ok('wrong' in parseMailbox(`${'ü'.repeat(33)}@b.example`))
  const label = 'a'.repeat(49)
  assert.equal(isDomain(`${`${label}.`.repeat(5)}abcde`), true)
  assert.equal(isDomain(`${`${label}.`.repeat(5)}abcdef`), false)
  assert.equal(isDomain('a'.repeat(64)), false)
  const domain = (octets: number) => `${`${label}.`.repeat(4)}${'b'.repeat(octets - 200)}`
  const ofLength = (octets: number) => 'wrong' in parsePath(`<a@${domain(octets - 4)}>`)
  assert.deepEqual([ofLength(256), ofLength(257)], [false, true])
})

test('parseParams() reads what formatParams() writes, and refuses a keyword given twice', () => {
  fc.assert(
    fc.property(anyParams, params => {
      assert.deepEqual(
        parseParams(formatParams(params)),
        params.map(param => ({ ...param })),
      )
    }),
    runs(200),
  )
  for (const wrong of [' SIZE=', ' SIZE=1 size=2', ' =1', ' A=b=c', ' A\tB'])
    assert.ok('wrong' in parseParams(wrong), wrong)
})

test('xtext goes there and back, and is read strictly', () => {
  fc.assert(
    fc.property(fc.string({ unit: 'binary-ascii' }), said => fromXtext(toXtext(said)) === said),
    runs(200),
  )
  assert.equal(toXtext('a+b=c d'), 'a+2Bb+3Dc+20d')
  for (const wrong of ['a b', 'a=b', '+4', '+2b', '+GG']) assert.equal(fromXtext(wrong), undefined)
})

test('which command a line is does not depend on whether its argument is read', () => {
  const verb = fc.constantFrom(
    ...COMMAND_KINDS.map(kind => kind.toUpperCase()),
    'Mail',
    'XYZ',
    'X'.repeat(40),
    '',
    '-A',
  )
  const rest = fc.constantFrom(
    '',
    ' ',
    '\t',
    ' FROM:<a@b.example>',
    ' TO:<c@d.example>',
    ' 10 LAST',
    ':',
    '\0',
    '\x7f',
    'é',
  )
  const line = fc.oneof(
    fc.uint8Array({ maxLength: 20 }),
    fc.tuple(verb, rest, fc.string()).map(([a, b, c]) => utf8(`${a}${b}${c}`)),
  )
  fc.assert(
    fc.property(line, octets => {
      const command = parseCommand(octets)
      assert.equal(kindOf(octets), command.kind === 'garbled' ? command.verb : command.kind)
    }),
    runs(3000),
  )
})
