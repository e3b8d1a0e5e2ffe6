import type {
  GssMessageAnswer,
  GssMessageQuestion,
  Need,
  NoAnswer,
  SaslAnswer,
  SaslClientAnswer,
  SaslClientQuestion,
  SaslQuestion,
} from '../smtp/sasl/mechanism.ts'
import type { AccountFile } from './accounts.ts'
import { type GssContext, type GssCredential, GssFailure } from './gssapi.ts'
import { HASHES, saltedPassword } from './hashes.ts'

/** Where a server looks up what its mechanisms ask. */
export interface SaslSources {
  readonly accounts?: AccountFile
  readonly acceptor?: GssCredential
}

/** What a server can look up, for `offer`. */
export function needsMet({ accounts, acceptor }: SaslSources): ReadonlySet<Need> {
  const met: Need[] = []
  if (accounts) met.push('password', 'verifier')
  if (accounts?.hasNtHashes && HASHES.hmacMd5) met.push('nt-hash')
  if (acceptor) met.push('gss')
  return new Set(met)
}

/** Answers the questions of one exchange; close it when that has ended, however it did. `answer` never rejects. */
export class SaslAnswers {
  readonly #sources: SaslSources
  #context: GssContext | undefined

  constructor(sources: SaslSources) {
    this.#sources = sources
  }

  answer(question: SaslQuestion): Promise<SaslAnswer> {
    return guarded(() => this.#answer(question))
  }

  async close(): Promise<void> {
    await this.#context?.close()
  }

  async #answer(question: SaslQuestion): Promise<SaslAnswer> {
    const { accounts, acceptor } = this.#sources
    switch (question.kind) {
      case 'password': {
        if (!accounts) return NO_ACCOUNTS
        const user = await accounts.check(question.user, question.password)
        return { kind: 'password', ...(user === undefined ? {} : { user }) }
      }
      case 'verifier': {
        if (!accounts) return NO_ACCOUNTS
        const account = accounts.find(question.user)
        return { kind: 'verifier', ...(account ? { known: { user: account.name, verifier: account.verifier } } : {}) }
      }
      case 'nt-hash': {
        if (!accounts) return NO_ACCOUNTS
        const { name, ntHash } = accounts.find(question.user) ?? {}
        return { kind: 'nt-hash', ...(name !== undefined && ntHash ? { known: { user: name, hash: ntHash } } : {}) }
      }
      case 'gss-accept': {
        if (!acceptor) return { kind: 'unavailable', why: 'there is no keytab to accept with' }
        this.#context ??= acceptor.begin()
        const { token, peer } = await this.#context.next(question.token)
        return { kind: 'gss-accept', ...(token ? { token } : {}), ...(peer === undefined ? {} : { user: peer }) }
      }
      default:
        return messageAnswer(this.#context, question)
    }
  }
}

/** The same for a client; without `initiator` it has no GSSAPI. */
export class SaslClientAnswers {
  readonly #initiator: GssCredential | undefined
  #context: GssContext | undefined

  constructor({ initiator }: { readonly initiator?: GssCredential } = {}) {
    this.#initiator = initiator
  }

  answer(question: SaslClientQuestion): Promise<SaslClientAnswer> {
    return guarded(() => this.#answer(question))
  }

  async close(): Promise<void> {
    await this.#context?.close()
  }

  async #answer(question: SaslClientQuestion): Promise<SaslClientAnswer> {
    switch (question.kind) {
      case 'salted-password':
        return { kind: 'salted-password', bytes: await saltedPassword(question.password, question) }
      case 'gss-initiate': {
        if (!this.#initiator) return { kind: 'unavailable', why: 'there is no ticket to log in with' }
        this.#context ??= this.#initiator.begin()
        const { token, established } = await this.#context.next(question.token)
        return { kind: 'gss-initiate', established, ...(token ? { token } : {}) }
      }
      default:
        return messageAnswer(this.#context, question)
    }
  }
}

const NO_ACCOUNTS: NoAnswer = { kind: 'unavailable', why: 'there are no accounts' }

async function messageAnswer(
  context: GssContext | undefined,
  { kind, bytes }: GssMessageQuestion,
): Promise<GssMessageAnswer | NoAnswer> {
  if (!context) return { kind: 'unavailable', why: `${kind} before a context` }
  return { kind, bytes: kind === 'gss-wrap' ? await context.wrap(bytes) : await context.unwrap(bytes) }
}

async function guarded<A>(find: () => Promise<A>): Promise<A | NoAnswer> {
  try {
    return await find()
  } catch (cause) {
    const why = cause instanceof Error ? cause.message : String(cause)
    return { kind: cause instanceof GssFailure && cause.peers ? 'refused' : 'unavailable', why }
  }
}
