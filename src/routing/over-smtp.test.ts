import assert from 'node:assert/strict'
import { test } from 'node:test'
import { bytes, concat, text } from '../base/bytes.ts'
import { formatCommand, parseCommand } from '../smtp/command.ts'
import { LineSplitter } from '../smtp/line.ts'
import {
  CHUNK_RECEIVED,
  type Chunk,
  cutFrame,
  FrameGatherer,
  frameReply,
  MAX_CHUNKS,
  MAX_FRAME,
  readFrameReply,
} from '../smtp/link2state.ts'
import { formatReply, ReplyReader } from '../smtp/reply.ts'
import { connectorState, groupState, guid } from './any-table.test.ts'
import { Exchange, type ExchangeOutput } from './exchange.ts'
import { groupOf } from './link-state.ts'
import { masterOf } from './network.test.ts'

const saidIn = (outputs: readonly ExchangeOutput[]) => outputs.find(output => output.kind === 'say')?.frame

/** One frame sent and answered, octet for octet as it crosses the wire; the lines of both. */
function cross(
  frame: string,
  server: Exchange,
): { readonly answer: string | undefined; readonly wire: readonly string[] } {
  const gatherer = new FrameGatherer()
  const wire: string[] = []
  let answer: string | undefined
  for (const chunk of cutFrame(frame, 'command') ?? []) {
    const line = formatCommand({ kind: 'x-link2state', ...chunk }) ?? bytes('?')
    wire.push(text(line))
    const heard = parseCommand(line.subarray(0, -2))
    assert.equal(heard.kind, 'x-link2state')
    const gathered = gatherer.take(heard as Chunk)
    const said = gathered.kind === 'frame' ? saidIn(server.hear(gathered.frame)) : undefined
    const reply = formatReply((said === undefined ? undefined : frameReply(said)) ?? CHUNK_RECEIVED)
    wire.push(text(reply))
    const splitter = new LineSplitter()
    splitter.push(reply)
    const read = new ReplyReader().next(splitter, { lines: MAX_CHUNKS, octets: 2 * MAX_FRAME })
    assert.ok(read && 'value' in read)
    const back = readFrameReply(read.value)
    assert.notEqual(back.kind, 'refused')
    if (back.kind === 'frame') answer = back.frame
  }
  return { answer, wire }
}

test('two bridgeheads come in step over X-LINK2STATE, in lines that any server takes, whatever octets names hold', () => {
  const old = connectorState(guid('c', 1), '*', { dn: '/o=Gr\xfc\xdfe/cn=\xff \xc3\xbc', state: 'down' })
  const a = masterOf(1, [old])
  const b = masterOf(2)
  for (let i = 0; i < 20; i++) b.absorb([groupState(guid('d', i), { connectors: [old] })], 'other-group')
  const client = new Exchange(a, { side: 'client', neighbour: 'b', teller: 'other-group', delta: false })
  const server = new Exchange(b, { side: 'server', neighbour: 'a', teller: 'other-group', delta: false })
  const wire: string[] = []
  for (let frame = saidIn(client.begin()); frame !== undefined; ) {
    const crossed = cross(frame, server)
    wire.push(...crossed.wire)
    frame = crossed.answer === undefined ? undefined : saidIn(client.hear(crossed.answer))
  }
  assert.ok(client.isDone)
  assert.equal(a.digest, b.digest)
  assert.deepEqual(groupOf(b.table, guid('a', 1))?.connectors, [old])
  const lines = concat(wire.map(bytes))
  for (const line of text(lines).split('\r\n')) assert.ok(line.length <= 1022)
  assert.ok(wire.length > 4)
  assert.match(wire[0] ?? '', /^X-LINK2STATE LAST CHUNK=\{0000006d\} MULTI \(5\) \(\{00000000051\} DIGEST_QUERY /)
  assert.match(wire[1] ?? '', /^200-FIRST CHUNK=\{[0-9a-f]{8}\} MULTI \(5\) \(\{[0-9a-f]{11}\} ORGINFO /)
})
