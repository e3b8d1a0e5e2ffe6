import { NO_BYTES } from '../../base/bytes.ts'
import type {
  NoAnswer,
  SaslAnswer,
  SaslClient,
  SaslClientAnswer,
  SaslClientQuestion,
  SaslClientStep,
  SaslQuestion,
  SaslServer,
  SaslServerStep,
} from './mechanism.ts'

/**
 * A mechanism told from its beginning to its end: where it waits, it yields, and goes on with what came.
 *
 * The machines around it see to the order, so that a script is only ever handed what it waits for: a response after a
 * challenge, and the answer of its kind after a question. An answer that is none ends it, and it is not resumed.
 */
export type ServerScript = Generator<ServerPause, ServerEnd, ServerHeard>
type ServerPause = Extract<SaslServerStep, { kind: 'challenge' | 'ask' }>
type ServerEnd = Exclude<SaslServerStep, ServerPause>
type ServerHeard = { readonly kind: 'response'; readonly bytes: Uint8Array } | Exclude<SaslAnswer, NoAnswer>

/** Sends a challenge; returns the response. */
export function* challenge(bytes: Uint8Array, text?: string): Generator<ServerPause, Uint8Array, ServerHeard> {
  const heard = yield { kind: 'challenge', bytes, ...(text === undefined ? {} : { text }) }
  return heard.kind === 'response' ? heard.bytes : NO_BYTES
}

/** Asks; returns the answer. */
export function* ask<K extends SaslQuestion['kind']>(
  question: SaslQuestion & { readonly kind: K },
): Generator<ServerPause, Extract<ServerHeard, { kind: K }>, ServerHeard> {
  return (yield { kind: 'ask', question }) as Extract<ServerHeard, { kind: K }>
}

/** The machine that plays a script; `script` begins with the initial response, or without one. */
export function serverOf(script: (initial: Uint8Array | undefined) => ServerScript): SaslServer {
  let playing: ServerScript | undefined
  let waits: 'start' | 'response' | SaslQuestion['kind'] | 'nothing' = 'start'

  function take(result: IteratorResult<ServerPause, ServerEnd>): SaslServerStep {
    const step = result.value
    waits = step.kind === 'challenge' ? 'response' : step.kind === 'ask' ? step.question.kind : 'nothing'
    return step
  }
  function stop(end: ServerEnd): SaslServerStep {
    waits = 'nothing'
    return end
  }

  return {
    step(response) {
      if (waits === 'start') {
        playing = script(response)
        return take(playing.next())
      }
      if (playing && waits === 'response' && response) return take(playing.next({ kind: 'response', bytes: response }))
      return stop({ kind: 'wrong', why: 'nobody waits for a response' })
    },
    answer(answer) {
      if (waits === 'start' || waits === 'response' || waits === 'nothing')
        return stop({ kind: 'unavailable', why: 'an answer that nobody asked for' })
      if (answer.kind === 'refused' || answer.kind === 'unavailable') return stop(answer)
      if (!playing || answer.kind !== waits)
        return stop({ kind: 'unavailable', why: `asked for ${waits}, and was told ${answer.kind}` })
      return take(playing.next(answer))
    },
  }
}

/** As `ServerScript`, from the client's side: its first pause is what it says at the start. */
export type ClientScript = Generator<ClientPause, ClientEnd, ClientHeard>
type ClientPause =
  /** Wait for the server to speak first. */
  | { readonly kind: 'listen' }
  /** `last`: after this the mechanism has nothing more to say or to hear. */
  | { readonly kind: 'respond'; readonly bytes: Uint8Array; readonly last?: boolean }
  | { readonly kind: 'ask'; readonly question: SaslClientQuestion }
type ClientEnd = Extract<SaslClientStep, { kind: 'give-up' }>
type ClientHeard =
  | { readonly kind: 'challenge'; readonly bytes: Uint8Array | undefined }
  | Exclude<SaslClientAnswer, NoAnswer>

/** Waits for the server to speak first; what it says there says nothing. */
export function* listen(): Generator<ClientPause, void, ClientHeard> {
  yield { kind: 'listen' }
}

/** Responds; returns the next challenge, `undefined` where it was no base64. */
export function* respond(bytes: Uint8Array): Generator<ClientPause, Uint8Array | undefined, ClientHeard> {
  const heard = yield { kind: 'respond', bytes }
  return heard.kind === 'challenge' ? heard.bytes : undefined
}

/** Responds for the last time: the exchange is complete. Should the server go on, the client gives up. */
export function* respondLast(bytes: Uint8Array): ClientScript {
  yield { kind: 'respond', bytes, last: true }
  return giveUp('the server goes on after the end')
}

export function* askWorld<K extends SaslClientQuestion['kind']>(
  question: SaslClientQuestion & { readonly kind: K },
): Generator<ClientPause, Extract<ClientHeard, { kind: K }>, ClientHeard> {
  return (yield { kind: 'ask', question }) as Extract<ClientHeard, { kind: K }>
}

export function giveUp(why: string): ClientEnd {
  return { kind: 'give-up', why }
}

export function clientOf(mechanism: string, script: () => ClientScript): SaslClient {
  let playing: ClientScript | undefined
  let waits: 'challenge' | SaslClientQuestion['kind'] | 'nothing' = 'nothing'
  let complete = false
  /** Given up before a word was said: there is nobody to tell until the server speaks. */
  let early: ClientEnd | undefined

  function take({ value }: IteratorResult<ClientPause, ClientEnd>): SaslClientStep | undefined {
    complete = value.kind === 'respond' && value.last === true
    waits = value.kind === 'ask' ? value.question.kind : value.kind === 'give-up' ? 'nothing' : 'challenge'
    if (value.kind === 'listen') return undefined
    return value.kind === 'respond' ? { kind: 'respond', bytes: value.bytes } : value
  }
  function stop(why: string): SaslClientStep {
    waits = 'nothing'
    complete = false
    return giveUp(why)
  }

  return {
    mechanism,
    get complete() {
      return complete
    },
    start() {
      if (playing) return {}
      playing = script()
      const step = take(playing.next())
      if (step?.kind === 'respond') return { initial: step.bytes }
      if (step?.kind === 'give-up') early = step
      return {}
    },
    step(bytes) {
      if (early) return early
      if (!playing || waits !== 'challenge') return stop('nobody waits for a challenge')
      return take(playing.next({ kind: 'challenge', bytes })) ?? stop('nothing to say')
    },
    answer(answer) {
      if (answer.kind === 'refused' || answer.kind === 'unavailable') return stop(answer.why)
      if (!playing || answer.kind !== waits) return stop(`an answer that nobody asked for: ${answer.kind}`)
      return take(playing.next(answer)) ?? stop('nothing to say')
    },
  }
}
