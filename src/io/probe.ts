import { dial, type Endpoint } from './sockets.ts'

/** Octets of a greeting that a probe reads. */
const MAX_GREETING = 2_048

/**
 * Is there a server? `undefined` if so, else why not. With `smtp` it must greet with 220, and hears QUIT. `header` is said
 * first: a server that expects a PROXY header greets nobody without one.
 */
export async function greets(
  at: Endpoint,
  {
    kind,
    header,
    signal,
  }: { readonly kind: 'tcp' | 'smtp'; readonly header?: Uint8Array; readonly signal: AbortSignal },
): Promise<string | undefined> {
  let heard = ''
  try {
    const socket = await dial(at, signal)
    try {
      if (header) socket.write(header)
      if (kind === 'tcp') return undefined
      socket.setEncoding('latin1')
      await new Promise<void>(resolve => {
        const done = (): void => resolve()
        socket.on('data', (chunk: string) => {
          heard += chunk
          if (heard.includes('\n') || heard.length > MAX_GREETING) done()
        })
        socket.on('end', done).on('close', done).on('error', done).resume()
        signal.addEventListener('abort', done, { once: true })
      })
      if (!/^220[ -]/.test(heard)) return heard === '' ? 'it does not greet' : `it greets with ${heard.slice(0, 3)}`
      socket.end('QUIT\r\n')
      return undefined
    } finally {
      // What it answers to QUIT nobody needs; a moment lets it go out.
      setTimeout(() => socket.destroy(), kind === 'tcp' ? 0 : 200).unref()
    }
  } catch (cause) {
    return (cause as Error).message
  }
}
