import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import { formatDiagnostic } from '../base/problem.ts'
import { MAX_LINE_LENGTH, MAX_LINES, quote, readLines, restOf } from './text.ts'

function words(text: string): readonly (readonly string[])[] {
  const { lines, problems } = readLines(text, 'pix.conf')
  assert.deepEqual(problems, [])
  return lines.map(line => line.words.map(word => word.text))
}

function complaints(text: string): string {
  return readLines(text, 'pix.conf').problems.map(formatDiagnostic).join('\n')
}

test('readLines() cuts words at blanks and tabs, and lines at LF and CRLF', () => {
  assert.deepEqual(words('fixup  protocol\tsmtp 25\r\n  hostname pix \n'), [
    ['fixup', 'protocol', 'smtp', '25'],
    ['hostname', 'pix'],
  ])
})

test('readLines() skips blank lines and lines that begin with !, : or #', () => {
  assert.deepEqual(words('\ufeff: Saved\n! a comment\n\n   # "not closed\n \t \r\nhostname pix\n: end'), [
    ['hostname', 'pix'],
  ])
})

test('readLines() takes what stands in quotation marks as one word', () => {
  assert.deepEqual(words('banner "two  words" "" "a \\"b\\" \\\\"'), [['banner', 'two  words', '', 'a "b" \\']])
  assert.deepEqual(words('file C:\\mail # not a comment'), [['file', 'C:\\mail', '#', 'not', 'a', 'comment']])
})

test('a word knows where it stands, its quotation marks included', () => {
  const [line] = readLines('! first\n\tbanner  "a b" end', 'pix.conf').lines
  assert.deepEqual(
    line?.words.map(({ at }) => [at.line, at.column, at.length]),
    [
      [2, 2, 6],
      [2, 10, 5],
      [2, 16, 3],
    ],
  )
  assert.deepEqual(line?.at, { file: 'pix.conf', line: 2, column: 2, length: 17, text: ' banner  "a b" end' })
})

test('restOf() gives what was written, and a single quoted word without its marks', () => {
  const rest = (text: string): string | undefined => {
    const [line] = readLines(text, 'pix.conf').lines
    return line && restOf(line, 1)?.text
  }
  assert.equal(rest('banner Welcome,  "dear" friend  '), 'Welcome,  "dear" friend')
  assert.equal(rest('banner "  Welcome  "'), '  Welcome  ')
  assert.equal(rest('banner'), undefined)
})

test('readLines() says what is wrong with each line, and leaves that line out', () => {
  const text = 'banner "not closed\nname a"b"\n"a"b\nfixup\u00a0protocol\nhostname pix\n'
  assert.equal(
    complaints(text),
    `\
pix.conf:1:8: error: the quotation is not closed
   banner "not closed
          ^~~~~~~~~~~  expected "
pix.conf:2:7: error: a quotation mark may not stand inside a word
   name a"b"
         ^  write the whole word in quotation marks, with \\" for one inside
pix.conf:3:4: error: a blank must follow the closing quotation mark
   "a"b
      ^
pix.conf:4:6: error: an invisible character (U+00A0) may not stand here
   fixup\ufffdprotocol
        ^`,
  )
  assert.deepEqual(
    readLines(text, 'pix.conf').lines.map(line => line.raw),
    ['hostname pix'],
  )
})

test('a backslash in quotation marks is one, but before a quotation mark or another backslash', () => {
  assert.deepEqual(words('"C:\\temp" "\\.exe" "a\\"b" "a\\\\b"'), [['C:\\temp', '\\.exe', 'a"b', 'a\\b']])
})

test('a CR alone is no line end, and hides no line in a comment', () => {
  assert.equal(
    complaints('! a comment\rfixup protocol smtp 25'),
    `\
pix.conf:1:12: error: an invisible character (U+000D) may not stand here
   ! a comment\ufffdfixup protocol smtp 25
              ^`,
  )
})

test('readLines() takes lines up to a length, and a number of lines', () => {
  assert.equal(words('a'.repeat(MAX_LINE_LENGTH)).length, 1)
  assert.equal(
    complaints('a'.repeat(MAX_LINE_LENGTH + 1)),
    `\
pix.conf:1:1: error: the line is longer than 4096 characters
   ${'a'.repeat(60)}…
   ^${'~'.repeat(60)}`,
  )
  assert.equal(words('a\n'.repeat(MAX_LINES)).length, MAX_LINES)
  assert.equal(
    complaints('a\n'.repeat(MAX_LINES + 2)),
    `\
pix.conf:50001:1: error: the text has more than 50000 lines
   a
   ^  the rest is not read`,
  )
})

test('readLines() reads any text without throwing, and every word stands where it says', () => {
  fc.assert(
    fc.property(fc.string({ unit: fc.constantFrom(...'ab"\\ \t\n\r!é😀\0') }), text => {
      for (const { raw, words } of readLines(text, 'pix.conf').lines) {
        for (const { at, text, quoted } of words) {
          const written = raw.slice(at.column - 1, at.column - 1 + at.length)
          assert.equal(quoted ? written.slice(1, -1).replace(/\\(["\\])/g, '$1') : written, text)
        }
      }
    }),
  )
})

test('quote() writes a word so that it is read back as that one word', () => {
  assert.equal(quote('C:\\mail'), 'C:\\mail')
  assert.equal(quote('a "b" \\'), '"a \\"b\\" \\\\"')
  fc.assert(
    fc.property(fc.string({ unit: fc.constantFrom(...'ab"\\ \t!é😀') }), word => {
      assert.deepEqual(words(`first ${quote(word)}`), [['first', word]])
    }),
  )
})
