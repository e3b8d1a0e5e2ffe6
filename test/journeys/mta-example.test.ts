/** `./postern init mta`, and the units that run it under systemd. */
import assert from 'node:assert/strict'
import { spawnSync } from 'node:child_process'
import { mkdtempSync, readdirSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { basename, join } from 'node:path'
import { test } from 'node:test'
import { DropFolder } from '../../src/io/drop-folder.ts'
import { readMaildir } from '../../src/io/maildir.ts'
import { freePorts } from '../../tools/bench/process.ts'
import { unmet } from '../interop/needs.ts'
import { type After, handIn, place, start, until } from './mail-service.ts'
import { postern, ROOT, run } from './postern.ts'

function folder(t: After): string {
  const made = mkdtempSync(join(tmpdir(), 'init-'))
  t.after(() => rmSync(made, { recursive: true, force: true }))
  return made
}

test('init mta writes a server that runs as it stands: it keeps mail, resolves names, relays for this machine, and is watched', async t => {
  const there = join(folder(t), 'mail')
  const written = await postern(['init', 'mta', there])
  assert.equal(written.status, 0)
  const file = join(there, 'mail.conf')
  assert.match(written.out, new RegExp(`postern mta run ${file}$`, 'm'))
  assert.match((await postern(['config', 'check', file])).out, /a mail server, no mistakes/)
  assert.equal((await postern(['init', 'mta', there])).status, 2)
  // Other ports than those that somebody may use here.
  const [port = 0, far = 0, watch = 0] = await freePorts(3)
  const text = readFileSync(file, 'utf8')
  writeFileSync(
    file,
    text
      .replaceAll('port 2525', `port ${port}`)
      .replaceAll('port 2526', `port ${far}`)
      .replace('127.0.0.1 9926', `127.0.0.1 ${watch}`),
  )
  await start(t, file)
  const provider = place(t, [
    'hostname smtp.provider.example',
    `listen 127.0.0.1 port ${far}`,
    'local-domain far.example',
    'mailbox carol@far.example',
  ])
  await start(t, provider.file)
  const box = (at: string, name: string) => readMaildir(join(at, 'maildir', name))
  assert.match(await handIn(port, { to: 'info@a.example' }), /^250/)
  assert.match(await handIn(port, { to: 'nobody@a.example' }), /^550 5\.1\.1/)
  assert.match(await handIn(port, { from: 'alice@a.example', to: 'carol@far.example' }), /^250/)
  const sent = await run(`${ROOT}/postern`, ['sendmail', '-C', file, 'postmaster'], { input: 'Subject: x\n\nx\n' })
  assert.deepEqual([sent.status, sent.err], [0, ''])
  await until(async () => (await box(there, 'alice@a.example')).length === 2)
  await until(async () => (await box(there, 'bob@a.example')).length === 1)
  await until(async () => (await box(provider.folder, 'carol@far.example')).length === 1)
  assert.equal((await fetch(`http://127.0.0.1:${watch}/healthz`)).status, 200)
  assert.ok(readFileSync(join(there, 'mail.log'), 'utf8').includes('"event":"received"'))
})

test('the commented lines of the example are lines, too', async () => {
  const text = readFileSync(join(ROOT, 'examples/mta/mail.conf'), 'utf8')
  const commands = ['listen', 'user', 'tls', 'accounts', 'connector-target', 'connector-tls', 'connector-login']
  const opened = text.replace(new RegExp(`^! (?=(?:${commands.join('|')}) )`, 'gm'), '')
  assert.notEqual(opened, text)
  const made = mkdtempSync(join(tmpdir(), 'opened-'))
  try {
    const file = join(made, 'mail.conf')
    writeFileSync(file, opened)
    const { out, err } = await postern(['config', 'check', file])
    assert.match(out, /no mistakes/, err)
  } finally {
    rmSync(made, { recursive: true, force: true })
  }
})

const UNITS = readdirSync(join(ROOT, 'packaging')).filter(name => name.endsWith('.service'))

for (const unit of UNITS) {
  test(`${unit}: systemd finds nothing wrong with it, and little exposed`, {
    skip: unmet({ commands: ['systemd-analyze'] }),
  }, t => {
    const file = join(folder(t), basename(unit))
    // The program is not installed where the test runs.
    writeFileSync(file, readFileSync(join(ROOT, 'packaging', unit), 'utf8').replaceAll('/usr/bin/postern', '/bin/true'))
    const verified = spawnSync('systemd-analyze', ['verify', file], { encoding: 'utf8' })
    assert.deepEqual([verified.status, verified.stderr], [0, ''])
    const judged = spawnSync('systemd-analyze', ['security', '--offline=true', '--threshold=20', file], {
      encoding: 'utf8',
    })
    assert.equal(judged.status, 0, judged.stdout.split('\n').at(-2))
  })
}

test('systemd-tmpfiles makes the folder for mail that is left as the server wants it, and nothing else', {
  skip: unmet({ commands: ['systemd-tmpfiles'] }),
}, async t => {
  const root = folder(t)
  const file = join(root, 'postern-mta.conf')
  const ours = `${process.getuid?.()} ${process.getgid?.()}`
  const written = readFileSync(join(ROOT, 'packaging/postern-mta.tmpfiles'), 'utf8')
  writeFileSync(file, written.replaceAll('postern postern -', `${ours} -`))
  const made = spawnSync('systemd-tmpfiles', ['--create', `--root=${root}`, file], { encoding: 'utf8' })
  assert.deepEqual([made.status, made.stderr], [0, ''])
  const drop = join(root, 'var/spool/postern-drop')
  const { ctimeMs } = statSync(drop)
  await new DropFolder(drop).open()
  assert.equal(statSync(drop).ctimeMs, ctimeMs)
  const unit = readFileSync(join(ROOT, 'packaging/postern-mta.service'), 'utf8')
  assert.match(unit, /^ReadWritePaths=-\/var\/spool\/postern-drop$/m)
})

test('there is a unit for each of the two', () => {
  assert.deepEqual(UNITS.sort(), ['postern-firewall.service', 'postern-mta.service'])
})
