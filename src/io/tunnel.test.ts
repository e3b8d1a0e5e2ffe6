import assert from 'node:assert/strict'
import { once } from 'node:events'
import net from 'node:net'
import type { Duplex } from 'node:stream'
import { test } from 'node:test'
import { setTimeout as sleep } from 'node:timers/promises'
import { type Carried, openTap, openTunnelServer, TunnelClient } from './tunnel.ts'

const KEY = { identity: 'vpn-a', key: Buffer.alloc(32, 7) }
const CALL: Carried = { source: '10.53.7.203', destination: '10.54.7.10', port: 25 }

/** A tunnel whose far end sends back, in capitals, what it is sent. */
async function tunnel(t: { after(work: () => Promise<void>): void }, key = KEY) {
  const carried: Carried[] = []
  const server = await openTunnelServer(KEY, (call, stream, refuse) => {
    carried.push(call)
    if (call.port !== 25) return refuse()
    stream.on('data', chunk => stream.write(chunk.toString().toUpperCase()))
    stream.on('end', () => stream.end())
    stream.resume()
  })
  const tap = await openTap(server.endpoint)
  const client = new TunnelClient(key, tap.endpoint)
  t.after(async () => {
    await client.close()
    await server.close()
    await tap.close()
  })
  return { carried, tap, client }
}

async function hear(stream: Duplex): Promise<string> {
  const [chunk] = (await once(stream, 'data')) as [Buffer]
  return chunk.toString()
}

test('the tunnel carries many connections at once, each told who calls whom, and nothing of them can be read on its way', async t => {
  const { carried, tap, client } = await tunnel(t)
  const streams = await Promise.all(Array.from({ length: 50 }, () => client.open(CALL)))
  const heard = await Promise.all(
    streams.map((stream, i) => {
      stream.resume()
      stream.write(`mail from number ${i}`)
      return hear(stream)
    }),
  )
  assert.deepEqual(
    heard,
    streams.map((_, i) => `MAIL FROM NUMBER ${i}`),
  )
  assert.deepEqual(carried[0], CALL)
  assert.ok(tap.seen > 1000)
  assert.equal(tap.holds('mail from'), false)
  assert.equal(tap.holds('MAIL FROM'), false)
})

test('the tap can fail: on a wire without a tunnel it reads what crosses', async t => {
  const server = net.createServer(socket => socket.pipe(socket))
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  const tap = await openTap({ host: '127.0.0.1', port: (server.address() as net.AddressInfo).port })
  const socket = net.connect(tap.endpoint)
  t.after(async () => {
    socket.destroy()
    await tap.close()
    server.close()
  })
  socket.write('MAIL FR')
  await sleep(20)
  socket.write('OM:<alice@a.example>')
  await sleep(50)
  assert.equal(tap.holds('MAIL FROM:<alice@a.example>'), true)
  assert.equal(tap.holds('something else'), false)
})

test('without the key nobody gets in', async t => {
  const { carried, client } = await tunnel(t, { identity: 'vpn-a', key: Buffer.alloc(32, 8) })
  await assert.rejects(client.open(CALL), /the tunnel does not stand/)
  assert.deepEqual(carried, [])
})

test('a connection that the far end does not know is refused, and the others live on', async t => {
  const { client } = await tunnel(t)
  const refused = await client.open({ ...CALL, port: 26 })
  refused.resume()
  await new Promise(resolve => refused.on('close', resolve))
  const stream = await client.open(CALL)
  stream.resume()
  stream.write('still there')
  assert.equal(await hear(stream), 'STILL THERE')
})

test('somebody who connects and says nothing does not keep the tunnel from closing', async () => {
  const server = await openTunnelServer(KEY, () => {})
  const silent = net.connect(server.endpoint)
  silent.on('error', () => {})
  await once(silent, 'connect')
  const closed = await Promise.race([server.close().then(() => 'closed'), sleep(5_000, 'still open', { ref: false })])
  assert.equal(closed, 'closed')
  silent.destroy()
})
