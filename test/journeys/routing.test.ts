/** Servers of one routing group that run by themselves, and what they say of routing when they are asked. */
import assert from 'node:assert/strict'
import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { test } from 'node:test'
import { setTimeout as sleep } from 'node:timers/promises'
import { freePorts } from '../../tools/bench/process.ts'
import { postern, ROOT, type Said, Talk } from './postern.ts'

interface Server {
  readonly file: string
  readonly child: ChildProcess
  says(what: RegExp): Promise<void>
}

interface After {
  after(work: () => unknown): void
}

async function run(t: After, folder: string, lines: readonly string[]): Promise<Server> {
  mkdirSync(folder)
  const file = join(folder, 'mail.conf')
  writeFileSync(file, `${lines.join('\n')}\n`)
  const child = spawn(`${ROOT}/postern`, ['mta', 'run', file], { cwd: ROOT })
  let said = ''
  for (const stream of [child.stdout, child.stderr]) stream.on('data', chunk => (said += chunk))
  t.after(async () => {
    if (child.exitCode !== null) return
    child.kill('SIGKILL')
    await once(child, 'exit')
  })
  const says = async (what: RegExp): Promise<void> => {
    for (let i = 0; i < 3_000 && !what.test(said) && child.exitCode === null; i++) await sleep(20)
    assert.match(said, what)
  }
  await says(/listening at 127/)
  return { file, child, says }
}

test('servers that run are asked: one is told what another found down, and says so in every form', async t => {
  const folder = mkdtempSync(join(tmpdir(), 'postern-routing-'))
  t.after(() => rmSync(folder, { recursive: true, force: true }))
  const [port = 0, nodes = 0, far = 0] = await freePorts(3)
  const common = (name: string, ip: string) => [
    `hostname ${name}.a.example`,
    `listen ${ip} port ${port}`,
    'relay-from 127.0.0.0 255.0.0.0',
    'organization Contoso',
    'routing-group A',
    `group-member A hub.a.example address 127.0.0.2 port ${port} master`,
    `group-member A edge.a.example address 127.0.0.3 port ${port}`,
    'group-domain C c.example',
    'route-by link-state',
    'link-state glitch-retries 1',
    ...['glitch-retry', 'probe', 'publish', 'retell'].map(timer => `link-state timer ${timer} 100ms`),
    `connector A-B to B cost 10 target 127.0.0.9 port ${far}`,
    `connector A-C to C cost 30 target 127.0.0.9 port ${far}`,
    'connector B-C from B to C cost 10',
    'connector-source A-B edge.a.example',
    'connector-source A-C edge.a.example',
  ]
  const hub = await run(t, join(folder, 'hub'), [
    ...common('hub', '127.0.0.2'),
    `link-state listen 127.0.0.2 port ${nodes} private`,
  ])
  const edge = await run(t, join(folder, 'edge'), [
    ...common('edge', '127.0.0.3'),
    `link-state master 127.0.0.2 port ${nodes} private`,
  ])
  await edge.says(/connected to its master, hub\.a\.example/)

  const ask = async (...args: readonly string[]): Promise<Said> => {
    const said = await postern(args)
    assert.equal(said.err, '')
    return said
  }
  const same = await ask('linkstate', 'diff', hub.file, edge.file)
  assert.deepEqual([same.status, same.out], [0, 'the tables are the same\n'])
  const before = await ask('route', 'explain', 'u@c.example', '--running', hub.file)
  assert.match(before.out, /goes by A > B > C, cost 20, leaving by A-B, and out by Local Domains of C/)
  assert.match(before.out, /through edge\.a\.example, which hold its near end/)
  assert.match(before.out, new RegExp(`handed to member edge\\.a\\.example \\[127\\.0\\.0\\.3:${port}\\]`))

  // Mail that the hub takes goes to the edge, which finds the road shut and says so: the hub publishes it.
  const talk = await Talk.to(`127.0.0.2:${port}`)
  await talk.hear()
  for (const line of ['HELO client.example', 'MAIL FROM:<a@a.example>', 'RCPT TO:<u@c.example>', 'DATA'])
    assert.match(await talk.ask(line), /^[23]/, line)
  assert.match(await talk.ask('Subject: x\r\n\r\nx\r\n.'), /^250/)
  talk.close()
  await hub.says(/published A-B is down/)

  const show = await ask('linkstate', 'show', '--running', edge.file)
  assert.match(show.out, /^this is edge\.a\.example, a member of A; its master hears it, and is hub\.a\.example$/m)
  assert.match(show.out, /^A {2}version 1\.[1-9]\.\d+ {2}2 members, 2 attached$/m)
  assert.match(show.out, /^ +DOWN {2}A-B +to B 10$/m)
  const master = await ask('linkstate', 'show', '--running', hub.file)
  assert.match(master.out, /^this is hub\.a\.example, the master of A$/m)
  const facts = JSON.parse((await ask('linkstate', 'show', '--json', '--running', edge.file)).out) as {
    readonly here: unknown
    readonly groups: readonly {
      readonly group: string
      readonly connectors: readonly { name: string; state: string }[]
    }[]
  }
  assert.deepEqual(facts.here, { server: 'edge.a.example', group: 'A', master: 'hub.a.example', isAttached: true })
  const [own] = facts.groups.filter(({ group }) => group === 'A')
  assert.equal(own?.connectors.find(({ name }) => name === 'A-B')?.state, 'down')
  const dot = await ask('linkstate', 'show', '--dot', '--running', hub.file)
  assert.match(
    dot.out,
    /^digraph organisation \{$[\s\S]*^ {2}"A" -> "B" \[label="A-B 10", color=red, style=dashed\]$[\s\S]*^\}$/m,
  )
  const svg = await ask('linkstate', 'show', '--svg', '--running', hub.file)
  assert.match(svg.out, /^<svg xmlns=[\s\S]*stroke="#c00"[\s\S]*<\/svg>$/m)
  const routes = JSON.parse((await ask('route', 'table', '--json', '--running', edge.file)).out) as readonly {
    readonly space: string
  }[]
  assert.deepEqual(
    routes.map(({ space }) => space),
    ['c.example'],
  )
  const table = await ask('route', 'table', '--running', edge.file)
  assert.match(table.out, /^c\.example/m)

  // Another server, of another group, that was never told: what differs is shown, and the status says that it does.
  const other = await run(t, join(folder, 'other'), [
    'hostname other.b.example',
    `listen 127.0.0.4 port ${port}`,
    'organization Contoso',
    'routing-group B',
    'group-domain C c.example',
  ])
  const apart = await ask('linkstate', 'diff', hub.file, other.file)
  assert.equal(apart.status, 1)
  assert.match(apart.out, /^A {2}1\.\d+\.\d+ \/ - {2}only the first knows it$/m)
  const asFacts = await ask('linkstate', 'diff', '--json', hub.file, other.file)
  assert.equal((JSON.parse(asFacts.out) as readonly unknown[]).length, 2)

  // Mail that waits has a way; where there is none, the status says so.
  for (const [to, status] of [
    ['u@c.example', 0],
    ['u@nowhere.example', 1],
  ] as const) {
    for (const form of [[], ['--json'], ['--dot']]) {
      const asked = await ask('route', 'explain', to, '--running', hub.file, ...form)
      assert.equal(asked.status, status, asked.out)
      if (form.includes('--dot')) continue
      const kind = form.length > 0 ? /"route":\{"kind":"unreachable"/ : /^unreachable: 5\.4\.4 /m
      assert.equal(kind.test(asked.out), status === 1, asked.out)
    }
  }

  // What cannot be asked says why, and one mistake in a question harms nobody.
  const wrong = await postern(['route', 'explain', 'nobody', '--running', hub.file])
  assert.equal(wrong.status, 2)
  assert.match(wrong.err, /"nobody" is no address/)
  other.child.kill('SIGTERM')
  await once(other.child, 'exit')
  const gone = await postern(['linkstate', 'show', '--running', other.file])
  assert.equal(gone.status, 2)
  assert.match(gone.err, /no server of .*mail\.conf runs here/)
  const still = await ask('linkstate', 'diff', hub.file, edge.file)
  assert.equal(still.status, 0)
})
