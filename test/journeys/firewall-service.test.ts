/** A firewall that runs for good: reload, drain, limits, what it tells, and several servers behind it. */
import assert from 'node:assert/strict'
import { execFileSync, spawn } from 'node:child_process'
import dgram from 'node:dgram'
import { once } from 'node:events'
import {
  appendFileSync,
  chmodSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  statSync,
  writeFileSync,
} from 'node:fs'
import net from 'node:net'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import { test } from 'node:test'
import { formatDiagnostic } from '../../src/base/problem.ts'
import { lean } from '../../src/io/tcp.ts'
import { parseTranscript } from '../../src/transcript/parse.ts'
import { formatFailure, play } from '../../src/transcript/play.ts'
import { unmet } from '../interop/needs.ts'
import { SUBJECTS } from '../subjects.ts'
import { type After, configuration, eventually, freePort, gateway, quoting, start } from './gateway.ts'
import { postern, Talk } from './postern.ts'

const MASKED = '220 ******************\r\n'
const CLEAR = '220 mail.example ESMTP\r\n'

async function greeting(port: number): Promise<string> {
  const talk = await Talk.to(`127.0.0.1:${port}`).catch(() => undefined)
  const heard = (await talk?.hear()) ?? 'refused'
  talk?.close()
  return heard
}

/** The first that a caller from this address hears, once it has said its pieces; `reset` if nothing. */
async function hears(t: After, port: number, localAddress: string, pieces: readonly string[] = []): Promise<string> {
  const socket = net.connect({ port, host: '127.0.0.1', localAddress, noDelay: true })
  t.after(() => socket.destroy())
  const heard = new Promise<string>(resolve => {
    socket.on('data', chunk => resolve(String(chunk)))
    socket.on('error', () => resolve('reset')).on('close', () => resolve('reset'))
  })
  for (const piece of pieces) {
    socket.write(piece)
    await new Promise(resolve => setTimeout(resolve, 30))
  }
  return heard
}

test('SIGHUP puts the file in force for whoever comes next, and no open connection notices', async t => {
  const [port, other, { port: server }] = [await freePort(), await freePort(), await quoting(t)]
  const lines = gateway(port, server)
  const file = configuration(t, lines)
  const { child, says } = await start(t, file)
  const open = await Talk.to(`127.0.0.1:${port}`)
  assert.equal(await open.hear(), MASKED)
  const more = [
    `access-list mail permit tcp any host 127.0.0.1 eq ${other}`,
    `static (inside,outside) tcp 127.0.0.1 ${other} 127.0.0.1 ${server} netmask 255.255.255.255`,
  ]
  writeFileSync(file, `${[...lines.filter(line => !line.startsWith('fixup')), ...more].join('\n')}\n`)
  child.kill('SIGHUP')
  await says(/is in force/)
  assert.equal(await greeting(port), CLEAR)
  assert.equal(await greeting(other), CLEAR)
  // It came in when the line stood there.
  assert.equal(await open.ask('EHLO x'), '500 5.5.1 Command unrecognized: "XXXX x"\r\n')
  open.close()
})

test('a file with mistakes is reported with all of them, and so is a door that cannot be opened; nothing changes', async t => {
  const [port, { port: server }] = [await freePort(), await quoting(t)]
  const file = configuration(t, gateway(port, server))
  const { child, says, said } = await start(t, file)
  appendFileSync(file, 'bogus\nfixup protocol smtp 0\n')
  child.kill('SIGHUP')
  await says(/gateway\.conf:7:1: error[\s\S]*gateway\.conf:8:21: error[\s\S]*nothing was changed/)

  const taken = `static (inside,outside) tcp 127.0.0.1 ${server} 127.0.0.1 ${port} netmask 255.255.255.255`
  const free = await freePort()
  const fine = `static (inside,outside) tcp 127.0.0.1 ${free} 127.0.0.1 ${server} netmask 255.255.255.255`
  writeFileSync(
    file,
    `${[...gateway(port, server).filter(line => !line.startsWith('fixup')), fine, taken].join('\n')}\n`,
  )
  const before = said().length
  child.kill('SIGHUP')
  await eventually(() => /the port is in use[\s\S]*nothing was changed/.test(said().slice(before)))
  assert.equal(await greeting(port), MASKED)
  assert.equal(await greeting(free), 'refused')
})

test('everything that cannot be opened at the start is said at once, and the status is 2', async t => {
  const { port: one } = await quoting(t)
  const { port: two } = await quoting(t)
  const { port: three } = await quoting(t)
  const file = configuration(t, [
    ...gateway(one, 2526),
    `static (inside,outside) tcp 127.0.0.1 ${two} 127.0.0.1 2526 netmask 255.255.255.255`,
    `metrics listen 127.0.0.1 ${three}`,
    'logging on',
    'logging file nowhere/log',
    'record gateway.conf',
  ])
  const { status, err } = await postern(['firewall', 'run', file])
  assert.equal(status, 2)
  for (const [place, what] of [
    ['5:1', `cannot listen at 127.0.0.1:${one}: the port is in use`],
    ['7:1', `cannot listen at 127.0.0.1:${two}: the port is in use`],
    ['8:1', `cannot answer for metrics at 127.0.0.1:${three}: the port is in use`],
  ]) {
    assert.ok(err.includes(`gateway.conf:${place}: error: ${what}`), err)
  }
  assert.match(err, /cannot write to \S+nowhere\/log: ENOENT/)
  assert.match(err, /cannot record into \S+gateway\.conf: /)
})

test('SIGTERM lets open connections end, takes no new ones, and the status is 0', async t => {
  const [port, { port: server }] = [await freePort(), await quoting(t)]
  const { child, says, over } = await start(t, configuration(t, gateway(port, server)))
  const open = await Talk.to(`127.0.0.1:${port}`)
  assert.equal(await open.hear(), MASKED)
  child.kill('SIGTERM')
  await says(/1 open connections have 30\.0s/)
  assert.equal(await greeting(port), 'refused')
  assert.equal(await open.ask('HELO x'), '250 mail.example\r\n')
  assert.equal(await open.ask('QUIT'), '221 Bye\r\n')
  open.close()
  assert.equal(await over(), 0)
})

test('whoever is still there when the grace is over is cut, and the last that happened is written down', async t => {
  const [port, { port: server }] = [await freePort(), await quoting(t)]
  const more = ['timeout drain 300ms', 'record dialogues', 'logging on', 'logging file gw.log', 'logging json gw.json']
  const file = configuration(t, [...gateway(port, server), ...more])
  const { child, over } = await start(t, file)
  const open = await Talk.to(`127.0.0.1:${port}`)
  assert.equal(await open.hear(), MASKED)
  child.kill('SIGTERM')
  assert.equal(await over(), 0)
  assert.equal(await open.hear(), '')
  const at = (...names: readonly string[]) => join(dirname(file), ...names)
  const [name = ''] = readdirSync(at('dialogues'))
  assert.match(readFileSync(at('dialogues', name), 'utf8'), /\(connection closes\)\n$/)
  assert.match(readFileSync(at('gw.log'), 'utf8'), /302014: Teardown TCP connection 1 .* Stopped\n$/)
  assert.match(readFileSync(at('gw.json'), 'utf8'), /"event":"torn-down".*\n$/)
})

for (const tcp of ['', 'node']) {
  const over = tcp === '' ? 'TCP handles' : 'node:net'
  test(`with no files left accepting pauses, those inside live on, and it recovers: over ${over}`, async t => {
    const [port, { port: server }] = [await freePort(), await quoting(t)]
    const env = { POSTERN_TCP: tcp, NODE_OPTIONS: '--pending-deprecation' }
    const { says, said } = await start(t, configuration(t, gateway(port, server)), { files: 80, env })
    assert.equal(said().includes('DEP0111'), tcp === '' && lean)
    const talks: Talk[] = []
    // Each takes two: some of these must find the door shut.
    for (let i = 0; i < 60; i++) {
      const talk = await Talk.to(`127.0.0.1:${port}`).catch(() => undefined)
      if (talk) talks.push(talk)
    }
    await says(/Accepting paused/)
    const [first] = talks
    assert.ok(first)
    assert.equal(await first.hear(), MASKED)
    assert.equal(await first.ask('HELO x'), '250 mail.example\r\n')
    for (const talk of talks) talk.close()
    await says(/Accepting again/)
    assert.equal(await greeting(port), MASKED)
  })
}

test('events go to a syslog server, a file and a JSON file, with the numbers Cisco gave them', async t => {
  const [port, { port: server }] = [await freePort(), await quoting(t)]
  const syslog = dgram.createSocket('udp4')
  syslog.bind(0, '127.0.0.1')
  await once(syslog, 'listening')
  t.after(() => syslog.close())
  const heard: string[] = []
  syslog.on('message', message => heard.push(String(message)))
  const file = configuration(t, [
    'hostname gw',
    ...gateway(port, server),
    'access-list mail permit tcp any host 127.0.0.1 eq 1',
    'logging on',
    'logging timestamp',
    'logging facility 23',
    `logging host inside 127.0.0.1 udp/${syslog.address().port}`,
    'logging file gw.log warnings',
    'logging json gw.json',
    'no logging message 302014',
  ])
  await start(t, file)
  const talk = await Talk.to(`127.0.0.1:${port}`)
  await talk.hear()
  await talk.ask('MAIL FROM:<a|b@x>')
  await talk.ask('QUIT')
  talk.close()
  const log = () => readFileSync(join(dirname(file), 'gw.log'), 'utf8')
  const json = () =>
    readFileSync(join(dirname(file), 'gw.json'), 'utf8')
      .trim()
      .split('\n')
  await eventually(() => heard.length >= 4 && json().length >= 4)
  // Facility 23, severity 6: 23 * 8 + 6.
  assert.match(
    heard.join('\n'),
    /^<190>1 \d{4}-\d\d-\d\dT[\d:.]+Z gw postern \d+ 302013 - %PIX-6-302013: Built inbound TCP connection 1 for outside:127\.0\.0\.1\/\d+ \(127\.0\.0\.1\/\d+\) to inside:127\.0\.0\.1\/\d+ \(127\.0\.0\.1\/\d+\)$/m,
  )
  assert.match(log(), /%PIX-2-108002: SMTP replaced \|: out 127\.0\.0\.1 in 127\.0\.0\.1 data: \S*<a\|b@x>\n/)
  assert.doesNotMatch(log(), /302013/)
  const events = json().map(line => JSON.parse(line) as { readonly event: string; readonly id: number })
  assert.ok(events.some(({ event, id }) => event === 'built' && id === 302013))
  assert.ok(events.some(({ event }) => event === 'altered'))
  // Silenced by its number, everywhere.
  assert.ok(!events.some(({ id }) => id === 302014) && !heard.some(line => line.includes('302014')))
  assert.equal(statSync(join(dirname(file), 'gw.log')).mode & 0o007, 0)
})

const needsDaemon = { skip: unmet({ commands: ['python3'] }) }

/** A syslog daemon's socket, and every datagram that came to it, a line each. */
const DAEMON = [
  'import socket, sys',
  's = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)',
  's.bind(sys.argv[1])',
  'print("ready", flush=True)',
  'while True: print(s.recv(4096).decode(), flush=True)',
].join('\n')

test('the syslog of this machine is told by its own socket, also once it was started anew', needsDaemon, async t => {
  const folder = mkdtempSync(join(tmpdir(), 'syslog-'))
  t.after(() => rmSync(folder, { recursive: true, force: true }))
  const socket = join(folder, 'log')
  const daemon = async () => {
    const child = spawn('python3', ['-c', DAEMON, socket], { stdio: ['ignore', 'pipe', 'inherit'] })
    t.after(() => child.kill('SIGKILL'))
    let heard = ''
    child.stdout.setEncoding('utf8').on('data', (more: string) => {
      heard += more
    })
    await eventually(() => heard.includes('ready'))
    return { child, heard: () => heard }
  }
  const first = await daemon()
  const [port, { port: server }] = [await freePort(), await quoting(t)]
  const lines = [...gateway(port, server), 'logging on', 'logging facility 23', `logging local ${socket}`]
  const file = configuration(t, ['hostname gw', ...lines])
  await start(t, file)
  await greeting(port)
  const built = /^<190>postern\[\d+\]: %PIX-6-302013: Built inbound TCP connection \d+ for outside:/m
  await eventually(() => built.test(first.heard()))
  first.child.kill('SIGKILL')
  await once(first.child, 'exit')
  await greeting(port)
  rmSync(socket)
  const second = await daemon()
  await eventually(async () => {
    await greeting(port)
    return built.test(second.heard())
  })
  // Nobody listens: it does not begin as if all were well.
  const nowhere = configuration(t, [...gateway(port, server), 'logging on', `logging local ${folder}/nobody`])
  const { status, err } = await postern(['firewall', 'run', nowhere])
  assert.equal(status, 2)
  assert.match(err, /logging local: no syslog daemon listens at \S+nobody/)
})

test('metrics answer on loopback by an address of loopback, and nowhere unless a line says so', async t => {
  const [port, metrics, { port: server }] = [await freePort(), await freePort(), await quoting(t)]
  const { child, says } = await start(
    t,
    configuration(t, [...gateway(port, server), `metrics listen 127.0.0.1 ${metrics}`]),
  )
  await greeting(port)
  const at = `http://127.0.0.1:${metrics}`
  assert.equal(await (await fetch(`${at}/healthz`)).text(), 'ok\n')
  const text = await (await fetch(`${at}/metrics`)).text()
  assert.match(text, /^postern_connections_total\{from="outside",to="inside"\} 1$/m)
  assert.match(text, /^postern_altered_total\{what="greeting",subject=""\} 1$/m)
  assert.equal((await fetch(`${at}/other`)).status, 404)
  // A page in a browser that got here by a name of its own.
  const rebound = net.connect(metrics, '127.0.0.1')
  rebound.write('GET /metrics HTTP/1.1\r\nHost: evil.example\r\n\r\n')
  const [answer] = (await once(rebound, 'data')) as [Buffer]
  assert.match(String(answer), /^HTTP\/1\.1 421 /)
  rebound.destroy()
  const open = await Talk.to(`127.0.0.1:${port}`)
  await open.hear()
  child.kill('SIGTERM')
  await says(/1 open connections have/)
  assert.equal((await fetch(`${at}/healthz`)).status, 503)
  open.close()
  const outside = configuration(t, [...gateway(port, server), 'metrics listen 192.0.2.1 9925'])
  const { status, err } = await postern(['firewall', 'run', outside])
  assert.equal(status, 2)
  assert.match(err, /gateway\.conf:7:16: error: metrics are not for the network of 192\.0\.2\.1/)
})

test('a real dialogue is recorded without its secrets, and the record plays', async t => {
  const [port, { port: server }] = [await freePort(), await quoting(t)]
  const file = configuration(t, ['enable password hunter2 encrypted', ...gateway(port, server), 'record dialogues'])
  await start(t, file)
  const talk = await Talk.to(`127.0.0.1:${port}`)
  await talk.hear()
  const secrets = ['AHVzZXIAaHVudGVyMg==', 'dXNlcg==', 'aHVudGVyMg==', 'Top secret', 'inside a chunk']
  assert.match(await talk.ask('EHLO client.example'), /^500 /)
  assert.match(await talk.ask('AUTH PLAIN AHVzZXIAaHVudGVyMg=='), /^500 /)
  assert.match(await talk.ask('AUTH LOGIN'), /^500 /)
  assert.match(await talk.ask('dXNlcg=='), /^500 /)
  assert.match(await talk.ask('aHVudGVyMg=='), /^500 /)
  for (const line of ['HELO client.example', 'MAIL FROM:<a|b@a.example>', 'RCPT TO:<b@b.example>']) await talk.ask(line)
  assert.equal(await talk.ask('DATA'), '354 Go ahead\r\n')
  talk.say('Subject: Top secret\r\n\r\n..\r\n')
  talk.say('QUIT\r\n.')
  talk.say('\r\n')
  assert.equal(await talk.hear(), '250 2.0.0 Queued\r\n')
  talk.say('BDAT 16 LAST\r\ninside a chunk\r\n')
  for (const _ of [1, 2]) assert.match(await talk.hear(), /^500 /)
  talk.say('NO')
  await new Promise(resolve => setTimeout(resolve, 50))
  talk.say('OP\r\n')
  assert.match(await talk.hear(), /^500 /)
  await talk.ask('QUIT')
  talk.close()

  const folder = join(dirname(file), 'dialogues')
  const read = () => {
    const [name = ''] = readdirSync(folder)
    return readFileSync(join(folder, name), 'utf8')
  }
  await eventually(() => /^\(connection closes\)$/m.test(read()))
  const text = read()
  for (const secret of [...secrets, 'hunter2']) assert.ok(!text.includes(secret), `${secret} in:\n${text}`)
  assert.match(text, /^C: EHLO client\.example\n=> XXXX client\.example\n/m)
  assert.match(text, /^C: AUTH PLAIN x+\n=> XXXX PLAIN x+\n/m)
  assert.match(text, /^# \d+ octets of a message are left out\nC: \.\n/m)
  const { transcript, problems } = parseTranscript(text, 'recorded.smtp')
  assert.deepEqual(problems.map(formatDiagnostic), [])
  const make = SUBJECTS.firewall
  assert.ok(make)
  assert.deepEqual(play(transcript, make).failures.map(formatFailure), [], text)
  assert.equal(statSync(folder).mode & 0o077, 0)
})

test('records make room for one another, and end at their limit', async t => {
  const [port, { port: server }] = [await freePort(), await quoting(t)]
  const file = configuration(t, [...gateway(port, server), 'record dialogues files 2 octets 100 messages'])
  await start(t, file)
  for (let i = 0; i < 4; i++) assert.equal(await greeting(port), MASKED)
  const talk = await Talk.to(`127.0.0.1:${port}`)
  await talk.hear()
  for (let i = 0; i < 20; i++) await talk.ask('NOOP')
  talk.close()
  const folder = join(dirname(file), 'dialogues')
  await eventually(() => readdirSync(folder).length === 2)
  const texts = () => readdirSync(folder).map(name => readFileSync(join(folder, name), 'utf8'))
  await eventually(() => texts().some(text => text.endsWith('# the rest is left out: 100 octets are the limit\n')))
})

test('one source has so many connections, and the last are kept for the peers', async t => {
  const [port, { port: server }] = [await freePort(), await quoting(t)]
  const limits = ['limit source connections 2', 'limit connections 3 reserve 1', 'limit peer host 127.0.0.9']
  const { says } = await start(t, configuration(t, [...gateway(port, server), ...limits]))
  const from = (address: string) => hears(t, port, address)
  assert.equal(await from('127.0.0.2'), MASKED)
  assert.equal(await from('127.0.0.2'), MASKED)
  assert.equal(await from('127.0.0.2'), 'reset')
  assert.equal(await from('127.0.0.3'), 'reset')
  assert.equal(await from('127.0.0.9'), MASKED)
  await says(/Connection limit exceeded 2\/2/)
})

test('a static lets in as many at once as its line says, and the next once one has gone', async t => {
  const [port, { port: server }] = [await freePort(), await quoting(t)]
  const lines = gateway(port, server).map(line => (line.startsWith('static ') ? `${line} 2` : line))
  const { says } = await start(t, configuration(t, lines))
  const first = await Talk.to(`127.0.0.1:${port}`)
  await first.hear()
  assert.equal(await hears(t, port, '127.0.0.2'), MASKED)
  assert.equal(await hears(t, port, '127.0.0.3'), 'reset')
  await says(/Connection limit exceeded 2\/2/)
  first.close()
  await eventually(async () => (await hears(t, port, '127.0.0.3')) === MASKED)
})

test('a proxy that is full says so, in the words of SMTP', async t => {
  const [port, { port: server }] = [await freePort(), await quoting(t)]
  const lines = gateway(port, server).filter(line => !line.startsWith('fixup'))
  await start(t, configuration(t, [...lines, `strict smtp ${port}`, 'limit source connections 1']))
  assert.match(await hears(t, port, '127.0.0.2'), /^220 /)
  assert.equal(await hears(t, port, '127.0.0.2'), '421 4.7.0 Too many connections, try again later\r\n')
})

test('a balancer tells who is calling, is believed, and tells the server in turn; nobody else may', async t => {
  const [port, { port: server, said: told }] = [await freePort(), await quoting(t)]
  const lines = gateway(port, server).map(line => line.replace('permit tcp any', 'permit tcp host 198.51.100.7'))
  const more = ['proxy-protocol from host 127.0.0.2', `proxy-protocol to 127.0.0.1 ${server} version 1`]
  const { says } = await start(t, configuration(t, [...lines, ...more]))
  const from = (address: string, pieces: readonly string[]) => hears(t, port, address, pieces)
  const header = 'PROXY TCP4 198.51.100.7 127.0.0.1 4242 25\r\n'
  assert.ok((await from('127.0.0.2', [header.slice(0, 9), header.slice(9)])).startsWith(MASKED))
  await eventually(() => told().startsWith(`PROXY TCP4 198.51.100.7 127.0.0.1 4242 ${port}\r\n`))
  assert.equal(await from('127.0.0.2', ['EHLO x\r\n']), 'reset')
  await says(/PROXY header from 127\.0\.0\.2\/\d+ refused: this is no PROXY header/)
  // From anybody else it is a word like any other, and this one may not come in at all.
  assert.equal(await from('127.0.0.3', [header]), 'reset')
})

test('of several servers the first that answers is taken; a probe tells which are down, and each may have its turn', async t => {
  const one = await quoting(t, { name: 'one.example' })
  const two = await quoting(t, { name: 'two.example' })
  const port = await freePort()
  const lines = gateway(port, one.port).filter(line => !line.startsWith('fixup'))
  const farm = `serverfarm 127.0.0.1 ${one.port}`
  const file = configuration(t, [
    'hostname gw',
    ...lines,
    `${farm} real 127.0.0.1 ${two.port}`,
    `${farm} predictor roundrobin`,
    `${farm} probe smtp every 100ms`,
  ])
  const { child, says } = await start(t, file)
  const heard = [await greeting(port), await greeting(port), await greeting(port)]
  assert.deepEqual(heard, ['220 one.example ESMTP\r\n', '220 two.example ESMTP\r\n', '220 one.example ESMTP\r\n'])
  two.close()
  await says(new RegExp(`Server 127\\.0\\.0\\.1:${two.port} is down`))
  assert.equal(await greeting(port), '220 one.example ESMTP\r\n')
  assert.equal(await greeting(port), '220 one.example ESMTP\r\n')
  one.close()
  await quoting(t, { name: 'again.example', port: two.port })
  await says(new RegExp(`Server 127\\.0\\.0\\.1:${two.port} is up`))
  assert.equal(await greeting(port), '220 again.example ESMTP\r\n')
  child.kill('SIGTERM')
})

test('the profile strict stands between: what it does not know it refuses itself, what passes it says anew', async t => {
  const [port, server] = [await freePort(), await quoting(t)]
  const lines = gateway(port, server.port).filter(line => !line.startsWith('fixup'))
  const file = configuration(t, [
    'hostname gw',
    ...lines,
    `strict smtp ${port}`,
    'strict domain b.example',
    'record dialogues',
  ])
  const { child, says, over } = await start(t, file)
  const talk = await Talk.to(`127.0.0.1:${port}`)
  assert.match(await talk.hear(), /^220 /)
  assert.match(await talk.ask('EHLO client.example'), /^250/)
  assert.match(await talk.ask('XFOO'), /^500 /)
  assert.match(await talk.ask('MAIL FROM:<a@a.example>'), /^250 /)
  assert.match(await talk.ask('RCPT TO:<b@elsewhere.example>'), /^5/)
  assert.match(await talk.ask('RCPT TO:<b@b.example>'), /^250 /)
  assert.match(await talk.ask('DATA'), /^354 /)
  // A bare LF would be a line end to some: refused behind the real end, and no word of it reached the server's commands.
  talk.say('Subject: x\r\n\r\nhello\n.\nMAIL FROM:<evil@a.example>\r\n.\r\n')
  assert.match(await talk.hear(), /^5\d\d /)
  child.kill('SIGTERM')
  await says(/open connections have/)
  assert.match(await talk.hear(), /^421 /)
  assert.equal(await over(), 0)
  assert.ok(
    !server.said().includes('XFOO') && !server.said().includes('elsewhere') && !/^MAIL FROM:<evil/m.test(server.said()),
  )
  const [name = ''] = readdirSync(join(dirname(file), 'dialogues'))
  const record = readFileSync(join(dirname(file), 'dialogues', name), 'utf8')
  assert.match(record, /^subject: proxy$/m)
  assert.match(record, /^C: RCPT TO:<b@b\.example>\nS: 250 /m)
})

test('with --json every event is an object on standard output, to the last', async t => {
  const [port, { port: server }] = [await freePort(), await quoting(t)]
  const { child, printed, over } = await start(t, configuration(t, gateway(port, server)), { args: ['--json'] })
  await greeting(port)
  await eventually(() => printed().includes('torn-down'))
  child.kill('SIGTERM')
  assert.equal(await over(), 0)
  const events = printed()
    .trim()
    .split('\n')
    .map(line => JSON.parse(line) as { readonly event: string; readonly message: string; readonly host: string })
  assert.deepEqual(
    events.map(({ event }) => event),
    ['started', 'built', 'altered', 'torn-down', 'stopping'],
  )
  assert.ok(events.every(({ message, host }) => message !== '' && host === 'pixfirewall'))
})

test('started as root it becomes who its file names once its doors are open, and can be typed at by that user', {
  skip: unmet({ root: true }),
}, async t => {
  const [port, { port: server }] = [await freePort(), await quoting(t)]
  const file = configuration(t, [...gateway(port, server), 'user nobody', 'logging on', 'logging json gateway.json'])
  // The folder of another user's files must be within that user's reach.
  chmodSync(dirname(file), 0o755)
  const { child, said, says } = await start(t, file)
  const nobody = Number(execFileSync('id', ['-u', 'nobody'], { encoding: 'utf8' }))
  const status = readFileSync(`/proc/${child.pid}/status`, 'latin1')
  assert.match(status, new RegExp(`^Uid:\\t${[nobody, nobody, nobody, nobody].join('\\t')}$`, 'm'))
  assert.match(status, /^CapPrm:\t0+$/m)
  assert.equal(statSync(join(dirname(file), 'gateway.json')).uid, nobody)
  assert.equal(await greeting(port), MASKED)
  // A reload opens as that user what it opened before.
  child.kill('SIGHUP')
  await says(/is in force/)
  writeFileSync(file, readFileSync(file, 'utf8').replace('user nobody\n', ''))
  child.kill('SIGHUP')
  await says(/as whom the firewall runs cannot change while it runs/)
  assert.equal(await greeting(port), MASKED, said())
})
