/** `postern listen`: the far side of a two-ended diagnosis, on a socket. */
import { type FarRecord, FarSide } from '../diagnosis/far-side.ts'
import { now } from '../io/clock.ts'
import { Drive } from '../io/drive.ts'
import { close, type Endpoint, endpointOf, listen, type Server, type Socket } from '../io/sockets.ts'

/** Connections at once; one more is closed. */
export const MAX_CALLERS = 16

export class Listener {
  readonly #server: Server
  readonly #sockets: Set<Socket>

  private constructor(server: Server, sockets: Set<Socket>) {
    this.#server = server
    this.#sockets = sockets
  }

  /** `heard`: a connection is over, and this is what it was. */
  static async open(at: Endpoint, heard: (record: FarRecord, peer: string) => void): Promise<Listener> {
    const sockets = new Set<Socket>()
    const server = await listen(at, socket => {
      socket.on('error', () => {})
      if (sockets.size >= MAX_CALLERS) return void socket.destroy()
      sockets.add(socket)
      socket.on('close', () => sockets.delete(socket))
      const peer = socket.remoteAddress ?? ''
      const far = new FarSide()
      const drive = new Drive(far, socket, output => {
        if (output.kind === 'record') heard(output.record, peer)
        return undefined
      })
      drive.do(() => far.open(now()))
    })
    return new Listener(server, sockets)
  }

  get endpoint(): Endpoint {
    return endpointOf(this.#server)
  }

  async stop(): Promise<void> {
    for (const socket of this.#sockets) socket.destroy()
    await close(this.#server)
  }
}
