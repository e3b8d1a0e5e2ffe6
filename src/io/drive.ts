import type { Duplex } from 'node:stream'
import { isWire, type Machine, type WireOutput } from '../base/machine.ts'
import type { Duration } from '../base/time.ts'
import { now } from './clock.ts'

/** A peer that does not read what we write holds our memory: after this long it is gone. */
export const WRITE_WAIT: Duration = 300_000
/**
 * Octets given to a machine at once. A short command may have a long reply (EHLO: fifty times as long), and only between
 * two slices is it noticed that the peer does not read them.
 */
export const SLICE = 4096
/** How long a closed connection may linger until the other side closes, too. */
export const LINGER: Duration = 5_000

/** The outputs that are not the wire's, for whoever drives a machine to carry out. */
export type Rest<Output> = Exclude<Output, WireOutput>

/**
 * Carries out an output that is not the wire's. What it returns is carried out next, before anything that came after:
 * so an answer takes the place of its question. A promise stops the reading until it is kept.
 */
export type Perform<Output> = (
  output: Rest<Output>,
) => undefined | readonly Output[] | Promise<readonly Output[] | undefined>

/**
 * Puts one machine on one socket: outputs strictly in order, reading stopped while one of them takes time or the peer
 * does not read, deadlines kept. One of the two files that do so; the other is `splice.ts`.
 */
export class Drive<Output extends { readonly kind: string }> {
  readonly #machine: Machine<Output>
  readonly #socket: Duplex
  readonly #perform: Perform<Output>
  readonly #inputs: (() => readonly Output[])[] = []
  #busy = false
  #timer: NodeJS.Timeout | undefined
  #closed = false
  #ended = false
  #settle: () => void = () => {}
  /** Kept when the connection is over and everything was carried out. */
  readonly over: Promise<void>
  readonly #readsOn: boolean

  /**
   * `readsOn`: go on reading while the peer does not read. A client must, because the server may have something to say
   * in the middle of a message; a server must not, because a peer that only writes would fill its memory.
   */
  constructor(
    machine: Machine<Output>,
    socket: Duplex,
    perform: Perform<Output>,
    { readsOn = false }: { readonly readsOn?: boolean } = {},
  ) {
    this.#readsOn = readsOn
    this.#machine = machine
    this.#socket = socket
    this.#perform = perform
    this.over = new Promise(resolve => {
      this.#settle = resolve
    })
    socket.on('data', (chunk: Uint8Array) => {
      for (let at = 0; at < chunk.length; at += SLICE) {
        const slice = chunk.subarray(at, at + SLICE)
        this.do(() => machine.receive(slice, now()))
      }
    })
    socket.on('end', () => this.#end())
    socket.on('error', () => this.#end())
    socket.on('close', () => this.#end())
    socket.resume()
  }

  /** Lets the machine do something, in its turn, and carries out what comes of it. */
  do(input: () => readonly Output[]): void {
    this.#inputs.push(input)
    if (!this.#busy) void this.#work()
  }

  /** Kept once everything asked for was carried out, and what was written is on its way. */
  async idle(): Promise<void> {
    const done = new Promise<void>(resolve =>
      this.do(() => {
        resolve()
        return []
      }),
    )
    // Nothing is carried out any more once it is over.
    await Promise.race([done, this.over])
    if (this.#socket.writableNeedDrain) await this.#drained()
  }

  #end(): void {
    if (this.#ended) return
    this.#ended = true
    this.do(() => this.#machine.end(now()))
    this.do(() => {
      this.#over()
      return []
    })
  }

  #over(): void {
    clearTimeout(this.#timer)
    this.#close('after-writes')
    this.#settle()
  }

  async #work(): Promise<void> {
    this.#busy = true
    try {
      for (let input = this.#inputs.shift(); input; input = this.#inputs.shift()) {
        const waits = this.#carryOut(input())
        if (waits) {
          this.#socket.pause()
          await waits
          if (!this.#ended) this.#socket.resume()
        }
      }
    } catch (cause) {
      // We are wrong, or an adapter is: this session ends, and no other.
      this.#socket.destroy(cause instanceof Error ? cause : new Error(String(cause)))
      this.#ended = true
      this.#inputs.length = 0
      this.#over()
      return
    } finally {
      this.#busy = false
    }
    this.#arm()
  }

  /** Synchronously as long as it goes; a promise for the rest where something takes time. */
  #carryOut(outputs: readonly Output[]): Promise<void> | undefined {
    const writes: Uint8Array[] = []
    for (const [i, output] of outputs.entries()) {
      if (isWire(output)) {
        if (output.kind === 'write') writes.push(output.bytes)
        else if (output.kind === 'close') {
          this.#write(writes.splice(0))
          this.#close(output.how)
        }
        continue
      }
      const performed = this.#perform(output as Rest<Output>)
      if (performed === undefined) continue
      const rest = outputs.slice(i + 1)
      if (!(performed instanceof Promise)) return this.#then(writes, [...performed, ...rest])
      // What was said so far goes out now: whoever waits for it must not wait for the answer, too.
      this.#write(writes.splice(0))
      return performed.then(more => this.#then(writes, [...(more ?? []), ...rest]))
    }
    return this.#write(writes) || this.#readsOn ? undefined : this.#drained()
  }

  #then(writes: readonly Uint8Array[], outputs: readonly Output[]): Promise<void> | undefined {
    this.#write(writes)
    return this.#carryOut(outputs)
  }

  /** In one piece, so that all lines of a reply, and of a pipelined group, leave together. */
  #write(writes: readonly Uint8Array[]): boolean {
    const [first] = writes
    if (first === undefined || this.#closed) return true
    return this.#socket.write(writes.length === 1 ? first : Buffer.concat(writes))
  }

  #drained(): Promise<void> {
    if (this.#closed || this.#socket.destroyed) return Promise.resolve()
    return new Promise(resolve => {
      const done = () => {
        clearTimeout(timer)
        this.#socket.off('drain', done).off('close', done)
        resolve()
      }
      const timer = setTimeout(() => this.#socket.destroy(), WRITE_WAIT)
      this.#socket.on('drain', done).on('close', done)
    })
  }

  #close(how: 'after-writes' | 'at-once'): void {
    if (this.#closed) return
    this.#closed = true
    if (how === 'at-once') {
      this.#socket.destroy()
      return
    }
    this.#socket.end()
    setTimeout(() => this.#socket.destroy(), LINGER).unref()
  }

  #arm(): void {
    clearTimeout(this.#timer)
    const { deadline } = this.#machine
    if (deadline === undefined || this.#closed) return
    this.#timer = setTimeout(() => this.do(() => this.#machine.tick(now())), Math.max(0, deadline - now()) + 1)
  }
}
