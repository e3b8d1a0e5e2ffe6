import { upper } from '../../base/bytes.ts'
import { clientOf, serverOf } from './exchange.ts'
import { gssapiClient, gssapiServer } from './gssapi.ts'
import { loginClient, loginServer } from './login.ts'
import type { Mechanism, Need, TlsFacts } from './mechanism.ts'
import { ntlmClient, ntlmServer } from './ntlm.ts'
import { plainClient, plainServer } from './plain.ts'
import { SCRAM, SCRAM_PLUS, scramClient, scramServer } from './scram.ts'

/** Every mechanism we have, the strongest first. */
export const MECHANISMS: readonly Mechanism[] = [
  {
    name: 'GSSAPI',
    source: 'RFC 4752',
    what: 'Kerberos version 5, by the system’s library; no security layer',
    plaintext: false,
    bound: false,
    needs: 'gss',
    server: context => serverOf(gssapiServer(context)),
    client: () => clientOf('GSSAPI', gssapiClient),
  },
  {
    name: SCRAM_PLUS,
    source: 'RFC 5802, RFC 7677, RFC 9266',
    what: 'proves that both know the password, and sit on the two ends of the same TLS connection',
    plaintext: false,
    bound: true,
    needs: 'verifier',
    server: context => serverOf(scramServer(context, { bound: true })),
    client: context => clientOf(SCRAM_PLUS, scramClient(context, { bound: true })),
  },
  {
    name: SCRAM,
    source: 'RFC 5802, RFC 7677',
    what: 'proves that both know the password',
    plaintext: false,
    bound: false,
    needs: 'verifier',
    server: context => serverOf(scramServer(context, { bound: false })),
    client: context => clientOf(SCRAM, scramClient(context, { bound: false })),
  },
  {
    name: 'NTLM',
    source: '[MS-SMTPNTLM], [MS-NLMP]',
    what: 'version 2 only; for Windows clients, and only for accounts that are switched on for it',
    plaintext: false,
    bound: false,
    needs: 'nt-hash',
    server: context => serverOf(ntlmServer(context)),
    client: context => clientOf('NTLM', ntlmClient(context)),
  },
  {
    name: 'PLAIN',
    source: 'RFC 4616',
    what: 'the password as it is, in one step',
    plaintext: true,
    bound: false,
    needs: 'password',
    server: () => serverOf(plainServer),
    client: context => clientOf('PLAIN', () => plainClient(context)),
  },
  {
    name: 'LOGIN',
    source: '[MS-XLOGIN]',
    what: 'the password as it is, in two steps',
    plaintext: true,
    bound: false,
    needs: 'password',
    server: () => serverOf(loginServer),
    client: context => clientOf('LOGIN', () => loginClient(context)),
  },
]

/** What decides which mechanisms come into question on a connection. */
export interface Means {
  readonly tls: TlsFacts
  /** Has a line of configuration said so? */
  readonly plaintextWithoutTls: boolean
  /** A server: what can be looked up. A client: `password`, `gss` or both; a password does for every need but `gss`. */
  readonly has: ReadonlySet<Need>
}

/** What a server puts on its list, the strongest first. */
export function offer(means: Means): readonly Mechanism[] {
  return MECHANISMS.filter(each => means.has.has(each.needs) && fits(each, means))
}

/** What a client may try of the server's list, whatever the order there, the strongest first. */
export function choose(listed: readonly string[], means: Means): readonly Mechanism[] {
  const names = new Set(listed.map(upper))
  return MECHANISMS.filter(
    each => names.has(each.name) && means.has.has(each.needs === 'gss' ? 'gss' : 'password') && fits(each, means),
  )
}

export function mechanismNamed(name: string): Mechanism | undefined {
  return MECHANISMS.find(each => each.name === upper(name))
}

function fits({ plaintext, bound }: Mechanism, { tls, plaintextWithoutTls }: Means): boolean {
  if (plaintext && !tls.secured && !plaintextWithoutTls) return false
  return !bound || tls.exporter !== undefined
}
