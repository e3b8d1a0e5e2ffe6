/** The gateway by itself, on loopback: doors that open, cannot open and move, and what a stop does to whoever waits. */
import assert from 'node:assert/strict'
import net from 'node:net'
import { test } from 'node:test'
import type { Door } from '../src/app/doors.ts'
import { Gateway } from '../src/app/gateway.ts'
import { parse } from '../src/config/parse.ts'
import { FIREWALL } from '../src/firewall/commands.ts'
import type { FirewallConfig } from '../src/firewall/config.ts'
import type { GatewayEvent } from '../src/firewall/event.ts'
import { dial } from '../src/io/sockets.ts'
import { type After, eventually, freePort, quoting } from './journeys/gateway.ts'
import { Talk } from './journeys/postern.ts'

function read(...lines: readonly string[]): FirewallConfig {
  const base = ['nameif ethernet0 outside security0', 'nameif ethernet1 inside security100']
  const list = ['access-list mail permit tcp any any', 'access-group mail in interface outside']
  const { config, problems } = parse(FIREWALL, [...base, ...list, ...lines, ''].join('\n'), 'gw.conf')
  assert.deepEqual(problems, [])
  return config
}

const line = (port: number, server: number, limits = '') =>
  `static (inside,outside) tcp 127.0.0.1 ${port} 127.0.0.1 ${server} netmask 255.255.255.255${limits}`

const door = (port: number): Door => ({
  port: 'outside',
  destination: '127.0.0.1',
  destinationPort: port,
  listen: { host: '127.0.0.1', port },
  dial: (to, _ends, call) => dial({ host: to.destination, port: to.port }, call.signal),
})

function gateway(t: After, config: FirewallConfig): { readonly it: Gateway; readonly events: GatewayEvent[] } {
  const events: GatewayEvent[] = []
  const it = new Gateway('gw', config, { event: event => events.push(event) })
  t.after(() => void it.stop())
  return { it, events }
}

async function greeting(port: number): Promise<string> {
  const talk = await Talk.to(`127.0.0.1:${port}`)
  const heard = await talk.hear()
  talk.close()
  return heard
}

test('every door that can be opened is, those that cannot are told, and they open when they can', async t => {
  const server = await quoting(t)
  const [one, two] = [await freePort(), await freePort()]
  const taken = await quoting(t, { port: two })
  const config = read(line(one, server.port), line(two, server.port))
  const { it, events } = gateway(t, config)
  const doors = [door(two), door(one)]
  const shut = await it.configure(config, { doors })
  assert.deepEqual(
    shut.map(({ door, cause }) => [door.listen.port, cause.message]),
    [[two, `cannot listen at 127.0.0.1:${two}: the port is in use`]],
  )
  assert.deepEqual(it.doors, [{ host: '127.0.0.1', port: one }])
  assert.equal(await greeting(one), '220 mail.example ESMTP\r\n')
  assert.ok(events.some(({ kind }) => kind === 'shut'))
  taken.close()
  await eventually(async () => (await it.configure(config, { doors })).length === 0)
  assert.equal(await greeting(two), '220 mail.example ESMTP\r\n')
})

test('with one door that cannot be opened, all or nothing is nothing: no other opens and no line changes', async t => {
  const server = await quoting(t)
  const [one, two] = [await freePort(), await freePort()]
  const before = read(line(one, server.port))
  const { it } = gateway(t, before)
  await it.configure(before, { doors: [door(one)] })
  const after = read(line(two, server.port), line(server.port, 9))
  const doors = [door(two), door(server.port)]
  assert.equal((await it.configure(after, { doors, orNothing: true })).length, 1)
  assert.equal(it.config, before)
  assert.deepEqual(it.doors, [{ host: '127.0.0.1', port: one }])
  await assert.rejects(greeting(two), /ECONNREFUSED/)
  assert.equal(await greeting(one), '220 mail.example ESMTP\r\n')
})

test('two configurations at the same instant come one after the other, and the last one stands', async t => {
  const server = await quoting(t)
  const ports = await Promise.all([freePort(), freePort(), freePort()])
  const configs = ports.map(port => read(line(port, server.port)))
  const { it } = gateway(t, read())
  const done = configs.map((config, i) => it.configure(config, { doors: [door(ports[i] ?? 0)] }))
  assert.deepEqual(await Promise.all(done), [[], [], []])
  assert.deepEqual(it.doors, [{ host: '127.0.0.1', port: ports[2] }])
  assert.equal(it.config, configs[2])
})

test('a stop sends away who waits for a server that never answers', async t => {
  const port = await freePort()
  const { it } = gateway(t, read(line(port, 9)))
  const signals: AbortSignal[] = []
  const never: Door = {
    ...door(port),
    dial: (_to, _ends, { signal }) => {
      signals.push(signal)
      return new Promise((_resolve, reject) => signal.addEventListener('abort', () => reject(new Error('called off'))))
    },
  }
  await it.configure(it.config, { doors: [never] })
  const waiting = net.connect(port, '127.0.0.1').on('error', () => {})
  await eventually(() => signals.length === 1)
  const closed = new Promise(resolve => waiting.on('close', resolve))
  await it.stop()
  await closed
  assert.ok(signals.every(({ aborted }) => aborted))
  await assert.rejects(greeting(port), /ECONNREFUSED/)
})

test('a static lets as many connections through at once as its line says', async t => {
  const server = await quoting(t)
  const port = await freePort()
  const { it, events } = gateway(t, read(line(port, server.port, ' 2 0')))
  await it.configure(it.config, { doors: [door(port)] })
  const talks = [await Talk.to(`127.0.0.1:${port}`), await Talk.to(`127.0.0.1:${port}`)]
  for (const talk of talks) assert.equal(await talk.hear(), '220 mail.example ESMTP\r\n')
  const third = await Talk.to(`127.0.0.1:${port}`).then(
    talk => talk.hear(),
    () => '',
  )
  assert.equal(third, '')
  assert.ok(events.some(event => event.kind === 'limited' && event.most === 2))
  talks[0]?.close()
  await eventually(async () => (await greeting(port).catch(() => '')) !== '')
  talks[1]?.close()
})
