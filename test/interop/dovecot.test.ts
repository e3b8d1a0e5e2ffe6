/** Dovecot, as the store behind our local mailboxes: LMTP over TCP, over IPv6 and over a socket. */
import assert from 'node:assert/strict'
import { after, before, describe, test } from 'node:test'
import { freePorts, stopAll } from '../../tools/bench/process.ts'
import { handIn } from './hand-in.ts'
import { assertEncoded, assertSame, type Kind, letter } from './letter.ts'
import { unmet } from './needs.ts'
import { type Store, startDovecot } from './peers/dovecot.ts'
import { ours, type Postern, SENDER, startPostern } from './postern.ts'

/** Dovecot keeps lines as long as they are. */
const KINDS: readonly Kind[] = ['dot-led lines', 'a dot at the end', 'long lines', 'endless lines', '8-bit', '25 MB']
const TO = ours('v4')

const WAYS: Readonly<Record<string, (port: number, socket: string) => string>> = {
  'over TCP': port => `deliver lmtp 127.0.0.1 port ${port}`,
  'over IPv6': port => `deliver lmtp ::1 port ${port}`,
  'over a socket': (_port, socket) => `deliver lmtp "${socket}"`,
}

describe('Dovecot', { skip: unmet({ root: true, peers: ['dovecot'] }) }, () => {
  let store: Store
  const posterns = new Map<string, Postern>()
  before(async () => {
    const [port = 0, ...rest] = await freePorts(1 + Object.keys(WAYS).length)
    store = await startDovecot(port, [TO, SENDER])
    for (const [way, line] of Object.entries(WAYS))
      posterns.set(way, await startPostern(rest.pop() ?? 0, { lines: [line(port, store.socket)] }))
  })
  after(() => Promise.all([store?.stop(), stopAll()]))

  for (const way of Object.keys(WAYS)) {
    for (const kind of KINDS.filter(each => each !== '25 MB' || way === 'over a socket')) {
      test(`it has ${kind} by LMTP ${way} as it was sent`, async () => {
        const sent = letter(kind, { from: SENDER, to: TO })
        const outcome = await posterns.get(way)?.relays(sent, TO)
        assert.ok(outcome?.includes(' delivered to lmtp ['), `${outcome}\n${store.said()}`)
        assertSame(await store.arrived(sent.token, TO), sent.content)
      })
    }
  }

  test('it has binary by LMTP in base64, for it has no BINARYMIME', async () => {
    const sent = letter('binary', { from: SENDER, to: TO })
    const outcome = await posterns.get('over TCP')?.relays(sent, TO)
    assert.ok(outcome?.includes(' delivered to lmtp ['), `${outcome}\n${store.said()}`)
    assertEncoded(await store.arrived(sent.token, TO), sent.content, 'base64')
  })

  test('whom it does not know is reported, and the sender has the report from it as well', async () => {
    const us = posterns.get('over a socket')
    const to = 'alice@v6.postern.example'
    const sent = letter('dot-led lines', { from: SENDER, to })
    await handIn(us?.port ?? 0, { from: SENDER, to, letter: sent })
    const report = (await store.arrived(sent.token, SENDER)).toString('latin1')
    assert.match(report, /^Action: failed\r$/m)
    assert.match(report, /^Diagnostic-Code: smtp; ?550[ -]5\.1\.1 /m)
  })
})
