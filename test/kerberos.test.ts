/** GSSAPI with the system's library, against a KDC of MIT's. */
import assert from 'node:assert/strict'
import { spawnSync } from 'node:child_process'
import { after, before, describe, test } from 'node:test'
import { setTimeout as sleep } from 'node:timers/promises'
import fc from 'fast-check'
import { runs } from '../src/base/any-bytes.test.ts'
import { PosternError } from '../src/base/problem.ts'
import { type GssContext, type GssCredential, GssFailure, gssAcceptor, gssInitiator } from '../src/io/gssapi.ts'
import { HASHES } from '../src/io/hashes.ts'
import { SaslAnswers, SaslClientAnswers } from '../src/io/sasl.ts'
import type { SaslClientContext, SaslServerContext } from '../src/smtp/sasl/mechanism.ts'
import { mechanismNamed } from '../src/smtp/sasl/mechanisms.ts'
import { type Kerberos, startKerberos } from './kerberos.ts'

/** Peers come from Debian's packages, and the library is one of them. */
function missing(): string | false {
  if (spawnSync('dpkg-deb', ['--version']).status !== 0)
    return 'a KDC comes from Debian’s packages, and this is no Debian'
  return /libgssapi_krb5/.test(spawnSync('/sbin/ldconfig', ['-p'], { encoding: 'utf8' }).stdout ?? '')
    ? false
    : 'libgssapi_krb5.so.2 is not installed'
}

const SERVICE = 'smtp@mail.b.example'
const SERVER: SaslServerContext = {
  hashes: HASHES,
  now: 0,
  tls: { secured: false },
  offered: ['GSSAPI'],
  secret: new Uint8Array(32),
  iterations: 4096,
  hostname: 'mail.b.example',
  strict: false,
}
const CLIENT: SaslClientContext = { ...SERVER, user: '', password: '' }

describe('GSSAPI', { skip: missing() }, () => {
  let kerberos: Kerberos
  let acceptor: GssCredential
  let initiator: GssCredential
  const open: GssContext[] = []
  const begin = (credential: GssCredential): GssContext => {
    const context = credential.begin()
    open.push(context)
    return context
  }

  before(async () => {
    kerberos = await startKerberos({
      services: ['smtp/mail.b.example', 'smtp/asleep.b.example'],
      users: ['alice', 'bob'],
    })
    // libkrb5 reads these of the process it is in.
    Object.assign(process.env, kerberos.env)
    acceptor = await gssAcceptor({ keytab: kerberos.keytab })
    initiator = await gssInitiator(SERVICE, { cache: kerberos.ticket('alice') })
  })
  after(async () => {
    await Promise.all(open.map(each => each.close()))
    acceptor?.close()
    initiator?.close()
    await kerberos?.stop()
  })

  test('our acceptor and our initiator set up a context, each proven to the other', async () => {
    const [client, server] = [begin(initiator), begin(acceptor)]
    const hello = await client.next(undefined)
    assert.ok(!hello.established)
    // Framed as RFC 2743 §3.1 has it, and Kerberos inside, not SPNEGO.
    const head = Buffer.from(hello.token ?? []).toString('hex')
    assert.match(head, /^6082....06092a864886f712010202/)
    const reply = await server.next(hello.token)
    assert.equal(reply.peer, 'alice@POSTERN.TEST')
    assert.deepEqual(await client.next(reply.token), { established: true })

    const wrapped = await server.wrap(Uint8Array.of(1, 0, 0, 0))
    // RFC 4121 §4.2.6.2: integrity without confidentiality leaves the message as it is, and 12 octets of checksum.
    assert.equal(Buffer.from(wrapped.subarray(0, 2)).toString('hex'), '0504')
    assert.deepEqual(await client.unwrap(wrapped), Uint8Array.of(1, 0, 0, 0))
    assert.deepEqual(await server.unwrap(await client.wrap(Uint8Array.of(1, 2, 3, 4))), Uint8Array.of(1, 2, 3, 4))
  })

  test('the mechanism goes through over real tokens', async () => {
    const mechanism = mechanismNamed('GSSAPI')
    assert.ok(mechanism)
    const [server, client] = [mechanism.server(SERVER), mechanism.client(CLIENT)]
    const serverSide = new SaslAnswers({ acceptor })
    const clientSide = new SaslClientAnswers({ initiator })
    try {
      assert.deepEqual(client.start(), {})
      let heard: Uint8Array | undefined
      for (;;) {
        let step = server.step(heard)
        while (step.kind === 'ask') step = server.answer(await serverSide.answer(step.question))
        if (step.kind !== 'challenge') {
          assert.deepEqual(step, { kind: 'done', user: 'alice@POSTERN.TEST' })
          assert.ok(client.complete)
          break
        }
        let said = client.step(step.text === undefined ? step.bytes : undefined)
        while (said.kind === 'ask') said = client.answer(await clientSide.answer(said.question))
        assert.equal(said.kind, 'respond')
        heard = said.kind === 'respond' ? said.bytes : undefined
      }
    } finally {
      await Promise.all([serverSide.close(), clientSide.close()])
    }
  })

  test('a token said again, one of nobody’s, and an altered message are refused', async () => {
    const client = begin(initiator)
    const { token } = await client.next(undefined)
    const server = begin(acceptor)
    const { token: reply } = await server.next(token)
    await client.next(reply)
    await assert.rejects(begin(acceptor).next(token), { name: 'GssFailure', peers: true, message: /replay/ })
    await assert.rejects(begin(acceptor).next(Buffer.from('NTLMSSP\0')), { name: 'GssFailure', peers: true })
    const wrapped = await client.wrap(Uint8Array.of(1, 0, 0, 0))
    const altered = wrapped.with(wrapped.length - 1, (wrapped.at(-1) ?? 0) ^ 1)
    await assert.rejects(server.unwrap(altered), { name: 'GssFailure', peers: true })
    await assert.rejects(server.unwrap(new Uint8Array(0)), { name: 'GssFailure', peers: true })

    const answers = new SaslAnswers({ acceptor })
    assert.equal((await answers.answer({ kind: 'gss-accept', token: Buffer.from('x') })).kind, 'refused')
    await answers.close()
  })

  test('the library takes whatever is made of a token, and the process lives', async () => {
    const context = begin(initiator)
    const { token = new Uint8Array(0) } = await context.next(undefined)
    const change = fc.record({ at: fc.nat(token.length - 1), octet: fc.nat(255) })
    await fc.assert(
      fc.asyncProperty(fc.array(change, { maxLength: 4 }), fc.nat(token.length), async (changes, length) => {
        const altered = Uint8Array.from(token)
        for (const { at, octet } of changes) altered[at] = octet
        const server = acceptor.begin()
        await server.next(altered.subarray(0, length)).catch(cause => assert.ok(cause instanceof GssFailure))
        await server.unwrap(altered).catch(cause => assert.ok(cause instanceof GssFailure))
        await server.close()
      }),
      runs(300),
    )
  })

  test('tickets are fetched by a client keytab, too', async () => {
    process.env.KRB5CCNAME = 'MEMORY:by-keytab'
    const own = await gssInitiator(SERVICE, { clientKeytab: kerberos.clientKeytab })
    const { token } = await begin(own).next(undefined)
    assert.match((await begin(acceptor).next(token)).peer ?? '', /^(?:alice|bob)@POSTERN\.TEST$/)
    await Promise.all(open.splice(0).map(each => each.close()))
    own.close()
  })

  test('a KDC that does not answer holds up nobody but the one who asks', async () => {
    const asleep = await gssInitiator('smtp@asleep.b.example', { cache: kerberos.ticket('bob') })
    const context = asleep.begin()
    let done = false
    kerberos.signal('SIGSTOP')
    const asking = context.next(undefined).finally(() => {
      done = true
    })
    let ticks = 0
    for (; ticks < 10; ticks++) await sleep(10)
    assert.ok(!done)
    // Closing waits for the call under way: the library still has the context.
    const closing = context.close()
    kerberos.signal('SIGCONT')
    assert.ok((await asking).token)
    await closing
    await assert.rejects(context.next(undefined), /closed/)
    asleep.close()
  })

  test('what is missing is named, with the way out', async () => {
    const says = async (what: Promise<unknown>): Promise<string> => {
      const cause = await what.then(
        () => assert.fail('it is there'),
        (cause: unknown) => cause,
      )
      assert.ok(cause instanceof PosternError, String(cause))
      assert.equal(cause.code, 'POSTERN_NO_GSSAPI')
      return cause.message
    }
    assert.match(
      await says(gssAcceptor({ keytab: '/nowhere/krb5.keytab' })),
      /^the keytab \/nowhere\/krb5\.keytab cannot be read: .*ENOENT.*ktadd -k FILE smtp\/HOST/,
    )
    assert.match(await says(gssAcceptor({ keytab: import.meta.filename })), /gives no key to accept with/)
    assert.match(
      await says(gssInitiator(SERVICE, { cache: 'FILE:/nowhere/tickets' })),
      /^there is no Kerberos ticket to log in with: .*; run kinit, or name a client keytab$/,
    )
    assert.match(
      await says(gssAcceptor({ library: 'libgssapi_nowhere.so' })),
      /libgssapi_nowhere\.so cannot be loaded: .*; on Debian, apt-get install libgssapi-krb5-2 adds it$/,
    )
  })

  test('a hundred contexts at once come to their ends', async () => {
    const one = async (): Promise<string | undefined> => {
      const [client, server] = [initiator.begin(), acceptor.begin()]
      const { token } = await client.next(undefined)
      const { token: reply, peer } = await server.next(token)
      assert.ok((await client.next(reply)).established)
      await Promise.all([client.close(), server.close()])
      return peer
    }
    const peers = await Promise.all(Array.from({ length: 100 }, one))
    assert.deepEqual([...new Set(peers)], ['alice@POSTERN.TEST'])
  })
})
