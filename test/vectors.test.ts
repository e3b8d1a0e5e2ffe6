/**
 * Plays every vector of `test/vectors` against our server and our client: whole, an octet at a time, and cut at random
 * (the same way every time). What must be heard does not depend on the cut.
 */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { bytes, concat, text } from '../src/base/bytes.ts'
import { DotWriter } from '../src/smtp/body.ts'
import { AREAS, OVER_SOCKETS, SERVERS } from './vectors/all.ts'
import { ClientUnderTest, orderOf } from './vectors/client.ts'
import { CHOICES } from './vectors/differences.ts'
import { type Arrived, configure, ServerUnderTest } from './vectors/server.ts'
import { UNMET } from './vectors/unmet.ts'
import { type ClientVector, heardPattern, piecesOf, type ServerVector, sayHeard, type Taken } from './vectors/vector.ts'

/** Cuts octets into what arrives at once. */
type Cut = (octets: Uint8Array) => readonly Uint8Array[]

/** As much as a socket hands over at once. */
const SEGMENT = 65_536
/** More octets than this one at a time would take longer than they can show. */
const MOST_SINGLY = 60_000

function cutEvery(octets: Uint8Array, length: () => number): readonly Uint8Array[] {
  const out: Uint8Array[] = []
  for (let at = 0; at < octets.length; ) {
    const end = at + length()
    out.push(octets.slice(at, end))
    at = end
  }
  return out
}

/** A small generator of even quality: the same cuts every time. */
function chance(seed: number): () => number {
  let state = seed
  return () => {
    state = (Math.imul(state, 1_664_525) + 1_013_904_223) >>> 0
    return state / 2 ** 32
  }
}

function cutsFor(octets: number): readonly { readonly name: string; readonly cut: Cut }[] {
  const random = chance(20_231_218)
  const longest = octets > MOST_SINGLY ? 5000 : 40
  return [
    { name: 'whole', cut: each => cutEvery(each, () => SEGMENT) },
    ...(octets > MOST_SINGLY ? [] : [{ name: 'octet by octet', cut: (each: Uint8Array) => cutEvery(each, () => 1) }]),
    ...[1, 2].map(n => ({
      name: `cut at random (${n})`,
      cut: (each: Uint8Array) => cutEvery(each, () => 1 + Math.floor(random() ** 2 * longest)),
    })),
  ]
}

function size(vector: ServerVector | ClientVector): number {
  const sent = vector.steps.flatMap(step =>
    piecesOf('send' in step ? step.send : (step as ServerVector['steps'][0])[0]),
  )
  return sent.reduce((sum, piece) => sum + ('bytes' in piece ? piece.bytes.length : 0), 0)
}

function brief(said: string): string {
  return said.length > 300 ? `${said.slice(0, 140)}…${said.slice(-140)}` : said
}

/** What is taken leaves again: by DATA it must have one end, no stray octet, and every leading dot doubled. */
function checkForwarded({ content, body }: Arrived): void {
  if (body === 'binarymime') return
  assert.doesNotMatch(content, /\r(?!\n)|(?<!\r)\n|\0/, 'a stray octet was taken')
  const writer = new DotWriter()
  const third = Math.floor(content.length / 3)
  const pieces = [content.slice(0, third), content.slice(third)].flatMap(piece => writer.push(bytes(piece)))
  const wire = text(concat([...pieces, writer.end()]))
  const end = wire.startsWith('.\r\n') ? 0 : wire.indexOf('\r\n.\r\n') + 2
  assert.equal(end, wire.length - 3, 'the message has one end on the wire')
}

function checkTaken(arrived: readonly Arrived[], { taken = [] }: ServerVector): void {
  const expected = taken === 'perhaps' ? arrived.slice(0, 1) : taken
  const envelopes = (messages: readonly Taken[]) => messages.map(({ from, to }) => ({ from, to }))
  for (const [i, one] of arrived.entries()) {
    const { content } = expected[i] ?? {}
    if (content !== undefined) assert.equal(one.content, content)
    checkForwarded(one)
  }
  assert.deepEqual(envelopes(arrived), envelopes(expected), 'the messages taken')
}

function playServer(vector: ServerVector, cut: Cut): void {
  const server = new ServerUnderTest(configure(vector.config))
  for (const [sent, expected] of vector.steps) {
    for (const piece of piecesOf(sent)) {
      if ('wait' in piece) server.wait(piece.wait)
      else if ('bytes' in piece) for (const segment of cut(piece.bytes)) server.send(segment)
      else if ('closeNotify' in piece) server.end()
      else {
        assert.ok(server.wantsTls, 'the server awaits a handshake')
        server.secured()
      }
    }
    const before = server.closedHeard
    const heard = sayHeard(server.replies(), server.closed && !before)
    if (!heardPattern(expected).test(heard)) {
      const what = typeof sent === 'string' ? JSON.stringify(brief(sent)) : brief(JSON.stringify(sent))
      assert.fail(`to ${what}\n  expected: ${expected || '(silence)'}\n  heard:    ${brief(heard) || '(silence)'}`)
    }
    server.closedHeard = server.closed
  }
  server.end()
  assert.equal(server.said(), '', 'nothing is said to a client that has gone')
  checkTaken(server.taken, vector)
}

function playClient(vector: ClientVector, cut: Cut): void {
  const client = new ClientUnderTest(orderOf(vector), { holds: vector.order?.messageWaits ?? false })
  let seen = 0
  let sent = 0
  for (const { after, send } of vector.steps) {
    if (client.closed || (after && !after.test(client.said.slice(seen)))) break
    seen = client.said.length
    for (const piece of piecesOf(send)) {
      if ('wait' in piece) client.wait(piece.wait)
      if ('tls' in piece) {
        assert.ok(client.wantsTls, 'the client awaits a handshake')
        client.secured()
      }
      if (!('bytes' in piece)) continue
      for (const segment of cut(piece.bytes)) {
        if (client.closed) break
        client.send(segment)
        sent += segment.length
      }
    }
  }
  const hung = !client.closed
  if (client.wantsBody) client.giveBody()
  // Nothing more comes: whoever waits for ever is found here.
  client.wait(3_600_000)
  assert.ok(client.closed, 'it waits for ever')
  assert.ok(client.done, 'it is done')
  const said = client.said
  for (const [i, outcome] of client.outcomes.entries()) {
    assert.match(
      outcome ?? 'no outcome',
      vector.outcomes[i] ?? /^deferred/,
      `having said ${JSON.stringify(brief(said))}`,
    )
  }
  assert.equal(vector.outcomes.length, client.outcomes.length)
  if (vector.says) assert.match(said, vector.says)
  if (vector.never) assert.doesNotMatch(said, vector.never)
  if (vector.hangs !== undefined) assert.equal(hung, vector.hangs, hung ? 'it hung' : 'it left')
  if (vector.closedWithin !== undefined) {
    assert.ok(!hung && sent <= vector.closedWithin + SEGMENT, `it left by itself, after ${sent} octets`)
  }
}

/** A vector that is not met yet is played all the same, so that the day it is met its row must go. */
function vectorTest(vector: ServerVector | ClientVector, play: (cut: Cut) => void): void {
  const why = UNMET.get(vector.id)
  test(`${vector.id}: ${vector.holds}${why === undefined ? '' : ` (not met yet: ${why})`}`, () => {
    const failures: string[] = []
    for (const { name, cut } of vector.whole ? cutsFor(0).slice(0, 1) : cutsFor(size(vector))) {
      try {
        play(cut)
      } catch (cause) {
        failures.push(`${name}: ${cause instanceof Error ? cause.message : cause}`)
      }
    }
    if (why !== undefined) assert.notEqual(failures.length, 0, 'it is met: take it out of test/vectors/unmet.ts')
    else if (failures.length > 0) assert.fail(failures.join('\n'))
  })
}

test('every vector has an id of its own, and every row about one names one that there is', () => {
  const ids = [...AREAS.flatMap(({ vectors }) => vectors), ...SERVERS, ...OVER_SOCKETS].map(({ id }) => id)
  assert.deepEqual(
    ids.filter((id, i) => ids.indexOf(id) !== i),
    [],
  )
  const named = [...UNMET.keys(), ...CHOICES.flatMap(({ vectors }) => vectors)]
  assert.deepEqual(
    named.filter(id => !ids.includes(id)),
    [],
  )
})

for (const { vectors } of AREAS) for (const vector of vectors) vectorTest(vector, cut => playServer(vector, cut))
for (const vector of SERVERS) vectorTest(vector, cut => playClient(vector, cut))
