import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import { runs } from '../base/any-bytes.test.ts'
import { formatDiagnostic } from '../base/problem.ts'
import type { Grammar } from '../config/grammar.ts'
import { parse } from '../config/parse.ts'
import { show } from '../config/show.ts'
import { MTA } from '../mta/commands.ts'
import { checkRouting, ROUTING_COMMANDS } from './commands.ts'
import { NO_ROUTING, type RoutingConfig } from './connector.ts'

const HOST = 'localhost'

const ROUTING: Grammar<RoutingConfig> = {
  name: 'routing',
  empty: NO_ROUTING,
  commands: ROUTING_COMMANDS,
  check: config => checkRouting(config, HOST),
}

const plain = (config: RoutingConfig): unknown =>
  JSON.parse(JSON.stringify(config, (key, value) => (key === 'at' ? undefined : value)))

const one = (...words: readonly (string | fc.Arbitrary<string>)[]): fc.Arbitrary<string> =>
  fc.tuple(...words.map(word => (typeof word === 'string' ? fc.constant(word) : word))).map(parts => parts.join(' '))

const of = (...words: readonly string[]): fc.Arbitrary<string> => fc.constantFrom(...words)
const no = of('', '', 'no ')
const connector = of('A-B', 'B-C', 'out')
const group = of('A', 'B', 'C')
const server = of('s1.example', 's2.example')
const times = of('always', 'never', 'mon-fri 08:00-18:00', 'sat,sun 00:00-24:00 mon 08:00-08:15')
const wait = of('250ms', '30s', '10m', '2d')

const anyLine: fc.Arbitrary<string> = fc.oneof(
  one('routing-group', group),
  one('organization', of('Contoso', '"First Organization"', `Contoso guid ${'0f'.repeat(16)}`)),
  one(
    no.map(no => `${no}group-member`),
    group,
    server,
  ),
  one('group-member', group, server, 'master'),
  one('group-member', group, server, 'address', of('10.0.0.1', '10.0.0.2 port 26'), of('', 'master')),
  one(
    of('link-state listen', 'link-state master'),
    of('10.0.0.1', '192.0.2.1', '10.0.0.1 port 692'),
    of('private', 'tls ca f'),
  ),
  of('no link-state listen 10.0.0.1', 'no link-state master'),
  one(
    no.map(no => `${no}group-domain`),
    group,
    of('b.example', 'c.example'),
  ),
  one('group-domain', group, 'b.example at', server),
  one(
    no.map(no => `${no}group-hub`),
    group,
  ),
  one('group-guid', group, of('A2A0F896-D197-B849-9955-7850AC796258', 'ab'.repeat(16))),
  one('no group-guid', group),
  one('connector', connector, 'to', group, 'cost', of('0', '1', '100', '101'), 'target 10.0.0.1', of('', 'port 2525')),
  one('connector', connector, 'to', group, 'cost 5 target 2001:db8::1'),
  one('connector', connector, 'from', group, 'to', group, 'cost', of('7', '100')),
  one('smtp-connector', connector, 'cost 1', of('smart-host 10.0.0.9', 'dns'), of('', 'port 587')),
  one(of('no connector', 'no smtp-connector'), connector),
  one(
    no.map(no => `${no}connector-group`),
    connector,
    group,
  ),
  one(
    no.map(no => `${no}connector-target`),
    connector,
    of('10.0.0.2', '10.0.0.3 port 26'),
  ),
  one(
    no.map(no => `${no}connector-source`),
    connector,
    server,
  ),
  one('address-space', connector, 'smtp', of('*', '*.b.example', 'b.example cost 7')),
  one('no address-space', connector, 'smtp', of('*', 'b.example')),
  one('connector-schedule', connector, times),
  one('connector-size', connector, of('1', '64k', '10m')),
  one('connector-oversize', connector, 'over 2m', times),
  one(of('no connector-schedule', 'no connector-size', 'no connector-oversize', 'no connector-pull'), connector),
  one(
    no.map(no => `${no}connector-refuse`),
    connector,
    of('low', 'normal', 'high', 'system'),
  ),
  one(
    no.map(no => `${no}connector-accept`),
    connector,
    of('null', 'bob@a.example', 'BOB@a.example'),
  ),
  one(
    no.map(no => `${no}connector-reject`),
    connector,
    of('null', '"\\"e v\\"@a.example"'),
  ),
  one(
    no.map(no => `${no}connector-hold`),
    connector,
  ),
  one('connector-pull', connector, of('turn', 'etrn', 'atrn'), 'every', wait, of('', 'for a.example')),
  one('connector-login', connector, 'x-exps login u password-file f', of('', 'required')),
  one('no connector-login', connector),
  of(
    'route-by link-state',
    'route-by least-cost',
    'no route-by',
    'suppress-state-changes',
    'no suppress-state-changes',
  ),
  of(
    'reroute never',
    'reroute after-glitch',
    'reroute link-state',
    'no reroute',
    'no organization',
    'no routing-group',
  ),
  one('link-state timer', of('glitch-retry', 'probe', 'state-change-delay', 'publish', 'attached-timeout'), wait),
  of('no link-state timer probe', 'link-state glitch-retries 1', 'link-state glitch-retries 0'),
)

test('whatever is configured, its text reads as the same routing', () => {
  fc.assert(
    fc.property(fc.array(anyLine, { maxLength: 40 }), lines => {
      // A line may be refused, as a person's may: what stands then is what must read back.
      const { config } = parse(ROUTING, `${lines.join('\n')}\n`, 'mta.conf')
      const text = show(ROUTING, config)
      const { config: again, problems } = parse(ROUTING, text, 'mta.conf')
      assert.deepEqual(
        problems,
        [...checkRouting(again, HOST)].sort((a, b) => (a.at?.line ?? 0) - (b.at?.line ?? 0)),
        text,
      )
      assert.deepEqual(plain(again), plain(config), text)
    }),
    runs(600),
  )
})

/** What is wrong with the whole is not looked for. */
const LINES: Grammar<RoutingConfig> = { name: 'routing', empty: NO_ROUTING, commands: ROUTING_COMMANDS }

test('every line has a no form that takes it back', () => {
  const base = 'connector A-B to B cost 1 target 10.0.0.1\nsmtp-connector out cost 1 smart-host 10.0.0.9\n'
  const pairs = {
    'group-member B s1.example master': 'no group-member B s1.example',
    'group-member B s1.example address 10.0.0.1 port 26': 'no group-member B s1.example',
    'group-domain B b.example': 'no group-domain B b.example',
    'group-domain B b.example at s1.example': 'no group-domain B b.example',
    'link-state master 10.0.0.1 private': 'no link-state master',
    'group-hub B': 'no group-hub B',
    'connector B-C from B to C cost 5': 'no connector B-C',
    'connector-group out B': 'no connector-group out B',
    'connector-target A-B 10.0.0.2 port 26': 'no connector-target A-B 10.0.0.2 port 26',
    'connector-source A-B s1.example': 'no connector-source A-B s1.example',
    'connector-schedule A-B never': 'no connector-schedule A-B',
    'connector-size A-B 10m': 'no connector-size A-B',
    'connector-oversize A-B over 2m never': 'no connector-oversize A-B',
    'connector-refuse A-B low': 'no connector-refuse A-B low',
    'connector-accept A-B null': 'no connector-accept A-B null',
    'connector-reject A-B e@a.example': 'no connector-reject A-B e@a.example',
    'connector-hold A-B': 'no connector-hold A-B',
    'route-by link-state': 'no route-by',
    'reroute after-glitch': 'no reroute',
    'link-state timer publish 5s': 'no link-state timer publish',
    'link-state listen 10.0.0.1 port 692 tls ca ca.pem': 'no link-state listen 10.0.0.1 port 692',
  }
  const before = show(ROUTING, parse(ROUTING, base, 'f').config)
  for (const [line, undo] of Object.entries(pairs)) {
    const { config, problems } = parse(LINES, `${base}${line}\n`, 'f')
    assert.deepEqual(problems, [], line)
    assert.ok(show(ROUTING, config).includes(`${line}\n`), line)
    assert.equal(show(ROUTING, parse(ROUTING, `${base}${line}\n${undo}\n`, 'f').config), before, undo)
  }
})

test('all mistakes are reported together, each with its place and the way out', () => {
  const text = `\
routing-group A
group-member A s1.example master
group-member A s2.example master
connector A-B to B cost 101 target 10.0.0.1
connector A-C to C cost 5 target 10.0.0.1
connector-source A-C s9.example
connector-schedule A-C mon 8-18
connector-size A-D 10m
connector C-A from A to C cost 5
connector here to A cost 1 target 10.0.0.2
connector D-D from D to D cost 1
group-guid B 123
link-state timer nap 5s
`
  const said = parse(ROUTING, text, 'mta.conf').problems.map(each => formatDiagnostic(each).split('\n')[0])
  assert.deepEqual(said, [
    'mta.conf:3:1: error: A has a master already',
    'mta.conf:4:25: error: 101 is not a cost',
    'mta.conf:5:1: error: s9.example, from which connector A-C leaves, is no member of A',
    'mta.conf:7:24: error: after "mon" a time such as 08:00-18:00 was expected',
    'mta.conf:8:16: error: no connector is called "A-D"',
    "mta.conf:9:1: error: connector C-A leaves A, which is this server's own group",
    'mta.conf:10:1: error: connector here leads to A, where this server is',
    'mta.conf:11:1: error: connector D-D leads back to D',
    'mta.conf:12:14: error: "123" is not a GUID',
    'mta.conf:13:18: error: unknown word "nap"',
  ])
})

test('the ends of the connections within a group are where they can be, and say so where they are not', () => {
  const said = (...lines: readonly string[]) => {
    const group = ['hostname hub.a.example', 'routing-group A', ...lines].join('\n')
    return parse(MTA, group, 'mail.conf').problems.map(each => formatDiagnostic(each).split('\n')[0])
  }
  const members = ['group-member A hub.a.example master', 'group-member A edge.a.example address 10.0.0.2']
  assert.deepEqual(said(...members, 'link-state listen 10.0.0.1 private'), [])
  assert.deepEqual(said('group-member A other.a.example master', 'link-state master 192.0.2.1 tls ca ca.pem'), [])
  assert.deepEqual(said(...members, 'link-state listen 192.0.2.1 private'), [
    'mail.conf:5:19: error: 192.0.2.1 is not an address of a private interface, and without TLS anybody is heard',
  ])
  assert.deepEqual(said(...members, 'link-state master 10.0.0.1 private'), [
    'mail.conf:5:1: error: this server, hub.a.example, is the master of A itself',
  ])
  assert.deepEqual(said('group-member A other.a.example master', 'link-state listen 10.0.0.1 private'), [
    'mail.conf:4:1: error: the master of A is other.a.example, and it alone hears the members',
  ])
  assert.deepEqual(said('link-state listen 10.0.0.1 private'), [
    'mail.conf:3:1: error: A has no other members, so nobody could be heard here',
  ])
  assert.deepEqual(
    said(...members, 'group-member A desk.a.example address 10.0.0.2', 'link-state listen ::1 private'),
    [
      'mail.conf:4:1: error: edge.a.example cannot be told from desk.a.example, which has its address',
      'mail.conf:5:1: error: desk.a.example cannot be told from edge.a.example, which has its address',
    ],
  )
  assert.deepEqual(said(...members, 'group-member A desk.a.example', 'link-state listen fd00::1 private'), [
    'mail.conf:5:1: error: desk.a.example is known by its address where there is no TLS, and has none',
  ])
})
