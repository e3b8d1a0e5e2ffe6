/** A laboratory lent to a command: what it sees through the firewall, and what it may type there. */
import assert from 'node:assert/strict'
import { type ChildProcessWithoutNullStreams, spawn } from 'node:child_process'
import { existsSync, readdirSync } from 'node:fs'
import { tmpdir, userInfo } from 'node:os'
import { join } from 'node:path'
import { before, test } from 'node:test'
import { postern, ROOT, run, type Said } from './postern.ts'

let ran: Said
let heard: Readonly<Record<string, unknown>>

before(async () => {
  const inside = join(ROOT, 'test/journeys/inside-case-study.ts')
  ran = await postern(['lab', 'exec', 'case-study', '--', process.execPath, inside])
  heard = JSON.parse(ran.out || '{}') as typeof heard
})

test("the command's status is the command's own", () => {
  assert.equal(ran.status, 7, ran.err)
})

test('the servers greet and offer what the case study prints, word for word and in order', () => {
  for (const [entry, host, peer] of [
    ['MAIL_A', 'mail-a.a.example', '10.53.7.50'],
    ['MAIL_B', 'mail-b.b.example', '10.54.7.50'],
  ] as const) {
    assert.match(
      String(heard[`${entry} greeting`]),
      new RegExp(
        `^220 ${host} Microsoft ESMTP MAIL Service, Version: 5\\.0\\.2195\\.2966 ready at {2}[A-Z][a-z]{2}, \\d{1,2} [A-Z][a-z]{2} \\d{4} \\d\\d:\\d\\d:\\d\\d \\+0000 \r\n$`,
      ),
    )
    assert.equal(
      heard[`${entry} EHLO`],
      [
        `250-${host} Hello [${peer}]`,
        '250-TURN',
        '250-ATRN',
        '250-SIZE',
        '250-ETRN',
        '250-PIPELINING',
        '250-DSN',
        '250-ENHANCEDSTATUSCODES',
        '250-8bitmime',
        '250-BINARYMIME',
        '250-CHUNKING',
        '250-VRFY',
        '250-X-EXPS GSSAPI NTLM LOGIN',
        '250-X-EXPS=LOGIN',
        '250-AUTH GSSAPI NTLM LOGIN',
        '250-AUTH=LOGIN',
        '250-X-LINK2STATE',
        '250-XEXCH50',
        '250 OK\r\n',
      ].join('\r\n'),
    )
  }
  assert.deepEqual(heard.recipients, ['alice@a.example', 'bob@b.example'])
})

test('through fw-b the greeting is masked by the rule, and keeps its length', () => {
  const masked = String(heard.greeting)
  assert.match(masked, /^220 \*{58}0\*2\*{4}2\*{19}2\*{6}[*20 ]+\r\n$/)
  // The day of the month is not padded, so two greetings of one minute have one length.
  assert.equal(masked.length, String(heard['MAIL_B greeting']).length)
})

test('through fw-b seven commands work, and every other verb becomes X', () => {
  assert.equal(heard['EHLO x'], '500 5.5.1 Command unrecognized: "XXXX x"\r\n')
  assert.equal(heard['BDAT 86 LAST'], '500 5.5.1 Command unrecognized: "XXXX 86 LAST"\r\n')
  assert.equal(heard['XEXCH50 1024 2'], '500 5.5.1 Command unrecognized: "XXXXXXX 1024 2"\r\n')
  assert.equal(heard.STARTTLS, '500 5.5.1 Command unrecognized: "XXXXXXXX"\r\n')
  assert.equal(heard['HELO x'], '250 mail-b.b.example Hello [10.53.7.50]\r\n')
  assert.equal(heard.NOOP, '250 2.0.0 OK\r\n')
  assert.equal(heard['MAIL FROM:<alice@a.example>'], '250 2.1.0 alice@a.example....Sender OK\r\n')
  assert.equal(heard['RCPT TO:<bob@b.example>'], '250 2.1.5 bob@b.example \r\n')
  assert.equal(heard.RSET, '250 2.0.0 Resetting\r\n')
  assert.equal(heard.DATA, '354 Start mail input; end with <CRLF>.<CRLF>\r\n')
  assert.equal(heard.QUIT, '221 2.0.0 mail-b.b.example Service closing transmission channel\r\n')
})

test('a message of ten megabytes is taken through fw-b', () => {
  assert.match(String(heard['end of data']), /^250 2\.6\.0 <\S+@mail-b\.b\.example> Queued mail for delivery\r\n$/)
})

test('typed octet by octet, each its own segment, even HELO becomes X', () => {
  assert.equal(heard['typed HELO x'], '500 5.5.1 Command unrecognized: "XXXXXX"\r\n')
})

test('from outside, where no access rule lets anybody in, the connection is refused; with a rule it opens', () => {
  assert.equal(heard.outside, 'ECONNREFUSED')
  assert.match(String(heard['outside, permitted']), /^220 mail-b\.b\.example /)
})

test('fw-a inspects what comes from outside to mail-a, too', () => {
  assert.match(String(heard['FW_A_OUTSIDE greeting']), /^220 [*20 ]+\r\n$/)
})

test('lines typed at fw-b answer as a console does', () => {
  assert.deepEqual(heard['type show fixup'], { status: 0, out: 'fixup protocol smtp 25\n' })
  assert.match((heard['type show conn'] as Said).out, /^\d+ in use, \d+ most used\n/)
  assert.match(
    (heard['type no fixup protocol smtp'] as Said).out,
    /warning: this puts inspection of port 25 back[\s\S]*to switch it off: no fixup protocol smtp 25/,
  )
  const misspelt = heard['type fixup protcol smtp 25'] as Said
  assert.equal(misspelt.status, 2)
  assert.match(misspelt.out, /console:1:7: error: unknown word "protcol"[\s\S]*did you mean protocol\?/)
  assert.match((heard['type show explain'] as Said).out, /before {2}EHLO x\n {3}after {3}XXXX x\n/)
  assert.match((heard['type ?'] as Said).out, /^show +look at something\n[\s\S]*fixup/)
})

test('an open connection keeps its treatment when the line is typed, and `show conn` tells it', () => {
  assert.equal(heard['old EHLO'], '500 5.5.1 Command unrecognized: "XXXX old.example"\r\n')
  assert.match(String(heard['new EHLO']), /250-X-LINK2STATE\r\n250-XEXCH50\r\n250 OK\r\n$/)
  assert.match(
    String(heard['show conn, one open']),
    /TCP out 10\.53\.7\.50:\d+ in 10\.54\.7\.10:25 for \S+ bytes \d+ inspected by fixup protocol smtp 25\n/,
  )
  assert.match(String(heard['show conn, two open']), /inspected by fixup protocol smtp 25\n[\s\S]*not inspected\n/)
})

test('when the command ends the laboratory is gone: nothing listens, nothing lies about', async () => {
  const { out } = await postern(['lab', 'exec', 'case-study', '--', 'sh', '-c', 'echo "$POSTERN_LAB $POSTERN_MAIL_A"'])
  const [state = '', endpoint = ''] = out.trim().split(' ')
  assert.match(state, /case-study/)
  assert.equal(existsSync(state), false)
  const [host = '', port = ''] = endpoint.split(':')
  const probe = `require('net').connect(${port}, '${host}').on('error', e => console.log(e.code))`
  assert.equal((await run(process.execPath, ['-e', probe])).out, 'ECONNREFUSED\n')
})

test('a command that cannot be run, or none, gets status 2; one that a signal ended, the status a shell gives', async () => {
  const missing = await postern(['lab', 'exec', 'case-study', '--', 'no-such-command'])
  assert.equal(missing.status, 2)
  assert.match(missing.err, /cannot run no-such-command/)
  assert.equal((await postern(['lab', 'exec', 'case-study'])).status, 2)
  assert.equal((await postern(['lab', 'exec', 'case-study', '--', 'sh', '-c', 'kill -9 $$'])).status, 137)
})

test('without a running laboratory `lab type` says so', async () => {
  const { status, err } = await postern(['lab', 'type', 'fw-b', 'show fixup'], { env: { TMPDIR: '/var/tmp' } })
  assert.equal(status, 2)
  assert.match(err, /no laboratory is running/)
})

/** Starts `./postern …`, does something to it once it has printed `until`, and tells how it ended. */
function interrupted(
  args: readonly string[],
  until: RegExp,
  act: (child: ChildProcessWithoutNullStreams) => void,
): Promise<{ readonly status: number | null; readonly out: string; readonly pid: number }> {
  const child = spawn(`${ROOT}/postern`, args, { cwd: ROOT, env: { ...process.env, NO_COLOR: '1' } })
  let out = ''
  let acted = false
  child.stdout.on('data', chunk => {
    out += chunk
    if (!acted && until.test(out)) {
      acted = true
      act(child)
    }
  })
  return new Promise((resolve, reject) => {
    child.on('error', reject)
    child.on('close', status => resolve({ status, out, pid: child.pid ?? 0 }))
  })
}

const stateOf = (pid: number) =>
  readdirSync(join(tmpdir(), `postern-${userInfo().uid}`)).filter(each => each.includes(`.${pid}.`))

for (const [when, until, status] of [
  ['before the story begins', /The laboratory/, 1],
  ['in the middle of the story', /1\. Site A writes/, 1],
  ['when the story is over and the laboratory stays up', /Press Ctrl-C/, 0],
] as const) {
  test(`Ctrl-C ${when} takes everything down`, async () => {
    const ended = await interrupted(['lab', 'run', 'case-study'], until, child => child.kill('SIGINT'))
    assert.equal(ended.status, status)
    assert.deepEqual(stateOf(ended.pid), [])
  })
}

test('a reader that goes away ends the story, and nothing is left behind', async () => {
  const ended = await interrupted(['lab', 'run', 'case-study'], /The laboratory/, child => child.stdout.destroy())
  assert.notEqual(ended.status, null)
  assert.deepEqual(stateOf(ended.pid), [])
})

test('a command that ignores SIGTERM is ended when asked again, and the laboratory with it', async () => {
  const stubborn = 'trap "" TERM; echo ready; while :; do sleep 0.1; done'
  const ended = await interrupted(['lab', 'exec', 'case-study', '--', 'sh', '-c', stubborn], /ready/, child => {
    child.kill('SIGTERM')
    setTimeout(() => child.kill('SIGTERM'), 200)
  })
  assert.equal(ended.status, 137)
  assert.deepEqual(stateOf(ended.pid), [])
})
