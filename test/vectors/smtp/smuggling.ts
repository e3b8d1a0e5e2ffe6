/** A second message inside the first: only CRLF.CRLF ends one (RFC 5321 §2.3.8, §4.1.1.4). */
import { GREETED, HELLO, type ServerVector, taken, untilData } from '../vector.ts'

const SOURCE = 'SEC Consult 2023-12-18; CVE-2023-51764, -51765, -51766; postfix.org/smtp-smuggling.html; smtpsmug'

/** What follows a false end of data, up to the real one. */
function inner(id: string): string {
  return `MAIL FROM:<${id}@example.net>\r\nRCPT TO:<bob@example.org>\r\nDATA\r\nSubject: inner\r\n\r\ninner\r\n.\r\n`
}

/** An end that is none. Refused as a whole, behind its real end, because it holds a stray CR, LF or NUL. */
function falseEnd(id: string, end: string): ServerVector {
  return {
    id,
    holds: `${JSON.stringify(end)} ends no message: one refusal behind the real end, and nothing inside is obeyed`,
    source: SOURCE,
    steps: [...untilData('outer@example.net'), [`Subject: outer\r\n\r\nbody${end}${inner(id)}`, '550:5.5.2']],
  }
}

/** The end looks false and holds no stray octet: it is content. */
function content(id: string, line: string, arrived: string): ServerVector {
  const message = `Subject: outer\r\n\r\nbody\r\n${line}\r\n${inner(id)}`
  return {
    id,
    holds: `a line ${JSON.stringify(line)} is content: the message goes on behind it`,
    source: SOURCE,
    steps: [...untilData('outer@example.net'), [message, '250']],
    taken: [
      taken('outer@example.net', message.replace(`\r\n${line}\r\n`, `\r\n${arrived}\r\n`).slice(0, -'.\r\n'.length)),
    ],
  }
}

export const SMUGGLING: readonly ServerVector[] = [
  falseEnd('smug-lf-lf', '\n.\n'),
  falseEnd('smug-lf-cr', '\n.\r'),
  falseEnd('smug-cr-cr', '\r.\r'),
  falseEnd('smug-lf-crlf', '\n.\r\n'),
  falseEnd('smug-crlf-lf', '\r\n.\n'),
  falseEnd('smug-crlf-cr', '\r\n.\r'),
  falseEnd('smug-crlf-dot-nul', '\r\n.\0\r\n'),
  falseEnd('smug-crlf-crcrlf', '\r\n.\r\r\n'),
  falseEnd('smug-lf-crcrlf', '\n.\r\r\n'),
  content('smug-crlf-dot-sp', '. ', ' '),
  {
    id: 'smug-size-then-dot',
    holds: 'a message beyond the limit is discarded up to its real end, and refused there once',
    source: 'chasquid t-12 bad_data_dot_on_message_too_big',
    config: ['message-size 10m'],
    steps: [
      ...untilData('outer@example.net'),
      [
        ['Subject: big\r\n\r\n', { repeat: `${'a'.repeat(998)}\r\n`, times: 12_000 }, '.\nNOOP evil\r\n.\r\n'],
        '552:5.3.4',
      ],
    ],
  },
  {
    id: 'smug-dot-split',
    holds: 'CRLF.CRLF in five segments is one end of data (a PIX MailGuard failed here: mail came twice)',
    source: 'MS KB 295725; Postfix smtp_pix_workarounds delay_dotcrlf',
    steps: [
      ...untilData('outer@example.net'),
      [['S: x\r\n\r\nb\r', { wait: 50 }, '\n', { wait: 50 }, '.', { wait: 50 }, '\r', { wait: 50 }, '\n'], '250'],
    ],
    taken: [taken('outer@example.net', 'S: x\r\n\r\nb\r\n')],
  },
  {
    id: 'smug-from-line',
    holds: 'an mbox From line is content like any other',
    source: 'Postfix HISTORY 202606 (smtpd_proxy_filter and long From_ lines)',
    taken: 'perhaps',
    steps: [...untilData('outer@example.net'), [`From ${'x'.repeat(5000)}\r\nSubject: t\r\n\r\nb\r\n.\r\n`, '250/5xx']],
  },

  falseEnd('smug-cr-lf', '\r.\n'),
  falseEnd('smug-cr-crlf', '\r.\r\n'),
  {
    id: 'smug-crcrlf-crlf',
    holds: 'CR CR LF.CR LF is a real end, of a message with a stray CR: refused, and what follows are commands',
    source: SOURCE,
    steps: [
      ...untilData('outer@example.net'),
      ['S: x\r\n\r\nbody\r\r\n.\r\nNOOP\r\nRCPT TO:<bob@example.org>\r\n', '550:5.5.2 250 503'],
    ],
  },
  falseEnd('smug-crcrlf-crcrlf', '\r\r\n.\r\r\n'),
  falseEnd('smug-crlf-lflf', '\r\n.\n\n'),
  falseEnd('smug-lfcr', '\n\r.\n\r'),
  falseEnd('smug-crlf-nul-dot', '\r\n\0.\r\n'),
  falseEnd('smug-nul-between', '\r\0\n.\r\n'),
  falseEnd('smug-dot-cr-nul-lf', '\r\n.\r\0\n'),
  falseEnd('smug-crlf-dot-dot-lf', '\r\n..\n'),
  falseEnd('smug-bare-lf-far-away', '\nno dot anywhere near\r\n'),
  falseEnd('smug-bare-cr-far-away', ' \r no dot anywhere near\r\n'),
  content('smug-dot-dot', '..', '.'),
  content('smug-dot-tab', '.\t', '\t'),
  content('smug-dot-vt', '.\v', '\v'),
  content('smug-dot-nel', '.\x85', '\x85'),
  content('smug-dot-ff', '.\f', '\f'),
  {
    id: 'smug-first-line-dot',
    holds: 'a message may be nothing but its end',
    source: 'RFC 5321 §4.1.1.4',
    steps: [...untilData(), ['.\r\n', '250'], ['NOOP\r\n', '250']],
    taken: [taken('a@example.net', '')],
  },
  {
    id: 'smug-first-octet-lf',
    holds: 'the LF behind DATA CRLF is a stray one, and no line end before a dot',
    source: SOURCE,
    steps: [...untilData(), ['\n.\r\nNOOP\r\n.\r\n', '550:5.5.2']],
  },
  {
    id: 'smug-stray-then-next',
    holds: 'a refused message leaves the session in step: the next one is taken for itself',
    source: 'Postfix delayed reject',
    steps: [
      ...untilData('outer@example.net'),
      ['a\nb\r\n.\r\n', '550:5.5.2'],
      ['RCPT TO:<bob@example.org>\r\n', '503'],
      ['MAIL FROM:<a@example.net>\r\n', '250'],
      ['RCPT TO:<bob@example.org>\r\n', '250'],
      ['DATA\r\n', '354'],
      ['S: y\r\n\r\n.\r\n', '250'],
    ],
    taken: [taken('a@example.net', 'S: y\r\n\r\n')],
  },
  {
    id: 'smug-all-in-one',
    holds: 'a whole session in one segment changes nothing about what ends a message',
    source: SOURCE,
    steps: [
      ...HELLO,
      [
        'MAIL FROM:<outer@example.net>\r\nRCPT TO:<bob@example.org>\r\nDATA\r\na\n.\nMAIL FROM:<smug-all@example.net>\r\n.\r\nNOOP\r\n',
        // Behind DATA nothing may be piped (RFC 2920 §3.1): refusing is as good as taking the octets for the message.
        '250 250 354 550 250 | 250 250 354 554/421 close | 250 250 554/421/503 close',
      ],
    ],
  },
  {
    id: 'smug-cr-at-end',
    holds: 'a CR held back at the end of a segment is neither lost nor doubled',
    source: 'RFC 5321 §4.5.2',
    steps: [
      ...untilData(),
      [['x\r', { wait: 10 }, '\r\n.\r', { wait: 10 }, '\r\n.', { wait: 10 }, '\r\n'], '550:5.5.2'],
    ],
  },
  {
    id: 'cmd-lf-only',
    holds: 'a command line ended by a lone LF is refused once, and what follows is in step',
    source: 'Postfix smtpd_forbid_bare_newline',
    steps: [GREETED, ['EHLO c.example\n', '500:5.5.2 | 500:5.5.2 close | 521 close'], ['EHLO c.example\r\n', '250 | ']],
  },
]
