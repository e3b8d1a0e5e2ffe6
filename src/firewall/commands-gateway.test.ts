import assert from 'node:assert/strict'
import { test } from 'node:test'
import { parse } from '../config/parse.ts'
import { show } from '../config/show.ts'
import { FIREWALL } from './commands.ts'
import { serversAt } from './commands-gateway.ts'
import { type GatewayConfig, NO_GATEWAY } from './gateway-config.ts'

function read(text: string): {
  readonly gateway: GatewayConfig
  readonly said: readonly string[]
  readonly shown: string
} {
  const { config, problems } = parse(FIREWALL, text, 'gw.conf')
  const said = problems.map(({ message, hint, at }) => `${at?.line}:${at?.column} ${message} (${hint})`)
  return { gateway: config.gateway, said, shown: show(FIREWALL, config) }
}

const plain = (config: unknown): unknown =>
  JSON.parse(JSON.stringify(config, (key, value) => (key === 'at' ? undefined : value)))

const EVERYTHING = [
  'logging on',
  'logging timestamp',
  'logging facility 23',
  'logging buffered debugging',
  'logging trap warnings',
  'logging host inside 192.0.2.9',
  'logging host inside 192.0.2.9 tcp/1470',
  'logging host 2001:db8::9 udp/5514',
  'logging local',
  'logging file "my log" errors',
  'logging json gw.json informational',
  'no logging message 302013',
  'logging message 106023 level debugging',
  'logging console warnings',
  'metrics listen ::1 9925',
  'record "my dialogues" files 10 octets 1m messages',
  'limit connections 500 reserve 20',
  'limit source connections 0',
  'limit source rate 10 per 1m',
  'limit peer host 192.0.2.1',
  'limit peer 10.0.0.0 255.0.0.0',
  'limit peer host 2001:db8::1',
  'limit peer 2001:db8:1::/48',
  'timeout drain 5m',
  'proxy-protocol from host 192.0.2.2',
  'proxy-protocol to 10.0.0.1 25 version 2',
  'serverfarm 10.0.0.1 25 real 10.0.0.2 2525',
  'serverfarm 10.0.0.1 25 predictor roundrobin',
  'serverfarm 10.0.0.1 25 probe smtp every 10s',
]

test('every line of how a firewall runs is shown so that it reads as the same', () => {
  const once = read(EVERYTHING.map(line => `${line}\n`).join(''))
  assert.deepEqual(once.said, [])
  for (const line of EVERYTHING) assert.ok(once.shown.includes(`${line}\n`), `${line} in:\n${once.shown}`)
  const again = read(once.shown)
  assert.deepEqual(again.said, [])
  assert.deepEqual(plain(again.gateway), plain(once.gateway))
})

test('what every line did its no form undoes, and what is left is nothing', () => {
  const undone = EVERYTHING.toReversed().map(line => (line.startsWith('no ') ? line.slice(3) : `no ${line}`))
  // The default comes back: a message that was given a level is silenced by `no`, and told again without it.
  const text = [...EVERYTHING, ...undone, 'logging message 106023', ''].join('\n')
  const { gateway, said } = read(text)
  assert.deepEqual(said, [])
  assert.deepEqual(plain(gateway), plain(NO_GATEWAY))
})

test('logging lines of real dumps read as they stand, and where they go in words or numbers', () => {
  const { gateway, said } = read(
    'logging enable\nlogging trap 4\nlogging host outside 192.0.2.9 udp/514 format emblem\nlogging standby\nlogging queue 512\nlogging facility 20\n',
  )
  assert.deepEqual(said, [])
  assert.deepEqual([gateway.logging.on, gateway.logging.trap], [true, 4])
  assert.deepEqual(gateway.logging.hosts, [{ port: 'outside', ip: '192.0.2.9', transport: 'udp', number: 514 }])
  assert.deepEqual(gateway.logging.kept, ['standby', 'queue 512'])
})

test('a mistake is pointed at, with what would be right', () => {
  const { said } = read(
    [
      'metrics listen 192.0.2.1 9925',
      'logging facility 3',
      'logging trap loud',
      'serverfarm 10.0.0.1 25 probe tcp every 1ms',
      'limit source rate 10 per soon',
      'proxy-protocol from 10.0.0.0 0.0.0.0',
    ].join('\n'),
  )
  assert.equal(said.length, 6)
  assert.equal(said[5], '6:30 this names everybody (expected the network of those who are meant)')
  assert.equal(said[0], '1:16 metrics are not for the network of 192.0.2.1 (expected 127.0.0.1 or ::1)')
  assert.equal(said[1], '2:18 3 is not a facility of ours (expected 16 to 23 (local0 to local7))')
  assert.match(String(said[2]), /^3:14 unknown word "loud" \(expected emergencies, alerts, /)
  assert.equal(said[3], '4:40 that is too often (expected 100ms or more)')
  assert.match(String(said[4]), /^5:26 "soon" is not a length of time/)
})

test('the server that a static names is the first of its farm, and any other stands for itself', () => {
  const { gateway } = read('serverfarm 10.0.0.1 25 real 10.0.0.2 2525\nserverfarm 10.0.0.1 25 real 10.0.0.3 25\n')
  assert.deepEqual(serversAt(gateway, { ip: '10.0.0.1', port: 25 }), [
    { ip: '10.0.0.1', port: 25 },
    { ip: '10.0.0.2', port: 2525 },
    { ip: '10.0.0.3', port: 25 },
  ])
  assert.deepEqual(serversAt(gateway, { ip: '10.0.0.9', port: 25 }), [{ ip: '10.0.0.9', port: 25 }])
})
