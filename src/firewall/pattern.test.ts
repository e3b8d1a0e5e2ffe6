import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import { runs } from '../base/any-bytes.test.ts'
import { bytes } from '../base/bytes.ts'
import { MAX_PATTERN_LENGTH, MAX_PATTERN_STATES, pattern } from './pattern.ts'

function finds(source: string, said: string): boolean {
  const read = pattern(source)
  assert.ok(!('wrong' in read), JSON.stringify(read))
  return read.test(bytes(said))
}

test('a pattern says what the regex table of an ASA says it does', () => {
  for (const [source, yes, no] of [
    ['d.g', 'a dog, a dag', 'dgo'],
    ['d(o|a)g', 'dog', 'do|ag'],
    ['dog|cat', 'cat', 'cow'],
    ['lo?se', 'lse', 'loose'],
    ['lo*se', 'loooose', 'la'],
    ['lo+se', 'lose', 'lse'],
    ['^ab(xy){3}z$', 'abxyxyxyz', 'abxyxyz'],
    ['ab(xy){2,}z', 'abxyxyxyz', 'abxyz'],
    ['^a{1,2}$', 'aa', 'aaa'],
    ['[abc]', 'b', 'd'],
    ['[^abc]', 'd', 'abcabc'],
    ['[a-c]', 'b', 'd'],
    ['[abcq-z]', 'r', 'd'],
    ['[]a-]', ']', 'b'],
    ['" test"', 'a test', 'test'],
    ['^http', 'http://', 'an http'],
    ['\\[', '[', 'x'],
    ['\\r\\n', 'a\r\nb', 'a\nb'],
    ['\\x41\\102', 'AB', 'ab'],
    ['\\.(exe|scr)$', 'a.scr', 'a.scr.txt'],
    ['a$b', 'a$b', 'ab'],
  ] as const) {
    assert.equal(finds(source, yes), true, `${source} in ${yes}`)
    assert.equal(finds(source, no), false, `${source} in ${no}`)
  }
})

test('a pattern that cannot be read says where and what would be right', () => {
  for (const [source, wrong, at] of [
    ['', /empty/, 0],
    ['a(b', /never closed/, 1],
    ['a)b', /never opened/, 1],
    ['[ab', /never closed/, 0],
    ['*a', /nothing before it to repeat; for the character itself write \\\*/, 0],
    ['a{x}', /expected a count/, 1],
    ['a{3,2}', /lower count comes first/, 1],
    ['[z-a]', /lower end/, 2],
    ['\\xg', /two hex digits/, 0],
    ['\\9', /three octal digits/, 0],
    ['a\\', /needs a character/, 1],
    ['"a', /never closed/, 0],
    ['\u20ac', /octets/, 0],
    ['((((a{100}){100}){100}){100})', /more than 512 states/, 0],
    [`a{${MAX_PATTERN_STATES + 2}}`, /more than 512 states/, 0],
    ['a'.repeat(MAX_PATTERN_LENGTH + 1), /256 characters/, MAX_PATTERN_LENGTH],
  ] as const) {
    const read = pattern(source)
    assert.ok('wrong' in read, source)
    assert.match(read.wrong, wrong)
    assert.equal(read.at, at, source)
  }
})

const atom = fc.constantFrom('a', 'b', 'c', '.', '[ab]', '[^a]', '[b-c]', '\\x61', '^', '$')
const { tree } = fc.letrec<{ tree: string }>(tie => ({
  tree: fc.oneof(
    { depthSize: 'small', withCrossShrink: true },
    atom,
    fc.tuple(tie('tree'), tie('tree')).map(([a, b]) => a + b),
    fc.tuple(tie('tree'), tie('tree')).map(([a, b]) => `(${a}|${b})`),
    fc.tuple(tie('tree'), fc.constantFrom('*', '+', '?', '{2}', '{1,}', '{0,2}')).map(([a, times]) => `(${a})${times}`),
  ),
}))

test('a pattern finds what a RegExp finds, on all that is small', () => {
  fc.assert(
    fc.property(
      // Within a pattern `$` is a character here and the end there: only the last is compared.
      tree
        .map(source => source.replace(/\$(?=[^|)]|$)/g, ''))
        .filter(source => source !== '' && !/\((?=[*+?{])/.test(source)),
      // Several, for what was found out with one is used for the next.
      fc.array(fc.stringMatching(/^[abc\n]{0,7}$/), { minLength: 1, maxLength: 5 }),
      (source, texts) => {
        const read = pattern(source)
        if ('wrong' in read) return
        for (const said of texts) {
          assert.equal(
            read.test(bytes(said)),
            new RegExp(source, 's').test(said),
            `${source} in ${JSON.stringify(said)}`,
          )
        }
      },
    ),
    runs(2000),
  )
})

test('a pattern whose table would be too large finds the same', () => {
  // Which of the last twelve octets were an a is more than any table holds.
  const source = 'a[ab]{12}c'
  const read = pattern(source)
  assert.ok(!('wrong' in read))
  fc.assert(
    fc.property(fc.stringMatching(/^[ab]{200}[abc]{60}$/), said => {
      assert.equal(read.test(bytes(said)), new RegExp(source).test(said), said)
    }),
    runs(200),
  )
})

test('any text at all is a pattern or a complaint, and takes no more states than there may be', () => {
  fc.assert(
    fc.property(fc.string({ maxLength: 40, unit: fc.constantFrom(...'ab(|)[]*+?{}1,2^$"\\x.-') }), source => {
      const read = pattern(source)
      if ('wrong' in read) assert.ok(read.at >= 0 && read.at <= source.length)
      else assert.equal(typeof read.test(bytes('aab')), 'boolean')
    }),
    runs(2000),
  )
  assert.equal(finds('(((){9999}){9999}){9999}', ''), true)
  // What sends a backtracking matcher away for ever, and as many states as there may be.
  assert.equal(finds('^(a+)+$', `${'a'.repeat(5000)}b`), false)
  assert.equal(finds(`[^b]{1,${MAX_PATTERN_STATES / 2 - 1}}b`, 'a'.repeat(500)), false)
  assert.equal(finds(`(a?){${MAX_PATTERN_STATES / 2 - 10}}b`, 'a'.repeat(500)), false)
})
