import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import { runs } from '../base/any-bytes.test.ts'
import { formatDiagnostic } from '../base/problem.ts'
import {
  type Account,
  accountNamed,
  formatAccount,
  formatDecoys,
  nameProblem,
  parseAccounts,
  withAccount,
  withoutAccount,
} from './accounts.ts'

/** RFC 7677 §3: the password is `pencil`. */
const PENCIL =
  'SCRAM-SHA-256$4096:W22ZaJ0SNY7soEsUEjb6gQ==$WG5d8oPm3OtcPnkdi4Uo7BkeZkBFzpcXkuLmtbsT4qY=:wfPLwcE6nTWhTAmQ7tl2KeoiWGPlZqQxSrmfPwDl2dU='
const NT = 'NT$a4f49c406510bdcab6824ee7c30fd852'

const read = (text: string) => parseAccounts(text, 'accounts')
const say = (text: string): string => read(text).problems.map(formatDiagnostic).join('\n')

test('parseAccounts() reads a verifier, an NT hash, comments and quoted names', () => {
  const { accounts, problems } = read(`# who\nalice ${PENCIL}\n\n"bob b" ${PENCIL} ${NT}\n`)
  assert.deepEqual(problems, [])
  assert.deepEqual([...accounts.byName.keys()], ['alice', 'bob b'])
  const { verifier, ntHash } = accountNamed(accounts, 'Bob B') ?? assert.fail()
  assert.equal(verifier.iterations, 4096)
  assert.equal(Buffer.from(verifier.salt).toString('base64'), 'W22ZaJ0SNY7soEsUEjb6gQ==')
  assert.equal(Buffer.from(ntHash ?? []).toString('hex'), 'a4f49c406510bdcab6824ee7c30fd852')
  assert.equal(accountNamed(accounts, 'alice')?.ntHash, undefined)
})

test('every mistake is told, with its place and what would be right, and no secret', () => {
  const text = [
    'alice',
    `bob ${PENCIL.replace('4096', '1')}`,
    `carol ${PENCIL.replace('W22ZaJ0SNY7soEsUEjb6gQ==', 'W22Z')}`,
    `dave ${PENCIL.replace('WG5d', 'WG5')} NT$123`,
    `erin ${PENCIL} ${NT} more`,
    `frank plain:s3cret`,
    `grace ${PENCIL}`,
    `GRACE ${PENCIL}`,
    'decoys SECRET$AAAA',
    'heidi "s3cret',
  ].join('\n')
  const said = say(text)
  for (const place of [
    'accounts:1:1: error: a verifier must follow the name',
    'accounts:2:5: error: these iterations are out of range',
    'accounts:3:7: error: this salt is none',
    'accounts:4:6: error: StoredKey and ServerKey are not both keys',
    'accounts:4:139: error: this is no NT hash',
    'accounts:5:176: error: nothing more was expected',
    'accounts:6:7: error: this is no verifier',
    'accounts:8:1: error: the account GRACE is there already',
    'accounts:9:8: error: a secret of decoys has 32 octets',
    'accounts:10:7: error: the quotation is not closed',
  ]) {
    assert.ok(said.includes(place), `${place}\nnot in\n${said}`)
  }
  assert.match(said, /4096 to 1000000/)
  assert.match(said, /see line 7/)
  assert.doesNotMatch(said, /W22Z|WG5|wfPL|a4f4|123|s3cret/)
})

const octets = (length: number) => fc.uint8Array({ minLength: length, maxLength: length })
const anyAccount: fc.Arbitrary<Account> = fc.record(
  {
    name: fc.string({ unit: 'grapheme', minLength: 1, maxLength: 20 }).filter(name => nameProblem(name) === undefined),
    verifier: fc.record(
      {
        iterations: fc.integer({ min: 4096, max: 1_000_000 }),
        salt: octets(16),
        storedKey: octets(32),
        serverKey: octets(32),
      },
      { noNullPrototype: true },
    ),
    ntHash: octets(16),
  },
  { requiredKeys: ['name', 'verifier'], noNullPrototype: true },
)

test('what is written is read back as the same', () => {
  fc.assert(
    fc.property(anyAccount, octets(32), (account, secret) => {
      const { accounts, problems } = read(`${formatDecoys(secret)}\n${formatAccount(account)}\n`)
      assert.deepEqual(problems, [])
      const { at: _, ...same } = accountNamed(accounts, account.name) ?? assert.fail()
      assert.deepEqual(same, account)
      assert.deepEqual(accounts.decoys, secret)
    }),
    runs(200),
  )
})

test('withAccount() replaces one line, and withoutAccount() takes it out; the rest stays as it is', () => {
  const account = (name: string): Account =>
    accountNamed(read(`${name} ${PENCIL} ${NT}`).accounts, name) ?? assert.fail()
  const text = `# kept\nalice ${PENCIL}\n  ! kept, too\nbob ${PENCIL}\n`
  assert.equal(withAccount(text, account('alice')), text.replace(`alice ${PENCIL}`, `alice ${PENCIL} ${NT}`))
  assert.equal(withAccount(text, account('Alice')), text.replace(`alice ${PENCIL}`, `Alice ${PENCIL} ${NT}`))
  assert.equal(withAccount('x', account('carol')), `x\ncarol ${PENCIL} ${NT}\n`)
  assert.equal(withoutAccount(text, 'ALICE'), `# kept\n  ! kept, too\nbob ${PENCIL}\n`)
  assert.equal(withoutAccount(text, 'carol'), undefined)
})

test('parseAccounts() takes any text without a throw, and shows nothing of a line but its first word', () => {
  const anyText = fc
    .array(fc.oneof(fc.constantFrom('alice ', PENCIL, ' ', NT, '\n', '"', '$', ':', 'decoys SECRET$'), fc.string()), {
      maxLength: 12,
    })
    .map(parts => parts.join(''))
  fc.assert(
    fc.property(anyText, text => {
      for (const { at } of read(text).problems) assert.doesNotMatch(at?.text ?? '', /^\S+\s.*(?:W22ZaJ0|a4f49c)/)
    }),
    runs(500),
  )
})

test('a name is refused for what would make it another', () => {
  for (const good of ['alice', 'alice b', 'a"b', 'a\\b', 'grün@b.example', 'decoys'])
    assert.equal(nameProblem(good), undefined, good)
  for (const bad of ['', '#alice', '!', ':x', 'a\nb', 'a\rb', 'a\u200bb', '\u0000'])
    assert.ok(nameProblem(bad), JSON.stringify(bad))
})
