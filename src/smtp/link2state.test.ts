import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import { runs } from '../base/any-bytes.test.ts'
import { bytes, text } from '../base/bytes.ts'
import { ANSWER_LINE, QUERY_LINE, TWO_GROUPS } from '../routing/vectors.test.ts'
import { formatCommand, parseCommand } from './command.ts'
import { LINK2STATE_LINE } from './limits.ts'
import {
  CHUNK_RECEIVED,
  type Chunk,
  cutFrame,
  FrameGatherer,
  frameReply,
  type Gathered,
  MAX_CHUNKS,
  readFrameReply,
  readLength,
} from './link2state.ts'
import { formatReply } from './reply.ts'

/** The lines of a frame, as they stand on the wire. */
function lines(frame: string): readonly string[] {
  return (cutFrame(frame, 'command') ?? []).map(chunk =>
    text(formatCommand({ kind: 'x-link2state', ...chunk }) ?? bytes('?')),
  )
}

function heard(line: string): Chunk {
  const command = parseCommand(bytes(line))
  assert.equal(command.kind, 'x-link2state')
  return command.kind === 'x-link2state' ? command : { position: 'none', chunk: '' }
}

function gather(...heard: readonly Chunk[]): Gathered {
  const gatherer = new FrameGatherer()
  let last: Gathered = { kind: 'more' }
  for (const chunk of heard) last = gatherer.take(chunk)
  return last
}

const refusal = (gathered: Gathered): number => (gathered.kind === 'refused' ? gathered.code : 0)

test('a frame that fits is one line, its trailing spaces among its octets', () => {
  const query = QUERY_LINE.slice('X-LINK2STATE LAST CHUNK='.length)
  assert.deepEqual(lines(query), [`${QUERY_LINE}\r\n`])
  assert.deepEqual(gather(heard(QUERY_LINE)), { kind: 'frame', frame: query, trimmed: 0 })
  const answer = ANSWER_LINE.slice('200 LAST CHUNK='.length)
  assert.equal(text(formatReply(frameReply(answer) ?? CHUNK_RECEIVED)), `${ANSWER_LINE}\r\n`)
})

test('a longer one fills lines of 1,024 octets, and only its first piece begins with its length', () => {
  const frame = `{000006fa} MULTI (5) ({000000006de}${TWO_GROUPS.slice(10)})  `
  assert.equal(frame.length, 10 + 0x6fa)
  const cut = lines(frame)
  assert.deepEqual(
    cut.map(line => line.length),
    [1024, 825],
  )
  assert.ok(cut[0]?.startsWith('X-LINK2STATE FIRST CHUNK={000006fa} MULTI (5) ({000000006de} ORGINFO '))
  assert.ok(cut[1]?.startsWith('X-LINK2STATE LAST CHUNK=021 2 1 0 '))
  assert.deepEqual(gather(...cut.map(line => heard(line.slice(0, -2)))), { kind: 'frame', frame, trimmed: 0 })
})

test('an answer is cut the same way, into the lines of one reply', () => {
  const reply = frameReply(TWO_GROUPS) ?? CHUNK_RECEIVED
  const said = text(formatReply(reply)).split('\r\n')
  assert.ok(said[0]?.startsWith('200-FIRST CHUNK={000006de} ORGINFO '))
  assert.ok(said[1]?.startsWith('200 LAST CHUNK='))
  assert.equal(said[0]?.length, LINK2STATE_LINE - 2)
  assert.deepEqual(readFrameReply(reply), { kind: 'frame', frame: TWO_GROUPS, trimmed: 0 })
  assert.deepEqual(readFrameReply(CHUNK_RECEIVED), { kind: 'more' })
  assert.equal(refusal(readFrameReply({ code: 504, text: ['Need to authenticate first '] })), 501)
  assert.equal(refusal(readFrameReply({ code: 200, text: ['FIRST CHUNK={0000006d} MULTI'] })), 501)
  assert.equal(refusal(readFrameReply({ code: 200, text: ['LAST CHUNK={1} ', 'LAST CHUNK={1} '] })), 503)
  assert.equal(refusal(readFrameReply({ code: 200, text: ['LAST CHUNK={1} ', 'and so on'] })), 501)
})

test('what broke Exchange 2000 is refused (MS05-021), and so is every frame that does not add up', () => {
  assert.equal(refusal(gather(heard(`X-LINK2STATE CHUNK=${'A'.repeat(1000)}`))), 503)
  assert.equal(refusal(gather(heard('X-LINK2STATE NEXT CHUNK=x'))), 503)
  assert.equal(refusal(gather(heard('X-LINK2STATE LAST CHUNK={ffffffff} MULTI'))), 552)
  assert.equal(refusal(gather(heard(`X-LINK2STATE LAST CHUNK={0000006d}${'x'.repeat(100)}`))), 501)
  assert.equal(refusal(gather(heard('X-LINK2STATE LAST CHUNK={3}1234'))), 501)
  assert.equal(refusal(gather(heard('X-LINK2STATE FIRST CHUNK=000003}123'))), 501)
  assert.equal(refusal(gather(heard('X-LINK2STATE FIRST CHUNK={00000000000000003}123'))), 501)
  assert.equal(refusal(gather(heard('X-LINK2STATE FIRST CHUNK={3}1'), heard('X-LINK2STATE FIRST CHUNK={3}1'))), 503)
})

test('an unmarked piece after FIRST is taken as the next one', () => {
  const pieces = ['X-LINK2STATE FIRST CHUNK={3}1', 'X-LINK2STATE CHUNK=2', 'X-LINK2STATE LAST CHUNK=3']
  assert.deepEqual(gather(...pieces.map(heard)), { kind: 'frame', frame: '{3}123', trimmed: 0 })
})

test('blanks that were cut off the end are put back, and told of', () => {
  for (const trimmed of [1, 2]) {
    const line = QUERY_LINE.slice(0, -trimmed)
    assert.deepEqual(gather(heard(line)), { kind: 'frame', frame: QUERY_LINE.slice(24), trimmed })
  }
  assert.equal(refusal(gather(heard(QUERY_LINE.slice(0, -3)))), 501)
  // Short in the middle: the end is whole, so nobody can say what is missing.
  assert.equal(refusal(gather(heard(QUERY_LINE.replace('MULTI', 'MULT')))), 501)
})

test('an octet that would break the line is not sent', () => {
  for (const octet of ['\r', '\n', '\0', '\u0100']) assert.equal(cutFrame(`{3}1${octet}2`, 'command'), undefined)
})

test('pieces without octets fill nothing, and single octets end at a limit', () => {
  const gatherer = new FrameGatherer()
  assert.equal(gatherer.take({ position: 'first', chunk: '{00010000}' }).kind, 'more')
  for (let i = 0; i < 2 * MAX_CHUNKS; i++) assert.equal(gatherer.take({ position: 'next', chunk: '' }).kind, 'more')
  for (let i = 1; i < MAX_CHUNKS; i++) assert.equal(gatherer.take({ position: 'next', chunk: 'x' }).kind, 'more')
  assert.equal(refusal(gatherer.take({ position: 'next', chunk: 'x' })), 552)
  assert.ok(!gatherer.isOpen)
})

test('readLength() takes 1 to 16 digits in either case', () => {
  assert.deepEqual(readLength('{0000006D} x'), { digits: 10, length: 0x6d })
  assert.deepEqual(readLength('{00000000051}'), { digits: 13, length: 0x51 })
  for (const wrong of ['', '{', '{}', '{-1}', '{ 1}', '{1', '{g}', '{0x1}', '{ffffffffffffffff}']) {
    assert.equal(readLength(wrong), undefined, wrong)
  }
})

test('any frame comes out of its lines as it went in', () => {
  const anyBody = fc.string({ unit: fc.constantFrom(...' (){}09afXé'), maxLength: 40 })
  fc.assert(
    fc.property(anyBody, fc.nat(120), fc.constantFrom('command', 'reply'), (unit, times, on) => {
      const body = `${unit.repeat(times)}  `
      const frame = `{${body.length.toString(16).padStart(8, '0')}}${body}`
      const chunks = cutFrame(frame, on as 'command') ?? []
      assert.deepEqual(gather(...chunks), { kind: 'frame', frame, trimmed: 0 })
      assert.ok(chunks.every(({ chunk }) => chunk.length <= LINK2STATE_LINE - 18))
    }),
    runs(200),
  )
})

test('whatever comes, gathering answers and holds no more than was sent', () => {
  const anyChunk: fc.Arbitrary<Chunk> = fc.record({
    position: fc.constantFrom('first', 'next', 'last', 'none'),
    chunk: fc.oneof(fc.constantFrom('{5}', '{5}12', '345', '', '{', ') '), fc.string({ maxLength: 6 })),
  })
  fc.assert(
    fc.property(fc.array(anyChunk, { maxLength: 20 }), chunks => {
      const gatherer = new FrameGatherer(8)
      for (const chunk of chunks) {
        const gathered = gatherer.take(chunk)
        if (gathered.kind !== 'more') assert.ok(!gatherer.isOpen)
        if (gathered.kind === 'frame') {
          const head = readLength(gathered.frame)
          assert.equal(head && head.digits + head.length, gathered.frame.length)
          assert.ok(gathered.frame.length <= 8)
        }
      }
    }),
    runs(1000),
  )
})
