/** The tests that a program which sends mail is put to: letters of every kind, to us, over IPv4 and IPv6. */
import assert from 'node:assert/strict'
import { mkdtempSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { after, before, describe, test } from 'node:test'
import { freePorts, stopAll, workDirectory } from '../../tools/bench/process.ts'
import { type Certificates, makeCertificates } from '../certificates.ts'
import type { Said } from '../journeys/postern.ts'
import { until } from '../mail-servers.ts'
import { assertSame, attachment, BINARY, digest, type Kind, type Letter, letter } from './letter.ts'
import { type Needs, unmet } from './needs.ts'
import { FAMILIES, type Family, ours, type Postern, startPostern } from './postern.ts'

/** What a client is asked to do. */
export interface Errand {
  readonly family: Family
  readonly host: string
  readonly port: number
  readonly from: string
  readonly to: string
  /** Where what shall be sent lies in a file, as `content`. */
  readonly file: string
  readonly content: Buffer
  /** To stand in the subject where the client writes the header itself. */
  readonly token: string
  readonly tls?: Tls
  readonly login?: Login
}

export interface Login {
  readonly user: string
  readonly password: string
  /** The mechanism's name, in capitals. */
  readonly by: string
}

export interface Tls {
  /** By STARTTLS, or from the first octet on. */
  readonly by: 'starttls' | 'implicit'
  /** Who signed our certificate, as PEM in a file. */
  readonly authority: string
}

export interface ClientSuite {
  readonly name: string
  readonly needs?: Needs
  readonly sends: readonly Kind[]
  /** How it can come under TLS. */
  readonly tls?: readonly Tls['by'][]
  send(errand: Errand, letter: Letter): Promise<Said>
  /** The mechanisms it can log in by, and with what password. */
  readonly logins?: Readonly<Record<string, keyof typeof ACCOUNTS>>
  /** Sends a file as an attachment, in a message of its own making. */
  attaches?(errand: Errand): Promise<Said>
}

/**
 * Passwords with what a shell, a URL and base64 might stumble over; not every client can say one outside ASCII. The `ª` of
 * the other is an `a` where a mechanism prepares passwords (RFC 4013 §3).
 */
const ACCOUNTS = {
  ascii: { user: 'carol', password: 'pass word%:@"\\' },
  utf8: { user: 'karl', password: 'Paßwort ª 密码' },
} as const
const FROM = 'carol@client.example'

export function testClient({
  name,
  needs = {},
  sends,
  tls: secure = [],
  logins = {},
  send,
  attaches,
}: ClientSuite): void {
  describe(name, { skip: unmet({ ...needs, commands: ['openssl', ...(needs.commands ?? [])] }) }, () => {
    let us: Postern
    let folder: string
    let certificates: Certificates
    let implicit: number
    before(async () => {
      const ports = await freePorts(2)
      implicit = ports[1] ?? 0
      folder = mkdtempSync(join(workDirectory(), 'client-'))
      certificates = makeCertificates(join(folder, 'tls'))
      const lines = Object.values(ACCOUNTS).map(({ user, password }) => {
        const file = join(folder, user)
        writeFileSync(file, `${password}\n`)
        return `login ${user} password-file ${file}`
      })
      us = await startPostern(ports[0] ?? 0, { tls: certificates, implicit, lines: [...lines, 'ntlm'] })
    })
    after(stopAll)

    const errand = (family: Family, token: string, content: Buffer, by?: Tls['by']): Errand => {
      const file = join(folder, token)
      writeFileSync(file, content)
      const port = by === 'implicit' ? implicit : us.port
      const what = { family, host: FAMILIES[family], port, from: FROM, to: ours(family), file, content, token }
      return by ? { ...what, tls: { by, authority: certificates.authority } } : what
    }
    const arrives = async (what: Errand, sent: Letter): Promise<void> => {
      const { status, out, err } = await send(what, sent)
      assert.equal(status, 0, `${out}\n${err}\n${us.said()}`)
      const arrived = await us.arrived(what.to, sent.token)
      assertSame(arrived, sent.content)
      // Our own field, which stands on top, says by what it came (RFC 3848).
      const by = `ESMTP${what.tls ? 'S' : ''}${what.login ? 'A' : ''}`
      assert.ok(arrived.toString('latin1', 0, 500).includes(` with ${by} id `), `not by ${by}`)
    }
    for (const family of ['v4', 'v6'] as const) {
      const wire = family === 'v4' ? 'IPv4' : 'IPv6'
      for (const kind of sends) {
        test(`${name} sends ${kind} over ${wire}, and it arrives as it was`, async () => {
          const sent = letter(kind, { from: FROM, to: ours(family) })
          await arrives(errand(family, sent.token, sent.content), sent)
        })
      }
      for (const by of secure) {
        // Large ones once: what is under TLS is the same.
        for (const kind of by === 'starttls' && family === 'v6'
          ? (['8-bit', '25 MB'] as const)
          : (['8-bit'] as const)) {
          test(`${name} sends ${kind} over ${wire} under TLS (${by}), and it arrives as it was`, async () => {
            const sent = letter(kind, { from: FROM, to: ours(family) })
            await arrives(errand(family, sent.token, sent.content, by), sent)
          })
        }
      }
      for (const [by, which] of family === 'v4' ? Object.entries(logins) : []) {
        const account = ACCOUNTS[which]
        test(`${name} logs in by ${by} under TLS (${which}); with another password it does not, and sends nothing`, async () => {
          const sent = letter('dot-led lines', { from: FROM, to: ours(family) })
          const what = errand(family, sent.token, sent.content, 'starttls')
          await arrives({ ...what, login: { ...account, by } }, sent)
          assert.ok(us.said().includes(` logged in as ${account.user} by ${by}\n`), us.said())
          const wrong = { ...what, login: { ...account, password: 'wrong', by } }
          const { status, out, err } = await send(wrong, sent)
          assert.notEqual(status, 0, `${out}\n${err}\n${us.said()}`)
          // What is logged in a turn of the loop leaves behind the replies of that turn.
          await until(() => new RegExp(` did not log in.* by ${by}: `).test(us.said()), us.said)
          assert.ok(!us.said().includes(account.password), 'no password is said')
        })
      }
      if (!attaches) continue
      test(`${name} attaches binary over ${wire}, and it arrives as it was`, async () => {
        const token = `binary-${family}-${Math.random().toString(36).slice(2)}`
        const { status, out, err } = await attaches(errand(family, token, BINARY))
        assert.equal(status, 0, `${out}\n${err}\n${us.said()}`)
        assert.equal(digest(attachment(await us.arrived(ours(family), token))), digest(BINARY))
      })
    }
  })
}
