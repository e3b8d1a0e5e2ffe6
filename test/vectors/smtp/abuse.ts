/** Peers that are no mail servers, or claim to be somebody. */
import { GREETED, HELLO, type ServerVector } from '../vector.ts'

const NOT_SMTP = '421/502/221/554/500 close | 502/500 421 close'

const otherProtocol = (id: string, sent: string, expected = NOT_SMTP): ServerVector => ({
  id,
  holds: 'what speaks HTTP, or any other protocol of lines, is cut off at its first line',
  source: 'Postfix smtpd_forbidden_commands; npm smtp-server 421; chasquid wrong_proto',
  steps: [GREETED, [sent, expected]],
})

export const ABUSE: readonly ServerVector[] = [
  otherProtocol('http-post', 'POST / HTTP/1.1\r\nHost: x\r\n\r\nMAIL FROM:<a@b>\r\n'),
  {
    id: 'tls-on-plain',
    holds: 'a TLS hello on a plain port does no harm: no more than a refusal, then the end',
    source: 'seen in the field',
    steps: [GREETED, ['\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03', ' | close | 5xx/421 close | 500']],
  },
  {
    id: 'xclient-spoof',
    holds: 'XCLIENT from a stranger makes him nobody else',
    source: 'Postfix XCLIENT_README; CVE-2026-28753',
    steps: [
      ...HELLO,
      ['XCLIENT ADDR=127.0.0.1 LOGIN=root\r\n', '550:5.7.0 | 500/502/503/554/501'],
      ['MAIL FROM:<a@example.net>\r\n', '250 | 503'],
      ['RCPT TO:<x@relay.invalid>\r\n', '550/554/503'],
    ],
  },
  {
    id: 'wiz-debug',
    holds: 'WIZ, DEBUG and KILL are no commands',
    source: 'PIX MailGuard; nmap; Snort invalid_cmds',
    steps: [...HELLO, ['WIZ\r\n', '500'], ['DEBUG\r\n', '500'], ['KILL\r\n', '500']],
  },

  otherProtocol('http-get', 'GET / HTTP/1.1\r\nHost: mx\r\n\r\n'),
  otherProtocol('http-connect', 'CONNECT mx.example.org:25 HTTP/1.1\r\n\r\n'),
  otherProtocol('http-put', 'PUT /x HTTP/1.0\r\nContent-Length: 30\r\n\r\nMAIL FROM:<a@example.net>\r\n'),
  otherProtocol('http-options', 'OPTIONS * HTTP/1.1\r\n\r\n'),
  otherProtocol('http-head', 'HEAD / HTTP/1.1\r\n\r\n'),
  otherProtocol('http-delete', 'DELETE / HTTP/1.1\r\n\r\n'),
  otherProtocol('http-lower', 'get / http/1.1\r\n\r\n'),
  otherProtocol('http-2', 'PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n', `${NOT_SMTP} | 500{4}`),
  otherProtocol('http-header-line', 'Host: mx.example.org\r\nEHLO c.example\r\n'),
  otherProtocol('http-content-type', 'Content-Type: text/plain\r\nMAIL FROM:<a@example.net>\r\n'),
  otherProtocol('rtsp', 'OPTIONS rtsp://mx RTSP/1.0\r\n\r\n'),
  otherProtocol('sip', 'REGISTER sip:mx SIP/2.0\r\nVia: SIP/2.0/TCP x\r\n\r\n'),
  otherProtocol('ssh', 'SSH-2.0-OpenSSH_9.2\r\n', `${NOT_SMTP} | 500`),
  {
    id: 'http-post-after-hello',
    holds: 'HTTP in the middle of a session ends it, too',
    source: 'Postfix smtpd_forbidden_commands',
    steps: [...HELLO, ['POST / HTTP/1.1\r\nHost: x\r\n\r\nMAIL FROM:<a@b>\r\n', NOT_SMTP]],
  },
  {
    id: 'proxy-proto-spoof',
    holds: 'a PROXY header from a stranger is no address: the session ends, or it is a refused command',
    source: 'HAProxy proxy-protocol §2',
    steps: [
      GREETED,
      ['PROXY TCP4 127.0.0.1 192.0.2.1 4711 25\r\n', '500/501/502/421 close | 500 | close'],
      ['EHLO c.example\r\n', '250 | '],
      ['MAIL FROM:<a@example.net>\r\n', '250 | '],
      ['RCPT TO:<x@relay.invalid>\r\n', '550 | '],
    ],
  },
  {
    id: 'proxy-proto-v2-spoof',
    holds: 'a binary PROXY header from a stranger is no address',
    source: 'HAProxy proxy-protocol §2.2',
    steps: [
      GREETED,
      [
        '\r\n\r\n\0\r\nQUIT\n\x21\x11\0\x0c\x7f\0\0\x01\xc0\0\x02\x01\x12\x67\0\x19',
        '5xx{1,4} | 5xx{1,4} 221 close | 5xx* 421 close | close',
      ],
    ],
  },
  {
    id: 'proxy-proto-late',
    holds: 'a PROXY header inside a session is a refused command',
    source: 'HAProxy proxy-protocol §2',
    steps: [...HELLO, ['PROXY TCP4 127.0.0.1 192.0.2.1 4711 25\r\n', '500 | 5xx/421 close']],
  },
  {
    id: 'xforward-spoof',
    holds: 'XFORWARD from a stranger is refused',
    source: 'Postfix XFORWARD_README',
    steps: [...HELLO, ['XFORWARD NAME=localhost ADDR=127.0.0.1\r\n', '5xx']],
  },
  {
    id: 'tls-on-plain-with-line-ends',
    holds: 'a TLS hello that happens to hold line ends is no list of commands',
    source: 'seen in the field',
    steps: [
      GREETED,
      [
        '\x16\x03\x01\x00\x10\r\nNOOP\r\n\x01\x00\r\n',
        '5xx 5xx/250 5xx | 5xx* 421 close | close | 5xx close | 421 close',
      ],
    ],
  },
  {
    id: 'verb-with-colon',
    holds: 'a verb glued to a colon is none',
    source: 'RFC 5321 §4.1.1',
    steps: [...HELLO, ['NOOP:\r\n', '500/501 | 5xx/421 close']],
  },
]
