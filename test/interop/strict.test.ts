/**
 * Attacks against a Postfix as Debian ships it, which takes a bare LF for a line end and relays for its own network: straight,
 * where they forge mail, and through the strict proxy, which is in that network, where none does, and every reply is as
 * the vector says. What was taken is counted at the Postfix.
 */
import assert from 'node:assert/strict'
import { mkdtempSync, readFileSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, before, describe, test } from 'node:test'
import { strict } from '../../src/firewall/profiles/strict.ts'
import { proxy } from '../../src/io/proxy.ts'
import { dial, listen, type Server } from '../../src/io/sockets.ts'
import { identity, secureServer } from '../../src/io/tls.ts'
import { freePorts, stopAll } from '../../tools/bench/process.ts'
import { makeCertificates } from '../certificates.ts'
import { BDAT } from '../vectors/smtp/bdat.ts'
import { LENGTHS } from '../vectors/smtp/octets.ts'
import { RELAY } from '../vectors/smtp/relay.ts'
import { SMUGGLING } from '../vectors/smtp/smuggling.ts'
import { STARTTLS } from '../vectors/smtp/starttls.ts'
import { STATE } from '../vectors/smtp/state.ts'
import { SocketClient, sleep } from '../vectors/socket.ts'
import { OTHERWISE } from '../vectors/through.ts'
import { piecesOf, type ServerVector } from '../vectors/vector.ts'
import { unmet } from './needs.ts'
import { type Postfix, startPostfix } from './peers/postfix.ts'

const CAUSE = {
  at: { file: 'firewall.conf', line: 1, column: 1, length: 1, text: 'strict smtp 25' },
  command: 'strict smtp 25',
  cure: 'no strict smtp 25',
} as const

const PATIENCE = 20_000
const AT_ONCE = 64
/** A vector that waits longer than this in all is left to virtual time. */
const LONGEST_WAIT = 1000
/** They send more than a test should; `vectors-strict.test.ts` plays them. */
const MOST = 1_000_000

const PLAYED = [...SMUGGLING, ...BDAT, ...STARTTLS, ...STATE, ...RELAY, ...LENGTHS].filter(isPlayed)
/** Whose ends of data, or chunks, hide a message. */
const FORGING = [...SMUGGLING, ...BDAT].filter(isPlayed)

function isPlayed({ steps, machineOnly }: ServerVector): boolean {
  const pieces = steps.flatMap(([sent]) => piecesOf(sent))
  const waits = pieces.reduce((sum, piece) => sum + ('wait' in piece ? piece.wait : 0), 0)
  const octets = pieces.reduce((sum, piece) => sum + ('bytes' in piece ? piece.bytes.length : 0), 0)
  return machineOnly === undefined && waits <= LONGEST_WAIT && octets <= MOST
}

/** The senders of vectors are from these; whatever else arrives was hidden in a message, or behind a command. */
const FORGED = /^(?:smug|evil|injected)/

const NO_LOGIN = '538:5.7.11'

/**
 * Where another reply than the vector's is as good, by vector and step, counted from 0: Postfix's own, or the proxy's in
 * front of it.
 */
const HERE: typeof OTHERWISE = {
  ...OTHERWISE,
  // This Postfix has no accounts, and strict offers no login in clear.
  'tls-login-forgotten': { 2: NO_LOGIN },
  'cmd-rset-keeps-hello': { 2: NO_LOGIN, 7: NO_LOGIN },
  'relay-after-failed-login': { 2: NO_LOGIN },
  'cmd-auth-12288': { 2: NO_LOGIN },
  'cmd-len-mail': { 2: '555' },
  // `strict domain` means what is below it as well, and to Postfix we are a neighbour.
  'relay-subdomain': { 3: '250', 4: '354' },
  // Its hopcount_limit is 50.
  'data-received-99': { 5: '554:5.4.0' },
}

const size = ({ config }: ServerVector): number | undefined =>
  config?.includes('message-size 10k') ? 10_240 : config?.includes('message-size 10m') ? 10_485_760 : undefined

describe('Postfix behind strict', { skip: unmet({ root: true, peers: ['postfix'] }) }, () => {
  let postfix: Postfix
  let front: Server
  let [direct, through] = [0, 0]
  /** What the next connections are for: a vector may set a limit. */
  let messageSize: number | undefined

  before(async () => {
    const [port = 0, unused = 0, free = 0] = await freePorts(3)
    direct = port
    through = free
    const folder = mkdtempSync(join(tmpdir(), 'strict-'))
    const { certificate, key } = makeCertificates(folder, ['fw.example'])
    const shown = identity(readFileSync(certificate), readFileSync(key))
    rmSync(folder, { recursive: true, force: true })
    postfix = await startPostfix(
      { port, postern: unused },
      {
        virtual_mailbox_domains: 'example.org v4.peer.example',
        virtual_mailbox_maps: 'inline:{ bob@example.org=ann/, carol@example.org=ann/, ann@v4.peer.example=ann/ }',
      },
    )
    front = await listen({ host: '127.0.0.1', port: free }, client => {
      client.on('error', () => {})
      const domains = new Set(['example.org'])
      const policy = strict(CAUSE, { domains, ...(messageSize !== undefined && { messageSize }) })
      proxy(
        client,
        { policy, host: 'fw.example', client: { address: '192.0.2.7' } },
        { dial: () => dial({ host: '127.0.0.1', port }), secureClient: socket => secureServer(socket, shown) },
      )
    })
  })
  after(async () => {
    front?.close()
    await stopAll()
  })

  /** The senders that Postfix took a message from while this went on, without the one that marks its end. */
  async function sendersDuring(play: () => Promise<void>, mark: string): Promise<readonly string[]> {
    const start = postfix.log().length
    await play()
    const last = await SocketClient.connect(direct)
    const lines = ['EHLO c.example', `MAIL FROM:<${mark}>`, 'RCPT TO:<ann@v4.peer.example>', 'DATA', 'S: x\r\n\r\n.']
    for (const line of lines) {
      await last.hear('[23]xx+')
      await last.send(`${line}\r\n`)
    }
    const end = performance.now() + PATIENCE
    for (;;) {
      const log = postfix.log().slice(start)
      const senders = [...log.matchAll(/qmgr\[.*from=<([^>]*)>, size=/g)].map(([, from = '']) => from)
      if (senders.includes(mark)) return senders.filter(from => from !== mark)
      if (performance.now() > end) throw new Error(postfix.said())
      await sleep(50)
    }
  }

  test('straight at it, false ends of data and chunks forge mail: what is below can fail', async t => {
    const play = () => inGroups(FORGING, vector => say(vector, direct))
    const forged = (await sendersDuring(play, 'straight@example.net')).filter(from => FORGED.test(from))
    t.diagnostic(`${forged.length} forged (${forged.join(', ')})`)
    assert.ok(forged.length >= 3, `${forged.length} forged envelopes`)
  })

  test('straight at it, a neighbour may have mail relayed: what is below can fail', async t => {
    const relayed: string[] = []
    await inGroups(RELAY.filter(isPlayed), async vector => {
      const said = await judge(vector, direct)
      if (said?.includes(': 250')) relayed.push(said)
    })
    t.diagnostic(`${relayed.length} recipients taken`)
    assert.ok(relayed.length >= 3, `${relayed.length} recipients`)
  })

  test('through strict none does, every reply is as the vector says, and what is honest arrives', async t => {
    const wrong: string[] = []
    const play = async () => {
      for (const [limit, vectors] of Map.groupBy(PLAYED, size)) {
        messageSize = limit
        await inGroups(vectors, async vector => {
          const said = await judge(vector, through)
          if (said !== undefined) wrong.push(said)
        })
      }
    }
    const arrived = await sendersDuring(play, 'through@example.net')
    t.diagnostic(`${PLAYED.length} vectors, ${arrived.length} messages`)
    assert.deepEqual(wrong, [])
    assert.deepEqual(
      arrived.filter(from => FORGED.test(from)),
      [],
    )
    assert.ok(arrived.includes('outer@example.net'), arrived.join())
  })
})

async function inGroups(
  vectors: readonly ServerVector[],
  play: (vector: ServerVector) => Promise<void>,
): Promise<void> {
  for (let at = 0; at < vectors.length; at += AT_ONCE) await Promise.all(vectors.slice(at, at + AT_ONCE).map(play))
}

/** Plays a vector; what was heard where that is not what should be. */
async function judge({ id, steps }: ServerVector, port: number): Promise<string | undefined> {
  const client = await SocketClient.connect(port)
  try {
    for (const [i, [sent, expected]] of steps.entries()) {
      await client.send(sent)
      const otherwise = HERE[id]?.[i]
      const wanted = otherwise === undefined ? expected : `${expected} | ${otherwise}`
      const { heard, asExpected } = await client.hear(wanted)
      if (!asExpected) return `${id} ${i}: ${heard || '(silence)'}, wanted ${wanted || '(silence)'}`
      if (otherwise !== undefined && /close/.test(heard)) return undefined
    }
    return undefined
  } finally {
    client.end()
  }
}

/** Says a vector, step by step, whatever is answered. */
async function say({ steps }: ServerVector, port: number): Promise<void> {
  const client = await SocketClient.connect(port)
  for (const [sent] of steps) {
    await client.send(sent)
    for (let heard = '', now = await client.rest(); now !== heard; now = await client.rest()) heard = now
  }
  client.end()
}
