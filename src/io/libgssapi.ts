import type { KoffiFunc, LibraryHandle, TypeObject } from 'koffi'
import { PosternError } from '../base/problem.ts'

/**
 * MIT's libgssapi_krb5 as it is in C (RFC 2744), called in our own process by `koffi`.
 *
 * Both are optional. They are looked for when somebody first asks, and what is missing is said with what to install.
 */

export const LIBRARY = 'libgssapi_krb5.so.2'

/** GSSAPI said no: the peer's token is not good, or our credentials are not. */
export class GssFailure extends Error {
  /** Is it the peer's doing? */
  readonly peers: boolean
  constructor(message: string, { peers }: { peers: boolean }) {
    super(message)
    this.name = 'GssFailure'
    this.peers = peers
  }
}

/** A bigint in JavaScript. */
export type Pointer = bigint | null
/** A one-element array is what a pointer to one of these points at. */
export type Cell<T> = [T] | T[]
export interface Octets {
  readonly length: number | bigint
  readonly value: Pointer | Uint8Array
}
export interface Oid {
  readonly length: number
  readonly elements: Uint8Array
}

export interface Gss {
  readonly acceptSecContext: KoffiFunc<
    (
      minor: Cell<number>,
      context: Cell<Pointer>,
      credential: Pointer,
      input: Octets,
      bindings: null,
      source: Cell<Pointer>,
      mechanism: null,
      output: Octets,
      flags: Cell<number>,
      time: null,
      delegated: null,
    ) => number
  >
  readonly initSecContext: KoffiFunc<
    (
      minor: Cell<number>,
      credential: Pointer,
      context: Cell<Pointer>,
      target: Pointer,
      mechanism: Oid,
      wanted: number,
      time: number,
      bindings: null,
      input: Octets | null,
      actual: null,
      output: Octets,
      flags: Cell<number>,
      timeGiven: null,
    ) => number
  >
  readonly wrap: KoffiFunc<
    (
      minor: Cell<number>,
      context: Pointer,
      secret: number,
      quality: number,
      input: Octets,
      wasSecret: Cell<number>,
      output: Octets,
    ) => number
  >
  readonly unwrap: KoffiFunc<
    (
      minor: Cell<number>,
      context: Pointer,
      input: Octets,
      output: Octets,
      wasSecret: Cell<number>,
      quality: Cell<number>,
    ) => number
  >
  readonly acquireCredFrom: KoffiFunc<
    (
      minor: Cell<number>,
      name: null,
      time: number,
      mechanisms: { readonly count: number; readonly elements: readonly Oid[] },
      usage: number,
      store: { readonly count: number; readonly elements: readonly { readonly key: string; readonly value: string }[] },
      credential: Cell<Pointer>,
      actual: null,
      timeGiven: null,
    ) => number
  >
  readonly importName: KoffiFunc<(minor: Cell<number>, input: Octets, type: Oid, name: Cell<Pointer>) => number>
  readonly displayName: KoffiFunc<(minor: Cell<number>, name: Pointer, output: Octets, type: null) => number>
  readonly displayStatus: KoffiFunc<
    (minor: Cell<number>, status: number, kind: number, mechanism: Oid, more: Cell<number>, output: Octets) => number
  >
  readonly releaseBuffer: KoffiFunc<(minor: Cell<number>, buffer: Octets) => number>
  readonly releaseName: KoffiFunc<(minor: Cell<number>, name: Cell<Pointer>) => number>
  readonly releaseCredential: KoffiFunc<(minor: Cell<number>, credential: Cell<Pointer>) => number>
  readonly deleteContext: KoffiFunc<(minor: Cell<number>, context: Cell<Pointer>, token: null) => number>
  /** A copy of memory that is theirs. */
  readonly octetsAt: (at: Pointer, length: number) => Uint8Array
}

/** Calling errors and routine errors; what is below is supplementary. */
const ERRORS = 0xffff0000

/** Enough for a resolver's and a KDC's answer; koffi's own 128 kB are not. */
const STACK = 1 << 20

let loading: { readonly library: string; readonly gss: Promise<Gss> } | undefined

/** Once for a process: a second library would have the same symbols. A failure is not kept. */
export function load(library: string = LIBRARY): Promise<Gss> {
  if (loading?.library === library) return loading.gss
  const gss = bind(library).catch(cause => {
    loading = undefined
    throw cause
  })
  loading = { library, gss }
  return gss
}

async function bind(name: string): Promise<Gss> {
  const { default: koffi } = await import('koffi').catch(cause => {
    throw unusable(
      'GSSAPI needs the npm package koffi, which is not here (it is optional); npm install koffi adds it',
      cause,
    )
  })
  let library: LibraryHandle
  try {
    koffi.config({ async_stack_size: STACK })
  } catch {
    // Another library was loaded by koffi before; its stacks are as they are.
  }
  try {
    library = koffi.load(name)
  } catch (cause) {
    throw unusable(
      `GSSAPI needs MIT Kerberos, and ${name} cannot be loaded: ${words(cause)}; on Debian, apt-get install libgssapi-krb5-2 adds it`,
      cause,
    )
  }
  const { struct, pointer, inout, out } = koffi
  const octets = pointer(struct({ length: 'size_t', value: 'void *' }))
  const id = struct({ length: 'uint32_t', elements: 'void *' })
  const ids = struct({ count: 'size_t', elements: pointer(id) })
  const pair = struct({ key: 'const char *', value: 'const char *' })
  const store = struct({ count: 'uint32_t', elements: pointer(pair) })
  const handle = 'void *'
  const cell = inout(pointer('void *'))
  const minor = out(pointer('uint32_t'))
  const int = out(pointer('int'))
  const word = out(pointer('uint32_t'))
  type Argument = string | TypeObject | typeof minor
  const one = (symbol: string, ...types: readonly Argument[]) => library.func(symbol, 'uint32_t', [minor, ...types])
  try {
    return {
      acceptSecContext: one(
        'gss_accept_sec_context',
        ...[cell, handle, octets, handle, cell, handle, inout(octets), word, handle, handle],
      ),
      initSecContext: one(
        'gss_init_sec_context',
        ...[
          handle,
          cell,
          handle,
          pointer(id),
          'uint32_t',
          'uint32_t',
          handle,
          octets,
          handle,
          inout(octets),
          word,
          handle,
        ],
      ),
      wrap: one('gss_wrap', handle, 'int', 'uint32_t', octets, int, inout(octets)),
      unwrap: one('gss_unwrap', handle, octets, inout(octets), int, word),
      acquireCredFrom: one(
        'gss_acquire_cred_from',
        ...[handle, 'uint32_t', pointer(ids), 'int', pointer(store), cell, handle, handle],
      ),
      importName: one('gss_import_name', octets, pointer(id), cell),
      displayName: one('gss_display_name', handle, inout(octets), handle),
      displayStatus: one(
        'gss_display_status',
        'uint32_t',
        'int',
        pointer(id),
        inout(pointer('uint32_t')),
        inout(octets),
      ),
      releaseBuffer: one('gss_release_buffer', inout(octets)),
      releaseName: one('gss_release_name', cell),
      releaseCredential: one('gss_release_cred', cell),
      deleteContext: one('gss_delete_sec_context', cell, handle),
      octetsAt: (at, length) =>
        at === null || length === 0 ? new Uint8Array(0) : new Uint8Array(koffi.view(at, length)).slice(),
    }
  } catch (cause) {
    throw unusable(`${name} is no libgssapi of MIT Kerberos: ${words(cause)}`, cause)
  }
}

/** 1.2.840.113554.1.2.2 and 1.2.840.113554.1.2.1.4. */
export const KRB5: Oid = oid(0x2a, 0x86, 0x48, 0x86, 0xf7, 0x12, 0x01, 0x02, 0x02)
export const HOSTBASED_SERVICE: Oid = oid(0x2a, 0x86, 0x48, 0x86, 0xf7, 0x12, 0x01, 0x02, 0x01, 0x04)

export type Done = (error: unknown, status: number) => void

/** One call on another thread. Too many at once are refused by koffi, which is no reason to fall. */
export function calling(
  call: (minor: Cell<number>, then: Done) => void,
): Promise<{ readonly status: number; readonly minor: number }> {
  return new Promise((resolve, reject) => {
    const minor: Cell<number> = [0]
    try {
      call(minor, (error, status) => {
        if (error) reject(new GssFailure(words(error), { peers: false }))
        else resolve({ status: status >>> 0, minor: (minor[0] ?? 0) >>> 0 })
      })
    } catch (cause) {
      reject(new GssFailure(words(cause), { peers: false }))
    }
  })
}

export function out(): Cell<Pointer> {
  return [null]
}

export function oid(...elements: readonly number[]): Oid {
  return { length: elements.length, elements: Uint8Array.from(elements) }
}

export function buffer(octets: Uint8Array): Octets {
  return { length: octets.length, value: octets.length > 0 ? octets : null }
}

export function emptyBuffer(): Octets {
  return { length: 0, value: null }
}

/** What the library wrote, copied; its memory goes back. */
export function taken(gss: Gss, output: Octets): Uint8Array {
  const { length, value } = output
  if (value === null || value instanceof Uint8Array) return new Uint8Array(0)
  const octets = gss.octetsAt(value, Number(length))
  gss.releaseBuffer([0], output)
  return octets
}

export function release(give: (minor: Cell<number>, what: Cell<Pointer>) => number, what: Pointer): void {
  if (what !== null) give([0], [what])
}

export function isError(status: number): boolean {
  return (status & ERRORS) !== 0
}

export function nameOf(gss: Gss, name: Pointer): string {
  const output = emptyBuffer()
  const minor: Cell<number> = [0]
  const status = gss.displayName(minor, name, output, null)
  if (isError(status)) throw new GssFailure(say(gss, status, minor[0] ?? 0), { peers: true })
  return Buffer.from(taken(gss, output)).toString('utf8')
}

/** In the library's words: what GSSAPI says, and what Kerberos says behind it. */
export function say(gss: Gss, status: number, minor: number): string {
  const phrases = (
    [
      [status, 1],
      [minor, 2],
    ] as const
  ).flatMap(([code, kind]) => {
    const output = emptyBuffer()
    if (code === 0 || isError(gss.displayStatus([0], code, kind, KRB5, [0], output))) return []
    return [Buffer.from(taken(gss, output)).toString('utf8')]
  })
  // What GSSAPI says where it has nothing to say.
  const telling = phrases.filter(each => !/^Unspecified GSS failure/.test(each))
  return (telling.length > 0 ? telling : phrases).join(': ')
}

export function words(cause: unknown): string {
  return cause instanceof Error ? cause.message : String(cause)
}

export function unusable(why: string, cause?: unknown): PosternError {
  return new PosternError('POSTERN_NO_GSSAPI', why, { side: 'us', retry: 'never', cause })
}
