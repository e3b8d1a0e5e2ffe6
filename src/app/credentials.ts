/** How this end proves who it is: what a session's mechanism needs of the world. */
import type { TlsFacts } from '../base/machine.ts'
import { now } from '../io/clock.ts'
import { gssInitiator } from '../io/gssapi.ts'
import { HASHES } from '../io/hashes.ts'
import { SaslClientAnswers } from '../io/sasl.ts'
import type { LoginWish, TlsWish } from '../mta/order.ts'
import type { ConnectorLogin } from '../routing/connector.ts'
import type { Need, SaslClientAnswer, SaslClientQuestion } from '../smtp/sasl/mechanism.ts'
import { choose } from '../smtp/sasl/mechanisms.ts'

/** Kerberos is only asked where it is wanted: it may not be there. */
export class Credentials {
  readonly #service: string
  #answers: Promise<SaslClientAnswers> | undefined

  constructor(service: string) {
    this.#service = service
  }

  async answer(question: SaslClientQuestion): Promise<SaslClientAnswer> {
    this.#answers ??=
      question.kind === 'gss-initiate'
        ? gssInitiator(this.#service).then(initiator => new SaslClientAnswers({ initiator }))
        : Promise.resolve(new SaslClientAnswers())
    return (await this.#answers).answer(question)
  }

  async close(): Promise<void> {
    await (await this.#answers?.catch(() => undefined))?.close()
  }
}

/** The login that a connector wants; `files` has its password. */
export function loginWish(
  { verb, mechanism, user = '', passwordFile, required }: ConnectorLogin,
  { floor, by }: TlsWish,
  { files, authWithoutTls }: { readonly files: ReadonlyMap<string, string>; readonly authWithoutTls: boolean },
): LoginWish {
  const password = passwordFile === undefined ? '' : (files.get(passwordFile) ?? '')
  const choosing = (offered: readonly string[], facts: TlsFacts | undefined) => {
    const tls = { secured: facts !== undefined, ...(facts?.exporter && { exporter: facts.exporter }) }
    const has = new Set<Need>(passwordFile === undefined ? ['gss'] : ['password'])
    // Secret with whom? Unless a line says that it does not matter, a password is not told to who proves nothing.
    const secured = facts !== undefined && (facts.unproven === undefined || floor === 'require')
    const found = choose(offered, { tls: { ...tls, secured }, plaintextWithoutTls: authWithoutTls, has })
    const taken = found.find(({ name }) => mechanism === 'any' || name.toLowerCase() === mechanism)
    return taken?.client({ hashes: HASHES, now: now(), tls, offered, user, password })
  }
  return { verb, required, by, choose: choosing }
}
