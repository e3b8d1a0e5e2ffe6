import assert from 'node:assert/strict'
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { type TestContext, test } from 'node:test'
import { parse } from '../config/parse.ts'
import { newAccount } from '../io/accounts.ts'
import { ConfigurationError } from '../io/files.ts'
import { formatAccount } from '../mta/accounts.ts'
import { MTA } from '../mta/commands.ts'
import { openMtaFiles } from './mta-files.ts'

function folderOf(t: TestContext): string {
  const folder = mkdtempSync(join(tmpdir(), 'mta-files-'))
  t.after(() => rmSync(folder, { recursive: true, force: true }))
  return folder
}

async function mistakes(lines: readonly string[], folder: string): Promise<readonly string[]> {
  const { config, problems } = parse(MTA, `${lines.join('\n')}\n`, 'mail.conf')
  assert.deepEqual(problems, [])
  const failed = await openMtaFiles(config, folder).then(
    () => [],
    cause => (cause instanceof ConfigurationError ? cause.problems : assert.fail(cause)),
  )
  return failed.map(({ message, at }) => `${at?.file}:${at?.line} ${message.replaceAll(`${folder}/`, '')}`)
}

test('openMtaFiles() tells every mistake in every file at once, each at the line that names it', async t => {
  const folder = folderOf(t)
  writeFileSync(join(folder, 'empty'), '\n')
  writeFileSync(join(folder, 'accounts'), 'alice not-a-verifier\n', { mode: 0o600 })
  writeFileSync(join(folder, 'not.pem'), 'nothing\n')
  const found = await mistakes(
    [
      'hostname a.example',
      'login alice password-file empty',
      'accounts accounts',
      'gssapi keytab no.keytab',
      'tls certificate not.pem key not.pem',
      'connector B to B cost 1 target 10.0.0.1',
      'connector-login B auth any us password-file missing',
      'connector-tls B verify ca no-ca.pem',
    ],
    folder,
  )
  const expected = [
    /^mail\.conf:2 empty holds no password: its first line is empty$/,
    /^mail\.conf:7 cannot read missing: there is no such file$/,
    /^mail\.conf:6 cannot read no-ca\.pem: there is no such file$/,
    /^mail\.conf:5 not\.pem and not\.pem are no certificate with its key: /,
    /^\S*accounts:1 /,
    /^mail\.conf:4 the keytab no\.keytab cannot be read: /,
  ]
  assert.equal(found.length, expected.length, found.join('\n'))
  for (const [i, each] of expected.entries()) assert.match(found[i] ?? '', each)
})

test('openMtaFiles() misses the certificate that a listener under TLS, or "tls required", cannot do without', async t => {
  const found = await mistakes(['listen 127.0.0.1 tls', 'tls required'], folderOf(t))
  assert.deepEqual(found, ['mail.conf:1 TLS needs a certificate, and none is named'])
  assert.deepEqual(await mistakes(['listen 127.0.0.1', 'tls required'], folderOf(t)), [
    'undefined:undefined "tls required" needs a certificate, and none is named',
  ])
})

test('who may log in stands in lines and in a file of accounts at once; a stranger is refused as a wrong password is', async t => {
  const folder = folderOf(t)
  writeFileSync(join(folder, 'line'), 'by line\n', { mode: 0o600 })
  const account = formatAccount(await newAccount('bob', 'by file', { ntlm: false }))
  writeFileSync(join(folder, 'accounts'), `${account}\n`, { mode: 0o600 })
  const told = async (lines: readonly string[]): Promise<readonly string[]> => {
    const { config } = parse(MTA, `${lines.join('\n')}\n`, 'mail.conf')
    const answers = (await openMtaFiles(config, folder)).logins.begin()
    const asked = ['alice:by line', 'bob:by file', 'alice:by file', 'carol:by line'].map(async each => {
      const [user = '', password = ''] = each.split(':')
      const answer = await answers.answer({ kind: 'password', user, password })
      return `${each} ${answer.kind === 'password' ? (answer.user ?? 'no') : answer.kind}`
    })
    const told = await Promise.all(asked)
    await answers.close()
    return told
  }
  const login = 'login alice password-file line'
  const [alice, bob] = ['alice:by line alice', 'bob:by file bob']
  const no = ['alice:by file no', 'carol:by line no']
  assert.deepEqual(await told([login, 'accounts accounts']), [alice, bob, ...no])
  assert.deepEqual(await told([login]), [alice, 'bob:by file no', ...no])
  assert.deepEqual(await told(['accounts accounts']), ['alice:by line no', bob, ...no])
})
