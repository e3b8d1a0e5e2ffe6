/** Parsers and writers: total, and each other's inverse. */
import assert from 'node:assert/strict'
import fc from 'fast-check'
import { anyCuts, anyOctets, cut } from '../../src/base/any-bytes.test.ts'
import { bytes, concat, fromBase64, strictUtf8, text, toBase64 } from '../../src/base/bytes.ts'
import { HeaderWatch } from '../../src/mail/trace.ts'
import { formatPath, parsePath } from '../../src/smtp/address.ts'
import { DotReader, DotWriter, StrayReader } from '../../src/smtp/body.ts'
import { readCapabilities } from '../../src/smtp/capabilities.ts'
import { formatCommand, parseCommand } from '../../src/smtp/command.ts'
import { LineSplitter } from '../../src/smtp/line.ts'
import { formatParams, fromXtext, parseParams, toXtext } from '../../src/smtp/params.ts'
import { formatReply, ReplyReader } from '../../src/smtp/reply.ts'
import { anyLine, anyReply, anyServerNoise } from './grammar.ts'
import type { Target } from './target.ts'

/** A command that is understood says the same again when it is written. */
export const COMMANDS: Target<string> = {
  name: 'commands',
  cases: anyLine,
  check(line) {
    const command = parseCommand(bytes(line))
    if (command.kind === 'garbled' || command.kind === 'unreadable') return
    // Octets that are not UTF-8 are shown one by one, and so they would be written as other ones.
    if (strictUtf8(bytes(line)) === undefined) return
    const written = formatCommand(command)
    assert.ok(written, 'what was one line is written as one')
    assert.doesNotMatch(text(written).slice(0, -2), /[\r\n\0]/)
    assert.deepEqual(parseCommand(written.subarray(0, -2)), command)
  },
}

export const PATHS: Target<string> = {
  name: 'paths',
  cases: fc.oneof(
    anyLine.map(line => line.slice(line.indexOf(':') + 1)),
    fc
      .string({
        unit: fc.constantFrom('<', '>', '"', '\\', '@', '.', 'a', ':', ',', '[', ']', ' ', 'é', '1', 'IPv6:'),
        maxLength: 40,
      })
      .map(inner => `<${inner}>`),
  ),
  check(written) {
    const read = parsePath(written)
    if ('wrong' in read) return
    const again = parsePath(formatPath(read.path))
    assert.ok(!('wrong' in again), JSON.stringify(again))
    assert.deepEqual(again.path, read.path)
    const params = parseParams(read.rest)
    if (!('wrong' in params)) assert.deepEqual(parseParams(formatParams(params)), params)
  },
}

export const REPLIES: Target<{ said: string; cuts: readonly number[] }> = {
  name: 'replies',
  cases: fc.record({
    said: fc.array(fc.oneof(anyReply, anyServerNoise), { maxLength: 6 }).map(each => each.join('')),
    cuts: anyCuts,
  }),
  check({ said, cuts }) {
    const read = (pieces: readonly Uint8Array[]): readonly unknown[] => {
      const splitter = new LineSplitter()
      const reader = new ReplyReader()
      const out: unknown[] = []
      for (const piece of pieces) {
        splitter.push(piece)
        for (let heard = reader.next(splitter); heard; heard = reader.next(splitter)) {
          if ('fault' in heard) return [...out, heard.fault]
          readCapabilities(heard.value)
          assert.doesNotMatch(text(formatReply(heard.value)), /\0|\r(?!\n)|(?<!\r)\n/)
          out.push(heard.value)
        }
      }
      return out
    }
    const octets = bytes(said)
    assert.deepEqual(read(cut(octets, cuts)), read([octets]))
  },
}

export const BODIES: Target<{ content: string; cuts: readonly number[] }> = {
  name: 'bodies',
  cases: fc.record({
    content: anyOctets('\r\n', '.', '\r', '\n', '\0', '..', 'a', '\r\n.\r\n', 'Received: x\r\n').map(each =>
      text(each),
    ),
    cuts: anyCuts,
  }),
  check({ content, cuts }) {
    const octets = bytes(content)
    const read = (pieces: readonly Uint8Array[]) => {
      const reader = new DotReader()
      const out: Uint8Array[] = []
      for (const [i, piece] of pieces.entries()) {
        const { content: more, rest } = reader.push(piece)
        out.push(...more)
        if (rest)
          return { content: text(concat(out)), stray: reader.stray, rest: text(concat([rest, ...pieces.slice(i + 1)])) }
      }
      return { content: text(concat(out)), stray: reader.stray, rest: undefined }
    }
    assert.deepEqual(read(cut(octets, cuts)), read([octets]), 'as it is cut')
    // There is one end, and it is where CRLF.CRLF first is.
    const end = `\r\n${content}`.indexOf('\r\n.\r\n')
    assert.equal(read([octets]).rest, end < 0 ? undefined : content.slice(end + 3))

    const watch = (pieces: readonly Uint8Array[]) => {
      const header = new HeaderWatch()
      for (const piece of pieces) header.push(piece, 1000)
      return { size: Math.min(header.size, 1001), hops: header.size > 1000 ? 0 : header.hops }
    }
    assert.deepEqual(watch(cut(octets, cuts)), watch([octets]))

    const strays = new StrayReader()
    const found = cut(octets, cuts).map(piece => strays.push(piece))
    const stray = found.find(each => each !== undefined) ?? strays.end()
    assert.equal(stray !== undefined, /\r(?!\n)|(?<!\r)\n|\0/.test(content))
    if (stray !== undefined) return
    const writer = new DotWriter()
    const wire = concat([...cut(octets, cuts).flatMap(piece => writer.push(piece)), writer.end()])
    const whole = content === '' || content.endsWith('\r\n') ? content : `${content}\r\n`
    assert.deepEqual(read([wire]), { content: whole, stray: undefined, rest: '' })
  },
}

export const ENCODINGS: Target<string> = {
  name: 'encodings',
  cases: fc.oneof(
    fc.string({ unit: 'binary', maxLength: 60 }),
    fc.uint8Array({ maxLength: 60 }).map(each => String.fromCharCode(...each)),
  ),
  check(written) {
    const octets = written.replace(/[^\0-\xff]/g, '?')
    assert.equal(text(fromBase64(toBase64(bytes(octets))) ?? bytes('wrong')), octets)
    const read = fromBase64(written)
    if (read) assert.equal(toBase64(read).replace(/=+$/, '').slice(0, -1), written.replace(/=+$/, '').slice(0, -1))
    if (/^[\0-\xff]*$/.test(written)) assert.equal(fromXtext(toXtext(written)), written)
    fromXtext(written)
  },
}
