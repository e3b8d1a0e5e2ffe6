/** Least cost as Exchange 2007 has it, over real sockets: straight there, back to the break, one copy to the fork. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { Sites, textOf } from './sites.ts'

/** A–B, B–C, B–D: what A knows of all of them, its configuration tells. */
const NAMES = ['A', 'B', 'C', 'D'] as const
const LINKS = { A: ['B'], B: ['A', 'C', 'D'], C: ['B'], D: ['B'] } as const

function star(more: readonly string[] = []): Promise<Sites> {
  const low = (site: string) => site.toLowerCase()
  const texts = NAMES.map(site => {
    const elsewhere = NAMES.filter(each => each !== site).flatMap(from =>
      LINKS[from].filter(to => to !== site).map(to => `connector ${from}-${to} from ${from} to ${to} cost 1`),
    )
    const members = NAMES.map(
      (each, i) => `group-member ${each} mail.${low(each)}.example address 10.0.0.${i + 1} master`,
    )
    const domains = NAMES.map(each => `group-domain ${each} ${low(each)}.example`)
    const links = LINKS[site].map(to => ({ to, cost: 1 }))
    const lines = [
      ...elsewhere,
      ...members,
      ...domains,
      ...NAMES.map(each => `no link-state peer mail-${each}`),
      ...more,
    ]
    return [site, textOf(site, links, NAMES, lines)] as const
  })
  return Sites.start(Object.fromEntries(texts))
}

const hosts = (...sites: readonly string[]): readonly string[] =>
  sites.map(site => `mail.${site.toLowerCase()}.example`)

test('straight to the last group; where that is not reached, to the one before, and there it waits', async () => {
  const sites = await star()
  try {
    assert.equal(sites.way('A', 'C'), 'relay A B C 2')
    await sites.send('A', 'C', 'straight')
    await sites.until('it arrives', async () => (await sites.arrived('C', 'straight')) !== undefined)
    assert.deepEqual(await sites.arrived('C', 'straight'), hosts('C', 'A'))

    sites.sever('AC')
    await sites.send('A', 'C', 'by B')
    await sites.until('it arrives', async () => (await sites.arrived('C', 'by B')) !== undefined)
    assert.deepEqual(await sites.arrived('C', 'by B'), hosts('C', 'B', 'A'))

    sites.sever('BC')
    await sites.send('A', 'C', 'waits')
    await sites.until('it waits at the break', async () => (await sites.at('B').queue()).length === 1)
    await sites.until('and not before it', async () => (await sites.at('A').queue()).length === 0)
    // No connector of A failed: that C cannot be reached directly says nothing of the way to B.
    assert.ok(!sites.notes.some(note => note.startsWith('A: connector')), sites.notes.join('\n'))
    sites.heal('BC')
    await sites.until('it is let go', async () => (await sites.arrived('C', 'waits')) !== undefined)
    assert.deepEqual(await sites.arrived('C', 'waits'), hosts('C', 'B', 'A'))
  } finally {
    await sites.stop()
  }
})

test('for two sites one copy goes to where their ways part', async () => {
  const sites = await star()
  try {
    await sites.send('A', ['C', 'D'], 'both')
    for (const site of ['C', 'D']) {
      await sites.until(`it arrives at ${site}`, async () => (await sites.arrived(site, 'both')) !== undefined)
      assert.deepEqual(await sites.arrived(site, 'both'), hosts(site, 'B', 'A'))
    }
    const sent = (from: string) =>
      sites.spoken.filter(line => line.startsWith(`${from} `) && line.includes(' out C: MAIL'))
    assert.deepEqual([sent('A').length, sent('B').length], [1, 2])
  } finally {
    await sites.stop()
  }
})

test('a hub on the way is not passed, and mail by link state goes a group at a time', async () => {
  for (const more of ['group-hub B', 'route-by link-state']) {
    const sites = await star([more])
    try {
      await sites.send('A', 'C', 'by the hub')
      await sites.until('it arrives', async () => (await sites.arrived('C', 'by the hub')) !== undefined)
      assert.deepEqual(await sites.arrived('C', 'by the hub'), hosts('C', 'B', 'A'), more)
    } finally {
      await sites.stop()
    }
  }
})

test('two tables that disagree are a loop: it ends with 5.4.6, and the alarm shows what they disagree about', async () => {
  // A believes that B leads on to C, and B that A does.
  const sites = await Sites.start({
    A: textOf(
      'A',
      [{ to: 'B', cost: 1 }],
      ['A', 'B'],
      [
        'no link-state peer mail-B',
        'connector B-C from B to C cost 1',
        'group-domain A a.example',
        'group-domain C c.example',
        'limit hops 5',
      ],
    ),
    B: textOf(
      'B',
      [{ to: 'A', cost: 1 }],
      ['A', 'B'],
      [
        'no link-state peer mail-A',
        'connector A-C from A to C cost 1',
        'group-domain A a.example',
        'group-domain C c.example',
        'limit hops 6',
      ],
    ),
  })
  try {
    await sites.send('A', 'C', 'round and round')
    await sites.until('somebody ends it', () =>
      sites.notes.some(note => note.includes('alarm: mail for user@c.example')),
    )
    const [alarm = ''] = sites.notes.filter(note => note.includes('alarm'))
    const digest = (site: string) => sites.at(site).routing.service.engine.digest
    const [a, b] = [`mail.a.example (digest ${digest('A')})`, `mail.b.example (digest ${digest('B')})`]
    assert.ok(
      alarm.startsWith('A: ') && alarm.includes(`the way is A > B > C; the tables of ${a} and ${b} disagree; `),
      alarm,
    )
    // As `linkstate diff` shows it: each knows its own group better than the other does.
    assert.match(alarm, /; A {2}1\.0\.0 \/ 0\.0\.0 {2}the second is behind/)
    assert.match(alarm, /; B {2}0\.0\.0 \/ 1\.0\.0 {2}the first is behind/)
    // Who wrote it is told.
    await sites.until('the sender hears of it', async () => (await sites.report('A'))?.includes('5.4.6') === true)
  } finally {
    await sites.stop()
  }
})
