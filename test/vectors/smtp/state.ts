/** What may come when, and groups of commands: the envelope that counts is the one the replies tell of. */
import { envelope, GREETED, HELLO, type ServerVector, taken, untilData } from '../vector.ts'

const TALKS_FIRST = '554/421 close | 220 250'

export const STATE: readonly ServerVector[] = [
  {
    id: 'cmd-pregreet',
    holds: 'what is said before the greeting is refused or kept for later, and never answered before it',
    source: 'postscreen pregreet; RFC 5321 §4.3.1',
    steps: [['EHLO c.example\r\n', TALKS_FIRST]],
  },
  {
    id: 'cmd-pipeline-unadvertised',
    holds: 'a group behind HELO is refused, or answered in order',
    source: 'Postfix smtpd_forbid_unauth_pipelining; Exim smtp_enforce_sync; RFC 2920 §3',
    steps: [
      GREETED,
      ['HELO c.example\r\n', '250'],
      ['MAIL FROM:<a@example.net>\r\nRCPT TO:<bob@example.org>\r\nDATA\r\n', '250 250 354 | 554 close | 503 503 503'],
    ],
  },
  {
    id: 'cmd-pipeline-after-dot',
    holds: 'MAIL behind the end of a message opens another transaction',
    source: 'suricata-verify firewall 139, 140',
    steps: [...untilData(), ['S: x\r\n\r\nb\r\n.\r\nMAIL FROM:<b@example.net>\r\n', '250 250'], ['DATA\r\n', '503']],
    taken: [taken('a@example.net', 'S: x\r\n\r\nb\r\n')],
  },
  {
    id: 'cmd-rset-data-dot',
    holds: 'replies keep their order where DATA in a group is refused',
    source: 'Suricata 8739',
    steps: [...HELLO, ['RSET\r\nDATA\r\n.\r\n', '250 503 500']],
  },
  {
    id: 'cmd-rejected-ehlo-keeps-envelope',
    holds: 'an EHLO that is refused leaves the envelope as it was',
    source: 'suricata-verify smtp-rejected-ehlo-preserves-envelope',
    steps: [
      ...HELLO,
      ['MAIL FROM:<a@example.net>\r\n', '250'],
      ['EHLO\r\n', '501'],
      ['RCPT TO:<bob@example.org>\r\n', '250'],
      ['DATA\r\n', '354'],
      ['S: x\r\n\r\n.\r\n', '250'],
    ],
    taken: [taken('a@example.net', 'S: x\r\n\r\n')],
  },
  {
    id: 'cmd-eod-reject-resets',
    holds: 'a refusal at the end of data takes the envelope with it',
    source: 'Postfix HISTORY 20260803',
    steps: [
      ...untilData(),
      ['Subject: REJECTME\r\n\r\n.\r\n', '5xx'],
      ['RCPT TO:<bob@example.org>\r\n', '503'],
      ['DATA\r\n', '503'],
    ],
    machineOnly: 'no rule of the mail server refuses this message by its content',
  },
  {
    id: 'cmd-data-before-rcpt',
    holds: 'DATA needs a sender, and then a recipient',
    source: 'suricata-verify firewall 133',
    steps: [...HELLO, ['DATA\r\n', '503'], ['MAIL FROM:<a@example.net>\r\n', '250'], ['DATA\r\n', '503/554']],
  },

  {
    id: 'cmd-pregreet-http',
    holds: 'a browser that speaks first is turned away',
    source: 'npm smtp-server 421',
    steps: [['GET / HTTP/1.1\r\nHost: mx\r\n\r\n', '554/421 close | 220 421/502/221/554 close | 421 close']],
  },
  {
    id: 'cmd-pregreet-group',
    holds: 'a whole transaction said before the greeting is no short cut',
    source: 'postscreen pregreet',
    steps: [
      [
        'EHLO c.example\r\nMAIL FROM:<a@example.net>\r\nRCPT TO:<x@relay.invalid>\r\n',
        '554/421 close | 220 250 250 550 | 220 554/421 close | 220 250 554/421 close',
      ],
    ],
  },
  {
    id: 'cmd-pipeline-past-data',
    holds: 'what is piped behind an accepted DATA is the message and no command',
    source: 'RFC 2920 §3.1',
    steps: [
      ...HELLO,
      [
        'MAIL FROM:<a@example.net>\r\nRCPT TO:<bob@example.org>\r\nDATA\r\nRSET\r\nNOOP\r\n',
        '250 250 354 | 250 250 554/421 close | 250 250 354 554/421 close',
      ],
    ],
  },
  {
    id: 'cmd-pipeline-past-refused-data',
    holds: 'what is piped behind a refused DATA are commands, each with its reply',
    source: 'RFC 2920 §3.1; Suricata 8739',
    steps: [
      ...HELLO,
      ['MAIL FROM:<a@example.net>\r\nRCPT TO:<x@relay.invalid>\r\nDATA\r\nRSET\r\nNOOP\r\n', '250 550 503/554 250 250'],
    ],
  },
  {
    id: 'cmd-pipeline-past-ehlo',
    holds: 'commands behind EHLO are answered in order and judged after it, or refused',
    source: 'RFC 2920 §3.1',
    steps: [
      GREETED,
      [
        'EHLO c.example\r\nMAIL FROM:<a@example.net>\r\nRCPT TO:<x@relay.invalid>\r\n',
        '250 250 550 | 250 554/421 close',
      ],
    ],
  },
  {
    id: 'cmd-pipeline-past-quit',
    holds: 'nothing is answered behind QUIT',
    source: 'RFC 5321 §4.1.1.10',
    steps: [...HELLO, ['QUIT\r\nMAIL FROM:<a@example.net>\r\nNOOP\r\n', '221 close']],
  },
  {
    id: 'cmd-rset-behind-dot',
    holds: 'RSET behind the end of data does not take back what was accepted',
    source: 'Suricata 8739; suricata-verify#3202',
    steps: [...untilData(), ['S: x\r\n\r\n.\r\nRSET\r\nRCPT TO:<bob@example.org>\r\n', '250 250 503']],
    taken: [taken('a@example.net', 'S: x\r\n\r\n')],
  },
  {
    id: 'cmd-quit-behind-dot',
    holds: 'QUIT piped behind the end of data still lets the message be answered first',
    source: 'suricata-verify#3202',
    steps: [...untilData(), ['S: x\r\n\r\n.\r\nQUIT\r\n', '250 221 close']],
    taken: [taken('a@example.net', 'S: x\r\n\r\n')],
  },
  {
    id: 'cmd-ehlo-in-transaction',
    holds: 'EHLO in the middle of a transaction drops it',
    source: 'RFC 5321 §4.1.4',
    steps: [
      ...HELLO,
      ...envelope(),
      ['EHLO d.example\r\n', '250'],
      ['DATA\r\n', '503'],
      ['RCPT TO:<bob@example.org>\r\n', '503'],
    ],
  },
  {
    id: 'cmd-helo-after-ehlo',
    holds: 'HELO behind EHLO drops the transaction and the extensions',
    source: 'RFC 5321 §4.1.4',
    steps: [
      ...HELLO,
      ['MAIL FROM:<a@example.net>\r\n', '250'],
      ['HELO c.example\r\n', '250'],
      ['RCPT TO:<bob@example.org>\r\n', '503'],
      ['MAIL FROM:<a@example.net> BODY=8BITMIME\r\n', '555/501'],
      ['MAIL FROM:<a@example.net>\r\n', '250'],
    ],
  },
  {
    id: 'cmd-mail-twice',
    holds: 'a second MAIL is refused, and the first stands',
    source: 'RFC 5321 §4.1.4',
    steps: [
      ...HELLO,
      ['MAIL FROM:<a@example.net>\r\n', '250'],
      ['MAIL FROM:<evil@example.net>\r\n', '503'],
      ['RCPT TO:<bob@example.org>\r\n', '250'],
      ['MAIL FROM:<evil@example.net>\r\n', '503'],
      ['DATA\r\n', '354'],
      ['S: x\r\n\r\n.\r\n', '250'],
    ],
    taken: [taken('a@example.net', 'S: x\r\n\r\n')],
  },
  {
    id: 'cmd-rcpt-first',
    holds: 'RCPT needs MAIL',
    source: 'RFC 5321 §4.1.4',
    steps: [...HELLO, ['RCPT TO:<bob@example.org>\r\n', '503'], ['DATA\r\n', '503']],
  },
  {
    id: 'cmd-mail-before-hello',
    holds: 'MAIL needs EHLO or HELO',
    source: 'RFC 5321 §4.1.4',
    steps: [GREETED, ['MAIL FROM:<a@example.net>\r\n', '503'], ['RCPT TO:<bob@example.org>\r\n', '503']],
  },
  {
    id: 'cmd-anytime-before-hello',
    holds: 'NOOP, HELP, VRFY, RSET and QUIT need no hello',
    source: 'RFC 5321 §4.1.4',
    steps: [GREETED, ['NOOP\r\nHELP\r\nVRFY bob\r\nRSET\r\nQUIT\r\n', '250 214/250/502 2xx/5xx 250 221 close']],
  },
  {
    id: 'cmd-rset-keeps-hello',
    holds: 'RSET forgets the transaction and keeps hello and login',
    source: 'RFC 5321 §4.1.1.5',
    steps: [
      ...HELLO,
      ['AUTH PLAIN AGFsaWNlAHMzY3JldA==\r\n', '235'],
      ...envelope(),
      ['RSET\r\n', '250'],
      ['DATA\r\n', '503'],
      ['AUTH PLAIN AGFsaWNlAHMzY3JldA==\r\n', '503'],
      ...envelope(),
    ],
  },
  {
    id: 'cmd-some-recipients-refused',
    holds: 'the message goes to exactly the recipients that were accepted',
    source: 'RFC 5321 §3.3',
    steps: [
      ...HELLO,
      [
        'MAIL FROM:<a@example.net>\r\nRCPT TO:<nobody@example.org>\r\nRCPT TO:<bob@example.org>\r\nRCPT TO:<x@relay.invalid>\r\nRCPT TO:<carol@example.org>\r\nDATA\r\n',
        '250 550 250 550 250 354',
      ],
      ['S: x\r\n\r\n.\r\n', '250'],
    ],
    taken: [taken('a@example.net', 'S: x\r\n\r\n', ['bob@example.org', 'carol@example.org'])],
  },
  {
    id: 'cmd-all-recipients-refused',
    holds: 'DATA for nobody is refused, and the body piped behind it is not taken for commands that do harm',
    source: 'RFC 5321 §3.3; hmailserver#83',
    steps: [
      ...HELLO,
      [
        'MAIL FROM:<a@example.net>\r\nRCPT TO:<x@relay.invalid>\r\nDATA\r\nRCPT TO:<y@relay.invalid>\r\n.\r\n',
        '250 550 503/554 5xx 500',
      ],
    ],
  },
  {
    id: 'cmd-refused-mail-in-a-group',
    holds: 'a refused MAIL takes the whole group with it',
    source: 'RFC 2920 §3.1',
    steps: [
      ...HELLO,
      [
        'MAIL FROM:<a@example.net> X-NOPE\r\nRCPT TO:<bob@example.org>\r\nDATA\r\nMAIL FROM:<b@example.net>\r\nRCPT TO:<bob@example.org>\r\nDATA\r\n',
        '555 503 503 250 250 354',
      ],
      ['S: x\r\n\r\n.\r\n', '250'],
    ],
    taken: [taken('b@example.net', 'S: x\r\n\r\n')],
  },
  {
    id: 'cmd-cut-off-in-data',
    holds: 'a connection that ends within the message leaves none',
    source: 'RFC 5321 §4.1.1.4',
    steps: [...untilData(), ['S: x\r\n\r\nall but the end\r\n', '']],
  },
  {
    id: 'cmd-cut-off-before-the-last-octet',
    holds: 'CRLF.CR is no end',
    source: 'RFC 5321 §4.1.1.4',
    steps: [...untilData(), ['S: x\r\n\r\n.\r', '']],
  },
  {
    id: 'cmd-two-messages-one-session',
    holds: 'nothing of one transaction reaches the next',
    source: 'RFC 5321 §3.3',
    steps: [
      ...untilData('a@example.net', ['bob@example.org', 'carol@example.org']),
      ['S: 1\r\n\r\n.\r\n', '250'],
      ...envelope('b@example.net', ['bob@example.org']),
      ['DATA\r\n', '354'],
      ['S: 2\r\n\r\n.\r\n', '250'],
    ],
    taken: [
      taken('a@example.net', 'S: 1\r\n\r\n', ['bob@example.org', 'carol@example.org']),
      taken('b@example.net', 'S: 2\r\n\r\n'),
    ],
  },
  {
    id: 'cmd-data-with-argument',
    holds: 'DATA, RSET and QUIT take no argument',
    source: 'RFC 5321 §4.3.2',
    steps: [
      ...HELLO,
      ...envelope(),
      ['DATA now\r\n', '501'],
      ['RSET please\r\n', '501'],
      ['QUIT now\r\n', '501 | 221 close'],
    ],
  },
  {
    id: 'cmd-data-trailing-space',
    holds: 'spaces before the line end are read over',
    source: 'RFC 5321 §4.1.1',
    steps: [...HELLO, ...envelope(), ['DATA  \r\n', '354'], ['S: x\r\n\r\n.\r\n', '250']],
    taken: [taken('a@example.net', 'S: x\r\n\r\n')],
  },
  {
    id: 'cmd-lower-case',
    holds: 'verbs and keywords are read in any case',
    source: 'RFC 5321 §2.4',
    steps: [
      GREETED,
      ['ehlo c.example\r\n', '250'],
      ['mail from:<a@example.net> size=10 body=8bitmime\r\n', '250'],
      ['rCpT tO:<bob@EXAMPLE.org>\r\n', '250'],
      ['data\r\n', '354'],
      ['S: x\r\n\r\n.\r\n', '250'],
    ],
    taken: [taken('a@example.net', 'S: x\r\n\r\n', ['bob@EXAMPLE.org'])],
  },
  {
    id: 'cmd-noop-argument',
    holds: 'NOOP takes an argument and thinks nothing of it',
    source: 'RFC 5321 §4.1.1.9',
    steps: [...HELLO, ['NOOP MAIL FROM:<a@example.net>\r\n', '250'], ['RCPT TO:<bob@example.org>\r\n', '503']],
  },
  ...[
    'TURN',
    'ATRN',
    'ATRN example.org',
    'ETRN example.org',
    'EXPN staff',
    'SEND FROM:<a@example.net>',
    'SAML FROM:<a@example.net>',
    'SOML FROM:<a@example.net>',
  ].map(
    (command): ServerVector => ({
      id: `cmd-${command
        .split(/[ :]/)
        .slice(0, command.startsWith('ATRN ') ? 2 : 1)
        .join('-')
        .toLowerCase()}`,
      holds: `${command.split(' ')[0]} from a stranger turns nothing round, lists nobody and opens no transaction`,
      source: 'RFC 5321 Appendix F.1, F.6; RFC 2645 §5; RFC 1985 §5',
      steps: [
        ...HELLO,
        [`${command}\r\n`, command.startsWith('ETRN') ? '2xx/4xx/5xx' : '5xx/450/252'],
        ['RCPT TO:<bob@example.org>\r\n', '503'],
      ],
    }),
  ),
]
