import { NO_BYTES, strictUtf8 } from '../../base/bytes.ts'
import {
  ask,
  askWorld,
  type ClientScript,
  challenge,
  giveUp,
  listen,
  respond,
  respondLast,
  type ServerScript,
} from './exchange.ts'
import type { SaslServerContext } from './mechanism.ts'

/** GSSAPI: Kerberos version 5 in SASL (RFC 4752), by tokens that the world makes and checks. */

/** Kerberos needs one or two. */
export const TOKEN_LIMIT = 8

/** The bits of the first octet: no security layer, integrity, confidentiality. We have the first: TLS does the rest. */
const NO_LAYER = 1
/** No layer, so that no size of its messages is to be had: it must be 0. RFC 4752 §3.1. */
const LAYERS = Uint8Array.of(NO_LAYER, 0, 0, 0)

export function gssapiServer({ strict }: SaslServerContext) {
  return function* script(initial: Uint8Array | undefined): ServerScript {
    let token = initial ?? (yield* challenge(NO_BYTES, strict ? undefined : 'GSSAPI supported'))
    let principal: string | undefined
    for (let count = 0; principal === undefined; count++) {
      if (count === TOKEN_LIMIT) return { kind: 'refused', why: `no context after ${TOKEN_LIMIT} tokens` }
      const accepted = yield* ask({ kind: 'gss-accept', token })
      principal = accepted.user
      if (accepted.token && accepted.token.length > 0) {
        token = yield* challenge(accepted.token)
        if (principal !== undefined && token.length > 0)
          return { kind: 'wrong', why: 'the context stands; an empty response was expected' }
      } else if (principal === undefined) {
        return { kind: 'refused', why: 'the context does not stand, and there is no token to go on with' }
      }
    }

    const { bytes: layers } = yield* ask({ kind: 'gss-wrap', bytes: LAYERS })
    const response = yield* challenge(layers)
    const { bytes: chosen } = yield* ask({ kind: 'gss-unwrap', bytes: response })
    if (chosen.length < LAYERS.length) return { kind: 'wrong', why: 'no layer and size in four octets' }
    if (chosen[0] !== NO_LAYER) return { kind: 'refused', why: 'a security layer that was not offered' }
    if (chosen[1] || chosen[2] || chosen[3]) return { kind: 'refused', why: 'no layer, and a size of its messages' }
    const authzid = strictUtf8(chosen.subarray(LAYERS.length))
    if (authzid === undefined || authzid.includes('\0'))
      return { kind: 'wrong', why: 'an authzid is UTF-8, without NUL' }
    if (!['', principal, principal.split('@', 1)[0]].includes(authzid))
      return { kind: 'refused', why: 'acting for another is not allowed' }
    return { kind: 'done', user: principal }
  }
}

export function* gssapiClient(): ClientScript {
  // Exchange expects the bare command, and what it says then is words.
  yield* listen()
  let heard: Uint8Array | undefined
  let established = false
  for (let count = 0; !established; count++) {
    if (count === TOKEN_LIMIT) return giveUp(`no context after ${TOKEN_LIMIT} tokens`)
    const made = yield* askWorld({ kind: 'gss-initiate', ...(heard ? { token: heard } : {}) })
    established = made.established
    if (!established && !made.token?.length)
      return giveUp('the context does not stand, and there is no token to go on with')
    heard = yield* respond(made.token ?? NO_BYTES)
    if (!heard) return giveUp('a token was expected, in base64')
  }

  const { bytes: layers } = yield* askWorld({ kind: 'gss-unwrap', bytes: heard ?? NO_BYTES })
  // The size goes with a layer. Exchange says one all the same (48000), and it means nothing.
  if (layers.length !== LAYERS.length) return giveUp('no layers and size in four octets')
  if (((layers[0] ?? 0) & NO_LAYER) === 0) return giveUp('the server wants a security layer, and TLS is ours')
  // No authzid: whom the ticket names is who we are.
  const { bytes: chosen } = yield* askWorld({ kind: 'gss-wrap', bytes: LAYERS })
  return yield* respondLast(chosen)
}
