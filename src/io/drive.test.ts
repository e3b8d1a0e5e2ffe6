import assert from 'node:assert/strict'
import { once } from 'node:events'
import net from 'node:net'
import { describe, test } from 'node:test'
import { setTimeout as sleep } from 'node:timers/promises'
import type { Machine, WireOutput } from '../base/machine.ts'
import { Drive, SLICE } from './drive.ts'
import type { Connected } from './sockets.ts'
import { listenTcp } from './tcp.ts'

type Output = WireOutput | { readonly kind: 'ask'; readonly what: string }

/** What a machine may be put on. */
const KINDS = {
  'a socket of node:net': accepted => {
    const server = net.createServer({ allowHalfOpen: true, pauseOnConnect: true }, accepted)
    return new Promise(resolve => {
      server.listen(0, '127.0.0.1', () =>
        resolve({ port: (server.address() as net.AddressInfo).port, close: () => server.close() }),
      )
    })
  },
  'a bare handle': async accepted => listenTcp('127.0.0.1', 0, accepted),
} satisfies Readonly<
  Record<string, (accepted: (far: Connected) => void) => Promise<{ readonly port: number; close(): unknown }>>
>

/** Two joined sockets on loopback; the far one is of this kind. */
async function pair(
  t: { after(work: () => void): void },
  kind: keyof typeof KINDS,
): Promise<readonly [net.Socket, Connected]> {
  let arrived: (far: Connected) => void = () => {}
  const comes = new Promise<Connected>(resolve => {
    arrived = resolve
  })
  const server = await KINDS[kind](arrived)
  const near = net.connect({ port: server.port, host: '127.0.0.1', allowHalfOpen: true })
  const far = await comes
  near.on('error', () => {})
  far.on('error', () => {})
  t.after(() => {
    near.destroy()
    far.destroy()
    void server.close()
  })
  return [near, far]
}

/** A machine made of functions. */
function machine(parts: Partial<Machine<Output>>): Machine<Output> {
  return {
    receive: () => [],
    end: () => [{ kind: 'close', how: 'after-writes' }],
    tick: () => [],
    deadline: undefined,
    ...parts,
  }
}

const write = (text: string): Output => ({ kind: 'write', bytes: Buffer.from(text) })

for (const kind of Object.keys(KINDS) as (keyof typeof KINDS)[]) {
  describe(`on ${kind}`, () => {
    test('outputs are carried out strictly in order: what follows a question waits for its answer', async t => {
      const [near, far] = await pair(t, kind)
      let answered: () => void = () => {}
      const drive = new Drive<Output>(
        machine({ receive: () => [write('before '), { kind: 'ask', what: 'x' }, write('after ')] }),
        far,
        () =>
          new Promise(resolve => {
            answered = () => resolve([write('answer ')])
          }),
      )
      let heard = ''
      near.on('data', chunk => {
        heard += chunk
      })
      near.write('go')
      await sleep(50)
      assert.equal(heard, 'before ')
      answered()
      await sleep(50)
      assert.equal(heard, 'before answer after ')
      near.end()
      await drive.over
    })

    test('nothing is read while a question waits: a slow disk slows the sender, and memory stays flat', async t => {
      const [near, far] = await pair(t, kind)
      let received = 0
      const drive = new Drive<Output>(
        machine({
          receive: bytes => {
            received += bytes.length
            return [{ kind: 'ask', what: 'slow' }]
          },
        }),
        far,
        () => sleep(10_000, undefined, { ref: false }),
      )
      const chunk = Buffer.alloc(1_000_000)
      for (let i = 0; i < 30; i++) near.write(chunk)
      await sleep(200)
      assert.ok(received > 0 && received < 2_000_000, `${received} octets were read of 30 MB`)
      far.destroy()
      assert.ok(drive)
    })

    test('a client reads while it writes: ten megabytes each way at once, and neither end waits for the other', async t => {
      const [near, far] = await pair(t, kind)
      const size = 10 * 1024 * 1024
      const counts = [0, 0]
      const drives = [near, far].map((socket, i) => {
        const it = machine({
          receive: bytes => {
            counts[i] = (counts[i] ?? 0) + bytes.length
            return []
          },
        })
        return new Drive<Output>(it, socket, () => undefined, { readsOn: true })
      })
      await Promise.all(
        drives.map(async drive => {
          for (let sent = 0; sent < size; sent += 65_536) {
            drive.do(() => [{ kind: 'write', bytes: Buffer.alloc(65_536) }])
            await drive.idle()
          }
        }),
      )
      for (let i = 0; i < 200 && counts.some(count => count < size); i++) await sleep(10)
      assert.deepEqual(counts, [size, size])
    })

    test('a server whose client does not read stops reading, and does not gather replies', async t => {
      const [near, far] = await pair(t, kind)
      near.pause()
      let received = 0
      new Drive<Output>(
        machine({
          receive: bytes => {
            received += bytes.length
            // Every octet is answered with a hundred.
            return [{ kind: 'write', bytes: Buffer.alloc(bytes.length * 100) }]
          },
        }),
        far,
        () => undefined,
      )
      for (let i = 0; i < 100; i++) near.write(Buffer.alloc(100_000))
      await sleep(200)
      assert.ok(far.writableLength < 30_000_000, `${far.writableLength} octets wait to be written`)
      assert.ok(received < 2_000_000, `${received} octets were read`)
    })

    test('the deadline of a machine is kept, and asked for again after every input', async t => {
      const [near, far] = await pair(t, kind)
      const started = Date.now()
      let ticks = 0
      const it: Machine<Output> = {
        ...machine({}),
        tick: () => {
          ticks++
          return [write('time is up'), { kind: 'close', how: 'after-writes' }]
        },
        get deadline() {
          return ticks === 0 ? started + 60 : undefined
        },
      }
      const drive = new Drive<Output>(it, far, () => undefined)
      drive.do(() => [])
      const [heard] = (await once(near, 'data')) as [Buffer]
      assert.equal(heard.toString(), 'time is up')
      near.end()
      await drive.over
      assert.equal(ticks, 1)
    })

    test('what was written before a close arrives, and the connection is over on both sides', async t => {
      const [near, far] = await pair(t, kind)
      const drive = new Drive<Output>(
        machine({
          receive: () => [write('x'.repeat(1_000_000)), { kind: 'close', how: 'after-writes' }, write('too late')],
        }),
        far,
        () => undefined,
      )
      let heard = ''
      near.on('data', chunk => {
        heard += chunk
      })
      near.write('go')
      await once(near, 'end')
      near.end()
      await drive.over
      assert.equal(heard.length, 1_000_000)
    })

    for (const how of ['ended', 'reset'] as const)
      test(`a connection that is ${how} when a second machine is put on it is over for that one, too`, async t => {
        const [near, far] = await pair(t, kind)
        let turn: () => void = () => {}
        const first: Drive<Output> = new Drive<Output>(
          machine({ receive: () => [{ kind: 'ask', what: 'turn' }] }),
          far,
          () =>
            new Promise(resolve => {
              turn = () => {
                first.release()
                resolve(undefined)
              }
            }),
        )
        near.write('go')
        await sleep(20)
        const gone = new Promise(resolve => far.once(how === 'ended' ? 'end' : 'close', resolve))
        if (how === 'ended') near.end()
        else near.resetAndDestroy()
        await gone
        turn()
        let ends = 0
        const end = () => {
          ends++
          return [{ kind: 'close', how: 'at-once' }] as const
        }
        const second = new Drive<Output>(machine({ end }), far, () => undefined)
        second.do(() => [write('hello')])
        await second.over
        assert.equal(ends, 1)
        assert.equal(far.destroyed, true)
      })

    test('what was read and not yet worked on goes to whoever takes the connection', async t => {
      const [near, far] = await pair(t, kind)
      let turn: () => void = () => {}
      const rest = new Promise<string>(resolve => {
        const drive: Drive<Output> = new Drive<Output>(
          machine({ receive: () => [{ kind: 'ask', what: 'turn' }] }),
          far,
          () =>
            new Promise(kept => {
              turn = () => {
                resolve(Buffer.from(drive.release().rest).toString())
                kept(undefined)
              }
            }),
        )
      })
      near.write('go')
      await sleep(20)
      near.write('220 behind it')
      await sleep(20)
      turn()
      assert.equal(await rest, '220 behind it')
    })

    test('a mistake in one machine ends its session, and the promise of its end is kept', async t => {
      const [near, far] = await pair(t, kind)
      const drive = new Drive<Output>(
        machine({
          receive: () => {
            throw new Error('we are wrong')
          },
        }),
        far,
        () => undefined,
      )
      near.write('go')
      await drive.over
      assert.equal(far.destroyed, true)
    })
  })
}

test('what a machine keeps is its own: another connection reads into the same memory meanwhile', async t => {
  const kept: Uint8Array[] = []
  let answer: () => void = () => {}
  const server = listenTcp('127.0.0.1', 0, connection => {
    connection.on('error', () => {})
    t.after(() => connection.destroy())
    new Drive<Output>(
      machine({
        receive: bytes => {
          kept.push(bytes)
          return [{ kind: 'ask', what: 'x' }, write('heard')]
        },
      }),
      connection,
      () => (kept.length > 1 ? undefined : new Promise(resolve => (answer = () => resolve(undefined)))),
    )
  })
  t.after(() => void server.close())
  const client = async (): Promise<net.Socket> => {
    const socket = net.connect({ port: server.port, host: '127.0.0.1', noDelay: true })
    t.after(() => socket.destroy())
    await once(socket, 'connect')
    return socket
  }
  const [slow, quick] = [await client(), await client()]
  slow.write(Buffer.alloc(SLICE + 1, 'a'))
  while (kept.length === 0) await sleep(5)
  quick.write(Buffer.alloc(SLICE, 'b'))
  await once(quick, 'data')
  answer()
  await once(slow, 'data')
  const said = kept.map(each => Buffer.from(each).toString())
  assert.deepEqual(said, ['a'.repeat(SLICE), 'b'.repeat(SLICE), 'a'])
})
