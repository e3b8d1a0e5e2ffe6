/** smtp-sink of Postfix, which takes our mail, and does so with every fault it can be told to have. */
import assert from 'node:assert/strict'
import { after, before, describe, test } from 'node:test'
import { freePorts, stopAll } from '../../tools/bench/process.ts'
import { bothWays, TEXTS } from './both-ways.ts'
import { assertEncoded, assertSame, type Encoding, type Kind, letter } from './letter.ts'
import { unmet } from './needs.ts'
import { startSmtpSink } from './peers/smtp-sink.ts'
import { type Postern, SENDER, startPostern, theirs } from './postern.ts'

const NEEDS = { peers: ['smtp-sink'] } as const

bothWays({ name: 'smtp-sink', needs: NEEDS, start: ports => startSmtpSink(ports), takes: TEXTS })

interface Quirk {
  /** Of smtp-sink(1). */
  readonly switches: string
  readonly kind?: Kind
  /** What our log says became of it. */
  readonly outcome: RegExp
  /** By which protocol it went, where it went. */
  readonly by?: 'SMTP' | 'ESMTP'
  /** How what it does not take was encoded. */
  readonly how?: Encoding
}

const QUIRKS: Readonly<Record<string, readonly Quirk[]>> = {
  'what it does not offer is done without': [
    // The greeting of a PIX, 220 ********, and no EHLO.
    { switches: '-P', outcome: /relayed/, by: 'SMTP' },
    { switches: '-e', outcome: /relayed/, by: 'SMTP' },
    { switches: '-p', outcome: /relayed/, by: 'ESMTP' },
    { switches: '-N', outcome: /relayed/, by: 'ESMTP' },
    { switches: '-E', outcome: /relayed/, by: 'ESMTP' },
    { switches: '-8', outcome: /relayed/, by: 'ESMTP' },
    { switches: '-8', kind: '8-bit', outcome: /relayed/, by: 'ESMTP', how: 'quoted-printable' },
    { switches: '-e', kind: '8-bit', outcome: /relayed/, by: 'SMTP', how: 'quoted-printable' },
    { switches: '-P', kind: 'binary', outcome: /relayed/, by: 'SMTP', how: 'base64' },
    { switches: '-p', kind: 'binary', outcome: /relayed/, by: 'ESMTP', how: 'base64' },
  ],
  'what it refuses for good comes back': [
    { switches: '-f EHLO', outcome: /relayed/, by: 'SMTP' },
    { switches: '-f MAIL', outcome: /failed: 500 5\.3\.0/ },
    { switches: '-f RCPT', outcome: /failed: 500 5\.3\.0/ },
    { switches: '-f DATA', outcome: /failed: 500 5\.3\.0/ },
    { switches: '-f .', outcome: /failed: 500 5\.3\.0/ },
    { switches: '-f QUIT', outcome: /relayed/, by: 'ESMTP' },
    // In the middle of the message, and then it resets the connection: what it said may be lost with it.
    { switches: '-A 0', kind: '25 MB', outcome: /failed: 550|deferred: 4\.4\.2/ },
  ],
  'what it refuses for now waits': [
    { switches: '-r CONNECT', outcome: /deferred: 450 4\.3\.0/ },
    { switches: '-r EHLO', outcome: /relayed/, by: 'SMTP' },
    { switches: '-r EHLO,HELO', outcome: /deferred: 450 4\.3\.0/ },
    { switches: '-r MAIL', outcome: /deferred: 450 4\.3\.0/ },
    { switches: '-r RCPT', outcome: /deferred: 450 4\.3\.0/ },
    { switches: '-r DATA', outcome: /deferred: 450 4\.3\.0/ },
    { switches: '-r .', outcome: /deferred: 450 4\.3\.0/ },
  ],
  'where it hangs up, mail waits': [
    { switches: '-q CONNECT', outcome: /deferred: 4\.4\.2/ },
    { switches: '-q EHLO', outcome: /deferred: 4\.4\.2/ },
    { switches: '-q MAIL', outcome: /deferred: 4\.4\.2/ },
    { switches: '-q RCPT', outcome: /deferred: 4\.4\.2/ },
    { switches: '-q DATA', outcome: /deferred: 4\.4\.2/ },
    { switches: '-q .', outcome: /deferred: 4\.4\.2/ },
    { switches: '-q QUIT', outcome: /relayed/, by: 'ESMTP' },
  ],
  'where it says 421, mail waits': [
    { switches: '-Q CONNECT', outcome: /deferred: 421/ },
    { switches: '-Q EHLO', outcome: /deferred: 421/ },
    { switches: '-Q MAIL', outcome: /deferred: 421/ },
    { switches: '-Q RCPT', outcome: /deferred: 421/ },
    { switches: '-Q DATA', outcome: /deferred: 421/ },
    { switches: '-Q .', outcome: /deferred: 421/ },
    { switches: '-Q QUIT', outcome: /relayed/, by: 'ESMTP' },
  ],
}

describe('smtp-sink with a fault', { skip: unmet(NEEDS) }, () => {
  let us: Postern
  let port: number
  before(async () => {
    const [free = 0, postern = 0] = await freePorts(2)
    port = free
    us = await startPostern(postern, { peer: port })
  })
  after(stopAll)

  for (const [rule, quirks] of Object.entries(QUIRKS)) {
    for (const { switches, kind = 'dot-led lines', outcome, by, how } of quirks) {
      test(`${rule}: smtp-sink ${switches}, ${kind}`, async () => {
        const sink = await startSmtpSink({ port, postern: us.port }, switches.split(' '))
        try {
          const sent = letter(kind, { from: SENDER, to: theirs('v4') })
          const line = await us.relays(sent, theirs('v4'))
          assert.match(line, outcome)
          if (by) {
            const arrived = await sink.arrived(sent.token, theirs('v4'))
            if (how) assertEncoded(arrived, sent.content, how)
            else assertSame(arrived, sent.content)
            assert.match(await sink.envelope(sent.token), new RegExp(`^X-Client-Proto: ${by}$`, 'm'))
          }
          if (line.includes(' failed: ')) {
            const report = (await us.arrived(SENDER, sent.token)).toString('latin1')
            assert.match(report, /^Action: failed\r$/m)
          }
        } finally {
          await sink.stop()
        }
      })
    }
  }
})
