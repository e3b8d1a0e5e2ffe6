import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import { anyCuts, anyOctets, cut, runs, singly } from '../base/any-bytes.test.ts'
import { bytes, concat, text } from '../base/bytes.ts'
import { offering, worldOf } from './any-login.test.ts'
import { type Dialect, dialect } from './dialect.ts'
import { AUTH_LINE, LIMITS, type Limits, MAX_SURPLUS } from './limits.ts'
import { LineSplitter } from './line.ts'
import { ReplyReader } from './reply.ts'
import { type Answer, type Question, Server, type ServerOutput } from './server.ts'
import { MAIL_ONLY } from './session.ts'

const WORLD = worldOf({ a: 'b' })

interface Talk {
  readonly server: Server
  /** What came out, answers to its questions included. Bodies that were abandoned are left out, and pieces are joined. */
  readonly heard: string[]
  send(octets: string | Uint8Array): string
}

function answer(question: Question): Answer {
  switch (question.about) {
    case 'rcpt':
      return question.to.local === 'alice' ? { yes: '' } : { no: 'no-such-user' }
    case 'sasl':
      return { sasl: WORLD(question.question) }
    default:
      return { yes: 'M1' }
  }
}

function talk(limits: Partial<Limits> = {}, name: Dialect['name'] = 'postern'): Talk {
  const server = new Server({
    host: 'mx.example',
    peer: '192.0.2.7',
    dialect: dialect(name, { quoteUnknown: false }),
    version: '5.0',
    limits: { ...LIMITS, ...limits },
    ...MAIL_ONLY,
    ...offering('LOGIN', 'PLAIN'),
    date: () => 'today',
    trace: true,
  })
  const heard: string[] = []
  const carryOut = (outputs: readonly ServerOutput[]): string => {
    let written = ''
    for (const output of outputs) {
      if (output.kind === 'write') written += text(output.bytes)
      if (output.kind === 'body-abandoned') forget(heard)
      const last = heard.at(-1)
      if (output.kind === 'body' && last?.startsWith('body ')) heard[heard.length - 1] = last + text(output.bytes)
      else if (output.kind === 'body') heard.push(`body ${text(output.bytes)}`)
      else heard.push(say(output))
      if (output.kind === 'ask') written += carryOut(server.answer(answer(output.question), 0))
    }
    return written
  }
  carryOut(server.open(0))
  const send = (octets: string | Uint8Array): string =>
    carryOut(server.receive(typeof octets === 'string' ? bytes(octets) : octets, 0))
  return { server, heard, send }
}

/** What was kept of a message that is abandoned depends on its pieces, and is nobody's. */
function forget(heard: string[]): void {
  const since = heard.findLastIndex(each => each.startsWith('begins'))
  heard.push(...heard.splice(since).filter(each => !each.startsWith('body ')))
}

function say(output: ServerOutput): string {
  switch (output.kind) {
    case 'write':
      return `S ${text(output.bytes)}`
    case 'ask':
      return `ask ${JSON.stringify(output.question)}`
    case 'message-begins':
      return `begins ${JSON.stringify(output)}`
    case 'trace':
      return `trace ${output.by} ${output.text}`
    case 'body-abandoned':
      return `abandoned ${output.why}`
    default:
      return output.kind
  }
}

const codes = (written: string): readonly string[] => written.match(/^\d{3}(?= )/gm) ?? []

const anyDialogue = anyOctets(
  ...[
    'EHLO c.example\r\n',
    'EHLO c.example\r\n',
    'HELO c\r\n',
    'MAIL FROM:<a@b.example>\r\n',
    'MAIL FROM:<> BODY=BINARYMIME\r\n',
  ],
  ...[
    'RCPT TO:<alice@a.example>\r\n',
    'RCPT TO:<alice@a.example>\r\n',
    'RCPT TO:<bob@a.example>\r\n',
    'DATA\r\n',
    'DATA\r\n',
  ],
  ...[
    'BDAT 5\r\n',
    'BDAT 7 LAST\r\n',
    'BDAT 0 LAST\r\n',
    'BDAT x\r\n',
    'BDAT 5 LAST\n',
    '.\r\n',
    '\r\n.\r\n',
    'text\r\n',
    '..\r\n',
  ],
  ...[
    'RSET\r\n',
    'NOOP\r\n',
    'AUTH LOGIN\r\n',
    'AUTH PLAIN AGEAYg==\r\n',
    'X-EXPS LOGIN YQ==\r\n',
    'YQ==\r\n',
    'Yg==\r\n',
    '*\r\n',
  ],
  ...[
    'QUIT\r\n',
    'GET / HTTP/1.1\r\n',
    '\n',
    '\r',
    '\0',
    `${'a'.repeat(600)}\r\n`,
    'STARTTLS\r\n',
    'VRFY x\r\n',
    'XEXCH50 4 2\r\n',
  ],
)

test('a server says and asks the same however the stream is cut, and never throws', () => {
  fc.assert(
    fc.property(anyDialogue, anyCuts, fc.constantFrom('postern', 'exchange2000'), (octets, cuts, name) => {
      const limits = { messageSize: 30, errors: 8, recipients: 2 }
      const heard = (pieces: readonly Uint8Array[]): readonly string[] => {
        const { send, heard } = talk(limits, name)
        for (const piece of pieces) send(piece)
        return heard
      }
      const whole = heard([octets])
      assert.deepEqual(heard(cut(octets, cuts)), whole)
      assert.deepEqual(heard(singly(octets)), whole)
    }),
    runs(1000),
  )
})

test('all that a server writes are replies, and behind its close it writes nothing', () => {
  fc.assert(
    fc.property(anyDialogue, octets => {
      const { send, heard, server } = talk({ errors: 3 })
      send(octets)
      const closed = heard.indexOf('close')
      if (closed >= 0) {
        assert.deepEqual(heard.slice(closed + 1), [])
        assert.equal(server.deadline, undefined)
        assert.equal(send('NOOP\r\n'), '')
      }
      const splitter = new LineSplitter()
      splitter.push(concat(heard.filter(each => each.startsWith('S ')).map(each => bytes(each.slice(2)))))
      const reader = new ReplyReader()
      for (let reply = reader.next(splitter); reply; reply = reader.next(splitter)) assert.ok(!('fault' in reply))
      assert.equal(splitter.size, 0)
    }),
    runs(300),
  )
})

test('no password and no name of a login stands in a trace, whatever it is mixed with', () => {
  const secret = 'c2VjcmV0'
  const stream = anyOctets(
    'EHLO c\r\n',
    'AUTH LOGIN\r\n',
    `AUTH PLAIN ${secret}\r\n`,
    `auth plain ${secret} ${secret}\r\n`,
    `X-EXPS LOGIN ${secret}\r\n`,
    `AUTH ${secret} \0\r\n`,
    `AUTH LOGIN\t${secret}\r\n`,
  )
  fc.assert(
    fc.property(stream, octets => {
      const { send, heard } = talk({ errors: 1000 })
      send(octets)
      for (const line of heard) if (line.startsWith('trace C')) assert.ok(!line.includes(secret), line)
    }),
    runs(300),
  )
})

const READY = 'EHLO c.example\r\nMAIL FROM:<a@b.example>\r\nRCPT TO:<alice@a.example>\r\n'

test('a message larger than the pending limit arrives in one piece as it does in many', () => {
  const { send } = talk({ pending: 1000 })
  send(READY)
  assert.deepEqual(codes(send(`DATA\r\n${'line\r\n'.repeat(1000)}.\r\n`)), ['354', '250'])
})

test('a client that writes on without an answer is cut off at the pending limit', () => {
  const { server } = talk({ pending: 100 })
  server.receive(bytes(`${READY}`), 0)
  const outputs = server.receive(bytes('NOOP\r\n'.repeat(20)), 0)
  assert.deepEqual(
    outputs.map(({ kind }) => kind).filter(kind => kind !== 'trace'),
    ['write', 'close'],
  )
})

test('the answer to one question comes before the next command is looked at', () => {
  const { server } = talk()
  const asked = server.receive(bytes(`${READY}QUIT\r\n`), 0).filter(({ kind }) => kind === 'ask')
  assert.equal(asked.length, 1)
  assert.equal(server.deadline, undefined) // we owe the answer, not the client
  const then = server
    .answer({ no: 'no-space' }, 7)
    .flatMap(output => (output.kind === 'write' ? [text(output.bytes)] : []))
  assert.deepEqual(codes(then.join('')), ['452', '503', '221'])
})

test('too many recipients are refused for now, and cost the client nothing', () => {
  const { send } = talk({ recipients: 2, errors: 3 })
  send('EHLO c.example\r\nMAIL FROM:<a@b.example>\r\n')
  const written = send('RCPT TO:<alice@a.example>\r\n'.repeat(40))
  assert.deepEqual(codes(written), ['250', '250', ...Array(38).fill('452')])
  assert.deepEqual(codes(send('DATA\r\n')), ['354'])
})

test('who names recipients for ever although there are too many is not listening', () => {
  const { send } = talk({ recipients: 2 })
  send('EHLO c.example\r\nMAIL FROM:<a@b.example>\r\n')
  const heard = codes(send('RCPT TO:<alice@a.example>\r\n'.repeat(2 + MAX_SURPLUS + 1)))
  assert.deepEqual([heard.length, heard.at(-2), heard.at(-1)], [2 + MAX_SURPLUS + 1, '452', '421'])
})

test('a line of the length of a login is taken in one, and one octet more ends it', () => {
  const line = (octets: number) => `${'A'.repeat(octets - 2)}\r\n`
  const { send } = talk()
  send('EHLO c.example\r\nAUTH LOGIN\r\n')
  assert.deepEqual(codes(send(line(AUTH_LINE - 2))), ['334'])
  assert.match(send(line(AUTH_LINE + 1)), /^500 5\.5\.6 /)
  // What comes now is a command, and no name or password.
  assert.deepEqual(codes(send('NOOP\r\n')), ['250'])
})

test('a line that has no end costs a constant, and is told once it has one', () => {
  const { send } = talk()
  for (let i = 0; i < 100; i++) assert.equal(send('a'.repeat(1000)), '')
  assert.deepEqual(codes(send('\r\nNOOP\r\n')), ['500', '250'])
})

test('a chunk announced in a line that is too long is not executed', () => {
  const { send, heard } = talk()
  send('EHLO c.example\r\n')
  const written = send(`BDAT 12 LAST${' '.repeat(600)}\r\nNOOP\r\nNOOP\r\n`)
  assert.deepEqual(codes(written), ['501'])
  assert.equal(heard.at(-1), 'close')
})

test('a chunk of a binary message may hold any octet, and it cannot be sent by DATA', () => {
  const { send, heard } = talk()
  send('EHLO c\r\nMAIL FROM:<> BODY=BINARYMIME\r\nRCPT TO:<alice@a.example>\r\n')
  assert.deepEqual(codes(send('DATA\r\n')), ['503'])
  assert.deepEqual(codes(send('BDAT 5 LAST\r\na\n\0\r.')), ['250'])
  assert.ok(heard.includes('body a\n\0\r.'))
})

test('half a line buys no time, and a whole one does', () => {
  const { server } = talk({ idle: 1000, data: 500 })
  assert.equal(server.deadline, 1000)
  server.receive(bytes('NOO'), 900)
  assert.equal(server.deadline, 1000)
  assert.deepEqual(server.tick(999), [])
  server.receive(bytes('P\r\n'), 999)
  assert.equal(server.deadline, 1999)
  assert.match(server.tick(1999).map(say).join(' '), /421 4\.4\.2 .* close$/s)
})

test('a client that goes away in the middle of a message leaves nothing behind', () => {
  const { server, send } = talk()
  send(`${READY}DATA\r\nhalf`)
  assert.deepEqual(server.end(0).map(say), ['abandoned the client went away', 'close'])
  assert.deepEqual(server.end(0), [])
})

test('EHLO between two chunks drops the message, and the next one begins anew', () => {
  const { send, heard } = talk()
  send(`${READY}BDAT 5\r\nhalf \r\n`.replace('\r\n\r\n', '\r\n'))
  send('EHLO c.example\r\n')
  assert.ok(heard.includes('abandoned reset'))
  send(`${READY}BDAT 5 LAST\r\nwhole`)
  assert.deepEqual(
    heard.filter(each => each.startsWith('body')),
    ['body whole'],
  )
  assert.equal(heard.filter(each => each.startsWith('begins')).length, 2)
})

test('a login that cannot be checked now is put off and not refused (RFC 4954 §4), and says nothing else of why', () => {
  const server = new Server({
    host: 'mx.example',
    peer: '192.0.2.7',
    dialect: dialect('postern', { quoteUnknown: false }),
    version: '5.0',
    limits: LIMITS,
    ...MAIL_ONLY,
    ...offering('PLAIN'),
    date: () => 'today',
  })
  const said = (outputs: readonly ServerOutput[]): string =>
    outputs.map(each => (each.kind === 'write' ? text(each.bytes) : each.kind)).join('')
  server.open(0)
  server.receive(bytes('EHLO c\r\n'), 0)
  assert.equal(said(server.receive(bytes('AUTH PLAIN AGEAYg==\r\n'), 0)), 'ask')
  const answered = server.answer({ sasl: { kind: 'unavailable', why: 'the disk is gone' } }, 0)
  assert.equal(said(answered), 'login454 4.7.0 Temporary authentication failure\r\n')
  assert.match(said(server.receive(bytes('NOOP\r\n'), 0)), /^250 /)
})

test('without a rate a message of which nothing came has a deadline all the same', () => {
  const { server, send } = talk({ dataRate: 0, data: 3_000, session: 60_000 })
  for (const line of ['EHLO c.example', 'MAIL FROM:<a@a.example>', 'RCPT TO:<alice@b.example>', 'DATA'])
    send(`${line}\r\n`)
  assert.equal(server.deadline, 3_000)
})
