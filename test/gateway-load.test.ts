/** The gateway under more than it should have: floods, peers that dawdle, thousands of sessions, a reload in the middle. */
import assert from 'node:assert/strict'
import { once } from 'node:events'
import net from 'node:net'
import { test } from 'node:test'
import { setTimeout as sleep } from 'node:timers/promises'
import v8 from 'node:v8'
import vm from 'node:vm'
import type { Door } from '../src/app/doors.ts'
import { Gateway, MAX_ALTERED } from '../src/app/gateway.ts'
import { parse } from '../src/config/parse.ts'
import { FIREWALL } from '../src/firewall/commands.ts'
import type { FirewallConfig } from '../src/firewall/config.ts'
import { reach } from '../src/io/sockets.ts'
import { lean, Tcp } from '../src/io/tcp.ts'
import { type After, eventually, freePort } from './journeys/gateway.ts'
import { Talk } from './journeys/postern.ts'

/** Sessions in sequence. A long run has more of them: `POSTERN_SESSIONS=20000`. */
const SESSIONS = Number(process.env.POSTERN_SESSIONS ?? 2_000)

type Inspection = (port: number) => string

const PIX: Inspection = port => `fixup protocol smtp ${port}`

const PROFILES: readonly (readonly [name: string, inspection: Inspection])[] = [
  ['pix', PIX],
  ['strict', port => `strict smtp ${port}`],
]

function read(...lines: readonly string[]): FirewallConfig {
  const base = ['nameif ethernet0 outside security0', 'nameif ethernet1 inside security100']
  const list = ['access-list mail permit tcp any any', 'access-group mail in interface outside']
  const { config, problems } = parse(FIREWALL, [...base, ...list, ...lines, ''].join('\n'), 'gw.conf')
  assert.deepEqual(problems, [])
  return config
}

interface Mailbox {
  readonly port: number
  /** Messages taken, and the octets of all that was said inside them. */
  messages: number
  octets: number
  /** While it is set nobody is read. */
  dawdle(wanted: boolean): void
  /** Says this to all who are there. */
  say(octets: string): void
}

/** A server that counts what it takes, and keeps nothing. */
async function counting(t: After): Promise<Mailbox> {
  const sockets = new Set<net.Socket>()
  let dawdles = false
  const server = net.createServer({ noDelay: true }, socket => {
    sockets.add(socket)
    let [line, inBody, tail] = ['', false, '']
    socket.on('error', () => {})
    socket.on('close', () => sockets.delete(socket))
    socket.write('220 mail.example ESMTP\r\n')
    socket.on('data', chunk => {
      if (inBody) {
        box.octets += chunk.length
        tail = (tail + chunk.toString('latin1')).slice(-5)
        if (tail !== '\r\n.\r\n') return
        inBody = false
        box.messages++
        return void socket.write('250 2.0.0 Queued\r\n')
      }
      line += chunk.toString('latin1')
      if (!line.endsWith('\r\n')) return
      const verb = line.slice(0, 4).toUpperCase()
      line = ''
      if (verb === 'DATA') [inBody, tail] = [true, '\r\n']
      if (verb === 'DATA') socket.write('354 Go ahead\r\n')
      else if (verb === 'QUIT') socket.end('221 Bye\r\n')
      else socket.write('250 mail.example\r\n')
      if (dawdles && inBody) socket.pause()
    })
  })
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  t.after(() => {
    server.close()
    for (const socket of sockets) socket.destroy()
  })
  const box: Mailbox = {
    port: (server.address() as net.AddressInfo).port,
    messages: 0,
    octets: 0,
    dawdle(wanted) {
      dawdles = wanted
      if (!wanted) for (const socket of sockets) socket.resume()
    },
    say(octets) {
      for (const socket of sockets) socket.write(octets)
    },
  }
  return box
}

/** Servers that were called over a handle of Node's, and not over a stream. */
let handles = 0

test('all that follows goes over TCP handles, as the firewall does', {
  skip: !lean && 'this Node has none',
}, async t => {
  const { port } = await running(t, () => '! nothing inspects')
  const before = handles
  await session(port)
  assert.equal(handles, before + 1)
})

interface Running {
  readonly gateway: Gateway
  readonly port: number
  readonly box: Mailbox
  readonly config: (...more: readonly string[]) => FirewallConfig
}

async function running(t: After, inspection: Inspection, ...more: readonly string[]): Promise<Running> {
  const [box, port] = [await counting(t), await freePort()]
  const leads = `static (inside,outside) tcp 127.0.0.1 ${port} 127.0.0.1 ${box.port} netmask 255.255.255.255`
  const config = (...lines: readonly string[]) => read(leads, ...lines)
  const gateway = new Gateway('gw', config(inspection(port), ...more))
  t.after(() => void gateway.stop())
  const door: Door = {
    port: 'outside',
    destination: '127.0.0.1',
    destinationPort: port,
    listen: { host: '127.0.0.1', port },
    dial: async (to, _ends, call) => {
      const server = await reach({ host: to.destination, port: to.port }, call)
      if (server instanceof Tcp) handles++
      return server
    },
  }
  await gateway.open(door)
  return { gateway, port, box, config }
}

const HEADER = 'Subject: x\r\n\r\n'
const BODY = `${HEADER}${'one of many lines\r\n'.repeat(20)}`

/** Up to DATA, or what came instead of a greeting. */
async function begin(port: number): Promise<Talk | string> {
  const talk = await Talk.to(`127.0.0.1:${port}`).catch(() => undefined)
  const greeting = (await talk?.hear()) ?? 'refused'
  if (!talk || !greeting.startsWith('220')) {
    talk?.close()
    return greeting
  }
  for (const line of ['HELO c.example', 'MAIL FROM:<a@c.example>', 'RCPT TO:<b@s.example>']) {
    assert.match(await talk.ask(line), /^250/)
  }
  assert.match(await talk.ask('DATA'), /^354/)
  return talk
}

async function end(talk: Talk): Promise<void> {
  assert.match(await talk.ask('.'), /^250/)
  assert.match(await talk.ask('QUIT'), /^221/)
  talk.close()
}

/** A whole session with one message. */
async function session(port: number): Promise<void> {
  const talk = await begin(port)
  assert.ok(talk instanceof Talk, `instead of a greeting: ${talk}`)
  talk.say(BODY)
  await end(talk)
}

/** So many sessions, ten at a time. */
async function sessions(port: number, count: number): Promise<void> {
  let left = count
  const worker = async (): Promise<void> => {
    while (left-- > 0) await session(port)
  }
  await Promise.all(Array.from({ length: 10 }, worker))
}

for (const [name, inspection] of PROFILES) {
  test(`${name}: of a flood those within the limit are served to the end, the others are sent away at once`, async t => {
    const { gateway, port, box } = await running(t, inspection, 'limit connections 20', 'limit source connections 20')
    const talks = await Promise.all(Array.from({ length: 120 }, () => begin(port)))
    const inside = talks.filter(talk => talk instanceof Talk)
    assert.equal(inside.length, 20)
    const away = new Set(talks.filter(talk => !(talk instanceof Talk)))
    assert.deepEqual(
      [...away].map(each => String(each).slice(0, 3)),
      [name === 'strict' ? '421' : ''],
    )
    for (const talk of inside) {
      talk.say(BODY)
      await end(talk)
    }
    assert.equal(box.messages, 20)
    await eventually(() => gateway.connections.length === 0)
    await session(port)
    assert.equal(gateway.refused, 100)
  })

  test(`${name}: a server that does not read stops its client, nobody else, and nothing is lost`, async t => {
    const { gateway, port, box } = await running(t, inspection)
    const size = 32 * 1024 * 1024
    box.dawdle(true)
    const talk = await begin(port)
    assert.ok(talk instanceof Talk)
    const line = `${'x'.repeat(62)}\r\n`
    talk.say(HEADER + line.repeat(size / line.length))
    const [slow] = gateway.connections
    // It is stopped once what is read does not grow any more: then the kernel's buffers are full, and ours.
    let read = -1
    await eventually(async () => {
      const before = read
      read = slow?.passage.fromClient ?? 0
      await sleep(200)
      return read > 0 && read === before
    })
    assert.ok(read < size / 2, `${read} octets were read for a server that takes none`)
    box.dawdle(false)
    await end(talk)
    assert.equal(box.octets, HEADER.length + size + '.\r\n'.length)
    assert.equal(box.messages, 1)
  })

  test(`${name}: a client that writes octet by octet gets its message through, and holds up nobody`, async t => {
    const { port, box } = await running(t, inspection)
    const talk = await begin(port)
    assert.ok(talk instanceof Talk)
    for (const octet of 'Subject: slow\r\n\r\n..dots\r\nand lines') {
      talk.say(octet)
      await sleep(2)
    }
    await session(port)
    assert.equal(box.messages, 1)
    talk.say('\r\n')
    await end(talk)
    assert.equal(box.messages, 2)
  })

  test(`${name}: after ${SESSIONS} connections no more memory is held than before them`, async t => {
    const { gateway, port, box } = await running(t, inspection)
    // What is kept of alterations is full by then, and code is compiled.
    await sessions(port, MAX_ALTERED + 200)
    await eventually(() => gateway.connections.length === 0)
    const before = heap()
    await sessions(port, SESSIONS)
    await eventually(() => gateway.connections.length === 0)
    // A session that is kept is some kilobytes. What sockets held is given back a little after they are closed.
    let grown = 0
    await eventually(() => {
      grown = heap() - before
      return grown < 2_000_000
    }).catch(() => assert.fail(`${grown} octets more are held`))
    assert.equal(box.messages, MAX_ALTERED + 200 + SESSIONS)
  })

  test(`${name}: a configuration that changes again and again under load costs nobody a session`, async t => {
    const { gateway, port, box, config } = await running(t, inspection)
    let isOver = false
    const load = sessions(port, 300).finally(() => {
      isOver = true
    })
    let changes = 0
    while (!isOver) {
      const lines = changes % 2 === 0 ? [] : [inspection(port)]
      assert.deepEqual(await gateway.configure(config(...lines)), [])
      changes++
      await sleep(5)
    }
    await load
    assert.ok(changes > 2, `${changes} changes`)
    assert.equal(box.messages, 300)
    assert.equal(gateway.refused, 0)
  })
}

test('pix: a client that does not read stops its server, nobody else, and nothing is lost', async t => {
  const { gateway, port, box } = await running(t, PIX)
  const client = net.connect({ host: '127.0.0.1', port })
  t.after(() => client.destroy())
  await eventually(() => gateway.connections.length === 1)
  const [held] = gateway.connections
  const greeting = '220 mail.example ESMTP\r\n'.length
  await eventually(() => held?.passage.fromServer === greeting)
  const size = 32 * 1024 * 1024
  const line = `250-${'x'.repeat(58)}\r\n`
  box.say(line.repeat(size / line.length))
  // Once what is read of the server does not grow any more the kernel's buffers are full, and ours.
  let read = -1
  await eventually(async () => {
    const before = read
    read = held?.passage.fromServer ?? 0
    await sleep(200)
    return read > greeting && read === before
  })
  assert.ok(read < size / 2, `${read} octets were read for a client that takes none`)
  await session(port)
  let heard = 0
  client.on('data', chunk => (heard += chunk.length))
  await eventually(() => heard === greeting + size)
})

/** Octets that are in use once garbage is gone. */
function heap(): number {
  v8.setFlagsFromString('--expose-gc')
  const gc = vm.runInNewContext('gc') as () => void
  gc()
  gc()
  const { heapUsed, external } = process.memoryUsage()
  return heapUsed + external
}
