/** For whom mail is taken, and what an address is (RFC 5321 §4.1.2). */
import { GREETED, HELLO, type ServerVector } from '../vector.ts'

const recipient = (id: string, to: string, expected = '550:5.7.1 | 554:5.7.1 | 501/553/550'): ServerVector => ({
  id,
  holds: `<${to}> is not relayed for a stranger`,
  source: 'nmap smtp-open-relay; a bare Exim ACL and Haraka in_host_list take some of these',
  steps: [...HELLO, ['MAIL FROM:<>\r\n', '250'], [`RCPT TO:<${to}>\r\n`, expected], ['DATA\r\n', '503/554']],
})

export const RELAY: readonly ServerVector[] = [
  recipient('relay-percent', 'x%relay.invalid@example.org', '550:5.7.1 | 554:5.7.1'),
  recipient('relay-bang', 'relay.invalid!x@example.org', '550:5.7.1 | 554:5.7.1'),
  recipient('relay-route', '@example.org:x@relay.invalid'),
  recipient('relay-double-at', 'x@relay.invalid@example.org'),
  recipient('relay-literal', 'x@[127.0.0.1]'),
  recipient('relay-null-dom', 'x@'),
  {
    id: 'addr-crlf-quoted',
    holds: 'a quoted pair cannot take in a line end: the line ends there, and what follows is one of its own',
    source: 'CVE-2026-23829 (Mailpit); nodemailer GHSA-c7w3-x93f-qmm8',
    // Two lines came, so two replies go out: whoever counts on one is out of step.
    steps: [...HELLO, ['RCPT TO:<"a\\\r\nRSET"@example.org>\r\n', '501 500/501'], ['NOOP\r\n', '250']],
  },

  recipient('relay-quoted-at', '"x@relay.invalid"@example.org', '550:5.7.1 | 554:5.7.1'),
  recipient('relay-quoted-percent', '"x%relay.invalid"@example.org', '550:5.7.1 | 554:5.7.1'),
  recipient('relay-percent-ours', 'bob%example.org@relay.invalid'),
  recipient('relay-percent-only', 'x%relay.invalid'),
  recipient('relay-bang-only', 'relay.invalid!x'),
  recipient('relay-route-two', '@example.org,@relay.invalid:x@relay.invalid'),
  recipient('relay-route-empty', '@:x@relay.invalid'),
  recipient('relay-literal-ipv6', 'x@[IPv6:::1]'),
  recipient('relay-literal-foreign', 'bob@[198.51.100.1]'),
  recipient('relay-literal-decimal', 'bob@[2130706433]'),
  recipient('relay-bare-ip', 'bob@127.0.0.1'),
  recipient('relay-trailing-dot', 'x@relay.invalid.'),
  recipient('relay-subdomain', 'bob@sub.example.org'),
  recipient('relay-suffix', 'bob@notexample.org'),
  recipient('relay-prefix', 'bob@example.org.relay.invalid'),
  recipient('relay-nul-suffix', 'x@relay.invalid\0.example.org', '500/501/550/553'),
  recipient('relay-space', 'x@relay.invalid @example.org'),
  recipient('relay-quoted-space', '"x @relay.invalid" <bob@example.org>'),
  recipient('relay-comma', 'bob@example.org,x@relay.invalid'),
  recipient('relay-semicolon', 'bob@example.org;x@relay.invalid'),
  recipient('relay-double-angle', '<bob@example.org>'),
  recipient('relay-two-paths', 'bob@example.org> <x@relay.invalid', '501/555'),
  recipient('relay-pipe', '|/bin/sh@example.org'),
  recipient('relay-program', '"|/bin/sh -c id"@example.org'),
  recipient('relay-backticks', '`id`@example.org'),
  recipient('relay-file', '/etc/passwd@example.org'),
  recipient('relay-file-quoted', '"/var/mail/x"@example.org'),
  recipient('relay-shell-semicolon', ';sleep 66;@example.org'),
  recipient('relay-null-recipient', '', '501/550/553/5xx'),
  recipient('relay-only-dot', '.@example.org'),
  recipient('relay-dotted', 'bob..x@example.org'),
  recipient('relay-dot-last', 'bob.@example.org'),
  recipient('relay-plus', 'bob+x%relay.invalid@example.org'),
  recipient('relay-colon', 'relay.invalid:x@example.org'),
  {
    id: 'relay-sender-is-ours',
    holds: 'a sender of our own domain opens nothing',
    source: 'nmap smtp-open-relay',
    steps: [...HELLO, ['MAIL FROM:<bob@example.org>\r\n', '250 | 550'], ['RCPT TO:<x@relay.invalid>\r\n', '550 | 503']],
  },
  {
    id: 'relay-hello-is-ours',
    holds: 'a hello in our own name opens nothing',
    source: 'nmap smtp-open-relay',
    steps: [
      GREETED,
      ['EHLO mx.example.org\r\n', '250 | 550'],
      ['MAIL FROM:<bob@example.org>\r\n', '250 | 503'],
      ['RCPT TO:<x@relay.invalid>\r\n', '550 | 503'],
    ],
  },
  {
    id: 'relay-sender-literal',
    holds: 'a sender at our own address opens nothing',
    source: 'nmap smtp-open-relay',
    steps: [
      ...HELLO,
      ['MAIL FROM:<root@[127.0.0.1]>\r\n', '250 | 550'],
      ['RCPT TO:<x@relay.invalid>\r\n', '550 | 503'],
    ],
  },
  {
    id: 'relay-after-failed-login',
    holds: 'a login that failed opens nothing',
    source: 'RFC 4954 §6',
    steps: [
      ...HELLO,
      ['AUTH PLAIN AGFsaWNlAHdyb25n\r\n', '535'],
      ['MAIL FROM:<a@example.net>\r\n', '250'],
      ['RCPT TO:<x@relay.invalid>\r\n', '550'],
    ],
  },
]

const address = (id: string, holds: string, to: string, expected: string): ServerVector => ({
  id: `addr-${id}`,
  holds,
  source: 'RFC 5321 §4.1.2, §4.5.3.1',
  steps: [...HELLO, ['MAIL FROM:<a@example.net>\r\n', '250'], [`RCPT TO:${to}\r\n`, expected], ['NOOP\r\n', '250']],
})
const label = (length: number): string => 'd'.repeat(length)
/** A domain of exactly so many octets. */
function domain(length: number): string {
  let out = 'x'
  while (out.length + 2 <= length) out += `.${label(Math.min(60, length - out.length - 1))}`
  return out.length === length ? out : `x${out}`
}

export const ADDRESSES: readonly ServerVector[] = [
  address('local-64', 'a local part of 64 octets is well-formed', `<${'b'.repeat(64)}@example.org>`, '550:5.1.1'),
  address('local-65', 'a local part of 65 octets is not', `<${'b'.repeat(65)}@example.org>`, '501/553/550:5.1.3'),
  address('domain-255', 'a domain of 255 octets does not fit a path of 256', `<b@${domain(255)}>`, '501/553/550'),
  address('path-256', 'a path of 256 octets is well-formed', `<b@${domain(252)}>`, '550:5.7.1'),
  address('path-257', 'a path of 257 octets is not', `<b@${domain(253)}>`, '501/553/550:5.1.3'),
  address('label-63', 'a label of 63 octets is well-formed', `<b@${label(63)}.example>`, '550:5.7.1'),
  address('label-64', 'a label of 64 octets is not', `<b@${label(64)}.example>`, '501/553/550'),
  address('postmaster', 'postmaster without a domain is always taken', '<postmaster>', '250'),
  address('postmaster-case', 'Postmaster in any case', '<PostMaster>', '250'),
  address('postmaster-ours', 'postmaster of each of our domains is taken', '<postmaster@example.org>', '250'),
  address('bare-local', 'another name without a domain is not', '<bob>', '550/501/553 | 250'),
  address('quoted-plain', 'quotes that are not needed change nothing', '<"bob"@example.org>', '250'),
  address('quoted-pair', 'a quoted pair stands for its second character', '<"b\\ob"@example.org>', '250'),
  address('quoted-gt', 'a > inside quotes does not end the path', '<"b>ob"@example.org>', '550'),
  address('quoted-quote', 'an escaped quote does not end the string', '<"b\\"ob"@example.org>', '550'),
  address('quoted-open', 'a string without end', '<"bob@example.org>', '501/553'),
  address('quoted-empty', 'an empty string is no name', '<""@example.org>', '501/550/553'),
  address('quoted-backslash-end', 'a backslash cannot escape the end of the path', '<"bob\\"@example.org>', '501/553'),
  address('unclosed', 'a path without >', '<bob@example.org', '501/553'),
  address('no-angles', 'an address without angle brackets', 'bob@example.org', '501/553 | 250'),
  address('space-after-colon', 'a space behind the colon hurts nobody', ' <bob@example.org>', '250/501'),
  address('two-ats', 'two @ unquoted', '<bob@x@example.org>', '501/553/550'),
  address('empty-domain', 'an empty domain', '<bob@>', '501/553'),
  address('empty-local', 'an empty local part', '<@example.org>', '501/553'),
  address('double-dot-domain', 'an empty label', '<bob@example..org>', '501/553'),
  address('hyphen-first', 'a label that begins with a hyphen', '<bob@-example.org>', '501/553/550'),
  address('underscore', 'an underscore in a foreign domain does no harm', '<bob@ex_ample.com>', '501/550/553'),
  address('literal-ipv6', 'an IPv6 literal is well-formed', '<bob@[IPv6:2001:db8::1]>', '550:5.7.1'),
  address('literal-ipv6-untagged', 'an IPv6 address without its tag is not', '<bob@[2001:db8::1]>', '501/553/550'),
  address('literal-ipv6-overlong', 'nine groups are no address', '<bob@[IPv6:1:2:3:4:5:6:7:8:9]>', '501/553/550'),
  address('literal-ipv4-256', '256 is no octet', '<bob@[256.1.1.1]>', '501/553/550'),
  address('literal-unclosed', 'a literal without ]', '<bob@[127.0.0.1>', '501/553'),
  address('utf8-plain', 'a name outside ASCII needs SMTPUTF8', '<b\xc3\xb6b@example.org>', '553:5.6.7 | 550:5.6.7'),
  address('utf8-domain', 'a domain outside ASCII needs SMTPUTF8', '<bob@ex\xc3\xa4mple.org>', '553:5.6.7 | 550:5.6.7'),
  address('tab', 'a tab in an address', '<bob\t@example.org>', '501/553/500'),
  address('case-of-domain', 'domains are compared in any case', '<bob@EXAMPLE.ORG>', '250'),
]
