import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import { runs } from '../base/any-bytes.test.ts'
import { type Connector, PLAIN, route, spacesOver } from './connector.ts'

const AT = { file: 'mta.conf', line: 1, column: 1, length: 1, text: '' }

function connector(name: string, cost: number, ...spaces: readonly (readonly [string, number])[]): Connector {
  return {
    ...PLAIN,
    kind: 'routing-group',
    name,
    groups: [name],
    cost,
    targets: [{ ip: '10.0.0.1', port: 25 }],
    isHeld: false,
    at: AT,
    spaces: spaces.map(([space, cost]) => ({ space, cost })),
  }
}

const way = (connectors: readonly Connector[], domain: string) => {
  const found = route({ connectors }, { local: 'bob', domain })
  return found.kind === 'relay' ? `${found.connector.name} ${found.cost}` : found.why
}

test('the most particular address space decides, whatever it costs', () => {
  const all = [
    connector('cheap', 1, ['*', 1]),
    connector('dear', 99, ['b.example', 99]),
    connector('wild', 1, ['*.b.example', 1]),
  ]
  assert.equal(way(all, 'b.example'), 'dear 198')
  assert.equal(way([...all, connector('later by name', 1, ['*', 1])], 'b.example'), 'dear 198')
  assert.equal(way(all, 'B.EXAMPLE'), 'dear 198')
  assert.equal(way(all, 'x.b.example'), 'wild 2')
  assert.equal(way(all, 'xb.example'), 'cheap 2')
  assert.equal(
    way([connector('dear', 1, ['b.example', 1])], 'c.example'),
    'no connector has an address space for c.example',
  )
})

test('of equals the cheaper one is taken, and of equally cheap ones the first by name', () => {
  const one = connector('b', 5, ['*', 1])
  assert.equal(way([connector('a', 9, ['*', 1]), one], 'x'), 'b 6')
  assert.equal(way([connector('c', 5, ['*', 1]), one], 'x'), 'b 6')
})

test('a wildcard needs a label before it: *.b.example is not b.example', () => {
  assert.deepEqual(spacesOver('b.example'), ['b.example', '*.example', '*'])
  assert.deepEqual(spacesOver('X.B.Example'), ['x.b.example', '*.b.example', '*.example', '*'])
})

test('the order in which connectors are written changes nothing', () => {
  const some = [
    connector('a', 3, ['*', 1]),
    connector('b', 2, ['*', 2], ['b.example', 9]),
    connector('c', 1, ['*.example', 3]),
  ]
  fc.assert(
    fc.property(
      fc.shuffledSubarray(some, { minLength: 3 }),
      fc.constantFrom('b.example', 'x.example', 'org'),
      (order, domain) => {
        assert.equal(way(order, domain), way(some, domain))
      },
    ),
    runs(100),
  )
})
