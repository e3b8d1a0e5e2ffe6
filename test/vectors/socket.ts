/** The whole mail server on a real socket, and a client that plays a vector at it. */
import { mkdtempSync, readFileSync, rmSync } from 'node:fs'
import net from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import tls from 'node:tls'
import { openLogins } from '../../src/app/logins.ts'
import { Mta } from '../../src/app/mta.ts'
import { MemorySpool } from '../../src/io/memory-spool.ts'
import { close, endpointOf, listen } from '../../src/io/sockets.ts'
import { identity, type SecureContext } from '../../src/io/tls.ts'
import { formatMailbox } from '../../src/smtp/address.ts'
import { makeCertificates } from '../certificates.ts'
import { configure, PASSWORDS, STRANGER } from './server.ts'
import { heardPattern, piecesOf, repliesIn, type Sent, sayHeard, type Taken } from './vector.ts'

/** What is taken stays where it can be looked at. */
class KeptSpool extends MemorySpool {
  override async claim(): Promise<readonly []> {
    return []
  }
}

export interface Listening {
  readonly port: number
  /** The server's ends of the connections, in order. */
  readonly accepted: readonly net.Socket[]
  /** Whom the next connections come from. */
  peer: string
  taken(): Promise<readonly Taken[]>
  stop(): Promise<void>
}

let made: SecureContext | undefined

/** A certificate for mx.example.org, made once. */
function testIdentity(): SecureContext {
  if (made) return made
  const folder = mkdtempSync(join(tmpdir(), 'vectors-'))
  try {
    const { certificate, key } = makeCertificates(folder, ['mx.example.org'])
    made = identity(readFileSync(certificate), readFileSync(key))
    return made
  } finally {
    rmSync(folder, { recursive: true, force: true })
  }
}

export async function listening(more?: readonly string[]): Promise<Listening> {
  const spool = new KeptSpool()
  const config = configure(more)
  const mta = new Mta(config, {
    spool,
    dial: () => Promise.reject(new Error('nothing is relayed here')),
    maildir: () => '/nonexistent',
    files: PASSWORDS,
    logins: await openLogins(config, PASSWORDS, file => file),
    identity: testIdentity(),
  })
  const accepted: net.Socket[] = []
  const server = await listen({ host: '127.0.0.1', port: 0 }, socket => {
    accepted.push(socket)
    socket.on('error', () => {})
    mta.serve(socket, at.peer)
  })
  const at: Listening = {
    port: endpointOf(server).port,
    accepted,
    peer: STRANGER,
    async taken() {
      const entries = await spool.list()
      return Promise.all(
        entries.map(async ({ id, envelope: { from, recipients } }) => {
          const pieces: Uint8Array[] = []
          for await (const piece of spool.body(id)) pieces.push(piece)
          return {
            from: from === null ? '' : formatMailbox(from),
            to: recipients.map(({ to }) => formatMailbox(to)),
            content: withoutReceived(Buffer.concat(pieces).toString('latin1')),
          }
        }),
      )
    },
    async stop() {
      for (const socket of accepted) socket.destroy()
      await mta.stop(0)
      await close(server)
    },
  }
  return at
}

/** Without the field that the server put on top. */
function withoutReceived(content: string): string {
  return content.replace(/^Received: .*\r\n(?:[ \t].*\r\n)*/, '')
}

/** How long a reply may take before it counts as silence. */
const PATIENCE = 5000
/** How long is listened for what should not come. */
const QUIET = 25
/** …where it may be either what is expected or its beginning, and where it may also be nothing. */
const OPEN_QUIET = 100
const SILENCE = 500

/** A client that says what it is told, and reads everything. */
export class SocketClient {
  #socket: net.Socket
  readonly #plain: net.Socket
  #heard = ''
  #closed = false
  #closeHeard = false
  #changed: () => void = () => {}

  private constructor(socket: net.Socket) {
    this.#socket = socket
    this.#plain = socket
    this.#listen(socket)
  }

  static async connect(port: number): Promise<SocketClient> {
    const socket = net.connect({ host: '127.0.0.1', port, noDelay: true })
    const client = new SocketClient(socket)
    await new Promise<void>((resolve, reject) => socket.once('connect', resolve).once('error', reject))
    return client
  }

  #listen(socket: net.Socket): void {
    socket.on('data', (chunk: Uint8Array) => {
      this.#heard += Buffer.from(chunk).toString('latin1')
      this.#changed()
    })
    socket.on('error', () => {})
    socket.on('close', () => {
      this.#closed = true
      this.#changed()
    })
  }

  async send(sent: Sent): Promise<void> {
    for (const piece of piecesOf(sent)) {
      if ('wait' in piece) await sleep(piece.wait)
      else if ('tls' in piece) await this.#secure()
      else if ('closeNotify' in piece) this.#closeNotify()
      else if (!this.#closed) this.#socket.write(piece.bytes)
    }
  }

  /** What was heard by the time it is what was expected, or by the time it will not be any more. */
  async hear(expected: string): Promise<{ readonly heard: string; readonly asExpected: boolean }> {
    const pattern = heardPattern(expected)
    // Where more than one thing may be heard, the first that fits may be the beginning of another.
    const isOpen = /[|?*+{]/.test(expected)
    const until = Date.now() + PATIENCE
    for (;;) {
      const heard = sayHeard(repliesIn(this.#heard), this.#closed && !this.#closeHeard)
      const asExpected = pattern.test(heard)
      if (asExpected && isOpen && (await this.#goesOn())) continue
      if (asExpected || Date.now() >= until) {
        this.#heard = ''
        this.#closeHeard = this.#closed
        return { heard, asExpected }
      }
      await new Promise<void>(resolve => {
        const timer = setTimeout(resolve, PATIENCE)
        this.#changed = () => {
          clearTimeout(timer)
          resolve()
        }
      })
    }
  }

  /** Does anything come before it has been quiet for a while? */
  async #goesOn(): Promise<boolean> {
    const [length, closed] = [this.#heard.length, this.#closed]
    if (closed) return false
    await sleep(length === 0 ? SILENCE : OPEN_QUIET)
    return this.#heard.length !== length || this.#closed !== closed
  }

  /** Anything that was said beyond what was expected. */
  async rest(): Promise<string> {
    await sleep(QUIET)
    return this.#heard
  }

  #secure(): Promise<void> {
    const plain = this.#socket
    plain.removeAllListeners('data')
    const secure = tls.connect({ socket: plain, rejectUnauthorized: false })
    this.#socket = secure
    this.#listen(secure)
    return new Promise((resolve, reject) => secure.once('secureConnect', resolve).once('error', reject))
  }

  /** Ends TLS, and goes on in clear: the octet goes out on the socket below. */
  #closeNotify(): void {
    this.#socket.end()
    setImmediate(() => this.#plain.write('X\r\nRSET\r\n'))
  }

  end(): void {
    this.#socket.destroy()
  }
}

export function sleep(milliseconds: number): Promise<void> {
  return new Promise(resolve => setTimeout(resolve, milliseconds))
}
