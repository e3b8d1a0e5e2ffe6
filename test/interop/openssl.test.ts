/** OpenSSL's s_client, which speaks to us by hand under TLS. */
import assert from 'node:assert/strict'
import { type ChildProcess, spawn } from 'node:child_process'
import { mkdtempSync } from 'node:fs'
import { join } from 'node:path'
import { after, before, describe, test } from 'node:test'
import { freePorts, stopAll, workDirectory } from '../../tools/bench/process.ts'
import { type Certificates, makeCertificates } from '../certificates.ts'
import { unmet } from './needs.ts'
import { FAMILIES, type Family, ours, type Postern, startPostern } from './postern.ts'

const FAMILY_NAMES = Object.keys(FAMILIES) as readonly Family[]

describe('openssl s_client', { skip: unmet({ commands: ['openssl'] }) }, () => {
  let us: Postern
  let implicit: number
  let certificates: Certificates
  before(async () => {
    const [port = 0, second = 0] = await freePorts(2)
    implicit = second
    certificates = makeCertificates(mkdtempSync(join(workDirectory(), 'tls-')))
    us = await startPostern(port, { tls: certificates, implicit })
  })
  after(stopAll)

  /** Starts it; it ends at once where the certificate proves nothing. */
  const client = (family: Family, { by, more = [] }: { by: 'starttls' | 'implicit'; more?: readonly string[] }) => {
    const host = FAMILIES[family]
    const port = by === 'starttls' ? us.port : implicit
    const at = host.includes(':') ? `[${host}]:${port}` : `${host}:${port}`
    const start = by === 'starttls' ? ['-starttls', 'smtp', '-name', 'openssl.client.example'] : []
    const proven = ['-CAfile', certificates.authority, '-verify_return_error', '-verify_ip', host]
    return new Spoken(spawn('openssl', ['s_client', '-quiet', '-crlf', '-connect', at, ...start, ...proven, ...more]))
  }

  for (const family of FAMILY_NAMES) {
    for (const by of ['starttls', 'implicit'] as const) {
      for (const version of ['-tls1_2', '-tls1_3']) {
        test(`a message arrives over ${family} ${by} ${version}, and we know nothing of what was said in clear`, async () => {
          const talk = client(family, { by, more: [version] })
          if (by === 'implicit') await talk.hear(/^220 .*\r\n/m)
          else {
            // Of what was said in clear it prints the end of the reply to its EHLO; to us that is forgotten (RFC 3207 §4.2).
            await talk.hear(/^250 .*\r\n/m)
            talk.say('MAIL FROM:<carol@client.example>')
            assert.match(await talk.hear(/^\d{3} .*\r\n/m), /^503/m)
          }
          const token = `openssl-${family}-${by}${version}`
          talk.say('EHLO openssl.client.example')
          const offered = await talk.hear(/^250 .*\r\n/m)
          assert.doesNotMatch(offered, /STARTTLS/, 'under TLS it is not offered again')
          for (const line of ['MAIL FROM:<carol@client.example>', `RCPT TO:<${ours(family)}>`]) {
            talk.say(line)
            assert.match(await talk.hear(/^\d{3} .*\r\n/m), /^250/m, line)
          }
          talk.say('DATA')
          assert.match(await talk.hear(/^\d{3} .*\r\n/m), /^354/m)
          talk.say(`Subject: ${token}\n\nhello\n.`)
          assert.match(await talk.hear(/^\d{3} .*\r\n/m), /^250/m)
          talk.say('QUIT')
          assert.match(await talk.hear(/^\d{3} .*\r\n/m), /^221/m)
          assert.equal(await talk.ended, 0)
          assert.match((await us.arrived(ours(family), token)).toString(), / with ESMTPS id /)
        })
      }
    }
  }

  test('TLS 1.1 is refused', async () => {
    const talk = client('v4', { by: 'starttls', more: ['-tls1_1', '-cipher', 'ALL:@SECLEVEL=0'] })
    assert.notEqual(await talk.ended, 0)
    assert.match(talk.said, /alert protocol version|unsupported protocol|no protocols available/)
  })
})

/** What a program says, waited for piece by piece, and what is said to it. */
class Spoken {
  readonly #child: ChildProcess
  readonly ended: Promise<number | null>
  said = ''
  #heard = 0
  #over = false
  #wake: () => void = () => {}

  constructor(child: ChildProcess) {
    this.#child = child
    for (const stream of [child.stdout, child.stderr]) {
      stream?.on('data', chunk => {
        this.said += chunk.toString('latin1')
        this.#wake()
      })
    }
    child.stdin?.on('error', () => {})
    this.ended = new Promise(resolve => {
      child.on('close', status => {
        this.#over = true
        this.#wake()
        resolve(status)
      })
    })
  }

  say(line: string): void {
    this.#child.stdin?.write(`${line}\n`)
  }

  /** Everything up to where this ends, from where the last one did. */
  async hear(what: RegExp): Promise<string> {
    for (;;) {
      const found = what.exec(this.said.slice(this.#heard))
      if (found) {
        this.#heard += found.index + found[0].length
        return this.said.slice(0, this.#heard).slice(-(found.index + found[0].length))
      }
      assert.ok(!this.#over, `it ended and never said ${what}: ${this.said}`)
      await new Promise<void>(resolve => {
        this.#wake = resolve
      })
    }
  }
}
