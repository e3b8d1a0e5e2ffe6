/** `./postern diagnose`, as somebody would call it: live, in the laboratory, from files, and before any traffic. */
import assert from 'node:assert/strict'
import { spawn } from 'node:child_process'
import { on, once } from 'node:events'
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import type { Readable } from 'node:stream'
import { after, test } from 'node:test'
import { setTimeout as pause } from 'node:timers/promises'
import { Listener } from '../../src/app/listen.ts'
import { BOXES } from '../../src/diagnosis/box.ts'
import { readCapture } from '../../src/io/connections.ts'
import { sayEndpoint } from '../../src/io/sockets.ts'
import { gateFor } from '../diagnosis/gate.ts'
import { unmet } from '../interop/needs.ts'
import { postern } from './postern.ts'

const folder = mkdtempSync(join(tmpdir(), 'postern-diagnose-'))
after(() => rmSync(folder, { recursive: true }))

const listener = await Listener.open({ host: '127.0.0.1', port: 0 }, () => {})
after(() => listener.stop())
const FAR = sayEndpoint(listener.endpoint)

function policyOf(id: string) {
  const box = BOXES.find(each => each.id === id)
  assert.ok(box)
  return box.policy
}

async function untilSaid(stream: Readable, words: string): Promise<void> {
  let said = ''
  for await (const chunk of on(stream, 'data')) {
    said += String(chunk)
    if (said.includes(words)) return
  }
}

interface Answer {
  readonly schema: number
  readonly outcome: string
  readonly suspects: readonly { readonly name: string; readonly grade: string }[]
  readonly location?: {
    readonly places: readonly {
      readonly node: string
      readonly enters: string
      readonly leaves: string
      readonly by: { readonly cure: string }
    }[]
    readonly clean: readonly string[]
  }
}

async function json(args: readonly string[]): Promise<{ readonly status: number | null; readonly answer: Answer }> {
  const { status, out, err } = await postern([...args])
  assert.match(out, /^\{/, err)
  return { status, answer: JSON.parse(out) as Answer }
}

test('in the laboratory the cause of the story is found from two vantages: fw-b, between vpn and inside', async () => {
  const ask = ['lab', 'exec', 'case-study', '--', process.execPath, 'src/cli/main.ts']
  const { status, answer } = await json([
    ...ask,
    'diagnose',
    '10.54.7.10',
    '--from',
    'mail-a',
    '--from',
    'mail-b',
    '--json',
  ])
  assert.equal(status, 1)
  assert.equal(answer.outcome, 'altered')
  assert.equal(answer.suspects[0]?.name, 'Cisco PIX 5.1-6.x MailGuard')
  const [place, ...more] = answer.location?.places ?? []
  assert.deepEqual(more, [])
  assert.deepEqual(
    [place?.node, place?.enters, place?.leaves, place?.by.cure],
    ['fw-b', 'vpn', 'inside', 'no fixup protocol smtp 25'],
  )
  assert.deepEqual(answer.location?.clean, ['mail-b'])
})

test('with no host, every entry of the laboratory is asked, and each server has its answer', async () => {
  const { status, out } = await postern([
    'lab',
    'exec',
    'case-study',
    '--',
    process.execPath,
    'src/cli/main.ts',
    'diagnose',
  ])
  assert.equal(status, 1)
  assert.match(out, /at fw-b, between vpn and inside/)
  assert.match(out, /at fw-a, between outside and inside/)
  assert.match(out, /^ {6}no fixup protocol smtp 25$/m)
})

test('a Firebox that leaves extensions out is found where one end alone would show a modest server', async () => {
  const ask = ['lab', 'exec', 'case-study-firebox', '--', process.execPath, 'src/cli/main.ts', 'diagnose']
  const alone = await json([...ask, 'FW_B_VPN', '--json'])
  assert.equal(alone.status, 0, 'nobody is accused of what a server may do')
  const { status, answer } = await json([...ask, '10.54.7.10', '--from', 'mail-a', '--from', 'mail-b', '--json'])
  assert.equal(status, 1)
  assert.match(answer.suspects[0]?.name ?? '', /^WatchGuard/)
  assert.equal(answer.location?.places[0]?.by.cure, 'no watchguard smtp-incoming 25')
})

test('status 0 where nothing is altered, 1 where it is, 2 where it cannot be told, 3 where the question is none', async t => {
  assert.equal((await postern(['diagnose', FAR, '--whole'])).status, 0)
  const gate = await gateFor(t, listener.endpoint, policyOf('asa'))
  const altered = await postern(['diagnose', sayEndpoint(gate), '--whole', '--check'])
  assert.equal(altered.status, 1)
  assert.match(
    altered.out,
    /^SMTP PATH WARNING - .*Cisco ASA inspect esmtp.* \| alterations=\d+;0;;0 time=\d+\.\d{3}s;;;0\n$/,
  )
  assert.equal((await postern(['diagnose', '127.0.0.1:1'])).status, 2)
  for (const args of [
    [],
    ['a b'],
    [FAR, '--patience', 'long'],
    [FAR, '--no-such-option'],
    [FAR, '--from', 'mail-a'],
    ['--read', 'no-such-file'],
  ]) {
    assert.equal((await postern(['diagnose', ...args])).status, 3, args.join(' '))
  }
})

test('the page for the other side needs nothing else, and nothing in it is a tag of the server', async t => {
  const gate = await gateFor(t, listener.endpoint, policyOf('pix-5.1'))
  const page = join(folder, 'page.html')
  await postern(['diagnose', sayEndpoint(gate), '--html', page])
  const html = readFileSync(page, 'utf8')
  assert.match(html, /<pre>no fixup protocol smtp 25\nwrite memory<\/pre>/)
  assert.doesNotMatch(html, /(?:src|href)=|@import|<script/)
})

test('a saved run compared with one behind the box says what is other', async t => {
  const gate = await gateFor(t, listener.endpoint, policyOf('pix-5.1'))
  const [before, later] = [join(folder, 'before.json'), join(folder, 'after.json')]
  await postern(['diagnose', sayEndpoint(gate), '--save', before])
  await postern(['diagnose', FAR, '--save', later])
  const { status, out } = await postern(['diagnose', '--compare', before, later])
  assert.equal(status, 0, 'the second one is clean')
  assert.match(out, /greeting:\n {3}- 220 \*+.*\n {3}\+ 220 far-side\.postern\.invalid/)
})

test('with a control that shows the same, the cause is near us', async t => {
  const [gate, other] = [
    await gateFor(t, listener.endpoint, policyOf('asa')),
    await gateFor(t, listener.endpoint, policyOf('asa')),
  ]
  const { out } = await postern(['diagnose', sayEndpoint(gate), '--control', sayEndpoint(other), '--whole'])
  assert.match(out, /the cause is near us|whoever answers is near us/)
})

test('two-ended by the command: every octet proven', async t => {
  const gate = await gateFor(t, listener.endpoint, policyOf('pix-5.1'))
  const { status, answer } = await json(['diagnose', sayEndpoint(gate), '--far', '--json'])
  assert.equal(status, 1)
  assert.equal(answer.suspects[0]?.grade, 'proven')
})

test('before any traffic: what firewall-b.conf will do, on every way and on that of the story', async () => {
  const conf = 'examples/case-study/firewall-b.conf'
  const all = await postern(['diagnose', '--config', conf])
  assert.equal(all.status, 1)
  assert.match(all.out, /inside from vpn: mail is altered on the way, by PIX MailGuard/)
  assert.match(all.out, /vpn from inside: nothing on the way alters/)
  const lab = 'examples/case-study/lab.conf'
  const there = await json([
    'diagnose',
    '10.54.7.10',
    '--from',
    'mail-a',
    '--config',
    conf,
    '--topology',
    lab,
    '--json',
  ])
  assert.equal(there.answer.location?.places[0]?.node, 'fw-b')
  const back = await json([
    'diagnose',
    '10.53.7.203',
    '--from',
    'mail-b',
    '--config',
    conf,
    '--topology',
    lab,
    '--json',
  ])
  assert.equal(back.status, 0, 'higher to lower is not inspected')
})

test('swaks through a box: its output gives the same answer as a visit', {
  skip: unmet({ commands: ['swaks'] }),
}, async t => {
  const gate = await gateFor(t, listener.endpoint, policyOf('asa'))
  const said = join(folder, 'swaks.txt')
  const swaks = spawn('swaks', ['--server', gate.host, '--port', String(gate.port), '--quit-after', 'EHLO'], {
    stdio: ['ignore', 'pipe', 'ignore'],
  })
  let out = ''
  swaks.stdout.on('data', chunk => {
    out += chunk
  })
  await once(swaks, 'exit')
  writeFileSync(said, out)
  const { answer } = await json(['diagnose', '--read', said, '--json'])
  assert.equal(answer.suspects[0]?.name, 'Cisco ASA inspect esmtp')
})

test('tcpdump beside a visit: the same answer, and with both sides of the box in it a proven one', {
  skip: unmet({ commands: ['tcpdump'], root: true }),
}, async t => {
  const gate = await gateFor(t, listener.endpoint, policyOf('pix-5.1'))
  const [near, both] = [join(folder, 'near.pcap'), join(folder, 'both.pcap')]
  const ports = [`port ${gate.port}`, `port ${gate.port} or port ${listener.endpoint.port}`] as const
  const dumps = [near, both].map((file, i) =>
    spawn('tcpdump', ['-U', '--immediate-mode', '-Z', 'root', '-i', 'lo', '-w', file, ports[i] ?? ''], {
      stdio: ['ignore', 'ignore', 'pipe'],
    }),
  )
  await Promise.all(dumps.map(dump => untilSaid(dump.stderr, 'listening on')))
  const live = await json(['diagnose', sayEndpoint(gate), '--json'])
  // The last that a visit hears is the answer to its third goodbye.
  const goodbyes = (file: string) =>
    readCapture(file, [gate.port, listener.endpoint.port]).connections.filter(
      ({ exchanges }) => exchanges.at(-1)?.said === 'QUIT\r\n' && exchanges.at(-1)?.heard.length === 1,
    )
  for (let tries = 0; tries < 50 && (goodbyes(near).length < 3 || goodbyes(both).length < 6); tries++) await pause(200)
  for (const dump of dumps) {
    dump.kill('SIGINT')
    await once(dump, 'exit')
  }
  const port = ['--port', String(gate.port), '--port', String(listener.endpoint.port)]
  const offline = await json(['diagnose', '--read', near, ...port, '--json'])
  assert.equal(offline.answer.suspects[0]?.name, live.answer.suspects[0]?.name)
  assert.equal(offline.answer.outcome, live.answer.outcome)
  const proven = await json(['diagnose', '--read', both, ...port, '--json'])
  assert.equal(proven.answer.suspects[0]?.grade, 'proven')
})
