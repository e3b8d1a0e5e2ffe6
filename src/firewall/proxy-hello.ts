import { bytes, upper, utf8 } from '../base/bytes.ts'
import { type Capabilities, NO_CAPABILITIES, offers, readCapabilities } from '../smtp/capabilities.ts'
import { formatCommand } from '../smtp/command.ts'
import { digit, formatReply, type Reply } from '../smtp/reply.ts'
import type { Rules } from './proxy-rules.ts'

/** How a client said hello. */
export interface Hello {
  readonly kind: 'ehlo' | 'helo'
  readonly domain: string
}

export interface Client {
  readonly address: string
  readonly port?: number
  readonly name?: string
}

/** What to do next on the server's side. */
export type Step =
  /** Said to the server: a hello, or for our own sake something else. */
  | { readonly kind: 'say'; readonly line: Uint8Array; readonly said: 'ehlo' | 'helo' | 'starttls' | 'other' }
  | { readonly kind: 'start-tls' }
  /** This is the reply to the client's own hello. */
  | { readonly kind: 'done'; readonly reply: Reply }
  /** This must be with a server, and is not. */
  | { readonly kind: 'without'; readonly what: Must; readonly why: string }

/** What the policy may want of a server before it gets any mail. */
export type Must = 'onwardTls' | 'xclient'

/**
 * The way from a client's hello to the reply it gets: EHLO, and where the policy wants them TLS and XCLIENT towards the
 * server, each followed by another EHLO (RFC 3207 §4.2). Remembers what was reached for the next hello.
 */
export class HelloSteps {
  readonly #rules: Rules
  readonly #client: Client
  readonly #mayTls: boolean
  #hello: Hello = { kind: 'ehlo', domain: '' }
  #at: 'ehlo' | 'starttls' | 'xclient' | 'last' = 'ehlo'
  #secured = false
  #gaveUp = false
  #told = false
  #server: Capabilities = NO_CAPABILITIES

  constructor(rules: Rules, client: Client, { mayTls }: { readonly mayTls: boolean }) {
    this.#rules = rules
    this.#client = client
    this.#mayTls = mayTls
  }

  /** What the server offers now. */
  get server(): Capabilities {
    return this.#server
  }

  begin(hello: Hello): Step {
    this.#hello = hello
    this.#at = hello.kind === 'ehlo' || this.#wantsTls() || this.#wantsXclient() ? 'ehlo' : 'last'
    return this.#say(this.#at === 'last' ? 'helo' : 'ehlo')
  }

  /** TLS stands: what was offered in clear is forgotten. */
  secured(): Step {
    this.#secured = true
    this.#server = NO_CAPABILITIES
    return this.#say('ehlo')
  }

  /** The server replied to what was said last. */
  hear(answer: Reply): Step {
    if (this.#at === 'ehlo') return this.#heardEhlo(answer)
    if (this.#at === 'starttls') return this.#heardStartTls(answer)
    if (this.#at === 'xclient') {
      const untold = digit(answer) === 2 ? undefined : this.#untold('the server refused XCLIENT', answer)
      if (untold) return untold
      this.#told = true
      // A hello there must be; the server was told what the client speaks (PROTO), and hears it say that.
      this.#at = this.#hello.kind === 'ehlo' ? 'ehlo' : 'last'
      return this.#say(this.#hello.kind)
    }
    if (digit(answer) === 2) this.#server = NO_CAPABILITIES
    return { kind: 'done', reply: answer }
  }

  #heardEhlo(answer: Reply): Step {
    const good = digit(answer) === 2
    if (good) this.#server = readCapabilities(answer)
    if (this.#wantsTls()) {
      if (good && offers(this.#server, 'STARTTLS')) {
        this.#at = 'starttls'
        return { kind: 'say', line: bytes('STARTTLS\r\n'), said: 'starttls' }
      }
      if (this.#mustTls) return { kind: 'without', what: 'onwardTls', why: 'the server does not offer TLS' }
    }
    if (this.#wantsXclient() && (good || this.#hello.kind === 'helo')) {
      const xclient = good ? this.#xclient() : undefined
      if (xclient) {
        this.#at = 'xclient'
        return { kind: 'say', line: xclient, said: 'other' }
      }
      const untold = this.#untold('the server offers no XCLIENT that takes an address', answer)
      if (untold) return untold
    }
    // A server that took EHLO needs no HELO behind it: of its list the client is told nothing.
    if (good || this.#hello.kind === 'ehlo') return { kind: 'done', reply: answer }
    this.#at = 'last'
    return this.#say('helo')
  }

  #heardStartTls(answer: Reply): Step {
    this.#at = 'ehlo'
    if (answer.code === 220) return { kind: 'start-tls' }
    if (this.#mustTls) return { kind: 'without', what: 'onwardTls', why: 'the server refused TLS' }
    const because = 'the server refused TLS, which is not required'
    this.#rules.explain('tls', 'SERVER', { before: formatReply(answer, bytes), because, did: 'log' })
    this.#gaveUp = true
    return this.#say('ehlo')
  }

  get #mustTls(): boolean {
    return this.#rules.policy.engine.onwardTls === 'must'
  }

  #wantsTls(): boolean {
    return this.#mayTls && this.#rules.policy.engine.onwardTls !== 'never' && !this.#secured && !this.#gaveUp
  }

  #wantsXclient(): boolean {
    return this.#rules.policy.engine.xclient !== 'never' && !this.#told
  }

  /** The server does not learn who the client is, and takes us for it: what to do then, if it may not be. */
  #untold(why: string, answer: Reply): Step | undefined {
    if (this.#rules.policy.engine.xclient === 'must') return { kind: 'without', what: 'xclient', why }
    this.#told = true
    const because = this.#rules.own(`${why}: it takes every client for this firewall`, 'xclient')
    this.#rules.explain('server', 'XCLIENT', { before: formatReply(answer, bytes), because, did: 'log' })
    return undefined
  }

  #say(kind: 'ehlo' | 'helo'): Step {
    const line = formatCommand({ kind, domain: this.#hello.domain }) ?? utf8(`${upper(kind)} unknown\r\n`)
    return { kind: 'say', line, said: kind }
  }

  /** Who the client is, for a server that asks to be told. A value with a line end, whatever it came from, is left out. */
  #xclient(): Uint8Array | undefined {
    const { address, port, name } = this.#client
    const known: Readonly<Record<string, string | undefined>> = {
      NAME: name,
      ADDR: address.includes(':') ? `IPV6:${address}` : address,
      PORT: port === undefined ? undefined : String(port),
      PROTO: this.#hello.kind === 'ehlo' ? 'ESMTP' : 'SMTP',
      HELO: this.#hello.domain,
    }
    const wanted = (this.#server.keywords.get('XCLIENT') ?? []).map(upper).filter(keyword => keyword in known)
    const attributes = wanted.map(keyword => {
      const value = known[keyword] ?? ''
      return { keyword, value: value === '' || /[\r\n\0]/.test(value) ? '[UNAVAILABLE]' : value }
    })
    return wanted.includes('ADDR') ? formatCommand({ kind: 'xclient', attributes }) : undefined
  }
}
