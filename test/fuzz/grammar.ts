/** What clients and servers say, right and wrong, so that a fuzzer gets beyond the first refusal. One octet per character. */
import fc from 'fast-check'

const ADDRESSES = [
  '<bob@example.org>',
  '<carol@example.org>',
  '<nobody@example.org>',
  '<x@relay.invalid>',
  '<>',
  '<postmaster>',
  '<"b o\\"b"@example.org>',
  '<@a.example,@b.example:bob@example.org>',
  '<bob@[127.0.0.1]>',
  '<bob@[IPv6:::1]>',
  '<b\xc3\xb6b@example.org>',
  '<a%b!c@example.org>',
  `<${'a'.repeat(64)}@example.org>`,
  `<${'a'.repeat(300)}@example.org>`,
  'bob@example.org',
  '<"unclosed@example.org>',
] as const

const PARAMETERS = [
  '',
  ' SIZE=10',
  ' SIZE=99999999999999999999',
  ' BODY=7BIT',
  ' BODY=8BITMIME',
  ' BODY=BINARYMIME',
  ' SMTPUTF8',
  ' RET=HDRS ENVID=a+20b',
  ' NOTIFY=SUCCESS,FAILURE',
  ' NOTIFY=NEVER ORCPT=rfc822;bob@example.org',
  ' AUTH=<>',
  ' X-NOPE=1',
  ' SIZE=1 SIZE=2',
  ` ENVID=${'x'.repeat(120)}`,
  ` AUTH=${'x'.repeat(500)}`,
  ` ${'X'.repeat(600)}=1`,
  ` NOTIFY=${'SUCCESS,'.repeat(50)}`,
] as const

const COMMANDS = [
  'NOOP\r\n',
  'NOOP ignored\r\n',
  'RSET\r\n',
  'VRFY bob\r\n',
  'EXPN staff\r\n',
  'HELP\r\n',
  'HELO c.example\r\n',
  'EHLO c.example\r\n',
  'EHLO\r\n',
  'STARTTLS\r\n',
  'TURN\r\n',
  'ATRN example.org\r\n',
  'ETRN example.org\r\n',
  'X-LINK2STATE LAST CHUNK={00000003} abc\r\n',
  'XEXCH50 4 2\r\n',
  'XCLIENT ADDR=127.0.0.1\r\n',
  'PROXY TCP4 127.0.0.1 192.0.2.1 1 25\r\n',
  'XYZZY\r\n',
  `${'Y'.repeat(505)}\r\n`,
  `VRFY ${'a'.repeat(500)}\r\n`,
  `ETRN ${'a'.repeat(500)}\r\n`,
  `EHLO ${'c'.repeat(500)}\r\n`,
  `XCLIENT ${'A'.repeat(900)}=1\r\n`,
  `AUTH ${'A'.repeat(20)} ${'A'.repeat(4000)}\r\n`,
  '\r\n',
  'DATA\r\n',
] as const

/** Anything may end a session early; these do so always, and are rare. */
const ENDINGS = ['QUIT\r\n', 'GET / HTTP/1.1\r\n', 'BDAT x\r\n', 'BDAT -1 LAST\r\n'] as const

const LOGINS = [
  'AUTH PLAIN AGFsaWNlAHMzY3JldA==\r\n',
  'AUTH PLAIN\r\nAGFsaWNlAHMzY3JldA==\r\n',
  'AUTH PLAIN\r\n*\r\n',
  'AUTH PLAIN =\r\n',
  'AUTH LOGIN\r\nYWxpY2U=\r\nczNjcmV0\r\n',
  'AUTH LOGIN YWxpY2U=\r\nd3Jvbmc=\r\n',
  'AUTH LOGIN\r\nNOOP\r\n',
  'X-EXPS LOGIN\r\nYWxpY2U=\r\nczNjcmV0\r\n',
  'AUTH GSSAPI\r\n',
  'AUTH NTLM TlRMTVNTUAABAAAA\r\n',
  `AUTH PLAIN\r\n${'A'.repeat(13_000)}\r\n`,
] as const

const LINES = [
  'Subject: x\r\n',
  '\r\n',
  '.x\r\n',
  '..\r\n',
  'Received: from a by b; today\r\n',
  'plain text\r\n',
  'QUIT\r\n',
  '\n.\n',
  '\r.\r',
  '\r\n.\n',
  '.\r\r\n',
  '\0',
  '\xff\xfe',
  `${'a'.repeat(1200)}\r\n`,
] as const

const CHUNKS = [
  'S: x\r\n',
  'S: x\r',
  '\n',
  '',
  '.',
  '\r\n.\r\n',
  'NOOP\r\nQUIT\r\n',
  '\0\xff',
  'a\nb',
  'x'.repeat(3000),
] as const

const anyAddress = fc.constantFrom(...ADDRESSES)
const anyParameter = fc.constantFrom(...PARAMETERS)
const goodAddress = fc.constantFrom(ADDRESSES[0], ADDRESSES[1])

const anyMail = fc
  .tuple(
    fc.oneof({ arbitrary: goodAddress, weight: 3 }, anyAddress),
    fc.oneof({ arbitrary: fc.constant(''), weight: 3 }, anyParameter),
  )
  .map(([from, params]) => `MAIL FROM:${from}${params}\r\n`)
const anyRcpt = fc
  .tuple(
    fc.oneof({ arbitrary: goodAddress, weight: 3 }, anyAddress),
    fc.oneof({ arbitrary: fc.constant(''), weight: 3 }, anyParameter),
  )
  .map(([to, params]) => `RCPT TO:${to}${params}\r\n`)
const anyBody = fc.array(fc.constantFrom(...LINES), { maxLength: 6 }).map(lines => `${lines.join('')}\r\n.\r\n`)
/** A chunk whose size is right. */
export const anyChunk: fc.Arbitrary<string> = fc
  .tuple(fc.constantFrom(...CHUNKS), fc.boolean())
  .map(([content, last]) => `BDAT ${content.length}${last ? ' LAST' : ''}\r\n${content}`)
/** …and one whose size is not. */
const lyingChunk = fc
  .tuple(fc.constantFrom(...CHUNKS), fc.constantFrom(0, 1, 5, 70, 100_000), fc.boolean())
  .map(([content, size, last]) => `BDAT ${size}${last ? ' LAST' : ''}\r\n${content}`)

const anyTransaction = fc
  .tuple(
    anyMail,
    fc.array(anyRcpt, { minLength: 1, maxLength: 3 }),
    fc.oneof(
      anyBody.map(body => `DATA\r\n${body}`),
      fc.array(anyChunk, { minLength: 1, maxLength: 4 }).map(chunks => chunks.join('')),
    ),
  )
  .map(([mail, rcpts, message]) => mail + rcpts.join('') + message)

/** Commands that are answered once each, whatever came before, and end nothing. */
export const framedCommand: fc.Arbitrary<string> = fc.oneof(
  fc.constantFrom(...COMMANDS.filter(each => !each.startsWith('DATA') && !each.startsWith('STARTTLS'))),
  anyMail,
  anyRcpt,
  anyChunk,
)

/** How something right becomes something wrong. */
const anyChange = fc.oneof(
  fc.tuple(fc.constant('cut'), fc.nat(1000), fc.nat(8)),
  fc.tuple(fc.constant('set'), fc.nat(1000), fc.nat(255)),
  fc.tuple(fc.constant('put'), fc.nat(1000), fc.constantFrom(0, 9, 10, 13, 32, 46, 58, 60, 62, 127, 255)),
  fc.tuple(fc.constant('twice'), fc.nat(1000), fc.nat(40)),
)

function changed(text: string, [how, share, what]: readonly [string, number, number]): string {
  const at = Math.floor((share * text.length) / 1000)
  switch (how) {
    case 'cut':
      return text.slice(0, at) + text.slice(at + what)
    case 'set':
      return text.slice(0, at) + String.fromCharCode(what) + text.slice(at + 1)
    case 'put':
      return text.slice(0, at) + String.fromCharCode(what) + text.slice(at)
    default:
      return text.slice(0, at + what) + text.slice(at)
  }
}

const anyNoise = fc.uint8Array({ maxLength: 30 }).map(octets => String.fromCharCode(...octets))

const rightItem = fc.oneof(
  { arbitrary: anyTransaction, weight: 5 },
  { arbitrary: fc.constantFrom(...COMMANDS), weight: 4 },
  { arbitrary: anyMail, weight: 2 },
  { arbitrary: anyRcpt, weight: 2 },
  { arbitrary: anyChunk, weight: 2 },
  { arbitrary: anyBody, weight: 1 },
  { arbitrary: fc.constantFrom(...LOGINS), weight: 2 },
)

/** A piece of what a client says. */
export const clientItem: fc.Arbitrary<string> = fc.oneof(
  { arbitrary: rightItem, weight: 10 },
  {
    arbitrary: fc
      .tuple(rightItem, fc.array(anyChange, { minLength: 1, maxLength: 3 }))
      .map(([item, changes]) => changes.reduce(changed, item)),
    weight: 4,
  },
  { arbitrary: lyingChunk, weight: 1 },
  { arbitrary: anyNoise, weight: 1 },
  { arbitrary: fc.constantFrom(...ENDINGS), weight: 1 },
)

/** A session of a client: it mostly says hello first. */
export const clientSession: fc.Arbitrary<readonly string[]> = fc
  .tuple(
    fc.oneof(
      { arbitrary: fc.constant(['EHLO c.example\r\n']), weight: 6 },
      fc.constant(['HELO c.example\r\n']),
      fc.constant([]),
    ),
    fc.array(clientItem, { maxLength: 14 }),
  )
  .map(([hello, items]) => [...hello, ...items])

/** A line as a parser sees it: without its end. */
export const anyLine: fc.Arbitrary<string> = fc.oneof(
  rightItem.map(item => item.split('\r\n')[0] ?? ''),
  fc
    .tuple(rightItem, fc.array(anyChange, { minLength: 1, maxLength: 4 }))
    .map(([item, changes]) => (changes.reduce(changed, item).split('\r\n')[0] ?? '').slice(0, 12_288)),
  anyNoise,
)

const CODES = [
  '220',
  '250',
  '251',
  '235',
  '334',
  '354',
  '421',
  '450',
  '452',
  '500',
  '502',
  '503',
  '535',
  '550',
  '554',
  '199',
  '600',
] as const
const TEXTS = [
  'ok',
  '2.1.0 fine',
  '5.7.1 no',
  '4.3.2 later',
  '',
  'SIZE 100',
  'x'.repeat(600),
  '\0',
  '\xff',
  '2.1.0',
] as const

/** A whole reply, or what is nearly one. */
export const anyReply: fc.Arbitrary<string> = fc
  .tuple(
    fc.constantFrom(...CODES),
    fc.array(fc.constantFrom(...TEXTS), { minLength: 1, maxLength: 4 }),
    fc.constantFrom('\r\n', '\r\n', '\r\n', '\n'),
  )
  .map(([code, lines, end]) =>
    lines.map((line, i) => `${code}${i === lines.length - 1 ? ' ' : '-'}${line}${end}`).join(''),
  )

export const anyServerNoise: fc.Arbitrary<string> = fc.oneof(
  anyReply,
  fc
    .tuple(anyReply, fc.array(anyChange, { minLength: 1, maxLength: 2 }))
    .map(([item, changes]) => changes.reduce(changed, item)),
  anyNoise,
)

export const EHLO_KEYWORDS = [
  'PIPELINING',
  'CHUNKING',
  'SIZE 1000000',
  'SIZE',
  'SIZE 3',
  '8BITMIME',
  'SMTPUTF8',
  'DSN',
  'ENHANCEDSTATUSCODES',
  'BINARYMIME',
  'AUTH LOGIN PLAIN',
  'X-EXPS LOGIN',
  'X-EXPS GSSAPI NTLM LOGIN',
  'XXXXXXXA',
  'OK',
] as const
