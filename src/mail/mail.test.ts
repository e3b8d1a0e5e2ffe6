import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import { anyCuts, anyOctets, cut, runs, singly } from '../base/any-bytes.test.ts'
import { bytes, concat, text } from '../base/bytes.ts'
import { formatDate, originalArrivalTime } from './date.ts'
import { formatReport } from './dsn.ts'
import { envelopeOf } from './envelope.ts'
import { HeaderWatch, traceFields, withoutTrace } from './trace.ts'

const SATURDAY = 1_001_783_358_000

test('formatDate() writes RFC 5322 dates in universal time, the day not padded', () => {
  assert.equal(formatDate(SATURDAY), 'Sat, 29 Sep 2001 17:09:18 +0000')
  assert.equal(formatDate(0), 'Thu, 1 Jan 1970 00:00:00 +0000')
})

test('originalArrivalTime() is the FILETIME of KB320636', () => {
  // 14 Mar 2002 15:31:58.0324 is 0x01C1CB6D610D9B40.
  assert.equal(originalArrivalTime(1_016_119_918_324), '14 Mar 2002 15:31:58.0324 (UTC) FILETIME=[610D9B40:01C1CB6D]')
})

const FACTS = {
  hello: 'mail-a.a.example',
  peer: '10.53.7.203',
  protocol: 'ESMTP',
  login: undefined,
  tls: undefined,
} as const
const ARRIVAL = { host: 'mail-b.b.example', id: 'M1', facts: FACTS, version: '5.0.2195.2966' }

test('traceFields() writes the fields of its dialect, folded', () => {
  assert.equal(
    traceFields({ ...ARRIVAL, isExchange: true }, SATURDAY),
    'Received: from mail-a.a.example ([10.53.7.203]) by mail-b.b.example with Microsoft SMTPSVC(5.0.2195.2966);\r\n' +
      '\t Sat, 29 Sep 2001 17:09:18 +0000\r\n' +
      `X-OriginalArrivalTime: ${originalArrivalTime(SATURDAY)}\r\n`,
  )
  assert.equal(
    traceFields({ ...ARRIVAL, isExchange: false }, SATURDAY),
    'Received: from mail-a.a.example ([10.53.7.203])\r\n\tby mail-b.b.example with ESMTP id M1;\r\n\tSat, 29 Sep 2001 17:09:18 +0000\r\n',
  )
})

test('what a client calls itself cannot write a field of its own', () => {
  for (const hello of ['a\r\nX-Evil: 1', 'a b', '瘍瘊', '']) {
    const fields = traceFields({ ...ARRIVAL, facts: { ...FACTS, hello }, isExchange: false }, SATURDAY)
    assert.equal(fields.match(/^[^ \t\r\n]+:/gm)?.length, 1, fields)
    assert.ok(/^[\t\r\n -~]*$/.test(fields), fields)
  }
})

test('withoutTrace() tells what a message gained, and where it differs', () => {
  const sent = bytes('Subject: a\r\n\r\nb\r\n')
  const under = (above: string) => withoutTrace(concat([bytes(above), sent]), sent)
  const gained = ['Received: x\r\n\tby y', 'X-OriginalArrivalTime: z']
  assert.deepEqual(under('Received: x\r\n\tby y\r\nX-OriginalArrivalTime: z\r\n'), { gained })
  assert.deepEqual(under('X-Spam: yes\r\n'), { differsAt: 0 })
  assert.deepEqual(withoutTrace(bytes('Subject: a\r\n\r\nc\r\n'), sent), { differsAt: 14 })
  assert.deepEqual(withoutTrace(bytes('b\r\n'), sent), { differsAt: 0 })
})

/** The header's octets and hops, over the whole text at once. */
function counted(
  message: string,
  most: number,
): { readonly hops: number; readonly tooLong: boolean; readonly size: number } {
  const header = (`\r\n${message}`.split('\r\n\r\n')[0] ?? '').slice(2)
  const isWhole = `\r\n${message}`.includes('\r\n\r\n')
  const size = header === '' ? (isWhole ? 0 : message.length) : header.length + (isWhole ? 2 : 0)
  const lines = header.split('\r\n')
  return { hops: lines.filter(line => /^received:/i.test(line)).length, tooLong: size > most, size }
}

function watched(pieces: readonly Uint8Array[], most: number) {
  const watch = new HeaderWatch()
  for (const piece of pieces) watch.push(piece, most)
  return { hops: watch.hops, size: watch.size }
}

const anyMessage = anyOctets(
  'Received: x\r\n',
  'received: y\r\n',
  ' folded\r\n',
  'Subject: a\r\n',
  `X-Long: ${'a'.repeat(1100)}\r\n`,
  '\r\n',
  'body\r\n',
  'Received: in the body\r\n',
)

test('HeaderWatch counts the same hops and octets however the message is cut, and stops at its body', () => {
  fc.assert(
    fc.property(anyMessage, anyCuts, (octets, cuts) => {
      const message = text(octets)
        .replace(/[^\r\n -~]/g, '?')
        .replace(/\r(?!\n)|(?<!\r)\n/g, '?')
      const whole = bytes(`${message}\r\n\r\nReceived: behind the header\r\n`)
      const { hops, size } = counted(text(whole), Number.POSITIVE_INFINITY)
      for (const pieces of [[whole], cut(whole, cuts), singly(whole)]) {
        assert.deepEqual(watched(pieces, 1e9), { hops, size })
      }
    }),
    runs(300),
  )
})

test('HeaderWatch tells a header that is too long, even where it is one line without end', () => {
  const endless = bytes(`X: ${'a'.repeat(200_000)}`)
  for (const pieces of [[endless], cut(endless, [100, 200, 300, 400, 500, 600, 700, 800, 900])]) {
    assert.ok(watched(pieces, 102_400).size > 102_400)
  }
  const many = bytes('X: y\r\n'.repeat(20_000))
  assert.ok(watched([many], 102_400).size > 102_400)
  assert.ok(watched([bytes('X: y\r\n\r\n'), endless], 102_400).size <= 102_400, 'a long body is no long header')
})

test('envelopeOf() keeps what a sender asked of reports', () => {
  const envelope = envelopeOf(
    {
      from: null,
      params: [
        { keyword: 'RET', value: 'hdrs' },
        { keyword: 'ENVID', value: 'QQ' },
        { keyword: 'SIZE', value: '9' },
      ],
      recipients: [
        { to: { local: 'bob', domain: 'b.example' }, params: [{ keyword: 'NOTIFY', value: 'success,Failure' }] },
      ],
      body: '8bitmime',
      smtputf8: false,
      requireTls: false,
      hold: 5_000,
      by: { within: 60_000, mode: 'return', trace: true },
      priority: -3,
    },
    1_000,
  )
  assert.deepEqual(envelope, {
    from: null,
    smtputf8: false,
    body: '8bitmime',
    ret: 'HDRS',
    envid: 'QQ',
    // Its time begins when it may go.
    hold: 5_000,
    deliverBy: { at: 65_000, mode: 'return', trace: true },
    priority: -3,
    recipients: [{ to: { local: 'bob', domain: 'b.example' }, notify: 'SUCCESS,FAILURE' }],
  })
})

test('nothing that a peer said begins a field, or a part, of a report', () => {
  const evil = 'x\r\nX-Evil: 1\r\n--report-R1\r\n\0'
  const report = formatReport(
    {
      host: 'mail-a.a.example',
      id: 'R1',
      arrived: 0,
      now: SATURDAY,
      quoted: { what: 'header', bytes: bytes('Subject: a\r\n') },
      envelope: {
        from: null,
        smtputf8: false,
        body: '7bit',
        envid: 'a+0D+0AX-Evil:+201',
        recipients: [{ to: { local: 'bob', domain: 'b.example' }, orcpt: 'rfc822;a+0D+0AX-Evil:+201' }],
      },
      recipients: [{ recipient: 0, action: 'failed', status: '4.4.7', why: evil, reply: evil, remote: evil }],
    },
    { local: 'alice', domain: 'a.example' },
  )
  const said = text(report)
  assert.ok(!/^X-Evil/m.test(said))
  assert.equal(said.match(/^--report-R1\r$/gm)?.length, 3)
  // What is given up has failed, whatever kept it waiting (RFC 3464 §2.3.4).
  assert.match(said, /^Status: 5\.4\.7\r$/m)
  assert.match(said, /^Original-Envelope-Id: a X-Evil: 1\r$/m)
})
