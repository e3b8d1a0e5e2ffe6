/** What a server's session has come to, and what it says: the state that every command reads and moves. */
import type { TlsFacts } from '../base/machine.ts'
import type { Instant } from '../base/time.ts'
import type { Clocks } from './clocks.ts'
import type { Situation } from './dialect.ts'
import { after, type Phase, type Said } from './dialogue.ts'
import type { Incoming } from './incoming.ts'
import { LineSplitter } from './line.ts'
import { FrameGatherer } from './link2state.ts'
import { formatReply, type Reply, sayReply } from './reply.ts'
import type { Asker, Question, ServerOptions, ServerOutput, Transaction } from './session.ts'

/** A question that waits, and what a yes to it sounds like. */
export interface Asked {
  readonly said: Said
  readonly question: Question
  readonly positive: Situation
  readonly about: string
}

export class Conversation {
  readonly options: ServerOptions
  readonly input: LineSplitter = new LineSplitter()
  /** Pieces of a frame of link state. */
  readonly frames: FrameGatherer
  clocks: Clocks | undefined
  phase: Phase = 'greeting'
  peer: string
  tls: TlsFacts | undefined
  hello = ''
  /** Was it EHLO? */
  extended = false
  /** The keywords of the EHLO list that this client was given. */
  listed: ReadonlySet<string> = new Set()
  login: string | undefined
  transaction: Transaction | undefined
  /** The message under way; it may be in several parts. */
  incoming: Incoming | undefined
  asked: Asked | undefined
  now: Instant = 0
  #errors = 0
  #out: ServerOutput[] = []

  constructor(options: ServerOptions) {
    this.options = options
    this.peer = options.peer
    this.tls = options.tls
    this.frames = new FrameGatherer(options.limits.linkState)
  }

  get isOver(): boolean {
    return this.phase === 'closed' || this.phase === 'turned'
  }

  get asker(): Asker {
    return { peer: this.peer, login: this.login }
  }

  /** What came of it since it was asked last. */
  take(): readonly ServerOutput[] {
    const out = this.#out
    this.#out = []
    return out
  }

  put(output: ServerOutput): void {
    this.#out.push(output)
  }

  ask(what: Said, question: Question, positive: Situation, about = ''): void {
    this.asked = { said: what, question, positive, about }
    this.put({ kind: 'ask', question })
  }

  /** The transaction is over or was never: nothing of it may reach the next one. */
  forget(): void {
    this.abandon('reset')
    this.frames.drop()
    this.transaction = undefined
  }

  /** As at the beginning, before a hello. */
  beginAnew(login: string | undefined): void {
    this.forget()
    this.hello = ''
    this.extended = false
    this.listed = new Set()
    this.login = login
  }

  abandon(why: string): void {
    if (this.incoming) this.put({ kind: 'body-abandoned', why })
    this.incoming = undefined
  }

  mistake(situation: Situation, about = ''): void {
    this.#write(this.word(situation, about))
    if (this.countError()) this.hangUp('too-many-errors')
  }

  /** One error more; `true` once there are too many. */
  countError(): boolean {
    return ++this.#errors >= this.options.limits.errors
  }

  say(what: Said, worded: Reply): void {
    this.phase = after(this.phase, what, worded.code)
    this.#write(worded)
    if (this.phase === 'closed' && what !== 'quit') this.close('after-writes')
  }

  #write(worded: Reply): void {
    this.put({ kind: 'write', bytes: formatReply(worded) })
    if (this.options.trace) this.trace('S', sayReply(worded))
  }

  hangUp(situation: Situation, worded: Reply = this.word(situation)): void {
    this.abandon(situation)
    this.#write(worded)
    this.close('after-writes')
  }

  close(how: 'after-writes' | 'at-once'): void {
    this.abandon('closed')
    this.phase = 'closed'
    this.input.clear()
    this.put({ kind: 'close', how })
  }

  word(situation: Situation, about = ''): Reply {
    const { host, version, date, dialect } = this.options
    return dialect.wording[situation]({ host, peer: this.peer, version, date: () => date(this.now), about })
  }

  trace(by: 'C' | 'S', said: string): void {
    if (this.options.trace) this.put({ kind: 'trace', by, text: said })
  }
}
