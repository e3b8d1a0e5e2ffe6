import assert from 'node:assert/strict'
import { readFileSync } from 'node:fs'
import { test } from 'node:test'
import { cite } from '../base/problem.ts'
import type { Grammar } from '../config/grammar.ts'
import { parse } from '../config/parse.ts'
import { FIREWALL } from '../firewall/commands.ts'
import type { FirewallConfig } from '../firewall/config.ts'
import { LAB } from './commands.ts'
import type { LabConfig } from './config.ts'
import { topologyOf, translationOf, way } from './plan.ts'

const FOLDER = new URL('../../examples/case-study/', import.meta.url)
const file = (name: string): string => readFileSync(new URL(name, FOLDER), 'utf8')

function read<C>(grammar: Grammar<C>, text: string, name: string): C {
  const { config, problems } = parse(grammar, text, name)
  assert.deepEqual(
    problems.filter(({ severity }) => severity === 'error'),
    [],
  )
  return config
}

const LAB_CONF = file('lab.conf')
const lab = (text = LAB_CONF): LabConfig => read(LAB, text, 'lab.conf')

function firewalls(b = file('firewall-b.conf')): ReadonlyMap<string, FirewallConfig> {
  return new Map([
    ['fw-a', read(FIREWALL, file('firewall-a.conf'), 'firewall-a.conf')],
    ['fw-b', read(FIREWALL, b, 'firewall-b.conf')],
  ])
}

function plan() {
  const known = firewalls()
  const { topology, problems } = topologyOf(lab(), known)
  assert.deepEqual(problems, [])
  const follow = (from: { readonly node: string; readonly port?: string }, destination: string) => {
    const found = way(topology, known, from, destination)
    if ('wrong' in found) return found.wrong
    return found.map(({ node, enters, leaves }) => [enters, node, leaves].filter(each => each !== undefined).join(' '))
  }
  return { topology, follow }
}

const without = (text: string, gone: string): string => {
  assert.ok(text.includes(gone), `the example has the line "${gone}"`)
  return text.replace(gone, '')
}

test('the case study describes six nodes, and every interface of its firewalls has an address', () => {
  const { topology } = plan()
  assert.deepEqual([...topology.nodes.keys()], ['mail-a', 'vpn-a', 'fw-a', 'fw-b', 'vpn-b', 'mail-b'])
  const ports = topology.nodes.get('fw-b')?.attachments.map(({ segment, port, ip }) => [segment, port, ip])
  assert.deepEqual(ports, [
    ['internet', 'outside', '192.0.2.2'],
    ['dmz-b', 'vpn', '10.54.250.1'],
    ['lan-b', 'inside', '10.54.7.1'],
  ])
})

test('a firewall routes as its own text says, and other nodes as the laboratory says', () => {
  const { topology } = plan()
  assert.deepEqual(topology.nodes.get('fw-b')?.routes, [
    { to: { ip: '0.0.0.0', mask: '0.0.0.0' }, via: { gateway: '192.0.2.1' } },
    { to: { ip: '10.53.0.0', mask: '255.255.0.0' }, via: { gateway: '10.54.250.2' } },
  ])
  assert.deepEqual(topology.nodes.get('vpn-a')?.routes, [
    { to: { ip: '10.54.0.0', mask: '255.255.0.0' }, via: { tunnel: 'vpn-b' } },
  ])
})

test('mail from A comes in at firewall B by vpn, and does not see firewall A', () => {
  assert.deepEqual(plan().follow({ node: 'mail-a' }, '10.54.7.10'), [
    'mail-a lan-a',
    'lan-a vpn-a tunnel',
    'tunnel vpn-b dmz-b',
    'vpn fw-b inside',
    'lan-b mail-b',
  ])
})

test('mail from B leaves firewall B by vpn', () => {
  assert.deepEqual(plan().follow({ node: 'mail-b' }, '10.53.7.203'), [
    'mail-b lan-b',
    'inside fw-b vpn',
    'dmz-b vpn-b tunnel',
    'tunnel vpn-a lan-a',
    'lan-a mail-a',
  ])
})

test('without the route to the concentrator, mail from A meets firewall A', () => {
  const known = firewalls()
  const text = without(LAB_CONF, 'route mail-a 10.54.0.0 255.255.0.0 gateway 10.53.7.2\n')
  const { topology } = topologyOf(lab(text), known)
  assert.deepEqual(way(topology, known, { node: 'mail-a' }, '10.54.7.10'), {
    wrong: 'fw-a has no route to 10.54.7.10',
  })
})

test('from outside, both servers have the addresses of their translations', () => {
  const { follow } = plan()
  const in_ = (node: string) => ({ node, port: 'outside' })
  assert.deepEqual(follow(in_('fw-a'), '198.51.100.10'), ['outside fw-a inside', 'lan-a mail-a'])
  assert.deepEqual(follow(in_('fw-b'), '192.0.2.10'), ['outside fw-b inside', 'lan-b mail-b'])
  // A neighbour on the internet finds them as well: the firewall answers for the address.
  assert.deepEqual(follow({ node: 'vpn-a' }, '198.51.100.10'), [
    'vpn-a internet',
    'outside fw-a inside',
    'lan-a mail-a',
  ])
})

test('a translation holds at its own interface, and an address that stays what it is is answered for by its owner', () => {
  const { answersFor, translate } = translationOf(firewalls())
  assert.equal(translate('fw-b', 'outside', '192.0.2.10'), '10.54.7.10')
  assert.equal(translate('fw-b', 'vpn', '192.0.2.10'), '192.0.2.10')
  assert.equal(translate('mail-b', 'lan-b', '192.0.2.10'), '192.0.2.10')
  assert.equal(answersFor('fw-b', 'outside', '192.0.2.10'), true)
  assert.equal(answersFor('fw-b', 'vpn', '10.54.7.10'), false)
  assert.equal(answersFor('fw-a', 'outside', '192.0.2.10'), false)
})

test('an interface without an address is a problem, with the place of the line that connects it', () => {
  const text = without(file('firewall-b.conf'), 'ip address vpn 10.54.250.1 255.255.255.0\n')
  const { topology, problems } = topologyOf(lab(), firewalls(text))
  const [problem, ...more] = problems
  assert.ok(problem?.at)
  assert.deepEqual(more, [])
  assert.equal(problem.severity, 'error')
  assert.equal(problem.message, 'fw-b has no interface "vpn" with an address')
  assert.equal(problem.hint, 'known: outside, inside, vpn')
  assert.equal(problem.at.text, 'connect fw-b   dmz-b    interface vpn')
  assert.equal(cite(problem.at), `lab.conf:${LAB_CONF.split('\n').indexOf(problem.at.text) + 1}`)
  // The others are connected all the same, so that every problem is found at once.
  assert.deepEqual(
    topology.nodes.get('fw-b')?.attachments.map(({ port }) => port),
    ['outside', 'inside'],
  )
})

test('an interface that nobody has is a problem, and so is one of a node that is no firewall', () => {
  const more = `${LAB_CONF}\nconnect fw-a lan-b interface dmz\nconnect mail-a lan-b interface eth0\n`
  const { problems } = topologyOf(lab(more), firewalls())
  assert.deepEqual(
    problems.map(({ message, hint, at }) => [message, hint, at?.text]),
    [
      [
        'mail-a has no interface "eth0" with an address',
        'only a firewall has named interfaces',
        'connect mail-a lan-b interface eth0',
      ],
      ['fw-a has no interface "dmz" with an address', 'known: outside, inside', 'connect fw-a lan-b interface dmz'],
    ],
  )
})
