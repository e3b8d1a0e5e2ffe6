/** What domains say of their TLS, and whether we hold their servers to it: DANE, MTA-STS, and lines of our own. */
import assert from 'node:assert/strict'
import { createHash, X509Certificate } from 'node:crypto'
import { readFileSync, writeFileSync } from 'node:fs'
import https from 'node:https'
import net, { type AddressInfo } from 'node:net'
import { join } from 'node:path'
import { before, describe, test } from 'node:test'
import tls from 'node:tls'
import { Destinations } from '../src/app/destinations.ts'
import { StsPolicies } from '../src/app/sts.ts'
import { MemorySpool } from '../src/io/memory-spool.ts'
import { fetchPolicy } from '../src/io/policy.ts'
import { hopOf } from '../src/mta/hop.ts'
import type { DnsAnswer, Resolver } from '../src/mta/resolver.ts'
import { freePorts } from '../tools/bench/process.ts'
import { type Certificates, makeCertificates } from './certificates.ts'
import { answering, handIn, leftToDns, ROOT, relaying, run, until } from './mail-servers.ts'
import { nameServer, type Zone } from './name-server.ts'

type Test = { after(work: () => unknown): void }

let certified: Certificates
let chained: string
before(() => {
  certified = makeCertificates(join(ROOT, 'certificates'), ['mx.b.example', 'mta-sts.b.example'])
  chained = join(ROOT, 'chain.pem')
  writeFileSync(chained, readFileSync(certified.certificate, 'utf8') + readFileSync(certified.authority, 'utf8'))
})

const certificate = (file: string) => new X509Certificate(readFileSync(file))
const sha256 = (octets: Uint8Array) => createHash('sha256').update(octets).digest()
const spki = (file: string) => certificate(file).publicKey.export({ type: 'spki', format: 'der' })
const record = (usage: number, selector: number, matchingType: number, data: Uint8Array) => ({
  usage,
  selector,
  matchingType,
  certificate: Buffer.from(data),
})

interface Setting {
  readonly zone?: (port: number) => Zone
  readonly secure?: boolean | ((name: string) => boolean)
  /** The receiving server's lines of TLS. */
  readonly shows?: readonly string[]
  readonly lines?: readonly string[]
  readonly fetchPolicy?: () => Promise<string>
}

/** Mail for b.example, from a server of ours to another, over what DNS says; what became of it. */
async function sent(
  t: Test,
  { zone = () => ({}), secure = false, shows, lines = [], fetchPolicy }: Setting,
  messages = 1,
) {
  const [own = 0, port = 0] = await freePorts(2)
  const receiver = await run([
    'hostname mx.b.example',
    `listen 127.0.0.1 port ${port}`,
    'local-domain b.example',
    'mailbox bob@b.example',
    ...(shows ?? [`tls certificate ${chained} key ${certified.key}`]),
  ])
  t.after(() => receiver.stop())
  const names = await nameServer(
    {
      'b.example MX': [{ preference: 10, exchange: 'mx.b.example' }],
      'mx.b.example A': ['127.0.0.1'],
      ...zone(port),
    },
    { secure },
  )
  t.after(() => names.close())
  const sender = await run(
    [
      ...relaying(own),
      'queue retry 1h',
      `dns server 127.0.0.1 port ${names.port} trusted`,
      `smtp-connector out cost 1 dns port ${port}`,
      'address-space out smtp *',
      ...lines,
    ],
    { ...(fetchPolicy && { fetchPolicy }) },
  )
  t.after(() => sender.stop())
  for (let i = 1; i <= messages; i++) {
    await handIn(own, { from: 'alice@a.example', to: 'bob@b.example' })
    await until(
      () => sender.tried.length === i,
      () => [...sender.notes, ...sender.said].join('\n'),
    )
  }
  const wasSecret = sender.said.includes('out C: STARTTLS')
  return { outcome: `${sender.tried.at(-1)}${wasSecret ? ' under TLS' : ' in clear'}`, sender, names }
}

const tlsa =
  (...records: readonly unknown[]) =>
  (port: number) => ({ [`_${port}._tcp.mx.b.example TLSA`]: records })
const IN_CLEAR: readonly string[] = []

describe('DANE', () => {
  test('a certificate that the records name is proven, whoever signed it: by itself, by its key, by its authority', async t => {
    const authority = certificate(certified.authority)
    for (const records of [
      tlsa(record(3, 1, 1, sha256(spki(certified.certificate)))),
      tlsa(record(3, 0, 0, certificate(certified.certificate).raw)),
      tlsa(record(2, 0, 1, sha256(authority.raw)), record(1, 0, 1, Buffer.alloc(32))),
      tlsa(
        record(3, 1, 1, Buffer.alloc(32)),
        record(2, 1, 2, createHash('sha512').update(spki(certified.authority)).digest()),
      ),
    ]) {
      const { outcome } = await sent(t, { zone: records, secure: true })
      assert.match(outcome, /relayed to mx\.b\.example \[127\.0\.0\.1\].* under TLS$/)
    }
  })

  test('any other waits, and so does mail for a server without TLS', async t => {
    const wrong = tlsa(record(3, 1, 1, Buffer.alloc(32)))
    const { outcome } = await sent(t, { zone: wrong, secure: true })
    assert.match(
      outcome,
      /deferred: 4\.7\.5 DANE for mx\.b\.example requires a proven certificate: .* match no TLSA record/,
    )
    const { outcome: clear } = await sent(t, { zone: wrong, secure: true, shows: IN_CLEAR })
    assert.match(clear, /deferred: 4\.7\.0 DANE for mx\.b\.example requires TLS, which is not offered.* in clear$/)
  })

  test('an authority vouches for the name, and only where it is shown', async t => {
    const anchor = record(2, 0, 1, sha256(certificate(certified.authority).raw))
    const others = makeCertificates(join(ROOT, 'others'), ['other.example'])
    const shown = join(ROOT, 'others.pem')
    writeFileSync(shown, readFileSync(others.certificate, 'utf8') + readFileSync(others.authority, 'utf8'))
    const other = record(2, 0, 1, sha256(certificate(others.authority).raw))
    const shows = [`tls certificate ${shown} key ${others.key}`]
    assert.match(
      (await sent(t, { zone: tlsa(other), secure: true, shows })).outcome,
      /4\.7\.5 .* for none of mx\.b\.example/,
    )
    assert.match(
      (await sent(t, { zone: tlsa(anchor), secure: true, shows })).outcome,
      /4\.7\.5 .* match no TLSA record/,
    )
  })

  test('records that we cannot use ask for TLS, with whomever', async t => {
    const zone = tlsa(record(1, 0, 1, Buffer.alloc(32)), record(3, 1, 1, Buffer.alloc(31)))
    assert.match((await sent(t, { zone, secure: true })).outcome, /relayed .* under TLS$/)
    const { outcome } = await sent(t, { zone, secure: true, shows: IN_CLEAR })
    assert.match(outcome, /deferred: 4\.7\.0 DANE for mx\.b\.example requires TLS/)
  })

  test('what no DNSSEC vouches for is no record: of the list, of the address, or of itself', async t => {
    const zone = tlsa(record(3, 1, 1, Buffer.alloc(32)))
    for (const unproven of ['b.example', 'mx.b.example', 'tcp']) {
      const secure = (name: string) => (unproven === 'tcp' ? !name.startsWith('_') : name !== unproven)
      assert.match((await sent(t, { zone, secure })).outcome, /relayed/, unproven)
    }
  })

  test('what a server without records does to TLS is no leave to go in clear to one that has some', async t => {
    const [own = 0, port = 0] = await freePorts(2)
    let connections = 0
    const first = await answering({
      ip: '127.0.0.11',
      port,
      offers: ['STARTTLS'],
      answer(line) {
        if (line.startsWith('STARTTLS')) return '454 4.7.0 not now'
        return line.startsWith('EHLO') && ++connections > 1 ? '421 4.3.2 not now' : undefined
      },
    })
    t.after(() => first.close())
    const second = await answering({ ip: '127.0.0.12', port })
    t.after(() => second.close())
    const names = await nameServer(
      {
        'b.example MX': [
          { preference: 10, exchange: 'mx1.b.example' },
          { preference: 20, exchange: 'mx2.b.example' },
        ],
        'mx1.b.example A': ['127.0.0.11'],
        'mx2.b.example A': ['127.0.0.12'],
        [`_${port}._tcp.mx2.b.example TLSA`]: [record(3, 1, 1, Buffer.alloc(32))],
      },
      { secure: true },
    )
    t.after(() => names.close())
    const sender = await run([
      ...relaying(own),
      'queue retry 1h',
      `dns server 127.0.0.1 port ${names.port} trusted`,
      `smtp-connector out cost 1 dns port ${port}`,
      'address-space out smtp *',
    ])
    t.after(() => sender.stop())
    await handIn(own, { from: 'alice@a.example', to: 'bob@b.example' })
    await until(
      () => sender.tried.length === 1,
      () => [...sender.notes, ...sender.said].join('\n'),
    )
    // In clear with the first, which asks for no more, and on to the second.
    assert.equal(connections, 2)
    assert.match(sender.tried[0] ?? '', /deferred: 4\.7\.0 DANE for mx2\.b\.example requires TLS, which is not offered/)
    assert.deepEqual(
      second.connections.flatMap(({ messages }) => messages),
      [],
    )
  })

  test('where it cannot be told whether there are records, mail waits', async t => {
    const { outcome } = await sent(t, {
      zone: port => ({ [`_${port}._tcp.mx.b.example TLSA`]: 'SERVFAIL' }),
      secure: true,
    })
    assert.match(outcome, /deferred: 4\.4\.3 .*_tcp\.mx\.b\.example: .*SERVFAIL/)
  })
})

const policy = (mode: string, ...mx: readonly string[]) =>
  `version: STSv1\nmode: ${mode}\n${mx.map(each => `mx: ${each}\n`).join('')}max_age: 3600\n`
const STS = () => ({ '_mta-sts.b.example TXT': ['v=STSv1; id=1'] })

describe('MTA-STS', () => {
  test('an enforced policy wants a certificate that is trusted, of a server that it names', async t => {
    const enforced = (...mx: readonly string[]): Setting => ({
      zone: STS,
      fetchPolicy: () => Promise.resolve(policy('enforce', ...mx)),
    })
    const { outcome } = await sent(t, enforced('mx.b.example'))
    assert.match(
      outcome,
      /deferred: 4\.7\.5 the MTA-STS policy of b\.example requires a proven certificate: .*not trusted/,
    )
    const { outcome: clear } = await sent(t, { ...enforced('*.b.example'), shows: IN_CLEAR })
    assert.match(clear, /deferred: 4\.7\.0 the MTA-STS policy of b\.example requires TLS/)
    const known = tls.getCACertificates('default')
    tls.setDefaultCACertificates([...known, readFileSync(certified.authority, 'utf8')])
    t.after(() => tls.setDefaultCACertificates(known))
    assert.match((await sent(t, enforced('mx.b.example'))).outcome, /relayed .* under TLS$/)
    const { outcome: stranger } = await sent(t, enforced('mail.b.example'))
    assert.match(
      stranger,
      /deferred: 4\.7\.5 the MTA-STS policy of b\.example names none of its servers: mx\.b\.example/,
    )
  })

  test('testing and none let mail go; a testing policy says what it would have kept', async t => {
    for (const mode of ['testing', 'none']) {
      const fetch = () => Promise.resolve(policy(mode, 'mail.b.example'))
      const { outcome, sender } = await sent(t, { zone: STS, fetchPolicy: fetch })
      assert.match(outcome, /relayed/)
      const notes = sender.notes.filter(each =>
        each.includes('policy of b.example (testing) does not name mx.b.example'),
      )
      assert.equal(notes.length, mode === 'testing' ? 1 : 0)
    }
  })

  test('a policy that cannot be had is none, and is not asked for at every message', async t => {
    let asked = 0
    const fetch = () => Promise.reject(new Error(`down, ${++asked}`))
    const { outcome, sender } = await sent(t, { zone: STS, fetchPolicy: fetch }, 2)
    assert.match(outcome, /relayed/)
    assert.equal(asked, 1)
    assert.ok(sender.notes.includes('the MTA-STS policy of b.example cannot be had: down, 1'))
  })

  test('DANE is not done away with by a policy, nor either by a line that says less; a stricter line has the last word', async t => {
    const wrong = tlsa(record(3, 1, 1, Buffer.alloc(32)))
    const fetch = () => Promise.resolve(policy('enforce', 'mx.b.example'))
    const both = (port: number) => ({ ...STS(), ...wrong(port) })
    const setting = { zone: both, secure: true, fetchPolicy: fetch }
    assert.match((await sent(t, setting)).outcome, /4\.7\.5 DANE for mx\.b\.example/)
    const fingerprint = certificate(certified.certificate).fingerprint256
    const pinned = await sent(t, { ...setting, lines: [`destination-tls b.example pinned ${fingerprint}`] })
    assert.match(pinned.outcome, /relayed .* under TLS$/)
    const alone = { ...setting, zone: STS, lines: ['destination-tls b.example require'] }
    assert.match((await sent(t, alone)).outcome, /4\.7\.5 the MTA-STS policy of b\.example requires a proven/)
    const never = await sent(t, { ...setting, lines: ['destination-tls b.example none'] })
    assert.match(never.outcome, /relayed .* in clear$/)
  })

  test('a policy holds until it runs out, whatever becomes of its record, and over a restart', async () => {
    let answer: DnsAnswer<string> = { kind: 'found', records: ['v=STSv1; id=1'], isSecure: false }
    const resolver = { resolve: () => Promise.resolve(answer) } as unknown as Resolver
    let text: string | undefined = policy('enforce', 'mx.b.example')
    let asked = 0
    const fetch = () => {
      asked++
      return text === undefined ? Promise.reject(new Error('gone')) : Promise.resolve(text)
    }
    const file = join(ROOT, 'mta-sts.json')
    const policies = new StsPolicies({ resolver, fetch, file })
    const mode = async (from = policies) => (await from.of('B.example'))?.mode
    assert.deepEqual([await mode(), await mode(), asked], ['enforce', 'enforce', 1])
    for (const gone of [
      { kind: 'no-such-name', isSecure: false },
      { kind: 'failed', why: 'SERVFAIL' },
    ] as const) {
      answer = gone
      assert.equal(await mode(), 'enforce')
    }
    assert.equal(await mode(new StsPolicies({ resolver, fetch, file })), 'enforce')
    answer = { kind: 'found', records: ['v=STSv1; id=2'], isSecure: false }
    text = undefined
    assert.deepEqual([await mode(), asked], ['enforce', 2])
    // A file that somebody spoilt is no policy, and no harm.
    for (const spoilt of ['', 'null', '{"b.example":{"id":1}}', '{"b.example":{"id":"1","until":9e15,"policy":{}}}']) {
      writeFileSync(file, spoilt)
      answer = { kind: 'no-such-name', isSecure: false }
      assert.equal(await mode(new StsPolicies({ resolver, fetch, file })), undefined)
    }
  })

  test('a policy is fetched again long before it ends, while its mail goes on, and one that cannot be had holds till then', async t => {
    t.mock.timers.enable({ apis: ['Date'], now: 1_000_000 })
    const { timers } = t.mock
    let [asked, text] = [0, `${policy('enforce', 'mx.b.example').replace('3600', '1209600')}`]
    const fetch = async () => {
      asked++
      if (text === '') throw new Error('gone')
      return text
    }
    const resolver: Resolver = {
      resolve: async (_name: string, type: string) =>
        (type === 'TXT'
          ? { kind: 'found', records: ['v=STSv1; id=1'], isSecure: false }
          : { kind: 'empty', isSecure: false }) as DnsAnswer<never>,
    }
    const policies = new StsPolicies({ resolver, fetch })
    const day = 86_400_000
    const after = async (days: number): Promise<string> => {
      timers.setTime(1_000_000 + days * day)
      const mode = (await policies.of('b.example'))?.mode
      // Behind the mail that had it renewed.
      await new Promise(resolve => setImmediate(resolve))
      return `${mode} ${asked}`
    }
    assert.deepEqual(
      [await after(0), await after(0.9), await after(1), await after(1.9)],
      ['enforce 1', 'enforce 1', 'enforce 2', 'enforce 2'],
    )
    text = ''
    // Fourteen days from when it was fetched last.
    assert.deepEqual(
      [await after(3), await after(3.001), await after(14.9), await after(15)],
      ['enforce 3', 'enforce 3', 'enforce 4', 'undefined 5'],
    )
    text = policy('enforce', 'mx.b.example')
    assert.equal(await after(15.1), 'enforce 6')
    // One that holds for an hour is renewed after half of it.
    assert.deepEqual([await after(15.1 + 0.4 / 24), await after(15.1 + 0.6 / 24)], ['enforce 6', 'enforce 7'])
  })

  test('a policy is renewed though no mail goes by it, for thirty days after the last that did', async t => {
    t.mock.timers.enable({ apis: ['Date'], now: 1_000_000 })
    const day = 86_400_000
    let asked = 0
    const fetch = async () => {
      asked++
      return policy('enforce', 'mx.b.example').replace('3600', '1209600')
    }
    let record: DnsAnswer<string> = { kind: 'found', records: ['v=STSv1; id=1'], isSecure: false }
    const resolver: Resolver = {
      resolve: async (_name: string, type: string) =>
        (type === 'TXT' ? record : { kind: 'empty', isSecure: false }) as DnsAnswer<never>,
    }
    const file = join(ROOT, 'renewed-sts.json')
    const open = () => new StsPolicies({ resolver, fetch, file })
    let policies = open()
    const after = async (days: number): Promise<number> => {
      t.mock.timers.setTime(1_000_000 + days * day)
      await policies.renewAll()
      return asked
    }
    assert.equal((await policies.of('b.example'))?.mode, 'enforce')
    assert.deepEqual([await after(0.9), await after(1.1), await after(1.2)], [1, 2, 2])
    // It is written down: another one goes on from there.
    policies = open()
    for (let days = 2; days < 30; days += 1.1) await after(days)
    const then = asked
    assert.ok(then >= 25, `${then}`)
    const kept = (): number => Object.keys(JSON.parse(readFileSync(file, 'utf8'))).length
    assert.deepEqual([await after(31), await after(40), kept()], [then, then, 1])
    assert.equal((await policies.of('b.example'))?.mode, 'enforce')
    // Mail that goes by it begins the thirty days anew, and had it renewed, too.
    assert.deepEqual([await after(40.5), await after(42)], [then + 1, then + 2])
    // A record that is gone is no reason to fetch; what was promised ends when it said.
    record = { kind: 'no-such-name', isSecure: false }
    assert.deepEqual([await after(44), await after(55.9)], [then + 2, then + 2])
    record = { kind: 'failed', why: 'SERVFAIL' }
    assert.equal((await policies.of('b.example'))?.mode, 'enforce')
    await after(56.1)
    assert.equal(await policies.of('b.example'), undefined)
  })

  test('two that keep their policies in one file lose none of them, and the newer of two for one domain stays', async () => {
    const file = join(ROOT, 'shared-sts.json')
    let mode = 'enforce'
    const resolver: Resolver = {
      resolve: async (_name: string, type: string) =>
        (type === 'TXT'
          ? { kind: 'found', records: [`v=STSv1; id=${mode}`], isSecure: false }
          : { kind: 'empty', isSecure: false }) as DnsAnswer<never>,
    }
    const open = () => new StsPolicies({ resolver, file, fetch: async () => policy(mode, 'mx.example') })
    const [before, after] = [open(), open()]
    await before.of('b.example')
    await after.of('c.example')
    await before.of('d.example')
    const kept = () => Object.keys(JSON.parse(readFileSync(file, 'utf8'))).sort()
    assert.deepEqual(kept(), ['b.example', 'c.example', 'd.example'])
    await new Promise(resolve => setTimeout(resolve, 2))
    mode = 'testing'
    await after.of('b.example')
    mode = 'enforce'
    await before.of('e.example')
    assert.equal(JSON.parse(readFileSync(file, 'utf8'))['b.example'].policy.mode, 'testing')
    assert.equal(kept().length, 4)
  })

  test('fetchPolicy() takes text from whom the name is proven, and nothing else', async t => {
    const answers: Record<string, (response: import('node:http').ServerResponse) => void> = {
      '/text': response =>
        response.writeHead(200, { 'content-type': 'text/plain; charset=utf-8' }).end('version: STSv1'),
      '/html': response => response.writeHead(200, { 'content-type': 'text/html' }).end('<html>'),
      '/moved': response => response.writeHead(301, { location: '/text' }).end(),
      '/long': response => response.writeHead(200, { 'content-type': 'text/plain' }).end('x'.repeat(70_000)),
    }
    const server = https.createServer(
      { cert: readFileSync(certified.certificate), key: readFileSync(certified.key) },
      (request, response) => answers[request.url ?? '']?.(response),
    )
    server.listen(0, '127.0.0.1')
    t.after(() => server.close())
    await new Promise(resolve => server.once('listening', resolve))
    const { port } = server.address() as AddressInfo
    const place = {
      host: 'mta-sts.b.example',
      path: '/text',
      addresses: ['127.0.0.9', '127.0.0.1'],
      port,
      authorities: readFileSync(certified.authority, 'utf8'),
    }
    assert.equal(await fetchPolicy(place), 'version: STSv1')
    await assert.rejects(fetchPolicy({ ...place, path: '/html' }), /not text\/plain/)
    await assert.rejects(fetchPolicy({ ...place, path: '/moved' }), /answered 301/)
    await assert.rejects(fetchPolicy({ ...place, path: '/long' }), /more than 65536 octets/)
    await assert.rejects(fetchPolicy({ ...place, host: 'mta-sts.c.example' }), /altnames|does not match/)
    // However many addresses there are, and whatever is silent at them.
    const silent: net.Socket[] = []
    const holes = net.createServer(socket => void silent.push(socket.on('error', () => {})))
    await new Promise<void>(resolve => holes.listen(0, '127.0.0.1', resolve))
    t.after(() => holes.close())
    const many = { ...place, addresses: new Array(20).fill('127.0.0.1'), port: (holes.address() as AddressInfo).port }
    await assert.rejects(fetchPolicy({ ...many, wait: 200 }), /timeout|aborted/)
    for (const each of silent) each.destroy()
    assert.equal(silent.length, 1)
    silent.length = 0
    const refusing = fetchPolicy(many)
    holes.on('connection', socket => socket.destroy())
    await assert.rejects(refusing)
    assert.equal(silent.length, 4)
    const { authorities: _gone, ...untrusted } = place
    await assert.rejects(fetchPolicy(untrusted), /certificate/)
    await assert.rejects(fetchPolicy({ ...place, addresses: [] }), /has no address/)
  })
})

test('what requires TLS goes to no server that only DNS names, whatever it proves', async () => {
  const { config, connector } = leftToDns()
  const found = async (isSecure: boolean, more: { readonly sts?: boolean } = {}) => {
    const records: Readonly<Record<string, readonly unknown[]>> = {
      'b.example MX': [{ preference: 10, host: 'mx.b.example' }],
      'mx.b.example A': ['192.0.2.1'],
      ...(more.sts && { '_mta-sts.b.example TXT': ['v=STSv1; id=1'] }),
    }
    const resolver = {
      resolve: async (name: string, type: string) => {
        const found = records[`${name} ${type}`]
        return found ? { kind: 'found', records: found, isSecure } : { kind: 'empty', isSecure }
      },
    } as unknown as Resolver
    const fetchPolicy = async () => policy('enforce', 'mx.b.example')
    const servers = await new Destinations(config, {
      files: new Map(),
      spool: new MemorySpool(),
      resolver,
      fetchPolicy,
    }).of(hopOf(connector, { local: 'bob', domain: 'b.example' }))
    return servers.kind === 'servers' ? (servers.servers[0]?.tls.isHearsay ?? false) : servers
  }
  assert.deepEqual([await found(false), await found(true), await found(false, { sts: true })], [true, false, false])
})

test('certificates are asked for A-labels, in whichever spelling the domain or the line is said', async () => {
  const shown = makeCertificates(join(ROOT, 'a-labels'), ['xn--bcher-kva.example'])
  const { connector } = leftToDns()
  const expectedOf = async (line: string, isSecure: boolean) => {
    const { config } = leftToDns([line])
    const records: Readonly<Record<string, readonly unknown[]>> = {
      'bücher.example MX': [{ preference: 10, host: 'mx.b.example' }],
      'mx.b.example A': ['192.0.2.1'],
      '_25._tcp.mx.b.example TLSA': [{ usage: 2, selector: 0, matching: 1, data: new Uint8Array(32) }],
    }
    const resolver = {
      resolve: async (name: string, type: string) => {
        const found = records[`${name} ${type}`]
        return found ? { kind: 'found', records: found, isSecure } : { kind: 'empty', isSecure }
      },
    } as unknown as Resolver
    const world = { files: new Map(), spool: new MemorySpool(), resolver }
    const found = await new Destinations(config, world).of(hopOf(connector, { local: 'bob', domain: 'bücher.example' }))
    assert.equal(found.kind, 'servers')
    return found.kind === 'servers' ? found.servers[0]?.tls.expected : undefined
  }
  const byDane = await expectedOf('mta-sts off', true)
  assert.ok(byDane?.tlsa)
  assert.equal(
    byDane.otherNames?.some(name => certificate(shown.certificate).checkHost(name)),
    true,
  )
  const byLine = await expectedOf('destination-tls bücher.example verify name BÜCHER.example', false)
  assert.equal(byLine?.name, 'xn--bcher-kva.example')
})

test('a pin may be of the public key, which outlives a certificate', async t => {
  const key = sha256(spki(certified.certificate)).toString('hex')
  assert.match((await sent(t, { lines: [`destination-tls *.example pinned ${key}`] })).outcome, /relayed .* under TLS$/)
  const { outcome } = await sent(t, { lines: [`destination-tls b.example pinned ${'0'.repeat(64)}`] })
  assert.match(
    outcome,
    /deferred: 4\.7\.5 destination-tls b\.example requires a proven certificate: .*not the pinned one/,
  )
})
