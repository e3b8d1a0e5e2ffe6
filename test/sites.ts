/** Mail servers of several sites on real sockets of 127.0.0.1, joined by links that can be cut. */
import assert from 'node:assert/strict'
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { openLogins } from '../src/app/logins.ts'
import { Mta } from '../src/app/mta.ts'
import { submit } from '../src/app/submission.ts'
import { bytes } from '../src/base/bytes.ts'
import { parse } from '../src/config/parse.ts'
import { Inspector } from '../src/firewall/inspector.ts'
import type { Policy } from '../src/firewall/policy.ts'
import { maildirOf, readMaildir } from '../src/io/maildir.ts'
import { MemorySpool } from '../src/io/memory-spool.ts'
import { close, type Duplex, dial, type Endpoint, endpointOf, listen, type Server } from '../src/io/sockets.ts'
import { splice } from '../src/io/splice.ts'
import { MTA } from '../src/mta/commands.ts'
import type { MtaConfig } from '../src/mta/config.ts'
import { parseMailbox } from '../src/smtp/address.ts'

/** How long a test waits for what must come about. */
const PATIENCE = 20_000

export interface Link {
  readonly to: string
  readonly cost: number
}

/** The text of one site's server: its own connectors, and what timers and method it has. */
export function textOf(
  site: string,
  links: readonly Link[],
  sites: readonly string[],
  more: readonly string[],
): string {
  const low = site.toLowerCase()
  const ip = (of: string) => `10.0.0.${sites.indexOf(of) + 1}`
  return [
    `hostname mail.${low}.example`,
    `local-domain ${low}.example`,
    `mailbox user@${low}.example`,
    'relay-from 10.0.0.0 255.255.255.0',
    'auth-without-tls',
    ...sites.filter(each => each !== site).map(each => `login mail-${each} password-file ${each}`),
    ...sites.filter(each => each !== site).map(each => `link-state peer mail-${each}`),
    'organization Contoso',
    `routing-group ${site}`,
    ...links.flatMap(({ to, cost }) => [
      `connector ${site}-${to} to ${to} cost ${cost} target ${ip(to)}`,
      `connector-login ${site}-${to} auth login mail-${site} password-file ${site} required`,
    ]),
    'queue retry 1h',
    'link-state glitch-retries 1',
    ...['glitch-retry', 'probe', 'publish', 'retell'].map(timer => `link-state timer ${timer} 100ms`),
    ...more,
  ].join('\n')
}

export class Sites {
  readonly mtas: Map<string, Mta> = new Map()
  readonly notes: string[] = []
  /** `AB`: whoever calls from A to B is refused, and the other way. */
  readonly cut: Set<string> = new Set()
  /** What looks at connections from one site to another. */
  readonly policies: Map<string, Policy> = new Map()
  readonly spoken: string[] = []
  readonly #folder = mkdtempSync(join(tmpdir(), 'postern-sites-'))
  readonly #at = new Map<string, Endpoint>()
  readonly #servers: Server[] = []
  readonly #names: readonly string[]
  readonly #open = new Map<Duplex, readonly [string, string]>()

  private constructor(names: readonly string[]) {
    this.#names = names
  }

  static async start(texts: Readonly<Record<string, string>>): Promise<Sites> {
    const sites = new Sites(Object.keys(texts))
    for (const [site, text] of Object.entries(texts)) {
      const { config, problems } = parse(MTA, text, `${site}.conf`)
      assert.deepEqual(problems, [])
      await sites.#begin(site, config)
    }
    for (const mta of sites.mtas.values()) mta.start()
    return sites
  }

  async #begin(site: string, config: MtaConfig): Promise<void> {
    const files = new Map(this.#names.map(each => [each, `secret of ${each}`]))
    const mta = new Mta(config, {
      spool: new MemorySpool(),
      files,
      logins: await openLogins(config, files, file => file),
      dial: ip => this.#dial(site, this.#names[Number(ip.split('.')[3]) - 1] ?? ''),
      maildir: mailbox => maildirOf(this.#folder, mailbox),
      events: {
        note: what => this.notes.push(`${site}: ${what}`),
        line: (session, direction, by, text) => this.spoken.push(`${site} ${session} ${direction} ${by}: ${text}`),
      },
    })
    this.mtas.set(site, mta)
    const peer = `10.0.0.${this.#names.indexOf(site) + 1}`
    const server = await listen({ host: '127.0.0.1', port: 0 }, socket => {
      socket.on('error', () => {})
      mta.serve(socket, peer)
    })
    this.#servers.push(server)
    this.#at.set(site, endpointOf(server))
  }

  async #dial(from: string, to: string): Promise<Duplex> {
    const at = this.#at.get(to)
    if (!at || this.#isCut(from, to)) throw new Error(`no way from ${from} to ${to}`)
    const socket = await this.#through(from, to, at)
    this.#open.set(socket, [from, to])
    socket.on('close', () => this.#open.delete(socket))
    return socket
  }

  /** By way of a firewall of one policy, where there is one. */
  async #through(from: string, to: string, at: Endpoint): Promise<Duplex> {
    const policy = this.policies.get(`${from}${to}`)
    if (!policy) return dial(at)
    const middle = await listen({ host: '127.0.0.1', port: 0 }, async near => {
      near.on('error', () => {})
      splice(near, await dial(at), new Inspector(policy), () => {})
    })
    const socket = await dial(endpointOf(middle))
    socket.on('close', () => void close(middle))
    return socket
  }

  #isCut(from: string, to: string): boolean {
    return this.cut.has(`${from}${to}`) || this.cut.has(`${to}${from}`)
  }

  sever(link: string): void {
    this.cut.add(link)
    for (const [socket, [from, to]] of this.#open) if (this.#isCut(from, to)) socket.destroy()
  }

  heal(link: string): void {
    this.cut.delete(link)
  }

  at(site: string): Mta {
    const found = this.mtas.get(site)
    if (!found) throw new Error(site)
    return found
  }

  digests(): ReadonlySet<string> {
    return new Set([...this.mtas.values()].map(({ routing }) => routing.service.engine.digest))
  }

  /** The groups that mail from a site to another comes through, or why it waits. */
  way(from: string, to: string): string {
    const { routing } = this.at(from)
    const found = routing.service.route({ to: { local: 'user', domain: `${to.toLowerCase()}.example` } }, 0)
    if (found.kind === 'unreachable') return found.kind
    return `${found.kind} ${found.path.map(group => routing.names.get(group)).join(' ')} ${found.cost}`
  }

  async send(from: string, to: string | readonly string[], subject: string): Promise<void> {
    const [sender, ...recipients] = [from, ...[to].flat()].map(site => {
      const read = parseMailbox(`user@${site.toLowerCase()}.example`)
      assert.ok(!('wrong' in read))
      return read
    })
    const at = this.#at.get(from)
    assert.ok(at && sender)
    const folder = { entry: from, from: sender, to: recipients }
    assert.equal(await submit(at, folder, bytes(`Subject: ${subject}\r\n\r\nHello\r\n`)), undefined)
  }

  /** Received fields of the message with this subject, newest first: the hosts that took it. */
  async arrived(to: string, subject: string): Promise<readonly string[] | undefined> {
    const mails = await readMaildir(maildirOf(this.#folder, `user@${to.toLowerCase()}.example`))
    const found = mails.map(each => each.toString('latin1')).find(each => each.includes(`Subject: ${subject}\r\n`))
    return found === undefined
      ? undefined
      : [...found.matchAll(/^Received: .*?by (\S+)/gms)].map(([, host]) => host ?? '')
  }

  /** What a site's user was told of mail that could not be delivered. */
  async report(site: string): Promise<string | undefined> {
    const mails = await readMaildir(maildirOf(this.#folder, `user@${site.toLowerCase()}.example`))
    return mails.map(each => each.toString('latin1')).find(each => each.includes('report-type=delivery-status'))
  }

  async until(what: string, so: () => boolean | Promise<boolean>): Promise<void> {
    const end = Date.now() + PATIENCE
    while (!(await so())) {
      assert.ok(
        Date.now() < end,
        `in ${PATIENCE} ms it did not come about that ${what}; notes:\n${this.notes.join('\n')}`,
      )
      await new Promise(resolve => setTimeout(resolve, 20))
    }
  }

  async stop(): Promise<void> {
    await Promise.all([...this.mtas.values()].map(mta => mta.stop(0)))
    for (const socket of this.#open.keys()) socket.destroy()
    await Promise.all(this.#servers.map(close))
    rmSync(this.#folder, { recursive: true, force: true })
  }
}
