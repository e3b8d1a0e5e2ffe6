import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import {
  compare,
  linesCame,
  linesWanted,
  literally,
  match,
  matchLines,
  patternText,
  readPattern,
  share,
} from './match.ts'

const NONE: ReadonlyMap<string, string> = new Map()

function matches(pattern: string, line: string, bound = NONE): Record<string, string> | false {
  const now = match(readPattern(pattern), line, bound)
  return now ? Object.fromEntries(now) : false
}

test('a line without placeholders matches only itself', () => {
  assert.deepEqual(matches('250 Ok', '250 Ok'), {})
  assert.equal(matches('250 Ok', '250 ok'), false)
  assert.equal(matches('250 Ok', '250 Ok!'), false)
  assert.equal(matches('', 'x'), false)
  assert.deepEqual(matches('', ''), {})
})

test('[[any]] stands for anything, and for nothing', () => {
  assert.deepEqual(matches('220 [[any]] ready', '220 mail.example ESMTP ready'), {})
  assert.deepEqual(matches('220 [[any]]', '220 '), {})
  assert.deepEqual(matches('[[any]]a[[any]]b', 'xaxxab'), {})
  assert.equal(matches('[[any]]a[[any]]b', 'xbxxa'), false)
  assert.equal(matches('220 [[any]] ready', '220 ready'), false)
})

test('[[number]] takes all the digits there are', () => {
  assert.deepEqual(matches('250 SIZE [[number]]', '250 SIZE 10485760'), {})
  assert.equal(matches('250 SIZE [[number]]', '250 SIZE '), false)
  assert.equal(matches('[[number]]0', '100'), false)
  assert.deepEqual(matches('[[any]][[number]]ms', 'a1b22ms'), {})
})

test('[[date]] reads the dates of mail and of logs', () => {
  for (const date of [
    'Sat, 29 Sep 2001 17:09:18 +0000',
    '9 Sep 2001 17:09 GMT',
    'Sat,  1 Sep 2001 17:09:18 +0200 (CEST)',
    '2001-09-29T17:09:18.000Z',
    '2001-09-29 17:09:18+02:00',
  ]) {
    assert.deepEqual(matches('220 [[date]] x', `220 ${date} x`), {}, date)
    assert.deepEqual(matches('[[any]] at [[date]]', `mail at ${date}`), {}, date)
  }
  assert.equal(matches('[[date]]', 'Sat, 29 Foo 2001 17:09:18 +0000'), false)
})

test('[[id:x]] binds, and must repeat', () => {
  assert.deepEqual(matches('queued as [[id:first]].', 'queued as 0A1-b.'), { first: '0A1-b' })
  assert.deepEqual(matches('[[id:a]] [[id:a]]', 'x1 x1'), { a: 'x1' })
  assert.equal(matches('[[id:a]] [[id:a]]', 'x1 x2'), false)
  assert.equal(matches('[[id:a]]', 'x12', new Map([['a', 'x1']])), false)
  assert.deepEqual(matches('<[[id:m]]@a.example>', '<Q7@a.example>'), { m: 'Q7' })
})

test('other double brackets are the text of the line', () => {
  assert.deepEqual(matches('[[[any]]]', '[10.53.7.203]'), {})
  assert.deepEqual(matches('[[what]] [[id:]] [[', '[[what]] [[id:]] [['), {})
})

test('a pattern is the text it was read from', () => {
  const word = fc.constantFrom('[[any]]', '[[number]]', '[[date]]', '[[id:x]]', '[[', ']]', '[', 'id:', 'any', 'a', ' ')
  fc.assert(
    fc.property(fc.array(word), words => {
      assert.equal(patternText(readPattern(words.join(''))), words.join(''))
    }),
  )
})

test('[[any]] agrees with a regular expression that tries everything', () => {
  const words = fc.array(fc.constantFrom('[[any]]', 'a', 'b', 'ab'), { maxLength: 6 })
  fc.assert(
    fc.property(words, fc.array(fc.constantFrom('a', 'b'), { maxLength: 8 }), (pattern, letters) => {
      const regExp = new RegExp(`^${pattern.map(word => (word === '[[any]]' ? '.*' : word)).join('')}$`)
      assert.equal(matches(pattern.join(''), letters.join('')) !== false, regExp.test(letters.join('')))
    }),
  )
})

test('a line made to hang a matcher that backtracks is answered all the same', () => {
  const digits = '1'.repeat(200_000)
  assert.equal(matches('[[any]][[number]][[any]][[number]]x[[any]]1[[number]]y', digits), false)
  assert.equal(matches(`${'[[any]]1'.repeat(20)}x`, digits), false)
  assert.equal(matches('['.repeat(200_000), digits), false)
})

test('... skips lines, and none', () => {
  const lines = ['Reporting-MTA: x', 'Action: failed', 'Status: 4.4.1']
  const fits = (...expected: string[]) => matchLines(expected, lines, NONE) !== undefined
  assert.ok(fits('...', 'Action: failed', '...'))
  assert.ok(fits('...', 'Status: [[any]]'))
  assert.ok(fits(...lines, '...'))
  assert.ok(fits('...', '...'))
  assert.ok(!fits('Action: failed', '...'))
  assert.ok(!fits('...', 'Action: failed'))
  assert.ok(!fits('...', 'Status: 4.4.1', 'Action: failed', '...'))
  assert.ok(!fits())
  assert.ok(matchLines([], [], NONE))
})

test('words are compared as lines, however they came', () => {
  const wanted = linesWanted([
    { way: 'S', pattern: literally('250 '), turn: 0 },
    { way: 'S', pattern: readPattern('O[[any]]\r\n'), turn: 1 },
    { way: 'closes', pattern: [], turn: 2 },
  ])
  const came = linesCame([
    { way: 'S', text: '2' },
    { way: 'S', text: '50 Ok\r' },
    { way: 'S', text: '\n' },
    { way: 'closes', text: '' },
  ])
  assert.ok(compare(wanted, came, NONE).same)
  assert.deepEqual(
    wanted.map(({ from, to }) => [from, to]),
    [
      [0, 1],
      [2, 2],
    ],
  )
})

test('a turn of several lines fits as a whole or not at all', () => {
  const wanted = linesWanted([
    { way: 'S', pattern: literally('a\n'), turn: 0 },
    { way: 'S', pattern: literally('b\nc\n'), turn: 1 },
  ])
  const { before, after, missing, extra } = compare(wanted, linesCame([{ way: 'S', text: 'a\nb\nx\n' }]), NONE)
  assert.deepEqual([before, after, missing.length, extra.length], [1, 0, 2, 2])
})

test('share() gives each line what it most likely became', () => {
  assert.deepEqual(share(['EHLO x\n', 'QUIT\n'], 'XXXX x\nQUIT\n'), ['XXXX x\n', 'QUIT\n'])
  assert.deepEqual(share(['A\n', 'QUIT\n'], 'QUIT\n'), ['', 'QUIT\n'])
  assert.deepEqual(share(['A\n', 'B\n'], 'AA\nB\nC\n'), ['AA\n', 'B\nC\n'])
  assert.deepEqual(share(['A\n', 'B\n'], ''), ['', ''])
})
