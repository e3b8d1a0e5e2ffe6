import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import { bytes, text } from '../base/bytes.ts'
import type { Instant } from '../base/time.ts'
import { formatTranscript } from './format.ts'
import { parseTranscript } from './parse.ts'
import type { Act, Cut, Part, Subject } from './play.ts'
import { BYTEWISE, cuttings, formatFailure, play, sayCut, WHOLE } from './play.ts'
import type { Transcript } from './transcript.ts'

/** Says every line back; `QUIT` closes, `STARTTLS` starts TLS, `DATA` counts octets to the dot, five idle minutes end it. */
class EchoServer implements Subject {
  readonly parts: readonly Part[] = ['S']
  deadline: Instant | undefined
  #heard = ''
  #message = false
  #closed = false

  open(direction: string, now: Instant): readonly Act[] {
    this.deadline = now + 300_000
    this.#heard = ''
    this.#message = false
    this.#closed = false
    return [say('S', '220 echo ready\r\n'), { kind: 'note', section: 'events', line: direction }]
  }

  hear(_from: Part, segment: Uint8Array, now: Instant): readonly Act[] {
    this.deadline = now + 300_000
    this.#heard += text(segment)
    const acts: Act[] = []
    for (let end = this.#end(); end > 0; end = this.#end()) {
      const line = this.#heard.slice(0, end - 2)
      this.#heard = this.#heard.slice(end)
      acts.push(...this.#answer(line))
    }
    return acts
  }

  direct(direction: string): readonly Act[] | undefined {
    return direction === 'the operator says hello' ? [say('S', '220-hello\r\n')] : undefined
  }

  end(): readonly Act[] {
    this.deadline = undefined
    return [{ kind: 'close' }]
  }

  tick(): readonly Act[] {
    this.deadline = undefined
    return [say('S', '421 too long\r\n'), { kind: 'close' }]
  }

  #end(): number {
    const mark = this.#message ? '\r\n.\r\n' : '\r\n'
    const at = this.#heard.indexOf(mark)
    return at < 0 ? 0 : at + mark.length
  }

  #answer(line: string): readonly Act[] {
    if (this.#message) {
      this.#message = false
      return [say('S', `250 ${line.length} octets as M1\r\n`)]
    }
    if (this.#closed) return []
    if (line === 'STARTTLS') return [say('S', '220 go\r\n'), { kind: 'start-tls' }]
    if (line === 'DATA') this.#message = true
    this.#closed = line === 'QUIT'
    if (this.#closed) this.deadline = undefined
    const said = say('S', `250 ${line}\r\n`)
    return this.#closed ? [said, { kind: 'close' }] : [said]
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

function perform(transcript: Transcript, cut: Cut = WHOLE): { failures: readonly string[]; rewritten: string } {
  const { failures, rewritten } = play(transcript, () => new EchoServer(), { cut })
  return { failures: failures.map(formatFailure), rewritten: formatTranscript(rewritten) }
}

/** The failures of a dialogue; and that, once rewritten, it has none. */
function failuresOf(dialogue: string, { after = '' } = {}): readonly string[] {
  const { failures, rewritten } = perform(read(`subject: server\n-- dialogue --\n${dialogue}${after}`))
  const again = perform(read(rewritten))
  assert.deepEqual(again, { failures: [], rewritten })
  return failures
}

const EVENTS = '\n-- events --\n...\n'
const GOOD = `# The echo server, from the greeting to the end.
subject: server

-- dialogue --
(client connects from outside)
S: 220 [[any]] ready
C: HELO
# two commands in one write
C: NOOP
S: 250 HELO
S= "250 NOOP\\r\\n"
C: DATA
S: 250 DATA

(client sends message)
S: 250 [[number]] octets as [[id:m]]
C: M1
S: 250 [[id:m]]
C= "a\\r"
C= "\\nSTARTTLS\\r\\n"
S: 250 a
S: 220 go
(tls starts)
(the operator says hello)
S: 220-hello
(4m pass)
C: QUIT
S: 250 QUIT
(connection closes)
(5m pass)
(client connects again)
S: 220 echo ready
(1h pass)
S: 421 too long
(connection closes)

-- message --
Subject: x

.dot

-- events --
client connects [[any]]
...
`

test('a transcript that is right has no failures, however it is cut, and is rewritten as it was', () => {
  const transcript = read(GOOD)
  const ways = cuttings(transcript)
  assert.ok(ways.length > 20)
  for (const cut of ways) assert.deepEqual(perform(transcript, cut), { failures: [], rewritten: GOOD }, sayCut(cut))
})

test('a wrong line is told with both, and rewritten', () => {
  const source = `# Two mistakes.
subject: server

-- dialogue --
(client connects)
S: 220 echo ready
C: A
C: B
# what follows is wrong
S: 250 a
S: 250 B
C: QUIT
S: 221 [[any]]
(connection closes)

-- events --
connected
`
  const { failures, rewritten } = perform(read(source))
  assert.deepEqual(failures, [
    'toy.smtp:10:1: this is not what came\n   expected  S: 250 a\n   got       S: 250 A',
    'toy.smtp:13:1: this is not what came\n   expected  S: 221 [[any]]\n   got       S: 250 QUIT',
    'toy.smtp:17:1: section "events" is not what came\n   expected  connected\n   got       client connects',
  ])
  const right = source
    .replace('250 a', '250 A')
    .replace('221 [[any]]', '250 QUIT')
    .replace('connected', 'client connects')
  assert.equal(rewritten, right)
})

test('output that nobody expected is a failure', () => {
  assert.deepEqual(failuresOf('(client connects)\nC: A\nS: 250 A\n', { after: EVENTS }), [
    'toy.smtp:3:1: this is not what came\n   expected  (nothing)\n   got       S: 220 echo ready',
  ])
})

test('a line that never comes is a failure', () => {
  const dialogue = '(client connects)\nS: 220 echo ready\nC: A\nS: 250-A\nS: 250 A\n'
  assert.deepEqual(failuresOf(dialogue, { after: EVENTS }), [
    'toy.smtp:6:1: this is not what came\n   expected  S: 250-A\n   got       (nothing)',
  ])
})

test('a close that never comes is a failure, and so is one that nobody expected', () => {
  assert.deepEqual(failuresOf('C: A\nS: 250 A\n(connection closes)\n'), [
    'toy.smtp:5:1: this is not what came\n   expected  (connection closes)\n   got       (nothing)',
  ])
  assert.deepEqual(failuresOf('C: QUIT\nS: 250 QUIT\n'), [
    'toy.smtp:4:1: this is not what came\n   expected  (nothing)\n   got       (connection closes)',
  ])
  assert.deepEqual(failuresOf('(client closes)\n'), [
    'toy.smtp:3:1: this is not what came\n   expected  (nothing)\n   got       (connection closes)',
  ])
})

test('TLS that starts when it should not is a failure', () => {
  assert.deepEqual(failuresOf('C: STARTTLS\nS: 220 go\nC: A\nS: 250 A\n(tls starts)\n'), [
    'toy.smtp:4:1: this is not what came\n   expected  (nothing)\n   got       (tls starts)',
    'toy.smtp:7:1: this is not what came\n   expected  (tls starts)\n   got       (nothing)',
  ])
})

test('the order of lines matters', () => {
  assert.deepEqual(failuresOf('C: QUIT\n(connection closes)\nS: 250 QUIT\n'), [
    'toy.smtp:4:1: this is not what came\n' +
      '   expected  (connection closes)\n             S: 250 QUIT\n' +
      '   got       S: 250 QUIT\n             (connection closes)',
  ])
})

test('an id that changes is a failure', () => {
  assert.deepEqual(failuresOf('C: A1\nS: 250 [[id:x]]\nC: A2\nS: 250 [[id:x]]\n'), [
    'toy.smtp:6:1: this is not what came\n   expected  S: 250 [[id:x]]\n   got       S: 250 A2',
  ])
})

test('what makes no sense to anyone is a failure', () => {
  const source = `subject: server
-- dialogue --
(server closes)
(it rains)
(client sends mail)
C: QUIT
=> QUIT
(segment ends)
S: 250 QUIT
(connection closes)
C: A
C: B
`
  assert.deepEqual(perform(read(source)).failures, [
    'toy.smtp:7:1: this line has no meaning here\n   => QUIT',
    'toy.smtp:3:1: the subject itself closes: expect that with (connection closes)\n   (server closes)',
    'toy.smtp:4:1: nobody knows this direction\n   (it rains)',
    'toy.smtp:5:1: nobody knows this direction\n   (client sends mail)',
    'toy.smtp:12:1: the connection is closed, so nobody hears this\n   C: B',
  ])
})

test('a failure at another cutting says at which', () => {
  const transcript = read('subject: server\n-- dialogue --\nC: A\nS: 250 B\n')
  assert.match(
    perform(transcript, BYTEWISE).failures[0] ?? '',
    /^toy.smtp:4:1: this is not what came \(one byte at a time\)\n/,
  )
})

test('a deadline that stands still is a failure, not a hanging test', () => {
  class Stuck extends EchoServer {
    override tick(): readonly Act[] {
      return []
    }
  }
  const transcript = read(`subject: server\n-- dialogue --\n(client connects)\nS: 220 echo ready\n(5m pass)\n${EVENTS}`)
  const { failures } = play(transcript, () => new Stuck())
  assert.deepEqual(
    failures.map(failure => failure.message),
    ['the deadline does not move on: 1000000 ticks so far'],
  )
})

test('a result section that is missing, or that nothing came for, is a failure', () => {
  const dialogue = '(client connects)\nS: 220 echo ready\n'
  assert.deepEqual(failuresOf(dialogue), [
    'toy.smtp:1:1: no section is called "events"\n   expected  (nothing)\n   got       client connects',
  ])
  assert.deepEqual(failuresOf('# silence\n', { after: '\n-- spool --\none\n\n-- verdicts --\n' }), [
    'toy.smtp:6:1: section "spool" is not what came\n   expected  one\n   got       (nothing)',
  ])
})

test('cuttings are named by octet and line', () => {
  const transcript = read('subject: server\n-- dialogue --\nC: AB\nC: C\nS: 250 AB\n(segment ends)\n')
  assert.deepEqual(cuttings(transcript).map(sayCut), [
    'whole',
    'one byte at a time',
    'cut before octet 2 of line 3',
    'cut before octet 3 of line 3',
    'cut before octet 4 of line 3',
    'cut before octet 1 of line 4',
    'cut before octet 2 of line 4',
  ])
})

test('whatever a transcript says, playing it tells the same at every cutting, and what it rewrites is right', () => {
  const turn = fc.constantFrom(
    ...['C: A', 'C: A', 'C: B', 'C: QUIT', 'C: STARTTLS', 'C= "A\\r"', 'C= "\\n"', 'C: DATA', '(client sends message)'],
    ...['S: 250 A', 'S: 250 [[any]]', 'S: 250 [[id:x]]', 'S= "250 "', 'S= "A\\r\\n250 B\\r\\n"', 'S: 220 go'],
    ...['(client connects)', '(client closes)', '(5m pass)', '(connection closes)', '(tls starts)', '# note', ''],
  )
  const section = '\n-- message --\n.\n\n-- events --\nclient connects\n'
  fc.assert(
    fc.property(fc.array(turn, { maxLength: 12 }), turns => {
      const transcript = read(`subject: server\n\n-- dialogue --\n${turns.map(turn => `${turn}\n`).join('')}${section}`)
      const whole = perform(transcript)
      for (const cut of cuttings(transcript)) {
        const { failures, rewritten } = perform(transcript, cut)
        const unnamed = failures.map(failure => failure.replace(` (${sayCut(cut)})`, ''))
        assert.deepEqual({ failures: unnamed, rewritten }, whole, sayCut(cut))
      }
      // What speaks into a closed connection is an input, and inputs stay the author's.
      const left = perform(read(whole.rewritten)).failures
      assert.deepEqual(
        left.filter(failure => !failure.includes('nobody hears this')),
        [],
      )
    }),
  )
})

test('a server that answers segments instead of lines is found out by the cuttings', () => {
  class Chatty extends EchoServer {
    override hear(_from: Part, segment: Uint8Array): readonly Act[] {
      return [say('S', `${segment.length}\r\n`)]
    }
  }
  const transcript = read('subject: server\n-- dialogue --\nC: AB\nS: 4\n')
  const bad = cuttings(transcript).filter(cut => play(transcript, () => new Chatty(), { cut }).failures.length > 0)
  assert.deepEqual(bad.map(sayCut), [
    'one byte at a time',
    'cut before octet 2 of line 3',
    'cut before octet 3 of line 3',
  ])
})
