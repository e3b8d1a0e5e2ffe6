import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import { anyCuts, anyOctets, cut, runs } from '../base/any-bytes.test.ts'
import { bytes, text } from '../base/bytes.ts'
import { InlineFiles, type InlinePiece } from './inline-file.ts'

function read(pieces: readonly Uint8Array[]): readonly InlinePiece[] {
  const files = new InlineFiles()
  return [...pieces.flatMap(piece => files.push(piece)), ...files.end()]
}

/** As words, neighbours of one kind together. */
function told(pieces: readonly InlinePiece[]): readonly string[] {
  const words: string[] = []
  let last = ''
  for (const piece of pieces) {
    if (piece.kind === 'begin') words.push(`begin ${piece.type} ${piece.name}`)
    else if (piece.kind === 'end') words.push('end')
    else if (piece.kind === last) words.push(`${words.pop()}${text(piece.bytes)}`)
    else words.push(`${piece.kind} ${text(piece.bytes)}`)
    last = piece.kind
  }
  return words
}

test('a file in the text is told apart, with its name, from its first line to its last', () => {
  const mail = 'hello\r\nbegin 644 a b.exe\r\n#0V%T\r\n`\r\nend\r\nbye\r\n'
  assert.deepEqual(told(read([bytes(mail)])), [
    'text hello\r\n',
    'begin application/x-uuencode a b.exe',
    'file begin 644 a b.exe\r\n#0V%T\r\n`\r\nend\r\n',
    'end',
    'text bye\r\n',
  ])
  const binhex = '(This file must be converted with BinHex 4.0)\r\n\r\n:$f*\r\nabc:\r\nbye'
  assert.deepEqual(told(read([bytes(binhex)])), [
    'begin application/mac-binhex40 ',
    'file (This file must be converted with BinHex 4.0)\r\n\r\n:$f*\r\nabc:\r\n',
    'end',
    'text bye',
  ])
})

test('what only reads like it is text', () => {
  for (const line of [
    'begin with this',
    'beginning',
    'begin 999 x',
    'begin 644',
    ' begin 644 x',
    'end',
    '(This file',
  ]) {
    assert.deepEqual(told(read([bytes(`${line}\r\n`)])), [`text ${line}\r\n`])
  }
})

test('whatever is in a text, all of it comes out, in order, and the same however it was cut', () => {
  const words = [
    'begin 644 x.exe\r\n',
    'end\r\n',
    'M#0V\r\n',
    '(This file must be converted with BinHex 4.0)\r\n',
    ':a:\r\n',
    'be',
    '\r\n',
  ]
  fc.assert(
    fc.property(anyOctets(...words), anyCuts, (octets, cuts) => {
      const [whole, pieces] = [read([octets]), read(cut(octets, cuts))]
      assert.deepEqual(told(pieces), told(whole))
      assert.equal(pieces.map(piece => ('bytes' in piece ? text(piece.bytes) : '')).join(''), text(octets))
    }),
    runs(1500),
  )
})
