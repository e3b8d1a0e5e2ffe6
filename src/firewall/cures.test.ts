import assert from 'node:assert/strict'
import { test } from 'node:test'
import { parse } from '../config/parse.ts'
import { admit } from './admission.ts'
import { FIREWALL } from './commands.ts'
import type { Policy } from './policy.ts'
import { STRICT, STRICT_EXTENSIONS } from './profiles/strict.ts'
import type { ProxyPolicy } from './proxy.ts'
import { type Backend, BEFORE_A_SERVER, Lenient, Through } from './through.test.ts'
import type { Explanation } from './verdict.ts'

/** The lines that put a profile in force. */
const STRICT_LINE = 'strict smtp 25'
const FIREBOX_LINE = 'watchguard smtp-incoming 25'

const CLIENT = '198.51.100.1'

function policyOf(...lines: readonly string[]): Policy | undefined {
  const { config, problems } = parse(
    FIREWALL,
    [...BEFORE_A_SERVER, ...lines].map(line => `${line}\n`).join(''),
    'gw.conf',
  )
  assert.deepEqual(problems, [])
  const admission = admit(config, 'gw', 'outside', { source: CLIENT, destination: '192.0.2.5', port: 25 })
  assert.ok(admission.kind !== 'refuse')
  return admission.policy
}

interface Case {
  readonly lines?: readonly string[]
  /** What the server lists. */
  readonly extensions?: readonly string[]
  readonly backend?: () => Backend
  readonly play: (through: Through) => unknown
  /** No line of its own: only without the proxy it passes. */
  readonly isOutOfReach?: boolean
}

const HELLO = 'EHLO c.example'
const MAIL = 'MAIL FROM:<a@x.example>'
const RCPT = 'RCPT TO:<b@y.example>'

const talk =
  (...lines: readonly string[]) =>
  (through: Through) =>
    through.talk(...lines)

const to = (recipient: string): Case => ({ play: talk(HELLO, MAIL, `RCPT TO:<${recipient}>`) })

const message = (text: string) => (through: Through) => {
  through.talk(HELLO, MAIL, RCPT, 'DATA')
  through.say(`${text}\r\n.\r\n`)
}

/** Takes everything but recipients. */
class Choosy extends Lenient {
  override receive(octets: Uint8Array): string {
    return super.receive(octets).replace(/^250 2\.0\.0 ok/, this.#says(octets))
  }

  #says(octets: Uint8Array): string {
    return String.fromCharCode(...octets.subarray(0, 4)) === 'RCPT' ? '550 5.1.1 nobody' : '250 2.0.0 ok'
  }
}

const choosy = () => new Choosy([])
const silent = () => ({ open: () => '220 mx\r\n', receive: () => '', end: () => {} })

const offering = (...extensions: readonly string[]): Pick<Case, 'extensions' | 'play'> => ({
  extensions,
  play: talk(HELLO),
})

const STRICT_CASES: Readonly<Record<string, Case>> = {
  ...Object.fromEntries(
    [...STRICT_EXTENSIONS].map(keyword => [
      `an extension that is not on the list: ${keyword}`,
      {
        ...offering(keyword === 'AUTH' ? 'AUTH PLAIN' : keyword, ...(keyword === 'BINARYMIME' ? ['CHUNKING'] : [])),
        lines: [
          `${STRICT.extensions.has(keyword) ? 'no ' : ''}strict extension ${keyword}`,
          `no strict extension ${keyword}`,
        ],
      },
    ]),
  ),
  'an extension that nobody knows': { ...offering('X-OWN'), isOutOfReach: true },
  'an extension between sites': offering('XEXCH50'),
  'a verb between sites': { play: talk(HELLO, MAIL, RCPT, 'XEXCH50 5 2') },
  'a verb that turns the dialogue round': { play: talk(HELLO, 'TURN'), isOutOfReach: true },
  'a back door': { play: talk(HELLO, 'WIZ'), isOutOfReach: true },
  EXPN: { play: talk(HELLO, 'EXPN all') },
  ETRN: { play: talk(HELLO, 'ETRN x.example') },
  'a mechanism that is not on the list': { ...offering('AUTH PLAIN GSSAPI'), lines: ['strict auth-in-clear'] },
  'a mechanism that a line took off it': {
    ...offering('AUTH PLAIN LOGIN'),
    lines: ['strict auth-in-clear', 'no strict mechanism PLAIN'],
  },
  'a login by a mechanism that was not offered': {
    extensions: ['AUTH PLAIN GSSAPI'],
    lines: ['strict auth-in-clear'],
    play: talk(HELLO, 'AUTH GSSAPI'),
  },
  'a login in clear': { extensions: ['AUTH PLAIN'], play: talk(HELLO, 'AUTH PLAIN') },
  'a source route': to('@x.example:b@y.example'),
  'the percent hack': to('b%x.example@y.example'),
  'a bang path': to('x.example!b@y.example'),
  'a quoted @': to('"b@x.example"@y.example'),
  'a pipe': to('"|/bin/sh"@y.example'),
  'an address literal': to('b@[192.0.2.1]'),
  'an address literal where domains are listed': { ...to('b@[192.0.2.1]'), lines: ['strict domain y.example'] },
  'a domain that is not ours': { ...to('b@z.example'), lines: ['strict domain y.example'] },
  'a message that is declared too large': {
    lines: ['strict message-size 1k'],
    play: talk(HELLO, `${MAIL} SIZE=500000`),
  },
  'a message that is too large': {
    lines: ['strict message-size 1k'],
    play: message(`S: x\r\n\r\n${'x'.repeat(1500)}`),
  },
  'a header that is too large': { lines: ['strict header-size 1k'], play: message(`S: ${'x'.repeat(1500)}\r\n\r\nx`) },
  'a header line that cannot be folded': {
    lines: ['strict header-line 78'],
    play: message(`S: ${'x'.repeat(100)}\r\n\r\nx`),
  },
  'a line that is too long': {
    lines: ['strict body-line 100'],
    play: message(`S: x\r\n\r\n${'x'.repeat(300)}\r\nx`),
  },
  'a long line that ends in a dot': { play: message(`S: x\r\n\r\n${'x'.repeat(3000)}.\r\nx`) },
  'too many recipients': { lines: ['strict recipients 2'], play: talk(HELLO, MAIL, RCPT, RCPT, RCPT) },
  'too many recipients that the server refuses': {
    lines: ['strict invalid-recipients 2'],
    backend: choosy,
    play: talk(HELLO, MAIL, RCPT, RCPT, RCPT),
  },
  'too many errors': { lines: ['strict errors 3'], backend: choosy, play: talk(HELLO, MAIL, RCPT, RCPT, RCPT) },
  'too many commands that bring no mail': { lines: ['strict junk 3'], play: talk(HELLO, 'RSET', 'RSET', 'RSET') },
  'a bare LF': { play: message('S: x\r\n\r\na\nb') },
  'a bare CR': { play: message('S: x\r\n\r\na\rb') },
  'a NUL': { play: message('S: x\r\n\r\na\0b') },
  'a parameter of an extension that was not offered': {
    lines: ['no strict extension DSN'],
    play: talk(HELLO, `${MAIL} RET=FULL`),
  },
  'a parameter of a recipient': {
    lines: ['no strict extension DSN'],
    play: talk(HELLO, MAIL, `${RCPT} NOTIFY=NEVER`),
  },
  'an address outside ASCII': {
    lines: ['no strict extension SMTPUTF8'],
    play: talk(HELLO, 'MAIL FROM:<gr\xc3\xbc\xc3\x9fe@x.example> SMTPUTF8'),
  },
  'a chunk': {
    lines: ['no strict extension CHUNKING'],
    play(through) {
      through.talk(HELLO, MAIL, RCPT)
      through.say('BDAT 2 LAST\r\nhi')
    },
  },
  'a chunk of binary': {
    lines: ['no strict extension BINARYMIME'],
    extensions: ['CHUNKING', 'BINARYMIME', '8BITMIME'],
    play: talk(HELLO, `${MAIL} BODY=BINARYMIME`),
  },
  'mail before TLS': { lines: ['strict tls require'], play: talk(HELLO, MAIL) },
  'TLS that ends at no certificate': {
    extensions: ['STARTTLS'],
    lines: ['strict onward-tls never'],
    play: talk(HELLO, 'STARTTLS'),
  },
  'TLS that is switched off': { lines: ['strict tls off', 'strict onward-tls never'], ...offering('STARTTLS') },
  'a server without TLS': { lines: ['strict onward-tls must'], play: talk(HELLO, MAIL) },
  'a server that is not told who the client is': { lines: ['strict xclient must'], play: talk(HELLO) },
  'a client that talks ahead': { play: through => through.say(`${HELLO}\r\n${MAIL}\r\n`) },
  'a client that talks before the greeting': {
    lines: ['strict greet-wait 6s'],
    play(through) {
      through.say(`${HELLO}\r\n`)
      through.pass(7_000)
    },
  },
  'a client that says nothing': { lines: ['strict command-wait 10s'], play: through => through.pass(15_000) },
  'a client that sends no message': {
    lines: ['strict data-wait 10s'],
    play(through) {
      through.talk(HELLO, MAIL, RCPT, 'DATA')
      through.pass(15_000)
    },
  },
  'a client that sends it slowly': {
    lines: ['strict data-rate 1000', 'strict data-wait 10s'],
    play(through) {
      through.talk(HELLO, MAIL, RCPT, 'DATA')
      for (let i = 0; i < 4; i++) {
        through.pass(5_000)
        through.say('slow\r\n')
      }
    },
  },
  'a server that says nothing': {
    lines: ['strict reply-wait 10s'],
    backend: silent,
    play(through) {
      through.say(`${HELLO}\r\n`)
      through.pass(15_000)
    },
  },
  'a client that does not read': {
    lines: ['strict write-wait 10s'],
    play(through) {
      through.do((proxy, now) => proxy.blocked('client', now))
      through.pass(15_000)
    },
  },
  'a session that lasts': {
    lines: ['strict session-wait 10s'],
    play(through) {
      for (let i = 0; i < 3; i++) {
        through.pass(5_000)
        through.say('NOOP\r\n')
      }
    },
  },
}

const wg = (line: string): string =>
  line.startsWith('no ') ? `no watchguard smtp-incoming ${line.slice(3)}` : `watchguard smtp-incoming ${line}`

const attachment = (field: string): Case['play'] =>
  message(`Content-Type: multipart/mixed; boundary=q\r\n\r\n--q\r\n${field}\r\n\r\nx\r\n--q--`)

const FIREBOX_CASES: Readonly<Record<string, Case>> = {
  'an option that is not ticked': { ...offering('ETRN') },
  'an option that a line took off': { ...offering('DSN'), lines: [wg('no extension DSN')] },
  'an option that nobody knows': { ...offering('X-OWN'), isOutOfReach: true },
  'a verb of an option': { play: talk(HELLO, 'ETRN x.example') },
  'a verb that is closed': { play: talk(HELLO, 'TURN'), isOutOfReach: true },
  'no ESMTP': { lines: [wg('no esmtp')], play: talk(HELLO) },
  'a chunk': {
    extensions: ['CHUNKING'],
    play(through) {
      through.talk(HELLO, MAIL, RCPT)
      through.say('BDAT 2 LAST\r\nhi')
    },
  },
  'an AUTH type that is not listed': offering('AUTH PLAIN GSSAPI'),
  'an AUTH type that a line took off': { ...offering('AUTH PLAIN LOGIN'), lines: [wg('no auth-type PLAIN')] },
  TLS: offering('STARTTLS'),
  'a message that is declared too large': { lines: [wg('message-size 1k')], play: talk(HELLO, `${MAIL} SIZE=500000`) },
  'a message that is too large': {
    lines: [wg('message-size 1k')],
    play: message(`Subject: x\r\n\r\n${'x'.repeat(1500)}`),
  },
  'a line that is too long': { lines: [wg('line-length 100')], play: message(`Subject: x\r\n\r\n${'x'.repeat(150)}`) },
  'a sender that is too long': {
    lines: [wg('address-length 10')],
    play: talk(HELLO, 'MAIL FROM:<somebody@x.example>'),
  },
  'a recipient that is too long': {
    lines: [wg('address-length 12')],
    play: talk(HELLO, MAIL, 'RCPT TO:<somebody@y.example>'),
  },
  'too many recipients': { lines: [wg('recipients 2')], play: talk(HELLO, MAIL, RCPT, RCPT, RCPT) },
  'too many recipients, who are dropped': {
    lines: [wg('recipients 2'), wg('too-many-recipients drop')],
    play: talk(HELLO, MAIL, RCPT, RCPT, RCPT),
  },
  'a name that is too long': { lines: [wg('hello-length 5')], play: talk(HELLO) },
  'a name that looks otherwise': { play: talk('EHLO a/b') },
  'a sender that is denied': { lines: [wg('denied-sender *@x.example')], play: talk(HELLO, MAIL) },
  'a recipient that is denied': { lines: [wg('denied-recipient b@*')], play: talk(HELLO, MAIL, RCPT) },
  'a header that is not listed': { play: message('X-Own: 1\r\nSubject: x\r\n\r\nx') },
  'a header that a line took off': { lines: [wg('no header SUBJECT')], play: message('Subject: x\r\n\r\nx') },
  'a content type that is not listed': { play: attachment('Content-Type: model/vrml') },
  'a content type that a line took off': {
    lines: [wg('no content-type image/*')],
    play: attachment('Content-Type: image/png'),
  },
  'a file name': { play: attachment('Content-Disposition: attachment; filename=a.exe') },
  'a file in the text': { play: message('Subject: x\r\n\r\nbegin 644 a.exe\r\n#0V%T\r\nend') },
  'a sender that is shown as another': {
    lines: [wg('masquerade x.example y.example')],
    play: message('From: a@x.example\r\n\r\nx'),
  },
  'the name of the server': { lines: [wg('banner-name fw.example')], play: talk(HELLO) },
  'a client that says nothing': { lines: [wg('idle-timeout 10s')], play: through => through.pass(15_000) },
}

const PROFILES = [
  { line: STRICT_LINE, cases: STRICT_CASES },
  { line: FIREBOX_LINE, cases: FIREBOX_CASES },
] as const

const STOPS: ReadonlySet<string> = new Set(['answer', 'strip', 'drop-connection', 'reset'])
/** Of these it is missed, too, when something else stands in their place. */
const SAID: ReadonlySet<string> = new Set(['greeting', 'keyword', 'header', 'attachment', 'reply'])

/** Something did not go on, or not as it was, or it ended the session. A smaller SIZE stops nothing. */
function stops({ what, did, subject }: Explanation): boolean {
  return STOPS.has(did) || (SAID.has(what) && did === 'replace' && subject !== 'SIZE')
}

function play({ extensions, backend, play: converse }: Case, policy: Policy | undefined): readonly Explanation[] {
  if (!policy) return []
  const server = backend ?? (() => new Lenient([], extensions))
  const through = new Through(server, policy as ProxyPolicy, { client: { address: CLIENT } })
  converse(through)
  return through.explanations
}

/** Cures are followed as an operator would, one after the other, until nothing stands in the way. */
const MAX_CURES = 3

for (const { line, cases } of PROFILES) {
  for (const [name, each] of Object.entries(cases)) {
    test(`${line}: the lines that its explanations name let it pass: ${name}`, () => {
      const lines = [...(each.lines ?? [])]
      const typed: string[] = []
      for (;;) {
        const stopped = play(each, policyOf(line, ...lines)).find(stops)
        if (!stopped) break
        const { cure } = stopped.because.cause
        assert.ok(typed.length < MAX_CURES, `still stopped after ${typed.join('; ')}: ${cure}`)
        typed.push(cure)
        lines.push(cure)
      }
      assert.notDeepEqual(typed, [], 'nothing was in its way')
      assert.equal(typed.includes(`no ${line}`), each.isOutOfReach ?? false, typed.join('; '))
    })
  }
}

/** Stops nothing, and takes its time. */
const SLOWED: Case = {
  lines: ['strict soft-errors 1', 'strict error-delay 1s'],
  backend: choosy,
  play: talk(HELLO, MAIL, RCPT, RCPT),
}

/** Nor does this, and is told of. */
const UNTOLD: Case = { lines: ['strict xclient'], play: talk(HELLO) }

for (const { line, cases } of PROFILES) {
  test(`${line}: every rule, and everything that a line settles, is what stood in the way of one of these`, () => {
    const met = new Set<string>()
    const all = new Set<string>()
    const keyOf = (reason: string) => reason.replace(/\(\d+\)$/, '(…)')
    const cureOf = (cure: string) => cure.replace(/ \d+\w*$/, '')
    for (const each of [...Object.values(cases), SLOWED, UNTOLD]) {
      const policy = policyOf(line, ...(each.lines ?? []))
      for (const { action, reason } of policy?.rules ?? []) if (action.kind !== 'pass') all.add(keyOf(reason))
      for (const { cure } of Object.values(policy?.settled ?? {})) all.add(cureOf(cure))
      for (const { because } of play(each, policy)) {
        met.add(keyOf(because.reason))
        met.add(cureOf(because.cause.cure))
      }
    }
    assert.deepEqual(
      [...all].filter(reason => !met.has(reason)),
      [],
    )
  })
}
