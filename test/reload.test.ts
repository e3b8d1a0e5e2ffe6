/** What a mail server learned holds on when its file is read again, as far as the next hops are the same. */
import assert from 'node:assert/strict'
import { once } from 'node:events'
import net from 'node:net'
import { type TestContext, test } from 'node:test'
import { freePorts } from '../tools/bench/process.ts'
import { answering, handIn, relaying, run, until } from './mail-servers.ts'

/** A server that sends to one port, by default to one where nobody is, and whose file is about to be read again. */
async function sender(t: TestContext, to?: number) {
  // Both at once: one that is free again may be the next that is found.
  const [own = 0, nobody = 0] = await freePorts(2)
  const port = to ?? nobody
  const lines = (to: number, ...more: readonly string[]) => [
    ...relaying(own),
    'queue retry 1h',
    `connector B to B cost 1 target 127.0.0.1 port ${to}`,
    'address-space B smtp b.example',
    ...more,
  ]
  const relays = await run(lines(port))
  t.after(() => relays.stop())
  return {
    port,
    relays,
    reload: (to: number, ...more: readonly string[]) => relays.reload(lines(to, ...more)),
    /** Hands one in; what became of its first try. */
    async send(to: string): Promise<string> {
      const before = relays.tried.length
      await handIn(own, { from: 'alice@a.example', to })
      const found = () => relays.tried.slice(before).find(each => each.includes(to))
      await until(
        () => found() !== undefined,
        () => [...relays.notes, ...relays.tried].join('\n'),
      )
      return found() ?? ''
    },
  }
}

test('a next hop that was away is left alone after a reload as before, and who waited for it goes once it is back', async t => {
  // A wait that is over by chance would be none.
  t.mock.timers.enable({ apis: ['Date'], now: Date.now() })
  const { port, relays, reload, send } = await sender(t)
  assert.match(await send('bob@b.example'), /deferred: 4\.4\.1 .*refused the connection/)
  await reload(port, 'local-domain a.example')
  assert.match(await send('carol@b.example'), /not tried, for the next hop is away: .*refused the connection/)
  assert.equal(relays.notes.filter(each => each.includes('does not answer')).length, 1)
  const to = await answering({ port })
  t.after(() => to.close())
  relays.server.mta.askAnyway()
  assert.match(await send('dave@b.example'), /relayed/)
  await until(
    () => to.connections.flatMap(({ messages }) => messages).length === 3,
    () => relays.tried.join('\n'),
  )
  assert.ok(relays.notes.some(each => each.includes('answers again')))
})

test('of a next hop that is another now nothing is remembered: what waited goes by it at once', async t => {
  t.mock.timers.enable({ apis: ['Date'], now: Date.now() })
  const { relays, reload, send } = await sender(t)
  assert.match(await send('bob@b.example'), /deferred: 4\.4\.1 .*refused the connection/)
  const to = await answering()
  t.after(() => to.close())
  await reload(to.port)
  await until(
    () => relays.tried.some(each => /bob@b\.example> relayed/.test(each)),
    () => relays.tried.join('\n'),
  )
})

test('what did not work with a next hop is left out after a reload as before, and tried anew with another', async t => {
  const masked = {
    offers: ['CHUNKING'],
    answer: (line: string) => (/^(BDAT|Received|Subject|hello|\t|$)/.test(line) ? '500 5.3.3 What?' : undefined),
  }
  const [first, second] = [await answering(masked), await answering(masked)]
  for (const each of [first, second]) t.after(() => each.close())
  const { relays, reload, send } = await sender(t, first.port)
  const learned = () => relays.notes.filter(each => each.includes('trying again without BDAT')).length
  assert.match(await send('bob@b.example'), /relayed/)
  await reload(first.port, 'local-domain a.example')
  assert.match(await send('carol@b.example'), /relayed/)
  assert.equal(learned(), 1)
  await reload(second.port)
  assert.match(await send('dave@b.example'), /relayed/)
  assert.equal(learned(), 2)
})

test('what a session from before a reload finds out counts after it: the next hop takes mail, so who waited for it goes', async t => {
  t.mock.timers.enable({ apis: ['Date'], now: Date.now() })
  let finish: (() => void) | undefined
  let begun: (() => void) | undefined
  const isBegun = new Promise<void>(resolve => {
    begun = resolve
  })
  const held = net.createServer(socket => {
    socket.on('error', () => {})
    socket.write('220 b.example\r\n')
    socket.on('data', octets => {
      const said = octets.toString('latin1')
      if (said === 'DATA\r\n') socket.write('354 go\r\n')
      else if (said.endsWith('\r\n.\r\n')) {
        finish = () => socket.write('250 2.0.0 queued\r\n')
        begun?.()
      } else socket.write('250 ok\r\n')
    })
    t.after(() => socket.destroy())
  })
  held.listen(0, '127.0.0.1')
  await once(held, 'listening')
  const { port } = held.address() as net.AddressInfo
  const { reload, send, relays } = await sender(t, port)
  const first = send('bob@b.example')
  await isBegun
  // From now on nobody is there for others.
  held.close()
  await reload(port, 'local-domain a.example')
  assert.match(await send('carol@b.example'), /deferred: 4\.4\.1 .*refused the connection/)
  const to = await answering({ port })
  t.after(() => to.close())
  finish?.()
  assert.match(await first, /bob@b\.example> relayed/)
  await until(
    () => relays.tried.some(each => /carol@b\.example> relayed/.test(each)),
    () => relays.tried.join('\n'),
  )
})
