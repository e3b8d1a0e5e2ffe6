/** Connections to next hops, as a peer sees them. */
import assert from 'node:assert/strict'
import { once } from 'node:events'
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import net from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { test } from 'node:test'
import { setTimeout as sleep } from 'node:timers/promises'
import { AWAY } from '../../src/app/lanes.ts'
import { MailServer, type MailServerFiles, type MailServerWorld, readMailServer } from '../../src/app/mail-server.ts'
import { Mta } from '../../src/app/mta.ts'
import type { MtaWorld } from '../../src/app/mta-world.ts'
import { QueueDesk } from '../../src/app/queue-desk.ts'
import { MAX_WORKING } from '../../src/app/queue-work.ts'
import { LmdbSpool } from '../../src/io/lmdb-spool.ts'
import { MemorySpool } from '../../src/io/memory-spool.ts'
import { dial } from '../../src/io/sockets.ts'
import type { Resolver } from '../../src/mta/resolver.ts'
import { newEntry } from '../../src/spool/entry.ts'
import type { Spool } from '../../src/spool/spool.ts'
import { freePorts } from '../../tools/bench/process.ts'

interface After {
  after(work: () => unknown): void
}

/** A server that takes mail; `most`: messages over one connection, before it says 421. */
class Peer {
  get open(): number {
    return this.sockets.size
  }

  /** Of each connection, the messages it brought. */
  readonly sessions: string[][] = []
  most = Infinity
  readonly sockets = new Set<net.Socket>()
  readonly server = net.createServer(socket => {
    this.sockets.add(socket)
    socket.on('close', () => this.sockets.delete(socket))
    const session: string[] = []
    this.sessions.push(session)
    let [held, inBody, from] = ['', false, '']
    socket.setEncoding('latin1').on('error', () => {})
    socket.write('220 peer.example ESMTP\r\n')
    socket.on('data', chunk => {
      held += chunk
      for (let end = held.indexOf('\r\n'); end >= 0; end = held.indexOf('\r\n')) {
        const line = held.slice(0, end)
        held = held.slice(end + 2)
        if (inBody && line !== '.') continue
        if (inBody) {
          inBody = false
          session.push(from)
          socket.write('250 2.0.0 ok\r\n')
        } else if (line === 'DATA') {
          inBody = true
          socket.write('354 go on\r\n')
        } else if (line.startsWith('MAIL') && session.length >= this.most) {
          socket.end('421 4.7.0 enough for one connection\r\n')
          return
        } else {
          from = /^MAIL FROM:<([^>]*)>/.exec(line)?.[1] ?? from
          if (line === 'QUIT') socket.end('221 2.0.0 bye\r\n')
          else socket.write('250 2.0.0 ok\r\n')
        }
      }
    })
  })
}

/** A peer that listens, at a port of its own or at this one. */
async function listening(t: After, at = 0): Promise<{ readonly peer: Peer; readonly port: number }> {
  const peer = new Peer()
  peer.server.listen(at, '127.0.0.1')
  await once(peer.server, 'listening')
  t.after(() => peer.server.close())
  return { peer, port: (peer.server.address() as net.AddressInfo).port }
}

interface Around {
  readonly spool?: Spool
  /** Domains that DNS knows, and the ports where their servers are. */
  readonly domains?: Readonly<Record<string, number>>
}

/** A server whose DNS and network are these domains alone. */
function among(
  domains: Readonly<Record<string, number>>,
  { config, warnings: _told, ...files }: MailServerFiles,
  { spool, maildir }: MailServerWorld,
) {
  const ports = Object.values(domains)
  const ipOf = (domain: string) => `192.0.2.${Object.keys(domains).indexOf(domain) + 1}`
  const found = (records: readonly unknown[]) => ({ kind: 'found', records, isSecure: false })
  const resolver = {
    resolve: async (name: string, type: string) => {
      if (type === 'MX') return found([{ preference: 1, host: `mx.${name}` }])
      return type === 'A' ? found([ipOf(name.replace(/^mx\./, ''))]) : { kind: 'empty', isSecure: false }
    },
  } as Resolver
  const dialled: MtaWorld['dial'] = (ip, port, { call } = {}) => {
    const [, last] = /^192\.0\.2\.(\d+)$/.exec(ip) ?? []
    return dial({ host: '127.0.0.1', port: last ? (ports[Number(last) - 1] ?? 0) : port }, call?.signal)
  }
  const mta = new Mta(config, { ...files, spool, maildir: box => join(maildir, box), resolver, dial: dialled })
  mta.start()
  return { mta, stop: ({ grace }: { readonly grace: number }) => mta.stop(grace) }
}

async function mailServer(t: After, port: number, lines: readonly string[] = [], around: Around = {}) {
  const { spool = new MemorySpool(), domains } = around
  const folder = mkdtempSync(join(tmpdir(), 'lanes-'))
  const [own = 0] = await freePorts(1)
  const file = join(folder, 'mail.conf')
  const all = [
    'hostname mail-a.a.example',
    `listen 127.0.0.1 port ${own}`,
    `connector b to B cost 1 target 127.0.0.1 port ${port}`,
    'address-space b smtp b.example',
    ...lines,
  ]
  writeFileSync(file, `${all.join('\n')}\n`)
  const [files, world] = [await readMailServer(file), { spool, maildir: folder }]
  const server = domains ? among(domains, files, world) : await MailServer.start(files, world)
  t.after(async () => {
    await server.stop({ grace: 0 })
    rmSync(folder, { recursive: true, force: true })
  })
  async function* body(): AsyncIterable<Uint8Array> {
    yield Buffer.from('Subject: x\r\n\r\nhello\r\n')
  }
  let made = 0
  const put = async (count: number, domain = 'b.example') => {
    for (let i = 0; i < count; i++) {
      const id = `m${++made}`
      const at = Date.now()
      const to = { local: 'bob', domain }
      const from = { local: id, domain: 'a.example' }
      const envelope = { from, recipients: [{ to }], smtputf8: false, body: '7bit' } as const
      await spool.put(newEntry({ id, envelope, at, expire: 86_400_000, what: 'made' }), body())
    }
    server.mta.wake()
  }
  const until = async (what: () => boolean) => {
    for (let i = 0; i < 500 && !what(); i++) await sleep(20)
    assert.ok(what())
  }
  return { server, spool, put, until }
}

test('many messages to one next hop share its connections, and no connection carries more than its share', async t => {
  const { peer, port } = await listening(t)
  const { spool, put, until } = await mailServer(t, port, ['queue per-destination connections 3 messages 10'])
  await put(60)
  await until(() => spool.count === 0)
  const brought = peer.sessions.flat()
  assert.equal(brought.length, 60)
  assert.equal(new Set(brought).size, 60, 'each once')
  assert.ok(peer.sessions.length < 20, `${peer.sessions.length} connections`)
  assert.ok(peer.sessions.every(({ length }) => length <= 10))
})

test('a connection is kept for the next message, as long as the configuration says', async t => {
  const { peer, port } = await listening(t)
  for (const [rest, connections] of [
    ['1m', 1],
    ['0s', 3],
  ] as const) {
    peer.sessions.length = 0
    const lines = [`queue per-destination connections 3 messages 10 rest ${rest}`]
    const { server, spool, put, until } = await mailServer(t, port, lines)
    for (let i = 0; i < 3; i++) {
      await put(1)
      await until(() => spool.count === 0)
    }
    assert.equal(peer.sessions.length, connections)
    assert.equal(peer.sessions.flat().length, 3)
    // Nor is a stop held up by it.
    await server.stop({ grace: 10_000 })
    await until(() => peer.open === 0)
  }
})

test('a connection that was kept and is gone costs the next message nothing', async t => {
  const { peer, port } = await listening(t)
  const { spool, put, until } = await mailServer(t, port)
  await put(1)
  await until(() => spool.count === 0)
  for (const socket of peer.sockets) socket.end('421 4.4.2 idle too long\r\n')
  await put(1)
  // The schedule would have it wait for ten minutes.
  await until(() => spool.count === 0)
  assert.equal(peer.sessions.flat().length, 2)
})

test('nor do several that were kept and are all gone', async t => {
  const { peer, port } = await listening(t)
  const { spool, put, until } = await mailServer(t, port)
  await put(3)
  await until(() => spool.count === 0)
  assert.ok(peer.sockets.size > 1, `${peer.sockets.size} connections rest`)
  for (const socket of peer.sockets) socket.end('421 4.4.2 idle too long\r\n')
  await put(1)
  await until(() => spool.count === 0)
  assert.equal(peer.sessions.flat().length, 4)
})

test('a server that takes few messages over one connection gets the rest over others, at once', async t => {
  const { peer, port } = await listening(t)
  peer.most = 2
  const { spool, put, until } = await mailServer(t, port)
  await put(9)
  // The schedule waits ten minutes; none of them may have to.
  await until(() => spool.count === 0)
  assert.deepEqual(new Set(peer.sessions.flat()).size, 9)
})

test('a next hop that comes back gets all that waited for it, at the first sign of it', async t => {
  const [port = 0] = await freePorts(1)
  const { spool, put, until } = await mailServer(t, port, ['queue retry 200ms 1h'])
  await put(5)
  const waitAnHour = async () =>
    (await spool.list()).every(({ recipients: [state] }) => state?.kind === 'waiting' && state.attempts === 2)
  for (let i = 0; i < 300 && !(await waitAnHour()); i++) await sleep(20)
  assert.ok(await waitAnHour())
  const { peer } = await listening(t, port)
  // As long as a next hop is left alone after it was not there twice.
  await sleep(AWAY[1] ?? 0)
  assert.equal(peer.sessions.length, 0, 'nothing is due')
  await put(1)
  await until(() => spool.count === 0)
  assert.equal(new Set(peer.sessions.flat()).size, 6)
})

test('an operator who wants messages tried now has them tried, though their next hop was away a moment ago', async t => {
  const [port = 0] = await freePorts(1)
  const { server, spool, put, until } = await mailServer(t, port, ['queue retry 1h'])
  await put(3)
  const wait = async () => (await spool.list()).every(({ trail }) => trail.length > 1)
  for (let i = 0; i < 300 && !(await wait()); i++) await sleep(20)
  const { peer } = await listening(t, port)
  const { mta } = server
  const around = { ways: mta.routing.service, wake: () => mta.wake(), askAnyway: () => mta.askAnyway() }
  const { done } = await new QueueDesk(mta.config, spool, around).ask({ verb: 'retry', filter: {}, all: true })
  assert.equal(done.length, 3)
  await until(() => spool.count === 0)
  assert.equal(new Set(peer.sessions.flat()).size, 3)
})

/** Mail for all other domains goes where DNS says. */
const STRANGERS = ['mta-sts off', 'smtp-connector out cost 1 dns', 'address-space out smtp *']

/** A server that takes connections and says nothing. */
async function silence(t: After): Promise<{ readonly port: number; readonly sockets: Set<net.Socket> }> {
  const sockets = new Set<net.Socket>()
  const server = net.createServer(socket => {
    sockets.add(socket)
    socket.on('error', () => {}).on('close', () => sockets.delete(socket))
    socket.resume()
  })
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  t.after(() => server.close())
  return { port: (server.address() as net.AddressInfo).port, sockets }
}

test('next hops that say nothing hold up neither those that took mail before, nor for long those that never did', async t => {
  const [known, fresh, silent] = [await listening(t), await listening(t), await silence(t)]
  const { port } = silent
  const { spool, put, until } = await mailServer(
    t,
    known.port,
    ['queue all-destinations connections 6 unproven 4 patience 2s', ...STRANGERS, 'queue retry 1h'],
    { domains: { 'c.example': fresh.port, 's.example': port, 't.example': port, 'u.example': port } },
  )
  await put(1)
  await until(() => spool.count === 0)
  for (const domain of ['s.example', 't.example', 'u.example']) await put(5, domain)
  await until(() => silent.sockets.size === 4)
  await put(3)
  await until(() => known.peer.sessions.flat().length === 4)
  assert.equal(silent.sockets.size, 4, 'nobody had to go for it')
  await put(1, 'c.example')
  await until(() => fresh.peer.sessions.flat().length === 1)
  const said = (await spool.list()).flatMap(({ trail }) => trail.map(({ what }) => what)).join('\n')
  assert.match(said, /4\.4\.1 connector out s\.example: .*others needed the connection/)
  assert.match(said, /not tried, for the next hop is away/)
})

test('nor does a crowd of messages for one of them hold up the rest of the queue', async t => {
  const [known, silent] = [await listening(t), await silence(t)]
  const { spool, put, until } = await mailServer(t, known.port, [
    'queue all-destinations connections 200 unproven 100 patience 1s',
    `connector s to S cost 1 target 127.0.0.1 port ${silent.port}`,
    'address-space s smtp s.example',
    'queue retry 1h',
  ])
  await put(MAX_WORKING, 's.example')
  await until(() => silent.sockets.size > 0)
  await put(1)
  await until(() => known.peer.sessions.flat().length === 1)
  assert.equal(spool.count, MAX_WORKING)
})

test('nor do messages for many of them, however many there are, and those do not run in circles meanwhile', async t => {
  const [known, silent] = [await listening(t), await silence(t)]
  const count = MAX_WORKING + 500
  const names = Array.from({ length: count }, (_, i) => `s${i}.example`)
  const spool = new MemorySpool()
  let claimed = 0
  const claim = spool.claim.bind(spool)
  spool.claim = async (...how) => {
    const claims = await claim(...how)
    claimed += claims.length
    return claims
  }
  const { put, until } = await mailServer(
    t,
    known.port,
    ['local-domain c.example', 'mailbox bob@c.example', ...STRANGERS, 'queue retry 1h'],
    { spool, domains: Object.fromEntries(names.map(name => [name, silent.port])) },
  )
  await Promise.all(names.map(name => put(1, name)))
  await until(() => claimed === count && silent.sockets.size === 100)
  await put(1)
  await put(1, 'c.example')
  await until(() => spool.count === count)
  assert.equal(known.peer.sessions.flat().length, 1)
  assert.ok((await spool.list()).every(({ trail }) => trail.length === 1))
  assert.equal(claimed, count + 2)
  // Those that go make room for others, and nobody waits for a time to come.
  for (const socket of silent.sockets) socket.destroy()
  await until(() => silent.sockets.size === 100)
})

test('as long as nobody else needs its connection, one that says nothing has its five minutes', async t => {
  const silent = await silence(t)
  const { spool, put, until } = await mailServer(t, silent.port, [
    'queue all-destinations connections 6 unproven 4 patience 50ms',
  ])
  await put(1)
  await until(() => silent.sockets.size === 1)
  await sleep(500)
  assert.equal(silent.sockets.size, 1)
  assert.equal((await spool.list())[0]?.trail.length, 1)
})

test('asked to stop, it leaves alone what has not had its turn: it waits as it did, for the next start', async t => {
  // It greets nobody, so that a few sessions hang and everything else waits behind them.
  const silent = net.createServer(socket => socket.on('error', () => {})).listen(0, '127.0.0.1')
  await once(silent, 'listening')
  t.after(() => silent.close())
  const folder = mkdtempSync(join(tmpdir(), 'lanes-'))
  t.after(() => rmSync(folder, { recursive: true, force: true }))
  const { server, spool, put } = await mailServer(
    t,
    (silent.address() as net.AddressInfo).port,
    ['queue per-destination connections 2 messages 10'],
    { spool: LmdbSpool.open(folder) },
  )
  await put(20)
  await sleep(300)
  await server.stop({ grace: 200 })
  const trails = (await spool.list()).map(({ trail }) => trail.length)
  assert.equal(trails.length, 20)
  assert.equal(trails.filter(length => length > 1).length, 2, 'two were being tried')
  await spool.close()
})
