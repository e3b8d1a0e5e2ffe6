/** Two mail servers on loopback: mail that waits until it is asked for, by ETRN, TURN and ATRN, and TLS come and gone. */
import assert from 'node:assert/strict'
import { once } from 'node:events'
import { readFileSync, writeFileSync } from 'node:fs'
import net from 'node:net'
import { join } from 'node:path'
import { before, describe, test } from 'node:test'
import { setTimeout as sleep } from 'node:timers/promises'
import { MemorySpool } from '../src/io/memory-spool.ts'
import { identity, secureServer } from '../src/io/tls.ts'
import { CHANGES } from '../src/mta/queue.ts'
import type { SpoolEntry } from '../src/spool/entry.ts'
import { freePorts } from '../tools/bench/process.ts'
import { type Certificates, makeCertificates } from './certificates.ts'
import { Talk } from './journeys/postern.ts'
import { answering, handIn, ROOT, type Running, run, until } from './mail-servers.ts'

let certified: Certificates
before(() => {
  certified = makeCertificates(join(ROOT, 'certificates'))
  writeFileSync(join(ROOT, 'mail-a.password'), 's3cret\n', { mode: 0o600 })
})

describe('mail that waits to be asked for', () => {
  const provider = (port: number): readonly string[] => [
    'hostname p.example',
    `listen 127.0.0.1 port ${port}`,
    'local-domain p.example',
    'mailbox postmaster@p.example',
    `tls certificate ${certified.certificate} key ${certified.key}`,
    'login mail-a password-file mail-a.password',
    'turn-domain a.example login mail-a',
  ]
  const customer = (port: number, to: number, pull: string): readonly string[] => [
    'hostname mail-a.a.example',
    `listen 127.0.0.1 port ${port}`,
    'local-domain a.example',
    'mailbox alice@a.example',
    // Its own session must know that the connection is secret already, or it would refuse what it asked for.
    `tls certificate ${certified.certificate} key ${certified.key}`,
    'tls required',
    `connector P to P cost 1 target 127.0.0.1 port ${to}`,
    `connector-tls P verify name localhost ca ${certified.authority}`,
    'connector-login P auth scram-sha-256-plus mail-a password-file mail-a.password required',
    `connector-pull P ${pull}`,
  ]

  for (const [pull, protocol] of [
    ['atrn every 300ms for a.example', 'ATRN a.example'],
    ['turn every 300ms', 'TURN'],
  ] as const) {
    test(`${protocol}: the roles are turned on the connection that stands, under the TLS it has, and two messages come`, async t => {
      const [theirs = 0, ours = 0] = await freePorts(2)
      const holds = await run(provider(theirs))
      t.after(() => holds.stop())
      assert.match(await handIn(theirs, 'alice@a.example'), /^250/)
      assert.match(await handIn(theirs, 'alice@a.example'), /^250/)
      const asks = await run(customer(ours, theirs, pull))
      t.after(() => asks.stop())
      assert.match(
        await asks.arrived('alice@a.example'),
        /\r\nReceived: from p\.example .* with ESMTPS\b.*Subject: it waited/s,
      )
      assert.ok(asks.said.includes(`out C: ${protocol}`), asks.said.join('\n'))
      assert.ok(holds.said.includes('out C: EHLO p.example'), holds.said.join('\n'))
      await until(
        () => asks.notes.some(each => /answered 453/.test(each)),
        () => asks.notes.join('\n'),
      )
      assert.ok(asks.notes.some(each => /answered 250/.test(each)))
      // Under TLS already: it was not offered again to the one who sends.
      assert.ok(!asks.said.some(each => /^in S: 250 .*STARTTLS/.test(each)))
    })
  }

  test('what stands behind the command that turns the roles is the greeting of the server on the other side', async t => {
    const [theirs = 0] = await freePorts(1)
    const holds = await run([...provider(theirs), 'auth-without-tls'])
    t.after(() => holds.stop())
    assert.match(await handIn(theirs, 'alice@a.example'), /^250/)
    const talk = await Talk.to(`127.0.0.1:${theirs}`)
    t.after(() => talk.close())
    await talk.hear()
    await talk.ask('EHLO mail-a.a.example')
    const login = Buffer.from('\0mail-a\0s3cret').toString('base64')
    assert.match(await talk.ask(`AUTH PLAIN ${login}`), /^235 /)
    talk.say('ATRN a.example\r\n220 mail-a.a.example ready\r\n')
    assert.match(await talk.hear(), /^250 /)
    await until(
      () => holds.said.includes('out C: EHLO p.example'),
      () => holds.said.join('\n'),
    )
  })

  /** A spool in which something happens to what was found before it is taken: at the search that has this number. */
  class Between extends MemorySpool {
    readonly #what: () => Promise<unknown>
    #left: number
    constructor(at: number, what: (spool: MemorySpool) => Promise<unknown>) {
      super()
      this.#left = at
      this.#what = () => what(this)
    }
    override async *waitingFor(domains: ReadonlySet<string>) {
      const isNow = --this.#left === 0
      for await (const entry of super.waitingFor(domains)) {
        if (isNow) await this.#what()
        yield entry
      }
    }
  }
  const hold = async (spool: MemorySpool): Promise<void> => {
    for (const { id } of await spool.list()) {
      const claim = await spool.take(id, Date.now(), Date.now() + 1_000)
      if (claim) await spool.update(claim, CHANGES.hold(claim.entry, Date.now()) as SpoolEntry)
    }
  }
  const asking = async (port: number): Promise<Talk> => {
    const talk = await Talk.to(`127.0.0.1:${port}`)
    await talk.hear()
    await talk.ask('EHLO mail-a.a.example')
    assert.match(await talk.ask(`AUTH PLAIN ${Buffer.from('\0mail-a\0s3cret').toString('base64')}`), /^235 /)
    return talk
  }

  test('who goes away while their mail is being looked for is missed: what was taken for them is free, and the server can stop', async t => {
    const [theirs = 0] = await freePorts(1)
    let gone: Promise<unknown> = Promise.resolve()
    const spool = new Between(2, () => gone)
    const holds = await run([...provider(theirs), 'auth-without-tls'], { spool })
    t.after(() => holds.stop())
    assert.match(await handIn(theirs, 'alice@a.example'), /^250/)
    const talk = await asking(theirs)
    gone = (async () => {
      await talk.hear()
      talk.close()
      await sleep(50)
    })()
    talk.say('ATRN a.example\r\n')
    await until(
      () => holds.tried.some(each => /deferred: 4\.4\.2 the connection was closed/.test(each)),
      () => [...holds.tried, ...holds.said].join('\n'),
    )
    assert.ok(await spool.take((await spool.list())[0]?.id ?? '', Date.now(), Date.now() + 1))
    await holds.server.stop({ grace: 60_000 })
  })

  test('an operator who holds a message while it is being asked for has the last word', async t => {
    const [theirs = 0, back = 0] = await freePorts(2)
    const to = await answering({ port: back })
    t.after(() => to.close())
    const way = [`connector back to A cost 1 target 127.0.0.1 port ${back}`, 'address-space back smtp a.example']
    for (const [line, more] of [
      ['ATRN a.example', []],
      ['ETRN a.example', way],
    ] as const) {
      const spool = new Between(2, hold)
      const holds = await run([...provider(theirs), 'auth-without-tls', ...more], { spool })
      assert.match(await handIn(theirs, 'alice@a.example'), /^250/)
      const before = holds.tried.length
      const talk = await asking(theirs)
      talk.say(`${line}\r\n`)
      assert.match(await talk.hear(), /^250 /)
      await sleep(100)
      assert.deepEqual(holds.tried.slice(before), [], line)
      // Nobody has it: it can be released at once.
      const [entry] = await spool.list()
      assert.ok(entry?.held !== undefined && (await spool.take(entry.id, Date.now(), Date.now() + 1)), line)
      if (line.startsWith('ATRN')) {
        talk.say('220 a.example\r\n')
        await until(
          () => holds.said.includes('out C: EHLO p.example'),
          () => holds.said.join('\n'),
        )
        talk.say('250 a.example\r\n')
        await until(
          () => holds.said.includes('out C: QUIT'),
          () => holds.said.join('\n'),
        )
      }
      talk.close()
      await holds.stop()
    }
    assert.deepEqual(to.connections, [])
  })

  test('ETRN: the mail comes over a connection of its own, by the way that leads there', async t => {
    const [theirs = 0, ours = 0] = await freePorts(2)
    const holds = await run([
      ...provider(theirs),
      `connector back to A cost 1 target 127.0.0.1 port ${ours}`,
      'address-space back smtp a.example',
    ])
    t.after(() => holds.stop())
    assert.match(await handIn(theirs, 'alice@a.example'), /^250/)
    const asks = await run(customer(ours, theirs, 'etrn every 300ms for a.example'))
    t.after(() => asks.stop())
    assert.match(await asks.arrived('alice@a.example'), /Subject: it waited/)
    await until(
      () => asks.notes.some(each => /answered 251/.test(each)),
      () => asks.notes.join('\n'),
    )
  })

  test('ETRN again and again has what waits tried once: anybody may say it', async t => {
    const [theirs = 0, nobody = 0] = await freePorts(2)
    const way = [`connector back to A cost 1 target 127.0.0.1 port ${nobody}`, 'address-space back smtp a.example']
    const holds = await run([...provider(theirs), ...way])
    t.after(() => holds.stop())
    assert.match(await handIn(theirs, 'alice@a.example'), /^250/)
    const talk = await Talk.to(`127.0.0.1:${theirs}`)
    t.after(() => talk.close())
    await talk.hear()
    await talk.ask('EHLO c.example')
    const refused = () => holds.tried.filter(each => /4\.4\.1/.test(each)).length
    for (let i = 0; i < 5; i++) {
      assert.match(await talk.ask('ETRN a.example'), /^250 /)
      await until(
        () => refused() > 0,
        () => holds.tried.join('\n'),
      )
    }
    await sleep(50)
    assert.equal(refused(), 1)
  })

  test('ETRN is answered without reading the queue, however often it is said, and what comes meanwhile is known', async t => {
    /** It counts how often all of it is read. */
    class Counting extends MemorySpool {
      scans = 0
      override async *scan() {
        this.scans++
        yield* super.scan()
      }
    }
    const [theirs = 0, back = 0] = await freePorts(2)
    const to = await answering({ port: back })
    t.after(() => to.close())
    const way = [`connector back to A cost 1 target 127.0.0.1 port ${back}`, 'address-space back smtp a.example']
    const spool = new Counting()
    const holds = await run([...provider(theirs), 'turn-domain d.example login mail-a', ...way], { spool })
    t.after(() => holds.stop())
    assert.match(await handIn(theirs, 'alice@d.example'), /^250/)
    const talk = await Talk.to(`127.0.0.1:${theirs}`)
    t.after(() => talk.close())
    await talk.hear()
    await talk.ask('EHLO c.example')
    const before = spool.scans
    for (let i = 0; i < 20; i++) assert.match(await talk.ask('ETRN a.example'), /^251 /)
    assert.ok(spool.scans - before <= 1, `${spool.scans - before} scans`)
    assert.match(await handIn(theirs, 'alice@a.example'), /^250/)
    assert.match(await talk.ask('ETRN a.example'), /^250 /)
    await until(
      () => to.connections.flatMap(({ messages }) => messages).length === 1,
      () => holds.tried.join('\n'),
    )
    await until(
      () => spool.count === 1,
      () => holds.tried.join('\n'),
    )
    assert.match(await talk.ask('ETRN a.example'), /^251 /)
    assert.ok(spool.scans - before <= 1, `${spool.scans - before} scans`)
  })

  test('ETRN for a domain that no connector leads to is refused: the mail waits on, and does not come back', async t => {
    const [theirs = 0] = await freePorts(1)
    const holds = await run(provider(theirs))
    t.after(() => holds.stop())
    assert.match(await handIn(theirs, 'alice@a.example'), /^250/)
    const talk = await Talk.to(`127.0.0.1:${theirs}`)
    await talk.hear()
    await talk.ask('EHLO c.example')
    assert.match(await talk.ask('ETRN a.example'), /^459 /)
    talk.close()
  })

  test('a pull whose login is refused says why', async t => {
    const [theirs = 0, ours = 0] = await freePorts(2)
    const holds = await run(provider(theirs).map(line => line.replace('mail-a password-file', 'mail-x password-file')))
    t.after(() => holds.stop())
    const asks = await run(customer(ours, theirs, 'atrn every 300ms'))
    t.after(() => asks.stop())
    await until(
      () =>
        asks.notes.some(each =>
          /connector P: ATRN: deferred: 4\.7\.0 connector P requires AUTH, which was refused: 535/.test(each),
        ),
      () => asks.notes.join('\n'),
    )
  })
})

test('a peer of a `trust-proxy … proxy-protocol` line says for whom it speaks; without a header it is not served, and nobody else is believed', async t => {
  const [port = 0] = await freePorts(1)
  const server = async (net: string): Promise<Running> =>
    run([
      'hostname b.example',
      `listen 127.0.0.1 port ${port}`,
      'local-domain b.example',
      'mailbox bob@b.example',
      `trust-proxy ${net} 255.255.255.255 proxy-protocol`,
    ])
  const said = async (...lines: readonly string[]): Promise<string> => {
    const talk = await Talk.to(`127.0.0.1:${port}`)
    talk.say(lines.map(line => `${line}\r\n`).join(''))
    const heard = `${await talk.hear()}${await talk.hear()}`
    talk.close()
    return heard
  }
  const trusting = await server('127.0.0.1')
  const header = 'PROXY TCP4 203.0.113.9 127.0.0.1 4711 25'
  assert.match(await said(header, 'HELO c.example'), /^220 .*\r\n250 b\.example Hello \[203\.0\.113\.9\]\r\n$/)
  assert.match(await said('PROXY UNKNOWN', 'HELO c.example'), /Hello \[127\.0\.0\.1\]/)
  assert.equal(await said('HELO c.example'), '')
  await trusting.stop()
  const other = await server('127.0.0.9')
  t.after(() => other.stop())
  assert.match(await said(header), /^220 .*\r\n421 .*\r\n$/)
})

/** A server that takes mail; `begins` says how each connection begins, in turn. */
async function taking(
  begins: readonly ('tls' | 'broken' | 'clear')[],
): Promise<{ port: number; mails: string[]; close(): void }> {
  const mails: string[] = []
  let connections = 0
  const server = net.createServer(socket => {
    socket.on('error', () => {})
    const how = begins[Math.min(connections++, begins.length - 1)]
    socket.write('220 b.example ESMTP\r\n')
    converse(socket, how !== 'clear')
    function converse(stream: NodeJS.ReadWriteStream, offersTls: boolean): void {
      let isBody = false
      let held = ''
      const hear = (chunk: Buffer): void => {
        held += chunk.toString('latin1')
        for (let at = held.indexOf('\r\n'); at >= 0; at = held.indexOf('\r\n')) {
          const line = held.slice(0, at)
          held = held.slice(at + 2)
          if (isBody) {
            if (line !== '.') continue
            isBody = false
            mails.push(stream === socket ? 'in clear' : 'under TLS')
            stream.write('250 2.0.0 queued\r\n')
          } else if (/^EHLO/.test(line))
            stream.write(`250-b.example\r\n${offersTls ? '250-STARTTLS\r\n' : ''}250 DSN\r\n`)
          else if (line === 'STARTTLS') {
            stream.write('220 go ahead\r\n')
            stream.removeListener('data', hear)
            if (how === 'broken') socket.once('data', () => socket.end('this is no handshake'))
            else
              secureServer(socket, identity(readFileSync(certified.certificate), readFileSync(certified.key))).then(
                secured => converse(secured.socket, false),
                () => socket.destroy(),
              )
          } else if (line === 'DATA') {
            isBody = true
            stream.write('354 go ahead\r\n')
          } else stream.write(line === 'QUIT' ? '221 bye\r\n' : '250 2.0.0 ok\r\n')
        }
      }
      stream.on('data', hear)
    }
  })
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  return { port: (server.address() as net.AddressInfo).port, mails, close: () => server.close() }
}

describe('TLS that comes and goes', () => {
  const relaying = (port: number, to: number, ...more: readonly string[]): readonly string[] => [
    'hostname mail-a.a.example',
    `listen 127.0.0.1 port ${port}`,
    'relay-from 127.0.0.0 255.0.0.0',
    'queue retry 1h',
    `connector B to B cost 1 target 127.0.0.1 port ${to}`,
    'address-space B smtp b.example',
    ...more,
  ]
  const missing = /TLS was had here before and is missing now: somebody may be taking it away/

  async function send(
    t: { after(work: () => unknown): void },
    begins: Parameters<typeof taking>[0],
    ...more: readonly string[]
  ) {
    const [port = 0] = await freePorts(1)
    const to = await taking(begins)
    t.after(() => to.close())
    const relays = await run(relaying(port, to.port, ...more))
    t.after(() => relays.stop())
    return { port, mails: to.mails, relays }
  }

  test('a handshake that fails is tried again in clear, once, on a new connection, where the floor lets it; and is told', async t => {
    const { port, mails, relays } = await send(t, ['broken', 'clear'])
    await handIn(port, 'bob@b.example')
    await until(
      () => mails.length === 1,
      () => [...relays.notes, ...relays.said].join('\n'),
    )
    assert.deepEqual(mails, ['in clear'])
    assert.ok(
      relays.notes.some(each => /^connector B: the TLS handshake failed: .*; trying again without TLS$/.test(each)),
    )
    assert.ok(!relays.notes.some(each => missing.test(each)))
  })

  test('where it was had before, its absence is told: whether the handshake fails, or STARTTLS is gone from the list', async t => {
    for (const second of [['broken', 'clear'], ['clear']] as const) {
      const { port, mails, relays } = await send(
        t,
        ['tls', ...second],
        'queue per-destination connections 20 messages 1',
      )
      await handIn(port, 'bob@b.example')
      await until(
        () => mails.length === 1,
        () => [...relays.notes, ...relays.said].join('\n'),
      )
      assert.ok(!relays.notes.some(each => missing.test(each)))
      await handIn(port, 'bob@b.example')
      await until(
        () => mails.length === 2,
        () => [...relays.notes, ...relays.said].join('\n'),
      )
      assert.deepEqual(mails, ['under TLS', 'in clear'])
      assert.equal(relays.notes.filter(each => missing.test(each)).length, 1, relays.notes.join('\n'))
    }
  })

  test('under require neither leads to a word in clear', async t => {
    for (const begins of [['broken'], ['clear']] as const) {
      const { port, mails, relays } = await send(t, begins, 'connector-tls B require')
      await handIn(port, 'bob@b.example')
      await until(
        () => relays.said.some(each => /^out S: 250.DSN|^out S: 220 go ahead/.test(each)),
        () => relays.said.join('\n'),
      )
      await sleep(100)
      assert.deepEqual(mails, [])
      assert.ok(!relays.said.some(each => /^out C: MAIL/.test(each)))
    }
  })
})
