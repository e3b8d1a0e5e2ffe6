import type { Instant } from './time.ts'

/**
 * A protocol without its sockets: bytes and the time go in, outputs come out.
 *
 * A machine never waits, never reads a clock and never touches the world. Whoever drives it carries out each output in
 * order, and calls `tick` once `deadline` has passed.
 */
export interface Machine<Output> {
  /** The peer sent these bytes. They are the machine's from now on: the driver must not write to them again. */
  receive(bytes: Uint8Array, now: Instant): readonly Output[]
  /** The peer will send no more. */
  end(now: Instant): readonly Output[]
  /** The deadline has passed. Calling it early does nothing. */
  tick(now: Instant): readonly Output[]
  /** The handshake that `start-tls` asked for is over. What came in clear before it must not be given to the machine. */
  secured?(tls: TlsFacts, now: Instant): readonly Output[]
  /** It failed. The connection is of no use any more; a machine without this is told that the peer went away. */
  unsecured?(why: string, now: Instant): readonly Output[]
  /** When to call `tick`; `undefined` while nothing is waited for. Ask again after every call. */
  readonly deadline: Instant | undefined
}

/** What is known of a connection's TLS. */
export interface TlsFacts {
  /** `TLSv1.3`. */
  readonly protocol: string
  readonly cipher: string
  /** The channel binding `tls-exporter` (RFC 9266 §2), 32 octets. */
  readonly exporter?: Uint8Array
  /** Why the other side's certificate does not prove the name it goes by; absent where it does, or nobody asked. */
  readonly unproven?: string
}

/** What every machine may ask of the connection it speaks on. */
export type WireOutput =
  | { readonly kind: 'write'; readonly bytes: Uint8Array }
  | { readonly kind: 'start-tls' }
  | { readonly kind: 'close'; readonly how: 'after-writes' | 'at-once' }

/** Is it for the connection, or for whoever drives the machine? */
export function isWire(output: { readonly kind: string }): output is WireOutput {
  return output.kind === 'write' || output.kind === 'close' || output.kind === 'start-tls'
}
