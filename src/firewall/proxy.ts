/**
 * The proxying firewall: two connections, and everything said on one is understood, judged and said anew on the other.
 *
 * No octet of the wire reaches the server as it came: commands leave by `formatCommand`, replies by `formatReply`,
 * messages decoded and encoded again. A server that takes bare line ends, or runs whatever looks like a command, gets
 * nothing to misread. What the dialogue has come to is told by the *server's* replies: a command that the client sent
 * has not happened. The two sides may be at different places of one queue (`proxy-queue.ts`).
 */
import { upper, utf8 } from '../base/bytes.ts'
import type { TlsFacts } from '../base/machine.ts'
import type { Instant } from '../base/time.ts'
import type { Phase } from '../smtp/dialogue.ts'
import type { Side } from './inspector.ts'
import { ClientSide } from './proxy-client-side.ts'
import { type Clock, clocksOf, dueOf, type Times, type Waiting } from './proxy-clock.ts'
import { wordsOf } from './proxy-rules.ts'
import { ServerSide } from './proxy-server-side.ts'
import { type ProxyOptions, type ProxyOutput, ProxySession } from './proxy-session.ts'
import { Transfer } from './proxy-transfer.ts'

export type { ProxyPolicy } from './proxy-rules.ts'
export type { Closing, ProxyOptions, ProxyOutput } from './proxy-session.ts'

/** Octets of a client's that may wait while the server answers; with more of them it is not read. */
export const MAX_WAITING = 65_536

export class SmtpProxy {
  readonly #session: ProxySession
  readonly #server: ServerSide
  readonly #client: ClientSide
  #openedAt: Instant = 0
  #deadline: Instant | undefined

  constructor(options: ProxyOptions) {
    this.#session = new ProxySession(options)
    const transfer = new Transfer(this.#session)
    this.#server = new ServerSide(this.#session, transfer)
    this.#client = new ClientSide(this.#session, transfer, this.#server)
  }

  get deadline(): Instant | undefined {
    return this.#deadline
  }

  /** Where the dialogue is, as the server's replies told. */
  get phase(): Phase {
    return this.#session.phase
  }

  /** Recipients that the server took in the transaction that is open. */
  get recipients(): number {
    return this.#session.recipients
  }

  /** Are the client's octets a message? Then no words of the server's can come of them, however many they are. */
  get inMessage(): boolean {
    return this.#session.body !== undefined || this.#session.mode === 'blind'
  }

  /** Is this side to be read? Where not, what it sends stays in its socket, and costs us nothing. */
  reads(from: Side): boolean {
    const session = this.#session
    // While the client shakes hands nothing that the server says can be heard.
    if (from === 'server') return session.handshake !== 'client'
    return session.mode === 'blind' || session.body !== undefined || session.fromClient.size < MAX_WAITING
  }

  /** The client's connection stands. */
  open(now: Instant): readonly ProxyOutput[] {
    return this.#run(now, session => {
      this.#openedAt = now
      session.turnAt = now
      const verdict = session.rules.judge({ on: 'peer' })
      if (verdict.kind !== 'pass') {
        session.rules.explain('session', 'PEER', { because: verdict.because, did: verdict.kind })
        return session.hangUp(verdict.kind === 'answer' ? wordsOf(verdict) : session.word(554, '5.7.1', 'no access'))
      }
      if (session.engine.waits.pregreet > 0) session.mode = 'pregreet'
      else session.dial()
    })
  }

  /** The server's connection stands. */
  connected(now: Instant): readonly ProxyOutput[] {
    return this.#run(now, session => {
      if (session.leg !== 'dialing') return
      this.#server.connected()
    })
  }

  /** No server can be reached. */
  unreachable(why: string, now: Instant): readonly ProxyOutput[] {
    return this.#run(now, session => {
      if (session.leg !== 'dialing') return
      session.leg = 'none'
      session.lost(`no server can be reached: ${why}`)
    })
  }

  /** The octets are the caller's again once what is given back is carried out. */
  receive(from: Side, octets: Uint8Array, now: Instant): readonly ProxyOutput[] {
    return this.#run(now, session => {
      if (octets.length === 0) return
      if (session.mode === 'blind') {
        session.turnAt = now
        return session.write(from === 'client' ? 'server' : 'client', octets)
      }
      // A driver that cuts what it reads found more in clear where the handshake should be.
      if (session.handshake === from) return this.#server.spokeInClear(from, octets)
      if (from === 'client') session.fromClient.push(octets)
      else {
        session.fromServer.push(octets)
        this.#server.hear()
      }
      this.#client.work()
      session.fromClient.keep()
      session.fromServer.keep()
    })
  }

  /** TLS stands at this side: whatever was said before it is forgotten (RFC 3207 §4.2). */
  secured(at: Side, tls: TlsFacts, now: Instant): readonly ProxyOutput[] {
    return this.#run(now, session => {
      if (session.handshake !== at) return
      session.handshake = undefined
      session.turnAt = now
      if (at === 'server') {
        this.#server.secured(tls)
      } else {
        session.fromClient.clear()
        session.secured = true
        session.sync = undefined
        session.phase = 'hello'
        session.offered = new Map()
      }
      this.#client.work()
    })
  }

  /** TLS failed at this side. The connection is of no use any more. */
  unsecured(at: Side, why: string, now: Instant): readonly ProxyOutput[] {
    return this.#run(now, session => {
      if (session.handshake !== at) return
      session.handshake = undefined
      const because = 'the TLS handshake failed'
      session.rules.explain('tls', upper(at), { before: utf8(why), because, did: 'drop-connection' })
      if (at === 'server') session.lost('TLS with the server failed')
      else session.close()
    })
  }

  /** A side does not take what is written to it, until `flowing`. */
  blocked(side: Side, now: Instant): readonly ProxyOutput[] {
    return this.#run(now, session => {
      session.blocked[side] ??= now
      // While its message cannot go on it is not the client who is slow.
      if (side === 'server') session.rate?.stop(now)
    })
  }

  flowing(side: Side, now: Instant): readonly ProxyOutput[] {
    return this.#run(now, session => {
      session.blocked[side] = undefined
      if (side === 'server') session.rate?.go(now)
    })
  }

  end(from: Side, now: Instant): readonly ProxyOutput[] {
    return this.#run(now, session => {
      if (session.mode === 'blind' || (from === 'client' && session.phase === 'greeting')) return session.close()
      if (from === 'server') {
        if (session.leg !== 'none') session.lost('the server closed the connection')
        return
      }
      this.#client.end()
    })
  }

  /** The firewall is going down: say so, as soon as no reply is owed that would be lost. */
  stop(now: Instant): readonly ProxyOutput[] {
    return this.#run(now, () => {
      this.#client.stop()
    })
  }

  tick(now: Instant): readonly ProxyOutput[] {
    if (this.#deadline === undefined || now < this.#deadline) return []
    return this.#run(now, session => {
      if (session.mode === 'pregreet') {
        session.mode = 'talk'
        return session.dial()
      }
      if (session.restsUntil !== undefined && session.restsUntil <= now) {
        session.restsUntil = undefined
        return this.#client.work()
      }
      const late = this.#clocks().toSorted((a, b) => a.due - b.due)[0]
      if (!late) return
      const because = session.rules.own(late.why, late.by)
      session.rules.explain('session', late.name, { because, did: 'drop-connection' })
      if (!late.closesAtOnce) return session.hangUp(session.word(421, '4.4.2', late.why))
      session.abort()
      session.close('at-once')
    })
  }

  #run(now: Instant, work: (session: ProxySession) => void): readonly ProxyOutput[] {
    const session = this.#session
    session.now = now
    session.out = []
    if (session.mode !== 'closed') work(session)
    this.#deadline = session.mode === 'closed' ? undefined : dueOf(session.engine.waits, this.#times())
    return session.out
  }

  #clocks(): readonly Clock[] {
    const { mode, engine } = this.#session
    return mode === 'closed' ? [] : clocksOf(engine.waits, this.#times())
  }

  #times(): Times {
    const session = this.#session
    const asked = session.leg === 'dialing' || session.queue.next !== undefined
    const idles = session.mode === 'blind' || session.handshake !== undefined
    const waiting: Waiting =
      session.mode === 'pregreet' ? 'pregreet' : idles ? 'idle' : asked ? 'reply' : session.body ? 'data' : 'command'
    return {
      waiting,
      openedAt: this.#openedAt,
      turnAt: session.turnAt,
      askedAt: session.askedAt,
      blocked: session.blocked,
      data: session.rate?.due,
      restsUntil: session.restsUntil,
    }
  }
}
