import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import { runs } from '../base/any-bytes.test.ts'
import { MAX_HOPS, path, type Translation } from './path.ts'
import {
  type Attachment,
  crossing,
  direction,
  holds,
  hostNetwork,
  type Node,
  type NodeKind,
  prefix,
  type Route,
  type Topology,
} from './topology.ts'

const LAN = '255.255.255.0'
const net = (ip: string, mask: string = LAN) => ({ ip, mask })

function node(
  name: string,
  kind: NodeKind,
  attachments: readonly (readonly [segment: string, port: string, ip: string])[],
  ...routes: Route[]
): Node {
  return {
    name,
    kind,
    site: name.slice(-1),
    attachments: attachments.map(([segment, port, ip]): Attachment => ({ segment, port, ip, mask: LAN })),
    routes,
  }
}

/** The two sites of the case study. */
const SITES: readonly Node[] = [
  node(
    'mail-a',
    'mta',
    [['lan-a', 'eth0', '10.53.7.203']],
    { to: net('0.0.0.0', '0.0.0.0'), via: { gateway: '10.53.7.1' } },
    { to: net('10.54.0.0', '255.255.0.0'), via: { gateway: '10.53.7.2' } },
  ),
  node('fw-a', 'firewall', [
    ['lan-a', 'inside', '10.53.7.1'],
    ['internet', 'outside', '198.51.100.2'],
  ]),
  node(
    'vpn-a',
    'vpn',
    [
      ['lan-a', 'eth0', '10.53.7.2'],
      ['internet', 'eth1', '198.51.100.3'],
    ],
    { to: net('10.54.0.0', '255.255.0.0'), via: { tunnel: 'vpn-b' } },
  ),
  node(
    'vpn-b',
    'vpn',
    [
      ['dmz-b', 'eth0', '10.54.250.2'],
      ['internet', 'eth1', '192.0.2.3'],
    ],
    { to: net('10.53.0.0', '255.255.0.0'), via: { tunnel: 'vpn-a' } },
    { to: net('10.54.7.0'), via: { gateway: '10.54.250.1' } },
  ),
  node(
    'fw-b',
    'firewall',
    [
      ['dmz-b', 'vpn', '10.54.250.1'],
      ['lan-b', 'inside', '10.54.7.1'],
      ['internet', 'outside', '192.0.2.2'],
    ],
    { to: net('10.53.0.0', '255.255.0.0'), via: { gateway: '10.54.250.2' } },
  ),
  node('mail-b', 'mta', [['lan-b', 'eth0', '10.54.7.10']], {
    to: net('0.0.0.0', '0.0.0.0'),
    via: { gateway: '10.54.7.1' },
  }),
]

function topology(nodes: readonly Node[] = SITES): Topology {
  return { nodes: new Map(nodes.map(each => [each.name, each])) }
}

const PLAIN: Translation = { answersFor: () => false, translate: (_node, _port, destination) => destination }

function names(found: ReturnType<typeof path>): readonly string[] {
  assert.ok(!('wrong' in found), JSON.stringify(found))
  return found.map(({ node, enters, leaves }) => [enters, node, leaves].filter(each => each !== undefined).join(' '))
}

test('mail from A to B goes through the tunnel and in at the third interface of site B, not by firewall A', () => {
  assert.deepEqual(names(path(topology(), 'mail-a', '10.54.7.10', PLAIN)), [
    'mail-a eth0',
    'eth0 vpn-a tunnel',
    'tunnel vpn-b eth0',
    'vpn fw-b inside',
    'eth0 mail-b',
  ])
})

test('mail from B to A goes the same way back', () => {
  assert.deepEqual(names(path(topology(), 'mail-b', '10.53.7.203', PLAIN)), [
    'mail-b eth0',
    'inside fw-b vpn',
    'eth0 vpn-b tunnel',
    'tunnel vpn-a eth0',
    'eth0 mail-a',
  ])
})

test('a connection that came in by a port already is followed from there', () => {
  assert.deepEqual(names(path(topology(), 'fw-b', '10.54.7.10', PLAIN, 'vpn')), ['vpn fw-b inside', 'eth0 mail-b'])
})

test('where no route leads, or nobody is, that is said', () => {
  assert.deepEqual(path(topology(), 'vpn-b', '203.0.113.9', PLAIN), { wrong: 'vpn-b has no route to 203.0.113.9' })
  assert.deepEqual(path(topology(), 'mail-c', '10.54.7.10', PLAIN), { wrong: 'no node is called "mail-c"' })
  assert.deepEqual(path(topology(), 'mail-a', '10.53.7.99', PLAIN), { wrong: 'fw-a has no route to 10.53.7.99' })
})

test('a translated address is answered for by its firewall, and is another behind it', () => {
  const translation: Translation = {
    answersFor: (name, port, address) => name === 'fw-b' && port === 'outside' && address === '192.0.2.10',
    translate: (name, port, address) =>
      name === 'fw-b' && port === 'outside' && address === '192.0.2.10' ? '10.54.7.10' : address,
  }
  const found = path(topology(), 'vpn-b', '192.0.2.10', translation)
  assert.deepEqual(names(found), ['vpn-b eth1', 'outside fw-b inside', 'eth0 mail-b'])
  assert.ok(!('wrong' in found))
  assert.deepEqual(
    found.map(({ destination }) => destination),
    ['192.0.2.10', '10.54.7.10', '10.54.7.10'],
  )
})

test('a loop ends', () => {
  const anywhere = net('0.0.0.0', '0.0.0.0')
  const loop = [
    node('a', 'host', [['lan', 'eth0', '10.0.0.1']], { to: anywhere, via: { gateway: '10.0.0.2' } }),
    node('b', 'host', [['lan', 'eth0', '10.0.0.2']], { to: anywhere, via: { gateway: '10.0.0.1' } }),
  ]
  assert.deepEqual(path(topology(loop), 'a', '192.0.2.1', PLAIN), {
    wrong: `a → 192.0.2.1: more than ${MAX_HOPS} hops, a routing loop`,
  })
})

test('inbound is from the lower security level to the higher one, and equal levels are neither', () => {
  const port = (name: string, level: number) => ({ name, device: name, level })
  const [outside, vpn, inside] = [port('outside', 0), port('vpn', 50), port('inside', 100)]
  assert.equal(direction(vpn, inside), 'inbound')
  assert.equal(direction(inside, vpn), 'outbound')
  assert.equal(direction(vpn, port('dmz', 50)), 'lateral')
  assert.equal(crossing('fw-b', outside, vpn).direction, 'inbound')
})

test('a network holds its own addresses and no others', () => {
  assert.equal(holds(net('10.54.7.0'), '10.54.7.255'), true)
  assert.equal(holds(net('10.54.7.0'), '10.54.8.0'), false)
  assert.equal(holds(net('192.0.2.1', '255.255.255.255'), '192.0.2.1'), true)
  assert.equal(holds(net('200.0.0.0', '128.0.0.0'), '255.255.255.255'), true)
  assert.equal(holds(net('10.54.7.0'), '::1'), false)
  assert.equal(holds(net('0.0.0.0', '0.0.0.0'), '::1'), true)
  fc.assert(
    fc.property(fc.nat(32), length => {
      const mask = 2 ** 32 - 2 ** (32 - length)
      assert.equal(prefix([24, 16, 8, 0].map(shift => Math.floor(mask / 2 ** shift) % 256).join('.')), length)
    }),
    runs(50),
  )
})

test('a network of IPv6 holds its own addresses, of one family only', () => {
  const v6 = { ip: '2001:db8:54::', mask: 'ffff:ffff:ffff::' }
  assert.equal(holds(v6, '2001:db8:54:1::10'), true)
  assert.equal(holds(v6, '2001:db8:55::'), false)
  assert.equal(holds(v6, '10.0.0.1'), false)
  assert.equal(holds({ ip: '::', mask: '::' }, '2001:db8::1'), true)
  assert.equal(holds({ ip: '::', mask: '::' }, '10.0.0.1'), false)
  assert.equal(holds({ ...net('0.0.0.0', '0.0.0.0'), only: 4 }, '::1'), false)
  assert.equal(holds({ ...net('0.0.0.0', '0.0.0.0'), only: 4 }, '10.0.0.1'), true)
  assert.equal(holds(hostNetwork('2001:db8::1'), '2001:db8:0::1'), true)
  assert.equal(holds(hostNetwork('2001:db8::1'), '2001:db8::2'), false)
  assert.equal(prefix('ffff:ffff:ffff::'), 48)
})

test('the longest prefix wins, whichever order the routes are written in', () => {
  const anywhere: Route = { to: net('0.0.0.0', '0.0.0.0'), via: { gateway: '10.53.7.1' } }
  const toB: Route = { to: net('10.54.0.0', '255.255.0.0'), via: { gateway: '10.53.7.2' } }
  const mailA = (...routes: Route[]) => node('mail-a', 'mta', [['lan-a', 'eth0', '10.53.7.203']], ...routes)
  for (const routes of [
    [anywhere, toB],
    [toB, anywhere],
  ]) {
    const others = SITES.filter(({ name }) => name !== 'mail-a')
    const way = names(path(topology([mailA(...routes), ...others]), 'mail-a', '10.54.7.10', PLAIN))
    assert.equal(way[1], 'eth0 vpn-a tunnel')
  }
})
