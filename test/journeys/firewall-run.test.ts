/** `./postern firewall run FILE`: a firewall of its own before a server, as somebody would try it first. */
import assert from 'node:assert/strict'
import { once } from 'node:events'
import { test } from 'node:test'
import { configuration, eventually, freePort, gateway, quoting, start } from './gateway.ts'
import { postern, Talk } from './postern.ts'

test('it listens where the text says, inspects, says what it altered, and ends when asked', async t => {
  const [port, { port: server }] = [await freePort(), await quoting(t)]
  const { child, said } = await start(t, configuration(t, gateway(port, server)))
  const talk = await Talk.to(`127.0.0.1:${port}`)
  assert.equal(await talk.hear(), '220 ******************\r\n')
  assert.equal(await talk.ask('EHLO client.example'), '500 5.5.1 Command unrecognized: "XXXX client.example"\r\n')
  assert.equal(await talk.ask('HELO client.example'), '250 mail.example\r\n')
  talk.close()
  child.kill('SIGTERM')
  const [status] = (await once(child, 'exit')) as [number]
  assert.equal(status, 0)
  assert.match(said(), /altered command EHLO of 127\.0\.0\.1 because of \S+gateway\.conf:3: fixup protocol smtp \d+/)
})

test('who is not let in is reset, hears nothing, and the reason is said', async t => {
  const [port, { port: server }] = [await freePort(), await quoting(t)]
  const lines = gateway(port, server).map(line => line.replace('permit tcp any', 'deny tcp any'))
  const { said } = await start(t, configuration(t, lines))
  // The reset may come before the caller knows that it was connected.
  const heard = await Talk.to(`127.0.0.1:${port}`).then(
    talk => talk.hear(),
    () => '',
  )
  assert.equal(heard, '')
  const refused = /refused 127\.0\.0\.1 to 127\.0\.0\.1 port \d+: access list mail denies it/
  // The reset leaves at once, what is said with all that was said in the same turn.
  await eventually(() => refused.test(said()))
})

test('with no server behind it, a caller is reset and the firewall lives on', async t => {
  const [port, server] = [await freePort(), await freePort()]
  await start(t, configuration(t, gateway(port, server)))
  for (let i = 0; i < 3; i++) {
    const heard = await Talk.to(`127.0.0.1:${port}`).then(
      talk => talk.hear(),
      () => '',
    )
    assert.equal(heard, '')
  }
})

test('a port in use is said with the line that asks for it, and the status is 2', async t => {
  const { port: server } = await quoting(t)
  const { status, err } = await postern(['firewall', 'run', configuration(t, gateway(server, server))])
  assert.equal(status, 2)
  assert.match(err, /gateway\.conf:5:1: error: cannot listen at 127\.0\.0\.1:\d+: the port is in use\n {3}static/)
})

test('a text with mistakes is refused with all of them, and one that listens nowhere with the line that is missing', async t => {
  const wrong = configuration(t, ['nameif ethernet0 outside security101', 'fixup protocol smtp 0', 'bogus'])
  const { status, err } = await postern(['firewall', 'run', wrong])
  assert.equal(status, 2)
  assert.deepEqual(
    [...err.matchAll(/gateway\.conf:(\d+:\d+): error/g)].map(([, at]) => at),
    ['1:26', '2:21', '3:1'],
  )
  const nowhere = await postern(['firewall', 'run', configuration(t, ['nameif ethernet0 outside security0'])])
  assert.equal(nowhere.status, 2)
  assert.match(nowhere.err, /says nowhere where to listen; add a line such as: static /)
})
