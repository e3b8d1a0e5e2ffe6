import { bytes, concat } from '../base/bytes.ts'
import { ChunkReader } from '../smtp/body.ts'
import { after, may } from '../smtp/dialogue.ts'
import { type Reply, reply } from '../smtp/reply.ts'
import { RateClock } from './proxy-clock.ts'
import { missing } from './proxy-commands.ts'
import { type Body, Message } from './proxy-message.ts'
import { wordsOf } from './proxy-rules.ts'
import type { ProxySession } from './proxy-session.ts'

/** A chunk below this, other than the last, brings no mail on: many of them are junk. */
export const SMALL_CHUNK = 1024

/** The client's octets while they are no commands: a message out of its framing and into the server's. */
export class Transfer {
  readonly #session: ProxySession

  constructor(session: ProxySession) {
    this.#session = session
  }

  /** A chunk is framed whatever becomes of it: its octets as commands would be an attack (RFC 3030 §2). */
  bdat({ size, last }: { readonly size: number; readonly last: boolean }): void {
    const session = this.#session
    const what = last ? 'last-chunk' : 'bdat'
    const chunk = { kind: 'chunk', size, last, reader: new ChunkReader(size) } as const
    const verdict = session.rules.judge({ on: 'word', what: 'verb', word: 'BDAT' })
    const notOffered =
      session.withheld.get('CHUNKING') ?? session.rules.own('the client was not offered this', 'chunking')
    const refuse = (wording: Reply, because = notOffered) =>
      this.begin({ ...chunk, refusal: { reply: wording, because } })
    if (verdict.kind === 'answer') return refuse(wordsOf(verdict), verdict.because)
    if (verdict.kind !== 'pass') return refuse(reply(502, '5.5.1', 'BDAT is not available'), verdict.because)
    if (!may(session.phase, what)) {
      return refuse(reply(503, '5.5.1', missing(what, session.phase)), session.rules.own('it is not the time for it'))
    }
    if (!session.offered.has('CHUNKING')) return refuse(reply(502, '5.5.1', 'BDAT is not available'))
    if (size < SMALL_CHUNK && !last && session.tooMuchJunk()) return
    if (session.binary) {
      session.message ??= new Message(session.rules, { binary: true })
      session.write('server', bytes(`BDAT ${size}${last ? ' LAST' : ''}\r\n`))
    } else if (!session.message) {
      // Only what is binary needs chunks. All else goes on in the one form that leaves no doubt where a line ends.
      const before = bytes(`BDAT ${size}`)
      session.rules.explain('command', 'BDAT', {
        before,
        after: bytes('DATA'),
        because: 'chunks go on as DATA',
        did: 'replace',
      })
      session.chunk = { size, last }
      return session.askForUs('data', bytes('DATA\r\n'))
    }
    this.begin(chunk)
  }

  begin(body: Body): void {
    const session = this.#session
    session.body = body
    const { waits, minDataRate } = session.engine
    session.rate = new RateClock(waits.data, minDataRate, session.now)
    if (session.blocked.server !== undefined) session.rate.stop(session.now)
  }

  readBody(body: Body): void {
    const session = this.#session
    session.turnAt = session.now
    const came = session.fromClient.take(body.kind === 'dots' ? undefined : body.reader.left)
    session.rate?.count(came.length, session.now)
    if (body.kind === 'dots') {
      const { content, rest } = body.reader.push(came)
      // As one piece: a message of nothing but dots must not become a million of them.
      this.#content(concat(content), body.reader.stray === undefined)
      if (rest === undefined) return
      if (rest.length > 0) session.fromClient.push(rest)
      session.body = undefined
      return this.#endMessage('end-of-body')
    }
    body.reader.push(came)
    if (body.kind === 'blob') session.write('server', came)
    else if (!body.refusal) this.#content(came)
    if (body.reader.left > 0) return
    session.body = undefined
    if (body.kind === 'blob') return session.ask('xexch50')
    this.#endChunk(body)
  }

  #content(piece: Uint8Array, isChecked = false): void {
    const message = this.#session.message
    if (!message || message.fault) return
    this.#goOn(message, message.push(piece, isChecked))
  }

  #goOn(message: Message, octets: Uint8Array): void {
    const session = this.#session
    for (const explanation of message.altered()) session.out.push({ kind: 'altered', explanation })
    // What the server has of it so far must not become a message.
    if (message.fault) session.abort()
    else if (session.leg === 'up' && octets.length > 0) session.write('server', octets)
  }

  #endChunk({ size, last, refusal: refused }: Body & { readonly kind: 'chunk' }): void {
    const session = this.#session
    if (refused) {
      const before = bytes(`BDAT ${size}${last ? ' LAST' : ''}`)
      session.rules.explain('command', 'BDAT', { before, because: refused.because, did: 'answer' })
      return session.mistake(refused.reply)
    }
    if (last) return this.#endMessage('last-chunk')
    if (this.#broken()) return
    if (!session.message?.writer) return session.ask('bdat')
    session.phase = after(session.phase, 'bdat', 250)
    session.answer(reply(250, '2.0.0', `${size} octets received`))
    session.sync = undefined
  }

  #endMessage(what: 'end-of-body' | 'last-chunk'): void {
    const message = this.#session.message
    if (!message) return
    if (!message.fault) this.#goOn(message, message.end())
    if (!this.#broken()) this.#session.ask(what)
  }

  /** Is something wrong with the message? Then it is over, and so is its transaction. */
  #broken(): boolean {
    const session = this.#session
    const fault = session.message?.fault
    const wording = fault?.reply ?? session.early
    if (!wording) return false
    if (fault) session.out.push({ kind: 'altered', explanation: fault.explanation })
    session.drop()
    session.mistake(wording)
    return true
  }

  /** After a chunk that was refused servers differ in what is left of the transaction (RFC 3030 §2): so nothing shall be. */
  resetServer(): void {
    this.#session.message = undefined
    this.#session.askForUs('rset', bytes('RSET\r\n'))
  }
}
