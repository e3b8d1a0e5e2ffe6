/** What is said in clear must not be heard inside TLS, and what was agreed before it is forgotten (RFC 3207 §4.2). */
import { HELLO, type ServerVector, type Step } from '../vector.ts'

export const TLS: Step = [[{ tls: true }], '']
const SECURE: readonly Step[] = [...HELLO, ['STARTTLS\r\n', '220'], TLS]

export const STARTTLS: readonly ServerVector[] = [
  {
    id: 'tls-inject-cmd',
    holds: 'a command behind STARTTLS in the same segment ends the session: it is neither answered nor kept',
    source: 'CVE-2011-0411, CVE-2021-38084, CVE-2021-33515; nostarttls.secvuln.info; command-injection-tester',
    whole: true,
    steps: [...HELLO, ['STARTTLS\r\nEHLO injected\r\n', '554/501/421 close | 554 421 close']],
  },
  {
    id: 'tls-inject-mail',
    holds: 'a transaction behind STARTTLS in the same segment ends the session',
    source: 'Apache James starttls_with_injection (451), starttls_session_fixation',
    whole: true,
    steps: [
      ...HELLO,
      [
        'STARTTLS\r\nMAIL FROM:<evil@example.net>\r\nRCPT TO:<bob@example.org>\r\nDATA\r\n',
        '554/501/421 close | 554 421 close',
      ],
    ],
  },
  {
    id: 'tls-envelope-fixation',
    holds: 'STARTTLS inside a transaction is refused, or leaves nothing of it',
    source: 'RFC 3207 §4.2; Apache James starttls_session_fixation (501)',
    steps: [
      ...HELLO,
      ['MAIL FROM:<a@example.net>\r\n', '250'],
      ['STARTTLS\r\n', '503'],
      ['RCPT TO:<bob@example.org>\r\n', '250'],
    ],
  },
  {
    id: 'tls-no-ehlo-after',
    holds: 'inside TLS the hello of before is forgotten',
    source: 'RFC 3207 §4.2',
    steps: [
      ...SECURE,
      ['MAIL FROM:<a@example.net>\r\n', '503'],
      ['EHLO c.example\r\n', '250'],
      ['MAIL FROM:<a@example.net>\r\n', '250'],
    ],
  },
  {
    id: 'tls-twice',
    holds: 'inside TLS there is no STARTTLS',
    source: 'RFC 3207 §4.2',
    steps: [...SECURE, ['EHLO c.example\r\n', '250'], ['STARTTLS\r\n', '503/554']],
  },
  {
    id: 'tls-close-notify-in-bdat',
    holds: 'the end of TLS is the end of the session: an octet in clear behind it is read by nobody',
    source: 'CVE-2026-45185 (Exim 4.97 to 4.99.2 with GnuTLS)',
    steps: [
      ...SECURE,
      ['EHLO c.example\r\n', '250'],
      ['MAIL FROM:<a@example.net>\r\n', '250'],
      ['RCPT TO:<bob@example.org>\r\n', '250'],
      ['BDAT 100 LAST\r\nabc', ''],
      [[{ closeNotify: true }], 'close'],
    ],
  },

  {
    id: 'tls-inject-lf',
    holds: 'even a lone line end behind STARTTLS counts as said in clear',
    source: 'command-injection-tester',
    whole: true,
    steps: [...HELLO, ['STARTTLS\r\n\r\n', '554/501/421 close | 554 421 close']],
  },
  {
    id: 'tls-inject-half',
    holds: 'half a command in clear is not completed inside TLS',
    source: 'CVE-2021-33515',
    whole: true,
    steps: [...HELLO, ['STARTTLS\r\nRCPT TO:<', '554/501/421 close | 554 421 close']],
  },
  {
    id: 'tls-inject-at-slice',
    holds: 'wherever a driver cuts what it reads, what stands behind STARTTLS counts as said in clear',
    source: 'CVE-2011-0411',
    whole: true,
    // With 4,096 octets read at once, STARTTLS is the end of the first of them.
    steps: [
      ...HELLO,
      [
        [
          { repeat: `NOOP ${'a'.repeat(505)}\r\n`, times: 7 },
          `NOOP ${'a'.repeat(495)}\r\n`,
          'STARTTLS\r\n',
          'EHLO injected\r\n',
        ],
        '250{8} 554/501/421 close | 250{8} 554 421 close | 250{8} 220 554/501/421 close',
      ],
    ],
  },
  {
    id: 'tls-with-argument',
    holds: 'STARTTLS takes no argument',
    source: 'RFC 3207 §4',
    steps: [...HELLO, ['STARTTLS now\r\n', '501'], ['NOOP\r\n', '250']],
  },
  {
    id: 'tls-login-forgotten',
    holds: 'a login of before TLS does not count inside it',
    source: 'RFC 3207 §4.2',
    steps: [
      ...HELLO,
      ['AUTH PLAIN AGFsaWNlAHMzY3JldA==\r\n', '235'],
      ['STARTTLS\r\n', '220'],
      TLS,
      ['EHLO c.example\r\n', '250'],
      ['MAIL FROM:<a@example.net>\r\n', '250'],
      ['RCPT TO:<x@relay.invalid>\r\n', '550'],
    ],
  },
  {
    id: 'tls-before-hello',
    holds: 'STARTTLS before EHLO is answered without harm',
    source: 'RFC 3207 §4',
    steps: [
      ['', '220'],
      ['STARTTLS\r\n', '503 | 220'],
    ],
  },
  {
    id: 'tls-pipelined-inside',
    holds: 'inside TLS groups work as outside',
    source: 'RFC 3207 §4.2; RFC 2920 §3.1',
    steps: [
      ...SECURE,
      [
        'EHLO c.example\r\nMAIL FROM:<a@example.net>\r\nRCPT TO:<x@relay.invalid>\r\n',
        '250 250 550 | 250 554/421 close',
      ],
    ],
  },
]
