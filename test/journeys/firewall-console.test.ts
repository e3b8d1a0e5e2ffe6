/** The console of a running firewall, and the commands that need none running: what-if, config check, init. */
import assert from 'node:assert/strict'
import { existsSync, mkdtempSync, readdirSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { test } from 'node:test'
import { bytes } from '../../src/base/bytes.ts'
import { frames, pcap } from '../diagnosis/capture.ts'
import { unmet } from '../interop/needs.ts'
import { type After, configuration, eventually, freePort, gateway, quoting, start } from './gateway.ts'
import { postern, ROOT, run, Talk } from './postern.ts'

/** A firewall called gw, whose console is found in a place of its own. */
async function running(t: After, more: readonly string[] = []) {
  const [port, server] = [await freePort(), await quoting(t)]
  const file = configuration(t, ['! the gateway', 'hostname gw', ...gateway(port, server.port), ...more])
  const state = mkdtempSync(join(tmpdir(), 'state-'))
  t.after(() => rmSync(state, { recursive: true, force: true }))
  const env = { POSTERN_STATE: state }
  const started = await start(t, file, { env })
  const type = (...lines: readonly string[]) => postern(['firewall', 'type', 'gw', ...lines], { env })
  return { port, server, file, state, env, type, ...started }
}

async function greeting(port: number): Promise<string> {
  const talk = await Talk.to(`127.0.0.1:${port}`)
  const heard = await talk.hear()
  talk.close()
  return heard
}

test('lines typed change what is in force; undo takes back one after the other, and tells as what', async t => {
  const { port, type } = await running(t)
  assert.match(await greeting(port), /^220 \*/)
  assert.deepEqual(await type(`no fixup protocol smtp ${port}`), { status: 0, out: '', err: '' })
  assert.equal(await greeting(port), '220 mail.example ESMTP\r\n')
  assert.match((await type('show running-config')).out, new RegExp(`^no fixup protocol smtp ${port}$`, 'm'))
  assert.match((await type('undo')).out, new RegExp(`^fixup protocol smtp ${port}$`, 'm'))
  assert.match(await greeting(port), /^220 \*/)
  const again = await type('undo')
  assert.deepEqual([again.status, again.out], [2, 'error: there is nothing to take back\n'])
})

test('show explain says when it was and between whom; show service-policy counts it', async t => {
  const { port, server, type } = await running(t)
  const talk = await Talk.to(`127.0.0.1:${port}`)
  await talk.hear()
  await talk.ask('EHLO c.example')
  const { out } = await type('show explain')
  talk.close()
  const heads = out.split('\n').filter(line => /^\S/.test(line))
  const ends = `from outside:127\\.0\\.0\\.1/\\d+ to inside:127\\.0\\.0\\.1/${server.port}`
  assert.equal(heads.length, 2)
  assert.match(heads[0] ?? '', new RegExp(`^20\\d\\d-\\d\\d-\\d\\dT\\d\\d:\\d\\d:\\d\\dZ greeting ${ends}$`))
  assert.match(heads[1] ?? '', new RegExp(`^\\S+Z command EHLO ${ends}$`))
})

test('a server that takes no XCLIENT is told of once, whoever comes, and again when the configuration has changed', async t => {
  const { port, type, says, said } = await running(t, ['strict xclient'])
  await type(`no fixup protocol smtp ${port}`, `strict smtp ${port}`)
  const visit = async () => {
    const talk = await Talk.to(`127.0.0.1:${port}`)
    await talk.hear()
    assert.match(await talk.ask('EHLO c.example'), /^250/)
    talk.close()
  }
  const told = () => said().match(/Server inside:127\.0\.0\.1\/\d+: the server offers no XCLIENT/g)?.length ?? 0
  await visit()
  await says(/offers no XCLIENT/)
  await visit()
  const { out } = await type('show explain')
  assert.equal(out.match(/ server XCLIENT from /g)?.length, 1)
  assert.equal(told(), 1)
  await type('strict errors 21')
  await visit()
  await eventually(() => told() === 2)
  await type('strict xclient must')
  const talk = await Talk.to(`127.0.0.1:${port}`)
  await talk.hear()
  assert.match(await talk.ask('EHLO c.example'), /^421 4\.3\.0 gw cannot tell its server who you are/)
  talk.close()
  await says(
    /Server inside:\S+ no mail goes to a server that takes every client for this firewall, by strict xclient must/,
  )
})

test('a server that did not answer its last probe is said to be up, but not without a word', async t => {
  const gone = await freePort()
  const { server, type } = await running(t)
  const farm = `serverfarm 127.0.0.1 ${server.port}`
  await type(`${farm} real 127.0.0.1 ${gone}`, `${farm} probe smtp every 10m`)
  const told = new Set<string>()
  await eventually(async () => {
    const { out } = await type('show serverfarm')
    told.add(out)
    return out.includes(`127.0.0.1:${gone} is up, but did not answer the last probe\n`)
  })
  assert.match([...told].at(-1) ?? '', new RegExp(`^127\\.0\\.0\\.1:${server.port} is up$`, 'm'))
})

test('what nobody confirms in time is taken back, and cannot be written before', async t => {
  const { port, type, says } = await running(t)
  const typed = await type('confirm within 700ms', `no fixup protocol smtp ${port}`, 'write memory')
  assert.equal(typed.status, 2)
  assert.match(typed.out, /taken back in 700ms, unless you type: confirm\nerror: first confirm/)
  await says(/Configuration taken back: nobody confirmed it in time/)
  assert.match(await greeting(port), /^220 \*/)
  const kept = await type('confirm within 1m', `no fixup protocol smtp ${port}`, 'confirm')
  assert.equal(kept.status, 0)
  assert.equal(await greeting(port), '220 mail.example ESMTP\r\n')
  assert.equal((await type('confirm')).status, 2)
})

test('write memory writes the file as a whole, with its comments and its mode, and reload reads it again', async t => {
  const { port, file, type } = await running(t)
  const mode = statSync(file).mode
  const typed = await type(`no fixup protocol smtp ${port}`, 'write memory')
  assert.deepEqual([typed.status, typed.out], [0, `${file} is written\n`])
  const text = readFileSync(file, 'utf8')
  assert.match(text, /^! the gateway\nhostname gw\n/)
  assert.match(text, new RegExp(`^no fixup protocol smtp ${port}$`, 'm'))
  assert.equal(statSync(file).mode, mode)
  assert.deepEqual(readdirSync(join(file, '..')), ['gateway.conf'])
  const startup = await type('show startup-config')
  assert.equal(startup.out, text)

  writeFileSync(file, `${text}fixup protcol smtp 25\n`)
  const refused = await type('reload')
  assert.equal(refused.status, 2)
  assert.match(refused.out, /gateway\.conf:\d+:7: error: unknown word "protcol"[\s\S]*nothing was changed\n$/)
  writeFileSync(file, text.replace(/^no fixup.*$/m, `fixup protocol smtp ${port}`))
  assert.match((await type('reload')).out, /is in force\n$/)
  assert.match(await greeting(port), /^220 \*/)
})

test('a door that a typed line asks for opens, and one that cannot is said, with the rest in force', async t => {
  const { port, server, type } = await running(t)
  const free = await freePort()
  const to = `127.0.0.1 ${server.port} netmask 255.255.255.255`
  const typed = await type(
    `access-list mail permit tcp any host 127.0.0.1 eq ${free}`,
    `static (inside,outside) tcp 127.0.0.1 ${free} ${to}`,
  )
  assert.deepEqual([typed.status, typed.out], [0, ''])
  assert.equal(await greeting(free), '220 mail.example ESMTP\r\n')
  const taken = await type(`static (inside,outside) tcp 127.0.0.1 ${server.port} 127.0.0.1 9 netmask 255.255.255.255`)
  assert.equal(taken.status, 2)
  assert.match(taken.out, /console:1:1: error: cannot listen at 127\.0\.0\.1:\d+: the port is in use/)
  assert.equal((await type(`no static (inside,outside) tcp 127.0.0.1 ${free} ${to}`)).status, 0)
  await assert.rejects(greeting(free), /ECONNREFUSED/)
  assert.match(await greeting(port), /^220 \*/)
})

test('lines come from a pipe as well; words may be short, and ? helps', async t => {
  const { env, port } = await running(t, ['logging on', 'logging buffered debugging'])
  await greeting(port)
  const piped = await run(`${ROOT}/postern`, ['firewall', 'console'], {
    env,
    input: 'sh conn\nsh serv ins es\nsh logg\nshow ?\nconf t\nfix prot smtp 26\nsh fix\nexit\nshow version\n',
  })
  assert.equal(piped.status, 0, piped.err)
  assert.match(piped.out, /^\d in use, 1 most used\n/)
  assert.match(piped.out, /Inspect: esmtp at gw, of the last 1 alterations\n +1 {2}mask greeting, by \S+:5: fixup/)
  assert.match(piped.out, /%PIX-6-302013: Built inbound TCP connection 1 for outside:/)
  assert.match(piped.out, /^running-config +the configuration in force$/m)
  assert.match(piped.out, /^fixup protocol smtp 26\n$/m)
  assert.doesNotMatch(piped.out, /process \d+/)
  const wrong = await run(`${ROOT}/postern`, ['firewall', 'console', 'gw'], {
    env,
    input: 'fixup protcol smtp 25\nshow version\n',
  })
  assert.equal(wrong.status, 2)
  assert.match(wrong.out, /unknown word "protcol"[\s\S]*gw: Postern/)
})

const needsTerminal = { skip: unmet({ commands: ['python3'] }) }

test('on a terminal the tab key completes and ? answers at once, the line as it was', needsTerminal, async t => {
  const { env } = await running(t)
  const script = [
    'import os, pty, sys, time',
    'pid, fd = pty.fork()',
    'if pid == 0: os.execv(sys.argv[1], sys.argv[1:])',
    'seen = b""',
    'def until(what):',
    '  global seen',
    '  while what not in seen:',
    '    more = os.read(fd, 4096)',
    '    sys.stdout.buffer.write(more); sys.stdout.flush()',
    '    seen += more',
    '  seen = seen[seen.index(what) + len(what):]',
    'until(b"gw# ")',
    'os.write(fd, b"show runn\\t"); until(b"running-config")',
    'os.write(fd, b"\\r"); until(b"hostname gw")',
    'until(b"gw# ")',
    'os.write(fd, b"show n?"); until(b"interfaces and their security levels"); until(b"show n")',
    'os.write(fd, b"ameif\\r"); until(b"nameif ethernet1 inside security100")',
    // The arrow key brings back what was typed, and it can be typed again.
    'until(b"gw# ")',
    'os.write(fd, b"\\x1b[A"); until(b"show nameif")',
    'os.write(fd, b"\\r"); until(b"nameif ethernet1 inside security100")',
    // Ctrl-C gives up the line, and not the console.
    'os.write(fd, b"no nameif"); until(b"no nameif")',
    'os.write(fd, b"\\x03"); until(b"^C"); until(b"gw# ")',
    'os.write(fd, b"show fixup\\r"); until(b"fixup protocol smtp")',
    'os.write(fd, b"exit\\r")',
    'os.waitpid(pid, 0)',
  ].join('\n')
  const told = await run('timeout', ['30', 'python3', '-c', script, `${ROOT}/postern`, 'firewall', 'console'], { env })
  assert.equal(told.status, 0, `${told.out}\n${told.err}`)
})

test('only the owner gets at the console, and whoever finds none, or too many, is told so', async t => {
  const { state, env } = await running(t)
  const [folder = ''] = readdirSync(state)
  assert.equal(statSync(join(state, folder)).mode & 0o777, 0o700)
  assert.equal(statSync(join(state, folder, 'control')).mode & 0o777, 0o600)
  const other = await postern(['firewall', 'type', 'fw-b', 'show conn'], { env })
  assert.deepEqual([other.status, other.err], [2, 'error: no firewall is called "fw-b" here (known: gw)\n'])
  const empty = mkdtempSync(join(tmpdir(), 'state-'))
  t.after(() => rmSync(empty, { recursive: true, force: true }))
  const none = await postern(['firewall', 'console'], { env: { POSTERN_STATE: empty } })
  assert.deepEqual([none.status, /no firewall is running/.test(none.err)], [2, true])
})

test('passwords that are typed reach no log', async t => {
  const { type, file } = await running(t, [
    'logging on',
    'logging json gw.json debugging',
    'logging buffered debugging',
  ])
  await type('enable password hunter2 encrypted', 'isakmp key hunter2 address 192.0.2.1', 'show conn')
  const json = join(file, '..', 'gw.json')
  await eventually(() => existsSync(json) && readFileSync(json, 'utf8').includes('show conn'))
  const { out } = await type('show logging')
  assert.match(out, /111008: User 'enable_15' executed the 'enable \*{5}' command\./)
  assert.ok(!out.includes('hunter2') && !readFileSync(json, 'utf8').includes('hunter2'))
})

const CASE = [
  '# Two messages, the first of them after a login.',
  'subject: server',
  '',
  '-- dialogue --',
  '(client connects)',
  'S: 220 mail-b ESMTP',
  'C: EHLO mail-a',
  'S: 250-mail-b',
  'S: 250-CHUNKING',
  'S: 250 X-EXPS LOGIN',
  'C: X-EXPS LOGIN xxxx',
  'S: 235 2.7.0 xxx',
  'C: MAIL FROM:<alice@a.example>',
  'S: 250 2.1.0 Ok',
  'C: RCPT TO:<bob@b.example>',
  'S: 250 2.1.5 Ok',
  'C: DATA',
  'S: 354 Go ahead',
  'C: Subject: x',
  'C: .',
  'S: 250 2.0.0 Ok',
  '(client connects)',
  'S: 220 mail-b ESMTP',
  'C: HELO mail-a',
  'S: 250 mail-b',
  'C: MAIL FROM:<carol@a.example>',
  'C: RCPT TO:<bob@b.example>',
  'C: DATA',
  'S: 250 2.1.0 Ok',
  'S: 250 2.1.5 Ok',
  'S: 354 Go ahead',
  'C: Subject: x',
  'C: .',
  'S: 250 2.0.0 Ok',
]

test('what-if tells which recorded mail would stop or change, by which line, and its status says so', async t => {
  const session = configuration(t, CASE)
  const file = configuration(t, gateway(2525, 2526))
  const told = await postern(['firewall', 'what-if', file, '--sessions', session])
  assert.equal(told.status, 1, told.err)
  assert.match(told.out, /^stops {4}\S+gateway\.conf:13 <alice@a\.example> to <bob@b\.example>\n/)
  assert.match(told.out, /^ {3}mask command X-EXPS, by \S+gateway\.conf:3: fixup protocol smtp 2525$/m)
  assert.match(told.out, /^ {6}cure: no fixup protocol smtp 2525$/m)
  assert.match(told.out, /^changes {2}\S+gateway\.conf:26 <carol@a\.example> to <bob@b\.example>\n {3}mask greeting,/m)
  assert.match(told.out, /\nof 2 messages 1 would stop, 1 would change, 0 would pass as they came\n$/)

  const open = configuration(
    t,
    gateway(2525, 2526).filter(line => !line.startsWith('fixup')),
  )
  const box = configuration(t, [...gateway(2525, 2526).filter(l => !l.startsWith('fixup')), 'strict smtp 2525'])
  const proxied = await postern(['firewall', 'what-if', box, '--sessions', session, '--json'])
  const [lost = {}] = proxied.out.split('\n').map(line => JSON.parse(line || '{}') as Record<string, unknown>)
  assert.equal(lost.outcome, 'stops')
  assert.deepEqual(lost.assumed, ['the client sends nothing without its login, and X-EXPS is not offered to it'])
  assert.equal((await postern(['firewall', 'what-if', open, '--sessions', session])).status, 0)
  const twice = await postern(['firewall', 'what-if', open, '--sessions', session, session])
  assert.match(twice.err, /^2 records, such as \S+: no time passes there: [^\n]*\n$/)
  const shut = configuration(
    t,
    gateway(2525, 2526).filter(line => !line.startsWith('access-list')),
  )
  const json = await postern(['firewall', 'what-if', shut, '--sessions', session, '--json'])
  assert.equal(json.status, 1)
  const [first = {}, , count] = json.out
    .trim()
    .split('\n')
    .map(line => JSON.parse(line) as Record<string, unknown>)
  assert.equal(first.outcome, 'stops')
  assert.match(String(first.refused), /access list mail does not speak of it/)
  assert.deepEqual(count, { stops: 2, changes: 0, passes: 0, unseen: 0 })
})

test('what-if reads captures as well: DATA and BDAT, and who called', async t => {
  const file = configuration(t, gateway(2525, 2526))
  const folder = mkdtempSync(join(tmpdir(), 'capture-'))
  t.after(() => rmSync(folder, { recursive: true, force: true }))
  const capture = join(folder, 'mail.pcap')
  const said = (by: 'C' | 'S', ...lines: readonly string[]) => ({
    by,
    octets: bytes(lines.map(l => `${l}\r\n`).join('')),
  })
  const begin = [said('S', '220 mail-b ESMTP'), said('C', 'EHLO a'), said('S', '250-mail-b', '250 CHUNKING')]
  const mail = (from: string) => [
    ...[said('C', `MAIL FROM:<${from}@a.example>`), said('S', '250 Ok')],
    ...[said('C', 'RCPT TO:<bob@b.example>'), said('S', '250 Ok')],
  ]
  const pieces = [
    ...begin,
    ...mail('alice'),
    ...[said('C', 'DATA'), said('S', '354 Go'), said('C', 'Subject: x', '', 'x', '.'), said('S', '250 Ok')],
    ...mail('carol'),
    ...[said('C', 'BDAT 14 LAST', 'Subject: xxx'), said('S', '250 Ok'), said('C', 'QUIT'), said('S', '221 Bye')],
  ]
  writeFileSync(capture, pcap('ethernet', frames(pieces)))
  const { status, out, err } = await postern(['firewall', 'what-if', file, '--sessions', capture])
  assert.equal(status, 1, err)
  const place = String.raw`\S+mail\.pcap \(192\.0\.2\.7:40000 to 192\.0\.2\.10:25\)`
  assert.match(out, new RegExp(`^changes {2}${place}:3 <alice@a\\.example> to <bob@b\\.example>`, 'm'))
  assert.match(out, new RegExp(`^changes {2}${place}:7 <carol@a\\.example> to <bob@b\\.example>`, 'm'))
  assert.match(out, /\nof 2 messages 0 would stop, 2 would change, 0 would pass as they came\n$/)

  // Through a proxy: a client that keeps to what it is offered, and a server that answers as this one did.
  const strict = configuration(t, [...gateway(2525, 2526).filter(l => !l.startsWith('fixup')), 'strict smtp 2525'])
  const through = await postern(['firewall', 'what-if', strict, '--sessions', capture])
  assert.equal(through.status, 1, through.err)
  assert.match(through.out, new RegExp(`^passes {3}${place}:3 <alice@a\\.example>`, 'm'))
  assert.match(through.out, new RegExp(`^changes {2}${place}:7 <carol@a\\.example>`, 'm'))
  assert.match(through.out, /^ {3}replace command BDAT, by [\s\S]*^ {3}assumed: the server answers DATA by 354$/m)

  // The clock of a capture is played: a packet a second is too slow for this line, and a pause is one.
  const hasty = configuration(t, [
    ...gateway(2525, 2526).filter(l => !l.startsWith('fixup')),
    ...['strict smtp 2525', 'strict command-wait 1s'],
  ])
  const late = await postern(['firewall', 'what-if', hasty, '--sessions', capture])
  assert.match(
    late.out,
    /^stops .*\n {3}drop-connection session COMMAND, by \S+: strict command-wait 1s\n {6}idle too/m,
  )
  assert.match(late.out, /\nof 2 messages 2 would stop/)

  // Behind STARTTLS nobody could look, and what becomes of STARTTLS is said.
  const tls = join(folder, 'tls.pcap')
  const hello = [said('S', '220 mail-b ESMTP'), said('C', 'EHLO a'), said('S', '250-mail-b', '250 STARTTLS')]
  const hidden = { by: 'C' as const, octets: Uint8Array.of(0x16, 3, 1, 0, 1, 0) }
  writeFileSync(tls, pcap('ethernet', frames([...hello, said('C', 'STARTTLS'), said('S', '220 Go'), hidden])))
  const masked = await postern(['firewall', 'what-if', file, '--sessions', tls])
  assert.equal(masked.status, 1, masked.err)
  assert.match(
    masked.out,
    /^unseen {3}\S+tls\.pcap \S+ to \S+:3 TLS begins, and the record ends\n {3}STARTTLS does not get/m,
  )
  assert.match(masked.out, /^ {3}mask command EHLO, by \S+: fixup protocol smtp 2525$/m)
  assert.match(masked.out, /\nnot looked into, as TLS began: 1 session\nof 0 messages 0 would stop/)
  const open = configuration(
    t,
    gateway(2525, 2526).filter(l => !l.startsWith('fixup')),
  )
  const passed = await postern(['firewall', 'what-if', open, '--sessions', tls, '--json'])
  assert.equal(passed.status, 0, passed.err)
  const [seen = {}, counts] = passed.out
    .trim()
    .split('\n')
    .map(line => JSON.parse(line) as Record<string, unknown>)
  assert.deepEqual([seen.outcome, seen.starttls], ['unseen', 'passes'])
  assert.deepEqual(counts, { stops: 0, changes: 0, passes: 0, unseen: 1 })

  // More than is read of a connection: the message counts all the same, and that its end is not known is told.
  const long = Array.from({ length: 4_096 }, () => 'x'.repeat(70))
  const ways = [
    [said('C', 'DATA'), said('S', '354 Go'), ...long.map(l => said('C', l)), said('C', '.'), said('S', '250 Ok')],
    [said('C', `BDAT ${72 * 4_096} LAST`), ...long.map(l => said('C', l)), said('S', '250 Ok')],
  ]
  for (const way of ways) {
    const big = join(folder, 'big.pcap')
    writeFileSync(big, pcap('ethernet', frames([...begin, ...mail('dave'), ...way])))
    const told = await postern(['firewall', 'what-if', file, '--sessions', big])
    assert.match(told.err, /the end of the last message is not there \(at most 262144 octets/)
    assert.match(told.out, /<dave@a\.example>[\s\S]*\nof 1 message 0 would stop, 1 would change/)
  }

  // Whole networks behind a static: the server is the one that was seen, before the firewall or behind it.
  for (const mapped of ['192.0.2', '198.51.100']) {
    const network = configuration(t, [
      'nameif ethernet0 outside security0',
      'nameif ethernet1 inside security100',
      'fixup protocol smtp 25',
      `static (inside,outside) ${mapped}.0 192.0.2.0 netmask 255.255.255.0 0 0`,
      `access-list mail permit tcp host 192.0.2.7 host ${mapped}.10 eq smtp`,
      'access-group mail in interface outside',
    ])
    const told = await postern(['firewall', 'what-if', network, '--sessions', capture])
    assert.match(told.out, /\nof 2 messages 0 would stop, 2 would change, 0 would pass as they came\n$/, mapped)
  }
})

test('config check says what a file is, whatever it configures, and everything that is wrong with it', async t => {
  for (const [file, what] of [
    ['examples/case-study/firewall-b.conf', 'a firewall'],
    ['examples/case-study/mail-a.conf', 'a mail server'],
    ['examples/case-study/lab.conf', 'a laboratory'],
    ['examples/gateway/gateway.conf', 'a firewall'],
  ]) {
    const { status, out } = await postern(['config', 'check', join(ROOT, String(file))])
    assert.deepEqual([status, out], [0, `${join(ROOT, String(file))}: the configuration of ${what}, no mistakes\n`])
  }
  const wrong = configuration(t, ['nameif ethernet0 outside security0', 'bogus', 'fixup protocol smtp 0'])
  const { status, out, err } = await postern(['config', 'check', wrong])
  assert.equal(status, 2)
  assert.match(out, /a firewall, 2 mistakes\n$/)
  assert.match(err, /:2:1: error: [\s\S]*:3:21: error: /)
})

test('init gateway writes an example that runs as it stands, and writes over nothing', async t => {
  const folder = join(mkdtempSync(join(tmpdir(), 'init-')), 'gateway')
  t.after(() => rmSync(join(folder, '..'), { recursive: true, force: true }))
  const written = await postern(['init', 'gateway', folder])
  assert.equal(written.status, 0, written.err)
  const file = join(folder, 'gateway.conf')
  assert.equal(readFileSync(file, 'utf8'), readFileSync(join(ROOT, 'examples/gateway/gateway.conf'), 'utf8'))
  const again = await postern(['init', 'gateway', folder])
  assert.equal(again.status, 2)
  assert.match(again.err, /nothing is written: there is a \S+gateway\.conf already/)
  // Its own ports may be taken where this runs: two that are free stand for them.
  const [port, server] = [await freePort(), await quoting(t)]
  writeFileSync(file, readFileSync(file, 'utf8').replaceAll('2525', `${port}`).replaceAll('2526', `${server.port}`))
  await start(t, file)
  assert.match(await greeting(port), /^220 /)
})
