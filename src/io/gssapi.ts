import { accessSync, constants } from 'node:fs'
import {
  buffer,
  type Cell,
  calling,
  type Done,
  emptyBuffer,
  type Gss,
  GssFailure,
  HOSTBASED_SERVICE,
  isError,
  KRB5,
  load,
  nameOf,
  type Octets,
  out,
  type Pointer,
  release,
  say,
  taken,
  unusable,
  words,
} from './libgssapi.ts'

/**
 * The system's Kerberos, by MIT's library.
 *
 * Every call that may touch a file or the network runs on a thread of its own; one context has one call at a time.
 */

/** What takes part in a context: the caller's half of RFC 2743, as much as SASL needs of it. */
export interface GssContext {
  /**
   * The next token for the peer, from the peer's last. The first of an initiator comes from none. Throws `GssFailure`.
   */
  next(token: Uint8Array | undefined): Promise<GssProgress>
  /** With integrity, without confidentiality. */
  wrap(message: Uint8Array): Promise<Uint8Array>
  unwrap(message: Uint8Array): Promise<Uint8Array>
  /** Gives everything back, after the call under way. */
  close(): Promise<void>
}

export interface GssProgress {
  readonly token?: Uint8Array
  readonly established: boolean
  /** The peer's principal, once the context is established. */
  readonly peer?: string
}

/** Who accepts or initiates; begins as many contexts as are wanted. */
export interface GssCredential {
  begin(): GssContext
  /** Once its contexts are closed. */
  close(): void
}

/**
 * Accepts whatever the keytab has keys for; without `keytab` it is that of KRB5_KTNAME or of krb5.conf. Its keys are read
 * afresh for each context, so that it can stay open.
 */
export async function gssAcceptor({
  keytab,
  library,
}: {
  readonly keytab?: string
  readonly library?: string
}): Promise<GssCredential> {
  if (keytab !== undefined) mustBeReadable(keytab)
  const gss = await load(library)
  const credential = await acquire(gss, ACCEPT, keytab === undefined ? {} : { keytab: `FILE:${keytab}` }).catch(
    cause => {
      const where =
        keytab === undefined ? 'the default keytab (KRB5_KTNAME, or that of krb5.conf)' : `the keytab ${keytab}`
      throw unusable(`${where} gives no key to accept with: ${words(cause)}; ${KTADD}`, cause)
    },
  )
  return {
    begin: () => new Acceptor(gss, credential),
    close: () => release(gss.releaseCredential, credential),
  }
}

/**
 * Initiates to a service, `smtp@host.example`.
 *
 * Tickets come from `cache` (`FILE:…`), or are fetched for the first principal of `clientKeytab`; without either, from
 * where Kerberos looks by itself (KRB5CCNAME, KRB5_CLIENT_KTNAME). Tickets end: ask for a new one of these for each
 * connection.
 */
export async function gssInitiator(
  service: string,
  {
    cache,
    clientKeytab,
    library,
  }: { readonly cache?: string; readonly clientKeytab?: string; readonly library?: string } = {},
): Promise<GssCredential> {
  if (clientKeytab !== undefined) mustBeReadable(clientKeytab)
  const gss = await load(library)
  const store = {
    ...(cache === undefined ? {} : { ccache: cache }),
    ...(clientKeytab === undefined ? {} : { client_keytab: `FILE:${clientKeytab}` }),
  }
  const credential = await acquire(gss, INITIATE, store).catch(cause => {
    throw unusable(
      `there is no Kerberos ticket to log in with: ${words(cause)}; run kinit, or name a client keytab`,
      cause,
    )
  })
  const name = out()
  const status = gss.importName([0], buffer(Buffer.from(service)), HOSTBASED_SERVICE, name)
  if (isError(status)) {
    release(gss.releaseCredential, credential)
    throw unusable(`${service} is no name of a service: ${say(gss, status, 0)}`)
  }
  return {
    begin: () => new Initiator(gss, credential, name[0] ?? null),
    close: () => {
      release(gss.releaseName, name[0] ?? null)
      release(gss.releaseCredential, credential)
    },
  }
}

export { GssFailure }

const INITIATE = 1
const ACCEPT = 2
const CONTINUE_NEEDED = 1
const FLAG = { mutual: 2, replay: 4, sequence: 8, integrity: 32 } as const
const WANTED = FLAG.mutual | FLAG.replay | FLAG.sequence | FLAG.integrity
const INDEFINITE = 0xffffffff

const KTADD = 'on the KDC, kadmin -q "ktadd -k FILE smtp/HOST" writes one'

/** What both halves have: a context, one call at a time, and its end. */
abstract class Context implements GssContext {
  protected readonly gss: Gss
  protected readonly context: Cell<Pointer> = out()
  #last: Promise<unknown> = Promise.resolve()
  #closed = false

  constructor(gss: Gss) {
    this.gss = gss
  }

  next(token: Uint8Array | undefined): Promise<GssProgress> {
    return this.#inTurn(() => this.step(token))
  }

  wrap(message: Uint8Array): Promise<Uint8Array> {
    return this.#inTurn(() =>
      this.#message('wrap', (minor, output, then) =>
        this.gss.wrap.async(minor, this.context[0] ?? null, 0, 0, buffer(message), [0], output, then),
      ),
    )
  }

  unwrap(message: Uint8Array): Promise<Uint8Array> {
    return this.#inTurn(() =>
      this.#message('unwrap', (minor, output, then) =>
        this.gss.unwrap.async(minor, this.context[0] ?? null, buffer(message), output, [0], [0], then),
      ),
    )
  }

  async close(): Promise<void> {
    this.#closed = true
    await this.#last.catch(() => {})
    if (this.context[0]) this.gss.deleteContext([0], this.context, null)
    this.context[0] = null
  }

  protected abstract step(token: Uint8Array | undefined): Promise<GssProgress>

  #inTurn<T>(what: () => Promise<T>): Promise<T> {
    if (this.#closed) return Promise.reject(new GssFailure('the context is closed', { peers: false }))
    const turn = this.#last.catch(() => {}).then(what)
    this.#last = turn
    return turn
  }

  async #message(what: string, call: (minor: Cell<number>, output: Octets, then: Done) => void): Promise<Uint8Array> {
    if (!this.context[0]) throw new GssFailure(`${what} before the context stands`, { peers: false })
    const output = emptyBuffer()
    const { status, minor } = await calling((minor, then) => call(minor, output, then))
    const octets = taken(this.gss, output)
    if (isError(status)) throw new GssFailure(say(this.gss, status, minor), { peers: true })
    return octets
  }
}

class Acceptor extends Context {
  readonly #credential: Pointer

  constructor(gss: Gss, credential: Pointer) {
    super(gss)
    this.#credential = credential
  }

  protected override async step(token: Uint8Array = new Uint8Array(0)): Promise<GssProgress> {
    const { gss, context } = this
    const source = out()
    const output = emptyBuffer()
    const flags: Cell<number> = [0]
    const { status, minor } = await calling((minor, then) =>
      gss.acceptSecContext.async(
        ...([
          minor,
          context,
          this.#credential,
          buffer(token),
          null,
          source,
          null,
          output,
          flags,
          null,
          null,
          then,
        ] as const),
      ),
    )
    try {
      const reply = taken(gss, output)
      if (isError(status)) throw new GssFailure(say(gss, status, minor), { peers: true })
      const established = (status & CONTINUE_NEEDED) === 0
      const progress = { established, ...(reply.length > 0 ? { token: reply } : {}) }
      return established ? { ...progress, peer: nameOf(gss, source[0] ?? null) } : progress
    } finally {
      release(gss.releaseName, source[0] ?? null)
    }
  }
}

class Initiator extends Context {
  readonly #credential: Pointer
  readonly #target: Pointer

  constructor(gss: Gss, credential: Pointer, target: Pointer) {
    super(gss)
    this.#credential = credential
    this.#target = target
  }

  protected override async step(token: Uint8Array | undefined): Promise<GssProgress> {
    const { gss, context } = this
    const output = emptyBuffer()
    const flags: Cell<number> = [0]
    const input = token ? buffer(token) : null
    const { status, minor } = await calling((minor, then) =>
      gss.initSecContext.async(
        ...([
          minor,
          this.#credential,
          context,
          this.#target,
          KRB5,
          WANTED,
          0,
          null,
          input,
          null,
          output,
          flags,
          null,
          then,
        ] as const),
      ),
    )
    const reply = taken(gss, output)
    if (isError(status)) throw new GssFailure(say(gss, status, minor), { peers: token !== undefined })
    const established = (status & CONTINUE_NEEDED) === 0
    // Asked for, and not given: whoever answers could be anybody.
    if (established && ((flags[0] ?? 0) & FLAG.mutual) === 0)
      throw new GssFailure('the server did not prove itself', { peers: true })
    return { established, ...(reply.length > 0 ? { token: reply } : {}) }
  }
}

async function acquire(gss: Gss, usage: number, store: Readonly<Record<string, string>>): Promise<Pointer> {
  const credential = out()
  const elements = Object.entries(store).map(([key, value]) => ({ key, value }))
  const { status, minor } = await calling((minor, then) =>
    gss.acquireCredFrom.async(
      ...([
        minor,
        null,
        INDEFINITE,
        { count: 1, elements: [KRB5] },
        usage,
        { count: elements.length, elements },
      ] as const),
      ...([credential, null, null, then] as const),
    ),
  )
  if (isError(status)) throw new GssFailure(say(gss, status, minor), { peers: false })
  return credential[0] ?? null
}

function mustBeReadable(keytab: string): void {
  try {
    accessSync(keytab, constants.R_OK)
  } catch (cause) {
    throw unusable(`the keytab ${keytab} cannot be read: ${words(cause)}; ${KTADD}`, cause)
  }
}
