/** Time: a clock for the command, one for the message's rate, one for the session. */
import { GREETED, HELLO, type ServerVector, untilData } from '../vector.ts'

export const SLOW: readonly ServerVector[] = [
  {
    id: 'slow-bytewise',
    holds: 'a command typed an octet a second is in time, as long as the whole of it is',
    source: 'Postfix smtpd_per_request_deadline; aiosmtpd#145',
    steps: [GREETED, [[{ slowly: 'EHLO c.example\r\n', gap: 1000 }], '250 | 421:4.4.2 close']],
  },
  {
    id: 'slow-data',
    holds: 'a message that comes an octet a second is cut off: it is below the least rate',
    source: 'Postfix smtpd_min_data_rate 500',
    steps: [...untilData(), [[{ slowly: `Subject: x\r\n\r\n${'a'.repeat(500)}`, gap: 1000 }], '421:4.4.2 close']],
  },
  {
    id: 'slow-silent',
    holds: 'silence ends the session after five minutes',
    source: 'RFC 5321 §4.5.3.2.7; Vanaheimr S-19',
    steps: [GREETED, [[{ wait: 400_000 }], '421:4.4.2 close']],
  },

  {
    id: 'slow-silent-patient',
    holds: 'and not before',
    source: 'RFC 5321 §4.5.3.2.7',
    steps: [GREETED, [[{ wait: 299_000 }], ''], [[{ wait: 2000 }], '421:4.4.2 close']],
  },
  {
    id: 'slow-bytewise-beyond',
    holds: 'octets of half a command buy no time',
    source: 'Postfix smtpd_per_request_deadline; aiosmtpd#145',
    steps: [GREETED, [[{ slowly: `EHLO ${'c'.repeat(60)}\r\n`, gap: 10_000 }], '421:4.4.2 close']],
  },
  {
    id: 'slow-auth',
    holds: 'a login that does not go on is ended',
    source: 'RFC 5321 §4.5.3.2.7',
    steps: [...HELLO, ['AUTH LOGIN\r\n', '334'], [[{ slowly: 'YWxpY2U'.repeat(10), gap: 10_000 }], '421:4.4.2 close']],
  },
  {
    id: 'slow-overlong',
    holds: 'a line that is drained buys no time either',
    source: 'Postfix smtpd_per_request_deadline',
    steps: [
      GREETED,
      [['x'.repeat(20_000), { slowly: 'y'.repeat(60), gap: 10_000 }], '421:4.4.2 close | 500/521 close'],
    ],
  },
  {
    id: 'slow-data-silent',
    holds: 'silence inside a message ends it after three minutes',
    source: 'RFC 5321 §4.5.3.2.5',
    steps: [...untilData(), ['Subject: x\r\n', ''], [[{ wait: 200_000 }], '421:4.4.2 close']],
  },
  {
    id: 'slow-bdat',
    holds: 'a chunk that comes an octet a second is cut off, too',
    source: 'Postfix smtpd_min_data_rate 500',
    steps: [
      ...untilData().slice(0, -1),
      ['BDAT 5000 LAST\r\n', ''],
      [[{ slowly: 'a'.repeat(500), gap: 1000 }], '421:4.4.2 close'],
    ],
  },
  {
    id: 'slow-bdat-refused',
    holds: 'so is one that is discarded',
    source: 'Postfix smtpd_min_data_rate 500',
    steps: [
      ...HELLO,
      ['BDAT 5000 LAST\r\n', ''],
      [[{ slowly: 'a'.repeat(500), gap: 1000 }], '421/503 close | 503 421 close | 421:4.4.2 close'],
    ],
  },
  {
    id: 'slow-data-fair',
    holds: 'a slow line that is still above the least rate is not',
    source: 'Postfix smtpd_min_data_rate 500',
    steps: [
      ...untilData(),
      [
        [
          'S: x\r\n\r\n',
          ...Array.from({ length: 300 }, () => ({ wait: 1000 })).flatMap(wait => [wait, `${'a'.repeat(998)}\r\n`]),
          '.\r\n',
        ],
        '250',
      ],
    ],
    taken: [{ from: 'a@example.net', to: ['bob@example.org'] }],
  },
  {
    id: 'slow-noop',
    holds: 'a NOOP now and then keeps no session for ever',
    source: 'the session clock of three',
    steps: [GREETED, [Array.from({ length: 2000 }, () => [{ wait: 240_000 }, 'NOOP\r\n']).flat(), '250* 421 close']],
  },
]
