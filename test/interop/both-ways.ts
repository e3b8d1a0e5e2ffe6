/** The tests that a peer is put to: letters of every kind, each way it can, over IPv4 and IPv6. */
import assert from 'node:assert/strict'
import { join } from 'node:path'
import { after, before, describe, test } from 'node:test'
import { freePorts, stopAll, workDirectory } from '../../tools/bench/process.ts'
import { makeCertificates } from '../certificates.ts'
import { handIn } from './hand-in.ts'
import { assertEncoded, assertSame, type Kind, letter } from './letter.ts'
import { type Needs, unmet } from './needs.ts'
import type { MailSystem, Ports } from './peers/mail-system.ts'
import { type Family, ours, type Postern, SENDER, startPostern, theirs } from './postern.ts'

export interface Suite {
  readonly name: string
  readonly needs?: Needs
  start(ports: Ports): Promise<MailSystem>
  /** Does it know STARTTLS? Then everything is done under it, too. */
  readonly tls?: boolean
  /** What we relay to it, and it takes; without binary, that is to reach it encoded. */
  readonly takes?: readonly Kind[]
  /** Does it know DSN? Then each is to tell the other's people of a delivery. */
  readonly reports?: boolean
  /** What it relays to us, when we hand it in there. */
  readonly relays?: readonly Kind[]
}

export interface Running extends Ports {
  readonly us: Postern
  readonly them: MailSystem
}

const WIRES: readonly Family[] = ['v4', 'v6']
const NAMES = { v4: 'IPv4', v6: 'IPv6' } as const

export function bothWays({ tls = false, ...suite }: Suite): void {
  run(suite)
  if (tls) run({ ...suite, name: `${suite.name} under TLS`, tls })
}

function run({ name, needs = {}, tls: secure = false, start, takes = [], relays = [], reports = false }: Suite): void {
  describe(name, { skip: unmet(secure ? { ...needs, commands: ['openssl'] } : needs) }, () => {
    let running: Running
    before(async () => {
      const [port = 0, postern = 0] = await freePorts(2)
      const tls = secure
        ? makeCertificates(join(workDirectory(), 'tls'), ['mx.postern.example', 'v6.postern.example'])
        : undefined
      const them = await start({ port, postern, tls })
      running = { port, postern, them, us: await startPostern(postern, { peer: port, tls }) }
    })
    // Whatever came up, also where not all of it did.
    after(() => Promise.all([running?.them.stop(), stopAll()]))

    for (const family of WIRES) {
      // A large one under TLS once: what is in it is the same over any wire.
      const chosen = (kinds: readonly Kind[]) => kinds.filter(kind => !secure || kind !== '25 MB' || family === 'v6')
      for (const kind of chosen(takes)) {
        test(`${name} takes ${kind} from us over ${NAMES[family]} as it was sent`, async () => {
          const { us, them } = running
          const sent = letter(kind, { from: SENDER, to: theirs(family) })
          const outcome = await us.relays(sent, theirs(family))
          assert.ok(outcome.includes(' relayed to '), `${outcome}\n${them.said()}`)
          assertSame(await them.arrived(sent.token, theirs(family)), sent.content)
        })
      }
      if (takes.length > 0 && !takes.includes('binary')) {
        test(`${name} takes binary from us over ${NAMES[family]} in base64, for it has no BINARYMIME`, async () => {
          const { us, them } = running
          const sent = letter('binary', { from: SENDER, to: theirs(family) })
          const outcome = await us.relays(sent, theirs(family))
          assert.ok(outcome.includes(' relayed to '), `${outcome}\n${them.said()}`)
          assertEncoded(await them.arrived(sent.token, theirs(family)), sent.content, 'base64')
        })
      }
      for (const kind of chosen(relays)) {
        test(`${name} relays ${kind} to us over ${NAMES[family]} as it was sent`, async () => {
          const { us, them, port } = running
          const sent = letter(kind, { from: 'ann@v4.peer.example', to: ours(family) })
          await handIn(port, { from: 'ann@v4.peer.example', to: ours(family), letter: sent })
          const arrived = await us.arrived(ours(family), sent.token).catch(cause => {
            throw new Error(`${cause.message}\n${them.said()}`)
          })
          assertSame(arrived, sent.content)
          // Our own field, which stands on top, says by what it came (RFC 3848).
          assert.match(arrived.toString('latin1', 0, 500), secure ? / with ESMTPS id / : / with ESMTP id /)
        })
      }
      if (reports) {
        const asked = {
          mail: 'RET=HDRS ENVID=QQ314159',
          rcpt: 'NOTIFY=SUCCESS ORCPT=rfc822;first@elsewhere.example',
        }
        const assertDelivered = (report: Buffer, by: RegExp) => {
          const said = report.toString('latin1')
          assert.match(said, /^Action: delivered\r$/im)
          assert.match(said, /^Original-Envelope-Id: QQ314159\r$/im)
          assert.match(said, /^Original-Recipient: rfc822; ?first@elsewhere\.example\r$/im)
          assert.match(said, by)
        }
        test(`${name} tells our people over ${NAMES[family]} that it delivered, and not we`, async () => {
          const { us, them } = running
          const [from, to] = [ours(family), theirs(family)]
          const sent = letter('dot-led lines', { from, to })
          await handIn(us.port, { from, to, letter: sent, reports: asked })
          assertSame(await them.arrived(sent.token, to), sent.content)
          const report = await us.arrived(from, sent.token).catch(cause => {
            throw new Error(`${cause.message}\n${them.said()}`)
          })
          assertDelivered(report, /^Reporting-MTA: dns; ?\S+\.peer\.example\r$/im)
        })
        test(`we tell the people of ${name} over ${NAMES[family]} that we delivered, and it does not`, async () => {
          const { us, them, port } = running
          const [from, to] = [theirs(family), ours(family)]
          const sent = letter('dot-led lines', { from, to })
          await handIn(port, { from, to, letter: sent, reports: asked })
          assertSame(await us.arrived(to, sent.token), sent.content)
          assertDelivered(await them.arrived(sent.token, from), /^Reporting-MTA: dns; mx\.postern\.example\r$/im)
        })
      }
      if (takes.length > 0 && relays.length > 0) {
        test(`${name} takes our no over ${NAMES[family]} for what it is, and tells the sender`, async () => {
          const { them, port } = running
          const from = theirs(family)
          const refused = letter('a NUL', { from, to: ours(family) })
          await handIn(port, { from, to: ours(family), letter: refused })
          const report = (await them.arrived(refused.token, from)).toString('latin1')
          assert.match(report, /^Action: failed\r$/m)
          assert.match(report, /^Diagnostic-Code: smtp; ?550[ -]5\.\d+\.\d+ /m)
        })
      }
    }
  })
}

/** All that a mail system can take that has no BINARYMIME. */
export const TEXTS: readonly Kind[] = [
  'dot-led lines',
  'a dot at the end',
  'long lines',
  'endless lines',
  '8-bit',
  '25 MB',
]
