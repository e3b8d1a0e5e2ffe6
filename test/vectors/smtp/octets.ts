/** Octets that no command may hold, lengths, and parameters. */
import { GREETED, HELLO, type ServerVector, type Step, untilData } from '../vector.ts'

const TOO_LONG = '500:5.5.2 | 521 close | 500 421 close'

export const OCTETS: readonly ServerVector[] = [
  {
    id: 'cmd-nul',
    holds: 'NUL in a command is refused',
    source: 'Exim 501 "NUL characters are not allowed in SMTP commands"',
    steps: [...HELLO, ['NO\0OP\r\n', '500/501']],
  },
  {
    id: 'cmd-cr-only',
    holds: 'a lone CR ends no command: one line, one refusal',
    source: 'RFC 5321 §2.3.8; Vanaheimr S-1',
    steps: [...HELLO, ['NOOP a\rMAIL FROM:<x@example.net>\r\n', '500/501'], ['RCPT TO:<bob@example.org>\r\n', '503']],
  },
  {
    id: 'cmd-8bit-verb',
    holds: 'a verb outside ASCII is none',
    source: 'Postfix smtpd_forbidden_commands',
    steps: [...HELLO, ['\xc3\x89HLO x\r\n', '500 | 500/221 close']],
  },
  {
    id: 'cmd-utf8-no-param',
    holds: 'addresses outside ASCII need SMTPUTF8, and VRFY of one does no harm',
    source: 'RFC 6531 §3.5; Postfix HISTORY 20260812',
    steps: [
      ...HELLO,
      ['MAIL FROM:<\xc3\xa9@example.net>\r\n', '550:5.6.7 | 553:5.6.7'],
      ['RCPT TO:<\xc3\xa9@example.org>\r\n', '503 | 550:5.6.7 | 553:5.6.7'],
      ['VRFY \xc3\xa9\r\n', '252 | 250 | 5xx'],
    ],
  },

  ...['NOOP\0\r\n', '\0NOOP\r\n', 'NOOP a\0b\r\n', 'NOOP \x1b[2J\r\n', '\r\r\n', 'NOOP\r\r\n', 'NOOP\x7f\r\n'].map(
    (line): ServerVector => ({
      id: `cmd-octets-${line.replace(/[^A-Za-z]/g, c => c.charCodeAt(0).toString(16).padStart(2, '0'))}`,
      holds: `${JSON.stringify(line)} is one line with an octet no command may hold, and is refused once`,
      source: 'RFC 5321 §2.3.8, §4.1.2',
      steps: [...HELLO, [line, '500/501'], ['NOOP\r\n', '250']],
    }),
  ),
  {
    id: 'cmd-empty-line',
    holds: 'an empty line is a refused command',
    source: 'RFC 5321 §4.2.4',
    steps: [...HELLO, ['\r\n', '500'], ['NOOP\r\n', '250']],
  },
  {
    id: 'cmd-leading-space',
    holds: 'a line that begins with a space has no verb',
    source: 'RFC 5321 §4.1.1',
    steps: [...HELLO, [' MAIL FROM:<a@example.net>\r\n', '500/501'], ['RCPT TO:<bob@example.org>\r\n', '503']],
  },
  {
    id: 'cmd-nul-in-address',
    holds: 'NUL in an address is refused',
    source: 'RFC 5321 §4.1.2',
    steps: [...HELLO, ['MAIL FROM:<a\0@example.net>\r\n', '500/501/553'], ['RCPT TO:<bob@example.org>\r\n', '503']],
  },
  {
    id: 'cmd-utf8-cr-lookalike',
    holds: 'characters whose low octets are CR and LF do not become them',
    source: 'CVE-2025-7962 (Jakarta Mail)',
    steps: [
      ...HELLO,
      ['MAIL FROM:<a@example.net> SMTPUTF8\r\n', '250'],
      ['RCPT TO:<b\xe7\x98\x8d\xe7\x98\x8aRSET@example.org>\r\n', '550/553/501/250'],
      ['RCPT TO:<bob@example.org>\r\n', '250'],
    ],
  },
  {
    id: 'cmd-utf8-fullwidth-at',
    holds: 'a fullwidth @ or a one-dot leader is no @ and no dot: the address is not ours',
    source: 'RFC 6531 §3.3',
    steps: [
      ...HELLO,
      ['MAIL FROM:<a@example.net> SMTPUTF8\r\n', '250'],
      ['RCPT TO:<bob\xef\xbc\xa0example.org>\r\n', '5xx'],
      ['RCPT TO:<bob@example\xe2\x80\xa4org>\r\n', '5xx'],
      ['RCPT TO:<bob@ex\xd0\xb0mple.org>\r\n', '5xx'],
    ],
  },
  {
    id: 'cmd-utf8-broken',
    holds: 'octets that are not UTF-8 are no address, SMTPUTF8 or not',
    source: 'RFC 6531 §3.3',
    steps: [
      ...HELLO,
      ['MAIL FROM:<\xc3@example.net> SMTPUTF8\r\n', '501/553/550'],
      ['MAIL FROM:<\xc0\xaf@example.net> SMTPUTF8\r\n', '501/553/550'],
      ['MAIL FROM:<\xed\xa0\x80@example.net> SMTPUTF8\r\n', '501/553/550'],
    ],
  },
  {
    id: 'cmd-utf8-hello',
    holds: 'a name outside ASCII in EHLO does no harm and never comes back as a line of its own',
    source: 'RFC 6531 §3.7.1',
    steps: [GREETED, ['EHLO \xe7\x98\x8d\xe7\x98\x8a.example\r\n', '250/501'], ['NOOP\r\n', '250']],
  },
]

/** A command line of exactly so many octets, its end included. */
function lineOf(length: number, before: string, after = ''): string {
  return `${before}${'a'.repeat(length - before.length - after.length - 2)}${after}\r\n`
}

const errorFlood = (id: string, line: string): ServerVector => ({
  id,
  holds: `${JSON.stringify(line)} again and again is cut off`,
  source: 'Postfix smtpd_hard_error_limit 20, smtpd_junk_command_limit 100',
  steps: [...HELLO, [[{ repeat: line, times: 5000 }], '2xx/3xx/5xx{0,4999} 421 close']],
})

export const LENGTHS: readonly ServerVector[] = [
  {
    id: 'cmd-len-512',
    holds: 'a line of 512 octets with its end is taken',
    source: 'RFC 5321 §4.5.3.1.4',
    steps: [...HELLO, [lineOf(512, 'NOOP '), '250']],
  },
  {
    id: 'cmd-len-4096',
    holds: 'a line far beyond the limit is drained and refused once',
    source: 'RFC 5321 §4.5.3.1.4; Haraka 521; Snort 124:1',
    steps: [...HELLO, [lineOf(4096, 'NOOP '), TOO_LONG]],
  },
  {
    id: 'cmd-auth-12288',
    holds: 'a line of 12,288 octets in a login is not too long; without a login it is a refused command',
    source: 'RFC 4954 §4',
    steps: [...HELLO, ['AUTH XOAUTH2\r\n', '504 | 334'], [`${'A'.repeat(12_286)}\r\n`, '5xx']],
  },
  {
    id: 'cmd-mail-params',
    holds: 'a parameter given twice, unknown, or with a size beyond all bounds',
    source: 'RFC 5321 §4.1.1.11; RFC 1870 §6.1',
    steps: [
      ...HELLO,
      ['MAIL FROM:<a@example.net> SIZE=1 SIZE=2 BODY=8BITMIME BODY=7BIT\r\n', '501'],
      ['RSET\r\n', '250'],
      ['MAIL FROM:<a@example.net> X-NOPE=1\r\n', '555'],
      ['RSET\r\n', '250'],
      ['MAIL FROM:<a@example.net> SIZE=99999999999999999999\r\n', '552'],
    ],
  },
  {
    id: 'data-header-flood',
    holds: 'a header of 50,000 lines is refused behind the end of its message',
    source: 'Haraka headers.max_lines; Postfix header_size_limit; Zeek mime-header-size-limit',
    steps: [...untilData(), [[{ repeat: 'X-A: b\r\n', times: 50_000 }, '\r\n.\r\n'], '552']],
  },
  {
    id: 'data-redos-addr',
    holds: 'a header line with 100,000 addresses costs linear time, whatever becomes of it',
    source: 'GHSA-2x7j-588g-ccc2 (nodemailer); CVE-2025-14874',
    taken: 'perhaps',
    steps: [
      ...untilData(),
      [['To: ', { repeat: 'a@b.com,', times: 100_000 }, '\r\nSubject: x\r\n\r\n.\r\n'], '250/552'],
    ],
  },
  {
    id: 'data-received-loop',
    holds: 'a message with more than a hundred Received: fields loops',
    source: 'RFC 5321 §6.3',
    steps: [
      ...untilData(),
      [
        [
          { repeat: 'Received: from a by b; Mon, 1 Jan 2024 00:00:00 +0000\r\n', times: 101 },
          'Subject: x\r\n\r\n.\r\n',
        ],
        '554:5.4.6',
      ],
    ],
  },

  {
    id: 'cmd-len-513',
    holds: 'an octet more than 512 is too long',
    source: 'RFC 5321 §4.5.3.1.4',
    steps: [...HELLO, [lineOf(513, 'NOOP '), TOO_LONG], ['NOOP\r\n', '250 | ']],
  },
  {
    id: 'cmd-len-noeol',
    holds: 'a megabyte without a line end is drained, not kept, and refused once',
    source: 'RFC 5321 §4.5.3.1.4',
    steps: [
      ...HELLO,
      [['NOOP ', { repeat: 'a'.repeat(1000), times: 1000 }], ' | 521/421 close'],
      ['\r\nNOOP\r\n', '500 250 | '],
    ],
  },
  {
    id: 'cmd-len-hidden-command',
    holds: 'what stands in a line that is too long is not obeyed from any offset',
    source: 'Snort 124:1',
    steps: [
      ...HELLO,
      [`NOOP ${'a'.repeat(100_000)} MAIL FROM:<a@example.net>\r\n`, TOO_LONG],
      ['RCPT TO:<bob@example.org>\r\n', '503 | '],
    ],
  },
  {
    id: 'cmd-len-mail',
    holds: 'MAIL may be longer by what its parameters need: SIZE 26, BODY 17, AUTH 500, SMTPUTF8 10, DSN 116',
    source: 'RFC 5321 §4.5.3.1.4; RFC 4954 §5; RFC 3461 §4.4',
    steps: [
      ...HELLO,
      [
        `MAIL FROM:<${'a'.repeat(60)}@${'b'.repeat(60)}.example.net> SIZE=10 BODY=8BITMIME AUTH=${'x'.repeat(490)} SMTPUTF8\r\n`,
        '250',
      ],
    ],
  },
  {
    id: 'cmd-len-rcpt',
    holds: 'RCPT may be longer by NOTIFY and ORCPT, where DSN is known',
    source: 'RFC 3461 §4.1, §4.2',
    steps: [
      ...HELLO,
      ['MAIL FROM:<a@example.net>\r\n', '250'],
      [`RCPT TO:<bob@example.org> NOTIFY=SUCCESS,FAILURE,DELAY ORCPT=rfc822;${'x'.repeat(480)}\r\n`, '250'],
      [`RCPT TO:<bob@example.org> ORCPT=rfc822;${'x'.repeat(600)}\r\n`, '501/500'],
    ],
  },
  {
    id: 'cmd-envid-101',
    holds: 'ENVID has at most 100 octets',
    source: 'RFC 3461 §4.4',
    steps: [
      ...HELLO,
      [`MAIL FROM:<a@example.net> ENVID=${'x'.repeat(101)}\r\n`, '501/555'],
      [`MAIL FROM:<a@example.net> ENVID=${'x'.repeat(100)}\r\n`, '250/555'],
    ],
  },
  {
    id: 'cmd-recipients-100',
    holds: 'at least a hundred recipients are taken',
    source: 'RFC 5321 §4.5.3.1.8',
    steps: [
      ...HELLO,
      ['MAIL FROM:<a@example.net>\r\n', '250'],
      [[{ repeat: 'RCPT TO:<bob@example.org>\r\n', times: 100 }], '250{100}'],
    ],
  },
  {
    id: 'cmd-recipients-5000',
    holds: 'recipients beyond the limit hear 452, and the ones before it stand',
    source: 'RFC 5321 §4.5.3.1.10',
    steps: [
      ...HELLO,
      ['MAIL FROM:<a@example.net>\r\n', '250'],
      [
        [{ repeat: 'RCPT TO:<bob@example.org>\r\n', times: 5000 }],
        '250{100,4999} 452{1,4900} | 250{100,4999} 452* 421 close',
      ],
    ],
  },
  {
    id: 'data-line-without-end',
    holds: 'a line of the message may be as long as the message: it is content, and costs no memory here',
    source: 'RFC 5321 §4.5.3.1.6',
    taken: 'perhaps',
    steps: [...untilData(), [['S: x\r\n\r\n', { repeat: 'a'.repeat(1000), times: 2000 }, '\r\n.\r\n'], '250/5xx']],
  },
  {
    id: 'data-header-line-without-end',
    holds: 'a header of one line without end is too long',
    source: 'Postfix header_size_limit',
    steps: [...untilData(), [['S: ', { repeat: 'a'.repeat(1000), times: 1000 }, '\r\n.\r\n'], '552']],
  },
  {
    id: 'data-redos-groups',
    holds: 'nested address groups cost linear time',
    source: 'CVE-2025-14874',
    taken: 'perhaps',
    steps: [...untilData(), [['To: ', { repeat: 'g0:', times: 5000 }, '\r\n\r\n.\r\n'], '250/5xx']],
  },
  {
    id: 'data-mime-bomb',
    holds: 'message/rfc822 nested a hundred deep is passed on unopened or refused',
    source: 'CVE-2026-26312 (Stalwart)',
    taken: 'perhaps',
    steps: [...untilData(), [[{ repeat: 'Content-Type: message/rfc822\r\n\r\n', times: 100 }, '\r\n.\r\n'], '250/5xx']],
  },
  {
    id: 'data-only-dots',
    holds: 'a megabyte of dots is unstuffed in linear time and memory',
    source: 'RFC 5321 §4.5.2',
    taken: 'perhaps',
    steps: [...untilData(), [[{ repeat: '..\r\n', times: 250_000 }, '.\r\n'], '250/5xx']],
  },
  {
    id: 'data-received-99',
    holds: 'a message of fewer than a hundred hops is taken',
    source: 'RFC 5321 §6.3',
    steps: [
      ...untilData(),
      [
        [{ repeat: 'Received: from a by b; Mon, 1 Jan 2024 00:00:00 +0000\r\n', times: 98 }, 'Subject: x\r\n\r\n.\r\n'],
        '250',
      ],
    ],
    taken: [{ from: 'a@example.net', to: ['bob@example.org'] }],
  },
  {
    id: 'data-received-in-body',
    holds: 'Received: in the body is no hop',
    source: 'RFC 5321 §6.3',
    steps: [...untilData(), [['Subject: x\r\n\r\n', { repeat: 'Received: from a\r\n', times: 200 }, '.\r\n'], '250']],
    taken: [{ from: 'a@example.net', to: ['bob@example.org'] }],
  },
  {
    id: 'data-received-case',
    holds: 'rEcEiVeD: is a hop, too',
    source: 'RFC 5322 §1.2.2',
    steps: [...untilData(), [[{ repeat: 'rEcEiVeD: from a\r\n', times: 101 }, '\r\n.\r\n'], '554:5.4.6']],
  },
  errorFlood('flood-junk', 'XYZZY\r\n'),
  errorFlood('flood-empty', '\r\n'),
  errorFlood('flood-wrong-order', 'DATA\r\n'),
  errorFlood('flood-noop', 'NOOP\r\n'),
  errorFlood('flood-rset', 'RSET\r\n'),
  errorFlood('flood-ehlo', 'EHLO c.example\r\n'),
  errorFlood('flood-vrfy', 'VRFY bob\r\n'),
  errorFlood('flood-mail-rset', 'MAIL FROM:<a@example.net>\r\nRSET\r\n'),
  errorFlood('flood-auth', 'AUTH PLAIN AGFsaWNlAHdyb25n\r\n'),
  errorFlood('flood-auth-cancelled', 'AUTH LOGIN\r\n*\r\n'),
]

const param = (
  id: string,
  holds: string,
  command: string,
  expected: string,
  before: readonly Step[] = [],
): ServerVector => ({
  id: `param-${id}`,
  holds,
  source: 'RFC 5321 §4.1.1.11',
  steps: [...HELLO, ...before, [`${command}\r\n`, expected], ['NOOP\r\n', '250']],
})
const SENDER: Step = ['MAIL FROM:<a@example.net>\r\n', '250']

export const PARAMETERS: readonly ServerVector[] = [
  param('unknown-rcpt', 'RCPT with an unknown parameter', 'RCPT TO:<bob@example.org> X-NOPE', '555', [SENDER]),
  param('size-at-rcpt', 'SIZE belongs to MAIL', 'RCPT TO:<bob@example.org> SIZE=1', '555', [SENDER]),
  param('notify-at-mail', 'NOTIFY belongs to RCPT', 'MAIL FROM:<a@example.net> NOTIFY=NEVER', '555'),
  param(
    'twice-in-two-cases',
    'a parameter given twice in two cases is given twice',
    'MAIL FROM:<a@example.net> SIZE=1 size=2',
    '501',
  ),
  param('size-empty', 'SIZE without a number', 'MAIL FROM:<a@example.net> SIZE=', '501'),
  param('size-bare', 'SIZE without a value', 'MAIL FROM:<a@example.net> SIZE', '501'),
  param('size-negative', 'SIZE below nought', 'MAIL FROM:<a@example.net> SIZE=-1', '501'),
  param('size-hex', 'SIZE in hexadecimal', 'MAIL FROM:<a@example.net> SIZE=0x10', '501'),
  param('size-float', 'SIZE with a fraction', 'MAIL FROM:<a@example.net> SIZE=1.5', '501'),
  param('size-exponent', 'SIZE with an exponent', 'MAIL FROM:<a@example.net> SIZE=1e9', '501'),
  param(
    'size-21-digits',
    'SIZE of more than twenty digits',
    'MAIL FROM:<a@example.net> SIZE=100000000000000000000',
    '501/552',
  ),
  param(
    'size-2-to-64',
    'SIZE that overflows 64 bits does not come out small',
    'MAIL FROM:<a@example.net> SIZE=18446744073709551617',
    '552',
  ),
  param(
    'size-2-to-32',
    'SIZE that overflows 32 bits does not come out small',
    'MAIL FROM:<a@example.net> SIZE=4294967297',
    '552',
  ),
  param('size-zero', 'SIZE=0 is a size', 'MAIL FROM:<a@example.net> SIZE=0', '250'),
  param('body-unknown', 'BODY with an unknown value', 'MAIL FROM:<a@example.net> BODY=9BIT', '501'),
  param('body-bare', 'BODY without a value', 'MAIL FROM:<a@example.net> BODY', '501'),
  param('smtputf8-value', 'SMTPUTF8 takes no value', 'MAIL FROM:<a@example.net> SMTPUTF8=1', '501'),
  param('ret-unknown', 'RET with an unknown value', 'MAIL FROM:<a@example.net> RET=HALF', '501/555'),
  param('notify-never-and', 'NEVER stands alone', 'RCPT TO:<bob@example.org> NOTIFY=NEVER,SUCCESS', '501', [SENDER]),
  param('orcpt-untyped', 'ORCPT without a type', 'RCPT TO:<bob@example.org> ORCPT=bob@example.org', '501', [SENDER]),
  param('orcpt-xtext', 'ORCPT that is no xtext', 'RCPT TO:<bob@example.org> ORCPT=rfc822;a+0', '501', [SENDER]),
  param(
    'orcpt-crlf',
    'ORCPT whose xtext hides CR LF',
    'RCPT TO:<bob@example.org> ORCPT=rfc822;a+0D+0ARSET',
    '501/250',
    [SENDER],
  ),
  param('envid-crlf', 'ENVID whose xtext hides CR LF', 'MAIL FROM:<a@example.net> ENVID=a+0D+0ARSET', '501/250'),
  param('auth-mailbox', 'AUTH= of MAIL takes a mailbox or <>', 'MAIL FROM:<a@example.net> AUTH=<>', '250'),
  param('no-space', 'a parameter without a space before it', 'MAIL FROM:<a@example.net>SIZE=1', '501'),
  param('equals-only', 'a value without a keyword', 'MAIL FROM:<a@example.net> =1', '501'),
  param('keyword-octets', 'a keyword with an octet it may not hold', 'MAIL FROM:<a@example.net> SI_ZE=1', '501/555'),
  param('very-many', 'very many parameters', `MAIL FROM:<a@example.net>${' X=1'.repeat(100)}`, '501/555/500'),
  param('xverp', 'XVERP is not known', 'MAIL FROM:<a@example.net> XVERP', '555'),
  param('requiretls-in-clear', 'REQUIRETLS without TLS', 'MAIL FROM:<a@example.net> REQUIRETLS', '5xx'),
  param('mt-priority', 'MT-PRIORITY is not known', 'MAIL FROM:<a@example.net> MT-PRIORITY=9', '555'),
]
