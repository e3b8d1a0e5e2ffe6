/** npm's smtp-server, which takes our mail, and shows what a connector's TLS floor and login are worth. */
import assert from 'node:assert/strict'
import { X509Certificate } from 'node:crypto'
import { mkdtempSync, readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { after, before, describe, test } from 'node:test'
import { freePorts, stopAll, workDirectory } from '../../tools/bench/process.ts'
import { type Certificates, makeCertificates } from '../certificates.ts'
import { bothWays, TEXTS } from './both-ways.ts'
import { letter } from './letter.ts'
import { unmet } from './needs.ts'
import { type SmtpServer, startSmtpServer } from './peers/smtp-server.ts'
import { type Postern, SENDER, startPostern } from './postern.ts'

bothWays({ name: 'smtp-server', start: startSmtpServer, tls: true, takes: TEXTS })

/** Servers that are there: with a certificate, with one of an authority that nobody knows, without TLS, TLS only. */
type Which = 'proven' | 'stranger' | 'plain' | 'implicit'

interface Floor {
  readonly to: Which
  /** Of `connector-tls`; absent: there is no such line. */
  readonly floor?: (known: { readonly authority: string; readonly pin: string }) => string
  readonly outcome: RegExp
  /** Did it go under TLS? Absent: it did not go at all. */
  readonly secure?: boolean
}

const FLOORS: Readonly<Record<string, Floor>> = {
  'without a floor TLS is used where it is offered': { to: 'stranger', outcome: /relayed/, secure: true },
  'without a floor mail goes in clear where TLS is not offered': { to: 'plain', outcome: /relayed/, secure: false },
  'none: in clear, though TLS is offered': { to: 'proven', floor: () => 'none', outcome: /relayed/, secure: false },
  'require: whoever it is with': { to: 'stranger', floor: () => 'require', outcome: /relayed/, secure: true },
  'require: nothing goes in clear': {
    to: 'plain',
    floor: () => 'require',
    outcome: /deferred: 4\.7\.\d+ .*requires TLS, which is not offered/,
  },
  'verify: the certificate proves the name': {
    to: 'proven',
    floor: ({ authority }) => `verify name localhost ca ${authority}`,
    outcome: /relayed/,
    secure: true,
  },
  'verify: nothing goes to another name': {
    to: 'proven',
    floor: ({ authority }) => `verify name mail.elsewhere.example ca ${authority}`,
    outcome: /deferred: 4\.7\.\d+ .*mail\.elsewhere\.example/,
  },
  'verify: nothing goes to whom nobody vouches for': {
    to: 'stranger',
    floor: ({ authority }) => `verify name localhost ca ${authority}`,
    outcome: /deferred: 4\.7\.\d+ .*not trusted/,
  },
  'pinned: it is that certificate': {
    to: 'proven',
    floor: ({ pin }) => `pinned ${pin}`,
    outcome: /relayed/,
    secure: true,
  },
  'pinned: nothing goes where it is another': {
    to: 'stranger',
    floor: ({ pin }) => `pinned ${pin}`,
    outcome: /deferred: 4\.7\.\d+ .*not the pinned one/,
  },
  'verify, implicit: from the first octet on': {
    to: 'implicit',
    floor: ({ authority }) => `verify name localhost ca ${authority} implicit`,
    outcome: /relayed/,
    secure: true,
  },
}

describe('smtp-server and the TLS floor of a connector', { skip: unmet({ commands: ['openssl'] }) }, () => {
  const servers = new Map<Which, SmtpServer>()
  let us: Postern
  before(async () => {
    const [postern = 0, ...ports] = await freePorts(5)
    const folder = mkdtempSync(join(workDirectory(), 'tls-'))
    const proven = makeCertificates(join(folder, 'proven'))
    const stranger = makeCertificates(join(folder, 'stranger'))
    const shown: Readonly<Record<Which, Certificates | undefined>> = {
      proven,
      stranger,
      plain: undefined,
      implicit: proven,
    }
    const places = new Map<Which, number>()
    for (const [i, [which, tls]] of Object.entries(shown).entries()) {
      const port = ports[i] ?? 0
      places.set(which as Which, port)
      servers.set(which as Which, await startSmtpServer({ port, postern, tls }, { implicit: which === 'implicit' }))
    }
    const pin = new X509Certificate(readFileSync(proven.certificate)).fingerprint256
    const lines = Object.values(FLOORS).flatMap(({ to, floor }, i) => [
      `connector floor-${i} to Peer cost 1 target 127.0.0.1 port ${places.get(to)}`,
      `address-space floor-${i} smtp floor-${i}.example`,
      ...(floor ? [`connector-tls floor-${i} ${floor({ authority: proven.authority, pin })}`] : []),
    ])
    us = await startPostern(postern, { lines })
  })
  after(() => Promise.all([...servers.values()].map(server => server.stop()).concat(stopAll())))

  for (const [i, [rule, { to, outcome, secure }]] of Object.entries(FLOORS).entries()) {
    test(rule, async () => {
      const mailbox = `ann@floor-${i}.example`
      const sent = letter('dot-led lines', { from: SENDER, to: mailbox })
      assert.match(await us.relays(sent, mailbox), outcome)
      assert.equal(servers.get(to)?.cameSecure(sent.token), secure)
    })
  }
})

interface Way {
  readonly mechanisms: readonly string[]
  /** Of `connector-login`. */
  readonly by: string
  readonly wrong?: boolean
  readonly outcome: RegExp
}

const LOGINS: Readonly<Record<string, Way>> = {
  'by LOGIN': { mechanisms: ['LOGIN'], by: 'login', outcome: /relayed/ },
  'by PLAIN': { mechanisms: ['PLAIN', 'LOGIN'], by: 'plain', outcome: /relayed/ },
  'by whatever both have': { mechanisms: ['PLAIN'], by: 'any', outcome: /relayed/ },
  'with a wrong password nothing is sent': {
    mechanisms: ['PLAIN'],
    by: 'any',
    wrong: true,
    outcome: /deferred: .*requires AUTH, which was refused: 535/,
  },
  'where the mechanism is not offered nothing is sent': {
    mechanisms: ['LOGIN'],
    by: 'scram-sha-256',
    outcome: /deferred: .*AUTH/,
  },
}

describe('smtp-server takes mail from who has logged in', { skip: unmet({ commands: ['openssl'] }) }, () => {
  const servers: SmtpServer[] = []
  const [user, password] = ['mail-a', 'pässword with spaces']
  let us: Postern
  before(async () => {
    const [postern = 0, ...ports] = await freePorts(1 + Object.keys(LOGINS).length)
    const folder = mkdtempSync(join(workDirectory(), 'login-'))
    const tls = makeCertificates(join(folder, 'tls'))
    const [right, wrong] = [join(folder, 'right'), join(folder, 'wrong')]
    writeFileSync(right, `${password}\n`)
    writeFileSync(wrong, 'another\n')
    const lines: string[] = []
    for (const [i, { mechanisms, by, wrong: isWrong }] of Object.values(LOGINS).entries()) {
      const port = ports[i] ?? 0
      servers.push(await startSmtpServer({ port, postern, tls }, { account: { user, password, mechanisms } }))
      lines.push(
        `connector login-${i} to Peer cost 1 target 127.0.0.1 port ${port}`,
        `address-space login-${i} smtp login-${i}.example`,
        `connector-tls login-${i} verify name localhost ca ${tls.authority}`,
        `connector-login login-${i} auth ${by} ${user} password-file ${isWrong ? wrong : right} required`,
      )
    }
    us = await startPostern(postern, { lines })
  })
  after(() => Promise.all([...servers.map(server => server.stop()), stopAll()]))

  for (const [i, [way, { outcome }]] of Object.entries(LOGINS).entries()) {
    test(way, async () => {
      const mailbox = `ann@login-${i}.example`
      const sent = letter('dot-led lines', { from: SENDER, to: mailbox })
      const line = await us.relays(sent, mailbox)
      assert.match(line, outcome)
      assert.equal(servers[i]?.cameSecure(sent.token), line.includes(' relayed to ') ? true : undefined)
    })
  }
})
