/**
 * The forged ends of data against a Postfix as Debian ships it, which takes a bare LF for a line end: straight, where they
 * forge mail, and through the strict proxy, which this Postfix trusts, where none does. Counted at the Postfix.
 */
import assert from 'node:assert/strict'
import { after, before, describe, test } from 'node:test'
import { strict } from '../../src/firewall/profiles/strict.ts'
import { proxy } from '../../src/io/proxy.ts'
import { dial, listen, type Server } from '../../src/io/sockets.ts'
import { freePorts, stopAll } from '../../tools/bench/process.ts'
import { BDAT } from '../vectors/smtp/bdat.ts'
import { SMUGGLING } from '../vectors/smtp/smuggling.ts'
import { SocketClient, sleep } from '../vectors/socket.ts'
import type { ServerVector } from '../vectors/vector.ts'
import { unmet } from './needs.ts'
import { type Postfix, startPostfix } from './peers/postfix.ts'

const CAUSE = {
  at: { file: 'firewall.conf', line: 1, column: 1, length: 1, text: 'inspect smtp strict' },
  command: 'inspect smtp strict',
  cure: 'no inspect smtp strict',
} as const

/** Only what is said matters here: what is heard is judged elsewhere. */
const PATIENCE = 20_000
const AT_ONCE = 16
const PLAYED = [...SMUGGLING, ...BDAT].filter(({ id }) => id !== 'bdat-flood' && id !== 'smug-size-then-dot')

describe('Postfix behind strict', { skip: unmet({ root: true, peers: ['postfix'] }) }, () => {
  let postfix: Postfix
  let front: Server
  let [direct, through] = [0, 0]

  before(async () => {
    const [port = 0, unused = 0, free = 0] = await freePorts(3)
    direct = port
    through = free
    postfix = await startPostfix({ port, postern: unused })
    front = await listen({ host: '127.0.0.1', port: free }, client => {
      client.on('error', () => {})
      proxy(
        client,
        { policy: strict(CAUSE), host: 'fw.example', client: { address: '127.0.0.1' } },
        { dial: () => dial({ host: '127.0.0.1', port }) },
      )
    })
  })
  after(async () => {
    front?.close()
    await stopAll()
  })

  /** The senders that Postfix took a message from while these were played. */
  async function sendersOf(
    vectors: readonly ServerVector[],
    port: number,
    sentinel: string,
  ): Promise<readonly string[]> {
    const start = postfix.log().length
    for (let at = 0; at < vectors.length; at += AT_ONCE) {
      await Promise.all(vectors.slice(at, at + AT_ONCE).map(vector => say(vector, port)))
    }
    const last = await SocketClient.connect(direct)
    const lines = [
      'EHLO c.example',
      `MAIL FROM:<${sentinel}>`,
      'RCPT TO:<ann@v4.peer.example>',
      'DATA',
      'S: x\r\n\r\n.',
    ]
    for (const line of lines) {
      await last.hear('[23]xx+')
      await last.send(`${line}\r\n`)
    }
    const end = performance.now() + PATIENCE
    for (;;) {
      const senders = [
        ...postfix
          .log()
          .slice(start)
          .matchAll(/qmgr\[.*from=<([^>]*)>, size=/g),
      ].map(([, from = '']) => from)
      if (senders.includes(sentinel)) return senders
      if (performance.now() > end) throw new Error(postfix.said())
      await sleep(50)
    }
  }

  test('straight at it, they forge; through strict, none does, and what is honest still arrives', async t => {
    const straight = await sendersOf(PLAYED, direct, 'straight@example.net')
    const forged = straight.filter(from => from.startsWith('smug'))
    t.diagnostic(`straight: ${forged.length} forged (${forged.join(', ')})`)
    assert.ok(forged.length >= 3, `${forged.length} forged envelopes`)

    const behind = await sendersOf(PLAYED, through, 'through@example.net')
    assert.deepEqual(
      behind.filter(from => from.startsWith('smug')),
      [],
    )
    assert.ok(behind.includes('outer@example.net'), behind.join())
  })
})

/** Says a vector, step by step, whatever is answered. */
async function say({ steps }: ServerVector, port: number): Promise<void> {
  const client = await SocketClient.connect(port)
  for (const [sent] of steps) {
    const here = typeof sent === 'string' ? [sent] : sent
    await client.send(
      here.map(piece =>
        typeof piece === 'string' ? piece.replaceAll('bob@example.org', 'ann@v4.peer.example') : piece,
      ),
    )
    await quiet(client)
  }
  client.end()
}

async function quiet(client: SocketClient): Promise<void> {
  for (let heard = '', now = await client.rest(); now !== heard; now = await client.rest()) heard = now
}
