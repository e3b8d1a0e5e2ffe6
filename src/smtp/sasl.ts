import { bytes, strictUtf8 } from '../base/bytes.ts'

/** What was claimed, for the caller to check; it is never logged, and never part of a trace. */
export interface Credentials {
  readonly mechanism: string
  readonly user: string
  readonly password: string
}

/** The server's half of a SASL mechanism (RFC 4422): responses in, challenges or the claim out. */
export interface SaslServer {
  /** `undefined`: the client sent no initial response. */
  step(
    response: Uint8Array | undefined,
  ): { readonly challenge: Uint8Array } | { readonly claim: Credentials } | { readonly wrong: string }
}

/** The client's half. */
export interface SaslClient {
  readonly mechanism: string
  /** Sent with the command itself, to save a round trip (RFC 4954 §4). */
  readonly initial?: Uint8Array
  /** The answer to a challenge; `undefined` gives up. */
  step(challenge: Uint8Array): Uint8Array | undefined
}

/** The mechanisms we can check, by name. */
export const SASL_SERVERS: Readonly<Record<string, () => SaslServer>> = { LOGIN: loginServer, PLAIN: plainServer }

/** [MS-XLOGIN]: asks for the name, then for the password; with an initial response only for the password. */
function loginServer(): SaslServer {
  let user: string | undefined
  return {
    step(response) {
      if (response === undefined) return { challenge: bytes('Username:') }
      const said = strictUtf8(response)
      if (said === undefined) return { wrong: 'not UTF-8' }
      if (user === undefined) {
        user = said
        return { challenge: bytes('Password:') }
      }
      return { claim: { mechanism: 'LOGIN', user, password: said } }
    },
  }
}

/** RFC 4616: authzid NUL authcid NUL passwd, in one response. */
function plainServer(): SaslServer {
  return {
    step(response) {
      if (response === undefined) return { challenge: bytes('') }
      const [authzid, user, password, ...more] = strictUtf8(response)?.split('\0') ?? []
      if (user === undefined || password === undefined || more.length > 0) return { wrong: 'not a PLAIN response' }
      if (authzid !== '' && authzid !== user) return { wrong: 'acting for another is not allowed' }
      return { claim: { mechanism: 'PLAIN', user, password } }
    },
  }
}

/** The client's half of LOGIN: name, then password, whatever the prompts say. */
export function loginClient(user: Uint8Array, password: Uint8Array): SaslClient {
  const answers = [user, password]
  return { mechanism: 'LOGIN', step: () => answers.shift() }
}
