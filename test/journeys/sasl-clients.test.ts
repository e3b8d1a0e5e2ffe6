/** Every mechanism against other people's: curl and GNU SASL as clients, GNU SASL as a server, each over a socket or a pipe. */
import assert from 'node:assert/strict'
import { spawn, spawnSync } from 'node:child_process'
import { randomBytes } from 'node:crypto'
import { once } from 'node:events'
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { type AddressInfo, createServer, type Socket } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { createInterface } from 'node:readline'
import { after, before, describe, test } from 'node:test'
import tls from 'node:tls'
import { fromBase64, toBase64 } from '../../src/base/bytes.ts'
import { AccountFile, newAccount } from '../../src/io/accounts.ts'
import { type GssCredential, gssAcceptor } from '../../src/io/gssapi.ts'
import { HASHES, saltedPassword, tlsFacts } from '../../src/io/hashes.ts'
import { SaslAnswers, SaslClientAnswers, type SaslSources } from '../../src/io/sasl.ts'
import { formatAccount } from '../../src/mta/accounts.ts'
import type { SaslServer, TlsFacts } from '../../src/smtp/sasl/mechanism.ts'
import { mechanismNamed } from '../../src/smtp/sasl/mechanisms.ts'
import { scramVerifier } from '../../src/smtp/sasl/scram.ts'
import { type Peer, peer } from '../../tools/peers.ts'
import { type Kerberos, startKerberos } from '../kerberos.ts'
import { run, type Said } from './postern.ts'

const missing = (): string | false =>
  ['dpkg-deb --version', 'curl --version', 'openssl version'].every(each => spawnSync('sh', ['-c', each]).status === 0)
    ? false
    : 'curl, openssl or Debian’s packages are not here'

interface Served {
  readonly port: number
  /** How each exchange ended. */
  readonly ends: string[]
  close(): void
}

/** As much of an SMTP server as it takes to log in; it lists these mechanisms, and STARTTLS where it has a certificate. */
async function serve(
  names: readonly string[],
  { sources, strict = false, secure }: { sources: SaslSources; strict?: boolean; secure?: tls.SecureContextOptions },
): Promise<Served> {
  const ends: string[] = []
  const server = createServer(socket => {
    socket.write('220 mail.b.example ESMTP\r\n')
    talk(socket, { secured: false }).catch(() => socket.destroy())
  })
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  return { port: (server.address() as AddressInfo).port, ends, close: () => server.close() }

  async function talk(socket: Socket, facts: TlsFacts): Promise<void> {
    const say = (line: string): unknown => socket.write(`${line}\r\n`)
    const answers = new SaslAnswers(sources)
    let machine: SaslServer | undefined
    for await (const line of createInterface(socket)) {
      const [, name = '', initial] = /^AUTH (\S+)(?: (\S+))?$/i.exec(line) ?? []
      if (name !== '' || machine) {
        const said = name === '' ? line : initial
        machine ??= machineFor(name, facts)
        const response = said === undefined ? undefined : fromBase64(said === '=' ? '' : said)
        let step = machine.step(response)
        while (step.kind === 'ask') step = machine.answer(await answers.answer(step.question))
        if (step.kind === 'challenge') {
          say(`334 ${step.text ?? toBase64(step.bytes)}`)
          continue
        }
        machine = undefined
        ends.push(step.kind === 'done' ? `done ${step.user}` : `${step.kind} ${step.why}`)
        say(step.kind === 'done' ? '235 2.7.0 Authentication successful' : '535 5.7.8 no')
      } else if (/^EHLO /i.test(line)) {
        const tlsLine = secure && !facts.secured ? '250-STARTTLS\r\n' : ''
        say(`250-mail.b.example\r\n${tlsLine}250 AUTH ${names.join(' ')}`)
      } else if (/^STARTTLS$/i.test(line) && secure) {
        say('220 2.0.0 go ahead')
        const inside = new tls.TLSSocket(socket, { ...secure, isServer: true })
        await once(inside, 'secure')
        return talk(inside, tlsFacts(inside))
      } else say(/^QUIT$/i.test(line) ? '221 bye' : '250 2.0.0 ok')
    }
    await answers.close()
  }

  function machineFor(name: string, facts: TlsFacts): SaslServer {
    const mechanism = mechanismNamed(name) ?? assert.fail(name)
    return mechanism.server({
      hashes: HASHES,
      now: Date.now(),
      tls: facts,
      offered: names,
      secret: randomBytes(32),
      iterations: 4096,
      hostname: 'mail.b.example',
      strict,
    })
  }
}

describe('other people’s SASL', { skip: missing() }, () => {
  let kerberos: Kerberos
  let acceptor: GssCredential
  let accounts: AccountFile
  let gsasl: Peer
  const folder = mkdtempSync(join(tmpdir(), 'postern-sasl-'))
  before(async () => {
    gsasl = peer('gsasl')
    const account = await newAccount('alice', 'gr\u00fcne Wiese', { ntlm: true })
    // curl makes UTF-16 of a password octet by octet, so the one for NTLM has no more than ASCII.
    const plain = await newAccount('bob', 's3cret', { ntlm: true })
    writeFileSync(join(folder, 'accounts'), `${formatAccount(account)}\n${formatAccount(plain)}\n`, { mode: 0o600 })
    accounts = new AccountFile(join(folder, 'accounts'))
    kerberos = await startKerberos({ services: ['smtp/localhost'], users: ['alice'] })
    Object.assign(process.env, kerberos.env)
    acceptor = await gssAcceptor({ keytab: kerberos.keytab })
  })
  after(async () => {
    acceptor?.close()
    await kerberos?.stop()
    rmSync(folder, { recursive: true, force: true })
  })

  const curl = (port: number, mechanism: string, user: string, env: NodeJS.ProcessEnv = {}): Promise<Said> =>
    run(
      'curl',
      ['-sS', '-v', '-m', '20', '--login-options', `AUTH=${mechanism}`, '-u', user, `smtp://localhost:${port}`],
      {
        env,
      },
    )

  for (const [name, user, password] of [
    ['PLAIN', 'alice', 'grüne Wiese'],
    ['LOGIN', 'alice', 'grüne Wiese'],
    ['NTLM', 'bob', 's3cret'],
  ] as const) {
    test(`curl logs in by ${name}, and not with another password`, async () => {
      for (const strict of [true, false]) {
        const server = await serve([name], { sources: { accounts }, strict })
        const good = await curl(server.port, name, `${user}:${password}`)
        const bad = await curl(server.port, name, `${user}:${password}x`)
        server.close()
        assert.deepEqual(server.ends, [`done ${user}`, 'refused no such account, or not its password'], good.err)
        assert.notEqual(bad.status, 0)
      }
    })
  }

  test('curl logs in by GSSAPI with a ticket, and without one does not', async () => {
    for (const strict of [true, false]) {
      const server = await serve(['GSSAPI'], { sources: { acceptor }, strict })
      const good = await curl(server.port, 'GSSAPI', 'alice@POSTERN.TEST:', {
        ...kerberos.env,
        KRB5CCNAME: kerberos.ticket('alice'),
      })
      const bad = await curl(server.port, 'GSSAPI', 'alice@POSTERN.TEST:', {
        ...kerberos.env,
        KRB5CCNAME: 'FILE:/nowhere',
      })
      server.close()
      assert.deepEqual(server.ends, ['done alice@POSTERN.TEST'], good.err)
      assert.notEqual(bad.status, 0)
    }
  })

  test('GNU SASL logs in by SCRAM-SHA-256, PLAIN and LOGIN', async () => {
    for (const name of ['SCRAM-SHA-256', 'PLAIN', 'LOGIN']) {
      const server = await serve([name], { sources: { accounts } })
      const login = (password: string): Promise<Said> =>
        run(
          gsasl.command,
          [
            ...[
              '--smtp',
              `--connect=127.0.0.1:${server.port}`,
              '--no-starttls',
              '-m',
              name,
              '-a',
              'alice',
              '-p',
              password,
            ],
            ...(name === 'PLAIN' ? ['-z', ''] : []),
          ],
          { env: gsasl.env },
        )
      const good = await login('gr\u00fcne Wiese')
      await login('Wiese')
      server.close()
      assert.deepEqual(server.ends, ['done alice', 'refused no such account, or not its password'], good.out + good.err)
    }
  })

  test('GNU SASL logs in by SCRAM-SHA-256-PLUS, bound to the TLS connection', async () => {
    const [key, cert] = [join(folder, 'key.pem'), join(folder, 'cert.pem')]
    const made = spawnSync('openssl', [
      ...['req', '-x509', '-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:prime256v1', '-nodes', '-days', '2'],
      ...['-subj', '/CN=localhost', '-keyout', key, '-out', cert],
    ])
    assert.equal(made.status, 0, String(made.stderr))
    const secure = { key: readFileSync(key), cert: readFileSync(cert) }
    const plus = 'SCRAM-SHA-256-PLUS'
    const login = ({ port }: Served, ...more: readonly string[]): Promise<Said> =>
      run(
        gsasl.command,
        [
          ...['--smtp', `--connect=127.0.0.1:${port}`, '--starttls', '--x509-ca-file=', ...more],
          ...['-a', 'alice', '-p', 'grüne Wiese'],
        ],
        { env: gsasl.env },
      )
    const server = await serve([plus, 'SCRAM-SHA-256'], { sources: { accounts }, secure })
    const { out, err } = await login(server, '-m', plus, '--priority', 'NORMAL:-VERS-ALL:+VERS-TLS1.3')
    // Over TLS 1.2 we have no binding, so that -PLUS would not be on the list.
    await login(server, '-m', plus, '--priority', 'NORMAL:-VERS-ALL:+VERS-TLS1.2')
    server.close()
    assert.deepEqual(
      server.ends,
      ['done alice', 'refused the channel binding is tls-exporter, and no other'],
      out + err,
    )
  })

  test('our client logs in by SCRAM-SHA-256 where GNU SASL is the server, and believes its signature', async () => {
    const args = ['--server', '-m', 'SCRAM-SHA-256', '-a', 'alice', '-p', 'grüne Wiese', '--quiet']
    const child = spawn(gsasl.command, args, {
      env: { ...process.env, ...gsasl.env },
      stdio: ['pipe', 'pipe', 'inherit'],
    })
    const lines = createInterface(child.stdout)[Symbol.asyncIterator]()
    const hear = async (): Promise<string> => (await lines.next()).value ?? assert.fail('GNU SASL has ended')
    try {
      const client = (mechanismNamed('SCRAM-SHA-256') ?? assert.fail()).client({
        hashes: HASHES,
        now: Date.now(),
        tls: { secured: false },
        offered: ['SCRAM-SHA-256'],
        user: 'alice',
        password: 'grüne Wiese',
      })
      const answers = new SaslClientAnswers()
      // It says the mechanism, and an empty challenge.
      assert.deepEqual([await hear(), await hear()], ['SCRAM-SHA-256', ''])
      let said = client.start().initial
      while (!client.complete) {
        child.stdin.write(`${toBase64(said ?? assert.fail('nothing to say'))}\n`)
        let step = client.step(fromBase64(await hear()))
        while (step.kind === 'ask') step = client.answer(await answers.answer(step.question))
        assert.equal(step.kind, 'respond', JSON.stringify(step))
        said = step.kind === 'respond' ? step.bytes : undefined
      }
      assert.equal(said?.length, 0)
    } finally {
      child.kill()
    }
  })

  test('a verifier of GNU SASL’s is ours', async () => {
    const salt = randomBytes(16)
    const { out } = await run(
      gsasl.command,
      [
        ...['--mkpasswd', '-m', 'SCRAM-SHA-256', '-p', 'gr\u00fcne Wiese', '--iteration-count', '5000'],
        ...['--salt', toBase64(salt)],
      ],
      { env: gsasl.env },
    )
    const salted = await saltedPassword('gr\u00fcne Wiese', { salt, iterations: 5000 })
    const { storedKey, serverKey } = scramVerifier(salted, { salt, iterations: 5000, hashes: HASHES })
    assert.equal(out.trim(), `{SCRAM-SHA-256}5000,${toBase64(salt)},${toBase64(storedKey)},${toBase64(serverKey)}`)
  })
})
