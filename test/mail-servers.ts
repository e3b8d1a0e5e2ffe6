/** Mail servers in this process, for tests that have them talk: ours by its lines, and one that answers as it is told. */
import assert from 'node:assert/strict'
import { once } from 'node:events'
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import net from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after } from 'node:test'
import { setTimeout as sleep } from 'node:timers/promises'
import { MailServer, type MailServerWorld, readMailServer } from '../src/app/mail-server.ts'
import { parse } from '../src/config/parse.ts'
import { readMaildir } from '../src/io/maildir.ts'
import { MemorySpool } from '../src/io/memory-spool.ts'
import { MTA } from '../src/mta/commands.ts'
import type { MtaConfig } from '../src/mta/config.ts'
import { sayNews } from '../src/mta/news.ts'
import type { Connector } from '../src/routing/connector.ts'
import { Talk } from './journeys/postern.ts'

/** A folder for what the servers of this file need and keep. */
export const ROOT: string = mkdtempSync(join(tmpdir(), 'mail-servers-'))
after(() => rmSync(ROOT, { recursive: true, force: true }))

export interface Running {
  readonly server: MailServer
  readonly notes: readonly string[]
  /** What was said, either way: `out C: EHLO a.example`. */
  readonly said: readonly string[]
  /** What became of each try, for each recipient: the last line of a message's trail. */
  readonly tried: readonly string[]
  /** A message that came for it, and fits. */
  arrived(mailbox: string, what?: RegExp): Promise<string>
  /** Puts these lines in force instead. */
  reload(lines: readonly string[]): Promise<void>
  stop(): Promise<void>
}

/** The first lines of a server that relays for whoever is on this machine. */
export const relaying = (port: number): readonly string[] => [
  'hostname mail-a.a.example',
  `listen 127.0.0.1 port ${port}`,
  'relay-from 127.0.0.0 255.0.0.0',
]

/** A configuration whose one connector leaves it to DNS where mail goes. */
export function leftToDns(more: readonly string[] = []): { readonly config: MtaConfig; readonly connector: Connector } {
  const lines = ['hostname a.example', 'smtp-connector out cost 1 dns', 'address-space out smtp *', ...more]
  const { config } = parse(MTA, lines.join('\n'), 'mail.conf')
  const [connector] = config.routing.connectors
  assert.ok(connector)
  return { config, connector }
}

let count = 0

/** A mail server with these lines. */
export async function run(lines: readonly string[], world: Partial<MailServerWorld> = {}): Promise<Running> {
  const name = `server-${++count}`
  const file = join(ROOT, `${name}.conf`)
  const write = (lines: readonly string[]) => writeFileSync(file, `${lines.join('\n')}\n`)
  write(lines)
  const [notes, said, tried]: [string[], string[], string[]] = [[], [], []]
  const maildir = join(ROOT, name)
  const server = await MailServer.start(await readMailServer(file), {
    spool: new MemorySpool(),
    maildir,
    ...world,
    events: {
      note: what => notes.push(what),
      line: (_id, direction, by, text) => said.push(`${direction} ${by}: ${text}`),
      tell(event) {
        if (event.kind === 'message' && event.news.kind === 'tried') tried.push(sayNews(event.news))
      },
    },
  })
  return {
    server,
    notes,
    said,
    tried,
    async arrived(mailbox, what = /^/) {
      for (let i = 0; i < 500; i++) {
        const all = await readMaildir(join(maildir, mailbox)).catch(() => [])
        const found = all.map(each => each.toString()).find(each => what.test(each))
        if (found !== undefined) return found
        await sleep(20)
      }
      throw new Error(`nothing arrived for ${mailbox}:\n${[...notes, ...said].join('\n')}`)
    },
    async reload(lines) {
      write(lines)
      assert.deepEqual(await server.configure(await readMailServer(file)), [])
    },
    stop: () => server.stop({ grace: 0 }),
  }
}

export interface Letter {
  readonly from?: string
  /** Each may have its parameters behind it. */
  readonly to: string | readonly string[]
  readonly params?: string
  readonly content?: string | Buffer
}

/** Hands a letter in; the last reply. */
export async function handIn(port: number, letter: string | Letter): Promise<string> {
  const { from = 'bob@b.example', to, params = '', content } = typeof letter === 'string' ? { to: letter } : letter
  const talk = await Talk.to(`127.0.0.1:${port}`)
  await talk.hear()
  const rcpts = (typeof to === 'string' ? [to] : to).map(each => {
    const [address = '', ...rest] = each.split(' ')
    return `RCPT TO:<${[`${address}>`, ...rest].join(' ')}`
  })
  for (const line of ['EHLO c.example', `MAIL FROM:<${from}>${params}`, ...rcpts, 'DATA']) {
    assert.match(await talk.ask(line), /^[23]5[04]/, line)
  }
  talk.say(content ?? 'Subject: it waited\r\n\r\nhello\r\n')
  talk.say('.\r\n')
  const reply = await talk.hear()
  talk.close()
  return reply
}

export async function until(what: () => boolean, why: () => string): Promise<void> {
  for (let i = 0; i < 500 && !what(); i++) await sleep(20)
  assert.ok(what(), why())
}

/** What one connection to a server of `answering` was told, command by command; a message is one, too. */
export interface Told {
  readonly lines: string[]
  /** What came between DATA and the dot, or in chunks. */
  readonly messages: string[]
}

export interface Answering {
  readonly port: number
  readonly connections: readonly Told[]
  /** Cuts every connection there is. */
  hangUp(): void
  close(): void
}

/** A server that takes everything; `answer` may answer a command, or the end of a message (`.`), its own way. */
export async function answering({
  offers = [],
  answer = () => undefined,
  ip = '127.0.0.1',
  port = 0,
  path,
}: {
  readonly offers?: readonly string[]
  readonly answer?: (line: string, told: Told) => string | undefined
  readonly ip?: string
  readonly port?: number
  /** A socket of the file system instead of a port. */
  readonly path?: string
} = {}): Promise<Answering> {
  const connections: Told[] = []
  const sockets = new Set<net.Socket>()
  const server = net.createServer(socket => {
    sockets.add(socket)
    socket.on('error', () => {})
    const told: Told = { lines: [], messages: [] }
    connections.push(told)
    let held = ''
    let body: string[] | undefined
    let chunk = 0
    const say = (reply: string) => socket.write(`${reply}\r\n`)
    socket.write('220 b.example\r\n')
    socket.on('data', octets => {
      held += octets.toString('latin1')
      for (;;) {
        if (chunk > 0) {
          if (held.length < chunk) return
          told.messages.push(held.slice(0, chunk))
          held = held.slice(chunk)
          chunk = 0
          say(answer('.', told) ?? '250 2.0.0 queued')
          continue
        }
        const at = held.indexOf('\r\n')
        if (at < 0) return
        const line = held.slice(0, at)
        held = held.slice(at + 2)
        if (body && line !== '.') body.push(line.replace(/^\./, ''))
        else if (body) {
          told.messages.push(body.map(each => `${each}\r\n`).join(''))
          body = undefined
          say(answer('.', told) ?? '250 2.0.0 queued')
        } else {
          told.lines.push(line)
          const own = answer(line, told)
          if (own !== undefined) {
            say(own)
            if (line === 'DATA' && own.startsWith('354')) body = []
          } else if (/^(?:EHLO|LHLO)/.test(line)) {
            const all = ['b.example', ...offers]
            say(all.map((each, i) => `250${i < all.length - 1 ? '-' : ' '}${each}`).join('\r\n'))
          } else if (line === 'DATA') {
            body = []
            say('354 go ahead')
          } else if (line.startsWith('BDAT ')) chunk = Number(line.split(' ')[1])
          else if (line === 'QUIT') socket.end('221 bye\r\n')
          else say('250 2.0.0 ok')
        }
      }
    })
  })
  if (path === undefined) server.listen(port, ip)
  else server.listen(path)
  await once(server, 'listening')
  const address = server.address()
  return {
    port: typeof address === 'object' && address ? address.port : 0,
    connections,
    hangUp: () => {
      for (const socket of sockets) socket.destroy()
    },
    close: () => server.close(),
  }
}
