/** `./postern diagnose`, as somebody would call it: live, in the laboratory, from files, and before any traffic. */
import assert from 'node:assert/strict'
import { spawn } from 'node:child_process'
import { on, once } from 'node:events'
import { existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import net from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import type { Readable } from 'node:stream'
import { after, type TestContext, test } from 'node:test'
import { setTimeout as pause } from 'node:timers/promises'
import { SMTPServer } from 'smtp-server'
import { Listener } from '../../src/app/listen.ts'
import { BOXES } from '../../src/diagnosis/box.ts'
import { readCapture } from '../../src/io/connections.ts'
import { type Endpoint, sayEndpoint } from '../../src/io/sockets.ts'
import { gateFor } from '../diagnosis/gate.ts'
import { unmet } from '../interop/needs.ts'
import { configuration, eventually, freePort, gateway, start } from './gateway.ts'
import { postern, ROOT } from './postern.ts'

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

/** `./postern …`, left running until a signal ends it. */
function running(t: TestContext, args: readonly string[]) {
  const child = spawn(`${ROOT}/postern`, args, { cwd: ROOT, stdio: ['ignore', 'pipe', 'ignore'] })
  t.after(() => child.kill('SIGKILL'))
  let said = ''
  child.stdout.on('data', chunk => {
    said += chunk
  })
  return {
    says: (words: RegExp, wait = 30_000) => eventually(() => words.test(said), wait),
    async ended(): Promise<number | null> {
      const exit = once(child, 'exit')
      child.kill('SIGTERM')
      const [status] = (await exit) as [number | null]
      return status
    },
  }
}

/** One address in front of several ways: each connection goes on to where `way` says. */
async function fork(t: TestContext, way: (peer: string) => Endpoint): Promise<string> {
  const sockets = new Set<net.Socket>()
  const server = net.createServer(socket => {
    const onward = net.connect({ ...way(socket.remoteAddress ?? ''), noDelay: true })
    for (const each of [socket, onward]) {
      sockets.add(each)
      each.on('error', () => {})
    }
    socket.pipe(onward).pipe(socket)
  })
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  t.after(() => {
    server.close()
    for (const socket of sockets) socket.destroy()
  })
  return `127.0.0.1:${(server.address() as net.AddressInfo).port}`
}

interface Answer {
  readonly schema: number
  readonly outcome: string
  readonly vantage: string
  readonly alterations: readonly { readonly kind: string; readonly before?: string }[]
  readonly remarks: readonly string[]
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
    ['--compare', 'one-file'],
    [FAR, '--source', 'nobody'],
    [FAR, '--envelope', 'me@here.example'],
    [FAR, '--deliver', 'me@here.example,you'],
    [FAR, '--watch', '5s'],
    [FAR, '--metrics', '127.0.0.1:9925'],
    [FAR, '--on-change', 'true'],
    [FAR, '--far', '--watch', '1m'],
    [FAR, '--far', '--source', '127.0.0.1', '--source', '127.0.0.2'],
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
  const back = await postern(['diagnose', '--compare', later, before, '--json'])
  assert.equal(back.status, 1)
  const { changes, diagnoses } = JSON.parse(back.out) as { changes: string[]; diagnoses: Answer[] }
  assert.ok(changes.some(each => each.startsWith('greeting')))
  assert.deepEqual(
    diagnoses.map(({ outcome }) => outcome),
    ['clean', 'altered'],
  )
  assert.match((await postern(['diagnose', '--compare', later, later])).out, /^Both heard the same\.$/m)
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

test('two-ended by what postern listen --record wrote, behind a firewall with MailGuard', async t => {
  const [far, port, record] = [await freePort(), await freePort(), join(folder, 'record.jsonl')]
  await running(t, ['listen', `127.0.0.1:${far}`, '--record', record]).says(/listening at/)
  await start(t, configuration(t, gateway(port, far)))
  const ask = ['diagnose', `127.0.0.1:${port}`, '--json', '--far']
  const { status, answer } = await json([...ask, record])
  assert.equal(status, 1)
  assert.match(answer.suspects[0]?.name ?? '', /^Cisco PIX 5\.1/)
  assert.equal(answer.suspects[0]?.grade, 'proven')
  const kinds = (found: Answer) => new Set(found.alterations.map(({ kind }) => kind))
  assert.ok(kinds(answer).has('greeting') && kinds(answer).has('fragment'))
  // Without the typed connection a visit is one connection, and so is what belongs to it in the record.
  const whole = await json([...ask, record, '--whole'])
  assert.ok(kinds(whole.answer).has('greeting') && !kinds(whole.answer).has('fragment'))
  const elsewhere = join(folder, 'elsewhere.jsonl')
  const [first = '', second = ''] = readFileSync(record, 'utf8').split('\n')
  writeFileSync(elsewhere, `${first.replace('far-side.postern.invalid ESMTP', 'elsewhere.example ESMTP')}\n${second}\n`)
  const told = await json([...ask, elsewhere])
  const greeting = told.answer.alterations.find(({ kind }) => kind === 'greeting')
  assert.match(greeting?.before ?? '', /^220 elsewhere\.example/, 'it is the file that tells')
  const none = await postern([...ask, 'package.json', '--whole'])
  assert.equal(none.status, 3)
  assert.match(none.err, /package\.json:\d+: no record of postern listen --record/)
})

test('from two addresses, by two ways: the altered one is told, and that nothing shows on the other', async t => {
  const gate = await gateFor(t, listener.endpoint, policyOf('pix-5.1'))
  const peers = new Set<string>()
  const at = await fork(t, peer => {
    peers.add(peer)
    return peer === '127.0.0.2' ? gate : listener.endpoint
  })
  const sources = ['--source', '127.0.0.1', '--source', '127.0.0.2']
  const { status, answer } = await json(['diagnose', at, '--whole', '--json', ...sources])
  assert.deepEqual([...peers], ['127.0.0.1', '127.0.0.2'])
  assert.deepEqual([status, answer.vantage], [1, '127.0.0.2'])
  const apart = /^from 127\.0\.0\.1 nothing of it shows: the cause is on the way from 127\.0\.0\.2/m
  assert.match(answer.remarks.join('\n'), apart)
  const behind = await json(['diagnose', sayEndpoint(gate), '--whole', '--json', ...sources])
  assert.ok(behind.answer.remarks.includes('from 127.0.0.2 alterations show as well'))
})

test('an envelope is tried and taken back, a message is sent, and what became of either is said', async t => {
  const arrived: string[] = []
  const server = await Listener.open({ host: '127.0.0.1', port: 0 }, ({ steps }) => {
    arrived.push(steps.map(step => step.arrived).join(''))
  })
  t.after(() => server.stop())
  const ask = ['diagnose', sayEndpoint(server.endpoint), '--whole']
  const envelope = await postern([...ask, '--envelope', 'me@here.example,you@there.example'])
  assert.equal(envelope.status, 0)
  assert.match(envelope.out, /the envelope was taken, and taken back/)
  assert.match(arrived.at(-1) ?? '', /MAIL FROM:<me@here\.example>\r\nRCPT TO:<you@there\.example>\r\nRSET\r\n/)
  assert.ok(!arrived.some(each => each.includes('DATA')))
  const message = await postern([...ask, '--deliver', 'me@here.example,you@there.example'])
  assert.match(message.out, /the message was taken: 250 2\.0\.0 \d+ octets arrived/)
  assert.match(
    arrived.at(-1) ?? '',
    /RCPT TO:<you@there\.example>\r\nDATA\r\nFrom: <me@here\.example>\r\nTo: <you@there\.example>\r\n(?:.*\r\n)*?.*\r\n\.\r\n/,
  )
})

test('an address that the server refuses is said, in its words', async t => {
  const server = new SMTPServer({
    authOptional: true,
    logger: false,
    onRcptTo: (_address, _session, done) => {
      done(Object.assign(new Error('no such user'), { responseCode: 550 }))
    },
  })
  const { port } = await new Promise<net.AddressInfo>(resolve => {
    const listening = server.listen(0, '127.0.0.1', () => resolve(listening.address() as net.AddressInfo))
  })
  t.after(() => new Promise<void>(resolve => server.close(resolve)))
  const { out } = await postern([
    'diagnose',
    `127.0.0.1:${port}`,
    '--whole',
    '--deliver',
    'me@here.example,you@there.example',
  ])
  assert.match(out, /the message was not taken: RCPT TO:<you@there\.example>: 550 no such user/)
})

test('watched: a line and an alarm when a box comes, and Prometheus is told', async t => {
  const gate = await gateFor(t, listener.endpoint, policyOf('pix-5.1'))
  let onward = listener.endpoint
  const at = await fork(t, () => onward)
  const [metrics, alarm] = [`127.0.0.1:${await freePort()}`, join(folder, 'alarm')]
  const command = `echo "$POSTERN_OUTCOME: $POSTERN_HEADLINE" >>${alarm}`
  const watch = running(t, [
    ...['diagnose', at, '--whole', '--watch', '10s'],
    ...['--metrics', metrics, '--on-change', command],
  ])
  const value = async (name: string) => {
    const text = await (await fetch(`http://${metrics}/metrics`)).text()
    return text
      .split('\n')
      .find(line => line.startsWith(`postern_path_${name}{target="${at}"}`))
      ?.split(' ')[1]
  }
  await watch.says(/nothing on the way alters what is said/)
  assert.deepEqual([await value('outcome'), await value('alterations'), await value('changes_total')], ['0', '0', '0'])
  assert.equal(existsSync(alarm), false, 'the first answer changes nothing')
  onward = gate
  const altered = 'mail is altered on the way, by Cisco PIX 5.1-6.x MailGuard (likely)'
  await watch.says(/mail is altered on the way/, 60_000)
  await eventually(() => existsSync(alarm) && readFileSync(alarm, 'utf8').endsWith('\n'))
  assert.equal(readFileSync(alarm, 'utf8'), `altered: ${at}: ${altered}\n`)
  assert.deepEqual([await value('outcome'), await value('changes_total')], ['1', '1'])
  assert.equal(await watch.ended(), 1, 'its status is that of the last visit')
})

test('--check has one line for a clean way and for one that cannot be told, too', async () => {
  const clean = await postern(['diagnose', FAR, '--whole', '--check'])
  assert.equal(clean.status, 0)
  assert.match(clean.out, /^SMTP PATH OK - .* \| alterations=0;0;;0 time=\d+\.\d{3}s;;;0\n$/)
  const unclear = await postern(['diagnose', '127.0.0.1:1', '--check'])
  assert.equal(unclear.status, 2)
  assert.match(unclear.out, /^SMTP PATH CRITICAL - 127\.0\.0\.1:1: .*refused the connection.* \| alterations=0;/)
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
