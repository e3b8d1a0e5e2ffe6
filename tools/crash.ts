/**
 * Kills a mail server again and again while it takes mail and passes it on, and holds it to its word: what it acknowledged
 * arrives, whole; and what it had written down as gone never comes twice.
 *
 *   npm run crash                     200 kills
 *   npm run crash -- --kills 50       so many
 *   npm run crash -- --seed 4711      as in the run that printed this seed: what is sent, and when it is killed
 */
import { type ChildProcess, spawn } from 'node:child_process'
import { createHash } from 'node:crypto'
import { once } from 'node:events'
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import net from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { parseArgs } from 'node:util'
import { readMaildir } from '../src/io/maildir.ts'
import { freePorts } from './bench/process.ts'

export interface CrashReport {
  readonly seed: number
  readonly kills: number
  readonly acknowledged: number
  /** Copies beyond the first: of messages whose end was not written down when the server was killed. */
  readonly duplicates: number
  /** What went wrong; nothing when nothing did. */
  readonly wrong: readonly string[]
}

/** Chance that can be had again (mulberry32). */
function chance(seed: number): () => number {
  let state = seed >>> 0
  return () => {
    state = (state + 0x6d2b79f5) >>> 0
    let mixed = Math.imul(state ^ (state >>> 15), state | 1)
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61)
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32
  }
}

const CLIENTS = 8
/** Longest life of a server that takes mail, in milliseconds. */
const LONGEST_LIFE = 500
/** How long the last one has for what is left, in milliseconds. */
const PATIENCE = 60_000
/** Octets of messages: most are small, some are files of the spool. */
const SIZES = [200, 1_000, 4_000, 4_000, 20_000, 300_000] as const

interface Message {
  readonly token: string
  readonly isLocal: boolean
  readonly content: string
  /** The server's id for it, once it was acknowledged. */
  id?: string
}

/** A message whose content follows from its token. */
function message(token: string, random: () => number): Message {
  const size = SIZES[Math.floor(random() * SIZES.length)] ?? 200
  const line = `${createHash('sha256').update(token).digest('hex')}\r\n`
  const content = `Subject: crash\r\nX-Token: ${token}\r\n\r\n${line.repeat(Math.ceil(size / line.length))}`
  return { token, isLocal: random() < 0.3, content }
}

interface Copy {
  readonly content: string
  /** In which life of the server it came; of one that lies in a Maildir nobody knows. */
  readonly life?: number
}

/** Where relayed mail goes: a server that says 250 to everything, sometimes after a moment. */
class Sink {
  readonly arrived = new Map<string, Copy[]>()
  /** The server's how many-eth life it is. */
  life = 0
  readonly #server: net.Server
  readonly #random: () => number

  constructor(port: number, random: () => number) {
    this.#random = random
    this.#server = net.createServer(socket => this.#serve(socket)).listen(port, '127.0.0.1')
  }

  #serve(socket: net.Socket): void {
    let held = ''
    let content: string | undefined
    socket.on('error', () => {})
    socket.setEncoding('latin1')
    socket.write('220 sink.example ESMTP\r\n')
    socket.on('data', async (chunk: string) => {
      held += chunk
      for (;;) {
        if (content !== undefined) {
          const end = held.indexOf('\r\n.\r\n')
          if (end < 0) return
          this.#take(held.slice(0, end + 2))
          held = held.slice(end + 5)
          content = undefined
          await sleep(this.#random() < 0.3 ? this.#random() * 30 : 0)
          socket.write('250 2.0.0 taken\r\n')
          continue
        }
        const end = held.indexOf('\r\n')
        if (end < 0) return
        const verb = held.slice(0, 4).toUpperCase()
        held = held.slice(end + 2)
        if (verb === 'DATA') content = ''
        socket.write(verb === 'DATA' ? '354 go on\r\n' : verb === 'QUIT' ? '221 bye\r\n' : '250 ok\r\n')
        if (verb === 'QUIT') socket.end()
      }
    })
  }

  #take(content: string): void {
    const token = tokenOf(content)
    this.arrived.set(token, [...(this.arrived.get(token) ?? []), { content, life: this.life }])
  }

  close(): void {
    this.#server.close()
  }
}

const tokenOf = (content: string): string => /^X-Token: (\S+)\r$/m.exec(content)?.[1] ?? '?'

/** A client that hands in message after message over one connection, until the server is gone. */
async function handIn(port: number, messages: () => Message, acknowledged: (message: Message, id: string) => void) {
  const socket = net.connect(port, '127.0.0.1')
  socket.setEncoding('latin1')
  let held = ''
  let wake: () => void = () => {}
  let isOver = false
  socket.on('data', (chunk: string) => {
    held += chunk
    wake()
  })
  for (const event of ['error', 'close'] as const) {
    socket.on(event, () => {
      isOver = true
      wake()
    })
  }
  const hear = async (): Promise<string | undefined> => {
    for (;;) {
      const found = /^(?:\d{3}-[^\n]*\n)*\d{3} [^\n]*\n/.exec(held)
      if (found) {
        held = held.slice(found[0].length)
        return found[0]
      }
      if (isOver) return undefined
      await new Promise<void>(resolve => {
        wake = resolve
      })
    }
  }
  const ask = (line: string): Promise<string | undefined> => {
    socket.write(`${line}\r\n`)
    return hear()
  }
  await hear()
  await ask('EHLO client.example')
  while (!isOver) {
    const next = messages()
    await ask('MAIL FROM:<bob@b.example>')
    await ask(`RCPT TO:<${next.isLocal ? 'alice@a.example' : 'ann@sink.example'}>`)
    if (!(await ask('DATA'))?.startsWith('354')) continue
    const answer = await ask(`${next.content}.`)
    const [, id] = /^250 .*Queued as (\S+)/.exec(answer ?? '') ?? []
    if (id !== undefined) acknowledged(next, id)
  }
}

interface Life {
  readonly child: ChildProcess
  /** What it logged: what it says has become of a message is written down by then. */
  said(): string
}

async function begin(file: string): Promise<Life> {
  const args = [
    '--disable-warning=ExperimentalWarning',
    join(import.meta.dirname, '../src/cli/main.ts'),
    'mta',
    'run',
    file,
  ]
  const child = spawn(process.execPath, args, { stdio: ['ignore', 'ignore', 'pipe'] })
  let said = ''
  child.stderr.on('data', chunk => {
    said += chunk
  })
  while (!said.includes('listening at')) {
    if (child.exitCode !== null) throw new Error(`the server does not start: ${said}`)
    await sleep(5)
  }
  return { child, said: () => said }
}

export async function crash({
  kills,
  seed,
  note = () => {},
}: {
  readonly kills: number
  readonly seed: number
  readonly note?: (line: string) => void
}): Promise<CrashReport> {
  const random = chance(seed)
  const folder = mkdtempSync(join(tmpdir(), 'crash-'))
  const [port = 0, sinkPort = 0] = await freePorts(2)
  const file = join(folder, 'mail.conf')
  writeFileSync(
    file,
    `hostname mail-a.a.example
listen 127.0.0.1 port ${port}
local-domain a.example
mailbox alice@a.example
relay-from 127.0.0.0 255.0.0.0
connector sink to B cost 1 target 127.0.0.1 port ${sinkPort}
address-space sink smtp sink.example
queue retry 200ms
`,
  )
  const sink = new Sink(sinkPort, random)
  const acknowledged: Message[] = []
  let made = 0
  const next = () => message(`t${++made}`, random)
  const lives: string[] = []
  let child: ChildProcess | undefined
  try {
    for (let i = 0; i < kills; i++) {
      const life = await begin(file)
      child = life.child
      sink.life = i
      const after = Math.floor(random() * LONGEST_LIFE)
      const clients = Array.from({ length: CLIENTS }, () =>
        handIn(port, next, (taken, id) => acknowledged.push(Object.assign(taken, { id }))),
      )
      await sleep(after)
      const closed = once(life.child, 'close')
      life.child.kill('SIGKILL')
      await closed
      await Promise.all(clients)
      lives.push(life.said())
      note(`kill ${i + 1} of ${kills}: after ${after} ms, ${acknowledged.length} acknowledged so far`)
    }
    const last = await begin(file)
    child = last.child
    sink.life = kills
    const end = performance.now() + PATIENCE
    const isThere = async (): Promise<boolean> => {
      const local = new Set(
        (await readMaildir(join(folder, 'maildir', 'alice@a.example'))).map(each => tokenOf(`${each}`)),
      )
      return acknowledged.every(({ token, isLocal }) => (isLocal ? local.has(token) : sink.arrived.has(token)))
    }
    while (performance.now() < end && !(await isThere())) await sleep(200)
    const closed = once(last.child, 'close')
    last.child.kill('SIGTERM')
    await closed
    lives.push(last.said())
  } finally {
    child?.kill('SIGKILL')
    sink.close()
  }
  const arrived = new Map(sink.arrived)
  for (const each of await readMaildir(join(folder, 'maildir', 'alice@a.example'))) {
    const content = each.toString('latin1')
    arrived.set(tokenOf(content), [...(arrived.get(tokenOf(content)) ?? []), { content }])
  }
  rmSync(folder, { recursive: true, force: true })

  const wrong: string[] = []
  let duplicates = 0
  for (const { token, id = '', content } of acknowledged) {
    const copies = arrived.get(token) ?? []
    if (copies.length === 0) wrong.push(`${id} (${token}) was acknowledged and is lost`)
    for (const copy of copies) if (!copy.content.endsWith(content)) wrong.push(`${id} (${token}) arrived damaged`)
    // Once it is said that it is gone, that is written down, and it must never go again.
    const gone = new RegExp(`^${id}: <[^>]*> (?:relayed|delivered) to`, 'm')
    const told = lives.flatMap((said, life) => (gone.test(said) ? [life] : []))
    const again = copies.some(({ life }) => life !== undefined && told[0] !== undefined && life > told[0])
    if (told.length > 1 || again) wrong.push(`${id} (${token}) was written down as gone and went again`)
    duplicates += Math.max(0, copies.length - 1)
  }
  return { seed, kills, acknowledged: acknowledged.length, duplicates, wrong }
}

if (import.meta.main) {
  const { values } = parseArgs({ options: { kills: { type: 'string', default: '200' }, seed: { type: 'string' } } })
  const seed = Number(values.seed ?? Math.floor(Math.random() * 2 ** 31))
  console.log(`seed ${seed}`)
  const report = await crash({ kills: Number(values.kills), seed, note: line => console.log(line) })
  const { kills, acknowledged, duplicates, wrong } = report
  console.log(`${kills} kills, ${acknowledged} messages acknowledged, ${duplicates} duplicates, ${wrong.length} wrong`)
  for (const line of wrong) console.log(`✖ ${line}`)
  process.exitCode = wrong.length > 0 ? 1 : 0
}
