/** `postern mta password`, as a person and as a script use it. */
import assert from 'node:assert/strict'
import { spawnSync } from 'node:child_process'
import { existsSync, mkdtempSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, test } from 'node:test'
import { AccountFile } from '../../src/io/accounts.ts'
import { ROOT, run, type Said } from './postern.ts'

const folder = mkdtempSync(join(tmpdir(), 'postern-password-'))
after(() => rmSync(folder, { recursive: true, force: true }))

const password = (input: string, ...args: readonly string[]): Promise<Said> =>
  run(`${ROOT}/postern`, ['mta', 'password', ...args], { input })

test('a script sets passwords by standard input, and takes accounts out again', async () => {
  const file = join(folder, 'accounts')
  const said = await password('grüne Wiese\r\nnever read\n', '--file', file, 'alice')
  assert.deepEqual(said, { status: 0, out: `alice is in ${file}, without NTLM\n`, err: '' })
  assert.equal(statSync(file).mode & 0o777, 0o600)
  const withNtlm = await password('s3cret', '--file', file, '--ntlm', 'bob')
  assert.equal(withNtlm.status, 0)
  assert.match(withNtlm.err, /keep .* from others/)
  const accounts = new AccountFile(file)
  assert.equal(await accounts.check('alice', 'grüne Wiese'), 'alice')
  assert.equal(await accounts.check('bob', 's3cret'), 'bob')
  assert.equal(accounts.find('alice')?.ntHash, undefined)
  assert.equal(accounts.find('bob')?.ntHash?.length, 16)
  assert.doesNotMatch(readFileSync(file, 'utf8'), /Wiese|s3cret/)

  // Set anew without --ntlm, and NTLM is off.
  await password('other', '--file', file, 'BOB')
  assert.equal(accounts.find('bob')?.name, 'BOB')
  assert.equal(accounts.find('bob')?.ntHash, undefined)
  assert.equal(await accounts.check('bob', 's3cret'), undefined)

  assert.equal((await password('', '--file', file, '--remove', 'alice')).status, 0)
  assert.equal(accounts.find('alice'), undefined)
  const again = await password('', '--file', file, '--remove', 'alice')
  assert.deepEqual([again.status, again.err], [2, `error: there is no account alice in ${file}\n`])
})

test('what cannot be is refused with the reason, and changes nothing', async () => {
  const file = join(folder, 'none')
  const refusals: readonly (readonly [string, readonly string[], RegExp])[] = [
    ['\n', ['alice'], /the password is empty/],
    ['a\u0007\n', ['alice'], /prohibits/],
    ['x'.repeat(1025), ['alice'], /at most 1024 octets/],
    ['x\n', ['#alice'], /no account can be called "#alice"/],
    ['x\n', ['--ntlm', '--remove', 'alice'], /do not go together/],
  ]
  for (const [input, args, why] of refusals) {
    const { status, err } = await password(input, '--file', file, ...args)
    assert.equal(status, 2, err)
    assert.match(err, why)
  }
  assert.ok(!existsSync(file))
  const broken = join(folder, 'broken')
  writeFileSync(broken, 'alice s3cret\n')
  const { status, err } = await password('x\n', '--file', broken, 'bob')
  assert.equal(status, 2)
  assert.match(err, /broken:1:7: error: this is no verifier/)
  assert.doesNotMatch(err, /s3cret/)
})

/** Types into a terminal as soon as each prompt is there; prints all that the terminal showed. */
const TYPIST = `
import os, pty, sys
pid, tty = pty.fork()
if pid == 0: os.execv(sys.argv[1], sys.argv[1:-2])
shown = b''
for prompt, typed in ((b'password of alice: ', sys.argv[-2]), (b'once more: ', sys.argv[-1])):
    while prompt not in shown: shown += os.read(tty, 1024)
    os.write(tty, typed.encode().decode('unicode_escape').encode('latin1'))
try:
    while True:
        more = os.read(tty, 1024)
        if not more: break
        shown += more
except OSError: pass
sys.stdout.buffer.write(shown)
sys.exit(os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]))
`
const python = spawnSync('python3', ['--version']).status === 0

test('a person is asked twice, and nothing of it is shown', {
  skip: !python && 'python3 is not installed',
}, async () => {
  const file = join(folder, 'typed')
  const type = (first: string, second: string): Promise<Said> =>
    run('python3', ['-c', TYPIST, `${ROOT}/postern`, 'mta', 'password', '--file', file, 'alice', first, second])
  const good = await type('s3cx\\x7fret\\r', 's3cret\\r')
  assert.equal(good.status, 0, good.out)
  assert.match(good.out, /alice is in/)
  assert.doesNotMatch(good.out, /s3c|ret/)
  assert.equal(await new AccountFile(file).check('alice', 's3cret'), 'alice')
  const before = readFileSync(file, 'utf8')
  for (const [first, second, why] of [
    ['one\\r', 'two\\r', /these were two passwords/],
    ['one\\r', '\\x03', /given up/],
  ] as const) {
    const { status, out } = await type(first, second)
    assert.equal(status, 2)
    assert.match(out, why)
    assert.equal(readFileSync(file, 'utf8'), before)
  }
})
