/** Exchange's own verbs in the mouth of a stranger. */
import { GREETED, HELLO, type ServerVector } from '../vector.ts'

export const EXCHANGE: readonly ServerVector[] = [
  {
    id: 'x-link2state-overflow',
    holds: 'a chunk of link state from a stranger is refused unread',
    source: 'MS05-021, CVE-2005-0560; Snort 3 smtp_xlink2state',
    steps: [...HELLO, [`X-LINK2STATE CHUNK=${'A'.repeat(600)}\r\n`, '5xx'], ['NOOP\r\n', '250']],
  },
  {
    id: 'x-link2state-braces',
    holds: 'a declared length is bounded, and read from nobody unknown',
    source: 'Snort 3 smtp_xlink2state',
    steps: [...HELLO, ['X-LINK2STATE CHUNK={0000ffff} MULTI (5) ({00000000051}\r\n', '5xx'], ['NOOP\r\n', '250']],
  },
  {
    id: 'xexch50-noauth',
    holds: 'XEXCH50 from a stranger is refused, and announces no octets',
    source: 'MS03-046, CVE-2003-0714; KB 818222',
    steps: [...HELLO, ['XEXCH50 4 2\r\n', '503/504'], ['NOOP\r\n', '250']],
  },

  ...['XEXCH50 -1 2', 'XEXCH50 4294967295 2', 'XEXCH50 99999999999999999999 2', 'XEXCH50', 'XEXCH50 0x10 2'].map(
    (command, i): ServerVector => ({
      id: `xexch50-size-${i}`,
      holds: `${JSON.stringify(command)} inside a transaction of a stranger allocates nothing`,
      source: 'CVE-2003-0714',
      steps: [
        ...HELLO,
        ['MAIL FROM:<a@example.net>\r\n', '250'],
        ['RCPT TO:<bob@example.org>\r\n', '250'],
        [`${command}\r\n`, '501/503/504 | 501/421 close'],
        ['NOOP\r\n', '250 | '],
      ],
    }),
  ),
  {
    id: 'x-link2state-1024',
    holds: 'a line of 1,024 octets is not too long, and what is in it is refused for who says it',
    source: 'CVE-2005-0560',
    steps: [
      ...HELLO,
      [`X-LINK2STATE LAST CHUNK={00000001}${'A'.repeat(1024 - 36)}\r\n`, '503/504/530/550'],
      ['NOOP\r\n', '250'],
    ],
  },
  {
    id: 'x-link2state-1025',
    holds: 'and one of more is',
    source: 'CVE-2005-0560',
    steps: [...HELLO, [`X-LINK2STATE FIRST CHUNK=${'A'.repeat(5000)}\r\n`, '500/504'], ['NOOP\r\n', '250']],
  },
  {
    id: 'x-link2state-order',
    holds: 'NEXT and LAST without FIRST are refused',
    source: 'CVE-2005-0560',
    steps: [
      ...HELLO,
      ['X-LINK2STATE NEXT CHUNK={00000003} A\r\n', '5xx'],
      ['X-LINK2STATE LAST CHUNK={00000003} A\r\n', '5xx'],
    ],
  },
  {
    id: 'x-link2state-before-hello',
    holds: 'before EHLO there is no link state',
    source: 'CVE-2005-0560',
    steps: [GREETED, ['X-LINK2STATE FIRST CHUNK={00000003} A\r\n', '503/504']],
  },
  {
    id: 'x-exps-oversized',
    holds: 'X-EXPS is held to the limits of AUTH',
    source: 'RFC 4954 §4',
    steps: [...HELLO, ['X-EXPS LOGIN\r\n', '334'], [`${'A'.repeat(12_400)}\r\n`, '500:5.5.6'], ['NOOP\r\n', '250']],
  },
]
