/** The main job, as a newcomer runs it: `npm start -- --once`, over real sockets with real messages. */
import assert from 'node:assert/strict'
import { cpSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { test } from 'node:test'
import { postern, ROOT } from './postern.ts'

interface Told {
  readonly step?: number
  readonly expectations?: readonly { readonly name: string; readonly held: boolean; readonly found: string }[]
  readonly facts?: Readonly<Record<string, unknown>>
  readonly story?: string
  readonly held?: number
  readonly failed?: number
}

function lines(out: string): readonly Told[] {
  return out
    .trim()
    .split('\n')
    .map(line => JSON.parse(line) as Told)
}

/** A copy of the example, changed; taken away when the test is over. */
function example(t: { after(work: () => void): void }, changes: Readonly<Record<string, (text: string) => string>>) {
  const folder = mkdtempSync(join(tmpdir(), 'case-study-'))
  t.after(() => rmSync(folder, { recursive: true, force: true }))
  cpSync(join(ROOT, 'examples/case-study'), folder, { recursive: true })
  for (const [file, change] of Object.entries(changes)) {
    const path = join(folder, file)
    const before = readFileSync(path, 'utf8')
    const after = change(before)
    assert.notEqual(after, before, `the change of ${file} changes nothing`)
    writeFileSync(path, after)
  }
  return folder
}

test('the case study runs: every expectation holds, and the status is 0', async () => {
  const { status, out, err } = await postern(['lab', 'run', 'case-study', '--once', '--json'])
  assert.equal(err, '')
  const told = lines(out)
  const failed = told.flatMap(({ expectations = [] }) => expectations.filter(({ held }) => !held))
  assert.deepEqual(failed, [])
  assert.equal(status, 0)
  const end = told.at(-1)
  assert.equal(end?.story, 'case-study')
  assert.equal(end?.failed, 0)
  assert.ok((end?.held ?? 0) >= 20)
  assert.deepEqual(
    told.slice(0, -1).map(({ step }) => step),
    [1, 2, 3, 4],
  )
  assert.ok(!out.includes('lab-only'), 'a password of the laboratory is printed')
})

test('with a Firebox in its place the same mail stops for another reason, which is named with its own cure', async () => {
  const { status, out, err } = await postern(['lab', 'run', 'case-study-firebox', '--once', '--json'])
  assert.equal(err, '')
  const told = lines(out)
  assert.deepEqual(
    told.flatMap(({ expectations = [] }) => expectations.filter(({ held }) => !held)),
    [],
  )
  assert.equal(status, 0)
  const [first, , third] = told.map(({ facts }) => facts ?? {})
  assert.equal(first?.heardEhlo, first?.saidEhlo, 'a Firebox lets EHLO through')
  assert.match(JSON.stringify(first?.queue), /requires X-EXPS, which is not offered: it is not in the EHLO list/)
  assert.match(JSON.stringify(third?.alterations), /"cure":"watchguard smtp-incoming extension X-EXPS"/)
  assert.equal(told[3]?.facts?.typed, 'watchguard smtp-incoming extension X-EXPS')
})

test('with `no fixup protocol smtp 25` in the file from the start, the story says what failed, and the status is 1', async t => {
  const folder = example(t, {
    'firewall-b.conf': text => text.replace('\nfixup protocol smtp 25', '\nno fixup protocol smtp 25'),
  })
  const { status, out } = await postern(['lab', 'run', folder, '--once'])
  assert.equal(status, 1)
  assert.match(out, /FAILED the greeting is masked/)
  assert.match(out, /step 1: EHLO reaches mail-b as XXXX; found: EHLO mail-a\.a\.example/)
})

test('a wrong password between the servers keeps the mail waiting, and the story says so', async t => {
  const folder = example(t, { 'secrets/mail-a.password': () => 'not the password\n' })
  // mail-b reads the same file, so give it one of its own that differs.
  writeFileSync(join(folder, 'secrets/other.password'), 'another\n')
  const conf = join(folder, 'mail-b.conf')
  writeFileSync(conf, readFileSync(conf, 'utf8').replace('secrets/mail-a.password', 'secrets/other.password'))
  const { status, out } = await postern(['lab', 'run', folder, '--once', '--json', '--patience', '4s'])
  assert.equal(status, 1)
  const failed = lines(out).flatMap(({ expectations = [] }) => expectations.filter(({ held }) => !held))
  assert.deepEqual(
    failed.map(({ name }) => name),
    ['the queue of mail-a is empty', 'every message arrives octet for octet'],
  )
  assert.ok(!out.includes('not the password'))
})

test('--mail sends a message of one`s own, and it arrives with the others', async t => {
  const folder = mkdtempSync(join(tmpdir(), 'mail-'))
  t.after(() => rmSync(folder, { recursive: true, force: true }))
  const own = join(folder, 'own.eml')
  writeFileSync(own, 'Subject: mine\n\n.\nline ends of Unix\n')
  const { status, out } = await postern(['lab', 'run', 'case-study', '--once', '--json', '--mail', own])
  assert.equal(status, 0)
  const arrived = lines(out).find(({ step }) => step === 4)?.facts?.arrived as readonly {
    name: string
    arrived: boolean
  }[]
  assert.deepEqual(
    arrived.filter(({ name }) => name === 'own.eml').map(each => each.arrived),
    [true],
  )
})

test('what a person wrote wrongly is answered with its place, status 2, and nothing is left running', async t => {
  const folder = example(t, {
    'firewall-b.conf': text => text.replace('in interface vpn', 'in interface dmz').replace('smtp 25', 'smtp 250000'),
    'mail-a.conf': text => text.replace('cost 1', 'cost 101'),
  })
  const { status, out, err } = await postern(['lab', 'run', folder, '--once'])
  assert.equal(status, 2)
  assert.equal(out, '')
  assert.match(err, /firewall-b\.conf:6:21: error: "250000" is not a port or a range of ports/)
  assert.match(
    err,
    /firewall-b\.conf:\d+:34: error: no interface is called "dmz"\n.*\n.*\^~~ {2}known: outside, inside, vpn/,
  )
  assert.match(err, /mail-a\.conf:\d+:28: error: 101 is not a cost/)
})

for (const [what, args, message] of [
  ['a missing message', ['--mail', '/nowhere/x.eml'], /cannot read \/nowhere\/x\.eml: there is no such file/],
  ['a folder as a message', ['--mail', '/'], /cannot read \/: it is a folder/],
  [
    'something that is no message',
    ['--mail', 'package.json'],
    /package\.json:1:1: a message begins with a header field/,
  ],
] as const) {
  test(`${what} gets one clear line and status 2`, async () => {
    const { status, out, err } = await postern(['lab', 'run', 'case-study', '--once', ...args])
    assert.equal(status, 2)
    assert.equal(out, '')
    assert.match(err, message)
    assert.equal(err.trim().split('\n').length, 1)
  })
}

test('a laboratory that does not exist, and a command that does not, get status 2', async () => {
  const lab = await postern(['lab', 'run', 'no-such-lab'])
  assert.equal(lab.status, 2)
  assert.match(lab.err, /there is no laboratory "no-such-lab"/)
  const command = await postern(['lab', 'fly'])
  assert.equal(command.status, 2)
  assert.match(command.err, /unknown command 'fly'/)
})
