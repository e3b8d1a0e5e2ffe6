/** Logins for tests of the machines around a mechanism. The name keeps it out of the published package. */
import type { LoginWish } from '../mta/order.ts'
import { CLIENT, mechanism, SERVER } from './sasl/any-exchange.test.ts'
import type { Hashes } from './sasl/mechanism.ts'
import type { ServerOptions } from './session.ts'

export { clientWorld, worldOf } from './sasl/any-exchange.test.ts'

/** Without chance, so that an exchange can be written down. */
const FIXED: Hashes = { ...SERVER.hashes, random: length => new Uint8Array(length) }

/** These mechanisms are on the list, in clear and under TLS. */
export function offering(...names: readonly string[]): Pick<ServerOptions, 'mechanisms' | 'sasl'> {
  return {
    mechanisms: () => names,
    sasl: (name, tls, offered) =>
      mechanism(name).server({ ...SERVER, hashes: FIXED, offered, strict: true, tls: { secured: tls !== undefined } }),
  }
}

export interface Wanted extends Omit<LoginWish, 'choose'> {
  readonly user: string
  readonly password: string
  readonly mechanism?: string
}

export function wish({ user, password, mechanism: name = 'LOGIN', ...rest }: Wanted): LoginWish {
  return {
    ...rest,
    choose: (offered, tls) =>
      offered.includes(name)
        ? mechanism(name).client({
            ...CLIENT,
            hashes: FIXED,
            offered,
            user,
            password,
            tls: { secured: tls !== undefined },
          })
        : undefined,
  }
}
