/** Who may log in, and how the questions of a mechanism are answered: by lines of configuration, by a file, by Kerberos. */
import type { SourceRef } from '../base/problem.ts'
import { AccountFile } from '../io/accounts.ts'
import { random } from '../io/clock.ts'
import { gssAcceptor } from '../io/gssapi.ts'
import { HASHES, saltedPassword } from '../io/hashes.ts'
import { needsMet, SaslAnswers, type SaslSources } from '../io/sasl.ts'
import { sameSecret } from '../io/secrets.ts'
import type { MtaConfig } from '../mta/config.ts'
import type { Need, SaslAnswer, SaslQuestion, ScramVerifier } from '../smtp/sasl/mechanism.ts'
import { ntHash } from '../smtp/sasl/ntlm.ts'
import { SALT_LENGTH, scramVerifier } from '../smtp/sasl/scram.ts'
import { ITERATIONS } from '../smtp/sasl/scram-message.ts'

/** Answers for the mechanisms of the server's half. */
export interface Logins {
  /** What can be looked up here. */
  readonly has: ReadonlySet<Need>
  /** What accounts that do not exist are made of: the same as long as the accounts are. */
  readonly secret: Uint8Array
  /** For one session. */
  begin(): Answers
}

export interface Answers {
  answer(question: SaslQuestion): Promise<SaslAnswer>
  close(): Promise<void>
}

/** How files are opened, and whom to tell of trouble with one later on. */
export interface Opening {
  /** Opens what the line at this place asks for; nothing where it cannot be had. */
  readonly open?: <T>(at: SourceRef, opened: () => Promise<T>) => Promise<T | undefined>
  readonly trouble?: (cause: unknown) => void
}

/** Octets of the secret that strangers' accounts are made of. */
const SECRET_LENGTH = 32

/**
 * What the lines of a configuration let log in. `secrets`: the passwords of `login` lines, by the name of their file;
 * `path`: where a file of the configuration is. What is wrong with a file is for `open`, which may throw or go on without.
 */
export async function openLogins(
  config: MtaConfig,
  secrets: ReadonlyMap<string, string>,
  path: (file: string) => string,
  { open = async (_at, opened) => opened(), trouble = () => {} }: Opening = {},
): Promise<Logins> {
  const { accountsFile, keytab, logins, ntlm } = config
  const byName = new Map(logins.map(({ user, passwordFile }) => [user, secrets.get(passwordFile) ?? '']))
  const accounts =
    accountsFile && (await open(accountsFile.at, async () => new AccountFile(path(accountsFile.file), { trouble })))
  const acceptor = keytab && (await open(keytab.at, () => gssAcceptor({ keytab: path(keytab.file) })))
  const sources: SaslSources = { ...(accounts && { accounts }), ...(acceptor && { acceptor }) }
  const has = new Set<Need>([...(byName.size > 0 ? LINE_NEEDS : []), ...needsMet(sources)])
  if (!ntlm) has.delete('nt-hash')
  const lines = new SecretLogins(byName)
  return {
    has,
    secret: accounts?.secret ?? random(SECRET_LENGTH),
    begin: () => {
      const rest = new SaslAnswers(sources)
      return {
        answer: async question => {
          const answer = await lines.answer(question)
          if (answer) return answer
          // Without a file of accounts a stranger is nobody; 454 would tell which names there are.
          return accounts || !('user' in question) ? rest.answer(question) : { kind: question.kind }
        },
        close: () => rest.close(),
      }
    },
  }
}

const LINE_NEEDS: readonly Need[] = ['password', 'verifier', 'nt-hash']

/** Accounts whose passwords stand in files, a line of configuration each. */
class SecretLogins {
  readonly #secrets: ReadonlyMap<string, string>
  /** Made when first asked for, and then the same as long as we run. */
  readonly #verifiers = new Map<string, Promise<ScramVerifier>>()

  constructor(secrets: ReadonlyMap<string, string>) {
    this.#secrets = secrets
  }

  /** Nothing for an account that is none of these. */
  async answer(question: SaslQuestion): Promise<SaslAnswer | undefined> {
    if (!('user' in question)) return undefined
    const { kind, user } = question
    const password = this.#secrets.get(user)
    // Compared even for a stranger, so that names cannot be told by the time it takes.
    const isRight = kind === 'password' && sameSecret(question.password, password ?? '')
    if (password === undefined) return undefined
    switch (kind) {
      case 'password':
        return isRight ? { kind, user } : { kind }
      case 'verifier':
        return { kind, known: { user, verifier: await this.#verifier(user, password) } }
      default:
        return { kind, known: { user, hash: ntHash(password) } }
    }
  }

  #verifier(user: string, password: string): Promise<ScramVerifier> {
    const known = this.#verifiers.get(user) ?? makeVerifier(password)
    this.#verifiers.set(user, known)
    return known
  }
}

async function makeVerifier(password: string): Promise<ScramVerifier> {
  const salt = random(SALT_LENGTH)
  const iterations = ITERATIONS.least
  const prepared = HASHES.saslPrep(password) ?? password
  const salted = await saltedPassword(prepared, { salt, iterations })
  return scramVerifier(salted, { salt, iterations, hashes: HASHES })
}
