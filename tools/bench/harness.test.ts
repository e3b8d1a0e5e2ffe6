import assert from 'node:assert/strict'
import { test } from 'node:test'
import { parsePlan } from '../peers.ts'
import {
  alternate,
  figure,
  type Metric,
  median,
  pairedRatios,
  print,
  type Report,
  ratio,
  ratios,
  rows,
  spread,
  table,
} from './harness.ts'
import { parseStat, tree } from './process.ts'

const CPU: Metric = { name: 'cpu', unit: 's/10k', better: 'less' }
const RATE: Metric = { name: 'rate', unit: 'msg/s', better: 'more' }
const WALL: Metric = { name: 'wall', unit: 's' }

const REPORT: Report = {
  metrics: [CPU, RATE, WALL],
  ours: ['postern-pix'],
  peers: ['nginx'],
  versions: ['nginx 1.22.1'],
  cases: [
    {
      name: 'kept',
      title: 'kept connections',
      samples: new Map([
        [
          'postern-pix',
          [
            { cpu: 2, rate: 300, wall: 1 },
            { cpu: 4, rate: 100, wall: 3 },
            { cpu: 3, rate: 200, wall: 2 },
          ],
        ],
        [
          'nginx',
          [
            { cpu: 1, rate: 600, wall: 1 },
            { cpu: 4, rate: 100, wall: 1 },
            { cpu: 6, rate: 100, wall: 1 },
          ],
        ],
        [
          'direct',
          [
            { rate: 900, wall: 1 },
            { rate: 900, wall: 1 },
            { rate: 900, wall: 1 },
          ],
        ],
      ]),
    },
  ],
}

test('median() is the middle value, whatever the order, or the mean of the two in the middle', () => {
  assert.equal(median([10, 9, 100]), 10)
  assert.equal(median([4, 1, 3, 2]), 2.5)
  assert.throws(() => median([]), /no median of no values/)
})

test('spread() adds the smallest and the largest', () => {
  assert.deepEqual(spread([3, 1, 2]), { median: 2, min: 1, max: 3 })
})

test('ratio() is above 1 where ours is cheaper or faster', () => {
  assert.equal(ratio(1, 2, 'less'), 2)
  assert.equal(ratio(1, 2, 'more'), 0.5)
})

test('ratio() refuses what was too short to measure', () => {
  assert.throws(() => ratio(0, 1, 'less'), /too short to measure/)
})

test('pairedRatios() compares within a round, and only what has a better way', () => {
  const [ours, nginx, direct] = ['postern-pix', 'nginx', 'direct'].map(name => REPORT.cases[0]?.samples.get(name) ?? [])
  assert.deepEqual(pairedRatios(ours ?? [], nginx ?? [], CPU), [0.5, 1, 2])
  assert.deepEqual(pairedRatios(ours ?? [], nginx ?? [], WALL), [])
  assert.deepEqual(pairedRatios(ours ?? [], direct ?? [], CPU), [])
})

test('alternate() lets the subjects take turns', async () => {
  const turns: string[] = []
  const samples = await alternate(['a', 'b'], 2, async (subject, round) => {
    turns.push(`${subject}${round}`)
    return { cpu: turns.length }
  })
  assert.deepEqual(turns, ['a1', 'b1', 'a2', 'b2'])
  assert.deepEqual(samples.get('b'), [{ cpu: 2 }, { cpu: 4 }])
})

test('rows() gives the median of all that was measured, and leaves out what was not', () => {
  const found = rows(REPORT)
  assert.deepEqual(found[0], { case: 'kept', subject: 'postern-pix', metric: 'cpu', value: 3, unit: 's/10k' })
  assert.deepEqual(
    found.filter(({ subject }) => subject === 'direct').map(({ metric }) => metric),
    ['rate', 'wall'],
  )
})

test('ratios() names ours, the peer, the case and the metric', () => {
  assert.deepEqual(ratios(REPORT), { 'postern-pix/nginx kept cpu': 1, 'postern-pix/nginx kept rate': 1 })
})

test('print() shows each case with its figures and ratios', () => {
  const shown = print(REPORT).split('\n')
  assert.ok(shown.includes('kept: kept connections; 3 rounds, median (least–most)'))
  assert.ok(shown.some(line => /^ {2}direct +– +900 \(900–900\) +1\.00 \(1\.00–1\.00\)$/.test(line)))
  assert.ok(shown.some(line => /^ {2}postern-pix\/nginx +1\.00 \(0\.500–2\.00\) /.test(line)))
})

test('table() lines up the first column to the left and the others to the right', () => {
  assert.equal(
    table([
      ['', 'cpu'],
      ['nginx', '1'],
      ['x', '22.5'],
    ]),
    '           cpu\n  nginx      1\n  x       22.5',
  )
})

test('figure() keeps three digits that count', () => {
  assert.deepEqual([0.01234, 4.567, 99.94, 12345.6].map(figure), ['0.0123', '4.57', '99.9', '12,346'])
})

test('parseStat() finds parent and ticks behind a name with blanks and parentheses', () => {
  const line = '4273 (smtp) sink (1) S 4271 4271 4271 0 -1 4194560 253 7 0 0 31 204 5 6 20 0 1 0 8872 5304320 812'
  assert.deepEqual(parseStat(line), { parent: 4271, ticks: 31 + 204 + 5 + 6 })
})

test('parseStat() refuses another file', () => {
  assert.throws(() => parseStat('rchar: 303875292'), /not a \/proc stat line/)
})

test('tree() finds the children of children, and nobody else', () => {
  const parents = new Map([
    [10, 1],
    [11, 10],
    [12, 11],
    [13, 1],
    [14, 13],
  ])
  assert.deepEqual(tree(10, parents), [10, 11, 12])
})

test('parsePlan() reads what apt would install, except another C library', () => {
  const plan = [
    'Inst libc6 [2.36-9+deb12u13] (2.36-9+deb12u14 Debian:12.15/oldstable [amd64])',
    'Inst exim4-config (4.96-15+deb12u10 Debian:12.15/oldstable, Debian-Security:12/oldstable-security [all])',
    'Inst dovecot-core [1:2.3.18] (1:2.3.19.1+dfsg1-2.1+deb12u7 Debian:12.15/oldstable [amd64]) []',
    'Conf dovecot-core (1:2.3.19.1+dfsg1-2.1+deb12u7 Debian:12.15/oldstable [amd64])',
  ]
  assert.deepEqual(parsePlan(plan.join('\n')), [
    { name: 'exim4-config', version: '4.96-15+deb12u10', architecture: 'all' },
    { name: 'dovecot-core', version: '1:2.3.19.1+dfsg1-2.1+deb12u7', architecture: 'amd64' },
  ])
})
