import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import { anyCuts, anyOctets, cut, runs, singly } from '../base/any-bytes.test.ts'
import { bytes, concat, text } from '../base/bytes.ts'
import { MIME_PARTS, type MimePiece, MimeReader } from './mime.ts'
import { LINE_START, MIME_DEPTH, MIME_FIELD } from './part.ts'

function read(chunks: Iterable<Uint8Array>): { pieces: readonly MimePiece[]; ambiguous: string | undefined } {
  const reader = new MimeReader()
  const pieces: MimePiece[] = []
  for (const chunk of chunks) pieces.push(...reader.push(chunk))
  pieces.push(...reader.end())
  return { pieces, ambiguous: reader.ambiguous }
}

/** Every header and body of the message in a line, octets that stand together joined. */
function outline(message: string): readonly string[] {
  const lines: string[] = []
  let content = ''
  for (const piece of read([bytes(message)]).pieces) {
    if (piece.kind === 'header-end') lines.push(`${piece.part.index} ${piece.part.type}`)
    if (piece.kind === 'body') content += text(piece.bytes)
    if (piece.kind === 'body-end') {
      const { body, fixed } = piece
      lines.push(`${body.part.index} ${body.role} ${JSON.stringify(content)}${fixed === undefined ? '' : `: ${fixed}`}`)
      content = ''
    }
  }
  return lines
}

const MULTIPART = 'Content-Type: multipart/mixed; boundary=b\r\n\r\n'

test('a message without fields of MIME is one text', () => {
  assert.deepEqual(outline('Subject: a\r\n\r\nHello\r\n'), ['0 text/plain', '0 content "Hello\\r\\n"'])
  assert.deepEqual(outline('\r\nHello'), ['0 text/plain', '0 content "Hello"'])
  assert.deepEqual(outline('Subject: a\r\n'), [])
  assert.deepEqual(outline(''), [])
})

test('the CRLF before a delimiter is not content', () => {
  assert.deepEqual(
    outline(`${MULTIPART}pre\r\n--b\r\n\r\none\r\n\r\n--b \t\r\nA: b\r\n\r\n--b\r\n\r\n\r\n--b--\r\nepi\r\n`),
    [
      '0 multipart/mixed',
      '0 preamble "pre"',
      '1 text/plain',
      '1 content "one\\r\\n"',
      '2 text/plain',
      '2 content ""',
      '3 text/plain',
      '3 content ""',
      '0 epilogue "epi\\r\\n"',
    ],
  )
})

test('a delimiter ends whatever was not closed inside', () => {
  const inner = 'Content-Type: multipart/mixed; boundary=in\r\n\r\n--in\r\n\r\na'
  assert.deepEqual(outline(`${MULTIPART}--b\r\n${inner}\r\n--b\r\n\r\nc\r\n--b--`), [
    '0 multipart/mixed',
    '0 preamble ""',
    '1 multipart/mixed',
    '1 preamble ""',
    '2 text/plain',
    '2 content "a"',
    '3 text/plain',
    '3 content "c"',
    '0 epilogue ""',
  ])
})

test('a message in a message is read on, in a digest without being told', () => {
  const digest = 'Content-Type: multipart/digest; boundary=b\r\n\r\n--b\r\n\r\nSubject: in\r\n\r\nHello\r\n--b--\r\n'
  assert.deepEqual(outline(`Content-Type: message/rfc822\r\n\r\n${digest}`), [
    '0 message/rfc822',
    '1 multipart/digest',
    '1 preamble ""',
    '2 message/rfc822',
    '3 text/plain',
    '3 content "Hello"',
    '1 epilogue ""',
  ])
})

for (const [what, header, reason] of [
  ['a signature', 'Content-Type: multipart/signed; boundary=b', 'a signature covers it'],
  ['encryption', 'Content-Type: multipart/encrypted; boundary=b', 'it is encrypted'],
  ['a fragment', 'Content-Type: message/partial; id=1', 'it is a fragment of another message'],
  ['a delivery status', 'Content-Type: message/delivery-status', 'its type may not be encoded'],
  ['no boundary', 'Content-Type: multipart/mixed', 'its boundary cannot be read'],
  ['a boundary that ends in a space', 'Content-Type: multipart/mixed; boundary="b "', 'its boundary cannot be read'],
  ['a boundary too long', `Content-Type: multipart/mixed; boundary=${'b'.repeat(201)}`, 'its boundary cannot be read'],
  ['two types', 'Content-Type: text/plain\r\nContent-Type: text/html', 'it has more than one content-type field'],
  ['no type', 'Content-Type: text', 'its Content-Type cannot be read'],
  ['base64', 'Content-Transfer-Encoding: BASE64', 'it is base64 already'],
  ['uuencode', 'Content-Transfer-Encoding: x-uuencode', 'its Content-Transfer-Encoding is not known'],
  ['two words', 'Content-Transfer-Encoding: 8bit 7bit', 'its Content-Transfer-Encoding cannot be read'],
  ['an encoded multipart', `Content-Transfer-Encoding: base64\r\n${MULTIPART.trimEnd()}`, 'it is base64 already'],
  ['a line that is no field', 'From alice Mon', 'its header has a line that is no field'],
  ['a space before the colon', 'Content-Type : text/plain', 'its header has a line that is no field'],
  [
    'a long field',
    `Content-Type: text/plain;${'\r\n x=y;'.repeat(MIME_FIELD / 5)}`,
    `its content-type field is longer than ${MIME_FIELD} octets`,
  ],
] as const) {
  test(`with ${what}, a part is left alone`, () => {
    assert.equal(outline(`${header}\r\n\r\n--b\r\n\r\nx\r\n--b--\r\n`).at(-1)?.split('": ')[1], reason)
  })
}

test('a multipart in which no part begins is left alone', () => {
  assert.deepEqual(outline(`${MULTIPART}Hello\r\n--c\r\n`), [
    '0 multipart/mixed',
    '0 preamble "Hello\\r\\n--c\\r\\n": none of its parts ever begins',
  ])
})

test('a boundary may begin as another does: the whole line decides', () => {
  const inner = 'Content-Type: multipart/mixed; boundary=b1\r\n\r\n--b1\r\n\r\na\r\n--b1--\r\n'
  const message = `${MULTIPART}--b\r\n${inner}--b--\r\n`
  assert.equal(read([bytes(message)]).ambiguous, undefined)
  assert.equal(outline(message)[5], '2 content "a"')
})

for (const [what, line] of [
  ['more behind the boundary', '\r\n--bx\r\n'],
  ['one hyphen behind it', '\r\n--b-\r\n'],
  ['an LF before it', '\n--b\r\n'],
  ['a CR before it', '\r--b\r\n'],
  ['an LF after it', '\r\n--b\n'],
  ['a CR after it', '\r\n--b\rx'],
  ['more space than anybody means', `\r\n--b${' '.repeat(LINE_START)}\r\n`],
  ['the end already over', '\r\n--b--\r\n--b\r\n'],
] as const) {
  test(`a delimiter with ${what} is none, and readers may not agree`, () => {
    assert.equal(
      read([bytes(`${MULTIPART}--b\r\n\r\na${line}c\r\n`)]).ambiguous,
      'a line begins as a delimiter of its parts does, and is none',
    )
  })
}

test('the end of one multipart may be the delimiter of another: readers may not agree', () => {
  const inner = 'Content-Type: multipart/mixed; boundary="b--"\r\n\r\n--b--\r\n\r\na\r\n'
  assert.match(read([bytes(`${MULTIPART}--b\r\n${inner}`)]).ambiguous ?? '', /^a line begins as a delimiter/)
})

test('the same boundary inside itself is left alone', () => {
  const lines = outline(`${MULTIPART}--b\r\n${MULTIPART}--b\r\n\r\na\r\n--b--\r\n`)
  assert.equal(lines[3], '1 content "": its boundary is that of a part around it, too')
})

test('depth and number of parts have limits', () => {
  const deep = Array.from({ length: MIME_DEPTH + 1 }, (_, at) => {
    const boundary = `${at}.`
    return `Content-Type: multipart/mixed; boundary="${boundary}"\r\n\r\n--${boundary}\r\n`
  }).join('')
  assert.match(outline(`${deep}\r\nx`).at(-1) ?? '', /: it is nested deeper than 100$/)
  const letters = 'Content-Type: message/rfc822\r\n\r\n'.repeat(5000)
  assert.match(outline(`${letters}\r\nx`).at(-1) ?? '', /: it is nested deeper than 100$/)
  const many = outline(MULTIPART + '--b\r\n\r\nx\r\n'.repeat(5000))
  assert.match(many.at(-1) ?? '', new RegExp(`: the message has more than ${MIME_PARTS} parts$`))
  assert.equal(many.filter(line => / content .*parts$/.test(line)).length, 5001 - MIME_PARTS)
})

const anyMessage = anyOctets(
  '\r',
  '\n',
  '\r\n',
  '\r\n\r\n',
  'Content-Type: multipart/mixed; boundary=b\r\n',
  'Content-Type: multipart/mixed; boundary=b-\r\n',
  'Content-Type: message/rfc822\r\n\r\n',
  'Content-Transfer-Encoding: 8bit\r\n',
  '--b',
  '--b-',
  '\r\n--b\r\n',
  '\r\n--b--\r\n',
  '\r\n--b---\r\n',
  ' ',
  'x',
)

function told(chunks: Iterable<Uint8Array>): unknown {
  const { pieces, ambiguous } = read(chunks)
  const joined: [kind: string, octets: string, more: unknown][] = []
  for (const piece of pieces) {
    const octets = 'bytes' in piece ? text(piece.bytes) : ''
    const { bytes: _, ...more } = { bytes: undefined, ...piece }
    const last = joined.at(-1)
    if (last && last[0] === piece.kind && octets !== '') last[1] += octets
    else joined.push([piece.kind, octets, more])
  }
  return { joined, ambiguous }
}

test('MimeReader loses no octet, and tells the same however the message is cut', () => {
  fc.assert(
    fc.property(anyMessage, anyCuts, (message, cuts) => {
      const { pieces } = read([message])
      assert.equal(text(concat(pieces.flatMap(piece => ('bytes' in piece ? [piece.bytes] : [])))), text(message))
      const whole = told([message])
      assert.deepEqual(told(cut(message, cuts)), whole)
      assert.deepEqual(told(singly(message)), whole)
    }),
    runs(500),
  )
})

test('MimeReader holds back the beginning of a line and no more', () => {
  for (const start of ['', 'Subject: ', `Content-Type: `, '\r\n', `${MULTIPART}--b\r\n\r\n`, `${MULTIPART}--b`]) {
    for (const filler of ['x', '\r', '\n', '-', ' ', '\r\n', '\0']) {
      const reader = new MimeReader()
      let held = 0
      const count = (pieces: readonly MimePiece[]): void => {
        for (const piece of pieces) if ('bytes' in piece) held -= piece.bytes.length
      }
      for (const chunk of [start, ...Array(50).fill(filler.repeat(100))].map(bytes)) {
        held += chunk.length
        count(reader.push(chunk))
        assert.ok(held <= LINE_START + 2, `${held} octets held after ${JSON.stringify(start + filler)}`)
      }
      count(reader.end())
      assert.equal(held, 0)
    }
  }
})
