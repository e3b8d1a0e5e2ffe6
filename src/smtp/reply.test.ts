import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import { anyCuts, anyOctets, cut, runs, singly } from '../base/any-bytes.test.ts'
import { text, utf8 } from '../base/bytes.ts'
import { offers, readCapabilities } from './capabilities.ts'
import { LineSplitter } from './line.ts'
import { formatReply, MAX_REPLY_LINE, MAX_REPLY_LINES, type Reply, ReplyReader, reply, sayReply } from './reply.ts'

type Read = Reply | { readonly fault: string }

/** All replies in these octets, up to the first fault. */
function read(pieces: readonly Uint8Array[]): readonly Read[] {
  const splitter = new LineSplitter()
  const reader = new ReplyReader()
  const found: Read[] = []
  for (const piece of pieces) {
    splitter.push(piece)
    for (let heard = reader.next(splitter); heard; heard = reader.next(splitter)) {
      if ('fault' in heard) return [...found, { fault: heard.fault }]
      found.push(heard.value)
    }
  }
  return found
}

const one = (said: string): Read | undefined => read([utf8(said)])[0]

test('a reply of several lines is one reply, and its status is told once', () => {
  assert.deepEqual(
    one('250-2.1.0 one\r\n250-2.1.0 two\r\n250 2.1.0 three\r\n'),
    reply(250, '2.1.0', 'one', 'two', 'three'),
  )
  assert.deepEqual(one('220-a\r\n220\r\n'), reply(220, undefined, 'a', ''))
  assert.deepEqual(one('354 2.1.0 no class of 3\r\n'), reply(354, undefined, '2.1.0 no class of 3'))
  // There is no class 3, and a number of a status has three digits at most (RFC 3463 §2).
  assert.deepEqual(one('354 3.1.0 no class of 3\r\n'), reply(354, undefined, '3.1.0 no class of 3'))
  assert.deepEqual(one('250 2.1.1000 odd\r\n'), reply(250, undefined, '2.1.1000 odd'))
  assert.deepEqual(one('250 2.1\r\n'), reply(250, undefined, '2.1'))
  // A status of another class is text that looks like one (RFC 2034 §4).
  assert.deepEqual(one('550 2.1.0 odd\r\n'), reply(550, undefined, '2.1.0 odd'))
  assert.deepEqual(one('250 lenient\n'), reply(250, undefined, 'lenient'))
})

test('what is no reply is a fault, and says which', () => {
  const faults: Readonly<Record<string, string>> = {
    'hello\r\n': 'no-code',
    '25 ok\r\n': 'no-code',
    '2500 ok\r\n': 'no-code',
    '199 early\r\n': 'no-code',
    '600 late\r\n': 'no-code',
    '250_ok\r\n': 'no-code',
    '250-a\r\n550 b\r\n': 'codes-differ',
    [`250 ${'a'.repeat(MAX_REPLY_LINE)}\r\n`]: 'overlong',
    [`${'250-a\r\n'.repeat(MAX_REPLY_LINES)}250 b\r\n`]: 'too-many-lines',
  }
  for (const [said, fault] of Object.entries(faults)) assert.deepEqual(one(said), { fault }, said.slice(0, 40))
})

test('ReplyReader reads the same replies however the octets are cut, and never throws', () => {
  const stream = anyOctets('250 ok\r\n', '250-a\r\n', '550 no\r\n', '\r\n', '250', '-', ' 2.0.0 x', '\n', '221')
  fc.assert(
    fc.property(stream, anyCuts, (octets, cuts) => {
      const whole = read([octets])
      assert.deepEqual(read(cut(octets, cuts)), whole)
      assert.deepEqual(read(singly(octets)), whole)
    }),
    runs(500),
  )
})

test('what formatReply() writes, ReplyReader reads back, and it never writes a second reply', () => {
  const line = fc.string({ unit: fc.constantFrom('a', ' ', '\r', '\n', '\0', '-', '5'), maxLength: 9 })
  const any = fc.record({ code: fc.integer({ min: 200, max: 599 }), text: fc.array(line, { maxLength: 4 }) })
  fc.assert(
    fc.property(any, ({ code, text: lines }) => {
      const back = read([formatReply({ code, text: lines })])
      const clean = lines.map(each => each.replace(/[\r\n\0]/g, '?'))
      assert.deepEqual(back, [{ code, text: clean.length === 0 ? [''] : clean }])
    }),
    runs(500),
  )
  assert.equal(text(formatReply(reply(250, '2.0.0', 'a', 'b'))), '250-2.0.0 a\r\n250 2.0.0 b\r\n')
  assert.equal(sayReply(reply(250, '2.0.0', 'a', 'b')), '250 2.0.0 a b')
})

const capabilities = (...lines: string[]) => readCapabilities(reply(250, undefined, ...lines))

test('the first line of an EHLO reply is a name and never a keyword; OK at its end is none either', () => {
  const exchange = capabilities(
    'STARTTLS Hello',
    '8bitmime',
    'X-EXPS GSSAPI NTLM LOGIN',
    'X-EXPS=LOGIN',
    'AUTH=LOGIN PLAIN',
    'SIZE 100',
    'OK',
  )
  assert.equal(exchange.name, 'STARTTLS')
  assert.deepEqual([...exchange.keywords.keys()], ['8BITMIME', 'X-EXPS', 'AUTH', 'SIZE'])
  assert.deepEqual(exchange.keywords.get('X-EXPS'), ['GSSAPI', 'NTLM', 'LOGIN'])
  assert.deepEqual(exchange.keywords.get('AUTH'), ['LOGIN', 'PLAIN'])
  assert.equal(offers(exchange, 'STARTTLS'), false)
  assert.equal(offers(exchange, 'X-EXPS', 'LOGIN'), true)
  assert.equal(offers(exchange, 'X-EXPS', 'CRAM-MD5'), false)
  assert.equal(offers(exchange, 'OK'), false)
})

test('a keyword is a whole word: what contains one, or was masked, is another', () => {
  const masked = capabilities('mx', 'NOSTARTTLS', 'XXXXXXXA', 'PIPELININGX')
  for (const keyword of ['STARTTLS', 'PIPELINING', 'TLS']) assert.equal(offers(masked, keyword), false)
  assert.equal(offers(capabilities('mx', 'OK', 'SIZE'), 'OK'), true)
  assert.deepEqual(capabilities().keywords.size, 0)
})

test('capabilities are read from any reply', () => {
  fc.assert(
    fc.property(fc.array(fc.string()), lines => {
      assert.ok(capabilities(...lines).keywords.size < Math.max(1, lines.length))
    }),
    runs(300),
  )
})

test('formatReply() keeps a line to 512 octets, whatever it quotes, and cuts no character in two', () => {
  const line = (about: string) => formatReply(reply(550, '5.1.1', about))
  assert.equal(text(line('x'.repeat(500))), `550 5.1.1 ${'x'.repeat(500)}\r\n`)
  assert.equal(line('x'.repeat(9999)).length, 512)
  assert.equal(text(line('x'.repeat(9999)).subarray(500)), `${'x'.repeat(10)}\r\n`)
  // Two octets each, and an odd number of them would fit.
  const cut = line(`x${'é'.repeat(300)}`)
  assert.equal(cut.length, 511)
  assert.equal(text(cut.subarray(cut.length - 4)), `${text(utf8('é'))}\r\n`)
})

test('formatReply() leaves a challenge as long as it is (RFC 4954 §4)', () => {
  assert.equal(formatReply(reply(334, undefined, 'A'.repeat(4000))).length, 4006)
})
