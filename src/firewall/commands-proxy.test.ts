import assert from 'node:assert/strict'
import { test } from 'node:test'
import { bytes } from '../base/bytes.ts'
import { formatDiagnostic } from '../base/problem.ts'
import { parse } from '../config/parse.ts'
import { show } from '../config/show.ts'
import { admit } from './admission.ts'
import { FIREWALL } from './commands.ts'
import { NO_PROXIES } from './commands-proxy.ts'
import type { FirewallConfig } from './config.ts'
import { judge, type Subject } from './judge.ts'
import type { TextKind } from './policy.ts'
import type { ProxyPolicy } from './proxy.ts'
import { BEFORE_A_SERVER, Lenient, Through } from './through.test.ts'

function read(...lines: readonly string[]): FirewallConfig {
  const { config, problems } = parse(FIREWALL, lines.map(line => `${line}\n`).join(''), 'gw.conf')
  assert.deepEqual(problems, [])
  return config
}

const EVERYTHING = [
  'strict smtp 25',
  'strict smtp 587-588',
  'watchguard smtp-incoming 2525',
  'strict site host 192.0.2.1',
  'strict site 10.0.0.0 255.0.0.0',
  'strict domain b.example',
  'strict certificate "my cert.pem" key my.key',
  'strict certificate mx.pem key mx.key name mx.b.example',
  'strict extension ETRN',
  'no strict extension DSN',
  'strict mechanism GSSAPI',
  'no strict mechanism PLAIN',
  'strict allow relay-forms',
  'strict allow address-literals',
  'strict allow address-specials',
  'strict message-size 10m',
  'strict header-size 32k',
  'strict header-line 998',
  'strict body-line 998',
  'strict dotted-line 2046',
  'strict recipients 50',
  'strict invalid-recipients 5',
  'strict errors 10',
  'strict junk 20',
  'strict greet-wait 6s',
  'strict command-wait 1m',
  'strict data-wait 2m',
  'strict reply-wait 3m',
  'strict write-wait 4m',
  'strict session-wait 1h',
  'strict data-rate 100',
  'strict error-delay 5s',
  'strict banner stars',
  'strict mail-rate 10',
  'strict command-rate 100',
  'strict soft-errors 3',
  'strict tls require',
  'strict onward-tls must',
  'strict auth-in-clear',
  'strict talking-ahead wait',
  'strict bare-line-ends space',
  'strict xclient must',
  'no watchguard smtp-incoming esmtp',
  'no watchguard smtp-incoming extension PIPELINING',
  'watchguard smtp-incoming extension X-EXPS',
  'watchguard smtp-outgoing auth-type NTLM',
  'no watchguard smtp-incoming auth-type PLAIN',
  'watchguard smtp-incoming header X-FACE',
  'watchguard smtp-incoming content-type model/*',
  'no watchguard smtp-incoming denied-file-name *.com',
  'watchguard smtp-outgoing denied-sender *@spam.example',
  'watchguard smtp-incoming denied-recipient root@*',
  'watchguard smtp-incoming idle-timeout 5m',
  'watchguard smtp-incoming message-size 1m',
  'watchguard smtp-incoming address-length 64',
  'watchguard smtp-incoming line-length 998',
  'watchguard smtp-incoming recipients 5',
  'watchguard smtp-incoming too-many-recipients drop',
  'watchguard smtp-incoming banner-name mail.b.example',
  'watchguard smtp-incoming banner keep-2-0',
  'watchguard smtp-incoming mail-rate 10',
  'watchguard smtp-incoming command-rate 100',
  'watchguard smtp-incoming hello-length 64',
  'watchguard smtp-incoming hello-pattern ^[a-z.]+$',
  'watchguard smtp-incoming tls terminate',
  'watchguard smtp-incoming deny-message "removed here"',
  'watchguard smtp-outgoing masquerade lan.b.example b.example',
]

const plain = (config: unknown): unknown =>
  JSON.parse(JSON.stringify(config, (key, value) => (key === 'at' ? undefined : value)))

test('a line that names a domain in its other spelling takes the place of the one there was, or takes it away', () => {
  const masquerade = ['masquerade büro.example a.example', 'masquerade xn--bro-hoa.example b.example']
  const lines = masquerade.map(each => `watchguard smtp-outgoing ${each}`)
  const { config, problems } = parse(FIREWALL, lines.join('\n'), 'fw.conf')
  assert.deepEqual(config.proxies.fireboxes['smtp-outgoing'].masquerade, [['xn--bro-hoa.example', 'b.example']])
  assert.match(
    problems.map(formatDiagnostic).join(),
    /^fw\.conf:2:37: warning: this line takes the place .* büro\.example/,
  )
  const gone = read(lines[0] ?? '', 'no watchguard smtp-outgoing masquerade xn--bro-hoa.example')
  assert.deepEqual(gone.proxies.fireboxes['smtp-outgoing'].masquerade, [])
  assert.deepEqual(
    read('strict domain büro.example', 'no strict domain xn--bro-hoa.example').proxies.strict.domains,
    [],
  )
})

test('every line of a proxy is shown so that it reads as the same, and its no form undoes it', () => {
  const once = read(...EVERYTHING)
  const shown = show(FIREWALL, once)
  for (const line of EVERYTHING) assert.ok(shown.includes(`${line}\n`), `${line} in:\n${shown}`)
  assert.deepEqual(plain(read(...shown.trimEnd().split('\n')).proxies), plain(once.proxies))
  const undone = read(...EVERYTHING, ...EVERYTHING.toReversed().map(undo))
  assert.deepEqual(plain(undone.proxies), plain(NO_PROXIES))
})

function undo(line: string): string {
  return line.startsWith('no ') ? line.slice('no '.length) : `no ${line}`
}

function policyAt(...lines: readonly string[]) {
  const caller = { source: '198.51.100.1', destination: '192.0.2.5', port: 25 }
  const admission = admit(read(...BEFORE_A_SERVER, ...lines), 'gw', 'outside', caller)
  return admission.kind === 'refuse' ? undefined : admission.policy
}

test('a proxy stands between on its port, by the number asked for or the one it becomes, before any other inspection', () => {
  assert.equal(policyAt('strict smtp 25')?.cause.command, 'strict smtp 25')
  assert.equal(policyAt('strict smtp 2526', 'fixup protocol smtp 25')?.cause.cure, 'no strict smtp 2526')
  assert.equal(policyAt('strict smtp 587', 'fixup protocol smtp 25')?.cause.command, 'fixup protocol smtp 25')
  assert.equal(policyAt('watchguard smtp-incoming 25')?.name, 'WatchGuard SMTP-Incoming')
  // That one is for the other way.
  assert.equal(policyAt('watchguard smtp-outgoing 25'), undefined)
})

test('what a site has otherwise is in the policy, and the line that put it in force is its cause', () => {
  const policy = policyAt('strict smtp 25', 'strict tls off', 'strict xclient', 'strict greet-wait 6s')
  assert.ok(policy?.engine.kind === 'proxy')
  const { tls, xclient, waits } = policy.engine
  assert.deepEqual([tls, xclient, waits.pregreet], ['off', 'may', 6_000])
  assert.equal(policy.cause.at.line, BEFORE_A_SERVER.length + 1)
})

test('a Firebox alters by its settings, and each explanation names the line that would change just that', () => {
  const policy = policyAt(
    'watchguard smtp-incoming 25',
    'no watchguard smtp-incoming extension DSN',
    'watchguard smtp-incoming recipients 5',
    'watchguard smtp-incoming denied-sender *@Spam.example',
    'no watchguard smtp-incoming header X-Mailer',
  )
  assert.ok(policy)
  const because = (subject: Subject): string => {
    const { verdict } = judge(policy, subject, { peer: '198.51.100.1' })
    if (verdict.kind === 'pass') return 'pass'
    const { at, cure } = verdict.because.cause
    return `${verdict.kind} ${at.line - BEFORE_A_SERVER.length}: ${cure}`
  }
  const keyword = (word: string) => because({ on: 'word', what: 'ehlo-keyword', word })
  const header = (word: string) => because({ on: 'word', what: 'header-field', word })
  const text = (what: TextKind, words: string) => because({ on: 'text', what, text: bytes(words) })
  assert.equal(keyword('SIZE'), 'pass')
  assert.equal(keyword('DSN'), 'strip 2: watchguard smtp-incoming extension DSN')
  assert.equal(keyword('X-EXPS'), 'strip 1: watchguard smtp-incoming extension X-EXPS')
  // No box to tick: only without the proxy it would pass.
  assert.equal(keyword('X-OWN'), 'strip 1: no watchguard smtp-incoming 25')
  assert.equal(
    because({ on: 'word', what: 'verb', word: 'X-EXPS' }),
    'answer 1: watchguard smtp-incoming extension X-EXPS',
  )
  assert.equal(
    because({ on: 'word', what: 'auth-mechanism', word: 'NTLM' }),
    'strip 1: watchguard smtp-incoming auth-type NTLM',
  )
  assert.equal(because({ on: 'size', what: 'recipients', size: 6 }), 'answer 3: watchguard smtp-incoming recipients 10')
  assert.equal(text('sender', 'Eve@SPAM.example'), 'answer 4: no watchguard smtp-incoming denied-sender *@spam.example')
  assert.equal(text('sender', 'eve@spam.example.org'), 'pass')
  assert.equal(header('X-MAILER'), 'strip 5: watchguard smtp-incoming header X-MAILER')
  assert.equal(header('X-FACE'), 'strip 1: watchguard smtp-incoming header X-FACE')
  assert.equal(text('mime-type', 'model/vrml'), 'replace 1: watchguard smtp-incoming content-type model/vrml')
  assert.equal(text('mime-type', 'model/"'), 'replace 1: watchguard smtp-incoming content-type <word>')
  assert.equal(text('filename', 'a.exe'), 'replace 1: no watchguard smtp-incoming denied-file-name *.exe')
})

test('typed, the line that an explanation names lets it pass', () => {
  const policy = policyAt('watchguard smtp-incoming 25', 'watchguard smtp-incoming extension X-EXPS')
  assert.ok(policy)
  for (const what of ['ehlo-keyword', 'verb'] as const) {
    assert.equal(judge(policy, { on: 'word', what, word: 'X-EXPS' }).verdict.kind, 'pass')
  }
})

test('what no Firebox knows is refused where it stands, with what it knows', () => {
  const text = [
    'watchguard smtp-incoming extension X-OWN',
    'watchguard smtp-incoming hello-pattern (a',
    'watchguard smtp-incoming header A:B',
    'watchguard smtp-incoming idle-timeout 0s',
    'watchguard smtp-incoming deny-message Grüße',
    'strict extension X-EXPS',
    'strict mechanism A.B',
    'strict recipients 0',
    'strict command-wait 10ms',
  ].join('\n')
  const { problems } = parse(FIREWALL, text, 'gw.conf')
  assert.deepEqual(
    problems.map(({ at, message }) => `${at?.line}:${at?.column} ${message}`),
    [
      '1:36 the proxy knows no such ESMTP option, and would not pass it on',
      '2:40 this bracket is never closed',
      '3:33 expected letters, digits, hyphens',
      '4:39 expected a second at least: nobody could say anything',
      '5:39 expected printable ASCII, 998 characters at most',
      '6:18 the proxy knows no such extension, and would not pass it on',
      '7:18 expected letters, digits, - and _, 20 at most',
      '8:19 expected 1 at least',
      '9:21 expected a second at least',
    ],
  )
  assert.match(problems[0]?.hint ?? '', /^known: 8BITMIME, .*X-EXPS/)
})

test('strict names the line of its own that decided, and what to write to have it otherwise', () => {
  const policy = policyAt('strict smtp 25', 'strict message-size 10m', 'strict domain b.example')
  assert.ok(policy)
  const because = (subject: Subject): string => {
    const { verdict } = judge(policy, subject, { peer: '198.51.100.1' })
    if (verdict.kind === 'pass') return 'pass'
    const { at, cure } = verdict.because.cause
    return `${verdict.kind} ${at.line - BEFORE_A_SERVER.length}: ${cure}`
  }
  assert.equal(because({ on: 'size', what: 'message', size: 10 * 2 ** 20 + 1 }), 'answer 2: strict message-size 20m')
  assert.equal(because({ on: 'relay', domain: 'x.example' }), 'answer 3: strict domain x.example')
  assert.equal(because({ on: 'octet', what: 'bare-lf' }), 'answer 1: strict bare-line-ends space')
  for (const what of ['verb', 'ehlo-keyword'] as const) {
    const did = what === 'verb' ? 'answer' : 'strip'
    assert.equal(because({ on: 'word', what, word: 'XEXCH50' }), `${did} 1: strict site host 198.51.100.1`)
  }
  assert.equal(because({ on: 'word', what: 'verb', word: 'ETRN' }), 'answer 1: strict extension ETRN')
  // No line of its own changes this.
  assert.equal(because({ on: 'word', what: 'verb', word: 'TURN' }), 'answer 1: no strict smtp 25')
})

for (const profile of ['strict', 'watchguard smtp-incoming']) {
  test(`${profile}: a line masks the greeting, another says how fast messages and commands go, and each is told of`, () => {
    const on = profile === 'strict' ? 'strict smtp 25' : 'watchguard smtp-incoming 25'
    const policy = policyAt(on, `${profile} banner keep-2-0`, `${profile} mail-rate 1`, `${profile} command-rate 2`)
    const through = new Through(() => new Lenient([]), policy as ProxyPolicy)
    assert.match(through.heard, /^220 [*02 ]+\r\n$/)
    assert.deepEqual(
      through.explanations.map(({ did, because }) => [did, because.cause.command, because.cause.cure]),
      [['mask', `${profile} banner keep-2-0`, `${profile} banner pass`]],
    )
    assert.match(through.say('EHLO c.example\r\n'), /^250/)
    // Another command half a second later, and a message has a rate of its own.
    assert.equal(through.say('NOOP\r\n'), '')
    assert.match(through.pass(500), /^250 /)
    assert.match(through.say('MAIL FROM:<a@x.example>\r\n'), /^250 /)
    assert.equal(through.say('RSET\r\n'), '')
    assert.match(through.pass(500), /^250 /)
    assert.equal(through.say('MAIL FROM:<a@x.example>\r\n'), '')
    assert.match(through.pass(500), /^250 /)
    // Once of each, however often somebody waits.
    assert.deepEqual(
      through.explanations.flatMap(({ did, subject, because }) =>
        subject === 'RATE' ? [[did, because.cause.command]] : [],
      ),
      [
        ['log', `${profile} command-rate 2`],
        ['log', `${profile} mail-rate 1`],
      ],
    )
    // What is refused is refused all the same.
    assert.match(through.say('TURN\r\n'), /^5/)
  })
}
