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

/** What only the driver shows; the dialogues are in `vectors-wire.test.ts`. */
export const OVER_SOCKETS: readonly Pick<ServerVector, 'id' | 'holds' | 'source'>[] = [
  {
    id: 'slow-reader',
    holds: 'a peer that asks and does not read is cut off, or not read from either',
    source: 'backpressure of Node’s streams',
  },
  {
    id: 'flood-connect',
    holds: 'one address has a share of the sessions and no more; others still find the door open',
    source: 'Postfix smtpd_client_connection_count_limit 50, postscreen_pre_queue_limit',
  },
]
