/** The strict proxy before a server of ours, or before a lenient one, in virtual time. */
import { bytes, text } from '../../src/base/bytes.ts'
import type { Instant } from '../../src/base/time.ts'
import { type StrictChanges, strict } from '../../src/firewall/profiles/strict.ts'
import { type ProxyOutput, SmtpProxy } from '../../src/firewall/proxy.ts'
import type { Explanation } from '../../src/firewall/verdict.ts'
import { SECURE, STRANGER } from './server.ts'

/** What stands behind the proxy. */
export interface Backend {
  send(octets: Uint8Array): void
  said(): string
  wait(milliseconds: number): void
  end(): void
  secured(): void
  readonly closed: boolean
}

const CAUSE = {
  at: { file: 'firewall.conf', line: 1, column: 1, length: 1, text: 'inspect smtp strict' },
  command: 'inspect smtp strict',
  cure: 'no inspect smtp strict',
} as const

/** Who speaks out of turn is refused at once and for good, whatever the commands were. */
const OUT_OF_TURN = '5xx* 554:5.5.0 close'
/** The server behind offers no DSN, and what was not offered is not taken. */
const NOT_OFFERED = '555'

/**
 * Vector → step, counted from 0 → what may be heard instead. Whether somebody speaks out of turn depends on how fast the
 * server is: an octet at a time, ours has always answered before.
 */
export const OTHERWISE: Readonly<Record<string, Readonly<Record<number, string>>>> = {
  'tls-pipelined-inside': { 4: OUT_OF_TURN },
  'cmd-pipeline-past-ehlo': { 1: OUT_OF_TURN },
  'cmd-anytime-before-hello': { 1: OUT_OF_TURN },
  'auth-pipelined': { 2: OUT_OF_TURN },
  'auth-pipelined-behind-whole': { 2: OUT_OF_TURN },
  'tls-on-plain-with-line-ends': { 1: OUT_OF_TURN },
  'flood-ehlo': { 2: OUT_OF_TURN },
  'flood-auth': { 2: OUT_OF_TURN },
  'flood-auth-cancelled': { 2: OUT_OF_TURN },
  // A login that was made in clear cannot be taken back at the server, so TLS must come before it.
  'tls-login-forgotten': { 3: '503', 4: '5xx?', 5: '250' },
  'cmd-len-rcpt': { 3: NOT_OFFERED, 4: NOT_OFFERED },
  'param-notify-never-and': { 3: NOT_OFFERED },
  'param-orcpt-untyped': { 3: NOT_OFFERED },
  'param-orcpt-xtext': { 3: NOT_OFFERED },
  'param-orcpt-crlf': { 3: NOT_OFFERED },
  'param-envid-crlf': { 2: NOT_OFFERED },
  // Its mechanisms are for the named servers of one organisation.
  'x-exps-oversized': { 2: '504', 3: '500:5.5.2', 4: '250' },
}

export class ThroughStrict<B extends Backend> {
  readonly #proxy: SmtpProxy
  readonly #makeBackend: () => B
  readonly backends: B[] = []
  readonly explanations: Explanation[] = []
  #backend: B | undefined
  #said = ''
  now: Instant = 1_000_000
  closed = false
  closedHeard = false
  wantsTls = false

  constructor(makeBackend: () => B, changes: StrictChanges = {}) {
    this.#makeBackend = makeBackend
    this.#proxy = new SmtpProxy({
      policy: strict(CAUSE, changes),
      host: 'fw.example.org',
      client: { address: STRANGER },
      canSecure: true,
    })
    this.#carryOut(this.#proxy.open(this.now))
  }

  send(octets: Uint8Array): void {
    if (!this.closed) this.#carryOut(this.#proxy.receive('client', octets, this.now))
  }

  wait(milliseconds: number): void {
    const until = this.now + milliseconds
    for (let at = this.#proxy.deadline; !this.closed && at !== undefined && at <= until; at = this.#proxy.deadline) {
      this.now = Math.max(this.now, at)
      this.#carryOut(this.#proxy.tick(this.now))
    }
    this.now = until
  }

  secured(): void {
    this.wantsTls = false
    this.#carryOut(this.#proxy.secured('client', SECURE, this.now))
  }

  end(): void {
    if (!this.closed) this.#carryOut(this.#proxy.end('client', this.now))
  }

  said(): string {
    const said = this.#said
    this.#said = ''
    return said
  }

  #hear(): void {
    const backend = this.#backend
    if (!backend) return
    const said = backend.said()
    if (said !== '') this.#carryOut(this.#proxy.receive('server', bytes(said), this.now))
    if (backend.closed && backend === this.#backend) {
      this.#backend = undefined
      this.#carryOut(this.#proxy.end('server', this.now))
    }
  }

  #carryOut(outputs: readonly ProxyOutput[]): void {
    for (const output of outputs) {
      switch (output.kind) {
        case 'altered':
          this.explanations.push(output.explanation)
          break
        case 'dial':
          this.#backend = this.#makeBackend()
          this.backends.push(this.#backend)
          this.#carryOut(this.#proxy.connected(this.now))
          this.#hear()
          break
        case 'start-tls':
          if (output.at === 'client') this.wantsTls = true
          else {
            this.#backend?.secured()
            this.#carryOut(this.#proxy.secured('server', SECURE, this.now))
          }
          break
        case 'close':
          if (output.at === 'client') this.closed = true
          else {
            this.#backend?.end()
            this.#backend = undefined
          }
          break
        default:
          if (output.to === 'client') this.#said += text(output.bytes)
          else {
            this.#backend?.send(output.bytes)
            this.#hear()
          }
      }
    }
  }
}
