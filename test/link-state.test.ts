/** Routing state between running mail servers, over real sockets: what one learns moves the mail of the others. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { type Link, Sites, textOf } from './sites.ts'

/** A–B 10, B–C 10, A–C 50. */
const TRIANGLE: Readonly<Record<string, readonly Link[]>> = {
  A: [
    { to: 'B', cost: 10 },
    { to: 'C', cost: 50 },
  ],
  B: [
    { to: 'A', cost: 10 },
    { to: 'C', cost: 10 },
  ],
  C: [
    { to: 'A', cost: 50 },
    { to: 'B', cost: 10 },
  ],
}

function triangle(more: readonly string[]): Promise<Sites> {
  const names = Object.keys(TRIANGLE)
  return Sites.start(
    Object.fromEntries(Object.entries(TRIANGLE).map(([site, links]) => [site, textOf(site, links, names, more)])),
  )
}

for (const [form, more] of [
  ['what changed alone', []],
  ['the form of 2000', ['dialect exchange2000']],
] as const) {
  test(`three servers come in step, and mail goes round a connector that is down: ${form}`, async () => {
    const sites = await triangle(['route-by link-state', ...more])
    try {
      // Nobody was told of groups that are not its neighbours': A learns B–C from the network alone.
      await sites.until(
        'all have one digest',
        () => sites.digests().size === 1 && sites.way('A', 'C') === 'relay A B C 20',
      )
      await sites.send('A', 'C', 'up')
      await sites.until('it arrives', async () => (await sites.arrived('C', 'up')) !== undefined)
      assert.deepEqual(await sites.arrived('C', 'up'), ['mail.c.example', 'mail.b.example', 'mail.a.example'])

      sites.sever('BC')
      await sites.send('A', 'C', 'round')
      // It is at B before B knows, and comes back to A when B does.
      await sites.until('it arrives by A–C', async () => (await sites.arrived('C', 'round')) !== undefined)
      const hosts = (await sites.arrived('C', 'round')) ?? []
      assert.deepEqual(hosts.slice(0, 2), ['mail.c.example', 'mail.a.example'])
      await sites.until('the news is everywhere', () => sites.digests().size === 1)
      assert.equal(sites.way('A', 'C'), 'relay A C 50')

      sites.sever('AC')
      await sites.send('A', 'C', 'held')
      await sites.until('A knows', () => sites.way('A', 'C').startsWith('hold'))
      await sites.until('it waits', async () => (await sites.at('A').queue()).some(({ trail }) => trail.length > 1))
      sites.heal('BC')
      // The queue itself would try again in an hour.
      await sites.until('it is let go', async () => (await sites.arrived('C', 'held')) !== undefined)
      assert.deepEqual(await sites.arrived('C', 'held'), ['mail.c.example', 'mail.b.example', 'mail.a.example'])
      const isDelta = sites.spoken.some(line => line.includes(' VERSIONS '))
      assert.equal(isDelta, form === 'what changed alone')
    } finally {
      await sites.stop()
    }
  })
}

test('two servers come in step; mail that a cut stopped goes when the connector answers, and not by the clock', async () => {
  const sites = await Sites.start({
    A: textOf('A', [{ to: 'B', cost: 1 }], ['A', 'B'], []),
    B: textOf('B', [{ to: 'A', cost: 1 }], ['A', 'B'], []),
  })
  try {
    await sites.until('both have one digest', () => sites.digests().size === 1)
    sites.sever('AB')
    await sites.send('A', 'B', 'later')
    await sites.until('it failed', () => sites.notes.some(note => note.startsWith('A: connector A-B does not answer')))
    sites.heal('AB')
    await sites.until('it arrives', async () => (await sites.arrived('B', 'later')) !== undefined)
  } finally {
    await sites.stop()
  }
})

test('whoever is no link-state peer is not believed, and what it tells is not even read', async () => {
  const sites = await Sites.start({
    A: textOf('A', [{ to: 'B', cost: 1 }], ['A', 'B'], []),
    B: textOf('B', [{ to: 'A', cost: 1 }], ['A', 'B'], ['no link-state peer mail-A', 'link-state peer somebody']),
  })
  try {
    const refused = 'B: routing state with mail-A: it tells routing state, and no line makes it a link-state peer'
    await sites.until('B refuses A', () => sites.notes.includes(refused))
    await sites.until('A hears of it', () =>
      sites.notes.some(each => each.includes('504 5.5.4 X-LINK2STATE does not work here')),
    )
  } finally {
    await sites.stop()
  }
})
