import { concat, NO_BYTES, strictUtf8, utf8 } from '../../base/bytes.ts'
import { ask, type ClientScript, challenge, giveUp, respondLast, type ServerScript } from './exchange.ts'
import type { SaslClientContext } from './mechanism.ts'

const NUL = Uint8Array.of(0)

/** PLAIN: authzid NUL authcid NUL passwd, in one response. RFC 4616 §2. */
export function* plainServer(initial: Uint8Array | undefined): ServerScript {
  const response = initial ?? (yield* challenge(NO_BYTES))
  const [authzid, user, password, ...more] = strictUtf8(response)?.split('\0') ?? []
  if (!user || !password || more.length > 0)
    return { kind: 'wrong', why: 'not authzid NUL authcid NUL passwd in UTF-8' }
  if (authzid !== '' && authzid !== user) return { kind: 'refused', why: 'acting for another is not allowed' }
  const right = yield* ask({ kind: 'password', user, password })
  return right.user === undefined
    ? { kind: 'refused', why: 'no such account, or not its password' }
    : { kind: 'done', user: right.user }
}

export function* plainClient({ user, password }: SaslClientContext): ClientScript {
  if (user.includes('\0') || password.includes('\0')) return giveUp('PLAIN cannot say a NUL')
  return yield* respondLast(concat([NUL, utf8(user), NUL, utf8(password)]))
}
