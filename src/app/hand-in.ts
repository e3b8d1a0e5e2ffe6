/** Hands a message to a mail server of this machine, over a listener of its configuration. */
import { dial, type Endpoint } from '../io/sockets.ts'
import { secureClient } from '../io/tls.ts'
import type { Envelope } from '../mail/envelope.ts'
import type { Order } from '../mta/attempt.ts'
import type { MtaConfig } from '../mta/config.ts'
import type { Outcome } from '../spool/entry.ts'
import { runAttempt } from './delivery.ts'

/** Where a program of this machine reaches the server: loopback where it listens there, and never under implicit TLS. */
export function localEndpoint({ listens }: MtaConfig): Endpoint | undefined {
  const places = listens.filter(({ tls }) => !tls).map(({ ip, port }) => ({ host: ANY.get(ip) ?? ip, port }))
  return places.find(({ host }) => host.startsWith('127.') || host === '::1') ?? places[0]
}

const ANY: ReadonlyMap<string, string> = new Map([
  ['0.0.0.0', '127.0.0.1'],
  ['::', '::1'],
])

/**
 * Sends it in as many transactions as its recipients need. What became of each recipient, by position: `relayed` means that
 * the server has it on its disk. Throws a `PosternError` where there is no server.
 */
export async function handIn(
  at: Endpoint,
  { hostname, limits, tlsRequired }: MtaConfig,
  { envelope, content }: { readonly envelope: Envelope; readonly content: Uint8Array },
): Promise<readonly Outcome[]> {
  const outcomes: Outcome[] = []
  async function* body(): AsyncIterable<Uint8Array> {
    yield content
  }
  for (let first = 0; first < envelope.recipients.length; first += limits.recipients) {
    const count = Math.min(limits.recipients, envelope.recipients.length - first)
    const order: Order = {
      hello: hostname,
      to: `${hostname} [${at.host}]`,
      envelope,
      recipients: Array.from({ length: count }, (_, i) => first + i),
      size: content.length,
      outcome: 'relayed',
      // It is this very machine: who else would answer there could read the message in any case.
      ...(tlsRequired && { tls: { floor: 'may', by: 'sendmail' } }),
    }
    const socket = await dial(at).catch(cause => {
      // It went away between two of them: what it has is not to be handed in again.
      if (first > 0) return undefined
      throw cause
    })
    if (!socket) break
    await runAttempt(
      socket,
      { order, body },
      {
        outcome: (recipient, outcome) => {
          outcomes[recipient] = outcome
        },
        secure: socket => secureClient(socket, { name: hostname }),
      },
    )
  }
  return envelope.recipients.map((_, i) => outcomes[i] ?? { kind: 'deferred', by: NO_ANSWER })
}

const NO_ANSWER = { status: '4.4.2', why: 'the server broke off' }
