import type { Transform } from 'node:stream'
import { Encoder as Base64 } from 'libbase64'
import { Encoder as QuotedPrintable } from 'libqp'
import { bytes, CR, LF, NO_BYTES } from '../base/bytes.ts'
import { type Cannot, type Encoding, type Plan, Planner, type Target } from '../mail/conversion.ts'
import { type MimePiece, MimeReader } from '../mail/mime.ts'

/** A message, to be read as often as it takes: always the same octets. */
export type Content = () => AsyncIterable<Uint8Array>

export interface Converted {
  /** Octets, as SIZE counts them. */
  readonly size: number
  readonly content: Content
}

/** Octets that are looked at in one go, whatever the chunks are: an encoder holds three times as many. */
const SLICE = 65_536

/**
 * The message in a form that the next server takes: every line ends in CRLF and has at most 998 octets, no CR or LF is
 * alone, there is no NUL, and for `7bit` no octet above 127.
 *
 * Reads `content` to find out what it needs, once more for the size, and again whenever the result is read. Memory is
 * constant in the size of the message.
 */
export async function convert(
  content: Content,
  to: Target,
  { smtputf8 = false }: { readonly smtputf8?: boolean } = {},
): Promise<Converted | { readonly cannot: Cannot }> {
  const reader = new MimeReader()
  const planner = new Planner(to, { smtputf8 })
  let size = 0
  for await (const slice of slices(content())) {
    size += slice.length
    planner.push(reader.push(slice))
  }
  planner.push(reader.end())
  const plan = planner.end(reader.ambiguous)
  if ('status' in plan) return { cannot: plan }
  if (plan.encodings.size === 0 && plan.isEnded) return { size, content }
  const converted = () => carryOut(plan, content())
  size = 0
  for await (const { length } of converted()) size += length
  return { size, content: converted }
}

async function* slices(content: AsyncIterable<Uint8Array>): AsyncGenerator<Uint8Array> {
  for await (const chunk of content) {
    for (let at = 0; at < chunk.length; at += SLICE) yield chunk.subarray(at, at + SLICE)
  }
}

async function* carryOut(plan: Plan, content: AsyncIterable<Uint8Array>): AsyncGenerator<Uint8Array> {
  const reader = new MimeReader()
  const writer = new Writer(plan)
  for await (const slice of slices(content)) {
    for (const piece of reader.push(slice)) yield* writer.write(piece)
  }
  for (const piece of reader.end()) yield* writer.write(piece)
  yield* writer.end()
}

/** Writes the pieces of a message as the plan has it. */
class Writer {
  readonly #plan: Plan
  #encoder: Transform | undefined
  /** The part whose Content-Transfer-Encoding field has been written anew. */
  #relabelled: number | undefined
  /** The last two octets written. */
  #tail: readonly [number | undefined, number | undefined] = [CR, LF]

  constructor(plan: Plan) {
    this.#plan = plan
  }

  async *write(piece: MimePiece): AsyncGenerator<Uint8Array> {
    for await (const octets of this.#make(piece)) {
      if (octets.length === 0) continue
      this.#tail = [octets.length > 1 ? octets.at(-2) : this.#tail[1], octets.at(-1)]
      yield octets
    }
  }

  /** The end of the last line, where it has none. */
  *end(): Generator<Uint8Array> {
    if (this.#tail[0] !== CR || this.#tail[1] !== LF) yield bytes('\r\n')
  }

  async *#make(piece: MimePiece): AsyncGenerator<Uint8Array> {
    switch (piece.kind) {
      case 'encoding-field': {
        const encoding = this.#plan.edits.get(piece.part)?.encoding
        if (encoding === undefined) yield piece.bytes
        else if (this.#relabelled !== piece.part) {
          this.#relabelled = piece.part
          yield label(encoding)
        }
        break
      }
      case 'header-end': {
        const edit = this.#plan.edits.get(piece.part.index)
        if (!edit) break
        yield bytes(edit.added)
        if (edit.encoding !== undefined && this.#relabelled !== piece.part.index) yield label(edit.encoding)
        break
      }
      case 'body': {
        const encoding = this.#plan.encodings.get(piece.body.index)
        if (encoding === undefined) {
          yield piece.bytes
          break
        }
        this.#encoder ??= encoderOf(encoding)
        this.#encoder.write(piece.bytes)
        yield this.#encoder.read() ?? NO_BYTES
        break
      }
      case 'body-end': {
        const encoder = this.#encoder
        if (!encoder) break
        this.#encoder = undefined
        encoder.end()
        yield* encoder
        // A soft line break ends the line and is not content (RFC 2045 §6.7).
        if (piece.isLast && encoder instanceof QuotedPrintable && this.#tail[1] !== LF) yield bytes('=')
        break
      }
      default:
        yield piece.bytes
    }
  }
}

function label(encoding: string): Uint8Array {
  return bytes(`Content-Transfer-Encoding: ${encoding}\r\n`)
}

/** `binary`: only a CRLF is the end of a line; a CR or LF alone is content. */
function encoderOf(encoding: Encoding): Transform {
  return encoding === 'base64' ? new Base64() : new QuotedPrintable({ binary: true })
}
