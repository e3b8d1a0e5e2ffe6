import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import { anyCuts, cut, runs, singly } from '../base/any-bytes.test.ts'
import { bytes, concat, utf8 } from '../base/bytes.ts'
import { originalArrivalTime } from './date.ts'
import { type Arrival, HeaderWatch, traceFields, withoutTrace } from './trace.ts'

/** 2002-03-14T15:31:58.324Z */
const KB320636 = 1_016_119_918_324
const ENOUGH = 100_000

const ARRIVAL: Arrival = {
  host: 'mail-b.b.example',
  id: 'M1',
  facts: { hello: 'mail-a.a.example', peer: '10.53.7.203', protocol: 'ESMTP', login: undefined, tls: undefined },
  isExchange: true,
  version: '5.0.2195.2966',
}

function watch(...pieces: readonly Uint8Array[]) {
  const header = new HeaderWatch()
  for (const piece of pieces) header.push(piece, ENOUGH)
  return { hops: header.hops, size: header.size }
}

test('the FILETIME of an instant counts from 1601, the low half first', () => {
  assert.equal(new Date(KB320636).toISOString(), '2002-03-14T15:31:58.324Z')
  assert.match(originalArrivalTime(KB320636), /^14 Mar 2002 15:31:58\.0324 \(UTC\) FILETIME=\[610D9B40:01C1CB6D\]$/)
  // Each half is eight digits, its zeros kept.
  assert.match(originalArrivalTime(0), /\[D53E8000:019DB1DE\]$/)
})

test('Exchange writes its Received field, folded, and the time of arrival under it', () => {
  assert.equal(
    traceFields(ARRIVAL, KB320636),
    'Received: from mail-a.a.example ([10.53.7.203]) by mail-b.b.example with Microsoft SMTPSVC(5.0.2195.2966);\r\n' +
      '\t Thu, 14 Mar 2002 15:31:58 +0000\r\n' +
      'X-OriginalArrivalTime: 14 Mar 2002 15:31:58.0324 (UTC) FILETIME=[610D9B40:01C1CB6D]\r\n',
  )
})

test('the fields of either dialect are one hop, and nothing but trace', () => {
  const sent = bytes('Subject: a\r\n\r\nb\r\n')
  for (const [isExchange, fields] of [
    [true, 2],
    [false, 1],
  ] as const) {
    const arrived = concat([bytes(traceFields({ ...ARRIVAL, isExchange }, KB320636)), sent])
    assert.equal(watch(arrived).hops, 1)
    const found = withoutTrace(arrived, sent)
    assert.ok('gained' in found, JSON.stringify(found))
    assert.equal(found.gained.length, fields)
  }
})

test('withoutTrace() names the fields a message gained, each with its folded lines', () => {
  const sent = bytes('Subject: a\r\n\r\nb\r\n')
  const under = (above: string) => withoutTrace(concat([bytes(above), sent]), sent)
  assert.deepEqual(under(''), { gained: [] })
  assert.deepEqual(under('Return-Path: <>\r\nReceived: x\r\n\tby y\r\n'), {
    gained: ['Return-Path: <>', 'Received: x\r\n\tby y'],
  })
  assert.deepEqual(under('received: x\r\n'), { gained: ['received: x'] })
  assert.deepEqual(under('Received: x\r\nX-Virus: none\r\n'), { differsAt: 0 })
})

test('withoutTrace() finds the first octet that is not what was sent', () => {
  const sent = bytes('Subject: a\r\n\r\nbody\r\n')
  for (const at of [0, 5, sent.length - 1]) {
    const altered = sent.slice()
    altered[at] = 0x2a
    assert.deepEqual(withoutTrace(concat([bytes('Received: x\r\n'), altered]), sent), { differsAt: at })
  }
  assert.deepEqual(withoutTrace(sent.slice(1), sent), { differsAt: 0 })
})

const HEADER =
  'Received: from c\r\n\tby b; 2\r\n' +
  'RECEIVED: from b\r\n' +
  'X-Received: not this\r\n' +
  'Subject: Received: nor this\r\n' +
  ' Received: nor this, which is folded\r\n' +
  `X-Long: ${'Received:'.repeat(30)}\r\n` +
  `Received: ${'x'.repeat(200)}\r\n`
const MESSAGE = bytes(`${HEADER}\r\nReceived: in the body\r\n`)
const COUNTED = { hops: 3, size: HEADER.length }

test('HeaderWatch counts the hops of the header and its octets, and nothing of the body', () => {
  assert.deepEqual(watch(MESSAGE), COUNTED)
  assert.deepEqual(watch(bytes('\r\nReceived: in the body\r\n')), { hops: 0, size: 0 })
})

test('HeaderWatch counts the same cut in two at any octet, or into single octets', () => {
  for (let at = 1; at < MESSAGE.length; at++) {
    assert.deepEqual(watch(MESSAGE.slice(0, at), MESSAGE.slice(at)), COUNTED, `cut at ${at}`)
  }
  assert.deepEqual(watch(...singly(MESSAGE)), COUNTED)
})

test('HeaderWatch counts the same at any cuts', () => {
  fc.assert(
    fc.property(anyCuts, cuts => {
      assert.deepEqual(watch(...cut(MESSAGE, cuts)), COUNTED)
    }),
    runs(200),
  )
})

test('HeaderWatch stops at a header that is too long, however it is cut', () => {
  const many = bytes('Received: x\r\n'.repeat(100))
  for (const pieces of [[many], singly(many)]) {
    const header = new HeaderWatch()
    for (const piece of pieces) header.push(piece, 130)
    assert.ok(header.size > 130)
    assert.ok(header.hops <= 11, `${header.hops} hops were counted`)
  }
})

test('the Message-ID is seen as the header passes: folded or not, in any pieces, the first one, and none in the body', () => {
  const seen = (message: string, size: number) => {
    const watch = new HeaderWatch()
    for (let i = 0; i < message.length; i += size) watch.push(utf8(message.slice(i, i + size)), 10_000)
    return watch.messageId
  }
  for (const size of [1, 7, 1_000]) {
    assert.equal(
      seen('Subject: x\r\nMessage-ID: <a.b@c.example>\r\nMessage-ID: <second>\r\n\r\n', size),
      'a.b@c.example',
    )
    assert.equal(seen('message-id:\r\n <long@c.example>\r\n\r\n', size), 'long@c.example')
    assert.equal(seen('Message-ID: none\r\nReferences: <other>\r\n\r\nMessage-ID: <body>\r\n', size), undefined)
  }
})

test('an IPv6 client stands in Received: as an address literal (RFC 5321 §4.1.3)', () => {
  const facts = { ...ARRIVAL.facts, peer: '2001:db8::7' }
  const fields = traceFields({ ...ARRIVAL, isExchange: false, facts }, KB320636)
  assert.match(fields, /^Received: from mail-a\.a\.example \(\[IPv6:2001:db8::7\]\)\r\n/)
})
