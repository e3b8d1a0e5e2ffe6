import { concat, NO_BYTES } from '../base/bytes.ts'
import { ChunkReader, DotReader, StrayReader } from './body.ts'
import type { Situation } from './dialect.ts'
import type { Limits } from './limits.ts'

/** What is wrong with a message; it is said behind its real end, never inside it, or the stream would lose its frame. */
export interface Wrong {
  readonly situation: Situation
  readonly about: string
}

/** What came of some octets: content to keep, and behind the end of the part the octets that are commands again. */
export interface Taken {
  readonly content: Uint8Array
  readonly rest?: Uint8Array
}

/**
 * A message on its way in, by DATA or in chunks: counted, its doubled dots taken out, looked at for octets that must not
 * be there, and held against the limits. It keeps none of it.
 */
export class Incoming {
  readonly #limits: Limits
  /** Bare line ends and NUL are content in BINARYMIME (RFC 3030 §3). */
  readonly #stray: StrayReader | undefined
  #size = 0
  #chunks = 0
  #wrong: Wrong | undefined

  constructor(limits: Limits, { binary }: { readonly binary: boolean }) {
    this.#limits = limits
    this.#stray = binary ? undefined : new StrayReader()
  }

  get size(): number {
    return this.#size
  }

  get wrong(): Wrong | undefined {
    return this.#wrong
  }

  /** One chunk more; `false` once there are too many. */
  countChunk(): boolean {
    return ++this.#chunks <= this.#limits.chunks
  }

  data(reader: DotReader, octets: Uint8Array): Taken {
    const { content, rest } = reader.push(octets)
    // As one piece: a message of nothing but dots must not become a million of them.
    const kept = this.#keep(concat(content))
    if (rest === undefined) return { content: kept }
    if (reader.stray) this.#refuse('stray-octet', reader.stray)
    return { content: kept, rest }
  }

  chunk(octets: Uint8Array): Uint8Array {
    const stray = this.#stray?.push(octets)
    if (stray) this.#refuse('stray-octet', stray)
    return this.#keep(octets)
  }

  /** The last chunk is over. */
  end(): void {
    const stray = this.#stray?.end()
    if (stray) this.#refuse('stray-octet', stray)
  }

  #keep(piece: Uint8Array): Uint8Array {
    this.#size += piece.length
    if (this.#size > this.#limits.messageSize) this.#refuse('too-big', '')
    return this.#wrong ? NO_BYTES : piece
  }

  /** What was found first; but its size goes before all else, or how the octets are cut would decide. */
  #refuse(situation: Situation, about: string): void {
    if (!this.#wrong || situation === 'too-big') this.#wrong = { situation, about }
  }
}

/** A part of a message, or of what comes before it, that is read off the stream by its own rules and not as lines. */
export type Part =
  | { readonly kind: 'data'; readonly reader: DotReader }
  | {
      readonly kind: 'chunk'
      readonly size: number
      readonly reader: ChunkReader
      readonly last: boolean
      /** It may not come now: its octets are taken off the stream all the same (RFC 3030 §2), and this is answered. */
      readonly refuse?: Situation
    }
  | { readonly kind: 'blob'; readonly version: string; readonly bytes: Uint8Array; readonly reader: ChunkReader }

export function dataPart(): Part {
  return { kind: 'data', reader: new DotReader() }
}

export function chunkPart(size: number, last: boolean, refuse?: Situation): Part & { readonly kind: 'chunk' } {
  return { kind: 'chunk', size, reader: new ChunkReader(size), last, ...(refuse && { refuse }) }
}

export function blobPart(size: number, version: string): Part & { readonly kind: 'blob' } {
  return { kind: 'blob', version, bytes: new Uint8Array(size), reader: new ChunkReader(size) }
}
