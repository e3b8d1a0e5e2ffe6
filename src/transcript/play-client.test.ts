import assert from 'node:assert/strict'
import { test } from 'node:test'
import { bytes, text } from '../base/bytes.ts'
import { formatTranscript } from './format.ts'
import { parseTranscript } from './parse.ts'
import { type Act, cuttings, type Part, play, type Subject, sayCut } from './play.ts'

/** Greets when greeted, then sends a message. */
class TerseClient implements Subject {
  readonly parts: readonly Part[] = ['C']
  readonly deadline = undefined
  #heard = ''
  open(): readonly Act[] {
    return []
  }
  hear(_from: Part, segment: Uint8Array): readonly Act[] {
    this.#heard += text(segment)
    if (!this.#heard.endsWith('\r\n')) return []
    const code = this.#heard.slice(0, 3)
    this.#heard = ''
    if (code === '220') return [say('C', 'HELO c.example\r\n')]
    if (code === '354') return [say('C', 'Message-ID: <7.1@c.example>\r\n\r\n..dot\r\n.\r\n')]
    return [say('C', 'QUIT\r\n'), { kind: 'close' }]
  }
  direct(): undefined {}
  end(): readonly Act[] {
    return []
  }
  tick(): readonly Act[] {
    return []
  }
}

function say(by: Part, words: string): Act {
  return { kind: 'say', by, bytes: bytes(words) }
}

test('a client is played as a server is, and its message is expected by its section', () => {
  const source = `subject: client

-- dialogue --
(client connects)
S: 220 hello
C: HELO c.example
S: 354 go on
(client sends message)
S: 250 Ok
C: QUIT
(connection closes)

-- message --
Message-ID: <[[number]].1@c.example>

.dot
`
  const { transcript, problems } = parseTranscript(source, 'toy.smtp')
  assert.deepEqual(problems, [])
  assert.equal(cuttings(transcript).length, 2 + 3 * 2) // after LF, each reply is whole already
  for (const cut of cuttings(transcript)) {
    const { failures, rewritten } = play(transcript, () => new TerseClient(), { cut })
    assert.deepEqual(failures, [], sayCut(cut))
    assert.equal(formatTranscript(rewritten), source)
  }
})
