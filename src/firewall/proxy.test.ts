import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import { anyCuts, anyOctets, cut, runs } from '../base/any-bytes.test.ts'
import { bytes, text } from '../base/bytes.ts'
import { STRICT } from './profiles/strict.ts'
import { type Closing, MAX_WAITING, SmtpProxy } from './proxy.ts'
import { fold } from './proxy-edit.ts'
import { Rates } from './rates.ts'
import { type Backend, Lenient, SECURE, strictly, Through, type Took } from './through.test.ts'

/** A server that says nothing by itself: the test speaks for it. */
const SILENT: Backend = { open: () => '', receive: () => '', end: () => {} }

function scripted(policy = strictly(), options = {}): Through {
  return new Through(() => SILENT, policy, options)
}

const CLIENT_WORDS = [
  'EHLO c.example\r\n',
  'MAIL FROM:<a@x.example>\r\n',
  'RCPT TO:<b@y.example>\r\n',
  'DATA\r\n',
  'S: x\r\n',
  '..\r\n',
  '.\r\n',
  '\r',
  '\n',
  'BDAT 5\r\n',
  'BDAT 3 LAST\r\n',
  'STARTTLS\r\n',
  'AUTH LOGIN\r\n',
  'RSET\r\n',
  'QUIT\r\n',
  '\0',
]
const SERVER_WORDS = [
  '220 mx\r\n',
  '250 ok\r\n',
  '250-mx\r\n250-PIPELINING\r\n250-AUTH LOGIN\r\n250 CHUNKING\r\n',
  '354 go\r\n',
  '334 VXNl\r\n',
  '235 ok\r\n',
  '550 no\r\n',
  '421 bye\r\n',
  '250-',
  '\r\n',
]

test('whatever both sides send, the proxy does not throw, and what it sends the server is canonical', () => {
  const said = fc.record({ client: anyOctets(...CLIENT_WORDS), server: anyOctets(...SERVER_WORDS) })
  fc.assert(
    fc.property(fc.array(said, { maxLength: 12 }), fc.boolean(), (turns, isPatient) => {
      const talkingAhead = isPatient ? 'wait' : 'refuse'
      const through = scripted(strictly({ engine: { talkingAhead, authInClear: true, onwardTls: 'may' } }))
      for (const { client, server } of turns) {
        through.say(text(client))
        if (!through.closed) through.server(text(server))
      }
      through.pass(10 * 3_600_000)
      for (const sent of through.sent) assert.doesNotMatch(sent, /\r(?!\n)|(?<!\r)\n|\0/)
      assert.ok(through.closed, 'no session is for ever')
    }),
    runs(2000),
  )
})

test('what comes of a client does not depend on how its octets are cut', () => {
  const policy = strictly({ engine: { talkingAhead: 'wait' } })
  // The server answers once everything is there: what it has answered in between is not a matter of cuts.
  const converse = (pieces: readonly Uint8Array[]) => {
    const took: Took[] = []
    const owed: string[] = []
    const through = new Through(() => {
      const lenient = new Lenient(took)
      owed.splice(0, owed.length, lenient.open())
      const receive = (octets: Uint8Array) => {
        owed.push(lenient.receive(octets))
        return ''
      }
      return { open: () => '', receive, end: () => {} }
    }, policy)
    for (const piece of pieces) through.say(text(piece))
    for (let reply = owed.shift(); reply !== undefined && !through.closed; reply = owed.shift()) through.server(reply)
    return { took, heard: through.heard, sent: through.sent, closed: through.closed }
  }
  fc.assert(
    fc.property(anyOctets(...CLIENT_WORDS.filter(word => !word.startsWith('STARTTLS'))), anyCuts, (octets, cuts) => {
      assert.deepEqual(converse(cut(octets, cuts)), converse([octets]))
    }),
    runs(1500),
  )
})

test('TLS towards the server comes before the client hears what it offers, and only what it offers inside counts', () => {
  const through = scripted(strictly({ engine: { onwardTls: 'must' } }))
  through.server('220 mx\r\n')
  through.say('EHLO c.example\r\n')
  assert.equal(through.server('250-mx\r\n250-STARTTLS\r\n250-SIZE 1\r\n250 AUTH PLAIN\r\n'), '')
  through.server('220 go\r\n')
  assert.deepEqual(through.tls, ['server'])
  through.do((proxy, now) => proxy.secured('server', SECURE, now))
  assert.equal(through.server('250-mx\r\n250 DSN\r\n'), '250-mx\r\n250-DSN\r\n250 CHUNKING\r\n')
  assert.deepEqual(through.sent, ['EHLO c.example\r\nSTARTTLS\r\nEHLO c.example\r\n'])
})

test('octets in clear behind the 220 of the server are not read inside TLS: the client hears 421', () => {
  const through = scripted(strictly({ engine: { onwardTls: 'may' } }))
  through.server('220 mx\r\n')
  through.say('EHLO c.example\r\n')
  through.server('250-mx\r\n250 STARTTLS\r\n')
  through.do((proxy, now) => proxy.receive('server', bytes('220 go\r\n250-mx\r\n250 AUTH PLAIN\r\n'), now))
  assert.deepEqual(through.tls, [])
  assert.match(through.heard, /421 4\.4\.2 .*\r\n$/)
  assert.ok(through.closed)
})

test('no mail goes on where TLS must be and the server refuses it, does not offer it, or proves nothing', () => {
  const policy = strictly({ engine: { onwardTls: 'must' } })
  const begin = () => {
    const through = scripted(policy)
    through.server('220 mx\r\n')
    through.say('EHLO c.example\r\n')
    return through
  }
  assert.match(begin().server('250-mx\r\n250 SIZE 1\r\n'), /^421 /)
  const refused = begin()
  refused.server('250-mx\r\n250 STARTTLS\r\n')
  assert.match(refused.server('454 4.7.0 no\r\n'), /^421 /)
  const unproven = begin()
  unproven.server('250-mx\r\n250 STARTTLS\r\n')
  unproven.server('220 go\r\n')
  const facts = { ...SECURE, unproven: 'its certificate is not trusted' }
  assert.match(
    unproven.do((proxy, now) => proxy.secured('server', facts, now)),
    /^421 /,
  )
})

test('where TLS may be left out and is refused, mail goes on in clear, and the record says so', () => {
  const through = scripted(strictly({ engine: { onwardTls: 'may' } }))
  through.server('220 mx\r\n')
  through.say('EHLO c.example\r\n')
  through.server('250-mx\r\n250 STARTTLS\r\n')
  through.server('454 4.7.0 no\r\n')
  assert.match(through.server('250-mx\r\n250 STARTTLS\r\n'), /^250-mx\r\n/)
  assert.ok(through.explanations.some(({ what, did }) => what === 'tls' && did === 'log'))
})

test('a client that says HELO costs one hello at the server: EHLO where it is taken, of whose list nothing is told', () => {
  const begin = (answer: string) => {
    const through = scripted(strictly({ engine: { onwardTls: 'may' } }))
    through.server('220 mx\r\n')
    through.say('HELO c.example\r\n')
    return { through, heard: through.server(answer) }
  }
  const taken = begin('250-mx\r\n250-PIPELINING\r\n250 SIZE 1\r\n')
  assert.equal(taken.heard, '250 mx\r\n')
  assert.deepEqual(taken.through.sent, ['EHLO c.example\r\n'])
  assert.match(taken.through.say('MAIL FROM:<a@x.example> SIZE=1\r\n'), /^555 /)
  const refused = begin('502 5.5.1 no\r\n')
  assert.equal(refused.heard, '')
  assert.equal(refused.through.server('250 mx at your service\r\n'), '250 mx at your service\r\n')
  assert.deepEqual(refused.through.sent, ['EHLO c.example\r\nHELO c.example\r\n'])
})

test('a server that asks for it is told who the client is, in xtext, and of no value with a line end', () => {
  const through = scripted(strictly({ engine: { xclient: 'may', onwardTls: 'never' } }), {
    client: { address: '2001:db8::7', port: 4711, name: 'evil\r\nRCPT TO:<x@y>' },
  })
  through.server('220 mx\r\n')
  through.say('EHLO c.example\r\n')
  through.server('250-mx\r\n250 XCLIENT NAME ADDR PORT PROTO HELO LOGIN\r\n')
  through.server('220 mx\r\n')
  assert.equal(through.server('250-mx\r\n250 XCLIENT NAME\r\n'), '250-mx\r\n250 CHUNKING\r\n')
  const told = 'XCLIENT NAME=[UNAVAILABLE] ADDR=IPV6:2001:db8::7 PORT=4711 PROTO=ESMTP HELO=c.example\r\n'
  assert.deepEqual(through.sent, [`EHLO c.example\r\n${told}EHLO c.example\r\n`])
})

test('a server that was told the client speaks SMTP hears HELO from it', () => {
  const through = scripted(strictly({ engine: { xclient: 'may', onwardTls: 'never' } }), {
    client: { address: '192.0.2.7' },
  })
  through.server('220 mx\r\n')
  through.say('HELO c.example\r\n')
  through.server('250-mx\r\n250 XCLIENT ADDR PROTO\r\n')
  through.server('220 mx\r\n')
  assert.equal(through.server('250 mx\r\n'), '250 mx\r\n')
  assert.deepEqual(through.sent, ['EHLO c.example\r\nXCLIENT ADDR=192.0.2.7 PROTO=SMTP\r\nHELO c.example\r\n'])
})

test('a server that is not told who the client is takes it for us: that is told, or with must the client is sent away', () => {
  const cases = [
    { hello: 'EHLO', replies: ['250-mx\r\n250 PIPELINING\r\n'], why: /offers no XCLIENT/ },
    { hello: 'EHLO', replies: ['250-mx\r\n250 XCLIENT NAME\r\n'], why: /offers no XCLIENT that takes an address/ },
    { hello: 'HELO', replies: ['502 5.5.1 no EHLO\r\n'], why: /offers no XCLIENT/ },
    { hello: 'EHLO', replies: ['250-mx\r\n250 XCLIENT ADDR\r\n', '550 5.7.0 who?\r\n'], why: /refused XCLIENT/ },
  ]
  for (const { hello, replies, why } of cases) {
    const begin = (xclient: 'may' | 'must') => {
      const through = scripted(strictly({ engine: { xclient, onwardTls: 'never' } }))
      through.server('220 mx\r\n')
      through.say(`${hello} c.example\r\n`)
      return { through, heard: replies.map(each => through.server(each)).join('') }
    }
    const may = begin('may').through
    may.server('250 mx\r\n')
    assert.match(may.heard, /^220 mx\r\n250[ -]mx\r\n/)
    may.talk('EHLO c.example')
    may.server('250 mx\r\n')
    assert.match(may.talk('MAIL FROM:<a@x.example>').join(''), /^$/)
    const told = may.explanations.filter(({ what }) => what === 'server')
    assert.deepEqual(
      told.map(({ subject, did }) => `${did} ${subject}`),
      ['log XCLIENT'],
    )
    assert.match(told[0]?.because.reason ?? '', why)
    const must = begin('must')
    assert.match(must.heard, /^421 4\.3\.0 fw\.example cannot tell its server who you are/)
    assert.ok(must.through.closed)
    const last = must.through.explanations.at(-1)
    assert.equal(`${last?.did} ${last?.what} ${last?.subject}`, 'answer server XCLIENT')
    assert.ok(!must.through.sent.join('').includes('MAIL'))
  }
})

test('MAIL and RCPT flow to the server without waiting, DATA waits for their replies, and the order is kept', () => {
  const through = scripted()
  through.server('220 mx\r\n')
  through.say('EHLO c.example\r\n')
  through.server('250-mx\r\n250 PIPELINING\r\n')
  const heard = through.say(
    'MAIL FROM:<a@x.example>\r\nRCPT TO:<b@y.example>\r\nRCPT TO:<b%z@y.example>\r\nRCPT TO:<c@y.example>\r\nDATA\r\n',
  )
  assert.equal(heard, '', 'the refusal in the middle waits for the replies before it')
  const group = 'MAIL FROM:<a@x.example>\r\nRCPT TO:<b@y.example>\r\nRCPT TO:<c@y.example>\r\n'
  assert.equal(through.sent[0], `EHLO c.example\r\n${group}`)
  assert.equal(through.server('250 2.1.0 m\r\n'), '250 2.1.0 m\r\n')
  assert.equal(through.server('250 2.1.5 b\r\n'), '250 2.1.5 b\r\n550 5.7.1 Relaying denied\r\n')
  assert.equal(through.server('550 5.1.1 c\r\n'), '550 5.1.1 c\r\n')
  assert.ok(through.sent[0]?.endsWith('DATA\r\n'))
  assert.equal(through.proxy.recipients, 1)
})

test('a reply without end is cut off, and costs no more than its cap', () => {
  const through = scripted()
  for (let i = 0; i < 1000 && !through.closed; i++) through.server('220-aaaaaaaaaaaaaaaaaaaaaaaa\r\n')
  assert.match(through.heard, /^421 /)
})

test('while the server answers, a client that goes on writing is not read any more', () => {
  const through = scripted(strictly({ engine: { talkingAhead: 'wait' } }))
  through.server('220 mx\r\n')
  through.say('EHLO c.example\r\n')
  assert.ok(through.proxy.reads('client'))
  through.say('NOOP\r\n'.repeat(MAX_WAITING))
  assert.equal(through.proxy.reads('client'), false)
  assert.ok(through.proxy.reads('server'))
})

test('octets that the server does not take are not held against the client, and a side that never reads is given up', () => {
  const through = scripted(strictly({ engine: { onwardTls: 'never' } }))
  through.server('220 mx\r\n')
  through.say('HELO c.example\r\n')
  through.server('250 mx\r\n')
  for (const line of ['MAIL FROM:<a@x.example>', 'RCPT TO:<b@y.example>']) {
    through.say(`${line}\r\n`)
    through.server('250 ok\r\n')
  }
  through.say('DATA\r\n')
  through.server('354 go\r\n')
  through.do((proxy, now) => proxy.blocked('server', now))
  assert.equal(through.pass(4 * 60_000), '', 'the message is not too slow: it could not go on')
  through.do((proxy, now) => proxy.flowing('server', now))
  assert.equal(through.pass(60_000), '')
  through.do((proxy, now) => proxy.blocked('client', now))
  through.pass(6 * 60_000)
  assert.ok(through.closed)
})

test('a message at the least rate passes however long it takes, and one below it does not', () => {
  const deliver = (octets: number) => {
    const through = new Through(() => new Lenient([]), strictly())
    through.talk('EHLO c.example', 'MAIL FROM:<a@x.example>', 'RCPT TO:<b@y.example>', 'DATA')
    for (let second = 0; second < 1200 && !through.closed; second++) {
      through.say(`${'x'.repeat(octets - 2)}\r\n`)
      through.pass(1000)
    }
    return through.closed
  }
  assert.equal(deliver(500), false)
  assert.equal(deliver(400), true)
})

test('postmaster without a domain is at home here, and nobody else is', () => {
  const through = new Through(() => new Lenient([]), strictly({ domains: new Set(['y.example']) }))
  through.talk('EHLO c.example', 'MAIL FROM:<>')
  const replies = through.talk(
    'RCPT TO:<Postmaster>',
    'RCPT TO:<b>',
    'RCPT TO:<b@sub.y.example>',
    'RCPT TO:<b@z.example>',
  )
  assert.deepEqual(
    replies.map(reply => reply.slice(0, 3)),
    ['250', '550', '250', '550'],
  )
})

test('a firewall that goes down waits for the end of a message, and for what the server makes of it', () => {
  const took: Took[] = []
  const through = new Through(() => new Lenient(took), strictly())
  through.talk('EHLO c.example', 'MAIL FROM:<a@x.example>', 'RCPT TO:<b@y.example>', 'DATA', 'S: x')
  assert.equal(
    through.do((proxy, now) => proxy.stop(now)),
    '',
  )
  assert.match(through.say('\r\n.\r\n'), /^250 2\.0\.0 queued\r\n421 4\.3\.2 /)
  assert.equal(took.length, 1)
  assert.ok(through.closed)
})

test('nothing of a login stands in the record', () => {
  const through = scripted(strictly({ engine: { authInClear: true, onwardTls: 'never' } }))
  through.server('220 mx\r\n')
  through.say('EHLO c.example\r\n')
  through.server('250-mx\r\n250 AUTH PLAIN LOGIN\r\n')
  through.say('AUTH PLAIN c2VjcmV0\r\n')
  through.server('535 5.7.8 no\r\n')
  through.say('AUTH LOGIN c2VjcmV0 c2VjcmV0\r\n')
  through.say('AUTH LOGIN\r\n')
  through.server('334 x\r\n')
  through.say('c2VjcmV0!\r\n')
  through.server('501 no\r\n')
  through.say('AUTH LOGIN\r\nc2VjcmV0\r\n')
  for (const { before, after } of through.explanations) assert.doesNotMatch(text(before) + text(after), /c2VjcmV0/)
})

test('what may be a secret is in no explanation: behind a login that was refused, in a line end mended, in a group too early', () => {
  const secret = 'c2VjcmV0c2VjcmV0'
  const told = (through: Through): string =>
    JSON.stringify(through.explanations.map(each => [each.subject, text(each.before)]))
  const greeted = (policy = strictly()): Through => {
    const through = scripted(policy)
    through.server('220 mx\r\n')
    through.say('EHLO c\r\n')
    through.server('250-mx\r\n250 AUTH PLAIN\r\n')
    return through
  }
  const refused = greeted()
  assert.match(refused.say('AUTH LOGIN\r\n'), /^5/)
  assert.match(refused.say(`${secret}\r\n`), /^500 /)
  assert.match(refused.say('AUTH =\r\n'), /^5/)
  assert.match(refused.say(`${secret}\r\n`), /^500 /)
  assert.match(told(refused), /\["\[secret\]","\[secret\]"\]/)
  // Another command is no secret any more, and neither is what follows it.
  refused.say('NOOP\r\n')
  refused.server('250 ok\r\n')
  refused.say('HELO2 c\r\n')
  assert.match(told(refused), /HELO2 c/)

  const mended = greeted(strictly({ strays: 'space' }))
  mended.say(`AUTH PLAIN ${secret}\n`)
  const long = greeted()
  long.say(`AUTH PLAIN ${secret.repeat(1000)}\r\n`)
  const bare = greeted()
  bare.say(`AUTH PLAIN ${secret}\n`)
  const early = scripted()
  early.say(`EHLO c\r\nAUTH PLAIN ${secret}\r\n`)
  for (const through of [refused, mended, long, bare, early]) {
    assert.ok(through.explanations.length > 0)
    assert.ok(!told(through).includes(secret), told(through))
  }
  assert.match(told(early), /EHLO c\\r\\nAUTH PLAIN \[secret\]/)
})

test('whoever makes many mistakes waits for the next command, each time, and is told of once', () => {
  const through = new Through(
    () => new Lenient([]),
    strictly({ engine: { softErrors: 2, waits: { ...STRICT.engine.waits, error: 1_000 } } }),
  )
  const wrong = '502 5.5.1 Command is not available'
  assert.deepEqual(through.talk('EHLO c.example', 'TURN', 'TURN', 'TURN').slice(1), [wrong, wrong, wrong])
  // The third was one too many: what comes now is heard a second later, and so is what comes behind it.
  assert.equal(through.say('NOOP\r\n'), '')
  assert.equal(through.pass(999), '')
  assert.equal(through.pass(1), '250 2.0.0 ok\r\n')
  assert.deepEqual(through.talk('NOOP', 'TURN'), ['250 2.0.0 ok', wrong])
  assert.equal(through.say('QUIT\r\n'), '')
  assert.equal(through.pass(1_000), '221 2.0.0 bye\r\n')
  assert.equal(through.explanations.filter(({ did, subject }) => did === 'log' && subject === 'ERRORS').length, 1)
})

test('a rule that limits a rate lets all pass, and each in its time', () => {
  const base = strictly()
  const rcpt = {
    match: { on: 'word', what: 'verb', in: new Set(['RCPT']) },
    action: { kind: 'rate-limit', perSecond: 2 },
    reason: 'two a second',
  } as const
  const policy = { ...base, rules: [rcpt, ...base.rules] }
  const rates = new Rates()
  const [one, other] = [1, 2].map(() => new Through(() => new Lenient([]), policy, { rates }))
  assert.ok(one && other)
  for (const each of [one, other]) each.talk('EHLO c.example', 'MAIL FROM:<a@x.example>')
  assert.equal(one.say('RCPT TO:<b@y.example>\r\n'), '250 2.0.0 ok\r\n')
  // Of another connection, and of the same firewall.
  assert.equal(other.say('RCPT TO:<c@y.example>\r\n'), '')
  assert.equal(one.say('RCPT TO:<d@y.example>\r\n'), '')
  assert.equal(other.pass(500), '250 2.0.0 ok\r\n')
  assert.equal(one.pass(999), '')
  assert.equal(one.pass(1), '250 2.0.0 ok\r\n')
  assert.equal(one.say('NOOP\r\n'), '250 2.0.0 ok\r\n')
})

test('a rule that masks the greeting leaves the codes of its lines', () => {
  const base = strictly()
  const hidden = { match: { on: 'greeting' }, action: { kind: 'mask', how: 'keep-2-0' }, reason: 'hidden' } as const
  const through = scripted({ ...base, rules: [hidden, ...base.rules] })
  assert.equal(through.server('220-mx 2000\r\n220 ready\r\n'), '220-***2000\r\n220 *****\r\n')
  assert.equal(through.explanations.at(-1)?.did, 'mask')
})

test('a header line that is too long is folded at a blank, and what it says stays the same', () => {
  const took: Took[] = []
  const through = new Through(() => new Lenient(took), strictly({ headerLine: 78 }))
  const long = `References: ${Array.from({ length: 9 }, (_, i) => `<${i}.${'x'.repeat(20)}@a.example>`).join(' ')}`
  through.talk('EHLO c.example', 'MAIL FROM:<a@x.example>', 'RCPT TO:<b@y.example>', 'DATA')
  assert.match(through.say(`${long}\r\nSubject: x\r\n\r\n${'y'.repeat(200)}\r\n.\r\n`), /^250 /)
  const [{ message = '' } = {}] = took
  const [header = ''] = message.split('\r\nSubject')
  assert.ok(header.split('\r\n').every(line => line.length <= 78 && line.trim() !== ''))
  assert.equal(header.replaceAll('\r\n', ''), long)
  assert.deepEqual(
    through.explanations.map(({ what, subject, did }) => `${did} ${what} ${subject}`),
    ['fold header REFERENCES'],
  )
  assert.match(message, /\r\nSubject: x\r\n\r\ny{200}\r\n$/)
})

test('a header without a body is folded, too, and keeps its last line where that has no end', () => {
  const took: Took[] = []
  const through = new Through(() => new Lenient(took), strictly({ headerLine: 78 }))
  const message = `Subject: x\r\nX-Long:${' word'.repeat(20)} end`
  through.talk('EHLO c.example', 'MAIL FROM:<a@x.example>', 'RCPT TO:<b@y.example>')
  assert.match(through.say(`BDAT ${message.length} LAST\r\n${message}`), /^250 /)
  const lines = took[0]?.message.split('\r\n') ?? []
  assert.ok(lines.length >= 3, JSON.stringify(lines))
  assert.ok(lines.every(line => line.length <= 78))
  assert.equal(lines.join(''), message.replaceAll('\r\n', ''))
})

test('whatever a field holds, folding it keeps its octets, and never makes a line of blanks', () => {
  const word = fc.stringMatching(/^[ -~]{0,120}$/)
  fc.assert(
    fc.property(fc.array(word, { minLength: 1, maxLength: 4 }), fc.integer({ min: 78, max: 200 }), (words, to) => {
      const field = `Subject: ${words.join('\r\n ')}x\r\n`
      const folded = fold(bytes(field), to)
      if (!folded) return
      const lines = text(folded).split('\r\n').slice(0, -1)
      assert.ok(lines.every(line => line.length <= to))
      assert.equal(lines.join(''), field.replaceAll('\r\n', ''))
      assert.ok(lines.every((line, i) => i === 0 || /^[ \t]/.test(line)))
      const before = field.split('\r\n').filter(line => line.trim() === '').length
      assert.ok(lines.filter(line => line.trim() === '').length < Math.max(1, before))
    }),
    runs(1000),
  )
})

test('behind a 221 a side that has said its last word is left, and any other is told that this is the end', () => {
  const closing = (...said: readonly string[]): ReadonlyMap<string, Closing> => {
    const client = { address: '192.0.2.1' }
    const proxy = new SmtpProxy({ policy: strictly(), host: 'fw.example', client, canSecure: false })
    proxy.open(0)
    proxy.connected(0)
    const outputs = ['S220 mx', 'CEHLO c.example', 'S250-mx\r\n250 PIPELINING', ...said].flatMap(line =>
      proxy.receive(line.startsWith('C') ? 'client' : 'server', bytes(`${line.slice(1)}\r\n`), 0),
    )
    if (said.length === 0) outputs.push(...proxy.end('client', 0))
    return new Map(outputs.flatMap(output => (output.kind === 'close' ? [[output.at, output.how]] : [])))
  }
  for (const [said, client, server] of [
    [['CQUIT', 'S221 bye'], 'said', 'said'],
    // What was said before it may not be there yet.
    [['CNOOP\r\nQUIT', 'S250 ok', 'S221 bye'], 'after-writes', 'said'],
    // With octets behind it the system would reset the connection, and drop what is not sent yet.
    [['CQUIT\r\n', 'S221 bye'], 'after-writes', 'said'],
    [['CQUIT', 'C', 'S221 bye'], 'after-writes', 'said'],
    [[], 'after-writes', 'after-writes'],
  ] as const) {
    assert.deepEqual(Object.fromEntries(closing(...said)), { client, server }, said.join())
  }
})
