import { fromBase64, NO_BYTES, toBase64 } from '../base/bytes.ts'
import type { Conversation } from './conversation.ts'
import type { Situation } from './dialect.ts'
import type { Said } from './dialogue.ts'
import { reply } from './reply.ts'
import type { SaslAnswer, SaslServer, SaslServerStep } from './sasl/mechanism.ts'

/** AUTH and X-EXPS: the exchange with a mechanism, line by line (RFC 4954 §4). */
export class Login {
  readonly #talk: Conversation
  #sasl: { readonly mechanism: string; readonly machine: SaslServer } | undefined

  constructor(talk: Conversation) {
    this.#talk = talk
  }

  /** Is a line of the exchange due, and no command? */
  get isUnderWay(): boolean {
    return this.#sasl !== undefined
  }

  begin({
    kind,
    mechanism,
    initial,
  }: {
    readonly kind: 'auth' | 'x-exps'
    readonly mechanism: string
    readonly initial?: string
  }): void {
    const { options, login, tls, now } = this.#talk
    if (login !== undefined) return this.#talk.mistake('auth-twice')
    const offered = options.mechanisms(tls !== undefined)
    if (!offered.includes(mechanism)) return this.#talk.mistake('unknown-mechanism')
    const machine = options.sasl(mechanism, tls, offered, now)
    this.#sasl = { mechanism, machine }
    // "=" is an initial response of no octets (RFC 4954 §4).
    const response = initial === undefined ? undefined : initial === '=' ? NO_BYTES : fromBase64(initial)
    if (initial !== undefined && response === undefined) return this.over('bad-argument', 'not base64')
    this.#step(kind, machine.step(response))
  }

  line(line: string): void {
    this.#talk.trace('C', '[secret]')
    if (line === '*') return this.over('auth-cancelled')
    const response = fromBase64(line)
    if (response === undefined || !this.#sasl) return this.over('bad-argument', 'not base64')
    this.#step('auth-line', this.#sasl.machine.step(response))
  }

  answer(what: Said, answer: SaslAnswer): void {
    const step = this.#sasl?.machine.answer(answer)
    if (step) this.#step(what, step)
  }

  #step(what: Said, step: SaslServerStep): void {
    const talk = this.#talk
    switch (step.kind) {
      case 'challenge':
        return talk.say(what, reply(334, undefined, step.text ?? toBase64(step.bytes)))
      case 'ask':
        return talk.ask(what, { about: 'sasl', question: step.question }, 'auth-ok')
      case 'done':
        talk.login = step.user
        talk.put({ kind: 'login', mechanism: this.#sasl?.mechanism ?? '', user: step.user })
        this.#sasl = undefined
        return talk.say(what, talk.word('auth-ok'))
      case 'refused':
        return this.over('auth-failed', step.why)
      case 'unavailable':
        return this.over('auth-unavailable', step.why)
      default:
        return this.over('bad-argument', step.why)
    }
  }

  /** It came to nothing. */
  over(situation: Situation, why = ''): void {
    this.#talk.put({ kind: 'login', mechanism: this.#sasl?.mechanism ?? '', why: why || situation })
    this.#sasl = undefined
    if (this.#talk.phase === 'auth') this.#talk.phase = 'ready'
    this.#talk.mistake(situation, why)
  }
}
