import assert from 'node:assert/strict'
import { readFileSync } from 'node:fs'
import { test } from 'node:test'
import fc from 'fast-check'
import { show, text } from '../base/bytes.ts'
import { formatDiagnostic } from '../base/problem.ts'
import { parseTranscript } from './parse.ts'
import { readDirection, readScenes, sectionBytes } from './transcript.ts'

const SMALL = `# A server that greets.
# It is polite.
subject: server

-- config --
hostname a.example

-- dialogue --
(client connects)
S: 220 [[any]]
C: NOOP
C= "QUIT\\n"
# that was a lone LF

-- events --
connected
`

function problemsOf(source: string): readonly string[] {
  return parseTranscript(source, 'x.smtp').problems.map(formatDiagnostic)
}

test('a transcript is prose, headers, sections and a dialogue', () => {
  const { transcript, problems } = parseTranscript(SMALL, 'small.smtp')
  assert.deepEqual(problems, [])
  assert.deepEqual(transcript.prose, ['A server that greets.', 'It is polite.'])
  assert.equal(transcript.headers.get('subject'), 'server')
  assert.equal(transcript.sections.get('config')?.text, 'hostname a.example\n')
  assert.deepEqual(transcript.order, ['config', 'dialogue', 'events'])
  assert.deepEqual(
    transcript.dialogue.map(turn => turn.kind),
    ['direction', 'line', 'line', 'line', 'note', 'blank'],
  )
  assert.deepEqual(
    transcript.dialogue.flatMap(turn => (turn.kind === 'line' ? [`${turn.by} ${show(turn.bytes)}`] : [])),
    ['S 220 [[any]]\\r\\n', 'C NOOP\\r\\n', 'C QUIT\\n'],
  )
})

test('every turn knows its place', () => {
  const { dialogue } = parseTranscript(SMALL, 'small.smtp').transcript
  assert.deepEqual(dialogue[2]?.at, { file: 'small.smtp', line: 11, column: 1, length: 7, text: 'C: NOOP' })
})

test('one blank line at the end of a section is layout, a second one is not', () => {
  const { sections } = parseTranscript('subject: x\n-- message --\na\n\n\n-- dialogue --\n', 'x').transcript
  assert.equal(sections.get('message')?.text, 'a\n\n')
})

test('text is UTF-8, and a JSON string is one octet per character', () => {
  const { dialogue } = parseTranscript('-- dialogue --\nC: \u00e9\nC= "\u00e9\\u0000"\nC:\n', 'x').transcript
  assert.deepEqual(
    dialogue.map(turn => (turn.kind === 'line' ? text(turn.bytes) : '')),
    ['\u00c3\u00a9\r\n', '\u00e9\u0000', '\r\n'],
  )
})

test('whatever is wrong is told at once, each with its place', () => {
  const source = `what is this?
-- dialogue --
=> out of nothing
C:no space
C= QUIT
C= "\u20ac"
S= ""
F: 421 Bye
=|
-- dialogue --
`
  assert.deepEqual(problemsOf(source), [
    'x.smtp:1:1: error: neither prose nor a header\n   what is this?\n   ^~~~~~~~~~~~~  begin with "# ", or "subject: ", or open a section',
    'x.smtp:3:1: error: no line above that could come out\n   => out of nothing\n   ^~~~~~~~~~~~~~~~~  put it after a C or S line',
    'x.smtp:4:1: error: no such dialogue line\n   C:no space\n   ^~~~~~~~~~  known: C: S: F: => and C= S= F= =>= "…", =|, (…), #',
    'x.smtp:5:4: error: not a JSON string\n   C= QUIT\n      ^~~~  exact bytes are written C= "QUIT\\n"',
    'x.smtp:6:4: error: a character above U+00FF is not one octet\n   C= "\u20ac"\n      ^~~  write its UTF-8 octets, \\u00e2\\u0082\\u00ac',
    'x.smtp:7:4: error: no bytes, so nothing is said\n   S= ""\n      ^~',
    'x.smtp:9:1: error: no line above that could come out\n   =|\n   ^~  put it after a C or S line',
    'x.smtp:10:1: error: a second section is called "dialogue"\n   -- dialogue --\n   ^~~~~~~~~~~~~~  one name, one section',
    'x.smtp:1:1: error: nothing says what is under test\n   what is this?\n   ^~~~~~~~~~~~~  subject: server',
  ])
})

test('a file saved with CR LF is told so, once', () => {
  assert.deepEqual(problemsOf('subject: x\r\n\r\n-- dialogue --\r\nC: A\r\n'), [
    'x.smtp:1:11: error: a carriage return\n   subject: x\n             ^  end lines with LF; exact bytes are written C= "…\\r\\n"',
  ])
})

test('an empty file has two problems', () => {
  assert.equal(problemsOf('').length, 2)
})

test('parseTranscript() never throws', () => {
  const scrap = fc.constantFrom(
    'C: ',
    'C= "',
    '"',
    '=>',
    '=>=',
    '=|',
    '(',
    ')',
    '\n',
    '\r',
    '-- ',
    ' --',
    'x',
    '#',
    ':',
    '\\u',
  )
  const source = fc.array(fc.oneof(scrap, fc.string({ unit: 'binary' }))).map(parts => parts.join(''))
  fc.assert(
    fc.property(source, source => {
      const { transcript, problems } = parseTranscript(source, 'x')
      problems.map(formatDiagnostic)
      assert.ok(transcript.dialogue.length <= source.length + 1)
    }),
  )
})

test('directions that are built in', () => {
  const { sections } = parseTranscript('-- message --\nA\n..\n.\n-- my text raw --\nB\n', 'x').transcript
  const kinds = [
    'client connects',
    'client connects from a to b',
    'client closes',
    '5m pass',
    '1s passes',
    'tls starts',
  ]
  assert.deepEqual(
    kinds.map(direction => readDirection(direction, sections).kind),
    ['connects', 'connects', 'ends', 'pass', 'pass', 'tls'],
  )
  const sent = (direction: string) => {
    const meant = readDirection(direction, sections)
    return meant.kind === 'sends' ? `${meant.by} ${show(sectionBytes(meant.section, meant))}` : meant.kind
  }
  assert.equal(sent('client sends message'), 'C A\\r\\n...\\r\\n..\\r\\n.\\r\\n')
  assert.equal(sent('client sends message raw'), 'C A\\r\\n..\\r\\n.\\r\\n')
  assert.equal(sent('server sends message'), 'S A\\r\\n..\\r\\n.\\r\\n')
  assert.equal(sent('client sends my text raw'), 'C B\\r\\n.\\r\\n')
  assert.equal(sent('client sends nothing'), 'other')
  assert.equal(sent('5 minutes pass'), 'other')
})

test('the examples in docs/transcripts.md are well-formed', () => {
  const page = readFileSync(new URL('../../docs/transcripts.md', import.meta.url), 'utf8')
  const examples = [...page.matchAll(/^```smtp\n(.*?)^```$/gms)].map(found => found[1] ?? '')
  assert.equal(examples.length, 2)
  for (const example of examples) {
    const { transcript, problems } = parseTranscript(example, 'docs/transcripts.md')
    assert.deepEqual(problems.map(formatDiagnostic), [])
    assert.deepEqual(
      readScenes(transcript, transcript.headers.get('subject') === 'firewall' ? [] : ['S']).misplaced,
      [],
    )
  }
})
