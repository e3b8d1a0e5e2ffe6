import assert from 'node:assert/strict'
import dgram from 'node:dgram'
import { once } from 'node:events'
import { test } from 'node:test'
import packet from 'dns-packet'
import { DnsResolver, systemServers } from '../src/io/resolver.ts'
import type { RecordType } from '../src/mta/resolver.ts'
import { type NameServerOptions, nameServer, type Zone } from './name-server.ts'

type Test = { after(work: () => unknown): void }

async function asking(t: Test, zone: Zone, options: NameServerOptions & { readonly trusted?: boolean } = {}) {
  const server = await nameServer(zone, options)
  t.after(() => server.close())
  const { trusted = false } = options
  const resolver = new DnsResolver([{ ip: '127.0.0.1', port: server.port, trusted }], { wait: 200 })
  const ask = async (name: string, type: RecordType) => {
    const answer = await resolver.resolve(name, type)
    return 'records' in answer ? answer.records : answer.kind === 'failed' ? answer.why : answer.kind
  }
  return { server, resolver, ask }
}

test('a resolver tells what is there, what is empty, what does not exist, and what nobody could say', async t => {
  const { ask } = await asking(t, {
    'b.example MX': [
      { preference: 10, exchange: 'mx.b.example' },
      { preference: 0, exchange: '.' },
    ],
    'b.example A': ['192.0.2.1', '192.0.2.2'],
    'b.example AAAA': ['2001:db8::1'],
    'b.example TXT': [['v=STSv1; ', 'id=1']],
    '_25._tcp.b.example TLSA': [{ usage: 3, selector: 1, matchingType: 1, certificate: Buffer.from('abc') }],
    'broken.example MX': 'SERVFAIL',
    'silent.example MX': 'silence',
  })
  assert.deepEqual(await ask('B.Example', 'MX'), [
    { preference: 10, host: 'mx.b.example' },
    { preference: 0, host: '' },
  ])
  assert.deepEqual(await ask('b.example', 'A'), ['192.0.2.1', '192.0.2.2'])
  assert.deepEqual(await ask('b.example', 'AAAA'), ['2001:db8::1'])
  assert.deepEqual(await ask('b.example', 'TXT'), ['v=STSv1; id=1'])
  const [tlsa] = (await ask('_25._tcp.b.example', 'TLSA')) as readonly { readonly data: Uint8Array }[]
  assert.deepEqual(tlsa, { usage: 3, selector: 1, matching: 1, data: new Uint8Array(Buffer.from('abc')) })
  assert.equal(await ask('_25._tcp.b.example', 'A'), 'empty')
  assert.equal(await ask('nothing.example', 'MX'), 'no-such-name')
  assert.equal(await ask('broken.example', 'MX'), '127.0.0.1 says SERVFAIL of broken.example')
  assert.equal(await ask('silent.example', 'MX'), '127.0.0.1 did not answer in time')
  for (const name of ['', '.', 'a..b', `${'a'.repeat(64)}.example`, 'a b.example', '[192.0.2.1]'])
    assert.equal(await ask(name, 'MX'), 'no-such-name', name)
})

test('a name is asked for as domains are compared: numbers stay what they are, and a look-alike is nobody', async t => {
  const { ask } = await asking(t, {
    '163.com A': ['192.0.2.163'],
    '0x10.example A': ['192.0.2.16'],
    '4294967296.example A': ['192.0.2.96'],
    'bank.example A': ['192.0.2.1'],
    'xn--bcher-kva.example A': ['192.0.2.2'],
  })
  assert.deepEqual(await ask('163.com', 'A'), ['192.0.2.163'])
  assert.deepEqual(await ask('0X10.example', 'A'), ['192.0.2.16'])
  assert.deepEqual(await ask('4294967296.example', 'A'), ['192.0.2.96'])
  assert.deepEqual(await ask('Bücher.example', 'A'), ['192.0.2.2'])
  // Full width, an ideographic stop, a soft hyphen, the sign for kelvin.
  for (const odd of ['ｂank.example', 'bank\u3002example', 'ba\u00adnk.example', 'ban\u212a.example'])
    assert.equal(await ask(odd, 'A'), 'no-such-name', odd)
})

test('it follows an alias, also where the answer holds nothing but the alias, and not for ever', async t => {
  const { ask } = await asking(t, {
    'alias.example CNAME': ['real.example'],
    'real.example A': ['192.0.2.1'],
    'one.example CNAME': ['other.example'],
    'other.example CNAME': ['one.example'],
  })
  assert.deepEqual(await ask('alias.example', 'A'), ['192.0.2.1'])
  assert.equal(await ask('alias.example', 'MX'), 'empty')
  const bare = dgram.createSocket('udp4')
  bare.on('message', (query, from) => {
    const { id = 0, questions = [] } = packet.decode(query)
    const name = questions[0]?.name ?? ''
    const answers =
      name === 'end.example'
        ? [{ name, type: 'A' as const, ttl: 1, data: '192.0.2.9' }]
        : [{ name, type: 'CNAME' as const, ttl: 1, data: name === 'loop.example' ? name : 'end.example' }]
    bare.send(packet.encode({ type: 'response', id, questions, answers }), from.port, from.address)
  })
  bare.bind(0, '127.0.0.1')
  await once(bare, 'listening')
  t.after(() => bare.close())
  const resolver = new DnsResolver([{ ip: '127.0.0.1', port: bare.address().port, trusted: false }], { wait: 200 })
  assert.deepEqual(await resolver.resolve('start.example', 'A'), {
    kind: 'found',
    records: ['192.0.2.9'],
    isSecure: false,
  })
  assert.equal((await resolver.resolve('loop.example', 'A')).kind, 'empty')
})

test('what does not fit in a datagram is asked for by TCP', async t => {
  const records = Array.from({ length: 500 }, (_, i) => ({ preference: i, exchange: `mx${i}.b.example` }))
  const { ask } = await asking(t, { 'b.example MX': records }, { truncates: true })
  assert.equal((await ask('b.example', 'MX')).length, 500)
})

test('an answer is remembered for as long as it says, a failure not at all, and one question is asked once', async t => {
  const { ask, server } = await asking(t, { 'b.example A': ['192.0.2.1'], 'c.example A': 'SERVFAIL' })
  await Promise.all([ask('b.example', 'A'), ask('b.example', 'A')])
  await ask('b.example', 'A')
  await ask('gone.example', 'A')
  await ask('gone.example', 'A')
  await ask('c.example', 'A')
  await ask('c.example', 'A')
  const asked = Object.entries(Object.groupBy(server.asked, each => each)).map(([name, all]) => [name, all?.length])
  assert.deepEqual(asked, [
    ['b.example A', 1],
    ['gone.example A', 1],
    ['c.example A', 4],
  ])
  const brief = await asking(t, { 'b.example A': ['192.0.2.1'] }, { ttl: 0 })
  await brief.ask('b.example', 'A')
  await brief.ask('b.example', 'A')
  assert.equal(brief.server.asked.length, 2)
})

test('an answer is secure only where a server that is trusted says so', async t => {
  const zone = { 'b.example A': ['192.0.2.1'], 'alias.example CNAME': ['b.example'] }
  for (const [secure, trusted] of [
    [true, true],
    [true, false],
    [false, true],
  ] as const) {
    const { resolver } = await asking(t, zone, { secure, trusted })
    const answers = await Promise.all(['b.example', 'alias.example'].map(name => resolver.resolve(name, 'A')))
    for (const answer of answers) assert.equal('isSecure' in answer && answer.isSecure, secure && trusted)
    const none = await resolver.resolve('b.example', 'MX')
    assert.equal('isSecure' in none && none.isSecure, secure && trusted)
  }
})

test('answers that nobody asked for are passed over, whatever octets they have', async t => {
  const socket = dgram.createSocket('udp4')
  socket.on('message', (query, from) => {
    const { id = 0, questions = [] } = packet.decode(query)
    const say = (octets: Buffer) => socket.send(octets, from.port, from.address)
    const answer = (data: string, more: object = {}) =>
      packet.encode({
        type: 'response',
        id,
        questions,
        answers: [{ name: 'b.example', type: 'A', ttl: 1, data }],
        ...more,
      })
    say(Buffer.from([]))
    say(Buffer.from([id >> 8, id & 255, 0x80, 0, 0, 1, 255, 255, 0xc0, 12]))
    say(Buffer.alloc(500, 0xc0))
    say(answer('203.0.113.1', { id: (id + 1) & 0xffff }))
    say(answer('203.0.113.2', { questions: [{ type: 'A', name: 'c.example' }] }))
    say(answer('203.0.113.3', { type: 'query' }))
    say(answer('203.0.113.4', { questions: [] }))
    say(answer('203.0.113.5', { questions: [{ type: 'AAAA', name: 'b.example' }] }))
    say(answer('203.0.113.6', { questions: [{ type: 'A', name: 'b.example', class: 'CH' }] }))
    say(answer('203.0.113.7', { questions: [...questions, { type: 'A', name: 'c.example' }] }))
    say(answer('192.0.2.1'))
  })
  socket.bind(0, '127.0.0.1')
  await once(socket, 'listening')
  t.after(() => socket.close())
  const resolver = new DnsResolver([{ ip: '127.0.0.1', port: socket.address().port, trusted: false }])
  const found = await resolver.resolve('b.example', 'A')
  assert.deepEqual(found, { kind: 'found', records: ['192.0.2.1'], isSecure: false })
})

/** Answers each query over UDP by a function of it. */
async function responder(t: Test, answer: (query: packet.DecodedPacket) => packet.Packet): Promise<DnsResolver> {
  const socket = dgram.createSocket('udp4')
  socket.on('message', (query, from) =>
    socket.send(packet.encode(answer(packet.decode(query))), from.port, from.address),
  )
  socket.bind(0, '127.0.0.1')
  await once(socket, 'listening')
  t.after(() => socket.close())
  return new DnsResolver([{ ip: '127.0.0.1', port: socket.address().port, trusted: false }], { wait: 200 })
}

test('a record counts only under the name, the type and the class that were asked for', async t => {
  const at = (more: object): packet.Answer => ({ name: 'b.example', type: 'A', ttl: 1, data: '203.0.113.1', ...more })
  const resolver = await responder(t, ({ id, questions }) => ({
    type: 'response',
    id,
    questions,
    answers: [
      at({ class: 'CH' }),
      at({ name: 'c.example' }),
      at({ type: 'AAAA', data: '2001:db8::1' }),
      at({ name: 'B.Example', data: '192.0.2.1' }),
    ],
  }))
  const found = await resolver.resolve('b.example', 'A')
  assert.deepEqual('records' in found && found.records, ['192.0.2.1'])
})

test('a server that knows no EDNS is asked again without, whether it says so by FORMERR or NOTIMP, with the question or not', async t => {
  for (const [rcode, repeats] of [
    [1, true],
    [1, false],
    [4, true],
    [4, false],
  ] as const) {
    let count = 0
    const resolver = await responder(t, ({ id, questions = [], additionals = [] }) => {
      count++
      const hasEdns = additionals.length > 0
      const answers = hasEdns ? [] : [{ name: 'b.example', type: 'A' as const, ttl: 1, data: '192.0.2.1' }]
      const flags = hasEdns ? rcode : 0
      return { type: 'response', id, flags, questions: hasEdns && !repeats ? [] : questions, answers }
    })
    const found = await resolver.resolve('b.example', 'A')
    assert.deepEqual('records' in found && found.records, ['192.0.2.1'], `${rcode} ${repeats}`)
    assert.equal(count, 2)
  }
  // What it does not understand without EDNS either, it does not understand.
  const deaf = await responder(t, ({ id, questions }) => ({ type: 'response', id, flags: 1, questions }))
  const answer = await deaf.resolve('b.example', 'A')
  assert.match('why' in answer ? answer.why : '', /says FORMERR of b\.example$/)
})

test('the next server is asked where the first does not know', async t => {
  const server = await nameServer({ 'b.example A': ['192.0.2.1'] })
  t.after(() => server.close())
  const broken = await nameServer({ 'b.example A': 'SERVFAIL' })
  t.after(() => broken.close())
  const at = ({ port }: { readonly port: number }) => ({ ip: '127.0.0.1', port, trusted: false })
  const resolver = new DnsResolver([at(broken), at(server)], { wait: 200 })
  assert.equal((await resolver.resolve('b.example', 'A')).kind, 'found')
  for (const { ip, port } of systemServers()) assert.ok(ip !== '' && port > 0)
})
