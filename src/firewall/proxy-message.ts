import { concat, NO_BYTES } from '../base/bytes.ts'
import { type ChunkReader, type DotReader, DotWriter } from '../smtp/body.ts'
import type { Reply } from '../smtp/reply.ts'
import { Content, type Fault } from './proxy-content.ts'
import { editorFor } from './proxy-edit.ts'
import type { Rules } from './proxy-rules.ts'
import type { Because, Explanation } from './verdict.ts'

/** What the client's octets are, while they are no commands. */
export type Body =
  | { readonly kind: 'dots'; readonly reader: DotReader }
  | {
      readonly kind: 'chunk'
      readonly size: number
      readonly last: boolean
      readonly reader: ChunkReader
      /** Its octets are counted off and thrown away; this is said behind them. */
      readonly refusal?: { readonly reply: Reply; readonly because: Because }
    }
  /** Of XEXCH50: nobody but the two servers can read it. */
  | { readonly kind: 'blob'; readonly reader: ChunkReader }

/** A message on its way: out of the client's framing, checked, and into the server's. */
export class Message {
  /** Ended by a dot; else it goes on in chunks, for it is binary. */
  readonly writer: DotWriter | undefined
  readonly #content: Content

  constructor(rules: Rules, { binary }: { readonly binary: boolean }) {
    this.writer = binary ? undefined : new DotWriter()
    this.#content = new Content(rules, { binary, editor: binary ? undefined : editorFor(rules) })
  }

  /** Why it cannot go on. */
  get fault(): Fault | undefined {
    return this.#content.fault
  }

  altered(): readonly Explanation[] {
    return this.#content.altered()
  }

  /** The octets for the server. */
  push(piece: Uint8Array, isChecked: boolean): Uint8Array {
    return this.#framed(this.#content.push(piece, isChecked))
  }

  /** The last of them, with the end of data if there is one. */
  end(): Uint8Array {
    const rest = this.#framed(this.#content.end())
    if (this.fault) return NO_BYTES
    return this.writer ? concat([rest, this.writer.end()]) : rest
  }

  /** Mostly there is one piece, which goes as it is. */
  #framed(pieces: readonly Uint8Array[]): Uint8Array {
    const { writer } = this
    if (!writer) return concat(pieces)
    const [only] = pieces
    return concat(only && pieces.length === 1 ? writer.push(only) : pieces.flatMap(each => writer.push(each)))
  }
}
