import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import { anyCuts, anyOctets, cut, runs, singly } from '../base/any-bytes.test.ts'
import { bytes, concat, copy, text } from '../base/bytes.ts'
import { cite } from '../base/problem.ts'
import { DotWriter } from '../smtp/body.ts'
import { defaultEsmtpMap } from './esmtp-map.ts'
import { Inspector, type Side } from './inspector.ts'
import type { Policy } from './policy.ts'
import { asa, FIFTEEN } from './profiles/asa.ts'
import { PIX_TRAITS, type PixProfile, pix, SEVEN } from './profiles/pix.ts'
import { Rates } from './rates.ts'
import type { Explanation } from './verdict.ts'

const AT = { file: 'firewall.conf', line: 4, column: 1, length: 23, text: 'fixup protocol smtp 25' }
const CAUSE = { at: AT, command: 'fixup protocol smtp 25', cure: 'no fixup protocol smtp 25' }
const PROFILES = Object.keys(PIX_TRAITS) as PixProfile[]
const NO_REGEXES = () => ({ isAny: true, like: [] })
const ASA = asa(defaultEsmtpMap(AT), { ...CAUSE, command: 'inspect esmtp', cure: 'no inspect esmtp' }, NO_REGEXES)
const POLICIES: readonly Policy[] = [...PROFILES.map(profile => pix(profile, CAUSE)), ASA]

interface Segment {
  readonly from: Side
  readonly bytes: Uint8Array
}

/** What each segment became, one for one, and what was told of it. */
function pass(policy: Policy, segments: readonly Segment[]) {
  const inspector = new Inspector(policy)
  return segments.map(({ from, bytes }) => {
    // In memory that is used for something else afterwards, as a socket's is; on a `Buffer`, `slice` is no copy.
    const lent = Buffer.from(bytes)
    const outputs = inspector
      .receive(from, lent)
      .map(output => (output.kind === 'forward' ? { ...output, bytes: copy(output.bytes) } : output))
    lent.fill(0x5a)
    const forwards = outputs.flatMap(output => (output.kind === 'forward' ? [output] : []))
    const told = outputs.flatMap(output => (output.kind === 'altered' ? [output.explanation] : []))
    assert.equal(forwards.length, 1, 'a segment leaves as one segment')
    const [forward] = forwards
    assert.ok(forward && outputs.at(-1) === forward)
    assert.equal(forward.to, from === 'client' ? 'server' : 'client')
    return { from, before: bytes, bytes: forward.bytes, told }
  })
}

const client = (said: string): Segment => ({ from: 'client', bytes: bytes(said) })
const server = (said: string): Segment => ({ from: 'server', bytes: bytes(said) })

function heard(profile: PixProfile, ...segments: readonly Segment[]): readonly string[] {
  return pass(pix(profile, CAUSE), segments).map(segment => text(segment.bytes))
}

const clientWords = fc.constantFrom(
  ...[
    'EHLO a\r\n',
    'helo a\r\n',
    'MAIL FROM:<a|b@a.example>\r\n',
    'RCPT TO:<b>@b.example>\r\n',
    'DATA\r\n',
    'DATA\r\n',
    'QUIT\r\n',
  ],
  ...[
    'EHLO',
    ' a',
    '\r\n',
    '\n',
    '\r',
    '.',
    '.\r\n',
    '\r\n.\r\n',
    'X-LINK2STATE LAST CHUNK={1}\r\n',
    'WIZ\r\n',
    'STARTTLS\r\n',
    'text\r\n',
  ],
  ...[' EXPN a\r\n', 'DATA\r', 'NOOP', 'BDAT 5 LAST\r\n', '\0', '|<>\r\n', 'D', 'ATA\r\n'],
)
const serverWords = fc.constantFrom(
  ...[
    '250 ok\r\n',
    '250-a\r\n250 b\r\n',
    '250-mx\r\n250-STARTTLS\r\n250-SIZE 1000\r\n250 CHUNKING\r\n',
    '354 go\r\n',
    '354 go\r\n',
    '500 5.5.1 Command unrecognized: "XXXX a"\r\n',
    '503 no\r\n',
    '354',
    ' go\r\n',
  ],
  ...['220 20 0 2\r\n', '421 bye\r\n', '334 x\r\n', 'garbage\r\n', '\r\n'],
)
const greeting = fc
  .tuple(
    fc.constantFrom('220 mx 20 0 x0 y\r\n', '220-a 2\r\n220 b 0\r\n', '554 5.7.1 no 220\r\n', '220\r\n', '220 '),
    anyCuts,
  )
  .map(([words, cuts]) => cut(bytes(words), cuts).map(piece => ({ from: 'server' as const, bytes: piece })))
const segment: fc.Arbitrary<Segment> = fc.oneof(
  { arbitrary: fc.array(clientWords, { minLength: 1, maxLength: 4 }).map(words => client(words.join(''))), weight: 5 },
  { arbitrary: fc.array(serverWords, { minLength: 1, maxLength: 3 }).map(words => server(words.join(''))), weight: 4 },
  {
    arbitrary: fc.record({ from: fc.constantFrom<Side>('client', 'server'), bytes: fc.uint8Array({ maxLength: 9 }) }),
    weight: 1,
  },
)
const session = fc.tuple(greeting, fc.array(segment, { maxLength: 25 })).map(([first, rest]) => [...first, ...rest])

/** What an octet may become, by who said it. Only the 5.1 profile puts a space into an address. */
const FILL: Readonly<Record<Side, string>> = { client: 'XNOP ', server: '*SMTP/cmap ready_ABCDEFGHIJKLMNOPQRSTUVWXYZ' }

test('no segment changes its length or its line ends, and an octet stays or becomes a mask', () => {
  fc.assert(
    fc.property(session, fc.constantFrom(...POLICIES), (segments, policy) => {
      for (const { from, before, bytes: after, told } of pass(policy, segments)) {
        assert.equal(after.length, before.length)
        let changed = false
        for (const [i, octet] of before.entries()) {
          if (after[i] === octet) continue
          changed = true
          assert.ok(octet !== 13 && octet !== 10, 'a line end stays')
          assert.ok(FILL[from].includes(String.fromCharCode(after[i] ?? 0)), `${octet} became ${after[i]}`)
        }
        // An EHLO keyword in pieces is told of when its line ends.
        if (policy !== ASA) assert.equal(told.length > 0, changed, 'what is altered is told, and nothing else')
      }
    }),
    runs(1000),
  )
})

test('what was masked once passes a second firewall as it is', () => {
  fc.assert(
    fc.property(session, fc.constantFrom(...POLICIES), (segments, policy) => {
      const once = pass(policy, segments)
      for (const { before, bytes: after, told } of pass(policy, once)) {
        assert.deepEqual(after, before)
        assert.deepEqual(
          told.filter(({ did }) => did !== 'log'),
          [],
        )
      }
    }),
    runs(1000),
  )
})

test('a verb that is not one of the seven never leaves, however a client goes about it', () => {
  fc.assert(
    fc.property(session, segments => {
      const out = pass(pix('5.1', CAUSE), segments)
      // Nothing is a message here: whatever the server says, it never says 354.
      const quiet = out.map(({ from, before }) => ({
        from,
        bytes: from === 'server' ? bytes(text(before).replace(/354|3/g, match => '5'.repeat(match.length))) : before,
      }))
      const lines = pass(pix('5.1', CAUSE), quiet).filter(({ from }) => from === 'client')
      const said = text(concat(lines.map(line => line.bytes)))
        .split('\n')
        .slice(0, -1)
      for (const line of said) {
        const verb = /^[ \t]*([^ \t\r]*)/.exec(line)?.[1]?.toUpperCase() ?? ''
        assert.ok(
          verb === '' || /^X+$/.test(verb) || [...SEVEN].some(each => verb.startsWith(each)),
          JSON.stringify(line),
        )
      }
    }),
    runs(1000),
  )
})

const anyMessage = fc
  .array(fc.constantFrom('', '.', '.x', 'EHLO a', 'X-EXPS', 'DATA', 'RCPT TO:<|>', 'text', 'a\rb', 'a\nEHLO'), {
    maxLength: 12,
  })
  .map(lines => bytes(lines.map(line => `${line}\r\n`).join('')))

test('a message passes octet by octet however it is cut, and what follows it does not', () => {
  fc.assert(
    fc.property(anyMessage, anyCuts, (message, cuts) => {
      const writer = new DotWriter()
      const sent = concat([...writer.push(message), writer.end()])
      for (const pieces of [cut(sent, cuts), singly(sent)]) {
        const opening = [server('220 mx\r\n'), client('DATA\r\n'), server('354 go\r\n')]
        const body = pieces.map(piece => ({ from: 'client' as const, bytes: piece }))
        const closing = [client('EHLO a\r\n'), server('250 ok\r\n'), client('EHLO b\r\n')]
        const out = pass(pix('5.1', CAUSE), [...opening, ...body, ...closing])
        assert.deepEqual(concat(out.slice(3, -3).map(each => each.bytes)), sent)
        assert.deepEqual(
          out.slice(-3).map(each => text(each.bytes)),
          ['XXXX a\r\n', '250 ok\r\n', 'XXXX b\r\n'],
        )
      }
    }),
    runs(300),
  )
})

test('a message ends at the first CRLF.CRLF however it is cut, and not before', () => {
  const anyBody = anyOctets('\r\n', '\r', '\n', '.', '\r\n.', '\r\n.\r', '.\r\n', 'EHLO a', '\r\n.\r\n')
  fc.assert(
    fc.property(anyBody, anyCuts, (body, cuts) => {
      // It begins at the start of a line, so its end may be its beginning.
      const end = `\r\n${text(body)}`.indexOf('\r\n.\r\n')
      for (const pieces of [cut(body, cuts), singly(body)]) {
        const inspector = new Inspector(pix('5.1', CAUSE))
        for (const { from, bytes: octets } of [server('220 mx\r\n'), client('DATA\r\n'), server('354 go\r\n')])
          inspector.receive(from, octets)
        const out = pieces
          .flatMap(piece => inspector.receive('client', piece))
          .flatMap(each => (each.kind === 'forward' ? [each.bytes] : []))
        assert.equal(inspector.inBody, end < 0)
        const same = end < 0 ? body.length : end + 3
        assert.deepEqual(concat(out).subarray(0, same), body.subarray(0, same))
      }
    }),
    runs(1000),
  )
})

test('nothing passes between the end of a message and the reply to it', () => {
  const open = [server('220 mx\r\n'), client('DATA\r\n'), server('354 go\r\n'), client('text\r\n.\r\n')]
  assert.equal(heard('5.1', ...open, client('EXPN a\r\n')).at(-1), 'XXXX a\r\n')
  // Even if the server answers it with something that is no answer.
  for (const odd of ['334 what\r\n', 'garbage\r\n', '199 x\r\n']) {
    assert.equal(heard('5.1', ...open, server(odd), client('EXPN a\r\n')).at(-1), 'XXXX a\r\n', odd)
  }
})

test('what was piped behind DATA in the hope that it would be taken is the message, once it is', () => {
  const out = heard(
    '5.1',
    server('220 mx\r\n'),
    client('DATA\r\nSubj'),
    server('354 go\r\n'),
    client('.\r\nEXPN a\r\n.\r\n'),
    client('EXPN b\r\n'),
  )
  // The dot that follows "Subj" is in the middle of a line, and ends nothing.
  assert.deepEqual(out.slice(3), ['.\r\nEXPN a\r\n.\r\n', 'XXXX b\r\n'])
})

test('DATA in two segments is DATA, wherever its line end is cut', () => {
  for (const [one, two] of [
    ['DATA\r', '\n'],
    ['data ', '\r\n'],
    ['DATA\r\n', ''],
  ] as const) {
    const segments = [
      server('220 mx\r\n'),
      client(one),
      ...(two === '' ? [] : [client(two)]),
      server('354 go\r\n'),
      client('EHLO text\r\n'),
    ]
    assert.equal(heard('5.1', ...segments).at(-1), 'EHLO text\r\n', JSON.stringify(one))
  }
})

test('a thousand commands without a reply do not blind it to the message that follows', () => {
  const flood = client('RSET\r\n'.repeat(1500))
  const out = heard(
    '5.1',
    server('220 mx\r\n'),
    flood,
    client('DATA\r\n'),
    server('354 go\r\n'),
    client('EHLO text\r\n.\r\n'),
    client('EHLO a\r\n'),
  )
  assert.deepEqual(out.slice(-2), ['EHLO text\r\n.\r\n', 'XXXX a\r\n'])
})

test('an alteration tells what it was, what became of it, by which line, and who will miss it', () => {
  const told: Explanation[] = pass(pix('5.1', CAUSE), [
    server('220 mx\r\n'),
    client('ehlo a\r\nMAIL FROM:<a|b@a.example>\r\nEH'),
  ]).flatMap(each => each.told)
  assert.deepEqual(
    told.map(({ what, subject, before, after, because }) => [
      what,
      subject,
      text(before),
      text(after),
      cite(because.cause.at),
    ]),
    [
      ['greeting', '', '220 mx', '220 **', 'firewall.conf:4'],
      ['command', 'EHLO', 'ehlo a', 'XXXX a', 'firewall.conf:4'],
      ['address', 'MAIL', 'MAIL FROM:<a|b@a.example>', 'MAIL FROM:<a b@a.example>', 'firewall.conf:4'],
      ['fragment', '', '(2 octets)', '(2 times X)', 'firewall.conf:4'],
    ],
  )
  const lost = told[1]?.losses.map(({ subject }) => subject)
  // With EHLO goes all that it would have told of.
  assert.deepEqual(lost, ['EHLO', 'X-EXPS', 'X-LINK2STATE', 'XEXCH50', 'BDAT', 'STARTTLS', 'AUTH', 'ETRN'])
  assert.equal(told[0]?.because.cause.cure, 'no fixup protocol smtp 25')
  assert.match(told[1]?.because.reason ?? '', /HELO MAIL RCPT DATA RSET NOOP QUIT/)
})

test('a segment that is only looked at leaves as the very octets that came', () => {
  const inspector = new Inspector(pix('5.1', CAUSE))
  inspector.receive('server', bytes('220 \r\n'))
  for (const { from, bytes: octets } of [client('HELO a\r\n'), server('250 mx\r\n')]) {
    const [output] = inspector.receive(from, octets)
    assert.ok(output?.kind === 'forward' && output.bytes === octets)
  }
})

test('what is told of a login holds no secret: neither behind AUTH, nor in the lines after it, nor typed in pieces', () => {
  const told = pass(pix('5.1', CAUSE), [
    server('220 mx\r\n'),
    client('AUTH PLAIN AGFsaWNlAGh1bnRlcjI=\r\nczNjcmV0UGFzcw==\r\n'),
    server('500 no\r\n500 no\r\n'),
    client('X-EXPS LOGIN\r\n'),
    client('c2VjcmV0\r\n'),
    client('c2Vj'),
    client('cmV0\r\n'),
  ]).flatMap(each => each.told)
  const said = told.map(({ subject, before, after }) => [subject, text(before), text(after)])
  assert.deepEqual(said.slice(1), [
    ['AUTH', 'AUTH PLAIN [secret]', 'XXXX PLAIN [secret]'],
    ['[secret]', '[secret]', 'XXXXXXXX'],
    ['X-EXPS', 'X-EXPS LOGIN', 'XXXXXX LOGIN'],
    ['[secret]', '[secret]', 'XXXXXXXX'],
    ['', '(4 octets)', '(4 times X)'],
    ['', '(4 octets)', '(4 times X)'],
  ])
})

test('a verb that nobody knows is told without its control characters', () => {
  const [, told] = pass(pix('5.1', CAUSE), [server('220 mx\r\n'), client('\x1b[31mEVIL x\r\n')]).map(each => each.told)
  assert.equal(told?.[0]?.subject, '?[31MEVIL')
})

const keyword = fc.constantFrom(
  ...['SIZE 1000', 'PIPELINING', 'AUTH PLAIN LOGIN', 'AUTH=LOGIN', '8BITMIME', 'VRFY', 'dsn', 'ENHANCEDSTATUSCODES'],
  ...['STARTTLS', 'starttls', 'SMTPUTF8', 'CHUNKING', 'X-EXPS GSSAPI NTLM', 'HELP', 'S', 'SI', 'SIZEQ', 'AUTHQ a', 'E'],
)
test('a login that passed and was refused, and a chunk whose BDAT was masked, are told of without what stands behind them', () => {
  const asaTold = pass(ASA, [
    server('220 mx\r\n'),
    client('EHLO c\r\n'),
    server('250 mx\r\n'),
    client('AUTH LOGIN\r\n'),
    server('504 no\r\n'),
    client('c2VjcmV0\r\nQUIT\r\n'),
  ]).flatMap(({ told }) => told)
  assert.deepEqual(
    asaTold.filter(({ what }) => what === 'command').map(({ subject, before }) => `${subject}: ${text(before)}`),
    ['[secret]: [secret]'],
  )

  const chunk = 'My dear\r\nHELP me\r\nMAIL FROM:<a|secret@x.example>\r\n'
  const pixTold = pass(pix('5.1', CAUSE), [
    server('220 mx\r\n'),
    client(`BDAT ${chunk.length} LAST\r\n${chunk}VRFY joe\r\n`),
  ]).flatMap(({ told }) => told)
  const said = pixTold.map(({ subject, before, after }) => `${subject}: ${text(before)} -> ${text(after)}`)
  assert.ok(
    said.some(each => each.startsWith(`BDAT: BDAT ${chunk.length} LAST -> XXXX`)),
    said.join('\n'),
  )
  assert.ok(said.includes('VRFY: VRFY joe -> XXXX joe'), said.join('\n'))
  assert.doesNotMatch(said.join('\n'), /dear|me\b|secret@/)
})

const KNOWN = /^(?:SIZE|PIPELINING|AUTH|8BITMIME|VRFY|DSN|ENHANCEDSTATUSCODES)(?:[ =]|$)/i

/** An EHLO reply through an ASA, cut as given: its lines without their codes. */
function ehloReply(keywords: readonly string[], pieces: (octets: Uint8Array) => readonly Uint8Array[]) {
  const lines = ['mx.example', ...keywords]
  const reply = lines.map((line, i) => `250${i === lines.length - 1 ? ' ' : '-'}${line}\r\n`).join('')
  const segments = [
    server('220 mx\r\n'),
    client('EHLO a\r\n'),
    ...pieces(bytes(reply)).map(piece => ({ from: 'server' as const, bytes: piece })),
  ]
  const out = text(
    concat(
      pass(ASA, segments)
        .slice(2)
        .map(each => each.bytes),
    ),
  )
  return out
    .split('\r\n')
    .slice(1, -1)
    .map(line => line.slice(4))
}

test('an EHLO reply in one segment keeps what an ASA knows, and hides the rest in the order of the alphabet', () => {
  fc.assert(
    fc.property(fc.array(keyword, { minLength: 1, maxLength: 30 }), keywords => {
      let hidden = 0
      const expected = keywords.map(each => {
        if (KNOWN.test(each)) return each
        return `${'X'.repeat(each.length - 1)}${String.fromCharCode(65 + (hidden++ % 26))}`
      })
      assert.deepEqual(
        ehloReply(keywords, octets => [octets]),
        expected,
      )
    }),
    runs(300),
  )
})

test('an EHLO reply in pieces lets no keyword through that an ASA hides, and hides none that it knows', () => {
  fc.assert(
    fc.property(fc.array(keyword, { minLength: 1, maxLength: 6 }), anyCuts, (keywords, cuts) => {
      for (const pieces of [(octets: Uint8Array) => cut(octets, cuts), singly]) {
        for (const [i, line] of ehloReply(keywords, pieces).entries()) {
          const said = keywords[i] ?? ''
          assert.equal(line.length, said.length)
          if (KNOWN.test(said)) assert.equal(line, said)
          // What could have become one that passes may have gone by then, and is not a keyword of anybody's.
          else if (!/^(?:S|SI|E)$/.test(said)) assert.notEqual(line.toUpperCase(), said.toUpperCase())
        }
      }
    }),
    runs(500),
  )
})

test('a verb that an ASA does not know never leaves, and those it knows do', () => {
  for (const verb of [...FIFTEEN, 'STARTTLS', 'BDAT', 'EXPN', 'XEXCH50', 'X-LINK2STATE', 'ATRN', 'ONEX']) {
    const [, out] = pass(ASA, [server('220 mx\r\n'), client(`${verb} x\r\n`)])
    assert.equal(text(out?.bytes ?? bytes('')), `${FIFTEEN.has(verb) ? verb : 'X'.repeat(verb.length)} x\r\n`)
  }
})

test('a line that is too long ends the connection before it is whole, and nothing follows', () => {
  const inspector = new Inspector(ASA)
  inspector.receive('server', bytes('220 mx\r\n'))
  const outputs = inspector.receive('client', bytes(`NOOP ${'a'.repeat(508)}`))
  assert.deepEqual(
    outputs.map(({ kind }) => kind),
    ['altered', 'close'],
  )
  assert.deepEqual(inspector.receive('client', bytes('QUIT\r\n')), [])
  assert.deepEqual(inspector.receive('server', bytes('221 bye\r\n')), [])
})

test('a drop or a log of a login line tells no secret', () => {
  const policy: Policy = {
    ...ASA,
    rules: [
      { match: { on: 'word', what: 'verb', in: new Set(['AUTH']) }, action: { kind: 'reset' }, reason: 'no logins' },
    ],
  }
  const inspector = new Inspector(policy)
  const [told, closed] = inspector.receive('client', bytes('AUTH PLAIN AGFsaWNlAGh1bnRlcjI=\r\n'))
  assert.ok(told?.kind === 'altered' && closed?.kind === 'close')
  assert.equal(text(told.explanation.before), 'AUTH PLAIN [secret]')
  assert.equal(closed.how, 'reset')
})

test('a rate that is exceeded makes the segment wait, across the connections that share it', () => {
  const policy: Policy = {
    ...ASA,
    rules: [
      {
        match: { on: 'word', what: 'verb', in: new Set(['MAIL']) },
        action: { kind: 'rate-limit', perSecond: 4 },
        reason: 'four a second',
      },
    ],
  }
  const rates = new Rates()
  const waits = [0, 0, 100, 2000].map(now => {
    const [out] = new Inspector(policy, { rates }).receive('client', bytes('MAIL FROM:<a@a.example>\r\n'), now)
    return out?.kind === 'forward' ? out.notBefore : undefined
  })
  assert.deepEqual(waits, [0, 250, 500, 2000])
})

test('a piece that is held back outlives the memory that it came in', () => {
  const policy: Policy = {
    ...pix('5.1', CAUSE),
    rules: [{ match: { on: 'fragment', without: new Set() }, action: { kind: 'hold' }, reason: 'pieces wait' }],
  }
  const inspector = new Inspector(policy)
  inspector.receive('server', bytes('220 mail\r\n'))
  const lent = Buffer.from('NO')
  assert.deepEqual(inspector.receive('client', lent), [])
  lent.fill(0x5a)
  const [output] = inspector.receive('client', bytes('OP\r\n'))
  assert.equal(output?.kind === 'forward' && text(output.bytes), 'NOOP\r\n')
})
