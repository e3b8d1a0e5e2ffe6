/** A firewall of its own on loopback, and servers to put behind it. */
import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import net from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { ROOT } from './postern.ts'

export interface After {
  after(work: () => void): void
}

/** A server that greets, takes messages, and quotes what it does not know; `said` is all it was ever told. */
export async function quoting(
  t: After,
  { name = 'mail.example', port = 0 }: { readonly name?: string; readonly port?: number } = {},
): Promise<{ readonly port: number; said(): string; close(): void }> {
  let said = ''
  const sockets = new Set<net.Socket>()
  const server = net.createServer(socket => {
    sockets.add(socket)
    let [held, inBody] = ['', false]
    socket.on('error', () => {})
    socket.on('close', () => sockets.delete(socket))
    socket.write(`220 ${name} ESMTP\r\n`)
    socket.on('data', chunk => {
      said += chunk.toString('latin1')
      held += chunk.toString('latin1')
      for (let end = held.indexOf('\n'); end >= 0; end = held.indexOf('\n')) {
        const line = held.slice(0, end).replace(/\r$/, '')
        held = held.slice(end + 1)
        if (inBody) {
          if (line === '.') socket.write('250 2.0.0 Queued\r\n')
          inBody = line !== '.'
        } else if (/^DATA$/i.test(line)) {
          inBody = true
          socket.write('354 Go ahead\r\n')
        } else if (/^QUIT$/i.test(line)) socket.end('221 Bye\r\n')
        else if (/^(?:HELO|EHLO|MAIL|RCPT|RSET|NOOP)\b/i.test(line)) socket.write(`250 ${name}\r\n`)
        else socket.write(`500 5.5.1 Command unrecognized: "${line}"\r\n`)
      }
    })
  })
  server.listen(port, '127.0.0.1')
  await once(server, 'listening')
  const close = () => {
    server.close()
    for (const socket of sockets) socket.destroy()
  }
  t.after(close)
  return { port: (server.address() as net.AddressInfo).port, said: () => said, close }
}

export async function freePort(): Promise<number> {
  const server = net.createServer()
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  const { port } = server.address() as net.AddressInfo
  server.close()
  await once(server, 'close')
  return port
}

/** A configuration in a folder of its own. */
export function configuration(t: After, lines: readonly string[]): string {
  const folder = mkdtempSync(join(tmpdir(), 'firewall-'))
  t.after(() => rmSync(folder, { recursive: true, force: true }))
  const file = join(folder, 'gateway.conf')
  writeFileSync(file, `${lines.join('\n')}\n`)
  return file
}

export const gateway = (port: number, server: number): readonly string[] => [
  'nameif ethernet0 outside security0',
  'nameif ethernet1 inside security100',
  `fixup protocol smtp ${port}`,
  `access-list mail permit tcp any host 127.0.0.1 eq ${port}`,
  `static (inside,outside) tcp 127.0.0.1 ${port} 127.0.0.1 ${server} netmask 255.255.255.255`,
  'access-group mail in interface outside',
]

export interface Started {
  readonly child: ChildProcess
  /** Its standard error, so far. */
  said(): string
  /** Its standard output, so far. */
  printed(): string
  /** Kept once it has said this. */
  says(pattern: RegExp): Promise<void>
  /** Its exit status. */
  over(): Promise<number | null>
}

/** `./postern firewall run FILE`, up. */
export async function start(
  t: After,
  file: string,
  {
    args = [],
    files,
    env = {},
  }: { readonly args?: readonly string[]; readonly files?: number; readonly env?: NodeJS.ProcessEnv } = {},
): Promise<Started> {
  const command = [`${ROOT}/postern`, 'firewall', 'run', file, ...args]
  const limited = files === undefined ? command : ['sh', '-c', `ulimit -n ${files}; exec "$@"`, 'sh', ...command]
  const [program = '', ...rest] = limited
  const child = spawn(program, rest, { cwd: ROOT, env: { ...process.env, ...env } })
  let [said, printed, isOver] = ['', '', false]
  const waiting = new Set<() => void>()
  const wake = () => {
    for (const each of waiting) each()
  }
  t.after(() => child.kill('SIGKILL'))
  child.stderr.on('data', chunk => {
    said += chunk
    wake()
  })
  child.stdout.on('data', chunk => {
    printed += chunk
    wake()
  })
  const ended = once(child, 'close').then(([status]) => {
    isOver = true
    wake()
    return status as number | null
  })
  const says = (pattern: RegExp): Promise<void> =>
    new Promise((resolve, reject) => {
      const look = () => {
        if (!pattern.test(said) && !isOver) return
        waiting.delete(look)
        if (pattern.test(said)) resolve()
        else reject(new Error(`it ended without ${pattern}:\n${said}`))
      }
      waiting.add(look)
      look()
    })
  await says(/listening at/)
  return { child, said: () => said, printed: () => printed, says, over: () => ended }
}

/** Tries again until it holds; for what another process brings about in its own time. */
export async function eventually(holds: () => boolean | Promise<boolean>, wait = 10_000): Promise<void> {
  const until = performance.now() + wait
  while (!(await holds())) {
    if (performance.now() > until) throw new Error(`this did not come about: ${holds}`)
    await new Promise(resolve => setTimeout(resolve, 25))
  }
}
