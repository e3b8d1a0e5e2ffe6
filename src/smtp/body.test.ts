import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import { anyCuts, anyOctets, cut, runs, singly } from '../base/any-bytes.test.ts'
import { bytes, concat, show, text } from '../base/bytes.ts'
import { ChunkReader, DotReader, DotWriter, type Stray, StrayReader } from './body.ts'

interface ReadMessage {
  readonly content: string
  /** What follows the end; `undefined` where it did not come. */
  readonly rest: string | undefined
  readonly stray: Stray | undefined
}

function read(pieces: readonly Uint8Array[]): ReadMessage {
  const reader = new DotReader()
  let content = ''
  for (const [i, piece] of pieces.entries()) {
    const { content: some, rest } = reader.push(piece)
    content += show(concat(some))
    if (rest) return { content, rest: show(concat([rest, ...pieces.slice(i + 1)])), stray: reader.stray }
  }
  return { content, rest: undefined, stray: reader.stray }
}

function write(pieces: readonly Uint8Array[]): Uint8Array {
  const writer = new DotWriter()
  return concat([...pieces.flatMap(piece => writer.push(piece)), writer.end()])
}

const anyBody = anyOctets('\r\n', '\r', '\n', '.', '..', '\r\n.', '\r\n.\r\n', 'a', 'text', '\0')
/** Lines with CRLF, as a message is kept. */
const anyContent = fc
  .array(fc.constantFrom('', '.', '..', '.a', 'a.', '...\t', 'text', ' '))
  .map(lines => bytes(lines.map(line => `${line}\r\n`).join('')))

test('DotReader gives back what DotWriter was given, wherever both are cut', () => {
  fc.assert(
    fc.property(anyContent, anyCuts, anyCuts, (content, writeCuts, readCuts) => {
      const written = write(cut(content, writeCuts))
      assert.deepEqual(written, write([content]))
      const sent = concat([written, bytes('QUIT\r\n')])
      const expected = { content: show(content), rest: 'QUIT\\r\\n', stray: undefined }
      assert.deepEqual(read(cut(sent, readCuts)), expected)
      assert.deepEqual(read(singly(sent)), expected)
    }),
    runs(500),
  )
})

test('DotReader finds the same content, end and strays however the octets are cut', () => {
  fc.assert(
    fc.property(anyBody, anyCuts, (octets, cuts) => {
      const whole = read([octets])
      assert.deepEqual(read(cut(octets, cuts)), whole)
      assert.deepEqual(read(singly(octets)), whole)
    }),
    runs(1000),
  )
})

test('DotReader takes the first CRLF.CRLF for the end and nothing else, and the first dot of a line from the content', () => {
  fc.assert(
    fc.property(anyBody, octets => {
      // A message begins at the start of a line, so its end may be its beginning.
      const end = `\r\n${text(octets)}`.indexOf('\r\n.\r\n')
      const { rest, content } = read([octets])
      if (end >= 0)
        assert.equal(
          content,
          show(
            bytes(
              `\r\n${text(octets)}`
                .slice(0, end + 2)
                .replaceAll('\r\n.', '\r\n')
                .slice(2),
            ),
          ),
        )
      assert.equal(rest, end < 0 ? undefined : show(octets.subarray(end + 3)))
    }),
    runs(1000),
  )
})

const SMUGGLED = 'MAIL FROM:<smuggled@b.example>\r\n'
const FALSE_ENDS: Readonly<Record<string, Stray>> = {
  '\n.\n': 'bare LF',
  '\n.\r': 'bare LF',
  '\r.\r': 'bare CR',
  '\n.\r\n': 'bare LF',
  '\r\n.\n': 'bare LF',
  '\r\n.\r': 'bare CR',
  '\r.\n': 'bare CR',
  '\r.\r\n': 'bare CR',
  '\r\n.\0\r\n': 'NUL',
  '\r\n.\r\r\n': 'bare CR',
  '\n.\r\r\n': 'bare LF',
  '\r\n.\r\0\n': 'bare CR',
}

for (const [end, stray] of Object.entries(FALSE_ENDS)) {
  test(`DotReader reads on behind ${show(bytes(end))}, and tells the ${stray}`, () => {
    const sent = bytes(`body${end}${SMUGGLED}\r\n.\r\nQUIT\r\n`)
    for (const pieces of [[sent], singly(sent)]) {
      const found = read(pieces)
      assert.ok(found.content.includes('smuggled'), found.content)
      assert.equal(found.rest, 'QUIT\\r\\n')
      assert.equal(found.stray, stray)
    }
  })
}

test('DotReader takes CR CR LF . CR LF for the end it holds, and tells the CR before it', () => {
  assert.deepEqual(read([bytes('a\r\r\n.\r\nb')]), { content: 'a\\r\\r\\n', rest: 'b', stray: 'bare CR' })
})

test('DotReader takes one dot off each line that begins with one', () => {
  assert.deepEqual(read([bytes('..\r\n...\r\n.a\r\n.\r\n')]), {
    content: '.\\r\\n..\\r\\na\\r\\n',
    rest: '',
    stray: undefined,
  })
  assert.deepEqual(read([bytes('.\r\n')]), { content: '', rest: '', stray: undefined })
})

test('DotWriter ends a message that has no line end with one, and leaves dots alone within a line', () => {
  assert.equal(text(write([bytes('.a.b\r\n.')])), '..a.b\r\n..\r\n.\r\n')
  assert.equal(text(write([])), '.\r\n')
})

test('DotWriter doubles a dot behind a lone LF, for a server that takes LF for a line end', () => {
  assert.equal(text(write([bytes('a\n'), bytes('.\r\nMAIL\r\n')])), 'a\n..\r\nMAIL\r\n.\r\n')
})

test('ChunkReader counts octets off, whatever they look like', () => {
  const reader = new ChunkReader(5)
  assert.deepEqual(reader.push(bytes('\r\n.')), { content: bytes('\r\n.') })
  assert.equal(reader.left, 2)
  assert.deepEqual(reader.push(bytes('\r\nQUIT')), { content: bytes('\r\n'), rest: bytes('QUIT') })
})

test('StrayReader tells the first stray octet as DotReader does, wherever the chunks end', () => {
  fc.assert(
    fc.property(anyOctets('\r\n', '\r', '\n', 'a', '\0'), anyCuts, (octets, cuts) => {
      const reader = new StrayReader()
      let found: Stray | undefined
      for (const chunk of cut(octets, cuts)) found ??= reader.push(chunk)
      found ??= reader.end()
      // The first of: a NUL, a CR that no LF follows, an LF that no CR precedes.
      const [first] = /\0|\r(?!\n)|(?<!\r)\n/.exec(text(octets)) ?? []
      assert.equal(found, first && { '\0': 'NUL', '\r': 'bare CR', '\n': 'bare LF' }[first])
    }),
    runs(1000),
  )
})
