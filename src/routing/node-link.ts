import { bytes, text } from '../base/bytes.ts'
import type { Machine, WireOutput } from '../base/machine.ts'
import type { Duration, Instant } from '../base/time.ts'
import { MAX_FRAME } from '../smtp/link2state.ts'
import type { RoutingEngine } from './engine.ts'
import { Exchange, type ExchangeOutput, type Finding } from './exchange.ts'
import { readFrame, takeFrame, writeFrame } from './frame.ts'
import type { Guid } from './link-state.ts'

/**
 * The connection between a member and the master of its group, TCP 691: frames bare, one after the other, and it stays.
 *
 * Each side greets with NODEINFO. How Exchange authenticates here is undocumented: the driver lets nobody come this far
 * but over TLS with a certificate, or on an interface of its own.
 */
export type NodeLinkOutput = WireOutput | Exclude<ExchangeOutput, { kind: 'say' }>

export interface NodeLinkOptions {
  /** The member connects, and begins. */
  readonly side: 'member' | 'master'
  readonly neighbour: string
  /** The member at the other end, as it proved itself: it reports for nobody else. */
  readonly member?: Guid
  /** What NODEINFO calls this server. */
  readonly version?: string
  readonly timers?: Partial<NodeLinkTimers>
  readonly maxFrame?: number
}

export interface NodeLinkTimers {
  /** The greeting is due. */
  readonly greeting: Duration
  /** The rest of a frame, or the answer to one, is due. */
  readonly answer: Duration
  /** A member asks again, though nothing changed here: news may have been lost. */
  readonly poll: Duration
}

export const NODE_LINK_TIMERS: NodeLinkTimers = { greeting: 30_000, answer: 60_000, poll: 300_000 }

/** By these words a Postern knows another; 2000 says `Microsoft Routing Server ready`. */
const POSTERN = 'Postern Routing Server ready'
const VERSION_WIDTH = 14

export class NodeLink implements Machine<NodeLinkOutput> {
  readonly #engine: RoutingEngine
  readonly #options: NodeLinkOptions
  readonly #timers: NodeLinkTimers
  /** Is the other end a Postern, of which it is known that it asks now and then? */
  #isPostern = false
  /** Pieces of a frame that has not come whole. */
  #pieces: string[] = []
  #octets = 0
  /** How many octets it takes until it is worth to look again. */
  #wanted = 1
  #exchange: Exchange | undefined
  #awaits = false
  /** Changes of the engine when this neighbour was last told. */
  #told = -1
  #deadline: Instant | undefined
  #closed = false

  constructor(engine: RoutingEngine, options: NodeLinkOptions, now: Instant) {
    this.#engine = engine
    this.#options = options
    this.#timers = { ...NODE_LINK_TIMERS, ...options.timers }
    this.#deadline = now + this.#timers.greeting
  }

  get deadline(): Instant | undefined {
    return this.#deadline
  }

  /** Call once the connection stands: the master greets first. */
  start(): readonly NodeLinkOutput[] {
    return this.#options.side === 'master' ? [this.#greeting()] : []
  }

  /** The table changed, by whomever: this neighbour is told as soon as it listens. */
  changed(now: Instant): readonly NodeLinkOutput[] {
    if (this.#closed || !this.#exchange || this.#awaits || this.#told === this.#engine.changes) return []
    return this.#begin(now)
  }

  /** A member tells what it can reach. A master of 2000 is not told: its way of saying it is not public. */
  report(connector: Guid, available: boolean): readonly NodeLinkOutput[] {
    const said = this.#closed ? [] : (this.#exchange?.report(connector, available) ?? [])
    return said.flatMap(output => (output.kind === 'say' ? [{ kind: 'write', bytes: bytes(output.frame) }] : []))
  }

  receive(octets: Uint8Array, now: Instant): readonly NodeLinkOutput[] {
    if (this.#closed) return []
    this.#pieces.push(text(octets))
    this.#octets += octets.length
    const outputs: NodeLinkOutput[] = []
    while (!this.#closed && this.#octets >= this.#wanted) {
      const whole = this.#pieces.join('')
      const taken = takeFrame(whole, this.#options.maxFrame ?? MAX_FRAME)
      if (taken === 'more') {
        this.#pieces = [whole]
        this.#wanted = wantedFor(whole)
        break
      }
      if ('wrong' in taken) {
        outputs.push(...this.#fail(taken.wrong))
        break
      }
      this.#pieces = taken.rest === '' ? [] : [taken.rest]
      this.#octets = taken.rest.length
      this.#wanted = 1
      outputs.push(...this.#hear(taken.frame, now))
    }
    if (!this.#closed && this.#exchange) this.#deadline = this.#due(now)
    return outputs
  }

  end(_now: Instant): readonly NodeLinkOutput[] {
    if (this.#closed) return []
    return this.#close()
  }

  tick(now: Instant): readonly NodeLinkOutput[] {
    if (this.#closed || this.#deadline === undefined || now < this.#deadline) return []
    if (!this.#exchange) return this.#fail('no greeting came in time')
    if (this.#awaits || this.#octets > 0) return this.#fail('no answer came in time')
    if (this.#options.side === 'member') return this.#begin(now)
    return this.#fail('nothing was heard for too long')
  }

  #hear(frame: string, now: Instant): readonly NodeLinkOutput[] {
    if (this.#exchange) {
      const wasAwaiting = this.#awaits
      this.#awaits = false
      const outputs = this.#translate(this.#exchange.hear(frame))
      if (outputs.length > 0 && outputs.every(({ kind }) => kind === 'report')) this.#awaits = wasAwaiting
      // What it taught us, we need not tell; what changed while it spoke, we must.
      if (!this.#closed && !this.#awaits && this.#exchange.isDone) {
        const isToldNow = outputs.some(output => output.kind === 'done' && output.inStep)
        if (isToldNow) this.#told = this.#exchange.toldAt
      }
      return outputs
    }
    const read = readFrame(frame)
    if ('wrong' in read) return this.#fail(read.wrong)
    if (read.frame.kind !== 'node-info') return this.#fail('expected NODEINFO first')
    const { side, neighbour, maxFrame = MAX_FRAME } = this.#options
    const delta = read.frame.text.includes(POSTERN)
    this.#isPostern = delta
    this.#exchange = new Exchange(this.#engine, {
      side: side === 'member' ? 'client' : 'server',
      neighbour,
      teller: 'own-group',
      delta,
      lasting: true,
      maxFrame,
    })
    return side === 'member' ? [this.#greeting(), ...this.#begin(now)] : []
  }

  #begin(now: Instant): readonly NodeLinkOutput[] {
    this.#told = this.#engine.changes
    const outputs = this.#translate(this.#exchange?.begin() ?? [])
    this.#deadline = this.#due(now)
    return outputs
  }

  #translate(said: readonly ExchangeOutput[]): readonly NodeLinkOutput[] {
    const outputs: NodeLinkOutput[] = []
    const { member } = this.#options
    for (const output of said) {
      if (output.kind === 'say') {
        outputs.push({ kind: 'write', bytes: bytes(output.frame) })
        this.#awaits = true
      } else if (output.kind === 'report' && member !== undefined && output.server !== member) {
        outputs.push(...this.#fail('it reports what another server can reach'))
        break
      } else {
        outputs.push(output)
        if (output.kind === 'done') this.#awaits = false
        if (output.kind === 'finding' && output.finding.kind === 'refused') outputs.push(...this.#close())
      }
    }
    return outputs
  }

  /** A member asks then; a master that has not been asked by then is alone on the line. A master of 2000 need not ask. */
  #due(now: Instant): Instant | undefined {
    const { answer, poll } = this.#timers
    if (this.#awaits || this.#octets > 0) return now + answer
    if (this.#options.side === 'member') return now + poll
    return this.#isPostern ? now + poll + answer : undefined
  }

  #greeting(): NodeLinkOutput {
    const version = (this.#options.version ?? '1.0').slice(0, VERSION_WIDTH).padEnd(VERSION_WIDTH)
    const frame = writeFrame({ kind: 'node-info', text: `Version: ${version} ${POSTERN}\r\n` })
    return { kind: 'write', bytes: bytes(frame) }
  }

  #fail(why: string): readonly NodeLinkOutput[] {
    const finding: Finding = { kind: 'refused', neighbour: this.#options.neighbour, why }
    return [{ kind: 'finding', finding }, ...this.#close()]
  }

  #close(): readonly NodeLinkOutput[] {
    this.#closed = true
    this.#deadline = undefined
    this.#pieces = []
    this.#octets = 0
    return [{ kind: 'close', how: 'after-writes' }]
  }
}

/** So many octets are needed until the frame can be whole: joining pieces for every one of them would be quadratic. */
function wantedFor(begun: string): number {
  const close = begun.indexOf('}')
  return close < 0 ? begun.length + 1 : close + 1 + Number.parseInt(begun.slice(1, close), 16)
}
