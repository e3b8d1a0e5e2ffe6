/** Calls the program as a person does, and gathers what it says. */
import { spawn } from 'node:child_process'
import net from 'node:net'
import { fileURLToPath } from 'node:url'

export const ROOT: string = fileURLToPath(new URL('../..', import.meta.url))

export interface Said {
  readonly status: number
  readonly out: string
  readonly err: string
}

/** Runs `./postern …` to its end. */
export function postern(args: readonly string[], options: { readonly env?: NodeJS.ProcessEnv } = {}): Promise<Said> {
  return run(`${ROOT}/postern`, args, options)
}

export function run(
  command: string,
  args: readonly string[],
  { env = {}, input = '' }: { readonly env?: NodeJS.ProcessEnv; readonly input?: string | Uint8Array } = {},
): Promise<Said> {
  const child = spawn(command, args, { cwd: ROOT, env: { ...process.env, NO_COLOR: '1', ...env } })
  let [out, err] = ['', '']
  child.stdout.on('data', chunk => {
    out += chunk
  })
  child.stderr.on('data', chunk => {
    err += chunk
  })
  child.stdin.on('error', () => {})
  child.stdin.end(input)
  return new Promise((resolve, reject) => {
    child.on('error', reject)
    child.on('close', status => resolve({ status: status ?? 128, out, err }))
  })
}

/** A client that says exact octets and hears replies, for use from within `lab exec`. */
export class Talk {
  readonly #socket: net.Socket
  #held = ''
  #over = false
  #wake: () => void = () => {}

  private constructor(socket: net.Socket) {
    this.#socket = socket
    socket.setNoDelay(true)
    socket.on('data', chunk => {
      this.#held += chunk.toString('latin1')
      this.#wake()
    })
    for (const event of ['end', 'close', 'error'] as const) {
      socket.on(event, () => {
        this.#over = true
        this.#wake()
      })
    }
  }

  static to(endpoint: string): Promise<Talk> {
    const [host = '', port = ''] = endpoint.split(':')
    return new Promise((resolve, reject) => {
      const socket = net.connect({ host, port: Number(port) })
      socket.once('error', reject)
      socket.once('connect', () => resolve(new Talk(socket)))
    })
  }

  say(octets: string | Uint8Array): void {
    this.#socket.write(typeof octets === 'string' ? Buffer.from(octets, 'latin1') : octets)
  }

  /** The next whole reply, every line of it; what was held when the peer closed, if it closed first. */
  async hear(): Promise<string> {
    for (;;) {
      const found = /^(?:\d{3}-[^\n]*\r\n)*\d{3}(?: [^\n]*)?\r\n/.exec(this.#held)
      if (found || this.#over) {
        const heard = found?.[0] ?? this.#held
        this.#held = this.#held.slice(heard.length)
        return heard
      }
      await new Promise<void>(resolve => {
        this.#wake = resolve
      })
    }
  }

  async ask(line: string): Promise<string> {
    this.say(`${line}\r\n`)
    return this.hear()
  }

  close(): void {
    this.#socket.destroy()
  }
}
