import type { Socket } from 'node:net'
import type { Duration } from '../base/time.ts'
import { MAX_V2, type ProxyHeader, readProxyHeader } from '../topology/proxy-protocol.ts'

/** The header comes with the connection; who has not sent it by then sends none. */
export const HEADER_WAIT: Duration = 5_000

/**
 * Takes the PROXY header off the beginning of a paused connection. What follows it is put back, and the socket stays
 * paused. Total: a peer that sends something else, nothing, or that goes away, is `wrong`.
 */
export function takeProxyHeader(socket: Socket): Promise<Exclude<ProxyHeader, { readonly kind: 'more' }>> {
  return new Promise(resolve => {
    let held = Buffer.alloc(0)
    const done = (header: Exclude<ProxyHeader, { readonly kind: 'more' }>): void => {
      clearTimeout(timer)
      socket.off('readable', read).off('end', ended).off('close', ended)
      resolve(header)
    }
    const ended = (): void => done({ kind: 'wrong', why: 'the connection ended before its header did' })
    const read = (): void => {
      // One longest header and no more: what follows stays with the kernel as long as it can.
      for (let chunk = socket.read() as Buffer | null; chunk !== null; chunk = socket.read() as Buffer | null) {
        held = Buffer.concat([held, chunk])
        if (held.length === 0) continue
        const header = readProxyHeader(held.subarray(0, MAX_V2))
        if (header.kind === 'more') continue
        if (header.kind !== 'wrong') socket.unshift(held.subarray(header.length))
        return done(header)
      }
    }
    const timer = setTimeout(() => done({ kind: 'wrong', why: 'no header came in time' }), HEADER_WAIT)
    socket.on('readable', read).on('end', ended).on('close', ended)
  })
}
