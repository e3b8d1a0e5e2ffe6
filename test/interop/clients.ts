/** The tests that a program which sends mail is put to: letters of every kind, to us, over IPv4 and IPv6. */
import assert from 'node:assert/strict'
import { mkdtempSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { after, before, describe, test } from 'node:test'
import { freePorts, stopAll, workDirectory } from '../../tools/bench/process.ts'
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
}

export interface ClientSuite {
  readonly name: string
  readonly needs?: Needs
  readonly sends: readonly Kind[]
  send(errand: Errand, letter: Letter): Promise<Said>
  /** Sends a file as an attachment, in a message of its own making. */
  attaches?(errand: Errand): Promise<Said>
}

const FROM = 'carol@client.example'

export function testClient({ name, needs = {}, sends, send, attaches }: ClientSuite): void {
  describe(name, { skip: unmet(needs) }, () => {
    let us: Postern
    let folder: string
    before(async () => {
      const [port = 0] = await freePorts(1)
      us = await startPostern(port)
      folder = mkdtempSync(join(workDirectory(), 'client-'))
    })
    after(stopAll)

    const errand = (family: Family, token: string, content: Buffer): Errand => {
      const file = join(folder, token)
      writeFileSync(file, content)
      return { family, host: FAMILIES[family], port: us.port, from: FROM, to: ours(family), file, content, token }
    }
    for (const family of ['v4', 'v6'] as const) {
      const wire = family === 'v4' ? 'IPv4' : 'IPv6'
      for (const kind of sends) {
        test(`${name} sends ${kind} over ${wire}, and it arrives as it was`, async () => {
          const sent = letter(kind, { from: FROM, to: ours(family) })
          const { status, out, err } = await send(errand(family, sent.token, sent.content), sent)
          assert.equal(status, 0, `${out}\n${err}\n${us.said()}`)
          assertSame(await us.arrived(ours(family), sent.token), sent.content)
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
