import assert from 'node:assert/strict'
import { test } from 'node:test'
import { cite } from '../base/problem.ts'
import { parse } from '../config/parse.ts'
import { CHECKED_KEYWORDS, check, isTakenForPix, suffers } from './check.ts'
import { checkJson, sayCheck } from './check-report.ts'
import { FIREWALL } from './commands.ts'
import { lossesOf } from './losses.ts'
import { SITE_B } from './site-b.test.ts'
import { BEFORE_A_SERVER } from './through.test.ts'

function checked(text: string) {
  const { config, problems } = parse(FIREWALL, text, 'fw.conf')
  assert.deepEqual(
    problems.filter(({ severity }) => severity === 'error'),
    [],
    text,
  )
  return { config, found: check(config) }
}

const pairOf = ({ found }: ReturnType<typeof checked>, from: string, to: string) => {
  const pair = found.pairs.find(each => each.from.name === from && each.to.name === to)
  assert.ok(pair)
  return pair
}

const warningsOf = ({ found }: ReturnType<typeof checked>) =>
  found.warnings.map(({ message, at }) => `${at ? cite(at) : ''} ${message}`)

test('the site of the case study: mail from the tunnel loses every extension, and none the other way', () => {
  const site = checked(SITE_B)
  const inward = pairOf(site, 'vpn', 'inside')
  assert.deepEqual(
    inward.open.map(({ by, at }) => `${at?.line} ${by}`),
    ['5 access-list vpn_in permit tcp 10.53.7.0 255.255.255.0 host 10.54.7.10 eq smtp'],
  )
  assert.deepEqual(inward.inspected?.passes, [])
  assert.deepEqual(
    inward.inspected?.lost.map(({ keyword }) => keyword),
    CHECKED_KEYWORDS,
  )
  assert.equal(inward.inspected?.because.cure, 'no fixup protocol smtp 25')
  const outward = pairOf(site, 'inside', 'vpn')
  assert.equal(outward.open.length, 1)
  assert.equal(outward.inspected, undefined)
  assert.equal(pairOf(site, 'outside', 'inside').closed, 'nothing is translated there')
  assert.ok(suffers(site.found))
  assert.deepEqual(warningsOf(site), [
    'fw.conf:4 TLS is stripped: STARTTLS does not get through, and mail crosses in clear or not at all',
  ])
})

test('a translation that has no effect here is listed, and said to be why nobody comes in', () => {
  const lines = ['static (inside,vpn) 192.0.2.9 access-list POL', 'nat (inside,outside) source static A B']
  const plain =
    'static (inside,vpn) 10.54.7.0 10.54.7.0 netmask 255.255.255.0 0 0\naccess-group vpn_in in interface vpn'
  const { found, ...site } = checked(SITE_B.replace(plain, lines.join('\n')))
  assert.deepEqual(found.notEnforced, lines)
  assert.match(
    pairOf({ found, ...site }, 'outside', 'inside').closed ?? '',
    /neither by an access list, nor of both ends/,
  )
})

test('once it is cured nothing suffers', () => {
  const site = checked(`${SITE_B}no fixup protocol smtp 25\n`)
  assert.equal(pairOf(site, 'vpn', 'inside').inspected, undefined)
  assert.equal(suffers(site.found), false)
})

const ASA = `ASA Version 9.1(2)
interface Ethernet0/0
 nameif outside
 security-level 0
 ip address 192.0.2.2 255.255.255.0
interface Ethernet0/1
 nameif inside
 security-level 100
 ip address 10.54.7.1 255.255.255.0
object network mail-b
 host 10.54.7.10
 nat (inside,outside) static 192.0.2.10
access-list in extended permit tcp any object mail-b eq smtp
access-group in in interface outside
route outside 0.0.0.0 0.0.0.0 192.0.2.1 1
`
const MPF = `class-map inspection_default
 match default-inspection-traffic
policy-map global_policy
 class inspection_default
  inspect esmtp
service-policy global_policy global
`

test('the ASA as it comes: what passes, what is lost and by which line, both ways', () => {
  const asa = checked(ASA + MPF)
  for (const [from, to] of [
    ['outside', 'inside'],
    ['inside', 'outside'],
  ] as const) {
    const { inspected } = pairOf(asa, from, to)
    assert.deepEqual(inspected?.passes.toSorted(), [
      '8BITMIME',
      'AUTH',
      'DSN',
      'ENHANCEDSTATUSCODES',
      'ETRN',
      'PIPELINING',
      'SIZE',
    ])
    const by = (keyword: string) => inspected?.lost.find(each => each.keyword === keyword)?.because.reason
    assert.equal(by('STARTTLS'), 'the ASA hides STARTTLS: no allow-tls')
    assert.equal(by('CHUNKING'), 'the ASA hides it: match ehlo-reply-parameter others')
    assert.deepEqual(
      inspected?.suffers.map(({ what }) => what),
      [
        'drop-connection command-line over 512',
        'drop-connection recipients over 100',
        'drop-connection header-line over 998',
        'drop-connection sender over 320',
        'drop-connection filename over 255',
      ],
    )
  }
})

test('TLS that may pass behind a masked banner is lost to a Postfix all the same', () => {
  const own = (parameters: string) =>
    ASA +
    MPF.replace('inspect esmtp', 'inspect esmtp own').replace(
      'class-map',
      `policy-map type inspect esmtp own\n parameters\n${parameters}class-map`,
    )
  const [warning, ...more] = checked(own('  allow-tls\n')).found.warnings
  assert.match(warning?.message ?? '', /^the banner is masked although TLS may pass/)
  assert.equal(warning?.hint, 'to leave the banner: parameters / no mask-banner')
  assert.deepEqual(more, [])
  assert.deepEqual(checked(own('  allow-tls\n  no mask-banner\n')).found.warnings, [])
})

test('isTakenForPix() is what a Postfix decides by', () => {
  const greetings: Readonly<Record<string, boolean>> = {
    '220 ********': true,
    '220 ****2****0*': true,
    '220 *****0*****2*****2*****2 *****200***2*****0*00': true,
    '220-****\n220 ****': false,
    '220 SMTP/cmap ready____': false,
    '220 mail ESMTP': false,
  }
  for (const [greeting, taken] of Object.entries(greetings)) assert.equal(isTakenForPix(greeting), taken, greeting)
})

const PIX = `PIX Version 6.3(5)
no fixup protocol smtp 25
nameif ethernet0 outside security0
nameif ethernet1 inside security100
ip address outside 192.0.2.2 255.255.255.0
ip address inside 10.54.7.1 255.255.255.0
static (inside,outside) 192.0.2.10 10.54.7.10 netmask 255.255.255.255 0 0
`

test('lines that let in more than mail to one host are pointed at', () => {
  const of = (line: string) => warningsOf(checked(`${PIX}${line}\n`))
  assert.deepEqual(of('conduit permit tcp host 192.0.2.10 eq 25 any'), [])
  assert.deepEqual(of('conduit permit ip any any'), ['fw.conf:8 this lets everybody in with every protocol'])
  assert.deepEqual(of('conduit permit tcp host 192.0.2.10 any'), ['fw.conf:8 this lets everybody in at every port'])
  assert.deepEqual(of('conduit permit tcp any eq smtp any'), ['fw.conf:8 this lets everybody in to every host'])
  assert.deepEqual(of('conduit permit tcp any eq smtp host 198.51.100.7'), [])
  const list = 'access-list a permit tcp any any\naccess-group a in interface'
  assert.deepEqual(of(`${list} outside`), ['fw.conf:8 this lets everybody in at every port'])
  assert.deepEqual(of(`${list} inside`), [])
})

test('lines that cannot do what they were written for are pointed at', () => {
  const of = (lines: string) => warningsOf(checked(`${PIX}${lines}\n`))
  assert.deepEqual(of('access-list a permit tcp any host 192.0.2.10 eq smtp'), [
    'fw.conf:8 access list a is bound to no interface, and lets nobody in',
  ])
  assert.deepEqual(
    of(
      'conduit permit tcp host 192.0.2.10 eq 25 any\naccess-list a permit tcp any host 192.0.2.10 eq smtp\naccess-group a in interface outside',
    ),
    ['fw.conf:8 conduits are not asked at outside: the access-group there takes their place'],
  )
})

test('a version that let everything pass behind DATA is told of, up to the last that did', () => {
  const of = (version: string) =>
    warningsOf(checked(`PIX Version ${version}\n`)).filter(each => each.includes('CVE-2000-1022')).length
  assert.deepEqual(
    ['4.2(2)', '4.4(6)', '4.4(7)', '5.1(3)', '5.1(4)', '5.2(2)', '6.1(1)'].map(of),
    [1, 1, 0, 1, 0, 1, 0],
  )
})

test('a check can be read by people and by programs, and both name the lines', () => {
  const { config, found } = checked(`${SITE_B}pager lines 24\n`)
  const said = sayCheck(config, found).join('\n')
  for (const words of [
    'vpn to inside, inbound: PIX MailGuard (5.1-6.x)',
    'because   fw.conf:4: fixup protocol smtp 25',
    'cure      no fixup protocol smtp 25',
    'outside to inside, inbound: closed',
    'inside to vpn, outbound: mail passes as it is',
    'Not enforced here (1 lines, kept and shown)\n   pager lines 24',
  ]) {
    assert.ok(said.includes(words), `${words}\n${said}`)
  }
  const json = JSON.parse(JSON.stringify(checkJson(config, found)))
  const pair = json.pairs.find((each: { from: string; to: string }) => each.from === 'vpn' && each.to === 'inside')
  assert.equal(pair.inspected.at, 'fw.conf:4')
  assert.deepEqual(pair.inspected.lost[0], {
    keyword: 'SIZE',
    at: 'fw.conf:4',
    command: 'fixup protocol smtp 25',
    cure: 'no fixup protocol smtp 25',
    reason: 'MailGuard lets only HELO MAIL RCPT DATA RSET NOOP QUIT through',
    missed: [
      {
        what: 'the size limit, told before the message is sent',
        felt: 'large mail is sent whole and refused only then',
      },
    ],
  })
  assert.deepEqual(json.notEnforced, ['pager lines 24'])
})

function firebox(...lines: readonly string[]) {
  const site = checked(SITE_B.replace('fixup protocol smtp 25', lines.join('\n')))
  return { inspected: pairOf(site, 'vpn', 'inside').inspected, warnings: site.found.warnings }
}

test('a proxy that is to end TLS and has no certificate offers none, and the check says so', () => {
  const tlsOf = (...lines: readonly string[]) => {
    const { found } = checked([...BEFORE_A_SERVER, 'strict smtp 25', ...lines, ''].join('\n'))
    const [pair] = found.pairs.filter(({ inspected }) => inspected)
    const lost = pair?.inspected?.lost.find(({ keyword }) => keyword === 'STARTTLS')
    const isTold = found.warnings.some(({ message }) => message.startsWith('TLS is stripped'))
    return [isTold, lost?.because.reason, lost?.because.cause.cure]
  }
  assert.deepEqual(tlsOf(), [
    true,
    'TLS ends here, and there is no certificate for it',
    'strict certificate FILE key FILE',
  ])
  assert.deepEqual(tlsOf('strict certificate a.pem key a.key'), [false, undefined, undefined])
  assert.deepEqual(tlsOf('strict tls pass'), [false, undefined, undefined])
})

test('where XCLIENT alone keeps a server from relaying, the check says what comes of one that does not take it', () => {
  const told = (...lines: readonly string[]) => {
    const { found } = checked([...BEFORE_A_SERVER, 'strict smtp 25', 'strict tls pass', ...lines, ''].join('\n'))
    return found.warnings
      .map(({ message, hint, at }) => `${at?.line} ${message}; ${hint}`)
      .filter(each => each.includes('XCLIENT'))
  }
  const [warning = '', ...more] = told('strict xclient')
  assert.match(
    warning,
    /^8 a server that offers no XCLIENT, or refuses it, .* relays for everybody; .*strict xclient must/,
  )
  assert.deepEqual(more, [])
  for (const lines of [[], ['strict xclient must'], ['strict xclient', 'strict domain b.example']]) {
    assert.deepEqual(told(...lines), [])
  }
})

test('a Firebox is checked with the line for each extension it takes, STARTTLS among them, and its banner is its own', () => {
  const { inspected, warnings } = firebox('watchguard smtp-incoming 25')
  const cureOf = (keyword: string) =>
    inspected?.lost.find(each => each.keyword === keyword)?.because.cause.cure ?? 'passes'
  assert.equal(cureOf('SIZE'), 'passes')
  assert.equal(cureOf('X-EXPS'), 'watchguard smtp-incoming extension X-EXPS')
  assert.equal(cureOf('STARTTLS'), 'watchguard smtp-incoming tls pass')
  assert.equal(cureOf('TURN'), 'no watchguard smtp-incoming 25')
  assert.ok(warnings.some(({ hint }) => hint === 'to let it through: watchguard smtp-incoming tls pass'))
  const ticked = firebox('watchguard smtp-incoming 25', 'watchguard smtp-incoming tls pass')
  assert.ok(ticked.inspected?.passes.includes('STARTTLS'))
  assert.deepEqual(ticked.warnings, [])
})

test('of every extension that is looked for it is known who misses it', () => {
  const unknown = CHECKED_KEYWORDS.filter(each => lossesOf('keyword', each).length === 0)
  assert.deepEqual(unknown, [])
})
