import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import { runs } from '../base/any-bytes.test.ts'
import { compare, ending, expected, fold, line, marks, type Step } from './story.ts'

const SAID = '220 mail-b ESMTP Version: 5.0'
const HEARD = '220 ****** ***** ********5.0'

function step(...held: readonly boolean[]): Step {
  return {
    story: 'greeting',
    step: 1,
    title: 'The greeting',
    lines: [],
    expectations: held.map((each, i) => expected(`expectation ${i}`, each, 'what was found')),
    facts: {},
  }
}

const texts = (...args: Parameters<typeof compare>): readonly string[] => compare(...args).map(each => each.text)

test('marks() stands under what differs, and under nothing else', () => {
  assert.equal(marks('220 mail-b', '220 ******'), '    ^^^^^^')
  assert.equal(marks('abcd', 'aXcX'), ' ^ ^')
  assert.equal(marks('same', 'same'), '')
})

test('marks() counts what is missing at the end, or was added there, as different', () => {
  assert.equal(marks('ab', 'abcd'), '  ^^')
  assert.equal(marks('abcd', 'ab'), '  ^^')
  assert.equal(marks('', 'x'), '^')
})

test('marks() marks exactly the positions that differ', () => {
  const word = fc.string({ unit: fc.constantFrom('a', '*') })
  fc.assert(
    fc.property(word, word, (before, after) => {
      const found = marks(before, after)
      for (let i = 0; i < Math.max(before.length, after.length); i++) {
        assert.equal(found[i] === '^', before[i] !== after[i], `${i} of ${before}|${after}|${found}`)
      }
    }),
    runs(200),
  )
})

test('fold() loses nothing, and nothing is wider than it says', () => {
  assert.deepEqual(fold('abcde', 2), ['ab', 'cd', 'e'])
  assert.deepEqual(fold('abcd', 2), ['ab', 'cd'])
  assert.deepEqual(fold('', 2), [''])
})

test('compare() puts what was heard under what was said, with the marks under both', () => {
  assert.deepEqual(compare(['mail-b', '220 ab'], ['mail-a said', '220 **'], 80), [
    line('mail-b       220 ab'),
    line('mail-a said  220 **', 'bad'),
    line('                 ^^', 'bad'),
  ])
})

test('compare() says the same where it is the same, and says so quietly', () => {
  assert.deepEqual(compare(['said', SAID], ['heard', SAID], 10), [
    line(`said   ${SAID}`),
    line('heard  the same', 'quiet'),
  ])
})

test('compare() folds all three alike, and names the ends once', () => {
  assert.deepEqual(texts(['S', 'abcdef'], ['C', 'abXdeY'], 3), [
    'S  abc',
    'C  abX',
    '     ^',
    '   def',
    '   deY',
    '     ^',
  ])
})

test('compare() shows the end of what was said where less was heard', () => {
  const shown = texts(['S', 'abcd'], ['C', 'ab'], 2).map(each => each.trimEnd())
  assert.deepEqual(shown, ['S  ab', 'C  ab', '', '   cd', '', '   ^^'])
})

test('compare() marks the greeting of the case study, position by position', () => {
  const [said, heard, found] = texts(['S', SAID], ['C', HEARD], 80)
  assert.equal(said, `S  ${SAID}`)
  assert.equal(heard, `C  ${HEARD}`)
  assert.equal(found, `   ${marks(SAID, HEARD)}`)
  assert.equal(found?.indexOf('^'), 3 + SAID.indexOf('mail-b'))
})

test('an ending counts what held and what did not, over all steps', () => {
  assert.deepEqual(ending('greeting', [step(true, true), step(), step(false, true)]), {
    story: 'greeting',
    held: 3,
    failed: 1,
  })
  assert.deepEqual(ending('nothing', []), { story: 'nothing', held: 0, failed: 0 })
})

test('a line without colour has no colour at all', () => {
  assert.deepEqual(line('x'), { text: 'x' })
  assert.deepEqual(line('x', 'bad'), { text: 'x', how: 'bad' })
})
