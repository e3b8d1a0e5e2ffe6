/** Who may log in, and what is known of them: how the questions of a mechanism are answered. */
import { random } from '../io/clock.ts'
import { HASHES, saltedPassword } from '../io/hashes.ts'
import { sameSecret } from '../io/secrets.ts'
import type { Need, SaslAnswer, SaslQuestion, ScramVerifier } from '../smtp/sasl/mechanism.ts'
import { ntHash } from '../smtp/sasl/ntlm.ts'
import { ITERATIONS } from '../smtp/sasl/scram-message.ts'
import { SALT_LENGTH, scramVerifier } from '../smtp/sasl/scram.ts'

/** Answers for a mechanism of the server's half. */
export interface Logins {
  /** What can be looked up here. */
  readonly has: ReadonlySet<Need>
  answer(question: SaslQuestion): Promise<SaslAnswer>
}

/** Accounts whose passwords stand in files, a line of configuration each. */
export function secretLogins(secrets: ReadonlyMap<string, string>, { ntlm }: { readonly ntlm: boolean }): Logins {
  /** Made when first asked for, and then the same as long as we run. */
  const verifiers = new Map<string, Promise<ScramVerifier>>()
  const verifierOf = (user: string, password: string): Promise<ScramVerifier> => {
    const known = verifiers.get(user) ?? makeVerifier(password)
    verifiers.set(user, known)
    return known
  }
  return {
    has: new Set<Need>(secrets.size === 0 ? [] : ['password', 'verifier', ...(ntlm ? (['nt-hash'] as const) : [])]),
    async answer(question) {
      const { kind } = question
      const password = 'user' in question ? secrets.get(question.user) : undefined
      switch (kind) {
        case 'password':
          // Compared even for a stranger, so that names cannot be told by the time it takes.
          return sameSecret(question.password, password ?? '') && password !== undefined
            ? { kind, user: question.user }
            : { kind }
        case 'verifier':
          if (password === undefined) return { kind }
          return { kind, known: { user: question.user, verifier: await verifierOf(question.user, password) } }
        case 'nt-hash':
          if (password === undefined || !ntlm) return { kind }
          return { kind, known: { user: question.user, hash: ntHash(password) } }
        default:
          return { kind: 'unavailable', why: 'there is no Kerberos here' }
      }
    },
  }
}

async function makeVerifier(password: string): Promise<ScramVerifier> {
  const salt = random(SALT_LENGTH)
  const iterations = ITERATIONS.least
  const prepared = HASHES.saslPrep(password) ?? password
  const salted = await saltedPassword(prepared, { salt, iterations })
  return scramVerifier(salted, { salt, iterations, hashes: HASHES })
}

/** The first of several that knows an account answers for it. */
export function joined(all: readonly Logins[]): Logins {
  return {
    has: new Set(all.flatMap(({ has }) => [...has])),
    async answer(question) {
      let last: SaslAnswer = { kind: 'unavailable', why: 'nobody can log in here' }
      for (const logins of all) {
        last = await logins.answer(question)
        if ('known' in last || 'user' in last || 'token' in last || 'bytes' in last) return last
      }
      return last
    },
  }
}
