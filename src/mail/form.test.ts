import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import { anyCuts, anyOctets, cut, runs, singly } from '../base/any-bytes.test.ts'
import { bytes } from '../base/bytes.ts'
import { MessageForm, Octets } from './form.ts'

function formOf(pieces: readonly Uint8Array[]): MessageForm {
  const form = new MessageForm()
  for (const piece of pieces) form.push(piece)
  form.end()
  return form
}

function facts({ header, body, size, bodyType }: MessageForm): unknown {
  return { header: told(header), body: told(body), size, bodyType }
}

function told({ size, eightBit, bareCr, bareLf, nul, longestLine, isEnded }: Octets): unknown {
  return { size, eightBit, bareCr, bareLf, nul, longestLine, isEnded }
}

const long = 'x'.repeat(999)

for (const [message, expected] of [
  ['Subject: a\r\n\r\nHello\r\n', '7bit'],
  ['', '7bit'],
  ['\r\n', '7bit'],
  ['Subject: a\r\n\r\nna\xefve\r\n', '8bitmime'],
  ['Subject: na\xefve\r\n\r\nHello\r\n', '8bitmime'],
  ['Subject: a\r\n\r\na\rb\r\n', 'binarymime'],
  ['Subject: a\r\n\r\na\nb\r\n', 'binarymime'],
  ['Subject: a\r\n\r\na\r', 'binarymime'],
  ['Subject: a\r\n\r\na\0b\r\n', 'binarymime'],
  [`Subject: a\r\n\r\n${long.slice(1)}\r\n`, '7bit'],
  [`Subject: a\r\n\r\n${long}\r\n`, 'binarymime'],
  [`Subject: a\r\n\r\n${long}`, 'binarymime'],
  ['Subject: a\0\r\n\r\nHello\r\n', 'binarymime'],
  [`Subject: ${long}\r\n\r\nHello\r\n`, '7bit'],
] as const) {
  test(`MessageForm says ${expected} of ${JSON.stringify(message.replace(/x{99,}/, 'x…'))}`, () => {
    assert.equal(formOf([bytes(message)]).bodyType, expected)
  })
}

test('MessageForm keeps header and body apart', () => {
  const { header, body } = formOf([bytes('A: \xe4\r\nBc: d\r\n\r\n\0\r\nxyz')])
  assert.deepEqual(told(header), {
    size: 15,
    eightBit: true,
    bareCr: false,
    bareLf: false,
    nul: false,
    longestLine: 5,
    isEnded: true,
  })
  assert.deepEqual(told(body), {
    size: 6,
    eightBit: false,
    bareCr: false,
    bareLf: false,
    nul: true,
    longestLine: 3,
    isEnded: false,
  })
})

test('MessageForm is the same however the message is cut', () => {
  const anyMessage = anyOctets('\r', '\n', '\r\n', '\r\n\r\n', '\0', '\xe4', 'Subject: a', '\r\r\n', ' ')
  fc.assert(
    fc.property(anyMessage, anyCuts, (message, cuts) => {
      const whole = facts(formOf([message]))
      assert.deepEqual(facts(formOf(cut(message, cuts))), whole)
      assert.deepEqual(facts(formOf(singly(message))), whole)
    }),
    runs(300),
  )
})

test('Octets agrees with what a look at the whole says', () => {
  fc.assert(
    fc.property(anyOctets('\r', '\n', '\r\n', '\0', '\xe4', 'abc'), octets => {
      const seen = new Octets()
      seen.push(octets)
      seen.end()
      const text = Buffer.from(octets).toString('latin1')
      assert.equal(seen.bareCr, /\r(?!\n)/.test(text))
      assert.equal(seen.bareLf, /(?<!\r)\n/.test(text))
      assert.equal(seen.nul, text.includes('\0'))
      assert.equal(seen.eightBit, /[\x80-\xff]/.test(text))
      assert.equal(seen.longestLine, Math.max(...text.split('\r\n').map(line => line.length)))
      assert.equal(seen.isEnded, text === '' || text.endsWith('\r\n'))
    }),
    runs(300),
  )
})
