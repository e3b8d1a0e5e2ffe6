import { NO_BYTES } from '../base/bytes.ts'
import type { Conversation } from './conversation.ts'
import type { Situation } from './dialect.ts'
import { blobPart, chunkPart, dataPart, Incoming, type Part } from './incoming.ts'
import type { Transaction } from './session.ts'

/** What is read off the stream by its own rules and not as lines: a message, by DATA or in chunks, and XEXCH50. */
export class Parts {
  readonly #talk: Conversation
  #part: Part | undefined
  /** Messages begun in this session. */
  messages = 0

  constructor(talk: Conversation) {
    this.#talk = talk
  }

  /** Are octets of a part due, and no line? */
  get isUnderWay(): boolean {
    return this.#part !== undefined
  }

  data(): void {
    this.#beginMessage(dataPart())
  }

  /** `refuse`: it may not come now. Its octets are taken off the stream all the same: as commands they would be an attack. */
  chunk({ size, last }: { readonly size: number; readonly last: boolean }, refuse: Situation | undefined): void {
    const part = chunkPart(size, last, refuse)
    if (refuse === undefined) this.#beginMessage(part)
    else this.#begin(part)
    if (this.#talk.incoming?.countChunk() === false) return this.#talk.hangUp('too-many-chunks')
    if (size === 0) this.#end(part)
  }

  blob(size: number, version: string): void {
    const part = blobPart(size, version)
    this.#begin(part)
    if (size === 0) this.#end(part)
  }

  #beginMessage(part: Part): void {
    this.#begin(part)
    const talk = this.#talk
    const { transaction, hello, peer, login, tls } = talk
    if (talk.incoming || !transaction) return
    this.messages++
    talk.incoming = new Incoming(talk.options.limits, { binary: transaction.body === 'binarymime' })
    const facts = { hello, peer, protocol: this.#protocol(transaction), login, tls }
    talk.put({ kind: 'message-begins', transaction, facts })
  }

  /** RFC 3848, and RFC 6531 §4.3. */
  #protocol({ smtputf8 }: Transaction): string {
    const { extended, tls, login } = this.#talk
    const base = smtputf8 ? 'UTF8SMTP' : extended ? 'ESMTP' : 'SMTP'
    if (base === 'SMTP') return base
    return `${base}${tls ? 'S' : ''}${login === undefined ? '' : 'A'}`
  }

  #begin(part: Part): void {
    this.#part = part
    this.#talk.clocks?.beginPart(this.#talk.now)
  }

  /** Reads what is there of the part; `false` while more is to come. */
  read(): boolean {
    const part = this.#part
    if (!part) return true
    const { input, incoming, clocks, now } = this.#talk
    const octets = part.kind === 'data' ? input.take() : input.take(part.reader.left)
    clocks?.partly(octets.length, now)
    if (part.kind === 'data') {
      const taken = incoming?.data(part.reader, octets)
      this.#handOut(taken?.content ?? NO_BYTES)
      if (taken?.rest === undefined) return false
      input.push(taken.rest)
    } else {
      if (part.kind === 'blob') part.bytes.set(octets, part.bytes.length - part.reader.left)
      else if (part.refuse === undefined) this.#handOut(incoming?.chunk(octets) ?? NO_BYTES)
      part.reader.push(octets)
      if (part.reader.left > 0) return false
    }
    this.#end(part)
    return true
  }

  #handOut(bytes: Uint8Array): void {
    if (bytes.length > 0) this.#talk.put({ kind: 'body', bytes })
  }

  #end(part: Part): void {
    const talk = this.#talk
    this.#part = undefined
    talk.clocks?.endPart(talk.now)
    if (part.kind === 'blob') return this.#endBlob(part)
    if (part.kind === 'data') return this.#endMessage('end-of-body')
    if (part.refuse) return talk.mistake(part.refuse, 'BDAT')
    if (part.last) {
      talk.incoming?.end()
      return this.#endMessage('last-chunk')
    }
    if (talk.incoming?.wrong) return this.#refuseMessage('last-chunk')
    talk.say('bdat', talk.word('chunk-ok', String(part.size)))
  }

  #endMessage(what: 'end-of-body' | 'last-chunk'): void {
    const talk = this.#talk
    const { transaction, incoming } = talk
    if (!transaction || !incoming) return
    if (talk.options.trace) talk.trace('C', `(message of ${incoming.size} octets)`)
    if (incoming.wrong) return this.#refuseMessage(what)
    talk.incoming = undefined
    talk.ask(what, { about: 'message', transaction, size: incoming.size }, 'accepted')
  }

  #refuseMessage(what: 'end-of-body' | 'last-chunk'): void {
    const talk = this.#talk
    const wrong = talk.incoming?.wrong
    if (!wrong) return
    talk.abandon(wrong.situation)
    talk.say(what, talk.word(wrong.situation, wrong.about))
    talk.forget()
  }

  #endBlob({ version, bytes }: Part & { readonly kind: 'blob' }): void {
    const talk = this.#talk
    talk.trace('C', `(XEXCH50 of ${bytes.length} octets)`)
    if (talk.transaction) talk.transaction = { ...talk.transaction, blob: { version, bytes } }
    talk.say('end-of-blob', talk.word('blob-ok'))
  }
}
