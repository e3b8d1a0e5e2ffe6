import assert from 'node:assert/strict'
import { createHash, randomBytes } from 'node:crypto'
import { once } from 'node:events'
import net from 'node:net'
import { test } from 'node:test'
import v8 from 'node:v8'
import { Call, type Channel, reach } from './sockets.ts'
import { splice } from './splice.ts'
import { dialTcp, lasting, lean, listenTcp, MAX_OWN, resetSocket, type Tcp, type TcpListener } from './tcp.ts'
import type { TcpEvent } from './tcp-ears.ts'

type After = { after(work: () => unknown): void }

const skip = lean ? false : 'this Node has no TCP handles'

/** A listener and a plain socket of Node's at the other end of what it accepted. */
async function pair(t: After): Promise<{ readonly near: Tcp; readonly far: net.Socket }> {
  const { listener, accepted } = listening()
  const far = net.connect({ port: listener.port, host: '127.0.0.1', allowHalfOpen: true })
  far.on('error', () => {})
  const near = await accepted
  near.on('error', () => {})
  t.after(() => {
    far.destroy()
    near.destroy()
    return listener.close()
  })
  return { near, far }
}

function listening(): { readonly listener: TcpListener; readonly accepted: Promise<Tcp> } {
  let accept: (connection: Tcp) => void = () => {}
  const accepted = new Promise<Tcp>(resolve => {
    accept = resolve
  })
  return { listener: listenTcp('127.0.0.1', 0, connection => accept(connection)), accepted }
}

function dialled(host: string, port: number): Promise<Tcp> {
  return new Promise((resolve, reject) =>
    dialTcp(host, port, reached => (reached instanceof Error ? reject(reached) : resolve(reached))),
  )
}

/** What it tells of that event next. */
function told(channel: Channel, event: TcpEvent): Promise<unknown> {
  return new Promise(resolve => channel.once(event, resolve))
}

test('each direction ends by itself, and the connection with the second', { skip }, async t => {
  const { near, far } = await pair(t)
  const heard: string[] = []
  near.on('data', octets => heard.push(Buffer.from(octets).toString()))
  near.resume()
  far.end('ask')
  await told(near, 'end')
  assert.deepEqual(heard, ['ask'])
  assert.equal(near.destroyed, false)
  const [answer, closed] = [once(far, 'data'), told(near, 'close')]
  near.write(Buffer.from('answer'))
  near.end()
  assert.equal(String((await answer)[0]), 'answer')
  await closed
})

test('a reset is heard as one, and nothing is said of a connection that we reset ourselves', { skip }, async t => {
  const { near, far } = await pair(t)
  const failed = told(near, 'error')
  near.resume()
  far.resetAndDestroy()
  assert.equal(((await failed) as NodeJS.ErrnoException).code, 'ECONNRESET')
  const other = await pair(t)
  const cut = new Promise<NodeJS.ErrnoException>(resolve => other.far.once('error', resolve))
  other.near.resetAndDestroy()
  assert.equal((await cut).code, 'ECONNRESET')
  assert.equal(other.near.destroyed, true)
})

test('a paused connection is not read, and says where its caller is', { skip }, async t => {
  const { near, far } = await pair(t)
  const { port, address } = far.address() as net.AddressInfo
  assert.deepEqual([near.remoteAddress, near.remotePort], [address, port])
  let heard = 0
  near.on('data', octets => {
    heard += octets.length
    near.pause()
  })
  near.resume()
  far.write('one')
  await new Promise(resolve => near.once('data', resolve))
  await new Promise<void>(resolve => far.write('two', () => resolve()))
  await new Promise(resolve => setTimeout(resolve, 30))
  assert.equal(heard, 3)
  near.resume()
  await new Promise(resolve => near.once('data', resolve))
  assert.equal(heard, 6)
})

test('whoever keeps octets asks for lasting ones, as their memory is used again', { skip }, async t => {
  const { near, far } = await pair(t)
  const kept: Uint8Array[] = []
  near.on('data', octets => kept.push(lasting(octets)))
  near.resume()
  for (const word of ['first', 'other']) {
    const came = new Promise(resolve => near.once('data', resolve))
    far.write(word)
    await came
  }
  assert.deepEqual(
    kept.map(each => Buffer.from(each).toString()),
    ['first', 'other'],
  )
})

test('much passes whole between more connections than have memory of their own, to readers that are slow', {
  skip,
}, async t => {
  const count = MAX_OWN / 2 + 4
  const sent = randomBytes(3_000_000)
  const expected = createHash('sha256').update(sent).digest('hex')
  const server = net.createServer({ allowHalfOpen: true }, socket => {
    // What comes goes back, and is taken late.
    socket.on('error', () => {})
    socket.pipe(socket)
  })
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  const { port } = server.address() as net.AddressInfo
  const listener = listenTcp('127.0.0.1', 0, near => {
    near.on('error', () => {})
    void dialled('127.0.0.1', port).then(far => {
      far.on('error', () => {})
      splice(near, far, undefined, () => {})
    })
  })
  t.after(async () => {
    server.close()
    await listener.close()
  })
  const one = async (isSlow: boolean): Promise<string> => {
    const socket = net.connect({ port: listener.port, host: '127.0.0.1' })
    socket.end(sent)
    if (isSlow) await new Promise(resolve => setTimeout(resolve, 200))
    const hash = createHash('sha256')
    for await (const chunk of socket) hash.update(chunk as Uint8Array)
    return hash.digest('hex')
  }
  const found = await Promise.all(Array.from({ length: count }, (_, i) => one(i % 2 === 0)))
  assert.deepEqual(new Set(found), new Set([expected]))
})

test('memory that octets are still written out of is read into by nobody, its own connection gone or not', {
  skip,
}, async t => {
  for (const isGone of [false, true]) {
    const [from, to, other] = [await pair(t), await pair(t), await pair(t)]
    let passed = 0
    from.near.on('data', octets => {
      passed += octets.length
      to.near.write(octets)
    })
    from.near.resume()
    to.far.pause()
    // Until the kernel takes no more, and a write waits.
    while (to.near.writableLength === 0) {
      await new Promise<void>(resolve => from.far.write(Buffer.alloc(300_000, 'a'), () => setImmediate(resolve)))
    }
    const waiting = passed
    if (isGone) {
      const closed = told(from.near, 'close')
      from.near.destroy()
      await closed
    }
    // Somebody else's octets, and more of its own: wherever they are read to, it is not there.
    let strange = 0
    other.near.on('data', octets => {
      strange += octets.length
    })
    other.near.resume()
    other.far.write(Buffer.alloc(2_000_000, 'b'))
    from.far.write(Buffer.alloc(300_000, 'b'))
    while (strange < 2_000_000) await told(other.near, 'data')
    let came = 0
    to.far.on('data', (octets: Buffer) => {
      const before = octets.subarray(0, Math.max(0, waiting - came))
      assert.equal(before.indexOf('b'), -1, `an octet of others at ${came + before.indexOf('b')} of ${waiting}`)
      came += octets.length
    })
    to.far.resume()
    while (came < waiting) await once(to.far, 'data')
  }
})

test('where nobody listens, and where an address is taken, the code says so', { skip }, async () => {
  const { listener } = listening()
  assert.throws(() => listenTcp('127.0.0.1', listener.port, () => {}), { code: 'EADDRINUSE' })
  await listener.close()
  await assert.rejects(dialled('127.0.0.1', listener.port), { code: 'ECONNREFUSED' })
})

test('a connection whose end is on its way is over at once when it is reset, over handles and streams', {
  skip,
}, async t => {
  const much = Buffer.alloc(20_000_000)
  const { near, far } = await pair(t)
  far.pause()
  near.write(much)
  const closed = told(near, 'close')
  near.end()
  near.resetAndDestroy()
  await closed
  const server = net.createServer({ allowHalfOpen: true })
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  t.after(() => server.close())
  for (const octets of [much, Buffer.from('x')]) {
    const accepted = once(server, 'connection') as Promise<[net.Socket]>
    const caller = net.connect({ port: (server.address() as net.AddressInfo).port, host: '127.0.0.1' })
    caller.on('error', () => {})
    const [socket] = await accepted
    socket.on('error', () => {})
    socket.write(octets)
    const gone = once(socket, 'close')
    socket.end()
    resetSocket(socket)
    await gone
    caller.destroy()
  }
})

/** Octets of what V8 takes for old, and does not look through before there is much of it. */
function oldOctets(): number {
  return v8.getHeapSpaceStatistics().find(({ space_name }) => space_name === 'old_space')?.space_used_size ?? 0
}

test('what a connection held is gone with it, and not only once the whole heap is searched', { skip }, async t => {
  const KEPT = 20_000
  const listener = listenTcp('127.0.0.1', 0, near => {
    const held = new Array<object>(KEPT / 8).fill({})
    near.on('error', () => {})
    near.on('end', () => held.length > 0 && near.end())
    near.resume()
  })
  t.after(() => listener.close())
  const call = async (): Promise<void> => {
    const held = new Array<object>(KEPT / 8).fill({})
    const far = await reach({ host: listener.host, port: listener.port }, new Call())
    const closed = told(far, 'close')
    far.on('error', () => {})
    far.on('end', () => held.length === 0)
    far.resume()
    far.end()
    await closed
  }
  // Searched whole now and then meanwhile, the heap may shrink again: what counts is how much was added.
  const added = async (count: number): Promise<number> => {
    let sum = 0
    for (let i = 0, before = oldOctets(); i < count; i++) {
      await call()
      const octets = oldOctets()
      sum += Math.max(0, octets - before)
      before = octets
    }
    return sum
  }
  await added(500)
  const each = (await added(1500)) / 1500
  assert.ok(each < KEPT / 4, `${Math.round(each)} octets of each connection were kept`)
})
