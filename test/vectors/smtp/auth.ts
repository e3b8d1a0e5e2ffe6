/** Logins that go wrong (RFC 4954). The account is alice, with the password s3cret. */
import { GREETED, HELLO, type ServerVector, type Step } from '../vector.ts'

const LOGIN = 'AGFsaWNlAHMzY3JldA==' // NUL alice NUL s3cret

const auth = (id: string, holds: string, steps: readonly Step[]): ServerVector => ({
  id: `auth-${id}`,
  holds,
  source: 'RFC 4954 §4',
  steps: [...HELLO, ...steps, ['NOOP\r\n', '250']],
})

export const AUTH: readonly ServerVector[] = [
  {
    id: 'cmd-auth-in-transaction',
    holds: 'AUTH may not come inside a transaction',
    source: 'RFC 4954 §4; Vanaheimr S-15',
    steps: [...HELLO, ['MAIL FROM:<a@example.net>\r\n', '250'], ['AUTH PLAIN AGEAYg==\r\n', '503']],
  },

  auth('cancelled', 'an asterisk ends the exchange', [
    ['AUTH PLAIN\r\n', '334'],
    ['*\r\n', '501'],
  ]),
  auth('cancelled-login', 'an asterisk ends LOGIN at its second question, too', [
    ['AUTH LOGIN\r\n', '334'],
    ['YWxpY2U=\r\n', '334'],
    ['*\r\n', '501'],
  ]),
  auth('twice', 'one login is enough', [
    [`AUTH PLAIN ${LOGIN}\r\n`, '235'],
    [`AUTH PLAIN ${LOGIN}\r\n`, '503'],
  ]),
  auth('empty-initial', '"=" is an initial response of no octets', [['AUTH PLAIN =\r\n', '501/535']]),
  auth('empty-initial-login', '"=" is an initial response of no octets, for LOGIN an empty name', [
    ['AUTH LOGIN =\r\n', '334 | 501/535'],
    ['*\r\n', '501 | 500'],
  ]),
  auth('line-12288', 'a response of 12,288 octets with its end is not too long', [
    ['AUTH PLAIN\r\n', '334'],
    [`${'A'.repeat(12_284)}==\r\n`, '501:x.x.x | 535'],
  ]),
  auth('line-12289', 'an octet more is, and ends the exchange', [
    ['AUTH PLAIN\r\n', '334'],
    [`${'A'.repeat(12_287)}\r\n`, '500:5.5.6'],
  ]),
  auth('line-without-end', 'a response without end is drained, not kept', [
    ['AUTH PLAIN\r\n', '334'],
    [[{ repeat: 'A'.repeat(1000), times: 1000 }, '\r\n'], '500:5.5.6 | 500:5.5.6 close'],
  ]),
  auth('initial-12288', 'the limit holds for an initial response as well', [
    [`AUTH PLAIN ${'A'.repeat(12_400)}\r\n`, '500'],
  ]),
  auth('command-instead', 'a command behind 334 is a response that is not base64, and is not obeyed', [
    ['AUTH LOGIN\r\n', '334'],
    ['MAIL FROM:<a@example.net>\r\n', '501'],
    ['RCPT TO:<bob@example.org>\r\n', '503'],
  ]),
  auth('pipelined', 'commands piped behind AUTH are responses and no commands, or the group is refused', [
    ['AUTH LOGIN\r\nMAIL FROM:<a@example.net>\r\nRCPT TO:<bob@example.org>\r\n', '334 501 503'],
  ]),
  auth('pipelined-behind-whole', 'a command piped behind a whole login is judged after it', [
    [`AUTH PLAIN ${LOGIN}\r\nMAIL FROM:<a@example.net>\r\nRCPT TO:<x@relay.invalid>\r\n`, '235 250 550 | 235 250 250'],
  ]),
  auth('not-base64', 'what is not base64 is refused', [
    ['AUTH PLAIN !!!!\r\n', '501'],
    ['AUTH PLAIN\r\n', '334'],
    ['AGFs aWNl\r\n', '501'],
  ]),
  auth('bad-padding', 'base64 with padding inside is none', [
    ['AUTH PLAIN AGFs==aWNl\r\n', '501'],
    ['AUTH PLAIN AGFsaWNlA\r\n', '501'],
  ]),
  auth('other-identity', 'nobody acts for another', [['AUTH PLAIN cm9vdABhbGljZQBzM2NyZXQ=\r\n', '501/535']]),
  auth('plain-no-nul', 'PLAIN without its NULs is refused', [['AUTH PLAIN YWxpY2U=\r\n', '501/535']]),
  auth('plain-four-parts', 'PLAIN with a part too many is refused', [
    ['AUTH PLAIN AGFsaWNlAHMzY3JldAB4\r\n', '501/535'],
  ]),
  auth('plain-not-utf8', 'PLAIN that is not UTF-8 is refused', [['AUTH PLAIN AP8A/w==\r\n', '501/535']]),
  auth('unknown', 'a mechanism we do not have', [
    ['AUTH XYZZY\r\n', '504'],
    ['AUTH ANONYMOUS dGVzdA==\r\n', '504'],
    ['AUTH EXTERNAL =\r\n', '504'],
  ]),
  auth('no-mechanism', 'AUTH alone', [
    ['AUTH\r\n', '501'],
    ['AUTH \r\n', '501'],
    ['AUTH =\r\n', '501/504'],
  ]),
  auth('prototype', 'a mechanism by the name of something every object has', [
    ['AUTH constructor\r\n', '504'],
    ['AUTH __proto__\r\n', '504'],
    ['AUTH toString dGVzdA==\r\n', '504'],
  ]),
  auth('lf-only', 'a response ended by a lone LF is refused, and ends the exchange', [
    ['AUTH PLAIN\r\n', '334'],
    [`${LOGIN}\n`, '5xx'],
  ]),
  auth('nul', 'NUL in a response', [
    ['AUTH PLAIN\r\n', '334'],
    ['AGFs\0\r\n', '501/500'],
  ]),
  {
    id: 'auth-before-hello',
    holds: 'AUTH needs EHLO',
    source: 'RFC 4954 §4',
    steps: [
      GREETED,
      [`AUTH PLAIN ${LOGIN}\r\n`, '503'],
      ['EHLO c.example\r\n', '250'],
      ['MAIL FROM:<>\r\n', '250'],
      ['RCPT TO:<x@relay.invalid>\r\n', '550'],
    ],
  },
  {
    id: 'auth-after-helo',
    holds: 'behind HELO AUTH is refused or works, and no more than that',
    source: 'RFC 4954 §4',
    steps: [GREETED, ['HELO c.example\r\n', '250'], [`AUTH PLAIN ${LOGIN}\r\n`, '235/5xx'], ['NOOP\r\n', '250']],
  },
  {
    id: 'auth-cut-off',
    holds: 'a connection that ends within a login is nobody’s',
    source: 'RFC 4954 §4',
    steps: [...HELLO, ['AUTH LOGIN\r\n', '334'], ['YWxp', '']],
  },
]
