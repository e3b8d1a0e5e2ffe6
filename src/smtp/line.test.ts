import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import { anyCuts, anyOctets, cut, runs, singly } from '../base/any-bytes.test.ts'
import { bytes, show } from '../base/bytes.ts'
import { LineSplitter } from './line.ts'

const LIMIT = 12

function split(pieces: readonly Uint8Array[], limit = LIMIT): readonly string[] {
  const splitter = new LineSplitter()
  const lines: string[] = []
  for (const piece of pieces) {
    splitter.push(piece)
    for (let line = splitter.next(limit); line; line = splitter.next(limit)) {
      lines.push(line === 'overlong' ? line : `${show(line.bytes)} ${line.ending}`)
    }
  }
  return lines
}

test('a line is what stands before CRLF or LF; a lone CR is part of it', () => {
  assert.deepEqual(split([bytes('NOOP\r\nQUIT\n\r\n\na\rb\r\r\nrest')]), [
    'NOOP crlf',
    'QUIT lf',
    ' crlf',
    ' lf',
    'a\\rb\\r crlf',
  ])
})

test('a line of the limit is a line, one octet more is told once, and the next line is whole', () => {
  assert.deepEqual(split([bytes('1234567890\r\n12345678901\r\nok\r\n')]), ['1234567890 crlf', 'overlong', 'ok crlf'])
})

test('the lines are the same however the octets are cut', () => {
  const stream = anyOctets('\r\n', '\n', '\r', 'NOOP', 'a', 'overlong line')
  fc.assert(
    fc.property(stream, anyCuts, (octets, cuts) => {
      const whole = split([octets])
      assert.deepEqual(split(cut(octets, cuts)), whole)
      assert.deepEqual(split(singly(octets)), whole)
    }),
    runs(500),
  )
})

test('a line without end costs no more than its limit', () => {
  const splitter = new LineSplitter()
  let most = 0
  for (let i = 0; i < 1000; i++) {
    splitter.push(bytes('aaaaaaa'))
    assert.equal(splitter.next(LIMIT), undefined)
    most = Math.max(most, splitter.size)
  }
  assert.ok(most <= LIMIT, `${most} octets were held`)
  splitter.push(bytes('\r\nNOOP\r\n'))
  assert.equal(splitter.next(LIMIT), 'overlong')
  assert.deepEqual(splitter.next(LIMIT), { bytes: bytes('NOOP'), ending: 'crlf' })
})

test('take() hands out raw octets between lines, and clear() forgets all of them', () => {
  const splitter = new LineSplitter()
  splitter.push(bytes('BDAT 3\r\n\r\n.NOOP\r\n'))
  assert.deepEqual(splitter.next(100), { bytes: bytes('BDAT 3'), ending: 'crlf' })
  assert.deepEqual(splitter.take(3), bytes('\r\n.'))
  assert.deepEqual(splitter.next(100), { bytes: bytes('NOOP'), ending: 'crlf' })
  splitter.push(bytes('STARTTLS injected\r\n'))
  splitter.clear()
  assert.equal(splitter.size, 0)
  assert.equal(splitter.next(100), undefined)
})
