import { takeFirst } from '../base/array.ts'
import { after, type Phase, type Said } from '../smtp/dialogue.ts'
import type { Reply } from '../smtp/reply.ts'

/**
 * Something that was said and is not answered yet. The server's replies come in the order of the commands, and so must
 * ours: what is answered here waits until everything said before it has its reply.
 */
export type Owed =
  /** Answered here; the server never heard of it. */
  | { readonly kind: 'here'; readonly reply: Reply; readonly closes: boolean }
  /** The server was asked, for the client. With `instead`, the client hears that and not what the server says. */
  | { readonly kind: 'server'; readonly said: Said; readonly instead?: Reply; readonly binary?: boolean }
  /** The server was asked, for our own sake: the client hears nothing of it. */
  | { readonly kind: 'ours'; readonly said: Said }

/** Commands of one client that may wait for their reply; with more of them its input waits. */
export const MAX_OWED = 100

const alone = new Map<Phase, ReadonlySet<Phase>>()

function onlyPhase(phase: Phase): ReadonlySet<Phase> {
  const known = alone.get(phase) ?? new Set([phase])
  alone.set(phase, known)
  return known
}

/** One queue with two cursors: at its end what the client said last, at its head what the server answers next. */
export class ReplyQueue {
  readonly #owed: Owed[] = []

  get size(): number {
    return this.#owed.length
  }

  push(owed: Owed): void {
    this.#owed.push(owed)
  }

  /** What may be said now, because nothing that was said before it is unanswered. */
  takeHere(): (Owed & { readonly kind: 'here' }) | undefined {
    const head = this.#owed[0]
    if (head?.kind !== 'here') return undefined
    takeFirst(this.#owed)
    return head
  }

  /** The server replied: what to, or `undefined` where nobody had asked. */
  takeServers(): Exclude<Owed, { kind: 'here' }> | undefined {
    const head = this.#owed[0]
    if (head === undefined || head.kind === 'here') return undefined
    takeFirst(this.#owed)
    return head
  }

  /** What the server is to answer next. */
  get next(): Said | undefined {
    const head = this.#owed[0]
    return head === undefined || head.kind === 'here' ? undefined : head.said
  }

  /** Does the client wait for any of it? */
  get owesClient(): boolean {
    return this.#owed.some(owed => owed.kind !== 'ours')
  }

  clear(): void {
    this.#owed.length = 0
  }

  /** How many of these are unanswered. */
  count(said: Said): number {
    if (this.#owed.length === 0) return 0
    return this.#owed.filter(owed => owed.kind === 'server' && owed.said === said).length
  }

  /** Every phase that the dialogue may be in once all of it is answered, whatever the server says. */
  phasesFrom(now: Phase): ReadonlySet<Phase> {
    if (this.#owed.length === 0) return onlyPhase(now)
    let phases = new Set<Phase>([now])
    for (const owed of this.#owed) {
      if (owed.kind === 'here') continue
      phases = new Set([...phases].flatMap(phase => [200, 500].map(code => after(phase, owed.said, code))))
    }
    return phases
  }
}
