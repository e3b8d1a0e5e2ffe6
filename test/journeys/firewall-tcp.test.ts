/** One firewall on Node's TCP handles and one on `node:net`: whoever calls, and whoever is called, cannot tell them apart. */
import assert from 'node:assert/strict'
import { createHash, randomBytes } from 'node:crypto'
import { once } from 'node:events'
import net from 'node:net'
import { test } from 'node:test'
import { lean } from '../../src/io/tcp.ts'
import { type After, configuration, freePort, gateway, start } from './gateway.ts'

/** Larger than any memory that a connection reads into, so that it is written in pieces and waited for. */
const MUCH = randomBytes(2_000_000).toString('base64').replace(/.{76}/g, '$&\r\n')

interface Seen {
  /** How the client's side went, and what the server heard. */
  readonly heard: string
  readonly end: string
  readonly told: string
  readonly toldEnd: string
}

/** A server that says one line, then does this once it has heard the word; and a client that says these octets. */
async function session(
  port: number,
  server: net.Server,
  { says, ends, does }: { readonly says: string; readonly ends: boolean; readonly does: (socket: net.Socket) => void },
): Promise<Seen> {
  let [heard, told, end, toldEnd] = ['', '', '', '']
  const served = new Promise<void>(resolve => {
    server.once('connection', (socket: net.Socket) => {
      let isDone = false
      socket.write('220 mail.example ESMTP\r\n')
      socket.on('data', chunk => {
        told += chunk.toString('latin1')
        if (isDone || !told.endsWith('NOOP\r\n')) return
        isDone = true
        does(socket)
      })
      socket.on('end', () => {
        toldEnd += 'end '
        if (!isDone || ends) socket.end('250 after the end\r\n')
      })
      socket.on('error', ({ code }: NodeJS.ErrnoException) => {
        toldEnd += `${code} `
      })
      socket.on('close', () => resolve())
    })
  })
  const client = net.connect({ port, host: '127.0.0.1', allowHalfOpen: true })
  let isSaid = false
  client.on('data', chunk => {
    heard += chunk.toString('latin1')
    if (isSaid) return
    isSaid = true
    if (ends) client.end(says)
    else client.write(says)
  })
  client.on('end', () => {
    end += 'end '
    client.end()
  })
  client.on('error', ({ code }: NodeJS.ErrnoException) => {
    end += `${code} `
  })
  await Promise.all([once(client, 'close').catch(() => {}), served])
  return { heard, end, told: createHash('sha256').update(told).digest('hex'), toldEnd }
}

async function through(t: After, tcp: string): Promise<{ readonly seen: readonly Seen[]; readonly isLean: boolean }> {
  const server = net.createServer({ allowHalfOpen: true })
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  t.after(() => server.close())
  const port = await freePort()
  const file = configuration(t, gateway(port, (server.address() as net.AddressInfo).port))
  const { child, said } = await start(t, file, {
    env: { POSTERN_TCP: tcp, NODE_OPTIONS: '--pending-deprecation' },
  })
  const seen = [
    // Masked both ways, and ended by the client, whom the server still answers.
    await session(port, server, { says: 'EHLO c.example\r\nNOOP\r\n', ends: true, does: () => {} }),
    await session(port, server, { says: `HELO c\r\n${MUCH}\r\nNOOP\r\n`, ends: true, does: () => {} }),
    // Much goes back, and then the server ends.
    await session(port, server, { says: 'NOOP\r\n', ends: false, does: socket => socket.end(`250 ${MUCH}`) }),
    // The server vanishes.
    await session(port, server, { says: 'NOOP\r\n', ends: false, does: socket => socket.resetAndDestroy() }),
  ]
  child.kill('SIGTERM')
  await once(child, 'exit')
  return { seen, isLean: said().includes('DEP0111') }
}

test('a session goes the same way over the TCP handles and over node:net', async t => {
  const [handles, streams] = [await through(t, ''), await through(t, 'node')]
  assert.deepEqual([handles.isLean, streams.isLean], [lean, false])
  assert.deepEqual(handles.seen, streams.seen)
  const [masked, much, back, reset] = handles.seen
  assert.deepEqual(masked, {
    heard: '220 ******************\r\n250 after the end\r\n',
    end: 'end ',
    told: createHash('sha256').update('XXXX c.example\r\nNOOP\r\n').digest('hex'),
    toldEnd: 'end ',
  })
  assert.match(much?.heard ?? '', /250 after the end\r\n$/)
  assert.equal(back?.heard.length, '220 ******************\r\n250 '.length + MUCH.length)
  assert.equal(reset?.end, 'ECONNRESET ')
})

test('where Node lets what is deprecated end a program, the firewall starts without the handles', async t => {
  const port = await freePort()
  const file = configuration(t, gateway(port, await freePort()))
  const { child } = await start(t, file, { env: { NODE_OPTIONS: '--pending-deprecation --throw-deprecation' } })
  child.kill('SIGTERM')
  const [status] = (await once(child, 'exit')) as [number]
  assert.equal(status, 0)
})
