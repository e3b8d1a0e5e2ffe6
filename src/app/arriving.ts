import { takeFirst } from '../base/array.ts'
import { HeaderWatch } from '../mail/trace.ts'
import type { Limits } from '../smtp/limits.ts'
import type { Answer } from '../smtp/session.ts'
import type { SpoolEntry } from '../spool/entry.ts'
import type { Kept, Spool } from '../spool/spool.ts'
import { words } from './words.ts'

/** What was seen of a message as it passed. */
export interface Seen {
  readonly size: number
  readonly messageId: string | undefined
}

/** A message on its way into the spool: what the session hands out is what the spool reads, at the spool's pace. */
export class Arriving {
  readonly #watch = new HeaderWatch()
  readonly #limits: Limits
  readonly #pieces: Uint8Array[] = []
  readonly #kept: Promise<Kept>
  readonly #conclude: (kept: Kept, seen: Seen) => Promise<Answer>
  #size = 0
  #over: 'whole' | { readonly why: string } | undefined
  #wakeReader: () => void = () => {}
  #wakeWriter: () => void = () => {}
  #failed = false
  #refused: Answer | undefined

  constructor(spool: Spool, entry: SpoolEntry, limits: Limits, conclude: (kept: Kept, seen: Seen) => Promise<Answer>) {
    this.#limits = limits
    this.#conclude = conclude
    this.#kept = spool.put(entry, this.#read()).then(
      kept => {
        this.#failed = !kept.kept
        this.#wakeWriter()
        return kept
      },
      cause => {
        this.#failed = true
        this.#wakeWriter()
        return { kept: false, why: 'fault', words: words(cause) }
      },
    )
  }

  /** A piece of the message; a promise while the spool is behind. */
  push(piece: Uint8Array): Promise<undefined> | undefined {
    if (this.#failed) return undefined
    this.#watch.push(piece, this.#limits.headerSize)
    this.#size += piece.length
    this.#pieces.push(piece)
    this.#wakeReader()
    if (this.#pieces.length < 16) return undefined
    return new Promise(resolve => {
      this.#wakeWriter = () => resolve(undefined)
    })
  }

  /** The value of a field that the server before us wrote above the message. */
  written(field: string): string | undefined {
    return this.#watch.written(field)
  }

  /** Whatever it is, it will not be kept. */
  refuse(answer: Answer): void {
    this.#refused = answer
  }

  abandon(why: string): void {
    this.#over ??= { why }
    this.#wakeReader()
  }

  async finish(): Promise<Answer> {
    const refused: Answer | undefined =
      this.#watch.hops > this.#limits.hops
        ? { no: 'too-many-hops' }
        : this.#watch.size > this.#limits.headerSize
          ? { no: 'header-too-long' }
          : this.#refused
    if (refused) this.abandon('refused')
    else this.#over ??= 'whole'
    this.#wakeReader()
    const kept = await this.#kept
    return refused ?? this.#conclude(kept, { size: this.#size, messageId: this.#watch.messageId })
  }

  async *#read(): AsyncIterable<Uint8Array> {
    for (;;) {
      const piece = takeFirst(this.#pieces)
      if (piece) {
        this.#wakeWriter()
        yield piece
      } else if (this.#over === 'whole') {
        return
      } else if (this.#over) {
        throw new Error(this.#over.why)
      } else {
        await new Promise<void>(resolve => {
          this.#wakeReader = resolve
        })
      }
    }
  }
}
