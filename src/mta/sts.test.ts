import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import { runs } from '../base/any-bytes.test.ts'
import { isNamed, LONGEST_POLICY, parseStsPolicy, stsId } from './sts.ts'

test('stsId() is the id of the one record there is', () => {
  assert.equal(stsId(['v=STSv1; id=20160831085700Z;']), '20160831085700Z')
  assert.equal(stsId(['v=spf1 -all', 'v=STSv1;id=a1;future=x;']), 'a1')
  for (const none of [
    [],
    ['v=STSv1; id=a', 'v=STSv1; id=b'],
    ['v=STSv1;'],
    ['v=STSv12; id=a'],
    ['v=STSv1; id=a b'],
    ['id=a; v=STSv1'],
  ])
    assert.equal(stsId(none), undefined, none.join('|'))
})

const POLICY =
  'version: STSv1\r\nmode: enforce\r\nmx: mail.b.example\nmx: *.B.example\r\nmax_age: 604800\r\nnew: field\r\n'

test('parseStsPolicy() reads a policy, and says what is wrong with what is none', () => {
  assert.deepEqual(parseStsPolicy(POLICY), {
    mode: 'enforce',
    mx: ['mail.b.example', '*.b.example'],
    maxAge: 604_800_000,
  })
  assert.deepEqual(parseStsPolicy('version: STSv1\nmode: none\nmax_age: 9999999999\n'), {
    mode: 'none',
    mx: [],
    maxAge: LONGEST_POLICY,
  })
  for (const [wrong, why] of [
    ['', 'version'],
    [POLICY.replace('STSv1', 'STSv2'), 'version'],
    [POLICY.replace('enforce', 'strict'), 'mode'],
    [POLICY.replace(/max_age.*/, ''), 'max_age'],
    [POLICY.replace('604800', '-1'), 'max_age'],
    [POLICY.replace(/mx.*/g, ''), 'mx'],
    ['<html>', 'not a field'],
    [`${POLICY}${'mx: a.example\n'.repeat(100)}`, 'mx'],
  ] as const) {
    const read = parseStsPolicy(wrong)
    assert.ok('wrong' in read && read.wrong.startsWith(why), wrong)
  }
})

test('isNamed() takes a star for one label, the first', () => {
  const policy = { mode: 'enforce', mx: ['mail.b.example', '*.c.example'], maxAge: 1 } as const
  for (const host of ['mail.b.example', 'MAIL.b.example', 'x.c.example']) assert.ok(isNamed(policy, host), host)
  for (const host of ['x.mail.b.example', 'b.example', 'c.example', 'x.y.c.example', '.c.example', ''])
    assert.ok(!isNamed(policy, host), host)
})

test('parseStsPolicy() takes anything', () => {
  const word = fc.constantFrom(
    'version',
    'mode',
    'mx',
    'max_age',
    ':',
    ' ',
    'STSv1',
    'enforce',
    '*.a',
    '1',
    '\n',
    '\r\n',
    '\0',
  )
  fc.assert(
    fc.property(fc.array(word, { maxLength: 40 }), words => {
      const read = parseStsPolicy(words.join(''))
      if (!('wrong' in read)) assert.ok(read.maxAge >= 0)
      stsId([words.join('')])
    }),
    runs(500),
  )
})
