import assert from 'node:assert/strict'
import {
  chmodSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  statSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, test } from 'node:test'
import { formatAccount, withAccount } from '../mta/accounts.ts'
import { AccountFile, CHECKS_AT_ONCE, CHECKS_WAITING, editAccounts, newAccount } from './accounts.ts'
import { ConfigurationError } from './files.ts'

const folder = mkdtempSync(join(tmpdir(), 'postern-accounts-'))
after(() => rmSync(folder, { recursive: true, force: true }))

/** RFC 7677 §3: the password is `pencil`, and 4096 iterations are quick. */
const PENCIL =
  'SCRAM-SHA-256$4096:W22ZaJ0SNY7soEsUEjb6gQ==$WG5d8oPm3OtcPnkdi4Uo7BkeZkBFzpcXkuLmtbsT4qY=:wfPLwcE6nTWhTAmQ7tl2KeoiWGPlZqQxSrmfPwDl2dU='
const NT = 'NT$a4f49c406510bdcab6824ee7c30fd852'

let count = 0
function fileOf(text: string, mode = 0o600): string {
  const path = join(folder, `accounts-${count++}`)
  writeFileSync(path, text)
  chmodSync(path, mode)
  return path
}

test('check() knows the password, whatever the name’s case, and gives the account’s own name', async () => {
  const accounts = new AccountFile(fileOf(`Alice ${PENCIL}\n`))
  assert.equal(await accounts.check('alice', 'pencil'), 'Alice')
  // RFC 4013: a soft hyphen is nothing.
  assert.equal(await accounts.check('ALICE', 'pen\u00adcil'), 'Alice')
  for (const wrong of ['Pencil', 'pencil ', '', 'pencil\u0007'])
    assert.equal(await accounts.check('alice', wrong), undefined)
  assert.equal(await accounts.check('mallory', 'pencil'), undefined)
})

test('a new account’s password is checked by what is kept of it', async () => {
  const account = await newAccount('bob', 'grüne Wiese', { ntlm: true })
  const line = formatAccount(account)
  assert.doesNotMatch(line, /Wiese/)
  const accounts = new AccountFile(fileOf(`${line}\n`))
  assert.equal(await accounts.check('bob', 'grüne Wiese'), 'bob')
  assert.equal(await accounts.check('bob', 'grune Wiese'), undefined)
  assert.ok(accounts.hasNtHashes)
  await assert.rejects(newAccount('bob', '', { ntlm: false }), /the password is empty/)
  await assert.rejects(newAccount('bob', 'a\u0007', { ntlm: false }), /prohibits/)
})

test('where an NT hash is, nobody else may read, and where only verifiers are it is a warning', () => {
  assert.throws(
    () => new AccountFile(fileOf(`# x\nbob ${PENCIL} ${NT}\n`, 0o640)),
    (cause: unknown) => {
      assert.ok(cause instanceof ConfigurationError)
      assert.match(cause.problems[0]?.message ?? '', /the NT hash of bob is as good as the password/)
      assert.equal(cause.problems[0]?.at?.line, 2)
      assert.match(cause.problems[0]?.hint ?? '', /^chmod 600 /)
      return true
    },
  )
  assert.match(new AccountFile(fileOf(`bob ${PENCIL}\n`, 0o644)).warnings[0]?.message ?? '', /others may read/)
  assert.deepEqual(new AccountFile(fileOf(`bob ${PENCIL} ${NT}\n`)).warnings, [])
})

test('a change of the file counts at once, and one with mistakes is told and not taken', async () => {
  const troubles: unknown[] = []
  const path = fileOf(`alice ${PENCIL}\n`)
  const accounts = new AccountFile(path, { trouble: cause => troubles.push(cause) })
  writeFileSync(path, `alice ${PENCIL}\nbob ${PENCIL}\n`)
  assert.equal(accounts.find('bob')?.name, 'bob')
  writeFileSync(path, 'bob nonsense\n')
  assert.equal(accounts.find('alice')?.name, 'alice')
  assert.equal(accounts.find('bob')?.name, 'bob')
  assert.equal(troubles.length, 1)
  rmSync(path)
  assert.equal(accounts.find('alice')?.name, 'alice')
  assert.equal(troubles.length, 2)
  writeFileSync(path, `bob ${PENCIL}\n`)
  assert.equal(accounts.find('alice'), undefined)
})

test('the secret of decoys is the file’s, the same at every start', () => {
  const path = join(folder, 'decoys')
  editAccounts(path, text => text)
  assert.deepEqual(new AccountFile(path).secret, new AccountFile(path).secret)
  const without = fileOf(`alice ${PENCIL}\n`)
  assert.notDeepEqual(new AccountFile(without).secret, new AccountFile(without).secret)
})

test('a few passwords are checked at a time, some wait, and more are sent away', async () => {
  const accounts = new AccountFile(fileOf(`alice ${PENCIL}\n`))
  const asked = Array.from({ length: CHECKS_AT_ONCE + CHECKS_WAITING + 3 }, () => accounts.check('alice', 'pencil'))
  const ends = await Promise.allSettled(asked)
  assert.equal(ends.filter(({ status }) => status === 'rejected').length, 3)
  assert.match(JSON.stringify(ends.map(end => (end.status === 'rejected' ? end.reason.code : ''))), /POSTERN_BUSY/)
  assert.equal(await accounts.check('alice', 'pencil'), 'alice')
})

test('editAccounts() writes the whole file for its owner alone, and leaves nothing beside it', async () => {
  const path = fileOf('# kept\n', 0o644)
  const account = await newAccount('bob', 'x', { ntlm: false })
  editAccounts(path, text => withAccount(text, account))
  assert.match(readFileSync(path, 'utf8'), /^# kept\ndecoys SECRET\$\S{44}\nbob SCRAM-SHA-256\$65536:\S+\n$/)
  assert.equal(statSync(path).mode & 0o777, 0o600)
  const link = join(folder, 'link')
  symlinkSync(path, link)
  editAccounts(link, text => `${text}# through a link\n`)
  assert.match(readFileSync(path, 'utf8'), /# through a link\n$/)
  assert.deepEqual(
    readdirSync(folder).filter(name => name.endsWith('.new')),
    [],
  )
})

test('editAccounts() touches no file with mistakes, and gives way to another that writes', () => {
  const path = fileOf('bob nonsense\n')
  assert.throws(() => editAccounts(path, text => text), ConfigurationError)
  assert.equal(readFileSync(path, 'utf8'), 'bob nonsense\n')
  const good = fileOf(`bob ${PENCIL}\n`)
  assert.throws(() => editAccounts(good, text => `${text}carol nonsense\n`), ConfigurationError)
  assert.equal(readFileSync(good, 'utf8'), `bob ${PENCIL}\n`)
  writeFileSync(`${good}.new`, '')
  assert.throws(() => editAccounts(good, text => text), /somebody else writes/)
  assert.ok(statSync(`${good}.new`))
})
