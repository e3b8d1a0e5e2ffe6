import assert from 'node:assert/strict'
import { once } from 'node:events'
import net from 'node:net'
import { test } from 'node:test'
import { setTimeout as sleep } from 'node:timers/promises'
import { CONNECTION_IDLE, Inspector } from '../firewall/inspector.ts'
import type { Policy } from '../firewall/policy.ts'
import { pix } from '../firewall/profiles/pix.ts'
import type { Explanation } from '../firewall/verdict.ts'
import { splice } from './splice.ts'

const CAUSE = {
  at: { file: 'f', line: 1, column: 1, length: 5, text: 'fixup protocol smtp 25' },
  command: 'fixup protocol smtp 25',
  cure: 'no fixup protocol smtp 25',
}

type Joined = {
  readonly client: net.Socket
  readonly server: net.Socket
  readonly over: Promise<void>
  altered: Explanation[]
}

/** client ⇄ [near ⇄ far] ⇄ server, all on loopback. */
async function joined(t: { after(work: () => void): void }, inspector?: Inspector): Promise<Joined> {
  const listener = net.createServer({ allowHalfOpen: true, noDelay: true, pauseOnConnect: true })
  listener.listen(0, '127.0.0.1')
  await once(listener, 'listening')
  const { port } = listener.address() as net.AddressInfo
  const dial = async () => {
    const socket = net.connect({ port, host: '127.0.0.1', allowHalfOpen: true, noDelay: true })
    const [accepted] = (await once(listener, 'connection')) as [net.Socket]
    socket.on('error', () => {})
    accepted.on('error', () => {})
    return [socket, accepted] as const
  }
  const [client, near] = await dial()
  const [far, server] = await dial()
  server.resume()
  const altered: Explanation[] = []
  const { over } = splice(near, far, inspector, explanation => altered.push(explanation))
  t.after(() => {
    for (const socket of [client, near, far, server]) socket.destroy()
    listener.close()
  })
  return { client, server, over, altered }
}

function gather(socket: net.Socket): () => string {
  let text = ''
  socket.on('data', chunk => {
    text += chunk.toString('latin1')
  })
  return () => text
}

// The first of this file: all connections of the process share the timer, and the first sets it.
test('a connection that says nothing for an hour is given up, and one that says something is kept', async t => {
  t.mock.timers.enable({ apis: ['setTimeout', 'Date'] })
  t.mock.method(performance, 'now', () => Date.now())
  const [silent, busy] = [await joined(t), await joined(t)]
  t.mock.timers.tick(CONNECTION_IDLE / 2)
  const heard = once(busy.server, 'data')
  busy.client.write('NOOP\r\n')
  await heard
  const gone = once(silent.client, 'end')
  silent.client.resume()
  t.mock.timers.tick(CONNECTION_IDLE / 2 + 1)
  await gone
  await silent.over
  const answer = once(busy.client, 'data')
  busy.server.write('250 2.0.0 Ok\r\n')
  assert.equal(String((await answer)[0]), '250 2.0.0 Ok\r\n')
})

test('what one side sends comes out at the other, altered where the policy says so, with an explanation', async t => {
  const { client, server, altered } = await joined(t, new Inspector(pix('5.1', CAUSE)))
  const [heardByClient, heardByServer] = [gather(client), gather(server)]
  server.write('220 mail.example ESMTP\r\n')
  await sleep(30)
  client.write('EHLO client.example\r\n')
  await sleep(30)
  assert.equal(heardByClient(), '220 ******************\r\n')
  assert.equal(heardByServer(), 'XXXX client.example\r\n')
  assert.deepEqual(
    altered.map(({ what, subject }) => `${what} ${subject}`),
    ['greeting ', 'command EHLO'],
  )
})

test('a side that has said all it will is heard to its end, and the other may still answer', async t => {
  const { client, server, over } = await joined(t)
  const heard = gather(client)
  client.end('QUIT\r\n')
  await once(server, 'end')
  server.end('221 bye\r\n')
  await once(client, 'end')
  assert.equal(heard(), '221 bye\r\n')
  await over
})

test('a side that resets takes the other with it, and nobody takes half for the whole', async t => {
  const { client, server, over } = await joined(t)
  client.write('half a mess')
  await once(server, 'data')
  client.resetAndDestroy()
  const [cause] = (await once(server, 'error')) as [NodeJS.ErrnoException]
  assert.equal(cause.code, 'ECONNRESET')
  await over
})

test('whoever does not read stops the other from sending: memory stays flat', async t => {
  const { client, server } = await joined(t)
  server.pause()
  for (let i = 0; i < 100; i++) client.write(Buffer.alloc(1_000_000))
  await sleep(300)
  assert.ok(client.writableLength > 50_000_000, `only ${client.writableLength} octets are held back at the sender`)
})

test('twenty megabytes pass each way at once, whole and in order', async t => {
  const { client, server } = await joined(t)
  const sizes = { client: 0, server: 0 }
  let disorder = 0
  const expectNext = { client: 0, server: 0 }
  for (const [side, socket] of [
    ['client', client],
    ['server', server],
  ] as const) {
    socket.on('data', (chunk: Buffer) => {
      for (const octet of chunk) {
        if (octet !== expectNext[side]) disorder++
        expectNext[side] = (octet + 1) & 0xff
      }
      sizes[side] += chunk.length
    })
  }
  const block = Buffer.from(Array.from({ length: 65_536 }, (_, i) => i & 0xff))
  for (let i = 0; i < 320; i++) {
    client.write(block)
    server.write(block)
  }
  for (let i = 0; i < 500 && (sizes.client < 320 * 65_536 || sizes.server < 320 * 65_536); i++) await sleep(10)
  assert.deepEqual(sizes, { client: 320 * 65_536, server: 320 * 65_536 })
  assert.equal(disorder, 0)
})

test('a side that is gone before they are joined takes the other with it', async t => {
  const { client, server } = await joined(t)
  client.destroy()
  await once(client, 'close')
  const { over } = splice(client, server, undefined, () => {})
  await over
  assert.equal(server.destroyed, true)
})

test('a mistake of ours on one connection ends that one, and not the process', async t => {
  const inspector = new Inspector(pix('5.1', CAUSE))
  inspector.receive = () => {
    throw new Error('we are wrong')
  }
  const { client, over } = await joined(t, inspector)
  client.write('EHLO a\r\n')
  await over
})

test('a rule that ends the connection ends both, and the server never hears what it was for', async t => {
  const policy: Policy = {
    ...pix('5.1', CAUSE),
    rules: [
      { match: { on: 'size', what: 'command-line', over: 20 }, action: { kind: 'drop-connection' }, reason: 'long' },
    ],
  }
  const { client, server, over, altered } = await joined(t, new Inspector(policy))
  const heard = gather(server)
  client.resume()
  client.write(`NOOP\r\nNOOP ${'a'.repeat(50)}\r\nQUIT\r\n`)
  await over
  assert.equal(heard(), '')
  assert.deepEqual(
    altered.map(({ did }) => did),
    ['drop-connection'],
  )
})

/** Of MAIL no more than so many pass in a second. */
function slowly(perSecond: number): Policy {
  const match = { on: 'word', what: 'verb', in: new Set(['MAIL']) } as const
  return {
    ...pix('5.1', CAUSE),
    rules: [{ match, action: { kind: 'rate-limit', perSecond }, reason: 'so many a second' }],
  }
}

test('nothing is left of a segment that waited, however many there were', async t => {
  const warnings: string[] = []
  const warned = ({ name }: Error): void => void warnings.push(name)
  process.on('warning', warned)
  t.after(() => process.off('warning', warned))
  const { client, server } = await joined(t, new Inspector(slowly(100)))
  const heard = gather(server)
  for (let i = 0; i < 15; i++) {
    client.write(`MAIL FROM:<${i}@a.example>\r\n`)
    while (!heard().includes(`<${i}@a`)) await sleep(2)
  }
  assert.deepEqual(warnings, [])
})

test('a rule that limits the rate makes a segment wait, and what follows it waits behind it', async t => {
  const { client, server } = await joined(t, new Inspector(slowly(5)))
  const heard = gather(server)
  client.write('MAIL FROM:<a@a.example>\r\n')
  while (!heard().includes('a@a')) await sleep(5)
  client.write('MAIL FROM:<b@a.example>\r\n')
  await sleep(20)
  client.write('QUIT\r\n')
  await sleep(20)
  assert.equal(heard(), 'MAIL FROM:<a@a.example>\r\n')
  while (!heard().includes('QUIT')) await sleep(5)
  assert.equal(heard(), 'MAIL FROM:<a@a.example>\r\nMAIL FROM:<b@a.example>\r\nQUIT\r\n')
})
