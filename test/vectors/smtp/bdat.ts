/** BDAT: a chunk's octets are content, whatever they look like and whatever becomes of them (RFC 3030 §2). */
import { envelope, HELLO, type ServerVector, type Step, taken } from '../vector.ts'

const BEGUN: readonly Step[] = [...HELLO, ...envelope()]
/** Where a size cannot be read, no one knows where commands begin again: closing is the one safe answer. */
const UNFRAMED = '501/521/421 close | 501 421 close'

function badSize(id: string, command: string): ServerVector {
  return {
    id,
    holds: `${JSON.stringify(command)} has no size that can be read: refused, and the connection closed`,
    source: 'Suricata 8741; suricata-verify smtp-bdat-bad-tail-*; Zeek smtp-bdat-cmd-*',
    steps: [...BEGUN, [`${command}\r\n`, UNFRAMED]],
  }
}

export const BDAT: readonly ServerVector[] = [
  {
    id: 'bdat-before-mail',
    holds: 'the octets of a chunk that comes too early are taken off the stream and never obeyed',
    source: 'RFC 3030 §2; go-smtp#315',
    steps: [...HELLO, ['BDAT 12 LAST\r\nNOOP\r\nNOOP\r\n', '503'], ['QUIT\r\n', '221 close']],
  },
  {
    id: 'bdat-rcpt-refused-pipelined',
    holds: 'a chunk piped behind a refused recipient is discarded, and the stream stays in step',
    source: 'go-smtp#315; Exim test 0900',
    steps: [
      ...HELLO,
      [
        'MAIL FROM:<a@example.net>\r\nRCPT TO:<x@relay.invalid>\r\nBDAT 12 LAST\r\nNOOP\r\nNOOP\r\nNOOP sync\r\n',
        '250 4xx/5xx 5xx 250',
      ],
    ],
  },
  badSize('bdat-bad-tail', 'BDAT 5 X'),
  badSize('bdat-negative', 'BDAT -1 LAST'),
  {
    ...badSize('bdat-overflow-long', 'BDAT 15555555557777777777 LAST'),
    steps: [...BEGUN, ['BDAT 15555555557777777777 LAST\r\n', '501/521/421/552 close']],
  },
  badSize('bdat-plus', 'BDAT +3 LAST'),
  badSize('bdat-float', 'BDAT 3.0 LAST'),
  badSize('bdat-missing', 'BDAT'),
  {
    id: 'bdat-zero-last',
    holds: 'BDAT 0 LAST ends the message; the next MAIL opens another transaction',
    source: 'suricata-verify smtp-bdat-zero-last-next-mail; Zeek rfc3030-bdat-0-last',
    steps: [...BEGUN, ['BDAT 0 LAST\r\n', '250'], ...envelope()],
    taken: [taken('a@example.net', '')],
  },
  {
    id: 'bdat-flood',
    holds: 'a message in very many tiny chunks is cut off, and nothing is remembered of each',
    source: 'Postfix HISTORY 20260805',
    steps: [...BEGUN, [[{ repeat: 'BDAT 1\r\nx', times: 20_000 }], '250{0,19999} 421 close']],
  },
  {
    id: 'bdat-bare-lf',
    holds: 'a chunk with a bare LF is refused, or it would leave by DATA as LF.LF',
    source: 'Postfix 3.9; Microsoft 365 NDR 550 5.6.11 SMTPSEND.BareLinefeedsAreIllegal',
    steps: [...BEGUN, ['BDAT 16 LAST\r\nS: x\n\n.\nNOOP z\n\n', '5xx'], ['NOOP\r\n', '250']],
  },
  {
    id: 'bdat-rset-midway',
    holds: 'RSET between chunks drops what there was of the message',
    source: 'Exim test 0900',
    steps: [
      ...HELLO,
      [
        'MAIL FROM:<a@example.net>\r\nRCPT TO:<bob@example.org>\r\nBDAT 6\r\nS: x\r\nRSET\r\nNOOP\r\n',
        '250 250 250 250 250',
      ],
    ],
  },

  badSize('bdat-hex', 'BDAT 0x10 LAST'),
  badSize('bdat-exponent', 'BDAT 1e3 LAST'),
  badSize('bdat-comma', 'BDAT 1,000 LAST'),
  badSize('bdat-last-first', 'BDAT LAST 5'),
  badSize('bdat-last-twice', 'BDAT 5 LAST LAST'),
  badSize('bdat-lasts', 'BDAT 5 LASTING'),
  badSize('bdat-two-sizes', 'BDAT 5 5 LAST'),
  badSize('bdat-minus-zero', 'BDAT -0 LAST'),
  badSize('bdat-tail-nul', 'BDAT 5\0 LAST'),
  badSize('bdat-tail-eight-bit', 'BDAT 5\xa0LAST'),
  badSize('bdat-arabic-digits', 'BDAT \xd9\xa5 LAST'),
  badSize('bdat-2-to-64', 'BDAT 18446744073709551621 LAST'),
  badSize('bdat-2-to-53', 'BDAT 9007199254740993 LAST'),
  badSize('bdat-long-argument', `BDAT 5 ${' '.repeat(600)}LAST`),
  {
    id: 'bdat-lf-only',
    holds: 'a BDAT line ended by a lone LF is not one that frames a chunk: closed, not guessed',
    source: 'RFC 5321 §2.3.8',
    steps: [...BEGUN, ['BDAT 6 LAST\nNOOP\r\n', UNFRAMED]],
  },
  {
    id: 'bdat-lower-case',
    holds: 'verb and LAST are read in any case',
    source: 'RFC 5321 §2.4',
    steps: [...BEGUN, ['bdat 6 last\r\nS: x\r\n', '250']],
    taken: [taken('a@example.net', 'S: x\r\n')],
  },
  {
    id: 'bdat-leading-zeros',
    holds: 'zeros before a size change nothing',
    source: 'RFC 3030 §2',
    steps: [...BEGUN, ['BDAT 0000000006 LAST\r\nS: x\r\n', '250']],
    taken: [taken('a@example.net', 'S: x\r\n')],
  },
  {
    id: 'bdat-three-chunks',
    holds: 'chunks join without a seam, dots and commands in them are content',
    source: 'RFC 3030 §2',
    steps: [
      ...BEGUN,
      ['BDAT 9\r\nS: x\r\n\r\n.', '250'],
      ['BDAT 4\r\n\r\n..', '250'],
      ['BDAT 8 LAST\r\n\r\nQUIT\r\n', '250'],
    ],
    taken: [taken('a@example.net', 'S: x\r\n\r\n.\r\n..\r\nQUIT\r\n')],
  },
  {
    id: 'bdat-crlf-over-chunks',
    holds: 'CR at the end of one chunk and LF at the start of the next are one line end',
    source: 'RFC 3030 §2',
    steps: [...BEGUN, ['BDAT 5\r\nS: x\r', '250'], ['BDAT 1 LAST\r\n\n', '250']],
    taken: [taken('a@example.net', 'S: x\r\n')],
  },
  {
    id: 'bdat-cr-over-chunks',
    holds: 'a CR that the next chunk does not complete is a stray one',
    source: 'SEC Consult 2023-12-18',
    steps: [...BEGUN, ['BDAT 5\r\nS: x\r', '250'], ['BDAT 3 LAST\r\nx\r\n', '550:5.5.2']],
  },
  {
    id: 'bdat-cr-at-the-end',
    holds: 'a message that ends in a CR holds a stray one',
    source: 'SEC Consult 2023-12-18',
    steps: [...BEGUN, ['BDAT 5 LAST\r\nS: x\r', '550:5.5.2']],
  },
  {
    id: 'bdat-nul',
    holds: 'NUL needs BINARYMIME',
    source: 'RFC 3030 §3',
    steps: [...BEGUN, ['BDAT 7 LAST\r\nS: \0x\r\n', '550:5.5.2']],
  },
  {
    id: 'bdat-after-last',
    holds: 'a chunk behind LAST belongs to no message: discarded, and refused once',
    source: 'RFC 3030 §2',
    steps: [...BEGUN, ['BDAT 6 LAST\r\nS: x\r\nBDAT 6 LAST\r\nQUIT\r\nNOOP\r\n', '250 503 250']],
    taken: [taken('a@example.net', 'S: x\r\n')],
  },
  {
    id: 'bdat-after-refusal',
    holds: 'behind a refused chunk every further one is discarded until RSET or MAIL',
    source: 'RFC 3030 §2',
    taken: 'perhaps',
    steps: [
      ...BEGUN,
      [
        'BDAT 7\r\nS: \nx\r\nBDAT 6\r\nQUIT\r\nBDAT 6 LAST\r\nRSET\r\nNOOP\r\n',
        '5xx/250 5xx 5xx 250 | 250 250 5xx 250',
      ],
      ['RCPT TO:<bob@example.org>\r\n', '503 | 250'],
    ],
  },
  {
    id: 'bdat-error-then-data',
    holds: 'DATA behind a refused chunk is refused, and nothing crashes',
    source: 'Postfix HISTORY 20260724',
    steps: [...BEGUN, ['BDAT 5 LAST\r\na\nb\r\n', '5xx'], ['DATA\r\n', '503'], ['NOOP\r\n', '250']],
  },
  {
    id: 'bdat-then-data',
    holds: 'DATA may not follow BDAT in one transaction',
    source: 'RFC 3030 §2',
    steps: [...BEGUN, ['BDAT 6\r\nS: x\r\n', '250'], ['DATA\r\n', '503'], ['BDAT 0 LAST\r\n', '250']],
    taken: [taken('a@example.net', 'S: x\r\n')],
  },
  {
    id: 'bdat-then-mail',
    holds: 'MAIL and RCPT between chunks are refused and change nothing',
    source: 'RFC 3030 §4.2',
    steps: [
      ...BEGUN,
      ['BDAT 6\r\nS: x\r\n', '250'],
      ['MAIL FROM:<evil@example.net>\r\n', '503'],
      ['RCPT TO:<carol@example.org>\r\n', '503'],
      ['BDAT 0 LAST\r\n', '250'],
    ],
    taken: [taken('a@example.net', 'S: x\r\n')],
  },
  {
    id: 'bdat-helo-between',
    holds: 'a hello between chunks drops the message',
    source: 'RFC 5321 §4.1.4',
    steps: [
      ...BEGUN,
      ['BDAT 6\r\nS: x\r\n', '250'],
      ['EHLO c.example\r\n', '250'],
      ['BDAT 6 LAST\r\nQUIT\r\n', '503'],
      ['NOOP\r\n', '250'],
    ],
  },
  {
    id: 'bdat-quit-between',
    holds: 'QUIT between chunks ends the session and no message',
    source: 'RFC 3030 §2',
    steps: [...BEGUN, ['BDAT 6\r\nS: x\r\n', '250'], ['QUIT\r\n', '221 close']],
  },
  {
    id: 'bdat-in-helo-session',
    holds: 'in a session opened by HELO the chunk is framed all the same',
    source: 'RFC 3030 §2',
    taken: 'perhaps',
    steps: [
      ['', '220'],
      ['HELO c.example\r\n', '250'],
      ...envelope(),
      ['BDAT 12 LAST\r\nNOOP\r\nNOOP\r\n', '250/5xx'],
      ['NOOP\r\n', '250'],
    ],
  },
  {
    id: 'bdat-before-hello',
    holds: 'before EHLO the chunk is framed all the same',
    source: 'RFC 3030 §2',
    steps: [
      ['', '220'],
      ['BDAT 12 LAST\r\nNOOP\r\nNOOP\r\nNOOP\r\n', '503 250'],
    ],
  },
  {
    id: 'bdat-cut-off',
    holds: 'a connection that ends within a chunk leaves no message',
    source: 'RFC 3030 §2',
    steps: [...BEGUN, ['BDAT 100 LAST\r\nS: x\r\n', '']],
  },
  {
    id: 'bdat-size-lies',
    holds: 'octets beyond the size declared are commands, as the protocol says, and no content',
    source: 'RFC 3030 §2',
    steps: [...BEGUN, ['BDAT 6 LAST\r\nS: x\r\nEVIL\r\n', '250 500']],
    taken: [taken('a@example.net', 'S: x\r\n')],
  },
  {
    id: 'bdat-over-the-limit',
    holds: 'chunks are counted together against the limit, and discarded beyond it',
    source: 'RFC 1870 §6',
    config: ['message-size 10k'],
    steps: [
      ...BEGUN,
      [['BDAT 8000\r\n', { repeat: 'QUIT\r\n.\r\n', times: 888 }, 'QUIT\r\n\r\n'], '250'],
      [['BDAT 8000 LAST\r\n', { repeat: 'QUIT\r\n.\r\n', times: 888 }, 'QUIT\r\n\r\n'], '552'],
      ['NOOP\r\n', '250'],
    ],
  },
  {
    id: 'bdat-announced-too-big',
    holds: 'a chunk that is over the limit by itself is still framed, or the connection closed',
    source: 'RFC 3030 §2',
    config: ['message-size 10k'],
    steps: [
      ...BEGUN,
      [['BDAT 99999 LAST\r\n', { repeat: 'QUIT\r\nNOOP\r\n', times: 8333 }, 'QUI'], '552 | 552/421 close'],
      ['NOOP\r\n', '250 | '],
    ],
  },
  {
    id: 'bdat-zero-alone',
    holds: 'BDAT 0 without LAST is a chunk of nothing, and not the end',
    source: 'RFC 3030 §2',
    steps: [...BEGUN, ['BDAT 0\r\n', '250'], ['BDAT 6 LAST\r\nS: x\r\n', '250']],
    taken: [taken('a@example.net', 'S: x\r\n')],
  },
  {
    id: 'bdat-zero-flood',
    holds: 'chunks of nothing without end are cut off as tiny ones are',
    source: 'Postfix HISTORY 20260805',
    steps: [...BEGUN, [[{ repeat: 'BDAT 0\r\n', times: 20_000 }], '250{0,19999} 421 close']],
  },
  {
    id: 'bdat-refused-flood',
    holds: 'chunks that nobody asked for are errors, and errors are counted',
    source: 'Postfix smtpd_hard_error_limit',
    steps: [...HELLO, [[{ repeat: 'BDAT 6\r\nQUIT\r\n', times: 1000 }], '503{0,999} 421 close']],
  },
  {
    id: 'bdat-binarymime-data',
    holds: 'binary content cannot come by DATA',
    source: 'RFC 3030 §3',
    steps: [
      ...HELLO,
      ['MAIL FROM:<a@example.net> BODY=BINARYMIME\r\n', '250 | 555/501'],
      ['RCPT TO:<bob@example.org>\r\n', '250 | 503'],
      ['DATA\r\n', '503/501'],
    ],
  },
]
