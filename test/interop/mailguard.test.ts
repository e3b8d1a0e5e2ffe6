/** Postfix, which relays to us through a MailGuard: it knows a PIX by the masked greeting, and stops at HELO. */
import assert from 'node:assert/strict'
import { mkdtempSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { after, before, describe, test } from 'node:test'
import { freePorts, start, stopAll, untilListening, workDirectory } from '../../tools/bench/process.ts'
import { ROOT } from '../journeys/postern.ts'
import { handIn } from './hand-in.ts'
import { assertEncoded, assertSame, letter } from './letter.ts'
import { unmet } from './needs.ts'
import type { MailSystem } from './peers/mail-system.ts'
import { startPostfix } from './peers/postfix.ts'
import { ours, type Postern, startPostern } from './postern.ts'

const FROM = 'ann@v4.peer.example'

describe('Postfix through MailGuard', { skip: unmet({ root: true, peers: ['postfix'] }) }, () => {
  let us: Postern
  let postfix: MailSystem
  let port: number
  before(async () => {
    const [own = 0, postern = 0, firewall = 0] = await freePorts(3)
    port = own
    us = await startPostern(postern)
    await startFirewall(firewall, postern)
    postfix = await startPostfix({ port, postern: firewall })
  })
  after(stopAll)

  const relay = async (kind: 'dot-led lines' | '8-bit' | '25 MB') => {
    const sent = letter(kind, { from: FROM, to: ours('v4') })
    await handIn(port, { from: FROM, to: ours('v4'), letter: sent })
    const arrived = await us.arrived(ours('v4'), sent.token).catch(cause => {
      throw new Error(`${cause.message}\n${postfix.said()}`)
    })
    assert.match(arrived.toString('latin1', 0, 500), / with SMTP id /)
    return { sent: sent.content, arrived }
  }

  test('it arrives as it was sent, by HELO', async () => {
    for (const kind of ['dot-led lines', '25 MB'] as const) {
      const { sent, arrived } = await relay(kind)
      assertSame(arrived, sent)
    }
    // Its own word for what it saw; the rest of smtp_pix_workarounds is for mail that has waited for a while.
    assert.match(postfix.said(), /enabling PIX workarounds: disable_esmtp for 127\.0\.0\.1/)
  })

  test('what is 8-bit it encodes, for by HELO nobody says 8BITMIME', async () => {
    const { sent, arrived } = await relay('8-bit')
    assertEncoded(arrived, sent, 'quoted-printable')
  })
})

async function startFirewall(port: number, server: number): Promise<void> {
  const file = join(mkdtempSync(join(workDirectory(), 'firewall-')), 'firewall.conf')
  const lines = [
    'nameif ethernet0 outside security0',
    'nameif ethernet1 inside security100',
    `fixup protocol smtp ${port}`,
    `access-list mail permit tcp any host 127.0.0.1 eq ${port}`,
    `static (inside,outside) tcp 127.0.0.1 ${port} 127.0.0.1 ${server} netmask 255.255.255.255`,
    'access-group mail in interface outside',
  ]
  writeFileSync(file, `${lines.join('\n')}\n`)
  const program = start({
    name: 'firewall',
    command: join(ROOT, 'postern'),
    args: ['firewall', 'run', file, '--quiet'],
  })
  await untilListening(program, port)
}
