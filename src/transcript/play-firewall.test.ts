import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import { bytes, text, upper } from '../base/bytes.ts'
import { formatTranscript } from './format.ts'
import { parseTranscript } from './parse.ts'
import { type Act, cuttings, formatFailure, type Part, play, type Subject, WHOLE } from './play.ts'
import type { Transcript } from './transcript.ts'

/** Lets segments through in capitals, in place. Swallows `DROP`, answers `HELP` itself, cuts at `BYE`, and counts. */
class LoudFirewall implements Subject {
  readonly parts: readonly Part[] = []
  readonly deadline = undefined
  open(): readonly Act[] {
    return []
  }
  hear(from: Part, segment: Uint8Array): readonly Act[] {
    const words = upper(text(segment))
    const note: Act = { kind: 'note', section: 'segments', line: `${from} ${segment.length}` }
    if (words === 'DROP\r\n') return [note]
    if (words === 'HELP\r\n') return [note, { kind: 'firewall-says', bytes: bytes('214 no\r\n') }]
    if (words === 'BYE\r\n') return [note, { kind: 'close' }]
    if (words === 'LEAK\r\n') return [note, say(from, words), say(from === 'C' ? 'S' : 'C', 'oops\r\n')]
    segment.set(bytes(words)) // as the real ones did: nobody else's bytes may suffer
    return [note, { kind: 'say', by: from, bytes: segment }]
  }
  direct(): undefined {}
  end(): readonly Act[] {
    return [{ kind: 'close' }]
  }
  tick(): readonly Act[] {
    return []
  }
}

function say(by: Part, words: string): Act {
  return { kind: 'say', by, bytes: bytes(words) }
}

function read(source: string): Transcript {
  const { transcript, problems } = parseTranscript(source, 'toy.smtp')
  assert.deepEqual(problems, [])
  return transcript
}

function perform(transcript: Transcript): { failures: readonly string[]; rewritten: string } {
  const { failures, rewritten } = play(transcript, () => new LoudFirewall())
  return { failures: failures.map(formatFailure), rewritten: formatTranscript(rewritten) }
}

/** The failures of a dialogue; and that, once rewritten, it has none. */
function failuresOf(dialogue: string): readonly string[] {
  const { failures, rewritten } = perform(read(`subject: firewall\n-- dialogue --\n${dialogue}${SEGMENTS}`))
  assert.deepEqual(perform(read(rewritten)), { failures: [], rewritten })
  return failures
}

const SEGMENTS = '\n-- segments --\n...\n'

test('through a firewall a line comes out as itself, as its => lines, or not at all', () => {
  const source = `subject: firewall

-- dialogue --
(client connects from outside to inside)
S: 220 READY
C: helo x
=> HELO [[any]]
C: noop
=> NOOP
(segment ends)
C: drop
=|
(segment ends)
C= "half a "
=>= "HALF A "
(segment ends)
C= "line\\n"
=>= "LINE\\n"
(segment ends)
C: help
=|
F: 214 no
(client sends message)
=> A
=> B
=> .
(segment ends)
C: bye
=|
(connection closes)

-- message --
a
b

-- segments --
S 11
C 14
C 6
C 7
C 5
C 6
C 9
C 5
`
  const transcript = read(source)
  assert.deepEqual(cuttings(transcript), [WHOLE])
  assert.deepEqual(perform(transcript), { failures: [], rewritten: source })
})

test('what comes out of a firewall otherwise is told and rewritten below its own line', () => {
  const source = `subject: firewall

-- dialogue --
C: helo x
C: NOOP
=> XXXX
# nothing below this is right
C: quit
=> quit
=> QUIT
${SEGMENTS}`
  const { failures, rewritten } = perform(read(source))
  assert.deepEqual(failures, [
    'toy.smtp:4:1: this is not what came out\n' +
      '   expected  => helo x\n             => XXXX\n             => quit\n             => QUIT\n' +
      '   got       => HELO X\n             => NOOP\n             => QUIT',
  ])
  assert.match(
    rewritten,
    /C: helo x\n=> HELO X\nC: NOOP\n# nothing below this is right\nC: quit\n=> QUIT\n\n-- segments/,
  )
  assert.deepEqual(perform(read(rewritten)).failures, [])
})

test('a firewall may not swallow, answer, let out or close what the transcript does not say', () => {
  assert.deepEqual(failuresOf('C: drop\n'), [
    'toy.smtp:3:1: this is not what came out\n   expected  => drop\n   got       (nothing)',
  ])
  assert.deepEqual(failuresOf('C: HELLO\n=|\n'), [
    'toy.smtp:4:1: this is not what came out\n   expected  (nothing)\n   got       => HELLO',
  ])
  assert.deepEqual(failuresOf('C: help\n=|\n'), [
    'toy.smtp:4:1: this is not what came\n   expected  (nothing)\n   got       F: 214 no',
  ])
  assert.deepEqual(failuresOf('C: bye\n=|\nF: 421 no\n'), [
    'toy.smtp:5:1: this is not what came\n   expected  F: 421 no\n   got       (connection closes)',
  ])
})

test('what a firewall lets out for the silent side is a failure, and never becomes an input', () => {
  const source = `subject: firewall\n-- dialogue --\nC: LEAK\n${SEGMENTS}`
  assert.deepEqual(perform(read(source)), {
    failures: ['toy.smtp:3:1: this is not what came\n   expected  (nothing)\n   got       S: oops'],
    rewritten: source,
  })
})

test('a firewall that works in place does not change the transcript it is played from', () => {
  const transcript = read(`subject: firewall\n-- dialogue --\nS: 220 READY\nC: helo x\n=> HELO X\n${SEGMENTS}`)
  const before = formatTranscript(transcript)
  assert.deepEqual(perform(transcript).failures, [])
  const said = transcript.dialogue.flatMap(turn => (turn.kind === 'line' ? [text(turn.bytes)] : []))
  assert.deepEqual(said, ['220 READY\r\n', 'helo x\r\n'])
  assert.equal(formatTranscript(transcript), before)
})

test('whatever a transcript expects of a firewall, what is rewritten is right', () => {
  const turn = fc.constantFrom(
    ...[
      'C: a',
      'C: B',
      'C: help',
      'C: DROP',
      'C: bye',
      'C= "half"',
      'S: 250 ok',
      'S: 250 OK',
      '(client sends message)',
    ],
    ...[
      'C: a\n=> A',
      'C: a\n# well\n=> [[any]]',
      'C: B\n=|',
      'S: x\n=> Y\n=> Z',
      'C= "q"\n=>= "Q"',
      'C: B\n=>= "B\\r"',
    ],
    ...['F: 214 no', '(connection closes)', '(client connects)', '(client closes)', '# note', ''],
  )
  fc.assert(
    fc.property(fc.array(turn, { maxLength: 12 }), turns => {
      const dialogue = turns.map(turn => `${turn}\n`).join('')
      const source = `subject: firewall\n\n-- dialogue --\n${dialogue}\n-- message --\nm\n${SEGMENTS}`
      const { rewritten } = perform(read(source))
      const left = perform(read(rewritten)).failures
      assert.deepEqual(
        left.filter(failure => !failure.includes('nobody hears this')),
        [],
      )
    }),
  )
})
