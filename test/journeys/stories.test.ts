/** The stories of routing state, as a newcomer runs them, and what may be asked while one is up. */
import assert from 'node:assert/strict'
import { spawn } from 'node:child_process'
import { test } from 'node:test'
import { postern, ROOT } from './postern.ts'

interface Told {
  readonly expectations?: readonly { readonly name: string; readonly held: boolean; readonly found: string }[]
  readonly facts?: Readonly<Record<string, unknown>>
  readonly failed?: number
}

async function tells(story: string): Promise<readonly Told[]> {
  const { status, out, err } = await postern(['lab', 'run', story, '--once', '--json'])
  assert.equal(err, '')
  const told = out
    .trim()
    .split('\n')
    .map(line => JSON.parse(line) as Told)
  const failed = told.flatMap(({ expectations = [] }) => expectations.filter(({ held }) => !held))
  assert.deepEqual(failed, [])
  assert.equal(told.at(-1)?.failed, 0)
  assert.equal(status, 0)
  assert.ok(!out.includes('lab-only'), 'a password of the laboratory is printed')
  return told
}

test('four sites: news of a link moves the mail, MailGuard keeps it back, and no fixup lets it through', async () => {
  const told = await tells('four-sites')
  assert.equal(told.length, 7)
})

test('which verb: a table of what each does that is masked alone', async () => {
  const [step] = await tells('which-verb')
  const rows = step?.facts?.rows as readonly { readonly verb: string }[]
  assert.equal(rows.length, 19)
})

const FILES = ['a', 'b', 'c', 'd'].map(site => `${ROOT}/examples/four-sites/mail-${site}.conf`)

test('a way is explained from files alone, in words, for programs, and as a picture', async () => {
  const said = await postern(['route', 'explain', 'carol@c.example', '--config', ...FILES])
  assert.equal(said.status, 0)
  assert.match(said.out, /goes by A > B > C, cost 20, leaving by A-B/)
  const asked = await postern(['route', 'explain', 'carol@c.example', '--json', '--config', ...FILES])
  const { route } = JSON.parse(asked.out) as { readonly route: { readonly path: readonly string[] } }
  assert.deepEqual(route.path, ['A', 'B', 'C'])
  const alone = await postern(['route', 'explain', 'carol@c.example', '--config', FILES[0] ?? ''])
  assert.match(alone.out, /^unreachable: 5\.4\.4 no connector has an address space for c\.example$/m)
  const picture = await postern(['linkstate', 'show', '--dot', '--config', ...FILES])
  assert.match(picture.out, /^ {2}"A" -> "B" \[label="A-B 10"\]$/m)
  const wrong = await postern(['route', 'explain', 'nobody', '--config', ...FILES])
  assert.equal(wrong.status, 2)
  assert.match(wrong.err, /"nobody" is no address/)
})

test('a link of a laboratory that runs is cut and mended, and its servers are asked what they know', async () => {
  const script = [
    'set -e',
    './postern lab cut link-nowhere 2>&1 || true',
    './postern lab cut link-bc',
    './postern linkstate show --node mail-b | grep "B-C"',
    './postern linkstate diff mail-a mail-a',
    './postern lab heal link-bc',
  ].join('\n')
  const child = spawn('./postern', ['lab', 'exec', 'four-sites', '--', 'sh', '-c', script], { cwd: ROOT })
  let out = ''
  child.stdout.on('data', chunk => {
    out += chunk
  })
  const status = await new Promise(resolve => child.on('close', resolve))
  assert.equal(status, 0)
  assert.match(out, /there is no "link-nowhere" \(known: .*link-bc/)
  assert.match(out, /^link-bc is cut$/m)
  assert.match(out, /^ +up +B-C +to C 10$/m)
  assert.match(out, /^the tables are the same$/m)
  assert.match(out, /^link-bc is whole$/m)
})
