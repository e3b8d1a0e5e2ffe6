import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import { anyOctets, runs } from '../base/any-bytes.test.ts'
import { text } from '../base/bytes.ts'
import { parse } from '../config/parse.ts'
import { parseTranscript } from '../transcript/parse.ts'
import { admit } from './admission.ts'
import { FIREWALL } from './commands.ts'
import type { Fate, Told } from './fate.ts'
import { type Dialogue, dialoguesOf, NOWHERE } from './recorded.ts'
import { BEFORE_A_SERVER } from './through.test.ts'
import { whatIf } from './what-if.ts'

function playWhole(dialogue: Dialogue, lines: readonly string[]): Told {
  const { config, problems } = parse(
    FIREWALL,
    [...BEFORE_A_SERVER, ...lines].map(line => `${line}\n`).join(''),
    'gw.conf',
  )
  assert.deepEqual(problems, [])
  const source = '198.51.100.1'
  const admission = admit(config, 'gw', 'outside', { source, destination: '192.0.2.5', port: 25 })
  const canSecure = config.proxies.certificates.length > 0
  return whatIf(dialogue, admission, { client: { address: source }, canSecure, now: 0 })
}

function play(dialogue: Dialogue, lines: readonly string[]): readonly Fate[] {
  return playWhole(dialogue, lines).fates
}

/** The fates of a record, as words: outcome, what was done by which cure, and what was assumed. */
function told(record: string, ...lines: readonly string[]): readonly string[] {
  const { transcript, problems } = parseTranscript(
    `# A record.\nsubject: server\n\n-- dialogue --\n(client connects)\n${record.trim()}\n`,
    'record.smtp',
  )
  assert.deepEqual(problems, [])
  return dialoguesOf(transcript)
    .flatMap(dialogue => play(dialogue, lines))
    .flatMap(({ outcome, from, explanations, assumed }) => [
      `${outcome} ${from}`,
      ...explanations.map(({ did, what, subject, because }) => `  ${did} ${what} ${subject}: ${because.cause.cure}`),
      ...assumed.map(words => `  assumed: ${words}`),
    ])
}

const hello = (...extensions: readonly string[]): string => {
  const lines = ['mx.example', ...extensions]
  const list = lines.map((each, i) => `S: 250${i < lines.length - 1 ? '-' : ' '}${each}`)
  return ['S: 220 mx.example ESMTP', 'C: EHLO a.example', ...list].join('\n')
}

const DATA = 'C: DATA\nS: 354 go\nC: Subject: x\nC:\nC: hello\nC: .\nS: 250 2.0.0 queued'

const mail = (from: string, rest = DATA, to = 'RCPT TO:<bob@b.example>'): string =>
  `\nC: MAIL FROM:<${from}@a.example>\nS: 250 ok\nC: ${to}\nS: 250 ok\n${rest}\n`

test('mail that a proxy leaves as it is passes, and nothing need be assumed', () => {
  assert.deepEqual(told(`${hello('SIZE 1000000', 'PIPELINING')}${mail('alice')}`, 'strict smtp 25'), [
    'passes <alice@a.example>',
  ])
})

test('a message in chunks goes on as DATA: the server takes it as it took the chunks', () => {
  const chunks = 'C: BDAT 14 LAST\nC: Subject: xxx\nS: 250 2.0.0 queued'
  assert.deepEqual(told(`${hello('CHUNKING')}${mail('alice', chunks)}`, 'strict smtp 25'), [
    'changes <alice@a.example>',
    '  replace command BDAT: no strict smtp 25',
    '  assumed: the server answers DATA by 354',
  ])
  // Where no chunks are offered it is the client who says DATA, and then nothing is done to it but at EHLO.
  assert.deepEqual(
    told(`${hello('CHUNKING')}${mail('alice', chunks)}`, 'strict smtp 25', 'no strict extension CHUNKING'),
    [
      'changes <alice@a.example>',
      '  strip keyword CHUNKING: strict extension CHUNKING',
      '  assumed: the client says DATA, as CHUNKING is not offered',
      '  assumed: the server answers DATA by 354',
    ],
  )
})

test('a client keeps to what it is offered: it leaves out what is not, and says HELO where EHLO is refused', () => {
  const record = `${hello('DSN')}\nC: MAIL FROM:<alice@a.example> RET=FULL\nS: 250 ok\nC: RCPT TO:<bob@b.example>\nS: 250 ok\n${DATA}`
  assert.deepEqual(told(record, 'strict smtp 25', 'no strict extension DSN'), [
    'changes <alice@a.example>',
    '  strip keyword DSN: strict extension DSN',
    '  assumed: the client leaves out RET, as DSN is not offered',
  ])
  assert.deepEqual(told(record, 'watchguard smtp-incoming 25', 'no watchguard smtp-incoming esmtp'), [
    'changes <alice@a.example>',
    '  replace greeting : watchguard smtp-incoming esmtp',
    '  answer command EHLO: watchguard smtp-incoming esmtp',
    '  assumed: the client says HELO, as EHLO is refused',
    '  assumed: the client leaves out RET, as DSN is not offered',
  ])
})

test('what the proxy refuses stops, by the line that refuses it, and the mail behind it is judged for itself', () => {
  const record = `${hello()}${mail('alice', DATA, 'RCPT TO:<bob@c.example>')}${mail('carol')}`
  assert.deepEqual(told(record, 'strict smtp 25', 'strict domain b.example'), [
    'stops <alice@a.example>',
    '  answer command RCPT: strict domain c.example',
    'passes <carol@a.example>',
  ])
  const bare = DATA.replace('C: hello', 'C= "hel\\nlo\\r\\n"')
  assert.deepEqual(told(`${hello()}${mail('alice', bare)}${mail('carol')}`, 'strict smtp 25'), [
    'stops <alice@a.example>',
    '  answer line-end bare-lf: strict bare-line-ends space',
    'passes <carol@a.example>',
  ])
})

test('of a message whose recipients are refused nothing more is said, nor what was said together with its end', () => {
  const noop = DATA.replace('C: .\nS: 250', 'C: .\nC: NOOP\nS: 250').concat('\nS: 250 ok')
  const record = `${hello()}${mail('alice', noop, 'RCPT TO:<bob@c.example>')}${mail('carol')}`
  assert.deepEqual(told(record, 'strict smtp 25', 'strict domain b.example'), [
    'stops <alice@a.example>',
    '  answer command RCPT: strict domain c.example',
    'passes <carol@a.example>',
  ])
})

test('a message that does not reach all of its recipients stops, though the client was told that it did', () => {
  const two = `RCPT TO:<bob@b.example>\nS: 250 ok\nC: RCPT TO:<dave@b.example>`
  const lines = ['watchguard smtp-incoming recipients 1', 'watchguard smtp-incoming too-many-recipients drop']
  assert.deepEqual(told(`${hello()}${mail('alice', DATA, two)}`, 'watchguard smtp-incoming 25', ...lines), [
    'stops <alice@a.example>',
    '  strip command RECIPIENTS: watchguard smtp-incoming recipients 3',
  ])
})

test('an attachment that is replaced changes its message', () => {
  const body = [
    'MIME-Version: 1.0',
    'Content-Type: multipart/mixed; boundary=b',
    '',
    '--b',
    'Content-Type: application/octet-stream; name="a.exe"',
    '',
    'x',
    '--b--',
  ]
  const data = `C: DATA\nS: 354 go\n${body.map(line => `C: ${line}`.trimEnd()).join('\n')}\nC: .\nS: 250 queued`
  const [first, second] = told(`${hello()}${mail('alice', data)}`, 'watchguard smtp-incoming 25')
  assert.deepEqual(
    [first, second],
    [
      'changes <alice@a.example>',
      '  replace attachment application/octet-stream: no watchguard smtp-incoming denied-file-name *.exe',
    ],
  )
})

test('a client whose login is not to be had sends nothing', () => {
  const login = `${hello('AUTH PLAIN')}\nC: AUTH PLAIN AAAA\nS: 235 ok`
  assert.deepEqual(told(`${login}${mail('alice')}`, 'strict smtp 25'), [
    'stops <alice@a.example>',
    '  strip keyword AUTH: strict auth-in-clear',
    '  assumed: the client sends nothing without its login, and AUTH is not offered to it',
  ])
  assert.deepEqual(told(`${login}${mail('alice')}`, 'strict smtp 25', 'strict auth-in-clear'), [
    'passes <alice@a.example>',
  ])
})

test('a group that was allowed then is said one by one where it is not now; what was said ahead then is said ahead', () => {
  const group = [
    'C: MAIL FROM:<alice@a.example>',
    'C: RCPT TO:<bob@b.example>',
    'C: DATA',
    'S: 250 ok',
    'S: 250 ok',
    'S: 354 go',
    'C: Subject: x',
    'C: .',
    'S: 250 queued',
  ].join('\n')
  assert.deepEqual(told(`${hello('PIPELINING')}\n${group}`, 'strict smtp 25', 'no strict extension PIPELINING'), [
    'changes <alice@a.example>',
    '  strip keyword PIPELINING: strict extension PIPELINING',
  ])
  assert.deepEqual(told(`${hello()}\n${group}`, 'strict smtp 25'), [
    'stops <alice@a.example>',
    '  answer session PIPELINING: strict talking-ahead wait',
  ])
})

test('TLS towards the server is taken to succeed, and to change nothing that it offers', () => {
  assert.deepEqual(told(`${hello('STARTTLS')}${mail('alice')}`, 'strict smtp 25'), [
    'passes <alice@a.example>',
    '  assumed: TLS towards the server succeeds, and proves who it is',
    '  assumed: the server offers in TLS what it offers in clear',
  ])
  assert.deepEqual(told(`${hello()}${mail('alice')}`, 'strict smtp 25', 'strict onward-tls must'), [
    'stops <alice@a.example>',
    '  answer tls SERVER: strict onward-tls may',
  ])
})

test('a chunk whose octets a record hides meets no limit that it did not meet', () => {
  const size = 200_000
  const spoken = [
    ...['220 mx\r\n', '250-mx\r\n250 CHUNKING\r\n', '250 ok\r\n', '250 ok\r\n', '250 queued\r\n'].flatMap(
      (words, i) => {
        const said = ['', 'EHLO a\r\n', 'MAIL FROM:<alice@a.example>\r\n', 'RCPT TO:<bob@b.example>\r\n'][i]
        const client = said ?? `BDAT ${size} LAST\r\n${'x'.repeat(size)}`
        return [
          { by: 'C' as const, bytes: Buffer.from(client), at: NOWHERE },
          { by: 'S' as const, bytes: Buffer.from(words), at: NOWHERE },
        ]
      },
    ),
  ]
  const [fate] = play({ file: 'x', spoken }, ['strict smtp 25'])
  assert.equal(fate?.outcome, 'changes')
})

test('whatever a record holds, it is told without a fault, and the same however it was cut', () => {
  const words = [
    'EHLO a\r\n',
    'MAIL FROM:<a@x>\r\n',
    'RCPT TO:<b@y>\r\n',
    'DATA\r\n',
    '.\r\n',
    'BDAT 4 LAST\r\n',
    'AUTH LOGIN\r\n',
    '\n',
  ]
  const replies = [
    '220 mx\r\n',
    '250 ok\r\n',
    '250-mx\r\n250 CHUNKING\r\n',
    '354 go\r\n',
    '334 x\r\n',
    '550 no\r\n',
    '25',
  ]
  const part = fc.oneof(
    anyOctets(...words).map(bytes => ({ by: 'C' as const, bytes, at: NOWHERE })),
    anyOctets(...replies).map(bytes => ({ by: 'S' as const, bytes, at: NOWHERE })),
  )
  const profile = fc.constantFrom('strict smtp 25', 'watchguard smtp-incoming 25')
  fc.assert(
    fc.property(fc.array(part, { maxLength: 30 }), profile, (spoken, line) => {
      const whole = play({ file: 'x', spoken }, [line])
      const cut = spoken.flatMap(each => Array.from(each.bytes, octet => ({ ...each, bytes: Uint8Array.of(octet) })))
      const shown = (fates: readonly Fate[]) => fates.map(({ outcome, from, to }) => [outcome, from, ...to])
      assert.deepEqual(
        shown(play({ file: 'x', spoken: cut }, [line])),
        shown(whole),
        text(spoken[0]?.bytes ?? new Uint8Array()),
      )
    }),
    runs(500),
  )
})
