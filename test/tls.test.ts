/** TLS on real sockets: both sides of STARTTLS, what a certificate proves, and how it goes wrong. */
import assert from 'node:assert/strict'
import { X509Certificate } from 'node:crypto'
import { once } from 'node:events'
import { mkdtempSync, readFileSync, rmSync } from 'node:fs'
import net from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, before, test } from 'node:test'
import { setTimeout as sleep } from 'node:timers/promises'
import tls from 'node:tls'
import type { Machine, TlsFacts, WireOutput } from '../src/base/machine.ts'
import { Drive, SLICE } from '../src/io/drive.ts'
import { type Expected, identity, type Secured, secureClient, secureServer } from '../src/io/tls.ts'
import { type Certificates, makeCertificates } from './certificates.ts'
import { type Listening, listening } from './vectors/socket.ts'

const FOLDER = mkdtempSync(join(tmpdir(), 'tls-'))
let mine: Certificates
let other: Certificates
before(() => {
  mine = makeCertificates(join(FOLDER, 'mine'), ['mail.b.example'])
  other = makeCertificates(join(FOLDER, 'other'), ['other.example'])
})
after(() => rmSync(FOLDER, { recursive: true, force: true }))

const contextOf = ({ certificate, key }: Certificates) => identity(readFileSync(certificate), readFileSync(key))

interface After {
  after(work: () => void): void
}

/** Two joined sockets on loopback. */
async function pair(t: After): Promise<readonly [net.Socket, net.Socket]> {
  const server = net.createServer({ allowHalfOpen: true })
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  const near = net.connect({ port: (server.address() as net.AddressInfo).port, host: '127.0.0.1', allowHalfOpen: true })
  const [far] = (await once(server, 'connection')) as [net.Socket]
  for (const socket of [near, far]) socket.on('error', () => {})
  t.after(() => {
    near.destroy()
    far.destroy()
    server.close()
  })
  return [near, far]
}

/** What the client learns of a server that shows this certificate. */
async function meet(t: After, expected: Expected, shown: Certificates = mine): Promise<readonly [Secured, Secured]> {
  const [near, far] = await pair(t)
  return Promise.all([secureClient(near, expected), secureServer(far, contextOf(shown))])
}

test('a certificate proves the name that somebody trusted has signed; all else is told as unproven, and the handshake stands', async t => {
  const ca = readFileSync(mine.authority, 'utf8')
  const unproven = async (expected: Expected, shown?: Certificates): Promise<string | undefined> =>
    (await meet(t, expected, shown))[0].facts.unproven
  assert.equal(await unproven({ name: 'mail.b.example', authorities: ca }), undefined)
  assert.equal(await unproven({ name: '127.0.0.1', authorities: ca }), undefined)
  assert.match((await unproven({ name: 'c.example', authorities: ca })) ?? '', /does not match certificate's altnames/)
  assert.match(
    (await unproven({ name: 'other.example', authorities: ca }, other)) ?? '',
    /^its certificate is not trusted: /,
  )
  assert.match((await unproven({ name: 'mail.b.example' })) ?? '', /^its certificate is not trusted: /)
})

test('a pinned certificate is that one and no other, whatever its name and whoever signed it', async t => {
  const pin = new X509Certificate(readFileSync(mine.certificate)).fingerprint256
  const known = await meet(t, { name: 'whatever.example', pin })
  assert.equal(known[0].facts.unproven, undefined)
  const [{ facts }] = await meet(
    t,
    { name: 'other.example', authorities: readFileSync(other.authority, 'utf8'), pin },
    other,
  )
  assert.match(
    facts.unproven ?? '',
    /^its certificate is not the pinned one: [0-9a-f]{64}, with the public key [0-9a-f]{64}$/,
  )
})

test('both ends of a TLS 1.3 connection have the same exporter, and two connections never do', async t => {
  const expected: Expected = { name: 'mail.b.example', authorities: readFileSync(mine.authority, 'utf8') }
  const [first, second] = [await meet(t, expected), await meet(t, expected)]
  const [[client, server], [another]] = [first, second]
  assert.equal(client.facts.protocol, 'TLSv1.3')
  assert.equal(client.facts.exporter?.length, 32)
  assert.deepEqual(client.facts.exporter, server.facts.exporter)
  assert.notDeepEqual(client.facts.exporter, another.facts.exporter)
})

test('a handshake that fails says why in one line: no TLS, an old version, a connection that is reset', async t => {
  const failed = async (work: (near: net.Socket) => unknown): Promise<string> => {
    const [near, far] = await pair(t)
    work(near)
    return secureServer(far, contextOf(mine)).then(
      () => 'it stands',
      (cause: Error) => cause.message,
    )
  }
  const reasons = [
    await failed(near => near.write('EHLO client.example\r\n')),
    await failed(near =>
      tls
        .connect({ socket: near, maxVersion: 'TLSv1.1', minVersion: 'TLSv1', ciphers: 'ALL@SECLEVEL=0' })
        .on('error', () => {}),
    ),
    await failed(near => near.resetAndDestroy()),
  ]
  for (const each of reasons) assert.match(each, /^[ -~]+$/)
  assert.match(reasons[0] ?? '', /wrong version number|http request|packet length|record/)
  assert.match(reasons[1] ?? '', /unsupported protocol|version/)
  assert.match(reasons[2] ?? '', /closed|ECONNRESET/)
})

test('a key that is not the certificate’s is refused when it is read, not when somebody calls', () => {
  assert.throws(() => identity(readFileSync(mine.certificate), readFileSync(other.key)), /key values mismatch/)
})

type Output = WireOutput

/** A machine made of functions, which notes what it hears. */
class Noting implements Machine<Output> {
  readonly heard: string[] = []
  readonly ends: string[] = []
  readonly deadline = undefined
  readonly #answers: (heard: string) => readonly Output[]
  constructor(answers: (heard: string) => readonly Output[]) {
    this.#answers = answers
  }
  receive(bytes: Uint8Array): readonly Output[] {
    const heard = Buffer.from(bytes).toString('latin1')
    this.heard.push(heard)
    return this.#answers(heard)
  }
  secured({ protocol, unproven }: TlsFacts): readonly Output[] {
    this.ends.push(`secured by ${protocol}${unproven === undefined ? '' : `, ${unproven}`}`)
    return [{ kind: 'write', bytes: Buffer.from(`under ${protocol}`) }]
  }
  unsecured(why: string): readonly Output[] {
    this.ends.push(`unsecured: ${why}`)
    return [{ kind: 'close', how: 'at-once' }]
  }
  end(): readonly Output[] {
    this.ends.push('end')
    return [{ kind: 'close', how: 'after-writes' }]
  }
  tick(): readonly Output[] {
    return []
  }
}

const write = (text: string): Output => ({ kind: 'write', bytes: Buffer.from(text) })

test('two machines start TLS on their connection and go on under it; a socket that is lost ends both', async t => {
  const [near, far] = await pair(t)
  const expected: Expected = { name: 'mail.b.example', authorities: readFileSync(mine.authority, 'utf8') }
  const client = new Noting(heard => (heard === 'go' ? [{ kind: 'start-tls' }] : []))
  const server = new Noting(heard => (heard === 'start' ? [write('go'), { kind: 'start-tls' }] : []))
  const drives = [
    new Drive<Output>(client, near, () => undefined, { secure: raw => secureClient(raw, expected) }),
    new Drive<Output>(server, far, () => undefined, { secure: raw => secureServer(raw, contextOf(mine)) }),
  ]
  drives[0]?.do(() => [write('start')])
  for (let i = 0; i < 200 && (client.heard.length < 2 || server.heard.length < 2); i++) await sleep(10)
  assert.deepEqual(
    [client.heard, server.heard],
    [
      ['go', 'under TLSv1.3'],
      ['start', 'under TLSv1.3'],
    ],
  )
  near.destroy()
  await Promise.all(drives.map(drive => drive?.over))
  assert.deepEqual(
    [client.ends, server.ends],
    [
      ['secured by TLSv1.3', 'end'],
      ['secured by TLSv1.3', 'end'],
    ],
  )
})

test('a handshake that fails is told to the machine, and the connection is over', async t => {
  const [near, far] = await pair(t)
  const server = new Noting(() => [write('go'), { kind: 'start-tls' }])
  const drive = new Drive<Output>(server, far, () => undefined, { secure: raw => secureServer(raw, contextOf(mine)) })
  near.write('start')
  await once(near, 'data')
  near.write('EHLO in clear\r\n')
  await drive.over
  assert.deepEqual(server.ends.slice(1), ['end'])
  assert.match(server.ends[0] ?? '', /^unsecured: /)
  assert.equal(server.heard.join(''), 'start', 'what came for the handshake is not for the machine')
})

test('what stands behind STARTTLS is given to the machine before any handshake, also beyond the slices octets come in', async t => {
  for (const behind of [SLICE - 5, SLICE, 3 * SLICE + 1]) {
    const [near, far] = await pair(t)
    let isDue = false
    const server = new Noting(() => {
      if (isDue) return [write('caught'), { kind: 'close', how: 'after-writes' }]
      isDue = true
      return [write('go'), { kind: 'start-tls' }]
    })
    let handshakes = 0
    new Drive<Output>(server, far, () => undefined, {
      secure: () => {
        handshakes++
        return Promise.reject(new Error('no'))
      },
    })
    // Cut where the first slice ends, so that the rest waits beside the machine and not in it.
    near.write(`${'S'.repeat(SLICE)}${'x'.repeat(behind)}`)
    let said = ''
    for await (const chunk of near) said += chunk
    assert.equal(said, 'gocaught')
    assert.equal(handshakes, 0)
  }
})

test('a peer that reads nothing is gone when the wait for it is over, and its machine is told', async t => {
  const [near, far] = await pair(t)
  near.pause()
  const server = new Noting(() => [{ kind: 'write', bytes: Buffer.alloc(50_000_000) }])
  const drive = new Drive<Output>(server, far, () => undefined, { writeWait: 200 })
  near.write('give')
  await drive.over
  assert.deepEqual(server.ends, ['end'])
  assert.equal(far.destroyed, true)
})

test('a peer that reads slowly, but reads, is not cut off', async t => {
  const [near, far] = await pair(t)
  const server = new Noting(() => [{ kind: 'write', bytes: Buffer.alloc(3_000_000) }])
  const drive = new Drive<Output>(server, far, () => undefined, { writeWait: 3_000 })
  near.write('give')
  let heard = 0
  for (let i = 0; heard < 3_000_000 && i < 500; i++) {
    heard += near.read()?.length ?? 0
    await sleep(5)
  }
  assert.equal(heard, 3_000_000)
  near.end()
  await drive.over
})

/** A client that has said EHLO under TLS, begun with STARTTLS or with the first octet. */
async function underTls(t: After, at: Listening): Promise<tls.TLSSocket> {
  const raw = net.connect({ port: at.port, host: '127.0.0.1' })
  t.after(() => raw.destroy())
  raw.on('error', () => {})
  const hear = async (socket: NodeJS.ReadableStream): Promise<string> => String((await once(socket, 'data'))[0])
  assert.match(await hear(raw), /^220 /)
  raw.write('EHLO client.example\r\n')
  assert.match(await hear(raw), /STARTTLS/)
  raw.write('STARTTLS\r\n')
  assert.match(await hear(raw), /^220 /)
  const secure = tls.connect({ socket: raw, rejectUnauthorized: false })
  secure.on('error', () => {})
  await once(secure, 'secureConnect')
  secure.write('EHLO client.example\r\n')
  assert.match(await hear(secure), /^250-/)
  return secure
}

test('a TLS end in the middle of a chunk, and octets in clear behind it: the session is over, and nothing was taken', async t => {
  const at = await listening()
  t.after(() => void at.stop())
  const secure = await underTls(t, at)
  secure.write('MAIL FROM:<a@sender.example>\r\nRCPT TO:<user@example.org>\r\nBDAT 100 LAST\r\nhalf of it')
  await sleep(100)
  const [accepted] = at.accepted
  // close_notify, while the TCP connection lives on: what then comes in clear must never reach the session (CVE-2026-45185).
  const raw = (secure as unknown as { _parent?: net.Socket })._parent
  secure.end()
  await sleep(50)
  raw?.write('x'.repeat(90))
  for (let i = 0; i < 100 && accepted?.destroyed === false; i++) await sleep(20)
  assert.equal(accepted?.destroyed, true)
  assert.deepEqual(await at.taken(), [])
})
