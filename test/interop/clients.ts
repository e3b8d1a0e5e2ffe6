/** The tests that a program which sends mail is put to: letters of every kind, to us, over IPv4 and IPv6. */
import assert from 'node:assert/strict'
import { mkdtempSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { after, before, describe, test } from 'node:test'
import { freePorts, stopAll, workDirectory } from '../../tools/bench/process.ts'
import { type Certificates, makeCertificates } from '../certificates.ts'
import type { Said } from '../journeys/postern.ts'
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
  /** Sends a file as an attachment, in a message of its own making. */
  attaches?(errand: Errand): Promise<Said>
}

const FROM = 'carol@client.example'

export function testClient({ name, needs = {}, sends, tls: secure = [], send, attaches }: ClientSuite): void {
  describe(name, { skip: unmet(needs) }, () => {
    let us: Postern
    let folder: string
    let certificates: Certificates
    let implicit: number
    before(async () => {
      const ports = await freePorts(2)
      implicit = ports[1] ?? 0
      folder = mkdtempSync(join(workDirectory(), 'client-'))
      certificates = makeCertificates(join(folder, 'tls'))
      us = await startPostern(ports[0] ?? 0, { tls: certificates, implicit })
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
      assert.match(arrived.toString('latin1', 0, 500), what.tls ? / with ESMTPS id / : / with ESMTP id /)
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
