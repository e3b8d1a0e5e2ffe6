/**
 * The same vectors over a real socket, against the whole mail server: driver, spool and all. Those that need minutes are
 * played in virtual time only (`vectors.test.ts`).
 */
import assert from 'node:assert/strict'
import net from 'node:net'
import { type TestContext, test } from 'node:test'
import { AREAS } from './vectors/all.ts'
import { STRANGER } from './vectors/server.ts'
import { type Listening, listening, SocketClient, sleep } from './vectors/socket.ts'
import { UNMET } from './vectors/unmet.ts'
import { piecesOf, type ServerVector } from './vectors/vector.ts'

/** A vector that waits longer than this in all is left to virtual time. */
const LONGEST_WAIT = 1000

function isQuick({ steps, machineOnly }: ServerVector): boolean {
  const waits = steps.flatMap(([sent]) => piecesOf(sent)).map(piece => ('wait' in piece ? piece.wait : 0))
  return machineOnly === undefined && waits.reduce((sum, each) => sum + each, 0) <= LONGEST_WAIT
}

async function playOverSocket({ steps, config, taken = [] }: ServerVector): Promise<void> {
  const at = await listening(config)
  const client = await SocketClient.connect(at.port)
  try {
    for (const [sent, expected] of steps) {
      await client.send(sent)
      const { heard, asExpected } = await client.hear(expected)
      const what = JSON.stringify(sent).slice(0, 200)
      assert.ok(asExpected, `to ${what}\n  expected: ${expected || '(silence)'}\n  heard:    ${heard.slice(-200)}`)
    }
    assert.equal(await client.rest(), '', 'nothing more is said')
    const arrived = await at.taken()
    if (taken === 'perhaps') return assert.ok(arrived.length <= 1)
    const contents = taken.map(({ from, to, content }, i) => ({ from, to, content: content ?? arrived[i]?.content }))
    assert.deepEqual(arrived, contents, 'the messages taken')
  } finally {
    client.end()
    await at.stop()
  }
}

for (const { name, vectors } of AREAS) {
  test(`${name}, over a socket`, { concurrency: 4 }, async t => {
    const played = vectors.filter(vector => isQuick(vector) && !UNMET.has(vector.id))
    await Promise.all(played.map(vector => t.test(`${vector.id}: ${vector.holds}`, () => playOverSocket(vector))))
  })
}

/** Fails once it does not fail: the row of `unmet.ts` must go then. */
async function unlessUnmet(id: string, play: () => Promise<void>): Promise<void> {
  if (UNMET.has(id)) await assert.rejects(play, 'it is met: take it out of test/vectors/unmet.ts')
  else await play()
}

async function server(t: TestContext): Promise<Listening> {
  const at = await listening()
  t.after(() => at.stop())
  return at
}

/** A peer that asks and asks, and never reads what it is told. */
async function deaf(t: TestContext, asks: string, more?: readonly string[]) {
  const at = await listening(more)
  const socket = net.connect({ host: '127.0.0.1', port: at.port })
  socket.on('error', () => {})
  socket.pause()
  t.after(async () => {
    socket.destroy()
    await at.stop()
  })
  const asked = Buffer.from(asks.repeat(200_000))
  const times = 10
  for (let i = 0; i < times; i++) socket.write(asked)
  return { at, asked: asked.length * times }
}

test('slow-reader: a peer that asks for help 200,000 times and does not read is cut off', async t => {
  const { at } = await deaf(t, 'HELP\r\n')
  // Its greeting and a reply per command is all that was ever said to it.
  while (!at.accepted[0]?.writableFinished) await sleep(20)
  assert.ok((at.accepted[0]?.bytesWritten ?? 0) < 100_000, `${at.accepted[0]?.bytesWritten} octets were said`)
})

test('slow-reader: where it may go on, a peer that does not read is not read from either', async t => {
  const { at, asked } = await deaf(t, 'HELP\r\n', ['limit junk 1000000000'])
  let read = -1
  // Until nothing moves any more.
  while (read < 1 || read !== (at.accepted[0]?.bytesRead ?? 0)) {
    read = at.accepted[0]?.bytesRead ?? 0
    await sleep(300)
  }
  const [accepted] = at.accepted
  assert.ok(accepted)
  assert.ok(read < asked, `${read} octets were read of ${asked}`)
  assert.ok(accepted.writableLength < 1_000_000, `${accepted.writableLength} octets wait for the peer`)
})

/** How a connection is greeted: the code, and whether that was the end. */
async function greeting(port: number, held: net.Socket[]): Promise<string> {
  const socket = net.connect({ host: '127.0.0.1', port })
  held.push(socket)
  socket.on('error', () => {})
  return new Promise(resolve => {
    socket.once('data', data => resolve(data.toString('latin1').slice(0, 9).trimEnd()))
    socket.once('close', () => resolve('closed'))
  })
}

test('flood-connect: one address has a share of the sessions and no more; others still find the door open', async t => {
  await unlessUnmet('flood-connect', async () => {
    const at = await server(t)
    const held: net.Socket[] = []
    t.after(() => {
      for (const socket of held) socket.destroy()
    })
    const greeted = await Promise.all(Array.from({ length: 200 }, () => greeting(at.port, held)))
    const refused = greeted.filter(each => each.startsWith('421 4.7.0') || each === 'closed')
    assert.ok(refused.length >= 100, `${refused.length} of 200 were refused`)
    assert.ok(refused.length < 200)
    at.peer = '198.51.100.9'
    assert.match(await greeting(at.port, held), /^220/)
    at.peer = STRANGER
    // The share is of what is open: room that is given back can be had again.
    for (const socket of held.splice(0)) socket.destroy()
    await sleep(200)
    assert.match(await greeting(at.port, held), /^220/)
  })
})
