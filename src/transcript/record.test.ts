import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import { runs } from '../base/any-bytes.test.ts'
import { bytes, toBase64 } from '../base/bytes.ts'
import { parseTranscript } from './parse.ts'
import { Recorder, transcriptHead } from './record.ts'

const BRIEF = { messages: false, octets: 1_000_000 }

function record(segments: readonly (readonly ['C' | 'S', string, string?])[], options = BRIEF): string {
  const recorder = new Recorder(options)
  for (const [by, segment, heard = segment] of segments) {
    const lent = [Buffer.from(segment, 'latin1'), Buffer.from(heard, 'latin1')] as const
    recorder.passed(by, ...lent)
    // The memory is used for something else afterwards, as a socket's is.
    for (const each of lent) each.fill(0x5a)
  }
  return recorder.take().join('\n')
}

test('time that passes is written to the second, and what a message took that is left out is not', () => {
  const timed = (messages: boolean): string => {
    const recorder = new Recorder({ messages, octets: 1_000_000 })
    const say = (by: 'C' | 'S', words: string, now: number) => recorder.passed(by, bytes(words), bytes(words), now)
    say('S', '220 mail ESMTP\r\n', 5_000)
    say('C', 'NO', 5_999)
    say('C', 'OP\r\n', 9_000)
    say('S', '250 ok\r\n', 70_500)
    say('C', 'DATA\r\n', 70_600)
    say('S', '354 go\r\n', 70_600)
    say('C', 'Subject: x\r\n', 80_600)
    say('C', '.\r\n', 90_600)
    say('S', '250 ok\r\n', 91_600)
    recorder.answered(bytes('421 late\r\n'), 391_600)
    const text = recorder.take().join('\n')
    const whole = `# x\nsubject: firewall\n\n-- dialogue --\n(client connects)\n${text}\n`
    assert.deepEqual(parseTranscript(whole, 'x.smtp').problems, [])
    return text
  }
  const begin = 'S: 220 mail ESMTP\nC= "xx"\n(3s pass)\nC: xx\n(61s pass)\nS: 250 xx\n'
  const hidden = timed(false)
  assert.ok(hidden.startsWith(begin), hidden)
  assert.match(
    hidden,
    /\nS: 354 go\n# 15 octets of a message are left out\nC: \.\n\(1s pass\)\nS: 250 ok\n\(5m pass\)\nF: 421 late$/,
  )
  assert.match(timed(true), /\nS: 354 go\n\(10s pass\)\nC: Subject: x\n\(10s pass\)\nC: \.\n\(1s pass\)\nS: 250 ok\n/)
})

test('a line whose verb is known is written; of a login the mechanism, and nothing until the server has decided', () => {
  assert.equal(
    record([
      ['S', '220 mail ESMTP\r\n'],
      ['C', 'AUTH LOGIN dXNlcg==\r\n'],
      ['S', '334 UGFzc3dvcmQ6\r\n'],
      // A password whose base64 is a verb.
      ['C', 'DATA\r\n'],
      ['S', '235 welcome joe\r\n'],
      ['C', 'NOOP\r\n'],
      ['S', '250 Ok\r\n'],
    ]),
    [
      'S: 220 mail ESMTP',
      'C: AUTH LOGIN xxxxxxxx',
      'S: 334 xxxxxxxxxxxx',
      'C: xxxx',
      'S: 235 xxxxxxx xxx',
      'C: NOOP',
      'S: 250 Ok',
    ].join('\n'),
  )
})

test('what a server quotes of what was hidden is hidden, and what the firewall wrote is not', () => {
  assert.equal(
    record([
      ['S', '220 mail\r\n'],
      ['C', 'hunter2 XY\r\n', 'XXXXXXX XY\r\n'],
      ['S', '500 unrecognized: "XXXXXXX XY"\r\n'],
    ]),
    ['S: 220 mail', 'C: xxxxxxx xx', '=> XXXXXXX xx', 'S: 500 xxxxxxxxxxxxx xxxxxxxx xxx'].join('\n'),
  )
})

test('messages are left out however they are cut, and written where they are asked for', () => {
  const dialogue = [
    ['S', '220 mail\r\n'],
    ['C', 'DATA\r\n'],
    ['S', '354 Go\r\n'],
    ['C', 'Subject: s'],
    ['C', 'ecret\r\n.'],
    ['C', '\r\nQUIT\r\n'],
    ['S', '250 Ok\r\n221 Bye\r\n'],
  ] as const
  assert.equal(
    record(dialogue),
    [
      'S: 220 mail',
      'C: DATA',
      'S: 354 Go',
      '# 20 octets of a message are left out',
      'C: .',
      '(segment ends)',
      'C: QUIT',
      'S: 250 Ok',
      'S: 221 Bye',
    ].join('\n'),
  )
  assert.match(
    record(dialogue, { ...BRIEF, messages: true }),
    /^C= "Subject: s"\n\(segment ends\)\nC: ecret\nC= "\."$/m,
  )
})

test('nothing is written once TLS begins, nor beyond the limit', () => {
  const secured = record([
    ['S', '220 mail\r\n'],
    ['C', 'STARTTLS\r\n'],
    ['S', '220 Go\r\n'],
    ['C', 'EHLO in the handshake\r\n'],
  ])
  assert.match(secured, /S: 220 Go\n# TLS begins here: nothing more can be read$/)
  const long = record(
    [
      ['S', '220 mail\r\n'],
      ['C', 'NOOP\r\n'.repeat(100)],
    ],
    { messages: false, octets: 50 },
  )
  assert.ok(long.length < 120, long)
  assert.match(long, /# the rest is left out: 50 octets are the limit$/)
})

/** A dialogue around a login, in any pieces, with an answer to each command from a server that may quote it. */
const anyPassword = fc.string({
  unit: fc.constantFrom(...'abcdefghijklmnopqrstuvwyz0123456789-!'),
  minLength: 8,
  maxLength: 20,
})

test('however a login is said, cut, refused or quoted, its secret is never written', () => {
  const anyLogin = fc.constantFrom(
    (secret: string) => ['AUTH LOGIN', 'dXNlcg==', secret],
    (secret: string) => [`AUTH PLAIN ${secret}`],
    (secret: string) => [`auth plain ${secret}`],
    (secret: string) => ['X-EXPS LOGIN', secret, secret],
    (secret: string) => [`AUTH ${secret}`.replace(' ', '  x '), secret],
    (secret: string) => [secret],
  )
  const anyReply = fc.constantFrom('334 ', '235 ', '535 ', '500 no such command: ')
  fc.assert(
    fc.property(
      anyPassword,
      fc.boolean(),
      anyLogin,
      anyReply,
      fc.array(fc.nat(80)),
      (password, encoded, login, reply, cuts) => {
        const secret = encoded ? toBase64(bytes(password)) : password
        const recorder = new Recorder(BRIEF)
        recorder.passed('S', bytes('220 mail\r\n'), bytes('220 mail\r\n'))
        let lines = ''
        for (const line of login(secret)) {
          const whole = `${line}\r\n`
          const places = [0, ...cuts.filter(cut => cut > 0 && cut < whole.length).sort((a, b) => a - b), whole.length]
          for (const [i, from] of places.slice(0, -1).entries()) {
            const piece = bytes(whole.slice(from, places[i + 1]))
            recorder.passed('C', piece, piece)
          }
          const answer = bytes(`${reply}${line}\r\n`)
          recorder.passed('S', answer, answer)
          lines += `${recorder.take().join('\n')}\n`
        }
        assert.ok(!lines.includes(secret), lines)
        // Nor any part of it that would be of use.
        for (let at = 0; at + 6 <= secret.length; at++) assert.ok(!lines.includes(secret.slice(at, at + 6)), lines)
      },
    ),
    runs(300),
  )
})

test('any octets, however masked, make a transcript that reads without a problem', () => {
  const anyOctets = fc.uint8Array({ maxLength: 60 })
  const anyPass = fc.record({
    by: fc.constantFrom('C' as const, 'S' as const),
    octets: anyOctets,
    heard: fc.option(anyOctets),
  })
  fc.assert(
    fc.property(fc.array(anyPass, { maxLength: 12 }), fc.boolean(), (passes, messages) => {
      const recorder = new Recorder({ messages, octets: 100_000 })
      for (const { by, octets, heard } of passes) recorder.passed(by, octets, heard ?? octets)
      recorder.close()
      const head = transcriptHead(
        ['Anything.'],
        'firewall',
        'fixup protocol smtp 25\n',
        'from 192.0.2.1 at outside to 192.0.2.2',
      )
      const text = [...head, ...recorder.take()].map(line => `${line}\n`).join('')
      assert.deepEqual(parseTranscript(text, 'recorded.smtp').problems, [], text)
    }),
    runs(300),
  )
})
