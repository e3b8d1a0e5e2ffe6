import type { Duplex } from 'node:stream'
import { takeFirst } from '../base/array.ts'
import { concat } from '../base/bytes.ts'
import { isWire, type Machine, type WireOutput } from '../base/machine.ts'
import type { Duration } from '../base/time.ts'
import { Alarm } from './alarm.ts'
import { now } from './clock.ts'
import { type Channel, linger, streamOf, writeAll } from './sockets.ts'
import { lasting } from './tcp.ts'
import type { Secured } from './tls.ts'

/** A peer that does not read what we write holds our memory: after this long it is gone. */
export const WRITE_WAIT: Duration = 300_000
/**
 * Octets given to a machine at once. A short command may have a long reply (EHLO: fifty times as long), and only between
 * two slices is it noticed that the peer does not read them.
 */
export const SLICE = 4096

/** How a connection ends, but for an error; and what whoever waits to write hears. */
const ENDS = ['end', 'close'] as const
const GOES_ON = ['drain', 'close'] as const

/** The outputs that are not the wire's, for whoever drives a machine to carry out. */
export type Rest<Output> = Exclude<Output, WireOutput>

/**
 * Carries out an output that is not the wire's. What it returns is carried out next, before anything that came after:
 * so an answer takes the place of its question. A promise stops the reading, after one more chunk, until it is kept.
 */
export type Perform<Output> = (
  output: Rest<Output>,
) => undefined | readonly Output[] | Promise<readonly Output[] | undefined>

export interface DriveOptions {
  /**
   * Go on reading while the peer does not read. A client must, because the server may have something to say in the middle
   * of a message; a server must not, because a peer that only writes would fill its memory.
   */
  readonly readsOn?: boolean
  /** Carries out `start-tls`; without it such a machine has no connection any more. */
  readonly secure?: (socket: Duplex) => Promise<Secured>
  readonly writeWait?: Duration
}

/** Something for the machine to do; `clear` if it is about octets that came before TLS. */
interface Input<Output> {
  readonly run: () => readonly Output[]
  readonly clear: boolean
  /** What the peer said, where it is about that. */
  readonly octets?: Uint8Array
}

/** A connection that was given up to somebody else. */
export interface Released {
  readonly socket: Channel
  /** What was read of it, and never given to the machine. */
  readonly rest: Uint8Array
}

/**
 * Puts one machine on one socket: outputs strictly in order, reading stopped while one of them takes time or the peer
 * does not read, deadlines kept. One of the two files that do so; the other is `splice.ts`.
 */
export class Drive<Output extends { readonly kind: string }> {
  readonly #machine: Machine<Output>
  readonly #perform: Perform<Output>
  readonly #options: DriveOptions
  readonly #inputs: Input<Output>[] = []
  #socket: Channel
  /** What was said and leaves with what is said next. */
  #unsent: Uint8Array[] = []
  #busy = false
  #paused = false
  /** Not later than the deadline, but it may be earlier. */
  readonly #alarm = new Alarm(() => this.#rung())
  #closed = false
  #ended = false
  #settle: () => void = () => {}
  /** Kept when the connection is over and everything was carried out. */
  readonly over: Promise<void>

  constructor(machine: Machine<Output>, socket: Channel, perform: Perform<Output>, options: DriveOptions = {}) {
    this.#options = options
    this.#machine = machine
    this.#socket = socket
    this.#perform = perform
    this.over = new Promise(resolve => {
      this.#settle = resolve
    })
    this.#listen()
    socket.resume()
    // Of a connection that was somebody else's before, the end may have come already, and does not come again.
    if (socket.readableEnded || socket.destroyed) queueMicrotask(this.#onEnd)
  }

  /** Octets of the peer's. They may be lent for this moment only, and are kept by machines and by whom they tell of them. */
  readonly #onData = (octets: Uint8Array): void => {
    const chunk = lasting(octets)
    // All of them before the first is worked on: what stands behind STARTTLS must be there when it is looked for.
    for (let at = 0; at < chunk.length; at += SLICE) {
      const slice = chunk.subarray(at, at + SLICE)
      this.#inputs.push({ run: () => this.#machine.receive(slice, now()), clear: true, octets: slice })
    }
    if (!this.#busy) return this.#work()
    // One chunk waits here, and the rest where it is.
    this.#pause()
  }

  readonly #onEnd = (): void => this.#end()

  #pause(): void {
    this.#paused = true
    this.#socket.pause()
  }

  #listen(): void {
    this.#socket.on('data', this.#onData)
    for (const event of ENDS) this.#socket.on(event, this.#onEnd)
    this.#socket.on('error', this.#onEnd)
  }

  #unlisten(): void {
    this.#socket.off('data', this.#onData)
    for (const event of ENDS) this.#socket.off(event, this.#onEnd)
  }

  /** What was read off the socket before, as if it came now. */
  hear(octets: Uint8Array): void {
    if (octets.length > 0) this.#onData(octets)
  }

  /** Lets the machine do something, in its turn, and carries out what comes of it. */
  do(run: () => readonly Output[]): void {
    this.#put({ run, clear: false })
  }

  #put(input: Input<Output>): void {
    this.#inputs.push(input)
    if (!this.#busy) this.#work()
  }

  /**
   * The connection is somebody else's from here on, as TURN wants it: nothing more is read or written by this machine.
   * Whoever takes the socket resumes it.
   */
  release(): Released {
    this.#alarm.off()
    // What was said before, the yes to TURN above all.
    this.#flush()
    this.#socket.pause()
    this.#unlisten()
    this.#ended = true
    this.#closed = true
    const rest = concat(this.#inputs.splice(0).flatMap(({ octets }) => octets ?? []))
    this.#settle()
    return { socket: this.#socket, rest }
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
    this.#alarm.off()
    this.#close('after-writes')
    this.#settle()
  }

  #work(): void {
    this.#busy = true
    try {
      for (let input = takeFirst(this.#inputs); input; input = takeFirst(this.#inputs)) {
        const waits = this.#carryOut(input.run())
        if (!waits) continue
        void waits.then(
          () => this.#work(),
          () => this.#fail(),
        )
        return
      }
    } catch {
      this.#fail()
      return
    }
    this.#busy = false
    if (this.#paused && !this.#ended && !this.#closed) this.#socket.resume()
    this.#paused = false
    this.#arm()
  }

  /** We are wrong, or an adapter is: this session ends, and no other. */
  #fail(): void {
    this.#socket.destroy()
    this.#ended = true
    this.#inputs.length = 0
    this.#busy = false
    this.#over()
  }

  /** Synchronously as long as it goes; a promise for the rest where something takes time. */
  #carryOut(outputs: readonly Output[]): Promise<void> | undefined {
    const waits = this.#eachOf(outputs, 0)
    return waits ? waits.then(() => this.#settled()) : this.#settled()
  }

  #settled(): Promise<void> | undefined {
    return this.#flush() || this.#options.readsOn ? undefined : this.#drained()
  }

  /** From the n-th on. What comes of one is carried out before the next. */
  #eachOf(outputs: readonly Output[], from: number): Promise<void> | undefined {
    for (let i = from; i < outputs.length; i++) {
      const output = outputs[i] as Output
      let waits: Promise<void> | undefined
      if (isWire(output)) {
        if (output.kind === 'write') {
          this.#unsent.push(output.bytes)
          continue
        }
        this.#flush()
        if (output.kind === 'start-tls') waits = this.#startTls().then(more => this.#eachOf(more, 0))
        else this.#close(output.how)
      } else {
        const performed = this.#perform(output as Rest<Output>)
        if (performed instanceof Promise) {
          // What was said so far goes out now: whoever waits for it must not wait for the answer, too.
          this.#flush()
          waits = performed.then(more => more && this.#eachOf(more, 0))
        } else if (performed) waits = this.#eachOf(performed, 0)
      }
      if (waits) return i + 1 < outputs.length ? waits.then(() => this.#eachOf(outputs, i + 1)) : waits
    }
    return undefined
  }

  async #startTls(): Promise<readonly Output[]> {
    const machine = this.#machine
    // What came in clear and waits here is for the machine to judge, before the handshake; it will not like it.
    const clear = this.#inputs.filter(input => input.clear)
    if (clear.length > 0 || this.#closed) {
      this.#inputs.splice(0, this.#inputs.length, ...this.#inputs.filter(input => !input.clear))
      return clear.flatMap(({ run }) => run())
    }
    this.#pause()
    this.#unlisten()
    try {
      if (!this.#options.secure) throw new Error('there is nothing to do it with')
      const { socket, facts } = await this.#options.secure(streamOf(this.#socket))
      this.#socket = socket
      this.#listen()
      return machine.secured?.(facts, now()) ?? []
    } catch (cause) {
      const why = cause instanceof Error ? cause.message : String(cause)
      const outputs = machine.unsecured?.(why, now()) ?? machine.end(now())
      // Nothing is heard of this socket any more, so its end comes from here.
      this.#end()
      return outputs
    }
  }

  /** In one piece, so that all lines of a reply, and of a pipelined group, leave together. */
  #flush(): boolean {
    const writes = this.#unsent
    if (writes.length === 0) return true
    this.#unsent = []
    return this.#closed || writeAll(this.#socket, writes)
  }

  #drained(): Promise<void> {
    if (this.#closed || this.#socket.destroyed) return Promise.resolve()
    return new Promise(resolve => {
      const done = () => {
        alarm.off()
        for (const event of GOES_ON) this.#socket.off(event, done)
        resolve()
      }
      const alarm = new Alarm(() => this.#socket.destroy())
      alarm.set(now() + (this.#options.writeWait ?? WRITE_WAIT))
      for (const event of GOES_ON) this.#socket.on(event, done)
    })
  }

  #close(how: 'after-writes' | 'at-once'): void {
    if (this.#closed) return
    this.#closed = true
    if (how === 'at-once') {
      this.#socket.destroy()
      return
    }
    const socket = this.#socket
    socket.end()
    linger(socket)
  }

  /** Deadlines mostly move on, with every line: the alarm is left alone then, and looks again when it rings. */
  #arm(): void {
    const { deadline } = this.#machine
    if (deadline === undefined || this.#closed || (this.#alarm.isSet && this.#alarm.due <= deadline)) return
    this.#alarm.set(deadline)
  }

  #rung(): void {
    if ((this.#machine.deadline ?? Infinity) <= now()) this.do(() => this.#machine.tick(now()))
    else this.#arm()
  }
}
