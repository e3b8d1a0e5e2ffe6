/**
 * `subject: firewall` with `profile: strict` (or `incoming`, `outgoing`) in its head: the proxy, with the server reached at
 * once. `settings:` changes numbers and words of the profile: `recipients=2 strays=crlf sites=10.0.0.0/8 tls=off`.
 */
import type { Instant } from '../src/base/time.ts'
import type { ProxyWaits } from '../src/firewall/policy.ts'
import { STRICT, strict } from '../src/firewall/profiles/strict.ts'
import { smtpIncoming, smtpOutgoing } from '../src/firewall/profiles/watchguard.ts'
import { type ProxyOutput, type ProxyPolicy, SmtpProxy } from '../src/firewall/proxy.ts'
import type { Explanation } from '../src/firewall/verdict.ts'
import type { Act, Part, Subject } from '../src/transcript/play.ts'
import type { Transcript } from '../src/transcript/transcript.ts'

const CAUSE = {
  at: { file: 'firewall.conf', line: 1, column: 1, length: 1, text: 'inspect smtp strict' },
  command: 'inspect smtp strict',
  cure: 'no inspect smtp strict',
} as const

const SECURE = { protocol: 'TLSv1.3', cipher: 'TLS_AES_256_GCM_SHA384' } as const

/** Whoever the transcripts' client is. */
const CLIENT = '192.0.2.7'

export function isProxied({ headers }: Transcript): boolean {
  return headers.has('profile')
}

function policyOf({ headers, file }: Transcript): ProxyPolicy {
  const settings = (headers.get('settings') ?? '').split(' ').filter(word => word !== '')
  const words = new Map(settings.map(word => word.split('=', 2) as [string, string]))
  const profile = headers.get('profile')
  if (profile === 'incoming') return smtpIncoming(CAUSE)
  if (profile === 'outgoing') return smtpOutgoing(CAUSE)
  if (profile !== 'strict') throw new Error(`${file}: no profile is called ${profile}`)
  const changes: Record<string, unknown> = {}
  const engine: Record<string, unknown> = { onwardTls: 'never' }
  const waits: ProxyWaits & Record<string, number> = { ...STRICT.engine.waits }
  for (const [key, value] of words) {
    const read = /^\d+$/.test(value) ? Number(value) : value === 'yes' ? true : value === 'no' ? false : value
    if (key === 'sites') changes.sites = [{ ip: value.split('/')[0] ?? '', mask: '255.255.255.255' }]
    else if (key === 'domains') changes.domains = new Set(value.split(','))
    else if (key in waits) waits[key] = Number(read)
    else if (key in STRICT.engine) engine[key] = read
    else if (key in STRICT) changes[key] = read
    else throw new Error(`${file}: no setting is called ${key}`)
  }
  return strict(CAUSE, { ...changes, engine: { ...engine, waits } } as Parameters<typeof strict>[1])
}

export class ProxySubject implements Subject {
  readonly parts: readonly Part[] = []
  readonly #policy: ProxyPolicy
  #proxy: SmtpProxy
  #from: Part | undefined

  constructor(transcript: Transcript) {
    this.#policy = policyOf(transcript)
    this.#proxy = this.#make()
  }

  #make(): SmtpProxy {
    const client = { address: CLIENT, port: 4711 }
    return new SmtpProxy({ policy: this.#policy, host: 'fw.example', client, canSecure: true })
  }

  get deadline(): Instant | undefined {
    return this.#proxy.deadline
  }

  open(_words: string, now: Instant): readonly Act[] {
    this.#proxy = this.#make()
    return this.#carryOut(this.#proxy.open(now), now)
  }

  hear(from: Part, segment: Uint8Array, now: Instant): readonly Act[] {
    this.#from = from
    const acts = this.#carryOut(this.#proxy.receive(from === 'C' ? 'client' : 'server', segment, now), now)
    this.#from = undefined
    return acts
  }

  direct(words: string, now: Instant): readonly Act[] | undefined {
    if (words === 'TLS stands with the client') return this.#carryOut(this.#proxy.secured('client', SECURE, now), now)
    if (words === 'TLS stands with the server') return this.#carryOut(this.#proxy.secured('server', SECURE, now), now)
    return undefined
  }

  end(from: Part, now: Instant): readonly Act[] {
    return this.#carryOut(this.#proxy.end(from === 'C' ? 'client' : 'server', now), now)
  }

  tick(now: Instant): readonly Act[] {
    return this.#carryOut(this.#proxy.tick(now), now)
  }

  #carryOut(outputs: readonly ProxyOutput[], now: Instant): readonly Act[] {
    return outputs.flatMap((output): readonly Act[] => {
      switch (output.kind) {
        case 'dial':
          return this.#carryOut(this.#proxy.connected(now), now)
        case 'altered':
          return [note('verdicts', sayExplanation(output.explanation))]
        case 'start-tls':
          return [{ kind: 'start-tls' }]
        case 'close':
          return output.at === 'client'
            ? [{ kind: 'close' }]
            : [note('verdicts', 'the connection to the server is given up')]
        default:
          return [this.#said(output)]
      }
    })
  }

  /** What comes of the server's words is the server's; what comes of the client's is ours, and the other way round. */
  #said({ to, bytes }: ProxyOutput & { readonly kind: 'write' }): Act {
    if (to === 'client') return this.#from === 'S' ? { kind: 'say', by: 'S', bytes } : { kind: 'firewall-says', bytes }
    if (this.#from === 'C') return { kind: 'say', by: 'C', bytes }
    // Said to the server of its own accord, when nobody speaks whose line it could stand under.
    return note('to-server', Buffer.from(bytes).toString('latin1').replaceAll('\r\n', ' | ').trimEnd())
  }
}

function note(section: string, line: string): Act {
  return { kind: 'note', section, line }
}

/** `answer command RECIPIENT: the percent hack leads past what the rules speak of`. */
function sayExplanation({ did, what, subject, because }: Explanation): string {
  return `${did} ${`${what} ${subject}`.trim()}: ${because.reason}`
}
