import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import { anyCuts, cut, runs } from '../base/any-bytes.test.ts'
import { bytes } from '../base/bytes.ts'
import { type LongLine, LongLines } from './proxy-lines.ts'
import { Lenient, strictly, Through, type Took } from './through.test.ts'

test('of any octets in any cuts, exactly the lines that are too long are told, and which of them end in a dot', () => {
  const line = fc.oneof(
    fc.stringMatching(/^[.x \t]{0,12}$/),
    fc.nat(30).map(length => 'x'.repeat(length)),
  )
  fc.assert(
    fc.property(
      fc.array(line, { maxLength: 8 }),
      line,
      fc.integer({ min: 1, max: 12 }),
      anyCuts,
      (whole, last, over, cuts) => {
        const lines = new LongLines(over)
        const found: LongLine[] = []
        for (const piece of cut(bytes(`${whole.map(each => `${each}\r\n`).join('')}${last}`), cuts)) {
          found.push(...lines.push(piece).filter(({ isWhole }) => isWhole))
        }
        const end = lines.end()
        const expected = [...whole, last]
          .filter(({ length }) => length > over)
          .map(each => ({ length: each.length, isWhole: true, endsInDot: /\.[ \t]*$/.test(each) }))
        assert.deepEqual(end ? [...found, end] : found, expected)
      },
    ),
    runs(2000),
  )
})

/** A server that reads lines as `fgets` does, in pieces, and takes each piece for a line. */
class InPieces extends Lenient {
  readonly #size: number
  #held = ''

  constructor(took: Took[], size: number) {
    super(took)
    this.#size = size
  }

  override receive(octets: Uint8Array): string {
    this.#held += Buffer.from(octets).toString('latin1')
    let out = ''
    for (;;) {
      const lf = this.#held.indexOf('\n') + 1
      const end = lf > 0 && lf <= this.#size ? lf : this.#held.length >= this.#size ? this.#size : 0
      if (end === 0) return out
      const piece = this.#held.slice(0, end)
      this.#held = this.#held.slice(end)
      out += super.receive(bytes(piece.endsWith('\n') ? piece : `${piece}\r\n`))
    }
  }
}

const HIDDEN = 'MAIL FROM:<evil@x.example>\r\nRCPT TO:<b@y.example>\r\nDATA\r\nS: forged\r\n\r\n'

function sent(text: string, { dottedLine = 998, pieces = 1023 } = {}) {
  const took: Took[] = []
  const through = new Through(() => new InPieces(took, pieces), strictly({ dottedLine }))
  through.talk('EHLO c.example', 'MAIL FROM:<a@x.example>', 'RCPT TO:<b@y.example>', 'DATA')
  const reply = through.say(text)
  return { reply, took, told: through.explanations.at(-1) }
}

test('no piece of a long line becomes the end of the message at a server that reads in pieces', () => {
  for (const pieces of [998, 1000, 1023, 1024, 2047, 4095]) {
    for (const before of ['S: x\r\n\r\n', 'S: ']) {
      const fill = 'x'.repeat(pieces - (before.endsWith('\n') ? 0 : before.length))
      const message = `${before}${fill}.\r\n${HIDDEN}${'x'.repeat(pieces)}.\r\n.\r\n`
      const open = sent(message, { dottedLine: 0, pieces })
      assert.ok(
        open.took.some(({ from }) => from === 'evil@x.example'),
        `${pieces}: the attack is one`,
      )
      const { reply, took, told } = sent(message, { pieces })
      assert.deepEqual(took, [])
      assert.match(reply, /^554 5\.6\.0 A line of this message is too long to end in a dot\r\n/)
      assert.equal(told?.subject, 'dotted-line')
      assert.equal(told.size, pieces + 1)
    }
  }
})

test('a dot hides behind no blanks, no octet that is left out, and no end of the last chunk', () => {
  const long = 'x'.repeat(1023)
  assert.match(sent(`S: x\r\n\r\n${long}. \t\r\n.\r\n`).reply, /^554 5\.6\.0 /)
  const took: Took[] = []
  const mended = new Through(() => new Lenient(took), strictly({ strays: 'nothing' }))
  mended.talk('EHLO c.example', 'MAIL FROM:<a@x.example>', 'RCPT TO:<b@y.example>', 'DATA')
  assert.match(mended.say(`S: x\r\n\r\n${'x'.repeat(600)}\n${'x'.repeat(423)}.\r\n.\r\n`), /^554 5\.6\.0 /)
  mended.talk('MAIL FROM:<a@x.example>', 'RCPT TO:<b@y.example>')
  assert.match(mended.say(`BDAT 1032 LAST\r\nS: x\r\n\r\n${long}.`), /^554 5\.6\.0 /)
  assert.deepEqual(took, [])
})

test('long lines that end otherwise pass, and so does a dot at the end of a line that every server must take', () => {
  const text = `S: x\r\n\r\n<p>${'x. '.repeat(2000)}</p>\r\n${'x'.repeat(997)}.\r\n`
  const took: Took[] = []
  const through = new Through(() => new Lenient(took))
  through.talk('EHLO c.example', 'MAIL FROM:<a@x.example>', 'RCPT TO:<b@y.example>', 'DATA')
  assert.match(through.say(`${text}.\r\n`), /^250 /)
  assert.equal(took[0]?.message, text)
})

test('where a header line is folded, what goes on is judged', () => {
  const took: Took[] = []
  const through = new Through(() => new Lenient(took), strictly({ headerLine: 998, bodyLine: 998 }))
  through.talk('EHLO c.example', 'MAIL FROM:<a@x.example>', 'RCPT TO:<b@y.example>', 'DATA')
  assert.match(through.say(`Subject:${' word'.repeat(300)}.\r\n\r\nx\r\n.\r\n`), /^250 /)
  through.talk('MAIL FROM:<a@x.example>', 'RCPT TO:<b@y.example>', 'DATA')
  assert.match(
    through.say(`S: x\r\n\r\n${'x'.repeat(999)}\r\n.\r\n`),
    /^554 5\.6\.0 A line of this message is too long\r\n/,
  )
})
