/** Mail that goes where DNS says: our server, a name server of the test’s, and servers on addresses of loopback. */
import assert from 'node:assert/strict'
import { Duplex } from 'node:stream'
import { test } from 'node:test'
import type { MtaWorld } from '../src/app/mta-world.ts'
import { type Around, Outgoing, type Turning } from '../src/app/outgoing.ts'
import { MemorySpool } from '../src/io/memory-spool.ts'
import { hopOf } from '../src/mta/hop.ts'
import type { Resolver } from '../src/mta/resolver.ts'
import { newEntry, sayOutcome } from '../src/spool/entry.ts'
import { freePorts } from '../tools/bench/process.ts'
import { type Answering, answering, handIn, leftToDns, relaying, run, until } from './mail-servers.ts'
import { nameServer, type Zone } from './name-server.ts'

type Test = { after(work: () => unknown): void }

/** Servers at one port of several addresses of loopback. */
async function servers(t: Test, answers: Readonly<Record<string, Parameters<typeof answering>[0]>>) {
  const [port = 0] = await freePorts(1)
  const all: Record<string, Answering> = {}
  for (const [ip, options] of Object.entries(answers)) {
    const server = await answering({ ...options, ip, port })
    t.after(() => server.close())
    all[ip] = server
  }
  const messages = (ip: string) => all[ip]?.connections.flatMap(each => each.messages).length ?? 0
  return { port, all, messages }
}

async function sender(t: Test, zone: Zone, port: number, ...more: readonly string[]) {
  const [own = 0] = await freePorts(1)
  const names = await nameServer(zone)
  t.after(() => names.close())
  const relays = await run([
    ...relaying(own),
    'local-domain a.example',
    'mailbox alice@a.example',
    'queue retry 1h',
    `dns server 127.0.0.1 port ${names.port}`,
    `smtp-connector out cost 1 dns port ${port}`,
    'address-space out smtp *',
    ...more,
  ])
  t.after(() => relays.stop())
  const why = () => [...relays.notes, ...relays.tried, ...relays.said].join('\n')
  return {
    relays,
    names,
    async send(to: string | readonly string[]) {
      const before = relays.tried.length
      assert.match(await handIn(own, { from: 'alice@a.example', to }), /^250/)
      const first = typeof to === 'string' ? to : ''
      const found = () => relays.tried.slice(before).find(each => each.includes(first) && !each.startsWith('<alice@'))
      await until(() => found() !== undefined, why)
      return found() ?? ''
    },
  }
}

const mx = (preference: number, exchange: string) => ({ preference, exchange })

test('mail goes to the best server that is there, and takes the next where one is away or turns it away', async t => {
  const { port, messages, all } = await servers(t, {
    '127.0.0.12': { answer: line => (line.startsWith('EHLO') ? '421 4.3.2 not now' : undefined) },
    '127.0.0.13': {},
    '127.0.0.14': {},
  })
  const { send, relays } = await sender(
    t,
    {
      'b.example MX': [mx(40, 'mx4'), mx(10, 'mx1.b.example'), mx(20, 'mx2.b.example'), mx(30, 'mx3.b.example')],
      // Nobody listens there.
      'mx1.b.example A': ['127.0.0.11'],
      'mx2.b.example A': ['127.0.0.12'],
      'mx3.b.example A': ['127.0.0.13'],
      'mx4 A': ['127.0.0.14'],
    },
    port,
  )
  assert.match(await send('bob@b.example'), /^<bob@b\.example> relayed to mx3\.b\.example \[127\.0\.0\.13\]: 250/)
  assert.equal(messages('127.0.0.13'), 1)
  assert.equal(messages('127.0.0.14'), 0)
  assert.equal(all['127.0.0.12']?.connections.length, 1)
  assert.ok(
    relays.notes.some(each =>
      /mx1\.b\.example \[127\.0\.0\.11\]: .* refused the connection; trying the next/.test(each),
    ),
  )
  assert.ok(
    relays.notes.some(each => /mx2\.b\.example \[127\.0\.0\.12\]: .*421 4\.3\.2 not now; trying the next/.test(each)),
  )
  // That one domain's servers are away says nothing of the way out.
  assert.ok(!relays.notes.some(each => each.includes('does not answer')))
})

test('a refusal of the message is its end: the next server is not asked', async t => {
  const { port, all } = await servers(t, {
    '127.0.0.12': { answer: line => (line.startsWith('RCPT') ? '550 5.1.1 nobody' : undefined) },
    '127.0.0.13': {},
  })
  const { send } = await sender(
    t,
    {
      'b.example MX': [mx(10, 'mx1.b.example'), mx(20, 'mx2.b.example')],
      'mx1.b.example A': ['127.0.0.12'],
      'mx2.b.example A': ['127.0.0.13'],
    },
    port,
  )
  assert.match(await send('bob@b.example'), /failed: 550 5\.1\.1 nobody/)
  assert.equal(all['127.0.0.13']?.connections.length, 0)
})

test('each domain has its own servers, and recipients of one domain share a connection', async t => {
  const { port, all, messages } = await servers(t, { '127.0.0.12': {}, '127.0.0.13': {}, '::1': {} })
  const { send } = await sender(
    t,
    {
      'b.example MX': [mx(10, 'mx.b.example')],
      'mx.b.example A': ['127.0.0.12'],
      'c.example A': ['127.0.0.13'],
      'six.example AAAA': ['::1'],
      'alias.example CNAME': ['c.example'],
    },
    port,
  )
  await send(['bob@b.example', 'carol@c.example', 'ann@B.example', 'six@six.example'])
  assert.deepEqual(
    all['127.0.0.12']?.connections.map(({ lines }) => lines.filter(line => line.startsWith('RCPT'))),
    [['RCPT TO:<bob@b.example>', 'RCPT TO:<ann@B.example>']],
  )
  assert.deepEqual([messages('127.0.0.13'), messages('::1')], [1, 1])
  // No MX, and an alias: still the address behind it.
  assert.match(await send('dave@alias.example'), /relayed to alias\.example \[127\.0\.0\.13\]/)
  assert.match(await send('lit@[127.0.0.12]'), /relayed to out \[127\.0\.0\.12\] \[127\.0\.0\.12\]/)
  assert.match(await send('lit@[IPv6:::1]'), /relayed to out \[ipv6:::1\] \[::1\]/)
})

test('what DNS says for good comes back, with its reason; what it cannot say waits', async t => {
  const { port } = await servers(t, { '127.0.0.12': {} })
  const { send, relays } = await sender(
    t,
    {
      'null.example MX': [mx(0, '.')],
      'broken.example MX': 'SERVFAIL',
      'loop.example MX': [mx(10, 'mail-a.a.example')],
      'lost.example MX': [mx(10, 'nowhere.example')],
      'bare.example TXT': ['nothing'],
    },
    port,
  )
  for (const [domain, said] of [
    ['nothing.example', /failed: 5\.1\.2 there is no domain nothing\.example/],
    ['null.example', /failed: 5\.1\.10 null\.example takes no mail/],
    ['loop.example', /failed: 5\.4\.6 /],
    ['lost.example', /failed: 5\.4\.4 /],
    ['bare.example', /failed: 5\.1\.2 /],
    ['broken.example', /deferred: 4\.4\.3 .*SERVFAIL.*; next try in 1h/],
  ] as const) {
    assert.match(await send(`bob@${domain}`), said)
  }
  const report = await relays.arrived('alice@a.example', /bob@nothing\.example/)
  assert.match(report, /^Status: 5\.1\.2\r$/m)
})

test('a server that is another name of ours is not gone to, nor those behind it, nor our own address', async t => {
  const [own = 0] = await freePorts(1)
  const names = await nameServer({
    'b.example MX': [mx(10, 'us.example'), mx(20, 'mx2.example')],
    'us.example A': ['127.0.0.1'],
    'mx2.example A': ['127.0.0.13'],
  })
  t.after(() => names.close())
  for (const door of ['127.0.0.1', '0.0.0.0']) {
    const relays = await run([
      'hostname mail-a.a.example',
      `listen ${door} port ${own}`,
      'relay-from 127.0.0.0 255.0.0.0',
      `dns server 127.0.0.1 port ${names.port}`,
      `smtp-connector out cost 1 dns port ${own}`,
      'address-space out smtp *',
    ])
    const all = ['bob@b.example', 'bob@[127.0.0.1]', 'bob@[0.0.0.0]', 'bob@[IPv6:::ffff:127.0.0.1]']
    await handIn(own, { from: '', to: all })
    await until(
      () => relays.tried.length >= all.length,
      () => relays.said.join('\n'),
    )
    for (const each of relays.tried) assert.match(each, /failed: 5\.4\.6 .*comes back to us/)
    await relays.stop()
  }
})

test('relaying stays closed: a way by DNS for every domain is nobody’s but of who may relay', async t => {
  const [own = 0] = await freePorts(1)
  const closed = await run([
    'hostname mail-a.a.example',
    `listen 127.0.0.1 port ${own}`,
    'dns server 127.0.0.1 port 9',
    'smtp-connector out cost 1 dns',
    'address-space out smtp *',
  ])
  t.after(() => closed.stop())
  await assert.rejects(handIn(own, { from: 'alice@a.example', to: 'bob@b.example' }), /RCPT TO:/)
})

test('servers that say nothing have one time together, and not each its own', async () => {
  const { config, connector } = leftToDns()
  const records: Readonly<Record<string, readonly unknown[]>> = {
    'b.example MX': [mx(10, 'one.b.example'), mx(20, 'two.b.example')].map(each => ({ ...each, host: each.exchange })),
    'one.b.example A': ['192.0.2.1'],
    'two.b.example A': ['192.0.2.2'],
  }
  const resolver = {
    resolve: async (name: string, type: string) => {
      const found = records[`${name} ${type}`]
      return found ? { kind: 'found', records: found, isSecure: false } : { kind: 'empty', isSecure: false }
    },
  } as unknown as Resolver
  const dialled: string[] = []
  const dial = async (host: string) => {
    dialled.push(host)
    return new Duplex({ read() {}, write: (_octets, _encoding, done) => done() })
  }
  const world = { spool: new MemorySpool(), files: new Map(), dial, resolver } as unknown as MtaWorld
  const around: Around = { hold() {}, serve() {}, reached() {}, talk: () => undefined }
  const to = { local: 'bob', domain: 'b.example' }
  const envelope = { from: null, recipients: [{ to }], smtputf8: false, body: '7bit' } as const
  const entry = newEntry({ id: 'E1', envelope, at: 0, expire: 1000, what: '' })
  const outcomes: string[] = []
  const turning: Turning = {
    entry,
    recipients: [0],
    done: async settled => outcomes.push(...[...settled.values()].map(sayOutcome)),
  }
  await new Outgoing(config, world, around, 100).relay(hopOf(connector, to), turning, async () => undefined)
  assert.deepEqual(dialled, ['192.0.2.1'])
  assert.match(outcomes.join(), /^deferred: 4\.4\.1 .*no time left for another server$/)
})
