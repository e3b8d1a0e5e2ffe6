import { bytes, strictUtf8, utf8 } from '../../base/bytes.ts'
import { ask, type ClientScript, challenge, listen, respond, respondLast, type ServerScript } from './exchange.ts'
import type { SaslClientContext } from './mechanism.ts'

/** [MS-XLOGIN]: asks for the name, then for the password; with an initial response only for the password. */
export function* loginServer(initial: Uint8Array | undefined): ServerScript {
  const user = strictUtf8(initial ?? (yield* challenge(bytes('Username:'))))
  if (!user) return { kind: 'wrong', why: 'not a name in UTF-8' }
  const password = strictUtf8(yield* challenge(bytes('Password:')))
  if (!password) return { kind: 'wrong', why: 'not a password in UTF-8' }
  const right = yield* ask({ kind: 'password', user, password })
  return right.user === undefined
    ? { kind: 'refused', why: 'no such account, or not its password' }
    : { kind: 'done', user: right.user }
}

/** The name, then the password, whatever the prompts say: every server words them differently. */
export function* loginClient({ user, password }: SaslClientContext): ClientScript {
  // No initial response: not every server knows that LOGIN may have one.
  yield* listen()
  yield* respond(utf8(user))
  return yield* respondLast(utf8(password))
}
