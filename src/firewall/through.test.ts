/** A proxy between octets and a model server, in one synchronous call and in virtual time. Shared by its tests. */
import { bytes, copy, text } from '../base/bytes.ts'
import type { Instant } from '../base/time.ts'
import type { Cause } from './policy.ts'
import { type StrictChanges, strict } from './profiles/strict.ts'
import { type ProxyOptions, type ProxyOutput, type ProxyPolicy, SmtpProxy } from './proxy.ts'
import type { Explanation } from './verdict.ts'

/** A server on the other side. What it returns it says. */
export interface Backend {
  open(): string
  receive(octets: Uint8Array): string
  /** The connection is over. */
  end(): void
  /** TLS stands with it. Without this, the test says what becomes of a handshake. */
  secured?(): void
  /** It closed the connection. */
  readonly closed?: boolean
}

/** What a handshake comes to. */
export const SECURE = { protocol: 'TLSv1.3', cipher: 'TLS_AES_256_GCM_SHA384' } as const

export const CAUSE: Cause = {
  at: { file: 'firewall.conf', line: 3, column: 1, length: 6, text: 'inspect smtp strict' },
  command: 'inspect smtp strict',
  cure: 'no inspect smtp strict',
}

export function strictly(changes: StrictChanges = {}): ProxyPolicy {
  return strict(CAUSE, changes)
}

/** The lines of a firewall before one server, without any that inspects. */
export const BEFORE_A_SERVER: readonly string[] = [
  'nameif ethernet0 outside security0',
  'nameif ethernet1 inside security100',
  'access-list mail permit tcp any any',
  'access-group mail in interface outside',
  'static (inside,outside) tcp 192.0.2.5 25 10.0.0.5 2526 netmask 255.255.255.255',
]

export class Through {
  readonly proxy: SmtpProxy
  readonly explanations: Explanation[] = []
  /** What went to the server, a connection each. */
  readonly sent: string[] = []
  now: Instant = 0
  heard = ''
  closed = false
  tls: ('client' | 'server')[] = []
  readonly #makeBackend: () => Backend
  #backend: Backend | undefined
  /** After every reply of the server, once the proxy has it. */
  onReply: (() => void) | undefined

  constructor(makeBackend: () => Backend, policy: ProxyPolicy = strictly(), options: Partial<ProxyOptions> = {}) {
    this.#makeBackend = makeBackend
    this.proxy = new SmtpProxy({
      policy,
      host: 'fw.example',
      client: { address: '192.0.2.7' },
      canSecure: false,
      ...options,
    })
    this.#carryOut(this.proxy.open(this.now))
  }

  /** The client says this; what it hears for it. */
  say(words: string, cut: number = words.length): string {
    const octets = bytes(words)
    const from = this.heard.length
    for (let at = 0; at < octets.length; at += cut) this.send(octets.subarray(at, at + cut))
    return this.heard.slice(from)
  }

  send(octets: Uint8Array): void {
    if (!this.closed) this.#carryOut(this.#receive('client', octets))
  }

  /** One after the other, as a client that waits for each reply. */
  talk(...lines: readonly string[]): readonly string[] {
    return lines.map(line => this.say(`${line}\r\n`).replace(/\r\n$/, ''))
  }

  server(words: string): string {
    const from = this.heard.length
    this.#carryOut(this.#receive('server', bytes(words)))
    return this.heard.slice(from)
  }

  do(work: (proxy: SmtpProxy, now: Instant) => readonly ProxyOutput[]): string {
    const from = this.heard.length
    this.#carryOut(work(this.proxy, this.now))
    return this.heard.slice(from)
  }

  /** Time goes on, and every deadline on the way is kept. */
  pass(span: number): string {
    const from = this.heard.length
    const until = this.now + span
    while (!this.closed && this.proxy.deadline !== undefined && this.proxy.deadline <= until) {
      this.now = Math.max(this.now, this.proxy.deadline)
      this.#carryOut(this.proxy.tick(this.now))
    }
    this.now = until
    return this.heard.slice(from)
  }

  /** In memory that is used for something else afterwards, as a socket's is. */
  #receive(from: 'client' | 'server', octets: Uint8Array): readonly ProxyOutput[] {
    const lent = copy(octets)
    const outputs = this.proxy
      .receive(from, lent, this.now)
      .map(output => (output.kind === 'write' ? { ...output, bytes: copy(output.bytes) } : output))
    lent.fill(0x5a)
    return outputs
  }

  #carryOut(outputs: readonly ProxyOutput[]): void {
    for (const output of outputs) {
      switch (output.kind) {
        case 'altered':
          this.explanations.push(output.explanation)
          break
        case 'start-tls':
          this.tls.push(output.at)
          if (output.at === 'client' || !this.#backend?.secured) break
          this.#backend.secured()
          this.#carryOut(this.proxy.secured('server', SECURE, this.now))
          break
        case 'dial':
          this.#backend = this.#makeBackend()
          this.sent.push('')
          this.#carryOut(this.proxy.connected(this.now))
          this.#reply(this.#backend.open())
          break
        case 'close':
          if (output.at === 'client') this.closed = true
          else {
            this.#backend?.end()
            this.#backend = undefined
          }
          break
        default:
          if (output.to === 'client') this.heard += text(output.bytes)
          else {
            this.sent.push(`${this.sent.pop() ?? ''}${text(output.bytes)}`)
            if (this.#backend) this.#reply(this.#backend.receive(output.bytes))
          }
      }
    }
  }

  #reply(words: string): void {
    // One reply at a time: between two of them the proxy must be where the server was.
    for (const each of words.match(/(?:\d{3}-[^\n]*\n)*\d{3}(?: [^\n]*)?\n/g) ?? []) {
      const backend = this.#backend
      const outputs = this.#receive('server', bytes(each))
      // A server whose connection was given up in the same breath has nothing to be compared with.
      if (!outputs.some(output => output.kind === 'close' && output.at === 'server')) this.onReply?.()
      this.#carryOut(outputs)
      if (backend !== this.#backend) return
    }
    if (!this.#backend?.closed) return
    this.#backend = undefined
    this.#carryOut(this.proxy.end('server', this.now))
  }
}

/** An envelope that a server took, and its message. */
export interface Took {
  readonly from: string
  readonly to: readonly string[]
  readonly message: string
}

/**
 * A server that takes anything for a line end and runs whatever it can read: CR, LF, CRLF, a dot with blanks or NULs
 * behind it. Whatever hides in a message, it finds.
 */
export class Lenient implements Backend {
  readonly took: Took[]
  readonly #extensions: readonly string[]
  #held = ''
  #from: string | undefined
  #to: string[] = []
  #body: string[] | undefined
  #chunk = 0
  #last = false
  #chunks = ''
  #afterCr = false

  constructor(
    took: Took[],
    extensions: readonly string[] = ['PIPELINING', 'SIZE 1000000', '8BITMIME', 'DSN', 'SMTPUTF8'],
  ) {
    this.took = took
    this.#extensions = extensions
  }

  open(): string {
    return '220 lenient.example ESMTP\r\n'
  }

  end(): void {}

  receive(octets: Uint8Array): string {
    this.#held += text(octets)
    let out = ''
    while (this.#held !== '') {
      if (this.#chunk > 0) {
        const piece = this.#held.slice(0, this.#chunk)
        this.#held = this.#held.slice(piece.length)
        this.#chunk -= piece.length
        this.#chunks += piece
        if (this.#chunk === 0) out += this.#endChunk()
        continue
      }
      if (this.#afterCr && this.#held.startsWith('\n')) {
        this.#held = this.#held.slice(1)
        this.#afterCr = false
        continue
      }
      this.#afterCr = false
      const found = /[\r\n]/.exec(this.#held)
      if (!found) break
      const line = this.#held.slice(0, found.index)
      this.#held = this.#held.slice(found.index + 1)
      this.#afterCr = found[0] === '\r'
      out += this.#body ? this.#bodyLine(line) : this.#command(line)
    }
    return out
  }

  #bodyLine(line: string): string {
    if (/^\.[\0 \t]*$/.test(line)) {
      this.took.push({
        from: this.#from ?? '',
        to: this.#to,
        message: (this.#body ?? []).map(each => `${each}\r\n`).join(''),
      })
      this.#reset()
      return '250 2.0.0 queued\r\n'
    }
    this.#body?.push(line.replace(/^\./, ''))
    return ''
  }

  #endChunk(): string {
    if (!this.#last) return '250 2.0.0 chunk\r\n'
    this.took.push({ from: this.#from ?? '', to: this.#to, message: this.#chunks })
    this.#reset()
    return '250 2.0.0 queued\r\n'
  }

  #reset(): void {
    this.#from = undefined
    this.#to = []
    this.#body = undefined
    this.#chunks = ''
  }

  #command(line: string): string {
    const verb = (/^[A-Za-z0-9-]+/.exec(line)?.[0] ?? '').toUpperCase()
    if (verb === 'EHLO') {
      this.#reset()
      const list = ['lenient.example', ...this.#extensions]
      return list.map((each, i) => `250${i === list.length - 1 ? ' ' : '-'}${each}\r\n`).join('')
    }
    if (verb === 'MAIL') {
      this.#reset()
      this.#from = /<(.*)>/.exec(line)?.[1] ?? line
    }
    if (verb === 'RCPT') this.#to.push(/<(.*)>/.exec(line)?.[1] ?? line)
    if (verb === 'RSET' || verb === 'HELO') this.#reset()
    if (verb === 'DATA') {
      this.#body = []
      return '354 go\r\n'
    }
    if (verb === 'BDAT') {
      const found = /^BDAT (\d+)( LAST)?/i.exec(line)
      this.#chunk = Number(found?.[1] ?? 0)
      this.#last = found?.[2] !== undefined
      return this.#chunk === 0 ? this.#endChunk() : ''
    }
    if (verb === 'QUIT') return '221 2.0.0 bye\r\n'
    return '250 2.0.0 ok\r\n'
  }
}
