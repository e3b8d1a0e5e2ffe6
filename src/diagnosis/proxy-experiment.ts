/** Proxies, tried against both ends: our far side stands behind each, and hears and says what it did on the wire. */
import { bytes, text } from '../base/bytes.ts'
import type { SourceRef } from '../base/problem.ts'
import { strict } from '../firewall/profiles/strict.ts'
import { smtpIncoming, smtpOutgoing } from '../firewall/profiles/watchguard.ts'
import { type ProxyOutput, type ProxyPolicy, SmtpProxy } from '../firewall/proxy.ts'
import type { Both } from './both-ends.ts'
import { FarSide } from './far-side.ts'

export interface ProxyBox {
  readonly id: string
  readonly name: string
  readonly vendor: string
  readonly policy: ProxyPolicy
}

const NOWHERE: SourceRef = { file: '', line: 0, column: 1, length: 1, text: '' }
const CAUSE = { at: NOWHERE, command: 'inspect smtp', cure: 'no inspect smtp' }

export const PROXIES: readonly ProxyBox[] = [
  { id: 'strict', name: 'Postern strict', vendor: 'postern', policy: strict(CAUSE) },
  {
    id: 'watchguard-incoming',
    name: 'WatchGuard SMTP proxy, SMTP-Incoming',
    vendor: 'watchguard',
    policy: smtpIncoming(CAUSE),
  },
  {
    id: 'watchguard-incoming+esmtp-off',
    name: 'WatchGuard SMTP proxy, SMTP-Incoming, ESMTP off',
    vendor: 'watchguard',
    policy: smtpIncoming(CAUSE, { esmtp: false }),
  },
  {
    id: 'watchguard-outgoing',
    name: 'WatchGuard SMTP proxy, SMTP-Outgoing',
    vendor: 'watchguard',
    policy: smtpOutgoing(CAUSE),
  },
]

/** Would this proxy, before our far side, have answered the near side word for word as it was answered? */
export function reproducesAsProxy({ policy }: ProxyBox, pairs: readonly Both[]): boolean {
  let session = 0
  let run = new Run(policy)
  for (const { near } of pairs) {
    if (near.session !== session) {
      session = near.session
      run = new Run(policy)
    }
    if (near.said !== '') run.say(bytes(near.said))
    const heard = run.heard()
    // What becomes of a message depends on what looks into it; that it is answered is enough.
    const isMessage = /\n\.\r?\n$/.test(near.said)
    if (!isMessage && heard !== near.heard.map(line => `${line}\r\n`).join('')) return false
    if (isMessage && heard.slice(0, 3) !== (near.heard[0] ?? '').slice(0, 3)) return false
  }
  return true
}

/** A proxy with our far side behind it, in no time. */
class Run {
  readonly #proxy: SmtpProxy
  #far: FarSide | undefined
  #heard = ''

  constructor(policy: ProxyPolicy) {
    const client = { address: '192.0.2.7' }
    this.#proxy = new SmtpProxy({ policy, host: 'proxy.invalid', client, canSecure: false })
    this.#carryOut(this.#proxy.open(0))
  }

  say(octets: Uint8Array): void {
    this.#carryOut(this.#proxy.receive('client', octets, 0))
  }

  heard(): string {
    const heard = this.#heard
    this.#heard = ''
    return heard
  }

  #carryOut(outputs: readonly ProxyOutput[]): void {
    for (const output of outputs) {
      if (output.kind === 'dial') {
        const far = new FarSide()
        this.#far = far
        this.#carryOut(this.#proxy.connected(0))
        this.#answer(far.open(0))
      } else if (output.kind === 'write' && output.to === 'client') this.#heard += text(output.bytes)
      else if (output.kind === 'write') this.#answer(this.#far?.receive(output.bytes, 0) ?? [])
      else if (output.kind === 'start-tls') this.#carryOut(this.#proxy.unsecured(output.at, 'there is none here', 0))
    }
  }

  #answer(outputs: ReturnType<FarSide['receive']>): void {
    for (const output of outputs) {
      if (output.kind === 'write') this.#carryOut(this.#proxy.receive('server', output.bytes, 0))
    }
  }
}
