/** People log in at `./postern mta run` with other people's programs, and the log says who it was. */
import assert from 'node:assert/strict'
import { spawn, spawnSync } from 'node:child_process'
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, before, describe, test } from 'node:test'
import { setTimeout as sleep } from 'node:timers/promises'
import { readMaildir } from '../../src/io/maildir.ts'
import { freePorts } from '../../tools/bench/process.ts'
import { peer } from '../../tools/peers.ts'
import { type Certificates, makeCertificates } from '../certificates.ts'
import { type Kerberos, startKerberos } from '../kerberos.ts'
import { ROOT, run } from './postern.ts'

const missing = (): string | false =>
  ['dpkg-deb --version', 'curl --version', 'openssl version'].every(each => spawnSync('sh', ['-c', each]).status === 0)
    ? false
    : 'curl, openssl or Debian’s packages are not here'

describe('logins at the whole mail server', { skip: missing() }, () => {
  const folder = mkdtempSync(join(tmpdir(), 'postern-login-'))
  let kerberos: Kerberos
  let certified: Certificates
  let port = 0
  let child: ReturnType<typeof spawn>
  let said = ''

  before(async () => {
    certified = makeCertificates(join(folder, 'certificates'))
    kerberos = await startKerberos({ services: ['smtp/localhost'], users: ['alice'] })
    for (const [user, ...more] of [['alice'], ['bob', '--ntlm']]) {
      const added = await run(
        `${ROOT}/postern`,
        ['mta', 'password', '--file', join(folder, 'accounts'), ...more, user ?? ''],
        { input: 's3cret\n' },
      )
      assert.equal(added.status, 0, added.err)
    }
    ;[port = 0] = await freePorts(1)
    const file = join(folder, 'mail.conf')
    writeFileSync(
      file,
      `hostname localhost
listen 127.0.0.1 port ${port}
local-domain b.example
mailbox bob@b.example
accounts accounts
ntlm
gssapi keytab ${kerberos.keytab}
tls certificate ${certified.certificate} key ${certified.key}
`,
    )
    const args = ['mta', 'run', file, '--maildir', join(folder, 'maildir')]
    child = spawn(`${ROOT}/postern`, args, { cwd: ROOT, env: { ...process.env, ...kerberos.env } })
    child.stderr?.on('data', chunk => {
      said += chunk
    })
    for (let i = 0; i < 500 && !/listening/.test(said); i++) await sleep(20)
    assert.match(said, /listening at/)
  })
  after(async () => {
    child?.kill('SIGKILL')
    await kerberos?.stop()
    rmSync(folder, { recursive: true, force: true })
  })

  /** A letter handed in by curl, under TLS where it says so. */
  async function send(mechanism: string, user: string, more: readonly string[], env: NodeJS.ProcessEnv = {}) {
    const letter = `Subject: by ${mechanism}\r\n\r\nhello\r\n`
    const options = ['-sS', '-m', '20', '--mail-from', 'a@a.example', '--mail-rcpt', 'bob@b.example', '-T', '-']
    const login = ['--login-options', `AUTH=${mechanism}`, '-u', user, `smtp://localhost:${port}/client.example`]
    return run('curl', [...options, ...more, ...login], { env, input: letter })
  }
  const secret = (): readonly string[] => ['--ssl-reqd', '--cacert', certified.authority]

  async function arrived(subject: string): Promise<string> {
    for (let i = 0; i < 250; i++) {
      const mails = await readMaildir(join(folder, 'maildir/bob@b.example')).catch(() => [])
      const found = mails.find(mail => mail.includes(`Subject: ${subject}\r\n`))
      if (found) return found.toString()
      await sleep(20)
    }
    throw new Error(`no letter ${subject}:\n${said}`)
  }

  for (const [mechanism, user] of [
    ['PLAIN', 'alice'],
    ['LOGIN', 'alice'],
    ['NTLM', 'bob'],
  ] as const) {
    test(`curl hands in mail after ${mechanism} under TLS, and none with a wrong password`, async () => {
      const good = await send(mechanism, `${user}:s3cret`, secret())
      assert.equal(good.status, 0, good.err)
      assert.match(await arrived(`by ${mechanism}`), /with ESMTPSA/)
      const bad = await send(mechanism, `${user}:guess`, secret())
      // 67: the login was refused.
      assert.equal(bad.status, 67, bad.err)
    })
  }

  test('in clear neither PLAIN nor LOGIN is to be had, and the password does not cross', async () => {
    for (const mechanism of ['PLAIN', 'LOGIN']) {
      const { status } = await send(mechanism, 'alice:s3cret', [])
      assert.equal(status, 67)
    }
  })

  test('curl hands in mail with a Kerberos ticket of a real KDC, and none without one', async () => {
    const env = { ...kerberos.env, KRB5CCNAME: kerberos.ticket('alice') }
    const good = await send('GSSAPI', 'alice@POSTERN.TEST:', secret(), env)
    assert.equal(good.status, 0, `${good.err}\n${said}`)
    assert.match(await arrived('by GSSAPI'), /with ESMTPSA/)
    const bad = await send('GSSAPI', 'alice@POSTERN.TEST:', secret(), { ...kerberos.env, KRB5CCNAME: 'FILE:/nowhere' })
    assert.notEqual(bad.status, 0)
  })

  test('GNU SASL logs in by SCRAM-SHA-256 in clear, and by -PLUS, bound to its TLS connection', async () => {
    const { command, env } = peer('gsasl')
    const bound = ['--starttls', '--x509-ca-file=', '--priority', 'NORMAL:-VERS-ALL:+VERS-TLS1.3']
    for (const [mechanism, tls] of [
      ['SCRAM-SHA-256', ['--no-starttls']],
      ['SCRAM-SHA-256-PLUS', bound],
    ] as const) {
      const login = (password: string) => {
        const who = ['-m', mechanism, '-a', 'alice', '-p', password]
        return run(command, ['--smtp', `--connect=127.0.0.1:${port}`, ...tls, ...who], { env })
      }
      const good = await login('s3cret')
      assert.match(good.out + good.err, /235 2\.7\.0/)
      const bad = await login('guess')
      assert.match(bad.out + bad.err, /535 5\.7\.8/)
    }
  })

  test('none of it is a secret in the log', () => {
    assert.ok(!/s3cret|czNjcmV0|guess/.test(said), said)
  })
})
