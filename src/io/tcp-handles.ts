/** Node's own TCP handles, where it has them: docs/decisions/0012-lean-connections.md. */
import type { Tcp } from './tcp.ts'

/** What Node calls `tcp_wrap` and `stream_wrap`; only what is used here. */
export interface Handle {
  readonly writeQueueSize: number
  onread: (this: Handle) => void
  onconnection: (failed: number, client: Handle) => void
  /** Ours: the connection that it carries. */
  owner?: Tcp
  bind(address: string, port: number): number
  bind6(address: string, port: number, flags: number): number
  listen(backlog: number): number
  connect(request: object, address: string, port: number): number
  connect6(request: object, address: string, port: number): number
  getsockname(out: object): number
  getpeername(out: object): number
  setNoDelay(on: boolean): number
  useUserBuffer(memory: Uint8Array): void
  readStart(): number
  readStop(): number
  writeBuffer(request: object, octets: Uint8Array): number
  shutdown(request: object): number
  reset(done: (this: Handle) => void): number
  close(done?: (this: Handle) => void): void
}

export interface Request {
  oncomplete: (this: Request, status: number) => void
  /** Ours: kept alive until the kernel has them. */
  octets?: Uint8Array
  /** Ours: what asked for it. */
  owner?: object
}

interface Binding {
  readonly TCP: new (type: number) => Handle
  readonly TCPConnectWrap: new () => Request
  readonly WriteWrap: new () => Request
  readonly ShutdownWrap: new () => Request
  readonly SOCKET: number
  readonly SERVER: number
  readonly IPV6ONLY: number
  /** Where a handle leaves the figures of its last read or write. */
  readonly state: Int32Array
  readonly READ: number
  readonly IS_ASYNC: number
}

/** With `node` in this variable of the environment everything goes over `node:net`, as where there are no handles. */
const VARIABLE = 'POSTERN_TCP'

const binding = readBinding()

/** Has this Node the handles, and are they wanted? */
export const lean: boolean = binding !== undefined

function readBinding(): Binding | undefined {
  // Node calls this way to its handles deprecated: whoever lets that end the process is served without them.
  if (process.env[VARIABLE] === 'node' || process.throwDeprecation) return undefined
  try {
    const { binding: read } = process as unknown as { readonly binding: (name: string) => Record<string, unknown> }
    const [tcp, stream] = [read.call(process, 'tcp_wrap'), read.call(process, 'stream_wrap')]
    const constants = tcp.constants as Record<string, number>
    const found = {
      TCP: tcp.TCP,
      TCPConnectWrap: tcp.TCPConnectWrap,
      WriteWrap: stream.WriteWrap,
      ShutdownWrap: stream.ShutdownWrap,
      SOCKET: constants.SOCKET,
      SERVER: constants.SERVER,
      IPV6ONLY: constants.UV_TCP_IPV6ONLY,
      state: stream.streamBaseState,
      READ: stream.kReadBytesOrError,
      IS_ASYNC: stream.kLastWriteWasAsync,
    }
    const { prototype } = found.TCP as { readonly prototype: object }
    const isWhole = Object.values(found).every(each => each !== undefined) && 'useUserBuffer' in prototype
    return isWhole ? (found as Binding) : undefined
  } catch {
    return undefined
  }
}

export function handles(): Binding {
  if (!binding) throw new Error('this Node has no TCP handles')
  return binding
}
