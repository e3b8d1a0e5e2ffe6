import { ABUSE } from './smtp/abuse.ts'
import { AUTH } from './smtp/auth.ts'
import { BDAT } from './smtp/bdat.ts'
import { EXCHANGE } from './smtp/exchange.ts'
import { LENGTHS, OCTETS, PARAMETERS } from './smtp/octets.ts'
import { ADDRESSES, RELAY } from './smtp/relay.ts'
import { RESPONSES } from './smtp/responses.ts'
import { SLOW } from './smtp/slow.ts'
import { SMUGGLING } from './smtp/smuggling.ts'
import { STARTTLS } from './smtp/starttls.ts'
import { STATE } from './smtp/state.ts'
import type { ClientVector, ServerVector } from './vector.ts'

export interface Area {
  readonly name: string
  readonly vectors: readonly ServerVector[]
}

/** Every dialogue that our server is put through. */
export const AREAS: readonly Area[] = [
  { name: 'Smuggling', vectors: SMUGGLING },
  { name: 'BDAT', vectors: BDAT },
  { name: 'STARTTLS', vectors: STARTTLS },
  { name: 'Order and groups', vectors: STATE },
  { name: 'Octets of commands', vectors: OCTETS },
  { name: 'Lengths and counts', vectors: LENGTHS },
  { name: 'Parameters', vectors: PARAMETERS },
  { name: 'AUTH', vectors: AUTH },
  { name: 'Relaying', vectors: RELAY },
  { name: 'Addresses', vectors: ADDRESSES },
  { name: 'Other protocols and borrowed identities', vectors: ABUSE },
  { name: 'Exchange', vectors: EXCHANGE },
  { name: 'Time', vectors: SLOW },
]

/** …and our client. */
export const SERVERS: readonly ClientVector[] = RESPONSES
