/** The strict proxy before a server of ours, or before a lenient one, in virtual time. */
import type { StrictChanges } from '../../src/firewall/profiles/strict.ts'
import { type Backend, SECURE, strictly, Through } from '../../src/firewall/through.test.ts'
import { STRANGER } from './server.ts'

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

export class ThroughStrict {
  readonly #through: Through
  #told = 0
  closedHeard = false

  constructor(makeBackend: () => Backend, changes: StrictChanges = {}) {
    const options = { host: 'fw.example.org', client: { address: STRANGER }, canSecure: true }
    this.#through = new Through(makeBackend, strictly(changes), options)
  }

  get closed(): boolean {
    return this.#through.closed
  }

  send(octets: Uint8Array): void {
    this.#through.send(octets)
  }

  wait(milliseconds: number): void {
    this.#through.pass(milliseconds)
  }

  secured(): void {
    this.#through.do((proxy, now) => proxy.secured('client', SECURE, now))
  }

  end(): void {
    if (!this.closed) this.#through.do((proxy, now) => proxy.end('client', now))
  }

  /** What the client heard since this was asked last. */
  said(): string {
    const said = this.#through.heard.slice(this.#told)
    this.#told = this.#through.heard.length
    return said
  }
}
