/** The tests that a peer is put to: letters of every kind, each way it can, over IPv4 and IPv6. */
import assert from 'node:assert/strict'
import { after, before, describe, test } from 'node:test'
import { freePorts, stopAll } from '../../tools/bench/process.ts'
import { handIn } from './hand-in.ts'
import { assertSame, type Kind, letter } from './letter.ts'
import { type Needs, unmet } from './needs.ts'
import type { MailSystem, Ports } from './peers/mail-system.ts'
import { type Family, ours, type Postern, SENDER, startPostern, theirs } from './postern.ts'

export interface Suite {
  readonly name: string
  readonly needs?: Needs
  start(ports: Ports): Promise<MailSystem>
  /** More of our configuration. */
  readonly lines?: readonly string[]
  /** What we relay to it, and it takes. */
  readonly takes?: readonly Kind[]
  /** What it relays to us, when we hand it in there. */
  readonly relays?: readonly Kind[]
  /** More tests, while both run. */
  more?(running: () => Running): void
}

export interface Running extends Ports {
  readonly us: Postern
  readonly them: MailSystem
}

const WIRES: readonly Family[] = ['v4', 'v6']
const NAMES = { v4: 'IPv4', v6: 'IPv6' } as const

export function bothWays({ name, needs = {}, start, lines = [], takes = [], relays = [], more }: Suite): void {
  describe(name, { skip: unmet(needs) }, () => {
    let running: Running
    before(async () => {
      const [port = 0, postern = 0] = await freePorts(2)
      const them = await start({ port, postern })
      running = { port, postern, them, us: await startPostern(postern, { peer: port, lines }) }
    })
    // Whatever came up, also where not all of it did.
    after(() => Promise.all([running?.them.stop(), stopAll()]))

    for (const family of WIRES) {
      for (const kind of takes) {
        test(`${name} takes ${kind} from us over ${NAMES[family]} as it was sent`, async () => {
          const { us, them } = running
          const sent = letter(kind, { from: SENDER, to: theirs(family) })
          const outcome = await us.relays(sent, theirs(family))
          assert.ok(outcome.includes(' relayed to '), `${outcome}\n${them.said()}`)
          assertSame(await them.arrived(sent.token), sent.content)
        })
      }
      for (const kind of relays) {
        test(`${name} relays ${kind} to us over ${NAMES[family]} as it was sent`, async () => {
          const { us, them, port } = running
          const sent = letter(kind, { from: 'ann@v4.peer.example', to: ours(family) })
          await handIn(port, { from: 'ann@v4.peer.example', to: ours(family), letter: sent })
          const arrived = await us.arrived(ours(family), sent.token).catch(cause => {
            throw new Error(`${cause.message}\n${them.said()}`)
          })
          assertSame(arrived, sent.content)
        })
      }
    }
    more?.(() => running)
  })
}

/** All that a mail system can take that has no BINARYMIME. */
export const TEXTS: readonly Kind[] = ['dot-led lines', 'a dot at the end', 'long lines', '8-bit', '25 MB']
