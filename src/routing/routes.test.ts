import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import { runs } from '../base/any-bytes.test.ts'
import type { Mailbox } from '../smtp/address.ts'
import { connectorState, groupState, guid } from './any-table.test.ts'
import { backOff, shared } from './fan-out.ts'
import { type ConnectorState, type Guid, type LinkStateTable, tableOf } from './link-state.ts'
import { nameOf } from './master.ts'
import { type Leg, type Letter, type Policy, type Route, type RoutesOptions, sayDropped } from './route.ts'
import { Routes } from './routes.ts'
import { ALWAYS, parseSchedule } from './schedule.ts'

const LETTERS = 'ABCDEF'
const group = (name: string): Guid => guid('a', LETTERS.indexOf(name) + 1)
const named = (of: Guid): string => LETTERS[Number.parseInt(of.slice(-2), 16) - 1] ?? '?'
const NAMES = new Map([...LETTERS].map(name => [group(name), name]))
const to = (domain: string): Mailbox => ({ local: 'u', domain })

/** `A-B 10`: a connector of A to B; `A:*.x.example 5`: an address space at A. `!` before it: down. */
function tableFrom(...lines: readonly string[]): LinkStateTable {
  const connectors = new Map<string, ConnectorState[]>([...LETTERS].map(name => [name, []]))
  for (const [i, line] of lines.entries()) {
    const [what = '', cost = '1'] = line.replace(/^!/, '').split(' ')
    const [from = '', space] = what.split(':')
    const [near = '', far = ''] = from.split('-')
    const arrow =
      space === undefined
        ? { type: 'RG', value: group(far), cost: Number(cost) }
        : { type: 'SMTP', value: space, cost: Number(cost) }
    connectors.get(near)?.push(
      connectorState(guid('c', i), '*', {
        dn: `/cn=Connections/cn=${what}`,
        arrows: [arrow],
        state: line.startsWith('!') ? 'down' : 'up',
        targets: space === undefined ? [{ server: guid('b', 1), available: true, fqdn: `${far}.example` }] : [],
      }),
    )
  }
  return tableOf([...connectors].map(([name, mine]) => groupState(group(name), { connectors: mine })))
}

const BASE: RoutesOptions = {
  group: group('A'),
  server: guid('b', 1),
  method: 'link-state',
  reroute: 'link-state',
  names: NAMES,
}
const LEAST: Partial<RoutesOptions> = { method: 'least-cost', reroute: 'never' }

function routes(table: LinkStateTable, more: Partial<RoutesOptions> = {}): Routes {
  return new Routes(table, { ...BASE, ...more })
}

/** `relay A B C 20, tries C B`. */
function said(route: Route): string {
  if (route.kind === 'unreachable') return `${route.status} ${route.why}`
  const tries = route.tries.map(({ group }) => named(group)).join(' ')
  return `${route.kind} ${route.path.map(named).join(' ')} ${route.cost}${tries === '' ? '' : `, tries ${tries}`}`
}

const way = (table: LinkStateTable, domain: string, more: Partial<RoutesOptions> = {}): string =>
  said(routes(table, more).route({ to: to(domain) }, 0))

/** The topology of four sites: A–B 10, B–C 10, A–D 15, D–C 10, and c.example at C. */
const FOUR = ['A-B 10', 'B-A 10', 'B-C 10', 'C-B 10', 'A-D 15', 'D-A 15', 'D-C 10', 'C-D 10', 'C:c.example 0']
const four = (...down: readonly string[]): LinkStateTable =>
  tableFrom(...FOUR.map(line => (down.some(each => line.startsWith(each)) ? `!${line}` : line)))

test('four sites: the cheapest way while all is up, round the break, and what happens where no way is left', () => {
  assert.equal(way(four(), 'c.example'), 'relay A B C 20, tries B')
  assert.equal(way(four('B-C'), 'c.example'), 'relay A D C 25, tries D')
  assert.equal(way(four('B-C', 'D-C'), 'c.example'), 'hold A B C 20, tries B')
  // By cost alone nothing is rerouted: straight to C, else as far as B, where it waits at the break.
  assert.equal(way(four(), 'c.example', LEAST), 'relay A B C 20, tries C B')
  assert.equal(way(four('B-C', 'D-C'), 'c.example', LEAST), 'relay A B C 20, tries C B')
  assert.equal(way(four('A-B'), 'c.example', LEAST), 'relay A B C 20, tries C B')
})

test('the most specific space decides whatever it costs, and also while nobody can be reached by it', () => {
  const lines = ['A-B 10', 'A-D 15', 'B:* 10', 'D:*.x.example 90']
  assert.equal(way(tableFrom(...lines), 'mail.x.example'), 'relay A D 105, tries D')
  assert.equal(
    way(tableFrom('A-B 10', '!A-D 15', 'B:* 10', 'D:*.x.example 90'), 'mail.x.example'),
    'hold A D 105, tries D',
  )
  assert.equal(
    way(tableFrom('A-B 10', 'A-D 15', 'B:* 10', '!D:*.x.example 90'), 'mail.x.example'),
    'hold A D 105, tries D',
  )
  assert.equal(way(tableFrom(...lines), 'x.example'), 'relay A B 20, tries B')
  assert.equal(way(tableFrom(...lines), 'MAIL.X.EXAMPLE'), 'relay A D 105, tries D')
  assert.equal(
    way(tableFrom('A-B 1', 'B:x.example 1'), 'y.example'),
    '5.4.4 no connector has an address space for y.example',
  )
  assert.match(way(tableFrom('B:x.example 1'), 'x.example'), /^4\.4\.4 .*no open way leads there/)
})

test('when another way is taken is a choice of its own: never, after this server’s own retries, or by the table', () => {
  const failed = new Set([guid('c', 0)])
  const at = (reroute: RoutesOptions['reroute'], down: readonly string[], failed?: ReadonlySet<Guid>) =>
    way(four(...down), 'c.example', { method: 'least-cost', reroute, ...(failed && { failed }) })
  assert.equal(at('never', ['A-B'], failed), 'relay A B C 20, tries C B')
  assert.equal(at('after-glitch', ['A-B']), 'relay A B C 20, tries C B')
  assert.equal(at('after-glitch', [], failed), 'relay A D C 25, tries C D')
  assert.equal(at('link-state', ['A-B']), 'relay A D C 25, tries C D')
  const live = routes(four(), { method: 'least-cost', reroute: 'after-glitch' })
  live.route({ to: to('c.example') }, 0)
  live.fail(failed)
  assert.equal(said(live.route({ to: to('c.example') }, 0)), 'relay A D C 25, tries C D')
  live.fail(new Set())
  assert.equal(said(live.route({ to: to('c.example') }, 0)), 'relay A B C 20, tries C B')
})

test('a hub on the way is not skipped', () => {
  const table = tableFrom('A-B 1', 'B-C 1', 'C-D 1', 'D:d.example 0')
  assert.equal(way(table, 'd.example', LEAST), 'relay A B C D 3, tries D C B')
  assert.equal(way(table, 'd.example', { ...LEAST, hubs: new Set([group('C')]) }), 'relay A B C D 3, tries C B')
})

test('ties: fewer groups, then the group that comes first by name, compared from the target back, then the connector', () => {
  assert.equal(way(tableFrom('A-B 1', 'B-C 1', 'A-C 2', 'C:c.example 0'), 'c.example'), 'relay A C 2, tries C')
  const diamond = tableFrom('A-C 1', 'C-D 1', 'A-B 1', 'B-D 1', 'D:d.example 0')
  assert.equal(way(diamond, 'd.example'), 'relay A B D 2, tries B')
  const other = new Map([...NAMES].map(([of, name]) => [of, name === 'B' ? 'Z' : name]))
  assert.equal(way(diamond, 'd.example', { names: other }), 'relay A C D 2, tries C')
  const { candidates } = routes(tableFrom('A:x.example 1', 'A:x.example 1', 'A:x.example 2')).explain(
    { to: to('x.example') },
    0,
  )
  assert.deepEqual(
    candidates.map(({ dropped }) => dropped?.kind),
    [undefined, 'later-by-name', 'dearer'],
  )
})

/** The same table, with more said of one connector. */
function having(table: LinkStateTable, name: string, more: Partial<ConnectorState>): LinkStateTable {
  const change = (each: ConnectorState) => (nameOf(each) === name ? { ...each, ...more } : each)
  return table.map(state => ({ ...state, connectors: state.connectors.map(change) }))
}

test('a connector that does not take a letter is no way for it, wherever it stands', () => {
  const narrow = having(four(), 'B-C', { sizeLimit: 1000 })
  const letter = (more: Partial<Letter>): Letter => ({ to: to('c.example'), ...more })
  for (const method of [{}, LEAST]) {
    const all = routes(narrow, method)
    assert.match(said(all.route(letter({ size: 1000 }), 0)), /^relay A B C 20/)
    assert.match(said(all.route(letter({ size: 1001 }), 0)), /^relay A D C 25/)
    assert.match(said(all.route(letter({}), 0)), /^relay A B C 20/)
  }
  const strict = having(four(), 'B-C', { restrictions: [[], ['eve@a.example', 'CN=Eve,DC=a'], [], []] })
  const from = (local: string) => letter({ from: { local, domain: 'a.example' } })
  assert.match(said(routes(strict).route(from('EVE'), 0)), /^relay A D C/)
  assert.match(said(routes(strict).route(from('bob'), 0)), /^relay A B C/)
  const closed = having(four(), 'C:c.example', { restrictions: [['bob@a.example'], [], [], []] })
  assert.equal(said(routes(closed).route(from('eve'), 0)), '5.7.1 C:c.example: does not take mail from this sender')
  assert.equal(said(routes(closed).route({ ...letter({}), from: null }, 0)).slice(0, 5), '5.7.1')
  const small = having(four(), 'C:c.example', { sizeLimit: 10 })
  assert.equal(said(routes(small).route(letter({ size: 11 }), 0)), '5.3.4 C:c.example: takes 10 octets at most')
})

const policy = (more: Partial<Policy>): Policy => ({ refuses: new Set(), schedule: ALWAYS, isHeld: false, ...more })

test('priorities, schedules and TURN are the configuration’s, and only the first connector makes mail wait', () => {
  const letter: Letter = { to: to('c.example') }
  const withPolicy = (more: Partial<Policy>) => routes(four(), { policies: new Map([[guid('c', 0), policy(more)]]) })
  assert.equal(
    said(withPolicy({ refuses: new Set(['low']) }).route({ ...letter, priority: 'low' }, 0)),
    'relay A D C 25, tries D',
  )
  assert.equal(said(withPolicy({ refuses: new Set(['low']) }).route(letter, 0)), 'relay A B C 20, tries B')
  assert.match(
    said(withPolicy({ refuses: new Set(['system']) }).route({ ...letter, isSystem: true }, 0)),
    /^relay A D C/,
  )

  const night = parseSchedule('sun-sat 22:00-24:00')
  const noon = 12 * 3_600_000
  assert.ok('kind' in night)
  const waits = (route: Route) => (route.kind === 'relay' ? route.waits : undefined)
  assert.deepEqual(waits(withPolicy({ schedule: night }).route(letter, noon)), { until: 22 * 3_600_000 })
  assert.equal(waits(withPolicy({ schedule: night }).route(letter, 23 * 3_600_000)), undefined)
  const large = withPolicy({ oversize: { over: 1_000_000, schedule: night } })
  assert.equal(waits(large.route({ ...letter, size: 1_000_000 }, noon)), undefined)
  assert.deepEqual(waits(large.route({ ...letter, size: 1_000_001 }, noon)), { until: 22 * 3_600_000 })
  assert.deepEqual(waits(withPolicy({ isHeld: true }).route(letter, noon)), { until: undefined })
})

test('a connector that other servers of the group hold is reached through them, those that can first', () => {
  const end = (server: number, available: boolean) => ({
    server: guid('b', server),
    available,
    fqdn: `s${server}.example`,
  })
  const table = having(four(), 'A-B', { bridgeheads: [end(7, false), end(8, true)] })
  const through = (server: number) => {
    const found = routes(table, { server: guid('b', server) }).route({ to: to('c.example') }, 0)
    return found.kind === 'relay' ? found.bridgeheads : undefined
  }
  assert.deepEqual(through(1), ['s8.example', 's7.example'])
  assert.deepEqual(through(8), [])
})

test('an explanation names every candidate and why it was dropped', () => {
  const lines = ['A-B 10', 'A-D 15', 'B:c.example 10', 'D:c.example 10', '!A:c.example 1', 'E:c.example 1', 'A:* 1']
  const { candidates, route } = routes(tableFrom(...lines)).explain({ to: to('c.example') }, 0)
  assert.equal(said(route), 'relay A B 20, tries B')
  assert.deepEqual(
    candidates.map(
      ({ connector, path, cost, dropped }) =>
        `${nameOf(connector)} ${path.map(named).join('')} ${cost} ${sayDropped(dropped)}`,
    ),
    [
      'B:c.example AB 20 taken',
      'A:c.example A 1 is down',
      'D:c.example AD 25 costs more than B:c.example',
      'E:c.example  Infinity no open way leads there',
      'A:* A 1 less specific than c.example, which decides whatever it costs',
    ],
  )
})

const hop = (name: string): Leg => {
  const found = routes(four()).route({ to: to('c.example') }, 0)
  assert.ok(found.kind === 'relay')
  return { group: group(name), connector: found.connector, targets: [] }
}
const letters = (hops: readonly Leg[]) => hops.map(({ group }) => named(group)).join('')

test('one copy goes as far as the ways are the same', () => {
  const ways = ['BCD', 'BCE', 'BC', 'F', ''].map(way => [...way].map(hop))
  const with1 = ways.map(way => letters(shared(ways[0] ?? [], way)))
  assert.deepEqual(with1, ['BCD', 'BC', 'BC', '', ''])
})

test('straight to the last group, and back along the way: a group at a time, from afar by halves, never past a hub', () => {
  const back = (way: string, hubs = '') => letters(backOff([...way].map(hop), new Set([...hubs].map(group))))
  assert.deepEqual(
    ['', 'B', 'BCDE', 'BCDEF'].map(way => back(way)),
    ['', 'B', 'EDCB', 'FCB'],
  )
  assert.equal(back('BCDEF', 'D'), 'DCB')
})

const anyLines = fc.array(
  fc
    .tuple(fc.boolean(), fc.nat(5), fc.nat(5), fc.integer({ min: 1, max: 3 }))
    .map(([isDown, a, b, cost]) => `${isDown ? '!' : ''}${LETTERS[a]}-${LETTERS[b]} ${cost}`),
  { maxLength: 20 },
)

test('no route uses a connector that is down, and a letter handed on from group to group arrives over the path it was told', () => {
  fc.assert(
    fc.property(anyLines, fc.constantFrom('link-state', 'least-cost'), (lines, method) => {
      const table = tableFrom(...lines, 'F:f.example 1')
      const reroute = method === 'link-state' ? 'link-state' : 'never'
      let at = 'A'
      let promised: readonly Guid[] | undefined
      for (let hops = 0; at !== 'F'; hops++) {
        assert.ok(hops < LETTERS.length, 'it loops')
        const { kind, ...found } = routes(table, { group: group(at), method, reroute }).route(
          { to: to('f.example') },
          0,
        )
        if (kind !== 'relay') {
          assert.equal(promised, undefined)
          return
        }
        assert.ok('path' in found)
        if (method === 'link-state') assert.equal(found.connector.state, 'up')
        if (promised) assert.deepEqual(found.path, promised)
        promised = found.path.slice(1)
        at = named(found.path[1] ?? '')
      }
    }),
    runs(500),
  )
})

test('whomever a letter handed on directly reaches or does not, it comes nearer to its end, or waits', () => {
  const anyReach = fc.array(fc.boolean(), { minLength: 36, maxLength: 36 })
  fc.assert(
    fc.property(anyLines, anyReach, (lines, reach) => {
      const table = tableFrom(...lines, 'F:f.example 1')
      let at = 'A'
      let left: readonly Guid[] | undefined
      while (at !== 'F') {
        const found = routes(table, { ...LEAST, group: group(at) }).route({ to: to('f.example') }, 0)
        if (found.kind !== 'relay') return assert.equal(left, undefined)
        // Its way is what was left of the way before.
        if (left) assert.deepEqual(found.path, left)
        const next = found.tries.find(({ group: to }) => reach[6 * LETTERS.indexOf(at) + LETTERS.indexOf(named(to))])
        // Nobody of them is reached: here is the break.
        if (!next) return
        left = found.path.slice(found.path.indexOf(next.group))
        assert.ok(left.length > 0 && left.length < found.path.length)
        at = named(next.group)
      }
    }),
    runs(500),
  )
})

test('a table that is taken over gives the routes of one that is made anew', () => {
  const anyFlips = fc.array(fc.array(fc.nat(19), { maxLength: 3 }), { maxLength: 6 })
  fc.assert(
    fc.property(anyLines, anyFlips, fc.boolean(), (lines, flips, isNarrow) => {
      const make = (lines: readonly string[]) => {
        const table = tableFrom(...lines, 'F:f.example 1', 'F:* 1', 'C:* 1')
        return isNarrow ? having(table, 'B-C', { sizeLimit: 5 }) : table
      }
      let now: readonly string[] = lines
      const live = routes(make(now))
      for (const flip of flips) {
        now = now.map((line, i) => (!flip.includes(i) ? line : line.startsWith('!') ? line.slice(1) : `!${line}`))
        live.update(make(now))
        const anew = routes(make(now))
        for (const letter of [{ to: to('f.example') }, { to: to('x.example'), size: 9 }]) {
          assert.deepEqual(live.explain(letter, 0), anew.explain(letter, 0))
        }
      }
      live.update(make([]))
      assert.deepEqual(live.explain({ to: to('f.example') }, 0), routes(make([])).explain({ to: to('f.example') }, 0))
    }),
    runs(300),
  )
})
