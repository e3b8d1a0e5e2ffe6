/** The proxy on real sockets, with TLS on both legs, before the whole mail server. */
import assert from 'node:assert/strict'
import { mkdtempSync, readFileSync, rmSync } from 'node:fs'
import net from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { type TestContext, test } from 'node:test'
import { type StrictChanges, strict } from '../src/firewall/profiles/strict.ts'
import type { Explanation } from '../src/firewall/verdict.ts'
import { type Proxied, proxy } from '../src/io/proxy.ts'
import { close, dial, endpointOf, listen } from '../src/io/sockets.ts'
import { identity, type SecureContext, secureClient, secureServer } from '../src/io/tls.ts'
import { makeCertificates } from './certificates.ts'
import { STRANGER } from './vectors/server.ts'
import { SMUGGLING } from './vectors/smtp/smuggling.ts'
import { listening, SocketClient, sleep } from './vectors/socket.ts'

const CAUSE = {
  at: { file: 'firewall.conf', line: 1, column: 1, length: 1, text: 'inspect smtp strict' },
  command: 'inspect smtp strict',
  cure: 'no inspect smtp strict',
} as const

let made: SecureContext | undefined

function testIdentity(): SecureContext {
  if (made) return made
  const folder = mkdtempSync(join(tmpdir(), 'proxy-'))
  try {
    const { certificate, key } = makeCertificates(folder, ['fw.example.org'])
    made = identity(readFileSync(certificate), readFileSync(key))
    return made
  } finally {
    rmSync(folder, { recursive: true, force: true })
  }
}

interface Front {
  readonly port: number
  readonly explanations: Explanation[]
  readonly sessions: Proxied[]
}

/** The strict proxy, before whatever listens at this port. */
async function front(t: TestContext, behind: number, changes: StrictChanges = {}): Promise<Front> {
  const explanations: Explanation[] = []
  const sessions: Proxied[] = []
  const server = await listen({ host: '127.0.0.1', port: 0 }, client => {
    client.on('error', () => {})
    const policy = strict(CAUSE, changes)
    const joined = proxy(
      client,
      { policy, host: 'fw.example.org', client: { address: STRANGER } },
      {
        dial: () => dial({ host: '127.0.0.1', port: behind }),
        secureClient: socket => secureServer(socket, testIdentity()),
        secureServer: socket => secureClient(socket, { name: 'mx.example.org' }),
        altered: explanation => explanations.push(explanation),
      },
    )
    sessions.push(joined)
  })
  t.after(() => close(server))
  return { port: endpointOf(server).port, explanations, sessions }
}

async function talk(client: SocketClient, ...steps: readonly (readonly [string, string])[]): Promise<void> {
  for (const [sent, expected] of steps) {
    await client.send(sent)
    const { heard, asExpected } = await client.hear(expected)
    assert.ok(asExpected, `to ${JSON.stringify(sent).slice(0, 100)}: expected ${expected}, heard ${heard.slice(-200)}`)
  }
}

const BEGIN = [
  ['', '220'],
  ['EHLO c.example\r\n', '250'],
] as const
const ENVELOPE = [
  ['MAIL FROM:<a@example.net>\r\n', '250'],
  ['RCPT TO:<bob@example.org>\r\n', '250'],
] as const

test('mail goes through with TLS on both legs, which the proxy ends and begins anew', async t => {
  const at = await listening()
  t.after(() => at.stop())
  const { port, sessions } = await front(t, at.port, { engine: { onwardTls: 'may' } })
  const client = await SocketClient.connect(port)
  await talk(client, ...BEGIN, ['STARTTLS\r\n', '220'])
  await client.send([{ tls: true }])
  await talk(
    client,
    ['EHLO c.example\r\n', '250'],
    ...ENVELOPE,
    ['DATA\r\n', '354'],
    ['S: x\r\n\r\n..b\r\n.\r\n', '250'],
    ['QUIT\r\n', '221 close'],
  )
  await Promise.all(sessions.map(({ over }) => over))
  assert.deepEqual(await at.taken(), [
    { from: 'a@example.net', to: ['bob@example.org'], content: 'S: x\r\n\r\n.b\r\n' },
  ])
})

test('where TLS must go on and the certificate proves nothing, no mail goes on', async t => {
  const at = await listening()
  t.after(() => at.stop())
  const { port, explanations } = await front(t, at.port, { engine: { onwardTls: 'must' } })
  const client = await SocketClient.connect(port)
  await talk(client, ['', '220'], ['EHLO c.example\r\n', '421 close'])
  assert.match(explanations.map(({ because }) => because.reason).join(), /no mail goes on without TLS/)
})

test('whoever leaves while its server is still dialled is over once the dialling is', async t => {
  const held = await listening()
  t.after(() => held.stop())
  for (const isReached of [true, false]) {
    const [gone, begun] = [Promise.withResolvers<void>(), Promise.withResolvers<Proxied>()]
    const server = await listen({ host: '127.0.0.1', port: 0 }, client => {
      client.on('error', () => {})
      client.once('close', () => setImmediate(gone.resolve))
      begun.resolve(
        proxy(
          client,
          { policy: strict(CAUSE), host: 'fw.example.org', client: { address: STRANGER } },
          {
            dial: async () => {
              await gone.promise
              if (!isReached) throw new Error('was not waited for')
              return dial({ host: '127.0.0.1', port: held.port })
            },
          },
        ),
      )
    })
    const client = await dial({ host: '127.0.0.1', port: endpointOf(server).port })
    const { over } = await begun.promise
    client.resetAndDestroy()
    await over
    await close(server)
  }
})

test('a server that talks on while the client shakes hands fills no memory, and is heard behind', async t => {
  const [servers, flooded] = [Promise.withResolvers<net.Socket>(), Promise.withResolvers<void>()]
  const behind = await listen({ host: '127.0.0.1', port: 0 }, socket => {
    socket.on('error', () => {})
    socket.resume()
    socket.write('220 mx\r\n')
    socket.once('data', () => socket.write('250 mx\r\n'))
    servers.resolve(socket)
  })
  t.after(() => close(behind))
  const { port, sessions } = await front(t, endpointOf(behind).port)
  const client = await SocketClient.connect(port)
  await talk(client, ...BEGIN, ['STARTTLS\r\n', '220'])
  const server = await servers.promise
  const much = Buffer.alloc(16_000_000, '250-x\r\n')
  server.write(much, () => flooded.resolve())
  // Either all of it is taken, or nothing moves any more.
  for (let [was, same] = [-1, 0]; same < 10; same = sessions[0]?.passage.fromServer === was ? same + 1 : 0) {
    was = sessions[0]?.passage.fromServer ?? 0
    await Promise.race([flooded.promise, sleep(20)])
  }
  assert.ok((sessions[0]?.passage.fromServer ?? 0) < 100_000, `${sessions[0]?.passage.fromServer} octets were read`)
  await client.send([{ tls: true }])
  const { heard, asExpected } = await client.hear('421 close')
  assert.ok(asExpected, heard)
})

test('the forged ends of data, over sockets', async t => {
  for (const { steps, id } of SMUGGLING.slice(0, 9)) {
    const at = await listening()
    const { port } = await front(t, at.port)
    const client = await SocketClient.connect(port)
    for (const [sent, expected] of steps) {
      await client.send(sent)
      const { heard, asExpected } = await client.hear(expected)
      assert.ok(asExpected, `${id}: ${heard.slice(-200)}`)
    }
    // And the next message goes through a new connection, brought to where the old one was.
    await talk(client, ...ENVELOPE, ['DATA\r\n', '354'], ['S: y\r\n\r\nb\r\n.\r\n', '250'])
    client.end()
    assert.deepEqual(
      (await at.taken()).map(({ from }) => from),
      ['a@example.net'],
    )
    await at.stop()
  }
})

test('20 MB go through, in both directions of pressure, and arrive as they were', async t => {
  const at = await listening()
  t.after(() => at.stop())
  const { port } = await front(t, at.port)
  const client = await SocketClient.connect(port)
  const line = `${'0123456789'.repeat(7)}\r\n`
  await talk(client, ...BEGIN, ...ENVELOPE, ['DATA\r\n', '354'])
  await talk(client, [`S: x\r\n\r\n${line.repeat(280_000)}.\r\n`, '250'], ['QUIT\r\n', '221 close'])
  const [message] = await at.taken()
  assert.equal(message?.content, `S: x\r\n\r\n${line.repeat(280_000)}`)
})

test('a server that dies in the middle of a message is 421 to the client, and nothing was acknowledged', async t => {
  const at = await listening()
  t.after(() => at.stop())
  const { port, sessions } = await front(t, at.port)
  const client = await SocketClient.connect(port)
  await talk(client, ...BEGIN, ...ENVELOPE, ['DATA\r\n', '354'])
  await client.send('S: x\r\n\r\nhalf')
  await sleep(50)
  for (const socket of at.accepted) socket.destroy()
  await talk(client, ['', '421 close'])
  await Promise.all(sessions.map(({ over }) => over))
  assert.deepEqual(await at.taken(), [])
})

test('nobody behind: 421 and not silence', async t => {
  const gone = await listen({ host: '127.0.0.1', port: 0 }, () => {})
  const { port: behind } = endpointOf(gone)
  await close(gone)
  const { port } = await front(t, behind)
  const client = await SocketClient.connect(port)
  await talk(client, ['', '421 close'])
})

test('a client that does not read stops being read, and the server behind with it', async t => {
  const at = await listening()
  t.after(() => at.stop())
  const { port, sessions } = await front(t, at.port, { junk: 1e9, engine: { talkingAhead: 'wait' } })
  const socket = net.connect({ host: '127.0.0.1', port })
  t.after(() => socket.destroy())
  socket.on('error', () => {})
  socket.pause()
  const flood = Buffer.from('HELP\r\n'.repeat(20_000))
  const write = () => {
    while (socket.write(flood)) {}
  }
  socket.on('drain', write)
  write()
  const passed = () => sessions[0]?.passage.fromClient ?? 0
  let before = -1
  // What the kernel holds for both of us may be megabytes.
  for (let i = 0; i < 50 && passed() !== before; i++) {
    before = passed()
    await sleep(200)
  }
  assert.equal(passed(), before, 'it is not read any more')
  assert.ok(before < 32 * 1024 * 1024, `${before} octets were read`)
})
